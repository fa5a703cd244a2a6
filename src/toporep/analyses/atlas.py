"""One set of metrics for the sheets of all papers: how smooth, how near, how selective, each against chance."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from toporep.analyses.capsules import text_coord
from toporep.analyses.dumps import Dump, DumpReader, by_variable, complete_settings, metric_dataset, summarize_runs
from toporep.analyses.responses import Answers, ResponseDumps, boundary_of
from toporep.errors import TopoRepError
from toporep.io import read_attributes
from toporep.metrics.arrays import center_rows, divide
from toporep.metrics.colocalization import unit_correlations
from toporep.metrics.dimensionality import effective_dimensionality
from toporep.metrics.distance_correlation import correlation_offsets, distance_curve, squared_distances
from toporep.metrics.moments import Moments
from toporep.metrics.morans_i import expected_morans_i
from toporep.metrics.selectivity import one_vs_rest
from toporep.metrics.selectivity_maps import adjacent_units, map_smoothness
from toporep.metrics.statistics import quantiles, summarize

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {
    "images": 800,
    "classes": None,
    "thresholds": [0.3, 0.5, 0.7],
    "bins": [0.0, 0.1, 0.2, 0.3, 0.4, 0.5],
    "selective": 0.85,
    "shuffles": 100,
    "seed": 0,
}
# Of the maps themselves, and without each unit's mean over the images, such as its bias, which all maps have.
VARIANTS = ("raw", "centered")
# Of a null's draws for one network.
_LEVELS = (0.025, 0.975)
# Purposes of draws: numpy.random.default_rng([seed, purpose, index]).
_PLACES, _LABELS, _IMAGES = 0, 1, 2


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Measure every sheet in the same way, whatever the paper, and the same with its units in random places.

    The same for all papers: responses before the ReLU; equally many images of each class; pairs at distance 1 (the 4
    nearest neighbors) wherever neighbors are compared; distances in units of their chance or of the sheet's width;
    each sheet under its own boundary. Not the same, and nothing here can make it so: the images and their classes, the
    number of units (participation ratio and nulls depend on it), and the noise of the responses (a topographic VAE's
    are samples of its posterior).

    Args:
        dump_paths: of one paper, data set and scale; files of schema `activations`, or of `responses` to several sets.
        settings: `images`: in all, equally many of each class, or as many as the smallest class has. `classes`: of
            responses the sets of each class (null: each set is a class); of activations null: the labels.
            `thresholds`: α, correlations above which two units respond alike. `bins`: edges of distance, in units of
            the sheet's width. `selective`: Cohen's d from which a unit is. `shuffles`, `seed`: of the nulls.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `atlas` and `atlas_summary`. `…_null`, `…_null_low`, `…_null_high`: mean and 2.5 % and
        97.5 % quantiles over `shuffles` draws of a network, in which its units have random places (the same draws for
        all metrics and networks of a size); of `selective_share`, to which places are nothing, the labels of the
        images are shuffled instead; of `dimensionality`, the images of each unit by itself (one draw).

    Raises:
        TopoRepError: dumps that do not belong together, a class without images, fewer than 2 classes or 2 images of
            each, unknown settings.
    """
    settings = complete_settings(settings, DEFAULTS)
    dump_paths = [os.fspath(path) for path in dump_paths]
    dumps, sheets = _sheets(dump_paths, settings, provenance)
    counts: dict[str, Any] = {}
    draws: dict[int, np.ndarray] = {}

    def of_run(sheet: Sheet) -> dict[str, Any]:
        units = sheet.activations.shape[1]
        counts.update(_counts(sheet))
        if units not in draws:
            draws[units] = random_places(units, shuffles=settings["shuffles"], seed=settings["seed"])
        return measure(sheet, settings, draws[units])

    values = by_variable(map(of_run, sheets))
    edges = np.asarray(settings["bins"], dtype=np.float64)
    metric = metric_dataset(
        "atlas",
        values,
        dumps,
        settings,
        coords={
            "variant": text_coord("variant", VARIANTS),
            "threshold": ("threshold", np.asarray(settings["thresholds"], dtype=np.float64)),
            "bin_low": ("bin", edges[:-1]),
            "bin_high": ("bin", edges[1:]),
        },
        attrs={**counts, "chance_morans_i": expected_morans_i(counts["units"])},
    )
    return metric, summarize_runs(metric, "atlas")


@dataclass(frozen=True)
class Sheet:
    """Responses of a run's sheet.

    Attributes:
        activations: (images, units) before the ReLU, units row-major.
        label: (images,) class of each image, equally many of each.
        grid: (rows, cols).
        boundary: "open", or "torus" where opposite borders meet.
    """

    activations: np.ndarray
    label: np.ndarray
    grid: tuple[int, int]
    boundary: str


class Null(NamedTuple):
    """Mean and quantiles over draws of a null, NaN where it is not defined."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def measure(sheet: Sheet, settings: Mapping[str, Any], places: np.ndarray) -> dict[str, Any]:
    """All metrics of one sheet, by the names of the schema `atlas`.

    Args:
        sheet: the responses.
        settings: as for `run`, complete.
        places: (shuffles, units), from `random_places`.
    """
    neighbors = adjacent_units(sheet.grid, boundary=sheet.boundary, connectivity=4)
    correlations = unit_correlations(sheet.activations)
    # A constant unit is alike to none, and has no correlation with its neighbors either.
    constant = correlations.diagonal() == 0
    correlations[constant] = correlations[:, constant] = np.nan
    return {
        **_maps(sheet, neighbors, places),
        **_named("nearest", _mean(correlations, neighbors), _shuffled(correlations, neighbors, places)),
        "all_pairs": _mean(correlations, np.stack(np.triu_indices(len(correlations), 1))),
        "correlation": _curve(sheet, settings["bins"]),
        **_colocalization(correlations, sheet, settings["thresholds"], places),
        **_dimensionality(sheet.activations, settings["seed"]),
        **_selectivity(sheet, settings, places),
        "constant_share": constant.mean(),
        "torus": float(sheet.boundary == "torus"),
    }


def random_places(units: int, *, shuffles: int, seed: int) -> np.ndarray:
    """(shuffles, units) which unit lies at each place when all are moved at random.

    Raises:
        TopoRepError: no shuffle.
    """
    if shuffles < 1:
        raise TopoRepError(f"shuffles: expected at least 1, found {shuffles!r}")
    generators = (np.random.default_rng([seed, _PLACES, index]) for index in range(shuffles))
    return np.stack([generator.permutation(units) for generator in generators])


def sheet_distances(grid: tuple[int, int], boundary: str) -> np.ndarray:
    """(units, units) float64 Euclidean distances on the sheet, in unit spacings, the shorter way around a torus."""
    rows, cols = grid
    row, col = np.divmod(np.arange(rows * cols), cols)
    distances = np.sqrt(squared_distances(grid, boundary=boundary))
    return distances[np.abs(row[:, None] - row), np.abs(col[:, None] - col)]


def map_products(maps: np.ndarray) -> np.ndarray:
    """Products of the values of each two units on a map less its mean, over the map's variance; mean over maps.

    Their mean over ordered pairs of adjacent units is Moran's I with binary weights, averaged over the maps, on a sheet
    of any boundary; over pairs in random places it is -1 / (units - 1).

    Args:
        maps: (maps, units); constant ones are left out.

    Returns:
        (units, units) float64; NaN if all maps are constant.
    """
    centered = center_rows(np.array(maps, dtype=np.float64))
    spread = np.sqrt((centered**2).mean(axis=1))
    centered = centered[spread > 0] / spread[spread > 0, None]
    return divide(centered.T @ centered, np.float64(len(centered)))


def _maps(sheet: Sheet, neighbors: np.ndarray, places: np.ndarray) -> dict[str, Any]:
    found: dict[str, list] = {}
    expected = expected_morans_i(sheet.activations.shape[1])
    for variant in VARIANTS:
        mean = sheet.activations.mean(axis=0, dtype=np.float64) if variant == "centered" else 0.0
        products = map_products(sheet.activations - mean)
        value = _mean(products, neighbors)
        of_variant = _named("morans_i", value, _shuffled(products, neighbors, places))
        for name, number in {**of_variant, "morans_i_excess": value - expected}.items():
            found.setdefault(name, []).append(number)
    return found


def _curve(sheet: Sheet, edges: Sequence[float]) -> np.ndarray:
    """Mean correlation of the pairs in bins of distance, in units of the sheet's width."""
    sums = correlation_offsets(sheet.activations, sheet.grid)
    spacing = 1.0 / max(sheet.grid)
    # A distance that is an edge, as 2/10 of a sheet, must not fall to either side by its rounding.
    return distance_curve(sums, boundary=sheet.boundary, bins=np.asarray(edges) + 1e-9, spacing=spacing).mean


def _colocalization(
    correlations: np.ndarray, sheet: Sheet, thresholds: Sequence[float], places: np.ndarray
) -> dict[str, Any]:
    """Mean distance of the pairs that correlate above each threshold, in units of that of all pairs."""
    distances = sheet_distances(sheet.grid, sheet.boundary)
    units = len(distances)
    chance = distances.sum() / (units * (units - 1))
    first, second = np.triu_indices(units, 1)
    of_pairs = correlations[first, second]
    linked = [of_pairs > alpha for alpha in thresholds]
    # Pairs that no threshold passes need not be moved.
    some = np.any(linked, axis=0)
    pairs, linked = np.stack([first[some], second[some]]), [each[some] for each in linked]
    value = _of_linked(distances[pairs[0], pairs[1]] / chance, linked)
    moved = [np.argsort(of_places) for of_places in places]
    null = _null([_of_linked(distances[where[pairs[0]], where[pairs[1]]] / chance, linked) for where in moved])
    share = np.array([np.count_nonzero(each) for each in linked]) / len(of_pairs)
    return {**_named("colocalization", value, null), "alike_share": share}


def _of_linked(of_pairs: np.ndarray, linked: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([of_pairs[each].mean() if each.any() else np.nan for each in linked])


def _dimensionality(activations: np.ndarray, seed: int) -> dict[str, float]:
    """Participation ratio, and over the number of units; the latter also of units that share nothing."""
    generator = np.random.default_rng([seed, _IMAGES, 0])
    alone = generator.permuted(activations, axis=0)
    found, null = (float(effective_dimensionality(values)) for values in (activations, alone))
    units = activations.shape[1]
    return {"participation_ratio": found, "dimensionality": found / units, "dimensionality_null": null / units}


def _selectivity(sheet: Sheet, settings: Mapping[str, Any], places: np.ndarray) -> dict[str, Any]:
    least, options = settings["selective"], {"boundary": sheet.boundary, "connectivity": 4}
    maps = _d_maps(sheet.activations, sheet.label)
    by_chance = [_d_maps(sheet.activations, label) for label in _shuffled_labels(sheet.label, settings)]
    smoothness = [summarize(map_smoothness(d, sheet.grid, **options)).mean for d in (maps, *by_chance)]
    moved = [summarize(map_smoothness(maps[:, of_places], sheet.grid, **options)).mean for of_places in places]
    return {
        **_named("selective_share", _share(maps, least), _null([_share(d, least) for d in by_chance])),
        **_named("smoothness", smoothness[0], _null(moved)),
        "smoothness_label_null": summarize(np.array(smoothness[1:])).mean,
    }


def _d_maps(activations: np.ndarray, label: np.ndarray) -> np.ndarray:
    """(classes, units) Cohen's d of each class against all others."""
    return one_vs_rest([Moments.of(activations[label == each]) for each in np.unique(label)])


def _shuffled_labels(label: np.ndarray, settings: Mapping[str, Any]) -> list[np.ndarray]:
    generators = (np.random.default_rng([settings["seed"], _LABELS, index]) for index in range(settings["shuffles"]))
    return [generator.permutation(label) for generator in generators]


def _share(maps: np.ndarray, least: float) -> float:
    """Share of units selective for at least one class; NaN is not selective."""
    return float((maps >= least).any(axis=0).mean())


def _mean(matrix: np.ndarray, pairs: np.ndarray) -> float:
    """Mean over pairs of units that have a value."""
    return float(summarize(matrix[pairs[0], pairs[1]]).mean)


def _shuffled(matrix: np.ndarray, pairs: np.ndarray, places: np.ndarray) -> Null:
    """The same over pairs of places, for units in random places."""
    return _null([_mean(matrix, of_places[pairs]) for of_places in places])


def _null(draws: Sequence[Any]) -> Null:
    draws = np.asarray(draws, dtype=np.float64)
    return Null(summarize(draws).mean, *quantiles(draws, _LEVELS))


def _named(name: str, value: Any, null: Null) -> dict[str, Any]:
    return {name: value, **{f"{name}_null{suffix}": of for suffix, of in zip(("", "_low", "_high"), null, strict=True)}}


def _counts(sheet: Sheet) -> dict[str, int]:
    rows, cols = sheet.grid
    return {
        "images": len(sheet.label),
        "classes": len(np.unique(sheet.label)),
        "units": rows * cols,
        "rows": rows,
        "cols": cols,
    }


def _sheets(
    paths: Sequence[str], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[DumpReader | ResponseDumps, Iterator[Sheet]]:
    if _schema_of(paths) != "responses":
        if settings["classes"] is not None:
            raise TopoRepError(
                "classes: expected null for activation dumps, whose images have labels, found "
                f"{settings['classes']!r}; give them for responses to sets of images alone"
            )
        dumps = DumpReader(paths, provenance)
        # Mapped, since the variable of a generator would keep a run in memory while the next one is read.
        return dumps, map(lambda dump: _of_dump(dump, settings["images"]), dumps)
    classes = settings["classes"]
    answered = ResponseDumps(
        paths, provenance, None if classes is None else [name for of in classes.values() for name in of]
    )
    classes = {name: [name] for name in answered.sets} if classes is None else classes
    return answered, map(lambda answers: _of_answers(answers, classes, settings["images"]), answered)


def _of_dump(dump: Dump, images: int) -> Sheet:
    classes = np.unique(dump.label)
    members = [np.flatnonzero(dump.label == each) for each in classes]
    count = _of_each(images, [len(each) for each in members], dump.path)
    chosen = np.concatenate([_spread(each, count) for each in members])
    return Sheet(dump.activations[chosen], dump.label[chosen], dump.grid, "open")


def _of_answers(answers: Answers, classes: Mapping[str, Sequence[str]], images: int) -> Sheet:
    first = next(iter(answers.values()))
    samples = [[answers[name].data["sample"].values for name in sets] for sets in classes.values()]
    # Sets of one class have equal parts in it.
    count = _of_each(images, [min(map(len, of_class)) * len(of_class) for of_class in samples], first.path)
    kept = [
        _spread(sample, count // len(of_class) + (index < count % len(of_class)))
        for of_class in samples
        for index, sample in enumerate(of_class)
    ]
    label = np.repeat(np.arange(len(samples)), count)
    return Sheet(np.concatenate(kept), label, first.grid, boundary_of(first))


def _of_each(images: int, available: Sequence[int], path: str) -> int:
    """Images of each class: the same for all."""
    count = min(images // max(1, len(available)), *available) if len(available) > 1 else 0
    if count < 2:
        raise TopoRepError(
            f"{path}: expected at least 2 classes with at least 2 images each of {images} in all, found classes of "
            f"{', '.join(map(str, available)) or 'no'} images; show the networks more images, or give `images`"
        )
    return count


def _spread(values: np.ndarray, count: int) -> np.ndarray:
    # Images may be in an order: the first ones alone would be of one kind.
    return values[np.linspace(0, len(values) - 1, count).round().astype(int)]


def _schema_of(paths: Sequence[str]) -> str:
    try:
        return str(read_attributes(paths[0])["schema"])
    except (TopoRepError, KeyError, IndexError):
        # The reader says what is wrong.
        return ""
