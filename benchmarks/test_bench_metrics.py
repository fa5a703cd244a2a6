"""Speed of the metrics, as ratios to the same work done in loops, measured in the same run on one thread.

`OMP_NUM_THREADS=1 python -m pytest -s benchmarks/test_bench_metrics.py`
"""

from __future__ import annotations

import resource
import time

import numpy as np
import pytest
from scipy.stats import pearsonr
from timing import seconds

from toporep.metrics import colocalization_distance, colocalization_null, morans_i, unit_correlations
from toporep.sheet import distance_matrix, queen_adjacency

GRID = (11, 11)
THRESHOLDS = [0.1, 0.3, 0.5, 0.6, 0.7, 0.8]
STIMULI, UNITS, MODELS = 10_000, 121, 130


def activations(seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    values = generator.standard_normal((STIMULI, UNITS), dtype=np.float32)
    values += generator.standard_normal((STIMULI, 1), dtype=np.float32)
    return values


def test_colocalization_of_130_models():
    # The loops start from the same float32 array and do less than the kernel: no check of the input, no distances.
    # Each is timed on 80 pairs of every tenth model, beside the kernel, so that all meet the same state of the machine,
    # after a first pass that brings the array into the cache; the time is scaled to all pairs of all models.
    loops = {
        "numpy.corrcoef": lambda model, a, b: np.corrcoef(model[:, a], model[:, b])[0, 1],
        "scipy.stats.pearsonr": lambda model, a, b: pearsonr(model[:, a], model[:, b]).statistic,
    }
    first, second = np.triu_indices(UNITS, k=1)
    timed, kernel, taken = 80, 0.0, dict.fromkeys(loops, 0.0)
    for seed in range(MODELS):
        model = activations(seed)
        start = time.process_time()
        colocalization_distance(model, GRID, THRESHOLDS)
        kernel += time.process_time() - start
        if seed % 10:
            continue
        chosen = np.random.default_rng(seed).integers(len(first), size=timed)
        for name, loop in loops.items():
            loop(model, 0, 1)
            start = time.process_time()
            found = [loop(model, first[pair], second[pair]) for pair in chosen]
            taken[name] += time.process_time() - start
            # SciPy works in the single precision of its input.
            np.testing.assert_allclose(unit_correlations(model)[first[chosen], second[chosen]], found, atol=1e-6)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    ratios = {name: 10 * len(first) / timed * taken[name] / kernel for name in loops}
    print(f"\nco-localisation, {MODELS} models of {STIMULI} x {UNITS}: {kernel:.2f} s, peak memory {peak:.2f} GiB")
    for name, ratio in ratios.items():
        print(f"  {ratio:.0f} times as fast as {name} pair by pair ({MODELS // 10 * timed} pairs timed, scaled to all)")
    assert min(ratios.values()) >= 50
    assert peak < 2


def test_null_distribution_of_one_model():
    model = activations(0)
    kernel = seconds(lambda: colocalization_null(model, GRID, THRESHOLDS, relabellings=1000))
    correlations, distances = unit_correlations(model), distance_matrix(GRID)
    first, second = np.triu_indices(UNITS, k=1)
    linked = [correlations[first, second] > alpha for alpha in THRESHOLDS]

    def loop(relabellings: int = 50) -> None:
        for seed in range(relabellings):
            order = np.random.default_rng(seed).permutation(UNITS)
            moved = distances[order][:, order][first, second]
            for pairs in linked:
                moved[pairs].sum() / max(1, np.count_nonzero(pairs))

    ratio = 1000 / 50 * seconds(loop) / kernel
    print(f"\nnull distribution, 1000 relabellings x {len(THRESHOLDS)} thresholds: {1e3 * kernel:.0f} ms")
    print(f"  {ratio:.1f} times as fast as one relabelling at a time in NumPy (50 timed, scaled; correlations given)")
    assert ratio > 1


def test_morans_i_of_10000_maps():
    esda, weights = pytest.importorskip("esda"), pytest.importorskip("libpysal.weights")
    maps = activations(1).reshape(-1, *GRID)
    kernel = seconds(lambda: morans_i(maps), repeats=7)
    lattice = weights.lat2W(*GRID, rook=False)
    neighbors = [np.flatnonzero(row).tolist() for row in queen_adjacency(GRID)]
    adjacency = queen_adjacency(GRID).astype(np.float64)

    def by_double_sum(image: np.ndarray) -> float:
        rows, cols = image.shape
        z = image - image.mean()
        products = 0.0
        for row in range(rows):
            for col in range(cols):
                for near_row in range(max(row - 1, 0), min(row + 2, rows)):
                    for near_col in range(max(col - 1, 0), min(col + 2, cols)):
                        if (near_row, near_col) != (row, col):
                            products += z[row, col] * z[near_row, near_col]
        return UNITS / 840 * products / (z**2).sum()

    def by_lists(image: np.ndarray) -> float:
        z = (image - image.mean()).ravel().tolist()
        products = sum(z[a] * z[b] for a, of_unit in enumerate(neighbors) for b in of_unit)
        return UNITS / 840 * products / sum(value * value for value in z)

    def by_matrix(image: np.ndarray) -> float:
        z = (image - image.mean(dtype=np.float64)).ravel()
        return UNITS / 840 * (z @ adjacency @ z) / (z @ z)

    def by_esda(image: np.ndarray) -> float:
        return esda.Moran(image.ravel(), lattice, transformation="b", permutations=0).I

    expected = morans_i(maps[:300])
    print(f"\nMoran's I, {STIMULI} maps of 11 x 11: {1e3 * kernel:.1f} ms")
    ratios = {}
    loops = {
        "double sum over units": (by_double_sum, 50),
        "esda": (by_esda, 100),
        "lists of neighbors": (by_lists, 300),
        "z W z in NumPy": (by_matrix, 300),
    }
    for name, (one, count) in loops.items():
        np.testing.assert_allclose([one(image.astype(float)) for image in maps[:count]], expected[:count], atol=1e-10)
        taken = seconds(lambda one=one, count=count: [one(image) for image in maps[:count]])
        ratios[name] = STIMULI / count * taken / kernel
        print(f"  {ratios[name]:.0f} times as fast as a loop over maps, {name} ({count} maps timed, scaled)")
    assert ratios["double sum over units"] >= 100 and ratios["esda"] >= 100
    assert ratios["lists of neighbors"] > 30 and ratios["z W z in NumPy"] > 5
