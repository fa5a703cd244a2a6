"""Angular tuning: harmonics of the responses to a rotating wedge, their phases, and whether neighbors agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_array
from toporep.sheet import check_grid

NO_CYCLE = 0
# Names of the codes of `phase_class`, and the preferred angles, in degrees, at the middle of all but the last.
PHASE_CLASSES = {2: ("horizontal", "vertical", "diagonal", "other"), 4: ("cardinal", "diagonal", "other")}
_PHASE_CENTERS = {2: ((0.0,), (90.0,), (45.0, 135.0)), 4: ((0.0,), (45.0,))}


def harmonic_power(responses: np.ndarray) -> np.ndarray:
    """Spectral power |F_c|^2 at every cycle but 0, F_c = sum_k response_k exp(-2 pi i c k / stimuli).

    A cosine of amplitude a has power (stimuli a / 2)^2 at its cycle; at the last cycle of an even number of stimuli,
    four times as much.

    Args:
        responses: (..., stimuli, units) to wedges at equal steps around the circle; any leading batch of models.

    Returns:
        (..., stimuli // 2, units) float64; cycle c at index c - 1. Exactly 0 where the amplitude is within the rounding
        of the input's precision.

    Raises:
        TopoRepError: NaN, infinity, or fewer than 2 stimuli.

    Source:
        Truong & Hasson 2025, sec. 2.4.
    """
    return np.abs(_spectrum(responses)) ** 2


def dominant_harmonic(responses: np.ndarray, *, max_cycle: int | None = 5) -> np.ndarray:
    """The cycle with the largest power, the mean (cycle 0) left out.

    Args:
        responses: (..., stimuli, units) to wedges at equal steps around the circle; any leading batch of models.
        max_cycle: cycles 1 to `max_cycle` compete; None for all of them (1 to 18 of 36 wedges). The paper does not say
            which of the two it did; `share_beyond` tells how much depends on it.

    Returns:
        (..., units) int64; of equal powers, the lowest cycle; 0 (`NO_CYCLE`) where none of the cycles has any power.

    Raises:
        TopoRepError: as for `harmonic_power`; more cycles than the stimuli can show.

    Source:
        Truong & Hasson 2025, sec. 2.4 and Fig. 10.
    """
    power = harmonic_power(responses)
    power = power[..., : _check_max_cycle(max_cycle, power.shape[-2]), :]
    return np.where(power.max(axis=-2) > 0, power.argmax(axis=-2) + 1, NO_CYCLE)


def share_beyond(responses: np.ndarray, *, max_cycle: int = 5) -> np.ndarray:
    """Share of all units whose dominant cycle lies beyond `max_cycle` when all cycles compete: (...) float64."""
    _check_max_cycle(max_cycle, np.shape(responses)[-2] // 2 if np.ndim(responses) > 1 else max_cycle)
    return np.mean(dominant_harmonic(responses, max_cycle=None) > max_cycle, axis=-1)


def preferred_angle(responses: np.ndarray, cycles: np.ndarray | int) -> np.ndarray:
    """The angle at which a unit's harmonic of the given cycle peaks: (-arg F_c) / c, modulo 360 / c.

    Args:
        responses: (..., stimuli, units) to wedges at equal steps around the circle, the first at 0 degrees.
        cycles: a cycle for each unit, (..., units), such as `dominant_harmonic` returns; or one for all.

    Returns:
        (..., units) float64 degrees, from 0 up to but not including 360 / c; NaN where the cycle is 0 (none) or has no
        power.

    Raises:
        TopoRepError: as for `harmonic_power`; cycles that are not those of these responses.

    Source:
        Truong & Hasson 2025, sec. 3.5; the formula is our choice.
    """
    spectrum = _spectrum(responses)
    labels = _check_labels(cycles, "cycles")
    count, units_shape = spectrum.shape[-2], spectrum.shape[:-2] + spectrum.shape[-1:]
    try:
        labels = np.broadcast_to(labels, units_shape)
    except ValueError:
        raise TopoRepError(f"cycles: expected one for each unit, shape {units_shape}, found {labels.shape}") from None
    if labels.size and not 0 <= labels.min() <= labels.max() <= count:
        raise TopoRepError(f"cycles: expected 0 to {count}, found {labels.min()} to {labels.max()}")
    cycle = np.maximum(labels, 1)
    chosen = np.take_along_axis(spectrum, cycle[..., None, :] - 1, axis=-2)[..., 0, :]
    period = 360.0 / cycle
    angle = -np.degrees(np.angle(chosen)) / cycle % period
    # A phase just below 0 may be rounded to the whole period.
    angle[angle >= period] = 0.0
    return np.where((labels > 0) & (chosen != 0), angle, np.nan)


def phase_class(angles: np.ndarray, cycle: int, *, tolerance_deg: float = 10.0) -> np.ndarray:
    """Class of the preferred angles of units tuned to cycle 2 (orientation) or 4 (symmetry).

    Cycle 2: horizontal (0), vertical (90), diagonal (45 or 135), other. Cycle 4: cardinal (0), diagonal (45), other.

    Args:
        angles: preferred angles in degrees, any shape; NaN for units that are not tuned to this cycle.
        cycle: 2 or 4.
        tolerance_deg: an angle at most this far from a class's own belongs to it; below 22.5, where classes would meet.

    Returns:
        int64 of the same shape: index into `PHASE_CLASSES[cycle]`, or -1 where the angle is NaN.

    Raises:
        TopoRepError: another cycle, a tolerance out of range.

    Source:
        Truong & Hasson 2025, sec. 3.5 and App. Fig. 9; the tolerance (one wedge step) is our choice.
    """
    _check_phase(cycle, tolerance_deg)
    angles = np.asarray(angles, dtype=np.float64)
    period = 360.0 / cycle
    classes = np.full(angles.shape, len(PHASE_CLASSES[cycle]) - 1, dtype=np.int64)
    for code, centers in enumerate(_PHASE_CENTERS[cycle]):
        for center in centers:
            distance = np.abs((angles - center + period / 2) % period - period / 2)
            # The bound is inclusive whatever the rounding of an angle.
            classes[distance <= tolerance_deg + 1e-9] = code
    classes[np.isnan(angles)] = -1
    return classes


def phase_chance(cycle: int, *, tolerance_deg: float = 10.0) -> np.ndarray:
    """Shares of the phase classes if every preferred angle were equally likely.

    Returns:
        (classes,) float64 in the order of `PHASE_CLASSES[cycle]`; for 10 degrees 1/9, 1/9, 2/9, 5/9 at cycle 2 and
        2/9, 2/9, 5/9 at cycle 4.
    """
    _check_phase(cycle, tolerance_deg)
    shares = [2 * tolerance_deg * cycle / 360.0 * len(centers) for centers in _PHASE_CENTERS[cycle]]
    return np.array([*shares, 1.0 - sum(shares)])


def neighborhood_agreement(labels: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """For each unit, the share of its Moore neighbors (3, 5 or 8) that have the same label.

    Label 0 (`NO_CYCLE`) agrees with nothing: two units without a harmonic share none.

    Args:
        labels: (..., units) integers, units row-major on the sheet; any leading batch of models.
        grid: (rows, cols) of the sheet.

    Returns:
        (..., units) float64, 0 to 1. The paper's score of a model is the mean over units; `expected_agreement` is its
        chance level.

    Raises:
        TopoRepError: labels that are not integers or do not fit the sheet, a single unit.

    Source:
        Truong & Hasson 2025, sec. 2.4 and Fig. 10 C-D.
    """
    labels = _check_labels(labels, "labels", dims=1)
    rows, cols = check_grid(grid)
    if labels.shape[-1] != rows * cols or rows * cols < 2:
        raise TopoRepError(
            f"labels: a sheet of {rows} x {cols} has {rows * cols} units (at least 2 needed), found {labels.shape[-1]}"
        )
    maps = labels.reshape(*labels.shape[:-1], rows, cols)
    same, neighbors = np.zeros(maps.shape), np.zeros((rows, cols))
    for first, second in _NEIGHBOR_VIEWS:
        agree = (maps[first] == maps[second]) & (maps[first] != NO_CYCLE)
        for view in (first, second):
            same[view] += agree
            neighbors[view] += 1
    return (same / neighbors).reshape(labels.shape)


def expected_agreement(labels: np.ndarray) -> np.ndarray:
    """Expectation of the mean neighborhood agreement when a model's labels are assigned to its units at random.

    Two units drawn without replacement have the same label with probability sum_c n_c (n_c - 1) / (n (n - 1)), where
    n_c of the n units have label c, and label 0 agrees with nothing. This holds for every pair of neighbors, so for
    each unit and for the mean over units, on any sheet.

    Args:
        labels: (..., units) integers; any leading batch of models.

    Returns:
        (...) float64.

    Raises:
        TopoRepError: labels that are not integers, a single unit.
    """
    labels = _check_labels(labels, "labels", dims=1)
    units = labels.shape[-1]
    if units < 2:
        raise TopoRepError(f"labels: expected at least 2 units, found {units}")
    pairs = np.zeros(labels.shape[:-1])
    for label in np.unique(labels[labels != NO_CYCLE]):
        count = np.count_nonzero(labels == label, axis=-1)
        pairs += count * (count - 1)
    return pairs / (units * (units - 1))


def label_shares(labels: np.ndarray, values: Sequence[int]) -> np.ndarray:
    """Share of the units that have each label.

    Args:
        labels: (..., units) integers: cycles or classes; any leading batch of models.
        values: the labels to count, e.g. range(6) for cycles 0 to 5.

    Returns:
        (..., values) float64.
    """
    labels = _check_labels(labels, "labels", dims=1)
    return np.stack([np.mean(labels == value, axis=-1) for value in values], axis=-1)


def transition_shares(labels: np.ndarray, control_labels: np.ndarray, values: Sequence[int]) -> np.ndarray:
    """Share of the units that go from each label to each other label when the stimuli are replaced by a control set.

    Tells which tuning is a property of the stimuli's edges and light (see `toporep.stimuli.tuning`), not of the units.

    Args:
        labels, control_labels: (..., units) integers of the same shape, units in the same order.
        values: all labels that may occur.

    Returns:
        (..., values, values) float64: from the label under the stimuli to that under the control. Sums to 1; 1 less the
        trace is the share of units that change.

    Raises:
        TopoRepError: different shapes, a label that is not in `values`.
    """
    labels, control = _check_labels(labels, "labels", dims=1), _check_labels(control_labels, "control_labels", dims=1)
    if labels.shape != control.shape:
        raise TopoRepError(f"control_labels: expected the shape of labels, {labels.shape}, found {control.shape}")
    for name, array in (("labels", labels), ("control_labels", control)):
        if unknown := set(np.unique(array).tolist()) - set(values):
            raise TopoRepError(f"{name}: expected only {', '.join(map(str, values))}, found {min(unknown)}")
    rows = [[np.mean((labels == a) & (control == b), axis=-1) for b in values] for a in values]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


# A unit and its right, lower, lower right and lower left neighbor.
_NEIGHBOR_VIEWS = (
    (np.s_[..., :, :-1], np.s_[..., :, 1:]),
    (np.s_[..., :-1, :], np.s_[..., 1:, :]),
    (np.s_[..., :-1, :-1], np.s_[..., 1:, 1:]),
    (np.s_[..., :-1, 1:], np.s_[..., 1:, :-1]),
)


def _spectrum(responses: np.ndarray) -> np.ndarray:
    """(..., cycles, units) complex128 Fourier coefficients from cycle 1; 0 where they are within rounding."""
    responses = check_array(responses, "responses", dims=("stimuli", "units"))
    stimuli = responses.shape[-2]
    if stimuli < 2:
        raise TopoRepError(f"responses: harmonics need at least 2 stimuli, found {stimuli}")
    spectrum = np.fft.rfft(responses.astype(np.float64, copy=False), axis=-2)[..., 1:, :]
    rounding = stimuli * np.finfo(responses.dtype).eps * np.abs(responses).max(axis=-2, keepdims=True)
    spectrum[np.abs(spectrum) <= rounding] = 0.0
    return spectrum


def _check_max_cycle(max_cycle: int | None, cycles: int) -> int:
    if max_cycle is None:
        return cycles
    if not 1 <= max_cycle <= cycles:
        raise TopoRepError(f"max_cycle: expected 1 to {cycles} (half the number of stimuli), found {max_cycle!r}")
    return max_cycle


def _check_phase(cycle: int, tolerance_deg: float) -> None:
    if cycle not in PHASE_CLASSES:
        raise TopoRepError(f"cycle: phase classes are defined for 2 and 4, found {cycle!r}")
    if not 0 <= tolerance_deg < 22.5:
        raise TopoRepError(f"tolerance_deg: expected 0 to below 22.5 degrees, found {tolerance_deg!r}")


def _check_labels(labels: np.ndarray, name: str, *, dims: int = 0) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu" or labels.ndim < dims or (dims and not labels.shape[-1]):
        raise TopoRepError(
            f"{name}: expected integers with dimensions (..., units), found dtype {labels.dtype}, shape {labels.shape}"
        )
    return labels
