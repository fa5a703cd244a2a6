"""Tables of Keller & Welling 2021, "Topographic VAEs learn equivariant capsules": what all five share.

Each model has up to four lines: the paper's numbers, ours, those of the same networks before training, and a null that
knows nothing of the images. Measures of ours that need learning stand beside the paper's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toporep.errors import TopoRepError
from toporep.figures.keller2021_capsules import (
    absent_from,
    disclaimer,
    in_order,
    label_of,
    provenance_lines,
    read_summaries,
    seeds_text,
    title_of,
)
from toporep.tables.text import DASH, MINUS, Cell, TextTable

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

VARIANTS = ("published", "without_mu", "disjoint_windows", "disjoint_windows_without_mu")
ESTIMATORS = ("published", "corrected", "joint")
FACTORS = ("x", "y", "orientation", "scale")
# Models of Table 3 that no other table has.
_NORMALIZED = ("tvae_5_36_projected", "vae_projected", "vae_reparameterized")
# C of the paper's models (A.1), and the pixels of its frames (28 × 28, 64 × 64).
_CAPSULES = {"mnist": 18, "dsprites": 15}
_PIXELS = {"mnist": 784, "dsprites": 4096}
_PUBLISHED = "published"
_NOTE = "note"
_LINES = {
    "published": "paper",
    "value": "here",
    "untrained": "here, untrained",
    "null": "null",
}
_MISSING = Cell(DASH)


@dataclass(frozen=True)
class Measure:
    """A number that a model has.

    Attributes:
        name: as in the table of numbers.
        analysis, variable: where it is; `at` are the other coordinates.
        null: the variable with what knows nothing of the images, negative where `null_sign` is −1.
        running: the variable with the mean over the last epoch, while the weights change; "" if there is none.
        header: of its column in the table that is read; "" where it is in the numbers alone.
        column: of the published file; "" for a measure of ours.
        decimals: as in print.
        higher: whether more is better.
        summed: over what it is a sum, "capsules" or "pixels"; another number of these makes it another measure.
        null_gains_log_n: whether the measure is too high by log N, which its null, exact as it is, must be too.
    """

    name: str
    analysis: str
    variable: str
    at: Mapping[str, str]
    null: str
    untrained: str = "untrained"
    null_sign: int = 1
    running: str = ""
    header: str = ""
    column: str = ""
    decimals: int = 1
    higher: bool = True
    summed: str = ""
    null_gains_log_n: bool = False


@dataclass(frozen=True)
class Layout:
    """What one table shows.

    Attributes:
        title: without the data set.
        dataset: its role.
        measures: in the order of the columns.
        bold: whether the best of ours is bold, as the paper's tables have it.
        bold_columns: columns of the published file to which that applies; all if empty.
        all_models: whether models that the paper does not have are appended.
        labels: what models are called where not as in the other tables.
        notes: paragraphs on this table alone.
    """

    title: str
    dataset: str
    measures: Sequence[Measure]
    bold: bool = True
    bold_columns: Sequence[str] = ()
    all_models: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def likelihoods() -> list[Measure]:
    """log p(x) in nats a frame; its null is the best constant probability of each pixel, on the same estimator."""
    headers = {"published": "log p(x)", "corrected": "log p(x), corrected"}
    return [
        Measure(
            name="log_likelihood",
            analysis="log_likelihood",
            variable="log_likelihood",
            at={"estimator": estimator},
            null="constant_pixel",
            null_sign=-1,
            header=headers.get(estimator, ""),
            column="log_likelihood" if estimator == _PUBLISHED else "",
            summed="pixels",
            null_gains_log_n=estimator == _PUBLISHED,
        )
        for estimator in ESTIMATORS
    ]


def equivariance_errors(*, decimals: int) -> list[Measure]:
    """The equivariance error of all variants."""
    headers = {
        "published": "E_eq",
        "without_mu": "E_eq, no mu",
        "disjoint_windows_without_mu": "E_eq, disjoint, no mu",
    }
    return [
        Measure(
            name="equivariance_error",
            analysis="equivariance",
            variable="error",
            at={"variant": variant},
            null="null",
            running="running" if variant == _PUBLISHED else "",
            header=headers.get(variant, ""),
            column="equivariance_error" if variant == _PUBLISHED else "",
            decimals=decimals,
            higher=False,
            summed="capsules",
        )
        for variant in VARIANTS
    ]


def capsule_correlations() -> list[Measure]:
    """The capsule correlation of each factor and their mean, of all variants."""
    found = []
    for variant in VARIANTS:
        for factor in FACTORS:
            own = variant == _PUBLISHED
            words = {"header": f"CapCorr {factor}", "column": factor, "running": "running"} if own else {}
            at = {"variant": variant, "factor": factor}
            of = {"analysis": "capsule_correlation", "variable": "correlation", "null": "null", "decimals": 2}
            found.append(Measure(name="capsule_correlation", at=at, **of, **words))
        for moved in ("", "moved_"):
            shown = moved and variant == "disjoint_windows_without_mu"
            found.append(
                Measure(
                    name=f"{moved}mean_capsule_correlation",
                    analysis="capsule_correlation",
                    at={"variant": variant},
                    variable=f"{moved}average",
                    null=f"null_{moved}average",
                    untrained=f"untrained_{moved}average",
                    decimals=2,
                    header="mean, moved, disjoint, no mu" if shown else "",
                )
            )
    return found


def build_table(inputs: Mapping[str, Path], layout: Layout) -> tuple[pd.DataFrame, TextTable]:
    """Lay out the numbers of this run beside those of the paper.

    Args:
        inputs: `published` → the paper's numbers (.csv), and `<dataset>.<analysis>` → file of schema
            `<analysis>_summary` for each analysis of the measures.
        layout: the table.

    Returns:
        The numbers, one row for each model and measure: dataset, source, scale, condition, measure, variant (or
        estimator), factor, n_seeds, value and value_sd (mean and SD over seeds), bold, published, published_sd,
        published_bold, difference, untrained, untrained_sd, null, null_sd, running, running_sd (over the last epoch of
        training, as the published numbers of dSprites seem to be). NaN where there is no value; the difference also
        where sums are over another number of capsules or pixels than the paper's. And the table.

    Raises:
        TopoRepError: no published numbers, or with other columns; a file of another schema, paper or data set; a
            variant or estimator that is not there; estimates of log p(x) without their number of samples.
    """
    printed = _read_published(inputs, layout)
    summaries = {
        analysis: _read_summary(inputs, layout.dataset, analysis)
        for analysis in dict.fromkeys(measure.analysis for measure in layout.measures)
    }
    trained = in_order([str(name) for summary in summaries.values() for name in summary["condition"].values])
    further = [name for name in trained if name not in (*printed.index, *_NORMALIZED)] if layout.all_models else []
    conditions = [*printed.index, *further]
    numbers = _numbers(layout, summaries, printed, conditions)
    return numbers, _text(layout, summaries, printed, numbers, conditions)


def _read_summary(inputs: Mapping[str, Path], dataset: str, analysis: str) -> xr.Dataset:
    found = read_summaries(
        {name: path for name, path in inputs.items() if name != _PUBLISHED}, f"{analysis}_summary", analysis=analysis
    )
    if list(found) != [dataset]:
        raise TopoRepError(f"inputs: expected one file {dataset}.{analysis}, found data sets {', '.join(found)}")
    return found[dataset]


def _read_published(inputs: Mapping[str, Path], layout: Layout) -> pd.DataFrame:
    """Texts as printed, by condition."""
    import pandas as pd

    if _PUBLISHED not in inputs:
        raise TopoRepError(f"inputs: expected published=<csv>, found {', '.join(inputs) or 'none'}")
    path = Path(inputs[_PUBLISHED])
    if not path.is_file():
        raise TopoRepError(f"{path}: no such file (expected the published numbers)")
    table = pd.read_csv(path, comment="#", dtype=str, keep_default_na=False)
    columns = [measure.column for measure in layout.measures if measure.column]
    wanted = ["condition", *(f"{column}{end}" for column in columns for end in ("", "_sd", "_bold")), _NOTE]
    if list(table.columns) != wanted:
        raise TopoRepError(f"{path}: expected columns {', '.join(wanted)}, found {', '.join(table.columns)}")
    texts = table[wanted[:-1]]
    if (texts == "").any(axis=None) or table["condition"].duplicated().any():
        raise TopoRepError(f"{path}: expected every value once, found rows that are incomplete or doubled")
    wrong = [text for text in texts.iloc[:, 1:].to_numpy().ravel() if not _is_number(text)]
    if wrong:
        raise TopoRepError(f"{path}: expected numbers, found {wrong[0]!r}")
    return table.set_index("condition")


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


# Numbers


def _numbers(
    layout: Layout, summaries: Mapping[str, xr.Dataset], printed: pd.DataFrame, conditions: Sequence[str]
) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for measure in layout.measures:
        summary = summaries[measure.analysis]
        value = _by_condition(summary, measure.variable, measure.at)
        untrained = _by_condition(summary, measure.untrained, measure.at)
        null = _by_condition(summary, measure.null, measure.at)
        running = _by_condition(summary, measure.running, measure.at) if measure.running else {}
        comparable = _comparable(summary, measure)
        excess = np.log(_attribute(summary, "likelihood_samples")) if measure.null_gains_log_n else 0.0
        for condition in conditions:
            mean, sd, n = value.get(condition, (np.nan, np.nan, 0))
            row = {key: str(summary.attrs[key]) for key in ("dataset", "source", "scale")}
            row |= {"condition": condition, "measure": measure.name}
            row |= {"variant": next(iter(measure.at.values())), "factor": measure.at.get("factor", "")}
            row |= {"n_seeds": n, "value": mean, "value_sd": sd}
            row |= _published(printed, measure.column, condition)
            row["difference"] = mean - row["published"] if comparable else np.nan
            row["untrained"], row["untrained_sd"], _ = untrained.get(condition, (np.nan, np.nan, 0))
            nothing, spread, _ = null.get(condition, (np.nan, np.nan, 0))
            row |= {"null": measure.null_sign * nothing + excess, "null_sd": spread}
            row["running"], row["running_sd"], _ = running.get(condition, (np.nan, np.nan, 0))
            rows.append(row)
    numbers = pd.DataFrame(rows)
    numbers.insert(list(numbers).index("published"), "bold", _bold(numbers, layout))
    order = numbers["condition"].map(list(conditions).index)
    return numbers.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)


def _capsules(summary: xr.Dataset) -> int | None:
    """C of all its models; None where they differ."""
    return json.loads(str(summary.attrs["training"])).get("capsules")


def _comparable(summary: xr.Dataset, measure: Measure) -> bool:
    """Whether a measure is a sum over as many capsules or pixels as in the paper, if it is one."""
    if measure.summed == "capsules":
        return _capsules(summary) == _CAPSULES[summary.attrs["dataset"]]
    if measure.summed == "pixels":
        return _attribute(summary, "pixels") == _PIXELS[summary.attrs["dataset"]]
    return True


def _attribute(summary: xr.Dataset, name: str) -> int:
    if name not in summary.attrs:
        raise TopoRepError(
            f"{summary.attrs['dataset']}: the summary of log_likelihood lacks the attribute {name!r}, without which "
            "log p(x) cannot be set beside its null and the paper; make the metric file again"
        )
    return int(summary.attrs[name])


def _by_condition(summary: xr.Dataset, variable: str, at: Mapping[str, str]) -> dict[str, tuple[float, float, int]]:
    """condition → mean, SD over seeds, seeds that have a value."""
    counts = summary[f"{variable}_n"] if f"{variable}_n" in summary else summary["n"]
    places = {}
    for dim, label in at.items():
        labels = summary[dim].values.tolist()
        if label not in labels:
            raise TopoRepError(f"{summary.attrs['dataset']}: no {dim} {label!r}; found {', '.join(labels)}")
        places[dim] = labels.index(label)
    # A null of a whole frame has no estimator.
    taken = [summary[f"{variable}_mean"], summary[f"{variable}_sem"], counts]
    mean, sem, n = (each.isel({dim: place for dim, place in places.items() if dim in each.dims}) for each in taken)
    sd = sem.values * np.sqrt(n.values)
    names = map(str, summary["condition"].values)
    rows = zip(names, mean.values.tolist(), sd.tolist(), n.values.tolist(), strict=True)
    return {name: (of_mean, of_sd, of_n) for name, of_mean, of_sd, of_n in rows}


def _published(printed: pd.DataFrame, column: str, condition: str) -> dict[str, object]:
    if not column or condition not in printed.index:
        return {"published": np.nan, "published_sd": np.nan, "published_bold": False}
    row = printed.loc[condition]
    return {
        "published": float(row[column]),
        "published_sd": float(row[f"{column}_sd"]),
        "published_bold": row[f"{column}_bold"] == "1",
    }


def _bold(numbers: pd.DataFrame, layout: Layout) -> pd.Series:
    """The best of each of the paper's measures, to the decimals of print; of one model alone none is best."""
    bold = numbers["condition"].isna()
    for measure in layout.measures:
        if not (layout.bold and measure.column in (layout.bold_columns or (measure.column,)) and measure.column):
            continue
        of = (numbers["measure"] == measure.name) & (numbers["variant"] == _PUBLISHED)
        of &= numbers["factor"] == measure.at.get("factor", "")
        values = numbers.loc[of, "value"].round(measure.decimals)
        if values.notna().sum() > 1:
            bold[values.index] = values == (values.max() if measure.higher else values.min())
    return bold


# Text


def _text(
    layout: Layout,
    summaries: Mapping[str, xr.Dataset],
    printed: pd.DataFrame,
    numbers: pd.DataFrame,
    conditions: Sequence[str],
) -> TextTable:
    shown = [measure for measure in layout.measures if measure.header]
    rows, groups = [], []
    for condition, own in numbers.groupby("condition", sort=False):
        groups.append(len(rows))
        cells = {line: _cells(line, own, shown, printed, str(condition)) for line in _LINES}
        for line, name in _LINES.items():
            # A model of the paper that is not trained shows that it is missing.
            if any(cell != _MISSING for cell in cells[line]) or line == "value":
                label = layout.labels.get(str(condition), label_of(str(condition)))
                rows.append([Cell(label if len(rows) == groups[-1] else ""), Cell(name), *cells[line]])
    attrs = next(iter(summaries.values())).attrs
    return TextTable(
        title=f"{layout.title}, {title_of(attrs)}",
        header=["Model", "Numbers", *(measure.header for measure in shown)],
        rows=rows,
        labels=2,
        groups=groups[1:],
        notes=_notes(layout, summaries, printed, numbers, conditions),
    )


def _cells(
    line: str, own: pd.DataFrame, measures: Sequence[Measure], printed: pd.DataFrame, condition: str
) -> list[Cell]:
    keyed = own.set_index(["measure", "variant", "factor"])
    cells = []
    for measure in measures:
        row = keyed.loc[(measure.name, next(iter(measure.at.values())), measure.at.get("factor", ""))]
        if not np.isfinite(row[line]):
            cells.append(_MISSING)
        elif line == "published":
            text, spread = printed.loc[condition, [measure.column, f"{measure.column}_sd"]]
            cells.append(Cell(f"{text.replace('-', MINUS)} ± {spread}", bold=bool(row["published_bold"])))
        else:
            spread = row[f"{line}_sd"] if line != "null" else np.nan
            text = _decimals(row[line], measure.decimals)
            text += f" ± {spread:.{measure.decimals}f}" if np.isfinite(spread) else ""
            cells.append(Cell(text, bold=bool(line == "value" and row["bold"])))
    return cells


def _decimals(value: float, decimals: int) -> str:
    text = f"{abs(value):.{decimals}f}"
    return (MINUS if value < 0 and float(text) else "") + text


def _notes(
    layout: Layout,
    summaries: Mapping[str, xr.Dataset],
    printed: pd.DataFrame,
    numbers: pd.DataFrame,
    conditions: Sequence[str],
) -> list[str]:
    trained = numbers.loc[numbers["n_seeds"] > 0]
    seeds = seeds_text(trained["n_seeds"].tolist()) if len(trained) else "no network"
    attrs = [summary.attrs for summary in summaries.values()]
    absent = absent_from(trained["condition"].unique().tolist(), layout.dataset, of=list(printed.index))
    return [
        "Paper: as printed, mean ± SD over 3 runs. Here: mean ± SD (ddof 1) over seeds. Untrained: the same networks "
        "before training. Null: what knows nothing of the images. A model has C capsules of D units. "
        f"{DASH}: not trained here, not in the paper, or not defined.",
        *_measure_notes(summaries),
        _bold_note(layout),
        *layout.notes,
        *(f"Print, {label_of(name)}: {text}." for name, text in printed[_NOTE].items() if text),
        *provenance_lines(attrs[0], absent=absent, seeds=seeds),
        *filter(None, [disclaimer(attrs)]),
    ]


def _measure_notes(summaries: Mapping[str, xr.Dataset]) -> list[str]:
    notes = []
    if "log_likelihood" in summaries:
        summary = summaries["log_likelihood"]
        limit = float(summary["entropy_floor_mean"].mean()) if summary.sizes["point"] else np.nan
        because = "because the targets are grey values, not bits"
        samples = _attribute(summary, "likelihood_samples")
        bound = f" With exact sums it cannot exceed {_decimals(-limit, 1)}, {because}." * bool(limit > 0)
        notes.append(
            "log p(x): nats a frame, importance sampling. As published, without the term that divides by the number N "
            f"of samples, so log N too high; corrected: with it. N = {samples} here: {np.log(samples):.3f} nats."
            f"{bound} Null: the best constant probability of each pixel, of which the likelihood is exact; as "
            f"published, log N too high too. {_pixel_note(summary)}"
        )
    windows = "Disjoint: each two frames are compared with what their windows do not share. "
    if "equivariance" in summaries:
        notes.append(_sum_note(summaries["equivariance"]))
        notes.append(
            "E_eq: equivariance error, lower is better. Null: random latents through the same windows, with the same "
            "mu. mu makes variables of a capsule nearly equal and windows share their u, so E_eq is low without any "
            f"learning. No mu: without it. {windows}Random directions have "
            f"{float(summaries['equivariance'].attrs['random_directions']):.0f}. None of this is in the paper."
        )
    if "capsule_correlation" in summaries:
        notes.append(
            "CapCorr: correlation of observed and true rolls, higher is better. Null: as for E_eq, one value for x, y "
            "and orientation, which have equally many classes. Wide windows give 1 without any learning; without "
            "shared u, chance is not 0, as a sequence whose true shift is 0 is compared with itself, and for scale "
            "the nearest of three rolls counts. Mean, moved: over the four factors, with disjoint windows and without "
            "mu, of sequences whose true shift is not 0, with the last frame at which it is: here chance is 0. Not in "
            "the paper."
        )
    return notes


def _pixel_note(summary: xr.Dataset) -> str:
    paper, here = _PIXELS[summary.attrs["dataset"]], _attribute(summary, "pixels")
    if here == paper:
        return f"A sum over the {paper} pixels of a frame, as in the paper."
    return (
        f"A sum over the pixels of a frame: {here} here, {paper} in the paper. The two lines of log p(x) are not "
        "comparable, and the table of numbers has no difference."
    )


def _sum_note(summary: xr.Dataset) -> str:
    paper, here = _CAPSULES[summary.attrs["dataset"]], _capsules(summary)
    if here == paper:
        return f"E_eq is a sum over the C = {paper} capsules, as in the paper."
    found = "not the same number in all models" if here is None else str(here)
    return (
        f"E_eq is a sum over capsules: C = {found} here, {paper} in the paper. The two lines of E_eq are not "
        "comparable, and the table of numbers has no difference."
    )


def _bold_note(layout: Layout) -> str:
    if not layout.bold:
        return "Nothing is bold in the paper's table, and nothing here."
    only = " (of E_eq alone)" if layout.bold_columns else ""
    return f"Bold: the best model{only}, equal ones together; of the paper as printed."
