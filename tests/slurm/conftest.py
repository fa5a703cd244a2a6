"""The Slurm cluster that the tests in this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cluster import SlurmCluster, slurm_cluster, why_unavailable


@pytest.fixture(scope="session")
def cluster() -> Iterator[SlurmCluster]:
    """A running cluster; skips where none can be started."""
    if reason := why_unavailable():
        pytest.skip(reason)
    with slurm_cluster(cpus=2, gpus=2) as running:
        yield running
