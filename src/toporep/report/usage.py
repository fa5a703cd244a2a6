"""What the results took: time and memory of jobs, room on disk, processors and GPUs."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from toporep.evaluations import stage_of
from toporep.workflow import Workflow

# Folder of benchmarks → stage whose resources its jobs declare; evaluations have their own name.
_DECLARED = {"metrics": "analysis", "claims": "analysis", "figures": "figure", "tables": "figure"}
_FIRST, _LAST = ("prepare", "features", "train"), ("metrics", "claims", "figures", "tables")
_OWN = "report"


@dataclass(frozen=True)
class Usage:
    """What the jobs of a stage and paper took.

    Attributes:
        stage: folder of the benchmarks.
        paper: key of the paper; empty for jobs that several papers share.
        jobs: number of jobs measured.
        seconds, longest: wall-clock time of all jobs and of the longest, in seconds.
        cpu_seconds: processor time of all jobs, in seconds.
        peak_mb: largest resident memory of a job, in MB.
        declared_mb: memory that a job may take, in MB.
        gpus: that a job asks for.
    """

    stage: str
    paper: str
    jobs: int
    seconds: float
    longest: float
    cpu_seconds: float
    peak_mb: float
    declared_mb: int
    gpus: int


@dataclass(frozen=True)
class Cost:
    """What all measured jobs took, and what all jobs would take at most.

    Attributes:
        core_hours: processor time measured, in hours.
        job_hours: wall-clock time of all jobs, one after the other, in hours.
        gpu_hours: wall-clock time of the jobs that ask for GPUs, times those, in hours.
        declared_gpu_hours: (paper, hours): the limits of run time of all jobs of the paper that ask for GPUs.
    """

    core_hours: float
    job_hours: float
    gpu_hours: float
    declared_gpu_hours: tuple[tuple[str, float], ...]


def read_usage(workflow: Workflow) -> list[Usage]:
    """Time and memory by stage and paper, in the order in which data flow; from `<root>/benchmarks`."""
    folder = Path(workflow.config.root) / "benchmarks"
    groups: dict[tuple[str, str], list[dict[str, float]]] = {}
    for path in sorted(folder.rglob("*.tsv")):
        stage, *inside = path.relative_to(folder).with_suffix("").parts
        if inside:
            groups.setdefault((stage_of(stage), _paper(inside[0], workflow.config.papers)), []).append(measured(path))
    stages, papers = _order(stage for stage, _ in groups), ["", *workflow.config.papers]
    ordered = sorted(groups, key=lambda key: (stages.index(key[0]), papers.index(key[1])))
    return [_usage(workflow, *key, groups[key]) for key in ordered]


def cost(workflow: Workflow, usage: Sequence[Usage]) -> Cost:
    """Sums over all jobs that were measured, and the declared hours of GPUs of all jobs."""
    return Cost(
        core_hours=sum(each.cpu_seconds for each in usage) / 3600,
        job_hours=sum(each.seconds for each in usage) / 3600,
        gpu_hours=sum(each.seconds * each.gpus for each in usage) / 3600,
        declared_gpu_hours=tuple((paper, _declared_gpu_hours(workflow, paper)) for paper in workflow.config.papers),
    )


def disk_usage(workflow: Workflow) -> list[tuple[str, int, int]]:
    """(folder, number of files, bytes) of each stage; the report itself is left out."""
    evaluations = {name for job in workflow.evaluation_jobs() for name in workflow.evaluations_of(job)}
    folders = ["data", "features", "runs", "state", *sorted(evaluations), "metrics", "claims", "figures", "tables"]
    rows = []
    for name in (*folders, "logs", "benchmarks"):
        files = [path for path in (Path(workflow.config.root) / name).rglob("*") if path.is_file()]
        sizes = [os.path.getsize(path) for path in files if path.stem != _OWN]
        if sizes:
            rows.append((name, len(sizes), sum(sizes)))
    return rows


def measured(path: Path) -> dict[str, float]:
    """Columns of a benchmark of Snakemake, 0 where it could not measure; of several repeats, the sums.

    Returns:
        s, cpu_time: seconds; max_rss: MB.
    """
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return {name: sum(_float(row.get(name)) for row in rows) for name in ("s", "cpu_time", "max_rss")}


def _usage(workflow: Workflow, stage: str, paper: str, jobs: Sequence[dict[str, float]]) -> Usage:
    declared = _DECLARED.get(stage, stage)
    known = declared in workflow.config.main["resources"]
    return Usage(
        stage=stage,
        paper=paper,
        jobs=len(jobs),
        seconds=sum(job["s"] for job in jobs),
        longest=max(job["s"] for job in jobs),
        cpu_seconds=sum(job["cpu_time"] for job in jobs),
        peak_mb=max(job["max_rss"] for job in jobs),
        declared_mb=workflow.resource(declared, "mem_mb", paper) if known else 0,
        gpus=workflow.resource(declared, "gpu", paper) if known else 0,
    )


def _declared_gpu_hours(workflow: Workflow, paper: str) -> float:
    jobs = [("train", job) for job in workflow.training_jobs() if job.runs[0].paper == paper]
    evaluated = [job for job in workflow.evaluation_jobs() if job.runs[0].paper == paper]
    jobs += [(name, job) for job in evaluated for name in workflow.evaluations_of(job)]
    minutes = [workflow.resource(stage, "runtime", paper) * workflow.resource(stage, "gpu", paper) for stage, _ in jobs]
    return sum(minutes) / 60


def _float(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0


def _paper(name: str, papers: Iterable[str]) -> str:
    return next((paper for paper in papers if name == paper or name.startswith(f"{paper}_")), "")


def _order(stages: Iterable[str]) -> list[str]:
    found = set(stages)
    between = sorted(found - {*_FIRST, *_LAST})
    return [stage for stage in (*_FIRST, *between, *_LAST) if stage in found]
