"""When training stops, and which epoch's weights are kept."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from toporep.errors import TopoRepError

# What decides: column of the history, and whether more is better.
CRITERIA = {"validation_accuracy": True, "validation_task_loss": False, "validation_total_loss": False}
CHECKPOINTS = {
    "last": None,
    "best_accuracy": "validation_accuracy",
    "best_task": "validation_task_loss",
    "best_total": "validation_total_loss",
}


class Best:
    """The best value so far of a column of the history; only a strict improvement counts, NaN never does.

    Accuracies start from 0 and losses from infinity, so that an accuracy of 0 is no improvement.

    Attributes:
        value, epoch: the best value and its epoch; epoch 0 before the first improvement.
    """

    def __init__(self, column: str) -> None:
        if column not in CRITERIA:
            raise TopoRepError(f"criterion: expected one of {', '.join(CRITERIA)}, found {column!r}")
        self.column, self.more_is_better = column, CRITERIA[column]
        self.value, self.epoch = (0.0 if self.more_is_better else math.inf), 0

    def update(self, row: Mapping[str, Any]) -> bool:
        """Look at the row of an epoch; return whether it is the best so far."""
        value = float(row[self.column])
        better = value > self.value if self.more_is_better else value < self.value
        if better:
            self.value, self.epoch = value, int(row["epoch"])
        return better


class EarlyStopping:
    """Stops after `patience` epochs in a row without a strict improvement.

    Source: Sander & Hasson 2026, Training and Evaluation; strictness is the published code's.
    """

    def __init__(self, column: str, *, patience: int) -> None:
        if patience < 1:
            raise TopoRepError(f"patience: expected at least 1 epoch, found {patience}")
        self.best, self.patience = Best(column), patience

    def update(self, row: Mapping[str, Any]) -> int:
        """Look at the row of an epoch; return how many epochs ago the best one was."""
        self.best.update(row)
        return int(row["epoch"]) - self.best.epoch

    def is_over(self, history: Sequence[Mapping[str, Any]]) -> bool:
        """Whether training is to stop after these rows."""
        return bool(history) and history[-1]["epochs_since_best"] >= self.patience

    def describe(self, epochs: int, most: int) -> str:
        """How a training of `epochs` epochs, of at most `most`, ended."""
        never = f"{self.best.column} never improved"
        if epochs - self.best.epoch >= self.patience:
            why = (
                never if not self.best.epoch else f"no improvement of {self.best.column} since epoch {self.best.epoch}"
            )
            return f"stopped early after epoch {epochs} of {most}: {why}"
        return f"all {most} epochs" + ("" if self.best.epoch else f"; {never}")
