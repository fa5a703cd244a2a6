"""A labelled set of images in memory and in the prepared file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toporep.errors import TopoRepError
from toporep.io import read_dataset, write_dataset

OFFICIAL_FILES = "official files"
OFFICIAL_CONTENT = "official content, other order or container"
GENERATED = "generated"

_ARRAYS = ("images_train", "label_train", "images_test", "label_test")


@dataclass(frozen=True, eq=False)
class ImageData:
    """Images with labels, split into a training and a test set.

    images_train, images_test: (N, rows, columns, channels) uint8, grey images with one channel.
    label_train, label_test: (N,) int64, index into `class_names`.
    source: key in the registry; source_title: its name for figures and captions.
    recognised_as: `OFFICIAL_FILES`, `OFFICIAL_CONTENT` or `GENERATED`.
    origin: the files by name, or the generator and its version.
    data_sha256: identity of the four arrays, order included (see `array_sha256`).
    """

    images_train: np.ndarray
    label_train: np.ndarray
    images_test: np.ndarray
    label_test: np.ndarray
    class_names: tuple[str, ...]
    source: str
    source_title: str
    recognised_as: str
    origin: str
    licence: str
    data_sha256: str

    @classmethod
    def from_arrays(
        cls,
        arrays: Sequence[np.ndarray],
        *,
        class_names: Sequence[str],
        source: str,
        source_title: str,
        recognised_as: str,
        origin: str,
        licence: str,
    ) -> ImageData:
        """Build from (images_train, label_train, images_test, label_test); computes `data_sha256`."""
        images_train, label_train, images_test, label_test = arrays
        arrays = (
            np.ascontiguousarray(images_train, dtype=np.uint8),
            np.ascontiguousarray(label_train, dtype=np.int64),
            np.ascontiguousarray(images_test, dtype=np.uint8),
            np.ascontiguousarray(label_test, dtype=np.int64),
        )
        return cls(
            *arrays,
            class_names=tuple(class_names),
            source=source,
            source_title=source_title,
            recognised_as=recognised_as,
            origin=origin,
            licence=licence,
            data_sha256=array_sha256(arrays),
        )


def array_sha256(arrays: Sequence[np.ndarray]) -> str:
    """Identity of the four arrays of an `ImageData`: sha256 over name, shape and bytes of each, in order.

    Unlike `fingerprint`, it changes when images change places, so that equal values mean equal batches.
    """
    digest = hashlib.sha256()
    for name, array in zip(_ARRAYS, arrays, strict=True):
        little_endian = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(f"{name} {little_endian.dtype.str} {little_endian.shape}\n".encode())
        digest.update(little_endian.data)
    return digest.hexdigest()


def fingerprint(images: np.ndarray, labels: np.ndarray) -> str:
    """Identity of a labelled image set whatever its order.

    sha256 over the concatenation of the sorted sha256 digests of each image (uint8, row-major, channels last)
    followed by its label as one byte.

    images: (N, ...) uint8. labels: (N,) or (N, 1), integers in 0..255.
    """
    n = len(images)
    rows = np.concatenate([images.reshape(n, -1), labels.reshape(n, 1).astype(np.uint8)], axis=1)
    digests = sorted(hashlib.sha256(row).digest() for row in rows)
    return hashlib.sha256(b"".join(digests)).hexdigest()


def save_images(data: ImageData, path: str | os.PathLike, *, complevel: int = 0) -> None:
    """Write the prepared file (schema `images`).

    Uncompressed unless told otherwise: every training job reads the file, and photographs hardly shrink
    (see docs/data-dictionary.md for the measurement).
    """
    import xarray as xr

    split_dims = ("image_row", "image_col", "channel")
    dataset = xr.Dataset(
        {
            "images_train": (("train", *split_dims), data.images_train),
            "label_train": (("train",), data.label_train),
            "images_test": (("test", *split_dims), data.images_test),
            "label_test": (("test",), data.label_test),
        },
        attrs={
            "source": data.source,
            "source_title": data.source_title,
            "class_names": json.dumps(list(data.class_names), ensure_ascii=False),
            "data_sha256": data.data_sha256,
            "recognised_as": data.recognised_as,
            "origin": data.origin,
            "licence": data.licence,
        },
    )
    write_dataset(dataset, path, "images", complevel=complevel)


def load_images(path: str | os.PathLike) -> ImageData:
    """Read the prepared file and check that its arrays are those that were written.

    Raises TopoRepError when the file is missing, is of another schema, or does not match its own `data_sha256`.
    """
    dataset = read_dataset(path, "images")
    arrays = tuple(np.ascontiguousarray(dataset[name].values) for name in _ARRAYS)
    found = array_sha256(arrays)
    if found != dataset.attrs["data_sha256"]:
        raise TopoRepError(
            f"{path}: the images do not match the file's own data_sha256 (expected {dataset.attrs['data_sha256']}, "
            f"found {found}); remove the file and prepare it again"
        )
    texts = ("source", "source_title", "recognised_as", "origin", "licence", "data_sha256")
    return ImageData(
        *arrays,
        class_names=tuple(json.loads(dataset.attrs["class_names"])),
        **{name: str(dataset.attrs[name]) for name in texts},
    )
