"""Make the report: `python -m toporep.cli.report [--configfile FILE ...] [--output results/report.html]`.

Takes what is there and names what is missing. `snakemake report` makes first what is missing.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toporep.cli.arguments import parse_object
from toporep.config import merge, read_yaml
from toporep.errors import run_command
from toporep.io import write_text
from toporep.report import page
from toporep.workflow import Workflow

_REPOSITORY = Path(__file__).resolve().parents[3]


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the configuration, write the page, say what it lacks."""
    options = _parser().parse_args(arguments)
    folder = Path(options.folder)
    workflow = Workflow.from_config(_configuration(options, folder), folder)
    output = options.output or f"{workflow.config.root}/report.html"
    text = page.render(workflow)
    os.makedirs(os.path.dirname(output) or ".", exist_ok=True)
    write_text(output, text)
    print(f"{output}: {len(text.encode('utf-8')) / 1e6:.1f} MB, {_completeness(workflow)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m toporep.cli.report", description="Make the report, one HTML file.")
    parser.add_argument(
        "--configfile", nargs="+", default=[], metavar="FILE", help="laid over config/config.yaml, as with snakemake"
    )
    parser.add_argument("--config", metavar="JSON", help="the whole main configuration, in place of these files")
    parser.add_argument("--output", metavar="PATH", help="file to write; <root>/report.html if left out")
    parser.add_argument(
        "--folder", default=str(_REPOSITORY), help="of config/, docs/ and workflow/; by default, where this code is"
    )
    return parser


def _configuration(options: argparse.Namespace, folder: Path) -> Mapping[str, Any]:
    if options.config is None:
        configuration = read_yaml(folder / "config" / "config.yaml")
        for file in options.configfile:
            configuration = merge(configuration, read_yaml(file))
        return configuration
    return parse_object(options.config, "--config")


def _completeness(workflow: Workflow) -> str:
    files = [workflow.paths.figure(*pair, "png") for pair in workflow.figures(comparison=True)]
    files += [workflow.paths.table(*pair, "md") for pair in workflow.tables(comparison=True)]
    files += [workflow.paths.claims(paper, ".csv") for paper in workflow.claimed_papers()]
    missing = [file for file in files if not Path(file).is_file()]
    return f"{len(missing)} of {len(files)} figures, tables and ledgers are missing" if missing else "complete"


if __name__ == "__main__":
    run_command(main)
