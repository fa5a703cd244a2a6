"""The document that leads from each figure and table to its target, its rules and its cost: docs/figures.md."""

from __future__ import annotations

import csv
import io
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from toporep.catalog import COMPARISON
from toporep.errors import TopoRepError
from toporep.io import write_text
from toporep.report.chains import Chains, Step, cost
from toporep.report.usage import measured
from toporep.workflow import Workflow

COMMAND = "python -m toporep.cli.figure_costs"
_COLUMNS = ("paper", "name", "core_seconds")
_HEADER = (
    *("figure or table", "target", "what is run: rules and their jobs", "networks", "jobs"),
    *("GPU hours", "disk", "CPU alone", "demo"),
)


@dataclass(frozen=True)
class Demo:
    """What the figures of the demo took.

    Attributes:
        told: when and where it was measured.
        core_seconds: (paper, figure or table) → processor time of all jobs behind it, in seconds.
    """

    told: str
    core_seconds: Mapping[tuple[str, str], float]


def figure_document(workflow: Workflow, demo: Demo, *, minutes: Mapping[tuple[str, str], float]) -> str:
    """The document, in Markdown.

    Args:
        workflow: at scale `paper`.
        demo: what was measured of the demo; a figure that it lacks has a dash.
        minutes: (paper, data set) → measured minutes of one CPU core that a network takes.
    """
    chains = Chains(workflow)
    parts = [_introduction(workflow, demo)]
    for section in workflow.sections:
        rows = [_row(workflow, chains, section, name, demo, minutes) for name in workflow.catalog[section]]
        title = "Across papers" if section == COMPARISON else f"{_cited(workflow, section)} (`{section}`)"
        parts.append(f"## {title}\n\n{_table([_HEADER, *rows])}")
    return "\n".join(parts)


def measure_demo(workflow: Workflow) -> Demo:
    """Add up Snakemake's measurements of the jobs behind each figure and table.

    Args:
        workflow: of a finished demo, whose `<root>/benchmarks` are read from the working directory.

    Raises:
        TopoRepError: a job was not measured.
    """
    chains, folder = Chains(workflow), Path(workflow.config.root) / "benchmarks"
    seconds: dict[str, float] = {}
    totals = {}
    for section in workflow.sections:
        for name in workflow.catalog[section]:
            files = [step.benchmark for step in chains.behind(section, name)]
            seconds |= {file: _core_seconds(folder / file) for file in files if file not in seconds}
            totals[section, name] = sum(seconds[file] for file in files)
    newest = max((folder / file).stat().st_mtime for file in seconds)
    date = datetime.fromtimestamp(newest, tz=UTC).date()
    return Demo(f"{date}, {_machine()}, {len(seconds)} jobs, {sum(seconds.values()):.0f} core-seconds in all", totals)


def write_demo(path: Path, demo: Demo) -> None:
    """Write what was measured as CSV, with a first line that says when and where."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(_COLUMNS)
    rows.writerows((*key, f"{seconds:.1f}") for key, seconds in demo.core_seconds.items())
    write_text(path, f"# {demo.told}\n{text.getvalue()}")


def read_demo(path: Path) -> Demo:
    """Read what `write_demo` wrote.

    Raises:
        TopoRepError: the file is not like that.
    """
    first, *lines = path.read_text(encoding="utf-8").splitlines()
    found = list(csv.DictReader(lines))
    if not first.startswith("# ") or not found or tuple(found[0]) != _COLUMNS:
        raise TopoRepError(f"{path}: expected a line '# when, where' and columns {', '.join(_COLUMNS)}; make it again")
    return Demo(first.removeprefix("# "), {(row["paper"], row["name"]): float(row["core_seconds"]) for row in found})


def read_minutes(path: Path) -> dict[tuple[str, str], float]:
    """Measured minutes of one CPU core that a network takes, by (paper, data set), from a CSV file."""
    with open(path, encoding="utf-8", newline="") as file:
        return {(row["paper"], row["dataset"]): float(row["core_minutes"]) for row in csv.DictReader(file)}


def _introduction(workflow: Workflow, demo: Demo) -> str:
    entries = sum(map(len, workflow.catalog.values()))
    return f"""\
# Figures, targets, rules, cost

<!-- Made by `{COMMAND}`; do not edit. -->

Each of the {entries} figures and tables: what to ask for, what Snakemake then runs, and what that costs if there is
nothing yet. Jobs that figures share run once, so costs do not add up. `{COMMAND}` makes this page
from the configuration, and a test fails when it is not in step.

- **Target**: what to ask for, with folder and ending: `snakemake --cores 8 results/figures/fig6_colocalization.pdf`, a
  table as `.md` from `results/tables/`; at demo scale from `results/demo/`, with `--configfile config/demo.yaml`.
- **What is run**: rules at the papers' scale, with the number of jobs where it is more than one. Rules of evaluations
  are named by job (`activations_truong2025_mnist_ws_001`), of which the first part stands here; so are `figure_…` and
  `table_…`. After the colon: the analyses, or the sets of images that networks are shown.
- **Networks, jobs**: as `snakemake -n` counts them, but for the job that copies a figure to its short name. An analysis
  is of all networks that it is configured for ([config/papers/](../config/papers/)), also where a figure shows some.
- **GPU hours** are the limits that the jobs declare (`resources` in the configuration), at which a cluster stops them;
  they are no estimates. **Disk** is declared, too: of all files behind the figure.
- **CPU alone**: core-hours of training, estimated: networks × what the steps of one were measured to take on one CPU
  core ([network-costs.csv](network-costs.csv)). A dash: nothing to train, or a kind of network that was not measured.
- **Demo**: core-seconds of all jobs behind the figure at demo scale, where jobs train several networks at once, so that
  figures share more than they show. Measured: {demo.told} ([demo-costs.csv](demo-costs.csv)).

How to run it on a cluster: [cluster](cluster.md). Which part waits for which: the graphs in [the report](report.md).
"""


def _row(
    workflow: Workflow,
    chains: Chains,
    section: str,
    name: str,
    demo: Demo,
    minutes: Mapping[tuple[str, str], float],
) -> tuple[str, ...]:
    steps = chains.behind(section, name)
    found = cost(steps)
    seconds = demo.core_seconds.get((section, name))
    return (
        workflow.catalog[section][name]["title"],
        f"`{name}`",
        _rules(steps),
        _number(found.networks.total()),
        _number(found.jobs),
        _number(found.gpu_hours),
        "–" if found.megabytes is None else _size(found.megabytes),
        _core_hours(found.networks, minutes),
        "–" if seconds is None else f"{_number(seconds)} s",
    )


def _rules(steps: Sequence[Step]) -> str:
    """Each kind of rule with its jobs: "`train` 380, `analysis` 2: colocalization"."""
    told = []
    for rule in dict.fromkeys(step.rule for step in steps):
        of_rule = [step for step in steps if step.rule == rule]
        jobs = f" {_number(len(of_rule))}" if len(of_rule) > 1 else ""
        about = sorted({step.about for step in of_rule} - {""}) if rule in ("analysis", "responses") else []
        told.append(f"`{rule}`{jobs}{': ' if about else ''}{', '.join(about)}")
    return "; ".join(told)


def _core_hours(networks: Mapping[tuple[str, str], int], minutes: Mapping[tuple[str, str], float]) -> str:
    if not networks or not set(networks) <= set(minutes):
        return "–"
    hours = sum(count * minutes[key] for key, count in networks.items()) / 60
    return f"{_number(hours)} h" if hours >= 1 else f"{hours * 60:.0f} min"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value else "–"


def _size(megabytes: float) -> str:
    return f"{megabytes / 1000:,.1f} GB" if megabytes >= 1000 else f"{megabytes:,.0f} MB"


def _table(rows: Iterable[Sequence[str]]) -> str:
    header, *body = rows
    lines = ["| " + " | ".join(row) + " |" for row in (header, *body)]
    lines.insert(1, "|" + "---|" * 3 + "--:|" * (len(header) - 3))
    return "\n".join(lines) + "\n"


def _cited(workflow: Workflow, paper: str) -> str:
    return workflow.config.papers[paper]["title"]


def _core_seconds(path: Path) -> float:
    if not path.is_file():
        raise TopoRepError(f"{path}: no such file; run the whole demo with Snakemake first: make demo")
    return measured(path)["cpu_time"]


def _machine() -> str:
    """Number of cores and kind of processor."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} cores ({names[0] if names else platform.machine()})"
