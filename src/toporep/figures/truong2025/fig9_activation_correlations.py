"""Figure 9: correlations of activations, of units with their neighbors and of all pairs of units."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures import style
from toporep.figures.truong2025 import families
from toporep.figures.truong2025.correlations import ABOVE, Quantity, draw_distributions, estimator_text, read_panels

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_PAIRS = "activations_all"
_QUANTITIES = [
    Quantity("activations_neighbor", "mean correlation of a unit's activation with its neighbors', r"),
    Quantity(_PAIRS, "correlation of the activations of each pair of units, r", above=0.9),
]
# Section 3.4.3: percentage of correlations "around r = 1.0" at λ = 3, of all pairs.
PUBLISHED_STRENGTH = 3.0
PUBLISHED_SHARE = {"mnist": {"ws": 12, "as": 21}, "cifar10": {"ws": 19, "as": 21}}
_THRESHOLDS = (0.9, 0.95, 0.99)


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw one row of panels a dataset: at the left neighbors, at the right all pairs, one panel a family in each.

    Args:
        inputs: dataset → file of schema `correlations_summary`, in panel order.

    Returns:
        The figure, and the table of `correlations.read_panels`.

    Raises:
        TopoRepError: see `correlations.read_panels`.

    Source: Truong & Hasson 2025, section 3.4.3 and Figure 9.
    """
    panels, table = read_panels(inputs, _QUANTITIES)
    what = (
        "Pearson r of {relu} activations over the test images. Left: mean of a unit's r with its 3, 5 or 8 Moore "
        "neighbors; right: each distinct pair, with the percentage of pairs above 0.9."
    )
    with style.context():
        lines = [estimator_text(panels, what=what, count="these values"), *_shares(table)]
        figure = draw_distributions(panels, table, _QUANTITIES, lines=lines)
    return figure, table


def _shares(table: pd.DataFrame) -> list[str]:
    """Percentages of pairs near r = 1 at the highest strength, with those of the paper."""
    rows = table[(table["variable"] == ABOVE) & (table["quantity"] == _PAIRS)]
    strongest = rows["strength"].max()
    lines = []
    for dataset in dict.fromkeys(rows["dataset"]):
        own = rows[(rows["dataset"] == dataset) & rows["strength"].isin([0.0, strongest])]
        thresholds = [value for value in _THRESHOLDS if value in own["threshold"].values]
        looks = style.condition_styles([style.CONTROL, *families(own["condition"].tolist())])
        parts = []
        for condition, look in looks.items():
            found = own[own["condition"] == condition].set_index("threshold")["mean"]
            parts.append(f"{look.short} {' / '.join(f'{100 * found[value]:.1f}' for value in thresholds)}")
        above = " / ".join(f"{value:g}" for value in thresholds)
        lines.append(
            f"{style.dataset_title(dataset, dataset)}, pairs above r = {above} at λ = {strongest:g}, in %: "
            f"{', '.join(parts)}{_published(dataset, strongest)}."
        )
    return lines


def _published(dataset: str, strength: float) -> str:
    share = PUBLISHED_SHARE.get(dataset)
    if share is None or strength != PUBLISHED_STRENGTH:
        return ""
    return f"; paper: WS {share['ws']}, AS {share['as']} “around r = 1.0”, of a width not given"
