"""Kinds of networks: each module here says all that configuration and workflow know of one, as its `KIND`.

A further kind is a further module; nothing lists them. They are loaded when first asked for, so that they may import
what imports this package, and none imports torch or xarray: every `snakemake` command reads them.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from toporep.errors import TopoRepError

if TYPE_CHECKING:
    from toporep.config import Problem

Settings = Mapping[str, Any]


def normalized_test_images(paper: Settings, dataset: str, evaluation: str) -> dict[str, Any]:
    """Evaluation settings of networks that see test images: its own, the smaller cap, the constants of the training."""
    data = paper["datasets"][dataset]
    return {**capped_test_images(paper, dataset, evaluation), "mean": data["mean"], "std": data["std"]}


def capped_test_images(paper: Settings, dataset: str, evaluation: str) -> dict[str, Any]:
    """The own settings of an evaluation, and at most how many test images it takes: None for all."""
    own = dict(paper["evaluations"].get(evaluation, {}))
    caps = [paper["datasets"][dataset]["test_images"], own.pop("max_images", None)]
    return {**own, "test_images": min((cap for cap in caps if cap is not None), default=None)}


def _no_shape(condition: Settings) -> None:
    """Every stack can hold the run."""


@dataclass(frozen=True)
class Kind:
    """A kind of network.

    Attributes:
        models: name → channels of the images that it takes, None for one that is trained on features of images.
        train_command: `toporep.cli.<command>` that trains them.
        training_settings: (paper, dataset, the condition's settings) → what decides the result of a run: `model` with
            its `name`, `training`, `condition`, and what else the engine reads.
        evaluations: evaluation → `toporep.cli.<command>` that makes it. Each is a schema and a folder of the results;
            `responses` is one for each set of images that the paper has.
        evaluation_settings: (paper, dataset, evaluation) → how trained networks are evaluated.
        alone: whether they are trained one after the other: one of them fills a device.
        stack_shape: settings of a condition → what the runs of one stack have in common in theirs.
        checks: section of a paper's file → (paper, name of an entry) → its mistakes that no schema can tell. A data set
            is checked by the kind of its model, all else by every kind that the paper has.
    """

    models: Mapping[str, int | None]
    train_command: str
    training_settings: Callable[[Settings, str, Settings], dict[str, Any]]
    evaluations: Mapping[str, str]
    evaluation_settings: Callable[[Settings, str, str], dict[str, Any]] = normalized_test_images
    alone: bool = False
    stack_shape: Callable[[Settings], Any] = _no_shape
    checks: Mapping[str, Callable[[Settings, str], Iterator[Problem]]] = field(default_factory=dict)


@functools.cache
def all_kinds() -> tuple[Kind, ...]:
    """The kinds of all modules here, in the order of their names."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    return tuple(importlib.import_module(f"{__name__}.{name}").KIND for name in names)


def kind_of(model: str) -> Kind:
    """The kind that a model is of.

    Raises:
        TopoRepError: no kind has a model of that name; the message lists the near ones.
    """
    known = _known()
    if model not in known:
        near = difflib.get_close_matches(model, known, n=3, cutoff=0.5)
        raise TopoRepError(f"no kind of network has a model {model!r}; known: {', '.join(near or known)}")
    return known[model]


def channels_of(model: str) -> int | None:
    """Channels of the images that a model takes; None for one that is trained on features of images."""
    return kind_of(model).models[model]


def by_model(kinds: Iterable[Kind]) -> dict[str, Kind]:
    """Model → its kind.

    Raises:
        TopoRepError: two kinds have a model of one name.
    """
    found: dict[str, Kind] = {}
    for kind in kinds:
        for model in kind.models:
            if model in found:
                raise TopoRepError(f"model {model!r} belongs to two kinds of networks; rename one of them")
            found[model] = kind
    return found


@functools.cache
def _known() -> dict[str, Kind]:
    return by_model(all_kinds())
