from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from toporep import rng
from toporep.errors import TopoRepError
from toporep.metrics.rsm import rsm, second_order_similarity
from toporep.metrics.weight_noise import weight_noise_draws, weight_noise_robustness

ABSOLUTE, RELATIVE = (0.05, 0.1, 0.2, 0.3), (0.25, 0.5, 1.0, 2.0)


def readout(seed: int, *, images: int = 300, units: int = 121, classes: int = 10, dtype=np.float32) -> dict:
    """A read-out that is right about most of its images, which lie around one direction a class."""
    generator = np.random.default_rng(seed)
    centers = generator.normal(size=(classes, units))
    labels = generator.integers(0, classes, images)
    activations = np.maximum(centers[labels] + 1.5 * generator.normal(size=(images, units)), 0)
    return {
        "activations": activations.astype(dtype),
        "weight": (0.1 * centers + 0.02 * generator.normal(size=centers.shape)).astype(dtype),
        "bias": (0.1 * generator.normal(size=classes)).astype(dtype),
        "labels": labels,
    }


def slow_robustness(model: dict, noise_sd: float, repetitions: int, seed: int, measure: str) -> tuple[list, list]:
    """Accuracy and similarity of every draw, with the noisy weights themselves, in double precision."""
    activations, weight, bias = (model[name].astype(np.float64) for name in ("activations", "weight", "bias"))
    accuracies, similarities = [], []
    for draw in weight_noise_draws(weight.shape, repetitions, seed=seed):
        noisy = weight + noise_sd * draw
        predicted = np.argmax(activations @ noisy.T + bias, axis=1)
        accuracies.append(np.mean(predicted == model["labels"]))
        similarities.append(second_order_similarity(rsm(weight, measure=measure), rsm(noisy, measure=measure)))
    return accuracies, similarities


@pytest.mark.parametrize(("mode", "levels"), [("absolute", ABSOLUTE), ("relative", RELATIVE)])
@pytest.mark.parametrize("measure", ["pearson", "cosine"])
def test_agrees_with_a_loop_over_draws(mode, levels, measure):
    model = readout(0, dtype=np.float64)
    found = weight_noise_robustness(**model, levels=levels, mode=mode, repetitions=30, seed=5, measure=measure)
    for index, level in enumerate(levels):
        sd = level * (np.std(model["weight"]) if mode == "relative" else 1)
        accuracies, similarities = slow_robustness(model, sd, 30, 5, measure)
        assert found.noise_sd[index] == pytest.approx(sd, rel=1e-14)
        assert found.accuracy[index] == pytest.approx(np.mean(accuracies), rel=1e-12)
        assert found.accuracy_sd[index] == pytest.approx(np.std(accuracies, ddof=1), rel=1e-10)
        assert found.similarity[index] == pytest.approx(np.mean(similarities), rel=1e-12)
        assert found.similarity_sd[index] == pytest.approx(np.std(similarities, ddof=1), rel=1e-10)
    assert found.clean_accuracy == np.mean(
        np.argmax(model["activations"] @ model["weight"].T + model["bias"], axis=1) == model["labels"]
    )
    assert found.weight_norm == pytest.approx(math.sqrt((model["weight"] ** 2).sum()), rel=1e-14)
    assert found.weight_sd == pytest.approx(np.std(model["weight"]), rel=1e-14)


def test_single_precision_changes_next_to_nothing():
    single, double = (readout(1, images=3000, dtype=dtype) for dtype in (np.float32, np.float64))
    double = {name: single[name].astype(np.float64) for name in ("activations", "weight", "bias")} | {
        "labels": double["labels"]
    }
    a, b = (weight_noise_robustness(**model, levels=ABSOLUTE, repetitions=20) for model in (single, double))
    # Less than one image in 60,000 decisions changes sides.
    np.testing.assert_allclose(a.accuracy, b.accuracy, atol=1 / 60_000)
    np.testing.assert_allclose(a.similarity, b.similarity, rtol=1e-12)


def test_accuracy_of_two_classes_in_closed_form():
    """One image with activation a: the margin m gets normal noise of SD sqrt(2) sd |a|."""
    activations = np.array([[3.0, 4.0]])
    weight, bias = np.array([[0.2, 0.1], [0.1, 0.1]]), np.array([0.2, 0.1])
    margin, norm, repetitions = 0.4, 5.0, 40_000
    found = weight_noise_robustness(activations, weight, bias, np.array([0]), ABSOLUTE, repetitions=repetitions)
    expected = stats.norm.cdf(margin / (math.sqrt(2) * np.array(ABSOLUTE) * norm))
    standard_error = np.sqrt(expected * (1 - expected) / repetitions)
    np.testing.assert_array_less(np.abs(found.accuracy - expected), 4.5 * standard_error)
    np.testing.assert_allclose(found.accuracy_sd, standard_error * math.sqrt(repetitions), atol=0.01)


def test_limits_of_no_noise_and_of_nothing_but_noise():
    model = readout(2, images=500)
    found = weight_noise_robustness(**model, levels=[0.0, 1e6], mode="relative", repetitions=200)
    assert found.accuracy[0] == found.clean_accuracy > 0.8
    assert found.accuracy_sd[0] == 0
    assert found.similarity[0] == pytest.approx(1, rel=1e-12)
    # Ten noisy read-outs of which none knows anything: a tenth of the images, and a cosine that is 0 on average.
    assert found.accuracy[1] == pytest.approx(0.1, abs=4.5 * found.accuracy_sd[1] / math.sqrt(200))
    assert found.similarity[1] == pytest.approx(0, abs=4.5 * found.similarity_sd[1] / math.sqrt(200))


def test_relative_noise_ignores_the_scale_of_the_weights_and_absolute_noise_does_not():
    model = readout(3)
    larger = model | {"weight": 4 * model["weight"], "bias": 4 * model["bias"]}
    options = {"levels": RELATIVE, "mode": "relative", "repetitions": 20}
    small, large = (weight_noise_robustness(**one, **options) for one in (model, larger))
    np.testing.assert_array_equal(large.noise_sd, 4 * small.noise_sd)
    np.testing.assert_array_equal(large.accuracy, small.accuracy)
    np.testing.assert_allclose(large.similarity, small.similarity, rtol=1e-12)
    assert large.weight_norm == pytest.approx(4 * small.weight_norm)
    options["mode"] = "absolute"
    small, large = (weight_noise_robustness(**one, **options) for one in (model, larger))
    assert (large.accuracy > small.accuracy + 0.05).all() and (large.similarity > small.similarity).all()


def test_both_modes_at_once_are_the_modes_one_by_one():
    model = readout(4)
    modes = ["absolute"] * 4 + ["relative"] * 4
    both = weight_noise_robustness(**model, levels=ABSOLUTE + RELATIVE, mode=modes, repetitions=10)
    for half, (mode, levels) in enumerate((("absolute", ABSOLUTE), ("relative", RELATIVE))):
        one = weight_noise_robustness(**model, levels=levels, mode=mode, repetitions=10)
        for name in ("noise_sd", "accuracy", "accuracy_sd", "similarity", "similarity_sd"):
            np.testing.assert_array_equal(getattr(both, name)[4 * half : 4 * half + 4], getattr(one, name))
    assert both.accuracy[3] < both.accuracy[0] <= both.clean_accuracy


def test_order_of_images_and_of_units_and_dead_units_do_not_matter():
    model = readout(5, dtype=np.float64)
    options = {"levels": [0.1], "repetitions": 10}
    expected = weight_noise_robustness(**model, **options)
    order = np.random.default_rng(0).permutation(len(model["labels"]))
    shuffled = model | {"activations": model["activations"][order], "labels": model["labels"][order]}
    assert weight_noise_robustness(**shuffled, **options).accuracy == pytest.approx(expected.accuracy)
    # A unit that never responds takes its noise with it, so its weights matter for the similarity alone.
    silent = {name: values.copy() for name, values in model.items()}
    silent["activations"][:, 7] = 0
    loud = silent | {"weight": silent["weight"].copy()}
    loud["weight"][:, 7] += np.arange(10.0)
    a, b = (weight_noise_robustness(**one, **options) for one in (silent, loud))
    assert a.accuracy == pytest.approx(b.accuracy, abs=1e-12) and a.similarity != b.similarity


def test_of_equal_logits_the_first_class_is_predicted():
    """As np.argmax: a read-out without weights calls every image the first of the classes with the largest bias."""
    labels = np.array([0, 1, 1, 2, 2, 2])
    activations, weight = np.ones((6, 4), np.float32), np.zeros((3, 4), np.float32)
    for bias, share in (([0, 0, 0], 1 / 6), ([0, 1, 1], 2 / 6), ([1, 0, 1], 1 / 6), ([0, 0, 1], 3 / 6)):
        found = weight_noise_robustness(activations, weight, np.array(bias), labels, [0.0, 0.5], mode="relative")
        assert found.clean_accuracy == share
        # Weights that are all alike have standard deviation 0, so relative noise is none, and no similarity.
        assert found.accuracy.tolist() == [share, share] and np.isnan(found.similarity).all()


def test_double_precision_is_kept():
    labels, activations, weight = np.ones(2, int), np.ones((2, 4)), np.zeros((2, 4))
    found = weight_noise_robustness(activations, weight, np.array([1.0, 1.0 + 1e-12]), labels, [0.0])
    assert found.clean_accuracy == 1


def test_noise_leaves_the_bias_alone():
    """Without activations the logits are the biases, whatever the noise on the weights."""
    model = readout(6)
    model["activations"][:] = 0
    found = weight_noise_robustness(**model, levels=[10.0], repetitions=5)
    assert found.accuracy[0] == np.mean(model["labels"] == np.argmax(model["bias"])) and found.accuracy_sd[0] == 0


def test_draws_are_standard_normal_and_depend_on_the_seed_alone():
    draws = weight_noise_draws((10, 121), 100, seed=1)
    assert draws.shape == (100, 10, 121)
    assert stats.kstest(draws.ravel(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(draws[1:].ravel(), draws[:-1].ravel())[0, 1]) < 4.5 / math.sqrt(draws.size)
    np.testing.assert_array_equal(weight_noise_draws((10, 121), 7, seed=1), draws[:7])
    assert np.abs(np.corrcoef(weight_noise_draws((10, 121), 100, seed=2).ravel(), draws.ravel())[0, 1]) < 0.015


def test_extreme_bits_give_finite_draws(monkeypatch):
    monkeypatch.setattr(rng, "bits", lambda stream, count: np.array([0, 2**64 - 1], dtype=np.uint64))
    low, high = weight_noise_draws((1, 2), 1).ravel()
    assert low == pytest.approx(stats.norm.ppf(2.0**-53)) and high == pytest.approx(-low, rel=1e-3)


def test_one_draw_has_no_spread():
    found = weight_noise_robustness(**readout(7), levels=[0.1], repetitions=1)
    assert np.isfinite(found.accuracy).all() and np.isfinite(found.similarity).all()
    assert np.isnan(found.accuracy_sd).all() and np.isnan(found.similarity_sd).all()


def test_memory_stays_bounded():
    model = readout(8, images=10_000)
    tracemalloc.start()
    found = weight_noise_robustness(**model, levels=ABSOLUTE, repetitions=100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # And every image counts, though a class has more of them than a block.
    logits = model["activations"] @ model["weight"].T + model["bias"]
    assert found.clean_accuracy == pytest.approx(np.mean(logits.argmax(axis=1) == model["labels"]), abs=1e-4)
    # All logits of all draws would be 40 MB.
    assert peak < 15e6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activations": np.full((300, 121), np.nan, np.float32)}, "activations: .*NaN"),
        ({"activations": np.ones((2, 300, 121), np.float32)}, r"of one model, found \(2, 300, 121\) and \(10, 121\)"),
        ({"activations": np.ones((300, 120), np.float32)}, r"found \(300, 120\) and \(10, 121\)"),
        ({"weight": np.ones((10, 121)) * np.inf}, "weight: .*infinite"),
        ({"weight": np.ones((1, 121)), "bias": np.ones(1)}, "at least 2 classes, found 1"),
        ({"bias": np.ones(9)}, r"bias: expected one number for each of the 10 classes, found shape \(9,\)"),
        ({"labels": np.zeros(299, int)}, r"labels: .*each of the 300 images, found shape \(299,\)"),
        ({"labels": np.zeros(300)}, "labels: .*dtype float64"),
        ({"labels": np.full(300, 10)}, "labels: expected 0 to 9 .*found 10 to 10"),
        ({"labels": np.full(300, -1)}, "labels: expected 0 to 9 .*found -1"),
        ({"levels": []}, "levels: "),
        ({"levels": [-0.1]}, "levels: .*0 or more"),
        ({"levels": [math.nan]}, "levels: "),
        ({"mode": "percent"}, "mode: expected one of absolute, relative, found 'percent'"),
        ({"mode": ["absolute", "relative"]}, "mode: expected one, or one for each of the 1 levels, found 2"),
        ({"repetitions": 0}, "repetitions: expected at least 1, found 0"),
        ({"measure": "euclidean"}, "measure: expected one of pearson, cosine"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(TopoRepError, match=message):
        weight_noise_robustness(**readout(9) | {"levels": [0.1]} | change)
