"""`obtain`: the images of a source, from local files, from the network, or generated."""

from __future__ import annotations

import os
from pathlib import Path

from toporep.data.download import fetch
from toporep.data.images import GENERATED, ImageData
from toporep.data.local import Found, expected_files, read_local, ways_to_get
from toporep.data.registry import FileSource, GeneratedSource, GitSource, Registry, load_registry
from toporep.errors import TopoRepError

DATA_DIR_VARIABLE = "TOPOREP_DATA"


def obtain(
    source: str,
    data_dir: str | os.PathLike | None = None,
    *,
    registry: Registry | str | os.PathLike | None = None,
    download: bool = True,
    progress: bool | None = None,
) -> ImageData:
    """Images and labels of `source`, checked against the registry.

    Looks in `data_dir` (default: the environment variable TOPOREP_DATA) for torchvision's layout, then for a
    Keras-style npz; downloads into `data_dir` in torchvision's layout when neither is there and `download` is true.
    A file of a git repository (dSprites) is looked for in a clone below `data_dir`, then in `data_dir` itself.
    Generated sources need no folder and no network. progress: show a bar (default: on a terminal).

    Raises TopoRepError for an unknown source; for a file that is missing and may not or cannot be downloaded; and
    for a file whose content is not the official one.
    """
    if not isinstance(registry, Registry):
        registry = load_registry(registry)
    entry = registry.source(source)
    if isinstance(entry, GeneratedSource):
        return _generated(entry)
    found = _from_files(entry, _folder(entry, data_dir), registry, download=download, progress=progress)
    return ImageData.from_arrays(
        found.arrays,
        class_names=entry.class_names,
        source=source,
        source_title=entry.title,
        recognised_as=found.recognised_as,
        origin=found.origin,
        licence=entry.licence,
    )


def _folder(entry: FileSource | GitSource, data_dir: str | os.PathLike | None) -> Path:
    data_dir = data_dir or os.environ.get(DATA_DIR_VARIABLE)
    if not data_dir:
        raise TopoRepError(
            f"no folder given for the files of {entry.title}: "
            f"name one with --data-dir or the environment variable {DATA_DIR_VARIABLE}"
        )
    return Path(data_dir)


def _from_files(
    entry: FileSource | GitSource, data_dir: Path, registry: Registry, *, download: bool, progress: bool | None
) -> Found:
    found = read_local(entry, data_dir)
    if found:
        return found
    if not download:
        raise TopoRepError(
            f"{entry.title}: no complete set of files, and download is not allowed\n"
            f"  looked for: {expected_files(entry, data_dir)}\n{ways_to_get(entry)}"
        )
    folder = data_dir / entry.folder
    for file in entry.files:
        unpacked = file.contains and all((folder / content.name).is_file() for content in file.contains)
        if not unpacked and not (folder / file.name).is_file():
            fetch(file, folder, policy=registry.download, progress=progress)
    found = read_local(entry, data_dir)
    if found is None:
        raise TopoRepError(f"{entry.title}: files vanished from {folder} while they were read; run again")
    return found


def _generated(entry: GeneratedSource) -> ImageData:
    if entry.generator == "digits":
        from toporep.data import digits as generator
    elif entry.generator == "objects":
        from toporep.data import objects as generator
    else:
        from toporep.data import dsprites as generator
    arrays, origin = generator.generate(**entry.parameters)
    return ImageData.from_arrays(
        arrays,
        class_names=entry.class_names,
        source=entry.name,
        source_title=entry.title,
        recognised_as=GENERATED,
        origin=origin,
        licence=entry.licence,
    )
