"""The topographic loss against published numbers, the definitions, and the symmetries of the sheet."""

from __future__ import annotations

import math

import numpy as np
import pytest
import reference_contrastive as reference
import torch
from scipy.spatial.distance import cosine as scipy_cosine

from toporep.errors import TopoRepError
from toporep.losses import weight_similarity
from toporep.losses.topographic import INITIAL_ROW_NORM, norm_penalty, sheet_grid, topographic_loss
from toporep.sheet import moore_pairs

KINDS = [(form, metric) for form in ("edge_mean", "eq1_sum") for metric in ("euclidean", "cosine")]
kinds = pytest.mark.parametrize("form, metric", KINDS)
GRIDS = [(4, 4), (3, 5), (5, 2), (1, 6), (4, 1), (2, 2), (1, 2)]

# Made with the published code (edge mean) and an independent double-precision expression (both forms), for the
# weights sin(0.1 i + 0.37 j + 0.05 i j): shape, grid; edge mean, sum of eq. 1; norms of the two gradients and their
# cosine; the first three entries of the first and of the last row of the gradient of the edge mean.
PUBLISHED = [
    (
        (16, 5),
        (4, 4),
        (0.959773433606, 14.9849387528),
        (0.248860857377, 4.09578195944, 0.971940779411),
        (-0.0306604191381, -0.0375271582216, -0.0289397624961),
        (0.00571089188117, -0.0247328651416, -0.0442836466669),
    ),
    (
        (12, 4),
        (3, 4),
        (0.686904271176, 8.19340593627),
        (0.321426011203, 3.80336901333, 0.984573224605),
        (-0.054952560143, -0.066491334652, -0.049588606468),
        (0.0211643427359, -0.010419396486, -0.0594564584126),
    ),
    (
        (6, 3),
        (2, 3),
        (0.364252359625, 2.20165964544),
        (0.567321625874, 3.38533884488, 0.995411011711),
        (-0.141820568012, -0.178624998285, -0.148094402014),
        (0.191882093111, 0.183818395424, 0.0345893202143),
    ),
    (
        (7, 3),
        (1, 7),
        (0.155138090884, 1.09533775233),
        (0.254834624095, 2.32727165253, 0.949025817321),
        (-0.0775588897816, -0.105084858026, -0.103535351486),
        (0.124057382838, 0.080068678358, -0.0773081514925),
    ),
    (
        (256, 8),
        (16, 16),
        (2.2157771635, 566.413862878),
        (0.0835624349547, 21.2227020279, 0.990210617902),
        (-0.000930679468183, -0.000195889059458, 0.000846021275936),
        (0.000897501541826, 0.00117235815127, 0.00116434548267),
    ),
]


def formula(units: int, inputs: int, *, product: float = 0.05) -> torch.Tensor:
    i, j = torch.arange(units, dtype=torch.float64)[:, None], torch.arange(inputs, dtype=torch.float64)
    return torch.sin(0.1 * i + 0.37 * j + product * i * j).requires_grad_()


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def gradient(loss: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(loss.sum(), of)[0]


# Published numbers


@pytest.mark.parametrize("shape, grid, values, norms, first_row, last_row", PUBLISHED)
def test_published_values_and_gradients(shape, grid, values, norms, first_row, last_row) -> None:
    weight = formula(*shape)
    assert sheet_grid(shape[0], allow_line=True) == grid
    losses = [topographic_loss(weight, grid, form=form) for form in ("edge_mean", "eq1_sum")]
    gradients = [gradient(loss, weight) for loss in losses]
    assert [loss.item() for loss in losses] == pytest.approx(values, rel=1e-11)
    assert [grad.norm().item() for grad in gradients] == pytest.approx(norms[:2], rel=1e-11)
    cosine = torch.cosine_similarity(*(grad.flatten() for grad in gradients), dim=0)
    assert cosine.item() == pytest.approx(norms[2], rel=1e-11)
    assert gradients[0][0, :3].tolist() == pytest.approx(first_row, rel=1e-10)
    assert gradients[0][-1, :3].tolist() == pytest.approx(last_row, rel=1e-10)
    assert topographic_loss(weight.float(), grid).item() == pytest.approx(values[0], rel=1e-6)


def test_published_values_at_the_size_of_the_embedding_layer() -> None:
    weight = formula(256, 512, product=0.0)
    loss = topographic_loss(weight, (16, 16))
    assert loss.item() == pytest.approx(17.4293982277, rel=1e-11)
    assert gradient(loss, weight).norm().item() == pytest.approx(0.0708554583217, rel=1e-11)
    assert topographic_loss(weight, (16, 16), form="eq1_sum").item() == pytest.approx(4439.05899398, rel=1e-11)


def test_the_sheet_has_930_pairs_and_the_published_shapes() -> None:
    assert len(moore_pairs((16, 16))) == len(reference.edges((16, 16))[0]) == 930
    shapes = {1: (1, 1), 2: (1, 2), 6: (2, 3), 7: (1, 7), 12: (3, 4), 16: (4, 4), 121: (11, 11), 128: (8, 16)}
    shapes |= {200: (10, 20), 256: (16, 16), 512: (16, 32)}
    assert {units: sheet_grid(units, allow_line=True) for units in shapes} == shapes


def test_an_untrained_layer_starts_at_two_closed_forms() -> None:
    """Rows uniform in ±1/sqrt(K) are 1/sqrt(3) long and sqrt(2/3) apart; their cosine is 0 on average."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weight = torch.stack([torch.nn.Linear(512, 256).weight.detach() for _ in range(5)])
    assert topographic_loss(weight, (16, 16)).mean().item() == pytest.approx(math.sqrt(2 / 3), rel=0.005)
    assert topographic_loss(weight, (16, 16), form="eq1_sum").mean().item() == pytest.approx(
        256 * math.sqrt(2 / 3), rel=0.01
    )
    assert topographic_loss(weight, (16, 16), metric="cosine").mean().item() == pytest.approx(1, abs=0.005)
    assert weight.norm(dim=-1).mean().item() == pytest.approx(INITIAL_ROW_NORM, rel=0.005)


# Definitions and independent code


@kinds
@pytest.mark.parametrize("grid", GRIDS)
def test_value_and_gradient_agree_with_the_double_loop(form: str, metric: str, grid: tuple[int, int]) -> None:
    weight = random(math.prod(grid), 6)
    value = topographic_loss(weight, grid, form=form, metric=metric)
    expected = reference.topographic_loss(weight, grid, form=form, metric=metric)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(gradient(value, weight), gradient(expected, weight), rtol=1e-10, atol=1e-12)


def test_the_gather_over_edges_agrees() -> None:
    weight = random(256, 12)
    value, expected = (
        topographic_loss(weight, (16, 16)),
        reference.gathered_edge_mean(weight, *reference.edges((16, 16))),
    )
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient(value, weight), gradient(expected, weight), rtol=1e-10, atol=1e-14)


def test_the_edge_mean_is_the_weight_similarity_of_truong_and_hasson() -> None:
    weight = random(3, 20, 6)
    torch.testing.assert_close(topographic_loss(weight, (4, 5)), weight_similarity(weight, (4, 5)), rtol=1e-13, atol=0)


def test_the_cosine_form_agrees_with_scipy() -> None:
    weight = random(12, 5).detach()
    distances = [scipy_cosine(weight[a], weight[b]) for a, b in moore_pairs((3, 4))]
    assert topographic_loss(weight, (3, 4), metric="cosine").item() == pytest.approx(np.mean(distances), rel=1e-12)


@kinds
def test_gradients_agree_with_finite_differences(form: str, metric: str) -> None:
    def loss(weight: torch.Tensor) -> torch.Tensor:
        return topographic_loss(weight, (2, 3), form=form, metric=metric)

    assert torch.autograd.gradcheck(loss, (random(2, 6, 4),), atol=1e-6)


# Symmetries


@kinds
def test_a_stack_gives_each_model_its_own_loss_and_gradient(form: str, metric: str) -> None:
    stack = random(2, 3, 12, 5)
    options = {"grid": (3, 4), "form": form, "metric": metric}
    losses = topographic_loss(stack, **options)
    scale = random(2, 3, seed=1).detach()
    together = gradient(losses * scale, stack)
    assert losses.shape == (2, 3)
    for index in np.ndindex(2, 3):
        alone = stack.detach()[index].requires_grad_()
        loss = topographic_loss(alone, **options)
        torch.testing.assert_close(losses[index], loss, rtol=1e-13, atol=0)
        torch.testing.assert_close(together[index], scale[index] * gradient(loss, alone), rtol=1e-12, atol=1e-15)


@kinds
@pytest.mark.parametrize("move", [np.flipud, np.fliplr, np.transpose, np.rot90])
def test_a_moved_sheet_has_the_same_loss(form: str, metric: str, move) -> None:
    order = move(np.arange(15).reshape(3, 5))
    weight = random(15, 6).detach()
    moved = weight[torch.from_numpy(order.ravel().copy())]
    torch.testing.assert_close(
        topographic_loss(moved, order.shape, form=form, metric=metric),
        topographic_loss(weight, (3, 5), form=form, metric=metric),
    )


def test_shrinking_the_weights_lowers_the_euclidean_form_and_not_the_cosine() -> None:
    weight = random(20, 6)
    for factor in (1e-6, 0.1, 30.0):
        scaled = (factor * weight).detach().requires_grad_()
        torch.testing.assert_close(topographic_loss(scaled, (4, 5)), factor * topographic_loss(weight, (4, 5)))
        cosine = topographic_loss(scaled, (4, 5), metric="cosine")
        torch.testing.assert_close(cosine, topographic_loss(weight, (4, 5), metric="cosine"))
        # A step along the gradient turns weights and does not shorten them.
        radial = (gradient(cosine, scaled) * scaled).sum(-1)
        torch.testing.assert_close(radial, torch.zeros_like(radial), rtol=0, atol=1e-12)


def test_nearly_equal_directions_keep_their_digits_in_single_precision() -> None:
    """Computed as 1 - cosine, distances near 1e-8 would be rounding error: single precision ends at 6e-8."""
    weight = (random(1, 64) + 1e-4 * random(20, 64, seed=1)).detach()
    exact = topographic_loss(weight, (4, 5), metric="cosine").item()
    assert 0 < exact < 3e-8
    assert topographic_loss(weight.float(), (4, 5), metric="cosine").item() == pytest.approx(exact, rel=2e-3)


@kinds
@pytest.mark.parametrize("value", [1.0, 0.0])
def test_equal_neighbors_have_no_loss_and_no_gradient(form: str, metric: str, value: float) -> None:
    weight = torch.full((16, 3), value, requires_grad=True)
    loss = topographic_loss(weight, (4, 4), form=form, metric=metric)
    assert loss.item() == 0
    assert gradient(loss, weight).abs().max().item() == 0


@kinds
def test_a_dead_unit_gets_no_endless_gradient(form: str, metric: str) -> None:
    weight = random(12, 4).detach()
    weight[5] = 0
    weight.requires_grad_()
    loss = topographic_loss(weight, (3, 4), form=form, metric=metric)
    grad = gradient(loss, weight)
    assert math.isfinite(loss.item()) and grad.isfinite().all()
    if metric == "cosine":
        assert grad[5].abs().max().item() == 0


def test_the_gradient_can_be_taken_twice_and_scaled() -> None:
    """Gradient matching and a step may both differentiate the same loss."""
    weight = random(12, 4)
    loss = topographic_loss(weight, (3, 4))
    (first,) = torch.autograd.grad(loss, weight, retain_graph=True)
    (second,) = torch.autograd.grad(3 * loss, weight)
    torch.testing.assert_close(second, 3 * first, rtol=1e-14, atol=0)


def test_no_gradient_is_made_where_none_is_asked_for() -> None:
    assert not topographic_loss(random(12, 4).detach(), (3, 4)).requires_grad
    with torch.no_grad():
        assert not topographic_loss(random(12, 4), (3, 4)).requires_grad


# The norm penalty


def test_the_norm_penalty_is_zero_above_its_floor_and_one_for_no_weights() -> None:
    unit = torch.nn.functional.normalize(random(20, 6).detach(), dim=-1)
    assert norm_penalty(unit, floor=0.9).item() == 0
    assert norm_penalty(0 * unit).item() == 1
    assert norm_penalty(0.25 * unit, floor=0.5).item() == pytest.approx(0.25)
    mixed = torch.cat([unit[:5], 0.25 * unit[5:]])
    assert norm_penalty(mixed, floor=0.5).item() == pytest.approx(0.25 * 15 / 20)


def test_the_norm_penalty_lengthens_short_weights_only() -> None:
    weight = torch.nn.functional.normalize(random(4, 6).detach(), dim=-1)
    weight[:2] *= 0.3
    weight.requires_grad_()
    grad = gradient(norm_penalty(weight, floor=0.5), weight)
    assert torch.equal(grad[2:], torch.zeros(2, 6, dtype=torch.float64))
    torch.testing.assert_close(
        torch.cosine_similarity(grad[:2], -weight[:2], dim=-1), torch.ones(2, dtype=torch.float64)
    )
    assert torch.autograd.gradcheck(lambda w: norm_penalty(w, floor=0.5), (weight,))


def test_the_norm_penalty_at_its_singular_points_has_the_gradient_zero() -> None:
    weight = torch.zeros(4, 3, requires_grad=True)
    assert torch.equal(gradient(norm_penalty(weight), weight), torch.zeros(4, 3))
    assert norm_penalty(random(2, 3, 4, 5)).shape == (2, 3)


# Mistakes


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: topographic_loss(torch.ones(255, 4), (16, 16)),
            r"weight: expected shape \(..., 256, inputs\).*\(255, 4\)",
        ),
        (lambda: topographic_loss(torch.ones(256), (16, 16)), r"found \(256,\)"),
        (lambda: topographic_loss(torch.ones(1, 4), (1, 1)), "grid: expected at least two units"),
        (lambda: topographic_loss(torch.ones(4, 4), (2, 0)), "grid: expected .* two positive integers"),
        (
            lambda: topographic_loss(torch.ones(4, 4), (2, 2), form="sum"),
            "form: expected 'edge_mean' or 'eq1_sum'.*'sum'",
        ),
        (
            lambda: topographic_loss(torch.ones(4, 4), (2, 2), metric="l1"),
            "metric: expected 'euclidean' or 'cosine'.*'l1'",
        ),
        (lambda: topographic_loss(torch.ones(4, 4).long(), (2, 2)), "floating-point numbers, found torch.int64"),
        (lambda: norm_penalty(torch.ones(4)), r"weight: expected .*\(..., units, inputs\)"),
        (lambda: norm_penalty(torch.ones(4, 4), floor=0), "floor: expected a positive length, found 0"),
        (lambda: sheet_grid(257), "embedding size: expected a product of two numbers.*found 257"),
        (lambda: sheet_grid(0), "embedding size: expected a positive integer, found 0"),
        (lambda: sheet_grid(2.5), "embedding size: expected a positive integer, found 2.5"),
    ],
)
def test_a_mistake_is_told_by_name(call, message: str) -> None:
    with pytest.raises(TopoRepError, match=message):
        call()
