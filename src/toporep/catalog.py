"""The catalog: the name of every figure and table that can be asked for."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toporep.config import did_you_mean, read_yaml, schema_problems
from toporep.errors import TopoRepError

# The section of the catalog that is about all papers.
COMPARISON = "comparison"

_NOTHING = {"analyses": [], "across": [], "per_run": [], "maps": False, "stimuli": False, "drawn": False}
_DEFAULTS = {**_NOTHING, "datasets": None, "published": None}


def load_catalog(
    path: str | os.PathLike, papers: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Read the catalog and keep the figures and tables of the given papers.

    Args:
        path: `config/catalog.yaml`; its schema lies beside it in `schemas/catalog.yaml`.
        papers: `Config.papers`.

    Returns:
        paper → figure or table → title, caption, and what it shows: analyses (summaries) and per_run (metric files),
        lists of names; maps, stimuli and drawn, booleans; datasets, a list of roles or None for all; published, a file
        in `config/published/<paper>/` or None. `COMPARISON`, after the papers, has the entries that show `across`:
        analyses (summaries) of every paper that has them, if one of the given papers does.

    Raises:
        TopoRepError: The file is not valid, or it names an analysis, a data set or a file of published numbers that
            the paper does not have.
    """
    content = read_yaml(path)
    problems = schema_problems(content, Path(path).parent / "schemas" / "catalog.yaml")
    lines = [f"{'.'.join(map(str, problem.path))}: {problem.text}" for problem in problems]
    catalog = {}
    if not lines:
        catalog = {paper: _with_defaults(content.get(paper, {})) for paper in papers}
        lines = [line for paper in papers for line in _figure_lines(paper, catalog[paper], papers[paper])]
        lines += [line for paper in papers for line in _published_lines(paper, catalog[paper], Path(path).parent)]
        compared = _with_defaults(content.get(COMPARISON, {}))
        lines += _comparison_lines(compared)
        known = {analysis for paper in papers.values() for analysis in paper["analyses"]}
        shown = {name: figure for name, figure in compared.items() if known & set(figure["across"])}
        catalog |= {COMPARISON: shown} if shown else {}
    if lines:
        raise TopoRepError("\n".join(f"{path}: {line}" for line in lines))
    return catalog


def is_table(name: str) -> bool:
    """Whether an entry of this name is a table; every other is a figure."""
    return name.startswith("table")


def resolve(name: str, catalog: Mapping[str, Mapping[str, Any]], *, kind: str = "figure") -> tuple[str, str]:
    """Find a figure by its name, `fig6_colocalization`, or with its paper, `truong2025/fig6_colocalization`.

    Args:
        name: What the user wrote.
        catalog: From `load_catalog`.
        kind: "figure" or "table".

    Returns:
        (paper, figure), or (paper, table).

    Raises:
        TopoRepError: None of this kind has this name, or those of several papers do; the message lists the near ones.
    """
    entries = [(paper, entry) for paper, entries in catalog.items() for entry in entries]
    named = [(paper, entry) for paper, entry in entries if name in (entry, f"{paper}/{entry}")]
    found = [pair for pair in entries if is_table(pair[1]) == (kind == "table")]
    matches = [pair for pair in named if pair in found]
    if len(matches) == 1:
        return matches[0]
    if matches:
        choices = ", ".join(f"{paper}/{entry}" for paper, entry in matches)
        raise TopoRepError(f"{kind} {name!r} is in several papers; write one of: {choices}")
    if named:
        other = "figure" if kind == "table" else "table"
        raise TopoRepError(f"{name!r} is a {other}, not a {kind}; its files lie in {other}s/, not in {kind}s/")
    near = _near(name, found)
    choices = (
        f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(f'{p}/{f}' for p, f in found) or 'none'}"
    )
    raise TopoRepError(f"unknown {kind} {name!r}; {choices}")


def _with_defaults(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: {**_DEFAULTS, **figure} for name, figure in figures.items()}


def _figure_lines(paper: str, figures: Mapping[str, Any], paper_config: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, figure in figures.items():
        for key, known, kind in (
            ("analyses", paper_config["analyses"], "analysis"),
            ("per_run", paper_config["analyses"], "analysis"),
            ("datasets", paper_config["datasets"], "dataset"),
        ):
            for found in figure[key] or []:
                if found not in known:
                    lines.append(f"{paper}.{name}.{key}: unknown {kind} {found!r}{did_you_mean(found, known)}")
        if figure["across"]:
            lines.append(f"{paper}.{name}.across: for entries of the section {COMPARISON!r} alone; give `analyses`")
        if not any(figure[key] for key in _NOTHING):
            lines.append(
                f"{paper}.{name}: draws nothing; give `analyses`, `per_run`, or one of `maps`, `stimuli`, `drawn`: true"
            )
    return lines


def _comparison_lines(figures: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, figure in figures.items():
        if not figure["across"]:
            lines.append(f"{COMPARISON}.{name}: draws nothing; give `across`: analyses that papers have")
        lines += [
            f"{COMPARISON}.{name}.{key}: for entries of a paper alone; give `across`"
            for key in (*_NOTHING, "datasets", "published")
            if key != "across" and figure[key]
        ]
    return lines


def _published_lines(paper: str, figures: Mapping[str, Any], folder: Path) -> list[str]:
    place = folder / "published" / paper
    known = sorted(path.name for path in place.glob("*.csv"))
    wanted = {name: figure["published"] for name, figure in figures.items() if figure["published"]}
    return [
        f"{paper}.{name}.published: no file {file!r} in {place}{did_you_mean(file, known)}"
        for name, file in wanted.items()
        if file not in known
    ]


def _near(name: str, found: list[tuple[str, str]]) -> list[str]:
    """Names that begin with or contain `name`, then those spelt like it; with the paper where `name` has one."""
    names = list(dict.fromkeys(f"{paper}/{figure}" if "/" in name else figure for paper, figure in found))
    parts = [known for known in names if name.lower() in known.lower()]
    elsewhere = [known for known in names if "/" in name and known.partition("/")[2] == name.partition("/")[2]]
    return list(dict.fromkeys(elsewhere + parts + difflib.get_close_matches(name, names, n=5, cutoff=0.5)))[:5]
