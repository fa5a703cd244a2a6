"""Curves over distance on the sheet: published numbers, scipy, Fourier transforms and plain loops."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import pdist

from toporep.errors import TopoRepError
from toporep.metrics.distance_correlation import (
    correlation_by_distance,
    correlation_offsets,
    difference_by_distance,
    distance_curve,
    inverse_distance,
    smoothness_statistic,
    squared_distances,
)
from toporep.sheet import unit_positions

# 10 images of 6 x 6 units, whose curves are known.
IMAGE, UNIT = np.arange(10)[:, None], np.arange(36)
ACTIVATIONS = np.sin(0.1 * IMAGE + 0.37 * UNIT) + 0.6 * np.cos(
    0.9 * IMAGE + 0.21 * (UNIT // 6) + 0.13 * IMAGE * (UNIT % 6)
)
# Squared distance, pairs, mean and standard deviation of r.
EXACT_OPEN = [
    *((1, 60, 0.75834360983, 0.14576647558), (2, 50, 0.54575126698, 0.22956528942)),
    *((4, 48, 0.54969714572, 0.208064738), (5, 80, 0.37114529112, 0.30480724764)),
    *((8, 32, 0.21386709013, 0.22382302945), (9, 36, 0.42899438099, 0.41356678147)),
    *((10, 60, 0.28882065752, 0.47225824856), (13, 48, 0.13833794251, 0.35943856637)),
    *((16, 24, 0.14804952459, 0.30985751586), (17, 40, 0.075107747404, 0.38512594069)),
    *((18, 18, 0.040894953755, 0.3104978006), (20, 32, -0.020305720042, 0.39824935653)),
    *((25, 36, 0.00019624551665, 0.33308791126), (26, 20, 0.1621974896, 0.32039201181)),
    *((29, 16, 0.087017871946, 0.3525469671), (32, 8, -0.10745771756, 0.26072690243)),
    *((34, 12, -0.00032657583185, 0.2327955807), (41, 8, 0.018827501863, 0.13152296539)),
    (50, 2, 0.04499600854, 0.15599696253),
]
EXACT_TORUS = [
    *((1, 72, 0.66102351177, 0.27723250573), (2, 72, 0.42529868275, 0.31481582561)),
    *((4, 72, 0.41581460534, 0.31098808029), (5, 144, 0.23776971633, 0.36056548967)),
    *((8, 72, 0.074087529197, 0.34148825144), (9, 36, 0.42899438099, 0.41356678147)),
    *((10, 72, 0.24062945197, 0.45442359421), (13, 72, 0.063252914185, 0.36537101774)),
    (18, 18, 0.040894953755, 0.3104978006),
]
# Center, pairs, mean distance, mean and standard deviation of r.
UNIT_OPEN = [
    (1, 110, 1.188278892, 0.66171072671, 0.21621722433),
    (2, 128, 2.1475424859, 0.4381022366, 0.28596034048),
    (3, 128, 3.0331744344, 0.3095061254, 0.41433753794),
    (4, 162, 4.0337442542, 0.082000283042, 0.36745290071),
    (5, 72, 5.1130975998, 0.064490285858, 0.34123205214),
    (6, 28, 5.9446875226, -0.025462879841, 0.22437215492),
    (7, 2, 7.0710678119, 0.04499600854, 0.15599696253),
]
UNIT_TORUS = [
    (1, 144, 1.2071067812, 0.54316109726, 0.31917860501),
    (2, 216, 2.1573786517, 0.29711801267, 0.35489991661),
    (3, 180, 2.996281914, 0.21168566866, 0.42521349886),
    (4, 90, 3.7329691578, 0.058781322099, 0.35518803733),
]


def loop_over_pairs(activations: np.ndarray, grid: tuple[int, int], boundary: str) -> dict[int, list[float]]:
    """Squared distance → correlations of the pairs that far apart."""
    places = list(itertools.product(*map(range, grid)))
    curve: dict[int, list[float]] = {}
    for (one, here), (other, there) in itertools.combinations(enumerate(places), 2):
        apart = [abs(a - b) for a, b in zip(here, there, strict=True)]
        if boundary == "torus":
            apart = [min(steps, size - steps) for steps, size in zip(apart, grid, strict=True)]
        r = stats.pearsonr(activations[:, one], activations[:, other]).statistic
        curve.setdefault(sum(steps**2 for steps in apart), []).append(r)
    return dict(sorted(curve.items()))


@pytest.mark.parametrize(("boundary", "published"), [("open", EXACT_OPEN), ("torus", EXACT_TORUS)])
def test_known_curve_of_exact_distances(boundary: str, published: list[tuple]) -> None:
    squared, pairs, mean, sd = np.array(published).T
    found = correlation_by_distance(ACTIVATIONS, (6, 6), boundary=boundary)
    np.testing.assert_allclose(found.distance, np.sqrt(squared))
    np.testing.assert_allclose(found.mean_distance, np.sqrt(squared))
    np.testing.assert_array_equal(found.pairs, pairs)
    np.testing.assert_allclose(found.mean, mean, atol=1e-10)
    np.testing.assert_allclose(found.sd, sd, atol=1e-10)


@pytest.mark.parametrize("spacing", [1.0, 10 / 64])
@pytest.mark.parametrize(("boundary", "published"), [("open", UNIT_OPEN), ("torus", UNIT_TORUS)])
def test_known_curve_of_bins_one_unit_wide(boundary: str, published: list[tuple], spacing: float) -> None:
    centers, pairs, distance, mean, sd = np.array(published).T
    for bins in ("unit", spacing):
        found = correlation_by_distance(ACTIVATIONS, (6, 6), boundary=boundary, bins=bins, spacing=spacing)
        np.testing.assert_allclose(found.distance, centers * spacing)
        np.testing.assert_allclose(found.mean_distance, distance * spacing)
        np.testing.assert_array_equal(found.pairs, pairs)
        np.testing.assert_allclose(found.mean, mean, atol=1e-10)
        np.testing.assert_allclose(found.sd, sd, atol=1e-10)


@pytest.mark.parametrize(
    ("boundary", "farthest", "means", "errors"),
    [
        (
            "open",
            np.sqrt(50),
            [0.62768128439, 0.33321349683, 0.082000283042, 0.041083912297, 0.018827501863],
            [0.0174937283, 0.026154075753, 0.028869826429, 0.034051981217, 0.046500390353],
        ),
        (
            "torus",
            np.sqrt(18),
            [0.54316109726, 0.29711801267, 0.074087529197, 0.30341776164, 0.063252914185],
            [0.026598217084, 0.024147880707, 0.040244776381, 0.043308159343, 0.043059387382],
        ),
    ],
)
def test_known_curve_between_edges(boundary: str, farthest: float, means: list, errors: list) -> None:
    """The bins of Margalit et al. 2024: five equal ones, of which the last lacks the largest distance."""
    edges = np.linspace(1, farthest, 6)
    found = correlation_by_distance(ACTIVATIONS, (6, 6), boundary=boundary, bins=edges)
    np.testing.assert_allclose(found.mean, means, atol=1e-10)
    # Their standard error of the mean, which takes pairs for independent.
    np.testing.assert_allclose(found.sd / np.sqrt(found.pairs), errors, atol=1e-10)
    np.testing.assert_allclose(found.distance, (edges[1:] + edges[:-1]) / 2)
    assert found.pairs.sum() == 630 - (2 if boundary == "open" else 18)


@pytest.mark.parametrize("boundary", ["open", "torus"])
@pytest.mark.parametrize("grid", [(3, 5), (2, 7), (1, 4), (13, 11)])
def test_curves_are_those_of_a_loop_over_pairs(grid: tuple[int, int], boundary: str) -> None:
    rows, cols = grid
    activations = np.random.default_rng(0).standard_normal((6, rows * cols)).cumsum(axis=1)
    found = correlation_by_distance(activations, grid, boundary=boundary)
    expected = loop_over_pairs(activations, grid, boundary)
    np.testing.assert_allclose(found.distance, np.sqrt(list(expected)))
    np.testing.assert_array_equal(found.pairs, [len(values) for values in expected.values()])
    np.testing.assert_allclose(found.mean, [np.mean(values) for values in expected.values()], atol=1e-12)
    np.testing.assert_allclose(found.sd, [np.std(values) for values in expected.values()], atol=1e-7)


@pytest.mark.parametrize("boundary", ["open", "torus"])
def test_means_are_those_of_fourier_transforms(boundary: str) -> None:
    """The sum over pairs of an offset is the autocorrelation of the sheet of standardized activations."""
    rows, cols = 16, 24
    activations = np.random.default_rng(1).standard_normal((50, rows * cols)).cumsum(axis=0) + 100
    found = correlation_by_distance(activations.astype(np.float32), (rows, cols), boundary=boundary, bins="unit")
    scores = stats.zscore(activations, axis=0).reshape(-1, rows, cols)
    shape = (rows, cols) if boundary == "torus" else (2 * rows, 2 * cols)
    total, pairs = (
        np.fft.ifft2((np.abs(np.fft.fft2(sheet, s=shape)) ** 2).mean(axis=0)).real
        for sheet in (scores, np.ones((1, rows, cols)))
    )
    distance = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in shape), indexing="ij"))
    numbers = np.floor(distance + 0.5).astype(int).ravel()
    count = np.bincount(numbers, pairs.ravel())
    used = np.flatnonzero(count > 0.5)[1:]
    np.testing.assert_allclose(found.pairs, count[used] / 2, atol=1e-6)
    np.testing.assert_allclose(found.mean, (np.bincount(numbers, total.ravel()) / count)[used], atol=1e-6)


def test_published_distances_of_the_sheet_of_64_by_64() -> None:
    grid_units = np.sqrt(squared_distances((64, 64), boundary="torus"))
    far = {
        **{(0, 0): 0.0, (0, 1): 1.0, (0, 64): 1.0, (0, 65): 1.4142135624, (0, 63): 1.0, (0, 4095): 1.4142135624},
        **{(5, 700): 13.453624047, (100, 3000): 27.586228448, (2080, 2015): 1.4142135624, (4032, 63): 1.4142135624},
    }
    for (one, other), distance in far.items():
        down, right = (abs(a - b) for a, b in zip(divmod(one, 64), divmod(other, 64), strict=True))
        assert grid_units[down, right] == pytest.approx(distance, rel=1e-9)
    assert grid_units.max() == pytest.approx(45.254833996)
    assert grid_units.max() * 0.15625 == pytest.approx(7.0710678119)
    # Every unit sees the same distances.
    assert 4096 * grid_units.sum() == pytest.approx(410887399.74)
    assert grid_units.sum() / 4095 == pytest.approx(24.496778163)
    assert len(np.unique(grid_units)) == 457
    open_distances = squared_distances((64, 64))
    assert len(np.unique(open_distances)) == 1576
    assert np.sqrt(open_distances.max()) * 0.15625 == pytest.approx(13.9212, abs=1e-4)
    np.testing.assert_allclose(np.sqrt(squared_distances((3, 4)).ravel()[1:]), pdist(unit_positions((3, 4)))[:11])


def test_bins_of_the_published_sheet() -> None:
    sums = correlation_offsets(np.random.default_rng(2).standard_normal((4, 4096)), (64, 64))
    for boundary, exact, last in (("open", 1575, 89), ("torus", 456, 45)):
        curve = distance_curve(sums, boundary=boundary, spacing=0.15625)
        assert len(curve.distance) == exact and curve.pairs.sum() == 8_386_560
        curve = distance_curve(sums, boundary=boundary, bins="unit")
        np.testing.assert_array_equal(curve.distance, np.arange(1, last + 1))
    np.testing.assert_allclose(distance_curve(sums, bins=0.5, spacing=0.15625).distance, 0.5 * np.arange(29))


def test_half_a_width_is_rounded_up() -> None:
    curve = correlation_by_distance(np.random.default_rng(0).standard_normal((4, 5)), (1, 5), bins=2.0)
    np.testing.assert_array_equal(curve.distance, [2, 4])
    np.testing.assert_array_equal(curve.pairs, [4 + 3, 2 + 1])


def test_curves_do_not_depend_on_scale_and_shift_of_units_nor_on_turns_of_the_sheet() -> None:
    rng = np.random.default_rng(3)
    sheet = rng.standard_normal((9, 4, 6)).cumsum(axis=2)
    found = correlation_by_distance(sheet.reshape(9, 24), (4, 6))
    scaled = sheet * rng.uniform(1e-200, 1e200, (4, 6)) + 3.0
    for other in (scaled, sheet[:, ::-1], sheet[:, :, ::-1]):
        np.testing.assert_allclose(correlation_by_distance(other.reshape(9, 24), (4, 6)).mean, found.mean, atol=1e-12)
    turned = correlation_by_distance(sheet.swapaxes(1, 2).reshape(9, 24), (6, 4))
    np.testing.assert_allclose(turned.mean, found.mean, atol=1e-12)
    rolled = np.roll(sheet, (1, 4), axis=(1, 2)).reshape(9, 24)
    on_torus = [correlation_by_distance(each, (4, 6), boundary="torus").mean for each in (rolled, sheet.reshape(9, 24))]
    np.testing.assert_allclose(*on_torus, atol=1e-12)


def test_constant_units_are_left_out() -> None:
    """Also those whose value, such as 0.1, has a mean that is rounded."""
    activations = np.random.default_rng(4).standard_normal((7, 20)).astype(np.float32)
    dead = [0, 7, 19]
    activations[:, dead] = 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = correlation_by_distance(activations, (4, 5))
        none = correlation_by_distance(np.full((7, 20), 0.1), (4, 5))
    assert found.pairs.sum() == 17 * 16 // 2
    r = np.corrcoef(np.delete(activations, dead, axis=1).astype(np.float64), rowvar=False)
    assert np.sum(found.mean * found.pairs, where=found.pairs > 0) == pytest.approx(np.triu(r, 1).sum(), abs=1e-12)
    assert none.distance.shape == found.distance.shape == none.pairs.shape
    assert not none.pairs.any() and np.isnan([none.mean, none.sd, none.mean_distance]).all()


def test_within_categories_their_means_do_not_count() -> None:
    rng = np.random.default_rng(5)
    labels = np.array(["face"] * 5 + ["object"] * 8 + ["face"] * 3)
    activations = rng.standard_normal((16, 12))
    found = correlation_by_distance(activations, (3, 4), within=labels)
    shifted = activations + np.where(labels == "face", 1e3, -2e3)[:, None] * rng.standard_normal(12)
    np.testing.assert_allclose(correlation_by_distance(shifted, (3, 4), within=labels).mean, found.mean, atol=1e-10)
    mixed = correlation_by_distance(np.abs(shifted), (3, 4))
    assert np.abs(mixed.mean - found.mean).max() > 0.3
    residuals = activations.copy()
    for label in ("face", "object"):
        residuals[labels == label] -= activations[labels == label].mean(axis=0)
    expected = loop_over_pairs(residuals, (3, 4), "open")
    np.testing.assert_allclose(found.mean, [np.mean(values) for values in expected.values()], atol=1e-12)


def test_units_constant_in_every_category_are_left_out() -> None:
    labels = np.arange(8) % 2
    activations = np.random.default_rng(6).standard_normal((8, 6))
    activations[:, 2] = np.where(labels, 0.1, 0.7)
    found = correlation_by_distance(activations, (2, 3), within=labels)
    assert found.pairs.sum() == 10 and correlation_by_distance(activations, (2, 3)).pairs.sum() == 15
    assert not correlation_by_distance(activations, (2, 3), within=np.arange(8)).pairs.any()


def test_a_batch_of_models_is_each_model() -> None:
    activations = np.random.default_rng(7).standard_normal((2, 3, 5, 12))
    activations[1, 2, :, 4] = 1
    found = correlation_by_distance(activations, (3, 4), boundary="torus", bins="unit")
    for index in np.ndindex(2, 3):
        one = correlation_by_distance(activations[index], (3, 4), boundary="torus", bins="unit")
        for batched, single in zip(found[1:], one[1:], strict=True):
            np.testing.assert_allclose(batched[index], single)
    assert found.pairs[1, 2].sum() == 55 and found.pairs[0, 0].sum() == 66


@pytest.mark.parametrize("boundary", ["open", "torus"])
def test_difference_of_selectivity_is_that_of_a_loop(boundary: str) -> None:
    maps = np.random.default_rng(8).standard_normal((2, 20))
    maps[1, 3] = np.nan
    found = difference_by_distance(maps, (4, 5), boundary=boundary)
    for values, mean, pairs in zip(maps, found.mean, found.pairs, strict=True):
        curve: dict[int, list[float]] = {}
        for (one, here), (other, there) in itertools.combinations(enumerate(np.ndindex(4, 5)), 2):
            apart = np.abs(np.subtract(here, there))
            apart = np.minimum(apart, (4, 5) - apart) if boundary == "torus" else apart
            if not np.isnan(values[one] - values[other]):
                curve.setdefault(int(apart @ apart), []).append(abs(values[one] - values[other]))
        np.testing.assert_allclose(mean, [np.mean(curve[squared]) for squared in sorted(curve)])
        np.testing.assert_array_equal(pairs, [len(curve[squared]) for squared in sorted(curve)])


def test_published_smoothness_statistic() -> None:
    assert smoothness_statistic([0.2, 0.5, 0.9, 1.1, 1.0]) == pytest.approx(0.81818181818)
    curves = [[0.5, 1.0, np.nan, 9.0], [1.0, 0.5, 0.2, 0.1], [0.0, 0.0, 0.0, 0.0], [np.nan, 1, 1, 1]]
    np.testing.assert_allclose(smoothness_statistic(curves), [0.5, 0, 1, np.nan])


def test_smoothness_of_a_smooth_map_is_above_that_of_a_shuffled_one() -> None:
    wave = np.cos(2 * np.pi * np.arange(20) / 20)
    d_map = np.add.outer(wave, wave).ravel()
    shuffled = np.random.default_rng(0).permutation(d_map)
    curve = difference_by_distance([d_map, shuffled], (20, 20), boundary="torus", bins="unit")
    smooth, rough = smoothness_statistic(curve.mean)
    assert smooth > 0.75 and rough < 0.2


def test_published_aim_of_the_loss() -> None:
    np.testing.assert_allclose(inverse_distance([0, 0.15625, 1]), [1, 0.8648648649, 0.5])
    with pytest.raises(TopoRepError, match="at least 0 mm, found -1.0"):
        inverse_distance([-1.0, 2.0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"boundary": "sphere"}, "boundary: expected one of open, torus"),
        ({"bins": "log"}, "bins: expected one of exact, unit"),
        ({"bins": 0.0}, "bins: expected a width above 0"),
        ({"bins": [1.0, 1.0]}, "ascending edges"),
        ({"bins": [1.0]}, "ascending edges"),
        ({"spacing": 0}, "spacing: expected a distance above 0"),
        ({"within": np.zeros(5)}, "category of each of 4 images"),
    ],
)
def test_bad_options_are_named(options: dict, message: str) -> None:
    with pytest.raises(TopoRepError, match=message):
        correlation_by_distance(np.random.default_rng(0).standard_normal((4, 6)), (2, 3), **options)


def test_bad_input_is_named() -> None:
    with pytest.raises(TopoRepError, match="found 6 units for a sheet of 2 x 4"):
        correlation_by_distance(np.ones((4, 6)), (2, 4))
    with pytest.raises(TopoRepError, match="at least 2 of them, found 1"):
        correlation_by_distance(np.ones((1, 6)), (2, 3))
    with pytest.raises(TopoRepError, match="NaN or infinite"):
        correlation_by_distance(np.full((2, 6), np.inf), (2, 3))
    with pytest.raises(TopoRepError, match="NaN or infinite"):
        difference_by_distance(np.full(6, np.inf), (2, 3))
    with pytest.raises(TopoRepError, match="curve: expected mean absolute"):
        smoothness_statistic([-0.1, 0.2])
