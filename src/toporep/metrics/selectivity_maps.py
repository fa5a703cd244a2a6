"""Maps of selectivity on the sheet: patches, smoothness, and how the maps of two categories agree."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_choice, divide
from toporep.sheet import check_grid

BOUNDARIES = ("open", "torus")
_STEPS = {4: ((0, 1), (1, 0)), 8: ((0, 1), (1, -1), (1, 0), (1, 1))}


class Patch(NamedTuple):
    """A cluster of selective units.

    Attributes:
        size: number of units.
        center: mean (row, column) of the units; on a torus of the unwrapped patch, within the sheet's extent.
        max_d: largest value of the map.
        units: (size,) int64, ascending.
    """

    size: int
    center: tuple[float, float]
    max_d: float
    units: np.ndarray


class Overlap(NamedTuple):
    """How far two sets of units coincide, against chance.

    Attributes:
        units: number in both sets.
        share: of the first set, the part that is in the second; NaN if the first is empty.
        chance: that part if either set lay anywhere: the second set's part of the sheet.
        p_units: probability of at least as many common units if the units of a set were scattered at random.
        p_shifts: the same if the second set kept its form and lay anywhere on the torus: part of all its shifts, the
            one found included. Use this one for smooth maps. NaN on an open sheet, where sets cannot be shifted.
    """

    units: int
    share: float
    chance: float
    p_units: float
    p_shifts: float


def selective_patches(
    d_map: np.ndarray,
    grid: tuple[int, int],
    *,
    threshold: float = 0.85,
    boundary: str = "torus",
    connectivity: int = 4,
) -> list[Patch]:
    """Connected clusters of units whose d reaches a threshold.

    Args:
        d_map: (units,) row-major, or (rows, cols); NaN is not selective.
        grid: (rows, cols) of the sheet.
        threshold: a unit is selective where d >= threshold.
        boundary: "torus", where opposite borders meet, or "open".
        connectivity: 4 (units that share an edge) or 8 (diagonal ones too).

    Returns:
        Patches, the largest first; equal ones in the order of their first units. On a torus the center along an axis
        on which a patch reaches around is the circular mean, and NaN if that is not defined (as for a full ring).

    Raises:
        TopoRepError: a map that does not fit the sheet, an unknown option.

    Source:
        Keller, Gao & Welling 2021, Fig. 2 (d >= 0.85); the paper names clusters and does not count them.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    d_map = _flat_map(d_map, "d_map", grid)
    if not np.isfinite(threshold):
        raise TopoRepError(f"threshold: expected a finite value of d, found {threshold!r}")
    first, second = adjacent_units(grid, boundary=boundary, connectivity=connectivity)
    selective = d_map >= threshold
    linked = selective[first] & selective[second]
    links = coo_array((linked[linked], (first[linked], second[linked])), shape=(d_map.size,) * 2)
    _, cluster = connected_components(links, directed=False)
    patches = []
    for number in np.unique(cluster[selective]):
        units = np.flatnonzero((cluster == number) & selective)
        patches.append(Patch(len(units), _center(units, grid, boundary), float(d_map[units].max()), units))
    return sorted(patches, key=lambda patch: (-patch.size, patch.units[0]))


def map_smoothness(
    maps: np.ndarray, grid: tuple[int, int], *, boundary: str = "torus", connectivity: int = 4
) -> np.ndarray:
    """Pearson correlation between the values of adjacent units of a map, over all ordered adjacent pairs.

    On a torus, where all units have equally many neighbors, this is Moran's I with binary weights.

    Args:
        maps: (..., units), such as maps of Cohen's d; pairs with a NaN are left out.
        grid, boundary, connectivity: as for `selective_patches`.

    Returns:
        (...) float64, -1 to 1; NaN for a constant map.

    Raises:
        TopoRepError: maps that do not fit the sheet, an infinite value, an unknown option.
    """
    maps = _check_maps(maps, "maps", grid)
    first, second = adjacent_units(grid, boundary=boundary, connectivity=connectivity)
    if not len(first):
        raise TopoRepError(f"grid: expected a sheet of at least 2 units, found {grid!r}")
    one, other = maps[..., first], maps[..., second]
    return map_correlation(np.concatenate([one, other], axis=-1), np.concatenate([other, one], axis=-1))


def map_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson correlation of two maps over units, such as those of faces and of animate things.

    Args:
        first, second: (..., units) whose shapes broadcast; units where either is NaN are left out.

    Returns:
        (...) float64, -1 to 1; NaN if either map is constant.

    Raises:
        TopoRepError: an infinite value, shapes that do not fit.
    """
    first, second = (_check_maps(values, name) for name, values in (("first", first), ("second", second)))
    if first.shape[-1] != second.shape[-1]:
        raise TopoRepError(f"second: expected {first.shape[-1]} units, as in the first map, found {second.shape[-1]}")
    first, second = np.broadcast_arrays(first, second)
    present = ~(np.isnan(first) | np.isnan(second))
    first, second = _centered(first, present), _centered(second, present)
    # The product of the roots overflows less than the root of the product.
    size = np.sqrt(np.vecdot(first, first)) * np.sqrt(np.vecdot(second, second))
    return np.clip(divide(np.vecdot(first, second), size), -1.0, 1.0)[()]


def top_units(d_map: np.ndarray, share: float = 0.01) -> np.ndarray:
    """Which units have the highest values of a map.

    Args:
        d_map: (..., units); NaN comes last.
        share: of all units, above 0 and at most 1; their number is rounded, and at least 1.

    Returns:
        (..., units) bool. Of equal values the first units are taken.
    """
    d_map = _check_maps(d_map, "d_map")
    if not 0 < share <= 1:
        raise TopoRepError(f"share: expected more than 0 and at most 1, found {share!r}")
    count = max(1, round(share * d_map.shape[-1]))
    chosen = np.argsort(-d_map, axis=-1, kind="stable")[..., :count]
    mask = np.zeros(d_map.shape, dtype=bool)
    np.put_along_axis(mask, chosen, True, axis=-1)
    return mask


def overlap(first: np.ndarray, second: np.ndarray, grid: tuple[int, int], *, boundary: str = "torus") -> Overlap:
    """How far two sets of units coincide, such as the face patch and the animate region.

    Args:
        first, second: (units,) bool, such as `top_units(d_map)` or `d_map >= 0.85`.
        grid: (rows, cols) of the sheet.
        boundary: "torus" or "open".

    Raises:
        TopoRepError: sets that are not boolean or do not fit the sheet, an unknown option.
    """
    check_choice(boundary, "boundary", BOUNDARIES)
    first, second = (_flat_map(values, name, grid) for name, values in (("first", first), ("second", second)))
    if first.dtype != bool or second.dtype != bool:
        raise TopoRepError(f"first, second: expected bool, one for each unit, found {first.dtype} and {second.dtype}")
    units, of_first, of_second = first.size, int(first.sum()), int(second.sum())
    both = int((first & second).sum())
    share = both / of_first if of_first else math.nan
    p_shifts = _shift_probability(first, second, grid) if boundary == "torus" else math.nan
    return Overlap(both, share, of_second / units, _scatter_probability(both, of_first, of_second, units), p_shifts)


def adjacent_units(grid: tuple[int, int], *, boundary: str = "torus", connectivity: int = 4) -> np.ndarray:
    """Every unordered pair of adjacent units, each once: (2, pairs) int64, ascending.

    A torus of 3 or more rows and columns has connectivity / 2 pairs for each unit.
    """
    check_choice(boundary, "boundary", BOUNDARIES)
    if connectivity not in _STEPS:
        raise TopoRepError(f"connectivity: expected 4 or 8 neighbors, found {connectivity!r}")
    rows, cols = check_grid(grid)
    row, col = np.divmod(np.arange(rows * cols), cols)
    pairs = []
    for down, right in _STEPS[connectivity]:
        to_row, to_col = row + down, col + right
        inside = (to_row < rows) & (to_col >= 0) & (to_col < cols) if boundary == "open" else np.full(row.shape, True)
        pairs.append(np.stack([row * cols + col, to_row % rows * cols + to_col % cols])[:, inside])
    # Around a narrow torus a step may lead back to the unit itself, and two steps to the same one.
    pairs = np.sort(np.concatenate(pairs, axis=1), axis=0)
    return np.unique(pairs[:, pairs[0] < pairs[1]], axis=1)


def _center(units: np.ndarray, grid: tuple[int, int], boundary: str) -> tuple[float, float]:
    places = np.divmod(units, grid[1])
    if boundary == "open":
        return tuple(float(place.mean()) for place in places)
    return tuple(_circular_center(place, size) for place, size in zip(places, grid, strict=True))


def _circular_center(places: np.ndarray, size: int) -> float:
    empty = np.flatnonzero(np.bincount(places, minlength=size) == 0)
    if len(empty):
        # A connected patch that leaves a row empty occupies one run of rows: cut the torus there, and count from it.
        return float((((places - empty[0]) % size).mean() + empty[0]) % size)
    resultant = np.exp(2j * np.pi * places / size).mean()
    return float(np.angle(resultant) / (2 * np.pi) * size % size) if abs(resultant) > 1e-12 else math.nan


def _scatter_probability(both: int, of_first: int, of_second: int, units: int) -> float:
    """Upper tail of the hypergeometric distribution, in exact integers."""
    ways = sum(
        math.comb(of_first, common) * math.comb(units - of_first, of_second - common)
        for common in range(both, min(of_first, of_second) + 1)
    )
    return ways / math.comb(units, of_second)


def _shift_probability(first: np.ndarray, second: np.ndarray, grid: tuple[int, int]) -> float:
    spectra = (np.fft.fft2(mask.reshape(grid)) for mask in (first, second))
    common = np.rint(np.fft.ifft2(next(spectra) * next(spectra).conj()).real)
    return float(np.mean(common >= common[0, 0]))


def _centered(values: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Values less the mean of those present, exactly zero where all are equal; zero where absent."""
    start = np.take_along_axis(values, present.argmax(axis=-1)[..., None], axis=-1)
    values = np.where(present, values - start, 0.0)
    mean = values.sum(axis=-1, keepdims=True) / np.maximum(present.sum(axis=-1, keepdims=True), 1)
    return np.where(present, values - mean, 0.0)


def _check_maps(maps: np.ndarray, name: str, grid: tuple[int, int] | None = None) -> np.ndarray:
    maps = np.asarray(maps, dtype=np.float64)
    if maps.ndim < 1 or not maps.shape[-1]:
        raise TopoRepError(f"{name}: expected (..., units), at least one unit, found shape {maps.shape}")
    if np.isinf(maps).any():
        raise TopoRepError(
            f"{name}: expected finite values (or NaN for undefined ones), found {np.isinf(maps).sum()} infinite"
        )
    if grid is not None:
        rows, cols = check_grid(grid)
        if maps.shape[-1] != rows * cols:
            raise TopoRepError(f"{name}: a sheet of {rows} x {cols} has {rows * cols} units, found {maps.shape[-1]}")
    return maps


def _flat_map(values: np.ndarray, name: str, grid: tuple[int, int]) -> np.ndarray:
    rows, cols = check_grid(grid)
    values = np.asarray(values)
    if values.shape not in ((rows * cols,), (rows, cols)):
        raise TopoRepError(
            f"{name}: expected one map of the sheet, ({rows * cols},) or ({rows}, {cols}), found shape {values.shape}"
        )
    return values.reshape(-1)
