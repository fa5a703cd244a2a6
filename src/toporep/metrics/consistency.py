"""How alike several networks' representational geometries are: dissimilarity matrices and their correlations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import center_rows, check_array, divide, unit_rows


class Consistency(NamedTuple):
    """Correlations of the dissimilarity matrices of all pairs of models.

    mean: (...) float64, over the pairs whose correlation is defined; NaN if there is none.
    sd: (...) sample standard deviation (ddof = 1) over those pairs; NaN for fewer than 2.
    pairs: (...) int64, their number.
    correlations: (..., models, models) Pearson's r, symmetric; NaN where a matrix is constant or not defined.
    """

    mean: np.ndarray
    sd: np.ndarray
    pairs: np.ndarray
    correlations: np.ndarray


def rdm_consistency(activations: np.ndarray) -> Consistency:
    """Mean Pearson correlation of the dissimilarity matrices of all pairs of models.

    Args:
        activations: (..., models, images, units): the same images for all models, at least 3; at least 2 models and
            2 units. Leading dimensions are separate sets of models.

    Returns:
        A `Consistency`. Besides the argument, memory is 4 bytes x images ** 2 for each model of a set, and 24 bytes x
        images ** 2 for the one at work: 44 MB for 5 models and 1,000 images.

    Raises:
        TopoRepError: NaN or infinity, too few models, images or units.

    Source:
        Sander & Hasson 2026, "Consistency of Representational Geometry" and Fig. 6: 5 models, 100 images of each of
        10 classes, the embedding before the ReLU.
    """
    activations = check_array(activations, "activations", dims=("models", "images", "units"))
    *batch, models, images, units = activations.shape
    if models < 2 or images < 3:
        raise TopoRepError(f"activations: expected at least 2 models and 3 images, found {models} and {images}")
    correlations = np.empty((*batch, models, models))
    for index in np.ndindex(*batch):
        correlations[index] = _correlate([rdm(model) for model in activations[index]])
    of_pairs = correlations[..., *np.triu_indices(models, k=1)]
    defined = np.isfinite(of_pairs)
    pairs = defined.sum(axis=-1, dtype=np.int64)
    mean = divide(np.where(defined, of_pairs, 0.0).sum(axis=-1), pairs)
    squares = (np.where(defined, of_pairs - mean[..., np.newaxis], 0.0) ** 2).sum(axis=-1)
    return Consistency(mean[()], np.sqrt(divide(squares, pairs - 1))[()], pairs[()], correlations)


def rdm(activations: np.ndarray) -> np.ndarray:
    """Representational dissimilarity of all pairs of images: 1 - Pearson's r over units.

    Args:
        activations: (..., images, units), at least 2 of each; any leading batch of models.

    Returns:
        (..., pairs) float64, 0 to 2: the upper triangle of the dissimilarity matrix without its diagonal, row by row
        (the order of `numpy.triu_indices`; 499,500 pairs of 1,000 images). NaN for an image to which all units
        respond alike.

    Raises:
        TopoRepError: NaN or infinity, fewer than 2 images or units.

    Source:
        Sander & Hasson 2026, "Consistency of Representational Geometry"; Kriegeskorte et al. 2008.
    """
    activations = check_array(activations, "activations", dims=("images", "units"))
    *batch, images, units = activations.shape
    if images < 2 or units < 2:
        raise TopoRepError(f"activations: expected at least 2 images and 2 units, found {images} and {units}")
    upper = np.triu(np.ones((images, images), dtype=bool), k=1)
    result = np.empty((*batch, images * (images - 1) // 2))
    for index in np.ndindex(*batch):
        patterns = unit_rows(center_rows(activations[index].astype(np.float64)))
        result[index] = (patterns @ patterns.T)[upper]
        np.subtract(1.0, np.clip(result[index], -1.0, 1.0, out=result[index]), out=result[index])
    return result


def first_of_each_class(labels: np.ndarray, per_class: int) -> np.ndarray:
    """Indices of the first images of each class, class by class.

    Args:
        labels: (images,) integers.
        per_class: how many of each class.

    Returns:
        (classes * per_class,) int64: classes in ascending order, each class's images in their own order.

    Raises:
        TopoRepError: a class with fewer images.

    Source:
        Sander & Hasson 2026, Fig. 6 and Table 1: 100 of each class; that they are the first in the test set is the
        published code's choice.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not labels.size:
        raise TopoRepError(f"labels: expected a list of integers, found shape {labels.shape} and dtype {labels.dtype}")
    if per_class < 1:
        raise TopoRepError(f"per_class: expected at least 1, found {per_class}")
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < per_class:
        least = counts.argmin()
        raise TopoRepError(
            f"labels: expected at least {per_class} images of each class, "
            f"found {counts[least]} of class {classes[least]}"
        )
    return np.concatenate([np.flatnonzero(labels == label)[:per_class] for label in classes])


def _correlate(triangles: list[np.ndarray]) -> np.ndarray:
    """Pearson's r between all pairs of models, NaN where one is constant or holds a NaN; changes them."""
    triangles = [center_rows(triangle) for triangle in triangles]
    products = np.array([[a @ b for b in triangles] for a in triangles])
    norm = np.sqrt(products.diagonal())
    size = np.outer(norm, norm)
    return np.clip(divide(products, size), -1.0, 1.0)
