"""Figures of Truong & Hasson 2025: what their modules share in reading the summary files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toporep.errors import TopoRepError
from toporep.figures import style
from toporep.figures.inputs import check_identity
from toporep.figures.style import CONTROL, strength_label
from toporep.io import read_dataset

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

PAPER = "truong2025"
# Every sweep and figure of this paper has two families for activation similarity: the definition, and the
# reading that reproduces the published signatures (docs/deviations.md).
FAMILIES = ("ws", "as", "as_reshaped")
# Images trained on (80 % of the training set, published code) and epochs (section 2.2).
PAPER_TRAINING = {
    "mnist": {"train_images": 48_000, "epochs": 15},
    "cifar10": {"train_images": 40_000, "epochs": 30},
}


def inputs_of(inputs: Mapping[str, Path], analysis: str, *, runs: bool = False) -> dict[str, Path]:
    """Inputs named `<dataset>.<analysis>` (summaries) or `<dataset>.<analysis>.runs` (metric files), by dataset."""
    wanted = f"{analysis}.runs" if runs else analysis
    parts = {name: name.partition(".") for name in inputs}
    return {dataset: inputs[name] for name, (dataset, _, rest) in parts.items() if rest == wanted}


def read_summaries(
    inputs: Mapping[str, Path], schema: str, *, conditions: Sequence[str] = FAMILIES
) -> dict[str, xr.Dataset]:
    """Read one summary file a panel and check that each is whole.

    Args:
        inputs: dataset → file, in panel order.
        schema: a schema of `toporep.io` whose points have coordinates condition, strength and n.
        conditions: those that each file must have beside the control, all at the same strengths.

    Raises:
        TopoRepError: a file of another schema, paper or dataset than its name says, or one that lacks a condition
            or a strength that the other families of its dataset have.
    """
    panels = {name: read_dataset(path, schema) for name, path in inputs.items()}
    for name, panel in panels.items():
        check_identity(inputs[name], panel.attrs, paper=PAPER, dataset=name)
        points = list(zip(panel["condition"].values.tolist(), panel["strength"].values.tolist(), strict=True))
        check_complete(points, where=str(inputs[name]), conditions=conditions)
        first = next(iter(panels.values()))
        check_identity(inputs[name], panel.attrs, settings=first.attrs["settings"])
    return panels


def check_complete(
    points: Sequence[tuple[str, float]],
    *,
    where: str,
    control: bool = True,
    conditions: Sequence[str] = FAMILIES,
) -> None:
    """Refuse points (condition, strength) that are doubled or that leave a gap in one of the conditions.

    The control has one strength, and may be absent if `control` is false; every condition named has every strength that
    another of them has. A condition that a user added may have any of them.
    """
    doubled = sorted({point for point in points if points.count(point) > 1})
    if doubled:
        raise TopoRepError(f"{where}: {_point_text(*doubled[0])} is there {points.count(doubled[0])} times, expected 1")
    found = {name: {strength for condition, strength in points if condition == name} for name in (CONTROL, *conditions)}
    absent = [name for name, strengths in found.items() if not strengths and (control or name != CONTROL)]
    if absent:
        raise TopoRepError(
            f"{where}: condition {', '.join(map(repr, absent))} is missing, found "
            f"{', '.join(sorted({condition for condition, _ in points})) or 'no condition'}; "
            "add its runs to the configuration and make the file again"
        )
    if len(found[CONTROL]) > 1:
        raise TopoRepError(f"{where}: expected one strength of condition 'control', found {sorted(found[CONTROL])}")
    wanted = sorted(set().union(*(found[name] for name in conditions)))
    gaps = [(name, strength) for name in conditions for strength in wanted if strength not in found[name]]
    if gaps:
        raise TopoRepError(
            f"{where}: {', '.join(_point_text(*gap) for gap in gaps)} missing, expected every strength of "
            f"{', '.join(map(strength_label, wanted))} in {', '.join(conditions)}; run the missing models"
        )


def provenance_lines(panels: Mapping[str, xr.Dataset]) -> list[str]:
    """One sentence a panel on its data, scale, training and seeds, and what may be concluded from it."""
    lines = [
        style.provenance(panel.attrs, seeds=panel["n"].values.tolist(), paper=PAPER_TRAINING.get(name))
        for name, panel in panels.items()
    ]
    return [*lines, style.disclaimer([str(panel.attrs["scale"]) for panel in panels.values()])]


def settings_of(panels: Mapping[str, xr.Dataset]) -> dict[str, object]:
    """Settings of the analysis, the same for all panels."""
    return json.loads(next(iter(panels.values())).attrs["settings"])


def families(conditions: Sequence[str]) -> list[str]:
    """Order the conditions with a strength: those of the paper first, then added ones in their own order."""
    present = [name for name in dict.fromkeys(conditions) if name != CONTROL]
    return [name for name in FAMILIES if name in present] + [name for name in present if name not in FAMILIES]


def summary_table(panels: Mapping[str, xr.Dataset], variables: Sequence[str]) -> pd.DataFrame:
    """Lay the summaries out with one row a point and value of the further dimensions, conditions in drawing order.

    Columns: dataset, source, scale, condition, strength, the dimensions (such as threshold), the variables, n_seeds.
    """
    import pandas as pd

    tables = []
    for name, panel in panels.items():
        chosen = panel[list(variables)]
        dims = [dim for dim in dict.fromkeys(dim for value in chosen.values() for dim in value.dims) if dim != "point"]
        table = chosen.to_dataframe(dim_order=["point", *dims]).reset_index().rename(columns={"n": "n_seeds"})
        order = [CONTROL, *families(table["condition"].tolist())]
        table["condition"] = pd.Categorical(table["condition"], order)
        keys = ["condition", "strength"]
        # Other dimensions stay in the order of the file.
        ascending = [*keys, *(["threshold"] if "threshold" in dims else [])]
        table = table.sort_values(ascending, kind="stable").astype({"condition": str})
        table.insert(0, "dataset", name)
        table.insert(1, "source", panel.attrs["source"])
        table.insert(2, "scale", panel.attrs["scale"])
        tables.append(table[["dataset", "source", "scale", *keys, *dims, *variables, "n_seeds"]])
    return pd.concat(tables, ignore_index=True)


def on_axis(rows: pd.DataFrame, strengths: Sequence[float], column: str) -> np.ndarray:
    """Values of `column` at each strength of the axis; NaN where this condition has no such strength."""
    return rows.set_index("strength")[column].reindex(list(strengths)).to_numpy(dtype=float)


def axis_strengths(rows: pd.DataFrame) -> list[float]:
    """Strengths on the abscissa of a panel: those of all conditions but the control, ascending."""
    return sorted(rows.loc[rows["condition"] != CONTROL, "strength"].dropna().unique())


def _point_text(condition: str, strength: float) -> str:
    return f"condition {condition!r} at strength {strength_label(strength)}"
