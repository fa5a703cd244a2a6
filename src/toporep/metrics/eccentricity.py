"""Eccentricity tuning: classes of the responses to rings of increasing radius."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_array

ECCENTRICITY_CLASSES = ("increasing", "decreasing", "bandpass", "flat")
_INCREASING, _DECREASING, _BANDPASS, _FLAT = range(4)
# Profiles are taken in blocks so that memory stays bounded.
_BLOCK_PROFILES = 1024
# Starts of the search for the optimum: all local maxima of a grid that reach this share of the highest.
_NEAR_HIGHEST = 0.8
# Of the search for the optimum: in center / width and log width, where the log of the match has curvatures of order 1.
_MAX_STEPS, _LEVEL_GRADIENT, _MAX_DAMPING = 60, 1e-7, 1e6


class EccentricityTuning(NamedTuple):
    """Class of each unit (index into `ECCENTRICITY_CLASSES`) and what it rests on; all of shape (..., units)."""

    label: np.ndarray
    correlation: np.ndarray
    r_squared: np.ndarray
    center: np.ndarray
    failed: np.ndarray


class GaussianFit(NamedTuple):
    """y = amplitude * exp(-(radius - center)^2 / (2 width^2)) + offset, and its R^2; all of shape (..., units)."""

    amplitude: np.ndarray
    center: np.ndarray
    width: np.ndarray
    offset: np.ndarray
    r_squared: np.ndarray


def eccentricity_class(
    responses: np.ndarray,
    *,
    radii: Sequence[float] | None = None,
    min_correlation: float = 0.8,
    min_r_squared: float = 0.5,
    negative_amplitude: bool = False,
) -> EccentricityTuning:
    """Class of each unit's response profile over rings of increasing radius.

    With Pearson's r of response and radius: r > 0.8 is increasing, r < -0.8 decreasing; otherwise a Gaussian is fitted,
    and R^2 > 0.5 is bandpass; the rest is flat.

    Args:
        responses: (..., radii, units); any leading batch of models.
        radii: of the rings, ascending, in pixels; 1, 2, ... by default.
        min_correlation: bound on |r|.
        min_r_squared: bound on R^2.
        negative_amplitude: let inverted bumps be bandpass too.

    Returns:
        label: int64 index into `ECCENTRICITY_CLASSES`.
        correlation: Pearson's r; 0 for a constant profile.
        r_squared: of the Gaussian; NaN where none was fitted (increasing, decreasing, constant).
        center: of the Gaussian, in pixels, for bandpass units; NaN for all others.
        failed: bool; a constant profile, or one without a finite fit. These units are flat: count them.

    Raises:
        TopoRepError: as for `fit_gaussian`.

    Source:
        Truong & Hasson 2025, sec. 2.4, Fig. 12 and App. Fig. 10. The bounds of the fit are our choice.
    """
    responses, radii = _check_profiles(responses, radii)
    profiles, _ = _standardize(responses)
    axis = radii - radii.mean()
    correlation = np.clip(np.einsum("...ru,r->...u", profiles, axis / np.linalg.norm(axis)), -1.0, 1.0)
    linear, constant = np.abs(correlation) > min_correlation, ~profiles.any(axis=-2)
    r_squared, center = np.full((2, *correlation.shape), np.nan)
    fitted = ~linear & ~constant
    chosen = np.moveaxis(profiles, -2, -1)[fitted]
    if len(chosen):
        _, center[fitted], _, r_squared[fitted] = _fit(chosen, radii, negative_amplitude)
    bandpass = r_squared > min_r_squared
    label = np.where(bandpass, _BANDPASS, _FLAT).astype(np.int64)
    label[linear] = np.where(correlation[linear] > 0, _INCREASING, _DECREASING)
    failed = ~linear & ~(r_squared > 0)
    return EccentricityTuning(label, correlation, r_squared, np.where(bandpass, center, np.nan), failed)


def fit_gaussian(
    responses: np.ndarray, *, radii: Sequence[float] | None = None, negative_amplitude: bool = False
) -> GaussianFit:
    """Least-squares fit of a four-parameter Gaussian to every unit's profile at once.

    The center lies between the first and the last radius, the width between half the largest gap of the radii (0.5 for
    1, 2, ...) and the last radius, and the amplitude is not negative. For given center and width, amplitude and offset
    are a linear problem. So each profile's best starts are taken from a grid over center and width, and Newton steps
    within the bounds lead from there to the optimum.

    Args:
        responses: (..., radii, units); any leading batch of models.
        radii: at least 4, ascending, not negative; 1, 2, ... by default.
        negative_amplitude: allow it.

    Returns:
        float64 parameters in the units of responses and radii. A constant profile has amplitude 0 and no center, width
        or R^2 (NaN).

    Raises:
        TopoRepError: NaN or infinity, radii that do not fit the responses or do not ascend.
    """
    responses, radii = _check_profiles(responses, radii)
    profiles, norm = _standardize(responses)
    sheet = norm.shape
    flat = np.moveaxis(profiles, -2, -1).reshape(-1, len(radii))
    amplitude, center, width, r_squared = (part.reshape(sheet) for part in _fit(flat, radii, negative_amplitude))
    amplitude = amplitude * norm
    z = (radii[:, None] - center[..., None, :]) / width[..., None, :]
    mean_bump = np.where(np.isnan(center), 0.0, np.exp(-0.5 * z**2).mean(axis=-2))
    offset = responses.mean(axis=-2, dtype=np.float64) - amplitude * mean_bump
    return GaussianFit(amplitude, center, width, offset, np.where(norm > 0, r_squared, np.nan))


def _standardize(responses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Profiles less their mean, at norm 1, and the norms; exactly 0 where a profile is constant within rounding."""
    largest = np.abs(responses).max(axis=-2, keepdims=True).astype(np.float64)
    scale = np.where(largest > 0, largest, 1.0)
    # Scaled first, so that no square of a large or small response leaves the range of numbers.
    profiles = responses / scale
    profiles -= profiles.mean(axis=-2, keepdims=True)
    norm = np.sqrt(np.einsum("...ru,...ru->...u", profiles, profiles))[..., None, :]
    varies = norm > responses.shape[-2] * np.finfo(responses.dtype).eps
    profiles = np.where(varies, profiles / np.where(varies, norm, 1.0), 0.0)
    return profiles, np.where(varies, norm * scale, 0.0)[..., 0, :]


def _fit(profiles: np.ndarray, radii: np.ndarray, negative: bool) -> np.ndarray:
    """Amplitude, center, width and R^2, (4, profiles), of standardized profiles (profiles, radii)."""
    centers, log_widths = _grid(radii)
    bumps = _standardized_bumps(radii, centers, log_widths)
    result = np.tile([[0.0], [np.nan], [np.nan], [0.0]], len(profiles))
    for start in range(0, len(profiles), _BLOCK_PROFILES):
        block = profiles[start : start + _BLOCK_PROFILES]
        match = np.tensordot(bumps, block, axes=(2, 1))
        for sign in (1.0, -1.0) if negative else (1.0,):
            at_center, at_width, profile = _peaks(sign * match)
            upright = sign * block[profile]
            center, log_width = _climb(upright, radii, centers[at_center], log_widths[at_width])
            (height,), (bump,), (square,) = _moments(upright, radii, center, log_width, 0)
            square -= bump**2 / len(radii)
            fits = np.array([sign * height / square, center, np.exp(log_width), height**2 / square])
            # Of the fits from all starts of a profile the best is written last.
            order = np.argsort(fits[3])
            order = order[fits[3, order] > result[3, start + profile[order]]]
            result[:, start + profile[order]] = fits[:, order]
    return result


def _width_bounds(radii: np.ndarray) -> tuple[float, float]:
    return np.diff(radii).max() / 2, radii[-1]


def _grid(radii: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centers, half the smallest width apart, and log widths, a quarter apart, from bound to bound."""
    narrowest, widest = _width_bounds(radii)
    centers = np.linspace(radii[0], radii[-1], 1 + int(np.ceil(2 * np.ptp(radii) / narrowest)))
    steps = 1 + int(np.ceil(4 * np.log(widest / narrowest)))
    return centers, np.linspace(np.log(narrowest), np.log(widest), steps)


def _standardized_bumps(radii: np.ndarray, centers: np.ndarray, log_widths: np.ndarray) -> np.ndarray:
    """(centers, widths, radii): Gaussians less their mean, at norm 1."""
    bumps = np.exp(-0.5 * ((radii - centers[:, None, None]) / np.exp(log_widths)[:, None]) ** 2)
    bumps -= bumps.mean(axis=-1, keepdims=True)
    return bumps / np.linalg.norm(bumps, axis=-1, keepdims=True)


def _peaks(match: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices (center, width, profile) of the positive local maxima of (centers, widths, profiles) near the highest."""
    peak = match > np.maximum(0.0, _NEAR_HIGHEST * match.max(axis=(0, 1)))
    for axis in (0, 1):
        before, after = np.moveaxis(match, axis, 0)[:-1], np.moveaxis(match, axis, 0)[1:]
        rising = after > before
        np.moveaxis(peak, axis, 0)[:-1] &= ~rising
        np.moveaxis(peak, axis, 0)[1:] &= rising
    return np.nonzero(peak)


def _climb(
    profiles: np.ndarray, radii: np.ndarray, center: np.ndarray, log_width: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Newton steps, damped where they fail, from the start to a maximum of the match within the bounds.

    They are taken in center / width and log width: in these the match changes on a scale of 1, whatever the width.
    """
    place = np.stack([center, log_width])
    low, high = np.stack([radii[[0, -1]], np.log(_width_bounds(radii))], axis=1)[..., None]
    damping = np.zeros(len(profiles))
    active = np.arange(len(profiles))
    for _ in range(_MAX_STEPS):
        here, chosen = place[:, active], profiles[active]
        value, gradient, curvature = _log_match(chosen, radii, *here)
        blocked = ((here <= low) & (gradient < 0)) | ((here >= high) & (gradient > 0))
        gradient[blocked] = 0.0
        open_ = (np.hypot(*gradient) > _LEVEL_GRADIENT) & (damping[active] < _MAX_DAMPING)
        active, here, chosen, value = active[open_], here[:, open_], chosen[open_], value[open_]
        if not len(active):
            break
        step = _newton_step(gradient[:, open_], curvature[:, open_], blocked[:, open_], damping[active])
        step[0] *= np.exp(here[1])
        there = np.clip(here + step, low, high)
        better = _log_match(chosen, radii, *there, derivatives=False) > value
        place[:, active[better]] = there[:, better]
        damping[active] = np.where(better, damping[active] / 10, np.maximum(10 * damping[active], 0.01))
    return place[0], place[1]


def _newton_step(gradient: np.ndarray, curvature: np.ndarray, blocked: np.ndarray, damping: np.ndarray) -> np.ndarray:
    """A step uphill, (2, profiles): Newton's where the match is concave, turned towards the gradient elsewhere."""
    b = np.where(blocked.any(axis=0), 0.0, -curvature[1])
    a, c = np.where(blocked, 1.0, -curvature[::2])
    smallest = (a + c) / 2 - np.hypot((a - c) / 2, b)
    lift = np.where(smallest < 1e-6, 0.01 - smallest, 0.0) + damping
    a, c = a + lift, c + lift
    return np.stack([c * gradient[0] - b * gradient[1], a * gradient[1] - b * gradient[0]]) / (a * c - b * b)


def _log_match(
    profiles: np.ndarray, radii: np.ndarray, center: np.ndarray, log_width: np.ndarray, *, derivatives: bool = True
) -> np.ndarray | tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logarithm of the match, which is sqrt(R^2); -inf where the amplitude would not be positive.

    The match of a bump g with a standardized profile y is N / sqrt(Q), with N = sum y g and Q the sum of squares of g
    less its mean. Its gradient (2, profiles) and second derivatives (3, profiles: center twice, mixed, width twice)
    follow from the moments: with z = (radius - center) / width, derivatives of g are g times a polynomial in z.
    """
    p, s, q = _moments(profiles, radii, center, log_width, 4 if derivatives else 0)
    n = len(radii)
    match, square = p[0], q[0] - s[0] ** 2 / n
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(match > 0, np.log(match) - 0.5 * np.log(square), -np.inf)
    if not derivatives:
        return value
    match_1 = p[1:3] / match
    match_2 = np.stack([p[2] - p[0], p[3] - 2 * p[1], p[4] - 2 * p[2]]) / match
    half_1 = (q[1:3] - s[0] * s[1:3] / n) / square
    half_2 = (
        np.stack([2 * q[2] - q[0], 2 * q[3] - 2 * q[1], 2 * q[4] - 2 * q[2]])
        - np.stack([s[1] ** 2, s[1] * s[2], s[2] ** 2]) / n
        - s[0] * np.stack([s[2] - s[0], s[3] - 2 * s[1], s[4] - 2 * s[2]]) / n
    ) / square
    first, second = [0, 0, 1], [0, 1, 1]
    curvature = match_2 - match_1[first] * match_1[second] - half_2 + 2 * half_1[first] * half_1[second]
    return value, match_1 - half_1, curvature


def _moments(
    profiles: np.ndarray, radii: np.ndarray, center: np.ndarray, log_width: np.ndarray, order: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums over radii of y g z^k, g z^k and g^2 z^k for k = 0 to `order`, each (order + 1, profiles)."""
    z = (radii - center[:, None]) * np.exp(-log_width)[:, None]
    bump = np.exp(-0.5 * z * z)
    sums = np.empty((3, order + 1, len(profiles)))
    term = bump
    for power in range(order + 1):
        for total, factor in zip(sums, (profiles, None, bump), strict=True):
            total[power] = term.sum(axis=1) if factor is None else np.einsum("nr,nr->n", term, factor)
        if power < order:
            term = term * z
    return tuple(sums)


def _check_profiles(responses: np.ndarray, radii: Sequence[float] | None) -> tuple[np.ndarray, np.ndarray]:
    responses = check_array(responses, "responses", dims=("radii", "units"))
    count = responses.shape[-2]
    radii = np.arange(1.0, count + 1) if radii is None else np.asarray(radii, dtype=np.float64)
    if radii.shape != (count,) or not np.isfinite(radii).all():
        raise TopoRepError(f"radii: expected {count} finite numbers, one for each response, found {radii.tolist()}")
    # Ascending radii end above half their largest gap if the first is not negative.
    if count < 4 or (np.diff(radii) <= 0).any() or radii[0] < 0:
        raise TopoRepError(f"radii: expected at least 4, not negative, in ascending order, found {radii.tolist()}")
    return responses, radii
