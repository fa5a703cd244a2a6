"""Normalization of features by the statistics of the batch, without trained scale and shift."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from toporep.errors import TopoRepError


class FeatureNorm(nn.Module):
    """Each feature less its mean, divided by its standard deviation: `(x - mean) / sqrt(variance + eps)`.

    In training mode by the (biased) variance of the batch, and the running statistics move by `momentum` towards the
    batch's mean and unbiased variance; in evaluation mode by the running statistics. The published code puts a batch
    norm between AlexNet and the topographic VAE, whose scale and shift it never trains.

    Args:
        features: number of features.
        momentum, eps: as above; torch's defaults.

    Source: the published code of Keller, Gao & Welling 2021 (category); the paper does not mention it.
    """

    def __init__(self, features: int = 9216, *, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.features, self.momentum, self.eps = features, momentum, eps
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    def forward(self, features: Tensor) -> Tensor:
        """Normalized features of (batch, feature), without a gradient: the features' network is frozen.

        A feature that is constant over a training batch becomes 0.

        Raises:
            TopoRepError: another shape, or a single image in training mode.
        """
        if features.ndim != 2 or features.shape[1] != self.features:
            raise TopoRepError(f"features: expected shape (batch, {self.features}), found {tuple(features.shape)}")
        if self.training and len(features) < 2:
            raise TopoRepError(
                f"features: normalization in training needs a batch of at least 2 images, found {len(features)}; drop "
                "the last, smaller batch or choose another batch size"
            )
        return F.batch_norm(
            features.detach(),
            self.running_mean,
            self.running_var,
            training=self.training,
            momentum=self.momentum,
            eps=self.eps,
        )
