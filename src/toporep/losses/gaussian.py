"""The negative evidence lower bound of variational autoencoders of features: unit-scale Gaussian likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from toporep.errors import TopoRepError
from toporep.losses.bits import HALF_LOG_TWO_PI
from toporep.losses.vae import gaussian_kl

if TYPE_CHECKING:
    from toporep.models.topographic_vae import Posterior


def gaussian_nll(means: Tensor, features: Tensor) -> Tensor:
    """-log N(feature; mean, 1), elementwise, in nats."""
    return 0.5 * (features - means).square() + HALF_LOG_TWO_PI


def gaussian_elbo_terms(means: Tensor, features: Tensor, posterior: Posterior) -> dict[str, Tensor]:
    """The terms of the negative evidence lower bound of each image, summed over features or latents.

    Args:
        means: (…, image, feature), what the decoder says.
        features: (…, image, feature), what was encoded.
        posterior: means and log-variances of z and, unless None, of u, each (…, image, latent).

    Returns:
        "nll", "kl_z" and "kl_u" (0 without u), each (…, image), in nats an image.

    Raises:
        TopoRepError: means and features differ in shape.

    Source: Keller, Gao & Welling 2021 (category), eq. 3; the published code for the scale 1.
    """
    if means.shape != features.shape:
        raise TopoRepError(
            f"features: expected the shape of the decoded means, {tuple(means.shape)}, found {tuple(features.shape)}"
        )
    kl_z = gaussian_kl(posterior.z_mean, posterior.z_logvar).sum(-1)
    has_u = posterior.u_mean is not None
    kl_u = gaussian_kl(posterior.u_mean, posterior.u_logvar).sum(-1) if has_u else torch.zeros_like(kl_z)
    return {"nll": gaussian_nll(means, features).sum(-1), "kl_z": kl_z, "kl_u": kl_u}


def gaussian_negative_elbo(means: Tensor, features: Tensor, posterior: Posterior) -> Tensor:
    """The loss, (…), in nats: the sum of `gaussian_elbo_terms`, which says what the arguments are, mean over images."""
    return sum(gaussian_elbo_terms(means, features, posterior).values()).mean(-1)
