"""Small training jobs, and child processes that run them and can be killed at a chosen moment.

The networks end in global average pooling, so images of a few pixels suffice. Children are forked from one server
process that has imported torch once: a job then takes a tenth of a second, and no state leaks into the tests.
"""

from __future__ import annotations

import functools
import hashlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toporep.data.images import GENERATED, ImageData, save_images
from toporep.runs import Paths, Run
from toporep.train.spec import RunSpec, pack

CODE_HASH = "0123456789abcdef"
GRID = [11, 11]
# Side and channels of the images; the side is halved by each pooling.
IMAGE = {"MnistCNN": (12, 1), "CifarCNN": (16, 3)}
ROLE = {"MnistCNN": "mnist", "CifarCNN": "cifar10"}
CONDITIONS = {
    "control": {"spatial_loss": "none", "options": {}},
    "ws": {"spatial_loss": "weight_similarity", "options": {"metric": "euclidean"}},
    "as": {"spatial_loss": "activation_similarity", "options": {"layout": "units", "activation": "pre", "eps": 1e-6}},
    "as_reshaped": {
        "spatial_loss": "activation_similarity",
        "options": {"layout": "reshaped", "activation": "pre", "eps": 1e-6},
    },
    "global": {"spatial_loss": "global_similarity", "options": {"spacing": 1.0, "activation": "pre"}},
}
FILES = ("weights.safetensors", "history.csv", "provenance.json")

forkserver = multiprocessing.get_context("forkserver")
forkserver.set_forkserver_preload(["toporep.cli.train", "xarray", "netCDF4", "torch._dynamo", "training_jobs"])


def tiny_images(model: str, *, train: int = 100, test: int = 30, seed: int = 0) -> ImageData:
    """Ten classes, each a fixed pattern under noise."""
    side, channels = IMAGE[model]
    generator = np.random.default_rng(seed)
    patterns = generator.integers(0, 256, (10, side, side, channels))
    labels = np.arange(train + test) % 10
    noise = generator.integers(-60, 60, (train + test, side, side, channels))
    images = np.clip(patterns[labels] + noise, 0, 255).astype(np.uint8)
    return ImageData.from_arrays(
        (images[:train], labels[:train], images[train:], labels[train:]),
        class_names=[str(name) for name in range(10)],
        source="test",
        source_title="Test images",
        recognised_as=GENERATED,
        origin="patterns under noise",
        licence="none",
    )


def run_of(model: str, condition: str, strength: float, seed: int) -> Run:
    return Run("truong2025", ROLE[model], condition, strength, seed)


def settings_of(model: str, run: Run, **training: Any) -> dict[str, Any]:
    """Settings of a run; `training` replaces some: 80 images in batches of 24, so that the last is a part of one."""
    channels = IMAGE[model][1]
    return {
        "paper": run.paper,
        "dataset": run.dataset,
        "scale": "test",
        "source": "test",
        "grid": GRID,
        "model": {"name": model, "dropout": 0.5},
        "training": {
            "epochs": 3,
            "batch_size": 24,
            "learning_rate": 0.001,
            "betas": [0.9, 0.999],
            "eps": 1e-8,
            "train_fraction": 0.8,
            "train_images": None,
            "validation_images": None,
            "mean": [0.5] * channels,
            "std": [0.25] * channels,
            **training,
        },
        "condition": {"name": run.condition, **CONDITIONS[run.condition]},
        "strength": run.strength,
        "seed": run.seed,
    }


def specs_of(model: str, runs: Sequence[Run], data: ImageData, **training: Any) -> list[RunSpec]:
    return [RunSpec(run, settings_of(model, run, **training), data.data_sha256, CODE_HASH) for run in runs]


@dataclass
class Ended:
    """How a child ended: its exit status (-9 when killed) and what it wrote to standard error."""

    status: int
    stderr: str


@dataclass
class Job:
    """A training job in a folder of its own."""

    folder: Path
    model: str
    runs: list[Run]
    mode: str
    training: dict[str, Any]

    @property
    def paths(self) -> Paths:
        return Paths(str(self.folder / "results"))

    @property
    def images(self) -> Path:
        return self.folder / "images.nc"

    def arguments(self) -> list[str]:
        """The arguments of `python -m toporep.cli.train`."""
        spec = pack([settings_of(self.model, run, **self.training) for run in self.runs], self.runs)
        arguments = ["--spec", spec, "--images", str(self.images), "--root", self.paths.root, "--device", "cpu"]
        return [*arguments, "--code-hash", CODE_HASH, "--mode", self.mode]

    def start(self, hook: Callable[[], None] | None = None) -> Child:
        """Run the command in a child, after `hook` in that child."""
        return Child(self.arguments(), hook, self.folder)

    def train(self, hook: Callable[[], None] | None = None) -> Ended:
        return self.start(hook).wait()

    def bytes(self, run: Run) -> dict[str, bytes]:
        """The run's output files, by name."""
        folder = Path(self.paths.run_dir(run))
        return {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}

    def states(self, run: Run) -> list[Path]:
        return sorted(Path(self.paths.state_dir(run)).glob("epoch-*.safetensors"))


def make_job(
    folder: Path,
    runs: Sequence[tuple[str, float, int]],
    *,
    model: str = "MnistCNN",
    mode: str = "solo",
    **training: Any,
) -> Job:
    """A job with images written; runs are (condition, strength, seed)."""
    folder.mkdir(parents=True, exist_ok=True)
    job = Job(folder, model, [run_of(model, *run) for run in runs], mode, training)
    save_images(tiny_images(model), job.images)
    return job


class Child:
    """A training command in a process of its own."""

    _count = 0

    def __init__(self, arguments: list[str], hook: Callable[[], None] | None, folder: Path) -> None:
        Child._count += 1
        self._stderr = folder / f"stderr-{Child._count}"
        self.process = forkserver.Process(target=_train, args=(arguments, hook, str(self._stderr)))
        self.process.start()

    @property
    def stderr(self) -> str:
        return self._stderr.read_text() if self._stderr.exists() else ""

    def wait_for(self, condition: Callable[[], bool], *, seconds: float = 60) -> None:
        """Wait until `condition` holds; the child must still be alive then."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.is_alive(), f"the child ended too early: {self.stderr}"
            assert time.monotonic() < deadline, f"nothing happened for {seconds} s: {self.stderr}"
            time.sleep(0.005)

    def wait(self) -> Ended:
        self.process.join(60)
        if self.process.is_alive():
            self.process.kill()
            raise AssertionError(f"the child did not end: {self.stderr}")
        return Ended(self.process.exitcode, self.stderr)


def _train(arguments: list[str], hook: Callable[[], None] | None, stderr: str) -> None:
    from toporep.cli import train
    from toporep.errors import run_command

    handle = os.open(stderr, os.O_WRONLY | os.O_CREAT, 0o666)
    os.dup2(handle, 2)
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    if hook:
        hook()
    run_command(lambda: train.main(arguments))


# Hooks. They are called in the child, and are instances of `functools.partial` where they need arguments.


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at_step(count: int) -> None:
    """Die at the start of the given training step of the job, from 1."""
    from toporep.train import engine

    _at_call(engine._Trainer, "_step", count, kill_self)


def kill_before_state(count: int) -> None:
    """Die just before the job's state file of this number is written."""
    from toporep.train import state

    _at_call(state, "save_tensors", count, kill_self)


def kill_inside_state(count: int) -> None:
    """Die when half of a state file is on disk."""
    from toporep import tensors

    def write_half(path: Path, content: bytes) -> None:
        half = next(calls) == count
        path.write_bytes(content[: len(content) // 2] if half else content)
        if half:
            kill_self()

    calls = iter(range(1, 10**6))
    tensors._write = write_half


def kill_before_outputs() -> None:
    """Die after the last state, before the first output."""
    from toporep.train import job

    job._write = lambda *_: kill_self()


def kill_between_outputs() -> None:
    """Die after the weights, before the history."""
    from toporep.train import job

    job.write_text = lambda *_: kill_self()


def poison(strength: float, epoch: int, step: int) -> None:
    """Set one weight of the runs of this strength to NaN just before a step (both counted from 1)."""
    import torch

    from toporep.train import engine

    def train_epoch(trainer, number: int, histories: list) -> list:
        if number == epoch:
            _at_call(trainer, "_step", step, functools.partial(spoil, trainer))
        return original(trainer, number, histories)

    def spoil(trainer) -> None:
        with torch.no_grad():
            for index, spec in enumerate(trainer.specs):
                if spec.run.strength == strength:
                    weight = trainer.model.fc1.weight
                    (weight[index] if trainer.stacked else weight)[0, 0] = torch.nan

    original = engine._Trainer._train_epoch
    engine._Trainer._train_epoch = train_epoch


def spoil_last_update(strength: float) -> None:
    """Let the very last update of the runs of this strength give NaN, which no later step can notice."""
    import torch

    from toporep.train import engine

    def step(trainer, *arguments):
        result = original(trainer, *arguments)
        trainer.count = getattr(trainer, "count", 0) + 1
        if trainer.count == trainer.epochs * trainer.steps and trainer.specs[0].run.strength == strength:
            with torch.no_grad():
                trainer.model.fc1.weight[..., 0, 0] = torch.nan
        return result

    original = engine._Trainer._step
    engine._Trainer._step = step


def wait_at_step(count: int, file: str) -> None:
    """Stop at a step until a file exists."""
    from toporep.train import engine

    def wait() -> None:
        Path(f"{file}.reached").touch()
        while not os.path.exists(file):
            time.sleep(0.005)

    _at_call(engine._Trainer, "_step", count, wait)


def _at_call(owner: Any, name: str, count: int, action: Callable[[], None]) -> None:
    """Do something at the start of the call of this number."""
    original, calls = getattr(owner, name), iter(range(1, 10**6))

    def wrapper(*arguments, **options):
        if next(calls) == count:
            action()
        return original(*arguments, **options)

    setattr(owner, name, wrapper)


def digest(files: dict[str, bytes]) -> dict[str, str]:
    """Short names for contents, so that a failed comparison stays readable."""
    return {name: hashlib.sha256(content).hexdigest()[:12] for name, content in files.items()}
