"""Train self-organizing maps: `python -m toporep.cli.train_map`, called by the rules of stage `train`."""

from __future__ import annotations

from toporep.errors import run_command
from toporep.train.job import Engine, run_job
from toporep.train.outcome import Trained
from toporep.train.self_organizing import HISTORY_COLUMNS, train_maps, training_count
from toporep.train.stack import choose_stacked


def main(arguments: list[str] | None = None) -> int:
    """Train the runs of one job."""
    engine = Engine(
        history_columns=HISTORY_COLUMNS,
        choose_stacked=choose_stacked,
        train=train_maps,
        count_images=lambda spec, data: training_count(spec.settings["training"], data),
        describe=_describe,
    )
    return run_job(engine, program="python -m toporep.cli.train_map", doc=__doc__, arguments=arguments)


def _describe(result: Trained) -> str:
    last = result.history[-1]
    return f"quantization error {last['quantization_error']:.3f}, topographic error {last['topographic_error']:.3f}"


if __name__ == "__main__":
    run_command(main)
