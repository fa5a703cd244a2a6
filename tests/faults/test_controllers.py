"""Two commands in one folder at once: what either makes is right, and no lock is left."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from processes import end_session, wait_for_end
from small_world import DUMP, ROOT, TRUONG, World

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("pause", [0, 0.5, 6], ids=["at the same moment", "while the first reads", "while it works"])
def test_two_commands_for_the_same_files(finished: World, tmp_path: Path, pause: float) -> None:
    world = finished.clone(tmp_path / "world")
    for stage in ("activations", "metrics", "figures", "claims"):
        shutil.rmtree(world.path(f"{ROOT}/{stage}"))
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    commands = []
    try:
        for log in logs:
            commands.append(world.start(*TRUONG, log=log))
            time.sleep(pause)
        status = [command.wait() for command in commands]
    finally:
        for command in commands:
            end_session(command.pid)
    texts = [log.read_text() for log in logs]
    # At least one of them makes the files; the other does too, or says who holds them.
    assert 0 in status, texts
    for code, text in zip(status, texts, strict=True):
        assert "Traceback (most recent call last)" not in text, text
        assert code == 0 or text.count("Error: Directory cannot be locked") == 1, text
    print(f"\npause {pause} s: " + ", ".join("done" if code == 0 else "refused" for code in status))
    again = world.make_targets()
    assert again.returncode == 0, again.stdout
    assert world.digests() == finished.digests()
    assert world.leftovers() == []


def test_two_commands_for_other_files_work_beside_each_other(world: World) -> None:
    for stage in ("activations", "responses_faces"):
        shutil.rmtree(world.path(f"{ROOT}/{stage}"))
    dumps = world.start(DUMP, cores=1, log=world.path("dumps.log"))
    time.sleep(0.5)
    responses = world.start(f"{ROOT}/responses_faces/keller2021_category/imagenet_faces/tvae/0/seed0.nc", cores=1)
    assert (dumps.wait(), responses.wait()) == (0, 0), world.path("dumps.log").read_text()
    for command in (dumps, responses):
        wait_for_end(command.pid)
    assert world.leftovers() == []
