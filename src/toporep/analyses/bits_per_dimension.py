"""Bits per dimension of variational autoencoders over runs (Keller, Gao & Welling 2021, section 5)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from toporep.analyses.capsules import text_coord
from toporep.analyses.dumps import Dump, complete_settings, metric_dataset, summarize_runs
from toporep.analyses.responses import Answers, ResponseDumps
from toporep.errors import TopoRepError
from toporep.losses.bits import bits_per_dimension, constant_predictor_bits, perfect_reconstruction_bits
from toporep.metrics.loader_average import published_average

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS: Mapping[str, Any] = {}
# Importance sampling as in the published code, without the term that divides by the number of samples; and with it.
ESTIMATORS = ("published", "corrected")
_NEEDED = ("nll", "kl_z", "log_likelihood", "feature_mean_square")


def run(
    dump_paths: Iterable[str | os.PathLike], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Bits per dimension of every run on every set of images, what they are made of, and what bounds them.

    Args:
        dump_paths: files of the evaluation `responses` of one paper, data set and scale, each run with the same sets.
        settings: there are none.
        provenance: further attributes for both outputs.

    Returns:
        Datasets of schemas `bits_per_dimension` and `bits_per_dimension_summary`, means over images. `bits` is the
        negative evidence lower bound over the number of features, the sum of `reconstruction`, `kl_z` and `kl_u` (0
        for the plain VAE, which has no u). `per_latent`: the same over the number of latents. `published_average`: as
        the published code averages a loss over several sets, over the last one's batches alone. `floor`: features met
        exactly by latents that tell nothing; `constant`: the training mean of each feature. `log_likelihood`: −log2
        p(x) over the number of features, by importance sampling, so fewer bits are better here too.

    Raises:
        TopoRepError: files that do not belong together or of other networks, unknown settings.

    Source:
        Keller, Gao & Welling 2021, section 5, who report 3.4 and 3.6 bits without a definition; this one is the
        natural one.
    """
    settings = complete_settings(settings, DEFAULTS)
    dumps = ResponseDumps(dump_paths, provenance)
    sizes: set[tuple[int, int]] = set()

    def of_run(answers: Answers) -> dict[str, Any]:
        sizes.update(map(_sizes, answers.values()))
        return _of_run(answers)

    values = dumps.measure(of_run)
    if len(sizes) > 1:
        found = "; ".join(f"{dimensions} features and {latents} latents" for dimensions, latents in sorted(sizes))
        raise TopoRepError(f"responses: expected networks of one size, found {found}; analyse them apart")
    dimensions, latents = sizes.pop()
    metric = metric_dataset(
        "bits_per_dimension",
        values,
        dumps,
        settings,
        coords={"set": text_coord("set", dumps.sets), "estimator": text_coord("estimator", ESTIMATORS)},
        attrs={"dimensions": dimensions, "latents": latents},
    )
    return metric, summarize_runs(metric, "bits_per_dimension")


def _of_run(answers: Answers) -> dict[str, Any]:
    parts = {name: _parts(dump) for name, dump in answers.items()}
    dumps = list(answers.values())
    dimensions, latents = _sizes(dumps[0])

    def bits(nats: np.ndarray | float, *, over: int = dimensions) -> float:
        return float(bits_per_dimension(np.mean(nats), dimensions=over))

    nats = [sum(of_set.values()) for of_set in parts.values()]
    batches = [_batch_means(of_set, dump) for of_set, dump in zip(nats, dumps, strict=True)]
    return {
        "bits": [bits(of_set) for of_set in nats],
        **{name: [bits(of_set[name]) for of_set in parts.values()] for name in ("reconstruction", "kl_z", "kl_u")},
        "per_latent": [bits(of_set, over=latents) for of_set in nats],
        "published_average": bits(published_average(batches)),
        "floor": perfect_reconstruction_bits(),
        "constant": [constant_predictor_bits(variance=float(dump.data["feature_mean_square"])) for dump in dumps],
        "log_likelihood": [[bits(-nat) for nat in _likelihoods(dump)] for dump in dumps],
    }


def _parts(dump: Dump) -> dict[str, np.ndarray]:
    """Nats of each image."""
    missing = [name for name in _NEEDED if name not in dump.data]
    if missing:
        raise TopoRepError(
            f"{dump.path}: expected responses of a variational autoencoder, found none of {', '.join(missing)}; "
            f"leave {dump.run.condition!r} out of this analysis"
        )
    nll = dump.data["nll"].values
    kl_u = dump.data["kl_u"].values if "kl_u" in dump.data else np.zeros_like(nll)
    return {"reconstruction": nll, "kl_z": dump.data["kl_z"].values, "kl_u": kl_u}


def _likelihoods(dump: Dump) -> np.ndarray:
    """(estimators,) nats an image, in the order of `ESTIMATORS`."""
    found = dump.data["log_likelihood"]
    # A file without names has them in this order.
    names = found["estimator"].values.tolist() if "estimator" in found.coords else list(ESTIMATORS[: found.size])
    if sorted(names) != sorted(ESTIMATORS):
        raise TopoRepError(
            f"{dump.path}: expected a log-likelihood by each estimator, {' and '.join(ESTIMATORS)}, found "
            f"{' and '.join(names) or 'none'}; make the file again"
        )
    return found.values[[names.index(name) for name in ESTIMATORS]]


def _batch_means(nats: np.ndarray, dump: Dump) -> np.ndarray:
    """Mean of each batch, as the published code's loop over a loader sees them; the last one may be smaller."""
    size = int(dump.evaluation.get("batch_size", len(nats)))
    return np.array([nats[start : start + size].mean() for start in range(0, len(nats), size)])


def _sizes(dump: Dump) -> tuple[int, int]:
    """Features and latents."""
    rows, cols = dump.grid
    return int(dump.attrs["dimensions"]), rows * cols
