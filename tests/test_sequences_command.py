"""Training and evaluation of Topographic VAEs by their commands, against direct computation in plain steps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import torch

from toporep import rng
from toporep.cli import max_images, sequences, train_capsules
from toporep.cli.sequences import choose_examples
from toporep.config import load_config, read_yaml
from toporep.data.images import GENERATED, ImageData, save_images
from toporep.data.sequences import draw_sequences, render_sequences
from toporep.errors import TopoRepError
from toporep.io import read_dataset
from toporep.metrics.capsule_latents import topographic_latents
from toporep.models.grouper import grouper_of
from toporep.models.trained_vae import build_vae
from toporep.normal import normal
from toporep.runs import Paths, Run, run_settings
from toporep.tensors import load_tensors
from toporep.train.spec import pack

pytestmark = pytest.mark.usefixtures("restore_torch")

CONFIG = Path(__file__).parents[1] / "config"
TVAE, OTHER, VAE = (Run("keller2021_capsules", "mnist", name, 0, 1) for name in ("tvae_5_36", "tvae_1_2", "vae"))
TORUS = Run("keller2021_capsules", "mnist_plain", "torus", 0, 0)
EVALUATION = {
    "latents": "sampled",
    "likelihood_samples": 4,
    "likelihood_sequences": 5,
    "untrained_sequences": 3,
    "max_sequences": None,
    "examples": 4,
    "seed": 0,
    "test_images": 7,
}
FRAMES, CAPSULES, UNITS, SIDE = 18, 2, 18, 6


def images_of_digits() -> ImageData:
    random = np.random.default_rng(1)
    pixels = random.integers(0, 256, (40, SIDE, SIDE, 1)) * (random.random((40, SIDE, SIDE, 1)) > 0.5)
    labels = np.arange(40) % 4
    pixels = pixels.astype(np.uint8)
    return ImageData.from_arrays(
        (pixels[:30], labels[:30], pixels[30:], labels[30:]),
        class_names=list("abcd"),
        source="test",
        source_title="Test images",
        recognised_as=GENERATED,
        origin="noise",
        licence="none",
    )


IMAGES = images_of_digits()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Results of training jobs, by the command; each data set's runs are one job."""
    root = tmp_path_factory.mktemp("results")
    save_images(IMAGES, root / "images.nc")
    main = read_yaml(CONFIG / "config.yaml") | {"papers": ["keller2021_capsules"]}
    small = {"epochs": 1, "train_images": 16, "learning_rate": 0.001, "batch_size": 8, "seeds": [0, 1]}
    small = {"mnist": {**small, "capsules": CAPSULES}, "mnist_plain": {**small, "units": 36}}
    main["overrides"] = {"keller2021_capsules": {"datasets": small}}
    config = load_config(main, CONFIG)
    for runs in ([TVAE, OTHER, VAE], [TORUS]):
        spec = pack([run_settings(config, run) for run in runs], runs)
        arguments = ["--spec", spec, "--images", str(root / "images.nc"), "--root", str(root), "--code-hash", "0" * 16]
        assert train_capsules.main([*arguments, "--device", "cpu"]) == 0
    return root


def evaluate(command, folder: Path, *runs: Run, **settings):
    name = command.__name__.rpartition(".")[2]
    arguments = ["--runs", *(run.id for run in runs), "--images", str(folder / "images.nc"), "--root", str(folder)]
    settings = {**(EVALUATION if command is sequences else {"activation": "signed", "test_images": None}), **settings}
    arguments += ["--evaluation", json.dumps(settings), "--code-hash", "0" * 16, "--device", "cpu"]
    assert command.main(arguments) == 0
    return [read_dataset(Paths(str(folder)).evaluation(name, run), name) for run in runs]


def settings_of(folder: Path, run: Run) -> dict:
    return json.loads(Path(Paths(str(folder)).provenance(run)).read_text())["settings"]


def model_of(folder: Path, run: Run, *, trained: bool = True):
    model = build_vae([settings_of(folder, run)], run.seed, image_size=(SIDE, SIDE))
    if trained:
        model.load_state_dict(load_tensors(Paths(str(folder)).weights(run))[0])
    return model.double().eval()


def frames_of_test() -> torch.Tensor:
    """(sequence, frame, pixel): the sequences of the evaluation, of the first seven test images."""
    indices = np.arange(7)
    draws = draw_sequences("single", 0, 0, indices, purpose="evaluated sequences")
    return render_sequences(torch.from_numpy(IMAGES.images_test), indices, draws).flatten(2).double()


def noise_of(name: str) -> torch.Tensor:
    count = 7 * FRAMES * CAPSULES * UNITS
    return normal([rng.key(0, f"evaluation/{name}", 0)], count).view(7 * FRAMES, -1).double()


def nll(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(…) nats, from the definition."""
    p = scipy.special.expit(logits)
    return -(targets * np.log(p) + (1 - targets) * np.log1p(-p)).sum(-1)


@pytest.mark.parametrize("run", [TVAE, OTHER, VAE], ids=lambda run: run.condition)
@torch.no_grad()
def test_latents_and_decoded_frames_are_those_of_plain_steps(folder, run):
    (found,) = evaluate(sequences, folder, run)
    model, frames = model_of(folder, run), frames_of_test()
    posterior = model.encode(frames.flatten(0, 1))
    z = posterior.z_mean + (0.5 * posterior.z_logvar).exp() * noise_of("z")
    np.testing.assert_allclose(found["z"].values.reshape(z.shape), z, rtol=1e-4, atol=1e-5)
    assert ("u" in found) == (run != VAE)
    if run != VAE:
        u = posterior.u_mean + (0.5 * posterior.u_logvar).exp() * noise_of("u")
        np.testing.assert_allclose(found["u"].values.reshape(u.shape), u, rtol=1e-4, atol=1e-5)
    # t by the NumPy kernel that analyses use, from what the file holds.
    shape = (7, FRAMES, CAPSULES, UNITS)
    latents = [found[name].values.reshape(shape) for name in ("z", "u") if name in found]
    grouper = grouper_of(settings_of(folder, run))
    t = topographic_latents(*latents, *([] if grouper is None else [grouper]), mu=float(found["mu"]))
    expected = {
        "reconstruction": t,
        "rolled": np.stack([np.roll(t[:, 0], frame, axis=-1) for frame in range(FRAMES)], axis=1),
        "static": np.repeat(t[:, :1], FRAMES, axis=1),
    }
    for name, variables in expected.items():
        logits = model.decode(torch.from_numpy(variables.reshape(7 * FRAMES, -1))).numpy().reshape(frames.shape)
        one = found.sel(prediction=name)
        np.testing.assert_allclose(one["nll"], nll(logits, frames.numpy()), rtol=1e-4)
        squares = ((scipy.special.expit(logits) - frames.numpy()) ** 2).sum(-1)
        np.testing.assert_allclose(one["squared_error"], squares, rtol=1e-4)
        if name == "rolled":
            shown = found["example_traversal"].values.reshape(4, FRAMES, SIDE, SIDE, 3)
            images = (255 * scipy.special.expit(logits)).reshape(7, FRAMES, 3, SIDE, SIDE)
            assert np.abs(shown - np.moveaxis(images, 2, -1)[found["example_sequence"].values]).max() < 0.51
    kl = 0.5 * (posterior.z_logvar.exp() + posterior.z_mean**2 - 1 - posterior.z_logvar)
    np.testing.assert_allclose(found["kl_z"], kl.sum(-1).view(7, FRAMES).mean(1), rtol=1e-4)
    mean = frames.numpy().reshape(-1, 108).mean(axis=0)
    assert float(found["constant_pixel_nll"]) == pytest.approx(
        scipy.special.entr(mean).sum() + scipy.special.entr(1 - mean).sum(), rel=1e-6
    )


@torch.no_grad()
def test_likelihoods_are_importance_weights_written_out(folder):
    (found,) = evaluate(sequences, folder, TVAE)
    model, frames = model_of(folder, TVAE), frames_of_test()[:5]
    posterior = model.encode(frames.flatten(0, 1))
    weights = []
    for sample in range(4):
        count, log_weight = 5 * FRAMES * CAPSULES * UNITS, 0
        latents = {}
        for name in ("z", "u"):
            noise = normal([rng.key(0, f"evaluation/likelihood_{name}", sample)], count).view(5 * FRAMES, -1).double()
            mean, logvar = getattr(posterior, f"{name}_mean"), getattr(posterior, f"{name}_logvar")
            latents[name] = mean + (0.5 * logvar).exp() * noise
            prior = torch.distributions.Normal(0, 1).log_prob(latents[name])
            proposal = torch.distributions.Normal(mean, (0.5 * logvar).exp()).log_prob(latents[name])
            log_weight = log_weight + (prior - proposal).sum(-1)
        logits = model.decode(model.capsules(latents["z"], latents["u"])).numpy()
        weights.append(log_weight.numpy() - nll(logits, frames.flatten(0, 1).numpy()))
    weights = np.array(weights).reshape(4, 5, FRAMES)
    published = scipy.special.logsumexp(weights, axis=0).mean(axis=1)
    joint = (scipy.special.logsumexp(weights.sum(axis=2), axis=0) - np.log(4)) / FRAMES
    values = found["log_likelihood"]
    np.testing.assert_allclose(values.sel(estimator="published"), published, rtol=1e-4)
    np.testing.assert_allclose(values.sel(estimator="corrected"), published - np.log(4), rtol=1e-4)
    np.testing.assert_allclose(values.sel(estimator="joint"), joint, rtol=1e-4)


@torch.no_grad()
def test_the_network_before_training_is_the_one_of_its_seed(folder):
    (found,) = evaluate(sequences, folder, TVAE)
    model = model_of(folder, TVAE, trained=False)
    posterior = model.encode(frames_of_test()[:3].flatten(0, 1))
    expected = posterior.z_mean + (0.5 * posterior.z_logvar).exp() * noise_of("z")[: 3 * FRAMES]
    np.testing.assert_allclose(found["z_untrained"].values.reshape(expected.shape), expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(found["z_untrained"], found["z"][:3], atol=1e-4)


def test_all_networks_see_the_same_sequences_and_means_need_no_noise(folder):
    tvae, vae = evaluate(sequences, folder, TVAE, VAE)
    for name in ("factor", "start", "label", "example_sequence", "example_frames", "entropy_floor"):
        np.testing.assert_array_equal(tvae[name], vae[name])
    assert json.loads(tvae.attrs["factor_names"]) == ["rotation", "scale", "color"]
    np.testing.assert_array_equal(tvae["label"], IMAGES.label_test[:7])
    (means,) = evaluate(sequences, folder, VAE, latents="mean")
    with torch.no_grad():
        expected = model_of(folder, VAE).encode(frames_of_test().flatten(0, 1)).z_mean
    np.testing.assert_allclose(means["z"].values.reshape(expected.shape), expected, rtol=1e-4, atol=1e-5)


def test_a_cap_takes_the_first_sequences_as_they_were(folder):
    (whole,), (few,) = evaluate(sequences, folder, TVAE), evaluate(sequences, folder, TVAE, max_sequences=3)
    assert few.sizes["sequence"] == few.sizes["likelihood"] == 3
    for name in ("z", "u", "kl_u"):
        np.testing.assert_allclose(few[name], whole[name][:3], rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_each_unit_of_a_torus_gets_its_largest_image(folder):
    (signed,), (absolute,) = (
        evaluate(max_images, folder, TORUS),
        evaluate(max_images, folder, TORUS, activation="absolute"),
    )
    model = model_of(folder, TORUS)
    pixels = torch.from_numpy(IMAGES.images_test).double().flatten(1) / 255
    posterior = model.encode(pixels)
    latents = []
    for name in ("z", "u"):
        noise = normal([rng.key(0, f"evaluation/{name}")], 10 * 36).view(10, 36).double()
        mean, logvar = getattr(posterior, f"{name}_mean"), getattr(posterior, f"{name}_logvar")
        latents.append(mean + (0.5 * logvar).exp() * noise)
    t = model.capsules(*latents).numpy()
    np.testing.assert_array_equal(signed["index"], t.argmax(axis=0))
    np.testing.assert_array_equal(absolute["index"], np.abs(t).argmax(axis=0))
    np.testing.assert_array_equal(signed["image"], IMAGES.images_test[t.argmax(axis=0)])
    np.testing.assert_array_equal(signed["label"], IMAGES.label_test[t.argmax(axis=0)])
    assert int(signed.attrs["n_stimuli"]) == 10


def test_examples_are_even_over_factors_and_labels():
    factor, label = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2, 2]), np.array([4, 4, 5, 4, 5, 5, 6, 7, 7, 8])
    chosen = choose_examples(factor, label, 6)
    assert np.bincount(factor[chosen]).tolist() == [2, 2, 2] and factor[chosen[:3]].tolist() == [0, 1, 2]
    for number in range(3):
        assert len(set(label[chosen][factor[chosen] == number])) == 2
    assert sorted(choose_examples(factor, label, 99)) == list(range(10))


def test_a_likelihood_that_no_network_can_reach_is_an_error(folder, monkeypatch):
    original = sequences.log_likelihood
    monkeypatch.setattr(
        sequences, "log_likelihood", lambda *a: type(original(*a))(*(part + 200 for part in original(*a)))
    )
    with pytest.raises(TopoRepError, match=r"log p\(x\): expected a mean of at most"):
        evaluate(sequences, folder, VAE)


def test_networks_of_other_sequences_are_refused(folder):
    with pytest.raises(TopoRepError, match=r"expected networks of one kind of sequences, found plain .*, single \("):
        evaluate(sequences, folder, TVAE, TORUS)


def test_only_a_torus_has_largest_images(folder):
    with pytest.raises(TopoRepError, match="expected single images and one capsule of a square number of units"):
        evaluate(max_images, folder, TVAE)


def test_a_run_that_is_done_is_not_trained_again(folder, capsys):
    before = Path(Paths(str(folder)).weights(TVAE)).read_bytes()
    settings = [settings_of(folder, run) for run in (TVAE, VAE)]
    arguments = ["--spec", pack(settings, [TVAE, VAE]), "--images", str(folder / "images.nc"), "--root", str(folder)]
    assert train_capsules.main([*arguments, "--code-hash", "0" * 16, "--device", "cpu"]) == 0
    assert "2 already done" in capsys.readouterr().err
    assert Path(Paths(str(folder)).weights(TVAE)).read_bytes() == before
