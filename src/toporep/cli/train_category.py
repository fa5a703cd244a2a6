"""Train networks of image features: `python -m toporep.cli.train_category`, called by the rules of stage `train`."""

from __future__ import annotations

import math

from toporep.data.features import open_training_features
from toporep.errors import run_command
from toporep.train.category import HISTORY_COLUMNS, train_category, training_indices
from toporep.train.job import Engine, run_job
from toporep.train.outcome import Trained


def main(arguments: list[str] | None = None) -> int:
    """Train the runs of one job."""
    engine = Engine(
        history_columns=HISTORY_COLUMNS,
        # One of these networks fills a device; a stack that is asked for is refused.
        choose_stacked=lambda mode, *, device, runs: mode == "stacked",
        train=train_category,
        count_images=lambda spec, data: len(training_indices(spec.settings["training"], data.count)),
        describe=_describe,
        load=lambda path, settings: open_training_features(path, settings["features"]),
    )
    return run_job(engine, program="python -m toporep.cli.train_category", doc=__doc__, arguments=arguments)


def _describe(result: Trained) -> str:
    if not result.details["epochs"]:
        return "weights before any training"
    last = result.history[-1]
    if math.isnan(last["nll"]):
        return f"cross-entropy {last['cross_entropy']:.3f}, training accuracy {last['accuracy']:.3f}"
    return f"negative ELBO {last['loss']:.1f} nats an image, of these {last['nll']:.1f} reconstruction"


if __name__ == "__main__":
    run_command(main)
