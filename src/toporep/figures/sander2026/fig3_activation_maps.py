"""Figure 3: the embedding of one test image as a map of the sheet, with dropout and without."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from toporep.config import did_you_mean
from toporep.errors import TopoRepError
from toporep.figures import style
from toporep.figures.inputs import check_identity
from toporep.figures.sander2026 import (
    NO_DROPOUT,
    PAPER,
    check_points,
    condition_styles,
    in_order,
    is_variant,
    objective_of,
    objectives_in,
    point_table,
    provenance_lines,
    read_summary,
    rho_text,
    settings_of,
    title_of,
    trials_text,
)
from toporep.io import read_dataset

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_COLORMAP = "RdBu_r"
_ANALYSIS = "concentration"

# Lay-out in inches.
_LEFT, _RIGHT, _HEAD, _KEY, _NUMBERS = 0.95, 0.05, 0.48, 0.42, 0.13
_GAP, _GROUP_GAP, _LARGEST_MAP = 0.10, 0.14, 0.83


@dataclass(frozen=True)
class Map:
    """The answer of one network to the image.

    Attributes:
        condition, strength, seed: of the network.
        values: (rows, columns) embedding of the image on the sheet, signed.
        limit: largest absolute value over the first test image of each class.
    """

    condition: str
    strength: float
    seed: int
    values: np.ndarray
    limit: float


def draw(inputs: Mapping[str, Path], *, image_class: str = "truck") -> tuple[Figure, pd.DataFrame]:
    """Draw the map of one test image for each objective, with dropout and without (rows), and ρ (columns).

    The image is the first of its class in the test set. Colors run from minus to plus the largest absolute value that
    the network shows over the first test image of each class.

    Args:
        inputs: any name → file of schema `activations`, one network for each condition and ρ; and
            `<dataset>.concentration` → file of schema `concentration_summary`.
        image_class: name of the image's class.

    Returns:
        The figure, and a table with one row a unit of each map: dataset, source, scale, condition, strength (ρ), seed,
        stimulus (index in the test set), class, row, col, activation, limit (of the colors), top_share_mean and
        n_trials (of the network's condition and ρ, over all test images).

    Raises:
        TopoRepError: files that do not belong together, two networks of one condition and ρ, a gap in an objective, an
            unknown class, units that do not fill a sheet.

    Source: Sander & Hasson 2026, "Smoothness" and Figure 3; image and colors as in the published code. The share of the
    most active units is ours: the paper judges sparseness by eye.
    """
    files = {name: path for name, path in inputs.items() if not name.endswith(f".{_ANALYSIS}")}
    maps, attrs = _read_maps(files, image_class)
    summary = read_summary(inputs, "concentration_summary", analysis=_ANALYSIS)
    (path,) = (path for name, path in inputs.items() if name not in files)
    check_identity(path, summary.attrs, **{key: attrs[key] for key in ("dataset", "source", "scale")})
    shares = point_table(summary, ["top_share_mean"])
    table = _table(maps, shares, attrs)
    with style.context():
        figure = _draw(maps, shares, attrs, _small_print(maps, shares, summary, attrs))
    return figure, table


def _read_maps(files: Mapping[str, Path], image_class: str) -> tuple[list[Map], dict[str, object]]:
    """Maps in drawing order, and the attributes of the first dump with `stimulus`, the image's index, and `class`."""
    if not files:
        raise TopoRepError("inputs: expected activation dumps beside the summary of concentration, found none")
    first: xr.Dataset | None = None
    maps = []
    for path in files.values():
        dump = read_dataset(path, "activations")
        first = dump.drop_vars(list(dump.data_vars)) if first is None else first
        _check_common(path, dump, first)
        exemplars = _exemplars(path, dump)
        stimulus = exemplars[_class_index(path, dump, image_class)]
        maps.append(_map(path, dump, stimulus, list(exemplars.values())))
    found = [(one.condition, one.strength) for one in maps]
    check_points(found, "inputs")
    order = in_order([condition for condition, _ in found])
    objectives = list(dict.fromkeys(objective_of(name) for name in order))
    # A variant stands directly below its objective.
    maps.sort(key=lambda one: (objectives.index(objective_of(one.condition)), order.index(one.condition), one.strength))
    return maps, {**first.attrs, "stimulus": stimulus, "class": image_class}


def _check_common(path: Path, dump: xr.Dataset, first: xr.Dataset) -> None:
    shared = ("dataset", "source", "scale", "data_sha256")
    check_identity(path, dump.attrs, paper=PAPER, **{key: first.attrs[key] for key in shared})
    if not np.array_equal(dump["label"].values, first["label"].values):
        raise TopoRepError(f"{path}: its test images are in another order than in the first input; make the dump again")


def _exemplars(path: Path, dump: xr.Dataset) -> dict[int, int]:
    """Class → index of its first test image."""
    classes, indices = np.unique(dump["label"].values, return_index=True)
    return dict(zip(classes.tolist(), indices.tolist(), strict=True))


def _class_index(path: Path, dump: xr.Dataset, image_class: str) -> int:
    names = json.loads(str(dump.attrs.get("class_names", "[]")))
    present = [names[label] for label in sorted(set(dump["label"].values.tolist())) if label < len(names)]
    if image_class not in present:
        raise TopoRepError(
            f"{path}: no test image of class {image_class!r}{did_you_mean(image_class, present)}; "
            "set image_class of this figure"
        )
    return names.index(image_class)


def _map(path: Path, dump: xr.Dataset, stimulus: int, exemplars: Sequence[int]) -> Map:
    row, col = dump["row"].values, dump["col"].values
    sheet = (row.max() + 1, col.max() + 1)
    if not np.array_equal(np.sort(row * sheet[1] + col), np.arange(sheet[0] * sheet[1])):
        raise TopoRepError(
            f"{path}: row and col of the {len(row)} units do not fill a sheet of {sheet[0]} by {sheet[1]}; "
            "expected each place once"
        )
    values = np.empty(sheet)
    values[row, col] = dump["sheet_pre"].values[stimulus]
    limit = float(np.abs(dump["sheet_pre"].values[exemplars]).max())
    attrs = dump.attrs
    return Map(str(attrs["condition"]), float(attrs["strength"]), int(attrs["seed"]), values, limit)


def _table(maps: Sequence[Map], shares: pd.DataFrame, attrs: Mapping[str, object]) -> pd.DataFrame:
    import pandas as pd

    tables = []
    for one in maps:
        row, col = np.indices(one.values.shape).reshape(2, -1)
        columns = {
            **{key: attrs[key] for key in ("dataset", "source", "scale")},
            **{"condition": one.condition, "strength": one.strength, "seed": one.seed},
            **{"stimulus": attrs["stimulus"], "class": attrs["class"], "row": row, "col": col},
            **{"activation": one.values.ravel(), "limit": one.limit},
        }
        tables.append(pd.DataFrame(columns))
    table = pd.concat(tables, ignore_index=True)
    return table.merge(shares[["condition", "strength", "top_share_mean", "n_trials"]], how="left", sort=False)


class _Page:
    """Where the maps stand; places in inches.

    Args:
        columns: number of columns.
        groups: the objective of each row; a wider gap divides rows of different objectives.
        foot: room for the small print.
    """

    def __init__(self, columns: int, groups: Sequence[str], *, foot: float) -> None:
        free = style.PAGE_WIDTH - _LEFT - _RIGHT - (columns - 1) * _GAP
        self.side = min(free / columns, _LARGEST_MAP)
        gaps = [0.04 if now == before else _GROUP_GAP for before, now in zip(groups, groups[1:], strict=False)]
        self._tops = np.cumsum([0.0, *(_NUMBERS + self.side + gap for gap in gaps)])
        self.key = foot + 0.12
        self.height = float(_HEAD + self._tops[-1] + _NUMBERS + self.side + _KEY + foot)

    def left(self, column: int) -> float:
        return _LEFT + column * (self.side + _GAP)

    def top(self, row: int) -> float:
        """Upper edge of a map."""
        return float(self.height - _HEAD - self._tops[row] - _NUMBERS)

    def place(self, row: int, column: int) -> tuple[float, float, float, float]:
        """Rectangle of a map, in figure fractions."""
        left, bottom = self.left(column) / style.PAGE_WIDTH, (self.top(row) - self.side) / self.height
        return left, bottom, self.side / style.PAGE_WIDTH, self.side / self.height

    def text(self, figure: Figure, x: float, y: float, text: str, **options: object) -> None:
        figure.text(x / style.PAGE_WIDTH, y / self.height, text, **options)


def _draw(maps: Sequence[Map], shares: pd.DataFrame, attrs: Mapping[str, object], small_print: Sequence[str]) -> Figure:
    conditions = list(dict.fromkeys(one.condition for one in maps))
    rhos = sorted({one.strength for one in maps})
    print_ = style.SmallPrint(small_print, left=0.07)
    page = _Page(len(rhos), [objective_of(name) for name in conditions], foot=print_.height)
    figure = Figure(figsize=(style.PAGE_WIDTH, page.height))
    of_point = shares.set_index(["condition", "strength"])["top_share_mean"]
    for one in maps:
        row, column = conditions.index(one.condition), rhos.index(one.strength)
        axes = figure.add_axes(page.place(row, column))
        scale = {"vmin": -one.limit, "vmax": one.limit} if one.limit else {"vmin": -1, "vmax": 1}
        axes.imshow(one.values, cmap=_COLORMAP, interpolation="nearest", origin="upper", **scale)
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(visible=True, color="0.75", linewidth=0.4)
        left, y = page.left(column), page.top(row) + 0.025
        share = of_point.get((one.condition, one.strength), np.nan)
        page.text(figure, left, y, f"{100 * share:.0f} %" if np.isfinite(share) else "–", fontsize=6)
        page.text(figure, left + page.side, y, f"± {one.limit:.2g}", fontsize=6, ha="right", color="0.4")
    _names(figure, page, conditions, rhos)
    page.text(figure, 0.07, page.height - 0.07, title_of(attrs), va="top", fontsize=8, fontweight="bold")
    _color_key(figure, page)
    print_.draw(figure)
    return figure


def _names(figure: Figure, page: _Page, conditions: Sequence[str], rhos: Sequence[float]) -> None:
    for column, rho in enumerate(rhos):
        x, y = page.left(column) + page.side / 2, page.height - _HEAD + 0.05
        page.text(figure, x, y, f"ρ = {rho_text(rho)}", ha="center", va="bottom", fontweight="bold")
    for row, (name, look) in enumerate(condition_styles(conditions).items()):
        without = is_variant(name, NO_DROPOUT)
        label = condition_styles([objective_of(name)])[objective_of(name)].short + "*" if without else look.short
        y = page.top(row) - page.side / 2
        page.text(figure, 0.07, y, label, va="center", color=look.color, fontweight="bold")
        if without:
            page.text(figure, 0.07, y - 0.13, "no dropout", va="center", color=look.color, fontsize=6)


def _color_key(figure: Figure, page: _Page) -> None:
    place = (_LEFT / style.PAGE_WIDTH, page.key / page.height, 1.2 / style.PAGE_WIDTH, 0.07 / page.height)
    axes = figure.add_axes(place)
    bar = figure.colorbar(ScalarMappable(Normalize(-1, 1), _COLORMAP), cax=axes, orientation="horizontal")
    bar.set_ticks([])
    bar.outline.set_visible(False)
    y, words = page.key + 0.035, {"va": "center", "fontsize": 6.5}
    page.text(figure, _LEFT - 0.06, y, "\N{MINUS SIGN}max", ha="right", **words)
    text = "+max of the network (± above each map); white: 0. Each network has a scale of its own."
    page.text(figure, _LEFT + 1.26, y, text, **words)


def _small_print(
    maps: Sequence[Map], shares: pd.DataFrame, summary: xr.Dataset, attrs: Mapping[str, object]
) -> list[str]:
    rows, columns = maps[0].values.shape
    share = float(settings_of(summary)["share"])
    normal = math.exp(-(NormalDist().inv_cdf(1 - share / 2) ** 2) / 2)
    seeds = ", ".join(str(seed) for seed in sorted({one.seed for one in maps}))
    drawn = shares.merge(_points(maps), on=["condition", "strength"])
    return [
        f"Embedding of one test image, before any ReLU, on the sheet of {rows} × {columns}, row 0 and column 0 at the "
        f"top left: the first image of class {attrs['class']} (number {attrs['stimulus']} of the test set), the same "
        f"in every map; one network a map, trial {seeds}. ± above each map: the largest absolute value over the first "
        "test image of each class, where the colors end.",
        f"% above each map: share of the summed absolute activation that the most active {100 * share:g} % of the "
        f"units carry, mean over all test images and trials ({trials_text(drawn)}). Units that are all alike would "
        f"carry {100 * share:g} %, normally distributed ones {100 * normal:.0f} % (not in the paper).",
        *provenance_lines(summary.attrs, conditions=objectives_in([one.condition for one in maps])),
    ]


def _points(maps: Sequence[Map]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"condition": [one.condition for one in maps], "strength": [one.strength for one in maps]})
