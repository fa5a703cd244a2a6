"""Average of a loss over several sets of images, as it should be and as the published code reports it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_array


def average_over_sets(batch_losses: Sequence[np.ndarray], batch_images: Sequence[np.ndarray]) -> float:
    """Mean loss over all images of all sets.

    Args:
        batch_losses: for each set, (batches,) mean loss of each batch.
        batch_images: for each set, (batches,) number of images in each.

    Raises:
        TopoRepError: no set, an empty one, NaN or infinity, numbers of images that do not fit the losses.
    """
    losses = np.concatenate(_sets(batch_losses, "batch_losses"))
    images = np.concatenate(_sets(batch_images, "batch_images"))
    if losses.shape != images.shape or (images < 1).any():
        raise TopoRepError(
            f"batch_images: expected at least 1 for each of {len(losses)} losses, found {len(images)}, "
            f"the least {images.min()}"
        )
    return float(np.average(losses, weights=images))


def published_average(batch_losses: Sequence[np.ndarray]) -> float:
    """What the published code reports: the losses of all sets' batches, over the number of batches of the last set.

    With two sets of equally many batches it is twice the mean. For comparison only.

    Args:
        batch_losses: for each set, (batches,) mean loss of each batch.

    Raises:
        TopoRepError: no set, an empty one, NaN or infinity.

    Source:
        Keller, Gao & Welling 2021, published code.
    """
    sets = _sets(batch_losses, "batch_losses")
    return float(sum(losses.sum() for losses in sets) / len(sets[-1]))


def _sets(values: Sequence[np.ndarray], name: str) -> list[np.ndarray]:
    sets = [check_array(each, name, dims=("batches",)) for each in values]
    if not sets or any(each.ndim != 1 for each in sets):
        raise TopoRepError(f"{name}: expected one list of batches for each of at least one set, found {len(sets)} sets")
    return sets
