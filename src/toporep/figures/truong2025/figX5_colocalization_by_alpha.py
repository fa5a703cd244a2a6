"""Figure 6 with one panel a correlation threshold, so that the conditions stand beside the control at the same α."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toporep.figures import style
from toporep.figures.truong2025 import axis_strengths, families, on_axis
from toporep.figures.truong2025.colocalization import (
    CHANCE_COLOR,
    FROM_FILE,
    FROM_PAPER,
    LEFT,
    NULL_COLOR,
    Layout,
    published_marker,
    read_panels,
    reference_handles,
    small_print,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LAYOUT = Layout(head=0.58, distance=1.7, pairs=0.6, labels=0.38, between=0.09)


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw one row of panels a dataset, one panel a correlation threshold α, one line a condition.

    The paper overlays the six thresholds; side by side, each condition can be compared with the control at the same
    α. Under each panel stands the number of pairs behind its points.

    Args:
        inputs: dataset → file of schema `colocalization_summary`, in panel order.

    Returns:
        The figure, and the table of `colocalization.read_panels`.

    Raises:
        TopoRepError: see `read_summaries`.

    Source: Truong & Hasson 2025, section 3.4.1 and Figure 6.
    """
    panels, table = read_panels(inputs)
    with style.context():
        foot = style.SmallPrint(small_print(panels, sem="Shaded around a line"), left=LEFT)
        figure = _LAYOUT.figure(len(panels), foot)
        styles = style.condition_styles(list(dict.fromkeys(table["condition"])))
        for row, (name, panel) in enumerate(panels.items()):
            title = style.dataset_title(name, panel.attrs["source"])
            _draw_dataset(figure, table[table["dataset"] == name], styles, row=row, title=title)
        _legend(figure, table, styles)
        foot.draw(figure)
    return figure, table


def _draw_dataset(
    figure: Figure, rows: pd.DataFrame, styles: Mapping[str, style.ConditionStyle], *, row: int, title: str
) -> None:
    thresholds = sorted(rows["threshold"].unique())
    panels = _LAYOUT.add_row(figure, row, len(thresholds), title=title)
    for threshold, (upper, lower) in zip(thresholds, panels, strict=True):
        for axes in (upper, lower):
            style.strength_axis(axes, axis_strengths(rows), compact=True, slots=(rows["origin"] == FROM_PAPER).any())
        _draw_threshold(upper, lower, rows[rows["threshold"] == threshold], styles)
        upper.set_title(f"α = {threshold:g}", pad=3)
    if (rows["distance_n"] == 0).any():
        # Room for the crosses under the lines.
        first, _ = panels[0]
        low, high = first.get_ylim()
        first.set_ylim(low - 0.08 * (high - low), high)


def _draw_threshold(upper: Axes, lower: Axes, rows: pd.DataFrame, styles: Mapping[str, style.ConditionStyle]) -> None:
    measured = rows[rows["origin"] == FROM_FILE]
    strengths = axis_strengths(measured)
    upper.tick_params(labelbottom=False)
    lower.set_xlabel("λ", labelpad=1)
    _draw_chance(upper, measured.iloc[0])
    control = measured[measured["condition"] == style.CONTROL].iloc[0]
    style.control_line(upper, control["distance_mean"], control["distance_sem"])
    look = styles[style.CONTROL]
    lower.axhline(control["pairs_mean"], color=look.color, linestyle=look.linestyle)
    if np.isnan(control["distance_mean"]):
        style.mark_missing(upper, np.array([upper.get_xlim()[1] - 0.3]), y=0.1, color=look.color)
    conditions = families(measured["condition"].tolist())
    for index, condition in enumerate(conditions):
        own = measured[measured["condition"] == condition]
        _draw_condition(upper, lower, own, strengths, look=styles[condition])
        # Side by side, so that conditions that lack the same point do not hide each other.
        empty = np.flatnonzero(on_axis(own, strengths, "distance_n") == 0)
        place = empty + (index - (len(conditions) - 1) / 2) * 0.32
        style.mark_missing(upper, place, y=0.035, color=styles[condition].color)
    for published in rows[rows["origin"] == FROM_PAPER].itertuples():
        # The control left, AS right, so that two near values do not hide each other.
        x = len(strengths) - (0.3 if published.condition == style.CONTROL else -0.2)
        upper.plot(x, published.distance_mean, **published_marker(styles[published.condition].color))


def _draw_condition(
    upper: Axes,
    lower: Axes,
    own: pd.DataFrame,
    strengths: list[float],
    *,
    look: style.ConditionStyle,
) -> None:
    x = np.arange(len(strengths))
    mean = on_axis(own, strengths, "distance_mean")
    seeds, pairs = on_axis(own, strengths, "distance_n"), on_axis(own, strengths, "pairs_mean")
    partial = (seeds > 0) & (seeds < on_axis(own, strengths, "n_seeds"))
    style.band(upper, x, mean, on_axis(own, strengths, "distance_sem"), color=look.color)
    upper.plot(x, mean, color=look.color, marker=look.marker, zorder=3)
    upper.plot(x[partial], mean[partial], color=look.color, marker=look.marker, mfc="white", linestyle="none", zorder=4)
    lower.plot(x, pairs, color=look.color, marker=look.marker, markersize=2.2, linewidth=0.9)


def _draw_chance(axes: Axes, row: pd.Series) -> None:
    if np.isfinite(row["null_low"]) and np.isfinite(row["null_high"]):
        axes.axhspan(row["null_low"], row["null_high"], color=NULL_COLOR, linewidth=0, zorder=0)
    axes.axhline(row["chance_distance"], color=CHANCE_COLOR, linewidth=0.5, zorder=1)


def _legend(figure: Figure, table: pd.DataFrame, styles: Mapping[str, style.ConditionStyle]) -> None:
    handles = [style.condition_handle(look, marker=name != style.CONTROL) for name, look in styles.items()]
    handles += reference_handles(
        table, relabelled="units of the control relabelled, 95 %", published="published, MNIST (AS: highest over λ)"
    )
    style.legend(figure, handles, left=LEFT / style.PAGE_WIDTH, top=1 - 0.08 / figure.get_figheight())
