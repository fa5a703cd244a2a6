"""The residual network against published numbers and torchvision's ResNet-18."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor, nn

from toporep.errors import TopoRepError
from toporep.losses.topographic import INITIAL_ROW_NORM, topographic_loss
from toporep.models.resnet import TopographicResNet18
from toporep.train.gradient_matching import matched_parameters

torchvision_models = pytest.importorskip("torchvision.models")
HEADS = ["classifier", "projection"]
heads = pytest.mark.parametrize("head", HEADS)


def images(batch: int = 4, *, seed: int = 0) -> Tensor:
    return torch.randn(batch, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def mask(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) > 0.5


def small(head: str = "classifier", seed: int = 0, **options) -> TopographicResNet18:
    return TopographicResNet18(seed, head=head, **({"width": 8, "grid": (4, 4)} | options))


def disturb(model: nn.Module) -> None:
    """Move batch normalization off its start, where scale, shift and statistics are trivial."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if "bn" in name or "downsample.1" in name:
                tensor += 0.5 * torch.rand(tensor.shape, generator=generator)


def torchvision_encoder(model: TopographicResNet18, width: int) -> nn.Module:
    """torchvision's ResNet-18 in the form for small images, with the weights of `model`."""
    # Its constructor refuses other widths for basic blocks; the layers are made of the same classes.
    net = torchvision_models.resnet18(weights=None)
    net.inplanes = width
    net.conv1, net.bn1 = nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
    net.maxpool = nn.Identity()
    block = torchvision_models.resnet.BasicBlock
    for stage, stride in enumerate((1, 2, 2, 2), start=1):
        setattr(net, f"layer{stage}", net._make_layer(block, width * 2 ** (stage - 1), 2, stride=stride))
    net.fc = nn.Linear(8 * width, model.sheet_units)
    weights = {name.replace("embedding", "fc"): value for name, value in model.encoder.state_dict().items()}
    result = net.load_state_dict(weights, strict=False)
    assert not result.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in result.missing_keys)
    return net


# Published numbers


@pytest.fixture(scope="module")
def closed_form() -> dict[str, TopographicResNet18]:
    """The paper's networks in double precision, all parameters by formula."""
    models = {head: TopographicResNet18(0, head=head).double() for head in HEADS}
    for model in models.values():
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                o, i, a, b = torch.meshgrid(*(torch.arange(s).double() for s in module.weight.shape), indexing="ij")
                scale = math.sqrt(2 / (module.weight.shape[0] * module.weight[0, 0].numel()))
                module.weight.data = scale * torch.sin(0.7 * o + 1.3 * i + 2.1 * a + 0.9 * b + 0.017 * o * i)
            if isinstance(module, nn.Linear):
                o, i = torch.meshgrid(*(torch.arange(s).double() for s in module.weight.shape), indexing="ij")
                module.weight.data = 0.05 * torch.sin(0.1 * o + 0.37 * i + 0.05 * o * i)
                module.bias.data = 0.01 * torch.cos(0.3 * o[:, 0])
    return models


@pytest.fixture(scope="module")
def published_images() -> Tensor:
    b, c, h, w = torch.meshgrid(*(torch.arange(size).double() for size in (4, 3, 32, 32)), indexing="ij")
    return torch.sin(0.2 * h + 0.31 * w + 0.9 * c + 0.7 * b + 0.01 * h * w)


def test_published_forward_pass_in_evaluation_mode(closed_form, published_images: Tensor) -> None:
    with torch.no_grad():
        logits, embedding = closed_form["classifier"].eval()(published_images)
    first = [0.0134279062347, 0.00981904954644, 0.00780224346317, 0.00866414130854, 0.00404368061325]
    assert embedding[0, :5].tolist() == pytest.approx(first, rel=1e-8)
    assert embedding.sum().item() == pytest.approx(0.260637697699, rel=1e-8)
    assert embedding.square().sum().item() == pytest.approx(0.0534710569491, rel=1e-8)
    expected = [0.0136245073715, 0.0118218226026, 0.0102685703702, 0.00815175064145, 0.00484965590448]
    expected += [0.00181992658907, -0.00173353680462, -0.00411877544449, -0.00632118103987, -0.00823410912819]
    assert logits[0].tolist() == pytest.approx(expected, rel=1e-8)


def test_published_forward_pass_in_training_mode(closed_form, published_images: Tensor) -> None:
    with torch.no_grad():
        projection, embedding = closed_form["projection"].train()(published_images)
    first = [0.170780792817, 0.250471904946, 0.0950702095597, -0.110645886789, 0.394888005578]
    assert embedding[0, :5].tolist() == pytest.approx(first, rel=1e-8)
    assert embedding.square().sum().item() == pytest.approx(92.8089979531, rel=1e-8)
    first = [0.0980122397942, 0.151342102415, -0.0157499944099, -0.0361395351457, -0.0292958199933]
    assert projection[0, :5].tolist() == pytest.approx(first, rel=1e-8)
    assert projection.norm(dim=1).tolist() == pytest.approx([1.0] * 4, rel=1e-12)


def test_published_numbers_of_parameters(closed_form) -> None:
    def count(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    assert {head: count(model) for head, model in closed_form.items()} == {
        "classifier": 11_302_730,
        "projection": 11_333_568,
    }
    encoder = closed_form["classifier"].encoder
    assert count(encoder) == 11_300_160
    assert sum(parameter.numel() for parameter in matched_parameters(encoder, "embedding")) == 131_328
    assert sum(parameter.numel() for parameter in matched_parameters(encoder, "encoder")) == 11_300_160


# An independent library


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_encoder_is_torchvisions_resnet18(training: bool, memory_format) -> None:
    model = small(width=16)
    disturb(model)
    reference = torchvision_encoder(model, 16).train(training)
    model = model.to(memory_format=memory_format).train(training)
    _, embedding = model(images().contiguous(memory_format=memory_format))
    expected = reference(images())
    torch.testing.assert_close(embedding, expected, rtol=1e-4, atol=1e-5)
    embedding.square().mean().backward()
    expected.square().mean().backward()
    found = dict(model.encoder.named_parameters())
    for name, parameter in reference.named_parameters():
        scale = float(parameter.grad.abs().max())
        gradient = found[name.replace("fc", "embedding")].grad
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-3, atol=2e-4 * scale + 1e-7, msg=name)
    for name, buffer in reference.named_buffers():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(model.encoder.get_buffer(name), buffer, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_the_projection_head_is_that_of_torch_layers(training: bool) -> None:
    model = small("projection").train(training)
    disturb(model)
    norm, linear = nn.BatchNorm1d(16).train(training), nn.Linear(16, 128)
    norm.load_state_dict(model.head.bn.state_dict(), strict=False)
    linear.load_state_dict(model.head.linear.state_dict())
    projection, embedding = model(images())
    expected = F.normalize(linear(torch.relu(norm(embedding))))
    torch.testing.assert_close(projection, expected)
    torch.testing.assert_close(model.head.bn.running_var, norm.running_var)


# Dropout


@heads
def test_dropout_scales_what_it_keeps(head: str) -> None:
    model, keep = small(head, dropout=0.3).eval(), mask(4, 16)
    output, embedding = model(images(), keep=keep)
    _, clean = model(images())
    assert torch.equal(embedding, clean)
    if head == "classifier":
        expected = model.head.linear(embedding * keep / 0.7)
    else:
        expected = F.normalize(model.head.linear(torch.relu(model.head.bn(embedding)) * keep / 0.7))
    torch.testing.assert_close(output, expected)


def test_the_classifier_sees_the_sign_of_the_embedding() -> None:
    """No ReLU between them, unlike in the paper's text."""
    model = small().eval()
    logits, embedding = model(images())
    assert (embedding < 0).any()
    torch.testing.assert_close(logits, embedding @ model.head.linear.weight.T + model.head.linear.bias)


@heads
def test_the_model_holds_no_random_state(head: str) -> None:
    before = torch.get_rng_state()
    model = small(head)
    assert torch.equal(model(images())[0], model(images())[0])
    assert torch.equal(torch.get_rng_state(), before)


# Initial weights


def test_a_seed_decides_the_weights_and_the_head_leaves_the_encoder_alone() -> None:
    first, same, other = (small(seed=seed).state_dict() for seed in (3, 3, 4))
    projection = small("projection", seed=3).state_dict()
    assert all(torch.equal(value, same[name]) for name, value in first.items())
    for name, value in first.items():
        if value.dim() > 1:
            assert not torch.equal(value, other[name]), name
        if name.startswith("encoder"):
            assert torch.equal(value, projection[name]), name
    assert len({value.flatten()[0].item() for name, value in first.items() if value.dim() > 1}) == 22


def test_initial_weights_are_distributed_as_torch_draws_them() -> None:
    """Convolutions Kaiming-normal over the outputs, linear layers PyTorch's default."""
    model = small("projection", width=16)
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            like = torch.empty_like(module.weight)
            nn.init.kaiming_normal_(like, mode="fan_out", nonlinearity="relu")
            values, spread = module.weight.detach().flatten(), math.sqrt(2 / (like[0, 0].numel() * len(like)))
            assert like.std().item() == pytest.approx(spread, rel=0.2)
            assert stats.kstest(values.numpy(), "norm", args=(0, spread)).pvalue > 1e-4, name
            # Both halves of a pair of Box & Muller's transformation are independent.
            half = len(values) // 2
            assert abs(stats.pearsonr(values[:half], values[half : 2 * half])[0]) < 5 / math.sqrt(half), name
        if isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            for part in (module.weight, module.bias):
                values = part.detach().flatten().numpy()
                assert stats.kstest(values, "uniform", args=(-bound, 2 * bound)).pvalue > 1e-4, name


def test_the_sheet_starts_at_the_published_row_norm_and_distance() -> None:
    weight = small(width=64, grid=(16, 16)).encoder.embedding.weight.detach()
    assert weight.shape == (256, 512)
    assert weight.norm(dim=1).mean().item() == pytest.approx(INITIAL_ROW_NORM, rel=0.01)
    assert topographic_loss(weight, (16, 16)).item() == pytest.approx(math.sqrt(2 / 3), rel=0.01)


# Use


@heads
def test_weights_come_back_from_plain_tensors(head: str) -> None:
    model, other = small(head, seed=1), small(head, seed=2)
    model.train()(images())
    other.load_state_dict(dict(model.state_dict()))
    assert torch.equal(model.eval()(images())[0], other.eval()(images())[0])


def test_the_layout_in_memory_is_kept_through_the_convolutions() -> None:
    model = small().to(memory_format=torch.channels_last)
    seen = []
    for module in model.encoder.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda module, inputs, output: seen.append(output))
    model(images().contiguous(memory_format=torch.channels_last))
    assert len(seen) == 20
    assert all(output.is_contiguous(memory_format=torch.channels_last) for output in seen)


@pytest.mark.parametrize("width, channels", [(8, 64), (16, 128)])
def test_a_narrower_network_keeps_the_sheet(width: int, channels: int) -> None:
    model = small(width=width, grid=(16, 16))
    assert model.encoder.embedding.weight.shape == (256, channels)
    assert model(images(2))[1].shape == (2, 256)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"head": "readout"}, "head: expected 'classifier' or 'projection', found 'readout'"),
        ({"dropout": 1.0}, r"dropout: expected a probability in \[0, 1\), found 1.0"),
        ({"width": 0}, "width: expected a positive integer, found 0"),
        ({"width": 1.5}, "width: expected a positive integer, found 1.5"),
        ({"classes": -1}, "classes: expected a positive integer"),
        ({"grid": 256}, "grid: expected .* two positive integers, found 256"),
    ],
)
def test_a_mistake_is_told_by_name(options: dict, message: str) -> None:
    with pytest.raises(TopoRepError, match=message):
        small(**options)
