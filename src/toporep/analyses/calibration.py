"""Accuracy and calibration of runs (Truong & Hasson 2025, Fig. 2, App. A.1 and App. Fig. 5)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from toporep.analyses.dumps import Dump, DumpReader, complete_settings, metric_dataset, summarize_runs
from toporep.metrics.calibration import accuracy, expected_calibration_error, logit_gap, probability_gap

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {"bins": 15}


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Accuracy on the test images, gaps between the two best classes, and expected calibration error of every run.

    Args:
        dump_paths: activation dumps of one paper, data set and scale; read one at a time.
        settings: `bins` of the calibration error.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `calibration` and `calibration_summary`.

    Raises:
        TopoRepError: dumps that do not belong together, unknown settings.
    """
    settings = complete_settings(settings, DEFAULTS)
    dumps = DumpReader(dump_paths, provenance)
    values = dumps.measure(lambda dump: _of_run(dump, bins=settings["bins"]))
    metric = metric_dataset("calibration", values, dumps, settings)
    return metric, summarize_runs(metric, "calibration")


def _of_run(dump: Dump, *, bins: int) -> dict[str, float]:
    logits = dump.data["logits"].values
    return {
        "accuracy": accuracy(logits, dump.label),
        "logit_gap": logit_gap(logits),
        "probability_gap": probability_gap(logits),
        "calibration_error": expected_calibration_error(logits, dump.label, bins),
    }
