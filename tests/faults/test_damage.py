"""A file that is altered between two stages is refused by its next reader, or made again; then all is as before."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from small_world import (
    CATEGORY_METRIC,
    CATEGORY_WEIGHTS,
    CLAIMS,
    DUMP,
    FEATURES,
    FIGURE,
    IMAGES,
    METRIC,
    RESPONSES,
    ROOT,
    WEIGHTS,
    World,
)

pytestmark = pytest.mark.faults

SUMMARY = f"{ROOT}/metrics/truong2025/mnist/colocalization_summary.nc"
PROVENANCE = WEIGHTS.replace("weights.safetensors", "provenance.json")
# What is damaged, and what the next reader makes.
READERS = {
    "prepared images": (IMAGES, WEIGHTS),
    "features": (FEATURES, CATEGORY_WEIGHTS),
    "list of features": (FEATURES.replace(".npy", ".nc"), CATEGORY_WEIGHTS),
    "weights": (WEIGHTS, DUMP),
    "provenance": (PROVENANCE, DUMP),
    "dump": (DUMP, METRIC),
    "responses": (RESPONSES, CATEGORY_METRIC),
    "metrics": (METRIC, CLAIMS),
    "summary": (SUMMARY, FIGURE),
}


def cut_off(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip_a_byte(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x10]) + content[middle + 1 :]


def damage(path: Path, how: Callable[[bytes], bytes]) -> None:
    """Alter a file behind Snakemake's back: its time stays as it was."""
    found = path.stat()
    path.write_bytes(how(path.read_bytes()))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def refused(done: subprocess.CompletedProcess, name: str) -> None:
    assert done.returncode != 0, done.stdout
    told = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert len(told) == 1 and name in told[0], done.stdout
    assert "Traceback (most recent call last)" not in done.stdout


@pytest.mark.parametrize("how", [cut_off, flip_a_byte], ids=["cut off", "flipped byte"])
@pytest.mark.parametrize("kind", READERS)
def test_damage_is_told_by_the_next_reader(world: World, kind: str, how: Callable[[bytes], bytes]) -> None:
    name, reader = READERS[kind]
    world.path(reader).unlink()
    damage(world.path(name), how)
    refused(world.make_targets(reader), name)
    assert not world.path(reader).exists()
    assert [left for left in world.leftovers() if "/incomplete/" not in left] == []


def test_what_was_damaged_is_mended_by_removing_it(world: World, finished: World) -> None:
    for name, reader in READERS.values():
        world.path(name).unlink(missing_ok=True)
        world.path(reader).unlink(missing_ok=True)
    again = world.make_targets()
    assert again.returncode == 0, again.stdout
    assert world.digests() == finished.digests()
    assert world.leftovers() == []


def test_images_that_are_others_but_whole_are_told_from_those_of_the_training(world: World) -> None:
    """Prepared anew from altered raw data, with times that do not tell: the networks were trained on other images."""
    other = world.path(f"{ROOT}/data/objects.nc").read_bytes()
    kept = world.path(IMAGES).stat()
    world.path(IMAGES).write_bytes(other)
    os.utime(world.path(IMAGES), ns=(kept.st_atime_ns, kept.st_mtime_ns))
    world.path(DUMP).unlink()
    done = world.make_targets(DUMP)
    assert done.returncode != 0
    assert "was trained on other data (sha256" in done.stdout and "train it again" in done.stdout


def test_removing_a_damaged_file_makes_anew_what_is_above_it_alone(world: World, finished: World) -> None:
    for path in world.path(METRIC).parent.glob("morans_i*"):
        path.unlink()
    done = world.make_targets(METRIC, CLAIMS)
    assert done.returncode == 0
    assert "rule analysis" in done.stdout
    assert "rule activations" not in done.stdout and "rule train" not in done.stdout
    assert world.digests() == finished.digests()
