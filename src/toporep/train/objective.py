"""The training objective: cross-entropy plus λ times a spatial loss, for one model or a stack of models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from toporep.errors import TopoRepError
from toporep.losses.spatial import activation_similarity, global_similarity, weight_similarity
from toporep.train.spec import RunSpec


@dataclass
class Terms:
    """The parts of the objective for K runs, each of shape (K,)."""

    cross_entropy: Tensor
    spatial_loss: Tensor
    weight_similarity: Tensor
    activation_similarity: Tensor
    total: Tensor


class Objective:
    """Cross-entropy + λ · spatial loss of each run; also the two spatial terms of the paper, for the record.

    Runs of a stack may have different spatial losses; each loss is computed for the runs that have it.
    """

    def __init__(self, specs: Sequence[RunSpec], *, device: torch.device) -> None:
        self.grid = tuple(specs[0].settings["grid"])
        self.strength = torch.tensor([spec.run.strength for spec in specs], device=device)
        members: dict[str, list[int]] = {}
        for index, spec in enumerate(specs):
            if spec.loss != "none":
                members.setdefault(spec.loss_key, []).append(index)
        self.groups = []
        for indices in members.values():
            condition = specs[indices[0]].settings["condition"]
            everyone = len(indices) == len(specs)
            chosen = slice(None) if everyone else torch.tensor(indices, device=device)
            self.groups.append((chosen, condition["spatial_loss"], condition.get("options") or {}))

    def __call__(self, logits: Tensor, pre: Tensor, weight: Tensor, labels: Tensor) -> Terms:
        """Evaluate the objective.

        Args:
            logits: (K, batch, class).
            pre: the sheet's activations before its ReLU, (K, batch, unit).
            weight: the sheet's afferent weights, (K, unit, input).
            labels: (K, batch).
        """
        runs, batch, classes = logits.shape
        losses = F.cross_entropy(logits.reshape(runs * batch, classes), labels.reshape(-1), reduction="none")
        cross_entropy = losses.view(runs, batch).mean(dim=1)
        spatial = torch.zeros_like(cross_entropy)
        for chosen, name, options in self.groups:
            term = spatial_loss(name, options, pre[chosen], weight[chosen], self.grid)
            spatial = term if isinstance(chosen, slice) else spatial.index_copy(0, chosen, term)
        with torch.no_grad():
            ws, act = weight_similarity(weight, self.grid), activation_similarity(pre, self.grid)
        return Terms(cross_entropy, spatial, ws, act, cross_entropy + self.strength * spatial)


def spatial_loss(name: str, options: dict, pre: Tensor, weight: Tensor, grid: tuple[int, int]) -> Tensor:
    """One of the spatial losses by its name in the configuration; leading dimensions are kept.

    `activation: post` in the options applies an activation loss after the sheet's ReLU.
    """
    if name == "weight_similarity":
        return weight_similarity(weight, grid, **options)
    options = dict(options)
    activations = F.relu(pre) if options.pop("activation", "pre") == "post" else pre
    if name == "activation_similarity":
        return activation_similarity(activations, grid, **options)
    if name == "global_similarity":
        return global_similarity(activations, grid, **options)
    raise TopoRepError(
        f"unknown spatial loss {name!r}; known: none, weight_similarity, activation_similarity, global_similarity"
    )
