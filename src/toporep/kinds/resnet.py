"""ResNets: trained to classify, or by a contrastive objective and then read out; one of them fills a device."""

from __future__ import annotations

from collections.abc import Iterator

from toporep.config import Problem, listed
from toporep.kinds import Kind, Settings

_TRAINING = (
    *("batch_size", "learning_rate", "betas", "eps"),
    *("drop_last", "patience", "validation_per_class", "validation_selection", "validation_views", "train_images"),
    *("mean", "std", "animate", "precision", "compile"),
)
_OBJECTIVE = ("epochs", "views", "augmentation", "validation_augmentation", "options", "stop_on", "checkpoint")


def _training_settings(paper: Settings, dataset: str, condition: Settings) -> dict:
    data = paper["datasets"][dataset]
    objective = paper["objectives"][condition["objective"]]
    classifies = condition["objective"] == "cross_entropy"
    return {
        "grid": paper["grid"],
        "model": {
            "name": data["model"],
            "head": "classifier" if classifies else "projection",
            "dropout": condition["dropout"],
            "width": data["width"],
            "projection": data["projection"],
        },
        "training": {
            "objective": condition["objective"],
            **{key: objective[key] for key in _OBJECTIVE},
            **{key: data[key] for key in _TRAINING},
        },
        "readout": None if classifies else {**paper["readout"], "patience": objective["readout_patience"]},
        "condition": {"topographic": condition["topographic"]},
        "matching": paper["matching"],
    }


def _objective_problems(paper: Settings, name: str) -> Iterator[Problem]:
    here, objective = ("objectives", name), paper["objectives"][name]
    classifies = name == "cross_entropy"
    for key, value in (("stop_on", "validation_accuracy"), ("checkpoint", "best_accuracy")):
        if objective[key] == value and not classifies:
            yield Problem((*here, key), f"{value!r} needs a classifier, which only cross_entropy trains")
    if not classifies and objective["readout_patience"] is None:
        yield Problem((*here, "readout_patience"), "expected a number of epochs: this objective has a readout")
    views = 2 if name in ("simclr", "supcon") else 1
    if objective["views"] != views:
        yield Problem((*here, "views"), f"{name} compares {views} view(s) of an image, found {objective['views']}")
    options = {"margin": ["margins"], "simclr": ["temperature"], "supcon": ["temperature"]}.get(name, [])
    if sorted(objective["options"]) != options:
        yield Problem((*here, "options"), f"expected {listed(options)}, found {listed(objective['options'])}")


KIND = Kind(
    models={"TopographicResNet18": 3},
    train_command="train_embedding",
    training_settings=_training_settings,
    evaluations={"activations": "embeddings", "noise_logits": "noise_logits"},
    alone=True,
    checks={"objectives": _objective_problems},
)
