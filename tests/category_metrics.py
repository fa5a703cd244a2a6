"""Synthetic metric files that resemble what Keller, Gao & Welling 2021 (category) show, for figures and tables."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter

from toporep.metrics.selectivity import joint_map
from toporep.metrics.selectivity_maps import map_smoothness, selective_patches
from toporep.schemas import SCHEMAS
from toporep.stimuli.categories import render_category

CONDITIONS = (
    *("tvae", "tvae_smallest_window", "tvae_smaller_window", "tvae_larger_window", "tvae_untrained"),
    *("vae", "tdann", "tdann_nonspatial", "fc6"),
)
SHOWN = ("tvae", "tvae_untrained", "tdann")
# Of single images and of faces against objects: other figures have other networks.
SHOWN_SINGLE = {"single_images": ("tvae", "tvae_untrained"), "single_images_vae": ("tvae", "vae")}
SHOWN_FACES = {
    "selectivity_faces": ("tvae", "tvae_untrained", "tdann", "fc6"),
    "selectivity_faces_windows": CONDITIONS[:5],
    "selectivity_faces_vae": ("tvae", "tvae_untrained", "vae"),
}
SEEDS = {"tvae": (0, 1, 2, 3), "tvae_untrained": (0, 1, 2, 3)}
QUANTITIES = ("activation", "mean_activation", "numerator", "inverse_root", "rectified", "fc7")
BOUNDARIES = ("torus", "open")
CLASSES = ("objects", "faces", "bodies", "places")
SINGLE_SETS = ("animate", "inanimate", "faces", "places", "hands", "small", "big")
PAIRS = ("faces, animate", "bodies, animate", "faces, bodies", "places, big", "faces, small", "faces, places")
CONTRASTS = {
    "selectivity_faces": ("faces", "objects"),
    "selectivity_faces_windows": ("faces", "objects"),
    "selectivity_faces_vae": ("faces", "objects"),
    "selectivity_animacy": ("animate", "inanimate"),
    "selectivity_size": ("small", "big"),
    "selectivity_utkface": ("utkface", "objects"),
    "selectivity_celeba": ("celeba", "objects"),
    "selectivity_lfw": ("lfw", "objects"),
}
# Windows and images of the paper, and of the demo.
WINDOWS = {
    64: {"tvae": 25, "tvae_smallest_window": 5, "tvae_smaller_window": 15, "tvae_larger_window": 35},
    24: {"tvae": 9, "tvae_smallest_window": 3, "tvae_smaller_window": 5, "tvae_larger_window": 13},
}
THRESHOLD = 0.85
# Half-width of what varies together, as a share of the sheet; largest d. 0: units are independent.
_FIELDS = {
    "tvae": (0.09, 1.5),
    "tvae_smallest_window": (0.03, 1.2),
    "tvae_smaller_window": (0.06, 1.4),
    "tvae_larger_window": (0.12, 1.4),
    "tvae_untrained": (0.03, 0.2),
    "vae": (0, 0.9),
    "tdann": (0.04, 1.1),
    "tdann_nonspatial": (0, 1.0),
    "fc6": (0, 1.0),
}
_IMAGES = {"faces": 25000, "objects": 25000, "celeba": 24684, "utkface": 10137, "lfw": 13233, "places": 36500}
_STIMULI = {
    **{"animate": "animate", "inanimate": "inanimate", "faces": "face", "places": "scene"},
    **{"hands": "hand", "small": "small", "big": "big"},
}


def attributes(grid: int = 64, *, settings: Mapping | None = None, sets: Sequence[str] = (), **attrs: str) -> dict:
    """Attributes of a metric file; a sheet of 64 x 64 is the paper's, a smaller one the demo's."""
    small = grid < 64
    windows = WINDOWS[24 if small else 64]
    conditions = {
        name: {
            "model": "tvae" if on_torus(name) else name.partition("_")[0],
            "window": windows.get("tvae" if name == "tvae_untrained" else name),
            "boundary": "torus" if on_torus(name) else "open",
        }
        for name in CONDITIONS
    }
    training = {
        "batch_size": 128,
        "n_stimuli": 400 if small else 50000,
        "seeds": {name: list(SEEDS.get(name, (0,))) for name in CONDITIONS},
        "conditions": conditions,
        "grid": [grid, grid],
        "network": "gabor" if small else "alexnet",
        "images": {name: 200 if small else _IMAGES.get(name, 240) for name in sets},
        "titles": {name: f"rendered {name}" if small else name for name in sets},
    }
    return {
        "paper": "keller2021_category",
        "dataset": "imagenet_faces",
        "source": "rendered_training" if small else "imagenet_lfw",
        "source_title": "rendered categories" if small else "ImageNet and Labeled Faces in the Wild",
        "scale": "demo" if small else "paper",
        "settings": json.dumps(settings or {}),
        "training": json.dumps(training),
        **attrs,
    }


def field(name: str, grid: int, *, width: float, wrap: bool = True) -> np.ndarray:
    """(units,) a random map with mean 0 and variance 1 whose values vary together over `width` of the sheet."""
    values = np.random.default_rng(zlib.crc32(name.encode())).normal(size=(grid, grid))
    if width:
        values = gaussian_filter(values, width * grid, mode="wrap" if wrap else "reflect")
    return ((values - values.mean()) / values.std()).ravel()


def map_of(condition: str, name: str, seed: int, grid: int) -> np.ndarray:
    """(units,) synthetic d of a contrast; what faces and animate things excite is alike."""
    width, largest = _FIELDS[condition]
    wrap = on_torus(condition)
    alike = {"animate": "faces", "utkface": "faces", "celeba": "faces", "lfw": "faces", "big": "places"}.get(name)
    values = field(f"{condition} {name} {seed}", grid, width=width, wrap=wrap)
    if alike:
        share = 0.4 if name in ("animate", "big") else 0.1
        values = share * values + (1 - share) * field(f"{condition} {alike} {seed}", grid, width=width, wrap=wrap)
    noise = field(f"noise {condition} {name} {seed}", grid, width=0)
    return values * largest / np.abs(values).max() + 0.03 * noise


def schema_of(analysis: str) -> str:
    """Schema of the metric file of one of the paper's analyses."""
    return "selectivity" if analysis in CONTRASTS else "single_images" if analysis in SHOWN_SINGLE else analysis


def on_torus(condition: str) -> bool:
    """Whether a condition's sheet is a torus."""
    return condition.startswith("tvae") or condition == "vae"


def selectivity(
    analysis: str = "selectivity_faces", grid: int = 24, conditions: Sequence[str] | None = None, **attrs: str
) -> xr.Dataset:
    """A dataset of schema `selectivity`: smooth maps of trained networks, weak ones of untrained ones."""
    target, control = CONTRASTS[analysis]
    runs = _runs(SHOWN_FACES.get(analysis, SHOWN) if conditions is None else conditions)
    values: dict[str, list] = {name: [] for name in SCHEMAS["selectivity"].variables}
    for condition, seed in runs:
        for name, value in _selectivity_of(condition, seed, target, grid).items():
            values[name].append(value)
    coords = {"quantity": ("quantity", _text(QUANTITIES)), "boundary": ("boundary", _text(BOUNDARIES))}
    settings = {"threshold": THRESHOLD, "shuffles": 200, "splits": 100, "target": [target], "control": [control]}
    further = attributes(grid, settings=settings, sets=(target, control), target=target, control=control)
    return _dataset("selectivity", runs, values, {**_sheet(grid), **coords}, {**further, **attrs})


def class_selectivity(grid: int = 24, conditions: Sequence[str] | None = None, **attrs: str) -> xr.Dataset:
    """A dataset of schema `class_selectivity`."""
    runs = _runs(SHOWN if conditions is None else conditions)
    values: dict[str, list] = {name: [] for name in SCHEMAS["class_selectivity"].variables}
    for condition, seed in runs:
        for name, value in _classes_of(condition, seed, grid).items():
            values[name].append(value)
    coords = {"class": ("class", _text(CLASSES)), "complement": ("complement", _text(("images", "classes")))}
    sets = ("objects", "faces", "headless", "hands", "places")
    classes = {"objects": ["objects"], "faces": ["faces"], "bodies": ["headless", "hands"], "places": ["places"]}
    further = attributes(grid, settings={"threshold": THRESHOLD, "shuffles": 200, "classes": classes}, sets=sets)
    return _dataset("class_selectivity", runs, values, {**_sheet(grid), **coords}, {**further, **attrs})


def single_images(
    analysis: str = "single_images",
    grid: int = 24,
    conditions: Sequence[str] | None = None,
    *,
    examples: int = 2,
    **attrs: str,
) -> xr.Dataset:
    """A dataset of schema `single_images`, with rendered images."""
    runs = _runs(SHOWN_SINGLE[analysis] if conditions is None else conditions)
    activation = np.array([[_activations(*run, name, examples, grid) for name in SINGLE_SETS] for run in runs])
    activation = activation.reshape(len(runs), len(SINGLE_SETS), examples, grid * grid)
    row, col = np.divmod(activation.argmax(-1), grid)
    middle = np.median(activation, axis=-1, keepdims=True)
    away = np.abs(activation - middle)
    values = {
        "activation": activation,
        "strongest_row": row,
        "strongest_col": col,
        "smoothness": map_smoothness(activation, (grid, grid)) if len(runs) else activation[..., 0],
        "active_share": (2 * away >= away.max(-1, keepdims=True)).mean(-1),
        "between_sets": np.full(activation.shape[:3], 0.21),
        "thumbnail": np.stack([_images(name, examples) for name in SINGLE_SETS]),
    }
    further = attributes(grid, sets=SINGLE_SETS)
    coords = {**_sheet(grid), "set": ("set", _text(SINGLE_SETS))}
    return _dataset("single_images", runs, values, coords, {**further, **attrs})


def hierarchy(grid: int = 24, conditions: Sequence[str] | None = None, **attrs: str) -> xr.Dataset:
    """A dataset of schema `hierarchy`: faces go with animate things, places with big ones."""
    runs = _runs(SHOWN if conditions is None else conditions)
    middle = np.array([0.8, 0.6, 0.5, 0.7, 0.1, -0.5])
    values: dict[str, list] = {name: [] for name in SCHEMAS["hierarchy"].variables}
    for condition, seed in runs:
        spread = np.random.default_rng(zlib.crc32(f"{condition} {seed}".encode())).normal(0, 0.05, len(PAIRS))
        found = (0.1 if condition == "tvae_untrained" else 1.0) * middle + spread
        for name, value in {
            "correlation": found,
            "correlation_p": np.where(np.abs(found) > 0.3, 0.01, 0.5),
            "overlap": np.clip(found, 0, 1),
            "overlap_chance": np.full(len(PAIRS), 0.05),
            "overlap_p": np.where(found > 0.3, 0.02, 0.6),
            "distance": np.full(len(PAIRS), 1.0),
            "distance_chance": np.full(len(PAIRS), 4.0),
        }.items():
            values[name].append(value)
    sets = ("objects", "faces", "headless", "hands", "places", "animate", "inanimate", "small", "big")
    further = attributes(grid, settings={"share": 0.05, "shuffles": 1000}, sets=sets)
    return _dataset("hierarchy", runs, values, {"pair": ("pair", _text(PAIRS))}, {**further, **attrs})


def distance_correlation(grid: int = 24, conditions: Sequence[str] | None = None, **attrs: str) -> xr.Dataset:
    """A dataset of schema `distance_correlation`: bins one unit wide, curves that fall over the window."""
    runs = _runs(CONDITIONS if conditions is None else conditions)
    longest = {"torus": grid // 2 * 2**0.5, "open": (grid - 1) * 2**0.5}
    bins = int(round(longest["open"]))
    units = np.arange(1, bins + 1, dtype=float)
    there = np.stack([units <= round(longest[name]) for name in BOUNDARIES])
    distance = np.where(there, units * 10 / grid, np.nan)
    values: dict[str, list] = {name: [] for name in SCHEMAS["distance_correlation"].variables}
    for condition, _ in runs:
        width, largest = _FIELDS[condition]
        curve = largest / 2 * np.exp(-units / max(2 * width * grid, 1e-9)) - (0.05 if width else 0)
        curve = np.where(there, curve, np.nan)
        variants = np.stack([curve, 0.6 * curve])
        for name, value in {
            "correlation": variants,
            "sd": np.where(np.isnan(variants), np.nan, 0.2),
            "pairs": np.where(there, 1000.0, 0.0),
            "nearest": variants[..., 0],
            "falling_bins": np.full((2, 2), 5.0),
            "from_inverse_distance": np.full((2, 2), 0.3),
            "torus": float(on_torus(condition)),
        }.items():
            values[name].append(value)
    coords = {
        "variant": ("variant", _text(("all", "within"))),
        "boundary": ("boundary", _text(BOUNDARIES)),
        "distance": (("boundary", "bin"), distance),
    }
    settings = {"images": 1000, "spacing": 10 / grid, "bins": "unit"}
    further = attributes(grid, settings=settings, sets=("objects", "faces"), spacing=str(10 / grid))
    return _dataset("distance_correlation", runs, values, coords, {**further, **attrs})


def _selectivity_of(condition: str, seed: int, target: str, grid: int) -> dict[str, object]:
    d = map_of(condition, target, seed, grid)
    maps = np.full((len(QUANTITIES), grid * grid), np.nan)
    known = ("activation", "mean_activation", "numerator", "inverse_root") if condition.startswith("tvae") else ()
    known = known or (("activation", "mean_activation") if condition == "vae" else ("activation", "rectified"))
    for index, name in enumerate(QUANTITIES):
        if name in known:
            own = map_of(condition, f"{name} of {target}", seed, grid)
            maps[index] = d if name == "activation" else 0.7 * d + 0.3 * own
    own = "torus" if on_torus(condition) else "open"
    missing = np.isnan(maps[:, 0])
    smooth = np.stack(
        [np.where(missing, np.nan, map_smoothness(maps, (grid, grid), boundary=b)) for b in BOUNDARIES], 1
    )
    patches = [selective_patches(of, (grid, grid), boundary=own) for of in maps]
    listed = (patches[0] + [None] * 10)[:10]
    shuffled = 0.1 * field(f"labels {condition} {target} {seed}", grid, width=0.02)
    return {
        "d": maps,
        "d_error": np.full(grid * grid, 0.05),
        "d_label_shuffled": shuffled,
        "d_unit_shuffled": np.random.default_rng(seed).permutation(d),
        "max_d": np.where(missing, np.nan, np.nan_to_num(maps).max(1)),
        "min_d": np.where(missing, np.nan, np.nan_to_num(maps).min(1)),
        "selective_share": np.where(missing, np.nan, (maps >= THRESHOLD).mean(1)),
        "confident_share": float((d >= 1).mean()),
        "smoothness": smooth,
        "smoothness_label_null": map_smoothness(shuffled, (grid, grid)) * np.ones(2),
        "smoothness_unit_null": np.full(2, -0.002),
        "smoothness_unit_null_high": np.full(2, 0.04),
        "difference_smoothness": 0.9,
        "patches": np.where(missing, np.nan, [len(of) for of in patches]),
        "largest_patch": np.where(missing, np.nan, [max([patch.size for patch in of], default=0) for of in patches]),
        "largest_patch_label_null": 0.0,
        "largest_patch_unit_null": 2.4,
        "patch_p_label": 0.005 if patches[0] else 1.0,
        "patch_p_unit": 0.005 if patches[0] else 1.0,
        "patch_size": [patch.size if patch else np.nan for patch in listed],
        "patch_row": [patch.center[0] if patch else np.nan for patch in listed],
        "patch_col": [patch.center[1] if patch else np.nan for patch in listed],
        "patch_max_d": [patch.max_d if patch else np.nan for patch in listed],
        "reliability": 0.3 if condition == "tvae_untrained" else 0.98,
        "torus": float(on_torus(condition)),
    }


def _classes_of(condition: str, seed: int, grid: int) -> dict[str, object]:
    boundary = "torus" if on_torus(condition) else "open"
    by_images = np.stack([map_of(condition, name, seed, grid) for name in CLASSES])
    maps = np.stack([by_images, 0.95 * by_images])
    joint = np.stack([joint_map(of, THRESHOLD) for of in maps])
    patches = [[selective_patches(d, (grid, grid), boundary=boundary) for d in of] for of in maps]
    return {
        "d": maps,
        "max_d": maps.max(-1),
        "selective_share": (maps >= THRESHOLD).mean(-1),
        "largest_patch": [[max([patch.size for patch in of], default=0) for of in both] for both in patches],
        "largest_patch_unit_null": np.full((2, len(CLASSES)), 1.4),
        "smoothness": map_smoothness(maps, (grid, grid), boundary=boundary),
        "several_share": (joint == -2).mean(-1),
        "none_share": (joint == -1).mean(-1),
        "torus": float(on_torus(condition)),
        "joint": joint,
    }


def _activations(condition: str, seed: int, of_set: str, examples: int, grid: int) -> np.ndarray:
    width = _FIELDS[condition][0]
    own = [field(f"{condition} {of_set} {seed} {example}", grid, width=width) for example in range(examples)]
    return (1.3 if condition != "vae" else 0) + 0.3 * (np.array(own) + map_of(condition, of_set, seed, grid))


def _images(of_set: str, examples: int) -> np.ndarray:
    return render_category(_STIMULI[of_set], 0, range(examples), split="test")


def _runs(conditions: Sequence[str]) -> list[tuple[str, int]]:
    return [(condition, seed) for condition in conditions for seed in SEEDS.get(condition, (0,))]


def _text(names: Sequence[str]) -> np.ndarray:
    return np.array(names, dtype=object)


def _sheet(grid: int) -> dict[str, tuple]:
    row, col = np.divmod(np.arange(grid * grid), grid)
    return {"row": ("unit", row), "col": ("unit", col)}


def _dataset(schema: str, runs, values: Mapping, coords: Mapping, attrs: Mapping) -> xr.Dataset:
    variables = SCHEMAS[schema].variables
    run_coords = {
        "condition": ("run", _text([condition for condition, _ in runs])),
        "strength": ("run", np.zeros(len(runs))),
        "seed": ("run", np.array([seed for _, seed in runs], dtype=np.int64)),
    }
    arrays = {name: (variables[name][0], np.array(of, dtype=variables[name][1])) for name, of in values.items()}
    return xr.Dataset(arrays, coords={**run_coords, **coords}, attrs=dict(attrs))
