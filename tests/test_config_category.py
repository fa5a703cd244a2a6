"""What the configuration of Keller, Gao & Welling 2021 (category) says and refuses; each mistake is one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from toporep.config import MAIN, Config, load_config, merge, read_yaml
from toporep.data.image_sets import load_image_sets
from toporep.errors import TopoRepError
from toporep.runs import run_settings, run_table
from toporep.workflow import Workflow

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / "config"
PAPER = "keller2021_category"
PLACE = f"{MAIN}: overrides.{PAPER}."
ROLE = "imagenet_faces"


def config(size: str = "paper", **changes) -> Config:
    main = read_yaml(FOLDER / "config.yaml")
    if size != "paper":
        main = merge(main, read_yaml(FOLDER / f"{size}.yaml"))
    return load_config(merge(main, {"papers": [PAPER], "overrides": {PAPER: changes}}), FOLDER)


def workflow(size: str = "paper", **changes) -> Workflow:
    return Workflow(config(size, **changes), REPOSITORY)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"conditions": {"tvae": {"window": 24}}},
            "conditions.tvae.window: expected an odd number, with a unit in the middle, found 24",
        ),
        (
            {"conditions": {"tvae": {"window": 65}}},
            "conditions.tvae.window: 65 is longer than the shorter side of the sheet, 64",
        ),
        (
            {"conditions": {"tdann": {"window": 5}}},
            "conditions.tdann.window: model 'tdann' has no window; write null",
        ),
        (
            {"conditions": {"vae": {"spatial_weight": 10}}},
            "conditions.vae.spatial_weight: model 'tvae' has no spatial loss; write 0",
        ),
        (
            {"features": {"network": "gabor"}},
            "features.network: condition 'fc6' is AlexNet's pretrained layer; write alexnet, or give it another model; "
            "found 'gabor'",
        ),
        (
            {"analyses": {"selectivity_lfw": {"settings": {"target": ["faces"]}}}},
            "analyses.selectivity_lfw.settings.target: 'faces' is none of the analysis' sets",
        ),
        (
            {"analyses": {"single_images": {"sets": ["face"]}}},
            "analyses.single_images.sets: unknown set of images 'face'; did you mean 'faces'?",
        ),
        (
            {"analyses": {"hierarchy": {"settings": {"pairs": [["faces", "animals"]]}}}},
            "analyses.hierarchy.settings.pairs: unknown contrast 'animals'; did you mean 'animate'?",
        ),
    ],
    ids=lambda value: value.split(":")[0] if isinstance(value, str) else "",
)
def test_a_mistake_in_the_overrides_is_one_line(changes, line):
    with pytest.raises(TopoRepError) as caught:
        config(**changes)
    assert str(caught.value) == PLACE + line


def test_sheets_must_fit_the_networks():
    with pytest.raises(TopoRepError) as caught:
        config(datasets={ROLE: {"grid": [24, 32]}})
    text = str(caught.value)
    assert "conditions.tvae.window: 25 is longer than the shorter side of the sheet, 24" in text
    assert "conditions.tdann.datasets: expected a square sheet, whose sides are 10 mm, found [24, 32]" in text
    assert "conditions.fc6: the pretrained layer has 4096 units, but the sheet [24, 32] has 768; write" in text


def test_settings_of_a_run_are_those_of_its_own_model():
    found = config()
    settings = {run.condition: run_settings(found, run) for run in run_table(found.papers[PAPER]) if run.seed == 0}
    assert settings["tvae"]["training"] == {
        **{"batch_size": 128, "train_images": None, "learning_rate": 1e-5, "momentum": 0.9},
        **{"weight_decay": 0, "epochs": 30},
    }
    assert settings["vae"]["training"] == settings["tvae"]["training"]
    assert settings["tdann"]["training"]["epochs"] == 10 and settings["tdann"]["training"]["weight_decay"] == 5e-4
    assert settings["tdann"]["condition"]["spatial_weight"] == 10
    assert "label" not in settings["tvae"]["condition"]


def test_four_initializations_and_each_other_model_once():
    runs = run_table(config().papers[PAPER])
    seeds = {}
    for run in runs:
        seeds.setdefault(run.condition, []).append(run.seed)
    assert seeds.pop("tvae") == seeds.pop("tvae_untrained") == [0, 1, 2, 3]
    assert set(map(tuple, seeds.values())) == {(0,)} and len(seeds) == 7


def test_training_makes_new_crops_unless_they_are_cached():
    live, cached = workflow(), workflow(features={"training": "cached", "crops": 3})
    assert live.feature_sources("live") == ["imagenet_lfw"] and live.beside_images(PAPER, ROLE) == []
    assert cached.feature_sources("live") == []
    assert cached.beside_images(PAPER, ROLE) == ["results/features/imagenet_lfw.npy"]
    assert '"crops":3' in cached.features_spec("imagenet_lfw")
    assert '"crops":1' in cached.features_spec("vggface2")


def test_an_evaluation_is_of_one_set_of_images():
    made = workflow()
    job = made.evaluation_jobs()[0]
    names = made.evaluations_of(job)
    assert set(names) == {f"responses_{name}" for name in made.config.papers[PAPER]["image_sets"]}
    assert set(names.values()) == {"responses"}
    inputs = made.evaluation_inputs(job, "responses_hands")
    assert inputs["images"] == "results/features/hands.nc"
    assert inputs["beside"] == ["results/features/hands.npy", "results/features/imagenet_lfw.nc"]


def test_an_analysis_reads_its_own_sets_alone():
    made = workflow()
    dumps = made.dumps_of(PAPER, ROLE, "selectivity_animacy")
    assert {path.split("/")[1] for path in dumps} == {"responses_animate", "responses_inanimate"}
    assert len(dumps) == 2 * len(set(path.split("/", 2)[2] for path in dumps)) == 2 * 9


@pytest.mark.parametrize(
    ("figure", "shown"),
    [
        ("fig1_face_selectivity", {"fc6", "tvae", "tvae_untrained", "tdann"}),
        ("fig3_single_images", {"tvae", "tvae_untrained"}),
        ("fig7_correlation_by_distance", {"fc6", "tvae", "tvae_untrained", "tdann", "tdann_nonspatial"}),
        (
            "fig8_window_size",
            {"tvae_smallest_window", "tvae_smaller_window", "tvae", "tvae_larger_window", "tvae_untrained"},
        ),
        # Its table has the smoothness of the untrained network's map.
        ("fig10_vae_baseline", {"tvae", "tvae_untrained", "vae"}),
    ],
)
def test_a_figure_asks_for_no_network_that_it_does_not_show(figure, shown):
    made = workflow()
    analyses = {Path(path).stem.removesuffix("_summary") for path in made.figure_inputs(PAPER, figure).values()}
    dumps = [path for analysis in analyses for path in made.dumps_of(PAPER, ROLE, analysis)]
    # results/responses_<set>/<paper>/<dataset>/<condition>/<strength>/seed<seed>.nc
    assert {path.split("/")[4] for path in dumps} == shown


@pytest.mark.parametrize("size", ["paper", "demo", "reduced", "rendered"])
@pytest.mark.parametrize("analysis", ["selectivity_faces", "distance_correlation", "single_images"])
def test_networks_of_different_figures_are_measured_alike(size, analysis):
    made = workflow(size)
    known = made.config.papers[PAPER]["analyses"]
    names = [name for name in (analysis, f"{analysis}_windows", f"{analysis}_vae") if name in known]
    assert len(names) > 1
    assert len({(made.analysis_module(PAPER, name), made.analysis_settings(PAPER, name)) for name in names}) == 1


@pytest.mark.parametrize("size", ["paper", "demo", "reduced", "rendered"])
def test_every_source_is_in_the_registry_of_image_sets(size):
    made = workflow(size)
    for kind in ("cached", "live"):
        for source in made.feature_sources(kind):
            assert '"parts"' in made.image_set_settings(source)


@pytest.mark.parametrize("size", ["demo", "reduced", "rendered"])
def test_stand_in_scales_ask_for_no_folder_of_images(size):
    made = workflow(size)
    sources = [*made.feature_sources("cached"), *made.feature_sources("live")]
    assert sources and all(source.startswith("rendered_") for source in sources)


def test_the_stand_in_keeps_mu_over_window():
    demo, paper = (config(size).papers[PAPER]["conditions"] for size in ("demo", "paper"))
    windows = [name for name in demo if demo[name]["model"] == "tvae" and demo[name]["window"]]
    assert len(windows) == 5
    for name in windows:
        assert demo[name]["mu"] / demo[name]["window"] == pytest.approx(40 / 25)
        assert paper[name]["mu"] == 40


def test_the_registry_names_the_figures_that_each_folder_is_needed_for():
    made, registry = workflow(), load_image_sets()
    paper = made.config.papers[PAPER]
    needing: dict[str, set[str]] = {}
    for key, name in [*made.figures(), *made.tables()]:
        files = made.figure_inputs(key, name).values() if key == PAPER else ()
        # Published numbers are an input, too.
        analyses = [paper["analyses"].get(Path(file).stem.removesuffix("_summary"), {}) for file in files]
        for shown in {shown for analysis in analyses for shown in analysis.get("sets", ())}:
            for folder in registry.source(paper["image_sets"][shown]["source"]).folders:
                needing.setdefault(folder.name, set()).add(name.split("_")[0].removeprefix("fig"))
    said = {name: numbers_in(folder.needed_for) for name, folder in registry.folders.items()}
    assert said == needing | {"imagenet_train": set(), "lfw": {"6"}}


def numbers_in(text: str) -> set[str]:
    """Figures that a text names, "1, 4 to 6 and X3", and "table"; none if it says every figure."""
    spans = re.findall(r"(\d+) to (\d+)", text)
    found = {str(number) for first, last in spans for number in range(int(first), int(last) + 1)}
    return found | set(re.findall(r"\bX?\d+\b", text)) | set(re.findall("table", text))


def test_what_a_dry_run_cannot_find_is_named_before_anything_is_trained(tmp_path, monkeypatch):
    made = workflow()
    monkeypatch.setenv("TOPOREP_DATA", str(tmp_path))
    needed = ["results/features/imagenet_lfw.nc", "results/features/celeba.nc", "results/features/celeba.npy"]
    named = [line.split(": ")[0] for line in made.absent(needed)]
    assert named == ["CelebA", "ImageNet (ILSVRC 2012), training images", "Labeled Faces in the Wild"] + [
        "AlexNet, its convolutional layers"
    ]
    for folder in ("imagenet/train", "lfw", "celeba"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "alexnet-owt-4df8aa71.pth").touch()
    assert made.absent(needed) == []


def test_a_dry_run_that_makes_no_features_looks_for_none(tmp_path, monkeypatch):
    monkeypatch.setenv("TOPOREP_DATA", str(tmp_path))
    assert workflow().absent(["results/runs/a/b/c/0/seed0/history.csv", "results/data/mnist.nc"]) == []
    assert workflow("demo").absent(["results/demo/features/rendered_faces.nc"]) == []
