"""Topographic error: how often the two best units of an image are not neighbors (Kiviluoto 1996)."""

from __future__ import annotations

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_array
from toporep.sheet import moore_pairs, queen_adjacency


def topographic_error(activations: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Share of the stimuli whose most and second most active unit are not Moore neighbors.

    Args:
        activations: (…, stimuli, units), units row-major. Of equal units the first counts.
        grid: (rows, cols) of the sheet.

    Returns:
        (…) float64 in [0, 1]: 0 where the sheet keeps the order of the stimuli, `chance_topographic_error` where units
        lie in random places.

    Raises:
        TopoRepError: fewer than two units, or another number of units than the sheet has.

    Source: Kiviluoto (1996), Topology preservation in self-organizing maps.
    """
    activations = check_array(activations, "activations", dims=("stimuli", "units"))
    adjacent = queen_adjacency(grid)
    if activations.shape[-1] != len(adjacent) or len(adjacent) < 2:
        raise TopoRepError(
            f"activations: expected the {len(adjacent)} units of a sheet of {grid[0]} × {grid[1]}, at least 2, found "
            f"{activations.shape[-1]}"
        )
    # A stable order of the negative values puts the first of equal units first.
    order = np.argsort(-activations, axis=-1, kind="stable")
    return (~adjacent[order[..., 0], order[..., 1]]).mean(axis=-1)


def chance_topographic_error(grid: tuple[int, int]) -> float:
    """Expected topographic error of units in random places: the share of pairs that are not Moore neighbors."""
    units = len(queen_adjacency(grid))
    return 1 - len(moore_pairs(grid)) / (units * (units - 1) / 2)
