"""The category-selective topographic VAE of Keller, Gao & Welling 2021, and its plain counterpart."""

from __future__ import annotations

import math
import operator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from toporep.errors import TopoRepError
from toporep.models.initial_weights import uniform_layer
from toporep.models.topographic_vae import Posterior, sample
from toporep.sheet import check_grid


class FeatureReconstruction(NamedTuple):
    """What a forward pass finds: decoded means (…, image, feature), the posterior, the sheet t (…, image, unit)."""

    means: Tensor
    posterior: Posterior
    t: Tensor


class CategoryTVAE(nn.Module):
    """Affine encoders of z and u, a torus of units t that pools u over a window, an affine decoder of t.

    t = (z + mu) / sqrt(v + eps), where v is the sum of u² over the window × window units around a unit; mu is one
    trained number. Units are row-major on the sheet. Nothing else: no nonlinearity, no weight normalization.

    Args:
        seed: of the initial weights.
        features: number of features, those of AlexNet's last convolutional layer in the paper.
        grid: (rows, cols) of the torus.
        window: side of the window, odd, no longer than the sheet. None makes the plain VAE: t = z, without u and mu.
        mu: initial value of mu. The paper subtracts mu; the published code, and this one, adds it.
        eps: added to v, inside the root.

    Weights of encoders are stored as (2 units, features), the means' rows first, then the log-variances'; that of the
    decoder as (units, features). All weights and biases are uniform in ±1/sqrt(features), in the decoder too, which
    is a transposed convolution in the published code. The draws are keyed by (seed, "init", parameter name, row).

    Raises:
        TopoRepError: the window is even or does not fit, or another argument is no size.

    Source: Keller, Gao & Welling 2021 (category), eqs. 1-3, sections 4 and B.1; the published code for the sign of
        mu, u², eps, the log-variance and the initial weights.
    """

    def __init__(
        self,
        seed: int,
        *,
        features: int = 9216,
        grid: tuple[int, int] = (64, 64),
        window: int | None = 25,
        mu: float = 40.0,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        if features < 1:
            raise TopoRepError(f"features: expected a positive number, found {features}")
        self.seed, self.features, self.eps = seed, features, eps
        self.grid = check_grid(grid)
        self.units = math.prod(self.grid)
        self.topographic = window is not None
        self.window = check_window(window, self.grid) if self.topographic else None
        self._add_layer("z_encoder", rows=2 * self.units, biases=2 * self.units)
        self._add_layer("decoder", rows=self.units, biases=features)
        if self.topographic:
            self._add_layer("u_encoder", rows=2 * self.units, biases=2 * self.units)
            self.mu = nn.Parameter(torch.tensor(float(mu)))
            for name, size in zip(("row_band", "col_band"), self.grid, strict=True):
                self.register_buffer(name, circular_band(size, self.window), persistent=False)

    def forward(self, features: Tensor, *, noise_z: Tensor, noise_u: Tensor | None = None) -> FeatureReconstruction:
        """Encode, sample with the given noise, pool and decode.

        Args:
            features: (…, image, feature), normalized by `FeatureNorm`.
            noise_z, noise_u: standard normal numbers (…, image, unit); noise_u only with a window.

        Returns:
            decoded means, posterior and t.
        """
        posterior = self.encode(features)
        t = self.sheet(*sample(posterior, noise_z=noise_z, noise_u=noise_u))
        return FeatureReconstruction(self.decode(t), posterior, t)

    def encode(self, features: Tensor) -> Posterior:
        """Posterior of the latents of each image (…, image, feature).

        Raises:
            TopoRepError: another number of features.
        """
        if features.shape[-1:] != (self.features,):
            raise TopoRepError(f"features: expected shape (…, {self.features}), found {tuple(features.shape)}")
        z = F.linear(features, self.z_encoder.weight, self.z_encoder.bias).chunk(2, dim=-1)
        if not self.topographic:
            return Posterior(*z, None, None)
        return Posterior(*z, *F.linear(features, self.u_encoder.weight, self.u_encoder.bias).chunk(2, dim=-1))

    def sheet(self, z: Tensor, u: Tensor | None = None) -> Tensor:
        """Activations t (…, unit) of z and u, both (…, unit): one sample of the posterior, as in the published code.

        Raises:
            TopoRepError: u is missing.
        """
        if not self.topographic:
            return z
        if u is None:
            raise TopoRepError("u: expected the latents u of a topographic model, found none")
        return self._divide(z, u.square())

    def mean_sheet(self, posterior: Posterior) -> Tensor:
        """Activations t (…, unit) without noise: from the posterior's mean of z and its mean of u².

        E[u²] = mean² + variance. The square of u's mean would leave v near 0 where the posterior is near the prior,
        and the sheet the same for every image. t of the means is not quite the mean of t.
        """
        if not self.topographic:
            return posterior.z_mean
        return self._divide(posterior.z_mean, second_moment(posterior))

    def factors(self, z: Tensor, u_square: Tensor) -> tuple[Tensor, Tensor]:
        """The two factors of t = (z + mu) · 1 / sqrt(v + eps), to ask which of them is selective.

        Args:
            z: (…, unit), a sample or the posterior's mean.
            u_square: (…, unit), u² of a sample or `second_moment`.

        Returns:
            z + mu and 1 / sqrt(v + eps), each (…, unit). Only for a model with a window.
        """
        v = self.pool(u_square)
        return z + self.mu, torch.rsqrt(v + self.eps)

    def pool(self, values: Tensor) -> Tensor:
        """Sum over the window around each unit, (…, unit), by two products with banded matrices."""
        sheets = values.unflatten(-1, self.grid)
        return (self.row_band @ sheets @ self.col_band).flatten(-2)

    def decode(self, t: Tensor) -> Tensor:
        """Means of all features, (…, feature), of t (…, unit); their scale is 1."""
        return F.linear(t, self.decoder.weight.mT, self.decoder.bias)

    @property
    def parameter_count(self) -> int:
        """Number of trained numbers."""
        return sum(parameter.numel() for parameter in self.parameters())

    def _divide(self, z: Tensor, u_square: Tensor) -> Tensor:
        numerator, factor = self.factors(z, u_square)
        return numerator * factor

    def _add_layer(self, name: str, *, rows: int, biases: int) -> None:
        bound = 1 / math.sqrt(self.features)
        self.add_module(name, uniform_layer(self.seed, name, (rows, self.features), biases=biases, bound=bound))


def second_moment(posterior: Posterior) -> Tensor:
    """E[u²] = mean² + variance under the posterior, (…, unit)."""
    return posterior.u_mean.square() + posterior.u_logvar.exp()


def circular_band(size: int, window: int) -> Tensor:
    """(size, size) float32: 1 where two places on a ring are at most window // 2 steps apart, else 0."""
    steps = torch.arange(size)
    apart = (steps[:, None] - steps).abs()
    return (torch.minimum(apart, size - apart) <= window // 2).float()


def check_window(window: int, grid: tuple[int, int]) -> int:
    """Return the window as a Python integer.

    Raises:
        TopoRepError: not a positive odd integer, or longer than a side of the sheet, so that units would count twice.
    """
    try:
        side = operator.index(window)
    except TypeError:
        side = 0
    if side < 1 or side % 2 == 0:
        raise TopoRepError(f"window: expected a positive odd integer, which has a unit in its middle, found {window!r}")
    if side > min(grid):
        raise TopoRepError(f"window: expected at most {min(grid)}, the shorter side of the sheet {grid}, found {side}")
    return side
