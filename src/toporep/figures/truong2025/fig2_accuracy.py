"""Figure 2: accuracy on the test images against the spatial weight."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures import layout, style
from toporep.figures.truong2025 import provenance_lines, read_summaries, summary_table, sweep

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw one panel a dataset: mean accuracy ± SEM over seeds, one line a condition.

    Args:
        inputs: dataset → file of schema `calibration_summary`, in panel order.

    Returns:
        The figure, and a table with the columns dataset, source, scale, condition, strength, accuracy_mean,
        accuracy_sem (0 to 1), n_seeds, note.

    Raises:
        TopoRepError: see `read_summaries`.

    Source: Truong & Hasson 2025, section 3.1 and Figure 2.
    """
    panels = read_summaries(inputs, "calibration_summary")
    table = summary_table(panels, ["accuracy_mean", "accuracy_sem"])
    table["note"] = sweep.note(table, "accuracy")
    lines = [
        "Share of test images whose largest logit is that of their class, mean over networks (seeds); dropout off. "
        f"{sweep.BAND} Each dataset has an ordinate of its own. Chance: 10 %.",
        *provenance_lines(panels),
    ]
    with style.context():
        styles = sweep.styles_of(table)
        page = layout.Page([layout.Block(1, len(panels), 2.0)], lines, head=0.44)
        for column, (name, panel) in enumerate(panels.items()):
            axes = page.panel(0, 0, column)
            sweep.draw_sweep(axes, table[table["dataset"] == name], "accuracy", styles)
            layout.percent_axis(axes)
            sweep.name_abscissa(axes)
            axes.set_title(style.dataset_title(name, panel.attrs["source"]), loc="left", fontweight="bold")
        layout.name_ordinate(page.figure.axes[0], "accuracy on the test images (%)")
        page.legend(sweep.condition_handles(styles))
    return page.figure, table
