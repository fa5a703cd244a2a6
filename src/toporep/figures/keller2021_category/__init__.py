"""Figures of Keller, Gao & Welling 2021 (category-selective regions): shared naming, reading and small print."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toporep.errors import TopoRepError
from toporep.figures import style
from toporep.figures.inputs import check_identity
from toporep.io import read_dataset

if TYPE_CHECKING:
    import xarray as xr

PAPER, DATASET = "keller2021_category", "imagenet_faces"
STAND_IN = "rendered stimuli, not a replication"

_SOURCE = "imagenet_lfw"
# Windows of one model from light to dark, the main one in the color that TVAEs have in the figures of capsules too.
_CONDITIONS = {
    "tvae": style.ConditionStyle("TVAE", "TVAE", "#0072B2", "o"),
    "tvae_smallest_window": style.ConditionStyle("TVAE, smallest window", "smallest window", "#9CCBEA", "v"),
    "tvae_smaller_window": style.ConditionStyle("TVAE, smaller window", "smaller window", "#56A0D3", "^"),
    "tvae_larger_window": style.ConditionStyle("TVAE, larger window", "larger window", "#0B2F5B", "P"),
    "tvae_untrained": style.ConditionStyle("TVAE, untrained", "untrained", "#8A8A8A", "s", (0, (3, 1.6))),
    "vae": style.ConditionStyle("VAE", "VAE", "#7F3C8D", "D"),
    "tdann": style.ConditionStyle("TDANN", "TDANN", "#D07F00", "X"),
    "tdann_nonspatial": style.ConditionStyle(
        "TDANN without the spatial loss", "no spatial loss", "#8C5A00", "*", (0, (3, 1.6))
    ),
    "fc6": style.ConditionStyle("AlexNet FC6", "AlexNet FC6", "#222222", "h", (0, (1, 1))),
}
_WINDOWS = ("tvae_smallest_window", "tvae_smaller_window", "tvae", "tvae_larger_window")


def style_of(condition: str) -> style.ConditionStyle:
    """The look of a condition in every figure of the paper; one that it does not have keeps its name, in brown."""
    return _CONDITIONS.get(condition) or style.ConditionStyle(condition, condition, "#5C4033", ".")


def label_of(condition: str, attrs: Mapping[str, object] | None = None) -> str:
    """Name a condition as the paper and the configuration do.

    Args:
        condition: key in the configuration.
        attrs: of a metric file: where no AlexNet can be had, another network is the baseline, and is named so.
    """
    if condition == "fc6" and attrs is not None and _settings_of(attrs, condition).get("model", "fc6") != "fc6":
        return "classifier without spatial loss"
    return style_of(condition).label


def in_order(conditions: Sequence[str]) -> list[str]:
    """The conditions once each: those of the paper in one order, then others as they come."""
    present = list(dict.fromkeys(conditions))
    return [name for name in _CONDITIONS if name in present] + [name for name in present if name not in _CONDITIONS]


def windowed(conditions: Sequence[str]) -> list[str]:
    """Those of the TVAEs whose windows are compared, from the smallest window to the largest."""
    return [name for name in _WINDOWS if name in conditions]


def window_of(attrs: Mapping[str, object], condition: str) -> int | None:
    """Width in units of the square window in which a condition's units share a denominator; None without one.

    Args:
        attrs: of a metric file; `training` is JSON with `conditions` (condition → its settings, `window` among them).
        condition: of the file.
    """
    return _settings_of(attrs, condition).get("window")


def window_text(attrs: Mapping[str, object], condition: str) -> str:
    """Words for a condition's window: "window 25 × 25"; empty without one."""
    width = window_of(attrs, condition)
    return f"window {width} × {width}" if width else ""


def read_runs(inputs: Mapping[str, Path], analysis: str, schema: str = "") -> xr.Dataset:
    """Read the values of each run that one entry of the paper's analyses gives.

    Args:
        inputs: `imagenet_faces.<analysis>.runs` → file; others are left alone.
        analysis: the entry, such as selectivity_faces.
        schema: of the file, where the entry has another name.

    Raises:
        TopoRepError: no such file; a file of another schema, paper or data set; a run that is there twice.
    """
    metric = _read(inputs, f"{DATASET}.{analysis}.runs", schema or analysis)
    runs = list(zip(metric["condition"].values.tolist(), metric["seed"].values.tolist(), strict=True))
    for condition, seed in runs:
        if runs.count((condition, seed)) > 1:
            raise TopoRepError(
                f"{inputs[f'{DATASET}.{analysis}.runs']}: {condition}, seed {seed} is there "
                f"{runs.count((condition, seed))} times, expected once; make the file again"
            )
    return metric


def read_summary(inputs: Mapping[str, Path], analysis: str, schema: str = "") -> xr.Dataset:
    """Read the means over seeds that one entry of the paper's analyses gives.

    Args:
        inputs: `imagenet_faces.<analysis>` → file, or `imagenet_faces` where a figure has one; others are left alone.
        analysis, schema: as for `read_runs`; the file's schema is `<schema>_summary`.

    Raises:
        TopoRepError: no such file; a file of another schema, paper or data set.
    """
    name = f"{DATASET}.{analysis}"
    alone = name not in inputs and DATASET in inputs
    return _read(inputs, DATASET if alone else name, f"{schema or analysis}_summary")


def check_together(metrics: Sequence[xr.Dataset]) -> None:
    """Refuse metric files of different scales or training images in one figure."""
    for metric in metrics[1:]:
        for key in ("source", "scale"):
            if metric.attrs[key] != metrics[0].attrs[key]:
                raise TopoRepError(
                    f"inputs: expected files of one {key}, found {metrics[0].attrs[key]!r} and {metric.attrs[key]!r}; "
                    "give files made from the same runs"
                )


def seeds_of(metric: xr.Dataset, condition: str) -> list[int]:
    """Seeds of a condition, ascending."""
    return sorted(metric["seed"].values[metric["condition"].values == condition].tolist())


def run_of(metric: xr.Dataset, condition: str, seed: int | None = None) -> xr.Dataset | None:
    """Values of the run of a condition with a seed, or with its lowest one; None if there is none."""
    known = seeds_of(metric, condition)
    seed = known[0] if known and seed is None else seed
    if seed not in known:
        return None
    runs = (metric["condition"].values == condition) & (metric["seed"].values == seed)
    return metric.isel(run=int(np.flatnonzero(runs)[0]))


def set_title(attrs: Mapping[str, object], name: str) -> str:
    """What the images of a set are: "VGGFace2"."""
    return json.loads(str(attrs["training"])).get("titles", {}).get(name, name)


def number(value: float, digits: int = 2) -> str:
    """A number with a true minus sign and without a minus at zero; a dash where it is not defined."""
    if not math.isfinite(value):
        return "–"
    rounded = round(float(value), digits)
    return f"{rounded if rounded else 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def percent(value: float) -> str:
    """A share in percent, with one place below ten percent."""
    return f"{number(100 * value, 1 if value < 0.0995 else 0)} %" if math.isfinite(value) else "–"


def is_stand_in(attrs: Mapping[str, object]) -> bool:
    """Whether the networks saw other images than the paper's."""
    return attrs["source"] != _SOURCE


def title_of(attrs: Mapping[str, object]) -> str:
    """What the networks were trained on, or that it stands in."""
    return STAND_IN if is_stand_in(attrs) else f"trained on {attrs['source_title']}"


def provenance_lines(
    *attrs: Mapping[str, object], sets: Sequence[str] = (), seeds: str = "", absent: Sequence[str] = ()
) -> list[str]:
    """Small print on what the networks were trained on and shown, on the scale, and on what is not there.

    Args:
        attrs: of the metric files; `training` is JSON with what all runs share, and with `titles` and `images`
            (number) of each set, as `toporep.analyses.responses` says it.
        sets: those that stand behind the figure, in the order in which they are named; all without it.
        seeds: words for the networks drawn.
        absent: conditions that were not trained.
    """
    trained = [json.loads(str(of["training"])) for of in attrs]
    titles, images = (
        {name: value for of in trained for name, value in of.get(key, {}).items()} for key in ("titles", "images")
    )
    parts = [f"Trained on: {attrs[0]['source_title']}", f"{attrs[0]['scale']} scale"]
    training = trained[0]
    if training.get("epochs") is not None:
        parts.append(f"{training['epochs']} epochs")
    found = [", ".join(parts + ([seeds] if seeds else [])) + "."]
    named = [name for name in sets or titles if name in titles]
    if named:
        shown = "; ".join(f"{name} ({titles[name]}, {style.count(images[name])} images)" for name in named)
        found[0] += f" Shown: {shown}."
    missing = "; ".join(label_of(name, attrs[0]) for name in absent)
    return [*found, f"Not trained at this scale: {missing}." if missing else ""]


def disclaimer(attrs: Mapping[str, object]) -> str:
    """What may be concluded from the images and the scale that a figure draws."""
    stand_in = f"{STAND_IN.capitalize()}. " if is_stand_in(attrs) else ""
    return stand_in + style.disclaimer([str(attrs["scale"])])


def _settings_of(attrs: Mapping[str, object], condition: str) -> Mapping[str, object]:
    return json.loads(str(attrs["training"])).get("conditions", {}).get(condition, {})


def _read(inputs: Mapping[str, Path], name: str, schema: str) -> xr.Dataset:
    if name not in inputs:
        raise TopoRepError(f"inputs: expected a file named {name}, found {', '.join(inputs) or 'none'}")
    metric = read_dataset(inputs[name], schema)
    check_identity(inputs[name], metric.attrs, paper=PAPER, dataset=DATASET)
    return metric
