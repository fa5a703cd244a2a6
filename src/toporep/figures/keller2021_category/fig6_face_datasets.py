"""Figure 6: selectivity for the faces of four data sets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toporep.figures import style
from toporep.figures.keller2021_category import check_together, label_of, read_runs, set_title
from toporep.figures.keller2021_category.maps import (
    SELECTIVITY_LABELS,
    Row,
    broken,
    draw_page,
    origin_lines,
    selectivity_lines,
    selectivity_panel,
    table,
)
from toporep.provenance import NOT_WHOLE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_CONTRASTS = {
    "selectivity_faces": "faces",
    "selectivity_utkface": "utkface",
    "selectivity_celeba": "celeba",
    "selectivity_lfw": "lfw",
}
_CONDITIONS = ("tvae", "tdann")


def draw(inputs: Mapping[str, Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw the maps of d of four sets of faces against the same objects, of the Topographic VAE and the TDANN.

    Args:
        inputs: `imagenet_faces.<contrast>.runs` for selectivity_faces, selectivity_utkface, selectivity_celeba and
            selectivity_lfw → files of schema `selectivity`; drawn is the lowest seed.

    Returns:
        The figure, and the table of `toporep.figures.keller2021_category.maps.table`.

    Raises:
        TopoRepError: a file that is missing or of another paper, files of several scales.

    Source: Keller, Gao & Welling 2021, Figure 6 (appendix A.2). The numbers are ours.
    """
    metrics = {name: read_runs(inputs, name, "selectivity") for name in _CONTRASTS}
    check_together(list(metrics.values()))
    rows = []
    for condition in _CONDITIONS:
        titles = [
            # What is not whole of a set stands in the small print.
            (broken(set_title(metrics[name].attrs, of_set).split(f" ({NOT_WHOLE}")[0], 24) if not rows else "",)
            for name, of_set in _CONTRASTS.items()
        ]
        panels = [
            selectivity_panel(metrics[name], condition, name=f"{of_set} − objects", title=title)
            for (name, of_set), title in zip(_CONTRASTS.items(), titles, strict=True)
        ]
        words = (label_of(condition, metrics["selectivity_faces"].attrs), "faces − objects")
        rows.append(Row(panels, words, SELECTIVITY_LABELS))
    attrs = [metric.attrs for metric in metrics.values()]
    lines = [
        *selectivity_lines(list(metrics.values())),
        *origin_lines(rows, *attrs, sets=[*_CONTRASTS.values(), "objects"]),
    ]
    with style.context():
        sheet, _ = draw_page("Four sets of faces", rows, attrs[0], lines, keys=["selectivity"])
    return sheet.figure, table(rows, attrs[0])
