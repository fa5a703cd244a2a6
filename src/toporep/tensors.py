"""Tensors in files: safetensors with one JSON blob of metadata."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from toporep.errors import TopoRepError
from toporep.io import atomic_path

_CHECKSUM = "tensors_sha256"


def save_tensors(path: str | os.PathLike, tensors: dict[str, torch.Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors and metadata atomically; equal content gives equal bytes.

    No other process may write this file: training holds the lock of its runs.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # One metadata entry: the format's own map of entries has no fixed order.
    text = json.dumps({**metadata, _CHECKSUM: _sha256(tensors)}, sort_keys=True)
    # Not `save_file`, whose own temporary file a kill would leave behind under a name that tells nothing.
    content = save(tensors, metadata={"toporep": text})
    with atomic_path(path, alone=True) as temporary:
        _write(temporary, content)


def load_tensors(path: str | os.PathLike) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read tensors and metadata that `save_tensors` wrote; refuse a file that is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
            metadata = json.loads((file.metadata() or {}).get("toporep", "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise TopoRepError(f"{path}: cannot be read as safetensors ({error}); remove it and make it again") from error
    # The format checks sizes alone; files of earlier versions have no checksum.
    if metadata.pop(_CHECKSUM, None) not in (None, _sha256(tensors)):
        raise TopoRepError(f"{path}: the tensors do not match the file's own checksum; remove it and make it again")
    return tensors, metadata


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _sha256(tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().data)
    return digest.hexdigest()
