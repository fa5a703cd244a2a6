"""Pure NumPy kernels on activations; none imports torch. Arrays may carry a leading batch of models or maps."""

from toporep.metrics.activity import percent_zero
from toporep.metrics.calibration import accuracy, confidence, expected_calibration_error, logit_gap, probability_gap
from toporep.metrics.colocalization import (
    Colocalization,
    chance_distance,
    colocalization_distance,
    colocalization_null,
    share_correlated,
    unit_correlations,
)
from toporep.metrics.correlations import (
    CorrelationStatistics,
    correlation_histogram,
    correlation_statistics,
    neighbor_correlations,
    pair_correlations,
)
from toporep.metrics.dimensionality import effective_dimensionality, weight_dimensionality
from toporep.metrics.eccentricity import EccentricityTuning, GaussianFit, eccentricity_class, fit_gaussian
from toporep.metrics.entropy import unit_entropy, unit_variance
from toporep.metrics.harmonics import (
    dominant_harmonic,
    expected_agreement,
    harmonic_power,
    neighborhood_agreement,
    phase_class,
    preferred_angle,
    transition_shares,
)
from toporep.metrics.morans_i import expected_morans_i, morans_i
from toporep.metrics.rsm import rsm, second_order_similarity
from toporep.metrics.statistics import Summary, quantiles, summarize
from toporep.metrics.weight_noise import WeightNoise, weight_noise_draws, weight_noise_robustness

__all__ = [
    "Colocalization",
    "CorrelationStatistics",
    "EccentricityTuning",
    "GaussianFit",
    "Summary",
    "WeightNoise",
    "accuracy",
    "chance_distance",
    "colocalization_distance",
    "colocalization_null",
    "confidence",
    "correlation_histogram",
    "correlation_statistics",
    "dominant_harmonic",
    "eccentricity_class",
    "effective_dimensionality",
    "expected_agreement",
    "expected_calibration_error",
    "expected_morans_i",
    "fit_gaussian",
    "harmonic_power",
    "logit_gap",
    "morans_i",
    "neighbor_correlations",
    "neighborhood_agreement",
    "pair_correlations",
    "percent_zero",
    "phase_class",
    "preferred_angle",
    "probability_gap",
    "quantiles",
    "rsm",
    "second_order_similarity",
    "share_correlated",
    "summarize",
    "transition_shares",
    "unit_correlations",
    "unit_entropy",
    "unit_variance",
    "weight_dimensionality",
    "weight_noise_draws",
    "weight_noise_robustness",
]
