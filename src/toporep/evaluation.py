"""What all evaluations of trained runs share: command line, trained networks, what a file says of its origin."""

from __future__ import annotations

import argparse
import csv
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from toporep.config import canonical_json
from toporep.data.images import ImageData, load_images
from toporep.device import choose_device, set_precision
from toporep.errors import TopoRepError
from toporep.io import write_dataset
from toporep.models import MODELS
from toporep.provenance import software_versions
from toporep.runs import Paths, Run
from toporep.tensors import load_tensors

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


# Runs of one job, prepared images, evaluation settings, device → a dataset for each run, in order.
Evaluate = Callable[[list[TrainedRun], ImageData, dict[str, Any], torch.device], Iterable["xr.Dataset"]]


def run_evaluation(
    name: str,
    evaluate: Evaluate,
    *,
    describe: Callable[[xr.Dataset], str],
    arguments: list[str] | None = None,
    doc: str | None = None,
) -> int:
    """Be the command `python -m toporep.cli.<name>`: write one file of the schema `name` for each run.

    Args:
        name: of the evaluation.
        evaluate: yields a dataset for each run, without attributes but its own.
        describe: what to print of a dataset.
        arguments: of the command line; those of the process if None.
        doc: description for `--help`.
    """
    options = _parse(name, arguments, doc)
    torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    set_precision(device)
    paths, settings = Paths(options.root), json.loads(options.evaluation)
    images = load_images(options.images)
    trained = [load_trained(Run.parse(run), paths, images, device) for run in options.runs]
    for one, dataset in zip(trained, evaluate(trained, images, settings, device), strict=True):
        dataset.attrs.update(_attributes(one, images, settings, device), code_hash=options.code_hash)
        write_dataset(dataset, paths.evaluation(name, one.run.id), name)
        print(f"{one.run.id}: {describe(dataset)}", flush=True)
    return 0


def load_trained(run: Run, paths: Paths, images: ImageData, device: torch.device) -> TrainedRun:
    """Read a trained run.

    Raises:
        TopoRepError: not trained, trained on other data than `images`, or files that do not belong together.
    """
    provenance = _read_provenance(paths, run, images)
    model = _load_model(run, paths, provenance)
    return TrainedRun(
        run,
        model.to(device, memory_format=torch.channels_last).eval(),
        provenance,
        _read_history(paths.history(run.id)),
    )


def sheet_coords(grid: tuple[int, int]) -> dict[str, tuple[str, np.ndarray]]:
    """Coordinates `row`, `col` of the dimension `unit`, row-major."""
    rows, cols = grid
    return {"row": ("unit", np.repeat(np.arange(rows), cols)), "col": ("unit", np.tile(np.arange(cols), rows))}


def _parse(name: str, arguments: list[str] | None, doc: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m toporep.cli.{name}", description=doc)
    parser.add_argument("--runs", nargs="+", required=True, help="ids of trained runs of one data set")
    parser.add_argument("--images", required=True, help="prepared images, netCDF")
    parser.add_argument("--root", required=True, help="folder of the results, e.g. results/demo")
    parser.add_argument("--evaluation", required=True, help="settings of this evaluation, as JSON")
    parser.add_argument("--code-hash", required=True, help="hash of the evaluation code")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--device", default=os.environ.get("TOPOREP_DEVICE", "auto"), help="auto, cpu or cuda")
    return parser.parse_args(arguments)


def _attributes(one: TrainedRun, images: ImageData, evaluation: dict, device: torch.device) -> dict[str, Any]:
    run, provenance = one.run, one.provenance
    settings = provenance["settings"]
    # The number itself where the setting says "no cap".
    training = {**settings["training"], "train_images": provenance["train_images"]}
    return {
        "paper": run.paper,
        "dataset": run.dataset,
        "source": images.source,
        "source_title": images.source_title,
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


def _read_provenance(paths: Paths, run: Run, images: ImageData) -> dict:
    path = paths.provenance(run.id)
    try:
        provenance = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise TopoRepError(f"{path}: cannot be read ({error.strerror}); train {run.id} first") from error
    except json.JSONDecodeError as error:
        raise TopoRepError(f"{path}: is no valid JSON ({error}); remove it and train {run.id} again") from error
    if provenance["data_sha256"] != images.data_sha256:
        raise TopoRepError(
            f"{path}: {run.id} was trained on other data (sha256 {provenance['data_sha256'][:12]}…, the prepared "
            f"images have {images.data_sha256[:12]}…); train it again"
        )
    return provenance


def _load_model(run: Run, paths: Paths, provenance: dict) -> torch.nn.Module:
    settings = provenance["settings"]
    rows, cols = settings["grid"]
    make = MODELS[settings["model"]["name"]]
    model = make(run.seed, dropout=settings["model"]["dropout"], sheet_units=rows * cols)
    tensors, metadata = load_tensors(paths.weights(run.id))
    if metadata.get("run") != run.id:
        raise TopoRepError(f"{paths.weights(run.id)}: holds the weights of {metadata.get('run')}, expected {run.id}")
    if metadata.get("identity") != provenance["identity"]:
        raise TopoRepError(
            f"{paths.weights(run.id)}: not of the training that {paths.provenance(run.id)} describes; "
            f"train {run.id} again"
        )
    model.load_state_dict(tensors)
    return model


def _read_history(path: str) -> list[dict[str, float]]:
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    except (OSError, TypeError, ValueError) as error:
        raise TopoRepError(f"{path}: cannot be read as a training history ({error}); train the run again") from error
