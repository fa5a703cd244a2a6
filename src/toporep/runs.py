"""The table of runs: which networks are trained, where their files lie, which are trained together."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from toporep.config import Config, did_you_mean
from toporep.errors import TopoRepError


@dataclass(frozen=True, order=True)
class Run:
    """One network: named by the paper, the dataset's role in it, the condition, the strength and the seed.

    Attributes:
        paper: Key of the paper, e.g. `truong2025`.
        dataset: Role of the dataset in the paper, e.g. `mnist`; not the source of the images.
        condition: Name of the condition, e.g. `ws`.
        strength: Weight of the spatial loss (lambda); 0 without one.
        seed: Names the network within its condition. The same seed gives the same initial weights, split and
            batches in every condition.
    """

    paper: str
    dataset: str
    condition: str
    strength: float
    seed: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", float(self.strength))

    @property
    def id(self) -> str:
        """The name of the run and of its folder, e.g. `truong2025/mnist/ws/0.5/seed3`."""
        return f"{self.paper}/{self.dataset}/{self.condition}/{self.strength:g}/seed{self.seed}"

    def __str__(self) -> str:
        return self.id

    @classmethod
    def parse(cls, text: str) -> Run:
        """The run of this id.

        Raises:
            TopoRepError: `text` is no id, or another spelling of one (`0.50` for `0.5`).
        """
        match = re.fullmatch(r"(\w+)/(\w+)/(\w+)/([0-9.e+-]+)/seed([0-9]+)", text, flags=re.ASCII)
        try:
            paper, dataset, condition, strength, seed = match.groups()
            run = cls(paper, dataset, condition, float(strength), int(seed))
        except (AttributeError, ValueError):
            run = None
        if run is None or run.id != text:
            hint = f"; did you mean {run.id!r}?" if run else ""
            raise TopoRepError(
                f"{text!r} is not the id of a run; expected <paper>/<dataset>/<condition>/<strength>/seed<seed>, "
                f"for instance truong2025/mnist/ws/0.5/seed3{hint}"
            )
        return run


def run_table(
    paper_config: Mapping[str, Any],
    *,
    conditions: Iterable[str] | None = None,
    datasets: Iterable[str] | None = None,
) -> list[Run]:
    """All runs of a paper, or those of some conditions and datasets.

    Args:
        paper_config: One of `Config.papers`.
        conditions: Names of conditions; all if None.
        datasets: Roles of datasets; all if None.

    Returns:
        Runs in the order dataset, seed, condition, strength, each as in the configuration, whatever the order of
        the arguments.

    Raises:
        TopoRepError: A condition or dataset is not in the configuration.
    """
    conditions = _selected(conditions, paper_config["conditions"], "condition", paper_config["paper"])
    datasets = _selected(datasets, paper_config["datasets"], "dataset", paper_config["paper"])
    return [
        Run(paper_config["paper"], dataset, condition, strength, seed)
        for dataset, dataset_config in paper_config["datasets"].items()
        if dataset in datasets
        for seed in dataset_config["seeds"] or paper_config["seeds"]
        for condition, condition_config in paper_config["conditions"].items()
        if condition in conditions and dataset in condition_config["datasets"]
        for strength in condition_config["strengths"]
    ]


def run_settings(config: Config, run: Run) -> dict[str, Any]:
    """Everything that decides the result of a run, but for the data and the code.

    Other conditions, labels, analyses and resources are left out: a change there leaves the run as it is.

    Raises:
        TopoRepError: The run is not in the table.
    """
    paper = config.papers.get(run.paper)
    if paper is None:
        raise TopoRepError(f"run {run.id}: unknown paper{did_you_mean(run.paper, config.papers)}")
    selected = run_table(paper, conditions=[run.condition], datasets=[run.dataset])
    if run not in selected:
        raise TopoRepError(f"run {run.id}: not in the table of runs; see conditions, strengths and seeds in the config")
    dataset, condition = paper["datasets"][run.dataset], paper["conditions"][run.condition]
    settings = {
        "paper": run.paper,
        "dataset": run.dataset,
        "scale": config.scale,
        "source": dataset["source"],
        "grid": paper["grid"],
        "model": {"name": dataset["model"], "dropout": dataset["dropout"]},
        "training": _training(dataset),
        "condition": {
            "name": run.condition,
            "spatial_loss": condition["spatial_loss"],
            "options": condition["options"],
        },
        "strength": run.strength,
        "seed": run.seed,
    }
    return copy.deepcopy(settings)


def evaluation_settings(config: Config, paper: str, dataset: str, evaluation: str = "activations") -> dict[str, Any]:
    """How trained runs of a dataset are evaluated: images, constants of the normalisation, own settings.

    `eval_norm: mismatched` takes the published code's other spread for the test images (D4).
    """
    settings = config.papers[paper]["datasets"][dataset]
    own = copy.deepcopy(config.papers[paper]["evaluations"].get(evaluation, {}))
    normalizations = {"matched": {"mean": settings["mean"], "std": settings["std"]}}
    if settings["eval_std_mismatched"]:
        normalizations["mismatched"] = {"mean": settings["mean"], "std": settings["eval_std_mismatched"]}
    if evaluation == "tuning":
        return {**own, **normalizations["matched"]}
    caps = [cap for cap in (settings["test_images"], own.pop("max_images", None)) if cap is not None]
    common = {"test_images": min(caps, default=None)}
    if evaluation == "image_noise":
        # A data set for which the published code has one set of constants is evaluated with that one.
        wanted = [name for name in own.pop("normalizations") if name in normalizations]
        return {**own, **common, "normalizations": {name: normalizations[name] for name in wanted}}
    return {**own, **common, **normalizations[settings["eval_norm"]]}


def group_runs(runs: Iterable[Run], size: int) -> list[list[Run]]:
    """Divide runs into jobs: at most `size` runs of one paper, dataset and condition each, in the given order.

    Conditions stay apart so that a figure which needs some of them asks for no other runs.

    Raises:
        TopoRepError: `size` is less than 1, or a run is given twice.
    """
    if size < 1:
        raise TopoRepError(f"runs in a job: expected at least 1, found {size}")
    together: dict[tuple[str, str, str], dict[Run, None]] = {}
    for run in runs:
        group = together.setdefault((run.paper, run.dataset, run.condition), {})
        if run in group:
            raise TopoRepError(f"run {run.id} is listed twice")
        group[run] = None
    return [list(group)[i : i + size] for group in together.values() for i in range(0, len(group), size)]


@dataclass(frozen=True)
class Paths:
    """Where each file lies (docs/architecture.md).

    A run may be given as its id, or as a pattern such as `{paper}/{dataset}/{condition}/{strength}/seed{seed}`.

    Attributes:
        root: Folder of the results, `Config.root`.
    """

    root: str

    def prepared(self, source: str) -> str:
        return f"{self.root}/data/{source}.nc"

    def run_dir(self, run: Run | str) -> str:
        return f"{self.root}/runs/{run}"

    def weights(self, run: Run | str) -> str:
        return f"{self.run_dir(run)}/weights.safetensors"

    def history(self, run: Run | str) -> str:
        return f"{self.run_dir(run)}/history.csv"

    def provenance(self, run: Run | str) -> str:
        return f"{self.run_dir(run)}/provenance.json"

    def state_dir(self, run: Run | str) -> str:
        """Training state of a run that is not finished; never an output of a rule."""
        return f"{self.root}/state/{run}"

    def evaluation(self, evaluation: str, run: Run | str) -> str:
        """What one evaluation of a run found."""
        return f"{self.root}/{evaluation}/{run}.nc"

    def activations(self, run: Run | str) -> str:
        return self.evaluation("activations", run)

    def metric(self, paper: str, dataset: str, analysis: str) -> str:
        return f"{self.root}/metrics/{paper}/{dataset}/{analysis}.nc"

    def summary(self, paper: str, dataset: str, analysis: str) -> str:
        return f"{self.root}/metrics/{paper}/{dataset}/{analysis}_summary.nc"

    def figure(self, paper: str, figure: str, ext: str = "pdf") -> str:
        return f"{self.root}/figures/{paper}/{figure}.{ext}"

    def figure_alias(self, figure: str, ext: str = "pdf") -> str:
        """The same figure without the paper, where its name is unique."""
        return f"{self.root}/figures/{figure}.{ext}"

    def table(self, paper: str, table: str, ext: str = "csv") -> str:
        return f"{self.root}/tables/{paper}/{table}.{ext}"

    def table_alias(self, table: str, ext: str = "csv") -> str:
        """The same table without the paper, where its name is unique."""
        return f"{self.root}/tables/{table}.{ext}"

    def claims(self, paper: str, suffix: str = ".md") -> str:
        """The ledger of a paper's claims: `.csv`, `.md`, or `_points.csv` with every point of each claim."""
        return f"{self.root}/claims/{paper}{suffix}"

    def log(self, stage: str, name: str) -> str:
        return f"{self.root}/logs/{stage}/{name}.log"


def _selected(names: Iterable[str] | None, known: Mapping[str, Any], kind: str, paper: str) -> set[str]:
    if names is None:
        return set(known)
    names = list(names)
    for name in names:
        if name not in known:
            raise TopoRepError(f"{paper}: unknown {kind} {name!r}{did_you_mean(name, known)}")
    return set(names)


def _training(dataset: Mapping[str, Any]) -> dict[str, Any]:
    copied = (
        "epochs",
        "batch_size",
        "learning_rate",
        "betas",
        "eps",
        "train_fraction",
        "train_images",
        "validation_images",
        "mean",
        "std",
    )
    return {key: dataset[key] for key in copied}
