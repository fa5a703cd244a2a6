"""The networks of Truong & Hasson 2025 as their runs' settings describe them."""

from __future__ import annotations

import functools
import math
from typing import Any

from toporep.data.images import ImageData
from toporep.models.cnn import MODELS, SheetCNN


def _network(name: str, settings: dict[str, Any], images: ImageData) -> SheetCNN:
    """The network of a run, with its initial weights; its classes are ten, as in training."""
    sheet_units = math.prod(settings["grid"])
    return MODELS[name](settings["seed"], dropout=settings["model"]["dropout"], sheet_units=sheet_units)


# Name in a run's settings → (settings, images of its data set) → network.
NETWORKS = {name: functools.partial(_network, name) for name in MODELS}
