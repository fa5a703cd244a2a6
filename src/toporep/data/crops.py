"""From a file's bytes to what a network is shown: decoding, resizing, random or center crops, normalization."""

from __future__ import annotations

import io
import json
import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep import rng
from toporep.errors import TopoRepError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

RANDOM, CENTER = "random", "center"
THUMBNAIL = 64
_ATTEMPTS = 10


class UnreadableImage(Exception):
    """Bytes that are no image, or a part of one; the message says which."""


@dataclass(frozen=True)
class Transform:
    """How an image becomes a view.

    network: key in the registry. size: width of the view, in pixels. resize: the image's shorter side before a crop.
    crop: `RANDOM` (`area`, share of the resized image; `aspect`, width over height) or `CENTER`. mean, std: of the
    colors, from 0 to 1, for AlexNet. seed: of the crops.
    """

    network: str
    size: int
    resize: int
    crop: str
    area: tuple[float, float]
    aspect: tuple[float, float]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    seed: int

    @classmethod
    def from_settings(cls, features: Mapping[str, Any]) -> Transform:
        """Take what it needs from a paper's settings `features`.

        Raises:
            TopoRepError: a key that is missing or of the wrong kind.
        """
        missing = [name for name in cls.__dataclass_fields__ if name not in features]
        if missing:
            raise TopoRepError(f"features: missing {', '.join(missing)}; found {', '.join(features)}")
        values = {name: features[name] for name in cls.__dataclass_fields__}
        for name in ("area", "aspect", "mean", "std"):
            values[name] = tuple(float(number) for number in values[name])
        transform = cls(**values)
        transform._check()
        return transform

    @property
    def text(self) -> str:
        """All of it as JSON: equal for equal transforms."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def crops_drawings(self) -> bool:
        """Whether rendered images are cropped like others (from drawings `resize` wide), or drawn `size` wide.

        The Gabor filters have fixed widths in pixels, and drawings have places and sizes of their own, so for that
        network they are not cropped.
        """
        return self.network != "gabor"

    def _check(self) -> None:
        if self.crop not in (RANDOM, CENTER):
            raise TopoRepError(f"features.crop: expected {RANDOM!r} or {CENTER!r}, found {self.crop!r}")
        if not 1 <= self.size <= self.resize:
            raise TopoRepError(f"features: expected 1 <= size <= resize, found size {self.size}, resize {self.resize}")
        for name, high in (("area", 1.0), ("aspect", math.inf)):
            low, top = getattr(self, name)
            if not 0 < low <= top <= high:
                raise TopoRepError(
                    f"features.{name}: expected two numbers, 0 < low <= high <= {high}, found {low, top}"
                )
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise TopoRepError(f"features: expected 3 numbers of mean and of std > 0, found {self.mean}, {self.std}")


def decode(content: bytes) -> Image:
    """The whole image as RGB, turned as it is stored.

    Raises:
        UnreadableImage: not an image, truncated, or too large to be one.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(content)) as image:
            warnings.simplefilter("ignore")
            return image.convert("RGB")
    except Exception as error:
        # A damaged file raises almost anything: OSError, SyntaxError, struct.error, zlib.error, DecompressionBombError.
        raise UnreadableImage(_reason(error)) from error


def check(content: bytes) -> None:
    """As `decode`, without the image: a JPEG is read to its end at an eighth of its width, which is faster."""
    from PIL import Image

    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(content)) as image:
            warnings.simplefilter("ignore")
            image.draft("RGB", (image.width // 8, image.height // 8))
            image.convert("RGB")
    except Exception as error:
        raise UnreadableImage(_reason(error)) from error


def views(image: Image, transform: Transform, *, sha256: str, crops: range) -> np.ndarray:
    """Crops of an image, each a function of (seed, its number, the file's content) alone.

    The image is resized so that its shorter side is `resize`, its aspect kept; then cropped and resized to `size`,
    bilinearly, never mirrored (Keller, Gao & Welling 2021, B.1).

    Args:
        image: RGB.
        sha256: of the file, in hexadecimal digits.
        crops: numbers of the crops.

    Returns:
        (crop, size, size, 3) uint8; center crops are all alike.
    """
    from PIL.Image import Resampling

    resized = resize_shorter(image, transform.resize)
    shape = (transform.size, transform.size)
    out = np.empty((len(crops), *shape, 3), dtype=np.uint8)
    for view, crop in zip(out, crops, strict=True):
        if transform.crop == CENTER:
            view[:] = np.asarray(resized.crop(_centered(resized.size, shape)))
            continue
        box = random_box(*resized.size, transform, stream=rng.key(transform.seed, f"crop/{sha256}", crop))
        view[:] = np.asarray(resized.crop(box).resize(shape, Resampling.BILINEAR))
    return out


def random_box(width: int, height: int, transform: Transform, *, stream: int) -> tuple[int, int, int, int]:
    """Random part of an image: (left, top, right, bottom), right and bottom outside, in pixels.

    Its share of the image's area is uniform in `area`, the logarithm of its aspect (width over height) uniform in
    `aspect`, its place uniform. If ten draws do not fit into the image: the largest centered part whose aspect is in
    range, as in torchvision.
    """
    draws = rng.uniform(stream, (_ATTEMPTS, 4)).astype(np.float64)
    low, high = (math.log(value) for value in transform.aspect)
    for share, aspect, x, y in draws.tolist():
        area = width * height * (transform.area[0] + share * (transform.area[1] - transform.area[0]))
        ratio = math.exp(low + aspect * (high - low))
        wide, tall = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < tall <= height:
            left, top = int(x * (width - wide + 1)), int(y * (height - tall + 1))
            return left, top, left + wide, top + tall
    ratio = min(max(width / height, transform.aspect[0]), transform.aspect[1])
    wide, tall = min(width, round(height * ratio)), min(height, round(width / ratio))
    return _centered((width, height), (wide, tall))


def resize_shorter(image: Image, side: int) -> Image:
    """Resize bilinearly so that the shorter side is `side` pixels; the longer one is cut to whole pixels."""
    from PIL.Image import Resampling

    width, height = image.size
    shorter = min(width, height)
    size = (int(side * width / shorter), int(side * height / shorter))
    return image if size == image.size else image.resize(size, Resampling.BILINEAR)


def thumbnail(image: Image) -> np.ndarray:
    """The middle of an image, (64, 64, 3) uint8."""
    small = resize_shorter(image, THUMBNAIL)
    return np.array(small.crop(_centered(small.size, (THUMBNAIL, THUMBNAIL))))


def normalized(pixels: Tensor, transform: Transform) -> Tensor:
    """Views (n, row, col, 3) uint8 → (n, 3, row, col) float32: from 0 to 1, less the mean, over the deviation."""
    import torch

    mean, std = (torch.tensor(values, device=pixels.device) for values in (transform.mean, transform.std))
    return ((pixels.to(torch.float32) / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()


def _centered(size: tuple[int, int], part: tuple[int, int]) -> tuple[int, int, int, int]:
    left, top = ((whole - some) // 2 for whole, some in zip(size, part, strict=True))
    return left, top, left + part[0], top + part[1]


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    # Pillow names the object in memory, which is another one each time.
    text = text.split(" <_io")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
