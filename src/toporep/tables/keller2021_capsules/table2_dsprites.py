"""Table 2: capsule correlation and equivariance error on dSprites, main models, beside the published numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.tables.keller2021_capsules import Layout, build_table, capsule_correlations, equivariance_errors
from toporep.tables.text import TextTable

if TYPE_CHECKING:
    import pandas as pd

_LAYOUT = Layout(
    title="Table 2: capsule correlation and equivariance error",
    dataset="dsprites",
    measures=(*capsule_correlations(), *equivariance_errors(decimals=0)),
)


def build(inputs: Mapping[str, Path]) -> tuple[pd.DataFrame, TextTable]:
    """Build the table; see `toporep.tables.keller2021_capsules.build_table`.

    Args:
        inputs: `published`, `dsprites.capsule_correlation`, `dsprites.equivariance`.

    Source: Keller & Welling 2021, Table 2.
    """
    return build_table(inputs, _LAYOUT)
