"""Accuracy of ensembles of networks on clean and noisy images (Sander & Hasson 2026, Fig. 7)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.dumps import DumpReader, complete_settings, group_points, point_coords, shared_seeds
from toporep.metrics.ensembles import disagreement, ensemble_accuracy, leave_one_out_accuracy
from toporep.schemas import SCHEMAS

if TYPE_CHECKING:
    import xarray as xr

VOTES = ("probability", "logit")
_NOISE = ("seed", "clip", "amplitude_exponent", "replace")


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Accuracy of all networks of a condition and strength together, beside that of each alone.

    Args:
        dump_paths: files of the evaluation `noise_logits` of one paper, data set and scale; each is read twice, and
            those of one condition and strength are in memory together. All must have the same seeds, at least two.
        settings: there are none.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `ensembles` and `ensembles_summary`, as shares of the images. Their attribute `settings`
        holds those of the noise. `vote`: "probability" is the published code's rule, "logit" that of the paper's text.
        `leave_one_out`: the ensemble's accuracy without one of its networks; `disagreement` is on clean images, over
        pairs of networks.

    Raises:
        TopoRepError: files that do not belong together, unknown settings, points with other seeds than others, fewer
            than two seeds.
    """
    settings = complete_settings(settings, {})
    dumps = DumpReader(dump_paths, provenance, "noise_logits")
    for dump in dumps:
        settings = {name: dump.evaluation[name] for name in _NOISE if name in dump.evaluation}
    seeds, points = shared_seeds(dumps.runs), group_points(dumps.runs)
    found = {point: _of_point(*read) for point, *read in _by_point(dumps, len(seeds))}
    coords = {
        **point_coords(points),
        "vote": ("vote", np.array(VOTES, dtype=object)),
        **{name: dumps.coords[name] for name in ("kind", "level")},
    }
    of_points, attrs = [found[point] for point in points], dumps.attributes(settings)
    metric = _dataset("ensembles", of_points, {**coords, "network_seed": ("network", np.array(seeds))}, attrs)
    return metric, _dataset("ensembles_summary", of_points, coords, attrs)


def _by_point(
    dumps: DumpReader, networks: int
) -> Iterator[tuple[tuple[str, float], np.ndarray, np.ndarray, np.ndarray]]:
    """Condition and strength; clean and noisy logits, networks first, by seed; labels. Each as soon as it is read."""
    waiting: dict[tuple[str, float], dict[int, tuple[np.ndarray, np.ndarray]]] = {}
    for dump in dumps:
        point = dump.run[:2]
        read = waiting.setdefault(point, {})
        read[dump.run.seed] = (dump.data["clean_logits"].values, dump.data["logits"].values)
        if len(read) == networks:
            clean, noisy = (np.stack(part) for part in zip(*(read[seed] for seed in sorted(read)), strict=True))
            del waiting[point]
            yield point, clean, noisy, dump.label


def _of_point(clean: np.ndarray, noisy: np.ndarray, label: np.ndarray) -> dict[str, Any]:
    """The variables of both outputs, from logits (networks, images, classes) and (networks, kinds, levels, …)."""
    # One kind at a time: probabilities take twice the memory of logits.
    by_kind = [_votes(np.moveaxis(noisy[:, kind], 0, 1), label) for kind in range(noisy.shape[1])]
    return {
        **{f"clean_{name}": value for name, value in _votes(clean, label).items()},
        **{name: np.stack([votes[name] for votes in by_kind]) for name in by_kind[0]},
        "disagreement": disagreement(clean),
    }


def _votes(logits: np.ndarray, label: np.ndarray) -> dict[str, np.ndarray]:
    """Accuracies of the networks, alone, together and without one; votes, then networks, in the last dimensions."""
    by_vote = [ensemble_accuracy(logits, label, vote) for vote in VOTES]
    return {
        "individual": by_vote[0].individual,
        "accuracy_mean": by_vote[0].individual_mean,
        "accuracy_sd": by_vote[0].individual_sd,
        "ensemble": np.stack([one.ensemble for one in by_vote], axis=-1),
        "gain": np.stack([one.gain for one in by_vote], axis=-1),
        "leave_one_out": np.stack([leave_one_out_accuracy(logits, label, vote) for vote in VOTES], axis=-2),
    }


def _dataset(
    schema: str, of_points: list[dict[str, Any]], coords: Mapping[str, Any], attrs: Mapping[str, Any]
) -> xr.Dataset:
    import xarray as xr

    variables = SCHEMAS[schema].variables
    return xr.Dataset(
        {name: (dims, np.array([point[name] for point in of_points])) for name, (dims, _) in variables.items()},
        coords,
        attrs,
    )
