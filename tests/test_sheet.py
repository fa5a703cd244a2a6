"""The geometry of the sheet, checked against counts, graph and distance libraries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toporep.errors import TopoRepError
from toporep.sheet import distance_matrix, moore_pairs, neighbor_lists, queen_adjacency, unit_positions

grids = st.tuples(st.integers(1, 7), st.integers(1, 7))


def test_the_published_sheet_has_840_ordered_pairs() -> None:
    """Truong & Hasson 2025: 4 corners with 3, 36 border units with 5, 81 inner units with 8 neighbors."""
    counts = np.array([len(neighbors) for neighbors in neighbor_lists((11, 11))])
    assert dict(zip(*np.unique(counts, return_counts=True), strict=True)) == {3: 4, 5: 36, 8: 81}
    assert counts.sum() == 840
    assert moore_pairs((11, 11)).shape == (420, 2)


@given(grids)
def test_a_pair_is_adjacent_exactly_where_a_king_moves_once(grid: tuple[int, int]) -> None:
    rows, cols = grid
    expected = [
        (a, b)
        for a in range(rows * cols)
        for b in range(a + 1, rows * cols)
        if max(abs(a // cols - b // cols), abs(a % cols - b % cols)) == 1
    ]
    pairs = moore_pairs(grid)
    assert pairs.dtype == np.int64
    assert [tuple(pair) for pair in pairs] == expected


@given(grids)
def test_adjacency_lists_and_pairs_tell_the_same(grid: tuple[int, int]) -> None:
    adjacency = queen_adjacency(grid)
    assert (adjacency == adjacency.T).all()
    assert not adjacency.diagonal().any()
    np.testing.assert_array_equal(np.argwhere(np.triu(adjacency)), moore_pairs(grid))
    for unit, neighbors in enumerate(neighbor_lists(grid)):
        np.testing.assert_array_equal(neighbors, np.flatnonzero(adjacency[unit]))


def test_adjacency_agrees_with_libpysal() -> None:
    weights = pytest.importorskip("libpysal.weights")
    np.testing.assert_array_equal(queen_adjacency((4, 7)), weights.lat2W(4, 7, rook=False).full()[0])


@given(grids)
def test_distances_agree_with_scipy(grid: tuple[int, int]) -> None:
    distance = pytest.importorskip("scipy.spatial.distance")
    positions = unit_positions(grid)
    np.testing.assert_allclose(distance_matrix(grid), distance.cdist(positions, positions), atol=1e-12)


def test_units_run_row_by_row_from_the_top_left() -> None:
    np.testing.assert_array_equal(unit_positions((2, 3)), [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]])
    assert distance_matrix((11, 11)).max() == pytest.approx(10 * np.sqrt(2))


def test_neighbors_are_closer_than_one_and_a_half_spacings() -> None:
    np.testing.assert_array_equal(queen_adjacency((5, 8)), (distance_matrix((5, 8)) < 1.5) & ~np.eye(40, dtype=bool))


@pytest.mark.parametrize("grid", [(0, 3), (3, -1), (3,), (2, 3, 4), (2.5, 2), 9, "ab", None])
def test_a_grid_that_is_none_is_refused(grid: object) -> None:
    with pytest.raises(TopoRepError, match=r"grid: expected \(rows, cols\), two positive integers, found"):
        moore_pairs(grid)
