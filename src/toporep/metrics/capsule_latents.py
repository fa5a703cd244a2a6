"""Equivariance error and capsule correlation from sampled latents: as published, and such that they need learning.

t = (z + mu) / sqrt(v + eps), where v sums u^2 over a window of frames. Published, two frames' t share most of their u,
and mu makes t nearly constant within a capsule, so that a model that has learned nothing has a low equivariance error
and, with a wide window, a capsule correlation of 1. The other variants take one or both of these away:

- "published": t as the model has it.
- "without_mu": mu is left out of t.
- "disjoint_windows": for each pair of frames, the t of either sums only the u^2 of those frames of its own window that
  are strictly nearer, around the cycle, to itself than to the other, so that the two have no u in common.
- "disjoint_windows_without_mu": both.

For the plain VAE, whose t is z, all four are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_array, check_choice
from toporep.metrics.capsule_roll import check_classes, nearest_rolls, observed_roll, zero_frames
from toporep.metrics.equivariance import NORMS, check_frames, equivariance_error, scale_to_unit_norm

VARIANTS = ("published", "without_mu", "disjoint_windows", "disjoint_windows_without_mu")
# Sequences are taken in blocks that stay in the processor's cache.
_BLOCK_VALUES = 1 << 15
_DIMS = ("frames", "capsules", "units")


def topographic_latents(
    z: np.ndarray,
    u: np.ndarray | None = None,
    grouper: np.ndarray | None = None,
    *,
    mu: float = 30.0,
    eps: float = 1e-6,
) -> np.ndarray:
    """Topographic latents t = (z + mu) / sqrt(v + eps), v = grouper @ u^2 in each capsule.

    Args:
        z, u: (..., frames, capsules, units) sampled latents; any leading batch. Without u and grouper (the plain VAE),
            t is z.
        grouper: (frames * units, frames * units), from `toporep.models.grouper.grouper_matrix`; index frame * units +
            unit, rows are those of t.
        mu: the model's scalar that is added to z.
        eps: added to v under the root.

    Returns:
        (..., frames, capsules, units) float64.

    Raises:
        TopoRepError: NaN or infinity, shapes that do not match, u without a grouper or a grouper without u.

    Source:
        Keller & Welling 2021, eq. 6 to 11; the sign of mu and eps are those of the published code.
    """
    sampled = _check(z, u, grouper, mu=mu, eps=eps)
    return _topographic(sampled).reshape(np.shape(z))


def latent_equivariance_error(
    z: np.ndarray,
    u: np.ndarray | None = None,
    grouper: np.ndarray | None = None,
    *,
    mu: float = 30.0,
    eps: float = 1e-6,
    variant: str = "published",
    norm: str = "capsule",
) -> np.ndarray:
    """Equivariance error of sequences from their sampled latents.

    Args:
        z, u, grouper, mu, eps: as for `topographic_latents`.
        variant: which t is compared; see the module.
        norm: as for `equivariance_error`.

    Returns:
        (...) float64.

    Raises:
        TopoRepError: as for `topographic_latents` and `equivariance_error`; an unknown variant.
    """
    check_choice(norm, "norm", NORMS)
    sampled = _check(z, u, grouper, mu=mu, eps=eps, variant=variant)
    check_frames(sampled.z.shape[1])
    disjoint = _is_disjoint(variant) and sampled.u is not None
    errors = np.empty(len(sampled.z))
    for part in _blocks(sampled.z.shape):
        block = sampled.take(part)
        errors[part] = _disjoint_errors(block, norm) if disjoint else equivariance_error(_topographic(block), norm=norm)
    return errors.reshape(np.shape(z)[:-3])[()]


def latent_rolls(
    z: np.ndarray,
    u: np.ndarray | None = None,
    grouper: np.ndarray | None = None,
    *,
    classes: np.ndarray,
    mu: float = 30.0,
    eps: float = 1e-6,
    variant: str = "published",
    omega: str = "nearest",
) -> np.ndarray:
    """Observed roll of each sequence from its sampled latents, for `capsule_correlation`.

    The published variant is `sequence_rolls(topographic_latents(...), classes)`, made of the frames that are compared
    only. A first frame of class 0 is compared with itself, so it rolls by 0 in every variant.

    Args:
        z, u: (sequences, frames, capsules, units) sampled latents; grouper, mu, eps as for `topographic_latents`.
        classes, omega: as for `sequence_rolls`.
        variant: which t is compared; see the module.

    Returns:
        (sequences,) int64 rolls, 0 to units - 1.

    Raises:
        TopoRepError: as for `topographic_latents` and `sequence_rolls`; an unknown variant.
    """
    sampled = _check(z, u, grouper, mu=mu, eps=eps, variant=variant)
    if np.ndim(z) != 4:
        raise TopoRepError(f"z: expected (sequences, frames, capsules, units), found shape {np.shape(z)}")
    classes = check_classes(classes, sampled.z.shape[:2])
    pairs = zero_frames(classes, omega=omega)
    disjoint = _is_disjoint(variant)
    rolls = np.empty(len(pairs.sequence), dtype=np.int64)
    for frame in np.unique(pairs.frame).tolist():
        chosen = np.flatnonzero(pairs.frame == frame)
        for part in _blocks((len(chosen), *sampled.z.shape[1:])):
            block = sampled.take(pairs.sequence[chosen[part]])
            rolls[chosen[part]] = observed_roll(
                _frame_latents(block, 0, partner=frame if disjoint else None),
                _frame_latents(block, frame, partner=0 if disjoint else None),
            )
    return nearest_rolls(rolls, pairs, shifts=classes[:, 0])


def nearer_frames(frames: int, frame: int, partner: int) -> np.ndarray:
    """Which frames are strictly nearer, around the cycle of `frames`, to one frame than to another: (frames,) bool."""
    others = np.arange(frames)
    return _cyclic_distance(others - frame, frames) < _cyclic_distance(others - partner, frames)


class _Sampled(NamedTuple):
    """Checked latents: z and u (sequences, frames, capsules, units); u and grouper are None for the plain VAE."""

    z: np.ndarray
    u: np.ndarray | None
    grouper: np.ndarray | None
    mu: float
    eps: float

    def take(self, rows: slice | np.ndarray) -> _Sampled:
        return self._replace(z=self.z[rows], u=None if self.u is None else self.u[rows])


def _check(
    z: np.ndarray,
    u: np.ndarray | None,
    grouper: np.ndarray | None,
    *,
    mu: float,
    eps: float,
    variant: str = "published",
) -> _Sampled:
    check_choice(variant, "variant", VARIANTS)
    z = check_array(z, "z", dims=_DIMS)
    frames, _, units = z.shape[-3:]
    if (u is None) != (grouper is None):
        found = "u only" if grouper is None else "a grouper only"
        raise TopoRepError(f"u, grouper: expected both (topographic model) or neither (plain VAE), found {found}")
    if u is None:
        return _Sampled(z.reshape(-1, *z.shape[-3:]), None, None, 0.0, 0.0)
    u = check_array(u, "u", dims=_DIMS)
    if u.shape != z.shape:
        raise TopoRepError(f"u: expected the shape of z, {z.shape}, found {u.shape}")
    grouper = check_array(grouper, "grouper", dims=("outputs", "inputs")).astype(np.float64)
    if grouper.shape != (frames * units, frames * units):
        size = frames * units
        raise TopoRepError(
            f"grouper: expected ({size}, {size}) for {frames} frames of {units} units, found {grouper.shape}"
        )
    if not (np.isfinite(mu) and eps > 0):
        raise TopoRepError(f"mu, eps: expected a finite mu and eps above 0, found {mu!r} and {eps!r}")
    mu = 0.0 if variant.endswith("without_mu") else float(mu)
    z, u = (values.reshape(-1, *values.shape[-3:]) for values in (z, u))
    return _Sampled(z, u, grouper, mu, float(eps))


def _is_disjoint(variant: str) -> bool:
    return variant.startswith("disjoint_windows")


def _blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Slices of the first dimension."""
    block = max(1, _BLOCK_VALUES // int(np.prod(shape[1:])))
    return (slice(start, start + block) for start in range(0, shape[0], block))


def _topographic(sampled: _Sampled) -> np.ndarray:
    """t of all frames, float64, shape of z."""
    z = sampled.z.astype(np.float64)
    if sampled.u is None:
        return z
    _, frames, capsules, units = z.shape
    v = (_squares(sampled.u) @ sampled.grouper.T).reshape(-1, capsules, frames, units).swapaxes(1, 2)
    return (z + sampled.mu) / np.sqrt(v + sampled.eps)


def _frame_latents(sampled: _Sampled, frame: int, *, partner: int | None) -> np.ndarray:
    """t of one frame, (sequences, capsules, units); with a partner, only from frames that are nearer to it."""
    z = sampled.z[:, frame].astype(np.float64)
    if sampled.u is None:
        return z
    frames, units = sampled.z.shape[1], sampled.z.shape[3]
    rows = sampled.grouper[frame * units : (frame + 1) * units]
    if partner is not None:
        rows = rows * np.repeat(nearer_frames(frames, frame, partner), units)
    v = (_squares(sampled.u) @ rows.T).reshape(z.shape)
    return (z + sampled.mu) / np.sqrt(v + sampled.eps)


def _squares(u: np.ndarray) -> np.ndarray:
    """u^2 as (sequences * capsules, frames * units) float64, for one matrix product."""
    count, frames, capsules, units = u.shape
    return np.square(u, dtype=np.float64).swapaxes(1, 2).reshape(count * capsules, frames * units)


def _disjoint_errors(sampled: _Sampled, norm: str) -> np.ndarray:
    """(sequences,) equivariance errors, each pair of frames with windows of its own."""
    z = sampled.z.astype(np.float64).swapaxes(0, 1) + sampled.mu
    frames, count = z.shape[:2]
    ahead, behind = _partial_sums(sampled)
    errors = np.zeros(count)
    for offset in range(1, frames):
        # Of the frames ahead of l those before the middle of its way to l + offset are nearer to l, of the frames
        # behind it those before the middle of the way around the cycle; for l + offset the other way round.
        near, far = (offset - 1) // 2, (frames - offset - 1) // 2
        first, second = np.s_[: frames - offset], np.s_[offset:]
        t_first = z[first] / np.sqrt(ahead[near][first] + behind[far][first] + sampled.eps)
        t_second = z[second] / np.sqrt(ahead[far][second] + behind[near][second] + sampled.eps)
        rolled = np.roll(scale_to_unit_norm(t_first, norm), offset, axis=-1)
        errors += np.abs(rolled - scale_to_unit_norm(t_second, norm)).sum(axis=(0, 2, 3))
    return errors


def _partial_sums(sampled: _Sampled) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Sums of the terms of v from a frame itself and the next 0, 1, ... frames, and from the 0, 1, ... frames before.

    Sums from both sides, as their difference would lose digits. Each is (frames, sequences, capsules, units).
    """
    count, frames, capsules, units = sampled.u.shape
    squares = np.square(sampled.u.swapaxes(0, 1), dtype=np.float64).reshape(frames, count * capsules, units)
    blocks = sampled.grouper.reshape(frames, units, frames, units)
    here = np.arange(frames)

    def terms(offset: int) -> np.ndarray:
        there = (here + offset) % frames
        weights = blocks[here, :, there]
        if not weights.any():
            return np.zeros((frames, count, capsules, units))
        return (squares[there] @ weights.swapaxes(1, 2)).reshape(frames, count, capsules, units)

    ahead, behind = [terms(0)], [np.zeros((frames, count, capsules, units))]
    for offset in range(1, frames // 2):
        ahead.append(ahead[-1] + terms(offset))
        behind.append(behind[-1] + terms(-offset))
    return ahead, behind


def _cyclic_distance(offset: np.ndarray, frames: int) -> np.ndarray:
    offset = offset % frames
    return np.minimum(offset, frames - offset)
