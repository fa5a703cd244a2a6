"""Train Topographic VAEs: `python -m toporep.cli.train_capsules`, called by the rules of stage `train`."""

from __future__ import annotations

from toporep.errors import run_command
from toporep.train.capsules import HISTORY_COLUMNS, train_vaes, training_indices
from toporep.train.job import Engine, run_job
from toporep.train.outcome import Trained
from toporep.train.stack import choose_stacked


def main(arguments: list[str] | None = None) -> int:
    """Train the runs of one job."""
    engine = Engine(
        history_columns=HISTORY_COLUMNS,
        choose_stacked=choose_stacked,
        train=train_vaes,
        count_images=lambda spec, data: len(training_indices(spec.settings["training"], len(data.images))),
        describe=_describe,
        options=("cuda_graphs",),
    )
    return run_job(engine, program="python -m toporep.cli.train_capsules", doc=__doc__, arguments=arguments)


def _describe(result: Trained) -> str:
    last = result.history[-1]
    return f"negative ELBO {last['negative_elbo']:.1f} nats a frame, of these {last['nll']:.1f} reconstruction"


if __name__ == "__main__":
    run_command(main)
