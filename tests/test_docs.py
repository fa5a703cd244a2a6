"""What the documents say exists: links, commands, targets, decision numbers, schemas, examples."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from toporep.config import merge, read_yaml
from toporep.schemas import SCHEMAS
from toporep.workflow import Workflow

REPOSITORY = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")])
MARKDOWN_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
# Folders that differ from machine to machine; and hosts, in two parts so that this file holds none of them.
MACHINE_PATH = re.compile(r"(?<![\w.}/:-])/(?:work|home|root|Users|mnt|scratch|tmp|opt)/\w")
REGISTRY_HOSTS = tuple("".join(parts) for parts in (("pypi", ".org"), ("python", "hosted.org"), ("anaconda", ".org")))


def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def blocks(document: Path, language: str) -> list[str]:
    return [match[3] for match in CODE_BLOCK.finditer(text_of(document)) if match[2] == language]


def anchors(document: Path) -> set[str]:
    """The names that GitHub gives to headings."""
    prose = CODE_BLOCK.sub("", text_of(document))
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(document: Path, program: str) -> list[str]:
    """Command lines of a program: in shell blocks, and whole pieces of inline code."""
    lines = [line for block in blocks(document, "sh") for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", CODE_BLOCK.sub("", text_of(document)))
    return [line for line in lines if re.match(rf"(\S*/)?{program} ", line)]


SNAKEMAKE_COMMANDS = [(document.name, command) for document in DOCUMENTS for command in commands(document, "snakemake")]


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [REPOSITORY / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_relative_links_lead_somewhere(document):
    broken = []
    for link in MARKDOWN_LINK.findall(text_of(document)):
        name, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", name):
            continue
        target = (document.parent / name).resolve() if name else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize(("document", "command"), SNAKEMAKE_COMMANDS)
def test_a_snakemake_command_asks_for_what_there_is(document, command, monkeypatch):
    from snakemake.cli import parse_args

    monkeypatch.chdir(REPOSITORY)
    _, arguments = parse_args(shlex.split(command, comments=True)[1:])
    if "--profile" in command:
        assert arguments.executor == "slurm", "the profile was not found"
    main = read_yaml("config/config.yaml")
    for path in arguments.configfile or []:
        # The reader's own file is shown in the document itself.
        own = path.name == "mine.yaml"
        main = merge(main, yaml.safe_load(blocks(REPOSITORY / document, "yaml")[0]) if own else read_yaml(path))
    for setting in arguments.config or []:
        name, _, value = setting.partition("=")
        main[name] = yaml.safe_load(value)
    workflow = Workflow.from_config(main, REPOSITORY)
    # One analysis is the reader's own.
    targets = [target for target in arguments.targets if "response_variance" not in target]
    workflow.check_targets(targets, rules=["all", "claims", "report", "comparison", *workflow.config.papers])
    for target in arguments.targets:
        if "/" in target and not target.startswith(f"{workflow.config.root}/figures/"):
            assert is_made(target, workflow), target


def is_made(target: str, workflow: Workflow) -> bool:
    """Whether a file below the root that is no figure is one of a source, or of an analysis."""
    parts = Path(target).relative_to(workflow.config.root).parts
    if parts[0] == "data":
        return bool(workflow.source_settings(Path(target).stem))
    if parts == ("report.html",):
        return True
    if parts[0] == "claims":
        return target in [file for paper in workflow.config.papers for file in workflow.claims_files(paper)]
    stage, paper, dataset, name = parts
    # CONTRIBUTING.md adds this analysis step by step.
    analyses = {*workflow.config.papers[paper]["analyses"], "response_variance"}
    return stage == "metrics" and dataset in workflow.datasets and Path(name).stem.removesuffix("_summary") in analyses


def test_there_are_commands_to_check():
    assert len([command for document, command in SNAKEMAKE_COMMANDS if document == "README.md"]) >= 6


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_make_commands_have_a_rule(document):
    rules = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    wanted = {shlex.split(command, comments=True)[1] for command in commands(document, "make")}
    assert wanted <= rules


def test_readme_lists_every_figure_of_the_catalog():
    listed = set(re.findall(r"^\| `((?:fig|table)\w+)` \|", text_of(REPOSITORY / "README.md"), re.MULTILINE))
    catalog = read_yaml(REPOSITORY / "config" / "catalog.yaml")
    assert listed == {figure for figures in catalog.values() for figure in figures}


# The letter of a paper's deviations.
DEVIATIONS = {"truong2025": "D", "sander2026": "S", "keller2021_capsules": "T", "keller2021_category": "C"}


def deviation_rows(letter: str) -> dict[str, list[str]]:
    rows = re.findall(rf"^\| ({letter}\d+) \|(.*)\|$", text_of(REPOSITORY / "docs" / "deviations.md"), re.MULTILINE)
    assert len(rows) == len({number for number, _ in rows}), "a number stands in two rows"
    return {number: [cell.strip() for cell in cells.split("|")] for number, cells in rows}


@pytest.mark.parametrize(("paper", "letter"), DEVIATIONS.items())
def test_decisions_in_the_configuration_have_a_row_and_the_reverse(paper, letter):
    comments = re.findall(r"#(.*)$", paper_file(paper).read_text(encoding="utf-8"), re.MULTILINE)
    named = {number for comment in comments for number in re.findall(rf"\b{letter}\d+\b", comment)}
    rows = deviation_rows(letter)
    assert named == {number for number, cells in rows.items() if not cells[-1].startswith(("`src/", "—"))}


@pytest.mark.parametrize(
    ("paper", "number", "cells"),
    [(paper, *row) for paper, letter in DEVIATIONS.items() for row in deviation_rows(letter).items()],
)
def test_a_deviation_is_whole_and_its_place_exists(paper, number, cells):
    assert len(cells) == 6
    assert all(cells)
    place = cells[-1].strip("`")
    if place.startswith("src/"):
        assert (REPOSITORY / place).is_file()
    elif place != "—":
        assert has_setting(read_yaml(paper_file(paper)), place.split(".")), f"{number}: no setting {place}"


def paper_file(paper: str) -> Path:
    return REPOSITORY / "config" / "papers" / f"{paper}.yaml"


def has_setting(value, keys: list[str]) -> bool:
    """Whether a nested mapping has these keys; `*` stands for any one."""
    if not keys:
        return True
    if not isinstance(value, dict):
        return False
    chosen = value.values() if keys[0] == "*" else [value[keys[0]]] if keys[0] in value else []
    return any(has_setting(each, keys[1:]) for each in chosen)


# The other summaries follow a rule that the data dictionary states.
DESCRIBED = [name for name in SCHEMAS if not name.endswith("_summary") or name == "colocalization_summary"]


@pytest.mark.parametrize("schema", [SCHEMAS[name] for name in DESCRIBED], ids=DESCRIBED)
def test_data_dictionary_names_every_variable(schema):
    text = text_of(REPOSITORY / "docs" / "data-dictionary.md")
    names = [schema.name, *schema.variables, *schema.coords, *schema.attrs]
    assert [name for name in names if f"`{name}`" not in text and f"`{name}." not in text] == []


def test_citation_names_this_version():
    import toporep

    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == toporep.__version__
    assert citation["license"] == "MIT"


def test_the_example_of_a_loss_and_a_metric_runs():
    (example,) = (block for block in blocks(REPOSITORY / "README.md", "python") if "weight_similarity" in block)
    ended = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, 'src')\n{example}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    distances, chance, morans_i = ended.stdout.splitlines()
    assert float(chance) == pytest.approx(5.7585, abs=5e-5)
    assert max(map(float, re.findall(r"\d+\.\d+", distances))) < float(chance)
    assert float(morans_i) > 0.1


def test_no_file_names_a_machine_or_a_registry():
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            if MACHINE_PATH.search(line) or any(host in line for host in REGISTRY_HOSTS):
                found.append(f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()[:80]}")
    assert found == []
