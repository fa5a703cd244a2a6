"""Small activation dumps for the tests of analyses."""

from __future__ import annotations

import gc
import json
import weakref

import numpy as np
import xarray as xr

from toporep.analyses import dumps
from toporep.analyses.dumps import read_dump
from toporep.io import write_dataset

TRAINING = {"epochs": 3, "train_images": 640, "batch_size": 64}


def random_activations(seed: int, units: int, *, stimuli: int = 60) -> np.ndarray:
    """(stimuli, units) float32 that share three random factors."""
    generator = np.random.default_rng(seed)
    shared = generator.normal(size=(stimuli, 3)) @ generator.normal(size=(3, units))
    return (shared + 0.4 * generator.normal(size=(stimuli, units))).astype(np.float32)


HISTORY = ("train_accuracy", "validation_accuracy", "weight_similarity")


def make_dump(
    condition: str, strength: float, seed: int, *, grid=(3, 4), activations=None, training=TRAINING, inputs=8, **attrs
) -> xr.Dataset:
    """A dump of schema `activations`; without `activations`, random ones that depend on the run, as are the weights."""
    rows, cols = grid
    generator = np.random.default_rng(hash((len(condition), strength, seed)) % 2**32)
    if activations is None:
        activations = random_activations(hash((len(condition), strength, seed)) % 2**32, rows * cols)
    stimuli = len(activations)
    weight, readout, bias = (
        generator.normal(size=shape).astype(np.float32) for shape in ((rows * cols, inputs), (10, rows * cols), 10)
    )
    history = generator.uniform(size=(training["epochs"] + 1, len(HISTORY)))
    history[0, 1] = np.nan
    return xr.Dataset(
        {
            "sheet_pre": (("stimulus", "unit"), activations),
            "logits": (("stimulus", "class"), np.maximum(activations, 0) @ readout.T + bias),
            "sheet_weight": (("unit", "input"), weight),
            "readout_weight": (("class", "unit"), readout),
            "readout_bias": ("class", bias),
            "history": (("epoch", "quantity"), history),
        },
        coords={
            "label": ("stimulus", np.arange(stimuli) % 10),
            "row": ("unit", np.repeat(np.arange(rows), cols)),
            "col": ("unit", np.tile(np.arange(cols), rows)),
            "epoch": ("epoch", np.arange(len(history))),
            "quantity": ("quantity", np.array(HISTORY, dtype=object)),
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


def dumps_held(monkeypatch) -> list[int]:
    """To which each dump that an analysis reads from now on adds how many are in memory then."""
    read, held = [], []

    def counted(*args):
        gc.collect()
        held.append(1 + sum(one() is not None for one in read))
        dump = read_dump(*args)
        read.append(weakref.ref(dump))
        return dump

    monkeypatch.setattr(dumps, "read_dump", counted)
    return held
