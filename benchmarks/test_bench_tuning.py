"""Speed of the tuning kernels, as ratios to the same work done in loops, measured in the same run on one thread.

`OMP_NUM_THREADS=1 python -m pytest -s benchmarks/test_bench_tuning.py`
"""

from __future__ import annotations

import time

import numpy as np
from scipy.optimize import curve_fit
from timing import seconds

from toporep.metrics.eccentricity import eccentricity_class, fit_gaussian
from toporep.metrics.harmonics import dominant_harmonic, expected_agreement, neighborhood_agreement, preferred_angle
from toporep.sheet import neighbor_lists

GRID, UNITS = (11, 11), 121
# 130 models of each of two data sets, each seen with the stimuli and two control sets.
MODELS = 130 * 2 * 3
RADII = np.arange(1.0, 14.0)


def gaussian(x, amplitude, center, width, offset):
    return amplitude * np.exp(-((x - center) ** 2) / (2 * width**2)) + offset


def profiles(models: int) -> np.ndarray:
    """(models, 13, units) bumps in noise."""
    generator = np.random.default_rng(0)
    center, width, noise = (generator.uniform(low, high, (models, 1, UNITS)) for low, high in ((0, 14), (1, 6), (0, 1)))
    bumps = gaussian(RADII[:, None], 1.0, center, width, 0.0)
    return (bumps + noise * generator.normal(size=bumps.shape)).astype(np.float32)


def curve_fit_r_squared(profile: np.ndarray, starts: list[tuple[float, float]]) -> float:
    best = 0.0
    for center, width in starts:
        start, bounds = (
            [np.ptp(profile), center, width, profile.min()],
            ([0, 1, 0.5, -np.inf], [np.inf, 13, 13, np.inf]),
        )
        try:
            parameters, _ = curve_fit(gaussian, RADII, profile, start, bounds=bounds)
        except RuntimeError:
            continue
        residual = ((profile - gaussian(RADII, *parameters)) ** 2).sum()
        best = max(best, 1 - residual / ((profile - profile.mean()) ** 2).sum())
    return best


def test_gaussian_fits_of_all_units():
    responses = profiles(MODELS)
    fits = seconds(lambda: fit_gaussian(responses))
    classes = seconds(lambda: eccentricity_class(responses))
    print(f"\nGaussian fits of {MODELS} models of {UNITS} units: {fits:.2f} s; classes: {classes:.2f} s")
    timed = responses[0].astype(np.float64)[:, :60]
    found = fit_gaussian(timed).r_squared
    loops = {"one start": [(7.0, 2.0)], "15 starts": [(m, s) for m in (2, 4, 7, 10, 12) for s in (1, 2, 4)]}
    for name, starts in loops.items():
        start = time.process_time()
        expected = np.array([curve_fit_r_squared(profile, starts) for profile in timed.T])
        taken = time.process_time() - start
        ratio = taken / timed.shape[1] / (fits / (MODELS * UNITS))
        missed = np.mean(expected < found - 1e-6)
        print(
            f"  {ratio:.0f} times as fast as scipy's curve_fit from {name} ({timed.shape[1]} units timed, scaled), "
            f"which misses the optimum of {100 * missed:.0f} % of the units"
        )
        assert (found >= expected - 1e-6).all()
        assert ratio > 100
    assert classes < 10


def test_harmonics_of_all_units():
    responses = np.random.default_rng(1).normal(size=(MODELS, 36, UNITS)).astype(np.float32)
    neighbors = neighbor_lists(GRID)

    def kernels(models: np.ndarray = responses) -> np.ndarray:
        labels = dominant_harmonic(models)
        preferred_angle(models, labels)
        expected_agreement(labels)
        return neighborhood_agreement(labels, GRID).mean(axis=-1)

    def loop(model: np.ndarray) -> float:
        labels, angles = [], []
        for unit in range(UNITS):
            spectrum = np.fft.rfft(model[:, unit])
            labels.append(int(np.argmax(np.abs(spectrum[1:6]) ** 2)) + 1)
            angles.append(-np.degrees(np.angle(spectrum[labels[-1]])) / labels[-1] % (360 / labels[-1]))
        return np.mean([np.mean([labels[other] == labels[unit] for other in neighbors[unit]]) for unit in range(UNITS)])

    together = seconds(kernels)
    np.testing.assert_allclose(kernels(responses[:10]), [loop(model) for model in responses[:10]], rtol=1e-12)
    ratio = MODELS / 10 * seconds(lambda: [loop(model) for model in responses[:10]]) / together
    print(f"\nharmonics, angles and agreement of {MODELS} models of {UNITS} units: {together:.2f} s")
    print(f"  {ratio:.0f} times as fast as a loop over units (10 models timed, scaled)")
    assert together < 10 and ratio > 5
