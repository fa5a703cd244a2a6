from __future__ import annotations

import numpy as np
import pytest
from activation_dumps import make_dump, random_activations, write_dumps
from scipy import stats

from toporep.analyses import morans_i
from toporep.analyses.dumps import read_dump
from toporep.io import write_dataset
from toporep.metrics import morans_i as kernel

RUNS = [("control", 0.0, 0), ("control", 0.0, 1), ("control", 0.0, 2), ("as", 3.0, 0)]


@pytest.mark.parametrize("activation", ["pre", "post"])
@pytest.mark.parametrize("neighborhood", ["queen", "rook"])
def test_run_value_is_the_mean_over_stimuli(tmp_path, activation, neighborhood):
    paths = write_dumps(tmp_path, RUNS)
    metric, summary = morans_i.run(paths, {"activation": activation, "neighborhood": neighborhood}, {})
    for value, path in zip(metric.morans_i.values, paths, strict=True):
        maps = read_dump(path).select(activation).reshape(-1, 3, 4)
        assert value == pytest.approx(np.mean([kernel(image, neighborhood) for image in maps]), rel=1e-12)
    assert summary.morans_i_mean[0] == pytest.approx(metric.morans_i.values[:3].mean())
    assert summary.morans_i_sem[0] == pytest.approx(stats.sem(metric.morans_i.values[:3]))
    assert summary.n.values.tolist() == [3, 1] and np.isnan(summary.morans_i_sem[1])
    assert metric.attrs["chance_morans_i"] == summary.attrs["chance_morans_i"] == -1 / 11


def test_constant_maps_are_left_out_and_counted(tmp_path):
    activations = random_activations(1, 12)
    activations[[2, 5, 9]] = np.array([[-0.1], [0.0], [0.7]], dtype=np.float32)
    write_dataset(make_dump("control", 0.0, 0, activations=activations), tmp_path / "a.nc", "activations")
    metric, _ = morans_i.run([tmp_path / "a.nc"], {}, {})
    assert metric.constant_maps.values.tolist() == [3]
    kept = np.delete(activations, [2, 5, 9], axis=0).reshape(-1, 3, 4)
    assert metric.morans_i.item() == pytest.approx(kernel(kept).mean(), rel=1e-12)


def test_random_sheet_lies_at_chance_and_a_wave_far_above(tmp_path):
    noise = np.random.default_rng(0).normal(size=(4000, 121)).astype(np.float32)
    row, col = np.divmod(np.arange(121), 11)
    wave = np.sin(0.5 * row + 0.3 * col + np.arange(60)[:, None]).astype(np.float32)
    values = []
    for name, activations in (("noise", noise), ("wave", wave)):
        path = tmp_path / f"{name}.nc"
        write_dataset(make_dump("control", 0.0, 0, grid=(11, 11), activations=activations), path, "activations")
        metric, _ = morans_i.run([path], {}, {})
        values.append(metric.morans_i.item())
    # The SD of I of 121 independent normal values is 0.048.
    assert values[0] == pytest.approx(-1 / 120, abs=4 * 0.048 / np.sqrt(4000))
    assert values[1] > 0.7
