"""Figures of Keller & Welling 2021 (capsules), all but Figure 5."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from capsule_metrics import (
    DSPRITES,
    MNIST,
    NORMALIZED,
    conditions_of,
    example_sequences,
    metric,
    seen_frames,
    stand_in,
    summary,
    torus_images,
    traversals,
)
from figure_checks import caption, check_apart, check_drawn_elsewhere, check_embedded, check_page, texts, visible_texts
from jsonschema import Draft202012Validator
from matplotlib.colors import to_hex

from toporep.cli.figure import main
from toporep.config import read_yaml
from toporep.errors import TopoRepError
from toporep.figures import figure_module
from toporep.figures.keller2021_capsules import family_of, in_order, label_of, short_label_of
from toporep.figures.keller2021_capsules.fig2_capsule_topology import GROUPERS
from toporep.io import write_dataset
from toporep.workflow import Workflow

PROJECT = Path(__file__).parent.parent
PAPER = "keller2021_capsules"
# Data set and condition of each page of examples (appendix D of the paper).
PAGES = {
    "fig6_mnist_tvae_1_2": ("mnist", "tvae_1_2"),
    "fig7_mnist_tvae_13_36": ("mnist", "tvae_13_36"),
    "fig8_mnist_tvae_5_36": ("mnist", "tvae_5_36"),
    "fig9_mnist_tvae_0": ("mnist", "tvae_0"),
    "fig10_mnist_bubble_5_36": ("mnist", "bubble_5_36"),
    "fig11_mnist_vae": ("mnist", "vae"),
    "fig12_dsprites_tvae_1_2": ("dsprites", "tvae_1_2"),
    "fig13_dsprites_tvae_1_3": ("dsprites", "tvae_1_3"),
    "fig14_dsprites_tvae_1_6": ("dsprites", "tvae_1_6"),
    "fig15_dsprites_tvae_0": ("dsprites", "tvae_0"),
    "fig16_dsprites_bubble_1_6": ("dsprites", "bubble_1_6"),
    "fig17_dsprites_vae": ("dsprites", "vae"),
    "fig18_color_rotation": ("mnist_color_rotation", "tvae_13_36"),
    "fig19_color_perspective": ("mnist_color_perspective", "tvae_13_36"),
}
# Conditions of which the paper's analyses have one entry, under the name of the other data set's.
SHARED = {"tvae_13_36": "tvae_1_3", "tvae_5_36": "tvae_1_6", "bubble_5_36": "bubble_1_6"}
OVERVIEW, TOPOLOGY, TORUS, EXAMPLES = (
    "fig1_overview",
    "fig2_capsule_topology",
    "fig3_torus_max_images",
    "fig4_traversals",
)
HELD_OUT = "figX2_held_out_frames"
# One of each layout.
LAYOUTS = (OVERVIEW, TORUS, EXAMPLES, "fig13_dsprites_tvae_1_3", "fig19_color_perspective", HELD_OUT)
FIGURES = (OVERVIEW, TOPOLOGY, TORUS, EXAMPLES, *PAGES, HELD_OUT)
# Of images: MNIST's, half of dSprites' (for speed), and of the demo's stand-ins.
SIZES = {"mnist": 28, "dsprites": 32, "mnist_color_rotation": 28, "mnist_color_perspective": 28, "mnist_plain": 28}
SMALL = {"mnist": 14, "dsprites": 16, "mnist_color_rotation": 14, "mnist_color_perspective": 14, "mnist_plain": 14}
# Published: frames that t₀ has seen, of Figures 4, 7 and 13.
SEEN = {"mnist": [*range(7), *range(12, 18)], "dsprites": [*range(6), *range(11, 15)]}


def written(folder: Path, *, sizes=SIZES, conditions=None, small: bool = False) -> dict[str, Path]:
    """Files of all figures, by the names that the workflow gives them."""
    folder.mkdir(exist_ok=True)
    files = {}
    for dataset, size in sizes.items():
        attrs = stand_in(dataset) if small else {}
        several = dataset in ("mnist", "dsprites")
        of = conditions if conditions and several else conditions_of(dataset)
        if dataset == "mnist_plain":
            files[f"{dataset}.torus_images.runs"] = put(folder, torus_images(size=size, **attrs), "torus_images")
            continue
        shown = conditions or [name for page, name in PAGES.values() if page == dataset] if several else of
        path = put(folder, traversals(dataset, shown, size=size, **attrs), "traversals", dataset)
        files |= {name_of(dataset, condition): path for page, condition in PAGES.values() if page == dataset}
        if several:
            for analysis in ("held_out_frames", "log_likelihood"):
                # Likelihoods are synthetic of the paper's models of a data set alone.
                named = of if analysis == "held_out_frames" else conditions_of(dataset)
                found = summary(analysis, dataset, named, seeds=(0,) if small else (0, 1, 2), **attrs)
                files[f"{dataset}.{analysis}"] = put(folder, found, f"{analysis}_summary", dataset)
    return files


def name_of(dataset: str, condition: str) -> str:
    return f"{dataset}.traversals_{SHARED.get(condition, condition)}.runs"


def put(folder: Path, dataset: xr.Dataset, schema: str, name: str = "") -> Path:
    path = folder / f"{schema}{name}.nc"
    write_dataset(dataset, path, schema)
    return path


def inputs_of(figure: str, files: dict[str, Path]) -> dict[str, Path]:
    names = {
        OVERVIEW: [name_of("mnist_color_rotation", "tvae_13_36")],
        TOPOLOGY: [],
        TORUS: ["mnist_plain.torus_images.runs"],
        EXAMPLES: [name_of("dsprites", "tvae_1_3"), name_of("mnist", "tvae_13_36")],
        HELD_OUT: [f"{name}.{of}" for of in ("held_out_frames", "log_likelihood") for name in ("mnist", "dsprites")],
        **{page: [name_of(*shown)] for page, shown in PAGES.items()},
    }
    return {name: files[name] for name in names[figure]}


def draw(figure: str, files: dict[str, Path], **settings):
    return figure_module(PAPER, figure).draw(inputs_of(figure, files), **settings)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    return written(tmp_path_factory.mktemp("files"))


class Drawn(dict):
    """Every figure and its table, of the paper's data, drawn when it is first asked for."""

    def __init__(self, files: dict[str, Path]) -> None:
        self._files = files

    def __missing__(self, figure: str):
        self[figure] = draw(figure, self._files)
        return self[figure]


@pytest.fixture(scope="module")
def drawn(files) -> Drawn:
    return Drawn(files)


@pytest.fixture(scope="module")
def small_files(tmp_path_factory) -> dict[str, Path]:
    """A demo: small stand-in images, one seed, two conditions a data set, so that most are missing."""
    return written(tmp_path_factory.mktemp("small"), sizes=SMALL, conditions=("tvae_1_3", "vae"), small=True)


# All figures


@pytest.mark.parametrize("figure", (*LAYOUTS, TOPOLOGY))
def test_a_figure_fits_on_a_page_and_can_be_read(drawn, figure):
    found, _ = drawn[figure]
    check_page(found, visible_texts(found))
    check_apart(found, visible_texts(found))


@pytest.mark.parametrize("figure", LAYOUTS)
def test_a_figure_of_a_demo_says_so_and_is_readable(small_files, figure):
    found, _ = draw(figure, small_files)
    said = texts(found)
    stand_ins = {"dsprites": "rendered sprites", "mnist": "handwritten digits (scikit-learn)"}
    for name in inputs_of(figure, small_files):
        assert stand_ins["dsprites" if name.startswith("dsprites") else "mnist"] in said
    for part in ("stand-in", "demo scale", "4 of the paper's 100 epochs", "claims nothing about the paper"):
        assert part in said, part
    check_page(found, visible_texts(found))
    check_apart(found, visible_texts(found))


@pytest.mark.parametrize("figure", LAYOUTS)
def test_a_figure_names_images_scale_training_and_number_of_sequences(drawn, files, figure):
    said = texts(drawn[figure][0])
    for dataset in {name.partition(".")[0] for name in inputs_of(figure, files)}:
        own, evaluated = ("50 625", "50 625") if dataset == "dsprites" else ("48 000", "10 000")
        assert f"9 000 of the paper's {own} training images" in said
        assert f"1 500 of the paper's {evaluated} {'images' if figure == TORUS else 'sequences'} evaluated" in said
    assert "reduced scale" in said and "stand-in" not in said
    assert ("3 seeds" if figure == HELD_OUT else "network of seed 0") in said


def test_another_process_writes_the_same_bytes(small_files, tmp_path):
    chosen = (TOPOLOGY, TORUS, EXAMPLES, HELD_OUT)
    drawn = {figure: draw(figure, small_files) for figure in chosen}
    inputs = {figure: [f"{name}={path}" for name, path in inputs_of(figure, small_files).items()] for figure in chosen}
    check_drawn_elsewhere(PAPER, drawn, inputs, tmp_path)
    for figure in chosen:
        check_embedded(tmp_path / "here" / f"{figure}.pdf")


def test_figures_read_their_inputs_by_the_names_of_the_workflow(files):
    made = Workflow.from_config(read_yaml(PROJECT / "config" / "config.yaml") | {"papers": [PAPER]}, PROJECT)
    for figure in FIGURES:
        assert list(inputs_of(figure, files)) == list(made.figure_inputs(PAPER, figure))


@pytest.mark.parametrize("figure", FIGURES)
def test_captions_are_valid_and_name_data_models_null_and_statements(figure):
    html = caption(figure)
    for word in ("Keller &amp; Welling 2021", "<em>Data.</em>", "<em>Models.</em>", "<em>Estimator.</em>", "band"):
        assert word in html or (figure, word) == (HELD_OUT, "band"), word
    if figure != TOPOLOGY:
        assert "stand in for" in html and "<em>Null.</em>" in html and "seed" in html


def test_conditions_are_named_as_in_the_configuration():
    conditions = read_yaml(PROJECT / "config" / "papers" / f"{PAPER}.yaml")["conditions"]
    assert {name: label_of(name) for name in conditions} == {name: of["label"] for name, of in conditions.items()}
    assert {family_of(name) for name in conditions} == {"tvae", "bubble", "vae", "torus"}
    assert in_order(list(reversed(MNIST))) == list(MNIST) and in_order(list(reversed(DSPRITES))) == list(DSPRITES)
    for name in ("tvae_wide", "mine", "vae_wide", "bubble", "tvae"):
        assert label_of(name) == short_label_of(name) == family_of(name) == name
    assert in_order(["mine", "vae", "tvae_0"]) == ["tvae_0", "vae", "mine"]


# Pages of examples


def strips(figure) -> list[np.ndarray]:
    """The pictures of a figure in drawing order."""
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def frames_of(strip: np.ndarray, n: int, size: int) -> np.ndarray:
    """(frame, row, column, 3): the frames of a strip, without the white between them."""
    return strip.reshape(size, n, -1, 3)[:, :, :size].swapaxes(0, 1)


@pytest.mark.parametrize("figure", ["fig7_mnist_tvae_13_36", "fig13_dsprites_tvae_1_3", "fig18_color_rotation"])
def test_strips_are_frames_reconstructions_and_rolled_copies_of_each_example(drawn, files, figure):
    dataset, condition = PAGES[figure]
    found = strips(drawn[figure][0])
    assert len(found) == 36
    file = xr.load_dataset(files[name_of(dataset, condition)])
    run = file["condition"].values.tolist().index(condition)
    for example in range(12):
        for index, line in enumerate(("frames", "reconstruction", "traversal")):
            expected = file["image"].values[run, example, file["line"].values.tolist().index(line)]
            shown = frames_of(found[3 * example + index], len(expected), SIZES[dataset])
            np.testing.assert_array_equal(shown, np.broadcast_to(expected, shown.shape))


@pytest.mark.parametrize("figure", ["fig8_mnist_tvae_5_36", "fig16_dsprites_bubble_1_6"])
def test_a_page_needs_no_network_but_its_own(drawn, tmp_path, figure):
    dataset, condition = PAGES[figure]
    path = put(tmp_path, traversals(dataset, [condition], size=SIZES[dataset]), "traversals")
    found, table = draw(figure, {name_of(dataset, condition): path})
    pd.testing.assert_frame_equal(table, drawn[figure][1])
    assert table["squared_error_rolled"].notna().all() and texts(found) == texts(drawn[figure][0])


@pytest.mark.parametrize("figure", PAGES)
def test_a_page_shows_the_condition_of_the_paper(figure):
    assert PAGES[figure][1] == figure_module(PAPER, figure).CONDITION


@pytest.mark.parametrize(
    "figure", ["fig6_mnist_tvae_1_2", "fig7_mnist_tvae_13_36", "fig11_mnist_vae", "fig13_dsprites_tvae_1_3"]
)
def test_a_bar_marks_the_frames_that_the_first_has_seen(drawn, figure):
    dataset, condition = PAGES[figure]
    bars = [axes for axes in drawn[figure][0].axes if not axes.images and axes.patches]
    marked = [sorted(int(patch.get_x()) for patch in axes.patches) for axes in bars]
    expected = np.flatnonzero(seen_frames(condition, dataset)).tolist()
    if figure in ("fig7_mnist_tvae_13_36", "fig13_dsprites_tvae_1_3"):
        assert expected == SEEN[dataset]
    assert marked == [expected] * 12
    said = (
        f"{len(expected)} frames"
        if condition == "tvae_1_2"
        else f"{len(expected)} of {18 if 'mnist' in dataset else 15}"
    )
    assert said in texts(drawn[figure][0])


def test_the_table_has_squared_errors_of_single_frames(drawn):
    _, table = drawn["fig11_mnist_vae"]
    file = traversals("mnist", ["vae"])
    assert len(table) == 12 * 18
    assert set(table["condition"]) == {"vae"} and set(table["seed"]) == {0}
    sequences, factors, starts, labels = example_sequences("mnist", size=28, examples=12)
    for example, frame in ((0, 0), (4, 17), (11, 5)):
        row = table[(table["example"] == example) & (table["frame"] == frame)].iloc[0]
        assert (row["factor"], row["start"], row["label"]) == (factors[example], starts[example], labels[example])
        assert row["seen"] == (frame == 0)
        # As the file has them: errors of the images, which are rounded, differ in the fifth digit.
        errors = file["squared_error"].isel(run=0, example=example, frame=frame)
        for name in ("reconstruction", "rolled"):
            assert row[f"squared_error_{name}"] == pytest.approx(float(errors.sel(prediction=name)), rel=1e-12)


def test_numbers_over_an_example_are_means_of_the_table(drawn):
    found, table = drawn["fig14_dsprites_tvae_1_6"]
    first = table[table["example"] == 0]
    rolled = first.groupby("seen")["squared_error_rolled"].mean()
    own = first["squared_error_reconstruction"].mean()
    assert f"rolled: seen {rolled[1]:.1f}, held out {rolled[0]:.1f}; reconstr. {own:.1f}" in texts(found)
    found, table = drawn["fig6_mnist_tvae_1_2"]
    assert "held out 0" not in texts(found) and "nan" not in texts(found)


def test_a_page_says_what_its_words_stand_for(drawn):
    said = " ".join(texts(drawn["fig14_dsprites_tvae_1_6"][0]).split())
    assert "decoded from t₀, the t of the first frame (left)" in said
    assert "mean over frames seen and over those held out, of reconstructions over all" in said


@pytest.mark.parametrize("figure", ["fig12_dsprites_tvae_1_2", "fig8_mnist_tvae_5_36", EXAMPLES])
def test_a_condition_that_was_not_trained_is_told_and_its_frames_drawn(small_files, figure):
    found, table = draw(figure, small_files)
    said = texts(found)
    dataset, condition = PAGES.get(figure, ("mnist", "tvae_13_36"))
    assert f"Not trained here: {label_of(condition)}." in said
    assert "Not trained at the demo scale" in said and "not trained here" in said
    rows = table[table["condition"] == condition]
    assert rows["squared_error_rolled"].isna().all() and rows["seen"].isna().all() and rows["seed"].isna().all()
    if figure != EXAMPLES:
        sequences, *_ = example_sequences(dataset, size=SMALL[dataset], examples=12)
        assert len(strips(found)) == 12
        for strip, expected in zip(strips(found), sequences, strict=True):
            shown = frames_of(strip, len(expected), SMALL[dataset])
            np.testing.assert_array_equal(shown, np.broadcast_to(np.rint(255 * expected), shown.shape))


def test_the_network_with_the_lowest_seed_is_drawn(tmp_path):
    file = traversals("mnist", ["tvae_0", "vae"], size=8, seeds=(2, 1))
    path = put(tmp_path, file, "traversals")
    found, table = draw("fig11_mnist_vae", {name_of("mnist", "vae"): path})
    assert set(table["seed"]) == {1}
    assert "network of seed 1" in texts(found)
    run = [(name, seed) for name in ("tvae_0", "vae") for seed in (2, 1)].index(("vae", 1))
    shown = frames_of(strips(found)[2], 18, 8)
    np.testing.assert_array_equal(shown, file["image"].values[run, 0, 2])


# Figures 1 and 4


def test_held_out_frames_are_grey_and_others_as_they_are(drawn, files):
    found, table = drawn[EXAMPLES]
    pictures = strips(found)
    assert len(pictures) == 2 * 7
    order = [("dsprites", name) for name in ("x", "y", "orientation", "scale")]
    order += [("mnist", name) for name in ("color", "scale", "rotation")]
    drawn_rows = table.drop_duplicates(["dataset", "example"])
    assert list(zip(drawn_rows["dataset"], drawn_rows["factor"], strict=True)) == order
    assert set(drawn_rows["label"][drawn_rows["dataset"] == "dsprites"]) == {0, 1, 2}, "all three shapes"
    for index, row in enumerate(drawn_rows.itertuples()):
        sequences, *_ = example_sequences(row.dataset, size=SIZES[row.dataset], examples=12)
        true = np.rint(255 * sequences[row.example])
        shown = frames_of(pictures[2 * index], len(true), SIZES[row.dataset]).astype(float)
        same = [
            frame
            for frame in range(len(true))
            if np.array_equal(shown[frame], np.broadcast_to(true[frame], shown[frame].shape))
        ]
        assert same == SEEN[row.dataset]
        for frame in set(range(len(true))) - set(same):
            assert np.ptp(shown[frame]) < 0.35 * np.ptp(true[frame]) and shown[frame].min() > 80
    borders = [axes for axes in found.axes if axes.images and axes.patches]
    assert len(borders) == 7
    assert "13 of 18 frames" in texts(found) and "10 of 15 frames" in texts(found)


def test_the_overview_decodes_a_frame_that_was_held_out(drawn, files):
    found, table = drawn[OVERVIEW]
    pictures = strips(found)
    file = xr.load_dataset(files[name_of("mnist_color_rotation", "tvae_13_36")])
    rolled = file["image"].values[0, 0, 2]
    # Strip by strip: for three frames the frame, three capsules and what is decoded, then the two whole lines.
    assert len(pictures) == 3 * 5 + 2
    np.testing.assert_array_equal(frames_of(pictures[-1], 18, 28), rolled)
    named = re.findall(r"frame (\d+)(, held out)?", " ".join(text.get_text() for text in found.texts[:-1]))
    (frame,) = [int(number) for number, held_out in named if held_out]
    assert frame not in SEEN["mnist"]
    np.testing.assert_array_equal(frames_of(pictures[14], 1, 28)[0], rolled[frame])
    assert set(table["example"]) == {0} and len(table) == 18
    # The activity of the schema moves by as many units as its roll says.
    rolls = [int(number) for number in re.findall(r"roll by (\d+)", texts(found))]
    assert sum(rolls) == frame
    for capsule in (1, 2, 3):
        first, last = pictures[capsule][0], pictures[10 + capsule][0]
        np.testing.assert_allclose(np.roll(first, sum(rolls)), last, atol=1e-12)


def test_the_overview_draws_the_example_that_it_is_asked_for(files):
    _, table = draw(OVERVIEW, files, example=5)
    assert set(table["example"]) == {5}


def test_the_overview_measures_what_a_roll_gives_in_held_out_frames(drawn, files):
    file = xr.load_dataset(files[name_of("mnist_color_rotation", "tvae_13_36")])
    lines = file["line"].values.tolist()
    image = file["image"].values[0, 0].astype(float) / 255
    frames, rolled = image[lines.index("frames")], image[lines.index("traversal")]
    held_out = sorted(set(range(18)) - set(SEEN["mnist"]))
    errors = [np.mean([((rolled[i * moved] - frames[i]) ** 2).sum() for i in held_out]) for moved in (1, 0)]
    found, table = drawn[OVERVIEW]
    said = texts(found)
    for name, error in zip(("rolled", "static"), errors, strict=True):
        assert table[f"squared_error_{name}"][held_out].mean() == pytest.approx(error, rel=1e-3)
    assert f"held-out frames is {errors[0]:.1f} with the rolled t₀ and {errors[1]:.1f} with t₀ as it is" in said
    assert errors[0] < errors[1], "the synthetic network is one that has learned"
    # What holds of an equivariant network is not told of this one.
    assert "would give the frames to come" in said


# Figure 2


def test_neighborhoods_are_those_of_the_published_code(drawn):
    _, table = drawn[TOPOLOGY]
    counts = table[table["panel"] != "capsule"].groupby("panel")["terms"].sum()
    # Terms of a window of 5 with a band of 3 whose ends are cut; 5 × 5; 1 × 9; 5 × 5.
    assert counts.to_dict() == {
        "TVAE, L = 5S/36": 13,
        "BubbleVAE, L = 5S/36": 25,
        "TVAE, L = 0": 9,
        "TVAE, 2-D torus": 25,
    }
    shifting = table[table["panel"] == "TVAE, L = 5S/36"]
    entering = shifting[shifting["terms"] > 0]
    offsets = {(f - 9, u - 9) for f, u in zip(entering["other_frame"], entering["other_unit"], strict=True)}
    # Activity moves to higher units with time; at both ends of the window the band lacks its outer unit.
    assert offsets == {(d, d + s) for d in range(-2, 3) for s in (-1, 0, 1) if abs(d + s) <= 2}


def test_an_even_window_has_one_more_future_frame():
    grouper = {"label": "even", "form": "shifting", "frames": 4, "units": 1}
    _, table = draw(TOPOLOGY, {}, groupers=[grouper])
    entering = table[(table["panel"] == "even") & (table["terms"] > 0)]
    assert sorted(entering["other_frame"] - 9) == sorted(entering["other_unit"] - 9) == [-1, 0, 1, 2]


def test_shared_terms_are_those_of_two_sets(drawn):
    _, table = drawn[TOPOLOGY]
    box = table[table["panel"] == "BubbleVAE, L = 5S/36"]
    # Two boxes of 5 × 5 overlap in (5 - |rows apart|)(5 - |columns apart|) cells.
    expected = np.maximum(5 - abs(box["other_frame"] - 9), 0) * np.maximum(5 - abs(box["other_unit"] - 9), 0)
    assert (box["shared"] == expected).all()
    for _, panel in table[table["panel"] != "capsule"].groupby("panel"):
        own = panel[(panel["other_frame"] == 9) & (panel["other_unit"] == 9)]
        assert own["shared"].item() == panel["terms"].sum() == panel["shared"].max()


def test_rings_join_units_whose_neighborhoods_overlap(drawn):
    found, table = drawn[TOPOLOGY]
    ring = table[table["panel"] == "capsule"]
    apart = (ring["other_unit"] - ring["unit"]) % 18
    apart = np.minimum(apart, 18 - apart)
    assert (ring["shared"] == np.maximum(3 - apart, 0)).all()
    for axes in found.axes[:3]:
        lines = [line for line in axes.lines if line.get_linestyle() == "-"]
        assert len(lines) == 36, "18 units, to the next one and to the one after"


def test_grids_show_the_cells_of_the_table(drawn):
    found, table = drawn[TOPOLOGY]
    for axes, grouper in zip(found.axes[3:], GROUPERS, strict=True):
        panel = table[table["panel"] == grouper["label"]].set_index(["other_frame", "other_unit"])
        kind = np.asarray(axes.images[0].get_array())
        for (row, column), shown in np.ndenumerate(kind):
            cell = panel.loc[(row, column)]
            assert shown == (2 if cell["terms"] else 1 if cell["shared"] else 0)


def test_neighborhoods_go_on_at_the_other_side(files):
    _, table = draw(TOPOLOGY, files, frame=0, unit=0)
    torus = table[(table["panel"] == "TVAE, 2-D torus") & (table["terms"] > 0)]
    assert set(torus["other_frame"]) == set(torus["other_unit"]) == {16, 17, 0, 1, 2}


def test_settings_of_the_topology_are_the_defaults_and_pass_the_schema():
    settings = read_yaml(PROJECT / "config" / "papers" / f"{PAPER}.yaml")["figures"][TOPOLOGY]
    schema = read_yaml(PROJECT / "config" / "schemas" / f"{PAPER}.yaml")["properties"]["figures"]
    Draft202012Validator(schema).validate({TOPOLOGY: settings})
    bad = json.loads(json.dumps(settings))
    bad["groupers"][0]["window"] = 5
    assert not Draft202012Validator(schema).is_valid({TOPOLOGY: bad})
    assert settings["groupers"] == [dict(one) for one in GROUPERS]
    pd.testing.assert_frame_equal(draw(TOPOLOGY, {}, **settings)[1], draw(TOPOLOGY, {})[1])


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"frame": 18}, "frame: expected 0 to 17, found 18"),
        ({"unit": -1}, "unit: expected 0 to 17, found -1"),
        ({"groupers": []}, "groupers: expected at least one"),
        ({"groupers": [{"label": "a", "form": "shifting", "frames": 5, "units": 4}]}, "expected an odd number"),
    ],
)
def test_a_topology_that_cannot_be_is_refused(settings, named):
    with pytest.raises(TopoRepError, match=re.escape(named)):
        draw(TOPOLOGY, {}, **settings)
    with pytest.raises(TopoRepError, match="expected no input, found mnist"):
        figure_module(PAPER, TOPOLOGY).draw({"mnist": Path("a.nc")})


# Figure 3


def test_images_lie_at_the_row_and_column_of_their_unit(files, tmp_path):
    file = xr.load_dataset(files["mnist_plain.torus_images.runs"])
    shuffled = file.isel(unit=np.random.default_rng(0).permutation(324))
    path = put(tmp_path, shuffled, "torus_images")
    found, table = draw(TORUS, {"mnist_plain.torus_images.runs": path})
    mosaic, classes = strips(found)
    for row, col, label, image in zip(
        *(file[name].values for name in ("row", "col")), file["label"].values[0], file["image"].values[0], strict=True
    ):
        shown = mosaic[28 * row : 28 * row + 28, 28 * col : 28 * col + 28]
        np.testing.assert_array_equal(shown, np.broadcast_to(image, shown.shape))
        assert classes[row, col] == label
    pd.testing.assert_frame_equal(table, draw(TORUS, files)[1])
    assert table[["row", "col"]].values.tolist() == [[row, col] for row in range(18) for col in range(18)]


def test_the_torus_tells_the_agreement_of_neighbors_and_what_it_is_without_learning(drawn):
    found, table = drawn[TORUS]
    for part in ("trained: 78 %", "before training: 31 %", "by chance: 12 %"):
        assert part in texts(found)
    assert table[["agreement", "agreement_untrained", "agreement_chance"]].iloc[0].tolist() == [0.78, 0.31, 0.12]
    (axes,) = [axes for axes in found.axes if not axes.images]
    assert [float(line.get_xdata()[0]) for line in axes.lines] == [0.78, 0.31, 0.12]


def test_a_torus_with_a_hole_is_refused_and_one_that_was_not_trained_is_told(tmp_path):
    path = put(tmp_path, torus_images(size=8).isel(unit=slice(1, None)), "torus_images")
    with pytest.raises(TopoRepError, match="row and col of the 323 units do not fill a sheet of 18 by 18"):
        draw(TORUS, {"mnist_plain.torus_images.runs": path})
    other = torus_images(size=8)
    other["condition"] = ("run", np.array(["torus_wide"], dtype=object))
    found, table = draw(TORUS, {"mnist_plain.torus_images.runs": put(tmp_path, other, "torus_images")})
    assert "Not trained here: TVAE, 2-D torus." in texts(found) and not len(table) and not strips(found)


# Figure X2


def points_of(axes) -> dict[tuple[str, bool, float], float]:
    """(color, filled, place) → height of each point that is drawn."""
    found = {}
    for line in axes.lines:
        if line.get_marker() in ("s", "o", "^") and np.isfinite(line.get_ydata()[0]):
            filled = to_hex(line.get_markerfacecolor()) != "#ffffff"
            found[to_hex(line.get_color()), filled, round(float(line.get_xdata()[0]), 6)] = float(line.get_ydata()[0])
    return found


def test_held_out_points_stand_at_their_values(drawn, files):
    found, table = drawn[HELD_OUT]
    colors = {"reconstruction": "#7f7f7f", "rolled": "#0072b2", "static": "#e69f00"}
    panels = [(dataset, quantity) for dataset in ("mnist", "dsprites") for quantity in ("nll", "squared_error")]
    for axes, (dataset, quantity) in zip(found.axes, panels, strict=True):
        file = xr.load_dataset(files[f"{dataset}.held_out_frames"])
        names, expected = list(conditions_of(dataset)), {}
        for index, name in enumerate(names):
            one = file[f"{quantity}_mean"].isel(point=file["condition"].values.tolist().index(name))
            for shift, (prediction, color) in zip((-0.22, 0, 0.22), colors.items(), strict=True):
                for part in ("seen", "held_out"):
                    value = float(one.sel(prediction=prediction, part=part))
                    if np.isfinite(value):
                        expected[color, part == "held_out", round(index + shift, 6)] = value
        assert points_of(axes) == pytest.approx(expected)
        assert [text.get_text() for text in axes.texts] == ["all seen"] * 2, "two windows are whole sequences"


def test_lines_say_what_no_network_and_the_best_prediction_cost(drawn, small_files):
    for found, table in (drawn[HELD_OUT], draw(HELD_OUT, small_files)):
        for dataset, axes in (("mnist", found.axes[0]), ("dsprites", found.axes[2])):
            # Near 417 nats and the entropy of 128 nats of MNIST's grey values; sprites are bits.
            of = summary("log_likelihood", dataset, seeds=(0,) if found is not drawn[HELD_OUT][0] else (0, 1, 2))
            wanted = [float(of[f"{name}_mean"].mean()) for name in ("constant_pixel", "entropy_floor")]
            lines = [line.get_ydata()[0] for line in axes.lines if list(line.get_xdata()) == [0, 1]]
            assert lines == pytest.approx(wanted)
            low, high = axes.get_ylim()
            assert low < min(wanted) and max(wanted) < high
            row = table[table["dataset"] == dataset].iloc[0]
            assert [row["constant_pixel"], row["entropy_floor"]] == pytest.approx(wanted)
        for axes in (found.axes[1], found.axes[3]):
            assert not [line for line in axes.lines if list(line.get_xdata()) == [0, 1]], "nats in a squared error"
    legend = [text.get_text() for text in drawn[HELD_OUT][0].legends[0].get_texts()]
    assert legend[-2:] == ["best constant pixels", "entropy of the frames: least value"]


def test_weights_are_explained_where_there_are_such_models(files, tmp_path):
    assert "length 1" not in texts(figure_module(PAPER, HELD_OUT).draw(inputs_of(HELD_OUT, files))[0])
    for name in ("held_out_frames", "log_likelihood"):
        put(tmp_path, summary(name, "mnist", (*MNIST, *NORMALIZED)), f"{name}_summary")
    inputs = {f"mnist.{name}": tmp_path / f"{name}_summary.nc" for name in ("held_out_frames", "log_likelihood")}
    said = texts(figure_module(PAPER, HELD_OUT).draw(inputs)[0])
    assert "projected, rows of the weights scaled to length 1" in said and "reparam., rows that are" in said


def test_held_out_sd_is_over_seeds(drawn):
    _, table = drawn[HELD_OUT]
    runs = metric("held_out_frames", "dsprites")
    rows = table[table["dataset"] == "dsprites"].set_index(["condition", "prediction", "part"])
    for condition, prediction, part in (("tvae_1_3", "rolled", "held_out"), ("vae", "static", "seen")):
        of = runs["nll"].sel(prediction=prediction, part=part).values[runs["condition"].values == condition]
        row = rows.loc[(condition, prediction, part)]
        assert row["nll_mean"] == pytest.approx(of.mean()) and row["nll_sd"] == pytest.approx(of.std(ddof=1))
        assert row["n_seeds"] == 3 and row["note"] == ""
    assert rows.loc[("tvae_1_2", "rolled", "held_out"), "note"] == "the window of the first frame has no such frame"


def test_held_out_frames_with_one_seed_have_no_sd_and_name_what_was_not_trained(small_files):
    found, table = draw(HELD_OUT, small_files)
    assert table["nll_sd"].isna().all() and set(table["note"]) == {"one seed: no SD"}
    said = texts(found)
    assert "1 seed, so no SD" in said
    listed = re.findall(r"Not trained here: ([^.]*)\.", said)
    for names, of in zip(listed, ((*MNIST, *NORMALIZED), DSPRITES), strict=True):
        assert names.split("; ") == [label_of(name) for name in in_order(of) if name not in ("tvae_1_3", "vae")]


def test_a_condition_that_a_user_adds_is_drawn_last(files, tmp_path):
    file = xr.load_dataset(files["mnist.held_out_frames"]).isel(point=[0, 1])
    file["condition"] = ("point", np.array(["tvae_wide", "vae"], dtype=object))
    path = put(tmp_path, file, "held_out_frames_summary")
    inputs = {"mnist.held_out_frames": path, "mnist.log_likelihood": files["mnist.log_likelihood"]}
    found, table = figure_module(PAPER, HELD_OUT).draw(inputs)
    assert list(dict.fromkeys(table["condition"])) == ["vae", "tvae_wide"]
    assert "tvae_wide" in [label.get_text() for label in found.axes[1].get_xticklabels()]


# What is refused


@pytest.mark.parametrize(
    ("figure", "change", "named"),
    [
        (HELD_OUT, lambda file: file.assign_attrs(dataset="dsprites"), "expected dataset 'mnist', found 'dsprites'"),
        (HELD_OUT, lambda file: file.assign_attrs(paper="sander2026"), f"expected paper '{PAPER}', found 'sander2026'"),
        (HELD_OUT, lambda file: file.isel(point=[0, 0]), "condition 'tvae_1_2' is there 2 times, expected once"),
        (HELD_OUT, lambda file: file.isel(prediction=[0, 2]), "found none named rolled"),
        (HELD_OUT, lambda file: file.isel(part=[0, 2]), "found none named held_out"),
        ("fig11_mnist_vae", lambda file: file.assign_attrs(dataset="dsprites"), "expected dataset 'mnist'"),
        ("fig11_mnist_vae", lambda file: file.isel(line=[0, 2]), "found none named reconstruction"),
    ],
)
def test_a_file_that_is_not_the_right_one_is_named(files, tmp_path, figure, change, named):
    name, schema = (
        ("mnist.held_out_frames", "held_out_frames_summary")
        if figure == HELD_OUT
        else (name_of("mnist", "vae"), "traversals")
    )
    path = put(tmp_path, change(xr.load_dataset(files[name])), schema)
    with pytest.raises(TopoRepError, match=re.escape(f"{path}: ") + ".*" + re.escape(named)):
        main([PAPER, figure, "--input", f"{name}={path}", "--outputs", str(tmp_path / "out" / "a.pdf")])
    assert not (tmp_path / "out").exists()


def test_inputs_of_another_name_are_refused(files):
    path = files["mnist.held_out_frames"]
    with pytest.raises(TopoRepError, match=r"expected one file named <dataset>\.traversals_<model>\.runs, found mnist"):
        figure_module(PAPER, "fig11_mnist_vae").draw({"mnist": path})
    several = {name: files[name] for name in (name_of("mnist", "vae"), name_of("mnist", "tvae_0"))}
    with pytest.raises(TopoRepError, match=r"expected one file named .*, found mnist\.\w+\.runs, mnist\.\w+\.runs"):
        figure_module(PAPER, "fig11_mnist_vae").draw(several)
    wanted = r"expected dsprites\.traversals_<model>\.runs, mnist\.traversals_<model>\.runs, found none"
    with pytest.raises(TopoRepError, match=wanted):
        figure_module(PAPER, EXAMPLES).draw({})
    with pytest.raises(TopoRepError, match=r"expected one file named <dataset>\.torus_images\.runs"):
        figure_module(PAPER, TORUS).draw({"mnist": path})
    with pytest.raises(TopoRepError, match=r"expected files named <dataset>\.held_out_frames, found mnist"):
        figure_module(PAPER, HELD_OUT).draw({"mnist": path})
    inputs = inputs_of(HELD_OUT, files)
    del inputs["dsprites.log_likelihood"]
    with pytest.raises(TopoRepError, match=r"held_out_frames of mnist, dsprites and log_likelihood of mnist$"):
        figure_module(PAPER, HELD_OUT).draw(inputs)
