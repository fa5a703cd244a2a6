"""Capsule traversals: examples of sequences, decoded, for figures (Keller & Welling 2021, Figs. 1, 4, 6 to 19)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.capsules import PARTS, Network, SequenceDumps, over_parts, seen_frames, text_coord
from toporep.analyses.dumps import Dump, complete_settings, group_points, metric_dataset, point_coords

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS: Mapping[str, Any] = {}
LINES = ("frames", "reconstruction", "traversal")


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Frames of the same sequences for all runs, their reconstructions, and the decoded rolls of the first frame's t.

    Args:
        dump_paths: files of the evaluation `sequences` of one paper, data set and scale; read one at a time.
        settings: there are none.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `traversals` and `traversals_summary`. `seen` is 1 for a frame whose u has a part in t of
        the first frame. `squared_error` is the evaluation's: the squared difference of a decoded frame and the frame
        itself, intensities 0 … 1, summed over pixels; `part_error` is its mean over the frames of each part, NaN where
        there are none. The summary has the mean of `squared_error` over examples and runs.

    Raises:
        TopoRepError: files that do not belong together or show other sequences, unknown settings.
    """
    settings = complete_settings(settings, DEFAULTS)
    dumps = SequenceDumps(dump_paths, provenance)
    values = dumps.measure(_of_run)
    # The reader has refused files with other examples, factors, first classes or labels.
    shown = dumps.coords["example_sequence"].values
    factor, start, label = (dumps.coords[name].values[shown] for name in ("factor", "start", "label"))
    coords = {
        "line": text_coord("line", LINES),
        "prediction": dumps.coords["prediction"],
        "part": text_coord("part", PARTS),
        "factor": text_coord("example", (dumps.factor_names[number] for number in factor)),
        "start": ("example", start),
        "label": ("example", label),
    }
    metric = metric_dataset("traversals", values, dumps, settings, coords=coords)
    return metric, _summarize(metric, group_points(dumps.runs))


def _of_run(dump: Dump, network: Network) -> dict[str, np.ndarray]:
    lines = [dump.data[f"example_{line}"].values for line in LINES]
    shown, seen = dump.data["example_sequence"].values, seen_frames(network)
    error = dump.data["squared_error"].values[:, shown].swapaxes(0, 1).astype(np.float64)
    return {
        "image": np.stack(lines, axis=1),
        "seen": seen,
        "squared_error": error,
        "part_error": over_parts(error, seen),
    }


def _summarize(metric: xr.Dataset, points: Mapping[tuple[str, float], np.ndarray]) -> xr.Dataset:
    import xarray as xr

    error = metric["squared_error"].values
    means = [error[runs].mean(axis=(0, 1)) for runs in points.values()]
    return xr.Dataset(
        {"squared_error_mean": (("point", "prediction", "frame"), np.array(means))},
        {**point_coords(points), "prediction": metric["prediction"]},
        metric.attrs,
    )
