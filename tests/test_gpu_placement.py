"""What a GPU would refuse, found without one: tensors left in the other memory, and waiting for the GPU in each step.

Numbers on a GPU are tested where there is one (`pytest -m gpu`).
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import test_embeddings_command as residual
import test_evaluation_commands as convolutional
import test_responses_command as responses
import test_sequences_command as sequences
import test_training_capsules as capsules
import test_training_category as category
import test_training_embedding as embedding
import test_training_engine as engine
import torch
from category_folders import random_alexnet, small_registry, write_weights
from fake_gpu import GPU, fake_gpu
from test_features_live import SETTINGS as FEATURES
from training_jobs import run_of, settings_of, tiny_images

from toporep.cli import activations, embeddings, image_noise, max_images, noise_logits, tuning
from toporep.cli.sequences import evaluate as evaluate_sequences
from toporep.data.crops import Transform
from toporep.data.features import AlexNetEncoder
from toporep.data.images import ImageData
from toporep.evaluation import TrainedRun
from toporep.models import trained_category, trained_cnn, trained_resnet, trained_vae
from toporep.runs import Run
from toporep.train.outcome import Divergence, TrainingData
from toporep.train.state import StateFolder

CNNS = ["MnistCNN", "CifarCNN"]
CONDITIONS = [("control", 0, 0), ("ws", 1, 1), ("as", 1, 2), ("as_reshaped", 1, 0), ("global", 1, 1)]


@pytest.fixture(autouse=True)
def _no_states(monkeypatch: pytest.MonkeyPatch, restore_torch: None) -> None:
    """There is nothing to write."""
    monkeypatch.setattr(StateFolder, "save", lambda *_: None)


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], tuple[list, Counter]]:
    """Trains on a fake GPU: the networks, and what was waited for."""

    def run(train: Callable[[], object]) -> tuple[list, Counter]:
        with fake_gpu(monkeypatch) as waits:
            found = train()
        results = list(found.values()) if isinstance(found, dict) else found if isinstance(found, list) else [found]
        assert results and not any(isinstance(result, Divergence) for result in results)
        return results, waits

    return run


def test_a_tensor_in_the_other_memory_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_gpu(monkeypatch) as waits:
        here, there = torch.zeros(3), torch.zeros(3, device=GPU)
        with pytest.raises(RuntimeError, match="two different devices"):
            here + there
        with pytest.raises(TypeError):
            there.numpy()
        model = torch.nn.Linear(3, 2).to(GPU)
        with pytest.raises(RuntimeError, match="different devices"):
            model(here)
        assert model(there).device.type == "cuda" and not waits
        float(there.sum())
        assert waits == {"float": 1}


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("stacked, convolution", [(True, "unfold"), (True, "grouped"), (False, "unfold")])
@pytest.mark.parametrize("model", CNNS)
def test_convolutional_networks_train_on_a_gpu(on_gpu, model, stacked, convolution, precision, tmp_path) -> None:
    how = {"convolution": convolution}
    results, _ = on_gpu(
        lambda: engine.train(
            model, CONDITIONS, tmp_path, stacked=stacked, device=GPU, how=how, precision=precision, epochs=2
        )
    )
    assert [len(result.history) for result in results] == [3] * len(CONDITIONS)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("stacked", [True, False])
def test_topographic_vaes_train_on_a_gpu(on_gpu, stacked, precision, tmp_path) -> None:
    specs = capsules.specs_of(
        capsules.run_of("tvae_5_36"), capsules.run_of("bubble_1_4", 1), capsules.run_of("vae"), precision=precision
    )
    for group in (specs[:2], specs[2:]):
        results, _ = on_gpu(functools.partial(capsules.train, group, tmp_path, stacked=stacked, device=GPU))
        assert len(results) == len(group)


@pytest.mark.parametrize(
    "dataset, condition", [("dsprites", "tvae_1_3"), ("mnist_color_rotation", "tvae_13_36"), ("mnist_plain", "torus")]
)
def test_topographic_vaes_of_other_sequences_train_on_a_gpu(on_gpu, dataset, condition, tmp_path) -> None:
    (spec,) = capsules.specs_of(capsules.run_of(condition, dataset=dataset))
    data = "dsprites" if dataset == "dsprites" else "mnist"
    on_gpu(lambda: capsules.train([spec], tmp_path, device=GPU, dataset=data))


@pytest.mark.parametrize("condition", [name for name in category.CONDITIONS if name != "fc6"])
def test_networks_of_category_selectivity_train_on_a_gpu(on_gpu, condition, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(category, "CPU", GPU)
    on_gpu(lambda: category.train(tmp_path, category.spec_of(condition)))


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("condition", embedding.CONDITIONS)
def test_residual_networks_train_on_a_gpu(on_gpu, condition, precision, monkeypatch, tmp_path) -> None:
    """With their readouts, and with weights of the topographic loss that are chosen in each step."""
    monkeypatch.setattr(embedding, "CPU", GPU)
    on_gpu(lambda: embedding.train(embedding.spec(condition, precision=precision), tmp_path))


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize("model", CNNS)
def test_a_step_of_convolutional_networks_does_not_wait(on_gpu, model, stacked, tmp_path) -> None:
    """An epoch of 30 steps reads from the GPU as often as one of 4: at its end."""
    waits = []
    for batch_size in (24, 3):
        images = tiny_images(model)
        data = TrainingData(images.images_train, images.label_train)
        waits.append(
            on_gpu(
                lambda size=batch_size, data=data: engine.train(
                    model, CONDITIONS[1:3], tmp_path, stacked=stacked, device=GPU, data=data, epochs=2, batch_size=size
                )
            )[1]
        )
    assert waits[0] == waits[1] and waits[0].total()


def test_a_step_of_topographic_vaes_does_not_wait(on_gpu, tmp_path) -> None:
    waits = []
    for size in (8, 2):
        specs = capsules.specs_of(capsules.run_of("tvae_5_36"), capsules.run_of("tvae_0"), batch_size=size)
        waits.append(on_gpu(lambda specs=specs: capsules.train(specs, tmp_path, stacked=True, device=GPU))[1])
    assert waits[0] == waits[1] and waits[0].total()


@pytest.mark.parametrize("condition", ["tvae", "tdann"])
def test_a_step_of_networks_of_category_selectivity_does_not_wait(on_gpu, condition, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(category, "CPU", GPU)
    waits = [
        on_gpu(lambda size=size: category.train(tmp_path, category.spec_of(condition, batch_size=size)))[1]
        for size in (10, 5)
    ]
    assert waits[0] == waits[1] and waits[0].total()


@pytest.mark.parametrize("condition", ["ce", "supcon"])
def test_a_step_of_residual_networks_does_not_wait(on_gpu, condition, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(embedding, "CPU", GPU)
    waits = [
        on_gpu(lambda size=size: embedding.train(embedding.spec(condition, batch_size=size), tmp_path))[1]
        for size in (20, 5)
    ]
    assert waits[0] == waits[1] and waits[0].total()


# Evaluations


def trained(networks, run: Run, settings: dict, images: ImageData | None = None) -> TrainedRun:
    model = networks[settings["model"]["name"]](settings, images).to(GPU).eval()
    return TrainedRun(run, model, {"settings": settings}, [{"epoch": 0.0, "train_accuracy": 0.1}])


@pytest.mark.parametrize("command", [activations, tuning, image_noise])
@pytest.mark.parametrize("model", CNNS)
def test_convolutional_networks_are_evaluated_on_a_gpu(monkeypatch, model, command) -> None:
    images, run = tiny_images(model), run_of(model, "ws", 1, 0)
    normalization = {key: settings_of(model, run)["training"][key] for key in ("mean", "std")}
    chosen = {
        activations: {"test_images": None, **normalization},
        tuning: {**convolutional.TUNING, **normalization},
        image_noise: {**convolutional.NOISE, "normalizations": {"matched": normalization}},
    }[command]
    with fake_gpu(monkeypatch):
        one = trained(trained_cnn.NETWORKS, run, settings_of(model, run), images)
        (found,) = command.evaluate([one], images, chosen, GPU)
    assert found.sizes


@pytest.mark.parametrize("command", [embeddings, noise_logits])
@pytest.mark.parametrize("condition", ["ce", "supcon"])
def test_residual_networks_are_evaluated_on_a_gpu(monkeypatch, condition, command) -> None:
    spec = embedding.spec(condition)
    with fake_gpu(monkeypatch):
        one = trained(trained_resnet.NETWORKS, spec.run, spec.settings, residual.IMAGES)
        (found,) = command.evaluate([one], residual.IMAGES, residual.EMBEDDINGS | residual.NOISE, GPU)
    assert found.sizes


@pytest.mark.parametrize("command", ["sequences", "max_images"])
def test_topographic_vaes_are_evaluated_on_a_gpu(monkeypatch, command) -> None:
    images = sequences.images_of_digits()
    run = sequences.TORUS if command == "max_images" else sequences.TVAE
    (spec,) = capsules.specs_of(run)
    settings = sequences.EVALUATION | {"activation": "signed"}
    evaluate = max_images.evaluate if command == "max_images" else evaluate_sequences
    # It looks at numbers, of which there are none.
    monkeypatch.setattr("toporep.cli.sequences.check_entropy_floor", lambda *_: None)
    with fake_gpu(monkeypatch):
        one = trained(trained_vae.NETWORKS, run, spec.settings, images)
        (found,) = evaluate([one], images, settings, GPU)
    assert found.sizes


def test_alexnet_answers_on_a_gpu(monkeypatch, tmp_path) -> None:
    registry = small_registry(alexnet={"weights": [write_weights(tmp_path / "models", random_alexnet()).name]})
    encoder = AlexNetEncoder(Transform.from_settings(FEATURES), tmp_path, registry=registry)
    with fake_gpu(monkeypatch):
        features = encoder(np.zeros((2, 64, 64, 3), dtype=np.uint8), GPU)
    assert features.shape == (2, 9216) and features.device.type == "cuda"


@pytest.mark.parametrize("condition", [name for name in category.CONDITIONS if name != "fc6"])
def test_networks_of_category_selectivity_answer_on_a_gpu(monkeypatch, condition) -> None:
    shown = responses.SetFeatures()
    with fake_gpu(monkeypatch):
        settings = category.settings_of(condition)
        one = trained(trained_category.NETWORKS, category.spec_of(condition).run, settings, shown)
        found = responses.respond(one, shown, responses.EVALUATION, name="faces", classes=responses.CLASSES, device=GPU)
    assert found.sizes["unit"] == responses.UNITS
