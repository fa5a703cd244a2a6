"""Activation dumps against a direct forward pass of a plain network, and what the command refuses."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from reference_models import REFERENCE, copy_weights
from safetensors.torch import load_file
from training_jobs import Job, make_job, tiny_images

from toporep.cli import activations
from toporep.data.images import save_images
from toporep.device import choose_device
from toporep.errors import TopoRepError
from toporep.io import read_dataset

MEAN, STD = 0.5, 0.25


def dump(job: Job, *, images: Path | None = None, std: float = STD, test_images: int | None = None, runs=None) -> None:
    channels = 1 if job.model == "MnistCNN" else 3
    evaluation = {"test_images": test_images, "mean": [MEAN] * channels, "std": [std] * channels}
    runs = [run.id for run in runs or job.runs]
    arguments = ["--runs", *runs, "--images", str(images or job.images), "--root", job.paths.root]
    arguments += ["--evaluation", json.dumps(evaluation), "--code-hash", "fedcba9876543210", "--device", "cpu"]
    assert activations.main(arguments) == 0


def reference_outputs(job: Job, run, *, std: float = STD) -> tuple[np.ndarray, np.ndarray]:
    net = copy_weights(REFERENCE[job.model](), load_file(job.paths.weights(run))).eval()
    images = torch.from_numpy(tiny_images(job.model).images_test).permute(0, 3, 1, 2).double()
    with torch.no_grad():
        logits, pre = net.double()((images / 255 - MEAN) / std)
    return pre.numpy(), logits.numpy()


def test_numbers_are_those_of_a_direct_forward_pass(job: Job) -> None:
    dump(job)
    for run in job.runs:
        dataset = read_dataset(job.paths.activations(run), "activations")
        pre, logits = reference_outputs(job, run)
        np.testing.assert_allclose(dataset["sheet_pre"].values, pre, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(dataset["logits"].values, logits, rtol=1e-4, atol=1e-5)
        assert (dataset["label"].values == tiny_images(job.model).label_test).all()
        assert (dataset["row"].values * 11 + dataset["col"].values == np.arange(121)).all()


def test_a_dump_holds_the_weights_around_the_sheet_and_the_training_history(job: Job) -> None:
    dump(job)
    for run in job.runs:
        dataset, weights = read_dataset(job.paths.activations(run), "activations"), load_file(job.paths.weights(run))
        parts = {"sheet_weight": "fc1.weight", "readout_weight": "fc2.weight", "readout_bias": "fc2.bias"}
        for name, parameter in parts.items():
            assert (dataset[name].values == weights[parameter].numpy()).all()
        assert "logits_standardized" not in dataset
        post = np.maximum(dataset["sheet_pre"].values, 0)
        logits = post @ dataset["readout_weight"].values.T + dataset["readout_bias"].values
        np.testing.assert_allclose(dataset["logits"].values, logits, rtol=1e-4, atol=1e-5)
        with open(job.paths.history(run), newline="") as file:
            rows = list(csv.DictReader(file))
        assert dataset["epoch"].values.tolist() == [int(row["epoch"]) for row in rows] == [0, 1]
        for row, values in zip(rows, dataset["history"].values, strict=True):
            expected = [float(row[name]) for name in dataset["quantity"].values]
            np.testing.assert_array_equal(values, expected)


def test_attributes_say_which_run_settings_and_data(job: Job) -> None:
    dump(job, runs=job.runs[:1])
    attributes = read_dataset(job.paths.activations(job.runs[0]), "activations").attrs
    provenance = json.loads(Path(job.paths.provenance(job.runs[0])).read_text())
    assert (attributes["condition"], attributes["strength"], attributes["seed"]) == ("ws", 0.5, 0)
    assert attributes["data_sha256"] == tiny_images(job.model).data_sha256
    assert attributes["config_sha256"] == provenance["config_sha256"]
    assert attributes["code_hash"] == "fedcba9876543210"
    assert attributes["training_code_hash"] == provenance["code_hash"]
    assert (attributes["training_mode"], attributes["training_stack_size"]) == ("solo", 1)
    config = json.loads(attributes["config"])
    assert config["training"]["train_images"] == 80 and config["evaluation"]["test_images"] is None


def test_the_same_weights_give_the_same_bytes(job: Job) -> None:
    dump(job)
    first = [Path(job.paths.activations(run)).read_bytes() for run in job.runs]
    dump(job)
    assert [Path(job.paths.activations(run)).read_bytes() for run in job.runs] == first


def test_test_images_may_be_capped_and_stretched(job: Job) -> None:
    dump(job, std=0.2, test_images=7)
    pre, _ = reference_outputs(job, job.runs[0], std=0.2)
    found = read_dataset(job.paths.activations(job.runs[0]), "activations")["sheet_pre"].values
    assert found.shape == (7, 121)
    np.testing.assert_allclose(found, pre[:7], rtol=1e-4, atol=1e-5)


def test_other_data_are_refused(job: Job, tmp_path: Path) -> None:
    other = tmp_path / "other.nc"
    save_images(tiny_images(job.model, seed=1), other)
    with pytest.raises(TopoRepError, match="seed0 was trained on other data .*train it again"):
        dump(job, images=other)
    assert not os.path.exists(job.paths.activations(job.runs[0]))


def test_an_untrained_run_is_refused(job: Job) -> None:
    shutil.rmtree(job.paths.run_dir(job.runs[0]))
    with pytest.raises(TopoRepError, match=r"provenance\.json: cannot be read .*; train truong2025/.*/seed0 first"):
        dump(job)


def test_a_damaged_provenance_is_refused(job: Job) -> None:
    path = Path(job.paths.provenance(job.runs[0]))
    path.write_text(path.read_text()[:-20])
    with pytest.raises(TopoRepError, match=r"provenance\.json: is no valid JSON"):
        dump(job)


def test_weights_of_another_run_are_refused(job: Job) -> None:
    shutil.copy(job.paths.weights(job.runs[1]), job.paths.weights(job.runs[0]))
    with pytest.raises(TopoRepError, match=r"holds the weights of truong2025/.*/control/0/seed1, expected .*ws"):
        dump(job)


def test_weights_of_another_training_are_refused(job: Job, tmp_path: Path) -> None:
    again = make_job(tmp_path / "again", [("ws", 0.5, 0)], model=job.model, epochs=2)
    assert again.train().status == 0
    shutil.copy(again.paths.weights(again.runs[0]), job.paths.weights(job.runs[0]))
    with pytest.raises(TopoRepError, match=r"not of the training that .*provenance\.json describes"):
        dump(job)


def test_damaged_weights_are_refused(job: Job) -> None:
    path = Path(job.paths.weights(job.runs[0]))
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(TopoRepError, match=r"weights\.safetensors: the tensors do not match the file's own checksum"):
        dump(job)


@pytest.mark.parametrize(
    "name, message", [("tpu", "expected auto, cpu or cuda, found 'tpu'"), ("cuda", "found no GPU")]
)
def test_a_device_that_is_not_there_is_refused(job: Job, name: str, message: str) -> None:
    if name == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(TopoRepError, match=message):
        choose_device(name)
