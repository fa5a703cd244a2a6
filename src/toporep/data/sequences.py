"""Sequences of images, each a transformation of one image, made for a whole batch at once on the images' device.

What is drawn for a sequence depends on (seed, purpose, epoch) and on the sequence's index, which is that of its image
in the data set: not on its batch, nor on its place there, nor on what else is trained. The draws are made by NumPy;
what they look like is a pure function of images and draws, worked out by torch without a loop over sequences or frames.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from toporep import rng
from toporep.data import warps
from toporep.errors import TopoRepError

# Keller & Welling 2021, the published code's lists: degrees, factors, degrees. Color 180 is red, the hue 0.
ANGLES = np.arange(0.0, 360.0, 20.0)
SCALES = np.array(
    [0.60, 0.64, 0.68, 0.72, 0.76, 0.79, 0.83, 0.87, 0.91, 0.95, 0.99, 1.03, 1.07, 1.11, 1.14, 1.18, 1.22, 1.26]
)
COLORS = np.arange(0.0, 360.0, 20.0)

# On a CPU, sequences are taken in blocks that stay in the processor's cache.
_CPU_BLOCK = 8


@dataclass(frozen=True)
class Kind:
    """A kind of sequence.

    frames: S, the length of a sequence: 18 of digits, 15 of sprites, 1 of plain digits.
    channels: 3 for colored digits, 1 for gray ones and sprites.
    factors: names of what describes a frame, in the order of the last axis of `Draws.starts`.
    sizes: the number of classes of each factor; after the last comes the first again.
    changing: the factors, by number, of which one changes in a sequence.
    together: all factors change, not one of them.
    """

    frames: int
    channels: int
    factors: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    changing: tuple[int, ...] = ()
    together: bool = False


KINDS = {
    "single": Kind(18, 3, ("rotation", "scale", "color"), (18, 18, 18), (0, 1, 2)),
    "color_rotation": Kind(18, 3, ("rotation", "color"), (18, 18), (0,), together=True),
    "color_perspective": Kind(18, 3, ("perspective", "color"), (18, 18), (0,), together=True),
    "plain": Kind(1, 1),
    "dsprites": Kind(15, 1, ("shape", "scale", "orientation", "posX", "posY"), (3, 5, 15, 15, 15), (1, 2, 3, 4)),
}


class Draws(NamedTuple):
    """What happens in each sequence; NumPy arrays or tensors of integers.

    kind: one of `KINDS`.
    starts: (sequences, factors) the class of each factor in the first frame.
    factor: (sequences,) which factor changes, by its number; where all change, 0.
    """

    kind: str
    starts: np.ndarray | Tensor
    factor: np.ndarray | Tensor

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, chosen: np.ndarray | Tensor | slice) -> Draws:
        """The draws of some of the sequences."""
        return Draws(self.kind, self.starts[chosen], self.factor[chosen])

    def to(self, device: str | torch.device) -> Draws:
        """The same draws as tensors on a device."""
        starts, factor = (torch.as_tensor(values).to(device) for values in self[1:])
        return Draws(self.kind, starts, factor)

    def classes(self) -> np.ndarray | Tensor:
        """(sequences, frames, factors) the class of each factor in each frame."""
        kind = KINDS[self.kind]
        numbers, sizes, time = _constants(self.kind, self.starts.device if isinstance(self.starts, Tensor) else None)
        steps = (self.factor[:, None] == numbers) | kind.together
        return (self.starts[:, None] + time[:, None] * steps[:, None]) % sizes


def draw_sequences(
    kind: str, seed: int | Sequence[int], epoch: int, indices: np.ndarray, *, purpose: str = "sequences"
) -> Draws:
    """Draw what happens in each sequence.

    Args:
        kind: one of `KINDS`.
        seed: the run's seed, or those of a stack of K runs.
        epoch: each epoch draws anew.
        indices: (sequences,) each sequence's image in the data set, or (K, sequences) if each run has its own. A run's
            draw for an index is the same wherever the index stands, and in a stack or alone.
        purpose: names the draws, e.g. apart from those of an evaluation.

    Returns:
        `Draws` of sequences, or of K * sequences, run by run. Digits: the class of every factor in the first frame is
        uniform, and so is which factor changes in a sequence of kind "single". Sprites: the first frame is the image
        itself; the factor is uniform over scale, orientation, posX and posY.

    Raises:
        TopoRepError: an unknown kind; no seed; indices that are no whole numbers, below 0, beyond the sprites, or not
            one row for each seed.

    Source:
        Keller & Welling 2021, appendix A; the published code's distributions.
    """
    spec = _kind(kind)
    seeds = [seed] if np.ndim(seed) == 0 else list(seed)
    indices = _checked_indices(kind, indices, runs=len(seeds))
    streams = np.array([rng.key(one, purpose, epoch) for one in seeds], dtype=np.uint64)
    # A sequence's numbers stand where its index says. The last one is for the factor. Sizes are far below 2**64, so the
    # remainders are uniform.
    count = len(spec.sizes) + 1
    places = indices[..., np.newaxis] * count + np.arange(count)
    numbers = rng.bits_at(streams[:, np.newaxis, np.newaxis], places).reshape(-1, count)
    if kind == "dsprites":
        starts = sprite_classes(indices.ravel())
    else:
        starts = (numbers[:, :-1] % np.array(spec.sizes, dtype=np.uint64)).astype(np.int64)
    changing = np.array(spec.changing or (0,))
    return Draws(kind, starts, changing[numbers[:, -1] % np.uint64(len(changing))])


def render_sequences(images: Tensor, indices: np.ndarray | Tensor, draws: Draws) -> Tensor:
    """Make the sequences that were drawn.

    Args:
        images: (images, rows, cols) or (images, rows, cols, 1) uint8, on any device: gray digits of any size, 0 to 255;
            or the 50,625 sprites in the order of `sprite_indices`, also 0 to 255.
        indices: (sequences,), or of another shape that holds as many: the image of each sequence.
        draws: what happens in each sequence. Tensors on the images' device spare a GPU the wait for the host.

    Returns:
        (sequences, frames, channels, rows, cols) float32, 0 to 1, on the images' device. A digit is sampled once,
        bilinearly, for rotation and scale together, and then colored by its hue.

    Raises:
        TopoRepError: images of another type or shape, or too few; as many indices as there are no draws. Indices that
            are tensors on a GPU are not looked at.

    Source:
        Keller & Welling 2021, appendix A; the published code.
    """
    images = _checked_images(images, draws.kind)
    indices = _on_device(indices, images, sequences=len(draws))
    if draws.kind == "dsprites":
        frames = sprite_indices(draws.to(images.device).classes())
        return images[frames].float().div_(255)[:, :, None]
    return transform(images[indices].float() / 255, draws)


def transform(digits: Tensor, draws: Draws) -> Tensor:
    """Sequences of digits that are at hand as gray values.

    Args:
        digits: (sequences, rows, cols) float32 or float64, 0 to 1.
        draws: one for each; of any kind but "dsprites".

    Returns:
        (sequences, frames, channels, rows, cols), of the digits' type and on their device.

    Raises:
        TopoRepError: digits that do not fit the draws.
    """
    spec = _kind(draws.kind)
    if draws.kind == "dsprites" or digits.ndim != 3 or len(digits) != len(draws):
        raise TopoRepError(
            f"digits: expected (sequences, rows, cols) for {len(draws)} draws, found {tuple(digits.shape)} for draws "
            f"of kind {draws.kind!r}; sprites are made by render_sequences"
        )
    if draws.kind == "plain":
        return digits[:, None, None].clone()
    draws = draws.to(digits.device)
    size = tuple(digits.shape[1:])
    grids, colors = _tables(draws.kind, size, digits.dtype, digits.device)
    out = torch.empty(
        (len(digits), spec.frames, spec.channels, math.prod(size)), dtype=digits.dtype, device=digits.device
    )
    block = _CPU_BLOCK if digits.device.type == "cpu" else max(1, len(digits))
    for start in range(0, len(digits), block):
        part = slice(start, start + block)
        warp, color = _looked_up(draws.take(part))
        # The weights of four pixels may add up to a little more than 1.
        gray = warps.sample(digits[part], _rows(grids, warp)).clamp_(max=1)
        torch.mul(gray[:, :, None], _rows(colors, color)[..., None], out=out[part])
    return out.unflatten(-1, size)


def sequence_labels(draws: Draws) -> dict[str, np.ndarray]:
    """What figures and metrics say of each sequence; NumPy arrays (sequences,).

    Returns:
        "transformation": the name of the factor that changes; of all, joined by "_", where all do; "plain" for none.
        "factor": its number, as in `Draws.factor`.
        "start_class": the class of that factor in the first frame, y_0.
        "size": its number of classes, after which the sequence repeats.
    """
    spec = _kind(draws.kind)
    starts, factor = (torch.as_tensor(values).cpu().numpy() for values in draws[1:])
    if not spec.factors:
        starts, sizes, names = np.zeros((len(draws), 1), dtype=np.int64), np.ones(1, dtype=np.int64), ["plain"]
    else:
        sizes, names = np.array(spec.sizes), ["_".join(spec.factors)] if spec.together else list(spec.factors)
    return {
        "transformation": np.array(names)[factor],
        "factor": factor,
        "start_class": np.take_along_axis(starts, factor[:, np.newaxis], axis=1)[:, 0],
        "size": sizes[factor],
    }


def sprite_classes(indices: np.ndarray) -> np.ndarray:
    """Class of shape, scale, orientation, posX and posY, (n, 5), of sprites by their number in the subset."""
    sizes = KINDS["dsprites"].sizes
    return np.stack(np.unravel_index(np.asarray(indices, dtype=np.int64), sizes), axis=-1)


def sprite_indices(classes: np.ndarray | Tensor) -> np.ndarray | Tensor:
    """Number in the subset of sprites of (…, 5) classes: mixed radix, posY running fastest."""
    index = classes[..., 0]
    for factor, size in enumerate(KINDS["dsprites"].sizes[1:], start=1):
        index = index * size + classes[..., factor]
    return index


def split_indices(seed: int, count: int = 60_000, *, validation: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The published split of the training images into training and validation.

    Args:
        seed: of NumPy's legacy generator, 0 to 2**32 - 1; the published code uses 1, and 2 for some models.
        count: the number of images.
        validation: how many are set aside; by default a fifth, 12,000 of MNIST's 60,000.

    Returns:
        (training, validation), int64 indices in the shuffled order.

    Raises:
        TopoRepError: a seed that the generator does not take; fewer images than are to be set aside.
    """
    validation = count // 5 if validation is None else validation
    if not 0 <= validation <= count:
        raise TopoRepError(f"validation: expected 0 to {count} images, as many as there are, found {validation}")
    if not 0 <= seed < 2**32:
        raise TopoRepError(f"seed of the split: expected 0 to {2**32 - 1}, found {seed}")
    order = np.arange(count)
    np.random.RandomState(seed).shuffle(order)
    return order[validation:], order[:validation]


def _kind(kind: str) -> Kind:
    if kind not in KINDS:
        raise TopoRepError(f"kind of sequence: expected one of {', '.join(KINDS)}, found {kind!r}")
    return KINDS[kind]


def _looked_up(draws: Draws) -> tuple[Tensor, Tensor]:
    """(sequences, frames) which warp and which color each frame has, by their place in `_tables`."""
    classes = draws.classes()
    if draws.kind == "single":
        return classes[..., 0] * len(SCALES) + classes[..., 1], classes[..., 2]
    return classes[..., 0], classes[..., 1]


def _rows(table: Tensor, index: Tensor) -> Tensor:
    """table[index]; on a CPU index_select is several times as fast."""
    return table.index_select(0, index.flatten()).unflatten(0, index.shape)


@functools.lru_cache(maxsize=16)
def _tables(kind: str, size: tuple[int, int], dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Sampling grids of all warps of a kind, and (colors, 3) of all colors."""
    if kind == "single":
        angles, scales = (values.ravel() for values in np.meshgrid(ANGLES, SCALES, indexing="ij"))
        points = warps.rotation_scale_points(angles, scales, size=size)
    elif kind == "color_rotation":
        points = warps.rotation_scale_points(ANGLES, np.ones_like(ANGLES), size=size)
    else:
        points = warps.perspective_points(ANGLES, size=size)
    colors = torch.from_numpy(warps.hue_colors(COLORS - 180)).to(dtype)
    return warps.sampling_grid(points, size=size, dtype=dtype).to(device), colors.to(device)


@functools.lru_cache(maxsize=16)
def _constants(kind: str, device: torch.device | None) -> tuple[np.ndarray | Tensor, ...]:
    """Numbers of the factors, their sizes, and the frames' times; NumPy arrays, or tensors on a device."""
    spec = KINDS[kind]
    arrays = (np.arange(len(spec.sizes)), np.array(spec.sizes, dtype=np.int64), np.arange(spec.frames))
    return arrays if device is None else tuple(torch.from_numpy(values).to(device) for values in arrays)


def _checked_indices(kind: str, indices: np.ndarray, *, runs: int) -> np.ndarray:
    """(runs or 1, sequences) int64."""
    indices = np.asarray(indices)
    if indices.dtype.kind not in "iu" or indices.ndim not in (1, 2) or not runs:
        raise TopoRepError(
            f"indices of sequences: expected a list of whole numbers, or one for each of at least 1 seed, found "
            f"{indices.dtype} of shape {indices.shape} for {runs} seeds"
        )
    if indices.ndim == 2 and len(indices) != runs:
        raise TopoRepError(f"indices of sequences: expected a row for each of {runs} seeds, found {len(indices)} rows")
    limit = math.prod(KINDS[kind].sizes) if kind == "dsprites" else None
    _check_range("indices of sequences", indices, limit)
    # A single row serves all runs.
    return np.broadcast_to(indices, (runs, indices.shape[-1])).astype(np.int64)


def _check_range(what: str, indices: np.ndarray, limit: int | None) -> None:
    wrong = indices < 0 if limit is None else (indices < 0) | (indices >= limit)
    if wrong.any():
        bounds = "0 or more" if limit is None else f"0 to {limit - 1}"
        raise TopoRepError(f"{what}: expected {bounds}, found {indices[wrong].ravel()[0]}")


def _checked_images(images: Tensor, kind: str) -> Tensor:
    """(images, rows, cols)."""
    gray = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 1)
    if images.dtype != torch.uint8 or not gray:
        raise TopoRepError(
            f"images of sequences: expected gray ones, uint8 (images, rows, cols) or (images, rows, cols, 1), found "
            f"{images.dtype} {tuple(images.shape)}"
        )
    needed = math.prod(KINDS[kind].sizes)
    if kind == "dsprites" and len(images) != needed:
        raise TopoRepError(
            f"images of sequences: expected the {needed} sprites of the subset, found {len(images)} images"
        )
    return images[..., 0] if images.ndim == 4 else images


def _on_device(indices: np.ndarray | Tensor, images: Tensor, *, sequences: int) -> Tensor:
    """(sequences,) tensor on the images' device; in range, as far as can be seen without waiting for a GPU."""
    if not isinstance(indices, Tensor):
        indices = torch.from_numpy(np.asarray(indices))
    indices = indices.flatten()
    if indices.is_floating_point() or indices.dtype == torch.bool or len(indices) != sequences:
        raise TopoRepError(
            f"indices of images: expected {sequences} whole numbers, one for each draw, found {len(indices)} of "
            f"{indices.dtype}"
        )
    if indices.device.type == "cpu":
        _check_range("indices of images", indices.numpy(), len(images))
    return indices.to(images.device, torch.int64)
