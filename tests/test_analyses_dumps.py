from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
from activation_dumps import TRAINING, dumps_held, make_dump, random_activations, write_dumps

from toporep.analyses import weight_norms
from toporep.analyses.dumps import DumpReader, RunKey, complete_settings, group_points, point_coords, read_dump
from toporep.errors import TopoRepError
from toporep.io import write_dataset


def read_all(paths, **provenance):
    reader = DumpReader(paths, provenance)
    for _ in reader:
        pass
    return reader


def write(folder, name, dump):
    write_dataset(dump, folder / name, "activations")
    return str(folder / name)


def test_dump_comes_back_as_written(tmp_path):
    activations = random_activations(1, 12)
    dump = read_dump(write(tmp_path, "a.nc", make_dump("ws", 0.3, 7, activations=activations)))
    assert dump.run == ("ws", 0.3, 7) and dump.grid == (3, 4)
    assert dump.training == TRAINING
    np.testing.assert_array_equal(dump.select("pre"), activations)
    np.testing.assert_array_equal(dump.select("post"), np.where(activations > 0, activations, 0))
    with pytest.raises(TopoRepError, match="activation: expected one of pre, post, found 'both'"):
        dump.select("both")


def test_points_come_in_order_of_first_appearance():
    runs = [RunKey(*run) for run in [("ws", 3.0, 0), ("control", 0.0, 1), ("ws", 0.1, 0), ("ws", 3.0, 1)]]
    points = group_points(runs)
    assert list(points) == [("ws", 3.0), ("control", 0.0), ("ws", 0.1)]
    assert points["ws", 3.0].tolist() == [0, 3]
    assert point_coords(points)["n"][1].tolist() == [2, 1, 1]


def test_attributes_tell_what_the_runs_share(tmp_path):
    paths = [
        write(tmp_path, "a.nc", make_dump("ws", 0.1, 1)),
        write(tmp_path, "b.nc", make_dump("ws", 0.3, 0, training={**TRAINING, "batch_size": 32})),
        write(tmp_path, "c.nc", make_dump("control", 0.0, 0)),
    ]
    attrs = read_all(paths, code_hash="abc").attributes({"activation": "pre"})
    assert json.loads(attrs["training"]) == {
        "epochs": 3,
        "train_images": 640,
        "n_stimuli": 60,
        "seeds": {"control": [0], "ws": [0, 1]},
    }
    assert attrs["settings"] == '{"activation":"pre"}'
    assert (attrs["dataset"], attrs["source"], attrs["scale"], attrs["code_hash"]) == ("mnist", "digits", "demo", "abc")


def test_digest_follows_the_activations(tmp_path):
    digests = []
    for name, activations in (("a", random_activations(1, 12)), ("b", random_activations(1, 12)), ("c", None)):
        path = write(tmp_path, f"{name}.nc", make_dump("ws", 0.1, 1, activations=activations))
        digests.append(read_all([path]).attributes({})["dumps_sha256"])
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"dataset": "cifar10"}, r"b\.nc: dataset is 'cifar10', expected 'mnist' as in .*a\.nc"),
        ({"source": "mnist"}, r"b\.nc: source is 'mnist', expected 'digits'"),
        ({"paper": "sander2026"}, r"b\.nc: paper is 'sander2026'"),
        ({"scale": "paper"}, r"b\.nc: scale is 'paper', expected 'demo'"),
        ({"data_sha256": "f" * 64}, r"b\.nc: data_sha256 is"),
        ({"grid": (4, 3)}, r"b\.nc: grid is \(4, 3\), expected \(3, 4\)"),
        ({"activations": random_activations(0, 12, stimuli=50)}, r"b\.nc: number of stimuli is 50, expected 60"),
        ({"seed": 0}, r"b\.nc: condition 'ws', strength 0\.1, seed 0 is already in .*a\.nc"),
        ({"config": "epochs: 3"}, r"b\.nc: attribute 'config' is not JSON"),
    ],
)
def test_refuses_dumps_that_do_not_belong_together(tmp_path, other, message):
    seed = other.pop("seed", 1)
    paths = [write(tmp_path, "a.nc", make_dump("ws", 0.1, 0))]
    paths.append(write(tmp_path, "b.nc", make_dump("ws", 0.1, seed, **other)))
    with pytest.raises(TopoRepError, match=message):
        read_all(paths)


def test_refuses_another_order_of_stimuli(tmp_path):
    other = make_dump("ws", 0.1, 1)
    other["label"] = other["label"][::-1]
    paths = [write(tmp_path, "a.nc", make_dump("ws", 0.1, 0)), write(tmp_path, "b.nc", other)]
    with pytest.raises(TopoRepError, match=r"b\.nc: the stimuli are in another order .*label of stimulus 0 is 9"):
        read_all(paths)


@pytest.mark.parametrize("break_sheet", [lambda row, col: (col, row), lambda row, col: (row[::-1], col)])
def test_refuses_units_that_are_not_row_major(tmp_path, break_sheet):
    dump = make_dump("ws", 0.1, 0)
    row, col = break_sheet(dump["row"].values, dump["col"].values)
    dump = dump.assign_coords(row=("unit", row), col=("unit", col))
    with pytest.raises(TopoRepError, match=r"a\.nc: .*row by row on a full sheet"):
        read_dump(write(tmp_path, "a.nc", dump))


def test_refuses_a_missing_file_no_file_and_another_scale(tmp_path):
    with pytest.raises(TopoRepError, match="absent.nc: no such file"):
        read_all([tmp_path / "absent.nc"])
    with pytest.raises(TopoRepError, match="at least one activation dump"):
        DumpReader([], {})
    path = write(tmp_path, "a.nc", make_dump("ws", 0.1, 0))
    with pytest.raises(TopoRepError, match=r"a\.nc: expected a dump of scale 'paper', found 'demo'"):
        read_all([path], scale="paper")


def test_settings_are_completed_and_misspelt_ones_refused():
    assert complete_settings({"a": 2}, {"a": 1, "b": 3}) == {"a": 2, "b": 3}
    with pytest.raises(TopoRepError, match="unknown 'threshold'; known: thresholds"):
        complete_settings({"threshold": 1}, {"thresholds": []})


def test_an_analysis_keeps_one_dump_in_memory_only(tmp_path, monkeypatch):
    held = dumps_held(monkeypatch)
    metric, _ = weight_norms.run(write_dumps(tmp_path, [("ws", 0.1, seed) for seed in range(4)]), {}, {})
    assert metric.sizes["run"] == 4 and held == [1, 1, 1, 1]


def test_memory_does_not_grow_with_the_number_of_dumps(tmp_path):
    paths = write_dumps(tmp_path, [("ws", 0.1, seed) for seed in range(12)], grid=(11, 11), activations=None)
    peaks = []
    for count in (3, 12):
        read_all(paths[:1])
        tracemalloc.start()
        read_all(paths[:count])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    one_dump = 60 * 121 * 4
    assert peaks[1] - peaks[0] < 2 * one_dump
