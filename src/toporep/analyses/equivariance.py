"""Equivariance error of sequences over runs (Keller & Welling 2021, Tables 1 to 5)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

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
from toporep.metrics.capsule_latents import VARIANTS, latent_equivariance_error
from toporep.metrics.capsule_nulls import null_equivariance_error, random_direction_error

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {"norm": "capsule", "null_sequences": 500, "variant_sequences": 2000}


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Equivariance error of every run, of the same network before training, and of latents that know nothing.

    Args:
        dump_paths: files of the evaluation `sequences` of one paper, data set and scale; read one at a time.
        settings: `norm` ("capsule" or "whole", see `toporep.metrics.equivariance`); `null_sequences`: how many are
            simulated for the null; `variant_sequences`: the variants with disjoint windows are measured on the first
            so many sequences (null: on all).
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `equivariance` and `equivariance_summary`: means over sequences. `null` and its standard
        error `null_uncertainty` are of networks with the run's grouper and configured mu whose z and u are noise;
        `running` is the published code's, over the last epoch while the weights change, NaN where it was not kept.

    Raises:
        TopoRepError: files that do not belong together, unknown settings.
    """
    settings = complete_settings(settings, DEFAULTS)
    dumps = SequenceDumps(dump_paths, provenance)
    null_of = _nulls(settings)

    def of_run(dump: Dump, network: Network) -> dict[str, Any]:
        null = null_of(network)
        return {
            "error": _errors(latents_of(dump, network), settings),
            "untrained": _errors(latents_of(dump, network, trained=False), settings),
            "null": [float(null[variant].mean) for variant in VARIANTS],
            "null_uncertainty": [float(null[variant].sem) for variant in VARIANTS],
            "running": last_of_history(dump, "running_equivariance_error"),
        }

    values = dumps.measure(of_run)
    metric = metric_dataset(
        "equivariance",
        values,
        dumps,
        settings,
        coords={"variant": text_coord("variant", VARIANTS)},
        attrs={"random_directions": random_direction_error(*dumps.shape, norm=settings["norm"])},
    )
    return metric, summarize_runs(metric, "equivariance")


def _errors(latents: Latents, settings: Mapping[str, Any]) -> list[float]:
    """Mean over sequences, of each variant."""

    def mean_error(some: Latents, variant: str) -> float:
        return float(np.mean(some.apply(latent_equivariance_error, variant=variant, norm=settings["norm"])))

    return over_variants(latents, settings["variant_sequences"], mean_error)


def _nulls(settings: Mapping[str, Any]) -> Callable[[Network], dict]:
    """A function that simulates a network's null once for all that differ from it by training alone."""
    known: dict[tuple, dict] = {}

    def null_of(network: Network) -> dict:
        if network.key not in known:
            known[network.key] = null_equivariance_error(
                network.shape,
                network.grouper,
                mu=network.mu,
                eps=network.eps,
                norm=settings["norm"],
                sequences=settings["null_sequences"],
            )
        return known[network.key]

    return null_of
