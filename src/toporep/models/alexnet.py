"""AlexNet of torchvision, pretrained: its convolutional layers as fixed features, and its first linear layer.

The weights are read from a local file; nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from toporep.data.image_folders import DATA_DIR_VARIABLE
from toporep.data.image_sets import ImageSets, load_image_sets
from toporep.errors import TopoRepError

FEATURES, UNITS = 9216, 4096
SMALLEST = 63
# The layer's place in torchvision's list, channels in and out, width of the kernel, stride, padding.
_LAYERS = (
    (0, 3, 64, 11, 4, 2),
    (3, 64, 192, 5, 1, 2),
    (6, 192, 384, 3, 1, 1),
    (8, 384, 256, 3, 1, 1),
    (10, 256, 256, 3, 1, 1),
)
# Places of layers that a pooling of 3 x 3 at every second place follows.
_POOLED = (0, 3, 10)
_FC6 = "classifier.1"


class AlexNetFeatures(nn.Module):
    """The convolutional layers of AlexNet with fixed weights: five convolutions with ReLU, pooled thrice, to 6 x 6.

    Args:
        state: the weights, as torchvision names them; see `load_weights`. Others than those of the convolutions are
            left out.

    Source: Keller, Gao & Welling 2021 (category), section 4, "final convolutional layer"; the published code takes
    the output of the whole stack, after ReLU and pooling.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        for place, inputs, outputs, width, stride, padding in _LAYERS:
            layer = nn.Conv2d(inputs, outputs, width, stride=stride, padding=padding)
            layer.load_state_dict({name: state[f"features.{place}.{name}"] for name in ("weight", "bias")})
            self.layers[str(place)] = layer
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, row, col) normalized → (n, 9216), not negative, flattened as (channel, row, col).

        Raises:
            TopoRepError: images of another shape, or smaller than 63 x 63.
        """
        if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < SMALLEST:
            raise TopoRepError(
                f"images: expected shape (n, 3, row, col) of at least {SMALLEST} rows and columns, "
                f"found {tuple(images.shape)}"
            )
        for place, layer in self.layers.items():
            images = F.relu(layer(images))
            if int(place) in _POOLED:
                images = F.max_pool2d(images, kernel_size=3, stride=2)
        return F.adaptive_avg_pool2d(images, (6, 6)).flatten(1)


def find_weights(data_dir: str | os.PathLike | None = None, *, registry: ImageSets | None = None) -> Path:
    """The file of AlexNet's weights below the data folder, the first there is of those that the registry names.

    Args:
        data_dir: default: the environment variable TOPOREP_DATA.
        registry: default: config/image_sets.yaml.

    Raises:
        TopoRepError: no such file; it says where it was looked for and where it is to be had.
    """
    network = (registry or load_image_sets()).network("alexnet")
    data_dir = data_dir or os.environ.get(DATA_DIR_VARIABLE)
    if not data_dir:
        raise TopoRepError(
            f"no folder given for the weights of {network.title}: name one with --data-dir or the environment variable "
            f"{DATA_DIR_VARIABLE}"
        )
    folders = (Path(data_dir) / network.folder, Path(data_dir))
    for name in network.weights:
        for folder in folders:
            if (folder / name).is_file():
                return folder / name
    raise TopoRepError(
        f"{network.title}: no file of weights\n  looked for: {' or '.join(network.weights)} "
        f"in {' or '.join(str(folder) for folder in folders)}\n  to be had: {network.obtain}"
    )


def weights_sha256(path: str | os.PathLike) -> str:
    """sha256 of a file of weights, which must begin with the digits that end its name, as torchvision names it.

    Raises:
        TopoRepError: the file is another one, perhaps truncated; its name has no digits.
    """
    path = Path(path)
    digits = re.search(r"-([0-9a-f]{8,64})\.pth$", path.name)
    if not digits:
        raise TopoRepError(f"{path}: expected a name that ends in digits of the file's sha256, as torchvision names it")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(digits[1]):
        raise TopoRepError(
            f"{path}: altered, perhaps truncated: expected sha256 {digits[1]}…, found {found}; get the file again"
        )
    return found


def load_weights(path: str | os.PathLike) -> dict[str, Tensor]:
    """Weights of AlexNet from a file, checked by its name's digits; nothing but tensors is unpickled.

    Raises:
        TopoRepError: another file than its name says, one that is no state dict, or one of another architecture.
    """
    weights_sha256(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    # On bytes that are no weights the unpickler stumbles over whatever comes, a KeyError among others; and its own
    # advice is to load the file with the code that is in it.
    except Exception as error:
        raise TopoRepError(
            f"{path}: cannot be read as weights, of which only tensors are taken ({type(error).__name__}): another "
            "kind of file, or one that holds code, such as a whole network; expected a state dict"
        ) from error
    _check_architecture(state, path)
    return state


def pretrained_fc6(path: str | os.PathLike) -> tuple[Tensor, Tensor]:
    """Weights (4096, 9216) and bias (4096,) of the first linear layer, which reads the features.

    Args:
        path: file of weights, see `find_weights`.

    Raises:
        TopoRepError: see `load_weights`.
    """
    state = load_weights(path)
    return state[f"{_FC6}.weight"], state[f"{_FC6}.bias"]


def _expected_shapes() -> dict[str, tuple[int, ...]]:
    """Of the tensors that are used."""
    shapes: dict[str, tuple[int, ...]] = {}
    for place, inputs, outputs, width, *_ in _LAYERS:
        shapes |= {f"features.{place}.weight": (outputs, inputs, width, width), f"features.{place}.bias": (outputs,)}
    return shapes | {f"{_FC6}.weight": (UNITS, FEATURES), f"{_FC6}.bias": (UNITS,)}


def _check_architecture(state: object, path: str | os.PathLike) -> None:
    if not isinstance(state, dict):
        raise TopoRepError(f"{path}: expected a state dict of AlexNet, found {type(state).__name__}")
    for name, expected in _expected_shapes().items():
        if name not in state:
            raise TopoRepError(
                f"{path}: not torchvision's AlexNet: {name} is missing (found {', '.join(map(str, list(state)[:4]))} …)"
            )
        found = tuple(getattr(state[name], "shape", ()))
        if found != expected:
            raise TopoRepError(f"{path}: not torchvision's AlexNet: {name} has shape {found}, expected {expected}")
