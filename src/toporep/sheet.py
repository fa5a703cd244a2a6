"""Geometry of the cortical sheet: units on a rectangular grid, numbered row by row.

Unit `u` of a (rows, cols) sheet lies at row `u // cols` and column `u % cols`, origin top left.
The sheet has borders: nothing wraps around. Neighbors are Moore neighbors (a queen's move:
horizontal, vertical and diagonal), so a unit has 3, 5 or 8 of them on a sheet at least two units wide.
"""

from __future__ import annotations

import operator

import numpy as np

from toporep.errors import TopoRepError


def moore_pairs(grid: tuple[int, int]) -> np.ndarray:
    """Every unordered pair of Moore-adjacent units, each once.

    Args:
        grid: (rows, cols) of the sheet.

    Returns:
        (pairs, 2) int64. In each row the first unit precedes the second; rows are in ascending order.
        An 11 x 11 sheet has 420 pairs (840 ordered ones; Truong & Hasson 2025, Methods).

    Raises:
        TopoRepError: `grid` is not two positive integers.
    """
    rows, cols = check_grid(grid)
    units = np.arange(rows * cols, dtype=np.int64).reshape(rows, cols)
    right = (units[:, :-1], units[:, 1:])
    down_left = (units[:-1, 1:], units[1:, :-1])
    down = (units[:-1], units[1:])
    down_right = (units[:-1, :-1], units[1:, 1:])
    pairs = np.concatenate([np.stack([a.ravel(), b.ravel()], axis=1) for a, b in (right, down_left, down, down_right)])
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def neighbor_lists(grid: tuple[int, int]) -> list[np.ndarray]:
    """The Moore neighbors of each unit.

    Args:
        grid: (rows, cols) of the sheet.

    Returns:
        For each unit, in row-major order, the int64 indices of its neighbors in ascending order.
    """
    return [np.flatnonzero(row) for row in queen_adjacency(grid)]


def queen_adjacency(grid: tuple[int, int]) -> np.ndarray:
    """Which units are Moore neighbors.

    Args:
        grid: (rows, cols) of the sheet.

    Returns:
        (units, units) bool, symmetric, False on the diagonal.
    """
    rows, cols = check_grid(grid)
    adjacency = np.zeros((rows * cols, rows * cols), dtype=bool)
    first, second = moore_pairs(grid).T
    adjacency[first, second] = adjacency[second, first] = True
    return adjacency


def unit_positions(grid: tuple[int, int]) -> np.ndarray:
    """The place of each unit on the sheet.

    Args:
        grid: (rows, cols) of the sheet.

    Returns:
        (units, 2) float64: row and column, in units of the spacing between adjacent units.
    """
    rows, cols = check_grid(grid)
    return np.stack(np.divmod(np.arange(rows * cols), cols), axis=1).astype(np.float64)


def distance_matrix(grid: tuple[int, int]) -> np.ndarray:
    """Euclidean distances between all units of the sheet.

    Args:
        grid: (rows, cols) of the sheet.

    Returns:
        (units, units) float64, in units of the spacing between adjacent units.
    """
    positions = unit_positions(grid)
    offsets = positions[:, None] - positions[None]
    return np.sqrt((offsets**2).sum(axis=-1))


def check_grid(grid: tuple[int, int]) -> tuple[int, int]:
    """Return `grid` as two Python integers.

    Raises:
        TopoRepError: `grid` is not two positive integers.
    """
    try:
        rows, cols = (operator.index(size) for size in grid)
    except (TypeError, ValueError):
        rows = cols = 0
    if rows < 1 or cols < 1:
        raise TopoRepError(f"grid: expected (rows, cols), two positive integers, found {grid!r}")
    return rows, cols
