"""The self-organizing map: its rule against a plain loop, its metric by hand, resuming, stacks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from toporep import rng
from toporep.errors import TopoRepError
from toporep.metrics.topographic_error import chance_topographic_error, topographic_error
from toporep.models.self_organizing_map import SelfOrganizingMap, initial_images, label_shares, responses
from toporep.runs import Run
from toporep.sheet import distance_matrix
from toporep.train.outcome import TrainingData
from toporep.train.progress import Progress
from toporep.train.self_organizing import schedule, train_maps
from toporep.train.spec import RunSpec

GRID, EPOCHS = (3, 4), 3
MEAN, STD = 0.3, 0.5


@pytest.fixture
def data() -> TrainingData:
    """40 images of 2 × 3 pixels in two classes."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (40, 2, 3, 1)).astype(np.uint8)
    return TrainingData(images, (images[:, 0, 0, 0] > 128).astype(np.int64), ("dark", "light"), "sha")


def spec(condition: str = "som", strength: float = 0.6, seed: int = 0, **training) -> RunSpec:
    settings = {
        "grid": list(GRID),
        "model": {"name": "SelfOrganizingMap"},
        "training": {
            **{"epochs": EPOCHS, "rate": [0.5, 0.05], "initial_width": 2, "train_images": None},
            **{"mean": [MEAN], "std": [STD], **training},
        },
        "condition": {
            "name": condition,
            "trained": condition != "untrained",
            "spatial_loss": "neighborhood" if condition == "som" else "none",
        },
        "seed": seed,
    }
    return RunSpec(Run("kohonen1982", "mnist", condition, strength, seed), settings, "sha", "code")


def train(specs: list[RunSpec], data: TrainingData, folder: Path, *, stacked: bool = False):
    return list(
        train_maps(
            specs,
            data,
            state_folder=lambda one: folder / one.run.id,
            device=torch.device("cpu"),
            stacked=stacked,
            progress=Progress("test", runs=len(specs)),
        )
    )


def normalized(data: TrainingData) -> np.ndarray:
    return (data.images.reshape(len(data.images), -1) / 255 - MEAN) / STD


def plain_map(data: TrainingData, *, seed: int, width: float) -> np.ndarray:
    """The published rule as a loop over units, in float64."""
    inputs, distance = normalized(data), distance_matrix(GRID)
    weight = inputs[initial_images(seed, len(inputs), len(distance))]
    total, step = EPOCHS * len(inputs), 0
    for epoch in range(1, EPOCHS + 1):
        for index in rng.permutation(rng.key(seed, "batches", epoch), len(inputs)):
            share = step / (total - 1)
            rate, sigma = 0.5 * (0.05 / 0.5) ** share, 2 * (width / 2) ** share if width else 0
            winner = int(np.argmin(((inputs[index] - weight) ** 2).sum(axis=1)))
            for unit in range(len(weight)):
                near = float(unit == winner) if not sigma else np.exp(-(distance[winner, unit] ** 2) / (2 * sigma**2))
                weight[unit] += rate * near * (inputs[index] - weight[unit])
            step += 1
    return weight


@pytest.mark.parametrize(("condition", "width"), [("som", 0.6), ("winner_alone", 0)])
def test_training_is_the_rule_written_as_a_loop(condition, width, data, tmp_path):
    (trained,) = train([spec(condition, width)], data, tmp_path)
    np.testing.assert_allclose(trained.tensors["weight"], plain_map(data, seed=0, width=width), rtol=0, atol=1e-4)


def test_an_untrained_map_has_training_images_in_the_places_of_its_seed(data, tmp_path):
    trained = train([spec("untrained", 0), spec("untrained", 0, seed=1)], data, tmp_path)
    for one, seed in zip(trained, (0, 1), strict=True):
        first = initial_images(seed, 40, 12)
        np.testing.assert_allclose(one.tensors["weight"], normalized(data)[first], rtol=0, atol=1e-6)
        assert [row["epoch"] for row in one.history] == [0]
    assert set(initial_images(0, 40, 12)) != set(initial_images(1, 40, 12))


def test_a_stack_trains_each_map_as_it_is_trained_alone(data, tmp_path):
    specs = [spec("som", 0.6), spec("winner_alone", 0), spec("som", 1.5, seed=1), spec("untrained", 0)]
    alone = train(specs, data, tmp_path / "alone")
    stacked = train(specs, data, tmp_path / "stacked", stacked=True)
    assert [one.stack_size for one in stacked] == [3, 3, 3, 1]
    for one, other in zip(alone, stacked, strict=True):
        assert one.spec == other.spec
        for name, tensor in one.tensors.items():
            np.testing.assert_allclose(tensor, other.tensors[name], rtol=0, atol=1e-5)


def test_a_killed_run_ends_at_the_same_bytes(data, tmp_path):
    (whole,) = train([spec()], data, tmp_path / "whole")
    state = tmp_path / "killed" / spec().run.id / "epoch-00002.safetensors"
    train([spec()], data, tmp_path / "killed")
    for path in state.parent.glob("epoch-*"):
        if path != state:
            path.unlink()
    (resumed,) = train([spec()], data, tmp_path / "killed")
    assert torch.equal(whole.tensors["weight"], resumed.tensors["weight"])
    assert whole.history == resumed.history


def test_one_unit_at_the_mean_image_has_quantization_error_one(data, tmp_path):
    first = train([spec(epochs=1)], data, tmp_path)[0].history[0]
    inputs = normalized(data)
    weight = inputs[initial_images(0, 40, 12)]
    nearest = ((inputs[:, None] - weight) ** 2).sum(axis=2).min(axis=1)
    assert first["quantization_error"] == pytest.approx(nearest.mean() / inputs.var(axis=0).sum(), rel=1e-5)


def test_schedule_is_geometric_and_goes_on_over_epochs():
    whole = schedule(5, 0.5, start=0, steps=100, total=100)
    assert (whole[0], whole[-1]) == (5, pytest.approx(0.5))
    np.testing.assert_allclose(whole[1:] / whole[:-1], whole[1] / whole[0])
    np.testing.assert_array_equal(schedule(5, 0.5, start=40, steps=20, total=100), whole[40:60])


def test_the_winner_by_response_is_the_nearest_unit(data):
    inputs, weight = torch.randn(50, 6), torch.randn(12, 6)
    assert torch.equal(responses(inputs, weight).argmax(dim=1), torch.cdist(inputs, weight).argmin(dim=1))


def test_logits_are_the_label_shares_of_the_winner():
    model = SelfOrganizingMap(units=2, inputs=1, classes=3)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[-1.0], [1.0]]))
        model.label_share.copy_(
            torch.from_numpy(label_shares(np.array([0, 0, 0, 1]), np.array([2, 2, 0, 1]), units=2, classes=3))
        )
    logits, pre = model(torch.tensor([-3.0, 2.0]).reshape(2, 1, 1, 1))
    torch.testing.assert_close(logits, torch.tensor([[1 / 3, 0, 2 / 3], [0, 1, 0]]))
    torch.testing.assert_close(pre, torch.tensor([[2.5, -3.5], [-2.5, 1.5]]))


def test_a_unit_that_wins_nothing_has_no_label():
    assert label_shares(np.array([0]), np.array([1]), units=3, classes=2).sum(axis=0).tolist() == [1, 0, 0]


def test_topographic_error_of_a_few_images_by_hand():
    # A sheet of 1 × 3: units 0 and 2 are no neighbors.
    activations = np.array([[3.0, 2, 1], [2, 1, 3], [1, 3, 2], [1, 1, 1]])
    assert topographic_error(activations, (1, 3)) == pytest.approx(1 / 4)
    np.testing.assert_allclose(topographic_error(np.stack([activations, -activations]), (1, 3)), [1 / 4, 1 / 4])


def test_topographic_error_is_zero_where_responses_fall_with_distance():
    assert topographic_error(-distance_matrix((5, 6)), (5, 6)) == 0


def test_random_places_have_the_chance_level():
    assert chance_topographic_error((11, 11)) == pytest.approx(1 - 840 / (121 * 120))
    activations = np.random.default_rng(0).normal(size=(20_000, 16))
    assert topographic_error(activations, (4, 4)) == pytest.approx(chance_topographic_error((4, 4)), abs=0.012)


@pytest.mark.parametrize("activations", [np.zeros((4, 5)), np.zeros((4, 1))])
def test_units_that_do_not_fill_the_sheet_are_refused(activations):
    with pytest.raises(TopoRepError, match="expected the 6 units of a sheet of 2 × 3"):
        topographic_error(activations, (2, 3))


def test_fewer_images_than_units_are_refused(data, tmp_path):
    with pytest.raises(TopoRepError, match="train_images: expected at least 12, .* found 5"):
        train([spec(train_images=5)], data, tmp_path)


def test_a_label_that_is_no_class_is_refused():
    with pytest.raises(TopoRepError, match="expected 0 to 1, found 0 to 2"):
        label_shares(np.array([0, 0]), np.array([0, 2]), units=1, classes=2)
