from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from toporep.errors import TopoRepError
from toporep.metrics.calibration import accuracy, confidence, expected_calibration_error, logit_gap, probability_gap


def formula_answers() -> tuple[np.ndarray, np.ndarray]:
    n, c = np.arange(500)[:, None], np.arange(10)
    logits = 3 * np.sin(0.7 * n + 1.3 * c + 0.11 * n * c) + 1.5 * np.cos(0.05 * n * c * c)
    best, n = logits.argmax(axis=1), n[:, 0]
    return logits, np.where(7 * n % 10 < 7, best, (best + 1 + n % 9) % 10)


def random_answers(seed: int, shape: tuple[int, ...] = (400, 6)) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.normal(0, 1.5, shape), generator.integers(0, shape[-1], shape[:-1])


def error_by_definition(logits: np.ndarray, labels: np.ndarray, bins: int) -> float:
    probabilities = scipy.special.softmax(logits, axis=1)
    confident, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    total = 0.0
    for index in range(bins):
        inside = (index / bins < confident) & (confident <= (index + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confident[inside].mean())
    return total


def test_values_of_the_papers_measures():
    logits, labels = formula_answers()
    assert logits.argmax(axis=1)[:12].tolist() == [6, 1, 0, 0, 6, 2, 8, 1, 4, 1, 8, 0]
    assert labels[:12].tolist() == [6, 3, 0, 0, 1, 2, 8, 9, 4, 1, 8, 3]
    assert accuracy(logits, labels) == pytest.approx(0.7, abs=1e-15)
    assert logit_gap(logits) == pytest.approx(0.78561306469, abs=1e-11)
    assert probability_gap(logits) == pytest.approx(0.267789488559, abs=1e-11)
    assert confidence(logits).mean() == pytest.approx(0.510447791268, abs=1e-11)
    assert expected_calibration_error(logits, labels) == pytest.approx(0.200766790215, abs=1e-11)
    assert expected_calibration_error(logits, labels, bins=10) == pytest.approx(0.192127509017, abs=1e-11)


@pytest.mark.parametrize("bins", [1, 2, 10, 15, 40])
def test_agrees_with_torchmetrics(bins):
    torch, functional = pytest.importorskip("torch"), pytest.importorskip("torchmetrics.functional.classification")
    logits, labels = random_answers(1, (3000, 6))
    given_torch = torch.from_numpy(logits), torch.from_numpy(labels)
    error = functional.multiclass_calibration_error(*given_torch, num_classes=6, n_bins=bins, norm="l1")
    # It works in single precision.
    assert expected_calibration_error(logits, labels, bins) == pytest.approx(float(error), abs=1e-6)
    share = functional.multiclass_accuracy(*given_torch, num_classes=6, average="micro")
    assert accuracy(logits, labels) == pytest.approx(float(share), abs=1e-7)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 30))
def test_agrees_with_the_definition(seed, bins):
    logits, labels = random_answers(seed, (60, 4))
    assert expected_calibration_error(logits, labels, bins) == pytest.approx(
        error_by_definition(logits, labels, bins), abs=1e-12
    )
    probabilities = np.sort(scipy.special.softmax(logits, axis=1), axis=1)
    np.testing.assert_allclose(confidence(logits), probabilities[:, -1], rtol=1e-12)
    assert probability_gap(logits) == pytest.approx((probabilities[:, -1] - probabilities[:, -2]).mean(), rel=1e-12)


@pytest.mark.parametrize(("classes", "bins"), [(2, 2), (3, 15), (5, 5), (5, 10), (10, 10), (10, 20), (5, 35), (10, 70)])
def test_confidence_on_an_edge_belongs_to_the_bin_below(classes, bins):
    """Guo et al. 2017: bins are closed on the right. Equal logits have a confidence of exactly 1 / classes."""
    # One image on the edge, which is wrong, and one just above, which is right: in one bin the two would cancel.
    above = np.zeros(classes)
    above[0] = 1e-3
    logits, labels = np.stack([np.zeros(classes), above]), np.array([1, 0])
    below, beyond = confidence(logits)
    assert below == 1 / classes < beyond < 1 / classes + 1 / bins
    assert expected_calibration_error(logits, labels, bins) == pytest.approx((below + 1 - beyond) / 2, rel=1e-12)


def test_certain_answers_belong_to_the_last_bin():
    logits = np.array([[1e4, 0.0], [math.log(99), 0.0]])
    assert confidence(logits).tolist() == [1.0, pytest.approx(0.99)]
    # One wrong, one right, both in (0.9, 1]: |1/2 - 0.995|.
    assert expected_calibration_error(logits, np.array([1, 0]), 10) == pytest.approx(0.495, rel=1e-9)


def test_calibrated_answers_have_no_error():
    """Of ten images with a confidence of 0.7, seven are right; of ten with 0.9, nine."""
    shares = np.repeat([0.7, 0.9], 10)
    logits = np.log(np.stack([shares, 1 - shares], axis=1))
    labels = np.array([0] * 7 + [1] * 3 + [0] * 9 + [1])
    assert expected_calibration_error(logits, labels) == pytest.approx(0, abs=1e-14)
    # All wrong: the error is the confidence. All right: what is lacking of it.
    assert expected_calibration_error(logits, np.ones(20, int)) == pytest.approx(0.8, rel=1e-12)
    assert expected_calibration_error(logits, np.zeros(20, int)) == pytest.approx(0.2, rel=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_finer_bins_never_lower_the_error(seed, bins):
    logits, labels = random_answers(seed, (80, 3))
    coarse, fine = (expected_calibration_error(logits, labels, count) for count in (bins, 2 * bins))
    assert coarse <= fine + 1e-12 <= 1 + 1e-12
    one = abs(accuracy(logits, labels) - confidence(logits).mean())
    assert expected_calibration_error(logits, labels, 1) == pytest.approx(one, abs=1e-12)


@pytest.mark.parametrize("gap", [0.0, 0.5, 3.0, 4.0, 20.0])
def test_gaps_of_two_classes(gap):
    logits = np.array([[1.0 + gap, 1.0], [-2.0, -2.0 + gap]] * 3)
    assert logit_gap(logits) == pytest.approx(gap, abs=1e-12)
    assert probability_gap(logits) == pytest.approx(math.tanh(gap / 2), rel=1e-12, abs=1e-15)


def test_the_papers_probability_gap_is_the_logistic_function_of_the_logit_gap():
    """4.0 and "98 %" (App. A.1): the probability of the first of two classes, not the gap between them."""
    logits = np.array([[4.0, 0.0]])
    assert confidence(logits)[0] == pytest.approx(0.982, abs=5e-4)
    assert probability_gap(logits) == pytest.approx(0.964, abs=5e-4)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_invariances(seed):
    logits, labels = random_answers(seed, (50, 5))
    generator = np.random.default_rng(seed + 1)
    classes, images = generator.permutation(5), generator.permutation(50)
    same = [
        (logits + generator.normal(0, 100, (50, 1)), labels),
        (logits[:, classes], np.argsort(classes)[labels]),
        (logits[images], labels[images]),
    ]
    for kernel in (accuracy, expected_calibration_error, lambda z, _: logit_gap(z), lambda z, _: probability_gap(z)):
        for changed in same:
            assert kernel(*changed) == pytest.approx(kernel(logits, labels), abs=1e-10)


def test_temperature_changes_confidence_and_not_accuracy():
    logits, labels = formula_answers()
    assert accuracy(3 * logits, labels) == accuracy(logits, labels)
    assert logit_gap(3 * logits) == pytest.approx(3 * logit_gap(logits))
    assert confidence(3 * logits).mean() > confidence(logits).mean()


def test_great_logits_do_not_overflow():
    logits = np.array([[1e30, 0.0, -1e30], [1e5, 1e5, 0.0]], dtype=np.float32)
    np.testing.assert_allclose(confidence(logits), [1.0, 0.5])
    assert probability_gap(logits) == pytest.approx(0.5)


def test_first_of_equal_logits_is_the_answer():
    assert accuracy(np.zeros((4, 3)), np.array([0, 0, 1, 2])) == 0.5


def test_batch_is_the_models_one_by_one():
    logits, labels = random_answers(2, (2, 3, 70, 4))
    logits = logits.astype(np.float32)
    before = logits.copy()
    for kernel in (accuracy, expected_calibration_error):
        together = kernel(logits, labels)
        assert together.shape == (2, 3) and together.dtype == np.float64
        assert together[1, 2] == pytest.approx(kernel(logits[1, 2], labels[1, 2]), rel=1e-12)
        # Labels without a batch are those of every model.
        assert kernel(logits, labels[0, 1])[1, 2] == pytest.approx(kernel(logits[1, 2], labels[0, 1]), rel=1e-12)
    for kernel in (logit_gap, probability_gap):
        assert kernel(logits).dtype == np.float64
        np.testing.assert_allclose(kernel(logits)[1, 0], kernel(logits[1, 0]), rtol=1e-12)
    assert confidence(logits).shape == (2, 3, 70)
    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(3, int), r"labels: expected one integer for each of 4 images, found shape \(3,\)"),
        (np.zeros(4), "found shape .* dtype float64"),
        (np.array([0, 1, 3, 0]), "labels: expected 0 to 2, found 0 to 3"),
        (np.array([0, 1, -1, 0]), "labels: expected 0 to 2, found -1 to 1"),
    ],
)
def test_refuses_labels(labels, message):
    for kernel in (accuracy, expected_calibration_error):
        with pytest.raises(TopoRepError, match=message):
            kernel(np.ones((4, 3)), labels)


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (np.ones((4, 1)), "logits: expected at least 2 classes, found 1"),
        (np.ones(4), "logits: .*images, classes"),
        (np.full((4, 3), np.nan), "logits: .*NaN or infinite"),
    ],
)
def test_refuses_logits(logits, message):
    labels = np.zeros(4, int)
    for call in (
        lambda: accuracy(logits, labels),
        lambda: expected_calibration_error(logits, labels),
        lambda: logit_gap(logits),
        lambda: probability_gap(logits),
        lambda: confidence(logits),
    ):
        with pytest.raises(TopoRepError, match=message):
            call()


@pytest.mark.parametrize("bins", [0, 1.5])
def test_refuses_bins(bins):
    with pytest.raises(TopoRepError, match=f"bins: expected an integer of at least 1, found {bins}"):
        expected_calibration_error(np.eye(3), np.arange(3), bins)
