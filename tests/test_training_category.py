"""The training engine of networks of features: against a plain loop, killed and resumed, diverging, untrained."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from toporep import rng
from toporep.errors import TopoRepError
from toporep.models.trained_category import build_category
from toporep.normal import normal
from toporep.runs import Run
from toporep.train import category
from toporep.train.category import HISTORY_COLUMNS, train_category, training_indices
from toporep.train.outcome import Divergence, Trained
from toporep.train.progress import Progress
from toporep.train.spec import RunSpec

pytestmark = pytest.mark.usefixtures("restore_torch")

CPU = torch.device("cpu")
GRID, WIDTH, COUNT, BATCH = (4, 5), 7, 27, 6
TRAINING = {
    "batch_size": BATCH,
    "train_images": None,
    "learning_rate": 0.003,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "epochs": 2,
}
TVAE = {
    "model": "tvae",
    "window": 3,
    "mu": 4.0,
    "eps": 1e-6,
    "feature_norm": True,
    "spatial_weight": 0,
    "dropout": 0,
    "trained": True,
}
TDANN = {**TVAE, "model": "tdann", "window": None, "feature_norm": False, "spatial_weight": 10.0, "dropout": 0.5}
CONDITIONS = {
    "tvae": TVAE,
    "tvae_untrained": {**TVAE, "trained": False},
    "vae": {**TVAE, "window": None},
    "tdann": TDANN,
    "tdann_normalized": {**TDANN, "feature_norm": True},
    "tdann_nonspatial": {**TDANN, "spatial_weight": 0},
    "fc6": {**TDANN, "model": "fc6", "spatial_weight": 0, "dropout": 0, "trained": False},
}


class MemoryFeatures:
    """Features in memory; each epoch sees other crops of the images, which here are noise of their own."""

    class_names = ("body", "face", "scene")
    source, source_title, recognised_as, data_sha256 = "test", "Test features", "generated", "data"
    weights_sha256 = ""

    def __init__(self, *, fail_in: int | None = None, count: int = COUNT, width: int = WIDTH) -> None:
        random = np.random.default_rng(3)
        self.count, self.width, self.label = count, width, np.arange(count) % 3
        means = random.random((3, width)).astype(np.float32)
        self.values = means[self.label] + 0.3 * random.random((count, width)).astype(np.float32)
        self.fail_in, self.asked = fail_in, []

    def crop(self, epoch: int) -> np.ndarray:
        return self.values + np.float32(0.01 * epoch) * np.sin(np.arange(self.count * self.width)).astype(
            np.float32
        ).reshape(self.values.shape)

    def batches(self, epoch: int, plan: np.ndarray, device: torch.device) -> Iterator[torch.Tensor]:
        self.asked.append((epoch, plan))
        for indices in plan:
            if epoch == self.fail_in:
                raise KeyboardInterrupt
            yield torch.from_numpy(self.crop(epoch)[indices]).to(device)

    def all(self, batch: int) -> Iterator[tuple[slice, torch.Tensor]]:
        for first in range(0, self.count, batch):
            part = slice(first, min(first + batch, self.count))
            yield part, torch.from_numpy(self.crop(1)[part])


def settings_of(condition: str, seed: int = 0, *, grid=GRID, **training) -> dict:
    return {
        "paper": "keller2021_category",
        "dataset": "imagenet_faces",
        "scale": "test",
        "source": "test",
        "features": {"network": "gabor", "training": "cached"},
        "grid": list(grid),
        "model": {"name": "CategoryNetwork"},
        "training": {**TRAINING, **training},
        "condition": {"name": condition, **CONDITIONS[condition]},
        "strength": 0.0,
        "seed": seed,
    }


def spec_of(condition: str, seed: int = 0, **training) -> RunSpec:
    run = Run("keller2021_category", "imagenet_faces", condition, 0, seed)
    return RunSpec(run, settings_of(condition, seed, **training), "data", "code")


def train(folder: Path, *specs: RunSpec, data: MemoryFeatures | None = None) -> list[Trained | Divergence]:
    return list(
        train_category(
            specs,
            data or MemoryFeatures(),
            state_folder=lambda spec: folder / spec.run.id,
            device=CPU,
            stacked=False,
            progress=Progress("test", runs=len(specs), log=None),
        )
    )


# The same training written out in float64: one model, sums over windows and pairs one by one, momentum by hand.


def plain_loop(spec: RunSpec) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    """Weights and history. Every part of the loss is spelled out; torch's own batch norm normalizes."""
    training, condition, seed = spec.settings["training"], spec.settings["condition"], spec.run.seed
    data = MemoryFeatures()
    network = build_category(spec.settings, width=WIDTH, classes=3).double()
    weights = {name: tensor.requires_grad_() for name, tensor in network.net.named_parameters()}
    norm = torch.nn.BatchNorm1d(WIDTH, affine=False).double()
    velocity = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
    history = []
    for epoch in range(1, training["epochs"] + 1):
        order = rng.permutation(rng.key(seed, "batches", epoch), COUNT)
        rows = []
        for step in range(COUNT // BATCH):
            chosen = order[step * BATCH : (step + 1) * BATCH]
            features = torch.from_numpy(data.crop(epoch)[chosen]).double()
            features = norm(features) if condition["feature_norm"] else features
            of = tdann_loss if condition["model"] == "tdann" else elbo_loss
            mu = float(weights["mu"].detach()) if "mu" in weights else math.nan
            loss, row = of(weights, features, torch.from_numpy(data.label[chosen]), condition, seed, epoch, step)
            if not history:
                history.append({**row, "loss": float(loss.detach()), "mu": mu})
            rows.append({**row, "loss": float(loss.detach())})
            gradients = torch.autograd.grad(loss, list(weights.values()))
            with torch.no_grad():
                for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
                    velocity[name].mul_(training["momentum"]).add_(gradient + training["weight_decay"] * weight)
                    weight.sub_(training["learning_rate"] * velocity[name])
        means = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
        history.append({**means, "mu": float(weights["mu"].detach()) if "mu" in weights else math.nan})
    found = {f"net.{name}": tensor.detach() for name, tensor in weights.items()}
    if condition["feature_norm"]:
        found |= {"norm.running_mean": norm.running_mean, "norm.running_var": norm.running_var}
    return found, history


def elbo_loss(weights, features, _labels, condition, seed, epoch, step):
    units, batch = GRID[0] * GRID[1], len(features)

    def latent(name: str) -> tuple[torch.Tensor, torch.Tensor]:
        found = features @ weights[f"{name}_encoder.weight"].T + weights[f"{name}_encoder.bias"]
        mean, logvar = found[:, :units], found[:, units:]
        stream = rng.key(seed, f"posterior_{name}", epoch)
        noise = normal([stream], batch * units, offset=step * batch * units).view(batch, units).double()
        kl = (0.5 * (mean**2 + logvar.exp() - logvar - 1)).sum() / batch
        return mean + (logvar / 2).exp() * noise, kl

    t, kl_z = latent("z")
    kl_u = torch.zeros(())
    if condition["window"]:
        u, kl_u = latent("u")
        squares, reach = (u**2).view(batch, *GRID), condition["window"] // 2
        steps = range(-reach, reach + 1)
        v = sum(squares.roll((row, col), dims=(1, 2)) for row in steps for col in steps).reshape(batch, units)
        t = (t + weights["mu"]) / (v + condition["eps"]).sqrt()
    decoded = t @ weights["decoder.weight"] + weights["decoder.bias"]
    nll = (0.5 * (features - decoded) ** 2 + 0.5 * math.log(2 * math.pi)).sum() / batch
    parts = {"nll": nll, "kl_z": kl_z, "kl_u": kl_u}
    return sum(parts.values()), {name: float(part.detach()) for name, part in parts.items()}


def tdann_loss(weights, features, labels, condition, seed, epoch, step):
    units, batch = GRID[0] * GRID[1], len(features)
    width = WIDTH + units
    stream = [rng.key(seed, "dropout", epoch)]
    keep = rng.keep_mask(stream, batch * width, drop=0.5, offset=step * batch * width).view(batch, width).double()
    fc6 = (features * keep[:, :WIDTH] * 2) @ weights["fc6.weight"].T + weights["fc6.bias"]
    fc7 = (fc6.clamp(min=0) * keep[:, WIDTH:] * 2) @ weights["fc7.weight"].T + weights["fc7.bias"]
    logits = fc7.clamp(min=0) @ weights["fc8.weight"].T + weights["fc8.bias"]
    chosen = logits.log_softmax(1)[torch.arange(batch), labels]
    loss = cross_entropy = -chosen.mean()
    row = {
        "cross_entropy": float(cross_entropy.detach()),
        "accuracy": float((logits.argmax(1) == labels).double().mean()),
    }
    for name, sheet in (("fc6", fc6), ("fc7", fc7)):
        row[f"spatial_loss_{name}"] = math.nan
        if condition["spatial_weight"]:
            total = spatial_loss(sheet)
            loss = loss + condition["spatial_weight"] / units**2 * total
            row[f"spatial_loss_{name}"] = float(total.detach())
    return loss, row


def spatial_loss(sheet: torch.Tensor) -> torch.Tensor:
    """Pair by pair, each in both orders; rows of units are 10 mm / 4 rows apart."""
    batch, units = sheet.shape
    total = 0
    for one, other in itertools.combinations(range(units), 2):
        first, second = sheet[:, one], sheet[:, other]
        products = ((first - first.mean()) * (second - second.mean())).sum() / batch
        rows, cols = one // GRID[1] - other // GRID[1], one % GRID[1] - other % GRID[1]
        target = 1 / (10 / GRID[0] * math.hypot(rows, cols) + 1)
        total = total + 2 * (products / (first.std() * second.std()) - target).abs()
    return total


@pytest.mark.parametrize("condition", ["tvae", "vae", "tdann", "tdann_normalized", "tdann_nonspatial"])
def test_training_is_the_plain_loop(tmp_path, condition):
    spec = spec_of(condition, weight_decay=0.0 if condition in ("tvae", "vae") else 0.01)
    (trained,) = train(tmp_path, spec)
    tensors, history = plain_loop(spec)
    assert set(trained.tensors) == set(tensors)
    for name, expected in tensors.items():
        torch.testing.assert_close(trained.tensors[name].double(), expected, rtol=1e-4, atol=3e-6, msg=name)
    assert [row["epoch"] for row in trained.history] == [0, 1, 2]
    for row, expected in zip(trained.history, history, strict=True):
        assert tuple(row) == HISTORY_COLUMNS
        for name in HISTORY_COLUMNS[1:]:
            assert row[name] == pytest.approx(expected.get(name, math.nan), rel=1e-4, nan_ok=True), name


def test_the_loss_of_the_tdann_is_what_its_parts_say(tmp_path):
    """Mean cross-entropy + 10 / units² (L_fc6 + L_fc7), section B.1 with 20 units for 4096."""
    (trained,) = train(tmp_path, spec_of("tdann"))
    for row in trained.history:
        spatial = row["spatial_loss_fc6"] + row["spatial_loss_fc7"]
        assert row["loss"] == pytest.approx(row["cross_entropy"] + 10 / 400 * spatial, rel=1e-5)


def test_each_epoch_sees_its_own_crops_and_no_image_twice(tmp_path):
    data = MemoryFeatures()
    train(tmp_path, spec_of("tvae", epochs=3), data=data)
    assert [epoch for epoch, _ in data.asked] == [1, 2, 3]
    for _, plan in data.asked:
        assert plan.shape == (COUNT // BATCH, BATCH)
        assert len(np.unique(plan)) == plan.size
    assert not np.array_equal(data.asked[0][1], data.asked[1][1])


def test_a_cap_takes_images_of_all_classes(tmp_path):
    """Images are sorted by class, so that the first ones would be of one class."""
    indices = training_indices({"train_images": 300}, 3000)
    assert len(indices) == 300 and (np.diff(indices) > 0).all()
    per_class = np.bincount(indices // 1000, minlength=3)
    assert per_class.min() > 70
    data = MemoryFeatures()
    train(tmp_path, spec_of("vae", train_images=12, epochs=1), data=data)
    assert set(data.asked[0][1].ravel()) == set(training_indices({"train_images": 12}, COUNT))


@pytest.mark.parametrize("condition", ["tvae", "tdann"])
@pytest.mark.parametrize(("seconds", "rest"), [(0, [3, 4]), (1000, [1, 2, 3, 4])])
def test_a_stopped_run_goes_on_to_the_same_bytes(tmp_path, monkeypatch, condition, seconds, rest):
    """From its last state, or from the start where no state was due."""
    monkeypatch.setattr(category, "SECONDS_BETWEEN_STATES", seconds)
    spec = spec_of(condition, epochs=4)
    (whole,) = train(tmp_path / "whole", spec)
    stopping = MemoryFeatures(fail_in=3)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", spec, data=stopping)
    data = MemoryFeatures()
    (resumed,) = train(tmp_path / "stopped", spec, data=data)
    assert [epoch for epoch, _ in data.asked] == rest
    # As text, in which NaN equals NaN.
    first, second = (json.dumps(one.history, sort_keys=True) for one in (whole, resumed))
    assert first == second
    for name, tensor in whole.tensors.items():
        assert torch.equal(resumed.tensors[name], tensor), name


def test_a_finished_run_is_not_trained_again(tmp_path):
    """Its last state is written, however short it was: a job that is killed before its outputs goes on from there."""
    (first,) = train(tmp_path, spec_of("vae"))
    data = MemoryFeatures()
    (again,) = train(tmp_path, spec_of("vae"), data=data)
    assert data.asked == [] and all(torch.equal(again.tensors[name], first.tensors[name]) for name in first.tensors)


def test_a_run_that_diverges_stops_alone(tmp_path, monkeypatch):
    monkeypatch.setitem(CONDITIONS, "wild", {**TVAE, "mu": 1e30})
    first, second = train(tmp_path, spec_of("wild"), spec_of("tvae"))
    assert isinstance(first, Divergence) and first.spec.run.condition == "wild" and first.epoch == 1
    (alone,) = train(tmp_path / "alone", spec_of("tvae"))
    assert all(torch.equal(second.tensors[name], tensor) for name, tensor in alone.tensors.items())


def test_an_untrained_network_has_initial_weights_and_normalizes_the_training_features(tmp_path):
    data = MemoryFeatures()
    untrained, trained = train(tmp_path, spec_of("tvae_untrained", 5), spec_of("tvae", 5), data=data)
    initial = build_category(settings_of("tvae", 5), width=WIDTH, classes=3)
    for name, tensor in initial.net.state_dict().items():
        assert torch.equal(untrained.tensors[f"net.{name}"], tensor), name
    # Of the images that epoch 1 sees, 24 of the 27.
    seen = data.crop(1)[data.asked[0][1].ravel()]
    order = rng.permutation(rng.key(5, "batches", 1), COUNT)[: COUNT // BATCH * BATCH]
    seen = data.crop(1)[order].astype(np.float64)
    np.testing.assert_allclose(untrained.tensors["norm.running_mean"], seen.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(untrained.tensors["norm.running_var"], seen.var(axis=0, ddof=1), rtol=1e-5)
    # The trained network begins where the untrained one stays.
    assert len(untrained.history) == 1 and untrained.history[0] == pytest.approx(trained.history[0], nan_ok=True)
    assert untrained.details["epochs"] == 0 and trained.details["epochs"] == 2


def test_training_finds_what_the_features_have_in_common(tmp_path, monkeypatch):
    """The loss falls towards 0.5 log 2π a feature, which nothing can beat; three separate classes are learned."""
    (vae,) = train(tmp_path, spec_of("vae", epochs=60, learning_rate=0.01))
    floor, constant = WIDTH * 0.5 * math.log(2 * math.pi), WIDTH * 0.5 * (math.log(2 * math.pi) + 1)
    assert floor < vae.history[-1]["loss"] < constant < vae.history[0]["loss"]
    monkeypatch.setitem(CONDITIONS, "classifier", {**TDANN, "spatial_weight": 0, "dropout": 0})
    (tdann,) = train(tmp_path, spec_of("classifier", epochs=60, learning_rate=0.1))
    assert tdann.history[-1]["accuracy"] > 0.9 > 0.6 > tdann.history[0]["accuracy"]
    assert tdann.history[-1]["cross_entropy"] < 0.3 < math.log(3)


def test_pretrained_weights_are_taken_as_they_are(tmp_path, monkeypatch):
    units = GRID[0] * GRID[1]
    weight, bias = torch.randn(units, WIDTH), torch.randn(units)
    monkeypatch.setattr(category, "_read_pretrained", lambda data: (weight, bias))
    (fc6,) = train(tmp_path, spec_of("fc6"))
    assert torch.equal(fc6.tensors["net.weight"], weight) and torch.equal(fc6.tensors["net.bias"], bias)
    assert len(fc6.history) == 1 and all(math.isnan(fc6.history[0][name]) for name in HISTORY_COLUMNS[1:])


def test_the_pretrained_layer_needs_its_own_sheet(tmp_path, monkeypatch):
    monkeypatch.setattr(category, "_read_pretrained", lambda data: (torch.zeros(4096, 9216), torch.zeros(4096)))
    with pytest.raises(TopoRepError, match=r"4096 units of 9216 features, expected 20 units .* of 7"):
        train(tmp_path, spec_of("fc6"))
    monkeypatch.setitem(CONDITIONS, "fc6_trained", {**CONDITIONS["fc6"], "trained": True})
    with pytest.raises(TopoRepError, match="conditions.fc6_trained: .* not trained here; set trained to false"):
        train(tmp_path, spec_of("fc6_trained"))


def test_what_does_not_fit_is_refused(tmp_path, monkeypatch):
    with pytest.raises(TopoRepError, match="batch_size: expected at most the 27 training images, found 28"):
        train(tmp_path, spec_of("tvae", batch_size=28))
    with pytest.raises(TopoRepError, match="window: expected at most 4"):
        monkeypatch.setitem(CONDITIONS, "wide", {**TVAE, "window": 5})
        train(tmp_path, spec_of("wide"))
    with pytest.raises(TopoRepError, match=r"conditions.other.model: expected one of tvae, tdann, fc6, found 'cnn'"):
        monkeypatch.setitem(CONDITIONS, "other", {**TVAE, "model": "cnn"})
        train(tmp_path, spec_of("other"))
    with pytest.raises(TopoRepError, match="--mode stacked"):
        list(
            train_category(
                [spec_of("tvae")],
                MemoryFeatures(),
                state_folder=lambda spec: tmp_path,
                device=CPU,
                stacked=True,
                progress=Progress("test", runs=1, log=None),
            )
        )
