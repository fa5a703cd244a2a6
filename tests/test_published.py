"""Published results: what is collected and refused, what is drawn from it, and that files, ledger and README agree."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from activation_dumps import random_activations, write_dumps

from toporep.cli import analyze, from_published
from toporep.cli import publish as publish_command
from toporep.config import canonical_json, merge, read_yaml, sha256_json
from toporep.errors import TopoRepError
from toporep.io import write_dataset
from toporep.published import checks
from toporep.published.collect import Choice, publish, rooted
from toporep.published.manifest import check, manifest_path, published_papers, read_manifest
from toporep.published.provenance import read_rows
from toporep.published.quotes import check_quotes, quotes, requoted
from toporep.published.redraw import published_workflow, redraw, remake_ledger
from toporep.runs import Run, run_settings
from toporep.workflow import Workflow

REPOSITORY = Path(__file__).resolve().parent.parent
PAPER, DATA = "truong2025", "7" * 64
SEEDS = (0, 1)
ANALYSES = ("morans_i", "colocalization", "calibration", "dimensionality")
SETTINGS = {"colocalization": {"relabellings": 20, "thresholds": [0.1, 0.3, 0.5]}}


def paper_workflow(root: Path) -> Workflow:
    """The configuration at the paper's scale, with results in a folder of its own."""
    main = read_yaml(REPOSITORY / "config" / "config.yaml")
    return rooted(Workflow.from_config(main, REPOSITORY), root)


def write_run(workflow: Workflow, run: Run, **over) -> None:
    """Provenance and history as a training command leaves them."""
    settings = run_settings(workflow.config, run)
    content = {
        **{"run": run.id, "seed": run.seed, "settings": settings, "config_sha256": sha256_json(settings)},
        **{"train_images": 48000, "data_sha256": DATA, "code_hash": "c" * 16, "identity": "i" * 64},
        **{"software": {"python": "3.11.7", "torch": "2.11.0"}, "device": "cpu", "threads": 1, "mode": "solo"},
        **{"stack_size": 1, "deterministic": True, **over},
    }
    folder = Path(workflow.paths.run_dir(run))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "provenance.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "history.csv").write_text("epoch,spatial_loss\n" + "".join(f"{i},0.5\n" for i in range(16)), "utf-8")


def analyze_runs(workflow: Workflow, dataset: str, folder: Path, *, scale: str = "paper") -> None:
    """Metric files of synthetic dumps, made by the command that the rule runs."""
    runs = [
        run
        for run in workflow.runs
        if (run.paper, run.dataset) == (PAPER, dataset) and run.condition != "global" and run.seed in SEEDS
    ]
    for run in runs:
        write_run(workflow, run)
    training = run_settings(workflow.config, runs[0])["training"] | {"train_images": 48000}
    folder.mkdir(parents=True, exist_ok=True)
    activations = random_activations(3, 16, stimuli=40)
    dumps = []
    for run in runs:
        noise = np.random.default_rng([run.seed, len(dumps)]).normal(size=activations.shape).astype(np.float32)
        dumps += write_dumps(
            *(folder, [(run.condition, run.strength, run.seed)]),
            **{"grid": (4, 4), "activations": activations + noise, "scale": scale, "dataset": dataset},
            **{"source": dataset, "data_sha256": DATA, "config": json.dumps({"training": {**training}})},
            training={"epochs": 3},
        )
    for name in ANALYSES:
        outputs = [workflow.paths.metric(PAPER, dataset, name), workflow.paths.summary(PAPER, dataset, name)]
        settings = ["--settings", json.dumps(SETTINGS.get(name, {})), "--code-hash", name]
        analyze.main(
            [name, "--scale", scale, *settings, "--output", outputs[0], "--summary", outputs[1], "--dumps", *dumps]
        )


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """A results folder at the paper's scale: MNIST alone, two seeds, four analyses of synthetic dumps."""
    folder = tmp_path_factory.mktemp("made")
    analyze_runs(paper_workflow(folder / "results"), "mnist", folder / "dumps")
    return folder / "results"


@pytest.fixture(scope="session")
def once(made, tmp_path_factory) -> Path:
    """What is published of it."""
    root = tmp_path_factory.mktemp("once") / "published"
    publish(paper_workflow(made), PAPER, root=root)
    return root


@pytest.fixture(scope="session")
def made_elsewhere(tmp_path_factory) -> Path:
    """The same of CIFAR-10, in a folder of its own."""
    folder = tmp_path_factory.mktemp("elsewhere")
    analyze_runs(paper_workflow(folder / "results"), "cifar10", folder / "dumps")
    return folder / "results"


@pytest.fixture
def elsewhere(made_elsewhere, tmp_path) -> Workflow:
    """A copy that a test may damage."""
    shutil.copytree(made_elsewhere, tmp_path / "elsewhere")
    return paper_workflow(tmp_path / "elsewhere")


@pytest.fixture
def results(made, tmp_path) -> Workflow:
    """A copy that a test may damage."""
    shutil.copytree(made, tmp_path / "results")
    return paper_workflow(tmp_path / "results")


@pytest.fixture
def published(once, tmp_path) -> Path:
    """A copy that a test may damage."""
    shutil.copytree(once, tmp_path / "published")
    return tmp_path / "published"


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def change_provenance(workflow: Workflow, run: str, **over) -> None:
    path = Path(workflow.paths.provenance(run))
    path.write_text(json.dumps({**json.loads(path.read_text()), **over}))


def change_file(path: str, **attrs) -> None:
    file = xr.load_dataset(path)
    write_dataset(file.assign_attrs(attrs), path, file.attrs["schema"])


# What is collected


def test_metric_files_and_summaries_are_published_as_they_are(once, made):
    names = [f"metrics/{PAPER}/mnist/{name}{end}.nc" for name in ANALYSES for end in ("", "_summary")]
    assert {name: (once / name).read_bytes() for name in names} == {name: (made / name).read_bytes() for name in names}
    ledger = [f"claims/{PAPER}{end}" for end in (".csv", ".md", "_points.csv")]
    assert set(contents(once)) == {*names, *ledger, f"{PAPER}/manifest.json", f"{PAPER}/runs.csv"}


def test_every_run_has_a_line_with_what_its_provenance_says(once, made):
    rows = read_rows(once / PAPER / "runs.csv")
    assert len(rows) == 19 * len(SEEDS)
    for row in rows:
        said = json.loads((made / "runs" / row["run"] / "provenance.json").read_text())
        assert row["run"] == f"{PAPER}/{row['dataset']}/{row['condition']}/{row['strength']}/seed{row['seed']}"
        assert (row["device"], row["mode"], row["stack_size"], row["precision"]) == ("cpu", "solo", "1", "float32")
        assert (row["config_sha256"], row["data_sha256"]) == (said["config_sha256"], said["data_sha256"])
        assert (row["code_hash"], json.loads(row["software"])) == (said["code_hash"], said["software"])
        assert (row["epochs"], row["train_images"], row["job_seconds"]) == ("15", "48000", "")


def test_seconds_are_those_of_snakemakes_benchmark(results, tmp_path):
    path = Path(results.config.root) / "benchmarks" / "train" / PAPER / "mnist" / "ws" / "0.5" / "seed1.tsv"
    path.parent.mkdir(parents=True)
    path.write_text("s\th:m:s\tcpu_time\n12.5\t0:00:12\t11.25\n")
    publish(results, PAPER, root=tmp_path / "published")
    rows = {row["run"]: row for row in read_rows(tmp_path / "published" / PAPER / "runs.csv")}
    timed = rows.pop(f"{PAPER}/mnist/ws/0.5/seed1")
    assert (timed["job_seconds"], timed["job_cpu_seconds"], timed["job_networks"]) == ("12.5", "11.25", "1")
    assert {row["job_seconds"] for row in rows.values()} == {""}


def test_a_stack_says_how_many_networks_its_job_trained(made, tmp_path):
    shutil.copytree(made, tmp_path / "results")
    main = read_yaml(REPOSITORY / "config" / "config.yaml") | {"stack_size": 20}
    workflow = rooted(Workflow.from_config(main, REPOSITORY), tmp_path / "results")
    job = next(job for job in workflow.training_jobs() if job.runs[0].id.startswith(f"{PAPER}/mnist/ws/"))
    inside = [run for run in job.runs if run.seed in SEEDS]
    for run in inside:
        change_provenance(workflow, run.id, mode="stacked", stack_size=20, device="some GPU", deterministic=False)
    path = tmp_path / "results" / "benchmarks" / "train" / f"{job.name}.tsv"
    path.parent.mkdir(parents=True)
    path.write_text("s\tcpu_time\n240.0\t100.0\n")
    # Of an earlier training of the same network alone.
    alone = path.parent / f"{inside[0].id}.tsv"
    alone.parent.mkdir(parents=True)
    alone.write_text("s\tcpu_time\n999.0\t999.0\n")
    publish(workflow, PAPER, root=tmp_path / "published")
    rows = {row["run"]: row for row in read_rows(tmp_path / "published" / PAPER / "runs.csv")}
    stacked = [rows[run.id] for run in inside]
    assert {(row["mode"], row["stack_size"], row["job_seconds"], row["job_networks"]) for row in stacked} == {
        ("stacked", "20", "240.0", "20")
    }
    assert {row["deterministic"] for row in stacked} == {"false"}


def test_the_manifest_says_what_a_data_set_lacks(once):
    told = read_manifest(once, PAPER)["datasets"]
    assert list(told) == ["mnist"]
    assert (told["mnist"]["networks"], told["mnist"]["seeds"]) == (38, [0, 1])
    assert "training_curves" in told["mnist"]["not_made"]
    assert not set(ANALYSES) & set(told["mnist"]["not_made"])


def test_publishing_twice_gives_the_same_bytes(results, published):
    before = contents(published)
    publish(results, PAPER, root=published)
    assert contents(published) == before


def test_a_data_set_is_added_to_what_is_there_and_replaced_as_a_whole(results, elsewhere, published):
    before = contents(published)
    publish(elsewhere, PAPER, root=published)
    both = contents(published)
    kept = [name for name in before if name.startswith("metrics/")]
    assert {name: both[name] for name in kept} == {name: before[name] for name in kept}
    assert [row["dataset"] for row in read_rows(published / PAPER / "runs.csv")] == ["mnist"] * 38 + ["cifar10"] * 38
    check(published, PAPER)
    left = {f"mnist.{name}": "for this test" for name in ANALYSES[1:]}
    manifest = publish(results, PAPER, root=published, choice=Choice(["mnist"], left_out=left))
    names = [entry["analysis"] for entry in manifest["files"].values() if entry.get("dataset") == "mnist"]
    assert names == ["morans_i", "morans_i"]
    assert manifest["datasets"]["mnist"]["left_out"] == dict.fromkeys(ANALYSES[1:], "for this test")
    check(published, PAPER)


# What is refused


def test_another_scale_is_refused(results, tmp_path):
    main = read_yaml(REPOSITORY / "config" / "config.yaml") | {"scale": "mine"}
    mine = rooted(Workflow.from_config(main, REPOSITORY), results.config.root)
    with pytest.raises(TopoRepError, match="scale 'mine': only scale 'paper'"):
        publish(mine, PAPER, root=tmp_path / "published")
    change_file(results.paths.metric(PAPER, "mnist", "morans_i"), scale="reduced")
    with pytest.raises(TopoRepError, match="morans_i.nc: expected scale 'paper', found 'reduced'"):
        publish(results, PAPER, root=tmp_path / "published")
    assert not (tmp_path / "published").exists()


def test_a_dump_in_the_place_of_a_metric_file_is_refused(results, tmp_path):
    dump = write_dumps(tmp_path, [("ws", 0.5, 0)])[0]
    shutil.copy(dump, results.paths.metric(PAPER, "mnist", "morans_i"))
    with pytest.raises(TopoRepError, match="expected schema 'morans_i'"):
        publish(results, PAPER, root=tmp_path / "published")


def test_a_metric_file_without_its_summary_is_refused(results, tmp_path):
    Path(results.paths.summary(PAPER, "mnist", "calibration")).unlink()
    with pytest.raises(TopoRepError, match="calibration_summary.nc: no such file"):
        publish(results, PAPER, root=tmp_path / "published")


def test_a_summary_of_other_dumps_is_refused(results, tmp_path):
    change_file(results.paths.summary(PAPER, "mnist", "calibration"), dumps_sha256="0" * 64)
    with pytest.raises(TopoRepError, match="calibration_summary.nc: its dumps_sha256 is not that of"):
        publish(results, PAPER, root=tmp_path / "published")


def test_a_run_without_provenance_is_refused(results, tmp_path):
    Path(results.paths.provenance(f"{PAPER}/mnist/as/1/seed1")).unlink()
    with pytest.raises(TopoRepError, match=r"as/1/seed1/provenance.json: cannot be read"):
        publish(results, PAPER, root=tmp_path / "published")


def test_a_run_trained_with_other_settings_is_refused_until_they_are_given(results, tmp_path):
    run = f"{PAPER}/mnist/as/1/seed1"
    path = Path(results.paths.provenance(run))
    settings = json.loads(path.read_text())["settings"]
    settings["training"]["learning_rate"] = 0.01
    change_provenance(results, run, settings=settings, config_sha256=sha256_json(settings))
    with pytest.raises(TopoRepError, match=r"other settings than the configuration's: training.learning_rate"):
        publish(results, PAPER, root=tmp_path / "published")


def test_a_run_older_than_a_setting_needs_a_reason(results, tmp_path):
    run = f"{PAPER}/mnist/as/1/seed1"
    settings = json.loads(Path(results.paths.provenance(run)).read_text())["settings"]
    del settings["training"]["eps"]
    change_provenance(results, run, settings=settings)
    with pytest.raises(TopoRepError, match="its config_sha256 is not that of its settings"):
        publish(results, PAPER, root=tmp_path / "published")
    change_provenance(results, run, config_sha256=sha256_json(settings))
    with pytest.raises(TopoRepError, match="trained before there was a setting training.eps; .*--lacking"):
        publish(results, PAPER, root=tmp_path / "published")
    manifest = publish(results, PAPER, root=tmp_path / "published", choice=Choice(lacking="it was a constant"))
    lacking = {"settings": ["training.eps"], "reason": "it was a constant"}
    assert manifest["datasets"]["mnist"]["lacking"] == lacking
    settings["training"]["learning_rate"] = 0.01
    change_provenance(results, run, settings=settings, config_sha256=sha256_json(settings))
    with pytest.raises(TopoRepError, match="other settings than the configuration's: training.learning_rate;"):
        publish(results, PAPER, root=tmp_path / "published", choice=Choice(lacking="it was a constant"))


def test_a_metric_file_of_networks_trained_otherwise_is_refused(results, tmp_path):
    for path in (results.paths.metric, results.paths.summary):
        name = path(PAPER, "mnist", "morans_i")
        training = json.loads(xr.load_dataset(name).attrs["training"]) | {"epochs": 4}
        change_file(name, training=canonical_json(training))
    with pytest.raises(TopoRepError, match="morans_i.nc: of networks trained with epochs 4, but .* has 15"):
        publish(results, PAPER, root=tmp_path / "published")


@pytest.mark.parametrize("name", ["code_hash", "data_sha256"])
def test_networks_of_different_code_or_data_need_a_reason(name, results, tmp_path):
    change_provenance(results, f"{PAPER}/mnist/ws/2/seed0", **{name: "d" * 16})
    with pytest.raises(TopoRepError, match=rf"{name} differs between networks .*ws/2/seed0 has d{{16}}; .*--mixed"):
        publish(results, PAPER, root=tmp_path / "published")
    manifest = publish(results, PAPER, root=tmp_path / "published", choice=Choice(mixed="a comment changed"))
    assert manifest["datasets"]["mnist"]["mixed"] == "a comment changed"
    assert len(manifest["datasets"]["mnist"][name]) == 2


def test_an_analysis_of_two_data_sets_by_different_code_needs_a_reason(elsewhere, published):
    for path in (elsewhere.paths.metric, elsewhere.paths.summary):
        change_file(path(PAPER, "cifar10", "morans_i"), code_hash="new")
    before = contents(published)
    with pytest.raises(TopoRepError, match="code_hash of the analysis morans_i differs: .* has morans_i; .* has new"):
        publish(elsewhere, PAPER, root=published)
    assert contents(published) == before
    publish(elsewhere, PAPER, root=published, choice=Choice(mixed="two versions of a docstring"))
    check(published, PAPER)


def test_large_files_are_refused(results, tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "LARGEST_FILE", 5000)
    with pytest.raises(TopoRepError, match=r"colocalization.nc: [\d,]+ bytes, at most 5,000"):
        publish(results, PAPER, root=tmp_path / "published")
    monkeypatch.setattr(checks, "LARGEST_FILE", 10**9)
    monkeypatch.setattr(checks, "LARGEST_PAPER", 20000)
    with pytest.raises(TopoRepError, match=r"all files together: [\d,]+ bytes, at most 20,000"):
        publish(results, PAPER, root=tmp_path / "published")


def test_nothing_made_is_said(tmp_path):
    with pytest.raises(TopoRepError, match="no metric file of mnist, cifar10; run the analyses first"):
        publish(paper_workflow(tmp_path), PAPER, root=tmp_path / "published")


def test_a_failed_publication_changes_nothing(results, published, monkeypatch):
    before = contents(published)
    change_provenance(results, f"{PAPER}/mnist/ws/2/seed0", software={"python": "3.12"})
    write, written = Path.write_bytes, []

    def full(path, content):
        if path.is_relative_to(published):
            written.append(path)
            if len(written) > 4:
                raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(TopoRepError, match="No space left"):
        publish(results, PAPER, root=published)
    monkeypatch.undo()
    assert len(written) > 4
    assert contents(published) == before


# The manifest


def test_a_changed_a_missing_and_an_unknown_file_are_named(published):
    check(published, PAPER)
    folder = published / "metrics" / PAPER / "mnist"
    (folder / "morans_i.nc").write_bytes((folder / "morans_i.nc").read_bytes() + b"x")
    (folder / "calibration.nc").unlink()
    (folder / "weights.safetensors").write_bytes(b"w")
    with pytest.raises(TopoRepError) as caught:
        check(published, PAPER)
    lines = str(caught.value).splitlines()
    assert any("morans_i.nc: expected sha256" in line for line in lines)
    assert any("calibration.nc: in the manifest, but not there" in line for line in lines)
    assert any("weights.safetensors: not in the manifest" in line for line in lines)
    with pytest.raises(TopoRepError, match="not in the manifest"):
        from_published.main(["--root", str(published)])


class Killed(BaseException):
    """Stands for SIGKILL."""


def test_a_publication_that_was_killed_while_files_got_their_names_is_found(results, published, monkeypatch):
    change_provenance(results, f"{PAPER}/mnist/ws/2/seed0", software={"python": "3.12"})
    replace, renamed = os.replace, []

    def killed(source, target):
        if Path(target) == manifest_path(published, PAPER):
            raise Killed
        renamed.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(Killed):
        publish(results, PAPER, root=published)
    monkeypatch.undo()
    # All others have their names when the manifest gets its own.
    assert {"runs.csv", "morans_i.nc", f"{PAPER}.md"} <= set(renamed)
    with pytest.raises(TopoRepError, match="runs.csv: expected sha256"):
        check(published, PAPER)
    publish(results, PAPER, root=published)
    check(published, PAPER)
    assert not [path for path in published.rglob("*") if path.suffix == ".part"]


def test_a_data_set_that_stays_is_checked(elsewhere, published):
    name = published / "metrics" / PAPER / "mnist" / "morans_i.nc"
    name.write_bytes(name.read_bytes() + b"x")
    with pytest.raises(TopoRepError, match="morans_i.nc: expected sha256"):
        publish(elsewhere, PAPER, root=published)


# What is drawn


def test_figures_are_those_that_the_rule_draws(once, made, tmp_path, published):
    from toporep.cli import figure

    drawn = redraw(published_workflow(published, REPOSITORY), PAPER, "figA8_morans_i")
    assert drawn.without == ("cifar10",)
    summary = made / "metrics" / PAPER / "mnist" / "morans_i_summary.nc"
    names = [f"figA8_morans_i.{ext}" for ext in ("pdf", "png", "csv")]
    outputs = [str(tmp_path / name) for name in names]
    figure.main([PAPER, "figA8_morans_i", "--input", f"mnist={summary}", "--outputs", *outputs])
    for name, path in zip(names, outputs, strict=True):
        assert (published / "figures" / PAPER / name).read_bytes() == Path(path).read_bytes()


def test_what_lacks_inputs_is_named_and_the_rest_is_drawn(published, capsys):
    from_published.main(["--root", str(published)])
    said = capsys.readouterr().out
    assert f"{PAPER}/mnist: 38 networks, seeds [0, 1], on cpu" in said
    drawn = {path.stem for path in (published / "figures" / PAPER).glob("*.pdf")}
    wanted = {"fig1_concepts", "fig2_accuracy", "fig6_colocalization", "figA5_calibration", "figA8_morans_i"}
    wanted |= {"figA6_effective_dimensionality", "figX5_colocalization_by_alpha"}
    assert drawn == wanted
    assert "fig7_activation_maps: lacks activation dumps" in said
    assert "figA7_noise_examples: lacks images" in said
    assert "figA2_training_cifar10: lacks metric files" in said
    for figure in published_workflow(published, REPOSITORY).catalog[PAPER]:
        assert (figure in drawn) != (f"  {figure}: lacks " in said)


def test_a_figure_says_its_scale_and_number_of_seeds(published):
    redraw(published_workflow(published, REPOSITORY), PAPER, "figA8_morans_i")
    table = pd.read_csv(published / "figures" / PAPER / "figA8_morans_i.csv")
    ours = table[table["scale"] == "paper"]
    assert set(ours["n_seeds"]) == {len(SEEDS)}


def test_the_ledger_made_again_is_the_published_one(once, published):
    for path in remake_ledger(published_workflow(published, REPOSITORY), PAPER):
        assert Path(path).read_bytes() == (once / "claims" / Path(path).name).read_bytes()


def test_two_seeds_reproduce_nothing(once):
    ledger = pd.read_csv(once / "claims" / f"{PAPER}.csv")
    assert set(ledger["verdict"]) == {"inconclusive", "not run"}
    assert set(ledger["scale"]) == {"paper"}


# The example that tells how.
(ONE_SEED,) = re.findall(r"^```yaml\n(.*?)^```", (REPOSITORY / "docs" / "published.md").read_text("utf-8"), re.M | re.S)


def test_a_part_of_the_seeds_is_published_under_its_configuration(made, tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text(ONE_SEED, encoding="utf-8")
    arguments = ["--paper", PAPER, "--output", str(tmp_path / "published"), "--configfile", str(tmp_path / "mine.yaml")]
    # These analyses are of two seeds, of which the configuration has one alone.
    with pytest.raises(TopoRepError, match="seed1: not in the table of runs"):
        publish_command.main(["--root", str(made), *arguments])
    main = merge(read_yaml(REPOSITORY / "config" / "config.yaml"), read_yaml(tmp_path / "mine.yaml"))
    workflow = rooted(Workflow.from_config(main, REPOSITORY), tmp_path / "results")
    analyze_runs(workflow, "mnist", tmp_path / "dumps")
    publish_command.main(["--root", str(tmp_path / "results"), *arguments])
    said = capsys.readouterr().out
    assert "mnist: 19 networks, seeds 0\n" in said
    assert "mnist: not made: " in said
    told = read_manifest(tmp_path / "published", PAPER)["datasets"]["mnist"]
    assert told["overrides"]["datasets"] == {"mnist": {"seeds": [0]}}
    drawn = redraw(published_workflow(tmp_path / "published", REPOSITORY), PAPER, "fig6_colocalization")
    assert (drawn.without, drawn.why_not) == (("cifar10",), "")
    table = pd.read_csv(tmp_path / "published" / "figures" / PAPER / "fig6_colocalization.csv")
    ours = table[table["origin"] == "this run"]
    assert set(ours["n_seeds"]) == {1}
    assert ours["distance_sem"].isna().all()


# What a document quotes

SUMMARY = f"metrics/{PAPER}/mnist/morans_i_summary.nc"


def quoted(address: str, text: str) -> str:
    return f"Moran's I is <!-- published: {address} -->{text}<!-- / --> there."


def write_two(value: float, folder: Path) -> None:
    """A file with x of two conditions, WS first."""
    file = xr.Dataset({"x": ("point", [value, 9.0])}, coords={"condition": ("point", ["ws", "as"])})
    file.to_netcdf(folder / "x.nc")


@pytest.mark.parametrize(
    ("value", "right", "wrong"),
    [
        (0.4567, [".46", "0.457", "0.4567", "0.5", "46 %", "45.7%"], [".45", "0.456", ".46%", "4.6", "about .46"]),
        (-0.0321, ["−.03", "-0.032", "−3 %"], ["0.03", "−.04"]),
        (12345.6, ["12,346", "12345.6"], ["12,345", "12.346"]),
        (0.125, ["0.12", "0.13", "0.125"], ["0.11", "0.14"]),
    ],
)
def test_a_quoted_number_is_the_published_one_rounded_as_it_is_written(value, right, wrong, tmp_path):
    write_two(value, tmp_path)
    for text in right:
        assert check_quotes(quoted("x.nc x condition=ws", text), tmp_path) == []
    for text in wrong:
        (line,) = check_quotes(quoted("x.nc x condition=ws", text), tmp_path)
        assert f"quoted {text}, published {value:.10g}" in line


def test_quotes_of_published_files(once):
    summary = xr.load_dataset(once / SUMMARY)
    (row,) = np.flatnonzero((summary.condition.values == "ws") & (summary.strength.values == 3))
    address = f"{SUMMARY} morans_i_mean condition=ws strength=3"
    assert check_quotes(quoted(address, f"{float(summary.morans_i_mean[row]):.3f}"), once) == []
    assert check_quotes(quoted(f"{PAPER}/runs.csv count dataset=mnist condition=ws", "12"), once) == []
    assert check_quotes(quoted(f"{PAPER}/runs.csv device run={PAPER}/mnist/ws/3/seed0", "cpu"), once) == []
    assert len(check_quotes(quoted(f"{PAPER}/runs.csv count dataset=mnist", "380"), once)) == 1


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("metrics/none.nc x", "no file"),
        (f"{SUMMARY} morans_i condition=ws", "no variable morans_i in"),
        (f"{SUMMARY} morans_i_mean condition=ws", "6 values of"),
        (f"{SUMMARY} morans_i_mean condition=ws strength=7", "0 values of"),
        (f"{SUMMARY} morans_i_mean family=ws", "family selects nothing"),
        (f"{PAPER}/runs.csv device seed=0", "19 rows of"),
        (f"{PAPER}/runs.csv size", "no column size"),
        ("x.nc", "expected FILE NAME KEY=VALUE"),
    ],
)
def test_a_quote_of_no_single_value_is_refused(address, message, once):
    with pytest.raises(TopoRepError, match=message):
        check_quotes(quoted(address, "1"), once)


@pytest.mark.parametrize(
    "value, written, renewed",
    [
        (0.6978, ".44", ".70"),
        (-0.354, "−.25", "−.35"),
        (-0.354, ".25", "−.35"),
        (1.204, ".97", "1.20"),
        (0.0, "−.02", ".00"),
        (0.2318, "21 %", "23 %"),
        (0.2318, "21.0%", "23.2%"),
        (48000, "1,150", "48,000"),
        (12345, "999", "12,345"),
        (0.6978, ".698", ".698"),
    ],
)
def test_a_renewed_number_is_written_as_the_old_one(value, written, renewed, tmp_path):
    write_two(value, tmp_path)
    document = f"# A\n`{quoted('x.nc x', '1')}` is {quoted('x.nc x condition=ws', written)}, as said.\n"
    assert requoted(document, tmp_path) == document.replace(f">{written}<", f">{renewed}<")
    assert check_quotes(requoted(document, tmp_path), tmp_path) == []


def test_the_command_renews_the_quotes_of_documents(once, tmp_path, capsys):
    address = f"{PAPER}/runs.csv count dataset=mnist condition=ws"
    path = tmp_path / "README.md"
    path.write_text(f"{quoted(address, '7')} and {quoted(address, '12')}\n", encoding="utf-8")
    from_published.main(["--root", str(once), "--quotes", str(path)])
    assert path.read_text(encoding="utf-8") == f"{quoted(address, '12')} and {quoted(address, '12')}\n"
    out = capsys.readouterr().out
    assert "1 of 2 quotes renewed" in out and "quoted 7, published 12" in out


def test_an_example_in_code_quotes_nothing():
    example = quoted("a.nc x", "1")
    assert quotes(f"```\n{example}\n```\nand `{example}`") == []
    assert [str(quote) for quote in quotes(f"```\nx\n```\n`y` {example} ```")] == ["a.nc x"]


def test_a_quote_without_an_end_is_refused():
    with pytest.raises(TopoRepError, match="1 comments begin with"):
        quotes("x <!-- published: a.nc x -->1 and so on")


# What is published in this repository

PUBLISHED = REPOSITORY / "results" / "published"
PAPERS = published_papers(PUBLISHED)
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")), PUBLISHED / "README.md"]


@pytest.fixture
def papers() -> list[str]:
    if not PAPERS:
        pytest.skip("nothing published yet")
    return PAPERS


def test_published_files_are_those_of_their_manifests(papers):
    for paper in papers:
        check(PUBLISHED, paper)


def test_published_runs_are_those_behind_the_metric_files(papers):
    for paper in papers:
        manifest = read_manifest(PUBLISHED, paper)
        rows = read_rows(PUBLISHED / paper / "runs.csv")
        for dataset, told in manifest["datasets"].items():
            of_dataset = [row for row in rows if row["dataset"] == dataset]
            assert len(of_dataset) == told["networks"] == len({row["run"] for row in of_dataset})
            assert sorted({int(row["seed"]) for row in of_dataset}) == told["seeds"]
        assert len(rows) == sum(told["networks"] for told in manifest["datasets"].values())


def test_published_ledgers_are_what_the_published_files_give(papers, tmp_path):
    shutil.copytree(PUBLISHED, tmp_path / "published")
    workflow = published_workflow(tmp_path / "published", REPOSITORY)
    for paper in papers:
        for path in map(Path, remake_ledger(workflow, paper)):
            committed = (PUBLISHED / "claims" / path.name).read_text(encoding="utf-8")
            made_again = path.read_text(encoding="utf-8")
            if path.suffix == ".md":
                assert made_again == committed
            else:
                assert_same_table(made_again, committed)


def assert_same_table(left: str, right: str) -> None:
    """Equal text, and numbers equal but for the last digits, which another processor may round otherwise."""
    tables = [pd.read_csv(io.StringIO(text), keep_default_na=False, dtype=str) for text in (left, right)]
    assert [list(table) for table in tables] == [list(tables[0])] * 2
    for name in tables[0]:
        numbers = [pd.to_numeric(table[name], errors="coerce") for table in tables]
        for texts in zip(tables[0][name], tables[1][name], *numbers, strict=True):
            assert texts[0] == texts[1] or texts[2] == pytest.approx(texts[3], rel=1e-6, abs=1e-12), name


def test_what_documents_quote_is_what_is_published():
    lines = [line for path in DOCUMENTS for line in check_quotes(path.read_text(encoding="utf-8"), PUBLISHED)]
    assert lines == []
