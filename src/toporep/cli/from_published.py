"""Draw what published metric files allow: `python -m toporep.cli.from_published [--paper truong2025]`.

Figures, tables and ledgers are made by the commands that the rules run, without training; what lacks inputs is named.
With `--quotes README.md …` nothing is drawn: the numbers that these documents quote are brought up to date.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from toporep.config import did_you_mean
from toporep.errors import TopoRepError, run_command
from toporep.published.manifest import ROOT, published_papers
from toporep.published.quotes import check_quotes, quotes, requoted
from toporep.published.redraw import Redrawn, published_workflow, redraw, remake_ledger, sections, sources_of

_REPOSITORY = Path(__file__).resolve().parents[3]


def main(arguments: Sequence[str] | None = None) -> None:
    """Check the published files, draw, say what was drawn and what lacks inputs."""
    options = _parser().parse_args(arguments)
    if options.quotes:
        _renew(options.quotes, options.root)
        return
    papers = published_papers(options.root)
    for paper in options.paper or ():
        if paper not in papers:
            raise TopoRepError(
                f"--paper {paper}: nothing of it is published in {options.root}{did_you_mean(paper, papers)}"
            )
    if not papers:
        print(f"{options.root}: nothing published yet")
        return
    workflow = published_workflow(options.root, Path(options.folder))
    print(sources_of(workflow))
    for section in sections(workflow, options.paper or papers):
        redrawn = [redraw(workflow, section, name) for name in workflow.catalog[section]]
        ledger = remake_ledger(workflow, section) if section in papers else ()
        _tell(workflow.config.root, section, redrawn, ledger)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m toporep.cli.from_published",
        description="Draw figures, tables and ledgers from published metric files.",
    )
    parser.add_argument("--root", default=ROOT, help="folder of published results")
    parser.add_argument("--paper", nargs="+", help="papers; by default all that are published")
    parser.add_argument("--quotes", nargs="+", metavar="FILE", help="documents whose quoted numbers are renewed")
    parser.add_argument("--folder", default=str(_REPOSITORY), help="of config/; by default, where this code is")
    return parser


def _renew(paths: Sequence[str], root: str) -> None:
    """Write the published numbers into documents that quote others."""
    for path in map(Path, paths):
        if not path.is_file():
            raise TopoRepError(f"--quotes {path}: no such file")
        text = path.read_text(encoding="utf-8")
        outdated = check_quotes(text, root)
        if outdated:
            path.write_text(requoted(text, root), encoding="utf-8")
        print("\n".join([f"{path}: {len(outdated)} of {len(quotes(text))} quotes renewed", *outdated]))


def _tell(root: str, paper: str, redrawn: Sequence[Redrawn], ledger: Sequence[str]) -> None:
    drawn = [each for each in redrawn if each.files]
    print(f"{paper}: {len(drawn)} of {len(redrawn)} figures and tables drawn below {root}/")
    partial: dict[tuple[str, ...], list[str]] = {}
    for each in drawn:
        if each.without:
            partial.setdefault(each.without, []).append(each.name)
    for without, names in partial.items():
        print(f"  without {', '.join(without)}, which is not published: {', '.join(names)}")
    for each in redrawn:
        if each.why_not:
            print(f"  {each.name}: {each.why_not}")
    for path in ledger[:1]:
        print(f"  ledger of claims: {path.removesuffix('.csv')}.csv, .md, _points.csv")


if __name__ == "__main__":
    run_command(main)
