"""Local files: which are found, what they are recognised as, and how a wrong one is told."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from data_files import IDX_NAMES, TinySource, idx_bytes, md5, tar_gz

from toporep.data import fingerprint, load_registry, obtain
from toporep.data.formats import read_cifar_batch, read_idx
from toporep.data.images import OFFICIAL_CONTENT, OFFICIAL_FILES
from toporep.errors import TopoRepError


@pytest.fixture(params=["idx", "cifar-batches"])
def tiny(request) -> TinySource:
    return TinySource(request.param)


@pytest.fixture
def idx() -> TinySource:
    return TinySource("idx")


@pytest.fixture
def cifar() -> TinySource:
    return TinySource("cifar-batches")


def put(folder: Path, files: dict[str, bytes]) -> None:
    for name, raw in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)


def local(source: TinySource, folder: Path):
    return obtain("tiny", folder, registry=source.registry(), download=False)


def assert_arrays(data, arrays) -> None:
    found = (data.images_train, data.label_train, data.images_test, data.label_test)
    for array, expected in zip(found, arrays, strict=True):
        np.testing.assert_array_equal(array, expected)
    assert [array.dtype for array in found] == [np.uint8, np.int64, np.uint8, np.int64]


@pytest.mark.parametrize("packed", [True, False])
def test_official_files_are_read_in_either_packing(tiny, tmp_path, packed):
    folder = tmp_path / "Tiny" / "raw" if tiny.format == "idx" else tmp_path
    put(folder, tiny.files if packed else tiny.contents)
    data = local(tiny, tmp_path)
    assert data.recognised_as == OFFICIAL_FILES
    assert_arrays(data, tiny.arrays)


def test_idx_files_may_lie_flat(idx, tmp_path):
    put(tmp_path, idx.contents)
    assert_arrays(local(idx, tmp_path), idx.arrays)


def test_data_dir_comes_from_the_environment(idx, tmp_path, monkeypatch):
    put(tmp_path, idx.contents)
    monkeypatch.setenv("TOPOREP_DATA", str(tmp_path))
    assert_arrays(obtain("tiny", registry=idx.registry(), download=False), idx.arrays)
    monkeypatch.delenv("TOPOREP_DATA")
    with pytest.raises(TopoRepError, match="TOPOREP_DATA"):
        obtain("tiny", registry=idx.registry(), download=False)


def npz(folder: Path, arrays, *, labels_as_column: bool = False) -> Path:
    x, y, x_test, y_test = arrays
    if labels_as_column:
        y, y_test = y[:, np.newaxis], y_test[:, np.newaxis]
    squeeze = x.shape[-1] == 1
    x, x_test = (x[..., 0], x_test[..., 0]) if squeeze else (x, x_test)
    path = folder / "tiny.npz"
    np.savez_compressed(path, x_train=x, y_train=y.astype(np.uint8), x_test=x_test, y_test=y_test.astype(np.uint8))
    return path


@pytest.mark.parametrize("labels_as_column", [True, False])
def test_npz_of_official_content_is_recognised(tiny, tmp_path, labels_as_column):
    npz(tmp_path, tiny.arrays, labels_as_column=labels_as_column)
    data = local(tiny, tmp_path)
    assert (data.recognised_as, data.origin) == (OFFICIAL_CONTENT, "tiny.npz")
    assert_arrays(data, tiny.arrays)


def test_permuted_order_has_the_same_fingerprint_and_another_sha256(tiny, tmp_path):
    x, y, x_test, y_test = tiny.arrays
    order = np.random.default_rng(2).permutation(len(y))
    npz(tmp_path, tiny.arrays)
    official = local(tiny, tmp_path)
    npz(tmp_path, (x[order], y[order], x_test, y_test))
    permuted = local(tiny, tmp_path)
    assert permuted.recognised_as == OFFICIAL_CONTENT
    assert_arrays(permuted, (x[order], y[order], x_test, y_test))
    assert permuted.data_sha256 != official.data_sha256


def test_data_sha256_does_not_depend_on_the_container(tiny, tmp_path):
    put(tmp_path, tiny.contents)
    from_files = local(tiny, tmp_path)
    (tmp_path / "other").mkdir()
    npz(tmp_path / "other", tiny.arrays)
    assert local(tiny, tmp_path / "other").data_sha256 == from_files.data_sha256


def test_permuted_idx_files_are_recognised_by_content(idx, tmp_path):
    x, y = idx.arrays[:2]
    put(tmp_path, idx.contents)
    put(tmp_path, {IDX_NAMES["images_train"]: idx_bytes(x[::-1, ..., 0]), IDX_NAMES["label_train"]: idx_bytes(y[::-1])})
    assert local(idx, tmp_path).recognised_as == OFFICIAL_CONTENT


def test_recompressed_idx_files_are_still_the_official_content(idx, tmp_path):
    put(tmp_path, {f"{name}.gz": gzip.compress(raw, compresslevel=1) for name, raw in idx.contents.items()})
    assert_arrays(local(idx, tmp_path), idx.arrays)


def test_repacked_archive_is_recognised_by_its_members(cifar, tmp_path):
    put(tmp_path, {"tiny.tar.gz": tar_gz({"readme": b"repacked", **cifar.contents})})
    data = local(cifar, tmp_path)
    assert data.recognised_as == OFFICIAL_CONTENT
    assert_arrays(data, cifar.arrays)


def test_torchvision_layout_is_preferred_to_npz(tiny, tmp_path):
    put(tmp_path, tiny.contents)
    (tmp_path / "tiny.npz").write_bytes(b"not an archive")
    assert local(tiny, tmp_path).recognised_as == OFFICIAL_FILES


def test_missing_files_are_told_with_every_way_to_get_them(tiny, tmp_path):
    with pytest.raises(TopoRepError) as caught:
        local(tiny, tmp_path)
    message = str(caught.value)
    for wanted in (*tiny.files, "tiny.npz", "http://127.0.0.1:9/none", "--data-dir", "TOPOREP_DATA", str(tmp_path)):
        assert wanted in message


def test_incomplete_idx_set_is_not_used(idx, tmp_path):
    put(tmp_path, idx.contents)
    (tmp_path / IDX_NAMES["label_test"]).unlink()
    with pytest.raises(TopoRepError, match=r"t10k-labels-idx1-ubyte\.gz"):
        local(idx, tmp_path)


def test_truncated_download_is_told_with_both_checksums(tiny, tmp_path):
    name, raw = next(iter(tiny.files.items()))
    put(tmp_path, tiny.files)
    (tmp_path / name).write_bytes(raw[: len(raw) // 2])
    with pytest.raises(TopoRepError) as caught:
        local(tiny, tmp_path)
    for wanted in (name, md5(raw), md5(raw[: len(raw) // 2]), f"{len(raw)} bytes", f"{len(raw) // 2} bytes", "http://"):
        assert wanted in str(caught.value)


def test_altered_idx_pixel_is_told_with_file_and_fingerprint(idx, tmp_path):
    name = IDX_NAMES["images_train"]
    altered = bytearray(idx.contents[name])
    altered[-1] ^= 1
    put(tmp_path, {**idx.contents, name: bytes(altered)})
    with pytest.raises(TopoRepError) as caught:
        local(idx, tmp_path)
    for wanted in (str(tmp_path / name), md5(idx.contents[name]), md5(bytes(altered)), fingerprint(*idx.arrays[:2])):
        assert wanted in str(caught.value)
    assert IDX_NAMES["images_test"] not in str(caught.value).split("expected:")[0]


def test_altered_batch_is_refused_without_unpickling(cifar, tmp_path):
    touched = tmp_path / "touched"

    class Attack:
        def __reduce__(self):
            return (os.mkdir, (str(touched),))

    put(tmp_path, {**cifar.contents, "batches/data_batch_2": pickle.dumps(Attack())})
    with pytest.raises(TopoRepError, match=r"data_batch_2.*altered") as caught:
        local(cifar, tmp_path)
    assert md5(cifar.contents["batches/data_batch_2"]) in str(caught.value)
    assert not touched.exists()


def test_unpickler_builds_nothing_but_arrays(tmp_path):
    touched = tmp_path / "touched"

    class Attack:
        def __reduce__(self):
            return (os.mkdir, (str(touched),))

    with pytest.raises(TopoRepError, match="refused to load"):
        read_cifar_batch(pickle.dumps({b"data": Attack()}), (6, 5, 3), where="batch")
    assert not touched.exists()


def test_truncated_npz_is_told(tiny, tmp_path):
    path = npz(tmp_path, tiny.arrays)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TopoRepError, match="truncated") as caught:
        local(tiny, tmp_path)
    assert str(path) in str(caught.value)
    assert md5(path.read_bytes()) in str(caught.value)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("what", ["pixel", "label"])
def test_altered_npz_is_told_with_both_fingerprints(tiny, tmp_path, split, what):
    arrays = [array.copy() for array in tiny.arrays]
    place = 2 * (split == "test") + (what == "label")
    arrays[place].flat[3] += 1
    path = npz(tmp_path, arrays)
    with pytest.raises(TopoRepError, match=split) as caught:
        local(tiny, tmp_path)
    start = 2 * (split == "test")
    expected, found = fingerprint(*tiny.arrays[start : start + 2]), fingerprint(*arrays[start : start + 2])
    for wanted in (str(path), expected, found):
        assert wanted in str(caught.value)


def test_npz_with_pickled_arrays_is_refused(tiny, tmp_path):
    objects = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "tiny.npz", x_train=objects, y_train=objects, x_test=objects, y_test=objects)
    with pytest.raises(TopoRepError, match="tiny.npz"):
        local(tiny, tmp_path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda a: a | {"x_train": a["x_train"].astype(np.float32)}, "float32"),
        (lambda a: a | {"y_train": a["y_train"][:-1]}, "20 integer labels"),
        (lambda a: {k: v for k, v in a.items() if k != "y_test"}, "'y_test' is missing"),
    ],
)
def test_npz_of_other_form_is_told(tiny, tmp_path, change, match):
    arrays = dict(zip(("x_train", "y_train", "x_test", "y_test"), tiny.arrays, strict=True))
    np.savez(tmp_path / "tiny.npz", **change(arrays))
    with pytest.raises(TopoRepError, match=match):
        local(tiny, tmp_path)


def test_idx_header_example_of_the_format_definition():
    # Magic number 2049 = 0x00000801 for labels: one axis of unsigned bytes (MNIST home page).
    content = (2049).to_bytes(4, "big") + (3).to_bytes(4, "big") + b"\x05\x00\x04"
    np.testing.assert_array_equal(read_idx(content, where="labels"), [5, 0, 4])
    with pytest.raises(TopoRepError, match="expected 3 bytes of data, found 2"):
        read_idx(content[:-1], where="labels")
    with pytest.raises(TopoRepError, match="not an IDX file"):
        read_idx(b"\x1f\x8b\x08\x00", where="labels")


def test_fingerprint_is_the_definition():
    x, y = tiny_pair()
    digests = sorted(
        hashlib.sha256(image.tobytes() + bytes([label])).digest() for image, label in zip(x, y, strict=True)
    )
    assert fingerprint(x, y) == hashlib.sha256(b"".join(digests)).hexdigest()
    assert fingerprint(x[::-1], y[::-1]) == fingerprint(x, y)
    assert fingerprint(x, y[::-1]) != fingerprint(x, y)


def tiny_pair():
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (7, 4, 4, 3), dtype=np.uint8), np.arange(7)


# The real data sets, where the reader of this test has them.

REAL = os.environ.get("TOPOREP_DATA")
# Mean and standard deviation of the training pixels as used throughout the field (and in Truong & Hasson 2025).
MOMENTS = {
    "mnist": ([0.1307], [0.3081]),
    "cifar10": ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
}


@pytest.fixture(scope="module")
def real():
    """Each real source once: they take seconds to read."""
    kept = {}

    def get(name):
        if name not in kept:
            if not REAL:
                pytest.skip("TOPOREP_DATA is not set")
            try:
                kept[name] = obtain(name, REAL, download=False)
            except TopoRepError as error:
                if "no complete set of files" not in str(error):
                    raise
                pytest.skip(f"TOPOREP_DATA holds no {name}")
        return kept[name]

    return get


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_real_sets_have_their_published_size_and_moments(real, name):
    data = real(name)
    entry = load_registry().source(name)
    assert len(data.label_train) == entry.fingerprints["train"].images
    assert len(data.label_test) == entry.fingerprints["test"].images
    mean, std = MOMENTS[name]
    for channel, (expected_mean, expected_std) in enumerate(zip(mean, std, strict=True)):
        found_mean, found_std = moments(data.images_train[..., channel])
        assert found_mean == pytest.approx(expected_mean, abs=5.1e-5)
        assert found_std == pytest.approx(expected_std, abs=5.1e-5)


def moments(pixels: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation in 0..1 of uint8 pixels, from their histogram (the pixels as float64 fill a GB)."""
    counts, values = np.bincount(pixels.ravel(), minlength=256), np.arange(256) / 255
    mean = np.average(values, weights=counts)
    return mean, np.sqrt(np.average((values - mean) ** 2, weights=counts))


def test_real_cifar10_is_balanced_and_real_mnist_is_not(real):
    cifar10, mnist = real("cifar10"), real("mnist")
    assert set(np.bincount(cifar10.label_train)) == {5000}
    assert set(np.bincount(cifar10.label_test)) == {1000}
    # LeCun et al. 1998 do not balance the classes; the counts are those of the official label file.
    assert list(np.bincount(mnist.label_train)) == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def test_real_mnist_as_idx_has_the_official_checksums(real, tmp_path):
    """From the arrays back to the four official files: their md5 are published, so reader and order are right."""
    data = real("mnist")
    arrays = (data.images_train, data.label_train, data.images_test, data.label_test)
    contents = {
        name: idx_bytes(array[..., 0] if array.ndim == 4 else array)
        for name, array in zip(IDX_NAMES.values(), arrays, strict=True)
    }
    published = {content.name: content.md5 for content in load_registry().source("mnist").contents}
    if {name: md5(raw) for name, raw in contents.items()} != published:
        assert data.recognised_as == OFFICIAL_CONTENT
        pytest.skip("this copy of MNIST is in another order")
    put(tmp_path, contents)
    again = obtain("mnist", tmp_path, download=False)
    assert again.recognised_as == OFFICIAL_FILES
    assert again.data_sha256 == data.data_sha256
