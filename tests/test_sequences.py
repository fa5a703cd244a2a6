from __future__ import annotations

import colorsys
import math

import numpy as np
import pytest
import scipy.stats
import torch
from scipy.ndimage import map_coordinates
from torch.nn.functional import affine_grid, grid_sample
from torchvision.transforms.functional import adjust_hue

from toporep import rng
from toporep.data import warps
from toporep.data.sequences import (
    ANGLES,
    COLORS,
    KINDS,
    SCALES,
    Draws,
    draw_sequences,
    render_sequences,
    sequence_labels,
    split_indices,
    sprite_classes,
    sprite_indices,
    transform,
)
from toporep.errors import TopoRepError

COLORED = ("single", "color_rotation", "color_perspective")
MANY = np.arange(40_000)
# By chance alone, fewer than one in a thousand draws of numbers is this uneven.
UNEVEN = 1e-3


def wave(size: int) -> np.ndarray:
    """The image of the published code's numbers: (size, size) float64."""
    return 0.5 * np.sin(0.53 * np.arange(size * size) + 0.2).reshape(size, size) + 0.5


def digits(count: int, rows: int = 28, cols: int = 28) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(5).integers(0, 256, (count, rows, cols), dtype=np.uint8))


def one(kind: str, *starts: int, factor: int = 0) -> Draws:
    return Draws(kind, np.array([starts]), np.array([factor]))


# By the authors' modules in float64: the row 4 and the diagonal of the warped image.
ROTATED_AND_SCALED = {
    (0.0, 1.0): (
        [0.7786575268, 0.5305552375, 0.274069023143, 0.0795750739454, 0.00043977921563],
        [0.599334665398, 0.374755508686, 0.175461451878, 0.041687159853, 0.000439779216],
    ),
    (20.0, 1.0): (
        [0.0752536938139, 0.0657770080426, 0.0285787687944, 0.0894685428165, 0.102715207759],
        [0.0, 0.858611865484, 0.821832318784, 0.426341345849, 0.102715207759],
    ),
    (90.0, 1.0): (
        [0.381922339652, 0.838904287696, 0.993837339388, 0.708637206711, 0.237488886558],
        [0.0, 0.12594076594, 0.80969413271, 0.909723087695, 0.237488886558],
    ),
    (0.0, 0.6): (
        [0.0, 0.0, 0.465528703192, 0.143994077118, 0.081950299363],
        [0.0, 0.0, 0.599334665398, 0.267255038805, 0.081950299363],
    ),
    (0.0, 1.26): (
        [0.605771160248, 0.413702147853, 0.243468885632, 0.117361841706, 0.0517816166228],
        [0.371936868139, 0.226706897425, 0.139494634959, 0.083575769507, 0.051781616623],
    ),
    (140.0, 0.83): (
        [0.0, 0.471643621814, 0.89584506518, 0.478476181479, 0.0600345806032],
        [0.0, 0.0, 0.0, 0.273751593988, 0.060034580603],
    ),
}


@pytest.mark.parametrize(("angle", "scale"), ROTATED_AND_SCALED)
def test_rotation_and_scale_of_the_published_code(angle, scale):
    points = warps.rotation_scale_points(np.array([angle]), np.array([scale]), size=(10, 10))
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-6)):
        image = torch.from_numpy(wave(10)).to(dtype)[None]
        seen = warps.sample(image, warps.sampling_grid(points, size=(10, 10), dtype=dtype)[None]).view(10, 10).numpy()
        row, diagonal = ROTATED_AND_SCALED[angle, scale]
        np.testing.assert_allclose(seen[4, :5], row, rtol=0, atol=tolerance)
        np.testing.assert_allclose(np.diagonal(seen)[:5], diagonal, rtol=0, atol=tolerance)


def test_colors_of_the_published_code():
    thirds = {0: (0, 3, 3), 20: (0, 2, 3), 60: (0, 0, 3), 80: (1, 0, 3), 120: (3, 0, 3), 140: (3, 0, 2), 160: (3, 0, 1)}
    thirds |= {180: (3, 0, 0), 200: (3, 1, 0), 220: (3, 2, 0), 240: (3, 3, 0), 280: (1, 3, 0), 340: (0, 3, 2)}
    found = warps.hue_colors(np.array(list(thirds)) - 180.0)
    np.testing.assert_allclose(found, np.array(list(thirds.values())) / 3, rtol=0, atol=1e-9)


def test_hue_agrees_with_colorsys_at_any_angle():
    hues = np.random.default_rng(0).uniform(-720, 720, 500)
    expected = [colorsys.hsv_to_rgb(hue / 360 % 1, 1, 1) for hue in hues]
    np.testing.assert_allclose(warps.hue_colors(hues), expected, rtol=0, atol=1e-9)


# By the authors' modules: red, or the brightest channel, of pixel (4, 6) in each frame, and sums over pixels of two.
ROTATION = [0.149299931, 0.305853449, 0.493352453, 0.615716545, 0.667162433, 0.664463504, 0.54785696, 0.372605492]
ROTATION += [0.211680926, 0.0685057659, 0.0351509997, 0.129313143, 0.206008961, 0.244727081, 0.21127676, 0.167302558]
ROTATION += [0.0584643915, 0.0699472499]
SCALE = [0.778799678, 0.75731025, 0.736600726, 0.716696345, 0.690669066, 0.664463504, 0.640329412, 0.623445805]
SCALE += [0.602393013, 0.582844695, 0.564646136, 0.931275815, 0.910462079, 0.887953367, 0.864684417, 0.841263091]
SCALE += [0.823839734, 0.801011365]


@pytest.mark.parametrize(
    ("starts", "factor", "brightest", "sums"),
    [
        ((4, 12, 11), 0, ROTATION, {0: (47.1296933, 31.4197955, 0), 17: (47.1735839, 31.4490559, 0)}),
        ((9, 7, 11), 1, SCALE, {0: (36.719213, 24.4794753, 0), 11: (18.6564738, 12.4376492, 0)}),
        ((9, 16, 2), 2, [0.582844695] * 18, {0: (0, 17.1884692, 51.5654076), 17: (0, 34.3769384, 51.5654076)}),
    ],
)
def test_sequences_of_the_published_code(starts, factor, brightest, sums):
    frames = transform(torch.from_numpy(wave(10))[None], one("single", *starts, factor=factor))[0].numpy()
    np.testing.assert_allclose(frames[:, :, 4, 6].max(axis=1), brightest, rtol=0, atol=1e-8)
    for time, channels in sums.items():
        np.testing.assert_allclose(frames[time].sum(axis=(1, 2)), channels, rtol=0, atol=1e-6)


def test_color_and_rotation_of_the_published_code():
    frames = transform(torch.from_numpy(wave(10))[None], one("color_rotation", 3, 16))[0].numpy()
    pixels = {0: (0, 0.0722982656, 0.0240994219), 5: (0, 0, 0.704903718), 7: (0.389595637, 0, 0.584393456)}
    pixels |= {11: (0.0494789974, 0, 0), 15: (0.158325924, 0.237488887, 0), 17: (0, 0.069925413, 0)}
    for time, expected in pixels.items():
        np.testing.assert_allclose(frames[time, :, 4, 6], expected, rtol=0, atol=1e-8)
    np.testing.assert_allclose(frames[2].sum(axis=(1, 2)), (0, 46.8946596, 46.8946596), rtol=0, atol=1e-6)


def test_perspective_of_the_published_code():
    matrices = {
        20: [[0.9937460811, -0.3616939939, 5.513391776], [0.4341635652, 0.9427037953, -4.560255402]],
        180: [[0.998388903, -0.01742694313, 0.2810069787], [-0.01764846029, -0.998752371, 28.2266527]],
        300: [[2.030725762, 3.517320196, -20.27930718], [-2.368527583, 3.781376995, 34.19966452]],
    }
    depths = {20: (0.005742636875, -0.002090148889), 180: (-1.536480523e-05, 2.681936729e-07)}
    depths |= {300: (0.07466088382, 0.1293164441)}
    for angle, upper in matrices.items():
        matrix = warps.perspective_matrices(np.array([angle]), size=(28, 28))[0]
        np.testing.assert_allclose(matrix / matrix[2, 2], [*upper, [*depths[angle], 1]], rtol=1e-8)

    # Sum; pixels (10, 16), (14, 14), (20, 5); share of pixels that are 0.
    seen = {20: (326.4971, 0.313485, 0.876543, 0.303094, 0.13648), 60: (236.346, 0.639393, 0.307368, 0.445471, 0.375)}
    seen |= {100: (103.1103, 0.926036, 0.621924, 0, 0.75), 180: (375.0237, 0.212123, 0.99119, 0.784131, 0.0191327)}
    seen |= {260: (177.6099, 0.51446, 0.723234, 0, 0.516582), 340: (338.7686, 0.676365, 0.885122, 0.787153, 0.105867)}
    frames = transform(torch.from_numpy(wave(28)).float()[None], one("color_perspective", 0, 0))[0].amax(dim=1)
    for angle, (total, *pixels, zeros) in seen.items():
        frame = frames[angle // 20]
        np.testing.assert_allclose(frame[[10, 14, 20], [16, 14, 5]], pixels, rtol=0, atol=2e-4)
        assert float(frame.sum()) == pytest.approx(total, abs=2e-3)
        assert float((frame == 0).float().mean()) == pytest.approx(zeros, abs=1e-6)


def test_a_line_of_sight_along_the_plane_sees_nothing():
    # At this angle the last column looks along the image's plane, which turns about the vertical axis last.
    points = warps.perspective_points(np.array([60.30163880153163]), size=(28, 28))
    assert np.isinf(points[0, :, 27]).all() and np.isfinite(points[0, :, :27]).all()
    seen = warps.sample(torch.ones(1, 28, 28), warps.sampling_grid(points, size=(28, 28))[None]).view(28, 28)
    assert seen.isfinite().all() and not seen[:, 27].any() and seen.max() > 0.999


def test_sprites_of_the_published_code():
    steps = {1: 3375, 2: 225, 3: 15, 4: 1}
    for factor, step in steps.items():
        found = sprite_indices(one("dsprites", 0, 3, 9, 13, 0, factor=factor).classes())[0]
        assert found[:2].tolist() == [12345, 12345 + step]
    assert sprite_indices(one("dsprites", 0, 3, 9, 13, 0, factor=1).classes())[0, 1:7].tolist() == [
        *(15720, 2220, 5595, 8970, 12345, 15720)
    ]
    assert sprite_indices(one("dsprites", 0, 3, 9, 13, 0, factor=2).classes())[0, 5:8].tolist() == [13470, 10320, 10545]
    assert sprite_indices(one("dsprites", 0, 3, 9, 13, 0, factor=3).classes())[0, 1:4].tolist() == [12360, 12150, 12165]
    assert sprite_classes([12345, 50_624]).tolist() == [[0, 3, 9, 13, 0], [2, 4, 14, 14, 14]]
    everything = np.arange(50_625)
    assert (sprite_indices(sprite_classes(everything)) == everything).all()


def test_split_of_the_published_code():
    for seed, held_out, kept, total in (
        (1, [15281, 21435, 44536, 13518], [5004, 17676, 29485, 36476], 356_422_244),
        (2, [10327, 11901, 13305, 27477], [15168], 357_343_695),
    ):
        training, validation = split_indices(seed)
        assert validation[:4].tolist() == held_out and validation.sum() == total
        assert set(kept) <= set(training[:8].tolist()) and len(training) == 48_000
        assert (np.sort(np.concatenate([training, validation])) == np.arange(60_000)).all()
    assert [len(part) for part in split_indices(0, 1_203)] == [963, 240]


def by_scipy(digit: np.ndarray, kind: str, classes: np.ndarray) -> np.ndarray:
    """(frames, 3, rows, cols), one frame after the other, in float64."""
    rows, cols = digit.shape
    center = np.array([cols / 2, rows / 2])
    frames = []
    for frame in classes:
        angle, scale, color = (frame[0], SCALES[frame[1]], frame[2]) if kind == "single" else (frame[0], 1.0, frame[1])
        turn = np.radians(ANGLES[angle])
        matrix = np.eye(3)
        if kind == "color_perspective":
            matrix = np.linalg.inv(warps.perspective_matrices(ANGLES[[angle]], size=digit.shape)[0])
        else:
            matrix[:2, :2] = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / scale
            matrix[:2, 2] = center - matrix[:2, :2] @ center
        x, y, depth = np.einsum("ij,jrc->irc", matrix, np.stack([*np.mgrid[:rows, :cols][::-1], np.ones(digit.shape)]))
        gray = map_coordinates(digit, [y / depth, x / depth], order=1, mode="grid-constant", cval=0)
        hue = ((COLORS[color] - 180) / 360) % 1
        rgb = [colorsys.hsv_to_rgb(hue, 1.0, value) for value in gray.ravel().tolist()]
        frames.append(np.array(rgb).T.reshape(3, rows, cols))
    return np.stack(frames)


@pytest.mark.parametrize("kind", COLORED)
@pytest.mark.parametrize("size", [(28, 28), (14, 14), (9, 20)])
def test_agrees_with_scipy_and_colorsys_frame_by_frame(kind, size):
    images, indices = digits(30, *size), np.array([3, 29, 0, 3, 11, 17, 20, 8, 1, 2])
    draws = draw_sequences(kind, 4, 1, indices)
    found = render_sequences(images, indices, draws)
    assert found.dtype == torch.float32 and found.shape == (10, 18, 3, *size)
    expected = [
        by_scipy(image, kind, classes)
        for image, classes in zip(images[indices].numpy() / 255, draws.classes(), strict=True)
    ]
    # The perspective of 180 degrees magnifies the rounding of points.
    np.testing.assert_allclose(found, np.stack(expected), rtol=0, atol=1e-5)


def test_agrees_with_affine_grid_and_torchvision_frame_by_frame():
    images, indices = digits(6), np.arange(6)
    draws = draw_sequences("single", 8, 0, indices)
    found = render_sequences(images, indices, draws)
    for sequence, classes, image in zip(found, draws.classes(), images / 255, strict=True):
        for frame, (angle, scale, color) in zip(sequence, classes, strict=True):
            turn = np.radians(ANGLES[angle])
            cosine, sine = np.cos(turn) / SCALES[scale], np.sin(turn) / SCALES[scale]
            shift = np.array([1 - cosine + sine, 1 - sine - cosine]) / 28
            matrix = torch.tensor([[[cosine, -sine, shift[0]], [sine, cosine, shift[1]]]], dtype=torch.float32)
            red = torch.zeros(1, 3, 28, 28)
            red[0, 0] = image
            grid = affine_grid(matrix, [1, 3, 28, 28], align_corners=False)
            expected = adjust_hue(grid_sample(red, grid, align_corners=False)[0], (COLORS[color] - 180) / 360)
            torch.testing.assert_close(frame, expected, rtol=0, atol=2e-5)


def test_a_frame_that_is_not_turned_is_the_digit_itself():
    image = digits(1)
    for kind in ("color_rotation", "color_perspective"):
        frame = render_sequences(image, [0], one(kind, 0, 9))[0, 0]
        assert torch.equal(frame[0], image[0] / 255) and not frame[1:].any()


def test_quarter_turns_are_counterclockwise_about_the_point_right_of_and_below_the_center():
    image = torch.from_numpy(np.random.default_rng(1).random((1, 28, 28)))
    points = warps.rotation_scale_points(np.array([90.0, 180.0]), np.ones(2), size=(28, 28))
    left, over = warps.sample(image, warps.sampling_grid(points, size=(28, 28), dtype=torch.float64)[None]).view(
        2, 28, 28
    )
    torch.testing.assert_close(left[1:], image[0].rot90()[:-1])
    torch.testing.assert_close(over[1:, 1:], image[0].rot90(2)[:-1, :-1])
    assert left[0].abs().max() < 1e-12 and over[0].abs().max() < 1e-12


def test_plain_digits_are_gray_and_one_frame_long():
    images, indices = digits(5, 14, 14)[..., None], np.array([4, 0, 4])
    frames = render_sequences(images, indices, draw_sequences("plain", 0, 0, indices))
    assert torch.equal(frames, (images[indices, :, :, 0] / 255)[:, None, None])


def test_sprites_are_looked_up():
    # The number of each sprite in binary, in its pixels.
    bits = (np.arange(50_625)[:, None] >> np.arange(16)) & 1
    images = torch.from_numpy(bits.reshape(-1, 4, 4).astype(np.uint8))
    indices = np.array([12_345, 50_624, 0, 777])
    draws = draw_sequences("dsprites", 1, 0, indices)
    frames = render_sequences(images * 255, indices, draws)
    assert frames.shape == (4, 15, 1, 4, 4) and frames.dtype == torch.float32
    shown = (frames.reshape(4, 15, 16).numpy() * 2.0 ** np.arange(16)).sum(axis=-1).astype(np.int64)
    assert (shown[:, 0] == indices).all()
    for sequence, factor in zip(shown, draws.factor, strict=True):
        classes, size = sprite_classes(sequence), KINDS["dsprites"].sizes[factor]
        assert (classes[:, factor] == (classes[0, factor] + np.arange(15)) % size).all()
        others = np.delete(classes, factor, axis=1)
        assert (others == others[0]).all()
    # Small sprites are gray.
    assert torch.equal(render_sequences(images * 51, indices, draws), 0.2 * frames)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_is_the_same_in_any_batch_order_and_stack(kind):
    images = digits(50_625, 4, 4) if kind == "dsprites" else digits(300)
    rows = np.array([[7, 250, 3, 9, 7, 40, 41, 42, 43, 44], [1, 7, 100, 299, 3, 0, 20, 21, 22, 23]])
    stacked = draw_sequences(kind, [11, 5], 3, rows)
    rendered = render_sequences(images, rows, stacked)
    for seed, row, together in zip((11, 5), rows, rendered.unflatten(0, (2, 10)), strict=True):
        for place, index in enumerate(row):
            alone = draw_sequences(kind, seed, 3, np.array([index]))
            assert torch.equal(render_sequences(images, [index], alone)[0], together[place])
    shared = draw_sequences(kind, [11, 5], 3, rows[0])
    assert (shared.starts[:10] == stacked.starts[:10]).all() and len(shared) == 20
    assert (shared.starts[10:] == draw_sequences(kind, 5, 3, rows[0]).starts).all()


def test_draws_are_the_outputs_of_the_run_s_stream_at_the_sequence_s_index():
    draws = draw_sequences("single", 3, 7, np.array([59_999, 0, 123]), purpose="test")
    for place, index in enumerate((59_999, 0, 123)):
        outputs = rng.bits(rng.key(3, "test", 7), 4, offset=4 * index)
        assert draws.starts[place].tolist() == [int(output) % 18 for output in outputs[:3]]
        assert draws.factor[place] == int(outputs[3]) % 3


@pytest.mark.parametrize("kind", COLORED)
def test_first_frames_and_types_are_uniform_and_independent(kind):
    draws = draw_sequences(kind, 0, 0, MANY)
    drawn = [*draws.starts.T, draws.factor] if kind == "single" else [*draws.starts.T]
    for column in drawn:
        counts = np.bincount(column)
        assert len(counts) in (3, 18) and scipy.stats.chisquare(counts).pvalue > UNEVEN
        assert associated(column[:-1], column[1:]) > UNEVEN
    for first in range(len(drawn)):
        for second in range(first):
            assert associated(drawn[first], drawn[second]) > UNEVEN


def test_factors_of_sprites_are_uniform_and_independent_of_the_sprite():
    indices = np.arange(50_625)
    draws = draw_sequences("dsprites", 0, 0, indices)
    counts = np.bincount(draws.factor, minlength=5)
    assert counts[0] == 0 and scipy.stats.chisquare(counts[1:]).pvalue > UNEVEN
    for column in draws.starts.T:
        assert associated(column, draws.factor) > UNEVEN


def test_epochs_seeds_and_purposes_draw_independently():
    drawn = [
        draw_sequences("single", seed, epoch, MANY, purpose=purpose).starts[:, 0]
        for seed, epoch, purpose in ((0, 0, "sequences"), (0, 1, "sequences"), (1, 0, "sequences"), (0, 0, "test"))
    ]
    for first in range(4):
        for second in range(first):
            assert associated(drawn[first], drawn[second]) > UNEVEN


def associated(first: np.ndarray, second: np.ndarray) -> float:
    """p of the chi-squared test of independence."""
    counts = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(counts, (first, second), 1)
    counts = counts[counts.any(axis=1)][:, counts.any(axis=0)]
    return scipy.stats.chi2_contingency(counts).pvalue


def test_one_factor_changes_and_goes_through_all_its_classes():
    draws = draw_sequences("single", 0, 0, np.arange(200))
    for classes, factor in zip(draws.classes(), draws.factor, strict=True):
        assert sorted(classes[:, factor].tolist()) == list(range(18))
        assert (np.diff(classes[:, factor]) % 18 == 1).all()
        assert (np.delete(np.diff(classes, axis=0), factor, axis=1) == 0).all()
    both = draw_sequences("color_rotation", 0, 0, np.arange(200)).classes()
    assert (np.diff(both, axis=1) % 18 == 1).all()


def test_labels_say_what_changes_and_from_where():
    draws = Draws("single", np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), np.array([2, 0, 1]))
    labels = sequence_labels(draws)
    assert labels["transformation"].tolist() == ["color", "rotation", "scale"]
    assert labels["start_class"].tolist() == [3, 4, 8] and labels["size"].tolist() == [18, 18, 18]
    sprite = sequence_labels(one("dsprites", 2, 3, 9, 13, 0, factor=1).to("cpu"))
    assert {name: values.tolist() for name, values in sprite.items()} == {
        "transformation": ["scale"],
        "factor": [1],
        "start_class": [3],
        "size": [5],
    }
    assert sequence_labels(one("color_rotation", 5, 6))["transformation"].tolist() == ["rotation_color"]
    assert sequence_labels(one("color_perspective", 5, 6))["start_class"].tolist() == [5]
    assert sequence_labels(draw_sequences("plain", 0, 0, np.arange(2)))["transformation"].tolist() == ["plain"] * 2


def test_lengths_and_factors_of_each_kind():
    assert [kind.frames for kind in KINDS.values()] == [18, 18, 18, 1, 15]
    assert KINDS["single"].sizes == (18, 18, 18) and KINDS["single"].factors == ("rotation", "scale", "color")
    assert math.prod(KINDS["dsprites"].sizes) == 50_625
    assert len(SCALES) == len(ANGLES) == len(COLORS) == 18
    # The published list is evenly spaced and rounded, but for 1.11, which would be 1.10.
    even = np.linspace(0.6, 1.26, 18).round(2)
    assert np.flatnonzero(np.abs(SCALES - even) > 1e-9).tolist() == [13] and SCALES[13] == 1.11


@pytest.mark.parametrize("kind", COLORED)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (8, 8), (14, 14), (28, 28), (33, 20)])
def test_values_stay_within_0_and_1_at_any_size(kind, size):
    images = torch.full((18, *size), 255, dtype=torch.uint8)
    starts = np.stack([np.arange(18)] * len(KINDS[kind].sizes), axis=1)
    frames = render_sequences(images, np.arange(18), Draws(kind, starts, np.arange(18) % 2))
    assert frames.isfinite().all() and frames.min() >= 0 and frames.max() <= 1


def test_no_sequences_make_no_frames():
    none = np.array([], dtype=np.int64)
    for kind in COLORED + ("plain",):
        assert render_sequences(digits(1), none, draw_sequences(kind, 0, 0, none)).shape[:3] == (
            *(0, KINDS[kind].frames, KINDS[kind].channels),
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rotate", 0, 0, [1]), "kind of sequence: expected one of single, color_rotation"),
        (("single", 0, 0, [1, -4]), "indices of sequences: expected 0 or more, found -4"),
        (("dsprites", 0, 0, [0, 50_625]), "indices of sequences: expected 0 to 50624, found 50625"),
        (("single", 0, 0, [0.5]), "expected a list of whole numbers"),
        (("single", 0, 0, 3), "expected a list of whole numbers"),
        (("single", [], 0, [1]), "for 0 seeds"),
        (("single", [1, 2, 3], 0, [[1], [2]]), "expected a row for each of 3 seeds, found 2 rows"),
    ],
)
def test_refuses_what_cannot_be_drawn(arguments, message):
    with pytest.raises(TopoRepError, match=message):
        draw_sequences(*arguments)


def test_refuses_what_cannot_be_rendered():
    images, draws = digits(5), draw_sequences("single", 0, 0, np.array([1, 2]))
    for indices, message in (
        ([1, 5], "indices of images: expected 0 to 4, found 5"),
        (torch.tensor([-1, 0]), "indices of images: expected 0 to 4, found -1"),
        ([1], "expected 2 whole numbers, one for each draw, found 1"),
        ([1.0, 2.0], "expected 2 whole numbers"),
    ):
        with pytest.raises(TopoRepError, match=message):
            render_sequences(images, indices, draws)
    for wrong in (images.float(), images[0], torch.zeros(5, 28, 28, 3, dtype=torch.uint8)):
        with pytest.raises(TopoRepError, match="images of sequences: expected gray ones, uint8"):
            render_sequences(wrong, [1, 2], draws)
    with pytest.raises(TopoRepError, match="expected the 50625 sprites of the subset, found 5 images"):
        render_sequences(images, [1, 2], draw_sequences("dsprites", 0, 0, [1, 2]))
    with pytest.raises(TopoRepError, match=r"digits: expected \(sequences, rows, cols\) for 2 draws"):
        transform(images / 255, draws)
    with pytest.raises(TopoRepError, match="validation: expected 0 to 10 images"):
        split_indices(1, 10, validation=11)
    with pytest.raises(TopoRepError, match="seed of the split: expected 0 to 4294967295, found -1"):
        split_indices(-1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_makes_the_same_sequences(kind):
    images = digits(50_625, 8, 8) if kind == "dsprites" else digits(300)
    indices = np.arange(100)
    draws = draw_sequences(kind, 0, 0, indices)
    found = render_sequences(images.cuda(), torch.from_numpy(indices).cuda(), draws.to("cuda"))
    assert found.is_cuda
    torch.testing.assert_close(found.cpu(), render_sequences(images, indices, draws), rtol=0, atol=1e-5)
