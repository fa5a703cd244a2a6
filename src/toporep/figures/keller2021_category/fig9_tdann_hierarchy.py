"""Figure 9: maps of animacy, size, faces and classes of the TDANN."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures import style
from toporep.figures.keller2021_category import check_together, read_runs
from toporep.figures.keller2021_category.maps import (
    CONTRASTS,
    SELECTIVITY_LABELS,
    Row,
    draw_page,
    joint_lines,
    joint_panel,
    origin_lines,
    selectivity_lines,
    selectivity_panel,
    sets_of,
    table,
    threshold_of,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_CONDITION = "tdann"


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw three maps of d and the joint map of the TDANN side by side.

    Args:
        inputs: `imagenet_faces.<contrast>.runs` for selectivity_animacy, selectivity_size and selectivity_faces → files
            of schema `selectivity`, and `imagenet_faces.class_selectivity.runs`; drawn is the lowest seed.

    Returns:
        The figure, and the table of `toporep.figures.keller2021_category.maps.table`.

    Raises:
        TopoRepError: a file that is missing or of another paper, files of several scales.

    Source: Keller, Gao & Welling 2021, Figure 9 (appendix A.5). The numbers are ours.
    """
    metrics = {name: read_runs(inputs, name, "selectivity") for name in CONTRASTS}
    classes = read_runs(inputs, "class_selectivity")
    check_together([*metrics.values(), classes])
    panels = [
        selectivity_panel(metrics[name], _CONDITION, name=f"{target} − {control}", title=(f"{target} − {control}",))
        for name, (target, control) in CONTRASTS.items()
    ]
    threshold = threshold_of(classes)
    panels.append(joint_panel(classes, _CONDITION, title=(f"classes, d ≥ {threshold:g}",), named=True))
    rows = [Row(panels, ("TDANN", "FC6, before its ReLU"), SELECTIVITY_LABELS)]
    attrs = [metric.attrs for metric in (*metrics.values(), classes)]
    lines = [
        *selectivity_lines(list(metrics.values())),
        joint_lines(classes, named=True),
        *origin_lines(rows, *attrs, sets=[*sets_of(CONTRASTS), "headless", "hands", "places"]),
    ]
    with style.context():
        sheet, _ = draw_page(
            "TDANN: animacy, real-world size, faces, classes",
            rows,
            attrs[0],
            lines,
            keys=["selectivity", "joint"],
            threshold=threshold,
        )
    return sheet.figure, table(rows, attrs[0])
