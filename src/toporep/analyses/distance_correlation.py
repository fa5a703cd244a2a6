"""Correlation of units against their distance on the sheet, over runs (Keller, Gao & Welling 2021, Fig. 7 and 8)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.capsules import text_coord
from toporep.analyses.dumps import complete_settings, metric_dataset, summarize_runs
from toporep.analyses.responses import Answers, ResponseDumps, boundary_of
from toporep.errors import TopoRepError
from toporep.metrics.distance_correlation import (
    DistanceCurve,
    correlation_offsets,
    distance_curve,
    inverse_distance,
    squared_distances,
)
from toporep.metrics.selectivity_maps import BOUNDARIES

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {"images": 1000, "spacing": None, "bins": "unit"}
# Of the activations themselves, and without the mean of each set of images.
VARIANTS = ("pooled", "within")
# The paper's sheet, in mm (B.2).
SHEET = 10.0
# Units are paired with all others in blocks of this many.
_BLOCK_UNITS = 256


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Pearson's r of all pairs of units over images of several sets, against the distance of the units.

    Args:
        dump_paths: files of the evaluation `responses` of one paper, data set and scale, each run with the same sets.
        settings: `images`: so many kept images of each set, or as many as the smallest set has (null: that many);
            `spacing` of adjacent units in mm (null: a sheet of 10 mm); `bins`, see
            `toporep.metrics.distance_correlation`.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `distance_correlation` and `distance_correlation_summary`, by both boundaries, whatever the
        network's own is (`torus` 1 or 0). Variant `within`: less the mean of each set, since the correlations of a mix
        of faces and objects are mostly their difference. Both boundaries have the same bins; those that only the open
        sheet has are NaN on a torus. The attribute `images`
        is the number of each set.

    Raises:
        TopoRepError: files that do not belong together, unknown settings, fewer than 2 images.

    Source:
        Keller, Gao & Welling 2021, App. A.3, whose stimuli and bins are not stated; that both models be compared with
        one boundary is their proposal.
    """
    settings = complete_settings(settings, DEFAULTS)
    dumps = ResponseDumps(dump_paths, provenance)
    # The same for all runs, whose sheets and kept images are the same: distances of the bins, spacing, images.
    shared: dict[str, Any] = {}

    def of_run(answers: Answers) -> dict[str, Any]:
        dump = next(iter(answers.values()))
        activations, category = _mixed([of.data["sample"].values for of in answers.values()], settings["images"])
        spacing = SHEET / dump.grid[0] if settings["spacing"] is None else float(settings["spacing"])
        found, distance = _of_run(activations, category, dump.grid, spacing, settings["bins"])
        shared.update(distance=distance, spacing=spacing, images=len(category) // len(answers))
        return {**found, "torus": float(boundary_of(dump) == "torus")}

    values = dumps.measure(of_run)
    metric = metric_dataset(
        "distance_correlation",
        values,
        dumps,
        settings,
        coords={
            "variant": text_coord("variant", VARIANTS),
            "boundary": text_coord("boundary", BOUNDARIES),
            "distance": (("boundary", "bin"), shared["distance"]),
        },
        attrs={"spacing": shared["spacing"], "images": shared["images"]},
    )
    return metric, summarize_runs(metric, "distance_correlation")


def falling_bins(curve: np.ndarray) -> int:
    """How many bins after the first one a curve reaches while each is below the one before it.

    Args:
        curve: (bins,) nearest first; NaN ends the fall.
    """
    falls = np.diff(np.asarray(curve, dtype=np.float64)) < 0
    return int(np.argmin(falls)) if not falls.all() else len(falls)


def deviation_from_inverse(
    activations: np.ndarray, grid: tuple[int, int], *, boundary: str, spacing: float, within: np.ndarray | None = None
) -> float:
    """Mean absolute difference of Pearson's r from 1 / (distance + 1), over all distinct pairs of units.

    It is what the spatial correlation loss measures: ten times this is the paper's loss of a layer, but for the
    factor (images - 1) / images of its correlations.

    Args:
        activations: (images, units), units row-major on the sheet. Pairs of a constant unit are left out.
        grid, boundary, spacing, within: as for `toporep.metrics.distance_correlation.correlation_by_distance`.

    Returns:
        NaN if there is no pair.

    Source:
        Keller, Gao & Welling 2021, eq. 5, and their published code, which takes absolute values.
    """
    vectors, varies = _unit_vectors(activations, within)
    rows, cols = grid
    target = inverse_distance(spacing * np.sqrt(squared_distances(grid, boundary=boundary)))
    row, col = np.divmod(np.arange(rows * cols), cols)
    total = 0.0
    for start in range(0, rows * cols, _BLOCK_UNITS):
        block = slice(start, start + _BLOCK_UNITS)
        found = vectors[:, block].T @ vectors
        found -= target[np.abs(row[block, None] - row), np.abs(col[block, None] - col)]
        # A unit with itself is no pair, and adds nothing: its r is 1, as asked for at distance 0.
        total += float(np.abs(found[varies[block]][:, varies]).sum(dtype=np.float64))
    units = int(varies.sum())
    return total / (units * (units - 1)) if units > 1 else float("nan")


def _of_run(
    activations: np.ndarray, category: np.ndarray, grid: tuple[int, int], spacing: float, bins: Any
) -> tuple[dict[str, Any], np.ndarray]:
    """Variables of one run, and the distances of the bins."""
    names = ("correlation", "sd", "nearest", "falling_bins", "from_inverse_distance")
    found: dict[str, list] = {name: [] for name in names}
    distance, pairs = np.empty(0), []
    for within in (None, category):
        sums = correlation_offsets(activations, grid, within=within)
        curves = [distance_curve(sums, boundary=boundary, bins=bins, spacing=spacing) for boundary in BOUNDARIES]
        # Each distance of a torus is one of the open sheet too.
        distance = curves[BOUNDARIES.index("open")].distance
        pairs = [_at(distance, curve, curve.pairs, missing=0) for curve in curves]
        of_variant = {
            "correlation": [_at(distance, curve, curve.mean) for curve in curves],
            "sd": [_at(distance, curve, curve.sd) for curve in curves],
            "nearest": [curve.mean[0] for curve in curves],
            "falling_bins": [falling_bins(curve.mean) for curve in curves],
            "from_inverse_distance": [
                deviation_from_inverse(activations, grid, boundary=boundary, spacing=spacing, within=within)
                for boundary in BOUNDARIES
            ],
        }
        for name, values in of_variant.items():
            found[name].append(values)
    # Of the second variant, whose pairs are the fewer: a unit may be constant within all sets but not over them.
    return {**found, "pairs": pairs}, np.tile(distance, (len(BOUNDARIES), 1))


def _at(distance: np.ndarray, curve: DistanceCurve, values: np.ndarray, *, missing: float = np.nan) -> np.ndarray:
    """Values of a curve's bins at the distances, some of which it may lack."""
    found = np.full(len(distance), missing, dtype=np.float64)
    found[np.searchsorted(distance, curve.distance)] = values
    return found


def _mixed(samples: Sequence[np.ndarray], images: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Equally many kept images of each set, spread over those that are kept, and the number of the set of each."""
    kept = min(len(sample) for sample in samples)
    if images is not None and images < 1:
        raise TopoRepError(f"images: expected at least 1 of each set, or null for all that are kept, found {images!r}")
    count = kept if images is None else min(images, kept)
    # Kept images are in the order of the set, perhaps class by class: the first ones alone would be of few classes.
    chosen = [sample[np.linspace(0, len(sample) - 1, count).round().astype(int)] for sample in samples]
    return np.concatenate(chosen), np.repeat(np.arange(len(samples)), count)


def _unit_vectors(activations: np.ndarray, within: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Activations over images, centered and of length 1, float32; and which units are not constant."""
    vectors = np.array(activations, dtype=np.float64)
    categories = np.zeros(len(vectors)) if within is None else np.asarray(within)
    for category in np.unique(categories):
        own = categories == category
        # Less its first value, a constant unit is exactly zero; less its mean alone it might be rounding noise.
        of_category = vectors[own] - vectors[own][:1]
        vectors[own] = of_category - of_category.mean(axis=0)
    length = np.linalg.norm(vectors, axis=0)
    varies = length > 0
    vectors[:, varies] /= length[varies]
    return vectors.astype(np.float32), varies
