"""Groupers against numbers of the authors' modules, against the published kernel slid by hand, and their symmetries."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from toporep.errors import TopoRepError
from toporep.models.grouper import grouper_matrix, window_offsets

EPS = 1e-6


def waves(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """u and z of the authors' numbers: formulas on the flat index."""
    n = np.arange(np.prod(shape))
    return (1.3 * np.sin(0.37 * n + 0.1)).reshape(shape), (0.8 * np.cos(0.23 * n + 0.4)).reshape(shape)


def energy(matrix: np.ndarray, u: np.ndarray) -> np.ndarray:
    """v of u, (batch, frame, capsule, unit)."""
    batch, frames, capsules, units = u.shape
    columns = (u**2).swapaxes(1, 2).reshape(batch * capsules, frames * units)
    v = columns @ matrix.astype(np.float64).T
    return v.reshape(batch, capsules, frames, units).swapaxes(1, 2)


def slide_published_kernel(u: np.ndarray, window: int, unit_window: int) -> np.ndarray:
    """The banded window x window kernel, slid over circular time and units."""
    half, half_band = window // 2, (unit_window - 1) // 2
    v = np.zeros_like(u)
    for i in range(window):
        for j in range(window):
            if abs(i - j) <= half_band:
                v += np.roll(u**2, (i - half, j - half), axis=(1, 3))
    return v


SHIFT_5 = {"form": "shifting", "frames": 6, "units": 6, "window": 5, "unit_window": 3}
SHIFT_FULL = {"form": "shifting", "frames": 5, "units": 5, "window": 5, "unit_window": 1}
SHIFT_EVEN = {"form": "shifting", "frames": 6, "units": 6, "window": 4, "unit_window": 1}
BUBBLE = {"form": "stationary", "frames": 6, "units": 6, "window": 5, "unit_window": 3}
STILL = {"form": "stationary", "frames": 6, "units": 6, "window": 1, "unit_window": 3}

# Computed with the authors' published modules in float64: v of the first frame of the first capsule, of the last
# frame of the last capsule, and the sum of all v; t of the first frame of the first capsule.
PUBLISHED = {
    "shifting, window 5, K 3": (
        SHIFT_5,
        2,
        EPS,
        [10.7243114787, 9.64982106823, 10.4071625654, 11.9860051425, 13.0180574908, 11.6031887504],
        [10.9082917849, 12.6939772659, 12.9078923162, 11.6915060785, 10.8185534911, 11.1596751958],
        1585.52121689388,
        [9.38587164581, 9.86552325965, 9.46119701461, 8.77217680831, 8.36975687344, 8.81197628141],
    ),
    "shifting, full odd cycle, K 1": (
        SHIFT_FULL,
        1,
        EPS,
        [3.47070678851, 3.7863735985, 4.79912124837, 5.3667073847, 4.74240118507],
        [4.87744669905, 4.33509087135, 3.5448477774, 3.54638142184, 4.47560393509],
        214.72340454940002,
        [16.4987224052, 15.7495441649, 13.9325743646, 13.1096357752, 13.867135555],
    ),
    "shifting, even window 4, K 1": (
        SHIFT_EVEN,
        1,
        EPS,
        [2.95468569501, 2.3481597803, 3.44495800362, 4.50777910632, 3.6732026628, 4.71902681569],
        [2.37407243343, 3.30010667978, 3.30288949832, 3.34600595814, 3.45002377176, 3.65867249861],
        241.20128985448,
        [17.8814866343, 19.9993491576, 16.4444838712, 14.3041897716, 15.7566340143, 13.8176996425],
    ),
    "stationary 5 x 3": (
        BUBBLE,
        2,
        EPS,
        [11.7866736844, 10.178382521, 11.2623806462, 13.0852675225, 14.6935586859, 13.6095605607],
        [13.4975409205, 15.2445717929, 14.4392676789, 12.7111406272, 10.9641097549, 11.7694138689],
        1829.44755795406,
        [8.95289914496, 9.60595111298, 9.09488383023, 8.39563027392, 7.87811727017, 8.13654347967],
    ),
    "stationary 1 x 3, eps 1e-3": (
        STILL,
        1,
        1e-3,
        [1.82188565762, 1.30056666622, 2.76311056548, 4.10633829483, 4.62765728624, 3.16511338697],
        [2.16547530596, 0.683835823126, 0.509414762571, 1.39450215514, 2.87614163797, 3.05056269852],
        180.900967390859,
        [22.7656275648, 26.862508679, 18.3583891153, 14.9852636167, 14.0364873602, 16.8693669275],
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_energies_and_topographic_variables_are_those_of_the_published_modules(name: str) -> None:
    settings, batch, eps, first, last, total, variable = PUBLISHED[name]
    u, z = waves((batch, settings["frames"], 2, settings["units"]))
    v = energy(grouper_matrix(**settings), u)
    np.testing.assert_allclose(v[0, 0, 0], first, atol=1e-8)
    np.testing.assert_allclose(v[-1, -1, -1], last, atol=1e-8)
    assert v.sum() == pytest.approx(total, abs=1e-7)
    np.testing.assert_allclose(((z + 30) / np.sqrt(v + eps))[0, 0, 0], variable, atol=1e-8)


def test_torus_of_the_published_modules() -> None:
    u, _ = waves((2, 36))
    v = (u**2) @ grouper_matrix("torus", rows=6, cols=6, window=5).astype(np.float64).T
    first = [19.2992742072, 18.5511062637, 17.5327789484, 17.7631712854, 18.7657816374, 19.3859438978]
    last = [22.3807938579, 22.5708297657, 23.3857596881, 24.8059694635, 23.894155308, 22.9150526943]
    np.testing.assert_allclose(v[0, :6], first, atol=1e-8)
    np.testing.assert_allclose(v[1, -6:], last, atol=1e-8)
    assert v.sum() == pytest.approx(1507.5080615905001, abs=1e-7)


IMPULSES = {
    "shifting, window 5, K 3": (
        SHIFT_5,
        [(0, 1), (0, 2), (1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (2, 4), (3, 3), (3, 4), (3, 5), (4, 4), (4, 5)],
    ),
    "shifting, full even cycle, K 3": (
        {**SHIFT_5, "window": 6},
        [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (2, 4)]
        + [(3, 3), (3, 4), (3, 5), (4, 4), (4, 5), (5, 0), (5, 1)],
    ),
    "shifting, even window 4, K 1": (SHIFT_EVEN, [(0, 1), (1, 2), (2, 3), (3, 4)]),
    "stationary 5 x 3": (BUBBLE, [(frame, unit) for frame in range(5) for unit in (2, 3, 4)]),
    "stationary 4 x 4": (
        {**BUBBLE, "window": 4, "unit_window": 4},
        [(frame, unit) for frame in range(4) for unit in (1, 2, 3, 4)],
    ),
}


@pytest.mark.parametrize("name", IMPULSES)
def test_an_impulse_spreads_as_in_the_published_modules(name: str) -> None:
    """u is 1 at frame 2, unit 3 alone: the shifting forms carry it to higher units at later frames."""
    settings, expected = IMPULSES[name]
    response = grouper_matrix(**settings).reshape(6, 6, 6, 6)[:, :, 2, 3]
    assert [tuple(cell) for cell in np.argwhere(response).tolist()] == expected
    assert (response[response != 0] == 1).all()


@pytest.mark.parametrize(
    "form, frames, window, unit_window, terms",
    [
        ("shifting", 18, 18, 3, 52),
        ("shifting", 18, 13, 3, 37),
        ("shifting", 18, 5, 3, 13),
        ("shifting", 15, 15, 1, 15),
        ("shifting", 15, 10, 1, 10),
        ("shifting", 15, 5, 1, 5),
        ("stationary", 18, 5, 3, 15),
        ("stationary", 15, 5, 5, 25),
        ("stationary", 18, 1, 3, 3),
        ("stationary", 18, 1, 9, 9),
        ("stationary", 15, 1, 10, 10),
    ],
)
def test_published_settings_sum_the_published_number_of_terms(form, frames, window, unit_window, terms) -> None:
    matrix = grouper_matrix(form, frames=frames, units=frames, window=window, unit_window=unit_window)
    assert matrix.shape == (frames**2, frames**2) and matrix.dtype == np.float32
    assert (matrix.sum(axis=1) == terms).all() and (matrix.sum(axis=0) == terms).all()
    assert matrix.max() == 1


@pytest.mark.parametrize("frames, units", [(7, 5), (5, 7), (6, 6)])
@pytest.mark.parametrize("window, unit_window", [(1, 1), (2, 3), (4, 1), (5, 3), (5, 5), (3, 3)])
def test_shifting_is_the_published_kernel_slid_over_time_and_units(frames, units, window, unit_window) -> None:
    u, _ = waves((2, frames, 3, units))
    matrix = grouper_matrix("shifting", frames=frames, units=units, window=window, unit_window=unit_window)
    np.testing.assert_allclose(energy(matrix, u), slide_published_kernel(u, window, unit_window), atol=1e-12)


def test_terms_that_meet_on_a_short_circle_count_twice() -> None:
    """With 3 units, the first and the last of 4 unit offsets are the same unit."""
    matrix = grouper_matrix("shifting", frames=4, units=3, window=4, unit_window=1)
    assert (matrix.sum(axis=1) == 4).all()
    u, _ = waves((1, 4, 1, 3))
    np.testing.assert_allclose(energy(matrix, u), slide_published_kernel(u, 4, 1), atol=1e-12)
    with_frames_folded = grouper_matrix("shifting", frames=4, units=4, window=4, unit_window=3, truncate_band=False)
    assert (with_frames_folded.sum(axis=1) == 12).all()


def test_a_full_cycle_of_one_unit_moves_the_energy_by_one_unit_a_frame() -> None:
    """With L = S/2 and K = 1 the denominators of frame l + 1 are those of frame l, rolled by one unit (eq. 18)."""
    u, _ = waves((1, 15, 2, 15))
    v = energy(grouper_matrix("shifting", frames=15, units=15, window=15, unit_window=1), u)
    np.testing.assert_allclose(v[:, 1:], np.roll(v, 1, axis=3)[:, :-1], rtol=1e-12)


@pytest.mark.parametrize("settings", [SHIFT_5, {**SHIFT_5, "window": 6}, BUBBLE])
def test_groupers_know_no_first_frame_and_no_first_unit(settings: dict) -> None:
    matrix = grouper_matrix(**settings).reshape(6, 6, 6, 6)
    assert (np.roll(matrix, (1, 1), axis=(0, 2)) == matrix).all()
    assert (np.roll(matrix, (1, 1), axis=(1, 3)) == matrix).all()


def test_a_whole_band_is_as_wide_at_both_ends_of_the_window() -> None:
    cut = grouper_matrix("shifting", frames=18, units=18, window=13, unit_window=3)
    whole = grouper_matrix("shifting", frames=18, units=18, window=13, unit_window=3, truncate_band=False)
    assert (whole.sum(axis=1) == 3 * 13).all()
    by_frame = whole.reshape(18, 18, 18, 18).sum(axis=3)[0, 0]
    assert (by_frame == np.r_[np.full(7, 3), np.zeros(5), np.full(6, 3)]).all()
    assert (whole - cut).sum(axis=1).max() == 2


@pytest.mark.parametrize(
    "window, first, last",
    [(18, -8, 9), (13, -6, 6), (9, -4, 4), (5, -2, 2), (15, -7, 7), (12, -5, 6), (10, -4, 5), (8, -3, 4), (1, 0, 0)],
)
def test_published_windows_have_the_published_offsets(window: int, first: int, last: int) -> None:
    offsets = window_offsets(window)
    assert (offsets[0], offsets[-1], len(offsets)) == (first, last, window)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"form": "rolling"}, "grouper form: expected one of shifting, stationary, torus, found 'rolling'"),
        ({"window": 7}, "window: expected at most 6, the number of frames, found 7"),
        ({"window": 0}, "window: expected a whole number of at least 1, found 0"),
        ({"window": 2.5}, "window: expected a whole number of at least 1, found 2.5"),
        ({"window": True}, "window: expected a whole number of at least 1, found True"),
        ({"unit_window": 7}, "unit_window: expected at most 6, the number of units of a capsule, found 7"),
        ({"unit_window": 2}, "unit_window: expected an odd number for 'shifting'"),
        ({"unit_window": None}, "unit_window: expected a whole number of at least 1, found None"),
        ({"units": None}, "units: expected a whole number of at least 1, found None"),
        ({"rows": 3}, "rows and cols are only for 'torus'"),
        ({"form": "torus"}, "expected rows, cols and window alone"),
    ],
)
def test_settings_that_make_no_grouper_are_refused_by_name(change: dict, message: str) -> None:
    with pytest.raises(TopoRepError, match=message):
        grouper_matrix(**{**SHIFT_5, **change})


def test_a_window_larger_than_the_torus_is_refused() -> None:
    with pytest.raises(TopoRepError, match="window: expected at most 4, the smaller side of the sheet, found 5"):
        grouper_matrix("torus", rows=4, cols=6, window=5)


def test_the_module_loads_without_torch() -> None:
    code = "import sys, toporep.models.grouper; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
