"""Synthetic metric summaries that resemble the paper's results, for the tests of figures."""

from __future__ import annotations

import json
import zlib

import numpy as np
import xarray as xr

STRENGTHS = (0.1, 0.3, 0.5, 1.0, 2.0, 3.0)
FAMILIES = ("ws", "as", "as_reshaped")
POINTS = [("control", 0.0), *((family, strength) for family in FAMILIES for strength in STRENGTHS)]
QUANTITIES = (
    "train_accuracy",
    "train_cross_entropy",
    "validation_accuracy",
    "validation_cross_entropy",
    "spatial_loss",
    "weight_similarity",
    "activation_similarity",
    "afferent_norm",
)
KINDS, LEVELS = ("white", "pink", "salt_pepper"), (0.01, 0.05, 0.1, 0.15, 0.2)
ABSOLUTE, RELATIVE = (0.05, 0.1, 0.2, 0.3), (0.25, 0.5, 1.0, 2.0)
SETTINGS = {
    "calibration": {"bins": 15},
    "weight_noise": {
        "absolute": list(ABSOLUTE),
        "relative": list(RELATIVE),
        "repetitions": 100,
        "seed": 0,
        "measure": "pearson",
    },
    "image_noise_robustness": {},
    "activity": {"activation": "pre", "bins": 50},
    "dimensionality": {"centered": True},
    "training_curves": {},
}
# How far WS and the two readings of AS lie from the control, on an arbitrary scale.
_EFFECT = {"control": 0.0, "ws": 1.0, "as": 0.45, "as_reshaped": -0.3}


def summary(analysis: str, dataset: str, *, points=POINTS, n: int = 3) -> xr.Dataset:
    """A dataset of schema `<analysis>_summary`; `n` seeds behind each point."""
    rng = np.random.default_rng([zlib.crc32(analysis.encode()), len(dataset)])
    variables, coords = _MAKERS[analysis](dataset, points, rng)
    names, strengths = zip(*points, strict=True)
    content = {}
    for name, (dims, mean, sem) in variables.items():
        mean = np.asarray(mean, dtype=float)
        noise = sem * rng.uniform(0.6, 1.4, mean.shape)
        content[f"{name}_mean"] = (("point", *dims), mean)
        content[f"{name}_sem"] = (("point", *dims), np.where(np.isnan(mean) | (n == 1), np.nan, noise))
        if (analysis, name) in {("activity", "entropy"), ("training_curves", "value")}:
            content[f"{name}_n"] = (("point", *dims), np.where(np.isnan(mean), 0, n))
    return xr.Dataset(
        content,
        coords={
            "condition": ("point", np.array(names, dtype=object)),
            "strength": ("point", np.array(strengths, dtype=float)),
            "n": ("point", np.full(len(points), n)),
            **coords,
        },
        attrs=attributes(dataset, SETTINGS[analysis]),
    )


def attributes(dataset: str, settings: dict) -> dict[str, str]:
    """Attributes of a metric file of reduced scale."""
    training = {"train_images": {"mnist": 12000, "cifar10": 10000}[dataset], "epochs": 4, "train_fraction": 0.8}
    return {
        "paper": "truong2025",
        "dataset": dataset,
        "source": dataset,
        "source_title": {"mnist": "handwritten digits (MNIST)", "cifar10": "color photographs (CIFAR-10)"}[dataset],
        "scale": "reduced",
        "settings": json.dumps(settings),
        "training": json.dumps(training),
    }


def images(source: str, *, count: int = 30) -> xr.Dataset:
    """Prepared images, schema `images`: blobs whose place tells their class."""
    rows, channels = {"mnist": (28, 1), "cifar10": (32, 3)}[source]
    label = (np.arange(count) * 7 + 3) % 10
    y, x = np.mgrid[:rows, :rows] / rows
    angle = 2 * np.pi * label[:, None, None] / 10
    blob = np.exp(-(((x - 0.5 - 0.25 * np.cos(angle)) ** 2 + (y - 0.5 - 0.25 * np.sin(angle)) ** 2) / 0.02))
    tint = np.array([1.0, 0.6, 0.3])[:channels]
    pixels = np.round(255 * blob[..., None] * tint).astype(np.uint8)
    attrs = {"source": source, "source_title": attributes(source, {})["source_title"], "data_sha256": "d"}
    attrs |= {"class_names": "[]", "recognised_as": "generated", "origin": "", "licence": ""}
    dims = ("image_row", "image_col", "channel")
    return xr.Dataset(
        {
            "images_train": (("train", *dims), pixels[:10]),
            "label_train": ("train", label[:10]),
            "images_test": (("test", *dims), pixels),
            "label_test": ("test", label),
        },
        attrs=attrs,
    )


def _dose(points) -> np.ndarray:
    """Effect of each point, growing with the strength."""
    return np.array([_EFFECT[name] * (1 - np.exp(-0.9 * strength - 0.1)) for name, strength in points])


def _calibration(dataset, points, rng):
    top = {"mnist": 0.975, "cifar10": 0.78}[dataset]
    dose = _dose(points)
    return {
        "accuracy": ((), top - 0.035 * np.abs(dose) + rng.normal(0, 0.002, len(points)), 0.0015),
        "logit_gap": ((), {"mnist": 9.5, "cifar10": 5.0}[dataset] - 5 * np.abs(dose) + 0.1, 0.12),
        "probability_gap": ((), top - 0.06 * np.abs(dose), 0.004),
        "calibration_error": ((), 0.006 + 0.03 * np.abs(dose), 0.0012),
    }, {}


def _weight_noise(dataset, points, rng):
    dose = _dose(points)
    sigma = np.array([ABSOLUTE, RELATIVE])
    relative = np.array([[0.9], [0.4]]) * sigma / np.array([[0.1], [0.5]])
    fall = 1 / (1 + (relative * 0.9) ** 2)
    similarity = fall ** (1 - 0.6 * dose[:, None, None])
    change = -60 * (1 - fall) ** 1.4 * (1 - 0.7 * dose[:, None, None])
    clean = np.full(len(points), {"mnist": 0.97, "cifar10": 0.78}[dataset])
    return {
        "clean_accuracy": ((), clean, 0.002),
        "similarity": (("mode", "level"), similarity, 0.008),
        "accuracy": (("mode", "level"), clean[:, None, None] + change / 100, 0.01),
        "accuracy_change": (("mode", "level"), change, 1.0),
        "readout_norm": ((), 6 + 5 * dose, 0.1),
        "readout_sd": ((), (6 + 5 * dose) / np.sqrt(1210), 0.003),
    }, {"mode": ("mode", np.array(["absolute", "relative"], dtype=object)), "sigma": (("mode", "level"), sigma)}


def _image_noise_robustness(dataset, points, rng):
    normalizations = ["matched"] if dataset == "mnist" else ["matched", "mismatched"]
    depth = np.array([14.0, 9.0, 28.0])[:, None] * (np.array(LEVELS) / 0.2) ** 1.5
    change = -depth * (1 - 0.5 * _dose(points)[:, None, None, None]) * np.linspace(1, 1.15, len(normalizations))[
        :, None, None
    ] + rng.normal(0, 0.15, (len(points), len(normalizations), 3, 5))
    clean = np.full((len(points), len(normalizations)), 0.78) - 0.01 * np.arange(len(normalizations))
    dims = ("normalization", "kind", "level")
    return {
        "clean_accuracy": (dims[:1], clean, 0.002),
        "accuracy": (dims, clean[:, :, None, None] + change / 100, 0.006),
        "accuracy_change": (dims, change, 0.4),
    }, {
        "normalization": ("normalization", np.array(normalizations, dtype=object)),
        "kind": ("kind", np.array(KINDS, dtype=object)),
        "level": ("level", np.array(LEVELS)),
    }


def _activity(dataset, points, rng):
    dose, strength = _dose(points), np.array([strength for _, strength in points])
    entropy = np.stack([4.6 + 0.3 * dose - 0.15 * strength * dose, 4.0 - 1.2 * dose, 3.0 - 1.9 * np.abs(dose)], axis=1)
    return {
        "percent_zero": ((), 62 - 25 * dose, 0.6),
        "entropy": (("estimator",), entropy + rng.normal(0, 0.01, entropy.shape), 0.02),
        "variance": ((), 6 * np.exp(-2 * np.abs(dose)), 0.15),
    }, {"estimator": ("estimator", np.array(["unit_range", "common_range", "gaussian"], dtype=object))}


def _dimensionality(dataset, points, rng):
    dose = np.array([_EFFECT[name] * (1 - np.exp(-1.1 * strength)) for name, strength in points])
    full = np.array({"mnist": [38.0, 36.0, 9.0, 11.0], "cifar10": [70.0, 66.0, 12.0, 15.0]}[dataset])
    mean = full * np.exp(-1.6 * np.abs(dose))[:, None]
    quantity = ["weights", "weights_transposed", "activations_pre", "activations_post"]
    return (
        {"effective_dimensionality": (("quantity",), mean, 0.3)},
        {"quantity": ("quantity", np.array(quantity, dtype=object))},
    )


def _training_curves(dataset, points, rng):
    epochs = np.arange({"mnist": 16, "cifar10": 31}[dataset])
    learned = 1 - np.exp(-0.6 * epochs)
    dose = _dose(points)[:, None]
    accuracy = 0.1 + 0.87 * learned - 0.02 * np.abs(dose)
    values = {
        "train_accuracy": accuracy,
        "train_cross_entropy": 2.3 * (1 - accuracy),
        "validation_accuracy": accuracy - 0.02 * learned,
        "validation_cross_entropy": 2.3 * (1.03 - accuracy),
        "weight_similarity": 0.8 + 0.6 * learned - 0.9 * np.maximum(dose, 0) * learned,
        "activation_similarity": 1.0 - 0.9 * np.maximum(dose, 0) * learned,
        "afferent_norm": 0.6 + 0.9 * learned * (1 - np.maximum(dose, 0)),
    }
    values["spatial_loss"] = np.stack(
        [
            values["weight_similarity"][i] if name == "ws" else (1 - 0.7 * learned) * (name != "control")
            for i, (name, _) in enumerate(points)
        ]
    )
    value = np.stack([values[name] for name in QUANTITIES], axis=-1)
    for name in ("validation_accuracy", "validation_cross_entropy"):
        value[:, 0, QUANTITIES.index(name)] = np.nan
    return (
        {"value": (("epoch", "quantity"), value, 0.01)},
        {"epoch": ("epoch", epochs), "quantity": ("quantity", np.array(QUANTITIES, dtype=object))},
    )


_MAKERS = {
    "calibration": _calibration,
    "weight_noise": _weight_noise,
    "image_noise_robustness": _image_noise_robustness,
    "activity": _activity,
    "dimensionality": _dimensionality,
    "training_curves": _training_curves,
}
