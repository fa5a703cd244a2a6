"""Figures 7 and 8 of Keller, Gao & Welling 2021 (category): correlation of units against their distance."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from category_curves import curves, summary_of
from category_metrics import selectivity
from figure_checks import check_apart, check_page, check_same_bytes, texts, visible_texts

from toporep.cli.figure import main
from toporep.errors import TopoRepError
from toporep.figures import figure_module
from toporep.figures.keller2021_category import style_of
from toporep.figures.keller2021_category.curves import own_boundary, point_of
from toporep.io import write_dataset
from toporep.metrics.distance_correlation import correlation_by_distance

PAPER, FIG7, FIG8 = "keller2021_category", "fig7_correlation_by_distance", "fig8_window_size"
CURVES, MAPS = "imagenet_faces.distance_correlation_windows", "imagenet_faces.selectivity_faces_windows.runs"
WINDOWS = {"tvae_smallest_window": 3, "tvae_smaller_window": 5, "tvae": 9, "tvae_larger_window": 13}


@functools.cache
def summary(conditions: tuple[str, ...] | None = None, **options: str) -> xr.Dataset:
    made = curves(**({"conditions": conditions} if conditions else {}), **options)
    return summary_of(made, "distance_correlation")


@functools.cache
def maps_of(conditions: tuple[str, ...] | None = None) -> xr.Dataset:
    return selectivity("selectivity_faces_windows", conditions=conditions)


def write(figure: str, folder: Path, made: xr.Dataset | None = None, maps: xr.Dataset | None = None) -> dict[str, Path]:
    # A figure of one summary has it under the name of the data set.
    inputs = {"imagenet_faces" if figure == FIG7 else CURVES: folder / "curves.nc"}
    write_dataset(summary() if made is None else made, folder / "curves.nc", "distance_correlation_summary")
    if figure == FIG8:
        inputs[MAPS] = folder / "maps.nc"
        write_dataset(maps_of() if maps is None else maps, inputs[MAPS], "selectivity")
    return inputs


def draw(figure: str, folder: Path, made: xr.Dataset | None = None, maps: xr.Dataset | None = None):
    return figure_module(PAPER, figure).draw(write(figure, folder, made, maps))


def lines(axes, condition: str) -> list[np.ndarray]:
    """Points of a condition's curves: those of the sets' mean removed have thin lines."""
    color = style_of(condition).color
    return [np.column_stack(line.get_data()) for line in axes.lines if line.get_color() == color]


def curve(made: xr.Dataset, condition: str, boundary: str, variant: str = "pooled") -> np.ndarray:
    of = point_of(made, condition).sel(variant=variant, boundary=boundary)
    there = of["pairs_mean"].values > 0
    return np.column_stack([of["distance"].values, of["correlation_mean"].values])[there]


def panels(figure) -> list:
    return [axes for axes in figure.axes if axes.get_xlabel() == "distance (mm)"]


# Figure 7


def test_each_network_has_its_own_boundary_and_its_control_beside_it(tmp_path):
    made = summary()
    figure, _ = draw(FIG7, tmp_path, made)
    wanted = {
        "fc6": ("open", []),
        "tvae": ("torus", ["tvae_untrained"]),
        "tdann": ("open", ["tdann_nonspatial"]),
    }
    for axes, (condition, (boundary, others)) in zip(panels(figure), wanted.items(), strict=False):
        assert own_boundary(point_of(made, condition)) == boundary
        within, pooled = lines(axes, condition)
        np.testing.assert_allclose(pooled, curve(made, condition, boundary))
        np.testing.assert_allclose(within, curve(made, condition, boundary, "within"))
        for other in others:
            np.testing.assert_allclose(lines(axes, other)[0], curve(made, other, boundary))
        drawn = [name for name in ("fc6", "tvae", "tvae_untrained", "tdann", "tdann_nonspatial") if lines(axes, name)]
        assert set(drawn) == {condition, *others}


def test_a_torus_of_10_mm_ends_at_7_and_an_open_sheet_at_14_mm(tmp_path):
    figure, table = draw(FIG7, tmp_path)
    reach = table[table["variant"] == "pooled"].groupby("boundary")["distance_mm"].max()
    # Of 24 x 24 units 10/24 mm apart: 12 √2 and 23 √2 units.
    assert reach["torus"] == pytest.approx(17 * 10 / 24) and reach["open"] == pytest.approx(33 * 10 / 24)
    torus, open_sheet = (axes.get_xlim()[1] for axes in panels(figure)[3:])
    assert torus == pytest.approx(1.01 * reach["torus"]) and open_sheet == pytest.approx(1.01 * reach["open"])


def test_all_networks_are_drawn_with_either_boundary(tmp_path):
    made = summary()
    figure, _ = draw(FIG7, tmp_path, made)
    for axes, boundary in zip(panels(figure)[3:], ("torus", "open"), strict=True):
        for condition in ("fc6", "tvae", "tvae_untrained", "tdann", "tdann_nonspatial"):
            (found,) = lines(axes, condition)
            np.testing.assert_allclose(found, curve(made, condition, boundary))


def test_the_dashed_curve_is_what_the_spatial_loss_asks_for(tmp_path):
    figure, table = draw(FIG7, tmp_path)
    for axes in panels(figure):
        distance, aim = next(line.get_data() for line in axes.lines if line.get_color() == "black")
        np.testing.assert_allclose(aim, 1 / (distance + 1))
    np.testing.assert_allclose(table["aim"], 1 / (table["distance_mm"] + 1))


def test_bands_are_the_spread_over_pairs(tmp_path):
    made = summary()
    figure, _ = draw(FIG7, tmp_path, made)
    axes = panels(figure)[1]
    of = point_of(made, "tvae").sel(variant="pooled", boundary="torus")
    outline = axes.collections[0].get_paths()[0].vertices
    there = of["pairs_mean"].values > 0
    top = (of["correlation_mean"] + of["sd_mean"]).values[there]
    assert outline[:, 1].max() == pytest.approx(top.max())
    assert len({axes.get_ylim() for axes in panels(figure)}) == 1
    assert panels(figure)[0].get_ylim()[0] < outline[:, 1].min()


def test_the_numbers_under_the_panels_are_those_of_the_file(tmp_path):
    made = summary()
    figure, table = draw(FIG7, tmp_path, made)
    found = texts(figure)
    own, untrained = (
        point_of(made, name).sel(variant="pooled", boundary="torus") for name in ("tvae", "tvae_untrained")
    )
    assert f"neighbors: r = {float(own['nearest_mean']):.2f} | {float(untrained['nearest_mean']):.2f}" in found
    assert f"1/(d+1)| = {float(own['from_inverse_distance_mean']):.2f} |" in found
    away = float(point_of(made, "tdann").sel(variant="pooled", boundary="torus")["from_inverse_distance_mean"])
    assert f"TDANN {away:.2f}" in found
    of = table[(table["condition"] == "tdann") & (table["variant"] == "pooled") & (table["boundary"] == "torus")]
    assert set(of["from_aim"]) == {away}
    assert "window 9 × 9, torus" in found and "40 images each of objects and faces" in found


@pytest.mark.parametrize("figure", [FIG7, FIG8])
@pytest.mark.parametrize(
    ("bins", "neighbors"), [("unit", "the 8 around it, beside"), ("exact", "the 4 that share an edge")]
)
def test_neighbors_of_a_curve_are_those_of_its_first_bin(figure, bins, neighbors, tmp_path):
    responses = np.random.default_rng(0).normal(size=(9, 36))
    first = correlation_by_distance(responses, (6, 6), boundary="torus", bins=bins).pairs[0]
    assert neighbors.startswith(f"the {2 * first // 36} "), "each pair is of two units"
    made = summary()
    settings = {**json.loads(made.attrs["settings"]), "bins": bins}
    found, _ = draw(figure, tmp_path, made.assign_attrs(settings=json.dumps(settings)))
    said = " ".join(texts(found).split())
    assert f"first bin, each unit with {neighbors}" in said
    assert figure == FIG7 or "r of neighbors, here the 4 units that share an edge with each" in said


@pytest.mark.parametrize("figure", [FIG7, FIG8])
def test_each_row_of_a_table_has_a_key_of_its_own(figure, tmp_path):
    _, table = draw(figure, tmp_path)
    keys = ["map", "kind", "condition", "seed", "row", "col", "variant", "boundary", "distance_mm"]
    assert len(table) and not table.duplicated([key for key in keys if key in table]).any()


def test_a_curve_of_two_seeds_is_their_mean(tmp_path):
    runs = curves(conditions=("tvae",))
    _, table = draw(FIG7, tmp_path, summary(("tvae",)))
    of = runs["correlation"].sel(variant="pooled", boundary="torus").mean("run").values
    found = table[(table["variant"] == "pooled") & (table["boundary"] == "torus")]
    np.testing.assert_allclose(found["correlation_mean"], of[np.isfinite(of)])
    assert set(found["n_seeds"]) == {4}


def test_a_network_that_is_not_trained_leaves_its_panel_empty(tmp_path):
    figure, table = draw(FIG7, tmp_path, summary(("tvae",)))
    found = texts(figure)
    assert found.count("not trained here") == 2 and set(table["condition"]) == {"tvae"}
    assert "Not trained at this scale: TVAE, untrained; TDANN;" in found


def test_a_baseline_that_is_not_alexnet_is_not_called_so(tmp_path):
    made = summary()
    training = json.loads(made.attrs["training"])
    training["conditions"]["fc6"]["model"] = "tdann"
    figure, _ = draw(FIG7, tmp_path, made.assign_attrs(training=json.dumps(training)))
    shown = [text.get_text() for text in visible_texts(figure)]
    assert "a   classifier without spatial loss" in shown and "AlexNet FC6" not in " ".join(shown)
    assert "a   AlexNet FC6" in [text.get_text() for text in visible_texts(draw(FIG7, tmp_path)[0])]


# Figure 8


def test_windows_ascend_with_their_maps_above_their_curves(tmp_path):
    made, maps = summary(), maps_of()
    figure, _ = draw(FIG8, tmp_path, made, maps)
    images = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    below = panels(figure)
    assert len(below) == len(WINDOWS)
    for axes, image, condition in zip(below, images[: len(WINDOWS)], WINDOWS, strict=True):
        run = int(np.flatnonzero(maps["condition"].values == condition)[0])
        np.testing.assert_allclose(np.asarray(image).ravel(), maps["d"].values[run, 0])
        np.testing.assert_allclose(lines(axes, condition)[1], curve(made, condition, "torus"))
    shown = [text.get_text() for text in visible_texts(figure)]
    assert [text for text in shown if re.fullmatch(r"\d+ × \d+", text)] == ["3 × 3", "5 × 5", "9 × 9", "13 × 13"]


def test_the_untrained_network_stands_beside_the_main_window_alone(tmp_path):
    made = summary()
    figure, _ = draw(FIG8, tmp_path, made)
    drawn = [bool(lines(axes, "tvae_untrained")) for axes in panels(figure)]
    assert drawn == [False, False, True, False]
    np.testing.assert_allclose(lines(panels(figure)[2], "tvae_untrained")[0], curve(made, "tvae_untrained", "torus"))


def test_windows_end_where_two_units_of_a_row_share_nothing(tmp_path):
    figure, _ = draw(FIG8, tmp_path)
    ends = [
        [float(line.get_xdata()[0]) for line in axes.lines if len(set(line.get_xdata())) == 1]
        for axes in panels(figure)
    ]
    # On a torus of 24 units, windows of 13 always overlap.
    assert ends == [[pytest.approx(window * 10 / 24)] for window in (3, 5, 9)] + [[]]


def test_the_table_has_maps_and_curves_with_their_windows(tmp_path):
    _, table = draw(FIG8, tmp_path)
    maps, below = table[table["map"] == "faces"], table[table["map"] == "curve"]
    assert maps.groupby("condition").size().to_dict() == dict.fromkeys(WINDOWS, 24 * 24)
    assert below.groupby("condition")["window"].first().to_dict() == {**WINDOWS, "tvae_untrained": 9}
    assert below["correlation_mean"].notna().all() and maps["correlation_mean"].isna().all()


def test_a_window_that_is_in_one_file_alone_is_told(tmp_path):
    some = tuple(name for name in WINDOWS if name != "tvae_larger_window")
    figure, _ = draw(FIG8, tmp_path, summary(some), maps_of(("tvae", "tvae_larger_window")))
    assert "not trained here" in texts(figure) and len(panels(figure)) == 4


# Both


@pytest.mark.parametrize("figure", [FIG7, FIG8])
def test_the_page_can_be_read_and_says_that_it_is_a_stand_in(figure, tmp_path):
    drawn, _ = draw(figure, tmp_path)
    shown = visible_texts(drawn)
    check_page(drawn, shown)
    check_apart(drawn, shown)
    found = texts(drawn)
    for part in ("rendered stimuli, not a replication", "claims nothing about the paper", "4 seeds", "Chance:"):
        assert part in found


@pytest.mark.parametrize("figure", [FIG7, FIG8])
def test_another_process_writes_the_same_bytes_without_torch(figure, tmp_path):
    (tmp_path / "inputs").mkdir()
    inputs = [f"{name}={path}" for name, path in write(figure, tmp_path / "inputs").items()]

    def words(folder: Path) -> list[str]:
        outputs = [str(folder / f"{figure}{suffix}") for suffix in (".pdf", ".png", ".csv")]
        return [PAPER, figure, "--input", *inputs, "--outputs", *outputs]

    main(words(tmp_path / "here"))
    code = f"import sys; from toporep.cli.figure import main; main({words(tmp_path / 'there')!r})"
    code += "; assert 'torch' not in sys.modules"
    check_same_bytes(code, here=tmp_path / "here", there=tmp_path / "there", files=3)


@pytest.mark.parametrize(
    ("figure", "made", "maps", "message"),
    [
        (FIG7, {"conditions": ("vae",)}, {}, "expected curves of fc6, tvae, tdann, found vae"),
        (FIG7, {"paper": "sander2026"}, {}, "expected paper 'keller2021_category', found 'sander2026'"),
        (FIG8, {"conditions": ("vae",)}, {"conditions": ("vae",)}, "expected TVAEs with windows of several sizes"),
        (FIG8, {"scale": "paper"}, {}, "expected files of one scale, found 'demo' and 'paper'"),
    ],
)
def test_a_mistake_is_told(figure, made, maps, message, tmp_path):
    with pytest.raises(TopoRepError, match=re.escape(message)):
        draw(figure, tmp_path, summary(**made), maps_of(**maps))


def test_curves_are_needed(tmp_path):
    with pytest.raises(TopoRepError, match="expected a file named imagenet_faces.distance_correlation, found none"):
        figure_module(PAPER, FIG7).draw({})
