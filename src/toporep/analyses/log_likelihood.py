"""Log-likelihood and its parts over runs (Keller & Welling 2021, Tables 1, 3 and 4)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.capsules import Network, SequenceDumps
from toporep.analyses.dumps import Dump, complete_settings, metric_dataset, summarize_runs
from toporep.errors import TopoRepError

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS: Mapping[str, Any] = {}


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Mean log p(x) of every run, what it is made of, and what bounds it; all in nats a frame.

    Args:
        dump_paths: files of the evaluation `sequences` of one paper, data set and scale; read one at a time.
        settings: there are none.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `log_likelihood` and `log_likelihood_summary`: means over sequences. `reconstruction` is
        −log p(x|t), a positive number, `kl_z` and `kl_u` the divergences from the prior (`kl_u` NaN for the plain
        VAE); `entropy_floor` is what `reconstruction` cannot fall below, `constant_pixel` what it is for one constant
        probability a pixel. Attributes `likelihood_samples`: N, of which the estimator `published` lacks − log N, and
        `pixels` of a frame, of which nats are a sum.

    Raises:
        TopoRepError: files that do not belong together, or whose estimates have different N; unknown settings.
    """
    settings = complete_settings(settings, DEFAULTS)
    dumps = SequenceDumps(dump_paths, provenance)
    size: dict[str, int] = {}

    def of_run(dump: Dump, network: Network) -> dict[str, Any]:
        found = _size_of(dump)
        if size and found != size:
            raise TopoRepError(
                f"{dump.path}: expected {_shown(size)}, as in the files before, found {_shown(found)}; evaluate all "
                "runs with the same settings"
            )
        size.update(found)
        return _of_run(dump, network)

    values = dumps.measure(of_run)
    coords = {"estimator": dumps.coords["estimator"]}
    metric = metric_dataset("log_likelihood", values, dumps, settings, coords=coords, attrs=size)
    return metric, summarize_runs(metric, "log_likelihood")


def _size_of(dump: Dump) -> dict[str, int]:
    try:
        samples = int(dump.evaluation["likelihood_samples"])
    except KeyError as error:
        raise TopoRepError(f"{dump.path}: attribute 'config' lacks evaluation.{error}; make the file again") from error
    return {"likelihood_samples": samples, "pixels": dump.data.sizes["image_row"] * dump.data.sizes["image_col"]}


def _shown(size: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in size.items())


def _of_run(dump: Dump, network: Network) -> dict[str, Any]:
    data = dump.data
    reconstruction = data["nll"].values[data["prediction"].values.tolist().index("reconstruction")]
    return {
        "log_likelihood": data["log_likelihood"].values.mean(axis=1),
        "untrained": data["log_likelihood_untrained"].values.mean(axis=1),
        "reconstruction": reconstruction.mean(dtype=np.float64),
        "kl_z": data["kl_z"].values.mean(),
        "kl_u": np.nan if network.grouper is None else data["kl_u"].values.mean(),
        "entropy_floor": data["entropy_floor"].values.mean(),
        "constant_pixel": float(data["constant_pixel_nll"]),
    }
