"""Figure 3: robustness of the readout's geometry and of accuracy to noise on the readout's weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D

from toporep.figures import layout, style
from toporep.figures.truong2025 import (
    axis_strengths,
    families,
    provenance_lines,
    read_summaries,
    settings_of,
    summary_table,
    sweep,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MODES = {
    "absolute": ("Absolute noise", "SD σ of the noise"),
    "relative": ("Relative noise", "σ in SDs of the readout's weights"),
}
_MEASURES = {"similarity": "similarity to the\nreadout without noise", "accuracy_change": "accuracy change\n(points)"}
_NORM = "readout_norm"
_NARROW, _WIDE = 0.07, 0.42


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw similarity of the readout and change of accuracy against the noise on its weights, and its norm.

    One block a kind of noise; in it one panel a dataset and family, one line a strength; the control in every panel.

    Args:
        inputs: dataset → file of schema `weight_noise_summary`, in panel order.

    Returns:
        The figure, and a table with one row a point, mode and level of noise, and one a point for the norm, which has
        none. Columns: dataset, source, scale, condition, strength, mode, sigma, mean and SEM of similarity,
        accuracy_change (percentage points) and readout_norm, n_seeds, note.

    Raises:
        TopoRepError: see `read_summaries`.

    Source: Truong & Hasson 2025, section 3.2 and Figure 3.
    """
    panels = read_summaries(inputs, "weight_noise_summary")
    table = _table(panels)
    shown = families(table["condition"].tolist())
    modes = [mode for mode in dict.fromkeys(table["mode"]) if mode]
    between = ([_NARROW] * (len(shown) - 1) + [_WIDE]) * len(panels)
    noise = layout.Block(2, len(shown) * len(panels), 1.12, title=0.56, between=between[:-1], gap=0.1)
    with style.context():
        styles = sweep.styles_of(table)
        page = layout.Page([*[noise] * len(modes), layout.Block(1, len(panels), 0.95)], _small_print(panels))
        for block, mode in enumerate(modes):
            for place, (name, panel) in enumerate(panels.items()):
                rows = table[(table["dataset"] == name) & (table["mode"] == mode)]
                title = f"{style.dataset_title(name, panel.attrs['source'])}: {_MODES[mode][0].lower()}"
                page.heading(block, title, column=place * len(shown), above=0.26)
                _draw_mode(page, block, place * len(shown), rows, styles, abscissa=_MODES[mode][1])
        for place, name in enumerate(panels):
            axes = page.panel(len(modes), 0, place)
            sweep.draw_sweep(axes, table[(table["dataset"] == name) & (table["mode"] == "")], _NORM, styles)
            layout.few_ticks(axes, n=4)
            sweep.name_abscissa(axes)
            axes.set_title("Frobenius norm of the readout's weights", loc="left", pad=4, fontsize=7)
        page.legend(_handles(table, styles))
    return page.figure, table


def _table(panels: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    import pandas as pd

    noisy = summary_table(panels, [f"{name}_{part}" for name in _MEASURES for part in ("mean", "sem")])
    sigma = [
        float(panels[row.dataset]["sigma"].sel(mode=row.mode).values[row.level])
        for row in noisy.itertuples(index=False)
    ]
    noisy.insert(noisy.columns.get_loc("level"), "sigma", sigma)
    noisy["note"] = sweep.note(noisy, "similarity")
    norm = summary_table(panels, [f"{_NORM}_mean", f"{_NORM}_sem"]).assign(mode="", sigma=np.nan)
    norm["note"] = sweep.note(norm, _NORM)
    table = pd.concat([noisy.drop(columns="level"), norm], ignore_index=True)
    columns = table.columns.drop(["n_seeds", "note"]).tolist()
    return table[[*columns, "n_seeds", "note"]]


def _draw_mode(
    page: layout.Page,
    block: int,
    first: int,
    rows: pd.DataFrame,
    styles: Mapping[str, style.ConditionStyle],
    *,
    abscissa: str,
) -> None:
    """Draw the panels of one dataset and mode, one column a family from column `first` on."""
    strengths = axis_strengths(rows)
    shown = families(rows["condition"].tolist())
    for row, (variable, label) in enumerate(_MEASURES.items()):
        shared = None
        for column, family in enumerate(shown):
            axes = page.panel(block, row, first + column, sharey=shared)
            colors = style.shades(styles[family].color, len(strengths))
            for strength, color in zip(strengths, colors, strict=True):
                own = rows[(rows["condition"] == family) & (rows["strength"] == strength)]
                _draw_line(axes, own, variable, color=color, zorder=3)
            control = rows[rows["condition"] == style.CONTROL]
            _draw_line(axes, control, variable, color=styles[style.CONTROL].color, zorder=3.5, control=True)
            _abscissa(axes, control["sigma"].tolist(), labels=row == len(_MEASURES) - 1)
            axes.tick_params(labelleft=column == 0)
            if row == 0:
                axes.set_title(styles[family].short, color=style.shades(styles[family].color, 3)[1], pad=3)
            if shared is None:
                layout.few_ticks(axes, n=4)
                if first == 0:
                    layout.name_ordinate(axes, label, away=0.29)
            shared = axes if shared is None else shared
    middle = page.figure.axes[-1 - len(shown) // 2]
    middle.set_xlabel(abscissa, labelpad=2)


def _draw_line(
    axes: Axes, own: pd.DataFrame, variable: str, *, color: object, zorder: float, control: bool = False
) -> None:
    mean, sem = (own[f"{variable}_{part}"].to_numpy(dtype=float) for part in ("mean", "sem"))
    x = np.arange(len(own))
    style.band(axes, x, mean, sem, color=color)
    look = style.condition_styles([style.CONTROL])[style.CONTROL]
    line = {"linestyle": look.linestyle, "linewidth": 1.2} if control else {"marker": "o", "markersize": 2.0}
    axes.plot(x, mean, color=color, zorder=zorder, **{"linewidth": 0.9, **line})


def _abscissa(axes: Axes, sigma: list[float], *, labels: bool) -> None:
    names = [style.strength_label(value) for value in sigma]
    axes.set_xticks(range(len(sigma)), [name[1:] if name.startswith("0.") else name for name in names])
    axes.set_xlim(-0.35, len(sigma) - 0.65)
    axes.tick_params(labelbottom=labels)


def _handles(table: pd.DataFrame, styles: Mapping[str, style.ConditionStyle]) -> list[Artist | tuple[Artist, ...]]:
    strengths = axis_strengths(table)
    greys = style.shades("0.5", len(strengths))
    ramp = tuple(Line2D([], [], color=grey, marker="o", markersize=2.8, linewidth=1.0) for grey in greys)
    ramp[0].set_label(f"λ = {', '.join(map(style.strength_label, strengths))}, from light to dark")
    return [ramp, *sweep.condition_handles(styles)]


def _small_print(panels: Mapping[str, xr.Dataset]) -> list[str]:
    settings = settings_of(panels)
    measure = {"pearson": "Pearson r", "cosine": "cosine"}.get(settings["measure"], settings["measure"])
    return [
        "Gaussian noise on the weights from the sheet to the classes (fc2), not on its bias. Geometry: similarity of "
        f"each two classes' weights ({measure}); upper rows: cosine between these similarities with and without noise. "
        f"Lower rows: accuracy with noise less that of the same network without, in percentage points. Means over "
        f"{settings['repetitions']} draws, the same for all networks, then over networks (seeds). {sweep.BAND}",
        "Absolute noise is small against large weights: a family whose readout has a larger norm (lowest panels) "
        "or larger activations is more robust for that reason alone. Relative noise has the same SD against the "
        "readout's weights in every network. The paper gives neither the levels nor which of the two it used.",
        *provenance_lines(panels),
    ]
