"""What the figures of tuning share: shares of units in classes, with hard-edged and with area-normalized stimuli."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from toporep.errors import TopoRepError
from toporep.figures import style
from toporep.figures.truong2025 import axis_strengths, families, provenance_lines, read_summaries, summary_table

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

# Stimuli as published, and those of equal light beside them (docs/deviations.md, D28).
PUBLISHED_STIMULI, CONTROL_STIMULI = "hard", "area_normalized"
WEDGE_ARTEFACT = (
    "Artefact: the number of lit pixels of a hard-edged wedge rises and falls four times around the circle, so a unit "
    "that merely follows the light counts as cycle 4."
)
RING_ARTEFACT = (
    "Artefact: larger rings have more lit pixels (r = 0.985 with the radius), so a unit that merely follows the light "
    "counts as increasing or decreasing."
)

# Lay-out in inches: legend, then for each dataset a title, bars and the names of the classes.
_HEAD, _TITLE, _PANEL, _LABELS = 0.52, 0.2, 1.62, 0.34
_LEFT, _RIGHT = 0.5, 0.05
# In widths of a bar: between the conditions of a class, and between classes.
_CONDITION_GAP, _CLASS_GAP = 0.5, 2.5
_CONTROL_MARK = {
    "marker": "o",
    "markersize": 2.6,
    "markerfacecolor": "0.1",
    "markeredgecolor": "white",
    "markeredgewidth": 0.4,
    "linestyle": "none",
}


def read_panels(inputs: Mapping[str, Path], schema: str) -> dict[str, xr.Dataset]:
    """Read one summary a dataset and check that it has the stimuli as published and those of equal light.

    Args:
        inputs: dataset → file, in panel order.
        schema: `harmonics_summary` or `eccentricity_summary`.

    Raises:
        TopoRepError: see `read_summaries`; a variant of the stimuli that is missing.
    """
    panels = read_summaries(inputs, schema)
    for name, panel in panels.items():
        check_variants(inputs[name], panel)
    return panels


def check_variants(path: Path, panel: xr.Dataset) -> None:
    """Refuse a file that lacks the stimuli as published or those of equal light."""
    found = panel["variant"].values.tolist()
    for variant in (PUBLISHED_STIMULI, CONTROL_STIMULI):
        if variant not in found:
            raise TopoRepError(
                f"{path}: variant {variant!r} of the stimuli is missing, found {', '.join(found)}; add it to "
                "evaluations.tuning.variants in the configuration and make the file again"
            )


def share_table(
    panels: Mapping[str, xr.Dataset], share: str, *, classes: str, others: Sequence[str] = ()
) -> pd.DataFrame:
    """Lay the shares out with one row a point, variant and class.

    Args:
        panels: see `read_panels`.
        share: variable of the metric file, with the dimensions variant and `classes`.
        classes: dimension of the classes.
        others: further variables with the dimension variant; repeated for each class.

    Returns:
        Columns: dataset, source, scale, condition, strength, variant, `classes`, `<share>_mean`, `<share>_sem`,
        (`<share>_n`, seeds that have such units,) means of the others, n_seeds, note.
    """
    kept = {name: _two_variants(panel) for name, panel in panels.items()}
    partial = f"{share}_n" in next(iter(panels.values()))
    variables = [f"{share}_mean", f"{share}_sem", *([f"{share}_n"] if partial else [])]
    table = summary_table(kept, [*variables, *(f"{name}_mean" for name in others)])
    empty, one = table[f"{share}_mean"].isna(), table[f"{share}_sem"].isna()
    table["note"] = np.select([empty, one], ["no seed has such a unit", "one seed: no SEM"], "")
    if partial:
        some = table[f"{share}_n"].between(1, table["n_seeds"] - 1)
        table.loc[some, "note"] = [f"{n} of the seeds have such a unit" for n in table.loc[some, f"{share}_n"]]
    return table


def draw_shares(
    panels: Mapping[str, xr.Dataset],
    table: pd.DataFrame,
    share: str,
    *,
    classes: Mapping[object, str],
    column: str,
    ylabel: str,
    lines: Sequence[str],
    chance: Mapping[object, float] | None = None,
    chance_label: str = "chance: all angles equally likely",
) -> Figure:
    """Draw one panel a dataset: a group of bars a class, one bar a condition and strength, marks for control stimuli.

    Args:
        panels, table, share: see `share_table`.
        classes: value of the table's `column` → name below its bars, in drawing order.
        column: dimension of the classes.
        ylabel: name of the ordinate.
        lines: first paragraphs of the small print.
        chance: share of each class by chance; drawn if given.
        chance_label: what chance is, for the legend.
    """
    foot = style.SmallPrint([*lines, *provenance_lines(panels)], left=_LEFT)
    row_height = _TITLE + _PANEL + _LABELS
    figure = Figure(figsize=(style.PAGE_WIDTH, _HEAD + len(panels) * row_height + foot.height))
    width, height = figure.get_size_inches()
    for row, name in enumerate(panels):
        bottom = height - _HEAD - row * row_height - _TITLE - _PANEL
        axes = figure.add_axes(
            (_LEFT / width, bottom / height, (width - _LEFT - _RIGHT) / width, _PANEL / height),
            sharey=figure.axes[0] if figure.axes else None,
        )
        _draw_panel(axes, table[table["dataset"] == name], share, classes=classes, column=column, chance=chance)
        axes.set_title(style.dataset_title(name, panels[name].attrs["source"]), loc="left", fontweight="bold", pad=3)
        axes.set_ylabel(ylabel)
    figure.axes[0].set_ylim(bottom=0)
    hard = table[table["variant"] == PUBLISHED_STIMULI]
    _legend(figure, table, chance=chance_label if chance else "", missing=bool(hard[f"{share}_mean"].isna().any()))
    foot.draw(figure)
    return figure


def changed_text(panels: Mapping[str, xr.Dataset], *, what: str) -> str:
    """Say which share of units changes class with stimuli of equal light: range of the summary's means.

    what names the classes, such as "dominant cycle".
    """
    return (
        f"Units whose {what} is another one with area-normalized stimuli, which all have the same light: "
        f"{range_text(panels, 'changed_share', CONTROL_STIMULI)}."
    )


def range_text(panels: Mapping[str, xr.Dataset], variable: str, variant: str) -> str:
    """Write a share, in percent: lowest and highest of a dataset's means, one a condition and strength."""
    parts = []
    for name, panel in panels.items():
        values = 100 * panel[f"{variable}_mean"].sel(variant=variant).values
        parts.append(f"{style.dataset_title(name, name)} {values.min():.0f} to {values.max():.0f} %")
    return f"{', '.join(parts)} (lowest and highest mean over seeds, of all conditions and strengths)"


def bars_text(what: str) -> str:
    """Say what the bars and marks are."""
    return (
        f"{what} Bars: hard-edged stimuli, as published, mean over seeds; vertical lines: ± SEM over seeds (ddof 1). "
        "Dots: the same for area-normalized stimuli. Responses before the ReLU."
    )


def _two_variants(panel: xr.Dataset) -> xr.Dataset:
    return panel.sel(variant=[PUBLISHED_STIMULI, CONTROL_STIMULI])


def _bars(table: pd.DataFrame) -> list[tuple[str, float, object, float]]:
    """(condition, strength, color, place in a group) of each bar of a class."""
    names, strengths = families(table["condition"].tolist()), axis_strengths(table)
    styles = style.condition_styles([style.CONTROL, *names])
    bars: list[tuple[str, float, object, float]] = [(style.CONTROL, 0.0, styles[style.CONTROL].color, 0.0)]
    for name in names:
        first = bars[-1][3] + 1 + _CONDITION_GAP
        shades = style.shades(styles[name].color, len(strengths))
        bars += [
            (name, strength, shade, first + i)
            for i, (strength, shade) in enumerate(zip(strengths, shades, strict=True))
        ]
    return bars


def _draw_panel(
    axes: Axes,
    table: pd.DataFrame,
    share: str,
    *,
    classes: Mapping[object, str],
    column: str,
    chance: Mapping[object, float] | None,
) -> None:
    bars = _bars(table)
    span = bars[-1][3] + 1
    step = span + _CLASS_GAP
    rows = table.set_index(["variant", "condition", "strength", column])
    for group, value in enumerate(classes):
        for condition, strength, color, place in bars:
            x = group * step + place + 0.5
            if (PUBLISHED_STIMULI, condition, strength, value) not in rows.index:
                continue
            hard, control = (
                rows.loc[(variant, condition, strength, value)] for variant in (PUBLISHED_STIMULI, CONTROL_STIMULI)
            )
            _draw_bar(axes, x, hard[f"{share}_mean"], hard[f"{share}_sem"], color=color)
            if np.isfinite(control[f"{share}_mean"]):
                axes.plot(x, control[f"{share}_mean"], **_CONTROL_MARK, zorder=4)
        if chance is not None:
            left, right = group * step - 0.6, group * step + span + 0.6
            axes.hlines(chance[value], left, right, color="0.35", linewidth=0.8, linestyle=":", zorder=3)
    axes.set_xlim(-_CLASS_GAP / 2, (len(classes) - 1) * step + span + _CLASS_GAP / 2)
    axes.set_xticks([group * step + span / 2 for group in range(len(classes))], list(classes.values()))
    axes.tick_params(axis="x", length=0)


def _draw_bar(axes: Axes, x: float, mean: float, sem: float, *, color: object) -> None:
    if np.isnan(mean):
        style.mark_missing(axes, np.array([x]), y=0.04, color=color)
        return
    axes.bar(x, mean, width=0.92, color=color, linewidth=0, zorder=2)
    if np.isfinite(sem):
        axes.vlines(x, mean - sem, mean + sem, color="0.45", linewidth=0.6, zorder=3)


def _legend(figure: Figure, table: pd.DataFrame, *, chance: str, missing: bool) -> None:
    strengths = axis_strengths(table)
    styles = style.condition_styles([style.CONTROL, *families(table["condition"].tolist())])
    handles: list[object] = [Patch(color=styles[style.CONTROL].color, label=styles[style.CONTROL].label)]
    for name, look in styles.items():
        if name != style.CONTROL:
            ramp = tuple(
                Patch(color=shade) for shade in style.shades(look.color, len(strengths))[:: max(1, len(strengths) // 3)]
            )
            ramp[0].set_label(
                f"{look.short}, λ = {strengths[0]:g} to {strengths[-1]:g}" if len(strengths) > 1 else look.short
            )
            handles.append(ramp)
    handles.append(Line2D([], [], **_CONTROL_MARK, label="area-normalized stimuli"))
    if chance:
        handles.append(Line2D([], [], color="0.35", linewidth=0.8, linestyle=":", label=chance))
    if missing:
        handles.append(style.missing_handle("no such unit"))
    style.legend(figure, handles, left=_LEFT / style.PAGE_WIDTH, top=1 - 0.07 / figure.get_figheight())
