"""Synthetic summaries of curves over distance, bits and accuracies, near what Keller, Gao & Welling 2021 describe."""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from category_metrics import CONDITIONS, SEEDS, attributes, on_torus
from scipy.ndimage import gaussian_filter

from toporep.analyses import distance_correlation
from toporep.analyses.dumps import summarize_runs
from toporep.metrics.selectivity_maps import BOUNDARIES
from toporep.schemas import SCHEMAS

SETS = ("objects", "faces")
ESTIMATORS = ("published", "corrected")
PARTS = ("all", "without_faces", "faces")
# Half-width of what varies together, as a share of the sheet.
_WIDTHS = {
    "tvae": 0.08,
    "tvae_smallest_window": 0.03,
    "tvae_smaller_window": 0.05,
    "tvae_larger_window": 0.12,
    "tvae_untrained": 0.02,
    "tdann": 0.04,
}
_FLOOR = 1.3257480647
# Bits a feature of objects and faces; share of images whose class is named first.
BITS = {"vae": (1.69, 1.64), "tvae": (1.74, 1.70), "tvae_untrained": (2.31, 2.28)}
ACCURACIES = {"tdann": (0.41, 0.409, 0.97), "tdann_nonspatial": (0.45, 0.449, 0.98)}


def curves(grid: int = 24, conditions: Sequence[str] = CONDITIONS, *, images: int = 40, **attrs: object) -> xr.Dataset:
    """A dataset of schema `distance_correlation`, of random activations that are smooth where the network's are."""
    runs = [(condition, seed) for condition in conditions for seed in SEEDS.get(condition, (0,))]
    values: dict[str, list] = {name: [] for name in SCHEMAS["distance_correlation"].variables}
    distance = np.empty((2, 0))
    for condition, seed in runs:
        found, distance = _curve(condition, seed, grid, images)
        for name, value in {**found, "torus": float(on_torus(condition))}.items():
            values[name].append(value)
    coords = {
        "variant": ("variant", _text(distance_correlation.VARIANTS)),
        "boundary": ("boundary", _text(BOUNDARIES)),
        "distance": (("boundary", "bin"), distance),
    }
    settings = {"images": images, "spacing": None, "bins": "unit"}
    further = attributes(grid, settings=settings, sets=SETS, spacing=10 / grid, images=images)
    return _dataset("distance_correlation", runs, values, coords, {**further, **attrs})


def bits(grid: int = 24, conditions: Sequence[str] = tuple(BITS), **attrs: object) -> xr.Dataset:
    """A dataset of schema `bits_per_dimension`."""
    runs = [(condition, seed) for condition in conditions for seed in SEEDS.get(condition, (0,))]
    values: dict[str, list] = {name: [] for name in SCHEMAS["bits_per_dimension"].variables}
    features = 9216 if grid == 64 else 576
    for condition, seed in runs:
        total = np.array(BITS[condition]) + 0.01 * seed
        kl_u = 0.0 if condition == "vae" else 0.05
        for name, value in {
            "bits": total,
            "reconstruction": total - 0.2 - kl_u,
            "kl_z": [0.2, 0.2],
            "kl_u": [kl_u, kl_u],
            "per_latent": total * features / grid**2,
            "published_average": total.sum(),
            "floor": _FLOOR,
            "constant": [2.05, 2.11],
            "log_likelihood": np.stack([total - 0.03, total - 0.02], axis=1),
        }.items():
            values[name].append(value)
    coords = {"set": ("set", _text(SETS)), "estimator": ("estimator", _text(ESTIMATORS))}
    further = attributes(grid, sets=SETS, dimensions=features, latents=grid**2)
    return _dataset("bits_per_dimension", runs, values, coords, {**further, **attrs})


def accuracies(grid: int = 24, conditions: Sequence[str] = tuple(ACCURACIES), **attrs: object) -> xr.Dataset:
    """A dataset of schema `classification`."""
    runs = [(condition, seed) for condition in conditions for seed in (0, 1, 2)]
    chance = (1 / 1001, 1 / 1000, 1 / 1001) if grid == 64 else (0.233, 0.269, 1 / 9)
    values = {
        "accuracy": [np.array(ACCURACIES[name]) + 0.01 * (seed - 1) for name, seed in runs],
        "chance": [chance for _ in runs],
    }
    shown = dict(zip(PARTS, (50050, 50000, 50) if grid == 64 else (450, 390, 60), strict=True))
    further = attributes(grid, sets=("validation",), classes=1001 if grid == 64 else 9, images=json.dumps(shown))
    return _dataset("classification", runs, values, {"part": ("part", _text(PARTS))}, {**further, **attrs})


def summary_of(metric: xr.Dataset, name: str) -> xr.Dataset:
    """Means over seeds, by the pipeline's own code."""
    return summarize_runs(metric, name)


@functools.cache
def _curve(condition: str, seed: int, grid: int, images: int) -> tuple[dict, np.ndarray]:
    generator = np.random.default_rng(zlib.crc32(f"{condition} {seed}".encode()))
    wrap = "wrap" if on_torus(condition) else "reflect"
    noise = generator.standard_normal((2 * images, grid, grid))
    difference = generator.standard_normal((grid, grid))
    width = _WIDTHS.get(condition, 0) * grid
    if width:
        noise = gaussian_filter(noise, (0, width, width), mode=wrap)
        difference = gaussian_filter(difference, width, mode=wrap)
    category = np.repeat([0, 1], images)
    activations = noise / noise.std() + 0.8 * category[:, None, None] * difference / difference.std()
    activations += 0.5 * generator.standard_normal(activations.shape)
    flat = activations.reshape(2 * images, -1)
    return distance_correlation._of_run(flat, category, (grid, grid), 10 / grid, "unit")


def _text(names: Sequence[str]) -> np.ndarray:
    return np.array(names, dtype=object)


def _dataset(schema: str, runs, values: Mapping, coords: Mapping, attrs: Mapping) -> xr.Dataset:
    variables = SCHEMAS[schema].variables
    run_coords = {
        "condition": ("run", _text([condition for condition, _ in runs])),
        "strength": ("run", np.zeros(len(runs))),
        "seed": ("run", np.array([seed for _, seed in runs], dtype=np.int64)),
    }
    arrays = {name: (variables[name][0], np.array(of, dtype=variables[name][1])) for name, of in values.items()}
    return xr.Dataset(arrays, coords={**run_coords, **coords}, attrs=dict(attrs))
