"""Appendix Figure 6: effective dimensionality of weights and of responses against the spatial weight."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures import layout, style
from toporep.figures.truong2025 import provenance_lines, read_summaries, settings_of, summary_table, sweep

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_VARIABLE = "effective_dimensionality"
# Value of the coordinate `quantity` → title of its panel.
_TITLES = {
    "weights": "weights: units are variables",
    "weights_transposed": "weights: inputs are variables",
    "activations_pre": "activations, pre-ReLU",
    "activations_post": "activations, post-ReLU",
}


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw one row of panels a dataset, one panel a matrix: mean ± SEM over seeds, one line a condition.

    Args:
        inputs: dataset → file of schema `dimensionality_summary`, in panel order.

    Returns:
        The figure, and a table with the columns dataset, source, scale, condition, strength, quantity (which matrix),
        effective_dimensionality_mean, effective_dimensionality_sem, n_seeds, note.

    Raises:
        TopoRepError: see `read_summaries`.

    Source: Truong & Hasson 2025, section 3.4.3 and Appendix Figure 6.
    """
    panels = read_summaries(inputs, "dimensionality_summary")
    table = summary_table(panels, [f"{_VARIABLE}_mean", f"{_VARIABLE}_sem"])
    table["note"] = sweep.note(table, _VARIABLE)
    quantities = list(dict.fromkeys(table["quantity"]))
    with style.context():
        styles = sweep.styles_of(table)
        block = layout.Block(1, len(quantities), 1.45, title=0.44, between=0.3)
        page = layout.Page([block] * len(panels), _small_print(panels))
        for row, (name, panel) in enumerate(panels.items()):
            page.heading(row, style.dataset_title(name, panel.attrs["source"]), above=0.26)
            for column, quantity in enumerate(quantities):
                axes = page.panel(row, 0, column)
                shown = (table["dataset"] == name) & (table["quantity"] == quantity)
                sweep.draw_sweep(axes, table[shown], _VARIABLE, styles, compact=True)
                layout.few_ticks(axes)
                sweep.name_abscissa(axes)
                axes.set_title(_TITLES.get(quantity, quantity), loc="left", pad=4, fontsize=6.5)
            layout.name_ordinate(page.figure.axes[-len(quantities)], "effective dimensionality")
        page.legend(sweep.condition_handles(styles))
    return page.figure, table


def _small_print(panels: Mapping[str, object]) -> list[str]:
    eigenvalues = "covariance (variables centered)" if settings_of(panels)["centered"] else "uncentered second moments"
    return [
        "Effective dimensionality: (Σ e)² / Σ e² over the eigenvalues e of the "
        f"{eigenvalues}, from 1 to the rank; mean over networks (seeds). {sweep.BAND} Weights: the matrix from the "
        "inputs of fc1 to its units, once with the units as variables and the inputs as samples, once the reverse. "
        "Activations: units are the variables, test images the samples. The paper names neither orientation, "
        "centring, nor pre- or post-ReLU. Ordinates differ.",
        *provenance_lines(panels),
    ]
