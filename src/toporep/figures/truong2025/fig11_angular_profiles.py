"""Figure 11: how many units are tuned to each cycle around the visual field."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures import style
from toporep.figures.truong2025 import settings_of
from toporep.figures.truong2025.tuning import (
    PUBLISHED_STIMULI,
    WEDGE_ARTEFACT,
    bars_text,
    changed_text,
    draw_shares,
    range_text,
    read_panels,
    share_table,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw one panel a dataset: for each dominant cycle, the share of units by condition and strength.

    Args:
        inputs: dataset → file of schema `harmonics_summary`, in panel order.

    Returns:
        The figure, and a table with one row a point, variant and cycle. Columns: dataset, source, scale, condition,
        strength, variant, cycle (0: no power), share_mean, share_sem, share_beyond_mean, changed_share_mean, n_seeds,
        note, chance_share (of noise with equal power in all cycles; NaN where there is no power).

    Raises:
        TopoRepError: see `tuning.read_panels`.

    Source: Truong & Hasson 2025, sections 2.4 and 3.5, and Figure 11.
    """
    panels = read_panels(inputs, "harmonics_summary")
    table = share_table(panels, "share", classes="cycle", others=["share_beyond", "changed_share"])
    cycles = [cycle for cycle in sorted(table["cycle"].unique()) if cycle]
    largest = settings_of(panels).get("max_cycle", cycles[-1])
    table["chance_share"] = table["cycle"].map(dict.fromkeys(range(1, largest + 1), 1 / largest))
    lines = [
        bars_text(
            f"Dominant cycle: the one of cycles 1 to {largest} with the largest power in the responses to wedges."
        ),
        changed_text(panels, what="dominant cycle"),
        f"Units whose largest power lies beyond cycle {largest} if all cycles compete: "
        f"{range_text(panels, 'share_beyond', PUBLISHED_STIMULI)}.",
        f"{WEDGE_ARTEFACT} Chance: {100 / largest:g} % of units that answer by noise with as much power in each cycle; "
        "noise that is smooth around the circle has more in low cycles.",
    ]
    with style.context():
        figure = draw_shares(
            panels,
            table,
            "share",
            classes={cycle: f"cycle {cycle} ({360 / cycle:g}°)" for cycle in cycles},
            column="cycle",
            ylabel="share of units",
            lines=lines,
            chance=dict.fromkeys(cycles, 1 / largest),
            chance_label=f"chance: {100 / largest:g} %, noise alike in all cycles",
        )
    return figure, table
