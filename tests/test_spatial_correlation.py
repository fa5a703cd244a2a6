"""The spatial correlation loss against the authors' numbers, plain loops over pairs of units, and symmetries."""

from __future__ import annotations

import hashlib
import io
import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from toporep.errors import TopoRepError
from toporep.losses import spatial_correlation as module
from toporep.losses.spatial_correlation import CORRELATIONS, FORMS, sheet_distances, spatial_correlation
from toporep.sheet import distance_matrix

VARIANTS = list(itertools.product(CORRELATIONS, FORMS))


def published_activations(batch: int, units: int, *, rate: float, offset: int) -> Tensor:
    """sin(0.1 i + 0.37 j) + 0.5 cos(rate i (j + offset) + 0.01 j) for image i and unit j."""
    i = torch.arange(batch, dtype=torch.float64)[:, None]
    j = torch.arange(units, dtype=torch.float64)
    return torch.sin(0.1 * i + 0.37 * j) + 0.5 * torch.cos(rate * i * (j + offset) + 0.01 * j)


SMALL = published_activations(6, 16, rate=0.7, offset=1)
SMALL_DISTANCES = 2.5 * torch.from_numpy(distance_matrix((4, 4)))


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def double_distances(grid: tuple[int, int]) -> Tensor:
    return sheet_distances(grid, spacing=1.3).double()


def gradient_of(activations: Tensor, distances: Tensor, **settings: str) -> Tensor:
    leaf = activations.clone().requires_grad_()
    spatial_correlation(leaf, distances, **settings).backward()
    return leaf.grad


def loss_by_hand(activations: Tensor, distances: Tensor, *, correlation: str, form: str) -> float:
    values, batch = activations.numpy(), len(activations)
    total, found, targets = 0.0, [], []
    for k, other in itertools.permutations(range(values.shape[1]), 2):
        r = stats.pearsonr(values[:, k], values[:, other]).statistic
        c = r * (batch - 1) / batch if correlation == "published" else r
        target = 1 / (float(distances[k, other]) + 1)
        total += {"absolute": abs(c - target), "literal": c - target, "squared": (c - target) ** 2}.get(form, 0)
        found.append(c)
        targets.append(target)
    return (1 - stats.pearsonr(found, targets).statistic) / 2 if form == "relative" else total


# The authors' numbers.


def test_distances_are_the_authors_file_bit_by_bit() -> None:
    distances = sheet_distances()
    file = io.BytesIO()
    np.save(file, distances.numpy())
    content = file.getvalue()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    assert blob == "380ebf3d48e3e619445e9f6d6afc30be78a3a5c0"
    assert hashlib.sha256(content).hexdigest() == "48167c17627815fb5baf5b479f20047209753b3e711c414298bd8e1392269fbb"
    assert distances[0, 1] == distances[0, 64] == 0.15625
    assert distances[4032, 63].item() == pytest.approx(13.921164513, abs=1e-9)
    assert distances.double().sum().item() == pytest.approx(87467018.969, rel=1e-10)


@pytest.mark.parametrize("batch, loss, weighted", [(3, 7643916.5349, 4.5561292976), (5, 6472916.7186, 3.8581590167)])
def test_loss_of_4096_units_is_the_authors(batch: int, loss: float, weighted: float) -> None:
    activations = published_activations(batch, 4096, rate=0.05, offset=0)
    found = spatial_correlation(activations, sheet_distances().double()).item()
    assert found == pytest.approx(loss, rel=1e-8)
    assert found * 10 / 4096**2 == pytest.approx(weighted, rel=1e-8)
    single = spatial_correlation(activations.float(), sheet_distances())
    assert single.dtype == torch.float32 and single.item() == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize(
    "correlation, form, loss",
    [
        ("published", "absolute", 57.499742144),
        ("pearson", "absolute", 67.51697962),
        ("pearson", "literal", 20.374475677),
        ("pearson", "squared", 37.313854053),
        ("pearson", "relative", 0.5102559424),
        ("published", "relative", 0.5102559424),
    ],
)
def test_loss_of_16_units_is_that_of_the_published_formulas(correlation: str, form: str, loss: float) -> None:
    found = spatial_correlation(SMALL, SMALL_DISTANCES, correlation=correlation, form=form)
    assert found.item() == pytest.approx(loss, rel=2e-9)


def test_gradient_is_that_of_the_published_code() -> None:
    gradient = gradient_of(SMALL, SMALL_DISTANCES)
    first = [-4.2544974448, -8.6407426933, -6.9284446904, -10.984996966, -2.5815759906, -2.8255920311]
    last = [-4.3303944524, 3.4784952789, -1.5382595472, 3.8553870231, 1.5899772004, -3.0851591765]
    np.testing.assert_allclose(gradient[0, :6], first, rtol=1e-6)
    np.testing.assert_allclose(gradient[5, :6], last, rtol=1e-6)
    assert gradient[0, 11].item() == pytest.approx(-0.0019229673123, rel=1e-4)


# Plain loops, finite differences and autograd through the written-out formula.


@pytest.mark.parametrize("correlation, form", VARIANTS)
def test_loss_is_that_of_a_loop_over_pairs(correlation: str, form: str) -> None:
    activations, distances = noise(7, 12), double_distances((3, 4))
    found = spatial_correlation(activations, distances, correlation=correlation, form=form)
    expected = loss_by_hand(activations, distances, correlation=correlation, form=form)
    assert found.item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("correlation, form", VARIANTS)
def test_gradient_is_that_of_finite_differences(correlation: str, form: str) -> None:
    activations, distances = noise(5, 6, seed=3).requires_grad_(), double_distances((2, 3))
    settings = {"correlation": correlation, "form": form}
    assert torch.autograd.gradcheck(lambda a: spatial_correlation(a, distances, **settings), activations)


def published_formula(activations: Tensor, distances: Tensor) -> Tensor:
    """Standardized outer products of each image, averaged over the batch: the published code's steps."""
    z = (activations - activations.mean(0)) / activations.std(0)
    c = (z[:, :, None] * z[:, None, :]).mean(0)
    deviations = (c - 1 / (distances + 1)).abs()
    return deviations.sum() - deviations.diagonal().sum()


@pytest.mark.parametrize("block", [1, 12 * 5, 10**9])
def test_blocks_of_any_size_give_the_published_formula_and_its_gradient(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK_ON_CPU", block)
    activations, distances = noise(9, 12, seed=1), double_distances((4, 3))
    leaf = activations.clone().requires_grad_()
    expected = published_formula(leaf, distances)
    (3 * expected).backward()
    ours = activations.clone().requires_grad_()
    found = spatial_correlation(ours, distances)
    (3 * found).backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(ours.grad, leaf.grad)


@pytest.mark.parametrize("block", [1, 10**9])
def test_blocks_of_any_size_give_the_same_relative_loss(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    activations, distances = noise(9, 12, seed=1), double_distances((4, 3))
    whole = gradient_of(activations, distances, form="relative")
    monkeypatch.setattr(module, "_BLOCK_ON_CPU", block)
    torch.testing.assert_close(gradient_of(activations, distances, form="relative"), whole)


# What the loss does not see, and what it does.


@pytest.mark.parametrize("correlation, form", VARIANTS)
def test_scale_and_offset_of_units_order_of_images_and_reflections_change_nothing(correlation: str, form: str) -> None:
    activations, distances = noise(8, 12), double_distances((3, 4))
    settings = {"correlation": correlation, "form": form}
    loss = spatial_correlation(activations, distances, **settings)
    scaled = activations * (0.5 + torch.arange(12)) - 3 * torch.arange(12)
    reflected = activations.unflatten(1, (3, 4)).flip(2).flatten(1)
    for changed in (scaled, activations.flip(0), reflected):
        torch.testing.assert_close(spatial_correlation(changed, distances, **settings), loss)
    shuffled = activations[:, torch.randperm(12, generator=torch.Generator().manual_seed(2))]
    moved = spatial_correlation(shuffled, distances, **settings)
    assert torch.isclose(moved, loss) == (form == "literal")


def test_the_published_correlation_never_reaches_one() -> None:
    """Equal units at the distance 0 still lose 1/B each: B - 1 under products that are averaged over B."""
    activations = noise(4, 1).expand(4, 3).contiguous()
    nothing_apart = torch.zeros(3, 3, dtype=torch.float64)
    assert spatial_correlation(activations, nothing_apart).item() == pytest.approx(6 / 4)
    assert spatial_correlation(activations, nothing_apart, correlation="pearson").item() == pytest.approx(0, abs=1e-12)


def test_the_printed_equation_has_no_spatial_gradient() -> None:
    activations, far = noise(6, 12), double_distances((3, 4))
    literal = gradient_of(activations, far, form="literal")
    torch.testing.assert_close(gradient_of(activations, 100 * far, form="literal"), literal)
    assert not torch.allclose(gradient_of(activations, 100 * far), gradient_of(activations, far))


def test_descent_makes_neighbors_more_alike_than_distant_units() -> None:
    distances = sheet_distances((6, 6), spacing=1.0).double()
    activations = noise(64, 36).requires_grad_()
    optimizer = torch.optim.SGD([activations], lr=0.05)
    before = spatial_correlation(activations, distances).item()
    for _ in range(60):
        optimizer.zero_grad()
        spatial_correlation(activations, distances).backward()
        optimizer.step()
    assert spatial_correlation(activations, distances).item() < 0.5 * before
    r = torch.corrcoef(activations.detach().T)
    assert r[distances == 1].mean() > r[distances > 4].mean() + 0.2


# Constant units, bad input, memory.


@pytest.mark.parametrize("correlation, form", VARIANTS)
def test_a_constant_unit_is_uncorrelated_and_gets_no_gradient(correlation: str, form: str) -> None:
    activations, distances = noise(6, 12), double_distances((3, 4))
    # The mean of 0.1 over six images is not exactly 0.1: a unit that is constant but for rounding.
    activations[:, 4] = 0.1
    activations[:, 7] = 0
    settings = {"correlation": correlation, "form": form}
    loss, gradient = (call(activations, distances, **settings) for call in (spatial_correlation, gradient_of))
    assert torch.isfinite(loss) and torch.isfinite(gradient).all()
    assert (gradient[:, [4, 7]] == 0).all()
    others = [unit for unit in range(12) if unit not in (4, 7)]
    typical = gradient_of(noise(6, 12), distances, **settings).abs().max()
    assert gradient[:, others].abs().max() < 3 * typical
    if form == "absolute":
        rest = spatial_correlation(activations[:, others], distances[others][:, others], **settings)
        targets = 1 / (distances + 1)
        of_constant = 2 * (targets[[4, 7]].sum() - 2) - 2 * targets[4, 7]
        torch.testing.assert_close(loss, rest + of_constant)


def test_a_sheet_of_constant_units_has_no_gradient() -> None:
    for form in FORMS:
        gradient = gradient_of(torch.full((4, 6), 0.1), sheet_distances((2, 3)), form=form)
        assert (gradient == 0).all()


def test_a_broken_activation_is_not_hidden() -> None:
    activations = noise(4, 6)
    activations[1, 2] = float("nan")
    assert all(spatial_correlation(activations, double_distances((2, 3)), form=form).isnan() for form in FORMS)


@pytest.mark.parametrize(
    "activations, distances, settings, message",
    [
        (noise(1, 6), double_distances((2, 3)), {}, "activations: .*at least 2 images, found 1"),
        (noise(4, 6, 1), double_distances((2, 3)), {}, "activations: expected shape"),
        (noise(4, 6).long(), double_distances((2, 3)), {}, "activations: expected floating-point"),
        (noise(4, 6), double_distances((2, 2)), {}, r"distances: expected shape \(6, 6\), found \(4, 4\)"),
        (noise(4, 6), sheet_distances((2, 3)), {}, "distances: expected the activations' dtype"),
        (noise(4, 6), double_distances((2, 3)), {"form": "cubed"}, "form: expected one of absolute"),
        (noise(4, 6), double_distances((2, 3)), {"correlation": "r"}, "correlation: expected one of published"),
    ],
)
def test_bad_input_is_named(activations: Tensor, distances: Tensor, settings: dict, message: str) -> None:
    with pytest.raises(TopoRepError, match=message):
        spatial_correlation(activations, distances, **settings)


@pytest.mark.parametrize("spacing", [0, -1, float("nan")])
def test_spacing_is_a_positive_length(spacing: float) -> None:
    with pytest.raises(TopoRepError, match="spacing"):
        sheet_distances((2, 2), spacing=spacing)


def test_nothing_of_the_size_of_all_pairs_is_kept_for_the_gradient() -> None:
    kept: list[Tensor] = []
    activations, distances = noise(4, 400).requires_grad_(), double_distances((20, 20))
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: (kept.append(tensor), tensor)[1], lambda t: t):
        spatial_correlation(activations, distances)
    assert kept and max(tensor.numel() for tensor in kept) == activations.numel()
