"""Random changes of training images, for a whole batch at once, on the device that holds the images.

What is drawn for an image depends on (seed, stage, epoch, view) and on the image's index in its data set alone: not on
its batch, nor on the device, nor on what was drawn before. The draws are made by NumPy, so that a GPU need not be
waited for; the pixels are worked on by torch.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from toporep import rng
from toporep.data import keyed
from toporep.errors import TopoRepError

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
_ORDERS = np.array(list(itertools.permutations(range(4))))
_LUMA = (0.2989, 0.587, 0.114)
_CROP_TRIALS = 10
_DRAWS = 2 * _CROP_TRIALS + 12
# On a CPU, images are taken in blocks that stay in the processor's cache.
_CPU_BLOCK = 64


@dataclass(frozen=True)
class Augmentation:
    """Which random changes are made, in the order: crop, flip, color jitter, grayscale, blur.

    crop_scale: limits of the area of the crop, as a share of the image's; it is resized to the image's size.
    crop_ratio: limits of its width over its height, on a logarithmic scale.
    padding: None, or the width in pixels of a black border: a crop of the image's size is then taken from the image
        with its border, and nothing is resized.
    flip: probability of exchanging left and right.
    jitter: probability of color jitter, which changes brightness, contrast, saturation and hue in random order.
    brightness, contrast, saturation: half the range of each factor, which is uniform around 1.
    hue: half the range of the rotation of hue, which is uniform around 0, in turns.
    gray: probability of grayscale.
    blur: probability of a Gaussian blur with a kernel of 3 x 3 pixels.
    blur_sigma: limits of its standard deviation, uniform, in pixels.

    The defaults are those of the two views of SupCon and SimCLR (Sander & Hasson 2026; the published code).
    """

    crop_scale: tuple[float, float] = (0.2, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    padding: int | None = None
    flip: float = 0.5
    jitter: float = 0.8
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    gray: float = 0.2
    blur: float = 0.5
    blur_sigma: tuple[float, float] = (0.1, 2.0)

    def __post_init__(self) -> None:
        limits = {"crop_scale": 1.0, "crop_ratio": math.inf, "blur_sigma": math.inf}
        highest = {"hue": 0.5}
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if name in limits:
                if not (len(value) == 2 and 0 < value[0] <= value[1] <= limits[name] and math.isfinite(value[1])):
                    bound = " of at most 1" if name == "crop_scale" else ""
                    raise TopoRepError(f"{name}: expected two positive numbers{bound}, ascending, found {value!r}")
            elif name == "padding":
                if value is not None and (not isinstance(value, int) or value < 0):
                    raise TopoRepError(f"padding: expected None or a number of pixels, 0 or more, found {value!r}")
            elif not 0 <= value <= highest.get(name, 1.0):
                raise TopoRepError(f"{name}: expected 0 to {highest.get(name, 1)}, found {value!r}")


# Cross-entropy and margin loss; the validation loss of SupCon and SimCLR; the linear readout.
TWO_VIEWS = Augmentation()
ONE_VIEW = Augmentation(jitter=0.0, gray=0.0, blur=0.0)
VALIDATION_VIEWS = Augmentation(crop_scale=(0.5, 1.0), jitter=0.0, gray=0.0, blur=0.0)
READOUT = Augmentation(padding=4, jitter=0.0, gray=0.0, blur=0.0)


class Draws(NamedTuple):
    """What is done to each image: NumPy arrays with one entry an image.

    top, left, height, width: the crop, in pixels (int64); top and left are negative where it starts in the border.
    flip: whether left and right are exchanged.
    jitter: whether colors are jittered.
    order: (images, 4) BRIGHTNESS, CONTRAST, SATURATION and HUE in the order in which they are changed.
    brightness, contrast, saturation: factors; 0 is black, the image's mean gray, and gray.
    hue: rotation, in turns.
    gray: whether the image is made gray.
    sigma: standard deviation of the blur in pixels; 0 for none.
    """

    top: np.ndarray
    left: np.ndarray
    height: np.ndarray
    width: np.ndarray
    flip: np.ndarray
    jitter: np.ndarray
    order: np.ndarray
    brightness: np.ndarray
    contrast: np.ndarray
    saturation: np.ndarray
    hue: np.ndarray
    gray: np.ndarray
    sigma: np.ndarray

    def take(self, chosen: np.ndarray | slice) -> Draws:
        """The draws of some of the images."""
        return Draws(*(values[chosen] for values in self))


def augment(
    images: Tensor,
    index: np.ndarray,
    augmentation: Augmentation,
    *,
    seed: int,
    epoch: int,
    views: int = 1,
    stage: str = "train",
) -> Tensor:
    """Random views of a batch of images.

    Args:
        images: (images, rows, cols, channels) uint8, on any device.
        index: (images,) each image's index in its data set, by which its draws go.
        augmentation: the changes to make.
        seed, epoch, stage: name the draws.
        views: how many to make.

    Returns:
        (views * images, channels, rows, cols) float32 in units of the full pixel range, on the images' device: the
        first view of every image, then the second of every image.

    Raises:
        TopoRepError: images of another shape or type; an index that does not fit; color changes of gray images.

    Source:
        Sander & Hasson 2026, "SimCLR and SupCon"; parameters of the published code.
    """
    if views < 1:
        raise TopoRepError(f"views: expected at least 1, found {views}")
    _check_images(images)
    out = torch.empty((views, len(images), images.shape[3], *images.shape[1:3]), device=images.device)
    for view in range(views):
        size = tuple(images.shape[1:3])
        _apply(images, draw(augmentation, index, size=size, seed=seed, epoch=epoch, view=view, stage=stage), out[view])
    return out.flatten(0, 1)


def draw(
    augmentation: Augmentation,
    index: np.ndarray,
    *,
    size: tuple[int, int],
    seed: int,
    epoch: int,
    view: int = 0,
    stage: str = "train",
) -> Draws:
    """Draw what is done to each image.

    Args:
        augmentation: the distributions.
        index: (images,) indices in the data set, 0 or more, in any order.
        size: (rows, cols) of the images.
        seed, epoch, view, stage: name the draws, with the index.

    Returns:
        The `Draws`, as torchvision's transforms define them: up to 10 trials for a crop that fits, then the largest
        central one of an allowed ratio.

    Raises:
        TopoRepError: indices that are no whole numbers, or negative.
    """
    index = np.asarray(index)
    if index.ndim != 1 or index.dtype.kind not in "iu" or (index.size and index.min() < 0):
        raise TopoRepError(f"index: expected a list of whole numbers, 0 or more, found {index!r}")
    uniform = keyed.uniform(rng.key(seed, f"augmentation/{stage}", epoch, view), index, _DRAWS)
    flip, jitter, order, brightness, contrast, saturation, hue, gray, blur, sigma = uniform.T[-10:]
    lowest, highest = augmentation.blur_sigma
    return Draws(
        *_draw_crops(augmentation, uniform[:, :-10], size),
        flip < augmentation.flip,
        jitter < augmentation.jitter,
        _ORDERS[(order * len(_ORDERS)).astype(np.int64)],
        1 + augmentation.brightness * (2 * brightness - 1),
        1 + augmentation.contrast * (2 * contrast - 1),
        1 + augmentation.saturation * (2 * saturation - 1),
        augmentation.hue * (2 * hue - 1),
        gray < augmentation.gray,
        np.where(blur < augmentation.blur, lowest + (highest - lowest) * sigma, 0.0),
    )


def apply(images: Tensor, draws: Draws) -> Tensor:
    """Change images as drawn.

    Args:
        images: (images, rows, cols, channels) uint8, on any device.
        draws: one entry an image.

    Returns:
        (images, channels, rows, cols) float32, 0 to 1, on the images' device. It is what torchvision's functions on
        float32 tensors give, to rounding. The published code's transforms work on 8-bit images and round after every
        step. Crops are never larger than the image, so resizing needs no antialiasing.

    Raises:
        TopoRepError: images of another shape or type; draws that do not fit; color changes of gray images.
    """
    _check_images(images)
    out = torch.empty((len(images), images.shape[3], *images.shape[1:3]), device=images.device)
    _apply(images, draws, out)
    return out


def _draw_crops(augmentation: Augmentation, uniform: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Top, left, height and width of each crop."""
    count, (rows, cols) = len(uniform), size
    if augmentation.padding is not None:
        height, width = np.full(count, rows), np.full(count, cols)
        offsets = (uniform[:, -2:] * (2 * augmentation.padding + 1)).astype(np.int64) - augmentation.padding
        return offsets[:, 0], offsets[:, 1], height, width
    (small, large), (narrow, wide) = augmentation.crop_scale, np.log(augmentation.crop_ratio)
    area = rows * cols * (small + (large - small) * uniform[:, :_CROP_TRIALS])
    ratio = np.exp(narrow + (wide - narrow) * uniform[:, _CROP_TRIALS : 2 * _CROP_TRIALS])
    height, width = (np.rint(np.sqrt(value)).astype(np.int64) for value in (area / ratio, area * ratio))
    fits = (height > 0) & (height <= rows) & (width > 0) & (width <= cols)
    first = np.arange(count), fits.argmax(axis=1)
    height, width = height[first], width[first]
    top = (uniform[:, -2] * (rows - height + 1)).astype(np.int64)
    left = (uniform[:, -1] * (cols - width + 1)).astype(np.int64)
    central = _central_crop(augmentation, size)
    drawn = (top, left, height, width)
    return tuple(np.where(fits.any(axis=1), *pair) for pair in zip(drawn, central, strict=True))


def _central_crop(augmentation: Augmentation, size: tuple[int, int]) -> tuple[int, int, int, int]:
    (rows, cols), (narrow, wide) = size, augmentation.crop_ratio
    height = min(rows, round(cols / narrow))
    width = min(cols, round(rows * wide))
    return (rows - height) // 2, (cols - width) // 2, height, width


def _apply(images: Tensor, draws: Draws, out: Tensor) -> None:
    if any(len(values) != len(images) for values in draws):
        raise TopoRepError(f"draws: expected one for each of {len(images)} images, found {len(draws.top)}")
    if images.shape[3] != 3 and (draws.jitter.any() or draws.gray.any()):
        raise TopoRepError(
            f"images: color jitter and grayscale need 3 channels, found {images.shape[3]}; "
            "set the probabilities of both to 0"
        )
    # Hue takes longest and is not linear. With images in the order of its turn, it is done once for each of them.
    order = np.argsort(_turn_of_hue(draws), kind="stable") if draws.jitter.any() else None
    block = _CPU_BLOCK if images.device.type == "cpu" else max(1, len(images))
    for start in range(0, len(images), block):
        part = slice(start, start + block)
        if order is None:
            out[part] = _augment_block(images[part], draws.take(part)).transpose(0, 1)
        else:
            place = torch.from_numpy(order[part]).to(images.device)
            out.index_copy_(0, place, _augment_block(images[place], draws.take(order[part])).transpose(0, 1))


def _turn_of_hue(draws: Draws) -> np.ndarray:
    """0 to 3, or 4 where colors stay as they are."""
    return np.where(draws.jitter, (draws.order == HUE).argmax(axis=1), 4)


def _augment_block(images: Tensor, draws: Draws) -> Tensor:
    """(channels, images, rows, cols) of images in the order of `_turn_of_hue`."""
    planes = _crop(images, draws)
    colored = np.count_nonzero(draws.jitter)
    if colored:
        _jitter(planes[:, :colored], draws.take(slice(colored)))
    if draws.gray.any():
        chosen = torch.from_numpy(np.flatnonzero(draws.gray)).to(planes.device)
        planes[:, chosen] = _gray(planes[:, chosen])
    if draws.sigma.any():
        blurred = np.flatnonzero(draws.sigma)
        chosen = torch.from_numpy(blurred).to(planes.device)
        planes[:, chosen] = _blur(planes[:, chosen], draws.sigma[blurred])
    return planes


def _crop(images: Tensor, draws: Draws) -> Tensor:
    """Crop, resize bilinearly and flip: each image between two matrices of interpolation weights."""
    count, rows, cols, channels = images.shape
    down = _positions(draws.top, draws.height, rows)
    across = _positions(draws.left, draws.width, cols)
    across = np.where(draws.flip[:, np.newaxis], across[:, ::-1], across)
    planes = torch.empty((channels, count, rows, cols), device=images.device).copy_(images.permute(3, 0, 1, 2))
    return _sandwich(_hats(down, planes) / 255, planes, _hats(across, planes))


def _positions(start: np.ndarray, length: np.ndarray, size: int) -> np.ndarray:
    """Where each of `size` new pixels lies in the old image, within the centers of the crop's pixels."""
    start, length = start[:, np.newaxis], length[:, np.newaxis]
    position = (np.arange(size) + 0.5) * (length / size) - 0.5
    return start + np.clip(position, 0, length - 1)


def _hats(positions: np.ndarray, like: Tensor) -> Tensor:
    """Weights (images, new, old) of linear interpolation; none for pixels of the border, which is black."""
    weights = _to(positions, like)[:, :, None] - torch.arange(positions.shape[1], device=like.device)
    return weights.abs_().neg_().add_(1).clamp_(min=0)


def _sandwich(left: Tensor, planes: Tensor, right: Tensor) -> Tensor:
    """left @ plane @ right^T for each channel."""
    # On a GPU this is exact to float32 as long as TF32 is off, as toporep.device leaves it.
    out = torch.empty_like(planes)
    for channel, plane in enumerate(planes):
        torch.bmm(torch.bmm(left, plane), right.mT, out=out[channel])
    return out


def _jitter(planes: Tensor, draws: Draws) -> None:
    """Change brightness, contrast, saturation and hue, each image in its own order, in place."""
    turn = _turn_of_hue(draws)
    bounds = np.searchsorted(turn, np.arange(5))
    hue = _to(draws.hue, planes)[:, None, None]
    factors, to_gray, to_mean = _to(_blends(draws), planes)[..., None, None]
    for step in range(4):
        part = slice(*bounds[step : step + 2])
        if part.start < part.stop:
            _rotate_hue(planes[:, part], hue[part])
        if step < 3:
            _blend(planes, factors[step], to_gray[step], to_mean[step])


def _blends(draws: Draws) -> np.ndarray:
    """Weights of the image, its gray and its mean gray in the three steps besides hue: (3, steps, images)."""
    operation = draws.order[draws.order != HUE].reshape(-1, 3)
    factors = np.stack([draws.brightness, draws.contrast, draws.saturation], axis=1)
    factor = np.take_along_axis(factors, operation, axis=1)
    others = ((operation == which) * (1 - factor) for which in (SATURATION, CONTRAST))
    return np.stack([factor, *others]).swapaxes(1, 2)


def _blend(planes: Tensor, factor: Tensor, to_gray: Tensor, to_mean: Tensor) -> None:
    gray = _gray(planes)
    mean = gray.mean(dim=(1, 2), keepdim=True).mul_(to_mean)
    planes.mul_(factor).add_(gray.mul_(to_gray).add_(mean)).clamp_(0, 1)


def _gray(planes: Tensor) -> Tensor:
    red, green, blue = planes
    return torch.mul(red, _LUMA[0]).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])


def _rotate_hue(planes: Tensor, turns: Tensor) -> None:
    """Rotate the hue of the hexagonal model HSV, in place; greatest and least channel stay as they are."""
    red, green, blue = planes
    greatest = torch.maximum(torch.maximum(red, green), blue)
    least = torch.minimum(torch.minimum(red, green), blue)
    chroma = greatest - least
    # A gray pixel has no hue; whatever it is given is multiplied by its chroma of 0.
    scale = torch.clamp(chroma, min=torch.finfo(chroma.dtype).tiny).reciprocal_()
    sixths = _where_greatest(green, greatest, (blue - red).mul_(scale).add_(2), (red - green).mul_(scale).add_(4))
    sixths = _where_greatest(red, greatest, (green - blue).mul_(scale), sixths)
    sixths.add_(turns * 6)
    sixths.sub_(torch.floor(sixths / 6), alpha=6)
    red.copy_((sixths - 3).abs_().sub_(1).clamp_(0, 1).mul_(chroma).add_(least))
    for channel, center in ((green, 2), (blue, 4)):
        channel.copy_((sixths - center).abs_().neg_().add_(2).clamp_(0, 1).mul_(chroma).add_(least))


def _where_greatest(channel: Tensor, greatest: Tensor, then: Tensor, otherwise: Tensor) -> Tensor:
    # A sign of 0 or -1 and a product take a tenth of the time of torch.where on a CPU.
    return torch.addcmul(then, (channel - greatest).sign_(), otherwise.neg_().add_(then))


def _blur(planes: Tensor, sigma: np.ndarray) -> Tensor:
    """Convolve with a Gaussian of three taps in each direction, images reflected at their edges."""
    side = np.exp(-0.5 / sigma**2)
    taps = _to(np.stack([np.ones_like(side), side]) / (1 + 2 * side), planes)[..., None, None]
    rows, cols = (
        taps[0] * torch.eye(size, device=planes.device) + taps[1] * _neighbors(size, planes)
        for size in planes.shape[2:]
    )
    return _sandwich(rows, planes, cols)


def _neighbors(size: int, like: Tensor) -> Tensor:
    """(size, size): how often pixel s is a neighbor of pixel t in a row that is reflected about its end pixels."""
    matrix = torch.diag(torch.ones(size - 1, device=like.device), 1)
    matrix += matrix.mT.clone()
    matrix[0, 1] = matrix[-1, -2] = 2
    return matrix


def _to(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(like.device)


def _check_images(images: Tensor) -> None:
    if images.ndim != 4 or images.dtype != torch.uint8 or min(images.shape[1:]) < 1 or min(images.shape[1:3]) < 2:
        raise TopoRepError(
            "images: expected uint8 (images, rows, cols, channels) of at least 2 x 2 pixels, "
            f"found {images.dtype} of shape {tuple(images.shape)}"
        )
