"""Features of all images of a source, in files that training and evaluation read (schema `features`).

The features lie in an .npy file of float16 beside the netCDF file, which holds everything else: which images, their
hashes and classes, and what was left out. Without an .npy file it is a list of images, of which features are made anew
in each epoch (`toporep.data.features.LiveFeatures`).
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from toporep.data.crops import Transform
from toporep.data.feature_files import ARRAY_TYPE, array_probe, array_sha256
from toporep.data.features import AlexNetEncoder
from toporep.data.image_folders import DATA_DIR_VARIABLE, ImageList, list_images
from toporep.data.image_sets import ImageSets, Network, RenderedPart, load_image_sets
from toporep.data.read_images import Done, Work, read_images, thumbnails
from toporep.errors import TopoRepError
from toporep.io import atomic_path, write_dataset
from toporep.provenance import NOT_WHOLE

GENERATED = "generated"
COMPLETE = "folders of the user, as many images as expected"
INCOMPLETE = "folders of the user, another number of images than expected"

_EXAMPLES = 4
_LISTED = 5
_ROWS = 4096
# Views or features of a chunk (image, crop, …) → features (image, crop, width).
_Finish = Callable[[np.ndarray], np.ndarray]


@dataclass
class Manifest:
    """What was found of the images, in the order of their list.

    place: where those that could be read stand in it; bytes, sha256: of these. skipped, reason: the others.
    """

    place: list[int] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)
    sha256: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    reason: list[str] = field(default_factory=list)

    def add(self, done: Done, paths: tuple[str, ...]) -> None:
        """Add what came of a chunk; `paths` of all images."""
        self.place += done.place
        self.bytes += done.bytes
        self.sha256 += done.sha256
        self.skipped += [paths[place] for place in done.left_out]
        self.reason += done.left_out.values()


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

    Args:
        name: source in the registry.
        output: netCDF file to write.
        features: a paper's settings of that name: those of `Transform`, `crops` (views of each image that are kept)
            and `max_unreadable` (largest share of files that may be left out).
        array: .npy file to write, (image, crop, feature) float16; None: a list of images alone, whose `crops` is 0.
        data_dir: where folders and weights lie (default: the environment variable TOPOREP_DATA).
        registry: default: config/image_sets.yaml.
        threads: threads that decode, or processes that render; which images are seen, and how, does not depend on it.
        device: of AlexNet, see `choose_device`.

    Raises:
        TopoRepError: what `list_images` refuses; weights that are missing or others; too many unreadable images; a
            list of rendered images alone.
    """
    registry = registry or load_image_sets()
    transform, network = Transform.from_settings(features), registry.network(features["network"])
    images = list_images(registry.source(name), data_dir)
    if array is None:
        _refuse_rendered(images)
    encoder = None if network.name == "gabor" else AlexNetEncoder(transform, data_dir, registry=registry)
    root = os.fspath(data_dir or os.environ.get(DATA_DIR_VARIABLE, ""))
    reader = _Reader(images, root, threads=threads, max_unreadable=float(features["max_unreadable"]))
    if array is None:
        manifest, made = reader.read(Work()), {"array": "", "array_sha256": "", "array_probe": "", "crops": 0}
    else:
        work = Work(transform, int(features["crops"]), gabor=encoder is None)
        finish = _on_device(encoder, device) if encoder else lambda values: values
        manifest = _write_array(array, reader, work, finish, network)
        made = {
            "array": os.path.relpath(array, Path(output).parent),
            "array_sha256": array_sha256(array),
            "array_probe": array_probe(array),
            "crops": work.crops,
        }
    made["weights_sha256"] = encoder.sha256 if encoder else ""
    _write_manifest(output, reader, manifest, transform, network, made)
    return manifest


def recognised_as(images: ImageList) -> str:
    """Whether the folders have as many images as the whole sets have, as text."""
    if not images.source.folders:
        return GENERATED
    return f"{INCOMPLETE} ({'; '.join(images.incomplete)})" if images.incomplete else COMPLETE


def titled(images: ImageList) -> str:
    """What the images are, for figures and the ledger of claims, with a remark if their folders are not whole."""
    title = images.source.title
    return f"{title} ({NOT_WHOLE}: {'; '.join(images.incomplete)})" if images.incomplete else title


@dataclass(frozen=True)
class _Reader:
    """Images that are read whole, or given up."""

    images: ImageList
    root: str
    threads: int
    max_unreadable: float

    def read(self, work: Work, *, keep: Callable[[Done], None] | None = None) -> Manifest:
        """Work on all images; give what came of each chunk to `keep`."""
        manifest, paths = Manifest(), self.images.paths
        with _progress(self.images.source.name, len(paths)) as advance:
            for done in read_images(self.images, work, self.root, threads=self.threads):
                manifest.add(done, paths)
                if len(manifest.skipped) > self.max_unreadable * len(paths):
                    raise TopoRepError(self._too_many(manifest))
                if keep and done.place:
                    keep(done)
                advance(len(done.place) + len(done.left_out))
        if not manifest.place:
            raise TopoRepError(self._too_many(manifest))
        return manifest

    def _too_many(self, manifest: Manifest) -> str:
        listed = [f"  {path}: {reason}" for path, reason in zip(manifest.skipped, manifest.reason, strict=True)]
        return "\n".join(
            [
                f"{self.images.source.name}: {len(manifest.skipped)} images cannot be read, of {len(self.images):,}; "
                f"allowed is a share of {self.max_unreadable:g} (features.max_unreadable). The first:",
                *listed[:_LISTED],
                "  unpack them again, remove them, or allow more",
            ]
        )


def _refuse_rendered(images: ImageList) -> None:
    if any(isinstance(part.part, RenderedPart) for part in images.parts):
        raise TopoRepError(
            f"{images.source.name}: rendered images have no files that could be read in each epoch; "
            "set features.training to cached, or choose a source of folders"
        )


def _on_device(encoder: AlexNetEncoder, device: str) -> _Finish:
    from toporep.device import choose_device, set_precision

    chosen = choose_device(device)
    set_precision(chosen)

    def finish(pixels: np.ndarray) -> np.ndarray:
        features = encoder(pixels.reshape(-1, *pixels.shape[2:]), chosen)
        return features.cpu().numpy().reshape(*pixels.shape[:2], -1)

    return finish


def _write_array(path: str | os.PathLike, reader: _Reader, work: Work, finish: _Finish, network: Network) -> Manifest:
    shape = (len(reader.images), work.crops, network.dimensions)
    filled = 0
    with atomic_path(path, alone=True) as temporary:
        array = _mapped(temporary, shape)

        def keep(done: Done) -> None:
            nonlocal filled
            values = finish(done.values)
            array[filled : filled + len(values)] = _half(values, network)
            filled += len(values)

        manifest = reader.read(work, keep=keep)
        array.flush()
        if filled < len(array):
            _write_rows(temporary, array, filled)
    return manifest


def _mapped(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """An array in a new .npy file whose place on the disk is taken: in a full one, writing to a map is a bus error."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=ARRAY_TYPE, shape=shape)
    # Not everywhere: macOS has no such call.
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _write_rows(path: Path, array: np.ndarray, count: int) -> None:
    """Write the first rows of an array in the place of the file that it is mapped from."""
    with atomic_path(path, alone=True) as temporary:
        short = _mapped(temporary, (count, *array.shape[1:]))
        for start in range(0, count, _ROWS):
            short[start : start + _ROWS] = array[start : min(start + _ROWS, count)]
        short.flush()


def _half(values: np.ndarray, network: Network) -> np.ndarray:
    largest = float(np.abs(values).max(initial=0.0))
    if not largest <= np.finfo(ARRAY_TYPE).max:
        raise TopoRepError(
            f"{network.title}: a feature is {largest}; expected numbers that float16 holds, up to 65,504"
        )
    return values.astype(ARRAY_TYPE)


def _write_manifest(
    output: str | os.PathLike,
    reader: _Reader,
    manifest: Manifest,
    transform: Transform,
    network: Network,
    made: dict[str, Any],
) -> None:
    import xarray as xr

    images = reader.images
    source, paths, label = images.source, images.paths, images.label[manifest.place]
    kept = [paths[place] for place in manifest.place]
    shown = thumbnails(images, manifest.place[:_EXAMPLES], reader.root)
    identity = {
        **{"paths": kept, "sha256": manifest.sha256, "label": label.tolist(), "class_names": images.class_names},
        **{"network": network.name, "dimensions": network.dimensions, "transform": transform.text},
        **{name: made[name] for name in ("crops", "array_sha256", "weights_sha256")},
    }
    dataset = xr.Dataset(
        {
            "path": (("image",), _texts(kept)),
            "bytes": (("image",), np.array(manifest.bytes, dtype=np.int64)),
            "sha256": (("image",), _texts(manifest.sha256)),
            "label": (("image",), label),
            "thumbnail": (("example", "image_row", "image_col", "channel"), shown),
            "skipped": (("left_out",), _texts(manifest.skipped)),
            "reason": (("left_out",), _texts(manifest.reason)),
        },
        attrs={
            "source": source.name,
            "source_title": titled(images),
            "class_names": json.dumps(images.class_names, ensure_ascii=False),
            "data_sha256": _sha256(identity),
            "network": network.name,
            "transform": transform.text,
            "dimensions": network.dimensions,
            **made,
            "recognised_as": recognised_as(images),
            "licence": "; ".join(f"{folder.title}: {folder.licence}" for folder in source.folders)
            or "CC0 1.0 (generated by TopoRep)",
        },
    )
    write_dataset(dataset, output, "features")


def _sha256(entries: Mapping[str, Any]) -> str:
    """Identity of all that makes features what they are."""
    return hashlib.sha256(json.dumps(entries, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _texts(values: list[str]) -> np.ndarray:
    # An empty array of objects would be written as one of numbers.
    return np.array(values, dtype=object if values else str)


@contextmanager
def _progress(name: str, images: int) -> Iterator[Callable[[int], Any]]:
    """Give what counts images: a bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _count: None
        return
    from tqdm import tqdm

    with tqdm(total=images, desc=name, unit="image", file=sys.stderr, dynamic_ncols=True, leave=False) as bar:
        yield bar.update
