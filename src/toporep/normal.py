"""Keyed standard normal numbers without state: the noise of latent variables.

The bits are those of `toporep.rng`, the same on every device; what is made of them agrees to float32 rounding.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from toporep import rng
from toporep.errors import TopoRepError

_HALF = 32
_UNIT = 2.0**-_HALF


def normal(streams: Sequence[int], count: int, *, offset: int = 0, device: str | torch.device = "cpu") -> torch.Tensor:
    """Standard normal numbers `offset` … `offset + count - 1` of several streams.

    Output j of a stream (see `rng.bits`) gives its numbers 2j and 2j + 1 by the transform of Box & Muller (1958):
    sqrt(-2 log a) times cos and sin of 2π b, with a in (0, 1] from the output's upper 32 bits and b in [0, 1) from
    its lower 32 bits. No number is farther out than 6.66.

    Args:
        streams: one key for each run, length K; see `rng.key`.
        count: how many numbers for each run.
        offset: index of the first number.
        device: where the numbers are made.

    Returns:
        (K, count) float32.

    Raises:
        TopoRepError: a negative count or offset.
    """
    if count < 0 or offset < 0:
        raise TopoRepError(f"normal numbers: expected a count and an offset of at least 0, found {count} and {offset}")
    first, last = offset // 2, (offset + count + 1) // 2
    outputs = _outputs(streams, last - first, offset=first, device=torch.device(device))
    # The upper half may round up to 2**32 in float32, so that the 1 is added afterwards: a never exceeds 1.
    radius = (_upper_half(outputs).float() + 1).mul_(_UNIT).log_().mul_(-2).sqrt_()
    angle = _lower_half(outputs).float().mul_(2 * math.pi * _UNIT)
    numbers = torch.stack((radius * angle.cos(), radius * angle.sin()), dim=-1).flatten(1)
    skipped = offset - 2 * first
    return numbers[:, skipped : skipped + count]


def _outputs(streams: Sequence[int], count: int, *, offset: int, device: torch.device) -> Tensor:
    if device.type == "cpu":
        # NumPy has less overhead than torch on small arrays.
        outputs = [rng.bits(stream, count, offset=offset) for stream in streams]
        return torch.from_numpy(np.stack(outputs).view(np.int64))
    return rng.bits_torch(_keys(tuple(streams), device), count, offset=offset)


# An epoch has the same keys in every step, and a GPU is waited for when they are copied to it.
@functools.lru_cache(maxsize=16)
def _keys(streams: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.from_numpy(np.array(streams, dtype=np.uint64).view(np.int64)).to(device)


def _upper_half(outputs: Tensor) -> Tensor:
    # int64 shifts copy the sign bit into the upper half.
    return (outputs >> _HALF) & (2**_HALF - 1)


def _lower_half(outputs: Tensor) -> Tensor:
    return outputs & (2**_HALF - 1)
