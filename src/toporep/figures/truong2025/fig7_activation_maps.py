"""Figure 7: activation maps of the topographic layer for sample test images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures import style
from toporep.figures.truong2025 import FAMILIES, maps

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def draw(inputs: Mapping[str, Path], *, images: int = 5) -> tuple[Figure, pd.DataFrame]:
    """Draw the same few test images in each model: one model a row, one condition a block of columns.

    The images are the first of the test set in each of the first `images` classes.

    Args:
        inputs: any name → file of schema `activations`, all of one dataset and the same test images: each family at
            each strength with each seed, and, if there, models of the control.
        images: number of images, each of another class.

    Returns:
        The figure, and the table of `maps.table`.

    Raises:
        TopoRepError: see `maps.read_sample`.

    Source: Truong & Hasson 2025, section 3.4.2 and Figure 7.
    """
    sample = maps.read_sample(inputs, images=images, conditions=FAMILIES)
    with style.context():
        figure = maps.draw_page(sample)
    return figure, maps.table(sample)
