"""Appendix Figure 7: test images with the noise that the networks see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from toporep.errors import TopoRepError
from toporep.figures import style
from toporep.io import read_dataset
from toporep.stimuli.noise import KINDS, add_noise

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

_NONE = "none"
_TITLES = {_NONE: "no noise", "white": "white", "pink": "pink", "salt_pepper": "salt & pepper"}
# Lay-out in inches.
_LEFT, _RIGHT, _HEAD, _GAP, _BETWEEN, _LARGEST = 0.8, 0.06, 0.46, 0.03, 0.22, 0.7


class _Picture(NamedTuple):
    """One image as drawn: pixels (rows, cols, 3) uint8, grey images with three equal channels."""

    kind: str
    level: float
    stimulus: int
    label: int
    pixels: np.ndarray


def draw(
    inputs: Mapping[str, Path],
    *,
    kinds: Sequence[str] = KINDS,
    levels: Sequence[float] = (0.01, 0.05, 0.1, 0.15, 0.2),
    seed: int = 0,
    clip: bool = True,
    amplitude_exponent: float = 1.0,
    replace: bool = True,
) -> tuple[Figure, pd.DataFrame]:
    """Draw one block a dataset: one row a kind of noise, the first without, one column a level and image.

    The images are the first of the test set in each of the first classes, another one for each level.

    Args:
        inputs: dataset → prepared images, in panel order.
        kinds, levels: of noise, see `add_noise`.
        seed, clip, amplitude_exponent, replace: as in the evaluation, so that the noise is the one that networks see.

    Returns:
        The figure, and a table with one row a pixel: dataset, source, kind, level (NaN without noise), stimulus (index
        in the test set), label, image_row, image_col, red, green, blue (0 to 255, rounded and limited as drawn).

    Raises:
        TopoRepError: an unknown kind or level, fewer classes than levels.

    Source: Truong & Hasson 2025, section 2.3 and Appendix Figure 7.
    """
    options = {"seed": seed, "clip": clip, "amplitude_exponent": amplitude_exponent, "replace": replace}
    prepared = {name: read_dataset(path, "images") for name, path in inputs.items()}
    blocks = {
        name: _pictures(images, kinds, levels, options, where=str(inputs[name])) for name, images in prepared.items()
    }
    with style.context():
        figure = _draw(blocks, prepared, [_NONE, *kinds], levels, lines=_small_print(prepared, options))
    return figure, _table(blocks, prepared)


def _pictures(
    images: xr.Dataset, kinds: Sequence[str], levels: Sequence[float], options: Mapping[str, object], *, where: str
) -> list[_Picture]:
    labels = images["label_test"].values
    classes, first_of_class = np.unique(labels, return_index=True)
    if not 1 <= len(levels) <= len(classes):
        raise TopoRepError(
            f"levels: expected 1 to {len(classes)}, an image of another class of {where} for each, found {len(levels)}"
        )
    pictures = []
    for level, stimulus in zip(levels, first_of_class.tolist(), strict=False):
        image = images["images_test"].values[stimulus : stimulus + 1]
        noisy = {kind: add_noise(image, kind, level, first_index=stimulus, **options) for kind in kinds}
        clean = {_NONE: image / np.float32(255)}
        for kind, shown in {**clean, **noisy}.items():
            of = np.nan if kind == _NONE else float(level)
            pictures.append(_Picture(kind, of, stimulus, int(labels[stimulus]), _screen(shown[0])))
    return pictures


def _screen(image: np.ndarray) -> np.ndarray:
    """(rows, cols, channels) in 0 to 1 as the 8-bit colors drawn; without clipping the noise may leave that range."""
    pixels = np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def _draw(
    blocks: Mapping[str, Sequence[_Picture]],
    prepared: Mapping[str, xr.Dataset],
    kinds: Sequence[str],
    levels: Sequence[float],
    *,
    lines: Sequence[str],
) -> Figure:
    small_print = style.SmallPrint(lines, left=0.07)
    count = len(levels)
    free = style.PAGE_WIDTH - _LEFT - _RIGHT - (len(blocks) - 1) * _BETWEEN - len(blocks) * (count - 1) * _GAP
    side = min(free / (len(blocks) * count), _LARGEST)
    height = _HEAD + len(kinds) * (side + _GAP) + 0.1 + small_print.height
    figure = Figure(figsize=(style.PAGE_WIDTH, height))
    for block, (name, pictures) in enumerate(blocks.items()):
        left = _LEFT + block * (count * (side + _GAP) + _BETWEEN)
        title = style.dataset_title(name, str(prepared[name].attrs["source"]))
        _text(figure, left, 0.2, title, fontsize=8, fontweight="bold", va="bottom")
        for column, level in enumerate(levels):
            middle = left + column * (side + _GAP) + side / 2
            _text(figure, middle, _HEAD - 0.04, style.strength_label(level), ha="center", va="bottom", fontsize=6.5)
        for index, picture in enumerate(pictures):
            column, row = divmod(index, len(kinds))
            x, y = left + column * (side + _GAP), height - _HEAD - row * (side + _GAP) - side
            place = (x / style.PAGE_WIDTH, y / height, side / style.PAGE_WIDTH, side / height)
            _show(figure.add_axes(place), picture)
    _text(figure, _LEFT - 0.08, _HEAD - 0.04, "level", ha="right", va="bottom", fontsize=6.5)
    for row, kind in enumerate(kinds):
        middle = _HEAD + row * (side + _GAP) + side / 2
        _text(figure, _LEFT - 0.08, middle, _TITLES.get(kind, kind), ha="right", va="center")
    small_print.draw(figure)
    return figure


def _show(axes: Axes, picture: _Picture) -> None:
    axes.imshow(picture.pixels, interpolation="nearest", origin="upper")
    axes.set_axis_off()


def _text(figure: Figure, x: float, from_top: float, text: str, **options: object) -> None:
    figure.text(x / style.PAGE_WIDTH, 1 - from_top / figure.get_figheight(), text, **options)


def _table(blocks: Mapping[str, Sequence[_Picture]], prepared: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    import pandas as pd

    tables = []
    for name, pictures in blocks.items():
        for picture in pictures:
            row, col = np.indices(picture.pixels.shape[:2]).reshape(2, -1)
            red, green, blue = picture.pixels.reshape(-1, 3).T
            columns = {
                "dataset": name,
                "source": prepared[name].attrs["source"],
                **{key: getattr(picture, key) for key in ("kind", "level", "stimulus", "label")},
                **{"image_row": row, "image_col": col, "red": red, "green": green, "blue": blue},
            }
            tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _small_print(prepared: Mapping[str, xr.Dataset], options: Mapping[str, object]) -> list[str]:
    power = f"1/f^{2 * float(options['amplitude_exponent']):g}".replace("^2", "²")
    sources = "; ".join(
        f"{style.dataset_title(name, str(images.attrs['source']))}: {images.attrs['source_title']}"
        for name, images in prepared.items()
    )
    return [
        "Test images, another one for each level: the first of each of the first classes in the test set. Level: SD "
        "of white and pink noise in units of the pixel range; for salt and pepper, the share of pixels drawn, "
        f"{'with' if options['replace'] else 'without'} replacement, in all channels together. Pink: power falls as "
        f"{power}. {'Noisy images are limited to 0 to 1' if options['clip'] else 'Noise may leave 0 to 1'} before they "
        "are normalized for the networks. The realisation is the one that the networks see (noise seed "
        f"{options['seed']}). No network, so nothing is averaged.",
        f"{sources}.",
    ]
