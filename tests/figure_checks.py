"""What a reader sees of a figure, text and colors as the eye takes them; and that its bytes do not vary."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from toporep.figures import export

if TYPE_CHECKING:
    import pandas as pd

CAPTIONS = Path(__file__).resolve().parents[1] / "workflow" / "report"

# Machado, Oliveira & Fernandes 2009, severity 1, on linear RGB.
COLOR_BLINDNESS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def texts(figure: Figure) -> str:
    """All text of a figure; the small print, which is wrapped, in one line."""
    return " ".join(" ".join(text.get_text() for text in figure.findobj(Text)).split())


def visible_texts(figure: Figure) -> list[Text]:
    """The texts that a reader sees: titles, legends, names and labels of the axes that are shown."""
    found = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for axes in figure.axes:
        found += [*axes.texts, *(axes.title, axes._left_title)]
        if not axes.axison:
            continue
        found += [axes.xaxis.label, axes.yaxis.label]
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            if axis.get_tick_params()[f"label{'bottom' if axis is axes.xaxis else 'left'}"]:
                ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
                found += [label for place, label in ticks if limits[0] <= place <= limits[1]]
    return [text for text in found if text.get_text() and text.get_visible()]


def check_page(figure: Figure, shown: Sequence[Text] | None = None) -> None:
    """The figure fits on a page, and its text (all, or what is shown) lies on it and has at least 6 points."""
    assert figure.get_figwidth() <= 7.3, "wider than a journal page"
    assert figure.get_figheight() <= 10.6, "higher than a page"
    page = figure.bbox
    for text, box in _boxes(figure, figure.findobj(Text) if shown is None else shown):
        assert text.get_fontsize() >= 6, f"{text.get_text()!r} is too small"
        inside = box.x0 >= page.x0 - 1 and box.x1 <= page.x1 + 1 and box.y0 >= page.y0 - 1 and box.y1 <= page.y1 + 1
        assert inside, f"{text.get_text()!r} leaves the page"


def check_apart(figure: Figure, shown: Sequence[Text]) -> None:
    """No text lies on another."""
    boxes = _boxes(figure, shown)
    for index, (text, box) in enumerate(boxes):
        for other, another in boxes[index + 1 :]:
            assert not box.padded(-1).overlaps(another.padded(-1)), f"{text.get_text()!r} on {other.get_text()!r}"


def cielab(color: object, *, seen_with: str | None = None) -> np.ndarray:
    """CIELAB coordinates of a color, with normal vision or a kind of color blindness; 2.3 apart is just noticeable."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    if seen_with:
        linear = np.array(COLOR_BLINDNESS[seen_with]) @ linear
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    f = np.cbrt(np.array(to_xyz) @ np.clip(linear, 0, 1) / [0.9505, 1, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def check_drawn_elsewhere(
    paper: str, drawn: Mapping[str, tuple[Figure, pd.DataFrame]], inputs: Mapping[str, Sequence[str]], folder: Path
) -> None:
    """Another process, without torch, draws the same bytes; a pixel image of them would only repeat the comparison.

    Args:
        paper: its key.
        drawn: name of a figure → the figure and its table.
        inputs: name of a figure → `NAME=path` of each of its inputs.
        folder: empty; its `here` holds the files afterwards.
    """
    calls = []
    for figure, of_figure in drawn.items():
        names = [f"{figure}.{suffix}" for suffix in ("pdf", "csv")]
        export.save(*of_figure, [folder / "here" / name for name in names])
        calls.append((figure, list(inputs[figure]), [str(folder / "there" / name) for name in names]))
    code = (
        "from toporep.figures import export, figure_module as m; from toporep.cli.figure import parse_inputs as p\n"
        f"for f, i, o in {calls!r}: export.save(*m({paper!r}, f).draw(p(i)), o)\n"
        "import sys; assert 'torch' not in sys.modules"
    )
    check_same_bytes(code, here=folder / "here", there=folder / "there", files=2 * len(calls))


def check_embedded(pdf: Path) -> None:
    """The file has no date, and its fonts are in it as outlines that stay text."""
    content = pdf.read_bytes()
    assert b"CreationDate" not in content
    assert b"/FontFile2" in content and b"/Type3" not in content, "fonts are not embedded as TrueType"


def caption(figure: str) -> str:
    """The caption of a figure or table as HTML; a mistake in its markup is an error."""
    docutils = pytest.importorskip("docutils.core")
    text = (CAPTIONS / f"{figure}.rst").read_text(encoding="utf-8")
    return docutils.publish_parts(text, writer="html", settings_overrides={"halt_level": 2})["body"]


def check_same_bytes(code: str, *, here: Path, there: Path, files: int) -> None:
    """Another process that runs `code` writes as many files to `there`, byte by byte those that lie `here`."""
    # Another hash seed reorders Python's sets: a figure must not depend on their order.
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONHASHSEED": "1"})
    written = {path.name: path.read_bytes() for path in here.iterdir()}
    assert len(written) == files, "something is left over"
    assert {path.name for path in there.iterdir()} == set(written)
    for name, content in written.items():
        assert (there / name).read_bytes() == content, name


def _boxes(figure: Figure, shown: Sequence[Text]) -> list[tuple[Text, Bbox]]:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    return [(text, text.get_window_extent(renderer)) for text in shown if text.get_text() and text.get_visible()]
