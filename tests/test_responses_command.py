"""Training and answers of networks of features by their commands, against direct computation in plain steps."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from category_folders import make_folders, random_alexnet, small_registry, write_weights
from test_features_cached import SETTINGS as FEATURES
from test_features_cached import registry
from test_features_live import SETTINGS as LIVE_FEATURES
from test_training_category import CONDITIONS, COUNT, CPU, GRID, WIDTH, MemoryFeatures, settings_of

from toporep import rng
from toporep.cli import responses, train_category
from toporep.cli.responses import respond, sampled_images
from toporep.config import load_config, read_yaml
from toporep.data.features import CachedFeatures, open_training_features
from toporep.data.write_features import write_features
from toporep.errors import TopoRepError
from toporep.evaluation import TrainedRun
from toporep.io import read_dataset
from toporep.models import alexnet
from toporep.models.trained_category import build_category
from toporep.normal import normal
from toporep.runs import Paths, Run, run_settings
from toporep.tensors import load_tensors
from toporep.train.category import _read_pretrained
from toporep.train.spec import pack

pytestmark = pytest.mark.usefixtures("restore_torch")

UNITS = GRID[0] * GRID[1]
CLASSES = ("car", "scene", "face")
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
        if condition == "tdann":
            # No class is every image's.
            logits = model.net(torch.from_numpy(SetFeatures().crop(1))).logits
            model.net.fc8.bias -= logits.mean(dim=0)
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
    # The set's body, face and scene are none, 2 and 1 of the network's car, scene and face.
    assert np.array_equal(dataset["label"], np.array([-1, 2, 1])[np.arange(COUNT) % 3])
    assert np.array_equal(dataset["predicted"], logits.argmax(axis=1))
    assert (dataset["predicted"] == 0).any()
    assert np.array_equal(dataset["predicted_of_set"], 1 + logits[:, 1:].argmax(axis=1))
    assert len(np.unique(dataset["predicted_of_set"])) == 2
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


# The commands, on features in files.

CONFIG = Path(__file__).parents[1] / "config"
TVAE, UNTRAINED, TDANN = (
    Run("keller2021_category", "imagenet_faces", name, 0, 0) for name in ("tvae", "tvae_untrained", "tdann")
)

_WINDOWED = ("tvae", "tvae_untrained", *(f"tvae_{size}_window" for size in ("smallest", "smaller", "larger")))


def write(path: Path, **images: int) -> None:
    """Features of a source `mix`; each category is a class, `all face` of faces."""
    write_features("mix", path, features=FEATURES, array=path.with_suffix(".npy"), registry=registry(**images))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Features of 60 images; three networks trained on them by the command; features of a set of hands and faces."""
    root = tmp_path_factory.mktemp("results")
    write(root / "training.nc", face=30, scene=30)
    write(root / "shown.nc", hand=5, face=12)
    main = read_yaml(CONFIG / "config.yaml") | {"papers": ["keller2021_category"]}
    small = {
        "features": FEATURES,
        "datasets": {"imagenet_faces": {"grid": [6, 6], "batch_size": 10}},
        "models": {"tvae": {"epochs": 2, "learning_rate": 0.0003}, "tdann": {"epochs": 2}},
        "conditions": {"fc6": {"model": "tdann", "trained": True, "dropout": 0.5}},
    }
    small["conditions"] |= {name: {"window": 3, "mu": 4.8} for name in _WINDOWED}
    config = load_config({**main, "overrides": {"keller2021_category": small}}, CONFIG)
    for runs in ([TVAE, UNTRAINED], [TDANN]):
        spec = pack([run_settings(config, run) for run in runs], runs)
        arguments = ["--spec", spec, "--images", str(root / "training.nc"), "--root", str(root)]
        assert train_category.main([*arguments, "--code-hash", "0" * 16, "--device", "cpu"]) == 0
    return root


def evaluate(folder: Path, *runs: Run, images: str = "shown", name: str = "mixed", **settings) -> list:
    arguments = ["--runs", *(run.id for run in runs), "--images", str(folder / f"{images}.nc"), "--set", name]
    arguments += ["--training-features", str(folder / "training.nc"), "--root", str(folder)]
    arguments += ["--evaluation", json.dumps({**EVALUATION, **settings}), "--code-hash", "0" * 16, "--device", "cpu"]
    assert responses.main(arguments) == 0
    return [read_dataset(Paths(str(folder)).evaluation(f"responses_{name}", run), "responses") for run in runs]


def test_the_commands_train_and_evaluate(folder):
    trained, untrained, tdann = evaluate(folder, TVAE, UNTRAINED, TDANN)
    training, shown = (CachedFeatures.open(folder / f"{name}.nc") for name in ("training", "shown"))
    for dataset, run in ((trained, TVAE), (untrained, UNTRAINED), (tdann, TDANN)):
        attrs = dataset.attrs
        assert (attrs["data_sha256"], attrs["set_sha256"]) == (training.data_sha256, shown.data_sha256)
        assert (attrs["set"], attrs["set_title"], attrs["n_images"], attrs["network"]) == ("mixed", "Mix", 17, "gabor")
        config = json.loads(attrs["config"])
        assert (config["condition"]["name"], config["grid"]) == (run.condition, [6, 6])
        assert config["training"]["train_images"] == 60
        assert json.loads(attrs["class_names"]) == ["all face", "all scene"]
        assert np.array_equal(dataset["thumbnail"], shown.thumbnail[:3])
    # Hands are no class of the network's; faces are its first.
    assert np.array_equal(tdann["label"], [-1] * 5 + [0] * 12)
    assert (tdann["predicted_of_set"] == 0).all()
    assert float(trained["nll"].mean()) < float(untrained["nll"].mean())
    provenance = json.loads(Path(Paths(str(folder)).provenance(UNTRAINED)).read_text())
    assert provenance["epochs"] == 0 and provenance["class_names"] == ["all face", "all scene"]
    assert provenance["train_images"] == 60 and provenance["recognised_as"] == "generated"


def test_an_untrained_network_sees_features_of_unit_variance(folder):
    (dataset,) = evaluate(folder, UNTRAINED, images="training", name="seen")
    tensors, _ = load_tensors(Paths(str(folder)).weights(UNTRAINED))
    values = torch.cat([rows for _, rows in CachedFeatures.open(folder / "training.nc").all(60)]).double()
    varying = int((values.var(dim=0) > 1e-3).sum())
    np.testing.assert_allclose(tensors["norm.running_mean"], values.mean(dim=0), rtol=1e-5, atol=1e-7)
    # 59/60: the running variance is unbiased. Features that hardly vary are smaller still.
    assert varying * 0.96 / 576 < float(dataset["feature_mean_square"]) <= 59 / 60 + 1e-6


def test_a_second_run_of_the_command_writes_the_same_bytes(folder):
    path = Path(Paths(str(folder)).evaluation("responses_twice", TVAE))
    evaluate(folder, TVAE, name="twice")
    first = path.read_bytes()
    evaluate(folder, TVAE, name="twice")
    assert path.read_bytes() == first


def test_features_of_another_kind_are_refused(folder):
    path = folder / "other.nc"
    settings = {**FEATURES, "seed": 1}
    write_features("mix", path, features=settings, array=path.with_suffix(".npy"), registry=registry(face=4))
    with pytest.raises(TopoRepError, match=r"other.nc: the features of mixed have another transform than those"):
        evaluate(folder, TVAE, images="other")


def test_other_training_features_and_other_files_are_refused(folder, tmp_path):
    arguments = ["--runs", TVAE.id, "--images", str(folder / "shown.nc"), "--set", "mixed", "--root", str(folder)]
    arguments += ["--evaluation", json.dumps(EVALUATION), "--code-hash", "0" * 16, "--device", "cpu"]
    with pytest.raises(TopoRepError, match="was trained on other data"):
        responses.main([*arguments, "--training-features", str(folder / "shown.nc")])
    with pytest.raises(TopoRepError, match="expected a file of schema 'features', found 'responses'"):
        evaluate(folder, TVAE, name="first")
        path = Paths(str(folder)).evaluation("responses_first", TVAE)
        responses.main([*arguments, "--training-features", path])
    with pytest.raises(TopoRepError, match="cannot be read as netCDF"):
        responses.main([*arguments, "--training-features", str(tmp_path / "none.nc")])


# AlexNet, with random weights: features made as training goes on, and its first linear layer.


@pytest.fixture
def data_dir(tmp_path, monkeypatch) -> Path:
    """Folders of small images and weights, known to the commands."""
    weights = write_weights(tmp_path / "data" / "models", random_alexnet())
    make_folders(tmp_path / "data")
    known = small_registry(alexnet={"weights": [weights.name]})
    monkeypatch.setattr(alexnet, "load_image_sets", lambda: known)
    monkeypatch.setenv("TOPOREP_DATA", str(tmp_path / "data"))
    for source, array in (("imagenet_lfw", None), ("vggface2", tmp_path / "shown.npy")):
        output = tmp_path / ("training.nc" if array is None else "shown.nc")
        write_features(source, output, features=LIVE_FEATURES, array=array, registry=known, device="cpu")
    return tmp_path


def train_on_folders(folder: Path, runs: list[Run], settings: list[dict]) -> None:
    arguments = ["--spec", pack(settings, runs), "--images", str(folder / "training.nc"), "--root", str(folder)]
    assert train_category.main([*arguments, "--code-hash", "0" * 16, "--device", "cpu"]) == 0


def test_training_on_crops_made_anew(data_dir):
    """The untrained network is normalized by the crops of the first epoch, which are those of the file's first crop."""
    settings = [settings_of(run.condition, batch_size=9, learning_rate=1e-5) for run in (TVAE, UNTRAINED)]
    for one in settings:
        one["features"] = LIVE_FEATURES
    train_on_folders(data_dir, [TVAE, UNTRAINED], settings)
    trained, untrained = evaluate(data_dir, TVAE, UNTRAINED)
    assert trained.sizes["unit"] == UNITS and trained.attrs["n_images"] == 8
    assert json.loads(trained.attrs["config"])["training"]["train_images"] == 27
    (seen,) = open_training_features(data_dir / "training.nc", LIVE_FEATURES).batches(1, np.arange(27)[None], CPU)
    seen = seen.double()
    tensors, _ = load_tensors(Paths(str(data_dir)).weights(UNTRAINED))
    np.testing.assert_allclose(tensors["norm.running_mean"], seen.mean(dim=0), rtol=1e-4, atol=1e-6)


def test_the_pretrained_layer_answers_as_alexnet(data_dir):
    fc6 = Run("keller2021_category", "imagenet_faces", "fc6", 0, 0)
    settings = settings_of("fc6", grid=(64, 64), batch_size=9)
    train_on_folders(data_dir, [fc6], [{**settings, "features": LIVE_FEATURES}])
    (dataset,) = evaluate(data_dir, fc6, sampled_images=8)
    features = torch.cat([rows for _, rows in CachedFeatures.open(data_dir / "shown.nc").all(8)])
    state = random_alexnet()
    expected = features @ state["classifier.1.weight"].T + state["classifier.1.bias"]
    np.testing.assert_allclose(dataset["sample"], expected, rtol=1e-3, atol=1e-2)


def test_other_weights_than_the_features_came_from_are_refused(data_dir, monkeypatch):
    shown = CachedFeatures.open(data_dir / "shown.nc")
    monkeypatch.setattr(shown, "weights_sha256", "0" * 64)
    with pytest.raises(TopoRepError, match="not the weights that the features were made with"):
        _read_pretrained(shown)
