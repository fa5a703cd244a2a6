"""Retinotopic mapping stimuli, rotating wedges and rings, and their control variants.

The published numbers (36 wedges of 10 degrees and radius 14; 13 rings) leave the pixels open. With hard edges the light
of a wedge depends on its angle, with four equal quarters, and that of a ring grows with its radius. So a unit that does
no more than follow the light is labelled cycle 4 ("symmetry tuning"), or "increasing". Two variants tell such units:

- "hard": a pixel is 1 if its center lies in the figure, else 0. For 28 x 28 pixels a wedge has 12 to 22 lit pixels.
- "antialiased": a pixel is the share of its 8 x 8 sample points that lie in the figure. The power of the wedges' light
  at cycle 4 is 66 times lower; the light of rings still grows with the radius.
- "area_normalized": anti-aliased, then each image dimmed by one factor until the light (sum over pixels) of all images
  of the set is that of its darkest image. No pixel exceeds 1, and light says nothing about angle or radius.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_choice

VARIANTS = ("hard", "antialiased", "area_normalized")
_SAMPLES = 8  # per pixel and direction


def wedges(
    size: int, *, count: int = 36, extent_deg: float = 10.0, radius: float = 14.0, variant: str = "hard"
) -> np.ndarray:
    """A wedge that rotates in equal steps around the image center.

    Wedge k is centered at 360 k / count degrees: 0 points right, 90 up. A point at polar angle theta and distance rho
    from the center is in the wedge iff theta lies in [-extent/2, extent/2) about its angle and rho <= radius.

    Args:
        size: width and height of the images, in pixels.
        count: number of wedges.
        extent_deg: full angular extent of a wedge, in degrees.
        radius: in pixels; at most size / 2, so that the border cuts no wedge.
        variant: "hard", "antialiased" or "area_normalized", see the module's description.

    Returns:
        (count, size, size) float64, 0 (background) to 1; rows from top to bottom. To be given to all color channels,
        and normalized as the training images are.

    Raises:
        TopoRepError: sizes that do not fit, a wedge without light, an unknown variant.

    Source:
        Truong & Hasson 2025, sec. 2.4; pixels are our choice.
    """
    size, count = _positive(size, "size"), _positive(count, "count")
    if not 0 < extent_deg <= 360:
        raise TopoRepError(f"extent_deg: expected degrees above 0 and at most 360, found {extent_deg!r}")
    _check_fits(radius, size, "radius")
    angle, distance = _polar(size, _samples(variant))
    steps = 360.0 / count * np.arange(count)[:, None, None]
    # Rounded, so that sample points on an edge belong to the same side in every quarter.
    offset = np.round((angle - steps + 180.0) % 360.0 - 180.0, 9)
    lit = (offset >= -extent_deg / 2) & (offset < extent_deg / 2) & (distance <= radius)
    return _render(lit, size, variant, "wedge")


def rings(size: int, *, radii: Sequence[float] = tuple(range(1, 14)), variant: str = "hard") -> np.ndarray:
    """Rings around the image center, one pixel wide.

    A point at distance rho from the center is in the ring of radius r iff r - 0.5 <= rho < r + 0.5.

    Args:
        size: width and height of the images, in pixels.
        radii: in pixels; at most size / 2 - 0.5, so that the border cuts no ring.
        variant: "hard", "antialiased" or "area_normalized", see the module's description.

    Returns:
        (radii, size, size) float64, 0 (background) to 1.

    Raises:
        TopoRepError: no radius, sizes that do not fit, a ring without light, an unknown variant.

    Source:
        Truong & Hasson 2025, sec. 2.4; pixels and radii are our choice.
    """
    size = _positive(size, "size")
    if len(radii) == 0:
        raise TopoRepError("radii: expected at least one, found none")
    for radius in radii:
        _check_fits(radius, size, "radii", half_width=0.5)
    _, distance = _polar(size, _samples(variant))
    inner = np.asarray(radii, dtype=np.float64)[:, None, None] - 0.5
    return _render((distance >= inner) & (distance < inner + 1.0), size, variant, "ring")


def _samples(variant: str) -> int:
    check_choice(variant, "variant", VARIANTS)
    return 1 if variant == "hard" else _SAMPLES


def _polar(size: int, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Angle in degrees (counter-clockwise from right) and distance in pixels of every sample point from the center."""
    place = (np.arange(size * samples) + 0.5) / samples - size / 2
    right, up = np.meshgrid(place, -place)
    return np.degrees(np.arctan2(up, right)), np.hypot(up, right)


def _render(lit: np.ndarray, size: int, variant: str, name: str) -> np.ndarray:
    samples = lit.shape[-1] // size
    images = lit.reshape(len(lit), size, samples, size, samples).mean(axis=(2, 4))
    light = images.sum(axis=(1, 2), keepdims=True)
    if not light.all():
        raise TopoRepError(
            f"{name} {int(np.argmin(light))}: contains no point of an image of {size} x {size} pixels; "
            "use a wider or larger figure, or larger images"
        )
    return images * (light.min() / light) if variant == "area_normalized" else images


def _positive(value: int, name: str) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise TopoRepError(f"{name}: expected a positive integer, found {value!r}")
    return number


def _check_fits(radius: float, size: int, name: str, *, half_width: float = 0.0) -> None:
    if not (math.isfinite(radius) and 0 < radius <= size / 2 - half_width):
        raise TopoRepError(
            f"{name}: expected pixels above 0 and at most {size / 2 - half_width:g} (the figure must lie within the "
            f"image of {size} x {size}), found {radius!r}"
        )
