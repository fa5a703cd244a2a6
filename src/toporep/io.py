"""Files between stages: atomic writes and netCDF with a schema checked on write and on read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toporep.errors import TopoRepError

if TYPE_CHECKING:
    import xarray as xr


class SchemaError(TopoRepError):
    """A file does not have the content that its schema asks for."""


@dataclass(frozen=True)
class Schema:
    """What a netCDF file of one kind must hold.

    variables and coords map a name to (dimensions, dtype); the dtype "str" stands for text.
    attrs lists the attributes that must be present. Variables in `may_be_nan` may hold NaN,
    every other floating-point variable must be finite.
    """

    name: str
    version: int
    variables: Mapping[str, tuple[tuple[str, ...], str]]
    coords: Mapping[str, tuple[tuple[str, ...], str]] = field(default_factory=dict)
    attrs: tuple[str, ...] = ()
    may_be_nan: frozenset[str] = frozenset()


_RUN_COORDS = {
    "condition": (("run",), "str"),
    "strength": (("run",), "float64"),
    "seed": (("run",), "int64"),
}
_POINT_COORDS = {
    "condition": (("point",), "str"),
    "strength": (("point",), "float64"),
    "n": (("point",), "int64"),
}
# What every metric file says about where its numbers come from.
_METRIC_ATTRS = ("paper", "dataset", "source", "source_title", "scale", "settings", "training")

SCHEMAS = {
    schema.name: schema
    for schema in (
        Schema(
            "images",
            1,
            variables={
                "images_train": (("train", "image_row", "image_col", "channel"), "uint8"),
                "label_train": (("train",), "int64"),
                "images_test": (("test", "image_row", "image_col", "channel"), "uint8"),
                "label_test": (("test",), "int64"),
            },
            attrs=("source", "source_title", "class_names", "data_sha256", "recognised_as", "origin", "licence"),
        ),
        Schema(
            "activations",
            1,
            variables={
                "fc1_pre": (("stimulus", "unit"), "float32"),
                "logits": (("stimulus", "class"), "float32"),
            },
            coords={
                "label": (("stimulus",), "int64"),
                "row": (("unit",), "int64"),
                "col": (("unit",), "int64"),
            },
            attrs=(
                "paper",
                "dataset",
                "source",
                "source_title",
                "scale",
                "condition",
                "strength",
                "seed",
                "config",
                "config_sha256",
                "data_sha256",
                "code_hash",
                "software",
                "device",
                "deterministic",
            ),
        ),
        Schema(
            "colocalization",
            1,
            variables={
                "distance": (("run", "threshold"), "float64"),
                "pairs": (("run", "threshold"), "int64"),
                "null_distance": (("control_run", "relabelling", "threshold"), "float64"),
            },
            coords={**_RUN_COORDS, "threshold": (("threshold",), "float64")},
            attrs=(*_METRIC_ATTRS, "chance_distance"),
            may_be_nan=frozenset({"distance", "null_distance"}),
        ),
        Schema(
            "colocalization_summary",
            1,
            variables={
                "distance_mean": (("point", "threshold"), "float64"),
                "distance_sem": (("point", "threshold"), "float64"),
                "distance_n": (("point", "threshold"), "int64"),
                "pairs_mean": (("point", "threshold"), "float64"),
                # 2.5 % and 97.5 % quantiles, over relabellings, of the mean over control seeds.
                "null_low": (("threshold",), "float64"),
                "null_high": (("threshold",), "float64"),
            },
            coords={**_POINT_COORDS, "threshold": (("threshold",), "float64")},
            attrs=(*_METRIC_ATTRS, "chance_distance"),
            may_be_nan=frozenset({"distance_mean", "distance_sem", "null_low", "null_high"}),
        ),
        Schema(
            "morans_i",
            1,
            variables={"morans_i": (("run",), "float64"), "constant_maps": (("run",), "int64")},
            coords=_RUN_COORDS,
            attrs=(*_METRIC_ATTRS, "chance_morans_i"),
            may_be_nan=frozenset({"morans_i"}),
        ),
        Schema(
            "morans_i_summary",
            1,
            variables={"morans_i_mean": (("point",), "float64"), "morans_i_sem": (("point",), "float64")},
            coords=_POINT_COORDS,
            attrs=(*_METRIC_ATTRS, "chance_morans_i"),
            may_be_nan=frozenset({"morans_i_mean", "morans_i_sem"}),
        ),
        Schema(
            "activity",
            1,
            variables={"percent_zero": (("run",), "float64"), "share_correlated": (("run",), "float64")},
            coords=_RUN_COORDS,
            attrs=_METRIC_ATTRS,
        ),
        Schema(
            "activity_summary",
            1,
            variables={
                "percent_zero_mean": (("point",), "float64"),
                "percent_zero_sem": (("point",), "float64"),
                "share_correlated_mean": (("point",), "float64"),
                "share_correlated_sem": (("point",), "float64"),
            },
            coords=_POINT_COORDS,
            attrs=_METRIC_ATTRS,
            may_be_nan=frozenset({"percent_zero_sem", "share_correlated_sem"}),
        ),
    )
}


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary name in the folder of `path`; on success move it to `path`, on failure remove it.

    A reader sees the old file or the whole new one, never a part.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_dataset(dataset: xr.Dataset, path: str | os.PathLike, schema: str, *, complevel: int = 1) -> None:
    """Check `dataset` against the named schema and write it atomically as netCDF-4.

    The same arrays and attributes give the same bytes: no time stamp is stored.
    complevel is zlib's level for numeric variables; 0 stores them uncompressed.
    """
    spec = _spec(schema)
    dataset = dataset.assign_attrs(schema=spec.name, schema_version=spec.version)
    _check(dataset, spec, where=str(path))
    encoding = {
        name: {"zlib": complevel > 0, "complevel": complevel}
        for name, variable in dataset.variables.items()
        if variable.dtype.kind in "iufb" and variable.ndim
    }
    with atomic_path(path) as temporary:
        dataset.to_netcdf(temporary, engine="netcdf4", format="NETCDF4", encoding=encoding)


def read_dataset(path: str | os.PathLike, schema: str) -> xr.Dataset:
    """Read a netCDF file into memory and check it against the named schema."""
    import xarray as xr

    spec = _spec(schema)
    if not Path(path).is_file():
        raise SchemaError(f"{path}: no such file (expected a file of schema {spec.name!r})")
    try:
        dataset = xr.load_dataset(path, engine="netcdf4")
    except (OSError, ValueError, RuntimeError) as error:
        raise SchemaError(f"{path}: cannot be read as netCDF ({error}); remove it and make it again") from error
    found = (dataset.attrs.get("schema"), dataset.attrs.get("schema_version"))
    if found != (spec.name, spec.version):
        raise SchemaError(
            f"{path}: expected schema {spec.name!r} version {spec.version}, "
            f"found {found[0]!r} version {found[1]}; make the file again with this version of TopoRep"
        )
    _check(dataset, spec, where=str(path))
    return dataset


def _spec(schema: str) -> Schema:
    if schema not in SCHEMAS:
        raise SchemaError(f"unknown schema {schema!r}; known: {', '.join(SCHEMAS)}")
    return SCHEMAS[schema]


def _check(dataset: xr.Dataset, spec: Schema, *, where: str) -> None:
    for kind, wanted, present in (
        ("variable", spec.variables, dataset.data_vars),
        ("coordinate", spec.coords, dataset.coords),
    ):
        for name, (dims, dtype) in wanted.items():
            if name not in present:
                raise SchemaError(f"{where}: {kind} {name!r} of schema {spec.name!r} is missing")
            variable = dataset[name]
            if variable.dims != dims:
                raise SchemaError(f"{where}: {kind} {name!r} has dimensions {variable.dims}, expected {dims}")
            found = "str" if variable.dtype.kind in "OUST" else str(variable.dtype)
            if found != dtype:
                raise SchemaError(f"{where}: {kind} {name!r} has dtype {found}, expected {dtype}")
            if variable.dtype.kind == "f" and name not in spec.may_be_nan:
                bad = int(np.size(variable.values) - np.isfinite(variable.values).sum())
                if bad:
                    raise SchemaError(f"{where}: {kind} {name!r} holds {bad} values that are NaN or infinite")
    missing = [name for name in spec.attrs if name not in dataset.attrs]
    if missing:
        raise SchemaError(f"{where}: attributes of schema {spec.name!r} are missing: {', '.join(missing)}")
