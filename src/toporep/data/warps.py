"""Bilinear warps of small images, and colors by hue, for the sequences of Keller & Welling (2021).

Where a warp reads its image depends on the image's size alone, so these positions are worked out once, in float64, and
then looked up for each frame. All points are (x, y) = (column, row) with the centers of pixels on whole numbers.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample, pad

# Points whose depth is this small lie at infinity, outside any image.
_SMALLEST_DEPTH = 1e-12


def rotation_scale_points(angles: np.ndarray, scales: np.ndarray, *, size: tuple[int, int]) -> np.ndarray:
    """Points of the image that are seen at each pixel after rotation and scaling about (cols / 2, rows / 2).

    Args:
        angles: (warps,) degrees, counter-clockwise as seen on a screen.
        scales: (warps,) factors; above 1 enlarges.
        size: (rows, cols) of the image.

    Returns:
        (warps, rows, cols, 2) float64 (x, y).

    Source:
        The published code of Keller & Welling 2021: the point that rests is half a pixel right of and below the center.
    """
    rows, cols = size
    row, col = np.meshgrid(np.arange(rows) - rows / 2, np.arange(cols) - cols / 2, indexing="ij")
    angles, scales = (np.asarray(values, dtype=np.float64)[:, np.newaxis, np.newaxis] for values in (angles, scales))
    cosine, sine = np.cos(np.radians(angles)) / scales, np.sin(np.radians(angles)) / scales
    x = cosine * col - sine * row + cols / 2
    y = sine * col + cosine * row + rows / 2
    return np.stack([x, y], axis=-1)


def perspective_points(angles: np.ndarray, *, size: tuple[int, int]) -> np.ndarray:
    """Points of the image that are seen at each pixel after the turn in depth of `perspective_matrices`.

    Args:
        angles: (warps,) degrees.
        size: (rows, cols) of the image.

    Returns:
        (warps, rows, cols, 2) float64 (x, y); infinite where the line of sight never meets the image's plane.
    """
    row, col = np.meshgrid(*(np.arange(length, dtype=np.float64) for length in size), indexing="ij")
    pixels = np.stack([col, row, np.ones(size)], axis=-1)
    x, y, depth = np.moveaxis(pixels @ np.linalg.inv(perspective_matrices(angles, size=size)).mT[:, np.newaxis], -1, 0)
    at_infinity = np.abs(depth) < _SMALLEST_DEPTH
    depth = np.where(at_infinity, 1.0, depth)
    return np.where(at_infinity[..., np.newaxis], np.inf, np.stack([x / depth, y / depth], axis=-1))


def perspective_matrices(angles: np.ndarray, *, size: tuple[int, int]) -> np.ndarray:
    """Homographies of a turn by the same angle about the vertical axis and within the image's plane.

    Args:
        angles: (warps,) degrees; 0 leaves the image as it is.
        size: (rows, cols) of the image.

    Returns:
        (warps, 3, 3) float64: they take (x, y, 1) of the image to where it is seen, up to the depth. The focal length,
        at which the plane also lies, is diagonal / (2 sin angle). It has no limit at 180 degrees, where 181 is taken.

    Source:
        Keller & Welling 2021, colors and perspective (Fig. 19), by the published code.
    """
    rows, cols = size
    degrees = np.asarray(angles, dtype=np.float64) % 360
    turned = degrees != 0
    angle = np.radians(np.where(degrees == 180, 181.0, np.where(turned, degrees, 90.0)))
    cosine, sine = np.cos(angle), np.sin(angle)
    focal = np.hypot(rows, cols) / (2 * sine)
    lift = _matrices([[1, 0, -cols / 2], [0, 1, -rows / 2], [0, 0, 1], [0, 0, 1]], count=len(angle))
    in_plane = _matrices([[cosine, -sine, 0, 0], [sine, cosine, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], count=len(angle))
    in_depth = _matrices([[cosine, 0, -sine, 0], [0, 1, 0, 0], [sine, 0, cosine, 0], [0, 0, 0, 1]], count=len(angle))
    away = _matrices([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, focal], [0, 0, 0, 1]], count=len(angle))
    project = _matrices([[focal, 0, cols / 2, 0], [0, focal, rows / 2, 0], [0, 0, 1, 0]], count=len(angle))
    matrices = project @ away @ in_depth @ in_plane @ lift
    return np.where(turned[:, np.newaxis, np.newaxis], matrices, np.eye(3))


def sampling_grid(points: np.ndarray, *, size: tuple[int, int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Points (warps, rows, cols, 2) as `sample` takes them: (warps, rows * cols, 2), on the CPU."""
    rows, cols = size
    # One pixel beyond the border all is 0: nearer to it, large numbers lose nothing and need no care.
    inside = np.clip(points, -1.0, (cols, rows))
    sides = np.array([_power_of_two(cols), _power_of_two(rows)])
    return torch.from_numpy((2 * inside + 1) / sides - 1).to(dtype).flatten(1, 2)


def sample(images: Tensor, grid: Tensor) -> Tensor:
    """Look up images between their pixels, bilinearly; outside they are 0.

    Args:
        images: (images, rows, cols), float32 or float64.
        grid: (images, frames, rows * cols, 2): rows of a `sampling_grid` of the same size, type and device.

    Returns:
        (images, frames, rows * cols). Points on whole numbers give the image's own values, exactly.
    """
    rows, cols = images.shape[1:]
    # grid_sample wants points as shares of the image's sides. By a power of two these can be divided without rounding.
    images = pad(images, (0, _power_of_two(cols) - cols, 0, _power_of_two(rows) - rows))
    return grid_sample(images[:, None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[:, 0]


def hue_colors(hues: np.ndarray) -> np.ndarray:
    """Red, green and blue of full saturation and value: (hues,) degrees to (hues, 3) float64; 0 is red, 120 green."""
    sextant = np.asarray(hues, dtype=np.float64)[:, np.newaxis] % 360 / 60
    distance = np.abs((sextant - np.array([0.0, 2.0, 4.0]) + 3) % 6 - 3)
    return np.clip(2 - distance, 0, 1)


def _matrices(entries: list[list], *, count: int) -> np.ndarray:
    """(count, rows, cols) of entries that are numbers, the same for all matrices, or (count,) arrays."""
    matrices = np.empty((count, len(entries), len(entries[0])))
    for row, values in enumerate(entries):
        for col, value in enumerate(values):
            matrices[:, row, col] = value
    return matrices


def _power_of_two(length: int) -> int:
    """The smallest power of two that is not below."""
    return 1 << (length - 1).bit_length()
