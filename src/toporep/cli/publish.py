"""Publish a paper's full-scale results: `python -m toporep.cli.publish --root results --paper truong2025`.

Metric files, summaries, a line for each run, the ledger of claims and a manifest go to results/published/.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from toporep.config import merge, read_yaml
from toporep.errors import TopoRepError, run_command
from toporep.published.collect import Choice, publish, rooted
from toporep.published.manifest import ROOT, published_papers, read_manifest
from toporep.workflow import Workflow

_REPOSITORY = Path(__file__).resolve().parents[3]


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the configuration, publish, say what there is now and what there was before."""
    options = _parser().parse_args(arguments)
    folder = Path(options.folder)
    configuration = read_yaml(folder / "config" / "config.yaml")
    for file in options.configfile:
        configuration = merge(configuration, read_yaml(file))
    workflow = rooted(Workflow.from_config(configuration, folder), options.root)
    before = _networks(options.output, options.paper)
    choice = Choice(options.dataset, options.mixed, options.lacking, _reasons(options.leave_out))
    manifest = publish(workflow, options.paper, root=options.output, choice=choice)
    size = sum(entry["bytes"] for entry in manifest["files"].values())
    print(f"{options.output}: {len(manifest['files'])} files of {options.paper}, {size / 1e6:.2f} MB")
    for dataset, told in manifest["datasets"].items():
        earlier = f" (before: {before[dataset]})" if dataset in before else ""
        print(f"  {dataset}: {told['networks']} networks{earlier}, seeds {', '.join(map(str, told['seeds']))}")
        if told["not_made"]:
            print(f"  {dataset}: not made: {', '.join(told['not_made'])}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m toporep.cli.publish", description="Publish a paper's full-scale metric files."
    )
    parser.add_argument("--root", default="results", help="folder of results at scale paper")
    parser.add_argument("--paper", required=True, help="key of the paper, such as truong2025")
    parser.add_argument("--dataset", nargs="+", metavar="NAME", help="data sets; by default all with metric files")
    parser.add_argument("--output", default=ROOT, metavar="FOLDER", help="folder of published results")
    parser.add_argument(
        "--configfile", nargs="+", default=[], metavar="FILE", help="that the runs were made with, as with snakemake"
    )
    parser.add_argument(
        "--mixed",
        metavar="REASON",
        help="why results of different code or data may stand together; kept in the manifest",
    )
    parser.add_argument(
        "--lacking",
        metavar="REASON",
        help="why settings that came after the runs were then as they are now; kept in the manifest",
    )
    parser.add_argument(
        "--leave-out",
        nargs="+",
        default=[],
        metavar="DATASET.ANALYSIS=REASON",
        help="analyses that are made and not published; kept in the manifest",
    )
    parser.add_argument("--folder", default=str(_REPOSITORY), help="of config/; by default, where this code is")
    return parser


def _networks(root: str, paper: str) -> dict[str, int]:
    """Networks of each data set that are published already."""
    if paper not in published_papers(root):
        return {}
    return {name: told["networks"] for name, told in read_manifest(root, paper)["datasets"].items()}


def _reasons(pairs: Sequence[str]) -> dict[str, str]:
    reasons = {}
    for pair in pairs:
        name, _, reason = pair.partition("=")
        if not (name and reason.strip()):
            raise TopoRepError(f"--leave-out {pair!r}: expected <dataset>.<analysis>=<reason>")
        reasons[name] = reason.strip()
    return reasons


if __name__ == "__main__":
    run_command(main)
