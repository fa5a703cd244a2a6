"""Reading activation dumps one at a time, and what all analyses share: checks, settings, grouping, attributes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from toporep.config import canonical_json
from toporep.errors import TopoRepError
from toporep.io import read_dataset
from toporep.metrics.arrays import check_choice
from toporep.metrics.statistics import summarize
from toporep.provenance import software_versions
from toporep.schemas import SCHEMAS, pooled, summarized

if TYPE_CHECKING:
    import xarray as xr

# Runs are comparable only if they saw the same stimuli under the same heading.
_SHARED_ATTRS = ("paper", "dataset", "source", "source_title", "scale", "data_sha256")


class RunKey(NamedTuple):
    """What tells apart the runs of one paper and data set."""

    condition: str
    strength: float
    seed: int


@dataclass(frozen=True)
class Dump:
    """What one evaluation of a trained run found.

    Attributes:
        path: the file.
        run: condition, strength, seed.
        data: the file's variables, coordinates and attributes.
        training: how the run was trained, from the configuration stored in the file.
        evaluation: how it was evaluated, from the same place.
    """

    path: str
    run: RunKey
    data: xr.Dataset
    training: Mapping[str, Any]
    evaluation: Mapping[str, Any]

    @property
    def activations(self) -> np.ndarray:
        """(stimuli, units) float32 before the ReLU, units row-major on the sheet."""
        return self.data["sheet_pre"].values

    @property
    def label(self) -> np.ndarray:
        """(stimuli,) int64 class of each stimulus."""
        return self.data["label"].values

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, cols) of the sheet; (0, 0) where the evaluation has no units."""
        return _grid(self.data, self.path) if "row" in self.data.coords else (0, 0)

    @property
    def attrs(self) -> Mapping[str, Any]:
        """Attributes of the file."""
        return self.data.attrs

    def select(self, activation: str) -> np.ndarray:
        """(stimuli, units) activations before ("pre") or after ("post") the ReLU."""
        check_choice(activation, "activation", ("pre", "post"))
        return self.activations if activation == "pre" else np.maximum(self.activations, 0)


class DumpReader:
    """Iterates over dumps, reading one at a time, and refuses dumps that do not belong together.

    After the iteration it knows what the outputs must say about their origin: `runs`, `grid`, `attributes`; a further
    iteration reads the same files again. `coords` are the coordinates that all dumps share. `measure` iterates and
    gathers values.

    Args:
        paths: the dumps, each run once.
        provenance: attributes for the outputs; a `scale` among them must be the dumps' own.
        schema: which evaluation the dumps are of.
        same_epochs: refuse runs that were trained for different numbers of epochs. Otherwise `coords["epoch"]` is the
            first dump's alone: early stopping ends each run at an epoch of its own.
    """

    def __init__(
        self,
        paths: Iterable[str | os.PathLike],
        provenance: Mapping[str, Any],
        schema: str = "activations",
        *,
        same_epochs: bool = False,
    ) -> None:
        self._paths = [os.fspath(path) for path in paths]
        self._schema = schema
        self._own_coords = frozenset() if same_epochs else frozenset({"epoch"})
        if not self._paths:
            raise TopoRepError("dumps: expected at least one activation dump, found none")
        self.runs: list[RunKey] = []
        self.grid: tuple[int, int] = (0, 0)
        self._provenance = dict(provenance)
        self._first: Dump | None = None
        self._found: dict[RunKey, str] = {}
        self._training: dict[str, Any] = {}
        self._digest = hashlib.sha256()

    def __iter__(self) -> Iterator[Dump]:
        again = len(self.runs) == len(self._paths)
        for path in self._paths:
            dump = read_dump(path, self._schema)
            if not again:
                self._admit(dump)
            yield dump
            # Or two would be in memory while the next one is read.
            del dump

    def measure(self, of_run: Callable[[Dump], Mapping[str, Any]]) -> dict[str, list]:
        """The values of all runs by variable, from a function that gives those of one."""
        # Mapped, since the variable of a loop would keep a dump in memory (1.4 GB a file of sequences at the paper's
        # scale) while the next is read.
        return by_variable(map(of_run, self))

    @property
    def coords(self) -> Mapping[str, xr.DataArray]:
        """Coordinates of the first dump."""
        if self._first is None:
            raise RuntimeError("coords before a dump was read")
        return self._first.data.coords

    def attributes(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Attributes of the outputs of an analysis with these settings, once all dumps are read.

        `training` tells what a figure should say: the training settings that all runs share, the number of
        stimuli, and the seeds of each condition. `dumps_sha256` is over the runs and their activations.
        """
        first = self._first
        if first is None or len(self.runs) != len(self._paths):
            raise RuntimeError("attributes() before all dumps were read")
        seeds: dict[str, list[int]] = {}
        for run in sorted(self.runs, key=lambda run: run.seed):
            known = seeds.setdefault(run.condition, [])
            if run.seed not in known:
                known.append(run.seed)
        return {
            **{name: first.attrs[name] for name in _SHARED_ATTRS},
            "settings": canonical_json(settings),
            "training": canonical_json({**self._training, "n_stimuli": _count_stimuli(first), "seeds": seeds}),
            "dumps_sha256": self._digest.hexdigest(),
            "software": software_versions(),
            **self._provenance,
        }

    def _admit(self, dump: Dump) -> None:
        if self._first is None:
            # Without its variables, or two dumps would be in memory.
            self._first = replace(dump, data=dump.data.drop_vars(list(dump.data.data_vars)))
            self._training, self.grid = dict(dump.training), dump.grid
            self._refuse_other_scale(dump)
        _refuse_mismatch(dump, self._first, self._own_coords)
        if dump.run in self._found:
            raise TopoRepError(
                f"{dump.path}: condition {dump.run.condition!r}, strength {dump.run.strength:g}, seed {dump.run.seed} "
                f"is already in {self._found[dump.run]}; name each run once"
            )
        self._found[dump.run] = dump.path
        self.runs.append(dump.run)
        self._training = {
            key: value for key, value in self._training.items() if key in dump.training and dump.training[key] == value
        }
        self._digest.update(canonical_json(list(dump.run)).encode())
        for name in sorted(dump.data.data_vars):
            self._digest.update(np.ascontiguousarray(dump.data[name].values).data)

    def _refuse_other_scale(self, dump: Dump) -> None:
        expected, found = self._provenance.get("scale", dump.attrs["scale"]), dump.attrs["scale"]
        if found != expected:
            raise TopoRepError(f"{dump.path}: expected a dump of scale {expected!r}, found {found!r}")


def read_dump(path: str | os.PathLike, schema: str = "activations") -> Dump:
    """Read one evaluation of a run.

    Raises:
        TopoRepError: not a file of this schema; units that are not row-major on a full sheet; a
            configuration that is not JSON.
    """
    path = os.fspath(path)
    data = read_dataset(path, schema)
    run = RunKey(str(data.attrs["condition"]), float(data.attrs["strength"]), int(data.attrs["seed"]))
    if "row" in data.coords:
        _grid(data, path)
    training, evaluation, model = (_configured(data, path, part) for part in ("training", "evaluation", "model"))
    # Of a model what a figure says beside its training.
    training = {**{name: model[name] for name in ("width", "frames", "capsules") if name in model}, **training}
    return Dump(path=path, run=run, data=data, training=training, evaluation=evaluation)


def complete_settings(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the defaults filled in.

    Raises:
        TopoRepError: a setting that the analysis does not have.
    """
    unknown = [name for name in settings if name not in defaults]
    if unknown:
        raise TopoRepError(f"settings: unknown {', '.join(map(repr, unknown))}; known: {', '.join(defaults)}")
    return {**defaults, **settings}


def by_variable(of_runs: Iterable[Mapping[str, Any]]) -> dict[str, list]:
    """The values of all runs by variable, as `metric_dataset` takes them, from those of one run after the other."""
    values: dict[str, list] = {}
    for of_run in of_runs:
        for name, value in of_run.items():
            values.setdefault(name, []).append(value)
    return values


def run_coords(runs: Sequence[RunKey]) -> dict[str, tuple[str, np.ndarray]]:
    """Coordinates `condition`, `strength`, `seed` of the dimension `run`."""
    return {
        "condition": ("run", np.array([run.condition for run in runs], dtype=object)),
        "strength": ("run", np.array([run.strength for run in runs], dtype=np.float64)),
        "seed": ("run", np.array([run.seed for run in runs], dtype=np.int64)),
    }


def group_points(runs: Sequence[RunKey]) -> dict[tuple[str, float], np.ndarray]:
    """Indices of the runs of each (condition, strength), in order of first appearance."""
    points: dict[tuple[str, float], list[int]] = {}
    for index, run in enumerate(runs):
        points.setdefault((run.condition, run.strength), []).append(index)
    return {point: np.array(indices) for point, indices in points.items()}


def refuse_missing_seeds(runs: Sequence[RunKey], *, over_conditions: bool = False) -> None:
    """Refuse runs of which some strength of a condition lacks a seed that another strength of it has.

    Means over other networks are not comparable, and differences are paired by seed. Conditions may differ, since a
    paper may train one of them more often, unless `over_conditions` asks for the same seeds there too.
    """
    seeds: dict[str, set[int]] = {}
    for run in runs:
        seeds.setdefault("" if over_conditions else run.condition, set()).add(run.seed)
    found = set(runs)
    for condition, strength in group_points(runs):
        wanted = seeds["" if over_conditions else condition]
        missing = [seed for seed in sorted(wanted) if RunKey(condition, strength, seed) not in found]
        if missing:
            others = "other conditions have" if over_conditions else "it has at other strengths"
            raise TopoRepError(
                f"condition {condition!r} at strength {strength:g} lacks seed {', '.join(map(str, missing))}, "
                f"which {others}; add these runs, or leave the seed out everywhere"
            )


def shared_seeds(runs: Sequence[RunKey]) -> list[int]:
    """Seeds that all points have, in ascending order, for what compares the networks of a point with each other.

    Raises:
        TopoRepError: a point that lacks a seed which another has; fewer than two seeds.
    """
    refuse_missing_seeds(runs, over_conditions=True)
    seeds = sorted({run.seed for run in runs})
    if len(seeds) < 2:
        raise TopoRepError(
            f"dumps: expected at least 2 seeds of each condition and strength, to compare networks, found "
            f"{', '.join(map(str, seeds))} alone; add seeds in the configuration"
        )
    return seeds


def point_coords(points: Mapping[tuple[str, float], np.ndarray]) -> dict[str, tuple[str, np.ndarray]]:
    """Coordinates `condition`, `strength`, `n` (runs) of the dimension `point`."""
    return {
        "condition": ("point", np.array([condition for condition, _ in points], dtype=object)),
        "strength": ("point", np.array([strength for _, strength in points], dtype=np.float64)),
        "n": ("point", np.array([len(indices) for indices in points.values()], dtype=np.int64)),
    }


def metric_dataset(
    name: str,
    values: Mapping[str, Sequence[Any]],
    dumps: DumpReader,
    settings: Mapping[str, Any],
    *,
    coords: Mapping[str, Any] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """The metric file of an analysis.

    Args:
        name: of the analysis, and of the file's schema, which gives dimensions and types.
        values: for each variable the values of the runs, in the order in which `dumps` were read.
        dumps: the reader, at its end.
        settings: of the analysis.
        coords: further coordinates.
        attrs: further attributes.
    """
    import xarray as xr

    variables = SCHEMAS[name].variables
    return xr.Dataset(
        {key: (variables[key][0], np.array(of_runs, dtype=variables[key][1])) for key, of_runs in values.items()},
        coords={**run_coords(dumps.runs), **(coords or {})},
        attrs={**dumps.attributes(settings), **(attrs or {})},
    )


def summarize_runs(metric: xr.Dataset, name: str) -> xr.Dataset:
    """The summary of a metric file: mean and SEM over the runs of each point, n where a run may have no value.

    Args:
        metric: dataset of the schema `name`, with the coordinates of `run_coords`.
        name: of the analysis.

    Returns:
        Dataset of the schema `<name>_summary`, as `toporep.schemas` derives it.
    """
    import xarray as xr

    schema = SCHEMAS[name]
    runs = [RunKey(*key) for key in zip(*(metric[key].values.tolist() for key in RunKey._fields), strict=True)]
    points = group_points(runs)
    variables: dict[str, Any] = {}
    for variable in summarized(schema):
        dims = ("point", *metric[variable].dims[1:])
        of_point = [summarize(metric[variable].values[indices]) for indices in points.values()]
        variables[f"{variable}_mean"] = (dims, np.array([point.mean for point in of_point], dtype=np.float64))
        variables[f"{variable}_sem"] = (dims, np.array([point.sem for point in of_point], dtype=np.float64))
        if variable in schema.may_be_nan:
            variables[f"{variable}_n"] = (dims, np.array([point.n for point in of_point], dtype=np.int64))
    for variable in pooled(schema):
        sums = [metric[variable].values[indices].sum(axis=0) for indices in points.values()]
        variables[f"{variable}_sum"] = (("point", *metric[variable].dims[1:]), np.array(sums, dtype=np.int64))
    kept = {name: coord for name, coord in metric.coords.items() if not {"run", "unit"} & set(coord.dims)}
    return xr.Dataset(variables, {**point_coords(points), **kept}, metric.attrs)


def _refuse_mismatch(dump: Dump, first: Dump, own_coords: Set[str]) -> None:
    checks = [(name, first.attrs[name], dump.attrs[name]) for name in _SHARED_ATTRS]
    checks += [("grid", first.grid, dump.grid), ("number of stimuli", _count_stimuli(first), _count_stimuli(dump))]
    for name, expected, found in checks:
        if found != expected:
            raise TopoRepError(
                f"{dump.path}: {name} is {found!r}, expected {expected!r} as in {first.path}; "
                "analyse runs of one data set at a time"
            )
    if "label" in dump.data.coords:
        _refuse_other_order(dump, first)
    for name, expected in first.data.coords.items():
        if (
            name != "label"
            and name not in own_coords
            and not np.array_equal(dump.data.coords[name].values, expected.values)
        ):
            raise TopoRepError(
                f"{dump.path}: {name} is not the same as in {first.path}; evaluate all runs with the same settings"
            )


def _refuse_other_order(dump: Dump, first: Dump) -> None:
    differ = np.flatnonzero(dump.label != first.label)
    if len(differ):
        raise TopoRepError(
            f"{dump.path}: the stimuli are in another order than in {first.path} (label of stimulus {differ[0]} is "
            f"{dump.label[differ[0]]}, expected {first.label[differ[0]]}); make the dump again from the same data"
        )


def _count_stimuli(dump: Dump) -> int:
    """Test images or sequences behind an evaluation; 0 for one of stimuli that TopoRep draws."""
    sizes = dump.data.sizes
    return sizes.get("stimulus", sizes.get("sequence", int(dump.attrs.get("n_stimuli", 0))))


def _grid(data: xr.Dataset, path: str) -> tuple[int, int]:
    row, col = data["row"].values, data["col"].values
    rows, cols = (int(row.max()) + 1, int(col.max()) + 1) if len(row) else (0, 0)
    units = np.arange(len(row))
    if len(row) == 0 or rows * cols != len(row) or np.any(row != units // cols) or np.any(col != units % cols):
        raise TopoRepError(
            f"{path}: the coordinates row and col must number {len(row)} units row by row on a full sheet; "
            "make the dump again"
        )
    return rows, cols


def _configured(data: xr.Dataset, path: str, part: str) -> dict[str, Any]:
    try:
        config = json.loads(data.attrs["config"])
    except (TypeError, ValueError) as error:
        raise TopoRepError(f"{path}: attribute 'config' is not JSON ({error}); make the dump again") from error
    found = config.get(part, {}) if isinstance(config, dict) else {}
    return found if isinstance(found, dict) else {}
