"""Write activation dumps of self-organizing maps: `python -m toporep.cli.map_activations`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch

from toporep.data.images import ImageData
from toporep.errors import run_command
from toporep.evaluation import TrainedRun, describe_accuracy, history_variables, run_evaluation, sheet_coords
from toporep.models.inputs import Normalization
from toporep.models.self_organizing_map import build

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr


def main(arguments: list[str] | None = None) -> int:
    """Write one dump a run."""
    return run_evaluation(
        "activations",
        evaluate,
        models={"SelfOrganizingMap": build},
        describe=describe_accuracy,
        command="map_activations",
        arguments=arguments,
        doc=__doc__,
    )


@torch.inference_mode()
def evaluate(
    trained: list[TrainedRun], images: ImageData, settings: dict[str, Any], device: torch.device
) -> Iterable[xr.Dataset]:
    """Answers of each map to the test images, with its weight vectors, its labels and its training history.

    Args:
        trained: the maps.
        images: prepared images of their data set.
        settings: `test_images` (a cap, or None), `mean` and `std` of the normalization.
        device: where the maps are.

    Yields:
        Datasets of schema `activations`, without attributes.
    """
    import xarray as xr

    test, labels = (array[: settings["test_images"]] for array in (images.images_test, images.label_test))
    normalize = Normalization(settings["mean"], settings["std"], device=device)
    inputs = normalize(torch.from_numpy(test).to(device))
    for one in trained:
        logits, pre = one.model(inputs)
        history, coords = history_variables(one)
        label_share = one.model.label_share
        yield xr.Dataset(
            {
                "sheet_pre": (("stimulus", "unit"), _array(pre)),
                "logits": (("stimulus", "class"), _array(logits)),
                "sheet_weight": (("unit", "input"), _array(one.model.weight)),
                # The readout takes the winner's column, and has no bias.
                "readout_weight": (("class", "unit"), _array(label_share)),
                "readout_bias": ("class", _array(torch.zeros_like(label_share[:, 0]))),
                **history,
            },
            coords={"label": ("stimulus", labels), **sheet_coords(one.grid), **coords},
        )


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


if __name__ == "__main__":
    run_command(main)
