"""Figure 4: maps of animacy, size and faces on the same units, and where single images lie on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures import style
from toporep.figures.keller2021_category import check_together, number, read_runs, run_of
from toporep.figures.keller2021_category.maps import (
    CONTRASTS,
    SELECTIVITY_LABELS,
    Row,
    Sheet,
    draw_page,
    heading_of,
    marker_sign,
    origin_lines,
    selectivity_lines,
    selectivity_panel,
    sets_of,
    strongest_unit,
    table,
    thumbnail,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

_SETS = ("animate", "inanimate", "faces", "places", "hands")
# Lay-out in inches.
_SIDE, _THUMBNAIL = 1.78, 0.62


def draw(inputs: Mapping[str, Path], *, example: int = 0) -> tuple[Figure, pd.DataFrame]:
    """Draw three maps of d of the trained and the untrained network, with the units that single images excite most.

    Args:
        inputs: `imagenet_faces.<contrast>.runs` for selectivity_animacy, selectivity_size and selectivity_faces → files
            of schema `selectivity`, and `imagenet_faces.single_images.runs`; drawn is the lowest seed.
        example: which of the first images of each set is marked.

    Returns:
        The figure, and the table of `toporep.figures.keller2021_category.maps.table` with most_active_for: the sets
        whose image excites a unit most.

    Raises:
        TopoRepError: a file that is missing or of another paper, files of several scales.

    Source: Keller, Gao & Welling 2021, Figure 4. The paper marks three images of its Figure 3; here it is all five.
    """
    metrics = {name: read_runs(inputs, name, "selectivity") for name in CONTRASTS}
    singles = read_runs(inputs, "single_images")
    check_together([*metrics.values(), singles])
    marks = _strongest(singles, metrics["selectivity_faces"], example)
    rows = []
    for name, (target, control) in CONTRASTS.items():
        words = f"{target} − {control}"
        # Titles stand over the first row alone.
        titles = (("",), ("",)) if rows else (heading_of(metrics[name], "tvae"), ("TVAE", "before training"))
        trained = selectivity_panel(metrics[name], "tvae", name=words, title=titles[0])
        untrained = selectivity_panel(metrics[name], "tvae_untrained", name=words, title=titles[1])
        panels = [replace(trained, marks=marks), untrained]
        rows.append(Row(panels, (words, f"above 0: {target}"), SELECTIVITY_LABELS))
    attrs = [metric.attrs for metric in metrics.values()]
    lines = [
        "The same units in all maps of a column. Marks: the unit with the highest activation for the image beside the "
        "mark, and d of this unit in the three maps.",
        *selectivity_lines(list(metrics.values())),
        *origin_lines(rows, *attrs, sets=sets_of(CONTRASTS)),
    ]
    with style.context():
        sheet, places = draw_page(
            "Animacy, real-world size and faces", rows, attrs[0], lines, keys=["selectivity"], largest=_SIDE
        )
        _draw_images(sheet, singles, rows, marks, example, places[0][1])
    return sheet.figure, _table(rows, attrs[0], marks)


def _table(rows: list[Row], attrs: Mapping[str, object], marks: list[tuple[int, int]]) -> pd.DataFrame:
    found = table(rows, attrs)
    found["most_active_for"] = ""
    for name, (row, col) in zip(_SETS, marks, strict=False):
        marked = (found["condition"] == "tvae") & (found["row"] == row) & (found["col"] == col)
        before = found.loc[marked, "most_active_for"]
        found.loc[marked, "most_active_for"] = [f"{others}; {name}" if others else name for others in before]
    return found


def _strongest(singles: xr.Dataset, metric: xr.Dataset, example: int) -> list[tuple[int, int]]:
    """(row, col) of the most active unit for each image, in the network whose maps are drawn."""
    drawn = run_of(metric, "tvae")
    run = None if drawn is None else run_of(singles, "tvae", int(drawn["seed"]))
    if run is None:
        return []
    return [strongest_unit(run, name, example=example) for name in _SETS]


def _draw_images(
    sheet: Sheet,
    singles: xr.Dataset,
    rows: list[Row],
    marks: list[tuple[int, int]],
    example: int,
    beside: tuple[float, float, float],
) -> None:
    left = beside[0] + beside[2] + 0.3
    sheet.text(left, beside[1] - 0.1, "most active unit for", fontsize=7, fontweight="bold")
    for index, name in enumerate(_SETS):
        top = beside[1] + index * (_THUMBNAIL + 0.3)
        thumbnail(sheet, left, top, _THUMBNAIL, singles, name, example=example)
        right = left + _THUMBNAIL + 0.1
        if marks:
            marker_sign(sheet, right, top, index)
        sheet.text(right + (0.22 if marks else 0), top + 0.075, name, fontsize=7)
        for line, (row, (target, _)) in enumerate(zip(rows, CONTRASTS.values(), strict=True)):
            values = row.panels[0].values
            if marks and values is not None:
                text = f"{target}: d = {number(float(values[marks[index]]))}"
                sheet.text(right, top + 0.27 + 0.12 * line, text)
