"""Accuracy of trained classifiers over runs (Keller, Gao & Welling 2021, section 5)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from toporep.analyses.capsules import text_coord
from toporep.analyses.dumps import Dump, complete_settings, metric_dataset, summarize_runs
from toporep.analyses.responses import Answers, ResponseDumps
from toporep.errors import TopoRepError

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS: Mapping[str, Any] = {"faces": ["faces"]}
# All images; those of other classes than faces; the same if the class of faces were no choice; those of faces.
ALL, OTHERS, NO_CHOICE, FACES = "all", "without_faces", "faces_no_choice", "faces"


class _Named(NamedTuple):
    """Of some images: what was named, what is true, and among how many classes."""

    predicted: np.ndarray
    label: np.ndarray
    choices: int


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Share of images of which the network names the class first, and by chance.

    Args:
        dump_paths: files of the evaluation `responses` of one paper, data set and scale, each run with the same sets.
        settings: `faces`: names of the classes that are not ImageNet's.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `classification` and `classification_summary`. `part`, of the sets that have faces: "all"
        images; those of other classes, "without_faces"; "faces". Of the sets that have none and several classes:
        "faces_no_choice", where the answer is one of the set's own classes. Parts without images are left out, and
        so are images of classes that the network does not have. `chance`: to name always the most frequent class of
        the part, which is one over the number of classes where all are equally frequent; of "faces" alone, to guess.

    Raises:
        TopoRepError: files that do not belong together or of networks that name no classes, unknown settings, classes
            that are not the network's, no image of its classes.

    Source:
        Keller, Gao & Welling 2021, section 5: ImageNet's validation set and one class of faces.
    """
    settings = complete_settings(settings, DEFAULTS)
    dumps = ResponseDumps(dump_paths, provenance)
    # The same for all runs, which are shown the same images.
    names: list[str] = []
    sizes: dict[str, int] = {}

    def of_run(answers: Answers) -> dict[str, Any]:
        dump = next(iter(answers.values()))
        classes = _class_names(dump)
        if names and classes != names:
            raise TopoRepError(
                f"{dump.path}: the network's classes are not those of the runs before; analyse runs of one data set "
                "at a time"
            )
        names[:] = classes
        parts = _parts(answers, len(classes), _faces(classes, settings["faces"]))
        sizes.update({part: len(named.label) for part, named in parts.items()})
        return {
            "accuracy": [float(np.mean(named.predicted == named.label)) for named in parts.values()],
            "chance": [_chance(named) for named in parts.values()],
        }

    values = dumps.measure(of_run)
    metric = metric_dataset(
        "classification",
        values,
        dumps,
        settings,
        coords={"part": text_coord("part", sizes)},
        attrs={"classes": len(names), "images": json.dumps(sizes)},
    )
    return metric, summarize_runs(metric, "classification")


def _parts(answers: Answers, classes: int, faces: np.ndarray) -> dict[str, _Named]:
    of_sets = [_of_set(dump) for dump in answers.values()]
    if not any(len(label) for _, _, label in of_sets):
        raise TopoRepError(
            f"{next(iter(answers.values())).path}: no image is of a class that the network was trained on; the names "
            "of the classes must be the same"
        )
    with_faces = [each for each in of_sets if np.isin(each[2], faces).any()]
    without = [each for each in of_sets if len(each[2]) and not np.isin(each[2], faces).any()]
    # A set without faces may hold images of one with them: they count once.
    predicted, _, label = map(np.concatenate, zip(*(with_faces or without), strict=True))
    face = np.isin(label, faces)
    everything = np.ones_like(face)
    parts = {
        part: _Named(predicted[chosen], label[chosen], classes)
        for part, chosen in ((ALL, everything), (OTHERS, ~face), (FACES, face))
        if chosen.any()
    }
    choices = {len(np.unique(label)) for _, _, label in without}
    # To name one of the classes of a set says something where there are several, and as many in each set.
    if len(choices) == 1 and min(choices) > 1:
        _, of_set, label = map(np.concatenate, zip(*without, strict=True))
        parts[NO_CHOICE] = _Named(of_set, label, choices.pop())
    return parts


def _of_set(dump: Dump) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Class named, class named among the set's own, true class, of the images whose class the network has."""
    missing = [name for name in ("predicted", "predicted_of_set", "label") if name not in dump.data]
    if missing:
        raise TopoRepError(
            f"{dump.path}: expected responses of a classifier, found no {', '.join(missing)}; "
            f"leave {dump.run.condition!r} out of this analysis"
        )
    predicted, of_set, label = (dump.data[name].values for name in ("predicted", "predicted_of_set", "label"))
    known = label >= 0
    return predicted[known], of_set[known], label[known]


def _chance(named: _Named) -> float:
    images = np.unique(named.label, return_counts=True)[1]
    return float(images.max() / images.sum()) if len(images) > 1 else 1 / named.choices


def _class_names(dump: Dump) -> list[str]:
    try:
        names = json.loads(dump.attrs["class_names"])
    except (KeyError, TypeError, ValueError) as error:
        raise TopoRepError(
            f"{dump.path}: attribute 'class_names' is no JSON list of the network's classes; make the file again"
        ) from error
    return list(map(str, names))


def _faces(classes: Sequence[str], faces: Sequence[str]) -> np.ndarray:
    unknown = [name for name in faces if name not in classes]
    if unknown:
        near = ", ".join(classes[:12]) + (", …" if len(classes) > 12 else "")
        raise TopoRepError(f"faces: {', '.join(map(repr, unknown))} is no class of the network; it has {near}")
    return np.array([classes.index(name) for name in faces])
