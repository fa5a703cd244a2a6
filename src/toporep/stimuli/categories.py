"""Rendered images of faces, bodies, hands, scenes, objects and animals, for maps of category selectivity.

A stand-in for photographs that need a license or a registration (Keller, Gao & Welling 2021 use ImageNet, VGGFace2,
Places365, pictures of bodies and hands, and the sets of animate, inanimate, big and small things by Konkle's group).
What they share makes maps of several contrasts worth comparing: frontal animal heads have eyes and curves as faces
have, big things and scenes have straight edges. They are drawings, and no evidence about photographs.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

import numpy as np

from toporep import rng
from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_choice
from toporep.stimuli import category_figures as figures
from toporep.stimuli.canvas import Canvas, Draws, Layer, bounding_box
from toporep.stimuli.category_scenes import paint_ground, paint_scene

CATEGORIES = ("face", "body", "hand", "scene", "object", "animate", "big", "small", "inanimate")
SPLITS = ("train", "test")
GROUNDS = ("usual", "plain", "textured")
PLAIN_LEVEL = 0.97

# Diagonal of an animal's or artefact's box at scale 1, in half widths of the image: one retinal size for all.
_DIAGONAL = 1.75
_MATCHED = ("animate", "big", "small")
# In radians, in either direction.
_LARGEST_ANGLE = {"face": 0.25, "body": 0.15, "hand": math.pi, "animate": 0.15, "big": 0.10, "small": 0.6}
_PAINTERS = {
    "face": (figures.face,),
    "body": (figures.body,),
    "hand": (figures.hand,),
    "big": figures.BIG,
    "small": figures.SMALL,
}
_SMALLEST = 8


def render_category(
    category: str,
    seed: int,
    indices: Sequence[int] | np.ndarray,
    *,
    size: int = 64,
    split: str = "train",
    ground: str = "usual",
) -> np.ndarray:
    """Images of one category.

    An image is a pure function of (seed, category, split, index): it does not depend on the other images asked for.
    Size changes only its resolution. Every figure has a random scale (0.7 to 1.1), shift (up to 0.2 half widths of the
    image in x and y) and rotation, and is mirrored or not.

    - "face": frontal, tilted by up to 0.25 radians, 40 % with long hair. "body": headless, upright.
      "hand": at any rotation, half of them on plain ground.
    - "scene": a street, a room or a landscape that fills the frame, without a figure.
    - "object": an animal or artefact, any of those below.
    - "animate": 40 % quadrupeds from the side, 60 % frontal animal heads.
    - "big": dresser, sofa, vehicle, bookcase. "small": mug, bottle, ball or fruit, key.
    - "inanimate": big and small together: image 2j is image j of "big", image 2j + 1 is image j of "small".

    "animate", "big" and "small" lie on plain ground (97 % gray), as Konkle's sets do, and in retinal size they are
    matched: at scale 1 the box about each animal or artefact has one diagonal. The other figures lie on textured
    ground: a random color with a gradient and noise of several octaves.

    Args:
        category: one of `CATEGORIES`.
        seed: names the whole collection.
        indices: (n,) integers of at least 0, in any order.
        size: width and height in pixels, at least 8.
        split: "train" or "test", which share no image.
        ground: "plain" or "textured" instead of the usual ground of the category; for "scene" only "usual".

    Returns:
        (n, size, size, 3) uint8.

    Raises:
        TopoRepError: an unknown category, split or ground; an index below 0; an image too small.
    """
    check_choice(category, "category", CATEGORIES)
    check_choice(split, "split", SPLITS)
    check_choice(ground, "ground", GROUNDS)
    if category == "scene" and ground != "usual":
        raise TopoRepError(f"ground: a scene fills its image; expected 'usual', found {ground!r}")
    size, places = _check_size(size), _check_indices(indices)
    images = np.empty((len(places), size, size, 3), dtype=np.uint8)
    for image, index in zip(images, places.tolist(), strict=True):
        image[:] = _render(category, seed, index, size=size, split=split, ground=ground)
    return images


def _render(category: str, seed: int, index: int, *, size: int, split: str, ground: str) -> np.ndarray:
    if category == "inanimate":
        category, index = ("big", "small")[index % 2], index // 2
    draws = Draws(rng.key(seed, f"category stimuli/{category}/{split}", index))
    canvas = Canvas(size, (PLAIN_LEVEL,) * 3)
    if category == "scene":
        paint_scene(canvas, draws)
        return canvas.pixels()
    usual = _usual_ground(category, draws)
    if (usual if ground == "usual" else ground) == "textured":
        paint_ground(canvas, Draws(rng.key(seed, f"category stimuli/{category}/{split}/ground", index)))
    _paint_figure(canvas, category, draws)
    return canvas.pixels()


def _usual_ground(category: str, draws: Draws) -> str:
    if category in _MATCHED:
        return "plain"
    return "plain" if category == "hand" and draws.chance(0.5) else "textured"


def _paint_figure(canvas: Canvas, category: str, draws: Draws) -> None:
    kind = draws.choice(("animate", "big", "small")) if category == "object" else category
    scale, x, y = draws.between(0.7, 1.1), draws.between(-0.2, 0.2), draws.between(-0.2, 0.2)
    angle, mirror = draws.between(-1.0, 1.0) * _LARGEST_ANGLE[kind], draws.chance(0.5)
    layers = _painter(kind, draws)(draws)
    if kind in _MATCHED:
        _place_matched(canvas, layers, scale=scale, x=x, y=y, angle=angle, mirror=mirror)
    else:
        canvas.place(scale=scale, x=x, y=y, angle=angle, mirror=mirror)
    for layer in layers:
        canvas.paint(layer)


def _painter(kind: str, draws: Draws) -> figures.Painter:
    if kind == "animate":
        return figures.quadruped if draws.chance(0.4) else figures.animal_head
    return draws.choice(_PAINTERS[kind])


def _place_matched(
    canvas: Canvas, layers: list[Layer], *, scale: float, x: float, y: float, angle: float, mirror: bool
) -> None:
    """Center the box about all layers at (x, y), its diagonal `scale` times the common one."""
    left, top, right, bottom = bounding_box([layer.shape for layer in layers])
    unit = scale * _DIAGONAL / math.hypot(right - left, bottom - top)
    middle_x, middle_y = unit * (left + right) / 2 * (-1.0 if mirror else 1.0), unit * (top + bottom) / 2
    cosine, sine = math.cos(angle), math.sin(angle)
    canvas.place(
        scale=unit,
        x=x - (cosine * middle_x - sine * middle_y),
        y=y - (sine * middle_x + cosine * middle_y),
        angle=angle,
        mirror=mirror,
    )


def _check_size(size: int) -> int:
    try:
        number = operator.index(size)
    except TypeError:
        number = 0
    if number < _SMALLEST:
        raise TopoRepError(f"size: expected an integer of at least {_SMALLEST} pixels, found {size!r}")
    return number


def _check_indices(indices: Sequence[int] | np.ndarray) -> np.ndarray:
    places = np.asarray(indices)
    if places.size == 0 and places.ndim == 1:
        return places.astype(np.int64)
    if places.ndim != 1 or places.dtype.kind not in "iu":
        raise TopoRepError(f"indices: expected a list of integers, found {places.dtype} of shape {places.shape}")
    if places.min() < 0:
        raise TopoRepError(f"indices: expected 0 or more, found {places.min()}")
    return places
