"""The TDANN against torch's own layers, and the counts of its parameters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from toporep import rng
from toporep.errors import TopoRepError
from toporep.losses.spatial_correlation import sheet_distances, spatial_correlation
from toporep.models import initial_weights
from toporep.models.tdann import TDANN

SMALL = {"features": 20, "hidden": 12, "classes": 5}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def torch_layers(model: TDANN) -> dict[str, nn.Linear]:
    layers = {}
    for name in ("fc6", "fc7", "fc8"):
        own = getattr(model, name)
        layers[name] = nn.Linear(own.weight.shape[1], own.weight.shape[0])
        layers[name].load_state_dict(own.state_dict())
    return layers


def test_the_paper_s_network_has_the_parameters_of_alexnet_s_last_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    # NumPy's zeros take no memory until they are touched.
    monkeypatch.setattr(
        initial_weights, "_uniform_rows", lambda seed, purpose, shape, bound: torch.from_numpy(np.zeros(shape, "f"))
    )
    model = TDANN(0)
    counts = [sum(p.numel() for p in getattr(model, name).parameters()) for name in ("fc6", "fc7", "fc8")]
    assert counts == [37_752_832, 16_781_312, 4_101_097]
    assert model.parameter_count == sum(counts)
    assert model.dropout_width == 9216 + 4096


def test_the_function_is_that_of_torch_s_layers() -> None:
    model, features = TDANN(0, **SMALL), noise(7, 20)
    layers = torch_layers(model)
    found = model(features)
    fc6 = layers["fc6"](features)
    fc7 = layers["fc7"](fc6.relu())
    torch.testing.assert_close(found.fc6, fc6)
    torch.testing.assert_close(found.fc7, fc7)
    torch.testing.assert_close(found.logits, layers["fc8"](fc7.relu()))
    assert (found.fc6 < 0).any() and (found.fc7 < 0).any()


def test_dropout_drops_features_and_units_of_fc6_and_scales_the_rest() -> None:
    model, features = TDANN(1, **SMALL, dropout=0.25), noise(7, 20)
    keep = rng.keep_mask([rng.key(1, "dropout", 0)], 7 * model.dropout_width, drop=0.25).view(7, -1)
    layers, found = torch_layers(model), model(features, keep=keep)
    dropped = torch.where(keep[:, :20], features / 0.75, 0)
    fc6 = layers["fc6"](dropped)
    fc7 = layers["fc7"](torch.where(keep[:, 20:], fc6.relu() / 0.75, 0))
    torch.testing.assert_close(found.fc6, fc6)
    torch.testing.assert_close(found.fc7, fc7)
    torch.testing.assert_close(found.logits, layers["fc8"](fc7.relu()))
    assert not torch.allclose(found.fc6, model(features).fc6)


def test_dropout_leaves_the_mean_of_fc6() -> None:
    """FC6 is affine in the features, so that its mean over masks is its value without dropout."""
    model, draws = TDANN(0, **SMALL), 4000
    features = noise(1, 20)
    keep = rng.keep_mask([5], draws * model.dropout_width, drop=0.5).view(draws, -1)
    found = model(features.expand(draws, -1), keep=keep).fc6.detach()
    error = found.std(0) / draws**0.5
    assert ((found.mean(0) - model(features).fc6[0].detach()).abs() < 5 * error).all()


def test_initial_weights_are_torch_s_default_and_keyed() -> None:
    model = TDANN(3, features=64, hidden=25, classes=10)
    for name, fan_in in (("fc6", 64), ("fc7", 25), ("fc8", 25)):
        layer, bound = getattr(model, name), 1 / fan_in**0.5
        weights = layer.weight.detach().flatten().numpy()
        assert np.abs(weights).max() <= bound and layer.bias.abs().max() <= bound
        assert stats.kstest(weights, "uniform", args=(-bound, 2 * bound)).pvalue > 1e-3
    assert torch.equal(model.fc7.weight, TDANN(3, features=64, hidden=25, classes=10).fc7.weight)
    assert not torch.equal(model.fc6.weight, TDANN(4, features=64, hidden=25, classes=10).fc6.weight)
    row = rng.uniform(rng.key(3, "init/fc6.weight", 7), (64,), low=-1 / 8, high=1 / 8)
    assert np.array_equal(model.fc6.weight[7].detach(), row)


def test_the_loss_of_both_sheets_reaches_the_layers_below_them_only() -> None:
    model, distances = TDANN(0, **SMALL), sheet_distances((3, 4))
    found = model(noise(6, 20))
    spatial_correlation(found.fc6, distances).backward(retain_graph=True)
    assert model.fc6.weight.grad.abs().sum() > 0 and model.fc7.weight.grad is None
    spatial_correlation(found.fc7, distances).backward()
    assert model.fc7.weight.grad.abs().sum() > 0 and model.fc8.weight.grad is None


def test_gradient_is_that_of_finite_differences() -> None:
    model, distances = TDANN(0, **SMALL).double(), sheet_distances((3, 4)).double()
    labels = torch.tensor([0, 1, 4])
    keep = rng.keep_mask([1], 3 * model.dropout_width, drop=0.5).view(3, -1)

    def loss(features: Tensor) -> Tensor:
        found = model(features, keep=keep)
        spatial = spatial_correlation(found.fc6, distances) + spatial_correlation(found.fc7, distances)
        return nn.functional.cross_entropy(found.logits, labels) + 0.1 * spatial

    assert torch.autograd.gradcheck(loss, noise(3, 20).double().requires_grad_())


def test_bad_input_is_named() -> None:
    model = TDANN(0, **SMALL)
    with pytest.raises(TopoRepError, match="dropout: .*found 1"):
        TDANN(0, **SMALL, dropout=1)
    with pytest.raises(TopoRepError, match=r"features: expected shape \(batch, 20\), found \(2, 21\)"):
        model(noise(2, 21))
    with pytest.raises(TopoRepError, match=r"keep: expected shape \(2, 32\), found \(2, 20\)"):
        model(noise(2, 20), keep=torch.ones(2, 20, dtype=torch.bool))
