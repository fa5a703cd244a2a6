"""How alike the embeddings of one class are, and those of different classes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_array, check_choice

_SPREADS = ("mean", "pooled")


class ClassSimilarity(NamedTuple):
    """Cosine similarity of pairs of images: float64 mean and standard deviation (ddof = 0) over pairs, and their count.

    Arrays have the leading dimensions of the embeddings, a model each; NaN where there is no pair.
    """

    within_mean: np.ndarray
    within_sd: np.ndarray
    within_pairs: np.ndarray
    across_mean: np.ndarray
    across_sd: np.ndarray
    across_pairs: np.ndarray


def class_cosine_similarity(embeddings: np.ndarray, labels: np.ndarray, *, center: bool = False) -> ClassSimilarity:
    """Cosine similarity of the embeddings of images of one class, and of different classes.

    Args:
        embeddings: (..., images, units); any leading batch of models.
        labels: (images,) integers, the same for all models.
        center: subtract each unit's mean over the images first. Raw cosines go to 1, whatever the classes, as the
            embeddings' common offset outgrows their differences; centered ones do not see the offset.

    Returns:
        A `ClassSimilarity` over unordered pairs of distinct images (49,500 within and 450,000 across 10 classes of
        100). Pairs with an embedding of length 0, which has no direction, are left out and not counted.

    Raises:
        TopoRepError: NaN or infinity, labels that do not fit.

    Source:
        Sander & Hasson 2026, Table 1, raw cosines of embeddings before the ReLU; centered ones are not in the paper.
    """
    embeddings = check_array(embeddings, "embeddings", dims=("images", "units"))
    labels = _check_labels(labels, embeddings.shape[-2])
    batch = embeddings.shape[:-2]
    found = np.empty((6, *batch))
    for index in np.ndindex(*batch):
        found[(slice(None), *index)] = _compare(embeddings[index].astype(np.float64), labels, center)
    within_mean, within_sd, within_pairs, across_mean, across_sd, across_pairs = (values[()] for values in found)
    return ClassSimilarity(
        within_mean, within_sd, within_pairs.astype(np.int64), across_mean, across_sd, across_pairs.astype(np.int64)
    )


def over_trials(
    means: np.ndarray, deviations: np.ndarray, *, axis: int = 0, spread: str = "mean"
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of one entry of Table 1 from those of its trials.

    Args:
        means, deviations: of each trial's pairs, of which all trials have the same number.
        axis: the dimension of the trials.
        spread: "mean" is the mean of the trials' deviations; "pooled" the standard deviation (ddof = 0) of the pairs
            of all trials together, which also sees how far the trials' means differ.

    Returns:
        Mean and standard deviation, without the dimension of the trials.

    Raises:
        TopoRepError: shapes that differ, an unknown spread.

    Source:
        Sander & Hasson 2026, Table 1. Neither paper nor code tell how five trials become one entry.
    """
    check_choice(spread, "spread", _SPREADS)
    means, deviations = np.asarray(means, dtype=np.float64), np.asarray(deviations, dtype=np.float64)
    if means.shape != deviations.shape or not means.size:
        raise TopoRepError(
            f"means and deviations: expected equal shapes, not empty, found {means.shape} and {deviations.shape}"
        )
    if spread == "mean":
        return means.mean(axis=axis), deviations.mean(axis=axis)
    return means.mean(axis=axis), np.sqrt((deviations**2).mean(axis=axis) + means.var(axis=axis))


def better_separated(
    within: np.ndarray, across: np.ndarray, *, axis: int = -1, baseline: int = 0, decimals: int | None = None
) -> np.ndarray:
    """Where Table 1 is bold: within-class similarity at least, across-class similarity at most, the baseline's.

    Args:
        within, across: mean similarity for each strength of the topographic loss, along `axis`.
        baseline: place of the network without topographic loss along `axis`; never bold itself.
        decimals: round to so many first, as in print; None compares the numbers as they are.

    Returns:
        bool, the shape of `within`; False where a value is NaN.

    Raises:
        TopoRepError: shapes that differ.

    Source:
        Sander & Hasson 2026, caption of Table 1. Of the printed numbers one pair that ties at two decimals is not bold
        (SimCLR, rho = 0.008), another is (SupCon, 0.008): the paper must have compared them before rounding.
    """
    within, across = np.asarray(within, dtype=np.float64), np.asarray(across, dtype=np.float64)
    if within.shape != across.shape or not within.ndim:
        raise TopoRepError(f"within and across: expected equal shapes, found {within.shape} and {across.shape}")
    within, across = (np.moveaxis(values, axis, -1) for values in (within, across))
    if decimals is not None:
        within, across = within.round(decimals), across.round(decimals)
    reference_within, reference_across = (values[..., [baseline]] for values in (within, across))
    better = (within >= reference_within) & (across <= reference_across)
    better[..., baseline] = False
    return np.moveaxis(better, -1, axis)


def silhouette(points: np.ndarray, labels: np.ndarray) -> float:
    """Mean silhouette coefficient: how much nearer a point is to its own class than to the nearest other class.

    Args:
        points: (points, dimensions), e.g. of t-SNE; Euclidean distances.
        labels: (points,) integers, 2 classes to points - 1.

    Returns:
        -1 to 1; 0 for classes that overlap entirely.

    Raises:
        TopoRepError: NaN or infinity, labels that do not fit, too few or too many classes.

    Source:
        Rousseeuw 1987, from scikit-learn. Not in Sander & Hasson 2026, whose Fig. 2 is judged by eye.
    """
    from sklearn.metrics import silhouette_score

    points = check_array(points, "points", dims=("points", "dimensions"))
    if points.ndim != 2:
        raise TopoRepError(f"points: expected (points, dimensions), found shape {points.shape}")
    labels = _check_labels(labels, len(points))
    classes = len(np.unique(labels))
    if not 2 <= classes < len(points):
        raise TopoRepError(f"labels: expected 2 to {len(points) - 1} classes of {len(points)} points, found {classes}")
    return float(silhouette_score(points, labels))


def _compare(embeddings: np.ndarray, labels: np.ndarray, center: bool) -> tuple[float, ...]:
    """Mean, standard deviation and count of the cosines within classes and across."""
    if center:
        # Less its first value, a constant unit is exactly zero; less its mean alone it might be rounding noise.
        embeddings -= embeddings[:1].copy()
        embeddings -= embeddings.mean(axis=0)
    # Scaled by its largest value first, an embedding of tiny or huge numbers keeps its direction.
    largest = np.abs(embeddings).max(axis=1, keepdims=True)
    alive = largest[:, 0] > 0
    directions, labels = embeddings[alive] / largest[alive], labels[alive]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    cosines = np.clip(directions @ directions.T, -1.0, 1.0)
    upper = np.triu(np.ones(cosines.shape, dtype=bool), k=1)
    same = labels[:, np.newaxis] == labels
    return *_describe(cosines[upper & same]), *_describe(cosines[upper & ~same])


def _describe(values: np.ndarray) -> tuple[float, float, int]:
    return (values.mean(), values.std(), len(values)) if len(values) else (np.nan, np.nan, 0)


def _check_labels(labels: np.ndarray, count: int) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise TopoRepError(
            f"labels: expected {count} integers, one an image, found shape {labels.shape} and dtype {labels.dtype}"
        )
    return labels
