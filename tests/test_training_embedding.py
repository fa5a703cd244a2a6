"""The engine of ResNet runs against a plain loop, and what users rely on: resuming, stopping, checkpoints, refusals."""

from __future__ import annotations

import copy
import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import reference_contrastive as reference
import torch
import torch.nn.functional as F

from toporep import rng
from toporep.cli import train_embedding
from toporep.config import load_config, read_yaml
from toporep.data.images import ImageData, save_images
from toporep.errors import TopoRepError
from toporep.losses.contrastive import hierarchical_margin, simclr, supcon
from toporep.models.resnet import TopographicResNet18
from toporep.runs import Paths, Run, run_settings
from toporep.tensors import load_tensors
from toporep.train import embedding
from toporep.train.embedding import HISTORY_COLUMNS, split_by_class, train_embeddings
from toporep.train.outcome import Divergence, Trained, TrainingData
from toporep.train.progress import Progress
from toporep.train.spec import RunSpec, pack
from toporep.train.state import StateFolder
from toporep.train.stopping import Best, EarlyStopping
from toporep.train.task import TaskLoss, superclasses

FOLDER = Path(__file__).resolve().parent.parent / "config"
CONFIG = load_config(read_yaml(FOLDER / "config.yaml"), FOLDER)
NAMES = tuple(read_yaml(FOLDER / "datasets.yaml")["sources"]["cifar10"]["class_names"])
CPU = torch.device("cpu")
CLASSES, PER_CLASS = 10, 5
CONDITIONS = ("ce", "margin", "simclr", "supcon")
EDGES = reference.edges((16, 16))
PLAIN = {"crop_scale": [1.0, 1.0], "crop_ratio": [1.0, 1.0], "flip": 0, "jitter": 0, "gray": 0, "blur": 0}
SMALL_READOUT = {"epochs": 3, "batch_size": 16, "warmup_epochs": 1}


@pytest.fixture(autouse=True)
def _restore_torch():
    yield
    torch.set_deterministic_debug_mode("default")


def images() -> TrainingData:
    """Five 32 x 32 images of each of ten classes, whose classes can be told apart."""
    labels = np.tile(np.arange(CLASSES), PER_CLASS)
    pattern = rng.uniform(rng.key(1, "pattern"), (CLASSES, 8, 8, 3)).repeat(4, axis=1).repeat(4, axis=2)
    noise = rng.uniform(rng.key(2, "noise"), (len(labels), 32, 32, 3))
    return TrainingData((255 * (0.7 * pattern[labels] + 0.3 * noise)).astype(np.uint8), labels, NAMES)


def spec(condition: str, strength: float = 0.2, seed: int = 0, /, **changes) -> RunSpec:
    """A run of the paper's settings, on a narrow network and few images; `changes` are of its training settings."""
    run = Run("sander2026", "cifar10", condition, strength, seed)
    settings = run_settings(CONFIG, run)
    settings["model"] |= {"width": 4, "projection": 16}
    settings["training"] |= {"batch_size": 16, "epochs": 2, "validation_per_class": 1, **changes}
    if settings["readout"]:
        settings["readout"] |= SMALL_READOUT
    return RunSpec(run, settings, "data", "code")


def train(
    one: RunSpec, folder: Path, *, data: TrainingData | None = None, stacked: bool = False
) -> Trained | Divergence:
    progress = Progress("test", runs=1)
    (result,) = train_embeddings(
        [one],
        data or images(),
        state_folder=lambda each: folder / each.run.id,
        device=CPU,
        progress=progress,
        stacked=stacked,
        seconds_between_states=0,
    )
    return result


# Against a plain loop


def plain_task(condition: str, output: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    if condition == "ce":
        return F.cross_entropy(output, labels)
    if condition == "margin":
        return hierarchical_margin(output, labels, dict(enumerate([0, 0, 1, 1, 1, 1, 1, 1, 0, 0])))
    return simclr(output) if condition == "simclr" else supcon(output, labels)


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("strength", [0, 5])
def test_an_epoch_is_that_of_a_plain_loop(condition: str, strength: float, tmp_path: Path) -> None:
    """Task and topographic gradients by `backward`, lambda by hand, torch's own Adam, no dropout, plain images."""
    one = spec(condition, strength, epochs=1, augmentation=PLAIN)
    one.settings["model"]["dropout"] = 0
    result = train(one, tmp_path)

    data, settings = images(), one.settings["training"]
    model = TopographicResNet18(0, head=one.settings["model"]["head"], dropout=0, width=4, projection=16)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
    mean, std = (torch.tensor(settings[key]).view(3, 1, 1) for key in ("mean", "std"))
    pixels = (torch.from_numpy(data.images).movedim(-1, 1) / 255 - mean) / std
    chosen = np.arange(10, 50)  # the first image of each class is held out
    order = chosen[rng.permutation(rng.key(0, "batches", 1), 40)]
    sheet = model.encoder.embedding
    rows, average = [], None
    for batch in np.split(order, [16, 32]):
        inputs, labels = pixels[batch], torch.from_numpy(data.labels[batch])
        output = model(torch.cat([inputs, inputs]) if condition in ("simclr", "supcon") else inputs)[0]
        losses = plain_task(condition, output, labels), reference.gathered_edge_mean(sheet.weight, *EDGES)
        lengths = []
        for loss in losses:
            gradients = torch.autograd.grad(loss, [sheet.weight, sheet.bias], retain_graph=True, allow_unused=True)
            lengths.append(math.sqrt(sum(float(each.square().sum()) for each in gradients if each is not None)))
        target = min(strength * lengths[0] / (lengths[1] + 1e-8), 1e4)
        average = target if average is None else 0.9 * average + 0.1 * target
        optimizer.zero_grad()
        (losses[0] + average * losses[1]).backward()
        optimizer.step()
        rows.append([*(float(loss.detach()) for loss in losses), average, *lengths])
    found = result.history[1]
    columns = ("task_loss", "topographic_loss", "strength", "task_gradient_norm", "topographic_gradient_norm")
    expected = np.average(rows, axis=0, weights=[16, 16, 8])
    assert [found[column] for column in columns] == pytest.approx(expected, rel=2e-3, abs=1e-6)
    for name, value in model.state_dict().items():
        if name in ("encoder.embedding.bias", "head.bn.running_mean"):
            # Where BatchNorm follows, the loss does not depend on the bias, and Adam makes steps of rounding errors.
            continue
        # Adam's first steps are as long for a gradient near 0, whose sign rounding may turn, as for any other.
        close = torch.isclose(result.tensors[name], value, rtol=2e-3, atol=4e-4)
        assert close.double().mean() > 0.98, name


def test_history_and_weights_are_complete(tmp_path: Path) -> None:
    result = train(spec("supcon"), tmp_path)
    assert [row["epoch"] for row in result.history] == [0, 1, 2]
    assert all(tuple(row) == HISTORY_COLUMNS for row in result.history)
    start = result.history[0]
    assert start["norm"] == pytest.approx(1 / math.sqrt(3), rel=0.02) and math.isnan(start["task_loss"])
    weight = result.tensors["encoder.embedding.weight"]
    assert result.history[-1]["norm"] == pytest.approx(float(weight.norm(dim=1).mean()), rel=1e-6)
    last = result.history[-1]
    matched = last["validation_task_loss"] + last["strength"] * float(reference.gathered_edge_mean(weight, *EDGES))
    assert last["validation_total_loss"] == pytest.approx(matched, rel=1e-5)
    assert result.tensors["readout.weight"].shape == result.tensors["readout_standardized.weight"].shape == (10, 256)
    assert "readout" in result.details and math.isnan(last["validation_accuracy"])


def test_cross_entropy_reads_out_by_its_own_head(tmp_path: Path) -> None:
    result = train(spec("ce"), tmp_path)
    assert not any(name.startswith("readout") for name in result.tensors) and "readout" not in result.details
    assert 0 <= result.history[-1]["validation_accuracy"] <= 1


def test_topography_lowers_the_topographic_loss_and_its_absence_leaves_it(tmp_path: Path) -> None:
    loss = {rho: train(spec("ce", rho), tmp_path).history[-1]["topographic_loss"] for rho in (0, 5)}
    assert loss[5] < 0.98 * loss[0]


def test_the_penalty_keeps_weights_longer(tmp_path: Path) -> None:
    lengths = {}
    for penalty in (0, 10):
        one = spec("supcon", 5, epochs=6)
        one.settings["condition"]["topographic"]["norm_penalty"] = penalty
        lengths[penalty] = train(one, tmp_path).history[-1]["norm"]
    assert lengths[10] > lengths[0] + 0.005


def test_dropout_matters_and_its_absence_needs_no_draws(tmp_path: Path) -> None:
    with_dropout, without = train(spec("ce", 0), tmp_path), train(spec("ce_no_dropout", 0), tmp_path)
    assert with_dropout.history[1]["task_loss"] != without.history[1]["task_loss"]


def test_half_precision_changes_the_run_and_its_identity(tmp_path: Path) -> None:
    exact, rough = spec("ce", epochs=1), spec("ce", epochs=1, precision="bf16")
    assert exact.identity != rough.identity
    losses = [train(one, tmp_path).history[1]["task_loss"] for one in (exact, rough)]
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[1], rel=0.05)


# Resuming


class Killed(Exception):
    pass


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("steps", [1, 4, 5, 8])
def test_a_killed_run_goes_on_to_the_same_bits(condition: str, steps: int, tmp_path: Path, monkeypatch) -> None:
    one = spec(condition, 0.2, epochs=3, checkpoint="best_task")
    whole = train(one, tmp_path / "whole")
    calls = iter(range(10**6))
    original = embedding._Trainer._step

    def die(self, *arguments):
        if next(calls) == steps:
            raise Killed
        return original(self, *arguments)

    monkeypatch.setattr(embedding._Trainer, "_step", die)
    with pytest.raises(Killed):
        train(one, tmp_path / "killed")
    monkeypatch.setattr(embedding._Trainer, "_step", original)
    resumed = train(one, tmp_path / "killed")
    for found, expected in zip(resumed.history, whole.history, strict=True):
        assert {key: str(value) for key, value in found.items()} == {key: str(value) for key, value in expected.items()}
    assert resumed.details == whole.details
    assert resumed.tensors.keys() == whole.tensors.keys()
    assert all(torch.equal(resumed.tensors[name], whole.tensors[name]) for name in whole.tensors)


def test_a_run_killed_in_its_readout_trains_no_epoch_again(tmp_path: Path, monkeypatch) -> None:
    one = spec("supcon")
    whole = train(one, tmp_path / "whole")
    original = embedding.train_readouts

    def die(*_, **__):
        raise Killed

    monkeypatch.setattr(embedding, "train_readouts", die)
    with pytest.raises(Killed):
        train(one, tmp_path / "killed")
    monkeypatch.setattr(embedding, "train_readouts", original)
    monkeypatch.setattr(embedding._Trainer, "_step", die)
    resumed = train(one, tmp_path / "killed")
    assert all(torch.equal(resumed.tensors[name], whole.tensors[name]) for name in whole.tensors)


def test_a_state_of_another_configuration_is_not_used(tmp_path: Path) -> None:
    one, other = spec("ce", 0.2), spec("ce", 0.2, learning_rate=0.001)
    train(one, tmp_path)
    folder = tmp_path / one.run.id
    assert StateFolder(folder, f"{one.identity} solo on cpu").epochs()
    assert train(other, tmp_path).history[1]["task_loss"] > 0
    assert not StateFolder(folder, f"{one.identity} solo on cpu").epochs()


# Early stopping and checkpoints


def rows(column: str, values: list[float]) -> list[dict]:
    return [{"epoch": epoch, column: value} for epoch, value in enumerate(values, start=1)]


@pytest.mark.parametrize(
    "column, values, since",
    [
        ("validation_accuracy", [0.1, 0.2, 0.2, 0.1], [0, 0, 1, 2]),
        ("validation_accuracy", [0.0, 0.0], [1, 2]),
        ("validation_task_loss", [2.0, 1.0, 1.0, 0.5], [0, 0, 1, 0]),
        ("validation_task_loss", [math.nan, math.nan], [1, 2]),
    ],
)
def test_only_a_strict_improvement_counts(column: str, values: list[float], since: list[int]) -> None:
    stopping = EarlyStopping(column, patience=2)
    history = []
    for row in rows(column, values):
        history.append({**row, "epochs_since_best": stopping.update(row)})
    assert [row["epochs_since_best"] for row in history] == since
    assert stopping.is_over(history) == (since[-1] >= 2)


def test_a_training_that_never_improves_ends_and_says_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(embedding._Trainer, "_validate", lambda self, epoch: (math.inf, 0.0))
    result = train(spec("ce", epochs=9, patience=2), tmp_path)
    assert [row["epochs_since_best"] for row in result.history] == [0, 1, 2]
    assert result.details["stopping"] == "stopped early after epoch 2 of 9: validation_accuracy never improved"
    assert result.details["checkpoint"] == {"choice": "best_accuracy", "epoch": 2}


def test_a_training_that_stops_improving_says_since_when(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(embedding._Trainer, "_validate", lambda self, epoch: (abs(epoch - 2.0), math.nan))
    result = train(spec("margin", epochs=9, patience=1), tmp_path)
    assert (
        (result.details["stopping"])
        == "stopped early after epoch 3 of 9: no improvement of validation_task_loss since epoch 2"
    )


@pytest.mark.parametrize("choice, epoch", [("last", 3), ("best_task", 1), ("best_accuracy", 2), ("best_total", 2)])
def test_the_weights_are_those_of_the_chosen_epoch(choice: str, epoch: int, tmp_path: Path, monkeypatch) -> None:
    values = {1: (1.0, 0.1), 2: (2.0, 0.9), 3: (3.0, 0.3)}
    monkeypatch.setattr(embedding._Trainer, "_validate", lambda self, epoch: values[epoch])
    original = embedding._Trainer._train_epoch

    def with_total(self, epoch):
        row = original(self, epoch)
        return {**row, "validation_total_loss": {1: 5.0, 2: 4.0, 3: 6.0}[epoch]}

    monkeypatch.setattr(embedding._Trainer, "_train_epoch", with_total)
    result = train(spec("ce", epochs=3, checkpoint=choice), tmp_path / "chosen")
    shorter = train(spec("ce", epochs=epoch, checkpoint="last"), tmp_path / "shorter")
    assert result.details["checkpoint"] == {"choice": choice, "epoch": epoch}
    assert all(torch.equal(result.tensors[name], shorter.tensors[name]) for name in shorter.tensors)


def test_an_unknown_criterion_or_patience_is_refused() -> None:
    with pytest.raises(TopoRepError, match="expected one of .*found 'accuracy'"):
        Best("accuracy")
    with pytest.raises(TopoRepError, match="patience: expected at least 1 epoch, found 0"):
        EarlyStopping("validation_accuracy", patience=0)


# Split, tasks, refusals


def test_the_first_of_each_class_are_held_out() -> None:
    labels = np.array([1, 0, 1, 1, 0, 0, 1, 0])
    train_indices, held_out = split_by_class(labels, 2)
    assert held_out.tolist() == [0, 1, 2, 4] and train_indices.tolist() == [3, 5, 6, 7]
    assert split_by_class(labels, 2, most=3)[0].tolist() == [3, 5, 6]


def test_a_random_split_is_stratified_and_the_same_every_time() -> None:
    labels = np.tile(np.arange(10), 40)
    train_indices, held_out = split_by_class(labels, 7, selection="random")
    assert np.bincount(labels[held_out]).tolist() == [7] * 10
    assert sorted([*train_indices, *held_out]) == list(range(400))
    assert held_out.tolist() == split_by_class(labels, 7, selection="random")[1].tolist()
    assert held_out.tolist() != split_by_class(labels, 7)[1].tolist()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: split_by_class(np.arange(3), 1), "1 of class 0 leave none of its 1 images"),
        (lambda: split_by_class(np.arange(3), 1, selection="last"), "expected 'first' or 'random', found 'last'"),
        (lambda: TaskLoss("triplet", {}), "objective: expected one of cross_entropy, .*found 'triplet'"),
        (lambda: TaskLoss("margin", {}), "expected the superclass of each class, found none"),
        (lambda: superclasses(["bat"], NAMES), "'bat' is no class of the data set; its classes: airplane, "),
        (lambda: embedding._batch_starts(5, 8, True), "5 training images make no batch of 8"),
        (lambda: embedding._batch_starts(9, 8, False), "leave one for the last batch"),
    ],
)
def test_a_mistake_is_told_by_name(call: Callable, message: str) -> None:
    with pytest.raises(TopoRepError, match=message):
        call()


def test_animate_classes_are_one_superclass() -> None:
    animate = CONFIG.papers["sander2026"]["datasets"]["cifar10"]["animate"]
    assert superclasses(animate, NAMES).tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 0, 0]


def test_batches_keep_or_drop_the_last_part() -> None:
    assert embedding._batch_starts(45_000, 512, False)[-1] == 87 * 512
    assert (
        len(embedding._batch_starts(45_000, 512, False)) == 88 and len(embedding._batch_starts(45_000, 512, True)) == 87
    )


def test_an_exploding_loss_names_run_epoch_and_step(tmp_path: Path) -> None:
    result = train(spec("ce", learning_rate=1e30, epochs=3), tmp_path)
    assert isinstance(result, Divergence)
    assert str(result).startswith("sander2026/cifar10/ce/0.2/seed0: the ") and result.epoch == 1
    assert "at epoch 1, step" in str(result)


# The command


def run_command(root: Path, one: RunSpec) -> None:
    data = images()
    arrays = (data.images, data.labels, data.images[:10], data.labels[:10])
    prepared = ImageData.from_arrays(
        arrays,
        class_names=NAMES,
        source="cifar10",
        source_title="Ten patterns",
        recognised_as="generated",
        origin="test",
        licence="none",
    )
    path = root / "images.nc"
    save_images(prepared, path)
    text = pack([one.settings], [one.run])
    arguments = ["--spec", text, "--images", str(path), "--root", str(root), "--code-hash", "c"]
    train_embedding.main(arguments)


def test_the_command_writes_weights_history_and_provenance(tmp_path: Path) -> None:
    one = spec("simclr", 0.04)
    run_command(tmp_path, one)
    paths = Paths(str(tmp_path))
    tensors, metadata = load_tensors(paths.weights(one.run))
    provenance = json.loads(Path(paths.provenance(one.run)).read_text())
    assert metadata["identity"] == provenance["identity"] and provenance["train_images"] == 40
    assert provenance["stopping"] == "all 2 epochs" and provenance["checkpoint"]["choice"] == "last"
    assert len(provenance["readout"]["readout"]["validation_accuracy"]) == 3
    assert tensors["encoder.embedding.weight"].shape == (256, 32)
    with open(paths.history(one.run), newline="") as file:
        assert [int(row["epoch"]) for row in csv.DictReader(file)] == [0, 1, 2]
    assert not Path(paths.state_dir(one.run)).exists()
    before = Path(paths.weights(one.run)).stat().st_mtime_ns
    run_command(tmp_path, copy.deepcopy(one))
    assert Path(paths.weights(one.run)).stat().st_mtime_ns == before, "trained again though it was complete"


def test_the_command_tells_of_an_exploding_loss(tmp_path: Path) -> None:
    with pytest.raises(TopoRepError, match=r"1 of 1 runs stopped:\n  sander2026/cifar10/ce/0\.2/seed0: the "):
        run_command(tmp_path, spec("ce", learning_rate=1e30))


def test_a_stack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TopoRepError, match="--mode stacked: a ResNet fills a device alone"):
        train(spec("ce"), tmp_path, stacked=True)
