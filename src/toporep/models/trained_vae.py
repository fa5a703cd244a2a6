"""Topographic VAEs built from the settings of a run, before training or to hold trained weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toporep.data.images import ImageData
from toporep.data.sequences import KINDS
from toporep.models.grouper import grouper_of
from toporep.models.topographic_vae import TopographicVAE


def build_vae(
    settings: Sequence[Mapping[str, Any]], seeds: int | Sequence[int], *, image_size: tuple[int, int]
) -> TopographicVAE:
    """The network of one run (seeds: its seed), or of a stack of K runs of one shape (seeds: a list of K).

    Args:
        settings: of each run, as in its provenance; they differ in grouper and seed alone.
        seeds: of the initial weights.
        image_size: rows and columns of the images.
    """
    model, condition = settings[0]["model"], settings[0]["condition"]
    channels = KINDS[settings[0]["training"]["sequences"]].channels
    groupers = [grouper_of(one) for one in settings]
    return TopographicVAE(
        seeds,
        inputs=channels * image_size[0] * image_size[1],
        channels=channels,
        capsules=model["capsules"],
        units=model["units"],
        frames=model["frames"],
        groupers=None if groupers[0] is None else groupers[0] if isinstance(seeds, int) else groupers,
        **{name: condition[name] for name in ("mu", "eps", "weight_norm", "decoder_norm_axis", "pixel_bias")},
    )


def _network(settings: dict[str, Any], images: ImageData) -> TopographicVAE:
    return build_vae([settings], settings["seed"], image_size=images.images_train.shape[1:3])


# Name in a run's settings → (settings, images of its data set) → network.
NETWORKS = {TopographicVAE.__name__: _network}
