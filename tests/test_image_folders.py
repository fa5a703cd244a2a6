"""Folders of images as users have them: which are listed, which are drawn, which are refused."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from category_folders import LAYOUTS, WORDNET_IDS, make_folders, small_registry, write_image

from toporep.data.image_folders import list_files, list_images
from toporep.data.image_sets import ImageSets
from toporep.errors import TopoRepError

REGISTRY = small_registry()
FOLDER_SOURCES = {name: source for name, source in REGISTRY.sources.items() if source.folders}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    make_folders(tmp_path)
    return tmp_path


def with_part(registry: ImageSets, name: str, **changes):
    """A source with its first part changed."""
    source = registry.source(name)
    return replace(source, parts=(replace(source.parts[0], **changes), *source.parts[1:]))


def test_every_source_is_listed_from_its_layout(data_dir: Path) -> None:
    drawn = {"imagenet_objects": 6, "vggface2": 8, "celeba": 6, "imagenet_lfw": 27, "imagenet_val_faces": 18}
    for name, source in FOLDER_SOURCES.items():
        images = list_images(source, data_dir)
        folder = source.parts[0].folder.folder
        assert len(images) == drawn.get(name, len(LAYOUTS[folder])), name
        assert not images.incomplete
        assert all((data_dir / path).is_file() for path in images.paths)
        known = {f"{part.folder.folder}/{path}" for part in source.parts for path in LAYOUTS[part.folder.folder]}
        assert set(images.paths) <= known and len(set(images.paths)) == len(images)
        for part in images.parts:
            assert list(part.paths) == sorted(part.paths)


def test_classes_are_folders_or_one_class_and_follow_the_parts(data_dir: Path) -> None:
    training = list_images(REGISTRY.source("imagenet_lfw"), data_dir)
    validation = list_images(REGISTRY.source("imagenet_val_faces"), data_dir)
    assert training.class_names == validation.class_names == (*WORDNET_IDS, "faces")
    for images in (training, validation):
        for path, label in zip(images.paths, images.label.tolist(), strict=True):
            expected = path.split("/")[2] if path.startswith("imagenet") else "faces"
            assert images.class_names[label] == expected


def test_images_without_a_class_folder_are_of_their_folders_class(data_dir: Path) -> None:
    images = list_images(with_part(REGISTRY, "utkface", class_name=None), data_dir)
    assert images.class_names == ("utkface",)
    write_image(data_dir / "utkface" / "adults" / "1.jpg")
    images = list_images(with_part(REGISTRY, "utkface", class_name=None), data_dir)
    assert images.class_names == ("adults", "utkface") and images.label.tolist() == [1] * 7 + [0]
    assert images.incomplete == ("utkface: 8 of 7 images",)


def test_rendered_images_need_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOPOREP_DATA", raising=False)
    images = list_images(REGISTRY.source("rendered_training"))
    assert len(images) == len(set(images.paths)) == 3000
    assert images.class_names[:3] == ("face", "body", "hand") and np.bincount(images.label)[:3].tolist() == [
        400,
        250,
        250,
    ]


def test_a_subset_follows_from_names_and_seed_alone(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Written in another order elsewhere, the same images are drawn; another seed draws others."""
    other = tmp_path_factory.mktemp("elsewhere")
    for file in reversed(LAYOUTS["imagenet/val"]):
        write_image(other / "imagenet/val" / file)
    first, again = (list_images(REGISTRY.source("imagenet_objects"), folder) for folder in (data_dir, other))
    assert first.paths == again.paths and first.label.tolist() == [0, 0, 1, 1, 2, 2]
    draws = {list_images(with_part(REGISTRY, "imagenet_objects", seed=seed), data_dir).paths for seed in range(8)}
    assert len(draws) > 4
    assert len({path for draw in draws for path in draw}) == 15


def test_a_larger_draw_of_a_seed_contains_the_smaller(data_dir: Path) -> None:
    draws = [set(list_images(with_part(REGISTRY, "celeba", images=count), data_dir).paths) for count in range(1, 10)]
    assert all(small < large for small, large in zip(draws, draws[1:], strict=False))


def test_files_are_sorted_and_hidden_and_other_ones_ignored(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "b/10.jpg", "a.png", "B/1.jpeg", "c.txt", ".d.jpg", ".e/1.jpg", "f/g/h.webp", "i.jpg.part"):
        write = tmp_path / name
        write.parent.mkdir(parents=True, exist_ok=True)
        write.touch()
    assert list_files(tmp_path) == ["B/1.jpeg", "a.png", "b/10.jpg", "b/2.JPG", "f/g/h.webp"]


def test_linked_folders_are_followed_but_not_in_circles(data_dir: Path, tmp_path: Path) -> None:
    real = tmp_path / "disk"
    shutil.move(data_dir / "lfw" / "Bo", real)
    (data_dir / "lfw" / "Bo").symlink_to(real)
    assert len(list_images(REGISTRY.source("lfw"), data_dir)) == 9
    (data_dir / "lfw" / "Bo" / "all").symlink_to(data_dir / "lfw")
    with pytest.raises(TopoRepError, match="a link to a folder that it lies in"):
        list_images(REGISTRY.source("lfw"), data_dir)


@pytest.mark.parametrize("name", sorted(FOLDER_SOURCES))
def test_a_missing_or_empty_folder_names_the_set_and_where_it_is_to_be_had(data_dir: Path, name: str) -> None:
    folder = REGISTRY.source(name).parts[0].folder
    told = f"(?s){folder.folder}: no such folder.*needed for: .*to be had: .*licence: "
    shutil.rmtree(data_dir / folder.folder)
    with pytest.raises(TopoRepError, match=told):
        list_images(REGISTRY.source(name), data_dir)
    (data_dir / folder.folder / "sub").mkdir(parents=True)
    with pytest.raises(TopoRepError, match=told.replace("no such folder", "no images")):
        list_images(REGISTRY.source(name), data_dir)


def test_the_data_folder_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOPOREP_DATA", raising=False)
    with pytest.raises(TopoRepError, match="no folder given for Labeled Faces in the Wild: .* TOPOREP_DATA"):
        list_images(REGISTRY.source("lfw"))


def test_the_environment_names_the_data_folder(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPOREP_DATA", str(data_dir))
    assert len(list_images(REGISTRY.source("lfw"))) == 9


def test_imagenet_in_one_heap_or_by_other_names_is_refused(data_dir: Path) -> None:
    source = REGISTRY.source("imagenet_objects")
    write_image(data_dir / "imagenet/val" / "ILSVRC2012_val_00000001.JPEG")
    with pytest.raises(TopoRepError, match="(?s)imagenet/val: 1 images lie in no class folder, as ILSVRC2012_val_0000"):
        list_images(source, data_dir)
    (data_dir / "imagenet/val" / "ILSVRC2012_val_00000001.JPEG").unlink()
    (data_dir / "imagenet/val" / WORDNET_IDS[0]).rename(data_dir / "imagenet/val" / "tench")
    with pytest.raises(TopoRepError, match="1 folders are not named as ImageNet's classes .*: tench; rename"):
        list_images(source, data_dir)


def test_an_empty_class_folder_is_refused(data_dir: Path) -> None:
    empty = data_dir / "imagenet/train" / "n99999999"
    empty.mkdir()
    (empty / "n99999999.tar").touch()
    with pytest.raises(TopoRepError, match="(?s)imagenet/train: 1 class folders have no images: n99999999; unpack"):
        list_images(REGISTRY.source("imagenet_lfw"), data_dir)
    (data_dir / "lfw" / "Nobody").mkdir()
    assert len(list_images(REGISTRY.source("lfw"), data_dir)) == 9


def test_fewer_images_than_are_drawn_are_refused(data_dir: Path) -> None:
    with pytest.raises(TopoRepError, match="celeba: 10 images are drawn from it, but it has 9; complete the folder"):
        list_images(with_part(REGISTRY, "celeba", images=10), data_dir)
    with pytest.raises(TopoRepError, match=f"imagenet/val/{WORDNET_IDS[0]}: 6 images are drawn from it, but it has 5"):
        list_images(with_part(REGISTRY, "imagenet_objects", per_class=6), data_dir)


def test_another_number_of_images_than_expected_is_told(data_dir: Path) -> None:
    (data_dir / "lfw" / "Bo" / "Bo_0001.jpg").unlink()
    assert list_images(REGISTRY.source("lfw"), data_dir).incomplete == ("lfw: 8 of 9 images",)


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/\xff.jpg", "wb"):
        pass
    with pytest.raises(TopoRepError, match="a file's name is not UTF-8"):
        list_files(tmp_path)
