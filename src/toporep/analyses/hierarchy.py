"""How maps of concrete categories lie in those of abstract ones (Keller, Gao & Welling 2021, Figs. 4 and 5)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.capsules import text_coord
from toporep.analyses.dumps import complete_settings, metric_dataset, summarize_runs
from toporep.analyses.responses import (
    Answers,
    ResponseDumps,
    boundary_of,
    chance_probability,
    contrast_sets,
    pooled_moments,
)
from toporep.errors import TopoRepError
from toporep.metrics.selectivity import cohens_d
from toporep.metrics.selectivity_maps import map_correlation, overlap, top_units
from toporep.metrics.selectivity_nulls import unit_shuffled_maps

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {
    "contrasts": {
        "faces": [["faces"], ["objects"]],
        "bodies": [["headless", "hands"], ["objects"]],
        "places": [["places"], ["objects"]],
        "animate": [["animate"], ["inanimate"]],
        "small": [["small"], ["big"]],
        "big": [["big"], ["small"]],
    },
    "pairs": [
        ["faces", "animate"],
        ["bodies", "animate"],
        ["faces", "bodies"],
        ["places", "big"],
        ["faces", "small"],
        ["faces", "places"],
    ],
    "share": 0.05,
    "shuffles": 1000,
    "seed": 0,
}
# Correlations of shifted maps come from Fourier transforms and are equal only up to their rounding.
_ROUNDING = 1e-9


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """How far the maps of Cohen's d of pairs of contrasts agree, against chance.

    Args:
        dump_paths: files of the evaluation `responses` of one paper, data set and scale, of the sets named in the
            settings; those of one run are read at a time.
        settings: `contrasts`: target and control of each, names of sets that are pooled by images. `pairs`: the
            contrasts that are compared. `share`: of the units, the most selective, whose overlap is measured.
            `shuffles`, `seed`: of the null of correlations on an open sheet.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `hierarchy` and `hierarchy_summary`; a pair is named "first, second". `correlation_p`
        (two-sided) and `overlap_p`: around a torus, the share of all shifts of the second map, which keep both maps as
        smooth as they are, that give at least as much. On an open sheet maps cannot be shifted; units are moved one by
        one, which makes p too small for smooth maps. `distance`: between the two units of the largest d, in units of
        the sheet, the short way round on a torus; `distance_chance`: the mean for two units anywhere.

        Contrasts with a control in common (faces and bodies) have maps that agree a little for that alone, and no null
        here takes it out.

    Raises:
        TopoRepError: files that do not belong together, a set that is not there or is on both sides of a contrast, a
            pair of unknown contrasts, unknown settings.
    """
    settings = complete_settings(settings, DEFAULTS)
    contrasts, pairs = settings["contrasts"], settings["pairs"]
    _refuse_unknown(pairs, contrasts)
    sets = [name for contrast in contrasts.values() for name in contrast_sets(*contrast)]
    dumps = ResponseDumps(dump_paths, provenance, sets)

    def of_run(answers: Answers) -> dict[str, Any]:
        boundary = boundary_of(next(iter(answers.values())))
        maps = {
            name: cohens_d(pooled_moments(answers, target), pooled_moments(answers, control))
            for name, (target, control) in contrasts.items()
        }
        of_pairs = [_of_pair(maps[one], maps[other], dumps.grid, boundary, settings) for one, other in pairs]
        return {name: [of_pair[name] for of_pair in of_pairs] for name in of_pairs[0]}

    values = dumps.measure(of_run)
    coords = {"pair": text_coord("pair", map(", ".join, pairs))}
    metric = metric_dataset("hierarchy", values, dumps, settings, coords=coords)
    return metric, summarize_runs(metric, "hierarchy")


def _of_pair(
    first: np.ndarray, second: np.ndarray, grid: tuple[int, int], boundary: str, settings: Mapping[str, Any]
) -> dict[str, float]:
    common = overlap(*(top_units(d_map, settings["share"]) for d_map in (first, second)), grid, boundary=boundary)
    correlation = float(map_correlation(first, second))
    return {
        "correlation": correlation,
        "correlation_p": _correlation_probability(first, second, correlation, grid, boundary, settings),
        "overlap": common.share,
        "overlap_chance": common.chance,
        "overlap_p": common.p_shifts if boundary == "torus" else common.p_units,
        "distance": _distance(_strongest(first), _strongest(second), grid, boundary),
        "distance_chance": chance_distance(grid, boundary=boundary),
    }


def _correlation_probability(
    first: np.ndarray,
    second: np.ndarray,
    found: float,
    grid: tuple[int, int],
    boundary: str,
    settings: Mapping[str, Any],
) -> float:
    """Probability of a correlation at least as far from 0; NaN if there is none."""
    if np.isnan(found):
        return np.nan
    if boundary == "torus":
        # The map where it lies is one of the shifts.
        return float(np.mean(np.abs(shifted_correlations(first, second, grid)) >= abs(found) - _ROUNDING))
    null = unit_shuffled_maps(second, shuffles=settings["shuffles"], seed=settings["seed"])
    return chance_probability(np.abs(map_correlation(first, null)), abs(found))


def shifted_correlations(first: np.ndarray, second: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Pearson correlation over units of a map and every shift of another around the torus.

    Args:
        first, second: (units,) row-major; units where either is NaN are left out.
        grid: (rows, cols) of the sheet.

    Returns:
        (rows, cols) float64: [r, c] with the second map shifted up by r rows and left by c columns; NaN where
        either map is constant.
    """
    maps = [np.reshape(values, grid) for values in (first, second)]
    present = [(~np.isnan(values)).astype(np.float64) for values in maps]
    maps = [np.nan_to_num(values - np.nanmean(values)) for values in maps]
    transforms = [
        [np.fft.fft2(values**power * mask) for power in range(3)] for values, mask in zip(maps, present, strict=True)
    ]

    def summed(power: int, other: int) -> np.ndarray:
        """Sum over the units that both have, of the powers of the two maps."""
        return np.fft.ifft2(transforms[0][power].conj() * transforms[1][other]).real

    count = np.rint(summed(0, 0))
    product = count * summed(1, 1) - summed(1, 0) * summed(0, 1)
    variances = [count * summed(2, 0) - summed(1, 0) ** 2, count * summed(0, 2) - summed(0, 1) ** 2]
    # What is left of equal numbers is rounding.
    defined = [variance > 1e-10 * variance.max(initial=0.0) for variance in variances]
    size = np.sqrt(np.where(defined[0] & defined[1], variances[0] * variances[1], 0.0))
    return np.divide(product, size, out=np.full(grid, np.nan), where=size > 0)


def chance_distance(grid: tuple[int, int], *, boundary: str) -> float:
    """Mean Euclidean distance of two units that lie anywhere on the sheet, in units of it; they may be the same one."""
    steps, shares = zip(*(_steps(size, boundary) for size in grid), strict=True)
    distances = np.hypot(steps[0][:, None], steps[1][None])
    return float(shares[0] @ distances @ shares[1])


def _steps(size: int, boundary: str) -> tuple[np.ndarray, np.ndarray]:
    """Distances that two of `size` places in a row or a ring may have, and how probable each is."""
    step = np.arange(size)
    if boundary == "torus":
        return np.minimum(step, size - step), np.full(size, 1 / size)
    return step, np.where(step == 0, size, 2 * (size - step)) / size**2


def _strongest(d_map: np.ndarray) -> int:
    """The unit of the largest d; NaN comes last."""
    return int(top_units(d_map, 1 / d_map.size).argmax())


def _distance(first: int, second: int, grid: tuple[int, int], boundary: str) -> float:
    steps = [abs(a - b) for a, b in zip(divmod(first, grid[1]), divmod(second, grid[1]), strict=True)]
    if boundary == "torus":
        steps = [min(step, size - step) for step, size in zip(steps, grid, strict=True)]
    return float(np.hypot(*steps))


def _refuse_unknown(pairs: Sequence[Sequence[str]], contrasts: Mapping[str, Any]) -> None:
    if not pairs:
        raise TopoRepError("pairs: expected at least one pair of contrasts, found none")
    for pair in pairs:
        if len(pair) != 2 or any(name not in contrasts for name in pair):
            raise TopoRepError(f"pairs: expected two of the contrasts {', '.join(contrasts)}, found {list(pair)}")
