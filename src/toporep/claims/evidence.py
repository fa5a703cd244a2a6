"""The values of single runs that a claim is about, from metric files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from toporep.claims import sets
from toporep.claims.entries import OF_SETS, Leaf, Selector
from toporep.errors import TopoRepError
from toporep.io import read_dataset
from toporep.provenance import NOT_WHOLE


class NotThere(Exception):
    """What a claim needs and the metric files do not have; the text says what to add."""


@dataclass(frozen=True)
class Evidence:
    """Metric files of one paper and scale.

    Attributes:
        paper: its key.
        scale: of all files.
        files: (dataset, analysis) → the metric file.
    """

    paper: str
    scale: str
    files: Mapping[tuple[str, str], xr.Dataset]

    @classmethod
    def read(
        cls, paper: str, scale: str, paths: Mapping[tuple[str, str], str | os.PathLike], schemas: Mapping[str, str]
    ) -> Evidence:
        """Read metric files; one that does not exist is left out, and what needs it is not run.

        Raises:
            TopoRepError: a file of another schema, paper, data set or scale.
        """
        files = {}
        for (dataset, analysis), path in paths.items():
            if not Path(path).exists():
                continue
            file = read_dataset(path, schemas[analysis])
            expected = {"paper": paper, "dataset": dataset, "scale": scale}
            for name, value in expected.items():
                if file.attrs[name] != value:
                    raise TopoRepError(f"{path}: expected {name} {value!r}, found {file.attrs[name]!r}")
            files[dataset, analysis] = file
        return cls(paper, scale, files)

    def attribute(self, datasets: Iterable[str], name: str) -> dict[str, str]:
        """An attribute of the files of each data set."""
        return {dataset: file.attrs[name] for (dataset, _), file in self.files.items() if dataset in datasets}

    def images(self, datasets: Iterable[str]) -> dict[str, str]:
        """What the networks of each data set were trained on; with a remark if that or what they see is not whole."""
        found = self.attribute(datasets, "source")
        for (dataset, _), file in self.files.items():
            titles = json.loads(file.attrs.get("training", "{}")).get("titles", {}).values()
            if dataset in found and any(NOT_WHOLE in title for title in (str(file.attrs.get("source_title")), *titles)):
                found[dataset] = f"{file.attrs['source']} ({NOT_WHOLE})"
        return found

    def require(self, leaf: Leaf, settings: Mapping[str, float]) -> None:
        """Refuse a variable of networks or images that are not the published ones by these numbers.

        Args:
            leaf: the variable.
            settings: training settings, or attributes of the metric file, such as the `pixels` of a frame.

        Raises:
            NotThere: no such file; another value, or none that all networks of the file share.
        """
        attrs = self._file(leaf).attrs if settings else {}
        known = {**attrs, **json.loads(attrs.get("training", "{}"))}
        for name, wanted in settings.items():
            if known.get(name) != wanted:
                raise NotThere(
                    f"networks of {leaf.dataset}/{leaf.analysis}.nc have another number of {name} than the published "
                    f"ones: {known.get(name, 'not the same in all')}, not {wanted:g}"
                )

    def seeds(self, leaf: Leaf) -> list[int]:
        """Seeds of which there are networks at all strengths of a variable.

        Raises:
            NotThere: no such file, condition or strength.
        """
        file = self._file(leaf)
        found = self._seeds_by_strength(file, leaf)
        missing = [f"{strength:g}" for strength, seeds in zip(leaf.strength.values, found, strict=True) if not seeds]
        if missing:
            folder = f"{self.paper}/{leaf.dataset}/{leaf.condition}"
            names = missing[0] if len(missing) == 1 else f"{{{','.join(missing)}}}"
            raise NotThere(
                f"no runs {folder}/{names} in {leaf.dataset}/{leaf.analysis}.nc; add them to the configuration"
            )
        return sorted(set.intersection(*map(set, found)))

    def absent(self, leaf: Leaf) -> set[float]:
        """Strengths of a variable of which there are no networks, where there are some of others."""
        if (leaf.dataset, leaf.analysis) not in self.files:
            return set()
        found = self._seeds_by_strength(self._file(leaf), leaf)
        return {strength for strength, seeds in zip(leaf.strength.values, found, strict=True) if not seeds}

    def has(self, leaf: Leaf) -> bool:
        """Whether there are networks of a variable's condition, whatever their strength."""
        return leaf.condition in self._file(leaf)["condition"].values

    def values(self, leaf: Leaf, seeds: Sequence[int] | None = None) -> xr.DataArray:
        """Values of a variable: dimensions seed, then those along which it has several points.

        Means and sums over coordinates are taken here; other reductions are left to the caller, because the largest
        mean is not the mean of the largest values. A statistic of several networks is a value for each of them, of
        which it is the mean (`sets`).

        Args:
            leaf: the variable.
            seeds: the networks to take, those of `seeds(leaf)` if left out.

        Raises:
            NotThere: no such file, condition, strength or coordinate.
        """
        file = self._file(leaf)
        seeds = self.seeds(leaf) if seeds is None else list(seeds)
        where = f"{leaf.analysis} of {leaf.dataset}"
        if leaf.schema in OF_SETS:
            points = [_point(file, leaf.condition, strength) for strength in leaf.strength.values]
            values = sets.values(file, leaf.schema, leaf.variable, points=points, seeds=seeds, where=where)
        else:
            values = _of_runs(file, leaf, seeds)
        values = values.assign_coords(seed=seeds, strength=list(map(float, leaf.strength.values)))
        for dim, selector in leaf.at:
            values = _select(values, dim, selector, where, labels=_labels(file, dim))
        if leaf.strength.single:
            values = values.isel(strength=0, drop=True)
        if leaf.over_networks == "sd":
            values = values.copy(data=sets.standard_deviation(values.values))
        return values * leaf.times

    def _file(self, leaf: Leaf) -> xr.Dataset:
        file = self.files.get((leaf.dataset, leaf.analysis))
        if file is None:
            raise NotThere(
                f"no metric file {leaf.dataset}/{leaf.analysis}.nc; run the analysis {leaf.analysis} of {leaf.dataset}"
            )
        return file

    def _seeds_by_strength(self, file: xr.Dataset, leaf: Leaf) -> list[list[int]]:
        if leaf.schema not in OF_SETS:
            return [list(_runs(file, leaf.condition, strength)) for strength in leaf.strength.values]
        points = [_point(file, leaf.condition, strength) for strength in leaf.strength.values]
        return [[] if point is None else sets.seeds(file, leaf.schema) for point in points]


def _rows(file: xr.Dataset, condition: str, strength: float) -> np.ndarray:
    return np.flatnonzero((file["condition"].values == condition) & np.isclose(file["strength"].values, strength))


def _runs(file: xr.Dataset, condition: str, strength: float) -> dict[int, int]:
    """Rows of a condition at a strength by seed."""
    seeds = file["seed"].values
    return {int(seeds[i]): i for i in _rows(file, condition, strength)}


def _point(file: xr.Dataset, condition: str, strength: float) -> int | None:
    """The row of a condition at a strength in a file whose rows are sets of networks."""
    return next(iter(_rows(file, condition, strength).tolist()), None)


def _of_runs(file: xr.Dataset, leaf: Leaf, seeds: Sequence[int]) -> xr.DataArray:
    """(seed, strength, ...) from a file whose rows are runs."""
    runs = [_runs(file, leaf.condition, strength) for strength in leaf.strength.values]
    variable = file[leaf.variable]
    index = xr.DataArray([[found[seed] for found in runs] for seed in seeds], dims=("seed", "strength"))
    return variable.astype(np.float64).drop_vars(list(variable.coords)).isel(run=index.astype(np.int64))


def _labels(file: xr.Dataset, dim: str) -> np.ndarray:
    """Labels along a dimension: its own coordinate, another one along it alone (`bin_left` on bin), or 0, 1, ..."""
    own = [name for name, coord in file.coords.items() if coord.dims == (dim,)]
    name = dim if dim in own else next(iter(own), None)
    return file[name].values if name else np.arange(file.sizes[dim])


def _select(values: xr.DataArray, dim: str, selector: Selector, where: str, *, labels: np.ndarray) -> xr.DataArray:
    chosen = _places(selector, dim, labels, where)
    values = values.isel({dim: chosen}).assign_coords({dim: labels[chosen]})
    if selector.single:
        return values.isel({dim: 0}, drop=True)
    if selector.reduction in ("mean", "sum"):
        # A unit without a value (no bandpass unit, no center) is not part of a mean over units.
        return getattr(values, selector.reduction)(dim, skipna=dim == "unit")
    return values


def _places(selector: Selector, dim: str, labels: np.ndarray, where: str) -> list[int]:
    if isinstance(selector.values, str):
        ends = {"all": range(len(labels)), "first": [0], "last": [len(labels) - 1]}
        return list(ends[selector.values])
    if selector.bounds:
        low, high = selector.values
        # Edges of bins carry rounding errors.
        margin = 1e-9
        inside = (labels >= (-np.inf if low is None else low) - margin) & (
            labels < (np.inf if high is None else high) - margin
        )
        if not inside.any():
            raise NotThere(f"no {dim} from {low} to {high} in {where}")
        return list(map(int, np.flatnonzero(inside)))
    return [_place_of(value, dim, labels, where) for value in selector.values]


def _place_of(value: object, dim: str, labels: np.ndarray, where: str) -> int:
    same = np.isclose(labels, value) if labels.dtype.kind in "iuf" and not isinstance(value, str) else labels == value
    found = np.flatnonzero(same)
    if not len(found):
        known = ", ".join(f"{label:g}" if isinstance(label, float) else str(label) for label in labels.tolist())
        raise NotThere(f"no {dim} {value} in {where}, which has {known}; add it to the analysis's settings")
    return int(found[0])
