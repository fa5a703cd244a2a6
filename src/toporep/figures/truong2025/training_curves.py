"""Appendix Figures 1 and 2: accuracy, cross-entropy and spatial terms over the epochs, one data set a figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from toporep.errors import TopoRepError
from toporep.figures import layout, style
from toporep.figures.style import CONTROL
from toporep.figures.truong2025 import families, provenance_lines, read_summaries, summary_table, sweep

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class _Panel(NamedTuple):
    """Quantities of the history in one panel, the second dotted."""

    title: str
    quantities: tuple[str, ...]
    percent: bool = False
    control: bool = True


_PANELS = (
    _Panel("accuracy (%)", ("train_accuracy", "validation_accuracy"), percent=True),
    _Panel("cross-entropy (nats)", ("train_cross_entropy", "validation_cross_entropy")),
    _Panel("spatial term as trained, before λ", ("spatial_loss",), control=False),
    _Panel("weight distance of neighbors (WS term)", ("weight_similarity",)),
    _Panel("1 − r of neighbors (AS term, as defined)", ("activation_similarity",)),
    _Panel("norm of afferent weights", ("afferent_norm",)),
)
_COLUMNS = 3


def draw_training(inputs: Mapping[str, Path], *, strength: float) -> tuple[Figure, pd.DataFrame]:
    """Draw the training of the families at one strength and of the control: mean ± SEM over seeds at each epoch.

    Args:
        inputs: one dataset → file of schema `training_curves_summary`.
        strength: the spatial weight λ shown.

    Returns:
        The figure, and a table with the columns dataset, source, scale, condition, strength, epoch, quantity,
        value_mean, value_sem, n_seeds, note.

    Raises:
        TopoRepError: see `read_summaries`; no condition has the strength, or a quantity is missing.

    Source: Truong & Hasson 2025, appendix A.1 and Appendix Figures 1 and 2.
    """
    panels = read_summaries(inputs, "training_curves_summary")
    table = _table(panels, strength, where=", ".join(map(str, inputs.values())))
    name, panel = next(iter(panels.items()))
    with style.context():
        styles = sweep.styles_of(table)
        block = layout.Block(1, _COLUMNS, 1.5)
        page = layout.Page(
            [block] * (len(_PANELS) // _COLUMNS), [*_small_print(), *provenance_lines(panels)], head=0.62
        )
        title = f"{style.dataset_title(name, panel.attrs['source'])}, λ = {style.strength_label(strength)}"
        page.heading(0, title, above=0.26)
        for index, shown in enumerate(_PANELS):
            axes = page.panel(index // _COLUMNS, 0, index % _COLUMNS)
            _draw_panel(axes, table, shown, styles)
        dotted = Line2D([], [], color="0.25", linestyle=":", label="validation images (accuracy, cross-entropy)")
        page.legend([*sweep.condition_handles(styles, unmarked=list(styles)), dotted])
    return page.figure, table


def _table(panels: Mapping[str, object], strength: float, *, where: str) -> pd.DataFrame:
    table = summary_table(panels, ["value_mean", "value_sem"])
    wanted = [quantity for shown in _PANELS for quantity in shown.quantities]
    absent = [quantity for quantity in wanted if quantity not in set(table["quantity"])]
    if absent:
        raise TopoRepError(f"{where}: quantity {', '.join(map(repr, absent))} is missing; make the file again")
    chosen = table["strength"] == strength
    if not (chosen & (table["condition"] != CONTROL)).any():
        found = sorted(table.loc[table["condition"] != CONTROL, "strength"].unique())
        raise TopoRepError(
            f"{where}: no condition at strength {strength:g}, found {', '.join(map(style.strength_label, found))}; "
            "change the figure's setting `strength` or train the missing models"
        )
    table = table[(chosen | (table["condition"] == CONTROL)) & table["quantity"].isin(wanted)].reset_index(drop=True)
    table["note"] = sweep.note(table, "value", undefined="not validated before the first epoch")
    return table


def _draw_panel(axes: Axes, table: pd.DataFrame, shown: _Panel, styles: Mapping[str, style.ConditionStyle]) -> None:
    conditions = families(table["condition"].tolist()) + [CONTROL] * shown.control
    for condition in conditions:
        look = styles[condition]
        for quantity, linestyle in zip(shown.quantities, (look.linestyle, ":"), strict=False):
            own = table[(table["condition"] == condition) & (table["quantity"] == quantity)]
            x, mean, sem = (own[column].to_numpy(dtype=float) for column in ("epoch", "value_mean", "value_sem"))
            style.band(axes, x, mean, sem, color=look.color)
            width = 0.9 if linestyle == ":" else 1.2
            axes.plot(x, mean, color=look.color, linestyle=linestyle, linewidth=width, zorder=3)
    axes.set_title(shown.title, loc="left", pad=4, fontsize=7)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    sweep.name_abscissa(axes, "epoch")
    layout.few_ticks(axes)
    if shown.percent:
        layout.percent_axis(axes)


def _small_print() -> list[str]:
    return [
        f"Mean over the batches of each epoch, dropout on, then over networks (seeds). {sweep.BAND} Epoch 0: "
        "first batch, before any update. Validation: training images held out, dropout off. Both spatial terms are "
        "measured in all networks, whichever is trained; “as trained” is the one in the objective, before its weight "
        "λ. Means over adjacent units: for WS of the Euclidean distance between afferent weights, for AS of "
        "1 − Pearson r of the activations over the batch.",
    ]
