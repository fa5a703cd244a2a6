from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from toporep.analyses import (
    capsule_correlation,
    capsules,
    equivariance,
    held_out_frames,
    log_likelihood,
    torus_images,
    traversals,
)
from toporep.analyses.dumps import read_dump
from toporep.errors import TopoRepError
from toporep.io import write_dataset
from toporep.metrics.capsule_latents import VARIANTS
from toporep.metrics.capsule_nulls import random_direction_error
from toporep.models.grouper import window_offsets

FRAMES, CAPSULES, UNITS = 6, 4, 6
SHAPE = (FRAMES, CAPSULES, UNITS)
TVAE = {"form": "shifting", "windows": {"frames": 3, "units": 3}, "truncate_band": True, "mu": 30, "eps": 1e-6}
VAE = {**TVAE, "form": "none", "windows": None}
BUBBLE = {**TVAE, "form": "stationary"}
FEW = {"null_sequences": 8, "variant_sequences": 5}
PREDICTIONS, ESTIMATORS = ("reconstruction", "rolled", "static"), ("published", "corrected", "joint")


def text(dim, names):
    return dim, np.array(names, dtype=object)


def noise(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def make_sequences(
    *,
    condition=TVAE,
    name="tvae",
    seed=0,
    count=12,
    shape=SHAPE,
    kind="single",
    factor_names=("rotation", "color"),
    sizes=None,
    history=None,
    z=None,
    samples=10,
) -> xr.Dataset:
    """An evaluation of schema `sequences` of random latents; classes by number, so that all runs have the same."""
    frames, groups, units = shape
    sizes = [frames] * len(factor_names) if sizes is None else sizes
    factor = np.arange(count) % len(factor_names)
    start = np.array([index // len(factor_names) % sizes[index % len(factor_names)] for index in range(count)])
    before, examples, history = count // 2, 3, history or {"nll": [9.0, 8.0]}
    latents = ("sequence", "frame", "latent")
    untrained = ("untrained", "frame", "latent")
    values = np.random.default_rng(100 + seed)
    z = noise(1 + 10 * seed, count, frames, groups * units) if z is None else z.reshape(count, frames, -1)
    variables = {
        "z": (latents, z),
        "u": (latents, noise(2 + 10 * seed, count, frames, groups * units)),
        "z_untrained": (untrained, noise(3 + 10 * seed, before, frames, groups * units)),
        "u_untrained": (untrained, noise(4 + 10 * seed, before, frames, groups * units)),
        "mu": ((), 29.0 + seed),
        "log_likelihood": (("estimator", "likelihood"), values.normal(-180, 5, (3, 7))),
        "log_likelihood_untrained": (("estimator", "likelihood_untrained"), values.normal(-1600, 5, (3, 4))),
        "kl_z": ("sequence", values.uniform(10, 20, count)),
        "kl_u": ("sequence", values.uniform(3, 5, count)),
        "entropy_floor": ("sequence", values.uniform(100, 130, count)),
        "constant_pixel_nll": ((), 416.6),
        **{
            key: (("prediction", "sequence", "frame"), values.uniform(50, 400, (3, count, frames)).astype(np.float32))
            for key in ("nll", "squared_error")
        },
        **{
            f"example_{line}": (
                ("example", "frame", "image_row", "image_col", "channel"),
                values.integers(256, size=(examples, frames, 5, 4, 3), dtype=np.uint8),
            )
            for line in ("frames", "reconstruction", "traversal")
        },
        "history": (("epoch", "quantity"), np.array(list(history.values())).T),
    }
    if condition["form"] == "none":
        variables = {key: value for key, value in variables.items() if key not in ("u", "u_untrained", "kl_u")}
    config = {
        "training": {"epochs": 1, "sequences": kind, "train_images": 64},
        "evaluation": {"seed": 0, "likelihood_samples": samples},
        "model": {"name": "TopographicVAE", "frames": frames, "capsules": groups, "units": units},
        "condition": condition,
    }
    return xr.Dataset(
        variables,
        coords={
            "factor": ("sequence", factor),
            "start": ("sequence", start),
            "label": ("sequence", np.arange(count) % 10),
            "example_sequence": ("example", np.array([4, 1, 7])),
            "prediction": text("prediction", PREDICTIONS),
            "estimator": text("estimator", ESTIMATORS),
            "epoch": ("epoch", np.arange(2)),
            "quantity": text("quantity", list(history)),
        },
        attrs={
            **shared_attrs(name, seed, config),
            "factor_names": json.dumps(factor_names),
        },
    )


def shared_attrs(name, seed, config):
    return {
        "paper": "keller2021_capsules",
        "dataset": "mnist",
        "source": "digits",
        "source_title": "handwritten digits",
        "scale": "demo",
        "condition": name,
        "strength": 0.0,
        "seed": seed,
        "config": json.dumps(config),
        "config_sha256": "0" * 64,
        "data_sha256": "1" * 64,
        "code_hash": "2" * 16,
        "software": "{}",
        "device": "cpu",
        "deterministic": 1,
    }


def analyze(module, folder, *datasets, schema="sequences", **settings):
    """Metric and summary of evaluations, after a round through files of their schemas."""
    paths = []
    for number, dataset in enumerate(datasets):
        paths.append(str(folder / f"run{number}.nc"))
        write_dataset(dataset, paths[-1], schema)
    outputs = module.run(paths, settings, {"code_hash": "abc"})
    name = module.__name__.rpartition(".")[2]
    for output, suffix in zip(outputs, ("", "_summary"), strict=True):
        write_dataset(output, folder / f"{name}{suffix}.nc", f"{name}{suffix}")
    return outputs


def as_capsules(values, shape=SHAPE):
    return values.reshape(len(values), *shape)


def slow_energy(u, *, condition, allowed=lambda frame: True):
    """v of the first frame of one capsule, (units,), by a loop over the terms of the paper's sum."""
    frames, units = u.shape
    window, half = condition["windows"]["frames"], condition["windows"]["units"] // 2
    v = np.zeros(units)
    for unit in range(units):
        for delta in window_offsets(window):
            for side in range(-half, half + 1):
                step = delta + side if condition["form"] == "shifting" else side
                if condition["form"] == "shifting" and step not in window_offsets(window):
                    continue
                if allowed(delta % frames):
                    v[unit] += u[delta % frames, (unit + step) % units] ** 2
    return v


def slow_error(t):
    """Equivariance error of (frames, capsules, units), by loops over pairs of frames."""
    t = t / np.sqrt((t**2).sum(-1, keepdims=True))
    pairs = [(a, b) for b in range(len(t)) for a in range(b)]
    return sum(np.abs(np.roll(t[a], b - a, axis=-1) - t[b]).sum() for a, b in pairs)


def slow_t(data, suffix="", *, mu):
    """t of all sequences (…, frame, capsule, unit) by the loop over terms: a frame's t is its sequence's first, rolled
    in time."""
    z, u = (as_capsules(data[f"{name}{suffix}"].values.astype(float)) for name in "zu")
    t = np.empty_like(z)
    for index in np.ndindex(t.shape[:3]):
        sequence, frame, capsule = index
        v = slow_energy(np.roll(u[sequence, :, capsule], -frame, axis=0), condition=TVAE)
        t[index] = (z[index] + mu) / np.sqrt(v + 1e-6)
    return t


# Equivariance


def test_errors_are_those_of_a_plain_loop(tmp_path):
    runs = [make_sequences(seed=seed) for seed in (0, 1)]
    metric, summary = analyze(equivariance, tmp_path, *runs, **FEW)
    for number, run in enumerate(runs):
        # Trained, with the mu that was learned; before training, with the configured one.
        for name, suffix, mu in (("error", "", 29.0 + number), ("untrained", "_untrained", 30.0)):
            expected = np.mean([slow_error(t) for t in slow_t(run, suffix, mu=mu)])
            without = np.mean([slow_error(t) for t in slow_t(run, suffix, mu=0.0)])
            assert metric[name].values[number, :2] == pytest.approx([expected, without])
    assert metric["variant"].values.tolist() == list(VARIANTS)
    assert summary["error_mean"].values[0] == pytest.approx(metric["error"].values.mean(axis=0))
    training = json.loads(metric.attrs["training"])
    assert (training["n_stimuli"], training["frames"], training["capsules"]) == (12, FRAMES, CAPSULES)


def test_a_vae_whose_latents_roll_has_no_error_in_any_variant(tmp_path):
    first = noise(7, 12, CAPSULES, UNITS)
    z = np.stack([np.roll(first, frame, axis=-1) for frame in range(FRAMES)], axis=1)
    metric, _ = analyze(equivariance, tmp_path, make_sequences(condition=VAE, name="vae", z=z), **FEW)
    assert metric["error"].values == pytest.approx(np.zeros((1, 4)), abs=1e-6)
    assert np.all(metric["untrained"].values > 0.7 * metric.attrs["random_directions"])


def test_variants_with_disjoint_windows_take_the_first_sequences_only(tmp_path):
    data = make_sequences()
    few, _ = analyze(equivariance, tmp_path, data, **FEW)
    first = data.isel(sequence=slice(5), untrained=slice(5), example=slice(0))
    alone, _ = analyze(equivariance, tmp_path, first, null_sequences=8, variant_sequences=None)
    for name in ("error", "untrained"):
        np.testing.assert_array_equal(few[name].values[:, 2:], alone[name].values[:, 2:])
        assert np.all(few[name].values[:, :2] != alone[name].values[:, :2])


def test_a_network_that_knows_nothing_is_at_its_null(tmp_path):
    # The latents of these files are the noise of which the null is made, with another mu of almost the same size.
    runs = [make_sequences(count=400), make_sequences(count=400, condition=VAE, name="vae")]
    metric, _ = analyze(equivariance, tmp_path, *runs, null_sequences=400, variant_sequences=400)
    allowed = 4 * np.hypot(metric["null_uncertainty"].values, metric["null_uncertainty"].values)
    assert np.all(np.abs(metric["error"].values - metric["null"].values) < allowed)
    # Directions of a plain VAE are random; mu alone brings the topographic one far below them.
    chance = random_direction_error(*SHAPE)
    assert metric.attrs["random_directions"] == pytest.approx(chance)
    assert metric["null"].values[1] == pytest.approx([chance] * 4, rel=0.01)
    assert metric["null"].values[0, 0] < 0.5 * chance < metric["null"].values[0, 1]


def test_a_null_is_simulated_once_for_runs_that_differ_by_training_alone(tmp_path, monkeypatch):
    calls = []
    simulate = equivariance.null_equivariance_error

    def counted(*args, **options):
        calls.append(args)
        return simulate(*args, **options)

    monkeypatch.setattr(equivariance, "null_equivariance_error", counted)
    renamed = make_sequences(name="tvae_projected")
    runs = [make_sequences(), make_sequences(seed=1), renamed, make_sequences(condition=BUBBLE, name="bubble")]
    metric, _ = analyze(equivariance, tmp_path, *runs, **FEW)
    assert len(calls) == 2
    null = metric["null"].values
    assert np.array_equal(null[0], null[1]) and np.array_equal(null[0], null[2]) and np.all(null[0] != null[3])


def test_the_running_error_is_the_last_epochs(tmp_path):
    history = {"nll": [9.0, 8.0], "running_equivariance_error": [np.nan, 131.0]}
    metric, _ = analyze(equivariance, tmp_path, make_sequences(history=history), **FEW)
    assert metric["running"].values.tolist() == [131.0]
    metric, summary = analyze(equivariance, tmp_path, make_sequences(), **FEW)
    assert np.isnan(metric["running"].values).all() and summary["running_n"].values.tolist() == [0]


def test_the_norm_can_be_that_of_the_whole_latent(tmp_path):
    capsule, whole = (
        analyze(equivariance, tmp_path, make_sequences(condition=VAE), norm=norm, **FEW)[0]
        for norm in ("capsule", "whole")
    )
    # Random vectors of C * D numbers of length 1 have numbers that are smaller by sqrt(C) than C vectors of D.
    ratio = capsule["error"].values / whole["error"].values
    assert ratio == pytest.approx(np.full((1, 4), np.sqrt(CAPSULES)), rel=0.1)
    assert whole.attrs["random_directions"] == random_direction_error(*SHAPE, norm="whole")


# Capsule correlation

SPRITES = {"kind": "dsprites", "factor_names": ("x", "y", "orientation", "scale"), "sizes": (15, 15, 15, 5)}
SPRITE_SHAPE = (15, 3, 15)


def rolling(start, shape):
    """z of sequences whose capsules roll by one unit a frame from where the first class stands."""
    frames, groups, units = shape
    pattern = noise(5, groups, units)
    return np.stack([[np.roll(pattern, first + frame, axis=-1) for frame in range(frames)] for first in start]).astype(
        np.float32
    )


def test_a_model_that_rolls_with_the_input_has_correlation_1_for_every_factor(tmp_path):
    data = make_sequences(condition=VAE, count=300, shape=SPRITE_SHAPE, **SPRITES)
    data["z"] = data["z"].copy(data=rolling(data["start"].values, SPRITE_SHAPE).reshape(300, 15, -1))
    metric, _ = analyze(capsule_correlation, tmp_path, data, null_sequences=32)
    assert metric["factor"].values.tolist() == ["x", "y", "orientation", "scale"]
    for name in ("correlation", "average", "moved"):
        assert metric[name].values == pytest.approx(np.ones(metric[name].shape))


def slow_roll(t0, t_omega):
    """Mode over capsules of the shift of largest correlation, the smallest of equal ones."""
    units = t0.shape[-1]
    rolls = []
    for a, b in zip(t0, t_omega, strict=True):
        scores = [sum(a[(n + k) % units] * b[n] for n in range(units)) for k in range(units)]
        rolls.append(int(np.argmax(scores)))
    return int(np.argmax(np.bincount(rolls, minlength=units)))


def slow_correlations(t, factor, start, sizes):
    """(published, moved) of each factor, by loops over sequences and frames."""
    found = []
    for number, size in enumerate(sizes):
        published, moved, shifts = [], [], []
        for sequence in np.flatnonzero(factor == number):
            first = start[sequence]
            zero = [frame for frame in range(t.shape[1]) if (first + frame) % size == 0]
            rolls = [slow_roll(t[sequence, 0], t[sequence, frame]) for frame in zero]
            published.append(min(rolls, key=lambda roll: abs(roll - first)))
            moved.append(rolls[-1])
            shifts.append(first)
        shifts, moved = np.array(shifts), np.array(moved)
        kept = shifts != 0
        pairs = (np.array(published), shifts), (moved[kept], shifts[kept])
        found.append([np.corrcoef(*pair)[0, 1] for pair in pairs])
    return np.array(found).T


def test_correlations_are_those_of_a_plain_loop(tmp_path):
    # Of a plain VAE, whose t is z: no factor is followed, and the scale is shown three times.
    data = make_sequences(condition=VAE, count=160, shape=SPRITE_SHAPE, **SPRITES)
    metric, summary = analyze(capsule_correlation, tmp_path, data, null_sequences=32)
    factor, start = data["factor"].values, data["start"].values
    for published, moved, suffix in (("correlation", "moved", ""), ("untrained", None, "_untrained")):
        t = as_capsules(data[f"z{suffix}"].values.astype(float), SPRITE_SHAPE)
        expected = slow_correlations(t, factor[: len(t)], start[: len(t)], (15, 15, 15, 5))
        for variant in range(4):
            assert metric[published].values[0, variant] == pytest.approx(expected[0])
            if moved:
                assert metric[moved].values[0, variant] == pytest.approx(expected[1])
    assert metric["average"].values == pytest.approx(metric["correlation"].values.mean(axis=-1))
    assert summary["untrained_average_mean"].values == pytest.approx(metric["untrained"].values.mean(axis=-1))


def test_correlations_of_a_topographic_model_are_those_of_its_t(tmp_path):
    data = make_sequences(count=60)
    metric, _ = analyze(capsule_correlation, tmp_path, data, null_sequences=32, variant_sequences=60)
    factor, start = data["factor"].values, data["start"].values
    for variant, mu in enumerate((29.0, 0.0)):
        expected = slow_correlations(slow_t(data, mu=mu), factor, start, (FRAMES, FRAMES))
        assert metric["correlation"].values[0, variant] == pytest.approx(expected[0])
        assert metric["moved"].values[0, variant] == pytest.approx(expected[1])


def test_without_learning_wide_windows_correlate_and_what_moved_without_mu_does_not(tmp_path):
    wide = {**TVAE, "windows": {"frames": 15, "units": 1}}
    data = make_sequences(condition=wide, count=600, shape=SPRITE_SHAPE, **SPRITES)
    metric, _ = analyze(capsule_correlation, tmp_path, data, null_sequences=600, variant_sequences=600)
    # Published: 1 for L = S/2 (Table 5), of a network that has learned nothing too.
    assert metric["correlation"].values[0, 0] == pytest.approx(np.ones(4), abs=0.01)
    assert metric["null"].values[0, 0] == pytest.approx(np.ones(4), abs=0.01)
    # Standard errors: 0.05 of a mean over factors of 140 sequences.
    assert np.all(np.abs(metric["average"].values - metric["null_average"].values) < 0.2)
    for of in ("", "untrained_", "null_"):
        assert np.all(np.abs(metric[f"{of}moved_average"].values[0, 1:]) < 0.2)
    assert metric["moved_average"].values == pytest.approx(metric["moved"].values.mean(axis=-1))
    # From the last frame of class 0, a scale that is shown three times rolls by just its shift.
    assert metric["null_moved_average"].values[0, 0] == pytest.approx(1, abs=0.01)
    # The scale is right by chance: the nearest of three rolls counts, and sequences of shift 0.
    assert np.all(metric["correlation"].values[0, 1:, 3] > 0.4)


def test_factors_of_as_many_classes_share_a_null_and_the_scale_has_its_own(tmp_path):
    data = make_sequences(condition=VAE, count=40, shape=(15, 1, 15), **SPRITES)
    metric, _ = analyze(capsule_correlation, tmp_path, data, null_sequences=1500)
    null = metric["null"].values[0, 0]
    assert null[0] == null[1] == null[2]
    assert metric["null_average"].values[0, 0] == pytest.approx(null.mean())
    # A single capsule of noise rolls by any number of units equally often, but never against itself.
    generator = np.random.default_rng(2)
    for place, size in ((0, 15), (3, 5)):
        shift = generator.integers(size, size=100_000)
        rolls = generator.integers(15, size=(15 // size, 100_000))
        rolls[0, shift == 0] = 0
        nearest = np.take_along_axis(rolls, np.abs(rolls - shift).argmin(axis=0)[None], axis=0)[0]
        assert null[place] == pytest.approx(np.corrcoef(nearest, shift)[0, 1], abs=0.08)


def test_running_correlations_belong_to_their_factors(tmp_path):
    history = {f"running_capsule_correlation_{name}": [np.nan, value] for name, value in (("y", 0.2), ("x", 0.1))}
    options = {**SPRITES, "factor_names": ("x", "y"), "sizes": (15, 15)}
    data = make_sequences(condition=VAE, count=40, shape=SPRITE_SHAPE, history=history, **options)
    metric, _ = analyze(capsule_correlation, tmp_path, data, null_sequences=32)
    assert metric["running"].values.tolist() == [[0.1, 0.2]]


def test_sprites_have_the_classes_of_the_renderer_and_the_sequences():
    from toporep.data.dsprites import SUBSET_SIZES
    from toporep.data.sequences import KINDS

    shape, scale, orientation, x, y = SUBSET_SIZES
    expected = {"x": x, "y": y, "orientation": orientation, "scale": scale}
    assert expected == capsule_correlation.SPRITE_CLASSES
    assert KINDS["dsprites"].sizes == (shape, scale, orientation, x, y)
    for name, kind in KINDS.items():
        if name not in ("dsprites", "plain"):
            assert {kind.sizes[number] for number in kind.changing} == {kind.frames}


# Likelihood


def test_likelihoods_are_means_over_sequences(tmp_path):
    data = make_sequences()
    metric, summary = analyze(log_likelihood, tmp_path, data, make_sequences(condition=VAE, name="vae"))
    assert metric["log_likelihood"].values[0] == pytest.approx(data["log_likelihood"].mean("likelihood").values)
    untrained = data["log_likelihood_untrained"].mean("likelihood_untrained").values
    assert metric["untrained"].values[0] == pytest.approx(untrained)
    nll = data["nll"].sel(prediction="reconstruction").values
    assert metric["reconstruction"].values[0] == pytest.approx(sum(map(float, nll.ravel())) / nll.size)
    for name in ("kl_z", "kl_u", "entropy_floor"):
        assert metric[name].values[0] == pytest.approx(data[name].values.mean())
    assert metric["constant_pixel"].values.tolist() == [416.6, 416.6]
    assert np.isnan(metric["kl_u"].values[1]) and summary["kl_u_n"].values.tolist() == [1, 0]
    assert metric["estimator"].values.tolist() == list(ESTIMATORS)


def test_likelihoods_say_of_how_many_samples_and_pixels_they_are(tmp_path):
    metric, summary = analyze(log_likelihood, tmp_path, make_sequences(samples=7))
    for made in (metric, summary):
        assert (made.attrs["likelihood_samples"], made.attrs["pixels"]) == (7, 5 * 4)
    message = r"run1\.nc: expected likelihood_samples 7, pixels 20, as in the files before, found likelihood_samples 9"
    with pytest.raises(TopoRepError, match=message):
        analyze(log_likelihood, tmp_path, make_sequences(samples=7), make_sequences(seed=1, samples=9))


# Frames that t of the first frame has seen


@pytest.mark.parametrize(
    ("form", "frames", "windows", "held_out"),
    [
        # The paper's Figure 4: frames in grey.
        ("shifting", 18, {"frames": 13, "units": 3}, range(7, 12)),
        ("shifting", 15, {"frames": 10, "units": 1}, range(6, 11)),
        ("stationary", 18, {"frames": 5, "units": 5}, range(3, 16)),
        ("shifting", 18, {"frames": 18, "units": 3}, range(0)),
        ("stationary", 18, {"frames": 1, "units": 9}, range(1, 18)),
        ("none", 18, None, range(1, 18)),
    ],
)
def test_held_out_frames_are_those_that_the_paper_shows_in_grey(tmp_path, form, frames, windows, held_out):
    condition = {**TVAE, "form": form, "windows": windows}
    data = make_sequences(condition=condition, shape=(frames, 2, frames), count=4)
    data = data.isel(example=slice(0))
    write_dataset(data, tmp_path / "a.nc", "sequences")
    seen = capsules.seen_frames(capsules.network_of(read_dump(tmp_path / "a.nc", "sequences")))
    assert np.flatnonzero(~seen).tolist() == list(held_out)


def test_errors_of_seen_and_held_out_frames_are_those_of_their_frames(tmp_path):
    data = make_sequences()
    metric, _ = analyze(held_out_frames, tmp_path, data)
    assert metric["part"].values.tolist() == ["seen", "held_out", "all"]
    for name in ("nll", "squared_error"):
        for place, frames in enumerate(([5, 0, 1], [2, 3, 4], range(6))):
            for number, prediction in enumerate(PREDICTIONS):
                values = [data[name].sel(prediction=prediction).values[:, frame].astype(float) for frame in frames]
                assert metric[name].values[0, number, place] == pytest.approx(np.mean(values))


def test_a_window_of_all_frames_holds_none_out(tmp_path):
    full = {**TVAE, "windows": {"frames": FRAMES, "units": 3}}
    metric, summary = analyze(held_out_frames, tmp_path, make_sequences(condition=full), make_sequences(seed=1))
    assert np.isnan(metric["nll"].values[0, :, 1]).all()
    np.testing.assert_array_equal(metric["nll"].values[0, :, 0], metric["nll"].values[0, :, 2])
    assert summary["nll_n"].values[0].tolist() == [[2, 1, 2]] * 3


# Traversals


def test_traversals_show_the_chosen_sequences(tmp_path):
    runs = [make_sequences(), make_sequences(condition=VAE, name="vae")]
    metric, summary = analyze(traversals, tmp_path, *runs)
    assert metric["line"].values.tolist() == ["frames", "reconstruction", "traversal"]
    for number, run in enumerate(runs):
        for place, line in enumerate(metric["line"].values):
            np.testing.assert_array_equal(metric["image"].values[number, :, place], run[f"example_{line}"].values)
    assert metric["seen"].values.tolist() == [[1, 1, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0]]
    # Examples are of sequences 4, 1 and 7; factors take turns, and so do classes after them.
    assert metric["factor"].values.tolist() == ["rotation", "color", "color"]
    assert metric["start"].values.tolist() == [2, 0, 3]
    assert metric["label"].values.tolist() == [4, 1, 7]
    assert summary["prediction"].values.tolist() == list(PREDICTIONS)
    for number, prediction in enumerate(PREDICTIONS):
        errors = [
            np.mean([float(runs[1]["squared_error"].sel(prediction=prediction)[s, frame]) for s in (4, 1, 7)])
            for frame in range(FRAMES)
        ]
        assert summary["squared_error_mean"].values[1, number] == pytest.approx(errors)


def test_errors_of_examples_are_the_evaluations_and_their_parts_those_of_held_out_frames(tmp_path):
    data = make_sequences()
    metric, _ = analyze(traversals, tmp_path, data)
    assert metric["part"].values.tolist() == ["seen", "held_out", "all"]
    for example, sequence in enumerate((4, 1, 7)):
        alone = data.isel(sequence=[sequence], example=slice(0))
        expected = analyze(held_out_frames, tmp_path, alone)[0]["squared_error"].values[0]
        np.testing.assert_array_equal(metric["part_error"].values[0, example], expected)
        for number in range(3):
            errors = data["squared_error"].values[number, sequence]
            np.testing.assert_array_equal(metric["squared_error"].values[0, example, number], errors)


def test_examples_without_held_out_frames_have_no_error_there(tmp_path):
    full = {**TVAE, "windows": {"frames": FRAMES, "units": 3}}
    metric, _ = analyze(traversals, tmp_path, make_sequences(condition=full))
    assert np.isnan(metric["part_error"].sel(part="held_out")).all()
    np.testing.assert_array_equal(metric["part_error"].sel(part="seen"), metric["part_error"].sel(part="all"))


def test_the_summary_of_traversals_is_over_seeds(tmp_path):
    _, both = analyze(traversals, tmp_path, make_sequences(), make_sequences(seed=1))
    alone = [analyze(traversals, tmp_path, make_sequences(seed=seed))[1] for seed in (0, 1)]
    expected = np.mean([one["squared_error_mean"].values[0] for one in alone], axis=0)
    assert both["squared_error_mean"].values[0] == pytest.approx(expected)
    assert both["n"].values.tolist() == [2]


# The torus


def make_torus(label, grid, *, untrained=None, seed=0) -> xr.Dataset:
    rows, cols = grid
    label = np.asarray(label).ravel()
    images = np.random.default_rng(seed).integers(256, size=(rows * cols, 4, 4, 1), dtype=np.uint8)
    return xr.Dataset(
        {
            "image": (("unit", "image_row", "image_col", "channel"), images),
            "index": ("unit", np.arange(rows * cols)),
            "activation": ("unit", noise(seed, rows * cols)),
            "label": ("unit", label),
            "label_untrained": ("unit", label if untrained is None else np.asarray(untrained).ravel()),
        },
        coords={"row": ("unit", np.repeat(np.arange(rows), cols)), "col": ("unit", np.tile(np.arange(cols), rows))},
        attrs={**shared_attrs("torus", seed, {"training": {}, "evaluation": {}, "model": {}}), "n_stimuli": 360},
    )


def test_agreement_is_the_share_of_neighbors_around_the_torus(tmp_path):
    grid = (5, 7)
    label, untrained = np.random.default_rng(0).integers(3, size=(2, *grid))
    metric, summary = analyze(torus_images, tmp_path, make_torus(label, grid, untrained=untrained), schema="max_images")
    for name, sheet in (("agreement", label), ("agreement_untrained", untrained)):
        same = [
            sheet[row, col] == sheet[(row + down) % 5, (col + right) % 7]
            for row, col in np.ndindex(grid)
            for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0))
        ]
        assert metric[name].values == pytest.approx([np.mean(same)])
    assert summary["agreement_untrained_mean"].values == metric["agreement_untrained"].values
    np.testing.assert_array_equal(metric["label"].values[0], label.ravel())
    assert json.loads(metric.attrs["training"])["n_stimuli"] == 360


def test_agreement_of_stripes_and_of_a_chessboard(tmp_path):
    row, col = np.indices((4, 6))
    sheets = [np.zeros((4, 6), int), row % 2, (row + col) % 2, col // 3]
    metric, _ = analyze(
        torus_images, tmp_path, *(make_torus(s, (4, 6), seed=k) for k, s in enumerate(sheets)), schema="max_images"
    )
    # All; the pairs in a row; none; half of the pairs, and 4 of 6 pairs of a row, whose ends meet.
    assert metric["agreement"].values == pytest.approx([1, 0.5, 0, (1 + 4 / 6) / 2])


def test_chance_is_the_mean_over_random_placements(tmp_path):
    label = np.random.default_rng(3).integers(4, size=(4, 4))
    metric, _ = analyze(torus_images, tmp_path, make_torus(label, (4, 4)), schema="max_images")
    generator = np.random.default_rng(1)
    placed = [torus_images.torus_agreement(generator.permutation(label.ravel()), (4, 4)) for _ in range(4000)]
    assert metric["agreement_chance"].values[0] == pytest.approx(np.mean(placed), abs=5 * np.std(placed) / 4000**0.5)


# What is refused


def config_of(**parts):
    model = {"frames": FRAMES, "capsules": CAPSULES, "units": UNITS}
    return json.dumps({"training": {}, "model": model, "condition": TVAE, **parts})


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"config": json.dumps({"training": {}})}, r"run1\.nc: attribute 'config' lacks 'model'"),
        ({"config": config_of(condition={"form": "shifting"})}, r"run1\.nc: attribute 'config' lacks 'windows'"),
        (
            {"config": config_of(model={"frames": 6, "capsules": 5, "units": 6})},
            r"run1\.nc: expected 6 frames of 5 x 6 latents, .*found 6 frames of 24",
        ),
        ({"config": config_of(condition=VAE)}, r"run1\.nc: expected latents without u, as of a plain VAE"),
        ({"factor_names": "rotation"}, r"run1\.nc: attribute 'factor_names' is not JSON"),
        (
            {"factor_names": '["rotation"]'},
            r"run1\.nc: attribute 'factor_names', .*, does not name factors 0 to 1",
        ),
        ({"factor_names": '["rotation", "scale"]'}, r"run1\.nc: factor_names is \('rotation', 'scale'\), expected"),
        (
            {"config": config_of(model={"frames": 6, "capsules": 3, "units": 8}, condition={**BUBBLE})},
            r"run1\.nc: \(frames, capsules, units\) is \(6, 3, 8\), expected \(6, 4, 6\)",
        ),
    ],
)
@pytest.mark.parametrize("module", [log_likelihood, traversals])
def test_files_that_do_not_belong_together_are_named(tmp_path, module, other, message):
    with pytest.raises(TopoRepError, match=message):
        analyze(module, tmp_path, make_sequences(), make_sequences(seed=1).assign_attrs(other))


@pytest.mark.parametrize("name", ["factor", "start", "example_sequence"])
def test_runs_that_saw_other_sequences_are_refused_by_name(tmp_path, name):
    other = make_sequences(seed=1)
    other = other.assign_coords({name: other[name][::-1].variable})
    with pytest.raises(TopoRepError, match=rf"run1\.nc: {name} is not the same as in .*run0\.nc"):
        analyze(traversals, tmp_path, make_sequences(), other)


def test_a_class_that_its_factor_does_not_have_is_refused(tmp_path):
    data = make_sequences()
    data["start"].values[3] = FRAMES
    with pytest.raises(TopoRepError, match="start of sequence 3 is 6, expected 0 to 5, a class of 'color'"):
        analyze(capsule_correlation, tmp_path, data, **FEW)
    data = make_sequences(kind="dsprites")
    with pytest.raises(TopoRepError, match="unknown factor 'rotation'; known: x, y, orientation, scale"):
        analyze(capsule_correlation, tmp_path, data, **FEW)


def test_wrong_settings_and_a_line_of_units_are_refused(tmp_path):
    with pytest.raises(TopoRepError, match="settings: unknown 'sequences'; known: norm, null_sequences, variant_seq"):
        analyze(equivariance, tmp_path, make_sequences(), sequences=3)
    for module in (equivariance, capsule_correlation):
        with pytest.raises(TopoRepError, match="variant_sequences: expected at least 1, or none for all, found 0"):
            analyze(module, tmp_path, make_sequences(), null_sequences=8, variant_sequences=0)
    with pytest.raises(TopoRepError, match=r"at least 2 rows and 2 columns.*found \(1, 4\)"):
        analyze(torus_images, tmp_path, make_torus([0, 1, 2, 3], (1, 4)), schema="max_images")
