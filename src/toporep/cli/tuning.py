"""Show trained runs wedges and rings: `python -m toporep.cli.tuning`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from toporep.data.images import ImageData
from toporep.errors import run_command
from toporep.evaluation import TrainedRun, run_evaluation, sheet_coords
from toporep.models.inputs import Normalization
from toporep.models.trained_cnn import NETWORKS
from toporep.stimuli.tuning import rings, wedges

if TYPE_CHECKING:
    import xarray as xr


def main(arguments: list[str] | None = None) -> int:
    """Write one file a run."""
    return run_evaluation("tuning", evaluate, models=NETWORKS, describe=_describe, arguments=arguments, doc=__doc__)


def evaluate(
    trained: list[TrainedRun], images: ImageData, settings: dict[str, Any], device: torch.device
) -> Iterable[xr.Dataset]:
    """Responses of each network's sheet to wedges at all angles and to rings of all radii.

    Args:
        trained: the networks.
        images: prepared images of their data set, of which only the shape counts.
        settings: `mean` and `std` of the normalization, `wedges` (count), `extent_deg`, `wedge_radius` (pixels),
            `ring_radii` (pixels), `variants` of the stimuli.
        device: where the networks are.

    Yields:
        Datasets of schema `tuning`, without attributes.

    Source:
        Truong & Hasson 2025, sec. 3.5.
    """
    import xarray as xr

    size, channels = images.images_test.shape[1], images.images_test.shape[-1]
    normalize = Normalization(settings["mean"], settings["std"], device=device)
    variants, radii, count = settings["variants"], settings["ring_radii"], settings["wedges"]
    options = {"count": count, "extent_deg": settings["extent_deg"], "radius": settings["wedge_radius"]}
    stimuli = [
        np.stack([wedges(size, variant=variant, **options) for variant in variants]),
        np.stack([rings(size, radii=radii, variant=variant) for variant in variants]),
    ]
    for one in trained:
        wedge_pre, ring_pre = (_respond(one.model, shown, channels, normalize, device) for shown in stimuli)
        yield xr.Dataset(
            {
                "wedge_pre": (("variant", "wedge", "unit"), wedge_pre),
                "ring_pre": (("variant", "ring", "unit"), ring_pre),
            },
            coords={
                **sheet_coords(one.grid),
                "variant": ("variant", np.array(variants, dtype=object)),
                "angle": ("wedge", np.arange(count) * 360.0 / count),
                "radius": ("ring", np.asarray(radii, dtype=np.float64)),
            },
        )


@torch.inference_mode()
def _respond(
    model: torch.nn.Module, stimuli: np.ndarray, channels: int, normalize: Normalization, device: torch.device
) -> np.ndarray:
    """Show (variant, stimulus, row, col) images in 0..1, equal in all channels; (variant, stimulus, unit)."""
    flat = torch.from_numpy(np.asarray(stimuli * 255, dtype=np.float32)).flatten(0, 1)
    _, pre = model(normalize(flat[..., None].expand(-1, -1, -1, channels).to(device)))
    return pre.cpu().numpy().reshape(*stimuli.shape[:2], -1)


def _describe(dataset: xr.Dataset) -> str:
    return f"{dataset.sizes['wedge']} wedges and {dataset.sizes['ring']} rings, {dataset.sizes['variant']} variants"


if __name__ == "__main__":
    run_command(main)
