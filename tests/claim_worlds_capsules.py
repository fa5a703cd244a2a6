"""Metric files of keller2021_capsules in which a given claim holds, or does not; see `claim_worlds`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import xarray as xr
from claim_worlds import BY_HAND, OF_SCHEMA, World, WorldWithoutStrengths

from toporep.claims.entries import Claim, Leaf
from toporep.config import read_yaml

_PAPER_FILE = Path(__file__).resolve().parent.parent / "config" / "papers" / "keller2021_capsules.yaml"
CONDITIONS = tuple(read_yaml(_PAPER_FILE)["conditions"])
FACTORS = ["x", "y", "orientation", "scale"]
VARIANTS = ["published", "without_mu", "disjoint_windows", "disjoint_windows_without_mu"]
OF_SCHEMA.update(
    {
        "equivariance": {"variant": VARIANTS},
        "capsule_correlation": {"variant": VARIANTS, "factor": FACTORS},
        "log_likelihood": {"estimator": ["published", "corrected", "joint"]},
        "held_out_frames": {
            "prediction": ["reconstruction", "rolled", "static"],
            "part": ["seen", "held_out", "all"],
        },
    }
)


class CapsuleWorld(WorldWithoutStrengths):
    paper = "keller2021_capsules"
    conditions = CONDITIONS

    def __init__(self, *, sources=None, **options) -> None:
        super().__init__(
            sources=sources or {"mnist": "mnist", "dsprites": "dsprites", "mnist_plain": "mnist"}, **options
        )

    def _empty(self, leaf: Leaf) -> xr.Dataset:
        capsules = {"mnist": 18, "dsprites": 15, "mnist_plain": 1}[leaf.dataset]
        return super()._empty(leaf).assign_attrs(training=json.dumps({"capsules": capsules}), pixels=784)


def _table(world: World, claim: Claim, holds: bool) -> None:
    """Each cell as printed; SDs from networks half of which lie above the mean and half below, at equal distance."""
    sides = np.where(np.arange(world.seeds) % 2, 1.0, -1.0)
    for cell, leaf in claim.quantities.items():
        wanted, off = claim.options["published"][cell], 3 * claim.options["within"] * (not holds)
        wanted *= 1 + off if claim.options.get("relative") else 1
        wanted += 0 if claim.options.get("relative") else off
        if leaf.over_networks == "mean":
            world.set(leaf, wanted)
            continue
        world.set(leaf, 0.0)
        variable = world.variable(leaf)
        places = [OF_SCHEMA[leaf.schema][dim].index(selector.values[0]) for dim, selector in leaf.at]
        rows = np.flatnonzero(variable["condition"].values == leaf.condition)
        variable.values[(rows, *places)] = wanted * sides / sides.std(ddof=1)


BY_HAND.update({(CapsuleWorld.paper, f"T{table}{cells}"): _table for table in range(1, 6) for cells in "abcd"})
