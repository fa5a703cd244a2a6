"""From uint8 pixels to the inputs of a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class Normalization:
    """(pixel / 255 − mean) / std per channel, in float32 on a device.

    Args:
        mean, std: one number a channel, in units of the full pixel range.
        device: where the images are.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], *, device: torch.device) -> None:
        mean, std = np.asarray(mean, dtype=np.float64), np.asarray(std, dtype=np.float64)
        self.scale, self.shift = (
            torch.from_numpy(value.astype(np.float32)).to(device) for value in (1 / (255 * std), -mean / std)
        )

    def __call__(self, images: Tensor) -> Tensor:
        """Take uint8 (…, row, col, channel) to float32 (…, channel, row, col), channels last in memory."""
        return torch.addcmul(self.shift, images.float(), self.scale).movedim(-1, -3)
