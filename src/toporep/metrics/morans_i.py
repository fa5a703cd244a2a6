"""Spatial autocorrelation of activation maps: Moran's I."""

from __future__ import annotations

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_array, check_choice
from toporep.sheet import check_grid

_NEIGHBORHOODS = ("queen", "rook")
# Maps are taken in blocks that stay in the processor's cache.
_BLOCK_VALUES = 1 << 15


def morans_i(maps: np.ndarray, neighborhood: str = "queen") -> np.ndarray:
    """Moran's I of activation maps, with binary weights, borders, and no row standardisation.

    I = (n / W) sum_{a ~ b} z_a z_b / sum_a z_a^2, where z is the map less its mean, n the number of units, the sum
    in the numerator runs over ordered pairs of adjacent units, and W is the number of those pairs (840 on an
    11 x 11 sheet with queen neighbors).

    Args:
        maps: (..., rows, cols) activations on the sheet; any leading batch.
        neighborhood: "queen" (Moore: 8 neighbors, Truong & Hasson 2025) or "rook" (4 neighbors,
            Sander & Hasson 2026).

    Returns:
        (...) float64; NaN for a constant map, whose autocorrelation is not defined.

    Raises:
        TopoRepError: NaN or infinity in the maps, a single unit, an unknown neighborhood.

    Source:
        Truong & Hasson 2025, App. Fig. 8 (the published code computes the same sum by a convolution).
    """
    check_choice(neighborhood, "neighborhood", _NEIGHBORHOODS)
    maps = check_array(maps, "maps", dims=("rows", "cols"))
    *batch, rows, cols = maps.shape
    total_weight = 2 * _adjacent_pairs((rows, cols), neighborhood)
    flat = maps.reshape(-1, rows, cols)
    numerator, squares = np.empty((2, len(flat)))
    block = max(1, _BLOCK_VALUES // (rows * cols))
    for start in range(0, len(flat), block):
        part = slice(start, start + block)
        numerator[part], squares[part] = _products(flat[part], neighborhood)
    result = np.full(len(flat), np.nan)
    np.divide(2 * numerator, squares, out=result, where=squares > 0)
    return (rows * cols / total_weight * result).reshape(batch)[()]


def expected_morans_i(n_units: int) -> float:
    """Expectation of Moran's I when the values are assigned to the units at random: -1 / (n - 1).

    The same for every neighborhood: -1/120 on an 11 x 11 sheet.
    """
    if n_units < 2:
        raise TopoRepError(f"n_units: Moran's I needs at least 2 units, found {n_units}")
    return -1.0 / (n_units - 1)


def _products(maps: np.ndarray, neighborhood: str) -> tuple[np.ndarray, np.ndarray]:
    """For each map, the sum of z_a z_b over unordered adjacent pairs, and the sum of z_a^2."""
    count, rows, cols = maps.shape
    values = maps.reshape(count, -1).astype(np.float64)
    # Less the first unit, a constant map is exactly zero; less its mean alone it might be rounding noise.
    values -= values[:, :1].copy()
    values -= values.mean(axis=1, keepdims=True)
    # With one column of zeros at the right, a neighbor is a shift of the flattened map that cannot wrap around.
    padded = np.zeros((count, rows, cols + 1))
    padded[:, :, :-1] = values.reshape(maps.shape)
    padded = padded.reshape(count, -1)
    right, down = 1, cols + 1
    shifts = (right, down) if neighborhood == "rook" else (right, down, down + right, down - right)
    numerator = sum(np.vecdot(padded[:, :-shift], padded[:, shift:]) for shift in shifts)
    return numerator, np.vecdot(values, values)


def _adjacent_pairs(grid: tuple[int, int], neighborhood: str) -> int:
    rows, cols = check_grid(grid)
    if rows * cols < 2:
        raise TopoRepError(f"maps: Moran's I needs at least 2 units, found a sheet of {rows} x {cols}")
    straight = rows * (cols - 1) + (rows - 1) * cols
    return straight if neighborhood == "rook" else straight + 2 * (rows - 1) * (cols - 1)
