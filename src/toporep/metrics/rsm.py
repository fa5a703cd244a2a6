"""Representational similarity of classes, and how alike two similarity matrices are (second-order similarity)."""

from __future__ import annotations

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import center_rows, check_array, check_choice, divide, unit_rows

_MEASURES = ("pearson", "cosine")


def rsm(rows: np.ndarray, *, measure: str = "pearson") -> np.ndarray:
    """Representational similarity matrix: the similarity of all pairs of rows.

    Args:
        rows: (..., classes, features), e.g. the read-out weights of each class; any leading batch.
        measure: "pearson" (correlation over features) or "cosine". The paper does not say which; see
            docs/deviations.md, D22.

    Returns:
        (..., classes, classes) float64 within -1 to 1. A row without a direction (constant for "pearson", zero for
        "cosine") has NaN with every row, itself included.

    Raises:
        TopoRepError: NaN or infinity, a single feature with "pearson", an unknown measure.

    Source:
        Truong & Hasson 2025, sec. 3.2 and Fig. 3 (rows of the read-out weights, 10 x 121); no public code.
    """
    check_choice(measure, "measure", _MEASURES)
    rows = check_array(rows, "rows", dims=("classes", "features")).astype(np.float64)
    if measure == "pearson":
        if rows.shape[-1] < 2:
            raise TopoRepError(f"rows: a correlation over features needs at least 2 of them, found {rows.shape[-1]}")
        rows = center_rows(rows)
    rows = unit_rows(rows)
    return np.clip(rows @ np.swapaxes(rows, -1, -2), -1.0, 1.0)


def second_order_similarity(rsm_a: np.ndarray, rsm_b: np.ndarray) -> np.ndarray:
    """Cosine between the upper triangles, diagonals left out, of two similarity matrices.

    Args:
        rsm_a, rsm_b: (..., classes, classes), at least 2 classes in the same order; leading dimensions broadcast.
            Only the entries above the diagonal are read (45 for 10 classes).

    Returns:
        (...) float64 within -1 to 1; NaN where a triangle holds a NaN or nothing but zeros.

    Raises:
        TopoRepError: matrices that are not square or not of one size.

    Source:
        Truong & Hasson 2025, sec. 3.2 and Fig. 3 top.
    """
    a, b = np.asarray(rsm_a, dtype=np.float64), np.asarray(rsm_b, dtype=np.float64)
    for name, matrices in (("rsm_a", a), ("rsm_b", b)):
        if matrices.ndim < 2 or matrices.shape[-2] != matrices.shape[-1] or matrices.shape[-1] < 2:
            raise TopoRepError(
                f"{name}: expected square matrices (..., classes, classes) of at least 2 classes, "
                f"found shape {matrices.shape}"
            )
    if a.shape[-1] != b.shape[-1]:
        raise TopoRepError(f"rsm_a and rsm_b: expected the same classes, found {a.shape[-1]} and {b.shape[-1]}")
    first, second = np.triu_indices(a.shape[-1], k=1)
    a, b = a[..., first, second], b[..., first, second]
    size = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return np.clip(divide(np.vecdot(a, b), size), -1.0, 1.0)[()]
