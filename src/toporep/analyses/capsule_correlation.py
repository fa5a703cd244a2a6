"""Capsule correlation of sequences over runs (Keller & Welling 2021, Tables 2 and 5)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from toporep.analyses.capsules import (
    Latents,
    Network,
    SequenceDumps,
    last_of_history,
    latents_of,
    over_variants,
    text_coord,
)
from toporep.analyses.dumps import Dump, complete_settings, metric_dataset, summarize_runs
from toporep.errors import TopoRepError
from toporep.metrics.capsule_latents import VARIANTS, latent_rolls
from toporep.metrics.capsule_nulls import null_capsule_correlation
from toporep.metrics.capsule_roll import capsule_correlation, cyclic_classes

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {"null_sequences": 12000, "variant_sequences": 12000}
# Of the sprites. What changes in a digit has as many classes as the sequence has frames.
SPRITE_CLASSES = {"x": 15, "y": 15, "orientation": 15, "scale": 5}


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Capsule correlation of every run, of the same network before training, and of latents that know nothing.

    Args:
        dump_paths: files of the evaluation `sequences` of one paper, data set and scale; read one at a time.
        settings: `null_sequences`: how many are simulated for the null; `variant_sequences`: the variants with
            disjoint windows are measured on the first so many sequences (null: on all).
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `capsule_correlation` and `capsule_correlation_summary`. `average` is over the factors.
        `moved` leaves out the sequences whose true shift is 0, which are right for free, and measures the roll from
        the last frame of class 0, not from the one that fits best: without learning it is near 0. NaN where too few
        sequences of a factor are there, or all of them roll alike.

    Raises:
        TopoRepError: files that do not belong together, unknown settings, a first class that its factor does not have.
    """
    settings = complete_settings(settings, DEFAULTS)
    dumps = SequenceDumps(dump_paths, provenance)
    null_of = _nulls(settings)

    def of_run(dump: Dump, network: Network) -> dict[str, Any]:
        shifts = _shifts(dump, dumps.factor_names, network.shape[0])
        trained, before = (
            np.array(_correlations(latents_of(dump, network, trained=trained), shifts, settings))
            for trained in (True, False)
        )
        of_size = null_of(network, tuple(sorted(set(shifts.sizes.tolist()))))
        null, null_moved = np.stack([of_size[size] for size in shifts.sizes.tolist()], axis=-1)
        names = [f"running_capsule_correlation_{factor}" for factor in dumps.factor_names]
        return {
            **_with_average("moved", "moved_average", trained[:, 1]),
            "untrained_moved_average": before[:, 1].mean(axis=1),
            "null_moved_average": null_moved.mean(axis=1),
            "running": [last_of_history(dump, name) for name in names],
            **_with_average("correlation", "average", trained[:, 0]),
            **_with_average("untrained", "untrained_average", before[:, 0]),
            **_with_average("null", "null_average", null),
        }

    values = dumps.measure(of_run)
    coords = {"variant": text_coord("variant", VARIANTS), "factor": text_coord("factor", dumps.factor_names)}
    metric = metric_dataset("capsule_correlation", values, dumps, settings, coords=coords)
    return metric, summarize_runs(metric, "capsule_correlation")


class _Shifts(NamedTuple):
    """What changes in each sequence, and the class of its first frame; the number of classes of each factor."""

    factor: np.ndarray
    start: np.ndarray
    sizes: np.ndarray


def _shifts(dump: Dump, names: tuple[str, ...], frames: int) -> _Shifts:
    if dump.training.get("sequences") == "dsprites":
        unknown = [name for name in names if name not in SPRITE_CLASSES]
        if unknown:
            raise TopoRepError(f"{dump.path}: unknown factor {unknown[0]!r}; known: {', '.join(SPRITE_CLASSES)}")
        sizes = np.array([SPRITE_CLASSES[name] for name in names])
    else:
        sizes = np.full(len(names), frames)
    shifts = _Shifts(dump.data["factor"].values, dump.data["start"].values, sizes)
    wrong = np.flatnonzero((shifts.start < 0) | (shifts.start >= sizes[shifts.factor]))
    if len(wrong):
        first = wrong[0]
        raise TopoRepError(
            f"{dump.path}: start of sequence {first} is {shifts.start[first]}, expected 0 to "
            f"{sizes[shifts.factor[first]] - 1}, a class of {names[shifts.factor[first]]!r}; make the file again"
        )
    return shifts


def _correlations(latents: Latents, shifts: _Shifts, settings: Mapping[str, Any]) -> list[np.ndarray]:
    """Of each variant (2, factor): as published, and of the sequences that moved."""

    def both(some: Latents, variant: str) -> np.ndarray:
        factor, start = shifts.factor[: len(some)], shifts.start[: len(some)]
        published, from_last = _rolls(some, factor, start, shifts.sizes, variant=variant)
        return np.array(
            [
                [
                    capsule_correlation(rolls[factor == number], start[factor == number], omit_zero_shift=omit)
                    for number in range(len(shifts.sizes))
                ]
                for rolls, omit in ((published, False), (from_last, True))
            ]
        )

    return over_variants(latents, settings["variant_sequences"], both)


def _rolls(
    latents: Latents, factor: np.ndarray, start: np.ndarray, sizes: np.ndarray, *, variant: str
) -> tuple[np.ndarray, np.ndarray]:
    """(sequences,) rolls from the frame of class 0 that fits best, and from the last one."""
    frames = latents.z.shape[1]
    size = sizes[factor]
    classes = cyclic_classes(start, frames, size=size[:, None])
    nearest = latents.apply(latent_rolls, classes=classes, variant=variant)
    # A factor that is shown once has one frame of class 0.
    several = np.flatnonzero(size < frames)
    last = nearest.copy()
    if len(several):
        options = {"classes": classes[several], "variant": variant, "omega": "last"}
        last[several] = latents.take(several).apply(latent_rolls, **options)
    return nearest, last


def _with_average(name: str, average: str, correlations: np.ndarray) -> dict[str, np.ndarray]:
    """(variant, factor) correlations, and their mean over factors, NaN if one of them is."""
    return {name: correlations, average: correlations.mean(axis=1)}


def _nulls(settings: Mapping[str, Any]) -> Callable[[Network, tuple[int, ...]], dict[int, np.ndarray]]:
    """A function that simulates a network's null once for all that differ from it by training alone.

    What it gives: number of classes → (2, variant), as published and of the sequences that moved. Factors with as many
    classes have the same null.
    """
    known: dict[tuple, dict[int, np.ndarray]] = {}

    def null_of(network: Network, sizes: tuple[int, ...]) -> dict[int, np.ndarray]:
        key = (network.key, sizes)
        if key not in known:
            found = [_null(network, sizes, settings, moved=moved) for moved in (False, True)]
            known[key] = {size: np.array([one[size] for one in found]) for size in sizes}
        return known[key]

    return null_of


def _null(
    network: Network, sizes: tuple[int, ...], settings: Mapping[str, Any], *, moved: bool
) -> dict[int, list[float]]:
    found = null_capsule_correlation(
        network.shape,
        network.grouper,
        factors={str(size): size for size in sizes},
        mu=network.mu,
        eps=network.eps,
        omega="last" if moved else "nearest",
        sequences=settings["null_sequences"],
    )
    of = {(one.variant, one.factor): one.correlation for one in found if one.omit_zero_shift == moved}
    return {size: [of[variant, str(size)] for variant in VARIANTS] for size in sizes}
