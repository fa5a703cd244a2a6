"""What all evaluations of trained runs share: command line, trained networks, what a file says of its origin."""

from __future__ import annotations

import argparse
import csv
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from toporep.config import canonical_json
from toporep.data.images import ImageData, load_images
from toporep.device import choose_device, set_precision
from toporep.errors import TopoRepError
from toporep.io import write_dataset
from toporep.provenance import software_versions
from toporep.runs import Paths, Run
from toporep.tensors import load_tensors
from toporep.train.spec import RunSpec

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class TrainedRun:
    """One trained network, ready to be evaluated.

    Attributes:
        run: which.
        model: in evaluation mode, on the device.
        provenance: content of its provenance.json.
        history: rows of its history.csv, one an epoch.
    """

    run: Run
    model: torch.nn.Module
    provenance: dict[str, Any]
    history: list[dict[str, float]]

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, cols) of the sheet."""
        rows, cols = self.provenance["settings"]["grid"]
        return rows, cols


class Origin(Protocol):
    """What a file of an evaluation says of the images that a run was trained on."""

    source: str
    source_title: str
    class_names: Sequence[str]
    data_sha256: str


# Settings of a run, images of its data set → a network whose tensors have the names and shapes of its weights file.
Build = Callable[[dict[str, Any], Any], torch.nn.Module]
# Runs of one job, prepared images, evaluation settings, device → a dataset for each run, in order.
Evaluate = Callable[[list[TrainedRun], ImageData, dict[str, Any], torch.device], Iterable["xr.Dataset"]]


def run_evaluation(
    name: str,
    evaluate: Evaluate,
    *,
    models: Mapping[str, Build],
    describe: Callable[[xr.Dataset], str],
    command: str | None = None,
    arguments: list[str] | None = None,
    doc: str | None = None,
) -> int:
    """Be the command `python -m toporep.cli.<command>`: write one file of the schema `name` for each run.

    Args:
        name: of the evaluation.
        evaluate: yields a dataset for each run, without attributes but its own.
        models: how each model that the command evaluates is built, by its name in a run's settings.
        describe: what to print of a dataset.
        command: where it is not `name`: several commands may make one evaluation, each of models of its own.
        arguments: of the command line; those of the process if None.
        doc: description for `--help`.
    """
    options = make_parser(command or name, doc).parse_args(arguments)
    torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    set_precision(device)
    paths, settings = Paths(options.root), json.loads(options.evaluation)
    images = load_images(options.images)
    trained = [load_trained(Run.parse(run), paths, images, device, models=models) for run in options.runs]
    for one, dataset in zip(trained, evaluate(trained, images, settings, device), strict=True):
        dataset.attrs.update(attributes(one, images, settings, device), code_hash=options.code_hash)
        write_dataset(dataset, paths.evaluation(name, one.run.id), name)
        print(f"{one.run.id}: {describe(dataset)}", flush=True)
    return 0


def load_trained(
    run: Run, paths: Paths, images: Origin, device: torch.device, *, models: Mapping[str, Build]
) -> TrainedRun:
    """Read a trained run.

    Raises:
        TopoRepError: not trained, trained on other data than `images`, of a model that is not in `models`, or files
            that do not belong together.
    """
    provenance = _read_provenance(paths, run, images)
    model = _load_model(run, paths, provenance, models, images)
    return TrainedRun(
        run,
        model.to(device, memory_format=torch.channels_last).eval(),
        provenance,
        _read_history(paths.history(run.id)),
    )


def make_parser(command: str, doc: str | None) -> argparse.ArgumentParser:
    """Arguments of the command `python -m toporep.cli.<command>` that evaluates trained runs."""
    parser = argparse.ArgumentParser(prog=f"python -m toporep.cli.{command}", description=doc)
    parser.add_argument("--runs", nargs="+", required=True, help="ids of trained runs of one data set")
    parser.add_argument("--images", required=True, help="prepared images or features, netCDF")
    parser.add_argument("--root", required=True, help="folder of the results, e.g. results/demo")
    parser.add_argument("--evaluation", required=True, help="settings of this evaluation, as JSON")
    parser.add_argument("--code-hash", required=True, help="hash of the evaluation code")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--device", default=os.environ.get("TOPOREP_DEVICE", "auto"), help="auto, cpu or cuda")
    return parser


def attributes(one: TrainedRun, images: Origin, evaluation: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """What every file of an evaluation says of the run and of itself, but for the hash of its code.

    Args:
        one: the run.
        images: what it was trained on.
        evaluation: settings of the evaluation.
        device: where it ran.
    """
    run, provenance = one.run, one.provenance
    settings = provenance["settings"]
    # The number itself where the setting says "no cap".
    training = {**settings["training"], "train_images": provenance["train_images"]}
    return {
        "paper": run.paper,
        "dataset": run.dataset,
        "source": images.source,
        "source_title": images.source_title,
        "class_names": json.dumps(list(images.class_names), ensure_ascii=False),
        "scale": settings["scale"],
        "condition": run.condition,
        "strength": run.strength,
        "seed": run.seed,
        "config": canonical_json({**settings, "training": training, "evaluation": evaluation}),
        "config_sha256": provenance["config_sha256"],
        "data_sha256": images.data_sha256,
        "training_code_hash": provenance["code_hash"],
        "software": software_versions(),
        "device": device.type,
        "deterministic": int(device.type == "cpu" and provenance["deterministic"]),
        "training_device": provenance["device"],
        "training_mode": provenance["mode"],
        "training_stack_size": provenance["stack_size"],
    }


def sheet_coords(grid: tuple[int, int]) -> dict[str, tuple[str, np.ndarray]]:
    """Coordinates `row`, `col` of the dimension `unit`, row-major."""
    rows, cols = grid
    return {"row": ("unit", np.repeat(np.arange(rows), cols)), "col": ("unit", np.tile(np.arange(cols), rows))}


def history_variables(one: TrainedRun) -> tuple[dict[str, tuple], dict[str, tuple]]:
    """The variable `history` (epoch, quantity) of an activation dump, and its coordinates."""
    quantities = [name for name in one.history[0] if name != "epoch"]
    values = np.array([[row[name] for name in quantities] for row in one.history])
    return {"history": (("epoch", "quantity"), values)}, {
        "epoch": ("epoch", np.array([int(row["epoch"]) for row in one.history])),
        "quantity": ("quantity", np.array(quantities, dtype=object)),
    }


def describe_accuracy(dataset: xr.Dataset) -> str:
    """What to print of an activation dump."""
    accuracy = float((dataset["logits"].values.argmax(axis=1) == dataset["label"].values).mean())
    return f"{dataset.sizes['stimulus']} images, accuracy {accuracy:.4f}"


def _read_provenance(paths: Paths, run: Run, images: Origin) -> dict:
    path = paths.provenance(run.id)
    try:
        provenance = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise TopoRepError(f"{path}: cannot be read ({error.strerror}); train {run.id} first") from error
    except ValueError as error:
        raise TopoRepError(f"{path}: is no valid JSON ({error}); remove it and train {run.id} again") from error
    if not _is_whole(provenance, run):
        raise TopoRepError(f"{path}: altered since it was written; remove it and train {run.id} again")
    if provenance["data_sha256"] != images.data_sha256:
        raise TopoRepError(
            f"{path}: {run.id} was trained on other data (sha256 {provenance['data_sha256'][:12]}…, the prepared "
            f"images have {images.data_sha256[:12]}…); train it again"
        )
    return provenance


def _is_whole(provenance: Any, run: Run) -> bool:
    """Whether settings, data and code are those of the identity that stands beside them."""
    try:
        told = (provenance[name] for name in ("settings", "data_sha256", "code_hash"))
        return RunSpec(run, *told).identity == provenance["identity"]
    except (KeyError, TypeError):
        return False


def _load_model(
    run: Run, paths: Paths, provenance: dict, models: Mapping[str, Build], images: Origin
) -> torch.nn.Module:
    path, settings = paths.weights(run.id), provenance["settings"]
    name = settings["model"]["name"]
    if name not in models:
        raise TopoRepError(
            f"{paths.provenance(run.id)}: checkpoint from another configuration: expected {' or '.join(models)}, "
            f"found {name}; evaluate {run.id} with a command for its model"
        )
    tensors, metadata = load_tensors(path)
    if metadata.get("run") != run.id:
        raise TopoRepError(f"{path}: holds the weights of {metadata.get('run')}, expected {run.id}")
    if metadata.get("identity") != provenance["identity"]:
        raise TopoRepError(
            f"{path}: not of the training that {paths.provenance(run.id)} describes; train {run.id} again"
        )
    model = models[name](settings, images)
    mismatches = _mismatches(tensors, model.state_dict())
    if mismatches:
        more = f" and {len(mismatches) - 3} more" if len(mismatches) > 3 else ""
        raise TopoRepError(
            f"{path}: checkpoint from another configuration: {'; '.join(mismatches[:3])}{more}; train {run.id} again"
        )
    model.load_state_dict(tensors)
    return model


def _mismatches(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> list[str]:
    """How tensors differ in name and shape from those of the network, in the network's order."""
    missing = [f"no {name}" for name in expected if name not in found]
    other = [
        f"{name} is {tuple(found[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    return missing + other + [f"{name} is of no use" for name in found if name not in expected]


def _read_history(path: str) -> list[dict[str, float]]:
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    except (OSError, TypeError, ValueError) as error:
        raise TopoRepError(f"{path}: cannot be read as a training history ({error}); train the run again") from error
