"""How far capsules are from rolling by one unit a frame: the equivariance error of sequences."""

from __future__ import annotations

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_array, check_choice, divide

NORMS = ("capsule", "whole")
# Sequences are taken in blocks that stay in the processor's cache.
_BLOCK_VALUES = 1 << 17


def equivariance_error(t: np.ndarray, *, norm: str = "capsule") -> np.ndarray:
    """Sum over all pairs of frames l < l' of the L1 distance between the capsules of l, rolled by l' - l, and of l'.

    Rolled back by their own frame's number, all frames of a perfect sequence are the same, and since a roll does not
    change an L1 distance, the error is the sum of the absolute differences of the frames so aligned. Sorted, S values
    x_1 <= ... <= x_S have sum_{a<b} |x_a - x_b| = sum_i i (S - i) (x_{i+1} - x_i): one sort takes the place of the
    S (S - 1) / 2 differences, whether or not the sequence is as long as the capsules (as a shortcut by a cyclic roll in
    time would need).

    Args:
        t: (..., frames, capsules, units) topographic latents; any leading batch of sequences.
        norm: what is scaled to an L2 norm of 1 first: each "capsule", as the published numbers must have been (the
            error of random directions is then theirs of the plain VAE), or the "whole" latent vector of a frame, as
            equation 13 reads.

    Returns:
        (...) float64, not divided by the number of pairs or capsules; NaN where a vector to be scaled is all zeros.

    Raises:
        TopoRepError: NaN or infinity, fewer than 2 frames, an unknown norm.

    Source:
        Keller & Welling 2021, eq. 13.
    """
    check_choice(norm, "norm", NORMS)
    t = check_array(t, "t", dims=("frames", "capsules", "units"))
    *batch, frames, capsules, units = t.shape
    check_frames(frames)
    sequences = t.reshape(-1, frames, capsules, units)
    errors = np.empty(len(sequences))
    block = max(1, _BLOCK_VALUES // (frames * capsules * units))
    for start in range(0, len(sequences), block):
        part = slice(start, start + block)
        errors[part] = _errors(sequences[part], norm)
    return errors.reshape(batch)[()]


def scale_to_unit_norm(t: np.ndarray, norm: str) -> np.ndarray:
    """(..., capsules, units) float64 with each capsule, or the whole, of L2 norm 1; NaN for a vector of zeros."""
    axes = (-1,) if norm == "capsule" else (-2, -1)
    size = np.sqrt(np.square(t, dtype=np.float64).sum(axis=axes, keepdims=True))
    return t * divide(np.ones(size.shape), size)


def check_frames(frames: int) -> None:
    """Refuse a sequence without a pair of frames."""
    if frames < 2:
        raise TopoRepError(f"frames: expected at least 2, since the equivariance error compares frames, found {frames}")


def _errors(sequences: np.ndarray, norm: str) -> np.ndarray:
    """(block,) errors of (block, frames, capsules, units)."""
    count, frames, capsules, units = sequences.shape
    aligned = np.empty((frames, count, capsules, units))
    for frame in range(frames):
        aligned[frame] = np.roll(sequences[:, frame], -frame, axis=-1)
    aligned = scale_to_unit_norm(aligned, norm)
    aligned.sort(axis=0)
    # Gaps, not the sorted values themselves, so that equal frames have an error of exactly zero.
    gaps = np.diff(aligned, axis=0).reshape(frames - 1, count, -1).sum(axis=-1)
    rank = np.arange(1, frames)
    return (rank * (frames - rank)) @ gaps
