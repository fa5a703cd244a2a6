"""Spatial losses against the double loop over units and neighbors that the published code runs.

What is compared is timed in turns in one process on one thread, so that a ratio means something on any machine.
Show the numbers with `pytest -s benchmarks/test_bench_losses.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import reference_losses as reference
import torch
from timing import backward, compare

from toporep.losses import activation_similarity, global_similarity, weight_similarity

GRID = (11, 11)
UNITS = 121
BATCH = 64


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
    slow = backward(partial(reference.weight_similarity, grid=GRID, metric=metric), weight)
    fast = backward(partial(weight_similarity, grid=GRID, metric=metric), weight)
    assert compare(f"WS {metric}, {UNITS} x {inputs}", slow, fast, rounds=9) >= at_least


@pytest.mark.parametrize("layout", ["units", "reshaped"])
def test_as_is_faster_than_the_double_loop(layout: str) -> None:
    activations = torch.randn(BATCH, UNITS)
    slow = backward(partial(reference.activation_similarity, grid=GRID, layout=layout), activations)
    fast = backward(partial(activation_similarity, grid=GRID, layout=layout), activations)
    assert compare(f"AS {layout}, {BATCH} x {UNITS}", slow, fast, rounds=5) >= 60


def test_global_is_faster_than_the_double_loop() -> None:
    activations = torch.randn(BATCH, UNITS)
    slow = backward(partial(reference.global_similarity, grid=GRID), activations)
    fast = backward(partial(global_similarity, grid=GRID), activations)
    assert compare(f"Global, {BATCH} x {UNITS}", slow, fast, rounds=2) >= 60


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

    slow, fast = backward(one_by_one, models), backward(partial(loss, grid=GRID), models)
    assert compare(f"{name}, 20 models", slow, fast, rounds=15) >= 1
