"""Reading what trained sheets answer to sets of images: the files of a run's sets together, their moments, patches."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.dumps import Dump, DumpReader, RunKey, by_variable, read_dump
from toporep.config import canonical_json
from toporep.errors import TopoRepError
from toporep.io import read_attributes
from toporep.metrics.arrays import check_choice
from toporep.metrics.moments import Moments, pool
from toporep.metrics.selectivity_maps import adjacent_units

if TYPE_CHECKING:
    import xarray as xr

# What a run answered to several sets of images, by the sets' names.
Answers = Mapping[str, Dump]

# Activations that a network may have, in the order in which metric files list them.
QUANTITIES = ("activation", "mean_activation", "numerator", "inverse_root", "rectified", "fc7")
# Where the sheets of the models end; the plain VAE counts as a TVAE without windows.
_BOUNDARY_OF = {"tvae": "torus", "tdann": "open", "fc6": "open"}
# One set must be the same images for all runs, shown through the same features, and as many of them kept.
_SET_ATTRS = ("set_source", "set_title", "set_sha256", "n_images", "network")
_SHARED_ATTRS = ("paper", "dataset", "source", "source_title", "scale", "data_sha256", "network", "config_sha256")


class ResponseDumps:
    """Iterates over runs, giving the files of all sets of one run at a time, and refuses those that do not fit.

    Like a `DumpReader` it knows, after the iteration, what outputs must say about their origin: `runs`, `grid`,
    `coords` (row and col of each unit), `attributes`. `measure` iterates and gathers values.

    Args:
        paths: files of the schema `responses`, of any sets and runs in any order; runs keep the order in which they
            first appear.
        provenance: attributes for the outputs; a `scale` among them must be the files' own.
        sets: names of the sets that are needed, in the order in which they are given to the caller; files of other
            sets are not read. None: all that are there.

    Raises:
        TopoRepError: a run without one of the sets or twice with one, a set that was not the same images for all runs,
            runs of several data sets or scales; a condition whose runs differ in more than the seed.
    """

    def __init__(
        self,
        paths: Iterable[str | os.PathLike],
        provenance: Mapping[str, Any],
        sets: Sequence[str] | None = None,
    ) -> None:
        found = _by_run(paths)
        present = list(dict.fromkeys(name for of_run in found.values() for name in of_run))
        self.sets = tuple(present if sets is None else dict.fromkeys(sets))
        if not self.sets:
            raise TopoRepError("dumps: expected responses to at least one set of images, found none")
        _refuse_missing_sets(found, self.sets)
        self._readers = {
            name: _SetReader([of_run[name] for of_run in found.values()], provenance) for name in self.sets
        }
        self._count = len(found)
        self._conditions: dict[str, dict[str, Any]] = {}
        self._images: dict[str, int] = {}
        self._titles: dict[str, str] = {}

    def __iter__(self) -> Iterator[dict[str, Dump]]:
        of_sets = {name: iter(reader) for name, reader in self._readers.items()}
        for _ in range(self._count):
            answers = {name: next(dumps) for name, dumps in of_sets.items()}
            self._admit(answers)
            yield answers
            # Or two runs would be in memory while the next one is read.
            del answers

    def measure(self, of_run: Callable[[Answers], Mapping[str, Any]]) -> dict[str, list]:
        """The values of all runs by variable, from a function that gives those of one."""
        # Mapped, since the variable of a loop would keep a run in memory while the next one is read.
        return by_variable(map(of_run, self))

    @property
    def runs(self) -> list[RunKey]:
        """Runs in the order in which they are read."""
        return self._first.runs

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, cols) of the sheet, the same for all runs."""
        return self._first.grid

    @property
    def coords(self) -> Mapping[str, xr.DataArray]:
        """Coordinates `row` and `col` of the units."""
        return {name: self._first.coords[name] for name in ("row", "col")}

    def attributes(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Attributes of the outputs of an analysis with these settings, once all files are read.

        Beside what `DumpReader.attributes` gives, `training` has `conditions` (model, window, mu, ... of each, and
        where its sheet ends, `boundary`), `grid`, `network` (whose features), `images` and `titles` (by set).
        """
        of_sets = [reader.attributes(settings) for reader in self._readers.values()]
        training = {
            **json.loads(of_sets[0]["training"]),
            "n_stimuli": sum(self._images.values()),
            "conditions": self._conditions,
            "grid": list(self.grid),
            "network": str(self._first.attrs["network"]),
            "images": self._images,
            "titles": self._titles,
        }
        digests = {name: attrs["dumps_sha256"] for name, attrs in zip(self.sets, of_sets, strict=True)}
        return {**of_sets[0], "training": canonical_json(training), "dumps_sha256": canonical_json(digests)}

    @property
    def _first(self) -> _SetReader:
        return self._readers[self.sets[0]]

    def _admit(self, answers: Answers) -> None:
        dumps = list(answers.values())
        for dump in dumps[1:]:
            _refuse_other_run(dump, dumps[0])
        for name, dump in answers.items():
            self._images[name], self._titles[name] = int(dump.attrs["n_images"]), str(dump.attrs["set_title"])
        dump = dumps[0]
        condition = {**settings_of(dump)["condition"], "boundary": boundary_of(dump)}
        known = self._conditions.setdefault(dump.run.condition, condition)
        if known != condition:
            differ = sorted(key for key in {*known, *condition} if known.get(key) != condition.get(key))
            raise TopoRepError(
                f"{dump.path}: {', '.join(differ)} of condition {dump.run.condition!r} is not as in the runs before; "
                "train all seeds of a condition with the same settings"
            )


class _SetReader(DumpReader):
    """Reads the files of one set of images, and refuses those that are of other images than the first."""

    def __init__(self, paths: Sequence[str], provenance: Mapping[str, Any]) -> None:
        super().__init__(paths, provenance, "responses")
        # Networks of several kinds have several activations.
        self._own_coords = frozenset({"quantity", "estimator"})
        self._sampled: np.ndarray | None = None

    @property
    def attrs(self) -> Mapping[str, Any]:
        """Attributes of the first file."""
        return self._first.attrs

    def _admit(self, dump: Dump) -> None:
        super()._admit(dump)
        sampled = dump.data["sample_index"].values
        self._sampled = sampled if self._sampled is None else self._sampled
        checks = [(name, self.attrs[name], dump.attrs[name]) for name in _SET_ATTRS]
        for name, expected, found in [*checks, ("sample_index", self._sampled.tolist(), sampled.tolist())]:
            if found != expected:
                raise TopoRepError(
                    f"{dump.path}: {name} of set {dump.attrs['set']!r} is not the same as in {self._first.path}; show "
                    "all runs the same images, with the same settings of the evaluation"
                )


def settings_of(dump: Dump) -> Mapping[str, Any]:
    """Everything in the configuration that decided the run and its evaluation.

    Raises:
        TopoRepError: a file whose attribute `config` has no condition with a model.
    """
    try:
        settings = json.loads(dump.attrs["config"])
        settings["condition"]["model"]
    except (TypeError, ValueError, KeyError) as error:
        raise TopoRepError(
            f"{dump.path}: attribute 'config' names no condition with a model ({error!r}); make the file again"
        ) from error
    return settings


def boundary_of(dump: Dump) -> str:
    """Where the sheet of a run ends: "torus" of the TVAEs and of the plain VAE, "open" of the TDANNs and of FC6."""
    model = settings_of(dump)["condition"]["model"]
    check_choice(model, f"{dump.path}: model", tuple(_BOUNDARY_OF))
    return _BOUNDARY_OF[model]


def quantities_of(dump: Dump) -> tuple[str, ...]:
    """The activations that the file has, the known ones in the order of `QUANTITIES`, then others."""
    present = dump.data["quantity"].values.tolist()
    return (*(name for name in QUANTITIES if name in present), *(name for name in present if name not in QUANTITIES))


def pooled_moments(answers: Answers, sets: Sequence[str], quantity: str = "activation") -> Moments:
    """Moments of a run's activation over all images of some sets together.

    Args:
        answers: the files of a run, as `ResponseDumps` gives them.
        sets: names; every image has the same weight.
        quantity: which activation.

    Raises:
        TopoRepError: no set, an unknown one, or a file without the activation.
    """
    return pool(_moments(_answer(answers, name), quantity) for name in _named(sets))


def pooled_sample(answers: Answers, sets: Sequence[str]) -> np.ndarray:
    """(images, units) float32 activation of the images kept, those of the first set first."""
    samples = [_answer(answers, name).data["sample"].values for name in _named(sets)]
    return samples[0] if len(samples) == 1 else np.concatenate(samples)


def contrast_sets(target: Sequence[str], control: Sequence[str]) -> list[str]:
    """The sets of both sides of a contrast.

    Raises:
        TopoRepError: no set on a side, or one on both sides or twice.
    """
    sets = [*_named(target), *_named(control)]
    twice = sorted({name for name in sets if sets.count(name) > 1})
    if twice:
        raise TopoRepError(
            f"target, control: expected each set once on one side, found {', '.join(twice)} twice in "
            f"{', '.join(target)} against {', '.join(control)}"
        )
    return sets


def largest_patches(
    maps: np.ndarray, grid: tuple[int, int], *, threshold: float, boundary: str, connectivity: int = 4
) -> np.ndarray:
    """Size of the largest patch of each of many maps, all at once.

    Args:
        maps: (maps, units); NaN is not selective.
        grid, threshold, boundary, connectivity: as for `toporep.metrics.selectivity_maps.selective_patches`.

    Returns:
        (maps,) int64 number of units; 0 where no unit reaches the threshold.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = adjacent_units(grid, boundary=boundary, connectivity=connectivity)
    # Maps last, so that what is looked up for a unit lies side by side.
    selective = np.ascontiguousarray((np.asarray(maps) >= threshold).T)
    of_unit, of_map = np.nonzero(selective)
    sizes = np.zeros(selective.shape[1], dtype=np.int64)
    if len(of_map):
        # Only selective units are nodes of the graph: they are few.
        node = np.zeros(selective.shape, dtype=np.int64)
        node[of_unit, of_map] = np.arange(len(of_map))
        pair, where = np.nonzero(selective[first] & selective[second])
        links = node[first[pair], where], node[second[pair], where]
        graph = coo_array((np.ones(len(pair), dtype=bool), links), shape=(len(of_map),) * 2)
        _, cluster = connected_components(graph, directed=False)
        np.maximum.at(sizes, of_map, np.bincount(cluster)[cluster])
    return sizes


def chance_probability(null: np.ndarray, found: float) -> float:
    """Probability of a value at least as large as the one found, by draws of the null; the one found counts as one."""
    return float((1 + np.count_nonzero(null >= found)) / (1 + len(null)))


def _answer(answers: Answers, name: str) -> Dump:
    if name not in answers:
        raise TopoRepError(f"sets: expected some of {', '.join(answers)}, found {name!r}; add it to the analysis' sets")
    return answers[name]


def _named(sets: Sequence[str]) -> Sequence[str]:
    if isinstance(sets, str) or not sets:
        raise TopoRepError(f"sets: expected a list of at least one name, found {sets!r}")
    return sets


def _moments(dump: Dump, quantity: str) -> Moments:
    names = dump.data["quantity"].values.tolist()
    check_choice(quantity, f"{dump.path}: quantity", tuple(names))
    index = names.index(quantity)
    mean, squares = (dump.data[name].values[index] for name in ("mean", "squares"))
    return Moments(int(dump.attrs["n_images"]), mean, squares)


def _by_run(paths: Iterable[str | os.PathLike]) -> dict[RunKey, dict[str, str]]:
    """Path by set of each run, from the attributes alone."""
    found: dict[RunKey, dict[str, str]] = {}
    for path in map(os.fspath, paths):
        run, name = _heading(path)
        of_run = found.setdefault(run, {})
        if name in of_run:
            raise TopoRepError(
                f"{path}: condition {run.condition!r}, seed {run.seed}, set {name!r} is already in {of_run[name]}; "
                "name each run and set once"
            )
        of_run[name] = path
    return found


def _heading(path: str) -> tuple[RunKey, str]:
    try:
        attrs = read_attributes(path)
        return RunKey(str(attrs["condition"]), float(attrs["strength"]), int(attrs["seed"])), str(attrs["set"])
    except (TopoRepError, KeyError):
        # Says what is wrong with it.
        dump = read_dump(path, "responses")
        return dump.run, str(dump.attrs["set"])


def _refuse_missing_sets(found: Mapping[RunKey, Mapping[str, str]], sets: Sequence[str]) -> None:
    for run, of_run in found.items():
        missing = [name for name in sets if name not in of_run]
        if missing:
            raise TopoRepError(
                f"condition {run.condition!r}, seed {run.seed}: expected responses to the sets {', '.join(sets)}, "
                f"found none to {', '.join(missing)}; name the sets in the analysis' `sets`, and make the files"
            )


def _refuse_other_run(dump: Dump, first: Dump) -> None:
    checks = [(name, first.attrs[name], dump.attrs[name]) for name in _SHARED_ATTRS]
    for name, expected, found in [*checks, ("grid", first.grid, dump.grid)]:
        if found != expected:
            raise TopoRepError(
                f"{dump.path}: {name} is {found!r}, expected {expected!r} as in {first.path}; the sets of a run are "
                "shown to the same network: make both files again"
            )
