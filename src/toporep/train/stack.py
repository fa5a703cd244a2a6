"""What training engines share: runs that train in lockstep, alone or as one stack, and that a kill only delays.

A run's weights, split and batches are keyed by its own seed, so they are the same to the bit alone and in a stack. On
one device the same runs give the same bytes every time; a job that was killed goes on from its last whole epoch and
ends at the same bytes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from toporep.device import reduced_precision, set_precision
from toporep.errors import TopoRepError
from toporep.tensors import load_tensors
from toporep.train.outcome import Divergence, Trained
from toporep.train.progress import Progress
from toporep.train.spec import RunSpec
from toporep.train.state import State, StateFolder

# How many steps may pass before a loss that is no number is noticed: looking makes a GPU wait.
_STEPS_BETWEEN_CHECKS = {"cpu": 1, "cuda": 50}


class StackTrainer(ABC):
    """Trains one group of runs from their common state to the last epoch.

    A subclass sets the attributes below and trains an epoch.

    Attributes:
        epochs: the last epoch.
        steps: in an epoch.
        model: parameters and buffers have a leading dimension K if `stacked`.
        optimizer: of the model's parameters.
        moments: what the optimizer keeps of each parameter, by the names of its state.
    """

    epochs: int
    steps: int
    model: nn.Module
    optimizer: torch.optim.Optimizer
    moments: tuple[str, ...]

    def __init__(
        self, specs: list[RunSpec], *, device: torch.device, stacked: bool, folders: dict, progress: Progress
    ) -> None:
        self.specs, self.device, self.stacked = specs, device, stacked
        self.seeds = [spec.run.seed for spec in specs]
        self.folders = [folders[spec.run] for spec in specs]
        self.progress = progress

    @abstractmethod
    def _train_epoch(self, epoch: int, histories: list[list[dict]]) -> list[dict]:
        """Train one epoch; return its row of the history of each run. The first may add rows before."""

    def _restored(self, moments: dict[str, Tensor], epoch: int) -> dict[str, Tensor]:
        """The optimizer's state of a parameter after `epoch` epochs, with these moments."""
        return moments

    def _precision(self) -> torch.autocast:
        """Context for the forward pass of the model."""
        return reduced_precision(self.device, precision_of(self.specs[0]))

    def _details(self) -> list[dict]:
        """What the provenance of each run tells beside settings and history."""
        return [{} for _ in self.specs]

    def train(self) -> list[Trained]:
        """Train to the last epoch and return the finished runs.

        Raises:
            Diverged: a run's loss or weights are no finite numbers.
        """
        start, histories = self._restore()
        self.progress.skip(start * self.steps * len(self.specs))
        if start:
            self.progress.note(f"{self.label}: going on after epoch {start} of {self.epochs}")
        for epoch in range(start + 1, self.epochs + 1):
            rows = self._train_epoch(epoch, histories)
            for history, row in zip(histories, rows, strict=True):
                history.append(row)
            self._save(epoch, histories)
        tensors, details = self._split_by_run(self.model.state_dict()), self._details()
        size = len(self.specs)
        return [
            Trained(spec, tensors[index], histories[index], self.stacked, size, details[index])
            for index, spec in enumerate(self.specs)
        ]

    @property
    def label(self) -> str:
        """Names the run, or the number of runs, for progress lines."""
        first = self.specs[0].run
        if len(self.specs) == 1:
            return f"{first.condition}/{first.strength:g}/seed{first.seed}"
        return f"stack of {len(self.specs)}"

    def _tell(self, epoch: int, step: int, *, sums: Tensor, count: int) -> None:
        """Tell the progress of a step, now and then: reading the loss makes a GPU wait.

        Args:
            epoch, step: which step has ended.
            sums: (K,) loss of each run in this epoch, summed over what `count` counts.
            count: of steps or of images, up to now.
        """
        every = 1 if self.device.type == "cpu" else 50
        if (step + 1) % every == 0 or step == self.steps - 1:
            done = every if (step + 1) % every == 0 else (step + 1) % every
            loss = float((sums / count).mean())
            self.progress.advance(done * len(self.specs), label=self.label, epoch=epoch, epochs=self.epochs, loss=loss)

    def _raise_if_spoilt(self, epoch: int) -> None:
        """Look at the weights after the last update of an epoch: before the next step no loss shows what it did."""
        finite = torch.ones(len(self.specs), dtype=torch.bool, device=self.device)
        for parameter in self.model.parameters():
            finite &= parameter.detach().isfinite().reshape(len(self.specs), -1).all(dim=1)
        spoilt = [spec for spec, good in zip(self.specs, finite.tolist(), strict=True) if not good]
        if spoilt:
            raise Diverged([Divergence(spec, epoch, self.steps, math.nan, "weights") for spec in spoilt])

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
        for name, parameter in self.model.named_parameters():
            moments = {moment: torch.empty_like(parameter).copy_(joined[f"{moment}.{name}"]) for moment in self.moments}
            self.optimizer.state[parameter] = self._restored(moments, epoch)
        return epoch, [state.history for state in states]

    def _save(self, epoch: int, histories: list[list[dict]]) -> None:
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            for moment in self.moments:
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


class Diverged(Exception):
    """Some runs of a group cannot go on; the others can, without them."""

    def __init__(self, divergences: list[Divergence]) -> None:
        super().__init__()
        self.divergences = divergences


class FiniteCheck:
    """Notices, without making a GPU wait at each step, in which step a run's loss is first no finite number.

    Args:
        specs: the runs.
        steps: in the epoch.
    """

    def __init__(self, specs: Sequence[RunSpec], steps: int, *, device: torch.device) -> None:
        self.specs, self.steps = specs, steps
        self._first_bad = torch.full((len(specs),), steps, device=device)
        self._value = torch.zeros(len(specs), device=device)
        self._every = _STEPS_BETWEEN_CHECKS[device.type]

    def add(self, losses: Tensor, *, epoch: int, step: int) -> None:
        """Look at the losses (K,) of a step.

        Raises:
            Diverged: now or in an earlier step a loss was no finite number.
        """
        losses = losses.detach()
        bad = ~torch.isfinite(losses) & (self._first_bad == self.steps)
        # Not torch.where, which copies a number to the GPU and waits for it.
        self._first_bad.masked_fill_(bad, step)
        self._value = torch.where(bad, losses, self._value)
        if (step + 1) % self._every == 0 or step == self.steps - 1:
            self._raise(epoch)

    def _raise(self, epoch: int) -> None:
        if bool((self._first_bad < self.steps).any()):
            steps, values = self._first_bad.tolist(), self._value.tolist()
            raise Diverged(
                [
                    Divergence(spec, epoch, step + 1, number)
                    for spec, step, number in zip(self.specs, steps, values, strict=True)
                    if step < self.steps
                ]
            )


def precision_of(spec: RunSpec) -> str:
    """How a run's products are computed (see `toporep.device`); float32 where its settings leave no choice."""
    return spec.settings["training"].get("precision", "float32")


def choose_stacked(mode: str, *, device: torch.device, runs: int) -> bool:
    """Decide whether runs train as one stack: "stacked", "solo", or "auto".

    "auto" stacks on a GPU, where small networks leave most of the device idle; on a CPU one at a time is faster.
    """
    if mode == "auto":
        return runs > 1 and device.type != "cpu"
    return mode == "stacked"


def train_groups(
    specs: Sequence[RunSpec],
    make: Callable[..., StackTrainer],
    *,
    state_folder: Callable[[RunSpec], Path],
    device: torch.device,
    stacked: bool,
    progress: Progress,
    steps: int,
    how: str = "",
) -> Iterator[Trained | Divergence]:
    """Train runs, all as one stack or one after the other; yield each as it ends.

    Args:
        specs: the runs.
        make: specs, device, stacked, folders, progress (the last four by name) → their trainer.
        state_folder: where a run's training state lies.
        device: where to train.
        stacked: train all runs at once.
        progress: told of every step.
        steps: of one run, from its first epoch to its last.
        how: what else decides rounding, beside mode and device; see `mode_text`.

    Yields:
        `Trained`, or `Divergence` for a run whose loss is no longer a finite number; the other runs go on, and the
        state of that run's last whole epoch stays on disk.
    """
    if specs:
        set_precision(device, precision_of(specs[0]))
    # Rounding differs between modes and devices: no run is trained partly in one and partly in another.
    mode = mode_text(stacked=stacked, device=device, how=how)
    folders = {spec.run: StateFolder(state_folder(spec), f"{spec.identity} {mode}") for spec in specs}
    pending = [list(specs)] if stacked else [[spec] for spec in specs]
    while pending:
        progress.expect(sum(map(len, pending)) * steps)
        group = pending.pop(0)
        parts = _by_common_epoch(group, folders)
        if len(parts) > 1:
            pending = parts + pending
            continue
        trainer = make(group, device=device, stacked=stacked, folders=folders, progress=progress)
        try:
            trained = trainer.train()
        except Diverged as stop:
            yield from stop.divergences
            progress.finished += len(stop.divergences)
            failed = {divergence.spec.run for divergence in stop.divergences}
            rest = [spec for spec in group if spec.run not in failed]
            if rest:
                pending.insert(0, rest)
            continue
        progress.finished += len(trained)
        yield from trained


def mode_text(*, stacked: bool, device: torch.device, how: str = "") -> str:
    """What a state's identity says of how it was computed."""
    return f"{'stacked' if stacked else 'solo'} on {device.type}{how}"


def has_state(specs: Sequence[RunSpec], state_folder: Callable[[RunSpec], Path], mode: str) -> bool:
    """Whether a state of one of the runs, computed in this way (`mode_text`), lies on disk."""
    return any(
        _identity(path) == f"{spec.identity} {mode}"
        for spec in specs
        for path in Path(state_folder(spec)).glob("epoch-*.safetensors")
    )


def _identity(path: Path) -> str | None:
    try:
        return load_tensors(path)[1].get("identity")
    except TopoRepError:
        return None


def _by_common_epoch(group: list[RunSpec], folders: dict) -> list[list[RunSpec]]:
    """Split a group into parts that can go on from one epoch each; one part if all share a state."""
    epochs = {spec.run: set(folders[spec.run].epochs()) or {0} for spec in group}
    if set.intersection(*epochs.values()):
        return [group]
    parts: dict[int, list[RunSpec]] = {}
    for spec in group:
        parts.setdefault(max(epochs[spec.run]), []).append(spec)
    return list(parts.values())


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
