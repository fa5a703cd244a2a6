from __future__ import annotations

import json

import numpy as np
import pytest
from activation_dumps import dumps_held
from category_responses import CONDITIONS, GRID, make_responses, smooth_map, write_responses, write_runs

from toporep.analyses.dumps import RunKey
from toporep.analyses.responses import (
    ResponseDumps,
    boundary_of,
    chance_probability,
    largest_patches,
    pooled_moments,
    pooled_sample,
    quantities_of,
)
from toporep.errors import TopoRepError
from toporep.metrics.selectivity_maps import selective_patches


def read_all(paths, sets=None, **provenance):
    dumps = ResponseDumps(paths, provenance, sets)
    return dumps, list(dumps)


def refused(paths, message, sets=None, **provenance):
    with pytest.raises(TopoRepError, match=message):
        read_all(paths, sets, **provenance)


RUNS = [("tvae", 0), ("tvae", 1), ("tdann", 0), ("vae", 0)]
SETS = ("faces", "objects", "hands")


def test_files_in_any_order_come_together_by_run_and_set(tmp_path):
    paths = write_runs(tmp_path, RUNS, SETS)
    shuffled = [paths[index] for index in np.random.default_rng(0).permutation(len(paths))]
    dumps, found = read_all(shuffled, SETS)
    assert sorted(dumps.runs) == sorted(RunKey(condition, 0.0, seed) for condition, seed in RUNS)
    for answers, run in zip(found, dumps.runs, strict=True):
        assert list(answers) == list(SETS)
        for name, dump in answers.items():
            assert dump.run == run and dump.attrs["set"] == name
            expected = make_responses(run.condition, name, run.seed)
            np.testing.assert_array_equal(dump.data["mean"].values, expected["mean"].values)
    assert dumps.grid == GRID and dumps.coords["col"].values.tolist()[:9] == [*range(8), 0]


def test_only_the_sets_asked_for_are_read(tmp_path):
    paths = write_runs(tmp_path, RUNS[:2], SETS)
    # Unreadable but for its attributes: nobody may look into it.
    broken = make_responses("tvae", "hands", 0).drop_vars("thumbnail")
    broken.assign_attrs(schema="responses", schema_version=1).to_netcdf(paths[2])
    dumps, found = read_all(paths, ["objects", "faces"])
    assert dumps.sets == ("objects", "faces") and [list(answers) for answers in found] == [["objects", "faces"]] * 2
    refused(paths, "thumbnail.*missing")


def test_pooled_moments_and_samples_are_those_of_all_images_together(tmp_path):
    sizes = {"faces": 40, "objects": 25, "hands": 7}
    made = {name: make_responses("tvae", name, images=size, sampled=None) for name, size in sizes.items()}
    _, (answers,) = read_all(write_responses(tmp_path, made.values()))
    images = np.concatenate([made[name]["sample"].values for name in ("hands", "objects")])
    np.testing.assert_array_equal(pooled_sample(answers, ["hands", "objects"]), images)
    moments = pooled_moments(answers, ["hands", "objects"])
    assert moments.count == 32
    np.testing.assert_allclose(moments.mean, images.mean(axis=0, dtype=np.float64), atol=1e-12)
    np.testing.assert_allclose(moments.variance, images.var(axis=0, ddof=1, dtype=np.float64))
    # The numerator of the made-up files is the activation and 3 more.
    shifted = pooled_moments(answers, ["hands", "objects"], "numerator")
    np.testing.assert_allclose(shifted.mean - moments.mean, 3.0, atol=1e-6)
    with pytest.raises(TopoRepError, match="quantity: expected one of activation, .*, found 'fc7'"):
        pooled_moments(answers, ["hands"], "fc7")
    with pytest.raises(TopoRepError, match="sets: expected some of faces, objects, hands, found 'places'"):
        pooled_sample(answers, ["places"])
    with pytest.raises(TopoRepError, match="sets: expected a list"):
        pooled_moments(answers, "faces")


def test_sheets_of_autoencoders_close_to_a_torus_and_others_do_not(tmp_path):
    _, found = read_all(write_runs(tmp_path, [(name, 0) for name in CONDITIONS], ["faces"]))
    of = {answers["faces"].run.condition: answers["faces"] for answers in found}
    torus = {name for name, dump in of.items() if boundary_of(dump) == "torus"}
    assert torus == {"tvae", "tvae_larger_window", "tvae_untrained", "vae"}
    assert quantities_of(of["tvae"]) == ("activation", "mean_activation", "numerator", "inverse_root")
    assert quantities_of(of["vae"]) == ("activation", "mean_activation")
    assert quantities_of(of["tdann"]) == ("activation", "rectified", "fc7")


def test_attributes_say_what_a_figure_needs(tmp_path):
    dumps, _ = read_all(write_runs(tmp_path, RUNS, SETS, images=40), code_hash="abc")
    attrs = dumps.attributes({"threshold": 0.85})
    training = json.loads(attrs["training"])
    assert training["seeds"] == {"tvae": [0, 1], "tdann": [0], "vae": [0]}
    assert training["images"] == dict.fromkeys(SETS, 40) and training["n_stimuli"] == 120
    assert training["titles"]["faces"] == "rendered faces"
    assert (training["grid"], training["network"], training["epochs"]) == ([6, 8], "gabor", 3)
    windows = {name: condition["window"] for name, condition in training["conditions"].items()}
    assert windows == {"tvae": 5, "tdann": None, "vae": None}
    assert training["conditions"]["tdann"]["boundary"] == "open"
    assert attrs["code_hash"] == "abc" and attrs["settings"] == '{"threshold":0.85}'
    other, _ = read_all(write_runs(tmp_path, RUNS, SETS, images=41))
    digests = [json.loads(dumps.attributes({})["dumps_sha256"]) for dumps in (dumps, other)]
    assert set(digests[0]) == set(SETS) and all(digests[0][name] != digests[1][name] for name in SETS)


def test_measuring_keeps_one_run_in_memory_only(tmp_path, monkeypatch):
    held = dumps_held(monkeypatch)
    dumps = ResponseDumps(write_runs(tmp_path, RUNS, ["faces", "objects"]), {})
    assert dumps.measure(lambda answers: {"images": answers["faces"].attrs["n_images"]}) == {"images": [40] * 4}
    # Of the two sets of a run, and never of two runs.
    assert len(held) == 8 and max(held) == 2


def test_a_run_that_lacks_a_set_is_refused(tmp_path):
    paths = write_runs(tmp_path, RUNS, SETS)
    message = r"'tvae', seed 1: expected responses to the sets faces, objects, hands, found none to objects"
    refused([*paths[:4], *paths[5:]], message)
    refused(paths, "found none to places", ["faces", "places"])
    refused([], "at least one set")


def test_a_run_and_set_given_twice_is_refused(tmp_path):
    paths = write_runs(tmp_path, RUNS, SETS)
    refused([*paths, paths[4]], "condition 'tvae', seed 1, set 'objects' is already in .*responses4.nc")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"set_sha256": "f" * 64}, "set_sha256 of set 'faces' is not the same"),
        ({"network": "alexnet"}, "network of set 'faces' is not the same"),
        ({"images": 41}, "n_images of set 'faces'"),
        ({"sampled": 29}, "sample_index of set 'faces'"),
        ({"grid": (8, 6)}, "grid is"),
        ({"data_sha256": "e" * 64}, "data_sha256 is"),
        ({"scale": "paper"}, "scale is"),
    ],
)
def test_runs_that_saw_something_else_are_refused(tmp_path, change, message):
    runs = [
        make_responses("tvae", "faces", 0),
        make_responses("tdann", "faces", 0, **change),
    ]
    refused(write_responses(tmp_path, runs), message)


def test_sets_shown_to_another_network_are_refused(tmp_path):
    files = [make_responses("tvae", "faces"), make_responses("tvae", "objects", config_sha256="f" * 64)]
    refused(write_responses(tmp_path, files), "config_sha256 is 'fff.*shown to the same network")


def test_a_condition_whose_seeds_differ_in_a_setting_is_refused(tmp_path):
    other = {"condition": {**CONDITIONS["tvae"], "name": "tvae", "window": 7}}
    files = [make_responses("tvae", "faces", 0), make_responses("tvae", "faces", 1, settings=other)]
    refused(write_responses(tmp_path, files), "window of condition 'tvae' is not as in the runs before")


def test_files_that_are_no_responses_are_named(tmp_path):
    path = tmp_path / "text.nc"
    path.write_text("no netCDF")
    refused([path], "text.nc: cannot be read as netCDF")
    refused([tmp_path / "absent.nc"], "absent.nc: no such file")
    refused(
        write_responses(tmp_path, [make_responses(scale="demo")]), "expected a dump of scale 'paper'", scale="paper"
    )
    refused(write_responses(tmp_path, [make_responses(config="{}")]), "names no condition with a model")


@pytest.mark.parametrize("boundary", ["torus", "open"])
def test_largest_patches_of_many_maps_are_those_of_one_after_the_other(boundary):
    maps = np.stack([smooth_map(seed) for seed in range(30)])
    maps[3], maps[4], maps[5, ::5] = 0.0, 1.0, np.nan
    found = largest_patches(maps, GRID, threshold=0.85, boundary=boundary)
    patches = [selective_patches(values, GRID, threshold=0.85, boundary=boundary) for values in maps]
    assert found.tolist() == [max((patch.size for patch in of_map), default=0) for of_map in patches]
    assert found[3] == 0 and found[4] == 48


def test_what_was_found_counts_among_the_draws():
    assert chance_probability(np.array([1, 2, 3]), 2) == 0.75
    assert chance_probability(np.arange(199), 1000) == 1 / 200
