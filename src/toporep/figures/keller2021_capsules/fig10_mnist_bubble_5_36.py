"""Figure 10: capsule traversals of MNIST, BubbleVAE, L = 5S/36."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures.keller2021_capsules.traversals import draw_examples

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

CONDITION = "bubble_5_36"


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw the examples of the model; see `draw_examples`."""
    return draw_examples(inputs, CONDITION)
