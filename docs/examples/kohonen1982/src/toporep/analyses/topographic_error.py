"""Topographic error over runs (Kiviluoto 1996)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from toporep.analyses.dumps import DumpReader, complete_settings, metric_dataset, summarize_runs
from toporep.metrics.topographic_error import chance_topographic_error, topographic_error

if TYPE_CHECKING:
    import xarray as xr


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Share of the test images whose two most active units are not neighbors, of every run, and the summary.

    Args:
        dump_paths: activation dumps of one paper, data set and scale; read one at a time.
        settings: there are none.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `topographic_error` and `topographic_error_summary`.

    Raises:
        TopoRepError: dumps that do not belong together, unknown settings.
    """
    settings = complete_settings(settings, {})
    dumps = DumpReader(dump_paths, provenance)
    values = {"topographic_error": [topographic_error(dump.activations, dump.grid) for dump in dumps]}
    chance = chance_topographic_error(dumps.grid)
    metric = metric_dataset("topographic_error", values, dumps, settings, attrs={"chance_topographic_error": chance})
    return metric, summarize_runs(metric, "topographic_error")
