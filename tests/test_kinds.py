"""Kinds of networks: each model is of one, and what a kind names is there."""

from __future__ import annotations

import dataclasses
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from data_files import subprocess_environment

from toporep.config import canonical_json, load_config, merge, read_yaml
from toporep.errors import TopoRepError
from toporep.evaluations import evaluations_of
from toporep.kinds import all_kinds, by_model, kind_of
from toporep.runs import run_settings, run_table
from toporep.schemas import SCHEMAS
from toporep.settings import evaluation_settings
from toporep.train.spec import PER_RUN
from toporep.workflow import Workflow

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / "config"
PAPERS = sorted(path.stem for path in (FOLDER / "papers").glob("*.yaml"))
KINDS = pytest.mark.parametrize("kind", all_kinds(), ids=lambda kind: next(iter(kind.models)))


def paper_config(name: str) -> dict:
    return read_yaml(FOLDER / "papers" / f"{name}.yaml")


@pytest.mark.parametrize("paper", PAPERS)
def test_each_model_that_a_paper_may_name_is_of_one_kind(paper):
    schema = yaml.safe_load((FOLDER / "schemas" / f"{paper}.yaml").read_text(encoding="utf-8"))
    allowed = set(models_in(schema))
    assert {dataset["model"] for dataset in paper_config(paper)["datasets"].values()} <= allowed
    for model in allowed:
        assert [model in kind.models for kind in all_kinds()].count(True) == 1, model


def models_in(schema: dict) -> list[str]:
    """What the schema of a data set takes for its model."""
    found = [schema["properties"]["datasets"], *schema.get("$defs", {}).values()]
    while not any("model" in each.get("properties", {}) and "source" in each["properties"] for each in found):
        found = [below for each in found for below in each.values() if isinstance(below, dict)]
    return next(each["properties"]["model"]["enum"] for each in found if "source" in each.get("properties", {}))


def test_every_kind_has_a_paper():
    used = {dataset["model"] for name in PAPERS for dataset in paper_config(name)["datasets"].values()}
    assert used == {model for kind in all_kinds() for model in kind.models}


@KINDS
def test_commands_and_schemas_of_a_kind_exist(kind):
    for command in (kind.train_command, *kind.evaluations.values()):
        assert importlib.util.find_spec(f"toporep.cli.{command}"), command
    assert kind.evaluations.keys() <= SCHEMAS.keys()


@KINDS
def test_the_evaluations_of_a_kind_have_resources_and_folders_of_their_own(kind):
    resources = read_yaml(FOLDER / "config.yaml")["resources"]
    assert kind.evaluations.keys() <= resources.keys()
    main = read_yaml(FOLDER / "config.yaml")
    # Responses are in a folder for each set of images.
    for scale in kind.evaluations.keys() - {"responses"}:
        with pytest.raises(TopoRepError, match=f"{scale!r} is a folder of the results"):
            load_config(merge(main, {"scale": scale}), FOLDER)


def test_an_unknown_model_is_refused_with_near_names():
    with pytest.raises(TopoRepError, match=r"no kind of network has a model 'MnistCN'; known: MnistCNN$"):
        kind_of("MnistCN")
    with pytest.raises(TopoRepError, match=r"'zzz'; known: .*CategoryNetwork.*TopographicVAE"):
        kind_of("zzz")


def test_a_model_that_a_schema_allows_and_no_kind_has_is_one_line(tmp_path):
    for folder in ("papers", "schemas"):
        (tmp_path / folder).mkdir()
        for path in (FOLDER / folder).glob("*.yaml"):
            text = path.read_text(encoding="utf-8").replace("MnistCNN", "MnistCMM")
            (tmp_path / folder / path.name).write_text(text, encoding="utf-8")
    with pytest.raises(TopoRepError) as error:
        load_config(read_yaml(FOLDER / "config.yaml"), tmp_path)
    (line,) = str(error.value).splitlines()
    assert line.endswith("datasets.mnist.model: no kind of network has a model 'MnistCMM'; known: MnistCNN")


def test_two_kinds_with_one_model_are_refused():
    cnn = kind_of("MnistCNN")
    with pytest.raises(TopoRepError, match="'MnistCNN' belongs to two kinds"):
        by_model([cnn, dataclasses.replace(cnn)])


def test_kinds_are_found_by_their_modules(tmp_path):
    """A further file is a further kind; nothing else names it."""
    made = tmp_path / "kinds"
    made.mkdir()
    kind = "Kind({'Perceptron': 1}, 'train', lambda *_: {}, {'activations': 'activations'})"
    (made / "perceptron.py").write_text(f"from toporep.kinds import Kind\n\nKIND = {kind}\n", encoding="utf-8")
    code = f"import toporep.kinds as kinds; kinds.__path__.append({str(made)!r})\n"
    code += "print(kinds.kind_of('Perceptron').train_command, len(kinds.all_kinds()))"
    assert run_python(code) == f"train {len(all_kinds()) + 1}"


def test_kinds_load_nothing_that_is_slow():
    code = "import sys, toporep.kinds as kinds; kinds.all_kinds()\n"
    code += "print(sorted({'torch', 'xarray', 'numpy', 'pandas'} & sys.modules.keys()))"
    assert run_python(code) == "[]"


def run_python(code: str) -> str:
    command = [sys.executable, "-c", code]
    environment = subprocess_environment()
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()


@pytest.fixture
def workflow() -> Workflow:
    return Workflow.from_config(read_yaml(FOLDER / "config.yaml"), REPOSITORY)


def empty(value) -> None:
    """Empty a mapping or list and all in it."""
    for below in value.values() if isinstance(value, dict) else value:
        if isinstance(below, dict | list):
            empty(below)
    value.clear()


def test_settings_of_a_run_name_its_model_and_are_its_own(workflow):
    for paper in workflow.config.papers.values():
        for run in run_table(paper)[::50]:
            settings = run_settings(workflow.config, run)
            assert settings["model"]["name"] == paper["datasets"][run.dataset]["model"]
            assert {"training", "source", *PER_RUN} <= settings.keys()
            assert settings["condition"]["name"] == run.condition
            before = canonical_json(settings)
            empty(settings)
            assert canonical_json(run_settings(workflow.config, run)) == before


def test_settings_of_an_evaluation_are_its_own(workflow):
    for paper in workflow.config.papers.values():
        for dataset, data in paper["datasets"].items():
            for evaluation in kind_of(data["model"]).evaluations:
                settings = evaluation_settings(paper, dataset, evaluation)
                before = canonical_json(settings)
                empty(settings)
                assert canonical_json(evaluation_settings(paper, dataset, evaluation)) == before


@pytest.mark.parametrize(
    ("paper", "command", "alone", "evaluations"),
    [
        (
            "truong2025",
            "train",
            False,
            {"activations": "activations", "tuning": "tuning", "image_noise": "image_noise"},
        ),
        ("sander2026", "train_embedding", True, {"activations": "embeddings", "noise_logits": "noise_logits"}),
        ("keller2021_capsules", "train_capsules", False, {"sequences": "sequences", "max_images": "max_images"}),
        ("keller2021_category", "train_category", True, {"responses_a": "responses", "responses_b": "responses"}),
    ],
)
def test_what_each_paper_of_ours_is_trained_and_evaluated_by(workflow, paper, command, alone, evaluations):
    (kind,) = {id(kind): kind for kind in map(workflow.kind_of, run_table(workflow.config.papers[paper]))}.values()
    assert (kind.train_command, kind.alone) == (command, alone)
    assert evaluations_of(kind, ["a", "b"]) == evaluations


def test_runs_of_one_stack_are_told_apart_by_the_shape_of_topographic_vaes_alone(workflow):
    def shapes(paper: str) -> set[str]:
        runs = run_table(workflow.config.papers[paper], seeds=[0])
        conditions = {run: run_settings(workflow.config, run)["condition"] for run in runs}
        return {repr(workflow.kind_of(run).stack_shape(condition)) for run, condition in conditions.items()}

    assert shapes("truong2025") == {"None"}
    assert len(shapes("keller2021_capsules")) > 1


@pytest.mark.parametrize(
    ("paper", "change", "line"),
    [
        ("truong2025", {"datasets": {"mnist": {"eval_norm": "mismatched"}}}, "datasets.mnist.eval_norm: 'mismatched' "),
        ("sander2026", {"objectives": {"simclr": {"views": 1}}}, "objectives.simclr.views: simclr compares 2 view(s)"),
        ("keller2021_capsules", {"datasets": {"mnist": {"frames": 7}}}, "datasets.mnist.frames: sequences of kind 'si"),
        ("keller2021_category", {"conditions": {"vae": {"spatial_weight": 1}}}, "conditions.vae.spatial_weight: model"),
    ],
)
def test_a_paper_is_checked_by_the_kinds_that_it_has(paper, change, line):
    main = merge(read_yaml(FOLDER / "config.yaml"), {"overrides": {paper: change}})
    with pytest.raises(TopoRepError) as error:
        load_config(main, FOLDER)
    assert any(
        found.startswith(f"main configuration: overrides.{paper}.{line}") for found in str(error.value).splitlines()
    )
