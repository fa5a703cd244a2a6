"""The training engine of self-organizing maps: one image a step, one map alone or a stack of maps at once."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toporep import rng
from toporep.metrics.topographic_error import topographic_error
from toporep.models.inputs import Normalization
from toporep.models.self_organizing_map import SelfOrganizingMap, initial_images, label_shares, responses
from toporep.sheet import distance_matrix
from toporep.train.outcome import Divergence, Trained, TrainingData
from toporep.train.progress import Progress
from toporep.train.spec import RunSpec
from toporep.train.stack import StackTrainer, train_groups

HISTORY_COLUMNS = ("epoch", "quantization_error", "topographic_error", "used_units", "width", "rate")
# Narrower neighborhoods than this, in grid spacings, hold the winner alone.
_NARROWEST = 1e-3


def train_maps(
    specs: Sequence[RunSpec],
    data: TrainingData,
    *,
    state_folder: Callable[[RunSpec], Path],
    device: torch.device,
    stacked: bool,
    progress: Progress,
) -> Iterator[Trained | Divergence]:
    """Train self-organizing maps; yield each as it ends.

    Each unit begins with a training image of its own. Each step shows one image x. The unit whose weight vector is
    nearest to x wins, and every unit u moves toward x by rate · exp(−d² / (2 width²)) · (x − w_u), where d is its
    distance to the winner on the sheet. Rate and width fall geometrically over the steps of all epochs, the width from
    `initial_width` to the run's strength; without a neighborhood the winner alone moves.

    Args:
        specs: the runs; all of one data set and with the same training settings.
        data: the images and labels of the data set's training part.
        state_folder, device, stacked, progress: see `toporep.train.stack.train_groups`.

    Source: Kohonen 1982, the process; Ritter, Martinetz & Schulten 1991, neighborhood and schedules.
    """
    # Untrained maps have no epochs, so that they cannot be in lockstep with others.
    for epochs, group in itertools.groupby(specs, key=_epochs):
        group = list(group)
        yield from train_groups(
            group,
            functools.partial(_Trainer, data=data, epochs=epochs),
            state_folder=state_folder,
            device=device,
            stacked=stacked,
            progress=progress,
            steps=epochs * training_count(group[0].settings["training"], data),
        )


def training_count(training: dict[str, Any], data: TrainingData) -> int:
    """How many images a run trains on: the first ones, if there is a cap."""
    return len(data.labels[: training["train_images"]])


def schedule(first: float, last: float, *, start: int, steps: int, total: int) -> np.ndarray:
    """Values of `steps` steps from step `start` on, (steps,): geometric, `first` at step 0, `last` at the last one.

    Args:
        first, last: positive.
        start, steps: which steps, counted from 0.
        total: of all steps.

    Source: Ritter, Martinetz & Schulten 1991.
    """
    done = np.arange(start, start + steps) / max(1, total - 1)
    return first * (last / first) ** done


class _Trainer(StackTrainer):
    """Trains one group of maps in lockstep."""

    moments = ()

    def __init__(
        self, specs: list[RunSpec], *, data: TrainingData, epochs: int, device: torch.device, **common: Any
    ) -> None:
        super().__init__(specs, device=device, **common)
        settings = specs[0].settings
        self.training, self.grid, self.epochs = settings["training"], tuple(settings["grid"]), epochs
        self.steps = training_count(self.training, data)
        normalize = Normalization(self.training["mean"], self.training["std"], device=device)
        self.inputs = normalize(torch.from_numpy(data.images[: self.steps]).to(device)).flatten(1)
        self.labels, self.classes = data.labels[: self.steps], len(data.class_names)
        self.squared_distances = torch.from_numpy(distance_matrix(self.grid) ** 2).float().to(device)
        self.variance = float((self.inputs - self.inputs.mean(dim=0)).square().sum(dim=1).mean())
        self.model = self._make_model()
        # A state keeps what an optimizer remembers; this one remembers nothing and is never asked for a step.
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.0)

    def train(self) -> list[Trained]:
        if self.epochs:
            return super().train()
        rows = self._measure(0, self._widths()[:, 0], self.training["rate"][0])
        tensors = self._split_by_run(self.model.state_dict())
        size = len(self.specs)
        return [
            Trained(spec, own, [row], self.stacked, size)
            for spec, own, row in zip(self.specs, tensors, rows, strict=True)
        ]

    @torch.no_grad()
    def _train_epoch(self, epoch: int, histories: list[list[dict]]) -> list[dict]:
        widths, rates = self._widths(epoch), self._rates(epoch)
        if epoch == 1:
            for history, row in zip(histories, self._measure(0, widths[:, 0], rates[0]), strict=True):
                history.append(row)
        # exp(−d² / (2 width²)) = exp(d² · factor).
        factors = torch.from_numpy(-0.5 / np.maximum(widths, _NARROWEST) ** 2).float().to(self.device)
        orders = self._orders(epoch)
        for step, rate in enumerate(rates.tolist()):
            self._update(self.inputs[orders[:, step]], factors[:, step], rate)
        self.progress.advance(self.steps * len(self.specs), label=self.label, epoch=epoch, epochs=self.epochs)
        self._raise_if_spoilt(epoch)
        return self._measure(epoch, widths[:, -1], rates[-1])

    def _make_model(self) -> SelfOrganizingMap:
        """The maps with the initial weights of each run: normalized training images."""
        units, inputs = len(self.squared_distances), self.inputs.shape[1]
        stack = len(self.specs) if self.stacked else None
        model = SelfOrganizingMap(units=units, inputs=inputs, classes=self.classes, stack=stack)
        first = np.stack([initial_images(seed, self.steps, units) for seed in self.seeds])
        model.weight.copy_(self.inputs[torch.from_numpy(first).to(self.device)].view_as(model.weight))
        return model.to(self.device)

    def _update(self, inputs: Tensor, factors: Tensor, rate: float) -> None:
        """Show an image to each map: inputs (K, input), factors (K,)."""
        weight = self._weights()
        toward = inputs[:, None] - weight
        winners = toward.square().sum(dim=2).argmin(dim=1)
        neighborhood = torch.exp(self.squared_distances[winners] * factors[:, None])
        weight.addcmul_(toward, neighborhood[..., None], value=rate)

    def _weights(self) -> Tensor:
        """(K, unit, input), the memory of the model."""
        return self.model.weight if self.stacked else self.model.weight[None]

    def _widths(self, epoch: int = 1) -> np.ndarray:
        """Standard deviation of each run's neighborhood at each step of an epoch, (K, step); 0 without one."""
        last = [spec.run.strength if spec.loss == "neighborhood" else 0.0 for spec in self.specs]
        return np.stack([self._schedule(epoch, self.training["initial_width"], width) for width in last])

    def _rates(self, epoch: int) -> np.ndarray:
        """Learning rate at each step of an epoch, (step,)."""
        return self._schedule(epoch, *self.training["rate"])

    def _schedule(self, epoch: int, first: float, last: float) -> np.ndarray:
        total = max(1, self.epochs) * self.steps
        if not last:
            return np.zeros(self.steps)
        return schedule(first, last, start=(epoch - 1) * self.steps, steps=self.steps, total=total)

    def _orders(self, epoch: int) -> Tensor:
        """The order of the images for each run in this epoch, (K, image)."""
        orders = [rng.permutation(rng.key(seed, "batches", epoch), self.steps) for seed in self.seeds]
        return torch.from_numpy(np.stack(orders)).to(self.device)

    @torch.no_grad()
    def _measure(self, epoch: int, widths: np.ndarray, rate: float) -> list[dict]:
        """The row of the history of each run, over all training images; labels the units."""
        rows = []
        for index, (weight, width) in enumerate(zip(self._weights(), widths.tolist(), strict=True)):
            found = responses(self.inputs, weight)
            best, winners = found.max(dim=1)
            self._label(index, winners.cpu().numpy())
            squares = self.inputs.square().sum(dim=1) - 2 * best
            values = (
                epoch,
                # As a share of the variance that one unit, at the mean image, would leave.
                float(squares.mean()) / self.variance,
                float(topographic_error(found.cpu().numpy(), self.grid)),
                len(winners.unique()),
                width,
                float(rate),
            )
            rows.append(dict(zip(HISTORY_COLUMNS, values, strict=True)))
        return rows

    def _label(self, index: int, winners: np.ndarray) -> None:
        shares = label_shares(winners, self.labels, units=len(self.squared_distances), classes=self.classes)
        target = self.model.label_share[index] if self.stacked else self.model.label_share
        target.copy_(torch.from_numpy(shares))


def _epochs(spec: RunSpec) -> int:
    return spec.settings["training"]["epochs"] if spec.settings["condition"]["trained"] else 0
