"""Figure 12: how many units respond more, less, most in between, or alike with growing eccentricity."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures import style
from toporep.figures.truong2025 import settings_of
from toporep.figures.truong2025.tuning import (
    RING_ARTEFACT,
    bars_text,
    changed_text,
    draw_shares,
    read_panels,
    share_table,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw one panel a dataset: for each profile over eccentricity, the share of units by condition and strength.

    Args:
        inputs: dataset → file of schema `eccentricity_summary`, in panel order.

    Returns:
        The figure, and a table with one row a point, variant and profile. Columns: dataset, source, scale, condition,
        strength, variant, profile, share_mean, share_sem, changed_share_mean, n_seeds, note.

    Raises:
        TopoRepError: see `tuning.read_panels`.

    Source: Truong & Hasson 2025, sections 2.4 and 3.5, and Figure 12.
    """
    panels = read_panels(inputs, "eccentricity_summary")
    table = share_table(panels, "share", classes="profile", others=["changed_share"])
    lines = [
        bars_text(_classes_text(settings_of(panels))),
        changed_text(panels, what="class"),
        f"{RING_ARTEFACT} Chance: no level is known; the shares of units that answer by noise depend on the criteria "
        "and on how smooth their answers are over rings.",
    ]
    with style.context():
        figure = draw_shares(
            panels,
            table,
            "share",
            classes={profile: profile for profile in dict.fromkeys(table["profile"])},
            column="profile",
            ylabel="share of units",
            lines=lines,
        )
    return figure, table


def _classes_text(settings: Mapping[str, object]) -> str:
    r, r_squared = settings.get("min_correlation", 0.8), settings.get("min_r_squared", 0.5)
    bumps = "a bump or a dip" if settings.get("negative_amplitude") else "a bump"
    return (
        f"Classes of the responses to rings: increasing or decreasing if |Pearson r| with the radius exceeds {r:g}; "
        f"else bandpass if a Gaussian ({bumps}) fits with R² > {r_squared:g}; else flat."
    )
