"""Figure 10: maps of the dominant cycle on the sheet, and how often neighbors share it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from toporep.errors import TopoRepError
from toporep.figures import style
from toporep.figures.inputs import check_identity
from toporep.figures.truong2025 import (
    PAPER,
    axis_strengths,
    families,
    inputs_of,
    on_axis,
    provenance_lines,
    settings_of,
    summary_table,
)
from toporep.figures.truong2025.tuning import (
    CONTROL_STIMULI,
    PUBLISHED_STIMULI,
    WEDGE_ARTEFACT,
    changed_text,
    check_variants,
    read_panels,
)
from toporep.io import read_dataset

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

ANALYSIS, CONDITION = "harmonics", "ws"
# Cycle 0 (none) in grey, then cycles 1, 2, …: apart under color blindness, and none a condition's color.
CYCLE_COLORS = ("#D9D9D9", "#332288", "#88CCEE", "#DDCC77", "#AA4499", "#117733")
_FURTHER_CYCLES = "#FFFFFF"
_VARIABLES = ["agreement_mean", "agreement_sem", "agreement_chance_mean"]

# Lay-out in inches: legend of the maps; a title and rows of maps a dataset; legend, title, panel and labels below.
_HEAD, _TITLE, _BELOW, _LEGEND, _PANEL_TITLE, _PANEL, _LABELS = 0.3, 0.36, 0.12, 0.62, 0.2, 1.8, 0.46
_LEFT, _RIGHT, _GAP, _COLUMN_GAP, _LARGEST_MAP = 0.66, 0.05, 0.06, 0.14, 0.8


def draw(inputs: Mapping[str, Path], *, models: int = 2) -> tuple[Figure, pd.DataFrame]:
    """Draw maps of weight-similarity networks by strength for each dataset, then agreement of neighbors.

    Args:
        inputs: `<dataset>.harmonics` → file of schema `harmonics_summary`, and `<dataset>.harmonics.runs` → file of
            schema `harmonics`, in panel order.
        models: networks a strength: those with the first seeds.

    Returns:
        The figure, and a table. One row a unit of each map: dataset, source, scale, panel ("map"), condition, strength,
        variant, seed, row, col, dominant. One row a point and variant of the lower panels ("agreement"):
        agreement_mean, agreement_sem, agreement_chance_mean, n_seeds, note.

    Raises:
        TopoRepError: see `tuning.read_panels`; metric files of other runs or settings than the summaries; fewer
            networks than asked for.

    Source: Truong & Hasson 2025, sections 2.4 and 3.5, and Figure 10.
    """
    panels = read_panels(inputs_of(inputs, ANALYSIS), "harmonics_summary")
    runs = _read_runs(inputs_of(inputs, ANALYSIS, runs=True), panels)
    maps = {name: _maps(data, name, models) for name, data in runs.items()}
    agreement = _agreement(panels)
    with style.context():
        figure = _draw(panels, maps, agreement, models=models)
    return figure, _table(panels, maps, agreement)


def _read_runs(inputs: Mapping[str, Path], panels: Mapping[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    runs = {}
    for name, panel in panels.items():
        if name not in inputs:
            raise TopoRepError(f"inputs: {name}.{ANALYSIS}.runs is missing; give the metric file beside the summary")
        runs[name] = read_dataset(inputs[name], ANALYSIS)
        shared = ("source", "scale", "settings", "training")
        check_identity(inputs[name], runs[name].attrs, paper=PAPER, dataset=name, **{k: panel.attrs[k] for k in shared})
        check_variants(inputs[name], runs[name])
    return runs


def _maps(data: xr.Dataset, name: str, models: int) -> dict[tuple[float, int], np.ndarray]:
    """(strength, seed) → (rows, columns) of dominant cycles, for the first seeds of each strength."""
    if models < 1:
        raise TopoRepError(f"models: expected at least 1, found {models}")
    rows, columns = data["row"].values, data["col"].values
    chosen = data.isel(run=np.flatnonzero(data["condition"].values == CONDITION))
    found = {}
    for strength in np.unique(chosen["strength"].values).tolist():
        own = chosen.isel(run=np.flatnonzero(chosen["strength"].values == strength)).sortby("seed")
        if own.sizes["run"] < models:
            raise TopoRepError(
                f"{name}: {CONDITION} at strength {strength:g} has {own.sizes['run']} networks, expected at least "
                f"{models}; lower figures.fig10_angular_maps.models or train more seeds"
            )
        for run in range(models):
            values = np.zeros((rows.max() + 1, columns.max() + 1), dtype=int)
            values[rows, columns] = own["dominant"].sel(variant=PUBLISHED_STIMULI).values[run]
            found[strength, int(own["seed"].values[run])] = values
    return found


def _agreement(panels: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    kept = {name: panel.sel(variant=[PUBLISHED_STIMULI, CONTROL_STIMULI]) for name, panel in panels.items()}
    table = summary_table(kept, _VARIABLES)
    table["note"] = np.where(table["agreement_sem"].isna(), "one seed: no SEM", "")
    return table


def _table(
    panels: Mapping[str, xr.Dataset],
    maps: Mapping[str, Mapping[tuple[float, int], np.ndarray]],
    agreement: pd.DataFrame,
) -> pd.DataFrame:
    import pandas as pd

    tables = []
    for name, found in maps.items():
        for (strength, seed), values in found.items():
            index = np.indices(values.shape).reshape(2, -1)
            columns = {
                "dataset": name,
                **{key: panels[name].attrs[key] for key in ("source", "scale")},
                "panel": "map",
                "condition": CONDITION,
                "strength": strength,
                "variant": PUBLISHED_STIMULI,
                "seed": seed,
                "row": index[0],
                "col": index[1],
                "dominant": values.ravel(),
            }
            tables.append(pd.DataFrame(columns))
    table = pd.concat([*tables, agreement.assign(panel="agreement")], ignore_index=True)
    whole = dict.fromkeys(("seed", "row", "col", "dominant", "n_seeds"), "Int64")
    return table.astype(whole).fillna({"note": ""})


def _draw(
    panels: Mapping[str, xr.Dataset],
    maps: Mapping[str, Mapping[tuple[float, int], np.ndarray]],
    agreement: pd.DataFrame,
    *,
    models: int,
) -> Figure:
    foot = style.SmallPrint(_small_print(panels, models), left=0.07)
    strengths = max(len({strength for strength, _ in found}) for found in maps.values())
    free = style.PAGE_WIDTH - _LEFT - _RIGHT - (strengths - 1) * _COLUMN_GAP
    side = min(free / strengths, _LARGEST_MAP)
    block = _TITLE + models * side + (models - 1) * _GAP + _BELOW
    below = _LEGEND + _PANEL_TITLE + _PANEL + _LABELS
    figure = Figure(figsize=(style.PAGE_WIDTH, _HEAD + len(maps) * block + below + foot.height))
    top, letters = figure.get_figheight() - _HEAD, iter("ABCDEFGH")
    for name, found in maps.items():
        title = f"{next(letters)}  {style.dataset_title(name, panels[name].attrs['source'])}"
        _draw_maps(figure, found, title=title, top=top, side=side)
        top -= block
    _cycle_legend(figure, panels)
    _draw_agreement(figure, panels, agreement, letters=letters, top=top)
    foot.draw(figure)
    return figure


def _draw_maps(
    figure: Figure, found: Mapping[tuple[float, int], np.ndarray], *, title: str, top: float, side: float
) -> None:
    width, height = figure.get_size_inches()
    strengths = sorted({strength for strength, _ in found})
    figure.text(0.07 / width, (top - 0.03) / height, title, fontsize=8, fontweight="bold", va="top")
    for column, strength in enumerate(strengths):
        left = _LEFT + column * (side + _COLUMN_GAP)
        text = f"λ = {style.strength_label(strength)}"
        figure.text((left + side / 2) / width, (top - _TITLE + 0.04) / height, text, ha="center", va="bottom")
        for row, seed in enumerate(sorted(seed for one, seed in found if one == strength)):
            bottom = top - _TITLE - row * (side + _GAP) - side
            axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
            colormap, norm = _colors(max(5, max(int(values.max()) for values in found.values())))
            axes.imshow(found[strength, seed], cmap=colormap, norm=norm, interpolation="nearest", origin="upper")
            axes.set_axis_off()
            if column == 0:
                x, y = (left - 0.08) / width, (bottom + side / 2) / height
                figure.text(x, y, f"seed {seed}", ha="right", va="center", fontsize=6.5)


def _colors(cycles: int) -> tuple[ListedColormap, BoundaryNorm]:
    colors = [*CYCLE_COLORS, *[_FURTHER_CYCLES] * cycles][: cycles + 1]
    return ListedColormap(colors), BoundaryNorm(np.arange(-0.5, cycles + 1), cycles + 1)


def _cycle_legend(figure: Figure, panels: Mapping[str, xr.Dataset]) -> None:
    cycles = [int(cycle) for cycle in next(iter(panels.values()))["cycle"].values if cycle]
    colormap, _ = _colors(max(cycles))
    handles = [Patch(facecolor=colormap(cycle), label=f"{cycle} ({360 / cycle:g}°)") for cycle in cycles]
    handles.append(Patch(facecolor=colormap(0), label="none"))
    figure.legend(
        handles=handles,
        title="Dominant cycle (period), WS networks",
        title_fontsize=7,
        alignment="left",
        loc="upper left",
        bbox_to_anchor=(_LEFT / style.PAGE_WIDTH, 1 - 0.05 / figure.get_figheight()),
        bbox_transform=figure.transFigure,
        ncols=len(handles),
        borderaxespad=0,
        borderpad=0,
        handlelength=1.0,
        columnspacing=1.4,
    )


def _draw_agreement(
    figure: Figure, panels: Mapping[str, xr.Dataset], table: pd.DataFrame, *, letters: Iterator[str], top: float
) -> None:
    width, height = figure.get_size_inches()
    styles = style.condition_styles(list(dict.fromkeys(table["condition"])))
    _agreement_legend(figure, styles, top=top)
    bottom = top - _LEGEND - _PANEL_TITLE - _PANEL
    gap = 0.3
    panel = (width - _LEFT - _RIGHT - (len(panels) - 1) * gap) / len(panels)
    first = None
    for column, name in enumerate(panels):
        left = _LEFT + column * (panel + gap)
        axes = figure.add_axes((left / width, bottom / height, panel / width, _PANEL / height), sharey=first)
        first = first or axes
        _draw_panel(axes, table[table["dataset"] == name], styles)
        title = f"{next(letters)}  {style.dataset_title(name, panels[name].attrs['source'])}"
        axes.set_title(title, loc="left", fontweight="bold", fontsize=8, pad=4)
    first.set_ylabel("share of neighbors with\nthe same dominant cycle")


def _draw_panel(axes: Axes, table: pd.DataFrame, styles: Mapping[str, style.ConditionStyle]) -> None:
    strengths = axis_strengths(table)
    style.strength_axis(axes, strengths)
    axes.set_xlabel("spatial weight λ")
    x = np.arange(len(strengths))
    hard, control = (table[table["variant"] == variant] for variant in (PUBLISHED_STIMULI, CONTROL_STIMULI))
    for condition in families(table["condition"].tolist()):
        look = styles[condition]
        own, other = (rows[rows["condition"] == condition] for rows in (hard, control))
        mean = on_axis(own, strengths, "agreement_mean")
        style.band(axes, x, mean, on_axis(own, strengths, "agreement_sem"), color=look.color)
        axes.plot(x, mean, color=look.color, marker=look.marker, zorder=3)
        axes.plot(x, on_axis(own, strengths, "agreement_chance_mean"), color=look.color, **_CHANCE)
        axes.plot(x, on_axis(other, strengths, "agreement_mean"), color=look.color, **_CONTROL_LINE)
    control_row, other_row = (rows[rows["condition"] == style.CONTROL].iloc[0] for rows in (hard, control))
    red = styles[style.CONTROL].color
    style.control_line(axes, control_row["agreement_mean"], control_row["agreement_sem"])
    axes.axhline(control_row["agreement_chance_mean"], color=red, **_CHANCE)
    axes.axhline(other_row["agreement_mean"], color=red, **_CONTROL_LINE)


_CHANCE = {"linestyle": ":", "linewidth": 0.8, "zorder": 2}
_CONTROL_LINE = {"linestyle": "-", "linewidth": 0.5, "zorder": 2.2}


def _agreement_legend(figure: Figure, styles: Mapping[str, style.ConditionStyle], *, top: float) -> None:
    handles = [style.condition_handle(look, marker=name != style.CONTROL) for name, look in styles.items()]
    handles.append(Line2D([], [], color="0.25", label="chance: same labels in random places", **_CHANCE))
    handles.append(Line2D([], [], color="0.25", label="area-normalized stimuli", **_CONTROL_LINE))
    style.legend(figure, handles, left=_LEFT / style.PAGE_WIDTH, top=(top - 0.12) / figure.get_figheight())


def _small_print(panels: Mapping[str, xr.Dataset], models: int) -> list[str]:
    largest = settings_of(panels).get("max_cycle", 5)
    seeds = "the first seed" if models == 1 else f"the first {models} seeds"
    letters = "ABCDEFGH"
    count = len(panels)
    upper = " and ".join(letters[:count]) if count < 3 else f"{letters[0]} to {letters[count - 1]}"
    lower = " and ".join(letters[count : 2 * count]) if count < 3 else f"{letters[count]} to {letters[2 * count - 1]}"
    return [
        f"Dominant cycle: the one of cycles 1 to {largest} with the largest power in the responses (before the ReLU) "
        f"to hard-edged wedges. {upper}: the sheet of single WS networks, {seeds} at each λ; row 0 and column 0 at the "
        f"top left. {lower}: share of a unit's 3, 5 or 8 neighbors with its label, mean over units, then over seeds; "
        "shaded: ± SEM over seeds (ddof 1). Dotted: the same labels in random places, mean over seeds. Thin: the "
        f"agreement with area-normalized wedges. {style.EVEN_STEPS}",
        changed_text(panels, what="dominant cycle"),
        WEDGE_ARTEFACT,
        *provenance_lines(panels),
    ]
