"""Selectivity of units for one category of images against another, with nulls (Keller, Gao & Welling 2021, Fig. 1)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.capsules import text_coord
from toporep.analyses.dumps import complete_settings, metric_dataset, summarize_runs
from toporep.analyses.responses import (
    QUANTITIES,
    Answers,
    ResponseDumps,
    boundary_of,
    chance_probability,
    contrast_sets,
    largest_patches,
    pooled_moments,
    pooled_sample,
    quantities_of,
)
from toporep.metrics.selectivity import cohens_d, cohens_d_error
from toporep.metrics.selectivity_maps import BOUNDARIES, Patch, map_smoothness, selective_patches
from toporep.metrics.selectivity_nulls import (
    label_shuffled_maps,
    spearman_brown,
    split_half_reliability,
    unit_shuffled_maps,
)

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {
    "target": ["faces"],
    "control": ["objects"],
    "threshold": 0.85,
    "shuffles": 200,
    "splits": 100,
    "patches": 10,
    "seed": 0,
}
# Half of a 95 % confidence interval of a normal distribution, in standard errors.
_CONFIDENCE = 1.96
# `smoothness_unit_null_high` is this percentile over shuffles.
_HIGH = 95
# Maps of a null are measured so many at a time, or their pairs of units would fill the memory.
_MAPS = 64
_OF_QUANTITY = ("d", "max_d", "min_d", "selective_share", "smoothness", "patches", "largest_patch")


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Maps of Cohen's d, how smooth and how clustered they are, and the same by chance.

    Args:
        dump_paths: files of the evaluation `responses` of one paper, data set and scale, of the sets named in the
            settings; those of one run are read at a time.
        settings: `target`, `control`: names of sets, pooled by images; d is positive where the target has the larger
            activation. `threshold`: of selective units and patches. `shuffles`: maps of each null. `splits`: random
            halves of the images. `patches`: the largest so many are listed. `seed`: of nulls and halves.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `selectivity` and `selectivity_summary`. Quantities are those of all runs, NaN where a run
        has none; what has no quantity is of the first, the activation that the paper shows. `d` is of all images. The
        nulls by shuffled labels and the reliability (Spearman-Brown from the mean correlation of random halves) are
        of the images that were kept, fewer than all: that null is too wide, and the reliability too low, for d. The
        nulls by shuffled units have the values of d itself. Nulls are means over shuffles, `smoothness_unit_null_high`
        the 95th percentile; `patch_p_*`: probability of a largest patch of at least this size. `confident_share`:
        units whose d exceeds the threshold by 1.96 standard errors. `difference_smoothness`: of the difference of the
        means, not divided by the standard deviation. `torus`: 1 where patches and what has no boundary are measured
        around a torus, 0 on an open sheet. Patches beyond those that are there are NaN.

    Raises:
        TopoRepError: files that do not belong together, a set that is not there or is on both sides, unknown settings.
    """
    settings = complete_settings(settings, DEFAULTS)
    target, control = settings["target"], settings["control"]
    dumps = ResponseDumps(dump_paths, provenance, contrast_sets(target, control))
    values = dumps.measure(lambda answers: _of_run(answers, dumps.grid, settings))
    quantities = [name for name in QUANTITIES if any(name in of_run for of_run in values["d"])]
    for name in _OF_QUANTITY:
        values[name] = _over_quantities(values[name], quantities)
    metric = metric_dataset(
        "selectivity",
        values,
        dumps,
        settings,
        coords={
            **dumps.coords,
            "quantity": text_coord("quantity", quantities),
            "boundary": text_coord("boundary", BOUNDARIES),
        },
        attrs={"target": " + ".join(target), "control": " + ".join(control)},
    )
    return metric, summarize_runs(metric, "selectivity")


def _of_run(answers: Answers, grid: tuple[int, int], settings: Mapping[str, Any]) -> dict[str, Any]:
    first = next(iter(answers.values()))
    boundary, threshold = boundary_of(first), settings["threshold"]
    target, control = settings["target"], settings["control"]
    moments = {
        name: (pooled_moments(answers, target, name), pooled_moments(answers, control, name))
        for name in quantities_of(first)
    }
    d = {name: cohens_d(*classes) for name, classes in moments.items()}
    main = moments[QUANTITIES[0]]
    error, difference = cohens_d_error(*main), main[0].mean - main[1].mean
    patches = {
        name: selective_patches(of_quantity, grid, threshold=threshold, boundary=boundary)
        for name, of_quantity in d.items()
    }
    return {
        "d": d,
        "max_d": {name: _extreme(of_quantity, np.max) for name, of_quantity in d.items()},
        "min_d": {name: _extreme(of_quantity, np.min) for name, of_quantity in d.items()},
        "selective_share": {name: float(np.mean(of_quantity >= threshold)) for name, of_quantity in d.items()},
        "smoothness": {name: _smoothness(of_quantity, grid) for name, of_quantity in d.items()},
        "patches": {name: len(found) for name, found in patches.items()},
        "largest_patch": {name: _largest(found) for name, found in patches.items()},
        "d_error": error,
        "confident_share": float(np.mean(d[QUANTITIES[0]] - _CONFIDENCE * error >= threshold)),
        "difference_smoothness": float(map_smoothness(difference, grid, boundary=boundary)),
        "torus": float(boundary == "torus"),
        **_listed(patches[QUANTITIES[0]], settings["patches"]),
        **_nulls(answers, d[QUANTITIES[0]], _largest(patches[QUANTITIES[0]]), grid, boundary, settings),
    }


def _nulls(
    answers: Answers,
    d_map: np.ndarray,
    largest: int,
    grid: tuple[int, int],
    boundary: str,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    samples = [pooled_sample(answers, settings[name]) for name in ("target", "control")]
    draws = {"shuffles": settings["shuffles"], "seed": settings["seed"]}
    halves = split_half_reliability(*samples, splits=settings["splits"], seed=settings["seed"])
    found: dict[str, Any] = {"reliability": float(spearman_brown(_mean(halves)))}
    maps = {"label": label_shuffled_maps(*samples, **draws), "unit": unit_shuffled_maps(d_map, **draws)}
    for name, null in maps.items():
        smoothness = _smoothness(null, grid)
        patches = largest_patches(null, grid, threshold=settings["threshold"], boundary=boundary)
        found |= {
            f"d_{name}_shuffled": null[0],
            f"smoothness_{name}_null": [_mean(of_boundary) for of_boundary in smoothness.T],
            f"largest_patch_{name}_null": float(patches.mean()),
            f"patch_p_{name}": chance_probability(patches, largest),
        }
        if name == "unit":
            found["smoothness_unit_null_high"] = [_high(of_boundary) for of_boundary in smoothness.T]
    return found


def _smoothness(maps: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """(..., units) → (..., boundary)."""
    stacked = maps.reshape(-1, maps.shape[-1])
    parts = [
        np.stack([map_smoothness(stacked[start : start + _MAPS], grid, boundary=name) for name in BOUNDARIES], axis=-1)
        for start in range(0, len(stacked), _MAPS)
    ]
    return np.concatenate(parts).reshape(*maps.shape[:-1], len(BOUNDARIES))


def _listed(patches: Sequence[Patch], count: int) -> dict[str, np.ndarray]:
    """Size, center and maximum of the largest patches, NaN beyond the last one."""
    listed = np.full((4, count), np.nan)
    for index, patch in enumerate(patches[:count]):
        listed[:, index] = patch.size, *patch.center, patch.max_d
    return dict(zip(("patch_size", "patch_row", "patch_col", "patch_max_d"), listed, strict=True))


def _over_quantities(of_runs: Sequence[Mapping[str, Any]], quantities: Sequence[str]) -> list[np.ndarray]:
    """For each run the values of all quantities, NaN where it has none."""
    absent = np.full(np.shape(next(iter(of_runs[0].values()))), np.nan)
    return [np.stack([of_run.get(name, absent) for name in quantities]) for of_run in of_runs]


def _largest(patches: Sequence[Patch]) -> int:
    return patches[0].size if patches else 0


def _extreme(d_map: np.ndarray, choose: Any) -> float:
    defined = d_map[~np.isnan(d_map)]
    return float(choose(defined)) if defined.size else np.nan


def _mean(values: np.ndarray) -> float:
    """Mean of the defined values."""
    return float(np.nanmean(values)) if not np.isnan(values).all() else np.nan


def _high(values: np.ndarray) -> float:
    return float(np.nanpercentile(values, _HIGH)) if not np.isnan(values).all() else np.nan
