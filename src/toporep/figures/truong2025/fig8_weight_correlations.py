"""Figure 8: correlation of each unit's afferent weights with those of its neighbors on the sheet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures import style
from toporep.figures.truong2025.correlations import Quantity, draw_distributions, estimator_text, read_panels

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_QUANTITIES = [Quantity("weights_neighbor", "mean correlation of a unit's afferent weights with its neighbors', r")]


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw one row of panels a dataset, one panel a family, one distribution of R_u a strength.

    Args:
        inputs: dataset → file of schema `correlations_summary`, in panel order.

    Returns:
        The figure, and the table of `correlations.read_panels`.

    Raises:
        TopoRepError: see `correlations.read_panels`.

    Source: Truong & Hasson 2025, equations 1 and 2, section 3.4.3 and Figure 8.
    """
    panels, table = read_panels(inputs, _QUANTITIES)
    what = "R_u: mean Pearson r between the afferent weights of a unit and of its 3, 5 or 8 Moore neighbors."
    with style.context():
        lines = [estimator_text(panels, what=what, count="the R_u of all units")]
        figure = draw_distributions(panels, table, _QUANTITIES, lines=lines)
    return figure, table
