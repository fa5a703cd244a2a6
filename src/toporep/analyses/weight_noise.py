"""Robustness of the readout to noise on its weights, over runs (Truong & Hasson 2025, sec. 3.2 and Fig. 3)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.dumps import Dump, DumpReader, complete_settings, metric_dataset, summarize_runs
from toporep.errors import TopoRepError
from toporep.metrics.weight_noise import weight_noise_robustness

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {
    "absolute": [0.05, 0.1, 0.2, 0.3],
    "relative": [0.25, 0.5, 1, 2],
    "repetitions": 100,
    "seed": 0,
    "measure": "pearson",
}
_MODES = ("absolute", "relative")


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Similarity of the readout to itself, and accuracy, with noise on its weights, of every run.

    Args:
        dump_paths: activation dumps of one paper, data set and scale; read one at a time.
        settings: as many `absolute` levels (SD of the noise) as `relative` ones (in units of the SD of the run's own
            readout weights), `repetitions` and `seed` of the draws, `measure` of similarity between classes.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `weight_noise` and `weight_noise_summary`; `accuracy_change` is in percentage points.

    Raises:
        TopoRepError: dumps that do not belong together, unknown settings, levels that differ in number.
    """
    settings = complete_settings(settings, DEFAULTS)
    sigma = [settings[mode] for mode in _MODES]
    if len(sigma[0]) != len(sigma[1]):
        raise TopoRepError(
            f"settings: expected as many relative as absolute levels, found {len(sigma[1])} and {len(sigma[0])}"
        )
    modes = [mode for mode, levels in zip(_MODES, sigma, strict=True) for _ in levels]
    options = {"mode": modes, **{name: settings[name] for name in ("repetitions", "seed", "measure")}}
    dumps = DumpReader(dump_paths, provenance)
    values = dumps.measure(lambda dump: _of_run(dump, [*sigma[0], *sigma[1]], options))
    coords = {
        "mode": ("mode", np.array(_MODES, dtype=object)),
        "sigma": (("mode", "level"), np.array(sigma, dtype=np.float64)),
    }
    metric = metric_dataset("weight_noise", values, dumps, settings, coords=coords)
    return metric, summarize_runs(metric, "weight_noise")


def _of_run(dump: Dump, sigma: list[float], options: Mapping[str, Any]) -> dict[str, Any]:
    weights = (dump.data[name].values for name in ("readout_weight", "readout_bias"))
    found = weight_noise_robustness(dump.select("post"), *weights, dump.label, sigma, **options)
    by_mode = {
        "similarity": found.similarity,
        "accuracy": found.accuracy,
        "accuracy_change": 100 * (found.accuracy - found.clean_accuracy),
    }
    return {
        **{name: value.reshape(len(_MODES), -1) for name, value in by_mode.items()},
        "clean_accuracy": found.clean_accuracy,
        "readout_norm": found.weight_norm,
        "readout_sd": found.weight_sd,
    }
