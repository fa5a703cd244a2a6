"""Steps per second of real training, operations of a step, the rate of matrix products alone, peak memory.

Every number that another one is compared with is measured in the same process, in turns with it.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from toporep.benchmark.workloads import Training, Way, Workload, make_training
from toporep.device import device_name, set_precision
from toporep.errors import TopoRepError

_RESET = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
# A GPU is waited for at every fiftieth step, where the engines look at the loss.
_WARM_UP = {"cpu": 1, "cuda": 50}
_GPU_STEPS = 100
_PRODUCT_SECONDS = 0.05


@dataclass
class Row:
    """One way to train, measured.

    Attributes:
        workload, device, precision, way: names.
        stack: K; 1 is a run alone.
        batch: images of a run in a step.
        steps_per_second: of all K runs together, one each; the median over the rounds.
        runs_per_hour: whole runs of the paper; None if the batch is not the paper's, or its number of steps is not
            known.
        ratio: runs per hour over those of a run alone in the same precision.
        gigaflop: of the matrix products of a step of all runs, 10⁹ operations.
        ceiling: of matrix products alone, of a shape as the step's own, 10⁹ operations per second.
        share: of that ceiling which the step reaches.
        peak_megabytes: the most memory held, or None.
        note: what went wrong.
    """

    workload: str
    device: str
    precision: str
    way: str
    stack: int
    batch: int
    steps_per_second: float | None = None
    runs_per_hour: float | None = None
    ratio: float | None = None
    gigaflop: float | None = None
    ceiling: float | None = None
    share: float | None = None
    peak_megabytes: float | None = None
    note: str = ""


@dataclass
class _Measured:
    row: Row
    training: Training
    way: Way
    rates: list[float] = field(default_factory=list)


def measure_workload(
    workload: Workload,
    *,
    config: Path,
    device: torch.device,
    precisions: list[str],
    stacks: list[int] | None = None,
    rounds: int,
    steps: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> list[Row]:
    """Time every way to train the networks of a workload, all in turns.

    Args:
        workload: which networks.
        config: folder of the configuration.
        device: where.
        precisions: of products; what a workload cannot choose is left out.
        stacks: stack sizes; by default those of the workload.
        rounds: how often each way has its turn.
        steps: timed in a turn; by default as many as fit the device.
        say: told what is done.

    Returns:
        A row for each way and stack size; ways that do not fit into memory have a note and no numbers.

    Raises:
        TopoRepError: no configuration; a stack of more runs than the paper has.
    """
    runs = workload.settings(config)
    sizes = list(workload.stacks[device.type]) if stacks is None else stacks if any(workload.stacks.values()) else []
    if sizes and max(sizes) > len(runs):
        raise TopoRepError(f"--stack: {workload.name} has {len(runs)} runs that can share a stack, found {max(sizes)}")
    warm_up = _WARM_UP[device.type]
    timed = steps or (workload.cpu_steps if device.type == "cpu" else _GPU_STEPS)
    measured = []
    for way, for_stacks in workload.ways(precisions, device):
        for size in sizes if for_stacks else [1]:
            training = make_training(
                workload, runs[:size], way, stacked=for_stacks, device=device, steps=warm_up + timed
            )
            row = Row(workload.name, device_name(device), way.precision, way.text, size, training.batch)
            measured.append(_Measured(row, training, way))
    flops = _count(workload, runs, device)
    ceilings: dict[tuple[str, int], list[float]] = {}
    for turn in range(rounds):
        for each in measured:
            if each.row.note:
                continue
            row = each.row
            say(f"{row.workload}, {row.precision}, K {row.stack}, {row.way}: round {turn + 1} of {rounds}")
            try:
                _reset_peak(device)
                each.rates.append(_rate(each.training, device, warm_up=warm_up))
                row.peak_megabytes = _larger(row.peak_megabytes, _peak_megabytes(device))
                rate = product_rate(_product(workload, row), precision=row.precision, device=device)
                ceilings.setdefault((row.precision, row.stack), []).append(rate)
            except torch.cuda.OutOfMemoryError:
                row.note = "out of memory"
                torch.cuda.empty_cache()
    _finish(workload, measured, runs[0][1]["training"], flops, ceilings)
    return [each.row for each in measured]


def product_rate(shape: tuple[int, int, int, int], *, precision: str, device: torch.device) -> float:
    """Operations per second of `torch.bmm` for (K, m, k) @ (K, k, n), shape (K, m, k, n), random numbers."""
    count, m, k, n = shape
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a = torch.randn(count, m, k, device=device).to(dtype)
    b = torch.randn(count, k, n, device=device).to(dtype)
    set_precision(device, precision)
    out = torch.bmm(a, b)
    _wait(device)
    now = _timer(device)
    done, start = 0, now()
    while now() - start < _PRODUCT_SECONDS or done < 2:
        for _ in range(10 if device.type == "cuda" else 1):
            torch.bmm(a, b, out=out)
            done += 1
        _wait(device)
    return 2 * count * m * k * n * done / (now() - start)


def count_operations(training: Training, device: torch.device) -> float:
    """Floating-point operations of the matrix products and convolutions of one training step."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        _run(training, device, _Clock(warm_up=0, last=1, per_step=1, timer=_timer(device)))
    return counter.get_total_flops()


def _count(workload: Workload, runs: list, device: torch.device) -> float:
    """Of a run alone: a stack's useful operations are K times these, however it computes them."""
    training = make_training(workload, runs[:1], Way(), stacked=False, device=device, steps=1)
    return count_operations(training, device)


def _finish(
    workload: Workload,
    measured: list[_Measured],
    training: dict,
    flops: float,
    ceilings: dict[tuple[str, int], list[float]],
) -> None:
    """Fill in what follows from the rates."""
    alone: dict[str, float] = {}
    paper_steps = workload.paper_steps(training)
    for each in measured:
        row = each.row
        row.gigaflop = flops * row.stack / 1e9
        if not each.rates:
            continue
        rate = row.steps_per_second = statistics.median(each.rates)
        alone.setdefault(row.precision, rate)
        row.ratio = row.stack * rate / alone[row.precision]
        if paper_steps and row.batch == training["batch_size"]:
            row.runs_per_hour = 3600 * row.stack * rate / paper_steps
        row.ceiling = statistics.median(ceilings[row.precision, row.stack]) / 1e9
        row.share = row.gigaflop * rate / row.ceiling


def _product(workload: Workload, row: Row) -> tuple[int, int, int, int]:
    m, k, n = workload.product
    return row.stack, m * row.batch, k, n


class _Enough(BaseException):
    """All steps that are to be timed are done."""


class _Clock:
    """A progress that looks at the time: engines tell it of a step after they have read its loss from the device."""

    finished = 0

    def __init__(self, *, warm_up: int, last: int, per_step: int, timer: Callable[[], float]) -> None:
        self.warm_up, self.last, self.per_step, self.timer = warm_up, last, per_step, timer
        self.done = 0
        self.begin: tuple[int, float] | None = None
        self.rate = float("nan")

    def note(self, text: str) -> None: ...

    def expect(self, steps: int) -> None: ...

    def skip(self, steps: int) -> None: ...

    def advance(self, steps: int, **_: object) -> None:
        now = self.timer()
        self.done += steps
        done = self.done // self.per_step
        if done >= self.last:
            if self.begin:
                self.rate = (done - self.begin[0]) / (now - self.begin[1])
            raise _Enough
        if self.begin is None and done >= self.warm_up:
            self.begin = (done, now)


def _rate(training: Training, device: torch.device, *, warm_up: int) -> float:
    """Steps per second after the warm-up, states and validation left out."""
    clock = _Clock(warm_up=warm_up, last=training.steps, per_step=len(training.specs), timer=_timer(device))
    _run(training, device, clock)
    return clock.rate


def _run(training: Training, device: torch.device, clock: _Clock) -> None:
    with tempfile.TemporaryDirectory() as folder:
        results = training.train(device=device, progress=clock, state_folder=lambda spec: Path(folder) / spec.run.id)
        try:
            for _ in results:
                pass
        except _Enough:
            return
    raise RuntimeError("training ended before all steps were told of")


def _timer(device: torch.device) -> Callable[[], float]:
    """Seconds; of a single CPU thread its processor time, which other processes disturb least."""
    return time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        # Linux: the peak of the resident set is from now on that of now.
        _RESET.write_text("5")
    except OSError:
        return


def _peak_megabytes(device: torch.device) -> float | None:
    """Memory of tensors on a GPU; on a CPU the resident set of the whole process, None where it cannot be reset."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    try:
        lines = _STATUS.read_text(encoding="utf-8").splitlines()
        return next(float(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return None


def _larger(a: float | None, b: float | None) -> float | None:
    return b if a is None else a if b is None else max(a, b)
