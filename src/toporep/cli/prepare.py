"""`python -m toporep.cli.prepare`: write the prepared images of one source."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from toporep.data import obtain, save_images
from toporep.errors import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Obtain a source and write it as netCDF (schema `images`); the same images give the same bytes."""
    options = _parser().parse_args(arguments)
    data = obtain(options.source, options.data_dir, registry=options.registry, download=options.download)
    save_images(data, options.output)
    print(
        f"{options.output}: {data.source_title}, {len(data.label_train)} training and {len(data.label_test)} test "
        f"images, recognised as {data.recognised_as} ({data.origin})"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m toporep.cli.prepare", description=__doc__)
    parser.add_argument(
        "--source", required=True, help="key in the registry: mnist, cifar10, dsprites, digits, sprites …"
    )
    parser.add_argument("--output", required=True, metavar="FILE", help="prepared file to write (.nc)")
    parser.add_argument(
        "--data-dir", metavar="FOLDER", help="where the public files lie or go (default: $TOPOREP_DATA)"
    )
    parser.add_argument("--registry", metavar="FILE", help="registry of sources (default: config/datasets.yaml)")
    parser.add_argument("--no-download", dest="download", action="store_false", help="never use the network")
    return parser


if __name__ == "__main__":
    run_command(main)
