"""What is timed: the training engines with the settings of the papers, on random images of the papers' shapes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toporep.config import canonical_json, read_yaml
from toporep.runs import Run, run_table
from toporep.settings import training_settings
from toporep.train.capsules import train_vaes
from toporep.train.category import train_category
from toporep.train.embedding import train_embeddings
from toporep.train.engine import train_runs
from toporep.train.outcome import TrainingData
from toporep.train.spec import RunSpec, stack_shape

# Width of the last convolutional layer of AlexNet, on which networks of category selectivity are trained.
_FEATURE_WIDTH = 9216


@dataclass(frozen=True)
class Way:
    """One way to train: precision of products, and what else changes speed and nothing but rounding.

    convolution: of stacks of CNNs, None for all else.
    """

    precision: str = "float32"
    convolution: str | None = None
    cuda_graphs: bool = False
    compile: bool = False

    @property
    def text(self) -> str:
        """As it stands in the table."""
        parts = [self.convolution, "CUDA graphs" * self.cuda_graphs, "compiled" * self.compile]
        return ", ".join(part for part in parts if part) or "–"


@dataclass(frozen=True)
class Workload:
    """Networks of one kind.

    Attributes:
        name: as in the table and on the command line.
        paper, dataset, conditions: names in the configuration of the paper; the first condition is trained alone.
        engine: "cnn", "vae", "resnet" or "category".
        image: (rows, cols, channels) of the paper's images; () where they are features.
        train_images: how many the paper trains on; None where users have images of their own.
        product: (m, k, n) of a large matrix product of a step for a batch of one image: (m * batch, k) @ (k, n) is the
            shape of which the ceiling is measured.
        stacks: stack sizes on "cpu" and "cuda"; empty where runs train one after the other.
        cpu_batch: a smaller batch for a CPU; 0 for the paper's.
        cpu_steps: timed steps of one measurement on a CPU.
    """

    name: str
    paper: str
    dataset: str
    conditions: tuple[str, ...]
    engine: str
    image: tuple[int, ...]
    train_images: int | None
    product: tuple[int, int, int]
    stacks: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: {"cpu": (), "cuda": ()})
    cpu_batch: int = 0
    cpu_steps: int = 8

    def ways(self, precisions: list[str], device: torch.device) -> list[tuple[Way, bool]]:
        """Every way to train, and whether it is one for stacks alone.

        The first of a precision is what all others of that precision are compared with.
        """
        gpu = device.type == "cuda"
        found = []
        for precision in precisions if self.precisions else ["float32"]:
            found.append((Way(precision), False))
            if self.engine == "resnet" and gpu:
                found.append((Way(precision, compile=True), False))
            for graphs in (False, True) if gpu and self.engine in ("cnn", "vae") else (False,):
                if graphs:
                    found.append((Way(precision, cuda_graphs=True), False))
                for convolution in ("unfold", "grouped") if self.engine == "cnn" else (None,):
                    if any(self.stacks.values()):
                        found.append((Way(precision, convolution, cuda_graphs=graphs), True))
        return found

    @property
    def precisions(self) -> bool:
        """Whether its precision can be chosen."""
        return self.engine != "category"

    def settings(self, folder: Path) -> list[tuple[Run, dict[str, Any]]]:
        """Runs of the paper and their settings, the first of `conditions` first.

        Args:
            folder: of the configuration.
        """
        paper = read_yaml(folder / "papers" / f"{self.paper}.yaml")
        runs = run_table(paper, conditions=self.conditions, datasets=[self.dataset])
        runs.sort(key=lambda run: run.condition != self.conditions[0])
        found = []
        for run in runs:
            settings = training_settings(paper, self.dataset, run.condition)
            identity = {"paper": run.paper, "dataset": run.dataset, "scale": "benchmark"}
            found.append((run, {**identity, **settings, "strength": run.strength, "seed": run.seed}))
        if self.engine == "vae":
            shape = canonical_json(stack_shape(found[0][1]["condition"]))
            found = [one for one in found if canonical_json(stack_shape(one[1]["condition"])) == shape]
        return found

    def paper_steps(self, training: Mapping[str, Any]) -> int | None:
        """Steps of a run of the paper; None where that is for the user's images to say."""
        if self.train_images is None:
            return None
        steps = self.train_images / training["batch_size"]
        return training["epochs"] * int(np.ceil(steps) if self.engine in ("cnn", "resnet") else steps)


WORKLOADS = (
    Workload(
        name="mnist_cnn",
        paper="truong2025",
        dataset="mnist",
        conditions=("ws", "control", "as", "as_reshaped"),
        engine="cnn",
        image=(28, 28, 1),
        train_images=48_000,
        product=(14 * 14, 9 * 32, 64),
        stacks={"cpu": (4,), "cuda": (19, 190)},
        cpu_steps=8,
    ),
    Workload(
        name="cifar10_cnn",
        paper="truong2025",
        dataset="cifar10",
        conditions=("ws", "control", "as", "as_reshaped"),
        engine="cnn",
        image=(32, 32, 3),
        train_images=40_000,
        product=(8 * 8, 9 * 64, 128),
        stacks={"cpu": (4,), "cuda": (19, 190)},
        cpu_steps=3,
    ),
    Workload(
        name="mnist_tvae",
        paper="keller2021_capsules",
        dataset="mnist",
        conditions=(
            "tvae_13_36",
            "tvae_1_2",
            "tvae_1_4",
            "tvae_5_36",
            "tvae_0",
            "bubble_1_2",
            "bubble_1_4",
            "bubble_5_36",
            "bubble_5_36_k3",
        ),
        engine="vae",
        image=(28, 28, 1),
        train_images=48_000,
        product=(18, 3 * 28 * 28, 3 * 324),
        stacks={"cpu": (3,), "cuda": (9, 27)},
        cpu_steps=2,
    ),
    Workload(
        name="resnet18_ce",
        paper="sander2026",
        dataset="cifar10",
        conditions=("ce",),
        engine="resnet",
        image=(32, 32, 3),
        train_images=45_000,
        product=(16 * 16, 9 * 128, 128),
        cpu_batch=8,
        cpu_steps=2,
    ),
    Workload(
        name="category_tvae",
        paper="keller2021_category",
        dataset="imagenet_faces",
        conditions=("tvae",),
        engine="category",
        image=(),
        train_images=None,
        product=(1, _FEATURE_WIDTH, 4096),
        cpu_steps=1,
    ),
    Workload(
        name="category_tdann",
        paper="keller2021_category",
        dataset="imagenet_faces",
        conditions=("tdann",),
        engine="category",
        image=(),
        train_images=None,
        product=(1, _FEATURE_WIDTH, 4096),
        cpu_steps=1,
    ),
)


@dataclass(frozen=True)
class Training:
    """Runs that train in one way on random images, as often as one asks.

    Attributes:
        specs: the runs, one epoch each.
        train: by name `device`, `progress`, `state_folder` → trained runs, one after the other.
        batch: images in a step.
        steps: in the epoch, or one less.
    """

    specs: list[RunSpec]
    train: Callable[..., Iterator[Any]]
    batch: int
    steps: int


def make_training(
    workload: Workload,
    runs: list[tuple[Run, dict[str, Any]]],
    way: Way,
    *,
    stacked: bool,
    device: torch.device,
    steps: int,
) -> Training:
    """Prepare to train some runs of a workload for one epoch of `steps` steps.

    Args:
        workload: what to train.
        runs: some of `workload.settings`.
        way: how.
        stacked: all at once.
        device: a CPU may get smaller batches.
        steps: of the epoch.
    """
    paper_batch = runs[0][1]["training"]["batch_size"]
    batch = workload.cpu_batch or paper_batch if device.type == "cpu" else paper_batch
    changes = {"batch_size": batch, "epochs": 1, **_CHANGES[workload.engine]}
    if workload.precisions:
        changes["precision"] = way.precision
    if workload.engine == "resnet":
        changes["compile"] = way.compile
    specs = []
    for run, settings in runs:
        settings = copy.deepcopy(settings)
        settings["training"] |= changes
        specs.append(RunSpec(run, settings, "benchmark", way.text))
    options: dict[str, Any] = {"stacked": stacked}
    if workload.engine in ("cnn", "vae"):
        options["cuda_graphs"] = way.cuda_graphs
    if way.convolution:
        options["convolution"] = way.convolution
    data = _data(workload, batch * steps)

    def train(**common: Any) -> Iterator[Any]:
        return _ENGINES[workload.engine](specs, data, **options, **common)

    return Training(specs, train, batch, steps)


_ENGINES = {"cnn": train_runs, "vae": train_vaes, "resnet": train_embeddings, "category": train_category}
# All images are trained on, as far as an engine can do without held-out ones.
_CHANGES: dict[str, dict[str, Any]] = {
    "cnn": {"train_fraction": 1.0, "train_images": None, "validation_images": None},
    "vae": {"split_seed": None, "validation_share": 0, "train_images": None},
    "resnet": {"validation_per_class": 1, "train_images": None},
    "category": {"train_images": None},
}
_CLASS_NAMES = {
    "resnet": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
}


def _data(workload: Workload, count: int) -> TrainingData | RandomFeatures:
    if workload.engine == "category":
        return RandomFeatures(count)
    # A ResNet holds one image of each class out, and wants one more of each.
    count += 20 if workload.engine == "resnet" else 0
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, *workload.image), dtype=np.uint8)
    names = _CLASS_NAMES.get(workload.engine, ())
    return TrainingData(images, np.arange(count, dtype=np.int64) % 10, names, "benchmark")


class RandomFeatures:
    """Features of images that were never taken; one batch serves for all steps."""

    width = _FEATURE_WIDTH
    class_names = tuple(f"class{index}" for index in range(1000))
    source_title = recognised_as = data_sha256 = "benchmark"
    weights_sha256 = ""

    def __init__(self, count: int) -> None:
        self.count = count
        self.label = np.arange(count, dtype=np.int64) % len(self.class_names)

    def batches(self, epoch: int, plan: np.ndarray, device: torch.device) -> Iterator[Tensor]:
        """The same random numbers for each step."""
        generator = torch.Generator().manual_seed(0)
        features = torch.rand(plan.shape[1], self.width, generator=generator).to(device)
        for _ in plan:
            yield features
