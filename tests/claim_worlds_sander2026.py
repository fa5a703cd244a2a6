"""Metric files of sander2026 in which a given claim holds, or does not; see `claim_worlds`."""

from __future__ import annotations

import numpy as np
import xarray as xr
from claim_worlds import BY_HAND, World

from toporep.claims.entries import OF_SETS, Claim, Leaf
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
        for name in file.data_vars:
            if str(name).startswith("clean_") != bool(prefix):
                continue
            values = np.array([file[name].values[found] for found in rows.values()])
            if name == f"{prefix}individual":
                variables[name] = (("point", *dims, "network"), np.moveaxis(values, 1, -1))
                continue
            individual = np.linspace(0.5, 0.6, count)
            if str(name).endswith("gain"):
                values = values + individual.reshape(1, -1, *[1] * (values.ndim - 2))
            whole = values.mean(axis=1)
            without = whole[:, None] - (values - whole[:, None]) / (count - 1)
            shape = (len(rows), *(file.sizes[dim] for dim in dims), count)
            variables[f"{prefix}individual"] = (("point", *dims, "network"), np.broadcast_to(individual, shape))
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


BY_HAND.update(
    {(EmbeddingWorld.paper, name): make for name, make in
     {"A3": _spread, "T1a": _table, "D4": _extremes, "R4": _count}.items()}
)  # fmt: skip
