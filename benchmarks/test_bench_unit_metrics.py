"""Speed of the metrics of units and their correlations, as ratios to the same work done in loops.

Both are measured in the same run on one thread, on one model of 10,000 stimuli x 121 units.

`OMP_NUM_THREADS=1 python -m pytest -s benchmarks/test_bench_unit_metrics.py`
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import entropy, pearsonr
from timing import seconds

from toporep.metrics.calibration import accuracy, expected_calibration_error, logit_gap, probability_gap
from toporep.metrics.correlations import (
    correlation_edges,
    correlation_histogram,
    correlation_statistics,
    neighbor_correlations,
    pair_correlations,
)
from toporep.metrics.dimensionality import effective_dimensionality
from toporep.metrics.entropy import unit_entropy, unit_variance
from toporep.sheet import neighbor_lists

GRID = (11, 11)
STIMULI, UNITS, CLASSES = 10_000, 121, 10


@pytest.fixture(scope="module")
def activations() -> np.ndarray:
    generator = np.random.default_rng(0)
    values = generator.standard_normal((STIMULI, UNITS), dtype=np.float32)
    values += generator.standard_normal((STIMULI, 1), dtype=np.float32)
    return values


def report(kernel: str, taken: float, loops: dict[str, float]) -> dict[str, float]:
    """Print and return how many times as fast as each loop the kernel is."""
    print(f"\n{kernel}: {1e3 * taken:.1f} ms")
    for name, of_loop in loops.items():
        print(f"  {of_loop / taken:.1f} times as fast as {name}")
    return {name: of_loop / taken for name, of_loop in loops.items()}


@pytest.mark.parametrize("estimator", ["unit_range", "common_range"])
def test_histogram_entropy(activations, estimator):
    extremes = None if estimator == "unit_range" else (float(activations.min()), float(activations.max()))

    def by_numpy() -> list[float]:
        return [entropy(np.histogram(unit, 50, extremes)[0], base=2) for unit in activations.T.astype(np.float64)]

    def by_counting(units: int = 10) -> list[float]:
        found = []
        for unit in activations.T[:units].tolist():
            low, high = extremes or (min(unit), max(unit))
            counts = [0] * 50
            for value in unit:
                counts[min(49, int((value - low) * 50 / (high - low)))] += 1
            found.append(entropy(counts, base=2))
        return found

    np.testing.assert_allclose(unit_entropy(activations, estimator), by_numpy(), atol=1e-9)
    np.testing.assert_allclose(unit_entropy(activations, estimator)[:10], by_counting(), atol=1e-9)
    loops = {
        "numpy.histogram unit by unit": seconds(by_numpy),
        "counting value by value (10 units timed, scaled)": UNITS / 10 * seconds(by_counting, repeats=2),
    }
    ratios = report(f"entropy, {estimator}", seconds(lambda: unit_entropy(activations, estimator)), loops)
    assert min(ratios.values()) > 1 and max(ratios.values()) > 10


def test_variance(activations):
    def by_numpy() -> list[float]:
        return [unit.var(dtype=np.float64) for unit in activations.T]

    np.testing.assert_allclose(unit_variance(activations), by_numpy(), rtol=1e-10)
    loops = {"numpy.var unit by unit": seconds(by_numpy)}
    report("variance", seconds(lambda: unit_variance(activations)), loops)


def test_effective_dimensionality(activations):
    def ratio(variances: np.ndarray) -> float:
        return variances.sum() ** 2 / (variances**2).sum()

    def by_singular_values() -> float:
        values = activations.astype(np.float64)
        return ratio(np.linalg.svd(values - values.mean(axis=0), compute_uv=False) ** 2)

    def by_eigenvalues() -> float:
        return ratio(np.linalg.eigvalsh(np.cov(activations.astype(np.float64), rowvar=False)))

    def by_pairs() -> float:
        values = activations.astype(np.float64)
        centered = (values - values.mean(axis=0)).T.copy()
        covariance = np.empty((UNITS, UNITS))
        for first, second in itertools.combinations_with_replacement(range(UNITS), 2):
            covariance[first, second] = covariance[second, first] = centered[first] @ centered[second]
        return covariance.trace() ** 2 / (covariance**2).sum()

    ways = {"singular values": by_singular_values, "eigenvalues of numpy.cov": by_eigenvalues, "pair by pair": by_pairs}
    for way in ways.values():
        assert way() == pytest.approx(effective_dimensionality(activations), rel=1e-9)
    taken = seconds(lambda: effective_dimensionality(activations))
    ratios = report("effective dimensionality", taken, {name: seconds(way, repeats=2) for name, way in ways.items()})
    assert ratios["singular values"] > 3 and ratios["pair by pair"] > 2


def test_neighbor_correlations(activations):
    neighbors = neighbor_lists(GRID)

    def loop(correlate: Callable[[np.ndarray, np.ndarray], float]) -> list[float]:
        return [
            np.mean([correlate(activations[:, unit], activations[:, other]) for other in near])
            for unit, near in enumerate(neighbors)
        ]

    def by_numpy() -> list[float]:
        return loop(lambda a, b: np.corrcoef(a, b)[0, 1])

    def by_scipy() -> list[float]:
        return loop(lambda a, b: pearsonr(a, b).statistic)

    found = neighbor_correlations(activations, GRID)
    loops = {}
    for name, way in {"numpy.corrcoef": by_numpy, "scipy.stats.pearsonr": by_scipy}.items():
        # SciPy works in the single precision of its input.
        np.testing.assert_allclose(way(), found, atol=1e-6)
        loops[f"{name} neighbor by neighbor"] = seconds(way, repeats=2)
    ratios = report("neighbor correlations", seconds(lambda: neighbor_correlations(activations, GRID)), loops)
    assert min(ratios.values()) > 3


def test_pair_correlations_and_their_distribution(activations):
    pairs = list(itertools.combinations(range(UNITS), 2))
    timed = np.random.default_rng(1).choice(len(pairs), 400, replace=False)

    def by_numpy() -> list[float]:
        return [np.corrcoef(activations[:, pairs[k][0]], activations[:, pairs[k][1]])[0, 1] for k in timed]

    found = pair_correlations(activations)
    np.testing.assert_allclose(found[timed], by_numpy(), atol=1e-12)
    name = f"numpy.corrcoef pair by pair ({len(timed)} timed, scaled)"
    loops = {name: len(pairs) / len(timed) * seconds(by_numpy, repeats=2)}
    ratios = report("pair correlations", seconds(lambda: pair_correlations(activations)), loops)
    assert ratios[name] > 30

    models = np.random.default_rng(2).uniform(-1, 1, (130, len(pairs)))
    edges = -correlation_edges()[::-1]

    def histograms() -> list[np.ndarray]:
        return [np.histogram(-model, edges)[0][::-1] for model in models]

    np.testing.assert_array_equal(correlation_histogram(models), histograms())
    loops = {"numpy.histogram model by model": seconds(histograms, repeats=2)}
    report("histograms of 130 models", seconds(lambda: correlation_histogram(models)), loops)
    print(f"statistics of 130 models: {1e3 * seconds(lambda: correlation_statistics(models)):.1f} ms")


def test_calibration():
    generator = np.random.default_rng(3)
    logits = 3 * generator.standard_normal((STIMULI, CLASSES), dtype=np.float32)
    labels = generator.integers(0, CLASSES, STIMULI)

    def kernels() -> tuple[float, ...]:
        of_labels = accuracy(logits, labels), expected_calibration_error(logits, labels)
        return (*of_labels, logit_gap(logits), probability_gap(logits))

    def loop() -> tuple[float, ...]:
        right, gaps, probability_gaps, bins = 0, 0.0, 0.0, {}
        for image, label in zip(logits.astype(np.float64), labels, strict=True):
            probabilities = np.exp(image - image.max())
            probabilities /= probabilities.sum()
            best, second = np.argsort(image)[:-3:-1]
            right += best == label
            gaps += image[best] - image[second]
            probability_gaps += probabilities[best] - probabilities[second]
            place = int(np.ceil(probabilities[best] * 15))
            bins[place] = bins.get(place, 0.0) + (best == label) - probabilities[best]
        error = sum(map(abs, bins.values()))
        return tuple(total / STIMULI for total in (right, error, gaps, probability_gaps))

    np.testing.assert_allclose(kernels(), loop(), rtol=1e-9)
    loops = {"one image at a time in NumPy": seconds(loop, repeats=2)}
    ratios = report("accuracy, calibration error and gaps", seconds(kernels), loops)
    assert min(ratios.values()) > 10
