"""Where tensors live and how precisely they are multiplied."""

from __future__ import annotations

import torch


def choose_device(name: str = "auto") -> torch.device:
    """Return the named device; "auto" is the GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def device_name(device: torch.device) -> str:
    """Return "cpu", or the GPU's product name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def set_precision(device: torch.device) -> None:
    """Full float32 products on every device; deterministic algorithms on a CPU."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.use_deterministic_algorithms(device.type == "cpu")
