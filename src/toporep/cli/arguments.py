"""Arguments that several commands share: JSON objects, and the inputs of figures and tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toporep.errors import TopoRepError


def parse_object(text: str, option: str) -> dict[str, Any]:
    """Read the JSON object that is given to an option.

    Raises:
        TopoRepError: not a JSON object.
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        raise TopoRepError(f"{option}: not JSON ({error}), found {text!r}") from error
    if not isinstance(content, dict):
        raise TopoRepError(f"{option}: expected a JSON object, found {text!r}")
    return content


def parse_inputs(pairs: Sequence[str]) -> dict[str, Path]:
    """Turn `NAME=path` arguments into a mapping that keeps their order.

    Raises:
        TopoRepError: an argument without a name or a path, or a name given twice.
    """
    inputs: dict[str, Path] = {}
    for pair in pairs:
        name, separator, path = pair.partition("=")
        if not (name and separator and path):
            raise TopoRepError(f"--input {pair!r}: expected NAME=path, such as mnist=morans_i_summary.nc")
        if name in inputs:
            raise TopoRepError(f"--input {pair!r}: the name {name!r} is given twice; each input needs its own name")
        inputs[name] = Path(path)
    return inputs


def parse_settings(text: str, *, known: Sequence[str], kind: str = "figure") -> dict[str, Any]:
    """Read the JSON object of a figure's or table's own settings.

    Raises:
        TopoRepError: not a JSON object, or a setting that the figure or table does not have.
    """
    settings = parse_object(text, "--settings")
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise TopoRepError(f"--settings: unknown {', '.join(unknown)}; this {kind} has: {', '.join(known) or 'none'}")
    return settings
