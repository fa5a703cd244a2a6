from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from claim_worlds import STRENGTHS, World, make
from scipy import stats

from toporep.claims.bootstrap import expanded_tail, interval, resampling_weights
from toporep.claims.entries import FUNCTIONS, load_claims
from toporep.claims.evaluate import FAILS, HOLDS, NOT_RUN, OPEN, evaluate
from toporep.claims.evidence import Evidence
from toporep.claims.ledger import Ledger, to_csv
from toporep.claims.special import FUNCTIONS as SPECIAL
from toporep.claims.special import accuracy_at_drop
from toporep.cli.claims import main
from toporep.config import load_config, read_yaml
from toporep.errors import TopoRepError
from toporep.io import write_dataset

CONFIG = Path(__file__).resolve().parent.parent / "config"
PAPER = load_config(read_yaml(CONFIG / "config.yaml"), CONFIG).papers["truong2025"]
CLAIMS = load_claims(CONFIG / "claims" / "truong2025.yaml", PAPER)
ROWS = {
    " ".join(filter(None, (row.id, *row.datasets, row.condition, row.family, row.variant))): row for row in CLAIMS.rows
}
DRAWS = 200


def claim(name: str, **selected):
    """The first row of a claim, or the one with these attributes."""
    return next(
        row
        for row in CLAIMS.rows
        if row.id == name and all(getattr(row, key) == value for key, value in selected.items())
    )


# Every claim of the file


@pytest.mark.parametrize("holds", [True, False], ids=["holds", "fails"])
@pytest.mark.parametrize("name", ROWS)
def test_a_claim_follows_a_world_in_which_it_holds_and_one_in_which_it_does_not(name, holds):
    row = ROWS[name]
    result = evaluate(row, make(row, holds=holds).evidence(), draws=DRAWS)
    assert result.outcome == (HOLDS if holds else FAILS), (result.reason, result.points[:3])


def test_rows_have_names_of_their_own():
    assert len(ROWS) == len(CLAIMS.rows)


@pytest.mark.parametrize("name", ["C1", "C3", "C6", "C7d", "C15a", "C15d", "C17a", "C17b", "C20e", "C31f"])
def test_noise_beyond_the_effect_leaves_a_claim_open(name):
    row = claim(name)
    world = make(row, holds=True, noise=300.0)
    assert evaluate(row, world.evidence()).outcome == OPEN


# What is missing


def test_a_missing_file_names_the_analysis_to_run():
    result = evaluate(claim("C17a", datasets=("cifar10",)), Evidence("truong2025", "paper", {}))
    assert result.outcome == NOT_RUN
    assert result.reason == "no metric file cifar10/morans_i.nc; run the analysis morans_i of cifar10"


def drop_runs(world: World, keep) -> None:
    for key, file in world.files.items():
        kept = [keep(*run) for run in zip(file.condition.values, file.strength.values, file.seed.values, strict=True)]
        world.files[key] = file.isel(run=np.flatnonzero(kept))


@pytest.mark.parametrize(
    ("keep", "reason"),
    [
        (lambda condition, strength, seed: condition != "ws", "no runs truong2025/mnist/ws/{0.1,0.3,0.5,1,2,3} in"),
        (
            lambda condition, strength, seed: strength != 2,
            "no runs truong2025/mnist/ws/2 in mnist/morans_i.nc; add them",
        ),
    ],
    ids=["condition", "strength"],
)
def test_missing_runs_are_named(keep, reason):
    row = claim("C17b")
    world = make(row, holds=True)
    drop_runs(world, keep)
    result = evaluate(row, world.evidence())
    assert result.outcome == NOT_RUN
    assert result.reason.startswith(reason)


def test_a_missing_coordinate_names_those_that_are_there():
    row = claim("C20a")
    world = make(row, holds=True)
    world.files = {key: file.isel(threshold=[0, 2]) for key, file in world.files.items()}
    assert evaluate(row, world.evidence()).reason == (
        "no threshold 0.9 in correlations of mnist, which has 0.5, 0.95; add it to the analysis's settings"
    )


def test_a_seed_that_lacks_one_of_the_compared_runs_is_left_out():
    row = claim("C6")
    world = make(row, holds=True)
    drop_runs(world, lambda condition, strength, seed: not (condition == "control" and seed in (1, 4)))
    result = evaluate(row, world.evidence())
    assert result.outcome == HOLDS
    assert result.seeds == (0, 2, 3, 5, 6, 7, 8, 9)
    assert result.points[0].n == 8


def test_no_common_seed_is_not_run():
    row = claim("C6")
    world = make(row, holds=True)
    drop_runs(world, lambda condition, strength, seed: (condition == "control") == (seed < 5))
    assert evaluate(row, world.evidence()).outcome == NOT_RUN


@pytest.mark.parametrize(("seeds", "outcome"), [(1, OPEN), (2, OPEN), (3, HOLDS)])
def test_an_interval_needs_three_seeds(seeds, outcome):
    row = claim("C6")
    result = evaluate(row, make(row, holds=True, seeds=seeds).evidence())
    assert result.outcome == outcome
    assert np.isnan(result.points[0].low) == (seeds < 3)
    assert result.points[0].value == pytest.approx(1, abs=0.5)


def test_a_network_without_a_value_is_left_out_at_that_point_alone():
    row = claim("C16a", family="as")
    world = make(row, holds=True)
    variable = world.files["cifar10", "colocalization"]["distance"]
    rows = np.flatnonzero((variable.condition.values == "ws") & np.isin(variable.seed.values, (0, 1, 2)))
    variable.values[rows, 5] = np.nan
    result = evaluate(row, world.evidence())
    assert result.outcome == HOLDS
    assert {point.label.partition("threshold=")[2]: point.n for point in result.points} == {
        "0.1": 10, "0.3": 10, "0.5": 10, "0.6": 10, "0.7": 10, "0.8": 7
    }  # fmt: skip


def test_points_with_values_from_too_few_networks_leave_a_claim_open_and_say_so():
    row = claim("C16a", family="as")
    world = make(row, holds=True)
    world.files["cifar10", "colocalization"]["distance"].values[:, 5] = np.nan
    result = evaluate(row, world.evidence())
    assert result.outcome == OPEN
    assert result.reason == "6 of 36 points have values from fewer than 3 seeds"


# Statistics


def test_comparisons_are_paired_by_seed():
    row = claim("C6")
    world = make(row, holds=True)
    file = world.files["mnist", "calibration"]
    # Networks differ by far more than the two conditions do.
    file["accuracy"].values += 3.0 * np.random.default_rng(1).normal(size=world.seeds)[file.seed.values]
    values = file["accuracy"].values * 100
    of = values[(file.condition.values == "ws") & (file.strength.values == 0.1)]
    than = values[file.condition.values == "control"]
    result = evaluate(row, world.evidence())
    (point,) = result.points
    assert result.outcome == HOLDS
    assert point.value == pytest.approx(np.mean(of - than))
    assert (point.left, point.right) == pytest.approx((of.mean(), than.mean()))
    assert point.effect == pytest.approx(stats.ttest_rel(of, than).statistic / np.sqrt(10))
    # The unpaired interval would be hundreds of times wider.
    assert point.high - point.low < 0.02 * stats.sem(of)


def test_a_slope_is_least_squares_over_steps_of_equal_length():
    row = claim("C17b", datasets=("mnist",))
    world = make(row, holds=True)
    file = world.files["mnist", "morans_i"]
    curve = [0.1, 0.5, 0.2, 0.3, 0.7, 0.4]
    for strength, value in zip(STRENGTHS, curve, strict=True):
        file["morans_i"].values[(file.condition.values == "ws") & (file.strength.values == strength)] = value
    assert evaluate(row, world.evidence()).points[0].value == pytest.approx(np.polyfit(range(6), curve, 1)[0])


def test_the_largest_mean_is_not_the_mean_of_the_largest():
    row = claim("C13a", family="as")
    world = make(row, holds=True, noise=0.5)
    file = world.files["mnist", "colocalization"]
    of_as = file["distance"].values[file.condition.values == "as", 0].reshape(len(STRENGTHS), -1)
    point = evaluate(row, world.evidence()).points[0]
    assert point.value == pytest.approx(of_as.mean(axis=1).max())
    assert point.value < of_as.max(axis=0).mean()


def test_a_curve_that_only_falls_has_no_valley():
    row = claim("C15d")
    world = make(row, holds=True)
    file = world.files["mnist", "colocalization"]
    file["distance"].values[:] = -file.strength.values[:, None] + 1e-3 * np.random.default_rng(0).normal(
        size=file["distance"].shape
    )
    assert evaluate(row, world.evidence()).outcome == FAILS


def test_a_valley_pays_for_the_choice_of_its_place():
    row = claim("C15d")
    world = make(row, holds=True, noise=1.0)
    file = world.files["mnist", "colocalization"]
    values = file["distance"].values[file.condition.values == "ws", 0].reshape(len(STRENGTHS), -1)
    means = values @ resampling_weights(10)[11:].T
    depths = np.minimum(means[0], means[-1]) - means[1:-1]
    point = evaluate(row, world.evidence()).points[0]
    lows = [interval(depth, 10, level=1 - 0.05 / 4)[0] for depth in depths]
    highs = [interval(depth, 10)[1] for depth in depths]
    assert (point.low, point.high) == pytest.approx((max(lows), max(highs)))


def test_the_order_of_runs_in_a_file_means_nothing():
    row = claim("C15a", family="as")
    world = make(row, holds=True, noise=1.0)
    first = evaluate(row, world.evidence())
    file = world.files["mnist", "colocalization"]
    world.files["mnist", "colocalization"] = file.isel(run=np.random.default_rng(0).permutation(file.sizes["run"]))
    assert evaluate(row, world.evidence()) == first


@pytest.mark.parametrize(("needs", "outcome"), [("all", FAILS), ("most", HOLDS), ("any", HOLDS)])
def test_most_is_more_than_half(needs, outcome):
    row = claim("C16a", family="as")
    row = replace(row, options={"needs": needs})
    world = make(row, holds=True)
    values = world.files["cifar10", "colocalization"]["distance"]
    # Two of six thresholds go the other way.
    values.values[values.condition.values == "ws", :2] += 5
    assert evaluate(row, world.evidence()).outcome == outcome
    values.values[values.condition.values == "ws", 2:3] += 5
    # Half is not most.
    assert evaluate(row, world.evidence()).outcome == {"most": FAILS}.get(needs, outcome)


def test_means_over_units_leave_out_units_without_a_value():
    row = claim("C29")
    world = make(row, holds=True)
    world.files["cifar10", "eccentricity"]["center"].values[:, :, ::2] = np.nan
    assert evaluate(row, world.evidence()).outcome == HOLDS


def test_accuracy_at_drop_reads_the_epoch_after_the_maximum():
    term = xr.DataArray([[0.5, 0.8, 1.0, 0.95, 0.8, 0.2], [1.0, 1.0, 1.0, 1.0, 1.0, 0.95]], dims=("row", "epoch"))
    accuracy = xr.DataArray([[10.0, 20, 30, 40, 50, 60]] * 2, dims=("row", "epoch"))
    assert accuracy_at_drop(term, accuracy).values.tolist() == [50.0, 0.0]


def test_named_functions_are_those_that_entries_may_name():
    arguments = {
        name: function.__code__.co_varnames[: function.__code__.co_argcount] for name, function in SPECIAL.items()
    }
    assert arguments == FUNCTIONS


# Intervals


def coverage(n: int, draw, truth: float, trials: int = 2000) -> float:
    values = draw(np.random.default_rng(n), (n, trials))
    low, high = interval(resampling_weights(n, 2000)[1 + n :] @ values, n)
    return float(np.mean((low <= truth) & (truth <= high)))


@pytest.mark.parametrize(
    ("n", "least", "most"),
    # With 3 or 5 seeds the interval is at most their range, which covers the median in 1 − 2/2³ or 1 − 2/2⁵ of cases.
    [(3, 0.72, 0.78), (5, 0.91, 0.95), (10, 0.935, 0.97), (20, 0.935, 0.97)],
)
def test_intervals_cover_a_normal_mean_as_often_as_they_say(n, least, most):
    assert least < coverage(n, lambda random, shape: random.normal(2.0, 1.0, shape), 2.0) < most


def test_intervals_of_ten_cover_the_mean_of_a_skewed_distribution():
    assert coverage(10, lambda random, shape: random.exponential(1.0, shape), 1.0) > 0.88


def test_an_interval_of_ten_is_the_one_of_students_t():
    values = np.random.default_rng(3).normal(size=10)
    low, high = interval(resampling_weights(10)[11:] @ values, 10)
    expected = stats.t.interval(0.95, 9, values.mean(), stats.sem(values))
    assert (low, high) == pytest.approx(expected, abs=0.12 * (expected[1] - expected[0]))
    assert expanded_tail(10) == pytest.approx(0.0086, abs=5e-4)  # Hesterberg 2015
    assert expanded_tail(10_000) == pytest.approx(0.025, abs=1e-4)


def test_samples_are_the_same_in_every_process_and_weigh_seeds_equally():
    weights = resampling_weights(7, 5000)
    assert weights.shape == (1 + 7 + 5000, 7)
    assert np.allclose(weights.sum(axis=1), 1)
    assert np.array_equal(weights[1:8], np.eye(7))
    assert weights[8:].mean(axis=0) == pytest.approx([1 / 7] * 7, abs=0.01)
    assert (weights[8] * 7).round().astype(int).tolist() == FIRST_SAMPLE_OF_SEVEN


FIRST_SAMPLE_OF_SEVEN = [1, 3, 0, 0, 3, 0, 0]


# Several points


def null_outcomes(name: str, *, needs: str, shift: float, trials: int = 150) -> list[str]:
    """Outcomes of a comparison at 36 points between two conditions that differ by `shift` at every other point."""
    row = claim(name, family="as")
    row = replace(row, options={**row.options, "needs": needs})
    outcomes = []
    for trial in range(trials):
        world = World()
        world.random = np.random.default_rng(trial)
        for leaf in row.leaves:
            world.variable(leaf)
        values = world.files["cifar10", "colocalization"]["distance"]
        values.values[:] = world.random.normal(size=values.shape)
        values.values[values.condition.values == "as", ::2] += shift
        outcomes.append(evaluate(row, world.evidence(), draws=1000).outcome)
    return outcomes


@pytest.mark.parametrize(
    ("needs", "shift", "wrong"),
    [
        # No point differs: nothing is greater anywhere.
        ("any", 0.0, HOLDS),
        ("most", 0.0, HOLDS),
        ("all", 0.0, HOLDS),
        # Half of the points are far apart, the others equal: no point is less.
        ("most", 9.0, HOLDS),
    ],
)
def test_a_verdict_over_36_points_errs_in_one_case_of_twenty(needs, shift, wrong):
    outcomes = null_outcomes("C16a", needs=needs, shift=shift)
    assert outcomes.count(wrong) / len(outcomes) < 0.07


def test_any_finds_what_half_of_the_points_show_and_all_refuses_it():
    assert set(null_outcomes("C16a", needs="any", shift=9.0, trials=5)) == {HOLDS}
    assert HOLDS not in null_outcomes("C16a", needs="all", shift=9.0, trials=20)


def test_a_flat_curve_is_seldom_taken_for_a_valley():
    row = claim("C15d")
    row = replace(row, quantities={"of": replace(row.leaves[0], at=(("threshold", claim("C13a").leaves[0].at[0][1]),))})
    outcomes = []
    for trial in range(300):
        world = World(noise=1.0)
        world.random = np.random.default_rng(trial)
        world.variable(row.leaves[0])
        world.set(row.leaves[0], 5.0)
        outcomes.append(evaluate(row, world.evidence(), draws=1000).outcome)
    assert outcomes.count(HOLDS) / len(outcomes) < 0.05


# The ledger


def ledger(name: str, *, holds: bool = True, **options) -> Ledger:
    rows = tuple(row for row in CLAIMS.rows if row.id == name)
    world = World(**options)
    for row in rows:
        world.files.update(make(row, holds=holds, **options).files)
    return Ledger.of(replace(CLAIMS, rows=rows), world.evidence(), draws=DRAWS)


@pytest.mark.parametrize(
    ("scale", "source", "expected"),
    [
        ("paper", "mnist", ("reproduced", "not reproduced")),
        ("reduced", "mnist", ("same direction", "other direction")),
        ("demo", "digits", ("same direction", "other direction")),
        # Whatever the scale is called: other images reproduce nothing.
        ("paper", "digits", ("same direction", "other direction")),
    ],
)
def test_only_the_papers_scale_and_images_reproduce(scale, source, expected):
    options = {"scale": scale, "sources": {"mnist": source, "cifar10": "cifar10"}}
    verdicts = [ledger("C6", holds=holds, **options).table()["verdict"].item() for holds in (True, False)]
    assert tuple(verdicts) == expected


def test_a_claim_on_as_has_a_row_for_each_family():
    table = ledger("C17c").table()
    assert table["family"].tolist() == ["as", "as_reshaped"] * 2
    assert table["dataset"].tolist() == ["mnist", "mnist", "cifar10", "cifar10"]


def test_the_table_holds_the_deciding_point():
    world_rows = ledger("C15b")
    row, points = world_rows.table().iloc[0], world_rows.points()
    assert (row["points"], row["holding"], row["failing"], row["needed"]) == (36, 36, 0, 36)
    worst = points.loc[points["value"].idxmin()]
    assert (row["value"], row["deciding_point"]) == (worst["value"], worst["point"])
    assert row["low"] <= row["value"] <= row["high"]


def test_the_csv_can_be_read_back(tmp_path):
    table = ledger("C13b").table()
    (tmp_path / "c.csv").write_text(to_csv(table), encoding="utf-8")
    read = pd.read_csv(tmp_path / "c.csv", na_values="nan")
    assert read["value"].to_numpy() == pytest.approx(table["value"].to_numpy(), rel=1e-9)
    assert read["published"].astype(str).tolist() == ["5.56"]


def test_the_page_can_be_read_alone():
    everything = Ledger.of(CLAIMS, World(scale="reduced").evidence())
    text = everything.markdown()
    assert "scale `reduced`" in text and "nothing here is reproduced or refuted" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    blocks = "\n".join(line if line.startswith("|") else "" for line in text.splitlines()).split("\n\n")
    for block in filter(None, (block.strip() for block in blocks)):
        assert len({line.replace("\\|", "").count("|") for line in block.splitlines()}) == 1
    for row in CLAIMS.rows:
        assert row.statement in text
    assert sum(line.count("**not run**") for line in tables) == len(CLAIMS.rows)
    counts = [line.split("|")[1:-1] for line in tables if line.startswith(("| not about AS", "| AS as", "| AS resh"))]
    assert sum(int(cells[-1]) for cells in counts) == len(CLAIMS.rows)


def test_the_page_says_what_it_found():
    text = ledger("C6").markdown()
    assert "images mnist, 10 seeds" in text
    line = next(line for line in text.splitlines() if line.startswith("| C6 "))
    assert "**reproduced**" in line and "n = 10" in line and "slight advantage" in line


# The command


@pytest.fixture
def moran(tmp_path):
    def write(**attrs):
        row = claim("C17a", datasets=("mnist",))
        file = make(row, holds=True).files["mnist", "morans_i"]
        file = file.assign(constant_maps=("run", np.zeros(file.sizes["run"], dtype=np.int64)))
        file = file.assign_coords(condition=file.condition.astype(object))
        defaults = {"paper": "truong2025", "dataset": "mnist", "source_title": "MNIST", "settings": "{}"}
        path = tmp_path / "morans_i.nc"
        write_dataset(
            file.assign_attrs({**defaults, "training": "{}", "chance_morans_i": -1 / 120, **attrs}), path, "morans_i"
        )
        return path

    return write


def command(tmp_path, *metrics: str) -> dict[str, Path]:
    files = {"csv": tmp_path / "c.csv", "markdown": tmp_path / "c.md", "points": tmp_path / "p.csv"}
    paper = {
        "paper": "truong2025",
        "datasets": dict.fromkeys(PAPER["datasets"]),
        "conditions": {name: {"strengths": each["strengths"]} for name, each in PAPER["conditions"].items()},
        "analyses": {name: {"analysis": each.get("analysis", name)} for name, each in PAPER["analyses"].items()},
    }
    outputs = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    main(
        ["--claims", str(CONFIG / "claims" / "truong2025.yaml"), "--paper", json.dumps(paper), "--scale", "paper"]
        + ["--metrics", *metrics, *outputs]
    )
    return files


def test_the_command_writes_the_ledger_and_does_so_again_to_the_byte(tmp_path, moran, capsys):
    metric = f"mnist.morans_i={moran()}"
    files = command(tmp_path, metric)
    table = pd.read_csv(files["csv"])
    found = table[table["claim"] == "C17a"].set_index("dataset")["verdict"]
    assert found.to_dict() == {"mnist": "reproduced", "cifar10": "not run"}
    assert (table.loc[table["claim"] == "C3", "verdict"] == "not run").all()
    assert len(pd.read_csv(files["points"])) > 6
    assert "1 reproduced" in capsys.readouterr().out
    first = {name: path.read_bytes() for name, path in files.items()}
    assert {name: path.read_bytes() for name, path in command(tmp_path, metric).items()} == first


@pytest.mark.parametrize(
    ("attrs", "line"),
    [({"scale": "demo"}, "expected scale 'paper', found 'demo'"), ({"dataset": "cifar10"}, "expected dataset 'mnist'")],
)
def test_a_metric_file_of_another_scale_or_data_set_is_refused(tmp_path, moran, attrs, line):
    path = moran(**attrs)
    with pytest.raises(TopoRepError, match=line):
        command(tmp_path, f"mnist.morans_i={path}")


def test_a_key_without_a_data_set_is_refused(tmp_path):
    with pytest.raises(TopoRepError, match="expected <dataset>.<analysis>=path"):
        command(tmp_path, "morans_i=m.nc")
