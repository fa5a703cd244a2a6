from __future__ import annotations

import numpy as np
import pytest

from toporep.errors import TopoRepError
from toporep.metrics import percent_zero


def formula_activations() -> np.ndarray:
    n, u = np.arange(200.0)[:, None], np.arange(121.0)
    return np.sin(0.1 * u + 0.37 * n) + 0.5 * np.cos(0.013 * (u + 1) * (n + 1))


def test_value_of_the_papers_definition():
    assert percent_zero(formula_activations()) == pytest.approx(100 * 0.502231404959, abs=1e-9)


def test_before_and_after_the_relu_agree():
    activations = formula_activations().astype(np.float32)
    assert percent_zero(activations) == percent_zero(np.maximum(activations, 0))


def test_rises_as_the_threshold_of_the_units_rises():
    activations = formula_activations()
    shares = [percent_zero(activations - bias) for bias in (-2, -0.5, 0, 0.5, 2)]
    assert shares[0] == 0 and shares[-1] == 100
    assert shares == sorted(set(shares))


def test_is_the_mean_over_units_of_each_units_share():
    models = np.random.default_rng(0).normal(size=(3, 40, 6))
    of_units = [[100 * np.count_nonzero(np.maximum(unit, 0) == 0) / 40 for unit in model.T] for model in models]
    np.testing.assert_allclose(percent_zero(models), np.mean(of_units, axis=1))


def test_refuses_what_is_not_a_number():
    with pytest.raises(TopoRepError, match="activations: .*NaN or infinite"):
        percent_zero(np.array([[0.0, np.nan]]))
    with pytest.raises(TopoRepError, match="none of them empty"):
        percent_zero(np.empty((0, 4)))
