from __future__ import annotations

import ast
import copy
import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from toporep.config import MAIN, canonical_json, load_config, merge, read_yaml, sha256_json
from toporep.errors import TopoRepError

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / "config"
PAPER_FILE = FOLDER / "papers" / "truong2025.yaml"


def main_config(size: str = "paper", /, **changes) -> dict:
    main = read_yaml(FOLDER / "config.yaml")
    if size != "paper":
        main = merge(main, read_yaml(FOLDER / f"{size}.yaml"))
    return {**main, **changes}


def overridden(**paper) -> dict:
    return main_config(overrides={"truong2025": paper})


def mistakes(main: dict, folder: Path = FOLDER) -> list[str]:
    with pytest.raises(TopoRepError) as caught:
        load_config(main, folder)
    return str(caught.value).splitlines()


@pytest.fixture
def folder(tmp_path):
    """A copy of the papers' files and the schemas that a test may write into."""
    shutil.copytree(FOLDER / "papers", tmp_path / "papers")
    (tmp_path / "schemas").symlink_to(FOLDER / "schemas")
    return tmp_path


def test_paper_scale_is_what_the_paper_says():
    paper = load_config(main_config(), FOLDER).papers["truong2025"]
    mnist, cifar10 = paper["datasets"]["mnist"], paper["datasets"]["cifar10"]
    assert paper["grid"][0] * paper["grid"][1] == 121
    assert len(paper["seeds"]) == 10
    assert (mnist["epochs"], cifar10["epochs"]) == (15, 30)
    assert (mnist["dropout"], cifar10["dropout"]) == (0.5, 0.3)
    assert mnist["learning_rate"] == cifar10["learning_rate"] == 0.001
    assert paper["conditions"]["ws"]["strengths"] == [0.1, 0.3, 0.5, 1, 2, 3]
    assert paper["conditions"]["ws"]["options"]["metric"] == "euclidean"
    assert paper["analyses"]["colocalization"]["settings"]["thresholds"] == [0.1, 0.3, 0.5, 0.6, 0.7, 0.8]


def test_batches_per_epoch_of_the_published_split():
    datasets = load_config(main_config(), FOLDER).papers["truong2025"]["datasets"]
    batches = [
        images * datasets[name]["train_fraction"] / 64 for name, images in (("mnist", 60000), ("cifar10", 50000))
    ]
    assert batches == [750, 625]


@pytest.mark.parametrize("scale", ["reduced", "demo"])
def test_smaller_scales_keep_the_design_and_have_their_own_results(scale):
    full, small = load_config(main_config(), FOLDER), load_config(main_config(scale), FOLDER)
    assert (full.root, small.root) == ("results", f"results/{scale}")
    full, small = full.papers["truong2025"], small.papers["truong2025"]
    assert small["conditions"].keys() == full["conditions"].keys()
    for name, condition in small["conditions"].items():
        assert set(condition["strengths"]) <= set(full["conditions"][name]["strengths"])
        assert {**condition, "strengths": None} == {**full["conditions"][name], "strengths": None}
    for name, dataset in small["datasets"].items():
        assert set(dataset["seeds"]) < set(full["seeds"])
        assert dataset["epochs"] <= full["datasets"][name]["epochs"]
        assert dataset["dropout"] == full["datasets"][name]["dropout"]


def test_sources_real_at_reduced_scale_and_embedded_in_the_demo():
    def sources(scale):
        datasets = load_config(main_config(scale), FOLDER).papers["truong2025"]["datasets"]
        return [datasets[name]["source"] for name in ("mnist", "cifar10")]

    assert sources("reduced") == ["mnist", "cifar10"]
    assert sources("demo") == ["digits", "objects"]


@pytest.mark.parametrize(("source", "channels"), [("mnist", 1), ("digits", 1), ("cifar10", 3), ("objects", 3)])
def test_each_source_fits_the_model_with_its_channels(source, channels):
    registered = read_yaml(FOLDER / "datasets.yaml")["sources"][source]
    assert registered.get("image_shape", [channels])[-1] == channels
    fitting, other = ("mnist", "cifar10") if channels == 1 else ("cifar10", "mnist")
    assert load_config(overridden(datasets={fitting: {"source": source}}), FOLDER)
    (line,) = mistakes(overridden(datasets={other: {"source": source}}))
    assert f"{source!r} has images of {channels} channel(s)" in line


def test_merge_agrees_with_snakemake():
    snakemake = pytest.importorskip("snakemake.utils")
    theirs, demo = main_config(), main_config("demo")
    snakemake.update_config(theirs, read_yaml(FOLDER / "demo.yaml"))
    assert json.loads(json.dumps(theirs)) == demo


def test_merge_changes_neither_argument():
    base, over = {"a": {"b": [1], "c": 2}}, {"a": {"b": [3]}}
    before = copy.deepcopy((base, over))
    merged = merge(base, over)
    merged["a"]["b"].append(4)
    assert (base, over) == before
    assert merged == {"a": {"b": [3, 4], "c": 2}}


PLACE = f"{MAIN}: overrides.truong2025."


@pytest.mark.parametrize(
    ("override", "line"),
    [
        (
            {"datasets": {"mnist": {"learning_rate": "1e-3"}}},
            "datasets.mnist.learning_rate: '1e-3' is text, not a number; write 0.001 or 1.0e-3",
        ),
        ({"datasets": {"mnist": {"epoch": 3}}}, "datasets.mnist.epoch: unknown key; did you mean 'epochs'?"),
        ({"datasets": {"mnist": {"epochs": "4"}}}, "datasets.mnist.epochs: '4' is text, not a whole number; write 4"),
        (
            {"datasets": {"mnist": {"epochs": 4.0}}},
            "datasets.mnist.epochs: expected a whole number, found a number (4.0)",
        ),
        (
            {"datasets": {"mnist": {"epochs": True}}},
            "datasets.mnist.epochs: expected a whole number, found true or false (true)",
        ),
        ({"datasets": {"mnist": {"epochs": 0}}}, "datasets.mnist.epochs: 0 must be at least 1"),
        ({"datasets": {"mnist": {"dropout": 1}}}, "datasets.mnist.dropout: 1 must be less than 1"),
        ({"datasets": {"mnist": {"learning_rate": 0}}}, "datasets.mnist.learning_rate: 0 must be greater than 0"),
        ({"datasets": {"mnist": {"dropout": math.nan}}}, "datasets.mnist.dropout: nan is not a finite number"),
        (
            {"datasets": {"mnist": {"source": "mnst"}}},
            "datasets.mnist.source: 'mnst' is not a known value; did you mean 'mnist'?",
        ),
        (
            {"datasets": {"mnist": {"source": "objects"}}},
            "datasets.mnist.source: 'objects' has images of 3 channel(s), but model MnistCNN takes 1",
        ),
        (
            {"datasets": {"cifar10": {"mean": [0.5]}}},
            "datasets.cifar10.mean: expected 3 number(s), one a channel, found 1",
        ),
        (
            {"datasets": {"mnist": {"eval_norm": "mismatched"}}},
            "datasets.mnist.eval_norm: 'mismatched' needs eval_std_mismatched, which is null",
        ),
        (
            {"datasets": {"mnst": {"epochs": 3}}},
            "datasets.mnst: no such dataset; did you mean 'mnist'? (a new one needs all keys)",
        ),
        ({"datasets": {"mnist": {3: 4}}}, "datasets.mnist[3]: the key is a number, not text; put it in quotes"),
        ({"datasets": None}, "datasets: expected a mapping, found nothing"),
        ({"seeds": [0, 1, 7, 7]}, "seeds: 7 is listed more than once"),
        ({"seeds": [0, -1]}, "seeds[1]: -1 must be at least 0"),
        ({"seeds": []}, "seeds: expected at least 1 item(s), found 0"),
        ({"datasets": {"mnist": {"seeds": [3, 3]}}}, "datasets.mnist.seeds: 3 is listed more than once"),
        ({"conditions": {"ws": {"strengths": [1, 1.0]}}}, "conditions.ws.strengths: 1 is listed more than once"),
        (
            {"conditions": {"global": {"strengths": [0.1, 0.5, 3, 0.1234567]}}},
            "conditions.global.strengths[3]: 0.1234567 has more than the six digits that the name of a run keeps",
        ),
        (
            {"conditions": {"global": {"strengths": [0.1, 0.5, 3, 0]}}},
            "conditions.global.strengths[3]: 0 switches the spatial loss off; "
            "leave it to a condition with spatial_loss: none",
        ),
        (
            {"conditions": {"control": {"strengths": [0.5]}}},
            "conditions.control.strengths[0]: 0.5 has no meaning without a spatial loss; write [0]",
        ),
        (
            {"conditions": {"ws": {"spatial_loss": "weight_similarty"}}},
            "conditions.ws.spatial_loss: 'weight_similarty' is not a known value; did you mean 'weight_similarity'?",
        ),
        (
            {"conditions": {"ws": {"options": {"layout": "units"}}}},
            "conditions.ws.options.layout: unknown key (known: metric)",
        ),
        (
            {"conditions": {"control": {"options": {"metric": "cosine"}}}},
            "conditions.control.options.metric: unknown key (known: none)",
        ),
        (
            {"conditions": {"ws": {"options": {"metric": "euclidian"}}}},
            "conditions.ws.options.metric: 'euclidian' is not a known value; did you mean 'euclidean'?",
        ),
        (
            {"conditions": {"global": {"datasets": ["mnist", "cifar"]}}},
            "conditions.global.datasets: unknown dataset 'cifar'; did you mean 'cifar10'?",
        ),
        (
            {"analyses": {"morans_i": {"conditions": ["wss"]}}},
            "analyses.morans_i.conditions: unknown condition 'wss'; did you mean 'ws'?",
        ),
        (
            {"analyses": {"moransi": {"conditions": ["ws"]}}},
            "analyses.moransi: unknown key; did you mean 'morans_i'?",
        ),
        (
            {"figures": {"fig7_activation_maps": {"models": 11}}},
            "figures.fig7_activation_maps.models: 11 networks wanted, but dataset 'mnist' has 10 seed(s)",
        ),
        (
            {"figures": {"fig7_activation_maps": {"dataset": "cifar10", "conditions": ["global"]}}},
            "figures.fig7_activation_maps.conditions: condition 'global' has no runs on dataset 'cifar10'",
        ),
        (
            {"figures": {"fig7_activation_maps": {"conditions": ["ws"], "strengths": [0.2]}}},
            "figures.fig7_activation_maps.strengths: 0.2 is not a strength of condition 'ws'",
        ),
    ],
    ids=lambda value: value.split(":")[0] if isinstance(value, str) else "",
)
def test_a_mistake_in_the_overrides_is_one_line(override, line):
    assert mistakes(overridden(**override)) == [PLACE + line]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"papers": ["truong2024"]}, "papers[0]: unknown paper 'truong2024'; did you mean 'truong2025'?"),
        ({"papers": []}, "papers: expected at least 1 item(s), found 0"),
        (
            {"overrides": {"trung2025": {}}},
            "overrides.trung2025: unknown paper 'trung2025'; did you mean 'truong2025'?",
        ),
        ({"overrides": {"truong2025": None}}, "overrides.truong2025: expected a mapping, found nothing"),
        ({"stack_sizes": 3}, "stack_sizes: unknown key; did you mean 'stack_size'?"),
        ({"stack_size": 0}, "stack_size: 0 must be at least 1"),
        ({"dump_size": "ten"}, "dump_size: 'ten' is text, not a whole number"),
        ({"scale": 3}, "scale: expected text, found a number (3)"),
    ],
    ids=lambda value: value.split(":")[0] if isinstance(value, str) else "",
)
def test_a_mistake_in_the_main_configuration_is_one_line(changes, line):
    assert mistakes(main_config(**changes)) == [f"{MAIN}: {line}"]


@pytest.mark.parametrize("scale", ["runs", "figures", "published"])
def test_a_scale_may_not_write_into_the_results_of_another(scale):
    (line,) = mistakes(main_config(scale=scale))
    assert line.startswith(f"{MAIN}: scale: {scale!r} is a folder of the results")


@pytest.mark.parametrize("scale", ["demo", "reduced", "rendered"])
def test_a_scale_of_which_only_the_name_is_given_is_refused(scale):
    """The paper's settings would fill the folder of another scale."""
    (line,) = mistakes(main_config(scale=scale))
    assert line.startswith(f"{MAIN}: scale: the settings of {scale!r} are not there; give --configfile")


@pytest.mark.parametrize("text, value", [("true", True), ("false", False)])
def test_truth_may_be_written_as_in_yaml_on_the_command_line(text, value):
    assert load_config(main_config(mix_conditions=text), FOLDER).main["mix_conditions"] is value


@pytest.mark.parametrize("scale", ["../paper", "a/b", "Paper", ""])
def test_a_scale_is_one_plain_folder_name(scale):
    (line,) = mistakes(main_config(scale=scale))
    assert line.startswith(f"{MAIN}: scale: {scale!r} is no valid name")


def test_all_mistakes_are_told_at_once():
    main = overridden(seeds=[1, 1], datasets={"mnist": {"epochs": 0, "dropouts": 0.2}})
    assert mistakes(main) == [
        f"{PLACE}datasets.mnist.dropouts: unknown key; did you mean 'dropout'?",
        f"{PLACE}datasets.mnist.epochs: 0 must be at least 1",
        f"{PLACE}seeds: 1 is listed more than once",
    ]


def test_a_mistake_in_the_file_of_the_paper_names_the_file(folder):
    file = folder / "papers" / "truong2025.yaml"
    file.write_text(file.read_text().replace("learning_rate: 0.001", "learning_rate: 1e-3", 1))
    assert mistakes(main_config(), folder) == [
        f"{file}: datasets.mnist.learning_rate: '1e-3' is text, not a number; write 0.001 or 1.0e-3"
    ]


def test_a_missing_key_names_the_file_even_where_overrides_touch_the_same_entry(folder):
    file = folder / "papers" / "truong2025.yaml"
    file.write_text(re.sub(r"    batch_size:.*\n", "", file.read_text(), count=1))
    main = overridden(datasets={"mnist": {"epochs": 3}})
    assert mistakes(main, folder) == [f"{file}: datasets.mnist: missing: batch_size"]


def test_a_key_written_twice_is_refused(folder):
    file = folder / "papers" / "truong2025.yaml"
    file.write_text(file.read_text().replace("    epochs: 15", "    epochs: 15\n    epochs: 16", 1))
    (line,) = mistakes(main_config(), folder)
    number = file.read_text().splitlines().index("    epochs: 16  # paper 2.2 (code: 10), D3") + 1
    assert line == f"{file}, line {number}: not valid YAML: key 'epochs' is written twice"


def test_broken_yaml_is_one_line(folder):
    file = folder / "papers" / "truong2025.yaml"
    file.write_text("paper: [truong2025\ntitle: x\n")
    (line,) = mistakes(main_config(), folder)
    assert line.startswith(f"{file}, line 2: not valid YAML: ")


@given(
    st.decimals(min_value="1e-12", max_value="1e12", allow_nan=False), st.sampled_from(["{:e}", "{:E}", "{:f}", "{}"])
)
@settings(max_examples=30, deadline=None)
def test_the_spellings_proposed_for_a_number_are_read_as_that_number(number, form):
    (line,) = mistakes(overridden(datasets={"mnist": {"eps": form.format(number)}}))
    for spelling in line.rpartition("; write ")[2].split(" or "):
        value = yaml.safe_load(spelling)
        assert isinstance(value, (int, float))
        assert value == pytest.approx(float(form.format(number)), rel=1e-12)


def leaves(node: yaml.Node, path: tuple = ()):
    """Scalars and lists of a YAML document, with the line on which each ends."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from leaves(value, (*path, key.value))
    else:
        last_column = node.end_mark.column
        yield path, node.end_mark.line if last_column else node.end_mark.line - 1


def test_every_hyperparameter_says_where_it_comes_from():
    text = PAPER_FILE.read_text(encoding="utf-8")
    lines = text.splitlines()
    names = {"paper", "title", "citation", "label"}
    found = [(path, line) for path, line in leaves(yaml.compose(text)) if path[-1] not in names]
    source = re.compile(r"  # .*\b(paper,? (\d|A\.|Figure)|code\b|ours\b)")
    without = [".".join(path) for path, line in found if not source.search(lines[line])]
    assert without == []
    assert len(found) > 60


def test_decisions_are_numbered_as_known():
    numbers = {int(number) for number in re.findall(r"\bD(\d+)\b", PAPER_FILE.read_text(encoding="utf-8"))}
    assert {1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 13, 24, 25} <= numbers
    assert max(numbers) <= 36


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(json_values)
@settings(max_examples=50, deadline=None)
def test_canonical_json_keeps_the_value_and_is_stable(value):
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


def test_canonical_json_is_the_same_for_equal_values():
    assert (
        canonical_json({"b": 1.0, "a": (2, 0.1)}) == canonical_json({"a": [2.0, 0.1], "b": 1}) == '{"a":[2,0.1],"b":1}'
    )
    assert canonical_json([-0.0, 0.0, 0]) == "[0,0,0]"
    assert canonical_json([True, 1]) != canonical_json([1, True])
    assert canonical_json("1") != canonical_json(1)


def test_sha256_of_the_canonical_form():
    # sha256 of the two bytes "{}", as `printf '{}' | sha256sum` gives it.
    assert sha256_json({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize("value", [math.nan, math.inf, {1: 2}, {"a": {2}}, object()])
def test_canonical_json_refuses_what_has_no_one_form(value):
    with pytest.raises(TopoRepError, match="canonical JSON"):
        canonical_json(value)


def test_modules_of_the_snakefile_import_nothing_heavy():
    code = (
        "import sys, toporep.config, toporep.runs, toporep.catalog;"
        "print([m for m in ('torch', 'numpy', 'pandas', 'xarray', 'jsonschema') if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(REPOSITORY / "src")},
    )
    assert ast.literal_eval(answer.stdout) == []
