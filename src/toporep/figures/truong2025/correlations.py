"""What the figures of correlations share: distributions, one line a condition and strength, with their medians."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from toporep.errors import TopoRepError
from toporep.figures import style
from toporep.figures.truong2025 import (
    axis_strengths,
    families,
    provenance_lines,
    read_summaries,
    settings_of,
    summary_table,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

# Values of the table's column `variable`.
HISTOGRAM, MEDIAN, NEGATIVE, ABOVE = "histogram", "median", "share_negative", "share_above"
# Narrower bins are added up to this width: a network has 121 values only.
_BIN_WIDTH = 0.04

# Lay-out in inches: legend; for each dataset a title, names of the families, a row a strength, labels of the abscissa.
_HEAD, _TITLE, _NAMES, _ROW, _LABELS = 0.42, 0.16, 0.2, 0.25, 0.42
_LEFT, _RIGHT, _GAP, _BLOCK_GAP, _SHARE_WIDTH = 0.62, 0.06, 0.07, 0.26, 0.24
# Right end of the percentages beside a panel, whose abscissa ends at 1.
_SHARE_X = 1.72
# Of the highest bin of a distribution, in rows.
_HEIGHT = 0.86
_CONTROL_MEDIAN = {"linewidth": 0.6, "linestyle": (0, (3, 1.6)), "zorder": 0.8}


@dataclass(frozen=True)
class Quantity:
    """A distribution to draw.

    Attributes:
        name: value of the files' coordinate `quantity`.
        label: of the abscissa.
        above: threshold above which the share is written beside each distribution; none if None.
    """

    name: str
    label: str
    above: float | None = None


def read_panels(
    inputs: Mapping[str, Path], quantities: Sequence[Quantity]
) -> tuple[dict[str, xr.Dataset], pd.DataFrame]:
    """Read one summary a dataset and lay out the numbers of the quantities.

    Args:
        inputs: dataset → file of schema `correlations_summary`, in panel order.
        quantities: those to keep.

    Returns:
        The summaries, and a table with one row a bin of a histogram and one a median or share. Columns: dataset,
        source, scale, condition, strength, quantity, variable (histogram, median, share_negative or share_above),
        bin_left, bin_width, count (pooled over seeds), density (share of the counts divided by the width), threshold,
        mean, sem, n_seeds, note.

    Raises:
        TopoRepError: see `read_summaries`; a file without one of the quantities.
    """
    panels = read_summaries(inputs, "correlations_summary")
    for name, panel in panels.items():
        absent = [one.name for one in quantities if one.name not in panel["quantity"].values]
        if absent:
            raise TopoRepError(f"{inputs[name]}: quantity {', '.join(absent)} is missing; make the file again")
    return panels, _table(panels, [one.name for one in quantities])


def draw_distributions(
    panels: Mapping[str, xr.Dataset],
    table: pd.DataFrame,
    quantities: Sequence[Quantity],
    *,
    lines: Sequence[str],
) -> Figure:
    """Draw one row of panels a dataset: for each quantity one panel a family, in each one distribution a strength.

    The control stands at the top of each panel.

    Args:
        panels, table: see `read_panels`.
        quantities: the blocks of panels, from left to right.
        lines: first paragraphs of the small print.
    """
    names = families(table["condition"].tolist())
    rows = 1 + len(axis_strengths(table))
    row_height = _TITLE + _NAMES + rows * _ROW + _LABELS
    foot = style.SmallPrint([*lines, *provenance_lines(panels)], left=_LEFT)
    figure = Figure(figsize=(style.PAGE_WIDTH, _HEAD + foot.height + len(panels) * row_height))
    for row, name in enumerate(panels):
        top = figure.get_figheight() - _HEAD - row * row_height
        title = style.dataset_title(name, panels[name].attrs["source"])
        figure.text(_LEFT / style.PAGE_WIDTH, (top - 0.1) / figure.get_figheight(), title, fontsize=8, weight="bold")
        own = table[table["dataset"] == name]
        for index, quantity in enumerate(quantities):
            chosen = own[own["quantity"] == quantity.name]
            _draw_block(figure, chosen, names, quantity, top=top, block=index, blocks=len(quantities))
    _legend(figure, table)
    foot.draw(figure)
    return figure


def estimator_text(panels: Mapping[str, xr.Dataset], *, what: str, count: str) -> str:
    """Say what is counted and how the distributions are pooled and scaled."""
    settings = settings_of(panels)
    relu = "post-ReLU" if settings.get("activation") == "post" else "pre-ReLU"
    return (
        f"{what.format(relu=relu)} Filled: histogram of {count} pooled over seeds (bins of {_BIN_WIDTH:g} in r), each "
        "scaled to its own highest bin. Tick: median over units or pairs, mean over seeds; line through it: ± SEM over "
        "seeds (ddof 1). A constant unit has r = 0 with every other."
    )


def _table(panels: Mapping[str, xr.Dataset], quantities: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    chosen = {name: panel.sel(quantity=list(quantities)) for name, panel in panels.items()}
    tables = [_histograms(chosen)]
    for variable in (MEDIAN, NEGATIVE, ABOVE):
        table = summary_table(chosen, [f"{variable}_mean", f"{variable}_sem"])
        table = table.rename(columns={f"{variable}_mean": "mean", f"{variable}_sem": "sem"})
        table["note"] = np.where(table["sem"].isna(), "one seed: no SEM", "")
        tables.append(table.assign(variable=variable))
    columns = ["dataset", "source", "scale", "condition", "strength", "quantity", "variable", "bin_left", "bin_width"]
    columns += ["count", "density", "threshold", "mean", "sem", "n_seeds", "note"]
    return pd.concat(tables, ignore_index=True).reindex(columns=columns).astype({"count": "Int64"}).fillna({"note": ""})


def _histograms(panels: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    merged = {name: _merge_bins(panel) for name, panel in panels.items()}
    table = summary_table(merged, ["histogram_sum", "left", "width"]).drop(columns="bin")
    table = table.rename(columns={"histogram_sum": "count", "left": "bin_left", "width": "bin_width"})
    total = table.groupby(["dataset", "condition", "strength", "quantity"])["count"].transform("sum")
    return table.assign(variable=HISTOGRAM, density=table["count"] / total / table["bin_width"])


def _merge_bins(panel: xr.Dataset) -> xr.Dataset:
    """Add up adjacent bins to the width of the figures, as far as a whole number of bins fits."""
    left = panel["bin_left"].values
    width = (1 - left[0]) / len(left)
    merge = max(1, round(_BIN_WIDTH / width))
    while len(left) % merge:
        merge -= 1
    counts = panel[["histogram_sum"]].drop_vars("bin_left").coarsen(bin=merge).sum()
    edges = left[::merge]
    return counts.assign(left=("bin", edges), width=("bin", np.diff([*edges, 1.0]))).assign_attrs(panel.attrs)


def _draw_block(
    figure: Figure,
    table: pd.DataFrame,
    names: Sequence[str],
    quantity: Quantity,
    *,
    top: float,
    block: int,
    blocks: int,
) -> None:
    strengths = axis_strengths(table)
    rows = 1 + len(strengths)
    page_width, page_height = figure.get_size_inches()
    block_width = (page_width - _LEFT - _RIGHT - (blocks - 1) * _BLOCK_GAP) / blocks
    shares = 0 if quantity.above is None else _SHARE_WIDTH
    width = (block_width - (len(names) - 1) * _GAP) / len(names) - shares
    left = _LEFT + block * (block_width + _BLOCK_GAP)
    bottom = top - _TITLE - _NAMES - rows * _ROW
    styles = style.condition_styles([style.CONTROL, *names])
    for column, name in enumerate(names):
        place = (left + column * (width + shares + _GAP), bottom, width, rows * _ROW)
        axes = figure.add_axes(
            (place[0] / page_width, place[1] / page_height, width / page_width, place[3] / page_height)
        )
        _frame(axes, strengths, labels=block == 0 and column == 0, narrow=width < 1.5)
        axes.set_title(styles[name].short, pad=3, color=style.shades(styles[name].color, 3)[1], fontweight="bold")
        _draw_panel(axes, table, name, strengths, color=styles[name].color, quantity=quantity)
    center = left + block_width / 2
    figure.text(center / page_width, (bottom - 0.29) / page_height, quantity.label, ha="center", va="center")


def _frame(axes: Axes, strengths: Sequence[float], *, labels: bool, narrow: bool) -> None:
    axes.set_xlim(-1.02, 1.02)
    ticks = [-1, 0, 1] if narrow else [-1, -0.5, 0, 0.5, 1]
    labels_of_ticks = axes.set_xticks(ticks, [f"{tick:g}".replace("-", "−") for tick in ticks])
    # Towards the middle, away from the neighboring panel.
    for tick, side in zip((labels_of_ticks[0], labels_of_ticks[-1]), ("left", "right"), strict=True):
        tick.label1.set_horizontalalignment(side)
    names = [f"λ = {style.strength_label(strength)}" for strength in strengths]
    axes.set_yticks(range(0, -len(strengths) - 1, -1), ["control", *names] if labels else [])
    axes.set_ylim(-len(strengths) - 0.12, 1)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.axvline(0, color="0.8", linewidth=0.5, zorder=0.5)
    for label in axes.get_yticklabels():
        label.set_verticalalignment("bottom")


def _draw_panel(
    axes: Axes, table: pd.DataFrame, name: str, strengths: Sequence[float], *, color: str, quantity: Quantity
) -> None:
    control = style.condition_styles([style.CONTROL])[style.CONTROL]
    rows = [(style.CONTROL, None, control.color)]
    rows += [
        (name, strength, shade) for strength, shade in zip(strengths, style.shades(color, len(strengths)), strict=True)
    ]
    for row, (condition, strength, shade) in enumerate(rows):
        own = table[table["condition"] == condition]
        own = own if strength is None else own[own["strength"] == strength]
        if own.empty:
            continue
        _draw_histogram(
            axes, own[own["variable"] == HISTOGRAM], base=-row, color=shade, dashed=condition == style.CONTROL
        )
        median = own[own["variable"] == MEDIAN].iloc[0]
        axes.plot([median["mean"]] * 2, [-row, -row + 0.3], color="0.1", linewidth=1.1, zorder=4)
        if np.isfinite(median["sem"]):
            span = (median["mean"] - median["sem"], median["mean"] + median["sem"])
            axes.hlines(-row + 0.15, *span, color="0.1", linewidth=0.8, zorder=4)
        if condition == style.CONTROL:
            axes.axvline(median["mean"], color=shade, **_CONTROL_MEDIAN)
        if quantity.above is not None:
            share = own[(own["variable"] == ABOVE) & (own["threshold"] == quantity.above)]["mean"]
            axes.text(_SHARE_X, -row, f"{100 * share.iloc[0]:.1f}", fontsize=6, ha="right", va="bottom")
    if quantity.above is not None:
        text = f"%\n> {quantity.above:g}".replace("0.", ".")
        axes.text(_SHARE_X, 0.36, text, fontsize=6, ha="right", va="bottom", color="0.25", linespacing=0.9)


def _draw_histogram(axes: Axes, bins: pd.DataFrame, *, base: float, color: object, dashed: bool) -> None:
    bins = bins.sort_values("bin_left")
    edges = [*bins["bin_left"], bins["bin_left"].iloc[-1] + bins["bin_width"].iloc[-1]]
    heights = base + _HEIGHT * (bins["density"] / bins["density"].max()).to_numpy()
    axes.stairs(heights, edges, baseline=base, fill=True, color=color, alpha=0.3, linewidth=0, zorder=2)
    linestyle = (0, (3, 1.2)) if dashed else "-"
    axes.stairs(heights, edges, baseline=base, color=color, linewidth=0.8, linestyle=linestyle, zorder=3)


def _legend(figure: Figure, table: pd.DataFrame) -> None:
    strengths = axis_strengths(table)
    median_label = "median ± SEM" if table["sem"].notna().any() else "median"
    red = style.condition_styles([style.CONTROL])[style.CONTROL].color
    control = Patch(facecolor=(*_rgb(red), 0.3), edgecolor=red, linestyle=(0, (3, 1.2)), linewidth=0.8, label="control")
    ramp = tuple(
        Patch(facecolor=(*_rgb(shade), 0.3), edgecolor=shade, linewidth=0.8)
        for shade in style.shades("0.5", min(3, len(strengths)))
    )
    ramp[0].set_label(f"λ from {strengths[0]:g} (light) to {strengths[-1]:g} (dark)")
    median = Line2D(
        [], [], color="0.1", marker="|", markersize=6, markeredgewidth=1.1, linewidth=0.8, label=median_label
    )
    across = Line2D([], [], color=red, label="median of the control", **_CONTROL_MEDIAN)
    top = 1 - 0.08 / figure.get_figheight()
    style.legend(figure, [control, across, ramp, median], left=_LEFT / style.PAGE_WIDTH, top=top)


def _rgb(color: object) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    return to_rgb(color)
