"""Synthetic metric files that resemble what Keller & Welling 2021 (capsules) report, for figures and tables."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter, map_coordinates
from sklearn.datasets import load_digits

from toporep.models.grouper import window_offsets
from toporep.schemas import SCHEMAS, summarized

MNIST = (
    "tvae_1_2",
    "tvae_13_36",
    "tvae_1_4",
    "tvae_5_36",
    "tvae_0",
    "bubble_1_2",
    "bubble_1_4",
    "bubble_5_36",
    "bubble_5_36_k3",
    "vae",
)
NORMALIZED = ("tvae_5_36_projected", "vae_projected", "vae_reparameterized")
DSPRITES = (
    "tvae_1_2",
    "tvae_2_5",
    "tvae_1_3",
    "tvae_4_15",
    "tvae_1_6",
    "tvae_0",
    "bubble_1_2",
    "bubble_2_5",
    "bubble_1_3",
    "bubble_4_15",
    "bubble_1_6",
    "vae",
)
VARIANTS = ("published", "without_mu", "disjoint_windows", "disjoint_windows_without_mu")
ESTIMATORS = ("published", "corrected", "joint")
FACTORS = {
    "mnist": ("rotation", "scale", "color"),
    "dsprites": ("x", "y", "orientation", "scale"),
    "mnist_color_rotation": ("color_rotation",),
    "mnist_color_perspective": ("color_perspective",),
}
LINES = ("frames", "reconstruction", "traversal")
PREDICTIONS, PARTS = ("reconstruction", "rolled", "static"), ("seen", "held_out", "all")
FRAMES = {"mnist": 18, "dsprites": 15, "mnist_color_rotation": 18, "mnist_color_perspective": 18, "mnist_plain": 1}
# Exact mean of the equivariance error of random directions, for capsules of 18 and of 15 units.
RANDOM_DIRECTIONS = {18: 13270.70, 15: 6936.53}
SHARES = {
    "1_2": 1.0,
    "2_5": 0.8,
    "13_36": 13 / 18,
    "1_3": 2 / 3,
    "4_15": 8 / 15,
    "1_4": 0.5,
    "1_6": 1 / 3,
    "5_36": 5 / 18,
}
# Published (log p(x), E_eq) and measured E_eq of latents that know nothing (docs/deviations.md).
_MNIST_NUMBERS = {
    "tvae_1_2": (-188.5, 386.7, 491.9),
    "tvae_13_36": (-187.1, 990.6, 918.5),
    "tvae_1_4": (-186.9, 2045.7, 1339.5),
    "tvae_5_36": (-184.7, 3149.6, 2207.5),
    "tvae_0": (-217.3, 3047.8, 2383.9),
    "bubble_1_2": (-196.3, 2066.5, 427.3),
    "bubble_1_4": (-203.2, 1005.3, 805.1),
    "bubble_5_36": (-190.0, 2522.5, 1574.8),
    "bubble_5_36_k3": (-190.4, 3277.0, 2229.4),
    "vae": (-189.0, 13273.9, 13273.1),
    "tvae_5_36_projected": (-189.0, 3196.7, 2207.5),
    "vae_projected": (-209.1, 13262.0, 13273.1),
    "vae_reparameterized": (-192.5, 13273.2, 13273.1),
}
# Published correlations of x, y, orientation, scale; published E_eq and that of latents that know nothing.
_DSPRITES_NUMBERS = {
    "tvae_1_2": ((1.0, 1.0, 1.0, 1.0), 131, 217.6),
    "tvae_2_5": ((1.0, 1.0, 1.0, 1.0), 679, 673.2),
    "tvae_1_3": ((1.0, 1.0, 1.0, 1.0), 964, 930.6),
    "tvae_4_15": ((0.96, 0.97, 0.90, 0.97), 1298, 1222.6),
    "tvae_1_6": ((0.68, 0.69, 0.57, 0.42), 2313, 1891.3),
    "tvae_0": ((0.17, 0.17, 0.11, 0.52), 1075, 988.7),
    "bubble_1_2": ((0.17, 0.16, 0.12, 0.52), 3543, 221.6),
    "bubble_2_5": ((0.14, 0.14, 0.13, 0.53), 6922, 400.0),
    "bubble_1_3": ((0.13, 0.12, 0.10, 0.52), 2037, 500.0),
    "bubble_4_15": ((0.12, 0.12, 0.09, 0.49), 2420, 600.0),
    "bubble_1_6": ((0.07, 0.08, 0.05, 0.26), 1397, 788.7),
    "vae": ((0.24, 0.25, 0.09, 0.47), 6929, 6934.2),
}
_SPREAD = 0.01


def conditions_of(dataset: str) -> tuple[str, ...]:
    """The paper's conditions of a data set."""
    combined = ("tvae_13_36",)
    return {"mnist": MNIST, "dsprites": DSPRITES, "mnist_plain": ("torus",)}.get(dataset, combined)


def window_of(condition: str, dataset: str) -> int:
    """Frames that a neighborhood spans; 1 where there is no coherence."""
    return (
        round(
            SHARES.get(condition.partition("_")[2].removesuffix("_k3").removesuffix("_projected"), 0)
            * (FRAMES[dataset])
        )
        or 1
    )


def seen_frames(condition: str, dataset: str) -> np.ndarray:
    """(frame,): whether t of the first frame has seen each."""
    seen = np.zeros(FRAMES[dataset], dtype=bool)
    seen[[offset % FRAMES[dataset] for offset in window_offsets(window_of(condition, dataset))]] = True
    return seen


def attributes(dataset: str = "mnist", *, settings: dict | None = None, training: dict | None = None, **attrs: str):
    """Attributes of a metric file of reduced scale."""
    own = "dsprites" if dataset == "dsprites" else "mnist"
    titles = {"mnist": "handwritten digits (MNIST)", "dsprites": "sprites (dSprites)"}
    shared = {
        "epochs": 4,
        "batch_size": 8,
        "learning_rate": 0.0001,
        "sequences": {"mnist": "single", "mnist_plain": "plain"}.get(dataset, dataset.removeprefix("mnist_")),
        "frames": FRAMES[dataset],
        "capsules": FRAMES[dataset],
        "train_images": 9000,
        "n_stimuli": 1500,
        "seeds": [0, 1, 2],
    }
    return {
        "paper": "keller2021_capsules",
        "dataset": dataset,
        "source": own,
        "source_title": titles[own],
        "scale": "reduced",
        "settings": json.dumps(settings or {}),
        "training": json.dumps({**shared, **(training or {})}),
        **attrs,
    }


def stand_in(dataset: str) -> dict[str, str]:
    """Attributes of a demo whose images are not the paper's."""
    if dataset == "dsprites":
        return {"source": "sprites_small", "source_title": "rendered sprites", "scale": "demo"}
    return {"source": "digits_small", "source_title": "handwritten digits (scikit-learn)", "scale": "demo"}


# Metrics and summaries of numbers


def metric(
    analysis: str,
    dataset: str = "mnist",
    conditions: Sequence[str] | None = None,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    **attrs: str,
) -> xr.Dataset:
    """A dataset of schema `analysis`: one value a run, near what the paper reports of its condition."""
    conditions = conditions_of(dataset) if conditions is None else conditions
    runs = [(condition, seed) for condition in conditions for seed in seeds]
    schema = SCHEMAS[analysis]
    values, coords, further = _MAKERS[analysis](dataset, conditions)
    variables = {}
    for name, of_condition in values.items():
        rng = np.random.default_rng(zlib.crc32(f"{analysis} {name}".encode()))
        base = np.stack([np.asarray(of_condition[condition], dtype=float) for condition, _ in runs])
        variables[name] = (schema.variables[name][0], base + _SPREAD * np.abs(base) * rng.normal(size=base.shape))
    return xr.Dataset(
        variables, coords={**_run_coords(runs), **coords}, attrs={**attributes(dataset), **further, **attrs}
    )


def summary(
    analysis: str,
    dataset: str = "mnist",
    conditions: Sequence[str] | None = None,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    **attrs: str,
) -> xr.Dataset:
    """The dataset of schema `<analysis>_summary` of `metric`: mean, SEM (ddof 1) and n over seeds."""
    runs = metric(analysis, dataset, conditions, seeds=seeds, **attrs)
    return summarize(runs, analysis)


def summarize(runs: xr.Dataset, analysis: str) -> xr.Dataset:
    """Mean, SEM and n over the seeds of each condition, by hand."""
    schema = SCHEMAS[analysis]
    names = list(dict.fromkeys(runs["condition"].values.tolist()))
    variables: dict[str, tuple] = {}
    for name in summarized(schema):
        dims = ("point", *schema.variables[name][0][1:])
        mean, sem, n = [], [], []
        for condition in names:
            values = runs[name].values[runs["condition"].values == condition]
            defined = ~np.isnan(values)
            count = defined.sum(0)
            total = np.where(defined, values, 0).sum(0)
            middle = np.where(count > 0, total / np.maximum(count, 1), np.nan)
            squares = np.where(defined, (values - middle) ** 2, 0).sum(0)
            spread = np.sqrt(squares / np.maximum(count - 1, 1) / np.maximum(count, 1))
            mean.append(middle)
            sem.append(np.where(count > 1, spread, np.nan))
            n.append(count)
        variables[f"{name}_mean"], variables[f"{name}_sem"] = (dims, np.stack(mean)), (dims, np.stack(sem))
        if name in schema.may_be_nan:
            variables[f"{name}_n"] = (dims, np.stack(n).astype(np.int64))
    coords = {key: value for key, value in runs.coords.items() if "run" not in value.dims}
    counts = [int((runs["condition"].values == condition).sum()) for condition in names]
    points = {
        "condition": ("point", np.array(names, dtype=object)),
        "strength": ("point", np.zeros(len(names))),
        "n": ("point", np.array(counts, dtype=np.int64)),
    }
    return xr.Dataset(variables, coords={**points, **coords}, attrs=runs.attrs)


def _run_coords(runs):
    condition, seed = zip(*runs, strict=True) if runs else ((), ())
    return {
        "condition": ("run", np.array(condition, dtype=object)),
        "strength": ("run", np.zeros(len(runs))),
        "seed": ("run", np.array(seed, dtype=np.int64)),
    }


def _equivariance(dataset, conditions):
    numbers = _MNIST_NUMBERS if dataset == "mnist" else _DSPRITES_NUMBERS
    random = RANDOM_DIRECTIONS[FRAMES[dataset]]
    trained, null = {}, {}
    for condition in conditions:
        *_, of_trained, of_null = numbers[condition]
        # Without mu nothing but learning brings the error below that of random directions.
        trained[condition] = [of_trained, 0.96 * random, 1.2 * of_trained, 0.98 * random]
        null[condition] = [of_null, random, 1.2 * of_null, random]
        if condition.startswith("vae"):
            trained[condition], null[condition] = [of_trained] * 4, [of_null] * 4
    running = {name: np.nan if dataset == "mnist" else 1.05 * trained[name][0] for name in conditions}
    values = {
        "error": trained,
        "untrained": {name: np.multiply(null[name], 1.01) for name in conditions},
        "null": null,
        "null_uncertainty": {name: np.multiply(null[name], 0.003) for name in conditions},
        "running": running,
    }
    coords = {"variant": ("variant", np.array(VARIANTS, dtype=object))}
    return values, coords, {"random_directions": random}


def _capsule_correlation(dataset, conditions):
    factors = FACTORS[dataset]
    chance = np.array([0.15, 0.15, 0.15, 0.5])[: len(factors)] if dataset == "dsprites" else np.full(len(factors), 0.15)
    found, moved, null = {}, {}, {}
    for condition in conditions:
        numbers = _DSPRITES_NUMBERS.get(condition, ((0.9,) * len(factors), 0, 0))[0]
        published = np.array(numbers, dtype=float)[: len(factors)]
        found[condition] = np.stack([published, 0.7 * published + 0.1, 0.5 * published + 0.1, 0.3 * published + 0.1])
        known = published > 0.5
        null[condition] = np.stack([np.where(known, published, chance), *[chance] * 3])
        if condition.startswith("vae"):
            found[condition], null[condition] = np.stack([published] * 4), np.stack([chance] * 4)
        moved[condition] = found[condition] - 0.1
    values = {
        "correlation": found,
        "average": {name: value.mean(1) for name, value in found.items()},
        "moved": moved,
        "moved_average": {name: value.mean(1) for name, value in moved.items()},
        "untrained_moved_average": {name: 0 * value.mean(1) for name, value in moved.items()},
        "null_moved_average": {name: 0 * value.mean(1) for name, value in moved.items()},
        "untrained": {name: value - 0.01 for name, value in null.items()},
        "untrained_average": {name: (value - 0.01).mean(1) for name, value in null.items()},
        "null": null,
        "null_average": {name: value.mean(1) for name, value in null.items()},
        "running": {name: value[0] - 0.02 for name, value in found.items()},
    }
    coords = {
        "variant": ("variant", np.array(VARIANTS, dtype=object)),
        "factor": ("factor", np.array(factors, dtype=object)),
    }
    return values, coords, {}


def _log_likelihood(dataset, conditions):
    published = {
        name: _MNIST_NUMBERS[name][0] if dataset == "mnist" else -60.0 - 5 * (1 - SHARES.get(name.partition("_")[2], 0))
        for name in conditions
    }
    values = {
        "log_likelihood": {name: [value, value - np.log(10), value - 4.0] for name, value in published.items()},
        "untrained": {name: [-1640.0, -1642.3, -1643.0] for name in conditions},
        "reconstruction": {name: value + 25 for name, value in published.items()},
        "kl_z": {name: 20.0 for name in conditions},
        "kl_u": {name: np.nan if name.startswith("vae") else 6.0 for name in conditions},
        "entropy_floor": {name: 127.5 if dataset == "mnist" else 0.0 for name in conditions},
        "constant_pixel": {name: 416.6 if dataset == "mnist" else 600.0 for name in conditions},
    }
    further = {"likelihood_samples": 10, "pixels": 784 if dataset.startswith("mnist") else 4096}
    return values, {"estimator": ("estimator", np.array(ESTIMATORS, dtype=object))}, further


def _held_out_frames(dataset, conditions):
    values: dict[str, dict] = {"nll": {}, "squared_error": {}}
    for condition in conditions:
        share = seen_frames(condition, dataset).mean()
        learned = condition.startswith("tvae") and share > 0.1
        table = np.array([[150.0, 151.0], [165.0, 165.0 + 300 * (1 - share)], [330.0, 420.0]])
        if not learned:
            table[1] = [150.0 if share < 0.1 else 340.0, 470.0]
        if share < 0.1:
            table[2, 0] = 150.0
        if share == 1:
            table[:, 1] = np.nan
        everything = np.where(np.isnan(table[:, 1]), table[:, 0], table[:, 0] * share + table[:, 1] * (1 - share))
        nll = np.concatenate([table, everything[:, None]], axis=1)
        values["nll"][condition], values["squared_error"][condition] = nll, (nll - 127.5) / 2
    coords = {
        "prediction": ("prediction", np.array(PREDICTIONS, dtype=object)),
        "part": ("part", np.array(PARTS, dtype=object)),
    }
    return values, coords, {}


_MAKERS = {
    "equivariance": _equivariance,
    "capsule_correlation": _capsule_correlation,
    "log_likelihood": _log_likelihood,
    "held_out_frames": _held_out_frames,
}


# Images


def traversals(
    dataset: str = "mnist",
    conditions: Sequence[str] | None = None,
    *,
    size: int = 28,
    examples: int = 12,
    seeds: Sequence[int] = (0,),
    **attrs: str,
) -> xr.Dataset:
    """A dataset of schema `traversals`: rolled topographic VAEs follow the frames, the others do not."""
    conditions = conditions_of(dataset) if conditions is None else conditions
    runs = [(condition, seed) for condition in conditions for seed in seeds]
    sequences, factors, starts, labels = example_sequences(dataset, size=size, examples=examples)
    shape = (-1, examples, len(LINES), *sequences.shape[1:])
    image = np.array([_decoded(sequences, condition, dataset, seed) for condition, seed in runs]).reshape(shape)
    seen = np.array([seen_frames(name, dataset) for name, _ in runs], bool).reshape(-1, FRAMES[dataset])
    error = _squared_error(image)
    values = {
        "image": np.rint(255 * image).astype(np.uint8),
        "seen": seen.astype(np.int64),
        "squared_error": error,
        "part_error": _over_parts(error, seen[:, None, None]),
    }
    return xr.Dataset(
        {name: (SCHEMAS["traversals"].variables[name][0], value) for name, value in values.items()},
        coords={
            **_run_coords(runs),
            "line": ("line", np.array(LINES, dtype=object)),
            "prediction": ("prediction", np.array(PREDICTIONS, dtype=object)),
            "part": ("part", np.array(PARTS, dtype=object)),
            "factor": ("example", np.array(factors, dtype=object)),
            "start": ("example", np.array(starts, dtype=np.int64)),
            "label": ("example", np.array(labels, dtype=np.int64)),
        },
        attrs={**attributes(dataset), **attrs},
    )


def traversals_summary(dataset: str = "mnist", conditions: Sequence[str] | None = None, **options) -> xr.Dataset:
    """The dataset of schema `traversals_summary` of the same."""
    runs = traversals(dataset, conditions, **options)
    error = runs["squared_error"].values.mean(1)
    names = list(dict.fromkeys(runs["condition"].values.tolist()))
    mean = np.stack([error[runs["condition"].values == name].mean(0) for name in names])
    return xr.Dataset(
        {"squared_error_mean": (("point", "prediction", "frame"), mean)},
        coords={
            "condition": ("point", np.array(names, dtype=object)),
            "strength": ("point", np.zeros(len(names))),
            "n": ("point", np.array([(runs["condition"].values == name).sum() for name in names], dtype=np.int64)),
            "prediction": runs["prediction"],
        },
        attrs=runs.attrs,
    )


def _squared_error(image: np.ndarray) -> np.ndarray:
    """(run, example, prediction, frame) of probabilities, which files of images round: the two differ a little."""
    frames, own, rolled = image[:, :, 0], image[:, :, 1], image[:, :, 2]
    return np.stack([((made - frames) ** 2).sum((-3, -2, -1)) for made in (own, rolled, rolled[:, :, :1])], axis=2)


def _over_parts(error: np.ndarray, seen: np.ndarray) -> np.ndarray:
    kept = [np.broadcast_to(part, error.shape) for part in (seen, ~seen, np.ones_like(seen))]
    return np.stack([np.ma.masked_array(error, ~part).mean(axis=-1).filled(np.nan) for part in kept], axis=-1)


def torus_images(*, size: int = 28, side: int = 18, seeds: Sequence[int] = (0,), **attrs: str) -> xr.Dataset:
    """A dataset of schema `torus_images`: the class is the same in patches of the torus."""
    rows, cols = np.indices((side, side)).reshape(2, -1)
    label = (rows // 5 * 3 + cols // 6) % 10
    image = np.stack([_digit(int(digit), size, angle=3 * int(col)) for digit, col in zip(label, cols, strict=True)])
    n = len(seeds)
    return xr.Dataset(
        {
            "image": (
                ("run", "unit", "image_row", "image_col", "channel"),
                np.repeat(np.rint(255 * image).astype(np.uint8)[None, ..., None], n, axis=0),
            ),
            "label": (("run", "unit"), np.repeat(label[None], n, axis=0)),
            "agreement": ("run", np.full(n, 0.78)),
            "agreement_untrained": ("run", np.full(n, 0.31)),
            "agreement_chance": ("run", np.full(n, 0.12)),
        },
        coords={**_run_coords([("torus", seed) for seed in seeds]), "row": ("unit", rows), "col": ("unit", cols)},
        attrs={**attributes("mnist_plain"), **attrs},
    )


def torus_images_summary(**options) -> xr.Dataset:
    """The dataset of schema `torus_images_summary` of the same."""
    return summarize_torus(torus_images(**options))


def summarize_torus(runs: xr.Dataset) -> xr.Dataset:
    names = ("agreement", "agreement_untrained", "agreement_chance")
    means = {f"{name}_mean": ("point", [float(runs[name].mean())]) for name in names}
    sems = {f"{name}_sem": ("point", [np.nan]) for name in names}
    coords = {
        "condition": ("point", np.array(["torus"], dtype=object)),
        "strength": ("point", [0.0]),
        "n": ("point", np.array([runs.sizes["run"]], dtype=np.int64)),
    }
    return xr.Dataset({**means, **sems}, coords=coords, attrs=runs.attrs)


def example_sequences(dataset: str, *, size: int, examples: int):
    """(example, frame, row, col, channel) in 0 … 1, with the factor, start and label of each example."""
    factors, frames = FACTORS[dataset], FRAMES[dataset]
    chosen = [factors[i * len(factors) // examples] for i in range(examples)]
    starts = [(5 * i) % frames for i in range(examples)]
    labels = [(i % 3) if dataset == "dsprites" else (3 * i) % 10 for i in range(examples)]
    make = _sprites if dataset == "dsprites" else _colored_digits
    found = [make(*one, size=size, frames=frames) for one in zip(chosen, starts, labels, strict=True)]
    return np.stack(found), chosen, starts, labels


def _decoded(sequences: np.ndarray, condition: str, dataset: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed + zlib.crc32(condition.encode()))
    width = sequences.shape[2] / 40
    blurred = gaussian_filter(sequences, (0, 0, width, width, 0))
    if condition.startswith("tvae") and condition != "tvae_0":
        seen = seen_frames(condition, dataset)[None, :, None, None, None]
        noise = rng.uniform(size=sequences.shape) * (1 - seen_frames(condition, dataset).mean())
        rolled = np.where(seen, blurred, np.clip(0.8 * blurred + 0.3 * noise, 0, 1))
    else:
        step = np.arange(sequences.shape[1])[:, None, None, None] / sequences.shape[1]
        rolled = (1 - step) * blurred[:, :1] + step * blurred.mean((0, 1))
    return np.stack([sequences, np.clip(blurred, 0, 1), np.clip(rolled, 0, 1)], axis=1)


def _colored_digits(factor: str, start: int, label: int, *, size: int, frames: int) -> np.ndarray:
    step = (start + np.arange(frames)) % frames
    fixed = np.full(frames, float(start))
    angle = 20 * (step if "rotation" in factor or "perspective" in factor else fixed)
    scale = np.linspace(0.6, 1.26, frames)[step] if factor == "scale" else np.full(frames, 1.0)
    hue = (step if "color" in factor else fixed) / frames
    grey = np.stack([_digit(label, size, angle=a, scale=s) for a, s in zip(angle, scale, strict=True)])
    distance = np.abs((hue[:, None] - np.array([0, 1 / 3, 2 / 3]) + 0.5) % 1 - 0.5)
    return grey[..., None] * np.clip(2 - 6 * distance, 0, 1)[:, None, None, :]


def _digit(label: int, size: int, *, angle: float = 0.0, scale: float = 1.0) -> np.ndarray:
    image = first_digits()[label]
    y, x = (np.indices((size, size)) - (size - 1) / 2) / (size / 10) / scale
    turn = np.deg2rad(angle)
    source = [np.cos(turn) * y + np.sin(turn) * x + 3.5, -np.sin(turn) * y + np.cos(turn) * x + 3.5]
    return np.clip(map_coordinates(image, source, order=1), 0, 1)


_DIGITS: dict[int, np.ndarray] = {}


def first_digits() -> dict[int, np.ndarray]:
    """Class → its first image of scikit-learn's digits, in 0 … 1."""
    if not _DIGITS:
        data = load_digits()
        _DIGITS.update({label: data.images[np.flatnonzero(data.target == label)[0]] / 16 for label in range(10)})
    return _DIGITS


def _sprites(factor: str, start: int, label: int, *, size: int, frames: int) -> np.ndarray:
    step = (start + np.arange(frames)) % frames
    spread = 0.25 + 0.5 * step / (frames - 1)
    x = spread if factor == "x" else np.full(frames, 0.5)
    y = spread if factor == "y" else np.full(frames, 0.45)
    turn = 2 * np.pi * (step if factor == "orientation" else start) / frames * np.ones(frames)
    scale = 0.5 + 0.1 * (step % 5) if factor == "scale" else np.full(frames, 0.8)
    rows, cols = (np.indices((size, size)) + 0.5) / size
    down, right = rows - y[:, None, None], cols - x[:, None, None]
    turn, scale = turn[:, None, None], 0.2 * scale[:, None, None]
    along, across = np.cos(turn) * right + np.sin(turn) * down, -np.sin(turn) * right + np.cos(turn) * down
    shapes = (
        np.maximum(np.abs(along), np.abs(across)) < 0.7 * scale,
        (along / 1.0) ** 2 + (across / 0.5) ** 2 < scale**2,
        (np.abs(across) < 0.8 * (scale - along) / 2) & (along > -scale),
    )
    return shapes[label].astype(float)[..., None]
