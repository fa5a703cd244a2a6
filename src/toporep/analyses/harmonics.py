"""Angular tuning of the sheet over runs (Truong & Hasson 2025, sec. 3.5, Fig. 10, 11 and App. Fig. 9)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.dumps import Dump, DumpReader, complete_settings, metric_dataset, summarize_runs
from toporep.metrics.harmonics import (
    PHASE_CLASSES,
    dominant_harmonic,
    expected_agreement,
    label_shares,
    neighborhood_agreement,
    phase_class,
    preferred_angle,
    share_beyond,
)

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {"max_cycle": 5, "tolerance_deg": 10}


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Dominant cycle of every unit, its phase and its agreement with neighbors, for each variant of the wedges.

    Args:
        dump_paths: files of the evaluation `tuning` of one paper, data set and scale; read one at a time.
        settings: `max_cycle`: cycles 1 to this compete; `tolerance_deg` of the phase classes.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `harmonics` and `harmonics_summary`. `changed_share` compares with the first variant;
        phase shares are among the units of their cycle, NaN where there are none.

    Raises:
        TopoRepError: files that do not belong together, unknown settings.
    """
    settings = complete_settings(settings, DEFAULTS)
    dumps = DumpReader(dump_paths, provenance, "tuning")
    values = dumps.measure(lambda dump: _of_run(dump, settings))
    coords = {
        **{name: dumps.coords[name] for name in ("row", "col", "variant")},
        "cycle": ("cycle", np.arange(settings["max_cycle"] + 1)),
        **{
            f"cycle{cycle}_phase": (f"cycle{cycle}_phase", np.array(names, dtype=object))
            for cycle, names in PHASE_CLASSES.items()
        },
    }
    metric = metric_dataset("harmonics", values, dumps, settings, coords=coords)
    return metric, summarize_runs(metric, "harmonics")


def _of_run(dump: Dump, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    responses = dump.data["wedge_pre"].values
    dominant = dominant_harmonic(responses, max_cycle=settings["max_cycle"])
    found = {
        "dominant": dominant,
        "share": label_shares(dominant, range(settings["max_cycle"] + 1)),
        "share_beyond": share_beyond(responses, max_cycle=settings["max_cycle"]),
        "changed_share": (dominant != dominant[0]).mean(axis=-1),
        "agreement": neighborhood_agreement(dominant, dump.grid).mean(axis=-1),
        "agreement_chance": expected_agreement(dominant),
    }
    angles = preferred_angle(responses, dominant)
    for cycle, names in PHASE_CLASSES.items():
        tuned = dominant == cycle
        phases = phase_class(np.where(tuned, angles, np.nan), cycle, tolerance_deg=settings["tolerance_deg"])
        with np.errstate(invalid="ignore"):
            found[f"cycle{cycle}_phase_share"] = label_shares(phases, range(len(names))) / tuned.mean(-1, keepdims=True)
    return found
