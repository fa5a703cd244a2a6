"""Small disks, and folders that cannot be written, for tests; both take the right to mount."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@functools.cache
def why_no_mounts() -> str | None:
    """Why nothing can be mounted here, or None where it can."""
    if os.geteuid() != 0:
        return "mounting is for root; this user is not root"
    with tempfile.TemporaryDirectory() as folder:
        tried = _mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", folder)
        if tried.returncode:
            return f"mounting is not allowed here: {tried.stderr.strip()}"
        subprocess.run(["umount", folder], check=True)
    return None


def needs_mounts() -> None:
    """Skip a test, and say why, where nothing can be mounted."""
    if reason := why_no_mounts():
        pytest.skip(reason)


@contextmanager
def small_disk(folder: Path, *, kib: int) -> Iterator[Path]:
    """Lay an empty disk of this size over a folder."""
    needs_mounts()
    folder.mkdir(parents=True, exist_ok=True)
    tried = _mount("-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder))
    assert tried.returncode == 0, tried.stderr
    try:
        yield folder
    finally:
        _unmount(folder)


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """Let a folder be read alone, by root too."""
    needs_mounts()
    tried = _mount("--bind", str(folder), str(folder))
    assert tried.returncode == 0, tried.stderr
    try:
        tried = _mount("-o", "remount,bind,ro", str(folder))
        assert tried.returncode == 0, tried.stderr
        yield folder
    finally:
        _unmount(folder)


@contextmanager
def filled(folder: Path, *, free_kib: int) -> Iterator[Path]:
    """Fill the disk of a folder up to so much."""
    filler = folder / "filler"
    try:
        rest = shutil.disk_usage(folder).free - free_kib * 1024
        assert rest >= 0, f"only {shutil.disk_usage(folder).free} bytes were free"
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(rest, 1))
        yield folder
    finally:
        filler.unlink(missing_ok=True)


def _mount(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(["mount", *arguments], capture_output=True, text=True)


def _unmount(folder: Path) -> None:
    # Lazily: a process that is just ending may still be in there.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
