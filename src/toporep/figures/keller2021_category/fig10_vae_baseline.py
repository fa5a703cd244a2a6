"""Figure 10: selectivity for faces and single images of a VAE without topography."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures import style
from toporep.figures.keller2021_category import (
    check_together,
    label_of,
    number,
    percent,
    read_runs,
    run_of,
)
from toporep.figures.keller2021_category.maps import (
    SINGLE_LABELS,
    Panel,
    Row,
    draw_page,
    image_panel,
    map_line,
    origin_lines,
    selectivity_panel,
    single_lines,
    single_panel,
    table,
    threshold_of,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

_CONDITIONS = ("vae", "tvae")
_SETS = ("animate", "inanimate", "faces", "places", "hands")


def draw(inputs: Mapping[str, Path], *, example: int = 0) -> tuple[Figure, pd.DataFrame]:
    """Draw the map of d and activations for five images of the VAE, and below the same of the Topographic VAE.

    Args:
        inputs: `imagenet_faces.selectivity_faces_vae.runs` → file of schema `selectivity`, and
            `imagenet_faces.single_images_vae.runs`; drawn is the lowest seed.
        example: which of the first images of each set.

    Returns:
        The figure, and the table of `toporep.figures.keller2021_category.maps.table`.

    Raises:
        TopoRepError: a file that is missing or of another paper, files of several scales.

    Source: Keller, Gao & Welling 2021, Figure 10 (appendix A.6). The TVAE beside it and the numbers are ours.
    """
    metric = read_runs(inputs, "selectivity_faces_vae", "selectivity")
    singles = read_runs(inputs, "single_images_vae", "single_images")
    check_together([metric, singles])
    threshold = threshold_of(metric)
    images = [image_panel(singles, name, example=example, title=(name,)) for name in _SETS]
    rows = [Row([Panel("empty"), *images], ("image",))]
    labels = (*SINGLE_LABELS, "selective, sampled", "selective, posterior means")
    for condition in _CONDITIONS:
        maps = [single_panel(singles, condition, name, example=example) for name in _SETS]
        title = ("faces − objects",) if condition == _CONDITIONS[0] else ("",)
        rows.append(Row([_contrast(metric, condition, title), *maps], (label_of(condition),), labels))
    lines = [
        "Left: Cohen's d of faces against objects. Right: activations for single images. The paper shows the VAE "
        "(upper maps), and says that it has fewer selective units and that most units are active for each image.",
        map_line(metric),
        single_lines(singles, example),
        f"Selective: share of units with d ≥ {threshold:g}, of activations sampled from the posterior, as in the maps, "
        "and of its means, which have no noise (not in the paper).",
        *origin_lines(
            rows,
            metric.attrs,
            singles.attrs,
            sets=["faces", "objects", *(name for name in _SETS if name != "faces")],
        ),
    ]
    with style.context():
        sheet, _ = draw_page(
            "VAE without topography",
            rows,
            metric.attrs,
            lines,
            keys=["selectivity", "activation"],
            gap=0.08,
        )
    return sheet.figure, table(rows, metric.attrs)


def _contrast(metric: xr.Dataset, condition: str, title: tuple[str, ...]) -> Panel:
    """The map of d with its smoothness and its share of selective units, by samples and by means."""
    panel = selectivity_panel(metric, condition, name="faces − objects", title=title)
    run = run_of(metric, condition)
    if run is None:
        return panel
    shares = {
        name: float(run["selective_share"].sel(quantity=quantity))
        for name, quantity in (("selective_share", "activation"), ("selective_share_of_means", "mean_activation"))
    }
    numbers = [number(panel.measured["neighbor_r"]), "", "", *map(percent, shares.values())]
    return replace(panel, numbers=numbers, measured={**panel.measured, **shares})
