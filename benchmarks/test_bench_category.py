"""Category-selective networks: pooling on the torus, and the spatial correlation loss against its outer products.

What is compared runs in one process on one thread, the shortest of a few processor times, so that a ratio means
something on any machine. Memory is what torch's allocator holds at most, besides what was there before.
Show the numbers with `pytest -s benchmarks/test_bench_category.py`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from timing import Work, backward, seconds
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from toporep.losses.spatial_correlation import sheet_distances, spatial_correlation
from toporep.models.category_tvae import CategoryTVAE

SIDE, WINDOW, BATCH, UNITS = 64, 25, 128, 4096


def torus(window: int = WINDOW) -> CategoryTVAE:
    # One feature: only the torus is timed.
    return CategoryTVAE(0, features=1, grid=(SIDE, SIDE), window=window)


def circular(values: Tensor) -> Tensor:
    return F.pad(values.view(-1, 1, SIDE, SIDE), (WINDOW // 2,) * 4, mode="circular")


def by_average(values: Tensor) -> Tensor:
    return F.avg_pool2d(circular(values), WINDOW, stride=1).flatten(1) * WINDOW**2


def by_convolution(values: Tensor) -> Tensor:
    return F.conv2d(circular(values), values.new_ones(1, 1, WINDOW, WINDOW)).flatten(1)


def outer_products(activations: Tensor, distances: Tensor) -> Tensor:
    """The published code's steps: (batch, units, units) products, averaged over the batch, less the diagonal."""
    z = (activations - activations.mean(0)) / activations.std(0)
    deviations = ((z[:, :, None] * z[:, None, :]).mean(0) - 1 / (distances + 1)).abs()
    return deviations.sum() - deviations.diagonal().sum()


def one_matrix(activations: Tensor, distances: Tensor) -> Tensor:
    """One product for all pairs, through which autograd goes back."""
    z = (activations - activations.mean(0)) / activations.std(0)
    deviations = (z.mT @ z / len(z) - 1 / (distances + 1)).abs()
    return deviations.sum() - deviations.diagonal().sum()


def faster(name: str, slow: Work, fast: Work, *, repeats: int = 3) -> float:
    """Print and return how many times as fast as `slow` the work `fast` is."""
    fast()
    slow_time, fast_time = seconds(slow, repeats=repeats), seconds(fast, repeats=5 * repeats)
    print(f"\n{name}: {1e3 * slow_time:.2f} ms / {1e3 * fast_time:.3f} ms = {slow_time / fast_time:.1f}")
    return slow_time / fast_time


def peak_torch_megabytes(work: Work) -> float:
    """The most that torch's CPU allocator holds at once during the work, in MB; what was there does not count."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
            work()
    events = [event for event in found.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak / 1e6


@pytest.mark.parametrize("other, batch, at_least", [(by_average, BATCH, 20), (by_convolution, 16, 40)])
def test_banded_products_pool_faster(other: Callable[[Tensor], Tensor], batch: int, at_least: float) -> None:
    model, values = torus(), torch.rand(batch, UNITS)
    torch.testing.assert_close(model.pool(values), other(values), rtol=1e-4, atol=1e-3)
    name = f"pooling forward and backward, {other.__name__}, batch {batch}"
    assert faster(name, backward(other, values), backward(model.pool, values)) >= at_least


def test_pooling_costs_the_same_whatever_the_window() -> None:
    values = torch.rand(BATCH, UNITS)
    ratio = faster("window 63 / window 3", *(backward(torus(k).pool, values) for k in (63, 3)), repeats=9)
    assert ratio < 1.5


@pytest.mark.parametrize("form, at_least", [(outer_products, 20), (one_matrix, 0.8)])
def test_the_spatial_correlation_loss_is_faster_and_leaner(
    form: Callable[[Tensor, Tensor], Tensor], at_least: float
) -> None:
    """At 32 × 32 units and 32 images, where outer products fit: 134 MB each of several."""
    distances, activations = sheet_distances((32, 32)), torch.randn(32, 1024)
    torch.testing.assert_close(spatial_correlation(activations, distances), form(activations, distances))
    works = [backward(lambda a, loss=loss: loss(a, distances), activations) for loss in (form, spatial_correlation)]
    ratio = faster(f"spatial correlation, {form.__name__}", *works)
    theirs, ours = (peak_torch_megabytes(work) for work in works)
    print(f"  peak {theirs:.1f} MB / {ours:.1f} MB = {theirs / ours:.1f}")
    assert ratio >= at_least and theirs > (30 if form is outer_products else 1.2) * ours


def test_the_loss_of_4096_units_holds_less_than_half_a_matrix_of_pairs() -> None:
    """The published form would hold 8,590 MB in its first array; autograd through one product several of 67 MB."""
    distances, activations = sheet_distances(), torch.randn(BATCH, UNITS)
    works = [
        backward(lambda a, loss=loss: loss(a, distances), activations) for loss in (one_matrix, spatial_correlation)
    ]
    theirs, ours = (peak_torch_megabytes(work) for work in works)
    ratio = faster("spatial correlation of 4096 units, one product", *works, repeats=2)
    print(f"  peak {theirs:.1f} MB / {ours:.1f} MB = {theirs / ours:.1f}; time {ratio:.2f}")
    assert ours < UNITS**2 * 4 / 1e6 / 2 and theirs > 8 * ours and ratio > 2


def test_the_loss_of_4096_units_is_mostly_matrix_products() -> None:
    """Products of half of all pairs forward, twice as many for the gradient, at the rate of one large product."""
    distances, activations = sheet_distances(), torch.randn(BATCH, UNITS)
    work = backward(lambda a: spatial_correlation(a, distances), activations)
    a, b = torch.randn(UNITS, BATCH), torch.randn(BATCH, UNITS)
    loss, product = seconds(work), seconds(lambda: a @ b)
    print(f"\n1.5 products {1.5e3 * product:.0f} ms of {1e3 * loss:.0f} ms: {1.5 * product / loss:.2f}")
    assert 1.5 * product / loss >= 0.6
