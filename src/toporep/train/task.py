"""The task losses of Sander & Hasson (2026), by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from toporep.errors import TopoRepError
from toporep.losses.contrastive import hierarchical_margin, simclr, supcon


class TaskLoss:
    """The loss of an objective on what a network's head gives.

    Args:
        objective: "cross_entropy", "margin", "simclr" or "supcon".
        options: `margins` of "margin", `temperature` of "simclr" and "supcon".
        superclass: (class,) the superclass of each class, for "margin".

    Raises:
        TopoRepError: an unknown objective, or a margin loss without superclasses.
    """

    def __init__(self, objective: str, options: Mapping[str, Any], superclass: Tensor | None = None) -> None:
        if objective not in _LOSSES:
            raise TopoRepError(f"objective: expected one of {', '.join(_LOSSES)}, found {objective!r}")
        if objective == "margin" and superclass is None:
            raise TopoRepError("objective 'margin': expected the superclass of each class, found none")
        self.objective, self.options, self.superclass = objective, dict(options), superclass

    def __call__(self, output: Tensor, labels: Tensor) -> Tensor:
        """The loss, a scalar.

        Args:
            output: (B, class) logits; (B, D) projections for "margin"; (2B, D) projections of two views, view by view,
                for "simclr" and "supcon".
            labels: (B,), the class of each image.
        """
        return _LOSSES[self.objective](self, output.float(), labels)

    def _cross_entropy(self, output: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(output, labels)

    def _margin(self, output: Tensor, labels: Tensor) -> Tensor:
        return hierarchical_margin(output, labels, self.superclass[labels], **self.options)

    def _simclr(self, output: Tensor, labels: Tensor) -> Tensor:
        return simclr(output, **self.options)

    def _supcon(self, output: Tensor, labels: Tensor) -> Tensor:
        return supcon(output, labels, **self.options)


_LOSSES = {
    "cross_entropy": TaskLoss._cross_entropy,
    "margin": TaskLoss._margin,
    "simclr": TaskLoss._simclr,
    "supcon": TaskLoss._supcon,
}


def superclasses(animate: Sequence[str], class_names: Sequence[str]) -> Tensor:
    """(class,) 1 for the animate classes, 0 for the others.

    Raises:
        TopoRepError: a name that is no class.
    """
    unknown = [name for name in animate if name not in class_names]
    if unknown:
        raise TopoRepError(
            f"animate: {unknown[0]!r} is no class of the data set; its classes: {', '.join(class_names)}"
        )
    return torch.tensor([int(name in animate) for name in class_names])
