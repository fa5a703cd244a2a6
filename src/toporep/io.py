"""Files between stages: atomic writes and netCDF with a schema checked on write and on read."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.errors import TopoRepError
from toporep.schemas import SCHEMAS, Schema

if TYPE_CHECKING:
    import xarray as xr


class SchemaError(TopoRepError):
    """A file does not have the content that its schema asks for."""


@contextmanager
def atomic_path(path: str | os.PathLike, *, alone: bool = False) -> Iterator[Path]:
    """Give a temporary name in the folder of `path`; on success move it to `path`, on failure remove it.

    A reader sees the old file or the whole new one, never a part.

    Args:
        path: the file to write.
        alone: no other process writes this file now, so temporary files that are there are leftovers of killed
            ones, and are removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if alone:
        for leftover in path.parent.glob(f".{path.name}.*.part"):
            leftover.unlink(missing_ok=True)
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


def write_text(path: str | os.PathLike, text: str, *, alone: bool = True) -> None:
    """Write text atomically; `alone` as for `atomic_path`."""
    with atomic_path(path, alone=alone) as temporary:
        temporary.write_text(text, encoding="utf-8")


def netcdf_engine() -> str:
    """The library that reads and writes netCDF files: "netcdf4", or "h5netcdf" where that one is missing.

    Either reads what the other wrote, with equal values, types and attributes; the bytes of the files differ.

    Raises:
        TopoRepError: neither is installed.
    """
    for engine, module in (("netcdf4", "netCDF4"), ("h5netcdf", "h5netcdf")):
        try:
            importlib.import_module(module)
        except ImportError:
            continue
        return engine
    raise TopoRepError("netCDF files: found neither the package netCDF4 nor h5netcdf; install one of them")


def write_dataset(dataset: xr.Dataset, path: str | os.PathLike, schema: str, *, complevel: int = 1) -> None:
    """Check `dataset` against the named schema and write it atomically as netCDF-4.

    The same arrays and attributes give the same bytes with the same library: no time stamp is stored.
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
        dataset.to_netcdf(temporary, engine=netcdf_engine(), format="NETCDF4", encoding=encoding)


def read_dataset(path: str | os.PathLike, schema: str) -> xr.Dataset:
    """Read a netCDF file into memory and check it against the named schema."""
    import xarray as xr

    spec = _spec(schema)
    if not Path(path).is_file():
        raise SchemaError(f"{path}: no such file (expected a file of schema {spec.name!r})")
    try:
        dataset = xr.load_dataset(path, engine=netcdf_engine())
    except (OSError, ValueError, RuntimeError) as error:
        raise SchemaError(f"{path}: cannot be read as netCDF ({error}); make it again") from error
    found = (dataset.attrs.get("schema"), dataset.attrs.get("schema_version"))
    if found != (spec.name, spec.version):
        raise SchemaError(
            f"{path}: expected schema {spec.name!r} version {spec.version}, "
            f"found {found[0]!r} version {found[1]}; make the file again with this version of TopoRep"
        )
    _check(dataset, spec, where=str(path))
    return dataset


def read_attributes(path: str | os.PathLike) -> dict[str, Any]:
    """The attributes of a netCDF file, none of its variables; unlike `read_dataset`, whatever its schema.

    Raises:
        TopoRepError: no such file, or not one of netCDF.
    """
    import xarray as xr

    try:
        with xr.open_dataset(path, engine=netcdf_engine(), decode_cf=False) as dataset:
            return dict(dataset.attrs)
    except (OSError, ValueError, RuntimeError) as error:
        raise TopoRepError(f"{path}: cannot be read as netCDF ({error}); make it again") from error


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
            if name not in present and name in spec.optional:
                continue
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
