"""What a training job says: a bar on a terminal, sparse lines in a log."""

from __future__ import annotations

import functools
import os
import pty
import re
import sys
import termios
import threading
from pathlib import Path

import pytest
import training_jobs as jobs
from training_jobs import make_job

from toporep.train import progress as module
from toporep.train.progress import Progress

RUNS = [("ws", 0.5, 0), ("control", 0, 1)]


def test_a_log_gets_a_line_a_run_not_a_line_a_step(tmp_path: Path) -> None:
    job = make_job(tmp_path, RUNS)
    job_log = tmp_path / "logs" / "train.log"
    child = jobs.Child([*job.arguments(), "--log", str(job_log)], None, tmp_path)
    ended = child.wait()
    lines = ended.stderr.splitlines()
    assert len(lines) == 1 + len(RUNS)
    assert lines[0].startswith("[truong2025/mnist] 2 runs one after the other on cpu: ")
    for line, run in zip(lines[1:], job.runs, strict=True):
        assert re.fullmatch(
            rf"\[truong2025/mnist\] {run.id}: done, validation accuracy 0\.\d{{3}}, spatial loss \d\.\d{{3}}", line
        )
    assert job_log.read_text().splitlines() == lines
    assert "\r" not in ended.stderr


def test_a_long_run_says_now_and_then_where_it_is(monkeypatch, capsys: pytest.CaptureFixture) -> None:
    """A step a second on a clock of our own: a line every 30 s, with the time left."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    progress = Progress("paper/data", runs=2)
    progress.expect(200)
    for step in range(120):
        now[0] += 1
        progress.advance(1, label="ws/1/seed0", epoch=1 + step // 60, epochs=2, loss=1.25)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"[paper/data] run 1/2 ws/1/seed0 epoch {epoch}/2 loss 1.250; {done}/200 steps, {left} min left"
        for epoch, done, left in ((1, 30, "2.8"), (1, 60, "2.3"), (2, 90, "1.8"), (2, 120, "1.3"))
    ]


def test_steps_that_need_not_be_done_do_not_count(monkeypatch, capsys: pytest.CaptureFixture) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    progress = Progress("paper/data", runs=1)
    progress.expect(100)
    progress.skip(40)
    now[0] = 30
    progress.advance(30, label="ws/1/seed0", epoch=2, epochs=2)
    assert "30/60 steps, 0.5 min left" in capsys.readouterr().err
    progress.expect(10)  # the rest of the job turned out to be short
    now[0] = 60
    progress.advance(5, label="ws/1/seed0", epoch=2, epochs=2)
    assert "35/40 steps, 0.1 min left" in capsys.readouterr().err


@pytest.mark.parametrize("mode, label", [("solo", "ws/0.5/seed0"), ("stacked", "stack of 2")])
def test_a_terminal_gets_a_bar(tmp_path: Path, mode: str, label: str) -> None:
    job = make_job(tmp_path, RUNS, mode=mode, epochs=12)
    screen, status = run_on_terminal(job, tmp_path)
    assert status == 0
    frames = screen.split("\r")
    total = 2 * 12 * 4
    bars = [frame for frame in frames if re.search(r"\d+%\|", frame)]
    first = next(bar for bar in bars if f"run 1/2 {label} epoch " in bar)
    assert first.startswith("truong2025/mnist: ")
    assert re.search(r"\d+/96 \[\d\d:\d\d<\d\d:\d\d, +[\d.]+ ?step/s, run 1/2 .* epoch \d+/12 loss \d\.\d{3}\]", first)
    assert f"{total}/{total}" in bars[-1] and "100%" in bars[-1]
    assert all(f"{run.id}: done" in screen for run in job.runs)
    assert "epoch 12/12" in bars[-1]


def test_jobs_that_share_a_terminal_draw_their_bars_in_rows_of_their_own(monkeypatch) -> None:
    controllers, terminals = zip(*(pty.openpty() for _ in range(2)), strict=True)
    streams = [open(terminal, "w", closefd=False) for terminal in terminals]  # noqa: SIM115

    def start(terminal: int) -> Progress:
        monkeypatch.setattr(sys, "stderr", streams[terminal])
        return Progress("paper/data", runs=1)

    def row(progress: Progress) -> int:
        return -progress._bar.pos

    first, second, elsewhere = start(0), start(0), start(1)
    assert (row(first), row(second), row(elsewhere)) == (0, 1, 0)
    first.close()
    third, fourth = start(0), start(0)
    assert (row(third), row(fourth)) == (0, 2)
    for progress in (second, third, fourth, elsewhere):
        progress.close()
    for handle in (*controllers, *terminals):
        os.close(handle)


def run_on_terminal(job: jobs.Job, folder: Path) -> tuple[str, int]:
    """Run a job whose standard error is a pseudo-terminal 160 columns wide; returns what it showed."""
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 160))
    shown: list[bytes] = []
    reader = threading.Thread(target=read_all, args=(controller, shown))
    reader.start()
    child = jobs.Child(job.arguments(), functools.partial(use_terminal, os.ttyname(terminal)), folder)
    ended = child.wait()
    os.close(terminal)
    reader.join(10)
    os.close(controller)
    return b"".join(shown).decode(), ended.status


def read_all(controller: int, shown: list[bytes]) -> None:
    while True:
        try:
            part = os.read(controller, 4096)
        except OSError:  # the other side is closed
            return
        if not part:
            return
        shown.append(part)


def use_terminal(name: str) -> None:
    handle = os.open(name, os.O_RDWR | os.O_NOCTTY)
    os.dup2(handle, 2)
    os.close(handle)
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
