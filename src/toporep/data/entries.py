"""Entries of a registry, as they come out of a YAML file: checked key by key, each mistake told with its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from toporep.errors import TopoRepError


def record(
    raw: Any, where: str, required: Mapping[str, Any], optional: Mapping[str, tuple[type, Any]] | None = None
) -> dict[str, Any]:
    """Check that `raw` is a mapping with these keys, each of its type; return a copy with all of them.

    Args:
        raw: what the file has.
        where: the place in the file, which opens every error message.
        required: key → type, or (type, None) where null is allowed.
        optional: key → (type, value if the key is missing); null is allowed where that value is None.

    Raises:
        TopoRepError: no mapping; a key that is unknown, missing or of the wrong type.
    """
    optional = optional or {}
    known = [*required, *optional]
    if not isinstance(raw, dict):
        raise TopoRepError(f"{where}: expected a mapping with {', '.join(known)}, found {raw!r}")
    unknown = [str(key) for key in raw if key not in known]
    if unknown:
        raise TopoRepError(f"{where}: unknown key {', '.join(unknown)}; known: {', '.join(known)}")
    missing = [key for key in required if key not in raw]
    if missing:
        raise TopoRepError(f"{where}: missing key {', '.join(missing)}")
    for key, value in raw.items():
        kind = required.get(key, optional.get(key))
        kind, may_be_null = (kind[0], kind[1] is None) if isinstance(kind, tuple) else (kind, False)
        if not (value is None and may_be_null) and not is_a(value, kind):
            raise TopoRepError(f"{where}.{key}: expected {kind.__name__}, found {value!r}")
    return {key: raw.get(key, optional[key][1] if key in optional else None) for key in known}


def is_a(value: Any, kind: type) -> bool:
    """Whether a value is of a type as YAML users mean it: true is no number, and 1 will do for a float."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def one_of(value: str, allowed: Iterable[str], where: str) -> None:
    """Refuse a value that is not among those allowed."""
    if value not in allowed:
        raise TopoRepError(f"{where}: expected one of {', '.join(allowed)}, found {value!r}")


def at_least(entry: Mapping[str, Any], key: str, least: int, where: str) -> None:
    """Refuse a number of an entry that is too small; null passes."""
    if entry[key] is not None and entry[key] < least:
        raise TopoRepError(f"{where}.{key}: expected at least {least}, found {entry[key]}")


def below_data_folder(value: str, where: str) -> None:
    """Refuse a path that is empty, absolute, or leads out of the data folder."""
    if not value or Path(value).is_absolute() or ".." in Path(value).parts:
        raise TopoRepError(f"{where}: expected a path below the data folder, found {value!r}")
