"""Figure 5: the maps of Figures 2 and 4 of Topographic VAEs from several initializations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toporep.errors import TopoRepError
from toporep.figures import style
from toporep.figures.keller2021_category import (
    check_together,
    number,
    read_runs,
    read_summary,
    run_of,
    seeds_of,
)
from toporep.figures.keller2021_category.maps import (
    CONTRASTS,
    SELECTIVITY_LABELS,
    Row,
    Sheet,
    draw_page,
    joint_labels,
    joint_lines,
    joint_panel,
    origin_lines,
    selectivity_lines,
    selectivity_panel,
    sets_of,
    table,
    threshold_of,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

_CONDITION = "tvae"
# Lay-out in inches.
_MARGIN, _LINE, _LARGEST = 1.9, 0.115, 1.0


def draw(inputs: Mapping[str, Path], *, models: int = 4) -> tuple[Figure, pd.DataFrame]:
    """Draw the maps of several networks side by side, and how far the maps of two categories agree in each.

    Args:
        inputs: `imagenet_faces.<contrast>.runs` for selectivity_animacy, selectivity_size and selectivity_faces → files
            of schema `selectivity`; `imagenet_faces.class_selectivity.runs`; `imagenet_faces.hierarchy.runs`, and the
            means over seeds, `imagenet_faces.hierarchy` → file of schema `hierarchy_summary`.
        models: how many networks, of the lowest seeds.

    Returns:
        The figure, and the table of `toporep.figures.keller2021_category.maps.table`, with a row for the agreement of
        each pair of maps of each network: `kind` agreement, `value` r, `p`, `overlap`.

    Raises:
        TopoRepError: a file that is missing or of another paper, files of several scales.

    Source: Keller, Gao & Welling 2021, Figure 5 (appendix A.1). The paper judges the agreement of maps by eye and asks
    for a measure of it; all numbers are ours.
    """
    metrics = {name: read_runs(inputs, name, "selectivity") for name in CONTRASTS}
    classes, hierarchy = read_runs(inputs, "class_selectivity"), read_runs(inputs, "hierarchy")
    summary = read_summary(inputs, "hierarchy")
    check_together([*metrics.values(), classes, hierarchy, summary])
    if models < 1:
        raise TopoRepError(f"models: expected at least 1, found {models}")
    seeds = seeds_of(metrics["selectivity_faces"], _CONDITION)[:models] or [None]
    rows = _rows(metrics, classes, seeds)
    attrs = [metric.attrs for metric in (*metrics.values(), classes)]
    lines = [
        *selectivity_lines(list(metrics.values())),
        joint_lines(classes),
        *_hierarchy_lines(summary),
        *origin_lines(rows, *attrs, sets=[*sets_of(CONTRASTS), "headless", "hands", "places"]),
    ]
    with style.context():
        sheet, places = draw_page(
            "TVAE, random initializations",
            rows,
            attrs[0],
            lines,
            keys=["selectivity", "joint"],
            threshold=threshold_of(classes),
            margin=_MARGIN,
            largest=_LARGEST,
            below=0.25 + _LINE * (hierarchy.sizes["pair"] + 1),
        )
        _draw_agreement(sheet, hierarchy, summary, seeds, places)
    return sheet.figure, _table(rows, hierarchy, seeds)


def _table(rows: list[Row], hierarchy: xr.Dataset, seeds: list[int]) -> pd.DataFrame:
    import pandas as pd

    head = {key: hierarchy.attrs[key] for key in ("dataset", "source", "scale")}
    pairs = []
    for seed in seeds:
        run = run_of(hierarchy, _CONDITION, seed)
        for pair in hierarchy["pair"].values.tolist() if run is not None else ():
            one = run.sel(pair=pair)
            r, p, overlap = (float(one[name]) for name in ("correlation", "correlation_p", "overlap"))
            of = {"map": pair, "kind": "agreement", "condition": _CONDITION, "seed": seed}
            pairs.append({**head, **of, "value": r, "p": p, "overlap": overlap})
    maps = table(rows, hierarchy.attrs)
    return pd.concat([maps, pd.DataFrame(pairs)], ignore_index=True) if pairs else maps


def _rows(metrics: Mapping[str, xr.Dataset], classes: xr.Dataset, seeds: list[int]) -> list[Row]:
    rows = []
    for name, (target, control) in CONTRASTS.items():
        words = f"{target} − {control}"
        # The seeds stand over the first row alone.
        titles = [(f"seed {seed}",) if not rows and seed is not None else ("",) for seed in seeds]
        panels = [
            selectivity_panel(metrics[name], _CONDITION, name=words, seed=seed, title=title)
            for seed, title in zip(seeds, titles, strict=True)
        ]
        rows.append(Row(panels, (words, f"above 0: {target}"), SELECTIVITY_LABELS))
    panels = [joint_panel(classes, _CONDITION, seed=seed, title=("",)) for seed in seeds]
    return [*rows, Row(panels, (f"d ≥ {threshold_of(classes):g}",), joint_labels(classes))]


def _draw_agreement(
    sheet: Sheet,
    hierarchy: xr.Dataset,
    summary: xr.Dataset,
    seeds: list[int],
    places: list[list[tuple[float, float, float]]],
) -> None:
    """Correlation and overlap of pairs of maps in each network; at the left their means."""
    _, top, _ = places[-1][0]
    sheet.text(0.07, top + 0.08, "agreement of two maps: r (p) | overlap", fontsize=7, fontweight="bold")
    sheet.text(0.07, top + 0.22, "mean ± SD of r over seeds", color="0.3")
    for line, pair in enumerate(hierarchy["pair"].values.tolist()):
        y = top + 0.22 + _LINE * (line + 1)
        sheet.text(0.07, y, f"{pair}: {_mean_text(summary, pair)}")
        for seed, (left, _, side) in zip(seeds, places[0], strict=True):
            run = run_of(hierarchy, _CONDITION, seed)
            if run is not None:
                one = run.sel(pair=pair)
                r, p, both = (number(float(one[name])) for name in ("correlation", "correlation_p", "overlap"))
                text = f"{r} ({p}) | {both}"
                sheet.text(left + side / 2, y, text, ha="center")


def _mean_text(summary: xr.Dataset, pair: str) -> str:
    points = np.flatnonzero(summary["condition"].values == _CONDITION)
    if not len(points):
        return "–"
    of = summary.isel(point=points[0]).sel(pair=pair)
    spread = float(of["correlation_sem"]) * float(of["correlation_n"]) ** 0.5
    return f"{number(float(of['correlation_mean']))} ± {number(spread)}"


def _hierarchy_lines(summary: xr.Dataset) -> list[str]:
    share = float(json.loads(str(summary.attrs["settings"]))["share"])
    untrained = np.flatnonzero(summary["condition"].values == "tvae_untrained")
    line = (
        "Agreement: Pearson's r of two maps of d over units; p: share of all shifts of the second map around the "
        "torus that give an r at least as far from 0. Contrasts that share a control (faces, bodies, places) agree a "
        f"little for that alone. Overlap: of the {100 * share:g} % of units with the highest d in the first map the "
        f"part that is among those of the second; {number(share)} if they lay anywhere. SD over seeds, ddof 1."
    )
    if len(untrained):
        of = summary.isel(point=untrained[0])
        means = zip(of["pair"].values.tolist(), of["correlation_mean"].values.tolist(), strict=True)
        values = "; ".join(f"{pair} {number(mean)}" for pair, mean in means)
        line += f" r before training, mean of {int(of['n'])} seeds: {values}."
    return [line]
