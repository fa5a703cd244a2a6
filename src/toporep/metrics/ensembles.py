"""Answers of several classifiers together, and how far they differ."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_array, check_choice
from toporep.metrics.calibration import accuracy

VOTES = ("probability", "logit", "majority", "most_confident", "confidence_weighted")


class EnsembleAccuracy(NamedTuple):
    """Accuracy of an ensemble beside that of its members, as shares of the images.

    individual: (..., models), each member's.
    individual_mean, individual_sd: (...) over the members; the SD with ddof = 1, NaN for one member.
    ensemble: (...), of their common answer.
    gain: (...), ensemble less individual_mean.
    """

    individual: np.ndarray
    individual_mean: np.ndarray
    individual_sd: np.ndarray
    ensemble: np.ndarray
    gain: np.ndarray


def ensemble_accuracy(logits: np.ndarray, labels: np.ndarray, vote: str = "probability") -> EnsembleAccuracy:
    """Accuracy of an ensemble and its gain over the mean of its members.

    Args:
        logits: (..., models, images, classes), at least 2 classes, of the same images for all models.
        labels: (images,) integers from 0 to classes - 1.
        vote: as for `ensemble_predictions`.

    Returns:
        An `EnsembleAccuracy`.

    Raises:
        TopoRepError: NaN or infinity, labels that do not fit the logits, an unknown vote.

    Source:
        Sander & Hasson 2026, "Ensemble Methods and Noise Robustness" and Fig. 7: 10 models.
    """
    logits = _check_logits(logits)
    labels = np.asarray(labels)
    if labels.shape != logits.shape[-2:-1]:
        raise TopoRepError(f"labels: expected shape {logits.shape[-2:-1]} for these logits, found {labels.shape}")
    individual = accuracy(logits, labels)
    together = np.mean(ensemble_predictions(logits, vote) == labels, axis=-1)
    mean = individual.mean(axis=-1)
    sd = individual.std(axis=-1, ddof=1) if individual.shape[-1] > 1 else np.full_like(mean, np.nan)
    return EnsembleAccuracy(individual, mean, sd, together, together - mean)


def ensemble_predictions(logits: np.ndarray, vote: str = "probability") -> np.ndarray:
    """The class that several models answer together; of equal ones, the first.

    Args:
        logits: (..., models, images, classes), at least 2 classes.
        vote: "probability": greatest mean softmax probability (the published code; called "soft" there);
            "logit": greatest mean logit (the paper's text); "majority": most frequent answer; "most_confident": answer
            of the model whose greatest probability is the greatest; "confidence_weighted": greatest mean probability,
            each model weighted by its greatest probability for the image. The published code computes the last three,
            but the paper does not report them.

    Returns:
        (..., images) int64.

    Raises:
        TopoRepError: NaN or infinity, fewer than 2 classes, an unknown vote.
    """
    check_choice(vote, "vote", VOTES)
    logits = _check_logits(logits)
    if vote == "logit":
        return logits.mean(axis=-3, dtype=np.float64).argmax(axis=-1)
    if vote == "majority":
        return _one_hot(logits).sum(axis=-3).argmax(axis=-1)
    probabilities = _softmax(logits)
    if vote == "probability":
        return probabilities.mean(axis=-3).argmax(axis=-1)
    confident = probabilities.max(axis=-1, keepdims=True)
    if vote == "confidence_weighted":
        return (confident * probabilities).sum(axis=-3).argmax(axis=-1)
    model = confident.argmax(axis=-3, keepdims=True)
    answers = logits.argmax(axis=-1, keepdims=True)
    return np.take_along_axis(answers, model, axis=-3)[..., 0, :, 0]


def leave_one_out_accuracy(logits: np.ndarray, labels: np.ndarray, vote: str = "probability") -> np.ndarray:
    """Accuracy of an ensemble without each of its members in turn, as the jackknife needs it.

    Args:
        logits: (..., models, images, classes), at least 2 models and 2 classes.
        labels: (images,) integers from 0 to classes - 1.
        vote: "probability" or "logit", as for `ensemble_predictions`.

    Returns:
        (..., models) float64: of all models but this one.

    Raises:
        TopoRepError: NaN or infinity, a single model, labels that do not fit the logits, another vote.
    """
    check_choice(vote, "vote", VOTES[:2])
    logits = _check_logits(logits)
    if logits.shape[-3] < 2:
        raise TopoRepError("logits: expected at least 2 models, found 1")
    values = _softmax(logits) if vote == "probability" else logits.astype(np.float64)
    return accuracy(values.sum(axis=-3, keepdims=True) - values, labels)


def disagreement(logits: np.ndarray) -> np.ndarray:
    """Share of images to which two models give different answers, averaged over all pairs of models.

    Args:
        logits: (..., models, images, classes), at least 2 models and 2 classes.

    Returns:
        (...) float64, 0 (all models answer alike) to 1.

    Raises:
        TopoRepError: NaN or infinity, too few models or classes.

    Source:
        Disagreement measure of Kuncheva & Whitaker 2003, with answers in the place of errors. No measure of the paper;
        for its question whether geometries that differ more make answers that differ more.
    """
    answers = _check_logits(logits).argmax(axis=-1)
    models = answers.shape[-2]
    if models < 2:
        raise TopoRepError(f"logits: expected at least 2 models, found {models}")
    pairs = itertools.combinations(range(models), 2)
    return np.mean([np.mean(answers[..., a, :] != answers[..., b, :], axis=-1) for a, b in pairs], axis=0)


def _one_hot(logits: np.ndarray) -> np.ndarray:
    return logits.argmax(axis=-1)[..., np.newaxis] == np.arange(logits.shape[-1])


def _softmax(logits: np.ndarray) -> np.ndarray:
    # Relative to the greatest, no logit can overflow the exponential.
    values = np.exp(np.subtract(logits, logits.max(axis=-1, keepdims=True), dtype=np.float64))
    values /= values.sum(axis=-1, keepdims=True)
    return values


def _check_logits(logits: np.ndarray) -> np.ndarray:
    logits = check_array(logits, "logits", dims=("models", "images", "classes"))
    if logits.shape[-1] < 2:
        raise TopoRepError(f"logits: expected at least 2 classes, found 1 in shape {logits.shape}")
    return logits
