"""Spatial losses against published numbers, the definitions, NumPy, and the symmetries of the sheet."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import reference_losses as reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toporep.errors import TopoRepError
from toporep.losses import activation_similarity, global_similarity, weight_similarity
from toporep.sheet import moore_pairs

GRID = (11, 11)
GRIDS = [(11, 11), (3, 5), (5, 2), (1, 6), (4, 1), (2, 2), (1, 2)]
METRICS = ["euclidean", "cosine", "correlation"]
LAYOUTS = ["units", "reshaped"]

# Closed formulas, so that anyone can make the same inputs; u counts units, k counts inputs or stimuli, both from 0.
FORMULAS = {
    "Wa": lambda u, k: torch.sin(0.1 * u + 0.37 * k),
    "Wb": lambda u, k: torch.sin(0.1 * u + 0.37 * k) + 0.5 * torch.cos(0.013 * (u + 1) * (k + 1)),
    "Wc": lambda u, k: 0.05 * torch.sin(1.7 * u + 0.9 * k + 0.31 * u * k),
}

# Made with the published code (Euclidean, correlation; its cosine branch works in single precision, so there an
# independent double-precision expression): formula, inputs, metric, loss, then of its gradient: Frobenius norm, sum,
# sum of grad[u, k] cos(0.05 u), and the entries [0, 0], [60, 10], [120, 63].
PUBLISHED_WS = [
    (
        "Wa",
        64,
        "euclidean",
        4.50233946698,
        0.0802353450848,
        0.0,
        -0.00132247974978,
        -0.00113735211036,
        -0.000339769462541,
        -0.00113296721838,
    ),
    (
        "Wa",
        64,
        "cosine",
        0.404097465266,
        0.00495803068932,
        0.00969091605843,
        0.00878006417506,
        -0.000141354259069,
        -4.40263689003e-06,
        -0.000104927272258,
    ),
    (
        "Wa",
        64,
        "correlation",
        0.403984244165,
        0.00496326966019,
        0.0,
        0.0,
        -0.000146858968552,
        -4.64108895783e-06,
        -0.000104465873961,
    ),
    (
        "Wa",
        256,
        "euclidean",
        9.0168204875,
        0.0801589594694,
        0.0,
        -0.000657318592308,
        -0.000562512745064,
        -0.00018579051217,
        -0.000575194265895,
    ),
    (
        "Wa",
        256,
        "cosine",
        0.405447537012,
        0.00249709267023,
        -0.000203210709329,
        -0.00022109751984,
        -3.5802336843e-05,
        8.40000733572e-08,
        -2.61911681092e-05,
    ),
    (
        "Wa",
        256,
        "correlation",
        0.405448718998,
        0.00249714107269,
        0.0,
        0.0,
        -3.56254487943e-05,
        8.40020742591e-08,
        -2.63455356666e-05,
    ),
    (
        "Wb",
        64,
        "euclidean",
        5.70594897325,
        0.099012687452,
        0.0,
        0.00726131081686,
        -0.000683296157438,
        -0.00106612893962,
        -1.99030707398e-05,
    ),
    (
        "Wb",
        64,
        "cosine",
        0.472822443251,
        0.00839682637827,
        0.0106207530392,
        0.00430047360866,
        -0.000138476442239,
        -4.22408252218e-05,
        3.40308445484e-06,
    ),
    (
        "Wb",
        64,
        "correlation",
        0.471407974182,
        0.00840015868182,
        0.0,
        0.0,
        -0.000202588214211,
        -4.57058635439e-05,
        3.46812586152e-06,
    ),
    (
        "Wb",
        256,
        "euclidean",
        12.7438172688,
        0.11470060748,
        0.0,
        -0.000444408938943,
        -0.000317920823076,
        -0.000530722897882,
        -2.82464568921e-05,
    ),
    (
        "Wb",
        256,
        "cosine",
        0.525926017536,
        0.00468861558732,
        0.00149478545808,
        -0.000345692993972,
        -3.92418633601e-05,
        -5.88888993259e-06,
        1.3673771752e-06,
    ),
    (
        "Wb",
        256,
        "correlation",
        0.525877066178,
        0.00468830913148,
        0.0,
        0.0,
        -3.80921100027e-05,
        -6.14326079273e-06,
        1.15748682898e-06,
    ),
    (
        "Wc",
        64,
        "euclidean",
        0.400736733983,
        0.140815220826,
        0.0,
        0.0158002815786,
        -0.000543758954376,
        0.0028783970422,
        -0.000273629537497,
    ),
    (
        "Wc",
        64,
        "cosine",
        1.00181928054,
        0.249048243346,
        0.745512211555,
        -0.629149175443,
        -0.00275814187216,
        0.00250389845723,
        -0.00173965860932,
    ),
]


def formula(name: str, inputs: int) -> torch.Tensor:
    units = torch.arange(121, dtype=torch.float64)[:, None]
    return FORMULAS[name](units, torch.arange(inputs, dtype=torch.float64)).requires_grad_()


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def gradient(loss: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(loss.sum(), of)[0]


def all_losses(units: int, grid: tuple[int, int]) -> dict[str, tuple]:
    """Name -> (loss of one tensor, shape of the tensor, reference)."""
    losses = {}
    for metric in METRICS:
        options = {"metric": metric}
        losses[f"weight {metric}"] = (weight_similarity, reference.weight_similarity, (units, 7), options)
    for layout in LAYOUTS:
        options = {"layout": layout}
        losses[f"activation {layout}"] = (activation_similarity, reference.activation_similarity, (9, units), options)
    for spacing in (1.0, 0.1):
        options = {"spacing": spacing}
        losses[f"global {spacing}"] = (global_similarity, reference.global_similarity, (9, units), options)
    return {
        name: (partial(loss, grid=grid, **options), shape, partial(slow, grid=grid, **options))
        for name, (loss, slow, shape, options) in losses.items()
    }


LOSSES = list(all_losses(1, (1, 1)))


# Published numbers


@pytest.mark.parametrize("name, inputs, metric, loss, norm, total, weighted, first, middle, last", PUBLISHED_WS)
def test_ws_has_the_published_values(
    name: str,
    inputs: int,
    metric: str,
    loss: float,
    norm: float,
    total: float,
    weighted: float,
    first: float,
    middle: float,
    last: float,
) -> None:
    weight = formula(name, inputs)
    value = weight_similarity(weight, GRID, metric=metric)
    grad = gradient(value, weight)
    assert value.item() == pytest.approx(loss, rel=5e-12)
    assert grad.norm().item() == pytest.approx(norm, rel=1e-11)
    assert grad.sum().item() == pytest.approx(total, rel=1e-11, abs=1e-12)
    cosines = torch.cos(0.05 * torch.arange(121, dtype=torch.float64))[:, None]
    assert (grad * cosines).sum().item() == pytest.approx(weighted, rel=1e-11, abs=1e-12)
    assert [grad[0, 0].item(), grad[60, 10].item(), grad[120, 63].item()] == pytest.approx(
        [first, middle, last], rel=1e-11, abs=1e-14
    )


@pytest.mark.parametrize("name, inputs, metric, loss", [case[:4] for case in PUBLISHED_WS])
def test_ws_in_single_precision_is_close_to_double(name: str, inputs: int, metric: str, loss: float) -> None:
    value = weight_similarity(formula(name, inputs).float(), GRID, metric=metric)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(loss, rel=2e-6)


def test_as_has_the_values_of_the_published_function_on_transposed_activations() -> None:
    """The published function adds 1e-8 to the product of the norms, hence the tolerance."""
    weight = formula("Wb", 64)
    activations = weight.T
    loss = activation_similarity(activations, GRID)
    grad = gradient(loss, weight).T
    assert loss.item() == pytest.approx(0.471407974182, rel=1e-9)
    assert grad.norm().item() == pytest.approx(0.00840015868182, rel=1e-8)
    assert grad[0, 0].item() == pytest.approx(-0.000202588214211, rel=1e-8)
    assert grad[5, 60].item() == pytest.approx(-3.61575696749e-05, rel=1e-8)
    assert activation_similarity(activations.relu(), GRID).item() == pytest.approx(0.570805512395, rel=1e-8)


def test_global_has_the_values_of_the_definition() -> None:
    activations = formula("Wb", 64).T
    assert global_similarity(activations, GRID).item() == pytest.approx(0.367623833026, rel=5e-12)
    assert global_similarity(activations, GRID, spacing=0.1).item() == pytest.approx(0.773659827133, rel=5e-12)


@pytest.mark.parametrize("inputs", [64, 256, 1000])
def test_an_untrained_linear_layer_starts_near_the_root_of_two_thirds(inputs: int) -> None:
    """Two vectors uniform in +-1/sqrt(K) are sqrt(K * 2/(3K)) apart, whatever the fan-in K."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = torch.stack([torch.nn.Linear(inputs, 121).weight.detach() for _ in range(20)])
    assert weight_similarity(layers, GRID).mean().item() == pytest.approx(math.sqrt(2 / 3), rel=0.005)


# Definitions and independent libraries


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("grid", GRIDS)
def test_value_and_gradient_agree_with_the_double_loop(name: str, grid: tuple[int, int]) -> None:
    loss, shape, slow = all_losses(grid[0] * grid[1], grid)[name]
    values = random(*shape)
    value, expected = loss(values), slow(values)
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(gradient(value, values), gradient(expected, values), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("grid", [(2, 3), (1, 4)])
def test_gradients_agree_with_finite_differences(name: str, grid: tuple[int, int]) -> None:
    loss, shape, _ = all_losses(grid[0] * grid[1], grid)[name]
    assert torch.autograd.gradcheck(loss, (random(2, *shape),), atol=1e-6)


@given(st.tuples(st.integers(1, 6), st.integers(2, 6)), st.integers(2, 20), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_as_agrees_with_numpy(grid: tuple[int, int], batch: int, seed: int) -> None:
    units = grid[0] * grid[1]
    first, second = moore_pairs(grid).T
    activations = random(batch, units, seed=seed).detach()
    for layout, vectors in (("units", activations.numpy().T), ("reshaped", activations.numpy().reshape(units, batch))):
        expected = 1 - np.corrcoef(vectors)[first, second].mean()
        assert activation_similarity(activations, grid, layout=layout).item() == pytest.approx(expected, abs=1e-12)


def test_as_agrees_with_torchmetrics() -> None:
    pearson_corrcoef = pytest.importorskip("torchmetrics.functional").pearson_corrcoef
    first, second = torch.from_numpy(moore_pairs((4, 5)).T)
    activations = random(30, 20).detach()
    expected = 1 - pearson_corrcoef(activations[:, first], activations[:, second]).mean()
    torch.testing.assert_close(activation_similarity(activations, (4, 5)), expected)


def test_global_agrees_with_scikit_learn() -> None:
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    activations = random(16, 12).detach()
    positions = [(row, col) for row in range(3) for col in range(4)]
    cosines = pairwise.cosine_similarity(activations.numpy().T)
    squares = (cosines - 1 / (pairwise.euclidean_distances(positions) + 1)) ** 2
    expected = squares[~np.eye(12, dtype=bool)].mean()
    assert global_similarity(activations, (3, 4)).item() == pytest.approx(expected, rel=1e-12)


# Symmetries and invariances


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "activation reshaped"])
@pytest.mark.parametrize("move", ["flip rows", "flip columns", "transpose", "rotate"])
def test_a_moved_sheet_has_the_same_loss(name: str, move: str) -> None:
    moves = {
        "flip rows": np.flipud,
        "flip columns": np.fliplr,
        "transpose": np.transpose,
        "rotate": np.rot90,
    }
    order = moves[move](np.arange(15).reshape(3, 5))
    loss, shape, _ = all_losses(15, (3, 5))[name]
    moved_loss = all_losses(15, order.shape)[name][0]
    values = random(*shape).detach()
    moved = values.index_select(shape.index(15), torch.from_numpy(order.ravel().copy()))
    torch.testing.assert_close(moved_loss(moved), loss(values))


def test_a_shuffled_sheet_has_another_loss() -> None:
    weight = formula("Wa", 64).detach()
    shuffled = weight[torch.randperm(121, generator=torch.Generator().manual_seed(0))]
    assert weight_similarity(shuffled, GRID) > 1.2 * weight_similarity(weight, GRID)


def test_ws_ignores_a_common_shift_and_scales_with_the_weights() -> None:
    weight = random(15, 6).detach()
    loss = weight_similarity(weight, (3, 5))
    torch.testing.assert_close(weight_similarity(weight + random(6, seed=1).detach(), (3, 5)), loss)
    torch.testing.assert_close(weight_similarity(-3 * weight, (3, 5)), 3 * loss)


def test_as_ignores_the_gain_the_offset_and_the_order_of_stimuli() -> None:
    activations = random(20, 15).detach()
    loss = activation_similarity(activations, (3, 5))
    gain, offset = random(15, seed=1).detach().abs() + 0.1, random(15, seed=2).detach()
    torch.testing.assert_close(activation_similarity(activations * gain + offset, (3, 5)), loss)
    torch.testing.assert_close(activation_similarity(activations.flip(0), (3, 5)), loss)


def test_layouts_differ_unless_the_batch_is_shaped_to_match() -> None:
    """Reading a transposed matrix of as many stimuli as units undoes the missing transpose."""
    activations = formula("Wb", 15)[:15].detach().T
    units = activation_similarity(activations, (3, 5))
    assert (units - activation_similarity(activations, (3, 5), layout="reshaped")).abs() > 0.1
    torch.testing.assert_close(units, activation_similarity(activations.T, (3, 5), layout="reshaped"))


def test_opposite_neighbors_have_the_greatest_as() -> None:
    stripe = torch.tensor([1.0, -1.0, 1.0, -1.0])
    activations = random(10, 1).detach().float() * stripe
    assert activation_similarity(activations, (1, 4)).item() == pytest.approx(2)


def test_global_is_zero_for_the_ideal_map() -> None:
    """Two units one apart are to have the cosine 1/2."""
    activations = torch.tensor([[1.0, 0.5], [0.0, math.sqrt(0.75)]], dtype=torch.float64)
    assert global_similarity(activations, (1, 2)).item() == pytest.approx(0, abs=1e-30)


# Equal neighbors, silent and constant units


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_neighbors_have_no_loss_and_no_gradient(metric: str, dtype: torch.dtype) -> None:
    weight = random(5).detach().to(dtype).expand(12, 5).clone().requires_grad_()
    loss = weight_similarity(weight, (3, 4), metric=metric)
    tolerance = 0 if metric == "euclidean" else 10 * torch.finfo(dtype).eps + 1e-8
    assert loss.item() == pytest.approx(0, abs=tolerance)
    torch.testing.assert_close(gradient(loss, weight), torch.zeros_like(weight), rtol=0, atol=tolerance)


def test_one_equal_pair_leaves_the_gradient_of_the_others_exact() -> None:
    weight = torch.tensor([[0.0], [0.0], [2.0]], requires_grad=True)
    loss = weight_similarity(weight, (1, 3))
    assert loss.item() == 1
    assert gradient(loss, weight).flatten().tolist() == [0, -0.5, 0.5]


def test_nearly_equal_neighbors_keep_their_distance_in_single_precision() -> None:
    """Where a Gram matrix would lose every digit."""
    weight = 1 + torch.arange(4, dtype=torch.float32)[:, None].repeat(1, 9) * 2**-20
    weight.requires_grad_()
    loss = weight_similarity(weight, (1, 4))
    assert loss.item() == pytest.approx(3 * 2**-20, rel=1e-6)
    torch.testing.assert_close(gradient(loss, weight)[[0, -1]], torch.tensor([[-1 / 9], [1 / 9]]).expand(2, 9))


@pytest.mark.parametrize("metric, loss", [("euclidean", 8.10226158915), ("correlation", 1.0522294949)])
def test_a_dead_unit_has_the_published_loss_but_a_finite_gradient(metric: str, loss: float) -> None:
    """The published correlation distance is right here, but its gradient is NaN for all inputs of the unit."""
    weight = dead_unit_activations().T
    value = weight_similarity(weight, GRID, metric=metric)
    grad = gradient(value, weight)
    assert value.item() == pytest.approx(loss, rel=1e-11)
    assert grad.isfinite().all()
    assert (grad[60] == 0).all() == (metric == "correlation")


def test_a_unit_without_weights_has_no_direction() -> None:
    weight = dead_unit_activations().T
    loss = weight_similarity(weight, GRID, metric="cosine")
    grad = gradient(loss, weight)
    assert loss.item() == pytest.approx(1.05350279808, rel=1e-6)  # the published code casts to single precision
    assert (grad[60] == 0).all()
    assert grad.isfinite().all()


def dead_unit_activations() -> torch.Tensor:
    stimulus = torch.arange(64, dtype=torch.float64)[:, None]
    unit = torch.arange(121, dtype=torch.float64)
    activations = torch.sin(0.3 * unit + 0.7 * stimulus + 0.05 * unit * stimulus)
    activations[:, 60] = 0
    return activations.requires_grad_()


@given(st.floats(-1e6, 1e6, width=32), st.sampled_from([torch.float32, torch.float64]), st.integers(2, 300))
@settings(max_examples=60, deadline=None)
def test_a_constant_unit_is_uncorrelated_whatever_its_value(value: float, dtype: torch.dtype, batch: int) -> None:
    activations = random(batch, 3).detach().to(dtype)
    activations[:, 1] = value
    activations.requires_grad_()
    loss = activation_similarity(activations, (1, 3))
    assert loss.item() == 1
    assert (gradient(loss, activations) == 0).all()


def test_a_silent_sheet_is_uncorrelated_and_far_from_its_targets() -> None:
    positions = [complex(row, col) for row in range(3) for col in range(4)]
    targets = [1 / (abs(a - b) + 1) for a in positions for b in positions if a != b]
    expected = {activation_similarity: 1, global_similarity: np.mean(np.square(targets))}
    for loss, expected_value in expected.items():
        activations = torch.zeros(8, 12, requires_grad=True)
        value = loss(activations, (3, 4))
        assert value.item() == pytest.approx(expected_value, rel=1e-6)
        assert (gradient(value, activations) == 0).all()


def test_a_silent_unit_gets_no_gradient_from_the_global_loss() -> None:
    activations = dead_unit_activations()
    grad = gradient(global_similarity(activations, GRID), activations)
    assert grad.isfinite().all()
    assert (grad[:, 60] == 0).all()
    assert (grad[:, 59] != 0).any()


@pytest.mark.parametrize("offset", [1e2, 1e4])
def test_as_withstands_large_means_in_single_precision(offset: float) -> None:
    activations = random(64, 121).detach()
    shifted = (activations + offset).float()
    expected = activation_similarity(shifted.double(), GRID)
    assert activation_similarity(shifted, GRID).item() == pytest.approx(expected.item(), abs=2e-6)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_as_withstands_extreme_scales_in_single_precision(scale: float) -> None:
    activations = formula("Wb", 64).detach().T.float() * scale
    assert activation_similarity(activations, GRID).item() == pytest.approx(0.471407974182, abs=1e-5)


# Stacks of models, modes


@pytest.mark.parametrize("name", LOSSES)
def test_a_stack_of_models_equals_a_loop_over_them(name: str) -> None:
    loss, shape, _ = all_losses(12, (3, 4))[name]
    stack = random(2, 3, *shape)
    together = loss(stack)
    assert together.shape == (2, 3)
    assert loss(stack[0, 0]).shape == ()
    apart = torch.stack([loss(model) for model in stack.flatten(0, 1)]).reshape(2, 3)
    torch.testing.assert_close(together, apart)
    weights = torch.arange(1.0, 7.0).reshape(2, 3)
    torch.testing.assert_close(gradient(together * weights, stack), gradient(apart * weights, stack))


@pytest.mark.parametrize("name", LOSSES)
def test_vmap_over_models_equals_the_stack(name: str) -> None:
    loss, shape, _ = all_losses(12, (3, 4))[name]
    stack = random(3, *shape)
    torch.testing.assert_close(torch.func.vmap(loss)(stack), loss(stack))
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(loss))(stack), gradient(loss(stack), stack))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_stays_and_no_mode_changes_the_value(name: str, dtype: torch.dtype) -> None:
    loss, shape, _ = all_losses(14, (2, 7))[name]
    values = random(*shape).detach().to(dtype)
    with torch.inference_mode():
        inferred = loss(values).item()
    with torch.no_grad():
        silent = loss(values)
    trained = loss(values.requires_grad_())
    assert trained.dtype == silent.dtype == dtype
    assert not silent.requires_grad
    assert inferred == silent.item() == trained.item()
    assert gradient(trained, values).dtype == dtype


@pytest.mark.parametrize("name", LOSSES)
def test_strides_do_not_matter_and_the_input_is_left_alone(name: str) -> None:
    loss, shape, _ = all_losses(12, (3, 4))[name]
    values = random(*shape).detach()
    strided = values.T.contiguous().T.requires_grad_()
    torch.testing.assert_close(gradient(loss(strided), strided), gradient(loss(values.requires_grad_()), values))
    torch.testing.assert_close(strided, values, rtol=0, atol=0)


def test_descending_the_loss_makes_a_smoother_sheet() -> None:
    weight = random(121, 8).detach().requires_grad_()
    before = weight_similarity(weight, GRID).item()
    for _ in range(50):
        weight = (weight - 5 * gradient(weight_similarity(weight, GRID), weight)).detach().requires_grad_()
    assert weight_similarity(weight, GRID).item() < 0.8 * before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", LOSSES)
def test_a_gpu_gives_the_value_and_gradient_of_the_cpu(name: str) -> None:
    loss, shape, _ = all_losses(121, GRID)[name]
    values = random(5, *shape)
    on_gpu = values.detach().cuda().requires_grad_()
    torch.testing.assert_close(loss(on_gpu).cpu(), loss(values))
    torch.testing.assert_close(gradient(loss(on_gpu), on_gpu).cpu(), gradient(loss(values), values))


# Mistakes


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: weight_similarity(torch.ones(120, 4), GRID), r"weight: expected shape \(..., 121, inputs\)"),
        (lambda: weight_similarity(torch.ones(121), GRID), r"found \(121,\)"),
        (lambda: weight_similarity(torch.ones(1, 4), (1, 1)), "grid: expected at least two units"),
        (lambda: weight_similarity(torch.ones(4, 4), (2, 0)), "grid: expected .* two positive integers"),
        (lambda: weight_similarity(torch.ones(4, 4), (2, 2), metric="l1"), "metric: expected 'euclidean'.*found 'l1'"),
        (lambda: weight_similarity(torch.ones(4, 1), (2, 2), metric="correlation"), "at least 2 values"),
        (lambda: weight_similarity(torch.ones(4, 4).long(), (2, 2)), "floating-point numbers, found torch.int64"),
        (lambda: activation_similarity(torch.ones(121, 64), GRID), r"activations: expected shape \(..., batch, 121\)"),
        (lambda: activation_similarity(torch.ones(1, 121), GRID), r"at least 2 values \(batch\), found 1"),
        (lambda: activation_similarity(torch.ones(4, 4), (2, 2), layout="rows"), "layout: expected 'units'"),
        (lambda: global_similarity(torch.ones(8, 9), (2, 4)), r"found \(8, 9\)"),
        (lambda: global_similarity(torch.ones(8, 9), (3, 3), spacing=0), "spacing: expected a positive number"),
        (lambda: global_similarity(torch.ones(8, 9), (3, 3), spacing=math.nan), "spacing: expected a positive number"),
    ],
)
def test_a_mistake_is_told_by_name(call, message: str) -> None:
    with pytest.raises(TopoRepError, match=message):
        call()
