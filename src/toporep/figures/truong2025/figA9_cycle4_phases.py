"""Appendix Figure 9: preferred angles of the units tuned to four cycles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures import style
from toporep.figures.truong2025 import settings_of
from toporep.figures.truong2025.tuning import (
    WEDGE_ARTEFACT,
    bars_text,
    changed_text,
    draw_shares,
    read_panels,
    share_table,
)
from toporep.metrics.harmonics import PHASE_CLASSES, phase_chance

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_CYCLE = 4
_NAMES = {"cardinal": "cardinal (0°, 90°, …)", "diagonal": "diagonal (45°, 135°, …)", "other": "other"}


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw one panel a dataset: for each class of preferred angle, its share of the units tuned to cycle 4.

    Args:
        inputs: dataset → file of schema `harmonics_summary`, in panel order.

    Returns:
        The figure, and a table with one row a point, variant and class. Columns: dataset, source, scale, condition,
        strength, variant, cycle4_phase, cycle4_phase_share_mean, cycle4_phase_share_sem, cycle4_phase_share_n (seeds
        that have a unit of cycle 4), changed_share_mean, n_seeds, note, chance_share.

    Raises:
        TopoRepError: see `tuning.read_panels`.

    Source: Truong & Hasson 2025, section 3.5 and Appendix Figure 9.
    """
    panels = read_panels(inputs, "harmonics_summary")
    tolerance = settings_of(panels).get("tolerance_deg", 10)
    chance = dict(zip(PHASE_CLASSES[_CYCLE], phase_chance(_CYCLE, tolerance_deg=tolerance).tolist(), strict=True))
    table = share_table(panels, "cycle4_phase_share", classes="cycle4_phase", others=["changed_share"])
    table["chance_share"] = table["cycle4_phase"].map(chance)
    words = (
        f"Preferred angle of the units whose dominant cycle is {_CYCLE}, modulo 90°: within ± {tolerance:g}° of 0° "
        "(cardinal) or of 45° (diagonal), or other; no dot where no unit has this cycle."
    )
    with style.context():
        figure = draw_shares(
            panels,
            table,
            "cycle4_phase_share",
            classes=_NAMES,
            column="cycle4_phase",
            ylabel="share of cycle-4 units",
            lines=[bars_text(words), changed_text(panels, what="dominant cycle"), WEDGE_ARTEFACT],
            chance=chance,
        )
    return figure, table
