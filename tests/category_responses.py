"""Small files of the schema `responses`: what sheets of made-up activations answer to sets of images."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter

from toporep.io import write_dataset
from toporep.metrics.moments import Moments

GRID = (6, 8)
_TVAE = {
    "model": "tvae",
    "window": 5,
    "mu": 8.0,
    "eps": 1e-6,
    "feature_norm": True,
    "spatial_weight": 0,
    "dropout": 0,
    "trained": True,
}
_TDANN = {**_TVAE, "model": "tdann", "window": None, "mu": 0, "feature_norm": False, "spatial_weight": 10.0}
CONDITIONS = {
    "tvae": _TVAE,
    "tvae_larger_window": {**_TVAE, "window": 7},
    "tvae_untrained": {**_TVAE, "trained": False},
    "vae": {**_TVAE, "window": None},
    "tdann": {**_TDANN, "dropout": 0.5},
    "tdann_nonspatial": {**_TDANN, "dropout": 0.5, "spatial_weight": 0},
    "fc6": {**_TDANN, "model": "fc6", "spatial_weight": 0, "trained": False},
}
# The activations of each model beside `activation`.
FURTHER = {
    "tvae": ("mean_activation", "numerator", "inverse_root"),
    "tdann": ("rectified", "fc7"),
    "fc6": ("rectified",),
}
CLASSES = ("bodies", "faces", "hands", "objects", "scenes")


def key(*parts: object) -> int:
    """A seed from text and numbers, the same on every machine."""
    return zlib.crc32(repr(parts).encode())


def smooth_map(seed: int, grid: tuple[int, int] = GRID, *, width: float = 1.5) -> np.ndarray:
    """(units,) a map of mean 0 and standard deviation 1, smooth around the torus."""
    noise = np.random.default_rng(seed).standard_normal(grid)
    found = gaussian_filter(noise, width, mode="wrap").reshape(-1)
    return (found - found.mean()) / found.std()


def random_activations(condition: str, seed: int, name: str, *, images: int, grid=GRID, effect=0.8) -> np.ndarray:
    """(images, units) float32 of a network: noise of each image, smooth for the topographic ones, and the map of a set.

    The map belongs to the network and set, so that sets differ by d of about `effect` times the difference of maps.
    """
    model = CONDITIONS[condition]
    generator = np.random.default_rng(key(condition, seed, name, images))
    noise = generator.standard_normal((images, *grid))
    place = smooth_map(key(condition, seed, name), grid)
    if model["model"] == "tvae" and model["window"] is not None:
        noise = gaussian_filter(noise, (0, 1, 1), mode="wrap")
        noise /= noise.std()
    else:
        # Selective units lie anywhere.
        place = np.random.default_rng(key(condition, seed)).permutation(place)
    return (noise.reshape(images, -1) + effect * place).astype(np.float32)


def make_responses(
    condition: str = "tvae",
    name: str = "faces",
    seed: int = 0,
    *,
    activations: np.ndarray | Mapping[str, np.ndarray] | None = None,
    images: int = 40,
    sampled: int | None = 30,
    singles: int = 4,
    grid: tuple[int, int] = GRID,
    settings: Mapping[str, object] | None = None,
    variables: Mapping[str, object] | None = None,
    **attrs: object,
) -> xr.Dataset:
    """A file of the schema `responses`.

    Args:
        condition: one of `CONDITIONS`, unless `settings` has a `condition` of its own.
        name: of the set of images.
        seed: of the run.
        activations: (images, units), or these by quantity, "activation" first; random ones if there are none.
        images: how many there are if activations are random.
        sampled: images kept whole, those of the highest numbers; None: all.
        singles: first images kept.
        settings: parts of the attribute `config` that differ.
        variables: further variables, or others than those that the model has.
        attrs: attributes that differ.
    """
    rows, cols = grid
    model = CONDITIONS.get(condition, _TVAE)
    if activations is None:
        activations = random_activations(condition, seed, name, images=images, grid=grid)
    if not isinstance(activations, Mapping):
        activations = _with_further(np.asarray(activations), model)
    main = np.asarray(activations["activation"])
    images = len(main)
    moments = [Moments.of(values) for values in activations.values()]
    index = np.arange(images)[-(sampled or images) :]
    config = {
        "paper": "keller2021_category",
        "dataset": "imagenet_faces",
        "grid": list(grid),
        "model": {"name": "CategoryNetwork"},
        "training": {"batch_size": 128, "train_images": 640, "epochs": 3},
        "condition": {"name": condition, **model},
        "evaluation": {"activation": "sampled", "sampled_images": 1000, "seed": 0},
        **(settings or {}),
    }
    generator = np.random.default_rng(key(condition, seed, name, "scalars"))
    return xr.Dataset(
        {
            "mean": (("quantity", "unit"), np.stack([part.mean for part in moments])),
            "squares": (("quantity", "unit"), np.stack([part.squares for part in moments])),
            "sample": (("sampled", "unit"), main[index].astype(np.float32)),
            "sample_index": ("sampled", index),
            "single": (("example", "unit"), main[:singles].astype(np.float32)),
            "thumbnail": (
                ("example", "image_row", "image_col", "channel"),
                np.random.default_rng(key(name)).integers(256, size=(len(main[:singles]), 8, 8, 3), dtype=np.uint8),
            ),
            **_of_model(model, images, name, generator),
            **(variables or {}),
        },
        coords={
            "row": ("unit", np.repeat(np.arange(rows), cols)),
            "col": ("unit", np.tile(np.arange(cols), rows)),
            "quantity": ("quantity", np.array(list(activations), dtype=object)),
        },
        attrs={
            "paper": "keller2021_category",
            "dataset": "imagenet_faces",
            "source": "rendered_training",
            "source_title": "rendered stimuli",
            "class_names": json.dumps(CLASSES),
            "scale": "demo",
            "condition": condition,
            "strength": 0.0,
            "seed": seed,
            "config": json.dumps(config),
            "config_sha256": f"{key(condition, seed):064x}",
            "data_sha256": "1" * 64,
            "code_hash": "2" * 16,
            "software": "{}",
            "device": "cpu",
            "deterministic": 1,
            "set": name,
            "set_source": f"rendered_{name}",
            "set_title": f"rendered {name}",
            "set_sha256": f"{key(name):064x}",
            "n_images": images,
            "network": "gabor",
            "dimensions": 576,
            **attrs,
        },
    )


def write_responses(folder, datasets: Iterable[xr.Dataset]) -> list[str]:
    """Write files of the schema `responses`, each under a name of its own, and return the paths."""
    paths = []
    for number, dataset in enumerate(datasets):
        paths.append(str(folder / f"responses{number}.nc"))
        write_dataset(dataset, paths[-1], "responses")
    return paths


def write_runs(folder, runs: Sequence[tuple[str, int]], sets: Sequence[str], **options: object) -> list[str]:
    """Files of random activations, for each (condition, seed) and set."""
    return write_responses(
        folder, (make_responses(condition, name, seed, **options) for condition, seed in runs for name in sets)
    )


def _with_further(activation: np.ndarray, model: Mapping[str, object]) -> dict[str, np.ndarray]:
    """The activation, and for each other quantity of the model one that is made of it."""
    kind = model["model"] if model["window"] is not None or model["model"] != "tvae" else "vae"
    made = {
        "mean_activation": activation * 1.5,
        "numerator": activation + 3.0,
        "inverse_root": 0.1 + 0.01 * np.abs(activation),
        "rectified": np.maximum(activation, 0),
        "fc7": activation[:, ::-1],
    }
    names = FURTHER.get(kind, ("mean_activation",))
    return {"activation": activation, **{name: made[name] for name in names}}


def _of_model(model: Mapping[str, object], images: int, name: str, generator: np.random.Generator) -> dict[str, object]:
    if model["model"] == "tvae":
        likelihood = generator.normal(-900.0, 5.0)
        return {
            "nll": ("image", generator.uniform(800, 900, images)),
            "kl_z": ("image", generator.uniform(10, 20, images)),
            # The plain VAE has no u.
            **({"kl_u": ("image", generator.uniform(3, 5, images))} if model["window"] is not None else {}),
            # Published: without the logarithm of the number of samples, 10.
            "log_likelihood": ("estimator", np.array([likelihood + np.log(10), likelihood])),
            "feature_mean_square": ((), generator.uniform(0.9, 1.1)),
        }
    if model["model"] == "tdann":
        classes = len(CLASSES)
        return {
            "predicted": ("image", generator.integers(classes, size=images)),
            "predicted_of_set": ("image", generator.integers(classes, size=images)),
            "label": ("image", np.full(images, CLASSES.index(name) if name in CLASSES else -1)),
        }
    return {}
