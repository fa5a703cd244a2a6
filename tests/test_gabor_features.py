from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from toporep.errors import TopoRepError
from toporep.stimuli import gabor_features as module
from toporep.stimuli.gabor_features import (
    COLOR_CHANNELS,
    DIMENSIONS,
    WAVELENGTHS,
    feature_statistics,
    gabor_energies,
    gabor_features,
    opponent_colors,
    random_kernels,
    standardize,
)


def photographs(count: int, size: int = 64) -> np.ndarray:
    """Random numbers on a coarse lattice, with finer ones on top."""
    generator = np.random.default_rng(count)
    coarse = generator.integers(0, 200, (count, size // 8, size // 8, 3)).repeat(8, axis=1).repeat(8, axis=2)
    return (coarse + generator.integers(0, 56, (count, size, size, 3))).astype(np.uint8)


def grating(wavelength: float, degrees: float, *, phase: float = 0.0, contrast: float = 1.0) -> np.ndarray:
    """One image, (1, 64, 64, 3), whose luminance changes along a direction, clockwise from the right."""
    y, x = np.mgrid[:64, :64]
    angle = math.radians(degrees)
    wave = np.cos(2 * math.pi / wavelength * (x * math.cos(angle) + y * math.sin(angle)) + phase)
    level = np.round(255 * (0.5 + 0.5 * contrast * wave)).astype(np.uint8)
    return np.repeat(level[None, :, :, None], 3, axis=-1)


def slow_energy(luminance: np.ndarray, row: int, col: int, *, wavelength: float, degrees: float) -> float:
    """Explicit two-dimensional even and odd filters at one pixel, on the image continued as in a mirror."""
    sigma = wavelength / 2
    reach = math.ceil(3 * sigma)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    envelope = np.exp(-(x**2 + y**2) / (2 * sigma**2))
    envelope /= envelope.sum()
    angle = math.radians(degrees)
    along = 2 * math.pi / wavelength * (x * math.cos(angle) + y * math.sin(angle))
    even = envelope * np.cos(along)
    even -= envelope * even.sum()
    odd = envelope * np.sin(along)
    padded = np.pad(luminance, reach, mode="symmetric")
    patch = padded[row : row + 2 * reach + 1, col : col + 2 * reach + 1]
    return 16 * ((even * patch).sum() ** 2 + (odd * patch).sum() ** 2)


@pytest.mark.parametrize("channel", range(12))
def test_energies_agree_with_explicit_filters(channel):
    images = photographs(2)
    energies = gabor_energies(images)
    assert energies.shape == (2, 12, 32, 32)
    luminance = images[1] / 255 @ [0.299, 0.587, 0.114]
    for row, col in ((0, 0), (3, 30), (16, 15), (31, 31)):
        expected = slow_energy(
            luminance, 2 * row, 2 * col, wavelength=WAVELENGTHS[channel // 6], degrees=30 * (channel % 6)
        )
        assert energies[1, channel, row, col] == pytest.approx(expected, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("scale", [0, 1])
@pytest.mark.parametrize("k", range(6))
def test_a_grating_drives_the_filter_of_its_orientation_and_wavelength(scale, k):
    energies = gabor_energies(grating(WAVELENGTHS[scale], 30 * k))[0, :, 6:-6, 6:-6].mean(axis=(1, 2))
    assert np.argmax(energies) == 6 * scale + k
    assert energies[6 * scale + k] == pytest.approx(1.0, abs=0.05)
    assert energies[6 * scale + (k + 3) % 6] < 0.01


def test_energy_ignores_phase_and_polarity_and_goes_with_contrast_squared():
    shifted = [gabor_energies(grating(8.0, 30.0, phase=phase))[0, 7, 6:-6, 6:-6] for phase in (0.0, 0.8, 1.9)]
    for energy in shifted:
        np.testing.assert_allclose(energy, 1.0, atol=0.08)
    images = photographs(1)
    np.testing.assert_allclose(gabor_energies(255 - images), gabor_energies(images), rtol=1e-2, atol=1e-5)
    half = gabor_energies(grating(8.0, 30.0, contrast=0.5))[0, 7, 16, 16]
    assert half == pytest.approx(0.25 * gabor_energies(grating(8.0, 30.0))[0, 7, 16, 16], rel=0.02)


def test_transposed_images_have_transposed_energies():
    """Exchanging x and y reflects orientations about 45 degrees: 30 k becomes 90 - 30 k."""
    images = photographs(2)
    reflected = gabor_energies(np.swapaxes(images, 1, 2))
    order = [6 * scale + (3 - k) % 6 for scale in range(2) for k in range(6)]
    np.testing.assert_allclose(reflected, np.swapaxes(gabor_energies(images)[:, order], 2, 3), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("level", [0, 100, 255])
def test_a_blank_image_has_no_energy_and_finite_features(level):
    blank = np.full((1, 64, 64, 3), level, dtype=np.uint8)
    assert gabor_energies(blank).max() < 1e-9
    assert np.isfinite(gabor_features(blank)).all()


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        ((255, 255, 255), {"light": 0.5}),
        ((0, 0, 0), {"dark": 0.5}),
        ((255, 0, 0), {"dark": 0.5 - 0.299, "red": 1.0, "yellow": 0.5}),
        ((0, 255, 0), {"light": 0.587 - 0.5, "green": 1.0, "yellow": 0.5}),
        ((0, 0, 255), {"dark": 0.5 - 0.114, "blue": 1.0}),
        ((255, 255, 0), {"light": 0.886 - 0.5, "yellow": 1.0}),
    ],
)
def test_opponent_channels_of_pure_colors(color, expected):
    images = np.broadcast_to(np.array(color, dtype=np.uint8), (1, 32, 32, 3))
    found = opponent_colors(images)
    assert found.shape == (1, 6, 16, 16)
    np.testing.assert_allclose(found[0, :, 4, 7], [expected.get(name, 0.0) for name in COLOR_CHANNELS], atol=1e-6)


def test_random_kernels_have_no_mean_and_unit_norm():
    kernels = random_kernels(5).astype(np.float64)
    assert kernels.shape == (16, 18, 3, 3)
    np.testing.assert_allclose(kernels.mean(axis=(1, 2, 3)), 0, atol=1e-8)
    np.testing.assert_allclose((kernels**2).sum(axis=(1, 2, 3)), 1, rtol=1e-6)
    overlaps = np.corrcoef(kernels.reshape(16, -1)) - np.eye(16)
    assert np.abs(overlaps).max() < 0.35  # 162 random numbers: standard deviation 0.08
    assert not np.allclose(random_kernels(6), kernels)


@pytest.mark.parametrize("size", [32, 64, 100, 224])
def test_convolution_and_pooling_agree_with_torch(size):
    """Channel by channel, as AlexNet's features are flattened."""
    images = photographs(1, size=size - size % 8 if size != 100 else 104)
    side = images.shape[1] // 4
    maps = np.concatenate([gabor_energies(images), opponent_colors(images)], axis=1)
    pooled = torch.nn.functional.avg_pool2d(torch.from_numpy(maps), 2).reshape(1, 3, 6, side, side)
    floors = torch.tensor([module._ENERGY_FLOOR] * 2 + [module._COLOR_FLOOR]).reshape(1, 3, 1, 1, 1)
    normalized = (pooled / (pooled.mean(dim=(2, 3, 4), keepdim=True) + floors)).flatten(1, 2)
    convolved = torch.nn.functional.conv2d(normalized, torch.from_numpy(random_kernels(2).copy()), padding=1).relu()
    expected = torch.nn.functional.adaptive_avg_pool2d(convolved, 6).flatten(1).numpy()
    found = gabor_features(images, seed=2)
    assert found.shape == (1, DIMENSIONS) == (1, 576)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_features_of_an_image_depend_on_no_other():
    images = photographs(7)
    features = gabor_features(images)
    assert features.dtype == np.float32 and features.min() >= 0 and features.max() > 0
    np.testing.assert_array_equal(gabor_features(images[[5, 0, 5]]), features[[5, 0, 5]])
    np.testing.assert_array_equal(gabor_features(images[3:4]), features[3:4])
    assert gabor_features(images[:0]).shape == (0, 576)


def test_contrast_hardly_matters():
    """Energies fall to a quarter at half the contrast, features by less than a quarter."""
    full = grating(8.0, 60.0)
    half = grating(8.0, 60.0, contrast=0.5)
    strong, weak = gabor_features(full)[0], gabor_features(half)[0]
    assert np.corrcoef(strong, weak)[0, 1] > 0.98
    assert weak.sum() / strong.sum() > 0.75


def test_standardization_uses_the_training_images():
    generator = np.random.default_rng(0)
    train, test = generator.gamma(2.0, size=(200, 5)), generator.gamma(3.0, size=(50, 5))
    train[:, 2] = 7.0
    mean, deviation = feature_statistics(train)
    known = standardize(train, mean=mean, deviation=deviation)
    varied = [0, 1, 3, 4]
    np.testing.assert_allclose(known.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(known.std(axis=0), [1, 1, 0, 1, 1], atol=1e-6)
    new = standardize(test, mean=mean, deviation=deviation)
    np.testing.assert_allclose(new[:, varied], ((test - mean) / train.std(axis=0).clip(1e-9))[:, varied], rtol=1e-5)
    assert (new[:, 2] == 0).all()
    assert new[:, varied].mean() > 0.4  # not centered anew


@pytest.mark.parametrize("function", [gabor_energies, opponent_colors, gabor_features])
@pytest.mark.parametrize(
    ("images", "found"),
    [
        (np.zeros((2, 64, 64, 3), dtype=np.float32), "float32"),
        (np.zeros((64, 64, 3), dtype=np.uint8), r"\(64, 64, 3\)"),
        (np.zeros((2, 64, 32, 3), dtype=np.uint8), r"\(2, 64, 32, 3\)"),
        (np.zeros((2, 64, 64, 1), dtype=np.uint8), r"\(2, 64, 64, 1\)"),
        (np.zeros((2, 28, 28, 3), dtype=np.uint8), "28"),
        (np.zeros((2, 66, 66, 3), dtype=np.uint8), "66"),
    ],
)
def test_bad_images_are_named(function, images, found):
    with pytest.raises(TopoRepError, match=f"images.*found.*{found}"):
        function(images)


def test_bad_statistics_are_named():
    with pytest.raises(TopoRepError, match=r"at least 2.*\(1, 4\)"):
        feature_statistics(np.zeros((1, 4)))
    with pytest.raises(TopoRepError, match=r"deviation.*\(5, 4\).*\(3,\)"):
        standardize(np.zeros((5, 4)), mean=np.zeros(4), deviation=np.ones(3))
