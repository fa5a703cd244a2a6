"""Evaluations of residual networks against direct forward passes in double precision, and what they refuse."""

from __future__ import annotations

import csv
import functools
import json
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from training_jobs import settings_of, tiny_images

from toporep import codehash, rng
from toporep.cli import activations, embeddings, noise_logits
from toporep.data.images import save_images
from toporep.errors import TopoRepError
from toporep.io import read_dataset
from toporep.models.resnet import TopographicResNet18
from toporep.models.trained_resnet import NETWORKS
from toporep.runs import Paths, Run
from toporep.stimuli import noise as kernels
from toporep.stimuli.noise import add_noise, pink_noise
from toporep.tensors import load_tensors, save_tensors
from toporep.train.spec import RunSpec

pytestmark = pytest.mark.usefixtures("restore_torch")

IMAGES = tiny_images("CifarCNN")
GRID, WIDTH, CLASSES, PROJECTION = (16, 16), 4, 10, 12
UNITS = 256
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
CE = Run("sander2026", "cifar10", "ce", 0.2, 0)
CE_PLAIN = Run("sander2026", "cifar10", "ce", 0, 1)
SUPCON = Run("sander2026", "cifar10", "supcon", 5, 2)
HEAD = {"ce": "classifier", "supcon": "projection"}
EMBEDDINGS = {"test_images": None, "mean": MEAN, "std": STD}
# The paper's noise; tests of few images take two levels.
NOISE = {
    "kinds": ["pink", "white", "salt_pepper"],
    "levels": [0.01, 0.2],
    "seed": 0,
    "clip": True,
    "amplitude_exponent": 1.0,
    "replace": True,
}
NAME = {embeddings: "activations", noise_logits: "noise_logits"}
both = pytest.mark.parametrize("command", [embeddings, noise_logits], ids=["embeddings", "noise_logits"])


@dataclass
class Evaluated:
    """Trained runs, made by hand, in a folder of results."""

    paths: Paths
    images: Path

    def evaluate(self, command: ModuleType, *runs: Run, **settings: Any) -> None:
        settings = {**(EMBEDDINGS | NOISE if command is noise_logits else EMBEDDINGS), **settings}
        arguments = ["--runs", *(run.id for run in runs), "--images", str(self.images), "--root", self.paths.root]
        arguments += ["--evaluation", json.dumps(settings), "--code-hash", "0" * 16, "--device", "cpu"]
        assert command.main(arguments) == 0

    def file(self, command: ModuleType, run: Run) -> Path:
        return Path(self.paths.evaluation(NAME[command], run))

    def read(self, command: ModuleType, run: Run):
        return read_dataset(self.file(command, run), NAME[command])

    def tensors(self, run: Run) -> dict[str, torch.Tensor]:
        return load_tensors(self.paths.weights(run))[0]

    def rewrite(self, run: Run, tensors: dict[str, torch.Tensor], *, of: Run | None = None, identity: str = "") -> None:
        """Put other tensors, or other metadata, into a run's weights file."""
        told = json.loads(Path(self.paths.provenance(run)).read_text())["identity"]
        metadata = {"run": (of or run).id, "identity": identity or told}
        save_tensors(self.paths.weights(run), tensors, metadata)

    def reset(self, run: Run, **changes: Any) -> None:
        """Change what a run's files say of its model, as if another one had been trained."""
        path, tensors = Path(self.paths.provenance(run)), self.tensors(run)
        provenance = json.loads(path.read_text())
        provenance["settings"]["model"] |= changes
        path.write_text(json.dumps(provenance | {"identity": identity_of(run, provenance)}))
        self.rewrite(run, tensors)


@pytest.fixture
def trained(tmp_path: Path) -> Evaluated:
    evaluated = Evaluated(Paths(str(tmp_path / "results")), tmp_path / "images.nc")
    save_images(IMAGES, evaluated.images)
    for run in (CE, CE_PLAIN, SUPCON):
        write_texts(evaluated.paths, run)
        evaluated.rewrite(run, make_tensors(run))
    return evaluated


def identity_of(run: Run, provenance: dict[str, Any]) -> str:
    return RunSpec(run, *(provenance[name] for name in ("settings", "data_sha256", "code_hash"))).identity


@functools.cache
def make_tensors(run: Run) -> dict[str, torch.Tensor]:
    """Tensors of a weights file, none of which is trivial."""
    head = HEAD[run.condition]
    model = TopographicResNet18(
        run.seed, head=head, grid=GRID, width=WIDTH, classes=CLASSES, projection=PROJECTION, dropout=0.5
    )
    tensors = dict(model.state_dict())
    generator = torch.Generator().manual_seed(run.seed)
    for name in tensors:
        if "bn" in name or "downsample.1" in name:
            tensors[name] = tensors[name] + 0.5 * torch.rand(tensors[name].shape, generator=generator)
    if head == "projection":
        for readout in ("readout", "readout_standardized"):
            tensors[f"{readout}.weight"] = torch.randn(CLASSES, UNITS, generator=generator)
            tensors[f"{readout}.bias"] = torch.randn(CLASSES, generator=generator)
        tensors["readout_standardized.mean"] = torch.randn(UNITS, generator=generator)
        tensors["readout_standardized.sd"] = 0.5 + torch.rand(UNITS, generator=generator)
        # As training writes it for a unit that never changes.
        tensors["readout_standardized.sd"][3] = torch.inf
    return tensors


def write_texts(paths: Paths, run: Run) -> None:
    """The history and the provenance of a run, in a folder that may not be there yet."""
    Path(paths.run_dir(run)).mkdir(parents=True, exist_ok=True)
    rows = [{"epoch": 0, "task_loss": 2.3, "strength": "nan"}, {"epoch": 1, "task_loss": 1.25, "strength": 40.5}]
    with open(paths.history(run), "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    model = {
        "name": "TopographicResNet18",
        "head": HEAD[run.condition],
        "dropout": 0.5,
        "width": WIDTH,
        "projection": PROJECTION,
    }
    provenance = {
        "settings": {
            **settings_of("CifarCNN", Run("truong2025", "cifar10", "ws", 0, run.seed), mean=MEAN, std=STD),
            "grid": list(GRID),
            "model": model,
        },
        "train_images": 80,
        "config_sha256": "1" * 64,
        "data_sha256": IMAGES.data_sha256,
        "code_hash": "2" * 16,
        "device": "cpu",
        "deterministic": True,
        "mode": "solo",
        "stack_size": 1,
    }
    provenance["identity"] = identity_of(run, provenance)
    Path(paths.provenance(run)).write_text(json.dumps(provenance))


def direct(tensors: dict[str, torch.Tensor], images: np.ndarray) -> dict[str, np.ndarray]:
    """Embeddings and logits of (image, row, col, channel) images in 0..1, in double precision."""
    head = "projection" if "readout.weight" in tensors else "classifier"
    model = TopographicResNet18(0, head=head, grid=GRID, width=WIDTH, projection=PROJECTION)
    model.load_state_dict({name: value for name, value in tensors.items() if not name.startswith("readout")})
    inputs = np.moveaxis((images.astype(np.float64) - MEAN) / STD, -1, 1)
    with torch.no_grad():
        output, embedding = (answer.numpy() for answer in model.double().eval()(torch.from_numpy(inputs)))
    if head == "classifier":
        return {"sheet_pre": embedding, "logits": output}
    weights = {name: value.double().numpy() for name, value in tensors.items() if name.startswith("readout")}
    standardized = (embedding - weights["readout_standardized.mean"]) / weights["readout_standardized.sd"]
    return {
        "sheet_pre": embedding,
        "logits": embedding @ weights["readout.weight"].T + weights["readout.bias"],
        "logits_standardized": standardized @ weights["readout_standardized.weight"].T
        + weights["readout_standardized.bias"],
    }


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


# Activation dumps


@pytest.mark.parametrize("run", [CE, SUPCON], ids=["classifier", "projection"])
def test_a_dump_holds_what_a_direct_forward_pass_gives(trained: Evaluated, run: Run) -> None:
    trained.evaluate(embeddings, run)
    dump, expected = trained.read(embeddings, run), direct(trained.tensors(run), IMAGES.images_test / 255)
    assert ("logits_standardized" in dump) == (run is SUPCON)
    for name, values in expected.items():
        assert_close(dump[name].values, values)
    assert (dump["sheet_pre"].values < 0).any()
    assert (dump["label"].values == IMAGES.label_test).all()
    assert (dump["row"].values * 16 + dump["col"].values == np.arange(UNITS)).all()


@pytest.mark.parametrize(("run", "layer"), [(CE, "head.linear"), (SUPCON, "readout")], ids=["classifier", "projection"])
def test_a_dump_holds_the_weights_on_both_sides_of_the_sheet(trained: Evaluated, run: Run, layer: str) -> None:
    trained.evaluate(embeddings, run)
    dump, tensors = trained.read(embeddings, run), trained.tensors(run)
    parts = {"sheet_weight": "encoder.embedding.weight", "readout_weight": f"{layer}.weight"}
    for name, tensor in (parts | {"readout_bias": f"{layer}.bias"}).items():
        np.testing.assert_array_equal(dump[name].values, tensors[tensor].numpy())
    logits = dump["sheet_pre"].values @ dump["readout_weight"].values.T + dump["readout_bias"].values
    assert_close(dump["logits"].values, logits)


def test_a_dump_holds_the_training_history_and_says_which_run_it_is_of(trained: Evaluated) -> None:
    trained.evaluate(embeddings, SUPCON)
    dump = trained.read(embeddings, SUPCON)
    assert dump["epoch"].values.tolist() == [0, 1]
    assert dump["quantity"].values.tolist() == ["task_loss", "strength"]
    np.testing.assert_array_equal(dump["history"].values, [[2.3, np.nan], [1.25, 40.5]])
    assert [dump.attrs[name] for name in ("paper", "condition", "strength", "seed")] == ["sander2026", "supcon", 5, 2]
    assert json.loads(dump.attrs["class_names"]) == list(IMAGES.class_names)
    config = json.loads(dump.attrs["config"])
    assert config["training"]["mean"] == MEAN and config["evaluation"] == EMBEDDINGS


def test_the_command_has_a_name_of_its_own(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="0"):
        embeddings.main(["--help"])
    assert "python -m toporep.cli.embeddings" in capsys.readouterr().out


def test_other_networks_code_does_not_matter() -> None:
    for command in ("embeddings", "noise_logits"):
        used = codehash.dependencies(f"toporep.cli.{command}")
        assert "toporep.models.resnet" in used and "toporep.models.cnn" not in used
    for command in ("activations", "tuning", "image_noise"):
        used = codehash.dependencies(f"toporep.cli.{command}")
        assert "toporep.models.cnn" in used and "toporep.models.resnet" not in used


# Logits under noise


@pytest.mark.parametrize("run", [CE, SUPCON], ids=["classifier", "projection"])
def test_noise_is_added_before_normalization(trained: Evaluated, run: Run) -> None:
    trained.evaluate(noise_logits, run)
    found, tensors = trained.read(noise_logits, run), trained.tensors(run)
    for kind in NOISE["kinds"]:
        for level in NOISE["levels"]:
            noisy = add_noise(IMAGES.images_test, kind, level, seed=0)
            logits = found["logits"].values[NOISE["kinds"].index(kind), NOISE["levels"].index(level)]
            assert_close(logits, direct(tensors, noisy)["logits"])
    assert found["kind"].values.tolist() == NOISE["kinds"] and found["level"].values.tolist() == NOISE["levels"]
    assert (found["label"].values == IMAGES.label_test).all()


def test_noise_has_the_options_of_the_settings(trained: Evaluated) -> None:
    options = {"clip": False, "amplitude_exponent": 0.5, "replace": False}
    trained.evaluate(noise_logits, CE, levels=[0.2], seed=7, **options)
    found, tensors = trained.read(noise_logits, CE), trained.tensors(CE)
    for kind, logits in zip(NOISE["kinds"], found["logits"].values, strict=True):
        noisy = add_noise(IMAGES.images_test, kind, 0.2, seed=7, **options)
        assert_close(logits[0], direct(tensors, noisy)["logits"])


@pytest.mark.parametrize("run", [CE, SUPCON], ids=["classifier", "projection"])
def test_clean_logits_are_those_of_the_dump(trained: Evaluated, run: Run) -> None:
    trained.evaluate(embeddings, run)
    trained.evaluate(noise_logits, run)
    found = trained.read(noise_logits, run)["clean_logits"].values
    np.testing.assert_array_equal(found, trained.read(embeddings, run)["logits"].values)


def test_all_networks_see_the_same_noise(trained: Evaluated) -> None:
    trained.rewrite(CE_PLAIN, trained.tensors(CE))
    trained.evaluate(noise_logits, CE)
    trained.evaluate(noise_logits, CE_PLAIN)
    first, second = (trained.read(noise_logits, run)["logits"].values for run in (CE, CE_PLAIN))
    np.testing.assert_array_equal(first, second)


def test_noise_is_made_once_for_all_networks(trained: Evaluated, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def counted(images: np.ndarray, kind: str, level: float, **options: Any) -> np.ndarray:
        made.append((kind, level, options["first_index"]))
        return add_noise(images, kind, level, **options)

    monkeypatch.setattr(noise_logits, "add_noise", counted)
    monkeypatch.setattr(noise_logits, "BATCH", 20)
    trained.evaluate(noise_logits, CE, CE_PLAIN)
    assert len(made) == len(set(made)) == 3 * 2 * 2


# Jobs


@both
def test_answers_do_not_depend_on_the_other_runs_of_a_job(trained: Evaluated, command: ModuleType) -> None:
    runs = (CE, CE_PLAIN, SUPCON)
    alone = []
    for run in runs:
        trained.evaluate(command, run)
        alone.append(trained.file(command, run).read_bytes())
        trained.file(command, run).unlink()
    trained.evaluate(command, *runs)
    for run, expected in zip(runs, alone, strict=True):
        assert trained.file(command, run).read_bytes() == expected, run.id


@both
def test_answers_do_not_depend_on_the_batches(
    trained: Evaluated, command: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained.evaluate(command, SUPCON)
    whole = trained.read(command, SUPCON)
    monkeypatch.setattr(command, "BATCH", 7)
    trained.evaluate(command, SUPCON)
    for name, values in trained.read(command, SUPCON).data_vars.items():
        assert_close(np.nan_to_num(values.values), np.nan_to_num(whole[name].values))


@both
def test_test_images_may_be_capped(trained: Evaluated, command: ModuleType) -> None:
    trained.evaluate(command, CE, test_images=9)
    logits = trained.read(command, CE)["logits" if command is embeddings else "clean_logits"].values
    assert_close(logits, direct(trained.tensors(CE), IMAGES.images_test[:9] / 255)["logits"])


# What is refused


def refuse(trained: Evaluated, command: ModuleType, run: Run, message: str) -> None:
    """The command refuses a run, and has written nothing of the one before it."""
    other = CE if run is not CE else SUPCON
    with pytest.raises(TopoRepError, match=message):
        trained.evaluate(command, other, run)
    assert not trained.file(command, other).exists()


@both
def test_weights_without_a_readout_are_refused(trained: Evaluated, command: ModuleType) -> None:
    tensors = trained.tensors(SUPCON)
    trained.rewrite(SUPCON, {name: value for name, value in tensors.items() if not name.startswith("readout.")})
    refuse(
        trained,
        command,
        SUPCON,
        r"supcon/5/seed2/weights\.safetensors: checkpoint from another configuration: no readout\.weight; "
        r"no readout\.bias; train sander2026/cifar10/supcon/5/seed2 again",
    )


@both
@pytest.mark.parametrize(
    ("run", "changes", "message"),
    [
        (CE, {"width": 8}, r"encoder\.conv1\.weight is \(4, 3, 3, 3\), expected \(8, 3, 3, 3\).* and \d+ more"),
        (CE, {"head": "projection"}, r"no head\.bn\.weight;.* and \d+ more"),
        (SUPCON, {"projection": 128}, r"head\.linear\.weight is \(12, 256\), expected \(128, 256\)"),
        (SUPCON, {"head": "classifier"}, r"head\.linear\.weight is \(12, 256\), expected \(10, 256\)"),
    ],
    ids=["width", "projection head", "projection", "classifier"],
)
def test_weights_of_another_configuration_are_refused(
    trained: Evaluated, command: ModuleType, run: Run, changes: dict, message: str
) -> None:
    trained.reset(run, **changes)
    refuse(trained, command, run, rf"weights\.safetensors: checkpoint from another configuration: {message}")


def test_weights_with_more_than_the_network_are_refused(trained: Evaluated) -> None:
    trained.rewrite(CE, {**trained.tensors(CE), "extra.weight": torch.zeros(2)})
    refuse(trained, embeddings, CE, "checkpoint from another configuration: extra.weight is of no use; train")


@both
def test_a_run_of_another_model_is_refused(trained: Evaluated, command: ModuleType) -> None:
    trained.reset(CE, name="CifarCNN")
    message = r"provenance\.json: checkpoint from another configuration: expected TopographicResNet18, found CifarCNN"
    refuse(trained, command, CE, message)


def test_a_residual_network_is_refused_where_others_are_evaluated(trained: Evaluated) -> None:
    refuse(trained, embeddings, Run("sander2026", "cifar10", "ce", 1, 9), r"provenance\.json: cannot be read .* first")
    with pytest.raises(TopoRepError, match="expected MnistCNN or CifarCNN, found TopographicResNet18; evaluate"):
        trained.evaluate(activations, CE)


@both
def test_weights_of_another_run_or_training_are_refused(trained: Evaluated, command: ModuleType) -> None:
    trained.rewrite(CE, trained.tensors(CE), of=CE_PLAIN)
    refuse(trained, command, CE, r"holds the weights of sander2026/cifar10/ce/0/seed1, expected .*/ce/0\.2/seed0")
    trained.rewrite(CE, trained.tensors(CE), identity="another")
    refuse(trained, command, CE, r"weights\.safetensors: not of the training that .*provenance\.json describes")


@both
def test_other_data_are_refused(trained: Evaluated, command: ModuleType) -> None:
    save_images(tiny_images("CifarCNN", seed=1), trained.images)
    refuse(trained, command, CE, r"seed\d was trained on other data .*train it again")


def test_an_unknown_head_is_refused() -> None:
    settings = {"grid": GRID, "model": {"head": "none", "width": WIDTH, "projection": PROJECTION}}
    with pytest.raises(TopoRepError, match="head: expected 'classifier' or 'projection', found 'none'"):
        NETWORKS["TopographicResNet18"](settings, tiny_images("CifarCNN"))


# The noise is the published code's


def test_noise_of_fixed_draws_has_the_published_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    b, channel, row, col = np.meshgrid(*map(np.arange, (2, 3, 32, 32)), indexing="ij")
    images = 0.5 + 0.5 * np.sin(0.2 * row + 0.3 * col + 0.7 * channel + 1.1 * b)
    draws = 1.4 * np.sin(0.9 * row + 1.7 * col + 0.31 * row * col + 2.1 * channel + 0.6 * b)
    field = pink_noise(draws)
    first = [1.00934528732, 1.47140721163, -0.38713344854, -1.30025506813]
    assert field[0, 0, 0, :4].tolist() == pytest.approx(first, rel=1e-10)
    monkeypatch.setattr(kernels, "_standard_normal", lambda stream, shape, index: draws.reshape(shape))
    pink = np.moveaxis(add_noise(np.moveaxis(images, 1, -1), "pink", 0.1), -1, 1)
    assert [(pink == 0).sum(), (pink == 1).sum()] == [528, 513]
    assert [pink.mean(), pink.std(), np.square(pink).sum()] == pytest.approx(
        [0.500602076121, 0.350941363124, 2296.39544198], rel=1e-6
    )
    monkeypatch.setattr(
        kernels, "_standard_normal", lambda stream, shape, index: np.moveaxis(draws, 1, -1).astype(np.float32)
    )
    white = np.moveaxis(add_noise(np.moveaxis(images, 1, -1), "white", 0.1), -1, 1)
    assert [(white == 0).sum(), (white == 1).sum()] == [571, 573]
    assert [white.mean(), white.std(), np.square(white).sum()] == pytest.approx(
        [0.500523028908, 0.348245842112, 2284.32979363], rel=1e-6
    )


def test_salt_and_pepper_of_fixed_draws_has_the_published_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    b, channel, row, col = np.meshgrid(*map(np.arange, (2, 3, 32, 32)), indexing="ij")
    images = 0.5 + 0.5 * np.sin(0.2 * row + 0.3 * col + 0.7 * channel + 1.1 * b)
    draw, image = np.arange(51), np.arange(2)[:, np.newaxis]
    place, salt = (37 * draw**2 + 11 * draw + 5 * image) % 1024, (7 * draw + 3 * image) % 10 >= 5
    # The upper 32 bits of an output give the pixel, the lowest one the value.
    outputs = (place.astype(np.uint64) << np.uint64(54)) | salt.astype(np.uint64)
    monkeypatch.setattr(rng, "bits", lambda stream, count, *, offset=0: outputs.ravel())
    found = np.moveaxis(add_noise(np.moveaxis(images, 1, -1), "salt_pepper", 0.05), -1, 1)
    assert [(found == 0).sum(), (found == 1).sum()] == [156, 150]
    assert found[0, 0, 0, :4].tolist() == pytest.approx([0, 0.647760103331, 0.782321236698, 0.891663454814], rel=1e-6)
    assert [found.mean(), found.std(), np.square(found).sum()] == pytest.approx(
        [0.501222033595, 0.36237161012, 2350.30555105], rel=1e-6
    )


@pytest.mark.parametrize(
    ("level", "white_sd", "pink_sd", "changed"),
    [
        (0.01, 0.00999492, 0.01000002, 0.00972282),
        (0.05, 0.05004623, 0.05000008, 0.04860792),
        (0.1, 0.10003621, 0.10000005, 0.09485311),
        (0.15, 0.14982826, 0.14991055, 0.13885042),
        (0.2, 0.19758302, 0.19797723, 0.18070912),
    ],
)
def test_noise_has_the_published_statistics(level: float, white_sd: float, pink_sd: float, changed: float) -> None:
    gray = np.full((400, 32, 32, 3), 0.5, dtype=np.float32)
    white = add_noise(gray, "white", level).astype(np.float64) - 0.5
    assert white.std() == pytest.approx(white_sd, rel=0.005)
    pink = add_noise(gray, "pink", level).astype(np.float64) - 0.5
    assert pink.std() == pytest.approx(pink_sd, rel=0.001)
    neighbors = (pink[:, :, :-1] * pink[:, :, 1:]).mean() / np.square(pink).mean()
    assert neighbors == pytest.approx(0.659, rel=0.02)
    salt_pepper = add_noise(gray, "salt_pepper", level)
    assert (salt_pepper != 0.5).mean() == pytest.approx(changed, rel=0.02)
    assert (salt_pepper[..., 0] == salt_pepper[..., 2]).all()
