"""Figures: they draw the numbers they are given, always the same bytes, and refuse incomplete input."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import metric_summaries_tuning
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from figure_checks import (
    COLOR_BLINDNESS,
    caption,
    check_apart,
    check_embedded,
    check_page,
    check_same_bytes,
    cielab,
    texts,
)
from matplotlib.text import Text
from metric_summaries_tuning import activations, morans_i_summary

from toporep.cli.figure import main, parse_inputs
from toporep.errors import TopoRepError
from toporep.figures import figure_module, style
from toporep.figures.truong2025 import colocalization
from toporep.figures.truong2025.fig6_colocalization import alpha_colors
from toporep.io import write_dataset

STRENGTHS = [0.1, 0.3, 0.5, 1.0, 2.0, 3.0]
THRESHOLDS = [0.1, 0.3, 0.5, 0.6, 0.7, 0.8]
FAMILIES = ["ws", "as", "as_reshaped"]
POINTS = [("control", 0.0), *((family, strength) for family in FAMILIES for strength in STRENGTHS)]
COLOCALIZATION_FIGURES = ["fig6_colocalization", "figX5_colocalization_by_alpha"]
SUMMARY_FIGURES = {
    **dict.fromkeys(COLOCALIZATION_FIGURES, "colocalization_summary"),
    "figA8_morans_i": "morans_i_summary",
}


def colocalization_summary(dataset: str, *, points=POINTS, n: int = 3) -> xr.Dataset:
    """One family has no pair at the highest threshold and smallest λ, another only in some runs."""
    summary = metric_summaries_tuning.colocalization_summary(dataset, points=points, n=n)
    if n > 1:
        empty, rare = ([point == wanted for point in points] for wanted in (("as_reshaped", 0.1), ("ws", 0.1)))
        for name in ("distance_mean", "distance_sem"):
            summary[name].values[empty, -1] = np.nan
        summary["pairs_mean"].values[empty, -1] = 0
        summary["distance_n"].values[empty, -1] = 0
        summary["distance_n"].values[rare, -1] = n - 1
    return summary


def write_summaries(folder: Path, figure: str, **options) -> list[str]:
    schema = SUMMARY_FIGURES[figure]
    make = {"colocalization_summary": colocalization_summary, "morans_i_summary": morans_i_summary}[schema]
    for dataset in ("mnist", "cifar10"):
        write_dataset(make(dataset, **options), folder / f"{dataset}.nc", schema)
    return [f"{dataset}={folder / f'{dataset}.nc'}" for dataset in ("mnist", "cifar10")]


def write_dumps(folder: Path, *, seeds=(0, 1)) -> list[str]:
    models = [("control", 0.0), *((name, strength) for name in FAMILIES for strength in (0.1, 0.3, 0.5))]
    dumps = metric_summaries_tuning.write_dumps(folder, models, seeds=seeds)
    return [f"{name}={path}" for name, path in dumps.items()]


def write_inputs(folder: Path, figure: str) -> list[str]:
    return write_dumps(folder) if figure == "fig7_activation_maps" else write_summaries(folder, figure)


def arguments(figure: str, inputs: list[str], folder: Path) -> list[str]:
    outputs = [str(folder / f"{figure}.{suffix}") for suffix in ("pdf", "png", "csv")]
    return ["truong2025", figure, "--input", *inputs, "--outputs", *outputs]


def draw(figure: str, inputs: list[str], **settings):
    return figure_module("truong2025", figure).draw(parse_inputs(inputs), **settings)


def test_two_processes_write_the_same_bytes(tmp_path):
    figures = [*SUMMARY_FIGURES, "fig7_activation_maps"]
    commands = []
    for figure in figures:
        (tmp_path / figure).mkdir()
        commands.append((figure, write_inputs(tmp_path / figure, figure)))
        main(arguments(*commands[-1], tmp_path / "here"))
    calls = [arguments(*command, tmp_path / "there") for command in commands]
    code = f"from toporep.cli.figure import main\nfor call in {calls!r}: main(call)"
    check_same_bytes(code, here=tmp_path / "here", there=tmp_path / "there", files=3 * len(figures))
    for figure in figures:
        check_embedded(tmp_path / "here" / f"{figure}.pdf")
        png = (tmp_path / "here" / f"{figure}.png").read_bytes()
        assert b"tIME" not in png and b"Software" not in png


@pytest.mark.parametrize("figure", COLOCALIZATION_FIGURES)
def test_colocalization_table_holds_the_numbers_of_the_files(tmp_path, figure):
    inputs = write_summaries(tmp_path, figure)
    main(arguments(figure, inputs, tmp_path))
    table = pd.read_csv(tmp_path / f"{figure}.csv", keep_default_na=False, na_values=["nan"])
    measured = table[table["origin"] == "this run"]
    assert len(measured) == 2 * len(POINTS) * len(THRESHOLDS)
    for dataset in ("mnist", "cifar10"):
        expected = colocalization_summary(dataset).to_dataframe().reset_index()
        rows = measured[measured["dataset"] == dataset].merge(expected, on=["condition", "strength", "threshold"])
        for name in ("distance_mean", "distance_sem", "distance_n", "pairs_mean", "null_low", "null_high"):
            np.testing.assert_allclose(rows[f"{name}_x"].astype(float), rows[f"{name}_y"], rtol=1e-9)
    assert set(measured["n_seeds"]) == {3}
    assert set(table["chance_distance"]) == {5.758549}


@pytest.mark.parametrize("figure", COLOCALIZATION_FIGURES)
def test_colocalization_tells_points_without_pairs(tmp_path, figure):
    drawn, table = draw(figure, write_summaries(tmp_path, figure))
    missing = table[table["note"].str.startswith("no seed")]
    assert set(zip(missing["condition"], missing["strength"], missing["threshold"], strict=True)) == {
        ("as_reshaped", 0.1, 0.8)
    }
    assert missing["distance_mean"].isna().all()
    assert table.loc[table["note"].str.startswith("not every"), "distance_n"].tolist() == [2, 2]
    assert "no pair above α" in texts(drawn)


@pytest.mark.parametrize("figure", COLOCALIZATION_FIGURES)
def test_colocalization_gives_the_published_values_of_section_3_4_1(tmp_path, figure):
    _, table = draw(figure, write_summaries(tmp_path, figure))
    published = table[table["origin"] == "published"]
    values = {(row.condition, row.threshold): row.distance_mean for row in published.itertuples()}
    assert values == {("control", 0.1): 5.56, ("control", 0.3): 5.58, ("as", 0.1): 5.64, ("as", 0.3): 5.57}
    assert set(published["dataset"]) == {"mnist"}


def test_colocalization_by_alpha_draws_each_line_of_the_table(tmp_path):
    figure, table = draw("figX5_colocalization_by_alpha", write_summaries(tmp_path, "figX5_colocalization_by_alpha"))
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == [f"α = {threshold:g}" for threshold in THRESHOLDS] * 2
    for axes, (dataset, threshold) in zip(
        panels, [(dataset, threshold) for dataset in ("mnist", "cifar10") for threshold in THRESHOLDS], strict=True
    ):
        drawn = {line.get_color(): line.get_ydata() for line in axes.lines if len(line.get_ydata()) == len(STRENGTHS)}
        for family in FAMILIES:
            chosen = (table["dataset"] == dataset) & (table["threshold"] == threshold) & (table["condition"] == family)
            expected = table[chosen & (table["origin"] == "this run")].sort_values("strength")["distance_mean"]
            np.testing.assert_array_equal(drawn[style.condition_styles([family])[family].color], expected)


def test_figure_6_draws_each_line_of_the_table_with_the_control_at_its_left(tmp_path):
    figure, table = draw("fig6_colocalization", write_summaries(tmp_path, "fig6_colocalization"))
    looks = style.condition_styles(["control", *FAMILIES])
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in panels] == [looks[family].label for family in FAMILIES] * 2
    order = [(dataset, family) for dataset in ("mnist", "cifar10") for family in FAMILIES]
    for axes, (dataset, family) in zip(panels, order, strict=True):
        rows = table[(table["dataset"] == dataset) & (table["origin"] == "this run")]
        for condition in (family, "control"):
            shades = dict(zip(THRESHOLDS, alpha_colors(looks[condition].color, len(THRESHOLDS)), strict=True))
            for threshold, shade in shades.items():
                drawn = [line for line in axes.lines if line.get_color() == shade and line.get_marker() == "o"]
                own = rows[(rows["condition"] == condition) & (rows["threshold"] == threshold)]
                expected = own.sort_values("strength")["distance_mean"]
                np.testing.assert_array_equal(drawn[0].get_ydata(), expected)
                # Categorical strengths 0, 1, 2, …; the control has none and stands before them.
                x = np.asarray(drawn[0].get_xdata(), dtype=float)
                assert (x < -0.5).all() if condition == "control" else (np.abs(x - np.arange(len(x))) < 0.5).all()


def test_figure_6_shows_published_values_at_the_control_of_their_alpha_and_in_both_readings_of_as(tmp_path):
    figure, _ = draw("fig6_colocalization", write_summaries(tmp_path, "fig6_colocalization"))
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    found = []
    for axes in panels:
        ticks = dict(zip(axes.get_xticks(), THRESHOLDS + STRENGTHS, strict=True))
        diamonds = [line for line in axes.lines if line.get_marker() == "d"]
        at = [(ticks.get(line.get_xdata()[0], "beside"), line.get_ydata()[0]) for line in diamonds]
        found.append(sorted(at, key=lambda pair: pair[1]))
    control = [(0.1, 5.56), (0.3, 5.58)]
    both = [(0.1, 5.56), ("beside", 5.57), (0.3, 5.58), ("beside", 5.64)]
    assert found == [control, both, both, [], [], []]


def test_figure_6_shares_the_ordinate_unless_that_would_flatten_a_dataset(tmp_path):
    inputs = write_summaries(tmp_path, "fig6_colocalization")

    def limits() -> list[tuple[float, float]]:
        figure, _ = draw("fig6_colocalization", inputs)
        panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
        assert len({axes.get_ylim() for axes in panels[:3]}) == len({axes.get_ylim() for axes in panels[3:]}) == 1
        for dataset, axes in (("mnist", panels[0]), ("cifar10", panels[3])):
            mean = xr.load_dataset(tmp_path / f"{dataset}.nc")["distance_mean"]
            assert axes.get_ylim()[0] < mean.min() and mean.max() < axes.get_ylim()[1]
        assert ("ordinates of different extent" in texts(figure)) == (panels[0].get_ylim() != panels[3].get_ylim())
        return [panels[0].get_ylim(), panels[3].get_ylim()]

    first, second = limits()
    assert first == second
    deep = colocalization_summary("cifar10")
    deep["distance_mean"] = 5.75 + 4 * (deep["distance_mean"] - 5.75)
    write_dataset(deep, tmp_path / "cifar10.nc", "colocalization_summary")
    first, second = limits()
    assert second[0] < first[0] - 1


def test_labels_of_figure_6_do_not_overlap(tmp_path):
    figure, _ = draw("fig6_colocalization", write_summaries(tmp_path, "fig6_colocalization"))
    shown = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for axes in figure.axes:
        shown += [axes.yaxis.label, *(text for text in axes.get_children() if isinstance(text, Text))]
        shown += axes.get_xticklabels() if axes.xaxis.get_tick_params()["labelbottom"] else []
    assert sum(bool(text.get_text()) for text in shown) > 100
    check_apart(figure, shown)


@pytest.mark.parametrize("family", ["control", *FAMILIES])
def test_thresholds_darken_in_equal_steps_that_are_seen_in_grey(family):
    shades = alpha_colors(style.condition_styles([family])[family].color, len(THRESHOLDS))
    lightness = [cielab(shade)[0] for shade in shades]
    # A difference of about 2.3 is just noticeable.
    np.testing.assert_allclose(np.diff(lightness), -10, atol=0.1)


def test_morans_i_table_holds_the_numbers_of_the_files(tmp_path):
    main(arguments("figA8_morans_i", write_summaries(tmp_path, "figA8_morans_i"), tmp_path))
    table = pd.read_csv(tmp_path / "figA8_morans_i.csv", keep_default_na=False)
    for dataset in ("mnist", "cifar10"):
        expected = morans_i_summary(dataset).to_dataframe().reset_index()
        rows = table[table["dataset"] == dataset].merge(expected, on=["condition", "strength"])
        assert len(rows) == len(POINTS)
        np.testing.assert_allclose(rows["morans_i_mean_x"], rows["morans_i_mean_y"], rtol=1e-9)
        np.testing.assert_allclose(rows["morans_i_sem_x"], rows["morans_i_sem_y"], rtol=1e-9)
    np.testing.assert_allclose(table["chance_morans_i"], -1 / 120, rtol=1e-9)


def test_maps_table_holds_the_activations_of_the_files(tmp_path):
    figure, table = draw("fig7_activation_maps", write_dumps(tmp_path), images=4)
    assert len(table) == 2 * 10 * 4 * 121
    assert table.groupby("label")["stimulus"].unique().map(list).to_dict() == {
        # Labels run 3, 0, 7, 4, 1, 8, 5, 2, 9, 6, then again.
        0: [1],
        1: [4],
        2: [7],
        3: [0],
    }
    for (condition, strength, seed), rows in table.groupby(["condition", "strength", "seed"]):
        dump = activations(condition, strength, seed)["sheet_pre"].values
        np.testing.assert_array_equal(rows["activation"], dump[rows["stimulus"], rows["row"] * 11 + rows["col"]])
    drawn = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(drawn) == 20 * 4
    np.testing.assert_array_equal(np.sort(np.ravel(drawn)), np.sort(table["activation"]))


def test_maps_do_not_depend_on_the_order_of_inputs_or_units(tmp_path):
    inputs = write_dumps(tmp_path, seeds=(0,))
    _, table = draw("fig7_activation_maps", inputs)
    path = inputs[-1].partition("=")[2]
    shuffled = xr.load_dataset(path).isel(unit=np.random.default_rng(0).permutation(121))
    write_dataset(shuffled, path, "activations")
    _, again = draw("fig7_activation_maps", inputs[::-1])
    pd.testing.assert_frame_equal(table, again)


@pytest.mark.parametrize("figure", SUMMARY_FIGURES)
@pytest.mark.parametrize(
    ("points", "named"),
    [
        ([point for point in POINTS if point[0] != "as_reshaped"], "condition 'as_reshaped' is missing"),
        ([point for point in POINTS if point[0] != "control"], "condition 'control' is missing"),
        ([point for point in POINTS if point != ("ws", 0.5)], "condition 'ws' at strength 0.5 missing"),
        ([*POINTS, ("as", 1.0)], "condition 'as' at strength 1 is there 2 times"),
    ],
)
def test_a_gap_is_named_and_nothing_is_written(tmp_path, figure, points, named):
    inputs = write_summaries(tmp_path, figure, points=points)
    with pytest.raises(TopoRepError, match=re.escape(named)):
        main(arguments(figure, inputs, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_map_that_is_missing_is_named(tmp_path):
    inputs = write_dumps(tmp_path)
    with pytest.raises(TopoRepError, match="as at strength 0.3 lacks seed 1"):
        draw("fig7_activation_maps", [pair for pair in inputs if not pair.startswith("as_0.3_seed1=")])
    with pytest.raises(TopoRepError, match="condition 'ws' at strength 0.5 missing"):
        draw("fig7_activation_maps", [pair for pair in inputs if not pair.startswith("ws_0.5_")])
    with pytest.raises(TopoRepError, match="is there twice"):
        draw("fig7_activation_maps", [*inputs, f"again={inputs[0].partition('=')[2]}"])


def test_maps_of_other_test_images_are_refused(tmp_path):
    inputs = write_dumps(tmp_path, seeds=(0,))
    path = inputs[3].partition("=")[2]
    dump = xr.load_dataset(path)
    write_dataset(dump.assign_coords(label=("stimulus", dump["label"].values[::-1])), path, "activations")
    with pytest.raises(TopoRepError, match="another order"):
        draw("fig7_activation_maps", inputs)
    write_dataset(dump.assign_attrs(data_sha256="other"), path, "activations")
    with pytest.raises(TopoRepError, match="data_sha256"):
        draw("fig7_activation_maps", inputs)


def test_a_file_of_another_schema_or_dataset_is_refused(tmp_path):
    inputs = write_summaries(tmp_path, "figA8_morans_i")
    with pytest.raises(TopoRepError, match="expected schema 'colocalization_summary'.*found 'morans_i_summary'"):
        main(arguments("fig6_colocalization", inputs, tmp_path / "out"))
    swapped = [f"mnist={tmp_path / 'cifar10.nc'}", f"cifar10={tmp_path / 'mnist.nc'}"]
    with pytest.raises(TopoRepError, match="expected dataset 'mnist', found 'cifar10'"):
        main(arguments("figA8_morans_i", swapped, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("figure", SUMMARY_FIGURES)
def test_one_seed_has_no_band_and_says_so(tmp_path, figure):
    several, _ = draw(figure, write_summaries(tmp_path, figure))
    single, table = draw(figure, write_summaries(tmp_path, figure, n=1))
    assert set(table.loc[table["n_seeds"] == 1, "note"]) == {"one seed: no SEM"}
    assert "1 seed, so no SEM" in texts(single)
    assert "3 seeds" in texts(several)
    assert not any(axes.collections for axes in single.axes)
    assert any(axes.collections for axes in several.axes)


@pytest.mark.parametrize("figure", SUMMARY_FIGURES)
def test_the_figure_says_where_its_numbers_come_from(tmp_path, figure):
    drawn, _ = draw(figure, write_summaries(tmp_path, figure))
    text = texts(drawn)
    for part in (
        "MNIST: handwritten digits (MNIST), reduced scale, 12 000 of the paper's 48 000 training images",
        "4 of the paper's 15 epochs, 3 seeds.",
        "10 000 of the paper's 40 000 training images, 4 of the paper's 30 epochs",
        "SEM over seeds",
        "claims nothing",
    ):
        assert part in text


def test_a_condition_that_a_user_adds_is_drawn_in_a_color_of_its_own(tmp_path):
    points = [*POINTS, ("global", 0.5)]
    summary = morans_i_summary("mnist")
    added = morans_i_summary("mnist", points=[("ws", 0.5)])
    added["condition"] = ("point", np.array(["global"], dtype=object))
    write_dataset(xr.concat([summary, added], "point"), tmp_path / "mnist.nc", "morans_i_summary")
    drawn, table = draw("figA8_morans_i", [f"mnist={tmp_path / 'mnist.nc'}"])
    assert set(zip(table["condition"], table["strength"], strict=True)) == set(points)
    assert "global" in texts(drawn)


@pytest.mark.parametrize("figure", [*SUMMARY_FIGURES, "fig7_activation_maps"])
def test_text_is_never_smaller_than_six_points_and_stays_on_the_page(tmp_path, figure):
    drawn, _ = draw(figure, write_inputs(tmp_path, figure))
    check_page(drawn)


@pytest.mark.parametrize("kind", COLOR_BLINDNESS)
def test_conditions_keep_apart_under_color_blindness(kind):
    looks = style.condition_styles(["control", *FAMILIES])
    seen = {name: cielab(look.color, seen_with=kind) for name, look in looks.items()}
    for first in seen:
        for second in seen:
            if first < second:
                # A difference of about 2.3 is just noticeable.
                assert np.linalg.norm(seen[first] - seen[second]) > 15, f"{first} and {second}"


def test_unknown_figure_paper_input_and_setting_are_told(tmp_path):
    with pytest.raises(TopoRepError, match="fig6_colocalization"):
        figure_module("truong2025", "fig6_colocalisation")
    with pytest.raises(TopoRepError, match="no figure of truong2025 is named 'colocalization'"):
        figure_module("truong2025", "colocalization")
    with pytest.raises(TopoRepError, match="truong2025"):
        figure_module("truong2026", "fig6_colocalization")
    with pytest.raises(TopoRepError, match="NAME=path"):
        parse_inputs(["mnist.nc"])
    command = arguments("figA8_morans_i", ["mnist=absent.nc"], tmp_path)
    with pytest.raises(TopoRepError, match="unknown images"):
        main([*command, "--settings", '{"images": 3}'])
    with pytest.raises(TopoRepError, match="absent.nc: no such file"):
        main(command)
    with pytest.raises(TopoRepError, match="a.svg"):
        main([*command[:-3], str(tmp_path / "a.svg")])


def test_drawing_does_not_import_torch():
    code = (
        "import sys, toporep.cli.figure as c; from toporep.figures import figure_module as m;"
        f"[m('truong2025', f) for f in {[*SUMMARY_FIGURES, 'fig7_activation_maps']!r}];"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_published_values_are_below_the_exact_chance_of_the_sheet():
    """The mean distance of the 7260 distinct pairs of an 11 × 11 sheet; the published control lies 0.2 under it."""
    units = np.indices((11, 11)).reshape(2, -1).T
    distances = np.linalg.norm(units[:, None] - units[None], axis=-1)[np.triu_indices(121, 1)]
    assert distances.size == 7260
    assert distances.mean() == pytest.approx(5.7585, abs=5e-5)
    control = [value for _, condition, _, value in colocalization.PUBLISHED if condition == "control"]
    assert all(0.15 < distances.mean() - value < 0.25 for value in control)


@pytest.mark.parametrize("figure", [*SUMMARY_FIGURES, "fig7_activation_maps"])
def test_captions_are_valid_and_name_data_seeds_and_estimator(figure):
    html = caption(figure)
    for word in ("MNIST", "seed", "ReLU", "Truong"):
        assert word in html
