"""What the figures of co-localisation share: the numbers of the summaries, the published ones, their words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from toporep.figures import style
from toporep.figures.truong2025 import FAMILIES, provenance_lines, read_summaries, settings_of, summary_table

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

# Section 3.4.1 gives these for MNIST only, and for activation similarity without saying at which λ.
PUBLISHED = (
    ("mnist", style.CONTROL, 0.1, 5.56),
    ("mnist", style.CONTROL, 0.3, 5.58),
    ("mnist", "as", 0.1, 5.64),
    ("mnist", "as", 0.3, 5.57),
)
# Values of the table's column `origin`.
FROM_FILE, FROM_PAPER = "this run", "published"
CHANCE_COLOR, NULL_COLOR = "0.15", "0.86"
DISTANCE_LABEL, PAIRS_LABEL = "mean distance of\nconnected pairs (grid spacings)", "number\nof pairs"
LEFT, _RIGHT, _TITLE, _GAP = 0.66, 0.05, 0.42, 0.08
_VARIABLES = ["distance_mean", "distance_sem", "distance_n", "pairs_mean", "null_low", "null_high"]


@dataclass(frozen=True)
class Layout:
    """Rows of panels, distances over numbers of pairs, in inches: a legend, then the rows, then the small print.

    Attributes:
        head: room for the legend.
        distance, pairs: heights of the two panels.
        labels: room below a row, for the abscissa.
        between: room between columns, as a fraction of a panel's width.
    """

    head: float
    distance: float
    pairs: float
    labels: float
    between: float

    @property
    def _row(self) -> float:
        return _TITLE + self.distance + _GAP + self.pairs + self.labels

    def figure(self, rows: int, foot: style.SmallPrint) -> Figure:
        """A figure with room for so many rows and its small print."""
        return Figure(figsize=(style.PAGE_WIDTH, self.head + foot.height + rows * self._row))

    def add_row(
        self, figure: Figure, row: int, panels: int, *, title: str, columns: int | None = None
    ) -> list[tuple[Axes, Axes]]:
        """Add a title and, from left to right, panels with ordinates in common.

        Args:
            figure: of this layout.
            row: counted from the top.
            panels: how many.
            title: over them.
            columns: room for how many, where it is more than that.

        Returns:
            (distances, numbers of pairs) of each column.
        """
        width, height = figure.get_size_inches()
        top = height - self.head - row * self._row - _TITLE
        grid = figure.add_gridspec(
            2,
            columns or panels,
            left=LEFT / width,
            right=1 - _RIGHT / width,
            top=top / height,
            bottom=(top - self.distance - _GAP - self.pairs) / height,
            height_ratios=(self.distance, self.pairs),
            hspace=2 * _GAP / (self.distance + self.pairs),
            wspace=self.between,
        )
        found: list[tuple[Axes, Axes]] = []
        for column in range(panels):
            shared = found[0] if found else (None, None)
            of_column = [figure.add_subplot(grid[part, column], sharey=shared[part]) for part in (0, 1)]
            for axes in of_column:
                axes.tick_params(labelleft=column == 0)
            pairs_axis(of_column[1])
            found.append(tuple(of_column))
        label_ordinates(*found[0])
        figure.text(LEFT / width, (top + 0.21) / height, title, fontsize=8, fontweight="bold")
        return found


def read_panels(
    inputs: Mapping[str, Path], *, conditions: Sequence[str] = FAMILIES
) -> tuple[dict[str, xr.Dataset], pd.DataFrame]:
    """Read one summary a dataset and lay the numbers out.

    Args:
        inputs: dataset → file of schema `colocalization_summary`, in panel order.
        conditions: those that each file must have beside the control; the published values are shown of these alone.

    Returns:
        The summaries, and a table with one row a point and threshold and one a published value. Columns: dataset,
        source, scale, origin ("this run" or "published"), condition, strength, threshold, distance_mean, distance_sem
        (units of the grid spacing), distance_n (seeds with a connected pair), n_seeds, pairs_mean, chance_distance,
        null_low, null_high, note.

    Raises:
        TopoRepError: see `read_summaries`.
    """
    panels = read_summaries(inputs, "colocalization_summary", conditions=conditions)
    return panels, _table(panels, published=[row for row in PUBLISHED if row[1] in (style.CONTROL, *conditions)])


def small_print(panels: Mapping[str, xr.Dataset], *, sem: str) -> list[str]:
    """Say what a connected pair is, how its distance is averaged, and where the numbers come from.

    sem names what shows the SEM in the panels, such as "Shaded around a line".
    """
    settings = settings_of(panels)
    relu = "post-ReLU" if settings.get("activation") == "post" else "pre-ReLU"
    relation = "≥" if settings.get("inclusive") else ">"
    pairs = "pairs with themselves included" if settings.get("include_self") else "distinct pairs"
    mean = "mean over pairs" if settings.get("average", "pairs") == "pairs" else "mean over the means of units"
    return [
        f"Connected pair: two units whose {relu} activations over the test images correlate, Pearson r {relation} α "
        f"({pairs}; {mean}, then over seeds). {sem}: ± SEM over seeds (ddof 1). Lower panels: mean "
        f"number of connected pairs. {style.EVEN_STEPS}",
        *provenance_lines(panels),
    ]


def reference_handles(table: pd.DataFrame, *, relabelled: str, published: str) -> list[Artist]:
    """Legend entries of what the lines are compared with, and of those marks that the table calls for."""
    chance = ", ".join(f"{value:.4f}" for value in table["chance_distance"].unique())
    handles = [
        Line2D([], [], color=CHANCE_COLOR, linewidth=0.5, label=f"chance, {chance}"),
        Patch(color=NULL_COLOR, label=relabelled),
    ]
    if (table["origin"] == FROM_PAPER).any():
        handles.append(Line2D([], [], **published_marker("0.25"), label=published))
    measured = table[table["origin"] == FROM_FILE]
    if (measured["distance_n"] == 0).any():
        handles.append(style.missing_handle("no pair above α: no distance"))
    if is_partial(measured).any():
        look = {"color": "0.25", "marker": "o", "mfc": "white", "linestyle": "none"}
        handles.append(Line2D([], [], **look, label="a pair above α in some seeds only"))
    return handles


def is_partial(rows: pd.DataFrame) -> pd.Series:
    """Whether only some of the seeds behind a point have a connected pair."""
    return rows["distance_n"].between(1, rows["n_seeds"] - 1)


def published_marker(color: str) -> dict[str, object]:
    """Look of a published value: an open diamond."""
    return {
        "marker": "d",
        "markersize": 4.2,
        "markerfacecolor": "white",
        "markeredgecolor": color,
        "markeredgewidth": 0.9,
        "linestyle": "none",
        "zorder": 5,
    }


def pairs_axis(axes: Axes) -> None:
    """Make the ordinate a number of connected pairs."""
    # Logarithmic from 1 up, so that the few pairs at high α can be read, and with a place for none.
    axes.set_yscale("symlog", linthresh=1, linscale=0.6)
    axes.set_ylim(-0.35, 15000)
    axes.set_yticks([0, 1, 100, 10000], ["0", "1", "100", "10 000"])


def label_ordinates(upper: Axes, lower: Axes) -> None:
    """Name the ordinates of the panels at the left edge, at the same distance from it."""
    width = upper.get_position().width * upper.figure.get_figwidth()
    for axes, label in ((upper, DISTANCE_LABEL), (lower, PAIRS_LABEL)):
        axes.set_ylabel(label)
        axes.yaxis.set_label_coords(-0.36 / width, 0.5)


def _table(panels: Mapping[str, xr.Dataset], *, published: Sequence[tuple[str, str, float, float]]) -> pd.DataFrame:
    import pandas as pd

    table = summary_table(panels, _VARIABLES)
    table.insert(3, "origin", FROM_FILE)
    table["note"] = np.select(
        [
            table["distance_n"] == 0,
            table["distance_n"] < table["n_seeds"],
            table["distance_sem"].isna(),
        ],
        ["no seed has a pair above the threshold", "not every seed has a pair above the threshold", "one seed: no SEM"],
        "",
    )
    table = pd.concat([table, _published(panels, published)], ignore_index=True).astype(
        {"distance_n": "Int64", "n_seeds": "Int64"}
    )
    chance = [float(panels[name].attrs["chance_distance"]) for name in table["dataset"]]
    table.insert(table.columns.get_loc("null_low"), "chance_distance", chance)
    columns = table.columns.tolist()
    columns.insert(columns.index("distance_n") + 1, columns.pop(columns.index("n_seeds")))
    return table[columns]


def _published(panels: Mapping[str, xr.Dataset], published: Sequence[tuple[str, str, float, float]]) -> pd.DataFrame:
    import pandas as pd

    rows = [
        {
            "dataset": dataset,
            "source": dataset,
            "scale": "paper",
            "origin": FROM_PAPER,
            "condition": condition,
            "strength": 0.0 if condition == style.CONTROL else np.nan,
            "threshold": threshold,
            "distance_mean": distance,
            "note": "section 3.4.1" if condition == style.CONTROL else "section 3.4.1, highest over strengths",
        }
        for dataset, condition, threshold, distance in published
        if dataset in panels and threshold in panels[dataset]["threshold"].values
    ]
    return pd.DataFrame(rows, columns=list(rows[0]) if rows else ["dataset"])
