"""Figure 4: smoothness of the activation maps and length of the weight vectors against the topographic weight."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D

from toporep.figures import style
from toporep.figures.layout import Block, Page, name_ordinate
from toporep.figures.sander2026 import (
    BAND,
    NO_DROPOUT,
    condition_styles,
    in_order,
    is_variant,
    note,
    objective_of,
    objectives_in,
    provenance_lines,
    quantity_table,
    read_summary,
    settings_of,
    title_of,
    trials_text,
)
from toporep.figures.sander2026.rho import (
    AXIS_NOTE,
    ZERO_LINE,
    RhoAxis,
    chance_handle,
    chance_line,
    draw_series,
    log_axis,
    shifts,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Mean length of a row of a linear layer before training: its weights are uniform in ±1/√inputs (Architecture).
INITIAL_NORM = 1 / np.sqrt(3)
_INITIAL = {"color": "0.25", "linewidth": 0.8, "linestyle": (0, (1, 2.5))}
_STEP = 0.07


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw Moran's I, the mean norm of the embedding layer's weight vectors, and Moran's I of centered maps.

    Args:
        inputs: `<dataset>.morans_i`, `<dataset>.morans_i_centered` and `<dataset>.weight_norms` → files of the schemas
            `morans_i_summary` (two) and `weight_norms_summary`, of the same conditions.

    Returns:
        The figure, one line a condition, and a table with the columns dataset, source, scale, quantity ("morans_i",
        "norm" or "morans_i_centered"), condition, strength (ρ), value_mean, value_sd, n_trials, reference (chance, or
        the norm before training), note.

    Raises:
        TopoRepError: see `read_summary`; the files are not of the same points.

    Source: Sander & Hasson 2026, "Smoothness" and Figure 4.
    """
    maps = read_summary(inputs, "morans_i_summary", analysis="morans_i")
    centered = read_summary(inputs, "morans_i_summary", analysis="morans_i_centered")
    weights = read_summary(inputs, "weight_norms_summary", analysis="weight_norms")
    table = _table(maps, weights, centered)
    conditions = in_order(table["condition"].tolist())
    with style.context():
        words = _words(table, settings_of(maps))
        lines = [words, *provenance_lines(maps.attrs, conditions=conditions)]
        page = Page([Block(1, 3, 2.5, title=0.42, between=0.66)], lines, head=0.55)
        page.heading(0, title_of(maps.attrs), above=0.25)
        axis = RhoAxis.of(table)
        _draw_smoothness(page.panel(0, 0, 0), _rows(table, "morans_i"), axis, "a  smoothness of the maps")
        _draw_norms(page.panel(0, 0, 1), _rows(table, "norm"), axis)
        _draw_smoothness(page.panel(0, 0, 2), _rows(table, "morans_i_centered"), axis, "c  as a, each unit centered")
        page.legend(_handles(conditions, maps))
    return page.figure, table


def _table(maps: xr.Dataset, weights: xr.Dataset, centered: xr.Dataset) -> pd.DataFrame:
    new_names = {name: f"morans_i_centered{name.removeprefix('morans_i')}" for name in centered.data_vars}
    table = quantity_table({"morans_i": maps, "norm": weights, "morans_i_centered": centered.rename(new_names)})
    references = {
        "morans_i": float(maps.attrs["chance_morans_i"]),
        "norm": INITIAL_NORM,
        "morans_i_centered": float(centered.attrs["chance_morans_i"]),
    }
    table["reference"] = table["quantity"].map(references)
    table["note"] = note(table, "value", undefined="every map is constant: no Moran's I")
    return table


def _rows(table: pd.DataFrame, quantity: str) -> pd.DataFrame:
    return table[table["quantity"] == quantity]


def _draw_smoothness(axes: Axes, table: pd.DataFrame, axis: RhoAxis, title: str) -> None:
    _draw_panel(axes, table, axis)
    chance_line(axes, table["reference"].iloc[0])
    axes.set_title(title, loc="left")
    name_ordinate(axes, "Moran's I")


def _draw_norms(axes: Axes, table: pd.DataFrame, axis: RhoAxis) -> None:
    _draw_panel(axes, table, axis, across=True)
    axes.axhline(INITIAL_NORM, zorder=1, **_INITIAL)
    log_axis(axes)
    axes.set_title("b  length of weight vectors", loc="left")
    name_ordinate(axes, "mean L2 norm (log scale)", away=0.42)


def _draw_panel(axes: Axes, table: pd.DataFrame, axis: RhoAxis, *, across: bool = False) -> None:
    styles = condition_styles(list(dict.fromkeys(table["condition"])))
    objectives = objectives_in(list(dict.fromkeys(map(objective_of, styles))))
    places = dict(zip(objectives, shifts(len(objectives), _STEP), strict=True))
    for condition, look in styles.items():
        without = is_variant(condition, NO_DROPOUT)
        own = table[table["condition"] == condition]
        options = {"hollow": True, "markersize": 2.6} if without else {"across": across}
        draw_series(axes, own, "value", look, axis, shift=places[objective_of(condition)], **options)
    axis.draw(axes)


def _words(table: pd.DataFrame, settings: Mapping[str, object]) -> str:
    relu = "after the ReLU" if settings.get("activation") == "post" else "before any ReLU"
    neighbors = {"rook": "4 neighbors (rook)", "queen": "8 neighbors (queen)"}[str(settings["neighborhood"])]
    return (
        f"a: Moran's I of the map of the embedding {relu}, binary weights of {neighbors}, mean over the test images. "
        "b: length of a unit's vector of incoming weights, mean over units. c: as a, after each unit's mean over the "
        "test images is taken away, and with it the layer's biases, on which topography does not act (not in the "
        f"paper). Mean over trials. Shaded, at ρ = 0 vertical lines: {BAND}; {trials_text(table)}. {AXIS_NOTE}"
    )


def _handles(conditions: list[str], maps: xr.Dataset) -> list[Artist]:
    styles = condition_styles(conditions)
    handles = [style.condition_handle(styles[name]) for name in objectives_in(conditions)]
    if any(is_variant(name, NO_DROPOUT) for name in conditions):
        look = {"color": "0.35", "linestyle": ":", "marker": "o", "markersize": 2.6, "markerfacecolor": "white"}
        handles.append(Line2D([], [], label="the same without dropout", **look))
    chance = float(maps.attrs["chance_morans_i"])
    handles.append(chance_handle(f"a, c: chance, {chance:.4f}".replace("-", "\N{MINUS SIGN}")))
    handles.append(Line2D([], [], color="0.35", label="b: value at ρ = 0", **ZERO_LINE))
    handles.append(Line2D([], [], label="b: before training, 1/√3", **_INITIAL))
    return handles
