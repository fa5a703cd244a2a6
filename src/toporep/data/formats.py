"""Readers of the public formats: IDX (MNIST), pickled batches (CIFAR-10), Keras-style npz.

Each turns bytes into arrays and says what is wrong with bytes that are not of its format. Whether the bytes are the
right ones is decided elsewhere (`toporep.data.local`).
"""

from __future__ import annotations

import io
import math
import pickle
from pathlib import Path

import numpy as np

from toporep.errors import TopoRepError


def read_idx(content: bytes, *, where: str) -> np.ndarray:
    """Array of unsigned bytes stored as IDX: 0, 0, type 8, number of axes, big-endian sizes, data.

    Raises TopoRepError opened by `where` when the header is another one or the data are too short or too long.
    """
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise TopoRepError(f"{where}: not an IDX file of unsigned bytes (it begins with {content[:4]!r})")
    header = 4 + 4 * content[3]
    shape = tuple(int(size) for size in np.frombuffer(content[4:header], dtype=">u4"))
    if len(shape) != content[3] or len(content) - header != math.prod(shape):
        raise TopoRepError(f"{where}: expected {math.prod(shape)} bytes of data, found {len(content) - header}")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def read_cifar_batch(content: bytes, image_shape: tuple[int, int, int], *, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, rows, columns, channels) uint8 and labels (N,) of a pickled CIFAR batch.

    Call it only on bytes whose checksum is known. The unpickler builds nothing but NumPy arrays and plain
    containers; anything else raises TopoRepError opened by `where`.
    """
    try:
        batch = _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
        data, labels = np.asarray(batch[b"data"], dtype=np.uint8), np.asarray(batch[b"labels"], dtype=np.int64)
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError, IndexError) as error:
        raise TopoRepError(f"{where}: not a CIFAR batch ({error})") from error
    rows, columns, channels = image_shape
    # Stored channel by channel (CIFAR-10 home page, "Dataset layout").
    return data.reshape(-1, channels, rows, columns).transpose(0, 2, 3, 1), labels


def read_npz(path: Path, image_shape: tuple[int, int, int]) -> tuple[np.ndarray, ...]:
    """(images_train, label_train, images_test, label_test) of a Keras-style npz; nothing is unpickled.

    Images may lack the axis of a single channel, labels may be (N,) or (N, 1).
    Raises TopoRepError naming the file when it is damaged or its arrays have other names, shapes or dtypes.
    """
    arrays = []
    try:
        with np.load(path, allow_pickle=False) as archive:
            for name in ("x_train", "y_train", "x_test", "y_test"):
                if name not in archive:
                    raise TopoRepError(f"{path}: array {name!r} is missing (found {', '.join(archive.files)})")
                arrays.append(archive[name])
    except TopoRepError:
        raise
    except Exception as error:
        # A damaged zip raises almost anything: BadZipFile, zlib.error, struct.error, RuntimeError, ...
        raise TopoRepError(f"{path}: cannot be read as npz, perhaps truncated ({error})") from error
    return (*_split(arrays[0], arrays[1], image_shape, path), *_split(arrays[2], arrays[3], image_shape, path))


def _split(x: np.ndarray, y: np.ndarray, image_shape: tuple[int, int, int], path: Path) -> tuple[np.ndarray, ...]:
    accepted = {(*image_shape,), image_shape[:2] if image_shape[2] == 1 else image_shape}
    if x.dtype != np.uint8 or x.shape[1:] not in accepted:
        raise TopoRepError(f"{path}: expected uint8 images of shape {image_shape}, found {x.dtype} {x.shape[1:]}")
    if y.dtype.kind not in "iu" or y.shape not in ((len(x),), (len(x), 1)):
        raise TopoRepError(f"{path}: expected {len(x)} integer labels, found {y.dtype} of shape {y.shape}")
    if len(y) and not 0 <= y.min() <= y.max() <= 255:
        raise TopoRepError(f"{path}: expected labels in 0..255, found {y.min()}..{y.max()}")
    return x.reshape(-1, *image_shape), y.reshape(-1).astype(np.int64)


class _ArrayUnpickler(pickle.Unpickler):
    """Refuses every global but the three that a pickled NumPy array needs and the codec of its bytes."""

    def find_class(self, module: str, name: str):
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np.empty(0).__reduce__()[0]
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            return _encode
        raise pickle.UnpicklingError(f"refused to load {module}.{name}")


def _encode(text: str, encoding: str | bytes = "latin1") -> bytes:
    if encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError(f"refused to encode with {encoding!r}")
    return text.encode("latin1")
