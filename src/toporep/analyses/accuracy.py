"""Accuracy on the test images over runs (Sander & Hasson 2026, Fig. 1)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.dumps import Dump, DumpReader, complete_settings, metric_dataset, summarize_runs
from toporep.metrics.calibration import accuracy

if TYPE_CHECKING:
    import xarray as xr


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Share of the test images that each run answers with their class.

    Args:
        dump_paths: activation dumps of one paper, data set and scale; read one at a time.
        settings: there are none.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `accuracy` and `accuracy_summary`. `accuracy_standardized` is that of the second readout, of
        standardized activations; NaN for a network that has none, because its classifier was trained with it.

    Raises:
        TopoRepError: dumps that do not belong together, unknown settings.
    """
    settings = complete_settings(settings, {})
    dumps = DumpReader(dump_paths, provenance)
    metric = metric_dataset("accuracy", dumps.measure(_of_run), dumps, settings)
    return metric, summarize_runs(metric, "accuracy")


def _of_run(dump: Dump) -> dict[str, float]:
    second = dump.data.get("logits_standardized")
    return {
        "accuracy": accuracy(dump.data["logits"].values, dump.label),
        "accuracy_standardized": np.nan if second is None else accuracy(second.values, dump.label),
    }
