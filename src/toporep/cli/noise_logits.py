"""Answers of trained residual networks to noisy images: `python -m toporep.cli.noise_logits`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from toporep.data.images import ImageData
from toporep.errors import run_command
from toporep.evaluation import TrainedRun, run_evaluation
from toporep.models.inputs import Normalization
from toporep.models.trained_resnet import BATCH, NETWORKS
from toporep.stimuli.noise import add_noise

if TYPE_CHECKING:
    import xarray as xr


def main(arguments: list[str] | None = None) -> int:
    """Write one file a run."""
    return run_evaluation(
        "noise_logits", evaluate, models=NETWORKS, describe=_describe, arguments=arguments, doc=__doc__
    )


def evaluate(
    trained: list[TrainedRun], images: ImageData, settings: dict[str, Any], device: torch.device
) -> Iterable[xr.Dataset]:
    """Logits of each network for test images with noise of several kinds and levels, the same for all networks.

    The noise of a block of images is made once and shown to every network; no noisy copy of the whole set is held.

    Args:
        trained: the networks, of one number of classes.
        images: prepared images of their data set.
        settings: `test_images` (a cap, or None), `mean` and `std` of the normalization, `kinds`, `levels` and `seed`
            of the noise, and its options `clip`, `amplitude_exponent`, `replace`.
        device: where the networks are.

    Returns:
        Datasets of schema `noise_logits`, in the order of `trained`.

    Source:
        Sander & Hasson 2026, Ensembles; noise as in the published code, but drawn once for all networks.
    """
    test, labels = (array[: settings["test_images"]] for array in (images.images_test, images.label_test))
    normalize = Normalization(settings["mean"], settings["std"], device=device)
    kinds, levels, classes = settings["kinds"], settings["levels"], len(images.class_names)
    clean = np.empty((len(trained), len(test), classes), dtype=np.float32)
    noisy = np.empty((len(trained), len(kinds), len(levels), len(test), classes), dtype=np.float32)
    for first in range(0, len(test), BATCH):
        block = slice(first, first + BATCH)
        clean[:, block] = _logits(trained, test[block], normalize, device)
        for kind, level in np.ndindex(len(kinds), len(levels)):
            shown = add_noise(
                test[block],
                kinds[kind],
                levels[level],
                seed=settings["seed"],
                first_index=first,
                clip=settings["clip"],
                amplitude_exponent=settings["amplitude_exponent"],
                replace=settings["replace"],
            )
            noisy[:, kind, level, block] = _logits(trained, shown * np.float32(255), normalize, device)
    return [_dataset(*logits, labels, settings) for logits in zip(noisy, clean, strict=True)]


@torch.inference_mode()
def _logits(
    trained: list[TrainedRun], images: np.ndarray, normalize: Normalization, device: torch.device
) -> np.ndarray:
    """Logits (network, image, class) for (image, row, col, channel) images in 0..255."""
    inputs = normalize(torch.from_numpy(images).to(device))
    return torch.stack([one.model(inputs).logits for one in trained]).cpu().numpy()


def _dataset(noisy: np.ndarray, clean: np.ndarray, labels: np.ndarray, settings: dict[str, Any]) -> xr.Dataset:
    import xarray as xr

    return xr.Dataset(
        {
            "logits": (("kind", "level", "stimulus", "class"), noisy),
            "clean_logits": (("stimulus", "class"), clean),
        },
        coords={
            "kind": ("kind", np.array(settings["kinds"], dtype=object)),
            "level": ("level", np.asarray(settings["levels"], dtype=np.float64)),
            "label": ("stimulus", labels),
        },
    )


def _describe(dataset: xr.Dataset) -> str:
    clean, noisy = (
        (dataset[name].values.argmax(axis=-1) == dataset["label"].values).mean(axis=-1)
        for name in ("clean_logits", "logits")
    )
    return f"{dataset.sizes['stimulus']} images, accuracy {clean:.4f}, down to {noisy.min():.4f} with noise"


if __name__ == "__main__":
    run_command(main)
