"""Demo digits: scikit-learn's 1797 real handwritten digits, resampled to the format of MNIST."""

from __future__ import annotations

import numpy as np

from toporep.data.keyed import bits
from toporep.errors import TopoRepError

VERSION = 1
SIZE, BOX = 28, 20


def generate(*, train: int, test: int, seed: int, size: int = SIZE) -> tuple[tuple[np.ndarray, ...], str]:
    """((images_train, label_train, images_test, label_test), origin); images are (N, size, size, 1) uint8.

    The 8 x 8 digits (Alpaydin & Kaynak 1998: sums of ink over 4 x 4 pixels, 0..16) are interpolated with Keys'
    cubic kernel to the 20 x 20 box that MNIST's digits fill, centered in 28 x 28. A smaller `size`, of which 28 is a
    multiple, takes means of these pixels. The split is stratified by class and keyed by `seed`; `train` + `test` must
    not exceed the 1797 digits there are.
    """
    import sklearn
    from sklearn.datasets import load_digits

    digits = load_digits()
    labels = digits.target.astype(np.int64)
    if train + test > len(labels):
        raise TopoRepError(f"digits: {train} + {test} images asked for, but scikit-learn holds {len(labels)}")
    images = _means(resample(digits.images), size)
    order = _stratified_order(labels, seed)
    in_train, in_test = np.sort(order[test : test + train]), np.sort(order[:test])
    arrays = (images[in_train], labels[in_train], images[in_test], labels[in_test])
    small = f", {size} × {size}" if size != SIZE else ""
    return arrays, f"digits generator {VERSION}, scikit-learn {sklearn.__version__} load_digits, seed {seed}{small}"


def resample(images: np.ndarray) -> np.ndarray:
    """(N, 8, 8) ink 0..16 to (N, 28, 28, 1) uint8 0..255."""
    weights = _cubic_weights(images.shape[1], BOX)
    smooth = weights @ (images / 16.0) @ weights.T
    # Interpolation of block sums blurs the stroke; MNIST's strokes are saturated.
    ink = np.clip((smooth - 0.3) / 0.55, 0.0, 1.0)
    # The tiny offset settles exact ties alike whatever the order of summation in the matrix product.
    box = np.floor(255.0 * ink + 0.5 + 1e-6).astype(np.uint8)
    margin = (SIZE - BOX) // 2
    return np.pad(box, ((0, 0), (margin, margin), (margin, margin)))[..., np.newaxis]


def _means(images: np.ndarray, size: int) -> np.ndarray:
    """(N, 28, 28, 1) uint8 to (N, size, size, 1) uint8: means over squares of pixels, rounded to the nearest."""
    if not 1 <= size <= SIZE or SIZE % size:
        raise TopoRepError(f"digits: size: expected a divisor of {SIZE}, found {size}")
    side = SIZE // size
    sums = images.reshape(-1, size, side, size, side, 1).sum(axis=(2, 4), dtype=np.int64)
    return ((2 * sums + side**2) // (2 * side**2)).astype(np.uint8)


def _cubic_weights(old: int, new: int) -> np.ndarray:
    """Matrix (new, old) of Keys' cubic interpolation (a = -0.5) between pixel centres; zero outside."""
    position = (np.arange(new) + 0.5) * old / new - 0.5
    distance = np.abs(position[:, np.newaxis] - np.arange(old))
    near = (1.5 * distance - 2.5) * distance**2 + 1.0
    far = ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0
    return np.where(distance <= 1.0, near, np.where(distance < 2.0, far, 0.0))


def _stratified_order(labels: np.ndarray, seed: int) -> np.ndarray:
    """Indices ordered so that every prefix holds the classes in (nearly) their overall proportions."""
    key = bits(seed, np.arange(len(labels)), 1)[:, 0]
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        place[members[np.argsort(key[members], kind="stable")]] = (np.arange(len(members)) + 0.5) / len(members)
    return np.lexsort((key, place))
