"""What the analyses of evaluated sequences share: networks as configured, their latents as capsules, their labels."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from toporep.analyses.dumps import Dump, DumpReader
from toporep.errors import TopoRepError
from toporep.metrics.capsule_latents import VARIANTS
from toporep.models.grouper import grouper_of

# Of the frames of a sequence: those that t of the first has seen, those held out from it, all.
PARTS = ("seen", "held_out", "all")


@dataclass(frozen=True)
class Network:
    """A Topographic VAE as configured, before it learned anything.

    Attributes:
        shape: (frames, capsules, units); the plain VAE's latents count as capsules too.
        grouper: W, (frames * units, frames * units); None for the plain VAE.
        mu, eps: of t = (z + mu) / sqrt(W u² + eps); 0 for the plain VAE.
    """

    shape: tuple[int, int, int]
    grouper: np.ndarray | None
    mu: float
    eps: float

    @property
    def key(self) -> tuple:
        """Equal for networks that have the same t of the same z and u."""
        return (self.shape, None if self.grouper is None else self.grouper.tobytes(), self.mu, self.eps)


@dataclass(frozen=True)
class Latents:
    """Sampled latents of sequences, (sequences, frames, capsules, units), and what makes t of them."""

    z: np.ndarray
    u: np.ndarray | None
    grouper: np.ndarray | None
    mu: float
    eps: float

    def __len__(self) -> int:
        return len(self.z)

    def take(self, sequences: slice | np.ndarray) -> Latents:
        """The latents of some sequences; a slice copies nothing."""
        return replace(self, z=self.z[sequences], u=None if self.u is None else self.u[sequences])

    def apply(self, kernel: Callable, **options: Any) -> np.ndarray:
        """What a kernel of `toporep.metrics.capsule_latents` finds."""
        return kernel(self.z, self.u, self.grouper, mu=self.mu, eps=self.eps, **options)


class SequenceDumps(DumpReader):
    """Reads files of the evaluation `sequences`, and refuses those whose capsules or factors are not the same.

    After `measure` it knows, beside what every reader knows, `shape`: (frames, capsules, units), and `factor_names`.
    """

    def __init__(self, paths: Iterable[str | os.PathLike], provenance: Mapping[str, Any]) -> None:
        super().__init__(paths, provenance, "sequences")
        self.shape: tuple[int, int, int] | None = None
        self.factor_names: tuple[str, ...] | None = None

    def measure(self, of_run: Callable[[Dump, Network], Mapping[str, Any]]) -> dict[str, list]:
        """The same with the network as configured, whose capsules and factors are those of the files before."""
        return super().measure(lambda dump: of_run(dump, self._checked(dump)))

    def _checked(self, dump: Dump) -> Network:
        network, names = network_of(dump), _factor_names(dump)
        if self.shape is None:
            self.shape, self.factor_names = network.shape, names
        for what, found, expected in (
            ("(frames, capsules, units)", network.shape, self.shape),
            ("factor_names", names, self.factor_names),
        ):
            if found != expected:
                raise TopoRepError(
                    f"{dump.path}: {what} is {found}, expected {expected} as in the files before; analyse runs of one "
                    "data set at a time"
                )
        return network


def network_of(dump: Dump) -> Network:
    """The network of an evaluation of sequences, from the settings stored in the file.

    Raises:
        TopoRepError: settings without a model or a condition, or of other latents than the file's.
    """
    settings = json.loads(dump.attrs["config"])
    try:
        model, condition = settings["model"], settings["condition"]
        shape = (int(model["frames"]), int(model["capsules"]), int(model["units"]))
        grouper = grouper_of(settings)
        mu, eps = (0.0, 0.0) if grouper is None else (float(condition["mu"]), float(condition["eps"]))
    except KeyError as error:
        raise TopoRepError(
            f"{dump.path}: attribute 'config' lacks {error}, a setting of a Topographic VAE; make the file again"
        ) from error
    frames, latents = dump.data.sizes["frame"], dump.data.sizes["latent"]
    if (frames, latents) != (shape[0], shape[1] * shape[2]):
        raise TopoRepError(
            f"{dump.path}: expected {shape[0]} frames of {shape[1]} x {shape[2]} latents, as attribute 'config' says, "
            f"found {frames} frames of {latents}; make the file again"
        )
    if (grouper is None) != ("u" not in dump.data):
        expected = "without u, as of a plain VAE" if grouper is None else "with u"
        raise TopoRepError(f"{dump.path}: expected latents {expected}, as attribute 'config' says; make the file again")
    return Network(shape, grouper, mu, eps)


def latents_of(dump: Dump, network: Network, *, trained: bool = True) -> Latents:
    """The latents of the trained network, or those of the same before training, when mu was as configured."""
    suffix = "" if trained else "_untrained"
    z = dump.data[f"z{suffix}"].values
    u = None if network.grouper is None else dump.data[f"u{suffix}"].values
    mu = float(dump.data["mu"]) if trained and network.grouper is not None else network.mu
    z, u = (None if values is None else values.reshape(len(values), *network.shape) for values in (z, u))
    return Latents(z, u, network.grouper, mu, network.eps)


def over_variants(latents: Latents, sequences: int | None, measure: Callable[[Latents, str], Any]) -> list:
    """measure(latents, variant) of each of `VARIANTS`.

    Args:
        latents: of all sequences. Of the plain VAE, for which all variants are the same, the first is measured alone.
        sequences: variants with disjoint windows are measured on the first so many; None: on all.
        measure: what is measured.
    """
    if sequences is not None and sequences < 1:
        raise TopoRepError(f"variant_sequences: expected at least 1, or none for all, found {sequences!r}")
    if latents.u is None:
        return [measure(latents, VARIANTS[0])] * len(VARIANTS)
    some = latents.take(slice(sequences))
    return [measure(some if variant.startswith("disjoint") else latents, variant) for variant in VARIANTS]


def seen_frames(network: Network) -> np.ndarray:
    """(frames,) bool: whether t of the first frame has seen the frame; of the plain VAE, the first alone."""
    frames, _, units = network.shape
    if network.grouper is None:
        return np.arange(frames) == 0
    return network.grouper[:units].reshape(units, frames, units).any(axis=(0, 2))


def over_parts(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Means over the frames of each of `PARTS`: (..., frame) → (..., part); NaN where a part has no frames.

    Args:
        values: of the frames.
        seen: (frame,) bool, as `seen_frames` gives it.
    """
    parts = [values[..., frames] for frames in (seen, ~seen, np.ones_like(seen))]
    empty = np.full(values.shape[:-1], np.nan)
    return np.stack([part.mean(axis=-1) if part.size else empty for part in parts], axis=-1)


def last_of_history(dump: Dump, quantity: str) -> float:
    """A column of the training history at the last epoch; NaN if there is none."""
    found = np.flatnonzero(dump.data["quantity"].values == quantity)
    return float(dump.data["history"].values[-1, found[0]]) if len(found) else np.nan


def text_coord(dim: str, names: Iterable[str]) -> tuple[str, np.ndarray]:
    """A coordinate of text."""
    return dim, np.array(tuple(names), dtype=object)


def _factor_names(dump: Dump) -> tuple[str, ...]:
    try:
        names = json.loads(dump.attrs["factor_names"])
    except (TypeError, ValueError) as error:
        raise TopoRepError(
            f"{dump.path}: attribute 'factor_names' is not JSON ({error}); make the file again"
        ) from error
    factor = dump.data["factor"].values
    if not isinstance(names, list) or np.any((factor < 0) | (factor >= len(names))):
        raise TopoRepError(
            f"{dump.path}: attribute 'factor_names', {names}, does not name factors "
            f"{factor.min()} to {factor.max()}; make the file again"
        )
    return tuple(map(str, names))
