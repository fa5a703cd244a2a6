"""Figures made of shapes with soft edges, painted layer by layer on one image.

A shape is a signed distance (negative inside) with the box that holds it, in units of the figure's own frame: x to the
right, y down. Shapes and keyed draws are enough to describe a figure at any size of image; the canvas evaluates each
layer only within its box.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from toporep import rng

Color = tuple[float, float, float]
Field = Callable[[np.ndarray, np.ndarray], np.ndarray]
Box = tuple[float, float, float, float]

_CHUNK = 128


@dataclass(frozen=True, slots=True)
class Shape:
    """box: (left, top, right, bottom) of the shape; distance: (x, y) → signed distance, same shape as x and y."""

    box: Box
    distance: Field


@dataclass(frozen=True, slots=True)
class Layer:
    """One coat of paint.

    color: RGB in 0 to 1, or a function (x, y) → (3, rows, cols).
    opacity: 0 to 1, or a function (x, y) → (rows, cols).
    """

    shape: Shape
    color: Color | Field
    opacity: float | Field = 1.0


class Draws:
    """Hands out the keyed random numbers of one stream, one after the other."""

    def __init__(self, stream: int):
        self._stream, self._used, self._ready = stream, 0, []

    def between(self, low: float, high: float) -> float:
        """Uniform in [low, high)."""
        if not self._ready:
            self._ready = self.array((_CHUNK,)).tolist()[::-1]
        return low + (high - low) * self._ready.pop()

    def array(self, shape: tuple[int, ...]) -> np.ndarray:
        """Uniform float64 in [0, 1)."""
        count = math.prod(shape)
        outputs = rng.bits(self._stream, count, offset=self._used)
        self._used += count
        return ((outputs >> np.uint64(11)) * 2.0**-53).reshape(shape)

    def chance(self, probability: float) -> bool:
        return self.between(0.0, 1.0) < probability

    def sign(self) -> float:
        return 1.0 if self.chance(0.5) else -1.0

    def count(self, low: int, high: int) -> int:
        """An integer from `low` to `high`, both included."""
        return low + int(self.between(0.0, high - low + 1.0))

    def choice(self, options: Sequence):
        return options[self.count(0, len(options) - 1)]

    def hue_color(
        self, *, saturation: tuple[float, float] = (0.2, 0.8), value: tuple[float, float] = (0.3, 0.9)
    ) -> Color:
        """A color of any hue, with saturation and value (of HSV) from the given ranges."""
        return colorsys.hsv_to_rgb(self.between(0.0, 1.0), self.between(*saturation), self.between(*value))

    def mix(self, low: Color, high: Color) -> Color:
        """A color on the segment from `low` to `high`."""
        return blend(low, high, self.between(0.0, 1.0))


class Canvas:
    """One square image, `rgb` (3, size, size) float32 in 0 to 1; its frame at first spans -1 to 1 in x and y."""

    def __init__(self, size: int, color: Color = (0.0, 0.0, 0.0)):
        self.size = size
        self.rgb = np.empty((3, size, size), dtype=np.float32)
        self.rgb[:] = np.array(color, dtype=np.float32)[:, None, None]
        self.place()

    def place(
        self, *, scale: float = 1.0, x: float = 0.0, y: float = 0.0, angle: float = 0.0, mirror: bool = False
    ) -> None:
        """Set the frame: its unit in half widths of the image, its origin there, its clockwise angle in radians."""
        cosine, sine = math.cos(angle) * scale, math.sin(angle) * scale
        flip = -1.0 if mirror else 1.0
        self._origin, self._scale = (x, y), scale
        self._axes = ((flip * cosine, -sine), (flip * sine, cosine))

    def paint(self, layer: Layer) -> None:
        """Cover where the signed distance is negative, with an edge one pixel wide."""
        rows, cols = self._window(layer.shape.box)
        if rows.start >= rows.stop or cols.start >= cols.stop:
            return
        x, y = self._coordinates(rows, cols)
        cover = layer.shape.distance(x, y) * np.float32(-0.5 * self._scale * self.size) + np.float32(0.5)
        np.clip(cover, 0.0, 1.0, out=cover)
        cover = cover * (layer.opacity(x, y) if callable(layer.opacity) else np.float32(layer.opacity))
        color = layer.color(x, y) if callable(layer.color) else np.array(layer.color, dtype=np.float32)[:, None, None]
        patch = self.rgb[:, rows, cols]
        patch += cover * (color - patch)

    def pixels(self) -> np.ndarray:
        """(size, size, 3) uint8."""
        levels = np.clip(self.rgb, 0.0, 1.0) * np.float32(255) + np.float32(0.5)
        return np.moveaxis(levels.astype(np.uint8), 0, -1)

    def _window(self, box: Box) -> tuple[slice, slice]:
        """The rows and columns of pixels that a box of the frame, and the soft edge around it, can touch."""
        left, top, right, bottom = box
        bounds = []
        for origin, (along_x, along_y) in zip(self._origin, self._axes, strict=True):
            corners = [along_x * x + along_y * y for x in (left, right) for y in (top, bottom)]
            low, high = (((origin + edge + 1.0) * self.size / 2.0) for edge in (min(corners), max(corners)))
            # Far outside, or unbounded, is no more than outside.
            low, high = max(low - 1.0, 0.0), min(high + 1.0, float(self.size))
            bounds.append(slice(math.floor(low), math.ceil(max(high, 0.0))))
        return bounds[1], bounds[0]

    def _coordinates(self, rows: slice, cols: slice) -> tuple[np.ndarray, np.ndarray]:
        """x and y of the frame at the centers of pixels, float32 (rows, cols)."""
        step = 2.0 / self.size
        dx = (np.arange(cols.start, cols.stop) + 0.5) * step - 1.0 - self._origin[0]
        dy = (np.arange(rows.start, rows.stop) + 0.5)[:, None] * step - 1.0 - self._origin[1]
        # The axes are orthogonal and of length scale, so that their transpose inverts them.
        (xx, yx), (xy, yy) = self._axes
        unit = 1.0 / self._scale**2
        x = (xx * unit * dx).astype(np.float32) + (xy * unit * dy).astype(np.float32)
        y = (yx * unit * dx).astype(np.float32) + (yy * unit * dy).astype(np.float32)
        return x, y


def ellipse(x: float, y: float, rx: float, ry: float, *, tilt: float = 0.0) -> Shape:
    """Center, half axes, clockwise tilt in radians. The distance of a circle is exact, others' only near the edge."""
    cosine, sine = math.cos(tilt), math.sin(tilt)
    half_width, half_height = math.hypot(rx * cosine, ry * sine), math.hypot(rx * sine, ry * cosine)

    def distance(px: np.ndarray, py: np.ndarray) -> np.ndarray:
        dx, dy = px - x, py - y
        u, v = (cosine * dx + sine * dy) / rx, (cosine * dy - sine * dx) / ry
        # 1 at the edge. The small numbers stand for the ratio of two zeros at the center.
        radius, slope = np.sqrt(u * u + v * v), np.sqrt((u / rx) ** 2 + (v / ry) ** 2)
        return (radius - 1.0) * (radius + 1e-4) / (slope + 1e-4 / max(rx, ry))

    return Shape((x - half_width, y - half_height, x + half_width, y + half_height), distance)


def bar(x0: float, y0: float, x1: float, y1: float, radius: float, end_radius: float | None = None) -> Shape:
    """A segment with round ends, whose half width goes from `radius` to `end_radius`."""
    last = radius if end_radius is None else end_radius
    dx, dy = x1 - x0, y1 - y0
    square = dx * dx + dy * dy + 1e-12
    box = (
        min(x0 - radius, x1 - last),
        min(y0 - radius, y1 - last),
        max(x0 + radius, x1 + last),
        max(y0 + radius, y1 + last),
    )

    def distance(px: np.ndarray, py: np.ndarray) -> np.ndarray:
        u, v = px - x0, py - y0
        along = np.clip((u * dx + v * dy) / square, 0.0, 1.0)
        return np.sqrt((u - along * dx) ** 2 + (v - along * dy) ** 2) - (radius + (last - radius) * along)

    return Shape(box, distance)


def polygon(*points: tuple[float, float]) -> Shape:
    """A convex polygon, its corners in either direction."""
    pairs = list(zip(points, [*points[1:], points[0]], strict=True))
    turn = math.copysign(1.0, sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs))
    edges = []
    for (x0, y0), (x1, y1) in pairs:
        length = turn * math.hypot(x1 - x0, y1 - y0)
        if length:
            nx, ny = (y1 - y0) / length, (x0 - x1) / length
            edges.append((nx, ny, nx * x0 + ny * y0))

    def distance(px: np.ndarray, py: np.ndarray) -> np.ndarray:
        nearest = None
        for nx, ny, offset in edges:
            side = px * nx + (py * ny - offset)
            nearest = side if nearest is None else np.maximum(nearest, side, out=nearest)
        return nearest

    xs, ys = zip(*points, strict=True)
    return Shape((min(xs), min(ys), max(xs), max(ys)), distance)


def rectangle(left: float, top: float, right: float, bottom: float, *, corner: float = 0.0) -> Shape:
    """An upright rectangle with corners of the given radius."""
    x, y, half_width, half_height = (left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2

    def distance(px: np.ndarray, py: np.ndarray) -> np.ndarray:
        dx, dy = np.abs(px - x) - (half_width - corner), np.abs(py - y) - (half_height - corner)
        if not corner:
            return np.maximum(dx, dy)
        outside = np.sqrt(np.maximum(dx, 0.0) ** 2 + np.maximum(dy, 0.0) ** 2)
        return outside + np.minimum(np.maximum(dx, dy), 0.0) - corner

    return Shape((left, top, right, bottom), distance)


def ring(x: float, y: float, rx: float, ry: float, half_width: float) -> Shape:
    """The outline of an upright ellipse."""
    inner = ellipse(x, y, rx, ry)
    box = (x - rx - half_width, y - ry - half_width, x + rx + half_width, y + ry + half_width)
    return Shape(box, lambda px, py: np.abs(inner.distance(px, py)) - half_width)


def union(*shapes: Shape) -> Shape:
    def distance(px: np.ndarray, py: np.ndarray) -> np.ndarray:
        nearest = shapes[0].distance(px, py)
        for shape in shapes[1:]:
            nearest = np.minimum(nearest, shape.distance(px, py))
        return nearest

    return Shape(bounding_box(shapes), distance)


def grown(shape: Shape, margin: float) -> Shape:
    """The shape with a rim of width `margin` added."""
    left, top, right, bottom = shape.box
    box = (left - margin, top - margin, right + margin, bottom + margin)
    return Shape(box, lambda px, py: shape.distance(px, py) - margin)


def below(height: Callable[[np.ndarray], np.ndarray]) -> Shape:
    """All that lies under a curve y = height(x) that is nowhere steep."""
    return Shape((-9.0, -9.0, 9.0, 9.0), lambda px, py: height(px) - py)


def everywhere() -> Shape:
    return Shape((-9.0, -9.0, 9.0, 9.0), lambda px, py: np.full_like(px, -9.0))


def bounding_box(shapes: Sequence[Shape]) -> Box:
    left, top, right, bottom = zip(*(shape.box for shape in shapes), strict=True)
    return min(left), min(top), max(right), max(bottom)


def blend(first: Color, second: Color, weight: float) -> Color:
    return tuple(a + (b - a) * weight for a, b in zip(first, second, strict=True))


def shade(color: Color, factor: float) -> Color:
    """The color darkened (below 1) or lightened (above 1)."""
    return tuple(min(max(part * factor, 0.0), 1.0) for part in color)


def textured(color: Color, texture: Field) -> Field:
    """The color multiplied by a texture (x, y) → (rows, cols)."""
    base = np.array(color, dtype=np.float32)[:, None, None]
    return lambda x, y: base * texture(x, y)


def mixture(first: Color, second: Color, weight: Field) -> Field:
    """The first color where the weight (x, y) → (rows, cols) is 0, the second where it is 1."""
    base = np.array(first, dtype=np.float32)[:, None, None]
    change = np.array(second, dtype=np.float32)[:, None, None] - base
    return lambda x, y: base + change * weight(x, y)
