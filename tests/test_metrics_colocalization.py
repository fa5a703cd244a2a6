from __future__ import annotations

import itertools

import numpy as np
import pytest
import reference_metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from toporep.errors import TopoRepError
from toporep.metrics import (
    chance_distance,
    colocalization_distance,
    colocalization_null,
    share_correlated,
    unit_correlations,
)

GRID = (11, 11)
# alpha: pairs, mean distance, mean of per-unit means, full matrix with self-pairs.
PUBLISHED = {
    0.1: (5918, 5.03898809475, 5.07091887545, 4.98799557494),
    0.5: (2810, 3.77857220792, 3.81844460291, 3.69893325353),
    0.6: (1943, 3.54793798029, 3.59542502471, 3.44080034724),
    0.8: (579, 2.74217900828, 2.71770354646, 2.48275472368),
}


def formula_activations() -> np.ndarray:
    n = np.arange(200.0)[:, None]
    i, j = np.divmod(np.arange(121), 11)
    return np.sin(0.9 * n + 0.25 * i) + 0.8 * np.cos(0.47 * n * (1 + j % 3)) + 0.6 * np.sin(0.31 * n * n + 0.5 * j)


def random_activations(seed: int, grid: tuple[int, int], stimuli: int = 40) -> np.ndarray:
    generator = np.random.default_rng(seed)
    units = grid[0] * grid[1]
    return generator.normal(size=(stimuli, 3)) @ generator.normal(size=(3, units)) + 0.5 * generator.normal(
        size=(stimuli, units)
    )


@pytest.mark.parametrize("alpha", PUBLISHED)
def test_values_of_the_papers_definition(alpha):
    pairs, of_pairs, of_units, with_self = PUBLISHED[alpha]
    activations = formula_activations()
    result = colocalization_distance(activations, GRID, [alpha])
    assert result.pairs.tolist() == [pairs]
    assert result.distance[0] == pytest.approx(of_pairs, abs=1e-10)
    assert colocalization_distance(activations, GRID, [alpha], average="units").distance[0] == pytest.approx(
        of_units, abs=1e-10
    )
    assert colocalization_distance(activations, GRID, [alpha], include_self=True).distance[0] == pytest.approx(
        with_self, abs=1e-10
    )
    # No correlation of this example comes within 3e-5 of a threshold, so > and >= agree.
    assert colocalization_distance(activations, GRID, [alpha], inclusive=True).pairs.tolist() == [pairs]


def test_chance_on_the_papers_sheet():
    assert chance_distance(GRID) == pytest.approx(5.75854527168, abs=1e-10)
    assert chance_distance(GRID, include_self=True) == pytest.approx(5.71095398844, abs=1e-10)
    # The same group's later paper, with a sheet of 16 x 16, reports 8.3 for the control.
    assert chance_distance((16, 16)) == pytest.approx(8.359, abs=5e-4)


def test_all_pairs_correlated_gives_chance():
    activations = np.arange(6.0)[:, None] * np.linspace(1, 2, 121)
    result = colocalization_distance(activations, GRID, [0.9])
    assert result.pairs.tolist() == [7260]
    assert result.distance[0] == pytest.approx(chance_distance(GRID), rel=1e-12)


@pytest.mark.parametrize("average", ["pairs", "units"])
@pytest.mark.parametrize("include_self", [False, True])
def test_agrees_with_loops(average, include_self):
    grid, options = (3, 4), {"average": average, "include_self": include_self}
    activations = random_activations(1, grid)
    activations[:, 5] = 0.3
    thresholds = [-0.2, 0.1, 0.6, 0.95]
    result = colocalization_distance(activations, grid, thresholds, **options)
    for index, alpha in enumerate(thresholds):
        # A self-pair of a dead unit has r = 0; the loop never links it, so compare where 0 does not pass.
        if include_self and alpha < 0:
            continue
        distance, pairs = reference.colocalization(activations, grid, alpha, **options)
        assert result.distance[index] == pytest.approx(distance, rel=1e-12, nan_ok=True)
        assert result.pairs[index] == pairs


def test_correlations_agree_with_numpy_and_scipy():
    activations = random_activations(2, (5, 5)).astype(np.float32)
    r = unit_correlations(activations)
    np.testing.assert_allclose(r, np.corrcoef(activations.astype(float), rowvar=False), atol=1e-13)
    np.testing.assert_allclose(
        r[np.triu_indices(25, 1)], 1 - pdist(activations.T.astype(float), "correlation"), atol=1e-13
    )
    np.testing.assert_array_equal(r, r.T)


def test_float32_far_from_zero_keeps_the_digits_of_float64():
    activations = (random_activations(3, (2, 2), stimuli=3000) + 5000).astype(np.float32)
    exact = activations.astype(np.longdouble)
    exact -= exact.mean(axis=0)
    exact /= np.sqrt((exact**2).sum(axis=0))
    np.testing.assert_allclose(unit_correlations(activations), (exact.T @ exact).astype(float), atol=1e-12)
    # In single precision the same correlation is wrong by more than the distance of r from a threshold.
    assert np.abs(np.corrcoef(activations, rowvar=False, dtype=np.float32) - exact.T @ exact).max() > 1e-8


def test_dead_unit_correlates_with_nothing():
    activations = random_activations(4, (2, 3))
    activations[:, 4] = 0.1
    r = unit_correlations(activations)
    assert not r[4].any() and not r[:, 4].any()
    assert np.isfinite(r).all()
    np.testing.assert_array_equal(np.delete(r.diagonal(), 4), 1.0)
    # r = 0 passes "r >= 0" and not "r > 0".
    dead = np.zeros((5, 6))
    assert colocalization_distance(dead, (2, 3), [0.0], inclusive=True).pairs.tolist() == [15]
    assert colocalization_distance(dead, (2, 3), [0.0]).pairs.tolist() == [0]


def test_unit_that_barely_varies_is_not_dead():
    barely = np.ones((50, 1))
    barely[7] += 1e-13
    activations = np.concatenate([barely, 2 * barely, np.ones((50, 1))], axis=1)
    r = unit_correlations(activations)
    assert r[0, 1] == pytest.approx(1.0) and r.diagonal().tolist() == [1, 1, 0]


def test_no_pair_has_no_distance():
    result = colocalization_distance(random_activations(5, (3, 3)), (3, 3), [0.3, 1.0])
    assert result.pairs[1] == 0 and np.isnan(result.distance[1]) and np.isfinite(result.distance[0])
    assert np.isnan(colocalization_null(random_activations(5, (3, 3)), (3, 3), [1.0], relabellings=4)).all()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from(["pairs", "units"]), st.booleans())
def test_invariances(seed, average, include_self):
    grid, thresholds = (4, 5), [0.1, 0.4, 0.7]
    options = {"average": average, "include_self": include_self}
    activations = random_activations(seed, grid)
    expected = colocalization_distance(activations, grid, thresholds, **options)
    generator = np.random.default_rng(seed + 1)
    sheet = activations.reshape(-1, *grid)
    same = [
        (generator.permutation(activations), grid),
        (activations * generator.uniform(0.1, 10, 20) + generator.normal(size=20), grid),
        (sheet[:, ::-1].reshape(-1, 20), grid),
        (sheet[:, :, ::-1].reshape(-1, 20), grid),
        (sheet.transpose(0, 2, 1).reshape(-1, 20), grid[::-1]),
    ]
    for changed, changed_grid in same:
        found = colocalization_distance(changed, changed_grid, thresholds, **options)
        np.testing.assert_allclose(found.distance, expected.distance, rtol=1e-10)
        np.testing.assert_array_equal(found.pairs, expected.pairs)


def test_batch_of_models_is_the_models_one_by_one():
    models = np.stack([random_activations(seed, (3, 4)) for seed in range(6)]).reshape(2, 3, 40, 12)
    together = colocalization_distance(models, (3, 4), [0.2, 0.5])
    null = colocalization_null(models, (3, 4), [0.2, 0.5], relabellings=7, seed=3)
    assert together.distance.shape == together.pairs.shape == (2, 3, 2)
    assert null.shape == (2, 3, 7, 2)
    alone = colocalization_distance(models[1, 2], (3, 4), [0.2, 0.5])
    np.testing.assert_array_equal(together.distance[1, 2], alone.distance)
    np.testing.assert_allclose(
        null[1, 2], colocalization_null(models[1, 2], (3, 4), [0.2, 0.5], relabellings=7, seed=3), rtol=1e-12
    )


@pytest.mark.parametrize("options", [{}, {"average": "units"}, {"include_self": True}], ids=str)
def test_null_is_uniform_over_all_assignments(options):
    """On a sheet of four units all 24 assignments can be tried."""
    activations = random_activations(9, (1, 4))
    thresholds = [np.sort(unit_correlations(activations)[np.triu_indices(4, 1)])[2]]
    every = np.array(
        [
            colocalization_distance(activations[:, list(order)], (1, 4), thresholds, **options).distance[0]
            for order in itertools.permutations(range(4))
        ]
    )
    null = colocalization_null(activations, (1, 4), thresholds, relabellings=6000, seed=1, **options)[:, 0]
    values, counts = np.unique(every.round(9), return_counts=True)
    found, found_counts = np.unique(null.round(9), return_counts=True)
    assert len(values) > 1
    np.testing.assert_allclose(found, values)
    shares = counts / 24
    np.testing.assert_array_less(
        np.abs(found_counts / 6000 - shares), 4.5 * np.sqrt(shares * (1 - shares) / 6000) + 1e-12
    )
    if not options.get("include_self"):
        assert every.mean() == pytest.approx(chance_distance((1, 4)), rel=1e-12)


def test_null_of_a_topographic_sheet_lies_at_chance_and_the_sheet_far_below():
    activations, thresholds = formula_activations(), list(PUBLISHED)
    null = colocalization_null(activations, GRID, thresholds, relabellings=1000, seed=5)
    assert null.shape == (1000, 4)
    standard_error = null.std(axis=0, ddof=1) / np.sqrt(1000)
    np.testing.assert_array_less(np.abs(null.mean(axis=0) - chance_distance(GRID)), 4.5 * standard_error)
    assert (colocalization_distance(activations, GRID, thresholds).distance < null.min(axis=0)).all()


def test_null_depends_on_the_seed_alone():
    activations = random_activations(6, (3, 3))
    first, again, other = (
        colocalization_null(activations, (3, 3), [0.2], relabellings=300, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    # Fewer relabellings are the first of many.
    few = colocalization_null(activations, (3, 3), [0.2], relabellings=10, seed=1)
    np.testing.assert_allclose(few, first[:10], rtol=1e-12)


def test_share_correlated_counts_distinct_pairs():
    common = np.random.default_rng(7).normal(size=(50, 1))
    activations = np.concatenate([common, 2 * common + 1, -common, np.full((50, 1), 0.1)], axis=1)
    assert share_correlated(activations, 0.9) == pytest.approx(1 / 6)
    assert share_correlated(np.stack([activations, np.tile(common, 4)]), 0.9) == pytest.approx([1 / 6, 1.0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activations": np.full((4, 6), np.nan)}, "activations: .*24 that are NaN or infinite"),
        ({"activations": np.full((4, 6), np.inf)}, "activations: .*NaN or infinite"),
        ({"activations": np.ones((4, 5))}, "a sheet of 2 x 3 has 6 units, found 5"),
        ({"activations": np.ones((1, 6))}, "at least 2 of them, found 1"),
        ({"activations": np.ones(6)}, "activations: .*stimuli, units"),
        ({"grid": (2, 0)}, "grid: "),
        ({"thresholds": []}, "thresholds: "),
        ({"thresholds": [np.nan]}, "thresholds: "),
        ({"thresholds": [[0.1]]}, "thresholds: expected one list"),
        ({"average": "median"}, "average: expected one of pairs, units, found 'median'"),
    ],
)
def test_refuses(change, message):
    arguments = {"activations": random_activations(8, (2, 3)), "grid": (2, 3), "thresholds": [0.5], **change}
    for kernel in (colocalization_distance, colocalization_null):
        with pytest.raises(TopoRepError, match=message):
            kernel(**arguments)


def test_refuses_no_relabelling_and_a_single_unit():
    with pytest.raises(TopoRepError, match="relabellings: expected at least 1, found 0"):
        colocalization_null(random_activations(8, (2, 3)), (2, 3), [0.5], relabellings=0)
    with pytest.raises(TopoRepError, match="at least 2 units"):
        chance_distance((1, 1))
    with pytest.raises(TopoRepError, match="at least 2 units"):
        colocalization_distance(np.ones((3, 1)), (1, 1), [0.5])
    with pytest.raises(TopoRepError, match="at least 2 units"):
        share_correlated(np.ones((3, 1)))
