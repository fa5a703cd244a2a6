"""The look that all figures share: one color a condition, sizes for print, small print on where numbers come from."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D

# Text width of a two-column journal page, in inches.
PAGE_WIDTH = 7.2
# Small print of figures with a `strength_axis`.
EVEN_STEPS = "λ stands at even steps of the axis, whatever its value."

_SETTINGS = {
    # DejaVu Sans comes with matplotlib, so that the same file is drawn on every machine.
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7.0,
    "axes.labelsize": 7.0,
    "axes.titlesize": 7.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "ytick.minor.size": 0,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.2,
    # TrueType outlines, embedded: text stays text in a vector editor.
    "pdf.fonttype": 42,
    "axes.unicode_minus": True,
}


@dataclass(frozen=True)
class ConditionStyle:
    """How one condition is drawn, in every figure of a paper."""

    label: str
    short: str
    color: str
    marker: str
    linestyle: str = "-"


CONTROL = "control"
_CONDITIONS = {
    CONTROL: ConditionStyle("control", "control", "#C1121F", "D", (0, (3, 1.6))),
    "ws": ConditionStyle("weight similarity (WS)", "WS", "#E69F00", "o"),
    "as": ConditionStyle("activation similarity (AS), as defined", "AS as defined", "#0072B2", "s"),
    "as_reshaped": ConditionStyle("AS, reshaped reading", "AS reshaped", "#009E73", "^"),
    "global": ConditionStyle("global similarity", "global", "#CC79A7", "v"),
}
# For conditions that a user adds; apart from those above under color blindness too.
_FURTHER = (("#56B4E9", "P"), ("#5C4033", "X"), ("#7F7F7F", "*"))

_CROSS = {"marker": "x", "markersize": 3.4, "markeredgewidth": 1.1, "linestyle": "none"}

_DATASETS = {"mnist": "MNIST", "cifar10": "CIFAR-10"}


@contextmanager
def context() -> Iterator[None]:
    """Draw with the shared settings, whatever the user's own matplotlib settings are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def condition_styles(conditions: Sequence[str]) -> dict[str, ConditionStyle]:
    """Give each condition its style; conditions unknown here take further colors in the order given."""
    unknown = [name for name in conditions if name not in _CONDITIONS]
    further = {name: ConditionStyle(name, name, *_FURTHER[index % len(_FURTHER)]) for index, name in enumerate(unknown)}
    return {name: _CONDITIONS.get(name) or further[name] for name in conditions}


def shades(color: str, n: int) -> list[tuple[float, float, float]]:
    """Shades of a color for n ascending values, from light to dark.

    The lightness (CIE L*) falls in equal steps and is the same for every color: values can be told in grey too.
    """
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    found = []
    for lightness in np.linspace(72, 22, n):
        wanted = ((lightness + 16) / 116) ** 3
        white = (wanted - luminance) / (1 - luminance)
        mixed = linear + white * (1 - linear) if white > 0 else linear * wanted / luminance
        encoded = np.where(mixed <= 0.0031308, mixed * 12.92, 1.055 * mixed ** (1 / 2.4) - 0.055)
        found.append(tuple(float(value) for value in np.clip(encoded, 0, 1)))
    return found


def dataset_title(dataset: str, source: str) -> str:
    """Name the dataset of a panel, and the stand-in where the images are not the paper's."""
    title = _DATASETS.get(dataset, dataset)
    return title if source == dataset else f"{title} (stand-in: {source})"


def strength_label(strength: float) -> str:
    """Write a spatial weight λ as the paper does: 0.1, 0.5, 3."""
    return f"{strength:g}"


def strength_axis(axes: Axes, strengths: Sequence[float], *, compact: bool = False, slots: int = 0) -> None:
    """Make the abscissa the spatial weight, categorical and evenly spaced as in the published plots.

    compact drops the zero before the point; slots adds empty places at the right for what has no λ.
    """
    labels = [strength_label(strength) for strength in strengths]
    if compact:
        labels = [label[1:] if label.startswith("0.") else label for label in labels]
    axes.set_xticks(range(len(strengths)), labels)
    axes.set_xlim(-0.5, len(strengths) - 0.5 + slots)


def band(axes: Axes, x: np.ndarray, mean: np.ndarray, sem: np.ndarray, *, color: str) -> None:
    """Shade mean ± SEM; where the SEM is not defined (one seed) nothing is shaded."""
    if np.isfinite(sem).any():
        axes.fill_between(x, mean - sem, mean + sem, color=color, alpha=0.25, linewidth=0, zorder=1)


def control_line(axes: Axes, mean: float, sem: float) -> None:
    """Draw the control across the panel: it has no λ. Its SEM is shaded where it is defined."""
    look = _CONDITIONS[CONTROL]
    if np.isfinite(mean):
        axes.axhline(mean, color=look.color, linestyle=look.linestyle, zorder=2.5)
    if np.isfinite(mean) and np.isfinite(sem):
        axes.axhspan(mean - sem, mean + sem, color=look.color, alpha=0.18, linewidth=0, zorder=1)


def mark_missing(axes: Axes, x: np.ndarray, *, y: float, color: str) -> None:
    """Put a cross at the height y, in axes fractions, where a value is not defined."""
    axes.plot(x, np.full(len(x), y), transform=axes.get_xaxis_transform(), color=color, zorder=4, **_CROSS)


def missing_handle(label: str) -> Line2D:
    """Legend entry of the crosses of `mark_missing`."""
    return Line2D([], [], color="0.25", label=label, **_CROSS)


def legend(figure: Figure, handles: Sequence[Artist | tuple[Artist, ...]], *, left: float, top: float) -> None:
    """Write the legend in three columns at the head of the figure; left and top are figure fractions.

    Handles in a tuple stand side by side, under the label of the first.
    """
    figure.legend(
        handles=list(handles),
        labels=[(handle[0] if isinstance(handle, tuple) else handle).get_label() for handle in handles],
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0)},
        loc="upper left",
        bbox_to_anchor=(left, top),
        bbox_transform=figure.transFigure,
        ncols=3,
        borderaxespad=0,
        borderpad=0,
        handlelength=2.6,
        columnspacing=1.4,
        labelspacing=0.45,
    )


def condition_handle(condition: ConditionStyle, *, marker: bool = True) -> Line2D:
    """Legend entry of a condition."""
    return Line2D(
        [],
        [],
        color=condition.color,
        linestyle=condition.linestyle,
        marker=condition.marker if marker else "none",
        label=condition.label,
    )


def provenance(
    attrs: Mapping[str, object], *, seeds: Sequence[int] = (), paper: Mapping[str, int] | None = None
) -> str:
    """Say in one sentence which data, scale, training and number of seeds stand behind a panel.

    Args:
        attrs: attributes of a metric file; `training` is JSON and may name `train_images` (null: no cap),
            `train_fraction` and `epochs`.
        seeds: number of runs behind each point; none where nothing is averaged.
        paper: the paper's own `train_images` and `epochs` for this dataset.
    """
    dataset = str(attrs["dataset"])
    own_data = attrs["source"] == dataset
    panel = f"{_DATASETS.get(dataset, dataset)}{'' if own_data else ' panels, stand-in images'}"
    # A data set's title may be its name.
    named = [panel] if panel == attrs["source_title"] else [f"{panel}: {attrs['source_title']}"]
    parts = [*named, f"{attrs['scale']} scale"]
    parts += _training_parts(json.loads(str(attrs["training"])), paper or {}, own_data=own_data)
    return ", ".join(parts + ([seeds_text(seeds)] if seeds else [])) + "."


def seeds_text(seeds: Sequence[int]) -> str:
    """Words for the number of seeds behind the points of a panel."""
    low, high = min(seeds), max(seeds)
    if low != high:
        return f"{low} to {high} seeds"
    return "1 seed, so no SEM" if low == 1 else f"{low} seeds"


def disclaimer(scales: Sequence[str]) -> str:
    """What may be concluded from the scales that a figure draws."""
    small = [scale for scale in dict.fromkeys(scales) if scale != "paper"]
    if not small:
        return ""
    return (
        f"The {' and '.join(small)} scale shows that the analysis runs and what it measures; "
        "it claims nothing about the paper."
    )


class SmallPrint:
    """Text under the panels that says how the numbers were made.

    Args:
        lines: paragraphs; empty ones are left out.
        left: where the text begins, in inches.

    Attributes:
        height: room that the text needs, in inches.
    """

    def __init__(self, lines: Sequence[str], *, left: float) -> None:
        # A character of DejaVu Sans at 6 pt takes 0.042 inch on average; a line of wide ones needs more.
        width = int((PAGE_WIDTH - left) / 0.045)
        self._lines = [part for line in lines if line for part in textwrap.wrap(line, width)]
        self._left = left
        self.height = 0.12 + 0.11 * len(self._lines)

    def draw(self, figure: Figure) -> None:
        """Write the text at the foot of the figure."""
        x, y = self._left / PAGE_WIDTH, (self.height - 0.02) / figure.get_figheight()
        options = {"fontsize": 6, "va": "top", "ha": "left", "color": "0.25", "linespacing": 1.3}
        figure.text(x, y, "\n".join(self._lines), **options)


def _training_parts(training: Mapping[str, object], paper: Mapping[str, int], *, own_data: bool) -> list[str]:
    parts = []
    images, fraction = training.get("train_images"), training.get("train_fraction")
    if images is not None:
        # Another data set has another number of images: the paper's own says nothing about it.
        parts.append(f"{_of(images, paper.get('train_images') if own_data else None)} training images")
    elif fraction is not None:
        parts.append(f"trained on {100 * fraction:g} % of the training images")
    if training.get("epochs") is not None:
        parts.append(f"{_of(training['epochs'], paper.get('epochs'))} epochs")
    return parts


def _of(value: int, paper: int | None) -> str:
    return count(value) if paper in (None, value) else f"{count(value)} of the paper's {count(paper)}"


def count(value: int) -> str:
    """A number of things, with thin spaces between thousands, as the journals print them."""
    return f"{int(value):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
