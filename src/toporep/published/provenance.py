"""What is published of each run: a line of `runs.csv`, from the run's own files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from toporep.config import canonical_json
from toporep.errors import TopoRepError
from toporep.runs import Paths, Run
from toporep.workflow import Job

COLUMNS = (
    *("run", "dataset", "condition", "strength", "seed", "device", "precision", "mode", "stack_size", "deterministic"),
    *("epochs", "train_images", "job_seconds", "job_cpu_seconds", "job_networks"),
    *("code_hash", "config_sha256", "data_sha256", "software"),
)
# What a run says that stands in a column of the same name.
_COPIED = ("device", "mode", "stack_size", "deterministic", "train_images", "code_hash", "config_sha256", "data_sha256")
# Of training settings without this choice: `toporep.device.set_precision`.
_FULL_PRECISION = "float32"


def precision_of(provenance: Mapping[str, Any]) -> str:
    """The precision that a network was trained in, one of `toporep.device.PRECISIONS`, by its run's own record."""
    training = provenance.get("settings", {}).get("training", {})
    return provenance.get("precision", training.get("precision", _FULL_PRECISION))


def read_provenance(paths: Paths, run: Run) -> dict[str, Any]:
    """What a trained run says of itself.

    Raises:
        TopoRepError: no such file, not JSON, of another run, or without something that is published.
    """
    path = paths.provenance(run)
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise TopoRepError(
            f"{path}: cannot be read ({error.strerror}); a metric file names this run, and without its provenance "
            "nothing of it can be published"
        ) from error
    except ValueError as error:
        raise TopoRepError(f"{path}: not JSON ({error}); train {run.id} again") from error
    missing = [name for name in ("run", "settings", "software", *_COPIED) if name not in content]
    if missing:
        raise TopoRepError(f"{path}: lacks {', '.join(missing)}; train {run.id} again")
    if content["run"] != run.id:
        raise TopoRepError(f"{path}: expected run {run.id}, found {content['run']}")
    return content


def row(paths: Paths, run: Run, provenance: Mapping[str, Any], job: Job | None) -> dict[str, str]:
    """The line of a run.

    Args:
        paths: of the results.
        run: which one.
        provenance: what it says of itself.
        job: that trains it under this configuration, for its time; None if there is no such job.
    """
    values: dict[str, Any] = {
        "run": run.id,
        "dataset": run.dataset,
        "condition": run.condition,
        "strength": f"{run.strength:g}",
        "seed": run.seed,
        "precision": precision_of(provenance),
        "epochs": _epochs(paths, run),
        "software": canonical_json(provenance["software"]),
        **{name: provenance[name] for name in _COPIED},
        **_job_time(paths, run, provenance, job),
    }
    return {name: _text(values[name]) for name in COLUMNS}


def to_csv(rows: Iterable[Mapping[str, str]]) -> str:
    """Lines of runs as a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_rows(path: str | Path) -> list[dict[str, str]]:
    """The lines of a CSV file of runs.

    Raises:
        TopoRepError: no such file, or other columns.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), tuple(reader.fieldnames or ())
    except OSError as error:
        raise TopoRepError(f"{path}: cannot be read ({error.strerror}); restore it with git") from error
    if columns != COLUMNS:
        raise TopoRepError(f"{path}: expected the columns {', '.join(COLUMNS)}, found {', '.join(columns)}")
    return rows


def _epochs(paths: Paths, run: Run) -> int:
    """Epochs made: the last one in the run's history."""
    path = paths.history(run)
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return max(int(float(line["epoch"])) for line in csv.DictReader(file))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise TopoRepError(f"{path}: cannot be read as a training history ({error}); train {run.id} again") from error


def _job_time(paths: Paths, run: Run, provenance: Mapping[str, Any], job: Job | None) -> dict[str, Any]:
    """Seconds of the job that trained a run and how many runs it trained; empty where nothing measured them."""
    folder = Path(paths.root) / "benchmarks" / "train"
    together = job is not None and len(job.runs) >= provenance["stack_size"]
    places: Sequence[tuple[Path, int]] = [(folder / f"{run}.tsv", 1)] if provenance["stack_size"] == 1 else []
    places = [*places, (folder / f"{job.name}.tsv", len(job.runs))] if together and job else places
    for path, networks in places:
        measured = _measured(path)
        if measured:
            return {**measured, "job_networks": networks}
    return {"job_seconds": "", "job_cpu_seconds": "", "job_networks": ""}


def _measured(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return {"job_seconds": rows[-1].get("s", ""), "job_cpu_seconds": rows[-1].get("cpu_time", "")} if rows else {}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
