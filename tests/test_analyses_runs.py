"""Each analysis against what one would compute by hand from the same files."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from activation_dumps import HISTORY, make_dump, write_dumps
from scipy import special, stats

from toporep.analyses import (
    activity,
    calibration,
    correlations,
    dimensionality,
    eccentricity,
    harmonics,
    image_noise_robustness,
    training_curves,
    weight_noise,
)
from toporep.analyses.dumps import read_dump, summarize_runs
from toporep.errors import TopoRepError
from toporep.io import read_dataset, write_dataset
from toporep.schemas import SCHEMAS, pooled, summarized
from toporep.stimuli.tuning import wedges

RUNS = [("control", 0.0, 0), ("control", 0.0, 1), ("control", 0.0, 2), ("as", 3.0, 0)]
GRID = (3, 4)
VARIANTS = ["hard", "antialiased", "area_normalized"]
RADII = np.arange(1.0, 14)


def evaluation(variables: dict, coords: dict, run: tuple[str, float, int], **attrs) -> xr.Dataset:
    """A file with the attributes of an activation dump of the run."""
    return xr.Dataset(variables, coords, {**make_dump(*run).attrs, **attrs})


def sheet(units: int = 12) -> dict:
    return {"row": ("unit", np.arange(units) // GRID[1]), "col": ("unit", np.arange(units) % GRID[1])}


def tuning_file(run, *, wedge=None, ring=None) -> xr.Dataset:
    generator = np.random.default_rng(run[2] + int(10 * run[1]))
    if wedge is None:
        wedge = generator.normal(size=(3, 36, 12))
    if ring is None:
        ring = generator.normal(size=(3, 13, 12))
    return evaluation(
        {
            "wedge_pre": (("variant", "wedge", "unit"), wedge.astype(np.float32)),
            "ring_pre": (("variant", "ring", "unit"), ring.astype(np.float32)),
        },
        {
            **sheet(),
            "variant": ("variant", np.array(VARIANTS, dtype=object)),
            "angle": ("wedge", np.arange(36) * 10.0),
            "radius": ("ring", RADII),
        },
        run,
    )


def noise_file(run, *, count: int = 200) -> xr.Dataset:
    generator = np.random.default_rng(run[2] + int(10 * run[1]))
    return evaluation(
        {
            "correct": (("normalization", "kind", "level", "repetition"), generator.integers(0, count, (2, 3, 5, 2))),
            "clean_correct": ("normalization", generator.integers(count // 2, count, 2)),
        },
        {
            "normalization": ("normalization", np.array(["matched", "mismatched"], dtype=object)),
            "kind": ("kind", np.array(["white", "pink", "salt_pepper"], dtype=object)),
            "level": ("level", np.array([0.01, 0.05, 0.1, 0.15, 0.2])),
        },
        run,
        n_stimuli=count,
    )


def write(folder, make, schema: str, runs=RUNS) -> list[str]:
    paths = [str(folder / f"{condition}-{strength:g}-{seed}.nc") for condition, strength, seed in runs]
    for path, run in zip(paths, runs, strict=True):
        write_dataset(make(run), path, schema)
    return paths


FROM_DUMPS = {
    "calibration": calibration,
    "weight_noise": weight_noise,
    "activity": activity,
    "correlations": correlations,
    "dimensionality": dimensionality,
    "training_curves": training_curves,
}
FROM_TUNING = {"harmonics": harmonics, "eccentricity": eccentricity}


def inputs_of(name: str, folder, runs=RUNS) -> list[str]:
    if name in FROM_DUMPS:
        return write_dumps(folder, runs, grid=GRID)
    if name in FROM_TUNING:
        return write(folder, tuning_file, "tuning", runs)
    return write(folder, noise_file, "image_noise", runs)


ANALYSES = {**FROM_DUMPS, **FROM_TUNING, "image_noise_robustness": image_noise_robustness}


@pytest.mark.parametrize("name", ANALYSES)
def test_both_files_have_their_schema_and_the_summary_is_mean_and_sem_over_seeds(tmp_path, name):
    settings = {"repetitions": 3} if name == "weight_noise" else {}
    metric, summary = ANALYSES[name].run(inputs_of(name, tmp_path), settings, {})
    write_dataset(metric, tmp_path / "metric.nc", name)
    write_dataset(summary, tmp_path / "summary.nc", f"{name}_summary")
    metric, summary = (
        read_dataset(tmp_path / "metric.nc", name),
        read_dataset(tmp_path / "summary.nc", f"{name}_summary"),
    )
    assert list(zip(summary.condition.values, summary.strength.values, summary.n.values, strict=True)) == [
        ("control", 0.0, 3),
        ("as", 3.0, 1),
    ]
    assert summarized(SCHEMAS[name])
    for variable in summarized(SCHEMAS[name]):
        control = metric[variable].values[:3]
        if variable not in SCHEMAS[name].may_be_nan:
            np.testing.assert_allclose(summary[f"{variable}_mean"][0], control.mean(axis=0), rtol=1e-12, atol=1e-15)
            np.testing.assert_allclose(summary[f"{variable}_sem"][0], stats.sem(control), rtol=1e-9, atol=1e-15)
        assert np.isnan(summary[f"{variable}_sem"][1]).all()
    for variable in pooled(SCHEMAS[name]):
        np.testing.assert_array_equal(summary[f"{variable}_sum"][0], metric[variable].values[:3].sum(axis=0))


@pytest.mark.parametrize("name", ANALYSES)
def test_an_unknown_setting_is_refused(tmp_path, name):
    with pytest.raises(TopoRepError, match="settings: unknown 'color'"):
        ANALYSES[name].run(inputs_of(name, tmp_path, RUNS[:1]), {"color": 1}, {})


def test_a_value_that_a_run_does_not_have_is_left_out_and_counted(tmp_path):
    history = make_dump("control", 0.0, 0)["history"].values
    assert np.isnan(history[0, 1])
    metric, summary = training_curves.run(write_dumps(tmp_path, RUNS), {}, {})
    assert summary["value_n"].values[0].min() == 0 and summary["value_n"].values[0].max() == 3
    assert np.isnan(summary["value_mean"].values[0, 0, 1])
    metric["value"].values[1, 2, 0] = np.nan
    again = summarize_runs(metric, "training_curves")
    assert again["value_n"].values[0, 2, 0] == 2
    assert again["value_mean"].values[0, 2, 0] == pytest.approx(metric["value"].values[[0, 2], 2, 0].mean())


def test_training_curves_are_the_histories(tmp_path):
    paths = write_dumps(tmp_path, RUNS)
    metric, _ = training_curves.run(paths, {}, {})
    for path, value in zip(paths, metric["value"].values, strict=True):
        np.testing.assert_array_equal(value, read_dump(path).data["history"].values)
    assert metric["quantity"].values.tolist() == list(HISTORY)
    assert metric["epoch"].values.tolist() == [0, 1, 2, 3]


def test_calibration_of_a_network_whose_confidence_is_its_accuracy(tmp_path):
    """Logits log p with labels drawn so that class 0 is right in p of the images: no calibration error."""
    dump = make_dump("control", 0.0, 0, activations=np.random.default_rng(0).normal(size=(50, 12)).astype(np.float32))
    probability = np.array([0.6] + [0.4 / 9] * 9)
    dump["logits"].values[:] = np.log(probability)
    dump["label"].values[:] = np.where(np.arange(50) < 30, 0, 1)
    write_dataset(dump, tmp_path / "a.nc", "activations")
    metric, _ = calibration.run([tmp_path / "a.nc"], {"bins": 15}, {})
    assert metric["accuracy"].item() == 0.6
    assert metric["calibration_error"].item() == pytest.approx(0, abs=1e-7)
    assert metric["logit_gap"].item() == pytest.approx(np.log(0.6 * 9 / 0.4), rel=1e-6)
    assert metric["probability_gap"].item() == pytest.approx(0.6 - 0.4 / 9, rel=1e-6)


def test_weight_noise_is_that_of_the_readout_after_the_relu(tmp_path):
    paths = write_dumps(tmp_path, RUNS[:2])
    settings = {"absolute": [0.0, 0.5], "relative": [0.5, 1.0], "repetitions": 40}
    metric, _ = weight_noise.run(paths, settings, {})
    assert metric["sigma"].values.tolist() == [[0.0, 0.5], [0.5, 1.0]]
    for index, path in enumerate(paths):
        data = read_dump(path).data
        readout = data["readout_weight"].values
        clean = (data["logits"].values.argmax(axis=1) == data["label"].values).mean()
        of_run = metric.isel(run=index)
        assert of_run["clean_accuracy"].item() == pytest.approx(clean)
        assert of_run["accuracy_change"].sel(mode="absolute").values[0] == 0
        assert of_run["similarity"].sel(mode="absolute").values[0] == pytest.approx(1)
        assert of_run["readout_norm"].item() == pytest.approx(np.linalg.norm(readout))
        assert of_run["readout_sd"].item() == pytest.approx(readout.std())
        # About the same noise, absolute 0.5 and relative 0.5: these weights are standard normal.
        similarity = {mode: of_run["similarity"].sel(mode=mode).values for mode in ("absolute", "relative")}
        middle = [similarity["absolute"][1], similarity["relative"][0]]
        assert middle[0] == pytest.approx(middle[1], abs=0.05)
        assert similarity["relative"][1] < min(middle)


def test_weight_noise_needs_as_many_levels_of_both_modes(tmp_path):
    with pytest.raises(TopoRepError, match="as many relative as absolute levels, found 1 and 4"):
        weight_noise.run(write_dumps(tmp_path, RUNS[:1]), {"relative": [1]}, {})


def test_image_noise_is_in_shares_and_percentage_points(tmp_path):
    paths = inputs_of("image_noise_robustness", tmp_path)
    metric, _ = image_noise_robustness.run(paths, {}, {})
    first = read_dataset(paths[0], "image_noise")
    accuracy = first["correct"].values.mean(axis=-1) / 200
    np.testing.assert_allclose(metric["accuracy"][0], accuracy, rtol=1e-15)
    expected = 100 * (accuracy - first["clean_correct"].values[:, None, None] / 200)
    np.testing.assert_allclose(metric["accuracy_change"][0], expected, rtol=1e-12)


def test_common_range_of_entropy_is_that_of_all_runs(tmp_path):
    """Twice the responses: as much entropy over a unit's own range, a bit more by the other estimators."""
    activations = np.random.default_rng(1).normal(size=(4000, 12)).astype(np.float32)
    for seed, scale in enumerate((1, 2)):
        dump = make_dump("control", 0.0, seed, activations=scale * activations)
        write_dataset(dump, tmp_path / f"{seed}.nc", "activations")
    metric, _ = activity.run([tmp_path / "0.nc", tmp_path / "1.nc"], {}, {})
    own, common, gaussian = (metric["entropy"].sel(estimator=name).values for name in metric["estimator"].values)
    assert own[1] == pytest.approx(own[0], abs=1e-9)
    assert gaussian[1] - gaussian[0] == pytest.approx(1, abs=1e-6)
    assert 0.8 < common[1] - common[0] < 1.1
    assert metric["variance"].values[1] == pytest.approx(4 * metric["variance"].values[0], rel=1e-6)
    assert metric["percent_zero"].values == pytest.approx(50, abs=2)


def test_dead_units_are_counted_and_left_out_of_the_entropy(tmp_path):
    activations = np.random.default_rng(1).normal(size=(300, 12)).astype(np.float32)
    activations[:, :4] = -1
    alive = make_dump("control", 0.0, 0, activations=activations[:, 4:], grid=(2, 4))
    write_dataset(alive, tmp_path / "alive.nc", "activations")
    write_dataset(make_dump("control", 0.0, 0, activations=activations), tmp_path / "dead.nc", "activations")
    alive, dead = (activity.run([tmp_path / f"{name}.nc"], {}, {})[0] for name in ("alive", "dead"))
    assert (alive["dead_units"].item(), dead["dead_units"].item()) == (0, 4)
    np.testing.assert_allclose(dead["entropy"], alive["entropy"], rtol=1e-12)


def test_correlation_histograms_hold_every_unit_and_every_pair(tmp_path):
    paths = write_dumps(tmp_path, RUNS)
    metric, _ = correlations.run(paths, {"bins": 20, "thresholds": [0.9]}, {})
    counts = metric["histogram"].sum("bin").isel(run=0)
    expected = {"weights_neighbor": 12, "weights_all": 66, "activations_neighbor": 12, "activations_all": 66}
    assert dict(zip(metric["quantity"].values, counts.values, strict=True)) == expected
    top = metric["histogram"].values[..., -1] / counts.values
    np.testing.assert_allclose(top, metric["share_above"].values[..., 0], rtol=1e-15)
    dump = read_dump(paths[0])
    pairs = np.corrcoef(dump.data["sheet_weight"].values)[np.triu_indices(12, 1)]
    assert metric["median"].sel(quantity="weights_all").values[0] == pytest.approx(np.median(pairs), abs=1e-12)
    pairs = np.corrcoef(dump.activations, rowvar=False)[np.triu_indices(12, 1)]
    assert metric["share_negative"].sel(quantity="activations_all").values[0] == (pairs < 0).mean()


def test_dimensionality_has_units_as_variables_of_the_weights(tmp_path):
    paths = write_dumps(tmp_path, RUNS[:1])
    metric, _ = dimensionality.run(paths, {}, {})
    dump = read_dump(paths[0])
    matrices = {
        "weights": dump.data["sheet_weight"].values.T,
        "weights_transposed": dump.data["sheet_weight"].values,
        "activations_pre": dump.activations,
        "activations_post": np.maximum(dump.activations, 0),
    }
    for quantity, matrix in matrices.items():
        eigenvalues = np.linalg.eigvalsh(np.cov(matrix.astype(float), rowvar=False))
        expected = eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
        found = metric["effective_dimensionality"].sel(quantity=quantity).values
        assert found == pytest.approx(expected, rel=1e-9), quantity


def cosines(cycles, phases_deg=0.0) -> np.ndarray:
    """(36, units) responses with one harmonic each."""
    angle = np.deg2rad(np.arange(36) * 10.0)[:, None]
    return np.cos(np.asarray(cycles) * (angle - np.deg2rad(phases_deg)))


def test_harmonics_of_cosines(tmp_path):
    cycles = np.array([1, 2, 2, 2, 4, 4, 2, 2, 2, 4, 4, 7])
    preferred = np.array([0, 0, 90, 45, 0, 45, 135, 20, 0, 90, 20, 0])
    hard = cosines(cycles, preferred)
    control = cosines(np.where(cycles == 4, 1, cycles), preferred)
    wedge = np.stack([hard, hard, control]) + 0.01 * cosines(1)
    write_dataset(tuning_file(RUNS[0], wedge=wedge), tmp_path / "a.nc", "tuning")
    metric, _ = harmonics.run([tmp_path / "a.nc"], {}, {})
    of_run = metric.isel(run=0)
    # The unit of cycle 7 has nothing but the small cosine of cycle 1 among the first five.
    assert of_run["dominant"].values[0].tolist() == [*cycles[:-1], 1]
    np.testing.assert_allclose(of_run["share"].values[0], np.array([0, 2, 6, 0, 4, 0]) / 12)
    np.testing.assert_allclose(of_run["share_beyond"].values, 1 / 12)
    np.testing.assert_allclose(of_run["changed_share"].values, [0, 0, 4 / 12])
    # horizontal 2, vertical 1, diagonal 2, other 1; cardinal 2, diagonal 1, other 1
    np.testing.assert_allclose(of_run["cycle2_phase_share"].values[0], np.array([2, 1, 2, 1]) / 6)
    np.testing.assert_allclose(of_run["cycle4_phase_share"].values[0], np.array([2, 1, 1]) / 4)
    assert np.isnan(of_run["cycle4_phase_share"].values[2]).all()


def test_a_unit_that_follows_the_light_of_wedges_is_symmetric_until_the_light_is_equal(tmp_path):
    """The artefact that the figures state: hard-edged wedges alone make a unit "cycle 4"."""
    light = [wedges(28, variant=variant).sum(axis=(1, 2)) for variant in VARIANTS]
    wedge = np.stack([np.repeat(values[:, None], 12, axis=1) for values in light])
    write_dataset(tuning_file(RUNS[0], wedge=wedge), tmp_path / "a.nc", "tuning")
    metric, _ = harmonics.run([tmp_path / "a.nc"], {}, {})
    assert (metric["dominant"].values[0, 0] == 4).all()
    assert (metric["dominant"].values[0, 2] == 0).all()
    assert metric["changed_share"].values[0].tolist()[::2] == [0, 1]


def test_eccentricity_classes_and_centres(tmp_path):
    bump = np.exp(-((RADII - 7) ** 2) / 4)
    profiles = [RADII, -RADII, bump, np.resize([0.0, 1.0], 13)] * 3
    ring = np.stack([np.stack(profiles, axis=1)] * 3)
    ring[2, :, 0] = bump
    write_dataset(tuning_file(RUNS[0], ring=ring), tmp_path / "a.nc", "tuning")
    metric, _ = eccentricity.run([tmp_path / "a.nc"], {}, {})
    assert metric["profile"].values.tolist() == ["increasing", "decreasing", "bandpass", "flat"]
    assert metric["label"].values[0, 0].tolist() == [0, 1, 2, 3] * 3
    np.testing.assert_allclose(metric["share"].values[0, 0], 0.25)
    np.testing.assert_allclose(metric["changed_share"].values[0], [0, 0, 1 / 12])
    centers = metric["center"].values[0, 0]
    np.testing.assert_allclose(centers[2::4], 7, atol=1e-3)
    assert np.isnan(np.delete(centers, [2, 6, 10])).all()
    assert metric["center_histogram"].values[0, 0].tolist() == [0] * 6 + [3] + [0] * 6
    assert metric["bin_left"].values.tolist() == (RADII - 0.5).tolist()


def test_files_of_other_levels_or_radii_are_refused(tmp_path):
    write_dataset(noise_file(RUNS[0]), tmp_path / "a.nc", "image_noise")
    other = noise_file(RUNS[1]).assign_coords(level=("level", np.array([0.01, 0.05, 0.1, 0.15, 0.3])))
    write_dataset(other, tmp_path / "b.nc", "image_noise")
    with pytest.raises(TopoRepError, match=r"b\.nc: level is not the same as in .*a\.nc"):
        image_noise_robustness.run([tmp_path / "a.nc", tmp_path / "b.nc"], {}, {})


def test_a_file_of_another_evaluation_is_refused(tmp_path):
    write_dataset(noise_file(RUNS[0]), tmp_path / "a.nc", "image_noise")
    with pytest.raises(TopoRepError, match="expected schema 'tuning' version 1, found 'image_noise'"):
        harmonics.run([tmp_path / "a.nc"], {}, {})


def test_probability_gap_is_of_the_softmax(tmp_path):
    paths = write_dumps(tmp_path, RUNS[:1])
    metric, _ = calibration.run(paths, {}, {})
    probability = np.sort(special.softmax(read_dump(paths[0]).data["logits"].values.astype(float), axis=1), axis=1)
    assert metric["probability_gap"].item() == pytest.approx((probability[:, -1] - probability[:, -2]).mean(), rel=1e-6)
