"""The category-selective TVAE against the authors' numbers, plain loops, closed forms and integrals over latents."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor, nn

from toporep import rng
from toporep.errors import TopoRepError
from toporep.losses.bits import bits_per_dimension, constant_predictor_bits, perfect_reconstruction_bits
from toporep.losses.gaussian import gaussian_elbo_terms, gaussian_negative_elbo, gaussian_nll
from toporep.losses.vae import gaussian_kl
from toporep.models import initial_weights
from toporep.models.category_tvae import CategoryTVAE, circular_band, second_moment
from toporep.models.feature_likelihood import feature_log_likelihood
from toporep.models.feature_norm import FeatureNorm
from toporep.models.grouper import grouper_matrix
from toporep.models.topographic_vae import Posterior, sample


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sheet_model(grid: tuple[int, int], window: int, **settings) -> CategoryTVAE:
    return CategoryTVAE(0, features=2, grid=grid, window=window, **settings).double()


@torch.no_grad()
def set_all(model: CategoryTVAE, value: float) -> CategoryTVAE:
    for parameter in model.parameters():
        parameter.fill_(value)
    return model


# The authors' torus.


@pytest.mark.parametrize(
    "window, mu, total, energy, first, second",
    [
        (3, 40, 2311.5972489, 5.2893419215, [17.392384548, 17.21847722], [18.565208277, 18.289736557]),
        (5, 40, 1369.2952127, 14.411318144, [10.536785118, 11.315732218], [10.434007827, 11.164412064]),
        (7, 1, 25.665227201, 29.152833899, [0.18520794093, 0.26241390454], [0.2018942092, 0.27756985023]),
    ],
)
def test_the_sheet_is_the_published_one(
    window: int, mu: float, total: float, energy: float, first: list[float], second: list[float]
) -> None:
    b, j = torch.arange(2, dtype=torch.float64)[:, None], torch.arange(64, dtype=torch.float64)
    z, u = torch.sin(0.1 * b + 0.37 * j), torch.cos(0.2 * b + 0.11 * j) + 0.3 * torch.sin(0.05 * j * j)
    model = sheet_model((8, 8), window, mu=mu)
    t = model.sheet(z, u).detach()
    assert model.pool(u.square())[0, 0].item() == pytest.approx(energy, rel=1e-9)
    np.testing.assert_allclose(t[0, :2], first, rtol=1e-9)
    np.testing.assert_allclose(t[1, :2], second, rtol=1e-9)
    assert t.sum().item() == pytest.approx(total, rel=1e-10)


# The authors' tiny model: float64, weights and noise by formulas.

ROWS, COLS = torch.arange(32, dtype=torch.float64)[:, None], torch.arange(6, dtype=torch.float64)
PUBLISHED_FEATURES = torch.sin(0.8 * torch.arange(3, dtype=torch.float64)[:, None] + 0.5 * COLS)


def published_noise(call: int) -> Tensor:
    return torch.sin(1.3 * torch.arange(48, dtype=torch.float64) + 0.7 + 0.9 * call).view(3, 16)


@torch.no_grad()
def published_model(*, window: int | None = 3) -> CategoryTVAE:
    model = CategoryTVAE(0, features=6, grid=(4, 4), window=window, mu=4.0).double()
    model.z_encoder.weight.copy_(0.3 * torch.sin(0.5 * ROWS + 1.1 * COLS))
    model.z_encoder.bias.copy_(0.1 * torch.cos(ROWS[:, 0]))
    model.decoder.weight.copy_(0.2 * torch.sin(0.7 * ROWS[:16] - 0.6 * COLS))
    model.decoder.bias.copy_(0.05 * COLS)
    if window is not None:
        model.u_encoder.weight.copy_(0.3 * torch.cos(0.4 * ROWS + 0.9 * COLS))
        model.u_encoder.bias.copy_(0.1 * torch.sin(ROWS[:, 0]))
    return model


def test_latents_sheet_and_means_are_those_of_the_published_modules() -> None:
    model = published_model()
    found = model(PUBLISHED_FEATURES, noise_z=published_noise(0), noise_u=published_noise(1))
    z, u = sample(found.posterior, noise_z=published_noise(0), noise_u=published_noise(1))
    np.testing.assert_allclose(z[0, :3].detach(), [0.52286233757, 0.6131405147, -0.53786786305], rtol=1e-9)
    np.testing.assert_allclose(u[0, :3].detach(), [0.23134113708, -0.29628366388, -1.0728106949], rtol=1e-9)
    t = [2.3575682622, 2.395385165, 1.7135734964, 1.2422630537, 1.4867123259, 1.8068516993, 1.7432372559, 1.6983415266]
    np.testing.assert_allclose(found.t[0, :8].detach(), t, rtol=1e-9)
    means = [0.65631454494, 0.53331080864, 0.24147270194, -0.099785889738, -0.35378708375, -0.41433451685]
    np.testing.assert_allclose(found.means[0].detach(), means, rtol=1e-9)


def test_loss_and_gradients_are_those_of_the_published_modules() -> None:
    model = published_model()
    found = model(PUBLISHED_FEATURES, noise_z=published_noise(0), noise_u=published_noise(1))
    terms = gaussian_elbo_terms(found.means, PUBLISHED_FEATURES, found.posterior)
    np.testing.assert_allclose(terms["kl_z"].detach(), [0.80708710401, 1.1284317839, 3.0123390292], rtol=1e-9)
    np.testing.assert_allclose(terms["kl_u"].detach(), [1.8554423613, 2.2936940939, 4.8377645747], rtol=1e-9)
    np.testing.assert_allclose(terms["nll"].detach(), [7.8230489385, 5.6181909472, 5.8632928189], rtol=1e-9)
    loss = gaussian_negative_elbo(found.means, PUBLISHED_FEATURES, found.posterior)
    assert loss.item() == pytest.approx(11.079763884, rel=1e-9)
    assert bits_per_dimension(loss.item(), dimensions=6) == pytest.approx(2.6641200683, rel=1e-9)
    loss.backward()
    assert model.mu.grad.item() == pytest.approx(0.12223462751, rel=1e-8)
    bias = [0.056803981365, -0.015658542459, -0.14551234715, -0.27078711109, -0.31123506502, -0.2010204227]
    np.testing.assert_allclose(model.decoder.bias.grad, bias, rtol=1e-8)
    of_z = [0.49251411853, 0.38895643139, 0.11738508024, -0.15561660068]
    of_u = [0.014750307894, -0.06970499976, -0.30819862271, -0.41724895597]
    np.testing.assert_allclose(model.z_encoder.bias.grad[:4], of_z, rtol=1e-8)
    np.testing.assert_allclose(model.u_encoder.bias.grad[:4], of_u, rtol=1e-8)


def test_the_plain_vae_is_the_published_one() -> None:
    model = published_model(window=None)
    found = model(PUBLISHED_FEATURES, noise_z=published_noise(0))
    terms = gaussian_elbo_terms(found.means, PUBLISHED_FEATURES, found.posterior)
    assert terms["kl_z"].mean().item() == pytest.approx(1.6492859724, rel=1e-9)
    assert terms["kl_u"].abs().max() == 0
    loss = gaussian_negative_elbo(found.means, PUBLISHED_FEATURES, found.posterior).item()
    assert loss == pytest.approx(8.4811777946, rel=1e-9)
    assert bits_per_dimension(loss, dimensions=6) == pytest.approx(2.0392921909, rel=1e-9)


def test_importance_samples_are_the_published_ones_less_log_n() -> None:
    noise_z, noise_u = (torch.stack([published_noise(call + first) for call in (0, 2, 4)]) for first in (0, 1))
    found = feature_log_likelihood(published_model(), PUBLISHED_FEATURES, noise_z, noise_u)
    np.testing.assert_allclose(found.published, [-8.4364433499, -7.7405895065, -11.177072166], rtol=1e-9)
    np.testing.assert_allclose(found.corrected, [-9.5350556386, -8.8392017952, -12.275684455], rtol=1e-9)
    noise_z = torch.stack([published_noise(call) for call in (0, 1, 2)])
    plain = feature_log_likelihood(published_model(window=None), PUBLISHED_FEATURES, noise_z)
    np.testing.assert_allclose(plain.published, [-6.6224310116, -6.1175789576, -7.5791817942], rtol=1e-9)
    np.testing.assert_allclose(plain.corrected, [-7.7210433003, -7.2161912462, -8.6777940828], rtol=1e-9)


def test_normalization_is_the_published_batch_norm() -> None:
    b, f = torch.arange(5, dtype=torch.float64)[:, None], torch.arange(3, dtype=torch.float64)
    features, norm = torch.sin(0.9 * b + 0.4 * f) + f, FeatureNorm(3).double()
    trained = norm(features)
    np.testing.assert_allclose(trained[0], [-0.67462656174, 0.16292527481, 0.73588742588], rtol=1e-9)
    np.testing.assert_allclose(trained[4], [-1.5314871311, -1.7014237832, -1.5686710182], rtol=1e-9)
    np.testing.assert_allclose(norm.running_mean, [0.034840679549, 0.12892502197, 0.21844273943], rtol=1e-9)
    np.testing.assert_allclose(norm.running_var, [0.93333804211, 0.94724769943, 0.96555671457], rtol=1e-9)
    evaluated = norm.eval()(features)
    np.testing.assert_allclose(evaluated[0], [-0.036063245365, 1.2951094628, 2.5430801873], rtol=1e-9)


# The architecture.


def test_the_paper_s_network_has_188_769_281_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    # NumPy's zeros take no memory until they are touched.
    monkeypatch.setattr(
        initial_weights, "_uniform_rows", lambda seed, purpose, shape, bound: torch.from_numpy(np.zeros(shape, "f"))
    )
    model = CategoryTVAE(0)
    assert model.parameter_count == 188_769_281
    assert CategoryTVAE(0, window=None).parameter_count == 75_505_664 + 37_757_952
    assert model.mu.item() == 40 and model.row_band.sum() == model.col_band.sum() == 64 * 25
    assert set(model.state_dict()) == {"mu"} | {
        f"{layer}.{part}" for layer in ("z_encoder", "u_encoder", "decoder") for part in ("weight", "bias")
    }


def test_initial_weights_are_uniform_within_one_over_the_root_of_the_features() -> None:
    model = CategoryTVAE(5, features=100, grid=(6, 5), window=3)
    for name in ("z_encoder", "u_encoder", "decoder"):
        layer = getattr(model, name)
        weights = layer.weight.detach().flatten().numpy()
        assert np.abs(weights).max() <= 0.1 and layer.bias.abs().max() <= 0.1
        assert stats.kstest(weights, "uniform", args=(-0.1, 0.2)).pvalue > 1e-3
    row = rng.uniform(rng.key(5, "init/u_encoder.weight", 31), (100,), low=-0.1, high=0.1)
    assert np.array_equal(model.u_encoder.weight[31].detach(), row)
    assert not torch.equal(model.u_encoder.weight, model.z_encoder.weight)


def test_a_plain_vae_starts_with_the_weights_of_the_topographic_one() -> None:
    settings = {"features": 7, "grid": (3, 3)}
    topographic = CategoryTVAE(3, **settings, window=3).state_dict()
    plain = CategoryTVAE(3, **settings, window=None).state_dict()
    assert set(topographic) - set(plain) == {"mu", "u_encoder.weight", "u_encoder.bias"}
    assert all(torch.equal(topographic[name], value) for name, value in plain.items())


@torch.no_grad()
def test_encoder_and_decoder_are_torch_s_one_by_one_convolutions() -> None:
    """As the published code has them: the decoder is a transposed convolution, whose weight is (in, out)."""
    model, features = CategoryTVAE(1, features=7, grid=(3, 2), window=1), noise(4, 7).float()
    encoder, decoder = nn.Conv2d(7, 12, 1), nn.ConvTranspose2d(6, 7, 1)
    for layer, own in ((encoder, model.z_encoder), (decoder, model.decoder)):
        layer.weight.copy_(own.weight[..., None, None])
        layer.bias.copy_(own.bias)
    posterior = model.encode(features)
    outputs = encoder(features[..., None, None])[..., 0, 0]
    torch.testing.assert_close(torch.cat([posterior.z_mean, posterior.z_logvar], dim=1), outputs)
    t = noise(4, 6, seed=1).float()
    torch.testing.assert_close(model.decode(t), decoder(t[..., None, None])[..., 0, 0])


# The torus.


@pytest.mark.parametrize("grid, window", [((8, 8), 5), ((5, 7), 5), ((5, 7), 3), ((9, 4), 1), ((3, 6), 3)])
def test_pooling_is_a_sum_of_rolled_sheets(grid: tuple[int, int], window: int) -> None:
    values, half = noise(2, math.prod(grid)), window // 2
    sheets, expected = values.view(2, *grid), torch.zeros(2, *grid, dtype=torch.float64)
    for row in range(-half, half + 1):
        for col in range(-half, half + 1):
            expected += sheets.roll((row, col), dims=(1, 2))
    torch.testing.assert_close(sheet_model(grid, window).pool(values), expected.flatten(1))


def test_pooling_is_the_torus_grouper_of_capsules_and_a_circular_convolution_at_full_size() -> None:
    values = noise(3, 36).square()
    matrix = torch.from_numpy(grouper_matrix("torus", rows=6, cols=6, window=3)).double()
    torch.testing.assert_close(sheet_model((6, 6), 3).pool(values), values @ matrix.T)
    squares = noise(2, 1, 64, 64).square()
    kernel = torch.ones(1, 1, 25, 25, dtype=torch.float64)
    convolved = F.conv2d(F.pad(squares, (12,) * 4, mode="circular"), kernel)
    found = sheet_model((64, 64), 25).pool(squares.flatten(1))
    torch.testing.assert_close(found, convolved.flatten(1))


def test_moving_the_latents_around_the_torus_moves_the_sheet() -> None:
    model, z, u = sheet_model((5, 6), 3), noise(2, 30), noise(2, 30, seed=1)

    def moved(values: Tensor) -> Tensor:
        return values.view(2, 5, 6).roll((4, 2), dims=(1, 2)).flatten(1)

    torch.testing.assert_close(model.sheet(moved(z), moved(u)), moved(model.sheet(z, u)))


def test_a_band_joins_places_on_a_ring() -> None:
    expected = [[1, 1, 0, 0, 1], [1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [1, 0, 0, 1, 1]]
    assert circular_band(5, 3).tolist() == expected


def test_the_sheet_is_the_product_of_its_factors_and_plain_z_without_a_window() -> None:
    model, z, u = sheet_model((4, 4), 3), noise(3, 16), noise(3, 16, seed=1)
    numerator, factor = model.factors(z, u.square())
    torch.testing.assert_close(numerator, z + 40)
    torch.testing.assert_close(factor, 1 / (model.pool(u.square()) + 1e-6).sqrt())
    torch.testing.assert_close(model.sheet(z, u), numerator * factor)
    plain = CategoryTVAE(0, features=2, grid=(4, 4), window=None)
    assert plain.sheet(z) is z


def test_eps_bounds_a_silent_window() -> None:
    model = sheet_model((4, 4), 3, eps=0.25, mu=3.0)
    z = noise(1, 16)
    torch.testing.assert_close(model.sheet(z, torch.zeros(1, 16, dtype=torch.float64)), (z + 3) * 2)


def test_gradient_of_the_loss_is_that_of_finite_differences() -> None:
    model = CategoryTVAE(2, features=5, grid=(3, 3), window=3, mu=4.0).double()
    features, noises = noise(3, 5), {"noise_z": noise(3, 9, seed=1), "noise_u": noise(3, 9, seed=2)}
    parameters = dict(model.named_parameters())

    def loss(*values: Tensor) -> Tensor:
        weights = dict(zip(parameters, values, strict=True))
        found = torch.func.functional_call(model, weights, (features,), noises)
        return gaussian_negative_elbo(found.means, features, found.posterior)

    assert torch.autograd.gradcheck(loss, tuple(parameters.values()))


# The sheet without noise.


def test_the_mean_sheet_divides_by_the_root_of_the_mean_energy() -> None:
    """The mean of z over many samples of the posterior, and that of v, give the sheet without noise."""
    model = CategoryTVAE(0, features=4, grid=(4, 4), window=3, mu=4.0).double()
    posterior = model.encode(3 * noise(1, 4))
    draws = 20_000
    noises = {"noise_z": noise(draws, 16), "noise_u": noise(draws, 16, seed=1)}
    z, u = (values.detach() for values in sample(posterior, **noises))
    v = model.pool(u.square())
    expected = second_moment(posterior).detach()
    error = u.square().std(0) / draws**0.5
    assert ((u.square().mean(0) - expected).abs() < 5 * error).all()
    sampled = (z.mean(0) + 4) / (v.mean(0) + 1e-6).sqrt()
    np.testing.assert_allclose(model.mean_sheet(posterior)[0].detach(), sampled, rtol=0.02, atol=0.01)


def test_at_the_prior_the_mean_sheet_is_mu_over_the_window() -> None:
    """u ~ N(0, 1): v is k² on average, and t is mu / k, 1.6 with the paper's 40 and 25; not mu / sqrt(eps)."""
    model = set_all(CategoryTVAE(0, features=2, grid=(32, 32), window=25), 0.0)
    with torch.no_grad():
        model.mu.fill_(40)
        t = model.mean_sheet(model.encode(torch.ones(1, 2)))
    torch.testing.assert_close(t, torch.full((1, 1024), 1.6))


def test_a_plain_vae_s_mean_sheet_is_the_mean_of_z() -> None:
    model = CategoryTVAE(0, features=4, grid=(2, 2), window=None)
    posterior = model.encode(torch.ones(3, 4))
    assert posterior.u_mean is None and torch.equal(model.mean_sheet(posterior), posterior.z_mean)


# Likelihood: closed forms and integrals.


def one_unit(window: int | None) -> CategoryTVAE:
    model = set_all(CategoryTVAE(0, features=3, grid=(1, 1), window=window, mu=2.0).double(), 0.0)
    with torch.no_grad():
        model.decoder.weight.copy_(torch.tensor([[0.8, -0.5, 1.2]]))
        model.decoder.bias.copy_(torch.tensor([0.3, 0.1, -0.2]))
        if window is not None:
            model.mu.fill_(2.0)
    return model


def test_with_the_true_posterior_every_sample_tells_the_likelihood() -> None:
    """A plain VAE of one unit is factor analysis: x ~ N(b, I + w wᵀ) and z|x is Gaussian with variance 1/(1 + w·w)."""
    model, features = one_unit(None), noise(4, 3)
    w, b = model.decoder.weight[0].detach(), model.decoder.bias.detach()
    variance = 1 / (1 + w @ w)
    with torch.no_grad():
        model.z_encoder.weight[0] = w * variance
        model.z_encoder.bias[:] = torch.stack([-(w @ b) * variance, variance.log()])
    expected = stats.multivariate_normal(b, torch.eye(3) + torch.outer(w, w)).logpdf(features)
    found = feature_log_likelihood(model, features, noise(2, 4, 1, seed=1))
    np.testing.assert_allclose(found.corrected, expected, rtol=1e-6)
    np.testing.assert_allclose(found.published, expected + math.log(2), rtol=1e-6)


def test_the_elbo_of_the_true_posterior_is_the_mean_log_likelihood() -> None:
    model, features = one_unit(None), noise(1, 3)
    w, b = model.decoder.weight[0].detach(), model.decoder.bias.detach()
    variance = 1 / (1 + w @ w)
    mean, logvar = ((features - b) @ w * variance)[:, None], variance.log().view(1, 1)
    draws = 40_000
    posterior = Posterior(mean.expand(draws, 1), logvar.expand(draws, 1), None, None)
    z, _ = sample(posterior, noise_z=noise(draws, 1, seed=3))
    of_draws = gaussian_elbo_terms(model.decode(z), features.expand(draws, 3), posterior)
    nats = sum(of_draws.values()).detach()
    expected = -stats.multivariate_normal(b, torch.eye(3) + torch.outer(w, w)).logpdf(features)
    assert abs(nats.mean().item() - expected) < 5 * nats.std().item() / draws**0.5


def test_importance_samples_of_a_topographic_unit_approach_the_integral_over_z_and_u() -> None:
    model, features = one_unit(1), noise(1, 3)
    steps = torch.linspace(-9, 9, 901, dtype=torch.float64)
    z, u = torch.meshgrid(steps, steps, indexing="ij")
    width = (steps[1] - steps[0]).item()
    t = ((z + 2) / (u.square() + 1e-6).sqrt()).flatten()
    squares = torch.zeros_like(t)
    for feature in range(3):
        mean = t * model.decoder.weight[0, feature].detach() + model.decoder.bias[feature].detach()
        squares += (features[0, feature] - mean) ** 2
    log_density = -0.5 * (squares + z.flatten() ** 2 + u.flatten() ** 2 + 5 * math.log(2 * math.pi))
    expected = (log_density.logsumexp(0) + 2 * math.log(width)).item()
    draws = 100_000
    noises = noise(draws, 1, 1, seed=4), noise(draws, 1, 1, seed=5)
    # The encoders are zero, so that the posterior is the prior and the weights are p(x|t): all images at once.
    model_means = model.decode(model.sheet(*(values[:, 0] for values in noises)))
    weights = -gaussian_nll(model_means, features).sum(-1).detach()
    error = (weights.exp().std() / weights.exp().mean() / draws**0.5).item()
    assert abs(weights.logsumexp(0).item() - math.log(draws) - expected) < 5 * error
    some = feature_log_likelihood(model, features, *(values[:500] for values in noises)).corrected
    torch.testing.assert_close(some, weights[:500].logsumexp(0, keepdim=True) - math.log(500))


def test_nll_and_kl_are_those_of_torch_s_distributions() -> None:
    means, features = noise(2, 3, 5), noise(2, 3, 5, seed=1)
    normal = torch.distributions.Normal(means, 1.0)
    torch.testing.assert_close(gaussian_nll(means, features), -normal.log_prob(features))
    assert gaussian_nll(torch.tensor(-0.5), torch.tensor(1.25)).item() == pytest.approx(2.4501885332, rel=1e-6)
    mean, logvar = torch.tensor([0.3, -0.4], dtype=torch.float64)
    assert gaussian_kl(mean, logvar).item() == pytest.approx(0.080160023018, rel=1e-8)
    posterior = Posterior(noise(2, 3, 4), noise(2, 3, 4, seed=2), None, None)
    prior = torch.distributions.Normal(0.0, 1.0)
    found = torch.distributions.kl_divergence(
        torch.distributions.Normal(posterior.z_mean, (posterior.z_logvar / 2).exp()), prior
    )
    terms = gaussian_elbo_terms(means, features, posterior)
    torch.testing.assert_close(terms["kl_z"], found.sum(-1))
    loss = gaussian_negative_elbo(means, features, posterior)
    torch.testing.assert_close(loss, (terms["nll"] + found.sum(-1)).mean(-1))


# Bits per dimension.


def test_bounds_of_the_bits_are_those_of_the_loss() -> None:
    """A model of zeros has the prior as posterior and predicts 0: the floor for features that are 0."""
    model = set_all(CategoryTVAE(0, features=6, grid=(2, 2), window=1).double(), 0.0)

    def bits(features: Tensor) -> float:
        noises = {name: noise(len(features), 4) for name in ("noise_z", "noise_u")}
        found = model(features, **noises)
        return bits_per_dimension(gaussian_negative_elbo(found.means, features, found.posterior), dimensions=6).item()

    assert bits(torch.zeros(3, 6, dtype=torch.float64)) == pytest.approx(perfect_reconstruction_bits(), rel=1e-12)
    features = noise(50, 6)
    normalized = (features - features.mean(0)) / features.std(0, correction=0)
    assert bits(normalized) == pytest.approx(constant_predictor_bits(), rel=1e-12)
    assert bits(normalized * 3**0.5) == pytest.approx(constant_predictor_bits(variance=3), rel=1e-12)


def test_bits_and_bounds_are_the_derived_numbers() -> None:
    assert bits_per_dimension(12345.678, dimensions=9216) == pytest.approx(1.9326224422, rel=1e-10)
    assert perfect_reconstruction_bits() == pytest.approx(1.3257480647, rel=1e-10)
    assert constant_predictor_bits() == pytest.approx(2.0470955852, rel=1e-10)
    for published, nats in ((3.4, 21719.351015), (3.6, 22996.959898)):
        assert bits_per_dimension(nats, dimensions=9216) == pytest.approx(published, rel=1e-10)
        assert published > constant_predictor_bits(variance=2.8)


# Normalization of features.


def test_normalization_is_torch_s_batch_norm_over_several_batches() -> None:
    norm, library = FeatureNorm(6), nn.BatchNorm1d(6)
    for seed in range(4):
        batch = 3 * noise(8, 6, seed=seed).float() + 2
        torch.testing.assert_close(norm(batch), library(batch))
    batch = noise(1, 6).float()
    torch.testing.assert_close(norm.eval()(batch), library.eval()(batch))
    assert not list(norm.parameters()) and set(norm.state_dict()) == {"running_mean", "running_var"}


def test_a_constant_feature_is_normalized_to_zero() -> None:
    features = noise(8, 3)
    features[:, 1] = 4.0
    normalized = FeatureNorm(3).double()(features)
    assert (normalized[:, 1] == 0).all() and torch.isfinite(normalized).all()


# Bad input.


@pytest.mark.parametrize("window", [0, -3, 2, 24, 3.0, "3"])
def test_a_window_without_a_middle_is_refused(window: object) -> None:
    with pytest.raises(TopoRepError, match="window: expected a positive odd integer"):
        CategoryTVAE(0, features=2, grid=(5, 9), window=window)


def test_a_window_longer_than_the_sheet_is_refused() -> None:
    with pytest.raises(TopoRepError, match=r"window: expected at most 5, the shorter side of the sheet \(5, 9\)"):
        CategoryTVAE(0, features=2, grid=(5, 9), window=7)
    assert CategoryTVAE(0, features=2, grid=(5, 9), window=5).window == 5


def test_bad_input_is_named() -> None:
    model, features = CategoryTVAE(0, features=3, grid=(2, 2), window=1), torch.zeros(2, 3)
    some = torch.zeros(2, 4)
    with pytest.raises(TopoRepError, match="features: expected a positive number"):
        CategoryTVAE(0, features=0)
    with pytest.raises(TopoRepError, match="grid: expected"):
        CategoryTVAE(0, features=3, grid=(2, 0))
    with pytest.raises(TopoRepError, match=r"features: expected shape \(…, 3\), found \(2, 4\)"):
        model.encode(some)
    with pytest.raises(TopoRepError, match="noise_u: expected"):
        model(features, noise_z=some)
    with pytest.raises(TopoRepError, match="u: expected the latents"):
        model.sheet(some)
    with pytest.raises(TopoRepError, match="features: expected the shape of the decoded means"):
        gaussian_elbo_terms(some, features, model.encode(features))
    with pytest.raises(TopoRepError, match="at least 2 images, found 1"):
        FeatureNorm(3)(features[:1])
    with pytest.raises(TopoRepError, match=r"features: expected shape \(batch, 3\)"):
        FeatureNorm(3)(some)
    with pytest.raises(TopoRepError, match="dimensions"):
        bits_per_dimension(1.0, dimensions=0)
    with pytest.raises(TopoRepError, match="variance"):
        constant_predictor_bits(variance=-1)


@pytest.mark.parametrize(
    "noise_z, noise_u, message",
    [
        ((5, 2, 3), (5, 2, 4), r"noise_z: expected shape \(N, 2, 4\)"),
        ((0, 2, 4), (0, 2, 4), "noise_z: .*at least one sample"),
        ((5, 2, 4), (4, 2, 4), "noise_u: expected as many samples as noise_z, 5, found 4"),
        ((5, 2, 4), None, "noise_u: expected shape .*found none"),
    ],
)
def test_noise_of_importance_samples_must_fit(
    noise_z: tuple[int, ...], noise_u: tuple[int, ...] | None, message: str
) -> None:
    model = CategoryTVAE(0, features=3, grid=(2, 2), window=1)
    noises = (torch.zeros(noise_z), None if noise_u is None else torch.zeros(noise_u))
    with pytest.raises(TopoRepError, match=message):
        feature_log_likelihood(model, torch.zeros(2, 3), *noises)
