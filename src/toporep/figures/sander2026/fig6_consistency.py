"""Figure 6: how far networks that differ in their seed alone represent images alike, against the topographic weight."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D

from toporep.figures import style
from toporep.figures.layout import Block, Page, name_ordinate
from toporep.figures.sander2026 import (
    LABEL_SUPERVISED,
    condition_styles,
    in_order,
    point_table,
    provenance_lines,
    read_summary,
    title_of,
)
from toporep.figures.sander2026.rho import AXIS_NOTE, RhoAxis, draw_series, shifts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Ranges that the Discussion gives: of all objectives without topography, of those with labels at ρ = 0.2.
PUBLISHED = {0.0: (0.80, 0.87), 0.2: (0.60, 0.80)}
_STEP = 0.09
_PUBLISHED_LOOK = {"color": "0.72", "linewidth": 4, "solid_capstyle": "butt"}


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw the mean correlation between networks' dissimilarity matrices, ± SD over pairs, one line an objective.

    Args:
        inputs: dataset → file of schema `rdm_consistency_summary`.

    Returns:
        The figure, and a table with the columns dataset, source, scale, condition, strength (ρ), consistency_mean,
        consistency_sd (Pearson r), n_pairs, n_trials, published_low, published_high (ranges in the paper's text),
        note.

    Raises:
        TopoRepError: see `read_summary`.

    Source: Sander & Hasson 2026, "Consistency of Representational Geometry" and Figure 6.
    """
    summary = read_summary(inputs, "rdm_consistency_summary")
    table = _table(point_table(summary, ["consistency_mean", "consistency_sd", "pairs"]))
    conditions = in_order(table["condition"].tolist())
    with style.context():
        words = _words(table, int(summary.attrs["n_images"]))
        page = Page([Block(1, 1, 2.5, title=0.28)], [words, *provenance_lines(summary.attrs, conditions=conditions)])
        page.heading(0, title_of(summary.attrs), above=0.1)
        axes, axis = page.panel(0, 0, 0), RhoAxis.of(table)
        _draw_published(axes, table, axis)
        styles = condition_styles(conditions)
        for (condition, look), shift in zip(styles.items(), shifts(len(styles), _STEP), strict=True):
            own = table[table["condition"] == condition]
            draw_series(axes, own, "consistency", look, axis, shift=shift, bars=True)
        axis.draw(axes)
        name_ordinate(axes, "consistency (mean r between RDMs)")
        page.legend(_handles(conditions, table))
    return page.figure, table


def _table(table: pd.DataFrame) -> pd.DataFrame:
    table = table.rename(columns={"pairs": "n_pairs"})
    told = table["strength"].isin(PUBLISHED) & ((table["strength"] == 0) | table["condition"].isin(LABEL_SUPERVISED))
    for place, name in enumerate(("published_low", "published_high")):
        table[name] = [
            PUBLISHED[rho][place] if known else np.nan for rho, known in zip(table["strength"], told, strict=True)
        ]
    reasons = [table["consistency_mean"].isna(), table["consistency_sd"].isna()]
    table["note"] = np.select(
        reasons, ["all pairs of images are equally dissimilar: no correlation", "one pair: no SD"], ""
    )
    return table


def _draw_published(axes: Axes, table: pd.DataFrame, axis: RhoAxis) -> None:
    for row in table[table["published_low"].notna()].drop_duplicates("strength").itertuples():
        # At the left of the objectives' points.
        x = axis.places([row.strength, row.strength]) - _STEP * (len(set(table["condition"])) / 2 + 0.5)
        axes.plot(x, [row.published_low, row.published_high], zorder=1, **_PUBLISHED_LOOK)


def _words(table: pd.DataFrame, n_images: int) -> str:
    low, high = table["n_trials"].min(), table["n_trials"].max()
    trials = f"{low}" if low == high else f"{low} to {high}"
    fewest, most = table["n_pairs"].min(), table["n_pairs"].max()
    pairs = f"{fewest} pairs" if fewest == most > 1 else f"{fewest} to {most} pairs"
    spread = f"vertical lines: ± SD over the {pairs} (ddof 1)" if most > 1 else "1 pair, so no SD"
    return (
        f"RDM: 1 − Pearson r between the embeddings of each two of {n_images} test images, as many of each class. "
        f"Consistency: Pearson r between the RDMs of two networks that differ in their seed alone, mean over the pairs "
        f"of {trials} trials; {spread}. Pairs share networks: they are not independent. The points of one ρ are "
        f"displaced sideways for display alone. {AXIS_NOTE}"
    )


def _handles(conditions: list[str], table: pd.DataFrame) -> list[Artist]:
    handles: list[Artist] = [style.condition_handle(look) for look in condition_styles(conditions).values()]
    if table["published_low"].notna().any():
        words = "published ranges: all objectives at 0,\nthose with labels at .2"
        handles.append(Line2D([], [], label=words, **_PUBLISHED_LOOK))
    return handles
