"""The atlas: one set of metrics for the sheets of all papers, its figure, its table and its place in the catalog."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from activation_dumps import make_dump
from category_responses import make_responses, smooth_map, write_responses
from figure_checks import check_apart, check_page, check_same_bytes, texts, visible_texts
from matplotlib.collections import PathCollection

from toporep.analyses import atlas
from toporep.analyses.atlas import DEFAULTS, Sheet, map_products, measure, random_places, sheet_distances
from toporep.catalog import COMPARISON, load_catalog
from toporep.cli.figure import main as draw_command
from toporep.config import load_config, merge, read_yaml
from toporep.errors import TopoRepError
from toporep.figures import figure_module
from toporep.figures.comparison import METRICS, read_sheets
from toporep.io import write_dataset
from toporep.metrics import (
    chance_distance,
    colocalization_distance,
    correlation_by_distance,
    effective_dimensionality,
    expected_morans_i,
    map_smoothness,
    morans_i,
)
from toporep.tables import table_module
from toporep.tables.text import TextTable
from toporep.workflow import Workflow

REPOSITORY = Path(__file__).resolve().parent.parent
GRID = (8, 8)
SETTINGS = {**DEFAULTS, "shuffles": 40}
TOPOGRAPHY = ("morans_i", "nearest", "colocalization", "smoothness")


def smooth_sheet(grid=GRID, *, images=60, classes=3, boundary="torus", seed=0) -> Sheet:
    """A sheet of three smooth maps, one of which each class drives, and noise."""
    generator = np.random.default_rng(seed)
    maps = np.stack([smooth_map(seed + 10 * index, grid) for index in range(classes)])
    label = np.arange(images) % classes
    drive = generator.standard_normal((images, classes)) + 2 * np.eye(classes)[label]
    noise = 0.5 * generator.standard_normal((images, maps.shape[1]))
    return Sheet((drive @ maps + noise).astype(np.float32), label, grid, boundary)


def moved(sheet: Sheet, place: np.ndarray) -> Sheet:
    return Sheet(sheet.activations[:, place], sheet.label, sheet.grid, sheet.boundary)


def measured(sheet: Sheet, **settings) -> dict:
    settings = {**SETTINGS, **settings}
    units = sheet.activations.shape[1]
    return measure(sheet, settings, random_places(units, shuffles=settings["shuffles"], seed=settings["seed"]))


# The metrics


@pytest.mark.parametrize("boundary", ["open", "torus"])
def test_the_metrics_are_those_of_the_kernels(boundary):
    sheet = smooth_sheet((6, 8), boundary=boundary)
    found, maps = measured(sheet), sheet.activations
    centered = maps - maps.mean(axis=0, dtype=np.float64)
    for index, values in enumerate((maps, centered)):
        # On a torus, where all units have as many neighbors, the correlation of neighbors is Moran's I.
        kernel = (
            morans_i(values.reshape(-1, 6, 8), "rook") if boundary == "open" else map_smoothness(values, (6, 8))
        ).mean()
        assert found["morans_i"][index] == pytest.approx(kernel, abs=1e-6)
        assert found["morans_i_excess"][index] == pytest.approx(kernel + 1 / 47, abs=1e-6)
    curve = correlation_by_distance(maps, (6, 8), boundary=boundary, bins="exact")
    assert found["nearest"] == pytest.approx(curve.mean[0])
    assert found["all_pairs"] == pytest.approx(np.average(curve.mean, weights=curve.pairs))
    assert found["participation_ratio"] == pytest.approx(effective_dimensionality(maps))
    assert found["dimensionality"] == pytest.approx(effective_dimensionality(maps) / 48)
    if boundary == "open":
        kernel = colocalization_distance(maps, (6, 8), SETTINGS["thresholds"])
        np.testing.assert_allclose(found["colocalization"], kernel.distance / chance_distance((6, 8)))
        np.testing.assert_allclose(found["alike_share"], kernel.pairs / (48 * 47 / 2))


def test_units_in_random_places_are_within_chance_and_smooth_maps_beyond_it():
    sheet = smooth_sheet()
    found, by_chance = measured(sheet), measured(moved(sheet, np.random.default_rng(5).permutation(64)))
    for name in TOPOGRAPHY:
        low, high = np.asarray(found[f"{name}_null_low"]), np.asarray(found[f"{name}_null_high"])
        far = np.asarray(found[name]) < low if name == "colocalization" else np.asarray(found[name]) > high
        assert far.all(), name
        low, high = np.asarray(by_chance[f"{name}_null_low"]), np.asarray(by_chance[f"{name}_null_high"])
        margin = (high - low) / 2
        assert ((by_chance[name] > low - margin) & (by_chance[name] < high + margin)).all(), name
        # The null does not know where the units were.
        assert np.allclose(found[f"{name}_null"], by_chance[f"{name}_null"], atol=0.05), name


def test_a_draw_of_the_null_is_the_sheet_with_its_units_moved():
    sheet = smooth_sheet()
    places = random_places(64, shuffles=6, seed=3)
    found = measure(sheet, SETTINGS, places)
    draws = [measure(moved(sheet, place), SETTINGS, places[:1]) for place in places]
    for name in TOPOGRAPHY:
        values = np.array([draw[name] for draw in draws])
        np.testing.assert_allclose(found[f"{name}_null"], values.mean(axis=0), err_msg=name)
        for limit, level in (("low", 0.025), ("high", 0.975)):
            np.testing.assert_allclose(found[f"{name}_null_{limit}"], np.quantile(values, level, axis=0), err_msg=name)


def test_a_distance_that_is_an_edge_belongs_to_the_nearer_bin():
    sheet = smooth_sheet((10, 10), boundary="open")
    correlations = np.corrcoef(sheet.activations.T.astype(np.float64))
    distances = sheet_distances((10, 10), "open")
    expected = [
        correlations[(distances > low + 1e-6) & (distances < high + 1e-6)].mean() for low, high in pairwise(range(6))
    ]
    np.testing.assert_allclose(measured(sheet, shuffles=1)["correlation"], expected)


def test_what_units_answer_does_not_depend_on_their_places():
    sheet = smooth_sheet()
    found, other = measured(sheet), measured(moved(sheet, np.random.default_rng(1).permutation(64)))
    for name in ("selective_share", "selective_share_null", "participation_ratio", "all_pairs", "alike_share"):
        np.testing.assert_allclose(found[name], other[name], err_msg=name)
    # Relabelled by chance, neighbors correlate as all pairs do, and no map has an excess.
    assert found["nearest_null"] == pytest.approx(found["all_pairs"], abs=0.02)
    assert found["morans_i_null"] == pytest.approx([expected_morans_i(64)] * 2, abs=0.03)
    np.testing.assert_allclose(found["colocalization_null"], 1, atol=0.03)


def test_a_torus_has_no_middle():
    sheet = smooth_sheet()
    rolled = np.roll(np.arange(64).reshape(GRID), (3, 5), (0, 1)).ravel()
    found, other = measured(sheet), measured(moved(sheet, rolled))
    for name in (*TOPOGRAPHY, "correlation"):
        np.testing.assert_allclose(found[name], other[name], rtol=1e-6, atol=1e-7, err_msg=name)
    open_sheet = Sheet(sheet.activations, sheet.label, GRID, "open")
    shifted = moved(open_sheet, rolled)
    assert measured(open_sheet)["nearest"] > measured(shifted)["nearest"] + 0.01


@pytest.mark.parametrize("boundary", ["open", "torus"])
def test_distances_are_those_of_a_plain_loop(boundary):
    rows, cols = 4, 5
    found = sheet_distances((rows, cols), boundary)
    for one in range(rows * cols):
        for other in range(rows * cols):
            down, right = abs(one // cols - other // cols), abs(one % cols - other % cols)
            if boundary == "torus":
                down, right = min(down, rows - down), min(right, cols - right)
            assert found[one, other] == pytest.approx(np.hypot(down, right))
    if boundary == "open":
        assert found.sum() / (20 * 19) == pytest.approx(chance_distance((rows, cols)))


def test_products_of_maps_average_to_the_expected_morans_i_over_all_pairs():
    maps = np.random.default_rng(0).normal(3, 2, size=(7, 12))
    products = map_products(np.vstack([maps, np.full((2, 12), 0.1)]))
    first, second = np.triu_indices(12, 1)
    assert products[first, second].mean() == pytest.approx(-1 / 11)
    np.testing.assert_allclose(products, map_products(5 * maps - 1), atol=1e-12)
    assert np.isnan(map_products(np.ones((3, 12)))).all()


def test_units_tuned_to_a_class_are_the_selective_ones():
    generator = np.random.default_rng(0)
    label = np.repeat(np.arange(4), 100)
    activations = generator.standard_normal((400, 36))
    # A quarter of the units answers to class 0; another one answers less to class 1, which is no selectivity.
    activations[label == 0, :9] += 3
    activations[label == 1, 9:18] -= 2
    found = measured(Sheet(activations, label, (6, 6), "open"))
    assert found["selective_share"] == 9 / 36
    assert found["selective_share_null"] == found["selective_share_null_high"] == 0
    assert measured(Sheet(activations, label, (6, 6), "open"), selective=5.0)["selective_share"] == 0


def test_dimensions_reach_chance_for_units_that_share_nothing_and_are_one_for_units_that_share_all():
    generator = np.random.default_rng(0)
    label = np.arange(200) % 2
    apart = measured(Sheet(generator.standard_normal((200, 36)), label, (6, 6), "open"))
    assert apart["dimensionality"] == pytest.approx(apart["dimensionality_null"], rel=0.03)
    alike = generator.standard_normal((200, 1)) * generator.uniform(1, 2, size=36)
    one = measured(Sheet(alike, label, (6, 6), "open"))
    assert one["participation_ratio"] == pytest.approx(1)
    assert one["dimensionality_null"] == pytest.approx(apart["dimensionality_null"], rel=0.2)
    # All units do the same: neighbors are not more alike than others, and no pair is nearer than chance.
    assert one["nearest"] == pytest.approx(one["nearest_null_high"]) == pytest.approx(1)
    np.testing.assert_allclose(one["colocalization"], 1)


def test_constant_units_count_for_nothing():
    sheet = smooth_sheet()
    silent = sheet.activations.copy()
    silent[:, ::8] = 0.1
    found = measured(Sheet(silent, sheet.label, GRID, "torus"))
    assert found["constant_share"] == 1 / 8
    kernel = correlation_by_distance(silent, GRID, boundary="torus", bins="exact").mean[0]
    assert found["nearest"] == pytest.approx(kernel)
    dead = measured(Sheet(np.full((60, 64), 0.1), sheet.label, GRID, "torus"))
    assert dead["constant_share"] == 1 and dead["selective_share"] == 0
    for name in ("nearest", "all_pairs", "participation_ratio", "smoothness"):
        assert np.isnan(dead[name]), name
    assert np.isnan(dead["morans_i"]).all() and np.isnan(dead["colocalization"]).all()


def test_distances_by_width_do_not_depend_on_the_number_of_units():
    # The same maps, drawn on sheets of two sizes.
    curves = []
    for size in (16, 32):
        generator = np.random.default_rng(3)
        maps = np.stack([smooth_map(index, (32, 32), width=5).reshape(32, 32) for index in range(6)])
        maps = maps[:, :: 32 // size, :: 32 // size].reshape(6, -1)
        activations = generator.standard_normal((80, 6)) @ maps
        curves.append(measured(Sheet(activations, np.arange(80) % 2, (size, size), "torus"), shuffles=1)["correlation"])
    np.testing.assert_allclose(curves[0], curves[1], atol=0.08)
    assert curves[0][0] > 0.7 and (np.diff(curves[0]) < 0).all()


# Dumps of either kind


def run(paths, **settings):
    return atlas.run(map(str, paths), {"shuffles": 3, **settings}, {"scale": "demo"})


def write_dump(folder, name="dump", **options) -> str:
    options = {"condition": "control", "strength": 0.0, "seed": 0, **options}
    path = folder / f"{name}.nc"
    write_dataset(make_dump(**options), path, "activations")
    return str(path)


CLASSES = {"objects": ["objects"], "faces": ["faces"], "bodies": ["headless", "hands"]}


def test_equal_responses_have_equal_metrics_in_either_kind_of_file(tmp_path):
    sheet = smooth_sheet((6, 8), images=90)
    order = np.argsort(sheet.label, kind="stable")
    activations, label = sheet.activations[order], sheet.label[order]
    dump = make_dump("control", 0.0, 0, grid=(6, 8), activations=activations).assign_coords(label=("stimulus", label))
    write_dataset(dump, tmp_path / "dump.nc", "activations")
    of_labels, _ = run([tmp_path / "dump.nc"], images=90)
    sets = {name: activations[label == number] for number, name in enumerate(("objects", "faces", "places"))}
    made = [
        make_responses("tdann", name, activations=of_set, sampled=None, grid=(6, 8)) for name, of_set in sets.items()
    ]
    of_sets, _ = run(write_responses(tmp_path, made), images=90)
    for name in of_labels.data_vars:
        np.testing.assert_allclose(of_sets[name], of_labels[name], rtol=1e-6, err_msg=name)
    assert of_sets.attrs["classes"] == of_labels.attrs["classes"] == 3


def test_the_boundary_is_the_networks_own(tmp_path):
    made = [make_responses(model, name) for model in ("tvae", "vae", "tdann") for name in ("faces", "objects")]
    metric, _ = run(write_responses(tmp_path, made))
    assert metric["torus"].values.tolist() == [1, 1, 0]


def test_each_class_has_as_many_images_and_a_class_of_several_sets_equal_parts(tmp_path):
    # The activation of every image is the number of its set, so that the images chosen can be counted.
    numbers = {"objects": 0, "faces": 1, "headless": 2, "hands": 3}
    sizes = {"objects": 40, "faces": 20, "headless": 30, "hands": 8}
    made = [
        make_responses("tdann", name, activations=np.full((sizes[name], 48), float(number)), sampled=None)
        for name, number in numbers.items()
    ]
    paths = write_responses(tmp_path, made)
    for images, expected in ((18, [6, 6, 3, 3]), (1000, [16, 16, 8, 8]), (21, [7, 7, 4, 3])):
        _, sheets = atlas._sheets(paths, {**SETTINGS, "classes": CLASSES, "images": images}, {})
        (sheet,) = sheets
        assert [int((sheet.activations[:, 0] == number).sum()) for number in numbers.values()] == expected
        assert np.bincount(sheet.label).tolist() == [expected[0], expected[1], expected[2] + expected[3]]
    metric, _ = run(paths, classes=CLASSES)
    assert metric.attrs["images"] == 48 and metric.attrs["classes"] == 3


def test_images_of_a_class_are_spread_over_all_that_there_are(tmp_path):
    activations = np.arange(100.0)[:, None] * np.ones(12)
    path = write_dump(tmp_path, activations=activations.astype(np.float32))
    _, sheets = atlas._sheets([path], {**SETTINGS, "images": 20}, {})
    (sheet,) = sheets
    assert sheet.label.tolist() == np.repeat(np.arange(10), 2).tolist()
    assert sheet.activations[:, 0].tolist() == [image for label in range(10) for image in (label, 90 + label)]


def test_the_files_say_what_was_measured(tmp_path):
    paths = [write_dump(tmp_path, f"d{seed}", seed=seed) for seed in range(3)]
    metric, summary = run(paths, images=40)
    found = {name: metric.attrs[name] for name in ("images", "classes", "units", "rows", "cols")}
    assert found == {"images": 40, "classes": 10, "units": 12, "rows": 3, "cols": 4}
    assert metric.attrs["chance_morans_i"] == -1 / 11
    for dataset, schema in ((metric, "atlas"), (summary, "atlas_summary")):
        write_dataset(dataset, tmp_path / "out.nc", schema)
    assert summary["nearest_mean"].item() == pytest.approx(metric["nearest"].mean().item())
    assert summary["n"].item() == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": CLASSES}, "classes: expected null for activation dumps"),
        ({"images": 15}, "expected at least 2 classes with at least 2 images each of 15 in all, found classes of 6, 6"),
        ({"shuffles": 0}, "shuffles: expected at least 1, found 0"),
        ({"alpha": 0.5}, "settings: unknown 'alpha'"),
    ],
)
def test_what_cannot_be_measured_is_refused(tmp_path, settings, message):
    with pytest.raises(TopoRepError, match=message):
        run([write_dump(tmp_path)], **settings)


def test_a_missing_file_is_told_by_its_name(tmp_path):
    with pytest.raises(TopoRepError, match="absent.nc"):
        run([tmp_path / "absent.nc"])


# The figure and the table

STRENGTHS = (0.1, 0.3, 0.5, 1, 2, 3)
SHUFFLES = {"shuffles": 5}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> dict[str, Path]:
    """Summaries of all papers, with as many conditions and strengths as at the papers' scale."""
    folder = tmp_path_factory.mktemp("atlas")
    inputs = {}
    cnn = [("control", 0)] + [(name, strength) for name in ("ws", "as", "as_reshaped") for strength in STRENGTHS]
    resnet = [(name, rho) for name in ("margin", "ce", "simclr", "supcon") for rho in (0, 0.008, 0.04, 0.2, 1, 5)]
    for paper, dataset, runs in (
        ("truong2025", "mnist", cnn),
        ("truong2025", "cifar10", cnn),
        ("sander2026", "cifar10", resnet),
    ):
        paths = [
            write_dump(
                folder,
                f"{paper}-{dataset}-{condition}-{strength:g}-{seed}",
                condition=condition,
                strength=float(strength),
                seed=seed,
                paper=paper,
                dataset=dataset,
            )
            for condition, strength in runs
            for seed in range(2)
        ]
        inputs[f"{paper}.{dataset}.atlas"] = summary_file(folder / f"{paper}-{dataset}.nc", paths)
    models = ("tvae", "tvae_larger_window", "tvae_untrained", "vae", "tdann", "tdann_nonspatial", "fc6")
    sets = ("objects", "faces", "headless", "hands")
    made = [make_responses(model, name) for model in models for name in sets]
    paths = write_responses(folder, made)
    inputs["keller2021_category.imagenet_faces.atlas"] = summary_file(folder / "category.nc", paths, classes=CLASSES)
    return inputs


def summary_file(path: Path, dumps: list[str], **settings) -> Path:
    _, summary = atlas.run(dumps, {"images": 60, **SHUFFLES, **settings}, {"scale": "demo"})
    write_dataset(summary, path, "atlas_summary")
    return path


def draw(inputs):
    return figure_module("comparison", "figX_atlas").draw(inputs)


def build(inputs) -> tuple[pd.DataFrame, TextTable]:
    return table_module("comparison", "table_atlas").build(inputs)


def test_all_papers_stand_on_one_page_without_texts_on_each_other(world):
    figure, _ = draw(world)
    shown = visible_texts(figure)
    check_page(figure, shown)
    check_apart(figure, shown)


def test_it_can_be_read_alone(world):
    figure, _ = draw(world)
    said = texts(figure)
    for part in (
        "Truong & Hasson 2025, MNIST (stand-in: digits); 3 × 4 units, 10 classes",
        "Sander & Hasson 2026, CIFAR-10 (stand-in: digits)",
        "Keller, Gao & Welling 2021, categories (stand-in: rendered); 6 × 8 units, 3 classes",
        "Control (2)",
        "TVAE (1)",
        "All sheets: 60 images, equally many of each class",
        "Chance: 2.5 % to 97.5 % of 5 draws",
        "equally many of each class, spread evenly over those in the file",
        "neighbors: the four at distance 1, which share an edge",
        "units have random places",
        "images' labels are shuffled",
        "Not comparable",
        "answer sequences and are left out",
        "2 seeds",
        "The demo scale shows that the analysis runs",
    ):
        assert part in said, part


def test_hollow_points_lie_within_chance_and_the_numbers_are_those_of_the_files(world):
    figure, table = draw(world)
    sheets = read_sheets(world)
    for axes, metric in zip(figure.axes, METRICS, strict=False):
        rows = table[table["metric"] == metric.name]
        within = (rows["mean"] >= rows["null_low"]) & (rows["mean"] <= rows["null_high"])
        points = [each for each in axes.collections if isinstance(each, PathCollection)]
        places = np.concatenate([np.ma.filled(each.get_offsets(), np.nan)[:, 0] for each in points])
        hollow = np.concatenate([(each.get_facecolors()[:, :3] == 1).all(axis=1) for each in points])
        assert sorted(places[hollow]) == pytest.approx(sorted(rows["mean"][within]))
        filled = rows["mean"][~within & np.isfinite(rows["mean"])]
        assert sorted(places[~hollow & np.isfinite(places)]) == pytest.approx(sorted(filled))
    of_file = sheets[2].summary
    place = {"metric": "nearest", "paper": "sander2026", "condition": "ce", "strength": 0.2}
    (row,) = (each for _, each in table.iterrows() if all(each[key] == value for key, value in place.items()))
    (point,) = np.flatnonzero((of_file["condition"].values == "ce") & (of_file["strength"].values == 0.2))
    assert row["mean"] == of_file["nearest_mean"].values[point] and row["n"] == 2
    assert row["null_high"] == of_file["nearest_null_high_mean"].values[point]


def test_strengths_go_down_from_weak_to_strong_and_right_is_more_topography(world):
    figure, _ = draw(world)
    sheets = read_sheets({"sander2026.cifar10.atlas": world["sander2026.cifar10.atlas"]})[0]
    points = sheets.points("ce")
    assert sheets.summary["strength"].values[points].tolist() == [0, 0.008, 0.04, 0.2, 1, 5]
    (line,) = (
        each
        for each in figure.axes[1].get_lines()
        if len(each.get_xdata()) == 6
        and np.array_equal(each.get_xdata(), sheets.summary["nearest_mean"].values[points])
    )
    assert (np.diff(line.get_ydata()) > 0).all() and figure.axes[1].yaxis_inverted()
    assert figure.axes[2].xaxis_inverted() and not figure.axes[0].xaxis_inverted()


def test_one_paper_alone_is_drawn(world):
    inputs = {"truong2025.mnist.atlas": world["truong2025.mnist.atlas"]}
    figure, table = draw(inputs)
    shown = visible_texts(figure)
    check_page(figure, shown)
    check_apart(figure, shown)
    assert set(table["paper"]) == {"truong2025"}
    _, text = build(inputs)
    assert "Sander" not in text.markdown().split("\n\n")[1]


def test_unequal_numbers_of_images_are_said(world, tmp_path):
    paths = [write_dump(tmp_path, condition=name, strength=float(name != "control")) for name in ("control",)]
    other = summary_file(tmp_path / "few.nc", paths, images=40)
    figure, _ = draw({**world, "truong2025.mnist.atlas": other})
    assert "not as many for all sheets" in texts(figure) and "MNIST (stand-in: digits): 40" in texts(figure)


def test_sheets_that_were_measured_otherwise_are_refused(world, tmp_path):
    path = summary_file(tmp_path / "other.nc", [write_dump(tmp_path)], thresholds=[0.5, 0.6])
    inputs = {**world, "truong2025.cifar10.atlas": path}
    with pytest.raises(TopoRepError, match="expected dataset 'cifar10', found 'mnist'"):
        draw(inputs)
    inputs = {"sander2026.cifar10.atlas": world["sander2026.cifar10.atlas"], "truong2025.mnist.atlas": path}
    with pytest.raises(TopoRepError, match="expected settings .*measure all papers alike"):
        draw(inputs)
    with pytest.raises(TopoRepError, match="expected files named <paper>.<dataset>.atlas, found none"):
        draw({})
    path = summary_file(tmp_path / "without.nc", [write_dump(tmp_path)], thresholds=[0.4])
    with pytest.raises(TopoRepError, match=r"expected threshold 0.5, found 0.4; add it to the settings"):
        draw({"truong2025.mnist.atlas": path})


def test_the_table_has_a_row_for_each_point_and_chance_in_brackets(world):
    numbers, text = build(world)
    lines = [line for line in text.markdown().splitlines() if line.startswith("| ")]
    header, _, *rows = [[cell.strip() for cell in line[2:-2].split(" | ")] for line in lines]
    assert len(rows) == 2 * 19 + 24 + 7
    summary = read_sheets(world)[0].summary
    first = dict(zip(header, rows[0], strict=True))
    assert first["Paper, images"].startswith("Truong & Hasson 2025, MNIST") and first["Condition"] == "Control"
    assert first["Spatial weight"] == "–" and first["Networks"] == "2"
    value, sem, low, high = (
        summary[f"nearest{name}"].values[0] for name in ("_mean", "_sem", "_null_low_mean", "_null_high_mean")
    )
    expected = f"{value:.2f} ± {sem:.2f} ({low:.2f} to {high:.2f})".replace("-", "\N{MINUS SIGN}")
    assert first["r at distance 1"] == expected
    assert set(numbers.loc[numbers["metric"] == "colocalization", "at"]) == {
        f"threshold {alpha}" for alpha in (0.3, 0.5, 0.7)
    }
    assert text.latex(label="atlas").count(r"\addlinespace") == 3


def test_what_has_no_null_has_an_empty_one_and_not_itself(world):
    numbers, _ = build(world)
    has_none = numbers["metric"].isin(["all_pairs", "participation_ratio", "constant_share", "smoothness_label_null"])
    assert has_none.sum() == 4 * (2 * 19 + 24 + 7)
    assert numbers.loc[has_none, ["null", "null_low", "null_high"]].isna().all(axis=None)
    assert numbers.loc[has_none, "mean"].notna().any()
    others = numbers[~has_none].groupby("metric")["null"].count()
    assert (others > 0).all() and len(others) == 6


def test_same_files_same_bytes(world, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    named = [f"{name}={path}" for name, path in world.items()]

    def arguments(folder: Path) -> list[str]:
        outputs = [str(folder / f"a.{ext}") for ext in ("pdf", "png", "csv")]
        return ["comparison", "figX_atlas", "--input", *named, "--outputs", *outputs]

    draw_command(arguments(here))
    code = f"from toporep.cli.figure import main; main({arguments(there)!r})"
    check_same_bytes(code, here=here, there=there, files=3)


# The catalog

MAIN = read_yaml(REPOSITORY / "config" / "config.yaml")


def workflow(*papers: str) -> Workflow:
    return Workflow.from_config({**MAIN, "papers": list(papers)}, REPOSITORY)


def test_the_comparison_shows_the_papers_that_are_selected():
    everything = workflow(*MAIN["papers"])
    inputs = everything.figure_inputs(COMPARISON, "figX_atlas")
    assert list(inputs) == [
        "truong2025.mnist.atlas",
        "truong2025.cifar10.atlas",
        "sander2026.cifar10.atlas",
        "keller2021_category.imagenet_faces.atlas",
    ]
    assert inputs["sander2026.cifar10.atlas"] == "results/metrics/sander2026/cifar10/atlas_summary.nc"
    assert everything.sections == [*MAIN["papers"], COMPARISON]
    one = workflow("sander2026")
    assert list(one.figure_inputs(COMPARISON, "table_atlas")) == ["sander2026.cifar10.atlas"]
    assert one.figure_by_name("figX_atlas", "pdf") == "results/figures/comparison/figX_atlas.pdf"
    # Capsules have no sheet that answers single images: nothing to compare, and nothing that cannot be made.
    assert workflow("keller2021_capsules").sections == ["keller2021_capsules"]


def test_comparisons_are_no_paper():
    everything = workflow(*MAIN["papers"])
    assert COMPARISON not in {paper for paper, _ in [*everything.figures(), *everything.tables()]}
    assert (COMPARISON, "figX_atlas") in everything.figures(comparison=True)
    assert everything.table_files(COMPARISON) == [
        f"results/tables/comparison/table_atlas.{ext}" for ext in ("csv", "md", "tex")
    ]


def test_the_atlas_is_measured_alike_in_all_papers_at_all_scales():
    for scale in ("config", "reduced", "demo"):
        main = merge(MAIN, read_yaml(REPOSITORY / "config" / f"{scale}.yaml"))
        papers = load_config(main, REPOSITORY / "config").papers
        entries = [paper["analyses"]["atlas"]["settings"] for paper in papers.values() if "atlas" in paper["analyses"]]
        assert len(entries) == 3
        alike = [json.dumps({**entry, "classes": None}, sort_keys=True) for entry in entries]
        assert len(set(alike)) == 1, scale


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("comparison:\n  figX: {title: t, caption: c, analyses: [atlas]}\n", "comparison.figX: draws nothing"),
        (
            "comparison:\n  figX: {title: t, caption: c, across: [atlas], maps: true}\n",
            "comparison.figX.maps: for entries of a paper alone",
        ),
        (
            "truong2025:\n  figX: {title: t, caption: c, across: [atlas]}\n",
            "truong2025.figX.across: for entries of the section 'comparison' alone",
        ),
    ],
)
def test_mistakes_of_the_section_are_told(tmp_path, text, message):
    (tmp_path / "schemas").symlink_to(REPOSITORY / "config" / "schemas")
    (tmp_path / "catalog.yaml").write_text(text, encoding="utf-8")
    papers = load_config(MAIN, REPOSITORY / "config").papers
    with pytest.raises(TopoRepError, match=message):
        load_catalog(tmp_path / "catalog.yaml", papers)
