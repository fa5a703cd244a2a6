"""Figure 4: capsule traversals of dSprites and MNIST, frames outside the window of the first in grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.errors import TopoRepError
from toporep.figures import style
from toporep.figures.keller2021_capsules import label_of, title_of
from toporep.figures.keller2021_capsules.traversals import (
    HELD_OUT,
    Sheet,
    Traversals,
    input_name,
    read_traversals,
    row_label,
    small_print,
    table,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# L is about S/3 in both; factors from top to bottom.
CONDITIONS = {"dsprites": "tvae_1_3", "mnist": "tvae_13_36"}
_FACTORS = {"dsprites": ("x", "y", "orientation", "scale"), "mnist": ("color", "scale", "rotation")}
_LINES = ("frames", "traversal")
# Lay-out in inches.
_LEFT, _RIGHT, _TITLE, _NAME, _GAP, _AFTER, _BLOCK_GAP = 0.62, 0.06, 0.36, 0.16, 0.03, 0.08, 0.1


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw one example a factor: frames above, below them those decoded from rolled activations of the first.

    Args:
        inputs: `dsprites.traversals_<model>.runs`, `mnist.traversals_<model>.runs` → files of schema `traversals`, in
            panel order.

    Returns:
        The figure, and the table of `traversals.table` without reconstructions.

    Raises:
        TopoRepError: an input that is neither; see `read_traversals`.

    Source: Keller & Welling 2021 (capsules), section 6.3 and Figure 4.
    """
    datasets = [name.partition(".")[0] for name in inputs]
    unknown = [name for name in datasets if name not in CONDITIONS]
    if unknown or not datasets:
        raise TopoRepError(
            f"inputs: expected {', '.join(map(input_name, CONDITIONS))}, found {', '.join(inputs) or 'none'}"
        )
    found = [_one_a_factor(read_traversals(inputs, CONDITIONS[name], dataset=name), name) for name in datasets]
    with style.context():
        figure = _draw(found)
    return figure, table(found, ("rolled",))


def _one_a_factor(of: Traversals, dataset: str) -> Traversals:
    """The first example of each factor; of another digit or shape than those before where there is one."""
    wanted = [name for name in _FACTORS[dataset] if name in of.factor]
    wanted += [name for name in dict.fromkeys(of.factor) if name not in wanted]
    chosen: list[int] = []
    for factor in wanted:
        of_factor = [index for index, name in enumerate(of.factor) if name == factor]
        shown = [of.label[index] for index in chosen]
        chosen.append(min(of_factor, key=lambda index: shown.count(of.label[index])))
    return of.choose(chosen)


def _draw(found: Sequence[Traversals]) -> Figure:
    frames = max(of.frames for of in found)
    side = (style.PAGE_WIDTH - _LEFT - _RIGHT) / frames
    example_height = _NAME + len(_LINES) * side + _GAP + _AFTER
    height = sum(_TITLE + of.n * example_height for of in found)
    sheet = Sheet(height + 0.06 + (len(found) - 1) * _BLOCK_GAP, [_words(), *small_print(found)])
    top = 0.06
    for of in found:
        sheet.heading(top + 0.09, f"{title_of(of.attrs)}: {label_of(of.condition)}", further=of.window())
        top += _TITLE
        for example, name in enumerate(of.examples_text()):
            sheet.text(_LEFT, top + _NAME / 2, name, fontsize=6.5)
            for index, line in enumerate(_LINES):
                y = top + _NAME + index * (side + _GAP)
                sheet.strip(_LEFT, y, side, of, example, line, veil=line == "frames", border=line == "frames")
                sheet.text(_LEFT - 0.07, y + side / 2, row_label(line), fontsize=6.5, ha="right")
            top += example_height
        top += _BLOCK_GAP
    return sheet.figure


def _words() -> str:
    return (
        "Top: frames of a sequence. Bottom: frames decoded from t₀, the t of the first frame (grey border), rolled "
        f"by one more unit in every capsule for each frame. {HELD_OUT} One example of each kind of sequence: the "
        "first in the file, of another digit or shape than those above it where there is one."
    )
