"""A file with a flipped byte, or cut off, is refused by name or read as it was written; nothing between."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import xarray as xr
from activation_dumps import make_dump

from toporep.analyses.dumps import read_dump
from toporep.errors import TopoRepError
from toporep.io import check_unaltered, read_dataset, write_dataset

# Bytes of the checksum, with what announces it.
SEAL = 80


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "dump.nc"
    write_dataset(make_dump("ws", 0.5, 1), path, "activations")
    return path


def reads_as_written(path: Path, whole: Path) -> bool:
    """Whether a file is read, and then is the same in values, coordinates and attributes; False if it is refused."""
    try:
        found = read_dataset(path, "activations")
    except TopoRepError as error:
        assert str(error).startswith(f"{path}: cannot be read as netCDF")
        assert str(error).endswith("make it again")
        return False
    assert found.identical(read_dataset(whole, "activations"))
    return True


def test_a_flipped_bit_anywhere_is_found_before_the_library_reads_it(dump: Path, tmp_path: Path) -> None:
    """Without the checksum 15 of 2,000 flips in files of five kinds changed a value or an attribute unnoticed."""
    content, generator = dump.read_bytes(), random.Random(0)
    end = len(content) - SEAL
    for position in [*(generator.randrange(end) for _ in range(300)), 0, end - 1]:
        flipped = bytearray(content)
        flipped[position] ^= 1 << generator.randrange(8)
        (tmp_path / "dump.nc").write_bytes(flipped)
        assert not reads_as_written(tmp_path / "dump.nc", dump), position


def test_a_flipped_bit_of_the_checksum_is_refused_or_does_no_harm(dump: Path, tmp_path: Path) -> None:
    content, refused = dump.read_bytes(), 0
    for position in range(len(content) - SEAL, len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1
        (tmp_path / "dump.nc").write_bytes(flipped)
        refused += not reads_as_written(tmp_path / "dump.nc", dump)
    assert refused == 64


def test_a_file_cut_off_anywhere_is_refused(dump: Path, tmp_path: Path) -> None:
    content = dump.read_bytes()
    end = len(content) - SEAL
    for size in [*range(0, end, len(content) // 40), end - 1]:
        (tmp_path / "dump.nc").write_bytes(content[:size])
        assert not reads_as_written(tmp_path / "dump.nc", dump), size
    # Of a part of the checksum nothing depends.
    (tmp_path / "dump.nc").write_bytes(content[:-40])
    assert reads_as_written(tmp_path / "dump.nc", dump)


def test_other_readers_do_not_see_the_checksum(dump: Path) -> None:
    assert xr.load_dataset(dump).identical(read_dataset(dump, "activations"))


def test_a_file_of_an_earlier_version_has_no_checksum_and_is_read(dump: Path, tmp_path: Path) -> None:
    (tmp_path / "dump.nc").write_bytes(dump.read_bytes()[:-SEAL])
    check_unaltered(tmp_path / "dump.nc")
    assert read_dump(tmp_path / "dump.nc").run == ("ws", 0.5, 1)
