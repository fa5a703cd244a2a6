"""Which way to compute the convolutions of a stack is the faster one here: measured, not guessed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import torch

from toporep.device import reduced_precision, set_precision
from toporep.models.cnn import MODELS
from toporep.models.layers import CONVOLUTIONS

_WARM_UPS, _ROUNDS = 2, 5


def measure_convolutions(
    model: str, *, runs: int, batch: Sequence[int], device: torch.device, precision: str
) -> dict[str, float]:
    """Median seconds of a forward and a backward pass of a stack, for each way to compute its convolutions.

    Args:
        model: name in `toporep.models.cnn.MODELS`.
        runs: K.
        batch: (images, channel, row, col) of a run's batch.
        device, precision: those of the training; see `toporep.device`.
    """
    set_precision(device, precision)
    images = torch.randn(runs, *batch, device=device)
    passes = {name: _pass(model, name, images, precision) for name in CONVOLUTIONS}
    times: dict[str, list[float]] = {name: [] for name in passes}
    for turn in range(_WARM_UPS + _ROUNDS):
        for name, work in passes.items():
            taken = _seconds(work, device)
            if turn >= _WARM_UPS:
                times[name].append(taken)
    return {name: statistics.median(taken) for name, taken in times.items()}


def _pass(model: str, convolution: str, images: torch.Tensor, precision: str) -> Callable[[], None]:
    stack = MODELS[model](range(len(images)), dropout=0.0, convolution=convolution).to(images.device).train()

    def work() -> None:
        with reduced_precision(images.device, precision):
            logits, _ = stack(images)
        stack.zero_grad(set_to_none=True)
        logits.square().sum().backward()

    return work


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
