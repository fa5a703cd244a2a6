from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from toporep.errors import TopoRepError
from toporep.metrics.colocalization import chance_distance, colocalization_distance
from toporep.metrics.consistency import first_of_each_class, rdm, rdm_consistency
from toporep.metrics.morans_i import morans_i


def five_models() -> tuple[np.ndarray, np.ndarray]:
    """(5, 1000, 16) embeddings, images interleaved by class, and their labels."""
    n, u, q = np.arange(1000)[:, None], np.arange(16), np.arange(5)[:, None, None]
    k = n % 10
    wave = np.sin((0.9 + 0.05 * q) * k * (1 + 0.21 * u) + 0.4 * u)
    return wave + 0.3 * np.sin(0.37 * n * (1 + 0.1 * u) + q) + 0.25, k[:, 0]


def random_models(seed: int, shape: tuple[int, ...] = (3, 12, 7)) -> np.ndarray:
    """Models that have something in common."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(*shape[:-3], 1, *shape[-2:])) + generator.normal(2.0, 1.0, shape)


def test_value_of_the_published_code():
    embeddings, labels = five_models()
    embeddings = embeddings[:, first_of_each_class(labels, 100)]
    found = rdm_consistency(embeddings)
    assert found.mean == pytest.approx(0.919774053504, abs=1e-9)
    assert found.sd == pytest.approx(0.028871637307, abs=1e-9)
    assert found.pairs == 10
    published = [0.95302046664, 0.898720416744, 0.895387490258, 0.887227906827, 0.952804305028]
    published += [0.910176486226, 0.895990766407, 0.949070933131, 0.899672446953, 0.955669316827]
    np.testing.assert_allclose(found.correlations[np.triu_indices(5, k=1)], published, atol=1e-9)
    first = rdm(embeddings[0])
    assert first.shape == (499_500,)
    published = [0.0112784565403, 0.0468040073748, 0.0428139722868, 0.0431818592993, 0.0418319432215]
    np.testing.assert_allclose(first[:5], published, atol=1e-9)


def test_float32_as_the_published_code_has_it():
    embeddings, labels = five_models()
    found = rdm_consistency(embeddings[:, first_of_each_class(labels, 100)].astype(np.float32))
    assert found.mean == pytest.approx(0.9197835743427276, abs=1e-4)


def test_agrees_with_rsatoolbox():
    rsatoolbox = pytest.importorskip("rsatoolbox")
    models = random_models(0, (4, 15, 9))
    matrices = [rsatoolbox.rdm.calc_rdm(rsatoolbox.data.Dataset(model), method="correlation") for model in models]
    for model, matrix in zip(models, matrices, strict=True):
        np.testing.assert_allclose(rdm(model), matrix.dissimilarities[0], atol=1e-12)
    expected = [[rsatoolbox.rdm.compare(a, b, method="corr")[0, 0] for b in matrices] for a in matrices]
    np.testing.assert_allclose(rdm_consistency(models).correlations, expected, atol=1e-12)


def test_agrees_with_scipy_on_each_pair():
    models = random_models(1)
    triangles = [[1 - scipy.stats.pearsonr(a, b)[0] for i, a in enumerate(m) for b in m[i + 1 :]] for m in models]
    np.testing.assert_allclose(rdm(models), triangles, atol=1e-12)
    pairs = [scipy.stats.pearsonr(triangles[a], triangles[b])[0] for a, b in ((0, 1), (0, 2), (1, 2))]
    found = rdm_consistency(models)
    assert found.mean == pytest.approx(np.mean(pairs), abs=1e-12)
    assert found.sd == pytest.approx(np.std(pairs, ddof=1), abs=1e-12)


def test_sees_geometry_and_nothing_else():
    """Dissimilarities do not change with the order of units, nor with scale and offset of an image's pattern."""
    model = random_models(2, (1, 10, 8))[0]
    generator = np.random.default_rng(3)
    changed = generator.uniform(0.1, 5, (10, 1)) * model[:, generator.permutation(8)] + generator.normal(size=(10, 1))
    found = rdm_consistency(np.stack([model, changed]))
    assert found.mean == pytest.approx(1.0, abs=1e-12) and np.isnan(found.sd) and found.pairs == 1


def test_unrelated_models_are_not_consistent():
    found = rdm_consistency(np.random.default_rng(4).normal(size=(4, 100, 50)))
    assert abs(found.mean) < 0.03


def test_opposite_patterns_are_as_dissimilar_as_can_be():
    pattern = np.random.default_rng(5).normal(size=9)
    np.testing.assert_allclose(rdm(np.stack([pattern, 3 + pattern, -pattern])), [0, 2, 2], atol=1e-12)


def test_leading_dimensions_are_separate_sets():
    models = random_models(6, (2, 3, 4, 11, 6)).astype(np.float32)
    found = rdm_consistency(models)
    assert found.mean.shape == (2, 3) and found.correlations.shape == (2, 3, 4, 4)
    for index in np.ndindex(2, 3):
        for together, alone in zip(found, rdm_consistency(models[index]), strict=True):
            np.testing.assert_array_equal(together[index], alone)


def test_an_image_that_all_units_answer_alike_has_no_dissimilarity():
    models = random_models(7, (3, 12, 7))
    # 0.1 is not exact in binary, and the mean of 7 copies need not be 0.1.
    models[1, 4] = 0.1
    assert np.isnan(rdm(models[1])).sum() == 11
    found = rdm_consistency(models)
    assert found.pairs == 1 and found.mean == found.correlations[0, 2] and np.isnan(found.correlations[1]).all()
    models[2, 4] = 0.1
    assert rdm_consistency(models).pairs == 0 and np.isnan(rdm_consistency(models).mean)


@pytest.mark.parametrize("scale", [1e-30, 1e-200, 1e150])
def test_tiny_and_huge_activations_keep_their_geometry(scale):
    models = random_models(8)
    assert rdm_consistency(scale * models).mean == pytest.approx(rdm_consistency(models).mean, abs=1e-9)


def test_input_is_left_as_it_was():
    models = random_models(9)
    before = models.copy()
    rdm_consistency(models)
    np.testing.assert_array_equal(models, before)


def test_first_images_of_each_class_in_their_own_order():
    labels = np.array([2, 0, 2, 1, 1, 0, 2, 0, 1])
    assert first_of_each_class(labels, 2).tolist() == [1, 5, 3, 4, 0, 2]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 5, 4), "at least 2 models and 3 images, found 1 and 5"),
        ((2, 2, 4), "found 2 and 2"),
        ((2, 5, 1), "at least 2 images and 2 units, found 5 and 1"),
        ((5, 4), "models, images, units"),
    ],
)
def test_refuses_too_little(shape, message):
    with pytest.raises(TopoRepError, match=message):
        rdm_consistency(np.zeros(shape))


@pytest.mark.parametrize(
    ("labels", "per_class", "message"),
    [
        ([0, 0, 1], 2, "at least 2 images of each class, found 1 of class 1"),
        ([0.0, 1.0], 1, "labels: expected a list of integers"),
        ([0, 1], 0, "per_class: expected at least 1, found 0"),
    ],
)
def test_refuses_labels(labels, per_class, message):
    with pytest.raises(TopoRepError, match=message):
        first_of_each_class(np.array(labels), per_class)


# Moran's I and co-localization as this paper uses them, on its sheet of 16 x 16 units.

ROW, COL = np.meshgrid(np.arange(16.0), np.arange(16.0), indexing="ij")
UNIT = 16 * ROW + COL
SPIKES = np.zeros((2, 16, 16))
SPIKES[0, 0, 0] = SPIKES[1, 8, 8] = 1


@pytest.mark.parametrize(
    ("image", "rook", "queen"),
    [
        (ROW + COL, 0.933333333333, 0.901075268817),
        ((-1.0) ** (ROW + COL), -1.0, -0.0322580645161),
        (np.sin(0.37 * UNIT * UNIT), 0.0180242579578, -0.0397336436988),
        (np.sin(0.4 * ROW) + np.cos(0.3 * COL), 0.978452596242, 0.967682781478),
        (SPIKES[0], -0.000261437908497, 0.000683111954459),
        (SPIKES[1], -0.00444444444444, -0.00471431583386),
        (np.sin(0.1 * ROW + 0.37 * COL), 0.978180569603, 0.968619720475),
    ],
)
def test_morans_i_on_this_papers_sheet(image, rook, queen):
    assert morans_i(image, "rook") == pytest.approx(rook, abs=1e-10)
    assert morans_i(image, "queen") == pytest.approx(queen, abs=1e-10)


def test_distance_of_correlated_units_on_this_papers_sheet():
    """Thresholds are inclusive in the published code; no pair of this vector lies on one."""
    n, unit = np.arange(50)[:, None], np.arange(256)
    row, col = unit // 16, unit % 16
    activations = np.sin(0.31 * n + 0.25 * row + 0.001 * n * n) + 0.8 * np.cos(0.17 * n + 0.33 * col)
    activations += 0.9 * np.sin(1.7 * n * (1 + 0.013 * unit) + 0.37 * unit)
    found = colocalization_distance(activations, (16, 16), (0.1, 0.3, 0.5, 0.6, 0.7, 0.8), inclusive=True)
    assert found.pairs.tolist() == [17217, 10064, 4513, 2280, 675, 318]
    published = [5.88124134403, 4.41784940787, 2.99144656792, 2.45636782898, 2.09604859308, 1.37431180988]
    np.testing.assert_allclose(found.distance, published, atol=1e-9)


def test_inclusive_thresholds_count_a_pair_on_the_threshold():
    # Contrasts of four images: r is 1 for the first and last unit and 0 for the other five pairs, without rounding.
    activations = np.array([[1, 1, 1, 1], [1, -1, -1, 1], [-1, 1, -1, -1], [-1, -1, 1, -1]])
    for inclusive, pairs in ((False, [1, 0]), (True, [6, 1])):
        found = colocalization_distance(activations, (2, 2), [0.0, 1.0], inclusive=inclusive)
        assert found.pairs.tolist() == pairs


def test_chance_distance_on_this_papers_sheet():
    assert chance_distance((16, 16)) == pytest.approx(8.35872651597, abs=1e-10)
    assert chance_distance((16, 16), include_self=True) == pytest.approx(8.32607524052, abs=1e-10)
