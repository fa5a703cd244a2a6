"""Correlations between units: with their neighbors on the sheet, between all pairs, and how these are distributed."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import NamedTuple

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_array, check_choice
from toporep.metrics.colocalization import unit_correlations
from toporep.sheet import check_grid, queen_adjacency

_UNITS = ("columns", "rows")


class CorrelationStatistics(NamedTuple):
    """Median of correlations, share of negative ones, and shares above the thresholds (last dimension)."""

    median: np.ndarray
    negative: np.ndarray
    above: np.ndarray


def neighbor_correlations(vectors: np.ndarray, grid: tuple[int, int], *, units: str = "columns") -> np.ndarray:
    """Mean Pearson correlation of each unit with its Moore neighbors, 3, 5 or 8 of them inside an 11 x 11 sheet.

    The mean of these over units is not the mean over adjacent pairs: a pair at the border weighs more.

    Args:
        vectors: (..., values, units), such as activations over stimuli; with units="rows" (..., units, values), such
            as the afferent weights of a linear layer. Any leading batch of models.
        grid: (rows, cols) of the sheet, whose units are in row-major order.
        units: the dimension of the units, "columns" or "rows".

    Returns:
        (..., units) float64, -1 to 1. A constant ("dead") unit has r = 0 with every other.

    Raises:
        TopoRepError: NaN or infinity, fewer than 2 values a unit, a sheet that does not fit the units or has only one.

    Source:
        Truong & Hasson 2025, eq. 1-2, Fig. 8 (weights) and Fig. 9 (left, activations).
    """
    rows, cols = check_grid(grid)
    vectors = _units_last(vectors, units)
    if vectors.shape[-1] != rows * cols or rows * cols < 2:
        raise TopoRepError(
            f"vectors: expected one for each unit of a sheet of at least 2, found {vectors.shape[-1]} {units} for a "
            f"sheet of {rows} x {cols}"
        )
    adjacency = queen_adjacency((rows, cols)).astype(np.float64)
    return np.vecdot(unit_correlations(vectors), adjacency) / adjacency.sum(axis=1)


def pair_correlations(vectors: np.ndarray, *, units: str = "columns") -> np.ndarray:
    """Pearson correlations of all distinct pairs of units, each once.

    Args:
        vectors: (..., values, units), such as activations over stimuli; with units="rows" (..., units, values). Any
            leading batch of models.
        units: the dimension of the units, "columns" or "rows".

    Returns:
        (..., pairs) float64, -1 to 1: the upper triangle row by row (the order of `scipy.spatial.distance.pdist`),
        7260 pairs of 121 units. A constant unit has r = 0 with every other.

    Raises:
        TopoRepError: NaN or infinity, fewer than 2 values a unit, fewer than 2 units.

    Source:
        Truong & Hasson 2025, sec. 3.4.3 and Fig. 9 (right).
    """
    vectors = _units_last(vectors, units)
    if vectors.shape[-1] < 2:
        raise TopoRepError(f"vectors: expected at least 2 units ({units}), found 1")
    first, second = np.triu_indices(vectors.shape[-1], k=1)
    return unit_correlations(vectors)[..., first, second]


def correlation_statistics(
    correlations: np.ndarray, *, thresholds: Sequence[float] = (0.5, 0.9, 0.95, 0.99)
) -> CorrelationStatistics:
    """Median of correlations, and the shares of them that are negative and that exceed thresholds.

    Args:
        correlations: (..., n) from `neighbor_correlations` or `pair_correlations`.
        thresholds: values that r must exceed to count. The paper's "around r = 1.0" names no width, so several.

    Returns:
        median: (...) float64.
        negative: (...) float64 share with r < 0, 0 to 1.
        above: (..., thresholds) float64 shares with r > threshold, 0 to 1.

    Raises:
        TopoRepError: values that are not correlations.

    Source:
        Truong & Hasson 2025, sec. 3.4.3.
    """
    correlations = _check_correlations(correlations)
    thresholds = check_array(thresholds, "thresholds", dims=("threshold",)).astype(np.float64)
    if thresholds.ndim != 1:
        raise TopoRepError(f"thresholds: expected one list of numbers, found shape {thresholds.shape}")
    above = [np.mean(correlations > threshold, axis=-1) for threshold in thresholds]
    return CorrelationStatistics(
        np.median(correlations, axis=-1), np.mean(correlations < 0, axis=-1), np.stack(above, axis=-1)
    )


def correlation_edges(bins: int = 100) -> np.ndarray:
    """Edges of `bins` equal bins from -1 to 1, each the floating-point number nearest to its value.

    Returns:
        (bins + 1,) float64, ascending, antisymmetric about 0.
    """
    if not isinstance(bins, Integral) or bins < 1:
        raise TopoRepError(f"bins: expected an integer of at least 1, found {bins!r}")
    return np.arange(-bins, bins + 1, 2) / bins


def correlation_histogram(correlations: np.ndarray, bins: int = 100) -> np.ndarray:
    """Number of correlations between the edges of `correlation_edges`.

    The edges are the same for all models, so counts of models add up to those of the pooled values. Bins are closed
    on the right (and the first on both sides): the counts above an edge are those of r > edge. With an even number
    of bins the zeros of dead units lie in the bin below 0.

    Args:
        correlations: (..., n) from `neighbor_correlations` or `pair_correlations`.
        bins: number of bins; with 20 the last holds r > 0.9.

    Returns:
        (..., bins) int64.

    Raises:
        TopoRepError: values that are not correlations, no bin.
    """
    inner_edges = correlation_edges(bins)[1:-1]
    correlations = _check_correlations(correlations)
    *batch, count = correlations.shape
    places = np.searchsorted(inner_edges, correlations.reshape(-1, count), side="left")
    places += bins * np.arange(len(places))[:, None]
    return np.bincount(places.ravel(), minlength=bins * len(places)).reshape(*batch, bins)


def _units_last(vectors: np.ndarray, units: str) -> np.ndarray:
    check_choice(units, "units", _UNITS)
    vectors = check_array(vectors, "vectors", dims=("values", "units") if units == "columns" else ("units", "values"))
    vectors = vectors if units == "columns" else np.swapaxes(vectors, -1, -2)
    if vectors.shape[-2] < 2:
        raise TopoRepError(f"vectors: a correlation needs at least 2 values a unit, found 1 (units are {units})")
    return vectors


def _check_correlations(correlations: np.ndarray) -> np.ndarray:
    correlations = check_array(correlations, "correlations", dims=("correlation",)).astype(np.float64, copy=False)
    if correlations.size and (correlations.min() < -1 or correlations.max() > 1):
        raise TopoRepError(
            f"correlations: expected -1 to 1, found {correlations.min()} to {correlations.max()}; "
            "give correlations, not the vectors they are made from"
        )
    return correlations
