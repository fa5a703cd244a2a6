"""Which evaluations trained networks have, and which one each analysis reads; nothing else is imported with it."""

from __future__ import annotations

from collections.abc import Iterable

from toporep.settings import CATEGORY, RESNETS, VAES

# Each is a schema and a folder of the results, made by a command `toporep.cli.<command>`.
_OF_CNN = {"activations": "activations", "tuning": "tuning", "image_noise": "image_noise"}
_OF_RESNET = {"activations": "embeddings", "noise_logits": "noise_logits"}
_OF_VAE = {"sequences": "sequences", "max_images": "max_images"}
# One for each set of images, all of one schema.
_OF_SETS = "responses"

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


def evaluations_of(model: str, sets: Iterable[str] = ()) -> dict[str, str]:
    """Evaluation → the command that makes it, for networks of a model.

    Args:
        model: its name.
        sets: of images that networks of category selectivity are shown, each in an evaluation of its own.
    """
    if model in CATEGORY:
        return {evaluation_of_set(name): _OF_SETS for name in sets}
    return dict(_OF_RESNET if model in RESNETS else _OF_VAE if model in VAES else _OF_CNN)


def evaluation_of(analysis: str) -> str:
    """The evaluation that the module `toporep.analyses.<analysis>` reads."""
    return _READS.get(analysis, "activations")


def evaluation_of_set(name: str) -> str:
    """The evaluation that shows a set of images."""
    return f"{_OF_SETS}_{name}"


def set_of(evaluation: str) -> str | None:
    """The set of images that an evaluation shows; None for one that shows the test images of its data set."""
    kind, _, name = evaluation.partition("_")
    return name if kind == _OF_SETS else None


def stage_of(evaluation: str) -> str:
    """The stage of an evaluation, which is its schema and has resources of its own."""
    return evaluation if set_of(evaluation) is None else _OF_SETS
