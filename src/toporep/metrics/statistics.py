"""Summaries over runs. NaN stands for a value that is not defined (no pair, a constant map) and is left out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import divide


class Summary(NamedTuple):
    """Mean, standard error of the mean and number of values that went into them."""

    mean: np.ndarray
    sem: np.ndarray
    n: np.ndarray


def summarize(values: np.ndarray, *, axis: int = 0) -> Summary:
    """Mean, standard error and count of the defined values along `axis`.

    Args:
        values: any shape; NaN marks a value that is not defined.
        axis: the dimension of the runs.

    Returns:
        mean: float64, NaN where no value is defined.
        sem: float64, sample standard deviation (ddof = 1) over sqrt(n); NaN where n < 2.
        n: int64 count of defined values.

    Raises:
        TopoRepError: an infinite value.
    """
    values = np.moveaxis(_defined(values), axis, 0)
    present = ~np.isnan(values)
    n = present.sum(axis=0, dtype=np.int64)
    mean = divide(np.where(present, values, 0.0).sum(axis=0), n)
    squares = (np.where(present, values - mean, 0.0) ** 2).sum(axis=0)
    sem = np.sqrt(divide(squares, np.maximum(n - 1, 0))) / np.sqrt(np.maximum(n, 1))
    return Summary(mean, sem, n)


def quantiles(values: np.ndarray, levels: tuple[float, ...], *, axis: int = 0) -> np.ndarray:
    """Quantiles of the defined values along `axis`, linearly interpolated between order statistics.

    Args:
        values: any shape; NaN marks a value that is not defined.
        levels: probabilities, 0 to 1.
        axis: the dimension to reduce.

    Returns:
        float64, the levels first, then the other dimensions of `values`; NaN where no value is defined.

    Raises:
        TopoRepError: an infinite value.
    """
    values = np.moveaxis(_defined(values), axis, -1)
    out = np.full((len(levels), *values.shape[:-1]), np.nan)
    for index in np.ndindex(values.shape[:-1]):
        present = values[index][~np.isnan(values[index])]
        if present.size:
            out[(slice(None), *index)] = np.quantile(present, levels)
    return out


def _defined(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if np.isinf(values).any():
        raise TopoRepError(
            f"values: expected finite numbers (or NaN for undefined ones), found {np.isinf(values).sum()} infinite ones"
        )
    return values
