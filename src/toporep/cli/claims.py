"""Test a paper's claims on its metric files: `python -m toporep.cli.claims --claims FILE --metrics KEY=path ...`.

KEY is <dataset>.<analysis>. Three files are written: the ledger as .csv and .md, and every point of each claim as .csv.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from toporep.claims.entries import load_claims, metric_schema
from toporep.claims.evidence import Evidence
from toporep.claims.ledger import Ledger, to_csv
from toporep.cli.arguments import parse_object
from toporep.errors import TopoRepError, run_command
from toporep.io import write_text


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, test the claims, write the ledger, print the counts."""
    options = _parser().parse_args(arguments)
    claims = load_claims(options.claims, parse_object(options.paper, "--paper"))
    paths = _paths(options.metrics)
    schemas = {analysis: metric_schema(claims, analysis) for _, analysis in claims.files}
    evidence = Evidence.read(
        claims.paper, options.scale, {key: path for key, path in paths.items() if key in claims.files}, schemas
    )
    ledger = Ledger.of(claims, evidence)
    table = ledger.table()
    write_text(options.points, to_csv(ledger.points()))
    write_text(options.csv, to_csv(table))
    write_text(options.markdown, ledger.markdown())
    primary = table[table["role"] == "primary"]
    counts = ", ".join(f"{count} {verdict}" for verdict, count in primary["verdict"].value_counts().items())
    print(f"{claims.paper}, scale {options.scale}: {counts}; see {options.markdown}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m toporep.cli.claims", description=__doc__.split(":")[0] + ".")
    parser.add_argument("--claims", required=True, metavar="FILE", help="config/claims/<paper>.yaml")
    parser.add_argument(
        "--paper", required=True, metavar="JSON", help="of the paper's configuration: what the names in the claims mean"
    )
    parser.add_argument("--scale", required=True, help="scale that all metric files must have")
    parser.add_argument(
        "--metrics", nargs="*", default=[], metavar="KEY=PATH", help="metric files, KEY is <dataset>.<analysis>"
    )
    parser.add_argument("--csv", required=True, help="ledger to write: a row a claim")
    parser.add_argument("--markdown", required=True, help="the same for a reader")
    parser.add_argument("--points", required=True, help="file to write: a row a point of a claim")
    return parser


def _paths(pairs: Sequence[str]) -> dict[tuple[str, str], Path]:
    paths = {}
    for pair in pairs:
        name, _, path = pair.partition("=")
        dataset, separator, analysis = name.partition(".")
        if not (separator and path):
            raise TopoRepError(f"--metrics {pair!r}: expected <dataset>.<analysis>=path, such as mnist.morans_i=m.nc")
        paths[dataset, analysis] = Path(path)
    return paths


if __name__ == "__main__":
    run_command(main)
