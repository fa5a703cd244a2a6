"""Table 5: capsule correlation and equivariance error on dSprites, all models, beside the published numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.tables.keller2021_capsules import Layout, build_table, capsule_correlations, equivariance_errors
from toporep.tables.text import TextTable

if TYPE_CHECKING:
    import pandas as pd

_LAYOUT = Layout(
    title="Table 5: capsule correlation and equivariance error of all models",
    dataset="dsprites",
    measures=(*capsule_correlations(), *equivariance_errors(decimals=0)),
    all_models=True,
    notes=("K, the units that a neighborhood spans: 1 in TVAE, 10 for L = 0, 2L in BubbleVAE.",),
)


def build(inputs: Mapping[str, Path]) -> tuple[pd.DataFrame, TextTable]:
    """Build the table; see `toporep.tables.keller2021_capsules.build_table`.

    Args:
        inputs: `published`, `dsprites.capsule_correlation`, `dsprites.equivariance`.

    Source: Keller & Welling 2021, Table 5.
    """
    return build_table(inputs, _LAYOUT)
