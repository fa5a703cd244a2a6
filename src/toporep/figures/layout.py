"""Pages of panels: what all figures share of layout and axes; lengths in inches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from toporep.figures import style

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

LEFT, _RIGHT, _LEGEND_TOP = 0.55, 0.06, 0.07


@dataclass(frozen=True)
class Block:
    """A grid of panels of one size; lengths in inches.

    Attributes:
        rows, columns: number of panels.
        panel: height of a panel.
        title: room above the first row.
        labels: room below the last row, for the abscissa.
        gap: room between rows.
        between: room between columns: the same between all, or one number for each two neighbors.
    """

    rows: int
    columns: int
    panel: float
    title: float = 0.24
    labels: float = 0.44
    gap: float = 0.12
    between: float | Sequence[float] = 0.42

    @property
    def height(self) -> float:
        return self.title + self.rows * self.panel + (self.rows - 1) * self.gap + self.labels

    @property
    def gaps(self) -> np.ndarray:
        """Room between each two neighboring columns."""
        return np.broadcast_to(np.asarray(self.between, dtype=float), (self.columns - 1,))

    @property
    def width(self) -> float:
        """Width of a panel."""
        return (style.PAGE_WIDTH - LEFT - _RIGHT - self.gaps.sum()) / self.columns


class Page:
    """A figure as wide as a journal page: a legend, blocks of panels one below the other, small print.

    Args:
        blocks: from top to bottom.
        lines: paragraphs of the small print.
        head: room for the legend, in inches.

    Attributes:
        figure: without panels yet.
    """

    def __init__(self, blocks: Sequence[Block], lines: Sequence[str], *, head: float = 0.4) -> None:
        self._blocks = list(blocks)
        self._head = head
        small_print = style.SmallPrint(lines, left=LEFT)
        self._height = head + sum(block.height for block in blocks) + small_print.height
        self.figure = Figure(figsize=(style.PAGE_WIDTH, self._height))
        small_print.draw(self.figure)

    def panel(self, block: int, row: int, column: int, **options: object) -> Axes:
        """Add the panel of a block at a row and column."""
        of = self._blocks[block]
        left = LEFT + column * of.width + of.gaps[:column].sum()
        bottom = self._height - self._top(block) - of.title - (row + 1) * of.panel - row * of.gap
        size = (of.width / style.PAGE_WIDTH, of.panel / self._height)
        return self.figure.add_axes((left / style.PAGE_WIDTH, bottom / self._height, *size), **options)

    def heading(self, block: int, text: str, *, column: int = 0, above: float = 0.21) -> None:
        """Write a title over a block, at the left edge of a column and `above` inches over the first row."""
        of = self._blocks[block]
        left = LEFT + column * of.width + of.gaps[:column].sum()
        y = self._height - self._top(block) - of.title + above
        self.figure.text(left / style.PAGE_WIDTH, y / self._height, text, fontsize=8, fontweight="bold")

    def legend(self, handles: Sequence[Artist | tuple[Artist, ...]]) -> None:
        """Write the legend at the head."""
        style.legend(
            self.figure, handles, left=LEFT / style.PAGE_WIDTH, top=1 - _LEGEND_TOP / self.figure.get_figheight()
        )

    def _top(self, block: int) -> float:
        return self._head + sum(before.height for before in self._blocks[:block])


class Sheet:
    """A figure as wide as a journal page on which things have places in inches, counted from the left and the top.

    Args:
        height: of what stands above the small print.
        lines: paragraphs of the small print.
    """

    def __init__(self, height: float, lines: Sequence[str]) -> None:
        small_print = style.SmallPrint(lines, left=0.07)
        self._height = height + small_print.height
        self.figure = Figure(figsize=(style.PAGE_WIDTH, self._height))
        small_print.draw(self.figure)

    def axes(self, left: float, top: float, width: float, height: float, **options: object) -> Axes:
        """Add axes whose upper left corner is there."""
        bottom = self._height - top - height
        place = (left / style.PAGE_WIDTH, bottom / self._height, width / style.PAGE_WIDTH, height / self._height)
        return self.figure.add_axes(place, **options)

    def place(self, left: float, top: float) -> tuple[float, float]:
        """The same place in figure fractions."""
        return left / style.PAGE_WIDTH, 1 - top / self._height

    def text(self, left: float, top: float, text: str, **options: object) -> None:
        """Write there; the text's middle has this height unless told otherwise."""
        self.figure.text(*self.place(left, top), text, **{"va": "center", **options})


def percent_axis(axes: Axes) -> None:
    """Write the ordinate's fractions as percent; the axis' name should say so."""
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g}".replace("-", "−")))


def few_ticks(axes: Axes, *, n: int = 5) -> None:
    """At most n intervals on the ordinate, for low panels."""
    axes.yaxis.set_major_locator(MaxNLocator(n, steps=[1, 2, 5, 10], min_n_ticks=2))


def name_ordinate(axes: Axes, label: str, *, away: float = 0.4) -> None:
    """Name the ordinate `away` inches left of the panel, so that names of panels below each other align."""
    axes.set_ylabel(label)
    axes.yaxis.set_label_coords(-away / (axes.get_position().width * style.PAGE_WIDTH), 0.5)
