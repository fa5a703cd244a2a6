"""Appendix Figure 8: smoothness of the activation maps (Moran's I) against the spatial weight."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from toporep.figures import style
from toporep.figures.truong2025 import (
    axis_strengths,
    families,
    on_axis,
    provenance_lines,
    read_summaries,
    settings_of,
    summary_table,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

# Lay-out in inches: legend and title, panel, labels of the abscissa.
_HEAD, _PANEL, _LABELS = 0.64, 2.0, 0.46
_LEFT, _RIGHT = 0.55, 0.05
_CHANCE_COLOR = "0.35"


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw one panel a dataset: mean Moran's I ± SEM over seeds, one line a condition.

    Args:
        inputs: dataset → file of schema `morans_i_summary`, in panel order.

    Returns:
        The figure, and a table with the columns dataset, source, scale, condition, strength, morans_i_mean,
        morans_i_sem, n_seeds, chance_morans_i, note.

    Raises:
        TopoRepError: see `read_summaries`.

    Source: Truong & Hasson 2025, section 3.4.2 and Appendix Figure 8.
    """
    panels = read_summaries(inputs, "morans_i_summary")
    table = _table(panels)
    with style.context():
        small_print = style.SmallPrint(_small_print(panels), left=_LEFT)
        height = _HEAD + _PANEL + _LABELS + small_print.height
        figure = Figure(figsize=(style.PAGE_WIDTH, height))
        grid = figure.add_gridspec(
            1,
            len(panels),
            left=_LEFT / style.PAGE_WIDTH,
            right=1 - _RIGHT / style.PAGE_WIDTH,
            top=1 - _HEAD / height,
            bottom=(small_print.height + _LABELS) / height,
            wspace=0.13,
        )
        styles = style.condition_styles(list(dict.fromkeys(table["condition"])))
        axes = None
        for column, name in enumerate(panels):
            axes = figure.add_subplot(grid[0, column], sharey=axes)
            _draw_panel(axes, table[table["dataset"] == name], styles)
            axes.set_title(style.dataset_title(name, panels[name].attrs["source"]), loc="left", fontweight="bold")
        figure.axes[0].set_ylabel("Moran's I of the activation map")
        _legend(figure, table, styles)
        small_print.draw(figure)
    return figure, table


def _table(panels: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    table = summary_table(panels, ["morans_i_mean", "morans_i_sem"])
    table["chance_morans_i"] = [float(panels[name].attrs["chance_morans_i"]) for name in table["dataset"]]
    table["note"] = np.select(
        [table["morans_i_mean"].isna(), table["morans_i_sem"].isna()],
        ["every map is constant: Moran's I is not defined", "one seed: no SEM"],
        "",
    )
    return table


def _draw_panel(axes: Axes, rows: pd.DataFrame, styles: Mapping[str, style.ConditionStyle]) -> None:
    strengths = axis_strengths(rows)
    style.strength_axis(axes, strengths)
    axes.set_xlabel("spatial weight λ")
    axes.axhline(rows["chance_morans_i"].iloc[0], color=_CHANCE_COLOR, linewidth=0.7, linestyle=":", zorder=1.5)
    x = np.arange(len(strengths))
    for condition in families(rows["condition"].tolist()):
        own, look = rows[rows["condition"] == condition], styles[condition]
        mean = on_axis(own, strengths, "morans_i_mean")
        style.band(axes, x, mean, on_axis(own, strengths, "morans_i_sem"), color=look.color)
        axes.plot(x, mean, color=look.color, marker=look.marker, zorder=3)
        style.mark_missing(axes, x[np.isnan(mean) & np.isin(strengths, own["strength"])], y=0.04, color=look.color)
    style.control_line(axes, *rows.loc[rows["condition"] == style.CONTROL, ["morans_i_mean", "morans_i_sem"]].iloc[0])


def _legend(figure: Figure, table: pd.DataFrame, styles: Mapping[str, style.ConditionStyle]) -> None:
    handles = [style.condition_handle(look, marker=name != style.CONTROL) for name, look in styles.items()]
    chance = ", ".join(f"{value:.4f}" for value in table["chance_morans_i"].unique()).replace("-", "−")
    handles.append(Line2D([], [], color=_CHANCE_COLOR, linewidth=0.7, linestyle=":", label=f"chance, {chance}"))
    if table["morans_i_mean"].isna().any():
        handles.append(style.missing_handle("not defined: every map is constant"))
    style.legend(figure, handles, left=_LEFT / style.PAGE_WIDTH, top=1 - 0.07 / figure.get_figheight())


def _small_print(panels: Mapping[str, xr.Dataset]) -> list[str]:
    settings = settings_of(panels)
    relu = "post-ReLU" if settings.get("activation") == "post" else "pre-ReLU"
    neighborhood = "rook" if settings.get("neighborhood") == "rook" else "Moore"
    return [
        f"Moran's I of the {relu} map of each test image (neighbors: {neighborhood}, binary weights, no wrap-around), "
        f"mean over images, then over seeds. Shaded: ± SEM over seeds (ddof 1). {style.EVEN_STEPS}",
        *provenance_lines(panels),
    ]
