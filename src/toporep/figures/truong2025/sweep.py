"""Quantities against the spatial weight: pages of panels, one line a condition, the control across."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from toporep.figures import style
from toporep.figures.truong2025 import axis_strengths, families, on_axis

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

NO_SEM = "one seed: no SEM"
BAND = f"Shaded: ± SEM over seeds (ddof 1). {style.EVEN_STEPS}"


def draw_sweep(
    axes: Axes, rows: pd.DataFrame, variable: str, styles: Mapping[str, style.ConditionStyle], *, compact: bool = False
) -> None:
    """Draw mean ± SEM against the spatial weight, one line a condition; the control, which has none, across.

    Args:
        axes: the panel.
        rows: one row a point, with columns condition, strength, `<variable>_mean`, `<variable>_sem`.
        variable: which columns.
        styles: condition → look.
        compact: for narrow panels: small markers, strengths without the zero before the point.
    """
    strengths = axis_strengths(rows)
    style.strength_axis(axes, strengths, compact=compact)
    x = np.arange(len(strengths))
    size = {"markersize": 2.2, "linewidth": 1.0} if compact else {}
    for condition in families(rows["condition"].tolist()):
        own, look = rows[rows["condition"] == condition], styles[condition]
        mean = on_axis(own, strengths, f"{variable}_mean")
        style.band(axes, x, mean, on_axis(own, strengths, f"{variable}_sem"), color=look.color)
        axes.plot(x, mean, color=look.color, marker=look.marker, zorder=3, **size)
        style.mark_missing(axes, x[np.isnan(mean) & np.isin(strengths, own["strength"])], y=0.04, color=look.color)
    control = rows[rows["condition"] == style.CONTROL].iloc[0]
    style.control_line(axes, control[f"{variable}_mean"], control[f"{variable}_sem"])


def condition_handles(
    styles: Mapping[str, style.ConditionStyle], *, unmarked: Sequence[str] = (style.CONTROL,)
) -> list[Artist]:
    """Legend entries of the conditions, those in `unmarked` without a marker."""
    return [style.condition_handle(look, marker=name not in unmarked) for name, look in styles.items()]


def styles_of(table: pd.DataFrame) -> dict[str, style.ConditionStyle]:
    """The look of each condition of a table, in its order."""
    return style.condition_styles(list(dict.fromkeys(table["condition"])))


def short_title(dataset: str, source: str) -> str:
    """Name the dataset of a narrow panel, and the images that stand in for it; the small print tells more."""
    title = style.dataset_title(dataset, dataset)
    return title if source == dataset else f"{title}: {source}"


def name_abscissa(axes: Axes, label: str = "spatial weight λ") -> None:
    """Name the abscissa."""
    axes.set_xlabel(label, labelpad=2)


def note(table: pd.DataFrame, variable: str, *, undefined: str = "") -> np.ndarray:
    """Why a row lacks its mean (`undefined`) or its SEM."""
    missing = ~np.isfinite(table[f"{variable}_mean"]), table[f"{variable}_sem"].isna()
    return np.select(missing, [undefined, NO_SEM], "")
