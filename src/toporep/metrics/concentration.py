"""Whether few units carry an activation map, and where on the sheet they lie."""

from __future__ import annotations

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import center_rows, check_array, divide
from toporep.sheet import check_grid


def top_share(activations: np.ndarray, share: float = 0.05) -> np.ndarray:
    """Share of the summed absolute activation that the most active units carry.

    Args:
        activations: (..., units); negative ones count by their size.
        share: which share of the units counts as most active, above 0, to 1. Of a unit that is in by a fraction, that
            fraction counts (0.8 of the 13th of 256 at 5 %), so that units that are all alike carry just `share`.

    Returns:
        (...) float64, `share` to 1; NaN where no unit is active.

    Raises:
        TopoRepError: NaN or infinity, a share out of range.

    Source:
        For "a few grid units carry most information" in networks without dropout (Sander & Hasson 2026, Fig. 3), of
        which the paper gives no number. It is one less the Lorenz curve at 1 - share.
    """
    if not 0 < share <= 1:
        raise TopoRepError(f"share: expected a share of the units, above 0, to 1, found {share}")
    size = np.abs(check_array(activations, "activations", dims=("units",)))
    units = size.shape[-1]
    whole = min(int(share * units), units - 1)
    # The largest `whole` + 1 come last, the least of them first.
    top = np.partition(size, units - whole - 1, axis=-1)[..., units - whole - 1 :].astype(np.float64)
    carried = top[..., 1:].sum(axis=-1) + (share * units - whole) * top[..., 0]
    total = size.sum(axis=-1, dtype=np.float64)
    return divide(carried, total)[()]


def kurtosis(activations: np.ndarray) -> np.ndarray:
    """Excess kurtosis over units of the absolute activation.

    m4 / m2 ** 2 - 3 with the moments of the units as they are (the population's, without correction for bias:
    `scipy.stats.kurtosis`, whose default it is). High where a few units stand out.

    Args:
        activations: (..., units); negative ones count by their size.

    Returns:
        (...) float64, at least -2; 8 (pi - 3) / (pi - 2) ** 2 = 0.869 for normal activations, (1 - 6 p (1 - p)) /
        (p (1 - p)) where a share p of the units is equally active and the rest silent. NaN where all units are
        equally active.

    Raises:
        TopoRepError: NaN or infinity.

    Source:
        For the sparse maps of networks without dropout (Sander & Hasson 2026, Fig. 3), of which the paper gives no
        number.
    """
    size = center_rows(np.abs(check_array(activations, "activations", dims=("units",))).astype(np.float64))
    # Scaled by the largest, no fourth power of a tiny or huge number leaves the range; where it is 0, NaN goes on.
    squares = divide(size, np.abs(size).max(axis=-1, keepdims=True)) ** 2
    return ((squares**2).mean(axis=-1) / squares.mean(axis=-1) ** 2 - 3)[()]


def edge_center_ratio(activations: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Mean absolute activation of the units on the border of the sheet over that of all others.

    Args:
        activations: (..., units), row-major on the sheet; negative ones count by their size.
        grid: (rows, cols) of the sheet, at least 3 of each. A 16 x 16 sheet has 60 units on its border.

    Returns:
        (...) float64: 1 where border and center are equally active, infinite where only the border is, NaN where no
        unit is active.

    Raises:
        TopoRepError: NaN or infinity, a sheet that does not fit the units or has no center.

    Source:
        For "edge units" in networks without dropout (Sander & Hasson 2026, Fig. 3), of which the paper gives no
        number.
    """
    size = np.abs(check_array(activations, "activations", dims=("units",)))
    rows, cols = check_grid(grid)
    if min(rows, cols) < 3:
        raise TopoRepError(
            f"grid: expected at least 3 rows and 3 columns, or no unit is off the border, found {grid!r}"
        )
    if size.shape[-1] != rows * cols:
        raise TopoRepError(
            f"activations: a sheet of {rows} x {cols} has {rows * cols} units, found {size.shape[-1]} in shape "
            f"{size.shape}"
        )
    border = np.ones((rows, cols), dtype=bool)
    border[1:-1, 1:-1] = False
    edge, center = (size[..., which].mean(axis=-1, dtype=np.float64) for which in (border.ravel(), ~border.ravel()))
    with np.errstate(divide="ignore", invalid="ignore"):
        return (edge / center)[()]
