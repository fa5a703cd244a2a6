from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import scipy.stats

from toporep.errors import TopoRepError
from toporep.metrics.ensembles import (
    VOTES,
    disagreement,
    ensemble_accuracy,
    ensemble_predictions,
    leave_one_out_accuracy,
)

PUBLISHED = {
    "probability": 0.716666666667,
    "logit": 0.566666666667,
    "majority": 0.516666666667,
    "most_confident": 0.716666666667,
    "confidence_weighted": 0.733333333333,
}
BY_PROBABILITY = """0 7 4 1 5 5 2 9 7 3 0 7 4 1 8 5 2 1 6 0 0 7 4 1 8 7 2 9 6 3
                    0 6 7 5 5 3 2 9 6 3 9 7 4 1 8 0 8 3 2 5 0 7 0 1 8 5 2 9 6 3"""
BY_LOGIT = """0 7 4 2 1 4 2 9 4 3 0 7 8 7 8 0 2 1 6 2 0 1 4 5 8 5 2 9 8 3
              0 6 3 4 6 2 4 9 1 3 0 7 4 1 8 0 7 3 9 6 4 7 4 4 8 5 2 9 6 3"""


def four_models() -> tuple[np.ndarray, np.ndarray]:
    m, n, c = np.arange(4)[:, None, None], np.arange(60)[:, None], np.arange(10)
    logits = 3 * np.sin(1.3 * n * (1 + 0.1 * c) + 0.8 * c + 0.45 * m * (1 + (0.2 * n) % 3)) * np.where(m == 3, 2.5, 1)
    labels = (7 * n[:, 0]) % 10
    logits[:, np.arange(60), labels] += 2
    return logits, labels


def random_models(seed: int, shape: tuple[int, ...] = (5, 200, 4)) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.normal(0, 2, shape), generator.integers(0, shape[-1], shape[-2])


@pytest.mark.parametrize("vote", VOTES)
def test_values_of_the_published_code(vote):
    logits, labels = four_models()
    found = ensemble_accuracy(logits, labels, vote)
    assert found.ensemble == pytest.approx(PUBLISHED[vote], abs=1e-11)
    np.testing.assert_allclose(found.individual, [0.45, 0.416666666667, 0.383333333333, 0.2], atol=1e-11)
    assert found.individual_mean == pytest.approx(0.3625, abs=1e-12)
    assert found.individual_sd == pytest.approx(np.std([27, 25, 23, 12], ddof=1) / 60, abs=1e-12)
    assert found.gain == pytest.approx(PUBLISHED[vote] - 0.3625, abs=1e-11)


def test_answers_of_the_published_code_and_of_the_papers_text():
    logits, _ = four_models()
    of_probability = np.array(BY_PROBABILITY.split(), dtype=int)
    of_logit = np.array(BY_LOGIT.split(), dtype=int)
    np.testing.assert_array_equal(ensemble_predictions(logits), of_probability)
    np.testing.assert_array_equal(ensemble_predictions(logits, "logit"), of_logit)
    assert (of_probability != of_logit).sum() == 25


def test_agrees_with_scipy():
    logits, _ = random_models(1)
    probabilities = scipy.special.softmax(logits, axis=-1)
    confident = probabilities.max(axis=-1)
    weights = confident / confident.sum(axis=0)
    expected = {
        "probability": probabilities.mean(axis=0).argmax(axis=-1),
        "majority": scipy.stats.mode(logits.argmax(axis=-1), axis=0).mode,
        "confidence_weighted": np.einsum("mi,mic->ic", weights, probabilities).argmax(axis=-1),
        "most_confident": probabilities[confident.argmax(axis=0), np.arange(200)].argmax(axis=-1),
    }
    for vote, answers in expected.items():
        np.testing.assert_array_equal(ensemble_predictions(logits, vote), answers)


@pytest.mark.parametrize("vote", VOTES)
def test_one_model_or_many_alike_answer_as_one(vote):
    logits, labels = random_models(2, (1, 300, 5))
    alone = ensemble_accuracy(logits, labels, vote)
    assert alone.gain == 0 and np.isnan(alone.individual_sd)
    assert ensemble_accuracy(np.repeat(logits, 4, axis=0), labels, vote).gain == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("vote", VOTES)
def test_the_order_of_models_does_not_matter_and_batches_are_apart(vote):
    logits, _ = random_models(3, (2, 5, 201, 4))
    together = ensemble_predictions(logits, vote)
    assert together.shape == (2, 201)
    for part, answers in zip(logits, together, strict=True):
        np.testing.assert_array_equal(ensemble_predictions(part, vote), answers)
        if vote != "majority":
            np.testing.assert_array_equal(ensemble_predictions(part[::-1], vote), answers)


def test_an_offset_of_one_models_logits_changes_no_probability_and_no_mean_logits_order():
    logits, _ = random_models(4)
    offset = 1000 * np.random.default_rng(0).normal(size=(5, 200, 1))
    for vote in VOTES:
        np.testing.assert_array_equal(ensemble_predictions(logits + offset, vote), ensemble_predictions(logits, vote))


def test_independent_models_that_are_right_more_often_than_not_gain_from_a_majority():
    """Condorcet's theorem: 9 voters of two classes, each right with probability 0.7, are right with 0.9012."""
    generator = np.random.default_rng(5)
    right = generator.random((9, 100_000)) < 0.7
    logits = np.stack([~right, right], axis=-1).astype(np.float32)
    found = ensemble_accuracy(logits, np.ones(100_000, dtype=int), "majority")
    assert found.ensemble == pytest.approx(scipy.stats.binom.sf(4, 9, 0.7), abs=0.004)
    # With equal confidence, mean probability and mean logit are majorities too.
    for vote in ("probability", "logit"):
        np.testing.assert_array_equal(ensemble_predictions(logits, vote), ensemble_predictions(logits, "majority"))
    # Two independent voters differ with probability 2 p (1 - p).
    assert disagreement(logits) == pytest.approx(0.42, abs=0.003)


def test_equal_votes_go_to_the_first_class():
    logits = np.zeros((2, 1, 5))
    logits[0, 0, 3] = logits[1, 0, 1] = 1
    assert ensemble_predictions(logits, "majority")[0] == 1
    assert ensemble_predictions(logits[::-1], "probability")[0] == 1


def test_disagreement_counts_pairs_of_models():
    answers = np.array([[0, 1, 2, 0], [0, 1, 0, 1], [0, 1, 0, 2]])
    logits = np.eye(3)[answers]
    # Pairs differ on 2, 2 and 1 of 4 images.
    assert disagreement(logits) == pytest.approx(5 / 12)
    assert disagreement(np.stack([logits, logits[[0, 0, 0]]])).tolist() == pytest.approx([5 / 12, 0])


def test_one_image_that_two_models_answer_confidently_and_three_do_not():
    """The votes differ: three weak answers for class 1, two sure ones for class 0."""
    logits = np.log([[[0.99, 0.01]], [[0.99, 0.01]], [[0.4, 0.6]], [[0.4, 0.6]], [[0.4, 0.6]]])
    answers = {vote: int(ensemble_predictions(logits, vote)[0]) for vote in VOTES}
    assert answers == {
        "probability": 0,
        "logit": 0,
        "majority": 1,
        "most_confident": 0,
        "confidence_weighted": 0,
    }


@pytest.mark.parametrize(
    ("logits", "labels", "vote", "message"),
    [
        (np.zeros((2, 3, 4)), [0, 1, 2], "soft", "vote: expected one of probability, logit.*found 'soft'"),
        (np.full((2, 3, 4), np.nan), [0, 1, 2], "logit", "logits: .*NaN or infinite"),
        (np.zeros((2, 3, 1)), [0, 0, 0], "logit", "at least 2 classes"),
        (np.zeros((2, 3, 4)), [0, 1], "logit", r"labels: expected shape \(3,\).*found \(2,\)"),
        (np.zeros((2, 3, 4)), [0, 1, 4], "logit", "labels: expected 0 to 3"),
        (np.zeros((3, 4)), [0, 1, 2], "logit", "models, images, classes"),
    ],
)
def test_refuses(logits, labels, vote, message):
    with pytest.raises(TopoRepError, match=message):
        ensemble_accuracy(logits, np.array(labels), vote)


@pytest.mark.parametrize("vote", ["probability", "logit"])
def test_ensemble_without_one_is_that_of_the_others(vote):
    logits, labels = random_models(6, (2, 5, 300, 4))
    found = leave_one_out_accuracy(logits, labels, vote)
    assert found.shape == (2, 5)
    for model in range(5):
        others = ensemble_accuracy(np.delete(logits, model, axis=-3), labels, vote)
        np.testing.assert_allclose(found[:, model], others.ensemble, atol=1e-15)
    # Without one of two, the other is left.
    pair = leave_one_out_accuracy(logits[0, :2], labels, vote)
    np.testing.assert_array_equal(pair, ensemble_accuracy(logits[0, :2], labels, vote).individual[::-1])


@pytest.mark.parametrize(
    ("shape", "vote", "message"),
    [((1, 3, 4), "logit", "at least 2 models, found 1"), ((2, 3, 4), "majority", "one of probability, logit, found")],
)
def test_leaving_one_out_refuses(shape, vote, message):
    with pytest.raises(TopoRepError, match=message):
        leave_one_out_accuracy(np.zeros(shape), np.zeros(3, dtype=int), vote)


def test_disagreement_refuses_a_single_model():
    with pytest.raises(TopoRepError, match="at least 2 models, found 1"):
        disagreement(np.zeros((1, 3, 4)))
