"""Keyed initial weights of large layers, drawn row by row."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from toporep import rng


def uniform_layer(seed: int, name: str, shape: tuple[int, int], *, biases: int, bound: float) -> nn.Module:
    """A module that holds a weight of `shape` and a bias (biases,), uniform in [-bound, bound), float32.

    The draws are keyed by (seed, "init/<name>.<weight or bias>", row), so that the generator's
    64-bit numbers stay in the processor's cache; those of 75 million weights at once would take gigabytes.
    """
    layer = nn.Module()
    layer.weight = nn.Parameter(_uniform_rows(seed, f"init/{name}.weight", shape, bound))
    layer.bias = nn.Parameter(_uniform_rows(seed, f"init/{name}.bias", (1, biases), bound)[0])
    return layer


def _uniform_rows(seed: int, purpose: str, shape: tuple[int, int], bound: float) -> torch.Tensor:
    values = np.empty(shape, dtype=np.float32)
    for row in range(shape[0]):
        values[row] = rng.uniform(rng.key(seed, purpose, row), shape[1:], low=-bound, high=bound)
    return torch.from_numpy(values)
