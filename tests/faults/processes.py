"""The processes that a command has started, by /proc: which there are, which is which, and killing one by its id."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A living process.

    kind: "controller" (the command itself), "job" (a Python process of TopoRep), "part" (what a job has started or is
    wrapped in: shells, `tee`, workers).
    """

    pid: int
    kind: str
    command: str

    def kill(self) -> bool:
        """Send SIGKILL; whether the process was still there."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
            return True
        return False


def of_session(session: int) -> list[Process]:
    """Living processes of a session, which is named by the id of the process that leads it."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                # The name of the command, in parentheses, may hold anything.
                state, *rest = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(rest[2]) == session and state not in "ZX":
                    words = (folder / "cmdline").read_bytes().split(b"\0")
                    command = b" ".join(words).decode(errors="replace")
                    found.append(Process(int(folder.name), _kind(int(folder.name), session, command), command))
    return sorted(found, key=lambda process: process.pid)


def end_session(session: int) -> None:
    """Kill what is left of a session, one process after the other."""
    for process in of_session(session):
        process.kill()
    wait_for_end(session)


def wait_for_end(session: int, *, seconds: float = 300) -> None:
    """Wait until no process of a session lives."""
    deadline = time.monotonic() + seconds
    while of_session(session):
        assert time.monotonic() < deadline, of_session(session)
        time.sleep(0.1)


def _kind(pid: int, session: int, command: str) -> str:
    if pid == session:
        return "controller"
    return "job" if command.startswith("python -m toporep.cli.") else "part"
