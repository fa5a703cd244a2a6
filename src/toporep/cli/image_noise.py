"""Count what trained runs get right in noisy images: `python -m toporep.cli.image_noise`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from toporep.data.images import ImageData
from toporep.errors import run_command
from toporep.evaluation import TrainedRun, run_evaluation
from toporep.models.inputs import Normalization
from toporep.models.trained_cnn import NETWORKS
from toporep.stimuli.noise import add_noise

if TYPE_CHECKING:
    import xarray as xr

_BATCH = 500


def main(arguments: list[str] | None = None) -> int:
    """Write one file a run."""
    return run_evaluation(
        "image_noise", evaluate, models=NETWORKS, describe=_describe, arguments=arguments, doc=__doc__
    )


def evaluate(
    trained: list[TrainedRun], images: ImageData, settings: dict[str, Any], device: torch.device
) -> Iterable[xr.Dataset]:
    """Numbers of correct answers to test images with noise of several kinds and levels, the same for all networks.

    The noise of a batch is made once and shown to every network under every normalization; no noisy copy of the
    whole set is held.

    Args:
        trained: the networks.
        images: prepared images of their data set.
        settings: `test_images` (a cap, or None), `normalizations` (name → `mean`, `std`), `kinds`, `levels`,
            `repetitions` and `seed` of the noise, and the options `clip`, `amplitude_exponent`, `replace`.
        device: where the networks are.

    Returns:
        Datasets of schema `image_noise`, in the order of `trained`.

    Source:
        Truong & Hasson 2025, sec. 3.2.
    """
    test, labels = (array[: settings["test_images"]] for array in (images.images_test, images.label_test))
    normalizations = {
        name: Normalization(constants["mean"], constants["std"], device=device)
        for name, constants in settings["normalizations"].items()
    }
    kinds, levels, repetitions = settings["kinds"], settings["levels"], settings["repetitions"]
    clean = np.zeros((len(trained), len(normalizations)), dtype=np.int64)
    correct = np.zeros((len(trained), len(normalizations), len(kinds), len(levels), repetitions), dtype=np.int64)
    for first in range(0, len(test), _BATCH):
        batch, truth = test[first : first + _BATCH], torch.from_numpy(labels[first : first + _BATCH]).to(device)
        clean += _count(trained, batch, truth, normalizations)
        for kind, level, repetition in np.ndindex(correct.shape[2:]):
            noisy = add_noise(
                batch,
                kinds[kind],
                levels[level],
                seed=settings["seed"],
                repetition=repetition,
                first_index=first,
                clip=settings["clip"],
                amplitude_exponent=settings["amplitude_exponent"],
                replace=settings["replace"],
            )
            correct[:, :, kind, level, repetition] += _count(trained, noisy * np.float32(255), truth, normalizations)
    return [_dataset(*counts, normalizations, settings, len(test)) for counts in zip(correct, clean, strict=True)]


@torch.inference_mode()
def _count(
    trained: list[TrainedRun], batch: np.ndarray, truth: Tensor, normalizations: dict[str, Normalization]
) -> np.ndarray:
    """Correct answers to (B, row, col, channel) images in 0..255 by each network, (network, normalization)."""
    shown = torch.from_numpy(batch).to(truth.device)
    counts = torch.empty((len(trained), len(normalizations)), dtype=torch.int64, device=truth.device)
    for column, normalize in enumerate(normalizations.values()):
        inputs = normalize(shown)
        for row, one in enumerate(trained):
            counts[row, column] = (one.model(inputs)[0].argmax(dim=1) == truth).sum()
    return counts.cpu().numpy()


def _dataset(
    correct: np.ndarray, clean: np.ndarray, normalizations: Iterable[str], settings: dict[str, Any], count: int
) -> xr.Dataset:
    import xarray as xr

    return xr.Dataset(
        {
            "correct": (("normalization", "kind", "level", "repetition"), correct),
            "clean_correct": ("normalization", clean),
        },
        coords={
            "normalization": ("normalization", np.array(list(normalizations), dtype=object)),
            "kind": ("kind", np.array(settings["kinds"], dtype=object)),
            "level": ("level", np.asarray(settings["levels"], dtype=np.float64)),
        },
        attrs={"n_stimuli": count},
    )


def _describe(dataset: xr.Dataset) -> str:
    count = dataset.attrs["n_stimuli"]
    lowest = int(dataset["correct"].values.min())
    clean = int(dataset["clean_correct"].values.flat[0])
    return f"{count} images, accuracy {clean / count:.4f}, down to {lowest / count:.4f} with noise"


if __name__ == "__main__":
    run_command(main)
