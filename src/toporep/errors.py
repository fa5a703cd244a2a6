"""The error that a user can act on."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable

# What the operating system refuses and a user can mend.
REMEDIES = {
    errno.ENOSPC: "make room and give the same command again",
    errno.EDQUOT: "make room and give the same command again",
    errno.EROFS: "mount it for writing, or name another folder",
    errno.EACCES: "get the right to it, or name another folder",
}


class TopoRepError(Exception):
    """A mistake in the input, the data or the configuration.

    The message names the thing at fault, says what was expected and what was
    found, and what to do. Command-line tools print it without a traceback.
    """


def run_command(main: Callable[[], int | None]) -> None:
    """Run a command-line `main`; print what a user can act on as one message and exit with status 1.

    That is a `TopoRepError`, or a disk that is full or may not be written.
    """
    try:
        sys.exit(main() or 0)
    except TopoRepError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.errno not in REMEDIES:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror}; {REMEDIES[error.errno]}", file=sys.stderr)
        sys.exit(1)
