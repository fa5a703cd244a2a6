"""Training of a `TopographicResNet18` with a task loss and a gradient-matched topographic loss on its embedding layer.

All draws are keyed by the run's seed, so a run that was killed goes on from its last state and ends, on a CPU, at the
same bytes. One run a process: a network of this size fills a device.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from toporep import rng
from toporep.data.augment import Augmentation, augment
from toporep.device import set_precision
from toporep.errors import TopoRepError
from toporep.losses.topographic import norm_penalty, topographic_loss
from toporep.models.resnet import TopographicResNet18
from toporep.train.gradient_matching import GradientMatching, MatchedStep, matched_backward, matched_parameters
from toporep.train.outcome import Divergence, Trained, TrainingData
from toporep.train.progress import Progress
from toporep.train.readout import Embedded, train_readouts
from toporep.train.spec import RunSpec
from toporep.train.state import State, StateFolder
from toporep.train.stopping import CHECKPOINTS, Best, EarlyStopping
from toporep.train.task import TaskLoss, superclasses

HISTORY_COLUMNS = (
    "epoch",
    "task_loss",
    "topographic_loss",
    "strength",
    "task_gradient_norm",
    "topographic_gradient_norm",
    "train_accuracy",
    "validation_task_loss",
    "validation_total_loss",
    "validation_accuracy",
    "norm",
    "epochs_since_best",
)
# A state holds the network three times over; writing it after each short epoch would take longer than the epoch.
SECONDS_BETWEEN_STATES = 30.0
_STEPS_BETWEEN_CHECKS = {"cpu": 1, "cuda": 50}
_EMBEDDING_BATCH = 500
# Names of the split's draws: all trials have the same validation images.
_SPLIT_SEED = 0


def train_embeddings(
    specs: Sequence[RunSpec],
    data: TrainingData,
    *,
    state_folder: Callable[[RunSpec], Path],
    device: torch.device,
    progress: Progress,
    stacked: bool = False,
    seconds_between_states: float = SECONDS_BETWEEN_STATES,
) -> Iterator[Trained | Divergence]:
    """Train runs one after the other; yield each as it ends.

    Args:
        specs: the runs.
        data: images, labels and class names of the data set's training part.
        state_folder: where a run's training state lies.
        device: where to train.
        progress: told of every step.
        stacked: refused, since a ResNet fills a device alone.
        seconds_between_states: least time between two states on disk.

    Yields:
        `Trained`, or `Divergence` for a run whose loss is no longer a finite number.

    Raises:
        TopoRepError: settings that do not fit the data; a stack.
    """
    if stacked:
        raise TopoRepError("--mode stacked: a ResNet fills a device alone; use solo or auto")
    for index, spec in enumerate(specs):
        set_precision(device, spec.settings["training"]["precision"])
        trainer = _Trainer(spec, data, device=device, folder=state_folder(spec), progress=progress)
        progress.expect((len(specs) - index) * trainer.most_steps)
        try:
            yield trainer.train(seconds_between_states)
        except _Diverged as stop:
            yield stop.divergence
        progress.finished += 1


@dataclass(frozen=True)
class TopographicTerm:
    """The topographic loss of a sheet's weights, and what is matched to the task: it, with a penalty on short weights.

    form, metric: see `toporep.losses.topographic`; norm_penalty: weight of the penalty.
    """

    grid: tuple[int, int]
    form: str = "edge_mean"
    metric: str = "euclidean"
    norm_penalty: float = 0.0

    def __call__(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """(topographic loss, matched loss)."""
        loss = topographic_loss(weight, self.grid, form=self.form, metric=self.metric)
        return loss, loss + self.norm_penalty * norm_penalty(weight) if self.norm_penalty else loss


def training_step(
    task: Tensor,
    topographic_loss: Tensor,
    *,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    matching: GradientMatching,
    scope: str = "embedding",
) -> MatchedStep:
    """One update of all parameters with task + λ · topographic; λ from this step's gradients (eqs. 2 and 3)."""
    step = matched_backward(
        task,
        topographic_loss,
        parameters=list(model.parameters()),
        matched=matched_parameters(model.encoder, scope),
        matching=matching,
    )
    optimizer.step()
    return step


def split_by_class(
    labels: np.ndarray, per_class: int, *, selection: str = "first", most: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the images to train on and of those held out, each in rising order.

    Args:
        labels: (image,) of the whole training part.
        per_class: how many images of each class are held out.
        selection: "first", those that come first, as in the published code; "random", the same random ones for
            every run.
        most: how many of the other images to train on, the first ones; all if None.

    Raises:
        TopoRepError: an unknown selection; a class without an image left to train on.
    """
    if selection not in ("first", "random"):
        raise TopoRepError(f"validation_selection: expected 'first' or 'random', found {selection!r}")
    order = np.arange(len(labels))
    if selection == "random":
        order = rng.permutation(rng.key(_SPLIT_SEED, "split"), len(labels))
    held_out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        if len(members) <= per_class:
            raise TopoRepError(
                f"validation_per_class: {per_class} of class {label} leave none of its {len(members)} images to train "
                "on; choose fewer"
            )
        held_out[members[:per_class]] = True
    return np.flatnonzero(~held_out)[:most], np.flatnonzero(held_out)


class _Diverged(Exception):
    def __init__(self, divergence: Divergence) -> None:
        super().__init__()
        self.divergence = divergence


class _Trainer:
    """Trains one run from its last state, or from the start, to its end."""

    def __init__(
        self, spec: RunSpec, data: TrainingData, *, device: torch.device, folder: Path, progress: Progress
    ) -> None:
        self.spec, self.device, self.progress = spec, device, progress
        self.folder = StateFolder(folder, f"{spec.identity} solo on {device.type}")
        self.settings = settings = spec.settings["training"]
        self.seed, self.classes = spec.run.seed, int(data.labels.max()) + 1
        self.images = torch.from_numpy(data.images).to(device)
        self.labels = torch.from_numpy(data.labels).to(device)
        mean, std = (torch.tensor(settings[key], device=device).view(-1, 1, 1) for key in ("mean", "std"))
        self.scale, self.shift = 1 / std, -mean / std
        self.train_indices, self.validation_indices = split_by_class(
            data.labels,
            settings["validation_per_class"],
            selection=settings["validation_selection"],
            most=settings["train_images"],
        )
        self.batches = _batch_starts(len(self.train_indices), settings["batch_size"], settings["drop_last"])
        self.views = settings["views"]
        self.task = TaskLoss(settings["objective"], settings["options"], self._superclasses(data))
        self.topographic = TopographicTerm(
            tuple(spec.settings["grid"]), **_options(spec.settings["condition"]["topographic"])
        )
        matching = spec.settings["matching"]
        self.scope = matching["scope"]
        self.matching = GradientMatching(
            spec.run.strength,
            reset=matching["ema_reset"],
            **{key: matching[key] for key in ("momentum", "eps", "lambda_max")},
        )
        self.stopping = EarlyStopping(settings["stop_on"], patience=settings["patience"])
        self.model = self._make_model()
        self.forward = torch.compile(self.model) if settings["compile"] else self.model
        self.optimizer = torch.optim.Adam(
            self.model.parameters(),
            lr=settings["learning_rate"],
            betas=tuple(settings["betas"]),
            eps=settings["eps"],
            fused=True,
        )
        column = CHECKPOINTS[settings["checkpoint"]]
        self.checkpoint = Best(column) if column else None
        self.best: dict[str, Tensor] = {}

    @property
    def most_steps(self) -> int:
        """Steps of the run if nothing stops it early; an epoch of the readout counts as one."""
        readout = self.spec.settings["readout"]
        return self.settings["epochs"] * len(self.batches) + (readout["epochs"] if readout else 0)

    def train(self, seconds_between_states: float) -> Trained:
        history = self._restore()
        start = len(history) - 1 if history else 0
        self.progress.skip(start * len(self.batches))
        if start:
            self.progress.note(f"{self._label()}: going on after epoch {start} of at most {self.settings['epochs']}")
        history = history or [self._first_row()]
        saved = time.monotonic()
        for epoch in range(start + 1, self.settings["epochs"] + 1):
            if self.stopping.is_over(history):
                break
            row = self._train_epoch(epoch)
            row["epochs_since_best"] = self.stopping.update(row)
            history.append(row)
            if self.checkpoint and self.checkpoint.update(row):
                self.best = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
            last = epoch == self.settings["epochs"] or self.stopping.is_over(history)
            if last or time.monotonic() - saved >= seconds_between_states:
                self._save(epoch, history)
                saved = time.monotonic()
        return self._finish(history)

    def _finish(self, history: list[dict]) -> Trained:
        epochs = int(history[-1]["epoch"])
        self.progress.skip((self.settings["epochs"] - epochs) * len(self.batches))
        stopping = self.stopping.describe(epochs, self.settings["epochs"])
        self.progress.note(f"{self._label()}: {stopping}")
        kept = epochs
        if self.best:
            self.model.load_state_dict(self.best)
            kept = self.checkpoint.epoch
        details: dict[str, Any] = {
            "stopping": stopping,
            "checkpoint": {"choice": self.settings["checkpoint"], "epoch": kept},
        }
        tensors = dict(self.model.state_dict())
        if self.spec.settings["readout"]:
            readouts, details["readout"] = self._train_readouts()
            tensors |= readouts
        return Trained(self.spec, _contiguous(tensors), history, stacked=False, stack_size=1, details=details)

    # Epochs

    def _train_epoch(self, epoch: int) -> dict[str, Any]:
        self.model.train()
        self.matching.start_epoch()
        order = self.train_indices[rng.permutation(rng.key(self.seed, "batches", epoch), len(self.train_indices))]
        sums = torch.zeros(6, dtype=torch.float64, device=self.device)
        check_every = _STEPS_BETWEEN_CHECKS[self.device.type]
        seen = 0
        totals = []
        for step, first in enumerate(self.batches):
            indices = order[first : first + self.settings["batch_size"]]
            values, total = self._step(indices, epoch, first)
            sums += values * len(indices)
            seen += len(indices)
            totals.append(total)
            if (step + 1) % check_every == 0 or step == len(self.batches) - 1:
                self._raise_if_diverged(totals, epoch, step)
                loss = float(sums[0] / seen)
                self.progress.advance(
                    len(totals), label=self._label(), epoch=epoch, epochs=self.settings["epochs"], loss=loss
                )
                totals = []
        self._raise_if_spoilt(epoch)
        return self._row(epoch, (sums / seen).tolist())

    def _step(self, indices: np.ndarray, epoch: int, first: int) -> tuple[Tensor, Tensor]:
        """Update the network; return what the history takes the mean of, and the total loss."""
        inputs = self._inputs(indices, self.settings["augmentation"], epoch=epoch, views=self.views, stage="train")
        labels = self.labels[torch.from_numpy(indices).to(self.device)]
        with self._autocast():
            output, _ = self.forward(inputs, keep=self._keep_mask(len(inputs), epoch, first))
        task = self.task(output, labels)
        topographic_loss, matched = self.topographic(self.model.encoder.embedding.weight)
        step = training_step(
            task, matched, model=self.model, optimizer=self.optimizer, matching=self.matching, scope=self.scope
        )
        accuracy = self._accuracy(output, labels)
        values = (task, topographic_loss, step.strength, step.task_norm, step.topographic_norm, accuracy)
        return torch.stack([value.detach().double() for value in values]), step.total

    def _row(self, epoch: int, means: list[float]) -> dict[str, Any]:
        task, topographic_loss, strength, task_norm, topographic_norm, accuracy = means
        validation_task, validation_accuracy = self._validate(epoch)
        _, matched, norm = self._sheet()
        values = (
            *(epoch, task, topographic_loss, strength, task_norm, topographic_norm, accuracy),
            *(validation_task, validation_task + strength * matched, validation_accuracy, norm, 0),
        )
        return dict(zip(HISTORY_COLUMNS, values, strict=True))

    def _first_row(self) -> dict[str, Any]:
        """Epoch 0: the sheet before any update."""
        topographic_loss, _, norm = self._sheet()
        row = dict.fromkeys(HISTORY_COLUMNS, math.nan)
        return {**row, "epoch": 0, "topographic_loss": topographic_loss, "norm": norm, "epochs_since_best": 0}

    @torch.no_grad()
    def _sheet(self) -> tuple[float, float, float]:
        """Topographic loss, matched loss, and mean length of a unit's weights."""
        weight = self.model.encoder.embedding.weight
        loss, matched = self.topographic(weight)
        return float(loss), float(matched), float(weight.norm(dim=-1).mean())

    @torch.no_grad()
    def _validate(self, epoch: int) -> tuple[float, float]:
        """Task loss, and accuracy where the head classifies, of the held-out images: means of batches by their size."""
        self.model.eval()
        settings = self.settings
        named = settings["validation_augmentation"]
        drawn = epoch if settings["validation_views"] == "random" else 0
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        for first in range(0, len(self.validation_indices), settings["batch_size"]):
            indices = self.validation_indices[first : first + settings["batch_size"]]
            inputs = self._inputs(indices, named, epoch=drawn, views=self.views, stage="validation")
            labels = self.labels[torch.from_numpy(indices).to(self.device)]
            with self._autocast():
                output, _ = self.forward(inputs)
            values = (self.task(output, labels), self._accuracy(output, labels))
            sums += torch.stack([value.double() for value in values]) * len(indices)
        task, accuracy = (sums / len(self.validation_indices)).tolist()
        return task, accuracy

    def _train_readouts(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        self.model.eval()
        settings = self.spec.settings["readout"]
        changes = {"padding": settings["padding"], "jitter": 0.0, "gray": 0.0, "blur": 0.0}
        embedded = Embedded(
            train=lambda epoch, indices: self._embed(indices, changes, epoch=epoch),
            plain=lambda indices: self._embed(indices, None),
            labels=self.labels,
            train_indices=self.train_indices,
            validation_indices=self.validation_indices,
        )
        self.progress.note(f"{self._label()}: training the readouts")

        def advance(epoch: int) -> None:
            self.progress.advance(1, label=f"{self._label()} readout", epoch=epoch, epochs=settings["epochs"])

        tensors, details = train_readouts(embedded, settings, seed=self.seed, classes=self.classes, advance=advance)
        self.progress.skip(settings["epochs"] - max(each["epochs"] for each in details.values()))
        return tensors, details

    @torch.no_grad()
    def _embed(self, indices: np.ndarray, changes: Mapping[str, Any] | None, *, epoch: int = 0) -> Tensor:
        parts = []
        for first in range(0, len(indices), _EMBEDDING_BATCH):
            batch = indices[first : first + _EMBEDDING_BATCH]
            inputs = self._inputs(batch, changes, epoch=epoch, views=1, stage="readout")
            with self._autocast():
                parts.append(self.model.encoder(inputs).float())
        return torch.cat(parts)

    # Batches

    def _inputs(
        self, indices: np.ndarray, changes: Mapping[str, Any] | None, *, epoch: int, views: int, stage: str
    ) -> Tensor:
        """Normalized inputs, view by view; plain images where no changes are named."""
        images = self.images[torch.from_numpy(indices).to(self.device)]
        if changes is None:
            pixels = images.movedim(-1, -3).float().div_(255).repeat(views, 1, 1, 1)
        else:
            chosen = Augmentation(**_tuples(changes))
            pixels = augment(images, indices, chosen, seed=self.seed, epoch=epoch, views=views, stage=stage)
        inputs = torch.addcmul(self.shift, pixels, self.scale)
        return inputs.contiguous(memory_format=torch.channels_last)

    def _keep_mask(self, rows: int, epoch: int, first: int) -> Tensor | None:
        """Dropout decisions of a batch whose first image is the `first` of its epoch, (rows, unit)."""
        if not self.model.dropout:
            return None
        units = self.model.sheet_units
        return rng.keep_mask(
            [rng.key(self.seed, "dropout", epoch)],
            rows * units,
            drop=self.model.dropout,
            offset=first * self.views * units,
            device=self.device,
        ).view(rows, units)

    def _accuracy(self, output: Tensor, labels: Tensor) -> Tensor:
        if self.settings["objective"] != "cross_entropy":
            return torch.full((), math.nan, device=self.device)
        return (output.detach().argmax(dim=-1) == labels).double().mean()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings["precision"] == "bf16")

    # Model and state

    def _make_model(self) -> TopographicResNet18:
        model = build_model(self.spec.settings, self.seed, classes=self.classes)
        return model.to(self.device, memory_format=torch.channels_last)

    def _superclasses(self, data: TrainingData) -> Tensor | None:
        if self.settings["objective"] != "margin":
            return None
        return superclasses(self.settings["animate"], data.class_names).to(self.device)

    def _restore(self) -> list[dict]:
        """Take up the last state; return its history, empty without a state."""
        epochs = self.folder.epochs()
        if not epochs:
            return []
        state = self.folder.load(epochs[-1])
        self.model.load_state_dict(_below("model.", state.tensors))
        self.best = {name: tensor.to(self.device) for name, tensor in _below("best.", state.tensors).items()}
        step = torch.tensor(float(state.epoch * len(self.batches)), device=self.device)
        for name, parameter in self.model.named_parameters():
            moments = ("exp_avg", "exp_avg_sq")
            kept = {each: torch.empty_like(parameter).copy_(state.tensors[f"{each}.{name}"]) for each in moments}
            self.optimizer.state[parameter] = {"step": step.clone(), **kept}
        matching = _below("matching.", state.tensors)
        self.matching.load_state_dict({name: tensor.to(self.device) for name, tensor in matching.items()})
        for row in state.history[1:]:
            self.stopping.update(row)
            if self.checkpoint:
                self.checkpoint.update(row)
        return state.history

    def _save(self, epoch: int, history: list[dict]) -> None:
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        tensors |= {f"matching.{name}": tensor for name, tensor in self.matching.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            for moment in ("exp_avg", "exp_avg_sq"):
                tensors[f"{moment}.{name}"] = self.optimizer.state[parameter][moment]
        self.folder.save(State(epoch, _contiguous(tensors), history))

    def _raise_if_diverged(self, totals: list[Tensor], epoch: int, step: int) -> None:
        """Look at the total losses of the last steps, of which `step` (from 0) is the last one."""
        values = torch.stack(totals).tolist()
        for index, value in enumerate(values):
            if not math.isfinite(value):
                raise _Diverged(Divergence(self.spec, epoch, step + 2 - len(values) + index, value))

    def _raise_if_spoilt(self, epoch: int) -> None:
        """Look at the weights after an epoch's last update: before the next step no loss shows what it did."""
        finite = torch.stack([parameter.detach().isfinite().all() for parameter in self.model.parameters()])
        if not bool(finite.all()):
            raise _Diverged(Divergence(self.spec, epoch, len(self.batches), math.nan, "weights"))

    def _label(self) -> str:
        run = self.spec.run
        return f"{run.condition}/{run.strength:g}/seed{run.seed}"


def build_model(settings: Mapping[str, Any], seed: int, *, classes: int) -> TopographicResNet18:
    """The network that a run's settings describe, with its initial weights."""
    model = settings["model"]
    return TopographicResNet18(
        seed,
        head=model["head"],
        dropout=model["dropout"],
        grid=tuple(settings["grid"]),
        width=model["width"],
        classes=classes,
        projection=model["projection"],
    )


def _batch_starts(images: int, size: int, drop_last: bool) -> list[int]:
    """Where each batch of an epoch begins.

    Raises:
        TopoRepError: no batch, or a last one of a single image, of which no variance can be taken.
    """
    starts = list(range(0, images, size))
    if starts and images - starts[-1] < size and drop_last:
        starts.pop()
    if not starts:
        raise TopoRepError(f"batch_size: {images} training images make no batch of {size}; choose a smaller one")
    if min(size, images - starts[-1]) < 2:
        raise TopoRepError(
            f"batch_size: {images} training images in batches of {size} leave one for the last batch, which has no "
            "other image to compare with; change batch_size, train_images or drop_last"
        )
    return starts


def _options(topographic_settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: topographic_settings[key] for key in ("form", "metric", "norm_penalty")}


def _tuples(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in changes.items()}


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor's own copy in row-major memory of the host."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
