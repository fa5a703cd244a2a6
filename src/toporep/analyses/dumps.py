"""Reading activation dumps one at a time, and what all analyses share: checks, settings, grouping, attributes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from toporep.config import canonical_json
from toporep.errors import TopoRepError
from toporep.io import read_dataset
from toporep.metrics.arrays import check_choice
from toporep.provenance import software_versions

if TYPE_CHECKING:
    import xarray as xr

CONTROL = "control"
# Runs are comparable only if they saw the same stimuli under the same heading.
_SHARED_ATTRS = ("paper", "dataset", "source", "source_title", "scale", "data_sha256")


class RunKey(NamedTuple):
    """What tells apart the runs of one paper and data set."""

    condition: str
    strength: float
    seed: int


@dataclass(frozen=True)
class Dump:
    """Activations of one trained run.

    Attributes:
        path: the file.
        run: condition, strength, seed.
        activations: (stimuli, units) float32 before the ReLU, units row-major on the sheet.
        grid: (rows, cols) of the sheet.
        label: (stimuli,) int64 class of each stimulus.
        attrs: attributes of the file.
        training: how the run was trained, from the configuration stored in the file.
    """

    path: str
    run: RunKey
    activations: np.ndarray
    grid: tuple[int, int]
    label: np.ndarray
    attrs: Mapping[str, Any]
    training: Mapping[str, Any]

    def select(self, activation: str) -> np.ndarray:
        """(stimuli, units) activations before ("pre") or after ("post") the ReLU."""
        check_choice(activation, "activation", ("pre", "post"))
        return self.activations if activation == "pre" else np.maximum(self.activations, 0)


class DumpReader:
    """Iterates over dumps, reading one at a time, and refuses dumps that do not belong together.

    After the iteration it knows what the outputs must say about their origin: `runs`, `grid`, `attributes`.

    Args:
        paths: the dumps, each run once.
        provenance: attributes for the outputs; a `scale` among them must be the dumps' own.
    """

    def __init__(self, paths: Iterable[str | os.PathLike], provenance: Mapping[str, Any]) -> None:
        self._paths = [os.fspath(path) for path in paths]
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
        for path in self._paths:
            dump = read_dump(path)
            self._admit(dump)
            yield dump

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
            "training": canonical_json({**self._training, "n_stimuli": len(first.label), "seeds": seeds}),
            "dumps_sha256": self._digest.hexdigest(),
            "software": software_versions(),
            **self._provenance,
        }

    def _admit(self, dump: Dump) -> None:
        if self._first is None:
            # Without its activations, or two dumps would be in memory.
            self._first = replace(dump, activations=np.empty((0, 0), dtype=np.float32))
            self._training, self.grid = dict(dump.training), dump.grid
            self._refuse_other_scale(dump)
        _refuse_mismatch(dump, self._first)
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
        self._digest.update(np.ascontiguousarray(dump.activations).data)

    def _refuse_other_scale(self, dump: Dump) -> None:
        expected, found = self._provenance.get("scale", dump.attrs["scale"]), dump.attrs["scale"]
        if found != expected:
            raise TopoRepError(f"{dump.path}: expected a dump of scale {expected!r}, found {found!r}")


def read_dump(path: str | os.PathLike) -> Dump:
    """Read one activation dump.

    Raises:
        TopoRepError: not a file of schema `activations`; units that are not row-major on a full sheet; a
            configuration that is not JSON.
    """
    path = os.fspath(path)
    data = read_dataset(path, "activations")
    run = RunKey(str(data.attrs["condition"]), float(data.attrs["strength"]), int(data.attrs["seed"]))
    return Dump(
        path=path,
        run=run,
        activations=data["fc1_pre"].values,
        grid=_grid(data, path),
        label=data["label"].values,
        attrs=data.attrs,
        training=_training(data, path),
    )


def complete_settings(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the defaults filled in.

    Raises:
        TopoRepError: a setting that the analysis does not have.
    """
    unknown = [name for name in settings if name not in defaults]
    if unknown:
        raise TopoRepError(f"settings: unknown {', '.join(map(repr, unknown))}; known: {', '.join(defaults)}")
    return {**defaults, **settings}


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


def point_coords(points: Mapping[tuple[str, float], np.ndarray]) -> dict[str, tuple[str, np.ndarray]]:
    """Coordinates `condition`, `strength`, `n` (runs) of the dimension `point`."""
    return {
        "condition": ("point", np.array([condition for condition, _ in points], dtype=object)),
        "strength": ("point", np.array([strength for _, strength in points], dtype=np.float64)),
        "n": ("point", np.array([len(indices) for indices in points.values()], dtype=np.int64)),
    }


def _refuse_mismatch(dump: Dump, first: Dump) -> None:
    checks = [(name, first.attrs[name], dump.attrs[name]) for name in _SHARED_ATTRS]
    checks += [("grid", first.grid, dump.grid), ("number of stimuli", len(first.label), len(dump.label))]
    for name, expected, found in checks:
        if found != expected:
            raise TopoRepError(
                f"{dump.path}: {name} is {found!r}, expected {expected!r} as in {first.path}; "
                "analyse runs of one data set at a time"
            )
    differ = np.flatnonzero(dump.label != first.label)
    if len(differ):
        raise TopoRepError(
            f"{dump.path}: the stimuli are in another order than in {first.path} (label of stimulus {differ[0]} is "
            f"{dump.label[differ[0]]}, expected {first.label[differ[0]]}); make the dump again from the same data"
        )


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


def _training(data: xr.Dataset, path: str) -> dict[str, Any]:
    try:
        config = json.loads(data.attrs["config"])
    except (TypeError, ValueError) as error:
        raise TopoRepError(f"{path}: attribute 'config' is not JSON ({error}); make the dump again") from error
    training = config.get("training", {}) if isinstance(config, dict) else {}
    return training if isinstance(training, dict) else {}
