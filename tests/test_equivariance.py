from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toporep.errors import TopoRepError
from toporep.metrics.equivariance import equivariance_error

NORMS = ("capsule", "whole")


def wave(*shape: int) -> np.ndarray:
    return np.sin(0.61 * np.arange(np.prod(shape)) + 0.3).reshape(shape) + 0.2


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def rolling(first: np.ndarray, frames: int, *, step: int = 1) -> np.ndarray:
    """Frames in which (capsules, units) roll by `step` units a frame."""
    return np.stack([np.roll(first, step * frame, axis=-1) for frame in range(frames)])


def by_loops(t: np.ndarray, norm: str) -> float:
    """Equation 13, pair by pair and unit by unit, for one sequence."""
    frames, capsules, units = t.shape
    scaled = np.array(t, dtype=np.float64)
    for frame in scaled:
        for part in frame if norm == "capsule" else [frame]:
            part /= np.sqrt(sum(float(value) ** 2 for value in part.ravel()))
    error = 0.0
    for early, late in itertools.combinations(range(frames), 2):
        for capsule, unit in itertools.product(range(capsules), range(units)):
            rolled = scaled[early, capsule, (unit - (late - early)) % units]
            error += abs(rolled - scaled[late, capsule, unit])
    return error


@pytest.mark.parametrize(("norm", "published"), [("capsule", 118.928302318), ("whole", 67.7805567836)])
def test_published_value(norm, published):
    assert equivariance_error(wave(2, 6, 3, 6), norm=norm).mean() == pytest.approx(published, abs=1e-8)


@pytest.mark.parametrize(("step", "published"), [(1, 0.0), (-1, 104.422836235), (0, 114.035384103)])
def test_published_values_of_perfect_reversed_and_unchanging_sequences(step, published):
    assert equivariance_error(rolling(wave(3, 6), 6, step=step)) == pytest.approx(published, abs=1e-8)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("shape", [(6, 3, 6), (2, 1, 5), (7, 2, 3), (4, 3, 9), (5, 2, 1)])
def test_is_the_sum_over_all_pairs(shape, norm):
    t = noise(0, 3, *shape)
    expected = [by_loops(sequence, norm) for sequence in t]
    np.testing.assert_allclose(equivariance_error(t, norm=norm), expected, rtol=1e-12, atol=1e-14)


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 9), st.integers(1, 4), st.integers(1, 9), st.integers(0, 99), st.sampled_from(NORMS))
def test_no_error_where_capsules_roll_by_one_unit_a_frame(frames, capsules, units, seed, norm):
    t = rolling(noise(seed, capsules, units), frames)
    assert equivariance_error(t, norm=norm) == 0
    assert equivariance_error(t.astype(np.float32), norm=norm) == 0


def test_what_changes_nothing():
    t = noise(1, 4, 6, 3, 5)
    error = equivariance_error(t)
    size = np.random.default_rng(2).uniform(0.1, 10, (4, 6, 3, 1))
    np.testing.assert_allclose(equivariance_error(size * t), error, rtol=1e-12)
    np.testing.assert_allclose(equivariance_error(-1e-100 * t), error, rtol=1e-12)
    np.testing.assert_allclose(equivariance_error(t[:, :, [2, 0, 1]]), error, rtol=1e-12)
    np.testing.assert_allclose(equivariance_error(np.roll(t, 2, axis=-1)), error, rtol=1e-12)
    # Backward in time, a roll goes to lower units.
    np.testing.assert_allclose(equivariance_error(t[:, ::-1, :, ::-1]), error, rtol=1e-12)
    # A norm of the whole frame leaves the capsules' relative sizes.
    assert not np.allclose(equivariance_error(size * t, norm="whole"), equivariance_error(t, norm="whole"), rtol=1e-3)


def test_cyclic_shift_in_time_changes_nothing_just_where_frames_and_units_are_as_many():
    for units, same in ((6, True), (5, False)):
        t = noise(3, 6, 3, units)
        assert np.isclose(equivariance_error(np.roll(t, 2, axis=0)), equivariance_error(t), rtol=1e-12) == same


def test_single_precision():
    t = noise(4, 20, 18, 18, 18)
    for values in (t, t + 30):
        single = values.astype(np.float32)
        # What float32 has rounded stays; the sums themselves are in double precision.
        np.testing.assert_array_equal(equivariance_error(single), equivariance_error(single.astype(np.float64)))
        np.testing.assert_allclose(equivariance_error(single), equivariance_error(values), rtol=1e-5)


def test_batch_is_the_sequences_one_by_one():
    t = noise(5, 2, 40, 18, 9, 18).astype(np.float32)
    errors = equivariance_error(t)
    assert errors.shape == (2, 40) and errors.dtype == np.float64
    np.testing.assert_allclose(errors[1, 37], equivariance_error(t[1, 37]), rtol=1e-14)
    assert equivariance_error(t[:, :0]).shape == (2, 0)


def test_capsule_of_zeros_has_no_direction():
    t = noise(6, 2, 4, 3, 5)
    t[1, 2, 1] = 0
    assert np.isnan(equivariance_error(t)).tolist() == [False, True]
    assert not np.isnan(equivariance_error(t, norm="whole")).any()


@pytest.mark.parametrize(
    ("t", "options", "message"),
    [
        (np.ones((1, 3, 5)), {}, "frames: expected at least 2"),
        (np.ones((3, 5)), {}, "t: .*frames, capsules, units"),
        (np.full((2, 3, 5), np.nan), {}, "t: .*30 that are NaN or infinite"),
        (np.ones((2, 3, 5)), {"norm": "unit"}, "norm: expected one of capsule, whole, found 'unit'"),
    ],
)
def test_refuses(t, options, message):
    with pytest.raises(TopoRepError, match=message):
        equivariance_error(t, **options)
