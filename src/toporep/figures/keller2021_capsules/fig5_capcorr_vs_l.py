"""Figure 5: correlation of observed and true rolls against the coherence length, beside latents that know nothing."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D

from toporep.errors import TopoRepError
from toporep.figures import style
from toporep.figures.keller2021_capsules import (
    BAND,
    NO_SD,
    absent_from,
    disclaimer,
    family_of,
    family_style,
    provenance_lines,
    read_summaries,
    seeds_text,
    summary_table,
    title_of,
)
from toporep.figures.layout import Block, Page, name_ordinate

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DATASET = "dsprites"
_MEAN, _MOVED = "mean", "mean, moved"
_VARIANTS = {
    "published": "a   as published",
    "disjoint_windows_without_mu": "b   without all that needs no learning",
}
_FACTORS = {
    "x": "x position",
    "y": "y position",
    "orientation": "orientation",
    "scale": "scale",
}
# Means over factors, and what they are means of: as published, and of the sequences whose true shift is not 0.
_MEANS = {"average": "correlation", "null_average": "null", "untrained_average": "untrained"}
_MOVED_MEANS = {"moved_average": "correlation", "null_moved_average": "null", "untrained_moved_average": "untrained"}
_DRAWN = {"published": _MEAN, "disjoint_windows_without_mu": _MOVED}
_WHAT = ("mean", "sd")
_LINES = ("tvae", "bubble")
_PUBLISHED = "published"
# Beside the points of this run, which the paper's would cover.
_PAPER_LOOK = {"marker": "x", "markersize": 4, "markeredgewidth": 1.0, "linestyle": "none", "zorder": 4}
_PAPER_ASIDE, _VAE_PLACE = 0.011, 0.522
_ABSENT = "not trained here"
_NULL_LOOK = {"linestyle": (0, (1, 1.2)), "linewidth": 1.1}


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw the mean over factors, as published and without what needs no learning, and each factor as published.

    Args:
        inputs: data set → file of schema `capsule_correlation_summary`, of dSprites; `published` → the paper's Table 5
            (.csv).

    Returns:
        The figure, and a table with one row a model, variant and factor ("mean" for the mean over factors, "mean,
        moved" for that of the sequences whose true shift is not 0, from the last frame of class 0): dataset,
        source, scale, condition, coherence_length (L/S; NaN for the VAE), variant, factor, correlation_mean,
        correlation_sd, null_mean, null_sd, untrained_mean, untrained_sd, n_seeds, published (the paper's, of variant
        published), note. Models of the paper that are not trained here have its values alone.

    Raises:
        TopoRepError: see `read_summaries`; another data set; a variant or factor that is not there; no model of the
            paper; no published numbers, or with other columns.

    Source: Keller & Welling 2021, eq. 14, Table 5 and Figure 5; the null and panel b are beyond the paper.
    """
    printed = _read_published(inputs)
    summaries = read_summaries(
        {name: path for name, path in inputs.items() if name != _PUBLISHED}, "capsule_correlation_summary"
    )
    if list(summaries) != [_DATASET]:
        raise TopoRepError(f"inputs: expected one file named {_DATASET}, found {', '.join(summaries)}")
    summary = summaries[_DATASET]
    for dim, wanted in (("variant", _VARIANTS), ("factor", _FACTORS)):
        missing = [name for name in wanted if name not in summary[dim].values]
        if missing:
            raise TopoRepError(
                f"{inputs[_DATASET]}: expected {dim} {', '.join(wanted)}, found none named {', '.join(missing)}"
            )
    table = _table(summary)
    if table.empty:
        raise TopoRepError(f"{inputs[_DATASET]}: expected a TVAE, BubbleVAE or VAE, found none; train one")
    with style.context():
        figure = _draw(summary, table, printed)
    return figure, _with_published(table, printed)


def _read_published(inputs: Mapping[str, Path]) -> pd.DataFrame:
    """The paper's correlations by condition (rows), of each factor and their mean (columns)."""
    import pandas as pd

    if _PUBLISHED not in inputs:
        raise TopoRepError(f"inputs: expected published=<csv>, found {', '.join(inputs) or 'none'}")
    path = Path(inputs[_PUBLISHED])
    if not path.is_file():
        raise TopoRepError(f"{path}: no such file (expected the published numbers)")
    table = pd.read_csv(path, comment="#")
    missing = [name for name in ("condition", *_FACTORS) if name not in table]
    if missing:
        raise TopoRepError(f"{path}: expected columns condition, {', '.join(_FACTORS)}, found no {missing[0]}")
    printed = table.set_index("condition")[list(_FACTORS)].astype(float)
    return printed.assign(**{_MEAN: printed.mean(axis=1)})


def _with_published(table: pd.DataFrame, printed: pd.DataFrame) -> pd.DataFrame:
    """The table with the paper's values; those of models that are not trained here have rows of their own."""
    import pandas as pd

    identity = {name: table[name].iloc[0] for name in ("dataset", "source", "scale")}
    absent = [
        {**identity, "condition": condition, "coherence_length": _length(condition), "variant": _PUBLISHED}
        | {"factor": factor, "n_seeds": 0, "note": _ABSENT}
        for condition in printed.index
        if condition not in table["condition"].values
        for factor in printed
    ]
    both = pd.concat([table, pd.DataFrame(absent)], ignore_index=True) if absent else table.copy()
    found = [
        printed.at[row.condition, row.factor]
        if row.variant == _PUBLISHED and row.condition in printed.index and row.factor in printed
        else np.nan
        for row in both.itertuples()
    ]
    both.insert(list(both).index("note"), "published", found)
    return both


def _table(summary: xr.Dataset) -> pd.DataFrame:
    import pandas as pd

    parts = [summary_table(summary, list(_MEANS.values()))]
    for factor, means in ((_MEAN, _MEANS), (_MOVED, _MOVED_MEANS)):
        names = {f"{old}_{what}": f"{new}_{what}" for old, new in means.items() for what in _WHAT}
        parts.append(summary_table(summary, list(means)).assign(factor=factor).rename(columns=names))
    table = pd.concat(parts, ignore_index=True)
    table.insert(4, "coherence_length", table["condition"].map(_length))
    table = table[table["coherence_length"].notna() | (table["condition"] == "vae")]
    missing = table["correlation_mean"].isna(), table["correlation_sd"].isna()
    table["note"] = np.select(missing, ["rolls are constant", NO_SD], "")
    first = ["dataset", "source", "scale", "condition", "coherence_length", "variant", "factor"]
    rest = [f"{name}_{what}" for name in _MEANS.values() for what in _WHAT]
    return table[[*first, *rest, "n_seeds", "note"]].reset_index(drop=True)


def _length(condition: str) -> float:
    """L as a share of S: "tvae_4_15" → 4/15; NaN for models that have none, or another K than the others."""
    family, _, rest = condition.partition("_")
    if family_of(condition) not in _LINES or family not in _LINES or rest.count("_") > 1:
        return np.nan
    return float(Fraction(*map(int, rest.split("_"))))


def _draw(summary: xr.Dataset, table: pd.DataFrame, printed: pd.DataFrame) -> Figure:
    blocks = [
        Block(1, len(_VARIANTS), 2.1, title=0.44, labels=0.5),
        Block(1, len(_FACTORS), 1.15, title=0.46, labels=0.5, between=0.16),
    ]
    page = Page(blocks, _small_print(summary, table), head=0.4)
    page.heading(0, f"{title_of(summary.attrs)}: mean over the four factors", above=0.24)
    page.heading(1, "each factor, as published", above=0.24)
    # One ordinate for all panels: only the first of the factors' panels has tick labels.
    limits = _limits(table)
    for column, (variant, title) in enumerate(_VARIANTS.items()):
        axes = page.panel(0, 0, column)
        axes.set_ylim(*limits)
        _draw_panel(axes, table[(table["variant"] == variant) & (table["factor"] == _DRAWN[variant])], title)
        _length_axis(axes, table, printed)
        if not column:
            _draw_published(axes, printed[_MEAN])
            name_ordinate(axes, "capsule correlation")
    for column, (factor, title) in enumerate(_FACTORS.items()):
        axes = page.panel(1, 0, column)
        axes.set_ylim(*limits)
        _draw_panel(axes, table[(table["variant"] == "published") & (table["factor"] == factor)], title)
        _draw_published(axes, printed[factor])
        _length_axis(axes, table, printed, every=False)
        if column:
            axes.tick_params(labelleft=False)
        else:
            name_ordinate(axes, "capsule correlation")
    page.legend(_handles(table, printed))
    return page.figure


def _draw_panel(axes: Axes, rows: pd.DataFrame, title: str) -> None:
    for family in _LINES:
        own = rows[rows["condition"].str.startswith(f"{family}_")].sort_values("coherence_length")
        look = family_style(family)
        x = own["coherence_length"].to_numpy()
        axes.plot(x, own["null_mean"], color=look.color, zorder=2, **_NULL_LOOK)
        axes.plot(x, own["null_mean"], look.marker, color=look.color, markerfacecolor="white", markersize=3, zorder=2.1)
        axes.plot(x, own["correlation_mean"], color=look.color, marker=look.marker, zorder=3)
        sd = own["correlation_sd"].to_numpy(dtype=float)
        if np.isfinite(sd).any():
            bars = {"linestyle": "none", "elinewidth": 0.9, "zorder": 3}
            axes.errorbar(x, own["correlation_mean"], yerr=sd, color=look.color, **bars)
    for _, row in rows[rows["condition"] == "vae"].iterrows():
        color = family_style("vae").color
        # It has no L: a line across the panel.
        if np.isfinite(row["correlation_mean"]):
            axes.axhline(row["correlation_mean"], color=color, linewidth=1, linestyle=(0, (5, 2)), zorder=1.5)
        if np.isfinite(row["correlation_mean"]) and np.isfinite(row["correlation_sd"]):
            low, high = (row["correlation_mean"] + side * row["correlation_sd"] for side in (-1, 1))
            axes.axhspan(low, high, color=color, alpha=0.15, linewidth=0, zorder=1)
    axes.set_title(title, loc="left")


def _draw_published(axes: Axes, values: pd.Series) -> None:
    """Crosses a little to the right of L; the VAE's at the right edge."""
    for condition, value in values.items():
        length = _length(str(condition))
        place = _VAE_PLACE if np.isnan(length) else length + _PAPER_ASIDE
        axes.plot(place, value, color=family_style(family_of(str(condition))).color, **_PAPER_LOOK)


def _limits(table: pd.DataFrame) -> tuple[float, float]:
    drawn = table[table["variant"].isin(list(_VARIANTS))]
    lows = (drawn["correlation_mean"] - drawn["correlation_sd"].fillna(0)).min(), drawn["null_mean"].min()
    return np.nanmin([*lows, 0.0]) - 0.05, 1.06


def _length_axis(axes: Axes, table: pd.DataFrame, printed: pd.DataFrame, *, every: bool = True) -> None:
    lengths = {*table["coherence_length"], *map(_length, map(str, printed.index))}
    lengths = sorted(length for length in lengths if np.isfinite(length))
    chosen = lengths if every else [length for length in lengths if length in (0, 0.5)]
    axes.set_xticks(chosen, [_share(length) for length in chosen])
    axes.set_xlim(-0.03, 0.53)
    axes.set_xlabel("coherence length L")


def _share(length: float) -> str:
    found = Fraction(length).limit_denominator(60)
    top = "" if found.numerator == 1 else str(found.numerator)
    return f"{top}S/{found.denominator}" if found else "0"


def _handles(table: pd.DataFrame, printed: pd.DataFrame) -> list[Line2D]:
    families = [name for name in _LINES if table["condition"].str.startswith(f"{name}_").any()]
    # Crosses have their model's color, whether or not it is trained here.
    shown = [name for name in _LINES if name in families or printed.index.str.startswith(f"{name}_").any()]
    handles = [style.condition_handle(family_style(family)) for family in shown]
    if (table["condition"] == "vae").any() or "vae" in printed.index:
        handles.append(Line2D([], [], color=family_style("vae").color, linestyle=(0, (5, 2)), label="plain VAE"))
    for family in families:
        look = family_style(family)
        label = f"{look.short}, nothing learned"
        marker = {"marker": look.marker, "markerfacecolor": "white", "markersize": 3}
        handles.append(Line2D([], [], color=look.color, label=label, **marker, **_NULL_LOOK))
    handles.append(Line2D([], [], color="0.2", label="paper", **_PAPER_LOOK))
    return handles


def _small_print(summary: xr.Dataset, table: pd.DataFrame) -> list[str]:
    vae = table[(table["condition"] == "vae") & (table["factor"] == _MEAN) & (table["variant"] == "published")]
    nothing = f" Its null is at {vae['null_mean'].iloc[0]:.2f} (a)." if len(vae) else ""
    shown = sorted(set(table["condition"]), key=list(table["condition"]).index)
    return [
        "Pearson's correlation, over sequences, of the roll that best aligns the capsules of two frames with the true "
        "shift between these frames; a: t as the model has it; b: without μ and, of each frame's window, only those "
        "frames that are nearer to it than to the other one, so that the two have no u in common; of sequences whose "
        "true shift is not 0, with the last frame at which it is. Points: mean over seeds; vertical lines and band: "
        f"{BAND}. Crosses: the paper's values (Table 5), in the model's color, of the plain VAE at the right edge.",
        "Dotted, open: random latents that know nothing of any image, through the same windows and with the same μ. "
        "In a, chance is not 0: a sequence whose true shift is 0 is compared with itself, and for scale the nearest of "
        f"three rolls counts; in b it is. The plain VAE has no L.{nothing} Null and b are not in the paper.",
        *provenance_lines(
            summary.attrs, absent=absent_from(shown, _DATASET), seeds=seeds_text(table["n_seeds"].tolist())
        ),
        disclaimer([summary.attrs]),
    ]
