from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toporep.errors import TopoRepError
from toporep.metrics.dimensionality import effective_dimensionality, weight_dimensionality


def formula(name: str, rows: int, cols: int) -> np.ndarray:
    r, c = np.arange(float(rows))[:, None], np.arange(float(cols))
    waves = np.sin(0.1 * r + 0.37 * c)
    return {
        "a": waves,
        "b": waves + 0.5 * np.cos(0.013 * (r + 1) * (c + 1)),
        "c": 0.05 * np.sin(1.7 * r + 0.9 * c + 0.31 * r * c),
    }[name]


# Weights; units as samples (centered); units as variables (centered); uncentered.
PUBLISHED = {
    ("a", 64): (1.98855890696, 1.98803243875, 1.98897238298),
    ("a", 256): (1.99627759, 1.99653732862, 1.99653359786),
    ("b", 64): (2.86072853655, 2.85393243761, 2.87677869288),
    ("c", 256): (91.481874997, 92.0197532665, 92.0316424764),
}


@pytest.mark.parametrize("case", PUBLISHED)
def test_weights_by_the_papers_definition(case):
    name, inputs = case
    as_samples, as_variables, uncentered = PUBLISHED[case]
    weight = formula(name, 121, inputs)
    assert weight_dimensionality(weight) == pytest.approx(as_variables, rel=1e-10)
    assert weight_dimensionality(weight, variables="inputs") == pytest.approx(as_samples, rel=1e-10)
    for variables in ("units", "inputs"):
        found = weight_dimensionality(weight, variables=variables, centered=False)
        assert found == pytest.approx(uncentered, rel=1e-10)


def test_activations_by_the_papers_definition():
    activations = formula("b", 121, 200).T
    # sin(0.1 u + 0.37 n): units are the first index of the formula.
    assert effective_dimensionality(activations) == pytest.approx(3.03047657237, rel=1e-10)
    assert effective_dimensionality(activations, centered=False) == pytest.approx(3.03224098138, rel=1e-10)


@pytest.mark.parametrize("shape", [(40, 7), (7, 40), (12, 12), (2, 5), (2500, 4), (4, 2500)])
@pytest.mark.parametrize("centered", [True, False])
def test_agrees_with_the_eigenvalues(shape, centered):
    samples = np.random.default_rng(1).normal(2.0, 1.0, shape)
    moments = np.cov(samples, rowvar=False) if centered else samples.T @ samples
    eigenvalues = np.linalg.eigvalsh(moments)
    expected = eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
    assert effective_dimensionality(samples, centered=centered) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("shape", [(50, 8), (8, 50)])
def test_agrees_with_principal_components_of_scikit_learn(shape):
    decomposition = pytest.importorskip("sklearn.decomposition")
    samples = np.random.default_rng(2).gamma(1.0, size=shape)
    variance = decomposition.PCA().fit(samples).explained_variance_
    assert effective_dimensionality(samples) == pytest.approx(variance.sum() ** 2 / (variance**2).sum(), rel=1e-11)


def test_closed_forms():
    # One column of +1 and -1 for each of seven independent directions.
    directions = np.array([[(-1) ** (n >> bit & 1) for bit in range(7)] for n in range(128)], dtype=float)
    assert effective_dimensionality(directions) == pytest.approx(7, rel=1e-14)
    assert effective_dimensionality(directions[:, :1] * np.arange(1, 5)) == pytest.approx(1, rel=1e-14)
    # Variances 1, 4 and 9: 14^2 / (1 + 16 + 81).
    assert effective_dimensionality(directions[:, :3] * [1, 2, 3]) == pytest.approx(2, rel=1e-14)
    # Seven pairs of equal units are seven dimensions, not fourteen.
    assert effective_dimensionality(np.tile(directions, 2)) == pytest.approx(7, rel=1e-14)


def test_white_noise():
    """A random matrix of n samples of p variables has p / (1 + p / n) dimensions, as both become large."""
    samples = np.random.default_rng(3).normal(size=(1200, 300))
    assert effective_dimensionality(samples) == pytest.approx(300 / (1 + 300 / 1200), rel=0.01)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([(30, 6), (6, 30)]), st.booleans())
def test_invariances_and_bounds(seed, shape, centered):
    generator = np.random.default_rng(seed)
    samples = generator.normal(size=shape) @ np.diag(generator.uniform(0.1, 3, shape[1])) + 0.3
    expected = effective_dimensionality(samples, centered=centered)
    assert 1 <= expected <= min(shape[0] - centered, shape[1]) * (1 + 1e-12)
    rotation = np.linalg.qr(generator.normal(size=(shape[1], shape[1])))[0]
    same = [-17 * samples, samples @ rotation, generator.permutation(samples), np.concatenate([samples, samples])]
    same += [np.concatenate([samples, np.zeros((shape[0], 1))], axis=1)]
    if centered:
        same += [samples + generator.normal(size=shape[1])]
    for changed in same:
        assert effective_dimensionality(changed, centered=centered) == pytest.approx(expected, rel=1e-9)


def test_uncentered_matrix_and_its_transpose_have_the_same():
    samples = np.random.default_rng(4).normal(1.0, 1.0, (9, 31))
    assert effective_dimensionality(samples, centered=False) == pytest.approx(
        effective_dimensionality(samples.T, centered=False), rel=1e-12
    )


def test_mean_counts_only_without_centring():
    samples = np.random.default_rng(5).normal(size=(500, 20)) + 100
    assert effective_dimensionality(samples) > 15
    assert effective_dimensionality(samples, centered=False) == pytest.approx(1, abs=0.01)


def test_float32_far_from_zero_keeps_the_digits_of_float64():
    samples = (np.random.default_rng(6).normal(size=(2000, 10)) + 1e4).astype(np.float32)
    exact = samples.astype(np.longdouble)
    exact -= exact.mean(axis=0)
    covariance = exact.T @ exact
    expected = float(np.trace(covariance) ** 2 / (covariance**2).sum())
    assert effective_dimensionality(samples) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("shape", [(60, 4), (4, 60)])
def test_nothing_that_varies_has_no_dimension(shape):
    constant = np.full(shape, 0.1)
    with np.errstate(all="raise"):
        assert np.isnan(effective_dimensionality(constant))
        assert np.isnan(effective_dimensionality(0 * constant, centered=False))
    assert effective_dimensionality(constant, centered=False) == pytest.approx(1)


def test_batch_is_the_models_one_by_one():
    models = np.random.default_rng(7).normal(size=(2, 3, 40, 6)).astype(np.float32)
    before = models.copy()
    together = effective_dimensionality(models)
    assert together.shape == (2, 3) and together.dtype == np.float64
    assert together[1, 2] == effective_dimensionality(models[1, 2])
    assert weight_dimensionality(models)[0, 1] == effective_dimensionality(models[0, 1].T)
    np.testing.assert_array_equal(models, before)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: effective_dimensionality(np.ones(3)), "samples: .*samples, variables"),
        (lambda: effective_dimensionality(np.full((3, 2), np.inf)), "samples: .*6 that are NaN or infinite"),
        (lambda: effective_dimensionality(np.ones((1, 4))), "samples: centring needs at least 2 samples, found 1"),
        (lambda: weight_dimensionality(np.ones((4, 1))), "weight: centring needs at least 2 samples, found 1"),
        (lambda: weight_dimensionality(np.full((4, 2), np.nan)), "weight: .*units, inputs"),
        (lambda: weight_dimensionality(np.eye(4), variables="rows"), "variables: expected one of units, inputs"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(TopoRepError, match=message):
        call()
