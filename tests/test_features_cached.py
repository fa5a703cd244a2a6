"""Features in files: what is written is what is read, whatever the number of processes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from toporep.cli import features as command
from toporep.data.features import CachedFeatures
from toporep.data.image_sets import ImageSets, load_image_sets, parse_image_sets
from toporep.data.write_features import write_features
from toporep.errors import TopoRepError
from toporep.stimuli.categories import render_category
from toporep.stimuli.gabor_features import gabor_features

SETTINGS = {
    **{"network": "gabor", "size": 64, "resize": 64, "crop": "center", "area": [0.08, 1.0], "aspect": [0.75, 4 / 3]},
    **{"mean": [0.5] * 3, "std": [0.25] * 3, "seed": 0, "training": "cached", "crops": 1, "max_unreadable": 0},
}


def registry(**images: int) -> ImageSets:
    """One source `mix` of rendered categories, each a class."""
    parts = [
        {"rendered": category, "class": f"all {category}", "images": count, "split": "test", "seed": 3}
        for category, count in images.items()
    ]
    known = load_image_sets().networks["gabor"]
    networks = {"gabor": {name: getattr(known, name) for name in ("title", "dimensions", "folder", "obtain")}}
    networks["gabor"]["weights"] = []
    sources = {"mix": {"title": "Mix", "parts": parts}}
    return parse_image_sets({"folders": {}, "networks": networks, "sources": sources}, where="test")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("features") / "mix.nc"
    write_features("mix", path, features=SETTINGS, array=path.with_suffix(".npy"), registry=registry(face=40, hand=30))
    return path


def test_features_are_those_of_the_rendered_images(written: Path) -> None:
    features = CachedFeatures.open(written)
    images = [render_category(name, 3, range(count), split="test") for name, count in (("face", 40), ("hand", 30))]
    expected = gabor_features(np.concatenate(images)).astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(torch.cat([rows for _, rows in features.all(16)]), expected)
    plan = np.array([[69, 0, 41], [5, 5, 39]])
    for rows, places in zip(features.batches(1, plan, "cpu"), plan, strict=True):
        assert rows.dtype == torch.float32
        np.testing.assert_array_equal(rows, expected[places])
    assert features.class_names == ("all face", "all hand")
    np.testing.assert_array_equal(features.label, [0] * 40 + [1] * 30)
    np.testing.assert_array_equal(features.thumbnail, images[0][:4])


def test_processes_do_not_change_a_byte(written: Path, tmp_path: Path) -> None:
    path = tmp_path / "mix.nc"
    images = registry(face=40, hand=30)
    write_features("mix", path, features=SETTINGS, array=path.with_suffix(".npy"), registry=images, threads=2)
    for suffix in (".nc", ".npy"):
        assert path.with_suffix(suffix).read_bytes() == written.with_suffix(suffix).read_bytes()


def test_a_missing_or_other_array_is_refused(written: Path, tmp_path: Path) -> None:
    path, array = tmp_path / "mix.nc", tmp_path / "mix.npy"
    path.write_bytes(written.read_bytes())
    with pytest.raises(TopoRepError, match="mix.npy: no such file"):
        CachedFeatures.open(path)
    content = written.with_suffix(".npy").read_bytes()
    for other in (content[:-2], content[:-1] + bytes([content[-1] ^ 1])):
        array.write_bytes(other)
        with pytest.raises(TopoRepError, match="mix.npy: not the features"):
            CachedFeatures.open(path)


def test_the_command_writes_both_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, array = tmp_path / "faces.nc", tmp_path / "faces.npy"
    arguments = ["--source", "rendered_faces", "--features", json.dumps(SETTINGS), "--output", str(output)]
    assert command.main([*arguments, "--array", str(array)]) == 0
    assert "200 images, 0 left out" in capsys.readouterr().out
    features = CachedFeatures.open(output)
    assert (features.count, features.width, features.recognised_as) == (200, 576, "generated")


def test_rendered_images_have_no_manifest_for_live_features(tmp_path: Path) -> None:
    with pytest.raises(TopoRepError, match="features.training to cached"):
        write_features("mix", tmp_path / "mix.nc", features=SETTINGS, registry=registry(face=2))
    assert not list(tmp_path.iterdir())


def test_a_plan_of_images_that_are_not_there_is_refused(written: Path) -> None:
    with pytest.raises(TopoRepError, match="indices 0 … 69"):
        next(CachedFeatures.open(written).batches(1, np.array([[70]]), "cpu"))
