"""Appendix Figure 10: where the units with a bandpass profile over eccentricity respond most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from toporep.figures import style
from toporep.figures.truong2025 import axis_strengths, families, provenance_lines, summary_table
from toporep.figures.truong2025.tuning import CONTROL_STIMULI, PUBLISHED_STIMULI, RING_ARTEFACT, read_panels

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

_TITLES = {PUBLISHED_STIMULI: "hard-edged rings, as published", CONTROL_STIMULI: "area-normalized rings"}

# Lay-out in inches: names of the families; for each kind of rings a title and a row a strength, labels of the abscissa.
_HEAD, _TITLE, _ROW, _LABELS = 0.1, 0.38, 0.2, 0.4
_LEFT, _RIGHT, _GAP, _COUNT_WIDTH = 0.62, 0.06, 0.1, 0.3
_HEIGHT = 0.86


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw for each dataset and kind of rings one panel a family: histograms of the centers, one a strength.

    Args:
        inputs: dataset → file of schema `eccentricity_summary`, in panel order.

    Returns:
        The figure, and a table with one row a point, variant and bin. Columns: dataset, source, scale, condition,
        strength, variant, bin_left, bin_width (pixels), count (pooled over seeds), bandpass_units (their sum over
        bins), n_seeds, note.

    Raises:
        TopoRepError: see `tuning.read_panels`.

    Source: Truong & Hasson 2025, section 3.5 and Appendix Figure 10.
    """
    panels = read_panels(inputs, "eccentricity_summary")
    table = _table(panels)
    with style.context():
        foot = style.SmallPrint(_small_print(panels), left=_LEFT)
        rows = 1 + len(axis_strengths(table))
        block = _TITLE + rows * _ROW + _LABELS
        figure = Figure(figsize=(style.PAGE_WIDTH, _HEAD + len(_TITLES) * len(panels) * block + foot.height))
        top = figure.get_figheight() - _HEAD
        for name, panel in panels.items():
            own = table[table["dataset"] == name]
            for variant, title in _TITLES.items():
                source = style.dataset_title(name, panel.attrs["source"])
                _draw_block(figure, own[own["variant"] == variant], title=f"{source}, {title}", top=top)
                top -= block
        foot.draw(figure)
    return figure, table


def _table(panels: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    kept = {}
    for name, panel in panels.items():
        left = panel["bin_left"].values
        # The last bin is as wide as the one before it: the file gives left edges alone.
        width = np.diff([*left, 2 * left[-1] - left[-2]])
        counts = panel[["center_histogram_sum"]].sel(variant=list(_TITLES)).drop_vars("bin_left")
        kept[name] = counts.assign(left=("bin", left), width=("bin", width)).assign_attrs(panel.attrs)
    table = summary_table(kept, ["center_histogram_sum", "left", "width"]).drop(columns="bin")
    table = table.rename(columns={"center_histogram_sum": "count", "left": "bin_left", "width": "bin_width"})
    table["bandpass_units"] = table.groupby(["dataset", "condition", "strength", "variant"])["count"].transform("sum")
    table["note"] = np.where(table["bandpass_units"] == 0, "no bandpass unit", "")
    columns = ["dataset", "source", "scale", "condition", "strength", "variant", "bin_left", "bin_width", "count"]
    return table[[*columns, "bandpass_units", "n_seeds", "note"]]


def _draw_block(figure: Figure, table: pd.DataFrame, *, title: str, top: float) -> None:
    names, strengths = families(table["condition"].tolist()), axis_strengths(table)
    styles = style.condition_styles([style.CONTROL, *names])
    page_width, page_height = figure.get_size_inches()
    height = (1 + len(strengths)) * _ROW
    width = (page_width - _LEFT - _RIGHT - (len(names) - 1) * _GAP) / len(names) - _COUNT_WIDTH
    bottom = top - _TITLE - height
    for column, name in enumerate(names):
        left = _LEFT + column * (width + _COUNT_WIDTH + _GAP)
        place = (left / page_width, bottom / page_height, width / page_width, height / page_height)
        axes = figure.add_axes(place)
        _frame(axes, table, strengths, labels=column == 0)
        axes.set_title(styles[name].short, pad=3, color=style.shades(styles[name].color, 3)[1], fontweight="bold")
        _draw_panel(axes, table, name, styles)
    figure.text(0.07 / page_width, (top - 0.12) / page_height, title, fontsize=8, fontweight="bold")


def _frame(axes: Axes, table: pd.DataFrame, strengths: Sequence[float], *, labels: bool) -> None:
    axes.set_xlim(table["bin_left"].min(), (table["bin_left"] + table["bin_width"]).max())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
    axes.set_xlabel("center of the bump (pixels)", labelpad=2)
    names = [f"λ = {style.strength_label(strength)}" for strength in strengths]
    axes.set_yticks(range(0, -len(strengths) - 1, -1), ["control", *names] if labels else [])
    axes.set_ylim(-len(strengths) - 0.1, 1)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    for label in axes.get_yticklabels():
        label.set_verticalalignment("bottom")


def _draw_panel(axes: Axes, table: pd.DataFrame, name: str, styles: Mapping[str, style.ConditionStyle]) -> None:
    strengths = axis_strengths(table)
    rows = [(style.CONTROL, 0.0, styles[style.CONTROL].color)]
    rows += list(zip([name] * len(strengths), strengths, style.shades(styles[name].color, len(strengths)), strict=True))
    for row, (condition, strength, color) in enumerate(rows):
        own = table[(table["condition"] == condition) & (table["strength"] == strength)].sort_values("bin_left")
        if own.empty:
            continue
        units = own["bandpass_units"].iloc[0]
        axes.annotate(
            f"{units}",
            (1, -row),
            (16, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            fontsize=6,
            ha="right",
            va="bottom",
        )
        if not units:
            continue
        heights = _HEIGHT * own["count"].to_numpy() / own["count"].max() - row
        edges = [*own["bin_left"], own["bin_left"].iloc[-1] + own["bin_width"].iloc[-1]]
        axes.stairs(heights, edges, baseline=-row, fill=True, color=color, alpha=0.3, linewidth=0, zorder=2)
        linestyle = styles[style.CONTROL].linestyle if condition == style.CONTROL else "-"
        axes.stairs(heights, edges, baseline=-row, color=color, linewidth=0.8, linestyle=linestyle, zorder=3)
    axes.annotate(
        "units",
        (1, 1),
        (16, 1),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=6,
        ha="right",
        va="bottom",
        color="0.25",
    )


def _small_print(panels: Mapping[str, xr.Dataset]) -> list[str]:
    return [
        "Histograms of the center of the Gaussian fitted to the responses (before the ReLU) of bandpass units to rings "
        "of increasing radius, pooled over seeds and each scaled to its own highest bin; at the right the number of "
        "these units. Nothing is averaged, so no band. Red, dashed: control; λ from light to dark.",
        RING_ARTEFACT,
        *provenance_lines(panels),
    ]
