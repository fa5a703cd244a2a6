from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toporep.errors import TopoRepError
from toporep.metrics.capsule_roll import (
    capsule_correlation,
    correlation_error,
    cyclic_classes,
    observed_roll,
    sequence_rolls,
)


def wave(*shape: int) -> np.ndarray:
    return np.sin(0.61 * np.arange(np.prod(shape)) + 0.3).reshape(shape) + 0.2


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def roll_by_loops(t0: np.ndarray, t_omega: np.ndarray) -> int:
    """Mode over capsules of the argmax of the circular cross-correlation, the smallest of equal ones."""
    capsules, units = t0.shape
    found = []
    for capsule in range(capsules):
        sums = [sum(t0[capsule, (n + k) % units] * t_omega[capsule, n] for n in range(units)) for k in range(units)]
        found.append(sums.index(max(sums)))
    return min(set(found), key=lambda roll: (-found.count(roll), roll))


def sequence_roll_by_loops(t: np.ndarray, classes: np.ndarray) -> int:
    candidates = [roll_by_loops(t[0], t[frame]) for frame in range(len(t)) if classes[frame] == 0]
    return min(candidates, key=lambda roll: abs(roll - classes[0]))


def test_argmax_of_the_published_correlation():
    unit = np.arange(7)
    x, y = np.sin(0.9 * unit + 0.2), np.sin(1.3 * unit + 0.5)
    assert observed_roll(x[None], y[None]) == 2
    rolled = np.stack([np.roll(x, shift)[None] for shift in range(7)])
    np.testing.assert_array_equal(observed_roll(rolled, np.broadcast_to(x, (7, 1, 7))), range(7))


def test_rolls_of_the_published_sequences():
    t = wave(10, 6, 3, 6)
    for sequence in t[:6]:
        sequence[:] = [np.roll(sequence[0], frame, axis=-1) for frame in range(6)]
    sizes = np.array([3, 2, 6, 6, 6])
    factor, start = np.array([1, 1, 2, 2, 3, 3, 4, 4, 1, 2]), np.array([0, 1, 0, 3, 5, 2, 4, 1, 1, 5])
    classes = (start[:, None] + np.arange(6)) % sizes[factor][:, None]
    rolls = sequence_rolls(t, classes)
    expected = {1: [0, 1, 1], 2: [0, 3, 5], 3: [5, 2], 4: [3, 4]}
    true = {1: [0, 1, 1], 2: [0, 3, 5], 3: [5, 2], 4: [4, 1]}
    for changed in expected:
        assert rolls[factor == changed].tolist() == expected[changed]
        assert classes[factor == changed, 0].tolist() == true[changed]
    # The mode over the three capsules, at each of the frames with class 0 of the ninth sequence.
    assert [int(observed_roll(t[8, 0], t[8, frame])) for frame in (1, 3, 5)] == [5, 1, 5]


def test_published_correlation():
    observed, true = np.array([0, 1, 2, 3, 4, 5, 0, 1, 3, 3]), np.array([0, 1, 2, 3, 4, 5, 0, 2, 2, 3])
    assert capsule_correlation(observed, true) == pytest.approx(0.960143218484, abs=1e-12)
    assert capsule_correlation(observed, true, omit_zero_shift=True) == pytest.approx(
        np.corrcoef(observed[true > 0], true[true > 0])[0, 1], abs=1e-12
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("capsules", "units"), [(1, 4), (5, 3), (4, 8), (9, 15)])
def test_roll_is_that_of_plain_loops(capsules, units, dtype):
    t0, t_omega = noise(0, 2, 60, capsules, units).astype(dtype)
    expected = [roll_by_loops(*pair) for pair in zip(t0.astype(float), t_omega.astype(float), strict=True)]
    np.testing.assert_array_equal(observed_roll(t0, t_omega), expected)
    assert len(set(expected)) > 1


@pytest.mark.parametrize(("frames", "size"), [(15, 15), (15, 5), (6, 6), (6, 4)])
def test_roll_of_a_sequence_is_that_of_plain_loops(frames, size):
    t = noise(1, 40, frames, 3, 7)
    classes = cyclic_classes(np.random.default_rng(2).integers(size, size=40), frames, size=size)
    expected = [sequence_roll_by_loops(*pair) for pair in zip(t, classes, strict=True)]
    np.testing.assert_array_equal(sequence_rolls(t, classes), expected)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 5), st.integers(2, 12), st.integers(-20, 20), st.integers(0, 99))
def test_exact_rolls_are_found(capsules, units, shift, seed):
    t = noise(seed, capsules, units)
    assert observed_roll(np.roll(t, shift, axis=-1), t) == shift % units
    # Size and mean of a capsule change nothing.
    assert observed_roll(3 * np.roll(t, shift, axis=-1) + 30, t - 5) == shift % units


@pytest.mark.parametrize("omega", ["nearest", "last"])
@pytest.mark.parametrize(("frames", "size"), [(15, 15), (18, 18), (15, 5), (18, 6)])
def test_perfect_sequences_have_a_correlation_of_one(frames, size, omega):
    shifts = np.arange(60) % size
    first = noise(3, 60, 4, frames)
    t = np.stack([np.roll(first, frame, axis=-1) for frame in range(frames)], axis=1)
    classes = cyclic_classes(shifts, frames, size=size)
    np.testing.assert_array_equal(sequence_rolls(t, classes, omega=omega), shifts)
    assert capsule_correlation(sequence_rolls(t, classes, omega=omega), shifts) == 1.0


def test_capsules_that_roll_to_lower_units_have_a_correlation_of_minus_one():
    shifts = np.arange(45) % 15
    t = np.stack([np.roll(noise(3, 45, 4, 15), -frame, axis=-1) for frame in range(15)], axis=1)
    rolls = sequence_rolls(t, cyclic_classes(shifts, 15, size=15))
    np.testing.assert_array_equal(rolls, -shifts % 15)
    assert capsule_correlation(rolls, shifts, omit_zero_shift=True) == pytest.approx(-1.0, abs=1e-12)


def test_where_a_factor_repeats_the_nearest_roll_counts_or_the_last():
    t = np.zeros((1, 6, 1, 6))
    # Seen from frames 1, 3 and 5, where the class is 0, the first frame has rolled by 5, 2 and 4.
    t[0, 0, 0, 5] = t[0, 1, 0, 0] = t[0, 3, 0, 3] = t[0, 5, 0, 1] = 1
    classes = np.array([[1, 0, 1, 0, 1, 0]])
    assert sequence_rolls(t, classes) == [2]
    assert sequence_rolls(t, classes, omega="last") == [4]
    # The first frame itself where that has class 0.
    assert sequence_rolls(t, 1 - classes, omega="last") == [0]


def test_of_equally_near_rolls_the_first_frame_counts():
    t = np.zeros((1, 6, 1, 6))
    t[0, 0, 0, 5] = t[0, 1, 0, 1] = t[0, 4, 0, 3] = 1
    # 4 and 2 are as far from 3.
    assert sequence_rolls(t, np.array([[3, 0, 1, 2, 0, 4]])) == [4]


def test_ties_between_rolls_and_between_capsules():
    constant, periodic = np.full(6, 0.1), np.array([1, -1, 1, -1, 1, -1])
    assert observed_roll(constant[None], noise(4, 1, 6)) == 0
    # A wave of two units rolled by 3 might as well have rolled by 1 or by 5.
    assert observed_roll(0.1 * np.roll(periodic, 3)[None] + 7, periodic[None]) == 1
    # Whatever the rounding: five units, repeated three times.
    repeated = np.tile(noise(5, 500, 1, 5), 3)
    np.testing.assert_array_equal(observed_roll(np.roll(repeated, 12, axis=-1), repeated), 2)
    t = noise(5, 4, 6)
    for shifts, mode in (((5, 2, 5, 2), 2), ((4, 3, 1, 2), 1), ((0, 3, 3, 1), 3)):
        rolled = np.stack([np.roll(capsule, shift) for capsule, shift in zip(t, shifts, strict=True)])
        assert observed_roll(rolled, t) == mode


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 17), st.integers(0, 17)), min_size=2, max_size=40))
def test_correlation_is_numpys(pairs):
    rolls, shifts = np.array(pairs).T
    if min(np.ptp(rolls), np.ptp(shifts)) == 0:
        assert np.isnan(capsule_correlation(rolls, shifts))
    else:
        assert capsule_correlation(rolls, shifts) == pytest.approx(np.corrcoef(rolls, shifts)[0, 1], abs=1e-12)


def test_correlation_of_many_runs():
    generator = np.random.default_rng(6)
    rolls, shifts = generator.integers(15, size=(3, 2, 50)), generator.integers(15, size=50)
    rolls[1, 1] = 4
    for omit in (False, True):
        together = capsule_correlation(rolls, shifts, omit_zero_shift=omit)
        kept = shifts > 0 if omit else slice(None)
        with np.errstate(invalid="ignore"):
            expected = [[np.corrcoef(run[kept], shifts[kept])[0, 1] for run in runs] for runs in rolls]
        np.testing.assert_allclose(together, expected, atol=1e-12)
    assert np.isnan(capsule_correlation([0, 0], [1, 2])) and np.isnan(capsule_correlation([3], [2]))
    assert np.isnan(capsule_correlation([0, 4], [0, 2], omit_zero_shift=True))


@pytest.mark.parametrize("omit", [False, True])
def test_standard_error_is_the_spread_over_repeated_experiments(omit):
    generator = np.random.default_rng(7)
    shifts = generator.integers(15, size=(2000, 300))
    rolls = np.where((shifts == 0) | (generator.random(shifts.shape) < 0.4), shifts, generator.integers(15, size=(300)))
    found = capsule_correlation(rolls, shifts, omit_zero_shift=omit)
    errors = correlation_error(rolls, shifts, omit_zero_shift=omit)
    assert np.median(errors) == pytest.approx(found.std(), rel=0.06)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: observed_roll(np.ones((2, 3)), np.ones((2, 4))), r"t_omega: expected the shape of t0, \(2, 3\)"),
        (lambda: observed_roll(np.ones(3), np.ones(3)), "t0: .*capsules, units"),
        (lambda: observed_roll(np.full((2, 3), np.inf), np.ones((2, 3))), "t0: .*NaN or infinite"),
        (lambda: sequence_rolls(wave(6, 3, 6), np.zeros((1, 6), int)), "t: expected .*found shape"),
        (
            lambda: sequence_rolls(wave(2, 6, 3, 6), np.zeros((2, 5), int)),
            r"classes: expected integers of shape \(2, 6",
        ),
        (lambda: sequence_rolls(wave(2, 6, 3, 6), np.zeros((2, 6))), "classes: expected integers"),
        (
            lambda: sequence_rolls(wave(3, 4, 3, 6), np.array([[0, 1, 2, 3], [1, 2, 3, 4], [3, 0, 1, 2]])),
            "classes: .*none in 1 of 3 sequences, the first at index 1",
        ),
        (lambda: sequence_rolls(wave(1, 4, 3, 6), np.zeros((1, 4), int), omega="first"), "omega: expected one of"),
        (lambda: capsule_correlation([0.5, 1], [0, 1]), "rolls: expected integers"),
        (lambda: capsule_correlation([1, 2, 3], [0, 1]), "shifts: expected one for each roll"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(TopoRepError, match=message):
        call()
