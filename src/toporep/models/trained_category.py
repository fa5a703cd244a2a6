"""Networks of the category-selectivity paper built from the settings of a run, before training or to hold weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from toporep.errors import TopoRepError
from toporep.models.category_tvae import CategoryTVAE
from toporep.models.feature_norm import FeatureNorm
from toporep.models.tdann import TDANN

KINDS = ("tvae", "tdann", "fc6")


class Features(Protocol):
    """What a network must know of the features that it was trained on."""

    width: int
    class_names: tuple[str, ...]


class CategoryNetwork(nn.Module):
    """A network of features, and how it normalizes them: both are trained, and both lie in the weights file.

    Attributes:
        kind: "tvae" (the plain VAE too), "tdann" or "fc6".
        net: `CategoryTVAE`, `TDANN` or `PretrainedLayer`.
        norm: `FeatureNorm`, or None where the features are taken as they are.
    """

    def __init__(self, kind: str, net: nn.Module, *, norm: FeatureNorm | None) -> None:
        super().__init__()
        self.kind, self.net, self.norm = kind, net, norm

    def normalize(self, features: Tensor) -> Tensor:
        """What `net` is to be given of features (batch, feature)."""
        return features if self.norm is None else self.norm(features)


class PretrainedLayer(nn.Module):
    """One affine layer whose weights come from elsewhere: FC6 of the pretrained AlexNet, the paper's baseline.

    Args:
        features: number of inputs.
        units: number of units; row-major on the sheet in the order of the weights.

    Source: Keller, Gao & Welling 2021 (category), section 4.
    """

    def __init__(self, features: int, units: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(units, features))
        self.bias = nn.Parameter(torch.zeros(units))

    def forward(self, features: Tensor) -> Tensor:
        """Activations before the ReLU, (batch, unit), of (batch, feature)."""
        return F.linear(features, self.weight, self.bias)


def build_category(settings: Mapping[str, Any], *, width: int, classes: int) -> CategoryNetwork:
    """The network of a run with its initial weights; zeros for the pretrained layer.

    Args:
        settings: of the run, as in its provenance.
        width: number of features of an image.
        classes: number of classes that the training features have.

    Raises:
        TopoRepError: an unknown model, or settings that the model refuses.
    """
    condition, grid, seed = settings["condition"], tuple(settings["grid"]), settings["seed"]
    kind = condition["model"]
    if kind == "tvae":
        net = CategoryTVAE(
            seed, features=width, grid=grid, **{name: condition[name] for name in ("window", "mu", "eps")}
        )
    elif kind == "tdann":
        net = TDANN(seed, features=width, hidden=math.prod(grid), classes=classes, dropout=condition["dropout"])
    elif kind == "fc6":
        net = PretrainedLayer(width, math.prod(grid))
    else:
        raise TopoRepError(f"conditions.{condition['name']}.model: expected one of {', '.join(KINDS)}, found {kind!r}")
    return CategoryNetwork(kind, net, norm=FeatureNorm(width) if condition["feature_norm"] else None)


def _network(settings: dict[str, Any], features: Features) -> CategoryNetwork:
    return build_category(settings, width=features.width, classes=len(features.class_names))


# Name in a run's settings → (settings, features of its data set) → network.
NETWORKS = {CategoryNetwork.__name__: _network}
