from __future__ import annotations

import numpy as np
import pytest

from toporep.errors import TopoRepError
from toporep.metrics.capsule_nulls import null_capsule_correlation, null_equivariance_error, random_direction_error
from toporep.metrics.equivariance import equivariance_error
from toporep.models.grouper import grouper_matrix

MNIST, DSPRITES = (18, 18, 18), (15, 15, 15)
FACTORS = {"position": 15, "scale": 5}


def shifting(shape, window, unit_window):
    return grouper_matrix("shifting", frames=shape[0], units=shape[2], window=window, unit_window=unit_window)


def stationary(shape, window, unit_window):
    return grouper_matrix("stationary", frames=shape[0], units=shape[2], window=window, unit_window=unit_window)


def published(shape, weights, **options):
    return null_equivariance_error(shape, weights, variants=["published"], sequences=48, **options)["published"]


@pytest.mark.parametrize(("size", "value"), [(18, 13270.7018028), (15, 6936.52981559)])
def test_published_error_of_random_directions(size, value):
    assert random_direction_error(size, size, size) == pytest.approx(value, rel=1e-10)


@pytest.mark.parametrize("norm", ["capsule", "whole"])
@pytest.mark.parametrize("shape", [(2, 3, 1), (4, 1, 2), (5, 3, 4), (3, 2, 9)])
def test_error_of_random_directions_is_that_of_many(shape, norm):
    t = np.random.default_rng(0).standard_normal((20_000, *shape))
    errors = equivariance_error(t, norm=norm)
    expected = random_direction_error(*shape, norm=norm)
    assert errors.mean() == pytest.approx(expected, abs=5 * errors.std() / np.sqrt(len(errors)))


@pytest.mark.parametrize(
    ("weights", "value"),
    [
        (shifting(MNIST, 18, 3), 491.9),
        (shifting(MNIST, 13, 3), 918.5),
        (shifting(MNIST, 9, 3), 1339.5),
        (shifting(MNIST, 5, 3), 2207.5),
        (stationary(MNIST, 18, 18), 427.3),
        (stationary(MNIST, 5, 5), 1574.8),
        (None, 13273.1),
    ],
)
def test_error_without_learning_mnist(weights, value):
    assert published(MNIST, weights).mean == pytest.approx(value, rel=0.012)


@pytest.mark.parametrize(
    ("weights", "value"),
    [
        (shifting(DSPRITES, 15, 1), 217.6),
        (shifting(DSPRITES, 10, 1), 930.6),
        (shifting(DSPRITES, 5, 1), 1891.3),
        (stationary(DSPRITES, 15, 15), 221.6),
        (stationary(DSPRITES, 1, 10), 988.7),
        (None, 6934.2),
    ],
)
def test_error_without_learning_dsprites(weights, value):
    assert published(DSPRITES, weights).mean == pytest.approx(value, rel=0.02)


@pytest.mark.parametrize(
    ("weights", "position", "scale"),
    [
        (shifting(DSPRITES, 12, 1), 1.0, 1.0),
        (shifting(DSPRITES, 8, 1), 0.875, 0.993),
        (shifting(DSPRITES, 5, 1), 0.714, 0.803),
        (stationary(DSPRITES, 5, 5), 0.093, 0.513),
        (None, 0.108, 0.511),
    ],
)
def test_correlation_without_learning(weights, position, scale):
    found = null_capsule_correlation(DSPRITES, weights, factors=FACTORS, variants=["published"], sequences=1500)
    rows = {row.factor: row for row in found if not row.omit_zero_shift}
    for factor, value in (("position", position), ("scale", scale)):
        # The published values come from 3,000 sequences.
        spread = np.hypot(0.02, rows[factor].standard_error)
        assert rows[factor].correlation == pytest.approx(value, abs=3 * spread)


def test_disjoint_windows_are_at_chance_without_learning():
    weights = shifting(DSPRITES, 15, 1)
    rows = null_capsule_correlation(DSPRITES, weights, factors=FACTORS, omega="last", sequences=1500)
    for row in rows:
        if row.variant == "published":
            assert row.correlation > 0.99
        elif row.variant.startswith("disjoint") and row.omit_zero_shift:
            assert abs(row.correlation) < 3.5 * row.standard_error
    errors = null_equivariance_error(DSPRITES, weights, sequences=24)
    assert errors["published"].mean < 300
    assert errors["disjoint_windows_without_mu"].mean == pytest.approx(random_direction_error(*DSPRITES), rel=0.03)
    # While mu is there, t is nearly constant within a capsule, whatever the windows.
    assert errors["disjoint_windows"].mean < 0.3 * random_direction_error(*DSPRITES)


def test_any_shape():
    shape = (6, 2, 9)
    weights = grouper_matrix("shifting", frames=6, units=9, window=4, unit_window=3)
    errors = null_equivariance_error(shape, weights, mu=0.0, sequences=40)
    assert errors["published"].mean == errors["without_mu"].mean
    assert all(0 < error.sem < 0.05 * error.mean and error.n == 40 for error in errors.values())
    rows = null_capsule_correlation(shape, weights, factors={"angle": 6}, sequences=40)
    assert [(row.variant, row.omit_zero_shift) for row in rows[:3]] == [
        ("published", False),
        ("published", True),
        ("without_mu", False),
    ]


def test_seed_fixes_the_draws_and_more_sequences_keep_them():
    weights = grouper_matrix("stationary", frames=4, units=5, window=3, unit_window=3)
    few, many, other = (
        null_equivariance_error((4, 2, 5), weights, sequences=count, seed=seed)["published"].mean
        for count, seed in ((32, 1), (64, 1), (32, 2))
    )
    again = null_equivariance_error((4, 2, 5), weights, sequences=32, seed=1)["published"].mean
    assert few == again != other
    # The first 32 of 64 are the same: the mean of 64 lies half-way to the mean of the others.
    generator = np.random.default_rng([1, 0, 1])
    z, u = generator.standard_normal((2, 32, 4, 2, 5), dtype=np.float32)
    v = (u.swapaxes(1, 2).reshape(-1, 20).astype(float) ** 2 @ weights.T).reshape(32, 2, 4, 5).swapaxes(1, 2)
    rest = equivariance_error((z.astype(float) + 30) / np.sqrt(v + 1e-6)).mean()
    assert many == pytest.approx((few + rest) / 2, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: null_equivariance_error((3, 4)), "shape: expected .frames, capsules, units."),
        (lambda: null_equivariance_error((3, 4, 5), sequences=0), "sequences: expected at least 1"),
        (lambda: null_equivariance_error((3, 4, 5), variants=["none"]), "variant: expected one of"),
        (lambda: null_capsule_correlation((3, 4, 5), factors={"x": 4}), "factors: expected 2 to 3 classes"),
        (lambda: random_direction_error(1, 4, 5), "frames: expected at least 2"),
        (lambda: random_direction_error(3, 0, 5), "capsules, units: expected at least 1"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(TopoRepError, match=message):
        call()
