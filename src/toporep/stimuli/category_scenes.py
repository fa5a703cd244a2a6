"""Scenes that fill the frame, without figures: streets, rooms, landscapes; and the grounds behind other figures.

Painted in the frame of the image, -1 to 1 from left to right and from top to bottom.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from toporep.stimuli.canvas import (
    Canvas,
    Color,
    Draws,
    Field,
    Layer,
    bar,
    below,
    blend,
    ellipse,
    everywhere,
    mixture,
    polygon,
    rectangle,
    shade,
)

_OCTAVES = (3, 5, 9, 17)
_FINE_OCTAVES = (5, 17, 33, 65)
_BRICKS = ((0.60, 0.58, 0.55), (0.55, 0.35, 0.28), (0.72, 0.66, 0.55), (0.40, 0.42, 0.46), (0.50, 0.46, 0.40))
_LEAVES = ((0.16, 0.32, 0.12), (0.28, 0.42, 0.16), (0.35, 0.38, 0.14), (0.45, 0.30, 0.12))
_WOODS = ((0.42, 0.28, 0.18), (0.58, 0.42, 0.27), (0.32, 0.22, 0.16))


def paint_ground(canvas: Canvas, draws: Draws) -> None:
    """Fill the image with a random color, a linear gradient and noise of several octaves."""
    base = np.array(draws.hue_color(saturation=(0.1, 0.7), value=(0.25, 0.9)), dtype=np.float32)
    angle, slope = draws.between(0.0, 2 * math.pi), draws.between(0.0, 0.3)
    place = (np.arange(canvas.size, dtype=np.float32) + 0.5) * (2.0 / canvas.size) - 1.0
    ramp = slope * (math.cos(angle) * place + math.sin(angle) * place[:, None])
    light = 1.0 + ramp + draws.between(0.15, 0.5) * cloud(draws, canvas.size)
    tint = draws.between(0.0, 0.12) * cloud(draws, canvas.size)
    direction = np.array([draws.between(-1.0, 1.0) for _ in range(3)], dtype=np.float32)
    canvas.rgb[:] = base[:, None, None] * light + direction[:, None, None] * tint


def cloud(draws: Draws, size: int, *, octaves: tuple[int, ...] = _OCTAVES, persistence: float = 0.6) -> np.ndarray:
    """Smooth noise of several octaves, within -1 and 1: (size, size) float32, the same picture at any size.

    Random numbers on ever finer lattices that span the image, `octaves` points wide, interpolated smoothly; each
    weighs `persistence` times the one before it.
    """
    total, weight, field = 0.0, 1.0, 0.0
    for points in octaves:
        values = (2.0 * draws.array((points, points)) - 1.0).astype(np.float32)
        across = _interpolation(points, size)
        field = field + weight * (across @ values @ across.T)
        total, weight = total + weight, weight * persistence
    return field / np.float32(total)


@functools.lru_cache(maxsize=32)
def _interpolation(points: int, size: int) -> np.ndarray:
    """(size, points): weights of lattice points, the first and last on the image's borders, for each pixel center."""
    place = (np.arange(size) + 0.5) / size * (points - 1)
    left = np.minimum(place.astype(int), points - 2)
    share = place - left
    share = share * share * (3.0 - 2.0 * share)
    weights = np.zeros((size, points), dtype=np.float32)
    weights[np.arange(size), left], weights[np.arange(size), left + 1] = 1.0 - share, share
    weights.flags.writeable = False
    return weights


def paint_scene(canvas: Canvas, draws: Draws) -> None:
    draws.choice((_paint_street, _paint_room, _paint_landscape))(canvas, draws)


def _paint_street(canvas: Canvas, draws: Draws) -> None:
    """A road that converges at the horizon between two rows of houses, with a skyline behind."""
    horizon, center = draws.between(-0.05, 0.3), draws.between(-0.3, 0.3)
    _paint_sky(canvas, draws, horizon)
    pavement = draws.mix((0.42, 0.41, 0.40), (0.62, 0.60, 0.56))
    canvas.paint(Layer(rectangle(-2.0, horizon, 2.0, 2.0), pavement))
    for _ in range(draws.count(3, 5)):
        x, width, height = center + draws.between(-0.9, 0.7), draws.between(0.18, 0.45), draws.between(0.25, 0.8)
        wall = rectangle(x, horizon - height, x + width, horizon + 0.02)
        house = shade(draws.choice(_BRICKS), draws.between(0.7, 1.15))
        canvas.paint(Layer(wall, _frontal_windows(house, x, horizon, draws.between(0.09, 0.13))))
    for side in (-1.0, 1.0):
        _paint_row_of_houses(canvas, draws, side, center, horizon)
    asphalt, half_width = draws.mix((0.22, 0.22, 0.23), (0.36, 0.36, 0.37)), draws.between(0.55, 1.0)
    foot = center * 0.5
    road = [(center - 0.015, horizon), (center + 0.015, horizon), (foot + half_width, 1.1), (foot - half_width, 1.1)]
    canvas.paint(Layer(polygon(*road), asphalt))
    for left, right in ((-0.03, 0.03), (-0.97, -0.90), (0.90, 0.97)):
        stripe = [
            (center, horizon + 0.01),
            (center + 0.004, horizon + 0.01),
            (foot + right * half_width, 1.1),
            (foot + left * half_width, 1.1),
        ]
        canvas.paint(Layer(polygon(*stripe), (0.90, 0.88, 0.80), 0.85))


def _paint_row_of_houses(canvas: Canvas, draws: Draws, side: float, center: float, horizon: float) -> None:
    """A wall along the road in perspective: its windows shrink towards the vanishing point."""
    far, near = center + side * draws.between(0.14, 0.30), 1.5 * side
    rise, fall = draws.between(0.7, 1.4), draws.between(0.25, 0.45)
    house = shade(draws.choice(_BRICKS), draws.between(0.6, 1.2))
    dark = blend(shade(house, 0.35), (0.15, 0.20, 0.28), 0.5)
    columns, rows = draws.between(2.2, 3.4), draws.between(4.0, 7.0)

    def windows(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        depth = 1.0 / np.maximum(side * (x - center), 0.05)
        return _window_grid(depth * columns, (horizon - y) * depth * rows / rise) * (y < horizon)

    def corner(x: float, slope: float) -> tuple[float, float]:
        return x, horizon + slope * abs(x - center)

    wall = polygon(corner(far, -rise), corner(near, -rise), corner(near, fall), corner(far, fall))
    canvas.paint(Layer(wall, mixture(house, dark, windows)))


def _frontal_windows(house: Color, left: float, floor: float, step: float) -> Field:
    dark = blend(shade(house, 0.4), (0.20, 0.25, 0.32), 0.5)
    return mixture(house, dark, lambda x, y: _window_grid((x - left) / step, (floor - y) / (step * 1.1)))


def _window_grid(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """1 in the middle of each unit cell, 0 at its border, with a soft edge."""
    return _bump(u) * _bump(v)


def _bump(u: np.ndarray) -> np.ndarray:
    return np.clip((0.30 - np.abs(u - np.floor(u) - 0.5)) / 0.12 + 0.5, 0.0, 1.0)


def _paint_sky(canvas: Canvas, draws: Draws, horizon: float) -> None:
    top = draws.mix((0.25, 0.45, 0.80), (0.62, 0.68, 0.75))
    bottom = draws.mix((0.75, 0.85, 0.95), (0.90, 0.82, 0.75))
    canvas.paint(Layer(everywhere(), mixture(top, bottom, lambda x, y: np.clip((y + 1.0) / (horizon + 1.0), 0.0, 1.0))))
    canvas.rgb += np.float32(draws.between(0.0, 0.15)) * cloud(draws, canvas.size)


def _paint_room(canvas: Canvas, draws: Draws) -> None:
    """A room with its vanishing point: back wall with a window, side walls, ceiling, floor boards."""
    x0, y0 = draws.between(-0.3, 0.3), draws.between(-0.2, 0.25)
    half_width, half_height = draws.between(0.28, 0.5), draws.between(0.26, 0.42)
    wall = draws.hue_color(saturation=(0.05, 0.45), value=(0.55, 0.92))
    left, top, right, bottom = x0 - half_width, y0 - half_height, x0 + half_width, y0 + half_height
    far = 8.0  # beyond the image, wherever the vanishing point is

    def outwards(x: float, y: float) -> tuple[float, float]:
        return x0 + (x - x0) * far, y0 + (y - y0) * far

    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    shades = (1.15, 0.72, None, 0.86)  # ceiling, right wall, floor, left wall
    edge = shade(wall, 0.4)
    for i, factor in enumerate(shades):
        first, last = corners[i], corners[(i + 1) % 4]
        panel = polygon(first, last, outwards(*last), outwards(*first))
        color = shade(wall, factor) if factor else _boards(draws, x0, y0, half_height)
        canvas.paint(Layer(panel, color))
    canvas.paint(Layer(rectangle(left, top, right, bottom), wall))
    for x, y in corners:
        canvas.paint(Layer(bar(x, y, *outwards(x, y), 0.014), edge))
    for start, end in zip(corners, [*corners[1:], corners[0]], strict=True):
        canvas.paint(Layer(bar(*start, *end, 0.012), edge))
    _paint_window(canvas, draws, x0 + draws.between(-0.1, 0.1), y0 - 0.04, half_width * 0.45, half_height * 0.5)
    _paint_wall_panels(canvas, draws, (x0, y0, half_width, half_height), shade(wall, 0.5))
    if draws.chance(0.6):
        lamp = draws.between(0.06, 0.12)
        canvas.paint(Layer(ellipse(x0, top - 0.28, lamp * 2, lamp), (0.98, 0.96, 0.86)))


def _boards(draws: Draws, x0: float, y0: float, drop: float) -> Field:
    """Floor boards that run to the vanishing point."""
    wood = shade(draws.choice(_WOODS), draws.between(0.8, 1.2))
    rate = draws.between(2.5, 4.5)

    def gaps(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        across = (x - x0) / np.maximum(y - y0, drop * 0.9) * rate
        return 0.8 * np.clip(1.0 - np.abs(across - np.round(across)) / 0.12, 0.0, 1.0) + 0.15 * (
            np.floor(across + 0.5) % 2
        )

    return mixture(wood, shade(wood, 0.35), gaps)


def _paint_window(canvas: Canvas, draws: Draws, x: float, y: float, half_width: float, half_height: float) -> None:
    frame, light = shade((0.95, 0.94, 0.90), draws.between(0.6, 1.0)), draws.mix((0.65, 0.80, 0.95), (0.90, 0.94, 0.98))
    panes = rectangle(x - half_width, y - half_height, x + half_width, y + half_height)
    canvas.paint(
        Layer(
            rectangle(x - half_width - 0.05, y - half_height - 0.05, x + half_width + 0.05, y + half_height + 0.05),
            frame,
        )
    )
    canvas.paint(Layer(panes, light))
    canvas.paint(Layer(rectangle(x - 0.018, y - half_height, x + 0.018, y + half_height), frame))
    canvas.paint(Layer(rectangle(x - half_width, y - 0.018, x + half_width, y + 0.018), frame))


def _paint_wall_panels(
    canvas: Canvas, draws: Draws, back_wall: tuple[float, float, float, float], color: Color
) -> None:
    """A door or a picture on each side wall, its upper and lower edges running to the vanishing point."""
    x0, y0, half_width, half_height = back_wall
    for side in (-1.0, 1.0):
        first, door = draws.between(1.25, 1.5), draws.chance(0.5)
        last = first + draws.between(0.35, 0.9)
        upper, lower = (-0.55, 1.0) if door else (-0.6, draws.between(0.0, 0.3))

        def corner(depth: float, share: float, side: float = side) -> tuple[float, float]:
            return x0 + side * half_width * depth, y0 + share * half_height * depth

        panel = polygon(corner(first, upper), corner(last, upper), corner(last, lower), corner(first, lower))
        canvas.paint(Layer(panel, color if door else draws.hue_color()))


def _paint_landscape(canvas: Canvas, draws: Draws) -> None:
    """Hills behind hills, textured ground, trees."""
    horizon = draws.between(-0.15, 0.3)
    _paint_sky(canvas, draws, horizon)
    haze, leaf = draws.mix((0.45, 0.55, 0.65), (0.60, 0.62, 0.66)), draws.choice(_LEAVES)
    for i in range(3):
        height = _ridge(draws, horizon - 0.22 + 0.13 * i, 0.16 - 0.04 * i)
        canvas.paint(Layer(below(height), blend(haze, shade(leaf, 1.2), i / 2.5)))
    ground = draws.choice(((0.36, 0.46, 0.20), (0.55, 0.48, 0.30), (0.45, 0.50, 0.28), (0.62, 0.58, 0.50)))
    texture = cloud(draws, canvas.size, octaves=_FINE_OCTAVES, persistence=0.9)
    half = canvas.size / 2.0

    def rough(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        rows = np.clip(((y + 1.0) * half).astype(int), 0, canvas.size - 1)
        cols = np.clip(((x + 1.0) * half).astype(int), 0, canvas.size - 1)
        return 0.5 + 1.2 * texture[rows, cols]

    meadow = mixture(shade(ground, 0.55), shade(ground, 1.35), rough)
    canvas.paint(Layer(below(_ridge(draws, horizon + 0.12, 0.03)), meadow))
    trees = sorted(draws.between(0.12, 0.75) for _ in range(draws.count(3, 7)))
    for depth in trees:
        _paint_tree(canvas, draws, draws.between(-1.0, 1.0), horizon + 0.1 + depth * 0.5, 0.25 + depth * 0.8)


def _ridge(draws: Draws, level: float, height: float):
    waves = [(draws.between(1.0, 3.0) * (i + 1), draws.between(0.0, 6.28), height / (i + 1)) for i in range(3)]
    return lambda x: level + sum(size * np.sin(rate * x + phase) for rate, phase, size in waves)


def _paint_tree(canvas: Canvas, draws: Draws, x: float, foot: float, size: float) -> None:
    leaf = shade(draws.choice(_LEAVES), draws.between(0.7, 1.3))
    canvas.paint(Layer(bar(x, foot, x, foot - 0.6 * size, 0.06 * size, 0.04 * size), (0.26, 0.18, 0.12)))
    if draws.chance(0.35):
        for i in range(3):
            top, half = foot - (1.1 - 0.25 * i) * size, (0.16 + 0.07 * i) * size
            cone = polygon((x, top), (x + half, top + 0.42 * size), (x - half, top + 0.42 * size))
            canvas.paint(Layer(cone, shade(leaf, 0.85 + 0.1 * i)))
        return
    for _ in range(4):
        dx, dy = draws.between(-0.2, 0.2) * size, draws.between(-0.15, 0.15) * size
        crown = ellipse(x + dx, foot - 0.78 * size + dy, 0.24 * size, 0.22 * size)
        canvas.paint(Layer(crown, shade(leaf, draws.between(0.8, 1.25))))
