"""Equivariance error and capsule correlation of models that have learned nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from toporep.errors import TopoRepError
from toporep.metrics.arrays import check_choice
from toporep.metrics.capsule_latents import VARIANTS, latent_equivariance_error, latent_rolls
from toporep.metrics.capsule_roll import capsule_correlation, correlation_error, cyclic_classes
from toporep.metrics.equivariance import NORMS, check_frames
from toporep.metrics.statistics import Summary, summarize

# Sequences drawn from one generator; a change would change every simulated value.
_DRAWN_TOGETHER = 32
_LATENTS, _SHIFTS = 0, 1


class NullCorrelation(NamedTuple):
    """Capsule correlation of one variant and factor without learning, and its standard error over sequences."""

    variant: str
    factor: str
    omit_zero_shift: bool
    correlation: float
    standard_error: float


def null_equivariance_error(
    shape: tuple[int, int, int],
    grouper: np.ndarray | None = None,
    *,
    mu: float = 30.0,
    eps: float = 1e-6,
    variants: Sequence[str] = VARIANTS,
    norm: str = "capsule",
    sequences: int = 192,
    seed: int = 0,
) -> dict[str, Summary]:
    """Equivariance error if z and u are standard normal noise that has nothing to do with the input, by simulation.

    Args:
        shape: (frames, capsules, units).
        grouper, mu, eps: as for `toporep.metrics.capsule_latents.topographic_latents`; None for the plain VAE.
        variants, norm: as for `toporep.metrics.capsule_latents.latent_equivariance_error`.
        sequences: how many are simulated.
        seed: of the draws: block i of 32 sequences from numpy.random.default_rng([seed, 0, i]), z before u, float32.

    Returns:
        variant → mean over sequences, its standard error, and their number.

    Raises:
        TopoRepError: as for `latent_equivariance_error`; no sequences.
    """
    options = {"mu": mu, "eps": eps, "norm": norm}
    errors: dict[str, list[np.ndarray]] = {variant: [] for variant in variants}
    for z, u in _noise(shape, grouper, sequences=sequences, seed=seed):
        for variant, found in errors.items():
            found.append(latent_equivariance_error(z, u, grouper, variant=variant, **options))
    return {variant: summarize(np.concatenate(found)) for variant, found in errors.items()}


def null_capsule_correlation(
    shape: tuple[int, int, int],
    grouper: np.ndarray | None = None,
    *,
    factors: Mapping[str, int],
    mu: float = 30.0,
    eps: float = 1e-6,
    variants: Sequence[str] = VARIANTS,
    omega: str = "nearest",
    sequences: int = 3000,
    seed: int = 0,
) -> list[NullCorrelation]:
    """Capsule correlation if z and u are standard normal noise that has nothing to do with the input, by simulation.

    Args:
        shape, grouper, mu, eps, variants: as for `null_equivariance_error`.
        factors: factor → number of its classes, e.g. {"position": 15, "scale": 5}; its first class is uniform. The
            same noise serves for all of them.
        omega: as for `toporep.metrics.capsule_roll.sequence_rolls`.
        sequences: how many are simulated.
        seed: of the draws: latents as for `null_equivariance_error`, the shifts of factor i from
            numpy.random.default_rng([seed, 1, i]).

    Returns:
        One entry for each variant, factor, and choice of leaving sequences with shift 0 out.

    Raises:
        TopoRepError: as for `latent_rolls`; no sequences; a factor with fewer than 2 or more classes than frames.
    """
    frames = _check_shape(shape)[0]
    _check_sequences(sequences)
    options = {"mu": mu, "eps": eps, "omega": omega}
    for factor, size in factors.items():
        if not 2 <= size <= frames:
            raise TopoRepError(f"factors: expected 2 to {frames} classes (the frames) of {factor!r}, found {size!r}")
    shifts = {
        factor: np.random.default_rng([seed, _SHIFTS, index]).integers(size, size=sequences)
        for index, (factor, size) in enumerate(factors.items())
    }
    rolls: dict[tuple[str, str], list[np.ndarray]] = {(v, f): [] for v in variants for f in factors}
    start = 0
    for z, u in _noise(shape, grouper, sequences=sequences, seed=seed):
        part = slice(start, start := start + len(z))
        for (variant, factor), found in rolls.items():
            classes = cyclic_classes(shifts[factor][part], frames, size=factors[factor])
            found.append(latent_rolls(z, u, grouper, classes=classes, variant=variant, **options))
    return [
        NullCorrelation(variant, factor, omit, *_correlation(np.concatenate(found), shifts[factor], omit=omit))
        for (variant, factor), found in rolls.items()
        for omit in (False, True)
    ]


def random_direction_error(frames: int, capsules: int, units: int, *, norm: str = "capsule") -> float:
    """Expected equivariance error if what is scaled to norm 1 has a uniformly random direction in every frame.

    This is a plain VAE's error when it encodes nothing. The difference of two unit vectors a, b in n dimensions has a
    random direction e of its own, so E|a_1 - b_1| = E|e_1| E||a - b||, with
    E|e_1| = Gamma(n / 2) / (sqrt(pi) Gamma((n + 1) / 2)) and
    E||a - b|| = 2^(n - 1) Gamma(n / 2)^2 / (sqrt(pi) Gamma(n - 1 / 2)).

    Args:
        frames, capsules, units: of a sequence; 18, 18, 18 gives 13270.7 and 15, 15, 15 gives 6936.5.
        norm: as for `equivariance_error`.
    """
    check_choice(norm, "norm", NORMS)
    check_frames(frames)
    if capsules < 1 or units < 1:
        raise TopoRepError(f"capsules, units: expected at least 1 of each, found {capsules} and {units}")
    n = units if norm == "capsule" else capsules * units
    log_gamma = math.lgamma(n / 2)
    log_component = log_gamma - math.lgamma((n + 1) / 2) - 0.5 * math.log(math.pi)
    log_distance = (n - 1) * math.log(2) + 2 * log_gamma - math.lgamma(n - 0.5) - 0.5 * math.log(math.pi)
    return frames * (frames - 1) / 2 * capsules * units * math.exp(log_component + log_distance)


def _noise(
    shape: tuple[int, int, int], grouper: np.ndarray | None, *, sequences: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """z and u of a block of sequences after the other; u is None for the plain VAE."""
    _check_shape(shape)
    _check_sequences(sequences)
    for block, start in enumerate(range(0, sequences, _DRAWN_TOGETHER)):
        generator = np.random.default_rng([seed, _LATENTS, block])
        size = (2, _DRAWN_TOGETHER, *shape)
        z, u = generator.standard_normal(size, dtype=np.float32)[:, : sequences - start]
        yield z, None if grouper is None else u


def _correlation(rolls: np.ndarray, shifts: np.ndarray, *, omit: bool) -> tuple[float, float]:
    kernels = capsule_correlation, correlation_error
    return tuple(float(kernel(rolls, shifts, omit_zero_shift=omit)) for kernel in kernels)


def _check_shape(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    if len(shape) != 3 or min(shape) < 1:
        raise TopoRepError(f"shape: expected (frames, capsules, units), each at least 1, found {shape!r}")
    return shape


def _check_sequences(sequences: int) -> None:
    if sequences < 1:
        raise TopoRepError(f"sequences: expected at least 1, found {sequences!r}")
