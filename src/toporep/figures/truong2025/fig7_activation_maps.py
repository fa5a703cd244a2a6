"""Figure 7: activation maps of the topographic layer for sample test images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from toporep.errors import TopoRepError
from toporep.figures import style
from toporep.figures.truong2025 import FAMILIES, PAPER, PAPER_TRAINING, check_complete, check_identity, families
from toporep.io import read_dataset

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

# The colours of the published maps.
_COLORMAP = "viridis"

# Lay-out in inches.
_LEFT, _RIGHT, _HEAD, _KEY = 0.9, 0.05, 0.50, 0.46
_GAP, _GROUP_GAP, _LARGEST_MAP = 0.03, 0.14, 0.6


@dataclass(frozen=True)
class _Model:
    """Maps of one trained model: maps has shape (stimuli, rows, columns)."""

    condition: str
    strength: float
    seed: int
    maps: np.ndarray


def draw(inputs: Mapping[str, Path], *, images: int = 5) -> tuple[Figure, pd.DataFrame]:
    """Draw the same few test images in each model: one model a row, one condition a block of columns.

    The images are the first of the test set in each of the first `images` classes.

    Args:
        inputs: any name → file of schema `activations`, all of one dataset and the same test images: each family at
            each strength with each seed, and, if there, models of the control.
        images: number of images, each of another class.

    Returns:
        The figure, and a table with one row a unit of each map drawn. Columns: dataset, source, scale, condition,
        strength, seed, stimulus (index in the test set), label, row, col, activation (pre-ReLU).

    Raises:
        TopoRepError: a file of another schema, dataset or test set than the first; a condition, strength or seed that
            is missing or doubled; units that do not fill a rectangular sheet.

    Source: Truong & Hasson 2025, section 3.4.2 and Figure 7.
    """
    dumps = [(path, read_dataset(path, "activations")) for path in inputs.values()]
    first = dumps[0][1]
    for path, dump in dumps:
        _check_common(path, dump, first)
    stimuli = _sample(first["label"].values, images)
    models = _ordered([_model(path, dump, stimuli) for path, dump in dumps])
    _check_models(models)
    labels = first["label"].values[stimuli]
    with style.context():
        figure = _draw(models, stimuli, labels, attrs=first.attrs)
    return figure, _table(models, stimuli, labels, attrs=first.attrs)


def _check_common(path: Path, dump: xr.Dataset, first: xr.Dataset) -> None:
    shared = ("dataset", "source", "scale", "data_sha256")
    check_identity(path, dump.attrs, paper=PAPER, **{key: first.attrs[key] for key in shared})
    if not np.array_equal(dump["label"].values, first["label"].values):
        raise TopoRepError(f"{path}: its test images are in another order than in the first input; make the dump again")


def _check_models(models: Sequence[_Model]) -> None:
    found = [(model.condition, model.strength, model.seed) for model in models]
    for condition, strength, seed in found:
        if found.count((condition, strength, seed)) > 1:
            raise TopoRepError(
                f"inputs: {condition} at strength {strength:g}, seed {seed} is there twice, expected once"
            )
    check_complete(list({(condition, strength) for condition, strength, _ in found}), where="inputs", control=False)
    seeds = sorted({seed for condition, _, seed in found if condition in FAMILIES})
    for condition, strength in {point[:2] for point in found if point[0] in FAMILIES}:
        for seed in seeds:
            if (condition, strength, seed) not in found:
                raise TopoRepError(
                    f"inputs: {condition} at strength {strength:g} lacks seed {seed}, which other models have; "
                    "give the same seeds for each"
                )


def _sample(labels: np.ndarray, images: int) -> np.ndarray:
    classes, first_of_class = np.unique(labels, return_index=True)
    if not 1 <= images <= len(classes):
        raise TopoRepError(f"images: expected 1 to {len(classes)}, one a class of the test set, found {images}")
    return first_of_class[:images]


def _model(path: Path, dump: xr.Dataset, stimuli: np.ndarray) -> _Model:
    rows, columns = dump["row"].values, dump["col"].values
    sheet = (rows.max() + 1, columns.max() + 1)
    if not np.array_equal(np.sort(rows * sheet[1] + columns), np.arange(sheet[0] * sheet[1])):
        raise TopoRepError(
            f"{path}: row and col of the {len(rows)} units do not fill a sheet of {sheet[0]} by {sheet[1]}; "
            "expected each place once"
        )
    maps = np.empty((len(stimuli), *sheet))
    maps[:, rows, columns] = dump["fc1_pre"].values[stimuli]
    return _Model(str(dump.attrs["condition"]), float(dump.attrs["strength"]), int(dump.attrs["seed"]), maps)


def _ordered(models: Sequence[_Model]) -> list[_Model]:
    order = [style.CONTROL, *families([model.condition for model in models])]
    return sorted(models, key=lambda model: (order.index(model.condition), model.strength, model.seed))


def _table(
    models: Sequence[_Model], stimuli: np.ndarray, labels: np.ndarray, *, attrs: Mapping[str, object]
) -> pd.DataFrame:
    import pandas as pd

    tables = []
    for model in models:
        index = np.indices(model.maps.shape).reshape(3, -1)
        columns = {
            **{key: attrs[key] for key in ("dataset", "source", "scale")},
            "condition": model.condition,
            "strength": model.strength,
            "seed": model.seed,
            "stimulus": stimuli[index[0]],
            "label": labels[index[0]],
            "row": index[1],
            "col": index[2],
            "activation": model.maps.ravel(),
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _draw(models: Sequence[_Model], stimuli: np.ndarray, labels: np.ndarray, *, attrs: Mapping[str, object]) -> Figure:
    blocks = list(dict.fromkeys(model.condition for model in models if model.condition != style.CONTROL))
    cells, row_labels = _cells(models, blocks)
    small_print = style.SmallPrint(_small_print(models, stimuli, attrs), left=0.07)
    groups = [strength for strength, _ in row_labels]
    page = _Page(blocks=len(blocks), images=len(stimuli), groups=groups, foot=small_print.height)
    figure = Figure(figsize=(style.PAGE_WIDTH, page.height))
    styles = style.condition_styles([style.CONTROL, *blocks])
    for (row, block), model in cells.items():
        for image, values in enumerate(model.maps):
            _draw_map(figure.add_axes(page.place(row, block, image)), values)
        if model.condition == style.CONTROL:
            _control_label(figure, page, row, block, seed=model.seed)
    for block, name in enumerate(blocks):
        _block_head(figure, page, block, look=styles[name], labels=labels)
    _row_labels(figure, page, row_labels, color=styles[style.CONTROL].color)
    _color_key(figure, page)
    small_print.draw(figure)
    return figure


def _cells(
    models: Sequence[_Model], blocks: Sequence[str]
) -> tuple[dict[tuple[int, int], _Model], list[tuple[float, int | None]]]:
    """Place each model in (row, block); label each row with (strength, seed), the control's with (0, None)."""
    trained = [model for model in models if model.condition != style.CONTROL]
    rows: list[tuple[float, int | None]] = sorted({(model.strength, model.seed) for model in trained})
    cells = {(rows.index((model.strength, model.seed)), blocks.index(model.condition)): model for model in trained}
    # The control has no λ: its models stand side by side under the blocks.
    first = len(rows)
    for index, model in enumerate(model for model in models if model.condition == style.CONTROL):
        cells[first + index // len(blocks), index % len(blocks)] = model
        if index % len(blocks) == 0:
            rows.append((model.strength, None))
    return cells, rows


class _Page:
    """Where the maps stand, in figure fractions.

    Args:
        blocks: conditions side by side.
        images: maps of one model.
        groups: the strength of each row; a wider gap divides rows of different strengths.
        foot: room for the small print, in inches.
    """

    def __init__(self, *, blocks: int, images: int, groups: Sequence[float], foot: float) -> None:
        free = style.PAGE_WIDTH - _LEFT - _RIGHT - (blocks - 1) * _GROUP_GAP - blocks * (images - 1) * _GAP
        self.side = min(free / (blocks * images), _LARGEST_MAP)
        self.block_width = images * self.side + (images - 1) * _GAP
        gaps = [_GAP if now == before else _GROUP_GAP for before, now in zip(groups, groups[1:], strict=False)]
        self._tops = np.cumsum([0.0, *(self.side + gap for gap in gaps)])
        self.key = foot + 0.14
        self.height = _HEAD + self._tops[-1] + self.side + _KEY + foot

    def left(self, block: int) -> float:
        """Left edge of a block, in inches."""
        return _LEFT + block * (self.block_width + _GROUP_GAP)

    def middle(self, row: int) -> float:
        """Height of the middle of a row, in inches from the bottom."""
        return self.height - _HEAD - self._tops[row] - self.side / 2

    def place(self, row: int, block: int, image: int) -> tuple[float, float, float, float]:
        """Rectangle of a map, in figure fractions."""
        left, bottom = self.left(block) + image * (self.side + _GAP), self.middle(row) - self.side / 2
        return (
            left / style.PAGE_WIDTH,
            bottom / self.height,
            self.side / style.PAGE_WIDTH,
            self.side / self.height,
        )


def _draw_map(axes: Axes, values: np.ndarray) -> None:
    axes.imshow(values, cmap=_COLORMAP, vmin=values.min(), vmax=values.max(), interpolation="nearest", origin="upper")
    axes.set_axis_off()


def _block_head(figure: Figure, page: _Page, block: int, *, look: style.ConditionStyle, labels: np.ndarray) -> None:
    left, y = page.left(block), page.height - 0.22
    span = (left / style.PAGE_WIDTH, (left + page.block_width) / style.PAGE_WIDTH)
    figure.add_artist(
        Line2D(
            span,
            (y / page.height, y / page.height),
            color=look.color,
            linewidth=2,
            solid_capstyle="butt",
            transform=figure.transFigure,
        )
    )
    _text(figure, page, left + page.block_width / 2, y + 0.05, look.short, ha="center", va="bottom", fontweight="bold")
    for image, label in enumerate(labels):
        x = left + image * (page.side + _GAP) + page.side / 2
        _text(figure, page, x, page.height - _HEAD + 0.04, str(label), ha="center", va="bottom", fontsize=6.5)
    if block == 0:
        _text(figure, page, left - 0.08, page.height - _HEAD + 0.04, "class", ha="right", va="bottom", fontsize=6.5)


def _row_labels(figure: Figure, page: _Page, rows: Sequence[tuple[float, int | None]], *, color: str) -> None:
    for row, (strength, seed) in enumerate(rows):
        if seed is None:
            _text(
                figure, page, 0.07, page.middle(row), "control", ha="left", va="center", color=color, fontweight="bold"
            )
            continue
        _text(figure, page, _LEFT - 0.08, page.middle(row), f"seed {seed}", ha="right", va="center", fontsize=6.5)
        if row == 0 or rows[row - 1][0] != strength:
            _text(figure, page, 0.07, page.middle(row), f"λ = {strength:g}", ha="left", va="center", fontweight="bold")


def _control_label(figure: Figure, page: _Page, row: int, block: int, *, seed: int) -> None:
    x = page.left(block) + page.block_width / 2
    _text(figure, page, x, page.middle(row) - page.side / 2 - 0.04, f"seed {seed}", ha="center", va="top", fontsize=6.5)


def _text(figure: Figure, page: _Page, x: float, y: float, text: str, **options: object) -> None:
    figure.text(x / style.PAGE_WIDTH, y / page.height, text, **options)


def _color_key(figure: Figure, page: _Page) -> None:
    place = (_LEFT / style.PAGE_WIDTH, page.key / page.height, 1.2 / style.PAGE_WIDTH, 0.07 / page.height)
    axes = figure.add_axes(place)
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), _COLORMAP), cax=axes, orientation="horizontal")
    bar.set_ticks([])
    bar.outline.set_visible(False)
    y = page.key + 0.035
    _text(figure, page, _LEFT - 0.08, y, "lowest unit", ha="right", va="center", fontsize=6.5)
    text = "highest unit of the map; pre-ReLU activation, each map on its own scale"
    _text(figure, page, _LEFT + 1.28, y, text, ha="left", va="center", fontsize=6.5)


def _small_print(models: Sequence[_Model], stimuli: np.ndarray, attrs: Mapping[str, object]) -> list[str]:
    rows, columns = models[0].maps.shape[1:]
    training = {"training": json.dumps(json.loads(str(attrs["config"])).get("training", {}))}
    return [
        f"Each map is the {rows} × {columns} sheet for one test image, row 0 and column 0 at the top left. The images "
        f"(numbers {', '.join(map(str, stimuli))} of the test set) are the first of their class and the same in every "
        "model. Single models: nothing is averaged, so no band.",
        style.provenance({**attrs, **training}, paper=PAPER_TRAINING.get(str(attrs["dataset"]))),
        style.disclaimer([str(attrs["scale"])]),
    ]
