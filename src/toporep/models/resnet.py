"""The residual network of Sander & Hasson (2026) for 32 x 32 images."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import skip_init

from toporep import rng
from toporep.errors import TopoRepError
from toporep.sheet import check_grid

HEADS = ("classifier", "projection")


class TopographicResNet18(nn.Module):
    """ResNet-18 whose embedding layer is a sheet of units, with a head for the task.

    Args:
        seed: decides the initial weights, keyed by (seed, "init", parameter name); the encoder's are the same
            whatever the head.
        head: "classifier", for cross-entropy: dropout → linear to the classes, without a ReLU in between.
            "projection", for contrastive losses: BatchNorm → ReLU → dropout → linear → unit length.
        dropout: probability of dropping a unit while training; 0 is the variant without dropout.
        grid: (rows, cols) of the sheet; the embedding has rows x cols units.
        width: channels of the first stage; the paper's network has 64, a narrower one is quicker.
        classes: number of classes of the classifier.
        projection: size of the projection.

    With the paper's sizes the encoder has 11,300,160 parameters, the model for cross-entropy 11,302,730 and that for
    contrastive losses 11,333,568. Convolutions start normal with variance 2 / (outputs x 3 x 3), linear layers uniform
    in ±1/sqrt(inputs), as PyTorch's. `model.to(memory_format=torch.channels_last)` is faster.

    Source: Sander & Hasson 2026, Methods, and the published code.
    """

    def __init__(
        self,
        seed: int,
        *,
        head: str,
        dropout: float = 0.5,
        grid: tuple[int, int] = (16, 16),
        width: int = 64,
        classes: int = 10,
        projection: int = 128,
    ) -> None:
        super().__init__()
        if head not in HEADS:
            raise TopoRepError(f"head: expected 'classifier' or 'projection', found {head!r}")
        if not 0 <= dropout < 1:
            raise TopoRepError(f"dropout: expected a probability in [0, 1), found {dropout}")
        for name, size in (("width", width), ("classes", classes), ("projection", projection)):
            if not isinstance(size, int) or size < 1:
                raise TopoRepError(f"{name}: expected a positive integer, found {size!r}")
        self.grid = check_grid(grid)
        self.sheet_units = math.prod(self.grid)
        self.dropout = dropout
        self.encoder = Encoder(width, self.sheet_units)
        self.head = (
            ClassifierHead(self.sheet_units, classes)
            if head == "classifier"
            else ProjectionHead(self.sheet_units, projection)
        )
        _initialize(self, seed)

    def forward(self, images: Tensor, *, keep: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (output, embedding).

        Args:
            images: normalized, (batch, 3, row, col).
            keep: dropout decisions (batch, unit), True where a unit is kept; None drops nothing. The caller draws
                them: the model holds no random state.

        Returns:
            The head's output, (batch, class) logits or (batch, projection) of unit length, and the embedding
            (batch, unit), the sheet's signed activations, before any nonlinearity and dropout.
        """
        embedding = self.encoder(images)
        scale = None if keep is None else keep.to(embedding.dtype) / (1 - self.dropout)
        return self.head(embedding, scale), embedding


class Encoder(nn.Module):
    """Images (batch, 3, row, col) → embedding (batch, unit): a stem, four stages of two blocks, mean, linear."""

    def __init__(self, width: int, units: int) -> None:
        super().__init__()
        self.conv1 = _convolution(3, width, kernel=3)
        self.bn1 = BatchNorm(width)
        self.layer1 = _stage(width, width, stride=1)
        self.layer2 = _stage(width, 2 * width, stride=2)
        self.layer3 = _stage(2 * width, 4 * width, stride=2)
        self.layer4 = _stage(4 * width, 8 * width, stride=2)
        self.embedding = skip_init(nn.Linear, 8 * width, units)

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(images)), inplace=True)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.embedding(x.mean(dim=(2, 3)))


class ClassifierHead(nn.Module):
    """Dropout → linear."""

    def __init__(self, units: int, classes: int) -> None:
        super().__init__()
        self.linear = skip_init(nn.Linear, units, classes)

    def forward(self, embedding: Tensor, scale: Tensor | None) -> Tensor:
        return self.linear(embedding if scale is None else embedding * scale)


class ProjectionHead(nn.Module):
    """BatchNorm → ReLU → dropout → linear → unit length."""

    def __init__(self, units: int, size: int) -> None:
        super().__init__()
        self.bn = BatchNorm(units)
        self.linear = skip_init(nn.Linear, units, size)

    def forward(self, embedding: Tensor, scale: Tensor | None) -> Tensor:
        active = F.relu(self.bn(embedding))
        return F.normalize(self.linear(active if scale is None else active * scale), dim=-1)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut, which is a 1 x 1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = _convolution(inputs, outputs, kernel=3, stride=stride)
        self.bn1 = BatchNorm(outputs)
        self.conv2 = _convolution(outputs, outputs, kernel=3)
        self.bn2 = BatchNorm(outputs)
        self.downsample = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else nn.Sequential(_convolution(inputs, outputs, kernel=1, stride=stride), BatchNorm(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        out += self.downsample(x)
        return F.relu(out, inplace=True)


class BatchNorm(nn.Module):
    """Batch normalization per channel, (batch, channel, ...), momentum 0.1, eps 1e-5; it counts no batches."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.training, 0.1, 1e-5)


def _stage(inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(inputs, outputs, stride=stride), BasicBlock(outputs, outputs, stride=1))


def _convolution(inputs: int, outputs: int, *, kernel: int, stride: int = 1) -> nn.Conv2d:
    return skip_init(nn.Conv2d, inputs, outputs, kernel_size=kernel, stride=stride, padding=kernel // 2, bias=False)


def _initialize(model: nn.Module, seed: int) -> None:
    for module_name, module in model.named_modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        for name, parameter in module.named_parameters(recurse=False):
            stream = rng.key(seed, f"init/{module_name}.{name}")
            shape = tuple(parameter.shape)
            if isinstance(module, nn.Conv2d):
                fan_out = shape[0] * math.prod(shape[2:])
                values = math.sqrt(2 / fan_out) * _standard_normal(stream, shape)
            else:
                bound = 1 / math.sqrt(module.in_features)
                values = rng.uniform(stream, shape, low=-bound, high=bound)
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(values))


def _standard_normal(stream: int, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal float32 by Box & Muller's transformation."""
    count = math.prod(shape)
    pairs = -(-count // 2)
    unit = (rng.bits(stream, 2 * pairs) >> np.uint64(11)) * 2.0**-53
    # The generator gives 0 but never 1, and 0 has no logarithm.
    radius = np.sqrt(-2 * np.log1p(-unit[:pairs]))
    angle = 2 * np.pi * unit[pairs:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count].astype(np.float32).reshape(shape)
