"""The training engine of Topographic VAEs: against a plain loop, alone and in a stack, killed and resumed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from toporep import rng
from toporep.config import load_config, read_yaml
from toporep.data.sequences import KINDS, draw_sequences, render_sequences, split_indices
from toporep.errors import TopoRepError
from toporep.losses.vae import negative_elbo
from toporep.models.grouper import grouper_of
from toporep.models.topographic_vae import TopographicVAE
from toporep.normal import normal
from toporep.runs import Run, run_settings
from toporep.train import capsules
from toporep.train.capsules import HISTORY_COLUMNS, train_vaes, training_indices
from toporep.train.outcome import Divergence, TrainingData
from toporep.train.progress import Progress
from toporep.train.spec import RunSpec
from toporep.train.state import StateFolder

CONFIG = Path(__file__).parents[1] / "config"
SMALL = {"capsules": 3, "epochs": 2, "batch_size": 4, "train_images": 12, "learning_rate": 0.001}
CPU = torch.device("cpu")


def specs_of(*runs: Run, **changes) -> list[RunSpec]:
    main = read_yaml(CONFIG / "config.yaml") | {"papers": ["keller2021_capsules"]}
    small = {role: {**SMALL, **changes} for role in ("mnist", "mnist_color_rotation", "mnist_color_perspective")}
    small["dsprites"] = {**SMALL, **changes}
    small["mnist_plain"] = {**SMALL, "capsules": 1, **changes}
    main["overrides"] = {"keller2021_capsules": {"datasets": small}}
    config = load_config(main, CONFIG)
    return [RunSpec(run, run_settings(config, run), "data", "code") for run in runs]


def run_of(condition: str, seed: int = 0, dataset: str = "mnist") -> Run:
    return Run("keller2021_capsules", dataset, condition, 0, seed)


def data_of(dataset: str = "mnist") -> TrainingData:
    random = np.random.default_rng(5)
    count, side = (50_625, 4) if dataset == "dsprites" else (40, 6)
    images = (255 * (random.random((count, side, side, 1)) > 0.6)).astype(np.uint8)
    return TrainingData(images, np.zeros(count, dtype=np.int64))


def train(
    specs: list[RunSpec],
    folder: Path,
    *,
    stacked: bool = False,
    dataset: str = "mnist",
    device: torch.device = CPU,
    cuda_graphs: bool = False,
) -> list:
    progress = Progress("test", runs=len(specs), log=None)
    return list(
        train_vaes(
            specs,
            data_of(dataset),
            state_folder=lambda spec: folder / spec.run.id,
            device=device,
            stacked=stacked,
            progress=progress,
            cuda_graphs=cuda_graphs,
        )
    )


def plain_loop(spec: RunSpec, dataset: str = "mnist") -> TopographicVAE:
    """The same training written out: one model, momentum by hand."""
    training, model_settings = spec.settings["training"], spec.settings["model"]
    condition, kind = spec.settings["condition"], KINDS[spec.settings["training"]["sequences"]]
    images = torch.from_numpy(data_of(dataset).images)
    seed = spec.run.seed
    model = TopographicVAE(
        seed,
        inputs=kind.channels * images.shape[1] * images.shape[2],
        channels=kind.channels,
        groupers=grouper_of(spec.settings),
        **{key: model_settings[key] for key in ("capsules", "units", "frames")},
        **{key: condition[key] for key in ("mu", "eps", "weight_norm", "decoder_norm_axis", "pixel_bias")},
    )
    velocity = [torch.zeros_like(parameter) for parameter in model.parameters()]
    count = len(images)
    order = np.arange(count)
    if training["split_seed"] is not None:
        order = split_indices(training["split_seed"], count, validation=count // 5)[0][: training["train_images"]]
    size = training["batch_size"]
    for epoch in range(1, training["epochs"] + 1):
        shuffled = order[rng.permutation(rng.key(seed, "batches", epoch), len(order))]
        for step in range(len(order) // size):
            chosen = shuffled[step * size : (step + 1) * size]
            frames = render_sequences(images, chosen, draw_sequences(training["sequences"], seed, epoch, chosen))
            frames = frames.flatten(2).flatten(0, 1)
            shape = (len(frames), model.latents)
            noise = {
                name: normal(
                    [rng.key(seed, f"posterior_{name}", epoch)], shape[0] * shape[1], offset=step * shape[0] * shape[1]
                ).view(shape)
                for name in ("z", "u")
            }
            found = model(frames, noise_z=noise["z"], noise_u=noise["u"] if model.topographic else None)
            loss = negative_elbo(found.logits, frames, found.posterior)
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            with torch.no_grad():
                for parameter, speed, gradient in zip(model.parameters(), velocity, gradients, strict=True):
                    speed.mul_(training["momentum"]).add_(gradient)
                    parameter.sub_(training["learning_rate"] * speed)
            model.project_()
    return model


@pytest.mark.parametrize(
    ("condition", "dataset"),
    [
        ("tvae_5_36", "mnist"),
        ("tvae_13_36", "mnist_color_rotation"),
        ("bubble_5_36", "mnist"),
        ("vae", "mnist"),
        ("tvae_5_36_projected", "mnist"),
        ("torus", "mnist_plain"),
    ],
)
def test_training_is_the_plain_loop(tmp_path, condition, dataset):
    (spec,) = specs_of(run_of(condition, dataset=dataset))
    (trained,) = train([spec], tmp_path, dataset=dataset)
    expected = plain_loop(spec, dataset).state_dict()
    assert set(trained.tensors) == set(expected)
    for name, tensor in trained.tensors.items():
        torch.testing.assert_close(tensor, expected[name], rtol=2e-5, atol=2e-6, msg=name)


def test_a_stack_trains_as_each_run_alone(tmp_path):
    """Runs of other windows and seeds share a stack: their groupers are matrices of one shape."""
    specs = specs_of(run_of("tvae_5_36"), run_of("tvae_1_2"), run_of("bubble_1_4"), run_of("tvae_0"))
    together = train(specs, tmp_path / "stack", stacked=True)
    for spec, found in zip(specs, together, strict=True):
        (alone,) = train([spec], tmp_path / "alone")
        assert found.stack_size == 4 and found.spec.run == spec.run
        for name, tensor in found.tensors.items():
            torch.testing.assert_close(tensor, alone.tensors[name], rtol=2e-5, atol=2e-6, msg=name)
        assert found.history[-1]["nll"] == pytest.approx(alone.history[-1]["nll"], rel=1e-5)
    nlls = [found.history[-1]["nll"] for found in together]
    assert len({round(value, 3) for value in nlls}) == 4


def test_runs_of_other_shapes_are_stacked_apart(tmp_path):
    runs = [run_of("tvae_5_36"), run_of("vae"), run_of("tvae_1_4"), run_of("tvae_5_36_projected"), run_of("vae", 1)]
    found = train(specs_of(*runs), tmp_path, stacked=True)
    assert {one.spec.run: one.stack_size for one in found} == dict(zip(runs, [2, 2, 2, 1, 2], strict=True))
    assert [one.stacked for one in found if one.stack_size == 1] == [False]


@pytest.mark.parametrize("stacked", [False, True])
def test_a_run_that_was_killed_ends_at_the_same_bytes(tmp_path, monkeypatch, stacked):
    specs = specs_of(run_of("tvae_5_36"), run_of("tvae_1_4"), epochs=3)
    whole = train(specs, tmp_path / "whole", stacked=stacked)
    original, calls = capsules._Trainer._step, []

    def die(self, *arguments):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(capsules._Trainer, "_step", die)
    with pytest.raises(KeyboardInterrupt):
        train(specs, tmp_path / "killed", stacked=stacked)
    monkeypatch.setattr(capsules._Trainer, "_step", original)
    again = train(specs, tmp_path / "killed", stacked=stacked)
    for first, second in zip(whole, again, strict=True):
        for kept, row in zip(first.history, second.history, strict=True):
            assert [kept[name] for name in HISTORY_COLUMNS[:6]] == [row[name] for name in HISTORY_COLUMNS[:6]]
        for name, tensor in first.tensors.items():
            assert torch.equal(tensor, second.tensors[name]), name


@pytest.mark.parametrize("condition", ["tvae_5_36", "tvae_5_36_projected", "vae"])
def test_bf16_training_lowers_the_loss_and_keeps_float32_weights(tmp_path, condition):
    """Both ways to normalize weights, and none. bf16 keeps 8 bits: the terms of the loss agree to some percent."""
    found = {}
    for precision in ("float32", "bf16"):
        specs = specs_of(run_of(condition), run_of(condition, 1), precision=precision, epochs=4)
        alone = [train([spec], tmp_path / precision)[0] for spec in specs]
        stack = train(specs, tmp_path / f"{precision} stack", stacked=True)
        found[precision] = alone
        for one, other in zip(alone, stack, strict=True):
            assert {tensor.dtype for tensor in one.tensors.values()} == {torch.float32}
            assert one.history[-1]["negative_elbo"] < one.history[0]["negative_elbo"]
            assert other.history[-1]["nll"] == pytest.approx(one.history[-1]["nll"], rel=1e-3)
    for exact, rounded in zip(*found.values(), strict=True):
        assert rounded.history[-1]["nll"] == pytest.approx(exact.history[-1]["nll"], rel=0.02)
        assert rounded.history[-1]["nll"] != exact.history[-1]["nll"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision, rel", [("tf32", 5e-3), ("bf16", 2e-2)])
@pytest.mark.parametrize("cuda_graphs", [False, True])
def test_reduced_precision_on_a_gpu_stays_near_float32_on_a_cpu(tmp_path, precision, rel, cuda_graphs):
    runs = run_of("tvae_5_36"), run_of("bubble_1_4", 1)
    here = train(specs_of(*runs, epochs=4), tmp_path / "cpu")
    there = train(
        specs_of(*runs, epochs=4, precision=precision),
        tmp_path / "cuda",
        stacked=True,
        device=torch.device("cuda"),
        cuda_graphs=cuda_graphs,
    )
    for first, second in zip(here, there, strict=True):
        assert second.history[-1]["nll"] == pytest.approx(first.history[-1]["nll"], rel=rel)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("cuda_graphs", [False, True])
@pytest.mark.parametrize("stacked", [False, True])
def test_a_gpu_trains_the_same_networks(tmp_path, stacked, cuda_graphs):
    specs = specs_of(run_of("tvae_5_36"), run_of("bubble_1_4", 1))
    here = train(specs, tmp_path / "cpu")
    there = train(specs, tmp_path / "cuda", stacked=stacked, device=torch.device("cuda"), cuda_graphs=cuda_graphs)
    for first, second in zip(here, there, strict=True):
        assert second.history[-1]["nll"] == pytest.approx(first.history[-1]["nll"], rel=1e-4)
        for name, tensor in first.tensors.items():
            torch.testing.assert_close(second.tensors[name].cpu(), tensor, rtol=1e-3, atol=1e-4, msg=name)


def test_history_begins_before_the_first_update_and_follows_mu(tmp_path):
    topographic, plain = specs_of(run_of("tvae_5_36"), run_of("vae"))
    (found,), (vae,) = train([topographic], tmp_path), train([plain], tmp_path)
    assert [row["epoch"] for row in found.history] == [0, 1, 2]
    assert tuple(found.history[0]) == HISTORY_COLUMNS
    start, *_, last = found.history
    assert start["mu"] == 30 and last["mu"] == pytest.approx(float(found.tensors["mu"]), rel=1e-6)
    assert last["mu"] != 30
    # 108 pixels of probability near one half, log 2 each.
    assert start["nll"] == pytest.approx(108 * math.log(2), rel=0.05)
    for row in found.history + vae.history:
        assert row["negative_elbo"] == pytest.approx(row["nll"] + row["kl_z"] + row["kl_u"], rel=1e-5)
        assert math.isnan(row["running_equivariance_error"])
    assert math.isnan(vae.history[-1]["mu"]) and vae.history[-1]["kl_u"] == 0


def test_sprites_report_running_metrics_of_the_last_epoch(tmp_path):
    (spec,) = specs_of(run_of("tvae_1_2", dataset="dsprites"), train_images=200)
    (found,) = train([spec], tmp_path, dataset="dsprites")
    first, last = found.history[1], found.history[2]
    running = [name for name in HISTORY_COLUMNS if name.startswith("running")]
    assert all(math.isnan(first[name]) for name in running)
    # With the whole sequence as its window, even a model that learned nothing rolls perfectly (facts 4.1).
    assert [last[name] for name in running[1:]] == pytest.approx([1, 1, 1, 1])
    # A fifth of the capsules of the paper's model; without learning 217.6 for 15.
    assert last["running_equivariance_error"] == pytest.approx(217.6 * 3 / 15, rel=0.1)


def test_all_seeds_train_on_the_published_split(tmp_path):
    training = {"split_seed": 1, "validation_share": 0.2, "train_images": None}
    found = training_indices(training, 60_000)
    # Vector S1: the published shuffle of seed 1.
    assert len(found) == 48_000
    np.testing.assert_array_equal(found, split_indices(1)[0])
    assert len(training_indices({**training, "train_images": 10}, 60_000)) == 10
    whole = training_indices({"split_seed": None, "validation_share": 0, "train_images": None}, 50_625)
    np.testing.assert_array_equal(whole, np.arange(50_625))
    some = training_indices({"split_seed": None, "validation_share": 0, "train_images": 3_000}, 50_625)
    # Sorted sprites: a third of each shape.
    assert np.bincount(some // 16_875, minlength=3).min() > 900 and len(np.unique(some)) == 3_000


def test_a_run_that_diverges_is_named_and_the_others_go_on(tmp_path):
    specs = specs_of(run_of("tvae_5_36"), run_of("tvae_1_4"))
    specs[0].settings["training"]["learning_rate"] = 1e9
    found = train(specs[:1], tmp_path)
    assert isinstance(found[0], Divergence) and "tvae_5_36/0/seed0: the" in str(found[0])
    assert not isinstance(train(specs[1:], tmp_path)[0], Divergence)


def test_mistakes_are_refused_by_name(tmp_path):
    with pytest.raises(TopoRepError, match=r"batch_size: expected at most the 12 training images, found 64"):
        train(specs_of(run_of("vae"), batch_size=64), tmp_path)
    (spec,) = specs_of(run_of("vae"))
    spec.settings["model"]["frames"] = 12
    with pytest.raises(TopoRepError, match=r"sequences of kind 'single' have 18 frames, found 12 in the model"):
        train([spec], tmp_path)


def test_a_state_of_other_settings_is_not_used(tmp_path):
    (spec,) = specs_of(run_of("tvae_5_36"))
    train([spec], tmp_path)
    folder = StateFolder(tmp_path / spec.run.id, "another identity")
    assert folder.epochs() == []
