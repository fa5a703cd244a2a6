"""The topographic VAE against the authors' numbers, plain loops and integrals over all latents."""

from __future__ import annotations

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor
from torch.nn.utils.parametrizations import weight_norm as torch_weight_norm

from toporep import rng
from toporep.errors import TopoRepError
from toporep.losses.vae import bernoulli_nll, elbo_terms, negative_elbo, target_entropy
from toporep.models.grouper import grouper_matrix
from toporep.models.likelihood import check_entropy_floor, log_likelihood
from toporep.models.topographic_vae import TopographicVAE, sample

LAYER_NAMES = [f"{network}{layer}" for network in ("z_encoder", "u_encoder", "decoder") for layer in (1, 2, 3)]
# Sums of some ten float32 products in another order differ by some units of the last place.
CLOSE = {"rtol": 1e-5, "atol": 1e-6}

TINY = {"inputs": 18, "channels": 2, "capsules": 2, "units": 4, "frames": 4}
SHIFT = grouper_matrix("shifting", frames=4, units=4, window=3, unit_window=3)
BUBBLE = grouper_matrix("stationary", frames=4, units=4, window=2, unit_window=2)
MNIST = {"inputs": 2352, "channels": 3, "capsules": 18, "units": 18, "frames": 18}


def tiny(seeds=0, *, groupers=SHIFT, mu: float = 5.0, **settings) -> TopographicVAE:
    return TopographicVAE(seeds, **TINY, groupers=groupers, mu=mu, **settings)


def waves(shape: tuple[int, ...], *, rate: float, phase: float) -> Tensor:
    n = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(rate * n + phase).view(shape)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def intensities(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# The authors' tiny model: float64, weights and noise by formulas.


PUBLISHED_IMAGES = 0.5 * waves((8, 18), rate=0.41, phase=0.6) + 0.5
PUBLISHED_NOISE = {
    "noise_z": torch.stack([waves((8, 8), rate=1.7, phase=0.2 + 0.9 * k) for k in range(3)]),
    "noise_u": torch.stack([waves((8, 8), rate=2.3, phase=1.1 + 0.9 * k) for k in range(3)]),
}
FIRST_NOISE = {name: values[0] for name, values in PUBLISHED_NOISE.items()}
PUBLISHED_LOSS = 12.6269802619


@torch.no_grad()
def published_model(**settings) -> TopographicVAE:
    """Layer p has the weights 0.4 sin(0.9 (i n_out + o) + 0.5 p) and the biases 0.1 cos(0.3 o + p)."""
    model = tiny(**settings).double()
    for p, name in enumerate(LAYER_NAMES):
        layer = getattr(model, name)
        weight = layer.weight if name.startswith("decoder") else layer.weight.mT
        weight.copy_(0.4 * waves(tuple(weight.shape), rate=0.9, phase=0.5 * p))
        layer.bias.copy_(0.1 * torch.cos(0.3 * torch.arange(len(layer.bias), dtype=torch.float64) + p))
        if layer.gain is not None:
            layer.gain.copy_(torch.linalg.vector_norm(layer.weight, dim=layer.norm_dim))
    return model


def loss_of(model: TopographicVAE, images: Tensor, noises: dict[str, Tensor]) -> Tensor:
    found = model(images, **noises)
    return negative_elbo(found.logits, images, found.posterior)


def train_published(model: TopographicVAE) -> tuple[list[float], list[float]]:
    """Loss and mu before each of four steps of SGD with the same noise."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    losses, mus = [], []
    for _ in range(4):
        optimizer.zero_grad()
        loss = loss_of(model, PUBLISHED_IMAGES, FIRST_NOISE)
        losses.append(loss.item())
        mus.append(model.mu.item())
        loss.backward()
        optimizer.step()
        model.project_()
    return losses, mus


def test_latents_and_capsules_are_those_of_the_published_modules() -> None:
    model = published_model()
    z, u = sample(model.encode(PUBLISHED_IMAGES), **FIRST_NOISE)
    first_z = [0.251690778016, 0.758288503725, -0.662828725536, -1.09467004061]
    first_z += [0.595667015512, 0.780700049197, -0.818371229078, -0.417240738187]
    first_u = [0.965187957165, -0.198140250034, -0.485496122907, 1.02257623161]
    first_u += [-0.662162696517, 0.144066666355, 0.815621498596, -0.854321344195]
    np.testing.assert_allclose(z[0].detach(), first_z, rtol=1e-8)
    np.testing.assert_allclose(u[0].detach(), first_u, rtol=1e-8)
    t = model.capsules(z, u).detach()
    first_t = [3.18140797166, 3.43356850226, 2.00904156057, 1.81001433875]
    first_t += [4.34531670623, 3.27755988032, 2.00031305056, 2.53396357522]
    last_t = [2.77236603918, 2.58604448429, 2.69226505873, 2.82474960992]
    last_t += [2.54676857456, 2.5335671334, 2.77952473744, 2.75271116583]
    np.testing.assert_allclose(t[0], first_t, rtol=1e-8)
    np.testing.assert_allclose(t[7], last_t, rtol=1e-8)


@pytest.mark.parametrize("weight_norm", ["none", "projected", "reparameterized"])
@pytest.mark.parametrize("axis", ["in", "out"])
def test_pixels_and_loss_are_those_of_the_published_modules(weight_norm: str, axis: str) -> None:
    """Weight normalization starts with the function of the weights it is given."""
    model = published_model(weight_norm=weight_norm, decoder_norm_axis=axis)
    found = model(PUBLISHED_IMAGES, **FIRST_NOISE)
    first_means = [0.495684557186, 0.492650939551, 0.492426184722, 0.495180312489, 0.498829491451, 0.500611846149]
    first_means += [0.499178383016, 0.495614026393, 0.492616496673, 0.485310620237, 0.488104384041, 0.491741266288]
    first_means += [0.493468441483, 0.49197811269, 0.488398751663, 0.485439766319, 0.485339407416, 0.488173555852]
    np.testing.assert_allclose(torch.sigmoid(found.logits[0]).detach(), first_means, rtol=1e-8)
    terms = {
        name: term.item() * 8 for name, term in elbo_terms(found.logits, PUBLISHED_IMAGES, found.posterior).items()
    }
    expected = {"nll": 100.089947771, "kl_z": 0.641868823456, "kl_u": 0.284025500892}
    assert terms == pytest.approx(expected, rel=1e-8)
    assert loss_of(model, PUBLISHED_IMAGES, FIRST_NOISE).item() == pytest.approx(PUBLISHED_LOSS, rel=1e-9)


def test_gradients_are_those_of_the_published_modules() -> None:
    model = published_model()
    loss_of(model, PUBLISHED_IMAGES, FIRST_NOISE).backward()
    weights = [1.65984768145, 0.176010438756, 0.0848823051638, 0.143462825621, 0.0351610253729]
    weights += [0.0648175282936, 0.944406511617, 1.79519467587, 0.344262223092]
    biases = [0.645790343891, 0.368398938097, 0.315601997698, 0.0427420326776, 0.105899004649]
    biases += [0.265167910579, 0.124635550549, 0.504459652982, 0.322629936963]
    for name, weight, bias in zip(LAYER_NAMES, weights, biases, strict=True):
        layer = getattr(model, name)
        assert float(layer.weight.grad.norm()) == pytest.approx(weight, rel=1e-7), name
        assert float(layer.bias.grad.norm()) == pytest.approx(bias, rel=1e-7), name
    assert float(model.mu.grad) == pytest.approx(0.00637251700892, rel=1e-7)


def test_training_goes_as_with_the_published_modules() -> None:
    losses, mus = train_published(published_model())
    assert losses == pytest.approx([PUBLISHED_LOSS, 12.6190080175, 12.6055343528, 12.5877155348], rel=1e-7)
    assert mus == pytest.approx([5.0, 4.99999362748, 4.99998340363, 4.99997491214], rel=1e-7)


def test_projected_training_goes_as_with_the_published_modules() -> None:
    model = published_model(weight_norm="projected")
    losses, mus = train_published(model)
    assert losses == pytest.approx([PUBLISHED_LOSS, 12.5815608031, 12.5756916455, 12.5682794078], rel=1e-7)
    assert mus == pytest.approx([5.0, 4.99999362748, 4.99998659963, 4.99998000632], rel=1e-7)
    assert model.decoder3.weight.sum().item() == pytest.approx(0.0128889341289, rel=1e-6)


def test_importance_weights_are_those_of_the_published_modules() -> None:
    found = log_likelihood(published_model(), PUBLISHED_IMAGES, **PUBLISHED_NOISE)
    expected = [-11.5318359021, -11.6433993982, -11.4738115579, -11.3971988721]
    expected += [-11.3801574934, -11.4640445649, -11.6528809391, -11.6021184422]
    np.testing.assert_allclose(found.published, expected, rtol=1e-9)
    np.testing.assert_allclose(found.corrected, np.array(expected) - math.log(3), rtol=1e-9)


# Size and initial weights.


@pytest.mark.parametrize(
    "sizes, groupers, count",
    [
        (MNIST, True, 9_803_920),
        (MNIST, False, 6_465_747),
        ({"inputs": 4096, "channels": 1, "capsules": 15, "units": 15, "frames": 15}, True, 9_716_177),
        ({"inputs": 784, "channels": 1, "capsules": 1, "units": 324, "frames": 1}, True, 5_231_630),
    ],
)
def test_published_number_of_parameters(sizes: dict, groupers: bool, count: int) -> None:
    side = sizes["frames"] * sizes["units"]
    matrix = np.eye(side, dtype=np.float32) if groupers else None
    assert TopographicVAE(0, **sizes, groupers=matrix).parameter_count == count


def test_weight_normalization_trains_one_gain_a_slice() -> None:
    plain = tiny().parameter_count
    encoder, decoder_in, decoder_out = 24 + 16 + 16, 8 + 16 + 24, 16 + 24 + 18
    found = {axis: tiny(weight_norm="reparameterized", decoder_norm_axis=axis) for axis in ("in", "out")}
    assert found["in"].parameter_count - plain == 2 * encoder + decoder_in
    assert found["out"].parameter_count - plain == 2 * encoder + decoder_out
    assert tiny([1, 2], weight_norm="reparameterized").parameter_count == found["in"].parameter_count
    assert tiny(pixel_bias=True).parameter_count - plain == 18 - 2


def test_initial_weights_fill_the_published_bounds() -> None:
    """1/sqrt(inputs) in the encoders and 1/sqrt(outputs), not the paper's 1/sqrt(inputs), in the decoder."""
    model = TopographicVAE(3, **MNIST, groupers=np.eye(324, dtype=np.float32))
    encoder, decoder = [0.0206196524711, 0.032075014955, 0.0392837100659], [0.0392837100659, 0.032075014955]
    bounds = [*encoder, *encoder, *decoder, 0.0206196524711]
    for name, bound in zip(LAYER_NAMES, bounds, strict=True):
        layer = getattr(model, name)
        assert layer.weight.abs().max().item() == pytest.approx(bound, rel=1e-3)
        assert layer.bias.abs().max().item() <= bound * (1 + 1e-6)
        some = layer.weight.detach().flatten()[::97].numpy()
        assert stats.kstest(some, "uniform", args=(-bound, 2 * bound)).pvalue > 1e-3
    assert model.decoder3.bias.shape == (3,) and model.mu.item() == 30


def test_initial_weights_are_keyed_by_seed_and_name() -> None:
    model = tiny(7)
    expected = rng.uniform(rng.key(7, "init/u_encoder2.weight"), (16, 24), low=-1 / 24**0.5, high=1 / 24**0.5)
    assert np.array_equal(model.u_encoder2.weight.detach(), expected)
    assert not torch.equal(model.u_encoder1.weight, model.z_encoder1.weight)


def test_a_plain_vae_starts_with_the_weights_of_the_topographic_one() -> None:
    topographic, plain = tiny(3).state_dict(), tiny(3, groupers=None).state_dict()
    assert set(topographic) - set(plain) == {"mu"} | {
        f"u_encoder{layer}.{part}" for layer in (1, 2, 3) for part in ("weight", "bias")
    }
    assert all(torch.equal(topographic[name], value) for name, value in plain.items())


# The function, one frame and unit after the other.


def decode_by_hand(weights: dict[str, np.ndarray], t: np.ndarray, *, channels: int) -> np.ndarray:
    hidden = t
    for layer in (1, 2, 3):
        bias = weights[f"decoder{layer}.bias"]
        products = hidden @ weights[f"decoder{layer}.weight"]
        bias = np.repeat(bias, len(products) // len(bias))
        hidden = np.maximum(products + bias, 0) if layer < 3 else products + bias
    return hidden


def encode_by_hand(weights: dict[str, np.ndarray], network: str, image: np.ndarray) -> np.ndarray:
    hidden = image
    for layer in (1, 2, 3):
        outputs = weights[f"{network}{layer}.weight"] @ hidden + weights[f"{network}{layer}.bias"]
        hidden = np.maximum(outputs, 0) if layer < 3 else outputs
    return hidden


def forward_by_hand(model: TopographicVAE, images: Tensor, noise_z: Tensor, noise_u: Tensor) -> tuple:
    """t and logits in float64, from loops over frames, capsules and units."""
    weights = {name: value.double().numpy() for name, value in model.state_dict().items()}
    frames, capsules, units = model.frames, model.capsule_count, model.units
    latents = {}
    for network, noises in (("z_encoder", noise_z), ("u_encoder", noise_u)):
        outputs = [encode_by_hand(weights, network, image) for image in images.double().numpy()]
        halves = [(o[: len(o) // 2], o[len(o) // 2 :]) for o in outputs]
        latents[network] = [
            mean + np.exp(logvar / 2) * e for (mean, logvar), e in zip(halves, noises.double().numpy(), strict=True)
        ]
    z, u, t = latents["z_encoder"], latents["u_encoder"], []
    grouper = model.grouper.double().numpy()
    for i in range(len(images)):
        start, frame = i - i % frames, i % frames
        variables = []
        for capsule, unit in itertools.product(range(capsules), range(units)):
            energy = 0.0
            for other, other_unit in itertools.product(range(frames), range(units)):
                count = grouper[frame * units + unit, other * units + other_unit]
                energy += count * u[start + other][capsule * units + other_unit] ** 2
            variables.append((z[i][capsule * units + unit] + weights["mu"]) / math.sqrt(energy + model.eps))
        t.append(np.array(variables))
    return np.array(t), np.array([decode_by_hand(weights, row, channels=model.channels) for row in t])


@pytest.mark.parametrize("groupers", [SHIFT, BUBBLE])
@pytest.mark.parametrize("pixel_bias", [False, True])
def test_the_function_is_that_of_plain_loops(groupers: np.ndarray, pixel_bias: bool) -> None:
    model = tiny(4, groupers=groupers, pixel_bias=pixel_bias, eps=1e-3)
    images, noises = intensities(12, 18), {"noise_z": noise(12, 8), "noise_u": noise(12, 8, seed=1)}
    found = model(images, **noises)
    t, logits = forward_by_hand(model, images, noises["noise_z"], noises["noise_u"])
    np.testing.assert_allclose(found.t.detach(), t, rtol=1e-5)
    np.testing.assert_allclose(found.logits.detach(), logits, rtol=1e-4, atol=1e-5)


def test_a_torus_is_one_capsule_of_one_frame() -> None:
    matrix = grouper_matrix("torus", rows=4, cols=4, window=3)
    model = TopographicVAE(0, inputs=9, channels=1, capsules=1, units=16, frames=1, groupers=matrix, mu=5)
    images, z_noise, u_noise = intensities(6, 9), noise(6, 16), noise(6, 16, seed=1)
    t, _ = forward_by_hand(model, images, z_noise, u_noise)
    np.testing.assert_allclose(model(images, noise_z=z_noise, noise_u=u_noise).t.detach(), t, rtol=1e-5)


def test_a_plain_vae_decodes_z() -> None:
    model, images, z_noise = tiny(groupers=None), intensities(8, 18), noise(8, 8)
    found = model(images, noise_z=z_noise)
    assert found.posterior.u_mean is None and not hasattr(model, "mu")
    assert torch.equal(found.t, sample(found.posterior, noise_z=z_noise)[0])


# Weight normalization.


class PlainNormalized(torch.nn.Module):
    """The same network of torch's linear layers, normalized by torch: the published variant's library call."""

    def __init__(self, model: TopographicVAE) -> None:
        super().__init__()
        self.model = model
        self.mu = torch.nn.Parameter(model.mu.detach().clone())
        for name in LAYER_NAMES:
            layer = getattr(model, name)
            weight = layer.weight.detach().mT if layer.transposed else layer.weight.detach()
            copy = torch.nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
            copy.weight.data, copy.bias.data = weight.clone(), layer.bias.detach().clone()
            by_input = layer.transposed and layer.norm_dim == -1
            self.add_module(name, torch_weight_norm(copy, dim=1 if by_input else 0))
        # One bias a channel: torch's layer has none, and the biases are added by hand.
        self.channel_bias = torch.nn.Parameter(model.decoder3.bias.detach().clone())
        self.decoder3.bias = None

    def loss(self, images: Tensor, noise_z: Tensor, noise_u: Tensor) -> Tensor:
        heads = {}
        for network in ("z_encoder", "u_encoder"):
            one, two, three = (getattr(self, f"{network}{layer}") for layer in (1, 2, 3))
            heads[network] = three(F.relu(two(F.relu(one(images))))).chunk(2, dim=-1)
        z = heads["z_encoder"][0] + (heads["z_encoder"][1] / 2).exp() * noise_z
        u = heads["u_encoder"][0] + (heads["u_encoder"][1] / 2).exp() * noise_u
        squares = (u**2).view(2, 4, 2, 4)
        energy = torch.einsum("ldmk,bmck->blcd", self.model.grouper.view(4, 4, 4, 4), squares).reshape(8, 8)
        t = (z + self.mu) / (energy + 1e-6).sqrt()
        logits = self.decoder3(F.relu(self.decoder2(F.relu(self.decoder1(t)))))
        p = torch.sigmoid(logits + self.channel_bias.repeat_interleave(9))
        total = F.binary_cross_entropy(p, images, reduction="sum")
        for mean, logvar in heads.values():
            total = total + 0.5 * (logvar.exp() + mean**2 - 1 - logvar).sum()
        return total / 8


@pytest.mark.parametrize("axis", ["in", "out"])
def test_normalized_training_goes_as_with_torchs_weight_normalization(axis: str) -> None:
    model = published_model(weight_norm="reparameterized", decoder_norm_axis=axis)
    reference = PlainNormalized(model)
    optimizer = torch.optim.SGD([p for n, p in reference.named_parameters() if not n.startswith("model")], lr=1e-2)
    ours = torch.optim.SGD(model.parameters(), lr=1e-2)
    for _ in range(4):
        losses = loss_of(model, PUBLISHED_IMAGES, FIRST_NOISE), reference.loss(PUBLISHED_IMAGES, *FIRST_NOISE.values())
        assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-10)
        for loss, steps in zip(losses, (ours, optimizer), strict=True):
            steps.zero_grad()
            loss.backward()
            steps.step()
    assert losses[0].item() < PUBLISHED_LOSS - 0.05
    assert model.mu.item() == pytest.approx(reference.mu.item(), rel=1e-12)


@pytest.mark.parametrize("axis", ["in", "out"])
@pytest.mark.parametrize("seeds", [0, [0, 1]])
def test_gradients_of_normalized_layers_are_those_of_finite_differences(seeds, axis: str) -> None:
    sizes = {"inputs": 4, "channels": 2, "capsules": 1, "units": 2, "frames": 2}
    matrix = grouper_matrix("shifting", frames=2, units=2, window=2, unit_window=1)
    model = TopographicVAE(
        seeds, **sizes, groupers=matrix, mu=2, eps=0.1, weight_norm="reparameterized", decoder_norm_axis=axis
    ).double()
    lead = (2,) if model.stacked else ()
    images = intensities(*lead, 2, 4).double()
    noises = {"noise_z": noise(*lead, 2, 2).double(), "noise_u": noise(*lead, 2, 2, seed=1).double()}
    names, values = zip(*model.named_parameters(), strict=True)

    def loss(*parameters: Tensor) -> Tensor:
        weights = dict(zip(names, parameters, strict=True))
        found = torch.func.functional_call(model, weights, (images,), noises)
        return negative_elbo(found.logits, images, found.posterior)

    assert torch.autograd.gradcheck(loss, values)


@pytest.mark.parametrize("axis, sums", [("in", (1, 0)), ("out", (0, 1))])
def test_projection_gives_each_slice_length_one(axis: str, sums: tuple[int, int]) -> None:
    model = tiny([0, 1], weight_norm="projected", decoder_norm_axis=axis)
    with torch.no_grad():
        biases = [layer.bias.clone() for layer in model.children()]
    model.project_()
    for name in LAYER_NAMES:
        weight = getattr(model, name).weight
        dim = 1 if not name.startswith("decoder") else (-1 if axis == "in" else -2)
        lengths = weight.square().sum(2 if dim in (1, -1) else 1).sqrt()
        torch.testing.assert_close(lengths, torch.ones_like(lengths))
    assert all(torch.equal(layer.bias, bias) for layer, bias in zip(model.children(), biases, strict=True))


@pytest.mark.parametrize("weight_norm", ["none", "reparameterized"])
def test_only_projected_models_are_projected(weight_norm: str) -> None:
    model = tiny(weight_norm=weight_norm)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.project_()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("settings", [{}, {"weight_norm": "reparameterized"}, {"decoder_norm_axis": "out"}])
@pytest.mark.parametrize("seeds, lead", [(0, ()), ([0, 1], (2,))])
def test_gradients_lie_in_memory_as_their_weights(settings: dict, seeds, lead: tuple[int, ...]) -> None:
    """Otherwise autograd moves them in each step."""
    model = tiny(seeds, **settings)
    strides = {}
    for name, parameter in model.named_parameters():
        parameter.register_hook(lambda grad, name=name: strides.update({name: grad.stride()}))
    noises = {"noise_z": noise(*lead, 8, 8), "noise_u": noise(*lead, 8, 8, seed=1)}
    loss_of(model, intensities(*lead, 8, 18), noises).sum().backward()
    assert strides == {name: parameter.stride() for name, parameter in model.named_parameters()}


# Stacks.


SEEDS = [4, 0, 9]
STACKS = {
    "one grouper": {"groupers": SHIFT},
    "own groupers": {"groupers": [SHIFT, BUBBLE, np.eye(16, dtype=np.float32)]},
    "plain": {"groupers": None},
    "normalized by input": {"groupers": [SHIFT, BUBBLE, SHIFT], "weight_norm": "reparameterized"},
    "normalized by output": {"groupers": SHIFT, "weight_norm": "reparameterized", "decoder_norm_axis": "out"},
    "projected": {"groupers": [BUBBLE, BUBBLE, SHIFT], "weight_norm": "projected"},
    "bias a pixel": {"groupers": SHIFT, "pixel_bias": True},
}


def alone(settings: dict, run: int) -> TopographicVAE:
    groupers = settings["groupers"]
    own = groupers[run] if isinstance(groupers, list) else groupers
    return tiny(SEEDS[run], **{**settings, "groupers": own})


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_starts_with_the_weights_of_its_models_to_the_bit(name: str) -> None:
    stack = tiny(SEEDS, **STACKS[name]).state_dict()
    for run in range(len(SEEDS)):
        for key, value in alone(STACKS[name], run).state_dict().items():
            assert torch.equal(stack[key][run], value), key


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_computes_what_its_models_compute_alone(name: str) -> None:
    settings = STACKS[name]
    stack = tiny(SEEDS, **settings)
    images = intensities(3, 8, 18)
    noises = {"noise_z": noise(3, 8, 8)}
    if settings["groupers"] is not None:
        noises["noise_u"] = noise(3, 8, 8, seed=1)
    stack.project_()
    losses = loss_of(stack, images, noises)
    losses.sum().backward()
    likelihoods = log_likelihood(stack, images, **{key: value[:, None] for key, value in noises.items()})
    for run in range(3):
        model = alone(settings, run)
        model.project_()
        own = {key: value[run] for key, value in noises.items()}
        loss = loss_of(model, images[run], own)
        loss.backward()
        torch.testing.assert_close(losses[run], loss, **CLOSE)
        for key, parameter in model.named_parameters():
            torch.testing.assert_close(stack.get_parameter(key).grad[run], parameter.grad, **CLOSE, msg=key)
        found = log_likelihood(model, images[run], **{key: value[None] for key, value in own.items()})
        for together, single in zip(likelihoods, found, strict=True):
            torch.testing.assert_close(together[run], single, rtol=1e-5, atol=1e-5)


# Symmetries.


@pytest.mark.parametrize("groupers", [SHIFT, BUBBLE])
def test_capsules_know_no_first_frame_and_no_first_unit(groupers: np.ndarray) -> None:
    model = tiny(groupers=groupers)
    z, u = noise(2, 4, 2, 4), noise(2, 4, 2, 4, seed=1)
    t = model.capsules(z.view(8, 8), u.view(8, 8)).view(2, 4, 2, 4)
    for dim in (1, 3):
        moved = model.capsules(z.roll(1, dim).reshape(8, 8), u.roll(1, dim).reshape(8, 8)).view(2, 4, 2, 4)
        torch.testing.assert_close(moved, t.roll(1, dim))


def test_sequences_and_capsules_do_not_mix() -> None:
    model = tiny()
    z, u = noise(8, 8), noise(8, 8, seed=1).requires_grad_()
    model.capsules(z, u)[:4, :4].sum().backward()
    touched = u.grad != 0
    assert touched[:4, :4].all() and touched.sum() == 16


# The likelihood.


def tiny_likelihood_model(frames: int) -> TopographicVAE:
    """One capsule of one unit: 2 latents a frame, so that log p(x) can be integrated. Its pixels depend on t."""
    matrix = grouper_matrix("stationary", frames=frames, units=1, window=frames, unit_window=1)
    model = TopographicVAE(
        5, inputs=3, channels=1, capsules=1, units=1, frames=frames, groupers=matrix, mu=1.0, eps=0.05, pixel_bias=True
    ).double()
    with torch.no_grad():
        model.decoder1.weight.copy_(torch.tensor([[1.0, -1.2]]))
        model.decoder2.weight.copy_(torch.tensor([[1.1, -0.4, 0.7], [0.3, 1.3, -0.8]]))
        model.decoder3.weight.copy_(torch.tensor([[2.0, -1.5, 0.4], [-0.7, 1.8, 1.1], [1.2, 0.6, -2.0]]))
    return model


def gaussian_nodes(count: int, reach: float = 7.0) -> tuple[Tensor, Tensor]:
    """Nodes and weights of the trapezoidal rule for N(0, 1)."""
    nodes = torch.linspace(-reach, reach, count, dtype=torch.float64)
    weights = torch.exp(-(nodes**2) / 2)
    return nodes, weights / weights.sum()


@torch.no_grad()
def integrate(model: TopographicVAE, images: Tensor, *, count: int) -> float:
    """log p of one sequence of 1 or 2 frames, by the trapezoidal rule over all its latents."""
    nodes, weights = gaussian_nodes(count)
    frames = len(images)
    grids = torch.meshgrid(*[nodes] * frames, indexing="ij")
    energy = sum(grid**2 for grid in grids).flatten()
    prior_u = weights if frames == 1 else torch.outer(weights, weights).flatten()
    given_u = torch.ones_like(energy)
    for image in images:
        t = (nodes[:, None] + model.mu) / (energy + model.eps).sqrt()
        nll = bernoulli_nll(model.decode(t.flatten()[:, None]), image.expand(t.numel(), -1)).sum(-1).view(t.shape)
        given_u = given_u * (weights[:, None] * (-nll).exp()).sum(0)
    return float((prior_u * given_u).sum().log())


LIKELIHOOD_IMAGES = torch.tensor([[0.05, 0.9, 0.3], [0.8, 0.1, 0.95]], dtype=torch.float64)


def assert_estimates(weights: Tensor, log_integral: float) -> None:
    """The mean of exp(weights) is the integral, within four standard errors that are small."""
    ratios = (weights - log_integral).exp()
    error = float(ratios.std()) / math.sqrt(len(ratios))
    assert error < 0.01
    assert abs(float(ratios.mean()) - 1) < 4 * error


def test_without_shared_latents_the_corrected_estimate_is_the_integral() -> None:
    model = tiny_likelihood_model(frames=1)
    integral = integrate(model, LIKELIHOOD_IMAGES[:1], count=1201)
    # The rule has converged, as fast as the kinks of the ReLUs let it.
    assert integral == pytest.approx(integrate(model, LIKELIHOOD_IMAGES[:1], count=2401), abs=1e-5)
    draws = 100_000
    z, u = (noise(draws, 1, 1, seed=seed).double() for seed in (1, 2))
    # A single sample's estimate is its log-weight; many samples' estimates are tested on the way.
    weights = torch.stack(
        [log_likelihood(model, LIKELIHOOD_IMAGES[:1], z[i : i + 1], u[i : i + 1]).corrected for i in range(3)]
    )
    together = log_likelihood(model, LIKELIHOOD_IMAGES[:1], z[:3], u[:3])
    torch.testing.assert_close(together.corrected, weights.logsumexp(0) - math.log(3))
    found = log_likelihood(model, LIKELIHOOD_IMAGES[:1], z, u)
    assert float(found.corrected) == pytest.approx(integral, abs=0.01)
    assert float(found.joint) == float(found.corrected)
    assert float(found.published - found.corrected) == pytest.approx(math.log(draws))
    each = log_likelihood(model, LIKELIHOOD_IMAGES[:1].expand(draws, 3), z.view(1, -1, 1), u.view(1, -1, 1))
    assert_estimates(each.corrected, integral)


def test_with_shared_latents_the_joint_estimate_is_the_integral_over_the_sequence() -> None:
    model = tiny_likelihood_model(frames=2)
    integral = integrate(model, LIKELIHOOD_IMAGES, count=161)
    assert integral == pytest.approx(integrate(model, LIKELIHOOD_IMAGES, count=121), abs=1e-4)
    draws = 100_000
    z, u = (noise(1, 2 * draws, 1, seed=seed).double() for seed in (3, 4))
    each = log_likelihood(model, LIKELIHOOD_IMAGES.repeat(draws, 1), z, u)
    assert_estimates(2 * each.joint, integral)
    found = log_likelihood(model, LIKELIHOOD_IMAGES, z.view(draws, 2, 1), u.view(draws, 2, 1))
    assert float(found.joint) == pytest.approx(integral / 2, abs=0.005)


def test_log_weights_are_on_average_the_evidence_lower_bound() -> None:
    """E_q[log p(x, z, u) - log q] is the bound, whose divergences are in closed form."""
    model = published_model()
    draws = 4000
    images = PUBLISHED_IMAGES.repeat(draws, 1)
    noises = {"noise_z": noise(8 * draws, 8).double(), "noise_u": noise(8 * draws, 8, seed=1).double()}
    weights = log_likelihood(model, images, **{key: value[None] for key, value in noises.items()}).corrected
    bound = -loss_of(model, images, noises).item()
    error = float(weights.std()) / math.sqrt(len(weights))
    assert abs(float(weights.mean()) - bound) < 4 * error


def test_samples_far_from_the_prior_and_better_than_it_weigh_less() -> None:
    """Jensen: with more samples the estimate grows, and it stays below the ceiling."""
    model, images = published_model(), PUBLISHED_IMAGES
    z, u = noise(200, 8, 8).double(), noise(200, 8, 8, seed=1).double()
    single = torch.stack([log_likelihood(model, images, z[i : i + 1], u[i : i + 1]).joint for i in range(200)])
    many = log_likelihood(model, images, z, u).joint
    assert (many > single.mean(0)).all()
    assert float(many.mean()) < -float(target_entropy(images).mean())


def test_few_logits_at_once_give_the_same_estimates(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = tiny([0, 1]), intensities(2, 12, 18)
    noises = {"noise_z": noise(2, 5, 12, 8), "noise_u": noise(2, 5, 12, 8, seed=1)}
    whole = log_likelihood(model, images, **noises)
    sizes, encodings = [], []
    decode, encode = model.decode, model.encode
    monkeypatch.setattr(model, "decode", lambda t: sizes.append(t.shape[:-1].numel() * 18) or decode(t))
    monkeypatch.setattr(model, "encode", lambda x: encodings.append(x.shape) or encode(x))
    parts = log_likelihood(model, images, **noises, logits_at_once=1000)
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b)
    assert max(sizes) <= 1000 and sum(sizes) == 2 * 5 * 12 * 18 and len(sizes) == 3
    assert encodings == [(2, 12, 18)]


def test_a_plain_vae_has_a_likelihood_of_sequences_that_is_that_of_frames() -> None:
    """Frames are independent: the sequence's estimate from one sample is the mean of its frames'."""
    model, images, z_noise = tiny(groupers=None), intensities(12, 18), noise(1, 12, 8)
    found = log_likelihood(model, images, z_noise)
    torch.testing.assert_close(found.joint, found.corrected.view(3, 4).mean(1))
    assert log_likelihood(model, images, z_noise, frames=6).joint.shape == (2,)


def test_likelihoods_above_the_entropy_of_the_images_are_refused() -> None:
    images = intensities(8, 18).double()
    perfect = -bernoulli_nll(torch.logit(images), images).sum(-1)
    check_entropy_floor(perfect, images)
    check_entropy_floor(perfect + 0.9, images)
    with pytest.raises(TopoRepError, match=r"log p\(x\): expected a mean of at most -\d+\.\d\d nats a frame"):
        check_entropy_floor(perfect + 1.1, images)
    with pytest.raises(TopoRepError, match="found nan"):
        check_entropy_floor(perfect * math.nan, images)
    with pytest.raises(TopoRepError, match="found -0.00"):
        check_entropy_floor(torch.full((8,), -1e-9), images)
    check_entropy_floor(torch.tensor([-0.5]), images.round())


# Mistakes.


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"weight_norm": "wn"}, "weight_norm: expected one of none, reparameterized, projected, found 'wn'"),
        ({"decoder_norm_axis": 0}, "decoder_norm_axis: expected one of in, out, found 0"),
        ({"groupers": np.eye(9)}, r"grouper: expected a matrix of shape \(16, 16\) for 4 frames of 4 units, found"),
        ({"groupers": [SHIFT, SHIFT]}, "groupers: expected one for each of 1 models, found 2"),
    ],
)
def test_settings_that_make_no_model_are_refused_by_name(settings: dict, message: str) -> None:
    with pytest.raises(TopoRepError, match=message):
        tiny(**settings)


def test_pixels_that_do_not_fill_the_channels_are_refused() -> None:
    with pytest.raises(TopoRepError, match="inputs: expected a multiple of the 3 channels, found 10"):
        TopographicVAE(0, inputs=10, channels=3, capsules=1, units=2, frames=1, groupers=None)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda m: m.capsules(noise(6, 8), noise(6, 8)), "u: expected whole sequences of 4 frames, found 6 frames"),
        (lambda m: m(intensities(8, 18), noise_z=noise(8, 8)), "noise_u: expected noise"),
        (lambda m: log_likelihood(m, intensities(6, 18), noise(2, 6, 8), noise(2, 6, 8)), "images: expected whole"),
        (lambda m: log_likelihood(m, intensities(8, 18), noise(2, 8, 8)), "noise_u: expected .*, found none"),
        (
            lambda m: log_likelihood(m, intensities(8, 18), noise(8, 8), noise(2, 8, 8)),
            r"noise_z: expected shape \(N, 8, 8\) for N samples, found \(8, 8\)",
        ),
        (
            partial(
                log_likelihood, images=intensities(8, 18), noise_z=noise(2, 8, 8), noise_u=noise(2, 8, 8), frames=8
            ),
            "frames: expected 4, the length of the model's sequences, found 8",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused_by_name(call, message: str) -> None:
    with pytest.raises(TopoRepError, match=message):
        call(tiny())
