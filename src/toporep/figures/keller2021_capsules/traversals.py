"""What figures of capsule traversals share: examples read and checked, strips of frames, their pages and table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle

from toporep.errors import TopoRepError
from toporep.figures import layout, style
from toporep.figures.inputs import check_identity
from toporep.figures.keller2021_capsules import PAPER, disclaimer, label_of, provenance_lines, title_of
from toporep.io import read_dataset

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

LINES = ("frames", "reconstruction", "traversal")
# Small print of figures whose frames are grey where they are held out.
HELD_OUT = (
    "Grey: frames outside the window of the first, whose energies do not enter its t: held out. Decoded frames are "
    "probabilities, from one sample of the latents."
)
_ANALYSIS = "traversals"
_PREDICTIONS = ("reconstruction", "rolled")
_ROWS = {"frames": "input", "reconstruction": "reconstr.", "traversal": "rolled t₀"}
_SHAPES = ("square", "ellipse", "heart")
_FACTORS = {
    "x": "x position",
    "y": "y position",
    "color_rotation": "color and rotation",
    "color_perspective": "color and perspective",
}
# Of 255: the frames that t of the first frame has not seen are mixed with this grey; a line that is not there has it.
_GREY, _VEIL, _EMPTY = 150, 0.72, 232
# Lay-out of pages of examples, in inches.
_LEFT, _RIGHT, _BETWEEN, _HEAD, _NAME, _LINE_GAP, _AFTER = 0.54, 0.06, 0.16, 0.42, 0.19, 0.02, 0.06


@dataclass(frozen=True)
class Traversals:
    """Examples of one network, or the frames alone where the condition was not trained.

    Attributes:
        condition: of the network.
        seed: of the network; None: it was not trained.
        images: line → (example, frame, row, column, channel) uint8; lines that a network makes are absent without one.
        seen: (frame,) whether t of the first frame has seen the frame; None without a network.
        factor, start, label: (example,) what changes, the class of the first frame, the digit or shape.
        numbers: (example,) the example's place in the file.
        attrs: of the file.
        squared_error: prediction (reconstruction, rolled, static) → (example, frame) squared difference of what is
            decoded and the frame, intensities 0 … 1, summed over pixels; nothing without a network.
        part_error: (prediction, part) → (example,) its mean over the frames that t of the first has seen, that are
            held_out from it, or all; NaN where there are none.
    """

    condition: str
    seed: int | None
    images: Mapping[str, np.ndarray]
    seen: np.ndarray | None
    factor: Sequence[str]
    start: Sequence[int]
    label: Sequence[int]
    numbers: Sequence[int]
    attrs: Mapping[str, object]
    squared_error: Mapping[str, np.ndarray] = field(default_factory=dict)
    part_error: Mapping[tuple[str, str], np.ndarray] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Number of examples."""
        return len(self.factor)

    @property
    def frames(self) -> int:
        """Frames of a sequence."""
        return self.images["frames"].shape[1]

    def choose(self, examples: Sequence[int]) -> Traversals:
        """These examples alone."""
        return replace(
            self,
            **{
                name: {key: values[list(examples)] for key, values in getattr(self, name).items()}
                for name in ("images", "squared_error", "part_error")
            },
            **{
                name: [getattr(self, name)[index] for index in examples]
                for name in ("factor", "start", "label", "numbers")
            },
        )

    def window(self) -> str:
        """Words for the frames that t of the first frame has seen."""
        if self.seen is None:
            return f"Not trained at the {self.attrs['scale']} scale: only the frames are drawn"
        count = int(self.seen.sum())
        if count == len(self.seen):
            return f"t₀ has seen all {count} frames"
        return f"t₀ has seen {count} of {len(self.seen)} frames"

    def examples_text(self) -> list[str]:
        """What changes and in what, for each example; what changes is left out where it is the same in all."""
        named = zip(self.factor, self.label, strict=True)
        dsprites = self.attrs["dataset"] == "dsprites"
        things = [(factor, _SHAPES[label] if dsprites and label < 3 else f"digit {label}") for factor, label in named]
        if len(set(self.factor)) == 1 < self.n:
            return [thing for _, thing in things]
        return [f"{_FACTORS.get(factor, factor)}: {thing}" for factor, thing in things]


def input_name(dataset: str) -> str:
    """What an input is called; each model has an entry of its own in the paper's analyses."""
    return f"{dataset}.{_ANALYSIS}_<model>.runs"


def read_traversals(inputs: Mapping[str, Path], condition: str, *, dataset: str | None = None) -> Traversals:
    """Read the examples of one condition: those of its network with the lowest seed.

    A condition that is not in the file was not trained at this scale: its frames are those of any other, which are the
    same, and the lines that a network makes are not there.

    Args:
        inputs: `<dataset>.traversals_<model>.runs` → file of schema `traversals`.
        condition: whose examples.
        dataset: which of several; None: the only one.

    Raises:
        TopoRepError: no such file, or several; a file of another schema, paper or data set than its name says.
    """
    named = [(*name.partition(".")[::2], path) for name, path in inputs.items()]
    found = [(of, path) for of, entry, path in named if _is_entry(entry) and dataset in (None, of)]
    if len(found) != 1:
        wanted = input_name(dataset or "<dataset>")
        raise TopoRepError(f"inputs: expected one file named {wanted}, found {', '.join(inputs) or 'none'}")
    ((of, path),) = found
    metric = read_dataset(path, _ANALYSIS)
    check_identity(path, metric.attrs, paper=PAPER, dataset=of)
    missing = [line for line in LINES if line not in metric["line"].values]
    if missing:
        raise TopoRepError(f"{path}: expected the lines {', '.join(LINES)}, found none named {', '.join(missing)}")
    return _traversals(metric, condition)


def draw_examples(inputs: Mapping[str, Path], condition: str) -> tuple[Figure, pd.DataFrame]:
    """Draw all examples of one condition in two columns, three strips each: input, reconstruction, rolled t₀.

    Args:
        inputs: `<dataset>.traversals_<model>.runs` → file of schema `traversals`.
        condition: whose.

    Returns:
        The figure, and the table of `table`.

    Raises:
        TopoRepError: see `read_traversals`.

    Source: Keller & Welling 2021 (capsules), appendix D and Figures 6 to 19.
    """
    traversals = read_traversals(inputs, condition)
    with style.context():
        figure = _page_of_examples(traversals)
    return figure, table([traversals], _PREDICTIONS)


def table(found: Sequence[Traversals], predictions: Sequence[str]) -> pd.DataFrame:
    """Lay examples out with one row a frame: what is shown there, not its pixels.

    Returns:
        Columns: dataset, source, scale, condition, seed (none where the condition was not trained), example, factor,
        start, label, frame, seen (1: by t of the first frame), and `squared_error_<prediction>`: squared difference
        from the frame (intensities 0 … 1), summed over its pixels; none where the condition was not trained.
    """
    import pandas as pd

    tables = []
    for of in found:
        example, frame = np.indices((of.n, of.frames)).reshape(2, -1)
        columns = {
            **{key: of.attrs[key] for key in ("dataset", "source", "scale")},
            "condition": of.condition,
            "seed": pd.array([of.seed] * len(example), dtype="Int64"),
            **{
                name: np.asarray(getattr(of, values), dtype=dtype)[example]
                for name, values, dtype in (
                    ("example", "numbers", np.int64),
                    ("factor", "factor", object),
                    ("start", "start", np.int64),
                    ("label", "label", np.int64),
                )
            },
            "frame": frame,
            "seen": pd.array([None] * len(frame) if of.seen is None else of.seen[frame].astype(int), dtype="Int64"),
            **{
                f"squared_error_{name}": of.squared_error[name].ravel() if of.squared_error else np.nan
                for name in predictions
            },
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


class Sheet(layout.Sheet):
    """A sheet with headings and strips of frames."""

    def heading(self, top: float, text: str, *, further: str = "", left: float = 0.07) -> None:
        """Write a bold title, and what it says further below it."""
        self.text(left, top, text, fontsize=8, fontweight="bold")
        if further:
            self.text(left, top + 0.15, further, fontsize=6.5, color="0.25")

    def strip(
        self,
        left: float,
        top: float,
        side: float,
        of: Traversals,
        example: int,
        line: str,
        *,
        veil: bool = False,
        border: bool = False,
    ) -> None:
        """Draw one line of an example, frames side by side; a line that is not there is a strip of grey.

        Args:
            left, top: of the first frame.
            side: of a frame.
            of, example, line: what.
            veil: mix the frames that t of the first has not seen with grey.
            border: frame the first in grey.
        """
        axes = self.axes(left, top, of.frames * side, side)
        axes.set_axis_off()
        if line not in of.images:
            axes.set(xlim=(0, 1), ylim=(0, 1))
            axes.add_patch(Rectangle((0, 0.04), 1, 0.92, facecolor=str(_EMPTY / 255), linewidth=0))
            axes.text(0.5, 0.48, "not trained here", ha="center", va="center", fontsize=6, color="0.35")
            return
        images = of.images[line][example]
        if veil and of.seen is not None:
            images = np.where(of.seen[:, None, None, None], images, veiled(images))
        axes.imshow(side_by_side(images), interpolation="none", aspect="auto", origin="upper")
        if border:
            place = {"fill": False, "edgecolor": "0.55", "linewidth": 1.6, "clip_on": False}
            axes.add_patch(Rectangle((-0.5, -0.5), images.shape[2], images.shape[1], **place))

    def seen_bar(self, left: float, top: float, side: float, of: Traversals) -> None:
        """A bar over the frames that t of the first one has seen."""
        if of.seen is None:
            return
        axes = self.axes(left, top - 0.03, of.frames * side, 0.02)
        axes.set(xlim=(0, of.frames), ylim=(0, 1))
        axes.set_axis_off()
        for frame in np.flatnonzero(of.seen):
            axes.add_patch(Rectangle((frame, 0), 1, 1, facecolor="0.3", linewidth=0))


def veiled(images: np.ndarray) -> np.ndarray:
    """Images of uint8 mixed with grey: held out."""
    return np.rint(_VEIL * _GREY + (1 - _VEIL) * images.astype(float)).astype(np.uint8)


def side_by_side(images: np.ndarray) -> np.ndarray:
    """(frame, row, column, channel) → (row, columns of all frames, 3), white between frames and after the last."""
    frames, rows, cols, channels = images.shape
    wide = np.full((rows, frames, cols + _gap(cols), 3), 255, dtype=np.uint8)
    wide[:, :, :cols] = np.broadcast_to(images, (frames, rows, cols, 3)).swapaxes(0, 1)
    return wide.reshape(rows, -1, 3)


def small_print(found: Sequence[Traversals]) -> list[str]:
    """Paragraphs on where the examples come from."""
    lines = []
    for of in found:
        absent = [of.condition] if of.seed is None else []
        seed = "" if of.seed is None else f"network of seed {of.seed}"
        lines += provenance_lines(of.attrs, absent=absent, seeds=seed)
    return [*lines, disclaimer([of.attrs for of in found])]


def row_label(line: str) -> str:
    """What a strip shows."""
    return _ROWS[line]


def _gap(cols: int) -> int:
    return max(1, round(cols / 28))


def _is_entry(name: str) -> bool:
    return name.startswith(f"{_ANALYSIS}_") and name.endswith(".runs")


def _traversals(metric: xr.Dataset, condition: str) -> Traversals:
    runs = np.flatnonzero(metric["condition"].values == condition)
    lines = list(metric["line"].values)
    # The frames are the same for all networks.
    images, errors = {"frames": metric["image"].values[0, :, lines.index("frames")]}, {}
    seen = seed = None
    if len(runs):
        run = runs[np.argmin(metric["seed"].values[runs])]
        seed, seen = int(metric["seed"].values[run]), metric["seen"].values[run] != 0
        images = {line: metric["image"].values[run, :, lines.index(line)] for line in LINES}
        errors = _errors(metric.isel(run=run))
    coords = {name: metric[name].values.tolist() for name in ("factor", "start", "label")}
    numbers = list(range(metric.sizes["example"]))
    return Traversals(condition, seed, images, seen, **coords, numbers=numbers, attrs=metric.attrs, **errors)


def _errors(of_run: xr.Dataset) -> dict[str, dict]:
    error, part_error = of_run["squared_error"], of_run["part_error"]
    return {
        "squared_error": {name: error.sel(prediction=name).values for name in error["prediction"].values.tolist()},
        "part_error": {
            (name, part): part_error.sel(prediction=name, part=part).values
            for name in part_error["prediction"].values.tolist()
            for part in part_error["part"].values.tolist()
        },
    }


def _page_of_examples(of: Traversals) -> Figure:
    rows = (of.n + 1) // 2
    width = (style.PAGE_WIDTH - _LEFT - _RIGHT - _BETWEEN) / 2
    side = width / of.frames
    height = _NAME + len(LINES) * (side + _LINE_GAP) + _AFTER
    sheet = Sheet(_HEAD + rows * height, [_words(of), *small_print([of])])
    sheet.heading(0.14, f"{title_of(of.attrs)}: {label_of(of.condition)}", further=of.window())
    for example, name in enumerate(of.examples_text()):
        # Down the left column first, so that neighbors are of one factor.
        column, row = divmod(example, rows)
        left, top = _LEFT + column * (width + _BETWEEN), _HEAD + row * height
        sheet.text(left, top + _NAME / 2 - 0.015, name, fontsize=6.5)
        told = _errors_text(of, example)
        sheet.text(left + width, top + _NAME / 2 - 0.015, told, fontsize=6, ha="right", color="0.25")
        sheet.seen_bar(left, top + _NAME, side, of)
        for index, line in enumerate(LINES):
            y = top + _NAME + index * (side + _LINE_GAP)
            sheet.strip(left, y, side, of, example, line)
            if column == 0:
                sheet.text(_LEFT - 0.06, y + side / 2, _ROWS[line], fontsize=6, ha="right")
    return sheet.figure


def _errors_text(of: Traversals, example: int) -> str:
    if of.seen is None:
        return ""
    error = {key: _number(values[example]) for key, values in of.part_error.items()}
    held_out = "" if of.seen.all() else f", held out {error['rolled', 'held_out']}"
    return f"rolled: seen {error['rolled', 'seen']}{held_out}; reconstr. {error['reconstruction', 'all']}"


def _words(of: Traversals) -> str:
    said = (
        "Top: frames of a sequence. Middle: each frame as decoded from its own t, the activations of the capsules. "
        "Bottom: frames decoded from t₀, the t of the first frame (left), rolled by one more unit in every capsule for "
        "each frame."
    )
    if of.seen is None:
        return said
    return (
        f"{said} Bar: the frames whose energies enter t₀, its window: seen; those without a bar are held out. Numbers: "
        "squared difference from the frame (intensities 0 to 1), summed over its pixels; with rolled t₀ the mean over "
        "frames seen and over those held out, of reconstructions over all (not in the paper). Decoded frames are "
        "probabilities, from one sample of the latents. Examples are chosen evenly over what changes and over digits "
        "or shapes, the same for all models."
    )


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}"
