"""Topographic VAEs of sequences of images; those whose groupers have one shape are trained in a stack."""

from __future__ import annotations

import math
from collections.abc import Iterator

from toporep.config import Problem, listed, unknown_names
from toporep.kinds import Kind, Settings
from toporep.train.spec import stack_shape

# Frames of the kinds of sequences (toporep.data.sequences, which needs torch).
_FRAMES = {"single": 18, "color_rotation": 18, "color_perspective": 18, "plain": 1, "dsprites": 15}
_DIGITS, _SPRITES = ("mnist", "digits", "digits_small"), ("dsprites", "sprites", "sprites_small")
_MODEL = ("frames", "capsules", "units")
_TRAINING = (
    *("sequences", "batch_size", "learning_rate", "momentum", "epochs"),
    *("split_seed", "validation_share", "train_images", "precision"),
)
_CONDITION = ("form", "mu", "eps", "truncate_band", "weight_norm", "decoder_norm_axis", "pixel_bias")


def _training_settings(paper: Settings, dataset: str, condition: Settings) -> dict:
    data = paper["datasets"][dataset]
    return {
        "model": {"name": data["model"], **{key: data[key] for key in _MODEL}},
        "training": {key: data[key] for key in _TRAINING},
        "condition": {**{key: condition[key] for key in _CONDITION}, "windows": condition["windows"].get(dataset)},
    }


def _evaluation_settings(paper: Settings, dataset: str, evaluation: str) -> dict:
    return {**paper["evaluations"].get(evaluation, {}), "test_images": paper["datasets"][dataset]["test_images"]}


def _sequence_problems(paper: Settings, name: str) -> Iterator[Problem]:
    here, dataset = ("datasets", name), paper["datasets"][name]
    sequences, source = dataset["sequences"], dataset["source"]
    wanted = _SPRITES if sequences == "dsprites" else _DIGITS
    if source not in wanted:
        text = f"sequences of kind {sequences!r} are made of images of {listed(wanted)}, found {source!r}"
        yield Problem((*here, "source"), text)
    if dataset["frames"] != _FRAMES[sequences]:
        text = f"sequences of kind {sequences!r} have {_FRAMES[sequences]} frames, found {dataset['frames']}"
        yield Problem((*here, "frames"), text)
    if dataset["split_seed"] is None and dataset["validation_share"]:
        yield Problem((*here, "validation_share"), "expected 0 without a split_seed, since nothing is set aside")


def _window_problems(paper: Settings, name: str) -> Iterator[Problem]:
    condition, datasets = paper["conditions"][name], paper["datasets"]
    form, windows = condition.get("form", "none"), condition.get("windows", {})
    here = ("conditions", name, "windows")
    for role in windows:
        yield from unknown_names((*here, role), [role], "dataset", datasets)
    for role in condition["datasets"] if form != "none" else ():
        if role not in windows:
            yield Problem(here, f"missing: {role}, of which the condition has runs; form {form!r} needs a window")
    for role, window in windows.items():
        yield from _one_window(form, (*here, role), window, datasets[role]) if role in datasets else ()


def _one_window(form: str, here: tuple, window: Settings, dataset: Settings) -> Iterator[Problem]:
    if form == "none":
        yield Problem(here, "form 'none', the plain VAE, has no window")
        return
    side = math.isqrt(dataset["units"])
    if form == "torus" and (dataset["frames"], dataset["capsules"], side**2) != (1, 1, dataset["units"]):
        text = "a torus needs 1 frame and 1 capsule of a square number of units, found "
        text += f"{dataset['frames']}, {dataset['capsules']} and {dataset['units']}"
        yield Problem(here, text)
    for key, most in (("frames", dataset["frames"]), ("units", side if form == "torus" else dataset["units"])):
        if window[key] > most:
            yield Problem((*here, key), f"{window[key]} is longer than the {most} there are")
    if form == "shifting" and window["units"] % 2 == 0:
        text = f"expected an odd number, a band as wide on both sides, found {window['units']}"
        yield Problem((*here, "units"), text)


def _torus_problems(paper: Settings, name: str) -> Iterator[Problem]:
    analysis, conditions = paper["analyses"][name], paper["conditions"]
    if not conditions.keys() >= set(analysis["conditions"]):
        # Unknown ones are told of without this.
        return
    for condition in analysis["conditions"]:
        # Images of the units of a torus; every other analysis of sequences compares their frames.
        torus = conditions[condition].get("form") == "torus"
        if torus != (analysis.get("analysis", name) == "torus_images"):
            only = "a form other than" if torus else "the form"
            text = f"condition {condition!r}: expected {only} 'torus' for this analysis"
            yield Problem(("analyses", name, "conditions"), text)


KIND = Kind(
    models={"TopographicVAE": 1},
    train_command="train_capsules",
    training_settings=_training_settings,
    evaluations={"sequences": "sequences", "max_images": "max_images"},
    evaluation_settings=_evaluation_settings,
    stack_shape=stack_shape,
    checks={"datasets": _sequence_problems, "conditions": _window_problems, "analyses": _torus_problems},
)
