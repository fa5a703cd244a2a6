from __future__ import annotations

import numpy as np
import pytest
import reference_metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from toporep.errors import TopoRepError
from toporep.metrics.correlations import (
    correlation_edges,
    correlation_histogram,
    correlation_statistics,
    neighbor_correlations,
    pair_correlations,
)
from toporep.sheet import moore_pairs

GRID = (11, 11)


def formula_weight(name: str) -> np.ndarray:
    u, k = np.arange(121.0)[:, None], np.arange(64.0)
    if name == "b":
        return np.sin(0.1 * u + 0.37 * k) + 0.5 * np.cos(0.013 * (u + 1) * (k + 1))
    return 0.05 * np.sin(1.7 * u + 0.9 * k + 0.31 * u * k)


def formula_activations() -> np.ndarray:
    n = np.arange(200.0)[:, None]
    i, j = np.divmod(np.arange(121), 11)
    return np.sin(0.9 * n + 0.25 * i) + 0.8 * np.cos(0.47 * n * (1 + j % 3)) + 0.6 * np.sin(0.31 * n * n + 0.5 * j)


def random_activations(seed: int, shape: tuple[int, ...] = (40, 12)) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(size=shape) + 0.7 * generator.normal(size=(*shape[:-1], 1))


# Weights; R at units 0, 5, 60, 120; mean, population SD, least, greatest; shares > 0.5 and < 0; mean over pairs.
PUBLISHED = {
    "b": (
        [0.609649423104, 0.65972597764, 0.511493883522, 0.534634064499],
        [0.533642391152, 0.0582960391103, 0.426721878651, 0.687003814522],
        [0.776859504132, 0.0],
        0.528592025948,
    ),
    "c": (
        [-0.00797771541979, -0.00253566479808, -0.00410443379602, -0.00496765899516],
        [-0.00296323015698, 0.0379772823558, -0.175436444395, 0.134631069356],
        [0.0, 0.702479338843],
        -0.00207925583954,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_weights_by_the_papers_definition(name):
    of_units, moments, shares, of_pairs = PUBLISHED[name]
    weight = formula_weight(name)
    found = neighbor_correlations(weight, GRID, units="rows")
    np.testing.assert_allclose(found[[0, 5, 60, 120]], of_units, atol=1e-11)
    np.testing.assert_allclose([found.mean(), found.std(), found.min(), found.max()], moments, atol=1e-11)
    statistics = correlation_statistics(found)
    np.testing.assert_allclose([statistics.above[0], statistics.negative], shares, atol=1e-12)
    # A pair at the border weighs more in the mean over units than in the mean over adjacent pairs.
    first, second = moore_pairs(GRID).T
    assert np.corrcoef(weight)[first, second].mean() == pytest.approx(of_pairs, abs=1e-11)


def test_activations_by_the_papers_definition():
    activations = formula_activations()
    found = neighbor_correlations(activations, GRID)
    expected = [0.756170951464, 0.701832876544, 0.752962068639, 0.772276150177]
    np.testing.assert_allclose(found[[0, 5, 60, 120]], expected, atol=1e-11)
    assert [found.mean(), found.std()] == pytest.approx([0.742958390182, 0.0245317140341], abs=1e-11)
    pairs = pair_correlations(activations)
    assert pairs.shape == (7260,) and pairs.mean() == pytest.approx(0.378719216075, abs=1e-11)
    assert correlation_statistics(pairs).above[:2] == pytest.approx([0.387052341598, 0.0287878787879], abs=1e-12)
    # With 20 bins the last one is r > 0.9.
    assert correlation_histogram(pairs, 20)[-1] == round(0.0287878787879 * 7260) == 209


@pytest.mark.parametrize("grid", [(3, 4), (1, 12), (12, 1), (2, 6)])
def test_agrees_with_loops_over_neighbors(grid):
    activations = random_activations(1)
    activations[:, 5] = 0.3
    expected = []
    for unit in range(12):
        row, col = divmod(unit, grid[1])
        near = [
            reference.pearson(activations[:, unit], activations[:, r * grid[1] + c])
            for r in range(max(0, row - 1), min(grid[0], row + 2))
            for c in range(max(0, col - 1), min(grid[1], col + 2))
            if (r, c) != (row, col)
        ]
        expected.append(sum(near) / len(near))
    np.testing.assert_allclose(neighbor_correlations(activations, grid), expected, atol=1e-13)


def test_pairs_agree_with_scipy():
    vectors = random_activations(2).astype(np.float32)
    expected = 1 - pdist(vectors.T.astype(float), "correlation")
    np.testing.assert_allclose(pair_correlations(vectors), expected, atol=1e-13)
    np.testing.assert_allclose(pair_correlations(vectors.T, units="rows"), expected, atol=1e-13)


def test_dead_unit_correlates_with_nothing():
    activations = np.random.default_rng(3).normal(size=(50, 1)) * np.ones(9)
    assert neighbor_correlations(activations, (3, 3)) == pytest.approx(np.ones(9))
    activations[:, 4] = 0.1
    # Of the neighbors of a corner (3) and of an edge (5) one is dead; the center is dead itself.
    expected = [2 / 3, 4 / 5, 2 / 3, 4 / 5, 0, 4 / 5, 2 / 3, 4 / 5, 2 / 3]
    assert neighbor_correlations(activations, (3, 3)) == pytest.approx(expected)
    pairs = pair_correlations(activations)
    assert np.count_nonzero(pairs == 0) == 8 and correlation_statistics(pairs).above[0] == pytest.approx(28 / 36)


def test_stripes():
    """Columns of alternating sign: a unit inside agrees with 2 of its 8 neighbors and opposes 6."""
    signs = (-1.0) ** (np.arange(121) % 11)
    found = neighbor_correlations(np.linspace(0, 1, 30)[:, None] * signs, GRID).reshape(GRID)
    np.testing.assert_allclose(found[1:-1, 1:-1], -4 / 8)
    np.testing.assert_allclose(found[1:-1, [0, -1]], -1 / 5)
    np.testing.assert_allclose(found[[0, -1], 1:-1], -3 / 5)
    np.testing.assert_allclose(found[[0, 0, -1, -1], [0, -1, 0, -1]], -1 / 3)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6))
def test_invariances(seed):
    grid, activations = (3, 4), random_activations(seed)
    expected = neighbor_correlations(activations, grid).reshape(grid)
    assert np.abs(expected).max() <= 1
    generator = np.random.default_rng(seed + 1)
    sheet = activations.reshape(-1, *grid)
    scaled = activations * generator.uniform(0.1, 10, 12) + generator.normal(size=12)
    for changed, changed_grid, same in [
        (generator.permutation(activations), grid, expected),
        (scaled, grid, expected),
        (sheet[:, ::-1].reshape(-1, 12), grid, expected[::-1]),
        (sheet[:, :, ::-1].reshape(-1, 12), grid, expected[:, ::-1]),
        (sheet.transpose(0, 2, 1).reshape(-1, 12), (4, 3), expected.T),
    ]:
        found = neighbor_correlations(changed, changed_grid).reshape(changed_grid)
        np.testing.assert_allclose(found, same, atol=1e-12)


def test_batch_is_the_models_one_by_one():
    models = random_activations(4, (2, 3, 40, 12)).astype(np.float32)
    near, pairs = neighbor_correlations(models, (3, 4)), pair_correlations(models)
    assert near.shape == (2, 3, 12) and pairs.shape == (2, 3, 66) and near.dtype == pairs.dtype == np.float64
    np.testing.assert_array_equal(near[1, 2], neighbor_correlations(models[1, 2], (3, 4)))
    np.testing.assert_array_equal(pairs[1, 2], pair_correlations(models[1, 2]))
    rows = neighbor_correlations(np.swapaxes(models, -1, -2), (3, 4), units="rows")
    np.testing.assert_allclose(rows, near, atol=1e-13)
    statistics, counts = correlation_statistics(pairs), correlation_histogram(pairs)
    assert statistics.median.shape == (2, 3) and statistics.above.shape == (2, 3, 4) and counts.shape == (2, 3, 100)
    np.testing.assert_array_equal(statistics.above[1, 0], correlation_statistics(pairs[1, 0]).above)
    np.testing.assert_array_equal(counts[1, 0], correlation_histogram(pairs[1, 0]))
    # Counts of models add up to those of the pooled values.
    np.testing.assert_array_equal(counts.sum(axis=(0, 1)), correlation_histogram(pairs.ravel()))


def test_statistics_of_known_values():
    values = np.array([-0.5, 0.0, 0.5, 0.9, 0.95, 0.99, 1.0, 1.0])
    statistics = correlation_statistics(values)
    assert statistics.median == pytest.approx(0.925) and statistics.negative == 1 / 8
    # Thresholds must be exceeded: 0.5 is not above 0.5.
    assert statistics.above.tolist() == [5 / 8, 4 / 8, 3 / 8, 2 / 8]
    assert correlation_statistics(values, thresholds=[-1.0, 1.0]).above.tolist() == [1.0, 0.0]
    assert correlation_statistics(values.astype(np.float32)).median.dtype == np.float64


def test_edges_are_the_decimal_numbers():
    assert correlation_edges(20).tolist() == [round(0.1 * k, 1) for k in range(-10, 11)]
    assert correlation_edges(3).tolist() == [-1, -1 / 3, 1 / 3, 1]
    assert len(correlation_edges()) == 101


@pytest.mark.parametrize("bins", [1, 2, 7, 20, 100])
def test_histogram_counts_above_an_edge_are_those_that_exceed_it(bins):
    edges = correlation_edges(bins)
    # Every edge itself is among the values.
    values = np.concatenate([np.random.default_rng(5).uniform(-1, 1, 3000), edges, np.zeros(4)])
    counts = correlation_histogram(values, bins)
    assert counts.dtype == np.int64 and counts.sum() == len(values)
    above = [np.count_nonzero(values > edge) for edge in edges[1:]]
    np.testing.assert_array_equal(len(values) - np.cumsum(counts), above)
    # numpy.histogram closes its bins on the left: reflected, the same.
    np.testing.assert_array_equal(counts[::-1], np.histogram(-values, -edges[::-1])[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: neighbor_correlations(np.eye(6), (2, 4)), "found 6 columns for a sheet of 2 x 4"),
        (lambda: neighbor_correlations(np.ones((6, 5)), (1, 5), units="rows"), "found 6 rows for a sheet of 1 x 5"),
        (lambda: neighbor_correlations(np.ones((6, 1)), (1, 1)), "a sheet of at least 2, found 1 columns"),
        (lambda: neighbor_correlations(np.eye(6), (2, 0)), "grid: expected"),
        (lambda: neighbor_correlations(np.eye(6), (2, 3), units="units"), "units: expected one of columns, rows"),
        (lambda: pair_correlations(np.eye(6), units="axis"), "units: expected one of columns, rows"),
        (lambda: pair_correlations(np.ones((1, 6))), "at least 2 values a unit, found 1"),
        (lambda: pair_correlations(np.ones((6, 1)), units="rows"), "at least 2 values a unit, found 1"),
        (lambda: pair_correlations(np.ones((6, 1))), "at least 2 units"),
        (lambda: pair_correlations(np.full((4, 3), np.nan)), "vectors: .*values, units.*NaN"),
        (lambda: pair_correlations(np.ones(4), units="rows"), "vectors: .*units, values"),
        (lambda: correlation_statistics([0.5, 1.5]), "correlations: expected -1 to 1, found 0.5 to 1.5"),
        (lambda: correlation_statistics([]), "correlations: "),
        (lambda: correlation_statistics([0.5], thresholds=[[0.5]]), "thresholds: expected one list"),
        (lambda: correlation_histogram([-1.5, 0.5]), "correlations: expected -1 to 1"),
        (lambda: correlation_histogram([np.nan]), "correlations: .*NaN"),
        (lambda: correlation_histogram([0.5], 0), "bins: expected an integer of at least 1, found 0"),
        (lambda: correlation_edges(2.5), "bins: expected an integer of at least 1, found 2.5"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(TopoRepError, match=message):
        call()
