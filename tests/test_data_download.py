"""Download over real sockets, with the faults that public hosts show."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
from data_files import FaultyServer, TinySource, md5, serving

from toporep.data import obtain
from toporep.data.images import OFFICIAL_FILES
from toporep.errors import TopoRepError


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(params=["idx", "cifar-batches"])
def tiny(request) -> TinySource:
    return TinySource(request.param)


@pytest.fixture
def server(tiny) -> Iterator[FaultyServer]:
    with serving(tiny.files) as running:
        yield running


def fetched(tiny, folder, *urls, **policy):
    return obtain("tiny", folder, registry=tiny.registry(*urls, **policy), progress=False)


def names(folder) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_download_lands_in_the_layout_of_torchvision_and_is_not_repeated(tiny, server, tmp_path):
    data = fetched(tiny, tmp_path / "new", server.url("good"))
    assert data.recognised_as == OFFICIAL_FILES
    np.testing.assert_array_equal(data.images_train, tiny.arrays[0])
    folder = tmp_path / "new" / "Tiny" / "raw" if tiny.format == "idx" else tmp_path / "new"
    for name, raw in tiny.files.items():
        assert (folder / name).read_bytes() == raw
    asked = len(server.requests)
    assert fetched(tiny, tmp_path / "new", server.url("good")).data_sha256 == data.data_sha256
    assert len(server.requests) == asked == len(tiny.files)


@pytest.mark.parametrize("fault", ["missing", "error", "cut", "wrong"])
def test_second_mirror_serves_when_the_first_fails(tiny, server, tmp_path, fault):
    data = fetched(tiny, tmp_path, server.url(fault), server.url("good"))
    np.testing.assert_array_equal(data.label_train, tiny.arrays[1])
    assert names(tmp_path) == set(tiny.files)
    assert [request.split("/")[1] for request in server.requests] == [fault, "good"] * len(tiny.files)


def test_silent_mirror_is_left_after_the_timeout(server, tiny, tmp_path):
    start = time.monotonic()
    fetched(tiny, tmp_path, server.url("slow"), server.url("good"), timeout=0.1)
    assert time.monotonic() - start < 1.0
    assert names(tmp_path) == set(tiny.files)


def test_passing_fault_is_tried_again(tiny, server, tmp_path):
    fetched(tiny, tmp_path, server.url("flaky"))
    assert len(server.requests) == 2 * len(tiny.files)


def test_file_that_is_gone_is_asked_for_once(tiny, server, tmp_path):
    with pytest.raises(TopoRepError, match="404"):
        fetched(tiny, tmp_path, server.url("missing"), attempts=3)
    assert len(server.requests) == 1


def test_failure_of_all_mirrors_lists_each_fault_and_leaves_nothing(tiny, server, tmp_path):
    bases = [server.url(kind) for kind in ("missing", "error", "cut", "wrong")]
    with pytest.raises(TopoRepError) as caught:
        fetched(tiny, tmp_path, *bases)
    message = str(caught.value)
    name, raw = next(iter(tiny.files.items()))
    for wanted in (
        *(f"{base}/{name}" for base in bases),
        "404",
        "500",
        "wrong content",
        f"md5 {md5(raw)}",
        str(tmp_path),
    ):
        assert wanted in message
    assert names(tmp_path) == set()


def test_nobody_listening(tiny, tmp_path):
    with pytest.raises(TopoRepError, match="ConnectionError"):
        fetched(tiny, tmp_path, attempts=1)


def test_no_request_is_made_when_download_is_not_allowed(tiny, server, tmp_path):
    with pytest.raises(TopoRepError, match="download is not allowed"):
        obtain("tiny", tmp_path, registry=tiny.registry(server.url("good")), download=False)
    assert server.requests == []


def test_only_what_is_missing_is_fetched(tmp_path):
    tiny = TinySource("idx")
    folder = tmp_path / "Tiny" / "raw"
    folder.mkdir(parents=True)
    first, *others = tiny.files
    (folder / first).write_bytes(tiny.files[first])
    with serving(tiny.files) as server:
        fetched(tiny, tmp_path, server.url("good"))
        assert server.requests == [f"/good/{name}" for name in others]


def test_folder_that_cannot_be_written_is_told(tiny, server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TopoRepError, match="cannot be written"):
        fetched(tiny, tmp_path / "file", server.url("good"))
