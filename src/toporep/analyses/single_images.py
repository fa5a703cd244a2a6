"""What sheets answer to single images, and how local it is (Keller, Gao & Welling 2021, Figs. 3, 4, 10)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.capsules import text_coord
from toporep.analyses.dumps import (
    RunKey,
    complete_settings,
    group_points,
    metric_dataset,
    point_coords,
)
from toporep.analyses.responses import Answers, ResponseDumps, boundary_of
from toporep.metrics.selectivity import strongest_units
from toporep.metrics.selectivity_maps import map_correlation, map_smoothness
from toporep.metrics.statistics import summarize

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS: Mapping[str, Any] = {}
_SUMMARIZED = ("smoothness", "active_share", "between_sets")


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Activation maps of the first images of each set.

    Args:
        dump_paths: files of the evaluation `responses` of one paper, data set and scale; those of one run are read at
            a time.
        settings: there are none.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `single_images` and `single_images_summary`. The summary is over the images of all sets
        and runs, so its SEM is that of images rather than of networks. Of sets with fewer images kept than others, all
        are shown, and so many of the others. `smoothness`: correlation of neighbors, around the torus or on the open
        sheet as the network has it. `active_share`: share of units at least half as far from the map's median as the
        farthest. `between_sets`: mean correlation with the maps of the other sets' images, NaN if there is one set.

    Raises:
        TopoRepError: files that do not belong together, unknown settings.
    """
    settings = complete_settings(settings, DEFAULTS)
    dumps = ResponseDumps(dump_paths, provenance)
    thumbnails: list[np.ndarray] = []

    def of_run(answers: Answers) -> dict[str, Any]:
        examples = min(dump.data.sizes["example"] for dump in answers.values())
        if not thumbnails:
            # All runs are shown the same images.
            thumbnails.extend(dump.data["thumbnail"].values[:examples] for dump in answers.values())
        return _of_run(answers, examples)

    values = dumps.measure(of_run)
    coords = {**dumps.coords, "set": text_coord("set", dumps.sets)}
    metric = metric_dataset("single_images", {**values, "thumbnail": thumbnails}, dumps, settings, coords=coords)
    return metric, _summary(metric, dumps.runs)


def _of_run(answers: Answers, examples: int) -> dict[str, Any]:
    first = next(iter(answers.values()))
    maps = np.stack([dump.data["single"].values[:examples] for dump in answers.values()]).astype(np.float64)
    strongest = strongest_units(maps, first.grid)
    return {
        "activation": maps,
        "strongest_row": strongest[..., 0],
        "strongest_col": strongest[..., 1],
        "smoothness": map_smoothness(maps, first.grid, boundary=boundary_of(first)),
        "active_share": active_share(maps),
        "between_sets": correlation_between_sets(maps),
    }


def active_share(maps: np.ndarray) -> np.ndarray:
    """Share of the units at least half as far from the map's median as the farthest one.

    Args:
        maps: (..., units) finite.

    Returns:
        (...) float64: small if few units answer, above 1/2 if most are as far as the farthest; 1 for a constant map.
    """
    distance = np.abs(maps - np.median(maps, axis=-1, keepdims=True))
    return np.mean(2 * distance >= distance.max(axis=-1, keepdims=True), axis=-1)


def correlation_between_sets(maps: np.ndarray) -> np.ndarray:
    """Mean Pearson correlation over units of each map with those of all other sets.

    Args:
        maps: (sets, examples, units).

    Returns:
        (sets, examples) float64; NaN if there is one set, or if no correlation with the others is defined.
    """
    sets, examples, units = maps.shape
    stacked = maps.reshape(-1, units)
    found = np.stack([map_correlation(one, stacked) for one in stacked]).reshape(sets, examples, sets, examples)
    found[np.arange(sets), :, np.arange(sets)] = np.nan
    return summarize(found.reshape(sets, examples, -1), axis=-1).mean


def _summary(metric: xr.Dataset, runs: Sequence[RunKey]) -> xr.Dataset:
    import xarray as xr

    points = group_points(runs)
    variables = {}
    for name in _SUMMARIZED:
        of_points = [summarize(metric[name].values[indices].reshape(-1)) for indices in points.values()]
        variables[f"{name}_mean"] = ("point", np.array([of_point.mean for of_point in of_points]))
        variables[f"{name}_sem"] = ("point", np.array([of_point.sem for of_point in of_points]))
    return xr.Dataset(variables, point_coords(points), metric.attrs)
