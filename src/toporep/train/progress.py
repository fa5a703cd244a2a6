"""What a training job says while it works: a bar on a terminal, sparse lines in a log."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import time
from pathlib import Path
from typing import TextIO

_SECONDS_BETWEEN_LINES = 30.0
_MOST_ROWS = 16


class Progress:
    """Counts steps over all runs of a job.

    On a terminal a bar shows runs, epoch, loss and time left. Elsewhere a line is printed when a job
    starts, when a run goes on or ends, and at most every 30 s between. Lines also go to `log`, if one is named.
    """

    def __init__(self, title: str, *, runs: int, log: str | None = None) -> None:
        self.title, self.runs, self.steps = title, runs, 0
        self.finished = 0
        self._done = 0
        self._started = self._last_line = time.monotonic()
        self._log = _open_log(log)
        self._bar = None
        if sys.stderr.isatty():
            row, self._claim = _claim_row()
            self._bar = _make_bar(title, row)

    def note(self, text: str) -> None:
        """Print one line at once."""
        line = f"[{self.title}] {text}"
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)
        if self._log:
            print(line, file=self._log, flush=True)

    def advance(self, steps: int, *, label: str, epoch: int, epochs: int, loss: float | None = None) -> None:
        """Count steps; `loss` is the mean training loss so far in this epoch, if it is known."""
        self._done += steps
        status = f"run {min(self.finished + 1, self.runs)}/{self.runs} {label} epoch {epoch}/{epochs}"
        if loss is not None:
            status += f" loss {loss:.3f}"
        if self._bar is not None:
            self._bar.set_postfix_str(status, refresh=False)
            self._bar.update(steps)
        now = time.monotonic()
        if now - self._last_line >= _SECONDS_BETWEEN_LINES and self._done:
            self._last_line = now
            left = (now - self._started) / self._done * (self.steps - self._done)
            line = f"{status}; {self._done}/{self.steps} steps, {left / 60:.1f} min left"
            if self._bar is None:
                self.note(line)
            elif self._log:
                print(f"[{self.title}] {line}", file=self._log, flush=True)

    def expect(self, steps: int) -> None:
        """Say how many steps are still to come."""
        self._set_total(self._done + steps)

    def skip(self, steps: int) -> None:
        """Leave out steps that an earlier attempt has done."""
        self._set_total(self.steps - steps)

    def close(self) -> None:
        """End the bar and the log."""
        if self._bar is not None:
            self._bar.close()
            self._claim.close()
        if self._log:
            self._log.close()

    def _set_total(self, steps: int) -> None:
        self.steps = steps
        if self._bar is not None:
            self._bar.total = self.steps
            self._bar.refresh()


def _open_log(log: str | None) -> TextIO | None:
    if log is None:
        return None
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    return open(log, "a", encoding="utf-8")


def _make_bar(title: str, row: int):
    from tqdm import tqdm

    return tqdm(
        total=0, desc=title, unit="step", file=sys.stderr, dynamic_ncols=True, smoothing=0.05, position=row, leave=False
    )


def _claim_row() -> tuple[int, socket.socket]:
    """The first row of this terminal that no other job draws its bar in, and what holds it.

    A job holds a row by a socket address of the row's name, which the system frees when the process ends, however
    it ends. Where there are no such addresses (they are Linux's), every job draws in the first row.
    """
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with contextlib.suppress(OSError):
        terminal = os.ttyname(sys.stderr.fileno())
        for row in range(_MOST_ROWS):
            try:
                holder.bind(f"\0toporep{terminal}/{row}")
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    break
            else:
                return row, holder
    return 0, holder
