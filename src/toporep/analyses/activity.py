"""How variable and how sparse the units respond, over runs (Truong & Hasson 2025, sec. 3.3 and Fig. 5)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.dumps import Dump, DumpReader, complete_settings, metric_dataset, summarize_runs
from toporep.metrics.activity import percent_zero
from toporep.metrics.entropy import unit_entropy, unit_variance

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {"activation": "pre", "bins": 50}
_ESTIMATORS = ("unit_range", "common_range", "gaussian")


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Entropy by three estimators, variance, and percentage of zeros after the ReLU, of every run.

    The paper names no estimator of entropy. `unit_range` is blind to the scale of the responses; `common_range` has
    the same bins for all runs, from the least to the greatest response of any of them.

    Args:
        dump_paths: activation dumps of one paper, data set and scale; each is read twice, one at a time.
        settings: `activation` ("pre" or "post" the ReLU) for entropy and variance, number of `bins`.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `activity` and `activity_summary`. Units without variance count in `dead_units` and are
        left out of the entropy.

    Raises:
        TopoRepError: dumps that do not belong together, unknown settings.
    """
    settings = complete_settings(settings, DEFAULTS)
    dumps = DumpReader(dump_paths, provenance)
    extremes = [(found.min(), found.max()) for found in (dump.select(settings["activation"]) for dump in dumps)]
    value_range = (float(min(low for low, _ in extremes)), float(max(high for _, high in extremes)))
    values = dumps.measure(lambda dump: _of_run(dump, settings, value_range=value_range))
    coords = {"estimator": ("estimator", np.array(_ESTIMATORS, dtype=object))}
    metric = metric_dataset("activity", values, dumps, settings, coords=coords)
    return metric, summarize_runs(metric, "activity")


def _of_run(dump: Dump, settings: Mapping[str, Any], *, value_range: tuple[float, float]) -> dict[str, Any]:
    activations = dump.select(settings["activation"])
    variance = unit_variance(activations)
    alive = variance > 0
    entropy = [
        unit_entropy(
            activations,
            estimator,
            bins=settings["bins"],
            value_range=value_range if estimator == "common_range" else None,
        )
        for estimator in _ESTIMATORS
    ]
    return {
        "percent_zero": percent_zero(dump.activations),
        "entropy": [found[alive].mean() if alive.any() else np.nan for found in entropy],
        "variance": variance.mean(),
        "dead_units": np.count_nonzero(~alive),
    }
