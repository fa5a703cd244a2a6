"""Figures of Kohonen 1982, the example of docs/adding-a-paper.md: shared naming, reading and small print."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures import style
from toporep.figures.inputs import check_identity
from toporep.io import read_dataset

if TYPE_CHECKING:
    import xarray as xr

PAPER = "kohonen1982"
DISCLAIMER = "A worked example on images that the paper did not use: it claims nothing about the paper."

_CONDITIONS = {
    "untrained": style.ConditionStyle("untrained", "untrained", "#C1121F", "D", (0, (3, 1.6))),
    "winner_alone": style.ConditionStyle("winner alone learns", "winner alone", "#7F7F7F", "s", (0, (1, 1))),
    "som": style.ConditionStyle("self-organizing map", "map", "#0072B2", "o"),
}


def style_of(condition: str) -> style.ConditionStyle:
    """The look of a condition in every figure of the paper; one that it does not have keeps its name, in brown."""
    return _CONDITIONS.get(condition) or style.ConditionStyle(condition, condition, "#5C4033", "X")


def name_of(condition: str, strength: float) -> str:
    """A condition in words, with the last width of its neighborhood where it has one."""
    label = style_of(condition).label
    return f"{label}, last width {strength:g}" if strength else label


def read_summary(inputs: Mapping[str, Path], dataset: str, analysis: str) -> xr.Dataset:
    """Read the means over seeds of an analysis, the points in the order in which they are drawn.

    Args:
        inputs: `<dataset>.<analysis>` → file.
        dataset, analysis: which.

    Raises:
        TopoRepError: a file of another schema, paper or data set.
    """
    path = inputs[f"{dataset}.{analysis}"]
    summary = read_dataset(path, f"{analysis}_summary")
    check_identity(path, summary.attrs, paper=PAPER, dataset=dataset)
    known = list(_CONDITIONS)
    points = list(zip(summary["condition"].values.tolist(), summary["strength"].values.tolist(), strict=True))
    place = {name: known.index(name) if name in known else len(known) for name, _ in points}
    return summary.isel(point=sorted(range(len(points)), key=lambda index: (place[points[index][0]], points[index])))
