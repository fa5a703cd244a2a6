"""Training and answers of networks of features by their commands, against direct computation in plain steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from test_training_category import CONDITIONS, COUNT, CPU, GRID, WIDTH, MemoryFeatures, settings_of

from toporep import rng
from toporep.cli.responses import respond, sampled_images
from toporep.errors import TopoRepError
from toporep.evaluation import TrainedRun
from toporep.models.trained_category import build_category
from toporep.normal import normal
from toporep.runs import Run

pytestmark = pytest.mark.usefixtures("restore_torch")

UNITS = GRID[0] * GRID[1]
CLASSES = ("scene", "face", "car")
EVALUATION = {
    "activation": "sampled",
    "sampled_images": 9,
    "single_images": 3,
    "likelihood_images": 10,
    "likelihood_samples": 6,
    "batch_size": 8,
    "seed": 4,
}


class SetFeatures(MemoryFeatures):
    """A set of images whose classes the network knows in another order, and one not at all."""

    source_title, network = "Test set", "gabor"
    data_sha256 = "set"

    def __init__(self, class_names: tuple[str, ...] = ("body", "face", "scene")) -> None:
        super().__init__()
        self.class_names = class_names
        self.thumbnail = np.random.default_rng(1).integers(0, 255, (4, 64, 64, 3), dtype=np.uint8)


def network_of(condition: str) -> TrainedRun:
    settings = settings_of(condition, 3)
    torch.manual_seed(0)
    model = build_category(settings, width=WIDTH, classes=len(CLASSES)).eval()
    with torch.no_grad():
        # Weights large enough that the posterior is not the prior.
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
        if model.norm is not None:
            model.norm.running_mean.uniform_(0, 1)
            model.norm.running_var.uniform_(0.5, 2)
    run = Run("keller2021_category", "imagenet_faces", condition, 0, 3)
    return TrainedRun(run, model, {"settings": settings}, [])


def answer(condition: str, shown: SetFeatures | None = None, **settings):
    return respond(
        network_of(condition),
        shown or SetFeatures(),
        {**EVALUATION, **settings},
        name="faces",
        classes=CLASSES,
        device=CPU,
    )


def noise_of(latent: str) -> np.ndarray:
    return normal([rng.key(4, f"responses/{latent}/faces", 0)], COUNT * UNITS).view(COUNT, UNITS).double().numpy()


def by_hand(condition: str) -> dict[str, np.ndarray]:
    """z, u, their moments and t of all images in float64, window by window."""
    model = network_of(condition).model.double()
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    features = SetFeatures().crop(1).astype(np.float64)
    features = (features - state["norm.running_mean"]) / np.sqrt(state["norm.running_var"] + 1e-5)
    found: dict[str, np.ndarray] = {"features": features}
    for latent in "zu" if CONDITIONS[condition]["window"] else "z":
        both = features @ state[f"net.{latent}_encoder.weight"].T + state[f"net.{latent}_encoder.bias"]
        mean, logvar = both[:, :UNITS], both[:, UNITS:]
        found |= {f"{latent}_mean": mean, f"{latent}_var": np.exp(logvar)}
        found[latent] = mean + np.exp(logvar / 2) * noise_of(latent)
        found[f"kl_{latent}"] = 0.5 * (np.exp(logvar) + mean**2 - 1 - logvar).sum(axis=1)
    if "u" not in found:
        found |= {"t": found["z"], "t_mean": found["z_mean"], "kl_u": np.zeros(COUNT)}
    else:
        mu = float(state["net.mu"])
        for name, z, squares in (
            ("t", found["z"], found["u"] ** 2),
            ("t_mean", found["z_mean"], found["u_mean"] ** 2 + found["u_var"]),
        ):
            sheets = squares.reshape(COUNT, *GRID)
            v = sum(np.roll(sheets, (row, col), axis=(1, 2)) for row in (-1, 0, 1) for col in (-1, 0, 1))
            inverse = 1 / np.sqrt(v.reshape(COUNT, UNITS) + 1e-6)
            found |= {name: (z + mu) * inverse, f"{name}_numerator": z + mu, f"{name}_inverse_root": inverse}
    decoded = found["t"] @ state["net.decoder.weight"] + state["net.decoder.bias"]
    found["nll"] = (0.5 * (features - decoded) ** 2 + 0.5 * math.log(2 * math.pi)).sum(axis=1)
    return found


def check_moments(dataset, quantity: str, values: np.ndarray) -> None:
    chosen = dataset.sel(quantity=quantity)
    np.testing.assert_allclose(chosen["mean"], values.mean(axis=0), rtol=1e-4, atol=1e-6, err_msg=quantity)
    np.testing.assert_allclose(chosen["squares"], COUNT * values.var(axis=0), rtol=1e-3, err_msg=quantity)


@pytest.mark.parametrize("condition", ["tvae", "vae"])
@pytest.mark.parametrize("activation", ["sampled", "mean"])
def test_moments_and_bounds_of_autoencoders(condition, activation):
    dataset, expected = answer(condition, activation=activation), by_hand(condition)
    t = "t" if activation == "sampled" else "t_mean"
    check_moments(dataset, "activation", expected[t])
    check_moments(dataset, "mean_activation", expected["t_mean"])
    if condition == "tvae":
        check_moments(dataset, "numerator", expected[f"{t}_numerator"])
        check_moments(dataset, "inverse_root", expected[f"{t}_inverse_root"])
    assert (
        list(dataset["quantity"].values)
        == ["activation", "mean_activation", "numerator", "inverse_root"][: 4 if condition == "tvae" else 2]
    )
    # The bound is that of one sample of the posterior in either case.
    for name in ("nll", "kl_z", "kl_u"):
        np.testing.assert_allclose(dataset[name], expected[name], rtol=1e-4, err_msg=name)
    assert float(dataset["feature_mean_square"]) == pytest.approx((expected["features"] ** 2).mean(), rel=1e-5)
    chosen = sampled_images("faces", COUNT, EVALUATION)
    assert len(chosen) == 9 and (np.diff(chosen) > 0).all()
    assert np.array_equal(dataset["sample_index"], chosen)
    np.testing.assert_allclose(dataset["sample"], expected[t][chosen], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(dataset["single"], expected[t][:3], rtol=1e-3, atol=1e-4)
    assert np.array_equal(dataset["thumbnail"], SetFeatures().thumbnail[:3])
    assert np.array_equal(dataset["row"] * GRID[1] + dataset["col"], np.arange(UNITS))


@pytest.mark.parametrize("condition", ["tvae", "vae", "tdann"])
def test_batches_do_not_matter(condition):
    one, all_at_once = answer(condition, batch_size=1), answer(condition, batch_size=100)
    for name in one.data_vars:
        np.testing.assert_allclose(one[name], all_at_once[name], rtol=1e-4, atol=1e-4, err_msg=name)


def test_likelihoods_are_those_of_the_first_images():
    """log p(x) of an image, from the definition: the mean of p(x, z, u) / q(z, u) over samples of q."""
    dataset, expected = answer("tvae"), by_hand("tvae")
    state = {name: tensor.numpy() for name, tensor in network_of("tvae").model.double().state_dict().items()}
    images, samples = EVALUATION["likelihood_images"], EVALUATION["likelihood_samples"]
    logs = np.zeros((samples, images))
    for sample in range(samples):
        latents = {}
        for latent in "zu":
            stream = rng.key(4, f"responses/likelihood_{latent}/faces", sample)
            noise = normal([stream], images * UNITS).view(images, UNITS).double().numpy()
            variance = expected[f"{latent}_var"][:images]
            latents[latent] = expected[f"{latent}_mean"][:images] + np.sqrt(variance) * noise
            log_q = -0.5 * (noise**2 + np.log(2 * math.pi * variance)).sum(axis=1)
            log_p = -0.5 * (latents[latent] ** 2 + math.log(2 * math.pi)).sum(axis=1)
            logs[sample] += log_p - log_q
        squares = (latents["u"] ** 2).reshape(images, *GRID)
        v = sum(np.roll(squares, (row, col), axis=(1, 2)) for row in (-1, 0, 1) for col in (-1, 0, 1))
        t = (latents["z"] + float(state["net.mu"])) / np.sqrt(v.reshape(images, UNITS) + 1e-6)
        decoded = t @ state["net.decoder.weight"] + state["net.decoder.bias"]
        logs[sample] -= (0.5 * (expected["features"][:images] - decoded) ** 2).sum(axis=1)
        logs[sample] -= WIDTH * 0.5 * math.log(2 * math.pi)
    corrected = np.log(np.exp(logs - logs.max(axis=0)).mean(axis=0)) + logs.max(axis=0)
    found = dict(zip(dataset["estimator"].values, dataset["log_likelihood"].values, strict=True))
    assert found["corrected"] == pytest.approx(corrected.mean(), rel=1e-4)
    assert found["published"] == pytest.approx(found["corrected"] + math.log(samples), abs=1e-6)


def test_answers_of_classifiers():
    dataset = answer("tdann")
    state = {name: tensor.double().numpy() for name, tensor in network_of("tdann").model.state_dict().items()}
    # No dropout, no normalization.
    fc6 = SetFeatures().crop(1) @ state["net.fc6.weight"].T + state["net.fc6.bias"]
    fc7 = np.maximum(fc6, 0) @ state["net.fc7.weight"].T + state["net.fc7.bias"]
    logits = np.maximum(fc7, 0) @ state["net.fc8.weight"].T + state["net.fc8.bias"]
    for quantity, values in (("activation", fc6), ("rectified", np.maximum(fc6, 0)), ("fc7", fc7)):
        check_moments(dataset, quantity, values)
    # The set's body, face and scene are none, 1 and 0 of the network's scene, face and car.
    assert np.array_equal(dataset["label"], np.array([-1, 1, 0])[np.arange(COUNT) % 3])
    assert np.array_equal(dataset["predicted"], logits.argmax(axis=1))
    assert np.array_equal(dataset["predicted_of_set"], logits[:, :2].argmax(axis=1))
    # The restriction matters for some image.
    assert (dataset["predicted"] != dataset["predicted_of_set"]).any() or (logits.argmax(axis=1) != 2).all()
    assert "nll" not in dataset and "log_likelihood" not in dataset


def test_a_set_of_unknown_classes_leaves_no_choice():
    dataset = answer("tdann", SetFeatures(("a", "b", "c")))
    assert (dataset["label"] == -1).all() and (dataset["predicted_of_set"] == -1).all()
    assert set(np.unique(dataset["predicted"])) <= {0, 1, 2}


def test_the_pretrained_layer_is_affine():
    dataset = answer("fc6")
    state = network_of("fc6").model.state_dict()
    values = SetFeatures().crop(1) @ state["net.weight"].numpy().T + state["net.bias"].numpy()
    check_moments(dataset, "activation", values)
    check_moments(dataset, "rectified", np.maximum(values, 0))
    assert list(dataset["quantity"].values) == ["activation", "rectified"] and "predicted" not in dataset


def test_sets_are_drawn_apart():
    """The same image in two sets has noise of its own in each, so that no unit prefers one set by its noise."""
    shown = SetFeatures()
    first, second = (
        respond(network_of("vae"), shown, EVALUATION, name=name, classes=CLASSES, device=CPU) for name in ("a", "b")
    )
    noise = [one["single"].values - one["single"].values.mean() for one in (first, second)]
    assert not np.allclose(*noise)
    np.testing.assert_allclose(
        first.sel(quantity="mean_activation")["mean"], second.sel(quantity="mean_activation")["mean"]
    )


def test_an_unknown_activation_is_refused():
    with pytest.raises(TopoRepError, match="responses.activation: expected sampled or mean, found 'median'"):
        answer("tvae", activation="median")
