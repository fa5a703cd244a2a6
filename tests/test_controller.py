"""Locks of killed Snakemakes are removed; those of living ones, and of ones that cannot be known dead, are not."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from data_files import subprocess_environment

CLAIM = "import sys; from toporep.controller import claim; print(claim(sys.argv[1]), flush=True); sys.stdin.read()"


@contextlib.contextmanager
def controller(folder: Path) -> Iterator[tuple[subprocess.Popen, bool]]:
    """A process that has claimed the folder and lives on; and whether it removed locks."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLAIM, str(folder)],
        env=subprocess_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, process.stdout.readline() == "True\n"
    finally:
        process.kill()
        process.communicate()


def lock(folder: Path) -> Path:
    """Lock files as Snakemake does."""
    file = folder / "locks" / "0.output.lock"
    file.parent.mkdir(parents=True)
    file.write_text("results/figures/fig6_colocalization.pdf\n", encoding="utf-8")
    return file


def test_locks_of_a_killed_command_are_removed(tmp_path: Path) -> None:
    with controller(tmp_path) as (process, removed):
        assert not removed
        file = lock(tmp_path)
        process.kill()
        process.wait()
    with controller(tmp_path) as (_, removed):
        assert removed
    assert not file.exists()


def test_locks_of_a_living_command_are_left_by_any_number_of_others(tmp_path: Path) -> None:
    with controller(tmp_path) as (first, _):
        file = lock(tmp_path)
        with controller(tmp_path) as (_, second), controller(tmp_path) as (_, third):
            assert (second, third) == (False, False)
            first.kill()
            first.wait()
            # The locks may be those of the second by now.
            with controller(tmp_path) as (_, fourth):
                assert not fourth
        assert file.exists()


@pytest.mark.parametrize("host", ["another-host", ""])
def test_locks_of_another_host_are_left(tmp_path: Path, host: str) -> None:
    with controller(tmp_path):
        pass
    (tmp_path / "controller.lock").write_text(host, encoding="utf-8")
    file = lock(tmp_path)
    with controller(tmp_path) as (_, removed):
        assert not removed
    assert file.exists()


def test_a_folder_that_cannot_be_made_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with controller(tmp_path / "file" / "below") as (process, removed):
        assert process.poll() is None
        assert not removed
