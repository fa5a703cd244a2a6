"""Figure 1: overview of the topographic VAE, and a capsule traversal of a digit that turns while its color changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from toporep.figures import style
from toporep.figures.keller2021_capsules import label_of, title_of
from toporep.figures.keller2021_capsules.traversals import (
    HELD_OUT,
    Sheet,
    Traversals,
    read_traversals,
    row_label,
    small_print,
    table,
)

if TYPE_CHECKING:
    import pandas as pd

CONDITION = "tvae_13_36"
_LINES = ("frames", "traversal")
# Of the schema: capsules, their units, and where the activity of each one lies at first.
_UNITS, _CENTERS, _WIDTH = 12, (1, 4, 8), 1.3
# Lay-out in inches: of the diagram, then of the strips.
_SIDE, _COLUMNS, _TOPS = 0.62, (1.25, 3.3, 5.35), (0.62, 1.62, 2.46)
_CAPSULES_WIDTH, _CAPSULE_HEIGHT = 1.1, 0.12
_DIAGRAM, _LEFT, _RIGHT, _GAP = 3.32, 0.62, 0.06, 0.03
_ARROW = "#0072B2"


def draw(inputs: Mapping[str, Path], *, example: int = 0) -> tuple[Figure, pd.DataFrame]:
    """Draw the diagram with frames of one example, and the whole example below it.

    Args:
        inputs: `<dataset>.traversals_<model>.runs` → file of schema `traversals`.
        example: which; the first if there are not so many.

    Returns:
        The figure, and the table of `traversals.table` for this example, of t₀ rolled and as it is (static).

    Raises:
        TopoRepError: see `read_traversals`.

    Source: Keller & Welling 2021 (capsules), Figure 1.
    """
    every = read_traversals(inputs, CONDITION)
    of = every.choose([example if example < every.n else 0])
    with style.context():
        figure = _draw(of)
    return figure, table([of], ("rolled", "static"))


def diagram_frames(of: Traversals) -> tuple[int, int, int]:
    """The first frame, one that its t has seen, and one that it has not, if there is one."""
    last = of.frames - 1
    if of.seen is None or of.seen.all():
        return 0, min(3, last), last // 2
    held_out = np.flatnonzero(~of.seen)
    seen = [frame for frame in range(1, of.frames) if of.seen[frame] and frame < held_out[0]]
    return 0, (seen[len(seen) // 2] if seen else 0), int(held_out[len(held_out) // 2])


def _draw(of: Traversals) -> Figure:
    side = (style.PAGE_WIDTH - _LEFT - _RIGHT) / of.frames
    sheet = Sheet(_DIAGRAM + 0.3 + 2 * side + _GAP + 0.06, [_words(of), *small_print([of])])
    sheet.heading(0.14, f"{title_of(of.attrs)}: {label_of(of.condition)}", further=of.window())
    _diagram(sheet, of)
    _strips(sheet, of, side)
    return sheet.figure


def _diagram(sheet: Sheet, of: Traversals) -> None:
    """Frames above, capsules in the middle, decoded frames below; each column is a later frame."""
    frames = diagram_frames(of)
    for column, (middle, frame) in enumerate(zip(_COLUMNS, frames, strict=True)):
        one = _one_frame(of, frame)
        left = middle - _SIDE / 2
        sheet.strip(left, _TOPS[0], _SIDE, one, 0, "frames", veil=True, border=column == 0)
        _capsules(sheet, middle, frame if column else 0)
        sheet.strip(left, _TOPS[2], _SIDE, one, 0, "traversal")
        held_out = of.seen is not None and not of.seen[frame]
        below = f"frame {frame}, held out" if held_out else f"frame {frame}"
        sheet.text(middle, _TOPS[2] + _SIDE + 0.1, below, ha="center", fontsize=6.5)
        decode = _TOPS[1] + 0.46, _TOPS[2] - 0.04
        _arrow(sheet, (middle, decode[0]), (middle, decode[1]))
        sheet.text(middle + 0.06, sum(decode) / 2, "decode", fontsize=6.5, color=_ARROW)
    encode = _TOPS[0] + _SIDE + 0.04, _TOPS[1] - 0.08
    _arrow(sheet, (_COLUMNS[0], encode[0]), (_COLUMNS[0], encode[1]))
    sheet.text(_COLUMNS[0] + 0.06, sum(encode) / 2, "encode the window of frame 0", fontsize=6.5, color=_ARROW)
    for before, after, frame in zip(_COLUMNS, _COLUMNS[1:], np.diff(frames), strict=False):
        _between(sheet, before, after, _TOPS[0] + _SIDE / 2, _SIDE / 2, "transform, τ")
        _between(sheet, before, after, _TOPS[1] + 0.19, _CAPSULES_WIDTH / 2, f"roll by {frame}")
    for top, words in zip((_TOPS[0] + _SIDE / 2, _TOPS[1] + 0.19, _TOPS[2] + _SIDE / 2), _NAMES, strict=True):
        sheet.text(0.07, top, words, fontsize=6.5)


_NAMES = ("input", "capsules", "decoded")


def _one_frame(of: Traversals, frame: int) -> Traversals:
    images = {line: image[:, frame : frame + 1] for line, image in of.images.items()}
    seen = None if of.seen is None else of.seen[frame : frame + 1]
    return replace(of, images=images, seen=seen)


def _capsules(sheet: Sheet, middle: float, shift: int) -> None:
    """Three capsules as rows of units, their activity moved by `shift` units."""
    unit = np.arange(_UNITS)
    for row, center in enumerate(_CENTERS):
        away = (unit - center - shift + _UNITS / 2) % _UNITS - _UNITS / 2
        height = _CAPSULE_HEIGHT
        axes = sheet.axes(middle - _CAPSULES_WIDTH / 2, _TOPS[1] + row * (height + 0.03), _CAPSULES_WIDTH, height)
        axes.imshow(np.exp(-((away / _WIDTH) ** 2))[None], cmap="Greys", vmin=0, vmax=1.1, aspect="auto")
        axes.set(xticks=np.arange(_UNITS + 1) - 0.5, yticks=[], xticklabels=[])
        axes.tick_params(length=0)
        axes.grid(axis="x", color="0.6", linewidth=0.4)
        for spine in axes.spines.values():
            spine.set(visible=True, color="0.4", linewidth=0.5)


def _between(sheet: Sheet, before: float, after: float, y: float, half: float, words: str) -> None:
    _arrow(sheet, (before + half + 0.06, y), (after - half - 0.06, y))
    sheet.text((before + after) / 2, y - 0.09, words, ha="center", fontsize=6.5, color=_ARROW)


def _arrow(sheet: Sheet, start: tuple[float, float], end: tuple[float, float]) -> None:
    places = [sheet.place(*point) for point in (start, end)]
    look = {"arrowstyle": "-|>", "mutation_scale": 7, "color": _ARROW, "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0}
    sheet.figure.add_artist(FancyArrowPatch(*places, transform=sheet.figure.transFigure, **look))


def _strips(sheet: Sheet, of: Traversals, side: float) -> None:
    sheet.text(_LEFT, _DIAGRAM + 0.2, "the whole sequence", fontsize=6.5)
    for index, line in enumerate(_LINES):
        top = _DIAGRAM + 0.3 + index * (side + _GAP)
        sheet.strip(_LEFT, top, side, of, 0, line, veil=line == "frames", border=line == "frames")
        sheet.text(_LEFT - 0.07, top + side / 2, row_label(line), fontsize=6.5, ha="right")


def _words(of: Traversals) -> str:
    return (
        f"Example {of.numbers[0]} of the file ({of.examples_text()[0]}). In an equivariant network, a transformation "
        "of the input (τ) would be a roll within each capsule: encoding part of a sequence and rolling the activations "
        f"t₀ of its first frame (grey border) would give the frames to come.{_errors(of)} Frames above and below are "
        "data and what the network decodes; the activity of the three capsules between them is a schema, drawn and not "
        f"measured, with {_UNITS} units each. {HELD_OUT}"
    )


def _errors(of: Traversals) -> str:
    """How near the network of the figure comes to that, in its held-out frames."""
    if of.seen is None or of.seen.all():
        return ""
    rolled, still = (of.part_error[name, "held_out"][0] for name in ("rolled", "static"))
    return (
        f" Here, the squared error of held-out frames is {rolled:.1f} with the rolled t₀ and {still:.1f} with t₀ as it "
        "is (intensities 0 to 1, summed over a frame, mean over these frames)."
    )
