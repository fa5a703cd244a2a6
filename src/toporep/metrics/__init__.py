"""Pure NumPy kernels on activations; none imports torch. Arrays may carry a leading batch of models or maps."""

from toporep.metrics.activity import percent_zero
from toporep.metrics.colocalization import (
    Colocalization,
    chance_distance,
    colocalization_distance,
    colocalization_null,
    share_correlated,
    unit_correlations,
)
from toporep.metrics.morans_i import expected_morans_i, morans_i
from toporep.metrics.statistics import Summary, quantiles, summarize

__all__ = [
    "Colocalization",
    "Summary",
    "chance_distance",
    "colocalization_distance",
    "colocalization_null",
    "expected_morans_i",
    "morans_i",
    "percent_zero",
    "quantiles",
    "share_correlated",
    "summarize",
    "unit_correlations",
]
