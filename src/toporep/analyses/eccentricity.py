"""Tuning of the sheet to eccentricity over runs (Truong & Hasson 2025, sec. 3.5, Fig. 12 and App. Fig. 10)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.dumps import Dump, DumpReader, complete_settings, metric_dataset, summarize_runs
from toporep.metrics.eccentricity import ECCENTRICITY_CLASSES, eccentricity_class
from toporep.metrics.harmonics import label_shares

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {"min_correlation": 0.8, "min_r_squared": 0.5, "negative_amplitude": False}


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Class of every unit's profile over ring radii, for each variant of the rings.

    Args:
        dump_paths: files of the evaluation `tuning` of one paper, data set and scale; read one at a time.
        settings: see `toporep.metrics.eccentricity.eccentricity_class`.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `eccentricity` and `eccentricity_summary`. `changed_share` compares with the first
        variant. Bins of `center_histogram` are as wide as the rings' spacing, with the radii in their middle.

    Raises:
        TopoRepError: files that do not belong together, unknown settings.
    """
    settings = complete_settings(settings, DEFAULTS)
    dumps = DumpReader(dump_paths, provenance, "tuning")
    values = dumps.measure(lambda dump: _of_run(dump, settings))
    coords = {
        **{name: dumps.coords[name] for name in ("row", "col", "variant")},
        "profile": ("profile", np.array(ECCENTRICITY_CLASSES, dtype=object)),
        "bin_left": ("bin", _edges(dumps.coords["radius"].values)[:-1]),
    }
    metric = metric_dataset("eccentricity", values, dumps, settings, coords=coords)
    return metric, summarize_runs(metric, "eccentricity")


def _of_run(dump: Dump, settings: Mapping[str, Any]) -> dict[str, Any]:
    radii = dump.data["radius"].values
    edges = _edges(radii)
    tuning = eccentricity_class(dump.data["ring_pre"].values, radii=radii, **settings)
    return {
        "label": tuning.label,
        "share": label_shares(tuning.label, range(len(ECCENTRICITY_CLASSES))),
        "changed_share": (tuning.label != tuning.label[0]).mean(axis=-1),
        "center": tuning.center,
        "center_histogram": [np.histogram(center[np.isfinite(center)], edges)[0] for center in tuning.center],
        "failed_fits": tuning.failed.sum(axis=-1),
    }


def _edges(radii: np.ndarray) -> np.ndarray:
    middle = (radii[1:] + radii[:-1]) / 2
    return np.concatenate([[2 * radii[0] - middle[0]], middle, [2 * radii[-1] - middle[-1]]])
