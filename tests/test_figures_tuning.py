"""Figures of correlations, tuning and the two readings of AS: they draw the numbers of their files, and name gaps."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import metric_summaries_tuning
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from figure_checks import COLOR_BLINDNESS, caption, check_page, check_same_bytes, cielab, texts
from matplotlib.colors import to_hex
from matplotlib.patches import StepPatch
from metric_summaries_tuning import (
    FAMILIES,
    SUMMARIES,
    activations,
    harmonics_runs,
    points_of,
    write_dumps,
    write_summary,
)

from toporep.cli.figure import main
from toporep.errors import TopoRepError
from toporep.figures import export, figure_module, style
from toporep.figures.truong2025.fig10_angular_maps import CYCLE_COLORS
from toporep.io import read_dataset, write_dataset

STRENGTHS = [0.1, 0.5, 3.0]
POINTS = points_of(strengths=STRENGTHS)
GLOBAL_POINTS = points_of(["global"], STRENGTHS)
X4_ANALYSES = ["morans_i", "colocalization", "correlations", "activity", "weight_noise", "image_noise_robustness"]
ONE_ANALYSIS = {
    "fig8_weight_correlations": ("correlations", ["mnist", "cifar10"]),
    "fig9_activation_correlations": ("correlations", ["mnist", "cifar10"]),
    "fig11_angular_profiles": ("harmonics", ["cifar10", "mnist"]),
    "fig12_eccentricity": ("eccentricity", ["mnist", "cifar10"]),
    "figA4_global_colocalization": ("colocalization", ["mnist"]),
    "figA9_cycle4_phases": ("harmonics", ["cifar10", "mnist"]),
    "figA10_bandpass_peaks": ("eccentricity", ["cifar10"]),
}
MAPS = ["figA3_global_maps"]
FIGURES = [*ONE_ANALYSIS, "fig10_angular_maps", *MAPS, "figX4_two_readings_of_as"]
WITH_SEM = [name for name in FIGURES if name not in (*MAPS, "figA10_bandpass_peaks")]


def write_inputs(folder: Path, figure: str, *, points=None, n: int = 3) -> dict[str, Path]:
    """Files of a figure by the names that the workflow gives them."""
    points = points or (GLOBAL_POINTS if "global" in figure else POINTS)
    folder.mkdir(parents=True, exist_ok=True)
    if figure in MAPS:
        return write_dumps(folder, GLOBAL_POINTS)
    if figure in ONE_ANALYSIS:
        analysis, datasets = ONE_ANALYSIS[figure]
        return {name: write_summary(folder, name, analysis, points=points, n=n) for name in datasets}
    if figure == "fig10_angular_maps":
        inputs = {
            f"{name}.harmonics": write_summary(folder, name, "harmonics", points=points, n=n)
            for name in ("cifar10", "mnist")
        }
        for name in ("cifar10", "mnist"):
            inputs[f"{name}.harmonics.runs"] = folder / f"{name}-runs.nc"
            runs = harmonics_runs(name, points=POINTS, seeds=range(max(n, 2)))
            write_dataset(runs, inputs[f"{name}.harmonics.runs"], "harmonics")
        return inputs
    dumps = write_dumps(folder, [("control", 0.0), *((family, 3.0) for family in FAMILIES)], seeds=[0])
    return dumps | {f"mnist.{name}": write_summary(folder, "mnist", name, points=points, n=n) for name in X4_ANALYSES}


def arguments(figure: str, inputs: dict[str, Path], folder: Path) -> list[str]:
    outputs = [str(folder / f"{figure}.{suffix}") for suffix in ("pdf", "png", "csv")]
    return ["truong2025", figure, "--input", *(f"{k}={v}" for k, v in inputs.items()), "--outputs", *outputs]


def draw(figure: str, inputs: dict[str, Path], **settings):
    return figure_module("truong2025", figure).draw(inputs, **settings)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Each figure, drawn once: inputs, figure, table."""
    folder = tmp_path_factory.mktemp("drawn")
    results = {}
    for name in FIGURES:
        inputs = write_inputs(folder / name, name)
        results[name] = SimpleNamespace(inputs=inputs, figure=None, table=None)
        results[name].figure, results[name].table = draw(name, inputs)
    return results


def file_of(result, name: str) -> xr.Dataset:
    return xr.load_dataset(result.inputs[name])


@pytest.mark.parametrize("figure", ["fig8_weight_correlations", "fig9_activation_correlations"])
def test_histograms_of_correlations_keep_every_count_of_the_file(drawn, figure):
    table = drawn[figure].table
    for dataset in ("mnist", "cifar10"):
        data = file_of(drawn[figure], dataset)
        counts = data["histogram_sum"]
        for quantity in table["quantity"].unique():
            for index, (condition, strength) in enumerate(POINTS):
                rows = table[
                    (table["variable"] == "histogram")
                    & (
                        table[["dataset", "quantity", "condition", "strength"]]
                        == [dataset, quantity, condition, strength]
                    ).all(axis=1)
                ]
                expected = counts.isel(point=index).sel(quantity=quantity).values
                np.testing.assert_array_equal(rows["count"], expected.reshape(50, 2).sum(axis=1))
                np.testing.assert_allclose(rows["bin_left"], np.arange(-1, 1, 0.04), atol=1e-12)
                assert (rows["density"] * rows["bin_width"]).sum() == pytest.approx(1)


@pytest.mark.parametrize("figure", ["fig8_weight_correlations", "fig9_activation_correlations"])
def test_medians_and_shares_of_correlations_are_those_of_the_file(drawn, figure):
    table = drawn[figure].table
    for dataset in ("mnist", "cifar10"):
        data = file_of(drawn[figure], dataset)
        for variable in ("median", "share_negative", "share_above"):
            rows = table[(table["dataset"] == dataset) & (table["variable"] == variable)]
            dims = ["point", "quantity", *(["threshold"] if variable == "share_above" else [])]
            expected = data[[f"{variable}_mean", f"{variable}_sem"]].to_dataframe(dim_order=dims).reset_index()
            keys = ["condition", "strength", *dims[1:]]
            merged = rows.merge(expected, on=keys)
            assert len(merged) == len(rows) == len(POINTS) * rows["quantity"].nunique() * (4 if len(dims) > 2 else 1)
            np.testing.assert_array_equal(merged["mean"], merged[f"{variable}_mean"])
            np.testing.assert_array_equal(merged["sem"], merged[f"{variable}_sem"])


def test_distributions_are_drawn_as_high_as_the_table_says(drawn):
    figure, table = drawn["fig8_weight_correlations"].figure, drawn["fig8_weight_correlations"].table
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == ["WS", "AS as defined", "AS reshaped"] * 2
    order = [(dataset, family) for dataset in ("mnist", "cifar10") for family in FAMILIES]
    for axes, (dataset, family) in zip(panels, order, strict=True):
        outlines = [patch for patch in axes.patches if isinstance(patch, StepPatch) and not patch.get_fill()]
        rows = table[(table["dataset"] == dataset) & (table["variable"] == "histogram")]
        for row, (condition, strength) in enumerate([("control", 0.0), *((family, value) for value in STRENGTHS)]):
            own = rows[(rows["condition"] == condition) & (rows["strength"] == strength)]
            heights = outlines[row].get_data().values + row
            np.testing.assert_allclose(heights / heights.max(), own["density"] / own["density"].max(), atol=1e-12)
            median = table[
                (table["variable"] == "median")
                & (table[["dataset", "condition", "strength"]] == [dataset, condition, strength]).all(axis=1)
            ]["mean"].item()
            assert any(line.get_xdata()[0] == median and line.get_ydata()[0] == -row for line in axes.lines)


def test_figure_9_tells_the_share_of_pairs_near_one_beside_the_published_percentages(drawn):
    """Section 3.4.3: 12 (WS) and 21 % (AS) for MNIST, 19 and 21 % for CIFAR-10, at λ = 3."""
    result = drawn["fig9_activation_correlations"]
    text, data = texts(result.figure), file_of(result, "mnist")
    at = POINTS.index(("as_reshaped", 3.0))
    shares = 100 * data["share_above_mean"].isel(point=at).sel(quantity="activations_all").values[1:]
    assert f"AS reshaped {' / '.join(f'{share:.1f}' for share in shares)}; paper: WS 12, AS 21" in text
    assert re.search(r"CIFAR-10, pairs above r = 0.9 / 0.95 / 0.99 at λ = 3.*paper: WS 19, AS 21", text)


@pytest.mark.parametrize(
    ("figure", "share", "classes"),
    [
        ("fig11_angular_profiles", "share", "cycle"),
        ("fig12_eccentricity", "share", "profile"),
        ("figA9_cycle4_phases", "cycle4_phase_share", "cycle4_phase"),
    ],
)
def test_bars_and_dots_are_the_shares_of_the_file(drawn, figure, share, classes):
    result = drawn[figure]
    for axes, dataset in zip(result.figure.axes, ONE_ANALYSIS[figure][1], strict=True):
        data = file_of(result, dataset)[f"{share}_mean"]
        shown = [value for value in data[classes].values.tolist() if value != 0]
        hard, normalized = (
            data.sel(variant=variant).sel({classes: shown}).values for variant in ("hard", "area_normalized")
        )
        bars = np.array([patch.get_height() for patch in axes.patches])
        np.testing.assert_array_equal(bars, hard.T.ravel())
        dots = np.array([line.get_ydata()[0] for line in axes.lines if line.get_marker() == "o"])
        expected = normalized.T.ravel()
        np.testing.assert_array_equal(dots, expected[np.isfinite(expected)])
        rows = result.table[result.table["dataset"] == dataset]
        table = rows.set_index(["condition", "strength", "variant", classes])[f"{share}_mean"].sort_index()
        for index, point in enumerate(POINTS):
            for variant in ("hard", "area_normalized"):
                expected = data.isel(point=index).sel(variant=variant).values
                found = table.loc[(*point, variant)].reindex(data[classes].values)
                np.testing.assert_array_equal(found, expected)


def test_bars_stand_in_the_order_of_the_paper_colored_by_family_and_strength(drawn):
    axes = drawn["fig12_eccentricity"].figure.axes[0]
    looks = style.condition_styles(["control", *FAMILIES])
    colors = [looks["control"].color.lower()]
    colors += [to_hex(shade) for family in FAMILIES for shade in style.shades(looks[family].color, len(STRENGTHS))]
    assert [to_hex(patch.get_facecolor()) for patch in axes.patches] == colors * 4
    assert (np.diff([patch.get_x() for patch in axes.patches]) > 0.9).all(), "bars overlap"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["increasing", "decreasing", "bandpass", "flat"]


def test_chance_shares_of_cycle_4_angles(drawn):
    """± 10° around 2 of the 90° of a period: 2/9 cardinal, 2/9 diagonal, the rest other."""
    result = drawn["figA9_cycle4_phases"]
    chance = result.table.groupby("cycle4_phase")["chance_share"].unique().map(lambda values: values.item()).to_dict()
    assert chance == pytest.approx({"cardinal": 2 / 9, "diagonal": 2 / 9, "other": 5 / 9})
    lines = [
        segment[0, 1]
        for c in result.figure.axes[0].collections
        for segment in c.get_segments()
        if len(c.get_segments()) == 1
    ]
    assert sorted(set(lines) & set(chance.values())) == pytest.approx([2 / 9, 5 / 9])
    empty = result.table[result.table["cycle4_phase_share_mean"].isna()]
    assert set(empty["note"]) == {"no seed has such a unit"} and (empty["cycle4_phase_share_n"] == 0).all()


@pytest.mark.parametrize("figure", ["fig11_angular_profiles", "fig12_eccentricity", "figA9_cycle4_phases"])
def test_small_print_tells_how_many_units_change_class_under_equal_light(drawn, figure):
    text = texts(drawn[figure].figure)
    for dataset, title in (("mnist", "MNIST"), ("cifar10", "CIFAR-10")):
        changed = 100 * file_of(drawn[figure], dataset)["changed_share_mean"].sel(variant="area_normalized").values
        assert f"{title} {changed.min():.0f} to {changed.max():.0f} %" in text
    assert "merely follows the light" in text


def test_small_print_tells_how_many_units_prefer_a_further_cycle(drawn):
    result = drawn["fig11_angular_profiles"]
    beyond = [100 * file_of(result, name)["share_beyond_mean"].sel(variant="hard") for name in ("cifar10", "mnist")]
    ranges = [f"{share.min():.0f} to {share.max():.0f} %" for share in beyond]
    assert f"beyond cycle 5 if all cycles compete: CIFAR-10 {ranges[0]}, MNIST {ranges[1]} (" in texts(result.figure)


def test_centers_of_bandpass_units_are_the_counts_of_the_file(drawn):
    result = drawn["figA10_bandpass_peaks"]
    data = file_of(result, "cifar10")["center_histogram_sum"]
    table = result.table.set_index(["condition", "strength", "variant", "bin_left"])["count"].sort_index()
    for index, point in enumerate(POINTS):
        for variant in ("hard", "area_normalized"):
            np.testing.assert_array_equal(table.loc[(*point, variant)], data.isel(point=index).sel(variant=variant))
    assert set(result.table["bin_width"]) == {1.0}
    none = result.table[result.table["bandpass_units"] == 0]
    assert set(zip(none["condition"], none["strength"], none["variant"], none["note"], strict=True)) == {
        ("as", 0.1, "hard", "no bandpass unit")
    }
    panels = [axes for axes in result.figure.axes if axes.get_title() == "AS as defined"]
    outlines = [[p for p in axes.patches if isinstance(p, StepPatch) and not p.get_fill()] for axes in panels]
    assert [len(found) for found in outlines] == [len(STRENGTHS), 1 + len(STRENGTHS)]


def test_angular_maps_are_the_dominant_cycles_of_the_first_seeds(drawn):
    result = drawn["fig10_angular_maps"]
    images = iter([axes.images[0].get_array() for axes in result.figure.axes if axes.images])
    maps = result.table[result.table["panel"] == "map"]
    for dataset in ("cifar10", "mnist"):
        data = file_of(result, f"{dataset}.harmonics.runs")
        for strength in STRENGTHS:
            for seed in (0, 1):
                keys = [
                    data[name].values == value
                    for name, value in (("condition", "ws"), ("strength", strength), ("seed", seed))
                ]
                expected = data["dominant"].isel(run=np.flatnonzero(np.all(keys, axis=0))[0]).sel(variant="hard").values
                np.testing.assert_array_equal(next(images), expected.reshape(11, 11))
                rows = maps[(maps[["dataset", "strength", "seed"]] == [dataset, strength, seed]).all(axis=1)]
                np.testing.assert_array_equal(rows.sort_values(["row", "col"])["dominant"].astype(int), expected)
    assert next(images, None) is None and set(maps["condition"]) == {"ws"}
    assert [axes.get_title(loc="left") for axes in result.figure.axes[-2:]] == ["C  CIFAR-10", "D  MNIST"]


def test_agreement_is_drawn_with_its_chance_and_with_equal_light(drawn):
    result = drawn["fig10_angular_maps"]
    looks = style.condition_styles(FAMILIES)
    for axes, dataset in zip(result.figure.axes[-2:], ("cifar10", "mnist"), strict=True):
        data = file_of(result, f"{dataset}.harmonics")
        for family in FAMILIES:
            points = np.flatnonzero(data["condition"].values == family)
            of = {variant: data.isel(point=points).sel(variant=variant) for variant in ("hard", "area_normalized")}
            lines = [line for line in axes.lines if line.get_color() == looks[family].color]
            by_look = {(line.get_linestyle(), line.get_linewidth() > 1): line.get_ydata() for line in lines}
            np.testing.assert_array_equal(by_look["-", True], of["hard"]["agreement_mean"])
            np.testing.assert_array_equal(by_look[":", False], of["hard"]["agreement_chance_mean"])
            np.testing.assert_array_equal(by_look["-", False], of["area_normalized"]["agreement_mean"])


@pytest.mark.parametrize("kind", COLOR_BLINDNESS)
def test_colors_of_cycles_keep_apart_under_color_blindness(kind):
    seen = [cielab(color, seen_with=kind) for color in CYCLE_COLORS]
    # A difference of about 2.3 is just noticeable.
    assert min(np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[i + 1 :]) > 12


def test_maps_of_the_global_loss_stand_by_strength(drawn):
    result = drawn["figA3_global_maps"]
    images = [axes.images[0].get_array() for axes in result.figure.axes if axes.images]
    assert len(images) == 4 * 2 * 5
    for (condition, strength, seed), rows in result.table.groupby(["condition", "strength", "seed"]):
        dump = activations(condition, strength, seed)["sheet_pre"].values
        np.testing.assert_array_equal(rows["activation"], dump[rows["stimulus"], rows["row"] * 11 + rows["col"]])
    np.testing.assert_array_equal(np.sort(np.ravel(images)), np.sort(result.table["activation"]))
    text = texts(result.figure)
    assert all(f"λ = {strength:g}" in text for strength in STRENGTHS) and "global" in text and "control" in text


def test_colocalization_of_the_global_loss_is_that_of_the_file(drawn):
    result = drawn["figA4_global_colocalization"]
    data = file_of(result, "mnist")
    measured = result.table[result.table["origin"] == "this run"].set_index(["condition", "strength"])
    for index, point in enumerate(GLOBAL_POINTS):
        np.testing.assert_array_equal(measured.loc[point, "distance_mean"], data["distance_mean"].isel(point=index))
    # The paper's numbers for AS say nothing about this loss.
    assert set(result.table.loc[result.table["origin"] == "published", "condition"]) == {"control"}
    assert "AS: highest" not in texts(result.figure)


def test_two_readings_draws_each_number_of_its_files(drawn):
    result = drawn["figX4_two_readings_of_as"]
    files = {name: file_of(result, f"mnist.{name}") for name in X4_ANALYSES}
    expected = {
        ("morans_i.morans_i", None): files["morans_i"]["morans_i_mean"],
        ("correlations.share_above", 0.9): files["correlations"]["share_above_mean"].sel(
            quantity="activations_all", threshold=0.9
        ),
        **{
            ("colocalization.distance", at): files["colocalization"]["distance_mean"].sel(threshold=at)
            for at in (0.1, 0.5, 0.8)
        },
        ("activity.percent_zero", None): files["activity"]["percent_zero_mean"],
        # The third of the relative levels 0.25, 0.5, 1 and 2 is 1.
        ("weight_noise.accuracy_change", None): files["weight_noise"]["accuracy_change_mean"].isel(mode=1, level=2),
        ("image_noise_robustness.accuracy_change", None): files["image_noise_robustness"]["accuracy_change_mean"].isel(
            normalization=0, kind=2, level=4
        ),
    }
    table = result.table[result.table["origin"] == "this run"]
    assert set(table["variable"]) == {"activation", "density of r", *(name for name, _ in expected)}
    panels = {axes.texts[0].get_text()[0]: axes for axes in result.figure.axes if axes.texts}
    looks = style.condition_styles(FAMILIES)
    for letter, ((variable, at), values) in zip("BDEFGHIJ", expected.items(), strict=True):
        rows = table[
            (table["variable"] == variable) & (table["threshold"].isna() if at is None else table["threshold"] == at)
        ]
        np.testing.assert_array_equal(rows.set_index(["condition", "strength"]).loc[POINTS, "value"], values)
        factor = 100 if "share" in variable else 1
        for family in FAMILIES:
            drawn_lines = [
                line.get_ydata()
                for line in panels[letter].lines
                if line.get_color() == looks[family].color and len(line.get_ydata()) == 3
            ]
            np.testing.assert_allclose(drawn_lines[0], factor * values.values[files["morans_i"]["condition"] == family])
    histogram = table[(table["variable"] == "density of r") & (table["condition"] == "as_reshaped")]
    assert (histogram["value"] * histogram["bin_width"]).sum() == pytest.approx(1)
    assert set(table.loc[table["variable"] == "density of r", "strength"]) == {0.0, 3.0}


def test_two_readings_gives_the_published_numbers_and_statements(drawn):
    result = drawn["figX4_two_readings_of_as"]
    published = result.table[result.table["origin"] == "published"]
    rows = {(row.variable, row.condition, row.threshold): row.value for row in published.itertuples()}
    assert rows == {
        ("correlations.share_above", "ws", 0.9): 0.12,
        ("correlations.share_above", "as", 0.9): 0.21,
        ("colocalization.distance", "control", 0.1): 5.56,
        ("colocalization.distance", "as", 0.1): 5.64,
    }
    text = texts(result.figure)
    for part in ("AS below 0, WS above 0", "AS at most 5.64, control 5.56", "AS above the control", "is a hypothesis"):
        assert part in text


def test_two_readings_refuses_what_it_cannot_draw(drawn):
    inputs = drawn["figX4_two_readings_of_as"].inputs

    def refused(match: str, chosen: dict[str, Path] | None = None, **settings):
        with pytest.raises(TopoRepError, match=re.escape(match)):
            draw("figX4_two_readings_of_as", inputs if chosen is None else chosen, **settings)

    refused("mnist.activity is missing", {k: v for k, v in inputs.items() if k != "mnist.activity"})
    refused("activation dumps are missing", {k: v for k, v in inputs.items() if k.startswith("mnist.")})
    refused(
        "expected summaries of one dataset, found cifar10, mnist",
        {**inputs, "cifar10.activity": inputs["mnist.activity"]},
    )
    refused("condition 'as_reshaped' is missing", {k: v for k, v in inputs.items() if k != "as_reshaped_3_seed0"})
    refused("mnist.colocalization: no threshold 0.2; the file has 0.1, 0.3", distance_thresholds=[0.2])
    refused("mnist.weight_noise: no sigma 0.7", weight_noise_sigma=0.7)
    refused("no kind 'poisson'; the file has pink, salt_pepper, white", image_noise="poisson")
    refused("images: expected 1 to 10", images=11)


@pytest.mark.parametrize(
    "figure",
    [
        "fig10_angular_maps",
        "fig11_angular_profiles",
        "fig12_eccentricity",
        "figA9_cycle4_phases",
        "figA10_bandpass_peaks",
    ],
)
def test_stimuli_that_are_missing_are_named(tmp_path, figure):
    inputs = write_inputs(tmp_path, figure)
    path = next(iter(inputs.values()))
    analysis = "eccentricity" if "eccentricity" in path.name else "harmonics"
    # One kind of stimuli remains.
    write_dataset(xr.load_dataset(path).isel(variant=[0]), path, f"{analysis}_summary")
    with pytest.raises(TopoRepError, match="variant 'area_normalized' of the stimuli is missing, found hard"):
        draw(figure, inputs)


def test_angular_maps_name_what_is_missing(tmp_path, drawn):
    inputs = drawn["fig10_angular_maps"].inputs
    with pytest.raises(TopoRepError, match="ws at strength 0.1 has 3 networks, expected at least 4"):
        draw("fig10_angular_maps", inputs, models=4)
    with pytest.raises(TopoRepError, match=r"mnist.harmonics.runs is missing"):
        draw("fig10_angular_maps", {k: v for k, v in inputs.items() if k != "mnist.harmonics.runs"})
    other = tmp_path / "other.nc"
    write_dataset(harmonics_runs("mnist").assign_attrs(training="{}"), other, "harmonics")
    with pytest.raises(TopoRepError, match="expected training"):
        draw("fig10_angular_maps", {**inputs, "mnist.harmonics.runs": other})


def test_a_quantity_of_correlations_that_is_missing_is_named(tmp_path):
    inputs = write_inputs(tmp_path, "fig8_weight_correlations")
    data = xr.load_dataset(inputs["mnist"])
    write_dataset(data.isel(quantity=[1, 2, 3]), inputs["mnist"], "correlations_summary")
    with pytest.raises(TopoRepError, match="quantity weights_neighbor is missing"):
        draw("fig8_weight_correlations", inputs)


@pytest.mark.parametrize("figure", [name for name in FIGURES if name not in MAPS])
def test_a_gap_is_named_and_nothing_is_written(tmp_path, figure):
    family = "global" if "global" in figure else "as_reshaped"
    all_points = GLOBAL_POINTS if family == "global" else POINTS
    absent = [point for point in all_points if point[0] != family]
    doubled = [*all_points, (family, 0.5)]
    wanted = [
        (absent, f"condition '{family}' is missing"),
        (doubled, f"condition '{family}' at strength 0.5 is there 2 times"),
    ]
    if family != "global":
        gap = [point for point in POINTS if point != ("ws", 0.5)]
        wanted.append((gap, "condition 'ws' at strength 0.5 missing"))
    for points, named in wanted:
        inputs = write_inputs(tmp_path, figure, points=points)
        with pytest.raises(TopoRepError, match=re.escape(named)):
            main(arguments(figure, inputs, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_map_of_the_global_loss_that_is_missing_is_named(drawn):
    inputs = drawn["figA3_global_maps"].inputs
    with pytest.raises(TopoRepError, match="global at strength 0.5 lacks seed 1"):
        draw("figA3_global_maps", {k: v for k, v in inputs.items() if k != "global_0.5_seed1"})
    with pytest.raises(TopoRepError, match="condition 'global' is missing"):
        draw("figA3_global_maps", {k: v for k, v in inputs.items() if not k.startswith("global")})


@pytest.mark.parametrize("figure", WITH_SEM)
def test_one_seed_has_no_sem_and_says_so(tmp_path, drawn, figure):
    single, table = draw(figure, write_inputs(tmp_path, figure, n=1), **({"models": 1} if "fig10" in figure else {}))
    assert "1 seed, so no SEM" in texts(single) and "3 seeds" in texts(drawn[figure].figure)
    columns = [name for name in table if name == "sem" or name.endswith("_sem")]
    assert table[columns].isna().all(axis=None)
    assert "one seed: no SEM" in set(table["note"])
    assert not drawn[figure].table[columns].isna().all(axis=None)


@pytest.mark.parametrize("figure", FIGURES)
def test_the_figure_says_where_its_numbers_come_from(drawn, figure):
    text = texts(drawn[figure].figure)
    if figure != "figA10_bandpass_peaks":
        assert "MNIST: handwritten digits (MNIST), reduced scale, 12 000 of the paper's 48 000 training images" in text
        assert "4 of the paper's 15 epochs" in text
    if figure not in (*MAPS, "figA4_global_colocalization", "figX4_two_readings_of_as"):
        assert "10 000 of the paper's 40 000 training images, 4 of the paper's 30 epochs, 3 seeds" in text
    assert "SEM over seeds" in text or "so no band" in text
    assert "claims nothing" in text


@pytest.mark.parametrize("figure", FIGURES)
def test_text_is_never_smaller_than_six_points_and_stays_on_the_page(drawn, figure):
    check_page(drawn[figure].figure)


@pytest.mark.parametrize("figure", FIGURES)
def test_images_that_stand_in_are_named_on_the_page(tmp_path, monkeypatch, figure):
    paper = metric_summaries_tuning.attributes

    def attributes(dataset, settings):
        stand_in = {"source": {"mnist": "digits", "cifar10": "objects"}[dataset], "source_title": "other images"}
        return {**paper(dataset, settings), **stand_in, "scale": "demo"}

    monkeypatch.setattr(metric_summaries_tuning, "attributes", attributes)
    single, _ = draw(figure, write_inputs(tmp_path, figure, n=1), **({"models": 1} if "fig10" in figure else {}))
    check_page(single)
    text = texts(single)
    assert "panels, stand-in images: other images, demo scale" in text
    assert figure in MAPS or "(stand-in: " in text


def test_another_process_writes_the_same_bytes(tmp_path, drawn):
    calls = []
    for name in FIGURES:
        # A pixel image of these bytes would only repeat the comparison.
        outputs = [f"{name}.pdf", f"{name}.csv"]
        export.save(drawn[name].figure, drawn[name].table, [tmp_path / "here" / output for output in outputs])
        call = arguments(name, drawn[name].inputs, tmp_path)
        calls.append([*call[: call.index("--outputs") + 1], *(str(tmp_path / "there" / output) for output in outputs)])
    code = (
        "import sys\nfrom toporep.cli.figure import main\n"
        f"for call in {calls!r}: main(call)\n"
        "sys.exit('torch' in sys.modules)"
    )
    check_same_bytes(code, here=tmp_path / "here", there=tmp_path / "there", files=2 * len(FIGURES))
    for name in FIGURES:
        table = pd.read_csv(tmp_path / "there" / f"{name}.csv", keep_default_na=False, na_values=["nan"])
        assert table.columns.tolist() == drawn[name].table.columns.tolist() and len(table) == len(drawn[name].table)


@pytest.mark.parametrize("figure", FIGURES)
def test_captions_are_valid_and_name_data_seeds_and_estimator(figure):
    html = caption(figure)
    for word in ("MNIST", "seed", "ReLU", "Truong"):
        assert word in html


def test_made_up_summaries_have_the_schemas_of_the_analyses(tmp_path):
    for analysis in SUMMARIES:
        assert read_dataset(write_summary(tmp_path, "mnist", analysis), f"{analysis}_summary").sizes["point"] == 19


@pytest.mark.parametrize("figure", ["fig10_angular_maps", "figA4_global_colocalization", "figX4_two_readings_of_as"])
def test_a_figure_with_an_axis_of_strengths_says_that_its_steps_are_even(drawn, figure):
    found = drawn[figure].figure
    labels = [style.strength_label(strength) for strength in STRENGTHS]
    known = [labels, [label.removeprefix("0") for label in labels]]
    for axes in found.axes:
        ticks = [text.get_text() for text in axes.get_xticklabels()]
        if ticks[-len(STRENGTHS) :] in known:
            assert np.diff(axes.get_xticks()[-len(STRENGTHS) :]).tolist() == [1, 1], "though 0.1, 0.5, 3"
    assert style.EVEN_STEPS in " ".join(texts(found).split())


def test_chance_of_cycles_is_drawn_at_a_fifth_and_none_is_claimed_of_eccentricity(drawn):
    found, table = drawn["fig11_angular_profiles"].figure, drawn["fig11_angular_profiles"].table
    for axes in found.axes:
        heights = [path.vertices[:, 1] for lines in axes.collections for path in lines.get_paths()]
        level = [y for y in heights if len(y) == 2 and y[0] == y[1]]
        assert len(level) == 5 and np.unique(level) == pytest.approx([0.2])
    assert "chance: 20 %, noise alike in all cycles" in texts(found)
    assert table.loc[table["cycle"] > 0, "chance_share"].unique() == pytest.approx([0.2])
    assert "Chance: no level is known" in texts(drawn["fig12_eccentricity"].figure)


def test_a_histogram_with_nearly_all_pairs_in_one_bin_leaves_the_others_to_be_read(drawn):
    (axes,) = (axes for axes in drawn["figX4_two_readings_of_as"].figure.axes if "density" in axes.get_ylabel())
    axes.set_ylim(0, 50)
    at = [axes.transAxes.inverted().transform(axes.transData.transform((0, y)))[1] for y in (0, 0.5, 1, 50)]
    # A bin 0.04 wide that holds all has density 25: on a linear ordinate 0.5 would stand at 2 % of the height.
    assert at[1] > 0.15 and at[2] - at[1] == pytest.approx(at[1] - at[0]) and at[3] == pytest.approx(1)
    assert "log > 1" in axes.get_ylabel()
