"""The deviations in the page: each with an anchor of its own, and which paper it belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from toporep.report import markdown

_ID = re.compile(r"[A-Z]\d+")


def anchors_of(text: str, papers: Iterable[str]) -> dict[str, dict[str, str]]:
    """Paper → number of a deviation → its anchor in the page.

    Args:
        text: `docs/deviations.md`, with a section for each paper that names the paper's file of settings, and tables
            whose first cells are numbers.
        papers: keys of papers.
    """
    found: dict[str, dict[str, str]] = {paper: {} for paper in papers}
    for section in re.split(r"^(?=## )", text, flags=re.MULTILINE):
        paper = next((paper for paper in found if f"config/papers/{paper}.yaml" in section), None)
        if paper:
            found[paper] |= {name: _anchor(name) for name in re.findall(r"^\| *([A-Z]\d+) *\|", section, re.MULTILINE)}
    return found


def render(text: str, *, level: int) -> str:
    """The document as HTML, its title at heading level `level`."""
    return markdown.render(
        text, level=level, prefix="deviations-", resolve=_resolve, row=_row, label="Deviations, a choice a row"
    )


def _anchor(name: str) -> str:
    return f"deviation-{name}"


def _row(cells: Sequence[str], head: Sequence[str]) -> dict[str, str]:
    return {"id": _anchor(cells[0])} if cells and _ID.fullmatch(cells[0]) else {}


def _resolve(target: str) -> str | None:
    """Links within the document lead to its place in the page; other files are not in the page."""
    if target.startswith("#"):
        return f"#deviations-{target[1:]}"
    return target if re.match(r"https?://", target) else None
