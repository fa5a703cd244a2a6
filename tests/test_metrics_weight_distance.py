from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from toporep.errors import TopoRepError
from toporep.losses.topographic import topographic_loss
from toporep.metrics.weight_distance import neighbor_distance, weight_norms
from toporep.sheet import moore_pairs

# Grid, inputs and loss of the published code, of weights sin(0.1 i + 0.37 j + 0.05 i j) of unit i and input j.
PUBLISHED = [
    ((4, 4), 5, 0.959773433606),
    ((3, 4), 4, 0.686904271176),
    ((2, 3), 3, 0.364252359625),
    ((1, 7), 3, 0.155138090884),
    ((16, 16), 8, 2.2157771635),
]


def waves(units: int, inputs: int, product: float = 0.05) -> np.ndarray:
    i, j = np.arange(units)[:, None], np.arange(inputs)
    return np.sin(0.1 * i + 0.37 * j + product * i * j)


def random_weights(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize(("grid", "inputs", "loss"), PUBLISHED)
def test_value_of_the_published_code(grid, inputs, loss):
    assert neighbor_distance(waves(grid[0] * grid[1], inputs), grid) == pytest.approx(loss, abs=1e-11)


def test_values_of_the_published_code_at_full_size():
    assert neighbor_distance(waves(256, 512, 0.0), (16, 16)) == pytest.approx(17.4293982277, abs=1e-9)
    assert weight_norms(0.05 * waves(256, 512)).mean() == pytest.approx(0.799547680034, abs=1e-11)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("grid", [(16, 16), (3, 5), (1, 4)])
def test_agrees_with_the_loss_that_is_trained(metric, grid):
    weights = random_weights((2, grid[0] * grid[1], 7))
    expected = topographic_loss(torch.from_numpy(weights), grid, metric=metric).numpy()
    np.testing.assert_allclose(neighbor_distance(weights, grid, metric), expected, rtol=1e-12)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_agrees_with_scipy_over_the_930_pairs(metric):
    weights = random_weights((256, 12)).astype(np.float32)
    pairs = moore_pairs((16, 16))
    assert len(pairs) == 930
    distances = cdist(weights.astype(np.float64), weights.astype(np.float64), metric)
    assert neighbor_distance(weights, (16, 16), metric) == pytest.approx(distances[tuple(pairs.T)].mean(), rel=1e-12)


def test_shrinking_all_weights_lowers_the_euclidean_distance_alone():
    weights = random_weights((20, 6))
    for scale in (1e-200, 1e-3, 10.0):
        scaled = neighbor_distance(scale * weights, (4, 5))
        # The square of the smallest is not a number any more.
        assert scale < 1e-100 or scaled == pytest.approx(scale * neighbor_distance(weights, (4, 5)), rel=1e-12)
        cosine = neighbor_distance(weights, (4, 5), "cosine")
        assert neighbor_distance(scale * weights, (4, 5), "cosine") == pytest.approx(cosine, rel=1e-12)


def test_cosine_distance_of_nearly_equal_directions_keeps_its_digits():
    """Directions that differ by an angle of 1e-9: 1 - cosine is 5e-19, below the rounding of the cosine itself."""
    angle = 1e-9 * (np.arange(6) % 2)
    weights = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    different = [(a - b) % 2 for a, b in moore_pairs((2, 3))]
    expected = 5e-19 * np.mean(different)
    assert neighbor_distance(weights, (2, 3), "cosine") == pytest.approx(expected, rel=1e-6)


def test_random_directions_are_a_right_angle_apart():
    weights = random_weights((256, 512))
    assert neighbor_distance(weights, (16, 16), "cosine") == pytest.approx(1, abs=0.005)
    # PyTorch's initial weights have length 1 / sqrt(3), so neighbors are sqrt(2 / 3) apart.
    initial = np.random.default_rng(1).uniform(-1, 1, (256, 512)) / np.sqrt(512)
    assert weight_norms(initial).mean() == pytest.approx(1 / np.sqrt(3), abs=0.002)
    assert neighbor_distance(initial, (16, 16)) == pytest.approx(np.sqrt(2 / 3), abs=0.005)


def test_equal_neighbors_are_at_distance_0():
    for metric in ("euclidean", "cosine"):
        assert neighbor_distance(np.full((16, 3), 0.1), (4, 4), metric) == 0


def test_unit_without_weights_has_no_direction():
    weights = np.tile([1.0, 0.0], (4, 1))
    weights[3] = 0
    # On 2 x 2 units all six pairs are neighbors, three of them with unit 3.
    assert neighbor_distance(weights, (2, 2), "cosine") == pytest.approx(3 * 0.5 / 6)
    assert neighbor_distance(np.zeros((4, 2)), (2, 2), "cosine") == 0


def test_distance_sees_who_is_neighbor_but_not_a_reflection():
    sheet = np.cumsum(random_weights((4, 6, 3)), axis=0)
    smooth = neighbor_distance(sheet.reshape(24, 3), (4, 6))
    for moved in (sheet[::-1], sheet[:, ::-1]):
        assert neighbor_distance(moved.reshape(24, 3), (4, 6)) == pytest.approx(smooth, rel=1e-14)
    assert neighbor_distance(sheet.swapaxes(0, 1).reshape(24, 3), (6, 4)) == pytest.approx(smooth, rel=1e-14)
    shuffled = np.random.default_rng(2).permutation(sheet.reshape(24, 3))
    assert neighbor_distance(shuffled, (4, 6)) > 1.1 * smooth


def test_batch_is_the_models_one_by_one():
    weights = random_weights((2, 3, 12, 4))
    for metric in ("euclidean", "cosine"):
        together = neighbor_distance(weights, (3, 4), metric)
        assert together.shape == (2, 3) and together[1, 2] == neighbor_distance(weights[1, 2], (3, 4), metric)
    assert weight_norms(weights).shape == (2, 3, 12)
    np.testing.assert_allclose(weight_norms(weights) ** 2, np.vecdot(weights, weights), rtol=1e-14)


@pytest.mark.parametrize(
    ("weights", "grid", "metric", "message"),
    [
        (np.ones((12, 2)), (4, 4), "euclidean", r"a sheet of 4 x 4 has 16 units, found 12 in shape \(12, 2\)"),
        (np.ones((1, 2)), (1, 1), "euclidean", "at least 2 units"),
        (np.ones((4, 2)), (2, 2), "manhattan", "metric: expected one of euclidean, cosine, found 'manhattan'"),
        (np.full((4, 2), np.nan), (2, 2), "cosine", "weights: .*NaN or infinite"),
        (np.ones(4), (2, 2), "cosine", "units, inputs"),
    ],
)
def test_refuses(weights, grid, metric, message):
    with pytest.raises(TopoRepError, match=message):
        neighbor_distance(weights, grid, metric)
