"""Figure 5: grid distance between units of similar responses, against the topographic weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from toporep.figures import style
from toporep.figures.layout import Block, Page, name_ordinate
from toporep.figures.sander2026 import (
    BAND,
    NO_SD,
    condition_styles,
    in_order,
    provenance_lines,
    read_summary,
    settings_of,
    summary_table,
    title_of,
    trials_text,
)
from toporep.figures.sander2026.rho import AXIS_NOTE, RhoAxis, chance_handle, chance_line, shifts

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FURTHER = ["distance_n", "pairs_mean", "null_low", "null_high"]
_COLUMNS = 2
_ZERO_COLOR, _NULL_COLOR = "0.0", "0.8"
# Places on the abscissa, where a factor of 5 in ρ is 1.
_GAP, _ZERO_STEP, _STEP, _LABEL_ROOM = 1.35, 0.16, 0.06, 0.5
_DISTANCE, _PAIRS = 1.75, 0.6  # inches
_LABEL_STEP, _CROSS_STEP = 0.055, 0.05  # of the panel's height


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw one panel an objective, one line a correlation threshold τ, and under each panel the number of pairs.

    Args:
        inputs: dataset → file of schema `colocalization_summary`.

    Returns:
        The figure, and a table with one row a point and threshold. Columns: dataset, source, scale, condition,
        strength (ρ), threshold, distance_mean, distance_sd (grid spacings), distance_n (trials with such a pair),
        pairs_mean, null_low, null_high, n_trials, chance_distance, note.

    Raises:
        TopoRepError: see `read_summary`.

    Source: Sander & Hasson 2026, "Functional Co-Localization" and Figure 5.
    """
    summary = read_summary(inputs, "colocalization_summary")
    table = _table(summary)
    conditions = in_order(table["condition"].tolist())
    columns = min(_COLUMNS, len(conditions))
    rows = -(-len(conditions) // columns)
    blocks = []
    for row in range(rows):
        blocks.append(Block(1, columns, _DISTANCE, title=0.24 if row else 0.42, labels=0.08, between=0.2))
        blocks.append(Block(1, columns, _PAIRS, title=0, between=0.2))
    with style.context():
        lines = [*_words(table, settings_of(summary)), *provenance_lines(summary.attrs, conditions=conditions)]
        page = Page(blocks, lines, head=0.55)
        page.heading(0, title_of(summary.attrs), above=0.25)
        limits, first = _limits(table), (None, None)
        for index, (condition, look) in enumerate(condition_styles(conditions).items()):
            row, column = divmod(index, columns)
            upper, lower = (page.panel(2 * row + part, 0, column, sharey=first[part]) for part in range(2))
            first = first if first[0] else (upper, lower)
            upper.set_ylim(limits)
            _draw_objective(upper, lower, table[table["condition"] == condition], look, RhoAxis.of(table, gap=_GAP))
            for axes, name in ((upper, "mean distance (grid spacings)"), (lower, "pairs")):
                axes.tick_params(labelleft=column == 0)
                if column == 0:
                    name_ordinate(axes, name)
        page.legend(_handles(table))
    return page.figure, table


def _table(summary: xr.Dataset) -> pd.DataFrame:
    table = summary_table(_with_own_null(summary), ["distance"], further=_FURTHER)
    table["chance_distance"] = float(summary.attrs["chance_distance"])
    reasons = [table["distance_n"] == 0, table["distance_n"] < table["n_trials"], table["distance_sd"].isna()]
    told = ["no trial has a pair with r ≥ τ", "not every trial has a pair with r ≥ τ", NO_SD]
    table["note"] = np.select(reasons, told, "")
    return table


def _with_own_null(summary: xr.Dataset) -> xr.Dataset:
    """The null band of each point's own objective, where the file has it, in place of that of all together."""
    if "condition_null_low" not in summary:
        return summary
    known = summary["null_condition"].values.tolist()
    objectives = summary["condition"].values.tolist()
    for name in ("null_low", "null_high"):
        own = [summary[f"condition_{name}"].values[known.index(one)] if one in known else np.nan for one in objectives]
        rows = np.stack([np.broadcast_to(values, summary.sizes["threshold"]) for values in own])
        summary = summary.assign({name: (("point", "threshold"), rows)})
    return summary


def _limits(table: pd.DataFrame) -> tuple[float, float]:
    """The ordinate of all panels, with room for the crosses under the lines, a row a threshold.

    Null bands of few pairs are wide and may leave it: they would flatten the lines.
    """
    sd = table["distance_sd"].fillna(0)
    drawn = [table["distance_mean"] - sd, table["distance_mean"] + sd, table["chance_distance"]]
    low, high = np.fmin.reduce(drawn).min(), np.fmax.reduce(drawn).max()
    missing = table[table["distance_n"] == 0].groupby("condition")["threshold"].nunique()
    below = 0.05 + 1.3 * _CROSS_STEP * (missing.max() if len(missing) else 0)
    return low - below * (high - low), high + 0.05 * (high - low)


def _draw_objective(upper: Axes, lower: Axes, rows: pd.DataFrame, look: style.ConditionStyle, axis: RhoAxis) -> None:
    thresholds = sorted(rows["threshold"].unique())
    right = axis.limits[1]
    for axes in (upper, lower):
        axis.draw(axes, labels=axes is lower, name=axes is lower)
        axes.set_xlim(axis.limits[0] - 0.1, right + _LABEL_ROOM)
        axes.spines["bottom"].set_bounds(axis.limits[0] - 0.1, right)
    _pairs_axis(lower)
    _draw_references(upper, rows, thresholds, right)
    heights = {threshold: 0.04 + _CROSS_STEP * place for place, threshold in enumerate(_without_pairs(rows))}
    colors = style.shades(look.color, len(thresholds))
    steps = zip(thresholds, colors, shifts(len(thresholds), _ZERO_STEP), shifts(len(thresholds), _STEP), strict=True)
    ends = {}
    for threshold, color, at_zero, shift in steps:
        own = rows[rows["threshold"] == threshold].sort_values("strength")
        zero = own["strength"] == 0
        for part, shade, x in (
            (own[zero], _ZERO_COLOR, np.full(zero.sum(), at_zero)),
            (own[~zero], color, axis.places(own.loc[~zero, "strength"]) + shift),
        ):
            _draw_points(upper, lower, part, x, color=shade, line=shade is color, cross=heights.get(threshold))
        defined = own[~zero & own["distance_mean"].notna()]
        if len(defined):
            last = defined.iloc[-1]
            ends[threshold] = (axis.places([last["strength"]])[0] + shift, last["distance_mean"], color)
    _label_ends(upper, ends, right)
    upper.set_title(look.label, loc="left")


def _without_pairs(rows: pd.DataFrame) -> list[float]:
    """Thresholds that no pair reaches somewhere, the highest first."""
    return sorted(rows.loc[rows["distance_n"] == 0, "threshold"].unique(), reverse=True)


def _draw_points(
    upper: Axes, lower: Axes, rows: pd.DataFrame, x: np.ndarray, *, color: object, line: bool, cross: float | None
) -> None:
    mean, sd = rows["distance_mean"].to_numpy(dtype=float), rows["distance_sd"].to_numpy(dtype=float)
    barred = np.isfinite(sd)
    if barred.any():
        upper.vlines(x[barred], (mean - sd)[barred], (mean + sd)[barred], color=color, linewidth=0.7, zorder=2.5)
    look = {"color": color, "marker": "o", "linestyle": "-" if line else "none", "linewidth": 1.0}
    upper.plot(x, mean, markersize=2.8, markeredgewidth=0, zorder=3, **look)
    some = rows["distance_n"].between(1, rows["n_trials"] - 1).to_numpy()
    if some.any():
        upper.plot(x[some], mean[some], "o", color=color, markerfacecolor="white", markersize=2.8, zorder=4)
    lower.plot(x, rows["pairs_mean"], markersize=2, **look)
    none = (rows["distance_n"] == 0).to_numpy()
    if none.any():
        style.mark_missing(upper, x[none], y=cross, color=color)


def _draw_references(axes: Axes, rows: pd.DataFrame, thresholds: Sequence[float], right: float) -> None:
    zero = rows[rows["strength"] == 0].set_index("threshold")[["null_low", "null_high"]].reindex(thresholds)
    for x, (low, high) in zip(shifts(len(thresholds), _ZERO_STEP), zero.to_numpy(dtype=float), strict=True):
        if np.isfinite([low, high]).all():
            corner = (x - 0.45 * _ZERO_STEP, low)
            axes.add_patch(Rectangle(corner, 0.9 * _ZERO_STEP, high - low, color=_NULL_COLOR, linewidth=0, zorder=0.5))
    chance_line(axes, float(rows["chance_distance"].iloc[0]), right=right)


def _pairs_axis(axes: Axes) -> None:
    # Logarithmic from 1 up, so that the few pairs at high τ can be read, and with a place for none.
    axes.set_yscale("symlog", linthresh=1, linscale=0.6)
    axes.set_ylim(-0.35, 60_000)
    axes.set_yticks([0, 10, 1000], ["0", "10", "1000"])


def _label_ends(axes: Axes, ends: Mapping[float, tuple[float, float, object]], right: float) -> None:
    """Write each τ beside the end of its line, with a thin line between where labels had to give way."""
    if not ends:
        return
    low, high = axes.get_ylim()
    step = _LABEL_STEP * (high - low)
    order = sorted(ends, key=lambda threshold: ends[threshold][1])
    heights = _spaced([ends[threshold][1] for threshold in order], step)
    heights -= max(0.0, heights[-1] - (high - 1.5 * step))
    for threshold, y in zip(order, heights, strict=True):
        x_end, y_end, color = ends[threshold]
        axes.plot([x_end, right, right + 0.14], [y_end, y_end, y], color=color, linewidth=0.35, zorder=1.5)
        axes.text(right + 0.18, y, f"{threshold:g}", color="0.15", fontsize=6, va="center")
    axes.text(right + 0.18, heights[-1] + step, "τ", fontsize=6.5, va="center", color="0.15")


def _spaced(values: Sequence[float], step: float) -> np.ndarray:
    """Ascending places at least `step` apart, near ascending values: each pushed group is centered on its values."""
    groups: list[list[float]] = []
    for value in values:
        groups.append([value])
        while len(groups) > 1 and _top(groups[-2], step) + step > _bottom(groups[-1], step):
            groups[-2:] = [groups[-2] + groups[-1]]
    return np.concatenate([_bottom(group, step) + step * np.arange(len(group)) for group in groups])


def _bottom(group: Sequence[float], step: float) -> float:
    return float(np.mean(group)) - step * (len(group) - 1) / 2


def _top(group: Sequence[float], step: float) -> float:
    return float(np.mean(group)) + step * (len(group) - 1) / 2


def _words(table: pd.DataFrame, settings: Mapping[str, object]) -> list[str]:
    relu = "after the ReLU" if settings.get("activation") == "post" else "before any ReLU"
    relation = "≥" if settings.get("inclusive") else ">"
    pairs = "pairs with themselves included" if settings.get("include_self") else "distinct pairs"
    mean = "over pairs" if settings.get("average", "pairs") == "pairs" else "over the means of units"
    return [
        f"Mean distance on the sheet of two units whose activations ({relu}) over the test images correlate, "
        f"Pearson r {relation} τ ({pairs}); mean {mean}, then over the trials that have such a pair. Vertical lines: "
        f"{BAND}; {trials_text(table)}. Black, from left to right as τ rises: ρ = 0. The lines of the τ are displaced "
        "sideways for display alone. Lower panels: mean number of such pairs of a network. "
        f"{_cut_text(table)}{AXIS_NOTE}"
    ]


def _cut_text(table: pd.DataFrame) -> str:
    low, high = _limits(table)
    at_zero = table[table["strength"] == 0]
    cut = (at_zero["null_low"] < low) | (at_zero["null_high"] > high)
    return "Where the grey of few pairs is wider than a panel, it is cut. " if cut.any() else ""


def _handles(table: pd.DataFrame) -> list[Artist]:
    thresholds = sorted(table["threshold"].unique())
    marker = {"marker": "o", "markersize": 2.8}
    ramp = tuple(Line2D([], [], color=grey, linewidth=1.0, **marker) for grey in style.shades("0.5", len(thresholds)))
    ramp[0].set_label(f"τ = {thresholds[0]:g} (light) to {thresholds[-1]:g} (dark)")
    handles: list[Artist] = [ramp]
    if (table["strength"] == 0).any():
        handles.append(Line2D([], [], color=_ZERO_COLOR, linestyle="none", label="ρ = 0, at each τ", **marker))
    handles.append(chance_handle(f"chance, {table['chance_distance'].iloc[0]:.4f}"))
    if table["null_low"].notna().any():
        words = "units of the networks at ρ = 0\nrelabelled, 95 %, at each τ"
        handles.append(Patch(color=_NULL_COLOR, label=words))
    if (table["distance_n"] == 0).any():
        handles.append(style.missing_handle("no pair reaches τ: no distance"))
    if table["distance_n"].between(1, table["n_trials"] - 1).any():
        look = {"color": "0.25", "markerfacecolor": "white", "linestyle": "none"}
        handles.append(Line2D([], [], label="a pair reaches τ in some trials only", **look, **marker))
    return handles
