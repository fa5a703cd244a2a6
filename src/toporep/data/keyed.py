"""Random numbers for generated images: a pure function of (seed, image index, draw), the same bits everywhere.

Apart from `toporep.rng`, so that generated images keep their bytes whatever becomes of the training streams.
"""

from __future__ import annotations

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix(x: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser (Steele, Lea & Flood 2014) on uint64."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def bits(seed: int, index: np.ndarray, count: int) -> np.ndarray:
    """`count` random uint64 for each index: (len(index), count)."""
    seed_key = mix(np.array([seed], dtype=np.uint64) * _GOLDEN + _GOLDEN)
    key = mix(seed_key ^ mix(np.asarray(index, dtype=np.uint64) * _GOLDEN + _GOLDEN))
    draw = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    return mix(key[:, np.newaxis] + draw)


def uniform(seed: int, index: np.ndarray, count: int) -> np.ndarray:
    """`count` numbers in [0, 1) for each index: (len(index), count) float64."""
    return (bits(seed, index, count) >> np.uint64(11)) * 2.0**-53
