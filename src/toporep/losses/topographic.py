"""The topographic loss of Sander & Hasson (2026) on the embedding layer's weights, and two cures for norm collapse.

All take any leading dimensions before (units, inputs); the result has those leading dimensions. Units are row-major
on the sheet, their neighbors are Moore neighbors, borders do not wrap: a 16 x 16 sheet has 930 pairs of neighbors.
"""

from __future__ import annotations

import math
import operator
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from toporep.errors import TopoRepError
from toporep.losses.spatial import adjacent_cells
from toporep.sheet import check_grid, queen_adjacency

# Length of a unit's weight vector when training starts: PyTorch draws linear weights uniformly in ±1/sqrt(inputs).
INITIAL_ROW_NORM = 1 / math.sqrt(3)

FORMS = ("edge_mean", "eq1_sum")
METRICS = ("euclidean", "cosine")


def topographic_loss(
    weight: Tensor, grid: tuple[int, int], *, form: str = "edge_mean", metric: str = "euclidean"
) -> Tensor:
    """Distance between the afferent weights of neighboring units.

    Args:
        weight: (..., units, inputs) of the embedding layer, without the bias.
        grid: (rows, cols) of the sheet.
        form: "edge_mean", the mean over all pairs of neighbors, which the published code minimizes (the weight
            similarity loss of Truong & Hasson 2025). "eq1_sum", the paper's equation: the sum over units of their
            mean distance to their neighbors, so that a pair at the border weighs more.
        metric: "euclidean", the paper's. "cosine", 1 - cosine of the two weight vectors: it does not change when the
            weights shrink (beyond the paper).

    Returns:
        (...). Equal neighbors have the loss and the gradient 0. A unit without weights has no direction: its cosine
        distance counts as 1/2 to a unit that has one and as 0 to another such unit, without a gradient.

    Raises:
        TopoRepError: an argument does not fit.

    Source: Sander & Hasson 2026, eq. 1; the published code for the mean over pairs.
    """
    grid = _check_sheet(weight, grid)
    if form not in FORMS:
        raise TopoRepError(f"form: expected 'edge_mean' or 'eq1_sum', found {form!r}")
    if metric not in METRICS:
        raise TopoRepError(f"metric: expected 'euclidean' or 'cosine', found {metric!r}")
    pair_weights = _pair_weights(grid, form, weight.dtype, weight.device)
    if metric == "euclidean":
        return _WeightedDistance.apply(weight.unflatten(-2, grid), pair_weights, False)
    # 1 - cosine is half the squared distance of the directions, which keeps its digits where they are nearly equal.
    return _WeightedDistance.apply(_directions(weight).unflatten(-2, grid), pair_weights, True) / 2


def norm_penalty(weight: Tensor, *, floor: float = INITIAL_ROW_NORM) -> Tensor:
    """Penalty on weight vectors shorter than `floor`: the mean over units of (1 - length / floor)², 0 above it.

    The topographic loss can be lowered by shrinking all weights; this term makes that costly and leaves longer
    weights alone, so that it does nothing where there is no collapse. Beyond the paper, whose Discussion names norm
    penalties as future work.

    Args:
        weight: (..., units, inputs) of the embedding layer.
        floor: length below which a weight vector is penalized; default: the length at which training starts.

    Returns:
        (...), between 0 and 1.

    Raises:
        TopoRepError: an argument does not fit.
    """
    if weight.ndim < 2 or not weight.is_floating_point():
        raise TopoRepError(
            f"weight: expected floating-point (..., units, inputs), found {weight.dtype} of shape {tuple(weight.shape)}"
        )
    if not (math.isfinite(floor) and floor > 0):
        raise TopoRepError(f"floor: expected a positive length, found {floor!r}")
    return (1 - torch.linalg.vector_norm(weight, dim=-1) / floor).relu().square().mean(-1)


def sheet_grid(units: int, *, allow_line: bool = False) -> tuple[int, int]:
    """The most nearly square sheet of `units` units: as many rows as their largest divisor up to the square root.

    Args:
        units: size of the embedding.
        allow_line: accept a number that is no grid, such as a prime, as a single row, as the published code does.

    Returns:
        (rows, cols), 256 → (16, 16).

    Raises:
        TopoRepError: `units` is no positive integer, or no grid of at least two rows.
    """
    try:
        count = operator.index(units)
    except TypeError:
        count = 0
    if count < 1:
        raise TopoRepError(f"embedding size: expected a positive integer, found {units!r}")
    rows = max(divisor for divisor in range(1, math.isqrt(count) + 1) if count % divisor == 0)
    if rows == 1 and not allow_line:
        raise TopoRepError(
            f"embedding size: expected a product of two numbers above 1, a grid of units, found {count}; choose "
            "another size, for instance 256 (16 x 16)"
        )
    return rows, count // rows


class _WeightedDistance(torch.autograd.Function):
    """Sum over neighboring cells of (..., rows, cols, features) of weight x distance, or x squared distance.

    The gradient is made along with the value, while the differences are at hand: autograd would fill and add an
    array of the sheet's size for each of the eight slices.
    """

    @staticmethod
    def forward(ctx, sheet: Tensor, pair_weights: tuple[Tensor, ...], squared: bool) -> Tensor:
        gradient = torch.zeros_like(sheet) if ctx.needs_input_grad[0] else None
        total = sheet.new_zeros(sheet.shape[:-3])
        pulled = adjacent_cells(gradient) if gradient is not None else [None] * 4
        for (a, b), cells, weights in zip(adjacent_cells(sheet), pulled, pair_weights, strict=True):
            difference = a - b
            distance = torch.linalg.vector_norm(difference, dim=-1, keepdim=True)
            total += (weights * (distance.square() if squared else distance)).sum((-3, -2, -1))
            if cells is not None:
                # Dividing by infinity leaves the sub-gradient 0 where the neighbors are equal.
                slope = 2 * weights if squared else weights / distance.masked_fill(distance == 0, math.inf)
                cells[0].addcmul_(difference, slope)
                cells[1].addcmul_(difference, slope, value=-1)
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad[..., None, None, None], None, None


def _directions(weight: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm(weight, dim=-1, keepdim=True)
    return weight / norm.masked_fill(norm == 0, math.inf)


@lru_cache(maxsize=64)
def _pair_weights(grid: tuple[int, int], form: str, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    """What each pair counts, (rows, cols, 1) for each of the four kinds of pairs of `adjacent_cells`."""
    neighbors = queen_adjacency(grid).sum(axis=1).astype(np.float64)
    # A tensor made in inference mode could never be used in a later training step.
    with torch.inference_mode(False):
        shares = torch.from_numpy(1 / neighbors).view(*grid, 1)
        if form == "edge_mean":
            pairs = [torch.full_like(a, 2 / neighbors.sum()) for a, _ in adjacent_cells(shares)]
        else:
            pairs = [a + b for a, b in adjacent_cells(shares)]
        return tuple(pair.to(device=device, dtype=dtype) for pair in pairs)


def _check_sheet(weight: Tensor, grid: tuple[int, int]) -> tuple[int, int]:
    rows, cols = check_grid(grid)
    units = rows * cols
    if units < 2:
        raise TopoRepError(f"grid: expected at least two units, found {grid!r}")
    if weight.ndim < 2 or weight.shape[-2] != units:
        raise TopoRepError(
            f"weight: expected shape (..., {units}, inputs) for the grid {grid!r}, found {tuple(weight.shape)}"
        )
    if not weight.is_floating_point():
        raise TopoRepError(f"weight: expected floating-point numbers, found {weight.dtype}")
    return rows, cols
