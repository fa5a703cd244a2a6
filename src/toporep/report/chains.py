"""What stands behind figures, tables and ledgers: the jobs that make them from nothing, and what these declare."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from toporep.audit import Planned
from toporep.catalog import is_table
from toporep.evaluations import set_of, stage_of
from toporep.workflow import Workflow

# In the order in which data flow; evaluations stand after `train`.
_FIRST, _LAST = ("prepare", "features", "image_list", "train"), ("analysis", "figure", "table", "claims")


@dataclass(frozen=True)
class Step:
    """A job.

    Attributes:
        rule: kind of rule: its name, or what the names of rules that Snakemake has for each job or figure begin with.
        about: the source, the analysis or the set of images that it is about; empty for others.
        networks: (data set, how many) that it trains; None if it trains none.
        inputs, outputs: files; inputs that no rule makes are among them.
        benchmark: file of Snakemake's measurement, below `<root>/benchmarks`.
        planned: what it declares to need.
    """

    rule: str
    about: str
    networks: tuple[str, int] | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    benchmark: str
    planned: Planned


@dataclass(frozen=True)
class Cost:
    """What jobs declare to need.

    Attributes:
        networks: (paper, data set) → networks trained.
        jobs: number of jobs.
        gpu_hours: limits of their run time, times GPUs.
        megabytes: of the files that they write; None at scales for which nothing is declared.
    """

    networks: Counter[tuple[str, str]]
    jobs: int
    gpu_hours: float
    megabytes: float | None


class Chains:
    """The jobs of a configured workflow, each found by a file that it writes."""

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow
        self._made_by = {path: step for step in _steps(workflow) for path in step.outputs}

    def behind(self, paper: str, name: str) -> list[Step]:
        """All jobs that a figure or table takes if there is nothing yet, its own last.

        Args:
            paper: key of the paper, or `toporep.catalog.COMPARISON`.
            name: in the catalog.
        """
        return self._behind(self._workflow.shown_files(paper, name))

    def behind_all(self) -> list[Step]:
        """All jobs that the figures, tables and ledgers take together if there is nothing yet."""
        workflow = self._workflow
        shown = [*workflow.figures(comparison=True), *workflow.tables(comparison=True)]
        ledgers = [path for paper in workflow.claimed_papers() for path in workflow.claims_files(paper)]
        return self._behind([*(path for pair in shown for path in workflow.shown_files(*pair)), *ledgers])

    def _behind(self, wanted: list[str]) -> list[Step]:
        found: dict[str, Step] = {}
        while wanted:
            step = self._made_by.get(wanted.pop())
            if step is not None and step.benchmark not in found:
                found[step.benchmark] = step
                wanted += step.inputs
        between = sorted({step.rule for step in found.values()} - {*_FIRST, *_LAST})
        order = (*_FIRST, *between, *_LAST)
        return sorted(found.values(), key=lambda step: (order.index(step.rule), step.about, step.benchmark))


def cost(steps: Sequence[Step]) -> Cost:
    """What these jobs declare to need together."""
    networks: Counter[tuple[str, str]] = Counter()
    for step in steps:
        if step.networks:
            networks[step.planned.paper, step.networks[0]] += step.networks[1]
    sizes = [step.planned.size_mb for step in steps]
    return Cost(
        networks=networks,
        jobs=len(steps),
        gpu_hours=sum(step.planned.gpus * step.planned.minutes for step in steps) / 60,
        megabytes=None if None in sizes else sum(sizes),
    )


def _steps(workflow: Workflow) -> Iterator[Step]:
    yield from _images(workflow)
    yield from _trainings(workflow)
    yield from _evaluations(workflow)
    yield from _analyses(workflow)
    yield from _shown(workflow)
    yield from _ledgers(workflow)


def _images(workflow: Workflow) -> Iterator[Step]:
    paths = workflow.paths
    for source in {data["source"] for paper in workflow.config.papers.values() for data in paper["datasets"].values()}:
        outputs = [paths.prepared(source)]
        yield _step(workflow, "prepare", about=source, benchmark=f"prepare/{source}", outputs=outputs)
    for kind, rule, extensions in (("cached", "features", ("nc", "npy")), ("live", "image_list", ("nc",))):
        for source in workflow.feature_sources(kind):
            outputs = [paths.features(source, extension) for extension in extensions]
            place = f"features/{source}"
            yield _step(workflow, rule, about=source, benchmark=place, outputs=outputs, stage="features")


def _trainings(workflow: Workflow) -> Iterator[Step]:
    paths = workflow.paths
    for job in workflow.training_jobs():
        run = job.runs[0]
        yield _step(
            workflow,
            "train",
            benchmark=f"train/{run.id if workflow.one_run_a_job else job.name}",
            inputs=[workflow.images_of(run.paper, run.dataset), *workflow.beside_images(run.paper, run.dataset)],
            outputs=[make(each) for each in job.runs for make in (paths.weights, paths.history, paths.provenance)],
            networks=(run.dataset, len(job.runs)),
            paper=run.paper,
        )


def _evaluations(workflow: Workflow) -> Iterator[Step]:
    for job in workflow.evaluation_jobs():
        weights = [workflow.paths.weights(run) for run in job.runs]
        for evaluation in workflow.evaluations_of(job):
            shown = workflow.evaluation_inputs(job, evaluation)
            yield _step(
                workflow,
                stage_of(evaluation),
                about=set_of(evaluation) or "",
                benchmark=f"{evaluation}/{job.name}",
                inputs=[*weights, shown["images"], *shown["beside"]],
                outputs=[workflow.paths.evaluation(evaluation, run) for run in job.runs],
                paper=job.runs[0].paper,
            )


def _analyses(workflow: Workflow) -> Iterator[Step]:
    paths = workflow.paths
    for paper, config in workflow.config.papers.items():
        for analysis, dataset in itertools.product(config["analyses"], config["datasets"]):
            yield _step(
                workflow,
                "analysis",
                about=analysis,
                benchmark=f"metrics/{paper}/{dataset}/{analysis}",
                inputs=workflow.dumps_of(paper, dataset, analysis),
                outputs=[paths.metric(paper, dataset, analysis), paths.summary(paper, dataset, analysis)],
                paper=paper,
            )


def _shown(workflow: Workflow) -> Iterator[Step]:
    for paper, name in [*workflow.figures(comparison=True), *workflow.tables(comparison=True)]:
        kind = "table" if is_table(name) else "figure"
        yield _step(
            workflow,
            kind,
            benchmark=f"{kind}s/{paper}/{name}",
            inputs=workflow.figure_inputs(paper, name).values(),
            outputs=workflow.shown_files(paper, name),
            stage="figure",
            paper=paper,
        )


def _ledgers(workflow: Workflow) -> Iterator[Step]:
    for paper in workflow.claimed_papers():
        yield _step(
            workflow,
            "claims",
            benchmark=f"claims/{paper}",
            inputs=workflow.claims_inputs(paper).values(),
            outputs=workflow.claims_files(paper),
            stage="analysis",
            paper=paper,
        )


def _step(
    workflow: Workflow,
    rule: str,
    *,
    benchmark: str,
    outputs: Iterable[str],
    inputs: Iterable[str] = (),
    about: str = "",
    stage: str = "",
    networks: tuple[str, int] | None = None,
    paper: str | None = None,
) -> Step:
    outputs, stage = tuple(outputs), stage or rule
    # A list of images is made where features are, but not on a GPU.
    gpus = 0 if rule == "image_list" else workflow.resource(stage, "gpu", paper)
    planned = workflow.planned(outputs, gpus=gpus, minutes=workflow.resource(stage, "runtime", paper))
    return Step(rule, about, networks, tuple(inputs), outputs, f"{benchmark}.tsv", planned)
