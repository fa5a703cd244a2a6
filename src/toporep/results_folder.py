"""Whether the folder of the results can be worked in: it may be written, has room, and its clock goes forward.

Snakemake finds out job by job, and tells what is outdated by the times of files: a result from before the clock was set
back is "newer" than an input that is made after it, and would never be made again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from toporep.errors import REMEDIES, TopoRepError

# A file server's clock may differ a little from this machine's.
_TOLERANCE = 120.0
_BLOCK = 1 << 16
# What no rule reads.
_NOT_RESULTS = {"logs", "benchmarks", "state"}


def check_writable(root: str | os.PathLike) -> None:
    """Refuse a folder in which no small file can be written; make the folder if it is not there.

    Raises:
        TopoRepError: a read-only or full disk, or one of another user.
    """
    path = Path(root) / f".try-{os.getpid()}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.write_bytes(bytes(_BLOCK))
        finally:
            path.unlink(missing_ok=True)
    except OSError as error:
        remedy = REMEDIES.get(error.errno, "see to it and give the same command again")
        raise TopoRepError(f"{root}: results cannot be written: {error.strerror}; {remedy}") from error


def check_clock(root: str | os.PathLike) -> None:
    """Refuse results that are from the future.

    Raises:
        TopoRepError: a file whose time is more than two minutes ahead of this machine's clock.
    """
    now = time.time()
    ahead = [(path, when) for path, when in _results(Path(root)) if when > now + _TOLERANCE]
    if ahead:
        latest, when = max(ahead, key=lambda each: each[1])
        raise TopoRepError(
            f"{latest}: is {_duration(when - now)} from the future, as {len(ahead)} file{'s' * (len(ahead) != 1)} of "
            f"{root} {'are' if len(ahead) != 1 else 'is'}: what must be made again cannot be told from their times. "
            f"Set the clock right. If it is right: find {root} -newermt now -exec touch {{}} +"
        )


def _results(folder: Path) -> Iterator[tuple[str, float]]:
    waiting = [os.fspath(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name not in _NOT_RESULTS:
                            waiting.append(entry.path)
                    else:
                        yield entry.path, entry.stat(follow_symlinks=False).st_mtime
        except FileNotFoundError:
            # Another command may make files here and remove them.
            continue


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 60:.0f} minutes"
