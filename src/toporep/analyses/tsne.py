"""Two-dimensional maps of embeddings by t-SNE, and how far classes lie apart (Sander & Hasson 2026, Fig. 2)."""

from __future__ import annotations

import json
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
from toporep.errors import TopoRepError
from toporep.metrics.class_similarity import silhouette
from toporep.metrics.consistency import first_of_each_class
from toporep.metrics.statistics import summarize

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {"per_class": 200, "perplexity": 30, "seed": 42}
_SPACES, _GROUPINGS = ("embedding", "map"), ("class", "animacy")


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """A map of every run's embeddings, and silhouettes of classes and of animacy in embedding and map.

    Args:
        dump_paths: activation dumps of one paper, data set and scale, whose configuration names the `animate` classes;
            read one at a time.
        settings: `per_class`: the first so many test images of each class are mapped; `perplexity`; `seed` of t-SNE,
            which changes nothing as long as scikit-learn starts from principal components. All else is its default.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `tsne` and `tsne_summary`; `stimulus` is an image's index in the dumps. Axes of a map have
        no unit and no meaning across runs. The same dumps give the same map on any number of cores.

    Raises:
        TopoRepError: dumps that do not belong together, unknown settings, a class with too few images, a perplexity
            that is not below the number of images, classes whose animacy is not known.
    """
    settings = complete_settings(settings, DEFAULTS)
    dumps = DumpReader(dump_paths, provenance)
    values: dict[str, list] = {"coordinates": [], "silhouette": []}
    names, chosen, label = "[]", np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    for dump in dumps:
        names = dump.attrs.get("class_names", "[]")
        chosen = first_of_each_class(dump.label, settings["per_class"])
        label = dump.label[chosen]
        groupings = (label, _animate(dump)[label])
        # In float32 the principal components, where maps start, would depend on how the machine rounds.
        embedding = dump.activations[chosen].astype(np.float64)
        coordinates = _map(embedding, perplexity=settings["perplexity"], seed=settings["seed"])
        values["coordinates"].append(coordinates)
        values["silhouette"].append(
            [[silhouette(points, groups) for groups in groupings] for points in (embedding, coordinates)]
        )
    coords = {
        "stimulus": ("image", chosen),
        "label": ("image", label),
        "space": ("space", np.array(_SPACES, dtype=object)),
        "grouping": ("grouping", np.array(_GROUPINGS, dtype=object)),
    }
    metric = metric_dataset("tsne", values, dumps, settings, coords=coords, attrs={"class_names": names})
    return metric, _summarize(metric, group_points(dumps.runs))


def _map(embedding: np.ndarray, *, perplexity: float, seed: int) -> np.ndarray:
    """(images, 2) float64 coordinates."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    if not 0 < perplexity < len(embedding):
        raise TopoRepError(
            f"perplexity: expected a number above 0 and below that of the images, {len(embedding)}, found "
            f"{perplexity:g}; lower it, or raise per_class"
        )
    # Sums over several threads may round differently, and t-SNE makes another map of the smallest difference.
    with threadpool_limits(limits=1):
        mapped = TSNE(n_components=2, perplexity=perplexity, random_state=seed, n_jobs=1).fit_transform(embedding)
    return mapped.astype(np.float64)


def _animate(dump: Dump) -> np.ndarray:
    """(classes,) int64: 1 for an animate class, 0 for another."""
    names, animate = json.loads(dump.attrs.get("class_names", "[]")), dump.training.get("animate", [])
    unknown = [name for name in animate if name not in names]
    found = np.isin(names, animate)
    if unknown or not names or found.all() or not found.any():
        raise TopoRepError(
            f"{dump.path}: training.animate: expected some but not all of the classes {', '.join(names) or 'none'}, "
            f"found {', '.join(animate) or 'none'}; name the animate ones in the configuration of the data set"
        )
    return found.astype(np.int64)


def _summarize(metric: xr.Dataset, points: Mapping[tuple[str, float], np.ndarray]) -> xr.Dataset:
    import xarray as xr

    dims = ("point", "space", "grouping")
    of_point = [summarize(metric["silhouette"].values[indices]) for indices in points.values()]
    return xr.Dataset(
        {
            "silhouette_mean": (dims, np.array([one.mean for one in of_point])),
            "silhouette_sem": (dims, np.array([one.sem for one in of_point])),
        },
        {**point_coords(points), "space": metric["space"], "grouping": metric["grouping"]},
        metric.attrs,
    )
