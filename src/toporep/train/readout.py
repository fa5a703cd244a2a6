"""The linear readout of a frozen encoder (Sander & Hasson 2026, Training and Evaluation).

Two readouts are trained side by side on the same images: one of the embedding as it is, the paper's, and one of the
embedding with mean 0 and SD 1 in each unit. Contrastive objectives leave scale and offset of the embedding to chance,
and the first readout's learning rate is the same for all scales.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from toporep import rng
from toporep.train.stopping import EarlyStopping

RAW, STANDARDIZED = "readout", "readout_standardized"


@dataclass
class Embedded:
    """What a readout is trained on.

    train: (epoch, indices) → embeddings (image, unit) of randomly changed training images.
    plain: indices → embeddings of images as they are.
    labels: (image,) of all images, on the device.
    train_indices, validation_indices: into the images, on the host.
    """

    train: Callable[[int, np.ndarray], Tensor]
    plain: Callable[[np.ndarray], Tensor]
    labels: Tensor
    train_indices: np.ndarray
    validation_indices: np.ndarray


def readout_learning_rate(epoch: int, settings: Mapping[str, Any]) -> float:
    """Learning rate of an epoch (from 1): a linear rise, then half a cosine down to the lowest rate.

    Source: the published code; the paper names a rate alone.
    """
    highest, lowest, rise = settings["learning_rate"], settings["min_learning_rate"], settings["warmup_epochs"]
    if epoch <= rise:
        return highest * epoch / rise
    share = (epoch - 1 - rise) / max(settings["epochs"] - rise, 1)
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * share)) / 2


def train_readouts(
    embedded: Embedded, settings: Mapping[str, Any], *, seed: int, classes: int, advance: Callable[[int], None]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Train both readouts.

    Args:
        embedded: embeddings on demand.
        settings: `learning_rate`, `min_learning_rate`, `warmup_epochs`, `epochs`, `batch_size`, `betas`,
            `weight_decay` and `patience`.
        seed: the run's; names initial weights and batches.
        classes: number of classes.
        advance: told of each epoch.

    Returns:
        Tensors `<readout>.weight` (class, unit) and `.bias` (class,) of the epoch with the best validation accuracy,
        `readout_standardized.mean` and `.sd` (unit,) of the plain training images; and, for each readout, what its
        training was like: `epochs`, `best_epoch`, `validation_accuracy`, `stopping`.
    """
    heads = _heads(embedded, settings, seed=seed, classes=classes)
    held_out = embedded.plain(embedded.validation_indices)
    truth = embedded.labels[torch.from_numpy(embedded.validation_indices).to(embedded.labels.device)]
    for epoch in range(1, settings["epochs"] + 1):
        learning = [head for head in heads if not head.is_over]
        if not learning:
            break
        rate = readout_learning_rate(epoch, settings)
        for indices in _batches(embedded.train_indices, settings["batch_size"], seed=seed, epoch=epoch):
            embedding = embedded.train(epoch, indices)
            labels = embedded.labels[torch.from_numpy(indices).to(embedded.labels.device)]
            for head in learning:
                head.step(embedding, labels, rate)
        for head in learning:
            head.validate(epoch, held_out, truth)
        advance(epoch)
    tensors = {f"{head.name}.{part}": value for head in heads for part, value in head.kept().items()}
    return tensors, {head.name: head.details() for head in heads}


class _Head:
    """One linear readout, its optimizer and its early stopping."""

    def __init__(
        self,
        name: str,
        start: tuple[Tensor, Tensor],
        settings: Mapping[str, Any],
        *,
        mean: Tensor | None = None,
        sd: Tensor | None = None,
    ) -> None:
        self.name, self.mean, self.sd, self.settings = name, mean, sd, settings
        self.weight, self.bias = (torch.nn.Parameter(value.clone()) for value in start)
        self.optimizer = torch.optim.AdamW(
            [self.weight, self.bias],
            lr=settings["learning_rate"],
            betas=tuple(settings["betas"]),
            weight_decay=settings["weight_decay"],
            fused=True,
        )
        self.stopping = EarlyStopping("validation_accuracy", patience=settings["patience"])
        self.best = self.parameters()
        self.rows: list[dict[str, Any]] = []

    @property
    def is_over(self) -> bool:
        return self.stopping.is_over(self.rows)

    def parameters(self) -> dict[str, Tensor]:
        return {"weight": self.weight.detach().clone(), "bias": self.bias.detach().clone()}

    def logits(self, embedding: Tensor) -> Tensor:
        if self.mean is not None:
            embedding = (embedding - self.mean) / self.sd
        return F.linear(embedding, self.weight, self.bias)

    def step(self, embedding: Tensor, labels: Tensor, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(self.logits(embedding), labels).backward()
        self.optimizer.step()

    @torch.no_grad()
    def validate(self, epoch: int, embedding: Tensor, labels: Tensor) -> None:
        accuracy = float((self.logits(embedding).argmax(dim=-1) == labels).double().mean())
        row = {"epoch": epoch, "validation_accuracy": accuracy}
        row["epochs_since_best"] = self.stopping.update(row)
        self.rows.append(row)
        if row["epochs_since_best"] == 0:
            self.best = self.parameters()

    def kept(self) -> dict[str, Tensor]:
        """The best epoch's parameters; the last ones if no epoch had a validation accuracy above 0."""
        kept = self.best if self.stopping.best.epoch else self.parameters()
        return kept if self.mean is None else {**kept, "mean": self.mean, "sd": self.sd}

    def details(self) -> dict[str, Any]:
        return {
            "epochs": len(self.rows),
            "best_epoch": self.stopping.best.epoch,
            "validation_accuracy": [row["validation_accuracy"] for row in self.rows],
            "stopping": self.stopping.describe(len(self.rows), self.settings["epochs"]),
        }


def _heads(embedded: Embedded, settings: Mapping[str, Any], *, seed: int, classes: int) -> list[_Head]:
    plain = embedded.plain(embedded.train_indices)
    mean, sd = plain.mean(dim=0), plain.std(dim=0, correction=0)
    # A unit that never changes has nothing to tell; dividing by its SD would tell rounding errors.
    silent = sd <= 1e-6 * plain.abs().amax(dim=0)
    start = _start(seed, classes, plain.shape[1], device=plain.device)
    return [
        _Head(RAW, start, settings),
        _Head(STANDARDIZED, start, settings, mean=mean, sd=sd.masked_fill(silent, math.inf)),
    ]


def _start(seed: int, classes: int, units: int, *, device: torch.device) -> tuple[Tensor, Tensor]:
    """Initial weight and bias, uniform in ±1/sqrt(units)."""
    bound = 1 / math.sqrt(units)
    weight, bias = (
        rng.uniform(rng.key(seed, f"init/readout.{part}"), shape, low=-bound, high=bound)
        for part, shape in (("weight", (classes, units)), ("bias", (classes,)))
    )
    return torch.from_numpy(weight).to(device), torch.from_numpy(bias).to(device)


def _batches(indices: np.ndarray, size: int, *, seed: int, epoch: int) -> Iterator[np.ndarray]:
    order = indices[rng.permutation(rng.key(seed, "readout batches", epoch), len(indices))]
    for first in range(0, len(order), size):
        yield order[first : first + size]
