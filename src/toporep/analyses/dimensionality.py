"""Effective dimensionality of weights and of responses, over runs (Truong & Hasson 2025, sec. 3.4.3, App. Fig. 6)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.dumps import Dump, DumpReader, complete_settings, metric_dataset, summarize_runs
from toporep.metrics.dimensionality import effective_dimensionality, weight_dimensionality

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {"centered": True}
_QUANTITIES = ("weights", "weights_transposed", "activations_pre", "activations_post")


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Participation ratio of afferent weights in both orientations and of responses before and after the ReLU.

    Args:
        dump_paths: activation dumps of one paper, data set and scale; read one at a time.
        settings: `centered`: subtract the mean of each variable.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `dimensionality` and `dimensionality_summary`. In `weights` the units are the variables
        and the inputs the samples, in `weights_transposed` the reverse.

    Raises:
        TopoRepError: dumps that do not belong together, unknown settings.
    """
    settings = complete_settings(settings, DEFAULTS)
    dumps = DumpReader(dump_paths, provenance)
    values = dumps.measure(
        lambda dump: {"effective_dimensionality": _of_quantities(dump, centered=settings["centered"])}
    )
    coords = {"quantity": ("quantity", np.array(_QUANTITIES, dtype=object))}
    metric = metric_dataset("dimensionality", values, dumps, settings, coords=coords)
    return metric, summarize_runs(metric, "dimensionality")


def _of_quantities(dump: Dump, *, centered: bool) -> list[float]:
    """In the order of `_QUANTITIES`."""
    weight = dump.data["sheet_weight"].values
    return [
        weight_dimensionality(weight, variables="units", centered=centered),
        weight_dimensionality(weight, variables="inputs", centered=centered),
        effective_dimensionality(dump.select("pre"), centered=centered),
        effective_dimensionality(dump.select("post"), centered=centered),
    ]
