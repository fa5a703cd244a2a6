"""What the configuration of Keller & Welling 2021 (capsules) refuses: each mistake is one line that names its place."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import pytest

from toporep.config import MAIN, load_config, merge, read_yaml
from toporep.data.sequences import KINDS
from toporep.errors import TopoRepError
from toporep.report.chains import Chains
from toporep.workflow import Workflow

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / "config"
PAPER = "keller2021_capsules"
PLACE = f"{MAIN}: overrides.{PAPER}."


# Data sets and conditions whose examples a figure draws; of the paper.
DRAWN = {
    "fig1_overview": {("mnist_color_rotation", "tvae_13_36")},
    "fig4_traversals": {("dsprites", "tvae_1_3"), ("mnist", "tvae_13_36")},
    "fig6_mnist_tvae_1_2": {("mnist", "tvae_1_2")},
    "fig7_mnist_tvae_13_36": {("mnist", "tvae_13_36")},
    "fig8_mnist_tvae_5_36": {("mnist", "tvae_5_36")},
    "fig9_mnist_tvae_0": {("mnist", "tvae_0")},
    "fig10_mnist_bubble_5_36": {("mnist", "bubble_5_36")},
    "fig11_mnist_vae": {("mnist", "vae")},
    "fig12_dsprites_tvae_1_2": {("dsprites", "tvae_1_2")},
    "fig13_dsprites_tvae_1_3": {("dsprites", "tvae_1_3")},
    "fig14_dsprites_tvae_1_6": {("dsprites", "tvae_1_6")},
    "fig15_dsprites_tvae_0": {("dsprites", "tvae_0")},
    "fig16_dsprites_bubble_1_6": {("dsprites", "bubble_1_6")},
    "fig17_dsprites_vae": {("dsprites", "vae")},
    "fig18_color_rotation": {("mnist_color_rotation", "tvae_13_36")},
    "fig19_color_perspective": {("mnist_color_perspective", "tvae_13_36")},
}


def main_config(size: str = "paper") -> dict:
    main = read_yaml(FOLDER / "config.yaml")
    return main if size == "paper" else merge(main, read_yaml(FOLDER / f"{size}.yaml"))


def paper(size: str = "paper", **changes) -> dict:
    return load_config(merge(main_config(size), {"overrides": {PAPER: changes}}), FOLDER).papers[PAPER]


def mistakes(**changes) -> list[str]:
    with pytest.raises(TopoRepError) as caught:
        paper(**changes)
    return str(caught.value).splitlines()


def data(role: str, **changes) -> dict:
    return {"datasets": {role: changes}}


def window(condition: str, role: str, frames: int, units: int) -> dict:
    return {"conditions": {condition: {"windows": {role: {"frames": frames, "units": units}}}}}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            data("mnist", source="sprites"),
            "datasets.mnist.source: sequences of kind 'single' are made of images of mnist, digits, digits_small, "
            "found 'sprites'",
        ),
        (
            data("dsprites", source="digits"),
            "datasets.dsprites.source: sequences of kind 'dsprites' are made of images of dsprites, sprites, "
            "sprites_small, found 'digits'",
        ),
        (data("mnist", momentum=0), "datasets.mnist.momentum: 0 must be greater than 0"),
        (
            data("dsprites", validation_share=0.2),
            "datasets.dsprites.validation_share: expected 0 without a split_seed, since nothing is set aside",
        ),
        (
            window("tvae_1_2", "mnist", 19, 3),
            "conditions.tvae_1_2.windows.mnist.frames: 19 is longer than the 18 there are",
        ),
        (window("tvae_0", "mnist", 1, 19), "conditions.tvae_0.windows.mnist.units: 19 is longer than the 18 there are"),
        (
            window("tvae_5_36", "mnist", 5, 4),
            "conditions.tvae_5_36.windows.mnist.units: expected an odd number, a band as wide on both sides, found 4",
        ),
        # The units of a torus are those of a side of its sheet.
        (
            window("torus", "mnist_plain", 1, 19),
            "conditions.torus.windows.mnist_plain.units: 19 is longer than the 18 there are",
        ),
        (
            window("tvae_1_3", "mnst", 5, 3),
            "conditions.tvae_1_3.windows.mnst: unknown dataset 'mnst'; did you mean 'mnist'?",
        ),
    ],
    ids=lambda value: value.split(":")[0] if isinstance(value, str) else "",
)
def test_a_mistake_in_the_overrides_is_one_line(changes, line):
    assert mistakes(**changes) == [PLACE + line]


def test_a_condition_has_a_window_for_each_of_its_data_sets():
    (line,) = mistakes(conditions={"tvae_1_2": {"datasets": ["mnist", "mnist_plain"]}})
    assert line.endswith(
        "conditions.tvae_1_2.windows: missing: mnist_plain, of which the condition has runs; form 'shifting' needs a "
        "window"
    )


def test_a_plain_vae_has_no_window():
    found = mistakes(**window("vae", "mnist", 1, 1))
    assert found == [f"{PLACE}conditions.vae.windows.mnist: form 'none', the plain VAE, has no window"]


def test_a_sequence_has_the_length_of_its_kind():
    """Both places that know the lengths agree: the rules cannot ask the module that needs torch."""
    for role, dataset in paper()["datasets"].items():
        right = KINDS[dataset["sequences"]].frames
        assert dataset["frames"] == right
        # The torus' windows hang on its single frame too.
        first = mistakes(**data(role, frames=right + 1))[0]
        assert first == (
            f"{PLACE}datasets.{role}.frames: sequences of kind {dataset['sequences']!r} have {right} frames, "
            f"found {right + 1}"
        )


def test_a_torus_is_a_square_sheet():
    lines = mistakes(**data("mnist_plain", units=323))
    assert len(lines) == 1
    assert lines[0].endswith("a torus needs 1 frame and 1 capsule of a square number of units, found 1, 1 and 323")


@pytest.mark.parametrize("size", ["paper", "reduced", "demo"])
def test_every_scale_has_the_paper_s_windows_and_lengths(size):
    """Smaller scales have fewer images, epochs and capsules, never other groupers: 2L of 18 or 15 frames."""
    found = paper(size)
    lengths = {"1_2": 1 / 2, "2_5": 2 / 5, "13_36": 13 / 36, "1_3": 1 / 3, "4_15": 4 / 15, "1_4": 1 / 4}
    lengths |= {"1_6": 1 / 6, "5_36": 5 / 36}
    for name, condition in found["conditions"].items():
        family, _, rest = name.removesuffix("_k3").removesuffix("_projected").partition("_")
        if family not in ("tvae", "bubble"):
            continue
        for role, one in condition["windows"].items():
            frames = found["datasets"][role]["frames"]
            assert one["frames"] == (1 if rest == "0" else math.floor(2 * lengths[rest] * frames + 1e-9)), (name, role)


@pytest.mark.parametrize(
    ("analyses", "named"),
    [
        ({"equivariance": {"settings": {"nul_sequences": 5}}}, "unknown key; did you mean 'null_sequences'"),
        ({"equivariance": {"settings": {"norm": "capsul"}}}, "'capsul' is not a known value; did you mean 'capsule'"),
        ({"traversals_vae": {"conditions": ["torus"]}}, "condition 'torus': expected a form other than 'torus'"),
        ({"torus_images": {"conditions": ["vae"]}}, "condition 'vae': expected the form 'torus'"),
    ],
)
def test_an_analysis_that_could_not_run_is_refused_before_anything_is_trained(analyses, named):
    (line,) = mistakes(analyses=analyses)
    assert line.startswith(PLACE) and named in line


@functools.cache
def workflow(size: str = "paper") -> Workflow:
    return Workflow.from_config(main_config(size) | {"papers": [PAPER]}, REPOSITORY)


@pytest.mark.parametrize("size", ["paper", "reduced", "demo"])
@pytest.mark.parametrize("figure", DRAWN)
def test_a_figure_asks_for_the_networks_whose_examples_it_draws_alone(size, figure):
    made = workflow(size)
    # results/metrics/<paper>/<dataset>/<analysis>.nc
    read = [Path(path).with_suffix("").parts[-2:] for path in made.figure_inputs(PAPER, figure).values()]
    dumps = [path for dataset, analysis in read for path in made.dumps_of(PAPER, dataset, analysis)]
    # results/sequences/<paper>/<dataset>/<condition>/<strength>/seed<seed>.nc
    networks = [(*path.split("/")[-4:-2], Path(path).stem) for path in dumps]
    assert sorted(networks) == sorted((dataset, condition, "seed0") for dataset, condition in DRAWN[figure])


def test_the_jobs_of_a_figure_train_no_network_that_it_does_not_draw():
    chains = Chains(workflow())
    planned = {}
    for figure in DRAWN:
        files = [path for step in chains.behind(PAPER, figure) if step.networks for path in step.outputs]
        # results/runs/<paper>/<dataset>/<condition>/<strength>/seed<seed>/<file>
        assert {path.split("/")[-2] for path in files} == {"seed0"}
        planned[figure] = {tuple(path.split("/")[-5:-3]) for path in files}
    assert planned == DRAWN
