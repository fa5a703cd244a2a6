"""Figure 6: grid distance between units of similar responses, against the spatial weight."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

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

# Section 3.4.1 gives these for MNIST only, and for activation similarity without saying at which λ.
PUBLISHED = (
    ("mnist", style.CONTROL, 0.1, 5.56),
    ("mnist", style.CONTROL, 0.3, 5.58),
    ("mnist", "as", 0.1, 5.64),
    ("mnist", "as", 0.3, 5.57),
)
_VARIABLES = ["distance_mean", "distance_sem", "distance_n", "pairs_mean", "null_low", "null_high"]
_THIS_RUN, _PUBLISHED = "this run", "published"
_CHANCE_COLOR, _NULL_COLOR = "0.15", "0.86"

# Lay-out in inches: legend, then for each dataset a title, distances, pairs, labels of the abscissa.
_HEAD, _TITLE, _DISTANCE, _GAP, _PAIRS, _LABELS = 0.58, 0.42, 1.7, 0.08, 0.6, 0.38
_LEFT, _RIGHT = 0.66, 0.05


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw one row of panels a dataset, one panel a correlation threshold α, one line a condition.

    The paper overlays the six thresholds in one panel a dataset; side by side, each condition can be compared with
    the control at the same α. Under each panel stands the number of pairs behind its points.

    Args:
        inputs: dataset → file of schema `colocalization_summary`, in panel order.

    Returns:
        The figure, and a table with one row a point and threshold and one a published value. Columns: dataset, source,
        scale, origin ("this run" or "published"), condition, strength, threshold, distance_mean, distance_sem (units of
        the grid spacing), distance_n (seeds with a connected pair), n_seeds, pairs_mean, chance_distance, null_low,
        null_high, note.

    Raises:
        TopoRepError: see `read_summaries`.

    Source: Truong & Hasson 2025, section 3.4.1 and Figure 6.
    """
    panels = read_summaries(inputs, "colocalization_summary")
    table = _table(panels)
    with style.context():
        small_print = style.SmallPrint(_small_print(panels), left=_LEFT)
        height = _HEAD + small_print.height + len(panels) * (_TITLE + _DISTANCE + _GAP + _PAIRS + _LABELS)
        figure = Figure(figsize=(style.PAGE_WIDTH, height))
        styles = style.condition_styles(list(dict.fromkeys(table["condition"])))
        for row, (name, panel) in enumerate(panels.items()):
            _draw_dataset(figure, table[table["dataset"] == name], styles, row=row, title=_title(name, panel))
        _legend(figure, table, styles)
        small_print.draw(figure)
    return figure, table


def _table(panels: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    import pandas as pd

    table = summary_table(panels, _VARIABLES)
    table.insert(3, "origin", _THIS_RUN)
    table["note"] = np.select(
        [
            table["distance_n"] == 0,
            table["distance_n"] < table["n_seeds"],
            table["distance_sem"].isna(),
        ],
        ["no seed has a pair above the threshold", "not every seed has a pair above the threshold", "one seed: no SEM"],
        "",
    )
    table = pd.concat([table, _published(panels)], ignore_index=True).astype(
        {"distance_n": "Int64", "n_seeds": "Int64"}
    )
    chance = [float(panels[name].attrs["chance_distance"]) for name in table["dataset"]]
    table.insert(table.columns.get_loc("null_low"), "chance_distance", chance)
    columns = table.columns.tolist()
    columns.insert(columns.index("distance_n") + 1, columns.pop(columns.index("n_seeds")))
    return table[columns]


def _published(panels: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    import pandas as pd

    rows = [
        {
            "dataset": dataset,
            "source": dataset,
            "scale": "paper",
            "origin": _PUBLISHED,
            "condition": condition,
            "strength": 0.0 if condition == style.CONTROL else np.nan,
            "threshold": threshold,
            "distance_mean": distance,
            "note": "section 3.4.1" if condition == style.CONTROL else "section 3.4.1, highest over strengths",
        }
        for dataset, condition, threshold, distance in PUBLISHED
        if dataset in panels and threshold in panels[dataset]["threshold"].values
    ]
    return pd.DataFrame(rows, columns=list(rows[0]) if rows else ["dataset"])


def _title(name: str, panel: xr.Dataset) -> str:
    return style.dataset_title(name, panel.attrs["source"])


def _draw_dataset(
    figure: Figure, rows: pd.DataFrame, styles: Mapping[str, style.ConditionStyle], *, row: int, title: str
) -> None:
    width, height = figure.get_size_inches()
    top = height - _HEAD - row * (_TITLE + _DISTANCE + _GAP + _PAIRS + _LABELS) - _TITLE
    thresholds = sorted(rows["threshold"].unique())
    grid = figure.add_gridspec(
        2,
        len(thresholds),
        left=_LEFT / width,
        right=1 - _RIGHT / width,
        top=top / height,
        bottom=(top - _DISTANCE - _GAP - _PAIRS) / height,
        height_ratios=(_DISTANCE, _PAIRS),
        hspace=2 * _GAP / (_DISTANCE + _PAIRS),
        wspace=0.09,
    )
    first = None
    for column, threshold in enumerate(thresholds):
        upper = figure.add_subplot(grid[0, column], sharey=first and first[0])
        lower = figure.add_subplot(grid[1, column], sharey=first and first[1])
        first = first or (upper, lower)
        for axes in (upper, lower):
            style.strength_axis(axes, axis_strengths(rows), compact=True, slots=(rows["origin"] == _PUBLISHED).any())
        _draw_threshold(upper, lower, rows[rows["threshold"] == threshold], styles)
        upper.set_title(f"α = {threshold:g}", pad=3)
        for axes in (upper, lower):
            axes.tick_params(labelleft=column == 0)
    if (rows["distance_n"] == 0).any():
        # Room for the crosses under the lines.
        low, high = first[0].get_ylim()
        first[0].set_ylim(low - 0.08 * (high - low), high)
    first[0].set_ylabel("mean distance of\nconnected pairs (grid spacings)")
    first[1].set_ylabel("number\nof pairs")
    for axes in first:
        axes.yaxis.set_label_coords(-0.36 / (first[0].get_position().width * width), 0.5)
    figure.text(_LEFT / width, (top + 0.21) / height, title, fontsize=8, fontweight="bold")


def _draw_threshold(upper: Axes, lower: Axes, rows: pd.DataFrame, styles: Mapping[str, style.ConditionStyle]) -> None:
    measured = rows[rows["origin"] == _THIS_RUN]
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
    for published in rows[rows["origin"] == _PUBLISHED].itertuples():
        # The control left, AS right, so that two near values do not hide each other.
        x = len(strengths) - (0.3 if published.condition == style.CONTROL else -0.2)
        upper.plot(x, published.distance_mean, **_published_marker(styles[published.condition].color))
    # Logarithmic from 1 up, so that the few pairs at high α can be read, and with a place for none.
    lower.set_yscale("symlog", linthresh=1, linscale=0.6)
    lower.set_ylim(-0.35, 15000)
    lower.set_yticks([0, 1, 100, 10000], ["0", "1", "100", "10 000"])


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
        axes.axhspan(row["null_low"], row["null_high"], color=_NULL_COLOR, linewidth=0, zorder=0)
    axes.axhline(row["chance_distance"], color=_CHANCE_COLOR, linewidth=0.5, zorder=1)


def _published_marker(color: str) -> dict[str, object]:
    return {
        "marker": "d",
        "markersize": 4.2,
        "markerfacecolor": "white",
        "markeredgecolor": color,
        "markeredgewidth": 0.9,
        "linestyle": "none",
        "zorder": 5,
    }


def _legend(figure: Figure, table: pd.DataFrame, styles: Mapping[str, style.ConditionStyle]) -> None:
    chance = ", ".join(f"{value:.4f}" for value in table["chance_distance"].unique())
    handles = [style.condition_handle(look, marker=name != style.CONTROL) for name, look in styles.items()]
    handles += [
        Line2D([], [], color=_CHANCE_COLOR, linewidth=0.5, label=f"chance, {chance}"),
        Patch(color=_NULL_COLOR, label="units of the control relabelled, 95 %"),
    ]
    if (table["origin"] == _PUBLISHED).any():
        handles.append(Line2D([], [], **_published_marker("0.25"), label="published, MNIST (AS: highest over λ)"))
    measured = table[table["origin"] == _THIS_RUN]
    if (measured["distance_n"] == 0).any():
        handles.append(style.missing_handle("no pair above α: no distance"))
    if measured["distance_n"].between(1, measured["n_seeds"] - 1).any():
        handles.append(
            Line2D(
                [],
                [],
                color="0.25",
                marker="o",
                mfc="white",
                linestyle="none",
                label="a pair above α in some seeds only",
            )
        )
    height = figure.get_figheight()
    style.legend(figure, handles, left=_LEFT / style.PAGE_WIDTH, top=1 - 0.08 / height)


def _small_print(panels: Mapping[str, xr.Dataset]) -> list[str]:
    settings = settings_of(panels)
    relu = "post-ReLU" if settings.get("activation") == "post" else "pre-ReLU"
    relation = "≥" if settings.get("inclusive") else ">"
    pairs = "pairs with themselves included" if settings.get("include_self") else "distinct pairs"
    mean = "mean over pairs" if settings.get("average", "pairs") == "pairs" else "mean over the means of units"
    return [
        f"Connected pair: two units whose {relu} activations over the test images correlate, Pearson r {relation} α "
        f"({pairs}; {mean}, then over seeds). Shaded around a line: ± SEM over seeds (ddof 1). Lower panels: mean "
        "number of connected pairs.",
        *provenance_lines(panels),
    ]
