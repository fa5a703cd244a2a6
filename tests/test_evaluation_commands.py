"""The evaluations `tuning` and `image_noise` of trained networks against direct forward passes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from reference_models import REFERENCE, copy_weights
from safetensors.torch import load_file
from training_jobs import IMAGE, Job, tiny_images

from toporep.cli import image_noise, tuning
from toporep.errors import TopoRepError
from toporep.io import read_dataset
from toporep.stimuli.noise import add_noise
from toporep.stimuli.tuning import rings, wedges

MEAN, STD = 0.5, 0.25
TUNING = {
    "wedges": 36,
    "extent_deg": 40,
    "wedge_radius": 5,
    "ring_radii": [1, 2, 3, 5],
    "variants": ["hard", "antialiased", "area_normalized"],
}
NOISE = {
    "kinds": ["white", "salt_pepper"],
    "levels": [0.0, 0.2],
    "repetitions": 2,
    "seed": 0,
    "clip": True,
    "amplitude_exponent": 1.0,
    "replace": True,
    "test_images": None,
}


def constants(job: Job, std: float = STD) -> dict:
    channels = IMAGE[job.model][1]
    return {"mean": [MEAN] * channels, "std": [std] * channels}


def evaluate(command, job: Job, settings: dict, runs=None) -> None:
    arguments = ["--runs", *(run.id for run in runs or job.runs), "--images", str(job.images)]
    arguments += ["--root", job.paths.root, "--evaluation", json.dumps(settings), "--code-hash", "0" * 16]
    assert command.main([*arguments, "--device", "cpu"]) == 0


def reference(job: Job, run, images: np.ndarray, *, std: float = STD) -> tuple[np.ndarray, np.ndarray]:
    """(pre, logits) of a plain float64 network for (images, row, col, channel) in 0..1."""
    net = copy_weights(REFERENCE[job.model](), load_file(job.paths.weights(run))).eval().double()
    with torch.no_grad():
        logits, pre = net((torch.from_numpy(images).double().permute(0, 3, 1, 2) - MEAN) / std)
    return pre.numpy(), logits.numpy()


def test_tuning_is_the_response_to_wedges_and_rings(job: Job) -> None:
    evaluate(tuning, job, {**TUNING, **constants(job)})
    size, channels = IMAGE[job.model]
    for run in job.runs:
        found = read_dataset(job.paths.evaluation("tuning", run), "tuning")
        for index, variant in enumerate(TUNING["variants"]):
            shown = {
                "wedge_pre": wedges(size, extent_deg=40, radius=5, variant=variant),
                "ring_pre": rings(size, radii=TUNING["ring_radii"], variant=variant),
            }
            for name, stimuli in shown.items():
                pre, _ = reference(job, run, np.repeat(stimuli[..., None], channels, axis=-1))
                np.testing.assert_allclose(found[name].values[index], pre, rtol=1e-4, atol=1e-4)
        assert found["angle"].values.tolist() == [10.0 * step for step in range(36)]
        assert found["radius"].values.tolist() == TUNING["ring_radii"]
        assert (found.attrs["condition"], found.attrs["seed"]) == (run.condition, run.seed)


def test_correct_answers_are_counted_with_the_same_noise_for_all_networks(job: Job) -> None:
    normalizations = {"matched": constants(job), "mismatched": constants(job, std=0.2)}
    evaluate(image_noise, job, {**NOISE, "normalizations": normalizations})
    images = tiny_images(job.model)
    for run in job.runs:
        found = read_dataset(job.paths.evaluation("image_noise", run), "image_noise")
        assert found["normalization"].values.tolist() == ["matched", "mismatched"]
        assert found.attrs["n_stimuli"] == len(images.label_test)
        for row, std in enumerate((STD, 0.2)):
            for kind, level, repetition in np.ndindex(2, 2, 2):
                noisy = add_noise(
                    images.images_test, NOISE["kinds"][kind], NOISE["levels"][level], repetition=repetition
                )
                _, logits = reference(job, run, noisy, std=std)
                expected = (logits.argmax(axis=1) == images.label_test).sum()
                # A near tie may fall either way in float32.
                assert abs(found["correct"].values[row, kind, level, repetition] - expected) <= 1
        assert (found["correct"].values[:, :, 0] == found["clean_correct"].values[:, None, None]).all()


def test_counts_do_not_depend_on_the_batches(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {**NOISE, "normalizations": {"matched": constants(job)}}
    evaluate(image_noise, job, settings)
    whole = [read_dataset(job.paths.evaluation("image_noise", run), "image_noise") for run in job.runs]
    monkeypatch.setattr(image_noise, "_BATCH", 7)
    evaluate(image_noise, job, settings)
    for run, expected in zip(job.runs, whole, strict=True):
        found = read_dataset(job.paths.evaluation("image_noise", run), "image_noise")
        assert np.abs(found["correct"].values - expected["correct"].values).max() <= 1


def test_test_images_may_be_capped(job: Job) -> None:
    evaluate(image_noise, job, {**NOISE, "test_images": 9, "normalizations": {"matched": constants(job)}})
    found = read_dataset(job.paths.evaluation("image_noise", job.runs[0]), "image_noise")
    assert found.attrs["n_stimuli"] == 9 and found["correct"].values.max() <= 9


@pytest.mark.parametrize("command", [tuning, image_noise], ids=["tuning", "image_noise"])
def test_an_untrained_run_is_refused_before_anything_is_written(job: Job, command) -> None:
    shutil.rmtree(job.paths.run_dir(job.runs[1]))
    settings = {**TUNING, **constants(job)}
    if command is image_noise:
        settings = {**NOISE, "normalizations": {"matched": constants(job)}}
    with pytest.raises(TopoRepError, match=r"provenance\.json: cannot be read .*; train truong2025/.*/seed1 first"):
        evaluate(command, job, settings)
    name = command.__name__.rpartition(".")[2]
    assert not Path(job.paths.evaluation(name, job.runs[0])).exists()
