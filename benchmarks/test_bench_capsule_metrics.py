"""Speed of the metrics of capsules, as ratios to the same work done sequence by sequence, measured on one thread.

10,000 sequences of 18 frames, 18 capsules and 18 units: the test images of MNIST.

`OMP_NUM_THREADS=1 python -m pytest -s benchmarks/test_bench_capsule_metrics.py`
"""

from __future__ import annotations

import numpy as np
import pytest
from timing import peak_megabytes, seconds

from toporep.metrics.capsule_latents import VARIANTS, latent_equivariance_error, latent_rolls
from toporep.metrics.capsule_roll import cyclic_classes, sequence_rolls
from toporep.metrics.equivariance import equivariance_error
from toporep.models.grouper import grouper_matrix

SEQUENCES, FRAMES, CAPSULES, UNITS = 10_000, 18, 18, 18
TIMED = 100


@pytest.fixture(scope="module")
def latents() -> tuple[np.ndarray, np.ndarray]:
    return tuple(
        np.random.default_rng(seed).standard_normal((SEQUENCES, FRAMES, CAPSULES, UNITS), dtype=np.float32)
        for seed in range(2)
    )


@pytest.fixture(scope="module")
def classes() -> np.ndarray:
    return cyclic_classes(np.arange(SEQUENCES) % FRAMES, FRAMES, size=FRAMES)


def test_equivariance_error(latents):
    t, _ = latents

    def pair_by_pair() -> np.ndarray:
        errors = np.zeros(TIMED)
        for number, sequence in enumerate(t[:TIMED].astype(np.float64)):
            scaled = sequence / np.linalg.norm(sequence, axis=-1, keepdims=True)
            for early in range(FRAMES):
                for late in range(early + 1, FRAMES):
                    errors[number] += np.abs(np.roll(scaled[early], late - early, axis=-1) - scaled[late]).sum()
        return errors

    def cyclic_in_time() -> np.ndarray:
        # The published shortcut, for sequences just as long as the capsules: one roll in time and unit a distance.
        scaled = t[: 10 * TIMED].astype(np.float64)
        scaled /= np.linalg.norm(scaled, axis=-1, keepdims=True)
        shifts = range(1, FRAMES)
        return sum(np.abs(np.roll(scaled, (k, k), axis=(1, 3)) - scaled).sum(axis=(1, 2, 3)) for k in shifts) / 2

    found = equivariance_error(t)
    np.testing.assert_allclose(found[:TIMED], pair_by_pair(), rtol=1e-12)
    np.testing.assert_allclose(found[: 10 * TIMED], cyclic_in_time(), rtol=1e-12)
    taken, peak = seconds(lambda: equivariance_error(t), repeats=3), peak_megabytes(lambda: equivariance_error(t))
    loops = (
        seconds(pair_by_pair, repeats=2) * SEQUENCES / TIMED,
        seconds(cyclic_in_time, repeats=2) * 0.1 * SEQUENCES / TIMED,
    )
    print(f"\nequivariance error: {taken:.2f} s, {peak:.0f} MB beside the latents")
    print(f"  {loops[0] / taken:.0f} times as fast as pair by pair ({TIMED} sequences timed, scaled to all)")
    print(
        f"  {loops[1] / taken:.1f} times as fast as a cyclic roll in time ({10 * TIMED} sequences timed, scaled to all)"
    )
    assert loops[0] > 10 * taken and loops[1] > taken and peak < 200


def test_rolls(latents, classes):
    t, _ = latents

    def sequence_by_sequence() -> list[int]:
        rolls = []
        for sequence, of_frames in zip(t[:TIMED].astype(np.float64), classes, strict=False):
            candidates = []
            for frame in np.flatnonzero(of_frames == 0):
                found = [
                    np.argmax([np.roll(a, -k) @ b for k in range(UNITS)])
                    for a, b in zip(sequence[0], sequence[frame], strict=True)
                ]
                candidates.append(np.bincount(found).argmax())
            rolls.append(min(candidates, key=lambda roll: abs(roll - of_frames[0])))
        return rolls

    np.testing.assert_array_equal(sequence_rolls(t, classes)[:TIMED], sequence_by_sequence())
    taken, peak = (
        seconds(lambda: sequence_rolls(t, classes), repeats=3),
        peak_megabytes(lambda: sequence_rolls(t, classes)),
    )
    loop = seconds(sequence_by_sequence, repeats=2) * SEQUENCES / TIMED
    print(f"\nobserved rolls: {taken:.2f} s, {peak:.0f} MB beside the latents")
    print(f"  {loop / taken:.0f} times as fast as sequence by sequence ({TIMED} timed, scaled to all)")
    assert loop > 10 * taken and peak < 200


@pytest.mark.parametrize("window", [5, 18])
def test_variants_from_sampled_latents(latents, classes, window):
    z, u = (part[:1000] for part in latents)
    weights = grouper_matrix("shifting", frames=FRAMES, units=UNITS, window=window, unit_window=3)
    plain = seconds(lambda: equivariance_error(z), repeats=3)
    print(f"\nwindow {window}, 1,000 sequences, equivariance error of given t {plain:.2f} s; from z and u:")
    for variant in VARIANTS:
        error = seconds(lambda v=variant: latent_equivariance_error(z, u, weights, variant=v), repeats=3)
        peak = peak_megabytes(lambda v=variant: latent_equivariance_error(z, u, weights, variant=v))
        rolls = seconds(lambda v=variant: latent_rolls(z, u, weights, classes=classes[:1000], variant=v), repeats=3)
        print(f"  {variant}: error {error:.2f} s ({error / plain:.1f} times), {peak:.0f} MB; rolls {rolls:.3f} s")
        assert error < 40 * plain and peak < 200
