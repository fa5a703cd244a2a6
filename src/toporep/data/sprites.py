"""A renderer of the images of dSprites: square, ellipse and heart by size, orientation and position.

The geometry was read off real frames; docs/data-dictionary.md says how well it fits them.
"""

from __future__ import annotations

import math

import numpy as np

from toporep.errors import TopoRepError

SHAPES = ("square", "ellipse", "heart")
FACTORS = ("shape", "scale", "orientation", "posX", "posY")
SIZES = (3, 6, 40, 32, 32)  # classes of each factor; posY runs fastest in the official array
SIDE = 64

# Pixels of a 64 x 64 image at the largest scale. They were fitted so that the fewest pixels of 320 real frames differ;
# 9.6, 12.8 and 9.6 px (fractions .15, .2 and .15 of the side) would be the round numbers near them.
_SQUARE = 9.598  # half of the edge
_ELLIPSE = (12.765, 7.212)  # semi-axes
_HEART_WIDTH, _HEART_HEIGHT, _HEART_SHIFT = 9.59, 0.662, -1.433
# No sprite reaches farther from its center than the corners of the largest square.
_REACH = _SQUARE * math.sqrt(2.0)
_BLOCK = 512


def render_sprites(shape, scale, orientation, x, y, size: int = SIDE) -> np.ndarray:
    """Images of dSprites by the classes of their factors: (n, size, size) uint8, 0 outside the sprite and 1 inside.

    A pixel belongs to the sprite when its center does; nothing is smoothed. Scale class k is (5 + k) / 10 of the
    largest; orientation class k is k / 39 of a counterclockwise turn, so that 0 and 39 are the same image; the
    center lies 16 + 32 k / 31 px of 64 from the left (posX) and from the top (posY).

    Args:
        shape: 0..2, index into `SHAPES`.
        scale: 0..5.
        orientation: 0..39.
        x, y: 0..31. All five are whole numbers or arrays of them, of shapes that broadcast to (n,).
        size: rows and columns; other sizes than 64 show the same scene with other pixels.

    Raises:
        TopoRepError: a class that does not exist, arrays that do not fit together, or no positive size.
    """
    classes = _checked_classes((shape, scale, orientation, x, y))
    if not isinstance(size, int | np.integer) or size < 1:
        raise TopoRepError(f"size of sprites: expected a positive whole number of pixels, found {size!r}")
    images = np.zeros((classes.shape[1], size, size), dtype=np.uint8)
    for start in range(0, len(images), _BLOCK):
        block = slice(start, start + _BLOCK)
        _draw(images[block], *classes[:, block])
    return images


def average_blocks(images: np.ndarray, factor: int) -> np.ndarray:
    """Gray images (n, rows / factor, columns / factor) uint8 0..255 from binary ones (n, rows, columns) of 0 and 1.

    Each pixel is the share of ones in a block of factor x factor, in 1/255, halves rounded up.
    Raises TopoRepError when the blocks do not tile the images.
    """
    n, rows, columns = images.shape
    if factor < 1 or rows % factor or columns % factor:
        raise TopoRepError(f"blocks of {factor} x {factor} pixels do not tile images of {rows} x {columns}")
    # One axis after the other: both at once takes eight times as long.
    ones = images.reshape(n, rows // factor, factor, columns).sum(axis=2, dtype=np.int32)
    ones = ones.reshape(n, rows // factor, columns // factor, factor).sum(axis=3, dtype=np.int32)
    return ((2 * 255 * ones + factor**2) // (2 * factor**2)).astype(np.uint8)


def _checked_classes(classes: tuple) -> np.ndarray:
    """(5, n) int64."""
    arrays = [np.atleast_1d(values) for values in classes]
    for name, count, values in zip(FACTORS, SIZES, arrays, strict=True):
        if values.dtype.kind not in "iu" or values.ndim != 1:
            raise TopoRepError(
                f"{name} of sprites: expected whole numbers 0..{count - 1}, one or (n,), "
                f"found {values.dtype} of shape {values.shape}"
            )
        if len(values) and not 0 <= values.min() <= values.max() < count:
            raise TopoRepError(
                f"{name} of sprites: expected classes 0..{count - 1}, found {values.min()}..{values.max()}"
            )
    try:
        return np.stack(np.broadcast_arrays(*arrays)).astype(np.int64)
    except ValueError:
        lengths = ", ".join(f"{name} {len(values)}" for name, values in zip(FACTORS, arrays, strict=True))
        raise TopoRepError(f"factors of sprites: the numbers of classes do not fit together ({lengths})") from None


def _draw(images: np.ndarray, shape: np.ndarray, scale: np.ndarray, orientation: np.ndarray, x, y) -> None:
    """Set the pixels of sprites (n,) in blank images (n, size, size); only a window around each one is looked at."""
    n, size = images.shape[:2]
    width = min(size, math.ceil(2.0 * _REACH * size / SIDE) + 1)
    rows, dy = _window(y, size, width)
    columns, dx = _window(x, size, width)
    # Class 39 is class 0 to the bit, as in the official images.
    angle = 2.0 * np.pi * (orientation % (SIZES[2] - 1)) / (SIZES[2] - 1)
    factor = SIDE / size / (0.5 + 0.1 * scale)
    cosine, sine = ((function(angle) * factor)[:, np.newaxis, np.newaxis] for function in (np.cos, np.sin))
    dx, dy = dx[:, np.newaxis, :], dy[:, :, np.newaxis]
    # Rows grow downwards: a counterclockwise turn of the sprite is undone by turning the pixels clockwise.
    right, down = cosine * dx - sine * dy, sine * dx + cosine * dy
    inside = np.zeros((n, width, width), dtype=np.uint8)
    for index, contains in enumerate((_square, _ellipse, _heart)):
        chosen = shape == index
        inside[chosen] = contains(right[chosen], down[chosen])
    images[np.arange(n)[:, np.newaxis, np.newaxis], rows[:, :, np.newaxis], columns[:, np.newaxis, :]] = inside


def _window(position: np.ndarray, size: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices (n, width) of pixels around the centers of position classes (n,), and their distances from them."""
    center = size * (0.25 + 0.5 * position / (SIZES[3] - 1))
    first = np.floor(center - _REACH * size / SIDE).astype(np.int64)
    pixels = np.clip(first, 0, size - width)[:, np.newaxis] + np.arange(width)
    return pixels, pixels + 0.5 - center[:, np.newaxis]


def _square(right: np.ndarray, down: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(right), np.abs(down)) <= _SQUARE


def _ellipse(right: np.ndarray, down: np.ndarray) -> np.ndarray:
    return (right / _ELLIPSE[0]) ** 2 + (down / _ELLIPSE[1]) ** 2 <= 1.0


def _heart(right: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Inside of the curve (sin³ t, 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t), stretched in width and height.

    sin³ t fixes the place across; t and π - t are the upper and the lower outline there. Their heights are the sum
    and the difference of a part even in cos t and an odd one.
    """
    sine = np.cbrt(np.minimum(np.abs(right) / _HEART_WIDTH, 1.0))
    square = 1.0 - sine**2
    even = 5.0 * (2.0 * square - 1.0) + (8.0 * square**2 - 8.0 * square + 1.0)
    odd = np.sqrt(square) * (19.0 - 8.0 * square)
    height = (down - _HEART_SHIFT) / _HEART_HEIGHT - even
    return (np.abs(right) <= _HEART_WIDTH) & (np.abs(height) <= odd)
