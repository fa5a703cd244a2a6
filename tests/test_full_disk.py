"""What is written to a full disk, or one that cannot be written, is told in one line, and no part of it is left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from activation_dumps import make_dump
from data_files import subprocess_environment
from mounts import filled, read_only, small_disk

from toporep.errors import TopoRepError
from toporep.io import atomic_path, read_dataset, write_dataset, write_text

FULL = "No space left on device; make room"


@pytest.mark.parametrize("free_kib", [0, 4, 16, 64])
def test_netcdf_that_does_not_fit_is_not_there(tmp_path: Path, free_kib: int) -> None:
    """From no room for the name of the file to room for nearly all of it; the library itself says "HDF error"."""
    activations = np.random.default_rng(0).standard_normal((500, 121)).astype(np.float32)
    dump = make_dump("ws", 0.1, 0, grid=(11, 11), activations=activations)
    with small_disk(tmp_path / "disk", kib=1024) as disk:
        with filled(disk, free_kib=free_kib):
            with pytest.raises(TopoRepError, match=rf"dump\.nc: cannot be written: {FULL}"):
                write_dataset(dump, disk / "dump.nc", "activations")
            assert os.listdir(disk) == ["filler"]
        write_dataset(dump, disk / "dump.nc", "activations")
        assert read_dataset(disk / "dump.nc", "activations").equals(dump)


def test_an_old_file_stays_whole_where_the_new_one_does_not_fit(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", kib=256) as disk:
        write_text(disk / "ledger.csv", "old\n")
        with filled(disk, free_kib=8):
            with pytest.raises(TopoRepError, match=rf"ledger\.csv: cannot be written: {FULL}"):
                write_text(disk / "ledger.csv", "new\n" * 10_000)
            assert sorted(os.listdir(disk)) == ["filler", "ledger.csv"]
        assert (disk / "ledger.csv").read_text() == "old\n"


def test_features_that_do_not_fit_are_told_and_not_a_bus_error(tmp_path: Path) -> None:
    """They are written to a map of the file, where the operating system kills a process that finds no room."""
    settings = (
        '{"network": "gabor", "size": 64, "resize": 64, "crop": "center", "area": [1, 1], "aspect": [1, 1], '
        '"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "seed": 0, "crops": 1, "max_unreadable": 0}'
    )
    with small_disk(tmp_path / "disk", kib=64) as disk:
        command = [sys.executable, "-m", "toporep.cli.features", "--source", "rendered_faces", "--features", settings]
        command += ["--output", str(disk / "faces.nc"), "--array", str(disk / "faces.npy")]
        done = subprocess.run(command, env=subprocess_environment(), capture_output=True, text=True)
        assert done.returncode == 1, done.stderr
        assert done.stderr == f"error: {disk}/faces.npy: cannot be written: {FULL} and give the same command again\n"
        assert os.listdir(disk) == []


def test_a_disk_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    with (
        read_only(tmp_path / "disk") as disk,
        pytest.raises(TopoRepError, match=r"ledger\.csv: cannot be written: Read-only file system; mount it"),
    ):
        write_text(disk / "ledger.csv", "new\n")


@pytest.mark.parametrize("error", [RuntimeError("a GPU is out of memory"), FileNotFoundError(2, "No such file")])
def test_other_errors_are_not_taken_for_a_full_disk(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)), atomic_path(tmp_path / "file"):
        raise error
    assert os.listdir(tmp_path) == []


def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    path = tmp_path / "dump.nc"
    killed = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], env=subprocess_environment())
    assert killed.wait() == -9
    assert len(os.listdir(tmp_path)) == 1
    with atomic_path(path) as living, atomic_path(path) as other:
        assert sorted(os.listdir(tmp_path)) == sorted([living.name, other.name])
        living.write_text("living")
        other.write_text("other")
    assert os.listdir(tmp_path) == ["dump.nc"]
    assert path.read_text() == "living"


KILLED = """
import os, signal, sys
from toporep.io import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
