"""Curves over distance, bits per dimension and accuracies of evaluated networks: known numbers and plain loops."""

from __future__ import annotations

import itertools
import json
import math
import re

import numpy as np
import pytest
from category_responses import CLASSES, GRID, key, make_responses, smooth_map, write_responses, write_runs

from toporep.analyses import bits_per_dimension, classification, distance_correlation
from toporep.analyses.distance_correlation import deviation_from_inverse, falling_bins
from toporep.errors import TopoRepError
from toporep.io import write_dataset

RUNS = [("tvae", 0), ("tvae", 1), ("tvae_untrained", 0), ("tdann", 0)]
SETS = ("objects", "faces")
UNIT = np.arange(36)


def published_activations(images: int = 10) -> np.ndarray:
    """Images of 6 x 6 units whose curves are known."""
    image = np.arange(images)[:, None]
    return np.sin(0.1 * image + 0.37 * UNIT) + 0.6 * np.cos(
        0.9 * image + 0.21 * (UNIT // 6) + 0.13 * image * (UNIT % 6)
    )


def analyze(module, folder, paths, **settings):
    """Metric and summary, after a round through files of their schemas."""
    outputs = module.run(paths, settings, {"code_hash": "abc", "scale": "demo"})
    name = module.__name__.rpartition(".")[2]
    for output, suffix in zip(outputs, ("", "_summary"), strict=True):
        write_dataset(output, folder / f"{name}{suffix}.nc", f"{name}{suffix}")
    return outputs


def two_sets(condition: str, activations: np.ndarray, *, grid=(6, 6), **options):
    """One run that answers half the images to each of two sets."""
    parts = np.split(activations, 2)
    return [
        make_responses(condition, name, activations=part, sampled=None, grid=grid, **options)
        for name, part in zip(SETS, parts, strict=True)
    ]


# Curves over distance


def test_curves_of_both_boundaries_are_the_known_ones(tmp_path):
    paths = write_responses(tmp_path, two_sets("tvae", published_activations()))
    metric, _ = analyze(distance_correlation, tmp_path, paths, spacing=0.5)
    open_sheet, torus = (metric.isel(run=0).sel(variant="pooled", boundary=name) for name in ("open", "torus"))
    # Of unit width, from the published code's correlation matrix: pairs, mean and standard deviation of r.
    np.testing.assert_array_equal(open_sheet["pairs"], [110, 128, 128, 162, 72, 28, 2])
    wanted = [0.66171072671, 0.4381022366, 0.3095061254, 0.082000283042, 0.064490285858, -0.025462879841, 0.04499600854]
    np.testing.assert_allclose(open_sheet["correlation"], wanted, atol=1e-6)
    assert float(open_sheet["sd"][0]) == pytest.approx(0.21621722433, abs=1e-6)
    np.testing.assert_array_equal(torus["pairs"][:2], [144, 216])
    np.testing.assert_allclose(torus["correlation"][:2], [0.54316109726, 0.29711801267], atol=1e-6)
    # A torus of 6 x 6 ends at 4.24 spacings: further bins are none.
    assert np.isnan(torus["correlation"][4:]).all() and not torus["pairs"][4:].any()
    for boundary in (open_sheet, torus):
        np.testing.assert_allclose(boundary["distance"], 0.5 * np.arange(1, 8))
    assert float(open_sheet["nearest"]) == pytest.approx(wanted[0], abs=1e-6)
    assert (int(open_sheet["falling_bins"]), float(metric["torus"][0]), metric.attrs["images"]) == (5, 1.0, 5)


def test_the_deviation_from_the_aim_of_the_spatial_loss_is_the_known_one():
    image, unit = np.arange(6)[:, None], np.arange(16)
    activations = np.sin(0.1 * image + 0.37 * unit) + 0.5 * np.cos(0.7 * image * (unit + 1) + 0.01 * unit)
    # Sum over ordered pairs of |r - 1 / (d + 1)| of true Pearson correlations, 4 x 4 units 2.5 mm apart.
    found = deviation_from_inverse(activations, (4, 4), boundary="open", spacing=2.5)
    assert found == pytest.approx(67.51697962 / (16 * 15), rel=1e-6)


@pytest.mark.parametrize("boundary", ["open", "torus"])
@pytest.mark.parametrize("categories", [None, [0, 0, 1, 1, 1, 0, 0, 1, 1, 0, 0, 1]])
def test_the_deviation_is_that_of_a_loop_over_pairs_without_constant_units(boundary, categories, monkeypatch):
    monkeypatch.setattr(distance_correlation, "_BLOCK_UNITS", 7)
    rows, cols = grid = (4, 5)
    activations = np.random.default_rng(3).normal(2.0, 1.5, (12, 20))
    activations[:, 7] = 1 / 3
    centered = activations.copy()
    for category in set(categories or [0]):
        own = np.equal(categories or [0] * 12, category)
        centered[own] -= centered[own].mean(axis=0)
    differences = []
    for first, second in itertools.combinations([unit for unit in range(20) if unit != 7], 2):
        a, b = centered[:, first], centered[:, second]
        steps = [abs(first // cols - second // cols), abs(first % cols - second % cols)]
        if boundary == "torus":
            steps = [min(step, size - step) for step, size in zip(steps, grid, strict=True)]
        aim = 1 / (0.3 * math.hypot(*steps) + 1)
        differences.append(abs(a @ b / math.sqrt((a @ a) * (b @ b)) - aim))
    found = deviation_from_inverse(
        activations, grid, boundary=boundary, spacing=0.3, within=None if categories is None else np.array(categories)
    )
    assert found == pytest.approx(np.mean(differences), rel=1e-5)
    assert math.isnan(deviation_from_inverse(np.ones((12, 20)), grid, boundary=boundary, spacing=0.3))


@pytest.mark.parametrize(
    ("curve", "bins"),
    [
        ([0.9, 0.8, 0.7], 2),
        ([0.9, 0.8, 0.8, 0.1], 1),
        ([0.1, 0.2, 0.0], 0),
        ([0.9, 0.5, np.nan, 0.1], 1),
        ([np.nan, 0.1], 0),
        ([0.4], 0),
    ],
)
def test_a_fall_ends_where_the_curve_does_not_go_down(curve, bins):
    assert falling_bins(np.array(curve)) == bins


def test_a_difference_of_the_sets_moves_the_pooled_curve_alone(tmp_path):
    noise = np.random.default_rng(1).normal(size=(80, 48))
    apart = np.repeat([[0.0], [5.0]], 40, axis=0) * smooth_map(2)
    metric, _ = analyze(
        distance_correlation, tmp_path, write_responses(tmp_path, two_sets("tdann", noise + apart, grid=GRID))
    )
    alone, _ = analyze(distance_correlation, tmp_path, write_responses(tmp_path, two_sets("tdann", noise, grid=GRID)))
    found, expected = (made.isel(run=0).sel(boundary="torus")["correlation"] for made in (metric, alone))
    np.testing.assert_allclose(found.sel(variant="within"), expected.sel(variant="within"), atol=1e-5)
    # Noise has no correlation; a smooth map that tells the sets apart has.
    assert abs(float(expected.sel(variant="pooled")[0])) < 0.05
    assert float(found.sel(variant="pooled")[0]) > 0.3


def test_smooth_sheets_correlate_nearby_and_the_summary_is_over_seeds(tmp_path):
    metric, summary = analyze(distance_correlation, tmp_path, write_runs(tmp_path, RUNS, SETS))
    assert metric["condition"].values.tolist() == [name for name, _ in RUNS]
    np.testing.assert_array_equal(metric["torus"], [1, 1, 1, 0])
    # The window's smoothing makes neighbors alike, with or without training; TDANN's activations here are noise.
    nearest = metric["nearest"].sel(variant="within", boundary="torus").values
    assert (nearest[:3] > 0.3).all() and abs(nearest[3]) < 0.1
    of_seeds = metric["correlation"].values[:2]
    point = summary["condition"].values.tolist().index("tvae")
    np.testing.assert_allclose(summary["correlation_mean"][point], of_seeds.mean(axis=0))
    np.testing.assert_allclose(summary["correlation_sem"][point], np.abs(of_seeds[0] - of_seeds[1]) / 2)
    # A sheet of 10 mm.
    assert metric.attrs["spacing"] == pytest.approx(10 / GRID[0])


def test_equally_many_images_of_each_set_are_spread_over_those_kept(tmp_path):
    few = make_responses("tvae", "objects", images=20, sampled=None)
    many = make_responses("tvae", "faces", images=50, sampled=None)
    metric, _ = analyze(distance_correlation, tmp_path, write_responses(tmp_path, [few, many]), images=None)
    assert metric.attrs["images"] == 20
    spread = many["sample"].values[np.round(np.arange(20) * 49 / 19).astype(int)]
    both = np.concatenate([few["sample"].values, spread]).astype(float)
    first, second = both[:, 0], both[:, 1]
    metric, _ = analyze(distance_correlation, tmp_path, write_responses(tmp_path, [few, many]), bins="exact")
    r = np.corrcoef(both.T)
    rows, cols = GRID
    beside = [(unit, unit + 1) for unit in range(rows * cols) if unit % cols < cols - 1]
    beside += [(unit, unit + cols) for unit in range((rows - 1) * cols)]
    found = float(metric["nearest"].isel(run=0).sel(variant="pooled", boundary="open"))
    assert found == pytest.approx(np.mean([r[pair] for pair in beside]), abs=1e-6)
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(r[0, 1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"images": 0}, "images: expected at least 1 of each set"),
        ({"bins": "none"}, "bins: expected one of exact, unit"),
        ({"spacing": -1}, "spacing: expected a distance above 0"),
        ({"window": 3}, "settings: unknown 'window'"),
    ],
)
def test_mistakes_in_settings_are_told(tmp_path, settings, message):
    with pytest.raises(TopoRepError, match=re.escape(message)):
        analyze(distance_correlation, tmp_path, write_runs(tmp_path, RUNS[:1], SETS), **settings)


# Bits per dimension


def autoencoder(condition="tvae", name="faces", seed=0, *, nats=(800.0, 15.0, 4.0), images=40, square=1.0, **attrs):
    """Responses of an autoencoder that takes the same nats for all images."""
    parts = {part: ("image", np.full(images, value)) for part, value in zip(("nll", "kl_z", "kl_u"), nats, strict=True)}
    if condition == "vae":
        del parts["kl_u"]
    made = make_responses(condition, name, seed, images=images, **{"dimensions": 576, **attrs})
    if condition == "vae":
        made = made.drop_vars("kl_u", errors="ignore")
    return made.assign(parts).assign(feature_mean_square=square)


def test_bits_are_the_known_ones_and_the_sum_of_their_parts(tmp_path):
    # 12345.678 nats of 9216 features are 1.9326 bits.
    of_sets = [autoencoder(name=name, nats=(12000.0, 300.0, 45.678), dimensions=9216) for name in SETS]
    metric, summary = analyze(bits_per_dimension, tmp_path, write_responses(tmp_path, of_sets))
    np.testing.assert_allclose(metric["bits"], [[1.9326224422] * 2])
    np.testing.assert_allclose(sum(metric[name] for name in ("reconstruction", "kl_z", "kl_u")), metric["bits"])
    np.testing.assert_allclose(metric["per_latent"], metric["bits"] * 9216 / math.prod(GRID))
    assert (metric.attrs["dimensions"], metric.attrs["latents"]) == (9216, math.prod(GRID))
    assert metric["set"].values.tolist() == list(SETS)
    assert float(summary["bits_mean"][0, 0]) == pytest.approx(1.9326224422)
    # Published: log 10 nats too high, so fewer bits.
    first = of_sets[0]["log_likelihood"].values
    np.testing.assert_allclose(metric["log_likelihood"][0, 0], -first / (9216 * math.log(2)))
    assert metric["estimator"].values.tolist() == ["published", "corrected"]
    assert (metric["log_likelihood"].diff("estimator") > 0).all()
    # Files say which is which.
    turned = [made.assign_coords(estimator=["published", "corrected"]).isel(estimator=[1, 0]) for made in of_sets]
    again, _ = analyze(bits_per_dimension, tmp_path, write_responses(tmp_path, turned))
    np.testing.assert_array_equal(again["log_likelihood"], metric["log_likelihood"])


def test_the_bounds_are_those_of_unit_variance_features(tmp_path):
    of_sets = [autoencoder(name=name, square=square) for name, square in zip(SETS, (1.0, 2.0), strict=True)]
    metric, _ = analyze(bits_per_dimension, tmp_path, write_responses(tmp_path, of_sets))
    assert float(metric["floor"][0]) == pytest.approx(1.3257480647)
    # Each unit of mean square costs half a nat.
    np.testing.assert_allclose(metric["constant"][0], [2.0470955852, 2.0470955852 + 0.5 / math.log(2)])


def test_the_published_average_over_two_sets_of_equally_many_batches_is_twice_the_mean(tmp_path):
    of_sets = [autoencoder(name=name, images=256) for name in SETS]
    evaluation = {"evaluation": {"batch_size": 128}}
    of_sets = [
        made.assign_attrs(config=json.dumps({**json.loads(made.attrs["config"]), **evaluation})) for made in of_sets
    ]
    metric, _ = analyze(bits_per_dimension, tmp_path, write_responses(tmp_path, of_sets))
    np.testing.assert_allclose(metric["published_average"], 2 * metric["bits"].mean("set"))
    # Over the last set's batches alone: a long set before a short one counts many times.
    of_sets[0] = autoencoder(name=SETS[0], images=384).assign_attrs(config=of_sets[0].attrs["config"])
    metric, _ = analyze(bits_per_dimension, tmp_path, write_responses(tmp_path, of_sets))
    np.testing.assert_allclose(metric["published_average"], 2.5 * metric["bits"].mean("set"))


def test_a_plain_autoencoder_pays_nothing_for_u(tmp_path):
    runs = [(condition, seed) for condition in ("tvae", "vae") for seed in (0, 1)]
    made = [autoencoder(condition, name, seed) for condition, seed in runs for name in SETS]
    metric, summary = analyze(bits_per_dimension, tmp_path, write_responses(tmp_path, made))
    tvae, vae = (summary["kl_u_mean"].values[summary["condition"].values == name] for name in ("tvae", "vae"))
    assert (vae == 0).all()
    np.testing.assert_allclose(tvae, 4.0 / (576 * math.log(2)))
    assert summary["n"].values.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda made: make_responses("tdann", images=40, dimensions=576), "expected responses of a variational"),
        (lambda made: made.assign(log_likelihood=("estimator", [1.0])), "found published; make the file again"),
    ],
)
def test_files_of_other_networks_are_refused(tmp_path, change, message):
    with pytest.raises(TopoRepError, match=message):
        analyze(bits_per_dimension, tmp_path, write_responses(tmp_path, [change(autoencoder())]))


def test_networks_of_several_sizes_are_refused(tmp_path):
    made = [autoencoder(), autoencoder("vae", dimensions=9216)]
    with pytest.raises(TopoRepError, match="576 features and 48 latents; 9216 features and 48 latents"):
        analyze(bits_per_dimension, tmp_path, write_responses(tmp_path, made))


# Accuracies


def classifier(name="validation", *, label, predicted, of_set=None, condition="tdann", seed=0, **attrs):
    """Responses of a classifier."""
    numbers = {"label": label, "predicted": predicted, "predicted_of_set": predicted if of_set is None else of_set}
    variables = {key: ("image", np.asarray(value)) for key, value in numbers.items()}
    return make_responses(condition, name, seed, images=len(label), sampled=None, variables=variables, **attrs)


def parts(metric, run=0) -> dict[str, tuple[float, float]]:
    of_run = metric.isel(run=run)
    values = zip(of_run["accuracy"].values.tolist(), of_run["chance"].values.tolist(), strict=True)
    return dict(zip(metric["part"].values.tolist(), values, strict=True))


def test_accuracies_are_counted_with_and_without_faces(tmp_path):
    faces, rest = CLASSES.index("faces"), [number for number, name in enumerate(CLASSES) if name != "faces"]
    label = [faces] * 4 + rest * 4
    predicted = [faces] * 3 + [rest[0]] + [rest[0]] * 4 + rest * 2 + [faces] * 4
    # Right: 3 faces; of each four of the rest once one, twice all, never.
    made = classifier(label=label, predicted=predicted)
    metric, _ = analyze(classification, tmp_path, write_responses(tmp_path, [made]))
    assert parts(metric) == {"all": (12 / 20, 1 / 5), "without_faces": (9 / 16, 1 / 4), "faces": (3 / 4, 1 / 5)}
    assert metric.attrs["classes"] == 5
    assert json.loads(metric.attrs["images"]) == {"all": 20, "without_faces": 16, "faces": 4}


def test_faces_are_no_choice_in_a_set_without_them(tmp_path):
    faces, rest = CLASSES.index("faces"), [number for number, name in enumerate(CLASSES) if name != "faces"]
    made = [
        classifier("validation", label=[faces, *rest], predicted=[faces, *rest]),
        classifier("objects", label=[*rest, -1], predicted=[faces] * 5, of_set=[*rest[:3], rest[0], rest[0]]),
    ]
    metric, _ = analyze(classification, tmp_path, write_responses(tmp_path, made))
    found = parts(metric)
    # An image of an unknown class is no error; images of the set without faces are not counted twice.
    assert found["faces_no_choice"] == (3 / 4, 1 / 4) and found["all"][0] == 1.0
    assert json.loads(metric.attrs["images"])["all"] == 5


def test_chance_is_to_name_the_most_frequent_class(tmp_path):
    made = classifier(label=[0, 0, 0, 1, 2, 3], predicted=[0] * 6)
    metric, _ = analyze(classification, tmp_path, write_responses(tmp_path, [made]))
    assert parts(metric)["all"] == (0.5, 0.5)


def test_accuracies_are_averaged_over_seeds(tmp_path):
    label = np.arange(40) % 5
    made = [
        classifier(label=label, predicted=np.where(np.arange(40) < right, label, (label + 1) % 5), seed=seed)
        for seed, right in enumerate((20, 30))
    ]
    _, summary = analyze(classification, tmp_path, write_responses(tmp_path, made))
    assert float(summary["accuracy_mean"].sel(part="all")[0]) == 0.625
    assert float(summary["accuracy_sem"].sel(part="all")[0]) == pytest.approx(0.125)


@pytest.mark.parametrize(
    ("made", "settings", "message"),
    [
        ({"label": [0], "predicted": [0]}, {"faces": ["people"]}, "faces: 'people' is no class of the network"),
        ({"label": [-1], "predicted": [0]}, {}, "no image is of a class that the network was trained on"),
        ({"label": [0], "predicted": [0], "class_names": "bodies"}, {}, "attribute 'class_names' is no JSON list"),
    ],
)
def test_classes_that_do_not_fit_are_told(tmp_path, made, settings, message):
    with pytest.raises(TopoRepError, match=message):
        analyze(classification, tmp_path, write_responses(tmp_path, [classifier(**made)]), **settings)


def test_networks_that_name_no_classes_are_refused(tmp_path):
    with pytest.raises(TopoRepError, match="expected responses of a classifier, found no predicted"):
        analyze(classification, tmp_path, write_runs(tmp_path, [("tvae", 0)], ["validation"]))


def test_networks_of_other_classes_are_refused(tmp_path):
    made = [
        classifier(label=[0, 1], predicted=[0, 1]),
        classifier(label=[0, 1], predicted=[0, 1], seed=1, class_names=json.dumps([*CLASSES, "words"])),
    ]
    assert key("a") != key("b")
    with pytest.raises(TopoRepError, match="classes are not those of the runs before"):
        analyze(classification, tmp_path, write_responses(tmp_path, made))
