"""What a dry run would cost: networks, jobs, GPU and core hours, disk and figures of each paper, in one small table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SHARED = "data"
_HEADER = ("", "networks", "jobs", "GPU hours", "core hours", "disk", "figures", "tables")
_NOTE = "Hours are limits that the jobs declare (`resources` in the configuration), not measurements"


@dataclass(frozen=True)
class Planned:
    """A job that would run.

    Attributes:
        stage: name in `resources`, and "table" and "claims".
        paper: key of the paper, `SHARED` for what several papers read.
        networks: that it trains.
        gpus, threads: that it asks for.
        minutes: limit of its run time.
        size_mb: of the files that it writes; None where nothing is declared.
    """

    stage: str
    paper: str
    networks: int
    gpus: int
    threads: int
    minutes: float
    size_mb: float | None


def audit_text(planned: Sequence[Planned], papers: Iterable[str], *, scale: str, root: str) -> str:
    """The audit as text, a row a paper; one line if nothing would run.

    Args:
        planned: all jobs that would run.
        papers: in the order of the rows.
        scale, root: of the results.
    """
    if not planned:
        return f"Audit of scale {scale} ({root}/): nothing to be done."
    groups = {paper: [job for job in planned if job.paper == paper] for paper in [SHARED, *papers]}
    rows = [_row(name, jobs) for name, jobs in groups.items() if jobs]
    if len(rows) > 1:
        rows.append(_row("in all", planned))
    stages = Counter(job.stage for job in planned)
    jobs = ", ".join(f"{stage} {count}" for stage, count in stages.items())
    return "\n".join(
        [f"Audit of what would run at scale {scale} ({root}/):", *_aligned([_HEADER, *rows]), f"Jobs: {jobs}."]
        + [f"{_NOTE}{'; disk is what their files take, as declared' if _declared(planned) else ''}."]
    )


def _row(name: str, jobs: Sequence[Planned]) -> tuple[str, ...]:
    gpu_hours = sum(job.gpus * job.minutes for job in jobs) / 60
    core_hours = sum(job.threads * job.minutes for job in jobs) / 60
    counts = Counter(job.stage for job in jobs)
    return (
        name,
        _count(sum(job.networks for job in jobs)),
        _count(len(jobs)),
        _count(math.ceil(gpu_hours)),
        _count(math.ceil(core_hours)),
        _size(sum(job.size_mb for job in jobs)) if _declared(jobs) else "-",
        _count(counts["figure"]),
        _count(counts["table"]),
    )


def _declared(jobs: Sequence[Planned]) -> bool:
    return all(job.size_mb is not None for job in jobs)


def _count(number: int) -> str:
    return f"{number:,}" if number else "-"


def _size(megabytes: float) -> str:
    if megabytes >= 1000:
        return f"{megabytes / 1000:,.1f} GB"
    return f"{megabytes:,.0f} MB"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(_padded(row, widths)) for row in rows]


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    name, *cells = row
    return [name.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))]
