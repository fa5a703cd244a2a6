"""dSprites: the 50,625 images that Keller & Welling (2021) use, from the official file or rendered."""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from toporep.data.sprites import FACTORS, SHAPES, SIDE, SIZES, average_blocks, render_sprites
from toporep.errors import TopoRepError

__all__ = [
    "FACTORS",
    "SHAPES",
    "SIZES",
    "SUBSET",
    "SUBSET_SIZES",
    "generate",
    "read_dsprites",
    "render_sprites",
    "subset_factors",
    "subset_indices",
    "without_test",
]

VERSION = 1
# Classes that the paper's sequences go through: the largest five scales, every second orientation and position
# (Keller & Welling 2021, appendix, and the published code).
SUBSET = (range(3), range(1, 6), range(0, 29, 2), range(0, 29, 2), range(0, 29, 2))
SUBSET_SIZES = tuple(len(classes) for classes in SUBSET)

_BLOCK = 2025


def subset_factors() -> np.ndarray:
    """Official classes (50625, 5) int64 of the images of the subset, columns as in `FACTORS`.

    Image i has the mixed-radix digits of i over (3, 5, 15, 15, 15), posY last and fastest.
    """
    grid = np.meshgrid(*SUBSET, indexing="ij")
    return np.stack([classes.ravel() for classes in grid], axis=1)


def subset_indices() -> np.ndarray:
    """Place (50625,) int64 of each image of the subset among the 737,280 of the official file."""
    return np.ravel_multi_index(tuple(subset_factors().T), SIZES)


def generate(*, size: int) -> tuple[tuple[np.ndarray, ...], str]:
    """((images_train, label_train, images_test, label_test), origin): the subset, rendered; nothing to test on.

    images_train is (50625, size, size, 1) uint8 0..255 in the order of `subset_factors`: frames of 64 x 64 pixels,
    averaged over blocks where `size` (a divisor of 64) is smaller. label_train is the shape.
    """
    factors = subset_factors()
    images = np.empty((len(factors), size, size, 1), dtype=np.uint8)
    for start in range(0, len(factors), _BLOCK):
        block = slice(start, start + _BLOCK)
        images[block, ..., 0] = average_blocks(render_sprites(*factors[block].T), SIDE // size)
    return without_test(images), f"sprites renderer {VERSION}, subset of {len(images)}"


def without_test(images: np.ndarray) -> tuple[np.ndarray, ...]:
    """(images, shapes, no images, no labels): dSprites has no split, and the paper evaluates on what it trained on."""
    shapes = subset_factors()[:, 0]
    return images, shapes, images[:0], shapes[:0]


def read_dsprites(path: str | os.PathLike, image_shape: tuple[int, int, int] = (SIDE, SIDE, 1)) -> np.ndarray:
    """The subset (50625, rows, columns, 1) uint8, 0 and 255, of the official npz, in the order of `subset_factors`.

    Only the array `imgs` (737280, rows, columns) is opened. It is read as a stream, the 1024 images of one shape,
    scale and orientation at a time, because the whole of it fills 3 GB; nothing is unpickled.

    Raises TopoRepError naming the file when it is damaged, lacks `imgs`, or `imgs` has another shape, dtype or values.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if "imgs.npy" not in names:
                arrays = ", ".join(name.removesuffix(".npy") for name in names)
                raise TopoRepError(f"{path}: array 'imgs' is missing (found {arrays or 'nothing'})")
            with archive.open("imgs.npy") as stream:
                return _subset_of(stream, image_shape, path)
    except (TopoRepError, FileNotFoundError):
        raise
    except Exception as error:
        # A damaged zip raises almost anything: BadZipFile, zlib.error, struct.error, EOFError, ...
        raise TopoRepError(f"{path}: cannot be read as npz, perhaps truncated ({error})") from error


def _subset_of(stream: IO[bytes], image_shape: tuple[int, int, int], path: Path) -> np.ndarray:
    rows, columns, _ = image_shape
    _check_header(stream, (math.prod(SIZES), rows, columns), path)
    *turning, across, down = SIZES
    images = np.empty((*SUBSET_SIZES, *image_shape), dtype=np.uint8)
    kept = [{value: place for place, value in enumerate(classes)} for classes in SUBSET[:3]]
    positions = np.ix_(*SUBSET[3:])
    for classes in np.ndindex(*turning):
        block = _read_images(stream, (across, down, rows, columns), path)
        if all(value in places for value, places in zip(classes, kept, strict=True)):
            place = tuple(places[value] for value, places in zip(classes, kept, strict=True))
            images[place] = 255 * block[positions][..., np.newaxis]
    # The zip's own checksum is compared when its end has been read.
    if stream.read(1):
        raise TopoRepError(f"{path}: array 'imgs' holds more bytes than its shape asks for")
    return images.reshape(-1, *image_shape)


def _check_header(stream: IO[bytes], shape: tuple[int, ...], path: Path) -> None:
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise TopoRepError(f"{path}: array 'imgs' is stored in version {version} of NumPy's format, expected 1 or 2")
    reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    found, column_major, dtype = reader(stream)
    if found != shape or dtype != np.uint8 or column_major:
        order = ", column-major" if column_major else ""
        raise TopoRepError(f"{path}: expected array 'imgs' as uint8 of shape {shape}, found {dtype} of {found}{order}")


def _read_images(stream: IO[bytes], shape: tuple[int, ...], path: Path) -> np.ndarray:
    content = stream.read(math.prod(shape))
    if len(content) != math.prod(shape):
        raise TopoRepError(f"{path}: array 'imgs' ends too early, perhaps truncated")
    block = np.frombuffer(content, dtype=np.uint8).reshape(shape)
    if block.max() > 1:
        raise TopoRepError(f"{path}: expected pixels 0 and 1 in array 'imgs', found {block.max()}")
    return block
