"""Mean and variance of each unit over images, gathered block by block and across jobs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_array

# Images are taken in blocks that stay in the processor's cache.
_BLOCK_VALUES = 1 << 17


@dataclass
class Moments:
    """Number of images, and each unit's mean and sum of squared deviations over them, in float64.

    A unit that is constant over all images seen has squared deviations of exactly 0, in whatever blocks they came.
    `Moments()` has seen no image. All three fields together may be stored and given back to the constructor.

    Attributes:
        count: images seen.
        mean: (..., units) float64; None before the first image.
        squares: (..., units) float64, sum over images of the squared deviation from the mean; None before the first.
    """

    count: int = 0
    mean: np.ndarray | None = None
    squares: np.ndarray | None = None

    @classmethod
    def of(cls, activations: np.ndarray) -> Moments:
        """Moments of (..., images, units) activations; see `update`."""
        return cls().update(activations)

    def update(self, activations: np.ndarray) -> Moments:
        """Add images, in one pass, and return these moments themselves.

        Args:
            activations: (..., images, units) real numbers, at least one image; any leading batch of models. Beside
                them a block of about 1 MB is held.

        Raises:
            TopoRepError: NaN, infinity, no image, or another batch or number of units than before. The moments then
                are what they were.
        """
        activations = np.asarray(activations)
        # Dimensions and kind of number are checked on one image; NaN and infinity show in what is computed.
        check_array(activations[..., :1, :] if activations.ndim > 1 else activations, "activations", dims=_DIMS)
        images = activations.shape[-2]
        step = max(1, _BLOCK_VALUES * images // activations.size)
        added = Moments()
        with np.errstate(invalid="ignore", over="ignore"):
            for start in range(0, images, step):
                added._absorb(_of_block(activations[..., start : start + step, :]))
        if not np.isfinite(added.squares).all():
            check_array(activations, "activations", dims=_DIMS)
            raise TopoRepError(
                f"activations: expected numbers whose squares are finite, found {np.abs(activations).max()}; scale them"
            )
        self._absorb(added)
        return self

    def merge(self, other: Moments) -> Moments:
        """Moments of all images of both, as a new object; neither is changed.

        Raises:
            TopoRepError: the batch or the number of units differs.
        """
        return pool([self, other])

    @property
    def variance(self) -> np.ndarray:
        """(..., units) float64 unbiased variance (divisor: images - 1).

        Raises:
            TopoRepError: fewer than 2 images were seen.
        """
        if self.count < 2:
            raise TopoRepError(f"activations: a variance over images needs at least 2 of them, found {self.count}")
        return self.squares / (self.count - 1)

    def _absorb(self, other: Moments) -> None:
        if not other.count:
            return
        if not self.count:
            self.count, self.mean, self.squares = other.count, other.mean.copy(), other.squares.copy()
            return
        if self.mean.shape != other.mean.shape:
            raise TopoRepError(
                f"activations: expected the batch and units of the images before, {self.mean.shape}, "
                f"found {other.mean.shape}"
            )
        total = self.count + other.count
        shift = other.mean - self.mean
        self.mean = self.mean + shift * (other.count / total)
        self.squares = self.squares + other.squares + shift**2 * (self.count * other.count / total)
        self.count = total


def pool(moments: Iterable[Moments]) -> Moments:
    """Moments of all images together, each image with the same weight, such as those that several jobs found.

    Raises:
        TopoRepError: the batches or the numbers of units differ.
    """
    pooled = Moments()
    for part in moments:
        pooled._absorb(part)
    return pooled


_DIMS = ("images", "units")


def _of_block(block: np.ndarray) -> Moments:
    first = block[..., :1, :].astype(np.float64)
    # Less its first value, a constant unit is exactly zero; less its mean alone it might be rounding noise.
    deviations = np.subtract(block, first, dtype=np.float64)
    offset = deviations.mean(axis=-2, keepdims=True)
    deviations -= offset
    mean = (first + offset)[..., 0, :]
    return Moments(block.shape[-2], mean, np.einsum("...ij,...ij->...j", deviations, deviations))
