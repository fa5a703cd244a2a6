"""How much of the sheet is active: the percentage of zeros after the ReLU."""

from __future__ import annotations

import numpy as np

from toporep.metrics.arrays import check_array


def percent_zero(activations: np.ndarray) -> np.ndarray:
    """Percentage of zeros (PoZ) after the ReLU, averaged over units.

    A unit's PoZ is the share of stimuli that it answers with exactly zero. Since max(a, 0) is zero just when
    a <= 0, activations from before and after the ReLU give the same number.

    Args:
        activations: (..., stimuli, units), before or after the ReLU; any leading batch of models.

    Returns:
        (...) float64 percentages, 0 to 100.

    Raises:
        TopoRepError: NaN, infinity, or an empty array.

    Source:
        Truong & Hasson 2025, Methods ("percentage of zeros") and Fig. 5.
    """
    activations = check_array(activations, "activations", dims=("stimuli", "units"))
    return 100.0 * np.mean(activations <= 0, axis=(-2, -1), dtype=np.float64)
