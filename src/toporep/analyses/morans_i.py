"""Moran's I of activation maps over runs (Truong & Hasson 2025, App. Fig. 8)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.dumps import Dump, DumpReader, complete_settings, metric_dataset, summarize_runs
from toporep.metrics.morans_i import expected_morans_i, morans_i
from toporep.metrics.statistics import summarize

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {"activation": "pre", "neighborhood": "queen", "centered": False}


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Moran's I of every run, the mean over the maps of all stimuli, and the summary over seeds.

    Args:
        dump_paths: activation dumps of one paper, data set and scale; read one at a time.
        settings: `activation` ("pre" or "post" the ReLU), `neighborhood` ("queen" or "rook"), `centered` (take off each
            unit its mean over the stimuli: what all maps have in common, such as the units' biases, does not count).
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `morans_i` and `morans_i_summary`. Constant maps have no Moran's I: they are left out of
        a run's mean and counted in `constant_maps`.

    Raises:
        TopoRepError: dumps that do not belong together, unknown settings.
    """
    settings = complete_settings(settings, DEFAULTS)
    dumps = DumpReader(dump_paths, provenance)
    values = dumps.measure(lambda dump: _of_run(dump, settings))
    chance = expected_morans_i(dumps.grid[0] * dumps.grid[1])
    metric = metric_dataset("morans_i", values, dumps, settings, attrs={"chance_morans_i": chance})
    return metric, summarize_runs(metric, "morans_i")


def _of_run(dump: Dump, settings: Mapping[str, Any]) -> dict[str, Any]:
    activations = dump.select(settings["activation"])
    if settings["centered"]:
        activations = activations - activations.mean(axis=0, dtype=np.float64).astype(activations.dtype)
    maps = activations.reshape(-1, *dump.grid)
    found = summarize(morans_i(maps, settings["neighborhood"]))
    return {"morans_i": found.mean, "constant_maps": len(maps) - found.n}
