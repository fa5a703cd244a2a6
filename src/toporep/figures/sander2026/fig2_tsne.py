"""Figure 2: t-SNE maps of the embeddings, without topography and with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from toporep.errors import TopoRepError
from toporep.figures import style
from toporep.figures.inputs import check_identity
from toporep.figures.sander2026 import (
    PAPER,
    check_points,
    condition_styles,
    objectives_in,
    provenance_lines,
    rho_text,
    settings_of,
    title_of,
)
from toporep.io import read_dataset

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

# Warm colors are animate classes, cool ones are not. Of all choices tried, the first 6 and 4 stay furthest apart with
# normal vision and under color blindness.
_ANIMATE = ("#D6C935", "#CB7F52", "#8B1A5E", "#D60912", "#602A1C", "#F83374")
_INANIMATE = ("#387EB0", "#14D9F9", "#9372FA", "#2A0BA8", "#009988", "#6E6E6E")
_SPACES, _GROUPINGS = ("map", "embedding"), ("class", "animacy")

_NUMBER = {"fontsize": 6, "fontweight": "bold", "ha": "center", "va": "center", "zorder": 5}
# Least distance of two numbers across and up, in points.
_NUMBER_SIZE = np.array([6.0, 7.5])

# Lay-out in inches.
_LEFT, _RIGHT, _HEAD, _GAP, _TITLE, _FOOT = 0.42, 0.05, 0.74, 0.10, 0.30, 0.06


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw the map of one trial for each objective (columns) and topographic weight ρ (rows), points by class.

    Args:
        inputs: `<dataset>.tsne.runs` → file of schema `tsne`; its attribute `training` may name the `animate` classes.

    Returns:
        The figure, and a table with one row an image of each map: dataset, source, scale, condition, strength (ρ),
        seed, stimulus (index in the test set), label, class, x, y, and the silhouettes of the map and of the embedding,
        by class and by animacy: silhouette_map_class, … (the same for all images of a map).

    Raises:
        TopoRepError: a file of another schema, paper or data set; an objective that lacks a ρ; several trials.

    Source: Sander & Hasson 2026, "Representational Geometry" and Figure 2. Silhouettes are ours: the paper judges by
    eye.
    """
    metric = _read(inputs)
    table = _table(metric)
    groups = _classes(metric)
    conditions = objectives_in(metric["condition"].values.tolist())
    rhos = sorted(set(metric["strength"].values.tolist()))
    small_print = style.SmallPrint(_small_print(metric, conditions), left=0.07)
    with style.context():
        page = _Page(len(conditions), len(rhos), foot=small_print.height)
        figure = Figure(figsize=(style.PAGE_WIDTH, page.height))
        colors = {name: color for members in groups.values() for name, color in members.items()}
        for (condition, rho), rows in table.groupby(["condition", "strength"], sort=False):
            if condition in conditions:
                row, column = rhos.index(rho), conditions.index(condition)
                _scatter(figure.add_axes(page.place(row, column)), rows, colors)
        _names(figure, page, conditions, rhos)
        page.text(figure, 0.07, page.height - 0.07, title_of(metric.attrs), va="top", fontsize=8, fontweight="bold")
        names = json.loads(metric.attrs["class_names"])
        _legend(figure, page, groups, {name: number for number, name in enumerate(names)})
        small_print.draw(figure)
    return figure, table


def _read(inputs: Mapping[str, Path]) -> xr.Dataset:
    found = {name.removesuffix(".tsne.runs"): path for name, path in inputs.items() if name.endswith(".tsne.runs")}
    if len(found) != 1:
        raise TopoRepError(f"inputs: expected one file named <dataset>.tsne.runs, found {', '.join(inputs) or 'none'}")
    ((dataset, path),) = found.items()
    metric = read_dataset(path, "tsne")
    check_identity(path, metric.attrs, paper=PAPER, dataset=dataset)
    seeds = sorted(set(metric["seed"].values.tolist()))
    if len(seeds) != 1:
        raise TopoRepError(
            f"{path}: expected maps of one trial, found seeds {', '.join(map(str, seeds))}; name one in `seeds` of the "
            "analysis tsne and make the file again"
        )
    check_points(list(zip(metric["condition"].values.tolist(), metric["strength"].values.tolist(), strict=True)), path)
    return metric


def _table(metric: xr.Dataset) -> pd.DataFrame:
    import pandas as pd

    names = np.array(json.loads(metric.attrs["class_names"]), dtype=object)
    label = metric["label"].values
    tables = []
    for run in range(metric.sizes["run"]):
        one = metric.isel(run=run)
        silhouettes = {
            f"silhouette_{space}_{grouping}": float(one["silhouette"].sel(space=space, grouping=grouping))
            for space in _SPACES
            for grouping in _GROUPINGS
        }
        columns = {
            **{key: metric.attrs[key] for key in ("dataset", "source", "scale")},
            **{key: one[key].item() for key in ("condition", "strength", "seed")},
            "stimulus": metric["stimulus"].values,
            "label": label,
            "class": names[label],
            "x": one["coordinates"].values[:, 0],
            "y": one["coordinates"].values[:, 1],
            **silhouettes,
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _classes(metric: xr.Dataset) -> dict[str, dict[str, str]]:
    """Name of a group of classes → class → color."""
    names = json.loads(metric.attrs["class_names"])
    present = [names[label] for label in sorted(set(metric["label"].values.tolist()))]
    animate = json.loads(metric.attrs["training"]).get("animate")
    if animate is None:
        palette = [color for pair in zip(_INANIMATE, _ANIMATE, strict=True) for color in pair]
        return {"": {name: palette[index % len(palette)] for index, name in enumerate(present)}}
    groups = {"inanimate": ([name for name in present if name not in animate], _INANIMATE)}
    groups["animate"] = ([name for name in present if name in animate], _ANIMATE)
    return {
        group: {name: palette[index % len(palette)] for index, name in enumerate(members)}
        for group, (members, palette) in groups.items()
    }


def _scatter(axes: Axes, rows: pd.DataFrame, colors: Mapping[str, str]) -> None:
    # The first image of each class, then the second of each: no class lies on top of another.
    rows = rows.assign(turn=rows.groupby("label").cumcount()).sort_values(["turn", "label"])
    size = float(np.clip(3000 / len(rows), 1.2, 9))
    axes.scatter(rows["x"], rows["y"], s=size, c=rows["class"].map(colors), linewidths=0, alpha=0.85)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color="0.75")
    _number(axes, rows)
    axes.set_title("\n".join(_scores(rows.iloc[0])), fontsize=6, loc="left", pad=2.5, linespacing=1.25)


def _number(axes: Axes, rows: pd.DataFrame) -> None:
    """Write the number of each class at the median of its points, or beside it where another number is."""
    places = rows.groupby("label")[["x", "y"]].median()
    # What the equal aspect makes of the limits is known from here on.
    axes.apply_aspect()
    points = 72 / axes.figure.dpi
    at = axes.transData.transform(places.to_numpy()) * points
    for label, place, shift in zip(places.index, places.to_numpy(), _apart(at) - at, strict=True):
        text = axes.annotate(f"{label}", place, shift, textcoords="offset points", **_NUMBER)
        text.set_path_effects([withStroke(linewidth=1.4, foreground="white")])


def _apart(places: np.ndarray) -> np.ndarray:
    """(n, 2) places in points, moved until no two numbers lie on each other."""
    places = places.copy()
    for _ in range(200):
        step = places[:, None] - places[None]
        # As ellipses, since numbers are higher than wide; those at one place part along fixed directions.
        distance = np.hypot(*(step / _NUMBER_SIZE).transpose(2, 0, 1))
        close = (distance < 1) & ~np.eye(len(places), dtype=bool)
        if not close.any():
            break
        angle = np.arange(len(places))
        start = np.stack([np.cos(angle), np.sin(angle)], axis=1) * 0.01
        step = np.where(close[..., None], step + start[:, None] - start[None], 0.0)
        places += 0.3 * step.sum(axis=1) / np.maximum(np.abs(step).sum(axis=(1, 2)), 1e-9)[:, None]
    return places


def _scores(row: pd.Series) -> list[str]:
    """One line for the map and one for the embedding."""
    scores = {
        space: [f"{name} {_signed(row[f'silhouette_{space}_{name}'])}" for name in _GROUPINGS] for space in _SPACES
    }
    return [f"{space}: {', '.join(parts)}" for space, parts in scores.items()]


class _Page:
    """Where the maps stand; places in inches, rectangles in figure fractions."""

    def __init__(self, columns: int, rows: int, *, foot: float) -> None:
        room = style.PAGE_WIDTH - _LEFT - _RIGHT
        self.side = min((room - (columns - 1) * _GAP) / columns, 2.3)
        self.height = _HEAD + rows * (self.side + _TITLE) + (rows - 1) * _GAP + _FOOT + foot

    def left(self, column: int) -> float:
        return _LEFT + column * (self.side + _GAP)

    def bottom(self, row: int) -> float:
        return self.height - _HEAD - (row + 1) * (self.side + _TITLE) - row * _GAP

    def place(self, row: int, column: int) -> tuple[float, float, float, float]:
        width = self.side / style.PAGE_WIDTH
        left, bottom = self.left(column) / style.PAGE_WIDTH, self.bottom(row) / self.height
        return left, bottom, width, self.side / self.height

    def text(self, figure: Figure, x: float, y: float, text: str, **options: object) -> None:
        figure.text(x / style.PAGE_WIDTH, y / self.height, text, **options)


def _names(figure: Figure, page: _Page, conditions: Sequence[str], rhos: Sequence[float]) -> None:
    top = page.height - _HEAD
    for column, look in enumerate(condition_styles(conditions).values()):
        x = page.left(column) + page.side / 2
        page.text(figure, x, top, look.label, ha="center", va="bottom", color=look.color, fontweight="bold")
    for row, rho in enumerate(rhos):
        y = page.bottom(row) + page.side / 2
        page.text(figure, 0.2, y, f"ρ = {rho_text(rho)}", rotation=90, ha="center", va="center", fontweight="bold")


def _legend(figure: Figure, page: _Page, groups: Mapping[str, Mapping[str, str]], numbers: Mapping[str, int]) -> None:
    for line, (group, members) in enumerate(groups.items()):
        y = page.height - 0.30 - 0.15 * line
        page.text(figure, 0.07, y, f"{group or 'classes'}:", va="center", fontsize=6.5, fontweight="bold")
        figure.legend(
            handles=[_dot(f"{numbers[name]} {name}", color) for name, color in members.items()],
            loc="center left",
            bbox_to_anchor=(0.75 / style.PAGE_WIDTH, y / page.height),
            bbox_transform=figure.transFigure,
            ncols=len(members),
            borderpad=0,
            borderaxespad=0,
            handletextpad=0.1,
            columnspacing=1.0,
        )


def _dot(name: str, color: str) -> Line2D:
    return Line2D([], [], linestyle="none", marker="o", markersize=3.6, markeredgewidth=0, color=color, label=name)


def _signed(value: float) -> str:
    text = f"{abs(value):.2f}"
    sign = "\N{MINUS SIGN}" if value < 0 and float(text) else ""
    return sign + text.removeprefix("0")


def _small_print(metric: xr.Dataset, conditions: Sequence[str]) -> list[str]:
    settings = settings_of(metric)
    per_class, perplexity, seed = (settings[name] for name in ("per_class", "perplexity", "seed"))
    return [
        f"t-SNE (perplexity {perplexity:g}, seed {seed}) of the embeddings of the first {per_class} test images of each"
        f" class, one network a map: trial {metric['seed'].values[0]}. Numbers of classes stand at the median of their "
        "points, or beside it where two would lie on each other. Axes have no unit; distances between clusters, and "
        "places in different maps, cannot be compared. Above each map: mean silhouette of its points and of the "
        "embeddings themselves, by class and by animacy: 1 where groups lie apart, 0 where they overlap entirely (not "
        "in the paper).",
        *provenance_lines(metric.attrs, conditions=conditions),
    ]
