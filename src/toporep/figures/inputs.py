"""Checks of the files that a figure or a table is made from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from toporep.errors import TopoRepError


def check_identity(path: Path, attrs: Mapping[str, object], **expected: str) -> None:
    """Refuse a file whose attributes are not the expected ones."""
    for key, value in expected.items():
        if attrs[key] != value:
            raise TopoRepError(f"{path}: expected {key} {value!r}, found {attrs[key]!r}; give the file made for this")
