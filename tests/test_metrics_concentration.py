from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from toporep.errors import TopoRepError
from toporep.metrics.concentration import edge_center_ratio, kurtosis, top_share


def test_share_of_units_that_are_all_alike_is_their_share_of_the_sheet():
    for units, share in ((256, 0.05), (20, 0.05), (7, 0.3), (3, 1.0), (1, 0.05)):
        assert top_share(np.full(units, -2.5), share) == pytest.approx(share, abs=1e-12)


def test_share_of_one_active_unit_is_all():
    assert top_share(np.eye(256)[17]) == 1
    # A single unit of 10 is twice the top 5 %, of which half counts.
    assert top_share(np.eye(10)[3]) == pytest.approx(0.5)


def test_share_of_known_activations():
    """The top 30 % of 1 … 10 are 10, 9 and 8; of 35 %, also half of 7."""
    activations = np.random.default_rng(9).permutation(np.arange(1.0, 11)) * np.tile([1, -1], 5)
    assert top_share(activations, 0.3) == pytest.approx(27 / 55)
    assert top_share(activations, 0.35) == pytest.approx(30.5 / 55)


def test_share_of_exponential_activations():
    """Lorenz curve of an exponential distribution: the top share p carries p (1 - ln p)."""
    activations = np.random.default_rng(10).exponential(size=(20, 50_000)).astype(np.float32)
    assert top_share(activations).mean() == pytest.approx(0.05 * (1 - np.log(0.05)), rel=0.01)


def test_share_of_many_maps_and_of_silent_ones():
    maps = np.random.default_rng(11).normal(size=(3, 4, 256))
    maps[1, 2] = 0
    shares = top_share(maps)
    assert shares.shape == (3, 4) and np.argwhere(np.isnan(shares)).tolist() == [[1, 2]]
    assert shares[2, 1] == pytest.approx(top_share(1e-3 * maps[2, 1][::-1]), abs=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kurtosis_agrees_with_scipy(dtype):
    activations = np.random.default_rng(12).standard_t(4, size=(6, 5, 256)).astype(dtype)
    expected = stats.kurtosis(np.abs(activations.astype(np.float64)), axis=-1)
    np.testing.assert_allclose(kurtosis(activations), expected, rtol=1e-10)


def test_kurtosis_of_normal_activations_is_that_of_the_half_normal_distribution():
    activations = np.random.default_rng(13).normal(size=400_000)
    closed_form = 8 * (np.pi - 3) / (np.pi - 2) ** 2
    assert kurtosis(activations) == pytest.approx(closed_form, abs=0.03)
    assert closed_form == pytest.approx(stats.halfnorm.stats(moments="k"), abs=1e-12)


@pytest.mark.parametrize("active", [1, 13, 128])
def test_kurtosis_where_some_units_are_active_and_the_rest_silent(active):
    share = active / 256
    activations = np.where(np.arange(256) < active, np.tile([0.2, -0.2], 128), 0)
    expected = (1 - 6 * share * (1 - share)) / (share * (1 - share))
    assert kurtosis(activations) == pytest.approx(expected, rel=1e-12)
    assert expected >= -2 and (expected == -2) == (active == 128)


@pytest.mark.parametrize("scale", [1e-150, 1e-6, 1e100])
def test_kurtosis_and_ratio_do_not_see_the_size_of_the_activations_nor_their_sign(scale):
    activations = np.random.default_rng(14).gamma(2, size=256)
    signs = np.random.default_rng(15).choice([-1, 1], 256)
    assert kurtosis(scale * signs * activations) == pytest.approx(kurtosis(activations), rel=1e-9)
    ratio = edge_center_ratio(activations, (16, 16))
    assert edge_center_ratio(scale * signs * activations, (16, 16)) == pytest.approx(ratio, rel=1e-12)


def test_kurtosis_of_equally_active_units_is_not_defined():
    # 0.1 is not exact in binary, and the mean of 256 copies need not be 0.1.
    maps = np.stack([np.full(256, 0.1), np.random.default_rng(16).normal(size=256), np.zeros(256)])
    assert np.isnan(kurtosis(maps)).tolist() == [True, False, True]
    assert np.isnan(kurtosis(np.tile([-3.7, 3.7], 128)))


def test_units_of_the_border():
    """60 of 256 units lie on the border; a ramp from the middle outwards is steepest there."""
    row, col = np.divmod(np.arange(256), 16)
    ring = np.minimum.reduce([row, col, 15 - row, 15 - col])
    edge, center = -2.0, 0.5
    activations = np.where(ring == 0, edge, center)
    assert (ring == 0).sum() == 60
    assert edge_center_ratio(activations, (16, 16)) == pytest.approx(4)
    assert edge_center_ratio(np.ones(12), (3, 4)) == 1
    # On 3 x 4 units only the two in the middle are off the border.
    assert edge_center_ratio(np.arange(12.0), (3, 4)) == pytest.approx((66 - 5 - 6) / 10 / 5.5)


def test_ratio_of_many_maps_and_of_silent_ones():
    maps = np.random.default_rng(17).normal(size=(2, 3, 20))
    maps[0, 1] = 0
    maps[1, 2].reshape(4, 5)[1:-1, 1:-1] = 0
    ratio = edge_center_ratio(maps, (4, 5))
    assert ratio.shape == (2, 3) and np.isnan(ratio[0, 1]) and np.isinf(ratio[1, 2])
    assert ratio[1, 1] == edge_center_ratio(maps[1, 1], (4, 5))


def test_ratio_is_that_of_any_reflection_of_the_sheet():
    sheet = np.random.default_rng(18).normal(size=(6, 5))
    ratio = edge_center_ratio(sheet.ravel(), (6, 5))
    for moved in (sheet[::-1], sheet[:, ::-1]):
        assert edge_center_ratio(moved.ravel(), (6, 5)) == pytest.approx(ratio, rel=1e-14)
    assert edge_center_ratio(sheet.T.ravel(), (5, 6)) == pytest.approx(ratio, rel=1e-14)
    # Six rows of five are not five rows of six.
    assert edge_center_ratio(sheet.ravel(), (5, 6)) != pytest.approx(ratio, rel=1e-3)


def test_input_is_left_as_it_was():
    maps = np.random.default_rng(19).normal(size=(3, 20))
    before = maps.copy()
    top_share(maps), kurtosis(maps), kurtosis(np.abs(maps)), edge_center_ratio(maps, (4, 5))
    np.testing.assert_array_equal(maps, before)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: top_share(np.ones(5), 0.0), "share: expected a share of the units"),
        (lambda: top_share(np.ones(5), 5), "share: .*found 5"),
        (lambda: kurtosis(np.array([1.0, np.nan])), "activations: .*NaN or infinite"),
        (lambda: edge_center_ratio(np.ones(10), (2, 5)), r"grid: .*found \(2, 5\)"),
        (lambda: edge_center_ratio(np.ones(12), (4, 4)), "a sheet of 4 x 4 has 16 units, found 12"),
        (lambda: edge_center_ratio(np.full(9, np.inf), (3, 3)), "activations: .*NaN or infinite"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(TopoRepError, match=message):
        call()
