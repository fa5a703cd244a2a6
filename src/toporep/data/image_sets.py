"""The registry of image sets and feature networks, read from config/image_sets.yaml and checked key by key."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toporep.config import read_yaml
from toporep.data.entries import at_least, below_data_folder, one_of, record
from toporep.errors import TopoRepError
from toporep.stimuli.categories import CATEGORIES, GROUNDS, SPLITS

DEFAULT_PATH = Path(__file__).parents[3] / "config" / "image_sets.yaml"

ANY, WORDNET = "any", "wordnet"
# Networks that TopoRep has code for.
NETWORKS = ("alexnet", "gabor")


@dataclass(frozen=True)
class Folder:
    """A set of images that the user has, in `folder` below the data folder.

    images: how many the whole set has, None where unknown. classes: `ANY` or `WORDNET` (what sub-folders are named).
    obtain, needed_for: where the set is to be had and what needs it, for error messages.
    """

    name: str
    title: str
    licence: str
    citation: str
    obtain: str
    folder: str
    images: int | None
    classes: str
    needed_for: str


@dataclass(frozen=True)
class Network:
    """A network that makes features, and the names of the files that its weights may lie in."""

    name: str
    title: str
    dimensions: int
    folder: str | None
    weights: tuple[str, ...]
    obtain: str


@dataclass(frozen=True)
class FolderPart:
    """Images of a folder: all, `images` of them, or `per_class` of each class, drawn by `seed`.

    class_name: the class of all of them; None: the sub-folders' names are classes.
    """

    folder: Folder
    class_name: str | None
    images: int | None
    per_class: int | None
    seed: int


@dataclass(frozen=True)
class RenderedPart:
    """The first `images` images of `render_category(category, seed, split=split, ground=ground)`, one class."""

    category: str
    class_name: str
    images: int
    split: str
    seed: int
    ground: str


@dataclass(frozen=True)
class Source:
    """A named list of images."""

    name: str
    title: str
    parts: tuple[FolderPart | RenderedPart, ...]

    @property
    def folders(self) -> tuple[Folder, ...]:
        """The folders that it reads, none of them twice."""
        return tuple(dict.fromkeys(part.folder for part in self.parts if isinstance(part, FolderPart)))


@dataclass(frozen=True)
class ImageSets:
    """All folders, networks and sources."""

    folders: Mapping[str, Folder]
    networks: Mapping[str, Network]
    sources: Mapping[str, Source]

    def source(self, name: str) -> Source:
        """Look up a source; an unknown name raises TopoRepError with the known ones."""
        return _look_up(self.sources, name, "source of images")

    def network(self, name: str) -> Network:
        """Look up a network; an unknown name raises TopoRepError with the known ones."""
        return _look_up(self.networks, name, "network for features")


def load_image_sets(path: str | os.PathLike | None = None) -> ImageSets:
    """Read and check a registry file (default: config/image_sets.yaml of this checkout).

    Raises TopoRepError naming the key at fault when one is missing, unknown or of the wrong kind.
    """
    path = DEFAULT_PATH if path is None else Path(path)
    return parse_image_sets(read_yaml(path), where=str(path))


def parse_image_sets(raw: Any, *, where: str) -> ImageSets:
    """Check a registry given as nested dicts and lists; `where` opens every error message."""
    top = record(raw, where, {"folders": dict, "networks": dict, "sources": dict})
    folders = {name: _folder(name, entry, f"{where}: folders.{name}") for name, entry in top["folders"].items()}
    return ImageSets(
        folders=folders,
        networks={name: _network(name, entry, f"{where}: networks.{name}") for name, entry in top["networks"].items()},
        sources={
            name: _source(name, entry, folders, f"{where}: sources.{name}") for name, entry in top["sources"].items()
        },
    )


def _folder(name: str, raw: Any, where: str) -> Folder:
    texts = dict.fromkeys(("title", "licence", "citation", "obtain", "folder", "classes", "needed_for"), str)
    entry = record(raw, where, {**texts, "images": (int, None)})
    below_data_folder(entry["folder"], f"{where}.folder")
    one_of(entry["classes"], (ANY, WORDNET), f"{where}.classes")
    at_least(entry, "images", 1, where)
    return Folder(name=name, **entry)


def _network(name: str, raw: Any, where: str) -> Network:
    one_of(name, NETWORKS, where)
    kinds = {"title": str, "dimensions": int, "folder": (str, None), "weights": list, "obtain": str}
    entry = record(raw, where, kinds)
    at_least(entry, "dimensions", 1, where)
    for i, weights in enumerate(entry["weights"]):
        if not isinstance(weights, str) or not re.fullmatch(r"[\w.-]*-[0-9a-f]{8,64}\.pth", weights):
            raise TopoRepError(
                f"{where}.weights[{i}]: expected the name of a .pth file that ends in digits of its sha256, "
                f"as alexnet-owt-7be5be79.pth, found {weights!r}"
            )
    if entry["weights"]:
        below_data_folder(entry["folder"] or "", f"{where}.folder")
    return Network(name=name, **entry | {"weights": tuple(entry["weights"])})


def _source(name: str, raw: Any, folders: Mapping[str, Folder], where: str) -> Source:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", str(name)):
        raise TopoRepError(f"{where}: expected a name of small letters, digits and _, found {name!r}")
    entry = record(raw, where, {"title": str, "parts": list})
    if not entry["parts"]:
        raise TopoRepError(f"{where}.parts: expected at least one part, found none")
    parts = tuple(_part(part, folders, f"{where}.parts[{i}]") for i, part in enumerate(entry["parts"]))
    repeated = [part for i, part in enumerate(parts) if part in parts[:i]]
    if repeated:
        raise TopoRepError(f"{where}.parts: the same part stands there twice: {repeated[0]}")
    return Source(name=name, title=entry["title"], parts=parts)


def _part(raw: Any, folders: Mapping[str, Folder], where: str) -> FolderPart | RenderedPart:
    if isinstance(raw, dict) and "rendered" in raw:
        return _rendered_part(raw, where)
    optional = {"class": (str, None), "images": (int, None), "per_class": (int, None), "seed": (int, 0)}
    entry = record(raw, where, {"folder": str}, optional)
    one_of(entry["folder"], tuple(folders), f"{where}.folder")
    if entry["images"] and entry["per_class"]:
        raise TopoRepError(f"{where}: expected images or per_class, found both")
    for key, least in (("images", 1), ("per_class", 1), ("seed", 0)):
        at_least(entry, key, least, where)
    class_name = entry.pop("class")
    return FolderPart(**entry | {"folder": folders[entry["folder"]], "class_name": class_name})


def _rendered_part(raw: dict, where: str) -> RenderedPart:
    required = {"rendered": str, "class": str, "images": int, "split": str, "seed": int}
    entry = record(raw, where, required, {"ground": (str, "usual")})
    for key, allowed in (("rendered", CATEGORIES), ("split", SPLITS), ("ground", GROUNDS)):
        one_of(entry[key], allowed, f"{where}.{key}")
    if entry["rendered"] == "scene" and entry["ground"] != "usual":
        raise TopoRepError(f"{where}.ground: a scene fills its image; expected 'usual', found {entry['ground']!r}")
    for key, least in (("images", 1), ("seed", 0)):
        at_least(entry, key, least, where)
    return RenderedPart(
        category=entry["rendered"],
        class_name=entry["class"],
        **{key: entry[key] for key in ("images", "split", "seed", "ground")},
    )


def _look_up(entries: Mapping[str, Any], name: str, kind: str) -> Any:
    if name not in entries:
        raise TopoRepError(f"unknown {kind} {name!r}; known: {', '.join(entries)}")
    return entries[name]
