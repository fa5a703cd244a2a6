"""Saving a figure and its numbers: the same content gives the same bytes, and no file is left half-written."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.errors import TopoRepError
from toporep.figures import style
from toporep.io import atomic_path

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

PNG_DPI = 200
CSV_FLOAT_FORMAT = "%.10g"


def save(figure: Figure, table: pd.DataFrame, outputs: Sequence[str | Path]) -> None:
    """Write the figure as .pdf and .png and its numbers as .csv, each named in `outputs` by its suffix.

    Everything is rendered before the first file is written, so a figure that cannot be rendered writes nothing.
    No file holds a date or a software version.

    Raises:
        TopoRepError: an output with another suffix.
    """
    check_outputs(outputs)
    contents = {suffix: _RENDER[suffix](figure, table) for suffix in sorted({Path(path).suffix for path in outputs})}
    for path in outputs:
        with atomic_path(path) as temporary:
            temporary.write_bytes(contents[Path(path).suffix])


def check_outputs(outputs: Sequence[str | Path]) -> None:
    """Refuse an output that is none of .pdf, .png and .csv."""
    for path in outputs:
        if Path(path).suffix not in _RENDER:
            raise TopoRepError(f"output {path}: expected a name ending in {', '.join(_RENDER)}")


def _render_pdf(figure: Figure, table: pd.DataFrame) -> bytes:
    return _render(figure, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})


def _render_png(figure: Figure, table: pd.DataFrame) -> bytes:
    return _render(figure, format="png", dpi=PNG_DPI, metadata={"Software": None})


def _render(figure: Figure, **options: object) -> bytes:
    buffer = io.BytesIO()
    with style.context():
        figure.savefig(buffer, **options)
    return buffer.getvalue()


def _render_csv(figure: Figure, table: pd.DataFrame) -> bytes:
    text = table.to_csv(index=False, float_format=CSV_FLOAT_FORMAT, na_rep="nan", lineterminator="\n")
    return text.encode("utf-8")


_RENDER: dict[str, Callable[[Figure, pd.DataFrame], bytes]] = {
    ".pdf": _render_pdf,
    ".png": _render_png,
    ".csv": _render_csv,
}
