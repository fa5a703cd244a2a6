"""Figure 6: grid distance between units of similar responses, against the spatial weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from toporep.figures import style
from toporep.figures.truong2025 import FAMILIES, axis_strengths, families
from toporep.figures.truong2025.colocalization import (
    CHANCE_COLOR,
    FROM_FILE,
    FROM_PAPER,
    LEFT,
    NULL_COLOR,
    Layout,
    is_partial,
    published_marker,
    read_panels,
    reference_handles,
    small_print,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Published values of activation similarity stand in the panels of both its readings.
_READINGS_OF_AS = ("as", "as_reshaped")
_WIDEST_NULL_COLOR = "0.94"
_COLUMNS = 3

_LAYOUT = Layout(head=0.6, distance=2.1, pairs=0.66, labels=0.42, between=0.06)
_LABEL_STEP = 0.095  # inches between the α at the ends of the lines
_CROSS_STEP = 0.05  # between rows of crosses, as a fraction of the panel

# Places on the abscissa, where neighboring strengths are 1 apart.
_CONTROL_STEP, _CONTROL_GAP, _SPREAD, _PUBLISHED_ROOM, _LABEL_ROOM = 0.68, 1.0, 0.5, 0.9, 1.5


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw one row of panels a dataset, one panel a family of conditions, one line a correlation threshold α.

    The control stands at the left of each panel. Under each panel stands the number of pairs behind its points.

    Args:
        inputs: dataset → file of schema `colocalization_summary`, in panel order.

    Returns:
        The figure, and the table of `colocalization.read_panels`.

    Raises:
        TopoRepError: see `read_summaries`.

    Source: Truong & Hasson 2025, section 3.4.1 and Figure 6.
    """
    return draw_overlay(inputs)


def draw_overlay(inputs: Mapping[str, Path], *, conditions: Sequence[str] = FAMILIES) -> tuple[Figure, pd.DataFrame]:
    """The same for other conditions: those that each file must have beside the control."""
    panels, table = read_panels(inputs, conditions=conditions)
    columns = min(_COLUMNS, len(conditions))
    rows = [(name, shown) for name in panels for shown in _rows_of_families(table[table["dataset"] == name], columns)]
    limits = _limits(table)
    with style.context():
        foot = style.SmallPrint([*small_print(panels, sem="Vertical lines"), _notes(limits)], left=LEFT)
        figure = _LAYOUT.figure(len(rows), foot)
        styles = style.condition_styles(list(dict.fromkeys(table["condition"])))
        for row, (name, shown) in enumerate(rows):
            looks = {family: styles[family] for family in shown}
            limit = limits[name]
            title = style.dataset_title(name, panels[name].attrs["source"])
            _draw_row(figure, table[table["dataset"] == name], looks, columns, row=row, title=title, limits=limit)
        _legend(figure, table)
        foot.draw(figure)
    return figure, table


def alpha_colors(color: str, n: int) -> list[tuple[float, float, float]]:
    """Shades of a color for n thresholds α in ascending order, from light to dark, in the same steps for all."""
    return style.shades(color, n)


@dataclass(frozen=True)
class _Places:
    """Where things stand on the abscissa; the strengths at 0, 1, 2, …, the control at the left of them."""

    strengths: Sequence[float]
    thresholds: Sequence[float]
    published: bool

    @property
    def control(self) -> np.ndarray:
        """Place of the control at each threshold."""
        n = len(self.thresholds)
        return -_CONTROL_GAP - _CONTROL_STEP * np.arange(n)[::-1] - 0.5 * _CONTROL_STEP

    @property
    def shifts(self) -> np.ndarray:
        """Displacement of each threshold's line, so that error bars stand side by side."""
        n = len(self.thresholds)
        return _SPREAD * (np.arange(n) - (n - 1) / 2) / max(n - 1, 1)

    @property
    def highest(self) -> float:
        """Place of published values whose strength is not told."""
        return len(self.strengths) - 0.1

    @property
    def end(self) -> float:
        """Right end of what is drawn, where the labels of the lines begin."""
        return len(self.strengths) - 0.5 + _PUBLISHED_ROOM * self.published

    @property
    def limits(self) -> tuple[float, float]:
        return float(self.control[0]) - 0.6 * _CONTROL_STEP, self.end + _LABEL_ROOM


def _rows_of_families(rows: pd.DataFrame, columns: int) -> list[list[str]]:
    shown = families(rows["condition"].tolist())
    return [shown[start : start + columns] for start in range(0, len(shown), columns)]


def _limits(table: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Ordinate of each dataset: one for all, unless a dataset would fill less than half of it."""
    sem = table["distance_sem"].fillna(0)
    drawn = [table["distance_mean"] - sem, table["distance_mean"] + sem]
    drawn += [table[name] for name in ("chance_distance", "null_low", "null_high")]
    low, high = np.fmin.reduce(drawn), np.fmax.reduce(drawn)
    own = {
        name: (low[rows].min(), high[rows].max()) for name, rows in table.groupby("dataset", sort=False).indices.items()
    }
    common = min(low for low, _ in own.values()), max(high for _, high in own.values())
    if all(high - low >= 0.5 * (common[1] - common[0]) for low, high in own.values()):
        own = dict.fromkeys(own, common)
    # Room for the crosses under the lines, a row a threshold.
    empty = table.loc[table["distance_n"] == 0].drop_duplicates(["dataset", "threshold"])
    crosses = empty.groupby("dataset").size().max() if len(empty) else 0
    below = 0.05 + 1.3 * _CROSS_STEP * crosses
    return {name: (low - below * (high - low), high + 0.05 * (high - low)) for name, (low, high) in own.items()}


def _notes(limits: Mapping[str, tuple[float, float]]) -> str:
    return "The datasets have ordinates of different extent." if len(set(limits.values())) > 1 else ""


def _draw_row(
    figure: Figure,
    rows: pd.DataFrame,
    looks: Mapping[str, style.ConditionStyle],
    columns: int,
    *,
    row: int,
    title: str,
    limits: tuple[float, float],
) -> None:
    measured = rows[rows["origin"] == FROM_FILE]
    places = _Places(
        axis_strengths(measured),
        sorted(measured["threshold"].unique()),
        published=bool(rows.loc[rows["origin"] == FROM_PAPER, "condition"].isin(_READINGS_OF_AS).any()),
    )
    panels = _LAYOUT.add_row(figure, row, len(looks), title=title, columns=columns)
    for (family, look), (upper, lower) in zip(looks.items(), panels, strict=True):
        upper.set_ylim(limits)
        for axes in (upper, lower):
            _abscissa(axes, places, labels=axes is lower)
        _draw_references(upper, rows, places)
        _draw_control(upper, lower, measured[measured["condition"] == style.CONTROL], places)
        _draw_family(upper, lower, measured[measured["condition"] == family], places, color=look.color)
        _draw_published(upper, rows[rows["origin"] == FROM_PAPER], places, family=family)
        color = alpha_colors(look.color, 3)[1]
        upper.set_title(look.label, pad=3, color=color, loc="left")


def _abscissa(axes: Axes, places: _Places, *, labels: bool) -> None:
    axes.set_xlim(places.limits)
    axes.spines["bottom"].set_bounds(places.limits[0], places.end)
    ticks, names = [*places.control, *range(len(places.strengths))], [*places.thresholds, *places.strengths]
    names = [style.strength_label(value) for value in names]
    axes.set_xticks(ticks, [name[1:] if name.startswith("0.") else name for name in names])
    axes.tick_params(labelbottom=labels)
    if not labels:
        return
    for label in axes.get_xticklabels()[: len(places.control)]:
        label.set_fontsize(6)
    words = {"ha": "center", "va": "top", "textcoords": "offset points", "xycoords": axes.get_xaxis_transform()}
    axes.annotate("control at α", (float(places.control.mean()), 0), (0, -13), **words)
    axes.annotate("λ", ((len(places.strengths) - 1) / 2, 0), (0, -13), **words)


def _draw_references(axes: Axes, rows: pd.DataFrame, places: _Places) -> None:
    null = rows.drop_duplicates("threshold").set_index("threshold")[["null_low", "null_high"]].loc[places.thresholds]
    null = null.to_numpy(dtype=float)
    for x, (low, high) in zip(places.control, null, strict=True):
        _box(axes, x - 0.5 * _CONTROL_STEP, x + 0.5 * _CONTROL_STEP, low, high, color=NULL_COLOR)
    # Behind the lines the extremes alone: six bands on each other could not be told apart.
    by_width = sorted(null[np.isfinite(null).all(axis=1)].tolist(), key=lambda limits: limits[0] - limits[1])
    for limits, color in zip(by_width[:1] + by_width[1:][-1:], (_WIDEST_NULL_COLOR, NULL_COLOR), strict=False):
        _box(axes, -0.6, places.end, *limits, color=color)
    chance = rows["chance_distance"].iloc[0]
    axes.plot([places.limits[0], places.end], [chance, chance], color=CHANCE_COLOR, linewidth=0.5, zorder=1)


def _box(axes: Axes, left: float, right: float, low: float, high: float, *, color: str) -> None:
    if np.isfinite([low, high]).all():
        axes.add_patch(Rectangle((left, low), right - left, high - low, color=color, linewidth=0, zorder=0.5))


def _draw_control(upper: Axes, lower: Axes, rows: pd.DataFrame, places: _Places) -> None:
    rows = rows.set_index("threshold").loc[places.thresholds]
    colors = alpha_colors(style.condition_styles([style.CONTROL])[style.CONTROL].color, len(places.thresholds))
    for x, color, (_, row) in zip(places.control, colors, rows.iterrows(), strict=True):
        _points(upper, np.array([x]), rows.loc[[row.name]], color=color, markersize=3.4)
        lower.plot(x, row["pairs_mean"], color=color, marker="o", markersize=2.6)
        if row["distance_n"] == 0:
            style.mark_missing(upper, np.array([x]), y=0.04, color=color)


def _draw_family(upper: Axes, lower: Axes, rows: pd.DataFrame, places: _Places, *, color: str) -> None:
    colors = alpha_colors(color, len(places.thresholds))
    x = np.arange(len(places.strengths))
    ends = {}
    heights = iter(0.04 + _CROSS_STEP * np.arange(len(places.thresholds)))
    for threshold, shift, shade in reversed(list(zip(places.thresholds, places.shifts, colors, strict=True))):
        own = rows[rows["threshold"] == threshold].set_index("strength").reindex(list(places.strengths))
        _points(upper, x + shift, own, color=shade, markersize=2.8, line=True)
        lower.plot(x + shift, own["pairs_mean"], color=shade, marker="o", markersize=2, linewidth=0.9)
        empty = (own["distance_n"] == 0).to_numpy(dtype=bool, na_value=False)
        if empty.any():
            # One row of crosses a threshold, the highest undermost.
            style.mark_missing(upper, x[empty] + shift, y=next(heights), color=shade)
        defined = np.flatnonzero(np.isfinite(own["distance_mean"]))
        if defined.size:
            ends[threshold] = (x[defined[-1]] + shift, own["distance_mean"].iloc[defined[-1]], shade)
    _label_ends(upper, ends, places)


def _points(
    axes: Axes, x: np.ndarray, rows: pd.DataFrame, *, color: object, markersize: float, line: bool = False
) -> None:
    mean, sem = rows["distance_mean"].to_numpy(dtype=float), rows["distance_sem"].to_numpy(dtype=float)
    drawn = np.isfinite(mean) & np.isfinite(sem)
    if drawn.any():
        axes.vlines(x[drawn], (mean - sem)[drawn], (mean + sem)[drawn], color=color, linewidth=0.7, zorder=2.5)
    look = {"color": color, "marker": "o", "markersize": markersize}
    axes.plot(x, mean, **look, linestyle="-" if line else "none", linewidth=1.0, markeredgewidth=0, zorder=3)
    partial = is_partial(rows).to_numpy(dtype=bool, na_value=False)
    if partial.any():
        axes.plot(x[partial], mean[partial], **look, mfc="white", linestyle="none", zorder=4)


def _label_ends(axes: Axes, ends: Mapping[float, tuple[float, float, object]], places: _Places) -> None:
    """Write each α beside the end of its line, with a thin line between where labels had to give way."""
    if not ends:
        return
    low, high = axes.get_ylim()
    step = _LABEL_STEP / _LAYOUT.distance * (high - low)
    order = sorted(ends, key=lambda threshold: ends[threshold][1])
    heights = _spaced([ends[threshold][1] for threshold in order], step, low=low + step / 2, high=high - 1.5 * step)
    for threshold, y in zip(order, heights, strict=True):
        x_end, y_end, color = ends[threshold]
        axes.plot([x_end, places.end, places.end + 0.35], [y_end, y_end, y], color=color, linewidth=0.35, zorder=1.5)
        axes.text(places.end + 0.45, y, style.strength_label(threshold), color="0.15", fontsize=6, va="center")
    axes.text(places.end + 0.45, heights[-1] + step, "α", fontsize=6.5, va="center", color="0.15")


def _spaced(values: Sequence[float], step: float, *, low: float, high: float) -> np.ndarray:
    """Places nearest to ascending values (least squares) that are at least `step` apart and lie in [low, high]."""
    n = len(values)
    level = np.array(values) - step * np.arange(n)
    # Isotonic regression by its max-min formula: the labels are few.
    fit = [max(min(level[j : k + 1].mean() for k in range(i, n)) for j in range(i + 1)) for i in range(n)]
    return np.clip(fit, low, max(low, high - step * (n - 1))) + step * np.arange(n)


def _draw_published(axes: Axes, rows: pd.DataFrame, places: _Places, *, family: str) -> None:
    styles = style.condition_styles([style.CONTROL, family])
    for row in rows.itertuples():
        index = places.thresholds.index(row.threshold)
        if row.condition == style.CONTROL:
            x = places.control[index]
        elif family in _READINGS_OF_AS:
            x = places.highest + 1.2 * places.shifts[index]
        else:
            continue
        color = styles[style.CONTROL if row.condition == style.CONTROL else family].color
        axes.plot(x, row.distance_mean, **published_marker(alpha_colors(color, len(places.thresholds))[index]))


def _legend(figure: Figure, table: pd.DataFrame) -> None:
    thresholds = sorted(table["threshold"].unique())
    published = table[table["origin"] == FROM_PAPER]
    told = ", ".join(f"{value:g}" for value in sorted(published["threshold"].unique()))
    highest = "\n(AS: highest over λ)" if published["condition"].isin(_READINGS_OF_AS).any() else ""
    greys = alpha_colors("0.5", len(thresholds))
    red = style.condition_styles([style.CONTROL])[style.CONTROL].color
    ramp = tuple(Line2D([], [], color=grey, marker="o", markersize=2.8, linewidth=1.0) for grey in greys)
    ramp[0].set_label(f"lines: α = {thresholds[0]:g} (light) to {thresholds[-1]:g} (dark)")
    control = Line2D([], [], color=red, marker="o", markersize=3.4, linestyle="none", label="control (no λ) at each α")
    handles = [ramp, control] + reference_handles(
        table,
        relabelled="units of the control relabelled, 95 %:\nat each α; across, narrowest and widest",
        published=f"published, MNIST, α = {told}{highest}",
    )
    style.legend(figure, handles, left=LEFT / style.PAGE_WIDTH, top=1 - 0.08 / figure.get_figheight())
