"""A run ends at the same bytes, however often it was killed and wherever; two processes do not train one run."""

from __future__ import annotations

import csv
import functools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import training_jobs as jobs
from data_files import subprocess_environment
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from training_jobs import FILES, Job, digest, make_job

SOLO = [("ws", 0.5, 0), ("control", 0, 0)]
STACK = [("ws", 0.5, 0), ("control", 0, 0), ("as", 0.5, 1)]
STEPS = 4  # per epoch: 80 images in batches of 24


@pytest.fixture(scope="module")
def solo(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return finished(make_job(tmp_path_factory.mktemp("solo"), SOLO))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return finished(make_job(tmp_path_factory.mktemp("stack"), STACK, mode="stacked"))


def finished(job: Job) -> Job:
    ended = job.train()
    assert ended.status == 0, ended.stderr
    return job


def assert_same_outputs(job: Job, expected: Job) -> None:
    for run in expected.runs:
        assert digest(job.bytes(run)) == digest(expected.bytes(run)), run.id
        assert set(job.bytes(run)) == set(FILES)


def assert_nothing_left(job: Job) -> None:
    assert not Path(job.paths.root, "state").exists()
    assert not [path for path in Path(job.paths.root).rglob("*") if path.name.endswith(".part")]


def test_no_state_is_left_after_the_end(solo: Job, stack: Job) -> None:
    assert_nothing_left(solo)
    assert_nothing_left(stack)


def test_the_same_run_in_two_processes_gives_the_same_bytes(tmp_path: Path, solo: Job) -> None:
    """One more process, started as a user starts it, with another seed of Python's own hashes."""
    job = make_job(tmp_path, SOLO)
    environment = {**subprocess_environment(), "PYTHONHASHSEED": "12345", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "toporep.cli.train", *job.arguments()]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    assert_same_outputs(job, solo)


@pytest.mark.parametrize(
    "hook",
    [
        functools.partial(jobs.kill_at_step, 1),
        functools.partial(jobs.kill_at_step, STEPS + 3),
        functools.partial(jobs.kill_at_step, 4 * STEPS + 1),  # in the second run
        functools.partial(jobs.kill_before_state, 1),
        functools.partial(jobs.kill_before_state, 2),
        functools.partial(jobs.kill_inside_state, 1),
        functools.partial(jobs.kill_inside_state, 3),
        jobs.kill_before_outputs,
        jobs.kill_between_outputs,
    ],
    ids=lambda hook: f"{getattr(hook, 'func', hook).__name__}-{'-'.join(map(str, getattr(hook, 'args', ())))}",
)
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path: Path, solo: Job, hook) -> None:
    job = make_job(tmp_path, SOLO)
    assert job.train(hook).status == -signal.SIGKILL
    assert any(job.bytes(run) != solo.bytes(run) for run in job.runs)
    finished(job)
    assert_same_outputs(job, solo)
    assert_nothing_left(job)


def test_a_run_killed_at_random_moments_goes_on_to_the_same_bytes(tmp_path: Path, solo: Job) -> None:
    """Nothing is known about the moment but that it comes; many attempts, each from what the last one left."""
    generator, killed = random.Random(0), 0
    job = make_job(tmp_path / "timed", SOLO)
    started = time.monotonic()
    finished(job)
    whole = time.monotonic() - started
    job = make_job(tmp_path, SOLO)
    for _ in range(12):
        child = job.start()
        child.process.join(generator.random() * 0.6 * whole)
        if child.process.is_alive():
            child.process.kill()
            killed += 1
        child.wait()
    assert killed
    finished(job)
    assert_same_outputs(job, solo)
    assert_nothing_left(job)


def test_a_resumed_run_repeats_no_finished_epoch(tmp_path: Path) -> None:
    job = make_job(tmp_path, SOLO[:1])
    job.train(functools.partial(jobs.kill_at_step, 2 * STEPS + 1))
    assert "going on after epoch 2 of 3" in job.train(functools.partial(jobs.kill_at_step, STEPS + 1)).stderr
    assert set(job.bytes(job.runs[0])) == set(FILES)  # one epoch was enough


@pytest.mark.parametrize("files", [2, 4, 5, 6])
def test_a_killed_stack_goes_on_to_the_same_bytes(tmp_path: Path, stack: Job, files: int) -> None:
    """Killed between the state files of its three runs, so that the runs stand an epoch apart or one has none."""
    job = make_job(tmp_path, STACK, mode="stacked")
    assert job.train(functools.partial(jobs.kill_before_state, files)).status == -signal.SIGKILL
    assert sum(len(job.states(run)) for run in job.runs) == files - 1
    ended = job.train()
    assert ended.status == 0, ended.stderr
    if files > 3:
        assert "stack of 3: going on after epoch 1 of 3" in ended.stderr
        assert_same_outputs(job, stack)
    else:
        # Some runs have no state at all, and the stack splits: see the next test for its numbers.
        assert all(set(job.bytes(run)) == set(FILES) for run in job.runs)
    assert_nothing_left(job)


def test_a_stack_splits_where_a_run_has_lost_its_state(tmp_path: Path, stack: Job) -> None:
    job = make_job(tmp_path, STACK, mode="stacked")
    job.train(functools.partial(jobs.kill_at_step, 2 * STEPS + 1))
    for path in job.states(job.runs[1]):
        path.unlink()
    ended = job.train()
    assert ended.status == 0, ended.stderr
    assert "stack of 2: going on after epoch 2 of 3" in ended.stderr
    for run in job.runs:
        found, expected = (history(one, run) for one in (job, stack))
        assert len(found) == len(expected) == 4
        for row, expected_row in zip(found, expected, strict=True):
            assert row == pytest.approx(expected_row, rel=1e-3, abs=1e-3, nan_ok=True)


def history(job: Job, run) -> list[dict[str, float]]:
    with open(job.paths.history(run), encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def fill_with_text(path: Path) -> None:
    path.write_bytes(b"not a state" * 1000)


def other_identity(path: Path) -> None:
    """A state that is whole, but of other settings: the weights differ, the metadata say so."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = {name: tensor * 2 for name, tensor in load_file(path).items()}
    identity = metadata["toporep"].split('"identity": "')[1][:64]
    save_file(tensors, path, metadata={"toporep": metadata["toporep"].replace(identity, "f" * 64)})


@pytest.mark.parametrize(
    "damage, which",
    [
        (cut_off, "last"),
        (flip_a_byte, "last"),
        (flip_a_byte, "all"),
        (empty, "last"),
        (fill_with_text, "all"),
        (other_identity, "last"),
        (other_identity, "all"),
    ],
)
def test_a_damaged_or_foreign_state_is_not_used(tmp_path: Path, solo: Job, damage, which: str) -> None:
    job = make_job(tmp_path, SOLO[:1])
    job.train(functools.partial(jobs.kill_at_step, 2 * STEPS + 1))
    states = job.states(job.runs[0])
    assert [path.name for path in states] == ["epoch-00001.safetensors", "epoch-00002.safetensors"]
    for path in states[-1:] if which == "last" else states:
        damage(path)
    ended = job.train()
    assert ended.status == 0, ended.stderr
    assert ("going on after epoch 1 of 3" in ended.stderr) == (which == "last")
    assert digest(job.bytes(job.runs[0])) == digest(solo.bytes(job.runs[0]))


def test_a_state_of_other_settings_is_not_used(tmp_path: Path, solo: Job) -> None:
    job = make_job(tmp_path, SOLO[:1], learning_rate=0.01)
    job.train(functools.partial(jobs.kill_at_step, 2 * STEPS + 1))
    job.training = {}
    assert "going on" not in job.train().stderr
    assert digest(job.bytes(job.runs[0])) == digest(solo.bytes(job.runs[0]))


def test_a_state_of_the_other_mode_is_not_used(tmp_path: Path, solo: Job) -> None:
    """Rounding differs between the modes: a run must not be half of the one and half of the other."""
    job = make_job(tmp_path, SOLO[:1], mode="stacked")
    job.train(functools.partial(jobs.kill_at_step, 2 * STEPS + 1))
    job.mode = "solo"
    assert "going on" not in job.train().stderr
    assert digest(job.bytes(job.runs[0])) == digest(solo.bytes(job.runs[0]))


def test_a_second_process_waits_and_finds_nothing_to_do(tmp_path: Path, solo: Job) -> None:
    job, gate = make_job(tmp_path, SOLO), tmp_path / "gate"
    first = job.start(functools.partial(jobs.wait_at_step, 2, str(gate)))
    first.wait_for(lambda: Path(f"{gate}.reached").exists())
    second = job.start(functools.partial(jobs.kill_at_step, 1))  # it would die if it trained
    second.wait_for(lambda: "waiting: another process holds" in second.stderr)
    assert not any(job.bytes(run) for run in job.runs)
    gate.touch()
    assert first.wait().status == 0
    written = {run: os.stat(job.paths.provenance(run)).st_mtime_ns for run in job.runs}
    ended = second.wait()
    assert ended.status == 0, ended.stderr
    assert "0 runs" in ended.stderr and "2 already done" in ended.stderr
    assert {run: os.stat(job.paths.provenance(run)).st_mtime_ns for run in job.runs} == written
    assert_same_outputs(job, solo)
    assert_nothing_left(job)


def test_a_waiting_process_takes_over_from_a_killed_one(tmp_path: Path, solo: Job) -> None:
    job, gate = make_job(tmp_path, SOLO), tmp_path / "gate"
    first = job.start(functools.partial(jobs.wait_at_step, STEPS + 2, str(gate)))
    first.wait_for(lambda: Path(f"{gate}.reached").exists())
    second = job.start()
    second.wait_for(lambda: "waiting: another process holds" in second.stderr)
    first.process.kill()
    ended = second.wait()
    assert ended.status == 0, ended.stderr
    assert "going on after epoch 1 of 3" in ended.stderr
    assert_same_outputs(job, solo)


def test_many_processes_make_and_remove_the_same_folders(tmp_path: Path) -> None:
    """Each holder removes the folders it leaves empty, parents too, while others are making theirs."""
    children = [jobs.forkserver.Process(target=hold_repeatedly, args=(str(tmp_path / "state"), i)) for i in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 4
    assert not (tmp_path / "state").exists()


def hold_repeatedly(root: str, number: int) -> None:
    """Hold a folder shared by all and one of its own, and see that nobody else is in the shared one."""
    from toporep.train.state import exclusive

    sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for _ in range(150):
        with exclusive([f"{root}/paper/shared/seed0", f"{root}/paper/own{number}/seed0"]):
            handle = os.open(f"{root}/paper/shared/inside", os.O_CREAT | os.O_EXCL)
            os.close(handle)
            os.unlink(f"{root}/paper/shared/inside")
        time.sleep(0)


def test_a_stack_has_a_state_for_each_run(tmp_path: Path) -> None:
    """A stack's states are those of its runs, so that it can be split, and are named as those of a single network."""
    job = make_job(tmp_path, STACK, mode="stacked")
    job.train(functools.partial(jobs.kill_at_step, STEPS + 1))
    for run in job.runs:
        (path,) = job.states(run)
        tensors = load_file(path)
        assert tensors["model.fc1.weight"].shape == tensors["exp_avg_sq.fc1.weight"].shape == (121, 64)
        assert tensors["model.fc1.weight"].dtype == torch.float32
