"""Contrastive and topographic losses, slow and obvious, and the published algorithm for the topographic one.

Written from the definitions in the papers, with nothing shared with `toporep`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def supcon(features: Tensor, row_labels: list[int], temperature: float) -> Tensor:
    """Khosla et al. 2020, eq. 2: a loop over anchors and their positives."""
    z = [row / row.norm() for row in features]
    total = torch.zeros((), dtype=features.dtype)
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        denominator = sum(torch.exp(z[i] @ z[j] / temperature) for j in others)
        positives = [j for j in others if row_labels[j] == row_labels[i]]
        anchor = torch.zeros((), dtype=features.dtype)
        for j in positives:
            anchor = anchor - torch.log(torch.exp(z[i] @ z[j] / temperature) / denominator)
        total = total + anchor / len(positives)
    return total / len(z)


def simclr(features: Tensor, temperature: float) -> Tensor:
    """The twin is the only positive."""
    images = len(features) // 2
    return supcon(features, [*range(images), *range(images)], temperature)


def hierarchical_margin(
    embeddings: Tensor, labels: list[int], superclasses: list[int], margins: tuple[float, float, float]
) -> Tensor:
    """A loop over pairs, with the three cases of the paper's equation."""
    zero = torch.zeros((), dtype=embeddings.dtype)
    total, pairs = zero, 0
    for i in range(len(embeddings)):
        for j in range(i + 1, len(embeddings)):
            a, b = embeddings[i], embeddings[j]
            distance = 1 - a @ b / (a.norm() * b.norm())
            if labels[i] == labels[j]:
                total = total + torch.maximum(zero, distance - margins[0]) ** 2
            elif superclasses[i] == superclasses[j]:
                total = total + torch.maximum(zero, margins[1] - distance) ** 2
            else:
                total = total + torch.maximum(zero, margins[2] - distance) ** 2
            pairs += 1
    return total / pairs


def topographic_loss(
    weight: Tensor, grid: tuple[int, int], *, form: str = "edge_mean", metric: str = "euclidean"
) -> Tensor:
    """A loop over units and, for each of them, over its neighbors."""
    distance = {"euclidean": euclidean, "cosine": cosine}[metric]
    total, ordered_pairs = torch.zeros((), dtype=weight.dtype), 0
    for unit in range(len(weight)):
        around = neighbors(unit, grid)
        distances = sum(distance(weight[unit], weight[other]) for other in around)
        total = total + (distances / len(around) if form == "eq1_sum" else distances)
        ordered_pairs += len(around)
    return total if form == "eq1_sum" else total / ordered_pairs


def neighbors(unit: int, grid: tuple[int, int]) -> list[int]:
    rows, cols = grid
    row, col = divmod(unit, cols)
    return [
        r * cols + c
        for r in range(max(row - 1, 0), min(row + 2, rows))
        for c in range(max(col - 1, 0), min(col + 2, cols))
        if (r, c) != (row, col)
    ]


def euclidean(x: Tensor, y: Tensor) -> Tensor:
    return torch.norm(x - y)


def cosine(x: Tensor, y: Tensor) -> Tensor:
    return 1 - x @ y / (torch.norm(x) * torch.norm(y))


def edges(grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Both ends of every unordered pair of neighbors."""
    pairs = [(u, v) for u in range(math.prod(grid)) for v in neighbors(u, grid) if u < v]
    first, second = torch.tensor(pairs).T
    return first, second


def gathered_edge_mean(weight: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """How the published code computes it: gather both ends of all edges, then the mean of the distances."""
    return (weight[first] - weight[second]).norm(dim=1).mean()
