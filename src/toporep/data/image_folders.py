"""Which images a source has: those of folders, listed in sorted order and drawn by a seed, and rendered ones."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toporep import rng
from toporep.data.image_sets import WORDNET, Folder, FolderPart, RenderedPart, Source
from toporep.errors import TopoRepError

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".webp")
DATA_DIR_VARIABLE = "TOPOREP_DATA"

_WORDNET_ID = re.compile(r"n[0-9]{8}")


@dataclass(frozen=True, eq=False)
class PartImages:
    """Images of one part of a source.

    paths: of files, below the data folder, with "/"; of rendered images, what names them. label: index into the
    source's classes.
    """

    part: FolderPart | RenderedPart
    paths: tuple[str, ...]
    label: np.ndarray
    # How many images the folder has, of which these are some.
    available: int


@dataclass(frozen=True, eq=False)
class ImageList:
    """All images of a source, part after part. class_names: sorted within a part, in the order of the parts."""

    source: Source
    class_names: tuple[str, ...]
    parts: tuple[PartImages, ...]

    def __len__(self) -> int:
        return sum(len(part.paths) for part in self.parts)

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths of all images."""
        return tuple(path for part in self.parts for path in part.paths)

    @property
    def label(self) -> np.ndarray:
        """Labels (n,) int64 of all images."""
        return np.concatenate([part.label for part in self.parts])

    @property
    def incomplete(self) -> tuple[str, ...]:
        """Folders that have another number of images than the whole set, as text."""
        found = {part.part.folder: part.available for part in self.parts if isinstance(part.part, FolderPart)}
        return tuple(
            f"{folder.name}: {available:,} of {folder.images:,} images"
            for folder, available in found.items()
            if folder.images not in (None, available)
        )


def list_images(source: Source, data_dir: str | os.PathLike | None = None) -> ImageList:
    """List the images of a source; a subset depends on the names of the files alone, not on the machine.

    Args:
        source: see `toporep.data.image_sets`.
        data_dir: where the folders lie (default: the environment variable TOPOREP_DATA); rendered parts need none.

    Raises:
        TopoRepError: a folder that is missing, empty, has fewer images than the source draws, or has no or other
            sub-folders than its classes need.
    """
    parts = []
    class_names: dict[str, int] = {}
    for part in source.parts:
        if isinstance(part, RenderedPart):
            label = class_names.setdefault(part.class_name, len(class_names))
            labels = np.full(part.images, label, dtype=np.int64)
            parts.append(PartImages(part, rendered_paths(part), labels, part.images))
            continue
        files, names = _folder_files(part, _data_dir(part.folder, data_dir))
        chosen = _chosen(part, files, names)
        for name in sorted(set(names)):
            class_names.setdefault(name, len(class_names))
        labels = np.array([class_names[names[i]] for i in chosen], dtype=np.int64)
        paths = tuple(f"{part.folder.folder}/{files[i]}" for i in chosen)
        parts.append(PartImages(part, paths, labels, len(files)))
    return ImageList(source, tuple(class_names), tuple(parts))


def rendered_paths(part: RenderedPart) -> tuple[str, ...]:
    """What names the images of a rendered part."""
    stem = f"rendered/{part.category}/{part.ground}/{part.split}/seed{part.seed}"
    return tuple(f"{stem}/{i:05d}" for i in range(part.images))


def list_files(folder: str | os.PathLike) -> list[str]:
    """Image files at any depth below a folder: relative paths with "/", sorted by their characters' code points.

    Hidden files and folders and files with other suffixes are left out. Links to folders are followed.

    Raises TopoRepError for a name that is not UTF-8, and for a link to a folder that it lies in.
    """
    return sorted(_walk(Path(folder), "", ()))


def _walk(folder: Path, prefix: str, above: tuple[str, ...]) -> Iterator[str]:
    here = os.path.realpath(folder)
    if here in above:
        raise TopoRepError(f"{folder}: a link to a folder that it lies in ({here}); remove the link")
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            name = prefix + entry.name
            if entry.is_dir():
                yield from _walk(Path(entry.path), f"{name}/", (*above, here))
            elif entry.name.lower().endswith(SUFFIXES):
                yield _utf8(name, folder)


def _utf8(name: str, folder: Path) -> str:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise TopoRepError(f"{folder}: a file's name is not UTF-8 ({name!r}); rename it") from None
    return name


def _data_dir(folder: Folder, data_dir: str | os.PathLike | None) -> Path:
    data_dir = data_dir or os.environ.get(DATA_DIR_VARIABLE)
    if not data_dir:
        raise TopoRepError(
            f"no folder given for {folder.title}: name the one that {folder.folder} lies in "
            f"with --data-dir or the environment variable {DATA_DIR_VARIABLE}"
        )
    return Path(data_dir)


def _folder_files(part: FolderPart, data_dir: Path) -> tuple[list[str], list[str]]:
    """Sorted files of a part's folder and the name of each one's class."""
    folder = part.folder
    path = data_dir / folder.folder
    if not path.is_dir():
        raise TopoRepError(f"{path}: no such folder\n{_how_to_get(folder)}")
    files = list_files(path)
    if not files:
        raise TopoRepError(f"{path}: no images (looked for {', '.join(SUFFIXES)} at any depth)\n{_how_to_get(folder)}")
    if folder.classes == WORDNET:
        _check_wordnet(folder, path, files)
    if part.class_name is not None:
        return files, [part.class_name] * len(files)
    _refuse_empty_classes(folder, path, files)
    return files, [file.split("/")[0] if "/" in file else folder.name for file in files]


def _how_to_get(folder: Folder) -> str:
    size = "" if folder.images is None else f" ({folder.images:,} images)"
    return (
        f"  expected: {folder.title}{size}, in {folder.folder} below the data folder\n"
        f"  needed for: {folder.needed_for}\n  to be had: {folder.obtain}\n  licence: {folder.licence}"
    )


def _check_wordnet(folder: Folder, path: Path, files: list[str]) -> None:
    loose = [file for file in files if "/" not in file]
    if loose:
        raise TopoRepError(
            f"{path}: {len(loose):,} images lie in no class folder, as {loose[0]}; expected one folder for each class, "
            f"named as in ImageNet (n01440764)\n{_how_to_get(folder)}"
        )
    other = sorted({file.split("/")[0] for file in files if not _WORDNET_ID.fullmatch(file.split("/")[0])})
    if other:
        raise TopoRepError(
            f"{path}: {len(other):,} folders are not named as ImageNet's classes (n and 8 digits, as n01440764): "
            f"{', '.join(other[:5])}{' …' if len(other) > 5 else ''}; rename or remove them\n{_how_to_get(folder)}"
        )


def _refuse_empty_classes(folder: Folder, path: Path, files: list[str]) -> None:
    filled = {file.split("/")[0] for file in files}
    empty = sorted(
        entry.name
        for entry in os.scandir(path)
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in filled
    )
    if empty:
        raise TopoRepError(
            f"{path}: {len(empty):,} class folders have no images: {', '.join(empty[:5])}"
            f"{' …' if len(empty) > 5 else ''}; unpack them again, or remove them\n{_how_to_get(folder)}"
        )


def _chosen(part: FolderPart, files: list[str], names: list[str]) -> list[int]:
    """Sorted places of a part's images in the list of files."""
    if part.images:
        return _drawn(part, list(range(len(files))), part.images, where=part.folder.folder)
    if not part.per_class:
        return list(range(len(files)))
    members: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        members.setdefault(name, []).append(i)
    chosen = []
    for name, places in members.items():
        chosen += _drawn(part, places, part.per_class, where=f"{part.folder.folder}/{name}")
    return sorted(chosen)


def _drawn(part: FolderPart, places: list[int], count: int, *, where: str) -> list[int]:
    if len(places) < count:
        raise TopoRepError(
            f"{where}: {count:,} images are drawn from it, but it has {len(places):,}; complete the folder, or draw "
            f"fewer in config/image_sets.yaml\n{_how_to_get(part.folder)}"
        )
    order = rng.permutation(rng.key(part.seed, f"image subset/{where}"), len(places))[:count]
    return [places[i] for i in np.sort(order)]
