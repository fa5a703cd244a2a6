"""Distributions of correlations of weights and responses between units, over runs (Truong & Hasson 2025, Fig. 8, 9)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.dumps import Dump, DumpReader, complete_settings, metric_dataset, summarize_runs
from toporep.metrics.correlations import (
    correlation_edges,
    correlation_histogram,
    correlation_statistics,
    neighbor_correlations,
    pair_correlations,
)

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {"activation": "pre", "bins": 100, "thresholds": [0.5, 0.9, 0.95, 0.99]}
_QUANTITIES = ("weights_neighbor", "weights_all", "activations_neighbor", "activations_all")


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Correlations of afferent weights and of responses, with neighbors and of all pairs, of every run.

    Args:
        dump_paths: activation dumps of one paper, data set and scale; read one at a time.
        settings: `activation` ("pre" or "post" the ReLU), number of `bins` from -1 to 1, `thresholds` of the shares.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `correlations` and `correlations_summary`.

    Raises:
        TopoRepError: dumps that do not belong together, unknown settings.
    """
    settings = complete_settings(settings, DEFAULTS)
    dumps = DumpReader(dump_paths, provenance)
    values = dumps.measure(lambda dump: _of_run(dump, settings))
    coords = {
        "quantity": ("quantity", np.array(_QUANTITIES, dtype=object)),
        "threshold": ("threshold", np.asarray(settings["thresholds"], dtype=np.float64)),
        "bin_left": ("bin", correlation_edges(settings["bins"])[:-1]),
    }
    metric = metric_dataset("correlations", values, dumps, settings, coords=coords)
    return metric, summarize_runs(metric, "correlations")


def _of_run(dump: Dump, settings: Mapping[str, Any]) -> dict[str, list]:
    """Of each variable a value for each of `_QUANTITIES`."""
    weights, activations = dump.data["sheet_weight"].values, dump.select(settings["activation"])
    found = [
        neighbor_correlations(weights, dump.grid, units="rows"),
        pair_correlations(weights, units="rows"),
        neighbor_correlations(activations, dump.grid),
        pair_correlations(activations),
    ]
    statistics = [correlation_statistics(correlation, thresholds=settings["thresholds"]) for correlation in found]
    return {
        "median": [one.median for one in statistics],
        "share_negative": [one.negative for one in statistics],
        "share_above": [one.above for one in statistics],
        "histogram": [correlation_histogram(correlation, settings["bins"]) for correlation in found],
    }
