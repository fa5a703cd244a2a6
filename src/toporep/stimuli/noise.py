"""Noise on images: white, pink, salt and pepper (Truong & Hasson 2025, Fig. 4 and App. Fig. 7)."""

from __future__ import annotations

import math

import numpy as np
import scipy.fft

from toporep import rng
from toporep.errors import TopoRepError

KINDS = ("white", "pink", "salt_pepper")
# Images are taken in blocks, so that memory besides the result is a few megabytes.
_BLOCK_VALUES = 1 << 18


def add_noise(
    images: np.ndarray,
    kind: str,
    level: float,
    *,
    seed: int = 0,
    repetition: int = 0,
    first_index: int = 0,
    clip: bool = True,
    amplitude_exponent: float = 1.0,
    replace: bool = True,
) -> np.ndarray:
    """Add noise to images before they are normalized for a network.

    The noise of an image depends on (seed, kind, level, repetition) and the image's index alone: it is the same
    for every model and however the images are divided into batches. Each kind and level has its own realization.

    Args:
        images: (images, rows, cols, channels), uint8, or floating point within 0 to 1.
        kind: "white" adds level * N(0, 1), independent for each pixel and channel; "pink" adds level * `pink_noise`,
            independent for each channel; "salt_pepper" sets pixels, in all channels together, to 0 or 1.
        level: standard deviation of white and pink noise, in units of the full pixel range; for "salt_pepper" the
            number of draws as a share of the pixels: floor(rows * cols * level) draws of a pixel and a value, each
            of 0 and 1 with probability 1/2.
        seed: names the noise, together with kind, level (to 6 digits) and repetition.
        repetition: tells several realizations of one kind and level apart.
        first_index: index of the first of `images` in the whole set; an image's noise goes by its index there.
        clip: limit the result to 0 to 1, as the published code does.
        amplitude_exponent: of pink noise, see `pink_noise`.
        replace: draw pixels for "salt_pepper" with replacement, as the published code does: a later draw overwrites
            an earlier one, and a level of 0.2 reaches about 0.1806 of the pixels. False reaches every drawn pixel
            once.

    Returns:
        (images, rows, cols, channels) float32, a new array, in units of the full pixel range.

    Raises:
        TopoRepError: images of another shape, type or range; an unknown kind; a level out of range; a negative
            repetition or index.

    Source:
        Truong & Hasson 2025, sec. 3.2, in the published code's reading; its levels are 0.01, 0.05, 0.1, 0.15, 0.2.
    """
    _check_options(kind, level, repetition, first_index)
    level, noisy = float(level), _unit_range(images)
    stream = rng.key(seed, f"image noise/{kind}/{level:.6g}", repetition)
    block = max(1, _BLOCK_VALUES // math.prod(noisy.shape[1:]))
    for start in range(0, len(noisy), block):
        part, index = noisy[start : start + block], first_index + start
        count, rows, cols, channels = part.shape
        if kind == "white":
            part += level * _standard_normal(stream, part.shape, index)
        elif kind == "pink":
            white = _standard_normal(stream, (count, channels, rows, cols), index)
            part += level * np.moveaxis(pink_noise(white, amplitude_exponent=amplitude_exponent), 1, -1)
        else:
            _salt_and_pepper(part, level, stream, index, replace=replace)
        if clip:
            np.clip(part, 0.0, 1.0, out=part)
    return noisy


def pink_noise(white: np.ndarray, *, amplitude_exponent: float = 1.0) -> np.ndarray:
    """Filter white noise so that its spectral amplitude falls as f ** -amplitude_exponent.

    f is the radial spatial frequency in cycles per pixel. The result has mean 0 and population standard deviation 1
    in every image.

    Args:
        white: (..., rows, cols) floating point, at least 2 pixels; float32 stays float32.
        amplitude_exponent: 1.0, the published code's filter, whose power falls as 1 / f ** 2; 0.5 is pink noise as
            the paper defines it, "power inversely proportional to frequency" (docs/deviations.md, D14).

    Returns:
        (..., rows, cols), the type of `white`; NaN for a constant image, which has no spectrum to shape.

    Raises:
        TopoRepError: not floating point, fewer than 2 pixels, an exponent that is not finite.
    """
    white = np.asarray(white)
    if white.dtype.kind != "f" or white.ndim < 2 or math.prod(white.shape[-2:]) < 2:
        raise TopoRepError(
            "white: expected floating point (..., rows, cols) of at least 2 pixels, "
            f"found {white.dtype} of shape {white.shape}"
        )
    if not math.isfinite(amplitude_exponent):
        raise TopoRepError(f"amplitude_exponent: expected a finite number, found {amplitude_exponent}")
    rows, cols = white.shape[-2:]
    frequency = np.hypot(scipy.fft.fftfreq(rows)[:, np.newaxis], scipy.fft.rfftfreq(cols))
    # The published code divides the zeroth coefficient by 1 and removes the mean afterwards: no matter by what.
    frequency[0, 0] = 1.0
    gain = frequency**-amplitude_exponent
    gain[0, 0] = 0.0
    # Less its first pixel, a constant image is exactly zero; filtered as it is, it might leave rounding noise.
    spectrum = scipy.fft.rfft2(white - white[..., :1, :1])
    spectrum *= gain.astype(white.dtype)
    field = scipy.fft.irfft2(spectrum, s=(rows, cols), overwrite_x=True)
    deviation = np.sqrt(np.mean(field * field, axis=(-2, -1), keepdims=True))
    return np.divide(field, deviation, out=np.full_like(field, np.nan), where=deviation > 0)


def _standard_normal(stream: int, shape: tuple[int, ...], first_index: int) -> np.ndarray:
    """Standard normal float32 (images, ...): image i's, from outputs of its own, by Box & Muller's transformation."""
    count, values = shape[0], math.prod(shape[1:])
    pairs = -(-values // 2)
    outputs = rng.bits(stream, count * pairs, offset=first_index * pairs)
    # The upper 32 bits give the radius, at most 6.8, the lower ones the angle: arithmetic of NumPy's that is fast
    # in single precision.
    radius = (outputs >> np.uint64(32)).astype(np.float32)
    radius = np.sqrt(-2.0 * np.log((radius + np.float32(0.5)) * np.float32(2.0**-32)))
    angle = (outputs.astype(np.uint32) >> np.uint32(8)).astype(np.float32) * np.float32(2 * math.pi * 2.0**-24)
    normal = np.empty((count, 2, pairs), dtype=np.float32)
    for half, wave in enumerate((np.cos, np.sin)):
        np.multiply(radius.reshape(count, pairs), wave(angle).reshape(count, pairs), out=normal[:, half])
    return normal.reshape(count, 2 * pairs)[:, :values].reshape(shape)


def _salt_and_pepper(images: np.ndarray, level: float, stream: int, first_index: int, *, replace: bool) -> None:
    """Set the drawn pixels of float32 (images, rows, cols, channels), in place."""
    count, rows, cols, channels = images.shape
    pixels = rows * cols
    # Rounded, so that 29 % of 100 pixels, 28.999999999999996 in binary, are 29.
    draws = math.floor(round(pixels * level, 9))
    if not draws:
        return
    per_image = draws if replace else pixels
    outputs = rng.bits(stream, count * per_image, offset=first_index * per_image).reshape(count, per_image)
    if replace:
        place = ((outputs >> np.uint64(32)) * np.uint64(pixels)) >> np.uint64(32)
    else:
        # The pixels with the smallest of as many random numbers are a random choice without repetition.
        place = np.argsort(outputs, axis=1)[:, :draws]
    place = place.astype(np.int64) + pixels * np.arange(count)[:, np.newaxis]
    values = (outputs[:, :draws] & np.uint64(1)).astype(np.float32)
    # Of repeated indices in one flat list NumPy keeps the last, as a loop over the draws would.
    images.reshape(count * pixels, channels)[place.ravel()] = values.reshape(-1, 1)


def _unit_range(images: np.ndarray) -> np.ndarray:
    """A new float32 array in units of the full pixel range, row-major whatever the order of `images` in memory."""
    images = np.asarray(images)
    expected = "images: expected (images, rows, cols, channels), uint8, or floating point within 0 to 1"
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise TopoRepError(f"{expected}, found shape {images.shape}")
    if images.dtype == np.uint8:
        return np.divide(images, np.float32(255), dtype=np.float32, order="C")
    if images.dtype.kind != "f":
        raise TopoRepError(f"{expected}, found dtype {images.dtype}; convert pixels of 0 to 255 to uint8")
    if images.size and not (images.min() >= 0 and images.max() <= 1):
        raise TopoRepError(f"{expected}, found values from {images.min()} to {images.max()}; add noise, then normalize")
    return images.astype(np.float32, order="C")


def _check_options(kind: str, level: float, repetition: int, first_index: int) -> None:
    if kind not in KINDS:
        raise TopoRepError(f"kind: expected one of {', '.join(KINDS)}, found {kind!r}")
    highest = 1.0 if kind == "salt_pepper" else math.inf
    if not (math.isfinite(level) and 0 <= level <= highest):
        limits = "a share of the pixels, 0 to 1" if kind == "salt_pepper" else "a finite number, 0 or more"
        raise TopoRepError(f"level: for {kind} noise expected {limits}, found {level}")
    for name, value in (("repetition", repetition), ("first_index", first_index)):
        if value < 0:
            raise TopoRepError(f"{name}: expected 0 or more, found {value}")
