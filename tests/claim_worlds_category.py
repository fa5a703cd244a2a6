"""Metric files of keller2021_category in which a given claim holds, or does not; see `claim_worlds`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import xarray as xr
from claim_worlds import _UNLABELLED, BY_HAND, OF_SCHEMA, World, WorldWithoutStrengths

from toporep.claims.entries import Claim, Leaf
from toporep.config import read_yaml

_PAPER_FILE = Path(__file__).resolve().parent.parent / "config" / "papers" / "keller2021_category.yaml"
CONDITIONS = tuple(read_yaml(_PAPER_FILE)["conditions"])
BOUNDARIES = ["open", "torus"]
# Those of the two analyses of the configuration.
PAIRS = [
    *("faces, animate", "bodies, animate", "faces, bodies", "places, big", "faces, small", "faces, places"),
    *("places, animate", "big, animate"),
    *("faces, utkface", "faces, celeba", "faces, lfw"),
]
# Epochs by analysis, where all its runs share them.
EPOCHS = {"classification": 10, "bits_per_dimension": 30}
OF_SCHEMA.update(
    {
        "selectivity": {
            "quantity": ["activation", "mean_activation", "numerator", "inverse_root", "rectified", "fc7"],
            "boundary": BOUNDARIES,
        },
        "class_selectivity": {
            "complement": ["images", "classes"],
            "class": ["objects", "faces", "bodies", "places"],
        },
        "single_images": {
            "set": ["animate", "inanimate", "faces", "places", "hands", "small", "big"],
            "example": [0, 1, 2, 3],
        },
        "hierarchy": {"pair": PAIRS},
        "distance_correlation": {"variant": ["pooled", "within"], "boundary": BOUNDARIES, "bin": list(range(33))},
        "bits_per_dimension": {"set": ["objects", "faces"]},
        "classification": {"part": ["all", "without_faces", "faces", "faces_no_choice"]},
    }
)
_UNLABELLED.update({"distance_correlation": ("bin",), "single_images": ("example",)})


class CategoryWorld(WorldWithoutStrengths):
    """`epochs`: training settings in place of the published ones."""

    paper = "keller2021_category"
    conditions = CONDITIONS

    def __init__(self, *, epochs=None, sources=None, **options) -> None:
        super().__init__(sources=sources or {"imagenet_faces": "imagenet_lfw"}, **options)
        self.epochs = EPOCHS if epochs is None else epochs

    def _empty(self, leaf: Leaf) -> xr.Dataset:
        training = {"epochs": self.epochs[leaf.analysis]} if leaf.analysis in self.epochs else {}
        further = {"classes": 1001} if leaf.analysis == "classification" else {}
        return super()._empty(leaf).assign_attrs(training=json.dumps(training), **further)


def _spread(world: World, claim: Claim, holds: bool) -> None:
    """Networks whose SD is a sixth of their mean, or as large as it."""
    mean, share = 60.0, 1 / 6 if holds else 1.0
    sides = np.where(np.arange(world.seeds) % 2, 1.0, -1.0)
    leaf = claim.quantities["of"]
    variable = world.variable(leaf)
    rows = variable["condition"].values == leaf.condition
    values = mean + mean * share * sides / sides.std(ddof=1)
    variable.values[rows] = values.reshape(-1, *[1] * (variable.ndim - 1))


def _alike(world: World, claim: Claim, holds: bool) -> None:
    """Networks whose SD is half or twice the largest one that the claim allows."""
    sides = np.where(np.arange(world.seeds) % 2, 1.0, -1.0)
    leaf = claim.quantities["of"]
    variable = world.variable(leaf)
    spread = claim.options["to"] * (0.5 if holds else 2.0)
    rows = variable["condition"].values == leaf.condition
    variable.values[rows] = (0.3 + spread * sides / sides.std(ddof=1)).reshape(-1, 1)


BY_HAND.update({(CategoryWorld.paper, name): _spread for name in ("R2", "R4")})
BY_HAND[CategoryWorld.paper, "R1"] = _alike
