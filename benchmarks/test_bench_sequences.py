"""Speed of making a batch of sequences beside a loop that warps and colors one frame after the other, on one core.

`OMP_NUM_THREADS=1 python -m pytest -s benchmarks/test_bench_sequences.py`
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from timing import compare
from torch.nn.functional import affine_grid, grid_sample
from torchvision.transforms import functional

from toporep.data.sequences import ANGLES, COLORS, SCALES, Draws, draw_sequences, render_sequences

SEQUENCES, SIZE = 8, 28


def warped(red: torch.Tensor, angle: float, scale: float) -> torch.Tensor:
    """Rotate and scale one frame (3, rows, cols) about (14, 14)."""
    cosine, sine = math.cos(math.radians(angle)) / scale, math.sin(math.radians(angle)) / scale
    # Points as shares of the image, whose own center is half a pixel left of and above the point that rests.
    off = 1 / SIZE
    matrix = [[cosine, -sine, off * (1 - cosine + sine)], [sine, cosine, off * (1 - sine - cosine)]]
    grid = affine_grid(torch.tensor([matrix]), [1, 1, SIZE, SIZE], align_corners=False)
    return grid_sample(red[None], grid, align_corners=False)[0]


def hue_rotated(image: torch.Tensor, turns: float) -> torch.Tensor:
    """RGB to HSV, rotate, HSV to RGB, of one frame (3, rows, cols)."""
    value, brightest = image.max(0)
    chroma = value - image.amin(0)
    safe = torch.where(chroma == 0, 1.0, chroma)
    red, green, blue = image
    hue = torch.stack([(green - blue) / safe, 2 + (blue - red) / safe, 4 + (red - green) / safe])
    hue = hue.gather(0, brightest[None])[0] / 6 + turns
    sextant = (torch.tensor([5.0, 3.0, 1.0])[:, None, None] + 6 * hue) % 6
    return value - chroma * torch.minimum(sextant, 4 - sextant).clamp(0, 1)


def by_loop(images: torch.Tensor, indices: np.ndarray, draws: Draws, rotate_hue) -> torch.Tensor:
    """One frame after the other; all that belongs to a sequence is done once a sequence."""
    angles, scales, hues = ANGLES.tolist(), SCALES.tolist(), ((COLORS - 180) / 360).tolist()
    sequences = []
    for index, classes in zip(indices.tolist(), draws.classes().tolist(), strict=True):
        red = torch.zeros(3, SIZE, SIZE)
        red[0] = images[index] / 255
        frames = [rotate_hue(warped(red, angles[a], scales[s]), hues[c]) for a, s, c in classes]
        sequences.append(torch.stack(frames))
    return torch.stack(sequences)


@pytest.mark.parametrize(("name", "rotate_hue"), [("plain torch", hue_rotated), ("torchvision", functional.adjust_hue)])
def test_a_batch_of_sequences(name, rotate_hue):
    pixels = np.random.default_rng(0).integers(0, 256, (1000, SIZE, SIZE), dtype=np.uint8)
    images, indices = torch.from_numpy(pixels), np.arange(0, 1000, 1000 // SEQUENCES)[:SEQUENCES]

    def loop() -> torch.Tensor:
        return by_loop(images, indices, draw_sequences("single", 0, 0, indices), rotate_hue)

    def batched() -> torch.Tensor:
        return render_sequences(images, indices, draw_sequences("single", 0, 0, indices))

    torch.testing.assert_close(batched(), loop(), rtol=0, atol=2e-5)
    ratio = compare(f"{SEQUENCES} sequences of 18 frames; hue by {name}, frame by frame", loop, batched, rounds=7)
    assert ratio > 20
