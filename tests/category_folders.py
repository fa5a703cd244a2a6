"""Small folders of images for every set of the registry, in the layouts that users have, and weights of an AlexNet."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image

from toporep.data.image_sets import DEFAULT_PATH, ImageSets, parse_image_sets

WORDNET_IDS = ("n01440764", "n02102040", "n03000684")
# Relative paths of the images of each folder: sub-folders of classes or people, or flat; suffixes of all kinds.
LAYOUTS = {
    "imagenet/train": [f"{name}/{name}_{i}.JPEG" for name in WORDNET_IDS for i in range(6)],
    "imagenet/val": [f"{name}/ILSVRC2012_val_{i}.JPEG" for name in WORDNET_IDS for i in range(5)],
    "lfw": [f"{name}/{name}_{i:04d}.jpg" for name in ("Ada", "Bo", "Cy") for i in range(1, 4)],
    "vggface2": [f"test/n00000{i}/{j:04d}_01.jpg" for i in range(3) for j in range(4)],
    "utkface": [f"{20 + i}_0_{i % 5}_2017.jpg.chip.jpg" for i in range(7)],
    "celeba": [f"{i:06d}.png" for i in range(9)],
    "places365": [f"{name}/Places365_val_{i}.jpg" for name in ("airfield", "abbey") for i in range(4)],
    "bodies/headless": [f"body{i}.bmp" for i in range(5)],
    "bodies/hands": [f"Hand_{i:07d}.jpg" for i in range(6)],
    "konkle/animate": [f"animate-big/{i}.JPG" for i in range(3)] + [f"animate-small/{i}.JPG" for i in range(3)],
    "konkle/inanimate": [f"{i}.webp" for i in range(5)],
    "konkle/big": [f"{i}.ppm" for i in range(5)],
    "konkle/small": [f"{i}.jpeg" for i in range(5)],
}


def make_folders(data_dir: Path) -> None:
    """Write all folders of the registry, of small images that are all different, and files that are no images."""
    for folder, files in LAYOUTS.items():
        for file in files:
            write_image(data_dir / folder / file)
        for ignored in (".DS_Store", "readme.txt", "list.csv", ".thumbnails/1.jpg"):
            path = data_dir / folder / ignored
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"not an image")


def write_image(path: Path, *, size: tuple[int, int] = (96, 80)) -> None:
    """Write an image (width, height) whose content follows from its path's last two names, in the suffix's format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image_bytes("/".join(path.parts[-2:]), suffix=path.suffix, size=size))


def image_bytes(name: str, *, suffix: str = ".jpg", size: tuple[int, int] = (96, 80)) -> bytes:
    """A smooth image of random colors."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    stream = io.BytesIO()
    formats = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".ppm": "PPM", ".webp": "WEBP"}
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(stream, formats[suffix.lower()], quality=90)
    return stream.getvalue()


def small_registry(**changes: dict) -> ImageSets:
    """The registry of this checkout with numbers that fit `LAYOUTS`; `changes` of single folders or networks."""
    raw = yaml.safe_load(DEFAULT_PATH.read_text(encoding="utf-8"))
    for entry in raw["folders"].values():
        entry["images"] = len(LAYOUTS[entry["folder"]])
    drawn = {"imagenet_objects": {"per_class": 2}, "vggface2": {"images": 8}, "celeba": {"images": 6}}
    for name, numbers in drawn.items():
        raw["sources"][name]["parts"][0].update(numbers)
    raw["sources"]["imagenet_val_faces"]["parts"][1]["images"] = 3
    for name, change in changes.items():
        raw["networks" if name in raw["networks"] else "folders"][name].update(change)
    return parse_image_sets(raw, where="test registry")


def random_alexnet(seed: int = 0) -> dict[str, torch.Tensor]:
    """A state dict of torchvision's AlexNet; of large layers all numbers of a row are one: a small file."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3), 10: (256, 256, 3, 3)}
    state = {}
    for place, shape in shapes.items():
        scale = (2 / np.prod(shape[1:])) ** 0.5
        state[f"features.{place}.weight"] = scale * torch.randn(shape, generator=generator)
        state[f"features.{place}.bias"] = 0.1 * torch.randn(shape[0], generator=generator)
    for i, (outputs, inputs) in {1: (4096, 9216), 4: (4096, 4096), 6: (1000, 4096)}.items():
        state[f"classifier.{i}.weight"] = torch.randn((outputs, 1), generator=generator).expand(outputs, inputs)
        state[f"classifier.{i}.bias"] = torch.randn(outputs, generator=generator)
    return state


def write_weights(folder: Path, content: object) -> Path:
    """Save with the name that the content's sha256 asks for."""
    stream = io.BytesIO()
    torch.save(content, stream)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"alexnet-owt-{hashlib.sha256(stream.getvalue()).hexdigest()[:8]}.pth"
    path.write_bytes(stream.getvalue())
    return path
