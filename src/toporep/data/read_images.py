"""All images of a list, read or rendered in chunks by several threads or processes; what comes of them, in order."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from toporep.data.crops import THUMBNAIL, Transform, UnreadableImage, check, decode, thumbnail, views
from toporep.data.image_folders import ImageList
from toporep.data.image_sets import RenderedPart
from toporep.errors import TopoRepError
from toporep.stimuli.categories import render_category

_CHUNK = 32
# To start a process takes as long as so many chunks.
_CHUNKS_A_PROCESS = 8


@dataclass(frozen=True)
class Work:
    """What is done to images. Without a transform they are only checked.

    crops: views of each image. gabor: make Gabor features of the views at once.
    """

    transform: Transform | None = None
    crops: int = 0
    gabor: bool = False

    def __post_init__(self) -> None:
        if self.transform is not None and self.crops < 1:
            raise TopoRepError(f"features.crops: expected at least 1, found {self.crops}")


@dataclass(frozen=True)
class Done:
    """What came of a chunk.

    place: where the images that could be read stand in the list; bytes, sha256: of the file, or of the drawing.
    values: (image, crop, …) uint8 views or float32 features, of these images. left_out: place → why it could not.
    """

    place: list[int]
    bytes: list[int]
    sha256: list[str]
    values: np.ndarray | None
    left_out: dict[int, str]


def read_images(images: ImageList, work: Work, root: str | os.PathLike, *, threads: int) -> Iterator[Done]:
    """Work on all images, some chunks ahead; what comes of them does not depend on `threads`.

    Args:
        images: what is read or rendered.
        work: what is done.
        root: the data folder.
        threads: threads that decode, which lets them run at once; processes that render or make Gabor features, which
            does not.
    """
    tasks = list(_tasks(images, os.fspath(root), size=_CHUNK))
    in_processes = work.gabor or any(isinstance(part.part, RenderedPart) for part in images.parts)
    workers = min(threads, len(tasks) // _CHUNKS_A_PROCESS if in_processes else len(tasks))
    if workers <= 1:
        yield from (_do(task, work) for task in tasks)
        return
    with _pool(workers, in_processes=in_processes) as pool:
        waiting: deque = deque()
        for task in tasks:
            waiting.append(pool.submit(_do, task, work))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def thumbnails(images: ImageList, places: list[int], root: str | os.PathLike) -> np.ndarray:
    """(n, 64, 64, 3) uint8: how the images at some places of a list look."""
    tasks = list(_tasks(images, os.fspath(root), size=1, most=max(places) + 1))
    return np.stack([_thumbnail(tasks[place]) for place in places])


@dataclass(frozen=True)
class _Task:
    """Some images of one part: the place of the first, and their files, or which rendered images they are."""

    first: int
    files: tuple[str, ...] = ()
    rendered: RenderedPart | None = None
    indices: range = range(0)


def _tasks(images: ImageList, root: str, *, size: int, most: int | None = None) -> Iterator[_Task]:
    first = 0
    for part in images.parts:
        for start in range(0, len(part.paths), size):
            if most is not None and first + start >= most:
                return
            stop = min(start + size, len(part.paths))
            if isinstance(part.part, RenderedPart):
                yield _Task(first + start, rendered=part.part, indices=range(start, stop))
            else:
                files = tuple(os.path.join(root, path) for path in part.paths[start:stop])
                yield _Task(first + start, files=files)
        first += len(part.paths)


@contextmanager
def _pool(workers: int, *, in_processes: bool) -> Iterator[Executor]:
    # Not forked: this process may have threads of its own.
    pool = (
        ProcessPoolExecutor(workers, mp_context=get_context("spawn")) if in_processes else ThreadPoolExecutor(workers)
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _do(task: _Task, work: Work) -> Done:
    with _one_thread() if work.gabor else nullcontext():
        return _render(task, work) if task.rendered else _read(task, work)


def _read(task: _Task, work: Work) -> Done:
    place, size, digest, values, left_out = [], [], [], [], {}
    for here, file in enumerate(task.files, start=task.first):
        try:
            content = Path(file).read_bytes()
            sha256 = hashlib.sha256(content).hexdigest()
            if work.transform is None:
                check(content)
            else:
                image = decode(content)
                values.append(_values(views(image, work.transform, sha256=sha256, crops=range(work.crops)), work))
        except UnreadableImage as error:
            left_out[here] = str(error)
        except OSError as error:
            left_out[here] = error.strerror or type(error).__name__
        else:
            place.append(here)
            size.append(len(content))
            digest.append(sha256)
    return Done(place, size, digest, np.stack(values) if values else None, left_out)


def _render(task: _Task, work: Work) -> Done:
    transform, crops = work.transform, range(work.crops)
    drawings = _draw(task, size=transform.resize if transform.crops_drawings else transform.size)
    digest = [hashlib.sha256(drawing.tobytes()).hexdigest() for drawing in drawings]
    if transform.crops_drawings:
        from PIL import Image

        several = [
            views(Image.fromarray(drawing), transform, sha256=sha256, crops=crops)
            for drawing, sha256 in zip(drawings, digest, strict=True)
        ]
        values = np.stack([_values(pixels, work) for pixels in several])
    else:
        values = np.repeat(_values(drawings, work)[:, None], work.crops, axis=1)
    place = list(range(task.first, task.first + len(drawings)))
    return Done(place, [drawing.nbytes for drawing in drawings], digest, values, {})


def _draw(task: _Task, *, size: int) -> np.ndarray:
    part = task.rendered
    return render_category(part.category, part.seed, task.indices, size=size, split=part.split, ground=part.ground)


def _values(pixels: np.ndarray, work: Work) -> np.ndarray:
    if not work.gabor:
        return pixels
    from toporep.stimuli.gabor_features import gabor_features

    return gabor_features(pixels)


def _thumbnail(task: _Task) -> np.ndarray:
    if task.rendered:
        return _draw(task, size=THUMBNAIL)[0]
    return thumbnail(decode(Path(task.files[0]).read_bytes()))


def _one_thread():
    """The same bits on any number of cores; products of matrices as small as these are no slower."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)
