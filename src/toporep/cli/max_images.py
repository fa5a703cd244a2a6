"""The images that excite the units of a two-dimensional Topographic VAE most: `python -m toporep.cli.max_images`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from toporep import rng
from toporep.data.images import ImageData
from toporep.data.sequences import draw_sequences, render_sequences
from toporep.errors import TopoRepError, run_command
from toporep.evaluation import TrainedRun, run_evaluation, sheet_coords
from toporep.models.topographic_vae import TopographicVAE, sample
from toporep.models.trained_vae import NETWORKS
from toporep.normal import normal

if TYPE_CHECKING:
    import xarray as xr

_BATCH = 500


def main(arguments: list[str] | None = None) -> int:
    """Write one file a run."""
    return run_evaluation("max_images", evaluate, models=NETWORKS, describe=_describe, arguments=arguments, doc=__doc__)


def evaluate(
    trained: list[TrainedRun], images: ImageData, settings: dict[str, Any], device: torch.device
) -> Iterable[xr.Dataset]:
    """Of each unit of a torus, the test image at which its variable t is largest.

    Args:
        trained: networks whose sequences are single images.
        images: prepared images of their data set.
        settings: `test_images` (a cap, or None); `activation`: "signed", t itself, or "absolute".
        device: where the networks are.

    Yields:
        Datasets of schema `max_images`, without the attributes that all evaluations have.

    Raises:
        TopoRepError: sequences of several frames; units that are no square sheet.

    Source:
        Keller & Welling 2021, section 6.2 and Figure 3.
    """
    import xarray as xr

    test, labels = (array[: settings["test_images"]] for array in (images.images_test, images.label_test))
    for one in trained:
        side = _side(one)
        chosen, activation = _largest(one.model, test, settings["activation"], device)
        before = NETWORKS[type(one.model).__name__](one.provenance["settings"], images).to(device).eval()
        untrained, _ = _largest(before, test, settings["activation"], device)
        yield xr.Dataset(
            {
                "image": (("unit", "image_row", "image_col", "channel"), test[chosen]),
                "index": ("unit", chosen),
                "activation": ("unit", activation),
                "label": ("unit", labels[chosen]),
                "label_untrained": ("unit", labels[untrained]),
            },
            coords=sheet_coords((side, side)),
            attrs={"n_stimuli": len(test)},
        )


def _side(one: TrainedRun) -> int:
    model = one.provenance["settings"]["model"]
    side = math.isqrt(model["units"])
    if (model["frames"], model["capsules"], side * side) != (1, 1, model["units"]):
        raise TopoRepError(
            f"{one.run.id}: expected single images and one capsule of a square number of units, found "
            f"{model['frames']} frames and {model['capsules']} capsules of {model['units']} units; only the torus has "
            "images of this kind"
        )
    return side


@torch.inference_mode()
def _largest(
    model: TopographicVAE, images: np.ndarray, activation: str, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """(unit,) index of the image and its t; of equal values, the first image."""
    pixels = torch.from_numpy(images).to(device)
    found = []
    for first in range(0, len(images), _BATCH):
        indices = np.arange(first, min(first + _BATCH, len(images)))
        frames = render_sequences(pixels, indices, draw_sequences("plain", 0, 0, indices)).flatten(2)[:, 0]
        count, offset = len(indices) * model.latents, first * model.latents
        noise_z, noise_u = (
            normal([rng.key(0, f"evaluation/{name}")], count, offset=offset, device=device).view(len(indices), -1)
            for name in "zu"
        )
        t = model.capsules(*sample(model.encode(frames), noise_z=noise_z, noise_u=noise_u))
        found.append(t.abs() if activation == "absolute" else t)
    largest = torch.cat(found).max(dim=0)
    return largest.indices.cpu().numpy(), largest.values.cpu().numpy()


def _describe(dataset: xr.Dataset) -> str:
    return f"{len(np.unique(dataset['index']))} images excite {dataset.sizes['unit']} units most"


if __name__ == "__main__":
    run_command(main)
