from __future__ import annotations

import json

import numpy as np
import pytest
from activation_dumps import make_dump, random_activations, write_dumps
from scipy import stats

from toporep.analyses import colocalization
from toporep.analyses.dumps import read_dump
from toporep.errors import TopoRepError
from toporep.io import read_dataset, write_dataset
from toporep.metrics import chance_distance, colocalization_distance, colocalization_null

RUNS = [("ws", 0.3, 0), ("ws", 0.3, 1), ("control", 0.0, 0), ("control", 0.0, 2), ("ws", 0.1, 0)]
SETTINGS = {"thresholds": [0.2, 0.6], "relabellings": 40}


def test_metric_holds_the_kernels_values_of_every_run(tmp_path):
    paths = write_dumps(tmp_path, RUNS)
    metric, _ = colocalization.run(paths, SETTINGS, {"scale": "demo"})
    assert list(zip(metric.condition.values, metric.strength.values, metric.seed.values, strict=True)) == RUNS
    for index, path in enumerate(paths):
        expected = colocalization_distance(read_dump(path).activations, (3, 4), [0.2, 0.6])
        np.testing.assert_array_equal(metric.distance[index], expected.distance)
        np.testing.assert_array_equal(metric.pairs[index], expected.pairs)
    assert metric.control_seed.values.tolist() == [0, 2]
    null = colocalization_null(read_dump(paths[3]).activations, (3, 4), [0.2, 0.6], relabellings=40, seed=2)
    np.testing.assert_array_equal(metric.null_distance[1], null)
    assert metric.attrs["chance_distance"] == chance_distance((3, 4))
    assert json.loads(metric.attrs["settings"])["average"] == "pairs"


def test_summary_is_mean_and_standard_error_over_seeds(tmp_path):
    metric, summary = colocalization.run(write_dumps(tmp_path, RUNS), SETTINGS, {})
    assert summary.condition.values.tolist() == ["ws", "control", "ws"]
    assert summary.strength.values.tolist() == [0.3, 0.0, 0.1] and summary.n.values.tolist() == [2, 2, 1]
    np.testing.assert_allclose(summary.distance_mean[0], metric.distance[:2].mean("run"))
    np.testing.assert_allclose(summary.distance_sem[0], stats.sem(metric.distance.values[:2]))
    assert np.isnan(summary.distance_sem[2]).all()
    np.testing.assert_array_equal(summary.pairs_mean[1], metric.pairs.values[2:4].mean(axis=0))
    of_mean = np.percentile(metric.null_distance.values.mean(axis=0), [2.5, 97.5], axis=0)
    np.testing.assert_allclose([summary.null_low, summary.null_high], of_mean)


def test_runs_without_a_pair_are_left_out_and_counted(tmp_path):
    independent = np.eye(24, 12, dtype=np.float32)
    activations = {0: independent, 1: random_activations(3, 12, stimuli=24)}
    paths = []
    for seed, values in activations.items():
        paths.append(tmp_path / f"{seed}.nc")
        write_dataset(make_dump("ws", 0.1, seed, activations=values), paths[-1], "activations")
    metric, summary = colocalization.run(paths, SETTINGS, {})
    assert np.isnan(metric.distance[0]).all()
    assert summary.distance_n.values.tolist() == [[1, 1]] and summary.n.values.tolist() == [2]
    np.testing.assert_array_equal(summary.distance_mean[0], metric.distance[1])


def test_without_control_runs_there_is_no_null_band(tmp_path):
    metric, summary = colocalization.run(write_dumps(tmp_path, RUNS[:2]), SETTINGS, {})
    write_dataset(metric, tmp_path / "metric.nc", "colocalization")
    write_dataset(summary, tmp_path / "summary.nc", "colocalization_summary")
    assert read_dataset(tmp_path / "metric.nc", "colocalization").sizes["control_run"] == 0
    assert np.isnan(read_dataset(tmp_path / "summary.nc", "colocalization_summary").null_low).all()


def test_settings_reach_the_kernel(tmp_path):
    paths = write_dumps(tmp_path, RUNS[2:3])
    options = {"include_self": True, "average": "units", "inclusive": True}
    metric, _ = colocalization.run(paths, {**SETTINGS, **options, "activation": "post"}, {})
    post = np.maximum(read_dump(paths[0]).activations, 0)
    expected = colocalization_distance(post, (3, 4), [0.2, 0.6], **options)
    np.testing.assert_array_equal(metric.distance[0], expected.distance)
    null = colocalization_null(post, (3, 4), [0.2, 0.6], relabellings=40, seed=0, **options)
    np.testing.assert_array_equal(metric.null_distance[0], null)
    with pytest.raises(TopoRepError, match="unknown 'treshold'"):
        colocalization.run(paths, {"treshold": 1}, {})


def test_a_run_with_a_wrong_number_is_named(tmp_path):
    # The schema refuses it before the kernel sees it.
    path = tmp_path / "a.nc"
    dump = make_dump("control", 0.0, 0)
    write_dataset(dump, path, "activations")
    dump["sheet_pre"][3, 4] = np.nan
    with pytest.raises(TopoRepError, match=r"a\.nc: variable 'sheet_pre' holds 1 values that are NaN"):
        write_dataset(dump, path, "activations")
