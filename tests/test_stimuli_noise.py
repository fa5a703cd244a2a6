from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from toporep import rng
from toporep.errors import TopoRepError
from toporep.stimuli.noise import KINDS, add_noise, pink_noise

MNIST, CIFAR = (28, 28, 1), (32, 32, 3)
LEVELS = (0.01, 0.05, 0.1, 0.15, 0.2)
# The published code's draws an image, and the expected share of distinct pixels among them.
DRAWS = {MNIST: (7, 39, 78, 117, 156), CIFAR: (10, 51, 102, 153, 204)}
DISTINCT = {
    MNIST: (0.00889447851474, 0.0485580947028, 0.0947583008444, 0.138715113001, 0.18053746611),
    CIFAR: (0.0097228212237, 0.0486079223273, 0.0948531145417, 0.138850424045, 0.180709115745),
}


def gray(count: int, shape: tuple[int, int, int]) -> np.ndarray:
    return np.full((count, *shape), 0.5, dtype=np.float32)


def photographs(count: int, shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *shape), dtype=np.uint8)


def normals_of_image(stream: int, index: int, values: int) -> np.ndarray:
    """Box & Muller's transformation of one image's outputs, in double precision."""
    pairs = math.ceil(values / 2)
    outputs = [int(output) for output in rng.bits(stream, pairs, offset=index * pairs)]
    radii = [math.sqrt(-2 * math.log(((output >> 32) + 0.5) / 2**32)) for output in outputs]
    angles = [2 * math.pi * (output % 2**32 // 2**8) / 2**24 for output in outputs]
    waves = [math.cos(angle) for angle in angles], [math.sin(angle) for angle in angles]
    return np.concatenate([np.multiply(radii, wave) for wave in waves])[:values]


def slow_noise(
    images: np.ndarray, kind: str, level: float, *, seed: int, repetition: int, first: int, replace: bool = True
) -> np.ndarray:
    """The published code's algorithm, image by image and pixel by pixel, fed with the same random bits."""
    stream = rng.key(seed, f"image noise/{kind}/{level:.6g}", repetition)
    noisy = images / 255.0
    count, rows, cols, channels = images.shape
    for i in range(count):
        if kind == "salt_pepper":
            draws = math.floor(rows * cols * level)
            per_image = draws if replace else rows * cols
            outputs = [int(output) for output in rng.bits(stream, per_image, offset=(first + i) * per_image)]
            shuffled = sorted(range(rows * cols), key=outputs.__getitem__) if not replace else []
            for draw in range(draws):
                pixel = (outputs[draw] >> 32) * rows * cols >> 32 if replace else shuffled[draw]
                noisy[i, pixel // cols, pixel % cols, :] = outputs[draw] % 2
            continue
        normals = normals_of_image(stream, first + i, rows * cols * channels)
        if kind == "white":
            noisy[i] += level * normals.reshape(rows, cols, channels)
            continue
        for channel, white in enumerate(normals.reshape(channels, rows, cols)):
            frequency = np.sqrt(np.fft.fftfreq(rows)[:, None] ** 2 + np.fft.fftfreq(cols)[None, :] ** 2)
            frequency[0, 0] = 1
            field = np.real(np.fft.ifft2(np.fft.fft2(white) / frequency))
            noisy[i, :, :, channel] += level * (field - field.mean()) / field.std()
    return np.clip(noisy, 0, 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [MNIST, CIFAR, (5, 7, 3), (6, 9, 1)], ids=str)
def test_agrees_with_a_loop_over_images(kind, shape):
    images = photographs(3, shape)
    found = add_noise(images, kind, 0.2, seed=4, repetition=2, first_index=11)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, slow_noise(images, kind, 0.2, seed=4, repetition=2, first=11), atol=2e-6)
    if kind == "salt_pepper":
        found = add_noise(images, kind, 0.2, seed=4, repetition=2, first_index=11, replace=False)
        expected = slow_noise(images, kind, 0.2, seed=4, repetition=2, first=11, replace=False)
        np.testing.assert_allclose(found, expected, atol=2e-6)


def test_pink_filter_of_a_formula():
    row, col = np.mgrid[:28, :28]
    white = np.sin(1.3 * row + 2.9 * col + 0.17 * row * col)
    field = pink_noise(white)
    values = [field[0, 0], field[3, 5], field[14, 20], field[27, 27], field.min(), field.max()]
    expected = [-0.235133495477, 0.649565523005, -1.36103093681, -2.1196155951, -2.91047768904, 3.72939250972]
    assert values == pytest.approx(expected, rel=1e-10)
    single = pink_noise(white.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, field, atol=2e-6)


@pytest.mark.parametrize("shape", [(28, 28), (9, 14), (1, 5), (2, 1)], ids=str)
@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_pink_noise_is_standardized_and_ignores_offset_and_scale(shape, exponent):
    white = np.random.default_rng(1).normal(size=(4, 3, *shape))
    field = pink_noise(white, amplitude_exponent=exponent)
    np.testing.assert_allclose(field.mean(axis=(-2, -1)), 0, atol=1e-14)
    np.testing.assert_allclose(field.std(axis=(-2, -1)), 1, rtol=1e-13)
    np.testing.assert_allclose(pink_noise(7 + 3 * white, amplitude_exponent=exponent), field, atol=1e-12)
    np.testing.assert_allclose(pink_noise(white[2, 1], amplitude_exponent=exponent), field[2, 1], atol=1e-14)


def test_pink_noise_of_a_single_frequency_is_that_frequency():
    col = np.arange(32)
    wave = np.tile(np.cos(2 * np.pi * 5 * col / 32), (32, 1))
    np.testing.assert_allclose(pink_noise(wave), math.sqrt(2) * wave, atol=1e-13)


def test_constant_image_has_no_pink_noise():
    assert np.isnan(pink_noise(np.full((3, 28, 28), 0.3))).all()


@pytest.mark.parametrize(("exponent", "slope"), [(1.0, -2.0), (0.5, -1.0), (0.0, 0.0)])
def test_spectrum_falls_with_twice_the_exponent(exponent, slope):
    """Power ~ 1/f^2 is the published code, 1/f the paper's words."""
    noise = add_noise(gray(1000, CIFAR), "pink", 0.05, clip=False, amplitude_exponent=exponent) - 0.5
    power = np.mean(np.abs(np.fft.fft2(noise, axes=(1, 2))) ** 2, axis=(0, 3))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(32), np.fft.fftfreq(32)))
    kept = frequency > 0
    fit = stats.linregress(np.log(frequency[kept]), np.log(power[kept]))
    assert fit.slope == pytest.approx(slope, abs=0.02)
    # The paper's two readings are far apart: the fit would tell them from each other by 50 times the tolerance.
    assert fit.stderr < 0.01


@pytest.mark.parametrize("shape", [MNIST, CIFAR], ids=str)
@pytest.mark.parametrize("level", LEVELS)
def test_level_is_the_standard_deviation(shape, level):
    count = 400
    white = add_noise(gray(count, shape), "white", level, clip=False).astype(np.float64) - 0.5
    # 4.5 standard errors of a mean and of a standard deviation.
    assert white.mean() == pytest.approx(0, abs=4.5 * level / math.sqrt(white.size))
    assert white.std() == pytest.approx(level, rel=4.5 / math.sqrt(2 * white.size))
    pink = add_noise(gray(count, shape), "pink", level, clip=False).astype(np.float64) - 0.5
    np.testing.assert_allclose(pink.std(axis=(1, 2)), level, rtol=1e-4)
    np.testing.assert_allclose(pink.mean(axis=(1, 2)), 0, atol=1e-6)


def test_white_noise_is_normal_and_independent():
    noise = add_noise(gray(300, CIFAR), "white", 1.0, clip=False).astype(np.float64) - 0.5
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-3
    assert np.abs(noise).max() > 4
    # Between channels, neighbors, images, and the two halves that one output of the generator is turned into.
    flat = noise.reshape(300, -1)
    half = flat.shape[1] // 2
    pairs = {
        "channels": (noise[..., 0], noise[..., 1]),
        "columns": (noise[:, :, 1:], noise[:, :, :-1]),
        "images": (noise[1:], noise[:-1]),
        "halves": (flat[:, :half], flat[:, half:]),
        "squares of halves": (flat[:, :half] ** 2, flat[:, half:] ** 2),
    }
    for name, (a, b) in pairs.items():
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4.5 / math.sqrt(a.size), name


@pytest.mark.parametrize("shape", [MNIST, CIFAR], ids=str)
@pytest.mark.parametrize("number", range(5))
def test_draws_of_salt_and_pepper(shape, number):
    count, level, draws = 1000, LEVELS[number], DRAWS[shape][number]
    pixels = shape[0] * shape[1]
    once = add_noise(gray(count, shape), "salt_pepper", level, replace=False)
    assert (np.count_nonzero(once[..., 0] != 0.5, axis=(1, 2)) == draws).all()
    repeated = add_noise(gray(count, shape), "salt_pepper", level)
    distinct = np.count_nonzero(repeated[..., 0] != 0.5, axis=(1, 2))
    assert distinct.max() <= draws
    expected = DISTINCT[shape][number]
    assert expected == pytest.approx(1 - (1 - 1 / pixels) ** draws, rel=1e-11)
    assert distinct.mean() / pixels == pytest.approx(
        expected, abs=4.5 * distinct.std() / pixels / math.sqrt(count) + 1e-5
    )
    for noisy in (once, repeated):
        assert set(np.unique(noisy)) == {0.0, 0.5, 1.0}
        assert (noisy == noisy[..., :1]).all()
        hit = noisy[..., 0] != 0.5
        white = np.count_nonzero(noisy[..., 0] == 1)
        assert white / hit.sum() == pytest.approx(0.5, abs=4.5 * 0.5 / math.sqrt(hit.sum()))
        # Every place is hit equally often.
        assert stats.chisquare(hit.sum(axis=0).ravel()).pvalue > 1e-4


def test_the_last_of_several_draws_of_a_pixel_counts():
    """Two pixels and two draws: the outputs say which pixel and which value each draw has."""
    outputs = rng.bits(rng.key(0, "image noise/salt_pepper/1", 0), 2 * 500).reshape(500, 2)
    noisy = add_noise(gray(500, (1, 2, 1)), "salt_pepper", 1.0)
    same = outputs[:, 0] >> np.uint64(63) == outputs[:, 1] >> np.uint64(63)
    conflict = same & (outputs[:, 0] % 2 != outputs[:, 1] % 2)
    assert conflict.sum() > 80
    place = (outputs[conflict, 1] >> np.uint64(63)).astype(int)
    assert (noisy[conflict, 0, place, 0] == outputs[conflict, 1] % 2).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [MNIST, (5, 7, 3)], ids=str)
def test_noise_belongs_to_the_image_not_to_the_batch(kind, shape):
    images = photographs(700, shape)
    whole = add_noise(images, kind, 0.1, seed=3)
    for size in (1, 13, 400):
        starts = range(0, 700, size) if size > 1 else (0, 1, 350, 699)
        for start in starts:
            part = add_noise(images[start : start + size], kind, 0.1, seed=3, first_index=start)
            np.testing.assert_allclose(part, whole[start : start + size], atol=1e-6)
    # And the noise, unlike the clipped sum, does not depend on what the image shows.
    other = add_noise(images[::-1], kind, 0.1, seed=3, clip=False) - images[::-1] / np.float32(255)
    if kind != "salt_pepper":
        noise = add_noise(images, kind, 0.1, seed=3, clip=False) - images / np.float32(255)
        np.testing.assert_allclose(other, noise, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_each_name_has_its_own_realization(kind):
    names = [(0.1, 0, 0), (0.2, 0, 0), (0.1, 1, 0), (0.1, 0, 1)]
    images = gray(50, CIFAR)
    noises = {}
    for level, seed, repetition in names:
        noise = add_noise(images, kind, level, seed=seed, repetition=repetition, clip=False) - 0.5
        np.testing.assert_array_equal(
            noise, add_noise(images, kind, level, seed=seed, repetition=repetition, clip=False) - 0.5
        )
        noises[level, seed, repetition] = noise
    first = noises.pop(names[0]).ravel()
    for name, noise in noises.items():
        assert abs(np.corrcoef(first, noise.ravel())[0, 1]) < 0.05, name
    images_apart = first.reshape(50, -1)
    assert len(np.unique(images_apart, axis=0)) == 50


def test_extreme_bits_give_finite_noise(monkeypatch):
    extremes = np.array([0, 2**64 - 1], dtype=np.uint64)
    monkeypatch.setattr(rng, "bits", lambda stream, count, *, offset=0: np.resize(extremes, count))
    noise = add_noise(gray(1, (2, 2, 1)), "white", 1.0, clip=False) - 0.5
    assert np.isfinite(noise).all() and noise.max() == pytest.approx(math.sqrt(66 * math.log(2)), rel=1e-6)
    assert set(np.unique(add_noise(gray(1, (2, 2, 1)), "salt_pepper", 1.0))) == {0.0, 0.5, 1.0}


def test_kinds_have_their_own_realization():
    white, pink = (add_noise(gray(100, CIFAR), kind, 0.1, clip=False) - 0.5 for kind in ("white", "pink"))
    assert abs(np.corrcoef(white.ravel(), pink.ravel())[0, 1]) < 0.02


def test_level_is_read_to_six_digits():
    images = gray(2, MNIST)
    for kind in KINDS:
        np.testing.assert_allclose(
            add_noise(images, kind, float(np.float32(0.1))), add_noise(images, kind, 0.1), atol=1e-6
        )


@pytest.mark.parametrize("kind", KINDS)
def test_order_in_memory_does_not_matter(kind):
    images = photographs(3, (5, 7, 3))
    for pixels in (images, images / np.float32(255)):
        found = add_noise(np.asfortranarray(pixels), kind, 0.2)
        np.testing.assert_array_equal(found, add_noise(pixels, kind, 0.2))


@pytest.mark.parametrize("kind", KINDS)
def test_result_is_clipped_unless_told_otherwise_and_the_input_is_kept(kind):
    images = np.concatenate([np.zeros((20, *MNIST), np.uint8), np.full((20, *MNIST), 255, np.uint8)])
    before = images.copy()
    free = add_noise(images, kind, 0.2, clip=False)
    clipped = add_noise(images, kind, 0.2)
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(clipped, np.clip(free, 0, 1))
    assert (free.min() < 0) == (free.max() > 1) == (kind != "salt_pepper")
    floating = (images / 255).astype(np.float32)
    result = add_noise(floating, kind, 0.2)
    np.testing.assert_array_equal(result, clipped)
    assert not np.shares_memory(result, floating) and floating.max() == 1
    np.testing.assert_allclose(add_noise(images / 255, kind, 0.2), clipped, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_no_noise_and_no_images(kind):
    images = photographs(3, CIFAR)
    np.testing.assert_array_equal(add_noise(images, kind, 0.0), images / np.float32(255))
    assert add_noise(images[:0], kind, 0.1).shape == (0, *CIFAR)


def test_all_pixels_of_salt_and_pepper():
    assert set(np.unique(add_noise(gray(5, MNIST), "salt_pepper", 1.0, replace=False))) == {0.0, 1.0}
    # 0.29 * 100 is 28.999999999999996 in binary.
    hit = add_noise(gray(5, (10, 10, 1)), "salt_pepper", 0.29, replace=False) != 0.5
    assert hit.sum(axis=(1, 2, 3)).tolist() == [29] * 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "poisson"}, "kind: expected one of white, pink, salt_pepper, found 'poisson'"),
        ({"level": -0.1}, "level: for white noise expected a finite number, 0 or more, found -0.1"),
        ({"level": math.nan}, "level: "),
        ({"kind": "salt_pepper", "level": 1.5}, "a share of the pixels, 0 to 1, found 1.5"),
        ({"images": np.zeros((28, 28, 1), np.uint8)}, r"images: .*found shape \(28, 28, 1\)"),
        ({"images": np.zeros((2, 0, 28, 1), np.uint8)}, "images: .*found shape"),
        ({"images": np.zeros((1, 4, 4, 1), np.int64)}, "found dtype int64; convert pixels of 0 to 255 to uint8"),
        ({"images": np.full((1, 4, 4, 1), 2.0)}, "found values from 2.0 to 2.0; add noise, then normalize"),
        ({"images": np.full((1, 4, 4, 1), np.nan)}, "found values from nan"),
        ({"images": np.zeros((1, 1, 1, 3), np.uint8), "kind": "pink"}, "at least 2 pixels"),
        ({"kind": "pink", "amplitude_exponent": math.inf}, "amplitude_exponent: expected a finite number, found inf"),
        ({"repetition": -1}, "repetition: expected 0 or more, found -1"),
        ({"first_index": -1}, "first_index: expected 0 or more, found -1"),
    ],
)
def test_refuses(change, message):
    arguments = {"images": photographs(2, MNIST), "kind": "white", "level": 0.1, **change}
    images, kind, level = (arguments.pop(name) for name in ("images", "kind", "level"))
    with pytest.raises(TopoRepError, match=message):
        add_noise(images, kind, level, **arguments)


def test_pink_noise_refuses_integers():
    with pytest.raises(TopoRepError, match="white: expected floating point"):
        pink_noise(np.ones((4, 4), dtype=np.int64))
