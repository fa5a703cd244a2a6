"""Correlation of units against their distance: what Figures 7 and 8 share of reading, drawing and tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from toporep.figures.keller2021_category import label_of, style_of
from toporep.metrics.distance_correlation import inverse_distance

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

# Over the images as they are, and without the mean of each set.
POOLED, WITHIN = "pooled", "within"
AIM_LOOK = {"color": "black", "linewidth": 0.9, "linestyle": (0, (4, 2))}
_THIN = {"linewidth": 0.7, "linestyle": "-", "alpha": 0.9}
_BAND = {"alpha": 0.2, "linewidth": 0, "zorder": 1}


def point_of(summary: xr.Dataset, condition: str) -> xr.Dataset | None:
    """A condition's means over seeds; None if it was not trained.

    Args:
        summary: schema `distance_correlation_summary`.
        condition: of the configuration.
    """
    found = np.flatnonzero(summary["condition"].values == condition)
    return summary.isel(point=int(found[0])) if len(found) else None


def own_boundary(point: xr.Dataset) -> str:
    """Where the sheet of a condition ends: "torus" or "open"."""
    return "torus" if float(point["torus_mean"]) else "open"


def draw_band(axes: Axes, point: xr.Dataset, condition: str, *, boundary: str) -> None:
    """Shade mean ± SD over the pairs of each bin."""
    distance, mean, sd = _bins(point, boundary, POOLED)
    axes.fill_between(distance, mean - sd, mean + sd, color=style_of(condition).color, **_BAND)


def draw_curve(axes: Axes, point: xr.Dataset, condition: str, *, boundary: str, variant: str = POOLED) -> None:
    """Draw r against distance; without the means of the sets of images as a thin line."""
    look = style_of(condition)
    distance, mean, _ = _bins(point, boundary, variant)
    options = {"linestyle": look.linestyle} if variant == POOLED else _THIN
    axes.plot(distance, mean, color=look.color, **options)


def draw_aim(axes: Axes, longest: float) -> None:
    """Draw 1 / (distance + 1), which the spatial correlation loss aims at, up to a distance in mm."""
    distance = np.linspace(0, longest, 200)
    axes.plot(distance, inverse_distance(distance), zorder=1.5, **AIM_LOOK)


def limits_of(points: Sequence[xr.Dataset]) -> tuple[float, float]:
    """Ordinate that holds curves, bands and the largest correlation."""
    lows = [0.0]
    for point in points:
        for boundary in point["boundary"].values:
            _, mean, sd = _bins(point, boundary, POOLED)
            lows += [*(mean - sd), *_bins(point, boundary, WITHIN)[1]]
    return max(-1.02, float(np.nanmin(lows)) - 0.04), 1.02


def longest_of(summary: xr.Dataset, boundary: str) -> float:
    """Largest distance of two units, in mm."""
    pairs = summary["pairs_mean"].sel(boundary=boundary).max("point")
    return float(summary["distance"].sel(boundary=boundary).values[pairs.values > 0].max())


def numbers_of(point: xr.Dataset, boundary: str) -> tuple[float, float]:
    """r in the first bin (`nearest_line`), and the mean distance of r from what the spatial loss aims at."""
    of = point.sel(variant=POOLED, boundary=boundary)
    return float(of["nearest_mean"]), float(of["from_inverse_distance_mean"])


def seeds_line(summary: xr.Dataset, conditions: Sequence[str]) -> str:
    """Words for the number of networks behind each curve."""
    counts = {name: int(point["n"]) for name in conditions if (point := point_of(summary, name)) is not None}
    if len(set(counts.values())) == 1:
        return _seeds(next(iter(counts.values())))
    return "; ".join(f"{label_of(name, summary.attrs)}: {_seeds(count)}" for name, count in counts.items())


def nearest_line(summary: xr.Dataset) -> str:
    """Words for the units whose r is called that of neighbors: those of the first bin."""
    bins = json.loads(str(summary.attrs["settings"])).get("bins", "unit")
    words = {
        "unit": "the first bin, each unit with the 8 around it, beside and diagonal",
        "exact": "the first bin, each unit with the 4 that share an edge",
    }
    return words.get(bins, "the first bin")


def images_line(summary: xr.Dataset) -> str:
    """Words for the images over which units are correlated, and for distances and bins."""
    attrs, training = summary.attrs, json.loads(str(summary.attrs["training"]))
    bins = json.loads(str(attrs["settings"])).get("bins", "unit")
    wide = {"unit": "bins one spacing wide", "exact": "a bin for each distance"}.get(bins, f"bins {bins}")
    sets = " and ".join(training.get("images", {})) or "each set"
    return (
        f"{attrs['images']} images each of {sets}; units are {float(attrs['spacing']):.5g} mm apart, as on a sheet of "
        f"{training['grid'][0] * float(attrs['spacing']):.3g} mm; {wide}. The paper names neither images nor bins"
    )


def handles(attrs: Mapping[str, object], conditions: Sequence[str]) -> list[Line2D | Patch]:
    """Entries of the legend: the conditions, and what line and band mean."""
    found: list[Line2D | Patch] = []
    for name in conditions:
        look = style_of(name)
        found.append(Line2D([], [], color=look.color, linestyle=look.linestyle, label=label_of(name, attrs)))
    return [
        *found,
        Patch(facecolor="0.3", alpha=0.25, linewidth=0, label="± SD over pairs of units"),
        Line2D([], [], color="0.3", label="without the sets' means", **_THIN),
        Line2D([], [], label="1 / (distance + 1)", **AIM_LOOK),
    ]


def curve_table(summary: xr.Dataset, conditions: Sequence[str]) -> pd.DataFrame:
    """Lay curves out with one row a condition, variant, boundary and bin that has pairs.

    Columns: dataset, source, scale, condition, own_boundary, variant, boundary, distance_mm, correlation_mean (over
    seeds), correlation_sem, sd_over_pairs, pairs, aim (1 / (distance + 1)), n_seeds; of the whole curve neighbor_r (of
    the first bin, `nearest_line`) and from_aim (mean over all pairs of the absolute difference from the aim).
    """
    import pandas as pd

    rows = []
    for condition in conditions:
        point = point_of(summary, condition)
        if point is None:
            continue
        head = {name: str(summary.attrs[name]) for name in ("dataset", "source", "scale")}
        head |= {"condition": condition, "own_boundary": own_boundary(point)}
        for variant in summary["variant"].values.tolist():
            for boundary in summary["boundary"].values.tolist():
                rows.append(_of_curve(point.sel(variant=variant, boundary=boundary)).assign(**head))
    first = ["dataset", "source", "scale", "condition", "own_boundary", "variant", "boundary", "distance_mm"]
    rest = ["correlation_mean", "correlation_sem", "sd_over_pairs", "pairs", "aim", "n_seeds", "neighbor_r", "from_aim"]
    if not rows:
        return pd.DataFrame(columns=[*first, *rest])
    return pd.concat(rows, ignore_index=True)[[*first, *rest]]


def _of_curve(curve: xr.Dataset) -> pd.DataFrame:
    import pandas as pd

    table = pd.DataFrame(
        {
            "variant": str(curve["variant"].values),
            "boundary": str(curve["boundary"].values),
            "distance_mm": curve["distance"].values,
            "correlation_mean": curve["correlation_mean"].values,
            "correlation_sem": curve["correlation_sem"].values,
            "sd_over_pairs": curve["sd_mean"].values,
            "pairs": curve["pairs_mean"].values,
            "aim": inverse_distance(curve["distance"].values),
            "n_seeds": int(curve["n"]),
            "neighbor_r": float(curve["nearest_mean"]),
            "from_aim": float(curve["from_inverse_distance_mean"]),
        }
    )
    return table[table["pairs"] > 0]


def _bins(point: xr.Dataset, boundary: str, variant: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance, mean and SD over pairs of the bins that have pairs."""
    of = point.sel(boundary=boundary, variant=variant)
    there = of["pairs_mean"].values > 0
    return tuple(of[name].values[there] for name in ("distance", "correlation_mean", "sd_mean"))


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"
