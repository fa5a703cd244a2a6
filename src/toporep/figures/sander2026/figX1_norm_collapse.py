"""Norm collapse: smoothness, weight norm and accuracy with three topographic losses (beyond the paper)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.lines import Line2D

from toporep.figures import style
from toporep.figures.layout import Block, Page, few_ticks, name_ordinate, percent_axis
from toporep.figures.sander2026 import (
    BAND,
    COSINE,
    NORM_PENALTY,
    condition_styles,
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

# Schema's summary of each row of panels, and the analysis of the variants that makes it.
_ROWS = {"morans_i": "morans_i", "norm": "weight_norms", "accuracy": "accuracy"}
_NAMES = {"morans_i": "Moran's I", "norm": "mean L2 norm (log scale)", "accuracy": "accuracy (%)"}
_EUCLIDEAN = ""
# The paper's loss keeps the objective's own color, by which it is known from the other figures.
_LOSSES = {
    _EUCLIDEAN: ("Euclidean (the paper's)", None, "o", "-"),
    COSINE: ("cosine", "#111111", "s", (0, (4, 1.4))),
    NORM_PENALTY: ("Euclidean with norm penalty", "#8C8C8C", "^", (0, (4, 1.2, 1, 1.2))),
}
_STEP = 0.09


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw one column of panels an objective, one line a topographic loss; the network at ρ = 0 is the same for all.

    Args:
        inputs: `<dataset>.morans_i_variants`, `<dataset>.weight_norms_variants`, `<dataset>.accuracy_variants` → files
            of the schemas `morans_i_summary`, `weight_norms_summary`, `accuracy_summary`, of the same conditions.

    Returns:
        The figure, and a table with the columns dataset, source, scale, quantity ("morans_i", "norm", "accuracy"),
        objective, topographic_loss, condition, strength (ρ), value_mean, value_sd, n_trials, note.

    Raises:
        TopoRepError: see `read_summary`; the files are not of the same points.

    Source: beyond the paper; its Discussion proposes both remedies for the shrinking of the weights.
    """
    summaries = {
        variable: read_summary(inputs, f"{schema}_summary", analysis=f"{schema}_variants")
        for variable, schema in _ROWS.items()
    }
    maps = summaries["morans_i"]
    table = _table(summaries)
    objectives = objectives_in(table["objective"].tolist())
    with style.context():
        words = _words(table, settings_of(maps))
        lines = [words, _absent(table), *provenance_lines(maps.attrs, conditions=objectives)]
        page = Page([Block(len(_ROWS), len(objectives), 1.35, title=0.42, gap=0.16)], lines, head=0.44)
        page.heading(0, title_of(maps.attrs), above=0.25)
        axis, chance = RhoAxis.of(table), float(maps.attrs["chance_morans_i"])
        for row, quantity in enumerate(_ROWS):
            panels = []
            for column, (objective, look) in enumerate(condition_styles(objectives).items()):
                # Accuracies of SimCLR lie far from the others'.
                shared = panels[0] if panels and quantity != "accuracy" else None
                axes = page.panel(0, row, column, sharey=shared)
                own = table[(table["quantity"] == quantity) & (table["objective"] == objective)]
                _draw_panel(axes, own, look, axis)
                axis.draw(axes, labels=row == len(_ROWS) - 1, name=row == len(_ROWS) - 1)
                _ORDINATES[quantity](axes)
                panels.append(axes)
                if row == 0:
                    axes.set_title(look.label, loc="left")
                    chance_line(axes, chance)
            name_ordinate(panels[0], _NAMES[quantity])
        page.legend(_handles(table, chance))
    return page.figure, table


def _table(summaries: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    table = quantity_table(summaries)
    objectives = table["condition"].map(objective_of)
    suffixes = [name.removeprefix(base) for name, base in zip(table["condition"], objectives, strict=True)]
    table.insert(4, "objective", objectives)
    table.insert(5, "topographic_loss", [_LOSSES[suffix][0] if suffix in _LOSSES else "" for suffix in suffixes])
    table["note"] = note(table, "value", undefined="every map is constant: no Moran's I")
    return table[table["topographic_loss"] != ""].reset_index(drop=True)


def _draw_panel(axes: Axes, rows: pd.DataFrame, look: style.ConditionStyle, axis: RhoAxis) -> None:
    without = rows[(rows["topographic_loss"] == _LOSSES[_EUCLIDEAN][0]) & (rows["strength"] == 0)]
    if len(without):
        draw_series(axes, without, "value", replace(look, marker="D"), axis, across=True, markersize=2.6)
    for (words, color, marker, line), shift in zip(_LOSSES.values(), shifts(len(_LOSSES), _STEP), strict=True):
        own = rows[(rows["topographic_loss"] == words) & (rows["strength"] > 0)]
        of_loss = replace(look, color=color or look.color, marker=marker, linestyle=line)
        options = {"shift": shift, "bars": True, "hollow": color is not None, "markersize": 2.6}
        if len(own):
            draw_series(axes, own, "value", of_loss, axis, **options)


def _accuracy_axis(axes: Axes) -> None:
    few_ticks(axes)
    percent_axis(axes)


_ORDINATES = {"morans_i": few_ticks, "norm": log_axis, "accuracy": _accuracy_axis}


def _words(table: pd.DataFrame, settings: Mapping[str, object]) -> str:
    neighbors = {"rook": "4 neighbors (rook)", "queen": "8 neighbors (queen)"}[str(settings["neighborhood"])]
    return (
        f"Moran's I of the activation maps with binary weights of {neighbors}, mean over the test images; length of a "
        "unit's vector of incoming weights, mean over units; accuracy on the test images, of a linear readout or of "
        "CE's own classifier, with an ordinate of its own for each objective. Topographic losses between neighbors' "
        "weight vectors: Euclidean distance, which short vectors satisfy; cosine distance, which ignores length; "
        "Euclidean distance with a penalty on vectors shorter than before training. At ρ = 0 no such loss acts: one "
        f"network for all three. Points: mean over trials; vertical lines: {BAND}; {trials_text(table)}. The losses "
        f"are displaced sideways for display alone. {AXIS_NOTE}"
    )


def _absent(table: pd.DataFrame) -> str:
    """Objectives that are there, but not with each loss."""
    names = condition_styles(objectives_in(table["objective"].tolist()))
    found = set(zip(table["objective"], table["topographic_loss"], strict=True))
    parts = []
    for words, *_ in _LOSSES.values():
        without = [look.short for name, look in names.items() if (name, words) not in found]
        parts += [f"{words}: {', '.join(without)}"] if without else []
    return f"Not trained here with a loss: {'; '.join(parts)}." if parts else ""


def _handles(table: pd.DataFrame, chance: float) -> list[Artist | tuple[Artist, ...]]:
    looks = condition_styles(objectives_in(table["objective"].tolist())).values()
    handles: list[Artist | tuple[Artist, ...]] = []
    for words, color, marker, line in _LOSSES.values():
        if words not in set(table["topographic_loss"]):
            continue
        options = {"marker": marker, "linestyle": line, "markersize": 2.6, "label": words}
        if color is None:
            handles.append(tuple(Line2D([], [], color=look.color, **options) for look in looks))
        else:
            handles.append(Line2D([], [], color=color, markerfacecolor="white", **options))
    zero = {"color": "0.35", "marker": "D", "markersize": 2.6, "label": "ρ = 0: no topographic loss"}
    return [*handles, Line2D([], [], **zero, **ZERO_LINE), chance_handle(f"Moran's I by chance, {_number(chance)}")]


def _number(value: float) -> str:
    return f"{value:.4f}".replace("-", "\N{MINUS SIGN}")
