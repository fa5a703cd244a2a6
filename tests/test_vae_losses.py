"""Losses of variational autoencoders against the authors' numbers, torch's distributions and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import distributions

from toporep.errors import TopoRepError
from toporep.losses.vae import bernoulli_nll, elbo_terms, gaussian_kl, negative_elbo, target_entropy
from toporep.models.topographic_vae import Posterior, sample


def numbers(*shape: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale


def test_latents_and_divergence_are_those_of_the_published_modules() -> None:
    o = 1.1 * torch.sin(0.77 * torch.arange(16, dtype=torch.float64) + 0.25).view(2, 8)
    noise = torch.sin(1.7 * torch.arange(8, dtype=torch.float64) + 0.2).view(2, 4)
    mean, logvar = o.chunk(2, dim=-1)
    z, _ = sample(Posterior(mean, logvar, None, None), noise_z=noise)
    expected_z = [
        [0.451367154967, 1.54067477657, 0.81661946616, 0.00587100714767],
        [0.772975478511, 1.30042811725, 0.617163161025, 0.405596734636],
    ]
    expected_kl = [
        [0.0469500593825, 0.592599222363, 0.788295363948, 0.27094232876],
        [0.0109323641117, 0.498334683391, 0.815657481194, 0.368535950151],
    ]
    np.testing.assert_allclose(z, expected_z, atol=1e-8)
    np.testing.assert_allclose(gaussian_kl(mean, logvar), expected_kl, atol=1e-8)
    assert float(gaussian_kl(mean, logvar).sum()) == pytest.approx(3.3922474533, abs=1e-8)


def test_cross_entropy_of_real_intensities_is_that_of_the_published_modules() -> None:
    n = torch.arange(12, dtype=torch.float64)
    logits, targets = 3 * torch.sin(0.8 * n + 0.1), 0.5 * torch.sin(0.5 * n + 0.7) + 0.5
    expected = [0.607846393172, 0.170946537911, 0.0621860648388, 0.32554342631, 0.822009961958, 1.2381549091]
    expected += [0.744018121208, 0.281425430145, 1.06698444747, 2.47772663427, 2.30905194655, 1.01483085648]
    nll = bernoulli_nll(logits, targets)
    np.testing.assert_allclose(nll, expected, atol=1e-8)
    assert float(nll.sum()) == pytest.approx(11.1207247294, abs=1e-8)


def test_cross_entropy_goes_on_where_the_published_one_is_cut() -> None:
    """The published code holds probabilities 1.2e-7 away from 0 and 1 and so no pixel above 15.94 nats."""
    logits = torch.tensor([-80.0, 80.0, 80.0, -80.0, 15.0, -15.0])
    targets = torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0, 0.25])
    np.testing.assert_allclose(bernoulli_nll(logits, targets), [80, 80, 0, 0, 15, 3.75], atol=1e-5)


def test_divergence_is_that_of_torch() -> None:
    mean, logvar = numbers(50), numbers(50, seed=1)
    posterior, prior = distributions.Normal(mean, (logvar / 2).exp()), distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(gaussian_kl(mean, logvar), distributions.kl_divergence(posterior, prior).double())
    assert float(gaussian_kl(torch.zeros(()), torch.zeros(()))) == 0


def test_no_pixel_means_have_a_cross_entropy_below_the_targets_entropy() -> None:
    targets = torch.rand(4, 60, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    targets[0, :6] = torch.tensor([0.0, 1.0, 0.5, 0.0, 1.0, 0.5])
    perfect = bernoulli_nll(torch.logit(targets, eps=1e-12), targets).sum(-1)
    torch.testing.assert_close(target_entropy(targets), perfect)
    binary = distributions.Bernoulli(targets).entropy().sum(-1)
    torch.testing.assert_close(target_entropy(targets), binary, rtol=1e-6, atol=1e-6)
    assert (bernoulli_nll(numbers(4, 60, seed=3, scale=2), targets).sum(-1) > perfect).all()
    assert float(target_entropy(torch.tensor([0.0, 1.0, 1.0]))) == 0


def terms_by_hand(logits, targets, posterior) -> dict[str, float]:
    """One frame, pixel and latent after the other."""
    frames = len(logits)
    p = torch.sigmoid(logits)
    nll = sum(
        -(x * torch.log(q) + (1 - x) * torch.log(1 - q)) for q, x in zip(p.flatten(), targets.flatten(), strict=True)
    )
    found = {"nll": float(nll) / frames}
    for name, mean, logvar in (
        ("kl_z", posterior.z_mean, posterior.z_logvar),
        ("kl_u", posterior.u_mean, posterior.u_logvar),
    ):
        pairs = zip(mean.flatten(), logvar.flatten(), strict=True)
        found[name] = float(sum((s.exp() + m * m - 1 - s) / 2 for m, s in pairs)) / frames
    return found


def test_terms_are_sums_over_pixels_and_latents_and_means_over_frames() -> None:
    logits, targets = numbers(3, 6, 10), torch.rand(3, 6, 10, generator=torch.Generator().manual_seed(1)).double()
    posterior = Posterior(*(numbers(3, 6, 4, seed=seed) for seed in range(4)))
    terms = elbo_terms(logits, targets, posterior)
    loss = negative_elbo(logits, targets, posterior)
    for run in range(3):
        expected = terms_by_hand(logits[run], targets[run], Posterior(*(part[run] for part in posterior)))
        assert {name: float(term[run]) for name, term in terms.items()} == pytest.approx(expected, rel=1e-9)
        assert float(loss[run]) == pytest.approx(sum(expected.values()), rel=1e-9)


def test_a_plain_vae_has_no_divergence_of_u() -> None:
    logits, targets = numbers(6, 10), torch.rand(6, 10, dtype=torch.float64)
    posterior = Posterior(numbers(6, 4), numbers(6, 4, seed=1), None, None)
    terms = elbo_terms(logits, targets, posterior)
    assert float(terms["kl_u"]) == 0
    assert float(negative_elbo(logits, targets, posterior)) == float(terms["nll"] + terms["kl_z"])


def test_gradients_are_those_of_finite_differences() -> None:
    targets = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(1)).double()
    leaves = [numbers(2, 3, 5), *(numbers(2, 3, 4, seed=seed) for seed in range(1, 5))]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    assert torch.autograd.gradcheck(lambda logits, *parts: negative_elbo(logits, targets, Posterior(*parts)), leaves)


def test_targets_of_another_shape_are_refused() -> None:
    posterior = Posterior(*(numbers(6, 4, seed=seed) for seed in range(4)))
    with pytest.raises(TopoRepError, match=r"targets: expected the shape of the logits, \(6, 10\), found \(1, 10\)"):
        negative_elbo(numbers(6, 10), numbers(1, 10), posterior)


def test_latents_without_noise_are_refused() -> None:
    posterior = Posterior(*(numbers(6, 4, seed=seed) for seed in range(4)))
    with pytest.raises(TopoRepError, match="noise_u: expected noise"):
        sample(posterior, noise_z=numbers(6, 4))
