"""Small activation dumps for the tests of analyses."""

from __future__ import annotations

import json

import numpy as np
import xarray as xr

from toporep.io import write_dataset

TRAINING = {"epochs": 3, "train_images": 640, "batch_size": 64}


def random_activations(seed: int, units: int, *, stimuli: int = 60) -> np.ndarray:
    """(stimuli, units) float32 that share three random factors."""
    generator = np.random.default_rng(seed)
    shared = generator.normal(size=(stimuli, 3)) @ generator.normal(size=(3, units))
    return (shared + 0.4 * generator.normal(size=(stimuli, units))).astype(np.float32)


def make_dump(
    condition: str, strength: float, seed: int, *, grid=(3, 4), activations=None, training=TRAINING, **attrs
) -> xr.Dataset:
    """A dump of schema `activations`; without `activations`, random ones that depend on the run."""
    rows, cols = grid
    if activations is None:
        activations = random_activations(hash((len(condition), strength, seed)) % 2**32, rows * cols)
    stimuli = len(activations)
    return xr.Dataset(
        {
            "fc1_pre": (("stimulus", "unit"), activations),
            "logits": (("stimulus", "class"), np.zeros((stimuli, 10), dtype=np.float32)),
        },
        coords={
            "label": ("stimulus", np.arange(stimuli) % 10),
            "row": ("unit", np.repeat(np.arange(rows), cols)),
            "col": ("unit", np.tile(np.arange(cols), rows)),
        },
        attrs={
            "paper": "truong2025",
            "dataset": "mnist",
            "source": "digits",
            "source_title": "handwritten digits",
            "scale": "demo",
            "condition": condition,
            "strength": strength,
            "seed": seed,
            "config": json.dumps({"training": training}),
            "config_sha256": "0" * 64,
            "data_sha256": "1" * 64,
            "code_hash": "2" * 16,
            "software": "{}",
            "device": "cpu",
            "deterministic": 1,
            **attrs,
        },
    )


def write_dumps(folder, runs, **options) -> list[str]:
    """Write one dump for each (condition, strength, seed); return the paths."""
    paths = []
    for condition, strength, seed in runs:
        path = folder / f"{condition}-{strength:g}-{seed}.nc"
        write_dataset(make_dump(condition, strength, seed, **options), path, "activations")
        paths.append(str(path))
    return paths
