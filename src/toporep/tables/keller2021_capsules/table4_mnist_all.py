"""Table 4: log-likelihood and equivariance error on MNIST, all models, beside the published numbers and a null."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.tables.keller2021_capsules import Layout, build_table, equivariance_errors, likelihoods
from toporep.tables.text import TextTable

if TYPE_CHECKING:
    import pandas as pd

_LAYOUT = Layout(
    title="Table 4: log-likelihood and equivariance error of all models",
    dataset="mnist",
    measures=(*likelihoods(), *equivariance_errors(decimals=1)),
    # As printed: the highest log-likelihood is not bold in this table.
    bold_columns=("equivariance_error",),
    all_models=True,
    notes=("K, the units that a neighborhood spans: 3 in TVAE, 9 for L = 0, 2L in BubbleVAE where not given.",),
)


def build(inputs: Mapping[str, Path]) -> tuple[pd.DataFrame, TextTable]:
    """Build the table; see `toporep.tables.keller2021_capsules.build_table`.

    Args:
        inputs: `published`, `mnist.log_likelihood`, `mnist.equivariance`.

    Source: Keller & Welling 2021, Table 4.
    """
    return build_table(inputs, _LAYOUT)
