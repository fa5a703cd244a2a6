"""The table of runs: which networks are trained, where their files lie, which are trained together."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from toporep.config import Config, did_you_mean
from toporep.errors import TopoRepError
from toporep.settings import training_settings


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
    strengths: Iterable[float] | None = None,
    seeds: Iterable[int] | None = None,
) -> list[Run]:
    """All runs of a paper, or some of them.

    Args:
        paper_config: One of `Config.papers`.
        conditions: Names of conditions; all if None.
        datasets: Roles of datasets; all if None.
        strengths, seeds: Those to keep, where a condition has them; all if None.

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
        for seed in _all_seeds(paper_config, dataset)
        if seeds is None or seed in seeds
        for condition, condition_config in paper_config["conditions"].items()
        if condition in conditions and dataset in condition_config["datasets"]
        if seed in _seeds(paper_config, dataset, condition)
        for strength in condition_config["strengths"]
        if strengths is None or strength in strengths
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
    return {
        "paper": run.paper,
        "dataset": run.dataset,
        "scale": config.scale,
        **training_settings(paper, run.dataset, run.condition),
        "strength": run.strength,
        "seed": run.seed,
    }


def group_runs(runs: Iterable[Run], size: int, *, together: Callable[[Run], Hashable] | None = None) -> list[list[Run]]:
    """Divide runs into jobs: at most `size` runs each, in the given order.

    Args:
        runs: in order.
        size: at most so many in a job.
        together: runs of which it is equal may share a job; by default those of one paper, dataset and condition, so
            that a figure which needs some conditions asks for no other runs.

    Raises:
        TopoRepError: `size` is less than 1, or a run is given twice.
    """
    if size < 1:
        raise TopoRepError(f"runs in a job: expected at least 1, found {size}")
    groups: dict[Hashable, dict[Run, None]] = {}
    for run in runs:
        key = together(run) if together else (run.paper, run.dataset, run.condition)
        group = groups.setdefault(key, {})
        if run in group:
            raise TopoRepError(f"run {run.id} is listed twice")
        group[run] = None
    return [list(group)[i : i + size] for group in groups.values() for i in range(0, len(group), size)]


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

    def features(self, source: str, ext: str = "nc") -> str:
        """Features of a source of images: what they are of (`.nc`), and the numbers themselves (`.npy`)."""
        return f"{self.root}/features/{source}.{ext}"

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


def _all_seeds(paper: Mapping[str, Any], dataset: str) -> list[int]:
    """Seeds of any condition, each once."""
    return list(dict.fromkeys(seed for condition in paper["conditions"] for seed in _seeds(paper, dataset, condition)))


def _seeds(paper: Mapping[str, Any], dataset: str, condition: str) -> list[int]:
    """A condition's own seeds, or else the dataset's, or else the paper's."""
    return paper["conditions"][condition].get("seeds") or paper["datasets"][dataset]["seeds"] or paper["seeds"]


def _selected(names: Iterable[str] | None, known: Mapping[str, Any], kind: str, paper: str) -> set[str]:
    if names is None:
        return set(known)
    names = list(names)
    for name in names:
        if name not in known:
            raise TopoRepError(f"{paper}: unknown {kind} {name!r}{did_you_mean(name, known)}")
    return set(names)
