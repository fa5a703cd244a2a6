"""Statistics of several networks together, as a value for each network.

Agreement of pairs of networks, accuracy of an ensemble, SD over networks: no single network has them, so they are no
means of values that could be resampled. Here each becomes jackknife values, one a network: the statistic, plus how much
it would fall, relative to the average network, if this one were left out. Their mean is the statistic of all networks,
and their variance over n is the jackknife's estimate of its variance (Efron & Stein 1981, Annals of Statistics 9:586,
who show that it is on average not too small). For a mean the jackknife values are the values themselves, so that means
and these statistics are resampled alike, paired by seed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from toporep.claims.entries import OF_SETS
from toporep.errors import TopoRepError


def seeds(file: xr.Dataset, schema: str) -> list[int]:
    """Seeds of the networks behind each row of a metric file."""
    names = {"rdm_consistency": ("seed_a", "seed_b"), "ensembles": ("network_seed",)}[schema]
    return sorted({int(seed) for name in names for seed in file[name].values})


def values(
    file: xr.Dataset, schema: str, variable: str, *, points: Sequence[int], seeds: Sequence[int], where: str
) -> xr.DataArray:
    """Values of a variable for each network: (seed, strength, ...).

    Args:
        file: the metric file, whose rows are sets of networks.
        schema, variable: which one; see `entries.OF_SETS`.
        points: rows of the file, along `strength`.
        seeds: the networks to take. Pairs of others are left out; an ensemble's accuracy is that of all its networks.
        where: for messages.

    Raises:
        TopoRepError: some networks of an ensemble are left out.
    """
    rows = [file.isel(point=point) for point in points]
    if schema == "rdm_consistency":
        found = [_consistency(row, variable, seeds) for row in rows]
    else:
        networks = file["network_seed"].values.tolist()
        if sorted(networks) != sorted(seeds):
            raise TopoRepError(f"{where}: an ensemble of {len(networks)} networks cannot be compared as one of fewer")
        order = [networks.index(seed) for seed in seeds]
        found = [_ensemble(row, variable)[order] for row in rows]
    return xr.DataArray(np.stack(found, axis=1), dims=("seed", "strength", *OF_SETS[schema][variable]))


def jackknife(whole: np.ndarray, without: np.ndarray) -> np.ndarray:
    """Jackknife values of a statistic.

    Args:
        whole: (...), the statistic of all networks.
        without: (networks, ...), the statistic without each of them.

    Returns:
        (networks, ...) with mean `whole`.
    """
    return whole + (len(without) - 1) * (without.mean(axis=0) - without)


def pair_mean(pairs: np.ndarray) -> np.ndarray:
    """Jackknife values of the mean over pairs of networks.

    Args:
        pairs: (networks, networks), symmetric; the diagonal is not read. Pairs without a value (NaN) are left out.

    Returns:
        (networks,). Below 3 networks each is the mean itself. NaN where without some network no pair has a value.
    """
    count = len(pairs)
    whole = _mean_above_diagonal(pairs)
    if count < 3:
        return np.full(count, whole)
    rest = [np.delete(np.arange(count), i) for i in range(count)]
    return jackknife(whole, np.array([_mean_above_diagonal(pairs[np.ix_(some, some)]) for some in rest]))


def standard_deviation(values: np.ndarray) -> np.ndarray:
    """Jackknife values of the SD (ddof = 1) over networks.

    Args:
        values: (networks, ...).

    Returns:
        The same shape. Below 3 networks each is the SD itself, NaN for one.
    """
    count = len(values)
    if count < 2:
        return np.full(values.shape, np.nan)
    whole = values.std(axis=0, ddof=1)
    if count < 3:
        return np.broadcast_to(whole, values.shape).copy()
    without = np.stack([np.delete(values, i, axis=0).std(axis=0, ddof=1) for i in range(count)])
    return jackknife(whole, without)


def _mean_above_diagonal(pairs: np.ndarray) -> np.ndarray:
    upper = pairs[np.triu_indices(len(pairs), k=1)]
    defined = upper[np.isfinite(upper)]
    return np.asarray(defined.mean() if defined.size else np.nan)


def _consistency(row: xr.Dataset, variable: str, seeds: Sequence[int]) -> np.ndarray:
    if variable == "n":
        return np.full(len(seeds), float(row["n"]))
    places = {seed: i for i, seed in enumerate(seeds)}
    pairs = np.full((len(seeds), len(seeds)), np.nan)
    for a, b, value in zip(row["seed_a"].values, row["seed_b"].values, row["consistency"].values, strict=True):
        if a in places and b in places:
            pairs[places[a], places[b]] = pairs[places[b], places[a]] = value
    return pair_mean(pairs)


def _ensemble(row: xr.Dataset, variable: str) -> np.ndarray:
    """(network, ...) of one set of networks."""
    prefix = "clean_" if variable.startswith("clean_") else ""
    individual = np.moveaxis(row[f"{prefix}individual"].values, -1, 0)
    if variable == f"{prefix}individual":
        return individual
    together = row[f"{prefix}ensemble"].values
    count = len(individual)
    if count < 3:
        values = np.broadcast_to(together, (count, *together.shape)).copy()
    else:
        values = jackknife(together, np.moveaxis(row[f"{prefix}leave_one_out"].values, -1, 0))
    return values if variable.endswith("ensemble") else values - individual[..., np.newaxis]
