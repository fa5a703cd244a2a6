"""A results folder that cannot be written, or whose times are from the future, is told before anything is made."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from mounts import filled, read_only, small_disk

from toporep.errors import TopoRepError
from toporep.results_folder import check_clock, check_writable


def write(path: Path, *, ahead: float = 0) -> None:
    """Write a file whose time is so many seconds from now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (time.time() + ahead,) * 2)


def test_a_folder_that_can_be_written_is_left_as_it_is(tmp_path: Path) -> None:
    check_writable(tmp_path / "results" / "demo")
    assert list((tmp_path / "results" / "demo").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    with (
        read_only(tmp_path / "results") as folder,
        pytest.raises(TopoRepError, match=r"results/demo: results cannot be written: Read-only file system; mount it"),
    ):
        check_writable(folder / "demo")


def test_a_full_disk_is_refused(tmp_path: Path) -> None:
    with small_disk(tmp_path / "results", kib=256) as folder:
        with (
            filled(folder, free_kib=16),
            pytest.raises(TopoRepError, match="results cannot be written: No space left on device; make room"),
        ):
            check_writable(folder)
        assert list(folder.iterdir()) == []
        check_writable(folder)


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results").touch()
    with pytest.raises(TopoRepError, match="results/demo: results cannot be written: Not a directory"):
        check_writable(tmp_path / "results" / "demo")


def test_results_of_the_past_are_taken(tmp_path: Path) -> None:
    check_clock(tmp_path / "nothing yet")
    write(tmp_path / "data" / "digits.nc", ahead=-3600)
    write(tmp_path / "data" / "sprites.nc", ahead=60)  # a file server's clock
    check_clock(tmp_path)


def test_results_of_the_future_are_refused_and_the_remedy_helps(tmp_path: Path) -> None:
    write(tmp_path / "data" / "digits.nc")
    write(tmp_path / "metrics" / "a.nc", ahead=1000)
    write(tmp_path / "metrics" / "b.nc", ahead=3 * 3600 + 60)
    with pytest.raises(
        TopoRepError, match=r"metrics/b\.nc: is 3 hours from the future, as 2 files of .*: what"
    ) as told:
        check_clock(tmp_path)
    assert os.system(str(told.value).rpartition("If it is right: ")[2]) == 0
    check_clock(tmp_path)


def test_logs_and_states_of_the_future_do_not_matter(tmp_path: Path) -> None:
    for name in ("logs/train.log", "benchmarks/train.tsv", "state/truong2025/epoch-00001.safetensors"):
        write(tmp_path / name, ahead=9999)
    check_clock(tmp_path)


def test_looking_at_ten_thousand_results_takes_less_than_a_second(tmp_path: Path) -> None:
    for folder in range(100):
        (tmp_path / str(folder)).mkdir()
        for file in range(100):
            (tmp_path / str(folder) / str(file)).touch()
    before = time.process_time()
    check_clock(tmp_path)
    assert time.process_time() - before < 1
