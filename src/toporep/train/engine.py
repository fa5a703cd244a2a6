"""The training engine: one run alone, or a stack of runs at once.

A run's weights, split, batches and dropout masks are keyed by its own seed, so they are the same to the
bit in both modes. On one device the same runs give the same bytes every time; a job that was killed goes
on from its last whole epoch and ends at the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from toporep import rng
from toporep.device import set_precision
from toporep.errors import TopoRepError
from toporep.models.cnn import MODELS
from toporep.models.inputs import Normalization
from toporep.train.objective import Objective, Terms
from toporep.train.outcome import Divergence, Trained, TrainingData
from toporep.train.progress import Progress
from toporep.train.spec import RunSpec
from toporep.train.state import State, StateFolder

# Dropout decisions are drawn for several steps at once; this bounds how many are held.
_MASK_ELEMENTS = {"cpu": 2**20, "cuda": 2**26}
# How many steps may pass before a loss that is no number is noticed: looking makes a GPU wait.
_STEPS_BETWEEN_CHECKS = {"cpu": 1, "cuda": 50}
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


class _Diverged(Exception):
    def __init__(self, divergences: list[Divergence]) -> None:
        super().__init__()
        self.divergences = divergences


def choose_stacked(mode: str, *, device: torch.device, runs: int) -> bool:
    """Decide whether runs train as one stack: "stacked", "solo", or "auto".

    "auto" stacks on a GPU, where these small networks leave most of the device idle; on a CPU the
    library's own convolutions of one network at a time are faster than the stack's matrix products.
    """
    if mode == "auto":
        return runs > 1 and device.type != "cpu"
    return mode == "stacked"


def train_runs(
    specs: Sequence[RunSpec],
    data: TrainingData,
    *,
    state_folder: Callable[[RunSpec], Path],
    device: torch.device,
    stacked: bool,
    progress: Progress,
) -> Iterator[Trained | Divergence]:
    """Train runs of one shape; yield each as it ends.

    Args:
        specs: the runs; all of one data set, model and training settings.
        data: the images and labels of the data set's training part.
        state_folder: where a run's training state lies.
        device: where to train.
        stacked: train all runs at once instead of one after the other.
        progress: told of every step.

    Yields:
        `Trained`, or `Divergence` for a run whose loss is no longer a finite number; the other runs go
        on, and the state of that run's last whole epoch stays on disk.
    """
    set_precision(device)
    # Rounding differs between modes and devices: no run is trained partly in one and partly in another.
    how = f"{'stacked' if stacked else 'solo'} on {device.type}"
    folders = {spec.run: StateFolder(state_folder(spec), f"{spec.identity} {how}") for spec in specs}
    pending = [list(specs)] if stacked else [[spec] for spec in specs]
    while pending:
        progress.expect(sum(map(len, pending)) * _steps(specs[0], data))
        group = pending.pop(0)
        parts = _by_common_epoch(group, folders)
        if len(parts) > 1:
            pending = parts + pending
            continue
        trainer = _Trainer(group, data, device=device, stacked=stacked, folders=folders, progress=progress)
        try:
            trained = trainer.train()
        except _Diverged as stop:
            yield from stop.divergences
            progress.finished += len(stop.divergences)
            failed = {divergence.spec.run for divergence in stop.divergences}
            rest = [spec for spec in group if spec.run not in failed]
            if rest:
                pending.insert(0, rest)
            continue
        progress.finished += len(trained)
        yield from trained


def _by_common_epoch(group: list[RunSpec], folders: dict) -> list[list[RunSpec]]:
    """Split a group into parts that can go on from one epoch each; one part if all share a state."""
    epochs = {spec.run: set(folders[spec.run].epochs()) or {0} for spec in group}
    if set.intersection(*epochs.values()):
        return [group]
    parts: dict[int, list[RunSpec]] = {}
    for spec in group:
        parts.setdefault(max(epochs[spec.run]), []).append(spec)
    return list(parts.values())


class _Trainer:
    """Trains one group of runs in lockstep from their common state to the last epoch."""

    def __init__(
        self,
        specs: list[RunSpec],
        data: TrainingData,
        *,
        device: torch.device,
        stacked: bool,
        folders: dict,
        progress: Progress,
    ) -> None:
        self.specs, self.device, self.stacked = specs, device, stacked
        self.folders = [folders[spec.run] for spec in specs]
        self.progress = progress
        self.settings = specs[0].settings["training"]
        self.epochs = self.settings["epochs"]
        self.batch_size = self.settings["batch_size"]
        self.seeds = [spec.run.seed for spec in specs]
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
        )
        self.objective = Objective(specs, device=device)

    def train(self) -> list[Trained]:
        """Train to the last epoch and return the finished runs."""
        start, histories = self._restore()
        self.progress.skip(start * self.steps * len(self.specs))
        if start:
            self.progress.note(f"{self._label()}: going on after epoch {start} of {self.epochs}")
        for epoch in range(start + 1, self.epochs + 1):
            rows = self._train_epoch(epoch, histories)
            for history, row in zip(histories, rows, strict=True):
                history.append(row)
            self._save(epoch, histories)
        tensors = self._split_by_run(self.model.state_dict())
        size = len(self.specs)
        return [
            Trained(spec, tensors[index], histories[index], self.stacked, size) for index, spec in enumerate(self.specs)
        ]

    def _train_epoch(self, epoch: int, histories: list[list[dict]]) -> list[dict]:
        self.model.train()
        orders = self._orders(epoch)
        sums = torch.zeros(5, len(self.specs), dtype=torch.float64, device=self.device)
        first_bad = torch.full((len(self.specs),), self.steps, device=self.device)
        bad_value = torch.zeros(len(self.specs), device=self.device)
        check_every = _STEPS_BETWEEN_CHECKS[self.device.type]
        for step, keep in enumerate(self._keep_masks(epoch)):
            indices = orders[:, step * self.batch_size : (step + 1) * self.batch_size]
            terms, correct = self._step(indices, keep)
            batch = indices.shape[1]
            bad = ~torch.isfinite(terms.total) & (first_bad == self.steps)
            # Not torch.where, which copies a number to the GPU and waits for it.
            first_bad.masked_fill_(bad, step)
            bad_value = torch.where(bad, terms.total.detach(), bad_value)
            if epoch == 1 and step == 0:
                self._record_start(histories, terms, correct / batch)
            parts = (terms.cross_entropy, terms.spatial_loss, terms.weight_similarity, terms.activation_similarity)
            sums[:4] += torch.stack([part.detach().double() for part in parts]) * batch
            sums[4] += correct
            last = step == self.steps - 1
            if (step + 1) % check_every == 0 or last:
                self._raise_if_diverged(first_bad, bad_value, epoch)
            self._tell(epoch, step, sums, seen=step * self.batch_size + batch)
        self._raise_if_spoilt(epoch)
        return self._rows(epoch, sums / orders.shape[1])

    def _step(self, indices: Tensor, keep: Tensor) -> tuple[Terms, Tensor]:
        images, labels = self._batch(indices)
        self.optimizer.zero_grad(set_to_none=True)
        logits, pre = self.model(images, keep=keep)
        weight = self.model.fc1.weight
        if not self.stacked:
            logits, pre, weight = logits[None], pre[None], weight[None]
        terms = self.objective(logits, pre, weight, labels)
        terms.total.sum().backward()
        self.optimizer.step()
        correct = (logits.detach().argmax(dim=-1) == labels).sum(dim=1)
        return terms, correct

    def _batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised images, (K, batch, channel, row, col) or (batch, channel, row, col), and labels (K, batch)."""
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

    def _raise_if_diverged(self, first_bad: Tensor, value: Tensor, epoch: int) -> None:
        if bool((first_bad < self.steps).any()):
            steps, values = first_bad.tolist(), value.tolist()
            raise _Diverged(
                [
                    Divergence(spec, epoch, step + 1, number)
                    for spec, step, number in zip(self.specs, steps, values, strict=True)
                    if step < self.steps
                ]
            )

    def _raise_if_spoilt(self, epoch: int) -> None:
        """Look at the weights after the last update of an epoch: before the next step no loss shows what it did."""
        finite = torch.ones(len(self.specs), dtype=torch.bool, device=self.device)
        for parameter in self.model.parameters():
            finite &= parameter.detach().isfinite().reshape(len(self.specs), -1).all(dim=1)
        spoilt = [spec for spec, good in zip(self.specs, finite.tolist(), strict=True) if not good]
        if spoilt:
            raise _Diverged([Divergence(spec, epoch, self.steps, math.nan, "weights") for spec in spoilt])

    def _tell(self, epoch: int, step: int, sums: Tensor, *, seen: int) -> None:
        every = 1 if self.device.type == "cpu" else 50
        if (step + 1) % every == 0 or step == self.steps - 1:
            loss = float((sums[0] / seen).mean())
            done = every if (step + 1) % every == 0 else (step + 1) % every
            self.progress.advance(
                done * len(self.specs), label=self._label(), epoch=epoch, epochs=self.epochs, loss=loss
            )

    def _label(self) -> str:
        first = self.specs[0].run
        if len(self.specs) == 1:
            return f"{first.condition}/{first.strength:g}/seed{first.seed}"
        return f"stack of {len(self.specs)}"

    def _make_model(self):
        """The model with each run's initial weights, in the memory format that is fastest on the device."""
        settings = self.specs[0].settings
        rows, cols = settings["grid"]
        make = MODELS[settings["model"]["name"]]
        seeds = self.seeds if self.stacked else self.seeds[0]
        model = make(seeds, dropout=settings["model"]["dropout"], sheet_units=rows * cols).to(self.device)
        weights = model.fc1.weight.detach().clone()
        self._initial_weights = list(weights) if self.stacked else [weights]
        return model if self.stacked else model.to(memory_format=torch.channels_last)

    def _restore(self) -> tuple[int, list[list[dict]]]:
        common = set.intersection(*(set(folder.epochs()) for folder in self.folders))
        if not common:
            return 0, [[] for _ in self.specs]
        epoch = max(common)
        states = [folder.load(epoch) for folder in self.folders]
        joined = {
            name: torch.stack([state.tensors[name] for state in states]) if self.stacked else tensor
            for name, tensor in states[0].tensors.items()
        }
        self.model.load_state_dict(_with_prefix(joined, "model."))
        steps = torch.tensor(float(epoch * self.steps), device=self.device)
        for name, parameter in self.model.named_parameters():
            self.optimizer.state[parameter] = {
                "step": steps.clone(),
                **{
                    moment: torch.empty_like(parameter).copy_(joined[f"{moment}.{name}"])
                    for moment in ("exp_avg", "exp_avg_sq")
                },
            }
        return epoch, [state.history for state in states]

    def _save(self, epoch: int, histories: list[list[dict]]) -> None:
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            for moment in ("exp_avg", "exp_avg_sq"):
                tensors[f"{moment}.{name}"] = self.optimizer.state[parameter][moment]
        for folder, history, own in zip(self.folders, histories, self._split_by_run(tensors), strict=True):
            folder.save(State(epoch, own, history))

    def _split_by_run(self, tensors: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        """Each run's own copy, in row-major memory, of tensors that a stack holds together."""
        tensors = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
        if not self.stacked:
            return [{name: tensor.contiguous() for name, tensor in tensors.items()}]
        return [
            {name: tensor[index].contiguous() for name, tensor in tensors.items()} for index in range(len(self.specs))
        ]


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


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
