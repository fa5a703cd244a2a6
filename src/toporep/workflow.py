"""What the Snakefile asks: jobs, files and parameters of every rule.

Imported each time that Snakemake reads the workflow, so it loads the standard library, YAML and a schema
checker alone.
"""

from __future__ import annotations

import difflib
import functools
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toporep import codehash
from toporep.audit import SHARED, Planned, audit_text
from toporep.catalog import is_table, load_catalog, resolve
from toporep.claims.entries import Claims, claims_path, load_claims
from toporep.config import Config, canonical_json, did_you_mean, load_config, read_yaml
from toporep.errors import TopoRepError
from toporep.evaluations import evaluation_of, evaluation_of_set, evaluations_of, set_of, stage_of
from toporep.kinds import Kind, channels_of, kind_of
from toporep.runs import Paths, Run, group_runs, run_settings, run_table
from toporep.settings import evaluation_settings
from toporep.train.spec import PER_RUN, pack

_EXTENSIONS = {"figure": ("pdf", "png", "csv"), "table": ("csv", "md", "tex")}
_LEDGER = {"csv": ".csv", "markdown": ".md", "points": "_points.csv"}
_NOISE = ("kinds", "levels", "seed", "clip", "amplitude_exponent", "replace")
_MAP_CHOICE = ("dataset", "conditions", "strengths", "models")


@dataclass(frozen=True)
class Job:
    """Runs that one job trains or evaluates."""

    name: str
    runs: list[Run]

    @property
    def title(self) -> str:
        """The first and the last run, for messages."""
        first, last = self.runs[0], self.runs[-1]
        return first.id if first == last else f"{first.id} … {last.id}"


class Workflow:
    """The configured workflow: one attribute or method for each question of a rule.

    Attributes:
        config: the validated configuration.
        catalog: figures and tables by paper, and across papers under `toporep.catalog.COMPARISON`.
        paths: where files lie.
        run_pattern: a run's id with Snakemake's wildcards in place of its parts.
        train_command: the shell command of every training rule.
    """

    run_pattern = "{paper}/{dataset}/{condition}/{strength}/seed{seed}"
    train_command = (
        "python -m toporep.cli.{params.command} --spec {params.spec:q} --images {input.images:q} --root {params.root:q}"
        " --code-hash {params.code} --threads {threads} --log {log:q}"
    )

    def __init__(self, config: Config, folder: Path) -> None:
        self.config = config
        self.folder = folder
        self.catalog = load_catalog(folder / "config" / "catalog.yaml", config.papers)
        self.paths = Paths(config.root)
        self.datasets = sorted({name for paper in config.papers.values() for name in paper["datasets"]})
        self.conditions = sorted({name for paper in config.papers.values() for name in paper["conditions"]})
        self.one_run_a_job = config.main["stack_size"] == config.main["sequence_size"] == 1
        self._claims: dict[str, Claims] = {}

    @classmethod
    def from_config(cls, main: Mapping[str, Any], folder: Path) -> Workflow:
        """Read and check the configuration; `main` is Snakemake's, `folder` holds `config/`."""
        return cls(load_config(main, folder / "config"), folder)

    # Runs and jobs

    @functools.cached_property
    def runs(self) -> list[Run]:
        """Every run of every paper."""
        return [run for paper in self.config.papers.values() for run in run_table(paper)]

    def training_jobs(self) -> list[Job]:
        """The runs in groups: of `stack_size` where a stack can hold them, else of `sequence_size`."""
        alone = [run for run in self.runs if self.kind_of(run).alone]
        together = [run for run in self.runs if not self.kind_of(run).alone]
        mixed = self._trained_alike if self.config.main["mix_conditions"] else None
        main = self.config.main
        return _jobs(together, main["stack_size"], mixed) + _jobs(alone, main["sequence_size"], mixed)

    def train_command_of(self, run: Run) -> str:
        """The command of `toporep.cli` that trains a run."""
        return self.kind_of(run).train_command

    def kind_of(self, run: Run) -> Kind:
        """The kind of network that a run trains."""
        return kind_of(self.config.papers[run.paper]["datasets"][run.dataset]["model"])

    def evaluation_jobs(self) -> list[Job]:
        """The runs in groups of `dump_size`, so that what needs the first seed alone asks for no other."""
        mixed = self.config.main["mix_conditions"]
        together = (lambda run: (run.paper, run.dataset)) if mixed else self._asked_for_alike
        return _jobs(self.runs, self.config.main["dump_size"], together)

    def _asked_for_alike(self, run: Run) -> tuple[str, ...]:
        """Paper, data set, condition, and the analyses of some seeds alone that ask for this one."""
        analyses = self.config.papers[run.paper]["analyses"]
        asking = (
            name
            for name, entry in analyses.items()
            if run.seed in (entry.get("seeds") or ()) and run.condition in (entry.get("conditions") or (run.condition,))
        )
        return run.paper, run.dataset, run.condition, *asking

    def _trained_alike(self, run: Run) -> tuple[str, str, str]:
        """Paper, data set, and what `pack` wants to be the same for all runs of a job, or a stack of its runs."""
        settings = run_settings(self.config, run)
        common = {key: settings[key] for key in settings if key not in PER_RUN}
        common["shape"] = self.kind_of(run).stack_shape(settings["condition"])
        return run.paper, run.dataset, canonical_json(common)

    def run_of(self, wildcards: Any) -> Run:
        """The run that a rule's wildcards name."""
        return Run.parse(self.run_pattern.format(**dict(wildcards.items())))

    def training_spec(self, runs: list[Run]) -> str:
        """Settings of the runs of one training job, as JSON."""
        return pack([run_settings(self.config, run) for run in runs], runs)

    def evaluation_spec(self, paper: str, dataset: str, evaluation: str) -> str:
        """How trained runs of a data set are evaluated, as JSON."""
        return canonical_json(evaluation_settings(self.config.papers[paper], dataset, stage_of(evaluation)))

    def evaluations_of(self, job: Job) -> dict[str, str]:
        """Evaluation → command of `toporep.cli` that makes it, for the runs of a job."""
        run = job.runs[0]
        return evaluations_of(self.kind_of(run), self.config.papers[run.paper].get("image_sets", ()))

    def evaluation_inputs(self, job: Job, evaluation: str) -> dict[str, str | list[str]]:
        """What an evaluation of a job's runs reads beside these: `images`, and `beside` them."""
        paper, dataset, shown = job.runs[0].paper, job.runs[0].dataset, set_of(evaluation)
        if shown is None:
            return {"images": self.images_of(paper, dataset), "beside": []}
        source = self.config.papers[paper]["image_sets"][shown]["source"]
        features = self.paths.features(source)
        return {"images": features, "beside": [self.paths.features(source, "npy"), self.images_of(paper, dataset)]}

    def evaluation_arguments(self, job: Job, evaluation: str) -> list[str]:
        """What the command of an evaluation is told beside what all are."""
        shown = set_of(evaluation)
        if shown is None:
            return []
        return ["--set", shown, "--training-features", self.images_of(job.runs[0].paper, job.runs[0].dataset)]

    # Data

    @property
    def data_dir(self) -> str:
        """Folder of the raw files: `data_dir` in the configuration, else $TOPOREP_DATA, else `data`."""
        return self.config.main["data_dir"] or os.environ.get("TOPOREP_DATA") or "data"

    def images_of(self, paper: str, dataset: str) -> str:
        """Prepared images of a data set's source; for networks of features, what these are of."""
        data = self.config.papers[paper]["datasets"][dataset]
        on_features = channels_of(data["model"]) is None
        return self.paths.features(data["source"]) if on_features else self.paths.prepared(data["source"])

    def beside_images(self, paper: str, dataset: str) -> list[str]:
        """Files beside `images_of` that training reads: features that are not made anew in each epoch."""
        source = self.config.papers[paper]["datasets"][dataset]["source"]
        return [self.paths.features(source, "npy")] if source in self.feature_sources("cached") else []

    def feature_sources(self, kind: str) -> list[str]:
        """Sources whose features are "cached", or of which the images are listed alone ("live"), for training."""
        found: dict[str, str] = {}
        for paper in self.config.papers.values():
            found |= {each["source"]: "cached" for each in paper.get("image_sets", {}).values()}
            for data in paper["datasets"].values() if "features" in paper else ():
                if data["source"] not in found or paper["features"]["training"] == "cached":
                    found[data["source"]] = paper["features"]["training"]
        return sorted(source for source, each in found.items() if each == kind)

    def features_spec(self, source: str) -> str:
        """How images of a source become features, as JSON: of training images several crops, of others one."""
        (paper,) = (paper for paper in self.config.papers.values() if "features" in paper)
        trained_on = {data["source"] for data in paper["datasets"].values()}
        features = {key: value for key, value in paper["features"].items() if key != "training"}
        return canonical_json(features if source in trained_on else {**features, "crops": 1})

    def image_set_settings(self, source: str) -> str:
        """What the registry of image sets says of a source's content, as JSON."""
        entries = read_yaml(self.folder / "config" / "image_sets.yaml")["sources"]
        if source not in entries:
            near = difflib.get_close_matches(source, entries, n=3, cutoff=0.5)
            raise TopoRepError(f"unknown source of image sets {source!r}; known: {', '.join(near or entries)}")
        return canonical_json(entries[source])

    def source_settings(self, source: str) -> str:
        """What the registry says of a source's content, as JSON; not where it is to be had."""
        registry = read_yaml(self.folder / "config" / "datasets.yaml")
        entries = registry.get("sources", registry)
        if source not in entries:
            near = difflib.get_close_matches(source, entries, n=3, cutoff=0.5)
            raise TopoRepError(f"unknown source of images {source!r}; known: {', '.join(near or entries)}")
        place = ("licence", "citation", "files", "folder", "npz")
        return canonical_json({key: value for key, value in entries[source].items() if key not in place})

    # Analyses and figures

    def dumps_of(self, paper: str, dataset: str, analysis: str) -> list[str]:
        """Evaluations of runs that an analysis of a data set reads."""
        entry = self._analysis(paper, analysis)
        chosen = {key: entry.get(key) for key in ("conditions", "strengths", "seeds")}
        evaluations = [evaluation_of_set(name) for name in entry.get("sets", ())]
        return [
            self.paths.evaluation(evaluation, run)
            for run in run_table(self.config.papers[paper], datasets=[dataset], **chosen)
            for evaluation in evaluations or [evaluation_of(self.analysis_module(paper, analysis))]
        ]

    def analysis_module(self, paper: str, analysis: str) -> str:
        """The module of `toporep.analyses` that computes an analysis: the one of its name, or its `analysis`."""
        return self._analysis(paper, analysis).get("analysis", analysis)

    def analysis_settings(self, paper: str, analysis: str) -> str:
        """Settings of an analysis, as JSON."""
        return canonical_json(self._analysis(paper, analysis)["settings"])

    @property
    def sections(self) -> list[str]:
        """What the catalog is divided into: the papers, and what is across them, if anything."""
        return list(self.catalog)

    def figures(self, *, comparison: bool = False) -> list[tuple[str, str]]:
        """(paper, figure) of every figure of a paper; with `comparison` also those across papers."""
        return [pair for pair in self._entries(comparison) if not is_table(pair[1])]

    def figure_files(self, paper: str) -> list[str]:
        """The files of all figures of a paper, or across papers."""
        figures = [name for owner, name in self.figures(comparison=True) if owner == paper]
        return [path for figure in figures for path in self.shown_files(paper, figure)]

    def figure_by_name(self, figure: str, ext: str) -> str:
        """The file of a figure that is named without its paper."""
        return self.paths.figure(*resolve(figure, self.catalog), ext)

    def tables(self, *, comparison: bool = False) -> list[tuple[str, str]]:
        """(paper, table) of every table of a paper; with `comparison` also those across papers."""
        return [pair for pair in self._entries(comparison) if is_table(pair[1])]

    def table_files(self, paper: str) -> list[str]:
        """The files of all tables of a paper, or across papers."""
        tables = [name for owner, name in self.tables(comparison=True) if owner == paper]
        return [path for table in tables for path in self.shown_files(paper, table)]

    def shown_files(self, paper: str, name: str) -> list[str]:
        """The files of a figure or table."""
        kind = "table" if is_table(name) else "figure"
        place = getattr(self.paths, kind)
        return [place(paper, name, ext) for ext in _EXTENSIONS[kind]]

    def table_by_name(self, table: str, ext: str) -> str:
        """The file of a table that is named without its paper."""
        return self.paths.table(*resolve(table, self.catalog, kind="table"), ext)

    def table_settings(self, paper: str, table: str) -> str:
        """A table's own settings, as JSON."""
        return canonical_json(self.config.papers.get(paper, {}).get("tables", {}).get(table, {}))

    def figure_inputs(self, paper: str, figure: str) -> dict[str, str]:
        """Files that a figure draws or a table lists, by name, in panel order."""
        entry = self.catalog[paper][figure]
        if entry["across"]:
            return self._compared(entry["across"])
        config = self.config.papers[paper]
        datasets = entry["datasets"] or list(config["datasets"])
        inputs = self._map_inputs(config, figure) if entry["maps"] else {}
        if entry["stimuli"]:
            inputs |= {dataset: self.images_of(paper, dataset) for dataset in datasets}
        if entry["published"]:
            published = self.folder / "config" / "published" / paper / entry["published"]
            inputs["published"] = os.path.relpath(published)
        single = len(entry["analyses"]) == 1 and not entry["per_run"] and not entry["maps"]
        for analysis in entry["analyses"]:
            for dataset in datasets:
                name = dataset if single else f"{dataset}.{analysis}"
                inputs[name] = self.paths.summary(paper, dataset, analysis)
        for analysis in entry["per_run"]:
            for dataset in datasets:
                inputs[f"{dataset}.{analysis}.runs"] = self.paths.metric(paper, dataset, analysis)
        return inputs

    def figure_arguments(self, paper: str, figure: str) -> list[str]:
        """The same as NAME=path arguments."""
        return [f"{name}={path}" for name, path in self.figure_inputs(paper, figure).items()]

    def figure_settings(self, paper: str, figure: str) -> str:
        """A figure's own drawing settings, as JSON."""
        settings = dict(self.config.papers.get(paper, {}).get("figures", {}).get(figure, {}))
        if self.catalog[paper][figure]["stimuli"]:
            # The noise that it shows is the one that networks see.
            noise = self.config.papers[paper]["evaluations"]["image_noise"]
            settings |= {name: noise[name] for name in _NOISE}
        # These choose the dumps of a figure of maps: they are its inputs.
        chosen = _MAP_CHOICE if self.catalog[paper][figure]["maps"] else ()
        return canonical_json({key: value for key, value in settings.items() if key not in chosen})

    # Claims

    def claimed_papers(self) -> list[str]:
        """Papers that have claims."""
        return [paper for paper in self.config.papers if claims_path(self.folder, paper).is_file()]

    def claims_file(self, paper: str) -> str:
        """Where a paper's claims are written."""
        return os.path.relpath(claims_path(self.folder, paper))

    def claims(self, paper: str) -> Claims:
        """A paper's claims, checked."""
        if paper not in self._claims:
            schema = self.folder / "config" / "schemas" / "claims.yaml"
            self._claims[paper] = load_claims(claims_path(self.folder, paper), self.config.papers[paper], schema)
        return self._claims[paper]

    def claims_inputs(self, paper: str) -> dict[str, str]:
        """Metric files that a paper's claims are tested on, by `<dataset>.<analysis>`."""
        return {
            f"{dataset}.{analysis}": self.paths.metric(paper, dataset, analysis)
            for dataset, analysis in self.claims(paper).files
        }

    def claims_arguments(self, paper: str) -> list[str]:
        """The same as KEY=path arguments."""
        return [f"{key}={path}" for key, path in self.claims_inputs(paper).items()]

    def claims_tables(self, paper: str) -> list[str]:
        """Files of published numbers that a paper's claims name."""
        return [os.path.relpath(path) for path in self.claims(paper).tables]

    def claims_settings(self, paper: str) -> str:
        """What the names in a paper's claims mean, as JSON."""
        config = self.config.papers[paper]
        return canonical_json(
            {
                "paper": paper,
                "datasets": dict.fromkeys(config["datasets"]),
                "conditions": {name: {"strengths": each["strengths"]} for name, each in config["conditions"].items()},
                "analyses": {name: {"analysis": self.analysis_module(paper, name)} for name in config["analyses"]},
            }
        )

    def claims_outputs(self, paper: str) -> dict[str, str]:
        """The files of a paper's ledger, by what they are."""
        return {name: self.paths.claims(paper, suffix) for name, suffix in _LEDGER.items()}

    def claims_files(self, paper: str) -> list[str]:
        """The files of a paper's ledger; none for a paper without claims."""
        return list(self.claims_outputs(paper).values()) if paper in self.claimed_papers() else []

    def check_claims(self) -> None:
        """Refuse claims that cannot be tested.

        Raises:
            TopoRepError: one line for each mistake in the files of claims.
        """
        for paper in self.claimed_papers():
            self.claims(paper)

    def _entries(self, comparison: bool) -> list[tuple[str, str]]:
        """(section, figure or table) of the papers, and with `comparison` also of what is across them."""
        sections = self.sections if comparison else self.config.papers
        return [(section, name) for section in sections for name in self.catalog[section]]

    def _compared(self, analyses: Iterable[str]) -> dict[str, str]:
        """Summaries of the analyses, of every paper that has them, by `<paper>.<dataset>.<analysis>`."""
        return {
            f"{paper}.{dataset}.{analysis}": self.paths.summary(paper, dataset, analysis)
            for analysis in analyses
            for paper, config in self.config.papers.items()
            if analysis in config["analyses"]
            for dataset in config["datasets"]
        }

    def _map_inputs(self, config: Mapping[str, Any], figure: str) -> dict[str, str]:
        choice = config["figures"][figure]
        runs = run_table(config, datasets=[choice["dataset"]], conditions=choice["conditions"])
        seeds = sorted({run.seed for run in runs})[: choice["models"]]
        return {
            f"{run.condition}_{run.strength:g}_seed{run.seed}": self.paths.activations(run)
            for run in runs
            if run.seed in seeds and run.strength in (0, *choice["strengths"])
        }

    # Rules

    def code_hash(self, command: str, *modules: str) -> str:
        """Hash of a command's code and of further modules that it finds by name."""
        try:
            return codehash.code_hash(f"toporep.cli.{command}", *modules)
        except ModuleNotFoundError as error:
            raise TopoRepError(f"{command}: {error}") from error

    def resource(self, stage: str, name: str, paper: str | None = None) -> int:
        """Threads, `mem_mb`, `runtime` (minutes) or `size_mb` of a stage's jobs; a paper may have its own."""
        resources = self.config.main["resources"][stage_of(stage)]
        return resources.get("papers", {}).get(paper, {}).get(name, resources[name])

    def gpu(self, stage: str) -> dict[str, int]:
        """`{"gpu": n}` if a stage's jobs ask for GPUs, else nothing."""
        count = self.resource(stage, "gpu")
        return {"gpu": count} if count else {}

    def planned(self, outputs: Iterable[str], *, gpus: int, minutes: float) -> Planned | None:
        """What a job would cost that writes these files; None for a job that makes nothing of its own.

        Args:
            outputs: of the job.
            gpus, minutes: that it declares. Its threads are those of the configuration: Snakemake counts no more than
                the cores that a dry run has.
        """
        parts = [os.path.relpath(path, self.config.root).split("/") for path in outputs]
        if not parts or len(parts[0]) == 1:
            return None
        folder, below = parts[0][0], parts[0][1:]
        stages = {"data": "prepare", "runs": "train", "metrics": "analysis", "figures": "figure", "tables": "table"}
        stage = stages.get(folder, stage_of(folder))
        if stage in ("figure", "table") and len(below) == 1:
            return None
        paper = below[0].split(".")[0].removesuffix("_points")
        paper = paper if paper in self.sections else SHARED
        # A training job writes three files a network, an evaluation one.
        files = len(parts) // 3 if stage == "train" else len(parts)
        declared = {"table": "figure", "claims": "analysis"}.get(stage, stage)
        threads = self.resource(declared, "threads", paper)
        # Declared for the paper's scale; that of a ledger is not worth a setting.
        size = 0 if stage == "claims" else self.resource(declared, "size_mb", paper) * files
        size = size if self.config.scale == "paper" else None
        networks = files if stage == "train" else 0
        return Planned(stage, paper, networks, gpus, threads, minutes, size)

    def audit(self, planned: Iterable[Planned | None]) -> str:
        """What a dry run says at its end of the jobs that would run."""
        jobs = [job for job in planned if job is not None]
        return audit_text(jobs, self.sections, scale=self.config.scale, root=self.config.root)

    def absent(self, outputs: Iterable[str]) -> list[str]:
        """What jobs that write these files would look for in vain: folders of images and weights, a line each."""
        registry = read_yaml(self.folder / "config" / "image_sets.yaml")
        folder = os.path.join(self.config.root, "features")
        sources = {Path(path).stem for path in outputs if os.path.dirname(path) == folder}
        wanted: dict[str, list[str]] = {}
        for source in sorted(sources):
            for part in registry["sources"][source]["parts"]:
                entry = registry["folders"].get(part.get("folder"))
                if entry:
                    wanted[entry["title"]] = [os.path.join(self.data_dir, entry["folder"])]
        for paper in self.config.papers.values() if sources else ():
            network = registry["networks"].get(paper.get("features", {}).get("network"), {"weights": []})
            if network["weights"]:
                below = [os.path.join(self.data_dir, network["folder"]), self.data_dir]
                files = [os.path.join(place, name) for name in network["weights"] for place in below]
                wanted[network["title"]] = files
        return [f"{title}: {paths[0]}" for title, paths in wanted.items() if not any(map(os.path.exists, paths))]

    def check_targets(self, targets: Iterable[str], *, rules: Iterable[str]) -> None:
        """Refuse a target that nothing makes, naming near ones.

        Args:
            targets: what the user asked for: files or rules.
            rules: names of all rules.

        Raises:
            TopoRepError: a figure or table that is not in the catalog, a file of another scale, an unknown name.
        """
        for target in targets:
            self._check_target(target, list(rules))

    def _check_target(self, target: str, rules: list[str]) -> None:
        path = os.path.normpath(target)
        hint = self._scale_hint(path) if path.startswith("results/") else None
        if hint:
            raise TopoRepError(f"target {target}: {hint}")
        for kind, extensions in _EXTENSIONS.items():
            folder = f"{self.config.root}/{kind}s/"
            if path.startswith(folder):
                name, dot, ext = path.removeprefix(folder).partition(".")
                resolve(name, self.catalog, kind=kind)
                if ext not in extensions:
                    found = f"found .{ext}" if dot else "found none"
                    raise TopoRepError(f"target {target}: expected one of .{', .'.join(extensions)}, {found}")
        for name, kind, known in self._names_in(path):
            if name not in known:
                raise TopoRepError(f"target {target}: unknown {kind} {name!r}{did_you_mean(name, known)}")
        if "/" not in path and path not in rules and not os.path.exists(path):
            known = {name: name for name in ("all", *self.sections)}
            files = {figure: self.paths.figure_alias(figure) for _, figure in self.figures(comparison=True)}
            files |= {table: self.paths.table_alias(table, "md") for _, table in self.tables(comparison=True)}
            near = [name for name in files if path.lower() in name.lower()]
            near = near or difflib.get_close_matches(path, [*known, *files], n=3, cutoff=0.4)
            names = [{**files, **known}[name] for name in near or known]
            raise TopoRepError(f"unknown target {target!r}; {'did you mean' if near else 'known'}: {', '.join(names)}")

    def _names_in(self, path: str) -> Iterator[tuple[str, str, Iterable[str]]]:
        """What the path of a ledger or a metric file consists of: a name, what it is of, and those that there are."""
        root = f"{self.config.root}/"
        papers = self.config.papers
        match path.removeprefix(root).split("/") if path.startswith(root) else ():
            case ["claims", file]:
                yield file.partition(".")[0].removesuffix("_points"), "paper", papers
            case ["metrics", paper, dataset, file]:
                yield paper, "paper", papers
                yield dataset, "dataset", papers[paper]["datasets"]
                yield file.partition(".")[0].removesuffix("_summary"), "analysis", papers[paper]["analyses"]

    def _scale_hint(self, path: str) -> str | None:
        """What to do about a file of another scale; None if the file is of this one."""
        scale = Path(path).parts[1]
        other = scale != self.config.scale and (self.folder / "config" / f"{scale}.yaml").is_file()
        if not other and path.startswith(f"{self.config.root}/"):
            return None
        here = f"this is scale {self.config.scale!r}, whose files lie in {self.config.root}/"
        if scale in ("figures", "tables"):
            return f"{here}; leave out --configfile for the paper's scale"
        return f"{here}; add --configfile config/{scale}.yaml" if other else here

    def _analysis(self, paper: str, analysis: str) -> Mapping[str, Any]:
        analyses = self.config.papers[paper]["analyses"]
        if analysis not in analyses:
            near = difflib.get_close_matches(analysis, analyses, n=3, cutoff=0.5)
            raise TopoRepError(f"{paper}: unknown analysis {analysis!r}; known: {', '.join(near or analyses)}")
        return analyses[analysis]


def _jobs(runs: list[Run], size: int, together: Callable[[Run], Hashable] | None = None) -> list[Job]:
    counts: dict[str, int] = {}
    jobs = []
    for group in group_runs(runs, size, together=together):
        mixed = len({run.condition for run in group}) > 1
        stem = f"{group[0].paper}_{group[0].dataset}_{'mixed' if mixed else group[0].condition}"
        counts[stem] = counts.get(stem, 0) + 1
        jobs.append(Job(f"{stem}_{counts[stem]:03d}", group))
    return jobs
