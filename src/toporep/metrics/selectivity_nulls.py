"""Maps of Cohen's d by chance, and how well a map agrees with itself on other images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_array
from toporep.metrics.moments import Moments, pool
from toporep.metrics.selectivity import effect_size
from toporep.metrics.selectivity_maps import map_correlation

# Purposes of draws: numpy.random.default_rng([seed, purpose, index]).
_LABELS, _UNITS, _HALVES = 0, 1, 2
_BLOCK_VALUES = 1 << 19


def label_shuffled_maps(target: np.ndarray, control: np.ndarray, *, shuffles: int = 100, seed: int = 0) -> np.ndarray:
    """Maps of Cohen's d if the images' class labels are dealt anew at random: what the images' number alone gives.

    Correlations between units stay, so neighbors that respond alike make even a null map smooth.

    Args:
        target, control: (images, units) activations, at least 2 images each.
        shuffles: number of null maps. All images are passed over once, whatever their number.
        seed: shuffle i permutes all images, the target's before the control's, by
            numpy.random.default_rng([seed, 0, i]).permutation(images); the first len(target) are the new target.

    Returns:
        (shuffles, units) float64; constant units as in `toporep.metrics.selectivity.cohens_d`. Beside this, memory is
        5 numbers for each shuffle and unit, and 1 byte for each shuffle and image.

    Raises:
        TopoRepError: fewer than 2 images, NaN or infinity, differing units, no shuffle.
    """
    parts = _check_classes(target, control, least=2)
    _check_count(shuffles, "shuffles")
    images = sum(map(len, parts))
    chosen = np.zeros((shuffles, images), dtype=bool)
    for index in range(shuffles):
        order = np.random.default_rng([seed, _LABELS, index]).permutation(images)
        chosen[index, order[: len(target)]] = True
    one, other = _divided(parts, chosen)
    return _maps(one, other)


def unit_shuffled_maps(d_map: np.ndarray, *, shuffles: int = 100, seed: int = 0) -> np.ndarray:
    """A map whose units are moved to random places on the sheet: what the values alone give, without topography.

    Args:
        d_map: (units,).
        shuffles: number of null maps.
        seed: shuffle i is d_map[numpy.random.default_rng([seed, 1, i]).permutation(units)].

    Returns:
        (shuffles, units) float64.

    Raises:
        TopoRepError: not one map, no shuffle.
    """
    d_map = np.asarray(d_map, dtype=np.float64)
    if d_map.ndim != 1 or not d_map.size:
        raise TopoRepError(f"d_map: expected one map, (units,), found shape {d_map.shape}")
    _check_count(shuffles, "shuffles")
    generators = (np.random.default_rng([seed, _UNITS, index]) for index in range(shuffles))
    return np.stack([d_map[generator.permutation(d_map.size)] for generator in generators])


def split_half_reliability(target: np.ndarray, control: np.ndarray, *, splits: int = 100, seed: int = 0) -> np.ndarray:
    """Correlation over units between the maps of Cohen's d of two halves of the images.

    Args:
        target, control: (images, units) activations, at least 4 images each.
        splits: number of random splits. All images are passed over once, whatever their number.
        seed: split i permutes each class's images by numpy.random.default_rng([seed, 2, i]), the target's first; the
            first images // 2 of a class are its first half, the others the second.

    Returns:
        (splits,) float64, -1 to 1; NaN where a map is constant. `spearman_brown` of it estimates the reliability of
        the map of all images. Splits of the same images are not independent: their spread is not a standard error.

    Raises:
        TopoRepError: fewer than 4 images, NaN or infinity, differing units, no split.
    """
    parts = _check_classes(target, control, least=4)
    _check_count(splits, "splits")
    chosen = [np.zeros((splits, len(part)), dtype=bool) for part in parts]
    for index in range(splits):
        generator = np.random.default_rng([seed, _HALVES, index])
        for part, halves in zip(parts, chosen, strict=True):
            halves[index, generator.permutation(len(part))[: len(part) // 2]] = True
    halves = [_divided([part], of_part) for part, of_part in zip(parts, chosen, strict=True)]
    return map_correlation(*(_maps(*classes) for classes in zip(*halves, strict=True)))


def spearman_brown(correlation: np.ndarray) -> np.ndarray:
    """Reliability of a measurement twice as long as the halves whose correlation is given: 2 r / (1 + r).

    NaN at r = -1. Below 0 the formula has no meaning as a reliability, and its values fall below -1.
    """
    correlation = np.asarray(correlation, dtype=np.float64)
    return np.divide(2 * correlation, 1 + correlation, out=np.full(correlation.shape, np.nan), where=correlation > -1)[
        ()
    ]


# (groups, units) means and unbiased variances.
_Group = tuple[np.ndarray, np.ndarray]


def _divided(parts: list[np.ndarray], chosen: np.ndarray) -> tuple[_Group, _Group]:
    """Means and variances of the images chosen, (groups, images) bool, and of the others, for every group at once."""
    whole = pool(Moments.of(part) for part in parts)
    sums, squares = np.zeros((2, len(chosen), whole.mean.size))
    # Differences from the mean of all are small beside the spread, so that sums of squares may be subtracted.
    totals = np.zeros((2, whole.mean.size))
    for start, block in _blocks(parts):
        members = chosen[:, start : start + len(block)].astype(np.float64)
        block -= whole.mean
        sums += members @ block
        totals[0] += block.sum(axis=0)
        np.square(block, out=block)
        squares += members @ block
        totals[1] += block.sum(axis=0)
    counts = chosen.sum(axis=1, keepdims=True)
    return (
        _group(counts, sums, squares, whole.mean),
        _group(chosen.shape[1] - counts, totals[0] - sums, totals[1] - squares, whole.mean),
    )


def _group(counts: np.ndarray, sums: np.ndarray, squares: np.ndarray, center: np.ndarray) -> _Group:
    """Mean and variance from sums of differences from the center and of their squares."""
    offsets = sums / counts
    deviations = squares - sums * offsets
    # What is left of equal numbers is rounding.
    deviations[deviations <= 1e-12 * squares] = 0.0
    return center + offsets, deviations / (counts - 1)


def _maps(target: _Group, control: _Group) -> np.ndarray:
    return effect_size(target[0] - control[0], (target[1] + control[1]) / 2)


def _blocks(parts: list[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of images as new float64 arrays, and the number of the first image of each."""
    before = 0
    for part in parts:
        step = max(1, _BLOCK_VALUES // part.shape[1])
        for start in range(0, len(part), step):
            yield before + start, part[start : start + step].astype(np.float64)
        before += len(part)


def _check_classes(target: np.ndarray, control: np.ndarray, *, least: int) -> list[np.ndarray]:
    parts = []
    for name, given in {"target": target, "control": control}.items():
        part = check_array(given, name, dims=("images", "units"))
        if part.ndim != 2 or len(part) < least:
            raise TopoRepError(f"{name}: expected (images, units) with at least {least} images, found {part.shape}")
        parts.append(part)
    if parts[0].shape[1] != parts[1].shape[1]:
        raise TopoRepError(f"control: expected {parts[0].shape[1]} units, as in the target, found {parts[1].shape[1]}")
    return parts


def _check_count(count: int, name: str) -> None:
    if count < 1:
        raise TopoRepError(f"{name}: expected at least 1, found {count!r}")
