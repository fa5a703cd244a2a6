"""Length of the afferent weights and their topographic loss, over runs (Sander & Hasson 2026, Fig. 4b)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from toporep.analyses.dumps import Dump, DumpReader, complete_settings, metric_dataset, summarize_runs
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
    metric = metric_dataset("weight_norms", dumps.measure(_of_run), dumps, settings)
    return metric, summarize_runs(metric, "weight_norms")


def _of_run(dump: Dump) -> dict[str, float]:
    weights = dump.data["sheet_weight"].values
    norms = weight_norms(weights)
    return {
        "norm": norms.mean(),
        "norm_sd": norms.std(),
        "topographic_loss": neighbor_distance(weights, dump.grid),
        "cosine_topographic_loss": neighbor_distance(weights, dump.grid, "cosine"),
    }
