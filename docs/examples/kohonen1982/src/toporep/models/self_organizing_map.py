"""The self-organizing map of Kohonen 1982: a sheet of linear units, the most active of which is the winner."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from toporep import rng
from toporep.data.images import ImageData
from toporep.errors import TopoRepError


class SelfOrganizingMap(nn.Module):
    """Units with a weight vector each, and a label of each unit that reads the map out.

    Args:
        units: on the sheet, numbered row by row.
        inputs: pixels of an image.
        classes: of the images.
        stack: of how many maps, whose tensors have a leading dimension; None for one map alone.

    Attributes:
        weight: (unit, input), 0 until training gives each unit one of its images.
        label_share: (class, unit), share of each class among the training images that a unit has won; 0 for a unit that
            has won none. It is counted after training and trains nothing.
    """

    def __init__(self, *, units: int, inputs: int, classes: int, stack: int | None = None) -> None:
        super().__init__()
        maps = () if stack is None else (stack,)
        # Nothing is learned by gradients; a parameter is what the shared training code looks at.
        self.weight = nn.Parameter(torch.zeros(*maps, units, inputs), requires_grad=False)
        self.register_buffer("label_share", torch.zeros(*maps, classes, units))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return (logits, pre) of one map, not of a stack.

        Args:
            images: normalized float32, (batch, channel, row, col).

        Returns:
            logits: (batch, class), the label shares of the winner.
            pre: (batch, unit), what `responses` gives.
        """
        pre = responses(images.flatten(1), self.weight)
        return self.label_share.T[pre.argmax(dim=1)], pre


def responses(inputs: Tensor, weight: Tensor) -> Tensor:
    """How much each unit responds: w·x − ‖w‖² / 2, largest for the weight vector w that is nearest to x.

    A linear unit with a bias: the winner by response is the winner by Euclidean distance, since
    ‖x − w‖² = ‖x‖² − 2 (w·x − ‖w‖² / 2).

    Args:
        inputs: (batch, input).
        weight: (unit, input).

    Returns:
        (batch, unit).
    """
    return torch.addmm(-weight.square().sum(dim=1) / 2, inputs, weight.T)


def initial_images(seed: int, images: int, units: int) -> np.ndarray:
    """Which image each unit begins with, (unit,): different ones, keyed by (seed, "init").

    Random numbers would leave all units but a few unused where there is no neighborhood: the first unit to win an image
    is nearer to all others, too, than any vector of noise.

    Raises:
        TopoRepError: fewer images than units.
    """
    if images < units:
        raise TopoRepError(
            f"train_images: expected at least {units}, one for each unit to begin with, found {images}; use a smaller "
            "grid or more images"
        )
    return rng.permutation(rng.key(seed, "init"), images)[:units]


def build(settings: dict[str, Any], images: ImageData) -> SelfOrganizingMap:
    """The map of a run, for images like these, before its weights are read."""
    units, inputs = math.prod(settings["grid"]), math.prod(images.images_test.shape[1:])
    return SelfOrganizingMap(units=units, inputs=inputs, classes=len(images.class_names))


def label_shares(winners: np.ndarray, labels: np.ndarray, *, units: int, classes: int) -> np.ndarray:
    """(class, unit) float32: share of each class among the images that each unit wins; 0 where it wins none.

    Args:
        winners: (image,) unit that wins each image.
        labels: (image,) class of each image.
        units, classes: how many there are.

    Raises:
        TopoRepError: a label that is no class.
    """
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise TopoRepError(f"labels: expected 0 to {classes - 1}, found {labels.min()} to {labels.max()}")
    counts = np.zeros((classes, units))
    np.add.at(counts, (labels, winners), 1)
    return (counts / np.maximum(counts.sum(axis=0), 1)).astype(np.float32)
