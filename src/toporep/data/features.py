"""Features of images as training and evaluation read them: from a file, or made anew in each epoch."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from toporep.data.crops import Transform, UnreadableImage, decode, normalized, views
from toporep.data.feature_files import ARRAY_TYPE, array_probe, array_sha256
from toporep.data.image_folders import DATA_DIR_VARIABLE
from toporep.errors import TopoRepError
from toporep.io import read_dataset

if TYPE_CHECKING:
    import torch
    import xarray as xr
    from torch import Tensor

    from toporep.data.image_sets import ImageSets

# Smaller arrays are held in memory.
_IN_MEMORY = 1 << 31
# Batches that are begun before they are asked for.
_AHEAD = 4
_Item, _Result = TypeVar("_Item"), TypeVar("_Result")


def open_training_features(
    path: str | os.PathLike, features: Mapping[str, Any], data_dir: str | os.PathLike | None = None
) -> CachedFeatures | LiveFeatures:
    """The features that runs are trained on, as the paper's settings `features` say: `training` is cached or live.

    Raises:
        TopoRepError: see `CachedFeatures` and `LiveFeatures`.
    """
    if features["training"] == "live":
        return LiveFeatures(path, features, data_dir)
    return CachedFeatures.open(path)


class _Features:
    """What both kinds of features have in common, from the netCDF file (schema `features`).

    count, width: numbers of images and features. label: (count,) int64, index into class_names. thumbnail: (example,
    64, 64, 3) uint8. network, transform, weights_sha256: what made the features; equal for sets that may be compared.
    """

    def __init__(self, path: str | os.PathLike, dataset: xr.Dataset) -> None:
        attrs = dataset.attrs
        self.path = Path(path)
        self.count, self.width = dataset.sizes["image"], int(attrs["dimensions"])
        self.label: np.ndarray = dataset["label"].values
        self.class_names: tuple[str, ...] = tuple(json.loads(attrs["class_names"]))
        self.thumbnail: np.ndarray = dataset["thumbnail"].values
        self.crops = int(attrs["crops"])
        self.source, self.source_title = str(attrs["source"]), str(attrs["source_title"])
        self.data_sha256, self.recognised_as = str(attrs["data_sha256"]), str(attrs["recognised_as"])
        self.network, self.transform = str(attrs["network"]), str(attrs["transform"])
        self.weights_sha256 = str(attrs.get("weights_sha256", ""))

    def __len__(self) -> int:
        return self.count

    def _check_plan(self, epoch: int, plan: np.ndarray) -> np.ndarray:
        plan = np.asarray(plan)
        if epoch < 1:
            raise TopoRepError(f"epoch: counted from 1, found {epoch}")
        if (
            plan.ndim != 2
            or plan.dtype.kind not in "iu"
            or (plan.size and not 0 <= plan.min() <= plan.max() < self.count)
        ):
            raise TopoRepError(
                f"{self.path}: expected a plan (steps, batch) of indices 0 … {self.count - 1}, found {plan.dtype} "
                f"{plan.shape}" + (f" of {plan.min()} … {plan.max()}" if plan.size else "")
            )
        return plan


class CachedFeatures(_Features):
    """Features from the .npy file beside a netCDF file; large ones stay on the disk."""

    def __init__(self, path: str | os.PathLike, dataset: xr.Dataset) -> None:
        super().__init__(path, dataset)
        if not dataset.attrs["array"]:
            raise TopoRepError(
                f"{path}: a list of images without features, for features.training: live; make it again with --array"
            )
        self.array_path = self.path.parent / dataset.attrs["array"]
        self._sha256 = str(dataset.attrs["array_sha256"])
        self._array = self._open(str(dataset.attrs["array_probe"]))

    @classmethod
    def open(cls, path: str | os.PathLike) -> CachedFeatures:
        """Open the features of a netCDF file, of which every byte is read once: as much as an epoch reads.

        Raises:
            TopoRepError: a file of another schema; an .npy file that is missing, truncated, altered or another one.
        """
        features = cls(path, read_dataset(path, "features"))
        features.verify()
        return features

    def verify(self) -> None:
        """Read the whole .npy file; raise TopoRepError if it is not the one that was written."""
        found = array_sha256(self.array_path)
        if found != self._sha256:
            raise TopoRepError(
                f"{self.array_path}: altered since it was written (expected sha256 {self._sha256}, found {found}); "
                f"remove it and {self.path.name} and make them again"
            )

    def batches(self, epoch: int, plan: np.ndarray, device: torch.device | str) -> Iterator[Tensor]:
        """Features of batches, (batch, width) float32 on `device`.

        Args:
            epoch: from 1; epoch e reads crop (e - 1) modulo the number of crops.
            plan: (steps, batch) int64, indices of images.
            device: where the features go.
        """
        plan, crop = self._check_plan(epoch, plan), (epoch - 1) % self.crops
        if self._array.nbytes <= _IN_MEMORY:
            yield from (self._tensor(self._array[places, crop], device) for places in plan)
            return
        with _threads(1) as pool:
            for rows in _begun(lambda places: pool.submit(self._rows, places, crop), plan, ahead=_AHEAD):
                yield self._tensor(rows.result(), device)

    def all(self, batch: int, device: torch.device | str = "cpu") -> Iterator[tuple[slice, Tensor]]:
        """(images, features (batch, width) float32) over all images in order, of their first crop."""
        for start in range(0, self.count, batch):
            places = slice(start, min(start + batch, self.count))
            yield places, self._tensor(np.ascontiguousarray(self._array[places, 0]), device)

    def _open(self, probe: str) -> np.ndarray:
        remedy = f"remove {self.path.name} and make both again"
        if not self.array_path.is_file():
            raise TopoRepError(f"{self.array_path}: no such file (expected the features of {self.path}); {remedy}")
        if array_probe(self.array_path) != probe:
            raise TopoRepError(f"{self.array_path}: not the features that {self.path} was written with; {remedy}")
        array = np.load(self.array_path, mmap_mode="r")
        if array.shape != (self.count, self.crops, self.width) or array.dtype != ARRAY_TYPE:
            raise TopoRepError(
                f"{self.array_path}: expected float16 {(self.count, self.crops, self.width)}, "
                f"found {array.dtype} {array.shape}; {remedy}"
            )
        return np.array(array) if array.nbytes <= _IN_MEMORY else array

    def _rows(self, places: np.ndarray, crop: int) -> np.ndarray:
        # From the disk in its order.
        order = np.argsort(places, kind="stable")
        rows = np.empty((len(places), self.width), dtype=ARRAY_TYPE)
        for i in order.tolist():
            rows[i] = self._array[places[i], crop]
        return rows

    def _tensor(self, rows: np.ndarray, device: torch.device | str) -> Tensor:
        import torch

        return torch.from_numpy(rows).to(device).float()


class LiveFeatures(_Features):
    """Features of AlexNet made anew from the images in each epoch, each time of other random crops.

    Threads decode and crop some batches ahead of the network. Crop e - 1 of an image is what epoch e sees, and the
    same as crop e - 1 of `CachedFeatures`, which are rounded to float16.

    Args:
        path: netCDF file that `toporep.cli.features` wrote without an array.
        features: the paper's settings of that name, those that the file was made with.
        data_dir: where folders and weights lie (default: the environment variable TOPOREP_DATA).
        registry: default: config/image_sets.yaml.
        threads: that decode; default: one for each core that this process may use.

    Raises:
        TopoRepError: a file made with other settings or weights; weights that are missing.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        features: Mapping[str, Any],
        data_dir: str | os.PathLike | None = None,
        *,
        registry: ImageSets | None = None,
        threads: int | None = None,
    ) -> None:
        dataset = read_dataset(path, "features")
        super().__init__(path, dataset)
        self._transform = Transform.from_settings(features)
        self._encoder = AlexNetEncoder(self._transform, data_dir, registry=registry)
        self._check_made_with(self._encoder.sha256)
        self._root = Path(data_dir or os.environ.get(DATA_DIR_VARIABLE, ""))
        self._paths: list[str] = dataset["path"].values.tolist()
        self._sha256: list[str] = dataset["sha256"].values.tolist()
        self._threads = threads or _cores()

    def batches(self, epoch: int, plan: np.ndarray, device: torch.device | str) -> Iterator[Tensor]:
        """Features of batches, (batch, width) float32 on `device`.

        Args:
            epoch: from 1.
            plan: (steps, batch) int64, indices of images.
            device: where the network runs and the features are.

        Raises:
            TopoRepError: an image that is gone or has changed since the file was written.
        """
        yield from self._encoded(self._check_plan(epoch, plan), epoch - 1, device)

    def all(self, batch: int, device: torch.device | str = "cpu") -> Iterator[tuple[slice, Tensor]]:
        """(images, features (batch, width) float32) over all images in order, of their first crop."""
        places = [slice(start, min(start + batch, self.count)) for start in range(0, self.count, batch)]
        plan = (np.arange(part.start, part.stop) for part in places)
        yield from zip(places, self._encoded(plan, 0, device), strict=True)

    def _check_made_with(self, weights_sha256: str) -> None:
        expected = {"network": self._transform.network, "transform": self._transform.text}
        for name, value in {**expected, "weights_sha256": weights_sha256}.items():
            if getattr(self, name) != value:
                raise TopoRepError(
                    f"{self.path}: made with another {name}: expected {value}, found {getattr(self, name)}; "
                    "remove the file and make it again"
                )

    def _encoded(self, plan: Iterable[np.ndarray], crop: int, device: torch.device | str) -> Iterator[Tensor]:
        with _threads(self._threads) as pool:

            def begin(places: np.ndarray) -> list[Future]:
                return [pool.submit(self._view, int(place), crop) for place in places]

            for waiting in _begun(begin, plan, ahead=_AHEAD):
                yield self._encoder(np.stack([view.result() for view in waiting]), device)

    def _view(self, place: int, crop: int) -> np.ndarray:
        """One crop of an image, (size, size, 3) uint8."""
        path = self._root / self._paths[place]
        try:
            content = path.read_bytes()
            image = decode(content)
        except (OSError, UnreadableImage) as error:
            raise TopoRepError(
                f"{path}: cannot be read any more ({error}); put it back, or remove {self.path} and make it again"
            ) from error
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 != self._sha256[place]:
            raise TopoRepError(
                f"{path}: changed since {self.path} was written (expected sha256 {self._sha256[place]}, "
                f"found {sha256}); put it back, or remove that file and make it again"
            )
        return views(image, self._transform, sha256=sha256, crops=range(crop, crop + 1))[0]


class AlexNetEncoder:
    """AlexNet from its local file of weights, on views as they come from images.

    sha256: of the file.

    Raises:
        TopoRepError: see `find_weights` and `load_weights` of `toporep.models.alexnet`; a network that is not AlexNet.
    """

    def __init__(
        self, transform: Transform, data_dir: str | os.PathLike | None = None, *, registry: ImageSets | None = None
    ) -> None:
        from toporep.models.alexnet import AlexNetFeatures, find_weights, load_weights, weights_sha256

        if transform.network != "alexnet":
            raise TopoRepError(
                f"features.network: {transform.network!r} has no features that are made as training goes on; "
                "set features.training to cached"
            )
        path = find_weights(data_dir, registry=registry)
        self.sha256 = weights_sha256(path)
        self._transform, self._net = transform, AlexNetFeatures(load_weights(path))

    def __call__(self, pixels: np.ndarray, device: torch.device | str) -> Tensor:
        """Features (n, 9216) float32 on `device` of views (n, size, size, 3) uint8."""
        import torch

        with torch.no_grad():
            images = normalized(torch.from_numpy(pixels).to(device), self._transform)
            return self._net.to(device)(images)


def _begun(begin: Callable[[_Item], _Result], items: Iterable[_Item], *, ahead: int) -> Iterator[_Result]:
    """`begin(item)` of each item, in order, called for some items before their turn."""
    waiting: deque[_Result] = deque()
    for item in items:
        waiting.append(begin(item))
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting


def _cores() -> int:
    # Only Linux tells which cores a process may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """A pool that is given up at once when its batches are no longer asked for."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
