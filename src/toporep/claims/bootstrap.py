"""Bootstrap over seeds: resampled means and their confidence intervals.

Seeds are drawn with replacement, the same draw for every condition, so that networks of one seed stay paired.
Intervals are expanded percentile intervals (Hesterberg 2015, The American Statistician 69:371): the plain percentile
interval of a mean is too narrow by √((n − 1)/n) and has normal instead of t tails; the expanded one takes outer
percentiles that make up for both. It cannot leave the range of the seeds: with 3 seeds it covers a mean in about 75 %
of cases, with 5 in 94 %, with 10 in 95 %. Levels beyond 95 %, which verdicts over several points need, lie where ten
seeds have no percentiles any more; there the interval is Student's t times the bootstrap's standard error.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from scipy import stats

from toporep.rng import bits, key

DRAWS = 10_000
LEVEL = 0.95
MIN_SEEDS = 3


@functools.lru_cache(maxsize=64)
def resampling_weights(n: int, draws: int = DRAWS) -> np.ndarray:
    """Weights of the seeds in each mean: (1 + n + draws, n) float64.

    Row 0 is the plain mean, rows 1 to n are the single seeds, the others are bootstrap samples. The draws depend on n
    alone: every quantity with these seeds is resampled in the same way.
    """
    picks = (bits(key(0, "claims bootstrap", n), draws * n) % np.uint64(n)).astype(np.int64).reshape(draws, n)
    counts = np.zeros((draws, n))
    np.add.at(counts, (np.arange(draws)[:, None], picks), 1.0)
    weights = np.vstack([np.full((1, n), 1.0 / n), np.eye(n), counts / n])
    weights.setflags(write=False)
    return weights


def expanded_tail(n: int, level: float = LEVEL) -> float:
    """The tail probability whose percentiles bound an interval of this level: Φ(−√(n/(n − 1)) t), n ≥ 2.

    For 10 seeds and 95 %: 0.0086 instead of 0.025.
    """
    t = stats.t.ppf((1 + level) / 2, n - 1)
    return float(stats.norm.cdf(-math.sqrt(n / (n - 1)) * t))


def interval(resampled: np.ndarray, n: int, *, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bounds from resampled statistics (draws, ...) of n seeds.

    A higher level gives an interval that holds the one of 95 %.
    """
    tail = expanded_tail(n, min(level, LEVEL))
    low, high = np.quantile(resampled, (tail, 1 - tail), axis=0)
    if level > LEVEL:
        half = stats.t.ppf((1 + level) / 2, n - 1) * math.sqrt(n / (n - 1)) * resampled.std(axis=0)
        middle = resampled.mean(axis=0)
        low, high = np.minimum(low, middle - half), np.maximum(high, middle + half)
    return low, high
