"""A small made-up world of Sander & Hasson 2026: evaluations of runs of all conditions, rho and seeds.

No network is trained. Units have random weights that are smoothed over the sheet, the more the nearer rho is to 0.2,
and that shrink as rho grows; the embedding, its class structure, its readout and the training history follow from
them. So the world behaves as the paper describes: Moran's I rises up to rho = 0.2 and falls a little beyond, weights
shrink and raw cosines go to 1 with rho (of the projection heads), seeds agree less, SimCLR's classes overlap, maps
without dropout are rough and live on a few units at the border.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from toporep.io import write_dataset

OBJECTIVES = ("margin", "ce", "simclr", "supcon")
STRENGTHS = (0.0, 0.008, 0.04, 0.2, 1.0, 5.0)
GRID = (16, 16)
INPUTS = 64
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ANIMATE = ("bird", "cat", "deer", "dog", "frog", "horse")
KINDS, LEVELS = ("pink", "white", "salt_pepper"), (0.01, 0.05, 0.1, 0.15, 0.2)
QUANTITIES = (
    "task_loss",
    "topographic_loss",
    "strength",
    "task_gradient_norm",
    "topographic_gradient_norm",
    "train_accuracy",
    "validation_task_loss",
    "validation_total_loss",
    "validation_accuracy",
    "norm",
    "epochs_since_best",
)
# Of each objective: how far images lie from their class, how far the weights' length outweighs the bias.
_SPREAD = {"margin": 1.05, "ce": 1.1, "simclr": 1.7, "supcon": 1.0}
_BIAS = {"margin": 0.5, "ce": 0.05, "simclr": 0.5, "supcon": 0.5}
# By rho: width of the smoothing in units, length of the weights, how far the classes of different seeds differ.
_WIDTH = dict(zip(STRENGTHS, (0.0, 0.5, 0.9, 1.6, 1.3, 1.1), strict=True))
_LENGTH = dict(zip(STRENGTHS, (1.3, 0.6, 0.4, 0.25, 0.1, 0.04), strict=True))
_DRIFT = dict(zip(STRENGTHS, (0.05, 0.1, 0.15, 0.25, 0.4, 0.6), strict=True))
_LATENT = 24
_OBJECTIVE = {"ce": "cross_entropy"}

Run = tuple[str, float, int]


def runs_of(
    conditions: Iterable[str] = OBJECTIVES, strengths: Sequence[float] = STRENGTHS, seeds: Iterable[int] = (0, 1, 2)
) -> list[Run]:
    """Runs by condition, strength and seed, in this order."""
    return [(condition, strength, seed) for condition in conditions for strength in strengths for seed in seeds]


def world(*, seeds: int = 3, networks: int = 4) -> list[Run]:
    """Runs of all conditions; `networks` seeds of cross-entropy, which has more of them for the ensembles."""
    found = [run for name in OBJECTIVES for run in runs_of([name], seeds=range(networks if name == "ce" else seeds))]
    found += runs_of([f"{name}_no_dropout" for name in OBJECTIVES], seeds=[0])
    beyond = [f"{name}_{variant}" for variant in ("cosine", "norm_penalty") for name in OBJECTIVES]
    return found + runs_of(beyond, STRENGTHS[1:], range(min(seeds, 3)))


def embedding_dump(run: Run, *, per_class: int = 20, **attrs: Any) -> xr.Dataset:
    """A dump of schema `activations` of `per_class` images of each of the 10 classes."""
    condition, strength, seed = run
    objective = condition.split("_")[0]
    generator = _generator("network", condition, strength, seed)
    weight = _weights(condition, strength, generator)
    features, label = _features(objective, strength, seed, per_class, generator)
    bias = _BIAS[objective] * generator.uniform(-1, 1, len(weight)) / np.sqrt(INPUTS)
    embedding = features @ weight.T + bias
    readout_weight, readout_bias = _readout(embedding, label)
    history = _history(condition, strength, seed, weight)
    variables = {
        "sheet_pre": (("stimulus", "unit"), _single(embedding)),
        "logits": (("stimulus", "class"), _single(embedding @ readout_weight.T + readout_bias)),
        "sheet_weight": (("unit", "input"), _single(weight)),
        "readout_weight": (("class", "unit"), _single(readout_weight)),
        "readout_bias": ("class", _single(readout_bias)),
        "history": (("epoch", "quantity"), history),
    }
    if objective != "ce":
        standardized = (embedding - embedding.mean(axis=0)) / embedding.std(axis=0)
        own_weight, own_bias = _readout(standardized, label)
        variables["logits_standardized"] = (("stimulus", "class"), _single(standardized @ own_weight.T + own_bias))
    coords = {
        "label": ("stimulus", label),
        "row": ("unit", np.arange(len(weight)) // GRID[1]),
        "col": ("unit", np.arange(len(weight)) % GRID[1]),
        "epoch": ("epoch", np.arange(len(history))),
        "quantity": ("quantity", np.array(QUANTITIES, dtype=object)),
    }
    return xr.Dataset(variables, coords, {**attributes(run), **attrs})


def noise_logits(run: Run, *, per_class: int = 20, **attrs: Any) -> xr.Dataset:
    """A file of schema `noise_logits`: answers that drown in each network's own errors as the noise grows."""
    dump = embedding_dump(run, per_class=per_class)
    clean = dump["logits"].values
    size = clean.std()
    logits = np.empty((len(KINDS), len(LEVELS), *clean.shape), dtype=np.float32)
    for place in np.ndindex(len(KINDS), len(LEVELS)):
        kind, level = KINDS[place[0]], LEVELS[place[1]]
        lost = min(1.0, level / 0.2) ** 0.5
        own = _generator("answers", *run, kind, level).normal(size=clean.shape)
        shared = _generator("noise", kind, level).normal(size=clean.shape)
        logits[place] = (1 - lost) * clean + size * lost * (0.7 * own + 0.3 * shared)
    evaluation = {"kinds": KINDS, "levels": LEVELS, "seed": 0, "clip": True, "amplitude_exponent": 1.0, "replace": True}
    return xr.Dataset(
        {
            "logits": (("kind", "level", "stimulus", "class"), logits),
            "clean_logits": (("stimulus", "class"), clean),
        },
        {
            "kind": ("kind", np.array(KINDS, dtype=object)),
            "level": ("level", np.array(LEVELS)),
            "label": ("stimulus", dump["label"].values),
        },
        {**attributes(run, evaluation=evaluation), **attrs},
    )


def attributes(run: Run, *, evaluation: dict[str, Any] | None = None) -> dict[str, Any]:
    """Attributes of an evaluation of a run."""
    condition, strength, seed = run
    objective = condition.split("_")[0]
    training = {
        "objective": _OBJECTIVE.get(objective, objective),
        "epochs": 40,
        "train_images": 2000,
        "batch_size": 128,
        "animate": list(ANIMATE),
    }
    return {
        "paper": "sander2026",
        "dataset": "cifar10",
        "source": "objects",
        "source_title": "rendered objects",
        "scale": "demo",
        "condition": condition,
        "strength": strength,
        "seed": seed,
        "class_names": json.dumps(CLASSES),
        "config": json.dumps({"training": training, "evaluation": evaluation or {"test_images": None}}),
        "config_sha256": "0" * 64,
        "data_sha256": "1" * 64,
        "code_hash": "2" * 16,
        "software": "{}",
        "device": "cpu",
        "deterministic": 1,
    }


def write_embedding_dumps(folder: Path, runs: Iterable[Run], **options: Any) -> list[str]:
    """Write one dump of schema `activations` for each run; return the paths."""
    return [_write(folder, run, embedding_dump(run, **options), "activations") for run in runs]


def write_noise_logits(folder: Path, runs: Iterable[Run], **options: Any) -> list[str]:
    """Write one file of schema `noise_logits` for each run; return the paths."""
    return [_write(folder, run, noise_logits(run, **options), "noise_logits") for run in runs]


def _write(folder: Path, run: Run, dataset: xr.Dataset, schema: str) -> str:
    path = Path(folder) / f"{schema}-{run[0]}-{run[1]:g}-{run[2]}.nc"
    write_dataset(dataset, path, schema)
    return str(path)


def _weights(condition: str, strength: float, generator: np.random.Generator) -> np.ndarray:
    """(units, inputs) weights, smooth over the sheet."""
    plain = condition.endswith("_no_dropout")
    width = _WIDTH[strength] * (0.6 if plain else 1.0)
    kernel = [np.exp(-0.5 * ((np.arange(n)[:, None] - np.arange(n)) / max(width, 1e-3)) ** 2) for n in GRID]
    sheet = np.einsum("ra,cb,abi->rci", *kernel, generator.normal(size=(*GRID, INPUTS)))
    weight = sheet.reshape(-1, INPUTS)
    length = max(_LENGTH[strength], 0.55) if condition.endswith(("_cosine", "_norm_penalty")) else _LENGTH[strength]
    weight *= length * generator.uniform(0.9, 1.1, (len(weight), 1)) / np.linalg.norm(weight, axis=1, keepdims=True)
    if plain:
        border = np.ones(GRID, dtype=bool)
        border[1:-1, 1:-1] = False
        weight *= np.where(border.ravel() & (generator.random(len(weight)) < 0.5), 3.0, 0.3)[:, None]
    return weight


def _features(
    objective: str, strength: float, seed: int, per_class: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(images, inputs) inputs of the sheet: classes, animate or not, and images about them; (images,) labels."""
    label = np.arange(per_class * len(CLASSES)) % len(CLASSES)
    shared = _generator("classes")
    classes = shared.normal(size=(len(CLASSES), _LATENT)) / np.sqrt(_LATENT)
    animate = np.isin(CLASSES, ANIMATE)
    classes[:, 0] += np.where(animate, 0.5, -0.5)
    images = _generator("images").normal(size=(len(label), _LATENT)) / np.sqrt(_LATENT)
    moved, own = (generator.normal(size=(n, _LATENT)) / np.sqrt(_LATENT) for n in (len(CLASSES), len(label)))
    # Without labels, more of the topography goes at the classes' cost.
    spread = _SPREAD[objective] * (1 + (0.15 * STRENGTHS.index(strength) if objective == "simclr" else 0))
    latent = (classes + _DRIFT[strength] * moved)[label] + spread * (0.7 * images + 0.7 * own)
    basis = np.linalg.qr(generator.normal(size=(INPUTS, _LATENT)))[0]
    return 3 * latent @ basis.T, label


def _readout(embedding: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights and biases of the nearest class mean, as a linear readout."""
    means = np.array([embedding[label == one].mean(axis=0) for one in range(len(CLASSES))])
    scale = 4 / embedding.var(axis=0).sum()
    return scale * means, -0.5 * scale * (means**2).sum(axis=1)


def _history(condition: str, strength: float, seed: int, weight: np.ndarray) -> np.ndarray:
    """(epochs + 1, quantities): training stops four epochs after the best, which is not the same for all runs."""
    objective = condition.split("_")[0]
    best = 6 + seed % 4 + 2 * STRENGTHS.index(strength)
    epoch = np.arange(best + 5.0)
    falling = np.exp(-epoch / 4)
    of_rho = 1 + 0.1 * STRENGTHS.index(strength)
    sheet = weight.reshape(*GRID, -1)
    steps = [np.linalg.norm(np.diff(sheet, axis=axis), axis=-1).mean() for axis in (0, 1)]
    missing = np.full(len(epoch), np.nan)
    values = {
        "task_loss": of_rho * (0.5 + 2 * falling),
        "topographic_loss": np.mean(steps) * (1 + falling - falling[-1]),
        "strength": strength * (2 - falling),
        "task_gradient_norm": 0.5 + falling,
        "topographic_gradient_norm": 0.1 + 0 * epoch,
        "train_accuracy": 0.9 - 0.8 * falling if objective == "ce" else missing,
        "validation_task_loss": of_rho * (0.7 + 2 * falling + 0.01 * np.maximum(epoch - best, 0)),
        "validation_total_loss": of_rho * (0.8 + 2 * falling),
        "validation_accuracy": 0.85 - 0.75 * falling if objective == "ce" else missing,
        "norm": np.linalg.norm(weight, axis=1).mean() * (1 + 0.2 * (falling - falling[-1])),
        "epochs_since_best": np.maximum(epoch - best, 0),
    }
    history = np.stack([values[name] for name in QUANTITIES], axis=1)
    # Before training, only the weights and the answers of the untrained network are known.
    known = ("topographic_loss", "validation_task_loss", "validation_accuracy", "norm")
    history[0, [name not in known for name in QUANTITIES]] = np.nan
    return history


def _generator(*key: str | float) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def _single(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)
