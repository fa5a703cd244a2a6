"""The training engine of convolutional networks: one run alone, or a stack of runs at once (see `stack`)."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toporep import rng
from toporep.errors import TopoRepError
from toporep.models.cnn import MODELS
from toporep.models.inputs import Normalization
from toporep.models.layers import CONVOLUTIONS
from toporep.train.convolution import measure_convolutions
from toporep.train.graphs import GRAPHS_TEXT, static_step
from toporep.train.objective import Objective, Terms
from toporep.train.outcome import Divergence, Trained, TrainingData
from toporep.train.progress import Progress
from toporep.train.spec import RunSpec
from toporep.train.stack import FiniteCheck, StackTrainer, has_state, mode_text, precision_of, train_groups

# Dropout decisions are drawn for several steps at once; this bounds how many are held.
_MASK_ELEMENTS = {"cpu": 2**20, "cuda": 2**26}
_EVALUATION_BATCH = 250
HISTORY_COLUMNS = (
    "epoch",
    "train_accuracy",
    "train_cross_entropy",
    "validation_accuracy",
    "validation_cross_entropy",
    "spatial_loss",
    "weight_similarity",
    "activation_similarity",
    "afferent_norm",
)


def train_runs(
    specs: Sequence[RunSpec],
    data: TrainingData,
    *,
    state_folder: Callable[[RunSpec], Path],
    device: torch.device,
    stacked: bool,
    progress: Progress,
    convolution: str = "unfold",
    cuda_graphs: bool = False,
) -> Iterator[Trained | Divergence]:
    """Train runs of one shape; yield each as it ends.

    Args:
        specs: the runs; all of one data set, model and training settings.
        data: the images and labels of the data set's training part.
        state_folder, device, stacked, progress: see `toporep.train.stack.train_groups`.
        convolution: how a stack computes convolutions: one of `toporep.models.layers.CONVOLUTIONS`, or "auto", the one
            that is the faster here; a stack that goes on from a state keeps the one that it has.
        cuda_graphs: replay steps as a CUDA graph; see `toporep.train.graphs`.

    Yields:
        `Trained`, or `Divergence` for a run whose loss is no longer a finite number; the other runs go
        on, and the state of that run's last whole epoch stays on disk.

    Raises:
        TopoRepError: CUDA graphs without a GPU; settings that do not fit the data.
    """
    graphs = GRAPHS_TEXT if cuda_graphs else ""
    details: dict[str, Any] = {"cuda_graphs": True} if cuda_graphs else {}
    if stacked and specs:
        details |= {"convolution": convolution, "convolution_choice": "named"}
        if convolution == "auto":
            chosen = _continued(specs, state_folder, device, graphs) or _fastest(specs, data, device, progress)
            details |= {"convolution": chosen, "convolution_choice": "auto"}
    return train_groups(
        specs,
        functools.partial(_Trainer, data=data, details=details),
        state_folder=state_folder,
        device=device,
        stacked=stacked,
        progress=progress,
        steps=_steps(specs[0], data) if specs else 0,
        how=_convolution_text(details.get("convolution", "unfold")) + graphs,
    )


def _convolution_text(convolution: str) -> str:
    return "" if convolution == "unfold" else f", {convolution} convolutions"


def _continued(
    specs: Sequence[RunSpec], state_folder: Callable[[RunSpec], Path], device: torch.device, graphs: str
) -> str | None:
    """The way in which a stack was trained that has a state on disk."""
    for name in CONVOLUTIONS:
        if has_state(specs, state_folder, mode_text(stacked=True, device=device, how=_convolution_text(name) + graphs)):
            return name
    return None


def _fastest(specs: Sequence[RunSpec], data: TrainingData, device: torch.device, progress: Progress) -> str:
    settings = specs[0].settings
    rows, cols, channels = data.images.shape[1:]
    seconds = measure_convolutions(
        settings["model"]["name"],
        runs=len(specs),
        batch=(settings["training"]["batch_size"], channels, rows, cols),
        device=device,
        precision=precision_of(specs[0]),
    )
    told = ", ".join(f"{name} {1e3 * taken:.1f} ms" for name, taken in seconds.items())
    progress.note(f"convolutions of a stack of {len(specs)}, forward and backward: {told}")
    return min(seconds, key=seconds.__getitem__)


class _Trainer(StackTrainer):
    """Trains one group of convolutional networks in lockstep."""

    moments = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        specs: list[RunSpec],
        *,
        data: TrainingData,
        details: dict[str, Any],
        device: torch.device,
        **common: Any,
    ) -> None:
        super().__init__(specs, device=device, **common)
        self.details = details
        self.settings = specs[0].settings["training"]
        self.epochs = self.settings["epochs"]
        self.batch_size = self.settings["batch_size"]
        self.images = torch.from_numpy(data.images).to(device)
        self.labels = torch.from_numpy(data.labels).to(device)
        self.normalize = Normalization(self.settings["mean"], self.settings["std"], device=device)
        splits = [split(seed, len(data.labels), self.settings) for seed in self.seeds]
        self.train_indices = [train for train, _ in splits]
        self.validation_indices = torch.from_numpy(np.stack([held_out for _, held_out in splits])).to(device)
        _check_last_batch(len(self.train_indices[0]), self.batch_size)
        self.steps = math.ceil(len(self.train_indices[0]) / self.batch_size)
        self.model = self._make_model()
        self.optimizer = torch.optim.Adam(
            self.model.parameters(),
            lr=self.settings["learning_rate"],
            betas=tuple(self.settings["betas"]),
            eps=self.settings["eps"],
            fused=True,
            capturable=details.get("cuda_graphs", False),
        )
        self.objective = Objective(specs, device=device)
        self._update = static_step(self._updated, device=device, cuda_graphs=details.get("cuda_graphs", False))

    def _train_epoch(self, epoch: int, histories: list[list[dict]]) -> list[dict]:
        self.model.train()
        orders = self._orders(epoch)
        sums = torch.zeros(5, len(self.specs), dtype=torch.float64, device=self.device)
        finite = FiniteCheck(self.specs, self.steps, device=self.device)
        for step, keep in enumerate(self._keep_masks(epoch)):
            indices = orders[:, step * self.batch_size : (step + 1) * self.batch_size]
            terms, correct = self._step(indices, keep)
            batch = indices.shape[1]
            if epoch == 1 and step == 0:
                self._record_start(histories, terms, correct / batch)
            parts = (terms.cross_entropy, terms.spatial_loss, terms.weight_similarity, terms.activation_similarity)
            sums[:4] += torch.stack([part.detach().double() for part in parts]) * batch
            sums[4] += correct
            finite.add(terms.total, epoch=epoch, step=step)
            self._tell(epoch, step, sums=sums[0], count=step * self.batch_size + batch)
        self._raise_if_spoilt(epoch)
        return self._rows(epoch, sums / orders.shape[1])

    def _step(self, indices: Tensor, keep: Tensor) -> tuple[Terms, Tensor]:
        *terms, correct = self._update(indices, keep)
        return Terms(*terms), correct

    def _updated(self, indices: Tensor, keep: Tensor) -> tuple[Tensor, ...]:
        """One update on a batch: the terms of the objective and the number of right answers, (K,) each."""
        images, labels = self._batch(indices)
        self.optimizer.zero_grad(set_to_none=True)
        with self._precision():
            logits, pre = self.model(images, keep=keep)
        weight = self.model.fc1.weight
        if not self.stacked:
            logits, pre, weight = logits[None], pre[None], weight[None]
        terms = self.objective(logits, pre, weight, labels)
        terms.total.sum().backward()
        self.optimizer.step()
        correct = (logits.detach().argmax(dim=-1) == labels).sum(dim=1)
        return *(getattr(terms, field.name).detach() for field in dataclasses.fields(Terms)), correct

    def _batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Normalized images, (K, batch, channel, row, col) or (batch, channel, row, col), and labels (K, batch)."""
        chosen = self.images[indices if self.stacked else indices[0]]
        return self.normalize(chosen), self.labels[indices]

    def _orders(self, epoch: int) -> Tensor:
        """The order of the training images of each run in this epoch, (K, image)."""
        orders = [
            indices[rng.permutation(rng.key(seed, "batches", epoch), len(indices))]
            for seed, indices in zip(self.seeds, self.train_indices, strict=True)
        ]
        return torch.from_numpy(np.stack(orders)).to(self.device)

    def _keep_masks(self, epoch: int) -> Iterator[Tensor]:
        """Dropout decisions for each step of an epoch, (batch, unit) or (K, batch, unit)."""
        units, runs = self.model.sheet_units, len(self.specs)
        images = len(self.train_indices[0])
        streams = [rng.key(seed, "dropout", epoch) for seed in self.seeds]
        block = max(1, _MASK_ELEMENTS[self.device.type] // (runs * self.batch_size * units))
        for first in range(0, self.steps, block):
            begin = first * self.batch_size
            end = min((first + block) * self.batch_size, images)
            keep = rng.keep_mask(
                streams, (end - begin) * units, drop=self.model.dropout, offset=begin * units, device=self.device
            ).view(runs, end - begin, units)
            for batch in keep.split(self.batch_size, dim=1):
                yield batch if self.stacked else batch[0]

    @torch.no_grad()
    def _validate(self) -> tuple[Tensor, Tensor]:
        """Accuracy and cross-entropy of each run on its held-out images, dropout off, (K,) each; NaN without any."""
        count = self.validation_indices.shape[1]
        if not count:
            unknown = torch.full((len(self.specs),), math.nan, dtype=torch.float64, device=self.device)
            return unknown, unknown
        self.model.eval()
        correct = torch.zeros(len(self.specs), dtype=torch.float64, device=self.device)
        losses = torch.zeros_like(correct)
        for indices in self.validation_indices.split(_EVALUATION_BATCH, dim=1):
            images, labels = self._batch(indices)
            with self._precision():
                logits, _ = self.model(images)
            logits = logits if self.stacked else logits[None]
            log_probability = logits.log_softmax(dim=-1).gather(-1, labels[..., None])[..., 0]
            losses -= log_probability.double().sum(dim=1)
            correct += (logits.argmax(dim=-1) == labels).sum(dim=1)
        return correct / count, losses / count

    def _rows(self, epoch: int, means: Tensor) -> list[dict]:
        accuracy, cross_entropy = self._validate()
        norms = self.model.fc1.weight.detach().norm(dim=-1).mean(dim=-1).reshape(-1)
        columns = torch.stack(
            [means[4], means[0], accuracy, cross_entropy, means[1], means[2], means[3], norms.double()]
        )
        return [_row(epoch, values) for values in columns.T.tolist()]

    def _record_start(self, histories: list[list[dict]], terms: Terms, accuracy: Tensor) -> None:
        """Epoch 0: the values at the first batch, before any update."""
        unknown = torch.full_like(terms.cross_entropy, math.nan)
        norms = torch.stack([initial.norm(dim=-1).mean() for initial in self._initial_weights])
        parts = [
            accuracy,
            terms.cross_entropy,
            unknown,
            unknown,
            terms.spatial_loss,
            terms.weight_similarity,
            terms.activation_similarity,
            norms,
        ]
        columns = torch.stack([part.detach().double() for part in parts])
        for history, values in zip(histories, columns.T.tolist(), strict=True):
            history.append(_row(0, values))

    def _make_model(self):
        """The model with each run's initial weights, in the memory format that is fastest on the device."""
        settings = self.specs[0].settings
        rows, cols = settings["grid"]
        make = MODELS[settings["model"]["name"]]
        seeds = self.seeds if self.stacked else self.seeds[0]
        model = make(
            seeds,
            dropout=settings["model"]["dropout"],
            sheet_units=rows * cols,
            convolution=self.details.get("convolution", "unfold"),
        ).to(self.device)
        weights = model.fc1.weight.detach().clone()
        self._initial_weights = list(weights) if self.stacked else [weights]
        return model if self.stacked else model.to(memory_format=torch.channels_last)

    def _details(self) -> list[dict]:
        return [self.details for _ in self.specs]

    def _restored(self, moments: dict[str, Tensor], epoch: int) -> dict[str, Tensor]:
        return {"step": torch.tensor(float(epoch * self.steps), device=self.device), **moments}


def split(seed: int, count: int, settings: dict) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the images that a run trains on and of those held out.

    `train_fraction` of a permutation keyed by the seed is for training, the rest is held out;
    `train_images` and `validation_images` cap the two.
    """
    order = rng.permutation(rng.key(seed, "split"), count)
    cut = round(settings["train_fraction"] * count)
    return order[:cut][: settings["train_images"]], order[cut:][: settings["validation_images"]]


def _steps(spec: RunSpec, data: TrainingData) -> int:
    """Steps of a run from its first epoch to its last."""
    settings = spec.settings["training"]
    images = len(split(spec.run.seed, len(data.labels), settings)[0])
    return settings["epochs"] * math.ceil(images / settings["batch_size"])


def _check_last_batch(images: int, batch_size: int) -> None:
    last = (images - 1) % batch_size + 1
    if last < 2:
        raise TopoRepError(
            f"{images} training images in batches of {batch_size} leave {last} for the last batch, but a correlation "
            "over a batch needs at least 2; change batch_size or train_images"
        )


def _row(epoch: int, values: list[float]) -> dict:
    return dict(zip(HISTORY_COLUMNS, [epoch, *values], strict=True))
