"""Embedded demo data: deterministic, complete, and split without overlap."""

from __future__ import annotations

import numpy as np
import pytest
from data_files import output_of

from toporep.data import digits, load_registry, obtain
from toporep.data.digits import resample
from toporep.data.images import GENERATED
from toporep.data.objects import generate
from toporep.errors import TopoRepError

SHAPES = {"digits": (28, 28, 1), "digits_small": (14, 14, 1), "objects": (32, 32, 3)}


@pytest.fixture(scope="module")
def generated():
    return {name: obtain(name) for name in SHAPES}


@pytest.mark.parametrize("name", SHAPES)
def test_sizes_types_and_classes(generated, name):
    data, entry = generated[name], load_registry().source(name)
    assert data.images_train.shape == (entry.parameters["train"], *SHAPES[name])
    assert data.images_test.shape == (entry.parameters["test"], *SHAPES[name])
    assert data.images_train.dtype == np.uint8
    assert data.recognised_as == GENERATED
    for labels in (data.label_train, data.label_test):
        counts = np.bincount(labels, minlength=10)
        assert len(counts) == 10
        # Stratified: no class is 10 % away from its share.
        np.testing.assert_allclose(counts, len(labels) / 10, rtol=0.1)


@pytest.mark.parametrize("name", SHAPES)
def test_no_image_is_in_both_splits(generated, name):
    data = generated[name]
    train = {image.tobytes() for image in data.images_train}
    assert not train & {image.tobytes() for image in data.images_test}


@pytest.mark.parametrize("name", SHAPES)
def test_same_bytes_in_another_process(generated, name):
    code = f"from toporep.data import obtain; print(obtain({name!r}).data_sha256)"
    assert output_of(code) == generated[name].data_sha256


def test_small_digits_are_means_of_the_large_ones(generated):
    large, small = generated["digits"], generated["digits_small"]
    np.testing.assert_array_equal(small.label_test, large.label_test)
    means = large.images_test.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(small.images_test[..., 0], means, atol=0.5)
    with pytest.raises(TopoRepError, match="digits: size: expected a divisor of 28, found 13"):
        digits.generate(train=10, test=10, seed=0, size=13)


def test_object_image_depends_on_seed_and_index_only(generated):
    full = generated["objects"]
    few, _ = generate(train=23, test=7, seed=0)
    np.testing.assert_array_equal(few[0], full.images_train[:23])
    np.testing.assert_array_equal(few[2], full.images_train[23:30])
    other, _ = generate(train=23, test=7, seed=1)
    assert not (few[0] == other[0]).all(axis=(1, 2, 3)).any()


def test_object_classes_can_be_told_apart_but_not_by_color_alone(generated):
    """A ridge classifier on pixels beats chance (10 %) and one on the mean color stays far below it."""
    data = generated["objects"]
    train = data.images_train.reshape(len(data.label_train), -1) / 255.0
    test = data.images_test.reshape(len(data.label_test), -1) / 255.0
    pixels = ridge_accuracy(train, data.label_train, test, data.label_test)
    means = [x.reshape(len(x), -1, 3).mean(axis=1) for x in (train, test)]
    color = ridge_accuracy(means[0], data.label_train, means[1], data.label_test)
    assert 0.3 < pixels < 0.95
    assert color < 0.35


def ridge_accuracy(train, labels, test, truth) -> float:
    mean = train.mean(axis=0)
    x, y = train - mean, np.eye(10)[labels]
    weights = np.linalg.solve(x.T @ x + 10.0 * np.eye(x.shape[1]), x.T @ y)
    return float((((test - mean) @ weights).argmax(axis=1) == truth).mean())


def test_digits_are_scikit_learns_digits_enlarged(generated):
    """Averaging the enlarged ink over the cells of the 8 x 8 grid gives back the original pattern."""
    original = pytest.importorskip("sklearn.datasets").load_digits()
    box = resample(original.images)[:, 4:24, 4:24, 0].astype(float)
    # 20 pixels over 8 cells of 2.5: repeat each pixel twice to make cells of 5.
    fine = box.repeat(2, axis=1).repeat(2, axis=2).reshape(-1, 8, 5, 8, 5).mean(axis=(2, 4))
    correlation = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(fine, original.images, strict=True)]
    assert min(correlation) > 0.85
    data = generated["digits"]
    assert sorted([*data.label_train, *data.label_test]) == sorted(original.target)


def test_enlarging_keeps_symmetry():
    images = np.random.default_rng(0).integers(0, 17, (5, 8, 8)).astype(float)
    np.testing.assert_array_equal(resample(images[:, ::-1]), resample(images)[:, ::-1])
    np.testing.assert_array_equal(resample(images.transpose(0, 2, 1)), resample(images).transpose(0, 2, 1, 3))
    assert resample(np.zeros((1, 8, 8))).max() == 0
    # Full ink everywhere saturates away from the border of the box.
    assert (resample(np.full((1, 8, 8), 16.0))[0, 8:20, 8:20] == 255).all()
