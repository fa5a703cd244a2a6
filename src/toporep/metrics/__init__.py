"""Pure NumPy kernels on activations; none imports torch. Arrays may carry a leading batch of models or maps."""

from toporep.metrics.activity import percent_zero
from toporep.metrics.calibration import accuracy, confidence, expected_calibration_error, logit_gap, probability_gap
from toporep.metrics.capsule_latents import latent_equivariance_error, latent_rolls, topographic_latents
from toporep.metrics.capsule_nulls import null_capsule_correlation, null_equivariance_error, random_direction_error
from toporep.metrics.capsule_roll import capsule_correlation, correlation_error, observed_roll, sequence_rolls
from toporep.metrics.class_similarity import (
    ClassSimilarity,
    better_separated,
    class_cosine_similarity,
    over_trials,
    silhouette,
)
from toporep.metrics.colocalization import (
    Colocalization,
    chance_distance,
    colocalization_distance,
    colocalization_null,
    share_correlated,
    unit_correlations,
)
from toporep.metrics.concentration import edge_center_ratio, kurtosis, top_share
from toporep.metrics.consistency import Consistency, first_of_each_class, rdm, rdm_consistency
from toporep.metrics.correlations import (
    CorrelationStatistics,
    correlation_histogram,
    correlation_statistics,
    neighbor_correlations,
    pair_correlations,
)
from toporep.metrics.dimensionality import effective_dimensionality, weight_dimensionality
from toporep.metrics.distance_correlation import (
    DistanceCurve,
    correlation_by_distance,
    correlation_offsets,
    distance_curve,
)
from toporep.metrics.eccentricity import EccentricityTuning, GaussianFit, eccentricity_class, fit_gaussian
from toporep.metrics.ensembles import EnsembleAccuracy, disagreement, ensemble_accuracy, ensemble_predictions
from toporep.metrics.entropy import unit_entropy, unit_variance
from toporep.metrics.equivariance import equivariance_error
from toporep.metrics.harmonics import (
    dominant_harmonic,
    expected_agreement,
    harmonic_power,
    neighborhood_agreement,
    phase_class,
    preferred_angle,
    transition_shares,
)
from toporep.metrics.moments import Moments
from toporep.metrics.morans_i import expected_morans_i, morans_i
from toporep.metrics.rsm import rsm, second_order_similarity
from toporep.metrics.selectivity import cohens_d, cohens_d_error, joint_map, one_vs_rest, strongest_units
from toporep.metrics.selectivity_maps import (
    Patch,
    map_correlation,
    map_smoothness,
    overlap,
    selective_patches,
    top_units,
)
from toporep.metrics.selectivity_nulls import label_shuffled_maps, split_half_reliability, unit_shuffled_maps
from toporep.metrics.statistics import Summary, quantiles, summarize
from toporep.metrics.weight_distance import neighbor_distance, weight_norms
from toporep.metrics.weight_noise import WeightNoise, weight_noise_draws, weight_noise_robustness

__all__ = [
    "ClassSimilarity",
    "Colocalization",
    "Consistency",
    "CorrelationStatistics",
    "DistanceCurve",
    "EccentricityTuning",
    "EnsembleAccuracy",
    "GaussianFit",
    "Moments",
    "Patch",
    "Summary",
    "WeightNoise",
    "accuracy",
    "better_separated",
    "capsule_correlation",
    "chance_distance",
    "class_cosine_similarity",
    "cohens_d",
    "cohens_d_error",
    "colocalization_distance",
    "colocalization_null",
    "confidence",
    "correlation_by_distance",
    "correlation_error",
    "correlation_histogram",
    "correlation_offsets",
    "correlation_statistics",
    "disagreement",
    "distance_curve",
    "dominant_harmonic",
    "eccentricity_class",
    "edge_center_ratio",
    "effective_dimensionality",
    "ensemble_accuracy",
    "ensemble_predictions",
    "equivariance_error",
    "expected_agreement",
    "expected_calibration_error",
    "expected_morans_i",
    "first_of_each_class",
    "fit_gaussian",
    "harmonic_power",
    "joint_map",
    "kurtosis",
    "label_shuffled_maps",
    "latent_equivariance_error",
    "latent_rolls",
    "logit_gap",
    "map_correlation",
    "map_smoothness",
    "morans_i",
    "neighbor_correlations",
    "neighbor_distance",
    "neighborhood_agreement",
    "null_capsule_correlation",
    "null_equivariance_error",
    "observed_roll",
    "one_vs_rest",
    "over_trials",
    "overlap",
    "pair_correlations",
    "percent_zero",
    "phase_class",
    "preferred_angle",
    "probability_gap",
    "quantiles",
    "random_direction_error",
    "rdm",
    "rdm_consistency",
    "rsm",
    "second_order_similarity",
    "selective_patches",
    "sequence_rolls",
    "share_correlated",
    "silhouette",
    "split_half_reliability",
    "strongest_units",
    "summarize",
    "top_share",
    "top_units",
    "topographic_latents",
    "transition_shares",
    "unit_correlations",
    "unit_entropy",
    "unit_shuffled_maps",
    "unit_variance",
    "weight_dimensionality",
    "weight_noise_draws",
    "weight_noise_robustness",
    "weight_norms",
]
