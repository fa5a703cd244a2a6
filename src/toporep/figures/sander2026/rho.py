"""Quantities against the topographic weight ρ: its axis, on which 0 stands apart, and what is drawn over it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from toporep.figures import style
from toporep.figures.sander2026 import rho_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

AXIS_NOTE = "Logarithmic axis of ρ, on which ρ = 0, no topographic loss, stands apart at the left."
CHANCE_COLOR, CHANCE_WIDTH = "0.55", 0.8
ZERO_LINE = {"linewidth": 0.6, "linestyle": (0, (5, 3))}
# The paper's ρ rise by this factor: neighbors are 1 apart on the axis.
_FACTOR = 5.0


@dataclass(frozen=True)
class RhoAxis:
    """Where each ρ stands: 0 at 0, the lowest other one at `gap`, from there logarithmic, a factor of 5 a unit.

    Attributes:
        rhos: ascending.
        gap: room for ρ = 0, in units of the axis.
        margin: room at both ends.
    """

    rhos: tuple[float, ...]
    gap: float = 1.0
    margin: float = 0.4

    @classmethod
    def of(cls, tables: pd.DataFrame | Iterable[pd.DataFrame], **options: float) -> RhoAxis:
        """The axis of all ρ in a table's column `strength`, or in those of several tables."""
        tables = [tables] if hasattr(tables, "columns") else tables
        return cls(tuple(sorted({float(rho) for table in tables for rho in table["strength"]})), **options)

    @property
    def limits(self) -> tuple[float, float]:
        """Ends of the axis."""
        places = self.places(self.rhos)
        return float(places[0] - self.margin), float(places[-1] + self.margin)

    def places(self, rhos: Sequence[float]) -> np.ndarray:
        """Places of values of ρ, which need not be those of the axis."""
        rhos = np.asarray(rhos, dtype=float)
        lowest = min((rho for rho in self.rhos if rho > 0), default=1.0)
        with np.errstate(divide="ignore"):
            return np.where(rhos > 0, self.gap + np.log(rhos / lowest) / np.log(_FACTOR), 0.0)

    def draw(self, axes: Axes, *, labels: bool = True, name: bool = True) -> None:
        """Make the abscissa of a panel this one."""
        axes.set_xticks(self.places(self.rhos), [rho_text(rho) for rho in self.rhos])
        axes.set_xlim(*self.limits)
        axes.tick_params(labelbottom=labels)
        if self.rhos[0] == 0 and len(self.rhos) > 1:
            _break(axes, self.gap / 2)
        if name:
            axes.set_xlabel("topographic weight ρ", labelpad=2)


def draw_series(
    axes: Axes,
    rows: pd.DataFrame,
    variable: str,
    look: style.ConditionStyle,
    axis: RhoAxis,
    *,
    shift: float = 0.0,
    bars: bool = False,
    hollow: bool = False,
    across: bool = False,
    markersize: float = 3.2,
) -> None:
    """Draw one condition over ρ: a line where ρ > 0, a point with a vertical line for ± SD at ρ = 0.

    Args:
        axes: the panel.
        rows: of one condition, with columns strength, `<variable>_mean` and, if it has one, `<variable>_sd`.
        variable: which columns.
        look: of the condition.
        axis: where each ρ stands.
        shift: sideways, so that conditions do not hide each other.
        bars: show ± SD by vertical lines instead of a band.
        hollow: white markers.
        across: draw the value at ρ = 0 as a thin line across the panel too.
        markersize: in points.
    """
    rows = rows.sort_values("strength")
    x = axis.places(rows["strength"]) + shift
    mean = rows[f"{variable}_mean"].to_numpy(dtype=float)
    sd = rows[f"{variable}_sd"].to_numpy(dtype=float) if f"{variable}_sd" in rows else np.full_like(mean, np.nan)
    zero = rows["strength"].to_numpy(dtype=float) == 0
    marks = {"marker": look.marker, "markersize": markersize, "markeredgewidth": 0.8}
    marks |= {"color": look.color, "markerfacecolor": "white" if hollow else look.color}
    if not bars:
        style.band(axes, x[~zero], mean[~zero], sd[~zero], color=look.color)
    barred = np.isfinite(sd) & (zero | bars)
    if barred.any():
        low, high = (mean - sd)[barred], (mean + sd)[barred]
        axes.vlines(x[barred], low, high, color=look.color, linewidth=0.9, zorder=2.5)
    for part, line in ((~zero, look.linestyle), (zero, "none")):
        if part.any():
            axes.plot(x[part], mean[part], linestyle=line, linewidth=1.1, zorder=3, **marks)
    if across and zero.any():
        axes.axhline(mean[zero][0], color=look.color, zorder=2, **ZERO_LINE)


def shifts(n: int, step: float) -> np.ndarray:
    """Displacements of n conditions that stand side by side, `step` apart."""
    return step * (np.arange(n) - (n - 1) / 2)


def chance_line(axes: Axes, value: float, *, right: float | None = None) -> None:
    """Draw a chance level across the panel, up to `right` on the abscissa where it is given."""
    left, end = axes.get_xlim()
    axes.plot([left, end if right is None else right], [value, value], color=CHANCE_COLOR, lw=CHANCE_WIDTH, zorder=1)


def chance_handle(label: str) -> Artist:
    """Legend entry of `chance_line`."""
    return Line2D([], [], color=CHANCE_COLOR, linewidth=CHANCE_WIDTH, label=label)


def log_axis(axes: Axes) -> None:
    """Make the ordinate logarithmic, with plain numbers at 1, 2 and 5 of each decade."""
    axes.set_yscale("log", nonpositive="clip")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _break(axes: Axes, x: float) -> None:
    """Cut the axis at x by two strokes, as the scale on their two sides is not one."""
    marks = {"transform": axes.get_xaxis_transform(), "linestyle": "none", "clip_on": False, "zorder": 5}
    axes.plot([x], [0], marker="s", markersize=2.6, color="white", markeredgewidth=0, **marks)
    stroke = {"marker": [(-0.5, -1), (0.5, 1)], "markersize": 4.5, "markeredgecolor": "k", "markeredgewidth": 0.6}
    axes.plot([x - 0.07, x + 0.07], [0, 0], color="k", **stroke, **marks)
