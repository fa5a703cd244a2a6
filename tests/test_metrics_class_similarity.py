from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.metrics import silhouette_samples

from toporep.errors import TopoRepError
from toporep.metrics.class_similarity import better_separated, class_cosine_similarity, over_trials, silhouette
from toporep.metrics.consistency import first_of_each_class

# Table 1: within and across, for rho of 0, .008, .04, .2, 1 and 5; and where both are bold.
TABLE = {
    "margin": ([0.87, 0.85, 0.85, 0.87, 0.93, 0.99], [0.18, 0.15, 0.02, 0.00, 0.51, 0.93], "000100"),
    "cross-entropy": ([0.77, 0.79, 0.80, 0.82, 0.85, 0.89], [-0.01, 0.00, -0.03, -0.05, -0.05, -0.03], "001111"),
    "SimCLR": ([0.26, 0.26, 0.28, 0.78, 0.98, 1.00], [0.05, 0.05, 0.07, 0.71, 0.97, 1.00], "000000"),
    "SupCon": ([0.83, 0.83, 0.84, 0.84, 0.95, 1.00], [0.10, 0.04, 0.06, -0.03, 0.70, 1.00], "011100"),
}


def five_models() -> tuple[np.ndarray, np.ndarray]:
    n, u, q = np.arange(1000)[:, None], np.arange(16), np.arange(5)[:, None, None]
    k = n % 10
    wave = np.sin((0.9 + 0.05 * q) * k * (1 + 0.21 * u) + 0.4 * u)
    return wave + 0.3 * np.sin(0.37 * n * (1 + 0.1 * u) + q) + 0.25, k[:, 0]


def random_embeddings(seed: int, shape: tuple[int, ...] = (30, 6)) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 4, shape[-2])
    return generator.normal(size=(4, shape[-1]))[labels] + generator.normal(size=shape), labels


def test_values_of_the_published_code():
    embeddings, labels = five_models()
    chosen = first_of_each_class(labels, 100)
    found = class_cosine_similarity(embeddings[:, chosen], labels[chosen])
    published = {
        "within_mean": [0.933725187481, 0.934187296232, 0.932258247995, 0.935084928246, 0.932189457547],
        "within_sd": [0.0227125616954, 0.0228195484421, 0.0225941370639, 0.0228887033727, 0.0230630816014],
        "across_mean": [0.0306201217084, 0.0290864068198, 0.0266384050034, 0.0271454751274, 0.024266726994],
        "across_sd": [0.187085670613, 0.191627148463, 0.196070278711, 0.193104322727, 0.19364366617],
    }
    for name, values in published.items():
        np.testing.assert_allclose(getattr(found, name), values, atol=1e-10)
    assert found.within_pairs.tolist() == [49_500] * 5 and found.across_pairs.tolist() == [450_000] * 5


@pytest.mark.parametrize("center", [False, True])
def test_agrees_with_scipy_on_all_pairs(center):
    embeddings, labels = random_embeddings(0)
    cosines = 1 - pdist(embeddings - embeddings.mean(axis=0) * center, "cosine")
    same = pdist(labels[:, None], "hamming") == 0
    found = class_cosine_similarity(embeddings, labels, center=center)
    expected = [f(cosines[which]) for which in (same, ~same) for f in (np.mean, np.std, len)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_centered_cosines_do_not_see_an_offset_and_raw_ones_see_little_else():
    """The drift of Table 1 at large rho: as weights shrink beside the offset, raw cosines go to 1."""
    embeddings, labels = random_embeddings(1)
    offset = np.random.default_rng(2).normal(size=6)
    centered = class_cosine_similarity(embeddings, labels, center=True)
    for scale, least in ((1e-2, 0.99), (1e-3, 0.9999)):
        shrunk = scale * embeddings + offset
        np.testing.assert_allclose(class_cosine_similarity(shrunk, labels, center=True), centered, atol=1e-9)
        raw = class_cosine_similarity(shrunk, labels)
        assert raw.within_mean > raw.across_mean > least
    assert centered.within_mean > 0.2 > 0 > centered.across_mean


def test_length_of_an_embedding_does_not_matter_but_its_direction():
    embeddings, labels = random_embeddings(3)
    lengths = np.random.default_rng(4).uniform(1e-3, 1e3, (30, 1))
    expected = class_cosine_similarity(embeddings, labels)
    np.testing.assert_allclose(class_cosine_similarity(lengths * embeddings, labels), expected, atol=1e-12)
    for scale in (1e-200, 1e-30, 1e200):
        np.testing.assert_allclose(class_cosine_similarity(scale * embeddings, labels), expected, atol=1e-12)


def test_classes_in_orthogonal_directions():
    embeddings, labels = np.repeat(np.eye(3), 4, axis=0), np.repeat([5, 1, 8], 4)
    assert class_cosine_similarity(embeddings, labels) == pytest.approx((1, 0, 18, 0, 0, 48), abs=1e-15)


def test_batch_is_the_models_one_by_one():
    embeddings, labels = random_embeddings(5, (2, 3, 25, 6))
    for center in (False, True):
        together = class_cosine_similarity(embeddings.astype(np.float32), labels, center=center)
        assert together.within_mean.shape == (2, 3)
        alone = class_cosine_similarity(embeddings[1, 2].astype(np.float32), labels, center=center)
        assert [values[1, 2] for values in together] == list(alone)


def test_embeddings_without_direction_are_left_out():
    embeddings, labels = random_embeddings(6)
    dead = np.concatenate([embeddings, np.zeros((2, 6))])
    assert class_cosine_similarity(dead, np.append(labels, [0, 1])) == class_cosine_similarity(embeddings, labels)
    # 0.1 is not exact in binary, and the mean of 30 copies need not be 0.1.
    nothing = class_cosine_similarity(np.full((30, 6), 0.1), labels, center=True)
    assert np.isnan(nothing.within_mean) and nothing.within_pairs == nothing.across_pairs == 0


def test_input_is_left_as_it_was():
    embeddings, labels = random_embeddings(7)
    before = embeddings.copy()
    class_cosine_similarity(embeddings, labels, center=True)
    np.testing.assert_array_equal(embeddings, before)


def test_one_entry_of_several_trials():
    generator = np.random.default_rng(8)
    pairs = generator.normal(generator.normal(size=(5, 1)), generator.uniform(0.5, 2, (5, 1)), (5, 300))
    means, deviations = pairs.mean(axis=1), pairs.std(axis=1)
    assert over_trials(means, deviations) == pytest.approx((pairs.mean(), deviations.mean()), abs=1e-12)
    assert over_trials(means, deviations, spread="pooled") == pytest.approx((pairs.mean(), pairs.std()), abs=1e-12)
    mean, sd = over_trials(means.reshape(1, 5), deviations.reshape(1, 5), axis=1, spread="pooled")
    assert mean.shape == sd.shape == (1,)


@pytest.mark.parametrize("objective", TABLE)
def test_bold_entries_of_table_1(objective):
    within, across, bold = TABLE[objective]
    printed = np.array([letter == "1" for letter in bold])
    by_rule = better_separated(np.array(within), np.array(across), decimals=2)
    # The one entry whose printed numbers tie with the baseline's in both rows, and that is not bold in the paper.
    if objective == "SimCLR":
        assert np.flatnonzero(by_rule != printed).tolist() == [1]
        assert not better_separated(np.array(within), np.array(across) + [0, 0.004, 0, 0, 0, 0]).any()
    else:
        np.testing.assert_array_equal(by_rule, printed)


def test_bold_before_and_after_rounding():
    within, across = np.array([0.800, 0.797, 0.9, np.nan]), np.array([0.1, 0.1, 0.104, 0.0])
    assert better_separated(within, across).tolist() == [False] * 4
    assert better_separated(within, across, decimals=2).tolist() == [False, True, True, False]


def test_bold_along_another_axis_and_with_the_baseline_last():
    within, across = (np.array([TABLE[name][row] for name in TABLE]) for row in (0, 1))
    expected = better_separated(within, across)
    np.testing.assert_array_equal(better_separated(within.T, across.T, axis=0), expected.T)
    np.testing.assert_array_equal(better_separated(within[:, ::-1], across[:, ::-1], baseline=-1), expected[:, ::-1])


def test_silhouette_of_definition():
    points, labels = random_embeddings(12, (60, 2))
    coefficients = []
    for i, point in enumerate(points):
        distances = np.linalg.norm(points - point, axis=1)
        own = distances[(labels == labels[i]) & (np.arange(60) != i)].mean()
        other = min(distances[labels == label].mean() for label in set(labels.tolist()) - {labels[i]})
        coefficients.append((other - own) / max(other, own))
    assert silhouette(points, labels) == pytest.approx(np.mean(coefficients), abs=1e-12)
    np.testing.assert_allclose(coefficients, silhouette_samples(points, labels), atol=1e-12)


def test_silhouette_of_classes_apart_and_of_none():
    generator = np.random.default_rng(13)
    labels = np.repeat([0, 1], 200)
    points = generator.normal(size=(400, 2))
    assert abs(silhouette(points, labels)) < 0.02
    assert silhouette(points + 100 * labels[:, None], labels) > 0.97


@pytest.mark.parametrize(
    ("embeddings", "labels", "message"),
    [
        (np.zeros((3, 2)), [0, 1], "labels: expected 3 integers"),
        (np.zeros((3, 2)), [0.0, 1.0, 2.0], "labels: expected 3 integers.*float64"),
        (np.full((3, 2), np.inf), [0, 1, 1], "embeddings: .*NaN or infinite"),
        (np.zeros(3), [0, 1, 1], "images, units"),
    ],
)
def test_refuses_embeddings(embeddings, labels, message):
    with pytest.raises(TopoRepError, match=message):
        class_cosine_similarity(embeddings, np.array(labels))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: over_trials([1.0], [1.0], spread="sem"), "spread: expected one of mean, pooled"),
        (lambda: over_trials([1.0, 2.0], [1.0]), r"found \(2,\) and \(1,\)"),
        (lambda: better_separated(np.zeros(3), np.zeros(2)), r"found \(3,\) and \(2,\)"),
        (lambda: silhouette(np.zeros((4, 2)), np.zeros(4, int)), "2 to 3 classes of 4 points, found 1"),
        (lambda: silhouette(np.zeros((3, 2)), np.arange(3)), "2 to 2 classes of 3 points, found 3"),
        (lambda: silhouette(np.zeros((2, 3, 2)), np.arange(2)), r"points, dimensions\), found shape"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(TopoRepError, match=message):
        call()
