"""Speed and memory of maps of selectivity and of correlation over distance, on one thread.

64 x 64 units; 25,000 images of a class, as in the paper.

`OMP_NUM_THREADS=1 python -m pytest -s benchmarks/test_bench_selectivity.py`
"""

from __future__ import annotations

import numpy as np
import pytest
from timing import peak_megabytes, seconds

from toporep.metrics.distance_correlation import correlation_by_distance
from toporep.metrics.moments import Moments
from toporep.metrics.selectivity import cohens_d
from toporep.metrics.selectivity_nulls import label_shuffled_maps

GRID, UNITS = (64, 64), 4096
IMAGES, BLOCK = 25_000, 1000
CORRELATED = 5000
PAIRS_TIMED = 2000
SHUFFLES = 100


@pytest.fixture(scope="module")
def target() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((IMAGES, UNITS), dtype=np.float32)


def test_cohens_d_in_one_pass(target):
    blocks = [target[start : start + BLOCK] for start in range(0, IMAGES, BLOCK)]
    control = Moments.of(target[:BLOCK] + 1)

    def in_one_pass() -> np.ndarray:
        moments = Moments()
        for block in blocks:
            moments.update(block)
        return cohens_d(moments, control)

    def of_all_at_once() -> np.ndarray:
        """The published way: join the activations of all batches, then mean and variance, here in double precision."""
        joined = np.concatenate(blocks)
        mean, variance = joined.mean(axis=0, dtype=np.float64), joined.var(axis=0, ddof=1, dtype=np.float64)
        return (mean - control.mean) / np.sqrt((variance + control.variance) / 2)

    np.testing.assert_allclose(in_one_pass(), of_all_at_once(), rtol=1e-9)
    ours, theirs = seconds(in_one_pass, repeats=3), seconds(of_all_at_once, repeats=2)
    our_peak, their_peak = peak_megabytes(in_one_pass), peak_megabytes(of_all_at_once)
    print(f"\nCohen's d, {IMAGES} x {UNITS} float32 ({target.nbytes / 1e6:.0f} MB), in blocks of {BLOCK}")
    print(
        f"  one pass {ours:.2f} s, {our_peak:.1f} MB beside the block; all at once {theirs:.2f} s, {their_peak:.0f} MB"
    )
    print(f"  {theirs / ours:.1f} times as fast, {their_peak / our_peak:.0f} times less memory")
    assert ours < theirs and our_peak < 20


def test_label_shuffled_maps(target):
    images = 2000
    one, other = target[:images], target[images : 2 * images]
    joined = np.concatenate([one, other])

    def shuffle_by_shuffle() -> np.ndarray:
        orders = (np.random.default_rng([0, 0, index]).permutation(2 * images) for index in range(SHUFFLES // 10))
        return np.stack([cohens_d(joined[order[:images]], joined[order[images:]]) for order in orders])

    def together() -> np.ndarray:
        return label_shuffled_maps(one, other, shuffles=SHUFFLES)

    np.testing.assert_allclose(together()[: SHUFFLES // 10], shuffle_by_shuffle(), rtol=1e-6, atol=1e-9)
    ours, theirs = seconds(together, repeats=2), 10 * seconds(shuffle_by_shuffle, repeats=2)
    print(f"\n{SHUFFLES} label shuffles of {2 * images} images: {ours:.2f} s, {peak_megabytes(together):.0f} MB")
    print(f"  {theirs / ours:.1f} times as fast as one after the other (a tenth timed)")
    assert ours < theirs


def test_correlation_by_distance(target):
    activations = target[:CORRELATED]
    first, second = np.random.default_rng(1).integers(UNITS, size=(2, PAIRS_TIMED))

    by_unit = np.ascontiguousarray(activations.T)

    def pair_by_pair() -> list[float]:
        return [np.corrcoef(by_unit[a], by_unit[b])[0, 1] for a, b in zip(first, second, strict=True)]

    def whole_matrix() -> np.ndarray:
        """All correlations, then a distance for every pair, as the obvious code does."""
        rows, cols = np.divmod(np.arange(UNITS), GRID[1])
        upper = np.triu_indices(UNITS, k=1)
        distance = np.hypot(np.subtract.outer(rows, rows)[upper], np.subtract.outer(cols, cols)[upper])
        bins = np.floor(distance + 0.5).astype(np.int64)
        found = np.corrcoef(activations, rowvar=False)[upper]
        return (np.bincount(bins, weights=found) / np.maximum(np.bincount(bins), 1))[1:]

    def ours() -> np.ndarray:
        return correlation_by_distance(activations, GRID, bins="unit").mean

    np.testing.assert_allclose(ours(), whole_matrix(), atol=1e-9)
    taken, peak = seconds(ours, repeats=2), peak_megabytes(ours)
    loop = seconds(pair_by_pair, repeats=1) * (UNITS * (UNITS - 1) / 2) / PAIRS_TIMED
    matrix, matrix_peak = seconds(whole_matrix, repeats=1), peak_megabytes(whole_matrix)
    print(f"\ncorrelation by distance, {UNITS} units x {CORRELATED} images: {taken:.2f} s, {peak:.0f} MB")
    print(f"  {loop / taken:.0f} times as fast as a loop over pairs ({PAIRS_TIMED} pairs timed, scaled to all)")
    print(f"  {matrix / taken:.1f} times as fast as the whole matrix, which holds {matrix_peak:.0f} MB")
    assert loop > 20 * taken and taken < matrix and peak < 300
