"""Files beside the weights of a run that were altered are refused by name before anything is evaluated."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from training_jobs import Job

from toporep.cli import activations
from toporep.errors import TopoRepError

SETTINGS = {"test_images": None, "mean": [0.5], "std": [0.25]}


def evaluate(job: Job) -> None:
    channels = 1 if job.model == "MnistCNN" else 3
    settings = {**SETTINGS, **{name: SETTINGS[name] * channels for name in ("mean", "std")}}
    arguments = ["--runs", *(run.id for run in job.runs), "--images", str(job.images), "--root", job.paths.root]
    activations.main([*arguments, "--evaluation", json.dumps(settings), "--code-hash", "0" * 16, "--device", "cpu"])


@pytest.mark.parametrize("key", ["settings", "data_sha256", "code_hash", "identity"])
def test_a_provenance_that_was_altered_is_refused(job: Job, key: str) -> None:
    path = Path(job.paths.provenance(job.runs[1]))
    text = json.loads(path.read_text(encoding="utf-8"))
    if key == "settings":
        text["settings"]["training"]["learning_rate"] = 0.002
    else:
        text[key] = text[key][:-1] + ("0" if text[key][-1] != "0" else "1")
    path.write_text(json.dumps(text), encoding="utf-8")
    with pytest.raises(TopoRepError, match=r"provenance\.json: altered since it was written; remove it and train"):
        evaluate(job)
    assert not Path(job.paths.evaluation("activations", job.runs[0])).exists()


def test_a_provenance_that_is_no_text_is_refused(job: Job) -> None:
    path = Path(job.paths.provenance(job.runs[0]))
    path.write_bytes(path.read_bytes().replace(b"software", b"soft\xffare"))
    with pytest.raises(TopoRepError, match=r"provenance\.json: is no valid JSON"):
        evaluate(job)


def test_a_history_that_is_no_table_of_numbers_is_refused(job: Job) -> None:
    path = Path(job.paths.history(job.runs[0]))
    with path.open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    path.write_text(
        path.read_text(encoding="utf-8").replace(rows[1][1], rows[1][1].replace(".", "/")), encoding="utf-8"
    )
    with pytest.raises(TopoRepError, match=r"history\.csv: cannot be read as a training history"):
        evaluate(job)
