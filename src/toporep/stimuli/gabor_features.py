"""Fixed image features: a stand-in for the convolutional layers of AlexNet that needs no trained weights.

Energies of Gabor filters and opponent colors, normalized by their pool, then one convolution with random weights. As
AlexNet's they form channels of 6 x 6 places, are not negative, and are flattened channel by channel; but they have
learned nothing, and there are 576 of them, not 9216.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from toporep import rng
from toporep.errors import TopoRepError

WAVELENGTHS = (4.0, 8.0)
ORIENTATIONS = 6
COLOR_CHANNELS = ("light", "dark", "red", "green", "blue", "yellow")
ENERGY_CHANNELS = len(WAVELENGTHS) * ORIENTATIONS
CHANNELS = 16
GRID = 6
DIMENSIONS = CHANNELS * GRID * GRID

_STRIDE, _POOL = 2, 2
_SMALLEST = 32
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)
# Standard deviation of a Gabor filter's envelope, in wavelengths, and where it is cut off, in standard deviations.
_ENVELOPE, _CUTOFF = 0.5, 3.0
# Keeps the features of an image without contrast finite, and weak contrast weak.
_ENERGY_FLOOR, _COLOR_FLOOR = 1e-3, 0.05
# A grating of luminance 0 to 1 has an amplitude of 1/2, of which a filter of one frequency sees half.
_GAIN = 4.0


def gabor_features(images: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Features of images; those of an image depend on no other image, to the bit.

    1. `gabor_energies` and `opponent_colors`: 12 + 6 maps, half as wide as the image, averaged over 2 x 2 places.
    2. Divisive normalization: each of the three pools (6 energies of one wavelength, 6 of the other, 6 colors) is
       divided by its own mean over the image and its channels plus a constant, so that contrast hardly matters.
    3. A 3 x 3 convolution (zero padding, no bias) to 16 channels, see `random_kernels`; negative values become 0.
    4. Averages over 6 x 6 areas, which overlap by a place where 6 does not divide the width; flattened as (channel,
       row, col).

    Args:
        images: (n, size, size, 3) uint8, RGB; size a multiple of 4, at least 32. The filters are fixed in pixels.
        seed: of the random kernels.

    Returns:
        (n, 576) float32, not negative. See `feature_statistics` and `standardize`.

    Raises:
        TopoRepError: images of another type or shape.
    """
    images = _check_images(images)
    features = np.empty((len(images), DIMENSIONS), dtype=np.float32)
    for feature, image in zip(features, images, strict=True):
        maps = _normalized(np.concatenate([gabor_energies(image[None])[0], opponent_colors(image[None])[0]]))
        feature[:] = _area_means(np.maximum(_convolve(maps, random_kernels(seed)), 0.0)).ravel()
    return features


def gabor_energies(images: np.ndarray) -> np.ndarray:
    """Energies of quadrature pairs of Gabor filters on luminance, at every second pixel.

    24 filters: wavelengths of 4 and 8 pixels, orientations k * 30 degrees, even and odd phase. A pair's energy is the
    sum of its squared responses. The envelope is round, with a standard deviation of half a wavelength; even filters
    have no mean; the best grating, of luminance 0 to 1, has an energy of 1. Images continue beyond their border as in
    a mirror.

    Args:
        images: (n, size, size, 3) uint8.

    Returns:
        (n, 12, size / 2, size / 2) float32: orientations within wavelengths. Orientation k is that of a grating whose
        luminance changes along the direction k * 30 degrees, clockwise from the right: k = 0 means upright bars.

    Raises:
        TopoRepError: images of another type or shape.
    """
    images = _check_images(images)
    luminance = _unit(images) @ _LUMINANCE
    rows, cols, blur, offsets = _filters(images.shape[1])
    energies = []
    # One product for each image and filter: the same bits however many images there are.
    waves = rows @ (luminance[:, None] @ cols)
    for scale in range(len(WAVELENGTHS)):
        local_mean = blur[scale] @ luminance @ blur[scale].T
        pairs = waves[:, scale * ORIENTATIONS : (scale + 1) * ORIENTATIONS] - offsets[scale] * local_mean[:, None]
        energies.append(pairs.real**2 + pairs.imag**2)
    return np.concatenate(energies, axis=1)


def opponent_colors(images: np.ndarray) -> np.ndarray:
    """Luminance above and below medium gray, red - green and blue - yellow, each in two half-rectified channels.

    Args:
        images: (n, size, size, 3) uint8.

    Returns:
        (n, 6, size / 2, size / 2) float32, averages over 2 x 2 pixels, in the order of `COLOR_CHANNELS`.

    Raises:
        TopoRepError: images of another type or shape.
    """
    unit = _unit(_check_images(images))
    red, green, blue = np.moveaxis(unit, -1, 0)
    axes = (unit @ _LUMINANCE - np.float32(0.5), red - green, blue - (red + green) / 2)
    halves = [np.maximum(sign * axis, 0.0) for axis in axes for sign in (1, -1)]
    return _block_means(np.stack(halves, axis=1), _STRIDE)


@functools.lru_cache(maxsize=8)
def random_kernels(seed: int) -> np.ndarray:
    """(16, 18, 3, 3) float32: uniform random numbers, in each output channel of mean 0 and Euclidean norm 1."""
    shape = (CHANNELS, ENERGY_CHANNELS + len(COLOR_CHANNELS), 3, 3)
    kernels = rng.uniform(rng.key(seed, "gabor features/kernels"), shape, low=-1.0).astype(np.float64)
    kernels -= kernels.mean(axis=(1, 2, 3), keepdims=True)
    kernels /= np.sqrt((kernels**2).sum(axis=(1, 2, 3), keepdims=True))
    kernels = kernels.astype(np.float32)
    kernels.flags.writeable = False
    return kernels


def feature_statistics(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and population standard deviation of each dimension, over training images.

    Args:
        features: (n, dimensions), at least 2 images.

    Returns:
        Two (dimensions,) float64.

    Raises:
        TopoRepError: fewer than two images.
    """
    features = np.asarray(features)
    if features.ndim != 2 or len(features) < 2:
        raise TopoRepError(
            f"features: expected (images, dimensions) of at least 2 training images, found shape {features.shape}"
        )
    return features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)


def standardize(features: np.ndarray, *, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Features less the mean of the training images, over their standard deviation.

    Args:
        features: (n, dimensions) of any images.
        mean, deviation: (dimensions,), see `feature_statistics`.

    Returns:
        (n, dimensions) float32; 0 in a dimension that is constant over the training images.

    Raises:
        TopoRepError: statistics of another number of dimensions.
    """
    features, mean, deviation = np.asarray(features), np.asarray(mean), np.asarray(deviation)
    if features.ndim != 2 or not mean.shape == deviation.shape == features.shape[1:]:
        raise TopoRepError(
            f"mean and deviation: expected one number for each dimension of the features {features.shape}, "
            f"found {mean.shape} and {deviation.shape}"
        )
    centered = features - mean
    return np.divide(centered, deviation, out=np.zeros_like(centered), where=deviation > 0).astype(np.float32)


def _normalized(maps: np.ndarray) -> np.ndarray:
    """Divisive normalization of one image's maps (18, size / 2, size / 2), after averaging over 2 x 2 places."""
    pools = _block_means(maps, _POOL).reshape(3, 6, -1)
    floors = np.array([_ENERGY_FLOOR] * len(WAVELENGTHS) + [_COLOR_FLOOR], dtype=np.float32)
    pools = pools / (pools.mean(axis=(1, 2)) + floors)[:, None, None]
    side = maps.shape[-1] // _POOL
    return pools.reshape(len(maps), side, side)


def _convolve(maps: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """(inputs, side, side) and (outputs, inputs, 3, 3) → (outputs, side, side), as in a network: not flipped."""
    side = maps.shape[-1]
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)))
    shifted = [padded[:, row : row + side, col : col + side] for row in range(3) for col in range(3)]
    columns = np.stack(shifted, axis=1).reshape(-1, side * side)
    return (kernels.reshape(len(kernels), -1) @ columns).reshape(len(kernels), side, side)


def _area_means(maps: np.ndarray) -> np.ndarray:
    weights = _area_weights(maps.shape[-1])
    return weights @ maps @ weights.T


@functools.lru_cache(maxsize=8)
def _area_weights(side: int) -> np.ndarray:
    """(6, side): area i covers floor(i side / 6) to ceil((i + 1) side / 6), as AlexNet's adaptive pooling does."""
    weights = np.zeros((GRID, side), dtype=np.float32)
    for i in range(GRID):
        first, last = i * side // GRID, -(-(i + 1) * side // GRID)
        weights[i, first:last] = 1.0 / (last - first)
    return weights


def _block_means(maps: np.ndarray, block: int) -> np.ndarray:
    *lead, rows, cols = maps.shape
    return maps.reshape(*lead, rows // block, block, cols // block, block).mean(axis=(-3, -1))


@functools.lru_cache(maxsize=8)
def _filters(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A Gabor filter with a round envelope is a product of two filters, one for rows and one for columns.

    Returns:
        rows (12, size / 2, size) and cols (12, size, size / 2), complex64: response = rows @ image @ cols;
        blur (2, size / 2, size): the envelopes' own; offsets (2, 6, 1, 1): how much of it to take off, so that an
        even filter has no mean.
    """
    rows, cols, blur, offsets = [], [], [], []
    for wavelength in WAVELENGTHS:
        reach = math.ceil(_CUTOFF * _ENVELOPE * wavelength)
        place = np.arange(-reach, reach + 1)
        envelope = np.exp(-0.5 * (place / (_ENVELOPE * wavelength)) ** 2)
        envelope /= envelope.sum()
        blur.append(_banded(envelope, size))
        for k in range(ORIENTATIONS):
            frequency, angle = 2 * math.pi / wavelength, math.pi * k / ORIENTATIONS
            along_x = _GAIN**0.5 * envelope * np.exp(1j * frequency * math.cos(angle) * place)
            along_y = _GAIN**0.5 * envelope * np.exp(1j * frequency * math.sin(angle) * place)
            cols.append(_banded(along_x, size).T)
            rows.append(_banded(along_y, size))
            offsets.append(along_x.sum() * along_y.sum())
    offsets = np.array(offsets, dtype=np.complex64).reshape(len(WAVELENGTHS), ORIENTATIONS, 1, 1)
    return (
        np.array(rows, dtype=np.complex64),
        np.array(cols, dtype=np.complex64),
        np.array(blur, dtype=np.float32),
        offsets,
    )


def _banded(kernel: np.ndarray, size: int) -> np.ndarray:
    """(size / 2, size): the filter centered on every second pixel, the line mirrored beyond its ends."""
    reach = len(kernel) // 2
    matrix = np.zeros((size // _STRIDE, size), dtype=kernel.dtype)
    for row, center in enumerate(range(0, size, _STRIDE)):
        for weight, place in zip(kernel, range(center - reach, center + reach + 1), strict=True):
            place = -place - 1 if place < 0 else place
            matrix[row, place if place < size else 2 * size - 1 - place] += weight
    return matrix


def _unit(images: np.ndarray) -> np.ndarray:
    return np.divide(images, np.float32(255), dtype=np.float32)


def _check_images(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3:
        raise TopoRepError(f"images: expected (n, size, size, 3) uint8, found {images.dtype} of shape {images.shape}")
    size = images.shape[1]
    if size < _SMALLEST or size % (_STRIDE * _POOL):
        raise TopoRepError(
            f"images: expected a width that is a multiple of {_STRIDE * _POOL} and at least {_SMALLEST}, found {size}"
        )
    return images
