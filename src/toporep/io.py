"""Files between stages: atomic writes and netCDF with a schema checked on write and on read."""

from __future__ import annotations

import errno
import glob
import hashlib
import importlib
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.errors import REMEDIES, TopoRepError
from toporep.schemas import SCHEMAS, Schema

if TYPE_CHECKING:
    import xarray as xr


_BLOCK = 1 << 20
# HDF5, like many formats, does not look behind its end.
_SEAL = b"\ntoporep sha256 "
_SEAL_DIGITS = 64


class SchemaError(TopoRepError):
    """A file does not have the content that its schema asks for."""


@contextmanager
def atomic_path(path: str | os.PathLike, *, alone: bool = False) -> Iterator[Path]:
    """Give a temporary name in the folder of `path`; on success move it to `path`, on failure remove it.

    A reader sees the old file or the whole new one, never a part.

    Args:
        path: the file to write.
        alone: no other process writes this file now, so temporary files that are there are leftovers of killed
            ones, and are removed; otherwise only those of processes of this host that are no more.

    Raises:
        TopoRepError: the disk is full, or may not be written.
    """
    path = Path(path)
    temporary = None
    try:
        temporary = _make_temporary(path, alone=alone)
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        number = _refusal(error, temporary)
        if number is None:
            raise
        raise TopoRepError(f"{path}: cannot be written: {os.strerror(number)}; {REMEDIES[number]}") from error
    finally:
        if temporary is not None:
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

    A checksum follows the netCDF, which other readers do not see. The same arrays and attributes give the same bytes
    with the same library: no time stamp is stored.
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
        _seal(temporary)


def read_dataset(path: str | os.PathLike, schema: str) -> xr.Dataset:
    """Read a netCDF file into memory and check it against the named schema."""
    import xarray as xr

    spec = _spec(schema)
    if not Path(path).is_file():
        raise SchemaError(f"{path}: no such file (expected a file of schema {spec.name!r})")
    check_unaltered(path)
    try:
        dataset = xr.load_dataset(path, engine=netcdf_engine())
    except (OSError, ValueError, RuntimeError, AttributeError) as error:
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
        check_unaltered(path)
        with xr.open_dataset(path, engine=netcdf_engine(), decode_cf=False) as dataset:
            return dict(dataset.attrs)
    except (OSError, ValueError, RuntimeError, AttributeError) as error:
        raise TopoRepError(f"{path}: cannot be read as netCDF ({error}); make it again") from error


def _seal(path: Path) -> None:
    """Append the file's own sha256."""
    seal = _SEAL + _sha256(path, path.stat().st_size).encode()
    with path.open("ab") as file:
        file.write(seal)


def _sha256(path: Path, size: int) -> str:
    """sha256 of the first `size` bytes of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (block := file.read(min(size, _BLOCK))):
            digest.update(block)
            size -= len(block)
    return digest.hexdigest()


def _make_temporary(path: Path, *, alone: bool) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        if alone or _writer_is_dead(leftover):
            leftover.unlink(missing_ok=True)
    prefix = f".{path.name}.{_host()}-{os.getpid()}."
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=".part", dir=path.parent)
    os.close(handle)
    return Path(name)


def _refusal(error: OSError | RuntimeError, temporary: Path | None) -> int | None:
    """The number of the operating system's error behind this one, if a user can mend it.

    netCDF says "HDF error" or "Permission denied" where the disk is full.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number in (None, errno.EACCES) and temporary is not None and _is_full(temporary):
        return errno.ENOSPC
    return number if number in REMEDIES else None


def _is_full(temporary: Path) -> bool:
    """Whether this file cannot grow."""
    try:
        with temporary.open("ab") as file:
            file.write(bytes(_BLOCK))
    except OSError as error:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return False


def _writer_is_dead(temporary: Path) -> bool:
    """Whether the process that a temporary file names was one of this host and is no more."""
    host, _, pid = temporary.name.split(".")[-3].rpartition("-")
    if host != _host() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _host() -> str:
    return socket.gethostname().replace(".", "_")


def check_unaltered(path: str | os.PathLike) -> None:
    """Refuse a netCDF file that is not as it was written: its library notices few changes outside compressed arrays.

    Files of earlier versions have no seal and pass.

    Raises:
        SchemaError: the bytes do not match the checksum at their end.
    """
    path = Path(path)
    size = path.stat().st_size - len(_SEAL) - _SEAL_DIGITS
    with path.open("rb") as file:
        file.seek(max(size, 0))
        seal = file.read()
    if seal.startswith(_SEAL) and seal[len(_SEAL) :] != _sha256(path, size).encode():
        raise SchemaError(
            f"{path}: cannot be read as netCDF (altered since it was written: its bytes do not match the checksum at "
            "its end); remove it and make it again"
        )


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
