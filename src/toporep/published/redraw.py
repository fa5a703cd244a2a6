"""Figures, tables and ledgers drawn again from published metric files alone, by the commands that the rules run."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toporep.catalog import is_table
from toporep.errors import TopoRepError
from toporep.published.collect import ledger_arguments, rooted
from toporep.published.manifest import check, configuration, published_papers
from toporep.workflow import Workflow

_EXTENSIONS = {"figure": ("pdf", "png", "csv"), "table": ("csv", "md", "tex")}


@dataclass(frozen=True)
class Redrawn:
    """A figure or table: what was written, or why not.

    Attributes:
        paper, name: of the catalog.
        kind: "figure" or "table".
        files: written.
        without: data sets of the paper that it lacks.
        why_not: why it was not drawn; empty if it was.
    """

    paper: str
    name: str
    kind: str
    files: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    why_not: str = ""


def published_workflow(root: str | os.PathLike, folder: Path) -> Workflow:
    """The workflow whose results are the published ones, each paper checked against its manifest.

    Args:
        root: the published folder.
        folder: that holds `config/`.

    Raises:
        TopoRepError: a file that does not match the manifest.
    """
    manifests = [check(root, paper) for paper in published_papers(root)]
    return rooted(Workflow.from_config(configuration(folder, manifests), folder), root)


def sections(workflow: Workflow, papers: Sequence[str]) -> list[str]:
    """What of the catalog is drawn: the papers, and what is across papers."""
    return [name for name in workflow.catalog if name in papers or name not in workflow.config.papers]


def redraw(workflow: Workflow, paper: str, name: str) -> Redrawn:
    """Draw a figure or write a table from what is published, without the data sets that are not."""
    kind = "table" if is_table(name) else "figure"
    found = _available(workflow, paper, name)
    if isinstance(found, str):
        return Redrawn(paper, name, kind, why_not=found)
    inputs, without = found
    place = workflow.paths.table if kind == "table" else workflow.paths.figure
    outputs = tuple(place(paper, name, ext) for ext in _EXTENSIONS[kind])
    settings = workflow.table_settings if kind == "table" else workflow.figure_settings
    arguments = [paper, name, "--input", *(f"{key}={path}" for key, path in inputs.items())]
    arguments += ["--settings", settings(paper, name), "--outputs", *outputs]
    try:
        _command(kind)(arguments)
    except TopoRepError as error:
        # Of results of some conditions alone, the figure says which others it needs.
        return Redrawn(paper, name, kind, why_not=str(error))
    return Redrawn(paper, name, kind, outputs, without)


def remake_ledger(workflow: Workflow, paper: str) -> tuple[str, ...]:
    """Write a paper's ledger of claims from its published metric files; returns its files, none without claims."""
    if paper not in workflow.claimed_papers():
        return ()
    from toporep.cli.claims import main

    with contextlib.redirect_stdout(io.StringIO()):
        main(ledger_arguments(workflow, paper))
    return tuple(workflow.claims_outputs(paper).values())


def _command(kind: str) -> Callable[[Sequence[str]], None]:
    if kind == "table":
        from toporep.cli.table import main
    else:
        from toporep.cli.figure import main
    return main


def _available(workflow: Workflow, paper: str, name: str) -> tuple[dict[str, str], tuple[str, ...]] | str:
    """Inputs that are published and the data sets left out for want of one, or what is lacking."""
    inputs = workflow.figure_inputs(paper, name)
    missing = [key for key, path in inputs.items() if not Path(path).is_file()]
    if not missing:
        return inputs, ()
    without = tuple(dict.fromkeys(group for key in missing if (group := _data_set(workflow, paper, key))))
    kept = {key: path for key, path in inputs.items() if _data_set(workflow, paper, key) not in without}
    measured = any(path.startswith(f"{workflow.config.root}/") for path in kept.values())
    if measured and not set(missing) & set(kept):
        return kept, without
    return _lacking(workflow, inputs, missing)


def _data_set(workflow: Workflow, paper: str, key: str) -> str | None:
    """The data set that an input is of: `mnist` of `mnist` or `mnist.harmonics.runs`; across papers, with its paper."""
    if paper not in workflow.config.papers:
        return key.rpartition(".")[0]
    first = key.partition(".")[0]
    return first if first in workflow.config.papers[paper]["datasets"] else None


def _lacking(workflow: Workflow, inputs: Mapping[str, str], missing: list[str]) -> str:
    kinds = {"metrics": "metric files", "data": "images"}
    folders = [Path(os.path.relpath(inputs[key], workflow.config.root)).parts for key in missing]
    named = dict.fromkeys(kinds.get(parts[0], "activation dumps") for parts in folders)
    first = os.path.relpath(inputs[missing[0]], workflow.config.root)
    return f"lacks {' and '.join(named)}, such as {first}"


def sources_of(workflow: Workflow) -> str:
    """One line for each paper and data set: how many networks of how many, seeds, devices."""
    lines = []
    for paper in published_papers(workflow.config.root):
        for dataset, told in check(workflow.config.root, paper)["datasets"].items():
            seeds = json.dumps(told["seeds"])
            lines.append(
                f"{paper}/{dataset}: {told['networks']} networks, seeds {seeds}, on {', '.join(told['device'])}"
            )
    return "\n".join(lines)
