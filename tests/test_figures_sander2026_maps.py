"""Figures 2 and 3 of Sander & Hasson 2026: maps of embeddings by t-SNE, and of activations on the sheet."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from embedding_dumps import ANIMATE, CLASSES, OBJECTIVES, STRENGTHS, attributes, embedding_dump, runs_of
from figure_checks import COLOR_BLINDNESS, check_apart, check_embedded, check_page, check_same_bytes, cielab, texts
from matplotlib.colors import to_hex

from toporep.cli.figure import main
from toporep.errors import TopoRepError
from toporep.figures import figure_module
from toporep.figures.sander2026 import fig2_tsne
from toporep.io import read_dataset, write_dataset

TSNE, MAPS = "fig2_tsne", "fig3_activation_maps"
PER_CLASS = 6
NO_DROPOUT = [f"{name}_no_dropout" for name in OBJECTIVES]


# Inputs


def metric_attributes(settings: dict, **attrs: str) -> dict[str, str]:
    shared = ("paper", "dataset", "source", "source_title", "scale", "class_names")
    training = {"train_images": 2000, "patience": 25, "animate": list(ANIMATE)}
    own = attributes(("ce", 0.0, 0))
    settings = {"settings": json.dumps(settings), "training": json.dumps(training)}
    return {**{key: own[key] for key in shared}, **settings, **attrs}


def tsne_metric(runs=None, **attrs: str) -> xr.Dataset:
    """Each class is a cloud about a place of its own; silhouettes are numbers that tell map from embedding."""
    runs = runs_of(strengths=(0.0, 0.2), seeds=[0]) if runs is None else runs
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(10), PER_CLASS)
    places = np.stack([label % 4, label // 4], axis=1) * 10.0
    silhouette = rng.uniform(-0.4, 0.9, (len(runs), 2, 2))
    condition, strength, seed = (list(values) for values in zip(*runs, strict=True))
    return xr.Dataset(
        {
            "coordinates": (("run", "image", "axis"), places + rng.normal(size=(len(runs), len(label), 2))),
            "silhouette": (("run", "space", "grouping"), silhouette),
        },
        coords={
            "condition": ("run", np.array(condition, dtype=object)),
            "strength": ("run", np.array(strength)),
            "seed": ("run", np.array(seed)),
            "stimulus": ("image", 3 * np.arange(len(label)) + 2),
            "label": ("image", label),
            "space": ("space", np.array(["embedding", "map"], dtype=object)),
            "grouping": ("grouping", np.array(["class", "animacy"], dtype=object)),
        },
        attrs=metric_attributes({"per_class": PER_CLASS, "perplexity": 5, "seed": 42}, **attrs),
    )


def concentration_summary(points: list[tuple[str, float]], **attrs: str) -> xr.Dataset:
    rng = np.random.default_rng(1)
    condition, strength = zip(*points, strict=True)
    counts = np.array([1 if name in NO_DROPOUT else 5 for name in condition])
    values = {name: rng.uniform(0.1, 0.6, len(points)) for name in ("top_share", "kurtosis", "edge_center_ratio")}
    variables = {f"{name}_mean": ("point", value) for name, value in values.items()}
    variables |= {f"{name}_sem": ("point", np.where(counts > 1, 0.01, np.nan)) for name in values}
    return xr.Dataset(
        variables,
        coords={
            "condition": ("point", np.array(condition, dtype=object)),
            "strength": ("point", np.array(strength)),
            "n": ("point", counts),
        },
        attrs=metric_attributes({"share": 0.05}, **attrs),
    )


def write_tsne(folder: Path, metric: xr.Dataset | None = None) -> list[str]:
    write_dataset(tsne_metric() if metric is None else metric, folder / "tsne.nc", "tsne")
    return [f"cifar10.tsne.runs={folder / 'tsne.nc'}"]


def write_maps(folder: Path, runs=None) -> list[str]:
    """Inputs as the workflow names them: <condition>_<ρ>_seed<seed>, and the summary."""
    runs = runs_of([*OBJECTIVES, *NO_DROPOUT], seeds=[0]) if runs is None else runs
    inputs = []
    for condition, rho, seed in runs:
        name = f"{condition}_{rho:g}_seed{seed}"
        write_dataset(embedding_dump((condition, rho, seed), per_class=2), folder / f"{name}.nc", "activations")
        inputs.append(f"{name}={folder / f'{name}.nc'}")
    points = list(dict.fromkeys((condition, rho) for condition, rho, _ in runs))
    write_dataset(concentration_summary(points), folder / "concentration.nc", "concentration_summary")
    return [*inputs, f"cifar10.concentration={folder / 'concentration.nc'}"]


@pytest.fixture(scope="module")
def tsne(tmp_path_factory):
    """Figure 2 and its table."""
    return draw(TSNE, write_tsne(tmp_path_factory.mktemp("tsne")))


@pytest.fixture(scope="module")
def map_inputs(tmp_path_factory) -> list[str]:
    return write_maps(tmp_path_factory.mktemp("maps"))


@pytest.fixture(scope="module")
def maps(map_inputs):
    """Figure 3 and its table."""
    return draw(MAPS, map_inputs)


def draw(figure: str, inputs: list[str], **settings):
    paths = {name: Path(path) for name, path in (pair.split("=") for pair in inputs)}
    return figure_module("sander2026", figure).draw(paths, **settings)


def arguments(figure: str, inputs: list[str], folder: Path) -> list[str]:
    outputs = [str(folder / f"{figure}.{suffix}") for suffix in ("pdf", "png", "csv")]
    return ["sander2026", figure, "--input", *inputs, "--outputs", *outputs]


# Figure 2


def test_tsne_draws_every_point_at_its_place_in_the_color_of_its_class(tsne):
    figure, table = tsne
    metric = tsne_metric()
    assert len(figure.axes) == 8 and len(table) == 8 * 10 * PER_CLASS
    order = [(condition, rho) for condition in OBJECTIVES for rho in (0.0, 0.2)]
    colors: dict[str, set[str]] = {}
    for axes, (condition, rho) in zip(figure.axes, order, strict=True):
        run = next(i for i in range(8) if (metric["condition"][i], metric["strength"][i]) == (condition, rho))
        (points,) = axes.collections
        shown = points.get_offsets(), points.get_facecolor()
        drawn = {tuple(place): to_hex(color) for place, color in zip(*shown, strict=True)}
        expected = metric["coordinates"].values[run]
        assert set(drawn) == set(map(tuple, expected))
        for place, label in zip(expected, metric["label"].values, strict=True):
            colors.setdefault(CLASSES[label], set()).add(drawn[tuple(place)])
        assert axes.get_aspect() == 1
    assert all(len(found) == 1 for found in colors.values())
    assert len(set().union(*colors.values())) == 10
    legend = {
        text.get_text(): to_hex(handle.get_color())
        for one in figure.legends
        for text, handle in zip(one.get_texts(), one.get_lines(), strict=True)
    }
    assert legend == {f"{CLASSES.index(name)} {name}": found.pop() for name, found in colors.items()}
    # 3 i + 2 of the i-th image, as in the file.
    assert table["stimulus"].tolist() == metric["stimulus"].values.tolist() * 8


def test_tsne_numbers_every_class_near_its_points_without_the_help_of_color(tsne):
    figure, table = tsne
    figure.canvas.draw()
    for axes, (_, rows) in zip(figure.axes, table.groupby(["condition", "strength"], sort=False), strict=True):
        assert sorted(text.get_text() for text in axes.texts) == sorted(map(str, range(10)))
        medians = rows.groupby("label")[["x", "y"]].median()
        for text in axes.texts:
            # Clouds stand 10 apart: none needs to be moved.
            assert text.xy == pytest.approx(medians.loc[int(text.get_text())].to_numpy())
            assert np.hypot(*text.xyann) < 1e-6


def test_numbers_of_classes_at_one_place_move_apart_and_stay_near():
    crowded = np.zeros((10, 2))
    apart = fig2_tsne._apart(crowded)
    pairs = itertools.combinations(apart / fig2_tsne._NUMBER_SIZE, 2)
    assert min(np.hypot(*(one - other)) for one, other in pairs) >= 0.95
    assert np.hypot(*apart.T).max() < 30, "points"


def test_tsne_tells_the_silhouettes_of_map_and_embedding(tsne):
    figure, table = tsne
    metric = tsne_metric()
    for axes, run in zip(figure.axes, [0, 1, 2, 3, 4, 5, 6, 7], strict=True):
        one = metric.isel(run=run)
        scores = {
            (space, name): float(one["silhouette"].sel(space=space, grouping=name))
            for space in ("map", "embedding")
            for name in ("class", "animacy")
        }
        told = {space: [scores[space, name] for name in ("class", "animacy")] for space in ("map", "embedding")}
        wanted = [
            f"{space}: class {of_class:.2f}, animacy {animacy:.2f}" for space, (of_class, animacy) in told.items()
        ]
        found = axes.get_title(loc="left").replace("−", "-")
        assert re.sub(r"(?<!\d)\.", "0.", found).splitlines() == wanted
        rows = table[(table["condition"] == one["condition"].item()) & (table["strength"] == one["strength"].item())]
        for (space, name), expected in scores.items():
            assert set(rows[f"silhouette_{space}_{name}"]) == {expected}


def test_tsne_rows_are_rho_and_columns_objectives(tsne):
    figure, _ = tsne
    boxes = {}
    for axes, key in zip(figure.axes, itertools.product(OBJECTIVES, (0.0, 0.2)), strict=True):
        boxes[key] = axes.get_position()
    for rho in (0.0, 0.2):
        assert len({round(boxes[name, rho].y0, 6) for name in OBJECTIVES}) == 1
        assert [boxes[name, rho].x0 for name in OBJECTIVES] == sorted(boxes[name, rho].x0 for name in OBJECTIVES)
    assert boxes["margin", 0.0].y0 > boxes["margin", 0.2].y1
    # Squares: equal steps of both axes of t-SNE look equal.
    page = figure.get_size_inches()
    assert all(box.width * page[0] == pytest.approx(box.height * page[1]) for box in boxes.values())


def test_tsne_names_what_it_shows(tsne):
    said = texts(tsne[0])
    for part in (
        "CIFAR-10 (stand-in: objects)",
        "rendered objects, demo scale",
        f"t-SNE (perplexity 5, seed 42) of the embeddings of the first {PER_CLASS} test images of each class",
        "trial 0",
        "claims nothing about the paper",
        "inanimate:",
        "animate:",
        "ρ = .2",
    ):
        assert part in said


@pytest.mark.parametrize("kind", [None, *COLOR_BLINDNESS])
def test_classes_keep_apart_and_animate_ones_the_more(kind):
    animate, inanimate = (
        [cielab(color, seen_with=kind) for color in palette]
        for palette in (fig2_tsne._ANIMATE[:6], fig2_tsne._INANIMATE[:4])
    )
    # A difference of about 2.3 is just noticeable.
    pairs = itertools.combinations([*animate, *inanimate], 2)
    assert min(np.linalg.norm(one - other) for one, other in pairs) > (35 if kind is None else 18)
    assert min(np.linalg.norm(one - other) for one in animate for other in inanimate) > 25


def test_tsne_without_known_animacy_or_with_fewer_objectives(tmp_path):
    training = json.dumps({"train_images": 2000})
    few = tsne_metric(runs_of(["ce", "simclr"], (0.0, 0.2), [0]), training=training)
    figure, table = draw(TSNE, write_tsne(tmp_path, few))
    assert len(figure.axes) == 4 and set(table["condition"]) == {"ce", "simclr"}
    said = texts(figure)
    assert "classes:" in said and "animate" not in said.replace("by class and by animacy", "")
    assert "Not trained here: margin, SupCon" in said
    check_page(figure)


def test_tsne_refuses_several_trials_a_gap_and_another_file(tmp_path):
    two = tsne_metric(runs_of(strengths=(0.0, 0.2), seeds=[0, 1]))
    with pytest.raises(TopoRepError, match="expected maps of one trial, found seeds 0, 1"):
        draw(TSNE, write_tsne(tmp_path, two))
    gap = tsne_metric(runs_of(strengths=(0.0, 0.2), seeds=[0])[:-1])
    with pytest.raises(TopoRepError, match="'supcon' at ρ = .2 missing"):
        draw(TSNE, write_tsne(tmp_path, gap))
    with pytest.raises(TopoRepError, match="expected one file named <dataset>.tsne.runs, found cifar10"):
        draw(TSNE, [write_tsne(tmp_path)[0].replace(".tsne.runs", "")])
    with pytest.raises(TopoRepError, match="expected dataset 'mnist'"):
        draw(TSNE, [write_tsne(tmp_path)[0].replace("cifar10.", "mnist.")])


# Figure 3


def test_maps_are_the_embeddings_of_the_first_truck_unit_by_unit(maps, map_inputs):
    figure, table = maps
    assert len(table) == 8 * 6 * 256
    # Two images of each class, class after class: the first truck is the tenth image.
    assert set(table["stimulus"]) == {9} and set(table["class"]) == {"truck"}
    for (condition, rho), rows in table.groupby(["condition", "strength"]):
        dump = embedding_dump((condition, rho, 0), per_class=2)
        np.testing.assert_array_equal(rows["activation"], dump["sheet_pre"].values[9, rows["row"] * 16 + rows["col"]])
    drawn = [axes.images[0] for axes in figure.axes if axes.images]
    assert len(drawn) == 48
    order = [(name + part, rho) for name in OBJECTIVES for part in ("", "_no_dropout") for rho in STRENGTHS]
    assert list(dict.fromkeys(zip(table["condition"], table["strength"], strict=True))) == order
    for image, (_, rows) in zip(drawn, table.groupby(["condition", "strength"], sort=False), strict=True):
        np.testing.assert_array_equal(image.get_array().ravel(), rows["activation"])


def test_colors_are_symmetric_and_end_at_the_largest_of_the_first_images_of_all_classes(maps):
    figure, table = maps
    drawn = [axes.images[0] for axes in figure.axes if axes.images]
    for image, ((condition, rho), rows) in zip(
        drawn, table.groupby(["condition", "strength"], sort=False), strict=True
    ):
        exemplars = embedding_dump((condition, rho, 0), per_class=2)["sheet_pre"].values[:10]
        limit = np.abs(exemplars).max()
        assert image.get_clim() == (-limit, limit)
        assert set(rows["limit"]) == {float(limit)}
        assert np.abs(rows["activation"]).max() <= limit
        # Zero is the middle of the colors, which is (almost) white.
        assert min(image.cmap(image.norm(0.0))[:3]) > 0.95


def test_each_map_tells_the_share_of_its_most_active_units(maps):
    figure, table = maps
    points = list(dict.fromkeys(zip(table["condition"], table["strength"], strict=True)))
    summary = concentration_summary([(c, rho) for c in [*OBJECTIVES, *NO_DROPOUT] for rho in STRENGTHS])
    known = dict(
        zip(
            zip(summary["condition"].values, summary["strength"].values, strict=True),
            summary["top_share_mean"].values,
            strict=True,
        )
    )
    shares = [text for text in figure.texts if re.fullmatch(r"\d+ %", text.get_text())]
    assert [text.get_text() for text in shares] == [f"{100 * known[point]:.0f} %" for point in points]
    for text, axes in zip(shares, (axes for axes in figure.axes if axes.images), strict=True):
        box = axes.get_position()
        assert text.get_position()[0] == pytest.approx(box.x0) and 0 < text.get_position()[1] - box.y1 < 0.01
    rows = table.drop_duplicates(["condition", "strength"])
    assert rows["top_share_mean"].tolist() == [known[point] for point in points]
    assert set(rows["n_trials"]) == {1, 5}


def test_normally_distributed_units_carry_the_share_that_is_told(maps):
    sizes = np.sort(np.abs(np.random.default_rng(0).normal(size=200_000)))[::-1]
    carried = sizes[: len(sizes) // 20].sum() / sizes.sum()
    assert f"5 %, normally distributed ones {100 * carried:.0f} %" in texts(maps[0])


def test_rows_without_dropout_are_marked_and_stand_below_their_objective(maps):
    figure, _ = maps
    heights = {text.get_text(): text.get_position()[1] for text in figure.texts}
    names = [name + mark for name in ("margin", "CE", "SimCLR", "SupCon") for mark in ("", "*")]
    assert [heights[name] for name in names] == sorted((heights[name] for name in names), reverse=True)
    for part in ("no dropout", "the first image of class truck (number 9 of the test set)", "trial 0", "demo scale"):
        assert part in texts(figure)


def test_maps_do_not_depend_on_the_order_of_inputs_or_units(tmp_path):
    inputs = write_maps(tmp_path, runs_of(["ce", "simclr", "ce_no_dropout"], (0.0, 0.2), [0]))
    _, table = draw(MAPS, inputs)
    path = inputs[0].partition("=")[2]
    shuffled = xr.load_dataset(path).isel(unit=np.random.default_rng(0).permutation(256))
    write_dataset(shuffled, path, "activations")
    figure, again = draw(MAPS, inputs[::-1])
    pd.testing.assert_frame_equal(table, again)
    check_page(figure)


def test_another_class_may_be_shown(tmp_path):
    inputs = write_maps(tmp_path, runs_of(["ce"], (0.0, 0.2), [0]))
    _, table = draw(MAPS, inputs, image_class="bird")
    assert set(table["stimulus"]) == {2} and set(table["class"]) == {"bird"}
    with pytest.raises(TopoRepError, match="no test image of class 'trunk'; did you mean 'truck'"):
        draw(MAPS, inputs, image_class="trunk")


def test_maps_that_do_not_belong_together_are_named(tmp_path):
    runs = runs_of(["ce", "simclr"], (0.0, 0.2), [0])
    inputs = write_maps(tmp_path, runs)
    with pytest.raises(TopoRepError, match=r"'simclr' at ρ = .2 missing"):
        draw(MAPS, [pair for pair in inputs if not pair.startswith("simclr_0.2_")])
    with pytest.raises(TopoRepError, match=r"'ce' at ρ = 0 is there 2 times"):
        draw(MAPS, [*inputs, inputs[0].replace("=", "_again=")])
    with pytest.raises(TopoRepError, match="expected one file named <dataset>.concentration"):
        draw(MAPS, inputs[:-1])
    with pytest.raises(TopoRepError, match="expected activation dumps"):
        draw(MAPS, inputs[-1:])
    path = inputs[1].partition("=")[2]
    other = read_dataset(path, "activations").assign_attrs(data_sha256="3" * 64)
    write_dataset(other, path, "activations")
    with pytest.raises(TopoRepError, match="expected data_sha256"):
        draw(MAPS, inputs)


def test_maps_of_another_scale_than_the_shares_are_refused(tmp_path):
    inputs = write_maps(tmp_path, runs_of(["ce"], (0.0,), [0]))
    summary = concentration_summary([("ce", 0.0)], scale="reduced")
    write_dataset(summary, tmp_path / "concentration.nc", "concentration_summary")
    with pytest.raises(TopoRepError, match=r"concentration\.nc: expected scale 'demo', found 'reduced'"):
        draw(MAPS, inputs)


def test_units_must_fill_the_sheet(tmp_path):
    inputs = write_maps(tmp_path, runs_of(["ce"], (0.0,), [0]))
    path = inputs[0].partition("=")[2]
    write_dataset(xr.load_dataset(path).isel(unit=slice(1, None)), path, "activations")
    with pytest.raises(TopoRepError, match="255 units do not fill a sheet of 16 by 16"):
        draw(MAPS, inputs)


# Both


def test_text_stays_on_the_page_and_apart(tsne, maps):
    for figure, _ in (tsne, maps):
        check_page(figure)
    titles = [axes.title for axes in tsne[0].axes] + [axes._left_title for axes in tsne[0].axes]
    legends = [text for legend in tsne[0].legends for text in legend.get_texts()]
    check_apart(tsne[0], [*tsne[0].texts, *titles, *legends])
    check_apart(maps[0], maps[0].texts)


def test_another_process_writes_the_same_bytes(tmp_path):
    (tmp_path / "inputs").mkdir()
    calls = [
        (TSNE, write_tsne(tmp_path / "inputs")),
        (MAPS, write_maps(tmp_path / "inputs", runs_of(["ce", "ce_no_dropout"], (0.0, 0.2), [0]))),
    ]
    for call in calls:
        main(arguments(*call, tmp_path / "here"))
    there = [arguments(*call, tmp_path / "there") for call in calls]
    code = f"from toporep.cli.figure import main\nfor call in {there!r}: main(call)"
    check_same_bytes(code, here=tmp_path / "here", there=tmp_path / "there", files=6)
    for name in (TSNE, MAPS):
        check_embedded(tmp_path / "here" / f"{name}.pdf")
