"""Figure 3: the test images that excite the units of a two-dimensional torus most."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D

from toporep.errors import TopoRepError
from toporep.figures import style
from toporep.figures.inputs import check_identity
from toporep.figures.keller2021_capsules import PAPER, disclaimer, label_of, provenance_lines, title_of
from toporep.figures.keller2021_capsules.traversals import Sheet
from toporep.io import read_dataset

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

_ANALYSIS, _CONDITION = "torus_images", "torus"
# The trained network, the same before training, and images put on the sheet at random.
_AGREEMENTS = {
    "agreement": ("trained", "#0072B2", "o"),
    "agreement_untrained": ("before training", "#7F7F7F", "s"),
    "agreement_chance": ("by chance", "0.2", "|"),
}
# Lay-out in inches.
_SIDE, _LEFT, _TOP, _BETWEEN = 4.3, 0.07, 0.42, 0.3


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw the sheet of images, the sheet of their classes, and how often neighbors are of one class.

    Args:
        inputs: `<dataset>.torus_images.runs` → file of schema `torus_images`; drawn is the lowest seed.

    Returns:
        The figure, and a table with one row a unit: dataset, source, scale, condition, seed, row, col, label (class of
        its image), and agreement, agreement_untrained, agreement_chance (of the sheet, the same for all units). It has
        no rows if the network was not trained.

    Raises:
        TopoRepError: not one such file; a file of another paper or data set; units that do not fill a sheet.

    Source: Keller & Welling 2021 (capsules), section 6.2 and Figure 3. The agreement of neighbors is ours: the paper
    judges by eye.
    """
    metric = _read(inputs)
    with style.context():
        figure = _draw(metric)
    return figure, _table(metric)


def _read(inputs: Mapping[str, Path]) -> xr.Dataset:
    """The file with one run, or none."""
    end = f".{_ANALYSIS}.runs"
    found = {name.removesuffix(end): path for name, path in inputs.items() if name.endswith(end)}
    if len(found) != 1:
        raise TopoRepError(f"inputs: expected one file named <dataset>{end}, found {', '.join(inputs) or 'none'}")
    ((dataset, path),) = found.items()
    metric = read_dataset(path, _ANALYSIS)
    check_identity(path, metric.attrs, paper=PAPER, dataset=dataset)
    sheet = _sheet(metric)
    index = metric["row"].values * sheet[1] + metric["col"].values
    if not np.array_equal(np.sort(index), np.arange(sheet[0] * sheet[1])):
        raise TopoRepError(
            f"{path}: row and col of the {len(index)} units do not fill a sheet of {sheet[0]} by {sheet[1]}; "
            "expected each place once"
        )
    runs = np.flatnonzero(metric["condition"].values == _CONDITION)
    return metric.isel(run=runs[np.argsort(metric["seed"].values[runs])][:1])


def _sheet(metric: xr.Dataset) -> tuple[int, int]:
    return int(metric["row"].max()) + 1, int(metric["col"].max()) + 1


def mosaic(images: np.ndarray, row: np.ndarray, col: np.ndarray) -> np.ndarray:
    """(unit, image row, image column, channel) → the sheet as one picture, row 0 and column 0 at the top left."""
    height, width = images.shape[1:3]
    shape = (int(row.max()) + 1, int(col.max()) + 1)
    sheet = np.zeros((*shape, height, width, 3), dtype=np.uint8)
    sheet[row, col] = images
    return sheet.swapaxes(1, 2).reshape(shape[0] * height, shape[1] * width, 3)


def _draw(metric: xr.Dataset) -> Figure:
    trained = metric.sizes["run"] > 0
    sheet = Sheet(_TOP + _SIDE + 0.1, _small_print(metric))
    further = "" if trained else f"Not trained at the {metric.attrs['scale']} scale"
    sheet.heading(0.14, f"{title_of(metric.attrs)}: {label_of(_CONDITION)}", further=further)
    if not trained:
        return sheet.figure
    one = metric.isel(run=0)
    axes = sheet.axes(_LEFT, _TOP, _SIDE, _SIDE)
    place = one["row"].values, one["col"].values
    axes.imshow(mosaic(one["image"].values, *place), interpolation="none", aspect="auto", origin="upper")
    axes.set_axis_off()
    _draw_classes(sheet, one)
    _draw_agreement(sheet, one)
    return sheet.figure


def _draw_classes(sheet: Sheet, one: xr.Dataset) -> None:
    """The class of each unit's image as a digit on its color."""
    left = _LEFT + _SIDE + _BETWEEN
    side = style.PAGE_WIDTH - left - 0.07
    sheet.text(left, _TOP - 0.09, "class of the image", fontsize=7)
    rows, cols = _sheet(one)
    labels = np.zeros((rows, cols), dtype=np.int64)
    labels[one["row"].values, one["col"].values] = one["label"].values
    axes = sheet.axes(left, _TOP, side, side)
    axes.imshow(labels, cmap="tab20", vmin=-0.5, vmax=19.5, interpolation="none", aspect="auto", origin="upper")
    axes.set_axis_off()
    if max(rows, cols) <= 24:
        for (row, col), label in np.ndenumerate(labels):
            axes.text(col, row, str(label), ha="center", va="center", fontsize=6, color="black")


def _draw_agreement(sheet: Sheet, one: xr.Dataset) -> None:
    left = _LEFT + _SIDE + _BETWEEN
    width = style.PAGE_WIDTH - left - 0.07
    axes = sheet.axes(left + 0.06, _TOP + _SIDE - 0.75, width - 0.12, 0.3)
    handles = []
    for name, (words, color, marker) in _AGREEMENTS.items():
        value = float(one[name])
        look = {"color": color, "marker": marker, "markersize": 10 if marker == "|" else 5, "linestyle": "none"}
        axes.plot(value, 0.5, clip_on=False, markeredgewidth=1.4 if marker == "|" else 0, **look)
        handles.append(Line2D([], [], label=f"{words}: {100 * value:.0f} %", **(look | {"markersize": 4})))
    axes.set(xlim=(0, 1), ylim=(0, 1), yticks=[], xticks=(0, 0.5, 1), xticklabels=("0", "50", "100"))
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("neighbors whose images are of one class (%)", labelpad=1.5)
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(-0.04, 1.1), borderpad=0, borderaxespad=0, labelspacing=0.35
    )


def _table(metric: xr.Dataset) -> pd.DataFrame:
    import pandas as pd

    columns = ["dataset", "source", "scale", "condition", "seed", "row", "col", "label", *_AGREEMENTS]
    if not metric.sizes["run"]:
        return pd.DataFrame(columns=columns)
    one = metric.isel(run=0)
    table = pd.DataFrame({name: one[name].values for name in ("row", "col", "label")})
    table = table.assign(
        **{key: one.attrs[key] for key in ("dataset", "source", "scale")},
        condition=_CONDITION,
        seed=int(one["seed"]),
        **{name: float(one[name]) for name in _AGREEMENTS},
    )
    return table[columns].sort_values(["row", "col"], ignore_index=True)


def _small_print(metric: xr.Dataset) -> list[str]:
    rows, cols = _sheet(metric)
    absent = [] if metric.sizes["run"] else [_CONDITION]
    seeds = f"network of seed {int(metric['seed'][0])}" if metric.sizes["run"] else ""
    return [
        f"For each of the {rows} × {cols} units of a torus, row 0 and column 0 at the top left, the test image at "
        "which its t is largest. The sheet is circular: its left edge adjoins its right one, its upper edge its "
        "lower one. Right: the classes of these images, and the share of neighboring units whose images are of one "
        "class: in the trained network, in the same one before training, and if the images lay on the sheet at "
        "random (not in the paper, which judges by eye).",
        *provenance_lines(metric.attrs, absent=absent, seeds=seeds),
        disclaimer([metric.attrs]),
    ]
