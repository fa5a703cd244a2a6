"""Write activation dumps of trained runs: `python -m toporep.cli.activations`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from toporep.data.images import ImageData
from toporep.errors import run_command
from toporep.evaluation import TrainedRun, describe_accuracy, history_variables, run_evaluation, sheet_coords
from toporep.models.inputs import Normalization
from toporep.models.trained_cnn import NETWORKS

if TYPE_CHECKING:
    import xarray as xr

_BATCH = 250


def main(arguments: list[str] | None = None) -> int:
    """Write one dump a run."""
    return run_evaluation(
        "activations", evaluate, models=NETWORKS, describe=describe_accuracy, arguments=arguments, doc=__doc__
    )


def evaluate(
    trained: list[TrainedRun], images: ImageData, settings: dict[str, Any], device: torch.device
) -> Iterable[xr.Dataset]:
    """Answers of each network to the test images, with the weights around its sheet and its training history.

    Args:
        trained: the networks.
        images: prepared images of their data set.
        settings: `test_images` (a cap, or None), `mean` and `std` of the normalization.
        device: where the networks are.

    Yields:
        Datasets of schema `activations`, without attributes.
    """
    import xarray as xr

    test, labels = (array[: settings["test_images"]] for array in (images.images_test, images.label_test))
    normalize = Normalization(settings["mean"], settings["std"], device=device)
    for one in trained:
        pre, logits = _respond(one.model, test, normalize, device)
        history, coords = history_variables(one)
        yield xr.Dataset(
            {
                "sheet_pre": (("stimulus", "unit"), pre),
                "logits": (("stimulus", "class"), logits),
                "sheet_weight": (("unit", "input"), _array(one.model.fc1.weight)),
                "readout_weight": (("class", "unit"), _array(one.model.fc2.weight)),
                "readout_bias": ("class", _array(one.model.fc2.bias)),
                **history,
            },
            coords={"label": ("stimulus", labels), **sheet_coords(one.grid), **coords},
        )


@torch.inference_mode()
def _respond(
    model: torch.nn.Module, images: np.ndarray, normalize: Normalization, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    parts = []
    for batch in torch.from_numpy(images).split(_BATCH):
        logits, pre = model(normalize(batch.to(device)))
        parts.append((_array(pre), _array(logits)))
    pre, logits = (np.concatenate(column) for column in zip(*parts, strict=True))
    return pre, logits


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


if __name__ == "__main__":
    run_command(main)
