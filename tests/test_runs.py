from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toporep.config import Config, canonical_json, load_config, merge, read_yaml, sha256_json
from toporep.errors import TopoRepError
from toporep.runs import Paths, Run, group_runs, run_settings, run_table
from toporep.settings import evaluation_settings

FOLDER = Path(__file__).resolve().parent.parent / "config"


def config(scale: str = "paper", **overrides) -> Config:
    main = read_yaml(FOLDER / "config.yaml")
    if scale != "paper":
        main = merge(main, read_yaml(FOLDER / f"{scale}.yaml"))
    return load_config(merge(main, {"overrides": {"truong2025": overrides}}), FOLDER)


@pytest.fixture(scope="module")
def paper():
    return config().papers["truong2025"]


@pytest.fixture(scope="module")
def table(paper):
    return run_table(paper)


def test_figure_6_at_paper_scale_takes_380_networks(paper):
    # 10 seeds x 2 datasets x (control + 3 spatial losses x 6 strengths).
    assert len(run_table(paper, conditions=paper["analyses"]["colocalization"]["conditions"])) == 10 * 2 * (1 + 3 * 6)


def test_the_published_networks_are_260_and_60_with_the_global_loss(paper):
    assert len(run_table(paper, conditions=["control", "ws", "as"])) == 260
    with_global = run_table(paper, conditions=["global"])
    assert len(with_global) == 60
    assert {run.dataset for run in with_global} == {"mnist"}
    assert len(run_table(paper)) == 440


def test_seeds_of_a_dataset_replace_those_of_the_paper():
    demo = run_table(config("demo").papers["truong2025"])
    seeds = {dataset: {run.seed for run in demo if run.dataset == dataset} for dataset in ("mnist", "cifar10")}
    assert seeds == {"mnist": {0, 1}, "cifar10": {0}}


def test_runs_ids_and_files_are_distinct(table):
    paths = Paths("results")
    for name in (str, paths.weights, paths.history, paths.provenance, paths.state_dir, paths.activations):
        assert len({name(run) for run in table}) == len(table)


def test_an_id_reads_back_as_its_run(table):
    assert [Run.parse(run.id) for run in table] == table


@given(
    st.floats(min_value=0, max_value=1e6).map(lambda x: float(f"{x:g}")),
    st.integers(min_value=0, max_value=2**32 - 1),
)
def test_any_strength_and_seed_survive_the_id(strength, seed):
    run = Run("truong2025", "mnist", "ws", strength, seed)
    assert Run.parse(run.id) == run


def test_strength_is_written_short():
    assert Run("truong2025", "mnist", "ws", 0.5, 3).id == "truong2025/mnist/ws/0.5/seed3"
    assert Run("truong2025", "mnist", "control", 0, 0).id == "truong2025/mnist/control/0/seed0"
    assert Run("p", "d", "c", 1, 0) == Run("p", "d", "c", 1.0, 0)


@pytest.mark.parametrize(
    "text",
    [
        "truong2025/mnist/ws/0.50/seed3",
        "truong2025/mnist/ws/0.5/seed03",
        "truong2025/mnist/ws/1.2.3/seed3",
        "truong2025/mnist/ws/0.5/3",
        "truong2025/mnist/ws/0.5/seed3/weights",
        "truong2025/mnist/../0.5/seed3",
        "truong2025/mnist/ws/nan/seed3",
        "",
    ],
)
def test_another_spelling_is_no_id(text):
    with pytest.raises(TopoRepError, match="is not the id of a run"):
        Run.parse(text)


def test_a_near_spelling_is_proposed():
    with pytest.raises(TopoRepError, match="did you mean 'truong2025/mnist/ws/0.5/seed3'"):
        Run.parse("truong2025/mnist/ws/0.50/seed3")


def test_the_table_keeps_the_order_of_the_configuration(paper, table):
    places = {
        "dataset": list(paper["datasets"]),
        "condition": list(paper["conditions"]),
    }
    keys = [
        (places["dataset"].index(r.dataset), r.seed, places["condition"].index(r.condition), r.strength) for r in table
    ]
    assert keys == sorted(keys)
    reordered = run_table(paper, conditions=["ws", "control"], datasets=["cifar10", "mnist"])
    assert reordered == [run for run in table if run.condition in ("ws", "control")]


@pytest.mark.parametrize(("argument", "name", "near"), [("conditions", "wss", "ws"), ("datasets", "cifar", "cifar10")])
def test_an_unknown_name_is_refused(paper, argument, name, near):
    with pytest.raises(TopoRepError, match=f"unknown {argument[:-1]} '{name}'; did you mean '{near}'"):
        run_table(paper, **{argument: [name]})


def test_each_run_has_settings_of_its_own():
    full = config()
    table = run_table(full.papers["truong2025"])
    assert len({sha256_json(run_settings(full, run)) for run in table}) == len(table)


def test_settings_hold_what_the_run_needs():
    found = run_settings(config(), Run("truong2025", "cifar10", "as_reshaped", 0.3, 7))
    assert found["scale"] == "paper" and found["source"] == "cifar10" and found["grid"] == [11, 11]
    assert found["model"] == {"name": "CifarCNN", "dropout": 0.3}
    assert found["training"]["epochs"] == 30 and found["training"]["batch_size"] == 64
    assert found["training"]["std"] == [0.2470, 0.2435, 0.2616]
    assert "eval_norm" not in found["training"]
    assert found["condition"]["spatial_loss"] == "activation_similarity"
    assert found["condition"]["options"]["layout"] == "reshaped"
    assert (found["strength"], found["seed"]) == (0.3, 7)


def test_mismatched_normalization_stretches_the_test_images():
    stretched = config(datasets={"cifar10": {"eval_norm": "mismatched"}})
    training = run_settings(stretched, Run("truong2025", "cifar10", "control", 0, 0))["training"]
    evaluation = evaluation_settings(stretched.papers["truong2025"], "cifar10")
    ratios = [a / b for a, b in zip(training["std"], evaluation["std"], strict=True)]
    assert ratios == pytest.approx([1.221, 1.221, 1.302], rel=1e-3)


def test_noisy_images_are_shown_under_each_normalization_that_a_data_set_has():
    settings = {
        role: evaluation_settings(config().papers["truong2025"], role, "image_noise") for role in ("mnist", "cifar10")
    }
    assert {role: list(of["normalizations"]) for role, of in settings.items()} == {
        "mnist": ["matched"],
        "cifar10": ["matched", "mismatched"],
    }
    training = run_settings(config(), Run("truong2025", "cifar10", "control", 0, 0))["training"]
    assert settings["cifar10"]["normalizations"]["matched"] == {key: training[key] for key in ("mean", "std")}


@pytest.mark.parametrize(
    ("images", "noisy", "expected"), [(None, None, None), (500, None, 500), (None, 90, 90), (500, 90, 90)]
)
def test_the_smaller_cap_counts_for_noisy_images_alone(images, noisy, expected):
    capped = config(datasets={"mnist": {"test_images": images}}, evaluations={"image_noise": {"max_images": noisy}})
    assert evaluation_settings(capped.papers["truong2025"], "mnist", "image_noise")["test_images"] == expected
    assert evaluation_settings(capped.papers["truong2025"], "mnist")["test_images"] == images


def test_tuning_stimuli_are_normalized_as_the_training_images():
    stretched = config(datasets={"cifar10": {"eval_norm": "mismatched"}})
    settings = evaluation_settings(stretched.papers["truong2025"], "cifar10", "tuning")
    training = run_settings(stretched, Run("truong2025", "cifar10", "control", 0, 0))["training"]
    assert (settings["mean"], settings["std"]) == (training["mean"], training["std"])
    assert settings["wedges"] == 36 and len(settings["ring_radii"]) == 13


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ({"datasets": {"mnist": {"epochs": 14}}}, "mnist"),
        ({"datasets": {"cifar10": {"eps": 1e-7}}}, "cifar10"),
        ({"conditions": {"ws": {"options": {"metric": "cosine"}}}}, "ws"),
        ({"conditions": {"ws": {"label": "weights"}}}, None),
        ({"conditions": {"ws": {"strengths": [0.1, 0.3, 0.5, 1, 2, 3, 4]}}}, None),
        ({"analyses": {"morans_i": {"settings": {"neighborhood": "rook"}}}}, None),
        ({"seeds": [0, 1, 2, 3, 4]}, None),
        ({"title": "another"}, None),
    ],
    ids=str,
)
def test_a_setting_changes_just_the_runs_that_it_decides(override, changed):
    before, after = config(), config(**override)
    common = sorted(set(run_table(before.papers["truong2025"])) & set(run_table(after.papers["truong2025"])))
    differing = {run for run in common if run_settings(before, run) != run_settings(after, run)}
    assert differing == {run for run in common if changed in (run.dataset, run.condition)}


def test_changing_the_settings_leaves_the_configuration_alone():
    full = config()
    before = copy.deepcopy(full)
    found = run_settings(full, Run("truong2025", "mnist", "ws", 1, 0))
    found["grid"][0] = 0
    found["training"]["mean"][0] = 0
    found["condition"]["options"]["metric"] = "none"
    assert canonical_json(full.papers) == canonical_json(before.papers)


@pytest.mark.parametrize(
    "run",
    [
        Run("truong2025", "cifar10", "global", 1, 0),
        Run("truong2025", "mnist", "ws", 0.2, 0),
        Run("truong2025", "mnist", "ws", 0.1, 10),
        Run("truong2025", "mnist", "wss", 0.1, 0),
        Run("truong2024", "mnist", "ws", 0.1, 0),
    ],
    ids=str,
)
def test_a_run_outside_the_table_has_no_settings(run):
    with pytest.raises(TopoRepError):
        run_settings(config(), run)


CONFIG = config()


@given(st.integers(min_value=1, max_value=250), st.integers(min_value=0, max_value=440))
def test_jobs_hold_every_run_once_in_order_and_never_mix_datasets(size, count):
    runs = run_table(CONFIG.papers["truong2025"])[:count]
    jobs = group_runs(runs, size)
    assert sorted(run for job in jobs for run in job) == sorted(runs)
    assert all(job == [run for run in runs if run in job] for job in jobs)
    assert all(0 < len(job) <= size for job in jobs)
    assert all(len({(run.paper, run.dataset, run.condition) for run in job}) == 1 for job in jobs)
    per_condition = Counter((run.dataset, run.condition) for run in runs)
    assert len(jobs) == sum(-(-number // size) for number in per_condition.values())


def test_jobs_cannot_be_empty_or_repeat_a_run():
    run = Run("truong2025", "mnist", "ws", 1, 0)
    assert group_runs([], 3) == []
    with pytest.raises(TopoRepError, match="at least 1, found 0"):
        group_runs([run], 0)
    with pytest.raises(TopoRepError, match="listed twice"):
        group_runs([run, run], 2)


def test_paths_are_those_of_the_documentation():
    text = (FOLDER.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    run = "<paper>/<dataset>/<condition>/<strength>/seed<seed>"
    paths = Paths("<root>")
    for path in (
        paths.prepared("<source>"),
        paths.evaluation("<evaluation>", run),
        paths.metric("<paper>", "<dataset>", "<analysis>"),
        paths.summary("<paper>", "<dataset>", "<analysis>"),
        paths.run_dir(run) + "/{weights.safetensors,history.csv,provenance.json}",
        paths.figure("<paper>", "<figure>", "{pdf,png,csv}"),
        paths.figure_alias("<figure>", "{pdf,png,csv}"),
        paths.table("<paper>", "<table>", "{csv,md,tex}"),
        paths.table_alias("<table>", "{csv,md,tex}"),
    ):
        assert f"`{path}`" in text
    files = (paths.weights(run), paths.history(run), paths.provenance(run))
    names = [file.removeprefix(paths.run_dir(run) + "/") for file in files]
    assert names == ["weights.safetensors", "history.csv", "provenance.json"]
    assert not paths.state_dir(run).startswith(paths.run_dir(run))


def test_conditions_share_a_job_where_they_may():
    runs = [Run("p", dataset, condition, 0, 0) for dataset in ("a", "b") for condition in ("x", "y", "z")]
    jobs = group_runs(runs, 2, together=lambda run: run.dataset)
    assert [[run.id for run in job] for job in jobs] == [
        ["p/a/x/0/seed0", "p/a/y/0/seed0"],
        ["p/a/z/0/seed0"],
        ["p/b/x/0/seed0", "p/b/y/0/seed0"],
        ["p/b/z/0/seed0"],
    ]
