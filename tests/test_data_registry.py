"""The registry, the prepared file, and the command that writes it."""

from __future__ import annotations

import copy
import subprocess
import sys

import numpy as np
import pytest
import yaml
from data_files import output_of, subprocess_environment

from toporep.cli.prepare import main
from toporep.data import load_images, load_registry, obtain
from toporep.data.registry import DEFAULT_PATH, parse_registry
from toporep.errors import TopoRepError
from toporep.io import read_dataset


@pytest.fixture(scope="module")
def raw() -> dict:
    return yaml.safe_load(DEFAULT_PATH.read_text(encoding="utf-8"))


def test_registry_agrees_with_torchvision():
    torchvision = pytest.importorskip("torchvision.datasets")
    registry = load_registry()
    mnist = {file.name: file.md5 for file in registry.source("mnist").files}
    assert mnist == dict(torchvision.MNIST.resources)
    (archive,) = registry.source("cifar10").files
    cifar10 = torchvision.CIFAR10
    assert (archive.name, archive.md5, archive.urls[0]) == (cifar10.filename, cifar10.tgz_md5, cifar10.url)
    batches = [[content.name.split("/")[1], content.md5] for content in archive.contains]
    assert batches == cifar10.train_list + cifar10.test_list


def test_mnist_has_mirrors_and_every_file_an_address():
    registry = load_registry()
    assert all(len(file.urls) >= 2 for file in registry.source("mnist").files)
    for name in ("mnist", "cifar10"):
        for file in registry.source(name).files:
            assert all(url.endswith("/" + file.name) for url in file.urls)


def test_objects_have_the_classes_of_cifar10():
    registry = load_registry()
    assert registry.source("objects").class_names == registry.source("cifar10").class_names


def test_unknown_source_is_told():
    with pytest.raises(TopoRepError, match="unknown data source 'svhn'; known: mnist, cifar10, digits, digits_small, "):
        obtain("svhn")


@pytest.mark.parametrize(
    ("path", "value", "match"),
    [
        (("sources", "mnist", "licens"), "x", r"sources\.mnist: unknown key licens; known: kind"),
        (("sources", "mnist", "files", 0, "sha1"), "x", r"files\[0\]: unknown key sha1"),
        (("sources", "mnist", "files", 0, "md5"), "abc", r"files\[0\]\.md5: expected 32"),
        (("sources", "mnist", "files", 0, "name"), "../x", "below the data folder"),
        (("sources", "mnist", "files", 0, "urls"), ["ftp://x/y"], "expected http:// or https://"),
        (("sources", "mnist", "files", 0, "bytes"), "many", r"bytes: expected int, found 'many'"),
        (("sources", "mnist", "format"), "hdf5", "expected one of idx, cifar-batches, found 'hdf5'"),
        (("sources", "mnist", "image_shape"), [28, 28], "rows, columns, channels"),
        (("sources", "mnist", "fingerprints", "test", "sha256"), "00", "expected 64"),
        (("sources", "mnist", "kind"), "web", "expected 'files', 'git-file' or 'generated', found 'web'"),
        (("sources", "cifar10", "files", 0, "contains"), [], "no file holds test, train"),
        (("sources", "objects", "parameters", "seed"), True, "expected int, found True"),
        (("sources", "objects", "parameters", "train"), 0, ">= 1"),
        (("download", "timeout"), 0, "timeout > 0"),
        (("download", "retries"), 1, "download: unknown key retries"),
    ],
)
def test_mistake_in_the_registry_is_named(raw, path, value, match):
    changed = copy.deepcopy(raw)
    entry = changed
    for key in path[:-1]:
        entry = entry[key]
    entry[path[-1]] = value
    with pytest.raises(TopoRepError, match=match):
        parse_registry(changed, where="registry")


def test_missing_key_and_missing_file_are_named(raw, tmp_path):
    changed = copy.deepcopy(raw)
    del changed["sources"]["digits"]["licence"]
    with pytest.raises(TopoRepError, match=r"sources\.digits: missing key licence"):
        parse_registry(changed, where="registry")
    with pytest.raises(TopoRepError, match="no such file"):
        load_registry(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(TopoRepError, match="not valid YAML"):
        load_registry(tmp_path / "bad.yaml")


def test_prepared_file_gives_back_the_images_and_is_byte_stable(tmp_path, capsys):
    for name in ("a.nc", "b.nc"):
        assert main(["--source", "digits", "--output", str(tmp_path / name)]) == 0
    assert "1437 training and 360 test images, recognised as generated" in capsys.readouterr().out
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()
    original, loaded = obtain("digits"), load_images(tmp_path / "a.nc")
    for name, value in vars(original).items():
        np.testing.assert_array_equal(getattr(loaded, name), value, err_msg=name)
    assert loaded.label_train.dtype == np.int64


def test_prepared_file_whose_pixels_changed_is_refused(tmp_path):
    path = tmp_path / "digits.nc"
    main(["--source", "digits", "--output", str(path)])
    dataset = read_dataset(path, "images")
    dataset["images_test"][0, 14, 14, 0] = dataset["images_test"][0, 14, 14, 0] ^ 1
    dataset.to_netcdf(path, engine="netcdf4")
    with pytest.raises(TopoRepError, match="data_sha256"):
        load_images(path)
    with pytest.raises(TopoRepError, match="no such file"):
        load_images(tmp_path / "none.nc")


def test_command_tells_a_mistake_in_one_message(tmp_path):
    command = [sys.executable, "-m", "toporep.cli.prepare", "--source", "mnist", "--no-download"]
    paths = ["--data-dir", str(tmp_path), "--output", str(tmp_path / "mnist.nc")]
    done = subprocess.run([*command, *paths], capture_output=True, text=True, timeout=60, env=subprocess_environment())
    assert done.returncode == 1
    assert done.stderr.startswith("error: MNIST: no complete set of files")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_import_is_light():
    heavy = ("pooch", "requests", "sklearn", "torch", "xarray", "pandas", "matplotlib")
    code = f"import sys, toporep.data; print([m for m in {heavy} if m in sys.modules])"
    assert output_of(code) == "[]"
