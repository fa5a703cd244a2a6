"""The two networks of Truong & Hasson 2025 as plain `torch.nn` layers.

Written from the description in the paper and the published code, with nothing shared with `toporep`. Layers have
the same names as there, so that weights can be copied.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class MnistNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, kernel_size=3, stride=1, padding=1)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3, stride=1, padding=1)
        self.fc1 = nn.Linear(64, 121)
        self.fc2 = nn.Linear(121, 10)

    def forward(self, x: Tensor, keep: Tensor | None = None, *, dropout: float = 0.0) -> tuple[Tensor, Tensor]:
        x = F.max_pool2d(F.relu(self.conv1(x)), kernel_size=2, stride=2)
        x = F.max_pool2d(F.relu(self.conv2(x)), kernel_size=2, stride=2)
        return readout(self, x, keep, dropout)


class CifarNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32)
        self.conv2, self.bn2 = nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64)
        self.conv3, self.bn3 = nn.Conv2d(64, 128, 3, padding=1), nn.BatchNorm2d(128)
        self.conv4, self.bn4 = nn.Conv2d(128, 256, 3, padding=1), nn.BatchNorm2d(256)
        self.fc1 = nn.Linear(256, 121)
        self.fc2 = nn.Linear(121, 10)

    def forward(self, x: Tensor, keep: Tensor | None = None, *, dropout: float = 0.0) -> tuple[Tensor, Tensor]:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        x = F.max_pool2d(F.relu(self.bn3(self.conv3(x))), 2)
        x = F.relu(self.bn4(self.conv4(x)))
        return readout(self, x, keep, dropout)


def readout(net: nn.Module, x: Tensor, keep: Tensor | None, dropout: float) -> tuple[Tensor, Tensor]:
    """Global average pooling, the sheet, inverted dropout with a given mask, the classes."""
    pre = net.fc1(F.adaptive_avg_pool2d(x, 1).flatten(1))
    post = F.relu(pre)
    if keep is not None:
        post = post * keep.to(post.dtype) / (1 - dropout)
    return net.fc2(post), pre


def copy_weights(net: nn.Module, tensors: dict[str, Tensor]) -> nn.Module:
    """Load named tensors; the batch counter of batch normalization, which `toporep` does not keep, stays."""
    missing = net.load_state_dict(tensors, strict=False)
    assert not missing.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in missing.missing_keys)
    return net


REFERENCE = {"MnistCNN": MnistNet, "CifarCNN": CifarNet}
