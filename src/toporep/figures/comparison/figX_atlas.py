"""The sheets of all papers by one set of metrics: a row a condition, a column a kind of topography."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from toporep.figures import style
from toporep.figures.comparison import (
    METRICS,
    Metric,
    Sheets,
    method_lines,
    number_table,
    provenance_lines,
    read_sheets,
    values_of,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Lengths in inches.
_LEFT, _RIGHT, _BETWEEN = 1.46, 0.1, 0.14
_HEAD, _LABELS = 0.72, 0.4
_ROW, _HEADING = 0.135, 0.2
# Between the strengths of a condition: less where there are so many that the page would be too high.
_STEP, _LEAST_STEP, _PAGE_HEIGHT = 0.075, 0.03, 10.5
_CURVE, _CURVE_TITLE, _CURVE_LABELS = 0.95, 0.52, 0.4
_EDGE = 0.12
_BAND = "0.80"
_POINT = {"marker": "o", "markersize": 3.2, "markeredgewidth": 0.8, "linestyle": "none"}
_LABEL_MARK = {
    "marker": "x",
    "markersize": 2.8,
    "markeredgewidth": 0.6,
    "color": "0.25",
    "linestyle": "none",
    "zorder": 5,
}
CLASS_MAPS, LABEL_NULL = "smoothness", "smoothness_label_null"
# Limits, the side of more topography at the right, and ticks.
_LIMITS = {
    "morans_i": (-0.15, 1.04, (0, 0.5, 1)),
    "nearest": (-0.15, 1.04, (0, 0.5, 1)),
    "colocalization": (1.15, 0.0, (1, 0.5, 0)),
    "smoothness": (-0.15, 1.04, (0, 0.5, 1)),
    "selective_share": (-0.06, 1.06, (0, 0.5, 1)),
    "dimensionality": (0.001, 1.2, (0.01, 0.1, 1)),
}
_CHANCE = {"morans_i": 0, "colocalization": 1, "smoothness": 0}
_GROUPS = (("topography: more to the right", 0, 3), ("tuning, wherever the units lie", 4, 5))


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw the atlas.

    Args:
        inputs: `<paper>.<dataset>.atlas` → file of the schema `atlas_summary`, from top to bottom.

    Returns:
        The figure, and its numbers: one row a metric, condition and strength, then the curves.
    """
    import pandas as pd

    found = read_sheets(inputs)
    with style.context():
        figure = _page(found)
    return figure, pd.concat([number_table(found), _curve_table(found)], ignore_index=True)


def _page(found: Sequence[Sheets]) -> Figure:
    small_print = style.SmallPrint(_lines(found), left=_EDGE)
    others = _HEAD + _LABELS + _CURVE_TITLE + _CURVE + _CURVE_LABELS + small_print.height
    rows = _Rows(found, room=_PAGE_HEIGHT - others)
    height = others + rows.height
    figure = Figure(figsize=(style.PAGE_WIDTH, height))
    small_print.draw(figure)
    width = (style.PAGE_WIDTH - _LEFT - _RIGHT - (len(METRICS) - 1) * _BETWEEN) / len(METRICS)
    for column, metric in enumerate(METRICS):
        left = _LEFT + column * (width + _BETWEEN)
        axes = _axes(figure, left, height - _HEAD - rows.height, width, rows.height)
        _column(axes, metric, found, rows)
    _names(figure, found, rows, height - _HEAD)
    _headings(figure, height - _HEAD, width)
    _legend(figure, height)
    _curves(figure, found, bottom=small_print.height + _CURVE_LABELS)
    return figure


class _Rows:
    """Where on the page each condition of each paper has its row, in inches from the top.

    Args:
        found: sheets.
        room: height that the rows may have.

    Attributes:
        height: of all rows.
        headings: of each paper.
        places: of each point, by (paper number, index in its summary).
        middles: of each condition, by (paper number, name).
    """

    def __init__(self, found: Sequence[Sheets], *, room: float) -> None:
        self.headings: list[float] = []
        self.places: dict[tuple[int, int], float] = {}
        self.middles: dict[tuple[int, str], float] = {}
        counts = [len(sheets.points(condition)) for sheets in found for condition in sheets.conditions]
        steps = max(1, sum(counts) - len(counts))
        step = (room - len(found) * _HEADING - len(counts) * _ROW) / steps
        step = min(_STEP, max(_LEAST_STEP, step))
        top = 0.0
        for number, sheets in enumerate(found):
            self.headings.append(top + 0.6 * _HEADING)
            top += _HEADING
            for condition in sheets.conditions:
                points = sheets.points(condition)
                # Strengths lie below each other, from weak to strong.
                first = top + _ROW / 2
                self.places |= {(number, point): first + index * step for index, point in enumerate(points)}
                self.middles[number, condition] = first + (len(points) - 1) * step / 2
                top += _ROW + (len(points) - 1) * step
        self.height = top


def _column(axes: Axes, metric: Metric, found: Sequence[Sheets], rows: _Rows) -> None:
    axes.set_ylim(rows.height, 0)
    axes.yaxis.set_major_locator(NullLocator())
    axes.spines["left"].set_visible(False)
    drawn = [values_of(sheets, metric) for sheets in found]
    _abscissa(axes, metric, drawn)
    for number, (sheets, values) in enumerate(zip(found, drawn, strict=True)):
        labels = sheets.summary[f"{LABEL_NULL}_mean"].values if metric.name == CLASS_MAPS else None
        for condition, look in sheets.styles().items():
            points = sheets.points(condition)
            y = np.array([rows.places[number, point] for point in points])
            _row(axes, values.iloc[points], y, look, metric)
            if labels is not None:
                axes.plot(labels[points], y, **_LABEL_MARK)
        if number:
            axes.axhline(rows.headings[number] - 0.6 * _HEADING + 0.02, color="0.85", linewidth=0.5)


def _row(axes: Axes, values: pd.DataFrame, y: np.ndarray, look: style.ConditionStyle, metric: Metric) -> None:
    low, high = values["null_low"].to_numpy(), values["null_high"].to_numpy()
    if metric.ranged:
        axes.hlines(y, low, high, color=_BAND, linewidth=3.6, zorder=1)
    axes.plot(values["null"], y, linestyle="none", marker="|", markersize=4.2, color="0.45", zorder=2)
    mean, sem = values["mean"].to_numpy(), values["sem"].to_numpy()
    axes.plot(mean, y, color=look.color, linewidth=0.7, alpha=0.6, zorder=2.5)
    axes.hlines(y, mean - sem, mean + sem, color=look.color, linewidth=0.9, zorder=3)
    colors = [look.color] if len(y) == 1 else style.shades(look.color, len(y))
    within = (mean >= low) & (mean <= high)
    faces = ["white" if hollow else color for color, hollow in zip(colors, within, strict=True)]
    axes.scatter(
        mean, y, s=_POINT["markersize"] ** 2, c=faces, edgecolors=colors, linewidths=0.8, zorder=4, clip_on=False
    )


def _abscissa(axes: Axes, metric: Metric, drawn: Sequence[pd.DataFrame]) -> None:
    axes.set_xlabel(metric.axis, labelpad=2)
    axes.set_title(metric.title, fontsize=7, fontweight="bold", pad=3)
    low, high, ticks = _LIMITS[metric.name]
    if low > 0 and high > low:
        axes.set_xscale("log")
    else:
        # What is less than chance gives has its place too, at the left.
        means = np.concatenate([values["mean"] for values in drawn])
        means = means[np.isfinite(means)]
        low = max([low, *(means + 0.05)]) if low > high else min([low, *(means - 0.05)])
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    scale = 100 if "%" in metric.axis else 1
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{scale * value:g}"))
    if metric.name in _CHANCE:
        axes.axvline(_CHANCE[metric.name], color="0.55", linewidth=0.5, linestyle=":", zorder=0.5)


def _names(figure: Figure, found: Sequence[Sheets], rows: _Rows, top: float) -> None:
    """Names of papers and conditions at the left, each condition with its number of networks."""
    height = figure.get_figheight()
    over = {"fontsize": 7, "fontweight": "bold", "va": "center"}
    for number, sheets in enumerate(found):
        y = (top - rows.headings[number]) / height
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        figure.text(_EDGE / style.PAGE_WIDTH, y, f"{sheets.title}; {sheets.sheet}", bbox=box, **over)
        for condition in sheets.conditions:
            counts = sheets.summary["n"].values[sheets.points(condition)]
            n = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
            x, y = (_LEFT - 0.07) / style.PAGE_WIDTH, (top - rows.middles[number, condition]) / height
            figure.text(x, y, f"{sheets.label(condition)} ({n})", fontsize=6.2, va="center", ha="right")


def _headings(figure: Figure, top: float, width: float) -> None:
    """What the columns are about, over a rule each."""
    height = figure.get_figheight()
    for text, first, last in _GROUPS:
        left, right = (_LEFT + column * (width + _BETWEEN) for column in (first, last))
        left, right, y = left / style.PAGE_WIDTH, (right + width) / style.PAGE_WIDTH, (top + 0.21) / height
        figure.add_artist(Line2D([left, right], [y, y], color="0.4", linewidth=0.6))
        figure.text(left, y + 0.03 / height, text, fontsize=6.5, color="0.3", va="bottom")


def _legend(figure: Figure, height: float) -> None:
    handles = [
        Line2D([], [], **_POINT, color="0.2", markeredgecolor="0.2", label="outside chance"),
        Line2D([], [], **_POINT, color="white", markeredgecolor="0.2", label="within chance"),
        Patch(color=_BAND, label="chance (tick: its mean)"),
        Line2D([], [], **_LABEL_MARK, label="labels shuffled"),
        Line2D([], [], color="0.6", linewidth=0.7, label="darker, downward: stronger spatial weight"),
    ]
    place = (_EDGE / style.PAGE_WIDTH, 1 - 0.06 / height)
    look = {"borderaxespad": 0, "borderpad": 0, "handlelength": 1.4, "columnspacing": 1.2, "handletextpad": 0.5}
    figure.legend(handles=handles, loc="upper left", ncols=len(handles), bbox_to_anchor=place, **look)


def _curves(figure: Figure, found: Sequence[Sheets], *, bottom: float) -> None:
    left, between = 0.42, 0.3
    width = (style.PAGE_WIDTH - left - _RIGHT - (len(found) - 1) * between) / len(found)
    text = "Correlation of two units against their distance, at the largest spatial weight (colors as above)"
    place = _EDGE / style.PAGE_WIDTH, (bottom + _CURVE + 0.32) / figure.get_figheight()
    figure.text(*place, text, fontsize=7, fontweight="bold")
    for number, sheets in enumerate(found):
        axes = _axes(figure, left + number * (width + between), bottom, width, _CURVE)
        axes.set_title(f"{sheets.name}\n{sheets.images}", fontsize=6.2, pad=2)
        axes.axhline(0, color="0.55", linewidth=0.5, linestyle=":")
        middle = (sheets.summary["bin_low"].values + sheets.summary["bin_high"].values) / 2
        for condition, look in sheets.styles().items():
            curve = sheets.summary["correlation_mean"].values[sheets.points(condition)[-1]]
            line = {"color": look.color, "marker": look.marker, "linestyle": look.linestyle}
            axes.plot(middle, curve, markersize=2.4, linewidth=0.9, **line)
        axes.set_ylim(-0.15, 1.03)
        axes.yaxis.set_major_locator(FixedLocator([0, 0.5, 1]))
        axes.set_xlim(0, float(sheets.summary["bin_high"].values[-1]))
        axes.set_xlabel("distance / width of the sheet", labelpad=2)
        if not number:
            axes.set_ylabel("Pearson's r", labelpad=2)


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    whole = figure.get_figheight()
    place = (left / style.PAGE_WIDTH, bottom / whole, width / style.PAGE_WIDTH, height / whole)
    return figure.add_axes(place)


def _curve_table(found: Sequence[Sheets]) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for sheets in found:
        summary = sheets.summary
        for condition in sheets.conditions:
            point = sheets.points(condition)[-1]
            for index, (low, high) in enumerate(
                zip(summary["bin_low"].values, summary["bin_high"].values, strict=True)
            ):
                rows.append(
                    {
                        "paper": sheets.paper,
                        "dataset": sheets.dataset,
                        "metric": "correlation",
                        "at": f"distance {low:g} to {high:g}",
                        "condition": condition,
                        "strength": summary["strength"].values[point],
                        "n": summary["correlation_n"].values[point, index],
                        "mean": summary["correlation_mean"].values[point, index],
                        "sem": summary["correlation_sem"].values[point, index],
                    }
                )
    return pd.DataFrame(rows)


def _lines(found: Sequence[Sheets]) -> list[str]:
    return [
        "Points: mean over networks, whose number is in brackets; line: ± SEM over these, none with one. Filled: the "
        "mean lies outside the grey range of chance.",
        *method_lines(found),
        *provenance_lines(found),
    ]
