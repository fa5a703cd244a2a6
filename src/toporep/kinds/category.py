"""Networks of category selectivity: trained on features of images, and shown several sets of images."""

from __future__ import annotations

import math
from collections.abc import Iterator

from toporep.config import Problem, unknown_names
from toporep.kinds import Kind, Settings

# Units of AlexNet's first fully connected layer.
_FC6_UNITS = 4096
_CONDITION = ("model", "window", "mu", "eps", "feature_norm", "spatial_weight", "dropout", "trained")


def _training_settings(paper: Settings, dataset: str, condition: Settings) -> dict:
    data = paper["datasets"][dataset]
    # The pretrained layer is trained no further, so that either way of training would do.
    optimizer = paper["models"]["tvae" if condition["model"] == "tvae" else "tdann"]
    return {
        "grid": data["grid"],
        "features": paper["features"],
        "model": {"name": data["model"]},
        "training": {"batch_size": data["batch_size"], "train_images": data["train_images"], **optimizer},
        "condition": {key: condition[key] for key in _CONDITION},
    }


def _evaluation_settings(paper: Settings, dataset: str, evaluation: str) -> dict:
    return paper["evaluations"].get(evaluation, {})


def _condition_problems(paper: Settings, name: str) -> Iterator[Problem]:
    here, condition = ("conditions", name), paper["conditions"][name]
    model, window = condition["model"], condition["window"]
    grids = [paper["datasets"][role]["grid"] for role in condition["datasets"] if role in paper["datasets"]]
    if window is not None and model != "tvae":
        yield Problem((*here, "window"), f"model {model!r} has no window; write null")
    elif window is not None and window % 2 == 0:
        yield Problem((*here, "window"), f"expected an odd number, with a unit in the middle, found {window}")
    for grid in grids:
        if window is not None and window > min(grid):
            yield Problem((*here, "window"), f"{window} is longer than the shorter side of the sheet, {min(grid)}")
        if model == "tdann" and grid[0] != grid[1]:
            yield Problem((*here, "datasets"), f"expected a square sheet, whose sides are 10 mm, found {grid}")
        if model == "fc6" and math.prod(grid) != _FC6_UNITS:
            text = f"the pretrained layer has {_FC6_UNITS} units, but the sheet {grid} has {math.prod(grid)}"
            yield Problem(here, f"{text}; write `datasets: []` to leave {name} out, or give it another model")
    network = paper["features"]["network"]
    if model == "fc6" and network != "alexnet":
        text = f"condition {name!r} is AlexNet's pretrained layer; write alexnet, or give it another model"
        yield Problem(("features", "network"), f"{text}; found {network!r}")
    if condition["spatial_weight"] and model != "tdann":
        yield Problem((*here, "spatial_weight"), f"model {model!r} has no spatial loss; write 0")


def _set_problems(paper: Settings, name: str) -> Iterator[Problem]:
    """Sets of images that an analysis names without reading them, or that are not there."""
    here, analysis = ("analyses", name), paper["analyses"][name]
    if "sets" not in analysis:
        return
    settings = analysis["settings"]
    yield from unknown_names((*here, "sets"), analysis["sets"], "set of images", paper["image_sets"])
    named = {key: settings.get(key, []) for key in ("target", "control")}
    named |= {f"classes.{key}": sets for key, sets in settings.get("classes", {}).items()}
    named |= {f"contrasts.{key}": [*both[0], *both[1]] for key, both in settings.get("contrasts", {}).items()}
    for key, sets in named.items():
        for each in sets:
            if each not in analysis["sets"]:
                yield Problem((*here, "settings", *key.split(".")), f"{each!r} is none of the analysis' sets")
    for pair in settings.get("pairs", []):
        for each in pair:
            yield from unknown_names((*here, "settings", "pairs"), [each], "contrast", settings.get("contrasts", {}))


KIND = Kind(
    models={"CategoryNetwork": None},
    train_command="train_category",
    training_settings=_training_settings,
    evaluations={"responses": "responses"},
    evaluation_settings=_evaluation_settings,
    alone=True,
    checks={"conditions": _condition_problems, "analyses": _set_problems},
)
