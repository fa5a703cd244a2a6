"""Figure 4: change of accuracy on noisy test images against the spatial weight."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures import layout, style
from toporep.figures.truong2025 import (
    provenance_lines,
    read_summaries,
    settings_of,
    summary_table,
    sweep,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

KIND_TITLES = {"white": "white", "pink": "pink", "salt_pepper": "salt & pepper"}
_NORMALIZATIONS = {"matched": "", "mismatched": "other constants"}
_VARIABLE = "accuracy_change"
_VARIABLES = [f"{name}_{part}" for name in (_VARIABLE, "accuracy", "clean_accuracy") for part in ("mean", "sem")]


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw one block a dataset and normalization: one row a kind of noise, one column a level.

    Args:
        inputs: dataset → file of schema `image_noise_robustness_summary`, in panel order.

    Returns:
        The figure, and a table with one row a point, normalization, kind and level. Columns: dataset, source, scale,
        condition, strength, normalization, kind, level, mean and SEM of accuracy_change (percentage points), accuracy
        and clean_accuracy (0 to 1), n_seeds, note.

    Raises:
        TopoRepError: see `read_summaries`.

    Source: Truong & Hasson 2025, section 3.2 and Figure 4.
    """
    panels = read_summaries(inputs, "image_noise_robustness_summary")
    table = summary_table(panels, _VARIABLES)
    table["note"] = sweep.note(table, _VARIABLE)
    parts = {(name, normalization): rows for (name, normalization), rows in table.groupby(["dataset", "normalization"])}
    order = [(name, str(normalization)) for name in panels for normalization in panels[name]["normalization"].values]
    with style.context():
        styles = sweep.styles_of(table)
        kinds, levels = table["kind"].nunique(), table["level"].nunique()
        block = layout.Block(kinds, levels, 0.66, title=0.42, labels=0.34, gap=0.1, between=0.3)
        page = layout.Page([block] * len(order), _small_print(panels), head=0.4)
        for index, (name, normalization) in enumerate(order):
            rows = parts[name, normalization]
            heading = _heading(rows, style.dataset_title(name, panels[name].attrs["source"]), normalization)
            page.heading(index, heading, above=0.24)
            _draw_block(page, index, rows, styles)
        page.legend(sweep.condition_handles(styles))
    return page.figure, table


def _heading(rows: pd.DataFrame, title: str, normalization: str) -> str:
    clean = rows.loc[rows["condition"] == style.CONTROL, "clean_accuracy_mean"].iloc[0]
    words = _NORMALIZATIONS.get(normalization, normalization)
    return f"{title}{f', {words}' if words else ''}: change in points (clean control {100 * clean:.1f} %)"


def _draw_block(page: layout.Page, block: int, rows: pd.DataFrame, styles: Mapping[str, style.ConditionStyle]) -> None:
    kinds, levels = (list(dict.fromkeys(rows[name])) for name in ("kind", "level"))
    for row, kind in enumerate(kinds):
        for column, level in enumerate(levels):
            axes = page.panel(block, row, column)
            own = rows[(rows["kind"] == kind) & (rows["level"] == level)]
            sweep.draw_sweep(axes, own, _VARIABLE, styles, compact=True)
            layout.few_ticks(axes, n=3)
            axes.tick_params(labelbottom=row == len(kinds) - 1, pad=1.5)
            if row == 0:
                axes.set_title(f"level {style.strength_label(level)}", pad=3, fontsize=7)
            if row == len(kinds) - 1:
                sweep.name_abscissa(axes, "λ")
            if column == 0:
                layout.name_ordinate(axes, KIND_TITLES.get(kind, kind), away=0.37)


def _noise_options(settings: Mapping[str, object]) -> str:
    """What the paper leaves open about the noise; nothing where the files do not tell."""
    if not {"clip", "amplitude_exponent", "replace"} <= settings.keys():
        return ""
    clip = "clipped to 0 to 1" if settings["clip"] else "not clipped"
    replace = "with" if settings["replace"] else "without"
    return (
        f" Noisy images are {clip}; the amplitude of pink noise falls with the power "
        f"{settings['amplitude_exponent']:g} of the spatial frequency; pixels of salt and pepper "
        f"are drawn {replace} replacement."
    )


def _small_print(panels: Mapping[str, xr.Dataset]) -> list[str]:
    lines = [
        "Ordinate: accuracy on the noisy test images less accuracy of the same network without noise, in percentage "
        "points, mean over networks (seeds); ordinates differ. Shaded: ± SEM over seeds (ddof 1) of these "
        "differences; the paper draws the SEM of the noisy accuracies, which the CSV file has too. Level: SD of white "
        "and pink noise in units of the pixel range; for salt and pepper, the share of pixels drawn. Noise is added "
        "to images in 0 to 1, before they are normalized, and is the same for all networks. Clean: without noise. "
        f"{style.EVEN_STEPS}" + _noise_options(settings_of(panels)),
    ]
    if any("mismatched" in panel["normalization"].values for panel in panels.values()):
        lines.append(
            "Other constants: test images normalized as in the published code, with another SD than in training."
        )
    return [*lines, *provenance_lines(panels)]
