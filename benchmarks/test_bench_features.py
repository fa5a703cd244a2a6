"""Images a second on the way to features: what decoding ahead of the network, and threads, gain.

Of photographs of ImageNet's usual size (500 x 375) and the paper's crops. Rates are of wall-clock time, so that other
work on the machine lowers them, and they are printed, not judged; what is judged holds on a busy machine too.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from toporep.data import crops
from toporep.data.crops import Transform, decode, views
from toporep.data.features import LiveFeatures
from toporep.data.image_sets import DEFAULT_PATH, ImageSets, load_image_sets, parse_image_sets
from toporep.data.write_features import write_features
from toporep.stimuli.categories import render_category

IMAGES, BATCH = 64, 16
CORES = os.cpu_count() or 1
SETTINGS = {
    **{
        "network": "alexnet",
        "size": 224,
        "resize": 256,
        "crop": "random",
        "area": [0.08, 1.0],
        "aspect": [0.75, 4 / 3],
    },
    **{"mean": [0.48, 0.45, 0.4], "std": [0.27, 0.26, 0.27], "seed": 0, "training": "live", "crops": 1},
    "max_unreadable": 0,
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    (folder / "lfw").mkdir()
    for i in range(IMAGES):
        coarse = Image.fromarray(generator.integers(0, 256, (47, 63, 3), dtype=np.uint8))
        coarse.resize((500, 375), Image.Resampling.BICUBIC).save(folder / "lfw" / f"{i}.jpg", quality=92)
    return folder


@pytest.fixture(scope="module")
def registry(data_dir: Path) -> ImageSets:
    import yaml

    stream = io.BytesIO()
    torch.save(_random_state(), stream)
    name = f"alexnet-owt-{hashlib.sha256(stream.getvalue()).hexdigest()[:8]}.pth"
    (data_dir / name).write_bytes(stream.getvalue())
    raw = yaml.safe_load(DEFAULT_PATH.read_text(encoding="utf-8"))
    raw["networks"]["alexnet"]["weights"] = [name]
    return parse_image_sets(raw, where="benchmark")


def _random_state() -> dict[str, torch.Tensor]:
    from torchvision.models import alexnet

    state = alexnet(weights=None).state_dict()
    # One number a row in the linear layers, which are not used: a small file.
    return {
        name: tensor[:, :1].clone().expand(tensor.shape)
        if name.startswith("classifier") and tensor.ndim == 2
        else tensor
        for name, tensor in state.items()
    }


def rate(name: str, work: Callable[[], object], *, images: int = IMAGES, repeats: int = 2) -> float:
    """Images a second, the best of a few rounds."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    found = images / min(taken)
    print(f"\n{name}: {found:.0f} images a second")
    return found


def test_where_the_time_of_an_image_goes(data_dir: Path) -> None:
    """Reading, hashing, decoding, resizing and cropping; a rendered image for comparison."""
    contents = [path.read_bytes() for path in (data_dir / "lfw").iterdir()]
    transform = Transform.from_settings(SETTINGS)
    images = [decode(content) for content in contents]
    print(f"\n{np.mean([len(content) for content in contents]) / 1e3:.0f} kB an image")
    whole = rate("decoding", lambda: [decode(content) for content in contents])
    checked = rate("checking, for a list of images", lambda: [crops.check(content) for content in contents])
    rate("hashing", lambda: [hashlib.sha256(content).hexdigest() for content in contents])
    rate("one crop", lambda: [views(image, transform, sha256="", crops=range(1)) for image in images])
    rate("four crops", lambda: [views(image, transform, sha256="", crops=range(4)) for image in images])
    rate("rendering, 64 pixels", lambda: render_category("face", 0, range(IMAGES)))
    rate("rendering, 256 pixels", lambda: render_category("face", 0, range(16), size=256), images=16)
    assert checked > 1.2 * whole


@pytest.fixture(scope="module")
def live(data_dir: Path, registry: ImageSets) -> Iterator[Callable[[int], LiveFeatures]]:
    path = data_dir / "list.nc"
    write_features("lfw", path, features=SETTINGS, data_dir=data_dir, registry=registry)
    yield lambda threads: LiveFeatures(path, SETTINGS, data_dir, registry=registry, threads=threads)


def test_decoding_ahead_of_the_network(live: Callable[[int], LiveFeatures]) -> None:
    plan = np.arange(IMAGES).reshape(-1, BATCH)
    one, several = live(1), live(CORES)

    def in_turn() -> None:
        for places in plan:
            one._encoder(np.stack([one._view(int(place), 0) for place in places]), "cpu")

    rate("decoding and network in turn", in_turn)
    rate("one thread decodes ahead", lambda: list(one.batches(1, plan, "cpu")))
    rate(f"{CORES} threads decode ahead", lambda: list(several.batches(1, plan, "cpu")))


def test_decoding_and_network_overlap(live: Callable[[int], LiveFeatures], monkeypatch: pytest.MonkeyPatch) -> None:
    """Both replaced by waits: 12 batches of 4 images of 10 ms, by 2 threads, and a network of 20 ms."""
    features = live(2)
    plan = np.arange(48).reshape(12, 4)
    monkeypatch.setattr(features, "_view", lambda place, crop: (time.sleep(0.01), np.zeros(1, dtype=np.uint8))[1])
    monkeypatch.setattr(features, "_encoder", lambda pixels, device: time.sleep(0.02))
    start = time.perf_counter()
    assert len(list(features.batches(1, plan, "cpu"))) == 12
    taken = time.perf_counter() - start
    print(f"\n{taken:.2f} s; in turn with one thread 0.72 s, with two 0.48 s; at best 0.26 s")
    assert taken < 0.42


def test_threads_that_decode_for_a_file(data_dir: Path, registry: ImageSets) -> None:
    def write(threads: int) -> Callable[[], object]:
        path = data_dir / f"threads{threads}.nc"
        options = {"features": SETTINGS, "array": path.with_suffix(".npy"), "data_dir": data_dir, "device": "cpu"}
        return lambda: write_features("lfw", path, registry=registry, threads=threads, **options)

    rate("file, one thread", write(1))
    rate(f"file, {CORES} threads", write(CORES))
    found = [
        path.with_suffix(".npy").read_bytes() for path in (data_dir / "threads1.nc", data_dir / f"threads{CORES}.nc")
    ]
    assert found[0] == found[1]


def test_processes_that_render(tmp_path: Path) -> None:
    settings = {**SETTINGS, "network": "gabor", "size": 64}
    registry = load_image_sets()
    faces = registry.sources["rendered_faces"]
    many = replace(faces, parts=(replace(faces.parts[0], images=1024),))
    registry = replace(registry, sources={"rendered_faces": many})

    def write(threads: int) -> Callable[[], object]:
        path = tmp_path / f"threads{threads}.nc"
        options = {"features": settings, "array": path.with_suffix(".npy"), "registry": registry}
        return lambda: write_features("rendered_faces", path, threads=threads, **options)

    rate("rendered and Gabor features, one process", write(1), images=1024, repeats=1)
    rate(f"rendered and Gabor features, {CORES} processes", write(CORES), images=1024, repeats=1)
    found = [
        path.with_suffix(".npy").read_bytes() for path in (tmp_path / "threads1.nc", tmp_path / f"threads{CORES}.nc")
    ]
    assert found[0] == found[1]
