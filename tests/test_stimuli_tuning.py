from __future__ import annotations

import numpy as np
import pytest

from toporep.errors import TopoRepError
from toporep.metrics.eccentricity import ECCENTRICITY_CLASSES, eccentricity_class
from toporep.metrics.harmonics import NO_CYCLE, dominant_harmonic, harmonic_power
from toporep.stimuli.tuning import VARIANTS, rings, wedges

# Of the proposed geometry, counted independently; every count repeats after a quarter turn (9 wedges).
QUARTER_COUNTS = {
    (28, 14): [16, 18, 17, 17, 12, 22, 17, 17, 18],
    (32, 14): [16, 18, 17, 17, 12, 22, 17, 17, 18],
    (32, 16): [20, 24, 22, 23, 17, 28, 23, 22, 24],
}
RING_COUNTS = [4, 12, 16, 28, 28, 36, 48, 44, 60, 56, 76, 76, 76]


def light(images: np.ndarray) -> np.ndarray:
    """(stimuli, 1): the response of a unit that does no more than sum the pixels."""
    return images.sum(axis=(1, 2))[:, None]


@pytest.mark.parametrize(("size", "radius"), QUARTER_COUNTS)
def test_pixels_of_hard_wedges(size, radius):
    images = wedges(size, radius=radius)
    assert images.shape == (36, size, size)
    assert set(np.unique(images)) == {0.0, 1.0}
    assert light(images)[:, 0].tolist() == QUARTER_COUNTS[size, radius] * 4


@pytest.mark.parametrize("size", [28, 32])
def test_pixels_of_hard_rings(size):
    images = rings(size)
    assert set(np.unique(images)) == {0.0, 1.0}
    assert light(images)[:, 0].tolist() == RING_COUNTS


@pytest.mark.parametrize(("variant", "cycle_4"), [("hard", 191.694342831), ("antialiased", 2.888027211)])
def test_light_of_wedges_has_power_at_cycle_4_alone(variant, cycle_4):
    images = wedges(28, variant=variant)
    assert harmonic_power(light(images))[:5, 0] == pytest.approx([0, 0, 0, cycle_4, 0], abs=1e-8)
    assert dominant_harmonic(light(images)).tolist() == [4]


def test_antialiasing_takes_most_of_the_artefact_and_area_normalization_all():
    hard, antialiased, normalized = (
        harmonic_power(light(wedges(28, variant=variant)))[3, 0]
        for variant in ("hard", "antialiased", "area_normalized")
    )
    assert hard / antialiased == pytest.approx(66.4, abs=0.05)
    assert normalized == 0.0
    assert dominant_harmonic(light(wedges(28, variant="area_normalized")), max_cycle=None).tolist() == [NO_CYCLE]


def test_light_of_rings_grows_with_the_radius_unless_area_normalized():
    tunings = {variant: eccentricity_class(light(rings(28, variant=variant))) for variant in VARIANTS}
    assert tunings["hard"].correlation[0] == pytest.approx(0.985167129231, abs=1e-11)
    assert tunings["antialiased"].correlation[0] == pytest.approx(0.99995, abs=5e-6)
    labels = [ECCENTRICITY_CLASSES[tunings[variant].label[0]] for variant in VARIANTS]
    assert labels == ["increasing", "increasing", "flat"]
    assert tunings["area_normalized"].failed.tolist() == [True]


@pytest.mark.parametrize("make", [wedges, rings])
@pytest.mark.parametrize("size", [28, 29, 32])
def test_area_normalized_stimuli_are_dimmed_antialiased_ones_of_equal_light(make, size):
    normalized, antialiased = make(size, variant="area_normalized"), make(size, variant="antialiased")
    assert normalized.min() == 0 and normalized.max() <= 1
    darkest = light(antialiased).argmin()
    np.testing.assert_allclose(light(normalized), light(antialiased)[darkest, 0], rtol=1e-13)
    np.testing.assert_array_equal(normalized[darkest], antialiased[darkest])
    np.testing.assert_array_equal(normalized > 0, antialiased > 0)
    factors = normalized.max(axis=(1, 2)) / antialiased.max(axis=(1, 2))
    np.testing.assert_allclose(normalized, antialiased * factors[:, None, None], rtol=1e-13)


@pytest.mark.parametrize("variant", ["hard", "antialiased"])
@pytest.mark.parametrize("size", [28, 29])
def test_wedges_tile_the_disc_and_rings_lie_side_by_side(size, variant):
    disc = wedges(size, count=1, extent_deg=360, variant=variant)[0]
    np.testing.assert_allclose(wedges(size, variant=variant).sum(axis=0), disc, atol=1e-12)
    assert disc.sum() == pytest.approx(np.pi * 14**2, rel=0.012 if variant == "hard" else 0.001)
    # Ring 1 begins at 0.5, ring 13 ends at 13.5.
    hole = wedges(size, count=1, extent_deg=360, radius=0.5, variant="antialiased")[0]
    filled = wedges(size, count=1, extent_deg=360, radius=13.5, variant="antialiased")[0]
    np.testing.assert_allclose(rings(size, variant="antialiased").sum(axis=0), filled - hole, atol=1 / 64)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", [28, 29])
def test_a_quarter_turn_counter_clockwise_is_nine_wedges(size, variant):
    # The center of an image of odd size has no angle of its own and would stay with wedge 0.
    images = wedges(size, variant=variant)
    if size % 2:
        images = images.copy()
        images[:, size // 2, size // 2] = 0
    if variant == "area_normalized":
        images = images / light(images)[..., None]
    for k in range(36):
        np.testing.assert_allclose(images[(k + 9) % 36], np.rot90(images[k]), atol=1e-12)


def test_wedge_0_points_right_and_wedge_9_up():
    right, up = wedges(28)[[0, 9]]
    assert right[:, :14].sum() == 0 and right[14, 27] == right[13, 27] == 1
    assert up[14:].sum() == 0 and up[0, 13] == up[0, 14] == 1


@pytest.mark.parametrize("variant", VARIANTS)
def test_rings_are_symmetric(variant):
    images = rings(28, variant=variant)
    for turned in (images[:, ::-1], images[:, :, ::-1], images.transpose(0, 2, 1)):
        np.testing.assert_array_equal(turned, images)


def test_antialiased_light_is_the_area():
    of_wedges = light(wedges(28, variant="antialiased"))[:, 0] / (np.pi * 14**2 / 36)
    # What is left of the artefact: sample points on the diagonals belong to one of the two wedges that meet there.
    diagonal = np.isin(np.arange(36) % 9, (4, 5))
    np.testing.assert_allclose(of_wedges[~diagonal], 1, atol=0.002)
    np.testing.assert_allclose(of_wedges[diagonal], 1, atol=0.04)
    areas = 2 * np.pi * np.arange(1, 14)
    np.testing.assert_allclose(light(rings(28, variant="antialiased"))[:, 0], areas, rtol=0.02)


def test_wedges_are_wider_than_their_step_or_narrower_as_asked():
    np.testing.assert_array_equal(
        wedges(28, count=4, extent_deg=180).sum(axis=0), 2 * wedges(28, count=4, extent_deg=90).sum(0)
    )
    assert wedges(28, count=4, extent_deg=45).sum() < wedges(28, count=4, extent_deg=90).sum()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: wedges(28, variant="soft"),
            "variant: expected one of hard, antialiased, area_normalized, found 'soft'",
        ),
        (lambda: rings(28, variant="soft"), "variant: expected one of"),
        (lambda: wedges(0), "size: expected a positive integer, found 0"),
        (lambda: wedges(28.0), "size: expected a positive integer, found 28.0"),
        (lambda: wedges(28, count=0), "count: expected a positive integer"),
        (lambda: wedges(28, extent_deg=0), "extent_deg: "),
        (lambda: wedges(28, extent_deg=361), "extent_deg: "),
        (lambda: wedges(28, radius=16), "radius: expected pixels above 0 and at most 14 .* found 16"),
        (lambda: wedges(28, radius=float("nan")), "radius: "),
        (lambda: wedges(28, count=360, extent_deg=0.01), "wedge 0: contains no point of an image of 28 x 28"),
        (lambda: rings(28, radii=[]), "radii: expected at least one"),
        (lambda: rings(28, radii=[1, 14]), "radii: expected pixels above 0 and at most 13.5 .* found 14"),
        (lambda: rings(28, radii=[0]), "radii: "),
        (lambda: rings(28, radii=[0.1]), "ring 0: contains no point"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(TopoRepError, match=message):
        call()
