"""Category selectivity of units: Cohen's d of one class of images against another, or against all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_array, check_choice, divide
from toporep.metrics.moments import Moments, pool
from toporep.sheet import check_grid

COMPLEMENTS = ("images", "classes")
# Codes of `joint_map` beside the numbers of the classes.
NO_CLASS, SEVERAL_CLASSES = -1, -2


def cohens_d(target: np.ndarray | Moments, control: np.ndarray | Moments) -> np.ndarray:
    """Cohen's d of each unit: (mean_target - mean_control) / sqrt((var_target + var_control) / 2).

    The variances are unbiased and are averaged without regard to the numbers of images.

    Args:
        target, control: (..., images, units) activations, or their `Moments`; at least 2 images each.

    Returns:
        (..., units) float64. A unit that is constant within both classes has d = 0 if it has the same value in both
        ("dead"), and NaN if the values differ: no finite d tells how well it separates them.

    Raises:
        TopoRepError: fewer than 2 images, NaN or infinity, another batch or number of units in `control`.

    Source:
        Keller, Gao & Welling 2021, sec. 4; the published code's variances.
    """
    target, control = _moments(target, control)
    return effect_size(target.mean - control.mean, (target.variance + control.variance) / 2)


def cohens_d_error(target: np.ndarray | Moments, control: np.ndarray | Moments) -> np.ndarray:
    """Standard error of `cohens_d` over samples of images, for many images with normally distributed activations.

    d ± 1.96 of it is a 95 % confidence interval of one unit. It follows from the variance of a mean, s^2 / n, that of
    an unbiased variance, 2 s^4 / (n - 1), and their independence.

    Args:
        target, control: as for `cohens_d`.

    Returns:
        (..., units) float64; NaN for a unit that is constant within both classes.

    Source:
        Bonett 2008 (Psychological Methods 13), with the average variance as standardizer.
    """
    target, control = _moments(target, control)
    d = cohens_d(target, control)
    average = (target.variance + control.variance) / 2
    # Relative to the average variance, the variances of the two means and of the two variances.
    of_means, of_variances = np.zeros((2, *d.shape))
    for part in (target, control):
        share = divide(part.variance, average)
        of_means += share / part.count
        of_variances += share**2 * 2 / (part.count - 1)
    return np.sqrt(of_means + d**2 * of_variances / 16)


def one_vs_rest(classes: Mapping[str, Moments] | Sequence[Moments], *, complement: str = "images") -> np.ndarray:
    """Cohen's d of each class against all other classes.

    Args:
        classes: moments of each class, at least two; those of a mapping are taken in its order.
        complement: how the other classes make one control. "images": all their images are pooled, so large classes
            dominate (the published code). "classes": their images are mixed with the same total weight for each
            class; the variance then is the mean of the classes' unbiased variances plus the variance of their means.

    Returns:
        (classes, ..., units) float64; constant units as in `cohens_d`.

    Raises:
        TopoRepError: fewer than two classes, fewer than 2 images in one, differing units, an unknown option.

    Source:
        Keller, Gao & Welling 2021, Fig. 2 and 5.
    """
    check_choice(complement, "complement", COMPLEMENTS)
    parts = list(classes.values() if isinstance(classes, Mapping) else classes)
    if len(parts) < 2:
        raise TopoRepError(f"classes: expected at least 2 to tell apart, found {len(parts)}")
    for part in parts[1:]:
        _moments(parts[0], part)
    mix = pool if complement == "images" else _mixed_evenly
    return np.stack([cohens_d(part, mix(parts[:i] + parts[i + 1 :])) for i, part in enumerate(parts)])


def joint_map(d_maps: np.ndarray, threshold: float = 0.85) -> np.ndarray:
    """The one class for which each unit is selective.

    Args:
        d_maps: (classes, ...) Cohen's d of each class, as `one_vs_rest` gives them; NaN is not selective.
        threshold: a unit is selective for a class where d >= threshold.

    Returns:
        (...) int64: the number of the class, `NO_CLASS` (-1) where none passes, `SEVERAL_CLASSES` (-2) where two or
        more do.

    Source:
        Keller, Gao & Welling 2021, Fig. 2 (d >= 0.85).
    """
    d_maps = np.asarray(d_maps, dtype=np.float64)
    if d_maps.ndim < 1 or not len(d_maps):
        raise TopoRepError(f"d_maps: expected one map for each class, (classes, ...), found shape {d_maps.shape}")
    if not np.isfinite(threshold):
        raise TopoRepError(f"threshold: expected a finite value of d, found {threshold!r}")
    passing = d_maps >= threshold
    found = np.where(passing.any(axis=0), passing.argmax(axis=0), NO_CLASS)
    return np.where(passing.sum(axis=0) > 1, SEVERAL_CLASSES, found)


def strongest_units(activations: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Where on the sheet the most active unit of each image lies.

    Args:
        activations: (..., units), such as those of single images; units row-major on the sheet.
        grid: (rows, cols) of the sheet.

    Returns:
        (..., 2) int64: row and column. Of several equally active units it is the first.

    Raises:
        TopoRepError: NaN or infinity, a sheet that does not fit the units.

    Source:
        Keller, Gao & Welling 2021, Fig. 4 (marks).
    """
    rows, cols = check_grid(grid)
    activations = check_array(activations, "activations", dims=("units",))
    if activations.shape[-1] != rows * cols:
        raise TopoRepError(
            f"activations: a sheet of {rows} x {cols} has {rows * cols} units, found {activations.shape[-1]}"
        )
    return np.stack(np.divmod(activations.argmax(axis=-1), cols), axis=-1)


def effect_size(difference: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """difference / sqrt(variance) by the rule of `cohens_d`: 0 / 0 is 0, and what is not finite NaN."""
    deviation = np.sqrt(variance)
    with np.errstate(over="ignore"):
        quotient = np.divide(difference, deviation, out=np.full(difference.shape, np.nan), where=deviation > 0)
    quotient[(deviation == 0) & (difference == 0)] = 0.0
    quotient[np.isinf(quotient)] = np.nan
    return quotient


def _moments(target: np.ndarray | Moments, control: np.ndarray | Moments) -> tuple[Moments, Moments]:
    """Moments of both classes, each of enough images for a variance."""
    classes = []
    for name, given in {"target": target, "control": control}.items():
        moments = given if isinstance(given, Moments) else Moments.of(given)
        if moments.count < 2:
            raise TopoRepError(f"{name}: a variance over images needs at least 2 of them, found {moments.count}")
        classes.append(moments)
    target, control = classes
    if target.mean.shape != control.mean.shape:
        raise TopoRepError(
            f"control: expected the batch and units of the target, {target.mean.shape}, found {control.mean.shape}"
        )
    return target, control


def _mixed_evenly(parts: Sequence[Moments]) -> Moments:
    """Moments of a mixture of the classes in equal shares, as if of as many images as all classes have."""
    means = np.stack([part.mean for part in parts])
    center = means[0] + (means - means[0]).mean(axis=0)
    variance = np.mean([part.variance for part in parts], axis=0) + ((means - center) ** 2).mean(axis=0)
    count = sum(part.count for part in parts)
    return Moments(count, center, variance * (count - 1))
