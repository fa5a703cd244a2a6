"""One training step: the vectorised loss against the double loop, memory formats, ways to convolve a stack, threads.

What is compared is timed in turns in one process, so that a ratio means something on any machine.
Show the numbers with `pytest -s benchmarks/test_bench_training.py`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import pytest
import reference_losses
import torch
import torch.nn.functional as F
from reference_models import REFERENCE

from toporep.losses import activation_similarity, weight_similarity
from toporep.models import MODELS
from toporep.train.convolution import measure_convolutions

GRID, BATCH = (11, 11), 64
INPUT = {"MnistCNN": (BATCH, 1, 28, 28), "CifarCNN": (BATCH, 3, 32, 32)}
ROUNDS = 7

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

VECTORISED: dict[str, Loss] = {
    "control": lambda weight, pre: weight.new_zeros(()),
    "WS": lambda weight, pre: weight_similarity(weight, GRID),
    "AS": lambda weight, pre: activation_similarity(pre, GRID),
}
LOOPS: dict[str, Loss] = {
    "WS": lambda weight, pre: reference_losses.weight_similarity(weight, GRID),
    "AS": lambda weight, pre: reference_losses.activation_similarity(pre, GRID),
}


def make_step(name: str, loss: Loss, *, reference: bool = False, channels_last: bool = True) -> Callable[[], None]:
    """A whole training step on random images: ours, or a plain network's with torch's layers and default Adam."""
    torch.manual_seed(0)
    model = REFERENCE[name]() if reference else MODELS[name](0, dropout=0.3)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = model.train().to(memory_format=layout)
    images = torch.randn(INPUT[name]).to(memory_format=layout)
    labels, keep = torch.randint(10, (BATCH,)), torch.rand(BATCH, 121) > 0.3
    forward = model if reference else partial(model, keep=keep)
    optimizer = torch.optim.Adam(model.parameters(), fused=not reference)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        logits, pre = forward(images)
        (F.cross_entropy(logits, labels) + loss(model.fc1.weight, pre)).backward()
        optimizer.step()

    return step


def medians(steps: dict[str, Callable[[], None]], *, rounds: int = ROUNDS) -> dict[str, float]:
    """Median milliseconds of each step; all take turns."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 2):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if turn > 1:
                times[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def show(title: str, found: dict[str, float]) -> None:
    print(f"\n{title}: " + ", ".join(f"{name} {value:.1f} ms" for name, value in found.items()))


@pytest.mark.parametrize(
    "name, loss, at_least",
    [("MnistCNN", "WS", 2), ("MnistCNN", "AS", 5), ("CifarCNN", "WS", 1.4), ("CifarCNN", "AS", 2)],
)
def test_a_step_is_faster_than_with_the_double_loop(name: str, loss: str, at_least: float) -> None:
    found = medians(
        {
            "vectorised": make_step(name, VECTORISED[loss]),
            "double loop": make_step(name, LOOPS[loss]),
            "no spatial loss": make_step(name, VECTORISED["control"]),
        }
    )
    show(f"{name} {loss}", found)
    ratio = found["double loop"] / found["vectorised"]
    print(f"  {ratio:.1f} times as fast; {found['vectorised'] / found['no spatial loss']:.2f} of the plain step")
    assert ratio >= at_least


@pytest.mark.parametrize("name", MODELS)
def test_channels_last_and_pooling_first_are_the_faster_choice_on_one_thread(name: str) -> None:
    loss = VECTORISED["control"]
    found = medians(
        {
            "ours, channels last": make_step(name, loss),
            "ours, contiguous": make_step(name, loss, channels_last=False),
            "torch's layers, channels last": make_step(name, loss, reference=True),
            "torch's layers, contiguous": make_step(name, loss, reference=True, channels_last=False),
        }
    )
    show(name, found)
    assert found["ours, channels last"] < found["ours, contiguous"]
    assert found["ours, channels last"] < found["torch's layers, contiguous"]


@pytest.mark.parametrize("name", MODELS)
def test_a_second_thread_is_worth_less_than_a_second_process(name: str) -> None:
    """Two processes with a thread each do twice a single thread's work on two free cores."""
    step = make_step(name, VECTORISED["WS"])
    single = medians({"1 thread": step})["1 thread"]
    torch.set_num_threads(2)
    double = medians({"2 threads": step})["2 threads"]
    print(f"\n{name}: 1 thread {single:.1f} ms, 2 threads {double:.1f} ms: {single / double:.2f} times as fast")
    assert double > single / 2


@pytest.mark.parametrize("name", MODELS)
def test_grouped_convolutions_are_the_faster_ones_of_a_stack_on_one_thread(name: str) -> None:
    """Patches of all images are nine times the images, and a single core waits for memory; alone is faster still."""
    runs, cpu = 4, torch.device("cpu")
    found = measure_convolutions(name, runs=runs, batch=INPUT[name], device=cpu, precision="float32")
    alone = medians({"alone": make_step(name, VECTORISED["control"])})["alone"]
    show(f"{name}, {runs} runs", {way: 1e3 * seconds for way, seconds in found.items()} | {"alone": runs * alone})
    assert found["grouped"] < found["unfold"]
    assert runs * alone < 1e3 * found["unfold"]
