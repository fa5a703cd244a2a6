"""A whole workflow in seconds: what it makes, what a change makes anew, and what survives a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from workflow_copies import Copy, environment

# The tests share one finished tree, so they run in one process of pytest-xdist.
pytestmark = pytest.mark.xdist_group("workflow")

ALIAS = "figures/fig6_colocalization.pdf"
# A figure of each kind of evaluation and input.
FIGURES = (
    "fig4_image_noise",
    "fig6_colocalization",
    "fig7_activation_maps",
    "fig12_eccentricity",
    "figA8_morans_i",
    "figX5_colocalization_by_alpha",
)
TARGETS = [*(f"results/tiny/figures/truong2025/{name}.pdf" for name in FIGURES), f"results/tiny/{ALIAS}"]
DATA_SOURCES = {"data/digits.nc", "data/objects.nc"}
CATALOG = Copy(Path(__file__).resolve().parent.parent).folder / "config" / "catalog.yaml"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Copy, set[str]]:
    """A finished tree, and the files that its workflow makes."""
    copy = Copy.make(tmp_path_factory.mktemp("finished"))
    everything = copy.planned(*copy.tiny(*TARGETS))
    done = copy.snakemake("--cores", "2", *copy.tiny(*TARGETS))
    assert done.returncode == 0, done.stdout
    return copy, everything


@pytest.fixture(scope="module")
def killed(made, tmp_path_factory) -> tuple[Copy, set[str]]:
    """A second tree, where the job of two runs was killed between them; and the run files it had left."""
    copy = made[0].clone(tmp_path_factory.mktemp("killed"))
    root = copy.folder / "results" / "tiny"
    runs = "runs/truong2025/mnist/as"
    evaluated = [f"{stage}/truong2025/mnist/as" for stage in ("activations", "tuning", "image_noise")]
    remove(root, runs, *evaluated, "metrics", "figures")
    process = subprocess.Popen(
        copy.command("--cores", "1", *copy.tiny(f"results/tiny/{runs}/0.5/seed0/weights.safetensors")),
        cwd=copy.folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not (root / runs / "0.5/seed0/provenance.json").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    left = set(copy.files(f"{runs}/**/*"))
    return copy, left


def remove(root: Path, *folders: str) -> None:
    for folder in folders:
        for path in (root / folder).rglob("*"):
            if path.is_file():
                path.unlink()


def below(everything: set[str], *starts: str) -> set[str]:
    """Files whose path begins with one of these."""
    found = {name for name in everything if name.startswith(starts)}
    assert found
    return found


def figures(everything: set[str], *, analysis: str | None = None) -> set[str]:
    """Files of all figures, or of those that draw an analysis."""
    catalog = yaml.safe_load(CATALOG.read_text(encoding="utf-8"))["truong2025"]
    names = [name for name in FIGURES if analysis is None or analysis in catalog[name].get("analyses", [])]
    return {name for name in everything if name.startswith("figures/") and Path(name).stem in names}


def metrics(everything: set[str], analysis: str) -> set[str]:
    return {name for name in everything if name.startswith("metrics/") and Path(name).name.startswith(analysis)}


def test_the_figures_the_runs_and_their_metrics_are_there(made):
    copy, everything = made
    missing = [name for name in everything if not (copy.folder / "results" / "tiny" / name).is_file()]
    assert missing == []
    # 4 conditions of one strength, 2 seeds of the digits and 1 of the objects; no run of the appendix's Global.
    assert len([name for name in everything if name.endswith("/weights.safetensors")]) == 4 * (2 + 1)
    for evaluation in ("activations/", "tuning/", "image_noise/"):
        assert len(below(everything, evaluation)) == 4 * (2 + 1)
    assert len(below(everything, "metrics/")) == 4 * 2 * 2
    assert everything.issuperset(DATA_SOURCES)
    for name in figures(everything):
        content = (copy.folder / "results" / "tiny" / name).read_bytes()
        start = {"pdf": b"%PDF", "png": b"\x89PNG", "csv": b"dataset,"}[name.rpartition(".")[2]]
        assert content.startswith(start), name


def test_a_figure_named_without_its_paper_is_the_same_file(made):
    files = made[0].files(ALIAS, "figures/truong2025/fig6_colocalization.pdf")
    assert len(files) == 2
    assert len(set(files.values())) == 1


def test_no_half_written_file_and_no_training_state_is_left(made):
    root = made[0].folder / "results" / "tiny"
    assert [path for path in root.rglob("*.part*")] == []
    assert [path for path in (root / "state").rglob("epoch-*")] == []


def test_running_again_does_nothing(made):
    copy, everything = made
    before = {name: (copy.folder / "results" / "tiny" / name).stat().st_mtime_ns for name in everything}
    done = copy.snakemake("--cores", "1", *copy.tiny(*TARGETS))
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout
    assert before == {name: (copy.folder / "results" / "tiny" / name).stat().st_mtime_ns for name in everything}


def test_comments_and_docstrings_make_nothing_anew(made):
    copy, _ = made
    comment = "\n\n# A remark that no number depends on.\n"
    edits = {
        f"src/toporep/{module}.py": comment
        for module in ("metrics/colocalization", "train/engine", "data/digits", "figures/style", "models/cnn")
    }
    losses = copy.folder / "src/toporep/losses/spatial.py"
    text = losses.read_text(encoding="utf-8")
    with copy.edited({**edits, "src/toporep/losses/spatial.py": ""}):
        losses.write_text(text.replace('    """', '    """In other words: ', 1), encoding="utf-8")
        assert losses.read_text(encoding="utf-8") != text
        assert copy.planned(*copy.tiny(*TARGETS)) == set()


@pytest.mark.parametrize(
    ("module", "affected"),
    [
        (
            "metrics/colocalization",
            lambda all_: metrics(all_, "colocalization") | figures(all_, analysis="colocalization"),
        ),
        ("losses/spatial", lambda all_: all_ - DATA_SOURCES),
        ("data/objects", lambda all_: all_),
        (
            "metrics/eccentricity",
            lambda all_: metrics(all_, "eccentricity") | figures(all_, analysis="eccentricity"),
        ),
        (
            "stimuli/noise",
            lambda all_: (
                below(all_, "image_noise/")
                | metrics(all_, "image_noise_robustness")
                | figures(all_, analysis="image_noise_robustness")
            ),
        ),
        ("figures/style", lambda all_: figures(all_)),
    ],
    ids=[
        "co-localisation kernel",
        "spatial losses",
        "generator of images",
        "classes of eccentricity",
        "noise",
        "colors of figures",
    ],
)
def test_changed_code_makes_anew_what_depends_on_it(made, module, affected):
    copy, everything = made
    with copy.edited({f"src/toporep/{module}.py": "\n\n_CHANGED = 1\n"}):
        assert copy.planned(*copy.tiny(*TARGETS)) == affected(everything)


MNIST = tuple(f"{stage}/truong2025/mnist/" for stage in ("runs", "activations", "tuning", "image_noise", "metrics"))


@pytest.mark.parametrize(
    ("change", "affected"),
    [
        ("datasets: {mnist: {learning_rate: 0.002}}", lambda all_: below(all_, *MNIST) | figures(all_)),
        (
            "datasets: {cifar10: {eval_norm: mismatched}}",
            # Noisy images are shown under both normalizations anyhow, and Figure 7 shows mnist alone.
            lambda all_: (
                below(all_, "activations/truong2025/cifar10/")
                | {name for name in metrics(all_, "colocalization") | metrics(all_, "morans_i") if "cifar10" in name}
                | figures(all_, analysis="colocalization")
                | figures(all_, analysis="morans_i")
            ),
        ),
        (
            "analyses: {colocalization: {settings: {thresholds: [0.2, 0.5]}}}",
            lambda all_: metrics(all_, "colocalization") | figures(all_, analysis="colocalization"),
        ),
        (
            "evaluations: {image_noise: {clip: false}}",
            lambda all_: (
                below(all_, "image_noise/")
                | metrics(all_, "image_noise_robustness")
                | figures(all_, analysis="image_noise_robustness")
            ),
        ),
        (
            "analyses: {morans_i: {settings: {neighborhood: rook}}}",
            lambda all_: metrics(all_, "morans_i") | figures(all_, analysis="morans_i"),
        ),
        ("figures: {fig7_activation_maps: {images: 3}}", lambda all_: below(all_, "figures/truong2025/fig7_")),
        ('title: "Another title"\n    conditions: {ws: {label: Weights}}', lambda all_: set()),
    ],
    ids=[
        "learning rate",
        "normalization of test images",
        "thresholds",
        "clipped noise",
        "neighborhood",
        "images drawn",
        "label",
    ],
)
def test_a_changed_setting_makes_anew_what_depends_on_it(made, change, affected):
    copy, everything = made
    arguments = copy.tiny(*TARGETS, change=f"overrides:\n  truong2025:\n    {change}\n")
    assert copy.planned(*arguments) == affected(everything)


STRENGTH = "overrides: {truong2025: {conditions: {ws: {strengths: [0.5, 1]}}}}\n"


def test_an_added_strength_leaves_the_other_conditions_alone(made):
    copy, everything = made
    planned = copy.planned(*copy.tiny(*TARGETS, change=STRENGTH))
    trained = {name for name in planned if name.startswith("runs/")}
    new = {f"runs/truong2025/{run}" for run in ("mnist/ws/1/seed0", "mnist/ws/1/seed1", "cifar10/ws/1/seed0")}
    assert new == {str(Path(name).parent) for name in trained - everything}
    assert {name.split("/")[3] for name in trained} == {"ws"}


def test_an_added_strength_trains_its_runs_alone_where_each_run_is_a_job(made, tmp_path):
    copy = made[0].clone(tmp_path)
    # Snakemake takes the files as made by the rules of stack_size 1.
    touched = copy.snakemake("--touch", "--cores", "1", *copy.tiny(*TARGETS), "--config", "stack_size=1")
    assert touched.returncode == 0, touched.stdout
    planned = copy.planned(*copy.tiny(*TARGETS, change=STRENGTH), "--config", "stack_size=1")
    assert {str(Path(name).parent) for name in planned if name.startswith("runs/")} == {
        f"runs/truong2025/{run}" for run in ("mnist/ws/1/seed0", "mnist/ws/1/seed1", "cifar10/ws/1/seed0")
    }


def test_a_killed_job_goes_on_to_the_same_bytes(made, killed):
    copy, left = killed
    runs = "runs/truong2025/mnist/as/0.5"
    assert f"{runs}/seed0/weights.safetensors" in left
    assert f"{runs}/seed1/weights.safetensors" not in left
    done = copy.snakemake("--cores", "1", *copy.tiny(f"results/tiny/{runs}/seed0/weights.safetensors"))
    assert done.returncode == 0, done.stdout
    assert "its locks are removed" in done.stdout
    files = copy.files(f"{runs}/**/*")
    assert {Path(name).name for name in files} == {"weights.safetensors", "history.csv", "provenance.json"}
    assert len(files) == 2 * 3
    assert files == made[0].files(f"{runs}/**/*")


def test_another_folder_gives_the_same_bytes(made, killed):
    copy = killed[0]
    done = copy.snakemake("--cores", "2", *copy.tiny(*TARGETS))
    assert done.returncode == 0, done.stdout
    patterns = ("activations/truong2025/mnist/as/**/*.nc", "metrics/**/*.nc", "figures/**/*")
    files = copy.files(*patterns)
    assert {name.rpartition(".")[2] for name in files} == {"nc", "csv", "pdf", "png"}
    expected = made[0].files(*patterns)
    assert files.keys() == expected.keys()
    assert [name for name in files if files[name] != expected[name]] == []


def test_a_damaged_input_is_named_and_nothing_is_written(made, tmp_path):
    copy = made[0].clone(tmp_path)
    root = copy.folder / "results" / "tiny"
    dump = root / "activations/truong2025/mnist/ws/0.5/seed1.nc"
    dump.write_bytes(dump.read_bytes()[: dump.stat().st_size // 2])
    target = "metrics/truong2025/mnist/morans_i"
    done = copy.snakemake("--cores", "1", *copy.tiny(f"results/tiny/{target}.nc"))
    assert done.returncode != 0
    assert "error: results/tiny/activations/truong2025/mnist/ws/0.5/seed1.nc: cannot be read as netCDF" in done.stdout
    assert "Traceback (most recent call last)" not in done.stdout
    assert copy.files(f"{target}*", "metrics/truong2025/mnist/.*") == {}


def test_the_report_shows_each_figure_with_its_caption(made):
    copy, _ = made
    done = copy.snakemake("--report", "report.html", *copy.tiny(*TARGETS))
    assert done.returncode == 0, done.stdout
    page = (copy.folder / "report.html").read_text(encoding="utf-8")
    captions = [copy.folder / "workflow" / "report" / f"{name}.rst" for name in FIGURES]
    for caption in captions:
        title = caption.read_text(encoding="utf-8").split("**")[1]
        assert f"{caption.stem}.pdf" in page
        assert title.replace("\n", " ").replace("&", "&amp;").replace("'", "&#x27;") in page.replace(r"\n", " "), title
