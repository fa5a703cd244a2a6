"""Layers that work for one model or for a stack of models.

A weight without a leading dimension belongs to one model; images are then (batch, channel, row, col), in channels-last
memory, and torch's own kernels run. A weight with a leading dimension K belongs to K models, and their convolutions are
computed in one of two ways, which differ by rounding alone:

- "unfold": images are (K, batch, row, col, channel), and a convolution is one batched matrix product over the models;
- "grouped": images are (batch, K * channel, row, col), the channels of a model side by side, and torch's kernels run,
  with a group a model. This is what `torch.vmap` makes of a convolution.

Which is the faster depends on device, shape and K: see `toporep.train.convolution`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from toporep.device import product_dtype

CONVOLUTIONS = ("unfold", "grouped")


def arrange_images(images: Tensor, *, convolution: str) -> Tensor:
    """Images of a stack, (K, batch, channel, row, col), in the layout of a way to compute convolutions."""
    if convolution == "unfold":
        return images.movedim(2, -1).contiguous()
    return images.transpose(0, 1).flatten(1, 2).contiguous()


def conv3x3(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """3×3 convolution, stride 1, padding 1.

    weight is (out, in, 3, 3) for one model, (K, out, in, 3, 3) for a stack; the layout of a stack's images says how it
    is computed.
    """
    if weight.dim() == 4:
        return F.conv2d(images, weight, bias, padding=1)
    if images.dim() == 4:
        return F.conv2d(images, weight.flatten(0, 1), bias.flatten(), padding=1, groups=len(weight))
    dtype = product_dtype(images)
    if dtype is not None:
        images, weight, bias = images.to(dtype), weight.to(dtype), bias.to(dtype)
    return _StackedConv3x3.apply(images, weight, bias)


def batch_norm(
    images: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    *,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch normalization over batch, rows and columns, per channel and per model; statistics are float32.

    In training mode the running statistics, (channel,) or (K, channel), are updated in place
    with torch's convention (unbiased variance).
    """
    if images.dim() == 4:
        # A view of the statistics, so that they are updated where they lie.
        statistics = (running_mean.view(-1), running_var.view(-1))
        return F.batch_norm(images, *statistics, weight.flatten(), bias.flatten(), training, momentum, eps)
    values = images.float()
    if training:
        var, mean = torch.var_mean(values, dim=(1, 2, 3), correction=0)
        with torch.no_grad():
            count = images[0].numel() // images.shape[-1]
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(var * (count / (count - 1)), momentum)
    else:
        mean, var = running_mean, running_var
    scale = weight * torch.rsqrt(var + eps)
    shift = bias - mean * scale
    return (values * scale[:, None, None, None] + shift[:, None, None, None]).to(images.dtype)


def max_pool2(images: Tensor) -> Tensor:
    """2×2 maximum with stride 2; ties go to the first element, as torch does for one model."""
    if images.dim() == 4:
        return F.max_pool2d(images, 2)
    runs, batch, rows, cols, channels = images.shape
    # Seen as (K·batch, channel, row, col) this memory is torch's channels-last format: no copy.
    pooled = F.max_pool2d(images.reshape(runs * batch, rows, cols, channels).permute(0, 3, 1, 2), 2)
    return pooled.permute(0, 2, 3, 1).reshape(runs, batch, rows // 2, cols // 2, channels)


def global_average(images: Tensor, *, runs: int | None = None) -> Tensor:
    """Mean over rows and columns in float32: (batch, channel), or (K, batch, channel) of a stack of K = `runs`."""
    means = images.mean(dim=(2, 3), dtype=torch.float32)
    if runs is None or images.dim() == 5:
        return means
    return means.unflatten(1, (runs, -1)).transpose(0, 1)


def linear(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Affine map with weight (out, in) on (batch, in), or (K, out, in) on (K, batch, in)."""
    if weight.dim() == 2:
        return F.linear(inputs, weight, bias)
    return torch.baddbmm(bias[:, None, :], inputs, weight.transpose(1, 2))


class _StackedConv3x3(torch.autograd.Function):
    """Patches of all images of a model as the rows of one matrix: one product a model, batched over models."""

    @staticmethod
    def forward(ctx, images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        runs, batch, rows, cols, channels = images.shape
        padded = F.pad(images, (0, 0, 1, 1, 1, 1))
        r, b, i, j, c = padded.stride()
        windows = padded.as_strided((runs, batch, rows, cols, 3, 3, channels), (r, b, i, j, i, j, c))
        patches = windows.reshape(runs, batch * rows * cols, 9 * channels)
        kernel = weight.permute(0, 3, 4, 2, 1).reshape(runs, 9 * channels, -1)
        ctx.save_for_backward(patches, kernel)
        ctx.image_shape = images.shape
        return torch.baddbmm(bias[:, None, :], patches, kernel).view(runs, batch, rows, cols, -1)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        patches, kernel = ctx.saved_tensors
        runs, batch, rows, cols, channels = ctx.image_shape
        grad = grad.reshape(runs, batch * rows * cols, -1)
        grad_kernel = torch.bmm(patches.transpose(1, 2), grad)
        grad_weight = grad_kernel.view(runs, 3, 3, channels, -1).permute(0, 4, 3, 1, 2)
        grad_images = None
        if ctx.needs_input_grad[0]:
            grad_patches = torch.bmm(grad, kernel.transpose(1, 2)).view(runs, batch, rows, cols, 3, 3, channels)
            # Nine numbers are added up: in float32, also if they are rounded to fewer bits.
            padded = grad.new_zeros(runs, batch, rows + 2, cols + 2, channels, dtype=torch.float32)
            for i in range(3):
                for j in range(3):
                    padded[:, :, i : i + rows, j : j + cols] += grad_patches[:, :, :, :, i, j]
            grad_images = padded[:, :, 1:-1, 1:-1].to(grad.dtype)
        return grad_images, grad_weight, grad.sum(dim=1)
