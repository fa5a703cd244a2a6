"""A run whose loss is no longer a number stops with a clear message and leaves no results; the others go on."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import training_jobs as jobs
from safetensors.torch import load_file
from training_jobs import FILES, digest, make_job

# λ times a WS term near 0.8 is too large for float32.
OVERFLOW = 1e39
both_modes = pytest.mark.parametrize("mode", ["solo", "stacked"])


@both_modes
def test_a_strength_too_large_for_float32_stops_the_run_alone(tmp_path: Path, mode: str) -> None:
    job = make_job(tmp_path, [("ws", 0.5, 0), ("ws", OVERFLOW, 0), ("control", 0, 1)], mode=mode)
    ended = job.train()
    bad = job.runs[1]
    assert ended.status == 1
    assert "Traceback" not in ended.stderr
    assert "error: 1 of 3 runs stopped" in ended.stderr
    assert f"{bad.id}: the loss became inf at epoch 1, step 1 (condition ws, strength 1e+39, seed 0)" in ended.stderr
    assert not Path(job.paths.run_dir(bad)).exists()
    for run in (job.runs[0], job.runs[2]):
        assert set(job.bytes(run)) == set(FILES)


@both_modes
def test_a_run_that_diverges_later_keeps_its_last_state(tmp_path: Path, mode: str) -> None:
    job = make_job(tmp_path, [("control", 0, 0), ("ws", 0.5, 0), ("as", 2, 1)], mode=mode)
    ended = job.train(functools.partial(jobs.poison, 0.5, epoch=3, step=2))
    bad = job.runs[1]
    assert ended.status == 1
    assert f"{bad.id}: the loss became nan at epoch 3, step 2 (condition ws, strength 0.5, seed 0)" in ended.stderr
    assert f"kept in {job.paths.state_dir(bad)}" in ended.stderr
    assert job.states(bad)[-1].name == "epoch-00002.safetensors"
    assert all(tensor.isfinite().all() for tensor in load_file(job.states(bad)[-1]).values())
    assert not Path(job.paths.run_dir(bad)).exists()
    for run in (job.runs[0], job.runs[2]):
        assert set(job.bytes(run)) == set(FILES)


def test_the_other_runs_of_a_sequence_are_as_if_nothing_had_happened(tmp_path: Path) -> None:
    disturbed = make_job(tmp_path / "disturbed", [("ws", OVERFLOW, 0), ("ws", 0.5, 0)])
    alone = make_job(tmp_path / "alone", [("ws", 0.5, 0)])
    assert (disturbed.train().status, alone.train().status) == (1, 0)
    run = alone.runs[0]
    assert digest(disturbed.bytes(run)) == digest(alone.bytes(run))


@both_modes
def test_the_finished_runs_of_a_failed_job_are_not_trained_again(tmp_path: Path, mode: str) -> None:
    """Snakemake removes what a failed job has written; the states still hold the finished runs."""
    job = make_job(tmp_path, [("ws", 0.5, 0), ("control", 0, 0)], mode=mode)
    job.train(functools.partial(jobs.poison, 0.5, epoch=3, step=2))
    control = job.runs[1]
    expected = job.bytes(control)
    for name in FILES:
        Path(job.paths.run_dir(control), name).unlink()
    job.runs = [control]
    assert job.train(functools.partial(jobs.kill_at_step, 1)).status == 0
    assert job.bytes(control)["weights.safetensors"] == expected["weights.safetensors"]
    assert job.bytes(control)["history.csv"] == expected["history.csv"]


def test_weights_spoilt_by_the_very_last_update_are_not_written(tmp_path: Path) -> None:
    """No later step would show it: the loss of the last step was still a number."""
    job = make_job(tmp_path, [("ws", 0.5, 0)])
    ended = job.train(functools.partial(jobs.spoil_last_update, 0.5))
    assert ended.status == 1
    assert "the weights became nan at epoch 3, step 4 (condition ws, strength 0.5, seed 0)" in ended.stderr
    assert not Path(job.paths.run_dir(job.runs[0])).exists()
    assert [path.name for path in job.states(job.runs[0])] == ["epoch-00001.safetensors", "epoch-00002.safetensors"]
