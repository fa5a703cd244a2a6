"""Small files in the public formats, and a server on the loopback that can fail."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

import toporep
from toporep.data.images import fingerprint
from toporep.data.registry import Registry, parse_registry


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def subprocess_environment() -> dict[str, str]:
    """This environment, with the package under test importable in a child process."""
    return {**os.environ, "PYTHONPATH": str(Path(toporep.__file__).parents[1])}


def output_of(code: str) -> str:
    """What Python code prints in another process."""
    command = [sys.executable, "-c", code]
    environment = subprocess_environment()
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=environment)
    return done.stdout.strip()


def tiny_arrays(image_shape: tuple[int, int, int]) -> tuple[np.ndarray, ...]:
    """(images_train, label_train, images_test, label_test): 20 and 10 images of noise, all different."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (30, *image_shape), dtype=np.uint8)
    labels = np.arange(30) % 10
    return images[:20], labels[:20], images[20:], labels[20:]


def idx_bytes(array: np.ndarray) -> bytes:
    """IDX of unsigned bytes, as defined on the MNIST home page."""
    sizes = b"".join(int(size).to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def cifar_batch_bytes(images: np.ndarray, labels: np.ndarray) -> bytes:
    """A pickled batch with bytes keys, channel-first rows and a list of labels, as defined on the CIFAR-10 page."""
    data = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), -1)
    return pickle.dumps({b"data": data, b"labels": [int(label) for label in labels]}, protocol=2)


def tar_gz(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


IDX_NAMES = {
    "images_train": "train-images-idx3-ubyte",
    "label_train": "train-labels-idx1-ubyte",
    "images_test": "t10k-images-idx3-ubyte",
    "label_test": "t10k-labels-idx1-ubyte",
}


def idx_contents(arrays: tuple[np.ndarray, ...]) -> dict[str, bytes]:
    """Unpacked IDX files by name."""
    planes = (arrays[0][..., 0], arrays[1], arrays[2][..., 0], arrays[3])
    return {name: idx_bytes(array) for name, array in zip(IDX_NAMES.values(), planes, strict=True)}


def cifar_contents(arrays: tuple[np.ndarray, ...]) -> dict[str, bytes]:
    """Two training batches and a test batch by name."""
    x, y, x_test, y_test = arrays
    half = len(y) // 2
    return {
        "batches/data_batch_1": cifar_batch_bytes(x[:half], y[:half]),
        "batches/data_batch_2": cifar_batch_bytes(x[half:], y[half:]),
        "batches/test_batch": cifar_batch_bytes(x_test, y_test),
    }


class TinySource:
    """A data set of 30 images in a public format, with the registry that describes it.

    `files`: downloadable files by name. `contents`: the files inside them by name.
    """

    def __init__(self, format: str):
        self.format = format
        self.image_shape = (6, 5, 1) if format == "idx" else (6, 5, 3)
        self.arrays = tiny_arrays(self.image_shape)
        if format == "idx":
            self.contents = idx_contents(self.arrays)
            self.holds = {name: holds for holds, name in IDX_NAMES.items()}
            self.files = {f"{name}.gz": gzip.compress(raw, mtime=0) for name, raw in self.contents.items()}
            self.inside = {f"{name}.gz": [name] for name in self.contents}
        else:
            self.contents = cifar_contents(self.arrays)
            self.holds = {name: "test" if "test" in name else "train" for name in self.contents}
            self.files = {"tiny.tar.gz": tar_gz(self.contents)}
            self.inside = {"tiny.tar.gz": list(self.contents)}

    def registry(self, *bases: str, attempts: int = 2, timeout: float = 5.0) -> Registry:
        """The registry; each base address becomes one URL of every file."""
        x, y, x_test, y_test = self.arrays
        entry = {
            "kind": "files",
            "title": "Tiny",
            "licence": "none",
            "citation": "none",
            "class_names": [str(i) for i in range(10)],
            "image_shape": list(self.image_shape),
            "format": self.format,
            "folder": "Tiny/raw" if self.format == "idx" else ".",
            "npz": "tiny.npz",
            "fingerprints": {
                "train": {"images": len(y), "sha256": fingerprint(x, y)},
                "test": {"images": len(y_test), "sha256": fingerprint(x_test, y_test)},
            },
            "files": [
                {
                    "name": name,
                    "bytes": len(raw),
                    "md5": md5(raw),
                    "urls": [f"{base}/{name}" for base in bases or ("http://127.0.0.1:9/none",)],
                    "contains": [
                        {"name": inner, "md5": md5(self.contents[inner]), "holds": self.holds[inner]}
                        for inner in self.inside[name]
                    ],
                }
                for name, raw in self.files.items()
            ],
        }
        download = {"attempts": attempts, "backoff": 0.01, "timeout": timeout}
        return parse_registry({"download": download, "sources": {"tiny": entry}}, where="test registry")


class FaultyServer:
    """Serves `files` below /good, and the same with a fault below /missing, /error, /cut, /wrong and /slow.

    /flaky answers 503 to the first request of each file and the file afterwards.
    """

    def __init__(self, files: dict[str, bytes]):
        self.files = files
        self.requests: list[str] = []
        self.address = ""

    def url(self, kind: str) -> str:
        return f"{self.address}/{kind}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(handler.path)
        _, kind, name = handler.path.split("/", 2)
        body = self.files[name]
        first = self.requests.count(handler.path) == 1
        status = {"missing": 404, "error": 500, "flaky": 503 if first else 200}.get(kind, 200)
        if kind == "slow":
            time.sleep(1.0)
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if kind == "cut":
            body = body[: len(body) // 2]
        elif kind == "wrong":
            body = bytes(len(body))
        # A client that gave up waiting has closed the connection.
        try:
            handler.wfile.write(body)
        except OSError:
            handler.close_connection = True


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[FaultyServer]:
    """Run a `FaultyServer` on a free port of the loopback."""
    faulty = FaultyServer(files)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            faulty.answer(self)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    faulty.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield faulty
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
