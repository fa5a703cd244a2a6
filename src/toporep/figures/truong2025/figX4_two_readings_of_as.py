"""Two readings of activation similarity side by side, with what the paper says of AS."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from toporep.errors import TopoRepError
from toporep.figures import style
from toporep.figures.inputs import check_identity
from toporep.figures.truong2025 import (
    FAMILIES,
    axis_strengths,
    families,
    inputs_of,
    maps,
    on_axis,
    provenance_lines,
    read_summaries,
    summary_table,
)
from toporep.figures.truong2025.colocalization import FROM_FILE, FROM_PAPER, PUBLISHED, published_marker
from toporep.figures.truong2025.fig9_activation_correlations import PUBLISHED_SHARE, PUBLISHED_STRENGTH

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

ANALYSES = ("morans_i", "colocalization", "correlations", "activity", "weight_noise", "image_noise_robustness")
_PAIRS = "activations_all"
_MAP_NAME = re.compile(r".*_seed\d+")
_NOISE = {"white": "white noise", "pink": "pink noise", "salt_pepper": "salt-and-pepper noise"}

# Lay-out in inches: legend; names and rows of the maps; then rows of panels with a title above and labels below.
_HEAD, _MAPS_TITLE, _MAPS_BELOW, _TITLE, _PANEL, _LABELS = 0.62, 0.42, 0.12, 0.36, 1.2, 0.4
_LEFT, _RIGHT, _COLUMNS, _COLUMN_GAP, _MAP_GAP, _BLOCK_GAP = 0.56, 0.06, 3, 0.6, 0.03, 0.16
# Density of correlations from which on the ordinate is logarithmic.
_LINEAR_TO = 1.0
_REGION_COLOR, _CHANCE = "0.91", {"color": "0.35", "linewidth": 0.7, "linestyle": ":", "zorder": 1.5}


@dataclass(frozen=True)
class _Panel:
    """A quantity against the strength.

    Attributes:
        analysis, variable: where its numbers are.
        select: coordinate → value, of the variable's further dimensions.
        title, ylabel: above the panel; of the ordinate.
        factor: of the numbers, for the ordinate alone.
        statement: what the paper says of AS.
        region: where the paper has AS, from the control's mean: (lower, upper) limits, in units of the ordinate.
        published: (condition, strength or None where the paper gives none, number).
    """

    analysis: str
    variable: str
    title: str
    ylabel: str
    select: Mapping[str, object] = field(default_factory=dict)
    factor: float = 1.0
    chance: str | None = None
    statement: str = ""
    region: str = ""
    published: Sequence[tuple[str, float | None, float]] = ()


def draw(
    inputs: Mapping[str, Path],
    *,
    images: int = 3,
    distance_thresholds: Sequence[float] = (0.1, 0.5, 0.8),
    share_above: float = 0.9,
    weight_noise_sigma: float = 1.0,
    image_noise: str = "salt_pepper",
    image_noise_level: float = 0.2,
) -> tuple[Figure, pd.DataFrame]:
    """Draw maps of all conditions at one strength, and below them each quantity that the paper reports of AS.

    Args:
        inputs: `<dataset>.<analysis>` → summary file, for each of `ANALYSES` and one dataset; and activation dumps of
            the same dataset, `<condition>_<strength>_seed<seed>`, all conditions at one strength.
        images: number of maps of a network, each of an image of another class.
        distance_thresholds: correlations above which a pair of units counts as connected.
        share_above: correlation above which pairs are counted.
        weight_noise_sigma: noise on the readout, in units of the SD of a network's own weights.
        image_noise, image_noise_level: kind and level of the noise on the images.

    Returns:
        The figure, and a table with one row a number drawn. Columns: dataset, source, scale, origin ("this run" or
        "published"), variable, threshold, condition, strength, value, sem, n_seeds, note; of histograms bin_left and
        bin_width; of maps seed, stimulus (index in the test set), label, row, col.

    Raises:
        TopoRepError: see `read_summaries` and `maps.read_sample`; an analysis, a strength or a setting that the files
            do not have; several datasets.

    Source: Truong & Hasson 2025, sections 2.2, 3.2 to 3.4; docs/deviations.md, D9.
    """
    dataset, files = _read(inputs)
    dumps = {name: path for name, path in inputs.items() if _MAP_NAME.fullmatch(name)}
    if not dumps:
        raise TopoRepError("inputs: activation dumps are missing, such as as_3_seed0=…; give one of each condition")
    sample = maps.read_sample(dumps, images=images, conditions=FAMILIES)
    shared = {key: files[ANALYSES[0]].attrs[key] for key in ("dataset", "source", "scale")}
    check_identity(next(iter(dumps.values())), sample.attrs, **shared)
    strength = _strength(sample)
    panels = _panels(
        dataset,
        distance_thresholds=distance_thresholds,
        share_above=share_above,
        sigma=weight_noise_sigma,
        noise=(image_noise, image_noise_level),
    )
    tables = [_series(files[panel.analysis], dataset, panel) for panel in panels]
    histogram = _histogram(files["correlations"], dataset, strength)
    with style.context():
        figure = _draw(files, sample, panels, tables, histogram, strength=strength)
    return figure, _table(dataset, files, sample, panels, tables, histogram)


def _read(inputs: Mapping[str, Path]) -> tuple[str, dict[str, xr.Dataset]]:
    datasets = sorted({name.partition(".")[0] for name in inputs if not _MAP_NAME.fullmatch(name)})
    if len(datasets) != 1:
        raise TopoRepError(f"inputs: expected summaries of one dataset, found {', '.join(datasets) or 'none'}")
    files = {}
    for analysis in ANALYSES:
        found = inputs_of(inputs, analysis)
        if not found:
            raise TopoRepError(
                f"inputs: {datasets[0]}.{analysis} is missing; give the summary of each of {', '.join(ANALYSES)}"
            )
        files[analysis] = read_summaries(found, f"{analysis}_summary")[datasets[0]]
        first = files[ANALYSES[0]].attrs
        check_identity(found[datasets[0]], files[analysis].attrs, source=first["source"], scale=first["scale"])
    return datasets[0], files


def _strength(sample: maps.Sample) -> float:
    strengths = sorted({model.strength for model in sample.models if model.condition != style.CONTROL})
    if len(strengths) != 1:
        raise TopoRepError(f"inputs: expected activation dumps of one strength, found {', '.join(map(str, strengths))}")
    return strengths[0]


def _panels(
    dataset: str,
    *,
    distance_thresholds: Sequence[float],
    share_above: float,
    sigma: float,
    noise: tuple[str, float],
) -> list[_Panel]:
    mnist = dataset == "mnist"
    share = PUBLISHED_SHARE.get(dataset, {})
    kind, level = noise
    found = [
        _Panel(
            "morans_i",
            "morans_i",
            "smoothness of the maps",
            "Moran's I",
            chance="chance_morans_i",
            statement="paper: AS below 0, WS above 0",
            region="below 0",
        ),
        _Panel(
            "correlations",
            "share_above",
            f"pairs of units with r > {share_above:g}",
            "% of pairs",
            select={"quantity": _PAIRS, "threshold": share_above},
            factor=100,
            statement=f"paper, λ = 3, near 1: AS {share['as']} %, WS {share['ws']} %" if share else "",
            published=[(name, PUBLISHED_STRENGTH, value / 100) for name, value in share.items()],
        ),
    ]
    for threshold in distance_thresholds:
        values = [(name, None, value) for where, name, at, value in PUBLISHED if where == dataset and at == threshold]
        told = {name: value for name, _, value in values}
        if told:
            statement = f"paper: AS at most {told['as']:g}, control {told['control']:g}"
        else:
            statement = "paper: AS above the control" if mnist and threshold >= 0.5 else ""
        found.append(
            _Panel(
                "colocalization",
                "distance",
                f"distance of pairs with r > {threshold:g}",
                "grid spacings",
                select={"threshold": threshold},
                chance="chance_distance",
                statement=statement,
                region="above control" if statement and not told else "",
                published=values,
            )
        )
    return [
        *found,
        _Panel(
            "activity",
            "percent_zero",
            "zeros after the ReLU",
            "% of responses",
            statement="paper: AS rises with λ, WS falls and is lowest",
        ),
        _Panel(
            "weight_noise",
            "accuracy_change",
            f"noise on the readout, σ = {sigma:g} SD",
            "Δ accuracy (points)",
            select={"mode": "relative", "sigma": sigma},
            statement="paper: AS −10 to −20, WS −5 to −10; σ not given" if mnist else "",
            region="-20 to -10" if mnist else "",
        ),
        _Panel(
            "image_noise_robustness",
            "accuracy_change",
            f"{_NOISE.get(kind, kind)}, level {level:g}",
            "Δ accuracy (points)",
            select={"normalization": "matched", "kind": kind, "level": level},
            statement="paper: WS loses less, at most levels" if mnist else "",
        ),
    ]


def _series(data: xr.Dataset, dataset: str, panel: _Panel) -> pd.DataFrame:
    chosen = data[[f"{panel.variable}_mean", f"{panel.variable}_sem"]]
    for name, value in panel.select.items():
        # One dimension: the levels sigma have a mode too, which is selected before them.
        coordinate = chosen[name]
        (dim,) = coordinate.dims
        places = _matches(coordinate.values, value)
        if not places.any():
            known = ", ".join(f"{one}" for one in np.unique(coordinate.values))
            raise TopoRepError(f"{dataset}.{panel.analysis}: no {name} {value!r}; the file has {known}")
        chosen = chosen.isel({dim: int(np.flatnonzero(places)[0])})
    table = summary_table({dataset: chosen.assign_attrs(data.attrs)}, list(chosen.data_vars))
    return table.rename(columns={f"{panel.variable}_mean": "value", f"{panel.variable}_sem": "sem"})


def _matches(values: np.ndarray, wanted: object) -> np.ndarray:
    return values == wanted if isinstance(wanted, str) else np.isclose(values.astype(float), float(wanted))


def _histogram(data: xr.Dataset, dataset: str, strength: float) -> pd.DataFrame:
    if strength not in data["strength"].values:
        raise TopoRepError(f"{dataset}.correlations: strength {strength:g} of the activation dumps is missing")
    left = data["bin_left"].values
    counts = data[["histogram_sum"]].sel(quantity=_PAIRS, drop=True).drop_vars("bin_left")
    counts = counts.assign(left=("bin", left), width=("bin", np.diff([*left, 1.0]))).assign_attrs(data.attrs)
    table = summary_table({dataset: counts}, ["histogram_sum", "left", "width"]).drop(columns="bin")
    table = table[table["strength"].isin([0.0, strength])].rename(columns={"left": "bin_left", "width": "bin_width"})
    total = table.groupby("condition")["histogram_sum"].transform("sum")
    return table.assign(value=table["histogram_sum"] / total / table["bin_width"])


def _table(
    dataset: str,
    files: Mapping[str, xr.Dataset],
    sample: maps.Sample,
    panels: Sequence[_Panel],
    tables: Sequence[pd.DataFrame],
    histogram: pd.DataFrame,
) -> pd.DataFrame:
    import pandas as pd

    rows = [maps.table(sample).rename(columns={"activation": "value"}).assign(variable="activation", origin=FROM_FILE)]
    rows.append(histogram.assign(variable="density of r", origin=FROM_FILE))
    for panel, table in zip(panels, tables, strict=True):
        note = np.where(table["sem"].isna(), "one seed: no SEM", "")
        note = np.where(table["value"].isna(), "not defined", note)
        columns = {"variable": f"{panel.analysis}.{panel.variable}", "threshold": panel.select.get("threshold", np.nan)}
        rows.append(table.assign(**columns, origin=FROM_FILE, note=note))
        published = [
            {
                "dataset": dataset,
                "source": dataset,
                "scale": "paper",
                "origin": FROM_PAPER,
                **columns,
                "condition": condition,
                "strength": 0.0 if condition == style.CONTROL else strength,
                "value": value,
                "note": "highest over strengths" if strength is None and condition != style.CONTROL else "",
            }
            for condition, strength, value in panel.published
        ]
        rows.append(pd.DataFrame(published))
    columns = ["dataset", "source", "scale", "origin", "variable", "threshold", "condition", "strength", "value", "sem"]
    columns += ["n_seeds", "note", "bin_left", "bin_width", "seed", "stimulus", "label", "row", "col"]
    table = pd.concat([one for one in rows if len(one)], ignore_index=True).reindex(columns=columns)
    whole = dict.fromkeys(("n_seeds", "seed", "stimulus", "label", "row", "col"), "Int64")
    return table.astype(whole).fillna({"note": ""})


def _draw(
    files: Mapping[str, xr.Dataset],
    sample: maps.Sample,
    panels: Sequence[_Panel],
    tables: Sequence[pd.DataFrame],
    histogram: pd.DataFrame,
    *,
    strength: float,
) -> Figure:
    conditions = list(dict.fromkeys(model.condition for model in sample.models))
    foot = style.SmallPrint(_small_print(files, sample), left=0.07)
    side = (style.PAGE_WIDTH - 0.07 - _RIGHT - (len(conditions) - 1) * _BLOCK_GAP) / len(conditions)
    side = min((side - (len(sample.stimuli) - 1) * _MAP_GAP) / len(sample.stimuli), 0.6)
    rows = -(-(len(panels) + 1) // _COLUMNS)
    maps_height = _MAPS_TITLE + side + _MAPS_BELOW
    height = _HEAD + maps_height + rows * (_TITLE + _PANEL + _LABELS) + foot.height
    figure = Figure(figsize=(style.PAGE_WIDTH, height))
    styles = style.condition_styles([style.CONTROL, *families(tables[0]["condition"].tolist())])
    _draw_maps(figure, sample, styles, side=side, strength=strength)
    letters = iter("BCDEFGHIJKLMNOPQRSTUVWXYZ")
    drawn = [*zip(panels, tables, strict=True)]
    drawn.insert(1, (None, histogram))
    for index, (panel, table) in enumerate(drawn):
        row, column = divmod(index, _COLUMNS)
        top = height - _HEAD - maps_height - row * (_TITLE + _PANEL + _LABELS)
        axes = _add_panel(figure, top=top, column=column)
        if panel is None:
            _draw_histogram(
                axes, table, styles, dataset=str(sample.attrs["dataset"]), strength=strength, letter=next(letters)
            )
        else:
            _draw_series(axes, panel, table, styles, files[panel.analysis], letter=next(letters))
    _legend(figure, styles, tables)
    foot.draw(figure)
    return figure


def _draw_maps(
    figure: Figure, sample: maps.Sample, styles: Mapping[str, style.ConditionStyle], *, side: float, strength: float
) -> None:
    width, height = figure.get_size_inches()
    top = height - _HEAD
    dataset = style.dataset_title(str(sample.attrs["dataset"]), str(sample.attrs["source"]))
    images = f"{len(sample.stimuli)} test images" if len(sample.stimuli) > 1 else "a test image"
    text = f"A  {dataset}: activation maps for {images}, one network each; every map on its own scale"
    figure.text(0.07 / width, (top - 0.02) / height, text, fontweight="bold", va="top")
    first = {model.condition: model for model in reversed(sample.models)}
    left = 0.07
    for condition in dict.fromkeys(model.condition for model in sample.models):
        model, look = first[condition], styles.get(condition) or style.condition_styles([condition])[condition]
        name = look.short if condition == style.CONTROL else f"{look.short}, λ = {strength:g}"
        span = len(model.maps) * side + (len(model.maps) - 1) * _MAP_GAP
        x, y = (left + span / 2) / width, (top - _MAPS_TITLE + 0.04) / height
        color = style.shades(look.color, 3)[1]
        figure.text(x, y, name, color=color, fontweight="bold", ha="center", va="bottom")
        for values in model.maps:
            place = (left / width, (top - _MAPS_TITLE - side) / height, side / width, side / height)
            maps.draw_map(figure.add_axes(place), values)
            left += side + _MAP_GAP
        left += _BLOCK_GAP - _MAP_GAP


def _add_panel(figure: Figure, *, top: float, column: int) -> Axes:
    width, height = figure.get_size_inches()
    panel = (width - _LEFT - _RIGHT - (_COLUMNS - 1) * _COLUMN_GAP) / _COLUMNS
    left = _LEFT + column * (panel + _COLUMN_GAP)
    bottom = top - _TITLE - _PANEL
    return figure.add_axes((left / width, bottom / height, panel / width, _PANEL / height))


def _titles(axes: Axes, letter: str, title: str, statement: str) -> None:
    place = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom", "ha": "left"}
    axes.annotate(f"{letter}  {title}", (0, 1), (-14, 12), **place, fontweight="bold")
    axes.annotate(statement, (0, 1), (-14, 3.5), **place, fontsize=6.2, color="0.3")


def _ylabel(axes: Axes, label: str) -> None:
    width = axes.get_position().width * axes.figure.get_figwidth()
    axes.set_ylabel(label)
    axes.yaxis.set_label_coords(-0.38 / width, 0.5)


def _draw_series(
    axes: Axes,
    panel: _Panel,
    table: pd.DataFrame,
    styles: Mapping[str, style.ConditionStyle],
    data: xr.Dataset,
    *,
    letter: str,
) -> None:
    strengths = axis_strengths(table)
    style.strength_axis(axes, strengths, compact=True, slots=any(at is None for _, at, _ in panel.published))
    axes.set_xlabel("λ", labelpad=1)
    _ylabel(axes, panel.ylabel)
    if panel.chance:
        axes.axhline(panel.factor * float(data.attrs[panel.chance]), **_CHANCE)
    x = np.arange(len(strengths))
    for condition in families(table["condition"].tolist()):
        own, look = table[table["condition"] == condition], styles[condition]
        mean, sem = (panel.factor * on_axis(own, strengths, name) for name in ("value", "sem"))
        style.band(axes, x, mean, sem, color=look.color)
        axes.plot(x, mean, color=look.color, marker=look.marker, zorder=3)
        style.mark_missing(axes, x[np.isnan(mean) & np.isin(strengths, own["strength"])], y=0.04, color=look.color)
    control = panel.factor * table.loc[table["condition"] == style.CONTROL, ["value", "sem"]].iloc[0]
    style.control_line(axes, *control)
    for condition, strength, value in panel.published:
        place = len(strengths) - (0.3 if condition == style.CONTROL else -0.2)
        if strength is not None:
            if strength not in strengths:
                continue
            place = strengths.index(strength)
        axes.plot(place, panel.factor * value, **published_marker(_published_color(condition, styles)))
    _shade(axes, panel.region, control=float(control["value"]))
    _titles(axes, letter, panel.title, panel.statement)


def _published_color(condition: str, styles: Mapping[str, style.ConditionStyle]) -> str:
    # The paper has one AS: its numbers belong to neither reading.
    return "0.15" if condition == "as" else styles[condition].color


def _shade(axes: Axes, region: str, *, control: float) -> None:
    """Shade where the paper has AS."""
    low, high = axes.get_ylim()
    limits = {
        "below 0": (min(low, -0.05), 0.0),
        "above control": (control, max(high, control)),
        "-20 to -10": (-20.0, -10.0),
    }
    if region not in limits or not np.isfinite(limits[region]).all():
        return
    axes.axhspan(*limits[region], color=_REGION_COLOR, linewidth=0, zorder=0)
    axes.set_ylim(min(low, limits[region][0]), max(high, limits[region][1]))


def _draw_histogram(
    axes: Axes,
    table: pd.DataFrame,
    styles: Mapping[str, style.ConditionStyle],
    *,
    dataset: str,
    strength: float,
    letter: str,
) -> None:
    for condition, look in styles.items():
        own = table[table["condition"] == condition].sort_values("bin_left")
        if len(own):
            edges = [*own["bin_left"], own["bin_left"].iloc[-1] + own["bin_width"].iloc[-1]]
            options = {"color": look.color, "linestyle": look.linestyle, "linewidth": 0.9}
            axes.stairs(own["value"], edges, baseline=None, **options)
    axes.set_xlim(-1, 1)
    # Nearly all pairs may lie in one bin, beside which a linear ordinate would show nothing else.
    axes.set_yscale("symlog", linthresh=_LINEAR_TO, linscale=1.0)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(FixedLocator([0, 0.5, 1, 2, 5, 10, 20, 50]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("r", labelpad=1)
    _ylabel(axes, f"density of r (log > {_LINEAR_TO:g})")
    statement = "paper: AS has two modes, near 0 and near 1" if dataset in PUBLISHED_SHARE else ""
    _titles(axes, letter, f"correlations of all pairs, λ = {strength:g}", statement)


def _legend(figure: Figure, styles: Mapping[str, style.ConditionStyle], tables: Sequence[pd.DataFrame]) -> None:
    handles = [style.condition_handle(look, marker=name != style.CONTROL) for name, look in styles.items()]
    marks = tuple(
        Line2D([], [], **published_marker(color)) for color in ("0.15", styles["ws"].color, styles[style.CONTROL].color)
    )
    marks[0].set_label("paper: AS, WS, control (at the right end: λ not given)")
    handles += [marks, Patch(color=_REGION_COLOR, label="where the paper has AS")]
    handles.append(Line2D([], [], **_CHANCE, label="chance"))
    if any(table["value"].isna().any() for table in tables):
        handles.append(style.missing_handle("not defined"))
    style.legend(figure, handles, left=0.07 / style.PAGE_WIDTH, top=1 - 0.07 / figure.get_figheight())


def _small_print(files: Mapping[str, xr.Dataset], sample: maps.Sample) -> list[str]:
    panel = files[ANALYSES[0]]
    chance = ", ".join(
        [
            f"−{abs(float(panel.attrs['chance_morans_i'])):.4f} (Moran's I)",
            f"{float(files['colocalization'].attrs['chance_distance']):.4f} (distance)",
        ]
    )
    seeds = ", ".join(dict.fromkeys(str(model.seed) for model in sample.models))
    return [
        "Two readings of one loss. As defined (paper, 2.2): 1 − r of adjacent units over the images of a batch. "
        "Reshaped: the matrix of activations, images by units, read as if it were a matrix of weights, so that each "
        "cell of the sheet holds a mixture of units and images. The paper's code for AS is not public: that it "
        "computed the reshaped reading is a hypothesis, made because with batches of 64, as in the published code, it "
        "gives the published signs; with other sizes it need not (docs/deviations.md, D9).",
        f"A: pre-ReLU maps, seed {seeds}, the first test images of their class. Others: mean over seeds, shaded ± SEM "
        "over seeds (ddof 1), of pre-ReLU activations over the test images; the histogram pools seeds. Chance: "
        f"{chance}. Changes in accuracy are against the same network without noise. {style.EVEN_STEPS}",
        *provenance_lines({str(panel.attrs["dataset"]): panel}),
    ]
