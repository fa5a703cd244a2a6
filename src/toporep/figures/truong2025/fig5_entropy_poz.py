"""Figure 5: entropy of the units' responses and percentage of zeros against the spatial weight."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from toporep.figures import layout, style
from toporep.figures.truong2025 import provenance_lines, read_summaries, settings_of, summary_table, sweep

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

# Of the estimators of entropy this one is drawn in the place of the paper's, which is not known.
_MAIN = "unit_range"
_ESTIMATORS = {
    "unit_range": "each unit's range",
    "common_range": "common range",
    "gaussian": "Gaussian",
}
_DEAD = "no unit varies: entropy is not defined"


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw entropy and percentage of zeros, one panel a dataset, and below them the other measures of variation.

    Args:
        inputs: dataset → file of schema `activity_summary`, in panel order.

    Returns:
        The figure, and a table with one row a point and estimator of entropy, and one a point for what has no
        estimator. Columns: dataset, source, scale, condition, strength, estimator, mean and SEM of entropy (bits),
        percent_zero (0 to 100) and variance, n_seeds, note.

    Raises:
        TopoRepError: see `read_summaries`.

    Source: Truong & Hasson 2025, section 3.3 and Figure 5.
    """
    panels = read_summaries(inputs, "activity_summary")
    table = _table(panels)
    others = [name for name in dict.fromkeys(table["estimator"]) if name not in ("", _MAIN)]
    rows = [
        [
            _Measure("entropy", _MAIN, f"Entropy (bits), {_relu(panels)}"),
            _Measure("percent_zero", "", "Zeros (%), post-ReLU"),
        ],
        [
            *(_Measure("entropy", name, f"Entropy, {_ESTIMATORS.get(name, name)} (bits)") for name in others),
            _Measure("variance", "", "Variance"),
        ],
    ]
    blocks = [
        layout.Block(1, len(panels) * len(rows[0]), 1.7, title=0.46, between=0.36),
        layout.Block(1, len(panels) * len(rows[1]), 1.0, title=0.5, between=0.28),
    ]
    with style.context():
        styles = sweep.styles_of(table)
        page = layout.Page(blocks, _small_print(panels))
        for block, measures in enumerate(rows):
            for index, measure in enumerate(measures):
                _draw_measure(page, block, index * len(panels), table, styles, panels=panels, measure=measure)
        handles = sweep.condition_handles(styles)
        if (table["note"] == _DEAD).any():
            handles.append(style.missing_handle("not defined: no unit varies"))
        page.legend(handles)
    return page.figure, table


class _Measure(NamedTuple):
    variable: str
    estimator: str
    title: str


def _draw_measure(
    page: layout.Page,
    block: int,
    first: int,
    table: pd.DataFrame,
    styles: Mapping[str, style.ConditionStyle],
    *,
    panels: Mapping[str, xr.Dataset],
    measure: _Measure,
) -> None:
    """Draw one panel a dataset, from column `first` of a block."""
    page.heading(block, measure.title, column=first, above=0.22)
    for place, (name, panel) in enumerate(panels.items()):
        axes = page.panel(block, 0, first + place)
        shown = (table["dataset"] == name) & (table["estimator"] == measure.estimator)
        sweep.draw_sweep(axes, table[shown], measure.variable, styles, compact=True)
        layout.few_ticks(axes, n=4)
        sweep.name_abscissa(axes, "λ")
        axes.set_title(sweep.short_title(name, panel.attrs["source"]), loc="left", pad=3, fontsize=6.5)


def _table(panels: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    import pandas as pd

    entropy = summary_table(panels, ["entropy_mean", "entropy_sem"])
    others = summary_table(panels, ["percent_zero_mean", "percent_zero_sem", "variance_mean", "variance_sem"])
    entropy["note"] = sweep.note(entropy, "entropy", undefined=_DEAD)
    others["note"] = sweep.note(others, "percent_zero")
    table = pd.concat([entropy, others.assign(estimator="")], ignore_index=True)
    columns = table.columns.drop(["n_seeds", "note"]).tolist()
    return table[[*columns, "n_seeds", "note"]]


def _relu(panels: Mapping[str, xr.Dataset]) -> str:
    return "post-ReLU" if settings_of(panels)["activation"] == "post" else "pre-ReLU"


def _small_print(panels: Mapping[str, xr.Dataset]) -> list[str]:
    bins = settings_of(panels)["bins"]
    return [
        f"Entropy of each unit's {_relu(panels)} activations over the test images, mean over the units that vary, then "
        f"over networks (seeds). {sweep.BAND} The paper draws the SD, and names no estimator of entropy. Above: "
        f"histogram of {bins} bins over each unit's own range, blind to the scale of responses. Below: the same bins "
        "for all units, from the least to the greatest response of any network; the differential entropy of a Gaussian "
        "with the unit's variance; the variance itself. These three depend on scale, so that they may rank the "
        "conditions otherwise.",
        "Zeros: test images to which a unit gives zero after the ReLU, in percent, mean over all units.",
        *provenance_lines(panels),
    ]
