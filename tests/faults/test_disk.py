"""A disk that is full at any stage, and results that cannot be written: one error, then the same command ends right."""

from __future__ import annotations

import shutil

import pytest
from mounts import filled, needs_mounts, read_only, small_disk
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
    TARGETS,
    WEIGHTS,
    World,
)

pytestmark = pytest.mark.faults

_DISK_KIB = 100_000
# Room for logs and folders, and for the first bytes of what is written.
_LEAST_KIB = 72
# Less than a command asks for before it starts: the ledger is small.
_TOO_LITTLE_KIB = 16
# What is asked for, and what is removed before.
STAGES = {
    "prepared images": (IMAGES, "data/digits.nc"),
    "features": (FEATURES, "features/rendered_training.*"),
    "training": (WEIGHTS, "runs/truong2025/mnist/**/*"),
    "training on features": (CATEGORY_WEIGHTS, "runs/keller2021_category/**/*"),
    "dumps": (DUMP, "activations/truong2025/mnist/**/*"),
    "responses": (RESPONSES, "responses_faces/**/*"),
    "metrics": (CATEGORY_METRIC, "metrics/keller2021_category/**/*"),
    "figure": (FIGURE, "figures/**/*"),
    "claims": (CLAIMS, "claims/*"),
}


@pytest.fixture(scope="module")
def on_small_disk(finished: World, tmp_path_factory: pytest.TempPathFactory):
    """The finished workflow, its results on a disk of their own."""
    needs_mounts()
    world = finished.clone(tmp_path_factory.mktemp("disk") / "world")
    kept = world.path("kept")
    world.path("results").rename(kept)
    with small_disk(world.path("results"), kib=_DISK_KIB):
        shutil.copytree(kept, world.path("results"), dirs_exist_ok=True, copy_function=shutil.copy2)
        shutil.rmtree(kept)
        yield world


@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_that_fills_up_is_told_once_and_the_same_command_ends_right(
    on_small_disk: World, finished: World, stage: str
) -> None:
    world, (target, pattern) = on_small_disk, STAGES[stage]
    before = world.digests()
    assert before == finished.digests()
    removed = [path for path in world.path(ROOT).glob(pattern) if path.is_file()]
    quarter = sum(path.stat().st_size for path in removed) // 4096
    room = _TOO_LITTLE_KIB if stage == "claims" else max(_LEAST_KIB, quarter)
    for path in removed:
        path.unlink()
    with filled(world.path("results"), free_kib=room):
        failed = world.make_targets(target)
        assert failed.returncode != 0, failed.stdout
        told = [
            line for line in failed.stdout.splitlines() if line.startswith("error: ") or "cannot be written" in line
        ]
        assert len(told) == 1, failed.stdout
        assert "No space left on device; make room and give the same command again" in told[0]
        assert "Traceback (most recent call last)" not in failed.stdout
        # What is there is whole, and as it was.
        assert world.digests().items() <= before.items()
        assert [name for name in world.leftovers() if "/state/" not in name and "/incomplete/" not in name] == []
    again = world.make_targets(target, *TARGETS)
    assert again.returncode == 0, again.stdout
    assert world.digests() == finished.digests()
    assert world.leftovers() == []


def test_results_that_cannot_be_written_are_told_at_once(world: World) -> None:
    for path in world.path(METRIC).parent.glob("morans_i*"):
        path.unlink()
    before = world.digests()
    with read_only(world.path("results")):
        failed = world.make_targets(METRIC)
        assert failed.returncode != 0
        assert f"{ROOT}: results cannot be written: Read-only file system; mount it for writing" in failed.stdout
        assert "Traceback (most recent call last)" not in failed.stdout
        assert "Building DAG" not in failed.stdout
        # What would run can still be asked.
        assert world.snakemake("-n", *world.arguments(METRIC)).returncode == 0
    assert world.digests() == before
    assert world.make_targets(METRIC).returncode == 0
