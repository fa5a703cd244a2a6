"""Bits per dimension of a variational autoencoder with Gaussian features of unit scale; free of torch.

The paper reports about 3.4 bits for the plain and 3.6 bits for the topographic VAE, without a definition or code. By
the natural definition, which is used here, both are worse than `constant_predictor_bits` for normalized features.
"""

from __future__ import annotations

import math
from typing import TypeVar

from toporep.errors import TopoRepError

# -log of the density of a unit Gaussian at its mean, in nats: what a dimension costs however well it is predicted.
HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)

Nats = TypeVar("Nats")


def bits_per_dimension(nats: Nats, *, dimensions: int) -> Nats:
    """-log p(x), or its bound, of an image, as bits for each of its dimensions.

    Args:
        nats: a number or an array; the negative log-likelihood plus the Kullback-Leibler divergences of all latents,
            each summed over the image's dimensions or latents.
        dimensions: number of features, 9,216 in the paper.

    Returns:
        the same shape, nats / (dimensions ln 2).

    Raises:
        TopoRepError: the number of dimensions is not positive.

    Source: Keller, Gao & Welling 2021 (category), section 4, names the measure only.
    """
    if dimensions < 1:
        raise TopoRepError(f"dimensions: expected a positive number of features, found {dimensions}")
    return nats / (dimensions * math.log(2))


def perfect_reconstruction_bits() -> float:
    """The floor: every feature is met exactly and the latents tell nothing; 1.3257 bits per dimension."""
    return constant_predictor_bits(variance=0.0)


def constant_predictor_bits(*, variance: float = 1.0) -> float:
    """What predicting the mean of every feature gives without any latent; 2.0471 bits per dimension at variance 1.

    Args:
        variance: mean variance of the features; 1 after a batch norm, if the features are those it was trained on.

    Raises:
        TopoRepError: a negative variance.
    """
    if not variance >= 0:
        raise TopoRepError(f"variance: expected a number of at least 0, found {variance!r}")
    return bits_per_dimension(HALF_LOG_TWO_PI + 0.5 * variance, dimensions=1)
