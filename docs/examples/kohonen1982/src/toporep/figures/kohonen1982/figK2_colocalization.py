"""Figure K2: units that respond alike lie near each other in a self-organizing map, and in no control."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from toporep.figures import layout, style
from toporep.figures.kohonen1982 import DISCLAIMER, name_of, read_summary, style_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

_CHANCE = {"color": "0.15", "linewidth": 0.7, "linestyle": ":"}
_NULL_COLOR = "0.86"
# Of each panel but the first: analysis and variable, name of the ordinate, attribute with its chance level.
_DOTS = (
    ("morans_i", "Moran's I of the activation map", "chance_morans_i"),
    ("topographic_error", "topographic error", "chance_topographic_error"),
)


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw co-localization against the correlation threshold, and Moran's I and topographic error, of every condition.

    Args:
        inputs: `<dataset>.<analysis>` → summary, of one data set and the analyses colocalization, morans_i and
            topographic_error.

    Returns:
        The figure, and a table with the columns dataset, source, scale, quantity, condition, strength, threshold (NaN
        where the quantity has none), mean, sem, n (seeds that have a value), n_seeds, chance, null_low, null_high (of
        the untrained maps, where there is such a null).

    Raises:
        TopoRepError: a file of another schema, paper or data set.
    """
    dataset = next(iter(inputs)).partition(".")[0]
    distance = read_summary(inputs, dataset, "colocalization")
    dots = {analysis: read_summary(inputs, dataset, analysis) for analysis, _, _ in _DOTS}
    table = _table(distance, dots)
    looks = _looks(distance)
    with style.context():
        block = layout.Block(1, 3, panel=2.0, between=0.55, labels=0.5)
        page = layout.Page([block], _small_print(distance), head=0.36)
        _draw_distance(page.panel(0, 0, 0), table[table["quantity"] == "distance"], looks)
        for column, (analysis, label, _) in enumerate(_DOTS, start=1):
            _draw_dots(page.panel(0, 0, column), table[table["quantity"] == analysis], looks, label)
        page.heading(0, style.dataset_title(dataset, str(distance.attrs["source"])), above=0.1)
        page.legend(_handles(table, looks))
    return page.figure, table


def _looks(summary: xr.Dataset) -> dict[tuple[str, float], style.ConditionStyle]:
    """A look for each point: widths of one condition from light to dark."""
    points = list(zip(summary["condition"].values.tolist(), summary["strength"].values.tolist(), strict=True))
    looks = {}
    for condition, strength in points:
        look = style_of(condition)
        of_condition = [other for name, other in points if name == condition]
        colors = style.shades(look.color, len(of_condition)) if len(of_condition) > 1 else [look.color]
        color = colors[of_condition.index(strength)]
        looks[condition, strength] = style.ConditionStyle(
            name_of(condition, strength), look.short, color, look.marker, look.linestyle
        )
    return looks


def _draw_distance(axes: Axes, rows: pd.DataFrame, looks: Mapping[tuple[str, float], style.ConditionStyle]) -> None:
    one = rows.drop_duplicates("threshold").sort_values("threshold")
    axes.fill_between(one["threshold"], one["null_low"], one["null_high"], color=_NULL_COLOR, linewidth=0, zorder=0)
    axes.axhline(rows["chance"].iloc[0], **_CHANCE)
    for (condition, strength), look in looks.items():
        own = rows[(rows["condition"] == condition) & (rows["strength"] == strength)].sort_values("threshold")
        x, mean = own["threshold"].to_numpy(), own["mean"].to_numpy()
        style.band(axes, x, mean, own["sem"].to_numpy(), color=look.color)
        axes.plot(x, mean, color=look.color, marker=look.marker, linestyle=look.linestyle)
        style.mark_missing(axes, x[np.isnan(mean)], y=0.04, color=look.color)
    axes.set_ylim(bottom=0)
    axes.set_xticks(one["threshold"])
    axes.set_xlabel("correlation threshold α")
    axes.set_ylabel("mean distance of pairs with r > α\n(grid spacings)")


def _draw_dots(
    axes: Axes, rows: pd.DataFrame, looks: Mapping[tuple[str, float], style.ConditionStyle], label: str
) -> None:
    axes.axhline(rows["chance"].iloc[0], **_CHANCE)
    for x, ((condition, strength), look) in enumerate(looks.items()):
        (own,) = rows[(rows["condition"] == condition) & (rows["strength"] == strength)].to_dict("records")
        axes.errorbar(x, own["mean"], yerr=own["sem"], color=look.color, marker=look.marker, capsize=2, linewidth=1)
    axes.set_xticks(range(len(looks)), [f"{strength:g}" if strength else "–" for _, strength in looks])
    axes.set_xlim(-0.6, len(looks) - 0.4)
    axes.set_xlabel("last width of the neighborhood\n(grid spacings; –: none)")
    axes.set_ylabel(label)


def _handles(table: pd.DataFrame, looks: Mapping[tuple[str, float], style.ConditionStyle]) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = [style.condition_handle(look) for look in looks.values()]
    handles.append(Line2D([], [], label="chance: units in random places", **_CHANCE))
    handles.append(Patch(color=_NULL_COLOR, label="untrained units in random places, 95 %"))
    if table["mean"].isna().any():
        handles.append(style.missing_handle("no pair above α: no distance"))
    return handles


def _table(distance: xr.Dataset, dots: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    import pandas as pd

    rows = []
    null = dict(zip(distance["null_condition"].values.tolist(), range(distance.sizes["null_condition"]), strict=True))
    for point in range(distance.sizes["point"]):
        of = distance.isel(point=point)
        for index, threshold in enumerate(distance["threshold"].values.tolist()):
            low, high = (
                float(distance[f"condition_null_{end}"].values[null["untrained"], index]) for end in ("low", "high")
            )
            rows.append(
                {
                    **_head(of, "distance"),
                    "threshold": threshold,
                    **{key: float(of[f"distance_{key}"].values[index]) for key in ("mean", "sem", "n")},
                    **{"chance": float(distance.attrs["chance_distance"]), "null_low": low, "null_high": high},
                }
            )
    for analysis, _, chance in _DOTS:
        for point in range(dots[analysis].sizes["point"]):
            of = dots[analysis].isel(point=point)
            number = {key: float(of[f"{analysis}_{key}"]) for key in ("mean", "sem")}
            # Where every run has a value, the summary does not count them again.
            count = float(of[f"{analysis}_n"]) if f"{analysis}_n" in of else float(of["n"])
            rows.append({**_head(of, analysis), **number, "n": count, "chance": float(of.attrs[chance])})
    columns = ["dataset", "source", "scale", "quantity", "condition", "strength", "threshold"]
    return pd.DataFrame(rows)[[*columns, "mean", "sem", "n", "n_seeds", "chance", "null_low", "null_high"]]


def _head(of: xr.Dataset, quantity: str) -> dict[str, object]:
    return {
        **{key: str(of.attrs[key]) for key in ("dataset", "source", "scale")},
        "quantity": quantity,
        "condition": str(of["condition"].values),
        "strength": float(of["strength"]),
        "n_seeds": int(of["n"]),
    }


def _small_print(summary: xr.Dataset) -> list[str]:
    return [
        "Left: distance on the sheet of two units whose responses to the test images correlate above α (Pearson, "
        "distinct pairs, mean over pairs). Middle: Moran's I of the map of responses to each image (Moore neighbors), "
        "mean over images. Right: share of the images whose two most active units are not neighbors. Mean ± SEM over "
        "seeds; untrained units are training images in random places.",
        style.provenance(summary.attrs, seeds=summary["n"].values.tolist()),
        DISCLAIMER,
    ]
