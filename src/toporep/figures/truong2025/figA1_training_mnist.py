"""Appendix Figure 1: training on MNIST at one strength of the spatial loss."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures.truong2025.training_curves import draw_training

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def draw(inputs: Mapping[str, Path], *, strength: float = 0.1) -> tuple[Figure, pd.DataFrame]:
    """Draw accuracy, cross-entropy and spatial terms per epoch; see `draw_training`.

    Args:
        inputs: `mnist` → file of schema `training_curves_summary`.
        strength: the spatial weight λ shown; 0.1 in the paper.

    Source: Truong & Hasson 2025, appendix A.1 and Appendix Figure 1.
    """
    return draw_training(inputs, strength=strength)
