"""Files of a source in a local folder: which are there, and whether they are the right ones."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toporep.data.dsprites import read_dsprites, without_test
from toporep.data.formats import read_cifar_batch, read_idx, read_npz
from toporep.data.images import OFFICIAL_CONTENT, OFFICIAL_FILES, fingerprint
from toporep.data.registry import Content, FileSource, GitSource
from toporep.errors import TopoRepError


@dataclass(frozen=True)
class Found:
    """The four arrays of a source, how they were recognised, and the files they came from."""

    arrays: tuple[np.ndarray, ...]
    recognised_as: str
    origin: str


def read_local(source: FileSource | GitSource, data_dir: Path) -> Found | None:
    """Read `source` from `data_dir`: torchvision's layout, then flat, then Keras's npz; None when none is complete.

    Of a git repository: the file in the clone, then flat.

    Raises TopoRepError naming the file, with expected and found checksum, when a file is there but is not right: a
    wrong file is never passed over in silence.
    """
    if isinstance(source, GitSource):
        return _read_git_file(source, data_dir)
    reader = {"idx": _read_idx_files, "cifar-batches": _read_cifar_files}[source.format]
    for folder in dict.fromkeys((data_dir / source.folder, data_dir)):
        found = reader(source, folder)
        if found:
            return found
    path = data_dir / source.npz
    return _read_npz(source, path) if path.is_file() else None


def expected_files(source: FileSource | GitSource, data_dir: Path) -> str:
    """The places where `read_local` looks, as text for an error message."""
    names = ", ".join(file.name for file in source.files)
    if isinstance(source, GitSource):
        return f"{data_dir / source.folder} or {data_dir} with {names}"
    return (
        f"{data_dir / source.folder} or {data_dir} with {names} (or their unpacked content), or {data_dir / source.npz}"
    )


def _read_git_file(source: GitSource, data_dir: Path) -> Found | None:
    (file,) = source.files
    for path in dict.fromkeys((data_dir / source.folder / file.name, data_dir / file.name)):
        if path.is_file():
            found = file.found(path)
            if found:
                raise _wrong(source, f"{path}: altered, perhaps truncated", expected=file.identity, found=found)
            return Found(without_test(read_dsprites(path, source.image_shape)), OFFICIAL_FILES, file.name)
    return None


def _read_idx_files(source: FileSource, folder: Path) -> Found | None:
    paths = {}
    for file in source.files:
        (content,) = file.contains
        candidates = (folder / content.name, folder / file.name)
        path = next((path for path in candidates if path.is_file()), None)
        if path is None:
            return None
        paths[content] = path
    arrays, altered = {}, []
    for content, path in paths.items():
        raw = path.read_bytes() if path.name == content.name else _gunzip(source, path)
        if _md5(raw) != content.md5:
            altered.append(f"{path} (unpacked: md5 {_md5(raw)}, expected {content.md5})")
        arrays[content.holds] = _idx_array(source, path, content, raw)
    ordered = _checked_idx_shapes(source, arrays, folder)
    names = ", ".join(path.name for path in paths.values())
    if altered:
        return _by_fingerprint(source, ordered, names, "; ".join(altered))
    return Found(ordered, OFFICIAL_FILES, names)


def _idx_array(source: FileSource, path: Path, content: Content, raw: bytes) -> np.ndarray:
    try:
        return read_idx(raw, where=str(path))
    except TopoRepError as error:
        raise _wrong(source, str(error), expected=f"md5 {content.md5} unpacked", found=f"md5 {_md5(raw)}") from error


def _checked_idx_shapes(source: FileSource, arrays: dict[str, np.ndarray], folder: Path) -> tuple[np.ndarray, ...]:
    ordered = []
    for split in ("train", "test"):
        images, labels = arrays[f"images_{split}"], arrays[f"label_{split}"]
        rows, columns, channels = source.image_shape
        if images.shape != (len(labels), rows, columns) or channels != 1 or labels.ndim != 1:
            raise _wrong(
                source,
                f"{folder}: the {split} images do not fit their labels or {source.title}",
                expected=f"{len(labels)} images of {rows} x {columns}",
                found=f"shape {images.shape}",
            )
        ordered += [images[..., np.newaxis], labels.astype(np.int64)]
    return tuple(ordered)


def _read_cifar_files(source: FileSource, folder: Path) -> Found | None:
    (archive,) = source.files
    if all((folder / content.name).is_file() for content in archive.contains):
        members = {content.name: (folder / content.name).read_bytes() for content in archive.contains}
        return _cifar_arrays(source, members, folder=folder, origin=", ".join(members), packed=OFFICIAL_FILES)
    path = folder / archive.name
    if not path.is_file():
        return None
    raw = path.read_bytes()
    recognised_as = OFFICIAL_FILES if _md5(raw) == archive.md5 else OFFICIAL_CONTENT
    members = _untar(source, path, raw)
    return _cifar_arrays(source, members, folder=path, origin=archive.name, packed=recognised_as)


def _cifar_arrays(source: FileSource, members: dict[str, bytes], *, folder: Path, origin: str, packed: str) -> Found:
    splits: dict[str, list] = {"train": [], "test": []}
    for content in source.contents:
        raw, where = members[content.name], f"{folder}: {content.name}"
        if _md5(raw) != content.md5:
            # A pickle with an unknown checksum is not opened, so there is no fingerprint to fall back on.
            raise _wrong(source, f"{where}: altered", expected=f"md5 {content.md5}", found=f"md5 {_md5(raw)}")
        splits[content.holds].append(read_cifar_batch(raw, source.image_shape, where=where))
    arrays = tuple(np.concatenate(parts) for split in ("train", "test") for parts in zip(*splits[split], strict=True))
    return Found(arrays, packed, origin)


def _read_npz(source: FileSource, path: Path) -> Found:
    try:
        arrays = read_npz(path, source.image_shape)
    except TopoRepError as error:
        expected = "; ".join(f"{split} {known.sha256}" for split, known in source.fingerprints.items())
        found = f"md5 {_md5(path.read_bytes())}, {path.stat().st_size} bytes"
        raise _wrong(source, str(error), expected=f"content with the fingerprints {expected}", found=found) from error
    return _by_fingerprint(source, arrays, path.name, str(path))


def _by_fingerprint(source: FileSource, arrays: tuple[np.ndarray, ...], origin: str, where: str) -> Found:
    """Accept arrays whose content is official whatever its order; otherwise raise, naming `where`."""
    for split, images, labels in (("train", *arrays[:2]), ("test", *arrays[2:])):
        known, found = source.fingerprints[split], fingerprint(images, labels)
        if found != known.sha256:
            raise _wrong(
                source,
                f"{where}: the {split} images or labels are not those of {source.title}",
                expected=f"{known.images} images with fingerprint {known.sha256}",
                found=f"{len(images)} images with fingerprint {found}",
            )
    return Found(arrays, OFFICIAL_CONTENT, origin)


def _gunzip(source: FileSource, path: Path) -> bytes:
    raw = path.read_bytes()
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(source, path, raw, error) from error


def _untar(source: FileSource, path: Path, raw: bytes) -> dict[str, bytes]:
    """Read the members that are needed into memory; nothing is extracted to disk."""
    try:
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:*") as archive:
            return {content.name: archive.extractfile(content.name).read() for content in source.contents}
    except (tarfile.TarError, OSError, EOFError, zlib.error, KeyError, AttributeError) as error:
        raise _damaged(source, path, raw, error) from error


def _damaged(source: FileSource, path: Path, raw: bytes, error: Exception) -> TopoRepError:
    file = next(file for file in source.files if file.name == path.name)
    return _wrong(
        source,
        f"{path}: cannot be unpacked, perhaps truncated ({error})",
        expected=file.identity,
        found=f"{len(raw)} bytes, md5 {_md5(raw)}",
    )


def _wrong(source: FileSource | GitSource, what: str, *, expected: str, found: str) -> TopoRepError:
    return TopoRepError(f"{what}\n  expected: {expected}\n  found: {found}\n{ways_to_get(source)}")


def ways_to_get(source: FileSource | GitSource) -> str:
    """How to get the files of a source, as text for an error message."""
    urls = "\n".join(f"  {url}" for file in source.files for url in file.urls)
    name = source.files[0].name if isinstance(source, GitSource) else source.npz
    return (
        f"To get {source.title}: remove a file that is wrong and run again with download allowed, "
        f"or fetch by hand\n{urls}\n"
        f"or name another folder with --data-dir or the environment variable TOPOREP_DATA (it may hold {name})"
    )


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
