"""Write activation dumps of trained residual networks: `python -m toporep.cli.embeddings`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from toporep.data.images import ImageData
from toporep.errors import run_command
from toporep.evaluation import TrainedRun, describe_accuracy, history_variables, run_evaluation, sheet_coords
from toporep.models.inputs import Normalization
from toporep.models.trained_resnet import BATCH, NETWORKS

if TYPE_CHECKING:
    import xarray as xr

_ANSWERS = {
    "sheet_pre": ("stimulus", "unit"),
    "logits": ("stimulus", "class"),
    "logits_standardized": ("stimulus", "class"),
}


def main(arguments: list[str] | None = None) -> int:
    """Write one dump a run."""
    return run_evaluation(
        "activations",
        evaluate,
        models=NETWORKS,
        describe=describe_accuracy,
        command="embeddings",
        arguments=arguments,
        doc=__doc__,
    )


def evaluate(
    trained: list[TrainedRun], images: ImageData, settings: dict[str, Any], device: torch.device
) -> Iterable[xr.Dataset]:
    """Embeddings of the test images in each network, with the weights around its sheet and its training history.

    Args:
        trained: the networks.
        images: prepared images of their data set.
        settings: `test_images` (a cap, or None), `mean` and `std` of the normalization.
        device: where the networks are.

    Yields:
        Datasets of schema `activations`, without attributes; `logits_standardized` where a network has a projection
        head.

    Source:
        Sander & Hasson 2026, Methods, and the published code.
    """
    import xarray as xr

    test, labels = (array[: settings["test_images"]] for array in (images.images_test, images.label_test))
    normalize = Normalization(settings["mean"], settings["std"], device=device)
    for one in trained:
        history, coords = history_variables(one)
        yield xr.Dataset(
            {
                **_respond(one.model, test, normalize, device),
                "sheet_weight": (("unit", "input"), _array(one.model.sheet_layer.weight)),
                "readout_weight": (("class", "unit"), _array(one.model.class_layer.weight)),
                "readout_bias": ("class", _array(one.model.class_layer.bias)),
                **history,
            },
            coords={"label": ("stimulus", labels), **sheet_coords(one.grid), **coords},
        )


@torch.inference_mode()
def _respond(
    model: torch.nn.Module, images: np.ndarray, normalize: Normalization, device: torch.device
) -> dict[str, tuple]:
    """Variables with the answers to uint8 (stimulus, row, col, channel) images."""
    parts = []
    for batch in torch.from_numpy(images).split(BATCH):
        parts.append([None if answer is None else _array(answer) for answer in model(normalize(batch.to(device)))])
    answers = zip(_ANSWERS.items(), zip(*parts, strict=True), strict=True)
    return {name: (dims, np.concatenate(column)) for (name, dims), column in answers if column[0] is not None}


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


if __name__ == "__main__":
    run_command(main)
