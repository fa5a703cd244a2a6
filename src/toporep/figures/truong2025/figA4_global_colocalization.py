"""Appendix Figure 4: grid distance between units of similar responses, for networks with the global similarity loss."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures.truong2025.fig6_colocalization import draw_overlay

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw Figure 6 for the condition `global`: one line a correlation threshold α, the control at the left.

    Args:
        inputs: dataset → file of schema `colocalization_summary`, in panel order.

    Returns:
        The figure, and the table of `colocalization.read_panels`.

    Raises:
        TopoRepError: see `read_summaries`.

    Source: Truong & Hasson 2025, appendix A.2 and Appendix Figure 4.
    """
    return draw_overlay(inputs, conditions=["global"])
