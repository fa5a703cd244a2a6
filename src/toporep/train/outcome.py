"""What goes into a training engine and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from toporep.train.spec import RunSpec


@dataclass(frozen=True)
class TrainingData:
    """The labelled images that runs are trained on.

    images: uint8 (image, row, col, channel); labels: int64 (image,); class_names: one a label, where they matter;
    data_sha256: of the file that they come from.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...] = ()
    data_sha256: str = ""


@dataclass
class Trained:
    """A finished run: its weights and statistics by name, its history, and how it was trained.

    `details` is what its provenance says besides: how training ended, which epoch's weights these are.
    """

    spec: RunSpec
    tensors: dict[str, Tensor]
    history: list[dict]
    stacked: bool
    stack_size: int
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Divergence:
    """A run whose loss or weights became NaN or infinite, at a step of an epoch (both counted from 1)."""

    spec: RunSpec
    epoch: int
    step: int
    value: float
    quantity: str = "loss"

    def __str__(self) -> str:
        run = self.spec.run
        return (
            f"{run.id}: the {self.quantity} became {self.value} at epoch {self.epoch}, step {self.step} "
            f"(condition {run.condition}, strength {run.strength:g}, seed {run.seed})"
        )
