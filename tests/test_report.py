"""The report: all that the other stages wrote is in it, nothing else, and it says what is missing."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import shutil
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_world import (
    HOSTILE,
    REPOSITORY,
    claim,
    configuration,
    demo_workflow,
    draw,
    write_benchmark,
    write_ledger,
    write_provenance,
    write_results,
)
from workflow_copies import Copy

from toporep.cli import report
from toporep.config import canonical_json
from toporep.errors import TopoRepError
from toporep.report import deviations, graph, ledger, markdown, page, software, usage
from toporep.report.images import embed

_VOID = {"meta", "link", "img", "input", "br", "hr", "wbr"}


@dataclass
class Element:
    """An element of a page, with its text and that of all in it."""

    tag: str
    attributes: dict[str, str]
    parents: tuple[Element, ...]
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())


class Page(HTMLParser):
    """All elements of a page in order; refuses elements that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html, self.elements, self._open = html, [], []
        self.feed(html)
        self.close()
        assert not self._open, f"not closed: {[each.tag for each in self._open]}"

    def handle_starttag(self, tag, attributes):
        element = Element(tag, {name: value or "" for name, value in attributes}, tuple(self._open))
        self.elements.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_endtag(self, tag):
        assert self._open[-1].tag == tag, f"</{tag}> ends <{self._open[-1].tag}>"
        if tag in ("td", "th", "p", "li", "summary"):
            self.handle_data(" ")
        self._open.pop()

    def handle_data(self, data):
        for element in self._open:
            element.texts.append(data)

    def find(self, tag: str, **attributes: str) -> list[Element]:
        return [
            each
            for each in self.elements
            if each.tag == tag and all(each.attributes.get(name) == value for name, value in attributes.items())
        ]

    def by_id(self, name: str) -> Element:
        (element,) = [each for each in self.elements if each.attributes.get("id") == name]
        return element


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all results of the demo, made up."""
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_results(demo_workflow())
    return folder


@pytest.fixture(scope="module")
def complete(results: Path) -> Page:
    """The page of these results."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(results)
        return Page(page.render(demo_workflow()))


@pytest.fixture
def world(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the results that a test may change, as the current folder."""
    shutil.copytree(results, tmp_path / "world")
    monkeypatch.chdir(tmp_path / "world")
    return tmp_path / "world"


def pixels(uri: str) -> np.ndarray:
    content = base64.b64decode(uri.removeprefix("data:image/webp;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


# What is in it


def test_every_figure_is_there_pixel_by_pixel(results, complete):
    workflow = demo_workflow()
    assert len(complete.find("figure")) == len(workflow.figures(comparison=True)) > 50
    for paper, name in workflow.figures(comparison=True):
        article = complete.by_id(f"{paper}-{name}")
        (image,) = [each for each in complete.find("img") if article in each.parents]
        original = Image.open(results / workflow.paths.figure(paper, name, "png"))
        assert np.array_equal(pixels(image.attributes["src"]), np.asarray(original.convert("RGB")))
        entry = workflow.catalog[paper][name]
        assert entry["title"] in article.text and entry["caption"] in article.text
        assert entry["title"] in image.attributes["alt"]


def test_every_table_is_there_with_its_kinds_of_numbers(complete):
    for paper, name in demo_workflow().tables(comparison=True):
        article = complete.by_id(f"{paper}-{name}")
        rows = [each for each in complete.find("tr") if article in each.parents and each.parents[-1].tag == "tbody"]
        assert [row.text for row in rows] == [f"{name} A paper 1.5", "here 2.5", "here, untrained 3.5", "null 4.5"]
        classes = [row.attributes.get("class", "") for row in rows]
        assert classes == ["from-paper group", "", "from-untrained", "from-null"]


def test_every_row_of_the_ledgers_is_there(complete):
    rows = [each for each in complete.find("tr") if "data-verdict" in each.attributes]
    papers = demo_workflow().claimed_papers()
    assert len(rows) == 8 * len(papers)
    found = Counter(row.attributes["data-verdict"] for row in rows)
    assert found == {"reproduced": 12, "same direction": 12, "not reproduced": 8}
    # 3 / 7, with the interval from 3 / 8 to 3 / 6.
    (fourth,) = {row.text for row in rows if "a − b > 2" in row.text}
    assert "0.286 [0.25, 0.333] 5 0 not reproduced" in fourth


def test_claims_link_to_deviations_and_claims_of_their_own_paper(world):
    workflow = demo_workflow()
    note = "As D9 and C1 say; D31 is no row, S9 is of another paper, V2 has parts, D90 does not exist."
    rows = [claim("truong2025", 1, note=note), claim("truong2025", 1, claim="C1"), claim("truong2025", 1, claim="V2a")]
    write_ledger(workflow.paths.claims("truong2025", ".csv"), rows)
    html = Page(page.render(workflow))
    section = html.by_id("claims-truong2025")
    links = {each.text: each.attributes["href"] for each in html.find("a") if section in each.parents}
    assert links == {"D9": "#deviation-D9", "C1": "#claim-truong2025-C1", "V2": "#claim-truong2025-V2a"}
    assert "AS loss" in html.by_id("deviation-D9").text


def test_every_deviation_has_an_anchor(complete):
    text = (REPOSITORY / "docs" / "deviations.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| ([A-Z]\d+) \|", text, re.MULTILINE)
    assert len(names) > 90
    for name in names:
        assert complete.by_id(f"deviation-{name}").text.startswith(name)
    headings = [re.sub(r"[*`]", "", line.lstrip("# ")) for line in text.splitlines() if line.startswith("#")]
    assert [
        each.text for each in complete.elements if each.attributes.get("id", "").startswith("deviations-")
    ] == headings


def test_the_long_caption_stands_with_its_figure(complete):
    article = complete.by_id("truong2025-fig6_colocalization")
    assert "Thin line: the exact mean distance of all distinct pairs, 5.7585 spacings" in article.text
    (bold,) = {each.text for each in complete.find("em") if article in each.parents and each.text == "Null."}
    assert bold


@pytest.mark.parametrize("scale", ["demo", "paper", "mine"])
def test_it_says_what_the_scale_is(scale, world):
    papers = ["sander2026"]
    html = Page(page.render(demo_workflow(scale=scale, papers=papers)))
    header = html.by_id("overview").text
    assert f"scale {scale}" in header
    assert ("Nothing is reproduced here" in header) == (scale != "paper")
    # The paper's scale with other images is told apart too.
    assert "rendered objects in place of CIFAR-10" in header


# What is missing


def test_what_is_missing_is_named_with_the_command_that_makes_it(world):
    workflow = demo_workflow()
    gone = [
        workflow.paths.figure("sander2026", "fig2_tsne", "png"),
        workflow.paths.table("sander2026", "table1_class_similarity", "md"),
        workflow.paths.claims("truong2025", ".csv"),
    ]
    for path in gone:
        Path(path).unlink()
    html = Page(page.render(workflow))
    missing = [each for each in html.find("p", **{"class": "missing"})]
    assert len(missing) == 3
    for path in gone:
        (place,) = [each for each in missing if path in each.text]
        assert f"snakemake --cores 2 {path} --configfile config/demo.yaml" in place.text
        workflow.check_targets([path], rules=[])
    assert "7 of 8" in html.by_id("overview").text and "not tested yet" in html.by_id("overview").text


def test_nothing_at_all_is_no_error(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    report.main(["--configfile", str(REPOSITORY / "config" / "demo.yaml")])
    html = Page((tmp_path / "results" / "demo" / "report.html").read_text(encoding="utf-8"))
    workflow = demo_workflow()
    count = (
        len(workflow.figures(comparison=True)) + len(workflow.tables(comparison=True)) + len(workflow.claimed_papers())
    )
    assert len(html.find("p", **{"class": "missing"})) == count
    assert f"{count} of {count} figures, tables and ledgers are missing" in capsys.readouterr().out


def test_the_commands_of_other_scales():
    assert page.command(demo_workflow(scale="paper"), "x.pdf") == "snakemake --cores 2 x.pdf"
    assert page.command(demo_workflow(scale="mine"), "x.pdf") == "snakemake --cores 2 x.pdf --configfile FILE"


# One file, the same for the same inputs


def test_nothing_is_loaded_from_elsewhere(complete):
    for element in complete.elements:
        for name in ("src", "srcset", "data", "poster", "action", "style", "background"):
            assert element.attributes.get(name, "data:").startswith("data:"), element.tag
        assert not any(name.startswith("on") for name in element.attributes)
    assert [each.attributes["href"] for each in complete.find("link")] == ["data:,"]
    (style,) = complete.find("style")
    assert not re.search(r"url\(|@import|https?:", style.text)
    (script,) = complete.find("script")
    assert not re.search(r"fetch\(|XMLHttp|import\(|https?:", script.text)


def test_its_policy_lets_in_its_own_style_and_script_alone(complete):
    (policy,) = complete.find("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy.attributes["content"].startswith("default-src 'none'; img-src data:;")
    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", complete.html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy.attributes["content"]


def test_text_of_inputs_is_text(world):
    workflow = demo_workflow()
    columns = ("dataset", "condition", "variant", "place", "statement", "published", "criterion", "chance", "note")
    rows = [claim("sander2026", 1, **dict.fromkeys((*columns, "unit", "verdict", "reason", "role", "claim"), HOSTILE))]
    write_ledger(workflow.paths.claims("sander2026", ".csv"), rows)
    write_provenance(workflow, workflow.runs[0], software={HOSTILE: HOSTILE}, device=HOSTILE, code_hash=HOSTILE)
    html = Page(page.render(workflow))
    assert len(html.find("script")) == 1
    assert not [each for each in html.find("b") if "bold" in each.text]
    assert "{{ 7 * 7 }}" in html.by_id("claims-sander2026").text
    assert html.by_id("claims-sander2026").text.count("<script>alert(1)</script>") >= len(columns)
    assert html.by_id("versions").text.count("<script>alert(1)</script>") == 3
    assert "<script>alert(1)</script>" in html.by_id("sander2026-table1_class_similarity").text


def test_the_same_inputs_give_the_same_page(world, tmp_path):
    first = page.render(demo_workflow())
    # Elsewhere, later, written in another order, with a report that is there already.
    shutil.copytree(world / "results", tmp_path / "other" / "results", copy_function=shutil.copy)
    (tmp_path / "other" / "results" / "demo" / "report.html").write_text("earlier", encoding="utf-8")
    (tmp_path / "other" / "results" / "demo" / "logs" / "report").mkdir(parents=True)
    (tmp_path / "other" / "results" / "demo" / "logs" / "report" / "report.log").write_text("x", encoding="utf-8")
    write_benchmark("../other/results/demo/benchmarks/report.tsv", s=77)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path / "other")
        assert page.render(demo_workflow()) == first
        draw(demo_workflow().paths.figure("sander2026", "fig2_tsne", "png"), seed=999)
        assert page.render(demo_workflow()) != first


def test_the_command_takes_the_configuration_that_the_rule_gives(world, capsys):
    config = canonical_json(configuration(papers=["sander2026"]))
    report.main(["--config", config, "--output", "new/page.html"])
    assert Page(Path("new/page.html").read_text(encoding="utf-8")).by_id("sander2026")
    assert re.fullmatch(r"new/page.html: 0\.\d MB, complete\n", capsys.readouterr().out)
    with pytest.raises(TopoRepError, match="--config: not JSON"):
        report.main(["--config", "{"])


# Readable by all


def test_links_lead_somewhere_and_names_are_unique(complete):
    names = Counter(each.attributes["id"] for each in complete.elements if "id" in each.attributes)
    assert [name for name, count in names.items() if count > 1] == []
    targets = {each.attributes["href"] for each in complete.find("a")}
    assert {target for target in targets if not target.startswith(("#", "http"))} == set()
    assert {target[1:] for target in targets if target.startswith("#")} <= set(names)


def test_headings_are_in_order_and_all_has_a_name(complete):
    levels = [int(each.tag[1]) for each in complete.elements if re.fullmatch(r"h\d", each.tag)]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after <= before + 1 for before, after in zip(levels[:-1], levels[1:], strict=True))
    viewer = complete.by_id("viewer")
    assert all(each.attributes["alt"] for each in complete.find("img") if viewer not in each.parents)
    assert all(each.text or each.attributes.get("aria-label") for each in complete.find("button"))
    assert all(each.attributes.get("aria-label") for each in complete.find("div", **{"class": "scroll"}))
    controls = [each for each in complete.elements if each.tag in ("select", "input")]
    assert controls and all(any(parent.tag == "label" for parent in each.parents) for each in controls)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_contrast(theme):
    style = (REPOSITORY / "src" / "toporep" / "report" / "page.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colors = dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6});", blocks[["light", "dark"].index(theme)]))
    for name in ("ink", "muted", "accent", "good", "bad", "open"):
        for behind in ("paper", "faint"):
            assert contrast(colors[name], colors[behind]) >= 4.5, (name, behind)


def contrast(first: str, second: str) -> float:
    """WCAG 2.2, contrast ratio."""
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color: str) -> float:
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    parts = np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_the_contrast_of_black_on_white_is_21():
    assert contrast("#000", "#ffffff") == pytest.approx(21)


# What it took


def test_time_and_memory_are_added_up_by_stage_and_paper(world):
    rows = {(each.stage, each.paper): each for each in usage.read_usage(demo_workflow())}
    assert list(rows) == [("prepare", ""), ("train", "truong2025"), ("claims", "sander2026")]
    train = rows["train", "truong2025"]
    assert (train.jobs, train.seconds, train.longest, train.cpu_seconds, train.peak_mb) == (2, 160, 100, 90, 850)
    assert (train.declared_mb, train.gpus) == (8000, 0)
    cost = usage.cost(demo_workflow(), list(rows.values()))
    assert cost.core_hours == pytest.approx((1.5 + 90 + 3) / 3600)
    assert cost.job_hours == pytest.approx((2 + 160 + 4) / 3600)
    assert cost.gpu_hours == 0 and all(hours == 0 for _, hours in cost.declared_gpu_hours)


def test_gpu_hours_are_those_of_jobs_that_ask_for_gpus(world):
    resources = {"train": {"gpu": 2, "runtime": 30, "papers": {"sander2026": {"runtime": 90}}}}
    workflow = demo_workflow(resources=resources, papers=["truong2025", "sander2026"])
    cost = usage.cost(workflow, usage.read_usage(workflow))
    assert cost.gpu_hours == pytest.approx(2 * 160 / 3600)
    jobs = Counter(job.runs[0].paper for job in workflow.training_jobs())
    assert dict(cost.declared_gpu_hours) == {"truong2025": jobs["truong2025"], "sander2026": 3 * jobs["sander2026"]}


def test_disk_is_that_of_the_stages(world):
    for name in ("report.html", "tables/extra.md", "reduced/figures/other.png"):
        path = Path("results/demo") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 1000)
    rows = {name: (files, size) for name, files, size in usage.disk_usage(demo_workflow())}
    assert set(rows) == {"runs", "claims", "figures", "tables", "benchmarks"}
    tables = list(Path("results/demo/tables").rglob("*.md"))
    assert rows["tables"] == (len(tables), sum(path.stat().st_size for path in tables))
    assert rows["figures"][0] == len(demo_workflow().figures(comparison=True))


def test_what_was_trained_and_with_what(world):
    workflow = demo_workflow()
    first = workflow.runs[0]
    write_provenance(workflow, first, software={"python": "3.12.0", "torch": "2.0.1"}, device="cuda")
    provenance = software.read_provenance(workflow)
    row = software.trained(workflow, provenance)[0]
    declared = sum((run.paper, run.dataset) == (first.paper, first.dataset) for run in workflow.runs)
    assert (row.paper, row.dataset, row.networks, row.declared) == ("truong2025", "mnist", 3, declared)
    assert (row.devices, row.epochs, row.images) == (("cpu", "cuda"), (3,), (64,))
    used = {name: runs for name, _, runs in software.versions(provenance)}
    assert used["python"] == [("3.11.1", 2), ("3.12.0", 1)] and used["torch"] == [("2.0.1", 3)]


def test_outside_git_there_is_no_commit(tmp_path):
    assert software.commit(tmp_path) == software.NOT_GIT


# Damaged inputs


def test_damaged_inputs_are_named(world):
    workflow = demo_workflow()
    figure, provenance = (
        Path(workflow.paths.figure("sander2026", "fig2_tsne", "png")),
        Path(workflow.paths.provenance(workflow.runs[0])),
    )
    content = figure.read_bytes()
    for damaged in (content[: len(content) // 2], b"no image"):
        figure.write_bytes(damaged)
        with pytest.raises(TopoRepError, match=r"fig2_tsne.png: not a whole image"):
            embed(figure)
    figure.write_bytes(content)
    Path(workflow.paths.claims("sander2026", ".csv")).write_text("claim,verdict\nC1,reproduced\n", encoding="utf-8")
    with pytest.raises(TopoRepError, match=r"sander2026.csv: no column dataset, condition"):
        page.render(workflow)
    provenance.write_text("{", encoding="utf-8")
    with pytest.raises(TopoRepError, match=r"provenance.json: not JSON"):
        software.read_provenance(workflow)


# The graphs


def test_the_rule_graph_is_snakemakes(tmp_path):
    copy = Copy.make(tmp_path)
    asked = ("report", "--configfile", "config/demo.yaml")
    dry = copy.snakemake("-n", *asked).stdout
    jobs: Counter[str] = Counter()
    for name, count in dict(re.findall(r"^(\w+) +(\d+)$", dry, re.MULTILINE)).items():
        if name != "total":
            jobs[family(name)] += int(count)
    dot = copy.snakemake("--rulegraph", "dot", *asked).stdout
    labels = {number: family(label) for number, label in re.findall(r'(\d+)\[label = "(\w+)"', dot)}
    edges = {(labels[start], labels[end]) for start, end in re.findall(r"(\d+) -> (\d+)", dot)}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        ours = graph.rule_graph(demo_workflow())
    assert ours.edges == {edge for edge in edges if edge[0] != edge[1]}
    assert {key: int(node.note.split()[0]) for key, node in ours.nodes.items()} == dict(
        jobs - Counter(total=jobs["total"])
    )


def family(rule: str) -> str:
    """The kind of a rule, as the graph has it."""
    kinds = ("image_noise", "noise_logits", "max_images", "image_list")
    return next((kind for kind in kinds if rule.startswith(kind)), rule.split("_")[0])


@pytest.mark.parametrize("paper", [None, *demo_workflow().config.papers])
def test_graphs_are_drawn_without_overlap(paper):
    workflow = demo_workflow()
    drawn = graph.paper_graph(workflow, paper) if paper else graph.rule_graph(workflow)
    html = Page(graph.svg(drawn, title="A <title>", name="name"))
    boxes = [
        tuple(float(each.attributes[name]) for name in ("x", "y", "width", "height")) for each in html.find("rect")
    ]
    assert len(boxes) == len(drawn.nodes)
    width, height = (float(html.find("svg")[0].attributes[name]) for name in ("width", "height"))
    for i, (x, y, w, h) in enumerate(boxes):
        assert min(x, y) >= 0 and x + w <= width and y + h <= height
        for x2, y2, w2, h2 in boxes[:i]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
    # Every line leads forward and begins and ends at a box or where another one goes on.
    rights, lefts = {x + w for x, _, w, _ in boxes}, {x for x, _, _, _ in boxes}
    for path in html.find("path"):
        start, end = (
            float(each)
            for each in re.match(r"M([\d.]+) .* ([\d.]+) [\d.]+(?:H[\d.]+)?$", path.attributes["d"]).groups()
        )
        assert start in rights and end in lefts and start < end


def test_a_papers_graph_has_every_figure_that_shows_networks(complete):
    workflow = demo_workflow()
    nodes = graph.paper_graph(workflow, "truong2025").nodes
    assert {name for name in workflow.catalog["truong2025"] if name not in nodes} == {"fig1_concepts"}


# Markdown and numbers


@pytest.mark.parametrize(
    "text, html",
    [
        ("# A *b* `c`", '<h1 id="a-b-c">A <em>b</em> <code>c</code></h1>'),
        ("a **b** c\nd", "<p>a <strong>b</strong> c d</p>"),
        ("2 * 3 * 4, a_b_c", "<p>2 * 3 * 4, a_b_c</p>"),
        (r"\*no\* <i>", "<p>*no* &lt;i&gt;</p>"),
        ("a <!-- b *c* -->**d**<!-- / --> `<!-- e -->`", "<p>a <strong>d</strong> <code>&lt;!-- e --&gt;</code></p>"),
        ("``a ` b``", "<p><code>a ` b</code></p>"),
        ("[a [b]](c(d)e)", '<p><a href="c(d)e">a [b]</a></p>'),
        ("![alt](image.png)", "<p>alt</p>"),
        ("- a\n  b\n- c\n\nd", "<ul><li>a b</li><li>c</li></ul>\n<p>d</p>"),
        ("1. a\n   - b\n2. c", "<ol><li>a<ul><li>b</li></ul></li><li>c</li></ol>"),
        ("```sh\na < b\n\n# c\n```\nd", '<pre tabindex="0"><code>a &lt; b\n\n# c</code></pre>\n<p>d</p>'),
        ("a | b", "<p>a | b</p>"),
    ],
)
def test_markdown(text, html):
    assert markdown.render(text) == html


def test_cells_of_a_table_may_hold_bars():
    html = Page(markdown.render("| a | b |\n|---|--:|\n| `x \\| y` | 1 |\n| | 2 |"))
    assert [each.text for each in html.find("td")] == ["x | y", "1", "", "2"]
    assert [each.attributes.get("class") for each in html.find("td")] == [None, "number", None, "number"]


@pytest.mark.parametrize("document", sorted((REPOSITORY / "docs").glob("*.md")), ids=lambda path: path.name)
def test_no_mark_of_the_documents_is_left_in_their_text(document):
    html = Page(markdown.render(document.read_text(encoding="utf-8")))
    code = {each.text for each in html.elements if each.tag in ("code", "pre")}
    for element in html.elements:
        if element.tag in ("p", "li", "td", "th") and not any(text and text in element.text for text in code):
            assert not re.search(r"\*\*|`|\]\(|^\||^#+ |<!--", element.text), element.text


@pytest.mark.parametrize(
    "value, text",
    [(0.28571, "0.286"), (-3.0, "−3"), (4422.6, "4,423"), (0.0, "0"), (1.5e-7, "1.5 × 10⁻⁷"), (-12.34, "−12.3")],
)
def test_numbers(value, text):
    assert ledger.number(value) == text


def test_papers_of_deviations_are_told_by_their_files_of_settings():
    papers = ["truong2025", "sander2026", "keller2021_capsules"]
    text = (REPOSITORY / "docs" / "deviations.md").read_text(encoding="utf-8")
    letters = {paper: {name[0] for name in found} for paper, found in deviations.anchors_of(text, papers).items()}
    assert letters == {"truong2025": {"D"}, "sander2026": {"S"}, "keller2021_capsules": {"T"}}
