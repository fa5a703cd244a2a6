"""Whether few units, and those at the border, carry the maps, over runs (Sander & Hasson 2026, Fig. 3)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.dumps import Dump, DumpReader, complete_settings, metric_dataset, summarize_runs
from toporep.metrics.concentration import edge_center_ratio, kurtosis, top_share
from toporep.metrics.statistics import summarize

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {"share": 0.05}


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Share of the most active units, kurtosis over units, and border against center, of every run.

    All are of the absolute activation before the ReLU.

    Args:
        dump_paths: activation dumps of one paper, data set and scale; read one at a time.
        settings: `share` of the units that count as most active.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `concentration` and `concentration_summary`. `top_share` and `kurtosis` (excess, of the
        population) are means over the maps of all test images that have one; `edge_center_ratio` is that of the mean
        map, since in a single map the center may be next to silent.

    Raises:
        TopoRepError: dumps that do not belong together, unknown settings.
    """
    settings = complete_settings(settings, DEFAULTS)
    dumps = DumpReader(dump_paths, provenance)
    values = dumps.measure(lambda dump: _of_run(dump, share=settings["share"]))
    metric = metric_dataset("concentration", values, dumps, settings)
    return metric, summarize_runs(metric, "concentration")


def _of_run(dump: Dump, *, share: float) -> dict[str, Any]:
    mean_map = np.abs(dump.activations).mean(axis=0, dtype=np.float64)
    return {
        "top_share": summarize(top_share(dump.activations, share)).mean,
        "kurtosis": summarize(kurtosis(dump.activations)).mean,
        "edge_center_ratio": edge_center_ratio(mean_map, dump.grid),
    }
