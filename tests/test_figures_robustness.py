"""Figures of accuracy, robustness, variability, calibration and training: they draw the numbers they are given."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from figure_checks import caption, check_apart, check_drawn_elsewhere, check_page, texts, visible_texts
from matplotlib.backends.backend_agg import FigureCanvasAgg
from metric_summaries import ABSOLUTE, FAMILIES, KINDS, LEVELS, POINTS, RELATIVE, STRENGTHS, images, summary

from toporep.cli.figure import main, parse_inputs
from toporep.errors import TopoRepError
from toporep.figures import figure_module, style
from toporep.io import write_dataset
from toporep.stimuli.noise import add_noise

SUMMARY_FIGURES = {
    "fig2_accuracy": "calibration",
    "fig3_weight_noise": "weight_noise",
    "fig4_image_noise": "image_noise_robustness",
    "fig5_entropy_poz": "activity",
    "figA1_training_mnist": "training_curves",
    "figA2_training_cifar10": "training_curves",
    "figA5_calibration": "calibration",
    "figA6_effective_dimensionality": "dimensionality",
}
TRAINING_FIGURES = {"figA1_training_mnist": "mnist", "figA2_training_cifar10": "cifar10"}
FIGURES = ["fig1_concepts", *SUMMARY_FIGURES, "figA7_noise_examples"]
# Three strengths and one seed: the smallest scale.
FEW = [point for point in POINTS if point[1] in (0, 0.1, 0.5, 3)]
# Variables, selection of one panel's rows: panels row by row, as they stand on the page.
SWEEPS = {
    "fig2_accuracy": [("accuracy", {"dataset": name}) for name in ("mnist", "cifar10")],
    "fig4_image_noise": [
        ("accuracy_change", {"dataset": name, "normalization": normalization, "kind": kind, "level": level})
        for name, normalization in (("mnist", "matched"), ("cifar10", "matched"), ("cifar10", "mismatched"))
        for kind in KINDS
        for level in LEVELS
    ],
    "fig5_entropy_poz": [
        (variable, {"dataset": name, "estimator": estimator})
        for variable, estimator in (
            ("entropy", "unit_range"),
            ("percent_zero", ""),
            ("entropy", "common_range"),
            ("entropy", "gaussian"),
            ("variance", ""),
        )
        for name in ("mnist", "cifar10")
    ],
    "figA5_calibration": [
        (variable, {"dataset": name})
        for name in ("mnist", "cifar10")
        for variable in ("logit_gap", "calibration_error", "probability_gap")
    ],
    "figA6_effective_dimensionality": [
        ("effective_dimensionality", {"dataset": name, "quantity": quantity})
        for name in ("mnist", "cifar10")
        for quantity in ("weights", "weights_transposed", "activations_pre", "activations_post")
    ],
}


def write_inputs(folder: Path, figure: str, **options) -> list[str]:
    datasets = [TRAINING_FIGURES[figure]] if figure in TRAINING_FIGURES else ["mnist", "cifar10"]
    if figure == "fig1_concepts":
        return []
    folder.mkdir(parents=True, exist_ok=True)
    for dataset in datasets:
        if figure == "figA7_noise_examples":
            write_dataset(images(dataset), folder / f"{dataset}.nc", "images", complevel=0)
        else:
            analysis = SUMMARY_FIGURES[figure]
            write_dataset(summary(analysis, dataset, **options), folder / f"{dataset}.nc", f"{analysis}_summary")
    return [f"{dataset}={folder / f'{dataset}.nc'}" for dataset in datasets]


def draw(figure: str, inputs: list[str], **settings):
    return figure_module("truong2025", figure).draw(parse_inputs(inputs), **settings)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """figure → (matplotlib figure, table), each drawn once, from three seeds."""
    folder = tmp_path_factory.mktemp("summaries")
    return {figure: draw(figure, write_inputs(folder / figure, figure)) for figure in FIGURES}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The same with one seed and three strengths."""
    folder = tmp_path_factory.mktemp("small")
    return {figure: draw(figure, write_inputs(folder / figure, figure, points=FEW, n=1)) for figure in SUMMARY_FIGURES}


def on_page(figure) -> list:
    """Panels row by row, as they are read."""
    return sorted(figure.axes, key=lambda axes: (-round(axes.get_position().y0, 4), axes.get_position().x0))


def selected(table: pd.DataFrame, chosen: dict) -> pd.DataFrame:
    keep = np.ones(len(table), dtype=bool)
    for name, value in chosen.items():
        keep &= (table[name] == value).to_numpy()
    return table[keep]


def solid_lines(axes) -> dict[str, np.ndarray]:
    """color → ordinates of the lines across the strengths, without the control's."""
    return {line.get_color(): line.get_ydata() for line in axes.lines if len(line.get_ydata()) > 2}


@pytest.mark.parametrize("figure", SUMMARY_FIGURES)
def test_the_table_holds_the_numbers_of_the_files(drawn, figure):
    _, table = drawn[figure]
    variables = [column for column in table if column.endswith(("_mean", "_sem"))]
    datasets = table["dataset"].unique().tolist()
    assert datasets == ([TRAINING_FIGURES[figure]] if figure in TRAINING_FIGURES else ["mnist", "cifar10"])
    for dataset in datasets:
        content = summary(SUMMARY_FIGURES[figure], dataset)
        own = table[table["dataset"] == dataset].rename(columns={"n_seeds": "n"})
        for variable in variables:
            expected = content[[variable]].to_dataframe().reset_index()
            keys = [name for name in expected if name in table and name != variable]
            rows = own[own["estimator"] != ""] if variable.startswith("entropy") else own
            rows = rows[rows["estimator"] == ""] if variable.startswith(("percent_zero", "variance")) else rows
            rows = rows[rows["mode"] == ""] if variable.startswith("readout_norm") else rows
            rows = (
                rows[rows["mode"] != ""]
                if variable.startswith(("similarity", "accuracy_change")) and "mode" in rows
                else rows
            )
            merged = rows.merge(expected, on=keys, suffixes=("_table", "_file"))
            assert len(merged) == len(rows) > 0
            if figure not in TRAINING_FIGURES and "mode" not in keys and "normalization" not in keys:
                assert len(merged) == len(expected)
            np.testing.assert_array_equal(merged[f"{variable}_table"], merged[f"{variable}_file"])
    assert set(table["n_seeds"]) == {3}


@pytest.mark.parametrize("figure", SWEEPS)
def test_each_panel_draws_its_own_rows_of_the_table(drawn, figure):
    found, table = drawn[figure]
    looks = style.condition_styles(["control", *FAMILIES])
    panels = on_page(found)
    assert len(panels) == len(SWEEPS[figure])
    for axes, (variable, chosen) in zip(panels, SWEEPS[figure], strict=True):
        rows = selected(table, chosen)
        lines = solid_lines(axes)
        assert len(lines) == len(FAMILIES)
        for family in FAMILIES:
            expected = rows[rows["condition"] == family].sort_values("strength")[f"{variable}_mean"]
            assert len(expected) == len(STRENGTHS)
            np.testing.assert_array_equal(lines[looks[family].color], expected)
        dashed = [line for line in axes.lines if line.get_color() == looks["control"].color]
        control = rows.loc[rows["condition"] == "control", f"{variable}_mean"].item()
        assert [set(line.get_ydata()) for line in dashed] == [{control}]
        assert dashed[0].get_linestyle() == "--"
        # Bands: the control's and one a family, mean ± SEM.
        bands = [collection.get_paths()[0].get_extents() for collection in axes.collections]
        wide = rows[f"{variable}_sem"].to_numpy()
        lowest, highest = rows[f"{variable}_mean"] - wide, rows[f"{variable}_mean"] + wide
        assert min(box.y0 for box in bands) == pytest.approx(lowest[rows["condition"] != "control"].min())
        assert max(box.y1 for box in bands) == pytest.approx(highest[rows["condition"] != "control"].max())


def test_accuracy_is_written_in_percent_and_kept_as_a_share(drawn):
    figure, table = drawn["fig2_accuracy"]
    FigureCanvasAgg(figure).draw()
    assert table["accuracy_mean"].between(0, 1).all()
    low, high = figure.axes[0].get_ylim()
    shown = [float(label.get_text()) for label in figure.axes[0].get_yticklabels() if label.get_text()]
    assert 100 * low - 1 < min(shown) and max(shown) < 100 * high + 1


def test_weight_noise_has_a_line_a_strength_in_the_panel_of_its_family(drawn):
    figure, table = drawn["fig3_weight_noise"]
    panels = on_page(figure)
    assert len(panels) == 2 * 2 * 2 * len(FAMILIES) + 2
    order = [
        (mode, variable, dataset, family)
        for mode in ("absolute", "relative")
        for variable in ("similarity", "accuracy_change")
        for dataset in ("mnist", "cifar10")
        for family in FAMILIES
    ]
    for axes, (mode, variable, dataset, family) in zip(panels[:-2], order, strict=True):
        rows = selected(table, {"mode": mode, "dataset": dataset})
        color = style.condition_styles([family])[family].color
        lines = {tuple(np.atleast_1d(line.get_color())): line.get_ydata() for line in axes.lines}
        for strength, shade in zip(STRENGTHS, style.shades(color, len(STRENGTHS)), strict=True):
            own = selected(rows, {"condition": family, "strength": strength})
            assert own["sigma"].tolist() == list(ABSOLUTE if mode == "absolute" else RELATIVE)
            np.testing.assert_array_equal(lines[shade], own[f"{variable}_mean"])
        control = selected(rows, {"condition": "control"})
        np.testing.assert_array_equal(
            lines[style.condition_styles(["control"])["control"].color,], control[f"{variable}_mean"]
        )
    for axes, dataset in zip(panels[-2:], ("mnist", "cifar10"), strict=True):
        rows = selected(table, {"mode": "", "dataset": dataset})
        for color, drawn_values in solid_lines(axes).items():
            family = next(name for name in FAMILIES if style.condition_styles([name])[name].color == color)
            np.testing.assert_array_equal(drawn_values, selected(rows, {"condition": family})["readout_norm_mean"])


def test_weight_noise_says_that_absolute_noise_favors_large_weights(drawn):
    text = texts(drawn["fig3_weight_noise"][0])
    for part in (
        "larger norm",
        "gives neither the levels",
        "Pearson r",
        "100 draws",
        "WS",
        "AS as defined",
        "AS reshaped",
    ):
        assert part in text


def test_image_noise_tells_both_normalizations_and_the_accuracy_without_noise(drawn):
    figure, table = drawn["fig4_image_noise"]
    headings = [text.get_text() for text in figure.texts if "clean control" in text.get_text()]
    assert [heading.split(":")[0] for heading in headings] == ["MNIST", "CIFAR-10", "CIFAR-10, other constants"]
    clean = selected(table, {"dataset": "cifar10", "normalization": "mismatched", "condition": "control"})
    assert f"{100 * clean['clean_accuracy_mean'].iloc[0]:.1f} %" in headings[2]
    assert "percentage points" in texts(figure)


@pytest.mark.parametrize(("figure", "dataset"), TRAINING_FIGURES.items())
def test_training_is_drawn_at_the_strength_asked_for(drawn, tmp_path, figure, dataset):
    found, table = drawn[figure]
    assert set(zip(table["condition"], table["strength"], strict=True)) == {
        ("control", 0.0),
        *((family, 0.1) for family in FAMILIES),
    }
    epochs = {"mnist": 16, "cifar10": 31}[dataset]
    quantities = ["train_accuracy", "train_cross_entropy", "spatial_loss", "weight_similarity", "activation_similarity"]
    for axes, quantity in zip(on_page(found), quantities, strict=False):
        expected = {"control", *FAMILIES} - ({"control"} if quantity == "spatial_loss" else set())
        for condition, look in style.condition_styles(sorted(expected)).items():
            lines = [line for line in axes.lines if line.get_color() == look.color and line.get_linestyle() != ":"]
            rows = selected(table, {"condition": condition, "quantity": quantity})
            assert rows["epoch"].tolist() == list(range(epochs))
            np.testing.assert_array_equal(lines[0].get_ydata(), rows["value_mean"])
        assert len({line.get_color() for line in axes.lines}) == len(expected)
    inputs = write_inputs(tmp_path, figure)
    _, other = draw(figure, inputs, strength=3)
    assert set(other["strength"]) == {0.0, 3.0}
    with pytest.raises(TopoRepError, match=re.escape("no condition at strength 0.2, found 0.1, 0.3, 0.5, 1, 2, 3")):
        draw(figure, inputs, strength=0.2)


def test_training_says_why_validation_begins_after_the_first_epoch(drawn):
    _, table = drawn["figA1_training_mnist"]
    missing = table[table["value_mean"].isna()]
    assert set(missing["epoch"]) == {0}
    assert set(missing["quantity"]) == {"validation_accuracy", "validation_cross_entropy"}
    assert set(missing["note"]) == {"not validated before the first epoch"}


def test_entropy_that_is_not_defined_is_marked(tmp_path):
    inputs = write_inputs(tmp_path, "fig5_entropy_poz")
    dead = xr.load_dataset(tmp_path / "mnist.nc")
    point = (dead["condition"] == "as") & (dead["strength"] == 3)
    for name in ("entropy_mean", "entropy_sem"):
        dead[name] = dead[name].where(~point)
    write_dataset(dead, tmp_path / "mnist.nc", "activity_summary")
    figure, table = draw("fig5_entropy_poz", inputs)
    marked = table[table["note"] == "no unit varies: entropy is not defined"]
    assert set(zip(marked["dataset"], marked["condition"], marked["strength"], strict=True)) == {("mnist", "as", 3.0)}
    assert "not defined: no unit varies" in texts(figure)
    crosses = [
        sum(line.get_marker() == "x" and len(line.get_xdata()) for line in axes.lines) for axes in on_page(figure)
    ]
    assert crosses == [1, 0, 0, 0, 1, 0, 1, 0, 0, 0]


@pytest.mark.parametrize("figure", SUMMARY_FIGURES)
@pytest.mark.parametrize(
    ("points", "named"),
    [
        ([point for point in POINTS if point[0] != "as_reshaped"], "condition 'as_reshaped' is missing"),
        ([point for point in POINTS if point != ("ws", 0.5)], "condition 'ws' at strength 0.5 missing"),
    ],
)
def test_a_gap_is_named_and_nothing_is_written(tmp_path, figure, points, named):
    inputs = write_inputs(tmp_path, figure, points=points)
    with pytest.raises(TopoRepError, match=re.escape(named)):
        main(["truong2025", figure, "--input", *inputs, "--outputs", str(tmp_path / "out" / "a.pdf")])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("figure", SUMMARY_FIGURES)
def test_one_seed_has_no_band_and_says_so(drawn, small, figure):
    single, table = small[figure]
    assert set(table["note"]) - {"not validated before the first epoch"} == {"one seed: no SEM"}
    assert "1 seed, so no SEM" in texts(single)
    assert not any(axes.collections for axes in single.axes)
    several, table = drawn[figure]
    assert "one seed: no SEM" not in set(table["note"])
    assert "3 seeds" in texts(several)
    assert all(axes.collections for axes in several.axes)


@pytest.mark.parametrize("figure", SUMMARY_FIGURES)
def test_the_figure_says_where_its_numbers_come_from(drawn, figure):
    text = texts(drawn[figure][0])
    mnist = [
        "MNIST: handwritten digits (MNIST), reduced scale, 12 000 of the paper's 48 000 training images",
        "4 of the paper's 15 epochs, 3 seeds.",
    ]
    cifar10 = ["10 000 of the paper's 40 000 training images, 4 of the paper's 30 epochs, 3 seeds."]
    shown = {"mnist": mnist, "cifar10": cifar10}.get(TRAINING_FIGURES.get(figure), mnist + cifar10)
    for part in (*shown, "SEM over seeds (ddof 1)", "claims nothing"):
        assert part in text


@pytest.mark.parametrize("figure", SUMMARY_FIGURES)
def test_stand_in_images_are_named_over_the_panels(tmp_path, figure):
    inputs = write_inputs(tmp_path, figure, points=FEW)
    stand_ins = {"mnist": ("digits", "handwritten digits, 8 × 8"), "cifar10": ("objects", "rendered objects")}
    for name, path in parse_inputs(inputs).items():
        source, title = stand_ins[name]
        dataset = xr.load_dataset(path).assign_attrs(source=source, source_title=title)
        write_dataset(dataset, path, f"{SUMMARY_FIGURES[figure]}_summary")
    found, table = draw(figure, inputs)
    headings = " ".join(text.get_text() for text in visible_texts(found) if len(text.get_text()) < 100)
    for name in table["dataset"].unique():
        assert re.search(f"{style.dataset_title(name, name)}( \\(stand-in)?: {stand_ins[name][0]}", headings)
    assert_texts_apart(found)


@pytest.mark.parametrize("figure", FIGURES)
def test_text_is_never_smaller_than_six_points_stays_on_the_page_and_apart(drawn, small, figure):
    assert_texts_apart(drawn[figure][0])
    if figure in small:
        assert_texts_apart(small[figure][0])


def assert_texts_apart(figure) -> None:
    shown = visible_texts(figure)
    assert len(shown) > 10
    check_page(figure, shown)
    check_apart(figure, shown)


def test_another_process_writes_the_same_bytes(drawn, tmp_path):
    inputs = {figure: write_inputs(tmp_path / "summaries" / figure, figure) for figure in FIGURES}
    check_drawn_elsewhere("truong2025", {figure: drawn[figure] for figure in FIGURES}, inputs, tmp_path)


def test_concepts_agree_with_definitions_written_out(drawn):
    figure, table = drawn["fig1_concepts"]
    value = {(row.quantity, row.object, row.input, row.unit): row.value for row in table.fillna(0).itertuples()}
    objects, inputs, units = range(1, 5), range(1, 4), (1, 2)
    vectors = {}
    for unit in units:
        vectors[unit] = [sum(value["input", o, i, 0] * value["weight", 0, i, unit] for i in inputs) for o in objects]
        np.testing.assert_allclose(vectors[unit], [value["activation", o, 0, unit] for o in objects])
    centered = [np.array(vectors[unit]) - np.mean(vectors[unit]) for unit in units]
    r = centered[0] @ centered[1] / np.sqrt((centered[0] @ centered[0]) * (centered[1] @ centered[1]))
    assert value["activation_similarity", 0, 0, 0] == pytest.approx(r)
    squares = [(value["weight", 0, i, 1] - value["weight", 0, i, 2]) ** 2 for i in inputs]
    assert value["weight_distance", 0, 0, 0] == pytest.approx(sum(squares) ** 0.5)
    assert len(table) == 4 * 3 + 3 * 2 + 4 * 2 + 2
    text = texts(figure)
    assert f"= {r:.2f}" in text and f"= {sum(squares) ** 0.5:.2f}" in text
    assert all(label in text for label in ("W₁", "W₆", "U₂", "O₄", "I₃"))


def test_concepts_take_no_input():
    with pytest.raises(TopoRepError, match="expected no input, found mnist"):
        figure_module("truong2025", "fig1_concepts").draw({"mnist": Path("a.nc")})


def test_noise_examples_are_the_noise_that_networks_see(drawn):
    figure, table = drawn["figA7_noise_examples"]
    assert len(figure.axes) == 2 * 4 * 5
    for dataset in ("mnist", "cifar10"):
        prepared = images(dataset)
        own = table[table["dataset"] == dataset]
        assert own["stimulus"].nunique() == 5 and own["label"].nunique() == 5
        np.testing.assert_array_equal(prepared["label_test"].values[own["stimulus"]], own["label"])
        for (kind, level, stimulus), pixels in own.groupby(["kind", "level", "stimulus"]):
            # Over the whole set, as the evaluation draws it.
            noisy = add_noise(prepared["images_test"].values, kind, level)[stimulus]
            drawn_pixels = pixels[["red", "green", "blue"]].to_numpy().reshape(*noisy.shape[:2], 3)
            assert np.abs(drawn_pixels / 255 - noisy).max() <= 0.5 / 255 + 1e-6
        clean = own[own["kind"] == "none"]
        assert clean["level"].isna().all() and clean["stimulus"].nunique() == 5
        for stimulus, pixels in clean.groupby("stimulus"):
            image = prepared["images_test"].values[stimulus]
            shape = (*image.shape[:2], 3)
            np.testing.assert_array_equal(
                pixels[["red", "green", "blue"]].to_numpy().reshape(shape), np.broadcast_to(image, shape)
            )
    pairs = table.dropna().drop_duplicates(["level", "stimulus", "dataset"])
    assert pairs.groupby("dataset")["level"].apply(list).to_dict() == {
        name: list(LEVELS) for name in ("mnist", "cifar10")
    }
    shown = np.concatenate([axes.images[0].get_array().reshape(-1) for axes in figure.axes])
    np.testing.assert_array_equal(np.sort(shown), np.sort(table[["red", "green", "blue"]].to_numpy().reshape(-1)))


def test_noise_examples_follow_their_settings(tmp_path):
    inputs = write_inputs(tmp_path, "figA7_noise_examples")[:1]
    figure, table = draw("figA7_noise_examples", inputs, kinds=["pink"], levels=[0.1], amplitude_exponent=0.5, seed=3)
    assert set(table["kind"]) == {"none", "pink"}
    image = images("mnist")["images_test"].values
    stimulus = table["stimulus"].iloc[0]
    expected = add_noise(image, "pink", 0.1, amplitude_exponent=0.5, seed=3)[stimulus, ..., 0]
    noisy = table.loc[table["kind"] == "pink", "red"].to_numpy().reshape(28, 28)
    assert np.abs(noisy / 255 - expected).max() <= 0.5 / 255 + 1e-6
    assert "power falls as 1/f^1" in texts(figure) and "noise seed 3" in texts(figure)
    with pytest.raises(TopoRepError, match="expected 1 to 10, an image of another class"):
        draw("figA7_noise_examples", inputs, levels=np.linspace(0.01, 0.2, 11))


@pytest.mark.parametrize("figure", FIGURES)
def test_captions_are_valid_and_name_data_seeds_and_estimator(figure):
    html = caption(figure)
    for word in ("MNIST" if figure != "figA2_training_cifar10" else "CIFAR-10", "seed", "Truong", "Data.", "Models."):
        assert word in html
