"""Which code made the results: versions here, versions and code of the runs, the commit."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toporep.errors import TopoRepError
from toporep.provenance import software_versions
from toporep.published.provenance import precision_of
from toporep.workflow import Workflow

NOT_GIT = "not a git checkout"


@dataclass(frozen=True)
class Trained:
    """The networks of a paper and a role of a data set.

    Attributes:
        paper, dataset: the paper and the role.
        source: key of the images.
        networks, declared: how many are trained, and how many the configuration asks for.
        seeds, epochs, images, devices, precisions, codes, data: what the trained networks say of themselves, each value
            once.
    """

    paper: str
    dataset: str
    source: str
    networks: int
    declared: int
    seeds: tuple[int, ...]
    epochs: tuple[int, ...]
    images: tuple[int, ...]
    devices: tuple[str, ...]
    precisions: tuple[str, ...]
    codes: tuple[str, ...]
    data: tuple[str, ...]


def read_provenance(workflow: Workflow) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """(paper, dataset) → what each of its trained networks says of itself.

    Raises:
        TopoRepError: a file is not JSON.
    """
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for run in workflow.runs:
        runs = found.setdefault((run.paper, run.dataset), [])
        path = Path(workflow.paths.provenance(run))
        if path.is_file():
            runs.append(_read(path))
    return found


def trained(workflow: Workflow, provenance: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]) -> list[Trained]:
    """What was trained of what was asked for, a row a paper and data set."""
    asked = Counter((run.paper, run.dataset) for run in workflow.runs)
    rows = []
    for (paper, dataset), runs in provenance.items():
        training = [run.get("settings", {}).get("training", {}) for run in runs]
        rows.append(
            Trained(
                paper=paper,
                dataset=dataset,
                source=workflow.config.papers[paper]["datasets"][dataset]["source"],
                networks=len(runs),
                declared=asked[paper, dataset],
                seeds=_distinct(run.get("seed") for run in runs),
                epochs=_distinct(each.get("epochs") for each in training),
                images=_distinct(run.get("train_images") for run in runs),
                devices=_distinct(run.get("device") for run in runs),
                precisions=_distinct(precision_of(run) for run in runs),
                codes=_distinct(run.get("code_hash") for run in runs),
                data=_distinct(run.get("data_sha256") for run in runs),
            )
        )
    return rows


def versions(
    provenance: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]],
) -> list[tuple[str, str, list[tuple[str, int]]]]:
    """(package, version here, [(version, number of runs made with it)]) of Python and each package."""
    here = json.loads(software_versions())
    runs = [run.get("software", {}) for group in provenance.values() for run in group]
    names = dict.fromkeys([*here, *(name for software in runs for name in software)])
    used = {name: Counter(str(software[name]) for software in runs if name in software) for name in names}
    return [(name, here.get(name, ""), sorted(used[name].items())) for name in names]


def commit(folder: Path) -> str:
    """The commit of the checkout, and whether files of it are changed."""
    try:
        name = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return NOT_GIT
    return f"{name}, with changes that are not committed" if changed else name


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TopoRepError(f"{path}: not JSON ({error}); remove the run's folder and train it again") from error


def _distinct(values: Any) -> tuple[Any, ...]:
    return tuple(sorted({value for value in values if value is not None}))
