"""Training state on disk: what a killed run needs to go on, and who is at work on it.

A run's state lies in a folder of its own that is no output of any rule, so that Snakemake never
removes it. One safetensors file an epoch, the last two kept: an interrupted stack writes its runs
one after the other, so its runs may stand one epoch apart, and their common epoch must still be there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from toporep.errors import TopoRepError
from toporep.tensors import load_tensors, save_tensors

_KEPT_EPOCHS = 2
# What a file system that has no locks answers.
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


@dataclass
class State:
    """A run after `epoch` epochs: tensors by name and the history so far (a row an epoch)."""

    epoch: int
    tensors: dict[str, torch.Tensor]
    history: list[dict[str, Any]]


class StateFolder:
    """The states of one run.

    A state of another identity (other settings, data, code, mode or kind of device) is never used.
    """

    def __init__(self, folder: str | os.PathLike, identity: str) -> None:
        self.folder = Path(folder)
        self.identity = identity

    def epochs(self) -> list[int]:
        """Epochs with a usable state, in rising order; unusable files are removed."""
        usable = []
        for path in sorted(self.folder.glob("epoch-*.safetensors")):
            if self._is_usable(path):
                usable.append(int(path.stem.split("-")[1]))
            else:
                path.unlink(missing_ok=True)
        return usable

    def save(self, state: State) -> None:
        """Write a state atomically, then remove all but the last two."""
        metadata = {"identity": self.identity, "history": state.history}
        save_tensors(self._path(state.epoch), state.tensors, metadata)
        for path in sorted(self.folder.glob("epoch-*.safetensors"))[:-_KEPT_EPOCHS]:
            path.unlink(missing_ok=True)

    def load(self, epoch: int) -> State:
        """Read the state after `epoch` epochs."""
        tensors, metadata = load_tensors(self._path(epoch))
        return State(epoch, tensors, metadata["history"])

    def clear(self) -> None:
        """Remove the run's states, once its outputs are written, and what a kill left of a state half-written."""
        for pattern in ("epoch-*.safetensors", ".epoch-*.part"):
            for path in self.folder.glob(pattern):
                path.unlink(missing_ok=True)

    def _is_usable(self, path: Path) -> bool:
        try:
            return load_tensors(path)[1].get("identity") == self.identity
        except TopoRepError:
            return False

    def _path(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:05d}.safetensors"


@contextlib.contextmanager
def exclusive(folders: Sequence[str | os.PathLike]) -> Iterator[None]:
    """Hold the state folders of some runs for this process alone; wait while another process holds one.

    A controller that was killed leaves cluster jobs running: the same command, given again, must not
    train the same run beside them. Folders that are empty at the end are removed.
    """
    with contextlib.ExitStack() as stack:
        for folder in sorted(map(Path, folders)):
            stack.enter_context(_locked(folder))
        yield


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = _acquire(folder / "lock")
    try:
        yield
    finally:
        # Nothing is left to remove if someone has removed the folder by hand.
        with contextlib.suppress(OSError):
            if not any(path.name != "lock" for path in folder.iterdir()):
                (folder / "lock").unlink(missing_ok=True)
                os.removedirs(folder)
        os.close(handle)


def _acquire(path: Path) -> int:
    while True:
        # Others remove folders that they leave empty, also between these two calls and inside the first,
        # which then finds that its folder exists, but not as a folder.
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except (FileNotFoundError, FileExistsError):
            if path.parent.is_file():
                raise
            continue
        _lock(handle, path)
        # The holder before us may have removed the folder; a lock on a removed file protects nothing.
        try:
            if os.fstat(handle).st_ino == os.stat(path).st_ino:
                return handle
        except FileNotFoundError:
            pass
        os.close(handle)


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"waiting: another process holds {path.parent}", file=sys.stderr, flush=True)
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        print(
            f"warning: the file system of {path.parent} has no locks ({error.strerror}); "
            "do not train the same run from two commands at once",
            file=sys.stderr,
            flush=True,
        )
