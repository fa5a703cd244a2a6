"""How training ended, over runs that stop early (Sander & Hasson 2026, Training)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.dumps import Dump, DumpReader, complete_settings, metric_dataset, summarize_runs
from toporep.errors import TopoRepError

if TYPE_CHECKING:
    import xarray as xr

# Variable → quantity of the history.
_OF_LAST_EPOCH = {
    "task_loss": "task_loss",
    "topographic_loss": "topographic_loss",
    "topographic_strength": "strength",
    "validation_task_loss": "validation_task_loss",
}
_SINCE_BEST = "epochs_since_best"


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Losses in the last epoch, the number of epochs, and the best epoch of every run.

    Args:
        dump_paths: activation dumps of one paper, data set and scale; read one at a time.
        settings: there are none.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `training_outcome` and `training_outcome_summary`. `best_epoch` is the last one that was
        better, by the rule of early stopping, than all before it; 0 if none was better than the untrained network.

    Raises:
        TopoRepError: dumps that do not belong together, unknown settings, a history without one of the quantities or
            without an epoch of training.
    """
    settings = complete_settings(settings, {})
    dumps = DumpReader(dump_paths, provenance)
    metric = metric_dataset("training_outcome", dumps.measure(_of_run), dumps, settings)
    return metric, summarize_runs(metric, "training_outcome")


def _of_run(dump: Dump) -> dict[str, Any]:
    history, epoch = _history(dump), dump.data["epoch"].values
    improved = epoch[history[_SINCE_BEST] == 0]
    return {
        **{name: history[quantity][-1] for name, quantity in _OF_LAST_EPOCH.items()},
        "epochs": epoch[-1],
        "best_epoch": improved[-1] if len(improved) else 0,
    }


def _history(dump: Dump) -> dict[str, np.ndarray]:
    """Quantity → values by epoch."""
    history = dict(zip(dump.data["quantity"].values.tolist(), dump.data["history"].values.T, strict=True))
    absent = [name for name in (*_OF_LAST_EPOCH.values(), _SINCE_BEST) if name not in history]
    if absent:
        raise TopoRepError(
            f"{dump.path}: the history lacks {', '.join(absent)}; expected the dump of a network that stops early, "
            f"found {', '.join(history)}"
        )
    if dump.data.sizes["epoch"] < 2:
        raise TopoRepError(f"{dump.path}: expected a history of at least one epoch of training, found none")
    return history
