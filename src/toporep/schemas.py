"""What each netCDF file between stages must hold (docs/data-dictionary.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Variables = Mapping[str, tuple[tuple[str, ...], str]]


@dataclass(frozen=True)
class Schema:
    """What a netCDF file of one kind must hold.

    variables and coords map a name to (dimensions, dtype); the dtype "str" stands for text.
    attrs lists the attributes that must be present. Variables in `may_be_nan` may hold NaN,
    every other floating-point variable must be finite. Those in `optional` may be absent.
    """

    name: str
    version: int
    variables: Variables
    coords: Variables = field(default_factory=dict)
    attrs: tuple[str, ...] = ()
    may_be_nan: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()


_SHEET = {"row": (("unit",), "int64"), "col": (("unit",), "int64")}
_RUN_COORDS = {
    "condition": (("run",), "str"),
    "strength": (("run",), "float64"),
    "seed": (("run",), "int64"),
}
_POINT_COORDS = {
    "condition": (("point",), "str"),
    "strength": (("point",), "float64"),
    "n": (("point",), "int64"),
}
# What every evaluation of a run says about the run and about itself.
_EVALUATION_ATTRS = (
    "paper",
    "dataset",
    "source",
    "source_title",
    "scale",
    "condition",
    "strength",
    "seed",
    "config",
    "config_sha256",
    "data_sha256",
    "code_hash",
    "software",
    "device",
    "deterministic",
)
# What every metric file says about where its numbers come from.
_METRIC_ATTRS = ("paper", "dataset", "source", "source_title", "scale", "settings", "training")


def summarized(schema: Schema) -> list[str]:
    """Variables of a metric file of which the summary holds mean and SEM: a number a run, not a number a unit."""
    return [
        name
        for name, (dims, dtype) in schema.variables.items()
        if dtype == "float64" and dims[0] == "run" and "unit" not in dims
    ]


def pooled(schema: Schema) -> list[str]:
    """Variables of a metric file of which the summary holds the sum over runs: counts by bin."""
    return [name for name, (dims, dtype) in schema.variables.items() if dtype == "int64" and dims[-1] == "bin"]


def _analysis(
    name: str,
    variables: Mapping[str, tuple[str, ...]],
    *,
    counts: Mapping[str, tuple[str, ...]] | None = None,
    coords: Variables | None = None,
    may_be_nan: Iterable[str] = (),
    attrs: tuple[str, ...] = (),
    version: int = 1,
) -> tuple[Schema, Schema]:
    """Schemas of an analysis' metric file and of its summary.

    `variables` (float64) and `counts` (int64) give the dimensions after `run`. The summary has mean, SEM and, where
    a run may have no value, n of each number, and sums of counts by bin.
    """
    metric = Schema(
        name,
        version,
        variables={
            **{key: (("run", *dims), "float64") for key, dims in variables.items()},
            **{key: (("run", *dims), "int64") for key, dims in (counts or {}).items()},
        },
        coords={**_RUN_COORDS, **(coords or {})},
        attrs=(*_METRIC_ATTRS, *attrs),
        may_be_nan=frozenset(may_be_nan),
    )
    summary: dict[str, tuple[tuple[str, ...], str]] = {}
    nan = set()
    for key in summarized(metric):
        dims = ("point", *variables[key])
        summary[f"{key}_mean"] = summary[f"{key}_sem"] = (dims, "float64")
        nan.add(f"{key}_sem")
        if key in metric.may_be_nan:
            summary[f"{key}_n"] = (dims, "int64")
            nan.add(f"{key}_mean")
    for key in pooled(metric):
        summary[f"{key}_sum"] = (("point", *counts[key]), "int64")
    kept = {key: value for key, value in (coords or {}).items() if "unit" not in value[0]}
    return metric, Schema(
        f"{name}_summary", version, summary, {**_POINT_COORDS, **kept}, metric.attrs, may_be_nan=frozenset(nan)
    )


_THRESHOLD = {"threshold": (("threshold",), "float64")}
_VARIANT = {"variant": (("variant",), "str")}
_QUANTITY = {"quantity": (("quantity",), "str")}
_NULLS = ("_null", "_null_low", "_null_high")

_SCHEMAS = (
    Schema(
        "images",
        1,
        variables={
            "images_train": (("train", "image_row", "image_col", "channel"), "uint8"),
            "label_train": (("train",), "int64"),
            "images_test": (("test", "image_row", "image_col", "channel"), "uint8"),
            "label_test": (("test",), "int64"),
        },
        attrs=("source", "source_title", "class_names", "data_sha256", "recognised_as", "origin", "licence"),
    ),
    Schema(
        "activations",
        3,
        variables={
            "sheet_pre": (("stimulus", "unit"), "float32"),
            "logits": (("stimulus", "class"), "float32"),
            # Of a second readout, on standardized activations, where the head does not read the sheet itself.
            "logits_standardized": (("stimulus", "class"), "float32"),
            "sheet_weight": (("unit", "input"), "float32"),
            "readout_weight": (("class", "unit"), "float32"),
            "readout_bias": (("class",), "float32"),
            "history": (("epoch", "quantity"), "float64"),
        },
        coords={"label": (("stimulus",), "int64"), **_SHEET, "epoch": (("epoch",), "int64"), **_QUANTITY},
        attrs=_EVALUATION_ATTRS,
        may_be_nan=frozenset({"history"}),
        optional=frozenset({"logits_standardized"}),
    ),
    Schema(
        "tuning",
        1,
        variables={
            "wedge_pre": (("variant", "wedge", "unit"), "float32"),
            "ring_pre": (("variant", "ring", "unit"), "float32"),
        },
        coords={
            **_SHEET,
            **_VARIANT,
            "angle": (("wedge",), "float64"),
            "radius": (("ring",), "float64"),
        },
        attrs=_EVALUATION_ATTRS,
    ),
    Schema(
        "image_noise",
        1,
        variables={
            "correct": (("normalization", "kind", "level", "repetition"), "int64"),
            "clean_correct": (("normalization",), "int64"),
        },
        coords={
            "normalization": (("normalization",), "str"),
            "kind": (("kind",), "str"),
            "level": (("level",), "float64"),
        },
        attrs=(*_EVALUATION_ATTRS, "n_stimuli"),
    ),
    Schema(
        "colocalization",
        1,
        variables={
            "distance": (("run", "threshold"), "float64"),
            "pairs": (("run", "threshold"), "int64"),
            "null_distance": (("control_run", "relabelling", "threshold"), "float64"),
        },
        coords={**_RUN_COORDS, **_THRESHOLD},
        attrs=(*_METRIC_ATTRS, "chance_distance"),
        may_be_nan=frozenset({"distance", "null_distance"}),
    ),
    Schema(
        "colocalization_summary",
        1,
        variables={
            "distance_mean": (("point", "threshold"), "float64"),
            "distance_sem": (("point", "threshold"), "float64"),
            "distance_n": (("point", "threshold"), "int64"),
            "pairs_mean": (("point", "threshold"), "float64"),
            # 2.5 % and 97.5 % quantiles, over relabellings, of the mean over seeds at strength 0: of all conditions
            # with such runs together, and of each one.
            "null_low": (("threshold",), "float64"),
            "null_high": (("threshold",), "float64"),
            "condition_null_low": (("null_condition", "threshold"), "float64"),
            "condition_null_high": (("null_condition", "threshold"), "float64"),
        },
        coords={**_POINT_COORDS, **_THRESHOLD},
        attrs=(*_METRIC_ATTRS, "chance_distance"),
        may_be_nan=frozenset(
            ("distance_mean", "distance_sem", "null_low", "null_high", "condition_null_low", "condition_null_high")
        ),
        optional=frozenset({"condition_null_low", "condition_null_high"}),
    ),
    *_analysis(
        "morans_i",
        {"morans_i": ()},
        counts={"constant_maps": ()},
        may_be_nan=["morans_i"],
        attrs=("chance_morans_i",),
    ),
    *_analysis(
        "calibration",
        {"accuracy": (), "logit_gap": (), "probability_gap": (), "calibration_error": ()},
    ),
    *_analysis(
        "activity",
        {"percent_zero": (), "entropy": ("estimator",), "variance": ()},
        counts={"dead_units": ()},
        coords={"estimator": (("estimator",), "str")},
        may_be_nan=["entropy"],
    ),
    *_analysis(
        "correlations",
        {
            "median": ("quantity",),
            "share_negative": ("quantity",),
            "share_above": ("quantity", "threshold"),
        },
        counts={"histogram": ("quantity", "bin")},
        coords={**_QUANTITY, **_THRESHOLD, "bin_left": (("bin",), "float64")},
    ),
    *_analysis("dimensionality", {"effective_dimensionality": ("quantity",)}, coords=_QUANTITY),
    *_analysis(
        "weight_noise",
        {
            "clean_accuracy": (),
            "similarity": ("mode", "level"),
            "accuracy": ("mode", "level"),
            "accuracy_change": ("mode", "level"),
            "readout_norm": (),
            "readout_sd": (),
        },
        coords={"mode": (("mode",), "str"), "sigma": (("mode", "level"), "float64")},
    ),
    *_analysis(
        "image_noise_robustness",
        {
            "clean_accuracy": ("normalization",),
            "accuracy": ("normalization", "kind", "level"),
            "accuracy_change": ("normalization", "kind", "level"),
        },
        coords={
            "normalization": (("normalization",), "str"),
            "kind": (("kind",), "str"),
            "level": (("level",), "float64"),
        },
    ),
    *_analysis(
        "harmonics",
        {
            "share": ("variant", "cycle"),
            "share_beyond": ("variant",),
            "changed_share": ("variant",),
            "agreement": ("variant",),
            "agreement_chance": ("variant",),
            "cycle2_phase_share": ("variant", "cycle2_phase"),
            "cycle4_phase_share": ("variant", "cycle4_phase"),
        },
        counts={"dominant": ("variant", "unit")},
        coords={
            **_SHEET,
            **_VARIANT,
            "cycle": (("cycle",), "int64"),
            "cycle2_phase": (("cycle2_phase",), "str"),
            "cycle4_phase": (("cycle4_phase",), "str"),
        },
        may_be_nan=["cycle2_phase_share", "cycle4_phase_share"],
    ),
    *_analysis(
        "eccentricity",
        {
            "share": ("variant", "profile"),
            "changed_share": ("variant",),
            "center": ("variant", "unit"),
        },
        counts={"center_histogram": ("variant", "bin"), "failed_fits": ("variant",), "label": ("variant", "unit")},
        coords={
            **_SHEET,
            **_VARIANT,
            "profile": (("profile",), "str"),
            "bin_left": (("bin",), "float64"),
        },
        may_be_nan=["center"],
    ),
    *_analysis(
        "training_curves",
        {"value": ("epoch", "quantity")},
        coords={"epoch": (("epoch",), "int64"), **_QUANTITY},
        may_be_nan=["value"],
    ),
    *_analysis(
        "accuracy",
        # The second readout's, on standardized activations, where a network has one.
        {"accuracy": (), "accuracy_standardized": ()},
        may_be_nan=["accuracy_standardized"],
    ),
    *_analysis(
        "weight_norms",
        # Length of a unit's afferent weights, its spread over units, and the topographic losses of the final weights.
        {"norm": (), "norm_sd": (), "topographic_loss": (), "cosine_topographic_loss": ()},
    ),
    *_analysis(
        "training_outcome",
        # Of the last epoch; the strength is the mean factor of the topographic loss, lambda.
        {"task_loss": (), "topographic_loss": (), "topographic_strength": (), "validation_task_loss": ()},
        counts={"epochs": (), "best_epoch": ()},
    ),
    *_analysis("concentration", {"top_share": (), "kurtosis": (), "edge_center_ratio": ()}),
    Schema(
        "class_similarity",
        1,
        # Over pairs of images of the same class and of different classes.
        variables={
            f"{kind}_{statistic}": (("run", "centering"), "float64")
            for kind in ("within", "across")
            for statistic in ("mean", "sd")
        },
        coords={**_RUN_COORDS, "centering": (("centering",), "str")},
        attrs=_METRIC_ATTRS,
        # Of a network that answers all images alike.
        may_be_nan=frozenset({"within_mean", "within_sd", "across_mean", "across_sd"}),
    ),
    Schema(
        "class_similarity_summary",
        1,
        # Over runs: mean of the means, mean of the SDs over pairs, SD of all their pairs together, SEM of the means,
        # number of runs that have them.
        variables={
            f"{kind}_{statistic}": (("point", "centering"), "int64" if statistic == "n" else "float64")
            for kind in ("within", "across")
            for statistic in ("mean", "sd", "pooled_sd", "sem", "n")
        },
        coords={**_POINT_COORDS, "centering": (("centering",), "str")},
        attrs=_METRIC_ATTRS,
        may_be_nan=frozenset(
            f"{kind}_{statistic}" for kind in ("within", "across") for statistic in ("mean", "sd", "pooled_sd", "sem")
        ),
    ),
    Schema(
        "rdm_consistency",
        1,
        variables={"consistency": (("point", "pair"), "float64")},
        coords={**_POINT_COORDS, "seed_a": (("pair",), "int64"), "seed_b": (("pair",), "int64")},
        attrs=(*_METRIC_ATTRS, "n_images"),
        # Of a network to which all pairs of images are equally dissimilar.
        may_be_nan=frozenset({"consistency"}),
    ),
    Schema(
        "rdm_consistency_summary",
        1,
        # SD over pairs of networks, those whose correlation is defined: `pairs`.
        variables={
            "consistency_mean": (("point",), "float64"),
            "consistency_sd": (("point",), "float64"),
            "pairs": (("point",), "int64"),
        },
        coords=_POINT_COORDS,
        attrs=(*_METRIC_ATTRS, "n_images"),
        may_be_nan=frozenset({"consistency_mean", "consistency_sd"}),
    ),
    Schema(
        "noise_logits",
        1,
        variables={
            "logits": (("kind", "level", "stimulus", "class"), "float32"),
            "clean_logits": (("stimulus", "class"), "float32"),
        },
        coords={
            "kind": (("kind",), "str"),
            "level": (("level",), "float64"),
            "label": (("stimulus",), "int64"),
        },
        attrs=_EVALUATION_ATTRS,
    ),
    Schema(
        "ensembles",
        1,
        variables={
            "clean_individual": (("point", "network"), "float64"),
            "clean_ensemble": (("point", "vote"), "float64"),
            "individual": (("point", "kind", "level", "network"), "float64"),
            "ensemble": (("point", "kind", "level", "vote"), "float64"),
            # Of the ensemble without this network (NaN if there is no other): claims take intervals from these.
            "clean_leave_one_out": (("point", "vote", "network"), "float64"),
            "leave_one_out": (("point", "kind", "level", "vote", "network"), "float64"),
            "disagreement": (("point",), "float64"),
        },
        coords={
            **_POINT_COORDS,
            "network_seed": (("network",), "int64"),
            "vote": (("vote",), "str"),
            "kind": (("kind",), "str"),
            "level": (("level",), "float64"),
        },
        attrs=_METRIC_ATTRS,
        may_be_nan=frozenset({"clean_leave_one_out", "leave_one_out"}),
    ),
    Schema(
        "ensembles_summary",
        1,
        # Gain: accuracy of the ensemble minus the mean accuracy of its networks. SD over networks.
        variables={
            "clean_accuracy_mean": (("point",), "float64"),
            "clean_accuracy_sd": (("point",), "float64"),
            "clean_gain": (("point", "vote"), "float64"),
            "accuracy_mean": (("point", "kind", "level"), "float64"),
            "accuracy_sd": (("point", "kind", "level"), "float64"),
            "gain": (("point", "kind", "level", "vote"), "float64"),
            "disagreement": (("point",), "float64"),
        },
        coords={
            **_POINT_COORDS,
            "vote": (("vote",), "str"),
            "kind": (("kind",), "str"),
            "level": (("level",), "float64"),
        },
        attrs=_METRIC_ATTRS,
        may_be_nan=frozenset({"clean_accuracy_sd", "accuracy_sd"}),
    ),
    Schema(
        "tsne",
        1,
        # Silhouettes by class and by animacy, of the activations themselves and of their two-dimensional map.
        variables={
            "coordinates": (("run", "image", "axis"), "float64"),
            "silhouette": (("run", "space", "grouping"), "float64"),
        },
        coords={
            **_RUN_COORDS,
            # Index of each image among the test images, as in the evaluation.
            "stimulus": (("image",), "int64"),
            "label": (("image",), "int64"),
            "space": (("space",), "str"),
            "grouping": (("grouping",), "str"),
        },
        attrs=(*_METRIC_ATTRS, "class_names"),
    ),
    Schema(
        "tsne_summary",
        1,
        variables={
            "silhouette_mean": (("point", "space", "grouping"), "float64"),
            "silhouette_sem": (("point", "space", "grouping"), "float64"),
        },
        coords={**_POINT_COORDS, "space": (("space",), "str"), "grouping": (("grouping",), "str")},
        attrs=(*_METRIC_ATTRS, "class_names"),
        may_be_nan=frozenset({"silhouette_sem"}),
    ),
    Schema(
        "sequences",
        1,
        # Latents, likelihoods and decodings of a Topographic VAE. `untrained`: of the same network before training.
        variables={
            **{name: (("sequence", "frame", "latent"), "float32") for name in ("z", "u")},
            **{f"{name}_untrained": (("untrained", "frame", "latent"), "float32") for name in ("z", "u")},
            "mu": ((), "float64"),
            # Nats a frame.
            "log_likelihood": (("estimator", "likelihood"), "float64"),
            "log_likelihood_untrained": (("estimator", "likelihood_untrained"), "float64"),
            "kl_z": (("sequence",), "float64"),
            "kl_u": (("sequence",), "float64"),
            # Of the targets themselves, which are no bits: −log p(x|t) cannot be lower.
            "entropy_floor": (("sequence",), "float64"),
            # −log p(x) of one probability a pixel, the same for all frames.
            "constant_pixel_nll": ((), "float64"),
            # Of each frame, decoded in one way or another: nats, and the sum of squares over pixels.
            "nll": (("prediction", "sequence", "frame"), "float32"),
            "squared_error": (("prediction", "sequence", "frame"), "float32"),
            **{
                f"example_{name}": (("example", "frame", "image_row", "image_col", "channel"), "uint8")
                for name in ("frames", "reconstruction", "traversal")
            },
            "history": (("epoch", "quantity"), "float64"),
        },
        coords={
            # What changes in a sequence and the class of its first frame; the image that it is made of.
            "factor": (("sequence",), "int64"),
            "start": (("sequence",), "int64"),
            "label": (("sequence",), "int64"),
            "example_sequence": (("example",), "int64"),
            "prediction": (("prediction",), "str"),
            "estimator": (("estimator",), "str"),
            "epoch": (("epoch",), "int64"),
            **_QUANTITY,
        },
        attrs=(*_EVALUATION_ATTRS, "factor_names"),
        # `mu`: a plain VAE has none.
        may_be_nan=frozenset({"history", "mu"}),
        optional=frozenset({"u", "u_untrained", "kl_u"}),
    ),
    Schema(
        "max_images",
        1,
        # Of each unit, the test image at which its variable is largest.
        variables={
            "image": (("unit", "image_row", "image_col", "channel"), "uint8"),
            "index": (("unit",), "int64"),
            "activation": (("unit",), "float32"),
            "label": (("unit",), "int64"),
            # Of the same images in the network before training.
            "label_untrained": (("unit",), "int64"),
        },
        coords=_SHEET,
        attrs=(*_EVALUATION_ATTRS, "n_stimuli"),
    ),
    *_analysis(
        "equivariance",
        # Of trained networks, of the same before training, of latents that know nothing of the images, and, as
        # published for dSprites, over the last epoch while the weights change.
        {
            "error": ("variant",),
            "untrained": ("variant",),
            "null": ("variant",),
            "null_uncertainty": ("variant",),
            "running": (),
        },
        coords=_VARIANT,
        may_be_nan=["running"],
        attrs=("random_directions",),
    ),
    *_analysis(
        "capsule_correlation",
        # `average`: over the factors. `moved`: of sequences whose true shift is not 0, from the last frame of class 0.
        {
            "correlation": ("variant", "factor"),
            "average": ("variant",),
            "moved": ("variant", "factor"),
            "untrained": ("variant", "factor"),
            "untrained_average": ("variant",),
            "null": ("variant", "factor"),
            "null_average": ("variant",),
            "moved_average": ("variant",),
            "untrained_moved_average": ("variant",),
            "null_moved_average": ("variant",),
            "running": ("factor",),
        },
        coords={**_VARIANT, "factor": (("factor",), "str")},
        may_be_nan=[
            *("correlation", "average", "moved", "untrained", "untrained_average", "null", "null_average", "running"),
            *("moved_average", "untrained_moved_average", "null_moved_average"),
        ],
    ),
    *_analysis(
        "log_likelihood",
        {
            "log_likelihood": ("estimator",),
            "untrained": ("estimator",),
            "reconstruction": (),
            "kl_z": (),
            "kl_u": (),
            "entropy_floor": (),
            "constant_pixel": (),
        },
        coords={"estimator": (("estimator",), "str")},
        may_be_nan=["kl_u"],
    ),
    *_analysis(
        "held_out_frames",
        # `part`: frames that t of the first frame has seen, frames that it has not, all.
        {"nll": ("prediction", "part"), "squared_error": ("prediction", "part")},
        coords={"prediction": (("prediction",), "str"), "part": (("part",), "str")},
        may_be_nan=["nll", "squared_error"],
    ),
    Schema(
        "traversals",
        2,
        variables={
            "image": (("run", "example", "line", "frame", "image_row", "image_col", "channel"), "uint8"),
            # Whether t of the first frame has seen the frame.
            "seen": (("run", "frame"), "int64"),
            # Squares of pixel differences (0 … 1) of each decoded frame, summed over it; mean over parts of the frames,
            # as in `held_out_frames`.
            "squared_error": (("run", "example", "prediction", "frame"), "float64"),
            "part_error": (("run", "example", "prediction", "part"), "float64"),
        },
        coords={
            **_RUN_COORDS,
            "line": (("line",), "str"),
            "prediction": (("prediction",), "str"),
            "part": (("part",), "str"),
            "factor": (("example",), "str"),
            "start": (("example",), "int64"),
            "label": (("example",), "int64"),
        },
        attrs=_METRIC_ATTRS,
        # A part without frames.
        may_be_nan=frozenset({"part_error"}),
    ),
    Schema(
        "traversals_summary",
        2,
        # Over the examples and runs.
        variables={"squared_error_mean": (("point", "prediction", "frame"), "float64")},
        coords={**_POINT_COORDS, "prediction": (("prediction",), "str")},
        attrs=_METRIC_ATTRS,
    ),
    Schema(
        "torus_images",
        1,
        variables={
            "image": (("run", "unit", "image_row", "image_col", "channel"), "uint8"),
            "label": (("run", "unit"), "int64"),
            # Share of neighboring units whose images are of one class; of the untrained network; by chance.
            "agreement": (("run",), "float64"),
            "agreement_untrained": (("run",), "float64"),
            "agreement_chance": (("run",), "float64"),
        },
        coords={**_RUN_COORDS, **_SHEET},
        attrs=_METRIC_ATTRS,
    ),
    Schema(
        "torus_images_summary",
        1,
        variables={
            f"agreement{of}_{statistic}": (("point",), "float64")
            for of in ("", "_untrained", "_chance")
            for statistic in ("mean", "sem")
        },
        coords=_POINT_COORDS,
        attrs=_METRIC_ATTRS,
        may_be_nan=frozenset(f"agreement{of}_sem" for of in ("", "_untrained", "_chance")),
    ),
    # Keller, Gao & Welling 2021 (category): features of images, and what trained sheets answer to sets of images.
    Schema(
        "features",
        1,
        variables={
            # The features themselves lie beside this file, in `array`: (image, crop, feature) float16, NumPy's format.
            "path": (("image",), "str"),
            "bytes": (("image",), "int64"),
            "sha256": (("image",), "str"),
            "label": (("image",), "int64"),
            # Of the first images: what a figure shows.
            "thumbnail": (("example", "image_row", "image_col", "channel"), "uint8"),
            # Files that could not be read as images, which are left out.
            "skipped": (("left_out",), "str"),
            "reason": (("left_out",), "str"),
        },
        attrs=(
            *("source", "source_title", "class_names", "data_sha256", "network", "transform", "dimensions", "crops"),
            *("array", "array_sha256", "array_probe", "weights_sha256", "recognised_as", "licence"),
        ),
    ),
    Schema(
        "responses",
        1,
        variables={
            # Moments over all images of the set: mean, and sum of squared deviations from it.
            "mean": (("quantity", "unit"), "float64"),
            "squares": (("quantity", "unit"), "float64"),
            # The activation of some images, drawn by a seed.
            "sample": (("sampled", "unit"), "float32"),
            "sample_index": (("sampled",), "int64"),
            # The activation of the first images, and how these look.
            "single": (("example", "unit"), "float32"),
            "thumbnail": (("example", "image_row", "image_col", "channel"), "uint8"),
            # Of autoencoders, in nats an image; log-likelihood is the mean over some images.
            "nll": (("image",), "float64"),
            "kl_z": (("image",), "float64"),
            "kl_u": (("image",), "float64"),
            "log_likelihood": (("estimator",), "float64"),
            "feature_mean_square": ((), "float64"),
            # Of classifiers: the class named, the class named if those without folders in the set were no choice, the
            # true class (-1: none of the network's).
            "predicted": (("image",), "int64"),
            "predicted_of_set": (("image",), "int64"),
            "label": (("image",), "int64"),
        },
        coords={**_SHEET, "quantity": (("quantity",), "str")},
        attrs=(*_EVALUATION_ATTRS, "set", "set_source", "set_title", "set_sha256", "n_images", "network", "dimensions"),
        optional=frozenset(
            {"nll", "kl_z", "kl_u", "log_likelihood", "feature_mean_square", "predicted", "predicted_of_set", "label"}
        ),
    ),
    *_analysis(
        "selectivity",
        {
            # Cohen's d of a two-class contrast, its standard error, and one map of each null.
            "d": ("quantity", "unit"),
            "d_error": ("unit",),
            "d_label_shuffled": ("unit",),
            "d_unit_shuffled": ("unit",),
            "max_d": ("quantity",),
            "min_d": ("quantity",),
            "selective_share": ("quantity",),
            "confident_share": (),
            "smoothness": ("quantity", "boundary"),
            "smoothness_label_null": ("boundary",),
            "smoothness_unit_null": ("boundary",),
            "smoothness_unit_null_high": ("boundary",),
            "difference_smoothness": (),
            # Of the run's own boundary.
            "patches": ("quantity",),
            "largest_patch": ("quantity",),
            "largest_patch_label_null": (),
            "largest_patch_unit_null": (),
            "patch_p_label": (),
            "patch_p_unit": (),
            "patch_size": ("patch",),
            "patch_row": ("patch",),
            "patch_col": ("patch",),
            "patch_max_d": ("patch",),
            "reliability": (),
            "torus": (),
        },
        coords={
            **_SHEET,
            **_QUANTITY,
            "boundary": (("boundary",), "str"),
        },
        may_be_nan=[
            *("d", "d_error", "d_label_shuffled", "d_unit_shuffled", "max_d", "min_d", "selective_share", "smoothness"),
            *("smoothness_label_null", "smoothness_unit_null", "smoothness_unit_null_high", "difference_smoothness"),
            *("patches", "largest_patch", "patch_size", "patch_row", "patch_col", "patch_max_d", "reliability"),
        ],
        attrs=("target", "control"),
    ),
    *_analysis(
        "class_selectivity",
        {
            # Cohen's d of each class against all others, pooled by images or with equal weight for each class.
            "d": ("complement", "class", "unit"),
            "max_d": ("complement", "class"),
            "selective_share": ("complement", "class"),
            "largest_patch": ("complement", "class"),
            "largest_patch_unit_null": ("complement", "class"),
            "smoothness": ("complement", "class"),
            "several_share": ("complement",),
            "none_share": ("complement",),
            "torus": (),
        },
        # The one class of each unit: -1 none, -2 several.
        counts={"joint": ("complement", "unit")},
        coords={**_SHEET, "class": (("class",), "str"), "complement": (("complement",), "str")},
        may_be_nan=["d", "max_d", "smoothness"],
    ),
    Schema(
        "single_images",
        1,
        variables={
            # Of the first images of each set.
            "activation": (("run", "set", "example", "unit"), "float64"),
            "strongest_row": (("run", "set", "example"), "int64"),
            "strongest_col": (("run", "set", "example"), "int64"),
            "smoothness": (("run", "set", "example"), "float64"),
            # Share of units at least half as far from the map's median as the farthest.
            "active_share": (("run", "set", "example"), "float64"),
            # Mean correlation of an image's map with those of the other sets' images.
            "between_sets": (("run", "set", "example"), "float64"),
            "thumbnail": (("set", "example", "image_row", "image_col", "channel"), "uint8"),
        },
        coords={**_RUN_COORDS, **_SHEET, "set": (("set",), "str")},
        attrs=_METRIC_ATTRS,
        may_be_nan=frozenset({"smoothness", "between_sets"}),
    ),
    Schema(
        "single_images_summary",
        1,
        # Over images, sets and runs.
        variables={
            f"{name}_{statistic}": (("point",), "float64")
            for name in ("smoothness", "active_share", "between_sets")
            for statistic in ("mean", "sem")
        },
        coords=_POINT_COORDS,
        attrs=_METRIC_ATTRS,
        may_be_nan=frozenset(
            f"{name}_{statistic}"
            for name in ("smoothness", "active_share", "between_sets")
            for statistic in ("mean", "sem")
        ),
    ),
    *_analysis(
        "hierarchy",
        {
            # Of pairs of maps of d: correlation over units; share of the most selective units of the first that are
            # among those of the second, by chance, and how probable so large a share is by chance.
            "correlation": ("pair",),
            "correlation_p": ("pair",),
            "overlap": ("pair",),
            "overlap_chance": ("pair",),
            "overlap_p": ("pair",),
            # Shortest distance of the strongest units of the two, in units of the sheet, and by chance.
            "distance": ("pair",),
            "distance_chance": ("pair",),
        },
        coords={"pair": (("pair",), "str")},
        may_be_nan=["correlation", "correlation_p", "overlap", "overlap_p"],
    ),
    *_analysis(
        "distance_correlation",
        {
            # Pearson's r of unit pairs against their distance, mean and standard deviation over the pairs of a bin;
            # `within`: of activations without the means of their categories.
            "correlation": ("variant", "boundary", "bin"),
            "sd": ("variant", "boundary", "bin"),
            "pairs": ("boundary", "bin"),
            "nearest": ("variant", "boundary"),
            # Bins over which the curve falls from the first one on without a rise.
            "falling_bins": ("variant", "boundary"),
            # Mean absolute difference from 1 / (distance + 1), over pairs.
            "from_inverse_distance": ("variant", "boundary"),
            "torus": (),
        },
        coords={
            **_VARIANT,
            "boundary": (("boundary",), "str"),
            # In mm.
            "distance": (("boundary", "bin"), "float64"),
        },
        may_be_nan=["correlation", "sd", "pairs", "nearest", "from_inverse_distance", "distance"],
        attrs=("spacing",),
    ),
    *_analysis(
        "bits_per_dimension",
        {
            # Of a set of images, in bits a feature.
            "bits": ("set",),
            "reconstruction": ("set",),
            "kl_z": ("set",),
            "kl_u": ("set",),
            # As the published code averages over several sets; divided by latents instead of features.
            "per_latent": ("set",),
            "published_average": (),
            # What nothing can be below, and what predicting each feature's mean gives.
            "floor": (),
            "constant": ("set",),
            "log_likelihood": ("set", "estimator"),
        },
        coords={"set": (("set",), "str"), "estimator": (("estimator",), "str")},
        attrs=("dimensions", "latents"),
    ),
    *_analysis(
        "classification",
        {
            # Top-1 of `part`: all images; those without the class of faces; the same if faces were no choice.
            "accuracy": ("part",),
            "chance": ("part",),
        },
        coords={"part": (("part",), "str")},
        attrs=("classes",),
    ),
    # Sheets of all papers, by one set of metrics.
    *_analysis(
        "atlas",
        {
            # Each with the same of units in random places: mean, 2.5 % and 97.5 % quantiles over draws.
            **{f"morans_i{of}": ("variant",) for of in ("", "_excess", *_NULLS)},
            **{f"nearest{of}": () for of in ("", *_NULLS)},
            **{f"colocalization{of}": ("threshold",) for of in ("", *_NULLS)},
            **{f"smoothness{of}": () for of in ("", *_NULLS)},
            # Of shuffled labels.
            **{f"selective_share{of}": () for of in ("", *_NULLS)},
            "smoothness_label_null": (),
            "all_pairs": (),
            "correlation": ("bin",),
            "alike_share": ("threshold",),
            # Participation ratio over the number of units; of units whose images are in orders of their own.
            "dimensionality": (),
            "dimensionality_null": (),
            "participation_ratio": (),
            "constant_share": (),
            "torus": (),
        },
        coords={
            **_VARIANT,
            **_THRESHOLD,
            # Edges, in units of the sheet's width.
            "bin_low": (("bin",), "float64"),
            "bin_high": (("bin",), "float64"),
        },
        may_be_nan=[
            *(
                f"{name}{of}"
                for name in ("morans_i", "nearest", "colocalization", "smoothness")
                for of in ("", *_NULLS)
            ),
            *("morans_i_excess", "smoothness_label_null", "all_pairs", "correlation"),
            *("dimensionality", "dimensionality_null", "participation_ratio"),
        ],
        attrs=("images", "classes", "units", "rows", "cols", "chance_morans_i"),
    ),
)

SCHEMAS: Mapping[str, Schema] = {schema.name: schema for schema in _SCHEMAS}
