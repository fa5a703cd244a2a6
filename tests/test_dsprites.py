"""dSprites: the renderer against real frames, the subset, the official file, and files that are not it."""

from __future__ import annotations

import itertools
import math
import os
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from data_files import serving

from toporep.cli.prepare import main
from toporep.data import load_images, load_registry, obtain
from toporep.data.dsprites import (
    SIZES,
    SUBSET_SIZES,
    read_dsprites,
    render_sprites,
    subset_factors,
    subset_indices,
)
from toporep.data.images import GENERATED, OFFICIAL_FILES
from toporep.data.registry import GitFile, parse_registry
from toporep.data.sprites import average_blocks
from toporep.errors import TopoRepError

SQUARE, ELLIPSE, HEART = range(3)

# The renderer against real images.

# Real frames of dSprites (from the animation that its repository shows): (shape, scale, orientation, posX, posY), first
# row, first column, then 24 pixels of each row that is not empty.
FRAMES = {
    (HEART, 5, 0, 0, 0): (7, 6, "1f0f80 3f9fc0 7f9fe0 7fffe0 fffff0 fffff0 7fffe0 7fffe0 3fffc0 3fffc0 1fff80 0fff00 "
                                "07fe00 03fc00 01f800 00f000 006000"),
    (HEART, 0, 0, 0, 0): (11, 11, "210000 7f8000 ffc000 ffc000 7f8000 7f8000 3f0000 1e0000 0c0000"),
    (HEART, 5, 7, 0, 0): (5, 5, "01e000 07f800 07fc00 0ffc00 0ffe00 0ffe00 07ff00 07ff00 03ff00 3fff80 7fff80 ffff80 "
                                "ffffc0 ffffc0 ffffe0 7fff00 7ff800 3fe000"),
    (HEART, 5, 0, 31, 13): (20, 38, "1e0780 3f0fc0 7f9fe0 7fffe0 fffff0 fffff0 7fffe0 7fffe0 7fffe0 3fffc0 1fff80 "
                                    "0fff00 07fe00 03fc00 01f800 00f000 006000 006000"),
    (ELLIPSE, 5, 4, 0, 0): (6, 5, "0001c0 001ff0 007ff8 00fffc 03fffc 07fffc 0ffffc 1ffffc 3ffff8 3ffff8 7ffff0 7ffff0 "
                                  "ffffe0 ffffc0 ffff80 ffff00 fffc00 7ff800 3fe000 0e0000"),
    (ELLIPSE, 0, 0, 0, 0): (12, 10, "0f0000 7fe000 fff000 fff000 fff000 fff000 7fe000 0f0000"),
    (SQUARE, 5, 2, 0, 0): (4, 4, "0000c0 0007e0 003fe0 01ffe0 0ffff0 7ffff0 fffff0 fffff8 7ffff8 7ffff8 7ffffc 3ffffc "
                                 "3ffffc 3ffffe 1ffffe 1ffffe 1fffff 0fffff 0ffffe 0ffff0 07ff80 07fc00 07e000 030000"),
}  # fmt: skip
# Pixels of the real frames: by scale upright, and by orientation at the largest scale.
AREAS_BY_SCALE = {
    SQUARE: [100, 144, 196, 256, 324, 400],
    ELLIPSE: [76, 104, 144, 184, 228, 288],
    HEART: [58, 84, 108, 140, 182, 222],
}
AREAS_BY_ORIENTATION = {
    SQUARE: [400, 368, 372, 368, 368, 364, 368, 368, 372, 368, 372, 368, 368, 368, 368, 368, 368, 368, 372, 368],
    ELLIPSE: [288, 288, 290, 292, 292, 288, 286, 294, 292, 286, 290, 288, 286, 288, 292, 294, 286, 286, 288, 290],
    HEART: [222, 225, 226, 225, 224, 225, 227, 224, 225, 225, 225, 224, 225, 225, 225, 225, 226, 228, 220, 226],
}


def unpacked(top: int, left: int, rows: str) -> np.ndarray:
    """(64, 64) of a frame written as hexadecimal rows."""
    image = np.zeros((64, 64), dtype=np.uint8)
    bits = [[int(bit) for bit in f"{int(row, 16):024b}"] for row in rows.split()]
    width = min(24, 64 - left)
    image[top : top + len(bits), left : left + width] = np.array(bits)[:, :width]
    return image


@pytest.mark.parametrize("classes", FRAMES, ids=str)
def test_render_is_the_real_frame(classes):
    np.testing.assert_array_equal(render_sprites(*classes)[0], unpacked(*FRAMES[classes]))


@pytest.mark.parametrize("shape", AREAS_BY_SCALE)
def test_areas_are_those_of_real_frames(shape):
    by_scale = render_sprites(shape, np.arange(6), 0, 0, 0).sum(axis=(1, 2))
    by_orientation = render_sprites(shape, 5, np.arange(20), 0, 0).sum(axis=(1, 2))
    np.testing.assert_allclose(by_scale, AREAS_BY_SCALE[shape], atol=2)
    np.testing.assert_allclose(by_orientation, AREAS_BY_ORIENTATION[shape], atol=2)


def frame_classes() -> np.ndarray:
    """Classes (320, 5) that the animation goes through: sizes up, down and up, a turn, the four sides, sizes down."""
    up, places = list(range(6)), list(range(32))
    frames = []
    for shape in (HEART, ELLIPSE, SQUARE):
        frames += [(shape, scale, 0, 0, 0) for scale in up + up[::-1] + up]
        frames += [(shape, 5, orientation, 0, 0) for orientation in range(40)]
        if shape == HEART:
            frames += [(shape, 5, 0, 0, y) for y in places] + [(shape, 5, 0, x, 31) for x in places]
            frames += [(shape, 5, 0, 31, y) for y in places[::-1]] + [(shape, 5, 0, x, 0) for x in places[::-1]]
        frames += [(shape, scale, 0, 0, 0) for scale in up[::-1]]
    return np.array(frames)


def data_file(name: str) -> Path:
    """A file of the folder TOPOREP_DATA; the test is skipped without it."""
    path = Path(os.environ.get("TOPOREP_DATA") or "no folder") / name
    if not path.is_file():
        pytest.skip(f"TOPOREP_DATA holds no {name}")
    return path


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union (n,) of binary images (n, rows, columns)."""
    return (a & b).sum(axis=(1, 2)) / (a | b).sum(axis=(1, 2))


def test_render_overlaps_all_real_frames():
    """Mean intersection over union .9995, least .989; every square is exact, 298 of the 320 frames are."""
    with np.load(data_file("dsprites_frames.npz"), allow_pickle=False) as archive:
        frames = archive["imgs"]
    classes = frame_classes()
    rendered = render_sprites(*classes.T)
    found = overlap(rendered, frames)
    assert found.mean() > 0.9994
    assert found.min() > 0.985
    assert (found == 1.0).sum() >= 298
    np.testing.assert_array_equal(found[classes[:, 0] == SQUARE], 1.0)


def test_render_overlaps_the_official_subset():
    """On the real file, where it is there: this also tells whether the orientation turns the right way."""
    official = read_dsprites(data_file("dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"))[..., 0]
    chosen = np.arange(0, len(official), 7)
    found = overlap(render_sprites(*subset_factors()[chosen].T), official[chosen] // 255)
    assert found.mean() > 0.99


# The renderer against geometry.


def test_orientation_turns_counterclockwise_and_comes_back():
    """A heart's tip points down, then right, up and left."""
    upright, right, up, left = (outermost(render_sprites(HEART, 5, o, 0, 0)[0]) for o in (0, 10, 20, 29))
    assert upright[0] > 7.0
    assert right[1] > 7.0
    assert up[0] < -7.0
    assert left[1] < -7.0
    first, last = render_sprites([SQUARE, ELLIPSE, HEART] * 2, 5, [0, 0, 0, 39, 39, 39], 3, 17).reshape(2, 3, 64, 64)
    np.testing.assert_array_equal(first, last)


def outermost(image: np.ndarray) -> np.ndarray:
    """(down, right) of the tip: the pixel farthest from the center along the axis of the center of mass.

    The lobes of a heart are heavier than its tip, so that the tip lies opposite to the center of mass.
    """
    places = np.argwhere(image) - 15.5
    axis = -places.mean(axis=0)
    return places[(places @ axis).argmax()]


def test_position_moves_the_center_from_a_quarter_to_three_quarters():
    for place in (0, 11, 31):
        center = 15.5 + 32 * place / 31
        down, right = np.argwhere(render_sprites(SQUARE, 5, 0, 0, place)[0]).mean(axis=0)
        assert (right, down) == (15.5, pytest.approx(center, abs=0.5))
        down, right = np.argwhere(render_sprites(SQUARE, 5, 0, place, 0)[0]).mean(axis=0)
        assert (down, right) == (15.5, pytest.approx(center, abs=0.5))


@pytest.mark.parametrize("shape", [SQUARE, ELLIPSE, HEART])
def test_sprites_have_the_symmetries_of_their_shapes(shape):
    """Mirrored left to right, all turn the other way; square and ellipse look alike after half a turn."""
    turn = np.arange(40)
    sprites = render_sprites(shape, 3, turn, 13, 21)
    np.testing.assert_array_equal(sprites, render_sprites(shape, 3, 39 - turn, 31 - 13, 21)[:, :, ::-1])
    opposite = render_sprites(shape, 3, turn, 31 - 13, 31 - 21)[:, ::-1, ::-1]
    assert np.array_equal(sprites, opposite) == (shape != HEART)


@pytest.mark.parametrize("classes", [(SQUARE, 2, 3, 5, 30), (ELLIPSE, 4, 11, 20, 9), (HEART, 5, 17, 8, 25)])
def test_sprite_is_the_inside_of_its_outline(classes):
    """Against a polygon along the outline and an independent test of points in polygons."""
    polygons = pytest.importorskip("matplotlib.path")
    shape, scale, orientation, x, y = classes
    t = 2 * math.pi * np.arange(4000) / 4000
    curves = {
        SQUARE: (9.598 * np.array([-1, 1, 1, -1]), 9.598 * np.array([-1, -1, 1, 1])),
        ELLIPSE: (12.765 * np.cos(t), 7.212 * np.sin(t)),
        HEART: (
            9.59 * np.sin(t) ** 3,
            -1.433 - 0.662 * (13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)),
        ),
    }
    outline = (curves[shape][0] + 1j * -curves[shape][1]) * (0.5 + 0.1 * scale)
    outline = outline * np.exp(2j * math.pi * orientation / 39)
    corners = np.stack([16 + 32 * x / 31 + outline.real, 16 + 32 * y / 31 - outline.imag], axis=1)
    centers = np.stack(np.meshgrid(np.arange(64) + 0.5, np.arange(64) + 0.5), axis=-1).reshape(-1, 2)
    inside = polygons.Path(corners).contains_points(centers).reshape(64, 64)
    np.testing.assert_array_equal(render_sprites(*classes)[0], inside)


@pytest.mark.parametrize("size", [8, 16, 32, 128])
def test_other_sizes_show_the_same_scene(size):
    """Areas agree within the pixels that the outline crosses; nothing leaves the image at any position."""
    corners = [0, 31, 0, 31], [0, 0, 31, 31]
    sprites = render_sprites(SQUARE, 5, 5, *corners, size)
    edge = size / 64
    np.testing.assert_allclose(sprites.sum(axis=(1, 2)) / edge**2, 19.196**2, rtol=0.15 / edge**0.5)
    np.testing.assert_array_equal(sprites[3], sprites[0, ::-1, ::-1])
    assert sprites.shape == (4, size, size)


def test_sprites_of_a_batch_do_not_depend_on_each_other():
    rng = np.random.default_rng(0)
    classes = np.stack([rng.integers(0, size, 1100) for size in SIZES])
    together = render_sprites(*classes)
    for i in (0, 511, 512, 1099):
        np.testing.assert_array_equal(together[i], render_sprites(*classes[:, i])[0])


def test_average_of_blocks_rounds_halves_up():
    image = np.zeros((1, 4, 4), dtype=np.uint8)
    image[0, 0, 0] = image[0, 2:, 2:] = 1
    image[0, :2, 3] = 1
    # A quarter of 255 is 63.75, a half 127.5.
    np.testing.assert_array_equal(average_blocks(image, 2), [[[64, 128], [0, 255]]])
    with pytest.raises(TopoRepError, match="blocks of 3 x 3 pixels do not tile images of 4 x 4"):
        average_blocks(image, 3)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((3, 0, 0, 0, 0), r"shape of sprites: expected classes 0\.\.2, found 3\.\.3"),
        ((0, [0, 6], 0, 0, 0), r"scale of sprites: expected classes 0\.\.5, found 0\.\.6"),
        ((0, 0, -1, 0, 0), r"orientation of sprites: expected classes 0\.\.39, found -1"),
        ((0, 0, 0, 0.5, 0), "posX of sprites: expected whole numbers 0..31.*float64"),
        ((0, 0, 0, 0, [[1]]), r"posY of sprites: expected whole numbers.*shape \(1, 1\)"),
        ((0, [1, 2], 0, [1, 2, 3], 0), "do not fit together .*scale 2, orientation 1, posX 3"),
        ((0, 0, 0, 0, 0, 0), "size of sprites: expected a positive whole number of pixels, found 0"),
    ],
)
def test_mistake_in_the_classes_is_named(arguments, match):
    with pytest.raises(TopoRepError, match=match):
        render_sprites(*arguments)


# The subset.


def test_subset_has_the_order_of_the_papers_code():
    factors = subset_factors()
    assert SUBSET_SIZES == (3, 5, 15, 15, 15)
    even = range(0, 29, 2)
    np.testing.assert_array_equal(factors, list(itertools.product(range(3), range(1, 6), even, even, even)))
    # Image 12345 of the published code has the classes [0, 3, 9, 13, 0] within the subset.
    np.testing.assert_array_equal(factors[12345], [0, 1 + 3, 2 * 9, 2 * 13, 0])
    # In the official array posY runs fastest, then posX, orientation, scale and shape (README of dSprites).
    bases = np.array([6 * 40 * 32 * 32, 40 * 32 * 32, 32 * 32, 32, 1])
    np.testing.assert_array_equal(subset_indices(), factors @ bases)
    assert len(set(subset_indices())) == 50625
    assert math.prod(SIZES) == 737280


@pytest.fixture(scope="module")
def sprites():
    return {name: obtain(name) for name in ("sprites", "sprites_small")}


def test_rendered_sources_hold_the_subset(sprites):
    large, small = sprites["sprites"], sprites["sprites_small"]
    assert large.images_train.shape == (50625, 64, 64, 1)
    assert small.images_train.shape == (50625, 16, 16, 1)
    chosen = [0, 12345, 33333, 50624]
    rendered = render_sprites(*subset_factors()[chosen].T)
    np.testing.assert_array_equal(large.images_train[chosen, ..., 0], 255 * rendered)
    blocks = rendered.reshape(4, 16, 4, 16, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(small.images_train[chosen, ..., 0] / 255.0, blocks, atol=0.5 / 255 + 1e-12)
    for data in sprites.values():
        assert data.recognised_as == GENERATED
        assert data.class_names == ("square", "ellipse", "heart")
        np.testing.assert_array_equal(data.label_train, np.repeat([0, 1, 2], 16875))
        assert len(data.images_test) == len(data.label_test) == 0


def test_no_two_hearts_are_the_same_image(sprites):
    """dSprites chose its steps so that images differ; squares and ellipses repeat when they turn."""
    hearts = sprites["sprites"].images_train[2 * 16875 :]
    assert len({np.packbits(image).tobytes() for image in hearts}) == len(hearts)


def test_prepared_sprites_come_back(tmp_path, capsys, sprites):
    path = tmp_path / "sprites_small.nc"
    assert main(["--source", "sprites_small", "--output", str(path)]) == 0
    assert "50625 training and 0 test images, recognised as generated" in capsys.readouterr().out
    loaded = load_images(path)
    for name, value in vars(sprites["sprites_small"]).items():
        np.testing.assert_array_equal(getattr(loaded, name), value, err_msg=name)
    assert loaded.images_test.shape == (0, 16, 16, 1)


# The official file. Images of 5 x 5 pixels hold their own number in 20 binary digits, so that the file is small and
# every image tells where it stood.

SMALL = (5, 5, 1)
NAME = "tiny_dsprites.npz"


@pytest.fixture(scope="module")
def numbered() -> np.ndarray:
    numbers = np.arange(math.prod(SIZES))
    digits = [((numbers >> place) & 1).astype(np.uint8) for place in range(25)]
    return np.stack(digits, axis=1).reshape(-1, 5, 5)


@pytest.fixture(scope="module")
def official(numbered, tmp_path_factory) -> bytes:
    """A file with the arrays of the official one; `metadata` is pickled there too."""
    path = tmp_path_factory.mktemp("official") / NAME
    metadata = np.array({"title": "do not load"}, dtype=object)
    np.savez_compressed(path, metadata=metadata, imgs=numbered, latents_classes=np.zeros((2, 6), dtype=np.int64))
    return path.read_bytes()


def git_sha1(content: bytes, tmp_path: Path) -> str:
    """By the checksum under test, itself held against git's published values below."""
    path = tmp_path / "content"
    path.write_bytes(content)
    found = GitFile("content", "0" * 40, ("http://127.0.0.1:9/none",)).found(path)
    path.unlink()
    return found.split()[-1]


def registry(sha1: str, *bases: str):
    entry = {
        "kind": "git-file",
        "title": "Tiny dSprites",
        "licence": "none",
        "citation": "none",
        "class_names": ["square", "ellipse", "heart"],
        "image_shape": list(SMALL),
        "format": "dsprites",
        "folder": "clone",
        "files": [
            {"name": NAME, "git_sha1": sha1, "urls": [f"{base}/{NAME}" for base in bases or ["http://127.0.0.1:9"]]}
        ],
    }
    download = {"attempts": 2, "backoff": 0.01, "timeout": 5.0}
    return parse_registry({"download": download, "sources": {"tiny": entry}}, where="test registry")


def test_checksum_is_that_of_git(tmp_path):
    """`git hash-object` of the empty file and of "hello world" with a line feed, as in git's own documentation."""
    assert git_sha1(b"", tmp_path) == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert git_sha1(b"hello world\n", tmp_path) == "3b18e512dba79e4c8300dd08aeb37f8e728b8dad"


def test_registered_file_is_the_official_one():
    (file,) = load_registry().source("dsprites").files
    assert file.name == "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
    assert file.git_sha1 == "d98996d3f8ee1550e06b9d4ed78d0beb478910d5"
    assert len(file.urls) >= 2
    assert all(url.endswith("/" + file.name) for url in file.urls)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def numbers_of(images: np.ndarray) -> np.ndarray:
    """The numbers that images of the tiny file hold."""
    return (images.reshape(len(images), 25) // 255).astype(np.int64) @ (1 << np.arange(25))


@pytest.mark.parametrize("folder", ["clone", "."])
def test_official_file_gives_the_subset_in_order(official, tmp_path, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / NAME).write_bytes(official)
    data = obtain("tiny", tmp_path, registry=registry(git_sha1(official, tmp_path)), download=False)
    assert data.recognised_as == OFFICIAL_FILES
    assert data.origin == NAME
    assert data.images_train.shape == (50625, *SMALL)
    assert set(np.unique(data.images_train)) == {0, 255}
    np.testing.assert_array_equal(numbers_of(data.images_train), subset_indices())
    np.testing.assert_array_equal(data.label_train, np.repeat([0, 1, 2], 16875))
    assert data.images_test.shape == (0, *SMALL)


def test_official_file_is_never_whole_in_memory(official, tmp_path):
    path = tmp_path / NAME
    path.write_bytes(official)
    tracemalloc.start()
    images = read_dsprites(path, SMALL)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The array fills 18.4 MB, the subset 1.3 MB.
    assert images.nbytes == 50625 * 25
    assert peak < 3 * images.nbytes


def test_download_lands_in_the_folder_of_a_clone_and_is_not_repeated(official, tmp_path):
    sha1 = git_sha1(official, tmp_path)
    with serving({NAME: official}) as server:
        known = registry(sha1, server.url("wrong"), server.url("good"))
        data = obtain("tiny", tmp_path / "data", registry=known, progress=False)
        assert (tmp_path / "data" / "clone" / NAME).read_bytes() == official
        assert [path.name for path in (tmp_path / "data").rglob("*") if path.is_file()] == [NAME]
        assert server.requests == [f"/wrong/{NAME}", f"/good/{NAME}"]
        again = obtain("tiny", tmp_path / "data", registry=known, progress=False)
        assert len(server.requests) == 2
    assert again.data_sha256 == data.data_sha256


def test_download_of_another_file_is_refused_with_both_checksums(official, tmp_path):
    with serving({NAME: official}) as server, pytest.raises(TopoRepError) as caught:
        obtain("tiny", tmp_path / "data", registry=registry("0" * 40, server.url("good")), progress=False)
    for wanted in (NAME, "git blob SHA-1 " + "0" * 40, f"git blob SHA-1 {git_sha1(official, tmp_path)}"):
        assert wanted in str(caught.value)
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == []


def test_missing_file_is_told_with_the_ways_to_get_it(tmp_path):
    with pytest.raises(TopoRepError) as caught:
        obtain("dsprites", tmp_path, download=False)
    (file,) = load_registry().source("dsprites").files
    for wanted in (file.name, *file.urls, str(tmp_path / "dsprites-dataset"), "TOPOREP_DATA"):
        assert wanted in str(caught.value)


@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_file_of_another_checksum_is_refused(official, tmp_path, damage):
    sha1 = git_sha1(official, tmp_path)
    middle = len(official) // 2
    other = official[:middle] if damage == "truncated" else official[:middle] + b"x" + official[middle + 1 :]
    path = tmp_path / NAME
    path.write_bytes(other)
    with pytest.raises(TopoRepError) as caught:
        obtain("tiny", tmp_path, registry=registry(sha1), download=False)
    found = git_sha1(other, tmp_path)
    for wanted in (str(path), f"expected: git blob SHA-1 {sha1}", f"{len(other)} bytes, git blob SHA-1 {found}"):
        assert wanted in str(caught.value)


@pytest.mark.parametrize("damage", ["empty", "truncated", "altered", "text"])
def test_damaged_file_is_told_by_the_reader_too(official, tmp_path, damage):
    """Where the checksum was right and the reading goes wrong."""
    # Some bytes before the middle lie in the compressed images.
    place = len(official) // 3
    content = {
        "empty": b"",
        "truncated": official[:-1000],
        "altered": official[:place] + bytes(64) + official[place + 64 :],
        "text": b"404: Not Found",
    }[damage]
    path = tmp_path / NAME
    path.write_bytes(content)
    with pytest.raises(TopoRepError, match="perhaps truncated") as caught:
        read_dsprites(path, SMALL)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda images: {"images": images}, r"array 'imgs' is missing \(found images\)"),
        (lambda images: {"imgs": images[:-1]}, r"uint8 of shape \(737280, 5, 5\), found uint8 of \(737279, 5, 5\)"),
        (lambda images: {"imgs": images[:, :4]}, r"found uint8 of \(737280, 4, 5\)"),
        (lambda images: {"imgs": images.view(bool)}, r"found bool of \(737280, 5, 5\)"),
        (lambda images: {"imgs": images.T.copy().T}, "column-major"),
        (lambda images: {"imgs": images * 255}, "expected pixels 0 and 1 in array 'imgs', found 255"),
        (lambda images: {"imgs": np.array([{}], dtype=object)}, r"found object of \(1,\)"),
    ],
)
def test_array_of_another_form_is_told(numbered, tmp_path, change, match):
    path = tmp_path / NAME
    np.savez(path, **change(numbered))
    with pytest.raises(TopoRepError, match=match) as caught:
        read_dsprites(path, SMALL)
    assert str(path) in str(caught.value)


def test_flipped_pixel_of_an_uncompressed_file_is_told(numbered, tmp_path):
    """The zip's own checksum finds it, though every byte is one that a pixel may have."""
    path = tmp_path / NAME
    np.savez(path, imgs=numbered)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(TopoRepError, match="CRC"):
        read_dsprites(path, SMALL)


def test_array_with_bytes_left_over_is_told(numbered, tmp_path):
    path = tmp_path / NAME
    with zipfile.ZipFile(path, "w") as archive, archive.open("imgs.npy", "w") as stream:
        np.lib.format.write_array(stream, numbered)
        stream.write(b"\x01")
    with pytest.raises(TopoRepError, match="holds more bytes than its shape asks for"):
        read_dsprites(path, SMALL)


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("git_sha1", "abc", r"files\[0\]\.git_sha1: expected 40 lower-case hexadecimal digits"),
        ("md5", "0" * 32, r"files\[0\]: unknown key md5; known: name, git_sha1, urls"),
        ("urls", ["ftp://x/y"], "expected http:// or https://"),
        ("name", "../x", "below the data folder"),
    ],
)
def test_mistake_in_the_entry_of_a_git_file_is_named(key, value, match):
    file = {"name": NAME, "git_sha1": "0" * 40, "urls": ["http://127.0.0.1:9/none"], key: value}
    entry = {
        **dict.fromkeys(("title", "licence", "citation"), "x"),
        **{"kind": "git-file", "class_names": ["a"], "image_shape": [5, 5, 1], "format": "dsprites", "folder": "."},
        "files": [file],
    }
    raw = {"download": {"attempts": 1, "backoff": 0.0, "timeout": 1.0}, "sources": {"tiny": entry}}
    with pytest.raises(TopoRepError, match=match):
        parse_registry(raw, where="registry")


def test_size_of_sprites_divides_64():
    parameters = {"size": 24}
    entry = {
        **dict.fromkeys(("title", "licence", "citation"), "x"),
        **{"kind": "generated", "class_names": ["a"], "generator": "sprites", "parameters": parameters},
    }
    raw = {"download": {"attempts": 1, "backoff": 0.0, "timeout": 1.0}, "sources": {"tiny": entry}}
    with pytest.raises(TopoRepError, match=r"parameters\.size: expected a divisor of 64, found 24"):
        parse_registry(raw, where="registry")
