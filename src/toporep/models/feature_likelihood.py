"""Importance-sampled log-likelihood of features under a category-selective topographic or plain VAE."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from toporep.errors import TopoRepError
from toporep.losses.gaussian import gaussian_nll
from toporep.models.category_tvae import CategoryTVAE
from toporep.models.topographic_vae import Posterior, sample


class FeatureLogLikelihood(NamedTuple):
    """Estimates of log p(x) in nats an image, each (image,) float64.

    Attributes:
        published: logsumexp of the N log-weights, without dividing by N: what the published code returns, log N too
            high.
        corrected: `published` - log N, the importance-sampled log-likelihood.
    """

    published: Tensor
    corrected: Tensor


@torch.no_grad()
def feature_log_likelihood(
    model: CategoryTVAE, features: Tensor, noise_z: Tensor, noise_u: Tensor | None = None
) -> FeatureLogLikelihood:
    """Estimate log p(x) from N samples of the posterior, q(z|x) q(u|x).

    The log-weight of a sample is log p(x|t) + log p(z) + log p(u) - log q(z|x) - log q(u|x). Images are encoded once
    and decoded one sample at a time.

    Args:
        model: topographic or plain.
        features: (image, feature), normalized as for training.
        noise_z, noise_u: standard normal numbers (N, image, unit); noise_u only for a model with a window.

    Returns:
        two estimates.

    Raises:
        TopoRepError: shapes that do not fit.

    Source: the published code of Keller, Gao & Welling 2021 (category), with 10 samples.
    """
    _check(model, features, {"noise_z": noise_z, "noise_u": noise_u})
    posterior = model.encode(features)
    noises_u = [None] * len(noise_z) if not model.topographic else noise_u
    weights = [_log_weight(model, features, posterior, *noises) for noises in zip(noise_z, noises_u, strict=True)]
    published = torch.stack(weights).logsumexp(0)
    return FeatureLogLikelihood(published, published - math.log(len(weights)))


def _log_weight(
    model: CategoryTVAE, features: Tensor, posterior: Posterior, noise_z: Tensor, noise_u: Tensor | None
) -> Tensor:
    z, u = sample(posterior, noise_z=noise_z, noise_u=noise_u)
    weight = _log_ratio(z, posterior.z_logvar, noise_z)
    if u is not None:
        weight = weight + _log_ratio(u, posterior.u_logvar, noise_u)
    return weight - gaussian_nll(model.decode(model.sheet(z, u)), features).sum(-1, dtype=torch.float64)


def _log_ratio(latents: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """log p - log q of a sample, summed over units: (image,) float64."""
    return 0.5 * (noise.square() + logvar - latents.square()).sum(-1, dtype=torch.float64)


def _check(model: CategoryTVAE, features: Tensor, noises: dict[str, Tensor | None]) -> None:
    if features.ndim != 2:
        raise TopoRepError(f"features: expected shape (image, {model.features}), found {tuple(features.shape)}")
    for name, noise in noises.items():
        if name == "noise_u" and not model.topographic:
            continue
        expected = f"(N, {len(features)}, {model.units}) for at least one sample"
        if noise is None:
            raise TopoRepError(f"{name}: expected shape {expected}, found none")
        if noise.ndim != 3 or noise.shape[1:] != (len(features), model.units) or len(noise) < 1:
            raise TopoRepError(f"{name}: expected shape {expected}, found {tuple(noise.shape)}")
    if model.topographic and len(noise_u := noises["noise_u"]) != len(noises["noise_z"]):
        raise TopoRepError(
            f"noise_u: expected as many samples as noise_z, {len(noises['noise_z'])}, found {len(noise_u)}"
        )
