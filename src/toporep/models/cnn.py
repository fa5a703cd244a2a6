"""The two convolutional networks of Truong & Hasson 2025, one model or a stack of models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from toporep import rng
from toporep.errors import TopoRepError
from toporep.models.layers import (
    CONVOLUTIONS,
    arrange_images,
    batch_norm,
    conv3x3,
    global_average,
    linear,
    max_pool2,
)


class SheetCNN(nn.Module):
    """Convolutions, global average pooling, a sheet of units (fc1) and a readout (fc2).

    Args:
        seeds: one seed gives one model; a list of K seeds gives a stack of K models whose parameters
            have a leading dimension K. Each model's initial weights depend on its own seed alone.
        dropout: probability of dropping a sheet unit after its ReLU, while training.
        sheet_units: number of units of fc1.
        classes: number of classes.
        convolution: how a stack computes convolutions, one of `toporep.models.layers.CONVOLUTIONS`; both agree to
            rounding.

    Initial weights and biases of convolutions and linear layers are uniform in ±1/sqrt(fan-in),
    PyTorch's default. The draws are keyed by (seed, "init", parameter name).
    """

    input_channels: int
    channels: tuple[int, ...]
    batch_normed: bool
    pooled_blocks: int

    def __init__(
        self,
        seeds: int | Sequence[int],
        *,
        dropout: float,
        sheet_units: int = 121,
        classes: int = 10,
        convolution: str = "unfold",
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise TopoRepError(f"dropout: expected a probability in [0, 1), found {dropout}")
        if convolution not in CONVOLUTIONS:
            raise TopoRepError(f"convolution: expected one of {', '.join(CONVOLUTIONS)}, found {convolution!r}")
        self.convolution = convolution
        self.stacked = not isinstance(seeds, int)
        self.seeds = [seeds] if isinstance(seeds, int) else list(seeds)
        self.dropout = dropout
        self.sheet_units = sheet_units
        ins = (self.input_channels, *self.channels)
        for block, (fan, out) in enumerate(zip(ins, self.channels, strict=False), start=1):
            self._add_layer(f"conv{block}", (out, fan, 3, 3))
            if self.batch_normed:
                self._add_batch_norm(f"bn{block}", out)
        self._add_layer("fc1", (sheet_units, self.channels[-1]))
        self._add_layer("fc2", (classes, sheet_units))

    def forward(self, images: Tensor, *, keep: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (logits, pre): class scores and the sheet's activations before its ReLU.

        Args:
            images: normalized float32 images, (batch, channel, row, col); for a stack of K models
                (K, batch, channel, row, col).
            keep: dropout decisions (batch, unit), or (K, batch, unit), True where a unit is kept;
                None drops nothing. The caller draws them: the model holds no random state.

        Returns:
            logits (…, batch, class) and pre (…, batch, unit).
        """
        x = arrange_images(images, convolution=self.convolution) if self.stacked else images
        for block in range(1, len(self.channels) + 1):
            x = conv3x3(x, *self._layer(f"conv{block}"))
            if self.batch_normed:
                x = batch_norm(x, *self._layer(f"bn{block}"), *self._statistics(block), training=self.training)
            # Maximum and ReLU commute exactly; pooling first leaves a quarter of the elements to rectify.
            if block <= self.pooled_blocks:
                x = max_pool2(x)
            x = F.relu(x)
        averages = global_average(x, runs=len(self.seeds) if self.stacked else None)
        # Sheet and readout are what is measured, and less than a hundredth of the arithmetic: never rounded to bf16.
        with torch.autocast(images.device.type, enabled=False):
            pre = linear(averages, *self._layer("fc1"))
            post = F.relu(pre)
            if keep is not None:
                post = post * keep * (1 / (1 - self.dropout))
            return linear(post, *self._layer("fc2")), pre

    def _add_layer(self, name: str, shape: tuple[int, ...]) -> None:
        bound = 1 / np.sqrt(np.prod(shape[1:]))
        for part, part_shape in (("weight", shape), ("bias", shape[:1])):
            draws = [
                rng.uniform(rng.key(seed, f"init/{name}.{part}"), part_shape, low=-bound, high=bound)
                for seed in self.seeds
            ]
            self._register(name, part, nn.Parameter(torch.from_numpy(self._arrange(draws))))

    def _add_batch_norm(self, name: str, channels: int) -> None:
        shape = (len(self.seeds), channels) if self.stacked else (channels,)
        self._register(name, "weight", nn.Parameter(torch.ones(shape)))
        self._register(name, "bias", nn.Parameter(torch.zeros(shape)))
        getattr(self, name).register_buffer("running_mean", torch.zeros(shape))
        getattr(self, name).register_buffer("running_var", torch.ones(shape))

    def _register(self, name: str, part: str, parameter: nn.Parameter) -> None:
        if not hasattr(self, name):
            self.add_module(name, nn.Module())
        getattr(self, name).register_parameter(part, parameter)

    def _arrange(self, draws: list[np.ndarray]) -> np.ndarray:
        return np.stack(draws) if self.stacked else draws[0]

    def _layer(self, name: str) -> tuple[Tensor, Tensor]:
        layer = getattr(self, name)
        return layer.weight, layer.bias

    def _statistics(self, block: int) -> tuple[Tensor, Tensor]:
        layer = getattr(self, f"bn{block}")
        return layer.running_mean, layer.running_var


class MnistCNN(SheetCNN):
    """1×28×28 → conv 32 → conv 64 → average → fc1 (121) → fc2 (10); 27,901 parameters.

    Each convolution is 3×3 with padding 1, followed by ReLU and 2×2 max-pooling; no batch
    normalization (Truong & Hasson 2025, section 2.1, and the published code).
    """

    input_channels = 1
    channels = (32, 64)
    batch_normed = False
    pooled_blocks = 2


class CifarCNN(SheetCNN):
    """3×32×32 → conv 32, 64, 128, 256 → average → fc1 (121) → fc2 (10); 421,693 parameters.

    Each 3×3 convolution is followed by batch normalization and ReLU, the first three also by
    2×2 max-pooling (Truong & Hasson 2025, section 2.1, and the published code).
    """

    input_channels = 3
    channels = (32, 64, 128, 256)
    batch_normed = True
    pooled_blocks = 3


MODELS = {model.__name__: model for model in (MnistCNN, CifarCNN)}
