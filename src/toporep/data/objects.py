"""Demo objects: ten classes with CIFAR-10's names, order and roles, rendered with NumPy.

Six animals and four vehicles, drawn from anti-aliased ellipses, bars and convex polygons in a random pose, size,
color and setting, with clutter, an occluder now and then, and pixel noise. All images of a class are drawn at once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from toporep.data.keyed import bits, uniform

VERSION = 1
SIZE = 32
_SCENE_DRAWS, _OBJECT_DRAWS = 96, 96

Color = np.ndarray | tuple[float, float, float]


def generate(*, train: int, test: int, seed: int) -> tuple[tuple[np.ndarray, ...], str]:
    """((images_train, label_train, images_test, label_test), origin); images are (N, 32, 32, 3) uint8.

    Image i is a pure function of (seed, i): its class is i mod 10, the test images are those from `train` on.
    """
    index = np.arange(train + test)
    labels = index % len(_DRAW)
    images = np.empty((len(index), SIZE, SIZE, 3), dtype=np.uint8)
    for label, (draw, backdrop) in enumerate(_DRAW):
        members = index[labels == label]
        if len(members):
            images[members] = _render(draw, backdrop, seed=seed, index=members)
    arrays = (images[:train], labels[:train], images[train:], labels[train:])
    return arrays, f"objects generator {VERSION}, seed {seed}"


class _Draws:
    """Hands out keyed uniform numbers, one column a call: each is (images, 1, 1)."""

    def __init__(self, numbers: np.ndarray):
        self._columns = iter(numbers.T)

    def between(self, low: float, high: float) -> np.ndarray:
        return (low + (high - low) * next(self._columns))[:, np.newaxis, np.newaxis]

    def chance(self, probability: float) -> np.ndarray:
        return self.between(0.0, 1.0) < probability

    def color(self, low: Color, high: Color) -> np.ndarray:
        """One color on the segment from `low` to `high`, with a little spread: (images, 3)."""
        where = self.between(0.0, 1.0)[:, :, 0]
        spread = np.concatenate([self.between(-0.06, 0.06)[:, :, 0] for _ in range(3)], axis=1)
        return np.clip(np.asarray(low) + where * (np.asarray(high) - np.asarray(low)) + spread, 0.02, 0.98)

    def choice(self, *pairs: tuple[Color, Color]) -> np.ndarray:
        """A color from one of several segments: (images, 3)."""
        which = np.floor(self.between(0.0, len(pairs))[:, :, 0])
        colors = [self.color(low, high) for low, high in pairs]
        return sum(np.where(which == i, color, 0.0) for i, color in enumerate(colors))


class _Canvas:
    """Images (images, SIZE, SIZE, 3) in [0, 1], painted in the object's own frame: x right, y down, about -1..1."""

    def __init__(self, rgb: np.ndarray):
        self.rgb = rgb
        self.place(scale=np.full((len(rgb), 1, 1), SIZE / 2.0))

    def place(self, *, scale, x=0.0, y=0.0, angle=0.0, mirror=False) -> None:
        """Set the frame: `scale` pixels a unit, centre (x, y) in half image sizes, angle in radians."""
        pixel = np.arange(SIZE) + 0.5 - SIZE / 2.0
        dx, dy = pixel[np.newaxis, np.newaxis, :] - x * SIZE / 2.0, pixel[np.newaxis, :, np.newaxis] - y * SIZE / 2.0
        cosine, sine = np.cos(angle), np.sin(angle)
        self.x = (cosine * dx + sine * dy) / scale * np.where(mirror, -1.0, 1.0)
        self.y = (cosine * dy - sine * dx) / scale
        self.scale = scale

    def paint(self, distance: np.ndarray, color: Color, *, opacity=1.0) -> None:
        """Cover where the signed distance (units of the frame) is negative, with an edge one pixel wide."""
        cover = np.clip(0.5 - distance * self.scale, 0.0, 1.0)[..., np.newaxis] * np.asarray(opacity)[..., np.newaxis]
        color = np.asarray(color)
        color = color[:, np.newaxis, np.newaxis, :] if color.ndim == 2 else color
        self.rgb += cover * (color - self.rgb)

    def ellipse(self, x, y, rx, ry, color: Color, *, tilt=0.0, opacity=1.0) -> None:
        cosine, sine = np.cos(tilt), np.sin(tilt)
        u, v = cosine * (self.x - x) + sine * (self.y - y), cosine * (self.y - y) - sine * (self.x - x)
        radius = np.sqrt((u / rx) ** 2 + (v / ry) ** 2)
        slope = np.sqrt((u / rx**2) ** 2 + (v / ry**2) ** 2) + 1e-9
        self.paint(radius * (radius - 1.0) / slope, color, opacity=opacity)

    def bar(self, x0, y0, x1, y1, radius, color: Color, *, opacity=1.0) -> None:
        """A segment with round ends."""
        dx, dy = x1 - x0, y1 - y0
        along = np.clip(((self.x - x0) * dx + (self.y - y0) * dy) / (dx * dx + dy * dy + 1e-9), 0.0, 1.0)
        distance = np.sqrt((self.x - x0 - along * dx) ** 2 + (self.y - y0 - along * dy) ** 2) - radius
        self.paint(distance, color, opacity=opacity)

    def polygon(self, points, color: Color, *, opacity=1.0) -> None:
        """A convex polygon; points clockwise as seen (y down)."""
        distance = -np.inf
        for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
            dx, dy = x1 - x0, y1 - y0
            length = np.sqrt(dx * dx + dy * dy) + 1e-9
            distance = np.maximum(distance, ((self.x - x0) * dy - (self.y - y0) * dx) / length)
        self.paint(distance, color, opacity=opacity)

    def box(self, left, top, right, bottom, color: Color, *, opacity=1.0) -> None:
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], color, opacity=opacity)


def _render(draw: Callable, backdrop: str, *, seed: int, index: np.ndarray) -> np.ndarray:
    numbers = uniform(seed, index, _SCENE_DRAWS + _OBJECT_DRAWS)
    scene, objects = _Draws(numbers[:, :_SCENE_DRAWS]), _Draws(numbers[:, _SCENE_DRAWS:])
    canvas = _Canvas(np.zeros((len(index), SIZE, SIZE, 3)))
    _paint_backdrop(canvas, scene, backdrop)
    tilt = np.pi if draw is _airplane else 0.22
    canvas.place(
        scale=scene.between(9.5, 15.0),
        x=scene.between(-0.22, 0.22),
        y=scene.between(-0.16, 0.2),
        angle=scene.between(-tilt, tilt),
        mirror=scene.chance(0.5),
    )
    draw(canvas, objects)
    _paint_occluder(canvas, scene)
    return _develop(canvas.rgb, scene, seed=seed, index=index)


# Typical settings: (upper color from, to), (lower color from, to).
_SETTINGS = {
    "sky": (((0.30, 0.50, 0.85), (0.75, 0.85, 0.95)), ((0.60, 0.75, 0.95), (0.92, 0.92, 0.92))),
    "sea": (((0.55, 0.70, 0.90), (0.90, 0.88, 0.85)), ((0.08, 0.25, 0.45), (0.25, 0.50, 0.60))),
    "road": (((0.50, 0.60, 0.70), (0.80, 0.80, 0.75)), ((0.30, 0.30, 0.30), (0.60, 0.58, 0.55))),
    "meadow": (((0.45, 0.60, 0.45), (0.75, 0.85, 0.95)), ((0.20, 0.40, 0.12), (0.60, 0.62, 0.30))),
    "room": (((0.60, 0.50, 0.42), (0.85, 0.82, 0.75)), ((0.40, 0.28, 0.20), (0.70, 0.60, 0.50))),
    "pond": (((0.20, 0.35, 0.15), (0.55, 0.60, 0.35)), ((0.25, 0.22, 0.12), (0.45, 0.50, 0.35))),
}


def _paint_backdrop(canvas: _Canvas, scene: _Draws, typical: str) -> None:
    """Two zones with a horizon and smooth mottling; one image in three has another class's setting."""
    usual = scene.chance(0.67)[:, :, 0]
    other = np.floor(scene.between(0.0, len(_SETTINGS))[:, :, 0])
    zones = []
    for zone in range(2):
        colors = {name: scene.color(*setting[zone]) for name, setting in _SETTINGS.items()}
        unusual = sum(np.where(other == i, color, 0.0) for i, color in enumerate(colors.values()))
        zones.append(np.where(usual, colors[typical], unusual))
    horizon = scene.between(-0.35, 0.55)
    canvas.paint(-np.ones((1, SIZE, SIZE)), zones[0])
    softness = scene.between(0.05, 0.5)
    canvas.paint((horizon - canvas.y) * softness, zones[1])
    for _ in range(2):
        angle, waves, phase = scene.between(0.0, np.pi), scene.between(1.5, 7.0), scene.between(0.0, 2.0 * np.pi)
        ripple = np.sin(waves * (np.cos(angle) * canvas.x + np.sin(angle) * canvas.y) + phase)
        canvas.rgb += (scene.between(0.01, 0.06) * ripple)[..., np.newaxis]


def _paint_occluder(canvas: _Canvas, scene: _Draws) -> None:
    """In one image of four a bar (a branch, a pole) crosses the object."""
    canvas.place(scale=np.full((len(canvas.rgb), 1, 1), SIZE / 2.0))
    angle, offset = scene.between(0.0, np.pi), scene.between(-0.5, 0.5)
    x, y = -np.sin(angle) * offset, np.cos(angle) * offset
    dx, dy = 2.0 * np.cos(angle), 2.0 * np.sin(angle)
    color = scene.color((0.15, 0.12, 0.08), (0.75, 0.72, 0.65))
    width = scene.between(0.04, 0.10)
    canvas.bar(x - dx, y - dy, x + dx, y + dy, width, color, opacity=scene.chance(0.25) * 1.0)


def _develop(rgb: np.ndarray, scene: _Draws, *, seed: int, index: np.ndarray) -> np.ndarray:
    """Exposure, contrast, color cast and pixel noise; to uint8."""
    cast = np.concatenate([scene.between(0.88, 1.12) for _ in range(3)], axis=2)[:, :, np.newaxis, :]
    contrast, light = scene.between(0.55, 1.05)[..., np.newaxis], scene.between(-0.08, 0.08)[..., np.newaxis]
    exposed = 0.5 + contrast * (rgb * cast - 0.5) + light
    # The sum of four uniform 16-bit numbers is close to normal; centered, unit variance.
    words = bits(seed + 1, index, SIZE * SIZE * 3).view(np.uint16).reshape(len(index), SIZE, SIZE, 3, 4)
    noise = (words.sum(axis=-1, dtype=np.int64) - 2.0 * 65535) / 65536 * np.sqrt(3.0)
    exposed += scene.between(0.01, 0.05)[..., np.newaxis] * noise
    return np.floor(255.0 * np.clip(exposed, 0.0, 1.0) + 0.5).astype(np.uint8)


_DARK, _GLASS, _WHITE = (0.06, 0.06, 0.07), (0.70, 0.82, 0.90), (0.93, 0.93, 0.92)
_PAINTS = (
    ((0.70, 0.08, 0.08), (0.85, 0.25, 0.15)),
    ((0.10, 0.20, 0.55), (0.25, 0.45, 0.80)),
    ((0.80, 0.80, 0.80), (0.95, 0.95, 0.95)),
    ((0.12, 0.12, 0.14), (0.40, 0.42, 0.45)),
    ((0.85, 0.65, 0.10), (0.95, 0.80, 0.30)),
    ((0.10, 0.40, 0.20), (0.30, 0.60, 0.40)),
)
_FURS = (
    ((0.15, 0.12, 0.10), (0.35, 0.28, 0.22)),
    ((0.70, 0.42, 0.18), (0.88, 0.62, 0.32)),
    ((0.45, 0.43, 0.42), (0.68, 0.66, 0.64)),
    ((0.85, 0.80, 0.72), (0.96, 0.94, 0.90)),
)


def _shade(color: np.ndarray, factor: float) -> np.ndarray:
    return np.clip(color * factor, 0.0, 1.0)


def _airplane(canvas: _Canvas, draws: _Draws) -> None:
    hull = draws.choice(_PAINTS[2], _PAINTS[2], _PAINTS[3], _PAINTS[1])
    sweep, span = draws.between(0.1, 0.5), draws.between(0.75, 1.0)
    wing = _shade(hull, 0.8)
    for side in (-1.0, 1.0):
        tip = side * span
        near, far = (0.28, 0.0), (-0.12, 0.0)
        points = [near, (0.08 - sweep, tip), (-0.12 - sweep, tip), far]
        canvas.polygon(points if side > 0 else points[::-1], wing)
        points = [(-0.72, 0.0), (-0.88, 0.38 * side), (-1.0, 0.38 * side), (-0.95, 0.0)]
        canvas.polygon(points if side > 0 else points[::-1], wing)
        canvas.bar(0.12, 0.38 * side, 0.02 - sweep * 0.4, 0.38 * side, 0.07, _shade(hull, 0.55))
    canvas.bar(-0.9, 0.0, 0.85, 0.0, draws.between(0.11, 0.16), hull)
    canvas.bar(-0.95, 0.0, -0.7, 0.0, 0.06, draws.choice(*_PAINTS))
    canvas.ellipse(0.84, 0.0, 0.08, 0.07, (0.2, 0.25, 0.35))


def _wheel(canvas: _Canvas, x, y, radius) -> None:
    canvas.ellipse(x, y, radius, radius, _DARK)
    canvas.ellipse(x, y, radius * 0.45, radius * 0.45, (0.7, 0.7, 0.72))


def _automobile(canvas: _Canvas, draws: _Draws) -> None:
    paint = draws.choice(*_PAINTS)
    roof, hood = draws.between(-0.55, -0.38), draws.between(0.35, 0.55)
    canvas.polygon([(-0.45, roof), (0.25, roof), (hood, 0.0), (-0.78, 0.0)], paint)
    canvas.polygon([(-0.42, roof + 0.08), (-0.1, roof + 0.08), (-0.1, -0.03), (-0.64, -0.03)], _GLASS)
    canvas.polygon([(-0.02, roof + 0.08), (0.21, roof + 0.08), (hood - 0.1, -0.03), (-0.02, -0.03)], _GLASS)
    canvas.bar(-0.85, 0.13, 0.85, 0.13, 0.17, paint)
    canvas.box(-0.98, 0.2, 0.98, 0.3, _shade(paint, 0.6))
    canvas.ellipse(0.95, 0.08, 0.07, 0.06, (0.98, 0.95, 0.7))
    for x in (-0.55, 0.55):
        _wheel(canvas, x, 0.32, draws.between(0.19, 0.25))


def _truck(canvas: _Canvas, draws: _Draws) -> None:
    cargo, cab = draws.choice(*_PAINTS), draws.choice(*_PAINTS)
    top, split = draws.between(-0.75, -0.5), draws.between(0.28, 0.42)
    canvas.box(-1.0, top, split - 0.06, 0.3, cargo)
    for x in (-0.75, -0.45, -0.15):
        canvas.bar(x, top + 0.12, x, 0.2, 0.025, _shade(cargo, 0.75))
    canvas.polygon([(split, -0.32), (0.78, -0.32), (0.95, 0.02), (split, 0.02)], cab)
    canvas.polygon([(split + 0.1, -0.24), (0.74, -0.24), (0.86, 0.0), (split + 0.1, 0.0)], _GLASS)
    canvas.box(split, 0.02, 1.0, 0.34, cab)
    canvas.box(-1.0, 0.3, 1.0, 0.4, (0.2, 0.2, 0.2))
    for x in (-0.75, -0.33, 0.68):
        _wheel(canvas, x, 0.43, draws.between(0.16, 0.2))


def _ship(canvas: _Canvas, draws: _Draws) -> None:
    hull = draws.choice(_PAINTS[0], _PAINTS[1], _PAINTS[3], _PAINTS[2])
    deck, bridge = draws.between(0.0, 0.12), draws.between(-0.45, 0.1)
    canvas.polygon([(-0.95, deck), (1.02, deck - 0.08), (0.72, 0.45), (-0.82, 0.45)], hull)
    canvas.polygon([(-0.88, 0.33), (0.8, 0.33), (0.72, 0.45), (-0.82, 0.45)], _shade(hull, 0.5))
    house = draws.color((0.75, 0.75, 0.72), _WHITE)
    canvas.box(bridge - 0.32, -0.22, bridge + 0.4, deck + 0.04, house)
    canvas.box(bridge - 0.2, -0.45, bridge + 0.2, -0.2, house)
    for x in (-0.22, -0.04, 0.14):
        canvas.box(bridge + x, -0.12, bridge + x + 0.1, -0.03, (0.15, 0.2, 0.3))
    canvas.box(bridge - 0.12, -0.78, bridge + 0.06, -0.42, draws.choice(*_PAINTS[:2], _PAINTS[4]))
    canvas.bar(bridge + 0.62, deck, bridge + 0.62, -0.7, 0.03, (0.25, 0.22, 0.2))
    for x in np.linspace(-1.2, 1.2, 6):
        canvas.ellipse(x, 0.5, 0.24, 0.08, (0.55, 0.7, 0.78), opacity=0.7)


def _bird(canvas: _Canvas, draws: _Draws) -> None:
    plumage = draws.choice(_PAINTS[0], _PAINTS[1], _PAINTS[4], _FURS[0], _FURS[2])
    lift, wing = draws.between(-0.15, 0.15), draws.between(0.2, 0.7)
    for x in (-0.02, 0.16):
        canvas.bar(x, 0.4, x + 0.05, 0.85, 0.035, (0.5, 0.35, 0.15))
    canvas.polygon([(-1.0, 0.12 + lift), (-0.5, -0.12), (-0.4, 0.2), (-0.95, 0.32 + lift)], _shade(plumage, 0.6))
    canvas.ellipse(0.0, 0.1, 0.6, 0.38, plumage, tilt=-0.35)
    canvas.ellipse(0.18, 0.22, 0.34, 0.25, draws.color((0.8, 0.7, 0.5), _WHITE), tilt=-0.5)
    canvas.ellipse(-0.15, 0.05, 0.42, 0.2, _shade(plumage, 0.65), tilt=wing)
    canvas.ellipse(0.5, -0.35, 0.26, 0.25, plumage)
    canvas.polygon([(0.7, -0.44), (1.05, -0.28), (0.7, -0.22)], (0.95, 0.6, 0.1))
    canvas.ellipse(0.56, -0.4, 0.07, 0.07, _DARK)


def _cat(canvas: _Canvas, draws: _Draws) -> None:
    fur, eyes = draws.choice(*_FURS), draws.color((0.55, 0.75, 0.2), (0.9, 0.75, 0.2))
    curl = draws.between(0.4, 0.9)
    canvas.bar(0.45, 0.8, curl + 0.1, 0.15, 0.08, _shade(fur, 0.8))
    canvas.ellipse(0.0, 0.62, 0.48, 0.45, _shade(fur, 0.9))
    for x in (-0.2, 0.2):
        canvas.bar(x, 0.55, x, 0.95, 0.1, fur)
    for side in (-1.0, 1.0):
        points = [(0.1 * side, -0.55), (0.52 * side, -0.98), (0.55 * side, -0.25)]
        canvas.polygon(points if side > 0 else points[::-1], fur)
        points = [(0.26 * side, -0.55), (0.47 * side, -0.8), (0.47 * side, -0.4)]
        canvas.polygon(points if side > 0 else points[::-1], (0.85, 0.55, 0.55))
    canvas.ellipse(0.0, -0.22, 0.58, 0.45, fur)
    stripes = draws.chance(0.5) * 1.0
    for x in (-0.16, 0.0, 0.16):
        canvas.bar(x, -0.62, x, -0.42, 0.04, _shade(fur, 0.5), opacity=stripes)
    for side in (-1.0, 1.0):
        canvas.ellipse(0.24 * side, -0.26, 0.14, 0.11, eyes)
        canvas.ellipse(0.24 * side, -0.26, 0.04, 0.1, _DARK)
        for slope in (-0.06, 0.08):
            canvas.bar(0.15 * side, 0.0, 0.72 * side, slope, 0.018, _WHITE)
    canvas.ellipse(0.0, -0.04, 0.08, 0.06, (0.85, 0.4, 0.45))


def _dog(canvas: _Canvas, draws: _Draws) -> None:
    fur = draws.choice(*_FURS)
    ear, muzzle = _shade(fur, 0.55), draws.color((0.75, 0.65, 0.5), _WHITE)
    canvas.ellipse(0.0, 0.75, 0.5, 0.4, _shade(fur, 0.85))
    for x in (-0.25, 0.25):
        canvas.bar(x, 0.65, x, 0.95, 0.11, fur)
    canvas.ellipse(0.0, -0.25, 0.5, 0.52, fur)
    droop = draws.between(0.05, 0.3)
    for side in (-1.0, 1.0):
        canvas.ellipse(0.56 * side, -0.1, 0.18, 0.45, ear, tilt=-side * droop)
    canvas.ellipse(0.0, 0.08, 0.3, 0.3, muzzle)
    for side in (-1.0, 1.0):
        canvas.ellipse(0.2 * side, -0.33, 0.09, 0.1, _DARK)
        canvas.ellipse(0.22 * side, -0.36, 0.03, 0.03, _WHITE)
    canvas.ellipse(0.0, 0.33, 0.1, draws.between(0.1, 0.24), (0.88, 0.35, 0.4), opacity=draws.chance(0.6) * 1.0)
    canvas.ellipse(0.0, -0.06, 0.16, 0.11, _DARK)


def _legs(canvas: _Canvas, draws: _Draws, color: np.ndarray, *, width: float, foot: float) -> None:
    stride = draws.between(-0.18, 0.18)
    for x, factor in ((-0.5, 0.75), (0.32, 0.75), (-0.38, 1.0), (0.42, 1.0)):
        swing = stride if factor == 1.0 else -stride
        canvas.bar(x, 0.25, x + swing, foot, width, _shade(color, factor))


def _deer(canvas: _Canvas, draws: _Draws) -> None:
    coat = draws.color((0.48, 0.28, 0.12), (0.78, 0.55, 0.32))
    antler = draws.color((0.25, 0.18, 0.1), (0.85, 0.78, 0.62))
    _legs(canvas, draws, coat, width=0.055, foot=0.98)
    canvas.ellipse(-0.08, 0.15, 0.58, 0.27, coat)
    canvas.ellipse(-0.62, 0.05, 0.1, 0.13, _WHITE)
    canvas.bar(0.4, 0.08, 0.62, -0.35, 0.12, coat)
    spots = draws.chance(0.5) * 1.0
    for x, y in ((-0.35, 0.05), (-0.15, 0.12), (0.05, 0.03), (-0.25, 0.2), (0.12, 0.18)):
        canvas.ellipse(x, y, 0.05, 0.05, _WHITE, opacity=spots)
    spread = draws.between(0.25, 0.42)
    for side in (-1.0, 1.0):
        tip = 0.58 + side * spread
        canvas.bar(0.6, -0.5, tip, -0.75, 0.045, antler)
        canvas.bar(tip, -0.75, tip - side * 0.02, -1.08, 0.04, antler)
        canvas.bar(0.6 + side * spread * 0.6, -0.64, 0.6 + side * spread * 0.4, -0.98, 0.038, antler)
        canvas.bar(tip, -0.78, tip + side * 0.16, -0.95, 0.035, antler)
    canvas.ellipse(0.5, -0.4, 0.13, 0.06, coat, tilt=0.5)
    canvas.ellipse(0.72, -0.4, 0.22, 0.13, coat, tilt=0.3)
    canvas.ellipse(0.9, -0.34, 0.05, 0.05, _DARK)
    canvas.ellipse(0.68, -0.44, 0.04, 0.04, _DARK)


def _horse(canvas: _Canvas, draws: _Draws) -> None:
    coat = draws.choice(_FURS[0], ((0.40, 0.20, 0.10), (0.60, 0.34, 0.18)), _FURS[3], _FURS[1])
    mane = draws.color((0.08, 0.06, 0.05), (0.35, 0.25, 0.15))
    _legs(canvas, draws, coat, width=0.085, foot=0.92)
    canvas.bar(-0.72, 0.0, draws.between(-1.0, -0.82), 0.62, 0.1, mane)
    canvas.ellipse(-0.08, 0.1, 0.68, 0.34, coat)
    canvas.bar(0.28, -0.3, 0.52, -0.72, 0.13, mane)
    canvas.polygon([(0.2, -0.05), (0.5, -0.78), (0.76, -0.62), (0.58, 0.2)], coat)
    canvas.bar(0.62, -0.68, 0.92, -0.36, 0.14, coat)
    canvas.ellipse(0.95, -0.33, 0.1, 0.1, _shade(coat, 0.6))
    canvas.polygon([(0.48, -0.7), (0.52, -0.98), (0.66, -0.76)], coat)
    canvas.ellipse(0.68, -0.64, 0.045, 0.045, _DARK)


def _frog(canvas: _Canvas, draws: _Draws) -> None:
    skin = draws.choice(
        ((0.15, 0.45, 0.10), (0.45, 0.75, 0.20)),
        ((0.15, 0.45, 0.10), (0.45, 0.75, 0.20)),
        ((0.35, 0.33, 0.12), (0.58, 0.50, 0.25)),
    )
    squat = draws.between(0.4, 0.52)
    for side in (-1.0, 1.0):
        canvas.ellipse(0.68 * side, 0.42, 0.36, 0.24, _shade(skin, 0.75), tilt=side * 0.9)
        canvas.bar(0.6 * side, 0.72, 1.0 * side, 0.76, 0.07, _shade(skin, 0.75))
        canvas.bar(0.32 * side, 0.45, 0.38 * side, 0.78, 0.09, skin)
    canvas.ellipse(0.0, 0.3, 0.62, squat, skin)
    canvas.ellipse(0.0, 0.45, 0.42, 0.28, draws.color((0.75, 0.8, 0.5), (0.92, 0.92, 0.75)))
    canvas.ellipse(0.0, -0.12, 0.62, 0.34, skin)
    for side in (-1.0, 1.0):
        canvas.ellipse(0.38 * side, -0.45, 0.22, 0.22, skin)
        canvas.ellipse(0.38 * side, -0.47, 0.14, 0.14, (0.95, 0.85, 0.35))
        canvas.ellipse(0.38 * side, -0.47, 0.08, 0.06, _DARK)
        canvas.bar(0.0, 0.02, 0.48 * side, -0.08, 0.03, (0.25, 0.12, 0.1))


# In CIFAR-10's order: how a class is drawn, and its typical setting.
_DRAW = (
    (_airplane, "sky"),
    (_automobile, "road"),
    (_bird, "sky"),
    (_cat, "room"),
    (_deer, "meadow"),
    (_dog, "room"),
    (_frog, "pond"),
    (_horse, "meadow"),
    (_ship, "sea"),
    (_truck, "road"),
)
