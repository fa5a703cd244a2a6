"""Without netCDF4, Snakemake and what only the workflow needs, commands run and write files that netCDF4 reads equal.

A machine with a GPU often has torch and h5py and nothing of a workflow: see docs/performance.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from training_jobs import CODE_HASH, Job, make_job

from toporep import io
from toporep.errors import TopoRepError
from toporep.io import netcdf_engine, read_dataset

h5netcdf = pytest.importorskip("h5netcdf")
REPOSITORY = Path(__file__).parents[1]
MISSING = ("netCDF4", "snakemake", "jsonschema", "pooch")
# `sitecustomize` is imported by Python itself when it starts.
HIDE = f"""
import importlib.machinery
import sys


class Without(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in {MISSING!r} else super().find_spec(name, path, target)


sys.meta_path = [Without if finder is importlib.machinery.PathFinder else finder for finder in sys.meta_path]
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of a Python that does not have these packages."""
    folder = tmp_path_factory.mktemp("hidden")
    (folder / "sitecustomize.py").write_text(HIDE, encoding="utf-8")
    path = os.pathsep.join([str(folder), str(REPOSITORY / "src")])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def run(*command: str, env: dict[str, str] | None = None) -> None:
    done = subprocess.run([sys.executable, "-m", *command], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def make_metric(job: Job, *, env: dict[str, str] | None) -> tuple[Path, Path, list[Path]]:
    """Train, evaluate, analyze, each a command; the metric file, its summary and the dumps."""
    runs = [run.id for run in job.runs]
    run("toporep.cli.train", *job.arguments(), env=env)
    common = ["--images", str(job.images), "--root", job.paths.root, "--code-hash", CODE_HASH, "--device", "cpu"]
    settings = '{"test_images": null, "mean": [0.5], "std": [0.25]}'
    run("toporep.cli.activations", "--runs", *runs, "--evaluation", settings, *common, env=env)
    dumps = [Path(job.paths.activations(each)) for each in runs]
    metric, summary = job.folder / "morans_i.nc", job.folder / "morans_i_summary.nc"
    files = ["--output", str(metric), "--summary", str(summary), "--dumps", *map(str, dumps)]
    run("toporep.cli.analyze", "morans_i", "--scale", "test", *files, env=env)
    return metric, summary, dumps


def test_commands_without_netcdf4_and_the_workflow_write_what_those_with_them_write(
    tmp_path: Path, bare: dict[str, str]
) -> None:
    hidden = subprocess.run([sys.executable, "-c", "import netCDF4"], env=bare, capture_output=True, text=True)
    assert "No module named 'netCDF4'" in hidden.stderr
    runs = [("ws", 0.5, 0), ("ws", 0.5, 1)]
    here = make_metric(make_job(tmp_path / "here", runs, epochs=1), env=None)
    there = make_metric(make_job(tmp_path / "there", runs, epochs=1), env=bare)
    schemas = ["morans_i", "morans_i_summary", *["activations"] * 2]
    for schema, one, other in zip(schemas, [*here[:2], *here[2]], [*there[:2], *there[2]], strict=True):
        assert one.read_bytes() != other.read_bytes()
        expected, found = read_dataset(one, schema), read_dataset(other, schema)
        # All but the versions of the libraries.
        for dataset in (expected, found):
            dataset.attrs.pop("software", None)
        xr.testing.assert_identical(found, expected)
        for name, variable in expected.variables.items():
            assert found[name].dtype == variable.dtype
        for name, value in expected.attrs.items():
            assert type(found.attrs[name]) is type(value), name


@pytest.mark.parametrize("writer, reader", [("h5netcdf", "netcdf4"), ("netcdf4", "h5netcdf")])
def test_either_library_reads_what_the_other_wrote(tmp_path: Path, monkeypatch, writer: str, reader: str) -> None:
    """Text, bytes, counts, numbers without dimensions, empty text, NaN, and attributes of each kind."""
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 1), dtype=np.uint8)
    dataset = xr.Dataset(
        {
            "image": (("image", "row", "col", "channel"), images),
            "value": (("image", "kind"), np.array([[1.5, np.nan], [2, 3], [-0.0, 4]])),
            "text": ("image", np.array(["größer", "", "a longer text"])),
            "flag": ("image", np.array([1, 0, 1], dtype=np.int8)),
            "scalar": ((), np.float32(2.5)),
        },
        coords={"label": ("image", np.arange(3)), "kind": ["a", "b"]},
        attrs={"names": ["x", "y"], "count": 3, "scale": 0.5, "text": "ü", "shape": np.array([4, 4])},
    )
    path = tmp_path / "file.nc"
    monkeypatch.setattr(io, "netcdf_engine", lambda: writer)
    monkeypatch.setitem(io.SCHEMAS, "anything", io.Schema("anything", 1, {}))
    io.write_dataset(dataset, path, "anything")
    first = path.read_bytes()
    io.write_dataset(dataset, path, "anything")
    assert path.read_bytes() == first
    monkeypatch.setattr(io, "netcdf_engine", lambda: reader)
    xr.testing.assert_identical(io.read_dataset(path, "anything").drop_attrs(), dataset.drop_attrs())
    assert io.read_dataset(path, "anything").attrs["names"] == ["x", "y"]


def test_netcdf4_is_used_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert netcdf_engine() == "netcdf4"
    monkeypatch.setitem(sys.modules, "netCDF4", None)
    assert netcdf_engine() == "h5netcdf"
    monkeypatch.setitem(sys.modules, "h5netcdf", None)
    with pytest.raises(TopoRepError, match="neither the package netCDF4 nor h5netcdf; install one"):
        netcdf_engine()
