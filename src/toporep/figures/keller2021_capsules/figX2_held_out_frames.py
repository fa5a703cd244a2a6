"""Who can predict frames that it has never seen: decoding rolled activations of the first frame (beyond the paper)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D

from toporep.errors import TopoRepError
from toporep.figures import style
from toporep.figures.keller2021_capsules import (
    BAND,
    NO_SD,
    absent_from,
    disclaimer,
    provenance_lines,
    read_summaries,
    seeds_text,
    short_label_of,
    summary_table,
    title_of,
)
from toporep.figures.layout import Block, Page, few_ticks, name_ordinate

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ANALYSIS = "held_out_frames"
_QUANTITIES = {"nll": "−log p(x | t) (nats)", "squared_error": "squared error"}
# In the order in which they stand side by side.
_PREDICTIONS = {
    "reconstruction": ("the frame's own t", "#7F7F7F", "s"),
    "rolled": ("t₀, rolled", "#0072B2", "o"),
    "static": ("t₀, not rolled", "#E69F00", "^"),
}
_PARTS = ("seen", "held_out")
# What predicts a frame without any network, and what no prediction can fall below, of the summary of likelihoods.
_ANCHORS = {
    "constant_pixel": ("best constant pixels", (0, (5, 2))),
    "entropy_floor": ("entropy of the frames: least value", (0, (1, 1.5))),
}
_ANCHORED = "nll"
_ANCHOR_COLOR = "0.35"
_WEIGHTS = {
    "projected": "projected, rows of the weights scaled to length 1 after each step",
    "reparameterized": "reparam., rows that are a learned length times a learned direction",
}
_SHIFT = 0.22
_NONE = "the window of the first frame has no such frame"


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw two panels a data set: −log p(x|t) and squared error, of three predictions, seen and held-out frames.

    Args:
        inputs: `<dataset>.held_out_frames` → file of schema `held_out_frames_summary`, in panel order, and
            `<dataset>.log_likelihood` → file of schema `log_likelihood_summary`, of the same data sets.

    Returns:
        The figure, and a table with the columns dataset, source, scale, condition, prediction, part ("seen",
        "held_out", "all"), nll_mean, nll_sd (nats per frame), squared_error_mean, squared_error_sd (intensities
        0 … 1, summed over a frame), constant_pixel, entropy_floor (nats per frame, all frames; of the best constant
        probability of each pixel, and the least that nll can be), n_seeds, note.

    Raises:
        TopoRepError: see `read_summaries`; a prediction or part that is not there; no condition; a data set without
            one of its two files.

    Source: beyond the paper, whose section 6.3 and Figures 4 and 6 to 19 show this by eye.
    """
    summaries = read_summaries(inputs, "held_out_frames_summary", analysis=_ANALYSIS)
    for dataset, summary in summaries.items():
        _check(summary, inputs[f"{dataset}.{_ANALYSIS}"])
    likelihoods = read_summaries(inputs, "log_likelihood_summary", analysis="log_likelihood")
    if set(likelihoods) != set(summaries):
        raise TopoRepError(
            f"inputs: expected both files of each data set, found {_ANALYSIS} of {', '.join(summaries)} and "
            f"log_likelihood of {', '.join(likelihoods)}"
        )
    tables = {dataset: _table(summary, likelihoods[dataset]) for dataset, summary in summaries.items()}
    import pandas as pd

    with style.context():
        figure = _draw(summaries, tables)
    return figure, pd.concat(tables.values(), ignore_index=True)


def _check(summary: xr.Dataset, path: Path) -> None:
    for dim, wanted in (("prediction", tuple(_PREDICTIONS)), ("part", _PARTS)):
        missing = [name for name in wanted if name not in summary[dim].values]
        if missing:
            raise TopoRepError(f"{path}: expected {dim} {', '.join(wanted)}, found none named {', '.join(missing)}")
    if not summary.sizes["point"]:
        raise TopoRepError(f"{path}: expected at least one condition, found none; train one")


def _table(summary: xr.Dataset, likelihood: xr.Dataset) -> pd.DataFrame:
    table = summary_table(summary, list(_QUANTITIES))
    for name in _ANCHORS:
        # The frames' own: the same for all networks.
        values = likelihood[f"{name}_mean"].values
        table.insert(list(table).index("n_seeds"), name, values.mean() if len(values) else np.nan)
    missing = table["nll_mean"].isna(), table["nll_sd"].isna()
    table["note"] = np.select(missing, [_NONE, NO_SD], "")
    return table


def _draw(summaries: Mapping[str, xr.Dataset], tables: Mapping[str, pd.DataFrame]) -> Figure:
    blocks = [Block(len(_QUANTITIES), 1, 1.32, title=0.26, labels=0.46, gap=0.12) for _ in tables]
    page = Page(blocks, _small_print(summaries, tables), head=0.58)
    for block, (dataset, table) in enumerate(tables.items()):
        page.heading(block, title_of(summaries[dataset].attrs), above=0.07)
        conditions = list(dict.fromkeys(table["condition"]))
        for row, (quantity, words) in enumerate(_QUANTITIES.items()):
            axes = page.panel(block, row, 0)
            _draw_panel(axes, table, conditions, quantity)
            if quantity == _ANCHORED:
                _draw_anchors(axes, table)
            few_ticks(axes, n=4)
            name_ordinate(axes, words, away=0.42)
            last = row == len(_QUANTITIES) - 1
            axes.set_xticks(range(len(conditions)), [short_label_of(name) if last else "" for name in conditions])
            axes.tick_params(axis="x", length=0)
            axes.set_xlim(-0.5, len(conditions) - 0.5)
    page.legend(_handles())
    return page.figure


def _draw_panel(axes: Axes, table: pd.DataFrame, conditions: Sequence[str], quantity: str) -> None:
    for place, condition in enumerate(conditions):
        if place % 2:
            axes.axvspan(place - 0.5, place + 0.5, color="0.95", linewidth=0, zorder=0)
        rows = table[table["condition"] == condition].set_index(["prediction", "part"])
        for index, (prediction, (_, color, marker)) in enumerate(_PREDICTIONS.items()):
            x = place + _SHIFT * (index - 1)
            of = rows.loc[prediction]
            mean = [float(of.loc[part, f"{quantity}_mean"]) for part in _PARTS]
            axes.plot([x, x], mean, color=color, linewidth=0.8, alpha=0.6, zorder=1)
            for part, value in zip(_PARTS, mean, strict=True):
                sd = float(of.loc[part, f"{quantity}_sd"])
                look = {"color": color, "marker": marker, "markerfacecolor": color if part == "held_out" else "white"}
                axes.plot(x, value, linestyle="none", markersize=3.8, markeredgewidth=0.9, zorder=3, **look)
                if np.isfinite(sd):
                    axes.errorbar(x, value, yerr=sd, color=color, elinewidth=1.1, linestyle="none", zorder=2)
        if np.isnan(rows.loc[("rolled", "held_out"), f"{quantity}_mean"]):
            where = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "top", "fontsize": 6}
            axes.text(place, 0.98, "all seen", color="0.35", **where)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0) if low < 0.3 * high else low, high + 0.12 * (high - low))


def _draw_anchors(axes: Axes, table: pd.DataFrame) -> None:
    """Lines across the panel, which grows to hold them: differences that are small against them look small."""
    low, high = axes.get_ylim()
    values = [table[name].iloc[0] for name in _ANCHORS]
    for value, (_, line) in zip(values, _ANCHORS.values(), strict=True):
        axes.axhline(value, color=_ANCHOR_COLOR, linewidth=0.8, linestyle=line, zorder=1.5)
    room = max(high, *values) - min(low, *values)
    # Above the highest line stands "all seen".
    axes.set_ylim(min(low, *(value - 0.04 * room for value in values)), max(high, *(v + 0.18 * room for v in values)))


def _handles() -> list[Line2D]:
    handles = [
        Line2D([], [], color=color, marker=marker, linestyle="none", label=f"decoded from {words}")
        for words, color, marker in _PREDICTIONS.values()
    ]
    dot = {"color": "0.3", "marker": "o", "linestyle": "none", "markeredgewidth": 0.9}
    handles.append(Line2D([], [], label="held-out frames (filled)", **dot))
    handles.append(Line2D([], [], label="frames that t₀ has seen (open)", markerfacecolor="white", **dot))
    look = {"color": _ANCHOR_COLOR, "linewidth": 0.8}
    return handles + [Line2D([], [], label=words, linestyle=line, **look) for words, line in _ANCHORS.values()]


def _small_print(summaries: Mapping[str, xr.Dataset], tables: Mapping[str, pd.DataFrame]) -> list[str]:
    lines = [
        "Where a model has learned the transformation, held-out frames from the rolled t₀ (filled circle) cost far "
        "less than from t₀ as it is (filled triangle), and little more than from their own t (square). Each frame of "
        "a sequence is predicted from the activations t₀ of its first frame: rolled by one unit a frame; left as they "
        "are; and, for comparison, decoded from the frame's own t, which has seen it. Seen: frames whose energies "
        "enter t₀, at least the first itself; the rest is held out. −log p(x | t) is that of the Bernoulli "
        "likelihood, in nats per frame; the squared error is summed over the pixels of a frame (intensities 0 to 1); "
        f"means over all evaluated sequences and over seeds. Vertical bars: {BAND}. Not in the paper, which shows "
        "examples.",
        _anchor_note(tables),
    ]
    for dataset, table in tables.items():
        conditions = list(dict.fromkeys(table["condition"]))
        attrs = summaries[dataset].attrs
        lines += provenance_lines(
            attrs, absent=absent_from(conditions, dataset), seeds=seeds_text(table["n_seeds"].tolist())
        )
    return [*lines, disclaimer([summary.attrs for summary in summaries.values()])]


def _anchor_note(tables: Mapping[str, pd.DataFrame]) -> str:
    """What the lines are, and what the weights of some models are."""
    conditions = {name for table in tables.values() for name in table["condition"]}
    named = [words for end, words in _WEIGHTS.items() if any(name.endswith(f"_{end}") for name in conditions)]
    return (
        "Lines, of all frames: dashed, −log p with the best constant probability of each pixel, which no network is "
        "needed for and which knows no frame; dotted, the entropy of the targets, below which no prediction can be."
        + (f" Weights (Table 3): {'; '.join(named)}." if named else "")
    )
