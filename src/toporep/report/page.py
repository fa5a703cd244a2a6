"""The page: everything that the other stages wrote, laid out by `page.html` beside this module."""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from toporep.catalog import COMPARISON, is_table
from toporep.claims.ledger import FULL_SCALE
from toporep.config import read_yaml
from toporep.report import captions, deviations, graph, ledger, markdown, software, usage
from toporep.report.images import Embedded, embed
from toporep.workflow import Workflow

_HERE = Path(__file__).parent
# Rows of tables, by what their numbers are.
_ROWS = ("paper", "null", "here, untrained")
# Kinds of images, in the registries, that no paper used.
_GENERATED = ("generated", "rendered")


@dataclass(frozen=True)
class Shown:
    """A figure or a table in the page.

    Attributes:
        name: of the catalog.
        anchor: in the page.
        title: of the paper, or ours.
        caption: of the catalog.
        details: data, models, estimator and null, as HTML; empty where there is no such text.
        image: of a figure that is made.
        html: of a table that is made.
        file: that is shown, or missing.
        command: that makes it.
    """

    name: str
    anchor: str
    title: str
    caption: str
    details: Markup
    image: Embedded | None
    html: Markup | None
    file: str
    command: str

    @property
    def missing(self) -> bool:
        return self.image is None and self.html is None


@dataclass(frozen=True)
class Paper:
    """A paper in the page, or what is across papers: what it shows, claims, trained, and how that hangs together."""

    key: str
    title: str
    citation: str
    figures: tuple[Shown, ...]
    tables: tuple[Shown, ...]
    has_claims: bool
    claims: tuple[ledger.Claim, ...]
    counts: tuple[tuple[str, int], ...]
    checks: tuple[tuple[str, int], ...]
    claims_command: str
    networks: tuple[software.Trained, ...]
    graph: Markup
    link: Any

    @property
    def short(self) -> str:
        """Names and year, as in a citation: `Keller, Gao & Welling 2021`."""
        names = re.findall(r"(\w[\w'’-]+),", self.citation.partition("(")[0])
        year = re.search(r"\((\d{4})", self.citation)
        joined = " & ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
        return f"{joined} {year[1]}" if names and year else self.title

    @property
    def missing(self) -> list[Shown]:
        """Figures and tables that are not made."""
        return [each for each in (*self.figures, *self.tables) if each.missing]

    @property
    def rows(self) -> int:
        """Rows of the ledger."""
        return sum(len(claim.rows) for claim in self.claims)


def render(workflow: Workflow) -> str:
    """The whole page as HTML, from the files below the configuration's root; the same for the same files.

    Raises:
        TopoRepError: a file that another stage wrote is damaged.
    """
    document = (workflow.folder / "docs" / "deviations.md").read_text(encoding="utf-8")
    anchors = deviations.anchors_of(document, workflow.config.papers)
    provenance = software.read_provenance(workflow)
    networks = software.trained(workflow, provenance)
    used = usage.read_usage(workflow)
    papers = [_paper(workflow, key, anchors[key], networks) for key in workflow.config.papers]
    papers += [_comparison(workflow)] if COMPARISON in workflow.sections else []
    style, script = (_text(name) for name in ("page.css", "page.js"))
    return _template().render(
        papers=papers,
        scale=workflow.config.scale,
        full=workflow.config.scale == FULL_SCALE,
        images=_images(workflow),
        precisions=any(each.precisions for each in networks),
        networks=networks,
        verdicts=_verdicts(papers),
        deviations=Markup(deviations.render(document, level=2)),
        graph=Markup(graph.svg(graph.rule_graph(workflow), title="Kinds of rules and what feeds them", name="rules")),
        usage=used,
        cost=usage.cost(workflow, used),
        disk=usage.disk_usage(workflow),
        versions=software.versions(provenance),
        commit=software.commit(workflow.folder),
        root=workflow.config.root,
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def command(workflow: Workflow, target: str) -> str:
    """The command that makes a file at the scale of this configuration."""
    file = f"config/{workflow.config.scale}.yaml"
    own = (workflow.folder / file).is_file()
    words = ["snakemake", "--cores", "2", target]
    if workflow.config.scale != FULL_SCALE:
        words += ["--configfile", file if own else "FILE"]
    return shlex.join(words)


def _paper(
    workflow: Workflow, key: str, deviation_anchors: Mapping[str, str], networks: Sequence[software.Trained]
) -> Paper:
    config, names = workflow.config.papers[key], list(workflow.catalog[key])
    path = Path(workflow.paths.claims(key, ".csv"))
    rows = ledger.read_ledger(path) if path.is_file() else []
    claims = ledger.claims_of(rows)
    anchors = {claim.name: f"claim-{key}-{claim.name}" for claim in claims}
    return Paper(
        key=key,
        title=config["title"],
        citation=config["citation"],
        figures=tuple(_figure(workflow, key, name) for name in names if not is_table(name)),
        tables=tuple(_table(workflow, key, name) for name in names if is_table(name)),
        has_claims=key in workflow.claimed_papers(),
        claims=tuple(claims),
        counts=tuple(ledger.counts(rows, role="primary")),
        checks=tuple(ledger.counts(rows, role="check")),
        claims_command=command(workflow, str(path)),
        networks=tuple(each for each in networks if each.paper == key),
        graph=Markup(
            graph.svg(graph.paper_graph(workflow, key), title=f"From images to figures: {key}", name=f"graph-{key}")
        ),
        link=partial(ledger.link, claims=anchors, deviations=deviation_anchors),
    )


def _comparison(workflow: Workflow) -> Paper:
    """What is across papers, as one more section."""
    names = list(workflow.catalog[COMPARISON])
    return Paper(
        key=COMPARISON,
        title="Across papers",
        citation="",
        figures=tuple(_figure(workflow, COMPARISON, name) for name in names if not is_table(name)),
        tables=tuple(_table(workflow, COMPARISON, name) for name in names if is_table(name)),
        has_claims=False,
        claims=(),
        counts=(),
        checks=(),
        claims_command="",
        networks=(),
        graph=Markup(""),
        link=None,
    )


def _figure(workflow: Workflow, paper: str, name: str) -> Shown:
    file = workflow.paths.figure(paper, name, "png")
    image = embed(file) if Path(file).is_file() else None
    described = _described(workflow, paper, name)
    return Shown(**described, image=image, html=None, file=file, command=command(workflow, file))


def _table(workflow: Workflow, paper: str, name: str) -> Shown:
    file = workflow.paths.table(paper, name, "md")
    described = _described(workflow, paper, name)
    html = None
    if Path(file).is_file():
        text = re.sub(r"\A# .*\n+", "", Path(file).read_text(encoding="utf-8"))
        html = Markup(
            markdown.render(text, level=4, prefix=f"{described['anchor']}-", row=_row, label=described["title"])
        )
    return Shown(**described, image=None, html=html, file=file, command=command(workflow, file))


def _described(workflow: Workflow, paper: str, name: str) -> dict[str, Any]:
    entry = workflow.catalog[paper][name]
    return {
        "name": name,
        "anchor": f"{paper}-{name}",
        "title": entry["title"],
        "caption": entry["caption"],
        "details": captions.details(workflow.folder / "workflow" / "report" / f"{name}.rst"),
    }


def _row(cells: Sequence[str], head: Sequence[str]) -> dict[str, str]:
    """Marks rows of published numbers, and those of what learning or topography has no part in."""
    kind = next((cells[i] for i, name in enumerate(head) if name == "Numbers" and i < len(cells)), "")
    classes = [f"from-{kind.split(', ')[-1]}"] * (kind in _ROWS) + ["group"] * bool(cells and cells[0])
    return {"class": " ".join(classes)} if classes else {}


def _images(workflow: Workflow) -> dict[tuple[str, str], dict[str, str]]:
    """(paper, data set) → the title of its images, and what they stand in for."""
    registry = {**_sources(workflow, "image_sets.yaml"), **_sources(workflow, "datasets.yaml")}
    images = {}
    for paper, config in workflow.config.papers.items():
        official = workflow.claims(paper).sources if paper in workflow.claimed_papers() else {}
        for dataset, data in config["datasets"].items():
            own, source = official.get(dataset, data["source"]), data["source"]
            generated = registry.get(source, {}).get("kind") in _GENERATED
            instead = f"in place of {_title(registry, own)}" if own != source else "not the paper's own" * generated
            images[paper, dataset] = {"title": _title(registry, source), "instead": instead}
    return images


def _sources(workflow: Workflow, file: str) -> Mapping[str, Any]:
    return read_yaml(workflow.folder / "config" / file).get("sources", {})


def _title(registry: Mapping[str, Any], source: str) -> str:
    return registry.get(source, {}).get("title", source)


def _verdicts(papers: Sequence[Paper]) -> list[str]:
    found = {verdict for paper in papers for verdict, _ in (*paper.counts, *paper.checks)}
    return [verdict for verdict in ledger.VERDICTS if verdict in found] + sorted(found - set(ledger.VERDICTS))


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": _duration,
        "size": _size,
        "here": ledger.found_here,
        "hours": _hours,
        "listed": _listed,
        "slug": lambda text: text.replace(" ", "-"),
    }
    return environment.get_template("page.html")


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Of a style or script, by which the page's policy lets it in."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _hours(hours: float) -> str:
    return f"{hours:.0f}" if hours >= 100 else f"{hours:.1f}" if hours >= 1 else f"{hours:.2f}"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _listed(values: Sequence[Any]) -> str:
    """Values in one line; whole numbers that follow each other as a range."""
    if len(values) > 2 and all(isinstance(each, int) for each in values):
        first, last = values[0], values[-1]
        if list(values) == list(range(first, last + 1)):
            return f"{first}–{last}"
    return ", ".join(f"{value:,}" if isinstance(value, int) else str(value) for value in values)
