"""Metric files of sander2026 in which a given claim holds, or does not; see `claim_worlds`."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import xarray as xr
from claim_worlds import BY_HAND, World

from toporep.claims.entries import OF_SETS, Claim, Leaf, Selector
from toporep.claims.evidence import Evidence

RHO = (0.008, 0.04, 0.2, 1.0, 5.0)
OBJECTIVES = ("margin", "ce", "simclr", "supcon")


class EmbeddingWorld(World):
    """Statistics of sets of networks are kept as values of every network, and become files of sets when they are read.

    `without` are ρ at which there are no networks; `networks` gives conditions fewer networks than `seeds`.
    """

    paper = "sander2026"

    def __init__(self, *, without=(), networks=None, sources=None, **options) -> None:
        super().__init__(sources=sources or {"cifar10": "cifar10"}, **options)
        self.without, self.networks = without, networks or {}

    def points(self) -> list[tuple[str, float]]:
        plain = [
            (f"{name}{suffix}", rho) for name in OBJECTIVES for suffix in ("", "_no_dropout") for rho in (0.0, *RHO)
        ]
        ours = [(f"{name}_{loss}", rho) for name in OBJECTIVES for loss in ("cosine", "norm_penalty") for rho in RHO]
        return [*plain, *ours]

    def dims(self, leaf: Leaf) -> tuple[str, ...]:
        return OF_SETS[leaf.schema][leaf.variable] if leaf.schema in OF_SETS else super().dims(leaf)

    def evidence(self) -> Evidence:
        files = {}
        for (dataset, analysis), file in self.files.items():
            seeds = [self.networks.get(str(name), self.seeds) for name in file.condition.values]
            there = (file.seed.values < seeds) & ~np.isin(file.strength.values, self.without)
            make = {"rdm_consistency": _pairs, "ensembles": _ensembles}.get(analysis, lambda file: file)
            files[dataset, analysis] = make(file.isel(run=np.flatnonzero(there)))
        return Evidence(self.paper, self.scale, files)


def _by_point(file: xr.Dataset) -> tuple[dict, int, dict]:
    """Rows of each condition and strength in the order of seeds; how many networks; coordinates."""
    rows: dict[tuple[str, float], list[int]] = {}
    for i, run in enumerate(zip(file.condition.values, file.strength.values, strict=True)):
        rows.setdefault((str(run[0]), float(run[1])), []).append(i)
    (count,) = {len(found) for found in rows.values()}
    condition, strength = zip(*rows, strict=True)
    coords = {"condition": ("point", list(condition)), "strength": ("point", list(strength))}
    return rows, count, {**coords, "n": ("point", [count] * len(rows))}


def _pairs(file: xr.Dataset) -> xr.Dataset:
    """Each pair has the mean of its two networks' values, so that the jackknife gives these values back."""
    rows, count, coords = _by_point(file)
    a, b = np.triu_indices(count, k=1)
    coords |= {"seed_a": ("pair", a), "seed_b": ("pair", b)}
    variables = {}
    if "n" in file:
        coords["n"] = ("point", [round(float(file["n"].values[found].mean())) for found in rows.values()])
    if "consistency" in file:
        of_networks = np.array([file["consistency"].values[found] for found in rows.values()])
        variables["consistency"] = (("point", "pair"), (of_networks[:, a] + of_networks[:, b]) / 2)
    return xr.Dataset(variables, coords, file.attrs)


def _ensembles(file: xr.Dataset) -> xr.Dataset:
    """Ensembles whose accuracies without each network spread as the networks' values do."""
    rows, count, coords = _by_point(file)
    coords |= {"network_seed": ("network", np.arange(count))}
    coords |= {name: file[name] for name in ("kind", "level", "vote") if name in file.coords}
    variables = {}
    for prefix, dims in (("clean_", ()), ("", ("kind", "level"))):
        found = {name: np.array([file[name].values[at] for at in rows.values()]) for name in file.data_vars}
        shape = (len(rows), count, *(file.sizes[dim] for dim in dims if dim in file.sizes))
        ramp = np.linspace(0.5, 0.6, count).reshape(1, -1, *[1] * (len(shape) - 2))
        individual = found.get(f"{prefix}individual", np.broadcast_to(ramp, shape))
        together = found.get(f"{prefix}ensemble")
        if f"{prefix}gain" in found:
            together = found[f"{prefix}gain"] + individual[..., None]
        if together is None and f"{prefix}individual" not in found:
            continue
        variables[f"{prefix}individual"] = (("point", *dims, "network"), np.moveaxis(individual, 1, -1))
        if together is not None:
            whole = together.mean(axis=1)
            without = whole[:, None] - (together - whole[:, None]) / (count - 1)
            variables[f"{prefix}ensemble"] = (("point", *dims, "vote"), whole)
            variables[f"{prefix}leave_one_out"] = (("point", *dims, "vote", "network"), np.moveaxis(without, 1, -1))
    return xr.Dataset(variables, coords, file.attrs)


def _spread(world: World, claim: Claim, holds: bool) -> None:
    """Accuracies with an SD of 0.4 points or of 5."""
    (leaf,) = claim.leaves
    values = world.variable(leaf)
    values.values[:] = world.random.normal(0.9, 1e-9, values.shape)
    values.values[:] += (0.004 if holds else 0.05) * np.tile(_standardized(world.seeds), len(world.points()))


def _standardized(n: int) -> np.ndarray:
    values = np.random.default_rng(5).normal(size=n)
    return (values - values.mean()) / values.std(ddof=1)


def _table(world: World, claim: Claim, holds: bool) -> None:
    for cell, leaf in claim.quantities.items():
        world.set(leaf, claim.options["published"][cell] + (0.0 if holds else 0.2))


def _extremes(world: World, claim: Claim, holds: bool) -> None:
    """Moran's I is highest at ρ = 0.2, distances are shortest there or at 0.008."""
    world.set(claim.quantities["of"], lambda dim, i, n: -abs(i - 2) if dim == "strength" else 0.0)
    world.set(claim.quantities["curve"], lambda dim, i, n: abs(i - (2 if holds else 0)) if dim == "strength" else 0.0)


def _count(world: World, claim: Claim, holds: bool) -> None:
    (leaf,) = claim.leaves
    world.set(leaf, 5 if holds else 4)


# What the paper says in words, as curves over ρ = 0, 0.008, 0.04, 0.2, 1, 5. Written without the file of claims.
_EVERY = (0.0, *RHO)
_TAU = np.arange(6)
_MORAN = {
    "margin": (-0.004, 0.3, 0.45, 0.55, 0.3, 0.2),
    "ce": (-0.004, 0.4, 0.6, 0.8, 0.79, 0.78),
    "simclr": (-0.004, 0.3, 0.5, 0.6, 0.3, 0.1),
    "supcon": (-0.004, 0.3, 0.4, 0.5, 0.3, 0.2),
    "margin_no_dropout": (-0.004, 0.25, 0.4, 0.5, 0.25, 0.15),
    "ce_no_dropout": (-0.004, 0.05, 0.1, 0.1, 0.1, 0.1),
    "simclr_no_dropout": (-0.004, 0.1, 0.15, 0.2, 0.15, 0.05),
    "supcon_no_dropout": (-0.004, 0.25, 0.35, 0.45, 0.25, 0.15),
}
# At τ = 0.1, and how much shorter at each higher τ.
_DISTANCE = {
    "margin": ((8.35, 6.0, 5.2, 4.5, 4.7, 5.0), 0.2 * _TAU),
    "ce": ((8.35, 6.0, 3.0, 2.0, 2.5, 4.0), 0.3 * np.minimum(_TAU, 2) + 0.05 * np.maximum(_TAU - 2, 0)),
    "simclr": ((8.35, 6.0, 4.9, 4.8, 4.85, 4.9), 0.5 * _TAU),
    "supcon": ((8.35, 6.0, 5.2, 4.5, 4.7, 5.0), 0.2 * _TAU),
}
_CONSISTENCY = dict.fromkeys(OBJECTIVES, (0.84, 0.83, 0.8, 0.7, 0.6, 0.5)) | {"simclr": (0.84, *[0.82] * 3, 0.85, 0.8)}
_ACCURACY = dict.fromkeys(OBJECTIVES, (0.93, *[0.931] * 5)) | {"simclr": (0.6, 0.58, 0.55, 0.5, 0.4, 0.3)}
_NORM = (1.0, 0.7, 0.5, 0.3, 0.1, 0.02)
_COSINE_LOSS = (0.9, 0.6, 0.4, 0.3, 0.32, 0.4)
# Of ensembles by level of noise: what they gain, and what topography adds to it on pink and white noise.
_GAIN = np.array([0.03, 0.06, 0.1, 0.06, 0.003])
_ADDED = np.array([0.0, 0.002, 0.0, 0.002, 0.002])


def as_the_paper_says(claims: Iterable[Claim], *, topography: bool = True) -> EmbeddingWorld:
    """Metric files in which all that the paper says is so; or, without topography, all ρ give what ρ = 0 gives."""
    world = EmbeddingWorld(seeds=10, noise=1e-5)
    leaves = {(leaf.analysis, leaf.variable): leaf for claim in claims for leaf in claim.leaves}
    for leaf in leaves.values():
        variable = world.variable(leaf)
        if leaf.schema == "class_similarity":
            continue
        # A stream of its own, so that a new claim leaves the numbers of the others as they are.
        random = np.random.default_rng(zlib.crc32(f"{leaf.analysis}.{leaf.variable}".encode()))
        for i, (condition, strength) in enumerate(zip(*_of_runs(variable), strict=True)):
            place = _EVERY.index(strength) if topography else 0
            variable.values[i] = _published(leaf.variable, str(condition), place)
            # Networks of one seed deviate alike in all conditions, accuracies by 0.4 points.
            deviation = _standardized(10)[i % 10]
            if leaf.variable not in ("n", "individual", "clean_individual"):
                variable.values[i] += (0.004 if leaf.schema == "accuracy" else 1e-6) * deviation
            variable.values[i] += 1e-6 * random.normal(size=variable.values[i].shape)
    table = next(claim for claim in claims if claim.kind == "table")
    for cell, leaf in table.quantities.items():
        for strength in RHO if not topography and leaf.strength.values == (0,) else ():
            world.set(replace(leaf, strength=Selector((strength,), single=True)), table.options["published"][cell])
        if topography or leaf.strength.values == (0,):
            world.set(leaf, table.options["published"][cell])
    return world


def _of_runs(variable: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    return variable["condition"].values, variable["strength"].values


def _published(name: str, condition: str, place: int) -> np.ndarray | float:
    objective = condition.split("_")[0]
    without_dropout = condition.endswith("_no_dropout")
    if name in ("accuracy", "accuracy_standardized"):
        return _ACCURACY[objective][place]
    if name == "morans_i":
        return _MORAN[condition][place] if condition in _MORAN else 0.0
    if name == "top_share":
        return (0.6 if objective == "ce" else 0.4) if without_dropout else 0.15
    if name == "edge_center_ratio":
        return 2.0 if without_dropout else 1.0
    if name == "norm":
        return 1.0 if condition.endswith(("_cosine", "_norm_penalty")) else _NORM[place]
    if name == "cosine_topographic_loss":
        return _COSINE_LOSS[place]
    if name == "topographic_loss":
        return _NORM[place] * _COSINE_LOSS[place]
    if name == "distance":
        longest, shorter = _DISTANCE[objective]
        return longest[place] - (shorter if place else 0.0)
    if name == "consistency":
        return _CONSISTENCY[objective][place]
    if name == "n":
        return 5
    if name == "silhouette":
        # Space, grouping: the classes, animacy.
        return np.array([[0.05, 0.0] if objective == "simclr" else [0.5, 0.3]] * 2)
    return _ensemble(name, topographic=place > 0)


def _ensemble(name: str, *, topographic: bool) -> np.ndarray | float:
    clean, clean_gain = (0.9295, 0.0305) if topographic else (0.93, 0.029)
    if name.startswith("clean_"):
        return {"clean_individual": clean, "clean_ensemble": clean + clean_gain, "clean_gain": clean_gain}[name]
    alone = np.array([0.9, 0.7, 0.5, 0.3, 0.1])
    kinds = ["pink", "white", "salt_pepper"]
    added = np.array([_ADDED if topographic and kind != "salt_pepper" else 0 * _ADDED for kind in kinds])
    alone, gain = np.broadcast_to(alone, added.shape), _GAIN + added
    return alone if name == "individual" else {"gain": gain, "ensemble": alone + gain}[name][..., None]


BY_HAND.update(
    {(EmbeddingWorld.paper, name): make for name, make in
     {"A3": _spread, "T1a": _table, "D4": _extremes, "R4": _count}.items()}
)  # fmt: skip
