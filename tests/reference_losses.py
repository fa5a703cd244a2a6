"""The spatial losses, slow and obvious: a loop over units and, for each of them, over its neighbors.

Written from the definitions in the paper, with nothing shared with `toporep`. No guard against constant vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor


def weight_similarity(weight: Tensor, grid: tuple[int, int], *, metric: str = "euclidean") -> Tensor:
    return mean_over_neighbors(weight.reshape(*grid, -1), DISTANCES[metric])


def activation_similarity(activations: Tensor, grid: tuple[int, int], *, layout: str = "units") -> Tensor:
    vectors = activations.T if layout == "units" else activations
    return mean_over_neighbors(vectors.reshape(*grid, -1), pearson_distance)


def global_similarity(activations: Tensor, grid: tuple[int, int], *, spacing: float = 1.0) -> Tensor:
    units = grid[0] * grid[1]
    total = torch.zeros((), dtype=activations.dtype)
    for i in range(units):
        for j in range(units):
            if i != j:
                a, b = activations[:, i], activations[:, j]
                row_i, col_i, row_j, col_j = i // grid[1], i % grid[1], j // grid[1], j % grid[1]
                distance = spacing * ((row_i - row_j) ** 2 + (col_i - col_j) ** 2) ** 0.5
                total = total + (a @ b / (a.norm() * b.norm()) - 1 / (distance + 1)) ** 2
    return total / (units * (units - 1))


def mean_over_neighbors(sheet: Tensor, distance) -> Tensor:
    """Mean over ordered pairs of neighbors: each unit with each of its up to eight."""
    rows, cols = sheet.shape[:2]
    total, count = torch.zeros((), dtype=sheet.dtype), 0
    for row in range(rows):
        for col in range(cols):
            for row_step in (-1, 0, 1):
                for col_step in (-1, 0, 1):
                    other_row, other_col = row + row_step, col + col_step
                    if (row_step, col_step) != (0, 0) and 0 <= other_row < rows and 0 <= other_col < cols:
                        total = total + distance(sheet[row, col], sheet[other_row, other_col])
                        count += 1
    return total / count


def euclidean_distance(x: Tensor, y: Tensor) -> Tensor:
    return torch.norm(x - y)


def cosine_distance(x: Tensor, y: Tensor) -> Tensor:
    return 1 - (x * y).sum() / (torch.norm(x) * torch.norm(y) + 1e-8)


def correlation_distance(x: Tensor, y: Tensor) -> Tensor:
    return cosine_distance(x - x.mean(), y - y.mean())


def pearson_distance(x: Tensor, y: Tensor) -> Tensor:
    x, y = x - x.mean(), y - y.mean()
    return 1 - (x * y).sum() / (torch.norm(x) * torch.norm(y))


DISTANCES = {"euclidean": euclidean_distance, "cosine": cosine_distance, "correlation": correlation_distance}
