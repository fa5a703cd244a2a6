"""The file of claims: what it covers, what is refused when the Snakefile is read, and what the rules get."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from toporep.claims.entries import Selector, leaves_of, load_claims
from toporep.config import load_config, read_yaml
from toporep.errors import TopoRepError
from toporep.workflow import Workflow

REPOSITORY = Path(__file__).resolve().parent.parent
CONFIG = REPOSITORY / "config"
FILE = CONFIG / "claims" / "truong2025.yaml"
MAIN = read_yaml(CONFIG / "config.yaml")
PAPER = load_config(MAIN, CONFIG).papers["truong2025"]

SMALL = {
    "paper": "truong2025",
    "families": {"as": "AS as defined", "as_reshaped": "AS reshaped"},
    "sources": {"mnist": "mnist", "cifar10": "cifar10"},
    "strengths": [0.1, 1],
    "claims": {
        "C1": {
            "claim": "AS is more accurate than the control.",
            "place": "3.1, Figure 2",
            "published": "more",
            "chance": 0,
            "datasets": ["mnist"],
            "test": {
                "greater": {
                    "of": {"value": "calibration.accuracy", "condition": "{as}"},
                    "than": {"condition": "control"},
                }
            },
        }
    },
}  # fmt: skip
NUMBER = {"value": "calibration.accuracy", "condition": "control"}


def changed(place: str, value: object) -> dict:
    """The small file with one value put in, or taken out (None)."""
    content = copy.deepcopy(SMALL)
    below = content
    *path, last = place.split(".")
    for key in path:
        below = below[key]
    if value is None:
        del below[last]
    else:
        below[last] = value
    return content


@pytest.fixture
def load(tmp_path):
    def load(content: dict):
        path = tmp_path / "truong2025.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return load_claims(path, PAPER, CONFIG / "schemas" / "claims.yaml")

    return load


def test_every_statement_of_the_paper_has_an_entry():
    numbers = {re.match(r"[A-Z]\d+", name).group() for name in read_yaml(FILE)["claims"]}
    # 32 statements of version 1, and the abstract of version 2.
    assert numbers == {f"C{number}" for number in range(1, 33)} | {"V2"}


def test_the_file_is_valid_and_every_claim_on_as_is_on_both_readings():
    claims = load_claims(FILE, PAPER, CONFIG / "schemas" / "claims.yaml")
    by_entry: dict[str, set] = {}
    for row in claims.rows:
        conditions = {leaf.condition for leaf in row.leaves}
        assert conditions.isdisjoint({"as", "as_reshaped"} - {row.family}), row.id
        by_entry.setdefault(row.id, set()).add(row.family)
    on_as = {name for name, entry in read_yaml(FILE)["claims"].items() if "{as}" in str(entry)}
    assert {name for name, families in by_entry.items() if {"as", "as_reshaped"} <= families} == on_as


def test_what_is_left_out_is_inherited(load):
    as_defined, reshaped = load(SMALL).rows
    assert (as_defined.family, reshaped.family) == ("as", "as_reshaped")
    of, than = as_defined.quantities["of"], as_defined.quantities["than"]
    assert (of.condition, of.strength) == ("as", Selector((0.1, 1)))
    assert (than.variable, than.dataset, than.condition) == ("accuracy", "mnist", "control")
    # Without a spatial loss there is one strength, beside which every other one stands.
    assert than.strength == Selector((0,), single=True)


def test_another_variable_does_not_inherit_coordinates(load):
    test = {
        "number": {
            "of": {
                "difference": [
                    {"value": "harmonics.share", "condition": "ws", "at": {"variant": "hard", "cycle": 2}},
                    {"value": "harmonics.agreement", "at": {"variant": "hard"}},
                ]
            },
            "to": 1,
        }
    }
    (row,) = load(changed("claims.C1.test", test)).rows
    left, right = leaves_of(row.quantities["of"])
    assert (dict(left.at).keys(), dict(right.at).keys()) == ({"variant", "cycle"}, {"variant"})
    assert right.condition == "ws"


def test_each_coordinate_after_the_first_is_a_check(load):
    content = changed("claims.C1.for_each", {"mode": ["absolute", "relative"]})
    content["claims"]["C1"]["conditions"] = ["ws", "{as}"]
    at = {"mode": "{mode}", "level": "all"}
    of = {"value": "weight_noise.accuracy", "condition": "{condition}", "at": at}
    content["claims"]["C1"]["test"] = {"trend": {"of": of, "direction": "rises"}}
    rows = load(content).rows
    assert [(row.condition, row.family, row.variant, row.primary) for row in rows] == [
        ("ws", None, "mode=absolute", True),
        ("ws", None, "mode=relative", False),
        ("as", "as", "mode=absolute", True),
        ("as_reshaped", "as_reshaped", "mode=absolute", True),
        ("as", "as", "mode=relative", False),
        ("as_reshaped", "as_reshaped", "mode=relative", False),
    ]


OF = "claims.C1.test.greater.of"


@pytest.mark.parametrize(
    ("place", "value", "line"),
    [
        (f"{OF}.value", "calibraton.accuracy", "C1.test.greater.of.value: unknown analysis 'calibraton'; did you mean"),
        (f"{OF}.value", "calibration.acuracy", "C1.test.greater.of.value: unknown variable 'acuracy' of calibration;"),
        (f"{OF}.condition", "wss", "C1.test.greater.of.condition: unknown condition 'wss'; did you mean 'ws'?"),
        (f"{OF}.condition", "{ass}", "C1.{ass}: stands for nothing here; known: dataset, condition, as"),
        ("claims.C1.datasets", ["mnst"], "C1.test.greater.of.dataset: unknown dataset 'mnst'; did you mean 'mnist'?"),
        (f"{OF}.at", {"treshold": 1}, "C1.test.greater.of.at.treshold: unknown coordinate of 'accuracy'"),
        (f"{OF}.value", "colocalization.distance", "C1.test.greater.of.at: missing: threshold of 'distance'"),
        (f"{OF}.value", None, "C1.test.greater.of: missing: value"),
        (f"{OF}.strength", {"median": "all"}, "C1.test.greater.of.strength: expected one of mean, sum, min, max,"),
        (f"{OF}.strength", {"mean": 1}, "C1.test.greater.of.strength: mean needs several places"),
        (f"{OF}.stength", 1, "C1.test.greater.of.stength: unknown key; did you mean 'strength'?"),
        ("claims.C1.test.greater.than", None, "C1.test.greater: missing: than"),
        ("claims.C1.test.greater.by", "2", "C1.test.greater.by: '2' is text, not a number"),
        ("claims.C1.test", {"number": {"of": NUMBER, "equals": 1}}, "C1.test.number: expected as bounds"),
        ("claims.C1.test", {"sign": {"of": NUMBER}}, "C1.test.sign: expected as bounds above or below; found none"),
        ("claims.C1.test", {}, "C1.test: expected one of number, greater, sign, trend, shape, function, table, found"),
        (
            "claims.C1.test",
            {"trend": {"of": NUMBER, "direction": "rises"}},
            "C1.test.trend.along: calibration.accuracy has no points along 'strength'",
        ),
        (
            "claims.C1.test",
            {"trend": {"of": {**NUMBER, "condition": "ws"}, "direction": "up"}},
            "C1.test.trend.direction: 'up' is not a known value",
        ),
        (
            "claims.C1.test",
            {"function": {"name": "accuracy_at_drops", "of": {"term": NUMBER}, "above": 1}},
            "C1.test.function.name: unknown function 'accuracy_at_drops'; did you mean 'accuracy_at_drop'?",
        ),
        (
            "claims.C1.test",
            {"function": {"name": "accuracy_at_drop", "of": {"term": NUMBER}, "above": 1}},
            "C1.test.function.of: accuracy_at_drop takes term, accuracy, found term",
        ),
        ("claims.C1.chance", None, "C1: missing: chance"),
        ("claims.C1.null", "0", "C1.null: unknown key"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_its_place(load, place, value, line):
    with pytest.raises(TopoRepError) as caught:
        load(changed(place, value))
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert f"truong2025.yaml: claims.{line}" in message


def test_mistakes_at_the_top_are_told_too(load):
    with pytest.raises(TopoRepError, match="families: unknown condition 'ass'; did you mean 'as'"):
        load(changed("families", {"ass": "AS"}))
    with pytest.raises(TopoRepError, match="paper: expected 'truong2025', found 'sander2026'"):
        load(changed("paper", "sander2026"))


def test_snakemake_refuses_a_mistaken_claim_when_it_reads_the_rules(tmp_path):
    workflow = Workflow.from_config(MAIN, REPOSITORY)
    workflow.check_claims()
    (tmp_path / "config" / "claims").mkdir(parents=True)
    for name in ("schemas", "papers", "published", "catalog.yaml"):
        (tmp_path / "config" / name).symlink_to(CONFIG / name)
    (tmp_path / "config" / "claims" / "truong2025.yaml").write_text(
        yaml.safe_dump(changed(f"{OF}.condition", "wss")), encoding="utf-8"
    )
    with pytest.raises(TopoRepError, match="unknown condition 'wss'"):
        Workflow.from_config(MAIN, tmp_path).check_claims()


def test_the_rule_reads_the_metric_files_that_the_claims_name():
    workflow = Workflow.from_config(MAIN, REPOSITORY)
    inputs = workflow.claims_inputs("truong2025")
    assert inputs["mnist.colocalization_global"] == "results/metrics/truong2025/mnist/colocalization_global.nc"
    assert "cifar10.colocalization_global" not in inputs
    # Every analysis of the paper is behind a claim, on the data sets that its runs have; the atlas is across papers.
    assert {key.partition(".")[2] for key in inputs} == set(PAPER["analyses"]) - {"atlas"}
    assert workflow.claims_arguments("truong2025") == [f"{key}={path}" for key, path in inputs.items()]
    assert workflow.claims_files("truong2025") == [
        "results/claims/truong2025.csv", "results/claims/truong2025.md", "results/claims/truong2025_points.csv"
    ]  # fmt: skip


def test_a_paper_without_claims_has_no_ledger(tmp_path):
    (tmp_path / "config").mkdir()
    for name in ("schemas", "papers", "published", "catalog.yaml"):
        (tmp_path / "config" / name).symlink_to(CONFIG / name)
    workflow = Workflow.from_config(MAIN, tmp_path)
    assert (workflow.claimed_papers(), workflow.claims_files("truong2025")) == ([], [])


def test_claims_is_the_name_of_a_folder_of_results():
    with pytest.raises(TopoRepError, match="'claims' is a folder of the results"):
        load_config({**MAIN, "scale": "claims"}, CONFIG)


@pytest.mark.parametrize(("module", "unwanted"), [("entries", ("numpy", "xarray", "torch")), ("ledger", ("torch",))])
def test_reading_claims_stays_light(module, unwanted):
    code = f"import sys, toporep.claims.{module}; print([name for name in {unwanted} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY / "src")
    assert done.stdout.strip() == "[]", done.stderr
