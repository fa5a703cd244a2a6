from __future__ import annotations

import itertools

import numpy as np
import pytest
import reference_metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from toporep.errors import TopoRepError
from toporep.metrics import expected_morans_i, morans_i

ROW, COL = np.meshgrid(np.arange(11.0), np.arange(11.0), indexing="ij")
SPIKE = np.zeros((11, 11))
SPIKE[5, 5] = 1.0
# Map; I of the published definition (an independent double sum, which agrees with the authors' float32 convolution to
# 1e-7); I with rook neighbors.
PUBLISHED = {
    "wave": (np.sin(0.1 * ROW + 0.37 * COL), 0.880146955961, 0.918843554198),
    "checkerboard": ((-1.0) ** (ROW + COL), -0.0475539942753, -1.0),
    "column stripes": ((-1.0) ** COL, -0.47619047619, 0.0),
    "linear gradient": (ROW, 0.852380952381, 0.9),
    "product of waves": (np.cos(0.5 * ROW) * np.sin(0.7 * COL) + 0.1 * ROW, 0.780726084178, 0.844067200633),
    "spike": (SPIKE, -0.010873015873, -0.01),
}
# Not constant, of small integers, so that sums are exact and affine changes lose nothing.
MAPS = arrays(np.float64, (4, 5), elements=st.integers(-50, 50).map(float)).filter(lambda x: np.ptp(x) > 0)


@pytest.mark.parametrize("name", PUBLISHED)
def test_value_of_the_published_definition(name):
    image, queen, rook = PUBLISHED[name]
    assert morans_i(image) == pytest.approx(queen, abs=1e-11)
    assert morans_i(image, "rook") == pytest.approx(rook, abs=1e-11)


@pytest.mark.parametrize("neighborhood", ["queen", "rook"])
@pytest.mark.parametrize("grid", [(11, 11), (4, 7), (1, 6), (6, 1), (2, 2)])
def test_agrees_with_the_double_sum(grid, neighborhood):
    maps = np.random.default_rng(1).normal(3.0, 2.0, (5, *grid))
    expected = [reference.morans_i(image, neighborhood) for image in maps]
    np.testing.assert_allclose(morans_i(maps, neighborhood), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("neighborhood", ["queen", "rook"])
def test_agrees_with_esda(neighborhood):
    esda, weights = pytest.importorskip("esda"), pytest.importorskip("libpysal.weights")
    maps = np.random.default_rng(2).gamma(1.0, size=(8, 5, 7))
    expected = []
    for image in maps:
        lattice = weights.lat2W(5, 7, rook=neighborhood == "rook")
        expected.append(esda.Moran(image.ravel(), lattice, transformation="b", permutations=0).I)
    np.testing.assert_allclose(morans_i(maps, neighborhood), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("neighborhood", ["queen", "rook"])
def test_mean_over_all_arrangements_is_the_expectation(neighborhood):
    values = np.array([0.0, 1.0, 3.0, -2.0, 7.0, 2.5])
    arrangements = np.array(list(itertools.permutations(values))).reshape(-1, 2, 3)
    assert morans_i(arrangements, neighborhood).mean() == pytest.approx(expected_morans_i(6), abs=1e-12)


def test_expectation_on_the_papers_sheet():
    assert expected_morans_i(121) == -1 / 120


@settings(deadline=None, max_examples=50)
@given(MAPS, st.sampled_from([-3.0, 0.5, 2.0, 1024.0]), st.integers(-1000, 1000), st.sampled_from(["queen", "rook"]))
def test_unchanged_by_affine_changes_and_reflections(image, scale, offset, neighborhood):
    expected = morans_i(image, neighborhood)
    assert morans_i(scale * image + offset, neighborhood) == pytest.approx(expected, abs=1e-10)
    for reflected in (image[::-1], image[:, ::-1], image.T):
        assert morans_i(reflected, neighborhood) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, max_examples=50)
@given(arrays(np.float64, (11, 11), elements=st.integers(-9, 9).map(float)).filter(lambda x: np.ptp(x) > 0))
def test_within_the_attainable_range_of_the_papers_sheet(image):
    # Extreme eigenvalues of the centered Moore adjacency, times 121 / 840.
    assert -0.5377 <= morans_i(image) <= 1.0099


def test_batch_is_the_maps_one_by_one():
    maps = np.random.default_rng(3).normal(size=(3, 200, 11, 11)).astype(np.float32)
    together = morans_i(maps)
    assert together.shape == (3, 200) and together.dtype == np.float64
    np.testing.assert_array_equal(together[1, ::17], [morans_i(image) for image in maps[1, ::17]])


def test_float32_maps_far_from_zero_keep_their_digits():
    maps = (np.random.default_rng(4).normal(size=(11, 11)) + 1e4).astype(np.float32)
    assert morans_i(maps) == pytest.approx(reference.morans_i(maps.astype(float)), rel=1e-9)


def test_constant_map_has_none():
    # 0.1 is not exact in binary, and the mean of 121 copies need not be 0.1.
    maps = np.stack([np.full((11, 11), 0.1), ROW, np.zeros((11, 11))])
    assert np.isnan(morans_i(maps)).tolist() == [True, False, True]


def test_input_is_left_as_it_was():
    maps = np.random.default_rng(5).normal(size=(3, 4, 5))
    before = maps.copy()
    morans_i(maps)
    np.testing.assert_array_equal(maps, before)


@pytest.mark.parametrize(
    ("maps", "neighborhood", "message"),
    [
        (np.where(SPIKE, np.nan, 0.0), "queen", r"maps: .*1 that are NaN or infinite.*\(5, 5\)"),
        (np.where(SPIKE, -np.inf, 0.0), "queen", "maps: .*NaN or infinite"),
        (ROW, "bishop", "neighborhood: expected one of queen, rook, found 'bishop'"),
        (np.zeros(121), "queen", r"maps: .*rows, cols.*found shape \(121,\)"),
        (np.zeros((3, 1, 1)), "queen", "at least 2 units"),
        (ROW + 1j, "queen", "complex128"),
    ],
)
def test_refuses(maps, neighborhood, message):
    with pytest.raises(TopoRepError, match=message):
        morans_i(maps, neighborhood)


def test_expectation_refuses_a_single_unit():
    with pytest.raises(TopoRepError, match="at least 2 units"):
        expected_morans_i(1)
