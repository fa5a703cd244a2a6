"""Appendix Figure 3: activation maps of networks with the global similarity loss."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures import style
from toporep.figures.truong2025 import maps

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def draw(inputs: Mapping[str, Path], *, images: int = 5) -> tuple[Figure, pd.DataFrame]:
    """Draw the same few test images in each model: one model a row, one strength a block of columns.

    Args:
        inputs: any name → file of schema `activations`, all of one dataset and the same test images: condition
            `global` at each strength with each seed, and, if there, models of the control.
        images: number of images, each of another class: the first of the test set in each of the first classes.

    Returns:
        The figure, and the table of `maps.table`.

    Raises:
        TopoRepError: see `maps.read_sample`.

    Source: Truong & Hasson 2025, appendix A.2 and Appendix Figure 3.
    """
    sample = maps.read_sample(inputs, images=images, conditions=["global"])
    with style.context():
        figure = maps.draw_page(sample, by_strength=True)
    return figure, maps.table(sample)
