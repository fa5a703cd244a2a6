from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest

from toporep.errors import TopoRepError
from toporep.metrics.capsule_latents import (
    VARIANTS,
    latent_equivariance_error,
    latent_rolls,
    nearer_frames,
    topographic_latents,
)
from toporep.metrics.capsule_roll import cyclic_classes, observed_roll, sequence_rolls
from toporep.metrics.equivariance import equivariance_error
from toporep.models.grouper import grouper_matrix

GROUPERS = {
    "whole even cycle": ("shifting", 6, 6, 6, 3),
    "whole odd cycle": ("shifting", 5, 5, 5, 1),
    "even window": ("shifting", 6, 6, 4, 1),
    "odd window, longer capsules": ("shifting", 5, 7, 3, 3),
    "box, shorter capsules": ("stationary", 7, 4, 5, 3),
    "no coherence": ("stationary", 4, 6, 1, 4),
}


def grouper(name: str) -> np.ndarray:
    form, frames, units, window, unit_window = GROUPERS[name]
    return grouper_matrix(form, frames=frames, units=units, window=window, unit_window=unit_window)


def noise(name: str, sequences: int = 3, capsules: int = 2) -> np.ndarray:
    _, frames, units, *_ = GROUPERS[name]
    return np.random.default_rng(len(name)).standard_normal((2, sequences, frames, capsules, units))


def frame_by_loops(z, u, weights, frame, *, partner=None, mu=30.0, eps=1e-6) -> np.ndarray:
    """(capsules, units) t of one frame of one sequence, term by term; with a partner, of the frames nearer to it."""
    frames, capsules, units = z.shape
    t = np.empty((capsules, units))
    for capsule, unit in itertools.product(range(capsules), range(units)):
        v = 0.0
        for other, other_unit in itertools.product(range(frames), range(units)):
            if partner is not None:
                to_frame, to_partner = (min((other - end) % frames, (end - other) % frames) for end in (frame, partner))
                if to_frame >= to_partner:
                    continue
            v += weights[frame * units + unit, other * units + other_unit] * u[other, capsule, other_unit] ** 2
        t[capsule, unit] = (z[frame, capsule, unit] + mu) / np.sqrt(v + eps)
    return t


def error_by_loops(z, u, weights, norm, **options) -> float:
    """Equivariance error of disjoint windows, pair by pair: of each pair, a sequence of two frames."""
    error = 0.0
    for early, late in itertools.combinations(range(len(z)), 2):
        first = frame_by_loops(z, u, weights, early, partner=late, **options)
        second = frame_by_loops(z, u, weights, late, partner=early, **options)
        # Two frames in a row roll by one unit, the rest of the way is gone here.
        error += equivariance_error(np.stack([np.roll(first, late - early - 1, axis=-1), second]), norm=norm)
    return error


@pytest.mark.parametrize("name", GROUPERS)
def test_latents_are_those_of_plain_loops(name):
    z, u = noise(name)
    weights = grouper(name)
    expected = [
        [frame_by_loops(*sequence, weights, frame, mu=5, eps=0.1) for frame in range(z.shape[1])]
        for sequence in zip(z, u, strict=True)
    ]
    t = topographic_latents(z, u, weights, mu=5, eps=0.1)
    np.testing.assert_allclose(t, expected, rtol=1e-12)
    np.testing.assert_array_equal(topographic_latents(z[1], u[1], weights, mu=5, eps=0.1), t[1])


def test_latents_of_the_published_model():
    unit = np.arange(50)
    u = 1.3 * np.sin(0.37 * unit + 0.1).reshape(1, 5, 2, 5)
    z = 0.8 * np.cos(0.23 * unit + 0.4).reshape(1, 5, 2, 5)
    t = topographic_latents(z, u, grouper("whole odd cycle"))
    assert t[0, 0, 0] == pytest.approx([16.4987224052, 15.7495441649, 13.9325743646, 13.1096357752, 13.867135555])
    assert t[0, 4, 1] == pytest.approx([13.4958497966, 14.4026266527, 16.0243252364, 16.11310932, 14.4167606773])


def test_latents_on_a_torus():
    z, u = np.random.default_rng(0).standard_normal((2, 3, 1, 1, 12))
    weights = grouper_matrix("torus", rows=3, cols=4, window=3)
    expected = [[frame_by_loops(*sequence, weights, 0)] for sequence in zip(z, u, strict=True)]
    np.testing.assert_allclose(topographic_latents(z, u, weights), expected, rtol=1e-12)


@pytest.mark.parametrize("norm", ["capsule", "whole"])
@pytest.mark.parametrize("name", GROUPERS)
def test_errors_of_the_variants_are_those_of_plain_loops(name, norm):
    z, u = noise(name)
    weights = grouper(name)
    for variant in VARIANTS:
        mu = 0.0 if "without_mu" in variant else 2.0
        if variant.startswith("disjoint"):
            sequences = zip(z, u, strict=True)
            expected = [error_by_loops(*sequence, weights, norm, mu=mu, eps=0.01) for sequence in sequences]
        else:
            expected = equivariance_error(topographic_latents(z, u, weights, mu=mu, eps=0.01), norm=norm)
        found = latent_equivariance_error(z, u, weights, mu=2.0, eps=0.01, variant=variant, norm=norm)
        np.testing.assert_allclose(found, expected, rtol=1e-12, err_msg=variant)


@pytest.mark.parametrize("name", GROUPERS)
def test_rolls_of_the_variants_are_those_of_plain_loops(name):
    z, u = noise(name, sequences=12)
    weights, frames = grouper(name), z.shape[1]
    classes = cyclic_classes(np.arange(12), frames, size=frames)
    for variant in VARIANTS:
        mu = 0.0 if "without_mu" in variant else 2.0
        found = latent_rolls(z, u, weights, classes=classes, mu=2.0, eps=0.01, variant=variant)
        if variant.startswith("disjoint"):
            expected = []
            for sequence in range(12):
                omega = classes[sequence].tolist().index(0)
                ends = [(0, omega or None), (omega, 0 if omega else None)]
                t0, t_omega = (
                    frame_by_loops(z[sequence], u[sequence], weights, frame, partner=partner, mu=mu, eps=0.01)
                    for frame, partner in ends
                )
                expected.append(observed_roll(t0, t_omega))
        else:
            expected = sequence_rolls(topographic_latents(z, u, weights, mu=mu, eps=0.01), classes)
        np.testing.assert_array_equal(found, expected, err_msg=variant)
        assert not found[classes[:, 0] == 0].any()


@pytest.mark.parametrize("omega", ["nearest", "last"])
def test_published_rolls_where_a_factor_repeats(omega):
    z, u = np.random.default_rng(1).standard_normal((2, 50, 6, 3, 6), dtype=np.float32)
    weights = grouper("whole even cycle")
    classes = cyclic_classes(np.arange(50) % 3, 6, size=3)
    found = latent_rolls(z, u, weights, classes=classes, omega=omega)
    np.testing.assert_array_equal(found, sequence_rolls(topographic_latents(z, u, weights), classes, omega=omega))


@pytest.mark.parametrize("frames", [2, 5, 6, 15, 18])
def test_no_frame_is_nearer_to_both(frames):
    for frame, partner in itertools.permutations(range(frames), 2):
        own, others = nearer_frames(frames, frame, partner), nearer_frames(frames, partner, frame)
        assert own[frame] and others[partner] and not (own & others).any()
        # All but those half-way are someone's.
        assert (~(own | others)).sum() == (1 if frames % 2 else 2 * ((frame - partner) % 2 == 0))


@pytest.mark.parametrize("variant", ["published", "disjoint_windows"])
@pytest.mark.parametrize("name", ["whole even cycle", "even window", "box, shorter capsules"])
def test_disjoint_windows_have_nothing_in_common(name, variant):
    # Of a pair of frames, changing u in a frame changes what is nearer to it, so one t of the pair at most.
    z, u = (part[0] for part in noise(name))
    weights = grouper(name)
    frames, units = z.shape[0], z.shape[2]
    shared = False
    for early, late, changed in itertools.product(range(frames), range(frames), range(frames)):
        if early == late:
            continue
        touched = []
        for frame, partner in ((early, late), (late, early)):
            rows = weights[frame * units : (frame + 1) * units].reshape(units, frames, units)[:, changed].any()
            touched.append(rows and (variant == "published" or nearer_frames(frames, frame, partner)[changed]))
        shared |= all(touched)
    assert shared == (variant == "published")


def test_a_window_over_the_whole_cycle_rolls_perfectly_without_learning_and_disjoint_windows_do_not():
    z, u = np.random.default_rng(2).standard_normal((2, 200, 15, 5, 15))
    weights = grouper_matrix("shifting", frames=15, units=15, window=15, unit_window=1)
    shifts = np.arange(200) % 14 + 1
    classes = cyclic_classes(shifts, 15, size=15)
    options = {"classes": classes, "mu": 1e6}
    np.testing.assert_array_equal(latent_rolls(z, u, weights, **options), shifts)
    assert latent_equivariance_error(z, u, weights, mu=1e12).max() < 1e-6
    assert np.mean(latent_rolls(z, u, weights, variant="disjoint_windows", **options) == shifts) < 0.2


def test_capsules_that_roll_exactly_have_no_error_in_any_variant():
    first = np.random.default_rng(3).standard_normal((2, 4, 3, 7))
    z, u = (np.stack([np.roll(part, frame, axis=-1) for frame in range(7)], axis=1) for part in first)
    # With a window of one frame, disjoint windows take nothing away.
    weights = grouper_matrix("stationary", frames=7, units=7, window=1, unit_window=3)
    shifts = np.arange(4) + 2
    for variant in VARIANTS:
        assert latent_equivariance_error(z, u, weights, variant=variant).max() < 1e-10
        rolls = latent_rolls(z, u, weights, classes=cyclic_classes(shifts, 7, size=7), variant=variant)
        np.testing.assert_array_equal(rolls, shifts)


def test_all_variants_of_the_plain_vae_are_z_itself():
    z = np.random.default_rng(4).standard_normal((5, 6, 2, 4))
    classes = cyclic_classes(np.arange(5), 6, size=6)
    np.testing.assert_array_equal(topographic_latents(z), z)
    for variant in VARIANTS:
        np.testing.assert_array_equal(latent_equivariance_error(z, variant=variant), equivariance_error(z))
        np.testing.assert_array_equal(latent_rolls(z, classes=classes, variant=variant), sequence_rolls(z, classes))


@pytest.mark.parametrize("variant", VARIANTS)
def test_batches_and_single_precision(variant):
    z, u = np.random.default_rng(5).standard_normal((2, 2, 30, 6, 2, 6), dtype=np.float32)
    weights = grouper("even window")
    errors = latent_equivariance_error(z, u, weights, variant=variant)
    assert errors.shape == (2, 30) and errors.dtype == np.float64
    double = latent_equivariance_error(*(part.astype(np.float64) for part in (z, u)), weights, variant=variant)
    np.testing.assert_allclose(errors, double, rtol=1e-12)
    np.testing.assert_allclose(latent_equivariance_error(z[1, 4], u[1, 4], weights, variant=variant), errors[1, 4])


def test_loads_no_torch():
    code = "import sys, toporep.metrics.capsule_nulls, toporep.models.grouper; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((np.ones((2, 3, 1, 4)), np.ones((2, 3, 1, 4))), {}, "u, grouper: expected both .*found u only"),
        ((np.ones((2, 3, 1, 4)), None, np.ones((12, 12))), {}, "u, grouper: .*found a grouper only"),
        ((np.ones((2, 3, 1, 4)), np.ones((2, 3, 1, 5)), np.ones((12, 12))), {}, "u: expected the shape of z"),
        (
            (np.ones((2, 3, 1, 4)), np.ones((2, 3, 1, 4)), np.ones((4, 4))),
            {},
            r"grouper: expected \(12, 12\) for 3 frames of 4 units, found \(4, 4\)",
        ),
        ((np.full((2, 3, 1, 4), np.nan),), {}, "z: .*24 that are NaN or infinite"),
        ((np.ones((2, 3, 1, 4)), np.ones((2, 3, 1, 4)), np.ones((12, 12))), {"eps": 0.0}, "mu, eps: .* eps above 0"),
        ((np.ones((2, 3, 1, 4)),), {"variant": "disjoint"}, "variant: expected one of published, without_mu"),
        ((np.ones((2, 3, 1, 4)),), {"norm": "both"}, "norm: expected one of"),
        ((np.ones((2, 1, 1, 4)),), {}, "frames: expected at least 2"),
    ],
)
def test_refuses(arguments, options, message):
    with pytest.raises(TopoRepError, match=message):
        latent_equivariance_error(*arguments, **options)
