"""The error that a user can act on."""

import sys
from collections.abc import Callable


class TopoRepError(Exception):
    """A mistake in the input, the data or the configuration.

    The message names the thing at fault, says what was expected and what was
    found, and what to do. Command-line tools print it without a traceback.
    """


def run_command(main: Callable[[], int | None]) -> None:
    """Run a command-line `main`; print a `TopoRepError` as one message and exit with status 1."""
    try:
        sys.exit(main() or 0)
    except TopoRepError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
