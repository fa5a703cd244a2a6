"""How far the afferent weights of neighboring units lie apart."""

from __future__ import annotations

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_array, check_choice, unit_rows
from toporep.sheet import check_grid, moore_pairs

_METRICS = ("euclidean", "cosine")


def neighbor_distance(weights: np.ndarray, grid: tuple[int, int], metric: str = "euclidean") -> np.ndarray:
    """Mean distance between the afferent weights of Moore neighbors: the topographic loss, of weights as they are.

    Args:
        weights: (..., units, inputs) without the bias, units row-major on the sheet; any leading batch of models.
        grid: (rows, cols) of the sheet.
        metric: "euclidean", the loss of the published code. "cosine", 1 - cosine of the two weight vectors, which does
            not fall when all weights shrink; a unit without weights has no direction, and counts as 1/2 apart from a
            unit that has one and as 0 from another such unit, as in `toporep.losses.topographic`.

    Returns:
        (...) float64, the mean over all unordered pairs of neighbors (930 on a 16 x 16 sheet), not negative.

    Raises:
        TopoRepError: NaN or infinity, weights that do not fit the sheet, a single unit, an unknown metric.

    Source:
        Sander & Hasson 2026, eq. 1, with the published code's mean over pairs; the cosine is not in the paper.
    """
    check_choice(metric, "metric", _METRICS)
    weights = _check_sheet(weights, grid)
    batch = weights.shape[:-2]
    first, second = moore_pairs(grid).T
    result = np.empty(batch)
    for index in np.ndindex(*batch):
        # Float32 weights of near neighbors would lose digits in their difference.
        vectors = weights[index].astype(np.float64)
        if metric == "cosine":
            vectors = np.nan_to_num(unit_rows(vectors), nan=0.0)
        difference = vectors[first] - vectors[second]
        # 1 - cosine is half the squared distance of the directions, which keeps its digits where they nearly agree.
        distance = np.linalg.norm(difference, axis=1) if metric == "euclidean" else (difference**2).sum(axis=1) / 2
        result[index] = distance.mean()
    return result[()]


def weight_norms(weights: np.ndarray) -> np.ndarray:
    """Length of each unit's afferent weights.

    Args:
        weights: (..., units, inputs) without the bias; any leading batch of models.

    Returns:
        (..., units) float64 Euclidean norms.

    Raises:
        TopoRepError: NaN or infinity.

    Source:
        Sander & Hasson 2026, Fig. 4b, which shows their mean over units.
    """
    weights = check_array(weights, "weights", dims=("units", "inputs"))
    return np.linalg.norm(weights.astype(np.float64), axis=-1)


def _check_sheet(weights: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    weights = check_array(weights, "weights", dims=("units", "inputs"))
    rows, cols = check_grid(grid)
    if rows * cols < 2:
        raise TopoRepError(f"grid: expected a sheet of at least 2 units, found {grid!r}")
    if weights.shape[-2] != rows * cols:
        raise TopoRepError(
            f"weights: a sheet of {rows} x {cols} has {rows * cols} units, found {weights.shape[-2]} in shape "
            f"{weights.shape}"
        )
    return weights
