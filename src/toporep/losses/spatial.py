"""Spatial losses of Truong & Hasson (2025): units close on the sheet should be alike.

All losses take any leading dimensions before the two that they read, for instance a stack of models trained
together; the result has those leading dimensions, so that a single model gives a scalar. They compute in the dtype
and on the device of their input and are deterministic. `grid` is (rows, cols) of the sheet, units are row-major.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from toporep.errors import TopoRepError
from toporep.sheet import check_grid, distance_matrix, queen_adjacency

# The published cosine and correlation distances add this to the product of the two norms.
NORM_PRODUCT_OFFSET = 1e-8


def weight_similarity(weight: Tensor, grid: tuple[int, int], *, metric: str = "euclidean") -> Tensor:
    """Weight similarity (WS) loss: mean distance between the afferent weights of Moore-adjacent units.

    Args:
        weight: (..., units, inputs), without the bias.
        grid: (rows, cols) of the sheet.
        metric: "euclidean" (the paper's), "cosine" or "correlation" (the published code's runs on CIFAR-10 and
            MNIST).

    Returns:
        (...): the mean over all adjacent pairs. It is not the mean over units of their mean distance, since units
        on the border have fewer neighbors. Linear layers at PyTorch's initial values start near sqrt(2/3). Equal
        neighbors give the gradient 0; so do weights without a direction, which count as uncorrelated.

    Raises:
        TopoRepError: an argument does not fit.

    Source: Truong & Hasson 2025, Methods, "WS loss"; the divisor is that of the published code.
    """
    grid = _check_sheet("weight", weight, grid, units_dim=-2, other="inputs")
    if metric == "euclidean":
        return _NeighborDistance.apply(weight.unflatten(-2, grid))[0]
    if metric == "cosine":
        norm = torch.linalg.vector_norm(weight, dim=-1, keepdim=True)
        return _neighbor_dissimilarity(weight, norm, norm <= 0, grid, offset=NORM_PRODUCT_OFFSET)
    if metric == "correlation":
        _check_samples("weight", weight, weight.shape[-1], "inputs")
        return _neighbor_dissimilarity(*_center(weight), grid, offset=NORM_PRODUCT_OFFSET)
    raise TopoRepError(f"metric: expected 'euclidean', 'cosine' or 'correlation', found {metric!r}")


def activation_similarity(
    activations: Tensor, grid: tuple[int, int], *, layout: str = "units", eps: float | None = None
) -> Tensor:
    """Activation similarity (AS) loss: mean of 1 - r over Moore-adjacent pairs, r the Pearson correlation.

    Args:
        activations: (..., batch, units), of the current training batch.
        grid: (rows, cols) of the sheet.
        layout: what is correlated. "units", the definition: the activations of two adjacent units over the batch.
            "reshaped": the (batch, units) matrix read row by row as a (rows, cols, batch) array without transposing
            it first, so that a cell of the sheet holds `batch` consecutive numbers of the matrix, of several units
            and stimuli. This reproduces the published results of AS, see the documented deviations.
        eps: a vector counts as constant when its standard deviation is at most this fraction of its mean. A constant
            unit is uncorrelated with all others and gets no gradient. Default: eight times the machine epsilon.

    Returns:
        (...): the mean over all adjacent pairs, between 0 and 2.

    Raises:
        TopoRepError: an argument does not fit.

    Source: Truong & Hasson 2025, Methods, "AS loss".
    """
    grid = _check_sheet("activations", activations, grid, units_dim=-1, other="batch")
    batch, units = activations.shape[-2:]
    _check_samples("activations", activations, batch, "batch")
    if layout == "units":
        vectors = activations.mT
    elif layout == "reshaped":
        vectors = activations.reshape(*activations.shape[:-2], units, batch)
    else:
        raise TopoRepError(f"layout: expected 'units' or 'reshaped', found {layout!r}")
    return _neighbor_dissimilarity(*_center(vectors, eps), grid)


def global_similarity(activations: Tensor, grid: tuple[int, int], *, spacing: float = 1.0) -> Tensor:
    """Global similarity loss: every pair of units should have the cosine similarity 1 / (distance + 1).

    Args:
        activations: (..., batch, units), of the current training batch.
        grid: (rows, cols) of the sheet.
        spacing: distance between two horizontally adjacent units. 1 / (rows - 1) scales a square sheet to the unit
            square.

    Returns:
        (...): mean over all pairs of different units of the squared difference. The cosine is that of the raw
        activations over the batch, not of the centered ones; a silent unit has the cosine 0 and gets no gradient.

    Raises:
        TopoRepError: an argument does not fit.

    Source: Truong & Hasson 2025, Appendix A.2, after Poli et al. 2023.
    """
    grid = _check_sheet("activations", activations, grid, units_dim=-1, other="batch")
    if not (math.isfinite(spacing) and spacing > 0):
        raise TopoRepError(f"spacing: expected a positive number, found {spacing!r}")
    norm = torch.linalg.vector_norm(activations, dim=-2, keepdim=True)
    directions = _direction(activations, norm, norm <= 0)
    targets, different = _global_targets(grid, float(spacing), activations.dtype, activations.device)
    residuals = (directions.mT @ directions - targets) * different
    units = grid[0] * grid[1]
    return residuals.square().sum((-2, -1)) / (units * (units - 1))


def adjacent_cells(sheet: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
    """Views of (..., rows, cols, features): all vertical, horizontal and diagonal pairs of cells, each pair once."""
    return (
        (sheet[..., 1:, :, :], sheet[..., :-1, :, :]),
        (sheet[..., :, 1:, :], sheet[..., :, :-1, :]),
        (sheet[..., 1:, 1:, :], sheet[..., :-1, :-1, :]),
        (sheet[..., 1:, :-1, :], sheet[..., :-1, 1:, :]),
    )


class _NeighborDistance(torch.autograd.Function):
    """Mean Euclidean distance between adjacent cells of (..., rows, cols, features), and the distances.

    A gradient written by hand, because the backward pass of every slice would fill and add a full-size array: with
    it a stack of models takes a third of the time. Differences, not a Gram matrix, because nearly equal neighbors
    would cancel.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(sheet: Tensor) -> tuple[Tensor, ...]:
        distances = [torch.linalg.vector_norm(a - b, dim=-1, keepdim=True) for a, b in adjacent_cells(sheet)]
        total = sum(distance.sum((-3, -2, -1)) for distance in distances)
        return total / _pair_count(sheet), *distances

    @staticmethod
    def setup_context(ctx, inputs: tuple[Tensor], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*inputs, *output[1:])

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor, *_: Tensor) -> Tensor:
        sheet, *distances = ctx.saved_tensors
        scale = (grad / _pair_count(sheet))[..., None, None, None]
        gradient = torch.zeros_like(sheet)
        parts = zip(adjacent_cells(sheet), adjacent_cells(gradient), distances, strict=True)
        for (a, b), (gradient_a, gradient_b), distance in parts:
            # Dividing by infinity leaves the sub-gradient 0 where the neighbors are equal.
            pull = (a - b).mul_(scale / distance.masked_fill(distance == 0, math.inf))
            gradient_a += pull
            gradient_b -= pull
        return gradient


def _pair_count(sheet: Tensor) -> int:
    rows, cols = sheet.shape[-3:-1]
    return (rows - 1) * cols + rows * (cols - 1) + 2 * (rows - 1) * (cols - 1)


def _center(vectors: Tensor, eps: float | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Vectors less their mean; their norms; whether the vector is constant but for rounding."""
    if eps is None:
        eps = 8 * torch.finfo(vectors.dtype).eps
    mean = vectors.mean(-1, keepdim=True)
    centered = vectors - mean
    norm = torch.linalg.vector_norm(centered, dim=-1, keepdim=True)
    # The norm of a constant vector is the rounding error of its mean, not 0: compare it with the size of the mean.
    floor = mean.detach().abs() * (eps * math.sqrt(vectors.shape[-1]))
    return centered, norm, norm <= floor


def _direction(vectors: Tensor, norm: Tensor, constant: Tensor) -> Tensor:
    """Vectors scaled to unit length. Dividing by infinity gives the value 0 and the gradient 0, never NaN."""
    return vectors / norm.masked_fill(constant, math.inf)


def _neighbor_dissimilarity(
    vectors: Tensor, norm: Tensor, constant: Tensor, grid: tuple[int, int], *, offset: float = 0.0
) -> Tensor:
    """Mean over adjacent pairs of 1 - x.y / (|x||y| + offset), for vectors (..., units, features)."""
    directions = _direction(vectors, norm, constant)
    similarity = directions @ directions.mT
    if offset:
        products = norm * norm.mT
        similarity = similarity * (products / (products + offset))
    return 1 - (similarity * _pair_weights(grid, vectors.dtype, vectors.device)).sum((-2, -1))


@lru_cache(maxsize=64)
def _pair_weights(grid: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(units, units): 1 / (number of ordered adjacent pairs) for adjacent units, else 0."""
    adjacency = queen_adjacency(grid)
    return _constant(adjacency / adjacency.sum(), dtype, device)


@lru_cache(maxsize=64)
def _global_targets(
    grid: tuple[int, int], spacing: float, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """(units, units) twice: the similarity that each pair should have; 0 on the diagonal and 1 elsewhere."""
    targets = 1 / (distance_matrix(grid) * spacing + 1)
    return _constant(targets, dtype, device), _constant(1 - np.eye(len(targets)), dtype, device)


def _constant(values: np.ndarray, dtype: torch.dtype, device: torch.device) -> Tensor:
    # A tensor made in inference mode could never be used in a later training step.
    with torch.inference_mode(False):
        return torch.from_numpy(values).to(device=device, dtype=dtype)


def _check_sheet(name: str, values: Tensor, grid: tuple[int, int], *, units_dim: int, other: str) -> tuple[int, int]:
    """Return the grid as two integers, after checking that `values` has its units."""
    rows, cols = check_grid(grid)
    units = rows * cols
    layout = f"(..., {units}, {other})" if units_dim == -2 else f"(..., {other}, {units})"
    if units < 2:
        raise TopoRepError(f"grid: expected at least two units, found {grid!r}")
    if values.ndim < 2 or values.shape[units_dim] != units:
        raise TopoRepError(f"{name}: expected shape {layout} for the grid {grid!r}, found {tuple(values.shape)}")
    if not values.is_floating_point():
        raise TopoRepError(f"{name}: expected floating-point numbers, found {values.dtype}")
    return rows, cols


def _check_samples(name: str, values: Tensor, samples: int, what: str) -> None:
    if samples < 2:
        raise TopoRepError(
            f"{name}: a correlation needs at least 2 values ({what}), found {samples} in shape {tuple(values.shape)}"
        )
