"""A clock that is set back: nothing that is outdated is taken for new."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from small_world import DUMP, FIGURE, METRIC, ROOT, WEIGHTS, World
from workflow_copies import environment, outputs

pytestmark = pytest.mark.faults

CHANGE = "overrides: {truong2025: {datasets: {mnist: {learning_rate: 0.002}}}}\n"
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


def shift(world: World, seconds: float) -> None:
    """Set the times of all results, as if they had been made then."""
    for path in world.path(ROOT).rglob("*"):
        if path.is_file():
            found = path.stat()
            os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + int(seconds * 1e9)))


@pytest.mark.parametrize("option", ["--dry-run", "--quiet"])
def test_results_from_the_future_stop_a_command_at_once(world: World, option: str) -> None:
    shift(world, 3600 * 5)
    before = world.digests()
    stopped = world.snakemake(option, *world.arguments())
    assert stopped.returncode != 0
    assert "hours from the future" in stopped.stdout and "Set the clock right" in stopped.stdout
    assert "Traceback (most recent call last)" not in stopped.stdout
    assert world.digests() == before


def test_the_remedy_brings_back_what_snakemake_knows(world: World) -> None:
    """Without it, networks trained anew beside old dumps of the future leave these as they are: see below."""
    shift(world, 3600 * 5)
    stopped = world.make_targets()
    remedy = next(line for line in stopped.stdout.splitlines() if "If it is right: " in line)
    assert os.system(f"cd {world.folder} && {remedy.partition('If it is right: ')[2]}") == 0
    assert world.make_targets().returncode == 0
    world.path("change.yaml").write_text(CHANGE, encoding="utf-8")
    arguments = ["--configfile", "tiny.yaml", "small.yaml", "change.yaml", "--", WEIGHTS]
    assert world.snakemake("--cores", "1", *arguments).returncode == 0
    planned = world.snakemake("-n", *arguments[:-1], FIGURE)
    stages = {name.split("/")[0] for name in outputs(planned.stdout)}
    assert {"activations", "metrics", "figures"} <= stages


def test_without_the_check_outdated_dumps_would_stay(world: World) -> None:
    """What the check is for: this is what Snakemake does by itself."""
    shift(world, 3600 * 5)
    rules = world.path("workflow/rules/common.smk")
    rules.write_text(rules.read_text().replace("            check_clock(ROOT)\n", "            pass\n"))
    world.path("change.yaml").write_text(CHANGE, encoding="utf-8")
    arguments = ["--configfile", "tiny.yaml", "small.yaml", "change.yaml", "--"]
    # Its inputs are of now.
    for name in (f"{ROOT}/data/digits.nc", f"{ROOT}/data/objects.nc"):
        os.utime(world.path(name))
    assert world.snakemake("--cores", "1", *arguments, WEIGHTS).returncode == 0
    assert time.time() - world.path(WEIGHTS).stat().st_mtime < 600 < world.path(DUMP).stat().st_mtime - time.time()
    planned = outputs(world.snakemake("-n", *arguments, METRIC).stdout)
    assert not any(name.startswith("activations/truong2025/mnist/ws") for name in planned)


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed (Debian: libfaketime)")
def test_a_command_whose_clock_is_a_day_behind_refuses_to_work(world: World) -> None:
    shutil.rmtree(world.path(f"{ROOT}/metrics"))
    behind = {**environment(), "LD_PRELOAD": str(FAKETIME), "FAKETIME": "-1d", "FAKETIME_DONT_RESET": "1"}
    stopped = world.snakemake(*world.arguments(METRIC), env=behind)
    assert stopped.returncode != 0
    assert "24 hours from the future" in stopped.stdout
    assert not world.path(METRIC).exists()
