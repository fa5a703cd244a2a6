"""`python -m toporep.cli.features`: write the features of one source of images."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from toporep.cli.arguments import parse_object
from toporep.data.write_features import write_features
from toporep.errors import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a source's features (schema `features`, and an .npy file), or its manifest alone."""
    options = _parser().parse_args(arguments)
    manifest = write_features(
        options.source,
        options.output,
        features=parse_object(options.features, "--features"),
        array=options.array,
        data_dir=options.data_dir,
        threads=options.threads,
        device=options.device,
    )
    print(f"{options.output}: {options.source}, {len(manifest.place):,} images, {len(manifest.skipped):,} left out")
    for path, reason in zip(manifest.skipped, manifest.reason, strict=True):
        print(f"left out: {path}: {reason}", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m toporep.cli.features", description=__doc__)
    parser.add_argument("--source", required=True, help="source in config/image_sets.yaml")
    parser.add_argument("--features", required=True, metavar="JSON", help="the paper's settings `features`")
    parser.add_argument("--output", required=True, metavar="FILE", help="netCDF file to write (.nc)")
    parser.add_argument("--array", metavar="FILE", help=".npy file to write (without it: the list of images alone)")
    parser.add_argument(
        "--data-dir", metavar="FOLDER", help="where the folders and weights lie (default: $TOPOREP_DATA)"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads that decode, or processes that render")
    parser.add_argument(
        "--device", default=os.environ.get("TOPOREP_DEVICE", "auto"), help="of AlexNet: auto, cpu or cuda"
    )
    return parser


if __name__ == "__main__":
    run_command(main)
