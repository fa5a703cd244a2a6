"""Where tensors live and how precisely they are multiplied."""

from __future__ import annotations

import torch

from toporep.errors import TopoRepError


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


def set_precision(device: torch.device) -> None:
    """Full float32 products on every device; deterministic algorithms on a CPU."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    # The same switch as `use_deterministic_algorithms`, which would import the compiler: seconds a command.
    torch.set_deterministic_debug_mode("error" if device.type == "cpu" else "default")
