"""Metrics written as slow and obvious loops, straight from their definitions."""

from __future__ import annotations

import itertools
import math

import numpy as np


def pearson(a, b) -> float:
    """Pearson's r of two sequences; 0 if one of them is constant."""
    a, b = [float(x) for x in a], [float(x) for x in b]
    if len(set(a)) == 1 or len(set(b)) == 1:
        return 0.0
    mean_a, mean_b = math.fsum(a) / len(a), math.fsum(b) / len(b)
    covariance = math.fsum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    norms = math.fsum((x - mean_a) ** 2 for x in a), math.fsum((y - mean_b) ** 2 for y in b)
    return covariance / math.sqrt(norms[0] * norms[1])


def colocalization(activations, grid, alpha, *, include_self=False, average="pairs") -> tuple[float, int]:
    """Mean distance of the unit pairs with r > alpha, and their number."""
    units = activations.shape[1]
    distances = {unit: [] for unit in range(units)}
    pairs = 0
    for a, b in itertools.product(range(units), repeat=2):
        if a == b:
            linked = include_self and len(set(activations[:, a])) > 1
        else:
            linked = pearson(activations[:, a], activations[:, b]) > alpha
            pairs += linked
        if linked:
            (row_a, col_a), (row_b, col_b) = divmod(a, grid[1]), divmod(b, grid[1])
            distances[a].append(math.hypot(row_a - row_b, col_a - col_b))
    of_units = [found for found in distances.values() if found]
    if not of_units:
        return math.nan, 0
    if average == "units":
        return np.mean([np.mean(found) for found in of_units]), pairs // 2
    return np.mean(sum(of_units, [])), pairs // 2


def morans_i(image, neighborhood="queen") -> float:
    """Moran's I by a double sum over the units of the sheet."""
    rows, cols = len(image), len(image[0])
    units = [(row, col) for row in range(rows) for col in range(cols)]
    mean = math.fsum(image[row][col] for row, col in units) / len(units)
    products, weight = 0.0, 0
    for row, col in units:
        for down, right in itertools.product((-1, 0, 1), repeat=2):
            near = (row + down, col + right)
            adjacent = (down, right) != (0, 0) and (neighborhood == "queen" or 0 in (down, right))
            if adjacent and 0 <= near[0] < rows and 0 <= near[1] < cols:
                products += (image[row][col] - mean) * (image[near[0]][near[1]] - mean)
                weight += 1
    squares = math.fsum((image[row][col] - mean) ** 2 for row, col in units)
    return len(units) / weight * products / squares
