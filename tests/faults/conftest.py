"""The finished small workflow, made once for all faults."""

from __future__ import annotations

import pytest
from small_world import World


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A workflow that was left in peace; nobody may change it."""
    world = World.make(tmp_path_factory.mktemp("finished"))
    done = world.make_targets()
    assert done.returncode == 0, done.stdout
    assert world.leftovers() == []
    return world


@pytest.fixture
def world(finished: World, tmp_path) -> World:
    """A copy of the finished workflow that a test may damage."""
    return finished.clone(tmp_path / "world")
