"""Analyses of Sander & Hasson 2026 against published numbers, other libraries, and a world whose truth is known."""

from __future__ import annotations

import json
import shutil
from functools import partial

import numpy as np
import pytest
import xarray as xr
from activation_dumps import write_dumps
from embedding_dumps import (
    ANIMATE,
    CLASSES,
    OBJECTIVES,
    attributes,
    embedding_dump,
    noise_logits,
    runs_of,
    world,
    write_embedding_dumps,
    write_noise_logits,
)
from scipy import stats
from sklearn.manifold import TSNE
from sklearn.metrics import accuracy_score, silhouette_score
from sklearn.metrics.pairwise import cosine_similarity
from threadpoolctl import threadpool_limits

from toporep.analyses import (
    accuracy,
    class_similarity,
    colocalization,
    concentration,
    ensembles,
    morans_i,
    rdm_consistency,
    training_curves,
    training_outcome,
    tsne,
    weight_norms,
)
from toporep.analyses.dumps import DumpReader, read_dump
from toporep.cli import analyze
from toporep.errors import TopoRepError
from toporep.io import read_dataset, write_dataset
from toporep.metrics import colocalization_null, consistency
from toporep.metrics.ensembles import ensemble_accuracy, ensemble_predictions
from toporep.schemas import SCHEMAS, summarized
from toporep.sheet import moore_pairs

GRID = (16, 16)
TSNE_SETTINGS = {"per_class": 6, "perplexity": 10}
SMALL = {
    "accuracy": {},
    "morans_i": {"neighborhood": "rook"},
    "weight_norms": {},
    "training_outcome": {},
    "concentration": {},
    "colocalization": {"relabellings": 20, "inclusive": True},
    "rdm_consistency": {"per_class": 8},
    "class_similarity": {"per_class": 8},
    "tsne": TSNE_SETTINGS,
    "ensembles": {},
}
ANALYSES = {
    "accuracy": accuracy,
    "morans_i": morans_i,
    "weight_norms": weight_norms,
    "training_outcome": training_outcome,
    "concentration": concentration,
    "colocalization": colocalization,
    "rdm_consistency": rdm_consistency,
    "class_similarity": class_similarity,
    "tsne": tsne,
    "ensembles": ensembles,
}
# Two conditions, one of them with a second readout, and two strengths; three seeds.
FEW = runs_of(["ce", "supcon"], [0.0, 0.2])


@pytest.fixture(scope="module")
def dumps(tmp_path_factory) -> list[str]:
    """Of all objectives, with dropout and without, and rho."""
    with_dropout = runs_of(seeds=[0, 1])
    without = runs_of([f"{name}_no_dropout" for name in OBJECTIVES], seeds=[0])
    return write_embedding_dumps(tmp_path_factory.mktemp("world"), with_dropout + without, per_class=10)


@pytest.fixture(scope="module")
def few(tmp_path_factory) -> list[str]:
    return write_embedding_dumps(tmp_path_factory.mktemp("few"), FEW)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory) -> list[str]:
    return write_noise_logits(tmp_path_factory.mktemp("noise"), runs_of(["ce"], [0.0, 0.2], range(4)), per_class=8)


def rewrite(folder, changes: dict[tuple, xr.Dataset], *, schema: str = "activations") -> list[str]:
    paths = []
    for index, dataset in enumerate(changes.values()):
        paths.append(str(folder / f"{index}.nc"))
        write_dataset(dataset, paths[-1], schema)
    return paths


def fake_dump(run, embedding: np.ndarray, label: np.ndarray, grid: tuple[int, int]) -> xr.Dataset:
    """A dump whose embedding alone means something."""
    stimuli, units = embedding.shape
    return xr.Dataset(
        {
            "sheet_pre": (("stimulus", "unit"), embedding.astype(np.float32)),
            "logits": (("stimulus", "class"), np.zeros((stimuli, 10), dtype=np.float32)),
            "sheet_weight": (("unit", "input"), np.ones((units, 3), dtype=np.float32)),
            "readout_weight": (("class", "unit"), np.ones((10, units), dtype=np.float32)),
            "readout_bias": ("class", np.ones(10, dtype=np.float32)),
            "history": (("epoch", "quantity"), np.zeros((1, 1))),
        },
        {
            "label": ("stimulus", label),
            "row": ("unit", np.arange(units) // grid[1]),
            "col": ("unit", np.arange(units) % grid[1]),
            "epoch": ("epoch", np.zeros(1, dtype=np.int64)),
            "quantity": ("quantity", np.array(["task_loss"], dtype=object)),
        },
        attributes(run),
    )


def published_models(folder) -> list[str]:
    """The five fake models of 1,000 images on which the published code was run."""
    n, u, q = np.arange(1000)[:, None], np.arange(16), np.arange(5)[:, None, None]
    k = n % 10
    wave = np.sin((0.9 + 0.05 * q) * k * (1 + 0.21 * u) + 0.4 * u)
    embeddings = wave + 0.3 * np.sin(0.37 * n * (1 + 0.1 * u) + q) + 0.25
    models = {("ce", 0.2, seed): embeddings[seed] for seed in range(5)}
    return rewrite(folder, {run: fake_dump(run, values, k[:, 0], (4, 4)) for run, values in models.items()})


# What all of them share


@pytest.mark.parametrize("name", ANALYSES)
def test_both_files_have_their_schema(tmp_path, few, noisy, name):
    metric, summary = ANALYSES[name].run(noisy if name == "ensembles" else few, SMALL[name], {"scale": "demo"})
    write_dataset(metric, tmp_path / "metric.nc", name)
    write_dataset(summary, tmp_path / "summary.nc", f"{name}_summary")
    read = read_dataset(tmp_path / "summary.nc", f"{name}_summary")
    conditions = ["ce"] * 2 if name == "ensembles" else ["ce", "ce", "supcon", "supcon"]
    assert read["condition"].values.tolist() == conditions
    assert read["strength"].values.tolist() == [0.0, 0.2] * (len(conditions) // 2)
    assert read["n"].values.tolist() == [4 if name == "ensembles" else 3] * len(conditions)


@pytest.mark.parametrize("name", ["accuracy", "weight_norms", "training_outcome", "concentration", "morans_i"])
def test_summary_is_mean_and_standard_error_over_trials(few, name):
    metric, summary = ANALYSES[name].run(few, SMALL[name], {})
    for variable in summarized(SCHEMAS[name]):
        for point in range(4):
            values = metric[variable].values[3 * point : 3 * point + 3]
            np.testing.assert_allclose(summary[f"{variable}_mean"].values[point], values.mean(), rtol=1e-12)
            np.testing.assert_allclose(summary[f"{variable}_sem"].values[point], stats.sem(values), rtol=1e-9)


@pytest.mark.parametrize("name", ANALYSES)
def test_an_unknown_setting_is_refused(few, noisy, name):
    with pytest.raises(TopoRepError, match="settings: unknown 'color'"):
        ANALYSES[name].run(noisy if name == "ensembles" else few, {"color": 1}, {})


@pytest.mark.parametrize("name", ["rdm_consistency", "ensembles"])
def test_command_writes_what_has_no_value_a_run(tmp_path, few, noisy, name):
    flags = {"settings": json.dumps(SMALL[name]), "scale": "demo", "output": "metric.nc", "summary": "summary.nc"}
    flags |= {key: str(tmp_path / flags[key]) for key in ("output", "summary")}
    arguments = [part for key, value in flags.items() for part in (f"--{key}", value)]
    analyze.main([name, *arguments, "--dumps", *(noisy if name == "ensembles" else few)])
    assert read_dataset(tmp_path / "metric.nc", name).sizes["point"] == len(FEW) // 3 // (
        2 if name == "ensembles" else 1
    )


@pytest.mark.parametrize("name", ["rdm_consistency", "ensembles"])
def test_networks_are_compared_only_where_all_points_have_them(few, noisy, name):
    paths, seeds = (noisy, 4) if name == "ensembles" else (few, 3)
    with pytest.raises(TopoRepError, match="at strength 0.2 lacks seed 1, which other conditions have"):
        ANALYSES[name].run([path for path in paths if not path.endswith("-0.2-1.nc")], SMALL[name], {})
    with pytest.raises(TopoRepError, match="expected at least 2 seeds of each condition and strength.*found 0 alone"):
        ANALYSES[name].run(paths[::seeds], SMALL[name], {})


def test_runs_that_stopped_at_different_epochs_go_together(few, tmp_path):
    lengths = {read_dump(path).data.sizes["epoch"] for path in few}
    assert len(lengths) > 3
    reader = DumpReader(few, {})
    assert sum(1 for _ in reader) == len(few)
    with pytest.raises(TopoRepError, match="epoch is not the same as in"):
        training_curves.run(few, {}, {})
    # Of one length they still make curves.
    assert training_curves.run(few[:1], {}, {})[0].sizes["epoch"] == read_dump(few[0]).data.sizes["epoch"]
    for strict in (False, True):
        other = write_dumps(tmp_path, [("control", 0.0, 0), ("control", 0.0, 1)])
        assert len(list(DumpReader(other, {}, same_epochs=strict))) == 2


def test_other_quantities_of_the_history_are_still_refused(tmp_path, few):
    dump = embedding_dump(("ce", 0.2, 7))
    names = dump["quantity"].values.copy()
    names[0] = "loss"
    write_dataset(dump.assign_coords(quantity=("quantity", names)), tmp_path / "a.nc", "activations")
    with pytest.raises(TopoRepError, match=r"a\.nc: quantity is not the same as in"):
        accuracy.run([*few, tmp_path / "a.nc"], {}, {})


# Accuracy


def test_accuracy_of_both_readouts(few):
    metric, summary = accuracy.run(few, {}, {})
    for index, path in enumerate(few):
        data = read_dump(path).data
        expected = accuracy_score(data["label"], data["logits"].values.argmax(axis=1))
        assert metric["accuracy"].values[index] == pytest.approx(expected, abs=1e-12)
        if "logits_standardized" in data:
            second = accuracy_score(data["label"], data["logits_standardized"].values.argmax(axis=1))
            assert metric["accuracy_standardized"].values[index] == pytest.approx(second, abs=1e-12)
    assert np.isnan(metric["accuracy_standardized"].values[:6]).all()
    assert summary["accuracy_standardized_n"].values.tolist() == [0, 0, 3, 3]
    assert np.isnan(summary["accuracy_standardized_mean"].values[:2]).all()


# Weights and training


def test_weights_of_every_run(few):
    metric, _ = weight_norms.run(few, {}, {})
    first, second = moore_pairs(GRID).T
    for index, path in enumerate(few):
        weight = read_dump(path).data["sheet_weight"].values.astype(np.float64)
        length = np.sqrt((weight**2).sum(axis=1))
        of_run = metric.isel(run=index)
        assert of_run["norm"].item() == pytest.approx(length.mean())
        assert of_run["norm_sd"].item() == pytest.approx(length.std())
        distance = np.sqrt(((weight[first] - weight[second]) ** 2).sum(axis=1))
        assert of_run["topographic_loss"].item() == pytest.approx(distance.mean())
        cosine = (weight[first] * weight[second]).sum(axis=1) / length[first] / length[second]
        assert of_run["cosine_topographic_loss"].item() == pytest.approx(1 - cosine.mean())


def test_end_of_training(few):
    metric, _ = training_outcome.run(few, {}, {})
    for index, path in enumerate(few):
        data = read_dump(path).data
        last = {name: data["history"].sel(quantity=name).values[-1] for name in data["quantity"].values}
        of_run = metric.isel(run=index)
        for name in ("task_loss", "topographic_loss", "validation_task_loss"):
            assert of_run[name].item() == last[name]
        assert of_run["topographic_strength"].item() == last["strength"]
        assert of_run["epochs"].item() == data["epoch"].values[-1]
        # These stop four epochs after the best.
        assert of_run["best_epoch"].item() == of_run["epochs"].item() - 4
    assert (metric["topographic_strength"].values == 0).tolist() == (metric["strength"].values == 0).tolist()


@pytest.mark.parametrize(
    ("since_best", "best"),
    [([np.nan, 0, 1, 0, 1], 3), ([0, 1, 2, 3, 4], 0), ([np.nan, 1, 2, 3, 4], 0), ([np.nan, 0, 0, 0, 0], 4)],
)
def test_best_epoch(tmp_path, since_best, best):
    dump = embedding_dump(("margin", 0.2, 0)).isel(epoch=slice(5)).copy(deep=True)
    dump["history"].loc[{"quantity": "epochs_since_best"}] = since_best
    (path,) = rewrite(tmp_path, {0: dump})
    metric, _ = training_outcome.run([path], {}, {})
    assert (metric["best_epoch"].item(), metric["epochs"].item()) == (best, 4)


def test_histories_that_tell_no_end_are_refused(tmp_path):
    dump = embedding_dump(("margin", 0.2, 0))
    untrained, other = dump.isel(epoch=slice(1)), dump.drop_isel(quantity=-1)
    for history, message in ((untrained, "at least one epoch of training"), (other, "lacks epochs_since_best")):
        with pytest.raises(TopoRepError, match=message):
            training_outcome.run(rewrite(tmp_path, {0: history}), {}, {})


# Maps


def test_concentration_of_every_run(few):
    metric, _ = concentration.run(few, {"share": 0.25}, {})
    border = np.pad(np.zeros((14, 14), dtype=bool), 1, constant_values=True).ravel()
    for index, path in enumerate(few):
        size = np.abs(read_dump(path).activations.astype(np.float64))
        of_run = metric.isel(run=index)
        top = np.sort(size, axis=1)[:, -64:].sum(axis=1) / size.sum(axis=1)
        assert of_run["top_share"].item() == pytest.approx(top.mean(), rel=1e-6)
        assert of_run["kurtosis"].item() == pytest.approx(stats.kurtosis(size, axis=1).mean(), rel=1e-6)
        expected = size[:, border].mean() / size[:, ~border].mean()
        assert of_run["edge_center_ratio"].item() == pytest.approx(expected, rel=1e-6)


def test_maps_that_have_no_kurtosis_are_left_out(tmp_path):
    dump = embedding_dump(("ce", 0.2, 0)).copy(deep=True)
    whole, _ = concentration.run(rewrite(tmp_path, {0: dump.isel(stimulus=slice(3, None))}), {}, {})
    dump["sheet_pre"].values[:2] = 0
    dump["sheet_pre"].values[2] = -0.3
    found, _ = concentration.run(rewrite(tmp_path, {0: dump}), {}, {})
    assert found["kurtosis"].item() == pytest.approx(whole["kurtosis"].item(), rel=1e-12)
    count = dump.sizes["stimulus"]
    expected = ((count - 3) * whole["top_share"].item() + 0.05) / (count - 2)
    assert found["top_share"].item() == pytest.approx(expected, rel=1e-9)


def test_the_world_is_as_its_description(dumps):
    """What the tests of figures and claims may rely on."""
    tables = {name: ANALYSES[name].run(dumps, SMALL[name], {})[1] for name in ("morans_i", "weight_norms", "accuracy")}
    concentrated = concentration.run(dumps, {}, {})[1]

    def curve(name: str, variable: str, condition: str) -> np.ndarray:
        summary = concentrated if name == "concentration" else tables[name]
        return summary[f"{variable}_mean"].values[summary["condition"].values == condition]

    for objective in OBJECTIVES:
        smooth, rough = (curve("morans_i", "morans_i", objective + suffix) for suffix in ("", "_no_dropout"))
        assert (np.diff(smooth)[:3] > 0).all() and (np.diff(smooth)[3:] < 0).all(), objective
        assert (rough[1:] < smooth[1:]).all() and abs(smooth[0]) < 0.05
        norm = curve("weight_norms", "norm", objective)
        assert (np.diff(norm) < 0).all() and norm[0] > 1.5 * norm[1]
        assert (np.diff(curve("weight_norms", "topographic_loss", objective)) < 0).all()
        sparse = curve("concentration", "top_share", f"{objective}_no_dropout")
        assert (sparse > curve("concentration", "top_share", objective)).all()
        edge = curve("concentration", "edge_center_ratio", f"{objective}_no_dropout")
        assert (edge > 1.2).all() and np.abs(curve("concentration", "edge_center_ratio", objective) - 1).max() < 0.2
    assert (curve("accuracy", "accuracy", "simclr")[1:] < curve("accuracy", "accuracy", "simclr")[0]).all()
    assert (curve("accuracy", "accuracy", "ce") > curve("accuracy", "accuracy", "simclr")).all()
    assert len(set(world())) == len(world()) == 222


# Co-localization


def test_null_is_that_of_all_runs_at_rho_0(few):
    settings = {"thresholds": [0.1, 0.5], "relabellings": 30}
    metric, summary = colocalization.run(few, settings, {})
    runs = list(zip(metric["control_condition"].values, metric["control_seed"].values, strict=True))
    assert runs == [(name, seed) for name in ("ce", "supcon") for seed in range(3)]
    assert metric["null_distance"].shape == (6, 30, 2)
    means = metric["null_distance"].values.reshape(2, 3, 30, 2).mean(axis=1)
    for bound, percent in (("low", 2.5), ("high", 97.5)):
        np.testing.assert_allclose(summary[f"null_{bound}"], np.percentile(means.reshape(60, 2), percent, axis=0))
        of_conditions = np.percentile(means, percent, axis=1)
        np.testing.assert_allclose(summary[f"condition_null_{bound}"], of_conditions)
    assert summary["null_condition"].values.tolist() == ["ce", "supcon"]
    assert metric.attrs["chance_distance"] == pytest.approx(8.35872651597, abs=1e-10)
    assert (summary["null_low"] < 8.3587).all() and (summary["null_high"] > 8.3587).all()


def test_conditions_with_the_same_seed_have_independent_nulls(tmp_path):
    """The same network under three names: the null of "control" is keyed by the seed alone, the others by name."""
    dump = embedding_dump(("ce", 0.0, 1))
    runs = {name: dump.assign_attrs(condition=name) for name in ("control", "ce", "supcon")}
    metric, _ = colocalization.run(rewrite(tmp_path, runs), {"thresholds": [0.3], "relabellings": 200}, {})
    null = metric["null_distance"].values[..., 0]
    expected = colocalization_null(dump["sheet_pre"].values, GRID, [0.3], relabellings=200, seed=1)
    np.testing.assert_array_equal(null[0], expected[:, 0])
    between = np.corrcoef(null)[np.triu_indices(3, k=1)]
    assert np.abs(between).max() < 0.25
    assert np.ptp(null.mean(axis=1)) < 0.05 and (null.std(axis=1) > 0).all()


# Geometry


def test_consistency_of_the_published_code(tmp_path):
    metric, summary = rdm_consistency.run(published_models(tmp_path), {"per_class": 100}, {})
    published = [0.95302046664, 0.898720416744, 0.895387490258, 0.887227906827, 0.952804305028]
    published += [0.910176486226, 0.895990766407, 0.949070933131, 0.899672446953, 0.955669316827]
    np.testing.assert_allclose(metric["consistency"].values, [published], atol=2e-6)
    assert summary["consistency_mean"].item() == pytest.approx(0.919774053504, abs=1e-6)
    assert summary["consistency_sd"].item() == pytest.approx(0.028871637307, abs=1e-6)
    assert metric.attrs["n_images"] == 1000 and summary["pairs"].item() == 10
    pairs = list(zip(metric["seed_a"].values.tolist(), metric["seed_b"].values.tolist(), strict=True))
    assert pairs == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)]


def test_the_order_of_dumps_does_not_matter_to_consistency(few):
    metric, _ = rdm_consistency.run(few, SMALL["rdm_consistency"], {})
    shuffled, _ = rdm_consistency.run(np.random.default_rng(0).permutation(few).tolist(), SMALL["rdm_consistency"], {})
    order = ["condition", "strength"]
    found, expected = (one.to_dataframe().reset_index().sort_values([*order, "pair"]) for one in (shuffled, metric))
    np.testing.assert_array_equal(found[[*order, "consistency"]], expected[[*order, "consistency"]])
    dump = read_dump(few[0])
    chosen = consistency.first_of_each_class(dump.label, 8)
    assert np.diff(dump.label[chosen]).min() == 0 and metric.attrs["n_images"] == 80
    own = np.stack([read_dump(path).activations[chosen] for path in few[:3]])
    np.testing.assert_allclose(
        metric["consistency"].values[0], consistency.rdm_consistency(own).correlations[np.triu_indices(3, 1)]
    )


def test_a_network_without_geometry_is_left_out_of_consistency(tmp_path):
    label = np.arange(40) % 10
    generator = np.random.default_rng(3)
    runs = {("ce", 5.0, seed): generator.normal(size=(40, 9)) for seed in range(3)}
    runs["ce", 5.0, 1][:] = np.arange(9)
    paths = rewrite(tmp_path, {run: fake_dump(run, values, label, (3, 3)) for run, values in runs.items()})
    metric, summary = rdm_consistency.run(paths, {"per_class": 4}, {})
    write_dataset(summary, tmp_path / "summary.nc", "rdm_consistency_summary")
    assert np.isnan(metric["consistency"].values[0]).tolist() == [True, False, True]
    assert summary["consistency_mean"].item() == metric["consistency"].values[0, 1] and summary["pairs"].item() == 1


def test_similarity_within_and_across_classes_of_the_published_code(tmp_path):
    metric, summary = class_similarity.run(published_models(tmp_path), {"per_class": 100}, {})
    published = {
        "within_mean": [0.933725187481, 0.934187296232, 0.932258247995, 0.935084928246, 0.932189457547],
        "within_sd": [0.0227125616954, 0.0228195484421, 0.0225941370639, 0.0228887033727, 0.0230630816014],
        "across_mean": [0.0306201217084, 0.0290864068198, 0.0266384050034, 0.0271454751274, 0.024266726994],
        "across_sd": [0.187085670613, 0.191627148463, 0.196070278711, 0.193104322727, 0.19364366617],
    }
    raw = metric.sel(centering="raw")
    for name, values in published.items():
        np.testing.assert_allclose(raw[name], values, atol=1e-7)
        expected = {"within": np.mean, "across": np.mean}[name.split("_")[0]](values)
        assert summary[name].sel(centering="raw").item() == pytest.approx(expected, abs=1e-7)
    for kind in ("within", "across"):
        means = metric[f"{kind}_mean"].sel(centering="raw").values
        assert summary[f"{kind}_sem"].sel(centering="raw").item() == pytest.approx(stats.sem(means))


def test_pooled_deviation_is_that_of_the_pairs_of_all_trials(few):
    _, summary = class_similarity.run(few, {"per_class": 8}, {})
    for point, paths in enumerate(np.reshape(few, (4, 3))):
        of_pairs: dict[tuple[str, str], list] = {}
        for path in paths:
            dump = read_dump(path)
            chosen = consistency.first_of_each_class(dump.label, 8)
            embedding, label = dump.activations[chosen].astype(np.float64), dump.label[chosen]
            upper = np.triu(np.ones((80, 80), dtype=bool), k=1)
            same = label[:, None] == label
            for name, values in (("raw", embedding), ("centered", embedding - embedding.mean(axis=0))):
                cosines = cosine_similarity(values)
                of_pairs.setdefault((name, "within"), []).append(cosines[upper & same])
                of_pairs.setdefault((name, "across"), []).append(cosines[upper & ~same])
        for (name, kind), values in of_pairs.items():
            found = summary.isel(point=point).sel(centering=name)
            assert found[f"{kind}_pooled_sd"].item() == pytest.approx(np.concatenate(values).std(), rel=1e-9)
            assert found[f"{kind}_mean"].item() == pytest.approx(np.mean(values), rel=1e-6, abs=1e-9)
            assert found[f"{kind}_sd"].item() == pytest.approx(np.mean(np.std(values, axis=1)), rel=1e-9)


def test_a_network_that_answers_all_images_alike_has_no_centered_similarity(tmp_path):
    label = np.arange(40) % 10
    generator = np.random.default_rng(4)
    runs = {("supcon", 5.0, seed): generator.normal(size=(40, 9)) for seed in range(3)}
    runs["supcon", 5.0, 2][:] = np.linspace(0.1, 0.9, 9)
    paths = rewrite(tmp_path, {run: fake_dump(run, values, label, (3, 3)) for run, values in runs.items()})
    metric, summary = class_similarity.run(paths, {"per_class": 4}, {})
    write_dataset(metric, tmp_path / "metric.nc", "class_similarity")
    write_dataset(summary, tmp_path / "summary.nc", "class_similarity_summary")
    assert metric["within_mean"].values[2, 0] == pytest.approx(1) and np.isnan(metric["within_mean"].values[2, 1])
    assert summary["within_n"].values.tolist() == summary["across_n"].values.tolist() == [[3, 2]]
    alone, _ = class_similarity.run(paths[:2], {"per_class": 4}, {})
    np.testing.assert_allclose(summary["across_mean"].values[0, 1], alone["across_mean"].values[:, 1].mean())
    assert np.isfinite(summary["across_pooled_sd"].values).all()


def test_a_class_with_too_few_images_is_refused(few):
    for module, settings in ((rdm_consistency, {}), (class_similarity, {}), (tsne, {"perplexity": 5})):
        with pytest.raises(
            TopoRepError, match=r"labels: expected at least 21 images of each class, found 20 of class 0"
        ):
            module.run(few, {**settings, "per_class": 21}, {})


# t-SNE


def test_map_is_that_of_scikit_learn(few):
    metric, summary = tsne.run(few[:2], TSNE_SETTINGS, {})
    assert metric["label"].values.tolist() == np.repeat(np.arange(10), 6).tolist()
    assert json.loads(metric.attrs["class_names"]) == list(CLASSES)
    of_test_set = read_dump(few[0]).label[metric["stimulus"].values]
    assert of_test_set.tolist() == metric["label"].values.tolist()
    assert len(set(metric["stimulus"].values.tolist())) == 60
    animate = np.isin(np.array(CLASSES)[metric["label"].values], ANIMATE)
    for index, path in enumerate(few[:2]):
        dump = read_dump(path)
        embedding = dump.activations[consistency.first_of_each_class(dump.label, 6)].astype(np.float64)
        with threadpool_limits(1):
            expected = TSNE(perplexity=10, random_state=42).fit_transform(embedding)
        np.testing.assert_array_equal(metric["coordinates"].values[index], expected)
        for space, points in (("embedding", embedding), ("map", expected)):
            for grouping, groups in (("class", metric["label"].values), ("animacy", animate)):
                found = metric["silhouette"].sel(space=space, grouping=grouping).values[index]
                assert found == pytest.approx(silhouette_score(points, groups), abs=1e-6)
    np.testing.assert_allclose(summary["silhouette_mean"].values[0], metric["silhouette"].values.mean(axis=0))


def test_seed_of_the_settings_is_that_of_scikit_learn(few, monkeypatch):
    """From principal components, scikit-learn's default start, all seeds give one map; from a random start not."""
    maps = {}
    for start in ("pca", "random"):
        monkeypatch.setattr("sklearn.manifold.TSNE", partial(TSNE, init=start))
        for seed in (42, 43):
            metric, _ = tsne.run(few[:1], {**TSNE_SETTINGS, "seed": seed}, {})
            maps[start, seed] = metric["coordinates"].values
    np.testing.assert_array_equal(maps["pca", 42], maps["pca", 43])
    assert np.abs(maps["random", 42] - maps["random", 43]).max() > 1


@pytest.mark.parametrize("perplexity", [0, 60, 100])
def test_perplexity_must_fit_the_images(few, perplexity):
    with pytest.raises(TopoRepError, match=f"perplexity: .*below that of the images, 60, found {perplexity}"):
        tsne.run(few[:1], {"per_class": 6, "perplexity": perplexity}, {})


@pytest.mark.parametrize(
    ("animate", "message"),
    [
        ([], "found none; name the animate ones"),
        (list(CLASSES), "expected some but not all of the classes airplane, .*found airplane"),
        (["bird", "sheep"], "found bird, sheep"),
    ],
)
def test_animacy_must_be_known(tmp_path, animate, message):
    dump = embedding_dump(("ce", 0.2, 0))
    config = json.loads(dump.attrs["config"])
    config["training"]["animate"] = animate
    (path,) = rewrite(tmp_path, {0: dump.assign_attrs(config=json.dumps(config))})
    with pytest.raises(TopoRepError, match=message):
        tsne.run([path], TSNE_SETTINGS, {})


# Ensembles


def test_ensembles_of_every_point(noisy):
    metric, summary = ensembles.run(noisy, {}, {})
    assert metric["vote"].values.tolist() == ["probability", "logit"]
    assert metric["network_seed"].values.tolist() == [0, 1, 2, 3]
    files = [read_dataset(path, "noise_logits") for path in noisy]
    for point in range(2):
        own = files[4 * point : 4 * point + 4]
        label = own[0]["label"].values
        clean = np.stack([one["clean_logits"].values for one in own])
        alone = [accuracy_score(label, answers) for answers in clean.argmax(axis=-1)]
        np.testing.assert_allclose(metric["clean_individual"].values[point], alone)
        np.testing.assert_allclose(summary["clean_accuracy_sd"].values[point], np.std(alone, ddof=1))
        for place, vote in enumerate(metric["vote"].values):
            together = accuracy_score(label, ensemble_predictions(clean, vote))
            assert metric["clean_ensemble"].values[point, place] == pytest.approx(together)
            assert summary["clean_gain"].values[point, place] == pytest.approx(together - np.mean(alone))
        for kind in range(3):
            for level in range(5):
                logits = np.stack([one["logits"].values[kind, level] for one in own])
                for place, vote in enumerate(metric["vote"].values):
                    found, where = ensemble_accuracy(logits, label, vote), (point, kind, level, place)
                    assert metric["ensemble"].values[where] == found.ensemble
                    assert summary["gain"].values[where] == found.gain
                    np.testing.assert_array_equal(metric["individual"].values[where[:3]], found.individual)
                    assert summary["accuracy_sd"].values[where[:3]] == found.individual_sd
                    without = ensemble_accuracy(logits[1:], label, vote).ensemble
                    assert metric["leave_one_out"].values[(*where, 0)] == pytest.approx(without)
        pairs = [np.mean(clean[a].argmax(1) != clean[b].argmax(1)) for a in range(4) for b in range(a)]
        assert metric["disagreement"].values[point] == pytest.approx(np.mean(pairs))
    assert json.loads(metric.attrs["settings"]) == {"amplitude_exponent": 1, "clip": True, "replace": True, "seed": 0}
    assert (summary["clean_gain"].values >= 0).all() and (summary["gain"].values[:, :, 1] > 0.05).all()


def test_the_order_of_files_does_not_matter_to_ensembles(noisy):
    metric, summary = ensembles.run(noisy, {}, {})
    mixed = ensembles.run(noisy[::-1], {}, {})
    for found, expected in zip(mixed, (metric, summary), strict=True):
        xr.testing.assert_allclose(found.isel(point=[1, 0]), expected, rtol=1e-12)


def test_two_networks_are_an_ensemble(noisy):
    metric, summary = ensembles.run([noisy[0], noisy[3]], {}, {})
    assert metric["network_seed"].values.tolist() == [0, 3] and summary["n"].values.tolist() == [2]
    # Without one of two, the other is left.
    expected = metric["clean_individual"].values[0, ::-1]
    np.testing.assert_array_equal(metric["clean_leave_one_out"].values[0], [expected, expected])


def test_noise_of_other_levels_is_refused(tmp_path, noisy):
    other = noise_logits(("ce", 0.2, 9), per_class=8)
    other = other.assign_coords(level=("level", other["level"].values * 2))
    shutil.copy(noisy[0], tmp_path / "first.nc")
    write_dataset(other, tmp_path / "other.nc", "noise_logits")
    with pytest.raises(TopoRepError, match=r"other\.nc: level is not the same as in .*first\.nc"):
        ensembles.run([tmp_path / "first.nc", tmp_path / "other.nc"], {}, {})


def test_centered_maps_have_no_part_in_what_all_maps_share(few, tmp_path):
    """A map added to all answers, such as the units' biases, changes Moran's I, but not that of centered maps."""
    shared = np.linspace(-30, 30, 256, dtype=np.float32)
    moved = []
    for number, path in enumerate(few[:2]):
        data = read_dataset(path, "activations")
        data["sheet_pre"] = data["sheet_pre"] + shared
        moved.append(str(tmp_path / f"{number}.nc"))
        write_dataset(data, moved[-1], "activations")
    for centered, changes in ((False, True), (True, False)):
        settings = {"neighborhood": "rook", "centered": centered}
        before, after = (morans_i.run(paths, settings, {})[0]["morans_i"].values for paths in (few[:2], moved))
        assert (np.abs(after - before).max() > 0.01) == changes
