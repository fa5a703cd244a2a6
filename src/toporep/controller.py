"""Several Snakemake commands in one folder, some of which are killed.

Snakemake locks the files that it works on, and a killed Snakemake leaves its locks: the same command then stops
until `--unlock` is given. Here each command holds, as long as it lives, a lock of the operating system, which ends
with its process. A command that is alone on that lock knows that Snakemake's locks belong to no one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
from pathlib import Path

_held: list[int] = []


def claim(folder: str | os.PathLike) -> bool:
    """Tell others, until this process ends, that a command runs here; remove the locks of killed ones.

    Args:
        folder: Snakemake's own folder in its working directory, `.snakemake`.

    Returns:
        Whether locks were removed. Where another command runs, the file system has no locks, or the last command
        ran on another host (to which a lock may not reach), Snakemake's locks are left to the user.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "controller.lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        return False
    _held.append(handle)
    removed = False
    with contextlib.suppress(OSError):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            removed = _remove_stale(folder / "locks", handle)
        fcntl.flock(handle, fcntl.LOCK_SH)
    return removed


def _remove_stale(locks: Path, handle: int) -> bool:
    host = socket.gethostname().encode()
    stale = locks.is_dir() and any(locks.iterdir())
    if stale:
        if os.pread(handle, 1000, 0) != host:
            return False
        shutil.rmtree(locks)
    os.ftruncate(handle, 0)
    os.pwrite(handle, host, 0)
    return stale
