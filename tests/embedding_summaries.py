"""Synthetic summaries that resemble what Sander & Hasson 2026 report, for the tests of its figures."""

from __future__ import annotations

import json
import zlib

import numpy as np
import xarray as xr

RHOS = (0.0, 0.008, 0.04, 0.2, 1.0, 5.0)
OBJECTIVES = ("margin", "ce", "simclr", "supcon")
NO_DROPOUT = tuple(f"{objective}_no_dropout" for objective in OBJECTIVES)
VARIANTS = tuple(f"{objective}_{variant}" for variant in ("cosine", "norm_penalty") for objective in OBJECTIVES)
THRESHOLDS = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8)
KINDS, LEVELS = ("pink", "white", "salt_pepper"), (0.01, 0.05, 0.1, 0.15, 0.2)
VOTES = ("probability", "logit")
# Exact mean distance of the 32,640 distinct pairs of a sheet of 16 × 16, and the expectation of Moran's I on it.
CHANCE_DISTANCE, CHANCE_MORANS_I = 8.3587265, -1 / 255
SETTINGS = {
    "accuracy": {},
    "morans_i": {"activation": "pre", "neighborhood": "rook"},
    "morans_i_centered": {"activation": "pre", "neighborhood": "rook", "centered": True},
    "weight_norms": {},
    "colocalization": {
        "activation": "pre",
        "thresholds": list(THRESHOLDS),
        "inclusive": True,
        "include_self": False,
        "average": "pairs",
        "relabellings": 1000,
    },
    "rdm_consistency": {"per_class": 100},
    "ensembles": {},
}


def points(conditions=OBJECTIVES, rhos=RHOS) -> list[tuple[str, float]]:
    """(condition, ρ): variants beyond the paper have no network without topography of their own."""
    return [(name, rho) for name in conditions for rho in rhos if rho > 0 or name not in VARIANTS]


def summary(analysis: str, of=None, *, n: int = 5, **attrs: str) -> xr.Dataset:
    """A dataset of schema `<analysis>_summary`; `n` trials behind each point, one where there is no dropout."""
    of = points() if of is None else of
    rng = np.random.default_rng(zlib.crc32(analysis.encode()))
    counts = np.array([1 if name.endswith("_no_dropout") else n for name, _ in of])
    names, rhos = zip(*of, strict=True)
    content, coords, further = _MAKERS[analysis](of, counts, rng)
    return xr.Dataset(
        content,
        coords={
            "condition": ("point", np.array(names, dtype=object)),
            "strength": ("point", np.array(rhos, dtype=float)),
            "n": ("point", counts),
            **coords,
        },
        attrs={**attributes(SETTINGS[analysis]), **further, **attrs},
    )


def attributes(settings: dict) -> dict[str, str]:
    """Attributes of a metric file of reduced scale."""
    return {
        "paper": "sander2026",
        "dataset": "cifar10",
        "source": "cifar10",
        "source_title": "color photographs (CIFAR-10)",
        "scale": "reduced",
        "settings": json.dumps(settings),
        "training": json.dumps({"train_images": 20000, "epochs": 12, "patience": 6, "batch_size": 64}),
    }


def objective_of(name: str) -> str:
    return name.partition("_")[0]


def _per_objective(of, margin, ce, simclr, supcon) -> np.ndarray:
    values = {"margin": margin, "ce": ce, "simclr": simclr, "supcon": supcon}
    return np.array([values[objective_of(name)] for name, _ in of])


def _place(of) -> np.ndarray:
    """0 without topography, then 1 to 5 as ρ rises."""
    return np.array([0 if rho == 0 else 1 + np.log(rho / 0.008) / np.log(5) for _, rho in of])


def _is(of, suffix: str) -> np.ndarray:
    return np.array([name.endswith(suffix) for name, _ in of])


def _mean_and_sem(name, mean, spread, counts, rng) -> dict:
    mean = np.asarray(mean, dtype=float)
    wide = counts.reshape(-1, *([1] * (mean.ndim - 1)))
    sem = np.where(np.isnan(mean) | (wide == 1), np.nan, spread * rng.uniform(0.6, 1.4, mean.shape) / np.sqrt(wide))
    return {f"{name}_mean": ("point", mean), f"{name}_sem": ("point", sem)}


def _accuracy(of, counts, rng):
    place = _place(of)
    top = _per_objective(of, 0.925, 0.921, 0.61, 0.934)
    fall = _per_objective(of, 0.0, 0.0, 0.045, 0.0)
    mean = top + 0.0015 * np.sin(place) - fall * place
    standardized = np.where(_per_objective(of, 0, 1, 0, 0) == 1, np.nan, mean + 0.004 + 0.8 * fall * place)
    content = _mean_and_sem("accuracy", mean, 0.003, counts, rng)
    content |= _mean_and_sem("accuracy_standardized", standardized, 0.003, counts, rng)
    return content | {"accuracy_standardized_n": ("point", np.where(np.isnan(standardized), 0, counts))}, {}, {}


def _morans_i(of, counts, rng, *, falls=0.25):
    place = _place(of)
    rise = np.where(place > 0, 1 - np.exp(-0.8 * place), 0)
    fall = falls * np.maximum(place - 3, 0) * _per_objective(of, 0.6, 0.1, 0.9, 1.0)
    mean = _per_objective(of, 0.8, 0.95, 0.75, 0.85) * rise - np.where(_is(of, "_cosine"), 0, fall)
    mean = np.where(_is(of, "_no_dropout"), mean * _per_objective(of, 0.85, 0.45, 0.6, 0.9), mean)
    content = _mean_and_sem("morans_i", mean, 0.02, counts, rng)
    return content | {"morans_i_n": ("point", counts)}, {}, {"chance_morans_i": CHANCE_MORANS_I}


def _morans_i_centered(of, counts, rng):
    return _morans_i(of, counts, rng, falls=0.02)


def _weight_norms(of, counts, rng):
    place = _place(of)
    norm = _per_objective(of, 1.6, 1.2, 1.9, 1.4) * np.exp(-_per_objective(of, 0.75, 0.3, 1.0, 0.9) * place)
    norm = np.where(_is(of, "_no_dropout"), 0.9 * norm, norm)
    norm = np.where(_is(of, "_cosine") | _is(of, "_norm_penalty"), 0.6 + 0.1 * norm, norm)
    content = {}
    for name, mean in {
        "norm": norm,
        "norm_sd": 0.2 * norm,
        "topographic_loss": 0.5 * norm,
        "cosine_topographic_loss": np.exp(-0.5 * place),
    }.items():
        content |= _mean_and_sem(name, mean, 0.05 * mean, counts, rng)
    return content, {}, {}


def _colocalization(of, counts, rng):
    place, threshold = _place(of)[:, None], np.array(THRESHOLDS)
    depth = _per_objective(of, 4.5, 6.2, 5.0, 4.8)[:, None] * (0.25 + threshold)
    shape = np.where(place > 0, (1 - np.exp(-1.2 * place)) * (1 - 0.12 * np.maximum(place - 3, 0)), 0.0)
    mean = CHANCE_DISTANCE - depth * shape + rng.normal(0, 0.02, (len(of), len(THRESHOLDS)))
    pairs = 32640 * np.exp(-5 * threshold * np.exp(-0.25 * place)) * rng.uniform(0.7, 1.2, (len(of), 1))
    n = np.broadcast_to(counts[:, None], mean.shape).copy()
    # Nobody's units correlate above 0.8 without topography in one objective, only some networks' in another.
    empty = np.array([objective_of(name) == "simclr" and rho == 0 for name, rho in of])
    mean[empty, -1], pairs[empty, -1], n[empty, -1] = np.nan, 0, 0
    empty = np.array([objective_of(name) == "simclr" and rho == 0.04 for name, rho in of])
    mean[empty, -1], pairs[empty, -1], n[empty, -1] = np.nan, 0, 0
    some = np.array([objective_of(name) == "margin" and rho == 0.008 for name, rho in of])
    n[some, -1] = np.maximum(counts[some] - 1, 1)
    sem = np.where(np.isnan(mean) | (n == 1), np.nan, rng.uniform(0.05, 0.15, mean.shape))
    dims, half = ("point", "threshold"), 0.01 + 0.08 * threshold**2
    without = list(dict.fromkeys(name for name, rho in of if rho == 0))
    own = np.stack([half * (1 + 0.4 * place) for place in range(len(without))])
    return (
        {
            "distance_mean": (dims, mean),
            "distance_sem": (dims, sem),
            "distance_n": (dims, n),
            "pairs_mean": (dims, pairs),
            "null_low": ("threshold", CHANCE_DISTANCE - half),
            "null_high": ("threshold", CHANCE_DISTANCE + half),
            "condition_null_low": (("null_condition", "threshold"), CHANCE_DISTANCE - own),
            "condition_null_high": (("null_condition", "threshold"), CHANCE_DISTANCE + own),
        },
        {"threshold": threshold, "null_condition": np.array(without, dtype=object)},
        {"chance_distance": CHANCE_DISTANCE},
    )


def _rdm_consistency(of, counts, rng):
    place = _place(of)
    mean = _per_objective(of, 0.86, 0.82, 0.8, 0.87) - _per_objective(of, 0.05, 0.06, 0.01, 0.07) * place
    sd = np.where(counts > 2, rng.uniform(0.01, 0.03, len(of)), np.nan)
    content = {"consistency_mean": mean, "consistency_sd": sd, "pairs": counts * (counts - 1) // 2}
    return {name: ("point", values) for name, values in content.items()}, {}, {"n_images": 1000}


def _ensembles(of, counts, rng):
    place = _place(of)
    depth = np.array([[0.05, 0.25, 0.5, 0.65, 0.8], [0.02, 0.3, 0.6, 0.75, 0.82], [0.1, 0.4, 0.65, 0.78, 0.82]])
    accuracy = 0.92 - depth + 0.005 * np.sin(place)[:, None, None]
    boost = np.array([0.032, 0.06, 0.08, 0.05, 0.004]) * np.array([[1.0], [0.8], [1.15]])
    gain = boost * (1 + 0.02 * place[:, None, None]) + rng.normal(0, 0.002, (len(of), 3, 5))
    clean = 0.029 + 0.0003 * np.sqrt(place)
    votes = np.array([0.0, -0.0012])
    point, noise = ("point",), ("point", "kind", "level")
    return (
        {
            "clean_accuracy_mean": (point, 0.921 + 0.001 * np.sin(place)),
            "clean_accuracy_sd": (point, np.where(counts > 1, 0.004, np.nan)),
            "clean_gain": ((*point, "vote"), clean[:, None] + votes / 10),
            "accuracy_mean": (noise, accuracy),
            "accuracy_sd": (noise, np.where(counts[:, None, None] > 1, 0.02, np.nan) + 0 * accuracy),
            "gain": ((*noise, "vote"), gain[..., None] + votes),
            "disagreement": (point, 0.08 + 0.002 * place),
        },
        {
            "vote": ("vote", np.array(VOTES, dtype=object)),
            "kind": ("kind", np.array(KINDS, dtype=object)),
            "level": ("level", np.array(LEVELS)),
        },
        {},
    )


_MAKERS = {
    "accuracy": _accuracy,
    "morans_i": _morans_i,
    "morans_i_centered": _morans_i_centered,
    "weight_norms": _weight_norms,
    "colocalization": _colocalization,
    "rdm_consistency": _rdm_consistency,
    "ensembles": _ensembles,
}
