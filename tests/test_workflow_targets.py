"""What a user asks of `snakemake`, and what it answers before any job runs."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from workflow_copies import REPOSITORY, Copy, outputs

from toporep.config import canonical_json, read_yaml
from toporep.errors import TopoRepError
from toporep.runs import run_settings
from toporep.train.spec import stack_shape, unpack
from toporep.workflow import Workflow

BIN = Path(sys.executable).parent
FIGURE = "results/figures/fig6_colocalization.pdf"


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Copy:
    return Copy.make(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def paper_figure(copy) -> tuple[str, float]:
    """Dry run of Figure 6 at the paper's scale: its text and its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = copy.snakemake("--dry-run", FIGURE)
    assert done.returncode == 0, done.stdout
    return done.stdout, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


@pytest.fixture(scope="module")
def demo_plan(copy) -> str:
    done = copy.snakemake("--dry-run", "--configfile", "config/demo.yaml")
    assert done.returncode == 0, done.stdout
    return done.stdout


def catalog(copy: Copy) -> dict[str, list[str]]:
    """Names of figures and tables by paper."""
    found = yaml.safe_load((copy.folder / "config" / "catalog.yaml").read_text(encoding="utf-8"))
    return {paper: list(entries) for paper, entries in found.items()}


def files(paper: str, name: str) -> set[str]:
    """What is made of a figure or table."""
    if name.startswith("table"):
        return {f"tables/{paper}/{name}.{ext}" for ext in ("csv", "md", "tex")}
    return {f"figures/{paper}/{name}.{ext}" for ext in ("pdf", "png", "csv")}


def jobs(text: str) -> dict[str, str]:
    """The announced jobs: rule name → its block of lines (the last job of that rule)."""
    blocks = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", text, flags=re.MULTILINE)
    return dict(blocks)


def test_a_figure_of_the_paper_trains_each_of_its_runs_in_a_job_of_its_own(paper_figure):
    text, _ = paper_figure
    weights = {name for name in outputs(text) if name.endswith("/weights.safetensors")}
    # 10 seeds × 2 data sets × (control + 3 conditions at 6 strengths); the appendix's Global is not drawn here.
    assert len(weights) == 10 * 2 * (1 + 3 * 6) == 380
    assert re.search(r"^train +380$", text, flags=re.MULTILINE)
    assert {name.split("/")[3] for name in weights} == {"control", "ws", "as", "as_reshaped"}


def test_a_dry_run_ends_with_what_it_would_cost(paper_figure):
    text, _ = paper_figure
    _, _, audit = text.partition("Audit of what would run at scale paper (results/):")
    # Networks, jobs, GPU hours: of 380 trainings whose limit is two hours on one GPU.
    assert re.search(r"^ +truong2025 +380 +421 +760 ", audit, flags=re.MULTILINE)
    assert "Jobs: train 380, " in audit.replace("figure 1, ", "")


def test_a_dry_run_of_380_trainings_takes_seconds(paper_figure):
    # CPU time: 2.0 s on a quiet machine, 6 s where others share the cores' caches.
    assert paper_figure[1] < 10


def test_without_a_target_all_figures_and_tables_are_made(copy):
    planned = copy.planned()
    wanted = set().union(*(files(paper, name) for paper, names in catalog(copy).items() for name in names))
    assert wanted == {name for name in planned if name.startswith(("figures/", "tables/"))}
    assert {f"figures/truong2025/{name}.pdf" for name in ("fig6_colocalization", "figA8_morans_i")} < wanted
    assert {f"tables/sander2026/table1_class_similarity.{ext}" for ext in ("csv", "md", "tex")} < wanted


def test_a_paper_is_a_target_for_its_figures_and_tables(copy, demo_plan):
    whole = set()
    for paper, names in catalog(copy).items():
        planned = copy.planned(paper, "--configfile", "config/demo.yaml")
        shown = {name for name in planned if name.startswith(("figures/", "tables/"))}
        assert shown == set().union(*(files(paper, name) for name in names))
        whole |= planned
    assert whole == outputs(demo_plan)


def test_a_table_asks_for_its_networks_alone_and_may_be_named_without_its_paper(copy):
    name = "table1_class_similarity"
    options = ["--configfile", "config/demo.yaml", "--config", "mix_conditions=False"]
    done = copy.snakemake("--dry-run", *options, "--", f"results/demo/tables/{name}.md")
    planned = outputs(done.stdout)
    assert {f"tables/{name}.md"} | files("sander2026", name) == {one for one in planned if one.startswith("tables/")}
    trained = {tuple(one.split("/")[1:4]) for one in planned if one.startswith("runs/")}
    assert trained == {("sander2026", "cifar10", condition) for condition in ("margin", "ce", "simclr", "supcon")}
    assert "config/published/sander2026/table1.csv" in jobs(done.stdout)[f"table_sander2026_{name}"]


def test_figure_7_shows_networks_of_the_control_beside_those_with_a_spatial_loss(demo_plan):
    inputs = re.search(r"input: (.*)", jobs(demo_plan)["figure_truong2025_fig7_activation_maps"]).group(1).split(", ")
    assert [name for name in inputs if "/control/" in name] == [
        f"results/demo/activations/truong2025/mnist/control/0/seed{seed}.nc" for seed in (0, 1)
    ]
    # 2 networks of the control and of 3 conditions at 3 strengths.
    assert len(inputs) == 2 * (1 + 3 * 3)


def test_training_asks_for_a_gpu_at_the_papers_scale_alone(paper_figure, demo_plan):
    paper, demo = jobs(paper_figure[0]), jobs(demo_plan)
    assert "gpu=1" in paper.pop("train")
    assert not [rule for rule, block in paper.items() if "gpu" in block]
    assert [rule for rule in demo if rule.startswith("train_")]
    assert not [rule for rule, block in demo.items() if "gpu" in block]


def test_every_job_has_a_log_a_benchmark_memory_and_a_time_limit(paper_figure, demo_plan):
    announced = {**jobs(paper_figure[0]), **jobs(demo_plan)}
    assert {"prepare", "train", "analysis", "figure_by_name"} < announced.keys()
    for rule, block in announced.items():
        if rule in ("all", "truong2025", "sander2026"):
            continue
        for part in ("log: results/", "benchmark: results/", "mem_mb=", "runtime="):
            assert part in block, f"{rule}: no {part} in\n{block}"


def test_every_rule_with_a_command_says_how_many_threads_it_uses():
    rules = [
        rule
        for path in sorted((REPOSITORY / "workflow" / "rules").glob("*.smk"))
        for rule in re.split(r"^ *rule\b", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
        if "shell:" in rule
    ]
    assert len(rules) >= 7
    for rule in rules:
        assert "threads:" in rule, rule


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["results/figures/fig6_colocalisation.pdf"],
            "unknown figure 'fig6_colocalisation'; did you mean fig6_colocalization",
        ),
        (["truong2052"], "unknown target 'truong2052'; did you mean: truong2025"),
        (
            ["results/figures/fig6_colocalization.svg"],
            "target results/figures/fig6_colocalization.svg: expected one of .pdf, .png, .csv, found .svg",
        ),
        (
            ["results/demo/figures/fig6_colocalization.pdf"],
            "target results/demo/figures/fig6_colocalization.pdf: this is scale 'paper', whose files lie in results/; "
            "add --configfile config/demo.yaml",
        ),
        (
            [FIGURE, "--configfile", "config/demo.yaml"],
            f"target {FIGURE}: this is scale 'demo', whose files lie in results/demo/; "
            "leave out --configfile for the paper's scale",
        ),
        (
            ["results/tables/table1_class_similarities.md"],
            "unknown table 'table1_class_similarities'; did you mean table1_class_similarity",
        ),
    ],
    ids=["figure", "paper", "extension", "demo file", "paper file at demo scale", "table"],
)
def test_a_target_that_nothing_makes_is_refused_at_once(copy, arguments, line):
    refused(copy.snakemake("--dry-run", *arguments), line)


def test_a_dry_run_that_fails_has_no_audit(copy):
    """A run that no configuration has is known to be one only when its job is made."""
    run = copy.snakemake("--dry-run", "results/runs/truong2025/mnist/ws/9/seed0/weights.safetensors")
    assert run.returncode and "not in the table of runs" in run.stdout and "Audit" not in run.stdout


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("figA8", "unknown target 'figA8'; did you mean: results/figures/figA8_morans_i.pdf"),
        (
            "results/figures/truong2025/figA8_moran_i.png",
            "unknown figure 'truong2025/figA8_moran_i'; did you mean truong2025/figA8_morans_i",
        ),
        ("table1", "unknown target 'table1'; did you mean: results/tables/table1_class_similarity.md"),
        (
            "results/tables/table1_class_similarity.pdf",
            "target results/tables/table1_class_similarity.pdf: expected one of .csv, .md, .tex, found .pdf",
        ),
        (
            "results/figures/table1_class_similarity.pdf",
            "'table1_class_similarity' is a table, not a figure; its files lie in tables/, not in figures/",
        ),
        (
            "results/demo/tables/table1_class_similarity.md",
            "target results/demo/tables/table1_class_similarity.md: this is scale 'paper', whose files lie in "
            "results/; add --configfile config/demo.yaml",
        ),
        (
            "results/figures/fig6_colocalization",
            "target results/figures/fig6_colocalization: expected one of .pdf, .png, .csv, found none",
        ),
        (
            "results/figures/truong2025/fig4_traversals.pdf",
            "unknown figure 'truong2025/fig4_traversals'; did you mean keller2021_capsules/fig4_traversals",
        ),
        (
            "results/claims/sander.md",
            "target results/claims/sander.md: unknown paper 'sander'; did you mean 'sander2026'?",
        ),
        (
            "results/metrics/truong2025/mnist/moran.nc",
            "target results/metrics/truong2025/mnist/moran.nc: unknown analysis 'moran'; did you mean 'morans_i'?",
        ),
        (
            "results/metrics/truong2025/mnst/morans_i.nc",
            "target results/metrics/truong2025/mnst/morans_i.nc: unknown dataset 'mnst'; did you mean 'mnist'?",
        ),
        (
            "results/metrics/truong/mnist/morans_i.nc",
            "target results/metrics/truong/mnist/morans_i.nc: unknown paper 'truong'; did you mean 'truong2025'?",
        ),
        ("results/claims/sander2026_points.csv", None),
        ("results/metrics/truong2025/mnist/morans_i_summary.nc", None),
        ("results/tables/sander2026/table1_class_similarity.tex", None),
        ("results/figure/figA8_morans_i.pdf", None),
        ("truong2025", None),
    ],
)
def test_near_names_are_offered_and_what_only_snakemake_can_judge_is_left_to_it(target, line):
    main = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text(encoding="utf-8"))
    workflow = Workflow.from_config(main, REPOSITORY)
    if line is None:
        workflow.check_targets([target], rules=["all", "truong2025"])
        return
    with pytest.raises(TopoRepError, match=f"^{re.escape(line)}"):
        workflow.check_targets([target], rules=["all", "truong2025"])


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            "overrides: {truong2025: {datasets: {mnist: {learning_rate: 1e-3}}}}",
            "main configuration: overrides.truong2025.datasets.mnist.learning_rate: '1e-3' is text, not a number; "
            "write 0.001 or 1.0e-3",
        ),
        (
            "overrides: {truong2025: {datasets: {mnist: {learningrate: 0.1}}}}",
            "main configuration: overrides.truong2025.datasets.mnist.learningrate: unknown key; "
            "did you mean 'learning_rate'?",
        ),
        (
            "overrides: {truong2025: {seeds: [0, 1, 0]}}",
            "main configuration: overrides.truong2025.seeds: 0 is listed more than once",
        ),
        (
            "overrides: {truong2025: {analyses: {morans_i: {conditions: [control, wss]}}}}",
            "main configuration: overrides.truong2025.analyses.morans_i.conditions: unknown condition 'wss'; "
            "did you mean 'ws'?",
        ),
    ],
    ids=["number as text", "unknown key", "seed twice", "unknown condition"],
)
def test_a_mistake_in_the_configuration_is_one_line_that_names_its_place(copy, tmp_path, change, line):
    mistaken = tmp_path / "mistaken.yaml"
    mistaken.write_text(change + "\n", encoding="utf-8")
    refused(copy.snakemake("--dry-run", "--configfile", str(mistaken)), line)


def refused(done: subprocess.CompletedProcess, line: str) -> None:
    """Snakemake stopped, with this line and little else: its own frame of where in the rules it stopped."""
    said = [text for text in done.stdout.splitlines() if text.strip()]
    assert done.returncode != 0
    assert [text for text in said if text.startswith(line)], done.stdout
    assert "Traceback (most recent call last)" not in done.stdout
    assert len(said) <= 6, done.stdout


def test_a_command_that_fails_is_a_job_that_failed(copy):
    done = copy.snakemake("--cores", "1", "results/features/lfw.nc", "--config", "data_dir=nowhere")
    assert done.returncode != 0
    assert "error: nowhere/lfw: no such folder" in done.stdout
    assert "completed successfully" not in done.stdout
    assert "Traceback (most recent call last)" not in done.stdout


@pytest.mark.parametrize("scale", ["paper", "demo"])
def test_snakemake_finds_nothing_to_improve(copy, scale):
    done = copy.snakemake("--lint", *(["--configfile", "config/demo.yaml"] if scale == "demo" else []))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "command",
    [["ruff", "check"], ["ruff", "format", "--check"], ["snakefmt", "--check", "Snakefile", "workflow"]],
    ids=" ".join,
)
def test_code_and_rules_are_in_the_common_form(command):
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_figure_and_table_has_a_caption_for_the_report(copy):
    captions = {path.stem for path in (copy.folder / "workflow" / "report").glob("*.rst")}
    # The text that Snakemake's report opens with lies beside them.
    assert captions == {*(name for names in catalog(copy).values() for name in names), "claims", "workflow"}


def test_a_job_of_several_conditions_has_runs_that_are_trained_alike():
    main = read_yaml(REPOSITORY / "config" / "config.yaml")
    main |= {"mix_conditions": True, "stack_size": 50, "sequence_size": 50}
    workflow = Workflow.from_config(main, REPOSITORY)
    jobs = workflow.training_jobs()
    assert sorted(run for job in jobs for run in job.runs) == sorted(workflow.runs)
    assert len({job.name for job in jobs}) == len(jobs)
    assert any(len({run.condition for run in job.runs}) > 1 for job in jobs)
    for job in jobs:
        assert len(unpack(workflow.training_spec(job.runs))) == len(job.runs)
        assert len({workflow.train_command_of(run) for run in job.runs}) == 1
        shapes = {
            canonical_json(stack_shape(run_settings(workflow.config, run)["condition"]))
            for run in job.runs
            if run.paper == "keller2021_capsules"
        }
        assert len(shapes) <= 1, "no stack"
    for job in workflow.evaluation_jobs():
        assert len({(run.paper, run.dataset) for run in job.runs}) == 1
