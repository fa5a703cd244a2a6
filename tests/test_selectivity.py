"""Selectivity maps: published numbers, scipy, esda and plain loops."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from toporep.errors import TopoRepError
from toporep.metrics.loader_average import average_over_sets, published_average
from toporep.metrics.moments import Moments, pool
from toporep.metrics.selectivity import (
    NO_CLASS,
    SEVERAL_CLASSES,
    cohens_d,
    cohens_d_error,
    joint_map,
    one_vs_rest,
    strongest_units,
)
from toporep.metrics.selectivity_maps import (
    adjacent_units,
    map_correlation,
    map_smoothness,
    overlap,
    selective_patches,
    top_units,
)
from toporep.metrics.selectivity_nulls import (
    label_shuffled_maps,
    spearman_brown,
    split_half_reliability,
    unit_shuffled_maps,
)

# 24 images of 4 classes on 4 x 4 units, and what the published functions make of them.
IMAGE, UNIT = np.arange(24)[:, None], np.arange(16)
ACTIVATIONS = np.sin(1.3 * IMAGE + 0.37 * UNIT) + 0.7 * np.cos(0.9 * UNIT + 1.7 * (IMAGE // 6))
CLASSES = dict(zip(("Objects", "Faces", "Bodies", "Places"), ACTIVATIONS.reshape(4, 6, 16), strict=True))
FACES_VS_OBJECTS = [
    *(-0.8167113461, -1.2447174841, -0.66257672336, 0.41283321279, 1.095540587, 0.80109756306, -0.29729063971),
    *(-1.3841010543, -1.622877846, -0.79949566824, 0.51888358684, 1.4127702002, 1.2871882971, 0.30453077916),
    *(-0.73853174497, -1.0159469394),
]
PUBLISHED_ONE_VS_REST = {
    "Objects": [
        *(1.1609667197, 0.78285499978, -0.063769058595, -0.71823578429, -0.60849088985, 0.12190533741, 0.9682280602),
        *(1.2183151479, 0.59169871456, -0.36920680531, -1.1881441109, -1.1876728646, -0.44702202761, 0.41999186937),
        *(0.83125075053, 0.40812265277),
    ],
    "Faces": [
        *(0.068584760869, -0.80385758394, -0.96613980428, -0.18289203347, 0.79061357399, 1.218945268, 0.57539361897),
        *(-0.4659739844, -1.3507872849, -1.4004345895, -0.49507939026, 0.54425015069, 1.2270002739, 0.86511077846),
        *(-0.12896443636, -0.91625899099),
    ],
    "Bodies": [
        *(-1.2997832517, -0.68771895302, 0.30211014043, 0.9661042917, 0.65765556535, -0.26027241179, -1.2227647296),
        *(-1.3702580697, -0.53581981894, 0.5526470576, 1.4014498088, 1.1965036832, 0.27608294727, -0.66595326516),
        *(-0.97234958896, -0.32680761577),
    ],
    "Places": [
        *(0.032314581681, 0.70585927539, 0.6933979149, -0.037926229971, -0.84349168733, -1.0419239947, -0.35804544063),
        *(0.58858896468, 1.2842659753, 1.1703139177, 0.33697147286, -0.54507629092, -1.0060787845, -0.59638921188),
        *(0.25836119308, 0.83197848755),
    ],
}
TORI = [(5, 7), (3, 3), (2, 6), (1, 5), (2, 2)]


def published_moments() -> dict[str, Moments]:
    return {name: Moments.of(images) for name, images in CLASSES.items()}


def test_published_two_class_map() -> None:
    found = cohens_d(CLASSES["Faces"], CLASSES["Objects"])
    np.testing.assert_allclose(found, FACES_VS_OBJECTS, rtol=1e-9)
    # The published code's variances are the unbiased ones; with the others the first would be -0.8947.
    assert found[0] * np.sqrt(6 / 5) == pytest.approx(-0.89466245445, rel=1e-9)


def test_published_maps_of_each_class_against_the_rest() -> None:
    found = one_vs_rest(published_moments())
    np.testing.assert_allclose(found, list(PUBLISHED_ONE_VS_REST.values()), rtol=1e-9)


@pytest.mark.parametrize(
    ("threshold", "published"),
    [
        (0.85, [2, 0, 0, 4, 0, 3, 2, 2, 5, 5, 4, 4, 3, 3, 0, 0]),
        (0.3, [2, 1, 1, 4, 1, 3, 1, 1, 1, 1, 1, 1, 3, 1, 2, 1]),
    ],
)
def test_published_joint_map(threshold: float, published: list[int]) -> None:
    """There 0 is none, 1 is mixed and 2 + c is class c."""
    codes = {NO_CLASS: 0, SEVERAL_CLASSES: 1, **{number: 2 + number for number in range(4)}}
    found = joint_map(list(PUBLISHED_ONE_VS_REST.values()), threshold)
    assert [codes[code] for code in found] == published


def test_published_map_of_two_classes_against_each_other() -> None:
    d = np.array(FACES_VS_OBJECTS)
    signs = {NO_CLASS: 0, 0: -1, 1: 1}
    published = [0, -1, 0, 0, 1, 0, 0, -1, -1, 0, 0, 1, 1, 0, 0, -1]
    assert [signs[code] for code in joint_map(np.stack([-d, d]))] == published


def test_joint_map_takes_the_threshold_itself_and_stays_mixed_for_three() -> None:
    d_maps = [[0.85, np.nextafter(0.85, 0), 1.0, 1.0, np.nan], [0, 0, 1.0, 1.0, 0.9], [0, 0, 0, 0.9, 0.1]]
    np.testing.assert_array_equal(joint_map(d_maps), [0, NO_CLASS, SEVERAL_CLASSES, SEVERAL_CLASSES, 1])


def test_published_streaming_moments() -> None:
    faces = CLASSES["Faces"]
    moments = Moments().update(faces[:4]).update(faces[4:])
    assert moments.count == 6
    mean, variance = [0.09893729663, -0.42721845859, -0.52280188304], [0.66009401279, 0.63273354756, 0.57699222015]
    np.testing.assert_allclose(moments.mean[:3], mean, rtol=1e-9)
    np.testing.assert_allclose(moments.variance[:3], variance, rtol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 2**32), st.sampled_from([0.0, 1e7, -3e5]))
def test_moments_do_not_depend_on_the_blocks(sizes: list[int], seed: int, shift: float) -> None:
    """Also where the mean is ten million times the spread, at which sums of squares have lost every digit."""
    values = np.random.default_rng(seed).standard_normal((sum(sizes) + 1, 3)) + shift
    first, *others = np.split(values, np.cumsum(sizes))
    merged = Moments()
    for block in reversed(others):
        merged = Moments.of(block).merge(merged)
    merged = merged.merge(Moments.of(first))
    assert merged.count == len(values)
    np.testing.assert_allclose(merged.mean, values.mean(axis=0), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(merged.variance, values.var(axis=0, ddof=1), rtol=1e-8)


def test_merging_changes_neither_part_and_takes_a_batch_of_models() -> None:
    values = np.random.default_rng(0).standard_normal((2, 9, 5)).astype(np.float32)
    early, late = Moments.of(values[:, :4]), Moments.of(values[:, 4:])
    before = early.mean.copy(), early.squares.copy(), early.count
    merged = pool([early, late])
    late.update(values)
    np.testing.assert_array_equal(early.mean, before[0])
    np.testing.assert_array_equal(early.squares, before[1])
    assert (early.count, merged.count, late.count) == (4, 9, 14)
    assert merged.mean.dtype == merged.squares.dtype == np.float64
    np.testing.assert_allclose(merged.variance, values.astype(np.float64).var(axis=1, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(merged.variance[1], Moments.of(values[1]).variance, rtol=1e-12)


def test_a_refused_update_leaves_the_moments_as_they_were() -> None:
    moments = Moments.of(np.eye(3))
    bad = np.ones((100_000, 3), dtype=np.float32)
    bad[-1, 1] = np.nan
    huge = np.outer([1e300, -1e300], np.ones(3))
    for wrong, message in ((bad, "NaN"), (np.ones((4, 2)), r"\(3,\), found \(2,\)"), (huge, "scale them")):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(TopoRepError, match=message):
                moments.update(wrong)
    assert moments.count == 3
    np.testing.assert_allclose(moments.mean, 1 / 3)


def test_d_changes_sign_with_the_classes_and_not_with_scale_and_shift() -> None:
    rng = np.random.default_rng(1)
    target, control = rng.standard_normal((9, 6)) + 0.3, rng.standard_normal((5, 6)) * 2
    d = cohens_d(target, control)
    np.testing.assert_allclose(cohens_d(control, target), -d, rtol=1e-12)
    np.testing.assert_allclose(cohens_d(3 * target - 7, 3 * control - 7), d, rtol=1e-10)
    np.testing.assert_allclose(cohens_d(np.stack([target, -target]), np.stack([control, -control])), [d, -d])


def test_d_of_equally_many_images_is_t_times_the_root_of_two_over_n() -> None:
    rng = np.random.default_rng(2)
    target, control = rng.standard_normal((2, 8, 30)) * [[[1.0]], [[4.0]]]
    t = stats.ttest_ind(target, control).statistic
    np.testing.assert_allclose(cohens_d(target, control), t * np.sqrt(2 / 8), rtol=1e-12)


@pytest.mark.parametrize("value", [0.1, -1e30, 3e-38, 0.0])
def test_constant_units(value: float) -> None:
    """0 where a unit says nothing, NaN where it says all; in blocks of any size, and never a warning."""
    rng = np.random.default_rng(3)
    target, control = np.full((70_001, 3), value, dtype=np.float32), np.full((11, 3), value, dtype=np.float32)
    target[:, 1] = 0.3
    target[:, 2] = rng.standard_normal(len(target))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        d, error = cohens_d(target, control), cohens_d_error(target, control)
        rest = one_vs_rest([Moments.of(target), Moments.of(control)], complement="classes")
    assert d[0] == 0 and np.isnan(d[1]) and np.isfinite(d[2])
    assert np.isnan(error[:2]).all() and np.isfinite(error[2])
    np.testing.assert_array_equal(rest[0], d)


def test_standard_error_is_the_spread_over_samples() -> None:
    rng = np.random.default_rng(4)
    draws = 20_000
    target, control = rng.standard_normal((60, draws)) + 1.5, rng.standard_normal((25, draws)) * 2
    d, error = cohens_d(target, control), cohens_d_error(target, control)
    assert error.mean() == pytest.approx(d.std(), rel=0.03)
    expected = 1.5 / np.sqrt(2.5)
    assert np.mean(np.abs(d - expected) < 1.96 * error) == pytest.approx(0.95, abs=0.012)


def test_pooling_the_rest_by_images_is_concatenating_them() -> None:
    sizes = (3, 50, 7)
    rng = np.random.default_rng(5)
    images = [rng.standard_normal((size, 4)) + place for place, size in enumerate(sizes)]
    found = one_vs_rest([Moments.of(part) for part in images])
    for place, part in enumerate(images):
        rest = np.concatenate(images[:place] + images[place + 1 :])
        pooled = (part.var(axis=0, ddof=1) + rest.var(axis=0, ddof=1)) / 2
        np.testing.assert_allclose(found[place], (part.mean(axis=0) - rest.mean(axis=0)) / np.sqrt(pooled), rtol=1e-10)


def test_mixing_the_rest_by_classes_is_repeating_images_until_classes_are_equal() -> None:
    rng = np.random.default_rng(6)
    target, few, many = rng.standard_normal((40, 5)), rng.standard_normal((300, 5)) + 2, rng.standard_normal((3000, 5))
    found = one_vs_rest([Moments.of(part) for part in (target, few, many)], complement="classes")[0]
    repeated = np.concatenate([np.tile(few, (10, 1)), many])
    np.testing.assert_allclose(found, cohens_d(target, repeated), rtol=2e-3)
    assert np.all(np.abs(found - cohens_d(target, np.concatenate([few, many]))) > 0.1)


def test_too_few_images_or_classes_are_refused() -> None:
    images = np.eye(4)
    with pytest.raises(TopoRepError, match="control: a variance over images needs at least 2 of them, found 1"):
        cohens_d(images, images[:1])
    with pytest.raises(TopoRepError, match="target: .* found 0"):
        cohens_d(Moments(), images)
    with pytest.raises(TopoRepError, match=r"units of the target, \(4,\), found \(3,\)"):
        cohens_d(images, images[:, :3])
    with pytest.raises(TopoRepError, match="at least 2 to tell apart, found 1"):
        one_vs_rest({"faces": Moments.of(images)})
    with pytest.raises(TopoRepError, match="complement: expected one of images, classes"):
        one_vs_rest([Moments.of(images)] * 2, complement="equal")


def test_strongest_unit_of_each_image() -> None:
    images = np.zeros((2, 3, 3 * 5))
    places = [(0, 0), (0, 4), (1, 2), (2, 0), (2, 4), (1, 0)]
    for image, (row, col) in zip(images.reshape(-1, 3, 5), places, strict=True):
        image[row, col] = 1
    np.testing.assert_array_equal(strongest_units(images, (3, 5)).reshape(-1, 2), places)


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("seed", range(6))
def test_open_patches_are_those_of_scipy(seed: int, connectivity: int) -> None:
    d_map = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((14, 11)), 1)
    labels, count = ndimage.label(d_map >= 0.2, structure=ndimage.generate_binary_structure(2, connectivity // 4))
    found = selective_patches(d_map, (14, 11), threshold=0.2, boundary="open", connectivity=connectivity)
    assert len(found) == count > 0
    assert [patch.size for patch in found] == sorted((patch.size for patch in found), reverse=True)
    for patch in found:
        number = labels.ravel()[patch.units[0]]
        np.testing.assert_array_equal(patch.units, np.flatnonzero(labels == number))
        np.testing.assert_allclose(patch.center, ndimage.center_of_mass(labels == number))
        assert patch.size == len(patch.units) and patch.max_d == ndimage.maximum(d_map, labels, number)


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("grid", TORI)
def test_torus_patches_are_those_of_a_flood(grid: tuple[int, int], connectivity: int) -> None:
    rows, cols = grid
    for seed in range(8):
        d_map = np.random.default_rng(seed).standard_normal(rows * cols)
        unvisited, expected = set(np.flatnonzero(d_map >= 0.1)), set()
        while unvisited:
            patch, front = set(), [min(unvisited)]
            while front:
                unit = front.pop()
                if unit in unvisited:
                    unvisited.remove(unit)
                    patch.add(int(unit))
                    for down, right in itertools.product((-1, 0, 1), repeat=2):
                        if connectivity == 8 or not down or not right:
                            front.append((unit // cols + down) % rows * cols + (unit % cols + right) % cols)
            expected.add(frozenset(patch))
        found = selective_patches(d_map, grid, threshold=0.1, connectivity=connectivity)
        assert {frozenset(patch.units.tolist()) for patch in found} == expected


def test_patches_move_with_the_map_on_the_torus() -> None:
    d_map = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((12, 9)), 1.2, mode="wrap") * 4
    found = selective_patches(d_map, (12, 9), threshold=1.0)
    assert len(found) > 1 and all(np.isfinite(patch.center).all() for patch in found)
    for shift in ((1, 0), (5, 8), (11, 4)):
        moved = selective_patches(np.roll(d_map, shift, axis=(0, 1)), (12, 9), threshold=1.0)
        expected = sorted((patch.size, *np.round(np.add(patch.center, shift) % (12, 9), 9)) for patch in found)
        assert sorted((patch.size, *np.round(patch.center, 9)) for patch in moved) == expected


def test_center_of_a_patch_across_the_border_and_of_a_ring() -> None:
    d_map = np.zeros((8, 10))
    d_map[[7, 0, 1], 0] = d_map[0, 9] = 1
    (patch,) = selective_patches(d_map, (8, 10))
    assert patch.size == 4
    np.testing.assert_allclose(patch.center, (0.0, 9.75))
    assert len(selective_patches(d_map, (8, 10), boundary="open")) == 3
    ring = np.zeros((8, 10))
    ring[3] = 1
    (patch,) = selective_patches(ring, (8, 10))
    assert patch.center[0] == 3 and np.isnan(patch.center[1])


def test_a_map_without_selective_units_has_no_patch() -> None:
    assert selective_patches(np.full(12, np.nan), (3, 4)) == []
    assert selective_patches(np.full(12, 0.84), (3, 4)) == []
    (patch,) = selective_patches(np.full(12, 0.85), (3, 4))
    assert patch.size == 12


@pytest.mark.parametrize("connectivity", [4, 8])
def test_smoothness_on_the_torus_is_morans_i(connectivity: int) -> None:
    esda, libpysal = pytest.importorskip("esda"), pytest.importorskip("libpysal")
    rows, cols = 5, 6
    maps = np.random.default_rng(0).standard_normal((3, rows * cols)).cumsum(axis=1)
    neighbors: dict[int, list[int]] = {unit: [] for unit in range(rows * cols)}
    for first, second in adjacent_units((rows, cols), connectivity=connectivity).T.tolist():
        neighbors[first].append(second)
        neighbors[second].append(first)
    assert {len(each) for each in neighbors.values()} == {connectivity}
    weights = libpysal.weights.W(neighbors)
    expected = [esda.Moran(each, weights, transformation="B", permutations=0).I for each in maps]
    np.testing.assert_allclose(map_smoothness(maps, (rows, cols), connectivity=connectivity), expected, rtol=1e-12)


def test_smoothness_on_an_open_sheet_is_the_correlation_of_all_ordered_pairs() -> None:
    d_map = np.random.default_rng(1).standard_normal((4, 5)).cumsum(axis=1)
    pairs = [(d_map[r, c], d_map[r, c + 1]) for r in range(4) for c in range(4)]
    pairs += [(d_map[r, c], d_map[r + 1, c]) for r in range(3) for c in range(5)]
    x, y = np.array(pairs + [pair[::-1] for pair in pairs]).T
    found = map_smoothness(d_map.ravel(), (4, 5), boundary="open")
    assert found == pytest.approx(stats.pearsonr(x, y).statistic, rel=1e-12)


def test_smoothness_of_a_wave_is_the_cosine_of_its_step() -> None:
    wave = np.cos(2 * np.pi * np.arange(24) / 24)
    assert map_smoothness(np.multiply.outer(wave, wave).ravel(), (24, 24)) == pytest.approx(np.cos(2 * np.pi / 24))
    assert map_smoothness(np.indices((6, 6)).sum(axis=0).ravel() % 2, (6, 6)) == pytest.approx(-1)
    assert np.isnan(map_smoothness(np.full(36, 0.1), (6, 6)))


def test_map_correlation_leaves_undefined_units_out() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.standard_normal((2, 4, 20))
    first[1, 3] = second[1, 7] = second[2, 0] = np.nan
    found = map_correlation(first, second)
    for row in range(4):
        present = np.isfinite(first[row] + second[row])
        expected = stats.pearsonr(first[row, present], second[row, present]).statistic
        assert found[row] == pytest.approx(expected, rel=1e-12)
    assert np.isnan(map_correlation(np.full(20, 0.1), second[0]))
    assert np.isnan(map_correlation(np.full(20, np.nan), second[0]))


def test_top_units() -> None:
    d_map = [0.1, np.nan, 0.5, 0.4, 0.5, -1.0, 0.5, 0.0, 0.2, 0.3]
    np.testing.assert_array_equal(np.flatnonzero(top_units(d_map, 0.2)), [2, 4])
    np.testing.assert_array_equal(np.flatnonzero(top_units(d_map, 0.4)), [2, 3, 4, 6])
    np.testing.assert_array_equal(np.flatnonzero(top_units(d_map, 0.01)), [2])
    assert not top_units(d_map, 0.9)[1]


def test_overlap_of_scattered_units_is_hypergeometric() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.random((2, 48)) < [[0.3], [0.5]]
    found = overlap(first, second, (6, 8))
    assert found.units == np.sum(first & second) and found.share == found.units / first.sum()
    assert found.chance == second.mean()
    assert found.p_units == pytest.approx(stats.hypergeom.sf(found.units - 1, 48, first.sum(), second.sum()), rel=1e-9)


def test_overlap_of_shifted_sets_counts_all_shifts() -> None:
    rng = np.random.default_rng(4)
    smooth = [ndimage.gaussian_filter(rng.standard_normal((6, 8)), 1.5, mode="wrap") for _ in range(2)]
    first, second = (top_units(each.ravel(), 0.25) for each in smooth)
    found = overlap(first, second, (6, 8))
    shifts = itertools.product(range(6), range(8))
    common = [np.sum(first & np.roll(second.reshape(6, 8), shift, axis=(0, 1)).ravel()) for shift in shifts]
    assert found.p_shifts == np.mean(np.array(common) >= found.units)
    # Over all shifts, chance is met exactly.
    assert np.mean(common) == pytest.approx(found.chance * first.sum())
    assert overlap(first, first, (6, 8)).p_shifts == pytest.approx(1 / 48)
    assert np.isnan(overlap(first, second, (6, 8), boundary="open").p_shifts)
    assert np.isnan(overlap(np.zeros(48, bool), second, (6, 8)).share)


def test_unit_shuffled_maps_keep_the_values_and_lose_the_order() -> None:
    wave = np.cos(2 * np.pi * np.arange(20) / 20)
    d_map = np.add.outer(wave, wave).ravel()
    maps = unit_shuffled_maps(d_map, shuffles=200, seed=5)
    np.testing.assert_array_equal(np.sort(maps, axis=1), np.broadcast_to(np.sort(d_map), maps.shape))
    assert map_smoothness(maps, (20, 20)).mean() == pytest.approx(-1 / 399, abs=0.012)
    np.testing.assert_array_equal(unit_shuffled_maps(d_map, shuffles=3, seed=5), maps[:3])
    assert not np.array_equal(unit_shuffled_maps(d_map, shuffles=1, seed=6)[0], maps[0])


def test_label_shuffled_maps_are_those_of_shuffled_labels() -> None:
    rng = np.random.default_rng(7)
    target, control = rng.standard_normal((9, 70_000)) * 5 + 1e4, rng.standard_normal((14, 70_000)) + 1e4
    target[:, 0], control[:, 0] = 0.1, 0.1
    maps = label_shuffled_maps(target, control, shuffles=3, seed=8)
    images = np.concatenate([target, control])
    for index, found in enumerate(maps):
        dealt = images[np.random.default_rng([8, 0, index]).permutation(23)]
        np.testing.assert_allclose(found, cohens_d(dealt[:9], dealt[9:]), rtol=1e-7, atol=1e-10)
    assert (maps[:, 0] == 0).all()


def test_label_shuffled_maps_have_the_spread_of_noise() -> None:
    """By chance d is about normal with variance 1 / n + 1 / n, however selective the units are."""
    rng = np.random.default_rng(9)
    target, control = rng.standard_normal((200, 20)) + 3, rng.standard_normal((200, 20))
    maps = label_shuffled_maps(target, control, shuffles=1000)
    assert cohens_d(target, control).min() > 2
    assert maps.std() == pytest.approx(np.sqrt(2 / 200), rel=0.08)
    assert np.abs(maps.mean()) < 0.015


def test_split_halves_are_those_of_the_documented_draws() -> None:
    rng = np.random.default_rng(10)
    target, control = rng.standard_normal((7, 12)).astype(np.float32), rng.standard_normal((10, 12)).astype(np.float32)
    found = split_half_reliability(target, control, splits=4, seed=11)
    for index in range(4):
        generator = np.random.default_rng([11, 2, index])
        halves = [np.split(part[generator.permutation(len(part))], [len(part) // 2]) for part in (target, control)]
        maps = [cohens_d(faces, objects) for faces, objects in zip(*halves, strict=True)]
        assert found[index] == pytest.approx(stats.pearsonr(*maps).statistic, rel=1e-9)


def test_reliability_follows_from_signal_and_noise() -> None:
    """Halves of n images a class have error variance 4 / n; Spearman and Brown foretell that of all the images."""
    rng = np.random.default_rng(12)
    selectivity = 0.4 * rng.standard_normal(3000)
    target, control = rng.standard_normal((2, 60, 3000), dtype=np.float32)
    halves = split_half_reliability(target + selectivity, control, splits=10).mean()
    assert halves == pytest.approx(0.16 / (0.16 + 4 / 60), abs=0.03)
    assert spearman_brown(halves) == pytest.approx(0.16 / (0.16 + 2 / 60), abs=0.03)
    assert abs(split_half_reliability(target, control, splits=10).mean()) < 0.05


def test_spearman_brown() -> None:
    np.testing.assert_allclose(spearman_brown([0.0, 0.5, 1.0, -1.0]), [0, 2 / 3, 1, np.nan])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: selective_patches(np.zeros(11), (3, 4)), r"d_map: expected one map of the sheet, \(12,\) or \(3, 4\)"),
        (lambda: selective_patches(np.zeros(12), (3, 4), boundary="ring"), "boundary: expected one of open, torus"),
        (lambda: selective_patches(np.zeros(12), (3, 4), connectivity=6), "connectivity: expected 4 or 8"),
        (lambda: selective_patches(np.zeros(12), (3, 4), threshold=np.nan), "threshold: expected a finite"),
        (lambda: map_smoothness(np.zeros(11), (3, 4)), "maps: a sheet of 3 x 4 has 12 units, found 11"),
        (lambda: map_smoothness(np.zeros(1), (1, 1)), "at least 2 units"),
        (lambda: map_correlation(np.zeros(3), [1, 2, np.inf]), "second: expected finite values"),
        (lambda: map_correlation(np.zeros(3), np.zeros(4)), "second: expected 3 units"),
        (lambda: top_units(np.zeros(3), 0), "share: expected more than 0"),
        (lambda: overlap(np.zeros(12), np.zeros(12, bool), (3, 4)), "expected bool"),
        (lambda: joint_map(np.zeros((0, 4))), "one map for each class"),
        (lambda: joint_map(np.zeros((2, 4)), np.nan), "threshold: expected a finite"),
        (lambda: strongest_units(np.zeros((2, 11)), (3, 4)), "a sheet of 3 x 4 has 12 units, found 11"),
        (lambda: label_shuffled_maps(np.eye(3), np.eye(3)[:1]), "control: .* at least 2 images"),
        (lambda: label_shuffled_maps(np.eye(3), np.eye(3), shuffles=0), "shuffles: expected at least 1"),
        (lambda: label_shuffled_maps(np.eye(3), np.eye(4)), "control: expected 3 units"),
        (lambda: split_half_reliability(np.eye(4)[:3], np.eye(4)), "target: .* at least 4 images"),
        (lambda: unit_shuffled_maps(np.eye(3)), "d_map: expected one map"),
        (lambda: Moments.of(np.ones(3)), "images, units"),
        (lambda: Moments.of(np.ones((2, 3)) * 1j), "dtype complex128"),
        (lambda: Moments.of(np.ones((0, 3))), "none of them empty"),
        (lambda: Moments.of(np.ones((1, 3))).variance, "needs at least 2"),
        (lambda: published_average([]), "at least one set"),
        (lambda: average_over_sets([[1.0, 2.0]], [[3]]), "batch_images"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(TopoRepError, match=message):
        call()


def test_published_average_over_sets() -> None:
    """Two sets of equally many batches double a loss; four sets multiply it by the share of the last."""
    assert published_average([np.full(196, 1.7)] * 2) == pytest.approx(3.4)
    sets = [np.ones(batches) for batches in (196, 196, 87, 286)]
    assert published_average(sets) == pytest.approx(2.6748251748)
    assert average_over_sets([np.full(196, 1.7)] * 2, [np.full(196, 128)] * 2) == pytest.approx(1.7)
    assert average_over_sets([[1.0, 4.0], [2.0]], [[100, 10], [50]]) == pytest.approx((100 + 40 + 100) / 160)
