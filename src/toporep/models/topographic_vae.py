"""The topographic variational autoencoder of Keller & Welling 2021, one model or a stack of models.

Also the bubble VAE (a stationary grouper), the two-dimensional torus (one frame) and the plain VAE (no grouper).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from toporep import rng
from toporep.device import product_dtype
from toporep.errors import TopoRepError
from toporep.models.layers import linear

WEIGHT_NORMS = ("none", "reparameterized", "projected")
DECODER_NORM_AXES = ("in", "out")
LAYERS = 3


class Posterior(NamedTuple):
    """Means and log-variances of q(z|x) and q(u|x), each (…, frame, latent); u has none in a plain VAE."""

    z_mean: Tensor
    z_logvar: Tensor
    u_mean: Tensor | None
    u_logvar: Tensor | None


class Reconstruction(NamedTuple):
    """What a forward pass finds: logits (…, frame, pixel), the posterior, the topographic variables t."""

    logits: Tensor
    posterior: Posterior
    t: Tensor


class TopographicVAE(nn.Module):
    """Encoders of z and u, a grouper that makes topographic capsules t of them, a decoder of t.

    Encoders map inputs → 3m → 2m → 2m (m means, then m log-variances) and the decoder m → 2m → 3m → inputs, with ReLU
    after the first two layers each; m = capsules * units. t = (z + mu) / sqrt(W u² + eps), with one mu for all
    latents, which is trained. Everywhere latent index = capsule * units + unit and frame index = sequence * frames +
    frame; pixels are flattened as (channel, row, column).

    Args:
        seeds: one seed gives one model; a list of K seeds a stack of K models, whose parameters, inputs and outputs
            have a leading dimension K. Each model's initial weights depend on its own seed alone.
        inputs: number of pixels of an image, all channels together.
        channels: color channels; the decoder has one output bias a channel.
        capsules: C, number of capsules.
        units: D, units of a capsule.
        frames: S, length of a sequence.
        groupers: the matrix W (frames*units, frames*units) of `grouper_matrix`; for a stack one matrix for all or a
            list with one a model. None makes the plain VAE: t = z, without u and mu.
        mu: initial value of mu.
        eps: added to the sum of squares, inside the root.
        weight_norm: "none". "reparameterized": each slice of a weight is g v / ||v|| with trained g and v, g starting
            as ||v||. "projected": call `project_` after each optimizer step, which divides each slice by its length.
            A slice is all weights into one unit in the encoders.
        decoder_norm_axis: what a slice is in the decoder: "in", all weights out of one input unit, as published;
            "out", all weights into one output unit.
        pixel_bias: the last layer has one bias a pixel instead of one a channel.

    Weights of encoders are stored as (out, in), those of the decoder as (in, out): that is the published layout (its
    decoder is a transposed convolution), and the last layer's gradient comes out a quarter faster in it. Initial
    weights and biases are uniform in ±1/sqrt(inputs) of the layer in the encoders, ±1/sqrt(outputs) in the decoder,
    as in the published code. The draws are keyed by (seed, "init", parameter name).

    Raises:
        TopoRepError: an argument does not fit.

    Source: Keller & Welling 2021 (capsules), eqs. 6-11, appendices A.3 and A.8 (eq. 15, weight normalization); the
        published code for the sign of mu, the log-variance, the initial weights and one bias a channel.
    """

    def __init__(
        self,
        seeds: int | Sequence[int],
        *,
        inputs: int,
        channels: int,
        capsules: int,
        units: int,
        frames: int,
        groupers: np.ndarray | Sequence[np.ndarray] | None,
        mu: float = 30.0,
        eps: float = 1e-6,
        weight_norm: str = "none",
        decoder_norm_axis: str = "in",
        pixel_bias: bool = False,
    ) -> None:
        super().__init__()
        _check_choice("weight_norm", weight_norm, WEIGHT_NORMS)
        _check_choice("decoder_norm_axis", decoder_norm_axis, DECODER_NORM_AXES)
        if inputs % channels:
            raise TopoRepError(f"inputs: expected a multiple of the {channels} channels, found {inputs}")
        self.stacked = not isinstance(seeds, int)
        self.seeds = [seeds] if isinstance(seeds, int) else list(seeds)
        self.inputs, self.channels = inputs, channels
        self.capsule_count, self.units, self.frames = capsules, units, frames
        self.latents = capsules * units
        self.eps = eps
        self.weight_norm = weight_norm
        self.topographic = groupers is not None
        self.register_buffer(
            "grouper", self._arrange_groupers(groupers) if self.topographic else None, persistent=False
        )
        self._add_encoder("z_encoder")
        self._add_decoder(norm_axis=decoder_norm_axis, biases=inputs if pixel_bias else channels)
        if self.topographic:
            self._add_encoder("u_encoder")
            self.mu = nn.Parameter(torch.full((len(self.seeds),) if self.stacked else (), float(mu)))

    def forward(self, images: Tensor, *, noise_z: Tensor, noise_u: Tensor | None = None) -> Reconstruction:
        """Encode, sample with the given noise, group and decode.

        Args:
            images: (…, frame, pixel) in [0, 1].
            noise_z, noise_u: standard normal numbers (…, frame, latent); noise_u only with a grouper.

        Returns:
            logits, posterior and t.
        """
        posterior = self.encode(images)
        t = self.capsules(*sample(posterior, noise_z=noise_z, noise_u=noise_u))
        return Reconstruction(self.decode(t), posterior, t)

    def encode(self, images: Tensor) -> Posterior:
        """Posterior of the latents of each image (…, frame, pixel), seen alone."""
        z_mean, z_logvar = self._encode("z_encoder", images)
        u_mean, u_logvar = self._encode("u_encoder", images) if self.topographic else (None, None)
        return Posterior(z_mean, z_logvar, u_mean, u_logvar)

    def capsules(self, z: Tensor, u: Tensor | None = None) -> Tensor:
        """Topographic variables t (…, frame, latent) of z and u, both (…, frame, latent), whole sequences.

        Raises:
            TopoRepError: the number of frames is not a multiple of the sequence's length.
        """
        if not self.topographic:
            return z
        sequences, rest = divmod(u.shape[-2], self.frames)
        if rest:
            raise TopoRepError(f"u: expected whole sequences of {self.frames} frames, found {u.shape[-2]} frames")
        lead = u.shape[:-2]
        # One row a sequence and capsule, with its frames and units side by side, is what the grouper's rows sum over.
        squares = u.square().view(*lead, sequences, self.frames, self.capsule_count, self.units).transpose(-3, -2)
        rows = squares.reshape(*lead, sequences * self.capsule_count, self.frames * self.units)
        # Energies are what the model is about, and little arithmetic: never rounded to bf16.
        with torch.autocast(u.device.type, enabled=False):
            sums = rows @ self.grouper.mT
        energy = sums.view_as(squares).transpose(-3, -2).reshape(u.shape)
        return (z + self.mu[..., None, None]) * torch.rsqrt(energy + self.eps)

    def decode(self, t: Tensor) -> Tensor:
        """Logits of the Bernoulli means of all pixels, (…, frame, pixel), of t (…, frame, latent)."""
        return self._run("decoder", t)

    def project_(self) -> None:
        """With weight_norm "projected", divide each slice of each weight by its length; otherwise do nothing.

        The published code does so after every optimizer step and leaves biases, mu and momenta alone.
        """
        if self.weight_norm == "projected":
            for layer in self.children():
                layer.project_()

    @property
    def parameter_count(self) -> int:
        """Number of trained numbers of one model, the gains of a reparameterized one included."""
        return sum(parameter.numel() for parameter in self.parameters()) // len(self.seeds)

    def _encode(self, encoder: str, images: Tensor) -> tuple[Tensor, Tensor]:
        return self._run(encoder, images).chunk(2, dim=-1)

    def _run(self, network: str, inputs: Tensor) -> Tensor:
        first, second, last = (getattr(self, f"{network}{layer}") for layer in range(1, LAYERS + 1))
        hidden = F.relu(first(inputs), inplace=True)
        return last(F.relu(second(hidden), inplace=True))

    def _add_encoder(self, name: str) -> None:
        sizes = (self.inputs, 3 * self.latents, 2 * self.latents, 2 * self.latents)
        for layer, (ins, outs) in enumerate(zip(sizes, sizes[1:], strict=False), start=1):
            self._add_layer(f"{name}{layer}", (outs, ins), bound=1 / math.sqrt(ins))

    def _add_decoder(self, *, norm_axis: str, biases: int) -> None:
        sizes = (self.latents, 2 * self.latents, 3 * self.latents, self.inputs)
        dim = -1 if norm_axis == "in" else -2
        for layer, (ins, outs) in enumerate(zip(sizes, sizes[1:], strict=False), start=1):
            count = biases if layer == LAYERS else outs
            bound = 1 / math.sqrt(outs)
            self._add_layer(f"decoder{layer}", (ins, outs), bound=bound, biases=count, norm_dim=dim, transposed=True)

    def _add_layer(
        self,
        name: str,
        shape: tuple[int, int],
        *,
        bound: float,
        biases: int | None = None,
        norm_dim: int = -1,
        transposed: bool = False,
    ) -> None:
        weights = self._draw(f"{name}.weight", shape, bound)
        bias = self._draw(f"{name}.bias", (biases or shape[0],), bound)
        gain = None
        if self.weight_norm == "reparameterized":
            gain = self._parameter([np.linalg.norm(weight.astype(np.float64), axis=norm_dim) for weight in weights])
        layer = _Layer(
            self._parameter(weights), self._parameter(bias), gain=gain, norm_dim=norm_dim, transposed=transposed
        )
        self.add_module(name, layer)

    def _draw(self, name: str, shape: tuple[int, ...], bound: float) -> list[np.ndarray]:
        return [rng.uniform(rng.key(seed, f"init/{name}"), shape, low=-bound, high=bound) for seed in self.seeds]

    def _parameter(self, values: list[np.ndarray]) -> nn.Parameter:
        array = np.stack(values) if self.stacked else values[0]
        return nn.Parameter(torch.from_numpy(array.astype(np.float32)))

    def _arrange_groupers(self, groupers: np.ndarray | Sequence[np.ndarray]) -> Tensor:
        single = isinstance(groupers, np.ndarray) and groupers.ndim == 2
        matrices = [groupers] * len(self.seeds) if single else list(groupers)
        if len(matrices) != len(self.seeds):
            raise TopoRepError(f"groupers: expected one for each of {len(self.seeds)} models, found {len(matrices)}")
        side = self.frames * self.units
        for matrix in matrices:
            if np.shape(matrix) != (side, side):
                raise TopoRepError(
                    f"grouper: expected a matrix of shape {(side, side)} for {self.frames} frames of {self.units} "
                    f"units, found {np.shape(matrix)}"
                )
        return torch.from_numpy(np.stack(matrices) if self.stacked else np.array(matrices[0])).float()


def sample(posterior: Posterior, *, noise_z: Tensor, noise_u: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """z and u: mean + standard deviation * noise, each (…, frame, latent); u is None in a plain VAE.

    Raises:
        TopoRepError: u has a posterior and no noise.
    """
    z = _reparameterize(posterior.z_mean, posterior.z_logvar, noise_z)
    if posterior.u_mean is None:
        return z, None
    if noise_u is None:
        raise TopoRepError("noise_u: expected noise for the latents u of a topographic model, found none")
    return z, _reparameterize(posterior.u_mean, posterior.u_logvar, noise_u)


def _reparameterize(mean: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    return torch.addcmul(mean, (0.5 * logvar).exp(), noise)


class _Layer(nn.Module):
    """An affine layer, weight normalized or not; solo, or with a leading dimension K for a stack.

    The weight is stored as (out, in), or as (in, out) if transposed. A bias shorter than the outputs is repeated for
    outputs next to each other. A slice is what lies along the stored dimension `norm_dim`.
    """

    def __init__(
        self, weight: nn.Parameter, bias: nn.Parameter, *, gain: nn.Parameter | None, norm_dim: int, transposed: bool
    ) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        self.register_parameter("gain", gain)
        self.norm_dim, self.transposed = norm_dim, transposed

    def forward(self, inputs: Tensor) -> Tensor:
        weight = self.weight.mT if self.transposed else self.weight
        repeats = weight.shape[-2] // self.bias.shape[-1]
        bias = self.bias if repeats == 1 else self.bias[..., None].expand(*self.bias.shape, repeats).flatten(-2)
        by_input = self.transposed and self.norm_dim == -1
        dtype = product_dtype(inputs)
        arguments = (inputs, weight, bias, self.gain, by_input, dtype)
        if dtype is None:
            return _Affine.apply(*arguments)
        # The products round their factors themselves: biases, gains and lengths of slices stay float32.
        with torch.autocast(inputs.device.type, enabled=False):
            return _Affine.apply(*arguments)

    @torch.no_grad()
    def project_(self) -> None:
        self.weight.div_(torch.linalg.vector_norm(self.weight, dim=self.norm_dim, keepdim=True))


class _Affine(torch.autograd.Function):
    """inputs @ weight.mT + bias; with a gain, the slices v of the weight (…, out, in) are replaced by gain v / ||v||.

    A slice belongs to an input unit (`by_input`) or to an output unit. Its factor gain / ||v|| is put on that unit, so
    that the normalized weight is never written, and the gradient's part along v is added in place: three passes over
    the weights, where eight would be needed to make gain v / ||v|| and to go back through it. The gradient of the
    weight lies in memory as the weight does, which autograd's own products of stacks do not see to. With a dtype, the
    factors of products are rounded to it; all else, products included, is of the inputs' own type.
    """

    @staticmethod
    def forward(
        ctx,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor,
        gain: Tensor | None,
        by_input: bool,
        dtype: torch.dtype | None,
    ) -> Tensor:
        ctx.by_input, ctx.dtype = by_input, dtype
        if gain is None:
            ctx.save_for_backward(inputs, weight)
            if dtype is None:
                return linear(inputs, weight, bias)
            return _product(inputs, weight.mT, dtype) + bias.unsqueeze(-2)
        length = torch.linalg.vector_norm(weight, dim=-2 if by_input else -1)
        factor = (gain / length).unsqueeze(-2)
        if by_input:
            unscaled = inputs
            scaled = inputs * factor
            if dtype is None:
                outputs = linear(scaled, weight, bias)
            else:
                outputs = _product(scaled, weight.mT, dtype) + bias.unsqueeze(-2)
        else:
            unscaled = _product(inputs, weight.mT, dtype)
            outputs = torch.addcmul(bias.unsqueeze(-2), unscaled, factor)
        ctx.save_for_backward(inputs, weight, length, factor, unscaled)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight, *normalization = ctx.saved_tensors
        dtype = ctx.dtype
        grad_bias = grad.sum(-2)
        if not normalization:
            grad_inputs = _product(grad, weight, dtype) if ctx.needs_input_grad[0] else None
            return grad_inputs, _outer(grad, inputs, like=weight, dtype=dtype), grad_bias, None, None, None
        length, factor, unscaled = normalization
        grad_inputs = None
        if ctx.by_input:
            grad_scaled = _product(grad, weight, dtype)
            grad_factor = (grad_scaled * unscaled).sum(-2)
            grad_inputs = grad_scaled * factor
            inputs = inputs * factor
        else:
            grad_factor = (grad * unscaled).sum(-2)
            grad = grad * factor
            if ctx.needs_input_grad[0]:
                grad_inputs = _product(grad, weight, dtype)
        grad_gain = grad_factor / length
        along = grad_gain * factor.squeeze(-2) / length
        grad_weight = _outer(grad, inputs, like=weight, dtype=dtype)
        grad_weight.addcmul_(weight, along.unsqueeze(-2 if ctx.by_input else -1), value=-1)
        return grad_inputs, grad_weight, grad_bias, grad_gain, None, None


def _product(a: Tensor, b: Tensor, dtype: torch.dtype | None) -> Tensor:
    """a @ b, with factors rounded to the dtype if there is one."""
    return a @ b if dtype is None else (a.to(dtype) @ b.to(dtype)).to(a.dtype)


def _outer(outputs: Tensor, inputs: Tensor, *, like: Tensor, dtype: torch.dtype | None) -> Tensor:
    """outputs.mT @ inputs in the memory layout of the weight (…, out, in), which spares autograd a copy."""
    if like.stride(-1) == 1:
        return _product(outputs.mT, inputs, dtype)
    return _product(inputs.mT, outputs, dtype).mT


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise TopoRepError(f"{name}: expected one of {', '.join(choices)}, found {value!r}")
