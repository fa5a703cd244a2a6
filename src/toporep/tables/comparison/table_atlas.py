"""The sheets of all papers by one set of metrics, in numbers: each beside what chance gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toporep.figures.comparison import (
    METRICS,
    Metric,
    Sheets,
    method_lines,
    number,
    number_table,
    provenance_lines,
    read_sheets,
    values_of,
)
from toporep.tables.text import DASH, Cell, TextTable

if TYPE_CHECKING:
    import pandas as pd

_RAW = Metric("morans_i", "", "", "morans_i_null", at=(("variant", "raw"),))
_LABELS = Metric("smoothness_label_null", "", "")
_SHOWN = {
    "Moran's I, raw": _RAW,
    "Moran's I, centered": METRICS[0],
    "r at distance 1": METRICS[1],
    "Distance / chance": METRICS[2],
    "Class maps: r": METRICS[3],
    "labels shuffled": _LABELS,
    "Selective (%)": METRICS[4],
    "Dimensions / units": METRICS[5],
}
_PERCENT, _ALONE, _DIGITS = "Selective (%)", "labels shuffled", {"Selective (%)": 0, "Dimensions / units": 3}


def build(inputs: Mapping[str, Path]) -> tuple[pd.DataFrame, TextTable]:
    """Lay the atlas out.

    Args:
        inputs: `<paper>.<dataset>.atlas` → file of the schema `atlas_summary`.

    Returns:
        The numbers, one row a metric and point (co-localization at all thresholds), with NaN as null of what has none,
        or is one (`smoothness_label_null`); the table, one row a point.
    """
    found = read_sheets(inputs)
    rows, groups = [], []
    for sheets in found:
        groups.append(len(rows))
        rows += _rows(sheets)
    text = TextTable(
        title="The sheets of all papers, measured alike",
        header=["Paper, images", "Condition", "Spatial weight", "Networks", *_SHOWN],
        rows=rows,
        labels=2,
        groups=groups[1:],
        notes=_notes(found),
    )
    return number_table(found, _metrics(found[0])), text


def _metrics(sheets: Sheets) -> list[Metric]:
    near = METRICS[2]
    thresholds = sheets.summary["threshold"].values.tolist()
    of_thresholds = [Metric(near.name, "", "", near.null, at=(("threshold", alpha),)) for alpha in thresholds]
    others = [Metric(name, "", "") for name in ("all_pairs", "participation_ratio", "constant_share")]
    return [_RAW, METRICS[0], METRICS[1], *of_thresholds, METRICS[3], _LABELS, *METRICS[4:], *others]


def _rows(sheets: Sheets) -> list[list[Cell]]:
    columns = {header: values_of(sheets, metric) for header, metric in _SHOWN.items()}
    rows = []
    for condition in sheets.conditions:
        for index, point in enumerate(sheets.points(condition)):
            strength = float(sheets.summary["strength"].values[point])
            first = [
                sheets.title if not rows else "",
                sheets.label(condition) if not index else "",
                f"{strength:g}" if len(sheets.points(condition)) > 1 or strength else DASH,
                str(int(sheets.summary["n"].values[point])),
            ]
            cells = [_cell(header, values.iloc[point]) for header, values in columns.items()]
            rows.append([Cell(text) for text in [*first, *cells]])
    return rows


def _cell(header: str, value: pd.Series) -> str:
    """Mean ± SEM, and in brackets the range of chance, or its mean where it has no range."""
    digits, scale = _DIGITS.get(header, 2), 100 if header == _PERCENT else 1
    if not np.isfinite(value["mean"]):
        return DASH
    text = number(scale * value["mean"], digits)
    if np.isfinite(value["sem"]):
        text += f" ± {scale * value['sem']:.{digits}f}"
    if header == _ALONE:
        return text
    null = [value["null_low"], value["null_high"]] if np.isfinite(value["null_low"]) else [value["null"]]
    return f"{text} ({' to '.join(number(scale * limit, digits) for limit in null)})"


def _notes(found: Sequence[Sheets]) -> list[str]:
    lines = [
        "Mean ± SEM over networks, no SEM with one; in brackets chance, 2.5 % to 97.5 % of draws for one network. "
        f"{DASH}: no spatial weight, or not defined.",
        "Raw: Moran's I of the maps as they are. The table of numbers has co-localization at all thresholds, the mean "
        "r of all pairs, the participation ratio itself, and the share of constant units, which have no null.",
        *method_lines(found),
        *provenance_lines(found),
    ]
    return [line for line in lines if line]
