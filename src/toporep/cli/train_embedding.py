"""Train ResNet runs: `python -m toporep.cli.train_embedding`, called by the rules of stage `train`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from toporep.errors import TopoRepError, run_command
from toporep.train.embedding import HISTORY_COLUMNS, split_by_class, train_embeddings
from toporep.train.job import Engine, run_job
from toporep.train.outcome import Divergence, Trained, TrainingData
from toporep.train.progress import Progress
from toporep.train.spec import RunSpec


def main(arguments: list[str] | None = None) -> int:
    """Train the runs of one job."""
    engine = Engine(
        history_columns=HISTORY_COLUMNS,
        choose_stacked=_refuse_stack,
        train=_train,
        count_images=_count_images,
        describe=_describe,
    )
    return run_job(engine, program="python -m toporep.cli.train_embedding", doc=__doc__, arguments=arguments)


def _refuse_stack(mode: str, device: torch.device, runs: int) -> bool:
    if mode == "stacked":
        raise TopoRepError("--mode stacked: a ResNet fills a device alone; use solo or auto")
    return False


def _train(
    specs: list[RunSpec],
    data: TrainingData,
    state_folder: Callable[[RunSpec], Path],
    device: torch.device,
    stacked: bool,
    progress: Progress,
) -> Iterator[Trained | Divergence]:
    return train_embeddings(specs, data, state_folder=state_folder, device=device, progress=progress)


def _count_images(spec: RunSpec, data: TrainingData) -> int:
    training = spec.settings["training"]
    train, _ = split_by_class(
        data.labels,
        training["validation_per_class"],
        selection=training["validation_selection"],
        most=training["train_images"],
    )
    return len(train)


def _describe(result: Trained) -> str:
    last, readout = result.history[-1], result.details.get("readout")
    accuracies = readout["readout"]["validation_accuracy"] if readout else [last["validation_accuracy"]]
    return f"validation accuracy {max(accuracies):.3f}, topographic loss {last['topographic_loss']:.3f}"


if __name__ == "__main__":
    run_command(main)
