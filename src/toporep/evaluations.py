"""Which evaluations trained networks have, and which one each analysis reads; nothing else is imported with it."""

from __future__ import annotations

from toporep.settings import RESNETS, VAES

# Each is a schema and a folder of the results, made by a command `toporep.cli.<command>`.
_OF_CNN = {"activations": "activations", "tuning": "tuning", "image_noise": "image_noise"}
_OF_RESNET = {"activations": "embeddings", "noise_logits": "noise_logits"}
_OF_VAE = {"sequences": "sequences", "max_images": "max_images"}

# Every other analysis reads activation dumps.
_READS = {
    "harmonics": "tuning",
    "eccentricity": "tuning",
    "image_noise_robustness": "image_noise",
    "ensembles": "noise_logits",
    **dict.fromkeys(
        ("equivariance", "capsule_correlation", "log_likelihood", "held_out_frames", "traversals"), "sequences"
    ),
    "torus_images": "max_images",
}


def evaluations_of(model: str) -> dict[str, str]:
    """Evaluation → the command that makes it, for networks of a model."""
    return dict(_OF_RESNET if model in RESNETS else _OF_VAE if model in VAES else _OF_CNN)


def evaluation_of(analysis: str) -> str:
    """The evaluation that the module `toporep.analyses.<analysis>` reads."""
    return _READS.get(analysis, "activations")
