"""Fixtures of several test modules."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from training_jobs import Job


@pytest.fixture(scope="session", params=["MnistCNN", "CifarCNN"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A network with weight similarity and a control, trained for one epoch on images of a few pixels."""
    from training_jobs import make_job

    runs = [("ws", 0.5, 0), ("control", 0, 1)]
    job = make_job(tmp_path_factory.mktemp("trained"), runs, model=request.param, epochs=1)
    ended = job.train()
    assert ended.status == 0, ended.stderr
    return job


@pytest.fixture
def job(trained: Job, tmp_path: Path, restore_torch: None) -> Job:
    """A copy of the trained runs that a test may damage."""
    from training_jobs import Job

    shutil.copytree(trained.folder, tmp_path / "job")
    return Job(tmp_path / "job", trained.model, trained.runs, trained.mode, trained.training)


@pytest.fixture
def restore_torch() -> Iterator[None]:
    """Undo what a command that runs in the test's own process sets: threads, and errors at nondeterministic kernels."""
    import torch

    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("default")
