"""The claims of sander2026 in worlds in which each holds and in which it does not, and what their tests rest on."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from claim_worlds import make, row_of
from claim_worlds_sander2026 import OBJECTIVES, RHO, EmbeddingWorld, as_the_paper_says

from toporep.claims import sets
from toporep.claims.bootstrap import interval, resampling_weights
from toporep.claims.entries import OF_SETS, Selector, load_claims
from toporep.claims.evaluate import FAILS, HOLDS, NOT_RUN, OPEN, evaluate
from toporep.claims.evidence import Evidence
from toporep.claims.ledger import Ledger
from toporep.claims.special import minimum_at_maximum
from toporep.cli.claims import main as command
from toporep.config import load_config, read_yaml
from toporep.errors import TopoRepError
from toporep.io import write_dataset
from toporep.schemas import SCHEMAS
from toporep.workflow import Workflow

REPOSITORY = Path(__file__).resolve().parent.parent
CONFIG = REPOSITORY / "config"
FILE = CONFIG / "claims" / "sander2026.yaml"
PAPER = load_config({**read_yaml(CONFIG / "config.yaml"), "papers": ["sander2026"]}, CONFIG).papers["sander2026"]
CLAIMS = load_claims(FILE, PAPER, CONFIG / "schemas" / "claims.yaml")
ROWS = {" ".join(filter(None, (row.id, row.condition, row.variant))): row for row in CLAIMS.rows}
DRAWS = 200


@pytest.mark.parametrize("holds", [True, False], ids=["holds", "fails"])
@pytest.mark.parametrize("name", ROWS)
def test_a_claim_follows_a_world_in_which_it_holds_and_one_in_which_it_does_not(name, holds):
    row = ROWS[name]
    result = evaluate(row, make(row, holds=holds, kind=EmbeddingWorld).evidence(), draws=DRAWS)
    assert result.outcome == (HOLDS if holds else FAILS), (result.reason, result.points[:3])


def claim(name: str, **selected):
    return row_of(CLAIMS, name, **selected)


def evaluated(row, **options):
    """A claim in a world in which it holds."""
    return evaluate(row, make(row, holds=True, kind=EmbeddingWorld, **options).evidence(), draws=DRAWS, partial=True)


def ledger(*rows, holds: bool = True, **options) -> Ledger:
    world = EmbeddingWorld(**options)
    for row in rows:
        world.files.update(make(row, holds=holds, kind=EmbeddingWorld, **options).files)
    return Ledger.of(replace(CLAIMS, rows=rows), world.evidence(), draws=DRAWS)


# The paper's statements together


def outcomes(world: EmbeddingWorld) -> dict[str, str]:
    evidence = world.evidence()
    primary = {name: row for name, row in ROWS.items() if row.primary}
    return {name: evaluate(row, evidence, draws=DRAWS).outcome for name, row in primary.items()}


def test_where_all_is_as_the_paper_says_every_claim_holds_but_those_that_its_table_leaves_open():
    found = outcomes(as_the_paper_says(CLAIMS.rows))
    assert {name: outcome for name, outcome in found.items() if outcome != HOLDS} == {
        # Printed as 1.00 and 1.00 at ρ = 5.
        "T2 simclr centering=raw": OPEN,
        "T2 supcon centering=raw": OPEN,
        # Lower at two ρ, higher at two, the same at one.
        "T5a margin centering=raw": OPEN,
        # Higher at four ρ.
        "T5b simclr": FAILS,
    }


def test_where_topography_does_nothing_only_claims_that_say_so_hold():
    found = outcomes(as_the_paper_says(CLAIMS.rows, topography=False))
    assert {name.split()[0] for name, outcome in found.items() if outcome == HOLDS} == {
        # Accuracy that does not suffer; SimCLR's is low without topography too.
        *("A1a", "A2a", "A2c", "A3", "A4", "V1a", "V1b"),
        # Dropout acts by itself.
        *("S4a", "S4b", "S4c"),
        # Directions that do not become more alike.
        "N4",
        # Chance; a curve that is flat.
        *("D1a", "D1b", "D5b"),
        # Without topography; a count; the table's first column.
        *("R1", "R4", "T2", "T3", "T4a", "T6"),
        # Ensembles gain without topography too, most at intermediate noise.
        *("E1a", "E1b", "E2", "E3a", "E3b", "E4a", "E4b", "E5b"),
    }


# What the file covers


def test_every_statement_of_the_paper_has_an_entry():
    numbers = {re.match(r"[A-Z]\d+", name).group() for name in read_yaml(FILE)["claims"]}
    counts = {"A": 4, "S": 4, "N": 6, "D": 6, "R": 4, "T": 6, "E": 5, "V": 1}
    assert numbers == {f"{letter}{i}" for letter, count in counts.items() for i in range(1, count + 1)}


def test_rows_have_names_of_their_own():
    assert len(ROWS) == len(CLAIMS.rows)


def test_networks_that_the_paper_does_not_have_are_in_checks_alone():
    for row in CLAIMS.rows:
        ours = any(leaf.condition.endswith(("_cosine", "_norm_penalty")) for leaf in row.leaves)
        assert not (ours and row.primary), row.id


def test_sets_of_networks_have_the_dimensions_of_their_files():
    for schema, variables in OF_SETS.items():
        in_file = SCHEMAS[schema].variables
        for name, dims in variables.items():
            if name != "n":
                source = in_file[name.replace("gain", "ensemble")][0]
                assert tuple(dim for dim in source if dim not in ("point", "pair", "network")) == dims, name


# Table 1


def printed(world: EmbeddingWorld) -> EmbeddingWorld:
    """A world whose networks have the similarities of the printed table."""
    table = claim("T1a")
    for leaf in table.leaves:
        world.variable(leaf)
    for cell, leaf in table.quantities.items():
        world.set(leaf, table.options["published"][cell])
    return world


def test_the_table_has_the_papers_96_numbers():
    published = claim("T1a").options["published"]
    assert len(published) == 96
    # Results, "Within vs. Across-Class Similarity": CE at ρ = 5, SupCon at ρ = 5.
    wanted = {
        "condition=ce, pair=within, strength=5, column=mean": 0.89,
        "condition=ce, pair=across, strength=5, column=mean": -0.03,
        "condition=supcon, pair=within, strength=5, column=mean": 1.0,
        "condition=supcon, pair=across, strength=5, column=mean": 1.0,
        "condition=margin, pair=within, strength=0.008, column=sd": 0.21,
    }
    assert {cell: published[cell] for cell in wanted} == wanted


def test_each_cell_is_a_point_with_what_is_measured_and_what_is_published():
    row = claim("T1a")
    world = make(row, holds=True, kind=EmbeddingWorld)
    cell = "condition=simclr, pair=across, strength=0.2, column=mean"
    world.set(row.quantities[cell], 0.51)
    result = evaluate(row, world.evidence(), draws=DRAWS)
    (other,) = [point for point in result.points if point.label == cell]
    assert (other.left, other.right) == (pytest.approx(0.51, abs=1e-3), 0.71)
    assert other.value == pytest.approx(-0.2, abs=1e-3)
    assert (result.outcome, result.count(HOLDS), result.count(FAILS)) == (FAILS, 95, 1)
    assert result.deciding is other or result.deciding == other


@pytest.mark.parametrize(
    ("name", "condition", "outcome"),
    [
        ("T1b", "margin", HOLDS),
        ("T1b", "supcon", HOLDS),
        ("T2", "margin", HOLDS),
        ("T2", "ce", HOLDS),
        # To two decimals both are 1.00 at ρ = 5.
        ("T2", "simclr", OPEN),
        ("T3", "margin", HOLDS),
        ("T3", "supcon", HOLDS),
        ("T4a", "margin", HOLDS),
        ("T4a", "ce", HOLDS),
        ("T4a", "supcon", HOLDS),
        ("T4b", None, HOLDS),
        ("T4c", None, HOLDS),
        ("T4d", None, HOLDS),
        ("T5a", "ce", HOLDS),
        ("T5a", "simclr", HOLDS),
        ("T5b", "margin", HOLDS),
        ("T5b", "supcon", HOLDS),
        # Higher across classes at each ρ but the first, where it is the same.
        ("T5b", "simclr", FAILS),
        ("T6", None, HOLDS),
    ],
)
def test_the_printed_table_itself_has_these_verdicts(name, condition, outcome):
    world = printed(EmbeddingWorld(noise=1e-5))
    assert evaluate(claim(name, condition=condition), world.evidence(), draws=DRAWS).outcome == outcome


# Scales that lack some ρ


@pytest.mark.parametrize("scale", ["reduced", "paper"])
def test_a_claim_about_all_rho_is_tested_on_those_that_were_run_and_then_reproduces_nothing(scale):
    rows = [claim("A1a"), claim("S1a"), claim("N1"), claim("D4"), claim("T1a")]
    table = ledger(*rows, scale=scale, without=(0.008, 1.0)).table().set_index("claim")
    assert set(table["verdict"]) == {"same direction"}
    # S1a is about 0.008, 0.04 and 0.2 alone.
    reasons = dict.fromkeys(table.index, "without ρ 0.008 and 1, not run")
    assert table["reason"].to_dict() == {**reasons, "S1a": "without ρ 0.008, not run"}
    assert table["points"].to_dict() == {"A1a": 3, "S1a": 1, "N1": 3, "D4": 3, "T1a": 64}
    assert "[ρ 0.04/0.2/5]" in table.loc["A1a", "criterion"]
    assert table.loc["T1a", "criterion"].startswith("64 cells")


def test_with_all_rho_nothing_is_left_out():
    table = ledger(claim("A1a"), claim("T1a"), scale="paper").table()
    assert table["verdict"].tolist() == ["reproduced"] * 2
    assert table["reason"].tolist() == [""] * 2


@pytest.mark.parametrize(
    ("name", "without", "missing"),
    [
        # One ρ by itself.
        ("D3a", (0.008,), "margin/0.008"),
        ("R3c", (1.0,), "simclr/1"),
        # Means, sums, extremes over all ρ.
        ("E2", (0.008, 1.0), "ce/{0.008,1}"),
        ("D6d", (0.008,), "margin/0.008"),
        ("R4", (1.0,), "margin/1"),
        # A curve of one point.
        ("S1a", (0.008, 0.04), "margin/{0.008,0.04}"),
        # Without topography there is nothing to compare with.
        ("A1a", (0.0,), "margin/0"),
        ("A1a", RHO, "margin/{0.008,0.04,0.2,1,5}"),
    ],
)
def test_what_cannot_be_tested_on_the_rest_is_not_run(name, without, missing):
    result = evaluated(claim(name), without=without)
    assert result.outcome == NOT_RUN
    assert result.reason.startswith(f"no runs sander2026/cifar10/{missing} in ")
    assert result.left_out == ()


def test_a_peak_needs_three_places_and_one_of_those_that_are_named():
    row = replace(claim("S1b"), kind="shape", options={"form": "peak", "at": [0.2]})
    of = replace(row.quantities["than"], strength=replace(row.quantities["than"].strength, values=RHO))
    row = replace(row, quantities={"of": of})
    assert evaluated(row, without=(0.008, 1.0)).outcome == HOLDS
    assert evaluated(row, without=(0.008, 0.04, 1.0)).outcome == NOT_RUN
    assert evaluated(row, without=(0.2,)).outcome == NOT_RUN


def test_other_papers_leave_nothing_out():
    assert CLAIMS.partial
    config = load_config({**read_yaml(CONFIG / "config.yaml"), "papers": ["truong2025"]}, CONFIG)
    assert not load_claims(CONFIG / "claims" / "truong2025.yaml", config.papers["truong2025"]).partial
    evidence = make(claim("A1a"), holds=True, kind=EmbeddingWorld, without=(0.008,)).evidence()
    assert evaluate(claim("A1a"), evidence).outcome == NOT_RUN


# One network


@pytest.mark.parametrize("name", ["S2a", "S2b", "S3a", "S4a", "S4b", "S4c"])
def test_one_network_without_dropout_has_a_value_and_no_interval(name):
    alone = {f"{objective}_no_dropout": 1 for objective in OBJECTIVES}
    result = evaluated(claim(name), networks=alone)
    assert (result.outcome, result.seeds) == (OPEN, (0,))
    assert result.reason == "1 seed; an interval needs at least 3"
    assert all(np.isfinite(point.value) and np.isnan(point.low) and point.state == OPEN for point in result.points)


@pytest.mark.parametrize(
    ("name", "networks", "reason"), [("V1a", 1, "1 seed;"), ("R1", 2, "2 seeds;"), ("E1a", 2, "2 seeds;")]
)
def test_fewer_than_three_networks_show_their_value_alone(name, networks, reason):
    result = evaluated(claim(name), seeds=networks)
    assert result.outcome == OPEN and result.reason.startswith(reason)
    assert all(np.isfinite(point.value) and np.isnan(point.low) for point in result.points)


# Statistics of several networks


def test_jackknife_values_of_a_mean_are_the_values():
    values = np.random.default_rng(0).normal(size=(6, 3))
    without = np.array([np.delete(values, i, axis=0).mean(axis=0) for i in range(6)])
    assert sets.jackknife(values.mean(axis=0), without) == pytest.approx(values)


def test_jackknife_values_of_pairs_that_are_sums_of_two_networks_are_twice_the_networks():
    networks = np.random.default_rng(1).normal(size=7)
    values = sets.pair_mean(networks[:, None] + networks)
    assert values == pytest.approx(2 * networks)


def test_the_mean_over_pairs_does_not_see_the_diagonal_or_undefined_pairs():
    pairs = np.array([[9, 1, 2, np.nan], [1, 9, 3, 4], [2, 3, 9, 5], [np.nan, 4, 5, 9.0]])
    values = sets.pair_mean(pairs)
    assert values.mean() == pytest.approx((1 + 2 + 3 + 4 + 5) / 5)
    # Without the third network: pairs 1 and 4, mean 2.5; of all four such means the mean is (4 + 3.5 + 2.5 + 2)/4.
    assert values[2] == pytest.approx(3 + 3 * (3 - 2.5))


@pytest.mark.parametrize(("count", "value"), [(1, np.nan), (2, 0.7)])
def test_too_few_networks_to_leave_one_out_keep_the_statistic(count, value):
    assert sets.pair_mean(np.full((count, count), 0.7)) == pytest.approx([value] * count, nan_ok=True)
    spread = sets.standard_deviation(np.array([[1.0], [3.0]])[:count])
    assert spread[:, 0] == pytest.approx([np.sqrt(2) if count == 2 else np.nan] * count, nan_ok=True)


def coverage(values: np.ndarray, truth: float) -> float:
    """How often the interval of jackknife values (networks, trials) holds the truth."""
    n = len(values)
    low, high = interval(resampling_weights(n, 2000)[1 + n :] @ values, n)
    return float(np.mean((low <= truth) & (truth <= high)))


@pytest.mark.parametrize(("own", "shared"), [(1.0, 0.3), (1.0, 1.0), (0.3, 1.0)])
def test_intervals_of_pairs_of_five_networks_cover_their_mean(own, shared):
    random = np.random.default_rng(2)
    found = []
    for _ in range(1000):
        noise = np.triu(random.normal(scale=shared, size=(5, 5)), k=1)
        network = random.normal(scale=own, size=5)
        found.append(sets.pair_mean(network[:, None] + network + noise + noise.T))
    assert 0.91 < coverage(np.array(found).T, 0.0) < 0.99


def test_pairs_are_not_taken_for_independent():
    random = np.random.default_rng(3)
    network = random.normal(size=(5, 400))
    upper = np.triu_indices(5, k=1)
    pairs = network[:, None] + network
    of_networks = np.array([sets.pair_mean(pairs[..., trial]) for trial in range(400)]).T
    assert coverage(of_networks, 0.0) > 0.9
    assert coverage(pairs[upper], 0.0) < 0.8


def test_intervals_of_the_sd_of_ten_networks_cover_it():
    values = np.random.default_rng(4).normal(size=(10, 1000))
    assert 0.87 < coverage(sets.standard_deviation(values), 1.0) < 0.95


def test_intervals_of_ensembles_are_not_too_narrow():
    random = np.random.default_rng(5)
    # Binary answers: an ensemble is right where its networks' evidence is positive on average.
    ease = random.normal(1.2, 1.0, size=400)
    accuracy, of_networks = [], []
    for _ in range(300):
        evidence = ease + random.normal(size=(10, 400))
        whole = (evidence.mean(axis=0) > 0).mean()
        without = ((evidence.sum(axis=0) - evidence) > 0).mean(axis=1)
        accuracy.append(whole)
        of_networks.append(sets.jackknife(whole, without))
    assert coverage(np.array(of_networks).T, np.mean(accuracy)) > 0.93


def sets_file(schema: str, **variables) -> xr.Dataset:
    coords = {"condition": ("point", ["ce"]), "strength": ("point", [0.0]), "n": ("point", [3])}
    extra = {
        "rdm_consistency": {"seed_a": ("pair", [0, 0, 4]), "seed_b": ("pair", [4, 7, 7])},
        "ensembles": {"network_seed": ("network", [7, 0, 4]), "vote": ["probability", "logit"]},
    }[schema]
    return xr.Dataset(variables, {**coords, **extra}, {"source": "cifar10", "scale": "paper"})


def leaf_of(name: str, variable: str, **at):
    leaf = claim(name).leaves[0]
    chosen = tuple((dim, Selector((value,), single=True)) for dim, value in at.items())
    return replace(leaf, condition="ce", variable=variable, strength=Selector((0,), single=True), at=chosen, times=1.0)


def test_consistency_is_the_mean_over_pairs_of_the_networks_that_are_compared():
    file = sets_file("rdm_consistency", consistency=(("point", "pair"), [[0.7, 0.8, 0.9]]))
    evidence = Evidence("sander2026", "paper", {("cifar10", "rdm_consistency"): file})
    leaf = leaf_of("R1", "consistency")
    assert evidence.seeds(leaf) == [0, 4, 7]
    assert evidence.values(leaf).mean() == pytest.approx(0.8)
    # Networks 0 and 7 alone are one pair.
    assert evidence.values(leaf, [0, 7]).values == pytest.approx([0.8, 0.8])
    assert evidence.values(leaf_of("R1", "n")).values.tolist() == [3, 3, 3]


def test_a_gain_is_the_ensembles_accuracy_less_the_mean_of_its_networks():
    file = sets_file(
        "ensembles",
        clean_individual=(("point", "network"), [[0.5, 0.6, 0.7]]),
        clean_ensemble=(("point", "vote"), [[0.8, 0.9]]),
        # Without network 7, 0 or 4.
        clean_leave_one_out=(("point", "vote", "network"), [[[0.75, 0.78, 0.72], [0.9, 0.9, 0.9]]]),
    )
    evidence = Evidence("sander2026", "paper", {("cifar10", "ensembles"): file})
    gain = evidence.values(leaf_of("E1a", "clean_gain", vote="probability"))
    assert gain["seed"].values.tolist() == [0, 4, 7]
    assert gain.values.mean() == pytest.approx(0.8 - 0.6)
    # The ensemble falls most without network 4, from 0.75 on average to 0.72; network 4 alone has 0.7.
    assert gain.values == pytest.approx([0.8 - 2 * 0.03 - 0.6, 0.8 + 2 * 0.03 - 0.7, 0.8 - 0.5])
    other = evidence.values(leaf_of("E1a", "clean_ensemble", vote="logit"))
    assert other.values == pytest.approx([0.9] * 3)
    assert evidence.values(leaf_of("E1a", "clean_individual")).values == pytest.approx([0.6, 0.7, 0.5])
    with pytest.raises(TopoRepError, match="an ensemble of 3 networks cannot be compared as one of fewer"):
        evidence.values(leaf_of("E1a", "clean_gain", vote="logit"), [0, 4])


def test_the_sd_over_networks_is_that_of_their_accuracies():
    row = claim("A3")
    world = make(row, holds=True, kind=EmbeddingWorld)
    file = world.files["cifar10", "accuracy_all_trials"]
    chosen = (file.condition.values == "ce") & (file.strength.values == 5)
    expected = np.std(file["accuracy"].values[chosen] * 100, ddof=1)
    result = evaluate(row, world.evidence(), draws=DRAWS)
    (point,) = [point for point in result.points if point.label == "strength=5"]
    assert point.value == pytest.approx(expected) == pytest.approx(0.4)


def test_minima_and_maxima_coincide_or_not():
    curve = xr.DataArray([[5.0, 3, 1, 4], [5.0, 3, 1, 4], [5.0, 3, np.nan, 4]], dims=("row", "strength"))
    of = xr.DataArray([[0.1, 0.2, 0.9, 0.3], [0.9, 0.2, 0.1, 0.3], [0.1, 0.2, 0.9, 0.3]], dims=("row", "strength"))
    # The next longer distance is 3; at the first strength the curve is at 5, and elsewhere at 1.
    assert minimum_at_maximum(curve, of).values == pytest.approx([2, -4, np.nan], nan_ok=True)


# Names in the file


@pytest.fixture
def load(tmp_path):
    def load(test: dict, **entry):
        folder = tmp_path / "config" / "claims"
        folder.mkdir(parents=True, exist_ok=True)
        published = tmp_path / "config" / "published"
        if not published.exists():
            published.symlink_to(CONFIG / "published")
        content = {
            "paper": "sander2026",
            "sources": {"cifar10": "cifar10"},
            "strengths": list(RHO),
            "claims": {
                "A1": {"claim": "A.", "place": "B", "published": 1, "chance": 0, "datasets": ["cifar10"], "test": test}
                | entry
            },
        }
        path = folder / "sander2026.yaml"
        path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
        return load_claims(path, PAPER, CONFIG / "schemas" / "claims.yaml")

    return load


def table(**changes) -> dict:
    of = {
        "value": "class_similarity.{pair}_{column}",
        "condition": "{condition}",
        "strength": "{strength}",
        "at": {"centering": "raw"},
    }
    return {"table": {"file": "table1", "of": of, "columns": ["mean"], "within": 0.05, **changes}}


def test_a_name_may_be_part_of_a_word(load):
    test = {
        "greater": {
            "of": {"value": "morans_i.morans_i", "condition": "{condition}"},
            "than": {"condition": "{condition}_no_dropout"},
        }
    }
    rows = load(test, conditions=["ce", "simclr"]).rows
    assert [row.quantities["than"].condition for row in rows] == ["ce_no_dropout", "simclr_no_dropout"]
    with pytest.raises(TopoRepError, match="unknown condition 'margin_cosine_no_dropout'"):
        load(test, conditions=["margin_cosine"])


def test_a_table_takes_the_columns_that_are_named(load):
    claims = load(table())
    (row,) = claims.rows
    assert len(row.quantities) == 48
    assert [path.name for path in claims.tables] == ["table1.csv"]
    assert row.options["within"] == 0.05


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"file": "table2"}, r"test\.table\.file: no such file .*table2\.csv"),
        ({"columns": ["median"]}, "test.table.columns: table1.csv has no column 'median'"),
        ({"columns": ["bold"]}, "test.table.of.value: unknown variable 'within_bold' of class_similarity"),
        ({"within": 0}, "test.table.within: "),
        ({"of": {"value": "morans_i.morans_i", "condition": "{condition}"}}, "expected one number of one strength"),
        ({"of": {"value": "morans_i.morans_i", "condition": "{objective}"}}, "{objective}: stands for nothing here"),
    ],
)
def test_a_mistake_in_a_table_names_its_place(load, changes, line):
    with pytest.raises(TopoRepError, match=line) as caught:
        load(table(**changes))
    assert len(str(caught.value).splitlines()) == 1


def test_numbers_in_a_table_that_are_none_are_told(load, tmp_path):
    folder = tmp_path / "config" / "published" / "sander2026"
    folder.mkdir(parents=True)
    (folder / "t.csv").write_text("condition,strength,mean\nce,0,about 1\n", encoding="utf-8")
    of = {"value": "morans_i.morans_i", "condition": "{condition}", "strength": "{strength}"}
    with pytest.raises(TopoRepError, match=r"test\.table\.columns: t\.csv: 'about 1' in column 'mean' is not a number"):
        load(table(file="t", of=of))


def test_what_is_taken_over_networks_is_a_known_statistic(load):
    of = {"value": "accuracy.accuracy", "condition": "ce", "strength": 0, "over_networks": "median"}
    with pytest.raises(TopoRepError, match="test.number.of.over_networks: 'median' is not a known value"):
        load({"number": {"of": of, "to": 1}})


# The ledger


def test_the_page_writes_the_strength_as_the_paper_does():
    everything = Ledger.of(CLAIMS, EmbeddingWorld(scale="reduced", without=(0.008, 1.0)).evidence())
    text = everything.markdown()
    assert "ρ 0.2" in text and "λ" not in text
    assert "not about AS" not in text
    for row in CLAIMS.rows:
        assert row.statement in text
    counts = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| claims")]
    assert sum(int(cells[-1]) for cells in counts[1:]) == len(CLAIMS.rows)


def test_the_page_says_which_rho_a_verdict_is_without():
    page = ledger(claim("A1a"), scale="reduced", without=(0.008, 1.0)).markdown()
    assert "**same direction**: without ρ 0.008 and 1, not run" in page
    assert "tested on those that were run" in page
    assert "tested on those that were run" not in ledger(claim("A1a"), scale="reduced").markdown()


def test_the_command_tests_table_1_on_a_metric_file(tmp_path, capsys):
    world = printed(EmbeddingWorld(seeds=5))
    file = world.files["cifar10", "class_similarity"]
    names = {
        "paper": "sander2026",
        "dataset": "cifar10",
        "source_title": "CIFAR-10",
        "settings": "{}",
        "training": "{}",
    }
    file = file.assign_coords({name: file[name].astype(object) for name in ("condition", "centering")})
    write_dataset(file.assign_attrs(names), tmp_path / "class_similarity.nc", "class_similarity")
    workflow = Workflow.from_config({**read_yaml(CONFIG / "config.yaml"), "papers": ["sander2026"]}, REPOSITORY)
    outputs = {"csv": tmp_path / "c.csv", "markdown": tmp_path / "c.md", "points": tmp_path / "p.csv"}
    command(
        ["--claims", str(FILE), "--paper", workflow.claims_settings("sander2026"), "--scale", "paper"]
        + ["--metrics", f"cifar10.class_similarity={tmp_path / 'class_similarity.nc'}"]
        + [part for name, path in outputs.items() for part in (f"--{name}", str(path))]
    )
    found = pd.read_csv(outputs["csv"]).set_index("claim")
    assert found.loc["T1a", "verdict"] == "reproduced"
    assert found.loc["A2b", "verdict"] == "not run"
    points = pd.read_csv(outputs["points"])
    assert (points["claim"] == "T1a").sum() == 96
    assert "reproduced" in capsys.readouterr().out


def test_the_rule_reads_the_metric_files_and_the_tables_that_the_claims_name():
    workflow = Workflow.from_config(read_yaml(CONFIG / "config.yaml"), REPOSITORY)
    inputs = workflow.claims_inputs("sander2026")
    # No claim is about smoothness and accuracy of the networks that the paper does not have, nor compares papers.
    beyond = {"accuracy_variants", "morans_i_variants", "atlas"}
    assert {key.partition(".")[2] for key in inputs} == set(PAPER["analyses"]) - beyond
    assert [Path(path).name for path in workflow.claims_tables("sander2026")] == ["table1.csv"]
    assert workflow.claims_tables("truong2025") == []
