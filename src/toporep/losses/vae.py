"""The negative evidence lower bound of variational autoencoders with Bernoulli pixels and Gaussian latents.

Pixels are intensities in [0, 1], taken as they are: -(x log p + (1 - x) log(1 - p)) is then no likelihood of a
binary image but a cross-entropy, which cannot be lower than the entropy of the intensities themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from toporep.errors import TopoRepError

if TYPE_CHECKING:
    from toporep.models.topographic_vae import Posterior


def gaussian_kl(mean: Tensor, logvar: Tensor) -> Tensor:
    """Kullback-Leibler divergence of N(mean, exp(logvar)) from N(0, 1), elementwise, in nats."""
    return 0.5 * (logvar.exp() + mean.square() - 1 - logvar)


def bernoulli_nll(logits: Tensor, targets: Tensor) -> Tensor:
    """-(x log p + (1 - x) log(1 - p)) with p = sigmoid(logit) and real x in [0, 1], elementwise, in nats.

    Unlike the published code, which computes with probabilities, it has no limit at 15.94 nats where p saturates.
    """
    return F.softplus(logits).addcmul(logits, targets, value=-1)


def target_entropy(images: Tensor) -> Tensor:
    """The least cross-entropy that any pixel means can have: the binary entropy of each image (…, pixel), in nats."""
    return (torch.special.entr(images) + torch.special.entr(1 - images)).sum(-1)


def elbo_terms(logits: Tensor, targets: Tensor, posterior: Posterior) -> dict[str, Tensor]:
    """The terms of the negative evidence lower bound, each summed over pixels or latents, mean over frames.

    Args:
        logits: (…, frame, pixel).
        targets: (…, frame, pixel) in [0, 1].
        posterior: means and log-variances of z and, unless None, of u, each (…, frame, latent).

    Returns:
        "nll", "kl_z" and "kl_u" (0 without u), each (…), in nats a frame.

    Raises:
        TopoRepError: logits and targets differ in shape.

    Source: Keller & Welling 2021 (capsules), eq. 12; the mean over frames from the published code.
    """
    if logits.shape != targets.shape:
        raise TopoRepError(
            f"targets: expected the shape of the logits, {tuple(logits.shape)}, found {tuple(targets.shape)}"
        )
    nll = _bernoulli_sum(logits, targets) / logits.shape[-2]
    kl_z = _latent_kl(posterior.z_mean, posterior.z_logvar)
    kl_u = torch.zeros_like(kl_z) if posterior.u_mean is None else _latent_kl(posterior.u_mean, posterior.u_logvar)
    return {"nll": nll, "kl_z": kl_z, "kl_u": kl_u}


def negative_elbo(logits: Tensor, targets: Tensor, posterior: Posterior) -> Tensor:
    """The loss of a run, (…), in nats a frame: the sum of `elbo_terms`, which says what the arguments are."""
    terms = elbo_terms(logits, targets, posterior)
    return terms["nll"] + terms["kl_z"] + terms["kl_u"]


def _latent_kl(mean: Tensor, logvar: Tensor) -> Tensor:
    return gaussian_kl(mean, logvar).sum((-2, -1)) / mean.shape[-2]


def _bernoulli_sum(logits: Tensor, targets: Tensor) -> Tensor:
    """Sum of `bernoulli_nll` over frames and pixels; the targets get no gradient."""
    return _BernoulliSum.apply(logits, targets)


class _BernoulliSum(torch.autograd.Function):
    """Its gradient, sigmoid(logit) - x, is one expression; through `bernoulli_nll` it would be four arrays."""

    @staticmethod
    def forward(ctx, logits: Tensor, targets: Tensor) -> Tensor:
        ctx.save_for_backward(logits, targets)
        return bernoulli_nll(logits, targets).sum((-2, -1))

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        logits, targets = ctx.saved_tensors
        return torch.sigmoid(logits).sub_(targets).mul_(grad[..., None, None]), None
