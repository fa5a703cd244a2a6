"""Figure 2: units of the Topographic VAE that are selective for faces, bodies, places or objects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures import style
from toporep.figures.keller2021_category import read_runs
from toporep.figures.keller2021_category.maps import (
    Row,
    draw_page,
    grid_of,
    joint_labels,
    joint_lines,
    joint_panel,
    origin_lines,
    table,
    threshold_of,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw the joint map of the trained network, of the same before training, and with classes of equal weight.

    Args:
        inputs: `imagenet_faces.class_selectivity.runs` → file of schema `class_selectivity`; drawn is the lowest seed.

    Returns:
        The figure, and the table of `toporep.figures.keller2021_category.maps.table`; `value` is the number of the
        class in the order of the file, -1 none, -2 several.

    Raises:
        TopoRepError: no such file, a file of another paper, units that do not fill a sheet.

    Source: Keller, Gao & Welling 2021, Figure 2; colors and the class of objects from the published code. The untrained
    network, classes of equal weight and all numbers are ours.
    """
    metric = read_runs(inputs, "class_selectivity")
    panels = [
        joint_panel(metric, "tvae"),
        joint_panel(metric, "tvae_untrained", title=("TVAE", "before training")),
        joint_panel(metric, "tvae", complement="classes", title=("TVAE", "each other class with equal weight")),
    ]
    rows = [Row(panels, (f"d ≥ {threshold_of(metric):g}",), joint_labels(metric))]
    height, width = grid_of(metric)
    lines = [
        f"Each point is a unit of a torus of {height} × {width}: the left edge adjoins the right one, the upper the "
        f"lower one. {joint_lines(metric)} Left and middle: images of all other classes pooled, so that larger sets "
        "weigh more, as in the paper; right: each other class with equal weight.",
        *origin_lines(rows, metric.attrs),
    ]
    with style.context():
        sheet, _ = draw_page(
            "Units selective for one class",
            rows,
            metric.attrs,
            lines,
            keys=["joint"],
            threshold=threshold_of(metric),
            margin=1.95,
        )
    return sheet.figure, table(rows, metric.attrs)
