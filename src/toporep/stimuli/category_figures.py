"""People, animals and artefacts of the category stimuli, each a function from keyed draws to layers of paint.

A figure stands in its own frame, x to the right and y down, and is about two units tall or wide.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from toporep.stimuli.canvas import (
    Color,
    Draws,
    Field,
    Layer,
    Shape,
    bar,
    blend,
    ellipse,
    grown,
    mixture,
    polygon,
    rectangle,
    ring,
    shade,
    textured,
    union,
)

_SKINS = (
    (0.96, 0.80, 0.69),
    (0.88, 0.67, 0.52),
    (0.76, 0.54, 0.39),
    (0.55, 0.36, 0.25),
    (0.36, 0.23, 0.17),
)
_HAIR = ((0.07, 0.05, 0.05), (0.28, 0.17, 0.09), (0.50, 0.32, 0.15), (0.82, 0.66, 0.38), (0.55, 0.24, 0.10))
_IRISES = ((0.25, 0.16, 0.10), (0.22, 0.38, 0.55), (0.28, 0.42, 0.25), (0.12, 0.09, 0.08))
_FURS = (
    (0.85, 0.55, 0.25),
    (0.62, 0.42, 0.25),
    (0.40, 0.28, 0.20),
    (0.55, 0.53, 0.50),
    (0.80, 0.74, 0.62),
    (0.24, 0.21, 0.20),
    (0.70, 0.34, 0.18),
)
_WOODS = ((0.36, 0.22, 0.12), (0.55, 0.36, 0.20), (0.70, 0.52, 0.32), (0.24, 0.17, 0.14), (0.80, 0.72, 0.58))
_WHITE, _DARK, _GLASS = (0.96, 0.96, 0.95), (0.06, 0.06, 0.07), (0.68, 0.82, 0.90)
_METALS = ((0.75, 0.60, 0.25), (0.62, 0.64, 0.67), (0.55, 0.38, 0.22))


def face(draws: Draws) -> list[Layer]:
    """Frontal, symmetric up to the shading: hair, skin, two eyes at x = ±0.24, brows, nose, a mouth of two strokes."""
    skin, hair = _skin(draws), draws.choice(_HAIR)
    width, height = draws.between(0.50, 0.60), draws.between(0.68, 0.78)
    layers = _hair(draws, hair, width, height)
    head = ellipse(0.0, 0.05, width, height)
    for side in (-1.0, 1.0):
        layers.append(Layer(ellipse(side * width, 0.05, 0.07, 0.15), shade(skin, 0.86)))
    layers.append(Layer(head, skin))
    layers += _eyes(draws, hair)
    dark = shade(skin, 0.62)
    nose = draws.between(0.20, 0.28)
    layers.append(Layer(polygon((-0.03, -0.08), (0.03, -0.08), (0.10, nose), (-0.10, nose)), shade(skin, 0.84)))
    for side in (-1.0, 1.0):
        layers.append(Layer(ellipse(side * 0.055, nose, 0.035, 0.022), dark))
    layers += _mouth(draws, shade(blend(skin, (0.75, 0.15, 0.18), 0.6), 0.75))
    # The light comes from one side.
    light, strength = draws.sign(), draws.between(0.05, 0.32)
    layers.append(Layer(head, _DARK, lambda x, y: strength * np.clip(0.35 + light * x / width, 0.0, 1.0)))
    # A fringe of hair over the forehead.
    parting = draws.between(-0.12, 0.12)
    fringe = draws.between(0.30, 0.42)
    crown = ellipse(parting, 0.05 - height, width * 0.92, fringe)
    cap = grown(head, 0.03)
    layers.append(Layer(_intersection(crown, cap), hair))
    return layers


def _hair(draws: Draws, hair: Color, width: float, height: float) -> list[Layer]:
    layers = [Layer(ellipse(0.0, -0.10, width + 0.09, height + 0.06), hair)]
    if draws.chance(0.4):
        length = draws.between(0.70, 1.0)
        layers.append(
            Layer(rectangle(-width - 0.13, -0.35, width + 0.13, length, corner=0.22), textured(hair, _strands))
        )
    return layers


def _strands(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 1.0 + 0.12 * np.sin(40.0 * x + 2.0 * y)


def _eyes(draws: Draws, hair: Color) -> list[Layer]:
    iris, brow = draws.choice(_IRISES), shade(hair, 0.7)
    opening, level = draws.between(0.060, 0.085), draws.between(-0.10, -0.04)
    gaze, lift = draws.between(-0.03, 0.03), draws.between(-0.05, 0.05)
    layers = []
    for side in (-1.0, 1.0):
        x = side * 0.24
        layers += [
            Layer(ellipse(x, level - 0.02, 0.145, opening + 0.035), _DARK, 0.35),
            Layer(ellipse(x, level, 0.125, opening), _WHITE),
            Layer(ellipse(x + gaze, level, 0.062, 0.066), iris),
            Layer(ellipse(x + gaze, level, 0.030, 0.032), _DARK),
            Layer(bar(side * 0.12, level - 0.17 - lift, side * 0.37, level - 0.16 + lift, 0.030, 0.018), brow),
        ]
    return layers


def _mouth(draws: Draws, color: Color) -> list[Layer]:
    curve, width, y = draws.between(-0.07, 0.09), draws.between(0.16, 0.26), draws.between(0.42, 0.48)
    lip = draws.between(0.030, 0.052)
    strokes = (bar(0.0, y + curve / 2, side * width, y - curve / 2, lip, 0.022) for side in (-1.0, 1.0))
    return [Layer(stroke, color) for stroke in strokes]


def body(draws: Draws) -> list[Layer]:
    """Upright and headless: neck stump, torso, two bent arms with sleeves, two legs."""
    skin = _skin(draws)
    shirt, trousers = draws.hue_color(), draws.hue_color(value=(0.15, 0.7))
    shoulder, hip = draws.between(0.25, 0.32), draws.between(0.18, 0.24)
    layers = [Layer(rectangle(-0.09, -0.90, 0.09, -0.66, corner=0.03), skin)]
    layers += _legs_of_body(draws, skin, trousers, hip)
    long_sleeves = draws.chance(0.35)
    for side in (-1.0, 1.0):
        layers += _arm(draws, side, shoulder, skin, shirt, long_sleeves=long_sleeves)
    torso = polygon((-shoulder, -0.70), (shoulder, -0.70), (hip, 0.02), (-hip, 0.02))
    layers.append(Layer(grown(torso, 0.05), shirt))
    layers.append(Layer(ellipse(0.0, -0.74, 0.13, 0.060), skin))
    layers.append(Layer(ellipse(0.0, -0.89, 0.09, 0.035), shade(skin, 0.75)))
    light, strength = draws.sign(), draws.between(0.05, 0.25)
    layers.append(Layer(grown(torso, 0.05), _DARK, lambda x, y: strength * np.clip(0.3 + 2.0 * light * x, 0.0, 1.0)))
    return layers


def _arm(draws: Draws, side: float, shoulder: float, skin: Color, shirt: Color, *, long_sleeves: bool) -> list[Layer]:
    """Two segments from the shoulder: the upper one clothed, the lower one skin unless the sleeves are long."""
    upper = draws.between(0.15, 0.9)
    lower = upper + draws.between(-1.3, 0.35)
    x0, y0 = side * shoulder, -0.66
    x1, y1 = x0 + side * 0.36 * math.sin(upper), y0 + 0.36 * math.cos(upper)
    x2, y2 = x1 + side * 0.34 * math.sin(lower), y1 + 0.34 * math.cos(lower)
    sleeve = shade(shirt, 0.88)
    return [
        Layer(bar(x1, y1, x2, y2, 0.070, 0.052), sleeve if long_sleeves else skin),
        Layer(ellipse(x2, y2, 0.075, 0.075), skin),
        Layer(bar(x0, y0, x1, y1, 0.095, 0.080), sleeve),
    ]


def _legs_of_body(draws: Draws, skin: Color, trousers: Color, hip: float) -> list[Layer]:
    shorts, shoe = draws.chance(0.4), draws.hue_color(saturation=(0.0, 0.5), value=(0.05, 0.5))
    layers = []
    for side in (-1.0, 1.0):
        upper = draws.between(-0.02, 0.35)
        lower = upper - draws.between(0.0, 0.45)
        x0, y0 = side * (hip - 0.07), 0.05
        x1, y1 = x0 + side * 0.42 * math.sin(upper), y0 + 0.42 * math.cos(upper)
        x2, y2 = x1 + side * 0.44 * math.sin(lower), y1 + 0.44 * math.cos(lower)
        layers += [
            Layer(bar(x2, y2 + 0.03, x2 + side * 0.10, y2 + 0.05, 0.06), shoe),
            Layer(bar(x1, y1, x2, y2, 0.090, 0.065), skin if shorts else shade(trousers, 0.92)),
            Layer(bar(x0, y0, x1, y1, 0.130, 0.100), trousers),
        ]
    layers.append(Layer(rectangle(-hip - 0.06, -0.06, hip + 0.06, 0.16, corner=0.06), trousers))
    return layers


def hand(draws: Draws) -> list[Layer]:
    """Fingers up: rounded palm, wrist, four tapered fingers with outlines, thumb."""
    skin = _skin(draws)
    line, spread = shade(skin, 0.55), draws.between(0.02, 0.26)
    palm = rectangle(-0.34, -0.12, 0.34, 0.58, corner=0.2)
    wrist = bar(0.0, 0.45, draws.between(-0.12, 0.12), 1.15, 0.25, 0.21)
    layers = [Layer(grown(union(palm, wrist), 0.035), line)]
    for finger, length in zip((-1.5, -0.5, 0.5, 1.5), (0.52, 0.66, 0.62, 0.46), strict=True):
        angle = spread * finger + draws.between(-0.05, 0.05)
        reach = length * draws.between(0.85, 1.1)
        x, y = 0.175 * finger, -0.06 + 0.03 * finger**2
        tip_x, tip_y = x + reach * math.sin(angle), y - reach * math.cos(angle)
        stroke = bar(x, y, tip_x, tip_y, 0.098, 0.070)
        layers += [Layer(grown(stroke, 0.035), line), Layer(stroke, skin)]
        layers.append(Layer(ellipse(tip_x, tip_y - 0.01, 0.035, 0.045, tilt=angle), blend(skin, _WHITE, 0.35)))
    angle = draws.between(0.55, 1.15)
    thumb = bar(0.22, 0.35, 0.22 + 0.55 * math.sin(angle), 0.35 - 0.55 * math.cos(angle), 0.14, 0.085)
    layers += [Layer(grown(thumb, 0.035), line), Layer(thumb, skin)]
    layers.append(Layer(union(palm, wrist), skin))
    for y in (draws.between(0.05, 0.15), draws.between(0.22, 0.35)):
        layers.append(Layer(bar(-0.22, y, 0.20, y + draws.between(-0.1, 0.1), 0.014), line, 0.5))
    light, strength = draws.sign(), draws.between(0.05, 0.28)
    layers.append(Layer(union(palm, wrist), _DARK, lambda x, y: strength * np.clip(0.3 + 1.5 * light * x, 0.0, 1.0)))
    return layers


def quadruped(draws: Draws) -> list[Layer]:
    """From the side: body, neck, head with an eye, four legs, ears, tail; striped or mottled fur."""
    fur = _fur(draws)
    coat = _coat(draws, fur)
    far, hoof = shade(fur, 0.68), shade(fur, 0.35)
    length, depth = draws.between(0.52, 0.66), draws.between(0.22, 0.30)
    leg, stride = draws.between(0.42, 0.72), draws.between(-0.16, 0.16)
    rear, front = -length + 0.14, length - 0.14
    layers = []
    for x, swing, color in (
        (rear + 0.07, -stride, far),
        (front - 0.07, -stride, far),
        (rear, stride, None),
        (front, stride, None),
    ):
        foot_x, foot_y = x + swing, 0.12 + leg
        layers.append(Layer(bar(x, 0.10, foot_x, foot_y, 0.095, 0.060), color or coat))
        layers.append(Layer(ellipse(foot_x + 0.02, foot_y + 0.03, 0.075, 0.045), hoof))
    tail = draws.between(-0.5, 0.9)
    layers.append(
        Layer(
            bar(-length + 0.05, -0.08, -length - 0.38 * math.cos(tail), -0.08 + 0.38 * math.sin(tail), 0.055, 0.03),
            coat,
        )
    )
    layers.append(Layer(union(ellipse(0.0, 0.0, length, depth), ellipse(front, -0.02, 0.22, depth)), coat))
    head_x, head_y = length + draws.between(0.10, 0.24), -draws.between(0.28, 0.52)
    layers.append(Layer(bar(front, -0.06, head_x - 0.08, head_y + 0.02, 0.17, 0.12), coat))
    for x in (0.02, -0.10):
        layers.append(Layer(_ear(head_x - 0.02 + x, head_y - 0.10, pointed=x > 0), shade(fur, 0.6 if x > 0 else 0.8)))
    muzzle = draws.between(0.16, 0.30)
    layers += [
        Layer(ellipse(head_x, head_y, 0.18, 0.155), coat),
        Layer(bar(head_x + 0.05, head_y + 0.05, head_x + 0.05 + muzzle, head_y + 0.11, 0.10, 0.07), shade(fur, 1.08)),
        Layer(ellipse(head_x + 0.10 + muzzle, head_y + 0.08, 0.042, 0.036), _DARK),
        Layer(ellipse(head_x + 0.05, head_y - 0.04, 0.046, 0.050), _WHITE),
        Layer(ellipse(head_x + 0.06, head_y - 0.04, 0.034, 0.038), _DARK),
        Layer(bar(head_x + 0.10, head_y + 0.115, head_x + 0.05 + muzzle, head_y + 0.135, 0.014), _DARK, 0.7),
    ]
    return layers


def _ear(x: float, y: float, *, pointed: bool) -> Shape:
    if pointed:
        return polygon((x - 0.075, y + 0.05), (x - 0.03, y - 0.18), (x + 0.07, y + 0.03))
    return ellipse(x, y - 0.03, 0.065, 0.11, tilt=-0.3)


def animal_head(draws: Draws) -> list[Layer]:
    """Frontal: two eyes, a muzzle with nose and mouth, two ears; striped or mottled fur."""
    fur = _fur(draws)
    coat = _coat(draws, fur)
    width, height = draws.between(0.56, 0.70), draws.between(0.56, 0.68)
    pointed, ear = draws.chance(0.5), draws.between(0.18, 0.28)
    layers = []
    for side in (-1.0, 1.0):
        layers += _frontal_ear(side, fur, width, height, ear, pointed=pointed)
    layers.append(Layer(ellipse(0.0, 0.0, width, height), coat))
    pale = blend(fur, _WHITE, 0.55)
    snout = draws.between(0.22, 0.32)
    layers.append(Layer(ellipse(0.0, 0.30, snout + 0.06, snout), pale))
    eye, spacing = draws.between(0.085, 0.12), draws.between(0.23, 0.30)
    iris = draws.choice(((0.85, 0.65, 0.15), (0.45, 0.60, 0.25), (0.35, 0.22, 0.12), (0.90, 0.90, 0.88)))
    for side in (-1.0, 1.0):
        layers += [
            Layer(ellipse(side * spacing, -0.12, eye + 0.035, eye + 0.035), shade(fur, 0.45)),
            Layer(ellipse(side * spacing, -0.12, eye, eye), iris),
            Layer(ellipse(side * spacing, -0.12, eye * 0.55, eye * 0.75), _DARK),
            Layer(ellipse(side * spacing - 0.03, -0.16, 0.022, 0.022), _WHITE),
            Layer(bar(0.0, 0.34, side * 0.13, draws.between(0.38, 0.46), 0.022), _DARK),
        ]
    layers.append(Layer(bar(0.0, 0.22, 0.0, 0.36, 0.018), _DARK))
    layers.append(Layer(ellipse(0.0, 0.20, draws.between(0.09, 0.13), 0.075), _DARK))
    return layers


def _frontal_ear(side: float, fur: Color, width: float, height: float, ear: float, *, pointed: bool) -> list[Layer]:
    inner = blend(fur, (0.85, 0.55, 0.50), 0.5)
    if not pointed:
        x, y = side * width * 0.78, -height * 0.78
        return [Layer(ellipse(x, y, ear, ear), shade(fur, 0.85)), Layer(ellipse(x, y, ear * 0.6, ear * 0.6), inner)]
    tip = (side * width * 0.95, -height - ear * 1.3)
    root, base = (side * width * 0.20, -height * 0.80), (side * width * 0.98, -height * 0.20)
    middle = (sum(point[0] for point in (tip, root, base)) / 3, sum(point[1] for point in (tip, root, base)) / 3)
    small = [blend((*point, 0.0), (*middle, 0.0), 0.42)[:2] for point in (tip, root, base)]
    return [Layer(polygon(tip, root, base), shade(fur, 0.85)), Layer(polygon(*small), inner)]


def dresser(draws: Draws) -> list[Layer]:
    """A chest of drawers, seen from the front."""
    wood = _paint(draws, _WOODS)
    half_width, half_height = draws.between(0.55, 0.80), draws.between(0.48, 0.72)
    columns, rows = draws.count(1, 2), draws.count(2, 4)
    knob = draws.choice(_METALS)
    layers = [
        Layer(rectangle(x, half_height - 0.02, x + 0.10, half_height + 0.13), shade(wood, 0.55))
        for x in (-half_width + 0.03, half_width - 0.13)
    ]
    layers.append(Layer(rectangle(-half_width, -half_height, half_width, half_height), shade(wood, 0.72)))
    top = -half_height
    layers.append(Layer(rectangle(-half_width - 0.05, top - 0.06, half_width + 0.05, top + 0.03), shade(wood, 1.12)))
    wide, high = 2 * half_width / columns, (2 * half_height - 0.06) / rows
    for column in range(columns):
        for row in range(rows):
            left, upper = -half_width + column * wide, top + 0.05 + row * high
            layers.append(Layer(rectangle(left + 0.05, upper + 0.02, left + wide - 0.05, upper + high - 0.03), wood))
            for x in (0.5,) if columns == 2 else (0.25, 0.75):
                layers.append(Layer(ellipse(left + wide * x, upper + high / 2, 0.042, 0.042), knob))
    return layers


def sofa(draws: Draws) -> list[Layer]:
    cloth, foot = _paint(draws), shade(draws.choice(_WOODS), 0.6)
    half_width, back = draws.between(0.80, 0.95), draws.between(0.40, 0.55)
    cushions, arm = draws.count(2, 3), draws.between(0.16, 0.22)
    layers = [Layer(rectangle(x - 0.05, 0.36, x + 0.05, 0.52), foot) for x in (-half_width + 0.10, half_width - 0.10)]
    layers.append(Layer(rectangle(-half_width + 0.08, -back, half_width - 0.08, 0.30, corner=0.05), shade(cloth, 0.82)))
    seat = (2 * half_width - 2 * arm) / cushions
    for i in range(cushions):
        left = -half_width + arm + i * seat
        layers.append(Layer(rectangle(left + 0.015, -back + 0.07, left + seat - 0.015, 0.02, corner=0.03), cloth))
        layers.append(Layer(rectangle(left + 0.01, 0.04, left + seat - 0.01, 0.22, corner=0.03), shade(cloth, 1.14)))
    layers.append(Layer(rectangle(-half_width + 0.04, 0.22, half_width - 0.04, 0.40), shade(cloth, 0.66)))
    for side in (-1.0, 1.0):
        outer, inner = sorted((side * half_width, side * (half_width - arm)))
        layers.append(Layer(rectangle(outer, -0.14, inner, 0.40, corner=0.04), shade(cloth, 0.94)))
        layers.append(Layer(rectangle(outer, -0.14, inner, -0.06, corner=0.03), shade(cloth, 1.2)))
    return layers


def vehicle(draws: Draws) -> list[Layer]:
    """A boxy car from the side."""
    paint = _paint(draws)
    roof, hood = draws.between(-0.52, -0.36), draws.between(0.28, 0.46)
    rear = draws.between(-0.92, -0.80)
    layers = [
        Layer(polygon((rear + 0.08, roof), (hood - 0.22, roof), (hood, 0.0), (rear, 0.0)), paint),
        Layer(rectangle(rear - 0.03, -0.06, 0.95, 0.32, corner=0.05), paint),
        Layer(rectangle(rear - 0.05, 0.24, 0.98, 0.34), shade(paint, 0.5)),
    ]
    middle = (rear + hood) / 2 - 0.02
    for left, right, cut in ((rear + 0.10, middle - 0.03, 0.0), (middle + 0.03, hood - 0.07, 0.17)):
        panes = polygon((left + 0.02, roof + 0.08), (right - cut, roof + 0.08), (right, -0.06), (left, -0.06))
        layers.append(Layer(panes, _GLASS))
    layers.append(Layer(rectangle(middle - 0.012, -0.04, middle + 0.012, 0.24), shade(paint, 0.6)))
    layers.append(Layer(rectangle(0.86, 0.02, 0.95, 0.11), (0.98, 0.94, 0.66)))
    layers.append(Layer(rectangle(rear - 0.03, 0.02, rear + 0.04, 0.12), (0.75, 0.12, 0.10)))
    radius = draws.between(0.17, 0.22)
    for x in (rear + 0.32, 0.60):
        layers += [
            Layer(ellipse(x, 0.32, radius, radius), _DARK),
            Layer(ellipse(x, 0.32, radius * 0.5, radius * 0.5), (0.70, 0.71, 0.73)),
        ]
    return layers


def bookcase(draws: Draws) -> list[Layer]:
    """Shelves full of books."""
    wood = _paint(draws, _WOODS)
    half_width, half_height = draws.between(0.48, 0.66), draws.between(0.74, 0.90)
    shelves = draws.count(3, 5)
    layers = [
        Layer(rectangle(-half_width, -half_height, half_width, half_height), wood),
        Layer(
            rectangle(-half_width + 0.07, -half_height + 0.07, half_width - 0.07, half_height - 0.07), shade(wood, 0.3)
        ),
    ]
    step = (2 * half_height - 0.07) / shelves
    for shelf in range(shelves):
        floor = -half_height + 0.07 + (shelf + 1) * step - 0.05
        layers.append(_books(draws, -half_width + 0.09, half_width - 0.09, floor, step - 0.07))
        layers.append(Layer(rectangle(-half_width + 0.04, floor, half_width - 0.04, floor + 0.05), wood))
    return layers


def _books(draws: Draws, left: float, right: float, floor: float, room: float) -> Layer:
    """A row of upright books, one layer: books are looked up by their place on the shelf."""
    count = draws.count(6, 9)
    edges = left + np.concatenate([[0.0], np.cumsum(0.4 + draws.array((count,)))])
    edges = (left + (edges - left) * (right - left) / (edges[-1] - left)).astype(np.float32)
    colors = np.array([draws.hue_color(saturation=(0.2, 0.75), value=(0.25, 0.95)) for _ in range(count)]).T
    colors = colors.astype(np.float32)
    tops = (floor - room * (0.70 + 0.28 * draws.array((count,)))).astype(np.float32)

    def place(x: np.ndarray) -> np.ndarray:
        return np.clip(np.searchsorted(edges, x) - 1, 0, count - 1)

    def distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        book = place(x)
        across = np.minimum(x - edges[book], edges[book + 1] - x)
        return np.maximum(np.maximum(y - floor, tops[book] - y), 0.008 - across)

    return Layer(Shape((left, floor - room, right, floor), distance), lambda x, y: colors[:, place(x)])


def mug(draws: Draws) -> list[Layer]:
    paint = _paint(draws)
    half_width, height = draws.between(0.40, 0.50), draws.between(0.48, 0.62)
    handle = ring(half_width + 0.06, draws.between(-0.06, 0.06), 0.24, draws.between(0.26, 0.34), 0.065)
    rim = 0.15
    wall = union(
        polygon(
            (-half_width, -height), (half_width, -height), (half_width * 0.86, height), (-half_width * 0.86, height)
        ),
        ellipse(0.0, height, half_width * 0.86, rim * 0.8),
    )
    return [
        Layer(handle, shade(paint, 0.75)),
        Layer(wall, _rounded(paint, half_width)),
        Layer(ellipse(0.0, -height, half_width, rim), shade(paint, 1.25)),
        Layer(ellipse(0.0, -height + 0.015, half_width - 0.06, rim - 0.045), shade(paint, 0.4)),
    ]


def bottle(draws: Draws) -> list[Layer]:
    glass = _paint(draws)
    half_width, shoulder = draws.between(0.22, 0.34), draws.between(-0.25, -0.02)
    neck = draws.between(0.08, 0.12)
    layers = [
        Layer(
            union(
                rectangle(-half_width, shoulder, half_width, 0.90, corner=0.10),
                ellipse(0.0, shoulder + 0.06, half_width, half_width * 1.1),
                rectangle(-neck, -0.86, neck, shoulder),
            ),
            _rounded(glass, half_width),
        ),
        Layer(rectangle(-neck - 0.025, -0.96, neck + 0.025, -0.78, corner=0.03), draws.hue_color()),
    ]
    if draws.chance(0.6):
        label = draws.hue_color(saturation=(0.0, 0.5), value=(0.7, 1.0))
        layers.append(Layer(rectangle(-half_width, shoulder + 0.28, half_width, 0.60), _rounded(label, half_width)))
    layers.append(Layer(bar(-half_width * 0.55, shoulder + 0.15, -half_width * 0.55, 0.72, 0.03), _WHITE, 0.45))
    return layers


def round_thing(draws: Draws) -> list[Layer]:
    """A fruit with stem and leaf, or a ball with bands."""
    paint = _paint(draws)
    disk = ellipse(0.0, 0.0, draws.between(0.58, 0.66), draws.between(0.56, 0.66))
    layers = []
    if draws.chance(0.6):
        lean = draws.between(-0.12, 0.12)
        layers.append(Layer(bar(0.0, -0.50, lean, -0.84, 0.045, 0.03), (0.32, 0.22, 0.12)))
        if draws.chance(0.6):
            layers.append(Layer(ellipse(lean + 0.20, -0.76, 0.19, 0.08, tilt=-0.35), (0.25, 0.50, 0.18)))
        layers.append(Layer(disk, paint))
    else:
        layers.append(Layer(disk, paint))
        band = draws.hue_color(value=(0.6, 1.0))
        middle, bend, half_width = draws.between(-0.15, 0.15), draws.between(-0.6, 0.6), draws.between(0.08, 0.18)
        layers.append(
            Layer(
                disk,
                band,
                lambda x, y: np.clip(0.5 + (half_width - np.abs(y - middle - bend * x * x)) / 0.04, 0.0, 1.0),
            )
        )
    layers.append(Layer(disk, _DARK, lambda x, y: 0.62 * np.clip(0.9 * (x + y) + 0.25 * (x * x + y * y), 0.0, 1.0)))
    layers.append(Layer(ellipse(-0.22, -0.24, 0.13, 0.10, tilt=-0.6), _WHITE, 0.75))
    return layers


def key(draws: Draws) -> list[Layer]:
    metal = draws.choice(_METALS) if draws.chance(0.5) else draws.hue_color(saturation=(0.15, 0.7))
    bow = draws.between(0.24, 0.32)
    shape = union(
        ring(0.0, -0.60, bow, bow * draws.between(0.85, 1.1), 0.085),
        bar(0.0, -0.60 + bow, 0.0, 0.86, 0.075),
        *(
            rectangle(0.0, y, draws.between(0.18, 0.32), y + draws.between(0.09, 0.13), corner=0.02)
            for y in (0.40, 0.62, 0.78)[: draws.count(2, 3)]
        ),
    )
    return [
        Layer(grown(shape, 0.03), shade(metal, 0.5)),
        Layer(shape, metal),
        Layer(bar(-0.03, -0.60 + bow, -0.03, 0.80, 0.018), _WHITE, 0.5),
    ]


def _skin(draws: Draws) -> Color:
    """A tone of a ramp of five, or between two neighbors."""
    tone = draws.between(0.0, len(_SKINS) - 1.0)
    return blend(_SKINS[int(tone)], _SKINS[int(tone) + 1], tone % 1.0)


def _fur(draws: Draws) -> Color:
    return shade(blend(draws.choice(_FURS), draws.hue_color(), 0.15), draws.between(0.85, 1.1))


def _coat(draws: Draws, fur: Color) -> Field:
    """Fur with stripes, or with mottles."""
    dark, depth = shade(fur, 0.35), draws.between(0.4, 0.95)
    phase, other = draws.between(0.0, 6.28), draws.between(0.0, 6.28)
    if draws.chance(0.5):
        rate, slant = draws.between(18.0, 28.0), draws.between(-0.3, 0.3)

        def stripes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
            return depth * np.clip(
                0.2 + 1.6 * np.sin(rate * (x + slant * y) + 0.8 * np.sin(5.0 * y + other) + phase), 0, 1
            )

        return mixture(fur, dark, stripes)
    rate = draws.between(7.0, 13.0)

    def mottles(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        waves = np.sin(rate * x + 1.3 * np.sin(4.0 * y) + phase) * np.sin(rate * y + 1.3 * np.sin(5.0 * x) + other)
        return depth * 0.7 * np.clip(1.5 * waves, 0, 1)

    return mixture(fur, dark, mottles)


def _paint(draws: Draws, usual: tuple[Color, ...] = ()) -> Color:
    """One of the usual colors now and then, otherwise of any hue."""
    if usual and draws.chance(0.6):
        return shade(draws.choice(usual), draws.between(0.8, 1.15))
    return draws.hue_color(saturation=(0.15, 0.7))


def _rounded(color: Color, half_width: float) -> Field:
    """The shading of an upright cylinder, lit from the left."""
    return textured(color, lambda x, y: 1.08 - 0.5 * np.clip((x / half_width + 0.5) / 1.5, 0.0, 1.0) ** 2)


def _intersection(first: Shape, second: Shape) -> Shape:
    return Shape(first.box, lambda x, y: np.maximum(first.distance(x, y), second.distance(x, y)))


Painter = Callable[[Draws], list[Layer]]
BIG: tuple[Painter, ...] = (dresser, sofa, vehicle, bookcase)
SMALL: tuple[Painter, ...] = (mug, bottle, round_thing, key)
