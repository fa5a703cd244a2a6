"""A training step of the topographic VAE: against the published grouper, a stack, and the matrix products it needs.

What is compared is timed in turns in one process on one thread, so that a ratio means something on any machine.
Show the numbers with `pytest -s benchmarks/test_bench_topographic_vae.py`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from toporep import rng
from toporep.losses.vae import negative_elbo
from toporep.models.grouper import grouper_matrix
from toporep.models.layers import linear
from toporep.models.topographic_vae import TopographicVAE, _Layer
from toporep.normal import normal

SEQUENCES, FRAMES, LATENTS = 8, 18, 324
BATCH = SEQUENCES * FRAMES
MNIST = {"inputs": 2352, "channels": 3, "capsules": 18, "units": 18, "frames": FRAMES}
ROUNDS = 9


class PublishedGrouper(TopographicVAE):
    """The same model with v as the published code computes it: a transposed 3-D convolution of circularly padded u²."""

    window: int

    def capsules(self, z: Tensor, u: Tensor | None = None) -> Tensor:
        past, future = self.window - 1 - self.window // 2, self.window // 2
        squares = (u**2).view(-1, 1, FRAMES, 18, 18).transpose(2, 3)
        padded = F.pad(squares, (past, future, past, future, 0, 0), mode="circular")
        lags = torch.arange(self.window)
        band = ((lags[:, None] - lags).abs() <= 1).float().view(1, 1, 1, self.window, self.window)
        crop = self.window - 1
        v = F.conv_transpose3d(padded, band, padding=(0, crop, crop)).transpose(2, 3).reshape(u.shape)
        return (z + self.mu) / torch.sqrt(v + self.eps)


def shifting(window: int) -> np.ndarray:
    return grouper_matrix("shifting", frames=FRAMES, units=18, window=window, unit_window=3)


def make_step(model: TopographicVAE) -> Callable[[], Tensor]:
    """A whole training step on random images: noise, loss, gradients, SGD with momentum, projection."""
    lead = (len(model.seeds),) if model.stacked else ()
    images = torch.rand(*lead, BATCH, 2352, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, fused=True)
    streams = [rng.key(seed, "noise") for seed in model.seeds]

    def step() -> Tensor:
        numbers = normal(streams, 2 * BATCH * LATENTS).view(len(streams), 2, BATCH, LATENTS)
        noise_z, noise_u = numbers.unbind(1) if model.stacked else numbers[0]
        optimizer.zero_grad(set_to_none=True)
        found = model(images, noise_z=noise_z, noise_u=noise_u)
        loss = negative_elbo(found.logits, images, found.posterior)
        loss.sum().backward()
        optimizer.step()
        model.project_()
        return loss

    return step


def compare(works: dict[str, Callable[[], object]], *, rounds: int = ROUNDS) -> dict[str, float]:
    """Median milliseconds of processor time of each; all take turns."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 2):
        for name, work in works.items():
            start = time.process_time()
            work()
            if turn > 1:
                times[name].append((time.process_time() - start) * 1e3)
    found = {name: statistics.median(values) for name, values in times.items()}
    print("\n" + ", ".join(f"{name} {value:.1f} ms" for name, value in found.items()))
    return found


def products(model: TopographicVAE) -> int:
    """Floating-point operations of a step's matrix products. The images need no gradient."""
    weights = [layer.weight.numel() for layer in model.children()]
    first = sum(getattr(model, f"{network}1").weight.numel() for network in ("z_encoder", "u_encoder"))
    return 2 * BATCH * (3 * sum(weights) - first)


@pytest.mark.parametrize("window, at_least", [(5, 1.05), (18, 1.5)])
def test_a_step_is_faster_than_with_the_published_grouper(window: int, at_least: float) -> None:
    ours = TopographicVAE(0, **MNIST, groupers=shifting(window))
    published = PublishedGrouper(0, **MNIST, groupers=shifting(window))
    published.window = window
    u = torch.randn(BATCH, LATENTS)
    torch.testing.assert_close(ours.capsules(u, u), published.capsules(u, u))
    found = compare({"one matrix": make_step(ours), "published convolution": make_step(published)})
    ratio = found["published convolution"] / found["one matrix"]
    print(f"  window {window}: {ratio:.2f} times as fast")
    assert ratio >= at_least


def test_the_grouper_costs_the_same_whatever_the_window() -> None:
    u = torch.randn(BATCH, LATENTS)

    def forward_and_backward(window: int) -> Callable[[], None]:
        model = TopographicVAE(0, **MNIST, groupers=shifting(window))
        leaf = u.clone().requires_grad_()
        return lambda: model.capsules(leaf, leaf).sum().backward()

    found = compare({f"window {window}": forward_and_backward(window) for window in (1, 18)}, rounds=51)
    assert found["window 18"] < 1.3 * found["window 1"]


@pytest.mark.parametrize("weight_norm, at_least", [("none", 0.7), ("projected", 0.65), ("reparameterized", 0.6)])
def test_a_step_is_mostly_matrix_products_at_the_speed_of_large_ones(weight_norm: str, at_least: float) -> None:
    """The share of a step that its operations would take at the rate of a product of two large matrices."""
    model = TopographicVAE(0, **MNIST, groupers=shifting(5), weight_norm=weight_norm)
    a, b = torch.randn(2, 2048, 2048)
    found = compare({"step": make_step(model), "large product": lambda: a @ b})
    ideal = products(model) * found["large product"] / (2 * 2048**3)
    print(f"  {weight_norm}: {ideal:.1f} ms of matrix products, {ideal / found['step']:.2f} of the step")
    assert ideal / found["step"] >= at_least


def test_factors_on_units_are_faster_than_normalized_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """g v / ||v|| written out and differentiated by autograd, as torch's own weight normalization does."""

    def written_out(layer: _Layer, inputs: Tensor) -> Tensor:
        factor = layer.gain / torch.linalg.vector_norm(layer.weight, dim=layer.norm_dim)
        weight = layer.weight * factor.unsqueeze(layer.norm_dim)
        bias = layer.bias.repeat_interleave(784) if len(layer.bias) == 3 else layer.bias
        return linear(inputs, weight.mT if layer.transposed else weight, bias)

    model = TopographicVAE(0, **MNIST, groupers=shifting(5), weight_norm="reparameterized")
    fast = make_step(model)
    slow = make_step(TopographicVAE(0, **MNIST, groupers=shifting(5), weight_norm="reparameterized"))
    forward = _Layer.forward

    def slow_step() -> None:
        monkeypatch.setattr(_Layer, "forward", written_out)
        slow()
        monkeypatch.setattr(_Layer, "forward", forward)

    found = compare({"factors on units": fast, "weights written out": slow_step})
    print(f"  {found['weights written out'] / found['factors on units']:.2f} times as fast")
    assert found["weights written out"] > found["factors on units"]


def test_a_stack_costs_a_cpu_little_more_than_its_runs_one_by_one() -> None:
    """One thread is busy with the matrix products of a single run: there a stack has nothing to win.

    It loses about a seventh: its large arrays are given back to the system after each step and taken anew.
    """
    seeds: Sequence[int] = range(8)
    windows = [1, 5, 5, 9, 13, 13, 18, 18]
    stack = make_step(TopographicVAE(seeds, **MNIST, groupers=[shifting(window) for window in windows]))
    solo = [
        make_step(TopographicVAE(seed, **MNIST, groupers=shifting(window)))
        for seed, window in zip(seeds, windows, strict=True)
    ]
    found = compare({"stack of 8": stack, "8 alone": lambda: [step() for step in solo]}, rounds=5)
    print(f"  {found['8 alone'] / found['stack of 8']:.2f} times as fast")
    assert found["stack of 8"] < 1.5 * found["8 alone"]
