"""The training engine of the category-selectivity paper: topographic and plain VAEs and the TDANN, on features."""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from toporep import rng
from toporep.errors import TopoRepError
from toporep.losses.gaussian import gaussian_elbo_terms
from toporep.losses.spatial_correlation import sheet_distances, spatial_correlation
from toporep.models.trained_category import CategoryNetwork, build_category
from toporep.normal import normal
from toporep.train.outcome import Divergence, Trained
from toporep.train.progress import Progress
from toporep.train.spec import RunSpec
from toporep.train.stack import FiniteCheck, StackTrainer, train_groups

_ELBO = ("nll", "kl_z", "kl_u")
_CLASSIFIER = ("cross_entropy", "spatial_loss_fc6", "spatial_loss_fc7", "accuracy")
HISTORY_COLUMNS = ("epoch", "loss", *_ELBO, "mu", *_CLASSIFIER)
# Side of the TDANN's sheet, in mm (Keller, Gao & Welling 2021, section B.1).
SHEET_MM = 10.0
# In the demo, writing a state takes a sixth of the time of an epoch.
SECONDS_BETWEEN_STATES = 30.0


class TrainingFeatures(Protocol):
    """The labelled features that runs are trained on, from a file or made from images as training goes on.

    label: int64 (image,); class_names: one a label; weights_sha256: of the network that makes them, "" if it has none;
    batches: epoch from 1, plan (steps, batch) of indices of images, device → a tensor (batch, feature) float32 for
    each step. In each epoch the features may come from other crops.
    """

    count: int
    width: int
    label: np.ndarray
    class_names: tuple[str, ...]
    source_title: str
    data_sha256: str
    recognised_as: str
    weights_sha256: str

    def batches(self, epoch: int, plan: np.ndarray, device: torch.device) -> Iterator[Tensor]: ...


def train_category(
    specs: Sequence[RunSpec],
    data: TrainingFeatures,
    *,
    state_folder: Callable[[RunSpec], Path],
    device: torch.device,
    stacked: bool,
    progress: Progress,
) -> Iterator[Trained | Divergence]:
    """Train networks of features, one after the other; yield each as it ends.

    Stochastic gradient descent with momentum at a constant rate on the mean loss of a batch; a last batch that is not
    full is left out. Of VAEs the loss is the negative evidence lower bound, of the TDANN the cross-entropy plus
    `spatial_weight` / units² times the spatial correlation losses of FC6 and of FC7. A condition that is not trained
    has its initial weights, or the pretrained ones; its normalization is that of what the first epoch would see.

    Args:
        specs: the runs; all of one data set and with the same training settings.
        data: the features of the data set.
        state_folder, device, progress: see `toporep.train.stack.train_groups`.
        stacked: must be False: one of these networks fills a device.

    Raises:
        TopoRepError: runs cannot train as a stack; settings do not fit the features.

    Source: Keller, Gao & Welling 2021 (category), sections 4 and B; the published code where these are silent.
    """
    if stacked:
        raise TopoRepError("--mode stacked: networks of features train one after the other; use auto or solo")
    for _, group in itertools.groupby(specs, key=_epochs):
        group = list(group)
        yield from train_groups(
            group,
            functools.partial(_Trainer, data=data),
            state_folder=state_folder,
            device=device,
            stacked=False,
            progress=progress,
            steps=_epochs(group[0]) * _steps(group[0].settings["training"], data.count),
        )


def training_indices(training: dict[str, Any], count: int) -> np.ndarray:
    """Indices of the images that a run trains on, in rising order, the same for all seeds.

    Args:
        training: `train_images`, a cap, or None.
        count: images there are.
    """
    cap = training["train_images"]
    # Some of all images, not the first ones, which are of one class.
    return np.arange(count) if cap is None else np.sort(rng.permutation(rng.key(0, "subset"), count)[:cap])


class _Trainer(StackTrainer):
    """Trains one run."""

    def __init__(self, specs: list[RunSpec], *, data: TrainingFeatures, device: torch.device, **common: Any) -> None:
        super().__init__(specs, device=device, **common)
        (spec,) = specs
        self._saved = time.monotonic()
        training = spec.settings["training"]
        self.data, self.epochs, self.batch_size = data, _epochs(spec), training["batch_size"]
        self.indices = training_indices(training, data.count)
        self.steps = _steps(training, data.count)
        self.model = build_category(spec.settings, width=data.width, classes=len(data.class_names)).to(device)
        self.objective = _objective(spec, self.model, data, device)
        self.moments = ("momentum_buffer",) if training["momentum"] else ()
        self.optimizer = torch.optim.SGD(
            self.model.parameters(),
            lr=training["learning_rate"],
            momentum=training["momentum"],
            weight_decay=training["weight_decay"],
            fused=True,
        )

    def train(self) -> list[Trained]:
        if self.epochs:
            return super().train()
        history = [self._untrained_start()]
        if self.model.norm is not None:
            _measure(self.model.norm, self.data.batches(1, self._plan(1), self.device))
        (tensors,) = self._split_by_run(self.model.state_dict())
        return [Trained(self.specs[0], tensors, history, False, 1, *self._details())]

    def _train_epoch(self, epoch: int, histories: list[list[dict]]) -> list[dict]:
        self.model.train()
        sums = torch.zeros(1 + len(self.objective.names), dtype=torch.float64, device=self.device)
        finite = FiniteCheck(self.specs, self.steps, device=self.device)
        plan, mu = self._plan(epoch), self._mu()
        batches = self.data.batches(epoch, plan, self.device)
        for step, (indices, features) in enumerate(zip(plan, batches, strict=True)):
            values = self._step(features, indices, epoch, step)
            if epoch == 1 and step == 0:
                histories[0].append(self._row(0, values, mu))
            finite.add(values[:1], epoch=epoch, step=step)
            sums += values.double()
            self._tell(epoch, step, sums=sums[:1], count=step + 1)
        self._raise_if_spoilt(epoch)
        return [self._row(epoch, sums / self.steps, self._mu())]

    def _step(self, features: Tensor, indices: np.ndarray, epoch: int, step: int) -> Tensor:
        """One update: the loss and its parts, detached, (1 + parts,)."""
        self.optimizer.zero_grad(set_to_none=True)
        values = self.objective(features, indices, epoch=epoch, step=step)
        values[0].backward()
        self.optimizer.step()
        return values.detach()

    def _save(self, epoch: int, histories: list[list[dict]]) -> None:
        if epoch == self.epochs or time.monotonic() - self._saved >= SECONDS_BETWEEN_STATES:
            super()._save(epoch, histories)
            self._saved = time.monotonic()

    def _details(self) -> list[dict]:
        data = self.data
        return [
            {
                "source_title": data.source_title,
                "recognised_as": data.recognised_as,
                "class_names": list(data.class_names),
                "epochs": self.epochs,
            }
        ]

    @torch.no_grad()
    def _untrained_start(self) -> dict:
        """The row of epoch 0, as if training had begun."""
        if self.objective is None:
            return _blank(0)
        plan = self._plan(1)[:1]
        (features,) = self.data.batches(1, plan, self.device)
        return self._row(0, self.objective(features, plan[0], epoch=1, step=0), self._mu())

    def _plan(self, epoch: int) -> np.ndarray:
        """Indices of the images of each step, (steps, batch)."""
        order = self.indices[rng.permutation(rng.key(self.seeds[0], "batches", epoch), len(self.indices))]
        return order[: self.steps * self.batch_size].reshape(self.steps, self.batch_size)

    def _mu(self) -> float:
        mu = getattr(self.model.net, "mu", None)
        return math.nan if mu is None else float(mu.detach())

    def _row(self, epoch: int, values: Tensor, mu: float) -> dict:
        found = dict(zip(("loss", *self.objective.names), values.tolist(), strict=True))
        return {**_blank(epoch), **found, "mu": mu}


class _ElboObjective:
    """The negative evidence lower bound with one sample of the posterior, mean over the batch, in nats."""

    names = _ELBO

    def __init__(self, seed: int, model: CategoryNetwork, device: torch.device) -> None:
        self.seed, self.model, self.device = seed, model, device

    def __call__(self, features: Tensor, indices: np.ndarray, *, epoch: int, step: int) -> Tensor:
        """The loss and its parts, (4,)."""
        features = self.model.normalize(features)
        noise_z = self._noise("z", len(features), epoch, step)
        noise_u = self._noise("u", len(features), epoch, step) if self.model.net.topographic else None
        found = self.model.net(features, noise_z=noise_z, noise_u=noise_u)
        terms = gaussian_elbo_terms(found.means, features, found.posterior)
        parts = torch.stack([terms[name].mean() for name in self.names])
        return torch.cat([parts.sum(0, keepdim=True), parts])

    def _noise(self, name: str, images: int, epoch: int, step: int) -> Tensor:
        count = images * self.model.net.units
        stream = rng.key(self.seed, f"posterior_{name}", epoch)
        return normal([stream], count, offset=step * count, device=self.device).view(images, -1)


class _SpatialObjective:
    """Cross-entropy and the weighted spatial correlation losses of both sheets; the latter are told unweighted."""

    names = _CLASSIFIER

    def __init__(self, spec: RunSpec, model: CategoryNetwork, data: TrainingFeatures, device: torch.device) -> None:
        grid = spec.settings["grid"]
        self.seed, self.model, self.device = spec.run.seed, model, device
        self.labels = torch.from_numpy(np.asarray(data.label)).to(device)
        self.weight = spec.settings["condition"]["spatial_weight"] / math.prod(grid) ** 2
        self.distances = sheet_distances(tuple(grid), spacing=SHEET_MM / grid[0]).to(device) if self.weight else None

    def __call__(self, features: Tensor, indices: np.ndarray, *, epoch: int, step: int) -> Tensor:
        """The loss and its parts, (5,)."""
        labels = self.labels[torch.from_numpy(indices).to(self.device)]
        found = self.model.net(self.model.normalize(features), keep=self._keep(len(features), epoch, step))
        loss = cross_entropy = F.cross_entropy(found.logits, labels)
        spatial = [torch.full_like(loss, math.nan)] * 2
        if self.weight:
            spatial = [spatial_correlation(sheet, self.distances) for sheet in (found.fc6, found.fc7)]
            loss = loss + self.weight * sum(spatial)
        accuracy = (found.logits.detach().argmax(1) == labels).float().mean()
        return torch.stack([loss, cross_entropy, *spatial, accuracy])

    def _keep(self, images: int, epoch: int, step: int) -> Tensor | None:
        net = self.model.net
        if not net.dropout:
            return None
        count = images * net.dropout_width
        streams = [rng.key(self.seed, "dropout", epoch)]
        return rng.keep_mask(streams, count, drop=net.dropout, offset=step * count, device=self.device).view(images, -1)


def _objective(
    spec: RunSpec, model: CategoryNetwork, data: TrainingFeatures, device: torch.device
) -> _ElboObjective | _SpatialObjective | None:
    """What is minimized; None for the pretrained layer, which gets its weights here."""
    if model.kind == "tvae":
        return _ElboObjective(spec.run.seed, model, device)
    if model.kind == "tdann":
        return _SpatialObjective(spec, model, data, device)
    if spec.settings["condition"]["trained"]:
        raise TopoRepError(
            f"conditions.{spec.run.condition}: fc6 is the pretrained layer, which is not trained here; "
            "set trained to false"
        )
    _load_pretrained(model, spec, data)
    return None


def _load_pretrained(model: CategoryNetwork, spec: RunSpec, data: TrainingFeatures) -> None:
    weight, bias = _read_pretrained(data)
    expected, found = tuple(model.net.weight.shape), tuple(weight.shape)
    if expected != found:
        raise TopoRepError(
            f"conditions.{spec.run.condition}: the pretrained layer has {found[0]} units of {found[1]} features, "
            f"expected {expected[0]} units (the sheet's) of {expected[1]} (the features'); leave the condition out, or "
            "use the sheet and the features of AlexNet"
        )
    with torch.no_grad():
        model.net.weight.copy_(weight)
        model.net.bias.copy_(bias)


def _read_pretrained(data: TrainingFeatures) -> tuple[Tensor, Tensor]:
    """Weights (unit, feature) and bias (unit,) of the layer that reads the features."""
    from toporep.models.alexnet import find_weights, pretrained_fc6, weights_sha256

    path = find_weights()
    found = weights_sha256(path)
    if found != data.weights_sha256:
        raise TopoRepError(
            f"{path}: not the weights that the features were made with: expected sha256 {data.weights_sha256}, "
            f"found {found}; make the features again, or put that file back"
        )
    return pretrained_fc6(path)


@torch.no_grad()
def _measure(norm: torch.nn.Module, batches: Iterator[Tensor]) -> None:
    """Set the running statistics to mean and unbiased variance over all images of the batches."""
    count = 0
    for features in batches:
        features = features.double()
        added, size = features.mean(0), len(features)
        spread = (features - added).square().sum(0)
        if not count:
            mean, squares = torch.zeros_like(added), torch.zeros_like(spread)
        shift, total = added - mean, count + size
        squares += spread + shift.square() * (count * size / total)
        mean += shift * (size / total)
        count = total
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(squares / (count - 1))


def _epochs(spec: RunSpec) -> int:
    return spec.settings["training"]["epochs"] if spec.settings["condition"]["trained"] else 0


def _steps(training: dict[str, Any], count: int) -> int:
    """Full batches in an epoch."""
    images, size = len(training_indices(training, count)), training["batch_size"]
    if images < size:
        raise TopoRepError(
            f"batch_size: expected at most the {images} training images, found {size}; a batch that is not full is "
            "left out, and there would be none"
        )
    return images // size


def _blank(epoch: int) -> dict:
    return {**dict.fromkeys(HISTORY_COLUMNS, math.nan), "epoch": epoch}
