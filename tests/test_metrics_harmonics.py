from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from toporep.errors import TopoRepError
from toporep.metrics.harmonics import (
    NO_CYCLE,
    PHASE_CLASSES,
    dominant_harmonic,
    expected_agreement,
    harmonic_power,
    label_shares,
    neighborhood_agreement,
    phase_chance,
    phase_class,
    preferred_angle,
    share_beyond,
    transition_shares,
)
from toporep.sheet import neighbor_lists

GRID = (11, 11)
UNIT = np.arange(121)
ROW, COL = np.divmod(UNIT, 11)
ANGLE = np.radians(10.0 * np.arange(36))[:, None]


def formula_responses() -> np.ndarray:
    """(36, 121): a unit's own cycle, a weaker one of cycle 1 to 5, a chirp, and cycle 9."""
    k = np.arange(36.0)[:, None]
    own = 1 + (COL // 2 + ROW // 3) % 5
    return (
        3
        + np.cos(2 * np.pi * own * k / 36 - 0.2 * UNIT)
        + 0.4 * np.cos(2 * np.pi * (1 + UNIT % 5) * k / 36 + 0.7)
        + 0.1 * np.sin(0.05 * k * k + UNIT)
        + np.where(UNIT % 13 == 0, 1.5, 0.3) * np.cos(2 * np.pi * 9 * k / 36)
    )


def test_power_of_the_papers_definition():
    power = harmonic_power(formula_responses())
    assert power.shape == (18, 121)
    expected = {
        0: [581.160144665, 0.105347198837, 0.165187891111, 0.200027862453, 0.156353369229],
        17: [0.175354986051, 0.236004590681, 52.9445010188, 325.279886844, 0.124554600266],
        60: [50.3661868164, 0.145126112216, 0.182102292488, 339.23515658, 0.142077698546],
    }
    for unit, values in expected.items():
        assert power[:5, unit] == pytest.approx(values, rel=1e-9)
    top = np.sort(power[:5], axis=0)
    assert (top[-1] / top[-2]).min() == pytest.approx(5.35879497661, rel=1e-9)


def test_dominant_harmonics_of_the_papers_definition():
    responses = formula_responses()
    labels = dominant_harmonic(responses)
    assert labels[:22].tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 1]
    assert np.bincount(labels).tolist() == [0, 25, 25, 25, 24, 22]
    assert label_shares(labels, range(6)) == pytest.approx(np.array([0, 25, 25, 25, 24, 22]) / 121)
    everything = np.bincount(dominant_harmonic(responses, max_cycle=None))
    assert everything.tolist() == [0, 22, 22, 23, 23, 21, 0, 0, 0, 10]
    assert share_beyond(responses) == pytest.approx(10 / 121)
    assert share_beyond(responses, max_cycle=9) == 0


def test_angles_and_agreement_of_the_papers_definition():
    responses = formula_responses()
    labels = dominant_harmonic(responses)
    angles = preferred_angle(responses, labels)[[0, 17, 60]]
    assert angles == pytest.approx([349.33702438, 49.0944675324, 81.9805469592], abs=1e-8)
    agreement = neighborhood_agreement(labels, GRID)
    assert agreement.mean() == pytest.approx(0.525344352617, abs=1e-11)
    assert agreement.std() == pytest.approx(0.147754063982, abs=1e-11)


def test_power_is_that_of_the_discrete_fourier_sum():
    responses = np.random.default_rng(0).normal(size=(7, 3))
    for unit, cycle in itertools.product(range(3), range(1, 4)):
        terms = [responses[k, unit] * np.exp(-2j * np.pi * cycle * k / 7) for k in range(7)]
        assert harmonic_power(responses)[cycle - 1, unit] == pytest.approx(abs(sum(terms)) ** 2, rel=1e-12)


def test_power_and_variance():
    """Parseval: the powers of both signs of every cycle sum to n^2 times the variance."""
    responses = np.random.default_rng(1).normal(2.0, 3.0, (36, 20))
    power = harmonic_power(responses)
    np.testing.assert_allclose(2 * power[:-1].sum(axis=0) + power[-1], 36**2 * responses.var(axis=0), rtol=1e-12)


@pytest.mark.parametrize("cycle", range(1, 18))
def test_a_pure_cosine(cycle):
    turns = (cycle * np.arange(36) % 36)[:, None] / 36
    for preferred in np.linspace(0, 360 / cycle, 7, endpoint=False):
        responses = 5 + 2 * np.cos(2 * np.pi * turns - np.radians(cycle * preferred))
        power = harmonic_power(responses)[:, 0]
        assert power[cycle - 1] == pytest.approx((2 * 36 / 2) ** 2, rel=1e-12)
        assert np.delete(power, cycle - 1).max() < 1e-25
        assert dominant_harmonic(responses, max_cycle=None).tolist() == [cycle]
        assert dominant_harmonic(responses).tolist() == [cycle if cycle <= 5 else NO_CYCLE]
        error = (preferred_angle(responses, cycle)[0] - preferred + 180 / cycle) % (360 / cycle) - 180 / cycle
        assert error == pytest.approx(0, abs=1e-9)


def test_turning_the_stimuli_turns_the_preferred_angle_alone():
    responses = formula_responses()
    labels, angles = dominant_harmonic(responses), None
    for steps in range(37):
        turned = np.roll(responses, steps, axis=0)
        np.testing.assert_array_equal(dominant_harmonic(turned), labels)
        angles = preferred_angle(responses, labels) + 10.0 * steps
        difference = (preferred_angle(turned, labels) - angles + 180 / labels) % (360 / labels) - 180 / labels
        np.testing.assert_allclose(difference, 0, atol=1e-9)


@settings(deadline=None, max_examples=50)
@given(
    arrays(np.float64, (36, 4), elements=st.integers(-100, 100).map(float)),
    st.sampled_from([0.25, 3.0, 1e-150, 1e100]),
    st.integers(-1000, 1000),
)
def test_gain_and_offset_of_a_unit_change_nothing(responses, gain, offset):
    labels = dominant_harmonic(responses)
    changed = gain * (responses + offset)
    # Rounding may decide between cycles of equal power, not more.
    power = harmonic_power(responses)[:5]
    chosen = np.take_along_axis(power, np.maximum(dominant_harmonic(changed), 1)[None] - 1, axis=0)[0]
    np.testing.assert_allclose(chosen, power.max(axis=0), rtol=1e-9, atol=1e-6)
    np.testing.assert_array_equal(dominant_harmonic(changed) == NO_CYCLE, labels == NO_CYCLE)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e30])
def test_constant_units_have_no_harmonic(dtype, value):
    responses = np.full((36, 2), value, dtype=dtype)
    # As a constant comes out of a network: equal but for the last bit.
    responses[::3, 1] = np.nextafter(responses[0, 1], dtype(np.inf)) if value else 0
    assert not harmonic_power(responses).any()
    assert dominant_harmonic(responses).tolist() == [NO_CYCLE, NO_CYCLE]
    assert np.isnan(preferred_angle(responses, dominant_harmonic(responses))).all()
    assert np.isnan(preferred_angle(responses, 2)).all()
    assert share_beyond(responses) == 0


def test_weak_tuning_on_a_strong_mean_is_seen_in_single_precision():
    responses = (1 + 1e-5 * np.cos(3 * ANGLE)).astype(np.float32)
    assert dominant_harmonic(responses).tolist() == [3]
    np.testing.assert_allclose(harmonic_power(responses)[2], (18e-5) ** 2, rtol=0.02)


def test_sums_are_in_double_precision_whatever_the_input():
    single = np.random.default_rng(4).normal(size=(36, 50)).astype(np.float32)
    np.testing.assert_allclose(harmonic_power(single), harmonic_power(single.astype(np.float64)), rtol=1e-12)


def test_preferred_angles_stay_below_the_period():
    """Responses symmetric about 0 degrees prefer angle 0, which rounding may put a hair below."""
    half = np.random.default_rng(5).normal(size=(19, 500))
    responses = np.concatenate([half, half[17:0:-1]])
    for cycle in range(1, 19):
        angles = preferred_angle(responses, cycle)
        assert angles.min() >= 0 and angles.max() < 360 / cycle


def test_batch_of_models_is_the_models_one_by_one():
    models = np.random.default_rng(2).normal(size=(2, 3, 36, 12)).astype(np.float32)
    labels = dominant_harmonic(models)
    angles, agreement = preferred_angle(models, labels), neighborhood_agreement(labels, (3, 4))
    assert labels.shape == angles.shape == agreement.shape == (2, 3, 12)
    assert share_beyond(models).shape == expected_agreement(labels).shape == (2, 3)
    shares, moves = label_shares(labels, range(6)), transition_shares(labels, labels[::-1], range(6))
    assert shares.shape == (2, 3, 6) and moves.shape == (2, 3, 6, 6)
    for a, b in np.ndindex(2, 3):
        one = dominant_harmonic(models[a, b])
        np.testing.assert_array_equal(labels[a, b], one)
        np.testing.assert_array_equal(angles[a, b], preferred_angle(models[a, b], one))
        np.testing.assert_array_equal(agreement[a, b], neighborhood_agreement(one, (3, 4)))
        assert share_beyond(models)[a, b] == share_beyond(models[a, b])
        assert expected_agreement(labels)[a, b] == expected_agreement(one)
        np.testing.assert_array_equal(shares[a, b], label_shares(one, range(6)))
        np.testing.assert_array_equal(moves[a, b], transition_shares(one, labels[1 - a, b], range(6)))


@pytest.mark.parametrize(
    ("labels", "mean", "deviation"),
    [
        (1 + (ROW * ROW + 2 * COL) % 5, 0.138016528926, 0.110132300865),
        (np.where(COL < 5, 2, 4), 0.930991735537, 0.14644636261),
        (np.full(121, 3), 1.0, 0.0),
    ],
)
def test_agreement_of_label_maps(labels, mean, deviation):
    agreement = neighborhood_agreement(labels, GRID)
    assert agreement.mean() == pytest.approx(mean, abs=1e-11)
    assert agreement.std() == pytest.approx(deviation, abs=1e-11)


@pytest.mark.parametrize("grid", [(11, 11), (4, 7), (1, 6), (6, 1), (2, 2)])
def test_agreement_is_the_share_of_each_units_neighbors(grid):
    labels = np.random.default_rng(3).integers(0, 4, grid[0] * grid[1])
    expected = [
        np.mean([labels[near] == labels[unit] != NO_CYCLE for near in neighbors])
        for unit, neighbors in enumerate(neighbor_lists(grid))
    ]
    np.testing.assert_allclose(neighborhood_agreement(labels, grid), expected, rtol=1e-15)


def test_units_without_a_harmonic_agree_with_nothing():
    assert not neighborhood_agreement(np.zeros(121, dtype=int), GRID).any()
    assert expected_agreement(np.zeros(121, dtype=int)) == 0
    one = np.zeros(121, dtype=int)
    one[[60, 61]] = 2
    assert neighborhood_agreement(one, GRID)[[60, 61]].tolist() == [1 / 8, 1 / 8]


@pytest.mark.parametrize("labels", [[1, 1, 2, 2, 2, 4], [0, 0, 3, 3, 3, 5], [1, 2, 3, 4, 5, 0]])
def test_expected_agreement_is_the_mean_over_all_relabellings(labels):
    arrangements = np.array(list(itertools.permutations(labels)))
    for grid in ((2, 3), (1, 6)):
        agreement = neighborhood_agreement(arrangements, grid)
        np.testing.assert_allclose(agreement.mean(axis=0), expected_agreement(np.array(labels)), rtol=1e-12)


def test_expected_agreement_of_one_label_and_of_equal_shares():
    assert expected_agreement(np.full(121, 2)) == 1
    # 5 labels of 24 units each: (24 - 1) / (120 - 1), a little below 1 / 5.
    assert expected_agreement(np.arange(120) % 5 + 1) == pytest.approx(23 / 119)


@pytest.mark.parametrize(
    ("cycle", "angles", "names"),
    [
        (2, [0, 10, 170, 180, 350, 10.001, 169.999], ["horizontal"] * 5 + ["other"] * 2),
        (2, [90, 80, 100, 270, 79.999, 100.001], ["vertical"] * 4 + ["other"] * 2),
        (2, [45, 35, 55, 135, 125, 145, 34.999, 55.001, 124.999], ["diagonal"] * 6 + ["other"] * 3),
        (
            4,
            [0, 10, 80, 90, 10.001, 79.999, 35, 55, 45, 34.999],
            ["cardinal"] * 4 + ["other"] * 2 + ["diagonal"] * 3 + ["other"],
        ),
    ],
)
def test_phase_classes(cycle, angles, names):
    classes = phase_class(np.array(angles, dtype=float), cycle)
    assert [PHASE_CLASSES[cycle][code] for code in classes] == names


def test_tolerance_is_inclusive_for_angles_with_rounding():
    for wedge, cycle in itertools.product(range(36), (2, 4)):
        responses = np.cos(cycle * (ANGLE - ANGLE[wedge]))
        angle = 10 * wedge % (360 // cycle)
        centers = [0, 45, 90, 135] if cycle == 2 else [0, 45]
        near = min(min((angle - c) % (360 // cycle), (c - angle) % (360 // cycle)) for c in centers) <= 10
        found = phase_class(preferred_angle(responses, cycle), cycle)[0]
        assert (PHASE_CLASSES[cycle][found] != "other") == near


def test_units_of_other_cycles_have_no_phase_class():
    responses = formula_responses()
    labels = dominant_harmonic(responses)
    angles = np.where(labels == 2, preferred_angle(responses, labels), np.nan)
    classes = phase_class(angles, 2)
    np.testing.assert_array_equal(classes == -1, labels != 2)
    assert np.count_nonzero(classes >= 0) == 25


@pytest.mark.parametrize("cycle", [2, 4])
@pytest.mark.parametrize("tolerance", [0.0, 5.0, 10.0, 22.4])
def test_chance_is_the_share_of_uniform_angles(cycle, tolerance):
    angles = np.linspace(0, 360 / cycle, 180_000, endpoint=False) + 1e-4
    found = label_shares(phase_class(angles, cycle, tolerance_deg=tolerance), range(len(PHASE_CLASSES[cycle])))
    np.testing.assert_allclose(found, phase_chance(cycle, tolerance_deg=tolerance), atol=3e-5)


def test_chance_shares_of_ten_degrees():
    assert phase_chance(2) == pytest.approx([1 / 9, 1 / 9, 2 / 9, 5 / 9])
    assert phase_chance(4) == pytest.approx([2 / 9, 2 / 9, 5 / 9])


def test_transitions_to_the_control_stimuli():
    hard, control = np.array([4, 4, 4, 2]), np.array([4, 2, 0, 2])
    shares = transition_shares(hard, control, range(6))
    assert shares[4, 4] == shares[4, 2] == shares[4, 0] == shares[2, 2] == 0.25
    assert shares.sum() == 1
    assert 1 - np.trace(shares) == np.mean(hard != control)
    np.testing.assert_array_equal(shares.sum(axis=1), label_shares(hard, range(6)))
    np.testing.assert_array_equal(shares.sum(axis=0), label_shares(control, range(6)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dominant_harmonic(np.full((36, 2), np.nan)), "responses: .*72 that are NaN or infinite"),
        (lambda: dominant_harmonic(np.ones(36)), "responses: .*stimuli, units"),
        (lambda: harmonic_power(np.ones((1, 3))), "responses: harmonics need at least 2 stimuli, found 1"),
        (lambda: dominant_harmonic(np.ones((36, 2)), max_cycle=19), "max_cycle: expected 1 to 18"),
        (lambda: dominant_harmonic(np.ones((36, 2)), max_cycle=0), "max_cycle: "),
        (lambda: share_beyond(np.ones((36, 2)), max_cycle=19), "max_cycle: "),
        (lambda: share_beyond(np.ones(36)), "responses: .*stimuli, units"),
        (
            lambda: preferred_angle(np.ones((36, 2)), np.array([1, 2, 3])),
            r"cycles: expected one for each unit, .*\(2,\)",
        ),
        (lambda: preferred_angle(np.ones((36, 2)), 19), "cycles: expected 0 to 18, found 19 to 19"),
        (lambda: preferred_angle(np.ones((36, 2)), -1), "cycles: expected 0 to 18"),
        (lambda: preferred_angle(np.ones((36, 2)), 2.0), "cycles: expected integers"),
        (lambda: phase_class(np.zeros(3), 3), "cycle: phase classes are defined for 2 and 4, found 3"),
        (lambda: phase_class(np.zeros(3), 2, tolerance_deg=22.5), "tolerance_deg: "),
        (lambda: phase_chance(4, tolerance_deg=math.nan), "tolerance_deg: "),
        (
            lambda: neighborhood_agreement(np.ones(120, dtype=int), GRID),
            "a sheet of 11 x 11 has 121 units .* found 120",
        ),
        (lambda: neighborhood_agreement(np.ones(121), GRID), "labels: expected integers"),
        (lambda: neighborhood_agreement(np.ones(1, dtype=int), (1, 1)), "labels: "),
        (lambda: expected_agreement(np.ones(1, dtype=int)), "labels: expected at least 2 units, found 1"),
        (lambda: label_shares(np.array(3), [3]), "labels: expected integers with dimensions"),
        (lambda: transition_shares(np.ones(3, int), np.ones(2, int), [1]), "control_labels: expected the shape"),
        (lambda: transition_shares(np.ones(3, int), np.zeros(3, int), [1]), "control_labels: expected only 1, found 0"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(TopoRepError, match=message):
        call()
