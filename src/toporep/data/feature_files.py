"""The .npy file of features beside a netCDF file: how it is told from another one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

ARRAY_TYPE = np.float16
_BLOCK = 1 << 20


def array_sha256(path: str | os.PathLike) -> str:
    """sha256 of a file, in hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def array_probe(path: str | os.PathLike) -> str:
    """sha256 of a file's size, first and last MiB: tells truncated and other files at once, not every change."""
    size = Path(path).stat().st_size
    digest = hashlib.sha256(f"{size}\n".encode())
    with Path(path).open("rb") as file:
        digest.update(file.read(_BLOCK))
        file.seek(max(0, size - _BLOCK))
        digest.update(file.read(_BLOCK))
    return digest.hexdigest()
