"""docs/adding-a-paper.md is true: its example, laid over a copy of the repository, makes its figures and ledger."""

from __future__ import annotations

import csv
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr
from workflow_copies import REPOSITORY, Copy, environment

pytestmark = pytest.mark.xdist_group("adding_a_paper")

DOCUMENT = REPOSITORY / "docs" / "adding-a-paper.md"
EXAMPLE = REPOSITORY / "docs" / "examples" / "kohonen1982"
PATCH = EXAMPLE / "edits.patch"
FILES = sorted(
    path.relative_to(EXAMPLE) for path in EXAMPLE.rglob("*") if path.is_file() and "__pycache__" not in str(path)
)
DEMO = ("--configfile", "config/demo.yaml", "--config", "papers=[kohonen1982]")
SEEDS, WIDTHS, CONTROLS = 3, (0.5, 1.0), ("untrained", "winner_alone")
# Mean distance of two units of the sheet of 11 × 11.
CHANCE_DISTANCE = 5.7585
# Of papers that were there before.
COMMANDS = (
    "train",
    "train_embedding",
    "train_capsules",
    "train_category",
    "activations",
    "analyze",
    "figure",
    "claims",
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Copy, str]:
    """The repository without the example, and hashes of its code."""
    copy = Copy.make(tmp_path_factory.mktemp("repository"))
    return copy, code_hashes(copy.folder)


@pytest.fixture(scope="module")
def copy(plain: tuple[Copy, str]) -> Copy:
    """The repository with the example, as the document's first two commands make it."""
    copy, _ = plain
    for name in FILES:
        if name != PATCH.relative_to(EXAMPLE):
            (copy.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(EXAMPLE / name, copy.folder / name)
    # Git would leave out files below a folder of a repository that lies above.
    alone = {**os.environ, "GIT_CEILING_DIRECTORIES": str(copy.folder.parent)}
    applied = subprocess.run(
        ["git", "apply", str(PATCH)], cwd=copy.folder, env=alone, capture_output=True, text=True, check=False
    )
    assert applied.returncode == 0, f"edits.patch no longer fits; make it again:\n{applied.stderr}"
    return copy


@pytest.fixture(scope="module")
def results(copy: Copy) -> Path:
    """The results of the example's demo."""
    done = copy.snakemake("--cores", "2", *DEMO, "--", "kohonen1982", "results/demo/figures/figK2_colocalization.pdf")
    assert done.returncode == 0, done.stdout
    return copy.folder / "results" / "demo"


def means(results: Path, analysis: str, variable: str) -> pd.Series:
    """Means over seeds, by condition, strength and what else the variable has."""
    dataset = xr.load_dataset(results / "metrics" / "kohonen1982" / "mnist" / f"{analysis}_summary.nc")
    assert (dataset["n"] == SEEDS).all()
    found = dataset[f"{variable}_mean"].to_dataframe().reset_index()
    index = ["condition", "strength", *(["threshold"] if "threshold" in found else [])]
    return found.set_index(index)[f"{variable}_mean"]


def test_a_trained_map_is_smooth_and_its_controls_are_not(results):
    found = means(results, "morans_i", "morans_i")
    for control in CONTROLS:
        assert found[control, 0] == pytest.approx(-1 / 120, abs=0.05)
    for width in WIDTHS:
        assert 0.7 < found["som", width] < 0.95


def test_units_that_respond_alike_lie_near_each_other_in_a_trained_map_alone(results):
    found = means(results, "colocalization", "distance")
    for control in CONTROLS:
        assert found[control, 0, 0.5] == pytest.approx(CHANCE_DISTANCE, abs=0.15)
    for width in WIDTHS:
        assert found["som", width, 0.7] < found["som", width, 0.5] < CHANCE_DISTANCE - 1.3


def test_the_topographic_error_of_a_trained_map_is_small_and_that_of_its_controls_is_chance(results):
    found = means(results, "topographic_error", "topographic_error")
    for control in CONTROLS:
        assert found[control, 0] == pytest.approx(1 - 840 / (121 * 120), abs=0.04)
    assert found["som", 1] < found["som", 0.5] < 0.1


def test_the_control_learns_more_of_the_images_than_the_map_but_no_order(results):
    errors = {}
    for path in (results / "runs" / "kohonen1982").rglob("history.csv"):
        condition, strength = path.parts[-4:-2]
        last = list(csv.DictReader(path.open(encoding="utf-8")))[-1]
        errors.setdefault((condition, float(strength)), []).append(float(last["quantization_error"]))
    assert all(len(values) == SEEDS for values in errors.values())
    mean = {point: sum(values) / SEEDS for point, values in errors.items()}
    assert mean["winner_alone", 0] < mean["som", 0.5] < mean["som", 1] < mean["untrained", 0] + 0.05


def test_what_was_there_before_measures_it_as_it_is(copy, results):
    analyses = ("accuracy", "correlations", "dimensionality", "training_curves")
    files = [f"results/demo/metrics/kohonen1982/mnist/{name}_summary.nc" for name in analyses]
    atlas = [
        f"results/demo/{name}" for name in ("figures/comparison/figX_atlas.pdf", "tables/comparison/table_atlas.csv")
    ]
    done = copy.snakemake("--cores", "2", *DEMO, "--", *files, *atlas)
    assert done.returncode == 0, done.stdout
    accuracy = means(results, "accuracy", "accuracy")
    assert 0.85 < accuracy["untrained", 0] < accuracy["som", 0.5] < accuracy["winner_alone", 0] < 1
    # Neighbors that are alike have fewer dimensions among them.
    table = pd.read_csv(copy.folder / atlas[1])
    assert set(table["paper"]) == {"kohonen1982"}
    dimensions = table[table["metric"] == "dimensionality"].set_index(["condition", "strength"])["mean"]
    assert dimensions["som", 1] < dimensions["som", 0.5] < dimensions["untrained", 0]


def test_the_ledger_finds_all_claims_and_reproduces_nothing(results):
    rows = pd.read_csv(results / "claims" / "kohonen1982.csv")
    assert rows["verdict"].tolist() == ["same direction"] * len(rows)
    assert len(rows) == 4


def test_the_table_of_the_colocalization_figure_has_every_point_beside_its_null(results):
    table = pd.read_csv(results / "figures" / "kohonen1982" / "figK2_colocalization.csv")
    assert table.groupby("quantity").size().to_dict() == {"distance": 16, "morans_i": 4, "topographic_error": 4}
    assert (table["n_seeds"] == SEEDS).all()
    distance = table[(table["quantity"] == "distance") & (table["threshold"] == 0.5)].set_index("condition")
    assert (distance["null_low"] < CHANCE_DISTANCE).all()
    assert (distance["null_high"] > CHANCE_DISTANCE).all()
    assert (distance.loc["som", "mean"] < distance.loc["som", "null_low"] - 1).all()
    assert (results / "figures" / "figK2_colocalization.pdf").read_bytes().startswith(b"%PDF")


def test_the_figure_of_weight_vectors_shows_one_map_of_each_kind_in_pixel_values(results):
    table = pd.read_csv(results / "figures" / "kohonen1982" / "figK1_weight_vectors.csv")
    assert table.groupby(["condition", "strength", "seed"]).size().to_dict() == {
        ("som", 1.0, 0): 121 * 14 * 14,
        ("untrained", 0.0, 0): 121 * 14 * 14,
        ("winner_alone", 0.0, 0): 121 * 14 * 14,
    }
    # Before training each unit has one of the images, and after it means of images.
    assert table["value"].between(-1e-5, 1 + 1e-5).all()
    # Neighbors' images differ less in the map than in the same images in random places.
    images = {name: of["value"].to_numpy().reshape(11, 11, -1) for name, of in table.groupby("condition")}
    steps = {name: ((of[:, 1:] - of[:, :-1]) ** 2).mean() for name, of in images.items()}
    assert steps["som"] < 0.1 * steps["untrained"]
    assert math.isclose(steps["winner_alone"], steps["untrained"], rel_tol=0.5)


def test_a_second_command_makes_nothing_again(copy, results):
    assert results.is_dir()
    assert copy.planned(*DEMO, "--", "kohonen1982") == set()


def test_the_example_passes_its_own_tests_and_those_of_the_documents(copy):
    # Of the documents' tests those that know what a paper must have there.
    wanted = "kohonen or readme_lists or data_dictionary or decisions or deviation_is_whole"
    wanted += " or (relative_links and adding)"
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", wanted]
        + ["tests/test_kohonen1982.py", "tests/test_docs.py"],
        cwd=copy.folder,
        env={**environment(), "PYTHONPATH": str(copy.folder / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert int(re.search(r"(\d+) passed", ended.stdout)[1]) > 50


def test_a_further_paper_outdates_nothing_of_the_others(plain, copy):
    assert code_hashes(copy.folder) == plain[1]


def code_hashes(folder: Path) -> str:
    """Hashes of the code behind the commands of the papers that were there before."""
    modules = [f"toporep.cli.{name}" for name in COMMANDS] + ["toporep.analyses.morans_i", "toporep.figures.style"]
    program = f"from toporep.codehash import code_hash\nprint([code_hash(name) for name in {modules}])"
    environ = {**environment(), "PYTHONPATH": str(folder / "src")}
    return subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True
    ).stdout


def test_the_document_names_every_file_of_the_example_and_every_file_that_it_edits():
    text = DOCUMENT.read_text(encoding="utf-8")
    edited = re.findall(r"^\+\+\+ b/(.*)$", PATCH.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(edited) == 8
    missing = [str(name) for name in [*FILES, *edited] if f"`{name}`" not in text and f"/{name})" not in text]
    assert missing == []


def test_the_edits_that_the_document_shows_are_those_of_the_patch():
    patch = PATCH.read_text(encoding="utf-8")
    blocks = re.findall(r"^```diff\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 2
    assert [block for block in blocks if block not in patch] == []


def test_the_document_shows_the_example_as_it_is():
    """Each block of Python or YAML is in one of the example's files, word for word."""
    contents = "\n".join((EXAMPLE / name).read_text(encoding="utf-8") for name in FILES if name.suffix != ".png")
    shown = re.findall(
        r"^```(?:python|yaml)\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert len(shown) >= 6
    assert [block for block in shown if block not in contents] == []
