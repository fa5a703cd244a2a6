"""A workflow whose processes are killed at random ends at the bytes of one that was left in peace."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from processes import end_session, of_session, wait_for_end
from small_world import World

pytestmark = pytest.mark.faults

KILLS = int(os.environ.get("TOPOREP_FAULTS_KILLS", 20))
SEED = int(os.environ.get("TOPOREP_FAULTS_SEED", 0))
# Seconds between two kills: a job of the small workflow takes 3 to 20 s.
SHORTEST, LONGEST = 1.0, 15.0
# What is killed, and how often.
VICTIMS = {"job": 5, "controller": 3, "part": 2}


def test_a_workflow_under_random_kills_ends_at_the_same_bytes(finished: World, tmp_path: Path) -> None:
    generator, counts, rounds = random.Random(SEED), dict.fromkeys(VICTIMS, 0), 0
    starts, began = 0, time.monotonic()
    while sum(counts.values()) < KILLS:
        rounds += 1
        world = finished.fresh(tmp_path / str(rounds))
        starts += soak(world, generator, counts)
        assert world.digests() == finished.digests()
        assert world.leftovers() == []
        again = world.make_targets()
        assert "Nothing to be done" in again.stdout, again.stdout
    print(
        f"\nseed {SEED}: {sum(counts.values())} kills ({', '.join(f'{n} of {kind}' for kind, n in counts.items())}), "
        f"{starts} starts, {rounds} workflows, {len(finished.digests())} files equal, "
        f"{time.monotonic() - began:.0f} s"
    )
    assert min(counts.values()) > 0


def soak(world: World, generator: random.Random, counts: dict[str, int]) -> int:
    """Make all targets while processes are killed, starting again until done; return the number of starts.

    What a killed command leaves running goes on beside the next one.
    """
    sessions = []
    log = world.folder / "soak.log"
    try:
        while True:
            process = world.start(log=log)
            sessions.append(process.pid)
            while process.poll() is None:
                pause = generator.uniform(SHORTEST, LONGEST)
                kind = generator.choices(list(VICTIMS), list(VICTIMS.values()))[0]
                choice = generator.random()
                _wait(process, pause)
                if sum(counts.values()) < KILLS and process.poll() is None:
                    alive = [victim for session in sessions for victim in of_session(session) if victim.kind == kind]
                    if alive and alive[int(choice * len(alive))].kill():
                        counts[kind] += 1
            if process.returncode == 0:
                for session in sessions:
                    wait_for_end(session)
                return len(sessions)
            # Without a kill a command has no reason to fail.
            text = log.read_text(encoding="utf-8", errors="replace")
            assert len(sessions) <= KILLS + 1, text[-5000:]
    finally:
        for session in sessions:
            end_session(session)


def _wait(process, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
