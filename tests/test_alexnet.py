"""AlexNet from a local file: torchvision's numbers, and no other file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import torch
from category_folders import random_alexnet, small_registry, write_weights
from torchvision.models import alexnet

from toporep.errors import TopoRepError
from toporep.models.alexnet import AlexNetFeatures, find_weights, load_weights, pretrained_fc6, weights_sha256


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights"), random_alexnet())


def test_features_are_those_of_torchvision(weights: Path) -> None:
    theirs = alexnet(weights=None).eval()
    theirs.load_state_dict(random_alexnet())
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        expected = torch.flatten(theirs.avgpool(theirs.features(images)), 1)
        features = AlexNetFeatures(load_weights(weights))(images)
        assert features.shape == (2, 9216) and features.min() >= 0 and (features > 0).float().mean() > 0.1
        torch.testing.assert_close(features, expected)
        weight, bias = pretrained_fc6(weights)
        assert torch.equal(weight, theirs.classifier[1].weight) and torch.equal(bias, theirs.classifier[1].bias)


def test_other_sizes_are_pooled_to_the_same_number(weights: Path) -> None:
    net, theirs = AlexNetFeatures(load_weights(weights)), alexnet(weights=None).eval()
    theirs.load_state_dict(random_alexnet())
    for size in (63, 128, 300):
        images = torch.randn(1, 3, size, size)
        with torch.no_grad():
            torch.testing.assert_close(net(images), theirs.avgpool(theirs.features(images)).flatten(1))


@pytest.mark.parametrize("shape", [(3, 224, 224), (1, 1, 224, 224), (1, 3, 62, 224)])
def test_images_of_another_shape_are_refused(weights: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(TopoRepError, match="images: expected shape"):
        AlexNetFeatures(load_weights(weights))(torch.zeros(shape))


def test_nothing_is_trained(weights: Path) -> None:
    net = AlexNetFeatures(load_weights(weights))
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert sum(parameter.numel() for parameter in net.parameters()) == 2_469_696


def test_a_file_that_is_not_what_its_name_says_is_refused(weights: Path, tmp_path: Path) -> None:
    content = weights.read_bytes()
    for changed in (content[:-1], content[:-1] + bytes([content[-1] ^ 1])):
        path = tmp_path / weights.name
        path.write_bytes(changed)
        with pytest.raises(TopoRepError, match="altered, perhaps truncated"):
            load_weights(path)
    other = tmp_path / "alexnet.pth"
    other.write_bytes(content)
    with pytest.raises(TopoRepError, match="name that ends in digits"):
        weights_sha256(other)


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    state = random_alexnet()
    renamed = {name.replace("features.0", "features.1"): tensor for name, tensor in state.items()}
    with pytest.raises(TopoRepError, match="features.0.weight is missing"):
        load_weights(write_weights(tmp_path, renamed))
    state["features.3.weight"] = torch.zeros(256, 96, 5, 5)
    with pytest.raises(TopoRepError, match=r"features.3.weight has shape \(256, 96, 5, 5\), expected"):
        load_weights(write_weights(tmp_path, state))
    with pytest.raises(TopoRepError, match="expected a state dict"):
        load_weights(write_weights(tmp_path, torch.zeros(2)))


class _Pickled:
    """Runs code when it is unpickled."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("content", [b"hello world", b"", b"PK\x03\x04", b"<html>404</html>"])
def test_a_file_that_holds_no_weights_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / f"alexnet-owt-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    path.write_bytes(content)
    with pytest.raises(TopoRepError, match="cannot be read as weights.*expected a state dict"):
        load_weights(path)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    path = write_weights(tmp_path, {**random_alexnet(), "extra": _Pickled(str(trap))})
    with pytest.raises(TopoRepError, match="only tensors are taken"):
        load_weights(path)
    assert not trap.exists()


def test_weights_are_found_in_either_folder(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = small_registry(alexnet={"weights": ["alexnet-owt-00000000.pth", weights.name]})
    monkeypatch.delenv("TOPOREP_DATA", raising=False)
    with pytest.raises(TopoRepError, match="TOPOREP_DATA"):
        find_weights(registry=registry)
    monkeypatch.setenv("TOPOREP_DATA", str(tmp_path))
    with pytest.raises(TopoRepError, match="alexnet-owt-00000000.pth or .* in .*models or .*\n  to be had: https"):
        find_weights(registry=registry)
    flat, nested = tmp_path / weights.name, tmp_path / "models" / weights.name
    flat.write_bytes(weights.read_bytes())
    assert find_weights(registry=registry) == flat
    nested.parent.mkdir()
    flat.rename(nested)
    assert find_weights(registry=registry) == nested
