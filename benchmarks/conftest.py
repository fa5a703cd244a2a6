"""Every benchmark runs on one thread, so that a ratio means the same on any machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Limit BLAS, OpenMP and, in benchmarks that use it, torch to one thread."""
    # Benchmarks of metrics, which do not use torch, shall not carry its memory.
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 0
    with threadpool_limits(1):
        if torch:
            torch.set_num_threads(1)
        yield
    if torch:
        torch.set_num_threads(threads)
