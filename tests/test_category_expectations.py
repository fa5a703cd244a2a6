"""What Keller, Gao & Welling (2021, category) expect of maps, on rendered stimuli: inequalities of trained networks.

Networks of the demo after 1,000 of its 1,518 steps. All four seeds of the demo hold these margins.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from test_config_category import PAPER, ROLE, workflow

from toporep.cli import analyze, features, responses, train_category
from toporep.io import read_dataset
from toporep.runs import Paths, Run

pytestmark = [pytest.mark.usefixtures("restore_torch"), pytest.mark.xdist_group("category expectations")]

# 23 steps each.
EPOCHS = 44
CONDITIONS = ("tvae", "tvae_untrained", "vae")
SETS = ("faces", "objects")
ANALYSES = ("selectivity_faces", "distance_correlation", "bits_per_dimension")


@pytest.fixture(scope="module")
def metrics(tmp_path_factory) -> dict[str, xr.Dataset]:
    """Metric files of the three networks, made by the commands of the workflow."""
    root = tmp_path_factory.mktemp("results")
    made = workflow("demo", models={"tvae": {"epochs": EPOCHS}})
    paths = Paths(str(root))
    settings = made.config.papers[PAPER]
    sources = {name: settings["image_sets"][name]["source"] for name in SETS}
    training = settings["datasets"][ROLE]["source"]
    for source in (training, *sources.values()):
        outputs = {"--output": paths.features(source), "--array": paths.features(source, "npy")}
        features.main(_arguments({"--source": source, "--features": made.features_spec(source), **outputs}))
    runs = [Run(PAPER, ROLE, condition, 0, 0) for condition in CONDITIONS]
    common = {"--root": str(root), "--code-hash": "abc"}
    for run in runs:
        spec = made.training_spec([run])
        train_category.main(_arguments({"--spec": spec, "--images": paths.features(training), **common}))
    for name, source in sources.items():
        evaluation = made.evaluation_spec(PAPER, ROLE, f"responses_{name}")
        shown = {"--set": name, "--images": paths.features(source), "--training-features": paths.features(training)}
        told = _arguments({**shown, "--evaluation": evaluation, **common})
        responses.main(["--runs", *(run.id for run in runs), *told])
    return {name: _analyzed(made, paths, root, name, runs) for name in ANALYSES}


def _arguments(options: dict[str, str]) -> list[str]:
    return [text for pair in options.items() for text in pair]


def _analyzed(made, paths: Paths, root: Path, name: str, runs: list[Run]) -> xr.Dataset:
    dumps = [paths.evaluation(f"responses_{shown}", run) for run in runs for shown in SETS]
    outputs = [str(root / f"{name}{end}.nc") for end in ("", "_summary")]
    module = made.analysis_module(PAPER, name)
    told = ["--settings", made.analysis_settings(PAPER, name), "--scale", "demo", "--output", outputs[0]]
    analyze.main([module, *told, "--summary", outputs[1], "--dumps", *dumps])
    return read_dataset(outputs[0], module)


def of(metric: xr.Dataset, condition: str, variable: str, **at: str) -> np.ndarray:
    """A variable of the run of a condition, at names of its coordinates."""
    values = metric[variable].isel(run=metric["condition"].values.tolist().index(condition))
    for dim, name in at.items():
        values = values.isel({dim: metric[dim].values.tolist().index(name)})
    return values.values


def smoothness(metrics, condition: str) -> float:
    found = metrics["selectivity_faces"]
    return float(of(found, condition, "smoothness", quantity="activation", boundary="torus"))


def test_adjacent_units_of_the_tvae_are_alike_because_it_was_trained(metrics):
    trained = smoothness(metrics, "tvae")
    assert trained > 0.8
    assert trained > smoothness(metrics, "tvae_untrained") + 0.3
    assert trained > smoothness(metrics, "vae") + 0.5


def test_a_patch_for_faces_emerges(metrics):
    found = metrics["selectivity_faces"]
    patch = of(found, "tvae", "largest_patch", quantity="mean_activation")
    assert patch >= 15
    assert of(found, "tvae_untrained", "largest_patch", quantity="mean_activation") < 5
    sampled = of(found, "tvae", "largest_patch", quantity="activation")
    assert sampled >= 3 > of(found, "tvae", "largest_patch_label_null")


def test_the_plain_vae_needs_fewer_bits_and_both_lie_between_the_bounds(metrics):
    found = metrics["bits_per_dimension"]
    for name in SETS:
        bits = {condition: of(found, condition, "bits", set=name) for condition in CONDITIONS}
        floor, constant = of(found, "tvae", "floor"), of(found, "tvae", "constant", set=name)
        assert floor < bits["vae"] < bits["tvae"] < constant < bits["tvae_untrained"]
        assert floor == pytest.approx(1.3257, abs=1e-4)


def test_correlation_falls_over_the_distances_within_a_window(metrics):
    found = metrics["distance_correlation"]
    at = {"variant": "within", "boundary": "torus"}
    curve = of(found, "tvae", "correlation", **at)
    window = json.loads(metrics["selectivity_faces"].attrs["training"])["conditions"]["tvae"]["window"]
    assert (np.diff(curve[:window]) < 0).all()
    assert curve[0] > 0.5
    flat = of(found, "vae", "correlation", **at)
    assert abs(flat[0]) < 0.1
