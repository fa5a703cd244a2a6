"""Figure X3: how much of a map of selectivity is learned, and how much is window, noise or chance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures import style
from toporep.figures.keller2021_category import check_together, number, read_runs, run_of, window_text
from toporep.figures.keller2021_category.maps import (
    CONTRASTS,
    Panel,
    Row,
    draw_page,
    grid_of,
    map_line,
    origin_lines,
    selectivity_panel,
    sets_of,
    table,
    threshold_of,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

# What a column shows: over it the model, the condition of the run, and the quantity or what is shuffled.
_COLUMNS = {
    "trained": ("TVAE", "tvae", "activation"),
    "before training": ("TVAE", "tvae_untrained", "activation"),
    "labels shuffled": ("TVAE", "tvae", "label"),
    "units shuffled": ("TVAE", "tvae", "unit"),
    "z + μ alone": ("TVAE", "tvae", "numerator"),
    "1/√v alone": ("TVAE", "tvae", "inverse_root"),
    "FC6": ("TDANN", "tdann", "activation"),
}
_LABELS = ("neighbor r on a torus", "on an open sheet", "largest patch", "largest d")


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw the maps of three contrasts: trained, untrained, shuffled, of the factors of t, and of the TDANN.

    Args:
        inputs: `imagenet_faces.<contrast>.runs` for selectivity_faces, selectivity_animacy and selectivity_size → files
            of schema `selectivity`; drawn is the lowest seed.

    Returns:
        The figure, and the table of `toporep.figures.keller2021_category.maps.table`.

    Raises:
        TopoRepError: a file that is missing or of another paper, files of several scales.

    Source: not in the paper, which shows no null. Both boundaries for all: the paper asks for it (appendix A.3).
    """
    contrasts = dict(reversed(CONTRASTS.items()))
    metrics = {name: read_runs(inputs, name, "selectivity") for name in contrasts}
    check_together(list(metrics.values()))
    rows = []
    for name, (target, control) in contrasts.items():
        words = f"{target} − {control}"
        panels = [_panel(metrics[name], what, words, first=not rows) for what in _COLUMNS]
        rows.append(Row(panels, (target, f"− {control}"), _LABELS))
    attrs = [metric.attrs for metric in metrics.values()]
    faces, window = metrics["selectivity_faces"], window_text(attrs[0], "tvae")
    shuffles = json.loads(str(faces.attrs["settings"]))["shuffles"]
    lines = [
        f"A unit's activation in the TVAE is t = (z + μ) / √v; v is the sum of u² over its {window}. The sums of "
        "neighbors share most of their terms, so that the window makes neighbors alike whatever is learned.",
        "Columns: the trained TVAE; the same before training; the trained one with the images' labels shuffled, and "
        "with its units shuffled; d of z + μ and of 1/√v for themselves, instead of t; the TDANN. The paper shows no "
        "null.",
        map_line(faces),
        "Neighbor r: Pearson's r of d between units that share an edge, counted as if each sheet were a torus and as "
        f"if it were open; 0 without order. Largest patch: connected units with d ≥ {threshold_of(faces):g}, on the "
        f"network's own sheet. Under shuffled maps r and patch are means over {shuffles} shuffles; drawn is one of "
        "them, and the largest d is its.",
        *origin_lines(rows, *attrs, sets=sets_of(contrasts)),
    ]
    with style.context():
        sheet, _ = draw_page("Maps and their nulls", rows, attrs[0], lines, keys=["selectivity"], margin=1.2, gap=0.06)
    return sheet.figure, table(rows, attrs[0])


def _panel(metric: xr.Dataset, what: str, words: str, *, first: bool) -> Panel:
    model, condition, source = _COLUMNS[what]
    title = (model, what) if first else ("",)
    panel = selectivity_panel(metric, condition, name=f"{words}, {what}", title=title)
    run = run_of(metric, condition)
    if run is None:
        return panel
    shuffled = source in ("label", "unit")
    values = run[f"d_{source}_shuffled"] if shuffled else run["d"].sel(quantity=source)
    smoothness = run[f"smoothness_{source}_null"] if shuffled else run["smoothness"].sel(quantity=source)
    patch = run[f"largest_patch_{source}_null"] if shuffled else run["largest_patch"].sel(quantity=source)
    largest = float(values.max()) if shuffled else float(run["max_d"].sel(quantity=source))
    measured = {
        **{f"neighbor_r_{name}": float(smoothness.sel(boundary=name)) for name in ("torus", "open")},
        "largest_patch": float(patch),
        "largest_d": largest if bool(values.notnull().any()) else nan,
    }
    digits = (2, 2, 1 if shuffled else 0, 2)
    numbers = [number(value, places) for value, places in zip(measured.values(), digits, strict=True)]
    return replace(panel, values=values.values.reshape(grid_of(metric)), numbers=numbers, measured=measured)
