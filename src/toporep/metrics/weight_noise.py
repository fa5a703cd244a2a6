"""Robustness of a linear read-out to Gaussian noise on its weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from toporep import rng
from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_array, check_choice
from toporep.metrics.rsm import rsm, second_order_similarity

_MODES = ("absolute", "relative")
# Images are taken in blocks for which the logits of all draws stay in the processor's cache.
_BLOCK_LOGITS = 1 << 19


class WeightNoise(NamedTuple):
    """Robustness of one read-out: arrays have one entry a noise level, the other values are of the clean read-out.

    noise_sd: standard deviation of the noise, in units of the weights.
    accuracy, accuracy_sd: share of correct images, mean and sample SD (ddof = 1; NaN for one draw) over draws.
    similarity, similarity_sd: the same for the second-order similarity of noisy and clean weights.
    clean_accuracy: share of correct images without noise.
    weight_norm: Frobenius norm of the weights.
    weight_sd: standard deviation (ddof = 0) of all weights, the unit of relative noise.
    """

    noise_sd: np.ndarray
    accuracy: np.ndarray
    accuracy_sd: np.ndarray
    similarity: np.ndarray
    similarity_sd: np.ndarray
    clean_accuracy: float
    weight_norm: float
    weight_sd: float


def weight_noise_robustness(
    activations: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    labels: np.ndarray,
    levels: Sequence[float],
    *,
    mode: str | Sequence[str] = "absolute",
    repetitions: int = 100,
    seed: int = 0,
    measure: str = "pearson",
) -> WeightNoise:
    """Accuracy, and similarity of the class geometry, of a read-out with noise on its weights.

    Logits are activations (weight + sd N)^T + bias, where N is standard normal and the same for every read-out and
    level (common random numbers; see `weight_noise_draws`). The bias stays as it is. The predicted class is the
    one with the largest logit; of equal ones, the first.

    Logits are linear in sd, so one matrix product serves all levels: ask for all levels of both modes at once.
    Against logits of `weight + sd N` itself they differ by rounding, in the precision of `activations`.

    Args:
        activations: (images, units) of one model, after the ReLU; float32 is worked on as such.
        weight: (classes, units) of the read-out.
        bias: (classes,).
        labels: (images,) integers, 0 to classes - 1.
        levels: noise levels, 0 or more.
        mode: "absolute" (sd = level) or "relative" (sd = level times the standard deviation of all entries of
            `weight`); one for all levels, or one a level. Absolute noise favors a read-out with large weights or
            activations, whatever its geometry; relative noise does not. Where weights are all alike, relative
            noise is none.
        repetitions: number of draws of N.
        seed: names the draws.
        measure: similarity of two classes' weights, as for `rsm`.

    Returns:
        A `WeightNoise`. Memory besides the arguments: 20 kB x repetitions for a read-out of 10 x 121, and some
        megabytes of logits.

    Raises:
        TopoRepError: NaN or infinity, shapes that do not fit, a label out of range, a bad level or option.

    Source:
        Truong & Hasson 2025, sec. 3.2 and Fig. 3 (100 draws). The paper gives neither the four levels nor the mode
        nor the measure, and there is no public code; see docs/deviations.md, D21 and D22.
    """
    activations = check_array(activations, "activations", dims=("images", "units"))
    weight = check_array(weight, "weight", dims=("classes", "units")).astype(np.float64)
    bias = check_array(bias, "bias", dims=("classes",)).astype(np.float64)
    labels = np.asarray(labels)
    _check_fit(activations, weight, bias, labels)
    noise_sd = _noise_sd(weight, levels, mode)
    draws = weight_noise_draws(weight.shape, repetitions, seed=seed)
    counts = _count_correct(activations, weight, bias, labels, np.append(noise_sd, 0.0), draws)
    clean = rsm(weight, measure=measure)
    similarity = np.empty((len(noise_sd), repetitions))
    for index, sd in enumerate(noise_sd):
        similarity[index] = second_order_similarity(clean, rsm(weight + sd * draws, measure=measure))
    return WeightNoise(
        noise_sd,
        # Means of whole numbers are exact: no noise gives the clean accuracy to the last digit.
        *(value / len(labels) for value in _mean_and_sd(counts[:-1])),
        *_mean_and_sd(similarity),
        clean_accuracy=float(counts[-1, 0] / len(labels)),
        weight_norm=float(np.linalg.norm(weight)),
        weight_sd=float(weight.std()),
    )


def weight_noise_draws(shape: tuple[int, int], repetitions: int, *, seed: int = 0) -> np.ndarray:
    """The standard normal draws that `weight_noise_robustness` adds to weights of this shape.

    Args:
        shape: (classes, units) of the read-out.
        repetitions: number of draws; fewer are the first of many.
        seed: names the draws; nothing else does, so all models of one shape share them.

    Returns:
        (repetitions, classes, units) float64.

    Raises:
        TopoRepError: repetitions below 1.
    """
    if repetitions < 1:
        raise TopoRepError(f"repetitions: expected at least 1, found {repetitions}")
    outputs = rng.bits(rng.key(seed, "weight noise"), repetitions * math.prod(shape))
    # The middle of each of 2**52 equal steps, exact in float64: never 0 or 1, whose quantiles are infinite.
    return ndtri(((outputs >> np.uint64(12)) + 0.5) * 2.0**-52).reshape(repetitions, *shape)


def _count_correct(
    activations: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    labels: np.ndarray,
    noise_sd: np.ndarray,
    draws: np.ndarray,
) -> np.ndarray:
    """Number of correct images, (levels, repetitions) int64."""
    repetitions, classes, units = draws.shape
    dtype = np.result_type(activations, np.float32)
    noise = draws.reshape(-1, units).astype(dtype)
    weight, bias = weight.astype(dtype), bias.astype(dtype)
    correct = np.zeros((len(noise_sd), repetitions), dtype=np.int64)
    block = max(16, _BLOCK_LOGITS // len(noise))
    buffer = np.empty(len(noise) * block, dtype=dtype)
    # Images of one class at a time: the true class is then one row of the logits.
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        for start in range(0, len(members), block):
            inputs = activations[members[start : start + block]].T
            clean = weight @ inputs + bias[:, np.newaxis]
            change = (noise @ inputs).reshape(repetitions, classes, -1)
            logits = buffer[: change.size].reshape(change.shape)
            for index, sd in enumerate(noise_sd):
                np.multiply(change, float(sd), out=logits)
                logits += clean
                correct[index] += np.count_nonzero(_is_argmax(logits, label), axis=-1)
    return correct


def _is_argmax(logits: np.ndarray, label: int) -> np.ndarray:
    """Where `label` is the first class with the largest logit; (repetitions, classes, images) to (rep., images)."""
    true = logits[:, label]
    before = logits[:, :label].max(axis=1, initial=-np.inf)
    after = logits[:, label + 1 :].max(axis=1, initial=-np.inf)
    return (true > before) & (true >= after)


def _mean_and_sd(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sample standard deviation along the last dimension; NaN for the latter where there is one value."""
    if values.shape[-1] < 2:
        return values.mean(axis=-1), np.full(len(values), np.nan)
    return values.mean(axis=-1), values.std(axis=-1, ddof=1)


def _noise_sd(weight: np.ndarray, levels: Sequence[float], mode: str | Sequence[str]) -> np.ndarray:
    levels = np.asarray(levels, dtype=np.float64)
    if levels.ndim != 1 or not levels.size or not np.isfinite(levels).all() or levels.min() < 0:
        raise TopoRepError(f"levels: expected one list of finite numbers, 0 or more, found {levels.tolist()}")
    modes = [mode] * len(levels) if isinstance(mode, str) else list(mode)
    if len(modes) != len(levels):
        raise TopoRepError(f"mode: expected one, or one for each of the {len(levels)} levels, found {len(modes)}")
    for name in modes:
        check_choice(name, "mode", _MODES)
    return np.where(np.array(modes) == "relative", weight.std(), 1.0) * levels


def _check_fit(activations: np.ndarray, weight: np.ndarray, bias: np.ndarray, labels: np.ndarray) -> None:
    if activations.ndim != 2 or weight.ndim != 2 or activations.shape[1] != weight.shape[1]:
        raise TopoRepError(
            "activations and weight: expected (images, units) and (classes, units) of one model, "
            f"found {activations.shape} and {weight.shape}"
        )
    classes, images = len(weight), len(activations)
    if classes < 2:
        raise TopoRepError(f"weight: expected at least 2 classes, found {classes}")
    if bias.shape != (classes,):
        raise TopoRepError(f"bias: expected one number for each of the {classes} classes, found shape {bias.shape}")
    if labels.shape != (images,) or labels.dtype.kind not in "iu":
        raise TopoRepError(
            f"labels: expected one integer for each of the {images} images, "
            f"found shape {labels.shape} and dtype {labels.dtype}"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise TopoRepError(
            f"labels: expected 0 to {classes - 1} for a read-out of {classes} classes, "
            f"found {labels.min()} to {labels.max()}"
        )
