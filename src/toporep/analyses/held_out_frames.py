"""How well rolled activations of the first frame predict frames, over runs (cf. Keller & Welling 2021, Fig. 4)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.capsules import PARTS, Network, SequenceDumps, over_parts, seen_frames, text_coord
from toporep.analyses.dumps import Dump, complete_settings, metric_dataset, summarize_runs

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS: Mapping[str, Any] = {}
_ERRORS = ("nll", "squared_error")


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Error of each run's predictions of frames that t of the first frame has seen, and of those held out from it.

    Args:
        dump_paths: files of the evaluation `sequences` of one paper, data set and scale; read one at a time.
        settings: there are none.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `held_out_frames` and `held_out_frames_summary`: means over sequences and over the frames
        of each `part`, `nll` in nats a frame, `squared_error` summed over a frame's pixels. `seen` are the frames whose
        u has a part in t of the first frame, itself among them; NaN where a part has no frames, as `held_out` of a
        window as long as the sequence.

    Raises:
        TopoRepError: files that do not belong together, unknown settings.
    """
    settings = complete_settings(settings, DEFAULTS)
    dumps = SequenceDumps(dump_paths, provenance)
    values = dumps.measure(_of_run)
    coords = {"prediction": dumps.coords["prediction"], "part": text_coord("part", PARTS)}
    metric = metric_dataset("held_out_frames", values, dumps, settings, coords=coords)
    return metric, summarize_runs(metric, "held_out_frames")


def _of_run(dump: Dump, network: Network) -> dict[str, np.ndarray]:
    seen = seen_frames(network)
    return {name: over_parts(dump.data[name].values.mean(axis=1, dtype=np.float64), seen) for name in _ERRORS}
