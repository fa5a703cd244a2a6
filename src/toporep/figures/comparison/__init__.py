"""Figures across papers: what they share in reading the summaries of all papers' sheets, and in naming these."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from toporep.errors import TopoRepError
from toporep.figures import keller2021_category, sander2026, style
from toporep.figures.inputs import check_identity
from toporep.io import read_dataset

if TYPE_CHECKING:
    import xarray as xr

ATLAS = "atlas"
# The threshold of co-localization that is drawn, and the variant of the maps.
ALPHA, VARIANT = 0.5, "centered"

_PAPERS = {
    "truong2025": "Truong & Hasson 2025",
    "sander2026": "Sander & Hasson 2026",
    "keller2021_category": "Keller, Gao & Welling 2021",
}
_TRUONG = ("control", "ws", "as", "as_reshaped", "global")
# Where the name in the paper's own figures needs the figure to be understood, or is too long for a row.
_LABELS = {
    "tvae_smallest_window": "TVAE, smallest window",
    "tvae_smaller_window": "TVAE, smaller window",
    "tvae_larger_window": "TVAE, larger window",
    "tvae_untrained": "TVAE, untrained",
    "tdann_nonspatial": "TDANN, no spatial loss",
    "fc6": "classifier, no spatial loss",
}
# From the smallest window to the largest.
_CATEGORY = ("tvae_smallest_window", "tvae_smaller_window", "tvae", "tvae_larger_window")


@dataclass(frozen=True)
class Metric:
    """A metric of the atlas.

    Attributes:
        name: variable of the summary, without `_mean`.
        title: what it tells, in words of a heading.
        axis: what it is, with its unit.
        null: variable of its null's mean, "" where it has none; with `_low` and `_high` after it, of the null's range
            where it has one.
        ranged: whether the null has a range.
        at: the place along further dimensions, by coordinate.
    """

    name: str
    title: str
    axis: str
    null: str = ""
    ranged: bool = True
    at: tuple[tuple[str, object], ...] = ()


METRICS = (
    Metric("morans_i", "smooth maps", "Moran's I", "morans_i_null", at=(("variant", VARIANT),)),
    Metric("nearest", "neighbors alike", "r at distance 1", "nearest_null"),
    Metric(
        "colocalization", "alike means near", "distance / chance", "colocalization_null", at=(("threshold", ALPHA),)
    ),
    Metric("smoothness", "class maps", "r of neighbors' d", "smoothness_null"),
    Metric("selective_share", "selective units", "share of units (%)", "selective_share_null"),
    Metric("dimensionality", "dimensions", "dimensions / units", "dimensionality_null", ranged=False),
)


@dataclass(frozen=True)
class Sheets:
    """The sheets of one paper and data set.

    Attributes:
        paper, dataset: keys.
        summary: of the schema `atlas_summary`.
    """

    paper: str
    dataset: str
    summary: xr.Dataset

    @property
    def attrs(self) -> Mapping[str, object]:
        """Attributes of the file."""
        return self.summary.attrs

    @property
    def conditions(self) -> list[str]:
        """The conditions, in the order in which the paper's own figures have them."""
        present = list(dict.fromkeys(self.summary["condition"].values.tolist()))
        if self.paper == sander2026.PAPER:
            return sander2026.in_order(present)
        if self.paper == keller2021_category.PAPER:
            rest = [name for name in keller2021_category.in_order(present) if name not in _CATEGORY]
            return [name for name in _CATEGORY if name in present] + rest
        return [name for name in _TRUONG if name in present] + [name for name in present if name not in _TRUONG]

    def styles(self) -> dict[str, style.ConditionStyle]:
        """The look of each condition, as in the paper's own figures."""
        if self.paper == keller2021_category.PAPER:
            return {name: keller2021_category.style_of(name) for name in self.conditions}
        return (sander2026 if self.paper == sander2026.PAPER else style).condition_styles(self.conditions)

    def label(self, condition: str) -> str:
        """The name of a condition in a row of the atlas."""
        if condition in _LABELS:
            pretrained = self.network(condition).get("model", "fc6") == "fc6"
            return _LABELS[condition] if condition != "fc6" or not pretrained else "AlexNet FC6"
        short = self.styles()[condition].short
        return short[:1].upper() + short[1:]

    def network(self, condition: str) -> Mapping[str, object]:
        """Settings of a condition, where the file has them."""
        return json.loads(str(self.attrs["training"])).get("conditions", {}).get(condition, {})

    def points(self, condition: str) -> list[int]:
        """Indices of the points of a condition, from the lowest strength to the highest."""
        found = np.flatnonzero(self.summary["condition"].values == condition)
        return found[np.argsort(self.summary["strength"].values[found])].tolist()

    @property
    def name(self) -> str:
        """Authors and year."""
        return _PAPERS.get(self.paper, self.paper)

    @property
    def images(self) -> str:
        """Images that the sheets were shown, or that they stand in for others."""
        if self.paper == keller2021_category.PAPER:
            return "categories (stand-in: rendered)" if keller2021_category.is_stand_in(self.attrs) else "categories"
        return style.dataset_title(self.dataset, str(self.attrs["source"]))

    @property
    def title(self) -> str:
        """Paper and images."""
        return f"{self.name}, {self.images}"

    @property
    def sheet(self) -> str:
        """Size and classes: "11 × 11 units, 10 classes"."""
        return f"{self.attrs['rows']} × {self.attrs['cols']} units, {self.attrs['classes']} classes"


def read_sheets(inputs: Mapping[str, Path]) -> list[Sheets]:
    """Read the summaries of all papers.

    Args:
        inputs: `<paper>.<dataset>.atlas` → file of the schema `atlas_summary`; in the order in which they are drawn.

    Raises:
        TopoRepError: no file; one of another schema, paper or data set than its name says; files of several scales, or
            that were measured with different settings.
    """
    found = []
    for name, path in inputs.items():
        paper, _, rest = name.partition(".")
        dataset, _, analysis = rest.partition(".")
        if analysis != ATLAS:
            raise TopoRepError(f"inputs: expected files named <paper>.<dataset>.{ATLAS}, found {name}")
        summary = read_dataset(path, f"{ATLAS}_summary")
        check_identity(path, summary.attrs, paper=paper, dataset=dataset)
        found.append(Sheets(paper, dataset, summary))
        _check_alike(path, found[0], found[-1])
    if not found:
        raise TopoRepError(f"inputs: expected files named <paper>.<dataset>.{ATLAS}, found none")
    return found


def values_of(sheets: Sheets, metric: Metric) -> pd.DataFrame:
    """A metric of all points: mean and SEM over networks, their number, and mean and range of its null.

    Returns:
        Rows in the order of the file; columns condition, strength, n, mean, sem, null, null_low, null_high (NaN where
        there is none).
    """
    summary = at_place(sheets.summary, metric)
    nothing = np.full(summary.sizes["point"], np.nan)
    columns = {key: summary[key].values for key in ("condition", "strength", "n")}
    columns |= {statistic: summary[f"{metric.name}_{statistic}"].values for statistic in ("mean", "sem")}
    columns["null"] = summary[f"{metric.null}_mean"].values if metric.null else nothing
    for limit in ("low", "high"):
        there = metric.null and metric.ranged
        columns[f"null_{limit}"] = summary[f"{metric.null}_{limit}_mean"].values if there else nothing
    return pd.DataFrame(columns)


def at_place(summary: xr.Dataset, metric: Metric) -> xr.Dataset:
    """The summary at the metric's place along its further dimensions.

    Raises:
        TopoRepError: the file has no such place.
    """
    for name, wanted in metric.at:
        known = summary[name].values.tolist()
        if wanted not in known:
            raise TopoRepError(
                f"{metric.name}: expected {name} {wanted}, found {', '.join(map(str, known))}; add it to the settings "
                f"of the analysis {ATLAS!r} of {summary.attrs['paper']}"
            )
        summary = summary.isel({name: known.index(wanted)})
    return summary


def number_table(found: Sequence[Sheets], metrics: Sequence[Metric] = METRICS) -> pd.DataFrame:
    """The numbers of metrics of all sheets, one row a metric and point."""
    parts = []
    for sheets in found:
        for metric in metrics:
            part = values_of(sheets, metric)
            place = {"paper": sheets.paper, "dataset": sheets.dataset, "metric": metric.name}
            place |= {"at": ", ".join(f"{name} {value}" for name, value in metric.at)}
            for position, (name, value) in enumerate(place.items()):
                part.insert(position, name, value)
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def images_text(found: Sequence[Sheets]) -> str:
    """How many images each sheet was measured with."""
    counts = [int(sheets.attrs["images"]) for sheets in found]
    if len(set(counts)) == 1:
        return f"{counts[0]} images, equally many of each class, spread evenly over those in the file"
    named = "; ".join(f"{sheets.title}: {count}" for sheets, count in zip(found, counts, strict=True))
    return (
        "equally many images of each class, spread evenly over those in the file, but not as many for all sheets, so "
        f"that dimensions differ for it: {named}"
    )


def method_lines(found: Sequence[Sheets]) -> list[str]:
    """How the numbers were made, and what of them cannot be compared."""
    settings = _measured(found[0].attrs)
    return [
        f"All sheets: {images_text(found)}; responses before the ReLU; neighbors: the four at distance 1, which share "
        "an edge; each sheet ends as in its paper (TVAE, VAE: torus). Chance: 2.5 % to 97.5 % of "
        f"{settings['shuffles']} draws for one network, in which its units have random places; for selective units, in "
        "which the images' labels are shuffled.",
        "Smooth maps: Moran's I of activation maps, less each unit's mean over the images (its bias, for instance). "
        f"Alike means near: mean distance of unit pairs with r > {ALPHA:g} in units of that of all pairs; without a "
        "pair there is none. Class maps: correlation of neighbors' Cohen's d of a class against the others, mean over "
        f"classes. Selective: d ≥ {settings['selective']:g} for a class. Dimensions: participation ratio of the "
        "responses over the number of units; its chance: of units that share nothing (each unit's images shuffled).",
        "Smooth responses make class maps smooth even for labels that mean nothing: compare these with the shuffled "
        "labels. Not comparable, whatever the estimator: the images and their classes, the training, the size of the "
        "sheet (dimensions and ranges of chance depend on it), and that a TVAE's responses are samples. Capsules "
        "(Keller & Welling 2021) answer sequences and are left out.",
    ]


def provenance_lines(found: Sequence[Sheets]) -> list[str]:
    """What each paper's networks saw and how they were trained, and what may be concluded from it."""
    lines = []
    for sheets in found:
        seeds = style.seeds_text(sheets.summary["n"].values.tolist())
        training = json.loads(str(sheets.attrs["training"]))
        parts = [f"{sheets.title}: {sheets.attrs['source_title']}"]
        parts += [f"{style.count(training['train_images'])} training images"] if training.get("train_images") else []
        parts += [f"{training['epochs']} epochs"] if training.get("epochs") else []
        lines.append(", ".join([*parts, f"{sheets.sheet}, {seeds}"]) + ".")
    return [" ".join(lines), style.disclaimer([str(sheets.attrs["scale"]) for sheets in found])]


def number(value: float, digits: int = 2) -> str:
    """A number with a true minus sign and none at zero; a dash where it is not defined."""
    if not math.isfinite(value):
        return "\N{EN DASH}"
    rounded = round(float(value), digits)
    return f"{rounded if rounded else 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _check_alike(path: Path, first: Sheets, other: Sheets) -> None:
    measured = [_measured(sheets.attrs) for sheets in (first, other)]
    for key, values in {"scale": [first.attrs["scale"], other.attrs["scale"]], "settings": measured}.items():
        if values[0] != values[1]:
            raise TopoRepError(
                f"{path}: expected {key} {values[0]!r}, as of {first.paper}, found {values[1]!r}; measure all papers "
                "alike"
            )


def _measured(attrs: Mapping[str, object]) -> dict[str, object]:
    """The settings of the metrics; images and their classes are each paper's own."""
    settings = json.loads(str(attrs["settings"]))
    return {key: value for key, value in settings.items() if key not in ("images", "classes")}
