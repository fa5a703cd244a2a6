"""Metric files made so that a given claim holds, or does not; written without the code that reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Self

import numpy as np
import xarray as xr

from toporep.claims.entries import Claim, Claims, Leaf, Quantity, Selector, leaves_of
from toporep.claims.evidence import Evidence
from toporep.schemas import SCHEMAS

STRENGTHS = (0.1, 0.3, 0.5, 1.0, 2.0, 3.0)
CONDITIONS = ("ws", "as", "as_reshaped", "global")
LABELS = {
    "threshold": [0.1, 0.3, 0.5, 0.6, 0.7, 0.8],
    "estimator": ["unit_range", "common_range", "gaussian"],
    "mode": ["absolute", "relative"],
    "level": [0, 1, 2, 3],
    "normalization": ["matched", "mismatched"],
    "kind": ["white", "pink", "salt_pepper"],
    "variant": ["hard", "antialiased", "area_normalized"],
    "cycle": [0, 1, 2, 3, 4, 5],
    "cycle2_phase": ["horizontal", "vertical", "diagonal", "other"],
    "cycle4_phase": ["cardinal", "diagonal", "other"],
    "profile": ["increasing", "decreasing", "bandpass", "flat"],
    "epoch": list(range(16)),
    "unit": list(range(9)),
    "bin": np.round(np.linspace(-1, 1, 101)[:-1], 2).tolist(),
    "quantity": ["weights_neighbor", "weights_all", "activations_neighbor", "activations_all"],
}
OF_SCHEMA = {
    "correlations": {"threshold": [0.5, 0.9, 0.95, 0.99]},
    "dimensionality": {"quantity": ["weights", "weights_transposed", "activations_pre", "activations_post"]},
    "training_curves": {"quantity": ["train_accuracy", "train_cross_entropy", "spatial_loss"]},
    "image_noise_robustness": {"level": [0.01, 0.05, 0.1, 0.15, 0.2]},
    "ensembles": {
        "kind": ["pink", "white", "salt_pepper"],
        "level": [0.01, 0.05, 0.1, 0.15, 0.2],
        "vote": ["probability", "logit"],
    },
    "class_similarity": {"centering": ["raw", "centered"]},
    "tsne": {"space": ["embedding", "map"], "grouping": ["class", "animacy"]},
}
# Dimensions without a coordinate of their own name.
_UNLABELLED = {"weight_noise": ("level",)}


def labels(schema: str, dim: str) -> list:
    return {**LABELS, **OF_SCHEMA.get(schema, {})}[dim]


class World:
    """Metric files in memory: every variable is noise until a claim's part of it is set."""

    paper = "truong2025"

    def __init__(self, *, seeds: int = 10, noise: float = 1e-3, scale: str = "paper", sources=None) -> None:
        self.seeds, self.noise, self.scale = seeds, noise, scale
        self.sources = sources or {"mnist": "mnist", "cifar10": "cifar10"}
        self.files: dict[tuple[str, str], xr.Dataset] = {}
        self.random = np.random.default_rng(0)

    def evidence(self) -> Evidence:
        return Evidence(self.paper, self.scale, self.files)

    def points(self) -> list[tuple[str, float]]:
        """Conditions with their strengths."""
        return [("control", 0.0)] + [(name, strength) for name in CONDITIONS for strength in STRENGTHS]

    def strengths(self, condition: str) -> list[float]:
        return [strength for name, strength in self.points() if name == condition]

    def dims(self, leaf: Leaf) -> tuple[str, ...]:
        """Dimensions of a variable after that of its runs."""
        return SCHEMAS[leaf.schema].variables[leaf.variable][0][1:]

    def variable(self, leaf: Leaf) -> xr.DataArray:
        """The values of all runs; numbers written into it are in the file."""
        file = self.files.setdefault((leaf.dataset, leaf.analysis), self._empty(leaf))
        if leaf.variable not in file:
            dims = self.dims(leaf)
            sizes = [file.sizes["run"], *(len(labels(leaf.schema, dim)) for dim in dims)]
            file[leaf.variable] = (("run", *dims), self.random.uniform(1, 2, sizes))
            for dim in dims:
                if dim not in file.coords and dim not in _UNLABELLED.get(leaf.schema, ()):
                    # A column of bins is known by the left edges.
                    file.coords["bin_left" if dim == "bin" else dim] = (dim, labels(leaf.schema, dim))
        return file[leaf.variable]

    def set(self, leaf: Leaf, value: Callable[[str, int, int], float] | float) -> None:
        """Give a leaf's places a number, or a function of (dimension, index, count) that is added over dimensions."""
        variable = self.variable(leaf)
        strengths = self.strengths(leaf.condition)
        chosen = [("strength", positions(leaf.strength, strengths))]
        chosen += [(dim, positions(selector, labels(leaf.schema, dim))) for dim, selector in leaf.at]
        runs = variable["condition"].values == leaf.condition
        total = np.zeros([len(places) for _, places in chosen])
        for axis, (dim, places) in enumerate(chosen):
            one = [value(dim, i, len(places)) if callable(value) else 0.0 for i in range(len(places))]
            total += np.asarray(one).reshape([-1 if a == axis else 1 for a in range(total.ndim)])
        total = total + (0.0 if callable(value) else value)
        for i, place in enumerate(chosen[0][1]):
            rows = np.flatnonzero(runs & (variable["strength"].values == strengths[place]))
            block = total[i][None] + self.noise * self.random.normal(size=(len(rows), *total.shape[1:]))
            variable.values[np.ix_(rows, *(places for _, places in chosen[1:]))] = block

    def _empty(self, leaf: Leaf) -> xr.Dataset:
        runs = [(*point, seed) for point in self.points() for seed in range(self.seeds)]
        columns = dict(zip(("condition", "strength", "seed"), zip(*runs, strict=True), strict=True))
        coords = {name: ("run", np.array(column)) for name, column in columns.items()}
        return xr.Dataset(coords=coords, attrs={"source": self.sources[leaf.dataset], "scale": self.scale})


class WorldWithoutStrengths(World):
    """Of a paper whose conditions have no strength; `without` are those that are not trained."""

    conditions: tuple[str, ...] = ()

    def __init__(self, *, without=(), **options) -> None:
        super().__init__(**options)
        self.without = without

    @classmethod
    def filled(cls, claims: Iterable[Claim], value: Callable[[Leaf, str], np.ndarray | float], *, noise: float) -> Self:
        """A world in which every variable that claims read has the value of a function of it and the condition.

        The function's values are broadcast over the variable's dimensions. Networks differ by `noise` of the value, and
        by nothing on average, so that models with the same value are the same.
        """
        world = cls()
        leaves = {(leaf.dataset, leaf.analysis, leaf.variable): leaf for claim in claims for leaf in claim.leaves}
        for leaf in leaves.values():
            variable = world.variable(leaf)
            for condition in cls.conditions:
                rows = np.flatnonzero(variable["condition"].values == condition)
                deviations = world.random.normal(size=(len(rows), *variable.shape[1:]))
                deviations -= deviations.mean(axis=0)
                variable.values[rows] = value(leaf, condition) * (1 + noise * deviations)
        return world

    def points(self) -> list[tuple[str, float]]:
        return [(name, 0.0) for name in self.conditions]

    def evidence(self) -> Evidence:
        there = {
            key: file.isel(run=np.flatnonzero(~np.isin(file["condition"].values, self.without)))
            for key, file in self.files.items()
        }
        return Evidence(self.paper, self.scale, there)


def row_of(claims: Claims, name: str, **selected) -> Claim:
    """The first row of a claim, or the one with these attributes."""
    return next(
        row
        for row in claims.rows
        if row.id == name and all(getattr(row, key) == value for key, value in selected.items())
    )


def positions(selector: Selector, known: list) -> list[int]:
    if isinstance(selector.values, str):
        return {"all": list(range(len(known))), "first": [0], "last": [len(known) - 1]}[selector.values]
    if selector.bounds:
        low, high = (
            bound if bound is not None else side for bound, side in zip(selector.values, (-99, 99), strict=True)
        )
        return [i for i, label in enumerate(known) if low - 1e-6 <= label < high - 1e-6]
    return [list(known).index(value) for value in selector.values]


def make(claim: Claim, *, holds: bool, kind: type[World] = World, **options) -> World:
    """A world in which the claim holds, or in which it does not."""
    world = kind(**options)
    for leaf in claim.leaves:
        world.variable(leaf)
    settings, of, than = claim.options, claim.quantities.get("of"), claim.quantities.get("than")
    if (world.paper, claim.id) in BY_HAND:
        BY_HAND[world.paper, claim.id](world, claim, holds)
    elif claim.kind in ("number", "sign"):
        give(world, of, _target(settings, holds))
    elif "ratio" in settings:
        give(world, of, 20.0 * settings["ratio"] * (1.2 if holds else 1 / 1.2))
        give(world, than, 20.0)
    elif claim.kind == "greater":
        lead = settings.get("by", 0) + 1 if holds else settings.get("by", 0) - 1
        give(world, of, 20.0 + lead)
        give(world, than, 20.0)
    elif claim.kind == "trend":
        sign = (1 if settings["direction"] == "rises" else -1) * (1 if holds else -1)
        along = settings.get("along", "strength")
        curve(world, of, along, lambda i, n: sign * i)
        if than is not None:
            curve(world, than, along, lambda i, n: sign * i / 2)
    else:
        sign = (1 if settings["form"] == "valley" else -1) * (1 if holds else -1)
        along = settings.get("along", "strength")
        known = of.strength.values if along == "strength" else labels(of.schema, along)
        lowest = known.index(settings["at"][0]) if "at" in settings else 3
        curve(world, of, along, lambda i, n: sign * abs(i - lowest))
    return world


def give(world: World, quantity: Quantity, target: float) -> None:
    """Set the places of a quantity so that it has a value."""
    if not isinstance(quantity, Leaf):
        base = 40.0 if quantity.operation == "difference" else 2.0
        give(world, quantity.right, base)
        give(world, quantity.left, base + target if quantity.operation == "difference" else base * target)
        return
    reductions = {dim: selector for dim, selector in (("strength", quantity.strength), *quantity.at)}
    target /= quantity.times
    ranged = next((dim for dim, selector in reductions.items() if selector.reduction == "range"), None)
    if ranged:
        world.set(quantity, lambda dim, i, n: max(target, 0.0) * i / (n - 1) if dim == ranged else 0.0)
        return
    for selector in reductions.values():
        if selector.reduction == "sum":
            target /= len(selector.values)
    world.set(quantity, target)


def curve(world: World, quantity: Quantity, along: str, shape: Callable[[int, int], float]) -> None:
    """Set a curve along a dimension; of a difference, on its left side."""
    left, *right = leaves_of(quantity)
    world.set(left, lambda dim, i, n: shape(i, n) / left.times if dim == along else 5.0)
    for leaf in right:
        world.set(leaf, 5.0)


def _target(settings: dict, holds: bool) -> float:
    if "equals" in settings:
        return settings["equals"] + (0 if holds else 3 * settings["within"])
    low, high = settings.get("from", settings.get("above")), settings.get("to", settings.get("below"))
    if low is not None and high is not None:
        return (low + high) / 2 if holds else high + (high - low)
    inside = 1.0 if low is not None else -1.0
    bound = low if low is not None else high
    return bound + inside * (0.4 if holds else -0.4)


def _early_drop(world: World, claim: Claim, holds: bool) -> None:
    fall = np.exp(-np.arange(16) / 1.0) if holds else 1 - np.arange(16) / 15
    leaf = claim.leaves[0]
    variable = world.variable(leaf)
    place = labels("training_curves", "quantity").index("spatial_loss")
    variable.values[:, :, place] = fall + 1e-3 * world.random.normal(size=(variable.sizes["run"], 16))


def _late_drop(world: World, claim: Claim, holds: bool) -> None:
    term, accuracy = claim.quantities["term"], claim.quantities["accuracy"]
    drop = 9 if holds else 2
    world.set(accuracy, lambda dim, i, n: min(0.4 + 0.06 * i, 0.95) if dim == "epoch" else 0.0)
    world.set(term, lambda dim, i, n: (0.6 if i < drop else 0.3) if dim == "epoch" else 0.0)


BY_HAND = {("truong2025", "C31c"): _early_drop, ("truong2025", "C31f"): _late_drop}
