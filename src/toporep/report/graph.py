"""Graphs of the workflow: which rules feed which, and what becomes of a paper's runs; drawn as SVG."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from toporep.evaluations import evaluation_of, evaluation_of_set
from toporep.report.chains import Chains
from toporep.workflow import Workflow

# In pixels: text, boxes, distances. Widths of letters are an average, so boxes have room at their ends.
_LETTER, _SMALL, _PADDING = 7.4, 5.9, 11
_HEIGHT, _GAP, _ACROSS, _PASSING = 38, 12, 64, 8
_SWEEPS = 8

# Rules of the left and of the right; evaluations stand between.
_EVALUATIONS = 2
_SHOWN = ("figure", "table", "claims")
_COLUMNS = {"prepare": 0, "features": 0, "image_list": 0, "train": 1, "analysis": 3, "report": 5}
_COLUMNS |= dict.fromkeys(_SHOWN, 4)


@dataclass(frozen=True)
class Node:
    """A box: its name, a second line, and its column from the left."""

    label: str
    note: str
    column: int


@dataclass
class Graph:
    """Boxes by key, and which feeds which."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: set[tuple[str, str]] = field(default_factory=set)

    def connect(self, start: str, end: str) -> None:
        self.edges.add((start, end))

    def pruned(self) -> Graph:
        """Without boxes that nothing connects."""
        used = {key for edge in self.edges for key in edge}
        return Graph({key: node for key, node in self.nodes.items() if key in used}, self.edges)


def rule_graph(workflow: Workflow) -> Graph:
    """Kinds of rules, with the number of jobs of each, from raw data to the report.

    Rules that Snakemake names by job (`train_<paper>_…`) or by figure are one box.
    """
    graph, steps = Graph(), Chains(workflow).behind_all()
    made_by = {path: step.rule for step in steps for path in step.outputs}
    jobs = Counter(step.rule for step in steps) + Counter(report=1)
    # Those whose rules Snakemake names by job or by figure.
    several = jobs.keys() - _COLUMNS.keys() | {*_SHOWN, *(() if workflow.one_run_a_job else ("train",))}
    for rule, count in jobs.items():
        note = f"{count} job{'s' * (count != 1)}"
        label = f"{rule}_…" if rule in several else rule
        graph.nodes[rule] = Node(label, note, _COLUMNS.get(rule, _EVALUATIONS))
    for step in steps:
        for start in {made_by[path] for path in step.inputs if path in made_by}:
            graph.connect(start, step.rule)
        if step.rule in _SHOWN:
            graph.connect(step.rule, "report")
    return graph.pruned()


def paper_graph(workflow: Workflow, paper: str) -> Graph:
    """What becomes of a paper's images: networks, evaluations, analyses, figures, tables and the ledger of claims."""
    graph, config = Graph(), workflow.config.papers[paper]
    runs = Counter(run.dataset for run in workflow.runs if run.paper == paper)
    for dataset, count in runs.items():
        source = config["datasets"][dataset]["source"]
        graph.nodes[f"images/{source}"] = Node(source, "images", 0)
        graph.nodes[f"runs/{dataset}"] = Node(dataset, f"{count} network{'s' * (count != 1)}", 1)
        graph.connect(f"images/{source}", f"runs/{dataset}")
    for job in workflow.evaluation_jobs():
        if job.runs[0].paper == paper:
            for evaluation in workflow.evaluations_of(job):
                graph.nodes[f"evaluation/{evaluation}"] = Node(evaluation, "evaluation", 2)
                graph.connect(f"runs/{job.runs[0].dataset}", f"evaluation/{evaluation}")
    for analysis, entry in config["analyses"].items():
        graph.nodes[f"analysis/{analysis}"] = Node(analysis, "analysis", 3)
        module = workflow.analysis_module(paper, analysis)
        for evaluation in [evaluation_of_set(name) for name in entry.get("sets", ())] or [evaluation_of(module)]:
            graph.connect(f"evaluation/{evaluation}", f"analysis/{analysis}")
    _shown(workflow, paper, graph)
    return graph.pruned()


def svg(graph: Graph, *, title: str, name: str) -> str:
    """Draw a graph from left to right, a column a kind, with few crossings.

    Args:
        graph: of which each edge leads to a column further right.
        title: what screen readers say of it.
        name: unique in the page.
    """
    places, links, width, height = _layout(graph)
    # Edges that pass a column as one are drawn there once.
    lines = [f'<path d="{part}"/>' for part in dict.fromkeys(part for points in links for part in _curve(points))]
    boxes = [_box(graph.nodes[key], *place) for key, place in places.items()]
    return (
        f'<svg class="graph" role="img" aria-labelledby="{escape(name)}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}"><title id="{escape(name)}">{escape(title)}</title>'
        f"<g>{''.join(lines)}</g>{''.join(boxes)}</svg>"
    )


def _shown(workflow: Workflow, paper: str, graph: Graph) -> None:
    for name, entry in workflow.catalog[paper].items():
        short, _, rest = name.partition("_")
        graph.nodes[name] = Node(short, rest.replace("_", " "), 4)
        for analysis in dict.fromkeys((*entry["analyses"], *entry["per_run"])):
            graph.connect(f"analysis/{analysis}", name)
        if entry["maps"]:
            graph.connect("evaluation/activations", name)
        for dataset in (entry["datasets"] or workflow.config.papers[paper]["datasets"]) if entry["stimuli"] else ():
            graph.connect(f"images/{workflow.config.papers[paper]['datasets'][dataset]['source']}", name)
    if paper in workflow.claimed_papers():
        graph.nodes["claims"] = Node("claims", "the ledger", 4)
        for _, analysis in workflow.claims(paper).files:
            graph.connect(f"analysis/{analysis}", "claims")


# Drawing


def _layout(graph: Graph):
    """Places of boxes (left, top, width), points of edges, width and height of the drawing."""
    chains = {edge: _chain(graph, edge) for edge in sorted(graph.edges)}
    columns = _columns(graph, chains.values())
    _untangle(columns, chains.values())
    widths = [max((_width(graph.nodes[key]) for key in column if key in graph.nodes), default=0) for column in columns]
    lefts = [sum(widths[:i]) + _ACROSS * i + 1 for i in range(len(columns))]
    height = max(sum(_room(graph, key) for key in column) for column in columns) - _GAP
    places, middles = {}, {}
    for column, left, width in zip(columns, lefts, widths, strict=True):
        top = (height - (sum(_room(graph, key) for key in column) - _GAP)) / 2 + 1
        for key in column:
            middles[key] = (left, left + width, top + (_room(graph, key) - _GAP) / 2)
            if key in graph.nodes:
                places[key] = (left, top, width)
            top += _room(graph, key)
    links = [[middles[key] for key in chain] for chain in chains.values()]
    return places, links, lefts[-1] + widths[-1] + 1, height + 2


def _chain(graph: Graph, edge: tuple[str, str]) -> list[str]:
    """An edge and the columns that it passes. Edges to one box pass as one."""
    start, end = edge
    between = range(graph.nodes[start].column + 1, graph.nodes[end].column)
    return [start, *(f"\0{column}\0{start}" for column in between), end]


def _columns(graph: Graph, chains: Iterable[Sequence[str]]) -> list[list[str]]:
    columns: list[list[str]] = [[] for _ in range(1 + max(node.column for node in graph.nodes.values()))]
    for key, node in graph.nodes.items():
        columns[node.column].append(key)
    for key in dict.fromkeys(key for chain in chains for key in chain[1:-1]):
        columns[int(key.split("\0")[1])].append(key)
    return [column for column in columns if column]


def _untangle(columns: list[list[str]], chains: Iterable[Sequence[str]]) -> None:
    """Sort each column by the mean place of its neighbors, forth and back."""
    before: dict[str, set[str]] = {}
    after: dict[str, set[str]] = {}
    for chain in chains:
        for start, end in zip(chain[:-1], chain[1:], strict=True):
            after.setdefault(start, set()).add(end)
            before.setdefault(end, set()).add(start)
    for sweep in range(_SWEEPS):
        forth = sweep % 2 == 0
        for column in columns if forth else reversed(columns):
            share = {key: (i + 0.5) / len(each) for each in columns for i, key in enumerate(each)}
            near = before if forth else after
            means = {key: _mean([share[other] for other in near.get(key, ())], share[key]) for key in column}
            column.sort(key=means.__getitem__)


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(sorted(values)) / len(values) if values else otherwise


def _room(graph: Graph, key: str) -> float:
    return (_HEIGHT if key in graph.nodes else _PASSING) + _GAP


def _width(node: Node) -> int:
    return math.ceil(max(len(node.label) * _LETTER, len(node.note) * _SMALL)) + 2 * _PADDING


def _curve(points: Sequence[tuple[float, float, float]]) -> list[str]:
    """Lines through (left, right, middle) of boxes and of places to pass: level there, bent between."""
    parts = []
    for (_, x, y), (left, right, middle) in zip(points[:-1], points[1:], strict=True):
        half, end = (x + left) / 2, "" if (left, right, middle) == points[-1] else f"H{right:.0f}"
        parts.append(f"M{x:.0f} {y:.0f}C{half:.0f} {y:.0f} {half:.0f} {middle:.0f} {left:.0f} {middle:.0f}{end}")
    return parts


def _box(node: Node, left: float, top: float, width: float) -> str:
    return (
        f'<g class="column{node.column}">'
        f'<rect x="{left:.0f}" y="{top:.0f}" width="{width:.0f}" height="{_HEIGHT}" rx="3"/>'
        f'<text x="{left + _PADDING:.0f}" y="{top + 16:.0f}">{escape(node.label)}</text>'
        f'<text class="note" x="{left + _PADDING:.0f}" y="{top + 30:.0f}">{escape(node.note)}</text></g>'
    )
