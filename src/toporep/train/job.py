"""What all training commands share: command line, locks, files of a run, what is told of failures."""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from toporep.data.images import load_images
from toporep.device import choose_device, device_name
from toporep.errors import TopoRepError
from toporep.io import write_text
from toporep.models.layers import CONVOLUTIONS
from toporep.provenance import software_versions
from toporep.runs import Paths
from toporep.tensors import save_tensors
from toporep.train.outcome import Divergence, Trained, TrainingData
from toporep.train.progress import Progress
from toporep.train.spec import RunSpec, unpack
from toporep.train.state import StateFolder, exclusive


class JobData(Protocol):
    """What a job trains on; what else it holds, its engine knows."""

    data_sha256: str


def load_training_images(path: str, settings: dict[str, Any]) -> TrainingData:
    """The training part of prepared images, whatever the settings of the runs."""
    images = load_images(path)
    return TrainingData(images.images_train, images.label_train, images.class_names, images.data_sha256)


@dataclass(frozen=True)
class Engine:
    """One way to train runs.

    Attributes:
        history_columns: of `history.csv`.
        choose_stacked: mode ("auto", "solo", "stacked"); by name `device` and the number of `runs` → whether they train
            at once.
        train: runs, data; by name `state_folder` (run → folder of its state), `device`, `stacked` (whether at once),
            `progress`, and the `options` → each run as it ends.
        count_images: how many images a run trains on.
        describe: what is said of a finished run.
        options: names of further options that `train` takes and the command has: "convolution", "cuda_graphs".
        load: the file named by `--images`, settings of one of the runs → what the runs of the job train on.
    """

    history_columns: Sequence[str]
    choose_stacked: Callable[..., bool]
    train: Callable[..., Iterator[Trained | Divergence]]
    count_images: Callable[[RunSpec, Any], int]
    describe: Callable[[Trained], str]
    options: Sequence[str] = ()
    load: Callable[[str, dict[str, Any]], JobData] = load_training_images


def run_job(engine: Engine, *, program: str, doc: str | None, arguments: list[str] | None = None) -> int:
    """Be a training command: train the runs of one job and write weights, history and provenance of each.

    Args:
        engine: trains them.
        program, doc: for `--help`.
        arguments: of the command line; those of the process if None.
    """
    options = _parse(program, doc, arguments, engine.options)
    torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    paths = Paths(options.root)
    runs = unpack(options.spec)
    data = engine.load(options.images, runs[0][1])
    specs = [RunSpec(run, settings, data.data_sha256, options.code_hash) for run, settings in runs]
    stacked = engine.choose_stacked(options.mode, device=device, runs=len(specs))
    with exclusive([paths.state_dir(spec.run.id) for spec in specs]):
        todo = [spec for spec in specs if not _is_complete(spec, paths)]
        progress = Progress(_title(specs), runs=len(todo), log=options.log)
        with contextlib.closing(progress):
            progress.note(_announcement(todo, specs, device, stacked))
            further = {name: getattr(options, name) for name in engine.options}
            failures = _train(engine, todo, data, paths, device=device, stacked=stacked, progress=progress, **further)
            for failure in failures:
                progress.note(str(failure))
        if failures:
            raise TopoRepError(_failure_text(failures, specs, paths))
        for spec in specs:
            StateFolder(paths.state_dir(spec.run.id), spec.identity).clear()
    return 0


def _parse(program: str, doc: str | None, arguments: list[str] | None, further: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=program, description=doc)
    parser.add_argument("--spec", required=True, help="runs and settings as JSON (toporep.train.spec.pack), or @file")
    parser.add_argument("--images", required=True, help="prepared images or features, netCDF")
    parser.add_argument("--root", required=True, help="folder of the results, e.g. results/demo")
    parser.add_argument("--code-hash", required=True, help="hash of the training code")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--device", default=os.environ.get("TOPOREP_DEVICE", "auto"), help="auto, cpu or cuda")
    parser.add_argument(
        "--mode", default="auto", choices=["auto", "solo", "stacked"], help="train runs apart or at once"
    )
    parser.add_argument("--log", help="file that gets the progress lines")
    # How runs are computed, not what: results change by rounding alone. Provenance tells what was chosen. A workflow
    # names them by environment variables, as it does the device.
    if "convolution" in further:
        parser.add_argument(
            "--convolution",
            default=os.environ.get("TOPOREP_CONVOLUTION", "unfold"),
            choices=[*CONVOLUTIONS, "auto"],
            help="how a stack computes convolutions; auto: the faster way here, measured",
        )
    if "cuda_graphs" in further:
        parser.add_argument(
            "--cuda-graphs",
            default=os.environ.get("TOPOREP_CUDA_GRAPHS", "0") not in ("", "0"),
            action=argparse.BooleanOptionalAction,
            help="replay training steps as CUDA graphs",
        )
    options = parser.parse_args(arguments)
    if options.spec.startswith("@"):
        options.spec = Path(options.spec[1:]).read_text(encoding="utf-8")
    return options


def _train(
    engine: Engine,
    specs: list[RunSpec],
    data: JobData,
    paths: Paths,
    *,
    device: torch.device,
    stacked: bool,
    progress: Progress,
    **further: Any,
) -> list[Divergence]:
    failures = []
    found = engine.train(
        specs,
        data,
        state_folder=lambda spec: Path(paths.state_dir(spec.run.id)),
        device=device,
        stacked=stacked,
        progress=progress,
        **further,
    )
    for result in found:
        if isinstance(result, Divergence):
            failures.append(result)
        else:
            _write(engine, result, paths, device, data)
            progress.note(f"{result.spec.run.id}: done, {engine.describe(result)}")
    return failures


def _write(engine: Engine, result: Trained, paths: Paths, device: torch.device, data: JobData) -> None:
    """Write a run's files; provenance comes last, so that its presence means that all are there."""
    spec = result.spec
    save_tensors(paths.weights(spec.run.id), result.tensors, {"run": spec.run.id, "identity": spec.identity})
    text = io.StringIO()
    writer = csv.DictWriter(text, engine.history_columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(result.history)
    write_text(paths.history(spec.run.id), text.getvalue())
    provenance = {
        "run": spec.run.id,
        "seed": spec.run.seed,
        "settings": spec.settings,
        "train_images": engine.count_images(spec, data),
        "config_sha256": spec.config_sha256,
        "data_sha256": spec.data_sha256,
        "code_hash": spec.code_hash,
        "identity": spec.identity,
        "software": json.loads(software_versions()),
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "mode": "stacked" if result.stacked else "solo",
        "stack_size": result.stack_size,
        "deterministic": device.type == "cpu",
        **result.details,
    }
    write_text(paths.provenance(spec.run.id), json.dumps(provenance, indent=1, sort_keys=True) + "\n")


def _is_complete(spec: RunSpec, paths: Paths) -> bool:
    """Whether another process has finished this very run while this one waited for it."""
    try:
        provenance = json.loads(Path(paths.provenance(spec.run.id)).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return False
    files = (paths.weights(spec.run.id), paths.history(spec.run.id))
    return provenance.get("identity") == spec.identity and all(map(os.path.exists, files))


def _title(specs: list[RunSpec]) -> str:
    return f"{specs[0].run.paper}/{specs[0].run.dataset}"


def _announcement(todo: list[RunSpec], specs: list[RunSpec], device: torch.device, stacked: bool) -> str:
    how = "as one stack" if stacked else "one after the other"
    done = len(specs) - len(todo)
    return (
        f"{len(todo)} run{'s' * (len(todo) != 1)} {how} on {device_name(device)}"
        f"{f'; {done} already done' if done else ''}{': ' if todo else ''}{', '.join(spec.run.id for spec in todo)}"
    )


def _failure_text(failures: list[Divergence], specs: list[RunSpec], paths: Paths) -> str:
    kept = ", ".join(paths.state_dir(failure.spec.run.id) for failure in failures)
    return (
        f"{len(failures)} of {len(specs)} runs stopped:\n"
        + "\n".join(f"  {failure}" for failure in failures)
        + f"\nThe state after their last whole epoch is kept in {kept}. Lower the strength or the learning rate; "
        "the other runs of this job are not trained again."
    )
