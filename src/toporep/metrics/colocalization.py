"""Co-localisation: how near to each other on the sheet the units lie that respond alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_array, check_choice
from toporep.sheet import check_grid, distance_matrix

_AVERAGES = ("pairs", "units")
# Stimuli are taken in blocks that stay in the processor's cache; relabellings so that memory stays bounded.
_BLOCK_STIMULI = 1024
_BLOCK_RELABELLINGS = 128


class Colocalization(NamedTuple):
    """Mean grid distance of correlated unit pairs, and the number of those pairs, per threshold."""

    distance: np.ndarray
    pairs: np.ndarray


def colocalization_distance(
    activations: np.ndarray,
    grid: tuple[int, int],
    thresholds: Sequence[float],
    *,
    inclusive: bool = False,
    include_self: bool = False,
    average: str = "pairs",
) -> Colocalization:
    """Mean Euclidean grid distance between units whose activations correlate above a threshold.

    All distinct unordered pairs of units are compared by Pearson's r over stimuli; a pair counts where r > alpha.
    A constant ("dead") unit has r = 0 with every other.

    Args:
        activations: (..., stimuli, units), units row-major on the sheet; any leading batch of models.
        grid: (rows, cols) of the sheet; distances are in units of the spacing between adjacent units.
        thresholds: values of alpha.
        inclusive: count r = alpha too.
        include_self: average over the full symmetric matrix of r with its diagonal, where each unit that is not
            dead is correlated (r = 1) with itself at distance 0. For comparison with estimators that do so: it
            lowers the distance, and more so at thresholds that few pairs pass.
        average: "pairs" gives each pair the same weight; "units" takes each unit's mean over its own partners
            first and then the mean over the units that have any.

    Returns:
        distance: (..., thresholds) float64; NaN where no pair counts.
        pairs: (..., thresholds) int64 count of distinct pairs, whatever the average.

    Raises:
        TopoRepError: NaN or infinity, fewer than 2 stimuli, a sheet that does not fit the units, a bad option.

    Source:
        Truong & Hasson 2025, sec. 3.4.1 and Fig. 6. The paper leaves the options open, and its values for the
        control models lie below `chance_distance`.
    """
    thresholds, correlations, batch = _prepare(activations, grid, thresholds, average)
    pair_units = np.triu_indices(correlations.shape[-1], k=1)
    distances = distance_matrix(grid)[pair_units]
    distance = np.empty((len(correlations), len(thresholds)))
    pairs = np.empty(distance.shape, dtype=np.int64)
    for model, correlation in enumerate(correlations):
        of_pairs, of_selves = correlation[pair_units], correlation.diagonal()
        for index, alpha in enumerate(thresholds):
            linked, selves = (r >= alpha if inclusive else r > alpha for r in (of_pairs, of_selves))
            weights = _pair_weights(linked, pair_units, selves & include_self, average)
            distance[model, index], pairs[model, index] = weights @ distances, np.count_nonzero(linked)
    return Colocalization(distance.reshape(*batch, -1), pairs.reshape(*batch, -1))


def colocalization_null(
    activations: np.ndarray,
    grid: tuple[int, int],
    thresholds: Sequence[float],
    *,
    relabellings: int = 1000,
    seed: int = 0,
    inclusive: bool = False,
    include_self: bool = False,
    average: str = "pairs",
) -> np.ndarray:
    """The distances of `colocalization_distance` when units are assigned to places on the sheet at random.

    The correlations stay as they are, so this is the null distribution for "the place of a unit says nothing about
    its response". All models of the batch share the same relabellings.

    Args:
        activations, grid, thresholds, inclusive, include_self, average: as for `colocalization_distance`.
        relabellings: number of random assignments, each uniform over all permutations of the units.
        seed: the same seed gives the same assignments.

    Returns:
        (..., relabellings, thresholds) float64; NaN where no pair counts. Besides this, memory is
        58 kB x models x thresholds on an 11 x 11 sheet.

    Raises:
        TopoRepError: as for `colocalization_distance`; relabellings below 1.
    """
    if relabellings < 1:
        raise TopoRepError(f"relabellings: expected at least 1, found {relabellings}")
    thresholds, correlations, batch = _prepare(activations, grid, thresholds, average)
    pair_units = first, second = np.triu_indices(correlations.shape[-1], k=1)
    weights = np.empty((len(first), len(correlations), len(thresholds)))
    for model, correlation in enumerate(correlations):
        of_pairs, of_selves = correlation[pair_units], correlation.diagonal()
        for index, alpha in enumerate(thresholds):
            linked, selves = (r >= alpha if inclusive else r > alpha for r in (of_pairs, of_selves))
            weights[:, model, index] = _pair_weights(linked, pair_units, selves & include_self, average)
    # Moving the units changes the distance of a pair and nothing else: one matrix product serves all models.
    places = _random_places(correlations.shape[-1], relabellings, seed)
    distances = distance_matrix(grid)
    null = np.empty((relabellings, len(correlations) * len(thresholds)))
    for start in range(0, relabellings, _BLOCK_RELABELLINGS):
        block = places[start : start + _BLOCK_RELABELLINGS]
        moved = distances[block[:, first], block[:, second]]
        null[start : start + len(block)] = moved @ weights.reshape(len(first), -1)
    null = null.reshape(relabellings, len(correlations), len(thresholds))
    return np.moveaxis(null, 0, 1).reshape(*batch, relabellings, len(thresholds))


def chance_distance(grid: tuple[int, int], include_self: bool = False) -> float:
    """Mean distance over all distinct pairs of units: the expectation under random assignment of units to places.

    Args:
        grid: (rows, cols) of the sheet.
        include_self: over the full distance matrix with its zero diagonal instead. That is the expectation only if
            all pairs count; otherwise it depends on how many do, and `colocalization_null` gives it.

    Returns:
        5.7585 on an 11 x 11 sheet (5.7110 with the diagonal).
    """
    units = len(distances := distance_matrix(grid))
    if units < 2:
        raise TopoRepError(f"grid: expected a sheet of at least 2 units, found {grid!r}")
    return float(distances.sum() / (units * units if include_self else units * (units - 1)))


def unit_correlations(activations: np.ndarray) -> np.ndarray:
    """Pearson's r over stimuli between all pairs of units, in float64 whatever the input.

    Args:
        activations: (..., stimuli, units); any leading batch of models, worked on one model at a time.

    Returns:
        (..., units, units) float64, exactly symmetric, within -1 to 1, 1 on the diagonal. A constant unit has
        r = 0 with every unit, itself included.

    Raises:
        TopoRepError: NaN, infinity, or fewer than 2 stimuli.
    """
    activations = check_array(activations, "activations", dims=("stimuli", "units"))
    *batch, stimuli, units = activations.shape
    if stimuli < 2:
        raise TopoRepError(f"activations: a correlation over stimuli needs at least 2 of them, found {stimuli}")
    models = activations.reshape(-1, stimuli, units)
    result = np.empty((len(models), units, units))
    for index, model in enumerate(models):
        result[index] = _correlate(model)
    return result.reshape(*batch, units, units)


def share_correlated(activations: np.ndarray, threshold: float = 0.9) -> np.ndarray:
    """Share of the distinct unit pairs whose Pearson r over stimuli exceeds `threshold`, 0 to 1.

    Args:
        activations: (..., stimuli, units) with at least 2 units.
        threshold: r above which a pair counts; Truong & Hasson 2025, sec. 3.4.3, "around r = 1.0".

    Returns:
        (...) float64.
    """
    correlations = unit_correlations(activations)
    first, second = np.triu_indices(correlations.shape[-1], k=1)
    if not len(first):
        raise TopoRepError("activations: expected at least 2 units, found 1")
    return np.mean(correlations[..., first, second] > threshold, axis=-1)


def _correlate(activations: np.ndarray) -> np.ndarray:
    mean = activations.mean(axis=0, dtype=np.float64)
    products = np.zeros((activations.shape[1],) * 2)
    for start in range(0, len(activations), _BLOCK_STIMULI):
        centered = activations[start : start + _BLOCK_STIMULI].astype(np.float64)
        centered -= mean
        products += centered.T @ centered
    norm = np.sqrt(products.diagonal())
    alive = norm > 0
    # Less its rounded mean, a constant unit need not be exactly zero; where rounding could be all, the extremes tell.
    doubtful = norm <= 4 * np.finfo(np.float64).eps * len(activations) ** 1.5 * np.abs(mean)
    alive[doubtful] &= np.ptp(activations[:, doubtful], axis=0) > 0
    inverse = np.divide(1.0, norm, out=np.zeros_like(norm), where=alive)
    correlations = np.clip(products * np.outer(inverse, inverse), -1.0, 1.0)
    np.fill_diagonal(correlations, alive)
    return correlations


def _prepare(
    activations: np.ndarray, grid: tuple[int, int], thresholds: Sequence[float], average: str
) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Check the arguments; return the thresholds, (models, units, units) correlations and the shape of the batch."""
    check_choice(average, "average", _AVERAGES)
    thresholds = check_array(thresholds, "thresholds", dims=("threshold",)).astype(np.float64)
    if thresholds.ndim != 1:
        raise TopoRepError(f"thresholds: expected one list of numbers, found shape {thresholds.shape}")
    rows, cols = check_grid(grid)
    shape = np.shape(activations)
    if len(shape) >= 2 and shape[-1] != rows * cols:
        raise TopoRepError(
            f"activations: a sheet of {rows} x {cols} has {rows * cols} units, found {shape[-1]} in shape {shape}"
        )
    if rows * cols < 2:
        raise TopoRepError(f"grid: expected a sheet of at least 2 units, found {grid!r}")
    correlations = unit_correlations(activations)
    batch = correlations.shape[:-2]
    return thresholds, correlations.reshape(-1, *correlations.shape[-2:]), batch


def _pair_weights(
    linked: np.ndarray, pair_units: tuple[np.ndarray, np.ndarray], selves: np.ndarray, average: str
) -> np.ndarray:
    """Weight of each distinct pair in the average distance; NaN where the average is not defined.

    Every average here is linear in the distances. Units marked in `selves` count themselves too, at distance 0.
    """
    if not (linked.any() or selves.any()):
        return np.full(linked.shape, np.nan)
    if average == "pairs":
        return 2.0 * linked / (2 * np.count_nonzero(linked) + np.count_nonzero(selves))
    first, second = (units[linked] for units in pair_units)
    partners = selves + np.bincount(first, minlength=len(selves)) + np.bincount(second, minlength=len(selves))
    weights = np.zeros(linked.shape)
    weights[linked] = (1 / partners[first] + 1 / partners[second]) / np.count_nonzero(partners)
    return weights


def _random_places(units: int, relabellings: int, seed: int) -> np.ndarray:
    places = np.tile(np.arange(units), (relabellings, 1))
    return np.random.Generator(np.random.PCG64(seed)).permuted(places, axis=1)
