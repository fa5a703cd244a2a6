"""How widely the responses of a unit vary: entropy, by several estimators, and variance."""

from __future__ import annotations

from numbers import Integral

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_array, check_choice

_ESTIMATORS = ("unit_range", "common_range", "gaussian")
# Stimuli are taken in blocks that stay in the processor's cache.
_BLOCK_STIMULI = 512


def unit_entropy(
    activations: np.ndarray,
    estimator: str = "unit_range",
    *,
    bins: int = 50,
    value_range: tuple[float, float] | None = None,
) -> np.ndarray:
    """Entropy of each unit's activations over stimuli, in bits.

    The paper does not say how it estimates entropy, and the choice can reverse an ordering of conditions: only the
    first estimator is blind to the scale of the activations.

    Args:
        activations: (..., stimuli, units), before the ReLU in the paper; any leading batch of models.
        estimator: "unit_range", a histogram from each unit's least to its greatest activation; "common_range", a
            histogram with the same bins for all units; "gaussian", the differential entropy of a normal distribution
            with the unit's variance, log2(2 pi e variance) / 2.
        bins: number of equal bins of a histogram, closed on the left, the last one on both sides.
        value_range: (least, greatest) value of the histogram of "common_range". Give the extremes over all models
            that are compared; by default each model of the batch has its own.

    Returns:
        (..., units) float64. A histogram gives 0 to log2(bins), and 0 for a constant ("dead") unit. The Gaussian
        estimate may be negative, and is minus infinity for a constant unit: that is its limit for vanishing
        variance, ranks the unit below all others, and cannot slip unseen into a mean as a left-out NaN would.

    Raises:
        TopoRepError: NaN or infinity in the activations, an unknown estimator, no bin, a range that is not one, does
            not hold all activations, or goes with another estimator.

    Source:
        Truong & Hasson 2025, sec. 3.3 and Fig. 5 (left).
    """
    check_choice(estimator, "estimator", _ESTIMATORS)
    if not isinstance(bins, Integral) or bins < 1:
        raise TopoRepError(f"bins: expected an integer of at least 1, found {bins!r}")
    if value_range is not None and estimator != "common_range":
        raise TopoRepError(f"value_range: expected only with estimator 'common_range', found with {estimator!r}")
    if estimator == "gaussian":
        with np.errstate(divide="ignore"):
            return 0.5 * np.log2(2 * np.pi * np.e * unit_variance(activations))
    activations = check_array(activations, "activations", dims=("stimuli", "units"))
    if value_range is not None:
        _check_range(activations, value_range)
    *batch, stimuli, units = activations.shape
    result = np.empty((*batch, units))
    for model in np.ndindex(*batch):
        values = activations[model]
        if estimator == "unit_range":
            low, high = values.min(axis=0), values.max(axis=0)
        else:
            low, high = value_range if value_range is not None else (values.min(), values.max())
        result[model] = _entropy(_histograms(values, low, high, bins))
    return result


def unit_variance(activations: np.ndarray) -> np.ndarray:
    """Variance of each unit's activations over stimuli (population variance, divided by the number of stimuli).

    Args:
        activations: (..., stimuli, units); any leading batch of models.

    Returns:
        (..., units) float64, in squared units of the activations; exactly 0 for a constant unit.

    Raises:
        TopoRepError: NaN, infinity, or an empty array.

    Source:
        Truong & Hasson 2025, sec. 3.3 ("variance or entropy of a unit's activations").
    """
    activations = check_array(activations, "activations", dims=("stimuli", "units"))
    *batch, _, units = activations.shape
    result = np.empty((*batch, units))
    for model in np.ndindex(*batch):
        result[model] = activations[model].var(axis=0, dtype=np.float64)
    # The rounded mean of equal numbers need not be equal to them.
    result[activations.min(axis=-2) == activations.max(axis=-2)] = 0.0
    return result


def _histograms(values: np.ndarray, low: np.ndarray | float, high: np.ndarray | float, bins: int) -> np.ndarray:
    """(units, bins) counts of (stimuli, units) values between `low` and `high`, each a number or one per unit."""
    stimuli, units = values.shape
    low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    width = np.where(high > low, high - low, 1.0)
    # The greatest value has a place of its own after the last bin until all are counted.
    first_place = np.arange(units) * (bins + 1)
    counts = np.zeros(units * (bins + 1), dtype=np.int64)
    for start in range(0, stimuli, _BLOCK_STIMULI):
        scaled = values[start : start + _BLOCK_STIMULI].astype(np.float64)
        scaled -= low
        # In this order a value on an edge between bins is found there, not next to it by rounding.
        scaled *= bins
        scaled /= width
        places = scaled.astype(np.int64)
        places += first_place
        counts += np.bincount(places.ravel(), minlength=counts.size)
    counts = counts.reshape(units, bins + 1)
    counts[:, -2] += counts[:, -1]
    return counts[:, :-1]


def _entropy(counts: np.ndarray) -> np.ndarray:
    """Entropy in bits of the distributions that (..., bins) counts describe."""
    total = counts.sum(axis=-1, keepdims=True)
    surprise = np.log2(total / np.maximum(counts, 1))
    return (counts / total * surprise).sum(axis=-1)


def _check_range(activations: np.ndarray, value_range: tuple[float, float]) -> None:
    try:
        low, high = map(float, value_range)
    except (TypeError, ValueError):
        low = high = np.nan
    if not (np.isfinite([low, high]).all() and low < high):
        raise TopoRepError(f"value_range: expected (least, greatest), two finite numbers, found {value_range!r}")
    if activations.size and not (low <= activations.min() and activations.max() <= high):
        raise TopoRepError(
            f"value_range: expected it to hold all activations, which lie in [{activations.min()}, "
            f"{activations.max()}], found {value_range!r}; take the extremes over all models that are compared"
        )
