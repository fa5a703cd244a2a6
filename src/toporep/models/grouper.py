"""Groupers: which squared variables u² share the denominator of a topographic variable.

A topographic variable is t = (z + mu) / sqrt(v + eps) with v = W u²: W says over which frames and units of its capsule
a unit's energy is summed. Frames and units are circular. Every form below is one dense matrix a capsule, so that any
window costs the same matrix product and models with different windows can be stacked.

NumPy only: analyses and figures use it without loading torch.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import Any

import numpy as np

from toporep.errors import TopoRepError

FORMS = ("shifting", "stationary", "torus")


def grouper_matrix(
    form: str,
    *,
    window: int,
    unit_window: int | None = None,
    frames: int = 1,
    units: int | None = None,
    rows: int | None = None,
    cols: int | None = None,
    truncate_band: bool = True,
) -> np.ndarray:
    """The matrix W of v = W u² for one capsule; all capsules share it.

    Args:
        form: "shifting" (topographic VAE with L > 0): the energy of unit d at frame l is shared with unit d + 1 at
            frame l + 1, so that activity moves to higher units as time goes on. Frame offset δ brings units
            d + δ - h … d + δ + h, with unit_window = 2h + 1. "stationary" (bubble VAE; window 1 is the topographic VAE
            with L = 0): a box of `window` frames times `unit_window` units. "torus": one frame, one capsule of
            rows x cols units, a box of `window` x `window` units, circular both ways.
        window: number of frames summed, 2L in the paper; for "torus" the side of the box. See `window_offsets`.
        unit_window: number of units summed a frame, K in the paper; odd for "shifting". Not for "torus".
        frames: S, length of a sequence.
        units: D, units of a capsule; not for "torus", which has rows * cols of them.
        rows, cols: the sheet of "torus".
        truncate_band: "shifting" only. As published, a unit offset outside the window's own offsets is left out:
            3 * window - 2 terms for unit_window 3 instead of 3 * window.

    Returns:
        float32 (S*D, S*D) of counts: row (l, d), flattened as l*D + d, has the terms of v at frame l and unit d. For
        "torus" (units, units) with unit index row*cols + col. Each entry is 0 or 1, except where a circle is so
        short that two terms meet.

    Raises:
        TopoRepError: an argument does not fit.

    Source: Keller & Welling 2021 (capsules), eqs. 7-9, appendices A.4 to A.6; the direction of the roll, the offsets
        and the cut ends of the band from the published code.
    """
    if form not in FORMS:
        raise TopoRepError(f"grouper form: expected one of {', '.join(FORMS)}, found {form!r}")
    if form == "torus":
        if unit_window is not None or units is not None or frames != 1:
            raise TopoRepError(
                "grouper 'torus': expected rows, cols and window alone (one frame, rows * cols units), found "
                f"frames={frames!r}, units={units!r}, unit_window={unit_window!r}"
            )
        height, width = _positive("rows", rows), _positive("cols", cols)
        side = _positive("window", window, at_most=min(height, width), limit="the smaller side of the sheet")
        return _circulant(height, width, _box(side, side))
    if rows is not None or cols is not None:
        raise TopoRepError(f"grouper {form!r}: rows and cols are only for 'torus', found {rows!r} and {cols!r}")
    frames, units = _positive("frames", frames), _positive("units", units)
    window = _positive("window", window, at_most=frames, limit="the number of frames")
    unit_window = _positive("unit_window", unit_window, at_most=units, limit="the number of units of a capsule")
    if form == "stationary":
        return _circulant(frames, units, _box(window, unit_window))
    if unit_window % 2 == 0:
        raise TopoRepError(
            f"unit_window: expected an odd number for 'shifting', a band that is as wide on both sides, "
            f"found {unit_window}"
        )
    return _circulant(frames, units, _band(window, unit_window // 2, truncate=truncate_band))


def grouper_of(settings: Mapping[str, Any]) -> np.ndarray | None:
    """The matrix W of a run, None for a plain VAE.

    Args:
        settings: of the run: `model` (frames, capsules, units) and `condition` (form, windows, truncate_band). The
            sheet of a torus is square.
    """
    model, condition = settings["model"], settings["condition"]
    form, windows = condition["form"], condition["windows"]
    if form == "none":
        return None
    if form == "torus":
        side = math.isqrt(model["units"])
        return grouper_matrix(form, window=windows["units"], rows=side, cols=side)
    return grouper_matrix(
        form,
        window=windows["frames"],
        unit_window=windows["units"],
        frames=model["frames"],
        units=model["units"],
        truncate_band=condition["truncate_band"],
    )


def window_offsets(window: int) -> range:
    """Offsets of a window of `window` steps: -2 … 2 for 5; an even window has one more future step, -1 … 2 for 4.

    Frame l + δ is summed into frame l for each offset δ (published code).
    """
    window = _positive("window", window)
    return range(window // 2 + 1 - window, window // 2 + 1)


def _box(frames: int, units: int) -> list[tuple[int, int]]:
    return [(step, shift) for step in window_offsets(frames) for shift in window_offsets(units)]


def _band(window: int, half_width: int, *, truncate: bool) -> list[tuple[int, int]]:
    steps = window_offsets(window)
    pairs = [(step, step + side) for step in steps for side in range(-half_width, half_width + 1)]
    return [(step, shift) for step, shift in pairs if shift in steps or not truncate]


def _circulant(frames: int, units: int, terms: list[tuple[int, int]]) -> np.ndarray:
    """The matrix whose row (l, d) counts the terms (l + step, d + shift) on the two circles."""
    counts = np.zeros((frames, units), np.float32)
    for step, shift in terms:
        counts[step % frames, shift % units] += 1
    step = (np.arange(frames) - np.arange(frames)[:, None]) % frames
    shift = (np.arange(units) - np.arange(units)[:, None]) % units
    return counts[step[:, None, :, None], shift[None, :, None, :]].reshape(frames * units, frames * units)


def _positive(name: str, value: int | None, *, at_most: int | None = None, limit: str = "") -> int:
    try:
        number = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise TopoRepError(f"{name}: expected a whole number of at least 1, found {value!r}")
    if at_most is not None and number > at_most:
        raise TopoRepError(f"{name}: expected at most {at_most}, {limit}, found {number}")
    return number
