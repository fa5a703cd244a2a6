"""Spatial losses against the double loop over units and neighbors that the published code runs.

What is compared is timed in turns in one process on one thread, so that a ratio means something on any machine.
Show the numbers with `pytest -s benchmarks/test_bench_losses.py`.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from toporep.losses import activation_similarity, global_similarity, weight_similarity

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import reference_losses as reference  # noqa: E402

GRID = (11, 11)
UNITS = 121
BATCH = 64


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def milliseconds(loss: Callable, values: torch.Tensor) -> float:
    """One forward and backward pass."""
    values = values.detach().clone().requires_grad_()
    start = time.perf_counter()
    loss(values).sum().backward()
    return (time.perf_counter() - start) * 1e3


def compare(
    name: str, slow: Callable, slow_values: torch.Tensor, fast: Callable, fast_values: torch.Tensor, *, rounds: int
) -> float:
    """How many times faster `fast` is: medians over rounds in which both take turns, `fast` five times."""
    times: dict[str, list[float]] = {"slow": [], "fast": []}
    for warm in range(rounds + 1):
        slow_times = [milliseconds(slow, slow_values)]
        fast_times = [milliseconds(fast, fast_values) for _ in range(5)]
        if warm:
            times["slow"] += slow_times
            times["fast"] += fast_times
    slow_median, fast_median = (statistics.median(times[which]) for which in ("slow", "fast"))
    ratio = slow_median / fast_median
    print(f"\n{name}: {slow_median:.2f} ms / {fast_median:.3f} ms = {ratio:.1f}")
    return ratio


@pytest.mark.parametrize(
    "inputs, metric, at_least",
    [
        (64, "euclidean", 60),
        (256, "euclidean", 60),
        (64, "correlation", 60),
        (256, "correlation", 60),
        (64, "cosine", 60),
        (256, "cosine", 60),
    ],
)
def test_ws_is_faster_than_the_double_loop(inputs: int, metric: str, at_least: float) -> None:
    weight = torch.randn(UNITS, inputs) * 0.1
    slow = partial(reference.weight_similarity, grid=GRID, metric=metric)
    fast = partial(weight_similarity, grid=GRID, metric=metric)
    assert compare(f"WS {metric}, {UNITS} x {inputs}", slow, weight, fast, weight, rounds=9) >= at_least


@pytest.mark.parametrize("layout", ["units", "reshaped"])
def test_as_is_faster_than_the_double_loop(layout: str) -> None:
    activations = torch.randn(BATCH, UNITS)
    slow = partial(reference.activation_similarity, grid=GRID, layout=layout)
    fast = partial(activation_similarity, grid=GRID, layout=layout)
    assert compare(f"AS {layout}, {BATCH} x {UNITS}", slow, activations, fast, activations, rounds=5) >= 60


def test_global_is_faster_than_the_double_loop() -> None:
    activations = torch.randn(BATCH, UNITS)
    slow = partial(reference.global_similarity, grid=GRID)
    fast = partial(global_similarity, grid=GRID)
    assert compare(f"Global, {BATCH} x {UNITS}", slow, activations, fast, activations, rounds=2) >= 60


@pytest.mark.parametrize(
    "name, loss, shape",
    [
        ("WS", weight_similarity, (UNITS, BATCH)),
        ("AS", activation_similarity, (BATCH, UNITS)),
        ("Global", global_similarity, (BATCH, UNITS)),
    ],
)
def test_a_stack_is_no_slower_than_its_models_one_by_one(name: str, loss: Callable, shape: tuple[int, int]) -> None:
    models = torch.randn(20, *shape)

    def one_by_one(stack: torch.Tensor) -> torch.Tensor:
        return torch.stack([loss(model, GRID) for model in stack.unbind()])

    assert compare(f"{name}, 20 models", one_by_one, models, partial(loss, grid=GRID), models, rounds=15) >= 1
