"""Figure 1: selectivity for faces on the sheets of a baseline, the Topographic VAE and the TDANN."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures import style
from toporep.figures.keller2021_category import read_runs
from toporep.figures.keller2021_category.maps import (
    SELECTIVITY_LABELS,
    Row,
    draw_page,
    origin_lines,
    selectivity_lines,
    selectivity_panel,
    table,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_CONDITIONS = ("fc6", "tvae", "tdann")


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw the map of d of faces against objects of three networks side by side.

    Args:
        inputs: `imagenet_faces.selectivity_faces.runs` → file of schema `selectivity`; drawn is the lowest seed.

    Returns:
        The figure, and the table of `toporep.figures.keller2021_category.maps.table`.

    Raises:
        TopoRepError: no such file, a file of another paper, units that do not fill a sheet.

    Source: Keller, Gao & Welling 2021, Figure 1. The numbers under the maps are ours: the paper judges by eye.
    """
    metric = read_runs(inputs, "selectivity_faces", "selectivity")
    panels = [selectivity_panel(metric, name, name="faces − objects") for name in _CONDITIONS]
    rows = [Row(panels, ("faces − objects",), SELECTIVITY_LABELS)]
    lines = [
        *selectivity_lines([metric]),
        *origin_lines(rows, metric.attrs),
    ]
    with style.context():
        sheet, _ = draw_page("Selectivity for faces", rows, metric.attrs, lines, keys=["selectivity"])
    return sheet.figure, table(rows, metric.attrs)
