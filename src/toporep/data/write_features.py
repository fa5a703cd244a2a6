"""Features of all images of a source, in files that training and evaluation read (schema `features`).

The features lie in an .npy file of float16 beside the netCDF file, which holds everything else: which images, their
hashes and classes, and what was left out. Without an .npy file it is a manifest, from which features are made anew in
each epoch (`toporep.data.features.LiveFeatures`).
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from toporep.data.crops import THUMBNAIL, Transform, UnreadableImage, check, decode, thumbnail, views
from toporep.data.feature_files import ARRAY_TYPE, array_probe, array_sha256
from toporep.data.image_folders import DATA_DIR_VARIABLE, ImageList, list_images
from toporep.data.image_sets import ImageSets, Network, RenderedPart, load_image_sets
from toporep.errors import TopoRepError
from toporep.io import atomic_path, write_dataset

GENERATED = "generated"
COMPLETE = "folders of the user, as many images as expected"
INCOMPLETE = "folders of the user, another number of images than expected"

EXAMPLES = 4
_CHUNK = 32
_LISTED = 5
# Encodes views (n, size, size, 3) uint8 as features (n, width).
Encoder = Callable[[np.ndarray], np.ndarray]


@dataclass
class Manifest:
    """What was found of the images, in the order of their list; only those that could be read."""

    place: list[int] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)
    sha256: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    reason: list[str] = field(default_factory=list)


def write_features(
    name: str,
    output: str | os.PathLike,
    *,
    features: Mapping[str, Any],
    array: str | os.PathLike | None = None,
    data_dir: str | os.PathLike | None = None,
    registry: ImageSets | None = None,
    threads: int = 1,
    device: str = "auto",
) -> Manifest:
    """Read or render the images of a source, make their features and write both files, each whole or not at all.

    The features do not depend on the number of threads.

    Args:
        name: source in the registry.
        output: netCDF file to write.
        features: a paper's settings of that name: those of `Transform`, `crops` (views of each image that are kept)
            and `max_unreadable` (largest share of files that may be left out).
        array: .npy file to write, (image, crop, feature) float16; None: a manifest alone, whose `crops` is 0.
        data_dir: where folders and weights lie (default: the environment variable TOPOREP_DATA).
        registry: default: config/image_sets.yaml.
        threads: threads that decode or processes that render.
        device: of AlexNet, see `choose_device`.

    Raises:
        TopoRepError: what `list_images` refuses; weights that are missing or others; too many unreadable images; a
            manifest of rendered images.
    """
    registry = registry or load_image_sets()
    transform, network = Transform.from_settings(features), registry.network(features["network"])
    images = list_images(registry.source(name), data_dir)
    most = float(features["max_unreadable"]) * len(images)
    if array is None:
        _refuse_rendered(images)
        with _progress(name, len(images)) as advance:
            manifest = _read_all(images, _Work(None), data_dir, threads=threads, most=most, advance=advance)
        attrs = {"array": "", "array_sha256": "", "array_probe": "", "crops": 0, "weights_sha256": ""}
    else:
        work = _Work(transform, int(features["crops"]))
        encode, weights_sha256 = _encoder(network, transform, data_dir, device)
        with _progress(name, len(images)) as advance:
            manifest = _write_array(
                array, images, work, encode, data_dir, network=network, threads=threads, most=most, advance=advance
            )
        attrs = {
            "array": os.path.relpath(array, Path(output).parent),
            "array_sha256": array_sha256(array),
            "array_probe": array_probe(array),
            "crops": work.crops,
            "weights_sha256": weights_sha256,
        }
    _write_manifest(output, images, manifest, transform, network, attrs, data_dir)
    return manifest


def data_identity(entries: Mapping[str, Any]) -> str:
    """sha256 of all that makes features what they are, as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(entries, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True)
class _Work:
    """What is done to a chunk of images; without a transform they are only checked. gabor: features, not views."""

    transform: Transform | None
    crops: int = 0
    gabor: bool = False

    def __post_init__(self) -> None:
        if self.transform is not None and self.crops < 1:
            raise TopoRepError(f"features.crops: expected at least 1, found {self.crops}")


@dataclass(frozen=True)
class _Done:
    """What came of a chunk. values: (readable images, crop, …) features or views. left_out: place → reason."""

    place: list[int]
    bytes: list[int]
    sha256: list[str]
    values: np.ndarray | None
    left_out: dict[int, str]


def _refuse_rendered(images: ImageList) -> None:
    if any(isinstance(part.part, RenderedPart) for part in images.parts):
        raise TopoRepError(
            f"{images.source.name}: rendered images are the same in every epoch, so their features are kept in a file; "
            "set features.training to cached, or choose a source of folders"
        )


def _write_array(
    path: str | os.PathLike,
    images: ImageList,
    work: _Work,
    encode: Encoder | None,
    data_dir: str | os.PathLike | None,
    *,
    network: Network,
    threads: int,
    most: float,
    advance: Callable[[int], None],
) -> Manifest:
    work = _Work(work.transform, work.crops, gabor=encode is None)
    shape = (len(images), work.crops, network.dimensions)
    with atomic_path(path, alone=True) as temporary:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=ARRAY_TYPE, shape=shape)
        filled = 0

        def keep(done: _Done) -> None:
            nonlocal filled
            values = done.values if encode is None else _encoded(encode, done.values)
            array[filled : filled + len(values)] = _half(values, network)
            filled += len(values)

        manifest = _read_all(images, work, data_dir, threads=threads, most=most, advance=advance, keep=keep)
        array.flush()
        if filled < len(images):
            _shorten(temporary, filled)
    return manifest


def _encoded(encode: Encoder, values: np.ndarray) -> np.ndarray:
    flat = encode(values.reshape(-1, *values.shape[2:]))
    return flat.reshape(*values.shape[:2], -1)


def _half(values: np.ndarray, network: Network) -> np.ndarray:
    largest = float(np.abs(values).max(initial=0.0))
    if not largest < np.finfo(ARRAY_TYPE).max:
        raise TopoRepError(f"features of {network.title}: float16 holds up to 65,504, found {largest}")
    return values.astype(ARRAY_TYPE)


def _shorten(path: Path, count: int) -> None:
    """Keep the first rows of an .npy file."""
    whole = np.load(path, mmap_mode="r")
    with atomic_path(path, alone=False) as temporary:
        short = np.lib.format.open_memmap(temporary, mode="w+", dtype=whole.dtype, shape=(count, *whole.shape[1:]))
        for start in range(0, count, 4096):
            short[start : start + 4096] = whole[start : min(start + 4096, count)]
        short.flush()
        del short, whole


def _read_all(
    images: ImageList,
    work: _Work,
    data_dir: str | os.PathLike | None,
    *,
    threads: int,
    most: float,
    advance: Callable[[int], None],
    keep: Callable[[_Done], None] | None = None,
) -> Manifest:
    """Work on all images, several chunks ahead of `keep`; give up once more than `most` images are left out."""
    manifest = Manifest()
    paths = images.paths
    for done in _results(images, work, _root(data_dir), threads=threads):
        manifest.place += done.place
        manifest.bytes += done.bytes
        manifest.sha256 += done.sha256
        manifest.skipped += [paths[place] for place in done.left_out]
        manifest.reason += done.left_out.values()
        if len(manifest.skipped) > most:
            raise TopoRepError(_too_many(images, manifest, most))
        if keep and done.place:
            keep(done)
        advance(len(done.place) + len(done.left_out))
    if not manifest.place:
        raise TopoRepError(f"{images.source.name}: no image could be read; the first: {manifest.reason[:1]}")
    return manifest


def _too_many(images: ImageList, manifest: Manifest, most: float) -> str:
    shown = [f"  {path}: {why}" for path, why in zip(manifest.skipped[:_LISTED], manifest.reason, strict=False)]
    return (
        f"{images.source.name}: more than {most:g} of {len(images):,} images cannot be read "
        "(features.max_unreadable):\n"
        + "\n".join(shown)
        + ("\n  …" if len(manifest.skipped) > _LISTED else "")
        + "\n  unpack them again, remove them, or allow more"
    )


def _results(images: ImageList, work: _Work, root: str, *, threads: int) -> Iterator[_Done]:
    """What comes of each chunk, in order. Decoding lets threads run at once; rendering and Gabor features do not."""
    tasks = list(_tasks(images, root, size=_CHUNK))
    if threads == 1 or len(tasks) == 1:
        yield from (_do(task, work) for task in tasks)
        return
    in_processes = work.gabor or any(isinstance(part.part, RenderedPart) for part in images.parts)
    with _pool(min(threads, len(tasks)), in_processes=in_processes) as pool:
        yield from _in_order(pool, tasks, work, ahead=2 * threads)


@contextmanager
def _pool(threads: int, *, in_processes: bool) -> Iterator[Executor]:
    # Not a fork: this process may have threads of its own.
    pool = (
        ProcessPoolExecutor(threads, mp_context=get_context("spawn")) if in_processes else ThreadPoolExecutor(threads)
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(pool: Executor, tasks: Iterable[_Task], work: _Work, *, ahead: int) -> Iterator[_Done]:
    waiting: deque = deque()
    for task in tasks:
        waiting.append(pool.submit(_do, task, work))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@dataclass(frozen=True)
class _Task:
    """Some images of one part: their places in the list, and their files or which rendered images they are."""

    first: int
    files: tuple[str, ...] = ()
    rendered: RenderedPart | None = None
    indices: range = range(0)


def _tasks(images: ImageList, root: str, *, size: int) -> Iterator[_Task]:
    first = 0
    for part in images.parts:
        for start in range(0, len(part.paths), size):
            stop = min(start + size, len(part.paths))
            if isinstance(part.part, RenderedPart):
                yield _Task(first + start, rendered=part.part, indices=range(start, stop))
            else:
                files = tuple(os.path.join(root, path) for path in part.paths[start:stop])
                yield _Task(first + start, files=files)
        first += len(part.paths)


def _do(task: _Task, work: _Work) -> _Done:
    """Work on one chunk."""
    with _one_thread() if work.gabor else nullcontext():
        return _render_chunk(task, work) if task.rendered else _read_chunk(task, work)


def _render_chunk(task: _Task, work: _Work) -> _Done:
    pixels = render(task.rendered, task.indices, size=work.transform.size)
    values = _values(pixels, work)[:, None]
    return _Done(
        place=list(range(task.first, task.first + len(pixels))),
        bytes=[image.nbytes for image in pixels],
        sha256=[hashlib.sha256(image.tobytes()).hexdigest() for image in pixels],
        # A rendered image is not cropped: all its views are alike.
        values=np.repeat(values, work.crops, axis=1),
        left_out={},
    )


def render(part: RenderedPart, indices: range, *, size: int) -> np.ndarray:
    """Images of a rendered part, (n, size, size, 3) uint8."""
    from toporep.stimuli.categories import render_category

    return render_category(part.category, part.seed, list(indices), size=size, split=part.split, ground=part.ground)


def _read_chunk(task: _Task, work: _Work) -> _Done:
    done = _Done([], [], [], None, {})
    values = []
    for place, file in enumerate(task.files, start=task.first):
        try:
            content = Path(file).read_bytes()
            sha256 = hashlib.sha256(content).hexdigest()
            if work.transform is None:
                check(content)
            else:
                values.append(
                    _values(views(decode(content), work.transform, sha256=sha256, crops=range(work.crops)), work)
                )
        except (UnreadableImage, OSError) as error:
            done.left_out[place] = str(error) if isinstance(error, UnreadableImage) else f"{error.strerror}"
            continue
        done.place.append(place)
        done.bytes.append(len(content))
        done.sha256.append(sha256)
    return _Done(done.place, done.bytes, done.sha256, np.stack(values) if values else None, done.left_out)


def _values(pixels: np.ndarray, work: _Work) -> np.ndarray:
    if not work.gabor:
        return pixels
    from toporep.stimuli.gabor_features import gabor_features

    return gabor_features(pixels)


def _encoder(
    network: Network, transform: Transform, data_dir: str | os.PathLike | None, device: str
) -> tuple[Encoder | None, str]:
    """What makes features of views (None: the Gabor features, made where images are read), and its weights' sha256."""
    if network.name == "gabor":
        return None, ""
    from toporep.data.features import alexnet_encoder

    encoder = alexnet_encoder(network, transform, data_dir, device)
    return encoder, encoder.sha256


def _write_manifest(
    output: str | os.PathLike,
    images: ImageList,
    manifest: Manifest,
    transform: Transform,
    network: Network,
    attrs: dict[str, Any],
    data_dir: str | os.PathLike | None,
) -> None:
    import xarray as xr

    source, paths, place = images.source, images.paths, manifest.place
    kept = [paths[i] for i in place]
    label = images.label[place]
    identity = {
        **{"paths": kept, "sha256": manifest.sha256, "label": label.tolist(), "class_names": images.class_names},
        **{"transform": transform.text, "dimensions": network.dimensions},
        **{name: attrs[name] for name in ("crops", "array_sha256", "weights_sha256")},
    }
    variables = {
        "path": (("image",), _texts(kept)),
        "bytes": (("image",), np.array(manifest.bytes, dtype=np.int64)),
        "sha256": (("image",), _texts(manifest.sha256)),
        "label": (("image",), label),
        "thumbnail": (("example", "image_row", "image_col", "channel"), _thumbnails(images, place, data_dir)),
        "skipped": (("left_out",), _texts(manifest.skipped)),
        "reason": (("left_out",), _texts(manifest.reason)),
    }
    dataset = xr.Dataset(
        variables,
        attrs={
            "source": source.name,
            "source_title": source.title,
            "class_names": json.dumps(images.class_names, ensure_ascii=False),
            "data_sha256": data_identity(identity),
            "network": network.name,
            "transform": transform.text,
            "dimensions": network.dimensions,
            **attrs,
            "recognised_as": recognised_as(images),
            "licence": "; ".join(f"{folder.title}: {folder.licence}" for folder in source.folders)
            or "CC0 1.0 (generated by TopoRep)",
        },
    )
    write_dataset(dataset, output, "features")


def recognised_as(images: ImageList) -> str:
    """Whether the folders have as many images as the whole sets have, as text."""
    if not images.source.folders:
        return GENERATED
    return f"{INCOMPLETE} ({'; '.join(images.incomplete)})" if images.incomplete else COMPLETE


def _texts(values: list[str]) -> np.ndarray:
    # An empty array of objects would be written as one of numbers.
    return np.array(values, dtype=object if values else str)


def _thumbnails(images: ImageList, place: list[int], data_dir: str | os.PathLike | None) -> np.ndarray:
    """(up to 4, 64, 64, 3) uint8: how the first images look."""
    tasks = list(_tasks(images, _root(data_dir), size=1))
    shown = []
    for task in (tasks[i] for i in place[:EXAMPLES]):
        if task.rendered:
            shown.append(render(task.rendered, task.indices, size=THUMBNAIL)[0])
        else:
            shown.append(thumbnail(decode(Path(task.files[0]).read_bytes())))
    return np.stack(shown)


def _root(data_dir: str | os.PathLike | None) -> str:
    return os.fspath(data_dir or os.environ.get(DATA_DIR_VARIABLE, ""))


def _one_thread():
    """Products of small matrices have the same bits, and are no slower."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)


@contextmanager
def _progress(name: str, images: int) -> Iterator[Callable[[int], None]]:
    """Give what counts images: a bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _count: None
        return
    from tqdm import tqdm

    with tqdm(total=images, desc=name, unit="image", file=sys.stderr, dynamic_ncols=True, leave=False) as bar:
        yield bar.update
