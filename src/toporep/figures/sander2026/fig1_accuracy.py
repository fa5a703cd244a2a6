"""Figure 1: accuracy on the test images against the topographic weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toporep.figures import style
from toporep.figures.layout import Block, Page, name_ordinate, percent_axis
from toporep.figures.sander2026 import (
    BAND,
    LABEL_SUPERVISED,
    condition_styles,
    note,
    provenance_lines,
    read_summary,
    summary_table,
    title_of,
    trials_text,
)
from toporep.figures.sander2026.rho import AXIS_NOTE, RhoAxis, chance_handle, chance_line, draw_series, shifts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Ten classes with the same number of test images.
CHANCE = 0.1
_OWN, _STANDARDIZED = "accuracy", "accuracy_standardized"
_TITLES = {_OWN: "a  accuracy, read out as in the paper", _STANDARDIZED: "b  readout of standardized embeddings"}
_STEP = 0.13
_FAINT = 0.35


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw mean accuracy ± SD over trials: as the paper reads networks out and, below, from standardized embeddings.

    The panels at the left show all objectives with chance, those at the right the ones that learn from labels alone,
    enlarged.

    Args:
        inputs: dataset → file of schema `accuracy_summary`.

    Returns:
        The figure, and a table with the columns dataset, source, scale, condition, strength (ρ), accuracy_mean,
        accuracy_sd, accuracy_standardized_mean, accuracy_standardized_sd (0 to 1), n_trials, note.

    Raises:
        TopoRepError: see `read_summary`.

    Source: Sander & Hasson 2026, "Test Accuracy" and Figure 1.
    """
    summary = read_summary(inputs, "accuracy_summary")
    table = summary_table(summary, [_OWN, _STANDARDIZED])
    table["note"] = note(table, _OWN)
    rows = [_OWN] + [_STANDARDIZED] * bool(table[f"{_STANDARDIZED}_mean"].notna().any())
    conditions = list(dict.fromkeys(table["condition"]))
    supervised = [name for name in conditions if name in LABEL_SUPERVISED]
    columns = [conditions] + [supervised] * bool(supervised)
    with style.context():
        lines = [_words(rows, table), *provenance_lines(summary.attrs, conditions=conditions)]
        blocks = [Block(1, len(columns), 1.9, title=title) for title in (0.42, 0.24)]
        page = Page(blocks[: len(rows)], lines, head=0.44)
        page.heading(0, title_of(summary.attrs), above=0.25)
        for column, shown in enumerate(columns):
            first = None
            for row, variable in enumerate(rows):
                axes = page.panel(row, 0, column, sharey=first)
                _draw_panel(axes, table[table["condition"].isin(shown)], variable, RhoAxis.of(table))
                _finish(axes, variable, enlarged=column > 0)
                first = first or axes
        page.legend(_handles(conditions))
    return page.figure, table


def _draw_panel(axes: Axes, table: pd.DataFrame, variable: str, axis: RhoAxis) -> None:
    styles = condition_styles(list(dict.fromkeys(table["condition"])))
    for (condition, look), shift in zip(styles.items(), shifts(len(styles), _STEP), strict=True):
        own = table[table["condition"] == condition]
        if own[f"{variable}_mean"].notna().any():
            draw_series(axes, own, variable, look, axis, shift=shift, bars=True)
        if variable == _STANDARDIZED:
            _draw_faintly(axes, own, look, axis.places(own["strength"]) + shift)
    axis.draw(axes)
    percent_axis(axes)


def _draw_faintly(axes: Axes, rows: pd.DataFrame, look: style.ConditionStyle, x: np.ndarray) -> None:
    """Repeat the values of the panel above."""
    after = (rows["strength"] > 0).to_numpy()
    mean = rows[f"{_OWN}_mean"].to_numpy()
    faint = {"color": look.color, "alpha": _FAINT, "zorder": 1.5}
    axes.plot(x[after], mean[after], linewidth=0.9, **faint)
    axes.plot(x[~after], mean[~after], marker="_", markersize=5, linestyle="none", **faint)


def _finish(axes: Axes, variable: str, *, enlarged: bool) -> None:
    if enlarged:
        axes.set_title("objectives with labels, enlarged", loc="left")
        axes.margins(y=0.12)
        return
    axes.set_title(_TITLES[variable], loc="left")
    # Room for markers at 100 %.
    axes.set_ylim(0, 1.03)
    chance_line(axes, CHANCE)
    name_ordinate(axes, "accuracy on the test images (%)")


def _words(rows: Sequence[str], table: pd.DataFrame) -> str:
    second = (
        "b: the same readout after each unit's activations were standardized over the training images, so that neither "
        "their scale nor their offset matters; faint: the values of a. "
    )
    return (
        "Share of test images whose largest logit is that of their class. a: CE by its own classifier, the others by a "
        f"linear readout of the frozen embedding. {second if _STANDARDIZED in rows else ''}Points: mean over trials; "
        f"vertical lines: {BAND}; {trials_text(table)}. The points of one ρ are displaced sideways for display alone. "
        f"{AXIS_NOTE}"
    )


def _handles(conditions: Sequence[str]) -> list[Artist]:
    handles = [style.condition_handle(look) for look in condition_styles(conditions).values()]
    return [*handles, chance_handle("chance, 10 %")]
