"""Train CNN runs: `python -m toporep.cli.train`, called by the rules of stage `train`."""

from __future__ import annotations

from toporep.errors import run_command
from toporep.train.engine import HISTORY_COLUMNS, split, train_runs
from toporep.train.job import Engine, run_job
from toporep.train.outcome import Trained
from toporep.train.stack import choose_stacked


def main(arguments: list[str] | None = None) -> int:
    """Train the runs of one job."""
    engine = Engine(
        history_columns=HISTORY_COLUMNS,
        choose_stacked=choose_stacked,
        train=train_runs,
        count_images=lambda spec, data: len(split(spec.run.seed, len(data.labels), spec.settings["training"])[0]),
        describe=_describe,
        options=("convolution", "cuda_graphs"),
    )
    return run_job(engine, program="python -m toporep.cli.train", doc=__doc__, arguments=arguments)


def _describe(result: Trained) -> str:
    last = result.history[-1]
    return f"validation accuracy {last['validation_accuracy']:.3f}, spatial loss {last['spatial_loss']:.3f}"


if __name__ == "__main__":
    run_command(main)
