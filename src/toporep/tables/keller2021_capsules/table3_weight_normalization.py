"""Table 3: log-likelihood and equivariance error by weight normalization."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.tables.keller2021_capsules import Layout, build_table, equivariance_errors, likelihoods
from toporep.tables.text import TextTable

if TYPE_CHECKING:
    import pandas as pd

_LAYOUT = Layout(
    title="Table 3: weight normalization",
    dataset="mnist",
    measures=(*likelihoods(), *equivariance_errors(decimals=1)),
    bold=False,
    labels={
        "tvae_5_36_projected": "TVAE, L = 5S/36, PGD",
        "tvae_5_36": "TVAE, L = 5S/36, WN",
        "vae_projected": "VAE, PGD",
        "vae_reparameterized": "VAE, WN",
        "vae": "VAE, none",
    },
    notes=(
        "PGD: rows of the weights scaled to length 1 after each step. WN: rows are a length times a direction, both "
        "learned.",
    ),
)


def build(inputs: Mapping[str, Path]) -> tuple[pd.DataFrame, TextTable]:
    """Build the table; see `toporep.tables.keller2021_capsules.build_table`.

    Args:
        inputs: `published`, `mnist.log_likelihood`, `mnist.equivariance`.

    Source: Keller & Welling 2021, Table 3.
    """
    return build_table(inputs, _LAYOUT)
