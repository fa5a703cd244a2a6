"""What decides the result of a run or of an evaluation, taken from the configuration of its paper."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from toporep.kinds import kind_of


def training_settings(paper: Mapping[str, Any], dataset: str, condition: str) -> dict[str, Any]:
    """Settings of the runs of a condition, but for paper, scale, strength and seed.

    Args:
        paper: one of `Config.papers`.
        dataset, condition: names in it.
    """
    data, chosen = paper["datasets"][dataset], paper["conditions"][condition]
    settings = {"source": data["source"], **kind_of(data["model"]).training_settings(paper, dataset, chosen)}
    settings["condition"] = {"name": condition, **settings["condition"]}
    return copy.deepcopy(settings)


def evaluation_settings(paper: Mapping[str, Any], dataset: str, evaluation: str = "activations") -> dict[str, Any]:
    """How trained runs of a dataset are evaluated: images, constants of the normalization, own settings.

    Args:
        paper: one of `Config.papers`.
        dataset: name in it.
        evaluation: one that the kind of network has.
    """
    kind = kind_of(paper["datasets"][dataset]["model"])
    return copy.deepcopy(dict(kind.evaluation_settings(paper, dataset, evaluation)))
