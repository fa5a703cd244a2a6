"""Keyed random numbers without state.

Every draw is named by a key (seed, purpose, index …), so it depends on nothing that happened
before: a resumed run, or a run trained in a stack, sees the same numbers as an uninterrupted
solo run. The generator is SplitMix64 (Steele, Lea & Flood 2014, OOPSLA): output i of the stream
that starts at `key` is a bijective mix of `key + (i + 1) * GAMMA` modulo 2**64. It needs only
64-bit integer arithmetic, so NumPy and torch give the same bits on every device.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

_GAMMA = 0x9E3779B97F4A7C15
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LAST_SHIFT = 31
# A uniform number uses the top 24 bits: all that a float32 in [0, 1) can hold exactly.
_UNIFORM_BITS = 24


def key(seed: int, purpose: str, *index: int) -> int:
    """Return the 64-bit key of one stream of draws.

    Args:
        seed: the run's seed.
        purpose: what is drawn, e.g. "dropout".
        index: further numbers that tell streams apart, e.g. the epoch.

    Returns:
        An integer in [0, 2**64): the first 8 bytes of SHA-256 over the parts.
    """
    text = "/".join([str(int(seed)), purpose, *(str(int(i)) for i in index)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def bits(stream: int, count: int, *, offset: int = 0) -> np.ndarray:
    """Outputs `offset` … `offset + count - 1` of a stream, uint64, shape (count,)."""
    z = np.arange(offset + 1, offset + count + 1, dtype=np.uint64)
    z *= np.uint64(_GAMMA)
    z += np.uint64(stream)
    return _mix(z)


def bits_at(streams: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Outputs of several streams, wherever they stand.

    Args:
        streams: uint64 keys.
        places: which output of its stream each one is, from 0; an array that broadcasts with `streams`.

    Returns:
        uint64, of the shape that the two have together.
    """
    return _mix((places.astype(np.uint64) + np.uint64(1)) * np.uint64(_GAMMA) + streams)


def uniform(stream: int, shape: tuple[int, ...], *, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Uniform float32 numbers in [low, high), from the top 24 bits of each output."""
    top = (bits(stream, math.prod(shape)) >> np.uint64(64 - _UNIFORM_BITS)).astype(np.float64)
    unit = top * 2.0**-_UNIFORM_BITS
    return (low + (high - low) * unit).astype(np.float32).reshape(shape)


def permutation(stream: int, count: int) -> np.ndarray:
    """A permutation of 0 … count - 1 (int64): the stable order of `count` outputs."""
    return np.argsort(bits(stream, count), kind="stable")


def keep_mask(
    streams: list[int], count: int, *, drop: float, offset: int = 0, device: str | torch.device = "cpu"
) -> torch.Tensor:
    """Dropout decisions for several streams at once.

    Args:
        streams: one key for each run, length K.
        count: how many decisions for each run.
        drop: probability of dropping, in [0, 1).
        offset: index of the first output used.
        device: where the mask is made; the bits are the same everywhere.

    Returns:
        A boolean tensor (K, count), True where the element is kept.
    """
    import torch

    threshold = round(drop * 2**_UNIFORM_BITS)
    if torch.device(device).type == "cpu":
        # NumPy has unsigned arithmetic and less overhead on small arrays.
        top = [bits(stream, count, offset=offset) >> np.uint64(64 - _UNIFORM_BITS) for stream in streams]
        return torch.from_numpy(np.stack(top) >= np.uint64(threshold))
    starts = torch.tensor([_signed(stream) for stream in streams], dtype=torch.int64, device=device)
    outputs = bits_torch(starts, count, offset=offset)
    return _shift_right(outputs, 64 - _UNIFORM_BITS) >= threshold


def bits_torch(streams: torch.Tensor, count: int, *, offset: int = 0) -> torch.Tensor:
    """The outputs of `bits` as int64 (same bit pattern), for keys (K,) int64; shape (K, count)."""
    import torch

    z = torch.arange(offset + 1, offset + count + 1, dtype=torch.int64, device=streams.device)
    z = z * _signed(_GAMMA) + streams[:, None]
    for shift, factor in _MIX:
        z = (z ^ _shift_right(z, shift)) * _signed(factor)
    return z ^ _shift_right(z, _LAST_SHIFT)


def _mix(z: np.ndarray) -> np.ndarray:
    """The finalizer, in place: fresh memory costs as much as the arithmetic."""
    for shift, factor in _MIX:
        z ^= z >> np.uint64(shift)
        z *= np.uint64(factor)
    z ^= z >> np.uint64(_LAST_SHIFT)
    return z


def _signed(value: int) -> int:
    """The signed 64-bit integer with the same bits."""
    return value - 2**64 if value >= 2**63 else value


def _shift_right(z: torch.Tensor, shift: int) -> torch.Tensor:
    """Logical right shift of int64, whose own `>>` copies the sign bit."""
    return (z >> shift) & ((1 << (64 - shift)) - 1)
