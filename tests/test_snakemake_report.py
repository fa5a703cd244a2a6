"""Snakemake's own report: what it opens with, in which order results stand, what is said of each."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest
from chromium import browser, find_chromium
from figure_checks import caption
from workflow_copies import REPOSITORY, Copy

from toporep.config import merge, read_yaml
from toporep.report.chains import Chains
from toporep.workflow import Workflow

PAPER = "keller2021_capsules"
# More than nine figures, whose names text would put before that of Figure 2; a table.
NAMES = ["fig1_overview", "fig2_capsule_topology", "fig10_mnist_bubble_5_36", "figX2_held_out_frames", "table1_mnist"]
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\n"


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """The report of a demo that has some results, whose files hold next to nothing."""
    copy = Copy.make(tmp_path_factory.mktemp("repository"))
    main = merge(read_yaml(REPOSITORY / "config" / "config.yaml"), read_yaml(REPOSITORY / "config" / "demo.yaml"))
    chains = Chains(Workflow.from_config(main, REPOSITORY))
    wanted = []
    for name in NAMES:
        steps = chains.behind(PAPER, name)
        for path in (copy.folder / path for step in steps for path in step.outputs):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(PDF if path.suffix == ".pdf" else b"a,b\n1,2\n")
        wanted += [path for path in steps[-1].outputs if path.endswith((".pdf", ".md"))]
    options = ["--configfile", "config/demo.yaml", "--rerun-triggers", "mtime"]
    done = copy.snakemake("--report", "report.html", *options, "--", *wanted)
    assert done.returncode == 0, done.stdout
    # What docutils finds wrong with a caption.
    assert not re.search(r"\((?:INFO|WARNING|ERROR|SEVERE)/\d\)", done.stdout), done.stdout
    return copy.folder / "report.html"


@pytest.fixture(scope="module")
def page(report):
    if find_chromium() is None:
        pytest.skip("no chromium here; Debian: apt-get install chromium")
    with browser() as tab:
        # Smaller than the graph of the rules, as any window is with all results.
        tab.resize(1000, 400)
        tab.open(report)
        tab.wait_for("!!document.querySelector('.prose') && !!document.querySelector('canvas')", seconds=60)
        yield tab


CAPTIONS = sorted(path.stem for path in (REPOSITORY / "workflow" / "report").glob("*.rst") if path.stem != "workflow")


@pytest.mark.parametrize("name", CAPTIONS)
def test_no_caption_has_markup_that_is_not_understood(name):
    text = re.sub(r"<[^>]+>", "", caption(name))
    assert len(text) > 100
    # A star or a backtick that is left is half of a pair.
    assert not re.search("[`*]", text)


def results(page) -> dict:
    return json.loads(page.evaluate("JSON.stringify(results)"))


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_it_opens_with_a_text_that_is_not_cut_off(page):
    box = json.loads(page.evaluate("JSON.stringify(document.querySelector('.prose').getBoundingClientRect())"))
    navigation = page.evaluate("document.querySelector('.h-screen.overflow-auto').getBoundingClientRect().left")
    assert box["left"] >= navigation and box["top"] >= 0 and box["width"] >= 400
    assert "at scale demo" in page.evaluate("document.querySelector('.prose').innerText")
    links = page.evaluate("[...document.querySelectorAll('.prose a')].map(link => link.innerText)")
    assert links == [PAPER]


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_results_stand_in_the_order_of_the_paper(page):
    page.evaluate("document.querySelector('.prose a').click()")
    page.wait_for("document.querySelectorAll('tbody tr').length")
    rows = page.evaluate(
        "[...document.querySelectorAll('tbody tr')].map(row => row.innerText.split('\\t').slice(0, 4))"
    )
    order = list(read_yaml(REPOSITORY / "config" / "catalog.yaml")[PAPER])
    shown = [(name, "pdf") for name in NAMES[:-1]] + [(NAMES[-1], "csv"), (NAMES[-1], "md")]
    assert rows == [[f"{order.index(name) + 1:02}", name, file, "demo"] for name, file in shown]


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_a_figure_opens_and_its_caption_has_no_markup_left(page):
    found = results(page)
    assert {Path(path).stem for path in found} == set(NAMES)
    for path, result in found.items():
        title = (REPOSITORY / "workflow" / "report" / f"{Path(path).stem}.rst").read_text("utf-8").split("**")[1]
        text = re.sub(r"<[^>]+>", "", result["caption"]).replace("&amp;", "&")
        assert " ".join(title.split()) in " ".join(text.split())
        assert not re.search("[`*]", text)
        if path.endswith(".pdf"):
            assert base64.b64decode(result["data_uri"].partition("base64,")[2]) == PDF
    problems = [problem for problem in page.problems() if "cdn.tailwindcss.com should not be used" not in problem]
    assert problems == [] and [url for url in page.requests() if not url.startswith("file:")] == []
