from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats

from toporep.errors import TopoRepError
from toporep.metrics import quantiles, summarize

VALUES = np.random.default_rng(0).normal(size=(10, 3))
VALUES[[1, 4], 0] = np.nan
VALUES[1:, 1] = np.nan
VALUES[:, 2] += 1e8


def test_agrees_with_scipy():
    result = summarize(VALUES)
    assert result.n.tolist() == [8, 1, 10] and result.n.dtype == np.int64
    np.testing.assert_allclose(result.mean, np.nanmean(VALUES, axis=0), rtol=1e-14)
    np.testing.assert_allclose(result.sem[[0, 2]], stats.sem(VALUES[:, [0, 2]], nan_policy="omit"), rtol=1e-9)


def test_one_value_has_no_standard_error():
    result = summarize(VALUES)
    assert np.isnan(result.sem[1]) and result.mean[1] == VALUES[0, 1]


def test_no_value_has_no_mean_and_gives_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for values in (np.full((4, 2), np.nan), np.empty((0, 2))):
            result = summarize(values)
            assert result.n.tolist() == [0, 0] and np.isnan([result.mean, result.sem]).all()
            assert np.isnan(quantiles(values, (0.1, 0.9))).all()


def test_standard_error_is_that_of_the_sample():
    # With ddof = 0, as in part of the published code, 10 runs would give sqrt(9/10) of it.
    values = np.arange(10.0)
    assert summarize(values).sem == pytest.approx(np.std(values) / np.sqrt(9))


def test_axis_is_the_one_asked_for():
    np.testing.assert_array_equal(summarize(VALUES.T, axis=1).mean, summarize(VALUES).mean)
    np.testing.assert_array_equal(quantiles(VALUES.T, (0.5,), axis=1), quantiles(VALUES, (0.5,)))


def test_quantiles_agree_with_numpy():
    levels = (0.025, 0.5, 0.975)
    np.testing.assert_allclose(quantiles(VALUES, levels), np.nanquantile(VALUES, levels, axis=0), rtol=1e-14)


def test_refuses_infinity():
    for summary in (summarize, lambda values: quantiles(values, (0.5,))):
        with pytest.raises(TopoRepError, match="found 1 infinite"):
            summary(np.array([1.0, np.inf]))
