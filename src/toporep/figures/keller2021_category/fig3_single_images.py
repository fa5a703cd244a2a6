"""Figure 3: what the units of the Topographic VAE answer to single images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures import style
from toporep.figures.keller2021_category import read_runs
from toporep.figures.keller2021_category.maps import (
    SINGLE_LABELS,
    Row,
    draw_page,
    image_panel,
    origin_lines,
    single_lines,
    single_panel,
    table,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_SETS = ("animate", "inanimate", "faces", "places", "hands")


def draw(inputs: Mapping[str, Path], *, example: int = 0) -> tuple[Figure, pd.DataFrame]:
    """Draw one image of each of five sets, and the activation of the trained and the untrained network for it.

    Args:
        inputs: `imagenet_faces.single_images.runs` → file of schema `single_images`; drawn is the lowest seed.
        example: which of the first images of each set.

    Returns:
        The figure, and the table of `toporep.figures.keller2021_category.maps.table`; `value` is the activation.

    Raises:
        TopoRepError: no such file, a file of another paper, an example that is not there.

    Source: Keller, Gao & Welling 2021, Figure 3, whose images are drawn at random; the untrained network and all
    numbers are ours.
    """
    metric = read_runs(inputs, "single_images")
    rows = [
        Row([image_panel(metric, name, example=example, title=(name,)) for name in _SETS], ("image",)),
        Row([single_panel(metric, "tvae", name, example=example) for name in _SETS], ("TVAE",), SINGLE_LABELS),
        Row(
            [single_panel(metric, "tvae_untrained", name, example=example) for name in _SETS],
            ("TVAE", "before training"),
            SINGLE_LABELS,
        ),
    ]
    lines = [
        single_lines(metric, example),
        *origin_lines(rows, metric.attrs, sets=_SETS),
    ]
    with style.context():
        sheet, _ = draw_page("Activations for single images", rows, metric.attrs, lines, keys=["activation"])
    return sheet.figure, table(rows, metric.attrs)
