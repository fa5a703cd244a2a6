"""What decides the result of a run or of an evaluation, taken from the configuration of its paper."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

# Trained alone, by a command of its own.
RESNETS = frozenset({"TopographicResNet18"})
# Trained on sequences, by a command of its own; every other network is a CNN.
VAES = frozenset({"TopographicVAE"})
# Trained on features of images, by a command of its own, and shown several sets of images.
CATEGORY = frozenset({"CategoryNetwork"})
# Trained one after the other: one of them fills a device.
ALONE = RESNETS | CATEGORY

_OPTIMIZER = ("batch_size", "learning_rate", "betas", "eps")
_CNN_TRAINING = (
    *_OPTIMIZER,
    "epochs",
    "train_fraction",
    "train_images",
    "validation_images",
    "mean",
    "std",
    "precision",
)
_RESNET_TRAINING = (
    *_OPTIMIZER,
    "drop_last",
    "patience",
    "validation_per_class",
    "validation_selection",
    "validation_views",
    "train_images",
    "mean",
    "std",
    "animate",
    "precision",
    "compile",
)
_VAE_MODEL = ("frames", "capsules", "units")
_VAE_TRAINING = (
    "sequences",
    "batch_size",
    "learning_rate",
    "momentum",
    "epochs",
    "split_seed",
    "validation_share",
    "train_images",
    "precision",
)
_VAE_CONDITION = ("form", "mu", "eps", "truncate_band", "weight_norm", "decoder_norm_axis", "pixel_bias")
_CATEGORY_CONDITION = ("model", "window", "mu", "eps", "feature_norm", "spatial_weight", "dropout", "trained")
_OBJECTIVE = ("epochs", "views", "augmentation", "validation_augmentation", "options", "stop_on", "checkpoint")


def training_settings(paper: Mapping[str, Any], dataset: str, condition: str) -> dict[str, Any]:
    """Settings of the runs of a condition, but for paper, scale, strength and seed.

    Args:
        paper: one of `Config.papers`.
        dataset, condition: names in it.
    """
    data, chosen = paper["datasets"][dataset], paper["conditions"][condition]
    kinds = {**dict.fromkeys(RESNETS, _resnet), **dict.fromkeys(VAES, _vae), **dict.fromkeys(CATEGORY, _category)}
    make = kinds.get(data["model"], _cnn)
    settings = {"source": data["source"], **make(paper, dataset, chosen)}
    settings["condition"] = {"name": condition, **settings["condition"]}
    return copy.deepcopy(settings)


def evaluation_settings(paper: Mapping[str, Any], dataset: str, evaluation: str = "activations") -> dict[str, Any]:
    """How trained runs of a dataset are evaluated: images, constants of the normalisation, own settings.

    Args:
        paper: one of `Config.papers`.
        dataset: name in it.
        evaluation: "activations" or one of the paper's own.
    """
    data = paper["datasets"][dataset]
    own = copy.deepcopy(paper["evaluations"].get(evaluation, {}))
    if data["model"] in CATEGORY:
        return own
    if data["model"] in VAES:
        return {**own, "test_images": data["test_images"]}
    normalizations = {"matched": {"mean": data["mean"], "std": data["std"]}}
    if data.get("eval_std_mismatched"):
        normalizations["mismatched"] = {"mean": data["mean"], "std": data["eval_std_mismatched"]}
    if evaluation == "tuning":
        return {**own, **normalizations["matched"]}
    caps = [cap for cap in (data["test_images"], own.pop("max_images", None)) if cap is not None]
    common = {"test_images": min(caps, default=None)}
    if evaluation == "image_noise":
        # A data set for which the published code has one set of constants is evaluated with that one.
        wanted = [name for name in own.pop("normalizations") if name in normalizations]
        return {**own, **common, "normalizations": {name: normalizations[name] for name in wanted}}
    # `eval_norm: mismatched` takes the published code's other spread for the test images (D4).
    return {**own, **common, **normalizations[data.get("eval_norm", "matched")]}


def _cnn(paper: Mapping[str, Any], dataset: str, condition: Mapping[str, Any]) -> dict[str, Any]:
    data = paper["datasets"][dataset]
    return {
        "grid": paper["grid"],
        "model": {"name": data["model"], "dropout": data["dropout"]},
        "training": {key: data[key] for key in _CNN_TRAINING},
        "condition": {"spatial_loss": condition["spatial_loss"], "options": condition["options"]},
    }


def _resnet(paper: Mapping[str, Any], dataset: str, condition: Mapping[str, Any]) -> dict[str, Any]:
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
            **{key: data[key] for key in _RESNET_TRAINING},
        },
        "readout": None if classifies else {**paper["readout"], "patience": objective["readout_patience"]},
        "condition": {"topographic": condition["topographic"]},
        "matching": paper["matching"],
    }


def _vae(paper: Mapping[str, Any], dataset: str, condition: Mapping[str, Any]) -> dict[str, Any]:
    data = paper["datasets"][dataset]
    return {
        "model": {"name": data["model"], **{key: data[key] for key in _VAE_MODEL}},
        "training": {key: data[key] for key in _VAE_TRAINING},
        "condition": {
            **{key: condition[key] for key in _VAE_CONDITION},
            "windows": condition["windows"].get(dataset),
        },
    }


def _category(paper: Mapping[str, Any], dataset: str, condition: Mapping[str, Any]) -> dict[str, Any]:
    data = paper["datasets"][dataset]
    # The pretrained layer is trained no further, so that either way of training would do.
    optimizer = paper["models"]["tvae" if condition["model"] == "tvae" else "tdann"]
    return {
        "grid": data["grid"],
        "features": paper["features"],
        "model": {"name": data["model"]},
        "training": {"batch_size": data["batch_size"], "train_images": data["train_images"], **optimizer},
        "condition": {key: condition[key] for key in _CATEGORY_CONDITION},
    }
