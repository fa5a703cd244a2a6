"""The four numbers of the text: accuracy with and without the spatial loss, bits per dimension of VAE and TVAE."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toporep.errors import TopoRepError
from toporep.figures.keller2021_category import (
    check_together,
    disclaimer,
    in_order,
    label_of,
    provenance_lines,
    read_summary,
    title_of,
)
from toporep.losses.bits import constant_predictor_bits, perfect_reconstruction_bits
from toporep.tables.text import DASH, MINUS, Cell, TextTable

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_PUBLISHED = "published"
_TOP1, _BITS = "top1", "bits"
# Models of the paper's numbers, in the order of its text; and which network of ours is the same before training.
_MODELS = {_TOP1: ("tdann", "tdann_nonspatial"), _BITS: ("vae", "tvae")}
_UNTRAINED = {"tvae": "tvae_untrained"}
_UNITS, _DECIMALS = {_TOP1: "%", _BITS: "bits"}, {_TOP1: 1, _BITS: 2}
_PARTS = {
    "all": "Top-1 (%), all classes",
    "without_faces": "Top-1 (%), images without faces",
    "faces_no_choice": "Top-1 (%), the same, faces no choice",
    "faces": "Top-1 (%), faces",
}
_VALUE_COLUMNS = ("published", "value", "untrained", "null", "floor")
_HEADER = ("Number", "Model", "Paper", "Here", "Here, untrained", "Null", "Floor")
_PAPER_CLASSES = 1001
# 3.4 and 3.6 bits of 9,216 features, were they divided by 4,096 latents.
_PAPER_SIZES = (9216, 4096)


@dataclass(frozen=True)
class _Reading:
    """One way to take a number.

    Attributes:
        measure: "top1" or "bits".
        name, set_name: as in the table of numbers: what is taken, and of which images.
        header: as it is read; "" where it is in the table of numbers alone.
        variable: in the summary; `at` are the other coordinates.
        null, floor: variables that bound it; "" if there are none.
        factor: of all its values.
        printed: whether the paper's number might be this.
    """

    measure: str
    name: str
    set_name: str
    header: str
    variable: str
    at: Mapping[str, str]
    null: str = ""
    floor: str = ""
    factor: float = 1.0
    bounds_factor: float = 1.0
    printed: bool = False


def build(inputs: Mapping[str, Path]) -> tuple[pd.DataFrame, TextTable]:
    """Build the table.

    Args:
        inputs: `published` (.csv), and files of the schemas `classification_summary` and `bits_per_dimension_summary`
            as `imagenet_faces.classification` and `imagenet_faces.bits_per_dimension`.

    Returns:
        The numbers, one row a model and reading: dataset, source, scale, measure, unit, reading, set (of images),
        condition, n_seeds, value, value_sd (over seeds, ddof 1), published, difference (value − published; of top-1
        alone, of as many classes as the paper's), untrained, untrained_sd, null (top-1: the most frequent class; bits:
        each feature's training mean), floor. And the table as it is read.

    Raises:
        TopoRepError: see `read_summary`; files of different scales; published numbers that are missing or incomplete.

    Source: Keller, Gao & Welling 2021, section 5.
    """
    printed = _read_published(inputs)
    summaries = {
        _TOP1: read_summary(inputs, "classification"),
        _BITS: read_summary(inputs, "bits_per_dimension"),
    }
    check_together(list(summaries.values()))
    readings = [*_accuracies(summaries[_TOP1]), *_bits(summaries[_BITS])]
    numbers = _numbers(readings, summaries, printed)
    return numbers, _text(readings, summaries, numbers, printed)


def _read_published(inputs: Mapping[str, Path]) -> dict[tuple[str, str], str]:
    """(condition, measure) → as printed."""
    import pandas as pd

    if _PUBLISHED not in inputs:
        raise TopoRepError(f"inputs: expected published=<csv>, found {', '.join(inputs) or 'none'}")
    path = Path(inputs[_PUBLISHED])
    if not path.is_file():
        raise TopoRepError(f"{path}: no such file (expected the published numbers)")
    table = pd.read_csv(path, comment="#", dtype=str, keep_default_na=False)
    columns = ["condition", "measure", "published"]
    if list(table.columns) != columns:
        raise TopoRepError(f"{path}: expected columns {', '.join(columns)}, found {', '.join(table.columns)}")
    found = {(row.condition, row.measure): row.published for row in table.itertuples()}
    wanted = {(condition, measure) for measure, models in _MODELS.items() for condition in models}
    if set(found) != wanted or len(table) != len(wanted):
        raise TopoRepError(f"{path}: expected one number each for {_pairs(wanted)}, found {_pairs(found)}")
    for key, text in found.items():
        if not _is_number(text):
            raise TopoRepError(f"{path}: expected a number for {' '.join(key)}, found {text!r}")
    return found


def _pairs(keys: Sequence[tuple[str, str]]) -> str:
    return ", ".join(" ".join(key) for key in sorted(keys))


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


# Readings


def _accuracies(summary: xr.Dataset) -> list[_Reading]:
    present = summary["part"].values.tolist()
    parts = [name for name in _PARTS if name in present] + [name for name in present if name not in _PARTS]
    return [
        _Reading(
            measure=_TOP1,
            name=part,
            set_name="",
            header=_PARTS.get(part, f"Top-1 (%), {part}"),
            variable="accuracy",
            at={"part": part},
            null="chance",
            factor=100.0,
            bounds_factor=100.0,
            printed=part == "all",
        )
        for part in parts
    ]


def _bits(summary: xr.Dataset) -> list[_Reading]:
    sets = summary["set"].values.tolist()
    per_latent = float(summary.attrs["dimensions"]) / float(summary.attrs["latents"])
    bounds = {"null": "constant", "floor": "floor", "printed": True}
    found = [
        _Reading(_BITS, "per_feature", name, f"Bits a feature, {name}", "bits", {"set": name}, **bounds)
        for name in sets
    ]
    for name in sets:
        header = f"Bits a latent, {name}"
        of = {"variable": "per_latent", "at": {"set": name}, "bounds_factor": per_latent}
        found.append(_Reading(_BITS, "per_latent", name, header, **of, **bounds))
    header = f"Bits a feature, {' and '.join(sets)}, as the code averages"
    found.append(_Reading(_BITS, "published_average", "", header, "published_average", {}, printed=True))
    for part in ("reconstruction", "kl_z", "kl_u"):
        found += [_Reading(_BITS, part, name, "", part, {"set": name}) for name in sets]
    for estimator in summary["estimator"].values.tolist():
        of = [("log_likelihood", {"set": name, "estimator": estimator}, name) for name in sets]
        found += [_Reading(_BITS, f"importance_{estimator}", name, "", *where) for *where, name in of]
    return found


# Numbers


def _numbers(
    readings: Sequence[_Reading], summaries: Mapping[str, xr.Dataset], printed: Mapping[tuple[str, str], str]
) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for reading in readings:
        summary = summaries[reading.measure]
        values = _by_condition(summary, reading.variable, reading.at, reading.factor)
        bounds = {
            name: _by_condition(summary, variable, reading.at, reading.bounds_factor) if variable else {}
            for name, variable in (("null", reading.null), ("floor", reading.floor))
        }
        for condition in _MODELS[reading.measure]:
            row = {key: str(summary.attrs[key]) for key in ("dataset", "source", "scale")}
            row |= {"measure": reading.measure, "unit": _UNITS[reading.measure]}
            row |= {"reading": reading.name, "set": reading.set_name, "condition": condition}
            row["value"], row["value_sd"], row["n_seeds"] = values.get(condition, _NOTHING)
            row["published"] = float(printed[condition, reading.measure]) if reading.printed else np.nan
            row["difference"] = row["value"] - row["published"] if _comparable(summary, reading) else np.nan
            row["untrained"], row["untrained_sd"], _ = values.get(_UNTRAINED.get(condition, ""), _NOTHING)
            row |= {name: of.get(condition, _NOTHING)[0] for name, of in bounds.items()}
            rows.append(row)
    columns = ["dataset", "source", "scale", "measure", "unit", "reading", "set", "condition", "n_seeds", "value"]
    columns += ["value_sd", "published", "difference", "untrained", "untrained_sd", "null", "floor"]
    return pd.DataFrame(rows)[columns]


def _comparable(summary: xr.Dataset, reading: _Reading) -> bool:
    # Of bits, the paper's definition is not known.
    return reading.measure == _TOP1 and int(summary.attrs["classes"]) == _PAPER_CLASSES


_NOTHING = (np.nan, np.nan, 0)


def _by_condition(
    summary: xr.Dataset, variable: str, at: Mapping[str, str], factor: float
) -> dict[str, tuple[float, float, int]]:
    """condition → mean, SD over seeds, seeds."""
    mean, sem = summary[f"{variable}_mean"], summary[f"{variable}_sem"]
    places = {dim: summary[dim].values.tolist().index(name) for dim, name in at.items() if dim in mean.dims}
    values, spread, n = mean.isel(places).values, sem.isel(places).values, summary["n"].values
    rows = zip(factor * values, factor * spread * np.sqrt(n), n, strict=True)
    names = map(str, summary["condition"].values)
    return {name: (float(of), float(sd), int(seeds)) for name, (of, sd, seeds) in zip(names, rows, strict=True)}


# Text


def _text(
    readings: Sequence[_Reading],
    summaries: Mapping[str, xr.Dataset],
    numbers: pd.DataFrame,
    printed: Mapping[tuple[str, str], str],
) -> TextTable:
    rows, groups = [], []
    for reading in readings:
        if not reading.header:
            continue
        groups.append(len(rows))
        own = numbers[(numbers["reading"] == reading.name) & (numbers["set"] == reading.set_name)]
        for _, row in own[own["measure"] == reading.measure].iterrows():
            name = Cell(reading.header if len(rows) == groups[-1] else "")
            rows.append([name, Cell(label_of(row["condition"])), *_cells(row, printed)])
    return TextTable(
        title=f"The four numbers of the text, {title_of(summaries[_BITS].attrs)}",
        header=_HEADER,
        rows=rows,
        labels=2,
        groups=groups[1:],
        notes=_notes(summaries, numbers),
    )


def _cells(row: pd.Series, printed: Mapping[tuple[str, str], str]) -> list[Cell]:
    cells = []
    for column in _VALUE_COLUMNS:
        if not np.isfinite(row[column]):
            cells.append(Cell(DASH))
        elif column == "published":
            cells.append(Cell(printed[row["condition"], row["measure"]]))
        else:
            spread = row.get(f"{column}_sd", np.nan)
            decimals = _DECIMALS[row["measure"]]
            text = _decimals(row[column], decimals)
            cells.append(Cell(text + (f" ± {spread:.{decimals}f}" if np.isfinite(spread) else "")))
    return cells


def _decimals(value: float, decimals: int) -> str:
    text = f"{abs(value):.{decimals}f}"
    return (MINUS if value < 0 and float(text) else "") + text


def _notes(summaries: Mapping[str, xr.Dataset], numbers: pd.DataFrame) -> list[str]:
    trained = numbers.loc[numbers["n_seeds"] > 0, ["condition", "n_seeds"]].drop_duplicates()
    seeds = dict(zip(trained["condition"], trained["n_seeds"], strict=True))
    absent = in_order([name for models in _MODELS.values() for name in models if name not in seeds])
    lines = [
        "Paper: as printed, without a spread. Here: mean ± SD (ddof 1) over seeds, no SD with one. Untrained: the same "
        f"network before training. {DASH}: not trained here, not in the paper, or not defined.",
        _accuracy_note(summaries[_TOP1]),
        *_bits_notes(summaries[_BITS]),
    ]
    for number, (measure, summary) in enumerate(summaries.items()):
        own = [name for name in in_order([*seeds]) if name in _MODELS[measure]]
        words = "; ".join(f"{label_of(name)}: {_seeds(seeds[name])}" for name in own)
        lines += provenance_lines(summary.attrs, seeds=words, absent=absent if number else [])
    return [line for line in [*lines, disclaimer(summaries[_BITS].attrs)] if line]


def _accuracy_note(summary: xr.Dataset) -> str:
    images = json.loads(str(summary.attrs.get("images", "{}")))
    names = {"all": "all", "without_faces": "without faces", "faces_no_choice": "faces no choice", "faces": "faces"}
    counts = ", ".join(f"{names.get(name, name)} {count}" for name, count in images.items())
    same = int(summary.attrs["classes"]) == _PAPER_CLASSES
    apart = "" if same else ": with other classes not comparable, and the table of numbers has no difference"
    return (
        f"Top-1: share of images whose class is named first, of {summary.attrs['classes']} classes, one of them faces; "
        f"in the paper of {_PAPER_CLASSES}, on ImageNet's validation set and faces{apart}. Null: to name always the "
        "most frequent class, of faces alone to guess. The accuracy that the published code prints is another: it "
        "pools all test sets, whose labels it numbers anew." + (f" Images: {counts}." if counts else "")
    )


def _bits_notes(summary: xr.Dataset) -> list[str]:
    floor, constant = perfect_reconstruction_bits(), constant_predictor_bits()
    features, latents = _PAPER_SIZES
    of_features = " and ".join(f"{bits * latents / features:.2f}" for bits in (3.4, 3.6))
    return [
        "Bits a feature: the negative evidence lower bound, that is, the negative log-likelihood of the features and "
        f"the divergences of the latents, over the number of features ({summary.attrs['dimensions']} here, {features} "
        f"in the paper) and log 2; fewer are better. Floor: {floor:.4f}, every feature met exactly by latents that "
        f"tell nothing. Null: each feature's training mean, {constant:.4f} for features of variance 1, another number "
        "if the images shown vary more or less than those of the training.",
        "The paper says roughly 3.4 and 3.6, without definition, images or code. By this natural definition both are "
        f"worse than the null ({constant:.4f}), so that they cannot be set against ours: what explains them is not "
        "known. They stand at every reading that they might be, and the table of numbers has no difference. Averaged "
        "as the published code does, over the batches of the last set alone, two sets of equally many batches give "
        f"twice the bits; but its script has four sets. Divided by the {latents} latents, 3.4 and 3.6 would be "
        f"{of_features} bits a feature. Images shown whose normalized features have a mean square of 2.9 or more would "
        "do it, too. What can be compared is the order: the paper's VAE needs fewer bits than its TVAE.",
    ]


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{int(count)} seeds"
