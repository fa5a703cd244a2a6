"""Figures of maps of Keller, Gao & Welling 2021 (category)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import category_metrics as metrics
import numpy as np
import pytest
import xarray as xr
from capsule_metrics import summarize
from category_responses import GRID, write_runs
from figure_checks import COLOR_BLINDNESS, check_apart, check_drawn_elsewhere, check_page, cielab, texts, visible_texts
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from toporep.analyses import class_selectivity, selectivity
from toporep.config import read_yaml
from toporep.errors import TopoRepError
from toporep.figures import figure_module
from toporep.figures.keller2021_category import PAPER, in_order, label_of, number, percent, read_runs, windowed
from toporep.figures.keller2021_category.maps import SELECTIVITY_COLORS, draw_joint, draw_selectivity
from toporep.io import write_dataset

PROJECT = Path(__file__).parent.parent
ABSTRACT = ("selectivity_animacy", "selectivity_size", "selectivity_faces")
# What each figure is drawn from.
FIGURES = {
    "fig1_face_selectivity": ("selectivity_faces.runs",),
    "fig2_multiclass": ("class_selectivity.runs",),
    "fig3_single_images": ("single_images.runs",),
    "fig4_hierarchy": (*(f"{name}.runs" for name in ABSTRACT), "single_images.runs"),
    "fig5_seeds": (*(f"{name}.runs" for name in ABSTRACT), "class_selectivity.runs", "hierarchy.runs", "hierarchy"),
    "fig6_face_datasets": tuple(f"selectivity_{name}.runs" for name in ("faces", "utkface", "celeba", "lfw")),
    "fig9_tdann_hierarchy": (*(f"{name}.runs" for name in ABSTRACT), "class_selectivity.runs"),
    "fig10_vae_baseline": ("selectivity_faces_vae.runs", "single_images_vae.runs"),
    "figX3_null_maps": tuple(f"{name}.runs" for name in reversed(ABSTRACT)),
}
SETS = ("animate", "inanimate", "faces", "places", "hands")


class Files:
    """Metric files of one size of the sheet, by the names that the workflow gives them, written when asked for."""

    def __init__(self, folder: Path, grid: int, conditions=None) -> None:
        self._folder, self._grid, self._conditions = folder, grid, conditions

    def path(self, name: str) -> Path:
        path = self._folder / f"{name}.nc"
        if not path.exists():
            self.put(name, self.make(name))
        return path

    def make(self, name: str) -> xr.Dataset:
        analysis, _, runs = name.partition(".")
        chosen = {} if self._conditions is None else {"conditions": self._conditions}
        schema = metrics.schema_of(analysis)
        named = {"analysis": analysis} if schema in ("selectivity", "single_images") else {}
        made = getattr(metrics, schema)(grid=self._grid, **named, **chosen)
        return made if runs else summarize(made, analysis)

    def put(self, name: str, dataset: xr.Dataset) -> None:
        analysis, _, runs = name.partition(".")
        schema = metrics.schema_of(analysis)
        write_dataset(dataset, self._folder / f"{name}.nc", schema if runs else f"{schema}_summary")

    def inputs(self, figure: str) -> dict[str, Path]:
        return {f"imagenet_faces.{name}": self.path(name) for name in FIGURES[figure]}

    def load(self, name: str) -> xr.Dataset:
        return xr.load_dataset(self.path(name))


class Drawn(dict):
    """Every figure and its table, drawn when first asked for."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def __missing__(self, figure: str):
        self[figure] = draw(figure, self._files)
        return self[figure]


def draw(figure: str, files: Files, **settings) -> tuple[Figure, object]:
    return figure_module(PAPER, figure).draw(files.inputs(figure), **settings)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Files:
    """The demo's sheets, of stand-in images."""
    return Files(tmp_path_factory.mktemp("small"), 24)


@pytest.fixture(scope="module")
def drawn(files) -> Drawn:
    return Drawn(files)


@pytest.fixture(scope="module")
def paper_files(tmp_path_factory) -> Files:
    return Files(tmp_path_factory.mktemp("paper"), 64)


def pictures(figure: Figure, *, depth: int = 2) -> list[np.ndarray]:
    """The maps of a figure (depth 2) or its images (depth 3) in drawing order; not the color keys."""
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    return [np.ma.filled(picture, np.nan) for picture in shown if picture.ndim == depth]


def run_index(metric: xr.Dataset, condition: str, seed: int = 0) -> int:
    return list(zip(metric["condition"].values, metric["seed"].values, strict=True)).index((condition, seed))


def d_of(metric: xr.Dataset, condition: str, seed: int = 0, quantity: str = "activation") -> np.ndarray:
    of = metric["d"].values[run_index(metric, condition, seed), metrics.QUANTITIES.index(quantity)]
    return of.reshape(24, 24)


def neighbor_r(values: np.ndarray, *, torus: bool) -> float:
    """Pearson's r of horizontally and vertically adjacent values, pair by pair."""
    rows, cols = values.shape
    first, second = [], []
    for row in range(rows):
        for col in range(cols):
            for to_row, to_col in ((row + 1, col), (row, col + 1)):
                if torus or (to_row < rows and to_col < cols):
                    pair = (values[row, col], values[to_row % rows, to_col % cols])
                    first += pair
                    second += pair[::-1]
    return float(np.corrcoef(first, second)[0, 1])


# All figures


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_of_a_demo_is_readable_and_says_that_it_is_no_replication(drawn, figure):
    found, _ = drawn[figure]
    check_page(found, visible_texts(found))
    check_apart(found, visible_texts(found))
    said = texts(found)
    for part in ("rendered stimuli, not a replication", "demo scale", "24 × 24", "claims nothing about the paper"):
        assert part in said, part
    assert "200 images" in said
    assert re.search("not in the paper|None of these numbers is in the paper|The paper shows no null", said)
    assert ("of seeds 0, 1, 2, 3" if figure == "fig5_seeds" else "of seed 0") in said


@pytest.mark.parametrize("figure", ["fig1_face_selectivity", "fig2_multiclass", "fig4_hierarchy", "fig5_seeds"])
def test_a_figure_of_the_paper_s_images_fits_on_a_page_too(paper_files, figure):
    found, _ = draw(figure, paper_files)
    check_page(found, visible_texts(found))
    check_apart(found, visible_texts(found))
    said = texts(found)
    assert "64 × 64" in said and "25 000 images" in said and "trained on ImageNet" in said
    assert "rendered" not in said and "replication" not in said
    assert figure == "fig5_seeds" or "window 25 × 25" in said


@pytest.mark.parametrize("figure", FIGURES)
def test_each_row_of_a_table_has_a_key_of_its_own(drawn, figure):
    _, table = drawn[figure]
    keys = ["dataset", "source", "scale", "map", "kind", "condition", "complement", "seed", "row", "col"]
    doubled = table.duplicated([key for key in keys if key in table])
    assert len(table) and not doubled.any(), table.loc[doubled, "map"].unique()


def test_conditions_are_named_as_in_the_configuration():
    conditions = read_yaml(PROJECT / "config" / "papers" / f"{PAPER}.yaml")["conditions"]
    assert {name: label_of(name) for name in conditions} == {name: of["label"] for name, of in conditions.items()}
    assert in_order(["mine", "fc6", "tvae"]) == ["tvae", "fc6", "mine"] and label_of("mine") == "mine"
    windows = [conditions[name]["window"] for name in windowed(list(conditions))]
    assert windows == [5, 15, 25, 35], "the paper's windows, ascending"


def test_a_stand_in_for_the_pretrained_layer_is_not_called_alexnet(files, tmp_path):
    metric = files.make("selectivity_faces.runs")
    training = json.loads(metric.attrs["training"])
    training["conditions"]["fc6"]["model"] = "tdann"
    stand_in = Files(tmp_path, 24)
    stand_in.put("selectivity_faces.runs", metric.assign_attrs(training=json.dumps(training)))
    assert "AlexNet" not in texts(draw("fig1_face_selectivity", stand_in)[0])
    assert "AlexNet FC6" in texts(draw("fig1_face_selectivity", files)[0])


@pytest.mark.parametrize("figure", FIGURES)
def test_networks_that_were_not_trained_are_told(tmp_path, figure):
    # Windows of other sizes are in no figure of maps.
    files = Files(tmp_path, 24, conditions=("tvae_smaller_window",))
    found, table = draw(figure, files)
    assert len(table) == 0 and list(table.columns)[:5] == ["dataset", "source", "scale", "map", "kind"]
    said = texts(found)
    assert "not trained here" in said and "Not trained at this scale: " in said
    check_apart(found, visible_texts(found))
    if figure == "fig9_tdann_hierarchy":
        assert "Not trained at this scale: TDANN." in said


def test_another_process_writes_the_same_bytes(files, tmp_path):
    chosen = ("fig4_hierarchy",)
    drawn = {figure: draw(figure, files) for figure in chosen}
    inputs = {figure: [f"{name}={path}" for name, path in files.inputs(figure).items()] for figure in chosen}
    check_drawn_elsewhere(PAPER, drawn, inputs, tmp_path)


# Colors


def test_the_map_of_d_is_dark_at_zero_and_its_sides_are_told_apart_by_all():
    lightness = [cielab(SELECTIVITY_COLORS((d + 1) / 2))[0] for d in np.linspace(-1, 1, 41)]
    assert np.argmin(lightness) == 20 and lightness[20] < 15
    assert np.all(np.diff(lightness[20:]) > 0) and np.all(np.diff(lightness[:21]) < 0)
    for d in (0.25, 0.5, 0.85, 1.0):
        for vision in (None, *COLOR_BLINDNESS):
            below, above = (cielab(SELECTIVITY_COLORS((sign * d + 1) / 2), seen_with=vision) for sign in (-1, 1))
            assert np.linalg.norm(above - below) > 11, (d, vision)
    assert SELECTIVITY_COLORS(1.0)[0] > SELECTIVITY_COLORS(1.0)[2], "positive is warm, as in the paper"


def rgba(draw_it, *arguments) -> np.ndarray:
    axes = Figure().add_axes((0, 0, 1, 1))
    draw_it(axes, *arguments)
    image = axes.images[0]
    return image.cmap(image.norm(image.get_array()))


def test_colors_of_d_end_at_one_and_a_missing_value_is_grey():
    shown = rgba(draw_selectivity, np.array([[-3.0, -1.0, 0.0], [1.0, 2.0, np.nan]]))
    np.testing.assert_array_equal(shown[0, 0], shown[0, 1])
    np.testing.assert_array_equal(shown[1, 0], shown[1, 1])
    assert to_hex(shown[1, 2]) == to_hex("0.85")


def test_classes_have_the_published_colors_in_any_order():
    for classes in (["objects", "faces", "bodies", "places"], ["places", "bodies", "faces", "objects"]):
        published = {"objects": "#55dde0", "faces": "#f26419", "bodies": "#f6ae2d", "places": "#33658a"}
        shown = rgba(draw_joint, np.array([[-2, -1, 0, 1, 2, 3]]), classes)[0]
        assert [to_hex(color) for color in shown] == ["#937b43", "#2f4858", *(published[name] for name in classes)]


# Maps of d


def test_figure_1_shows_baseline_tvae_and_tdann_with_numbers_of_the_maps_shown(drawn, files):
    found, table = drawn["fig1_face_selectivity"]
    metric = files.load("selectivity_faces.runs")
    maps = pictures(found)
    assert len(maps) == 3
    for shown, condition in zip(maps, ("fc6", "tvae", "tdann"), strict=True):
        np.testing.assert_array_equal(shown, d_of(metric, condition))
        torus = condition == "tvae"
        of = table[table["condition"] == condition]
        assert of["neighbor_r"].unique() == pytest.approx([neighbor_r(shown, torus=torus)])
        assert f"{neighbor_r(shown, torus=torus):.2f}" in texts(found)
        np.testing.assert_array_equal(of["value"], shown.ravel())
        np.testing.assert_array_equal(of["row"] * 24 + of["col"], np.arange(576))
    untrained = neighbor_r(d_of(metric, "tvae_untrained"), torus=True)
    (null,) = table[table["condition"] == "tvae"]["neighbor_r_label_shuffled"].unique()
    assert f"{untrained:.2f} | {null:.2f}" in texts(found)
    run = metric.isel(run=run_index(metric, "tvae"))
    patch, in_random_places = float(run["largest_patch"][0]), float(run["largest_patch_unit_null"])
    assert f"{patch:.0f} | {in_random_places:.1f}" in texts(found)
    assert in_random_places != float(run["largest_patch_label_null"])
    assert table[table["condition"] == "tdann"]["neighbor_r_untrained"].isna().all()
    assert "window 9 × 9" in texts(found)


def test_the_network_of_the_lowest_seed_is_drawn(files, tmp_path):
    metric = files.make("selectivity_faces.runs")
    later = Files(tmp_path, 24)
    later.put("selectivity_faces.runs", metric.isel(run=(metric["seed"] >= 2).values)[dict(run=slice(None, None, -1))])
    found, table = draw("fig1_face_selectivity", later)
    assert set(table["seed"]) == {2}
    np.testing.assert_array_equal(pictures(found)[0], d_of(metric, "tvae", 2))


def test_figure_2_shows_the_joint_map_before_and_after_training(drawn, files):
    found, table = drawn["fig2_multiclass"]
    metric = files.load("class_selectivity.runs")
    of = [("tvae", 0), ("tvae_untrained", 0), ("tvae", 1)]
    for shown, (condition, complement) in zip(pictures(found), of, strict=True):
        d = metric["d"].values[run_index(metric, condition), complement].reshape(4, 24, 24)
        passing = d >= 0.85
        alone = passing.sum(0) == 1
        np.testing.assert_array_equal(shown == -1, ~passing.any(0))
        np.testing.assert_array_equal(shown == -2, passing.sum(0) > 1)
        np.testing.assert_array_equal(shown[alone], d.argmax(0)[alone])
        assert f"{100 * passing[1].mean():.1f} % | {d[1].max():.2f} |" in texts(found)
    assert (pictures(found)[1] == -1).all() and (pictures(found)[0] >= 0).any()
    said = table.groupby(["condition", "complement"]).size().to_dict()
    assert said == dict.fromkeys([("tvae", "classes"), ("tvae", "images"), ("tvae_untrained", "images")], 576)
    names = {-2: "several", -1: "none", **dict(enumerate(metric["class"].values.tolist()))}
    assert [names[value] for value in table["value"]] == table["class"].tolist()


def test_figure_4_marks_the_strongest_unit_of_each_image_on_all_trained_maps(drawn, files):
    found, table = drawn["fig4_hierarchy"]
    singles = files.load("single_images.runs")
    run = run_index(singles, "tvae")
    activation = singles["activation"].values[run, :, 0]
    order = [singles["set"].values.tolist().index(name) for name in SETS]
    strongest = [np.unravel_index(activation[index].argmax(), (24, 24)) for index in order]
    trained = [axes for axes in found.axes if axes.images and axes.lines]
    assert len(trained) == 3 and len(pictures(found)) == 6
    for axes, name in zip(trained, ABSTRACT, strict=True):
        # Each mark is drawn twice, black under white.
        marks = [(int(line.get_ydata()[0]), int(line.get_xdata()[0])) for line in axes.lines[::2]]
        assert marks == strongest
        values = d_of(files.load(f"{name}.runs"), "tvae")
        np.testing.assert_array_equal(np.asarray(axes.images[0].get_array()), values)
        target = {"selectivity_animacy": "animate", "selectivity_size": "small"}.get(name, "faces")
        said = [text.get_text() for text in found.texts if text.get_text().startswith(f"{target}: d = ")]
        assert said == [f"{target}: d = {number(values[unit])}" for unit in strongest]
    for name, (row, col) in zip(SETS, strongest, strict=True):
        marked = table[table["most_active_for"].str.split("; ").map(lambda names, name=name: name in names)]
        assert set(zip(marked["condition"], marked["row"], marked["col"], strict=True)) == {("tvae", row, col)}
        assert len(marked) == 3
    for shown, index in zip(pictures(found, depth=3), order, strict=True):
        np.testing.assert_array_equal(shown, singles["thumbnail"].values[index, 0])


def test_figure_5_has_a_column_a_seed_and_means_and_sds_over_seeds(drawn, files):
    found, table = drawn["fig5_seeds"]
    maps = pictures(found)
    assert len(maps) == 16
    for row, name in enumerate(ABSTRACT):
        for seed in range(4):
            np.testing.assert_array_equal(maps[4 * row + seed], d_of(files.load(f"{name}.runs"), "tvae", seed))
    assert sorted(table["seed"].unique()) == [0, 1, 2, 3]
    hierarchy = files.load("hierarchy.runs")
    values = hierarchy["correlation"].values[hierarchy["condition"].values == "tvae"]
    for pair, of_pair in zip(hierarchy["pair"].values, values.T, strict=True):
        assert f"{pair}: {number(of_pair.mean())} ± {of_pair.std(ddof=1):.2f}" in texts(found)
        for r in of_pair:
            assert f"{number(r)} (" in texts(found)
        np.testing.assert_array_equal(table[(table["kind"] == "agreement") & (table["map"] == pair)]["value"], of_pair)
    assert "0.05 if they lay anywhere" in texts(found)


def test_figure_5_draws_as_many_networks_as_it_is_asked_for(files):
    found, table = draw("fig5_seeds", files, models=2)
    assert len(pictures(found)) == 8 and set(table["seed"]) == {0, 1}
    with pytest.raises(TopoRepError, match="models: expected at least 1, found 0"):
        draw("fig5_seeds", files, models=0)


def test_figure_6_shows_four_sets_of_faces_in_two_networks(drawn, files):
    maps = pictures(drawn["fig6_face_datasets"][0])
    expected = [(c, name) for c in ("tvae", "tdann") for name in ("faces", "utkface", "celeba", "lfw")]
    for shown, (condition, name) in zip(maps, expected, strict=True):
        np.testing.assert_array_equal(shown, d_of(files.load(f"selectivity_{name}.runs"), condition))


def test_figure_9_is_of_the_tdann_alone(drawn, files):
    found, table = drawn["fig9_tdann_hierarchy"]
    assert set(table["condition"]) == {"tdann"}
    maps = pictures(found)
    for shown, name in zip(maps[:3], ABSTRACT, strict=True):
        np.testing.assert_array_equal(shown, d_of(files.load(f"{name}.runs"), "tdann"))
    classes = files.load("class_selectivity.runs")
    np.testing.assert_array_equal(maps[3].ravel(), classes["joint"].values[run_index(classes, "tdann"), 0])


# Single images


@pytest.mark.parametrize("example", [0, 1])
def test_figure_3_shows_images_and_the_activations_that_they_give(files, example):
    found, _ = draw("fig3_single_images", files, example=example)
    singles = files.load("single_images.runs")
    order = [singles["set"].values.tolist().index(name) for name in SETS]
    for shown, index in zip(pictures(found, depth=3), order, strict=True):
        np.testing.assert_array_equal(shown, singles["thumbnail"].values[index, example])
    expected = [(c, index) for c in ("tvae", "tvae_untrained") for index in order]
    for shown, (condition, index) in zip(pictures(found), expected, strict=True):
        of = singles["activation"].values[run_index(singles, condition), index, example]
        np.testing.assert_array_equal(shown.ravel(), of)
    assert f"image {example + 1} in the order" in texts(found)


def test_figure_10_has_the_vae_above_and_shares_of_selective_units(drawn, files):
    found, table = drawn["fig10_vae_baseline"]
    metric = files.load("selectivity_faces_vae.runs")
    maps = pictures(found)
    assert len(maps) == 12
    for shown, condition in zip((maps[0], maps[6]), ("vae", "tvae"), strict=True):
        np.testing.assert_array_equal(shown, d_of(metric, condition))
        said = texts(found)
        assert percent((shown >= 0.85).mean()) in said
        assert percent((d_of(metric, condition, quantity="mean_activation") >= 0.85).mean()) in said
    of = table[(table["condition"] == "vae") & (table["kind"] == "selectivity")]
    assert of["selective_share"].unique() == pytest.approx([(of["value"] >= 0.85).mean()])


# Nulls


def test_figure_x3_shows_what_each_null_leaves(drawn, files):
    found, table = drawn["figX3_null_maps"]
    maps = pictures(found)
    assert len(maps) == 21
    metric = files.load("selectivity_faces.runs")
    trained, untrained, labels, units, numerator, root, tdann = maps[:7]
    np.testing.assert_array_equal(trained, d_of(metric, "tvae"))
    np.testing.assert_array_equal(untrained, d_of(metric, "tvae_untrained"))
    np.testing.assert_array_equal(numerator, d_of(metric, "tvae", quantity="numerator"))
    np.testing.assert_array_equal(root, d_of(metric, "tvae", quantity="inverse_root"))
    np.testing.assert_array_equal(tdann, d_of(metric, "tdann"))
    np.testing.assert_array_equal(np.sort(units, axis=None), np.sort(trained, axis=None))
    assert abs(labels).max() < 0.5 < abs(trained).max()
    for shown, what in ((trained, "trained"), (tdann, "FC6"), (root, "1/√v alone")):
        of = table[table["map"] == f"faces − objects, {what}"]
        for boundary in ("torus", "open"):
            r = neighbor_r(shown, torus=boundary == "torus")
            assert of[f"neighbor_r_{boundary}"].unique() == pytest.approx([r])
        assert of["largest_d"].unique() == pytest.approx([shown.max()])
    # Smoothness of shuffled maps is a mean over shuffles, not that of the one drawn.
    of = table[table["map"] == "faces − objects, units shuffled"]
    assert of["neighbor_r_torus"].unique() == pytest.approx([-0.002])


# What is refused


def test_a_missing_file_is_named(files):
    given = files.inputs("fig4_hierarchy")
    del given["imagenet_faces.selectivity_size.runs"]
    with pytest.raises(TopoRepError, match=re.escape("expected a file named imagenet_faces.selectivity_size.runs")):
        figure_module(PAPER, "fig4_hierarchy").draw(given)


@pytest.mark.parametrize(
    ("attrs", "message"),
    [({"paper": "truong2025"}, "expected paper"), ({"dataset": "mnist"}, "expected dataset 'imagenet_faces'")],
)
def test_a_file_of_another_paper_or_data_set_is_refused(files, tmp_path, attrs, message):
    other = Files(tmp_path, 24)
    other.put("class_selectivity.runs", files.make("class_selectivity.runs").assign_attrs(attrs))
    with pytest.raises(TopoRepError, match=message):
        draw("fig2_multiclass", other)


def test_files_of_different_scales_are_refused(files, tmp_path):
    mixed = Files(tmp_path, 24)
    mixed.put("selectivity_utkface.runs", files.make("selectivity_utkface.runs").assign_attrs(scale="reduced"))
    with pytest.raises(TopoRepError, match="expected files of one scale, found 'demo' and 'reduced'"):
        draw("fig6_face_datasets", mixed)


def test_a_run_that_is_there_twice_is_refused(files, tmp_path):
    metric = files.make("selectivity_faces.runs")
    doubled = Files(tmp_path, 24)
    doubled.put("selectivity_faces.runs", xr.concat([metric, metric.isel(run=[0])], "run", data_vars="minimal"))
    with pytest.raises(TopoRepError, match="tvae, seed 0 is there 2 times, expected once"):
        read_runs(doubled.inputs("fig1_face_selectivity"), "selectivity_faces", "selectivity")


def test_units_that_are_not_in_order_are_refused(files, tmp_path):
    metric = files.make("selectivity_faces.runs")
    other = Files(tmp_path, 24)
    other.put("selectivity_faces.runs", metric.assign_coords(row=metric["row"][::-1].variable))
    with pytest.raises(TopoRepError, match="do not number a sheet of 24 by 24 row by row"):
        draw("fig1_face_selectivity", other)


def test_an_image_that_is_not_there_is_refused(files, tmp_path):
    with pytest.raises(TopoRepError, match="example: expected 0 to 1, the images kept of each set, found 2"):
        draw("fig3_single_images", files, example=2)
    few = Files(tmp_path, 24)
    few.put("single_images.runs", files.make("single_images.runs").isel(set=[0, 1]))
    with pytest.raises(TopoRepError, match="expected images of the set 'faces', found animate, inanimate"):
        draw("fig3_single_images", few)


# What the analyses write


def test_figures_draw_what_the_analyses_write(tmp_path):
    runs = [("tvae", 0), ("tvae_untrained", 0), ("tdann", 0), ("fc6", 0)]
    paths = write_runs(
        tmp_path, runs, ["faces", "objects"], paper=PAPER, dataset="imagenet_faces", source="rendered_training"
    )
    written = Files(tmp_path, 24)
    written.put("selectivity_faces.runs", selectivity.run(paths, {"shuffles": 5, "splits": 5}, {})[0])
    classes = {"objects": ["objects"], "faces": ["faces"]}
    written.put("class_selectivity.runs", class_selectivity.run(paths, {"shuffles": 5, "classes": classes}, {})[0])
    for figure in ("fig1_face_selectivity", "fig2_multiclass"):
        found, table = draw(figure, written)
        assert all(shown.shape == GRID for shown in pictures(found))
        assert f"{GRID[0]} × {GRID[1]}" in texts(found) and "window 5 × 5" in texts(found)
        assert np.isfinite(table["value"]).all()
        check_apart(found, visible_texts(found))
