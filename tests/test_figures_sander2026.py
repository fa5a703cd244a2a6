"""Figures of Sander & Hasson 2026 that are drawn from summaries: they draw the numbers they are given."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr
from embedding_summaries import (
    CHANCE_DISTANCE,
    KINDS,
    LEVELS,
    NO_DROPOUT,
    OBJECTIVES,
    RHOS,
    THRESHOLDS,
    VARIANTS,
    points,
    summary,
)
from figure_checks import (
    COLOR_BLINDNESS,
    caption,
    check_apart,
    check_drawn_elsewhere,
    check_embedded,
    check_page,
    cielab,
    texts,
    visible_texts,
)
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex

from toporep.cli.figure import main, parse_inputs
from toporep.config import read_yaml
from toporep.errors import TopoRepError
from toporep.figures import figure_module, sander2026, style
from toporep.figures.sander2026 import fig4_smoothness_and_norms, fig6_consistency, fig7_ensembles
from toporep.figures.sander2026.rho import RhoAxis
from toporep.io import write_dataset
from toporep.workflow import Workflow

# Figure → analyses and the conditions in them; inputs of several have the analysis in their name.
FIGURES = {
    "fig1_accuracy": (["accuracy"], OBJECTIVES),
    "fig4_smoothness_and_norms": (["morans_i", "weight_norms", "morans_i_centered"], OBJECTIVES + NO_DROPOUT),
    "fig5_colocalization": (["colocalization"], OBJECTIVES),
    "fig6_consistency": (["rdm_consistency"], OBJECTIVES),
    "fig7_ensembles": (["ensembles"], ("ce",)),
    "figX1_norm_collapse": (["morans_i_variants", "weight_norms_variants", "accuracy_variants"], OBJECTIVES + VARIANTS),
}
# The smallest scale: four ρ, two objectives.
FEW = {"rhos": (0.0, 0.04, 0.2, 5.0), "only": ("ce", "supcon")}
PROJECT = Path(__file__).parents[1]
PAGES = [*FIGURES, "fig2_tsne", "fig3_activation_maps", "table1_class_similarity"]
LOOKS = sander2026.condition_styles(OBJECTIVES)


def content(figure: str, analysis: str, *, rhos=RHOS, only=OBJECTIVES, n=5, **attrs) -> xr.Dataset:
    """The summary that `write_inputs` gives to a figure."""
    conditions = [name for name in FIGURES[figure][1] if sander2026.objective_of(name) in only]
    return summary(analysis.removesuffix("_variants"), points(conditions, rhos), n=n, **attrs)


def schema_of(analysis: str) -> str:
    return analysis.removesuffix("_variants").removesuffix("_centered") + "_summary"


def write_inputs(folder: Path, figure: str, **options) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    analyses = FIGURES[figure][0]
    for analysis in analyses:
        write_dataset(content(figure, analysis, **options), folder / f"{analysis}.nc", schema_of(analysis))
    names = ["cifar10"] if len(analyses) == 1 else [f"cifar10.{analysis}" for analysis in analyses]
    return [f"{name}={folder / f'{analysis}.nc'}" for name, analysis in zip(names, analyses, strict=True)]


def draw(figure: str, inputs: list[str]):
    return figure_module("sander2026", figure).draw(parse_inputs(inputs))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """figure → (matplotlib figure, table), each drawn once, of all conditions and five trials."""
    folder = tmp_path_factory.mktemp("summaries")
    return {figure: draw(figure, write_inputs(folder / figure, figure)) for figure in FIGURES}


def lines_of(axes, color: object, *, linestyle: str = "-") -> list[np.ndarray]:
    """Ordinates of the lines of a color over two ρ or more, but for those straight across the panel."""
    return [
        np.asarray(line.get_ydata(), dtype=float)
        for line in axes.lines
        if to_hex(line.get_color()) == to_hex(color)
        and line.get_linestyle() == linestyle
        and line.get_transform() == axes.transData
        and line.get_marker() != "None"
    ]


def across(axes, color: object) -> list[float]:
    """Heights of the lines of a color that run across the panel."""
    return [
        line.get_ydata()[0]
        for line in axes.lines
        if to_hex(line.get_color()) == to_hex(color) and line.get_marker() == "None" and len(set(line.get_ydata())) == 1
    ]


def selected(table: pd.DataFrame, **chosen) -> pd.DataFrame:
    for name, value in chosen.items():
        table = table[table[name] == value]
    return table.sort_values("strength")


def topographic(rows: pd.DataFrame, column: str) -> np.ndarray:
    return rows.loc[rows["strength"] > 0, column].to_numpy()


# Numbers


def test_the_sd_of_a_table_is_that_of_the_trials(tmp_path):
    """The summary has SEM = SD / √n; Figure 1 of the paper shows the SD."""
    values = np.random.default_rng(3).normal(0.9, 0.01, (len(points()), 5))
    of_trials = summary("accuracy")
    of_trials["accuracy_mean"][:] = values.mean(axis=1)
    of_trials["accuracy_sem"][:] = scipy.stats.sem(values, axis=1)
    write_dataset(of_trials, tmp_path / "accuracy.nc", "accuracy_summary")
    _, table = draw("fig1_accuracy", [f"cifar10={tmp_path / 'accuracy.nc'}"])
    assert list(zip(table["condition"], table["strength"], strict=True)) == points()
    np.testing.assert_allclose(table["accuracy_mean"], np.mean(values, axis=1), rtol=1e-12)
    np.testing.assert_allclose(table["accuracy_sd"], np.std(values, axis=1, ddof=1), rtol=1e-12)


def test_the_sd_of_distances_is_that_of_the_trials_that_have_one(drawn):
    _, table = drawn["fig5_colocalization"]
    file = content("fig5_colocalization", "colocalization")
    expected = file["distance_sem"] * np.sqrt(file["distance_n"])
    assert (file["distance_n"] != file["n"]).any()
    rows = table.merge(
        expected.rename("expected").to_dataframe().reset_index(), on=["condition", "strength", "threshold"]
    )
    np.testing.assert_allclose(rows["distance_sd"], rows["expected"], rtol=1e-12)


@pytest.mark.parametrize("figure", FIGURES)
def test_the_csv_holds_the_means_of_the_files(tmp_path, figure):
    main(["sander2026", figure, "--input", *write_inputs(tmp_path, figure), "--outputs", str(tmp_path / "out.csv")])
    table = pd.read_csv(tmp_path / "out.csv", keep_default_na=False, na_values=["nan"])
    compared = 0
    for analysis in FIGURES[figure][0]:
        file = content(figure, analysis)
        for name, variable in file.data_vars.items():
            clean = name.startswith("clean_")
            column = name.removeprefix("clean_")
            rows = table[table["kind"].eq("clean") == clean] if "kind" in table else table
            if "quantity" in table and name.endswith("_mean"):
                quantity = name.removesuffix("_mean") + "_centered" * analysis.endswith("_centered")
                rows, column = table[table["quantity"] == quantity], "value_mean"
            if column not in table or not len(rows) or name.startswith(("null_", "condition_null")):
                continue
            keys = [key for key in ("condition", "strength", *variable.dims) if key != "point"]
            expected = variable.rename("expected").to_dataframe().reset_index()[[*keys, "expected"]]
            merged = rows.drop_duplicates(keys).merge(expected, on=keys)
            assert len(merged) == len(expected) > 0
            np.testing.assert_allclose(merged[column], merged["expected"], rtol=1e-9)
            compared += 1
    assert compared >= len(FIGURES[figure][0])


def test_every_constant_in_a_figure_is_what_it_is_said_to_be(drawn):
    places = np.indices((16, 16)).reshape(2, -1).T
    pairs = np.linalg.norm(places[:, None] - places[None], axis=-1)[np.triu_indices(256, 1)]
    assert len(pairs) == 32_640
    assert pairs.mean() == pytest.approx(8.35873, abs=5e-6)
    assert pairs.mean() == pytest.approx(CHANCE_DISTANCE, abs=5e-8)
    # Rows of a linear layer before training: uniform in ±1/√inputs, whatever the number of inputs.
    for inputs in (32, 512):
        rows = np.random.default_rng(0).uniform(-1, 1, (20_000, inputs)) / np.sqrt(inputs)
        mean = np.linalg.norm(rows, axis=1).mean()
        assert mean == pytest.approx(fig4_smoothness_and_norms.INITIAL_NORM, rel=0.01)
    assert "8.3587" in texts(drawn["fig5_colocalization"][0])
    assert "−0.0039" in texts(drawn["fig4_smoothness_and_norms"][0])


# Axis and colors


def test_the_paper_s_rho_are_evenly_spaced_with_zero_apart():
    np.testing.assert_allclose(RhoAxis(RHOS).places(RHOS), [0, 1, 2, 3, 4, 5], atol=1e-12)
    # A ρ that a scale leaves out leaves its room.
    np.testing.assert_allclose(RhoAxis((0, 0.04, 0.2, 5)).places([0, 0.04, 0.2, 5]), [0, 1, 2, 4], atol=1e-12)
    assert [sander2026.rho_text(rho) for rho in RHOS] == ["0", ".008", ".04", ".2", "1", "5"]


@pytest.mark.parametrize("figure", FIGURES)
def test_ticks_stand_where_their_rho_is_drawn(drawn, figure):
    for axes in drawn[figure][0].axes:
        if axes.xaxis.get_tick_params()["labelbottom"]:
            assert [label.get_text() for label in axes.get_xticklabels()] == ["0", ".008", ".04", ".2", "1", "5"]
        steps = np.diff(axes.get_xticks())
        np.testing.assert_allclose(steps[1:], 1)
        for line in axes.lines:
            x = np.asarray(line.get_xdata(), dtype=float)
            if line.get_marker() not in ("None", "") and line.get_linestyle() != "None" and len(x) == len(RHOS) - 1:
                # Lines begin after ρ = 0; points of one ρ stand together.
                assert (np.abs(x - axes.get_xticks()[1:]) < 0.5).all()


@pytest.mark.parametrize("kind", [None, *COLOR_BLINDNESS])
def test_objectives_and_kinds_of_noise_keep_apart_under_color_blindness(kind):
    noise = {name: look.color for name, look in fig7_ensembles.KINDS.items()}
    for colors in ({name: look.color for name, look in LOOKS.items()}, {**noise, "clean": LOOKS["ce"].color}):
        for first, second in itertools.combinations(colors.values(), 2):
            # A difference of about 2.3 is just noticeable.
            assert np.linalg.norm(cielab(first, seen_with=kind) - cielab(second, seen_with=kind)) > 15, colors
    assert len({look.marker for look in LOOKS.values()}) == len({look.color for look in LOOKS.values()}) == 4


def test_variants_have_the_color_of_their_objective_and_a_line_of_their_own():
    looks = sander2026.condition_styles([*OBJECTIVES, *NO_DROPOUT, *VARIANTS])
    for name, look in looks.items():
        assert look.color == LOOKS[sander2026.objective_of(name)].color
    assert len({str(look.linestyle) for name, look in looks.items() if name.startswith("simclr")}) == 4
    # Whatever begins like an objective is none.
    assert sander2026.objective_of("ce_wide") == "ce_wide"
    assert sander2026.condition_styles(["ce_wide"])["ce_wide"].color not in {look.color for look in LOOKS.values()}


# What each figure shows


def test_figure_1_shows_both_readouts_with_chance_and_the_objectives_with_labels_enlarged(drawn):
    figure, table = drawn["fig1_accuracy"]
    own, own_enlarged = figure.axes[0], figure.axes[2]
    standardized, standardized_enlarged = figure.axes[1], figure.axes[3]
    for axes, variable, shown in (
        (own, "accuracy", OBJECTIVES),
        (own_enlarged, "accuracy", ("margin", "ce", "supcon")),
        (standardized, "accuracy_standardized", ("margin", "simclr", "supcon")),
        (standardized_enlarged, "accuracy_standardized", ("margin", "supcon")),
    ):
        for name in OBJECTIVES:
            expected = topographic(selected(table, condition=name), f"{variable}_mean")
            found = lines_of(axes, LOOKS[name].color)
            assert len(found) == (name in shown), (variable, name)
            for values in found:
                np.testing.assert_array_equal(values, expected)
    for axes in (own, standardized):
        assert axes.get_ylim() == (0, 1.03)
        assert 0.1 in [line.get_ydata()[0] for line in axes.lines]
    assert own_enlarged.get_ylim() == standardized_enlarged.get_ylim(), "not to be compared"
    assert table.loc[table["condition"] == "ce", "accuracy_standardized_mean"].isna().all()


def test_figure_1_repeats_the_paper_s_readout_faintly_beside_that_of_standardized_embeddings(drawn):
    figure, table = drawn["fig1_accuracy"]
    for name, look in LOOKS.items():
        faint = [line for line in figure.axes[1].lines if line.get_color() == look.color and line.get_alpha()]
        values = np.concatenate([line.get_ydata() for line in faint])
        np.testing.assert_array_equal(np.sort(values), np.sort(selected(table, condition=name)["accuracy_mean"]))
    assert not any(line.get_alpha() for line in figure.axes[0].lines)


def test_vertical_lines_are_mean_and_sd_at_every_rho_or_at_rho_0_where_the_others_are_shaded(drawn):
    for figure, quantity, variable, rhos in (
        ("fig1_accuracy", None, "accuracy", RHOS),
        ("fig4_smoothness_and_norms", "morans_i", "value", RHOS[:1]),
        ("fig6_consistency", None, "consistency", RHOS),
        ("figX1_norm_collapse", "morans_i", "value", RHOS),
    ):
        found, table = drawn[figure]
        rows = table[table["condition"] == "margin"]
        rows = rows[rows["quantity"] == quantity] if quantity else rows
        rows = rows[rows["strength"].isin(rhos)]
        segments = [
            segment[:, 1]
            for collection in found.axes[0].collections
            if isinstance(collection, LineCollection) and to_hex(collection.get_color()[0]) == LOOKS["margin"].color
            for segment in collection.get_segments()
        ]
        mean, sd = rows[f"{variable}_mean"].to_numpy(), rows[f"{variable}_sd"].to_numpy()
        expected = np.stack([mean - sd, mean + sd], axis=1)
        assert len(segments) == len(rhos)
        np.testing.assert_allclose(np.sort(segments, axis=0), np.sort(expected, axis=0), rtol=1e-12)


def test_figure_1_without_projection_heads_has_no_second_readout(tmp_path):
    figure, _ = draw("fig1_accuracy", write_inputs(tmp_path, "fig1_accuracy", only=("ce",)))
    assert len(figure.axes) == 2
    assert "standardized" not in texts(figure)


def test_figure_1_displaces_the_objectives_by_the_same_at_every_rho(drawn):
    for axes in drawn["fig1_accuracy"][0].axes:
        shifts = set()
        for look in LOOKS.values():
            for line in axes.lines:
                if line.get_color() == look.color and line.get_marker() == look.marker and line.get_linestyle() == "-":
                    shift = np.asarray(line.get_xdata()) - np.arange(1, 6)
                    np.testing.assert_allclose(shift, shift[0])
                    shifts.add(round(float(shift[0]), 6))
        assert sum(shifts) == pytest.approx(0, abs=1) and len(shifts) > 1
    assert "for display alone" in texts(drawn["fig1_accuracy"][0])


def test_figure_4_shows_smoothness_and_norms_with_and_without_dropout(drawn):
    figure, table = drawn["fig4_smoothness_and_norms"]
    for axes, quantity in zip(figure.axes, ("morans_i", "norm", "morans_i_centered"), strict=True):
        for name, look in LOOKS.items():
            for condition, line in ((name, "-"), (f"{name}_no_dropout", ":")):
                rows = selected(table, quantity=quantity, condition=condition)
                (found,) = lines_of(axes, look.color, linestyle=line)
                np.testing.assert_array_equal(found, topographic(rows, "value_mean"))
    smoothness, norms, centered = figure.axes
    for axes in (smoothness, centered):
        assert across(axes, "0.55") == [pytest.approx(-1 / 255)]
        assert axes.get_yscale() == "linear"
    assert norms.get_yscale() == "log"
    assert [axes.get_title(loc="left")[0] for axes in figure.axes] == ["a", "b", "c"]
    assert [line.get_ydata()[0] for line in norms.lines if line.get_color() == "0.25"] == [pytest.approx(3**-0.5)]
    for name, look in LOOKS.items():
        without = selected(table, quantity="norm", condition=name, strength=0.0)["value_mean"].item()
        assert across(norms, look.color) == [without]


def test_figure_4_shades_the_sd_and_nothing_where_there_is_one_trial(drawn):
    figure, table = drawn["fig4_smoothness_and_norms"]
    rows = selected(table, quantity="morans_i", condition="ce")
    rows = rows[rows["strength"] > 0]
    (band,) = [
        band
        for band in figure.axes[0].collections
        if isinstance(band, PolyCollection) and to_hex(band.get_facecolor()[0]) == to_hex(LOOKS["ce"].color)
    ]
    extent = band.get_paths()[0].get_extents()
    assert extent.y1 == pytest.approx((rows["value_mean"] + rows["value_sd"]).max())
    assert extent.y0 == pytest.approx((rows["value_mean"] - rows["value_sd"]).min())
    without = table[table["condition"].isin(NO_DROPOUT)]
    assert without["value_sd"].isna().all() and set(without["note"]) == {"one trial: no SD"}
    assert "5 trials; without dropout 1 trial, so no SD" in texts(figure)


def test_figure_4_refuses_summaries_of_other_networks(tmp_path):
    inputs = write_inputs(tmp_path, "fig4_smoothness_and_norms")
    fewer = content("fig4_smoothness_and_norms", "weight_norms", n=4)
    write_dataset(fewer, tmp_path / "weight_norms.nc", "weight_norms_summary")
    message = "morans_i, norm, morans_i_centered: expected the same conditions, ρ and trials"
    with pytest.raises(TopoRepError, match=message):
        draw("fig4_smoothness_and_norms", inputs)


def panels_of_figure_5(figure) -> dict[str, tuple]:
    """objective → its panels of distances and of pairs."""
    titled = [place for place, axes in enumerate(figure.axes) if axes.get_title(loc="left")]
    return {
        name: (figure.axes[place], figure.axes[place + 1])
        for place, (name, look) in zip(titled, LOOKS.items(), strict=True)
        if figure.axes[place].get_title(loc="left") == look.label
    }


def test_figure_5_draws_each_threshold_of_each_objective_and_black_dots_at_rho_0(drawn):
    figure, table = drawn["fig5_colocalization"]
    panels = panels_of_figure_5(figure)
    assert list(panels) == list(OBJECTIVES)
    for name, (distances, pairs) in panels.items():
        for threshold, shade in zip(THRESHOLDS, style.shades(LOOKS[name].color, len(THRESHOLDS)), strict=True):
            rows = selected(table, condition=name, threshold=threshold)
            (found,) = lines_of(distances, shade)
            np.testing.assert_array_equal(found, topographic(rows, "distance_mean"))
            (found,) = lines_of(pairs, shade)
            np.testing.assert_array_equal(found, topographic(rows, "pairs_mean"))
        dots = [line for line in distances.lines if line.get_color() == "0.0" and line.get_marker() == "o"]
        dots.sort(key=lambda line: line.get_xdata()[0])
        at_zero = selected(table, condition=name, strength=0.0).sort_values("threshold")["distance_mean"]
        np.testing.assert_array_equal([line.get_ydata()[0] for line in dots], at_zero)
        assert all(abs(line.get_xdata()[0]) < 0.5 for line in dots)
        assert CHANCE_DISTANCE in across(distances, "0.55")
        assert pairs.get_yscale() == "symlog"
        assert {text.get_text() for text in distances.texts} == {"τ", *(f"{threshold:g}" for threshold in THRESHOLDS)}


def test_figure_5_leaves_a_gap_and_says_so_where_no_pair_reaches_the_threshold(drawn):
    figure, table = drawn["fig5_colocalization"]
    missing = table[table["note"] == "no trial has a pair with r ≥ τ"]
    assert set(zip(missing["condition"], missing["strength"], missing["threshold"], strict=True)) == {
        ("simclr", 0.0, 0.8),
        ("simclr", 0.04, 0.8),
    }
    assert missing["distance_mean"].isna().all() and (missing["pairs_mean"] == 0).all()
    panels = panels_of_figure_5(figure)
    crosses = {
        name: sorted(float(x) for line in axes.lines if line.get_marker() == "x" for x in line.get_xdata())
        for name, (axes, _) in panels.items()
    }
    assert [name for name, places in crosses.items() if places] == ["simclr"]
    ticks = panels["simclr"][0].get_xticks()
    np.testing.assert_allclose(crosses["simclr"], ticks[[0, 2]], atol=0.5)
    assert "no pair reaches τ" in texts(figure)
    some = table[table["note"] == "not every trial has a pair with r ≥ τ"]
    assert some[["condition", "strength", "threshold", "distance_n"]].to_numpy().tolist() == [["margin", 0.008, 0.8, 4]]
    hollow = [
        line.get_ydata()[0]
        for line in panels["margin"][0].lines
        if line.get_marker() == "o" and line.get_markerfacecolor() == "white"
    ]
    assert hollow == some["distance_mean"].tolist()


def test_figure_5_takes_the_null_band_of_the_panel_s_own_objective(drawn, tmp_path):
    figure, table = drawn["fig5_colocalization"]
    file = content("fig5_colocalization", "colocalization")
    for name in OBJECTIVES:
        place = file["null_condition"].values.tolist().index(name)
        rows = selected(table, condition=name, strength=0.0).sort_values("threshold")
        for limit in ("null_low", "null_high"):
            np.testing.assert_array_equal(rows[limit], file[f"condition_{limit}"].values[place])
        boxes = panels_of_figure_5(figure)[name][0].patches
        lowest = {round(box.get_y(), 9) for box in boxes}
        assert lowest == set(rows["null_low"].round(9))
    common = file.drop_vars(["condition_null_low", "condition_null_high", "null_condition"])
    write_dataset(common, tmp_path / "common.nc", "colocalization_summary")
    _, table = draw("fig5_colocalization", [f"cifar10={tmp_path / 'common.nc'}"])
    assert table.groupby("threshold")["null_high"].nunique().eq(1).all()


def test_figure_5_cuts_a_wide_null_band_rather_than_flatten_the_lines(drawn, tmp_path):
    inputs = write_inputs(tmp_path, "fig5_colocalization")
    file = content("fig5_colocalization", "colocalization")
    file["condition_null_high"][:, -1] = 21.0
    write_dataset(file, tmp_path / "colocalization.nc", "colocalization_summary")
    figure, _ = draw("fig5_colocalization", inputs)
    before = drawn["fig5_colocalization"][0]
    assert figure.axes[0].get_ylim() == before.axes[0].get_ylim()
    assert "it is cut" in texts(figure) and "it is cut" not in texts(before)


def test_figure_5_writes_each_threshold_apart_where_lines_end_close_to_each_other(tmp_path):
    inputs = write_inputs(tmp_path, "fig5_colocalization")
    file = content("fig5_colocalization", "colocalization")
    file["distance_mean"][file["strength"].values == 5] = [5.0, 5.02, 5.01, 4.9, 5.0, 2.2]
    write_dataset(file, tmp_path / "colocalization.nc", "colocalization_summary")
    figure, _ = draw("fig5_colocalization", inputs)
    check_apart(figure, visible_texts(figure))
    for distances, _ in panels_of_figure_5(figure).values():
        heights = {text.get_text(): text.get_position()[1] for text in distances.texts}
        order = ["0.8", "0.6", "0.1", "0.7", "0.5", "0.3", "τ"]
        assert sorted(heights, key=heights.get) == order, "as the lines end"
        # The group is moved as a whole, so that its labels stay around its lines; a single one stays at its line.
        assert np.mean([heights[name] for name in order[1:-1]]) == pytest.approx(np.mean([5.0, 5.02, 5.01, 4.9, 5.0]))
        assert heights["0.8"] == pytest.approx(2.2)


def test_figure_6_shows_the_sd_over_pairs_beside_the_published_ranges(drawn):
    figure, table = drawn["fig6_consistency"]
    (axes,) = figure.axes
    file = content("fig6_consistency", "rdm_consistency")
    np.testing.assert_array_equal(table["consistency_sd"], file["consistency_sd"])
    assert set(table["n_pairs"]) == {10}
    for name, look in LOOKS.items():
        (found,) = lines_of(axes, look.color)
        np.testing.assert_array_equal(found, topographic(selected(table, condition=name), "consistency_mean"))
    grey = fig6_consistency._PUBLISHED_LOOK["color"]
    published = {tuple(line.get_ydata()) for line in axes.lines if line.get_color() == grey}
    assert published == {(0.80, 0.87), (0.60, 0.80)}
    # At ρ = 0.2 the range is of the objectives with labels alone.
    known = table[table["published_low"].notna()]
    assert set(known.loc[known["strength"] == 0.2, "condition"]) == {"margin", "ce", "supcon"}
    assert set(known.loc[known["strength"] == 0, "condition"]) == set(OBJECTIVES)
    assert "10 pairs" in texts(figure) and "5 trials" in texts(figure) and "1000 test images" in texts(figure)


def test_figure_6_has_no_sd_of_a_single_pair(tmp_path):
    figure, table = draw("fig6_consistency", write_inputs(tmp_path, "fig6_consistency", n=2, **FEW))
    assert set(table["n_pairs"]) == {1} and set(table["note"]) == {"one pair: no SD"}
    assert not figure.axes[0].collections
    assert "1 pair, so no SD" in texts(figure)


def test_figure_7_draws_both_votes_for_clean_images_and_each_level(drawn):
    figure, table = drawn["fig7_ensembles"]
    titled = [place for place, axes in enumerate(figure.axes) if axes.get_title(loc="left")]
    titles = [figure.axes[place].get_title(loc="left") for place in titled]
    assert titles == ["clean", *(f"noise level {level:g}" for level in LEVELS)]
    for place, level in zip(titled, (0.0, *LEVELS), strict=True):
        gain, accuracy = figure.axes[place], figure.axes[place + 1]
        looks = {"clean": LOOKS["ce"]} if level == 0 else fig7_ensembles.KINDS
        for kind, look in looks.items():
            votes = [selected(table, kind=kind, level=level, vote=vote) for vote in ("probability", "logit")]
            found = lines_of(gain, look.color)
            assert len(found) == 2
            for values, rows in zip(found, votes, strict=True):
                np.testing.assert_array_equal(values, topographic(rows, "gain"))
            faint = [line.get_alpha() for line in gain.lines if line.get_color() == look.color and line.get_alpha()]
            assert len(faint) == 2, "the line of the logits, and its point at ρ = 0"
            dotted = [line for line in gain.lines if line.get_color() == look.color and line.get_linestyle() == ":"]
            assert [line.get_ydata()[0] for line in dotted] == [votes[0]["gain"].iloc[0]]
            (found,) = lines_of(accuracy, look.color)
            np.testing.assert_array_equal(found, topographic(votes[0], "accuracy_mean"))
        assert accuracy.get_ylim() == (0, 1.06)
        assert 0.1 in across(accuracy, "0.55")
    assert set(table["kind"]) == {"clean", *KINDS} and set(table["n_networks"]) == {5}
    assert "percentage points" in texts(figure) and "5 networks (10 in the paper)" in texts(figure)


def test_figure_7_shows_the_published_gains_on_clean_images_alone(drawn):
    figure, table = drawn["fig7_ensembles"]
    clean, *noisy = [axes for axes in figure.axes if axes.get_title(loc="left")]
    # 2.9 points, as it is rounded, and 3.0 to 3.15.
    spans = sorted((patch.get_y(), patch.get_y() + patch.get_height()) for patch in clean.patches)
    np.testing.assert_allclose(spans, [(0.0285, 0.0295), (0.030, 0.0315)])
    assert not any(axes.patches for axes in noisy)
    published = table.dropna(subset="published_low")
    assert set(published["kind"]) == {"clean"}


def test_figure_7_is_drawn_for_ten_networks_and_for_an_objective_that_a_user_adds(tmp_path):
    both = summary("ensembles", points(("ce", "supcon")), n=10)
    write_dataset(both, tmp_path / "both.nc", "ensembles_summary")
    figure, table = draw("fig7_ensembles", [f"cifar10={tmp_path / 'both.nc'}"])
    assert len(figure.axes) == 24 and set(table["condition"]) == {"ce", "supcon"}
    assert "ensemble of 10 networks that" in texts(figure)
    assert "CIFAR-10: SupCon" in texts(figure)
    check_page(figure, visible_texts(figure))


def test_figure_x1_draws_three_losses_from_one_network_without_topography(drawn):
    figure, table = drawn["figX1_norm_collapse"]
    assert len(figure.axes) == 3 * len(OBJECTIVES)
    assert set(selected(table, strength=0.0)["topographic_loss"]) == {"Euclidean (the paper's)"}
    panels = itertools.product(("morans_i", "norm", "accuracy"), OBJECTIVES)
    for axes, (quantity, objective) in zip(figure.axes, panels, strict=True):
        own = table[(table["quantity"] == quantity) & (table["objective"] == objective)]
        for condition, color, line in (
            (objective, LOOKS[objective].color, "-"),
            (f"{objective}_cosine", "#111111", "--"),
            (f"{objective}_norm_penalty", "#8C8C8C", "--"),
        ):
            (found,) = lines_of(axes, color, linestyle=line)
            np.testing.assert_array_equal(found, topographic(selected(own, condition=condition), "value_mean"))
        zero = selected(own, strength=0.0)["value_mean"].item()
        at_zero = [
            (line.get_marker(), line.get_ydata().tolist())
            for line in axes.lines
            if line.get_transform() == axes.transData and line.get_marker() != "None" and line.get_xdata()[0] < 0.5
        ]
        assert at_zero == [("D", [zero])], "one network for the three losses"
        assert zero in across(axes, LOOKS[objective].color)
    smoothness, norms, accuracies = (figure.axes[start : start + 4] for start in (0, 4, 8))
    for row in (smoothness, norms):
        assert len({axes.get_ylim() for axes in row}) == 1, "objectives are to be compared"
    assert {axes.get_yscale() for axes in norms} == {"log"}
    assert len({axes.get_ylim() for axes in accuracies}) > 1


def test_figure_x1_says_which_networks_were_not_trained(tmp_path):
    trained = [*points(OBJECTIVES), *points(("ce_cosine", "supcon_cosine", "supcon_norm_penalty"))]
    inputs = []
    for analysis in FIGURES["figX1_norm_collapse"][0]:
        schema = analysis.removesuffix("_variants")
        write_dataset(summary(schema, trained, n=1), tmp_path / f"{analysis}.nc", f"{schema}_summary")
        inputs.append(f"cifar10.{analysis}={tmp_path / f'{analysis}.nc'}")
    figure, table = draw("figX1_norm_collapse", inputs)
    assert len(figure.axes) == 12
    assert len(table) == 3 * len(trained)
    assert (
        "Not trained here with a loss: cosine: margin, SimCLR; Euclidean with norm penalty: margin, CE, SimCLR."
        in texts(figure)
    )
    check_apart(figure, visible_texts(figure))


# What holds for all


@pytest.mark.parametrize("figure", FIGURES)
def test_the_figure_says_where_its_numbers_come_from(drawn, figure):
    text = texts(drawn[figure][0])
    for part in (
        "CIFAR-10: color photographs (CIFAR-10), reduced scale, 20 000 of the paper's 45 000 training images.",
        "Training: at most 12 epochs, stopped after 6 epochs (25 in the paper) without improvement, "
        "batches of 64 images (512 in the paper).",
        "claims nothing about the paper",
        "5 ",
        "SD over",
        "topographic weight ρ",
    ):
        assert part in text, part


def test_a_figure_at_the_paper_s_settings_names_no_deviation(tmp_path):
    training = json.dumps({"train_images": None, "patience": 25, "batch_size": 512})
    options = {"scale": "paper", "training": training}
    figure, _ = draw("fig1_accuracy", write_inputs(tmp_path, "fig1_accuracy", **options))
    text = texts(figure)
    assert "paper scale. Training: stopped after 25 epochs without improvement." in text
    for absent in ("in the paper)", "claims nothing", "Not trained here"):
        assert absent not in text


# One network has no other to be compared with.
@pytest.mark.parametrize(
    ("figure", "n"), [(figure, n) for figure in FIGURES for n in (1, 2) if (figure, n) != ("fig6_consistency", 1)]
)
def test_small_scales_are_drawn_from_what_there_is(tmp_path, figure, n):
    stand_in = {"source": "objects", "source_title": "rendered objects", "scale": "demo"}
    found, table = draw(figure, write_inputs(tmp_path, figure, n=n, **FEW, **stand_in))
    shown = visible_texts(found)
    check_page(found, shown)
    check_apart(found, shown)
    text = texts(found)
    assert "CIFAR-10 (stand-in: objects)" in text and "demo scale" in text
    if figure != "fig7_ensembles":
        assert "Not trained here: margin, SimCLR." in text
        assert {sander2026.objective_of(name) for name in table["condition"]} == {"ce", "supcon"}
    if n == 1:
        assert "no SD" in text
        assert not any(axes.collections for axes in found.axes)
        assert table[[name for name in table if name.endswith("_sd")]].isna().all(axis=None)
    elif figure != "fig6_consistency":
        assert any(axes.collections for axes in found.axes)


@pytest.mark.parametrize("figure", FIGURES)
def test_texts_are_on_the_page_and_apart(drawn, figure):
    shown = visible_texts(drawn[figure][0])
    assert len(shown) > 10
    check_page(drawn[figure][0], shown)
    check_apart(drawn[figure][0], shown)


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda file: file.isel(point=slice(1, None)), "condition '{first}' at ρ = 0 missing"),
        (
            lambda file: file.isel(point=[0, *range(file.sizes["point"])]),
            "condition '{first}' at ρ = 0 is there 2 times",
        ),
        (lambda file: file.assign_attrs(dataset="mnist"), "expected dataset 'cifar10', found 'mnist'"),
        (lambda file: file.assign_attrs(paper="truong2025"), "expected paper 'sander2026', found 'truong2025'"),
    ],
    ids=["gap", "doubled", "dataset", "paper"],
)
def test_a_file_that_is_not_whole_or_not_the_right_one_is_named(tmp_path, figure, change, named):
    if figure == "fig7_ensembles" and "missing" in named:
        return  # One objective alone: there is no other that has the ρ.
    inputs = write_inputs(tmp_path, figure)
    path = Path(inputs[0].partition("=")[2])
    write_dataset(change(xr.load_dataset(path)), path, schema_of(FIGURES[figure][0][0]))
    message = f"{path}: " + named.format(first=FIGURES[figure][1][0])
    with pytest.raises(TopoRepError, match=re.escape(message)):
        main(["sander2026", figure, "--input", *inputs, "--outputs", str(tmp_path / "out" / "a.pdf")])
    assert not (tmp_path / "out").exists()


def test_inputs_of_another_name_or_without_an_objective_are_refused(tmp_path):
    inputs = write_inputs(tmp_path, "fig4_smoothness_and_norms")
    message = r"expected one file named <dataset>\.morans_i_centered, found cifar10\.morans_i"
    with pytest.raises(TopoRepError, match=message):
        draw("fig4_smoothness_and_norms", inputs[:1])
    with pytest.raises(TopoRepError, match="expected one file named <dataset>, found cifar10.morans_i"):
        draw("fig1_accuracy", inputs[:1])
    write_dataset(summary("accuracy", points(VARIANTS)), tmp_path / "accuracy.nc", "accuracy_summary")
    with pytest.raises(TopoRepError, match="expected a condition of margin, ce, simclr, supcon, found margin_cosine"):
        draw("fig1_accuracy", [f"cifar10={tmp_path / 'accuracy.nc'}"])


def test_the_workflow_gives_each_figure_inputs_of_the_names_that_it_expects(tmp_path):
    workflow = Workflow.from_config(read_yaml(PROJECT / "config" / "config.yaml"), PROJECT)
    for figure in FIGURES:
        given = [pair.partition("=")[0] for pair in write_inputs(tmp_path / figure, figure)]
        assert sorted(workflow.figure_inputs("sander2026", figure)) == sorted(given)


def test_a_condition_that_a_user_adds_is_drawn(tmp_path):
    for figure, color in (("fig1_accuracy", "#117733"), ("fig6_consistency", "#117733")):
        analysis = FIGURES[figure][0][0]
        added = summary(analysis, points(("ce",)))
        added["condition"] = ("point", np.array(["ce_wide"] * len(RHOS), dtype=object))
        path = tmp_path / f"{analysis}.nc"
        write_dataset(xr.concat([summary(analysis), added], "point"), path, f"{analysis}_summary")
        found, table = draw(figure, [f"cifar10={path}"])
        assert table["condition"].iloc[-1] == "ce_wide"
        assert lines_of(found.axes[0], color)
        assert "ce_wide" in texts(found)


def test_another_process_writes_the_same_bytes(drawn, tmp_path):
    inputs = {figure: write_inputs(tmp_path / "inputs" / figure, figure) for figure in FIGURES}
    check_drawn_elsewhere("sander2026", {figure: drawn[figure] for figure in FIGURES}, inputs, tmp_path)
    for figure in FIGURES:
        check_embedded(tmp_path / "here" / f"{figure}.pdf")


@pytest.mark.parametrize("name", PAGES)
def test_captions_are_valid_and_name_data_models_and_estimator(name):
    html = caption(name)
    for word in (
        "CIFAR-10",
        "stand in for it",
        "trial",
        "Estimator",
        "Sander &amp; Hasson 2026",
        "cross-entropy",
        "ReLU",
    ):
        if (name, word) not in {("fig1_accuracy", "ReLU"), ("fig7_ensembles", "ReLU")}:
            assert word in html, word
