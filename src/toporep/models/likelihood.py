"""Importance-sampled log-likelihood of images under a topographic or plain variational autoencoder."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from toporep.errors import TopoRepError
from toporep.losses.vae import bernoulli_nll, target_entropy
from toporep.models.topographic_vae import Posterior, TopographicVAE, sample

# Logits held at once: 64 MiB in float32. Ten samples of 144 frames of 2,352 pixels are a fifth of it.
_LOGITS_AT_ONCE = 2**24


class LogLikelihood(NamedTuple):
    """Estimates of log p(x) in nats a frame, float64.

    Attributes:
        published: (…, frame), logsumexp of the frame's own N log-weights, without dividing by N: what the published
            code reports, log N too high.
        corrected: (…, frame), `published` - log N. Where frames share latents through the grouper (every window above
            1), it leaves out the weights of the other frames' u, so it estimates no likelihood but stays comparable
            with the published numbers; with window 1 and in a plain VAE it is the importance-sampled log-likelihood.
        joint: (…, sequence), the importance-sampled log-likelihood of the whole sequence, all of whose latents are
            weighted together, divided by its number of frames.
    """

    published: Tensor
    corrected: Tensor
    joint: Tensor


@torch.no_grad()
def log_likelihood(
    model: TopographicVAE,
    images: Tensor,
    noise_z: Tensor,
    noise_u: Tensor | None = None,
    *,
    frames: int | None = None,
    logits_at_once: int = _LOGITS_AT_ONCE,
) -> LogLikelihood:
    """Estimate log p(x) from N samples of the posterior, q(z|x) q(u|x).

    The log-weight of a frame is log p(x|t) + log p(z) + log p(u) - log q(z|x) - log q(u|x). Images are encoded once.

    Args:
        model: one model, or a stack of K.
        images: (…, frame, pixel) in [0, 1], whole sequences; … is K for a stack.
        noise_z, noise_u: standard normal numbers (…, N, frame, latent); noise_u only for a model with a grouper.
        frames: length of a sequence; default the model's. Only a plain VAE has a choice.
        logits_at_once: at most so many logits are held at once, if a single frame does not need more.

    Returns:
        three estimates.

    Raises:
        TopoRepError: shapes that do not fit.

    Source: Keller & Welling 2021 (capsules), section 6.3 (10 samples); the published code for `published`.
    """
    frames = model.frames if frames is None else frames
    _check(model, images, {"noise_z": noise_z, "noise_u": noise_u}, frames)
    posterior = Posterior(*(None if part is None else part.unsqueeze(-3) for part in model.encode(images)))
    z, u = sample(posterior, noise_z=noise_z, noise_u=noise_u)
    weights = _log_ratio(z, posterior.z_logvar, noise_z)
    if u is not None:
        weights = weights + _log_ratio(u, posterior.u_logvar, noise_u)
        u = u.flatten(-3, -2)
    t = model.capsules(z.flatten(-3, -2), u).view_as(z)
    weights = weights + _log_probability(model, images, t, logits_at_once)
    log_count = math.log(noise_z.shape[-3])
    published = weights.logsumexp(-2)
    of_sequences = weights.unflatten(-1, (-1, frames)).sum(-1)
    joint = (of_sequences.logsumexp(-2) - log_count) / frames
    return LogLikelihood(published, published - log_count, joint)


def check_entropy_floor(log_px: Tensor, images: Tensor, *, tolerance: float = 1.0) -> None:
    """Refuse a mean log-likelihood above minus the mean entropy of the images' intensities.

    No pixel means give intensities x a cross-entropy below their own entropy, so that log p(x) <= -H(x) for every
    model; a higher value is an error in the computation or in the images.

    Args:
        log_px: `corrected` or `joint` estimates, in nats a frame. `published` ones lie log N above.
        images: (…, frame, pixel), the same images.
        tolerance: by how many nats a frame the mean may lie above: room for the noise of few samples.

    Raises:
        TopoRepError: the mean lies above, or is not a number.
    """
    ceiling = -float(target_entropy(images).double().mean())
    found = float(log_px.double().mean())
    if not found <= ceiling + tolerance:
        raise TopoRepError(
            f"log p(x): expected a mean of at most {ceiling:.2f} nats a frame (minus the entropy of the images), "
            f"found {found:.2f}; check that the images lie in [0, 1] and are the ones that were evaluated"
        )


def _log_ratio(latents: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """log p - log q of samples (…, N, frame, latent), summed over latents: (…, N, frame) float64."""
    return 0.5 * (noise.square() + logvar - latents.square()).sum(-1, dtype=torch.float64)


def _log_probability(model: TopographicVAE, images: Tensor, t: Tensor, logits_at_once: int) -> Tensor:
    """log p(x|t) of each sample, (…, N, frame) float64, for t (…, N, frame, latent), some frames at a time."""
    samples_of_a_frame = t[..., 0, 0].numel() * images.shape[-1]
    step = max(1, logits_at_once // samples_of_a_frame)
    parts = []
    for images_part, t_part in zip(images.split(step, dim=-2), t.split(step, dim=-2), strict=True):
        logits = model.decode(t_part.flatten(-3, -2)).unflatten(-2, t_part.shape[-3:-1])
        parts.append(-bernoulli_nll(logits, images_part.unsqueeze(-3)).sum(-1).double())
    return torch.cat(parts, dim=-1)


def _check(model: TopographicVAE, images: Tensor, noises: dict[str, Tensor | None], frames: int) -> None:
    *lead, count, _ = images.shape
    if model.topographic and frames != model.frames:
        raise TopoRepError(f"frames: expected {model.frames}, the length of the model's sequences, found {frames}")
    if count % frames:
        raise TopoRepError(f"images: expected whole sequences of {frames} frames, found {count} frames")
    for name, noise in noises.items():
        if noise is None and (name == "noise_z" or model.topographic):
            raise TopoRepError(f"{name}: expected (…, samples, frames, latents), found none")
        fits = noise is None or (
            noise.ndim == len(lead) + 3 and (*noise.shape[:-3], *noise.shape[-2:]) == (*lead, count, model.latents)
        )
        if not fits:
            expected = ", ".join(map(str, [*lead, "N", count, model.latents]))
            raise TopoRepError(f"{name}: expected shape ({expected}) for N samples, found {tuple(noise.shape)}")
