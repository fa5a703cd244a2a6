"""Table 1: cosine similarity of embeddings within and across classes, beside the published numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toporep.errors import TopoRepError
from toporep.figures.sander2026 import (
    condition_styles,
    in_order,
    objectives_in,
    provenance_lines,
    read_summary,
    rho_text,
    settings_of,
    title_of,
    trials_text,
)
from toporep.metrics.arrays import check_choice
from toporep.metrics.class_similarity import better_separated
from toporep.tables.text import DASH, MINUS, Cell, TextTable

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

PAIRS = {"within": "within (W)", "across": "across (A)"}
CENTERINGS = ("raw", "centered")
_SPREADS = {"mean": "sd", "pooled": "pooled_sd"}
_KEYS = ["condition", "pair", "strength"]
_PUBLISHED = [*_KEYS, "mean", "sd", "bold"]
_RHO = "\N{GREEK SMALL LETTER RHO}"
_MISSING = Cell(DASH)


def build(inputs: Mapping[str, Path], *, spread: str = "mean") -> tuple[pd.DataFrame, TextTable]:
    """Lay out the similarities of this run, raw and centered, beside those of the paper.

    Args:
        inputs: `published` → the paper's numbers (.csv with columns condition, pair, strength, mean, sd, bold), and one
            data set → file of schema `class_similarity_summary`.
        spread: which SD over pairs stands in the table to be read: "mean" over the trials, or that of the pairs of all
            trials "pooled". The numbers have both.

    Returns:
        The numbers, one row for each condition, pair (within, across) and strength (ρ) of this run or of the paper:
        n_trials; raw and centered similarity, each with its SD over pairs, the SD pooled over trials, the SEM over
        trials, the trials that have a value, and whether it is bold; published, published_sd, published_bold;
        difference and difference_sd (raw minus published). NaN where there is no value. And the table.

    Raises:
        TopoRepError: a file of another schema or paper; a gap in an objective; published numbers that are incomplete.

    Source: Sander & Hasson 2026, Table 1. Bold: separated at least as well as without topography in both rows. Neither
    paper nor code tell how trials become one entry. Centered similarities are not in the paper.
    """
    check_choice(spread, "spread", tuple(_SPREADS))
    if "published" not in inputs:
        raise TopoRepError(f"inputs: expected published=<csv>, found {', '.join(inputs) or 'none'}")
    measured = {name: path for name, path in inputs.items() if name != "published"}
    summary = read_summary(measured, "class_similarity_summary")
    numbers = _side_by_side(_numbers(summary), _read_published(inputs["published"]))
    for place, key in enumerate(("dataset", "source", "scale")):
        numbers.insert(place, key, str(summary.attrs[key]))
    return numbers, _text(numbers, summary, _SPREADS[spread])


def _numbers(summary: xr.Dataset) -> pd.DataFrame:
    """One row for each condition, pair and strength of this run."""
    import pandas as pd

    tables = []
    for pair in PAIRS:
        table = pd.DataFrame({key: summary[key].values for key in ("condition", "strength", "n")})
        table = table.rename(columns={"n": "n_trials"}).assign(pair=pair)
        for centering in CENTERINGS:
            chosen = summary.sel(centering=centering)
            table[centering] = chosen[f"{pair}_mean"].values
            for name in ("sd", "pooled_sd", "sem", "n"):
                table[f"{centering}_{name}"] = chosen[f"{pair}_{name}"].values
        tables.append(table)
    numbers = pd.concat(tables, ignore_index=True)
    for centering in CENTERINGS:
        numbers[f"{centering}_bold"] = _bold(numbers, centering)
    return numbers


def _bold(numbers: pd.DataFrame, column: str) -> pd.Series:
    """The paper's rule, on numbers that are not rounded; nothing is bold without a network at ρ = 0."""
    bold = numbers["strength"] < 0
    for _, rows in numbers.sort_values("strength").groupby("condition"):
        within, across = (rows[rows["pair"] == pair] for pair in PAIRS)
        strengths = within["strength"].tolist()
        if 0 in strengths:
            found = better_separated(within[column], across[column], baseline=strengths.index(0))
            bold[within.index] = bold[across.index] = found
    return bold


def _read_published(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not Path(path).is_file():
        raise TopoRepError(f"{path}: no such file (expected the published numbers)")
    table = pd.read_csv(path, comment="#")
    if list(table.columns) != _PUBLISHED:
        raise TopoRepError(f"{path}: expected columns {', '.join(_PUBLISHED)}, found {', '.join(table.columns)}")
    if table.isna().any(axis=None) or table.duplicated(_KEYS).any():
        raise TopoRepError(f"{path}: expected every value once, found rows that are incomplete or doubled")
    table = table.astype({"strength": float, "bold": bool})
    return table.rename(columns={"mean": "published", "sd": "published_sd", "bold": "published_bold"})


def _side_by_side(ours: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """This run's rows and the paper's, in the order of Table 1."""
    numbers = ours.merge(published, on=_KEYS, how="outer")
    for name in [column for column in numbers if column.endswith("_bold")]:
        numbers[name] = numbers[name].eq(True)
    numbers["difference"] = numbers["raw"] - numbers["published"]
    numbers["difference_sd"] = numbers["raw_sd"] - numbers["published_sd"]
    orders = {"condition": in_order(numbers["condition"]), "pair": list(PAIRS)}
    ranks = [numbers[name].map(order.index) for name, order in orders.items()]
    numbers = numbers.iloc[np.lexsort((numbers["strength"], *ranks[::-1]))].reset_index(drop=True)
    return numbers[[*_KEYS, "n_trials", *(name for name in numbers if name not in (*_KEYS, "n_trials"))]]


def _text(numbers: pd.DataFrame, summary: xr.Dataset, sd: str) -> TextTable:
    strengths = sorted(numbers["strength"].unique())
    looks = condition_styles(numbers["condition"].unique().tolist())
    rows, groups = [], []
    for condition, of_condition in numbers.groupby("condition", sort=False):
        groups.append(len(rows))
        for pair, of_pair in of_condition.groupby("pair", sort=False):
            objective = looks[condition].label if len(rows) == groups[-1] else ""
            lines = _lines(of_pair.set_index("strength").reindex(strengths), sd)
            for number, (name, values) in enumerate(lines):
                labels = ("", "", name) if number else (objective, PAIRS[pair], name)
                rows.append([*map(Cell, labels), *values])
    return TextTable(
        title=f"Table 1: cosine similarity of embeddings within and across classes, {title_of(summary.attrs)}",
        header=["Objective", "Pairs", "Numbers", *(f"{_RHO} = {rho_text(value)}" for value in strengths)],
        rows=rows,
        labels=3,
        groups=groups[1:],
        notes=_notes(numbers, summary, sd),
    )


def _lines(cells: pd.DataFrame, sd: str) -> list[tuple[str, list[Cell]]]:
    """What stands under each other for one objective and kind of pair; cells has a row a strength."""
    lines = [
        ("paper", _entries(cells, "published", "published_sd")),
        ("here", _entries(cells, "raw", f"raw_{sd}")),
        (f"here {MINUS} paper", [_difference(value) for value in cells["difference"]]),
        ("here, centered", _entries(cells, "centered", f"centered_{sd}")),
    ]
    return [line for line in lines if any(cell != _MISSING for cell in line[1])]


def _entries(cells: pd.DataFrame, column: str, sd: str) -> list[Cell]:
    return [
        Cell(f"{_decimals(mean)} ({_decimals(spread)})", bold=bool(bold)) if np.isfinite(mean) else _MISSING
        for mean, spread, bold in zip(cells[column], cells[sd], cells[f"{column}_bold"].eq(True), strict=True)
    ]


def _difference(value: float) -> Cell:
    if not np.isfinite(value):
        return _MISSING
    text = _decimals(value)
    return Cell(text if text.startswith(MINUS) or text == ".00" else f"+{text}")


def _decimals(value: float) -> str:
    """Two decimals as in print: .87, 1.00, and never a negative zero."""
    text = f"{abs(value):.2f}"
    sign = MINUS if value < 0 and float(text) else ""
    return sign + text.removeprefix("0")


def _notes(numbers: pd.DataFrame, summary: xr.Dataset, sd: str) -> list[str]:
    spread = "the mean of the trials' SDs over pairs" if sd == "sd" else "that of the pairs of all trials together"
    ours = numbers[numbers["n_trials"].notna()]
    notes = [
        "Mean (SD) of the cosine between the embeddings, before any ReLU, of two images of the same class "
        f"(W) or of different classes (A), over all pairs of the first {settings_of(summary)['per_class']} test images "
        f"of each class. Means are over trials ({trials_text(ours)}); the SD is {spread}. {DASH}: not run, or not in "
        "the paper.",
        f"Bold: W at least and A at most as at {_RHO} = 0, here decided before rounding. Bold of the paper is as "
        f"printed; it too seems to have been decided before rounding, as SimCLR at {_RHO} = .008 equals {_RHO} = 0 in "
        "both printed rows and is not bold.",
        f"W and A both near 1 at large {_RHO} need not mean that classes merge. The head of margin, SimCLR and SupCon "
        "begins with batch normalization: their task loss sees neither scale nor offset of the embedding, topography "
        "may shrink the weights at little cost, and the offset that remains is common to all images. Centered: less "
        "the mean embedding of these images, so that no offset counts; not in the paper.",
        *provenance_lines(summary.attrs, conditions=objectives_in(ours["condition"].tolist())),
    ]
    return [note for note in notes if note]
