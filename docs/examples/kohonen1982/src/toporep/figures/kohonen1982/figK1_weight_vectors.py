"""Figure K1: the weight vectors of each unit as images, untrained and trained with and without a neighborhood."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from toporep.errors import TopoRepError
from toporep.figures import style
from toporep.figures.inputs import check_identity
from toporep.figures.kohonen1982 import DISCLAIMER, PAPER, name_of
from toporep.io import read_dataset

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

# Lay-out in inches; between two units, in pixels of an image.
_MARGIN, _BETWEEN, _HEAD = 0.08, 0.14, 0.26
_GAP = 1


@dataclass(frozen=True)
class _Map:
    """Weight vectors of one map in pixel values, (row, col, image row, image col): 0 is black, 1 is white."""

    condition: str
    strength: float
    seed: int
    images: np.ndarray
    attrs: Mapping[str, object]


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw one panel a map: at the place of each unit on the sheet, the image that it responds to most.

    Args:
        inputs: any name → file of schema `activations`, in panel order, all of one data set.

    Returns:
        The figure, and a table with the columns dataset, source, scale, condition, strength, seed, row, col, image_row,
        image_col, value (0 black, 1 white; not clipped).

    Raises:
        TopoRepError: a file of another schema, paper or data set; weights that are no square images.
    """
    maps = [_read(path) for path in inputs.values()]
    for path, one in zip(inputs.values(), maps, strict=True):
        check_identity(path, one.attrs, **{key: maps[0].attrs[key] for key in ("dataset", "source", "scale")})
    with style.context():
        small_print = style.SmallPrint(_small_print(maps), left=_MARGIN)
        panel = (style.PAGE_WIDTH - 2 * _MARGIN - (len(maps) - 1) * _BETWEEN) / len(maps)
        rows, cols = maps[0].images.shape[:2]
        height = _HEAD + panel * rows / cols + small_print.height
        figure = Figure(figsize=(style.PAGE_WIDTH, height))
        for index, one in enumerate(maps):
            left = (_MARGIN + index * (panel + _BETWEEN)) / style.PAGE_WIDTH
            place = (left, small_print.height / height, panel / style.PAGE_WIDTH, panel * rows / cols / height)
            axes = figure.add_axes(place)
            # White between units; nothing is resampled.
            axes.imshow(_mosaic(one.images), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_axis_off()
            axes.set_title(name_of(one.condition, one.strength), loc="left", fontweight="bold")
        small_print.draw(figure)
    return figure, _table(maps)


def _read(path: Path) -> _Map:
    dump = read_dataset(path, "activations")
    check_identity(path, dump.attrs, paper=PAPER)
    return _Map(
        str(dump.attrs["condition"]),
        float(dump.attrs["strength"]),
        int(dump.attrs["seed"]),
        _images(dump, path),
        dump.attrs,
    )


def _images(dump: xr.Dataset, path: Path) -> np.ndarray:
    weight = dump["sheet_weight"].values.astype(np.float64)
    side = math.isqrt(weight.shape[1])
    if side**2 != weight.shape[1]:
        raise TopoRepError(f"{path}: expected weights of square images, found {weight.shape[1]} of a unit")
    training = json.loads(str(dump.attrs["config"]))["training"]
    (mean,), (std,) = training["mean"], training["std"]
    rows, cols = int(dump["row"].max()) + 1, int(dump["col"].max()) + 1
    return (weight * std + mean).reshape(rows, cols, side, side)


def _mosaic(images: np.ndarray) -> np.ndarray:
    """The images side by side, white between them."""
    padded = np.pad(images, ((0, 0), (0, 0), (0, _GAP), (0, _GAP)), constant_values=1.0)
    rows, cols, height, width = padded.shape
    return padded.swapaxes(1, 2).reshape(rows * height, cols * width)[:-_GAP, :-_GAP]


def _table(maps: list[_Map]) -> pd.DataFrame:
    import pandas as pd

    tables = []
    for one in maps:
        row, col, image_row, image_col = np.indices(one.images.shape).reshape(4, -1)
        columns = {
            **{key: one.attrs[key] for key in ("dataset", "source", "scale")},
            **{key: getattr(one, key) for key in ("condition", "strength", "seed")},
            **{"row": row, "col": col, "image_row": image_row, "image_col": image_col, "value": one.images.ravel()},
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _small_print(maps: list[_Map]) -> list[str]:
    first = maps[0]
    rows, cols = first.images.shape[:2]
    seeds = ", ".join(dict.fromkeys(str(one.seed) for one in maps))
    training = json.dumps(json.loads(str(first.attrs["config"]))["training"])
    return [
        f"Weight vectors of the {rows} × {cols} units as images, each where its unit lies on the sheet; black 0, white "
        f"1 in pixel values, values beyond are clipped. n = 1 map a panel, all of seed {seeds}, so with the same "
        "initial weights, which are training images in random places. Widths are in grid spacings.",
        style.provenance({**first.attrs, "training": training}),
        DISCLAIMER,
    ]
