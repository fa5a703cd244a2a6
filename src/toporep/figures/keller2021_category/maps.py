"""Maps on the sheet: their colors, the numbers under them, pages of them, and their table."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, ListedColormap, Normalize
from matplotlib.patches import Rectangle

from toporep.errors import TopoRepError
from toporep.figures import layout, style
from toporep.figures.keller2021_category import (
    disclaimer,
    is_stand_in,
    label_of,
    number,
    percent,
    provenance_lines,
    run_of,
    style_of,
    title_of,
    window_text,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

# The look of the published maps: blue below 0, dark at 0, orange above (the plotting library's colors for a centered
# scale). Lightness grows alike on both sides.
_BLUES = ("#C4EEE4", "#7CC0D4", "#3F8FCB", "#3A57B0", "#322F5F")
_ORANGES = ("#57202F", "#AD2A38", "#E95A35", "#F6A468", "#FFDCB8")
SELECTIVITY_COLORS = LinearSegmentedColormap.from_list("selectivity", (*_BLUES, "#1D1C1C", *_ORANGES))
# Of single images: from the lowest unit of a map to its highest.
ACTIVATION_COLORS = "magma"
# Of the published joint maps (published code); -1 none, -2 several.
NONE, SEVERAL = -1, -2
CLASS_COLORS = {"objects": "#55DDE0", "faces": "#F26419", "bodies": "#F6AE2D", "places": "#33658A"}
NONE_COLOR, SEVERAL_COLOR = "#2F4858", "#937B43"
_FURTHER_COLORS = ("#D5C4E8", "#B8E07B", "#E377C2", "#FFFFFF")
_MISSING = "0.85"

# Contrasts of Figures 4, 5 and 9 from top to bottom; a positive d is that of the first-named set.
CONTRASTS = {
    "selectivity_animacy": ("animate", "inanimate"),
    "selectivity_size": ("small", "big"),
    "selectivity_faces": ("faces", "objects"),
}

# Names of the numbers of `selectivity_panel`.
SELECTIVITY_LABELS = (
    "neighbor r",
    "untrained | labels shuffled",
    "largest patch | units shuffled",
    "split-half reliability",
)
SINGLE_LABELS = ("neighbor r", "active units", "r with other sets' images")
# Signs of the strongest units; rings of different form can lie on each other.
MARKERS = (("o", 8.0), ("s", 6.0), ("^", 7.0), ("D", 4.5), ("v", 5.0), ("X", 5.0), ("P", 5.0))

# Lay-out in inches.
_EDGE, _LINE, _TITLE, _KEY = 0.07, 0.11, 0.125, 0.36


@dataclass(frozen=True)
class Panel:
    """One map, or one image.

    Attributes:
        kind: "selectivity" (d from -1 to 1), "joint" (number of a class, -1 none, -2 several), "activation" (scaled by
            itself), "image" (an image, not a map) or "empty" (nothing is drawn).
        values: (rows, cols), of an image (rows, cols, 3); None if the network was not trained.
        name: what the map is, for the table.
        condition, seed: of the network.
        title: lines over it, the first of them bold; a long one has line breaks.
        numbers: lines under it.
        measured: numbers of the whole map, for the table.
        marks: (row, col) → what is marked there, as numbers of `MARKERS`.
        classes: of a joint map.
        complement: of a joint map, how the other classes were pooled.
    """

    kind: str
    values: np.ndarray | None = None
    name: str = ""
    condition: str = ""
    seed: int = 0
    title: Sequence[str] = ()
    numbers: Sequence[str] = ()
    measured: Mapping[str, float] = field(default_factory=dict)
    marks: Sequence[tuple[int, int]] = ()
    classes: Sequence[str] = ()
    complement: str = ""


@dataclass(frozen=True)
class Row:
    """Panels side by side: their title at the left, and the names of the numbers under them."""

    panels: Sequence[Panel]
    title: Sequence[str] = ()
    labels: Sequence[str] = ()


class Sheet(layout.Sheet):
    """A sheet whose text is as small as its small print unless told otherwise."""

    def text(self, left: float, top: float, text: str, **options: object) -> None:
        super().text(left, top, text, **{"fontsize": 6.0, **options})

    def heading(self, title: str, attrs: Mapping[str, object]) -> None:
        """Write a bold title, and what the networks saw at its right."""
        self.text(_EDGE, 0.14, title, fontsize=8, fontweight="bold")
        color = "#B00020" if is_stand_in(attrs) else "0.3"
        weight = "bold" if is_stand_in(attrs) else "normal"
        self.text(_EDGE, 0.29, title_of(attrs), fontsize=6.5, color=color, fontweight=weight)


def grid_of(metric: xr.Dataset) -> tuple[int, int]:
    """(rows, cols) of the sheet of a metric file.

    Raises:
        TopoRepError: units that are not row-major on a full sheet.
    """
    row, col = metric["row"].values, metric["col"].values
    rows, cols = int(row.max()) + 1, int(col.max()) + 1
    if not np.array_equal(row * cols + col, np.arange(rows * cols)):
        raise TopoRepError(
            f"inputs: row and col of the {len(row)} units do not number a sheet of {rows} by {cols} row by row; "
            "make the metric file again"
        )
    return rows, cols


def draw_selectivity(axes: Axes, values: np.ndarray) -> None:
    """Draw d on the sheet, row 0 and column 0 at the top left; colors end at -1 and 1, NaN is grey."""
    colors = SELECTIVITY_COLORS.with_extremes(bad=_MISSING)
    _show(axes, np.ma.masked_invalid(values), cmap=colors, vmin=-1, vmax=1)


def draw_joint(axes: Axes, values: np.ndarray, classes: Sequence[str]) -> None:
    """Draw the one class of each unit in the colors of the published maps."""
    colors = ListedColormap([SEVERAL_COLOR, NONE_COLOR, *(class_color(name, classes) for name in classes)])
    _show(axes, values, cmap=colors, vmin=SEVERAL - 0.5, vmax=len(classes) - 0.5)


def draw_activation(axes: Axes, values: np.ndarray) -> None:
    """Draw activations of a single image, from the lowest unit to the highest."""
    _show(axes, values, cmap=ACTIVATION_COLORS, vmin=values.min(), vmax=values.max())


def class_color(name: str, classes: Sequence[str]) -> str:
    """Color of a class in joint maps; classes that the paper does not have take further colors in their order."""
    further = [other for other in classes if other not in CLASS_COLORS]
    return CLASS_COLORS[name] if name in CLASS_COLORS else _FURTHER_COLORS[further.index(name) % len(_FURTHER_COLORS)]


def selectivity_key(sheet: Sheet, left: float, top: float, words: str = "") -> None:
    """Write the colors of d with their meaning."""
    words = words or "Cohen's d; above 0: stronger for the first-named set. Colors end at ±1."
    sheet.text(left, top + 0.04, "\N{MINUS SIGN}1", ha="left")
    bar = sheet.axes(left + 0.16, top, 1.2, 0.08)
    sheet.figure.colorbar(ScalarMappable(Normalize(-1, 1), SELECTIVITY_COLORS), cax=bar, orientation="horizontal")
    bar.set(xticks=[])
    sheet.text(left + 1.4, top + 0.04, f"1   {words}")


def activation_key(sheet: Sheet, left: float, top: float) -> None:
    """Write the colors of single images' activations with their meaning."""
    bar = sheet.axes(left, top, 1.2, 0.08)
    sheet.figure.colorbar(ScalarMappable(Normalize(0, 1), ACTIVATION_COLORS), cax=bar, orientation="horizontal")
    bar.set(xticks=[])
    sheet.text(left + 1.26, top + 0.04, "activation, from the lowest unit of a map to its highest")


def joint_key(sheet: Sheet, left: float, top: float, classes: Sequence[str], threshold: float) -> None:
    """Write the colors of joint maps."""
    names = {name: class_color(name, classes) for name in classes} | {"several": SEVERAL_COLOR, "none": NONE_COLOR}
    for name, color in names.items():
        axes = sheet.axes(left, top - 0.01, 0.1, 0.1)
        axes.set_axis_off()
        axes.add_patch(Rectangle((0, 0), 1, 1, facecolor=color, linewidth=0))
        sheet.text(left + 0.14, top + 0.04, name)
        left += 0.26 + 0.05 * len(name)
    sheet.text(left, top + 0.04, f"d ≥ {threshold:g} against all other sets")


def selectivity_panel(
    metric: xr.Dataset, condition: str, *, name: str, seed: int | None = None, title: Sequence[str] = ()
) -> Panel:
    """The map of d of a run, with the smoothness, patch and reliability that it has, and those of its nulls.

    Args:
        metric: schema `selectivity`.
        condition, seed: of the run; its lowest seed without one.
        name: of the contrast.
        title: over the map; the condition and its window without it.
    """
    title = title or heading_of(metric, condition)
    run = run_of(metric, condition, seed)
    if run is None:
        return Panel("selectivity", name=name, condition=condition, title=title)
    untrained = run_of(metric, "tvae_untrained", int(run["seed"])) if condition == "tvae" else None
    own = {"quantity": "activation", "boundary": boundary_of(run)}
    r = float(run["smoothness"].sel(own))
    measured = {
        "neighbor_r": r,
        "neighbor_r_untrained": math.nan if untrained is None else float(untrained["smoothness"].sel(own)),
        "neighbor_r_label_shuffled": float(run["smoothness_label_null"].sel(boundary=own["boundary"])),
        "largest_patch": float(run["largest_patch"].sel(quantity="activation")),
        "largest_patch_label_shuffled": float(run["largest_patch_label_null"]),
        "largest_patch_p_label": float(run["patch_p_label"]),
        "largest_patch_unit_shuffled": float(run["largest_patch_unit_null"]),
        "largest_patch_p_unit": float(run["patch_p_unit"]),
        "reliability": float(run["reliability"]),
    }
    values = run["d"].sel(quantity="activation").values.reshape(grid_of(metric))
    panel = Panel("selectivity", values, name, condition, int(run["seed"]), title=title, measured=measured)
    return replace(panel, numbers=_selectivity_numbers(measured))


def joint_panel(
    metric: xr.Dataset,
    condition: str,
    *,
    seed: int | None = None,
    complement: str = "images",
    title: Sequence[str] = (),
    named: bool = False,
) -> Panel:
    """The joint map of a run, with the units of each class that pass.

    Args:
        metric: schema `class_selectivity`.
        condition, seed, title: as for `selectivity_panel`.
        complement: how the other classes are pooled.
        named: write the class before its numbers, and fewer of them.
    """
    title = title or heading_of(metric, condition)
    classes = metric["class"].values.tolist()
    run = run_of(metric, condition, seed)
    if run is None:
        return Panel("joint", name="classes", condition=condition, title=title, classes=classes)
    run = run.sel(complement=complement)
    measured = {}
    for name in classes:
        of = run.sel({"class": name})
        for variable in ("selective_share", "max_d", "largest_patch", "largest_patch_unit_null"):
            measured[f"{variable}_{name}"] = float(of[variable])
    values = run["joint"].values.reshape(grid_of(metric))
    panel = Panel("joint", values, "classes", condition, int(run["seed"]), title=title, measured=measured)
    return replace(
        panel,
        classes=classes,
        complement=complement,
        numbers=[_class_numbers(measured, name, named) for name in classes],
    )


def joint_labels(metric: xr.Dataset) -> list[str]:
    """Names of the numbers of `joint_panel`, in its order."""
    return [f"{name}: units | max d | patch (shuffled)" for name in metric["class"].values.tolist()]


def single_panel(
    metric: xr.Dataset, condition: str, of_set: str, *, example: int = 0, title: Sequence[str] = ()
) -> Panel:
    """The activation of a run's units for one image.

    Args:
        metric: schema `single_images`.
        condition: its lowest seed is taken.
        of_set: which set the image is of.
        example: number of the image among the first of its set.
        title: over the map.

    Raises:
        TopoRepError: a set or an example that is not there.
    """
    run = run_of(metric, condition)
    if run is None:
        return Panel("activation", name=of_set, condition=condition, title=title)
    one = _example(run, of_set, example)
    measured = {name: float(one[name]) for name in ("smoothness", "active_share", "between_sets")}
    numbers = [number(measured["smoothness"]), percent(measured["active_share"]), number(measured["between_sets"])]
    values = one["activation"].values.reshape(grid_of(metric))
    seed = int(run["seed"])
    return Panel("activation", values, of_set, condition, seed, title=title, numbers=numbers, measured=measured)


def strongest_unit(run: xr.Dataset, of_set: str, *, example: int = 0) -> tuple[int, int]:
    """(row, col) of the unit of a run with the highest activation for an image."""
    one = _example(run, of_set, example)
    return int(one["strongest_row"]), int(one["strongest_col"])


def image_panel(metric: xr.Dataset, of_set: str, *, example: int = 0, title: Sequence[str] = ()) -> Panel:
    """The image itself; arguments as for `single_panel`."""
    return Panel("image", _example(metric, of_set, example)["thumbnail"].values, of_set, title=title)


def heading_of(metric: xr.Dataset, condition: str) -> tuple[str, ...]:
    """Lines over a map: the condition, and its window where it has one."""
    return broken(label_of(condition, metric.attrs), 22), window_text(metric.attrs, condition)


def broken(text: str, width: int) -> str:
    """Break a long line of a title."""
    return "\n".join(textwrap.wrap(text, width))


def boundary_of(run: xr.Dataset) -> str:
    """Boundary of a run's own sheet."""
    return "torus" if float(run["torus"]) else "open"


def map_line(metric: xr.Dataset) -> str:
    """Small print that says what maps of d show."""
    rows, cols = grid_of(metric)
    return (
        f"Each point is a unit of a sheet of {rows} × {cols}, row 0 and column 0 at the top left; its color is "
        "Cohen's d of its activation between all images of two sets, not smoothed. The sheets of TVAE and VAE are "
        "tori: the left edge adjoins the right one, the upper the lower one; the other sheets are open."
    )


def selectivity_lines(metrics: Sequence[xr.Dataset]) -> list[str]:
    """Small print that says what maps of d show and what the numbers of `selectivity_panel` are."""
    settings = json.loads(str(metrics[0].attrs["settings"]))
    return [
        map_line(metrics[0]),
        "Neighbor r: Pearson's r of d between units that share an edge; 0 without order on the sheet. Untrained: of "
        "the same TVAE before training (no other network has one here). Labels shuffled: mean over "
        f"{settings['shuffles']} maps of the same responses with the images of the two sets exchanged at random, of a "
        "sample of the images. Largest patch: connected units with "
        f"d ≥ {settings['threshold']:g}. Units shuffled: mean over as many maps of the same units in random places. "
        "Reliability: r of the maps of two halves of that sample, for the whole of it (Spearman-Brown). None of these "
        "numbers is in the paper.",
    ]


def joint_lines(metric: xr.Dataset, *, named: bool = False) -> str:
    """Small print that says what joint maps show and what the numbers under them are; `named` as for `joint_panel`."""
    largest = "" if named else " largest d,"
    return (
        "Classes: the one class for which d against the images of all others together is at least "
        f"{threshold_of(metric):g}. Numbers of a class: share of units that pass,{largest} and largest connected "
        "patch, in brackets the mean if the same units lay on the sheet at random (not in the paper)."
    )


def single_lines(metric: xr.Dataset, example: int) -> str:
    """Small print that says what maps of single images show and what the numbers under them are."""
    rows, cols = grid_of(metric)
    return (
        f"Activation of the {rows} × {cols} units of each sheet, row 0 and column 0 at the top left, for one image of "
        f"each set: image {example + 1} in the order of its files. Each map has colors of its own. Neighbor r: "
        "Pearson's r between units that share an edge; 0 without order. Active units: share of units at least half "
        "as far from the map's median as the farthest one. r with other sets' images: mean correlation over units "
        "with the maps of images of the other sets; high where all images excite the same units (not in the paper)."
    )


def sets_of(contrasts: Mapping[str, tuple[str, str]]) -> list[str]:
    """Sets of images of some contrasts, each once."""
    return list(dict.fromkeys(name for both in contrasts.values() for name in both))


def origin_lines(rows: Sequence[Row], *attrs: Mapping[str, object], sets: Sequence[str] = ()) -> list[str]:
    """Small print of `provenance_lines`, with the networks that rows of panels show and those that they lack."""
    return provenance_lines(*attrs, sets=sets, seeds=_seeds_text(rows), absent=_absent_from(rows))


def _seeds_text(rows: Sequence[Row]) -> str:
    """Words for the networks drawn: "networks of seed 0"."""
    panels = [panel for row in rows for panel in row.panels if panel.values is not None and panel.condition]
    seeds = sorted({panel.seed for panel in panels})
    several = "s" if len(seeds) > 1 else ""
    return f"one network a map, of seed{several} {', '.join(map(str, seeds))}" if seeds else ""


def _absent_from(rows: Sequence[Row]) -> list[str]:
    """Conditions whose networks were not trained."""
    return list(
        dict.fromkeys(
            panel.condition for row in rows for panel in row.panels if panel.values is None and panel.condition
        )
    )


def threshold_of(metric: xr.Dataset) -> float:
    """d from which on a unit counts as selective."""
    return float(json.loads(str(metric.attrs["settings"]))["threshold"])


def draw_page(
    title: str,
    rows: Sequence[Row],
    attrs: Mapping[str, object],
    lines: Sequence[str],
    *,
    keys: Sequence[str],
    threshold: float = 0.85,
    largest: float = 2.2,
    margin: float = 1.5,
    gap: float = 0.1,
    below: float = 0.0,
) -> tuple[Sheet, list[list[tuple[float, float, float]]]]:
    """Draw rows of panels, the color keys and the small print.

    Args:
        title: of the figure.
        rows: all of them with as many panels.
        attrs: of a metric file.
        lines: paragraphs of the small print; what may be concluded is added.
        keys: kinds of panels whose colors are explained.
        threshold: of joint maps.
        largest: size of a map at most, in inches.
        margin: room left of the maps.
        gap: room between maps.
        below: room that is left free under the maps.

    Returns:
        The page, and for each row and panel its left edge, top and side in inches; a further row has the place of the
        free room.
    """
    columns = len(rows[0].panels)
    side = min(largest, (style.PAGE_WIDTH - margin - _EDGE - (columns - 1) * gap) / columns)
    tops, top = [], 0.42
    for row in rows:
        top += 0.02 + _TITLE * max(len(_lines(panel.title)) for panel in row.panels)
        tops.append(top)
        top += side + _LINE * len(row.labels) + 0.12
    sheet = Sheet(top + below + 0.18 * len(keys) + 0.04, [*lines, disclaimer(attrs)])
    sheet.heading(title, attrs)
    places = []
    for row, row_top in zip(rows, tops, strict=True):
        lefts = [margin + column * (side + gap) for column in range(columns)]
        places.append([(left, row_top, side) for left in lefts])
        _draw_names(sheet, row, row_top, side, margin)
        for panel, left in zip(row.panels, lefts, strict=True):
            _draw_panel(sheet, panel, left, row_top, side)
    places.append([(margin, top, below)])
    for index, kind in enumerate(keys):
        place = (_EDGE, top + below + 0.06 + 0.18 * index)
        if kind == "joint":
            classes = next(panel.classes for row in rows for panel in row.panels if panel.kind == "joint")
            joint_key(sheet, *place, classes, threshold)
        else:
            {"selectivity": selectivity_key, "activation": activation_key}[kind](sheet, *place)
    return sheet, places


def table(rows: Sequence[Row], attrs: Mapping[str, object]) -> pd.DataFrame:
    """Lay the maps out with one row a unit of each map.

    Columns: dataset, source, scale, map, kind, condition, seed, row, col, value, of joint maps complement and class,
    and the numbers of the whole map under their names. It has no rows if no network was trained.
    """
    import pandas as pd

    head = ["dataset", "source", "scale", "map", "kind", "condition", "seed", "row", "col", "value"]
    tables = []
    for panel in (panel for row in rows for panel in row.panels):
        if panel.values is None or panel.kind in ("image", "empty"):
            continue
        row, col = np.indices(panel.values.shape).reshape(2, -1)
        columns = {
            **{key: attrs[key] for key in ("dataset", "source", "scale")},
            **{"map": panel.name, "kind": panel.kind, "condition": panel.condition, "seed": panel.seed},
            **{"row": row, "col": col, "value": panel.values.ravel().astype(float)},
            **({"complement": panel.complement, "class": _class_names(panel)} if panel.kind == "joint" else {}),
            **panel.measured,
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=head)


def _class_names(panel: Panel) -> list[str]:
    names = {NONE: "none", SEVERAL: "several", **dict(enumerate(panel.classes))}
    return [names[int(value)] for value in panel.values.ravel()]


def _example(metric: xr.Dataset, of_set: str, example: int) -> xr.Dataset:
    sets, examples = metric["set"].values.tolist(), metric.sizes["example"]
    if of_set not in sets:
        raise TopoRepError(
            f"inputs: expected images of the set {of_set!r}, found {', '.join(sets)}; add it to the sets"
        )
    if not 0 <= example < examples:
        raise TopoRepError(f"example: expected 0 to {examples - 1}, the images kept of each set, found {example}")
    return metric.sel(set=of_set).isel(example=example)


def _selectivity_numbers(measured: Mapping[str, float]) -> list[str]:
    # Where labels are shuffled no unit is selective, however its neighbors are: that patch is 0 in any map.
    patch, null = measured["largest_patch"], measured["largest_patch_unit_shuffled"]
    return [
        number(measured["neighbor_r"]),
        f"{number(measured['neighbor_r_untrained'])} | {number(measured['neighbor_r_label_shuffled'])}",
        f"{number(patch, 0)} | {number(null, 1)}",
        number(measured["reliability"]),
    ]


def _class_numbers(measured: Mapping[str, float], name: str, named: bool) -> str:
    share, d, patch, null = (
        measured[f"{variable}_{name}"]
        for variable in ("selective_share", "max_d", "largest_patch", "largest_patch_unit_null")
    )
    if named:
        return f"{name}: {percent(share)} | {number(patch, 0)} ({number(null, 1)})"
    return f"{percent(share)} | {number(d)} | {number(patch, 0)} ({number(null, 1)})"


def _lines(title: Sequence[str]) -> list[tuple[int, str]]:
    """Lines to write, each with the place of its entry in the title."""
    return [(entry, line) for entry, text in enumerate(filter(None, title)) for line in text.split("\n")]


def _draw_names(sheet: Sheet, row: Row, top: float, side: float, margin: float) -> None:
    for index, line in enumerate(row.title):
        middle = top + side / 2 + (index - (len(row.title) - 1) / 2) * 0.14
        sheet.text(_EDGE, middle, line, fontsize=7 if index == 0 else 6, fontweight="bold" if index == 0 else "normal")
    for index, label in enumerate(row.labels):
        place = (margin - 0.07, top + side + _LINE * (index + 0.75))
        sheet.text(*place, label, ha="right", color="0.3")


def _draw_panel(sheet: Sheet, panel: Panel, left: float, top: float, side: float) -> None:
    if panel.kind == "empty":
        return
    title = _lines(panel.title)
    look_of = style_of(panel.condition)
    # A color stands for a condition only where the condition is named.
    color = look_of.color if panel.condition and title and title[0][1] in look_of.label else "black"
    for index, (entry, line) in enumerate(title):
        height = top - 0.02 - _TITLE * (len(title) - index - 0.5)
        look = {"fontsize": 7, "fontweight": "bold", "color": color} if entry == 0 else {"color": "0.3"}
        sheet.text(left + side / 2, height, line, ha="center", **look)
    axes = sheet.axes(left, top, side, side)
    if panel.values is None:
        _draw_absent(axes)
        return
    if panel.kind == "image":
        _show(axes, panel.values)
    elif panel.kind == "joint":
        draw_joint(axes, panel.values, panel.classes)
    else:
        {"selectivity": draw_selectivity, "activation": draw_activation}[panel.kind](axes, panel.values)
    draw_marks(axes, panel.marks)
    for index, text in enumerate(panel.numbers):
        sheet.text(left + side / 2, top + side + _LINE * (index + 0.75), text, ha="center")


def thumbnail(
    sheet: Sheet, left: float, top: float, side: float, metric: xr.Dataset, of_set: str, *, example: int
) -> None:
    """Draw the image of a set whose answer a metric file of schema `single_images` holds."""
    _show(sheet.axes(left, top, side, side), image_panel(metric, of_set, example=example).values)


def marker_sign(sheet: Sheet, left: float, top: float, index: int) -> None:
    """The mark of an image, on a dark ground as on the maps."""
    axes = sheet.axes(left, top, 0.15, 0.15)
    axes.set(xlim=(-1, 1), ylim=(-1, 1))
    axes.set_axis_off()
    axes.add_patch(Rectangle((-1, -1), 2, 2, facecolor="#1D1C1C", linewidth=0))
    marker, size = MARKERS[index]
    axes.plot(0, 0, marker, markersize=size, markerfacecolor="none", markeredgecolor="white", markeredgewidth=1.1)


def draw_marks(axes: Axes, marks: Sequence[tuple[int, int]]) -> None:
    """Put the n-th of `MARKERS` on the n-th unit, (row, col), without hiding it."""
    for (row, col), (marker, size) in zip(marks, MARKERS, strict=False):
        for color, width in (("black", 2.4), ("white", 1.1)):
            look = {"markerfacecolor": "none", "markeredgecolor": color, "markeredgewidth": width}
            axes.plot(col, row, marker, markersize=size, clip_on=False, zorder=5, **look)


def _draw_absent(axes: Axes) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_axis_off()
    axes.add_patch(Rectangle((0, 0), 1, 1, facecolor=_MISSING, linewidth=0))
    axes.text(0.5, 0.5, "not trained\nhere", ha="center", va="center", fontsize=6, color="0.35")


def _show(axes: Axes, values: np.ndarray, **options: object) -> None:
    axes.imshow(values, interpolation="nearest", origin="upper", **options)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color="0.3", linewidth=0.4)
