from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.stats
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import functional

from toporep.data.augment import (
    BRIGHTNESS,
    CONTRAST,
    HUE,
    ONE_VIEW,
    READOUT,
    SATURATION,
    TWO_VIEWS,
    VALIDATION_VIEWS,
    Augmentation,
    Draws,
    apply,
    augment,
    draw,
)
from toporep.errors import TopoRepError

NOTHING = Augmentation(crop_scale=(1, 1), crop_ratio=(1, 1), flip=0, jitter=0, gray=0, blur=0)
MANY = np.arange(40_000)


def smooth_images(count: int, rows: int = 32, cols: int = 32) -> torch.Tensor:
    """Waves of color with all values from 0 to 255."""
    row, col = np.meshgrid(np.arange(rows), np.arange(cols), indexing="ij")
    phase = np.random.default_rng(0).uniform(0, 7, (count, 1, 1, 3))
    wave = np.sin(0.3 * row[..., None] * (1 + phase) + 0.2 * col[..., None] * np.cos(phase) + phase)
    return torch.from_numpy(np.rint(127.5 * (1 + wave)).astype(np.uint8))


def random_images(count: int, rows: int = 32, cols: int = 32, channels: int = 3) -> torch.Tensor:
    values = np.random.default_rng(1).integers(0, 256, (count, rows, cols, channels), dtype=np.uint8)
    return torch.from_numpy(values)


def pure_images() -> torch.Tensor:
    """Each image of one of the 27 colors with channels 0, 127 and 255, where hue and saturation are on their edges."""
    channels = np.array(np.meshgrid(*[[0, 127, 255]] * 3)).reshape(3, -1).T
    colors = np.broadcast_to(channels[:, None, None], (27, 32, 32, 3)).copy()
    colors[:, 16:] = colors[::-1, 16:]
    return torch.from_numpy(colors.astype(np.uint8))


def by_torchvision(image, draws: Draws, i: int):
    """Torchvision's own functions on one image, a float32 tensor (channels, rows, cols) or a PIL image."""
    size = functional.get_dimensions(image)[1:]
    box = (int(values[i]) for values in (draws.top, draws.left, draws.height, draws.width))
    image = functional.resized_crop(image, *box, size)
    if draws.flip[i]:
        image = functional.hflip(image)
    changes = {
        BRIGHTNESS: lambda image: functional.adjust_brightness(image, draws.brightness[i]),
        CONTRAST: lambda image: functional.adjust_contrast(image, draws.contrast[i]),
        SATURATION: lambda image: functional.adjust_saturation(image, draws.saturation[i]),
        HUE: lambda image: functional.adjust_hue(image, draws.hue[i]),
    }
    for operation in draws.order[i] if draws.jitter[i] else ():
        image = changes[operation](image)
    if draws.gray[i]:
        image = functional.rgb_to_grayscale(image, num_output_channels=3)
    if draws.sigma[i]:
        image = functional.gaussian_blur(image, [3, 3], [float(draws.sigma[i])] * 2)
    return image


def as_tensor(images: torch.Tensor) -> torch.Tensor:
    return images.permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("images", [smooth_images(300), random_images(300), pure_images(), random_images(60, 20, 28)])
@pytest.mark.parametrize("augmentation", [TWO_VIEWS, ONE_VIEW, VALIDATION_VIEWS, Augmentation(hue=0.5, blur=1)])
def test_agrees_with_torchvision_on_each_image(images, augmentation):
    draws = draw(augmentation, np.arange(len(images)), size=images.shape[1:3], seed=3, epoch=5)
    expected = torch.stack([by_torchvision(image, draws, i) for i, image in enumerate(as_tensor(images))])
    torch.testing.assert_close(apply(images, draws), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("jitter", "mean", "most"), [(0.0, 0.5, 2), (0.8, 1.5, 32)])
def test_near_to_the_published_transforms_on_8_bit_images(jitter, mean, most):
    """They round after each step; hue they round to 1/256 turn, and its rotation towards 0."""
    images = smooth_images(400)
    draws = draw(Augmentation(jitter=jitter), np.arange(len(images)), size=(32, 32), seed=4, epoch=1)
    pixels = [by_torchvision(Image.fromarray(image), draws, i) for i, image in enumerate(images.numpy())]
    expected = torch.stack([functional.to_tensor(image) for image in pixels])
    levels = 255 * (apply(images, draws) - expected).abs()
    assert levels.mean() < mean and levels.max() < most


@pytest.mark.parametrize("augmentation", [TWO_VIEWS, READOUT])
def test_an_image_does_not_depend_on_its_batch(augmentation):
    images, index = random_images(150), np.arange(1000, 1150)
    together = augment(images, index, augmentation, seed=1, epoch=2, views=2).unflatten(0, (2, 150))
    for members in (np.arange(150)[::-1].copy(), np.arange(3), np.array([149]), np.arange(0, 150, 7)):
        apart = augment(images[members], index[members], augmentation, seed=1, epoch=2, views=2)
        torch.testing.assert_close(apart.unflatten(0, (2, -1)), together[:, members], rtol=0, atol=1e-6)


def test_draws_do_not_depend_on_the_batch_at_all():
    index = np.array([7, 0, 123_456, 49_999])
    apart = [draw(TWO_VIEWS, index[[i]], size=(32, 32), seed=1, epoch=2) for i in range(4)]
    for together, *each in zip(draw(TWO_VIEWS, index, size=(32, 32), seed=1, epoch=2), *apart, strict=True):
        np.testing.assert_array_equal(together, np.concatenate(each))


def test_every_part_of_the_key_counts_and_nothing_else():
    images, index = random_images(8), np.arange(8)
    base = dict(seed=1, epoch=2, stage="train")
    first, second = augment(images, index, TWO_VIEWS, **base, views=2).unflatten(0, (2, 8))
    torch.testing.assert_close(augment(images, index, TWO_VIEWS, **base), first, rtol=0, atol=0)
    others = [second, augment(images, index + 8, TWO_VIEWS, **base)]
    others += [
        augment(images, index, TWO_VIEWS, **base | change)
        for change in ({"seed": 2}, {"epoch": 3}, {"stage": "validation"})
    ]
    for other in others:
        assert ((other - first).abs().amax(dim=(1, 2, 3)) > 0.01).all()


def test_rates_of_the_published_transforms():
    draws = draw(TWO_VIEWS, MANY, size=(32, 32), seed=0, epoch=0)
    for found, rate in ((draws.flip, 0.5), (draws.jitter, 0.8), (draws.gray, 0.2), (draws.sigma > 0, 0.5)):
        assert scipy.stats.binomtest(int(found.sum()), len(MANY), rate).pvalue > 1e-3


def test_strengths_are_uniform():
    draws = draw(TWO_VIEWS, MANY, size=(32, 32), seed=0, epoch=0)
    for found, low, high in (
        (draws.brightness, 0.6, 1.4),
        (draws.contrast, 0.6, 1.4),
        (draws.saturation, 0.6, 1.4),
        (draws.hue, -0.1, 0.1),
        (draws.sigma[draws.sigma > 0], 0.1, 2.0),
    ):
        assert scipy.stats.kstest(found, scipy.stats.uniform(low, high - low).cdf).pvalue > 1e-3


def test_all_orders_of_color_changes_are_as_frequent():
    orders, counts = np.unique(draw(TWO_VIEWS, MANY, size=(32, 32), seed=0, epoch=0).order, axis=0, return_counts=True)
    assert len(orders) == 24 and (np.sort(orders, axis=1) == [BRIGHTNESS, CONTRAST, SATURATION, HUE]).all()
    assert scipy.stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
@pytest.mark.parametrize(
    ("scale", "ratio"), [((0.2, 1.0), (3 / 4, 4 / 3)), ((0.5, 1.0), (3 / 4, 4 / 3)), ((0.2, 0.6), (1.1, 2.0))]
)
def test_crops_are_distributed_as_torchvisions(scale, ratio, size):
    torch.manual_seed(0)
    image = torch.zeros(1, *size)
    choose = transforms.RandomResizedCrop.get_params
    published = np.array([choose(image, scale, ratio) for _ in range(4000)])
    draws = draw(Augmentation(crop_scale=scale, crop_ratio=ratio), MANY, size=size, seed=0, epoch=0)
    found = np.stack([draws.top, draws.left, draws.height, draws.width], axis=1)
    for value in (lambda box: box.T, lambda box: [box[:, 2] * box[:, 3], box[:, 2] / box[:, 3], box[:, 0] - box[:, 1]]):
        for ours, theirs in zip(value(found), value(published), strict=True):
            assert scipy.stats.ks_2samp(ours, theirs).pvalue > 1e-3


def test_crops_lie_within_the_image_and_cover_it():
    draws = draw(TWO_VIEWS, MANY, size=(32, 32), seed=0, epoch=0)
    assert draws.top.min() == draws.left.min() == 0
    assert (draws.top + draws.height).max() == (draws.left + draws.width).max() == 32
    area = draws.height * draws.width
    # Rounding of both sides can take a crop a little beyond the limits of its area.
    assert 0.17 < area.min() / 1024 < 0.2 < 0.98 < area.max() / 1024 <= 1


@pytest.mark.parametrize(("size", "ratio"), [((32, 32), (2.0, 3.0)), ((32, 32), (0.2, 0.4)), ((20, 32), (2.0, 3.0))])
def test_a_crop_that_never_fits_is_the_central_one(size, ratio):
    """At the scale of the whole image no crop of these ratios fits; torchvision then draws nothing more."""
    augmentation = Augmentation(crop_scale=(1.0, 1.0), crop_ratio=ratio)
    draws = draw(augmentation, np.arange(50), size=size, seed=0, epoch=0)
    found = np.stack([draws.top, draws.left, draws.height, draws.width], axis=1)
    published = transforms.RandomResizedCrop.get_params(torch.zeros(1, *size), (1.0, 1.0), ratio)
    assert (found == published).all()


def test_draws_of_images_views_and_parameters_are_unrelated():
    columns = []
    for view in (0, 1):
        draws = draw(TWO_VIEWS, MANY, size=(32, 32), seed=0, epoch=0, view=view)
        for values in draws._replace(order=draws.order[:, 0]):
            columns += [values.astype(float), np.roll(values, 1).astype(float)]
    correlations = np.corrcoef(columns)
    # Place and size of a crop are tied to each other, the first four values of a view.
    unrelated = ~np.eye(len(columns), dtype=bool)
    for start in (0, 1, 26, 27):
        crop = start + 2 * np.arange(4)
        unrelated[np.ix_(crop, crop)] = False
    assert np.abs(correlations[unrelated]).max() < 5 / np.sqrt(len(MANY))


def test_no_change_is_none():
    images = random_images(100)
    torch.testing.assert_close(augment(images, np.arange(100), NOTHING, seed=0, epoch=0), as_tensor(images))


def test_each_change_alone():
    images, index = random_images(80), np.arange(80)
    plain = as_tensor(images)

    def changed(**changes) -> torch.Tensor:
        return augment(images, index, dataclasses.replace(NOTHING, **changes), seed=0, epoch=0)

    torch.testing.assert_close(changed(flip=1), plain.flip(-1))
    gray = changed(gray=1)
    torch.testing.assert_close(gray, functional.rgb_to_grayscale(plain).expand(-1, 3, -1, -1))
    idle = changed(jitter=1, brightness=0, contrast=0, saturation=0, hue=0)
    torch.testing.assert_close(idle, plain, rtol=0, atol=2e-6)
    # A Gaussian of 1 pixel, cut to 3 x 3, leaves white noise (0.274^2 + 0.452^2 + 0.274^2)^2 = 0.13 of its variance.
    kept = changed(blur=1, blur_sigma=(1, 1)).var(dim=(2, 3)) / plain.var(dim=(2, 3))
    assert kept.mean() == pytest.approx(0.126, abs=0.01)
    # At probability 1/2, about half of the images stay as they are.
    kept = ((changed(blur=0.5, blur_sigma=(1, 1)) - plain).abs() < 1e-6).all(dim=(1, 2, 3))
    assert 25 <= kept.sum() <= 55


def test_crop_from_a_padded_image():
    """Random crop of 32 pixels from the image with a black border of 4, then a flip: the transforms of the readout."""
    images, index = random_images(200), np.arange(200)
    draws = draw(READOUT, index, size=(32, 32), seed=0, epoch=3)
    assert {*draws.top} == {*draws.left} == set(range(-4, 5))
    padded = torch.nn.functional.pad(as_tensor(images), [4] * 4)
    expected = [
        image[:, 4 + top : 36 + top, 4 + left : 36 + left] for image, top, left in zip(padded, *draws[:2], strict=True)
    ]
    expected = [image.flip(-1) if flip else image for image, flip in zip(expected, draws.flip, strict=True)]
    torch.testing.assert_close(apply(images, draws), torch.stack(expected))


def test_all_places_of_a_crop_from_a_padded_image_are_as_frequent():
    draws = draw(READOUT, MANY, size=(32, 32), seed=0, epoch=0)
    counts = np.bincount(9 * (draws.top + 4) + draws.left + 4, minlength=81)
    assert len(counts) == 81 and scipy.stats.chisquare(counts).pvalue > 1e-3


def test_gray_images_can_be_cropped_flipped_and_blurred():
    images = random_images(50, 28, 28, 1)
    draws = draw(Augmentation(jitter=0, gray=0), np.arange(50), size=(28, 28), seed=0, epoch=0)
    expected = torch.stack([by_torchvision(image, draws, i) for i, image in enumerate(as_tensor(images))])
    torch.testing.assert_close(apply(images, draws), expected, rtol=0, atol=1e-5)


def test_no_image_is_no_problem():
    assert augment(random_images(0), np.arange(0), TWO_VIEWS, seed=0, epoch=0, views=2).shape == (0, 3, 32, 32)


def test_images_stay_as_they_were():
    images = random_images(70)
    before = images.clone()
    augment(images, np.arange(70), TWO_VIEWS, seed=0, epoch=0)
    assert torch.equal(images, before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_same_on_a_gpu():
    images = smooth_images(300)
    found = augment(images.cuda(), np.arange(300), TWO_VIEWS, seed=0, epoch=0, views=2)
    assert found.is_cuda
    expected = augment(images, np.arange(300), TWO_VIEWS, seed=0, epoch=0, views=2)
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flip": 1.5}, "flip: expected 0 to 1.*1.5"),
        ({"jitter": float("nan")}, "jitter: expected 0 to 1"),
        ({"hue": 0.6}, "hue: expected 0 to 0.5"),
        ({"crop_scale": (0.0, 1.0)}, "crop_scale: expected two positive"),
        ({"crop_scale": (0.2, 1.1)}, "at most 1"),
        ({"crop_ratio": (2.0, 1.0)}, "ascending"),
        ({"blur_sigma": (0.0, 1.0)}, "blur_sigma: expected two positive"),
        ({"padding": -1}, "padding: expected None or"),
    ],
)
def test_refuses_distributions(changes, message):
    with pytest.raises(TopoRepError, match=message):
        Augmentation(**changes)


@pytest.mark.parametrize(
    ("images", "index", "views", "message"),
    [
        (random_images(2).float(), [0, 1], 1, "images: expected uint8.*float32"),
        (random_images(2)[0], [0], 1, r"images: .*\(32, 32, 3\)"),
        (random_images(2), [0], 1, "draws: expected one for each of 2 images, found 1"),
        (random_images(2), [0, -1], 1, "index: expected a list of whole numbers"),
        (random_images(2), [0.0, 1.0], 1, "index: expected"),
        (random_images(2), [0, 1], 0, "views: expected at least 1, found 0"),
        (random_images(20, channels=1), range(20), 1, "need 3 channels, found 1"),
    ],
)
def test_refuses_images(images, index, views, message):
    with pytest.raises(TopoRepError, match=message):
        augment(images, np.array(index), TWO_VIEWS, seed=0, epoch=0, views=views)
