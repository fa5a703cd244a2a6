"""Checks and arithmetic that the kernels share."""

from __future__ import annotations

import numpy as np

from toporep.errors import TopoRepError


def check_array(values: np.ndarray, name: str, *, dims: tuple[str, ...]) -> np.ndarray:
    """Return `values` as a real floating-point array whose last dimensions are `dims`, all of them finite.

    Integers and booleans become float64; float32 and float64 are not copied.

    Args:
        values: (..., *dims) real numbers.
        name: what the caller calls the array, for the messages.
        dims: names of the trailing dimensions, none of which may be empty.

    Raises:
        TopoRepError: too few dimensions, an empty one, numbers that are not real, NaN or infinity.
    """
    array = np.asarray(values)
    if array.dtype.kind in "iub":
        array = array.astype(np.float64)
    expected = f"{name}: expected finite real numbers with dimensions (..., {', '.join(dims)})"
    if array.dtype.kind != "f":
        raise TopoRepError(f"{expected}, found dtype {array.dtype}")
    if array.ndim < len(dims) or 0 in array.shape[array.ndim - len(dims) :]:
        raise TopoRepError(f"{expected}, none of them empty, found shape {array.shape}")
    # The extremes are finite just when every value is, and need no array of flags.
    if array.size and not (np.isfinite(array.min()) and np.isfinite(array.max())):
        bad = np.argwhere(~np.isfinite(array))
        raise TopoRepError(
            f"{expected}, found {len(bad)} that are NaN or infinite, the first at index {tuple(map(int, bad[0]))}; "
            "find out which run made them"
        )
    return array


def check_choice(value: str, name: str, choices: tuple[str, ...]) -> None:
    """Refuse an option that is not one of `choices`."""
    if value not in choices:
        raise TopoRepError(f"{name}: expected one of {', '.join(choices)}, found {value!r}")


def center_rows(values: np.ndarray) -> np.ndarray:
    """Subtract the mean of each row of (..., values) floats, in place, and return them."""
    # Less its first value, a constant row is exactly zero; less its mean alone it might be rounding noise.
    values -= values[..., :1].copy()
    values -= values.mean(axis=-1, keepdims=True)
    return values


def unit_rows(values: np.ndarray) -> np.ndarray:
    """Rows of (..., values) scaled to length 1; NaN for a row of zeros."""
    # Scaled by its largest value first, a row of tiny or huge numbers keeps its direction.
    values = divide(values, np.abs(values).max(axis=-1, keepdims=True))
    return divide(values, np.linalg.norm(values, axis=-1, keepdims=True))


def divide(values: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Quotient, float64 of the shape of `values`; NaN where `size`, which broadcasts to them, is not above zero."""
    return np.divide(values, size, out=np.full(np.shape(values), np.nan), where=size > 0)
