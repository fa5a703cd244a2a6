"""Apply an analysis to activation dumps: `python -m toporep.cli.analyze <analysis> ...`."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path

import toporep.analyses
from toporep.analyses.dumps import RunKey, refuse_missing_seeds
from toporep.cli.arguments import parse_object
from toporep.errors import TopoRepError, run_command
from toporep.io import write_dataset

# Modules of the package that are no analyses.
_SHARED = ("capsules", "dumps", "responses")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, run the analysis, write the metric file and its summary."""
    options = _parser().parse_args(arguments)
    known = _analyses()
    if options.analysis not in known:
        raise TopoRepError(f"analysis: expected one of {', '.join(known)}, found {options.analysis!r}")
    # Only the analysis asked for is imported: a change in another one must not make this stage outdated.
    module = importlib.import_module(f"toporep.analyses.{options.analysis}")
    provenance = {"scale": options.scale}
    if options.code_hash:
        provenance["code_hash"] = options.code_hash
    settings = parse_object(options.settings, "--settings")
    metric, summary = module.run(_dump_paths(options), settings, provenance)
    # An analysis that compares the networks of a point has no value a run, and looks at the seeds itself.
    if "run" in metric.dims:
        columns = (metric[name].values.tolist() for name in RunKey._fields)
        refuse_missing_seeds([RunKey(*key) for key in zip(*columns, strict=True)])
    write_dataset(metric, options.output, options.analysis)
    write_dataset(summary, options.summary, f"{options.analysis}_summary")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m toporep.cli.analyze", description=__doc__.split(":")[0] + ".")
    parser.add_argument("analysis", help=f"one of {', '.join(_analyses())}")
    parser.add_argument("--settings", default="{}", metavar="JSON", help="settings that differ from the defaults")
    parser.add_argument("--scale", required=True, help="scale that all dumps must have")
    parser.add_argument("--output", required=True, help="metric file to write: a value a run")
    parser.add_argument("--summary", required=True, help="summary file to write: mean, SEM and n over seeds")
    parser.add_argument("--code-hash", help="hash of the code of this stage, stored in both files")
    dumps = parser.add_mutually_exclusive_group(required=True)
    dumps.add_argument("--dumps", nargs="+", metavar="FILE", help="activation dumps")
    dumps.add_argument("--dumps-from", metavar="FILE", help="text file with the path of one dump a line")
    return parser


def _analyses() -> list[str]:
    names = (module.name for module in pkgutil.iter_modules(toporep.analyses.__path__))
    return sorted(name for name in names if name not in _SHARED)


def _dump_paths(options: argparse.Namespace) -> list[str]:
    if options.dumps:
        return options.dumps
    try:
        lines = Path(options.dumps_from).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise TopoRepError(f"--dumps-from: {options.dumps_from} cannot be read ({error.strerror})") from error
    return [line.strip() for line in lines if line.strip()]


if __name__ == "__main__":
    run_command(main)
