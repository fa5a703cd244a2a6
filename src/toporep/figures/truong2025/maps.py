"""What figures of activation maps share: the maps of the inputs, checked and in order, their pages and their table."""

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
from toporep.figures.inputs import check_identity
from toporep.figures.truong2025 import PAPER, PAPER_TRAINING, check_complete, families
from toporep.io import read_dataset

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

# The colors of the published maps.
COLORMAP = "viridis"

# Lay-out in inches.
_LEFT, _RIGHT, _HEAD, _KEY = 0.9, 0.05, 0.50, 0.46
_GAP, _GROUP_GAP, _LARGEST_MAP = 0.03, 0.14, 0.6


@dataclass(frozen=True)
class Model:
    """Maps of one trained network: maps has shape (stimuli, rows, columns)."""

    condition: str
    strength: float
    seed: int
    maps: np.ndarray


@dataclass(frozen=True)
class Sample:
    """The same few test images in several networks.

    Attributes:
        models: in drawing order: the control, then conditions, strengths and seeds.
        stimuli: indices of the images in the test set.
        labels: their classes.
        attrs: attributes of the first dump.
    """

    models: Sequence[Model]
    stimuli: np.ndarray
    labels: np.ndarray
    attrs: Mapping[str, object]

    def provenance(self) -> str:
        """One sentence on data, scale and training."""
        training = json.dumps(json.loads(str(self.attrs["config"])).get("training", {}))
        paper = PAPER_TRAINING.get(str(self.attrs["dataset"]))
        return style.provenance({**self.attrs, "training": training}, paper=paper)


def read_sample(inputs: Mapping[str, Path], *, images: int, conditions: Sequence[str]) -> Sample:
    """Read activation dumps and keep the maps of the first test image in each of the first `images` classes.

    Args:
        inputs: any name → file of schema `activations`, all of one dataset and the same test images: each condition at
            each strength with each seed, and, if there, networks of the control.
        images: number of images, each of another class.
        conditions: those that must be there beside the control.

    Raises:
        TopoRepError: a file of another schema, dataset or test set than the first; a condition, strength or seed that
            is missing or doubled; units that do not fill a rectangular sheet.
    """
    dumps = [(path, read_dataset(path, "activations")) for path in inputs.values()]
    first = dumps[0][1]
    for path, dump in dumps:
        _check_common(path, dump, first)
    stimuli = _choose(first["label"].values, images)
    models = _ordered([_model(path, dump, stimuli) for path, dump in dumps])
    _check_models(models, conditions)
    return Sample(models, stimuli, first["label"].values[stimuli], first.attrs)


def table(sample: Sample) -> pd.DataFrame:
    """Lay the maps out with one row a unit of each map.

    Columns: dataset, source, scale, condition, strength, seed, stimulus (index in the test set), label, row, col,
    activation (pre-ReLU).
    """
    import pandas as pd

    tables = []
    for model in sample.models:
        index = np.indices(model.maps.shape).reshape(3, -1)
        columns = {
            **{key: sample.attrs[key] for key in ("dataset", "source", "scale")},
            "condition": model.condition,
            "strength": model.strength,
            "seed": model.seed,
            "stimulus": sample.stimuli[index[0]],
            "label": sample.labels[index[0]],
            "row": index[1],
            "col": index[2],
            "activation": model.maps.ravel(),
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def draw_page(sample: Sample, *, by_strength: bool = False) -> Figure:
    """Draw one network a row and one condition a block of columns; by_strength: one strength a block.

    The control has no strength: its networks stand side by side under the blocks.
    """
    blocks = _blocks(sample.models, by_strength=by_strength)
    cells, rows = _cells(sample.models, blocks, by_strength=by_strength)
    small_print = style.SmallPrint(_small_print(sample), left=0.07)
    page = _Page(len(blocks), len(sample.stimuli), [row.group for row in rows], foot=small_print.height)
    figure = Figure(figsize=(style.PAGE_WIDTH, page.height))
    for (row, block), model in cells.items():
        for image, values in enumerate(model.maps):
            draw_map(figure.add_axes(page.place(row, block, image)), values)
        if model.condition == style.CONTROL:
            _control_label(figure, page, row, block, seed=model.seed)
    for index, block in enumerate(blocks):
        _block_head(figure, page, index, block, labels=sample.labels)
    _row_labels(figure, page, rows)
    _color_key(figure, page)
    small_print.draw(figure)
    return figure


def draw_map(axes: Axes, values: np.ndarray) -> None:
    """Draw the sheet, row 0 and column 0 at the top left, from its lowest to its highest unit."""
    axes.imshow(values, cmap=COLORMAP, vmin=values.min(), vmax=values.max(), interpolation="nearest", origin="upper")
    axes.set_axis_off()


def _check_common(path: Path, dump: xr.Dataset, first: xr.Dataset) -> None:
    shared = ("dataset", "source", "scale", "data_sha256")
    check_identity(path, dump.attrs, paper=PAPER, **{key: first.attrs[key] for key in shared})
    if not np.array_equal(dump["label"].values, first["label"].values):
        raise TopoRepError(f"{path}: its test images are in another order than in the first input; make the dump again")


def _check_models(models: Sequence[Model], conditions: Sequence[str]) -> None:
    found = [(model.condition, model.strength, model.seed) for model in models]
    for condition, strength, seed in found:
        if found.count((condition, strength, seed)) > 1:
            raise TopoRepError(
                f"inputs: {condition} at strength {strength:g}, seed {seed} is there twice, expected once"
            )
    points = list({(condition, strength) for condition, strength, _ in found})
    check_complete(points, where="inputs", control=False, conditions=conditions)
    seeds = sorted({seed for condition, _, seed in found if condition in conditions})
    for condition, strength in sorted({point[:2] for point in found if point[0] in conditions}):
        for seed in seeds:
            if (condition, strength, seed) not in found:
                raise TopoRepError(
                    f"inputs: {condition} at strength {strength:g} lacks seed {seed}, which other models have; "
                    "give the same seeds for each"
                )


def _choose(labels: np.ndarray, images: int) -> np.ndarray:
    classes, first_of_class = np.unique(labels, return_index=True)
    if not 1 <= images <= len(classes):
        raise TopoRepError(f"images: expected 1 to {len(classes)}, one a class of the test set, found {images}")
    return first_of_class[:images]


def _model(path: Path, dump: xr.Dataset, stimuli: np.ndarray) -> Model:
    rows, columns = dump["row"].values, dump["col"].values
    sheet = (rows.max() + 1, columns.max() + 1)
    if not np.array_equal(np.sort(rows * sheet[1] + columns), np.arange(sheet[0] * sheet[1])):
        raise TopoRepError(
            f"{path}: row and col of the {len(rows)} units do not fill a sheet of {sheet[0]} by {sheet[1]}; "
            "expected each place once"
        )
    maps = np.empty((len(stimuli), *sheet))
    maps[:, rows, columns] = dump["sheet_pre"].values[stimuli]
    return Model(str(dump.attrs["condition"]), float(dump.attrs["strength"]), int(dump.attrs["seed"]), maps)


def _ordered(models: Sequence[Model]) -> list[Model]:
    order = [style.CONTROL, *families([model.condition for model in models])]
    return sorted(models, key=lambda model: (order.index(model.condition), model.strength, model.seed))


@dataclass(frozen=True)
class _Block:
    """Networks of one condition, or of one strength, that stand above each other."""

    key: str | float
    title: str
    color: object


@dataclass(frozen=True)
class _Row:
    """Labels of a row: group, such as the strength, then the seed; a row of the control has no seed of its own."""

    group: str
    seed: int | None
    color: str = "black"


def _blocks(models: Sequence[Model], *, by_strength: bool) -> list[_Block]:
    trained = [model for model in models if model.condition != style.CONTROL]
    styles = style.condition_styles(list(dict.fromkeys(model.condition for model in trained)))
    if not by_strength:
        return [_Block(name, look.short, look.color) for name, look in styles.items()]
    strengths = sorted({model.strength for model in trained})
    color = next(iter(styles.values())).color
    return [_Block(strength, f"λ = {strength:g}", color) for strength in strengths]


def _cells(
    models: Sequence[Model], blocks: Sequence[_Block], *, by_strength: bool
) -> tuple[dict[tuple[int, int], Model], list[_Row]]:
    """Place each model in (row, block), and label the rows."""
    keys = [block.key for block in blocks]
    trained = [model for model in models if model.condition != style.CONTROL]
    order = list(dict.fromkeys(model.condition for model in trained))

    def row_of(model: Model) -> tuple[float, int]:
        return (order.index(model.condition) if by_strength else model.strength, model.seed)

    places = sorted({row_of(model) for model in trained})
    cells = {
        (places.index(row_of(model)), keys.index(model.strength if by_strength else model.condition)): model
        for model in trained
    }
    shorts = {name: look.short for name, look in style.condition_styles(order).items()}
    rows = [_Row(shorts[order[group]] if by_strength else f"λ = {group:g}", seed) for group, seed in places]
    first, red = len(rows), style.condition_styles([style.CONTROL])[style.CONTROL].color
    for index, model in enumerate(model for model in models if model.condition == style.CONTROL):
        cells[first + index // len(blocks), index % len(blocks)] = model
        if index % len(blocks) == 0:
            rows.append(_Row("control", None, red))
    return cells, rows


class _Page:
    """Where the maps stand, in figure fractions.

    Args:
        blocks: number of blocks side by side.
        images: maps of one network.
        groups: the group of each row; a wider gap divides rows of different groups.
        foot: room for the small print, in inches.
    """

    def __init__(self, blocks: int, images: int, groups: Sequence[str], *, foot: float) -> None:
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


def _block_head(figure: Figure, page: _Page, index: int, block: _Block, *, labels: np.ndarray) -> None:
    left, y = page.left(index), page.height - 0.22
    span = (left / style.PAGE_WIDTH, (left + page.block_width) / style.PAGE_WIDTH)
    figure.add_artist(
        Line2D(
            span,
            (y / page.height, y / page.height),
            color=block.color,
            linewidth=2,
            solid_capstyle="butt",
            transform=figure.transFigure,
        )
    )
    _text(figure, page, left + page.block_width / 2, y + 0.05, block.title, ha="center", va="bottom", fontweight="bold")
    for image, label in enumerate(labels):
        x = left + image * (page.side + _GAP) + page.side / 2
        _text(figure, page, x, page.height - _HEAD + 0.04, str(label), ha="center", va="bottom", fontsize=6.5)
    if index == 0:
        _text(figure, page, left - 0.08, page.height - _HEAD + 0.04, "class", ha="right", va="bottom", fontsize=6.5)


def _row_labels(figure: Figure, page: _Page, rows: Sequence[_Row]) -> None:
    for index, row in enumerate(rows):
        y = page.middle(index)
        if row.seed is not None:
            _text(figure, page, _LEFT - 0.08, y, f"seed {row.seed}", ha="right", va="center", fontsize=6.5)
        if row.seed is None or index == 0 or rows[index - 1].group != row.group:
            _text(figure, page, 0.07, y, row.group, ha="left", va="center", color=row.color, fontweight="bold")


def _control_label(figure: Figure, page: _Page, row: int, block: int, *, seed: int) -> None:
    x = page.left(block) + page.block_width / 2
    _text(figure, page, x, page.middle(row) - page.side / 2 - 0.04, f"seed {seed}", ha="center", va="top", fontsize=6.5)


def _text(figure: Figure, page: _Page, x: float, y: float, text: str, **options: object) -> None:
    figure.text(x / style.PAGE_WIDTH, y / page.height, text, **options)


def _color_key(figure: Figure, page: _Page) -> None:
    place = (_LEFT / style.PAGE_WIDTH, page.key / page.height, 1.2 / style.PAGE_WIDTH, 0.07 / page.height)
    axes = figure.add_axes(place)
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), COLORMAP), cax=axes, orientation="horizontal")
    bar.set_ticks([])
    bar.outline.set_visible(False)
    y = page.key + 0.035
    _text(figure, page, _LEFT - 0.08, y, "lowest unit", ha="right", va="center", fontsize=6.5)
    text = "highest unit of the map; pre-ReLU activation, each map on its own scale"
    _text(figure, page, _LEFT + 1.28, y, text, ha="left", va="center", fontsize=6.5)


def _small_print(sample: Sample) -> list[str]:
    rows, columns = sample.models[0].maps.shape[1:]
    return [
        f"Each map is the {rows} × {columns} sheet for one test image, row 0 and column 0 at the top left. The images "
        f"(numbers {', '.join(map(str, sample.stimuli))} of the test set) are the first of their class and the same in "
        "every model. Single models: nothing is averaged, so no band.",
        sample.provenance(),
        style.disclaimer([str(sample.attrs["scale"])]),
    ]
