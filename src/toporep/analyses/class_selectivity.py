"""Selectivity of units for each class of images against all others (Keller, Gao & Welling 2021, Fig. 2)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.capsules import text_coord
from toporep.analyses.dumps import complete_settings, metric_dataset, summarize_runs
from toporep.analyses.responses import Answers, ResponseDumps, boundary_of, largest_patches, pooled_moments
from toporep.errors import TopoRepError
from toporep.metrics.selectivity import COMPLEMENTS, NO_CLASS, SEVERAL_CLASSES, joint_map, one_vs_rest
from toporep.metrics.selectivity_maps import map_smoothness
from toporep.metrics.selectivity_nulls import unit_shuffled_maps

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {
    "classes": {"objects": ["objects"], "faces": ["faces"], "bodies": ["headless", "hands"], "places": ["places"]},
    "threshold": 0.85,
    "shuffles": 200,
    "seed": 0,
}


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Maps of Cohen's d of each class against all others, and the one class of each unit.

    Args:
        dump_paths: files of the evaluation `responses` of one paper, data set and scale, of the sets named in the
            settings; those of one run are read at a time.
        settings: `classes`: names of the sets of each class, pooled by images. `threshold`: a unit is selective for a
            class where d >= threshold. `shuffles`, `seed`: of the null by shuffled units.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `class_selectivity` and `class_selectivity_summary`, of the activation that the paper
        shows. `complement`: how the other classes make one control, see `toporep.metrics.selectivity.one_vs_rest`
        ("images" as the published code). `joint`: number of the class, -1 none, -2 several. `largest_patch_unit_null`:
        mean over maps whose units lie anywhere. Patches and smoothness are those around a torus where `torus` is 1.

    Raises:
        TopoRepError: files that do not belong together, a set that is not there, a set in two classes, fewer than
            two classes, unknown settings.
    """
    settings = complete_settings(settings, DEFAULTS)
    sets = _sets(settings["classes"])
    dumps = ResponseDumps(dump_paths, provenance, sets)
    values = dumps.measure(lambda answers: _of_run(answers, dumps.grid, settings))
    metric = metric_dataset(
        "class_selectivity",
        values,
        dumps,
        settings,
        coords={
            **dumps.coords,
            "class": text_coord("class", settings["classes"]),
            "complement": text_coord("complement", COMPLEMENTS),
        },
    )
    return metric, summarize_runs(metric, "class_selectivity")


def _sets(classes: Mapping[str, list[str]]) -> list[str]:
    """The sets of all classes."""
    sets = [name for of_class in classes.values() for name in of_class]
    twice = sorted({name for name in sets if sets.count(name) > 1})
    if twice:
        raise TopoRepError(f"classes: expected each set in one class, found {', '.join(twice)} in several")
    return sets


def _of_run(answers: Answers, grid: tuple[int, int], settings: Mapping[str, Any]) -> dict[str, Any]:
    boundary, threshold = boundary_of(next(iter(answers.values()))), settings["threshold"]
    moments = [pooled_moments(answers, sets) for sets in settings["classes"].values()]
    d = np.stack([one_vs_rest(moments, complement=complement) for complement in COMPLEMENTS])
    joint = np.stack([joint_map(of_complement, threshold) for of_complement in d])
    maps = d.reshape(-1, d.shape[-1])
    patches = {"threshold": threshold, "boundary": boundary}
    draws = {"shuffles": settings["shuffles"], "seed": settings["seed"]}
    null = [largest_patches(unit_shuffled_maps(of_class, **draws), grid, **patches).mean() for of_class in maps]
    return {
        "d": d,
        "joint": joint,
        "max_d": np.fmax.reduce(d, axis=-1),
        "selective_share": (d >= threshold).mean(axis=-1),
        "largest_patch": largest_patches(maps, grid, **patches).reshape(d.shape[:-1]),
        "largest_patch_unit_null": np.reshape(null, d.shape[:-1]),
        "smoothness": map_smoothness(d, grid, boundary=boundary),
        "several_share": (joint == SEVERAL_CLASSES).mean(axis=-1),
        "none_share": (joint == NO_CLASS).mean(axis=-1),
        "torus": float(boundary == "torus"),
    }
