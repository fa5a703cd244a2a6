"""Speed of batched augmentation beside torchvision's transforms on one image at a time, in one run on one core.

`OMP_NUM_THREADS=1 python -m pytest -s benchmarks/test_bench_augment.py`
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from timing import seconds
from torchvision import transforms

from toporep.data.augment import ONE_VIEW, TWO_VIEWS, augment, draw

IMAGES = 512


def published(views: int) -> list:
    """The transforms of the published code, up to the conversion to a tensor."""
    single = [transforms.RandomResizedCrop(32, scale=(0.2, 1.0)), transforms.RandomHorizontalFlip()]
    if views == 1:
        return single
    jitter = transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)
    blur = transforms.GaussianBlur(3, sigma=(0.1, 2.0))
    return [
        *single,
        transforms.RandomApply([jitter], p=0.8),
        transforms.RandomGrayscale(p=0.2),
        transforms.RandomApply([blur], p=0.5),
    ]


@pytest.mark.parametrize(
    ("name", "augmentation", "views", "floor"), [("one", ONE_VIEW, 1, 5), ("two", TWO_VIEWS, 2, 10)]
)
def test_augmentation_of_a_batch(name, augmentation, views, floor):
    torch.manual_seed(0)
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8)
    images, index = torch.from_numpy(pixels), np.arange(IMAGES)
    in_memory = [Image.fromarray(image) for image in pixels]
    as_floats = list(images.permute(0, 3, 1, 2).contiguous().float() / 255)
    on_pil = transforms.Compose([*published(views), transforms.ToTensor()])
    on_tensors = transforms.Compose(published(views))

    taken = seconds(lambda: augment(images, index, augmentation, seed=0, epoch=0, views=views), repeats=7)
    drawing = seconds(lambda: draw(augmentation, index, size=(32, 32), seed=0, epoch=0), repeats=7)
    baselines = {
        "8-bit PIL images": lambda: [torch.stack([on_pil(image) for image in in_memory]) for _ in range(views)],
        "float32 tensors": lambda: [torch.stack([on_tensors(image) for image in as_floats]) for _ in range(views)],
    }
    microseconds = 1e6 / IMAGES / views
    print(
        f"\naugmentation with {name} view(s), batch of {IMAGES} images: {taken:.4f} s, {taken * microseconds:.0f} µs a "
        f"view, of which {drawing * 1e6 / IMAGES:.1f} µs draw"
    )
    for what, loop in baselines.items():
        slow = seconds(loop, repeats=2)
        print(f"  {slow / taken:.1f} times as fast as torchvision on {what}, one by one ({slow * microseconds:.0f} µs)")
        assert slow / taken > floor
