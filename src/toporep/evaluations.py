"""Which evaluation of trained runs each analysis reads; nothing else is imported with it."""

from __future__ import annotations

# Each is a command `toporep.cli.<name>`, a schema and a folder of the results.
EVALUATIONS = ("activations", "tuning", "image_noise")

# Every other analysis reads activation dumps.
_READS = {"harmonics": "tuning", "eccentricity": "tuning", "image_noise_robustness": "image_noise"}


def evaluation_of(analysis: str) -> str:
    """The evaluation that the module `toporep.analyses.<analysis>` reads."""
    return _READS.get(analysis, "activations")
