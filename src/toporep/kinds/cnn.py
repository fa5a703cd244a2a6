"""CNNs: small networks that are trained to classify, many in a stack."""

from __future__ import annotations

from collections.abc import Iterator

from toporep.config import Problem
from toporep.kinds import Kind, Settings, capped_test_images

_TRAINING = (
    *("batch_size", "learning_rate", "betas", "eps"),
    *("epochs", "train_fraction", "train_images", "validation_images"),
    *("mean", "std", "precision"),
)


def _training_settings(paper: Settings, dataset: str, condition: Settings) -> dict:
    data = paper["datasets"][dataset]
    return {
        "grid": paper["grid"],
        "model": {"name": data["model"], "dropout": data["dropout"]},
        "training": {key: data[key] for key in _TRAINING},
        "condition": {"spatial_loss": condition["spatial_loss"], "options": condition["options"]},
    }


def _evaluation_settings(paper: Settings, dataset: str, evaluation: str) -> dict:
    data = paper["datasets"][dataset]
    settings = capped_test_images(paper, dataset, evaluation)
    normalizations = {"matched": {"mean": data["mean"], "std": data["std"]}}
    if data.get("eval_std_mismatched"):
        normalizations["mismatched"] = {"mean": data["mean"], "std": data["eval_std_mismatched"]}
    if evaluation == "tuning":
        # Stimuli of its own, and no test images.
        del settings["test_images"]
        return {**settings, **normalizations["matched"]}
    if evaluation == "image_noise":
        # A data set for which the published code has one set of constants is evaluated with that one.
        wanted = [name for name in settings["normalizations"] if name in normalizations]
        return {**settings, "normalizations": {name: normalizations[name] for name in wanted}}
    # `eval_norm: mismatched` takes the published code's other spread for the test images (D4).
    return {**settings, **normalizations[data.get("eval_norm", "matched")]}


def _dataset_problems(paper: Settings, name: str) -> Iterator[Problem]:
    dataset = paper["datasets"][name]
    if dataset.get("eval_norm") == "mismatched" and dataset["eval_std_mismatched"] is None:
        path = ("datasets", name, "eval_norm")
        yield Problem(path, "'mismatched' needs eval_std_mismatched, which is null")


KIND = Kind(
    models={"MnistCNN": 1, "CifarCNN": 3},
    train_command="train",
    training_settings=_training_settings,
    evaluations={"activations": "activations", "tuning": "tuning", "image_noise": "image_noise"},
    evaluation_settings=_evaluation_settings,
    checks={"datasets": _dataset_problems},
)
