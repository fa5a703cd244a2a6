"""The engine against a plain training loop, and stacked runs against the same runs alone."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import reference_losses
import torch
import torch.nn.functional as F
from reference_models import REFERENCE, copy_weights
from torch import Tensor
from training_jobs import FILES, GRID, Job, make_job, run_of, specs_of, tiny_images

from toporep import rng
from toporep.config import load_config, read_yaml
from toporep.errors import TopoRepError
from toporep.models import MODELS, SheetCNN
from toporep.models.layers import CONVOLUTIONS
from toporep.runs import run_settings, run_table
from toporep.train import engine
from toporep.train.convolution import measure_convolutions
from toporep.train.engine import HISTORY_COLUMNS, TrainingData, split, train_runs
from toporep.train.objective import Objective
from toporep.train.progress import Progress
from toporep.train.stack import choose_stacked

CPU = torch.device("cpu")
BATCH = 24
both = pytest.mark.parametrize("model", sorted(MODELS))
MIXED = {
    "MnistCNN": [
        ("control", 0, 3),
        ("ws", 0.5, 0),
        ("as", 2, 1),
        ("as_reshaped", 1, 0),
        ("global", 0.3, 2),
        ("ws", 3, 1),
    ],
    "CifarCNN": [("ws", 1, 1), ("control", 0, 0), ("as", 0.5, 0), ("as_reshaped", 3, 2)],
}


@pytest.fixture(autouse=True)
def one_thread(restore_torch: None) -> None:
    torch.set_num_threads(1)


def train(
    model: str,
    runs: list,
    folder: Path,
    *,
    stacked: bool,
    device: torch.device = CPU,
    how: dict | None = None,
    data: TrainingData | None = None,
    **training,
) -> dict:
    """Train in this process; returns run → Trained. `how`: convolution and cuda_graphs; `training`: settings."""
    tiny = tiny_images(model)
    specs = specs_of(model, [run_of(model, *run) for run in runs], tiny, **training)
    progress = Progress("test", runs=len(specs))
    results = train_runs(
        specs,
        data or TrainingData(tiny.images_train, tiny.label_train),
        state_folder=lambda spec: folder / spec.run.id,
        device=device,
        stacked=stacked,
        progress=progress,
        **(how or {}),
    )
    return {result.spec.run: result for result in results}


# Against a plain loop


@dataclass
class Plain:
    """What a plain loop gives: losses of each step, and the network."""

    cross_entropy: list[float] = field(default_factory=list)
    correct: list[float] = field(default_factory=list)
    spatial: list[float] = field(default_factory=list)
    net: torch.nn.Module | None = None


def train_plainly(model: str, condition: str, strength: float, seed: int, *, epochs: int) -> Plain:
    """The published training loop: torch's layers, Adam and cross-entropy, the double-loop losses."""
    data, made = tiny_images(model), Plain()
    start = MODELS[model](seed, dropout=0.5).state_dict()
    made.net = net = copy_weights(REFERENCE[model](), start)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=False, foreach=False)
    images = (torch.from_numpy(data.images_train).permute(0, 3, 1, 2).double() / 255 - 0.5).div(0.25).float()
    labels = torch.from_numpy(data.label_train)
    chosen = rng.permutation(rng.key(seed, "split"), 100)[:80]
    for epoch in range(1, epochs + 1):
        order = chosen[rng.permutation(rng.key(seed, "batches", epoch), 80)]
        keep = rng.keep_mask([rng.key(seed, "dropout", epoch)], 80 * 121, drop=0.5).view(80, 121)
        for begin in range(0, 80, BATCH):
            batch = torch.from_numpy(order[begin : begin + BATCH])
            logits, pre = net.train()(images[batch], keep[begin : begin + BATCH], dropout=0.5)
            cross_entropy = F.cross_entropy(logits, labels[batch])
            if condition == "ws":
                spatial = reference_losses.weight_similarity(net.fc1.weight, tuple(GRID))
            else:
                spatial = reference_losses.activation_similarity(pre, tuple(GRID))
            optimizer.zero_grad()
            (cross_entropy + strength * spatial).backward()
            optimizer.step()
            made.cross_entropy += [float(cross_entropy.detach())] * len(batch)
            made.correct += (logits.argmax(1) == labels[batch]).double().tolist()
            made.spatial += [float(spatial.detach())] * len(batch)
    return made


@both
@pytest.mark.parametrize("condition, strength", [("ws", 0.5), ("as", 1.0)])
def test_a_run_is_that_of_a_plain_training_loop(tmp_path: Path, model: str, condition: str, strength: float) -> None:
    (result,) = train(model, [(condition, strength, 5)], tmp_path, stacked=False, epochs=2).values()
    plain = train_plainly(model, condition, strength, 5, epochs=2)
    for epoch in (1, 2):
        row, images = result.history[epoch], slice((epoch - 1) * 80, epoch * 80)
        # Eight steps of Adam grow float32 rounding (6e-8) to some 1e-5 of the loss; a wrong batch, mask or
        # gradient shows in the first or second digit.
        assert row["train_cross_entropy"] == pytest.approx(np.mean(plain.cross_entropy[images]), rel=1e-3)
        assert row["spatial_loss"] == pytest.approx(np.mean(plain.spatial[images]), rel=1e-3)
        assert row["train_accuracy"] == pytest.approx(np.mean(plain.correct[images]), abs=1 / 80 + 1e-9)
        own = "weight_similarity" if condition == "ws" else "activation_similarity"
        assert row[own] == pytest.approx(row["spatial_loss"], rel=1e-5)
    data = tiny_images(model)
    images = torch.from_numpy(data.images_test).permute(0, 3, 1, 2).float().div(255).sub(0.5).div(0.25)
    trained = copy_weights(REFERENCE[model](), result.tensors).eval()
    with torch.no_grad():
        torch.testing.assert_close(trained(images)[0], plain.net.eval()(images)[0], rtol=1e-2, atol=5e-3)
        # The last batches moved the network: agreement with a network that was never trained would be no test.
        untrained = copy_weights(REFERENCE[model](), MODELS[model](5, dropout=0.5).state_dict()).eval()
        assert (trained(images)[0] - untrained(images)[0]).abs().max() > 0.05


def test_the_start_is_recorded_before_any_update(tmp_path: Path) -> None:
    (result,) = train("MnistCNN", [("ws", 3, 0)], tmp_path, stacked=False, epochs=1).values()
    start = result.history[0]
    assert list(start) == list(HISTORY_COLUMNS) and start["epoch"] == 0
    assert start["weight_similarity"] == pytest.approx((2 / 3) ** 0.5, abs=0.02)
    initial = MODELS["MnistCNN"](0, dropout=0.5).fc1.weight.detach()
    assert start["weight_similarity"] == pytest.approx(
        float(reference_losses.weight_similarity(initial, tuple(GRID))), rel=1e-5
    )
    assert start["afferent_norm"] == pytest.approx(float(initial.norm(dim=1).mean()), rel=1e-6)
    assert np.isnan(start["validation_accuracy"])


def test_validation_is_on_the_held_out_images_without_dropout(tmp_path: Path) -> None:
    (result,) = train("CifarCNN", [("ws", 1, 2)], tmp_path, stacked=False, epochs=2).values()
    data = tiny_images("CifarCNN")
    held_out = rng.permutation(rng.key(2, "split"), 100)[80:]
    images = torch.from_numpy(data.images_train[held_out]).permute(0, 3, 1, 2).float().div(255).sub(0.5).div(0.25)
    labels = torch.from_numpy(data.label_train[held_out])
    with torch.no_grad():
        logits, _ = copy_weights(REFERENCE["CifarCNN"](), result.tensors).eval()(images)
    last = result.history[-1]
    assert last["validation_cross_entropy"] == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-4)
    assert last["validation_accuracy"] == pytest.approx(float((logits.argmax(1) == labels).double().mean()))


@pytest.mark.parametrize("stacked", [False, True])
def test_without_held_out_images_validation_is_unknown_not_zero(tmp_path: Path, stacked: bool) -> None:
    (result,) = train("MnistCNN", [("ws", 1, 2)], tmp_path, stacked=stacked, epochs=1, train_fraction=1).values()
    assert np.isnan(result.history[1]["validation_accuracy"])
    assert np.isnan(result.history[1]["validation_cross_entropy"])


@pytest.mark.parametrize("training", [{"batch_size": 79}, {"batch_size": 1}, {"train_images": 25}])
def test_a_last_batch_of_one_image_is_refused_before_training(tmp_path: Path, training: dict) -> None:
    with pytest.raises(TopoRepError, match="leave 1 for the last batch.*change batch_size or train_images"):
        train("MnistCNN", [("control", 0, 0)], tmp_path, stacked=False, **training)
    assert not list(tmp_path.rglob("epoch-*"))


def test_the_split_is_by_seed_and_leaves_no_image_in_both_parts() -> None:
    settings = {"train_fraction": 0.8, "train_images": None, "validation_images": None}
    train_part, held_out = split(0, 1000, settings)
    assert (len(train_part), len(held_out)) == (800, 200)
    assert sorted([*train_part, *held_out]) == list(range(1000))
    assert set(split(1, 1000, settings)[0]) != set(train_part)
    capped = split(0, 1000, {**settings, "train_images": 50, "validation_images": 10})
    assert (capped[0] == train_part[:50]).all() and (capped[1] == held_out[:10]).all()


@pytest.mark.parametrize(
    "mode, device, runs, expected",
    [
        ("auto", "cpu", 8, False),
        ("auto", "cuda", 8, True),
        ("auto", "cuda", 1, False),
        ("solo", "cuda", 8, False),
        ("stacked", "cpu", 2, True),
    ],
)
def test_runs_are_stacked_on_a_gpu(mode: str, device: str, runs: int, expected: bool) -> None:
    assert choose_stacked(mode, device=torch.device(device), runs=runs) is expected


# Stacked against solo


@dataclass
class Fed:
    """What a trainer feeds the model and the objective, training steps alone, a list entry a step."""

    weights: list[dict[str, Tensor]] = field(default_factory=list)
    images: list[Tensor] = field(default_factory=list)
    keep: list[Tensor] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)


@pytest.fixture
def fed(monkeypatch: pytest.MonkeyPatch) -> Fed:
    record = Fed()
    forward, objective = SheetCNN.forward, Objective.__call__

    def recorded_forward(model, images, *, keep=None):
        if model.training:
            if not record.weights:
                record.weights.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
            record.images.append(images.clone())
            record.keep.append(keep.clone())
        return forward(model, images, keep=keep)

    def recorded_objective(self, logits, pre, weight, labels):
        record.labels.append(labels.clone())
        return objective(self, logits, pre, weight, labels)

    monkeypatch.setattr(SheetCNN, "forward", recorded_forward)
    monkeypatch.setattr(Objective, "__call__", recorded_objective)
    return record


@both
def test_a_stack_feeds_each_run_the_bits_that_it_gets_alone(tmp_path: Path, model: str, fed: Fed) -> None:
    train(model, MIXED[model], tmp_path / "stack", stacked=True, epochs=2)
    stack = Fed(*(list(part) for part in (fed.weights, fed.images, fed.keep, fed.labels)))
    for index, run in enumerate(MIXED[model]):
        for part in (fed.weights, fed.images, fed.keep, fed.labels):
            part.clear()
        train(model, [run], tmp_path / str(index), stacked=False, epochs=2)
        assert len(fed.images) == len(stack.images) == 2 * 4
        for name, tensor in fed.weights[0].items():
            assert torch.equal(stack.weights[0][name][index], tensor), name
        for step in range(len(fed.images)):
            assert torch.equal(stack.images[step][index], fed.images[step])
            assert torch.equal(stack.keep[step][index], fed.keep[step])
            assert torch.equal(stack.labels[step][index], fed.labels[step][0])


def test_masks_do_not_depend_on_how_many_steps_are_drawn_at_once(tmp_path: Path, fed: Fed, monkeypatch) -> None:
    train("MnistCNN", [("ws", 1, 0)], tmp_path / "a", stacked=False, epochs=1)
    whole = list(fed.keep)
    fed.keep.clear()
    monkeypatch.setitem(engine._MASK_ELEMENTS, "cpu", 1)
    train("MnistCNN", [("ws", 1, 0)], tmp_path / "b", stacked=False, epochs=1)
    assert all(torch.equal(one, other) for one, other in zip(whole, fed.keep, strict=True))


@both
@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_a_stack_agrees_with_its_runs_alone_after_an_epoch(tmp_path: Path, model: str, convolution: str) -> None:
    """Metrics and functions agree within rounding.

    Both modes sum the same products in another order, so they differ by float32 rounding (6e-8), which the steps of
    Adam grow: its first updates are the sign of the gradient, and a gradient that is zero but for rounding (a bias
    before batch normalization) takes a step of the full learning rate in either direction. Such biases do not change
    the function, so means of the epoch and outputs are compared, not parameters. Observed differences: up to 2e-5
    (relative, losses) and 4e-4 (logits), but 3e-3 in single parameters; a wrong strength, mask or loss changes the
    first digits.
    """
    together = train(model, MIXED[model], tmp_path / "stack", stacked=True, epochs=1, how={"convolution": convolution})
    data = tiny_images(model)
    images = torch.from_numpy(data.images_test).permute(0, 3, 1, 2).float().div(255).sub(0.5).div(0.25)
    for index, run in enumerate(MIXED[model]):
        (alone,) = train(model, [run], tmp_path / str(index), stacked=False, epochs=1).values()
        stacked = together[alone.spec.run]
        assert (stacked.stacked, stacked.stack_size) == (True, len(MIXED[model]))
        for row, expected in zip(stacked.history, alone.history, strict=True):
            for column in HISTORY_COLUMNS:
                tolerance = {"abs": 1 / 80 + 1e-9} if column == "train_accuracy" else {"rel": 1e-3, "abs": 1e-5}
                if column == "validation_accuracy":
                    tolerance = {"abs": 1 / 20 + 1e-9}
                assert row[column] == pytest.approx(expected[column], nan_ok=True, **tolerance), (run, column)
        nets = [copy_weights(REFERENCE[model](), one.tensors).eval() for one in (stacked, alone)]
        with torch.no_grad():
            torch.testing.assert_close(nets[0](images)[0], nets[1](images)[0], rtol=1e-2, atol=1e-2)


def test_auto_takes_the_faster_way_to_convolve_and_keeps_it(tmp_path: Path, monkeypatch) -> None:
    """A stack that was begun in one way ends in it, whatever is faster by then."""
    seconds = {"unfold": 2.0, "grouped": 1.0}
    monkeypatch.setattr(engine, "measure_convolutions", lambda *_, **__: seconds)
    runs = [("ws", 1, 0), ("control", 0, 1)]
    begun = train("MnistCNN", runs, tmp_path, stacked=True, epochs=1, how={"convolution": "auto"})
    chosen = [(one.details["convolution"], one.details["convolution_choice"]) for one in begun.values()]
    assert chosen == [("grouped", "auto")] * 2
    named = train("MnistCNN", runs, tmp_path / "named", stacked=True, epochs=1, how={"convolution": "grouped"})
    for run, one in begun.items():
        assert named[run].details == {"convolution": "grouped", "convolution_choice": "named"}
        assert all(torch.equal(tensor, named[run].tensors[name]) for name, tensor in one.tensors.items())
    seconds["unfold"] = 0.5
    again = train("MnistCNN", runs, tmp_path, stacked=True, epochs=1, how={"convolution": "auto"})
    assert {one.details["convolution"] for one in again.values()} == {"grouped"}
    fresh = train("MnistCNN", runs, tmp_path / "fresh", stacked=True, epochs=1, how={"convolution": "auto"})
    assert {one.details["convolution"] for one in fresh.values()} == {"unfold"}


def test_the_ways_to_convolve_are_timed_on_the_shapes_of_the_stack() -> None:
    torch.backends.cuda.matmul.allow_tf32 = True
    found = measure_convolutions("MnistCNN", runs=2, batch=(3, 1, 8, 8), device=CPU, precision="float32")
    assert not torch.backends.cuda.matmul.allow_tf32
    assert set(found) == set(CONVOLUTIONS) and all(0 < seconds < 5 for seconds in found.values())


def test_no_stack_goes_on_from_a_state_that_was_convolved_otherwise(tmp_path: Path) -> None:
    runs = [("ws", 1, 0), ("control", 0, 1)]
    train("MnistCNN", runs, tmp_path, stacked=True, epochs=1, how={"convolution": "grouped"})
    with_state = train("MnistCNN", runs, tmp_path, stacked=True, epochs=1)
    without = train("MnistCNN", runs, tmp_path / "fresh", stacked=True, epochs=1)
    for run, one in without.items():
        assert all(torch.equal(tensor, with_state[run].tensors[name]) for name, tensor in one.tensors.items())


# Precision


@both
@pytest.mark.parametrize("stacked", [False, True])
def test_bf16_training_learns_as_float32_does_and_keeps_float32_weights(
    tmp_path: Path, model: str, stacked: bool
) -> None:
    """Two classes, dark and bright images: the loss falls from log 10 to under log 2 in 32 steps."""
    tiny, labels = tiny_images(model), np.arange(100) % 2
    images = (tiny.images_train // 4 + 150 * labels[:, None, None, None]).astype(np.uint8)
    runs, last = [("ws", 0.5, 0), ("control", 0, 1)], {}
    for precision in ("float32", "bf16"):
        folder = tmp_path / precision
        settings = {"epochs": 8, "precision": precision, "learning_rate": 3e-3}
        found = train(model, runs, folder, stacked=stacked, data=TrainingData(images, labels), **settings)
        for one in found.values():
            assert {tensor.dtype for tensor in one.tensors.values()} == {torch.float32}
            losses = [row["train_cross_entropy"] for row in one.history]
            assert losses[0] > 2 and losses[-1] < 0.69
        last[precision] = [one.history[-1]["train_cross_entropy"] for one in found.values()]
    assert last["bf16"] == pytest.approx(last["float32"], abs=0.01)
    assert last["bf16"] != last["float32"]


def test_a_run_with_another_precision_is_another_run() -> None:
    data, run = tiny_images("MnistCNN"), run_of("MnistCNN", "ws", 1, 0)
    identities = {
        specs_of("MnistCNN", [run], data, precision=precision)[0].identity for precision in ("float32", "tf32", "bf16")
    }
    assert len(identities) == 3


@pytest.mark.parametrize("paper", ["truong2025", "sander2026", "keller2021_capsules"])
def test_precision_in_the_configuration_makes_other_runs(paper: str) -> None:
    folder = Path(__file__).parents[1] / "config"
    main, found = read_yaml(folder / "config.yaml") | {"papers": [paper]}, {}
    for precision in ("float32", "bf16"):
        datasets = dict.fromkeys(read_yaml(folder / "papers" / f"{paper}.yaml")["datasets"], {"precision": precision})
        config = load_config(main | {"overrides": {paper: {"datasets": datasets}}}, folder)
        runs = run_table(config.papers[paper])
        found[precision] = [run_settings(config, run)["training"]["precision"] for run in runs[:: len(runs) // 5]]
    assert set(found["float32"]) == {"float32"} and set(found["bf16"]) == {"bf16"}


def test_an_unknown_precision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TopoRepError, match="precision: expected one of float32, tf32, bf16, found 'fp16'"):
        train("MnistCNN", [("ws", 1, 0)], tmp_path, stacked=False, precision="fp16")


def test_precision_is_set_for_each_job_anew(tmp_path: Path) -> None:
    """tf32 is a switch of the whole process: a job of float32 after one of tf32 must find it off."""
    train("MnistCNN", [("ws", 1, 0)], tmp_path / "a", stacked=False, epochs=1, precision="tf32")
    assert torch.backends.cuda.matmul.allow_tf32 and torch.backends.cudnn.allow_tf32
    train("MnistCNN", [("ws", 1, 0)], tmp_path / "b", stacked=False, epochs=1)
    assert not torch.backends.cuda.matmul.allow_tf32 and not torch.backends.cudnn.allow_tf32


# On a GPU


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@both
@pytest.mark.parametrize("precision, rel", [("float32", 2e-3), ("tf32", 2e-2), ("bf16", 5e-2)])
@pytest.mark.parametrize("convolution", CONVOLUTIONS)
@pytest.mark.parametrize("cuda_graphs", [False, True])
def test_a_stack_on_a_gpu_agrees_with_its_runs_alone_on_a_cpu(
    tmp_path: Path, model: str, precision: str, rel: float, convolution: str, cuda_graphs: bool
) -> None:
    how = {"convolution": convolution, "cuda_graphs": cuda_graphs}
    # Nine whole batches and three part ones: steps that are warmed up, recorded and replayed, and some that are not.
    there = train(
        model,
        MIXED[model],
        tmp_path / "gpu",
        stacked=True,
        device=torch.device("cuda"),
        how=how,
        epochs=3,
        precision=precision,
    )
    for index, run in enumerate(MIXED[model]):
        (alone,) = train(model, [run], tmp_path / str(index), stacked=False, epochs=3).values()
        for row, expected in zip(there[alone.spec.run].history, alone.history, strict=True):
            for column in ("train_cross_entropy", "weight_similarity", "activation_similarity", "afferent_norm"):
                assert row[column] == pytest.approx(expected[column], rel=rel), (run, row["epoch"], column)


def test_cuda_graphs_are_refused_without_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(TopoRepError, match="--cuda-graphs: expected a GPU, found device 'cpu'"):
        train("MnistCNN", [("ws", 1, 0)], tmp_path, stacked=False, how={"cuda_graphs": True})


def test_runs_of_one_seed_differ_by_their_condition_alone(tmp_path: Path, fed: Fed) -> None:
    """Same seed, other conditions: paired weights, batches and masks."""
    train("MnistCNN", [("control", 0, 7), ("ws", 3, 7), ("as", 1, 7)], tmp_path, stacked=True, epochs=1)
    assert all(torch.equal(part[0], part[1]) and torch.equal(part[0], part[2]) for part in fed.images + fed.keep)
    assert all(torch.equal(tensor[0], tensor[2]) for tensor in fed.weights[0].values())


# The command


@pytest.fixture(scope="module", params=["solo", "stacked"])
def job(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Job:
    job = make_job(tmp_path_factory.mktemp("job"), [("ws", 0.5, 0), ("control", 0, 1)], mode=request.param)
    ended = job.train()
    assert ended.status == 0, ended.stderr
    return job


def test_a_run_leaves_weights_history_and_provenance(job: Job) -> None:
    for run in job.runs:
        assert sorted(path.name for path in Path(job.paths.run_dir(run)).iterdir()) == sorted(FILES)
        with open(job.paths.history(run), encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == list(HISTORY_COLUMNS)
        assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]


def test_provenance_says_how_the_run_was_trained(job: Job) -> None:
    for run in job.runs:
        with open(job.paths.provenance(run), encoding="utf-8") as file:
            provenance = json.load(file)
        assert provenance["run"] == run.id and provenance["seed"] == run.seed
        assert provenance["mode"] == job.mode
        assert provenance["stack_size"] == (2 if job.mode == "stacked" else 1)
        assert provenance["device"] == "cpu" and provenance["deterministic"] is True and provenance["threads"] == 1
        assert provenance["train_images"] == 80
        assert provenance["data_sha256"] == tiny_images("MnistCNN").data_sha256
        assert provenance["settings"]["condition"]["name"] == run.condition
        assert provenance["software"]["torch"] == version("torch")
