"""Effective dimensionality: over how many directions the variance of a matrix is spread."""

from __future__ import annotations

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_array, check_choice

_WEIGHT_VARIABLES = ("units", "inputs")
# The longer dimension is taken in blocks that stay in the processor's cache.
_BLOCK = 1024


def effective_dimensionality(samples: np.ndarray, *, centered: bool = True) -> np.ndarray:
    """Effective dimensionality (participation ratio), (sum of eigenvalues)^2 / sum of squared eigenvalues.

    The eigenvalues are those of the covariance of the variables. Their sums are the traces of C and of C^2, so no
    eigenvalue is computed, and the smaller of the two Gram matrices of the data serves as C.

    Args:
        samples: (..., samples, variables), for activations (..., stimuli, units); any leading batch of models.
        centered: subtract the mean of each variable; without it the eigenvalues are those of the second moments.

    Returns:
        (...) float64, 1 to the rank of the matrix; NaN where nothing varies. The scale of the data has no part in it.

    Raises:
        TopoRepError: NaN or infinity, fewer than 2 samples to centre.

    Source:
        Truong & Hasson 2025, sec. 3.4.3 and App. Fig. 6. The paper does not mention centring.
    """
    return _participation_ratio(check_array(samples, "samples", dims=("samples", "variables")), "samples", centered)


def weight_dimensionality(weight: np.ndarray, *, variables: str = "units", centered: bool = True) -> np.ndarray:
    """Effective dimensionality of an afferent weight matrix.

    Args:
        weight: (..., units, inputs), one row a unit, as a linear layer stores it; any leading batch of models.
        variables: "units" takes the inputs as samples, so that weights and activations both have the units as
            variables; "inputs" takes the units as samples. Uncentered, both are the same.
        centered: subtract the mean of each variable.

    Returns:
        (...) float64, 1 to the smaller side of the matrix; NaN where nothing varies.

    Raises:
        TopoRepError: NaN or infinity, an unknown choice of variables, fewer than 2 samples to centre.

    Source:
        Truong & Hasson 2025, sec. 3.4.3 and App. Fig. 6. The paper names neither orientation nor centring.
    """
    check_choice(variables, "variables", _WEIGHT_VARIABLES)
    weight = check_array(weight, "weight", dims=("units", "inputs"))
    return _participation_ratio(np.swapaxes(weight, -1, -2) if variables == "units" else weight, "weight", centered)


def _participation_ratio(matrices: np.ndarray, name: str, centered: bool) -> np.ndarray:
    *batch, samples, _ = matrices.shape
    if centered and samples < 2:
        raise TopoRepError(f"{name}: centring needs at least 2 samples, found {samples} in shape {matrices.shape}")
    result = np.full(batch, np.nan)
    for model in np.ndindex(*batch):
        gram = _smaller_gram(matrices[model], centered)
        if (total := gram.trace()) > 0:
            gram /= total
            result[model] = 1.0 / np.vdot(gram, gram)
    return result[()]


def _smaller_gram(values: np.ndarray, centered: bool) -> np.ndarray:
    """Products of (samples, variables) values, summed over whichever dimension is longer."""
    mean = np.broadcast_to(_means(values) if centered else 0.0, values.shape)
    if values.shape[1] > values.shape[0]:
        values, mean = values.T, mean.T
    gram = np.zeros((values.shape[1],) * 2)
    for start in range(0, len(values), _BLOCK):
        part = slice(start, start + _BLOCK)
        block = np.subtract(values[part], mean[part], dtype=np.float64)
        gram += block.T @ block
    return gram


def _means(values: np.ndarray) -> np.ndarray:
    mean = values.mean(axis=0, dtype=np.float64)
    # The rounded mean of equal numbers need not be equal to them, and what is left would pass for variance.
    return np.where(values.min(axis=0) == values.max(axis=0), values[0], mean)
