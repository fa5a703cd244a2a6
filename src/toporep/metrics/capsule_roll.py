"""Capsule correlation: does the roll seen between two frames of a sequence tell how far the input was transformed?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import center_rows, check_array, check_choice, divide

OMEGAS = ("nearest", "last")
# Pairs of frames are taken in blocks that stay in the processor's cache.
_BLOCK_VALUES = 1 << 17
# Correlations at two rolls that differ by less than rounding are equal.
_ROUNDING = 1e-13


class ZeroFrames(NamedTuple):
    """The frames at which the changed factor has class 0: one entry for each, in ascending order."""

    sequence: np.ndarray
    frame: np.ndarray


def observed_roll(t0: np.ndarray, t_omega: np.ndarray) -> np.ndarray:
    """The roll between two frames' capsules: the mode over capsules of argmax_k sum_n t0[n + k] t_omega[n].

    If t0 is t_omega rolled by k units to higher indices, the roll is k. Of equal correlations, the smallest roll counts
    (0 for a capsule that is constant); of rolls that are equally frequent among the capsules, the smallest.

    Args:
        t0, t_omega: (..., capsules, units) topographic latents of the two frames, of the same shape; any leading batch.

    Returns:
        (...) int64, 0 to units - 1.

    Raises:
        TopoRepError: NaN or infinity, different shapes.

    Source:
        Keller & Welling 2021, eq. 14 and App. B; the rules for ties are those of the published code.
    """
    dims = ("capsules", "units")
    t0, t_omega = check_array(t0, "t0", dims=dims), check_array(t_omega, "t_omega", dims=dims)
    if t0.shape != t_omega.shape:
        raise TopoRepError(f"t_omega: expected the shape of t0, {t0.shape}, found {t_omega.shape}")
    *batch, capsules, units = t0.shape
    t0, t_omega = (values.reshape(-1, capsules, units) for values in (t0, t_omega))
    rolls = np.empty(len(t0), dtype=np.int64)
    block = max(1, _BLOCK_VALUES // (capsules * units))
    for start in range(0, len(t0), block):
        part = slice(start, start + block)
        rolls[part] = _mode(_capsule_rolls(t0[part], t_omega[part]), units)
    return rolls.reshape(batch)[()]


def sequence_rolls(t: np.ndarray, classes: np.ndarray, *, omega: str = "nearest") -> np.ndarray:
    """The roll of each sequence from the frames Omega, at which the changed factor has class 0, to its first frame.

    Args:
        t: (sequences, frames, capsules, units) topographic latents.
        classes: (sequences, frames) integers, class of the changed factor at each frame.
        omega: which frame counts where the factor runs through its classes more than once. "nearest", as published: the
            one whose roll is nearest to the true shift, a choice that alone gives a model that has learned nothing a
            correlation of about 0.3 for a factor shown three times (0.5 with the sequences of shift 0). "last": the
            last one, from which a perfect model rolls by just the true shift; for shift 0 the first frame itself.

    Returns:
        (sequences,) int64 rolls, 0 to units - 1; the true shifts are classes[:, 0].

    Raises:
        TopoRepError: NaN or infinity, shapes that do not match, a sequence in which no frame has class 0.

    Source:
        Keller & Welling 2021, sec. 6.1 and App. B.
    """
    t = check_array(t, "t", dims=("frames", "capsules", "units"))
    if t.ndim != 4:
        raise TopoRepError(f"t: expected (sequences, frames, capsules, units), found shape {t.shape}")
    classes = check_classes(classes, t.shape[:2])
    pairs = zero_frames(classes, omega=omega)
    rolls = np.empty(len(pairs.sequence), dtype=np.int64)
    block = max(1, _BLOCK_VALUES // (t.shape[2] * t.shape[3]))
    for start in range(0, len(rolls), block):
        part = slice(start, start + block)
        rows = pairs.sequence[part]
        rolls[part] = observed_roll(t[rows, 0], t[rows, pairs.frame[part]])
    return nearest_rolls(rolls, pairs, shifts=classes[:, 0])


def cyclic_classes(shifts: np.ndarray, frames: int, *, size: int) -> np.ndarray:
    """Classes of a factor that runs through its `size` classes cyclically from class `shifts`: (sequences, frames)."""
    return (np.asarray(shifts)[:, None] + np.arange(frames)) % size


def zero_frames(classes: np.ndarray, *, omega: str = "nearest") -> ZeroFrames:
    """Every (sequence, frame) to compare of (sequences, frames) classes: all, or the last, of those that are 0."""
    check_choice(omega, "omega", OMEGAS)
    zero = classes == 0
    if missing := np.flatnonzero(~zero.any(axis=1)).tolist():
        raise TopoRepError(
            f"classes: the roll of a sequence is measured from the frames at which the changed factor has class 0, "
            f"found none in {len(missing)} of {len(classes)} sequences, the first at index {missing[0]}; give the "
            "classes of a factor that runs through all its values"
        )
    if omega == "last":
        last = np.where(zero[:, 0], 0, zero.shape[1] - 1 - zero[:, ::-1].argmax(axis=1))
        return ZeroFrames(np.arange(len(zero)), last)
    return ZeroFrames(*np.nonzero(zero))


def nearest_rolls(rolls: np.ndarray, pairs: ZeroFrames, *, shifts: np.ndarray) -> np.ndarray:
    """Of each sequence's rolls, one for each of `pairs`, that nearest to its true shift; the first of equal ones."""
    if not len(rolls):
        return rolls
    distance = np.abs(rolls - shifts[pairs.sequence])
    # Sorted by sequence, then distance; the sort is stable, so the first of equal ones stays first.
    order = np.lexsort((distance, pairs.sequence))
    _, first = np.unique(pairs.sequence, return_index=True)
    return rolls[order][first]


def check_classes(classes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return `classes` as an array of integers of the given shape (sequences, frames)."""
    classes = np.asarray(classes)
    if classes.dtype.kind not in "iu" or classes.shape != shape:
        raise TopoRepError(
            f"classes: expected integers of shape {shape} (sequences, frames), "
            f"found dtype {classes.dtype}, shape {classes.shape}"
        )
    return classes.astype(np.int64, copy=False)


def capsule_correlation(rolls: np.ndarray, shifts: np.ndarray, *, omit_zero_shift: bool = False) -> np.ndarray:
    """Pearson's correlation of observed rolls and true shifts over sequences: CapCorr.

    An ordinary correlation, although both are circular. By chance it is not 0: a sequence with shift 0 is compared with
    itself, and rolls by 0. With otherwise random rolls it is 0.14 to 0.16 for 15 classes shown once, and about 0.5 for
    5 classes shown three times, where the nearest of three rolls is chosen.

    Args:
        rolls: (..., sequences) integers.
        shifts: (..., sequences) integers y_0, broadcast against the rolls.
        omit_zero_shift: leave out the sequences with shift 0, which are right for free (not done in the paper).

    Returns:
        (...) float64; NaN where the rolls or the shifts are constant.

    Raises:
        TopoRepError: values that are not integers, shapes that do not match.

    Source:
        Keller & Welling 2021, eq. 14.
    """
    x, y, kept = _check_pairs(rolls, shifts, omit_zero_shift)
    # Integers, so the sums are exact: what is constant has a variance of exactly zero.
    n, sum_x, sum_y = kept.sum(-1), x.sum(-1), y.sum(-1)
    covariance = n * (x * y).sum(-1) - sum_x * sum_y
    variances = [n * (v * v).sum(-1) - total**2 for v, total in ((x, sum_x), (y, sum_y))]
    return divide(covariance, np.sqrt(variances[0].astype(np.float64) * variances[1]))[()]


def correlation_error(rolls: np.ndarray, shifts: np.ndarray, *, omit_zero_shift: bool = False) -> np.ndarray:
    """Standard error of `capsule_correlation` over sequences, for any distribution of them: (...) float64.

    To first order in 1 / n the correlation r is the mean over sequences of x y - r (x^2 + y^2) / 2, with x and y the
    standardized rolls and shifts; the error is the standard deviation of that over sqrt(n).
    """
    r = np.asarray(capsule_correlation(rolls, shifts, omit_zero_shift=omit_zero_shift))[..., None]
    x, y, kept = _check_pairs(rolls, shifts, omit_zero_shift)
    n = kept.sum(-1, keepdims=True)

    def standardized(values: np.ndarray) -> np.ndarray:
        centered = np.where(kept, values - divide(values.sum(-1, keepdims=True), n), 0.0)
        return divide(centered, np.sqrt(divide((centered**2).sum(-1, keepdims=True), n)))

    x, y = standardized(x), standardized(y)
    influence = x * y - r * (x * x + y * y) / 2
    return (np.sqrt((influence**2).sum(-1)) / n[..., 0])[()]


def _capsule_rolls(t0: np.ndarray, t_omega: np.ndarray) -> np.ndarray:
    """(block, capsules) roll of each capsule."""
    # The mean changes no difference between two rolls, but would hide small ones; less it, a constant is exactly zero.
    a, b = (center_rows(values.astype(np.float64)) for values in (t0, t_omega))
    units = a.shape[-1]
    correlation = np.fft.irfft(np.fft.rfft(a) * np.fft.rfft(b).conj(), n=units)
    size = np.sqrt(np.square(a).sum(-1) * np.square(b).sum(-1))[..., None]
    return np.argmax(correlation >= correlation.max(axis=-1, keepdims=True) - _ROUNDING * size, axis=-1)


def _mode(rolls: np.ndarray, units: int) -> np.ndarray:
    """(block,) most frequent roll of (block, capsules), the smallest of those equally frequent."""
    codes = rolls + units * np.arange(len(rolls))[:, None]
    return np.bincount(codes.ravel(), minlength=units * len(rolls)).reshape(-1, units).argmax(axis=-1)


def _check_pairs(rolls: np.ndarray, shifts: np.ndarray, omit_zero_shift: bool) -> tuple[np.ndarray, ...]:
    """Rolls and shifts, both 0 for a sequence that is left out, and which are kept; all of the same shape."""
    rolls, shifts = np.asarray(rolls), np.asarray(shifts)
    for name, values in (("rolls", rolls), ("shifts", shifts)):
        if values.dtype.kind not in "iu" or not values.ndim:
            raise TopoRepError(
                f"{name}: expected integers, one for each sequence, found dtype {values.dtype}, shape {values.shape}"
            )
    try:
        rolls, shifts = np.broadcast_arrays(rolls.astype(np.int64), shifts.astype(np.int64))
    except ValueError:
        raise TopoRepError(f"shifts: expected one for each roll, {rolls.shape}, found {shifts.shape}") from None
    kept = shifts != 0 if omit_zero_shift else np.ones(shifts.shape, dtype=bool)
    return np.where(kept, rolls, 0), np.where(kept, shifts, 0), kept
