"""Figure 2: which units at which frames share a denominator, drawn from the matrices that the models use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from toporep.errors import TopoRepError
from toporep.figures import style
from toporep.figures.keller2021_capsules.traversals import Sheet
from toporep.models.grouper import grouper_matrix

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

GROUPERS: tuple[Mapping[str, object], ...] = (
    {"label": "TVAE, L = 5S/36", "form": "shifting", "frames": 5, "units": 3},
    {"label": "BubbleVAE, L = 5S/36", "form": "stationary", "frames": 5, "units": 5},
    {"label": "TVAE, L = 0", "form": "stationary", "frames": 1, "units": 9},
    {"label": "TVAE, 2-D torus", "form": "torus", "frames": 1, "units": 5},
)
_OWN, _TERM, _SHARED = "#D55E00", "#0072B2", "#A8D0EA"
# Lay-out in inches.
_RINGS_TOP, _RINGS, _GRIDS_TOP, _LEFT, _BETWEEN = 0.52, 1.5, 2.5, 0.38, 0.3


@dataclass(frozen=True)
class Sharing:
    """What one variable t shares with the others of its capsule.

    Attributes:
        label: of the panel.
        form, frames, units: of the grouper: its form, and the frames and units that a neighborhood spans.
        terms: (rows, columns) how often the u² of a cell enters the denominator of the variable.
        shared: (rows, columns) number of terms that a cell's own denominator shares with it.

    Rows are frames and columns units; of a torus, both are units.
    """

    label: str
    form: str
    frames: int
    units: int
    terms: np.ndarray
    shared: np.ndarray


def draw(
    inputs: Mapping[str, Path],
    *,
    frames: int = 18,
    units: int = 18,
    frame: int = 9,
    unit: int = 9,
    capsules: int = 3,
    groupers: Sequence[Mapping[str, object]] = GROUPERS,
) -> tuple[Figure, pd.DataFrame]:
    """Draw capsules as rings of units within a frame, and for each grouper what one variable shares with others.

    Args:
        inputs: none.
        frames, units: of a sequence and a capsule; a torus has `frames` rows and `units` columns.
        frame, unit: of the variable shown; of a torus, its row and column.
        capsules: number of rings.
        groupers: of each panel its label, form and the frames and units that a neighborhood spans; the rings are of the
            first. The torus spans `units` × `units`.

    Returns:
        The figure, and a table with one row a cell: panel ("capsule" for the rings, otherwise the label), form,
        window_frames, window_units, frame, unit, other_frame, other_unit (of a torus, rows and columns), terms (how
        often the other's u² enters the denominator of (frame, unit)), shared (number of terms that both have).

    Raises:
        TopoRepError: an input, a place outside the sequence or capsule, a grouper that does not fit.

    Source: Keller & Welling 2021 (capsules), sections 4.4, 4.5 and Figure 2.
    """
    if inputs:
        raise TopoRepError(f"fig2_capsule_topology: expected no input, found {', '.join(inputs)}")
    for name, value, limit in (("frame", frame, frames), ("unit", unit, units)):
        if not 0 <= value < limit:
            raise TopoRepError(f"{name}: expected 0 to {limit - 1}, found {value}")
    if not groupers:
        raise TopoRepError("groupers: expected at least one, found none")
    found = [sharing(one, frames=frames, units=units, frame=frame, unit=unit) for one in groupers]
    ring = capsule(groupers[0], frames=frames, units=units)
    with style.context():
        figure = _draw(found, ring[1], capsules, place=(frame, unit))
    return figure, _table(found, ring, place=(frame, unit))


def sharing(grouper: Mapping[str, object], *, frames: int, units: int, frame: int, unit: int) -> Sharing:
    """What the variable at (frame, unit) shares with each other of its capsule, from the matrix W of v = W u²."""
    matrix = _matrix(grouper, frames=frames, units=units)
    row = matrix[frame * units + unit]
    shape = (frames, units)
    # A term that both have counts as often as both have it.
    shared = np.minimum(matrix, row).sum(1)
    span = (int(grouper["frames"]), int(grouper["units"]))
    label, form = str(grouper["label"]), str(grouper["form"])
    return Sharing(label, form, *span, row.reshape(shape).astype(int), shared.reshape(shape).astype(int))


def capsule(grouper: Mapping[str, object], *, frames: int, units: int) -> tuple[np.ndarray, np.ndarray]:
    """What two units of a capsule have to do with each other within a frame.

    Returns:
        (units, units) how often the u² of the second enters the denominator of the first, and the number of terms that
        both denominators share.
    """
    matrix = _matrix(grouper, frames=frames, units=units)
    terms = matrix[:units, :units]
    return terms.astype(int), np.minimum(terms[:, None], terms[None]).sum(-1).astype(int)


def _matrix(grouper: Mapping[str, object], *, frames: int, units: int) -> np.ndarray:
    if grouper["form"] == "torus":
        return grouper_matrix("torus", window=int(grouper["units"]), rows=frames, cols=units)
    span = {"window": int(grouper["frames"]), "unit_window": int(grouper["units"])}
    return grouper_matrix(str(grouper["form"]), frames=frames, units=units, **span)


def _draw(found: Sequence[Sharing], ring: np.ndarray, capsules: int, *, place: tuple[int, int]) -> Figure:
    between = _BETWEEN * (len(found) - 1)
    side = min((style.PAGE_WIDTH - _LEFT - 0.07 - between) / len(found), 2.4)
    height = side * found[0].terms.shape[0] / found[0].terms.shape[1]
    sheet = Sheet(_GRIDS_TOP + height + 0.68, _small_print(found, ring, place))
    width = found[0].units
    sheet.heading(0.14, "Capsules: disjoint neighborhoods", further=f"within a frame, neighborhoods of {width} units")
    for index in range(capsules):
        left = _LEFT + index * (_RINGS + 0.35)
        _draw_ring(sheet.axes(left, _RINGS_TOP, _RINGS, _RINGS), ring, f"capsule {index + 1}")
    _ring_words(sheet, _LEFT + capsules * (_RINGS + 0.35))
    sheet.heading(_GRIDS_TOP - 0.33, "One variable t and those that share its denominator")
    for column, one in enumerate(found):
        left = _LEFT + column * (side + _BETWEEN)
        axes = sheet.axes(left, _GRIDS_TOP, side, height)
        _draw_grid(axes, one, place=place)
        axes.set_title(one.label, loc="left", pad=3)
        axes.set_xlabel("column" if one.form == "torus" else "unit of the capsule", labelpad=1.5)
        if column == 0 or (one.form == "torus") != (found[column - 1].form == "torus"):
            axes.set_ylabel("row" if one.form == "torus" else "frame", labelpad=1.5)
    _legend(sheet, _GRIDS_TOP + height + 0.5)
    return sheet.figure


def _draw_ring(axes: Axes, ring: np.ndarray, name: str) -> None:
    """Units on a circle, a line for each two that share terms: the broader, the more."""
    angle = 2 * np.pi * np.arange(len(ring)) / len(ring)
    x, y = np.sin(angle), np.cos(angle)
    for a, b in zip(*np.nonzero(np.triu(ring, 1)), strict=True):
        axes.plot(x[[a, b]], y[[a, b]], color=_TERM, linewidth=0.5 * ring[a, b], zorder=1, solid_capstyle="round")
    axes.plot(x, y, linestyle="none", marker="o", markersize=6, color="white", markeredgecolor="0.2", zorder=2)
    axes.text(0, 0, name, ha="center", va="center", fontsize=6.5)
    axes.set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15), aspect=1)
    axes.set_axis_off()


def _ring_words(sheet: Sheet, left: float) -> None:
    circle, line = "circle: variable t\nof one unit", "line: their denominators\nshare u²; broader: more"
    words = f"{circle}\n\n{line}\n\nno line between capsules"
    sheet.text(left - 0.1, _RINGS_TOP + _RINGS / 2, words, fontsize=6.5, linespacing=1.25)


def _draw_grid(axes: Axes, one: Sharing, *, place: tuple[int, int]) -> None:
    rows, columns = one.terms.shape
    kind = np.where(one.terms > 0, 2, np.where(one.shared > 0, 1, 0))
    colors = ListedColormap(["#F4F4F4", _SHARED, _TERM])
    axes.imshow(kind, cmap=colors, vmin=-0.5, vmax=2.5, interpolation="none", aspect="auto", origin="upper")
    axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=0.6)
    axes.plot(place[1], place[0], marker="o", markersize=4, color=_OWN, markeredgecolor="white", markeredgewidth=0.6)
    axes.set(xticks=_ticks(columns), yticks=_ticks(rows))
    axes.tick_params(which="both", length=0, pad=1.5)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _ticks(n: int) -> list[int]:
    return list(range(0, n, max(1, n // 3)))


def _legend(sheet: Sheet, top: float) -> None:
    dot = {"linestyle": "none", "marker": "o", "markersize": 4, "markeredgewidth": 0}
    handles = [
        Line2D([], [], color=_OWN, label="the variable", **dot),
        Patch(facecolor=_TERM, label="its u² enters the denominator"),
        Patch(facecolor=_SHARED, label="its own denominator has some of the same u²"),
    ]
    left, y = sheet.place(_LEFT, top)
    style.legend(sheet.figure, handles, left=left, top=y)


def _table(found: Sequence[Sharing], ring: tuple[np.ndarray, np.ndarray], *, place: tuple[int, int]) -> pd.DataFrame:
    import pandas as pd

    terms, shared = ring
    unit, other = np.indices(terms.shape).reshape(2, -1)
    first = found[0]
    of_ring = {
        **{"panel": "capsule", "form": first.form, "window_frames": first.frames, "window_units": first.units},
        **{"frame": place[0], "unit": unit, "other_frame": place[0], "other_unit": other},
        **{"terms": terms.ravel(), "shared": shared.ravel()},
    }
    tables = [pd.DataFrame(of_ring)]
    for one in found:
        row, column = np.indices(one.terms.shape).reshape(2, -1)
        columns = {
            **{"panel": one.label, "form": one.form, "window_frames": one.frames, "window_units": one.units},
            **{"frame": place[0], "unit": place[1], "other_frame": row, "other_unit": column},
            **{"terms": one.terms.ravel(), "shared": one.shared.ravel()},
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _small_print(found: Sequence[Sharing], ring: np.ndarray, place: tuple[int, int]) -> list[str]:
    rows, columns = found[0].terms.shape
    counts = "; ".join(f"{one.label}: {one.terms.sum()}" for one in found)
    return [
        "A topographic variable is t = (z + μ) / √v with v = W u² (plus ε). Rings: one frame, capsules of "
        f"{len(ring)} units. Grids: one capsule over {rows} frames, circular both ways, and a torus of {rows} × "
        f"{columns} units; the variable is that of row {place[0]} and column {place[1]}. Drawn from the matrices W "
        f"that the models use. Terms of v: {counts}. With shifting coherence the neighborhood moves on by one unit a "
        "frame; the first and the last frame of its window have one unit less, as in the published code. With "
        "stationary coherence it does not move. No data, no network that was trained.",
    ]
