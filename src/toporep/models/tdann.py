"""The TDANN of Keller, Gao & Welling 2021: AlexNet's three fully connected layers, two of them sheets of units."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from toporep.errors import TopoRepError
from toporep.models.initial_weights import uniform_layer


class LayerActivations(NamedTuple):
    """Class scores (batch, class) and the activations of FC6 and FC7 before their ReLU, each (batch, unit)."""

    logits: Tensor
    fc6: Tensor
    fc7: Tensor


class TDANN(nn.Module):
    """Dropout, FC6, ReLU, dropout, FC7, ReLU, FC8, on the features of a frozen network.

    What makes it topographic is the spatial correlation loss of `fc6` and `fc7`; without it this is the paper's
    non-spatial counterpart.

    Args:
        seed: of the initial weights.
        features: number of features, those of AlexNet's last convolutional layer in the paper, not normalized.
        hidden: number of units of FC6 and of FC7.
        classes: number of classes; the paper's are ImageNet's 1000 and one of faces.
        dropout: probability of dropping a feature, or a unit of FC6 after its ReLU, while training.

    Weights are stored as (out, in). Initial weights and biases are uniform in ±1/sqrt(fan-in), PyTorch's default. The
    draws are keyed by (seed, "init", parameter name, output unit).

    Raises:
        TopoRepError: the dropout is no probability below 1.

    Source: Keller, Gao & Welling 2021 (category), sections 4 and B.1; the published code for the order of the layers.
    """

    def __init__(
        self, seed: int, *, features: int = 9216, hidden: int = 4096, classes: int = 1001, dropout: float = 0.5
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise TopoRepError(f"dropout: expected a probability in [0, 1), found {dropout}")
        self.seed, self.features, self.hidden, self.dropout = seed, features, hidden, dropout
        self._add_layer("fc6", hidden, features)
        self._add_layer("fc7", hidden, hidden)
        self._add_layer("fc8", classes, hidden)

    def forward(self, features: Tensor, *, keep: Tensor | None = None) -> LayerActivations:
        """Class scores and both sheets.

        Args:
            features: (batch, feature).
            keep: dropout decisions (batch, `dropout_width`), True where kept: those of the features, then those of
                FC6's units. None drops nothing. The caller draws them, by `rng.keep_mask`: the model holds no random
                state. The loss and the maps see activations that come from dropped-out inputs while training.

        Returns:
            logits, FC6 and FC7.

        Raises:
            TopoRepError: shapes that do not fit.
        """
        if features.ndim != 2 or features.shape[1] != self.features:
            raise TopoRepError(f"features: expected shape (batch, {self.features}), found {tuple(features.shape)}")
        keep_features, keep_fc6 = self._split(keep, len(features))
        fc6 = self._affine("fc6", self._drop(features, keep_features))
        fc7 = self._affine("fc7", self._drop(F.relu(fc6), keep_fc6))
        return LayerActivations(self._affine("fc8", F.relu(fc7)), fc6, fc7)

    @property
    def dropout_width(self) -> int:
        """Dropout decisions for an image: one a feature and one a unit of FC6."""
        return self.features + self.hidden

    @property
    def parameter_count(self) -> int:
        """Number of trained numbers."""
        return sum(parameter.numel() for parameter in self.parameters())

    def _split(self, keep: Tensor | None, batch: int) -> tuple[Tensor | None, Tensor | None]:
        if keep is None:
            return None, None
        if keep.shape != (batch, self.dropout_width):
            raise TopoRepError(f"keep: expected shape {(batch, self.dropout_width)}, found {tuple(keep.shape)}")
        return keep[:, : self.features], keep[:, self.features :]

    def _drop(self, values: Tensor, keep: Tensor | None) -> Tensor:
        return values if keep is None else values * keep * (1 / (1 - self.dropout))

    def _affine(self, name: str, inputs: Tensor) -> Tensor:
        layer = getattr(self, name)
        return F.linear(inputs, layer.weight, layer.bias)

    def _add_layer(self, name: str, outs: int, ins: int) -> None:
        self.add_module(name, uniform_layer(self.seed, name, (outs, ins), biases=outs, bound=1 / math.sqrt(ins)))
