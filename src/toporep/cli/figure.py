"""Draw one figure: `python -m toporep.cli.figure <paper> <figure> [--input NAME=path ...] --outputs a.pdf a.png a.csv`.

The inputs are named and ordered as the panels are. Any number of outputs may be given; the suffix chooses the content.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Sequence

from toporep.cli.arguments import parse_inputs, parse_settings
from toporep.errors import run_command
from toporep.figures import export, figure_module


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the figure named on the command line and write its outputs."""
    options = _parser().parse_args(arguments)
    export.check_outputs(options.outputs)
    module = figure_module(options.paper, options.figure)
    settings = parse_settings(options.settings, known=list(inspect.signature(module.draw).parameters)[1:])
    figure, table = module.draw(parse_inputs(options.input), **settings)
    export.save(figure, table, options.outputs)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m toporep.cli.figure", description="Draw one figure of a paper.")
    parser.add_argument("paper", help="key of the paper, such as truong2025")
    parser.add_argument("figure", help="name of the figure, such as fig6_colocalization")
    parser.add_argument(
        "--input",
        nargs="*",
        action="extend",
        default=[],
        metavar="NAME=PATH",
        help="input files in panel order; none for a figure that is drawn from no file",
    )
    parser.add_argument(
        "--settings", default="{}", metavar="JSON", help='settings of the figure, such as {"images": 5}'
    )
    parser.add_argument("--outputs", nargs="+", required=True, metavar="PATH", help="files ending in .pdf, .png, .csv")
    return parser


if __name__ == "__main__":
    run_command(main)
