"""Figures of Keller & Welling 2021, "Topographic VAEs learn equivariant capsules": shared naming, coloring, reading."""

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

PAPER = "keller2021_capsules"
BAND = "± SD over seeds (ddof 1)"
NO_SD = "one seed: no SD"

# Coherence length L of the paper's models by the end of their names, in units of the sequence's length S.
_LENGTHS = {
    "1_2": "S/2",
    "2_5": "2S/5",
    "13_36": "13S/36",
    "1_3": "S/3",
    "4_15": "4S/15",
    "1_4": "S/4",
    "1_6": "S/6",
    "5_36": "5S/36",
    "0": "0",
}
_VARIANTS = {"": "", "k3": "K = 3", "projected": "projected weights", "reparameterized": "reparameterized weights"}
# Where there is room for few letters.
_SHORTER = {"L = ": "", "BubbleVAE": "Bubble", " weights": "", "reparameterized": "reparam."}
# Models of Tables 1, 2, 4 and 5, and those of Table 3 that no other table has, in the order of the tables.
_MNIST = (
    *("tvae_1_2", "tvae_13_36", "tvae_1_4", "tvae_5_36", "tvae_0"),
    *("bubble_1_2", "bubble_1_4", "bubble_5_36", "bubble_5_36_k3", "vae"),
    *("tvae_5_36_projected", "vae_projected", "vae_reparameterized"),
)
_DSPRITES = (
    *("tvae_1_2", "tvae_2_5", "tvae_1_3", "tvae_4_15", "tvae_1_6", "tvae_0"),
    *("bubble_1_2", "bubble_2_5", "bubble_1_3", "bubble_4_15", "bubble_1_6", "vae"),
)
_CONDITIONS = {
    "mnist": _MNIST,
    "dsprites": _DSPRITES,
    "mnist_color_rotation": ("tvae_13_36",),
    "mnist_color_perspective": ("tvae_13_36",),
    "mnist_plain": ("torus",),
}
_ORDER = (
    *(f"tvae_{length}" for length in _LENGTHS),
    *(f"bubble_{length}{variant}" for length in _LENGTHS for variant in ("", "_k3")),
    *("vae", "tvae_5_36_projected", "vae_projected", "vae_reparameterized", "torus"),
)
_FAMILIES = {
    "tvae": style.ConditionStyle("topographic VAE (TVAE)", "TVAE", "#0072B2", "o"),
    "bubble": style.ConditionStyle("stationary coherence (BubbleVAE)", "BubbleVAE", "#E69F00", "s"),
    "vae": style.ConditionStyle("plain VAE", "VAE", "#7F3C8D", "D"),
}
_OTHER = style.ConditionStyle("other", "other", "#5C4033", "X")
_DATASETS = {
    "mnist": ("mnist", "MNIST"),
    "dsprites": ("dsprites", "dSprites"),
    "mnist_color_rotation": ("mnist", "MNIST, color and rotation"),
    "mnist_color_perspective": ("mnist", "MNIST, color and perspective"),
    "mnist_plain": ("mnist", "MNIST"),
}
# Paper, section 6 and appendix A; evaluated sequences: the test images of MNIST, the training set of dSprites.
_PAPER_TRAINING = {
    "mnist": {"train_images": 48_000, "epochs": 100},
    "dsprites": {"train_images": 50_625, "epochs": 100},
}
_PAPER_SEQUENCES = {"mnist": 10_000, "dsprites": 50_625}


def family_of(condition: str) -> str:
    """ "tvae", "bubble" or "vae"; the condition itself where it is none of the paper's models of sequences."""
    family, _, rest = condition.partition("_")
    known = rest in _VARIANTS if family == "vae" else _split(rest) is not None
    return family if family in _FAMILIES and known else condition


def family_style(family: str) -> style.ConditionStyle:
    """The look of all models of a family, in every figure of the paper."""
    return _FAMILIES.get(family, _OTHER)


def label_of(condition: str) -> str:
    """Name a model as the paper does: "TVAE, L = 5S/36"; a condition that it does not have keeps its name."""
    return _name(condition, ", ")


def short_label_of(condition: str) -> str:
    """The same in few lines, for an axis."""
    text = _name(condition, "\n")
    for long, short in _SHORTER.items() if text != condition else ():
        text = text.replace(long, short)
    return text


def in_order(conditions: Sequence[str]) -> list[str]:
    """The conditions once each: those of the paper in the order of its tables, then others as they come."""
    present = list(dict.fromkeys(conditions))
    return [name for name in _ORDER if name in present] + [name for name in present if name not in _ORDER]


def absent_from(conditions: Sequence[str], dataset: str, *, of: Sequence[str] | None = None) -> list[str]:
    """The paper's conditions of a data set, or those of `of`, that are not among these."""
    return [name for name in in_order(of or _CONDITIONS.get(dataset, ())) if name not in conditions]


def read_summaries(inputs: Mapping[str, Path], schema: str, *, analysis: str = "") -> dict[str, xr.Dataset]:
    """Read the summaries of one analysis, one a data set, in the order given.

    Args:
        inputs: dataset → file; with `analysis`, `<dataset>.<analysis>` → file, and others that are left alone.
        schema: a schema whose points have coordinates condition, strength (always 0) and n.
        analysis: which of several.

    Raises:
        TopoRepError: no such file; a file of another schema, paper or data set than its name says; a condition that
            is there twice.
    """
    parts = {name: name.partition(".") for name in inputs}
    found = {dataset: inputs[name] for name, (dataset, _, rest) in parts.items() if rest == analysis}
    if not found:
        wanted = f"<dataset>.{analysis}" if analysis else "<dataset>"
        raise TopoRepError(f"inputs: expected files named {wanted}, found {', '.join(inputs) or 'none'}")
    return {dataset: _read_summary(path, schema, dataset) for dataset, path in found.items()}


def summary_table(summary: xr.Dataset, variables: Sequence[str]) -> pd.DataFrame:
    """Lay a summary out with one row a condition and value of the further dimensions, in the order of the tables.

    Args:
        summary: with `<variable>_mean` and `<variable>_sem` for each variable.
        variables: their names, all with the same dimensions; the SD is SEM · √n, n being the seeds that have a value.

    Returns:
        Columns: dataset, source, scale, condition, the further dimensions (such as variant), for each variable
        `<variable>_mean` and `<variable>_sd`, n_seeds.
    """
    import pandas as pd

    chosen = {}
    for name in variables:
        counts = summary[f"{name}_n"] if f"{name}_n" in summary else summary["n"]
        chosen[f"{name}_mean"] = summary[f"{name}_mean"]
        chosen[f"{name}_sd"] = summary[f"{name}_sem"] * np.sqrt(counts)
    dims = [dim for dim in chosen[f"{variables[0]}_mean"].dims if dim != "point"]
    table = summary.assign(chosen)[list(chosen)].to_dataframe(dim_order=["point", *dims]).reset_index()
    table["condition"] = pd.Categorical(table["condition"], in_order(table["condition"].tolist()))
    # Other dimensions stay in the order of the file.
    table = table.sort_values("condition", kind="stable").astype({"condition": str}).rename(columns={"n": "n_seeds"})
    for place, name in enumerate(("dataset", "source", "scale")):
        table.insert(place, name, summary.attrs[name])
    return table[["dataset", "source", "scale", "condition", *dims, *chosen, "n_seeds"]].reset_index(drop=True)


def title_of(attrs: Mapping[str, object]) -> str:
    """Name the data set, and the images that stand in for it."""
    own, title = _DATASETS.get(str(attrs["dataset"]), (str(attrs["dataset"]), str(attrs["dataset"])))
    return title if attrs["source"] == own else f"{title} (stand-in: {attrs['source']})"


def provenance_lines(attrs: Mapping[str, object], *, absent: Sequence[str] = (), seeds: str = "") -> list[str]:
    """Small print on data, scale and training of one data set, and on the models that are not there.

    Args:
        attrs: of a metric file; `training` is JSON with what all networks share.
        absent: conditions that were not trained.
        seeds: words for the number of networks behind what is drawn.
    """
    own, title = _DATASETS.get(str(attrs["dataset"]), (str(attrs["dataset"]), str(attrs["dataset"])))
    # A role has its own name; its images are the paper's if they come from the paper's source.
    named = {"dataset": title, "source": title if attrs["source"] == own else attrs["source"]}
    sentence = style.provenance({**attrs, **named}, paper=_PAPER_TRAINING.get(own)).removesuffix(".")
    parts = [sentence, *_evaluated(attrs, own), *([seeds] if seeds else [])]
    missing = "; ".join(label_of(name) for name in absent)
    return [", ".join(parts) + "." + (f" Not trained here: {missing}." if missing else "")]


def disclaimer(attrs: Sequence[Mapping[str, object]]) -> str:
    """What may be concluded from the scales that a figure draws."""
    return style.disclaimer([str(of["scale"]) for of in attrs])


def seeds_text(counts: Sequence[int]) -> str:
    """Words for the number of seeds behind points: "3 seeds"."""
    low, high = min(counts), max(counts)
    if low != high:
        return f"{low} to {high} seeds"
    return "1 seed, so no SD" if low == 1 else f"{low} seeds"


def _read_summary(path: Path, schema: str, dataset: str) -> xr.Dataset:
    summary = read_dataset(path, schema)
    check_identity(path, summary.attrs, paper=PAPER, dataset=dataset)
    names = summary["condition"].values.tolist()
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise TopoRepError(
            f"{path}: condition {doubled[0]!r} is there {names.count(doubled[0])} times, expected once; "
            "make the file again"
        )
    return summary


def _split(rest: str) -> tuple[str, str] | None:
    """ "5_36_k3" → ("5_36", "k3"); None where it names no length of the paper."""
    for variant in _VARIANTS:
        length = rest.removesuffix(f"_{variant}") if variant else rest
        if length in _LENGTHS and (not variant or rest != length):
            return length, variant
    return None


def _name(condition: str, separator: str) -> str:
    family = family_of(condition)
    if condition == "torus":
        return f"TVAE{separator}2-D torus"
    rest = condition.partition("_")[2]
    found = ("", rest) if family == "vae" else _split(rest)
    if family not in _FAMILIES or found is None:
        return condition
    length, variant = found
    parts = [_FAMILIES[family].short, f"L = {_LENGTHS[length]}" if length else "", _VARIANTS[variant]]
    return separator.join(part for part in parts if part)


def _evaluated(attrs: Mapping[str, object], own: str) -> list[str]:
    found = json.loads(str(attrs["training"])).get("n_stimuli")
    if found is None:
        return []
    paper = _PAPER_SEQUENCES.get(own) if attrs["source"] == own else None
    of_paper = "" if paper in (None, found) else f" of the paper's {style.count(paper)}"
    frames = json.loads(str(attrs["training"])).get("frames")
    return [f"{style.count(found)}{of_paper} {'images' if frames == 1 else 'sequences'} evaluated"]
