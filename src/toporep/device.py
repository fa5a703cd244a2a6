"""Where tensors live and how precisely they are multiplied."""

from __future__ import annotations

import torch

from toporep.errors import TopoRepError

# Of matrix products and convolutions while training. Weights, losses, statistics and updates are float32 in all three,
# and so are all evaluations.
PRECISIONS = ("float32", "tf32", "bf16")


def choose_device(name: str = "auto") -> torch.device:
    """Return the named device, "cpu", "cuda" or "cuda:<number>"; "auto" is the GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.split(":")[0] not in ("cpu", "cuda"):
        raise TopoRepError(f"device: expected auto, cpu or cuda, found {name!r} (option --device or $TOPOREP_DEVICE)")
    if name != "cpu" and not torch.cuda.is_available():
        raise TopoRepError(
            f"device: found no GPU for {name!r} (option --device or $TOPOREP_DEVICE); "
            "run where there is one, or use auto or cpu"
        )
    return torch.device(name)


def device_name(device: torch.device) -> str:
    """Return "cpu", or the GPU's product name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def set_precision(device: torch.device, precision: str = "float32") -> None:
    """Choose how products are computed from now on, and deterministic algorithms on a CPU.

    Args:
        device: where the tensors are.
        precision: one of `PRECISIONS`. "tf32" rounds the factors of products to 10 bits on GPUs that can, and means
            float32 on a CPU. "bf16" takes effect within `reduced_precision`.

    Raises:
        TopoRepError: an unknown precision.
    """
    if precision not in PRECISIONS:
        raise TopoRepError(f"precision: expected one of {', '.join(PRECISIONS)}, found {precision!r}")
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    # The same switch as `use_deterministic_algorithms`, which would import the compiler: seconds a command.
    torch.set_deterministic_debug_mode("error" if device.type == "cpu" else "default")


def reduced_precision(device: torch.device, precision: str) -> torch.autocast:
    """Context for the forward pass of a network: with "bf16", its products take factors rounded to 8 bits."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def product_dtype(tensor: torch.Tensor) -> torch.dtype | None:
    """What the factors of products are rounded to here, within `reduced_precision`; None: they are left as they are."""
    kind = tensor.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
