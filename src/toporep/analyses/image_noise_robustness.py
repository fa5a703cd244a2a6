"""Accuracy on noisy test images, over runs (Truong & Hasson 2025, sec. 3.2 and Fig. 4)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from toporep.analyses.dumps import DumpReader, complete_settings, metric_dataset, summarize_runs

if TYPE_CHECKING:
    import xarray as xr

_NOISE = ("repetitions", "seed", "clip", "amplitude_exponent", "replace")


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Accuracy with noise, and its change against the same run without noise, of every run.

    Args:
        dump_paths: files of the evaluation `image_noise` of one paper, data set and scale; read one at a time.
        settings: there are none.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `image_noise_robustness` and `image_noise_robustness_summary`; `accuracy` is the mean over
        repetitions, `accuracy_change` is in percentage points. Their attribute `settings` holds those of the noise.

    Raises:
        TopoRepError: files that do not belong together, unknown settings.
    """
    settings = complete_settings(settings, {})
    dumps = DumpReader(dump_paths, provenance, "image_noise")
    values: dict[str, list] = {"clean_accuracy": [], "accuracy": [], "accuracy_change": []}
    for dump in dumps:
        count = dump.attrs["n_stimuli"]
        clean = dump.data["clean_correct"].values / count
        noisy = dump.data["correct"].values.mean(axis=-1) / count
        values["clean_accuracy"].append(clean)
        values["accuracy"].append(noisy)
        settings = {name: dump.evaluation[name] for name in _NOISE if name in dump.evaluation}
        values["accuracy_change"].append(100 * (noisy - clean[:, None, None]))
    coords = {name: dumps.coords[name] for name in ("normalization", "kind", "level")}
    metric = metric_dataset("image_noise_robustness", values, dumps, settings, coords=coords)
    return metric, summarize_runs(metric, "image_noise_robustness")
