"""Table 1: log-likelihood and equivariance error on MNIST, main models, beside the published numbers and a null."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.tables.keller2021_capsules import Layout, build_table, equivariance_errors, likelihoods
from toporep.tables.text import TextTable

if TYPE_CHECKING:
    import pandas as pd

_LAYOUT = Layout(
    title="Table 1: log-likelihood and equivariance error",
    dataset="mnist",
    measures=(*likelihoods(), *equivariance_errors(decimals=1)),
    notes=(
        "The paper's text says that models with temporal coherence have a higher log-likelihood than the VAE; its "
        "numbers say otherwise of the BubbleVAE.",
    ),
)


def build(inputs: Mapping[str, Path]) -> tuple[pd.DataFrame, TextTable]:
    """Build the table; see `toporep.tables.keller2021_capsules.build_table`.

    Args:
        inputs: `published`, `mnist.log_likelihood`, `mnist.equivariance`.

    Source: Keller & Welling 2021, Table 1.
    """
    return build_table(inputs, _LAYOUT)
