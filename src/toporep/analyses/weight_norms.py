"""Length of the afferent weights and their topographic loss, over runs (Sander & Hasson 2026, Fig. 4b)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from toporep.analyses.dumps import DumpReader, complete_settings, metric_dataset, summarize_runs
from toporep.metrics.weight_distance import neighbor_distance, weight_norms

if TYPE_CHECKING:
    import xarray as xr


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Length of the units' afferent weights and distance between those of neighbors, of every run.

    Args:
        dump_paths: activation dumps of one paper, data set and scale; read one at a time.
        settings: there are none.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `weight_norms` and `weight_norms_summary`: mean and SD (ddof = 0) over units of the length,
        mean Euclidean and cosine distance over pairs of Moore neighbors. The bias is in none of them.

    Raises:
        TopoRepError: dumps that do not belong together, unknown settings.
    """
    settings = complete_settings(settings, {})
    dumps = DumpReader(dump_paths, provenance)
    names = ("norm", "norm_sd", "topographic_loss", "cosine_topographic_loss")
    values: dict[str, list] = {name: [] for name in names}
    for dump in dumps:
        weights = dump.data["sheet_weight"].values
        norms = weight_norms(weights)
        values["norm"].append(norms.mean())
        values["norm_sd"].append(norms.std())
        values["topographic_loss"].append(neighbor_distance(weights, dump.grid))
        values["cosine_topographic_loss"].append(neighbor_distance(weights, dump.grid, "cosine"))
    metric = metric_dataset("weight_norms", values, dumps, settings)
    return metric, summarize_runs(metric, "weight_norms")
