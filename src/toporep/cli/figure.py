"""Draw one figure: `python -m toporep.cli.figure <paper> <figure> [--input NAME=path ...] --outputs a.pdf a.png a.csv`.

The inputs are named and ordered as the panels are. Any number of outputs may be given; the suffix chooses the content.
"""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toporep.errors import TopoRepError, run_command
from toporep.figures import export, figure_module


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the figure named on the command line and write its outputs."""
    options = _parser().parse_args(arguments)
    export.check_outputs(options.outputs)
    module = figure_module(options.paper, options.figure)
    settings = parse_settings(options.settings, known=list(inspect.signature(module.draw).parameters)[1:])
    figure, table = module.draw(parse_inputs(options.input), **settings)
    export.save(figure, table, options.outputs)


def parse_inputs(pairs: Sequence[str]) -> dict[str, Path]:
    """Turn `NAME=path` arguments into a mapping that keeps their order.

    Raises:
        TopoRepError: an argument without a name or a path, or a name given twice.
    """
    inputs: dict[str, Path] = {}
    for pair in pairs:
        name, separator, path = pair.partition("=")
        if not (name and separator and path):
            raise TopoRepError(f"--input {pair!r}: expected NAME=path, such as mnist=morans_i_summary.nc")
        if name in inputs:
            raise TopoRepError(f"--input {pair!r}: the name {name!r} is given twice; each input needs its own name")
        inputs[name] = Path(path)
    return inputs


def parse_settings(text: str, *, known: Sequence[str]) -> dict[str, Any]:
    """Read the JSON object of a figure's own settings.

    Raises:
        TopoRepError: not a JSON object, or a setting that the figure does not have.
    """
    try:
        settings = json.loads(text)
    except ValueError as error:
        raise TopoRepError(f"--settings: not JSON ({error}), found {text!r}") from error
    if not isinstance(settings, dict):
        raise TopoRepError(f"--settings: expected a JSON object, found {text!r}")
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise TopoRepError(f"--settings: unknown {', '.join(unknown)}; this figure has: {', '.join(known) or 'none'}")
    return settings


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
