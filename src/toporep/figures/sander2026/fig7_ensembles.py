"""Figure 7: what an ensemble gains over its networks, without and with noise, against the topographic weight."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from toporep.figures import style
from toporep.figures.layout import Block, Page, few_ticks, name_ordinate, percent_axis
from toporep.figures.sander2026 import (
    condition_styles,
    in_order,
    point_table,
    provenance_lines,
    read_summary,
    title_of,
)
from toporep.figures.sander2026.rho import AXIS_NOTE, RhoAxis, chance_handle, chance_line, draw_series, shifts

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHANCE = 0.1
PAPER_NETWORKS = 10
# Gains on images without noise that the paper's text gives (Ensemble Methods): without topography, and with it.
PUBLISHED_CLEAN = ((0.029, 0.029), (0.030, 0.0315))
CLEAN = "clean"
# How the answers are put together: first as the published code does, then as the paper says.
VOTES = {"probability": "mean probability (published code)", "logit": "mean logit (paper's text)"}
KINDS = {
    "pink": style.ConditionStyle("pink noise", "pink", "#CC79A7", "o"),
    "white": style.ConditionStyle("white noise", "white", "#117733", "s"),
    "salt_pepper": style.ConditionStyle("salt and pepper", "salt and pepper", "#222222", "^"),
}
_COLUMNS = 3
# Heights of the panels in inches: of the paper's one objective, and of each where a user adds others.
_HEIGHTS, _LOW_HEIGHTS = (1.35, 0.62), (0.8, 0.5)
_STEP = 0.09
_FAINT = 0.4
_PUBLISHED_LOOK = {"color": "0.78", "linewidth": 0, "zorder": 0.8}
_ZERO_LINE = {"linestyle": ":", "linewidth": 1.0, "zorder": 1.5}


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw a panel for clean images and one for each level of the noise, a line a kind; under each the accuracy.

    Args:
        inputs: dataset → file of schema `ensembles_summary`.

    Returns:
        The figure, and a table with one row a point, kind ("clean" without noise, at level 0), level and vote. Columns:
        dataset, source, scale, condition, strength (ρ), kind, level, vote, gain (ensemble less mean of its networks),
        accuracy_mean, accuracy_sd (of its networks, all 0 to 1), n_networks, published_low, published_high, note.

    Raises:
        TopoRepError: see `read_summary`.

    Source: Sander & Hasson 2026, "Ensemble Methods and Noise Robustness" and Figure 7.
    """
    summary = read_summary(inputs, "ensembles_summary")
    table = _table(summary)
    conditions = in_order(table["condition"].tolist())
    levels = sorted(table["level"].unique())
    rows = -(-len(levels) // _COLUMNS)
    upper, lower = _HEIGHTS if len(conditions) == 1 else _LOW_HEIGHTS
    blocks = []
    for row in range(rows * len(conditions)):
        title = 0.26 if row % rows else 0.44
        blocks.append(Block(1, _COLUMNS, upper, title=title, labels=0.07, between=0.36))
        blocks.append(Block(1, _COLUMNS, lower, title=0, between=0.36))
    with style.context():
        lines = [_words(table), *provenance_lines(summary.attrs)]
        page = Page(blocks, lines, head=0.55)
        for place, (condition, look) in enumerate(condition_styles(conditions).items()):
            own = table[table["condition"] == condition]
            page.heading(2 * rows * place, f"{title_of(summary.attrs)}: {look.label}", above=0.26)
            for index, level in enumerate(levels):
                row, column = divmod(index, _COLUMNS)
                block = 2 * (rows * place + row)
                gain, accuracy = (page.panel(block + part, 0, column) for part in range(2))
                _draw_level(gain, accuracy, own[own["level"] == level], {CLEAN: look, **KINDS}, RhoAxis.of(table))
                if column == 0:
                    name_ordinate(gain, "gain (percentage points)" if upper > 1 else "gain (points)")
                    name_ordinate(accuracy, "accuracy (%)")
        page.legend(_handles(table))
    return page.figure, table


def _table(summary: xr.Dataset) -> pd.DataFrame:
    import pandas as pd

    votes = [vote for vote in VOTES if vote in summary["vote"].values]
    summary = summary.sel(vote=votes)
    noisy = point_table(summary, ["gain", "accuracy_mean", "accuracy_sd"])
    renamed = {f"clean_{name}": name for name in ("gain", "accuracy_mean", "accuracy_sd")}
    clean = point_table(summary, list(renamed)).rename(columns=renamed).assign(kind=CLEAN, level=0.0)
    known = clean["strength"] > 0
    for place, name in enumerate(("published_low", "published_high")):
        clean[name] = np.where(known, PUBLISHED_CLEAN[1][place], PUBLISHED_CLEAN[0][place])
    table = pd.concat([clean, noisy], ignore_index=True).rename(columns={"n_trials": "n_networks"})
    table["note"] = np.where(table["accuracy_sd"].isna(), "one network: no SD", "")
    columns = ["dataset", "source", "scale", "condition", "strength", "kind", "level", "vote", "gain", "accuracy_mean"]
    return table[[*columns, "accuracy_sd", "n_networks", "published_low", "published_high", "note"]]


def _draw_level(
    gain: Axes, accuracy: Axes, rows: pd.DataFrame, looks: Mapping[str, style.ConditionStyle], axis: RhoAxis
) -> None:
    level = rows["level"].iloc[0]
    kinds = [kind for kind in looks if kind in set(rows["kind"])]
    for kind, shift in zip(kinds, shifts(len(kinds), _STEP), strict=True):
        own = rows[rows["kind"] == kind]
        _draw_gain(gain, own, looks[kind], axis, shift)
        first = own[own["vote"] == own["vote"].iloc[0]]
        draw_series(accuracy, first, "accuracy", looks[kind], axis, shift=shift, markersize=2.0)
    _draw_published(gain, rows, axis)
    for axes in (gain, accuracy):
        axis.draw(axes, labels=axes is accuracy, name=axes is accuracy)
        percent_axis(axes)
    few_ticks(gain)
    # Room for markers at 100 %.
    accuracy.set_ylim(0, 1.06)
    accuracy.set_yticks([0, 0.5, 1])
    chance_line(accuracy, CHANCE)
    gain.set_title("clean" if level == 0 else f"noise level {level:g}", loc="left")


def _draw_gain(axes: Axes, rows: pd.DataFrame, look: style.ConditionStyle, axis: RhoAxis, shift: float) -> None:
    for vote, own in rows.groupby("vote", sort=False):
        own = own.sort_values("strength")
        x, value = axis.places(own["strength"]) + shift, own["gain"].to_numpy()
        zero = (own["strength"] == 0).to_numpy()
        main = vote == next(iter(VOTES))
        marks = {"color": look.color, "marker": look.marker, "markersize": 2.6 if main else 2.2}
        marks |= {"zorder": 3} if main else {"alpha": _FAINT, "zorder": 2, "markerfacecolor": "white"}
        axes.plot(x[~zero], value[~zero], linewidth=1.1 if main else 0.8, **marks)
        axes.plot(x[zero], value[zero], linestyle="none", **marks)
        if main and zero.any():
            axes.axhline(value[zero][0], color=look.color, **_ZERO_LINE)


def _draw_published(axes: Axes, rows: pd.DataFrame, axis: RhoAxis) -> None:
    known = rows[rows["published_low"].notna()]
    for own in (known[known["strength"] == 0], known[known["strength"] > 0]):
        if not len(own):
            continue
        x, row = axis.places(own["strength"]), own.iloc[0]
        # A single number is as thick as it is rounded.
        low, high = row["published_low"], row["published_high"]
        half = 0.0005 if low == high else 0.0
        left, width = x.min() - 0.25, x.max() - x.min() + 0.5
        axes.add_patch(Rectangle((left, low - half), width, high - low + 2 * half, **_PUBLISHED_LOOK))
        axes.update_datalim([(left, low), (left, high)])


def _words(table: pd.DataFrame) -> str:
    spread = "shaded, at ρ = 0 vertical lines: ± SD over networks (ddof 1)"
    return (
        f"Upper panels: accuracy of an ensemble of {_networks(table)} that differ in their seed alone, less the mean "
        "accuracy of its networks, on the same images; each panel has an ordinate of its own. Lower panels: that mean "
        f"accuracy; {spread if table['accuracy_sd'].notna().any() else 'one network, so no SD'}. Where it is at "
        "chance, a gain near 0 says nothing. The level is the SD of white and pink noise in units of the pixels' range "
        "and the share of the pixels drawn as salt or pepper. The kinds are displaced sideways for display alone. "
        f"{AXIS_NOTE}"
    )


def _networks(table: pd.DataFrame) -> str:
    low, high = table["n_networks"].min(), table["n_networks"].max()
    own = f"{low} networks" if low == high else f"{low} to {high} networks"
    return own if low == high == PAPER_NETWORKS else f"{own} ({PAPER_NETWORKS} in the paper)"


def _handles(table: pd.DataFrame) -> list[Artist]:
    present = set(table["kind"])
    handles: list[Artist] = [style.condition_handle(look) for kind, look in KINDS.items() if kind in present]
    faint = {"color": "0.35", "marker": "o", "alpha": _FAINT, "markerfacecolor": "white", "linewidth": 0.8}
    strong = {"color": "0.35", "marker": "o", "linewidth": 1.1, "markersize": 2.6}
    for index, (vote, words) in enumerate(VOTES.items()):
        if vote in set(table["vote"]):
            handles.append(Line2D([], [], label=words, **(faint if index else strong)))
    handles.append(Line2D([], [], color="0.35", label="the same at ρ = 0", **_ZERO_LINE))
    handles.append(chance_handle("accuracy by chance, 10 %"))
    handles.append(Rectangle((0, 0), 1, 1, label="published, clean images", **_PUBLISHED_LOOK))
    return handles
