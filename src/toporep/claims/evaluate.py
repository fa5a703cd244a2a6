"""Evaluates claims: the statistic at each point, its interval over seeds, and what follows for the whole claim.

A test turns the claim's quantities into a statistic at one or several points (a strength, a threshold, ...) and into a
range in which the statistic must lie. A point holds if its whole interval lies in the range and fails if its whole
interval lies outside. How many points must hold is the claim's `needs`. That at least k of m points hold is concluded
if k of them hold at level 1 − 0.05/(m − k + 1), that fewer do if m − k + 1 of them fail at level 1 − 0.05/k (partial
conjunction with Bonferroni's bound: Benjamini & Heller 2008, Biometrics 64:1215), so that either conclusion errs in at
most 5 % of cases however many points there are and however they depend on each other. For "all" that means: every
single point holds at 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import xarray as xr

from toporep.claims.bootstrap import DRAWS, LEVEL, MIN_SEEDS, interval, resampling_weights
from toporep.claims.entries import Claim, Leaf, Quantity
from toporep.claims.evidence import Evidence, NotThere
from toporep.claims.special import FUNCTIONS
from toporep.errors import TopoRepError

HOLDS, FAILS, OPEN, NOT_RUN = "holds", "fails", "open", "not run"
_CHOICE = "choice"
_CELL = "cell"


@dataclass(frozen=True)
class Point:
    """The statistic at one point of a claim.

    Attributes:
        label: where, such as "strength=0.1, threshold=0.3"; "" where the claim has one point.
        value: the statistic of the means over seeds.
        low, high: its 95 % interval; NaN with fewer than 3 seeds.
        effect: distance of the statistic from the bound of the test, in SDs over seeds of the same statistic of single
            networks (for a difference: Cohen's d of the pairs); NaN where a test has two bounds or no SD.
        n: seeds that have all values.
        state: holds, fails or open, at 95 %.
        left, right: means over seeds of the two sides of a comparison, or what is measured and published in a cell of
            a table; NaN otherwise.
    """

    label: str
    value: float
    low: float
    high: float
    effect: float
    n: int
    state: str
    left: float = math.nan
    right: float = math.nan


@dataclass(frozen=True)
class Result:
    """What became of a claim.

    Attributes:
        claim: the claim.
        outcome: holds, fails, open or not run.
        reason: why it is open or not run, where that is not for wide intervals.
        points: every point.
        needed: how many of them must hold.
        bounds: the range in which the statistic must lie.
        seeds: those that all values were taken from.
        sources: images by data set.
        left_out: strengths that the claim could not be tested at; conditions that a table could not be compared in.
    """

    claim: Claim
    outcome: str
    reason: str = ""
    points: tuple[Point, ...] = ()
    needed: int = 0
    bounds: tuple[float, float] = (-math.inf, math.inf)
    seeds: tuple[int, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[float | str, ...] = ()

    @property
    def deciding(self) -> Point | None:
        """The point on which the claim turns: of all in the order of how well they hold, the last that is needed."""
        ranked = sorted(self.points, key=lambda point: -_margin(point.value, self.bounds))
        return ranked[self.needed - 1] if ranked else None

    def count(self, state: str) -> int:
        """Points in this state."""
        return sum(point.state == state for point in self.points)


def evaluate(claim: Claim, evidence: Evidence, *, draws: int = DRAWS, partial: bool = False) -> Result:
    """Test one claim on the metric files.

    Args:
        claim: the claim.
        evidence: the metric files.
        draws: bootstrap samples.
        partial: of a claim about several strengths, test it on those that there are networks of; of a table likewise,
            on its cells.

    Raises:
        TopoRepError: quantities that cannot be compared.
    """
    sources = evidence.images(claim.datasets)
    claim, left_out = _on_what_is_there(claim, evidence) if partial else (claim, ())
    try:
        for leaf in claim.leaves:
            evidence.require(leaf, claim.comparable)
        seeds = sorted(set.intersection(*(set(evidence.seeds(leaf)) for leaf in claim.leaves)))
        if not seeds:
            raise NotThere("no seed has all the runs that are compared")
        values = {leaf: evidence.values(leaf, seeds) for leaf in claim.leaves}
    except NotThere as missing:
        return Result(claim, NOT_RUN, str(missing), sources=sources)
    bounds = _bounds(claim)
    try:
        points = _points(claim, values, bounds, draws)
    except ValueError as error:
        raise TopoRepError(f"claim {claim.id}: its quantities cannot be compared point by point ({error})") from error
    needed = _needed(claim.options.get("needs", "all"), len(points.labels))
    outcome, reason = points.conclude(needed, len(seeds))
    return Result(claim, outcome, reason, points.listed(), needed, bounds, tuple(seeds), sources, left_out)


def _on_what_is_there(claim: Claim, evidence: Evidence) -> tuple[Claim, tuple[float | str, ...]]:
    """The claim without the strengths of which there are no networks, and these; whole if too few are left."""
    if claim.kind == "table":
        return _cells_that_are_there(claim, evidence)
    leaves = [leaf for leaf in claim.leaves if leaf.strength.listed]
    absent = set().union(*(evidence.absent(leaf) for leaf in leaves))
    rest = claim.without(absent)
    along_strength = claim.kind == "function" or claim.options.get("along", "strength") == "strength"
    least = {"trend": 2, "shape": 3, "function": 2}.get(claim.kind, 1) if along_strength else 1
    left = [len(leaf.strength.values) for leaf in rest.leaves if leaf.strength.listed]
    # An extreme at a named strength cannot be looked for elsewhere.
    named = absent.intersection(claim.options.get("at", ())) if along_strength else ()
    if not absent or not left or min(left) < least or named:
        return claim, ()
    return rest, tuple(sorted(absent))


def _cells_that_are_there(claim: Claim, evidence: Evidence) -> tuple[Claim, tuple[float | str, ...]]:
    """A table's cells of which there are networks, and what the others lack: a strength, or all of their condition."""
    absent = {name: evidence.absent(leaf) for name, leaf in claim.quantities.items()}
    kept = {name: leaf for name, leaf in claim.quantities.items() if not absent[name]}
    if len(kept) in (0, len(absent)):
        return claim, ()
    others = [leaf for name, leaf in claim.quantities.items() if absent[name]]
    conditions = dict.fromkeys(leaf.condition for leaf in others if not evidence.has(leaf))
    strengths = set().union(*(evidence.absent(leaf) for leaf in others if evidence.has(leaf)))
    return replace(claim, quantities=kept), (*sorted(strengths), *conditions)


# Statistics


def _statistic(claim: Claim, means: Mapping[Leaf, xr.DataArray]) -> xr.DataArray:
    """(row, points ...) from means (row, ...); a dimension `choice` holds values of which the best one counts."""
    quantities = {name: _value(quantity, means) for name, quantity in claim.quantities.items()}
    options = claim.options
    if claim.kind == "function":
        return FUNCTIONS[options["name"]](**quantities)
    if claim.kind == "table":
        published = _cells(options["published"], names=list(quantities))
        difference = _cells(quantities) - published
        return difference / abs(published) if options.get("relative") else difference
    of, than = quantities["of"], quantities.get("than")
    along = options.get("along", "strength")
    if claim.kind == "greater":
        return of / than if "ratio" in options else of - than
    if claim.kind == "trend":
        # "Falls" is a rise of the negative curve, "falls faster" a steeper one.
        sign = -1.0 if options["direction"] == "falls" else 1.0
        steps = (
            (lambda curve: _steps(curve, along)) if options.get("monotone") else (lambda curve: _slope(curve, along))
        )
        return sign * (steps(of) if than is None else steps(of) - steps(than))
    if claim.kind == "shape":
        return _depth(of if options["form"] == "valley" else -of, along, options.get("at"))
    return of


def _cells(values: Mapping[str, xr.DataArray | float], names: Sequence[str] | None = None) -> xr.DataArray:
    """The cells of a table along one dimension."""
    names = list(values) if names is None else names
    cells = xr.concat([xr.DataArray(values[name]) for name in names], _CELL, coords="minimal", compat="override")
    return cells.assign_coords({_CELL: names})


def _value(quantity: Quantity, means: Mapping[Leaf, xr.DataArray]) -> xr.DataArray:
    if isinstance(quantity, Leaf):
        value = means[quantity]
        for dim, selector in (("strength", quantity.strength), *quantity.at):
            if selector.reduction and dim in value.dims:
                value = _reduced(value, dim, selector.reduction)
        return value
    left, right = _value(quantity.left, means), _value(quantity.right, means)
    return left - right if quantity.operation == "difference" else left / right


def _reduced(value: xr.DataArray, dim: str, reduction: str) -> xr.DataArray:
    if reduction == "range":
        return value.max(dim, skipna=False) - value.min(dim, skipna=False)
    return getattr(value, reduction)(dim, skipna=False)


def _slope(curve: xr.DataArray, along: str) -> xr.DataArray:
    """Least-squares slope per step: the points stand at equal distances, as in the paper's figures."""
    steps = np.arange(curve.sizes[along], dtype=np.float64)
    steps = xr.DataArray(steps - steps.mean(), dims=along)
    return (curve.drop_vars(along, errors="ignore") * steps).sum(along, skipna=False) / float((steps**2).sum())


def _steps(curve: xr.DataArray, along: str) -> xr.DataArray:
    return curve.diff(along, label="upper")


def _depth(curve: xr.DataArray, along: str, at: list | None) -> xr.DataArray:
    """How far a curve lies lower inside than at its ends; with `at`, lower there than anywhere else."""
    if at is not None:
        inside = np.isclose(np.asarray(curve[along].values, dtype=np.float64)[:, None], at).any(axis=1)
        inside = xr.DataArray(inside, dims=along, coords={along: curve[along]})
        best = curve.where(inside, np.inf).min(along, skipna=False)
        return curve.where(~inside, np.inf).min(along, skipna=False) - best
    ends = np.minimum(curve.isel({along: 0}, drop=True), curve.isel({along: -1}, drop=True))
    inner = curve.isel({along: slice(1, -1)}).rename({along: _CHOICE})
    return ends - inner


# Points


@dataclass(frozen=True)
class _Group:
    """Points whose values come from the same seeds: (rows, choices, points)."""

    statistic: np.ndarray
    index: np.ndarray
    n: int

    @property
    def resampled(self) -> np.ndarray:
        return self.statistic[1 + self.n :]

    def interval(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Bounds at each point. Of several choices the best counts, so the lower bound pays for the choice."""
        choices = self.statistic.shape[1]
        low, high = interval(self.resampled, self.n, level=level)
        if choices > 1:
            low, _ = interval(self.resampled, self.n, level=1 - (1 - level) / choices)
        return low.max(axis=0), high.max(axis=0)


@dataclass(frozen=True)
class _Points:
    labels: list[str]
    values: np.ndarray
    groups: list[_Group]
    valid: np.ndarray
    effects: np.ndarray
    sides: tuple[np.ndarray, np.ndarray]
    bounds: tuple[float, float]

    def states(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Which points hold, and which fail, at a level."""
        low, high = self.intervals(level)
        lower, upper = self.bounds
        # A range with one end is open there: a difference of 0 is not greater than 0.
        open_ended = math.isinf(lower) or math.isinf(upper)
        inside = (low > lower) & (high < upper) if open_ended else (low >= lower) & (high <= upper)
        outside = (high <= lower) | (low >= upper) if open_ended else (high < lower) | (low > upper)
        return inside, outside

    def intervals(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        low, high = np.full((2, len(self.labels)), np.nan)
        for group in self.groups:
            if group.n >= MIN_SEEDS:
                low[group.index], high[group.index] = group.interval(level)
        return low, high

    def conclude(self, needed: int, seeds: int) -> tuple[str, str]:
        total = len(self.labels)
        if seeds < MIN_SEEDS:
            return OPEN, f"{seeds} seed{'s' * (seeds > 1)}; an interval needs at least {MIN_SEEDS}"
        spare = total - needed + 1
        holding = self.states(1 - (1 - LEVEL) / spare)[0].sum()
        failing = self.states(1 - (1 - LEVEL) / needed)[1].sum()
        if holding >= needed:
            return HOLDS, ""
        if failing >= spare:
            return FAILS, ""
        few = self.valid.sum(axis=0) < MIN_SEEDS
        if few.any():
            return OPEN, f"{few.sum()} of {total} points have values from fewer than {MIN_SEEDS} seeds"
        return OPEN, ""

    def listed(self) -> tuple[Point, ...]:
        low, high = self.intervals(LEVEL)
        holds, fails = self.states(LEVEL)
        return tuple(
            Point(
                label=label,
                value=float(self.values[i]),
                low=float(low[i]),
                high=float(high[i]),
                effect=float(self.effects[i]),
                n=int(self.valid[:, i].sum()),
                state=HOLDS if holds[i] else FAILS if fails[i] else OPEN,
                left=float(self.sides[0][i]),
                right=float(self.sides[1][i]),
            )
            for i, label in enumerate(self.labels)
        )


def _points(claim: Claim, values: Mapping[Leaf, xr.DataArray], bounds: tuple[float, float], draws: int) -> _Points:
    # Numbers without ties in place of the values: NaN where a seed has no value that a point needs, and only there.
    probe = {leaf: _distinct(array, i).rename(seed="row") for i, (leaf, array) in enumerate(values.items())}
    probed = _flat(_statistic(claim, probe))
    valid, labels = ~np.isnan(probed.values).any(axis=1), probed.labels
    statistic, effects, left, right = np.full((4, len(labels)), np.nan)
    groups = []
    for pattern in np.unique(valid, axis=1).T:
        if not pattern.any():
            continue
        index = np.flatnonzero((valid == pattern[:, None]).all(axis=0))
        some = {leaf: array.isel(seed=np.flatnonzero(pattern)) for leaf, array in values.items()}
        count = int(pattern.sum())
        means = _means(some, resampling_weights(count, draws))
        rows = _flat(_statistic(claim, means)).values[:, :, index]
        groups.append(_Group(rows, index, count))
        statistic[index] = rows[0].max(axis=0)
        effects[index] = _effects(rows[0], rows[1 : count + 1], bounds)
        if claim.kind in ("greater", "table"):
            left[index], right[index] = (side[index] for side in _sides(claim, means))
    return _Points(labels, statistic, groups, valid, effects, (left, right), bounds)


def _distinct(array: xr.DataArray, number: int) -> xr.DataArray:
    distinct = np.random.default_rng(number).uniform(1.0, 2.0, array.shape)
    return array.copy(data=distinct).where(array.notnull())


def _means(values: Mapping[Leaf, xr.DataArray], weights: np.ndarray) -> dict[Leaf, xr.DataArray]:
    """Weighted means over seeds: dimension row in place of seed."""
    means = {}
    for leaf, array in values.items():
        array = array.transpose("seed", ...)
        coords = {name: coord for name, coord in array.coords.items() if name != "seed"}
        means[leaf] = xr.DataArray(np.tensordot(weights, array.values, 1), coords, ("row", *array.dims[1:]))
    return means


@dataclass(frozen=True)
class _Flat:
    """A statistic as (rows, choices, points), with the points' labels."""

    values: np.ndarray
    labels: list[str]


def _flat(statistic: xr.DataArray) -> _Flat:
    if _CHOICE not in statistic.dims:
        statistic = statistic.expand_dims(_CHOICE)
    dims = [str(dim) for dim in statistic.dims if dim not in ("row", _CHOICE)]
    statistic = statistic.transpose("row", _CHOICE, *dims)
    labels = [""]
    for dim in dims:
        names = [value if dim == _CELL else f"{dim}={_text(value)}" for value in statistic[dim].values.tolist()]
        labels = [f"{label}, {name}" if label else name for label in labels for name in names]
    return _Flat(statistic.values.reshape(*statistic.shape[:2], -1), labels)


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _effects(observed: np.ndarray, single: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    """(observed − bound)/SD over networks, for tests with one bound and no choice."""
    bound = [value for value in bounds if math.isfinite(value)]
    if len(bound) != 1 or len(single) < 2 or single.shape[1] > 1:
        return np.full(observed.shape[-1], np.nan)
    spread = single[:, 0].std(axis=0, ddof=1)
    return np.divide(observed[0] - bound[0], spread, out=np.full(spread.shape, np.nan), where=spread > 0)


def _sides(claim: Claim, means: Mapping[Leaf, xr.DataArray]) -> list[np.ndarray]:
    """Means over seeds of the left and the right side of a comparison at each point."""
    plain = {leaf: array.isel(row=slice(1)) for leaf, array in means.items()}
    if claim.kind == "table":
        measured = _cells({name: _value(quantity, plain) for name, quantity in claim.quantities.items()})
        published = _cells(claim.options["published"], names=list(claim.quantities))
        return [_flat(side).values[0, 0] for side in xr.broadcast(measured, published)]
    both = xr.broadcast(*(_value(claim.quantities[name], plain) for name in ("of", "than")))
    return [_flat(side).values[0, 0] for side in both]


# What is needed


def _bounds(claim: Claim) -> tuple[float, float]:
    options = claim.options
    if claim.kind in ("trend", "shape"):
        return 0.0, math.inf
    if claim.kind == "greater":
        return float(options.get("by", options.get("ratio", 0.0))), math.inf
    if claim.kind == "table":
        return -options["within"], float(options["within"])
    if "equals" in options:
        return options["equals"] - options["within"], options["equals"] + options["within"]
    low = options.get("from", options.get("above", -math.inf))
    return float(low), float(options.get("to", options.get("below", math.inf)))


def _needed(needs: str, points: int) -> int:
    return {"all": points, "most": points // 2 + 1, "any": 1}[needs]


def _margin(value: float, bounds: tuple[float, float]) -> float:
    return -math.inf if math.isnan(value) else min(value - bounds[0], bounds[1] - value)
