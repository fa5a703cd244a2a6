from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from toporep.errors import TopoRepError
from toporep.metrics.rsm import rsm, second_order_similarity

# (scale of the perturbation, measure): cosine of the upper triangles.
PUBLISHED = {
    (0.02, "pearson"): 0.6810412977,
    (0.02, "cosine"): 0.657505208551,
    (0.1, "pearson"): 0.172080152504,
    (0.1, "cosine"): 0.162105058017,
}


def formula_weights() -> tuple[np.ndarray, np.ndarray]:
    c, u = np.arange(10.0)[:, None], np.arange(121.0)
    return 0.1 * np.sin(0.7 * c + 0.13 * u + 0.05 * c * u), np.sin(12.3 * c + 4.7 * u + 0.9 * c * u)


@pytest.mark.parametrize(("scale", "measure"), PUBLISHED)
def test_values_of_the_papers_definition(scale, measure):
    weight, noise = formula_weights()
    found = second_order_similarity(rsm(weight, measure=measure), rsm(weight + scale * noise, measure=measure))
    assert found == pytest.approx(PUBLISHED[scale, measure], rel=1e-9)


@pytest.mark.parametrize(("measure", "scipy_name"), [("pearson", "correlation"), ("cosine", "cosine")])
def test_rsm_agrees_with_numpy_and_scipy(measure, scipy_name):
    rows = np.random.default_rng(0).normal(loc=0.3, size=(10, 121))
    found = rsm(rows, measure=measure)
    np.testing.assert_allclose(found, 1 - squareform(pdist(rows, scipy_name)), atol=1e-13)
    np.testing.assert_allclose(found.diagonal(), 1, rtol=1e-14)
    if measure == "pearson":
        np.testing.assert_allclose(found, np.corrcoef(rows), atol=1e-14)
    assert rsm(rows.astype(np.float32), measure=measure).dtype == np.float64


def test_agrees_with_rsatoolbox():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rsatoolbox = pytest.importorskip("rsatoolbox")
    generator = np.random.default_rng(1)
    base = generator.normal(size=(8, 60))
    noisy = base + generator.normal(scale=0.7, size=(5, 8, 60))
    upper = np.triu_indices(8, 1)
    for rows in (base, *noisy):
        dissimilarity = rsatoolbox.rdm.calc_rdm(rsatoolbox.data.Dataset(rows), method="correlation")
        np.testing.assert_allclose(rsm(rows)[upper], 1 - dissimilarity.dissimilarities[0], atol=1e-12)
    triangles = [rsatoolbox.rdm.RDMs(rsm(rows)[..., upper[0], upper[1]].reshape(-1, 28)) for rows in (base, noisy)]
    np.testing.assert_allclose(
        second_order_similarity(rsm(base), rsm(noisy)),
        rsatoolbox.rdm.compare(*triangles, method="cosine")[0],
        atol=1e-12,
    )


def test_invariances():
    generator = np.random.default_rng(2)
    rows, other = generator.normal(size=(2, 10, 121))
    units, classes = generator.permutation(121), generator.permutation(10)
    scale, shift = generator.uniform(0.1, 10, (10, 1)), generator.normal(size=(10, 1))
    np.testing.assert_allclose(rsm(rows * scale + shift), rsm(rows), atol=1e-13)
    np.testing.assert_allclose(rsm(rows * scale, measure="cosine"), rsm(rows, measure="cosine"), atol=1e-13)
    assert np.abs(rsm(rows + shift, measure="cosine") - rsm(rows, measure="cosine")).max() > 0.1
    np.testing.assert_allclose(rsm(rows[:, units]), rsm(rows), atol=1e-13)
    a, b = rsm(rows), rsm(other)
    similarity = second_order_similarity(a, b)
    assert second_order_similarity(b, a) == pytest.approx(similarity, rel=1e-13)
    assert second_order_similarity(a[np.ix_(classes, classes)], b[np.ix_(classes, classes)]) == pytest.approx(
        similarity
    )
    assert second_order_similarity(a, 3 * b) == pytest.approx(similarity)
    assert second_order_similarity(a, a) == pytest.approx(1.0, rel=1e-14)
    assert second_order_similarity(a, -a) == pytest.approx(-1.0, rel=1e-14)


def test_reads_the_upper_triangle_without_the_diagonal():
    a, b = rsm(np.random.default_rng(3).normal(size=(2, 10, 30)))
    lower = np.tril_indices(10)
    changed = b.copy()
    changed[lower] = 99.0
    assert second_order_similarity(a, changed) == second_order_similarity(a, b)
    # With the diagonals of ones the two matrices would look far more alike.
    assert (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()) > second_order_similarity(a, b) + 0.2


def test_batches_broadcast():
    rows = np.random.default_rng(4).normal(size=(3, 4, 10, 20))
    matrices = rsm(rows)
    assert matrices.shape == (3, 4, 10, 10)
    np.testing.assert_allclose(matrices[2, 1], rsm(rows[2, 1]), atol=1e-14)
    against_first = second_order_similarity(matrices[:, :1], matrices)
    assert against_first.shape == (3, 4)
    assert against_first[2, 3] == pytest.approx(second_order_similarity(matrices[2, 0], matrices[2, 3]), rel=1e-13)


@pytest.mark.parametrize("measure", ["pearson", "cosine"])
def test_size_of_the_numbers_does_not_matter(measure):
    rows = np.random.default_rng(5).normal(size=(10, 121))
    expected = rsm(rows, measure=measure)
    for size in (1e-200, 1e200):
        np.testing.assert_allclose(rsm(size * rows, measure=measure), expected, atol=1e-13)


@pytest.mark.filterwarnings("error")
def test_row_without_a_direction_is_not_similar_to_anything():
    rows = np.random.default_rng(6).normal(size=(4, 50))
    rows[2] = 0.1
    for measure, constant in (("pearson", 0.1), ("cosine", 0.0)):
        rows[2] = constant
        found = rsm(rows, measure=measure)
        assert np.isnan(found[2]).all() and np.isnan(found[:, 2]).all()
        assert np.isfinite(np.delete(np.delete(found, 2, 0), 2, 1)).all()
        assert np.isnan(second_order_similarity(found, found))
    assert np.isnan(second_order_similarity(np.eye(3), np.ones((3, 3))))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": np.full((3, 4), np.nan)}, "rows: .*12 that are NaN"),
        ({"rows": np.ones(4)}, "rows: .*classes, features"),
        ({"rows": np.ones((3, 1))}, "at least 2 of them, found 1"),
        ({"rows": np.ones((3, 4)), "measure": "euclidean"}, "measure: expected one of pearson, cosine"),
    ],
)
def test_rsm_refuses(arguments, message):
    with pytest.raises(TopoRepError, match=message):
        rsm(**arguments)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.ones((3, 4)), np.ones((3, 3)), "rsm_a: expected square"),
        (np.ones((3, 3)), np.ones(3), "rsm_b: expected square"),
        (np.ones((1, 1)), np.ones((1, 1)), "at least 2 classes"),
        (np.ones((3, 3)), np.ones((4, 4)), "expected the same classes, found 3 and 4"),
    ],
)
def test_second_order_similarity_refuses(a, b, message):
    with pytest.raises(TopoRepError, match=message):
        second_order_similarity(a, b)
