"""Appendix Figure 5: calibration against the spatial weight: logit gap, calibration error, probability gap."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures import layout, style
from toporep.figures.truong2025 import provenance_lines, read_summaries, settings_of, summary_table, sweep

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_QUANTITIES = {
    "logit_gap": "logit gap",
    "calibration_error": "expected calibration error",
    "probability_gap": "probability gap",
}


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw one row of panels a dataset, one panel a quantity: mean ± SEM over seeds, one line a condition.

    Args:
        inputs: dataset → file of schema `calibration_summary`, in panel order.

    Returns:
        The figure, and a table with the columns dataset, source, scale, condition, strength, mean and SEM of logit_gap,
        calibration_error and probability_gap, n_seeds, note.

    Raises:
        TopoRepError: see `read_summaries`.

    Source: Truong & Hasson 2025, appendix A.1 and Appendix Figure 5.
    """
    panels = read_summaries(inputs, "calibration_summary")
    table = summary_table(panels, [f"{name}_{part}" for name in _QUANTITIES for part in ("mean", "sem")])
    table["note"] = sweep.note(table, "logit_gap")
    lines = [
        "Logit gap: largest less second largest logit; probability gap: the same of the softmax probabilities; both "
        "are means over test images. Expected calibration error: mean distance between confidence and accuracy in "
        f"{settings_of(panels)['bins']} equal bins of the largest probability, weighted by their images; 0 is perfect. "
        f"No temperature. Means over networks (seeds). {sweep.BAND}",
        "The probability gap is measured: it does not follow from the mean logit gap.",
        *provenance_lines(panels),
    ]
    with style.context():
        styles = sweep.styles_of(table)
        block = layout.Block(1, len(_QUANTITIES), 1.45, title=0.44)
        page = layout.Page([block] * len(panels), lines)
        for row, (name, panel) in enumerate(panels.items()):
            page.heading(row, style.dataset_title(name, panel.attrs["source"]), above=0.26)
            for column, (quantity, title) in enumerate(_QUANTITIES.items()):
                axes = page.panel(row, 0, column)
                sweep.draw_sweep(axes, table[table["dataset"] == name], quantity, styles)
                layout.few_ticks(axes)
                sweep.name_abscissa(axes)
                axes.set_title(title, loc="left", pad=4)
        page.legend(sweep.condition_handles(styles))
    return page.figure, table
