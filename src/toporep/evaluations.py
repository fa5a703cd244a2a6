"""Which evaluations trained networks have, and which one each analysis reads; nothing else is imported with it."""

from __future__ import annotations

from collections.abc import Iterable

from toporep.kinds import Kind

# This is one evaluation for each set of images, all of one schema.
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


def evaluations_of(kind: Kind, sets: Iterable[str] = ()) -> dict[str, str]:
    """Evaluation → the command of `toporep.cli` that makes it, for networks of a kind.

    Args:
        kind: of network.
        sets: of images that the paper has; networks that give responses are shown each in an evaluation of its own.
    """
    found: dict[str, str] = {}
    for evaluation, command in kind.evaluations.items():
        names = map(evaluation_of_set, sets) if evaluation == _OF_SETS else [evaluation]
        found |= dict.fromkeys(names, command)
    return found


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
