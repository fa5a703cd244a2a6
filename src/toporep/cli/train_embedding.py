"""Train ResNet runs: `python -m toporep.cli.train_embedding`, called by the rules of stage `train`."""

from __future__ import annotations

from toporep.errors import run_command
from toporep.train.embedding import HISTORY_COLUMNS, split_by_class, train_embeddings
from toporep.train.job import Engine, run_job
from toporep.train.outcome import Trained, TrainingData
from toporep.train.spec import RunSpec


def main(arguments: list[str] | None = None) -> int:
    """Train the runs of one job."""
    engine = Engine(
        history_columns=HISTORY_COLUMNS,
        choose_stacked=lambda mode, *, device, runs: mode == "stacked",
        train=train_embeddings,
        count_images=_count_images,
        describe=_describe,
    )
    return run_job(engine, program="python -m toporep.cli.train_embedding", doc=__doc__, arguments=arguments)


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
