"""Losses that make a sheet of units topographic, and the task losses that go with them."""

from toporep.exports import exports

__all__, __getattr__ = exports(
    __name__,
    {
        "spatial": ["activation_similarity", "global_similarity", "weight_similarity"],
        "topographic": ["norm_penalty", "sheet_grid", "topographic_loss"],
        "contrastive": ["hierarchical_margin", "simclr", "supcon"],
        "vae": ["bernoulli_nll", "gaussian_kl", "negative_elbo"],
        "gaussian": ["gaussian_negative_elbo"],
        "spatial_correlation": ["sheet_distances", "spatial_correlation"],
        "bits": ["bits_per_dimension", "constant_predictor_bits", "perfect_reconstruction_bits"],
    },
)
