"""The training engine of Topographic VAEs: one run alone, or a stack of runs of one shape (see `stack`)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toporep import rng
from toporep.config import canonical_json
from toporep.data.sequences import KINDS, Draws, draw_sequences, render_sequences, split_indices
from toporep.errors import TopoRepError
from toporep.losses.vae import elbo_terms
from toporep.metrics.capsule_roll import capsule_correlation, cyclic_classes, sequence_rolls
from toporep.metrics.equivariance import equivariance_error
from toporep.models.trained_vae import build_vae
from toporep.normal import normal
from toporep.train.graphs import GRAPHS_TEXT, static_step
from toporep.train.outcome import Divergence, Trained, TrainingData
from toporep.train.progress import Progress
from toporep.train.spec import RunSpec, stack_shape
from toporep.train.stack import FiniteCheck, StackTrainer, train_groups

_TERMS = ("negative_elbo", "nll", "kl_z", "kl_u")
# While the weights of the last epoch change, as the published code reports them for dSprites.
RUNNING = "running_equivariance_error"
_RUNNING_ROLLS = ("posX", "posY", "orientation", "scale")
HISTORY_COLUMNS = (
    "epoch",
    *_TERMS,
    "mu",
    RUNNING,
    *(f"running_capsule_correlation_{factor}" for factor in ("x", "y", "orientation", "scale")),
)


def train_vaes(
    specs: Sequence[RunSpec],
    data: TrainingData,
    *,
    state_folder: Callable[[RunSpec], Path],
    device: torch.device,
    stacked: bool,
    progress: Progress,
    cuda_graphs: bool = False,
) -> Iterator[Trained | Divergence]:
    """Train Topographic VAEs; yield each as it ends. Those of one shape make one stack.

    Stochastic gradient descent with momentum on the negative evidence lower bound, mean over frames, of sequences that
    are made anew in every epoch from each training image (Keller & Welling 2021, section 6 and appendix A). A last
    batch that is not full is left out, as published.

    Args:
        specs: the runs; all of one data set and with the same training settings.
        data: the images of the data set's training part.
        state_folder, device, stacked, progress: see `toporep.train.stack.train_groups`.
        cuda_graphs: replay updates as a CUDA graph; see `toporep.train.graphs`.

    Raises:
        TopoRepError: CUDA graphs without a GPU; settings that do not fit the data.
    """
    shapes: dict[str, list[RunSpec]] = {}
    for spec in specs:
        shapes.setdefault(canonical_json(stack_shape(spec.settings["condition"])), []).append(spec)
    for group in shapes.values():
        yield from train_groups(
            group,
            functools.partial(_Trainer, data=data, cuda_graphs=cuda_graphs),
            state_folder=state_folder,
            device=device,
            stacked=stacked and len(group) > 1,
            progress=progress,
            steps=_steps(group[0], data),
            how=GRAPHS_TEXT if cuda_graphs else "",
        )


def training_indices(training: dict[str, Any], count: int) -> np.ndarray:
    """Indices of the images that a run trains on, the same for all seeds.

    Args:
        training: `split_seed` of the published split, or None for all images; `validation_share`, which the split sets
            aside; `train_images`, a cap, or None.
        count: images of the training part.
    """
    if training["split_seed"] is None:
        cap = training["train_images"]
        # A cap takes some of all images, not the first ones: sprites are sorted.
        return np.arange(count) if cap is None else np.sort(rng.permutation(rng.key(0, "subset"), count)[:cap])
    aside = round(training["validation_share"] * count)
    return split_indices(training["split_seed"], count, validation=aside)[0][: training["train_images"]]


class _Trainer(StackTrainer):
    """Trains one group of Topographic VAEs in lockstep."""

    moments = ("momentum_buffer",)

    def __init__(
        self, specs: list[RunSpec], *, data: TrainingData, device: torch.device, cuda_graphs: bool, **common: Any
    ) -> None:
        super().__init__(specs, device=device, **common)
        self.cuda_graphs = cuda_graphs
        settings = [spec.settings for spec in specs]
        self.settings = settings[0]["training"]
        self.kind, self.epochs, self.batch_size = (self.settings[key] for key in ("sequences", "epochs", "batch_size"))
        check_frames(settings[0])
        self.indices = training_indices(self.settings, len(data.images))
        self.steps = _whole_batches(self.indices, self.batch_size)
        self.images = torch.from_numpy(data.images).to(device)
        seeds = self.seeds if self.stacked else self.seeds[0]
        self.model = build_vae(settings, seeds, image_size=data.images.shape[1:3]).to(device)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(),
            lr=self.settings["learning_rate"],
            momentum=self.settings["momentum"],
            fused=True,
        )
        self._update = static_step(self._updated, device=device, cuda_graphs=cuda_graphs)

    def _train_epoch(self, epoch: int, histories: list[list[dict]]) -> list[dict]:
        self.model.train()
        plan = self._plan(epoch)
        sums = torch.zeros(len(_TERMS), len(self.specs), dtype=torch.float64, device=self.device)
        finite = FiniteCheck(self.specs, self.steps, device=self.device)
        running = _Running(self.specs, self.model) if self.kind == "dsprites" and epoch == self.epochs else None
        for step in range(self.steps):
            terms, t, draws = self._step(plan, epoch, step)
            if epoch == 1 and step == 0:
                self._record_start(histories, terms)
            finite.add(terms[0], epoch=epoch, step=step)
            sums += terms.double()
            if running:
                running.add(t, draws)
            self._tell(epoch, step, sums=sums[0], count=step + 1)
        self._raise_if_spoilt(epoch)
        return self._rows(epoch, sums / self.steps, running)

    def _step(self, plan: _Plan, epoch: int, step: int) -> tuple[Tensor, Tensor, Draws]:
        """One update on a batch of an epoch: terms of the loss (4, K), t, and what was drawn."""
        indices, draws = plan.batch(step, self.batch_size)
        frames = self._frames(indices, draws)
        noise_z, noise_u = (self._noise(name, frames.shape[-2], epoch, step) for name in ("z", "u"))
        parts, t = self._update(frames, noise_z, noise_u)
        return parts, t, draws

    def _updated(self, frames: Tensor, noise_z: Tensor, noise_u: Tensor) -> tuple[Tensor, Tensor]:
        """One update on frames (…, frame, pixel): terms of the loss (4, K), and t."""
        self.optimizer.zero_grad(set_to_none=True)
        with self._precision():
            found = self.model(frames, noise_z=noise_z, noise_u=noise_u if self.model.topographic else None)
        terms = elbo_terms(found.logits, frames, found.posterior)
        loss = terms["nll"] + terms["kl_z"] + terms["kl_u"]
        loss.sum().backward()
        self.optimizer.step()
        self.model.project_()
        parts = torch.stack([loss, *terms.values()]).detach()
        return parts.reshape(len(_TERMS), -1), found.t.detach()

    def _details(self) -> list[dict]:
        return [{"cuda_graphs": True} if self.cuda_graphs else {} for _ in self.specs]

    def _frames(self, indices: Tensor, draws: Draws) -> Tensor:
        """Flattened frames (K, batch * frames, pixel), or without K."""
        sequences = render_sequences(self.images, indices, draws)
        lead = (len(self.specs),) if self.stacked else ()
        return sequences.view(*lead, -1, math.prod(sequences.shape[2:]))

    def _plan(self, epoch: int) -> _Plan:
        """What each run sees in an epoch, drawn at once and put on the device: no step waits for it."""
        orders = np.stack([self._order(seed, epoch) for seed in self.seeds])
        draws = draw_sequences(self.kind, self.seeds, epoch, orders).to(self.device)
        return _Plan(torch.from_numpy(orders).to(self.device), draws)

    def _noise(self, name: str, frames: int, epoch: int, step: int) -> Tensor:
        count = frames * self.model.latents
        streams = [rng.key(seed, f"posterior_{name}", epoch) for seed in self.seeds]
        noise = normal(streams, count, offset=step * count, device=self.device)
        return noise.view(-1, frames, self.model.latents) if self.stacked else noise.view(frames, -1)

    def _order(self, seed: int, epoch: int) -> np.ndarray:
        return self.indices[rng.permutation(rng.key(seed, "batches", epoch), len(self.indices))]

    def _record_start(self, histories: list[list[dict]], terms: Tensor) -> None:
        """Epoch 0: the values at the first batch, before any update; mu as it was set."""
        mu = self.specs[0].settings["condition"]["mu"] if self.model.topographic else math.nan
        for history, values in zip(histories, terms.double().T.tolist(), strict=True):
            history.append(_row(0, values, mu))

    def _rows(self, epoch: int, means: Tensor, running: _Running | None) -> list[dict]:
        mu = self.model.mu.detach().double().reshape(-1).tolist() if self.model.topographic else None
        rows = [_row(epoch, values, mu[index] if mu else math.nan) for index, values in enumerate(means.T.tolist())]
        for row, found in zip(rows, running.values() if running else [{}] * len(rows), strict=True):
            row.update(found)
        return rows


class _Plan:
    """The sequences of an epoch: indices (K, sequences) of their images, and what was drawn for them, run by run."""

    def __init__(self, indices: Tensor, draws: Draws) -> None:
        self.indices, self.draws = indices, draws
        runs, count = indices.shape
        self._places = torch.arange(runs * count, device=indices.device).view(runs, count)

    def batch(self, step: int, size: int) -> tuple[Tensor, Draws]:
        """Indices (K, batch) and draws (K * batch) of a step."""
        part = slice(step * size, (step + 1) * size)
        return self.indices[:, part], self.draws.take(self._places[:, part].flatten())


class _Running:
    """Equivariance error and capsule correlations over an epoch's batches, each with the weights of its own step."""

    def __init__(self, specs: Sequence[RunSpec], model: torch.nn.Module) -> None:
        self.runs = len(specs)
        self.shape = (model.frames, model.capsule_count, model.units)
        self.names = KINDS["dsprites"].factors
        self.errors: list[np.ndarray] = []
        self.rolls: list[np.ndarray] = []
        self.shifts: list[np.ndarray] = []
        self.factors: list[np.ndarray] = []

    def add(self, t: Tensor, draws: Draws) -> None:
        """Take the variables t of a batch."""
        latents = t.cpu().numpy().reshape(-1, *self.shape)
        starts, factor = draws.starts.cpu().numpy(), draws.factor.cpu().numpy()
        shifts = starts[np.arange(len(factor)), factor]
        sizes = np.array(KINDS["dsprites"].sizes)[factor]
        classes = cyclic_classes(shifts, self.shape[0], size=sizes[:, np.newaxis])
        for found, values in (
            (self.errors, equivariance_error(latents)),
            (self.rolls, sequence_rolls(latents, classes)),
            (self.shifts, shifts),
            (self.factors, factor),
        ):
            found.append(values.reshape(self.runs, -1))

    def values(self) -> list[dict]:
        """Of each run: the mean error, and the correlation of each factor."""
        errors, rolls, shifts, factors = (
            np.concatenate(parts, axis=1) for parts in (self.errors, self.rolls, self.shifts, self.factors)
        )
        found = []
        for run in range(self.runs):
            of_factor = {}
            for column, name in zip(HISTORY_COLUMNS[-len(_RUNNING_ROLLS) :], _RUNNING_ROLLS, strict=True):
                chosen = factors[run] == self.names.index(name)
                value = capsule_correlation(rolls[run][chosen], shifts[run][chosen]) if chosen.any() else math.nan
                of_factor[column] = float(value)
            found.append({RUNNING: float(errors[run].mean()), **of_factor})
        return found


def check_frames(settings: dict[str, Any]) -> None:
    """Refuse a model whose sequences are of another length than those of its data."""
    kind, frames = settings["training"]["sequences"], settings["model"]["frames"]
    if frames != KINDS[kind].frames:
        raise TopoRepError(
            f"frames: sequences of kind {kind!r} have {KINDS[kind].frames} frames, found {frames} in the model; "
            "change datasets.<name>.frames"
        )


def _whole_batches(indices: np.ndarray, batch_size: int) -> int:
    if len(indices) < batch_size:
        raise TopoRepError(
            f"batch_size: expected at most the {len(indices)} training images, found {batch_size}; a batch that is not "
            "full is left out, and there would be none"
        )
    return len(indices) // batch_size


def _steps(spec: RunSpec, data: TrainingData) -> int:
    training = spec.settings["training"]
    return training["epochs"] * (len(training_indices(training, len(data.images))) // training["batch_size"])


def _row(epoch: int, terms: Sequence[float], mu: float) -> dict:
    unknown = [math.nan] * (len(HISTORY_COLUMNS) - len(_TERMS) - 2)
    return dict(zip(HISTORY_COLUMNS, [epoch, *terms, mu, *unknown], strict=True))
