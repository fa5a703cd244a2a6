"""What sheets of units answer to a set of images: `python -m toporep.cli.responses`, called by the rules."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from toporep import rng
from toporep.data.features import CachedFeatures
from toporep.device import choose_device, set_precision
from toporep.errors import TopoRepError, run_command
from toporep.evaluation import TrainedRun, attributes, load_trained, make_parser, sheet_coords
from toporep.io import read_attributes, write_dataset
from toporep.losses.gaussian import gaussian_elbo_terms
from toporep.metrics.moments import Moments
from toporep.models.category_tvae import CategoryTVAE, second_moment
from toporep.models.feature_likelihood import feature_log_likelihood
from toporep.models.topographic_vae import Posterior, sample
from toporep.models.trained_category import NETWORKS, CategoryNetwork
from toporep.normal import normal
from toporep.runs import Paths, Run

if TYPE_CHECKING:
    import xarray as xr

ESTIMATORS = ("published", "corrected")
ACTIVATIONS = ("sampled", "mean")


class SetFeatures(Protocol):
    """The features of a set of images, each image once, in order; thumbnail: how the first of them look."""

    count: int
    width: int
    label: np.ndarray
    class_names: tuple[str, ...]
    thumbnail: np.ndarray
    source: str
    source_title: str
    data_sha256: str
    network: str

    def all(self, batch: int) -> Iterator[tuple[slice, Tensor]]: ...


@dataclass(frozen=True)
class TrainingFile:
    """What a file of features says of itself; its lists of images, which may be long, are not read.

    width: features of an image; class_names: one a label; network, transform, weights_sha256: what made the features.
    """

    path: str
    source: str
    source_title: str
    class_names: tuple[str, ...]
    data_sha256: str
    width: int
    network: str
    transform: str
    weights_sha256: str

    @classmethod
    def read(cls, path: str) -> TrainingFile:
        """Read the attributes of a file of schema `features`.

        Raises:
            TopoRepError: the file cannot be read, or is of another schema.
        """
        attrs = _attributes(path)
        kept = ("source", "source_title", "data_sha256", "network", "transform", "weights_sha256")
        return cls(
            path,
            class_names=tuple(json.loads(attrs["class_names"])),
            width=int(attrs["dimensions"]),
            **{name: str(attrs[name]) for name in kept},
        )


def main(arguments: list[str] | None = None) -> int:
    """Write one file a run."""
    parser = make_parser("responses", __doc__)
    parser.add_argument("--set", required=True, help="name of the set of images, such as faces")
    parser.add_argument("--training-features", required=True, help="features that the runs were trained on, netCDF")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    set_precision(device)
    paths, settings = Paths(options.root), json.loads(options.evaluation)
    training = TrainingFile.read(options.training_features)
    shown = _open_set(options.set, options.images, training)
    classes = training.class_names
    for run in options.runs:
        # One network at a time: nine of the paper's fill a GPU.
        one = load_trained(Run.parse(run), paths, training, device, models=NETWORKS)
        dataset = respond(one, shown, settings, name=options.set, classes=classes, device=device)
        dataset.attrs.update(attributes(one, training, settings, device), code_hash=options.code_hash)
        write_dataset(dataset, paths.evaluation(f"responses_{options.set}", run), "responses")
        print(f"{run}: {_describe(dataset)}", flush=True)
    return 0


@torch.inference_mode()
def respond(
    one: TrainedRun,
    shown: SetFeatures,
    settings: dict[str, Any],
    *,
    name: str,
    classes: Sequence[str],
    device: torch.device,
) -> xr.Dataset:
    """The answers of one network to one set of images.

    Quantities of a topographic VAE: `activation`, t; `mean_activation`, t without noise; `numerator` and
    `inverse_root`, the factors of t. Of the plain VAE: the first two. Of the TDANN: `activation`, FC6 before its
    ReLU; `rectified`, after it; `fc7`, before its ReLU. Of the pretrained layer: the first two of these.

    Args:
        one: the network.
        shown: features of the images.
        settings: `activation` ("sampled": one sample of the posterior, as published; "mean": without noise),
            `sampled_images`, `single_images`, `likelihood_images`, `likelihood_samples`, `batch_size`, `seed`. An
            image's noise depends on seed, set and its place in the set.
        name: of the set.
        classes: names of those that the network was trained on, in their order.
        device: where the network is.

    Returns:
        A dataset of schema `responses`, without the attributes that all evaluations have.

    Raises:
        TopoRepError: an unknown `activation`.

    Source: Keller, Gao & Welling 2021 (category), section 4; the published code for the one sample.
    """
    import xarray as xr

    if settings["activation"] not in ACTIVATIONS:
        raise TopoRepError(
            f"responses.activation: expected {' or '.join(ACTIVATIONS)}, found {settings['activation']!r}"
        )
    answer = _ANSWERS[one.model.kind](one.model, shown, settings, name=name, classes=classes, device=device)
    chosen = sampled_images(name, shown.count, settings)
    singles = min(settings["single_images"], len(shown.thumbnail), shown.count)
    moments: dict[str, Moments] = {}
    kept: dict[str, list[np.ndarray]] = {"sample": [], "single": []}
    numbers: dict[str, list[np.ndarray]] = {}
    for part, features in shown.all(settings["batch_size"]):
        found = answer(part.start, features.to(device))
        quantities = {quantity: _array(values) for quantity, values in found.quantities.items()}
        for quantity, values in quantities.items():
            moments.setdefault(quantity, Moments()).update(values)
        for number, values in found.numbers.items():
            numbers.setdefault(number, []).append(_array(values))
        inside = chosen[(chosen >= part.start) & (chosen < part.start + len(features))] - part.start
        kept["sample"].append(quantities["activation"][inside])
        kept["single"].append(quantities["activation"][: max(0, singles - part.start)])
    per_image = {number: np.concatenate(parts) for number, parts in numbers.items()}
    return xr.Dataset(
        {
            "mean": (("quantity", "unit"), np.stack([one.mean for one in moments.values()])),
            "squares": (("quantity", "unit"), np.stack([one.squares for one in moments.values()])),
            "sample": (("sampled", "unit"), np.concatenate(kept["sample"])),
            "sample_index": ("sampled", chosen),
            "single": (("example", "unit"), np.concatenate(kept["single"])),
            "thumbnail": (("example", "image_row", "image_col", "channel"), shown.thumbnail[:singles]),
            **answer.variables(per_image),
        },
        coords={
            **sheet_coords(one.grid),
            "quantity": ("quantity", np.array(list(moments), dtype=object)),
            **answer.coords,
        },
        attrs={
            "set": name,
            "set_source": shown.source,
            "set_title": shown.source_title,
            "set_sha256": shown.data_sha256,
            "n_images": shown.count,
            "network": shown.network,
            "dimensions": shown.width,
        },
    )


def sampled_images(name: str, count: int, settings: dict[str, Any]) -> np.ndarray:
    """Places of the images of a set whose activations are kept, rising: `sampled_images` of them drawn by `seed`."""
    order = rng.permutation(rng.key(settings["seed"], f"responses/sample/{name}"), count)
    return np.sort(order[: settings["sampled_images"]])


class _Found(NamedTuple):
    """Of some images: quantities (image, unit) by name, numbers (image,) by name."""

    quantities: dict[str, Tensor]
    numbers: dict[str, Tensor]


class _Answer(ABC):
    """What a network makes of features: called with the place of the first image in the set, and features."""

    # Coordinates of the variables below.
    coords: dict[str, tuple] = {}

    def __init__(
        self,
        model: CategoryNetwork,
        shown: SetFeatures,
        settings: dict[str, Any],
        *,
        name: str,
        classes: Sequence[str],
        device: torch.device,
    ) -> None:
        self.model, self.shown, self.settings = model, shown, settings
        self.name, self.classes, self.device = name, classes, device

    @abstractmethod
    def __call__(self, first: int, features: Tensor) -> _Found: ...

    def variables(self, per_image: dict[str, np.ndarray]) -> dict[str, tuple]:
        """Variables of the dataset, from all images' numbers."""
        return {name: ("image", values) for name, values in per_image.items()}


class _Autoencoder(_Answer):
    coords = {"estimator": ("estimator", np.array(ESTIMATORS, dtype=object))}

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._likelihoods: list[np.ndarray] = []

    def __call__(self, first: int, features: Tensor) -> _Found:
        net: CategoryTVAE = self.model.net
        features = self.model.normalize(features)
        posterior = net.encode(features)
        noises = [noise[0] for noise in self._noises("", first, len(features), samples=1)]
        z, u = sample(posterior, noise_z=noises[0], noise_u=noises[1] if net.topographic else None)
        t = net.sheet(z, u)
        terms = gaussian_elbo_terms(net.decode(t), features, posterior)
        numbers = {name: values.double() for name, values in terms.items()}
        numbers["feature_mean_square"] = features.double().square().mean(1)
        self._add_likelihoods(first, features)
        return _Found(self._quantities(posterior, z, u, t), numbers)

    def variables(self, per_image: dict[str, np.ndarray]) -> dict[str, tuple]:
        mean_square = float(per_image.pop("feature_mean_square").mean())
        found = {**super().variables(per_image), "feature_mean_square": ((), mean_square)}
        if self._likelihoods:
            found["log_likelihood"] = ("estimator", np.concatenate(self._likelihoods, axis=1).mean(axis=1))
        return found

    def _quantities(self, posterior: Posterior, z: Tensor, u: Tensor | None, t: Tensor) -> dict[str, Tensor]:
        net, sampled = self.model.net, self.settings["activation"] == "sampled"
        mean = net.mean_sheet(posterior)
        found = {"activation": t if sampled else mean, "mean_activation": mean}
        if not net.topographic:
            return found
        pair = (z, u.square()) if sampled else (posterior.z_mean, second_moment(posterior))
        return {**found, **dict(zip(("numerator", "inverse_root"), net.factors(*pair), strict=True))}

    def _add_likelihoods(self, first: int, features: Tensor) -> None:
        features = features[: max(0, self.settings["likelihood_images"] - first)]
        if len(features):
            noises = self._noises("likelihood_", first, len(features), samples=self.settings["likelihood_samples"])
            found = feature_log_likelihood(self.model.net, features, *noises)
            self._likelihoods.append(np.stack([_array(values) for values in found]))

    def _noises(self, purpose: str, first: int, images: int, *, samples: int) -> list[Tensor]:
        """Noise of z, and with a window of u, each (sample, image, unit)."""
        units, seed = self.model.net.units, self.settings["seed"]
        found = []
        for latent in "zu"[: 2 if self.model.net.topographic else 1]:
            name = f"responses/{purpose}{latent}/{self.name}"
            streams = [rng.key(seed, name, index) for index in range(samples)]
            noise = normal(streams, images * units, offset=first * units, device=self.device)
            found.append(noise.view(samples, images, units))
        return found


class _Classifier(_Answer):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        names = {name: index for index, name in enumerate(self.classes)}
        # The network's class of each class of the set.
        self._own = np.array([names.get(name, -1) for name in self.shown.class_names], dtype=np.int64)
        self._choice = torch.from_numpy(np.unique(self._own[self._own >= 0])).to(self.device)

    def __call__(self, first: int, features: Tensor) -> _Found:
        found = self.model.net(self.model.normalize(features))
        numbers = {"predicted": found.logits.argmax(1)}
        if len(self._choice):
            numbers["predicted_of_set"] = self._choice[found.logits[:, self._choice].argmax(1)]
        else:
            numbers["predicted_of_set"] = torch.full_like(numbers["predicted"], -1)
        return _Found({"activation": found.fc6, "rectified": F.relu(found.fc6), "fc7": found.fc7}, numbers)

    def variables(self, per_image: dict[str, np.ndarray]) -> dict[str, tuple]:
        return {**super().variables(per_image), "label": ("image", self._own[self.shown.label])}


class _Layer(_Answer):
    def __call__(self, first: int, features: Tensor) -> _Found:
        activation = self.model.net(self.model.normalize(features))
        return _Found({"activation": activation, "rectified": F.relu(activation)}, {})


_ANSWERS = {"tvae": _Autoencoder, "tdann": _Classifier, "fc6": _Layer}


def _open_set(name: str, path: str, training: TrainingFile) -> CachedFeatures:
    shown = CachedFeatures.open(path)
    for what in ("network", "transform", "weights_sha256"):
        expected, found = getattr(training, what), getattr(shown, what)
        if found != expected:
            raise TopoRepError(
                f"{path}: the features of {name} have another {what} than those that the networks were trained on "
                f"({training.path}): expected {expected}, found {found}; make both with the same `features` settings"
            )
    return shown


def _attributes(path: str) -> dict[str, Any]:
    attrs = read_attributes(path)
    if attrs.get("schema") != "features":
        raise TopoRepError(f"{path}: expected a file of schema 'features', found {attrs.get('schema')!r}")
    return attrs


def _describe(dataset: xr.Dataset) -> str:
    text = f"{dataset.attrs['n_images']} images of {dataset.attrs['set']}"
    if "nll" in dataset:
        bound = float(sum(dataset[name] for name in ("nll", "kl_z", "kl_u")).mean())
        return f"{text}, negative ELBO {bound:.1f} nats an image"
    if "predicted" in dataset and (dataset["label"] >= 0).any():
        return f"{text}, accuracy {float((dataset['predicted'] == dataset['label']).mean()):.3f}"
    return text


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy()


if __name__ == "__main__":
    run_command(main)
