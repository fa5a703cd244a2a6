"""Curves over distance on the sheet: correlation of unit pairs, and difference of their selectivity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import NamedTuple

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_array, check_choice
from toporep.metrics.selectivity_maps import BOUNDARIES
from toporep.sheet import check_grid

# Units are paired with all others in blocks of this many.
_BLOCK_UNITS = 128

Bins = str | float | Sequence[float]


class DistanceCurve(NamedTuple):
    """A quantity of unit pairs against their distance; bins ascend.

    Attributes:
        distance: (bins,) the bin: the distance itself (exact bins), the nominal center, or the center between edges.
        mean_distance: (..., bins) mean over the pairs of the bin.
        mean: (..., bins) mean of the quantity over the pairs.
        sd: (..., bins) its standard deviation over the pairs (divisor: pairs). Pairs share units: sd / sqrt(pairs) is
            far below the standard error.
        pairs: (..., bins) int64, distinct unordered pairs. Where there are none, the three others are NaN.
    """

    distance: np.ndarray
    mean_distance: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    pairs: np.ndarray


class OffsetSums(NamedTuple):
    """Sums over unit pairs that lie |rows| and |columns| apart, without wrapping around; pair (0, 0) is empty.

    They hold all that a curve needs, whatever its boundary and bins.

    Attributes:
        pairs: (..., rows, cols) int64 number of unordered pairs.
        total: (..., rows, cols) float64 sum of the quantity.
        squares: (..., rows, cols) float64 sum of its square.
    """

    pairs: np.ndarray
    total: np.ndarray
    squares: np.ndarray


def correlation_by_distance(
    activations: np.ndarray,
    grid: tuple[int, int],
    *,
    boundary: str = "open",
    bins: Bins = "exact",
    spacing: float = 1.0,
    within: np.ndarray | None = None,
) -> DistanceCurve:
    """Pearson correlation over images of all distinct unit pairs, against their distance on the sheet.

    Args:
        activations: (..., images, units), units row-major on the sheet; any leading batch of models, one at a time.
        grid: (rows, cols) of the sheet.
        boundary: "open" (TDANN and other networks), or "torus" (Topographic VAE), where opposite borders meet.
        bins: "exact", one for each distinct distance (1575 on an open sheet of 64 x 64, 456 on a torus); "unit", one
            spacing wide around 1, 2, …; a width in the unit of `spacing`, around its multiples; all these take half a
            width up. Or ascending edges in the unit of `spacing`, each bin without its upper edge.
        spacing: distance of adjacent units; 10 mm / 64 = 0.15625 mm in the paper.
        within: (images,) categories, whose means are removed first. A mix of faces and objects has correlations
            that are mostly the difference of the two.

    Returns:
        The curve. A unit that is constant (with `within`, in every category) has no correlation: its pairs are left
        out. Beside the activations, memory is a float64 copy of one model and about 5 MB for each 1000 units.

    Raises:
        TopoRepError: NaN or infinity, fewer than 2 images, a sheet that does not fit, categories that do not fit, an
            unknown option.

    Source:
        Keller, Gao & Welling 2021, App. A.3, Fig. 7 and 8; their code is not published, nor are stimuli and bins.
    """
    sums = correlation_offsets(activations, grid, within=within)
    return distance_curve(sums, boundary=boundary, bins=bins, spacing=spacing)


def difference_by_distance(
    maps: np.ndarray,
    grid: tuple[int, int],
    *,
    boundary: str = "open",
    bins: Bins = "exact",
    spacing: float = 1.0,
) -> DistanceCurve:
    """Absolute difference of two units' values on a map, over all distinct pairs, against their distance.

    Args:
        maps: (..., units) selectivity, such as Cohen's d; pairs with a NaN are left out.
        grid, boundary, bins, spacing: as for `correlation_by_distance`.

    Source:
        Margalit et al. 2024 (TDANN), who take samples of 500 units instead of all.
    """
    rows, cols = check_grid(grid)
    maps = np.asarray(maps, dtype=np.float64)
    _check_units(maps.shape[-1] if maps.ndim else 0, grid, "maps")
    check_array(np.where(np.isnan(maps), 0.0, maps), "maps", dims=("units",))
    sums = []
    for values in maps.reshape(-1, rows * cols):
        units = np.flatnonzero(~np.isnan(values))
        present = values[units]
        sums.append(_offset_sums(lambda part, v=present: np.abs(v[part, None] - v[part.start :]), units, grid))
    return distance_curve(_stack(sums, maps.shape[:-1]), boundary=boundary, bins=bins, spacing=spacing)


def smoothness_statistic(curve: np.ndarray) -> np.ndarray:
    """How much nearer in selectivity the nearest units are than the most different: (max - first) / max.

    Args:
        curve: (..., bins) of `difference_by_distance`, nearest bin first; it ends before its first NaN.

    Returns:
        (...) float64, 0 to 1; 1 for a curve of zeros, NaN for one that starts with NaN. (A constant curve above zero
        has 0: the nearest units differ as much as any.)

    Raises:
        TopoRepError: a negative or infinite value.

    Source:
        Margalit et al. 2024 (TDANN).
    """
    curve = np.asarray(curve, dtype=np.float64)
    if curve.ndim < 1 or not curve.shape[-1] or (curve < 0).any() or np.isinf(curve).any():
        raise TopoRepError(f"curve: expected mean absolute differences, (..., bins), found {curve!r}")
    ended = np.logical_or.accumulate(np.isnan(curve), axis=-1)
    first, most = curve[..., 0], np.where(ended, -1.0, curve).max(axis=-1)
    result = np.divide(most - first, most, out=np.full(most.shape, np.nan), where=most > 0)
    return np.where(most == 0, 1.0, result)[()]


def inverse_distance(distance: np.ndarray) -> np.ndarray:
    """Correlation that the spatial correlation loss aims at: 1 / (distance + 1), distance in mm.

    Source:
        Keller, Gao & Welling 2021, eq. 5; Lee et al. 2020 (TDANN).
    """
    distance = np.asarray(distance, dtype=np.float64)
    if (distance < 0).any():
        raise TopoRepError(f"distance: expected at least 0 mm, found {distance.min()}")
    return 1.0 / (distance + 1.0)


def correlation_offsets(
    activations: np.ndarray, grid: tuple[int, int], *, within: np.ndarray | None = None
) -> OffsetSums:
    """Sums of Pearson's r for each offset, from which `distance_curve` makes curves of either boundary and any bins.

    Args:
        activations, grid, within: as for `correlation_by_distance`.
    """
    activations = check_array(activations, "activations", dims=("images", "units"))
    *batch, images, units = activations.shape
    _check_units(units, grid, "activations")
    if images < 2:
        raise TopoRepError(f"activations: a correlation over images needs at least 2 of them, found {images}")
    categories = _categories(within, images)
    return _stack([_one_model(model, grid, categories) for model in activations.reshape(-1, images, units)], batch)


def distance_curve(
    sums: OffsetSums, *, boundary: str = "open", bins: Bins = "exact", spacing: float = 1.0
) -> DistanceCurve:
    """Gather sums over offsets into bins of distance.

    Args:
        sums: from `correlation_offsets`.
        boundary, bins, spacing: as for `correlation_by_distance`.

    Raises:
        TopoRepError: an unknown option, a spacing, width or edges that are not positive and ascending.
    """
    *batch, rows, cols = sums.pairs.shape
    squared = squared_distances((rows, cols), boundary=boundary).ravel()
    number, centers = _bin_numbers(squared, bins, spacing)
    member = (number >= 0) & (squared > 0)
    distances = spacing * np.sqrt(squared)

    def gather(values: np.ndarray) -> np.ndarray:
        flat = values.reshape(-1, rows * cols)[:, member]
        gathered = [np.bincount(number[member], weights=row, minlength=len(centers)) for row in flat]
        return np.reshape(gathered, (*batch, len(centers)))

    pairs = gather(sums.pairs)
    some = pairs > 0
    distance, mean, square = (
        np.divide(gather(values), pairs, out=np.full(pairs.shape, np.nan), where=some)
        for values in (sums.pairs * distances.reshape(rows, cols), sums.total, sums.squares)
    )
    sd = np.sqrt(np.maximum(square - mean**2, 0.0))
    return DistanceCurve(centers, distance, mean, sd, pairs.astype(np.int64))


def squared_distances(grid: tuple[int, int], *, boundary: str = "open") -> np.ndarray:
    """Squared distance of two units |rows| and |columns| apart: (rows, cols) int64, in squares of the spacing.

    On a torus the shorter way around counts. Unit 0 is as far as this from the unit at each place.
    """
    check_choice(boundary, "boundary", BOUNDARIES)
    apart = [np.arange(size) for size in check_grid(grid)]
    if boundary == "torus":
        apart = [np.minimum(steps, len(steps) - steps) for steps in apart]
    return apart[0][:, None] ** 2 + apart[1] ** 2


def _one_model(activations: np.ndarray, grid: tuple[int, int], categories: list[np.ndarray]) -> OffsetSums:
    vectors = np.empty(activations.shape)
    start = 0
    # Correlations do not ask for the order of the images: each category is put in one piece.
    for images in categories:
        category = vectors[start : (start := start + len(images))]
        category[:] = activations if len(images) == len(activations) else activations[images]
        # Less its first value, a constant unit is exactly zero; less its mean alone it might be rounding noise.
        category -= category[0].copy()
        category -= category.mean(axis=0)
    # Scaled by its largest value first, a unit of tiny or huge activations keeps its direction.
    largest = np.maximum(vectors.max(axis=0), -vectors.min(axis=0))
    units = np.flatnonzero(largest > 0)
    if len(units) < len(largest):
        vectors = vectors[:, units]
    vectors /= largest[units]
    vectors /= np.sqrt(np.einsum("ij,ij->j", vectors, vectors))

    def correlations(part: slice) -> np.ndarray:
        found = vectors[:, part].T @ vectors[:, part.start :]
        return np.clip(found, -1.0, 1.0, out=found)

    return _offset_sums(correlations, units, grid)


def _offset_sums(values: Callable[[slice], np.ndarray], units: np.ndarray, grid: tuple[int, int]) -> OffsetSums:
    """Sum a quantity over pairs of the given units; `values` compares a block of them with itself and all later."""
    rows, cols = check_grid(grid)
    row, col = np.divmod(units, cols)
    count, total, squares = np.zeros((3, rows * cols))
    for start in range(0, len(units), _BLOCK_UNITS):
        part = slice(start, min(start + _BLOCK_UNITS, len(units)))
        offset = np.abs(row[part, None] - row[start:])
        offset *= cols
        offset += np.abs(col[part, None] - col[start:])
        # In the block's own square each pair stands twice: once is counted with the offset of a unit from itself.
        own = offset[:, : part.stop - start]
        own[np.tril_indices(len(own))] = 0
        of_pairs = values(part)
        count += np.bincount(offset.ravel(), minlength=rows * cols)
        total += np.bincount(offset.ravel(), weights=of_pairs.ravel(), minlength=rows * cols)
        np.square(of_pairs, out=of_pairs)
        squares += np.bincount(offset.ravel(), weights=of_pairs.ravel(), minlength=rows * cols)
    for sums in (count, total, squares):
        sums[0] = 0.0
    return OffsetSums(count.astype(np.int64).reshape(grid), total.reshape(grid), squares.reshape(grid))


def _stack(sums: list[OffsetSums], batch: Sequence[int]) -> OffsetSums:
    return OffsetSums(*(np.reshape(parts, (*batch, *parts[0].shape)) for parts in zip(*sums, strict=True)))


def _bin_numbers(squared: np.ndarray, bins: Bins, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Number of the bin of each squared distance, -1 for none, and the places of the bins."""
    if not (isinstance(spacing, Real) and 0 < spacing < np.inf):
        raise TopoRepError(f"spacing: expected a distance above 0, found {spacing!r}")
    if isinstance(bins, str):
        check_choice(bins, "bins", ("exact", "unit"))
    if isinstance(bins, str) and bins == "exact":
        distinct = np.unique(squared[squared > 0])
        return np.searchsorted(distinct, squared), spacing * np.sqrt(distinct)
    if isinstance(bins, (str, Real)):
        width = spacing if bins == "unit" else bins
        if not 0 < width < np.inf:
            raise TopoRepError(f"bins: expected a width above 0, found {bins!r}")
        multiple = np.floor(np.sqrt(squared) * (spacing / width) + 0.5).astype(np.int64)
        distinct = np.unique(multiple[squared > 0])
        return np.searchsorted(distinct, multiple), width * distinct
    edges = check_array(bins, "bins", dims=("edge",)).astype(np.float64)
    if edges.ndim != 1 or len(edges) < 2 or (np.diff(edges) <= 0).any():
        raise TopoRepError(f"bins: expected exact, unit, a width, or two or more ascending edges, found {bins!r}")
    number = np.searchsorted(edges, spacing * np.sqrt(squared), side="right") - 1
    number[number == len(edges) - 1] = -1
    return number, (edges[:-1] + edges[1:]) / 2


def _categories(within: np.ndarray | None, images: int) -> list[np.ndarray]:
    """Images of each category."""
    if within is None:
        return [np.arange(images)]
    within = np.asarray(within)
    if within.shape != (images,):
        raise TopoRepError(f"within: expected the category of each of {images} images, found shape {within.shape}")
    numbers = np.unique(within, return_inverse=True)[1]
    return [np.flatnonzero(numbers == number) for number in range(numbers.max() + 1)]


def _check_units(units: int, grid: tuple[int, int], name: str) -> None:
    rows, cols = check_grid(grid)
    if units != rows * cols or units < 2:
        raise TopoRepError(
            f"{name}: expected one value for each unit of a sheet of at least 2, found {units} units for a sheet of "
            f"{rows} x {cols}"
        )
