"""Write one table: `python -m toporep.cli.table <paper> <table> [--input NAME=path ...] --outputs a.csv a.md a.tex`.

Any number of outputs may be given; the suffix chooses the content.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Sequence

from toporep.cli.arguments import parse_inputs, parse_settings
from toporep.errors import run_command
from toporep.tables import export, table_module


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the table named on the command line and write its outputs."""
    options = _parser().parse_args(arguments)
    export.check_outputs(options.outputs)
    module = table_module(options.paper, options.table)
    known = list(inspect.signature(module.build).parameters)[1:]
    settings = parse_settings(options.settings, known=known, kind="table")
    numbers, table = module.build(parse_inputs(options.input), **settings)
    export.save(numbers, table, options.outputs)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m toporep.cli.table", description="Write one table of a paper.")
    parser.add_argument("paper", help="key of the paper, such as sander2026")
    parser.add_argument("table", help="name of the table, such as table1_class_similarity")
    parser.add_argument(
        "--input", nargs="*", action="extend", default=[], metavar="NAME=PATH", help="input files by name"
    )
    parser.add_argument(
        "--settings", default="{}", metavar="JSON", help='settings of the table, such as {"spread": "pooled"}'
    )
    parser.add_argument("--outputs", nargs="+", required=True, metavar="PATH", help="files ending in .csv, .md, .tex")
    return parser


if __name__ == "__main__":
    run_command(main)
