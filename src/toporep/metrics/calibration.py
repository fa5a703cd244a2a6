"""How sure a classifier is of its answers, and how often it is right."""

from __future__ import annotations

from numbers import Integral

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_array


def accuracy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Share of images whose greatest logit is that of their label; of equal logits the first counts.

    Args:
        logits: (..., images, classes), at least 2 classes; any leading batch of models.
        labels: (images,) integers from 0 to classes - 1, the same for all models, or (..., images).

    Returns:
        (...) float64, 0 to 1.

    Raises:
        TopoRepError: NaN or infinity, labels that do not fit the logits.
    """
    return _correct(_check_logits(logits), labels).mean(axis=-1)


def logit_gap(logits: np.ndarray) -> np.ndarray:
    """Mean over images of the greatest logit less the second greatest.

    Args:
        logits: (..., images, classes), at least 2 classes; any leading batch of models.

    Returns:
        (...) float64, not negative.

    Raises:
        TopoRepError: NaN or infinity, fewer than 2 classes.

    Source:
        Truong & Hasson 2025, App. A.1 and App. Fig. 5.
    """
    return _gaps(_check_logits(logits)).mean(axis=-1)


def probability_gap(logits: np.ndarray) -> np.ndarray:
    """Mean over images of the greatest softmax probability less the second greatest.

    It is not a function of the mean logit gap, from which the paper infers it (98 % for a gap of 4.0, the logistic
    function of the gap). With two classes and the same gap g for all images it is tanh(g / 2).

    Args:
        logits: (..., images, classes), at least 2 classes; any leading batch of models.

    Returns:
        (...) float64, 0 to 1.

    Raises:
        TopoRepError: NaN or infinity, fewer than 2 classes.

    Source:
        Truong & Hasson 2025, App. A.1.
    """
    logits = _check_logits(logits)
    return (-np.expm1(-_gaps(logits)) * _confidence(logits)).mean(axis=-1)


def confidence(logits: np.ndarray) -> np.ndarray:
    """The greatest softmax probability of each image.

    Args:
        logits: (..., images, classes), at least 2 classes; any leading batch of models.

    Returns:
        (..., images) float64, 1 / classes to 1.

    Raises:
        TopoRepError: NaN or infinity, fewer than 2 classes.
    """
    return _confidence(_check_logits(logits))


def expected_calibration_error(logits: np.ndarray, labels: np.ndarray, bins: int = 15) -> np.ndarray:
    """Expected calibration error: mean distance of accuracy and confidence over equal bins of confidence.

    ECE = sum_b n_b / n |accuracy_b - confidence_b|, where bin b of B holds the images whose confidence lies in
    ((b - 1) / B, b / B].

    Args:
        logits: (..., images, classes), at least 2 classes; any leading batch of models.
        labels: (images,) integers from 0 to classes - 1, the same for all models, or (..., images).
        bins: number of bins of equal width between 0 and 1.

    Returns:
        (...) float64, 0 to 1.

    Raises:
        TopoRepError: NaN or infinity, labels that do not fit the logits, no bin.

    Source:
        Guo et al. 2017, eq. 3, 15 bins; Truong & Hasson 2025, App. A.1 and App. Fig. 5.
    """
    if not isinstance(bins, Integral) or bins < 1:
        raise TopoRepError(f"bins: expected an integer of at least 1, found {bins!r}")
    logits = _check_logits(logits)
    *batch, images, classes = logits.shape
    confident = _confidence(logits).reshape(-1, images)
    excess = _correct(logits, labels).reshape(-1, images) - confident
    # The quotients are the floating-point numbers nearest to the edges, so a confidence of 0.2 is found on the edge.
    places = np.searchsorted(np.arange(1, bins) / bins, confident, side="left")
    places += bins * np.arange(len(excess))[:, None]
    of_bins = np.bincount(places.ravel(), weights=excess.ravel(), minlength=bins * len(excess))
    return (np.abs(of_bins).reshape(-1, bins).sum(axis=-1) / images).reshape(batch)[()]


def _correct(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(..., images) bool."""
    labels = np.asarray(labels)
    *batch, images, classes = logits.shape
    if labels.shape not in ((images,), (*batch, images)) or labels.dtype.kind not in "iu":
        raise TopoRepError(
            f"labels: expected one integer for each of {images} images, found shape {labels.shape} and dtype "
            f"{labels.dtype} beside logits of shape {logits.shape}"
        )
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise TopoRepError(f"labels: expected 0 to {classes - 1}, found {labels.min()} to {labels.max()}")
    return logits.argmax(axis=-1) == labels


def _gaps(logits: np.ndarray) -> np.ndarray:
    greatest = np.partition(logits, -2, axis=-1)[..., -2:].astype(np.float64)
    return greatest[..., 1] - greatest[..., 0]


def _confidence(logits: np.ndarray) -> np.ndarray:
    # Relative to the greatest, no logit can overflow the exponential.
    below = np.subtract(logits, logits.max(axis=-1, keepdims=True), dtype=np.float64)
    return 1.0 / np.exp(below, out=below).sum(axis=-1)


def _check_logits(logits: np.ndarray) -> np.ndarray:
    logits = check_array(logits, "logits", dims=("images", "classes"))
    if logits.shape[-1] < 2:
        raise TopoRepError(f"logits: expected at least 2 classes, found 1 in shape {logits.shape}")
    return logits
