"""Training histories, over runs (Truong & Hasson 2025, App. A.1 and App. Fig. 1, 2)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from toporep.analyses.dumps import DumpReader, complete_settings, metric_dataset, summarize_runs

if TYPE_CHECKING:
    import xarray as xr


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """The history of every run: accuracy, cross-entropy and spatial terms at each epoch.

    Args:
        dump_paths: activation dumps of one paper, data set and scale; read one at a time.
        settings: there are none.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `training_curves` and `training_curves_summary`.

    Raises:
        TopoRepError: dumps that do not belong together, histories of different lengths, unknown settings.
    """
    settings = complete_settings(settings, {})
    dumps = DumpReader(dump_paths, provenance, same_epochs=True)
    values = dumps.measure(lambda dump: {"value": dump.data["history"].values})
    coords = {name: dumps.coords[name] for name in ("epoch", "quantity")}
    metric = metric_dataset("training_curves", values, dumps, settings, coords=coords)
    return metric, summarize_runs(metric, "training_curves")
