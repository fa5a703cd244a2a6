"""The networks against plain `torch.nn` ones with the same weights, alone and stacked."""

from __future__ import annotations

import math

import pytest
import reference_losses
import torch
from reference_models import REFERENCE, copy_weights
from scipy import stats
from torch import Tensor, nn

from toporep import rng
from toporep.device import reduced_precision
from toporep.errors import TopoRepError
from toporep.models import MODELS, CifarCNN, MnistCNN
from toporep.models.inputs import Normalization
from toporep.models.layers import CONVOLUTIONS

SHAPES = {"MnistCNN": (1, 28, 28), "CifarCNN": (3, 32, 32)}
SEEDS = [4, 0, 9]
BATCH = 6
both = pytest.mark.parametrize("name", sorted(MODELS))
# Sums of some hundred float32 products in another order differ by some units of the last place (6e-8) of numbers
# near 1; four layers of them stay below this.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def batch_of(name: str, *, seed: int = 0) -> Tensor:
    return torch.randn(BATCH, *SHAPES[name], generator=torch.Generator().manual_seed(seed))


def mask(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) > 0.5


def disturb(model: nn.Module) -> None:
    """Move batch normalization off its start, where scale, shift and statistics are trivial."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, tensor in model.state_dict(keep_vars=True).items():
            if name.startswith("bn"):
                tensor += torch.rand(tensor.shape, generator=generator)


@pytest.mark.parametrize("model, parameters", [(MnistCNN, 27_901), (CifarCNN, 421_693)])
def test_published_number_of_parameters(model: type, parameters: int) -> None:
    assert sum(p.numel() for p in model(0, dropout=0.5).parameters()) == parameters


@both
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_forward_and_gradients_are_those_of_torch_layers(name: str, training: bool, memory_format) -> None:
    model = MODELS[name](SEEDS[0], dropout=0.3)
    disturb(model)
    reference = copy_weights(REFERENCE[name](), model.state_dict()).train(training)
    model = model.to(memory_format=memory_format).train(training)
    images, keep = batch_of(name), mask(BATCH, 121)
    logits, pre = model(images.contiguous(memory_format=memory_format), keep=keep)
    expected_logits, expected_pre = reference(images, keep, dropout=0.3)
    torch.testing.assert_close(logits, expected_logits, **CLOSE)
    torch.testing.assert_close(pre, expected_pre, **CLOSE)
    logits.square().mean().backward()
    expected_logits.square().mean().backward()
    for key, parameter in reference.named_parameters():
        scale = float(parameter.grad.abs().max())
        torch.testing.assert_close(
            model.get_parameter(key).grad, parameter.grad, rtol=1e-3, atol=1e-4 * scale + 1e-7, msg=key
        )
    for key, buffer in reference.named_buffers():
        if not key.endswith("num_batches_tracked"):
            torch.testing.assert_close(model.get_buffer(key), buffer, **CLOSE)


@both
@pytest.mark.parametrize("convolution", CONVOLUTIONS)
@pytest.mark.parametrize("training", [True, False])
def test_a_stack_computes_what_its_models_compute_alone(name: str, training: bool, convolution: str) -> None:
    stack = MODELS[name](SEEDS, dropout=0.3, convolution=convolution).train(training)
    disturb(stack)
    images = torch.stack([batch_of(name, seed=seed) for seed in SEEDS])
    keep = mask(len(SEEDS), BATCH, 121)
    start = {key: tensor.clone() for key, tensor in stack.state_dict().items()}
    logits, pre = stack(images, keep=keep)
    logits.square().mean(dim=(1, 2)).sum().backward()
    for index in range(len(SEEDS)):
        own = {key: tensor[index].clone() for key, tensor in start.items()}
        reference = copy_weights(REFERENCE[name](), own).train(training)
        expected_logits, expected_pre = reference(images[index], keep[index], dropout=0.3)
        torch.testing.assert_close(logits[index], expected_logits, **CLOSE)
        torch.testing.assert_close(pre[index], expected_pre, **CLOSE)
        expected_logits.square().mean().backward()
        for key, parameter in reference.named_parameters():
            scale = float(parameter.grad.abs().max())
            torch.testing.assert_close(
                stack.get_parameter(key).grad[index], parameter.grad, rtol=1e-3, atol=1e-4 * scale + 1e-7, msg=key
            )
        for key, buffer in stack.named_buffers():
            torch.testing.assert_close(buffer[index], reference.get_buffer(key), **CLOSE)


@both
@pytest.mark.parametrize("convolution", [None, *CONVOLUTIONS])
def test_bf16_rounds_convolutions_and_nothing_else(name: str, convolution: str | None) -> None:
    """bf16 keeps 8 bits: after two to four layers numbers are off by some 1e-3, gradients by more.

    Observed: up to 0.005 of the norm of logits and activations, cosine of gradients from 0.976.
    """
    seeds, images = SEEDS[0], batch_of(name)
    options = {}
    if convolution:
        seeds, images, options = SEEDS, torch.stack([images] * len(SEEDS)), {"convolution": convolution}
    results = {}
    for precision in ("float32", "bf16"):
        model = MODELS[name](seeds, dropout=0.3, **options).train()
        with reduced_precision(torch.device("cpu"), precision):
            logits, pre = model(images)
        logits.square().sum().backward()
        assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}
        assert logits.dtype == pre.dtype == torch.float32
        gradient = model.get_parameter("conv2.weight").grad
        assert gradient.dtype == torch.float32
        results[precision] = (logits.detach(), pre.detach(), gradient.flatten())
        expected = torch.relu(pre.detach()) @ model.fc2.weight.detach().mT + model.fc2.bias.detach()[..., None, :]
        torch.testing.assert_close(logits.detach(), expected)
    (*exact, exact_gradient), (*rounded, rounded_gradient) = results.values()
    for one, other in zip(exact, rounded, strict=True):
        assert 1e-4 < float((one - other).norm() / one.norm()) < 2e-2
    assert torch.cosine_similarity(exact_gradient, rounded_gradient, dim=0) > 0.95


def test_an_unknown_way_to_convolve_is_refused() -> None:
    with pytest.raises(TopoRepError, match="convolution: expected one of unfold, grouped, found 'fft'"):
        MnistCNN([0, 1], dropout=0.5, convolution="fft")


@both
def test_a_run_starts_from_the_same_weights_alone_and_in_a_stack(name: str) -> None:
    stack = MODELS[name](SEEDS, dropout=0.5).state_dict()
    for index, seed in enumerate(SEEDS):
        for key, tensor in MODELS[name](seed, dropout=0.5).state_dict().items():
            assert torch.equal(stack[key][index], tensor), key


@both
def test_initial_weights_are_distributed_as_torch_draws_them(name: str) -> None:
    """Uniform in ±1/sqrt(fan-in), weights and biases; a layer of torch made many times fills the same range."""
    model = MODELS[name](11, dropout=0.5)
    for key, module in REFERENCE[name]().named_children():
        if isinstance(module, nn.BatchNorm2d):
            assert torch.equal(getattr(model, key).weight, module.weight)
            assert torch.equal(getattr(model, key).bias, module.bias)
            continue
        bound = 1 / math.sqrt(module.weight[0].numel())
        for part in ("weight", "bias"):
            values, torch_values = (getattr(layer, part).detach() for layer in (getattr(model, key), module))
            assert values.shape == torch_values.shape
            assert values.abs().max() <= bound * (1 + 1e-6) and torch_values.abs().max() <= bound * (1 + 1e-6)
            uniform = stats.kstest(values.flatten().numpy(), "uniform", args=(-bound, 2 * bound))
            assert uniform.pvalue > 1e-4, f"{key}.{part}"


@both
def test_weight_similarity_starts_at_the_square_root_of_two_thirds(name: str) -> None:
    """Expected value for any fan-in; the published range of measured starts is 0.805 to 0.820."""
    starts = [
        float(reference_losses.weight_similarity(MODELS[name](seed, dropout=0.5).fc1.weight.detach(), (11, 11)))
        for seed in range(3)
    ]
    assert all(0.79 < start < 0.83 for start in starts)
    assert sum(starts) / 3 == pytest.approx(math.sqrt(2 / 3), abs=0.01)


@both
def test_dropout_scales_what_it_keeps(name: str) -> None:
    model = MODELS[name](0, dropout=0.3).eval()
    images = batch_of(name)
    _, pre = model(images)
    post = torch.relu(pre)
    keep = mask(BATCH, 121)
    expected = (post * keep / 0.7) @ model.fc2.weight.T + model.fc2.bias
    torch.testing.assert_close(model(images, keep=keep)[0], expected)
    torch.testing.assert_close(model(images)[0], post @ model.fc2.weight.T + model.fc2.bias)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, 30])
def test_an_impossible_dropout_is_refused(dropout: float) -> None:
    with pytest.raises(TopoRepError, match=r"dropout: expected a probability in \[0, 1\), found"):
        MnistCNN(0, dropout=dropout)


def test_normalization_is_that_of_torchvision() -> None:
    transforms = pytest.importorskip("torchvision.transforms.v2.functional")
    images = torch.from_numpy(rng.bits(1, 2 * 5 * 4 * 3).astype("uint8")).view(2, 5, 4, 3)
    mean, std = [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]
    expected = transforms.normalize(images.permute(0, 3, 1, 2).float() / 255, mean, std)
    found = Normalization(mean, std, device=torch.device("cpu"))(images)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
