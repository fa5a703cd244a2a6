"""Images that excite the units of a torus most, and whether neighbors agree (Keller & Welling 2021, Fig. 3)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.dumps import Dump, DumpReader, complete_settings, metric_dataset, summarize_runs
from toporep.errors import TopoRepError
from toporep.metrics.harmonics import expected_agreement

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS: Mapping[str, Any] = {}


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Each unit's image, and the share of neighboring units whose images are of one class.

    Args:
        dump_paths: files of the evaluation `max_images` of one paper, data set and scale; read one at a time.
        settings: there are none.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `torus_images` and `torus_images_summary`. `agreement_untrained` is of the same network
        before training, `agreement_chance` the expectation if the trained network's images lay on the sheet at random.

    Raises:
        TopoRepError: files that do not belong together, unknown settings, a sheet that is a single line.
    """
    settings = complete_settings(settings, DEFAULTS)
    dumps = DumpReader(dump_paths, provenance, "max_images")
    values = dumps.measure(_of_run)
    coords = {name: dumps.coords[name] for name in ("row", "col")}
    metric = metric_dataset("torus_images", values, dumps, settings, coords=coords)
    return metric, summarize_runs(metric, "torus_images")


def _of_run(dump: Dump) -> dict[str, Any]:
    label, untrained = dump.label, dump.data["label_untrained"].values
    return {
        "image": dump.data["image"].values,
        "label": label,
        "agreement": torus_agreement(label, dump.grid),
        "agreement_untrained": torus_agreement(untrained, dump.grid),
        # Class 0 is a class like any other here, where the kernel has a label 0 that agrees with nothing.
        "agreement_chance": expected_agreement(label + 1),
    }


def torus_agreement(labels: np.ndarray, grid: tuple[int, int]) -> float:
    """Share of the pairs of units side by side or one above the other, around the torus, that have the same label.

    Args:
        labels: (units,) row-major on the sheet.
        grid: (rows, cols), at least 2 of each.
    """
    if min(grid) < 2:
        raise TopoRepError(f"grid: expected at least 2 rows and 2 columns, or a unit is its own neighbor, found {grid}")
    sheet = labels.reshape(grid)
    # Every unit with the one before it along either axis: each pair once.
    return float(np.mean([sheet == np.roll(sheet, 1, axis=axis) for axis in (0, 1)]))
