"""Time the training of all papers' networks on this machine: `python -m toporep.cli.benchmark`.

Prints one table: each engine, alone and as stacks of K runs, in each precision and way. See docs/performance.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from toporep.benchmark.measure import Row, measure_workload
from toporep.benchmark.table import as_csv, markdown
from toporep.benchmark.workloads import WORKLOADS
from toporep.device import PRECISIONS, choose_device
from toporep.errors import TopoRepError, run_command
from toporep.io import write_text

_ROUNDS = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; write CSV after each engine, so that a job that is ended keeps what it has."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    precisions = options.precision or (["float32"] if device.type == "cpu" else list(PRECISIONS))
    if not (options.config / "papers").is_dir():
        raise TopoRepError(
            f"--config: expected the folder of the configuration, with papers/ in it, found {options.config}; run in "
            "the repository, or name its config folder"
        )
    rows: list[Row] = []
    for workload in WORKLOADS:
        if workload.name not in (options.engine or [workload.name]):
            continue
        rows += measure_workload(
            workload,
            config=options.config,
            device=device,
            precisions=precisions,
            stacks=options.stack,
            rounds=options.rounds,
            steps=options.steps,
            say=lambda text: print(text, file=sys.stderr, flush=True),
        )
        if options.output:
            write_text(options.output, as_csv(rows))
    print(markdown(rows), end="")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = [workload.name for workload in WORKLOADS]
    parser = argparse.ArgumentParser(prog="python -m toporep.cli.benchmark", description=__doc__)
    parser.add_argument("--engine", nargs="+", choices=names, help="those to time; all by default")
    parser.add_argument("--device", default=os.environ.get("TOPOREP_DEVICE", "auto"), help="auto, cpu or cuda")
    parser.add_argument(
        "--precision", nargs="+", choices=PRECISIONS, help="float32 on a CPU, all on a GPU, unless named"
    )
    parser.add_argument("--stack", nargs="+", type=_positive, metavar="K", help="stack sizes")
    parser.add_argument("--rounds", type=_positive, default=_ROUNDS, help="turns of each way to train")
    parser.add_argument("--steps", type=_positive, help="timed steps of a turn")
    parser.add_argument("--threads", type=_positive, default=1, help="CPU threads")
    parser.add_argument("--config", type=Path, default=Path("config"), help="folder of the configuration")
    parser.add_argument("--output", help="CSV file with all numbers")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, found {text}")
    return value


if __name__ == "__main__":
    run_command(main)
