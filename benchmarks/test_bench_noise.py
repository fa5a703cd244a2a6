"""Speed of the noise kernels, as ratios to the same work done in loops, measured in the same run on one thread.

`OMP_NUM_THREADS=1 python -m pytest -s benchmarks/test_bench_noise.py`
"""

from __future__ import annotations

import random

import numpy as np
import pytest
from timing import peak_megabytes, seconds

from toporep.metrics.weight_noise import weight_noise_draws, weight_noise_robustness
from toporep.stimuli.noise import KINDS, add_noise

IMAGES, UNITS, CLASSES, REPETITIONS = 10_000, 121, 10, 100
ABSOLUTE, RELATIVE = (0.05, 0.1, 0.2, 0.3), (0.25, 0.5, 1.0, 2.0)
SHAPES = {"MNIST": (28, 28, 1), "CIFAR-10": (32, 32, 3)}


def loop_over_images(images: np.ndarray, kind: str, level: float, generator: np.random.Generator) -> np.ndarray:
    """The published code's algorithm: white noise at once, the others image by image."""
    noisy = images.astype(np.float32) / 255
    count, rows, cols, channels = images.shape
    if kind == "white":
        return np.clip(noisy + level * generator.standard_normal(noisy.shape, dtype=np.float32), 0, 1)
    for image in noisy:
        if kind == "salt_pepper":
            for _ in range(int(rows * cols * level)):
                row, col = random.randint(0, rows - 1), random.randint(0, cols - 1)
                image[row, col, :] = random.randint(0, 1)
            continue
        for channel in range(channels):
            spectrum = np.fft.fft2(generator.standard_normal((rows, cols)))
            frequency = np.sqrt(np.fft.fftfreq(rows)[:, None] ** 2 + np.fft.fftfreq(cols)[None, :] ** 2)
            frequency[0, 0] = 1
            field = np.real(np.fft.ifft2(spectrum / frequency))
            image[:, :, channel] += level * (field - field.mean()) / field.std()
    return np.clip(noisy, 0, 1)


@pytest.mark.parametrize("name", SHAPES)
def test_noise_on_10000_images(name):
    generator, level = np.random.default_rng(0), 0.2
    images = generator.integers(0, 256, (IMAGES, *SHAPES[name]), dtype=np.uint8)
    timed = {"white": 2000, "pink": 200, "salt_pepper": 100}
    floors = {"white": 0.5, "pink": 5, "salt_pepper": 20}
    print()
    for kind in KINDS:
        kernel = seconds(lambda kind=kind: add_noise(images, kind, level), repeats=5)
        part = images[: timed[kind]]
        loop = seconds(lambda kind=kind, part=part: loop_over_images(part, kind, level, generator))
        ratio = IMAGES / len(part) * loop / kernel
        extra = peak_megabytes(lambda kind=kind: add_noise(images, kind, level)) - 4e-6 * images.size
        print(
            f"{kind} noise, {IMAGES} images of {name}: {kernel:.3f} s, {extra:.0f} MB besides the result; "
            f"{ratio:.1f} times as fast as the published code's algorithm ({len(part)} images timed, scaled)"
        )
        assert ratio > floors[kind]
        assert extra < 50


def test_weight_noise_of_one_model():
    generator = np.random.default_rng(1)
    centers = generator.normal(size=(CLASSES, UNITS))
    labels = generator.integers(0, CLASSES, IMAGES)
    activations = np.maximum(centers[labels] + 2 * generator.normal(size=(IMAGES, UNITS)), 0).astype(np.float32)
    weight, bias = (0.1 * centers).astype(np.float32), np.zeros(CLASSES, dtype=np.float32)
    modes = ["absolute"] * len(ABSOLUTE) + ["relative"] * len(RELATIVE)

    def kernel():
        return weight_noise_robustness(activations, weight, bias, labels, ABSOLUTE + RELATIVE, mode=modes)

    found = kernel()
    draws = weight_noise_draws(weight.shape, REPETITIONS).astype(np.float32)
    upper = np.triu_indices(CLASSES, k=1)
    clean = np.corrcoef(weight)[upper]
    timed = 25

    def loop():
        accuracy, similarity = np.zeros((2, len(found.noise_sd), timed))
        for level, sd in enumerate(found.noise_sd.astype(np.float32)):
            for draw in range(timed):
                noisy = weight + sd * draws[draw]
                accuracy[level, draw] = np.mean(np.argmax(activations @ noisy.T + bias, axis=1) == labels)
                triangle = np.corrcoef(noisy)[upper]
                similarity[level, draw] = triangle @ clean / np.linalg.norm(triangle) / np.linalg.norm(clean)
        return accuracy.mean(axis=1), similarity.mean(axis=1)

    few = weight_noise_robustness(activations, weight, bias, labels, ABSOLUTE + RELATIVE, mode=modes, repetitions=timed)
    for expected, values in zip(loop(), (few.accuracy, few.similarity), strict=True):
        np.testing.assert_allclose(values, expected, atol=1e-5)
    taken = seconds(kernel, repeats=5)
    ratio = REPETITIONS / timed * seconds(loop) / taken
    megabytes = peak_megabytes(kernel)
    print(
        f"\nweight noise, {IMAGES} x {UNITS}, {len(modes)} levels x {REPETITIONS} draws: {taken:.3f} s and "
        f"{megabytes:.0f} MB a model; {ratio:.1f} times as fast as a loop over draws ({timed} timed, scaled)"
    )
    assert taken < 2
    assert ratio > 3
    assert megabytes < 300
