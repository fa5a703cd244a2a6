"""Task losses of Sander & Hasson (2026) that compare the images of a batch with each other.

All take any leading dimensions before the two that they read; the result has those leading dimensions, so that one
batch gives a scalar. They compute in the dtype and on the device of their input, in float32 where that is of half
precision; call them outside autocast, which would round the similarities.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from toporep.errors import TopoRepError


def simclr(
    features: Tensor, temperature: float = 0.07, *, base_temperature: float | None = None, normalize: bool = True
) -> Tensor:
    """SimCLR loss (NT-Xent): an image's other view should be nearer than every other view of the batch.

    Args:
        features: (..., 2B, D): the first views of B images, then their second views in the same order.
        temperature: divides the cosine similarities.
        base_temperature: the loss is multiplied by temperature / base_temperature. Default: by 1.
        normalize: scale the rows to unit length first; False where they have it already.

    Returns:
        (...): the mean over the 2B anchors of -log softmax of the twin's similarity among the 2B - 1 other rows.

    Raises:
        TopoRepError: an argument does not fit.

    Source: Chen et al. 2020; Sander & Hasson 2026, Methods, "SimCLR". The temperature is the published code's.
    """
    _check_features("features", features)
    rows = features.shape[-2]
    if rows % 2:
        raise TopoRepError(f"features: expected two views of each image, (..., 2B, D), found {tuple(features.shape)}")
    scale = _check_temperatures(temperature, base_temperature)
    directions = _directions(features) if normalize else features
    first, second = directions.unflatten(-2, (2, rows // 2)).unbind(-3)
    attraction = (first * second).sum(-1).mean(-1) / temperature
    return scale * (_repulsion(_similarities(directions, temperature)) - attraction)


def supcon(
    features: Tensor,
    labels: Tensor,
    temperature: float = 0.07,
    *,
    base_temperature: float | None = None,
    normalize: bool = True,
) -> Tensor:
    """Supervised contrastive loss: all views of a class should be nearer than those of other classes.

    Args:
        features: (..., 2B, D): the first views of B images, then their second views in the same order.
        labels: (..., B), the class of each image; or (..., 2B), the class of each row. With B labels every row has
            a positive, its twin, so that a class may occur once; with 2B labels each class must occur twice.
        temperature, base_temperature, normalize: see `simclr`.

    Returns:
        (...): the mean over the 2B anchors of the mean over their positives (the other rows of the same class) of
        -log softmax of the similarity among the 2B - 1 other rows.

    Raises:
        TopoRepError: an argument does not fit, or a row is the only one of its class.

    Source: Khosla et al. 2020, eq. 2; Sander & Hasson 2026, Methods, "SupCon".
    """
    _check_features("features", features)
    scale = _check_temperatures(temperature, base_temperature)
    directions = _directions(features) if normalize else features
    similarities = _similarities(directions, temperature)
    positives = _positives(_row_labels(labels, features)).to(similarities.dtype)
    attraction = (similarities * (positives / positives.sum(-1, keepdim=True))).sum(-1).mean(-1)
    return scale * (_repulsion(similarities) - attraction)


def hierarchical_margin(
    embeddings: Tensor,
    labels: Tensor,
    superclass: Tensor | Sequence[int] | Mapping[int, int],
    margins: Sequence[float] = (0.05, 0.3, 0.5),
) -> Tensor:
    """Label-aware margin loss over a hierarchy of classes and superclasses, such as animate and inanimate.

    Args:
        embeddings: (..., B, D), scaled to unit length inside.
        labels: (..., B), the class of each row. A class may occur once: it then has pairs of other kinds only.
        superclass: the superclass of each row, in the shape of `labels`; or of each class: a mapping, or a vector
            with one entry a class, where its length differs from the batch's. Pass a mapping where a vector could
            be taken for either.
        margins: cosine distances m_p, m_n-bar, m_n. Rows of one class should be at most m_p apart, rows of two
            classes of one superclass at least m_n-bar, rows of two superclasses at least m_n.

    Returns:
        (...): the mean over the B (B - 1) / 2 pairs of the squared excess (same class) or shortfall.

    Raises:
        TopoRepError: an argument does not fit, or a class belongs to two superclasses. On a GPU the latter and
            classes without a superclass are not looked for, because that would make the host wait.

    Source: Sander & Hasson 2026, Methods, "Margin Loss".
    """
    _check_features("embeddings", embeddings)
    _check_labels(labels, embeddings, [embeddings.shape[-2]])
    same_class = labels.unsqueeze(-1) == labels.unsqueeze(-2)
    of_rows = _superclass_of_rows(superclass, labels)
    same_superclass = of_rows.unsqueeze(-1) == of_rows.unsqueeze(-2)
    if labels.device.type == "cpu" and (same_class & ~same_superclass).any():
        raise TopoRepError("superclass: expected one superclass a class, found a class with two of them in the batch")
    within, between, across = _check_margins(margins)
    directions = _directions(embeddings)
    distances = (1 - directions @ directions.mT).clamp(0, 2)
    shortfall = torch.where(same_superclass, between - distances, across - distances)
    residuals = torch.where(same_class, distances - within, shortfall).relu()
    rows = embeddings.shape[-2]
    diagonal = torch.eye(rows, dtype=torch.bool, device=embeddings.device)
    return residuals.masked_fill(diagonal, 0).square().sum((-2, -1)) / (rows * (rows - 1))


def _similarities(directions: Tensor, temperature: float) -> Tensor:
    return directions @ directions.mT / temperature


def _repulsion(similarities: Tensor) -> Tensor:
    """Mean over anchors of the log of the summed exponentials over all other rows."""
    diagonal = torch.eye(similarities.shape[-1], dtype=torch.bool, device=similarities.device)
    return similarities.masked_fill(diagonal, -math.inf).logsumexp(-1).mean(-1)


def _directions(vectors: Tensor) -> Tensor:
    """Rows scaled to unit length, also where their squares would overflow or vanish.

    A zero row stays zero and is divided by 1, so that its gradient is finite and still leads away from zero.
    """
    if vectors.dtype in (torch.float16, torch.bfloat16):
        vectors = vectors.float()
    largest = vectors.detach().abs().amax(-1, keepdim=True)
    silent = largest == 0
    scaled = vectors / largest.masked_fill(silent, 1)
    return scaled / torch.linalg.vector_norm(scaled, dim=-1, keepdim=True).masked_fill(silent, 1)


def _positives(labels: Tensor) -> Tensor:
    """(..., rows, rows) bool: different rows of the same class."""
    same = labels.unsqueeze(-1) == labels.unsqueeze(-2)
    return same & ~torch.eye(labels.shape[-1], dtype=torch.bool, device=labels.device)


def _row_labels(labels: Tensor, features: Tensor) -> Tensor:
    """(..., rows): the class of each row of `features`."""
    rows = features.shape[-2]
    halves = [rows // 2] if rows % 2 == 0 else []
    _check_labels(labels, features, [*halves, rows])
    if labels.shape[-1] < rows:
        return torch.cat([labels, labels], dim=-1)
    alone = ~_positives(labels).any(-1)
    if alone.any():
        classes = ", ".join(str(label) for label in sorted(set(labels[alone].tolist())))
        raise TopoRepError(
            f"labels: expected each class at least twice in the batch, found no positive for class {classes}; give "
            "one label an image, so that an image's other view is its positive, or draw batches by class"
        )
    return labels


def _superclass_of_rows(superclass: Tensor | Sequence[int] | Mapping[int, int], labels: Tensor) -> Tensor:
    if isinstance(superclass, Mapping):
        missing = sorted(set(labels.unique().tolist()) - set(superclass))
        if missing:
            raise TopoRepError(f"superclass: expected one for each class, found none for class {missing[0]}")
        return torch.tensor([superclass[label] for label in labels.flatten().tolist()]).view(labels.shape).to(labels)
    vector = torch.as_tensor(superclass, device=labels.device)
    if vector.shape == labels.shape:
        return vector
    if vector.ndim != 1:
        raise TopoRepError(
            f"superclass: expected the shape of the labels {tuple(labels.shape)}, or one entry a class, found the "
            f"shape {tuple(vector.shape)}"
        )
    if labels.device.type == "cpu" and labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < len(vector):
        raise TopoRepError(
            f"superclass: expected one for each class, found {len(vector)} of them and classes from "
            f"{int(labels.min())} to {int(labels.max())}"
        )
    return vector[labels]


def _check_features(name: str, features: Tensor) -> None:
    if features.ndim < 2 or features.shape[-2] < 2 or features.shape[-1] < 1:
        raise TopoRepError(f"{name}: expected (..., at least 2 rows, features), found shape {tuple(features.shape)}")
    if not features.is_floating_point():
        raise TopoRepError(f"{name}: expected floating-point numbers, found {features.dtype}")


def _check_labels(labels: Tensor, features: Tensor, lengths: list[int]) -> None:
    shapes = [(*features.shape[:-2], length) for length in lengths]
    if tuple(labels.shape) not in shapes:
        expected = " or ".join(str(shape) for shape in shapes)
        raise TopoRepError(
            f"labels: expected shape {expected} for rows of shape {tuple(features.shape)}, found {tuple(labels.shape)}"
        )


def _check_temperatures(temperature: float, base_temperature: float | None) -> float:
    """Return the factor of the loss."""
    for name, value in (("temperature", temperature), ("base_temperature", base_temperature)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise TopoRepError(f"{name}: expected a positive number, found {value!r}")
    return 1.0 if base_temperature is None else temperature / base_temperature


def _check_margins(margins: Sequence[float]) -> tuple[float, float, float]:
    values = tuple(margins)
    if len(values) != 3 or not all(0 <= value <= 2 for value in values):
        raise TopoRepError(f"margins: expected three cosine distances in [0, 2], found {margins!r}")
    return values
