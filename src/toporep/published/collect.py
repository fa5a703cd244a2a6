"""Publishing: the metric files of full-scale runs, checked, listed in a manifest and written at once."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toporep.config import did_you_mean
from toporep.errors import TopoRepError
from toporep.io import atomic_path, read_dataset
from toporep.published import checks
from toporep.published import provenance as runs_csv
from toporep.published.manifest import (
    FORMAT,
    check_files,
    configuration,
    manifest_path,
    manifest_text,
    published_papers,
    read_manifest,
    runs_path,
    sha256_of_bytes,
)
from toporep.runs import Run
from toporep.workflow import Workflow

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Choice:
    """What is published, and what the person who publishes it says about it.

    Attributes:
        datasets: roles of data sets; all that have metric files if None.
        mixed: why networks of a data set, or an analysis of several data sets, may be of different code or data; None
            if they may not.
        lacking: why settings that came after the networks, and that these lack, were then as they are now; None if
            there may be none.
        left_out: reason by `<dataset>.<analysis>` of an analysis that is made and not published.
    """

    datasets: Sequence[str] | None = None
    mixed: str | None = None
    lacking: str | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Analysis:
    """An analysis that was made: the content of its metric file and summary by name, what they say, and its runs."""

    dataset: str
    name: str
    files: dict[str, bytes]
    attrs: Mapping[str, Any]
    runs: tuple[Run, ...]

    def entries(self) -> dict[str, dict[str, Any]]:
        """What the manifest says of its files."""
        told = {name: self.attrs.get(name, "") for name in ("code_hash", "data_sha256", "dumps_sha256")}
        told |= {"dataset": self.dataset, "analysis": self.name, "networks": len(self.runs)}
        return {name: _entry(content) | told for name, content in self.files.items()}


def publish(workflow: Workflow, paper: str, *, root: str | os.PathLike, choice: Choice | None = None) -> dict[str, Any]:
    """Write metric files, summaries, runs, ledger and manifest of a paper to `root`, all or none.

    Data sets that were published before and are not chosen now stay. A data set that is chosen is replaced as a whole.

    Args:
        workflow: the configuration at scale `paper`, and where its results lie.
        paper: key of the paper.
        root: the published folder.
        choice: what to publish.

    Returns:
        The manifest.

    Raises:
        TopoRepError: another scale; nothing made; a metric file without its summary or of another scale; a run without
            provenance, or trained with other settings than the configuration's; different code or data without a
            reason; a file that is too large.
    """
    choice = choice or Choice()
    checks.refuse_other_scale(workflow.config.scale)
    datasets = _datasets(workflow, paper, choice)
    analyses = [_analysis(workflow, paper, *each) for each in _chosen(workflow, paper, datasets, choice)]
    before = read_manifest(root, paper) if paper in published_papers(root) else None
    kept = _kept(before, datasets)
    if before and kept["datasets"]:
        # Its lines of the other data sets stay.
        check_files(root, paper, kept["files"] | {runs_path(paper): before["files"][runs_path(paper)]})
    rows, told = _runs(workflow, paper, analyses, choice)
    rows = _in_order(workflow, paper, [*_rows_before(root, paper, kept["datasets"]), *rows])
    runs = runs_csv.to_csv(rows).encode("utf-8")
    entries = {**kept["files"], **{name: entry for each in analyses for name, entry in each.entries().items()}}
    checks.refuse_mixed_analyses(entries, choice.mixed)
    manifest = {
        **{"format": FORMAT, "paper": paper, "scale": workflow.config.scale},
        "datasets": {**kept["datasets"], **told},
        "files": {**entries, runs_path(paper): _entry(runs) | {"networks": len(rows)}},
    }
    checks.refuse_large(manifest["files"])
    contents = {name: content for each in analyses for name, content in each.files.items()}
    contents |= _ledger(workflow, paper, root=Path(root), manifest=manifest, staged=contents)
    _write(Path(root), paper, manifest, {**contents, runs_path(paper): runs})
    _remove_stale(Path(root), before, manifest)
    return manifest


def ledger_arguments(workflow: Workflow, paper: str) -> list[str]:
    """Arguments of `toporep.cli.claims` for a paper, as its rule gives them."""
    outputs = workflow.claims_outputs(paper)
    return [
        *("--claims", workflow.claims_file(paper), "--paper", workflow.claims_settings(paper)),
        *("--scale", workflow.config.scale, "--metrics", *workflow.claims_arguments(paper)),
        *(part for name, path in outputs.items() for part in (f"--{name}", path)),
    ]


def rooted(workflow: Workflow, root: str | os.PathLike) -> Workflow:
    """The same workflow with its results in another folder."""
    return Workflow(replace(workflow.config, root=os.fspath(root)), workflow.folder)


def _datasets(workflow: Workflow, paper: str, choice: Choice) -> list[str]:
    """Data sets to publish: those asked for, or all that have a metric file."""
    if paper not in workflow.config.papers:
        raise TopoRepError(f"unknown paper {paper!r}{did_you_mean(paper, workflow.config.papers)}")
    config = workflow.config.papers[paper]
    for name in choice.datasets or ():
        if name not in config["datasets"]:
            raise TopoRepError(f"{paper}: unknown dataset {name!r}{did_you_mean(name, config['datasets'])}")
    for key in choice.left_out:
        dataset, _, analysis = key.partition(".")
        if dataset not in config["datasets"] or analysis not in config["analyses"]:
            raise TopoRepError(f"left out: {key!r} is no <dataset>.<analysis> of {paper}")
    wanted = list(config["datasets"]) if choice.datasets is None else [*dict.fromkeys(choice.datasets)]
    made = [name for name in wanted if _made(workflow, paper, name)]
    missing = [name for name in wanted if name not in made]
    if missing and (choice.datasets is not None or not made):
        raise TopoRepError(
            f"{workflow.config.root}/metrics/{paper}: no metric file of {', '.join(missing)}; run the analyses first "
            f"(snakemake {paper})"
        )
    return made


def _made(workflow: Workflow, paper: str, dataset: str) -> list[str]:
    """Analyses of which a metric file or a summary is there."""
    places = (workflow.paths.metric, workflow.paths.summary)
    analyses = workflow.config.papers[paper]["analyses"]
    return [name for name in analyses if any(Path(place(paper, dataset, name)).is_file() for place in places)]


def _chosen(workflow: Workflow, paper: str, datasets: Iterable[str], choice: Choice) -> Iterator[tuple[str, str]]:
    for dataset in datasets:
        for name in _made(workflow, paper, dataset):
            if f"{dataset}.{name}" not in choice.left_out:
                yield dataset, name


def _analysis(workflow: Workflow, paper: str, dataset: str, name: str) -> Analysis:
    schema = workflow.analysis_module(paper, name)
    # The schemas refuse what is no metric file: weights, activation dumps, other evaluations.
    found = {
        path: read_dataset(path, kind)
        for path, kind in (
            (workflow.paths.metric(paper, dataset, name), schema),
            (workflow.paths.summary(paper, dataset, name), f"{schema}_summary"),
        )
    }
    checks.refuse_other_analysis(found, paper=paper, dataset=dataset, scale=workflow.config.scale)
    path, metric = next(iter(found.items()))
    files = {os.path.relpath(each, workflow.config.root): Path(each).read_bytes() for each in found}
    return Analysis(dataset, name, files, metric.attrs, _runs_of(metric, paper, dataset, path))


def _runs_of(metric: xr.Dataset, paper: str, dataset: str, path: str) -> tuple[Run, ...]:
    """Runs behind a metric file, whose rows are runs, or sets of all seeds of a condition at a strength."""
    points = list(zip(metric["condition"].values.tolist(), metric["strength"].values.tolist(), strict=True))
    if "run" in metric.dims:
        keys = [(*point, seed) for point, seed in zip(points, metric["seed"].values.tolist(), strict=True)]
    else:
        seeds = json.loads(metric.attrs["training"])["seeds"]
        keys = [(condition, strength, seed) for condition, strength in points for seed in seeds[condition]]
    runs = tuple(dict.fromkeys(Run(paper, dataset, *key) for key in keys))
    if not runs:
        raise TopoRepError(f"{path}: names no network; run the analysis on trained ones")
    return runs


def _runs(
    workflow: Workflow, paper: str, analyses: Sequence[Analysis], choice: Choice
) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """Lines of all runs, and what the manifest says of each data set."""
    jobs = {run: job for job in workflow.training_jobs() for run in job.runs}
    rows: list[dict[str, str]] = []
    told = {}
    for dataset in dict.fromkeys(each.dataset for each in analyses):
        of_dataset = [each for each in analyses if each.dataset == dataset]
        runs = dict.fromkeys(run for each in of_dataset for run in each.runs)
        said = {run: runs_csv.read_provenance(workflow.paths, run) for run in runs}
        lacking = {
            name
            for run, content in said.items()
            for name in checks.refuse_other_settings(workflow, run, content, lacking=choice.lacking)
        }
        for each in of_dataset:
            checks.refuse_other_training(next(iter(each.files)), each.attrs, {run: said[run] for run in each.runs})
        checks.refuse_mixed_runs(said, choice.mixed)
        rows += [runs_csv.row(workflow.paths, run, content, jobs.get(run)) for run, content in said.items()]
        told[dataset] = _told(workflow, paper, dataset, said, choice) | {
            "lacking": {"settings": sorted(lacking), "reason": choice.lacking} if lacking else None
        }
    return rows, told


def _told(
    workflow: Workflow, paper: str, dataset: str, said: Mapping[Run, Mapping[str, Any]], choice: Choice
) -> dict[str, Any]:
    """What the manifest says of a data set."""
    names = ("device", "mode", "stack_size", "code_hash", "data_sha256")
    made = _made(workflow, paper, dataset)
    reasons = {key.partition(".")[2]: why for key, why in choice.left_out.items() if key.startswith(f"{dataset}.")}
    return {
        "networks": len(said),
        "seeds": sorted({run.seed for run in said}),
        **{name: sorted({content[name] for content in said.values()}) for name in names},
        "overrides": workflow.config.main["overrides"].get(paper, {}),
        "mixed": choice.mixed,
        "left_out": reasons,
        "not_made": [name for name in workflow.config.papers[paper]["analyses"] if name not in made],
    }


def _kept(before: Mapping[str, Any] | None, replaced: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Data sets and files of an earlier manifest that stay."""
    if before is None:
        return {"datasets": {}, "files": {}}
    datasets = {name: told for name, told in before["datasets"].items() if name not in replaced}
    files = {name: entry for name, entry in before["files"].items() if entry.get("dataset") in datasets}
    return {"datasets": datasets, "files": files}


def _rows_before(root: str | os.PathLike, paper: str, datasets: Mapping[str, Any]) -> list[dict[str, str]]:
    rows = runs_csv.read_rows(Path(root) / runs_path(paper)) if datasets else []
    return [row for row in rows if row["dataset"] in datasets]


def _in_order(workflow: Workflow, paper: str, rows: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """Lines by data set and condition as the paper has them, then strength and seed."""
    config = workflow.config.papers[paper]
    datasets, conditions = list(config["datasets"]), list(config["conditions"])

    def place(row: Mapping[str, str]) -> tuple[Any, ...]:
        known = conditions.index(row["condition"]) if row["condition"] in conditions else len(conditions)
        return datasets.index(row["dataset"]), known, row["condition"], float(row["strength"]), int(row["seed"])

    return sorted(rows, key=place)


def _ledger(
    workflow: Workflow, paper: str, *, root: Path, manifest: Mapping[str, Any], staged: Mapping[str, bytes]
) -> dict[str, bytes]:
    """The files of a paper's ledger of claims, made from what is published; none for a paper without claims."""
    if paper not in workflow.claimed_papers():
        return {}
    from toporep.cli.claims import main

    with tempfile.TemporaryDirectory() as folder:
        for name in manifest["files"]:
            if name.startswith("metrics/"):
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / name).write_bytes(staged[name] if name in staged else (root / name).read_bytes())
        there = rooted(Workflow.from_config(configuration(workflow.folder, [manifest]), workflow.folder), folder)
        with contextlib.redirect_stdout(io.StringIO()):
            main(ledger_arguments(there, paper))
        outputs = there.claims_outputs(paper).values()
        return {os.path.relpath(path, folder): Path(path).read_bytes() for path in outputs}


def _write(root: Path, paper: str, manifest: Mapping[str, Any], contents: Mapping[str, bytes]) -> None:
    """Write all files under temporary names, then rename them all, the manifest last."""
    listed = os.path.relpath(manifest_path(root, paper), root)
    with contextlib.ExitStack() as stack:
        # Left in reverse order: the manifest, entered first, gets its name last.
        for name, content in {listed: manifest_text(manifest).encode("utf-8"), **contents}.items():
            stack.enter_context(atomic_path(root / name, alone=True)).write_bytes(content)


def _remove_stale(root: Path, before: Mapping[str, Any] | None, manifest: Mapping[str, Any]) -> None:
    """Remove what the earlier manifest lists and the new one does not."""
    for name in before["files"] if before else ():
        if name not in manifest["files"]:
            (root / name).unlink(missing_ok=True)


def _entry(content: bytes) -> dict[str, Any]:
    return {"sha256": sha256_of_bytes(content), "bytes": len(content)}
