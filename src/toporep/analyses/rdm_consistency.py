"""How alike the representational geometries of networks of different seeds are (Sander & Hasson 2026, Fig. 6)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.dumps import DumpReader, complete_settings, group_points, point_coords, shared_seeds
from toporep.metrics.consistency import first_of_each_class, rdm_consistency

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {"per_class": 100}


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Correlation of the dissimilarity matrices of all pairs of networks of a condition and strength.

    Args:
        dump_paths: activation dumps of one paper, data set and scale; read one at a time. All conditions and strengths
            must have the same seeds, at least two.
        settings: `per_class`: the first so many test images of each class are compared.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `rdm_consistency` (a value a pair of seeds) and `rdm_consistency_summary`, with mean and SD
        (ddof = 1) over the pairs. Memory is 1 MB a run for 1,000 images and 256 units, and 4 MB for each run of the
        point at work.

    Raises:
        TopoRepError: dumps that do not belong together, unknown settings, a class with too few images, points with
            other seeds than others, fewer than two seeds.
    """
    import xarray as xr

    settings = complete_settings(settings, DEFAULTS)
    dumps = DumpReader(dump_paths, provenance)
    embeddings = []
    for dump in dumps:
        embeddings.append(dump.activations[first_of_each_class(dump.label, settings["per_class"])])
    seeds, points = shared_seeds(dumps.runs), group_points(dumps.runs)
    found = []
    for indices in points.values():
        by_seed = sorted(indices, key=lambda index: dumps.runs[index].seed)
        found.append(rdm_consistency(np.stack([embeddings[index] for index in by_seed])))
    seed_a, seed_b = np.array(list(combinations(seeds, 2)), dtype=np.int64).T
    pairs = np.triu_indices(len(seeds), k=1)
    attrs = {**dumps.attributes(settings), "n_images": len(embeddings[0])}
    metric = xr.Dataset(
        {"consistency": (("point", "pair"), np.array([one.correlations[pairs] for one in found]))},
        {**point_coords(points), "seed_a": ("pair", seed_a), "seed_b": ("pair", seed_b)},
        attrs,
    )
    summary = xr.Dataset(
        {
            "consistency_mean": ("point", np.array([one.mean for one in found], dtype=np.float64)),
            "consistency_sd": ("point", np.array([one.sd for one in found], dtype=np.float64)),
            "pairs": ("point", np.array([one.pairs for one in found], dtype=np.int64)),
        },
        point_coords(points),
        attrs,
    )
    return metric, summary
