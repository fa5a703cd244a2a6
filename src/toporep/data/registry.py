"""The registry of image sources, read from config/datasets.yaml and checked key by key."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toporep.config import read_yaml
from toporep.data import digits, sprites
from toporep.data.entries import below_data_folder, is_a, one_of, record
from toporep.errors import TopoRepError

DEFAULT_PATH = Path(__file__).parents[3] / "config" / "datasets.yaml"

FORMATS = ("idx", "cifar-batches")
GIT_FORMATS = ("dsprites",)
# What each generator is told.
GENERATORS = {
    "digits": ("train", "test", "seed", "size"),
    "objects": ("train", "test", "seed"),
    "sprites": ("size",),
}
# Images that are made smaller: the side of the large ones.
_SIDES = {"digits": digits.SIZE, "sprites": sprites.SIDE}
_HOLDS = {
    "idx": ("images_train", "label_train", "images_test", "label_test"),
    "cifar-batches": ("train", "test"),
}


@dataclass(frozen=True)
class Content:
    """A file inside a downloaded one: its path, md5, and which arrays it holds."""

    name: str
    md5: str
    holds: str


@dataclass(frozen=True)
class RemoteFile:
    """A file as it is downloaded."""

    name: str
    bytes: int
    md5: str
    urls: tuple[str, ...]
    contains: tuple[Content, ...]

    @property
    def identity(self) -> str:
        """What tells the right file, as text for an error message."""
        return f"{self.bytes} bytes, md5 {self.md5}"

    def found(self, path: Path) -> str | None:
        """None when the file at `path` is the right one, else what it is, as text for an error message."""
        found = _hex_digest(hashlib.md5(usedforsecurity=False), path)
        return None if found == self.md5 else f"{path.stat().st_size} bytes, md5 {found}"


@dataclass(frozen=True)
class GitFile:
    """A file of a public git repository, known by the name that git gives to its content."""

    name: str
    git_sha1: str
    urls: tuple[str, ...]

    @property
    def contains(self) -> tuple[Content, ...]:
        """Nothing is unpacked from it."""
        return ()

    @property
    def identity(self) -> str:
        """What tells the right file, as text for an error message."""
        return f"git blob SHA-1 {self.git_sha1}"

    def found(self, path: Path) -> str | None:
        """None when the file at `path` is the right one, else what it is, as text for an error message."""
        size = path.stat().st_size
        # git hashes a header and the content ("git hash-object").
        found = _hex_digest(hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False), path)
        return None if found == self.git_sha1 else f"{size} bytes, git blob SHA-1 {found}"


@dataclass(frozen=True)
class Fingerprint:
    """Number of images of a split and their order-independent identity."""

    images: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """What every source says of itself."""

    name: str
    title: str
    licence: str
    citation: str
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class FileSource(Source):
    """A public data set that consists of files."""

    image_shape: tuple[int, int, int]
    format: str
    folder: str
    npz: str
    fingerprints: Mapping[str, Fingerprint]
    files: tuple[RemoteFile, ...]

    @property
    def contents(self) -> tuple[Content, ...]:
        """All inner files, in the order that gives the official order of the images."""
        return tuple(content for file in self.files for content in file.contains)


@dataclass(frozen=True)
class GitSource(Source):
    """A public data set that is one file of a git repository; `folder` is where a clone below the data folder lies."""

    image_shape: tuple[int, int, int]
    format: str
    folder: str
    files: tuple[GitFile]


@dataclass(frozen=True)
class GeneratedSource(Source):
    """Data that TopoRep makes itself: `generator`, and what it is told (`GENERATORS`)."""

    generator: str
    parameters: Mapping[str, int]


@dataclass(frozen=True)
class DownloadPolicy:
    """Rounds over the URLs of a file, seconds before the second round (doubling), seconds of silence allowed."""

    attempts: int
    backoff: float
    timeout: float


@dataclass(frozen=True)
class Registry:
    """All sources, and how to download."""

    download: DownloadPolicy
    sources: Mapping[str, FileSource | GitSource | GeneratedSource]

    def source(self, name: str) -> FileSource | GitSource | GeneratedSource:
        """Look up a source; an unknown name raises TopoRepError with the known ones."""
        if name not in self.sources:
            raise TopoRepError(f"unknown data source {name!r}; known: {', '.join(self.sources)}")
        return self.sources[name]


def load_registry(path: str | os.PathLike | None = None) -> Registry:
    """Read and check a registry file (default: config/datasets.yaml of this checkout).

    Raises TopoRepError naming the key at fault when one is missing, unknown or of the wrong kind.
    """
    path = DEFAULT_PATH if path is None else Path(path)
    return parse_registry(read_yaml(path), where=str(path))


def parse_registry(raw: Any, *, where: str) -> Registry:
    """Check a registry given as nested dicts and lists; `where` opens every error message."""
    top = record(raw, where, {"download": dict, "sources": dict})
    download = record(top["download"], f"{where}: download", {"attempts": int, "backoff": float, "timeout": float})
    if download["attempts"] < 1 or download["backoff"] < 0 or download["timeout"] <= 0:
        raise TopoRepError(f"{where}: download: expected attempts >= 1, backoff >= 0, timeout > 0, found {download}")
    return Registry(
        download=DownloadPolicy(**download),
        sources={name: _source(name, entry, f"{where}: sources.{name}") for name, entry in top["sources"].items()},
    )


_COMMON = {"kind": str, "title": str, "licence": str, "citation": str, "class_names": list}
_FILES = {"image_shape": list, "format": str, "folder": str, "files": list}


def _source(name: str, raw: Any, where: str) -> FileSource | GitSource | GeneratedSource:
    kind = raw.get("kind") if isinstance(raw, dict) else None
    if kind == "files":
        return _file_source(name, raw, where)
    if kind == "git-file":
        return _git_source(name, raw, where)
    if kind == "generated":
        return _generated_source(name, raw, where)
    raise TopoRepError(f"{where}.kind: expected 'files', 'git-file' or 'generated', found {kind!r}")


def _file_source(name: str, raw: Any, where: str) -> FileSource:
    entry = record(raw, where, {**_COMMON, **_FILES, "npz": str, "fingerprints": dict})
    entry.pop("kind")
    one_of(entry["format"], FORMATS, f"{where}.format")
    splits = record(entry["fingerprints"], f"{where}.fingerprints", {"train": dict, "test": dict})
    source = FileSource(
        name=name,
        **entry
        | {
            "class_names": _texts(entry["class_names"], f"{where}.class_names"),
            "image_shape": _image_shape(entry["image_shape"], where),
            "fingerprints": {
                split: _fingerprint(value, f"{where}.fingerprints.{split}") for split, value in splits.items()
            },
            "files": tuple(
                _remote_file(file, entry["format"], f"{where}.files[{i}]") for i, file in enumerate(entry["files"])
            ),
        },
    )
    missing = set(_HOLDS[source.format]) - {content.holds for content in source.contents}
    if missing:
        raise TopoRepError(f"{where}.files: no file holds {', '.join(sorted(missing))}")
    return source


def _remote_file(raw: Any, format: str, where: str) -> RemoteFile:
    entry = record(raw, where, {"name": str, "bytes": int, "md5": str, "urls": list, "contains": list})
    _checksum(entry["md5"], 32, f"{where}.md5")
    below_data_folder(entry["name"], f"{where}.name")
    urls = _urls(entry["urls"], where)
    contains = []
    for i, content in enumerate(entry["contains"]):
        inner = record(content, f"{where}.contains[{i}]", {"name": str, "md5": str, "holds": str})
        below_data_folder(inner["name"], f"{where}.contains[{i}].name")
        _checksum(inner["md5"], 32, f"{where}.contains[{i}].md5")
        one_of(inner["holds"], _HOLDS[format], f"{where}.contains[{i}].holds")
        contains.append(Content(**inner))
    return RemoteFile(**entry | {"urls": urls, "contains": tuple(contains)})


def _git_source(name: str, raw: Any, where: str) -> GitSource:
    entry = record(raw, where, {**_COMMON, **_FILES})
    entry.pop("kind")
    one_of(entry["format"], GIT_FORMATS, f"{where}.format")
    if len(entry["files"]) != 1:
        raise TopoRepError(f"{where}.files: expected one file, found {len(entry['files'])}")
    file = record(entry["files"][0], f"{where}.files[0]", {"name": str, "git_sha1": str, "urls": list})
    below_data_folder(file["name"], f"{where}.files[0].name")
    _checksum(file["git_sha1"], 40, f"{where}.files[0].git_sha1")
    return GitSource(
        name=name,
        **entry
        | {
            "class_names": _texts(entry["class_names"], f"{where}.class_names"),
            "image_shape": _image_shape(entry["image_shape"], where),
            "files": (GitFile(**file | {"urls": _urls(file["urls"], f"{where}.files[0]")}),),
        },
    )


def _generated_source(name: str, raw: Any, where: str) -> GeneratedSource:
    entry = record(raw, where, {**_COMMON, "generator": str, "parameters": dict})
    entry.pop("kind")
    one_of(entry["generator"], tuple(GENERATORS), f"{where}.generator")
    known = dict.fromkeys(GENERATORS[entry["generator"]], int)
    parameters = record(entry["parameters"], f"{where}.parameters", known)
    side = _SIDES.get(entry["generator"])
    if side and (parameters["size"] < 1 or side % parameters["size"]):
        raise TopoRepError(f"{where}.parameters.size: expected a divisor of {side}, found {parameters['size']}")
    if "train" in parameters and (min(parameters["train"], parameters["test"]) < 1 or parameters["seed"] < 0):
        raise TopoRepError(f"{where}.parameters: expected train, test >= 1 and seed >= 0, found {parameters}")
    class_names = _texts(entry["class_names"], f"{where}.class_names")
    return GeneratedSource(name=name, **entry | {"class_names": class_names, "parameters": parameters})


def _fingerprint(raw: Any, where: str) -> Fingerprint:
    entry = record(raw, where, {"images": int, "sha256": str})
    _checksum(entry["sha256"], 64, f"{where}.sha256")
    return Fingerprint(**entry)


def _texts(values: list, where: str) -> tuple[str, ...]:
    if not values or not all(isinstance(value, str) for value in values):
        raise TopoRepError(f"{where}: expected a list of texts, found {values!r}")
    return tuple(values)


def _urls(values: list, where: str) -> tuple[str, ...]:
    urls = _texts(values, f"{where}.urls")
    for url in urls:
        if not re.match(r"https?://", url):
            raise TopoRepError(f"{where}.urls: expected http:// or https://, found {url!r}")
    return urls


def _image_shape(values: list, where: str) -> tuple[int, ...]:
    if len(values) != 3 or not all(is_a(value, int) and value > 0 for value in values):
        raise TopoRepError(f"{where}.image_shape: expected [rows, columns, channels], found {values}")
    return tuple(values)


def _checksum(value: str, digits: int, where: str) -> None:
    if not re.fullmatch(rf"[0-9a-f]{{{digits}}}", value):
        raise TopoRepError(f"{where}: expected {digits} lower-case hexadecimal digits, found {value!r}")


def _hex_digest(digest: Any, path: Path) -> str:
    """Add a file to a started hash, without holding it in memory."""
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
