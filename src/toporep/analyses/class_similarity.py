"""Similarity of embeddings within and across classes, over runs (Sander & Hasson 2026, Table 1)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.dumps import (
    Dump,
    DumpReader,
    complete_settings,
    group_points,
    metric_dataset,
    point_coords,
)
from toporep.metrics.class_similarity import class_cosine_similarity, over_trials
from toporep.metrics.consistency import first_of_each_class
from toporep.metrics.statistics import summarize

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {"per_class": 100}
_CENTERING = ("raw", "centered")
_KINDS = ("within", "across")


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Cosine similarity of the embeddings of images of one class and of different classes, of every run.

    Args:
        dump_paths: activation dumps of one paper, data set and scale; read one at a time.
        settings: `per_class`: the first so many test images of each class are compared.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `class_similarity` and `class_similarity_summary`: mean and SD (ddof = 0) over pairs of
        images, raw and with each unit's mean over the images subtracted. The summary has, over runs, the mean of the
        means (`_mean`), the mean of the SDs (`_sd`), the SD of the pairs of all runs together (`_pooled_sd`), the SEM
        of the means and the number of runs that have them. A network that answers all images alike has none.

    Raises:
        TopoRepError: dumps that do not belong together, unknown settings, a class with too few images.
    """
    settings = complete_settings(settings, DEFAULTS)
    dumps = DumpReader(dump_paths, provenance)
    values = dumps.measure(lambda dump: _of_run(dump, settings["per_class"]))
    coords = {"centering": ("centering", np.array(_CENTERING, dtype=object))}
    metric = metric_dataset("class_similarity", values, dumps, settings, coords=coords)
    return metric, _summarize(metric, group_points(dumps.runs))


def _of_run(dump: Dump, per_class: int) -> dict[str, list]:
    chosen = first_of_each_class(dump.label, per_class)
    embeddings, labels = dump.activations[chosen], dump.label[chosen]
    found = [class_cosine_similarity(embeddings, labels, center=name == "centered") for name in _CENTERING]
    names = [f"{kind}_{statistic}" for kind in _KINDS for statistic in ("mean", "sd")]
    return {name: [getattr(one, name) for one in found] for name in names}


def _summarize(metric: xr.Dataset, points: Mapping[tuple[str, float], np.ndarray]) -> xr.Dataset:
    import xarray as xr

    variables: dict[str, list] = {}
    for indices in points.values():
        for kind in _KINDS:
            means, deviations = (metric[f"{kind}_{statistic}"].values[indices] for statistic in ("mean", "sd"))
            for name, value in _of_point(means, deviations).items():
                variables.setdefault(f"{kind}_{name}", []).append(value)
    return xr.Dataset(
        {name: (("point", "centering"), np.array(value)) for name, value in variables.items()},
        {**point_coords(points), "centering": metric["centering"]},
        metric.attrs,
    )


def _of_point(means: np.ndarray, deviations: np.ndarray) -> dict[str, np.ndarray]:
    """Statistics over the runs, the first dimension, that have a mean."""
    mean, sem, n = summarize(means)
    pooled = np.full(mean.shape, np.nan)
    for column in np.flatnonzero(n):
        present = np.isfinite(means[:, column])
        pooled[column] = over_trials(means[present, column], deviations[present, column], spread="pooled")[1]
    return {"mean": mean, "sd": summarize(deviations).mean, "pooled_sd": pooled, "sem": sem, "n": n}
