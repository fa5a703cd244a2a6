"""Figure 8: maps of faces against objects, and correlation against distance, for four sizes of the window."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.errors import TopoRepError
from toporep.figures import style
from toporep.figures.keller2021_category import (
    check_together,
    number,
    provenance_lines,
    read_runs,
    read_summary,
    seeds_of,
    window_of,
    windowed,
)
from toporep.figures.keller2021_category.curves import (
    WITHIN,
    curve_table,
    draw_aim,
    draw_band,
    draw_curve,
    handles,
    images_line,
    limits_of,
    longest_of,
    nearest_line,
    numbers_of,
    own_boundary,
    point_of,
    seeds_line,
)
from toporep.figures.keller2021_category.maps import (
    SELECTIVITY_LABELS,
    Row,
    draw_page,
    selectivity_panel,
    table,
    threshold_of,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAIN, _UNTRAINED = "tvae", "tvae_untrained"
_WINDOWS = ("tvae_smallest_window", "tvae_smaller_window", _MAIN, "tvae_larger_window")
_BOUNDARY = "torus"
# Lay-out in inches.
_HEIGHT, _ABOVE, _BELOW = 1.3, 0.62, 0.42
_WINDOW_LOOK = {"color": "0.35", "linewidth": 0.8, "linestyle": (0, (1, 1.4))}


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw the map and the curve of each window, from the smallest to the largest.

    Args:
        inputs: `imagenet_faces.selectivity_faces_windows.runs` → file of schema `selectivity`;
            `imagenet_faces.distance_correlation_windows` → file of schema `distance_correlation_summary`.

    Returns:
        The figure, and one table of both: rows of `maps.table`, then of `curves.curve_table` with `map` "curve".

    Raises:
        TopoRepError: see `read_runs`, `read_summary`; files of different scales; no TVAE in either.

    Source: Keller, Gao & Welling 2021, Figure 8.
    """
    metric, summary = (
        read_runs(inputs, "selectivity_faces_windows", "selectivity"),
        read_summary(inputs, "distance_correlation_windows", "distance_correlation"),
    )
    check_together([metric, summary])
    conditions = windowed([*metric["condition"].values.tolist(), *summary["condition"].values.tolist()])
    if not conditions:
        raise TopoRepError("inputs: expected TVAEs with windows of several sizes, found none; train one")
    with style.context():
        figure, rows = _draw(metric, summary, conditions)
    return figure, _table(rows, metric, summary, conditions)


def _draw(metric: xr.Dataset, summary: xr.Dataset, conditions: Sequence[str]) -> tuple[Figure, list[Row]]:
    panels = [selectivity_panel(metric, name, name="faces", title=_title(metric, summary, name)) for name in conditions]
    rows = [Row(panels, title=("faces vs objects", "Cohen's d"), labels=SELECTIVITY_LABELS)]
    sheet, places = draw_page(
        "Size of the TVAE's window",
        rows,
        metric.attrs,
        _small_print(metric, summary, conditions),
        keys=["selectivity"],
        largest=1.4,
        below=_ABOVE + _HEIGHT + _BELOW,
    )
    margin, top, _ = places[-1][0]
    curves = [name for name in (*conditions, _UNTRAINED) if point_of(summary, name) is not None]
    drawn = [name for name in (_MAIN, _UNTRAINED) if name in curves]
    legend_top = 1 - (top + 0.14) / sheet.figure.get_figheight()
    style.legend(sheet.figure, handles(summary.attrs, drawn), left=margin / style.PAGE_WIDTH, top=legend_top)
    limits = limits_of([point_of(summary, name) for name in curves])
    for index, (name, (left, _, side)) in enumerate(zip(conditions, places[0], strict=True)):
        axes = sheet.axes(left, top + _ABOVE, side, _HEIGHT)
        _draw_curves(axes, summary, name)
        axes.set(xlim=(0, 1.01 * longest_of(summary, _BOUNDARY)), ylim=limits, xlabel="distance (mm)")
        if index:
            axes.tick_params(labelleft=False)
        else:
            axes.set_ylabel("Pearson's r of two units")
    return sheet.figure, rows


def _title(metric: xr.Dataset, summary: xr.Dataset, condition: str) -> tuple[str, ...]:
    window = window_of(metric.attrs, condition) or window_of(summary.attrs, condition)
    return (f"{window} × {window}", "main model" if condition == _MAIN else "") if window else (condition,)


def _draw_curves(axes: Axes, summary: xr.Dataset, condition: str) -> None:
    draw_aim(axes, longest_of(summary, _BOUNDARY))
    axes.axhline(0, color="0.8", linewidth=0.6, zorder=0)
    point = point_of(summary, condition)
    if point is None:
        axes.text(0.5, 0.5, "not trained here", ha="center", va="center", fontsize=6, transform=axes.transAxes)
        return
    boundary = own_boundary(point)
    reach = _reach(summary.attrs, condition)
    if reach is not None:
        axes.axvline(reach, zorder=0.5, **_WINDOW_LOOK)
    draw_band(axes, point, condition, boundary=boundary)
    draw_curve(axes, point, condition, boundary=boundary, variant=WITHIN)
    draw_curve(axes, point, condition, boundary=boundary)
    beside = ""
    untrained = point_of(summary, _UNTRAINED)
    if condition == _MAIN and untrained is not None:
        draw_curve(axes, untrained, _UNTRAINED, boundary=boundary)
        beside = f" | {number(numbers_of(untrained, boundary)[0])}"
    # Over the panel: curve, band and the end of the window may lie anywhere in it.
    axes.set_title(f"neighbors: r = {number(numbers_of(point, boundary)[0])}{beside}", fontsize=6, color="0.2")


def _reach(attrs: Mapping[str, object], condition: str) -> float | None:
    """Distance in mm, along a row, from which on the windows of two units have nothing in common; None if all have."""
    window, side = window_of(attrs, condition), json.loads(str(attrs["training"]))["grid"][1]
    return window * float(attrs["spacing"]) if window and window <= side // 2 else None


def _small_print(metric: xr.Dataset, summary: xr.Dataset, conditions: Sequence[str]) -> list[str]:
    known = {*metric["condition"].values, *summary["condition"].values}
    absent = [name for name in _WINDOWS if name not in known]
    shown = sorted({seeds_of(metric, name)[0] for name in conditions if seeds_of(metric, name)})
    seeds = f"maps: seed {' and '.join(map(str, shown))}; curves: {seeds_line(summary, [*conditions, _UNTRAINED])}"
    return [
        "The window is the square of units that share a denominator, on a torus that is otherwise the same. Above: "
        "Cohen's d of each unit; r of neighbors, here the 4 units that share an edge with each, that of the untrained "
        "network with the main window and that of maps of images whose labels are shuffled; patch: units that share "
        f"edges and have d of at least {threshold_of(metric):g}, and the mean of the same units in random places; "
        "reliability: r of the maps of two halves of the images, for all of them (Spearman-Brown).",
        f"Below: Pearson's r of all pairs of units over images, against their distance. {images_line(summary)}. Lines: "
        "mean over pairs, then over seeds; band: ± SD over the pairs of a bin. Thin: less the mean of each set of "
        f"images. Neighbors of curves: {nearest_line(summary)}. Dashed black: 1 / (distance + 1), which a TDANN's loss "
        "asks for and a TVAE's does not. Dotted: from here on the windows of two units of a row share nothing (no "
        "line: all windows overlap). Chance: units in random places have the same r at every distance. The untrained "
        "network (its r after a bar) has what a window gives without learning.",
        *provenance_lines(metric.attrs, seeds=seeds, absent=absent),
    ]


def _table(rows: Sequence[Row], metric: xr.Dataset, summary: xr.Dataset, conditions: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    curves = curve_table(summary, [*conditions, _UNTRAINED])
    curves.insert(3, "map", "curve")
    both = pd.concat([table(rows, metric.attrs), curves], ignore_index=True)
    windows = [window_of(metric.attrs, name) or window_of(summary.attrs, name) for name in both["condition"]]
    both.insert(list(both).index("condition") + 1, "window", windows)
    return both
