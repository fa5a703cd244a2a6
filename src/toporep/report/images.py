"""Images inside the page: the pixels of the figures, unchanged, in fewer bytes."""

from __future__ import annotations

import base64
import io
import os
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from toporep.errors import TopoRepError


@dataclass(frozen=True)
class Embedded:
    """An image in a page.

    Attributes:
        uri: the image itself, as a `data:` URI.
        width, height: in pixels.
    """

    uri: str
    width: int
    height: int


def embed(path: str | os.PathLike) -> Embedded:
    """Read a PNG and write it as lossless WebP, which takes less than half the bytes of a figure's PNG.

    Args:
        path: of the PNG.

    Raises:
        TopoRepError: the file is no image, or cut off.
    """
    try:
        with Image.open(path) as image:
            picture = _without_empty_alpha(image)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise TopoRepError(f"{path}: not a whole image ({error}); remove it and make it again") from error
    buffer = io.BytesIO()
    # Which bits WebP spends on searching: the default of 4 takes three times as long and saves a fiftieth.
    picture.save(buffer, "WEBP", lossless=True, quality=50, method=2)
    uri = f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    return Embedded(uri, *picture.size)


def _without_empty_alpha(image: Image.Image) -> Image.Image:
    picture = image.convert("RGBA")
    lowest, _ = picture.getchannel("A").getextrema()
    return picture.convert("RGB") if lowest == 255 else picture
