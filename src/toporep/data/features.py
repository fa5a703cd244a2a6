"""Features of images as training and evaluation read them: from a file, or made anew in each epoch."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from toporep.data.feature_files import ARRAY_TYPE, array_probe, array_sha256
from toporep.errors import TopoRepError
from toporep.io import read_dataset

if TYPE_CHECKING:
    import torch
    import xarray as xr
    from torch import Tensor

# Smaller arrays are held in memory.
_IN_MEMORY = 1 << 31
_AHEAD = 4
_T = TypeVar("_T")


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
        """Open the features of a netCDF file.

        Raises:
            TopoRepError: a file of another schema; an .npy file that is missing, truncated or another one. A change
                within a large file is found by `verify` alone.
        """
        return cls(path, read_dataset(path, "features"))

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
        with ThreadPoolExecutor(1) as pool:
            for rows in _ahead(pool, lambda places: self._rows(places, crop), plan, ahead=_AHEAD):
                yield self._tensor(rows, device)

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


def _ahead(pool: ThreadPoolExecutor, work: Any, items: Iterable, *, ahead: int) -> Iterator:
    """`work(item)` of each, in order, a few of them begun before they are asked for."""
    waiting: deque = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
