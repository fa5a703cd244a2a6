from __future__ import annotations

import json

import numpy as np
import pytest
from category_responses import GRID, make_responses, random_activations, smooth_map, write_responses, write_runs
from scipy import ndimage, stats

from toporep.analyses import class_selectivity, hierarchy, selectivity, single_images
from toporep.analyses.hierarchy import chance_distance, shifted_correlations
from toporep.analyses.single_images import active_share, correlation_between_sets
from toporep.errors import TopoRepError
from toporep.io import write_dataset
from toporep.metrics.selectivity_maps import selective_patches
from toporep.metrics.selectivity_nulls import split_half_reliability

FEW = {"shuffles": 20, "splits": 10}
UNITS = GRID[0] * GRID[1]


def analyze(module, folder, paths, **settings):
    """Metric and summary, after a round through files of their schemas."""
    outputs = module.run(paths, settings, {"code_hash": "abc"})
    name = module.__name__.rpartition(".")[2]
    for output, suffix in zip(outputs, ("", "_summary"), strict=True):
        write_dataset(output, folder / f"{name}{suffix}.nc", f"{name}{suffix}")
    return outputs


def slow_d(target, control):
    """Cohen's d, unit by unit."""
    found = []
    for one, other in zip(target.T.astype(float), control.T.astype(float), strict=True):
        spread = np.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 2)
        found.append((one.mean() - other.mean()) / spread)
    return np.array(found)


def slow_smoothness(values, *, torus):
    """Pearson correlation of neighbors, pair by pair."""
    rows, cols = GRID
    one, other = [], []
    for row in range(rows):
        for col in range(cols):
            for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                to_row, to_col = row + down, col + right
                if torus or (0 <= to_row < rows and 0 <= to_col < cols):
                    one.append(values[row * cols + col])
                    other.append(values[to_row % rows * cols + to_col % cols])
    return np.corrcoef(one, other)[0, 1]


def open_patches(values, threshold=0.85):
    """Sizes of clusters on an open sheet, by SciPy, the largest first."""
    cluster, _ = ndimage.label(values.reshape(GRID) >= threshold)
    return sorted(np.bincount(cluster.ravel())[1:].tolist(), reverse=True)


def images_of(condition, name, seed=0, images=40):
    return random_activations(condition, seed, name, images=images)


# 24 images of 4 classes on 4 x 4 units, and what the published functions make of them: d of faces against objects, and
# the joint maps for two thresholds (0 none, 1 several, 2 + c class c).
IMAGE, UNIT = np.arange(24)[:, None], np.arange(16)
PUBLISHED = np.sin(1.3 * IMAGE + 0.37 * UNIT) + 0.7 * np.cos(0.9 * UNIT + 1.7 * (IMAGE // 6))
PUBLISHED = dict(zip(("objects", "faces", "bodies", "places"), PUBLISHED.reshape(4, 6, 16), strict=True))
PUBLISHED_D = [
    *(-0.8167113461, -1.2447174841, -0.66257672336, 0.41283321279, 1.095540587, 0.80109756306, -0.29729063971),
    *(-1.3841010543, -1.622877846, -0.79949566824, 0.51888358684, 1.4127702002, 1.2871882971, 0.30453077916),
    *(-0.73853174497, -1.0159469394),
]
PUBLISHED_JOINT = {
    0.85: [2, 0, 0, 4, 0, 3, 2, 2, 5, 5, 4, 4, 3, 3, 0, 0],
    0.3: [2, 1, 1, 4, 1, 3, 1, 1, 1, 1, 1, 1, 3, 1, 2, 1],
}


def published_files(folder):
    files = [make_responses("tvae", name, activations=values, grid=(4, 4)) for name, values in PUBLISHED.items()]
    return write_responses(folder, files)


# Selectivity


def test_maps_and_their_numbers_are_those_of_plain_loops(tmp_path):
    runs = [("tvae", 0), ("tdann", 0), ("vae", 0), ("tvae", 1)]
    metric, summary = analyze(selectivity, tmp_path, write_runs(tmp_path, runs, ["objects", "faces"]), **FEW)
    quantities = metric["quantity"].values.tolist()
    assert quantities == ["activation", "mean_activation", "numerator", "inverse_root", "rectified", "fc7"]
    assert metric["torus"].values.tolist() == [1, 0, 1, 1]
    for number, (condition, seed) in enumerate(runs):
        of_run = metric.isel(run=number)
        expected = slow_d(images_of(condition, "faces", seed), images_of(condition, "objects", seed))
        d = of_run["d"].values[0]
        assert d == pytest.approx(expected)
        assert (of_run["max_d"].values[0], of_run["min_d"].values[0]) == pytest.approx((d.max(), d.min()))
        assert of_run["selective_share"].values[0] == np.mean(d >= 0.85)
        for boundary, smooth in zip(metric["boundary"].values, of_run["smoothness"].values[0], strict=True):
            assert smooth == pytest.approx(slow_smoothness(d, torus=boundary == "torus"))
    # Each network has its own activations, and no others.
    has = ~np.isnan(metric["d"].values).any(axis=-1)
    assert has.astype(int).tolist() == [[1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 1, 1], [1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0]]
    assert np.array_equal(has, ~np.isnan(metric["largest_patch"].values))
    # d knows no scale and no offset; the rectified activation is another one.
    of_tvae, of_tdann = metric["d"].values[0], metric["d"].values[1]
    assert of_tvae[1] == pytest.approx(of_tvae[0]) and of_tvae[2] == pytest.approx(of_tvae[0], abs=1e-4)
    assert np.abs(of_tdann[4] - of_tdann[0]).max() > 0.05
    assert summary["condition"].values.tolist() == ["tvae", "tdann", "vae"]
    assert summary["n"].values.tolist() == [2, 1, 1]
    assert summary["smoothness_mean"].values[0] == pytest.approx(
        metric["smoothness"].values[[0, 3]].mean(axis=0), nan_ok=True
    )
    assert summary["smoothness_n"].values[1].T.tolist() == [[1, 0, 0, 0, 1, 1]] * 2


def test_the_published_d_is_found(tmp_path):
    metric, _ = analyze(selectivity, tmp_path, published_files(tmp_path), **FEW)
    assert metric["d"].values[0, 0] == pytest.approx(PUBLISHED_D, rel=1e-9)


def test_patches_of_an_open_sheet_are_those_of_scipy_and_those_of_a_torus_meet_around_it(tmp_path):
    # A cluster over the corner, where the four parts meet on a torus, and a unit apart from it.
    place = np.zeros(GRID)
    place[[0, 0, -1, -1], [0, -1, 0, -1]] = [3.0, 2.0, 2.0, 2.0]
    place[3, 4] = 1.5
    noise = np.random.default_rng(0).standard_normal((400, UNITS))
    files = [
        make_responses(condition, name, activations=noise + (name == "faces") * place.ravel())
        for condition in ("tvae", "tdann")
        for name in ("faces", "objects")
    ]
    metric, _ = analyze(selectivity, tmp_path, write_responses(tmp_path, files), patches=3, **FEW)
    torus, flat = metric.isel(run=0), metric.isel(run=1)
    np.testing.assert_array_equal(torus["d"].values[0], flat["d"].values[0])
    assert open_patches(flat["d"].values[0]) == [1] * 5
    assert (flat["patches"].values[0], flat["largest_patch"].values[0]) == (5, 1)
    assert flat["patch_size"].values.tolist() == [1, 1, 1]
    assert (torus["patches"].values[0], torus["largest_patch"].values[0]) == (2, 4)
    assert torus["patch_size"].values[:2].tolist() == [4, 1] and np.isnan(torus["patch_size"].values[2])
    assert (torus["patch_row"].values[0], torus["patch_col"].values[0]) == (5.5, 7.5)
    assert (torus["patch_row"].values[1], torus["patch_col"].values[1]) == (3, 4)
    assert torus["patch_max_d"].values[:2] == pytest.approx([3.0, 1.5], abs=0.3)


def test_no_selective_unit_is_no_patch_and_never_surprising(tmp_path):
    files = [make_responses("tvae", name, activations=images_of("tvae", "objects")) for name in ("faces", "objects")]
    metric, _ = analyze(selectivity, tmp_path, write_responses(tmp_path, files), **FEW)
    of_run = metric.isel(run=0)
    assert of_run["d"].values[0] == pytest.approx(np.zeros(UNITS), abs=1e-12)
    assert of_run["patches"].values[0] == of_run["largest_patch"].values[0] == of_run["confident_share"] == 0
    assert of_run["patch_p_label"] == of_run["patch_p_unit"] == 1
    assert np.isnan(of_run["patch_size"].values).all()


def test_swapped_classes_turn_every_sign_and_leave_smoothness(tmp_path):
    paths = write_runs(tmp_path, [("tvae", 0)], ["faces", "objects"])
    one, _ = analyze(selectivity, tmp_path, paths, **FEW)
    other, _ = analyze(selectivity, tmp_path, paths, target=["objects"], control=["faces"], **FEW)
    assert other["d"].values == pytest.approx(-one["d"].values, nan_ok=True)
    assert other["max_d"].values == pytest.approx(-one["min_d"].values, nan_ok=True)
    assert other["smoothness"].values == pytest.approx(one["smoothness"].values, nan_ok=True)
    assert other["difference_smoothness"].values == pytest.approx(one["difference_smoothness"].values)
    assert (one.attrs["target"], one.attrs["control"]) == ("faces", "objects")


def test_two_sets_may_be_one_class(tmp_path):
    paths = write_runs(tmp_path, [("tdann", 0)], ["headless", "hands", "objects"], sampled=None)
    metric, _ = analyze(selectivity, tmp_path, paths, target=["headless", "hands"], **FEW)
    bodies = np.concatenate([images_of("tdann", "headless"), images_of("tdann", "hands")])
    assert metric["d"].values[0, 0] == pytest.approx(slow_d(bodies, images_of("tdann", "objects")))
    assert metric.attrs["target"] == "headless + hands"
    training = json.loads(metric.attrs["training"])
    assert set(training["images"]) == {"headless", "hands", "objects"}


def test_dividing_by_the_spread_is_left_out_of_the_differences(tmp_path):
    # Means differ smoothly; spreads differ from unit to unit, which makes d rough.
    spread = np.where(np.add(*np.indices(GRID)).ravel() % 2, 0.2, 5.0)
    noise = np.random.default_rng(1).standard_normal((2, 4000, UNITS)) * spread
    noise -= noise.mean(axis=1, keepdims=True)
    place = smooth_map(3)
    files = [
        make_responses("tvae", "faces", activations=noise[0] + place),
        make_responses("tvae", "objects", activations=noise[1]),
    ]
    metric, _ = analyze(selectivity, tmp_path, write_responses(tmp_path, files), **FEW)
    assert metric["difference_smoothness"].values[0] == pytest.approx(slow_smoothness(place, torus=True))
    assert metric["smoothness"].sel(boundary="torus").values[0, 0] < 0.5 * metric["difference_smoothness"].values[0]


def test_nulls_by_labels_keep_the_correlation_of_neighbors_and_those_by_units_do_not(tmp_path):
    # Unit-to-unit correlation of d by chance is that of the images' noise, which is known: a filter's autocorrelation.
    noise = np.random.default_rng(5).standard_normal((2, 600, *GRID))
    wave = (noise + np.roll(noise, 1, axis=-1) + np.roll(noise, 1, axis=-2)).reshape(2, 600, -1)
    place = smooth_map(4)
    files = [
        make_responses("tvae", "faces", activations=wave[0] + 1.5 * place, sampled=None),
        make_responses("tvae", "objects", activations=wave[1], sampled=None),
    ]
    metric, _ = analyze(selectivity, tmp_path, write_responses(tmp_path, files), shuffles=100, splits=10)
    of_run = metric.isel(run=0)
    # Of the three terms of a unit, it shares one with each neighbor. The labels are dealt among images with the map.
    d, null = of_run["d"].values[0], of_run["d_label_shuffled"].values
    torus = metric["boundary"].values.tolist().index("torus")
    assert slow_smoothness(d, torus=True) == pytest.approx(of_run["smoothness"].values[0, torus])
    assert 0.25 < of_run["smoothness_label_null"].values[torus] < 0.6
    assert np.abs(null).max() < 0.4 < np.abs(d).max()
    unit_null = of_run["smoothness_unit_null"].values
    assert unit_null == pytest.approx(np.full(2, -1 / (UNITS - 1)), abs=0.05)
    high = of_run["smoothness_unit_null_high"].values
    # About 2 * UNITS pairs: a standard error of nearly 1 / sqrt(2 * UNITS).
    assert high == pytest.approx(unit_null + 1.645 / np.sqrt(2 * UNITS), abs=0.06)
    assert sorted(of_run["d_unit_shuffled"].values) == sorted(d)
    assert np.any(of_run["d_unit_shuffled"].values != d)
    assert of_run["largest_patch_label_null"] == 0 and of_run["patch_p_label"] == pytest.approx(1 / 101)
    assert 0 < of_run["largest_patch_unit_null"] < of_run["largest_patch"].values[0]


def test_patches_of_a_null_are_a_mean_over_its_maps(tmp_path):
    paths = write_runs(tmp_path, [("tvae", 0), ("tdann", 0)], ["faces", "objects"], sampled=None)
    metric, _ = analyze(selectivity, tmp_path, paths, shuffles=9, splits=4, seed=3)
    for run, condition in enumerate(("tvae", "tdann")):
        images = [images_of(condition, name) for name in ("faces", "objects")]
        both = np.concatenate(images)
        shown = slow_d(*(both[part] for part in np.split(np.random.default_rng([3, 0, 0]).permutation(80), 2)))
        assert metric["d_label_shuffled"].values[run] == pytest.approx(shown, abs=1e-5)
        d = metric["d"].values[run, 0]
        moved = [d[np.random.default_rng([3, 1, index]).permutation(UNITS)] for index in range(9)]
        patches = [selective_patches(values, GRID, boundary=("torus", "open")[run]) for values in moved]
        largest = np.array([max((patch.size for patch in found), default=0) for found in patches])
        assert metric["largest_patch_unit_null"].values[run] == pytest.approx(largest.mean())
        assert largest.mean() < largest.max()
        reached = np.sum(largest >= metric["largest_patch"].values[run, 0])
        assert metric["patch_p_unit"].values[run] == (1 + reached) / 10
        halves = split_half_reliability(*images, splits=4, seed=3).mean()
        assert metric["reliability"].values[run] == pytest.approx(2 * halves / (1 + halves))


def test_labels_that_mean_nothing_are_no_rarer_than_their_null(tmp_path):
    # 60 runs whose two classes are alike: p of the largest patch must be at most 0.1 in no more than about a tenth.
    probabilities = []
    for seed in range(60):
        noise = np.random.default_rng(seed).standard_normal((2, 12, UNITS))
        files = [
            make_responses("tdann", name, activations=values, sampled=None)
            for name, values in zip(("faces", "objects"), noise, strict=True)
        ]
        metric, _ = selectivity.run(write_responses(tmp_path, files), {"shuffles": 39, "splits": 2}, {})
        probabilities.append(float(metric["patch_p_label"].values[0]))
    assert stats.binom.sf(np.sum(np.array(probabilities) <= 0.1) - 1, 60, 0.1) > 0.001


def test_reliability_is_that_of_a_known_signal(tmp_path):
    # d of each unit is its signal plus noise of variance 2 / n for n images of each class: a known reliability.
    images, signal = 50, 0.3 * smooth_map(9, (20, 20))
    noise = np.random.default_rng(2).standard_normal((2, images, 400))
    files = [
        make_responses("vae", "faces", activations=noise[0] + signal, sampled=None, grid=(20, 20)),
        make_responses("vae", "objects", activations=noise[1], sampled=None, grid=(20, 20)),
    ]
    metric, _ = analyze(selectivity, tmp_path, write_responses(tmp_path, files), shuffles=5, splits=50)
    expected = signal.var() / (signal.var() + 2 / images)
    assert metric["reliability"].values[0] == pytest.approx(expected, abs=0.08)
    # The standard error of d is that of its noise, and the share above the threshold with confidence follows.
    assert metric["d_error"].values[0] == pytest.approx(np.full(400, np.sqrt(2 / images)), rel=0.2)
    confident = metric["d"].values[0, 0] - 1.96 * metric["d_error"].values[0] >= 0.85
    assert metric["confident_share"].values[0] == confident.mean()


def test_selectivity_is_the_same_twice_and_differs_with_the_seed(tmp_path):
    paths = write_runs(tmp_path, [("tvae", 0)], ["faces", "objects"])
    one, two, other = (analyze(selectivity, tmp_path, paths, seed=seed, **FEW)[0].drop_attrs() for seed in (0, 0, 1))
    assert one.identical(two)
    assert np.any(one["d_label_shuffled"].values != other["d_label_shuffled"].values)
    np.testing.assert_array_equal(one["d"].values, other["d"].values)


def test_an_unknown_setting_or_set_is_refused(tmp_path):
    paths = write_runs(tmp_path, [("tvae", 0)], ["faces", "objects"])
    with pytest.raises(TopoRepError, match="settings: unknown 'treshold'"):
        selectivity.run(paths, {"treshold": 1}, {})
    with pytest.raises(TopoRepError, match="found none to celeba"):
        selectivity.run(paths, {"target": ["celeba"]}, {})
    with pytest.raises(TopoRepError, match="expected each set once on one side, found objects twice"):
        selectivity.run(paths, {"target": ["objects"]}, {})


# Selectivity for several classes

CLASSES = {"objects": ["objects"], "faces": ["faces"], "bodies": ["headless", "hands"], "places": ["places"]}
SETS = ["objects", "faces", "headless", "hands", "places"]


def test_each_class_is_told_from_all_images_of_the_others(tmp_path):
    paths = write_runs(tmp_path, [("tvae", 0), ("tdann", 0)], SETS)
    metric, summary = analyze(class_selectivity, tmp_path, paths, shuffles=5)
    assert metric["class"].values.tolist() == list(CLASSES)
    assert metric["complement"].values.tolist() == ["images", "classes"]
    images = {name: np.concatenate([images_of("tvae", part) for part in parts]) for name, parts in CLASSES.items()}
    for number, name in enumerate(CLASSES):
        rest = np.concatenate([values for other, values in images.items() if other != name])
        assert metric["d"].values[0, 0, number] == pytest.approx(slow_d(images[name], rest))
    # Bodies have twice as many images as each other class, so only their complement is the same by both ways.
    mixed, pooled = metric["d"].sel(complement="classes").values[0], metric["d"].sel(complement="images").values[0]
    close = np.abs(mixed - pooled).max(axis=-1) < 0.02 * np.abs(pooled).max(axis=-1)
    assert close.tolist() == [False, False, True, False]
    assert summary["max_d_mean"].values[1] == pytest.approx(metric["max_d"].values[1])


def test_the_joint_map_has_the_one_class_of_each_unit(tmp_path):
    paths = write_runs(tmp_path, [("tvae", 0), ("tdann", 0)], SETS)
    metric, _ = analyze(class_selectivity, tmp_path, paths, threshold=0.5, shuffles=5)
    for run, complement in np.ndindex(2, 2):
        of = metric.isel(run=run, complement=complement)
        passing = [[number for number in range(4) if of["d"].values[number, unit] >= 0.5] for unit in range(UNITS)]
        expected = [-1 if not found else found[0] if len(found) == 1 else -2 for found in passing]
        assert of["joint"].values.tolist() == expected and set(expected) >= {-1, -2, 0, 1}
        assert of["none_share"] == pytest.approx(expected.count(-1) / UNITS)
        assert of["several_share"] == pytest.approx(expected.count(-2) / UNITS)
        share = [np.mean([number in found for found in passing]) for number in range(4)]
        assert of["selective_share"].values == pytest.approx(share)
        smooth = [slow_smoothness(d, torus=run == 0) for d in of["d"].values]
        assert of["smoothness"].values == pytest.approx(smooth)
        if run == 1:
            assert of["largest_patch"].values.tolist() == [open_patches(d, 0.5)[0] for d in of["d"].values]
    assert metric["torus"].values.tolist() == [1, 0]
    smooth = metric.isel(run=0)
    assert np.all(smooth["largest_patch"].values > smooth["largest_patch_unit_null"].values)


@pytest.mark.parametrize("threshold", PUBLISHED_JOINT)
def test_the_published_joint_maps_are_found(tmp_path, threshold):
    settings = {"classes": {name: [name] for name in PUBLISHED}, "threshold": threshold, "shuffles": 3}
    metric, _ = analyze(class_selectivity, tmp_path, published_files(tmp_path), **settings)
    codes = {-1: 0, -2: 1, **{number: 2 + number for number in range(4)}}
    assert [codes[code] for code in metric["joint"].values[0, 0].tolist()] == PUBLISHED_JOINT[threshold]


def test_a_set_in_two_classes_is_refused(tmp_path):
    paths = write_runs(tmp_path, [("tvae", 0)], SETS[:2])
    classes = {"faces": ["faces"], "both": ["objects", "faces"]}
    with pytest.raises(TopoRepError, match="expected each set in one class, found faces in several"):
        class_selectivity.run(paths, {"classes": classes}, {})
    with pytest.raises(TopoRepError, match="classes: expected at least 2 to tell apart, found 1"):
        class_selectivity.run(paths, {"classes": {"faces": ["faces"]}}, {})


# Single images


def test_single_images_are_shown_as_they_were_evaluated(tmp_path):
    sets = ["animate", "faces", "places"]
    paths = write_runs(tmp_path, [("tvae", 0), ("tdann", 0)], sets)
    metric, _ = analyze(single_images, tmp_path, paths)
    assert metric["set"].values.tolist() == sets
    for number, name in enumerate(sets):
        activations = images_of("tvae", name)[:4]
        np.testing.assert_array_equal(metric["activation"].values[0, number], activations)
        file = make_responses("tvae", name)
        np.testing.assert_array_equal(metric["thumbnail"].values[number], file["thumbnail"].values)
        rows, cols = (metric[f"strongest_{axis}"].values[0, number] for axis in ("row", "col"))
        assert [activations[i].reshape(GRID)[rows[i], cols[i]] for i in range(4)] == activations.max(axis=1).tolist()
        for run, condition in enumerate(("tvae", "tdann")):
            smooth = [slow_smoothness(values, torus=run == 0) for values in images_of(condition, name)[:4]]
            assert metric["smoothness"].values[run, number] == pytest.approx(smooth)


def test_all_sets_show_as_many_images_as_the_one_with_fewest(tmp_path):
    files = [make_responses("vae", "faces", singles=3), make_responses("vae", "objects", singles=2)]
    metric, _ = analyze(single_images, tmp_path, write_responses(tmp_path, files))
    assert metric["activation"].shape == (1, 2, 2, UNITS) and metric["thumbnail"].shape[:2] == (2, 2)


def test_a_summary_of_single_images_is_over_images_of_all_sets_and_runs(tmp_path):
    paths = write_runs(tmp_path, [("tvae", 0), ("vae", 0), ("tvae", 1)], ["faces", "objects"])
    metric, summary = analyze(single_images, tmp_path, paths)
    assert summary["condition"].values.tolist() == ["tvae", "vae"] and summary["n"].values.tolist() == [2, 1]
    for name in ("smoothness", "active_share", "between_sets"):
        values = metric[name].values[[0, 2]].ravel()
        assert values.size == 16
        assert summary[f"{name}_mean"].values[0] == pytest.approx(values.mean())
        assert summary[f"{name}_sem"].values[0] == pytest.approx(stats.sem(values))


def test_few_units_answer_in_a_local_map_and_most_in_one_of_two_values():
    one = np.zeros(100)
    one[:7] = [10, 5, 4.9, -5, -4, 5.1, -20]
    # The median is 0, the farthest 20 away: 10 and -20 count.
    assert active_share(one) == 0.02
    halves = np.where(np.arange(101) < 60, 1.0, 0.0)
    assert active_share(halves) == pytest.approx(41 / 101) == active_share(3 - 2 * halves)
    noise = np.random.default_rng(0).standard_normal((50, 4096))
    # A normal map's farthest unit is about 3.7 away: 2 * P(z > 1.85).
    assert active_share(noise).mean() == pytest.approx(2 * stats.norm.sf(1.85), abs=0.02)
    assert active_share(np.full((2, 5), 3.0)).tolist() == [1, 1]


def test_maps_are_compared_with_those_of_other_sets_alone():
    maps = np.random.default_rng(0).standard_normal((3, 2, 50))
    maps[0, 1] = maps[0, 0]
    found = correlation_between_sets(maps)
    for number, example in np.ndindex(3, 2):
        others = [
            np.corrcoef(maps[number, example], maps[other, image])[0, 1]
            for other in range(3)
            for image in range(2)
            if other != number
        ]
        assert found[number, example] == pytest.approx(np.mean(others))
    assert np.isnan(correlation_between_sets(maps[:1])).all()


# Hierarchy

ALL_SETS = ["objects", "faces", "headless", "hands", "places", "animate", "inanimate", "small", "big"]


def planted(condition, maps, *, images=60):
    """Files of a run whose sets' activations are one noise, and a map of each."""
    noise = np.random.default_rng(8).standard_normal((images, UNITS))
    noise -= noise.mean(axis=0)
    noise /= noise.std(axis=0, ddof=1)
    return [make_responses(condition, name, activations=noise + values) for name, values in maps.items()]


PAIRS = {
    "contrasts": {"one": [["a"], ["zero"]], "two": [["b"], ["zero"]], "minus": [["zero"], ["a"]]},
    "pairs": [["one", "two"], ["one", "minus"], ["one", "one"]],
    "share": 0.125,
    "shuffles": 500,
}


def test_planted_maps_are_compared(tmp_path):
    # d is exactly the map that was planted.
    first, second = smooth_map(1), smooth_map(2)
    maps = {"zero": np.zeros(UNITS), "a": first, "b": second}
    files = planted("tvae", maps) + planted("tdann", maps)
    metric, summary = analyze(hierarchy, tmp_path, write_responses(tmp_path, files), **PAIRS)
    assert metric["pair"].values.tolist() == ["one, two", "one, minus", "one, one"]
    assert metric["correlation"].values == pytest.approx(np.array([[np.corrcoef(first, second)[0, 1], -1, 1]] * 2))
    top = [set(np.argsort(-values)[:6]) for values in (first, second, -first)]
    shares = [len(top[0] & top[1]) / 6, len(top[0] & top[2]) / 6, 1]
    assert metric["overlap"].values == pytest.approx(np.array([shares] * 2))
    assert metric["overlap_chance"].values == pytest.approx(np.full((2, 3), 6 / UNITS))
    # Around the torus, every shift is tried; on the open sheet, units are drawn from an urn.
    shifts = [np.roll(second.reshape(GRID), (row, col), (0, 1)).ravel() for row in range(6) for col in range(8)]
    found = np.corrcoef(first, second)[0, 1]
    assert metric["correlation_p"].values[0, 0] == np.mean(
        [abs(np.corrcoef(first, shift)[0, 1]) >= abs(found) - 1e-12 for shift in shifts]
    )
    # As far from 0 on either side.
    assert metric["correlation_p"].values[:, 1:].tolist() == [[1 / UNITS] * 2, [1 / 501] * 2]
    common = [len(top[0] & set(np.argsort(-shift)[:6])) for shift in shifts]
    assert metric["overlap_p"].values[0, 0] == np.mean(np.array(common) >= len(top[0] & top[1]))
    assert metric["overlap_p"].values[1, 0] == pytest.approx(stats.hypergeom.sf(shares[0] * 6 - 1, UNITS, 6, 6))
    # The two strongest units, the short way round or straight.
    steps = np.abs(np.subtract(*(np.array(np.unravel_index(m.argmax(), GRID)) for m in (first, second))))
    assert metric["distance"].values[1, 0] == pytest.approx(np.hypot(*steps))
    assert metric["distance"].values[0, 0] == pytest.approx(np.hypot(*np.minimum(steps, np.array(GRID) - steps)))
    assert np.all(metric["distance"].values[:, 2] == 0)
    assert summary["correlation_mean"].shape == (2, 3)


def test_probabilities_of_maps_that_have_nothing_in_common_are_even(tmp_path):
    found = []
    for seed in range(24):
        maps = {"zero": np.zeros(UNITS), "a": smooth_map(seed), "b": smooth_map(1000 + seed)}
        paths = write_responses(tmp_path, planted("tvae", maps))
        metric, _ = hierarchy.run(paths, {**PAIRS, "pairs": [["one", "two"]]}, {})
        found.append(metric["correlation_p"].values[0, 0])
    assert stats.kstest(found, "uniform").pvalue > 0.001


def test_correlations_of_shifts_are_those_of_moved_maps():
    first, second = np.random.default_rng(0).standard_normal((2, UNITS))
    for gaps in ((), (3, 17)):
        first[list(gaps)], second[list(gaps[:1])] = np.nan, np.nan
        found = shifted_correlations(first, second + 1e4, GRID)
        for row, col in np.ndindex(GRID):
            moved = np.roll(second.reshape(GRID), (-row, -col), (0, 1)).ravel()
            both = ~(np.isnan(first) | np.isnan(moved))
            assert found[row, col] == pytest.approx(np.corrcoef(first[both], moved[both])[0, 1])
    assert np.isnan(shifted_correlations(first, np.full(UNITS, 0.3), GRID)).all()
    # A single unit that differs, and in some shifts is where the first map is not defined.
    for size in np.geomspace(1e-3, 1e3, 20):
        single = np.full(UNITS, 0.3)
        single[20] += size
        assert np.isnan(shifted_correlations(first, single, GRID)).sum() == np.isnan(first).sum()


@pytest.mark.parametrize("grid", [(1, 1), (4, 7), (9, 16)])
def test_chance_distances_are_those_of_all_pairs(grid):
    row, col = np.divmod(np.arange(grid[0] * grid[1]), grid[1])
    steps = np.abs(row[:, None] - row), np.abs(col[:, None] - col)
    assert chance_distance(grid, boundary="open") == pytest.approx(np.hypot(*steps).mean())
    around = [np.minimum(step, size - step) for step, size in zip(steps, grid, strict=True)]
    assert chance_distance(grid, boundary="torus") == pytest.approx(np.hypot(*around).mean())


def test_the_default_pairs_are_found_in_the_papers_sets(tmp_path):
    paths = write_runs(tmp_path, [("tvae", 0), ("tdann", 0)], ALL_SETS)
    metric, _ = analyze(hierarchy, tmp_path, paths, shuffles=20)
    assert metric["pair"].values.tolist()[0] == "faces, animate" and metric.sizes["pair"] == 6
    faces = slow_d(images_of("tvae", "faces"), images_of("tvae", "objects"))
    bodies = slow_d(
        np.concatenate([images_of("tvae", "headless"), images_of("tvae", "hands")]), images_of("tvae", "objects")
    )
    pair = metric["pair"].values.tolist().index("faces, bodies")
    assert metric["correlation"].values[0, pair] == pytest.approx(np.corrcoef(faces, bodies)[0, 1])


def test_a_pair_of_unknown_contrasts_is_refused(tmp_path):
    for pairs, message in (([["one", "three"]], r"found \['one', 'three'\]"), ([], "found none")):
        with pytest.raises(TopoRepError, match=f"pairs: expected .*{message}"):
            hierarchy.run([], {**PAIRS, "pairs": pairs}, {})
