"""docs/figures.md: what stands behind each figure and table is what Snakemake would run, and the page is in step."""

from __future__ import annotations

import re
import shutil

import pytest
from workflow_copies import REPOSITORY, Copy, outputs

from toporep.cli import figure_costs
from toporep.config import merge, read_yaml
from toporep.errors import TopoRepError
from toporep.report.chains import Chains, Step, cost
from toporep.report.figure_table import figure_document, measure_demo, read_demo, read_minutes, write_demo
from toporep.workflow import Workflow

PAGE = REPOSITORY / "docs" / "figures.md"
README = REPOSITORY / "README.md"
# Maps, images without a network, several evaluations, several sets of images, a table, all papers.
TARGETS = {
    "truong2025": ("fig7_activation_maps", "figA7_noise_examples", "figX4_two_readings_of_as"),
    "sander2026": ("fig7_ensembles",),
    "keller2021_capsules": ("fig3_torus_max_images", "table2_dsprites"),
    "keller2021_category": ("fig4_hierarchy",),
    "comparison": ("figX_atlas",),
}


def workflow(*over: str) -> Workflow:
    configuration = read_yaml(REPOSITORY / "config" / "config.yaml")
    for name in over:
        configuration = merge(configuration, read_yaml(REPOSITORY / "config" / f"{name}.yaml"))
    return Workflow.from_config(configuration, REPOSITORY)


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Copy:
    return Copy.make(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def chains() -> Chains:
    return Chains(workflow())


def cells(document: str, paper: str, name: str) -> list[str]:
    """The row of a figure in the table of its paper, whose heading names it."""
    _, _, section = document.partition(f"(`{paper}`)\n" if paper != "comparison" else "## Across papers\n")
    (row,) = re.findall(rf"^\|.*\| `{name}` \|.*\|$", section.partition("\n## ")[0], re.MULTILINE)
    return [cell.strip() for cell in row.strip("|").split("|")]


# The page


def test_the_page_is_what_the_configuration_gives():
    assert PAGE.read_text(encoding="utf-8") == figure_costs.document(REPOSITORY), (
        "docs/figures.md is not in step with the configuration; run: python -m toporep.cli.figure_costs"
    )


def test_every_figure_and_table_has_a_row_with_its_cost():
    text = PAGE.read_text(encoding="utf-8")
    catalog = read_yaml(REPOSITORY / "config" / "catalog.yaml")
    for paper, entries in catalog.items():
        for name in entries:
            *_, networks, jobs, hours, disk, _, demo = cells(text, paper, name)
            assert int(jobs.replace(",", "")) >= 1
            assert (networks == "–") == (hours == "–")
            assert re.fullmatch(r"[\d,.]+ [MG]B", disk)
            assert re.fullmatch(r"[\d,]+ s", demo), f"{paper} {name}: measure the demo again (--measure)"


def test_the_readme_shows_rows_of_the_page_one_a_paper():
    rows = [line for line in README.read_text(encoding="utf-8").splitlines() if line.count(" | ") == 8]
    page = PAGE.read_text(encoding="utf-8").splitlines()
    assert set(rows) <= set(page), "README.md and docs/figures.md are not in step"
    named = " ".join(rows)
    shown = [paper for paper, entries in workflow().catalog.items() if any(f"`{name}`" in named for name in entries)]
    assert shown == ["truong2025", "sander2026", "keller2021_capsules", "keller2021_category"]


# What stands behind a figure


@pytest.mark.parametrize("scale", ["paper", "demo"])
def test_a_chain_has_the_jobs_that_snakemake_would_run(copy, scale):
    made = workflow(*(() if scale == "paper" else (scale,)))
    chains, root = Chains(made), made.config.root
    files, wanted = set(), []
    for paper, names in TARGETS.items():
        for name in names:
            files |= {path for step in chains.behind(paper, name) for path in step.outputs}
            folder, ending = ("tables", "csv") if name.startswith("table") else ("figures", "pdf")
            wanted.append(f"{root}/{folder}/{paper}/{name}.{ending}")
    options = () if scale == "paper" else ("--configfile", f"config/{scale}.yaml")
    done = copy.snakemake("--dry-run", *options, "--", *wanted)
    assert done.returncode == 0, done.stdout
    assert {strip(path, root) for path in outputs(done.stdout)} == {strip(path, root) for path in files}


def strip(path: str, root: str) -> str:
    return path.removeprefix(f"{root}/")


def test_what_jobs_declare_adds_up_to_the_audit(chains):
    steps = chains.behind("truong2025", "fig6_colocalization")
    found = cost(steps)
    assert found.networks == {("truong2025", "mnist"): 190, ("truong2025", "cifar10"): 190}
    audit = workflow().audit([step.planned for step in steps])
    (row,) = re.findall(r"in all +(\S+) +(\S+) +(\S+) +\S+ +(\S+ \S+)", audit)
    assert row == ("380", str(found.jobs), f"{found.gpu_hours:.0f}", f"{found.megabytes / 1000:.1f} GB")


def test_a_job_of_several_networks_counts_as_all_of_them():
    steps = Chains(workflow("demo")).behind("truong2025", "fig6_colocalization")
    weights = [path for step in steps for path in step.outputs if path.endswith("/weights.safetensors")]
    assert cost(steps).networks.total() == len(weights) > len([step for step in steps if step.rule == "train"])


def test_a_stage_stands_after_those_that_it_reads(chains):
    for paper, names in TARGETS.items():
        for name in names:
            steps = chains.behind(paper, name)
            made = {path: index for index, step in enumerate(steps) for path in step.outputs}
            assert all(made.get(path, -1) < index for index, step in enumerate(steps) for path in step.inputs)


# What was measured


@pytest.fixture
def measured(tmp_path, monkeypatch) -> list[Step]:
    """Steps of a demo in which every job took 3 s of wall-clock time and 2 s of processor time."""
    monkeypatch.chdir(tmp_path)
    made = workflow("demo")
    chains = Chains(made)
    steps = [step for paper in made.sections for name in made.catalog[paper] for step in chains.behind(paper, name)]
    for step in steps:
        path = tmp_path / made.config.root / "benchmarks" / step.benchmark
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("s\th:m:s\tmax_rss\tcpu_time\n3.0\t0:00:03\t100\t2.0\n", encoding="utf-8")
    return steps


def test_the_demo_costs_the_processor_time_of_all_jobs_behind_a_figure(measured, tmp_path):
    made = workflow("demo")
    found = measure_demo(made)
    for paper, names in TARGETS.items():
        for name in names:
            assert found.core_seconds[paper, name] == 2 * len(Chains(made).behind(paper, name))
    jobs = len({step.benchmark for step in measured})
    assert f"{jobs} jobs, {2 * jobs} core-seconds in all" in found.told
    write_demo(tmp_path / "costs.csv", found)
    assert read_demo(tmp_path / "costs.csv") == found


def test_a_job_that_was_not_measured_is_named(measured, tmp_path):
    lacking = next(step for step in measured if step.rule == "analysis").benchmark
    (tmp_path / "results" / "demo" / "benchmarks" / lacking).unlink()
    with pytest.raises(TopoRepError, match=rf"{re.escape(lacking)}: no such file; run the whole demo"):
        measure_demo(workflow("demo"))


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "costs.csv").write_text("paper,name,seconds\na,b,1\n", encoding="utf-8")
    with pytest.raises(TopoRepError, match="expected a line '# when, where' and columns paper, name, core_seconds"):
        read_demo(tmp_path / "costs.csv")


def test_core_hours_are_told_where_all_networks_were_measured():
    demo = read_demo(REPOSITORY / "docs" / "demo-costs.csv")
    minutes = {("truong2025", "mnist"): 6.0, ("truong2025", "cifar10"): 60.0}
    text = figure_document(workflow(), demo, minutes=minutes)
    assert cells(text, "truong2025", "fig6_colocalization")[-2] == f"{190 * 1.1:.0f} h"
    text = figure_document(workflow(), demo, minutes={("truong2025", "mnist"): 6.0})
    assert cells(text, "truong2025", "fig6_colocalization")[-2] == "–"
    assert cells(text, "truong2025", "figA3_global_maps")[-2] == "3 h"


def test_networks_that_were_measured_are_in_the_configuration():
    papers = workflow().config.papers
    for paper, dataset in read_minutes(REPOSITORY / "docs" / "network-costs.csv"):
        assert dataset in papers[paper]["datasets"]


def test_the_command_writes_the_page(tmp_path, capsys):
    shutil.copytree(REPOSITORY / "config", tmp_path / "config")
    (tmp_path / "docs").mkdir()
    for name in ("demo-costs.csv", "network-costs.csv"):
        shutil.copy2(REPOSITORY / "docs" / name, tmp_path / "docs" / name)
    figure_costs.main(["--folder", str(tmp_path)])
    assert (tmp_path / "docs" / "figures.md").read_bytes() == PAGE.read_bytes()
    assert "docs/figures.md" in capsys.readouterr().out
