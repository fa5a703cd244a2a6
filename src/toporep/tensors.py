"""Tensors in files: safetensors with one JSON blob of metadata."""

from __future__ import annotations

import json
import os
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from toporep.errors import TopoRepError
from toporep.io import atomic_path


def save_tensors(path: str | os.PathLike, tensors: dict[str, torch.Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors and metadata atomically; equal content gives equal bytes."""
    # One metadata entry: the format's own map of entries has no fixed order.
    text = json.dumps(metadata, sort_keys=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"toporep": text})


def load_tensors(path: str | os.PathLike) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read tensors and metadata that `save_tensors` wrote."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
            return tensors, json.loads((file.metadata() or {}).get("toporep", "{}"))
    except (SafetensorError, OSError) as error:
        raise TopoRepError(f"{path}: cannot be read as safetensors ({error}); remove it and make it again") from error


def load_metadata(path: str | os.PathLike) -> dict[str, Any]:
    """Read the metadata alone; {} if the file is not readable."""
    try:
        with safe_open(path, framework="pt") as file:
            return json.loads((file.metadata() or {}).get("toporep", "{}"))
    except (SafetensorError, OSError, json.JSONDecodeError):
        return {}
