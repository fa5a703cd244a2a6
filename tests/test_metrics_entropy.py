from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from toporep.errors import TopoRepError
from toporep.metrics.entropy import unit_entropy, unit_variance

ESTIMATORS = ["unit_range", "common_range", "gaussian"]


def formula_activations() -> np.ndarray:
    n, u = np.arange(200.0)[:, None], np.arange(121.0)
    return np.sin(0.1 * u + 0.37 * n) + 0.5 * np.cos(0.013 * (u + 1) * (n + 1))


def random_activations(seed: int, shape: tuple[int, ...] = (300, 7)) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(size=shape) * generator.uniform(0.2, 5, shape[-1]) + generator.normal(size=shape[-1])


def test_values_of_the_papers_measure():
    activations = formula_activations()
    assert unit_entropy(activations).mean() == pytest.approx(5.42293389578, abs=1e-10)
    assert unit_entropy(activations, "common_range").mean() == pytest.approx(5.41118358955, abs=1e-10)
    assert unit_entropy(activations, "gaussian").mean() * math.log(2) == pytest.approx(1.18788096608, abs=1e-10)
    assert unit_variance(activations).mean() == pytest.approx(0.63157509108, abs=1e-10)


@pytest.mark.parametrize("bins", [1, 2, 13, 50])
def test_histograms_agree_with_numpy_and_scipy(bins):
    activations = random_activations(1).astype(np.float32)
    of_unit, of_model = [], []
    for column in activations.astype(np.float64).T:
        of_unit.append(scipy.stats.entropy(np.histogram(column, bins)[0], base=2))
        extremes = float(activations.min()), float(activations.max())
        of_model.append(scipy.stats.entropy(np.histogram(column, bins, extremes)[0], base=2))
    np.testing.assert_allclose(unit_entropy(activations, bins=bins), of_unit, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(unit_entropy(activations, "common_range", bins=bins), of_model, rtol=1e-12, atol=1e-14)


def test_gaussian_estimate_is_the_entropy_of_that_normal_distribution():
    activations = random_activations(2)
    nats = scipy.stats.norm(scale=activations.std(axis=0)).entropy()
    np.testing.assert_allclose(unit_entropy(activations, "gaussian") * math.log(2), nats, rtol=1e-12)


def test_fine_histogram_of_normal_values_approaches_the_gaussian_estimate():
    """The entropy of bins of width w is the differential entropy less log2(w), as w becomes small."""
    levels = (np.arange(200_000) + 0.5) / 200_000
    activations = scipy.stats.norm.ppf(levels)[:, None] * [1.0, 3.0]
    width = np.ptp(activations, axis=0) / 400
    np.testing.assert_allclose(
        unit_entropy(activations, bins=400) + np.log2(width), unit_entropy(activations, "gaussian"), atol=1e-3
    )


def test_evenly_spread_values_fill_all_bins_alike():
    # Whole numbers on the edges of bins: each bin holds its lower edge, the last one the greatest value too.
    activations = np.arange(51.0)[:, None] * [1.0, 0.1, 7.0]
    shares = np.array([1] * 49 + [2]) / 51
    np.testing.assert_allclose(unit_entropy(activations), -(shares * np.log2(shares)).sum(), rtol=1e-12)
    assert unit_entropy(np.arange(5000.0)[:, None] % 50)[0] == pytest.approx(math.log2(50), rel=1e-12)


@pytest.mark.parametrize("greatest", [97, 100, 150, 194])
def test_values_on_edges_are_found_there(greatest):
    """Rounding of k / greatest x 50 or of k x (50 / greatest) puts some whole numbers k into the bin below."""
    # Each as often as it is great, so that to move one changes the entropy.
    values = np.repeat(np.arange(greatest + 1), np.arange(greatest + 1) + 1)
    counts = np.bincount(np.minimum(values * 50 // greatest, 49))
    assert unit_entropy(values[:, None])[0] == pytest.approx(scipy.stats.entropy(counts, base=2), rel=1e-12)


def test_float32_values_are_placed_in_double_precision():
    # In single precision the second lies 1000 above the first, which is the edge between two bins.
    activations = np.array([-1000, -1e-5, 500, 1000], dtype=np.float32)[:, None]
    assert unit_entropy(activations, bins=2).tolist() == [1.0]


def test_two_values_that_are_equally_frequent_have_one_bit():
    activations = np.array([[0.0, -7.0, 1e-30], [1.0, 3.0, 2e-30]] * 6)
    assert unit_entropy(activations).tolist() == [1.0, 1.0, 1.0]


def test_dead_unit():
    activations = np.concatenate([random_activations(3), np.full((300, 1), 0.1), np.zeros((300, 1))], axis=1)
    assert unit_variance(activations)[-2:].tolist() == [0, 0] and (unit_variance(activations)[:-2] > 0).all()
    for estimator in ("unit_range", "common_range"):
        assert unit_entropy(activations, estimator)[-2:].tolist() == [0, 0]
    gaussian = unit_entropy(activations, "gaussian")
    assert (gaussian[-2:] == -np.inf).all() and np.isfinite(gaussian[:-2]).all()
    assert unit_entropy(np.full((9, 2), 0.1), "common_range").tolist() == [0, 0]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([-4.0, 0.25, 2.0, 1024.0]))
def test_scale(seed, scale):
    """A histogram of the unit's own range is blind to scale; the others tell it in bits."""
    # Multiples of 1/8 from 0 to 13, none of them on an inner edge of 9 bins: a reflection moves none to another bin.
    activations = np.random.default_rng(seed).integers(0, 105, (60, 3)) / 8
    activations[:2] = [[0.0] * 3, [13.0] * 3]
    expected = unit_entropy(activations, bins=9)
    np.testing.assert_allclose(unit_entropy(activations * scale + 3, bins=9), expected, rtol=1e-12)
    np.testing.assert_allclose(unit_variance(activations * scale), scale**2 * unit_variance(activations), rtol=1e-12)
    difference = unit_entropy(activations * scale, "gaussian") - unit_entropy(activations, "gaussian")
    np.testing.assert_allclose(difference, math.log2(abs(scale)), atol=1e-12)


def test_shrunken_unit_has_less_entropy_on_a_common_range_only():
    unit = random_activations(4, (4000, 1))
    activations = np.concatenate([unit, unit / 8], axis=1)
    own, common = unit_entropy(activations), unit_entropy(activations, "common_range")
    assert own[0] == pytest.approx(own[1], abs=1e-12)
    # An eighth of the bins: about 3 bits less.
    assert common[0] - common[1] == pytest.approx(3, abs=0.3)


def test_range_over_all_models():
    models = np.stack([random_activations(5), 3 * random_activations(6)])
    extremes = (models.min(), models.max())
    shared = unit_entropy(models, "common_range", value_range=extremes)
    for model, found in zip(models, shared, strict=True):
        expected = [scipy.stats.entropy(np.histogram(unit, 50, extremes)[0], base=2) for unit in model.T]
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    # The second model spans the range and the first does not.
    assert (shared[0] < unit_entropy(models[0], "common_range")).all()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_order_of_stimuli_and_batch(estimator):
    models = random_activations(7, (2, 3, 1300, 5)).astype(np.float32)
    together = unit_entropy(models, estimator)
    assert together.shape == (2, 3, 5) and together.dtype == np.float64
    np.testing.assert_array_equal(together[1, 2], unit_entropy(models[1, 2], estimator))
    shuffled = np.random.default_rng(8).permutation(models, axis=2)
    np.testing.assert_allclose(unit_entropy(shuffled, estimator), together, rtol=1e-12)
    np.testing.assert_allclose(unit_variance(models), models.astype(np.float64).var(axis=-2), rtol=1e-12)


@pytest.mark.parametrize("bins", [2, 50])
def test_histogram_is_bounded_by_the_number_of_bins(bins):
    own, common = (unit_entropy(random_activations(9), estimator, bins=bins) for estimator in ESTIMATORS[:2])
    assert own.min() > 0 and common.min() >= 0 and max(own.max(), common.max()) <= math.log2(bins)


def test_input_is_left_as_it_was():
    activations = random_activations(10)
    before = activations.copy()
    for estimator in ESTIMATORS:
        unit_entropy(activations, estimator)
    np.testing.assert_array_equal(activations, before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": "kde"}, "estimator: expected one of unit_range, common_range, gaussian, found 'kde'"),
        ({"bins": 0}, "bins: expected an integer of at least 1, found 0"),
        ({"bins": 2.5}, "bins: expected an integer of at least 1, found 2.5"),
        ({"value_range": (0, 1)}, "value_range: expected only with estimator 'common_range', found with 'unit_range'"),
        ({"estimator": "common_range", "value_range": (0, 0.5)}, r"value_range: .*hold all.*\[0.0, 1.0\].*\(0, 0.5\)"),
        ({"estimator": "common_range", "value_range": (0.5, 2)}, "value_range: expected it to hold all activations"),
        ({"estimator": "common_range", "value_range": (1, 1)}, r"two finite numbers, found \(1, 1\)"),
        ({"estimator": "common_range", "value_range": (0, math.inf)}, "two finite numbers"),
        ({"estimator": "common_range", "value_range": 3}, "two finite numbers, found 3"),
    ],
)
def test_refuses_options(options, message):
    with pytest.raises(TopoRepError, match=message):
        unit_entropy(np.eye(4), **options)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("activations", [np.full((3, 2), np.nan), np.ones(3), np.ones((0, 3)), np.ones((2, 2)) * 1j])
def test_refuses_activations(activations, estimator):
    with pytest.raises(TopoRepError, match="activations: expected finite real numbers"):
        unit_entropy(activations, estimator)
