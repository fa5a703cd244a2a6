"""Write docs/figures.md: `python -m toporep.cli.figure_costs [--measure]`.

With `--measure`, first add up what a finished demo took (results/demo/benchmarks) and write docs/demo-costs.csv.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from toporep.config import merge, read_yaml
from toporep.errors import run_command
from toporep.io import write_text
from toporep.report.figure_table import figure_document, measure_demo, read_demo, read_minutes, write_demo
from toporep.workflow import Workflow

_REPOSITORY = Path(__file__).resolve().parents[3]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure if that is asked for, and write the document from the configuration and what was measured."""
    options = _parser().parse_args(arguments)
    folder = Path(options.folder)
    if options.measure:
        demo = measure_demo(_workflow(folder, "demo.yaml"))
        write_demo(folder / "docs" / "demo-costs.csv", demo)
        print(f"docs/demo-costs.csv: {demo.told}")
    text = document(folder)
    write_text(folder / "docs" / "figures.md", text)
    print(f"docs/figures.md: {len(text.encode('utf-8')) / 1000:.0f} kB")


def document(folder: Path) -> str:
    """The document, from the configuration and the measurements in a folder."""
    docs = folder / "docs"
    return figure_document(
        _workflow(folder), read_demo(docs / "demo-costs.csv"), minutes=read_minutes(docs / "network-costs.csv")
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m toporep.cli.figure_costs", description="Write docs/figures.md: figures, targets, rules, cost."
    )
    parser.add_argument(
        "--measure", action="store_true", help="first read results/demo/benchmarks, here, of a finished demo"
    )
    parser.add_argument(
        "--folder", default=str(_REPOSITORY), help="of config/ and docs/; by default, where this code is"
    )
    return parser


def _workflow(folder: Path, *over: str) -> Workflow:
    configuration = read_yaml(folder / "config" / "config.yaml")
    for name in over:
        configuration = merge(configuration, read_yaml(folder / "config" / name))
    return Workflow.from_config(configuration, folder)


if __name__ == "__main__":
    run_command(main)
