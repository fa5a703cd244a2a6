"""The spatial correlation loss: units close on the sheet should correlate as 1 / (distance + 1).

The published code forms the outer products of all images' activations, (batch, units, units): 8.6 GB at 4096 units
and 128 images. Here correlations are products of standardized activations, made for some units at a time, and the
gradient is made with them, so that nothing of the size (units, units) is held but the distances.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from toporep.errors import TopoRepError
from toporep.sheet import check_grid, unit_positions

# 64 units on 10 mm, as if the sheet had no last column: 63 spacings are 9.84375 mm.
PUBLISHED_SPACING = 10 / 64
CORRELATIONS = ("published", "pearson")
FORMS = ("absolute", "literal", "squared", "relative")
# Correlations made at once: on a CPU 4 MiB, which its cache holds; elsewhere those of 4096 units, for few kernels.
_BLOCK_ON_CPU, _BLOCK_ELSEWHERE = 2**20, 2**24


def spatial_correlation(
    activations: Tensor, distances: Tensor, *, correlation: str = "published", form: str = "absolute"
) -> Tensor:
    """Spatial correlation loss over all ordered pairs of different units.

    With C the correlation of two units over the batch and T = 1 / (distance + 1), the loss is the sum over pairs of
    |C - T| ("absolute"), C - T ("literal") or (C - T)² ("squared"), or it is (1 - r) / 2, where r is the Pearson
    correlation of C with T over pairs ("relative").

    Args:
        activations: (batch, units), before the ReLU, of the current training batch.
        distances: (units, units), symmetric, in mm, of the same dtype and device; only its upper triangle is read.
            See `sheet_distances`.
        correlation: "published", whose products are averaged over the batch but whose standard deviations are
            unbiased, so that it is Pearson's times (batch - 1) / batch; or "pearson".
        form: "absolute" (the published code's). "literal" is the printed equation, in which T is an additive
            constant: its gradient knows nothing of the sheet.

    Returns:
        A scalar. The paper's weight for a sum over 4096 units is 10 / 4096². A unit that is constant over the batch
        but for rounding counts as uncorrelated and gets no gradient. Second derivatives are not supported.

    Raises:
        TopoRepError: an argument does not fit, or the batch is a single image.

    Source: Keller, Gao & Welling 2021 (category), section B.2, eq. 5; the published code for the absolute value and
        the standard deviations; Margalit et al. 2024 for "relative".
    """
    _check_choice("correlation", correlation, CORRELATIONS)
    _check_choice("form", form, FORMS)
    _check(activations, distances)
    batch = activations.shape[0]
    scale = (batch - 1) / batch if correlation == "published" else 1.0
    return _PairLoss.apply(_standardize(activations), distances, scale, form)


def sheet_distances(grid: tuple[int, int] = (64, 64), *, spacing: float = PUBLISHED_SPACING) -> Tensor:
    """Euclidean distances between all units of a sheet with borders.

    Args:
        grid: (rows, cols) of the sheet.
        spacing: mm between two horizontally adjacent units.

    Returns:
        (units, units) float32, in mm. The default equals, bit by bit, the matrix that the published code loads.

    Raises:
        TopoRepError: an argument does not fit.

    Source: Keller, Gao & Welling 2021 (category), sections 3 and B.1 (units spaced evenly on 10 mm × 10 mm).
    """
    rows, cols = check_grid(grid)
    if not (math.isfinite(spacing) and spacing > 0):
        raise TopoRepError(f"spacing: expected a positive number of mm, found {spacing!r}")
    from_corner = np.hypot(*unit_positions((rows, cols)).T).reshape(rows, cols)
    table = (from_corner * spacing).astype(np.float32)
    row_steps, col_steps = (np.abs(np.subtract.outer(np.arange(size), np.arange(size))) for size in (rows, cols))
    pairs = table[row_steps[:, None, :, None], col_steps[None, :, None, :]]
    return torch.from_numpy(pairs.reshape(rows * cols, rows * cols))


class _PairLoss(torch.autograd.Function):
    """Sum over pairs of a function of their correlation, from standardized activations (batch, units).

    The gradient is made in the forward pass, block by block; what is kept has the size of the activations.
    """

    @staticmethod
    def forward(ctx, standardized: Tensor, distances: Tensor, scale: float, form: str) -> Tensor:
        gradient = torch.zeros_like(standardized) if ctx.needs_input_grad[0] else None
        slopes = loss = None
        if form == "relative":
            loss, slopes = _relative(standardized, distances, scale)
        total = standardized.new_zeros((), dtype=torch.float64)
        if form != "relative" or gradient is not None:
            for first, found, targets in _blocks(standardized, distances, scale):
                part, slope = _of_block(found, targets, form, slopes)
                total += part
                if gradient is not None:
                    _add_gradient(gradient, standardized, slope.triu_(1), first, scale)
        ctx.save_for_backward(gradient)
        return (2 * total if loss is None else loss).to(standardized.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad, None, None, None


def _standardize(activations: Tensor) -> Tensor:
    """Each unit's activations less their mean, of length 1; zeros, and no gradient, for a constant unit."""
    mean = activations.mean(0, keepdim=True)
    centered = activations - mean
    norm = torch.linalg.vector_norm(centered, dim=0, keepdim=True)
    # The norm of a constant vector is the rounding error of its mean, not 0: compare it with the size of the mean.
    floor = mean.detach().abs() * (8 * torch.finfo(activations.dtype).eps * math.sqrt(len(activations)))
    return centered / norm.masked_fill(norm <= floor, math.inf)


def _blocks(standardized: Tensor, distances: Tensor, scale: float) -> Iterator[tuple[int, Tensor, Tensor]]:
    """First unit `first` of a block; correlations and targets of its units with all units from `first` on."""
    units = standardized.shape[1]
    step = max(1, (_BLOCK_ON_CPU if standardized.device.type == "cpu" else _BLOCK_ELSEWHERE) // units)
    for first in range(0, units, step):
        rows = standardized[:, first : first + step] * scale
        found = rows.mT @ standardized[:, first:]
        targets = (distances[first : first + step, first:] + 1).reciprocal_()
        yield first, found, targets


def _of_block(found: Tensor, targets: Tensor, form: str, slopes: tuple[Tensor, ...] | None) -> tuple[Tensor, Tensor]:
    """The loss over pairs above the diagonal, and the derivative by each correlation."""
    if form == "relative":
        by_found, by_targets, constant = slopes
        return found.new_zeros(()), found.mul_(by_found).add_(targets.mul_(by_targets)).add_(constant)
    residuals = found.sub_(targets).triu_(1)
    if form == "literal":
        return residuals.sum(), torch.ones_like(residuals)
    if form == "squared":
        return residuals.square().sum(), residuals.mul_(2)
    return residuals.abs().sum(), residuals.sign_()


def _add_gradient(gradient: Tensor, standardized: Tensor, slope: Tensor, first: int, scale: float) -> None:
    """Each pair acts on both of its units; the factor 2 counts ordered pairs."""
    rows = slice(first, first + len(slope))
    gradient[:, rows].addmm_(standardized[:, first:], slope.mT, alpha=2 * scale)
    gradient[:, first:].addmm_(standardized[:, rows], slope, alpha=2 * scale)


def _relative(standardized: Tensor, distances: Tensor, scale: float) -> tuple[Tensor, tuple[Tensor, ...]]:
    """(1 - r) / 2, and the slope of its derivative by a correlation C: a C + b T + c for each ordered pair."""
    units = standardized.shape[1]
    moments = standardized.new_zeros(5, dtype=torch.float64)
    for _, found, targets in _blocks(standardized, distances, scale):
        found, targets = found.triu_(1), targets.triu_(1)
        parts = [found.sum(), targets.sum(), found.square().sum(), targets.square().sum(), found.mul_(targets).sum()]
        moments += torch.stack(parts)
    mean, mean_target, square, square_target, product = moments / (units * (units - 1) / 2)
    deviation, target_deviation = square - mean**2, square_target - mean_target**2
    covariance = product - mean * mean_target
    length = (deviation * target_deviation).sqrt()
    # Where all correlations, or all distances, are equal there is nothing to correlate: r = 0, without a gradient.
    equal = length <= 8 * torch.finfo(standardized.dtype).eps * (square * square_target).sqrt()
    length = length.masked_fill(equal, math.inf)
    r = covariance / length
    count = units * (units - 1)
    by_targets = -0.5 / length / count
    by_found = 0.5 * r / deviation.masked_fill(equal, math.inf) / count
    constant = -(by_found * mean + by_targets * mean_target)
    slopes = tuple(value.to(standardized.dtype) for value in (by_found, by_targets, constant))
    return (1 - r) / 2, slopes


def _check(activations: Tensor, distances: Tensor) -> None:
    if activations.ndim != 2 or activations.shape[1] < 2:
        raise TopoRepError(
            f"activations: expected shape (batch, units) with at least 2 units, found {tuple(activations.shape)}"
        )
    if not activations.is_floating_point():
        raise TopoRepError(f"activations: expected floating-point numbers, found {activations.dtype}")
    batch, units = activations.shape
    if batch < 2:
        raise TopoRepError(
            f"activations: a correlation needs a batch of at least 2 images, found {batch}; drop the last, smaller "
            "batch or choose another batch size"
        )
    if distances.shape != (units, units):
        raise TopoRepError(f"distances: expected shape {(units, units)}, found {tuple(distances.shape)}")
    for what in ("dtype", "device"):
        expected, found = getattr(activations, what), getattr(distances, what)
        if expected != found:
            raise TopoRepError(f"distances: expected the activations' {what}, {expected}, found {found}")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise TopoRepError(f"{name}: expected one of {', '.join(choices)}, found {value!r}")
