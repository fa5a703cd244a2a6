"""Saving a table and its numbers: the same content gives the same bytes, and no file is left half-written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.errors import TopoRepError
from toporep.io import write_text
from toporep.tables.text import TextTable

if TYPE_CHECKING:
    import pandas as pd

CSV_FLOAT_FORMAT = "%.10g"


def save(numbers: pd.DataFrame, table: TextTable, outputs: Sequence[str | Path]) -> None:
    """Write the numbers as .csv and the table as .md and .tex, each named in `outputs` by its suffix.

    Everything is rendered before the first file is written, so a table that cannot be rendered writes nothing.

    Raises:
        TopoRepError: an output with another suffix.
    """
    check_outputs(outputs)
    contents = [(path, _RENDER[Path(path).suffix](numbers, table, Path(path).stem)) for path in outputs]
    for path, text in contents:
        write_text(path, text)


def check_outputs(outputs: Sequence[str | Path]) -> None:
    """Refuse an output that is none of .csv, .md and .tex."""
    for path in outputs:
        if Path(path).suffix not in _RENDER:
            raise TopoRepError(f"output {path}: expected a name ending in {', '.join(_RENDER)}")


def _csv(numbers: pd.DataFrame, table: TextTable, name: str) -> str:
    return numbers.to_csv(index=False, float_format=CSV_FLOAT_FORMAT, na_rep="nan", lineterminator="\n")


def _markdown(numbers: pd.DataFrame, table: TextTable, name: str) -> str:
    return table.markdown()


def _latex(numbers: pd.DataFrame, table: TextTable, name: str) -> str:
    return table.latex(label=name)


_RENDER: dict[str, Callable[[pd.DataFrame, TextTable, str], str]] = {".csv": _csv, ".md": _markdown, ".tex": _latex}
