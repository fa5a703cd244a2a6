"""Evaluate Topographic VAEs on sequences: `python -m toporep.cli.sequences`.

The same sequences and the same posterior noise are given to all networks, and to each as it was before training.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from toporep import rng
from toporep.data.images import ImageData
from toporep.data.sequences import KINDS, Draws, draw_sequences, render_sequences, sequence_labels
from toporep.errors import TopoRepError, run_command
from toporep.evaluation import TrainedRun, history_variables, run_evaluation
from toporep.losses.vae import bernoulli_nll, gaussian_kl, target_entropy
from toporep.models.likelihood import check_entropy_floor, log_likelihood
from toporep.models.topographic_vae import Posterior, TopographicVAE, sample
from toporep.models.trained_vae import NETWORKS
from toporep.normal import normal

if TYPE_CHECKING:
    import xarray as xr

PREDICTIONS = ("reconstruction", "rolled", "static")
ESTIMATORS = ("published", "corrected", "joint")
# Of a network before training, log p(x) is far from all others and hardly varies: a few sequences tell it.
_UNTRAINED_LIKELIHOODS = 100
# Sequences that are on the device at once.
_BATCH = 32
_POSITIONS = {"posX": "x", "posY": "y"}


@dataclass(frozen=True)
class _Sequences:
    """The sequences of an evaluation, the same for all networks: images on the device, indices, what was drawn."""

    images: Tensor
    labels: np.ndarray
    indices: np.ndarray
    draws: Draws
    seed: int

    def __len__(self) -> int:
        return len(self.indices)

    def frames(self, part: slice) -> Tensor:
        """(sequences, frames, channels, rows, cols) of some of them."""
        return render_sequences(self.images, self.indices[part], self.draws.take(part))

    def noise(self, name: str, part: slice, *, shape: tuple[int, int], samples: int = 1) -> Tensor:
        """(samples, frames of all sequences, latents) standard normal numbers; shape: (frames, latents) of one."""
        size = shape[0] * shape[1]
        streams = [rng.key(self.seed, f"evaluation/{name}", number) for number in range(samples)]
        count = part.stop - part.start
        numbers = normal(streams, count * size, offset=part.start * size, device=self.images.device)
        return numbers.view(samples, count * shape[0], shape[1])


def main(arguments: list[str] | None = None) -> int:
    """Write one file a run."""
    return run_evaluation("sequences", evaluate, models=NETWORKS, describe=_describe, arguments=arguments, doc=__doc__)


def evaluate(
    trained: list[TrainedRun], images: ImageData, settings: dict[str, Any], device: torch.device
) -> Iterable[xr.Dataset]:
    """Latents, likelihoods and decoded sequences of each network.

    Args:
        trained: the networks, of one data set.
        images: its prepared images; sequences are made of the test images, of all images where they are sprites.
        settings: `test_images` and `max_sequences` (caps, or None), `latents` ("sampled" or "mean"),
            `likelihood_samples`, `likelihood_sequences` (a cap, or None), `untrained_sequences`, `examples`, `seed`.
        device: where the networks are.

    Yields:
        Datasets of schema `sequences`, without the attributes that all evaluations have.

    Raises:
        TopoRepError: a mean log-likelihood that no network can reach.

    Source:
        Keller & Welling 2021, section 6 and appendix A; the published code.
    """
    sequences = _make(_kind_of(trained), images, settings, device)
    for one in trained:
        yield _evaluate(one, sequences, images, settings)


def _kind_of(trained: list[TrainedRun]) -> str:
    kinds = {one.provenance["settings"]["training"]["sequences"]: one.run.id for one in reversed(trained)}
    if len(kinds) > 1:
        found = ", ".join(f"{kind} ({run})" for kind, run in kinds.items())
        raise TopoRepError(f"runs: expected networks of one kind of sequences, found {found}; evaluate them apart")
    return next(iter(kinds))


def _make(kind: str, images: ImageData, settings: dict[str, Any], device: torch.device) -> _Sequences:
    sprites = kind == "dsprites"
    pixels, labels = (images.images_train, images.label_train) if sprites else (images.images_test, images.label_test)
    indices = np.arange(len(labels))[: None if sprites else settings["test_images"]]
    if sprites and settings["max_sequences"] is not None:
        # Sprites are sorted: some of all.
        indices = rng.permutation(rng.key(settings["seed"], "evaluated sprites"), len(labels))
    indices = indices[: settings["max_sequences"]]
    if not len(indices):
        raise TopoRepError(f"{images.source_title}: expected test images to make sequences of, found none")
    draws = draw_sequences(kind, settings["seed"], 0, indices, purpose="evaluated sequences")
    return _Sequences(torch.from_numpy(pixels).to(device), labels[indices], indices, draws, settings["seed"])


def _evaluate(one: TrainedRun, sequences: _Sequences, images: ImageData, settings: dict[str, Any]) -> xr.Dataset:
    import xarray as xr

    names, factor, start = _factors(sequences.draws)
    examples = choose_examples(factor, sequences.labels, settings["examples"])
    decoded = _decode_all(one.model, sequences, settings, examples)
    history, history_coords = history_variables(one)
    before = NETWORKS[type(one.model).__name__](one.provenance["settings"], images).to(sequences.images.device).eval()
    untrained = min(settings["untrained_sequences"], len(sequences))
    return xr.Dataset(
        {
            **decoded,
            **_untrained_latents(before, sequences, settings, untrained),
            "log_likelihood": (("estimator", "likelihood"), _likelihoods(one.model, sequences, settings)),
            "log_likelihood_untrained": (
                ("estimator", "likelihood_untrained"),
                _likelihoods(before, sequences, settings, most=min(untrained, _UNTRAINED_LIKELIHOODS)),
            ),
            "mu": ((), float(one.model.mu.detach()) if one.model.topographic else math.nan),
            **history,
        },
        coords={
            "factor": ("sequence", factor),
            "start": ("sequence", start),
            "label": ("sequence", sequences.labels),
            "example_sequence": ("example", examples),
            "prediction": ("prediction", np.array(PREDICTIONS, dtype=object)),
            "estimator": ("estimator", np.array(ESTIMATORS, dtype=object)),
            **history_coords,
        },
        attrs={"factor_names": json.dumps(names)},
    )


def choose_examples(factor: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """Sequences to show, evenly over factors and, within a factor, over labels; ascending within neither.

    The factors take turns. A factor's turn goes to its first sequence of the label that it has shown least.
    """
    shown: dict[tuple[int, int], int] = {}
    chosen: list[int] = []
    factors = np.unique(factor)
    for turn in range(min(count, len(factor))):
        free = np.setdiff1d(np.flatnonzero(factor == factors[turn % len(factors)]), chosen)
        if not len(free):
            free = np.setdiff1d(np.arange(len(factor)), chosen)
        times = [shown.get((factor[index], labels[index]), 0) for index in free]
        index = int(free[int(np.argmin(times))])
        shown[factor[index], labels[index]] = min(times) + 1
        chosen.append(index)
    return np.array(chosen, dtype=np.int64)


@torch.inference_mode()
def _decode_all(
    model: TopographicVAE, sequences: _Sequences, settings: dict[str, Any], examples: np.ndarray
) -> dict[str, tuple]:
    """Latents, divergences, errors of predictions, floors and examples."""
    parts: dict[str, list[np.ndarray]] = {}
    shown: dict[int, list[np.ndarray]] = {}
    pixel_sum, frames = 0, 0
    for part in _batches(len(sequences)):
        batch = _Batch(model, sequences, part, sampled=settings["latents"] == "sampled")
        for name, values in batch.numbers().items():
            parts.setdefault(name, []).append(_array(values))
        for index in examples[(examples >= part.start) & (examples < part.stop)]:
            shown[index] = [_array(values) for values in batch.example(index - part.start)]
        pixel_sum = pixel_sum + batch.targets.double().sum(dim=(0, 1))
        frames += batch.targets.shape[0] * batch.targets.shape[1]
    predictions = ("prediction", "sequence", "frame")
    dims = {
        **dict.fromkeys("zu", ("sequence", "frame", "latent")),
        **dict.fromkeys(("nll", "squared_error"), predictions),
    }
    variables = {}
    for name, arrays in parts.items():
        of = dims.get(name, ("sequence",))
        variables[name] = (of, np.concatenate(arrays, axis=of.index("sequence")))
    example_dims = ("example", "frame", "image_row", "image_col", "channel")
    for place, name in enumerate(("frames", "reconstruction", "traversal")):
        variables[f"example_{name}"] = (example_dims, np.stack([shown[index][place] for index in examples]))
    constant = target_entropy((pixel_sum / frames).clamp(0, 1)[None])
    return {**variables, "constant_pixel_nll": ((), float(constant))}


class _Batch:
    """What a network makes of some sequences: the posterior, t, and the frames decoded in three ways."""

    def __init__(self, model: TopographicVAE, sequences: _Sequences, part: slice, *, sampled: bool) -> None:
        frames = sequences.frames(part)
        self.model, self.image_shape = model, frames.shape[2:]
        self.targets = frames.flatten(2)
        count, self.length, pixels = self.targets.shape
        self.posterior = model.encode(self.targets.reshape(-1, pixels))
        self.z, self.u = _latents(model, self.posterior, sequences, part, sampled=sampled)
        self.t = model.capsules(self.z, self.u).view(count, self.length, -1)
        first = self.t[:, 0].unflatten(-1, (model.capsule_count, model.units))
        rolled = [first.roll(frame, dims=-1).flatten(1) for frame in range(self.length)]
        self.reconstruction, self.rolled = (
            model.decode(t.reshape(count * self.length, -1)).view_as(self.targets)
            for t in (self.t, torch.stack(rolled, dim=1))
        )

    def numbers(self) -> dict[str, Tensor]:
        """What is kept of every sequence."""
        per_sequence = (len(self.targets), self.length, -1)
        found = {"z": self.z.view(per_sequence), "kl_z": self._kl(self.posterior.z_mean, self.posterior.z_logvar)}
        if self.u is not None:
            found["u"] = self.u.view(per_sequence)
            found["kl_u"] = self._kl(self.posterior.u_mean, self.posterior.u_logvar)
        found["entropy_floor"] = target_entropy(self.targets).double().mean(dim=1)
        # The first frame's own activations, decoded as they are, are the traversal's first frame.
        decoded = (self.reconstruction, self.rolled, self.rolled[:, :1].expand_as(self.rolled))
        found["nll"] = torch.stack([bernoulli_nll(logits, self.targets).sum(-1) for logits in decoded])
        found["squared_error"] = torch.stack([(logits.sigmoid() - self.targets).square().sum(-1) for logits in decoded])
        return found

    def example(self, index: int) -> list[Tensor]:
        """Frames, reconstruction and traversal of one sequence, (frame, row, col, channel) uint8."""
        images = (self.targets, self.reconstruction.sigmoid(), self.rolled.sigmoid())
        return [
            (255 * one[index]).round().to(torch.uint8).unflatten(-1, self.image_shape).movedim(1, -1) for one in images
        ]

    def _kl(self, mean: Tensor, logvar: Tensor) -> Tensor:
        """Divergence from the prior, (sequence,), in nats a frame."""
        return gaussian_kl(mean, logvar).sum(-1, dtype=torch.float64).view(-1, self.length).mean(dim=1)


@torch.inference_mode()
def _untrained_latents(
    model: TopographicVAE, sequences: _Sequences, settings: dict[str, Any], count: int
) -> dict[str, tuple]:
    parts: dict[str, list[np.ndarray]] = {}
    for part in _batches(count):
        targets = sequences.frames(part).flatten(2)
        posterior = model.encode(targets.flatten(0, 1))
        sampled = settings["latents"] == "sampled"
        for name, values in zip("zu", _latents(model, posterior, sequences, part, sampled=sampled), strict=True):
            if values is not None:
                parts.setdefault(name, []).append(_array(values.view(*targets.shape[:2], -1)))
    return {
        f"{name}_untrained": (("untrained", "frame", "latent"), np.concatenate(arrays))
        for name, arrays in parts.items()
    }


@torch.inference_mode()
def _likelihoods(
    model: TopographicVAE, sequences: _Sequences, settings: dict[str, Any], *, most: int | None = None
) -> np.ndarray:
    """(estimator, sequence) log p(x) in nats, mean over a sequence's frames."""
    caps = [cap for cap in (len(sequences), settings["likelihood_sequences"], most) if cap is not None]
    parts = []
    # A sequence's samples are as many decoded sequences.
    for part in _batches(min(caps), max(1, _BATCH // settings["likelihood_samples"])):
        targets = sequences.frames(part).flatten(2)
        shape = (model.frames, model.latents)
        noise_z, noise_u = (
            sequences.noise(f"likelihood_{name}", part, shape=shape, samples=settings["likelihood_samples"])
            for name in "zu"
        )
        found = log_likelihood(model, targets.flatten(0, 1), noise_z, noise_u if model.topographic else None)
        check_entropy_floor(found.corrected, targets)
        of_sequence = [estimate.view(len(targets), -1).mean(dim=1) for estimate in found]
        parts.append(_array(torch.stack(of_sequence)))
    return np.concatenate(parts, axis=1)


def _latents(
    model: TopographicVAE, posterior: Posterior, sequences: _Sequences, part: slice, *, sampled: bool
) -> tuple[Tensor, Tensor | None]:
    """z and u of flattened frames: means, or samples with the evaluation's noise."""
    if not sampled:
        return posterior.z_mean, posterior.u_mean
    shape = (model.frames, model.latents)
    noise_z, noise_u = (sequences.noise(name, part, shape=shape)[0] for name in "zu")
    return sample(posterior, noise_z=noise_z, noise_u=noise_u)


def _factors(draws: Draws) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names of what can change, which of them changes in each sequence, and its class in the first frame."""
    found, kind = sequence_labels(draws), KINDS[draws.kind]
    if kind.together or not kind.factors:
        return [draws.kind], np.zeros(len(draws), dtype=np.int64), found["start_class"]
    names = [kind.factors[number] for number in kind.changing]
    if draws.kind == "dsprites":
        # In the order of the paper's tables.
        names = ["posX", "posY", "orientation", "scale"]
    place = np.array([names.index(name) for name in found["transformation"]])
    return [_POSITIONS.get(name, name) for name in names], place, found["start_class"]


def _batches(count: int, size: int = _BATCH) -> Iterator[slice]:
    for first in range(0, count, size):
        yield slice(first, min(first + size, count))


def _describe(dataset: xr.Dataset) -> str:
    values = dataset["log_likelihood"].mean("likelihood")
    return (
        f"{dataset.sizes['sequence']} sequences, log p(x) {float(values[1]):.1f} nats a frame, decoded from rolled "
        f"activations {-float(dataset['nll'].sel(prediction='rolled').mean()):.1f}"
    )


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy()


if __name__ == "__main__":
    run_command(main)
