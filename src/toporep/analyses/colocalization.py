"""Co-localisation of correlated units over runs (Truong & Hasson 2025, Fig. 6; Sander & Hasson 2026, Fig. 5)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep import rng
from toporep.analyses.dumps import DumpReader, RunKey, complete_settings, group_points, point_coords, run_coords
from toporep.metrics.colocalization import chance_distance, colocalization_distance, colocalization_null
from toporep.metrics.statistics import quantiles, summarize

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {
    "activation": "pre",
    "thresholds": [0.1, 0.3, 0.5, 0.6, 0.7, 0.8],
    "inclusive": False,
    "include_self": False,
    "average": "pairs",
    "relabellings": 1000,
}
_NULL_LEVELS = (0.025, 0.975)


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Distance of correlated units for every run, its null distribution for runs without topography, and the summary.

    Args:
        dump_paths: activation dumps of one paper, data set and scale; read one at a time.
        settings: `activation` ("pre" or "post" the ReLU), `relabellings` (random assignments of units to places for
            each run of strength 0) and the options of `toporep.metrics.colocalization_distance`.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `colocalization` and `colocalization_summary`. The null band is for the mean over the runs
        of a condition at strength 0: its limits are the 2.5 % and 97.5 % quantiles, over relabellings, of that mean,
        where the units of each run were assigned to places independently of the other runs. There is a band for each
        such condition, and one of all together, whose quantiles are over conditions too.

    Raises:
        TopoRepError: dumps that do not belong together, unknown settings.
    """
    import xarray as xr

    settings = complete_settings(settings, DEFAULTS)
    options = {name: settings[name] for name in ("inclusive", "include_self", "average")}
    thresholds, relabellings = settings["thresholds"], settings["relabellings"]
    dumps = DumpReader(dump_paths, provenance)
    distance, pairs, null, null_runs = [], [], [], []
    for dump in dumps:
        activations = dump.select(settings["activation"])
        result = colocalization_distance(activations, dump.grid, thresholds, **options)
        distance.append(result.distance)
        pairs.append(result.pairs)
        if dump.run.strength == 0:
            options_null = {**options, "relabellings": relabellings, "seed": _null_seed(dump.run)}
            null.append(colocalization_null(activations, dump.grid, thresholds, **options_null))
            null_runs.append(dump.run)
    attrs = dumps.attributes(settings)
    attrs["chance_distance"] = chance_distance(dumps.grid, settings["include_self"])
    threshold = ("threshold", np.asarray(thresholds, dtype=np.float64))
    null_distance = np.array(null, dtype=np.float64).reshape(len(null), relabellings, len(thresholds))
    metric = xr.Dataset(
        {
            "distance": (("run", "threshold"), np.array(distance)),
            "pairs": (("run", "threshold"), np.array(pairs)),
            "null_distance": (("control_run", "relabelling", "threshold"), null_distance),
        },
        coords={
            **run_coords(dumps.runs),
            "threshold": threshold,
            "control_condition": ("control_run", np.array([run.condition for run in null_runs], dtype=str)),
            "control_seed": ("control_run", np.array([run.seed for run in null_runs], dtype=np.int64)),
        },
        attrs=attrs,
    )
    return metric, _summarize(metric, group_points(dumps.runs), group_points(null_runs))


def _null_seed(run: RunKey) -> int:
    """Seed of a run's random assignments, so that those of different runs are independent of each other."""
    # Of truong2025's one condition without topography it has been the run's own seed from the beginning.
    return run.seed if run.condition == "control" else rng.key(run.seed, f"relabellings of {run.condition}")


def _summarize(
    metric: xr.Dataset,
    points: Mapping[tuple[str, float], np.ndarray],
    null_points: Mapping[tuple[str, float], np.ndarray],
) -> xr.Dataset:
    import xarray as xr

    of_point = [summarize(metric["distance"].values[indices]) for indices in points.values()]
    null = metric["null_distance"].values
    null_means = [summarize(null[indices]).mean for indices in null_points.values()]
    # Without any such run there are no rows, and the quantiles are NaN.
    low, high = quantiles(np.concatenate([np.empty((0, null.shape[-1])), *null_means]), _NULL_LEVELS)
    pairs = metric["pairs"].values
    dims = ("point", "threshold")
    summary = xr.Dataset(
        {
            "distance_mean": (dims, np.array([point.mean for point in of_point])),
            "distance_sem": (dims, np.array([point.sem for point in of_point])),
            "distance_n": (dims, np.array([point.n for point in of_point])),
            "pairs_mean": (dims, np.array([pairs[indices].mean(axis=0) for indices in points.values()])),
            "null_low": ("threshold", low),
            "null_high": ("threshold", high),
        },
        coords={**point_coords(points), "threshold": metric["threshold"]},
        attrs=metric.attrs,
    )
    if not null_points:
        return summary
    low, high = quantiles(np.array(null_means), _NULL_LEVELS, axis=1)
    dims = ("null_condition", "threshold")
    return summary.assign(condition_null_low=(dims, low), condition_null_high=(dims, high)).assign_coords(
        null_condition=("null_condition", np.array([condition for condition, _ in null_points], dtype=object))
    )
