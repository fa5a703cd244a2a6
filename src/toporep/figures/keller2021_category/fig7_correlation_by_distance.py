"""Figure 7: correlation of units against their distance on the sheet, with its own boundary and with the same one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from matplotlib.ticker import MaxNLocator

from toporep.errors import TopoRepError
from toporep.figures import style
from toporep.figures.keller2021_category import (
    disclaimer,
    in_order,
    label_of,
    number,
    provenance_lines,
    read_summary,
    window_text,
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
from toporep.figures.keller2021_category.maps import Sheet

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Of each panel of the paper, and what is drawn beside it: the same network untrained, or without the spatial loss.
_PANELS = {"fc6": None, "tvae": "tvae_untrained", "tdann": "tdann_nonspatial"}
_DRAWN = ("fc6", "tvae", "tvae_untrained", "tdann", "tdann_nonspatial")
_BOUNDARIES = {"torus": "all on a torus", "open": "all on a sheet with borders"}
_SHORT = {
    "fc6": "baseline",
    "tvae": "TVAE",
    "tvae_untrained": "untrained",
    "tdann": "TDANN",
    "tdann_nonspatial": "without the loss",
}
_AWAY = "mean |r \N{MINUS SIGN} 1/(d+1)|"
# Lay-out in inches.
_LEFT, _RIGHT, _GAP, _HEIGHT, _BELOW = 0.55, 0.08, 0.14, 1.75, 0.75


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw r against distance: three networks with the boundary of each, then all with the same boundary.

    Args:
        inputs: `imagenet_faces.distance_correlation` → file of schema `distance_correlation_summary`.

    Returns:
        The figure, and the table of `toporep.figures.keller2021_category.curves.curve_table`.

    Raises:
        TopoRepError: see `read_summary`; none of the networks of the figure.

    Source: Keller, Gao & Welling 2021, Figure 7; that boundaries be matched is proposed there (A.3).
    """
    summary = read_summary(inputs, "distance_correlation")
    drawn = [name for name in _DRAWN if point_of(summary, name) is not None]
    if not drawn:
        raise TopoRepError(
            f"inputs: expected curves of {', '.join(_PANELS)}, found {', '.join(summary['condition'].values) or 'none'}"
        )
    with style.context():
        figure = _draw(summary, drawn)
    return figure, curve_table(summary, drawn)


def _draw(summary: xr.Dataset, drawn: list[str]) -> Figure:
    attrs = summary.attrs
    tops = [1.12, 1.12 + _HEIGHT + _BELOW + 0.3]
    sheet = Sheet(tops[1] + _HEIGHT + _BELOW - 0.1, [*_small_print(summary, drawn), disclaimer(attrs)])
    sheet.heading("Correlation of units against their distance on the sheet", attrs)
    legend_top = 1 - 0.42 / sheet.figure.get_figheight()
    style.legend(sheet.figure, handles(attrs, drawn), left=_LEFT / style.PAGE_WIDTH, top=legend_top)
    limits = limits_of([point_of(summary, name) for name in drawn])
    longest = max(longest_of(summary, boundary) for boundary in _BOUNDARIES)
    for index, (condition, other) in enumerate(_PANELS.items()):
        place = _Place(index, len(_PANELS), tops[0])
        axes = _panel(sheet, place, f"{'abc'[index]}   {label_of(condition, attrs)}", longest, limits)
        _write_under(sheet, place, _draw_own(axes, summary, condition, other))
    for index, (boundary, title) in enumerate(_BOUNDARIES.items()):
        place = _Place(index, len(_BOUNDARIES), tops[1])
        axes = _panel(sheet, place, f"{'de'[index]}   {title}", longest_of(summary, boundary), limits)
        _write_under(sheet, place, _draw_same(axes, summary, drawn, boundary))
    return sheet.figure


class _Place(NamedTuple):
    """A panel's column, of how many, and its top in inches."""

    column: int
    columns: int
    top: float

    @property
    def width(self) -> float:
        return (style.PAGE_WIDTH - _LEFT - _RIGHT - (self.columns - 1) * _GAP) / self.columns

    @property
    def left(self) -> float:
        return _LEFT + self.column * (self.width + _GAP)


def _panel(sheet: Sheet, place: _Place, title: str, longest: float, limits: tuple[float, float]) -> Axes:
    axes = sheet.axes(place.left, place.top, place.width, _HEIGHT)
    draw_aim(axes, longest)
    axes.axhline(0, color="0.8", linewidth=0.6, zorder=0)
    axes.set(xlim=(0, longest * 1.01), ylim=limits, xlabel="distance (mm)")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_title(title, loc="left")
    if place.column:
        axes.tick_params(labelleft=False)
    else:
        axes.set_ylabel("Pearson's r of two units")
    return axes


def _write_under(sheet: Sheet, place: _Place, lines: Sequence[str]) -> None:
    for number_of_line, line in enumerate(lines):
        top = place.top + _HEIGHT + 0.42 + 0.11 * number_of_line
        sheet.text(place.left + place.width / 2, top, line, ha="center", color="0.2")


def _draw_own(axes: Axes, summary: xr.Dataset, condition: str, other: str | None) -> list[str]:
    """Draw a network with its own boundary and the one that it is compared with; lines on both."""
    point = point_of(summary, condition)
    if point is None:
        axes.text(0.5, 0.5, "not trained here", ha="center", va="center", fontsize=6, transform=axes.transAxes)
        return []
    boundary = own_boundary(point)
    draw_band(axes, point, condition, boundary=boundary)
    draw_curve(axes, point, condition, boundary=boundary, variant=WITHIN)
    draw_curve(axes, point, condition, boundary=boundary)
    compared = point_of(summary, other) if other else None
    beside = ["", ""]
    if compared is not None:
        draw_curve(axes, compared, other, boundary=boundary)
        beside = [f" | {number(value)}" for value in numbers_of(compared, boundary)]
    nearest, away = numbers_of(point, boundary)
    words = {"torus": "torus", "open": "sheet with borders"}[boundary]
    return [
        ", ".join(filter(None, [window_text(summary.attrs, condition), words])),
        f"neighbors: r = {number(nearest)}{beside[0]}",
        f"{_AWAY} = {number(away)}{beside[1]}",
    ]


def _draw_same(axes: Axes, summary: xr.Dataset, drawn: Sequence[str], boundary: str) -> list[str]:
    """Draw all networks with one boundary, which is their own or not; a line on how far each is from the aim."""
    for name in reversed(drawn):
        draw_curve(axes, point_of(summary, name), name, boundary=boundary)
    away = [f"{_SHORT[name]} {number(numbers_of(point_of(summary, name), boundary)[1])}" for name in drawn]
    return [f"{_AWAY}:", ", ".join(away)]


def _small_print(summary: xr.Dataset, drawn: Sequence[str]) -> list[str]:
    absent = in_order([name for name in _DRAWN if name not in drawn])
    return [
        f"Pearson's r of all pairs of units over images, against their distance d. {images_line(summary)}. "
        "Lines: mean over the pairs of a bin, then over seeds; band: ± SD over these pairs, not an error of the mean. "
        "Thin lines: less the mean of each set of images, since r over a mix of sets is mostly what tells the sets "
        f"apart. Neighbors: {nearest_line(summary)}. Dashed black: 1 / (d + 1) with d in mm, which the TDANN's spatial "
        "loss asks for; how far r is from it, mean over all pairs, is that loss but for a factor. After a bar: of the "
        "dashed curve.",
        "a to c: each sheet with its own boundary, as in the paper. Around a torus two units are never far apart. "
        "d, e: the same boundary for all, as the paper proposes; on another boundary than its own, neighbors of a TVAE "
        "count as distant, and distant units of a TDANN as neighbors. Chance: units in random places have the same r "
        "at every distance, as those of a, which are in no order. The untrained TVAE has what the window gives without "
        "learning; the TDANN without its spatial loss, what learning gives without the loss.",
        *provenance_lines(summary.attrs, seeds=seeds_line(summary, drawn), absent=absent),
    ]
