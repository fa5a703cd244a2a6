"""Time and memory of a piece of work, and how many times as fast as another it is; for all benchmarks."""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Work = Callable[[], object]


def seconds(work: Work, *, repeats: int = 5) -> float:
    """Shortest of a few timings, in processor time: the one least disturbed by other processes."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def peak_megabytes(work: Work) -> float:
    """The most that the work holds at once, in MB; what was there before does not count."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def compare(name: str, slow: Work, fast: Work, *, rounds: int) -> float:
    """Print and return how many times as fast as `slow` the work `fast` is.

    Medians over rounds in which both take turns, `fast` five times, after one round that does not count.
    """
    times: dict[str, list[float]] = {"slow": [], "fast": []}
    for warm in range(rounds + 1):
        slow_times = [_milliseconds(slow)]
        fast_times = [_milliseconds(fast) for _ in range(5)]
        if warm:
            times["slow"] += slow_times
            times["fast"] += fast_times
    slow_median, fast_median = (statistics.median(times[which]) for which in ("slow", "fast"))
    ratio = slow_median / fast_median
    print(f"\n{name}: {slow_median:.2f} ms / {fast_median:.3f} ms = {ratio:.1f}")
    return ratio


def backward(loss: Callable[[torch.Tensor], torch.Tensor], values: torch.Tensor) -> Callable[[], None]:
    """One forward and backward pass of a loss, or of the sum of several, as work to be timed."""

    def work() -> None:
        leaf = values.detach().requires_grad_()
        loss(leaf).sum().backward()

    return work


def _milliseconds(work: Work) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3
