"""Write activation dumps of trained runs: `python -m toporep.cli.activations`."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import torch

from toporep.config import canonical_json
from toporep.data.images import ImageData, load_images
from toporep.device import choose_device, set_precision
from toporep.errors import TopoRepError, run_command
from toporep.io import write_dataset
from toporep.models import MODELS
from toporep.models.inputs import Normalization
from toporep.provenance import software_versions
from toporep.runs import Paths, Run
from toporep.tensors import load_tensors

_BATCH = 250


def main(arguments: list[str] | None = None) -> int:
    """Write one dump a run: the sheet's activations and the logits on the test images."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    set_precision(device)
    paths = Paths(options.root)
    images = load_images(options.images)
    evaluation = json.loads(options.evaluation)
    for run in map(Run.parse, options.runs):
        provenance = _read_provenance(paths, run, images)
        dataset = dump(run, paths, provenance, images, evaluation=evaluation, device=device)
        dataset.attrs["code_hash"] = options.code_hash
        write_dataset(dataset, paths.activations(run.id), "activations")
        print(f"{run.id}: {dataset.sizes['stimulus']} images, accuracy {_accuracy(dataset):.4f}", flush=True)
    return 0


def dump(run: Run, paths: Paths, provenance: dict, images: ImageData, *, evaluation: dict, device: torch.device):
    """Evaluate a trained run on the test images.

    Args:
        run: the run; its weights and provenance are read from `paths`.
        provenance: content of its provenance.json.
        images: prepared images of its data set.
        evaluation: `test_images` (a cap, or null), `mean` and `std` of the normalisation.
        device: where to evaluate.

    Returns:
        A Dataset of schema `activations`, without the attribute `code_hash`.
    """
    import xarray as xr

    settings = provenance["settings"]
    rows, cols = settings["grid"]
    test, labels = (a[: evaluation["test_images"]] for a in (images.images_test, images.label_test))
    # The number itself where the setting says "no cap".
    training = {**settings["training"], "train_images": provenance["train_images"]}
    pre, logits = _evaluate(_load_model(run, paths, provenance, device), test, evaluation, device)
    return xr.Dataset(
        {"fc1_pre": (("stimulus", "unit"), pre), "logits": (("stimulus", "class"), logits)},
        coords={
            "label": ("stimulus", labels),
            "row": ("unit", np.repeat(np.arange(rows), cols)),
            "col": ("unit", np.tile(np.arange(cols), rows)),
        },
        attrs={
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
        },
    )


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m toporep.cli.activations", description=__doc__)
    parser.add_argument("--runs", nargs="+", required=True, help="ids of trained runs of one data set")
    parser.add_argument("--images", required=True, help="prepared images, netCDF")
    parser.add_argument("--root", required=True, help="folder of the results, e.g. results/demo")
    parser.add_argument("--evaluation", required=True, help="evaluation settings as JSON: test_images, mean, std")
    parser.add_argument("--code-hash", required=True, help="hash of the evaluation code")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--device", default=os.environ.get("TOPOREP_DEVICE", "auto"), help="auto, cpu or cuda")
    return parser.parse_args(arguments)


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


def _load_model(run: Run, paths: Paths, provenance: dict, device: torch.device) -> torch.nn.Module:
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
    return model.to(device, memory_format=torch.channels_last).eval()


@torch.inference_mode()
def _evaluate(
    model: torch.nn.Module, images: np.ndarray, evaluation: dict, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    normalize = Normalization(evaluation["mean"], evaluation["std"], device=device)
    parts = []
    for batch in torch.from_numpy(images).split(_BATCH):
        logits, pre = model(normalize(batch.to(device)))
        parts.append((pre.cpu().numpy(), logits.cpu().numpy()))
    pre, logits = (np.concatenate(column) for column in zip(*parts, strict=True))
    return pre, logits


def _accuracy(dataset) -> float:
    return float((dataset["logits"].values.argmax(axis=1) == dataset["label"].values).mean())


if __name__ == "__main__":
    run_command(main)
