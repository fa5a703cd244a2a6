"""Figure 1: activation similarity and weight similarity of two units, worked out for a small network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from toporep.errors import TopoRepError
from toporep.figures import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Two output units, three inputs, four objects, as in the paper; the numbers are ours.
OBJECTS = np.array([[0.9, 0.1, 0.4], [0.2, 0.8, 0.5], [0.6, 0.3, 0.9], [0.1, 0.5, 0.2]])
WEIGHTS = np.array([[0.8, -0.3, 0.5], [0.5, 0.2, 0.9]])

# Places in inches; the origin is at the lower left of the drawing.
_DRAWING = 2.95
_TOP, _STEP, _TILE = 2.2, 0.42, (0.42, 0.34)
_ICON, _INPUT, _NODES, _UNITS, _VECTORS = 0.45, 0.85, 2.85, 4.5, 5.75
_NODE_HEIGHTS, _UNIT_HEIGHTS = (2.25, 1.57, 0.89), (1.99, 1.15)
_MARKERS = ("s", "^", "o", "*")
_EDGE_LABEL = 0.32  # where along an edge its label stands


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw the network, the objects that it is shown, and how alike its two units are by either definition.

    Args:
        inputs: none.

    Returns:
        The figure, and a table of every number in it. Columns: quantity (input, weight, activation,
        activation_similarity, weight_distance), object, input, unit (1, 2, …; none where the quantity has none), value.

    Raises:
        TopoRepError: an input.

    Source: Truong & Hasson 2025, Figure 1.
    """
    if inputs:
        raise TopoRepError(f"fig1_concepts: expected no input, found {', '.join(inputs)}")
    table = _table()
    with style.context():
        small_print = style.SmallPrint(_small_print(), left=_ICON - 0.17)
        height = _DRAWING + small_print.height
        figure = Figure(figsize=(style.PAGE_WIDTH, height))
        axes = figure.add_axes((0, small_print.height / height, 1, _DRAWING / height))
        axes.set(xlim=(0, style.PAGE_WIDTH), ylim=(0, _DRAWING))
        axes.set_axis_off()
        _draw_objects(axes)
        _draw_network(axes)
        _draw_vectors(axes)
        _draw_similarities(axes)
        small_print.draw(figure)
    return figure, table


def activations() -> np.ndarray:
    """(objects, units): the units are linear and have no bias."""
    return OBJECTS @ WEIGHTS.T


def activation_similarity() -> float:
    """Pearson correlation of the two activation vectors over the objects."""
    return float(np.corrcoef(activations().T)[0, 1])


def weight_distance() -> float:
    """Euclidean distance between the incoming weight vectors of the two units."""
    return float(np.linalg.norm(WEIGHTS[0] - WEIGHTS[1]))


def _draw_objects(axes: Axes) -> None:
    _title(axes, _ICON - 0.17, "Objects and inputs")
    for column in range(OBJECTS.shape[1]):
        _text(axes, _INPUT + (column + 0.5) * _TILE[0], _TOP + 0.26, f"I{_subscript(column)}", ha="center")
    for row, values in enumerate(OBJECTS):
        y = _TOP - row * _STEP
        axes.plot(_ICON + 0.1, y, marker=_MARKERS[row], color="0.3", markersize=9, linestyle="none")
        _text(axes, _ICON - 0.17, y, f"O{_subscript(row)}", ha="left")
        _tiles(axes, _INPUT, y, values, color="0.45")


def _draw_network(axes: Axes) -> None:
    color = style.condition_styles(["ws"])["ws"].color
    _title(axes, _NODES - 0.15, "Weights")
    for unit, unit_height in enumerate(_UNIT_HEIGHTS):
        for index, height in enumerate(_NODE_HEIGHTS):
            weight, number = WEIGHTS[unit, index], unit * len(_NODE_HEIGHTS) + index
            line = {"linewidth": 0.5 + 2.5 * abs(weight), "linestyle": "-" if weight > 0 else (0, (2, 1))}
            axes.plot([_NODES, _UNITS], [height, unit_height], color=color, zorder=1, **line)
            x = _NODES + _EDGE_LABEL * (_UNITS - _NODES)
            y = height + _EDGE_LABEL * (unit_height - height)
            label = f"W{_subscript(number)} = {_number(weight, 1)}"
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
            _text(axes, x, y, label, ha="center", fontsize=6.5, bbox=box, zorder=2)
    for index, height in enumerate(_NODE_HEIGHTS):
        _node(axes, _NODES, height, f"I{_subscript(index)}")
    for unit, height in enumerate(_UNIT_HEIGHTS):
        _node(axes, _UNITS, height, f"U{_subscript(unit)}")


def _draw_vectors(axes: Axes) -> None:
    color = style.condition_styles(["as"])["as"].color
    _title(axes, _VECTORS - 0.35, "Activation vectors")
    values = activations()
    for unit in range(values.shape[1]):
        _text(axes, _VECTORS + (unit + 0.5) * _TILE[0], _TOP + 0.26, f"U{_subscript(unit)}", ha="center")
    for row, of_object in enumerate(values):
        y = _TOP - row * _STEP
        _text(axes, _VECTORS - 0.1, y, f"O{_subscript(row)}", ha="right")
        _tiles(axes, _VECTORS, y, of_object, color=color, decimals=2)


def _draw_similarities(axes: Axes) -> None:
    found = (
        (
            _NODES - 0.15,
            "ws",
            "Weight similarity",
            "Euclidean distance of\n(W₁, W₂, W₃) and (W₄, W₅, W₆)",
            weight_distance(),
        ),
        (
            _VECTORS - 0.35,
            "as",
            "Activation similarity",
            "correlation of U₁ and U₂\nover O₁ … O₄",
            activation_similarity(),
        ),
    )
    for x, condition, title, words, value in found:
        color = style.shades(style.condition_styles([condition])[condition].color, 3)[1]
        _text(axes, x, 0.48, title, ha="left", fontweight="bold", color=color)
        _text(axes, x, 0.2, f"{words} = {_number(value, 2)}", ha="left")


def _tiles(axes: Axes, left: float, y: float, values: np.ndarray, *, color: str, decimals: int = 1) -> None:
    """A row of numbers on tiles, the darker the larger."""
    width, height = _TILE
    for index, value in enumerate(values):
        place = (left + index * width, y - height / 2)
        strength = float(np.clip(abs(value), 0, 1.4)) / 1.4
        axes.add_patch(Rectangle(place, 0.94 * width, height, color=color, alpha=0.1 + 0.5 * strength, linewidth=0))
        _text(axes, left + (index + 0.47) * width, y, _number(value, decimals), ha="center")


def _node(axes: Axes, x: float, y: float, label: str) -> None:
    axes.add_patch(Circle((x, y), 0.15, facecolor="white", edgecolor="0.2", linewidth=0.9, zorder=3))
    _text(axes, x, y, label, ha="center", zorder=4)


def _title(axes: Axes, x: float, text: str) -> None:
    _text(axes, x, _DRAWING - 0.14, text, ha="left", fontsize=8, fontweight="bold")


def _text(axes: Axes, x: float, y: float, text: str, **options: object) -> None:
    axes.text(x, y, text, **{"va": "center", **options})


def _number(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}".replace("-", "−")


def _subscript(index: int) -> str:
    return "₁₂₃₄₅₆"[index]


def _table() -> pd.DataFrame:
    import pandas as pd

    rows = [{"quantity": "input", "object": o + 1, "input": i + 1, "value": v} for (o, i), v in np.ndenumerate(OBJECTS)]
    rows += [{"quantity": "weight", "input": i + 1, "unit": u + 1, "value": v} for (u, i), v in np.ndenumerate(WEIGHTS)]
    rows += [
        {"quantity": "activation", "object": o + 1, "unit": u + 1, "value": v}
        for (o, u), v in np.ndenumerate(activations())
    ]
    rows.append({"quantity": "activation_similarity", "value": activation_similarity()})
    rows.append({"quantity": "weight_distance", "value": weight_distance()})
    places = dict.fromkeys(("object", "input", "unit"), "Int64")
    return pd.DataFrame(rows, columns=["quantity", *places, "value"]).astype(places)


def _small_print() -> list[str]:
    return [
        "A worked example with numbers of our own: two linear units without bias, three inputs, four objects. The "
        "activation of a unit is the sum of inputs times weights (broken line: negative weight). Units with equal "
        "weights always have equal activation vectors; units with correlated activation vectors may have different "
        "weights. Activation similarity (AS) raises the correlation of neighbors on the sheet, weight similarity (WS) "
        "lowers the distance of their weights. No data, no network that was trained.",
    ]
