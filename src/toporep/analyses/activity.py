"""How sparse and how alike the units respond, over runs (Truong & Hasson 2025, Fig. 5 and sec. 3.4.3)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.dumps import DumpReader, complete_settings, group_points, point_coords, run_coords
from toporep.metrics.activity import percent_zero
from toporep.metrics.colocalization import share_correlated
from toporep.metrics.statistics import summarize

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {"activation": "pre", "threshold": 0.9}


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Percentage of zeros after the ReLU, and share of unit pairs that correlate above a threshold, of every run.

    Args:
        dump_paths: activation dumps of one paper, data set and scale; read one at a time.
        settings: `activation` ("pre" or "post" the ReLU) for the correlations, and their `threshold`.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `activity` and `activity_summary`.

    Raises:
        TopoRepError: dumps that do not belong together, unknown settings.
    """
    import xarray as xr

    settings = complete_settings(settings, DEFAULTS)
    dumps = DumpReader(dump_paths, provenance)
    values: dict[str, list[float]] = {"percent_zero": [], "share_correlated": []}
    for dump in dumps:
        activations = dump.select(settings["activation"])
        values["percent_zero"].append(percent_zero(dump.activations))
        values["share_correlated"].append(share_correlated(activations, settings["threshold"]))
    attrs = dumps.attributes(settings)
    arrays = {name: np.array(of_run, dtype=np.float64) for name, of_run in values.items()}
    metric = xr.Dataset({name: ("run", array) for name, array in arrays.items()}, run_coords(dumps.runs), attrs)
    points = group_points(dumps.runs)
    summary = {}
    for name, array in arrays.items():
        of_point = [summarize(array[indices]) for indices in points.values()]
        summary[f"{name}_mean"] = ("point", np.array([point.mean for point in of_point], dtype=np.float64))
        summary[f"{name}_sem"] = ("point", np.array([point.sem for point in of_point], dtype=np.float64))
    return metric, xr.Dataset(summary, point_coords(points), attrs)
