"""Features of AlexNet from folders of images, in a file or made anew in each epoch: the same numbers."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from category_folders import make_folders, random_alexnet, small_registry, write_image, write_weights
from PIL import Image
from torchvision.transforms import functional as transforms

from toporep import rng
from toporep.data import crops
from toporep.data.crops import Transform
from toporep.data.features import CachedFeatures, LiveFeatures, open_training_features
from toporep.data.image_folders import list_images
from toporep.data.image_sets import ImageSets
from toporep.data.write_features import titled, write_features
from toporep.errors import TopoRepError
from toporep.io import read_dataset
from toporep.models.alexnet import AlexNetFeatures
from toporep.provenance import NOT_WHOLE

SETTINGS = {
    **{"network": "alexnet", "size": 64, "resize": 72, "crop": "random", "area": [0.08, 1.0], "aspect": [0.75, 4 / 3]},
    **{"mean": [0.48, 0.45, 0.4], "std": [0.27, 0.26, 0.27], "seed": 5, "training": "live", "crops": 2},
    "max_unreadable": 0.1,
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    make_folders(folder)
    return folder


@pytest.fixture(scope="module")
def registry(data_dir: Path) -> ImageSets:
    return small_registry(alexnet={"weights": [write_weights(data_dir / "models", random_alexnet()).name]})


@pytest.fixture(scope="module")
def cached(data_dir: Path, registry: ImageSets) -> CachedFeatures:
    path = data_dir / "made" / "mix.nc"
    write(path, data_dir, registry, array=path.with_suffix(".npy"))
    return CachedFeatures.open(path)


@pytest.fixture(scope="module")
def live(data_dir: Path, registry: ImageSets) -> LiveFeatures:
    path = data_dir / "made" / "list.nc"
    write(path, data_dir, registry, threads=2)
    return LiveFeatures(path, SETTINGS, data_dir, registry=registry, threads=3)


def write(path: Path, data_dir: Path, registry: ImageSets, *, source: str = "imagenet_lfw", **options) -> None:
    options = {"features": SETTINGS, **options}
    write_features(source, path, data_dir=data_dir, registry=registry, device="cpu", **options)


def test_each_epoch_sees_its_own_crop(cached: CachedFeatures, live: LiveFeatures) -> None:
    """Crop e - 1 in epoch e, whether read from the file or made anew; in the file, crops come again."""
    plan = np.array([[26, 3, 17], [0, 9, 3]])
    found = []
    for epoch in (1, 2):
        batches = list(zip(cached.batches(epoch, plan, "cpu"), live.batches(epoch, plan, "cpu"), strict=True))
        assert len(batches) == 2
        for read, made in batches:
            assert read.shape == made.shape == (3, 9216) and made.dtype == torch.float32
            torch.testing.assert_close(read, made, rtol=2e-3, atol=1e-3)
        found.append(batches[0])
    assert (found[0][1] - found[1][1]).abs().max() > 0.1
    assert torch.equal(next(cached.batches(3, plan, "cpu")), found[0][0])
    assert (next(live.batches(3, plan, "cpu")) - found[0][1]).abs().max() > 0.1


def test_all_images_in_order_are_the_first_epochs(cached: CachedFeatures, live: LiveFeatures) -> None:
    (expected,) = live.batches(1, np.arange(27)[None], "cpu")
    for features, tolerance in ((live, 1e-4), (cached, 2e-3)):
        parts = list(features.all(10))
        assert [(part.start, part.stop) for part, _ in parts] == [(0, 10), (10, 20), (20, 27)]
        torch.testing.assert_close(torch.cat([rows for _, rows in parts]), expected, rtol=tolerance, atol=1e-3)


def test_classes_and_what_made_them(cached: CachedFeatures, live: LiveFeatures) -> None:
    for features in (cached, live):
        assert features.class_names == ("n01440764", "n02102040", "n03000684", "faces")
        np.testing.assert_array_equal(features.label, np.repeat([0, 1, 2, 3], [6, 6, 6, 9]))
        assert features.recognised_as == "folders of the user, as many images as expected"
        assert (features.count, features.width, features.source) == (27, 9216, "imagenet_lfw")
    assert (cached.transform, cached.weights_sha256) == (live.transform, live.weights_sha256)
    assert cached.data_sha256 != live.data_sha256


def test_a_feature_is_made_of_pixels_as_told(cached: CachedFeatures, data_dir: Path) -> None:
    """One image by hand, its box by `random_box`: resize, crop, resize, normalize, AlexNet."""
    transform = Transform.from_settings(SETTINGS)
    dataset = read_dataset(cached.path, "features")
    place = 20
    image = Image.open(data_dir / str(dataset["path"].values[place])).convert("RGB")
    stream = rng.key(5, f"crop/{dataset['sha256'].values[place]}", 1)
    resized = transforms.resize(image, 72)
    left, top, right, bottom = crops.random_box(*resized.size, transform, stream=stream)
    view = transforms.resized_crop(resized, top, left, bottom - top, right - left, [64, 64])
    pixels = transforms.normalize(transforms.to_tensor(view), SETTINGS["mean"], SETTINGS["std"])
    expected = AlexNetFeatures(random_alexnet())(pixels[None])
    (found,) = cached.batches(2, np.array([[place]]), "cpu")
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=1e-3)


def test_threads_and_crops_asked_for_do_not_change_what_is_seen(
    cached: CachedFeatures, data_dir: Path, registry: ImageSets, tmp_path: Path
) -> None:
    path = tmp_path / "mix.nc"
    one = {**SETTINGS, "crops": 1}
    write(path, data_dir, registry, array=path.with_suffix(".npy"), features=one, threads=3)
    again = CachedFeatures.open(path)
    for (_, expected), (_, found) in zip(cached.all(27), again.all(27), strict=True):
        torch.testing.assert_close(found, expected, rtol=2e-3, atol=1e-3)
    assert read_dataset(path, "features")["sha256"].equals(read_dataset(cached.path, "features")["sha256"])


def test_settings_choose_the_kind(cached: CachedFeatures, live: LiveFeatures, data_dir: Path) -> None:
    assert isinstance(open_training_features(cached.path, {**SETTINGS, "training": "cached"}), CachedFeatures)
    with pytest.raises(TopoRepError, match="a list of images without features"):
        open_training_features(live.path, {**SETTINGS, "training": "cached"})
    # The registry of this checkout names the published weights, which are not here.
    with pytest.raises(TopoRepError, match="alexnet-owt-7be5be79.pth"):
        open_training_features(live.path, SETTINGS, data_dir)


def test_other_settings_or_weights_are_refused(live: LiveFeatures, data_dir: Path, registry: ImageSets) -> None:
    with pytest.raises(TopoRepError, match="made with another transform"):
        LiveFeatures(live.path, {**SETTINGS, "seed": 6}, data_dir, registry=registry)
    other = small_registry(alexnet={"weights": [write_weights(data_dir, random_alexnet(1)).name]})
    with pytest.raises(TopoRepError, match="made with another weights_sha256"):
        LiveFeatures(live.path, SETTINGS, data_dir, registry=other)
    with pytest.raises(TopoRepError, match="features.training to cached"):
        LiveFeatures(live.path, {**SETTINGS, "network": "gabor"}, data_dir, registry=registry)


def test_an_image_that_changes_or_goes_is_named(registry: ImageSets, data_dir: Path, tmp_path: Path) -> None:
    make_folders(tmp_path)
    (tmp_path / "models").symlink_to(data_dir / "models")
    write(tmp_path / "list.nc", tmp_path, registry, source="lfw")
    features = LiveFeatures(tmp_path / "list.nc", SETTINGS, tmp_path, registry=registry)
    image = tmp_path / "lfw" / "Bo" / "Bo_0002.jpg"
    write_image(image, size=(90, 90))
    with pytest.raises(TopoRepError, match=r"Bo_0002.jpg: changed since .*list.nc was written"):
        next(features.batches(1, np.arange(9)[None], "cpu"))
    image.unlink()
    with pytest.raises(TopoRepError, match="Bo_0002.jpg: cannot be read any more"):
        list(features.all(9))


def test_a_title_says_that_folders_are_not_whole(registry: ImageSets, data_dir: Path) -> None:
    lacking = small_registry(imagenet_train={"images": 20})
    assert titled(list_images(registry.source("imagenet_lfw"), data_dir)) == "ImageNet and LFW"
    found = titled(list_images(lacking.source("imagenet_lfw"), data_dir))
    assert found == f"ImageNet and LFW ({NOT_WHOLE}: imagenet_train: 18 of 20 images)"


def test_unreadable_images_are_left_out_and_told(registry: ImageSets, data_dir: Path, tmp_path: Path) -> None:
    make_folders(tmp_path)
    (tmp_path / "models").symlink_to(data_dir / "models")
    names = ["konkle/small/1.jpeg", "konkle/small/3.jpeg"]
    whole = (tmp_path / names[0]).read_bytes()
    (tmp_path / names[0]).write_bytes(whole[: len(whole) // 2])
    (tmp_path / names[1]).write_bytes(b"<html>Not found</html>")
    for array in (None, tmp_path / "small.npy"):
        with pytest.raises(
            TopoRepError, match="(?s)small: .* of 5; .*max_unreadable.*konkle/small/1.jpeg: OSError: .*"
        ):
            write(tmp_path / "small.nc", tmp_path, registry, source="small", array=array)
        assert not list(tmp_path.glob("*small.*"))
    settings = {**SETTINGS, "max_unreadable": 0.4}
    for array in (None, tmp_path / "small.npy"):
        write(tmp_path / "small.nc", tmp_path, registry, source="small", array=array, features=settings)
        dataset = read_dataset(tmp_path / "small.nc", "features")
        assert dataset["skipped"].values.tolist() == names
        assert "truncated" in dataset["reason"].values[0] and "cannot identify" in dataset["reason"].values[1]
        assert [Path(path).name for path in dataset["path"].values] == ["0.jpeg", "2.jpeg", "4.jpeg"]
    features = CachedFeatures.open(tmp_path / "small.nc")
    whole = tmp_path / "whole"
    for name in names:
        write_image(tmp_path / name)
    write(whole / "small.nc", tmp_path, registry, source="small", array=whole / "small.npy")
    (_, expected), (_, found) = (*CachedFeatures.open(whole / "small.nc").all(5), *features.all(5))
    torch.testing.assert_close(found, expected[[0, 2, 4]], rtol=2e-3, atol=1e-3)


def test_a_change_in_the_middle_of_the_array_is_found_by_reading_it(
    registry: ImageSets, data_dir: Path, tmp_path: Path
) -> None:
    path = tmp_path / "val.nc"
    settings = {**SETTINGS, "crops": 12}
    write(path, data_dir, registry, source="imagenet_val_faces", array=path.with_suffix(".npy"), features=settings)
    content = bytearray(path.with_suffix(".npy").read_bytes())
    assert len(content) > 3 << 20
    content[len(content) // 2] ^= 1
    path.with_suffix(".npy").write_bytes(content)
    with pytest.raises(TopoRepError, match="val.npy: altered since it was written"):
        CachedFeatures.open(path)


def test_rendered_images_are_cropped_for_alexnet(registry: ImageSets, data_dir: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    source = registry.source("rendered_faces")
    few = replace(source, parts=(replace(source.parts[0], images=2),))
    registry = replace(registry, sources={"rendered_faces": few})
    path = tmp_path / "faces.nc"
    write(path, data_dir, registry, source="rendered_faces", array=path.with_suffix(".npy"))
    first, second = (next(CachedFeatures.open(path).batches(epoch, np.array([[0, 1]]), "cpu")) for epoch in (1, 2))
    assert (first - second).abs().max() > 0.1 and (first[0] - first[1]).abs().max() > 0.1


def test_large_arrays_are_read_from_the_disk(cached: CachedFeatures, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = np.array([[4, 1, 4], [20, 26, 0]])
    expected = list(cached.batches(2, plan, "cpu"))
    monkeypatch.setattr("toporep.data.features._IN_MEMORY", 0)
    mapped = CachedFeatures.open(cached.path)
    assert isinstance(mapped._array, np.memmap)
    for found, rows in zip(mapped.batches(2, plan, "cpu"), expected, strict=True):
        assert torch.equal(found, rows)


def test_bytes_that_are_no_image_have_a_reason() -> None:
    stream = io.BytesIO()
    Image.new("CMYK", (9, 7)).save(stream, "JPEG")
    assert crops.decode(stream.getvalue()).size == (9, 7) and crops.decode(stream.getvalue()).mode == "RGB"
    for read in (crops.decode, crops.check):
        with pytest.raises(crops.UnreadableImage, match="UnidentifiedImageError: cannot identify image file$"):
            read(b"")
