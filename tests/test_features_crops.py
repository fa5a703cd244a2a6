"""Random crops: torchvision's distribution and resampling, keyed by content."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from category_folders import image_bytes
from PIL import Image
from scipy import stats
from torchvision.transforms import functional as transforms

from toporep import rng
from toporep.data.crops import Transform, decode, normalized, random_box, resize_shorter, thumbnail, views
from toporep.errors import TopoRepError

SETTINGS = {
    **{
        "network": "alexnet",
        "size": 224,
        "resize": 256,
        "crop": "random",
        "area": [0.08, 1.0],
        "aspect": [0.75, 4 / 3],
    },
    **{"mean": [0.48300076, 0.45126104, 0.3998704], "std": [0.26990137, 0.26078254, 0.27288908], "seed": 0},
}
TRANSFORM = Transform.from_settings(SETTINGS)


def boxes(width: int, height: int, count: int, **changes) -> np.ndarray:
    transform = replace(TRANSFORM, **changes)
    return np.array(
        [random_box(width, height, transform, stream=rng.key(0, "test box", i)) for i in range(count)], dtype=float
    )


def test_boxes_have_the_papers_areas_and_aspects() -> None:
    """Of a wide image, where any draw up to half of it fits, shares and log aspects are uniform, places too."""
    left, top, right, bottom = boxes(2000, 2000, 4000, area=(0.08, 0.5)).T
    share = (right - left) * (bottom - top) / 2000**2
    aspect = np.log((right - left) / (bottom - top))
    limit = math.log(4 / 3)
    assert stats.kstest(share, stats.uniform(0.08, 0.42).cdf).pvalue > 0.01
    assert stats.kstest(aspect, stats.uniform(-limit, 2 * limit).cdf).pvalue > 0.01
    for place in (left / (2000 - (right - left)), top / (2000 - (bottom - top))):
        assert stats.kstest(place, stats.uniform(0, 1).cdf).pvalue > 0.01
    assert abs(np.corrcoef(share, aspect)[0, 1]) < 0.06


def test_boxes_have_torchvisions_distribution() -> None:
    """Where large draws do not fit, some are drawn again."""
    from torchvision.transforms import RandomResizedCrop

    torch.manual_seed(0)
    image = torch.zeros(3, 256, 340)
    theirs = np.array([RandomResizedCrop.get_params(image, [0.08, 1.0], [0.75, 4 / 3]) for _ in range(3000)])
    left, top, right, bottom = boxes(340, 256, 3000).T
    for found, expected in ((top, theirs[:, 0]), (left, theirs[:, 1]), (bottom - top, theirs[:, 2])):
        assert stats.ks_2samp(found, expected).pvalue > 0.01


def test_boxes_lie_within_images_of_any_shape() -> None:
    for width, height in ((1, 1), (256, 5000), (5000, 256), (257, 256), (3, 2)):
        left, top, right, bottom = boxes(width, height, 200).T
        assert (left >= 0).all() and (top >= 0).all() and (right <= width).all() and (bottom <= height).all()
        assert (right > left).all() and (bottom > top).all()


def test_an_image_too_long_for_any_draw_is_cropped_in_its_middle() -> None:
    (box,) = {random_box(6000, 60, replace(TRANSFORM, area=(0.9, 1.0)), stream=i) for i in range(20)}
    assert box == (2960, 0, 3040, 60)


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (300, 300), (150, 99), (256, 256)])
def test_center_crops_are_torchvisions(size: tuple[int, int]) -> None:
    image = decode(image_bytes("center", suffix=".png", size=size))
    (found,) = views(image, replace(TRANSFORM, crop="center"), sha256="", crops=range(1))
    resized = transforms.resize(image, 256)
    assert resize_shorter(image, 256).size == resized.size
    left, top = (resized.width - 224) // 2, (resized.height - 224) // 2
    np.testing.assert_array_equal(found, np.asarray(transforms.crop(resized, top, left, 224, 224)))


def test_random_crops_are_resampled_as_torchvision_does() -> None:
    image = decode(image_bytes("random", suffix=".png", size=(500, 375)))
    for crop, found in enumerate(views(image, TRANSFORM, sha256="abc", crops=range(3))):
        resized = transforms.resize(image, 256)
        left, top, right, bottom = random_box(*resized.size, TRANSFORM, stream=rng.key(0, "crop/abc", crop))
        expected = transforms.resized_crop(resized, top, left, bottom - top, right - left, [224, 224])
        np.testing.assert_array_equal(found, np.asarray(expected))


def test_a_crop_follows_from_seed_number_and_content_alone() -> None:
    image = decode(image_bytes("keyed"))
    several = views(image, TRANSFORM, sha256="aa", crops=range(4))
    np.testing.assert_array_equal(views(image, TRANSFORM, sha256="aa", crops=range(2, 3))[0], several[2])
    assert len({view.tobytes() for view in several}) == 4
    for other in (
        views(image, TRANSFORM, sha256="ab", crops=range(1)),
        views(image, replace(TRANSFORM, seed=1), sha256="aa", crops=range(1)),
    ):
        assert (other[0] != several[0]).any()


def test_views_are_normalized_as_torchvision_does() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    expected = [transforms.normalize(transforms.to_tensor(view), SETTINGS["mean"], SETTINGS["std"]) for view in pixels]
    torch.testing.assert_close(normalized(torch.from_numpy(pixels), TRANSFORM), torch.stack(expected))


def test_a_thumbnail_is_the_middle_of_the_image() -> None:
    image = Image.new("RGB", (256, 128), (255, 0, 0))
    image.paste((0, 0, 255), (64, 0, 192, 128))
    found = thumbnail(image)
    assert found.shape == (64, 64, 3) and (found[:, 1:-1] == (0, 0, 255)).all()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"crop": "none"}, "features.crop: expected 'random' or 'center', found 'none'"),
        ({"size": 300}, "expected 1 <= size <= resize, found size 300, resize 256"),
        ({"area": [0.5, 1.5]}, "features.area"),
        ({"aspect": [2, 1]}, "features.aspect"),
        ({"std": [0, 1, 1]}, "std > 0"),
    ],
)
def test_a_transform_that_cannot_be_is_refused(change: dict, message: str) -> None:
    with pytest.raises(TopoRepError, match=message):
        Transform.from_settings({**SETTINGS, **change})


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(TopoRepError, match="features: missing seed; found network, "):
        Transform.from_settings({name: value for name, value in SETTINGS.items() if name != "seed"})


def test_equal_transforms_have_equal_texts() -> None:
    reordered = dict(reversed(SETTINGS.items()))
    assert Transform.from_settings(reordered).text == TRANSFORM.text
    assert replace(TRANSFORM, seed=1).text != TRANSFORM.text
