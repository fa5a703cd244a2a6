"""Figures of Sander & Hasson 2026: what their modules share in naming, coloring and reading."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toporep.errors import TopoRepError
from toporep.figures import style
from toporep.figures.inputs import check_identity
from toporep.io import read_dataset

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

PAPER = "sander2026"
# In the order of the paper's Table 1.
OBJECTIVES = ("margin", "ce", "simclr", "supcon")
LABEL_SUPERVISED = ("margin", "ce", "supcon")
# What follows an objective in the name of a condition that departs from it in one respect.
NO_DROPOUT, COSINE, NORM_PENALTY = "_no_dropout", "_cosine", "_norm_penalty"
NO_SD = "one trial: no SD"
BAND = "± SD over trials (seeds; ddof 1)"

_LOOKS = {
    "margin": style.ConditionStyle("margin", "margin", "#882255", "o"),
    "ce": style.ConditionStyle("cross-entropy (CE)", "CE", "#332288", "s"),
    "simclr": style.ConditionStyle("SimCLR", "SimCLR", "#33BBEE", "^"),
    "supcon": style.ConditionStyle("SupCon", "SupCon", "#E69F00", "D"),
}
_VARIANTS = {
    NO_DROPOUT: (", no dropout", ":"),
    COSINE: (", cosine", (0, (4, 1.4))),
    NORM_PENALTY: (", norm penalty", (0, (4, 1.2, 1, 1.2))),
}
# For conditions that a user adds.
_FURTHER = (("#117733", "P"), ("#7F7F7F", "X"), ("#5C4033", "*"))
# 50,000 training images less 500 of each class (Training and Evaluation).
_PAPER_TRAINING = {"train_images": 45_000}
_PAPER_PATIENCE, _PAPER_BATCH, _PAPER_WIDTH = 25, 512, 64


def condition_styles(conditions: Sequence[str]) -> dict[str, style.ConditionStyle]:
    """Give each condition its look: a variant has its objective's color and marker, and a line of its own.

    Conditions unknown here take further colors in the order given.
    """
    unknown = [name for name in conditions if objective_of(name) not in OBJECTIVES]
    further = {
        name: style.ConditionStyle(name, name, *_FURTHER[index % len(_FURTHER)]) for index, name in enumerate(unknown)
    }
    return {name: further.get(name) or _look(name) for name in conditions}


def objective_of(condition: str) -> str:
    """The objective of a condition; the condition itself where it is none of the paper's nor a variant of one."""
    for suffix in _VARIANTS:
        if condition.endswith(suffix) and condition.removesuffix(suffix) in OBJECTIVES:
            return condition.removesuffix(suffix)
    return condition


def is_variant(condition: str, suffix: str) -> bool:
    """Whether a condition is an objective with this suffix, such as NO_DROPOUT."""
    return objective_of(condition) + suffix == condition


def in_order(conditions: Sequence[str]) -> list[str]:
    """The conditions once each: the objectives in the paper's order, then their variants, then others as they come."""
    present = list(dict.fromkeys(conditions))
    known = [objective + suffix for suffix in ("", *_VARIANTS) for objective in OBJECTIVES]
    return [name for name in known if name in present] + [name for name in present if name not in known]


def objectives_in(conditions: Sequence[str]) -> list[str]:
    """The conditions without the paper's variants, in order."""
    return [name for name in in_order(conditions) if objective_of(name) == name]


def read_summary(inputs: Mapping[str, Path], schema: str, *, analysis: str = "") -> xr.Dataset:
    """Read the one summary of a figure, or of one of its analyses, and check that it is whole.

    Args:
        inputs: dataset → file; with `analysis`, `<dataset>.<analysis>` → file.
        schema: a schema whose points have coordinates condition, strength (the topographic weight ρ) and n.
        analysis: which of several.

    Raises:
        TopoRepError: not one data set; a file of another schema, paper or data set than its name says; a point that
            is there twice; an objective that lacks a strength that another one has.
    """
    parts = {name: name.partition(".") for name in inputs}
    found = {dataset: inputs[name] for name, (dataset, _, rest) in parts.items() if rest == analysis}
    if len(found) != 1:
        wanted = f"<dataset>.{analysis}" if analysis else "<dataset>"
        raise TopoRepError(f"inputs: expected one file named {wanted}, found {', '.join(inputs) or 'none'}")
    ((dataset, path),) = found.items()
    summary = read_dataset(path, schema)
    check_identity(path, summary.attrs, paper=PAPER, dataset=dataset)
    check_points(list(zip(*(summary[name].values.tolist() for name in ("condition", "strength")), strict=True)), path)
    return summary


def check_points(points: Sequence[tuple[str, float]], where: str | Path) -> None:
    """Refuse points (condition, ρ) that are doubled, or a gap in an objective: a ρ that another objective has.

    Objectives need not all be there, and variants may have any ρ: small scales leave some out.
    """
    doubled = sorted({point for point in points if points.count(point) > 1})
    if doubled:
        raise TopoRepError(f"{where}: {_point_text(*doubled[0])} is there {points.count(doubled[0])} times, expected 1")
    found = {name: {rho for condition, rho in points if condition == name} for name in OBJECTIVES}
    present = [name for name in OBJECTIVES if found[name]]
    if not present:
        raise TopoRepError(
            f"{where}: expected a condition of {', '.join(OBJECTIVES)}, found "
            f"{', '.join(in_order([condition for condition, _ in points])) or 'none'}"
        )
    wanted = sorted(set().union(*found.values()))
    gaps = [(name, rho) for name in present for rho in wanted if rho not in found[name]]
    if gaps:
        raise TopoRepError(
            f"{where}: {', '.join(_point_text(*gap) for gap in gaps)} missing, expected every ρ of "
            f"{', '.join(map(rho_text, wanted))} in {', '.join(present)}; run the missing networks"
        )


def summary_table(summary: xr.Dataset, variables: Sequence[str], *, further: Sequence[str] = ()) -> pd.DataFrame:
    """Lay a summary out with one row a point and value of the further dimensions, conditions in drawing order.

    Args:
        summary: with `<variable>_mean` and `<variable>_sem` for each variable.
        variables: their names; the SD is SEM · √n, n being the trials that have a value.
        further: names of variables that are taken as they are.

    Returns:
        Columns: dataset, source, scale, condition, strength (ρ), the dimensions (such as threshold), for each variable
        `<variable>_mean` and `<variable>_sd`, the further ones, n_trials.
    """
    chosen = {}
    for name in variables:
        counts = summary[f"{name}_n"] if f"{name}_n" in summary else summary["n"]
        chosen[f"{name}_mean"] = summary[f"{name}_mean"]
        chosen[f"{name}_sd"] = summary[f"{name}_sem"] * np.sqrt(counts)
    return point_table(summary.assign(chosen), [*chosen, *further])


def point_table(summary: xr.Dataset, variables: Sequence[str]) -> pd.DataFrame:
    """The same for variables that are taken as they are."""
    import pandas as pd

    chosen = summary[list(variables)]
    dims = [dim for dim in dict.fromkeys(dim for value in chosen.values() for dim in value.dims) if dim != "point"]
    table = chosen.to_dataframe(dim_order=["point", *dims]).reset_index().rename(columns={"n": "n_trials"})
    table["condition"] = pd.Categorical(table["condition"], in_order(table["condition"].tolist()))
    # Other dimensions stay in the order of the file.
    table = table.sort_values(["condition", "strength"], kind="stable").astype({"condition": str})
    for place, name in enumerate(("dataset", "source", "scale")):
        table.insert(place, name, summary.attrs[name])
    columns = ["dataset", "source", "scale", "condition", "strength", *dims, *variables, "n_trials"]
    return table[columns].reset_index(drop=True)


def settings_of(summary: xr.Dataset) -> dict[str, object]:
    """Settings of the analysis."""
    return json.loads(summary.attrs["settings"])


def quantity_table(summaries: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """Tables of several quantities one below the other.

    Args:
        summaries: variable → summary that has its mean and SEM, all of the same points.

    Returns:
        Columns: dataset, source, scale, quantity (the variable), condition, strength (ρ), value_mean, value_sd,
        n_trials.

    Raises:
        TopoRepError: summaries of different points.
    """
    import pandas as pd

    parts, first = [], None
    for variable, summary in summaries.items():
        part = summary_table(summary, [variable])
        part = part.rename(columns={f"{variable}_{what}": f"value_{what}" for what in ("mean", "sd")})
        part.insert(3, "quantity", variable)
        points = part[["condition", "strength", "n_trials"]]
        first = points if first is None else first
        if not points.equals(first):
            raise TopoRepError(
                f"{', '.join(summaries)}: expected the same conditions, ρ and trials in all files; "
                "make them from the same networks"
            )
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def title_of(attrs: Mapping[str, object]) -> str:
    """Name the data set, and the images that stand in for it."""
    return style.dataset_title(str(attrs["dataset"]), str(attrs["source"]))


def provenance_lines(attrs: Mapping[str, object], *, conditions: Sequence[str] = ()) -> list[str]:
    """Small print on the data, the scale and the training, and what may be concluded from them.

    Args:
        attrs: of a metric file or of an evaluation; `training` is JSON with what all networks share.
        conditions: those drawn; objectives of the paper that are not among them are named.
    """
    training = json.loads(str(attrs.get("training", "{}")))
    # The paper gives no limit of epochs: networks stop early.
    without_epochs = json.dumps({key: value for key, value in training.items() if key != "epochs"})
    sentence = style.provenance({**attrs, "training": without_epochs}, paper=_PAPER_TRAINING)
    trained = _training_text(training)
    absent = [_LOOKS[name].short for name in OBJECTIVES if conditions and name not in conditions]
    return [
        f"{sentence} Training: {trained}." if trained else sentence,
        f"Not trained here: {', '.join(absent)}." if absent else "",
        style.disclaimer([str(attrs["scale"])]),
    ]


def trials_text(table: pd.DataFrame) -> str:
    """Words for the number of trials behind the points of a table, those without dropout apart."""
    without = table["condition"].map(lambda name: is_variant(name, NO_DROPOUT))
    parts = [_trials(table.loc[~without, "n_trials"])] if not without.all() else []
    parts += [f"without dropout {_trials(table.loc[without, 'n_trials'])}"] if without.any() else []
    return "; ".join(parts)


def rho_text(rho: float) -> str:
    """Write ρ as the paper does: 0, .008, 1."""
    text = f"{rho:g}"
    return text[1:] if text.startswith("0.") else text


def note(table: pd.DataFrame, variable: str, *, undefined: str = "") -> np.ndarray:
    """Why a row lacks its mean (`undefined`) or its SD."""
    missing = table[f"{variable}_mean"].isna(), table[f"{variable}_sd"].isna()
    return np.select(missing, [undefined, NO_SD], "")


def _look(condition: str) -> style.ConditionStyle:
    objective = objective_of(condition)
    look = _LOOKS[objective]
    words, line = _VARIANTS.get(condition.removeprefix(objective), ("", "-"))
    return style.ConditionStyle(look.label + words, look.short + words, look.color, look.marker, line)


def _training_text(training: Mapping[str, object]) -> str:
    epochs, patience, batch = (training.get(name) for name in ("epochs", "patience", "batch_size"))
    parts = [f"at most {epochs} epochs"] if epochs else []
    if patience:
        paper = "" if patience == _PAPER_PATIENCE else f" ({_PAPER_PATIENCE} in the paper)"
        parts.append(f"stopped after {patience} epochs{paper} without improvement")
    if batch and batch != _PAPER_BATCH:
        parts.append(f"batches of {batch} images ({_PAPER_BATCH} in the paper)")
    width = training.get("width", _PAPER_WIDTH)
    if width != _PAPER_WIDTH:
        parts.append(f"networks {width} channels wide ({_PAPER_WIDTH} in the paper)")
    return ", ".join(parts)


def _trials(counts: pd.Series) -> str:
    low, high = int(counts.min()), int(counts.max())
    if low != high:
        return f"{low} to {high} trials"
    return "1 trial, so no SD" if low == 1 else f"{low} trials"


def _point_text(condition: str, rho: float) -> str:
    return f"condition {condition!r} at ρ = {rho_text(rho)}"
