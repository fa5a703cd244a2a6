"""Trained networks of Sander & Hasson 2026 for evaluation: an encoder and what reads the classes from its sheet."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import skip_init

from toporep.data.images import ImageData
from toporep.errors import TopoRepError
from toporep.models.resnet import HEADS, ClassifierHead, Encoder, ProjectionHead, TopographicResNet18

# Images shown at a time. On a CPU the last bits of an answer may depend on it, so it is the same for all evaluations.
BATCH = 250


class Answers(NamedTuple):
    """Answers to images.

    embedding: (image, unit), the sheet's signed activations.
    logits: (image, class), of the classifier, or of the readout of the embedding.
    standardized: (image, class), of the readout of the standardized embedding; None with a classifier.
    """

    embedding: Tensor
    logits: Tensor
    standardized: Tensor | None


class TrainedResNet(nn.Module):
    """A network in evaluation, whose tensors have the names and shapes of a run's weights file.

    Unlike `TopographicResNet18` it draws no initial weights, of which nothing would be left, and its tensors hold
    nothing of use until a weights file is loaded.

    Args:
        head: "classifier", which gives the logits, or "projection", beside which there are two linear readouts.
        grid: (rows, cols) of the sheet.
        width: channels of the first stage.
        classes: number of classes.
        projection: size of the projection.
    """

    def __init__(self, *, head: str, grid: tuple[int, int], width: int, classes: int, projection: int) -> None:
        super().__init__()
        if head not in HEADS:
            raise TopoRepError(f"head: expected {' or '.join(map(repr, HEADS))}, found {head!r}")
        units = math.prod(grid)
        self.encoder = Encoder(width, units)
        if head == "classifier":
            self.head = ClassifierHead(units, classes)
        else:
            self.head = ProjectionHead(units, projection)
            self.readout = skip_init(nn.Linear, units, classes)
            self.readout_standardized = StandardizedReadout(units, classes)

    @property
    def sheet_layer(self) -> nn.Linear:
        """The layer whose outputs are the sheet's units."""
        return self.encoder.embedding

    @property
    def class_layer(self) -> nn.Linear:
        """The layer that gives the logits."""
        return self.head.linear if isinstance(self.head, ClassifierHead) else self.readout

    def forward(self, images: Tensor) -> Answers:
        """Show normalized images (image, 3, row, col)."""
        embedding = self.encoder(images)
        standardized = None if isinstance(self.head, ClassifierHead) else self.readout_standardized(embedding)
        return Answers(embedding, self.class_layer(embedding), standardized)


class StandardizedReadout(nn.Module):
    """A linear readout of (embedding − mean) / SD; mean and SD (unit,) are those of the training images.

    The SD of a unit that never changes is infinite: the readout does not see it.
    """

    def __init__(self, units: int, classes: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(classes, units)), nn.Parameter(torch.empty(classes))
        self.register_buffer("mean", torch.empty(units))
        self.register_buffer("sd", torch.empty(units))

    def forward(self, embedding: Tensor) -> Tensor:
        return F.linear((embedding - self.mean) / self.sd, self.weight, self.bias)


def _network(settings: dict[str, Any], images: ImageData) -> TrainedResNet:
    """The network that a run's settings describe, without its weights."""
    model = settings["model"]
    return TrainedResNet(
        head=model["head"],
        grid=tuple(settings["grid"]),
        width=model["width"],
        classes=len(images.class_names),
        projection=model["projection"],
    )


# Name in a run's settings → (settings, images of its data set) → network.
NETWORKS = {TopographicResNet18.__name__: _network}
