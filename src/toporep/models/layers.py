"""Layers that work for one model or for a stack of models.

A weight without a leading dimension belongs to one model; images are then (batch, channel, row, col),
in channels-last memory, and torch's own kernels run. A weight with a leading dimension K belongs to K
models; images are then (K, batch, row, col, channel), and a convolution is one batched matrix product
over the K models, because grouped convolutions with many groups run slowly on GPUs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def conv3x3(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """3×3 convolution, stride 1, padding 1.

    weight is (out, in, 3, 3) for one model, (K, out, in, 3, 3) for a stack.
    """
    if weight.dim() == 4:
        return F.conv2d(images, weight, bias, padding=1)
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
    """Batch normalisation over batch, rows and columns, per channel and per model.

    In training mode the running statistics, (channel,) or (K, channel), are updated in place
    with torch's convention (unbiased variance).
    """
    if weight.dim() == 1:
        return F.batch_norm(images, running_mean, running_var, weight, bias, training, momentum, eps)
    if training:
        var, mean = torch.var_mean(images, dim=(1, 2, 3), correction=0)
        with torch.no_grad():
            count = images[0].numel() // images.shape[-1]
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(var * (count / (count - 1)), momentum)
    else:
        mean, var = running_mean, running_var
    scale = weight * torch.rsqrt(var + eps)
    shift = bias - mean * scale
    return images * scale[:, None, None, None] + shift[:, None, None, None]


def max_pool2(images: Tensor, *, stacked: bool) -> Tensor:
    """2×2 maximum with stride 2; ties go to the first element, as torch does for one model."""
    if not stacked:
        return F.max_pool2d(images, 2)
    runs, batch, rows, cols, channels = images.shape
    # Seen as (K·batch, channel, row, col) this memory is torch's channels-last format: no copy.
    pooled = F.max_pool2d(images.reshape(runs * batch, rows, cols, channels).permute(0, 3, 1, 2), 2)
    return pooled.permute(0, 2, 3, 1).reshape(runs, batch, rows // 2, cols // 2, channels)


def global_average(images: Tensor, *, stacked: bool) -> Tensor:
    """Mean over rows and columns: (batch, channel), or (K, batch, channel)."""
    return images.mean(dim=(2, 3))


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
            padded = grad.new_zeros(runs, batch, rows + 2, cols + 2, channels)
            for i in range(3):
                for j in range(3):
                    padded[:, :, i : i + rows, j : j + cols] += grad_patches[:, :, :, :, i, j]
            grad_images = padded[:, :, 1:-1, 1:-1]
        return grad_images, grad_weight, grad.sum(dim=1)
