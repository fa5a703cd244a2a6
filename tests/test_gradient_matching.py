"""Gradient matching against the published numbers, mini trainings included, and its own definition."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from toporep.errors import TopoRepError
from toporep.losses.contrastive import hierarchical_margin, simclr, supcon
from toporep.losses.topographic import topographic_loss
from toporep.train.gradient_matching import (
    GradientMatching,
    MatchedStep,
    matched_backward,
    matched_parameters,
    target_strength,
)

GRID = (4, 4)
ANIMATE = {label: int(label in (2, 3, 4, 5, 6, 7)) for label in range(10)}


# The small network whose published trainings are given in closed form


def index(*shape: int) -> tuple[Tensor, ...]:
    return torch.meshgrid(*(torch.arange(size, dtype=torch.float64) for size in shape), indexing="ij")


class TinyEncoder(nn.Module):
    """W tanh(P x) + b; the embedding layer (W, b) is a 4 x 4 sheet."""

    def __init__(self) -> None:
        super().__init__()
        i, j = index(8, 6)
        self.pre = nn.Parameter(0.5 * torch.sin(0.3 * i + 0.5 * j + 0.1))
        self.embedding = nn.Linear(8, 16).double()
        i, j = index(16, 8)
        with torch.no_grad():
            self.embedding.weight.copy_(0.3 * torch.sin(0.1 * i + 0.37 * j + 0.05 * i * j))
            self.embedding.bias.copy_(0.1 * torch.cos(0.4 * i[:, 0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.embedding(torch.tanh(x @ self.pre.T))


class TinyModel(nn.Module):
    def __init__(self, objective: str) -> None:
        super().__init__()
        self.encoder = TinyEncoder()
        if objective == "ce":
            c, k = index(10, 16)
            weight = 0.2 * torch.cos(0.3 * c + 0.2 * k + 0.07 * c * k)
        else:
            k, j = index(4, 16)
            weight = 0.4 * torch.cos(0.5 * k - 0.3 * j + 0.11 * k * j)
        self.objective = objective
        self.norm = nn.Identity() if objective == "ce" else nn.Sequential(nn.BatchNorm1d(16).double(), nn.ReLU())
        self.readout = nn.Linear(16, len(weight)).double()
        with torch.no_grad():
            self.readout.weight.copy_(weight)
            self.readout.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        output = self.readout(self.norm(self.encoder(x)))
        # In every batch one image silences all units. Its projection is 0 at first, where `normalize` has the gradient
        # 1e12: that decides how the bias of the readout starts.
        return output if self.objective == "ce" else F.normalize(output, dim=-1)


def inputs(batch: int, view: int) -> Tensor:
    b, j = index(8, 6)
    return torch.sin(0.7 * b + 0.4 * j + 0.9 * batch + 0.13 * b * j) + 0.1 * view * torch.cos(j + b)


def task_loss(model: TinyModel, batch: int) -> Tensor:
    images = torch.arange(8)
    if model.objective == "ce":
        return F.cross_entropy(model(inputs(batch, 0)), (images + batch) % 10)
    if model.objective == "margin":
        return hierarchical_margin(model(inputs(batch, 0)), 3 * ((images + batch) % 4), ANIMATE)
    features = model(torch.cat([inputs(batch, 0), inputs(batch, 1)]))
    return simclr(features) if model.objective == "simclr" else supcon(features, (images + batch) % 3)


def sheet_loss(model: TinyModel, *, form: str = "edge_mean") -> Tensor:
    return topographic_loss(model.encoder.embedding.weight, GRID, form=form)


def matched_step(model: TinyModel, *, rho: float = 1.0, scope: str = "embedding", **changes) -> MatchedStep:
    """A matched step on the first batch; `changes` replaces arguments of `matched_backward`."""
    arguments = {
        "task": task_loss(model, 0),
        "topographic": sheet_loss(model),
        "parameters": list(model.parameters()),
        "matched": matched_parameters(model.encoder, scope),
        "matching": GradientMatching(rho),
    }
    return matched_backward(**(arguments | changes))


def numbers(table: str) -> dict[tuple[str, float], list[list[float]]]:
    """(objective, rho) → the further columns of its rows."""
    found: dict[tuple[str, float], list[list[float]]] = {}
    for objective, *row in map(str.split, table.strip().splitlines()):
        rho, *values = map(float, row)
        found.setdefault((objective, rho), []).append(values)
    return found


# Published with the fact sheet's vectors. Objective, rho; means over the batches of an epoch, of the total loss, the
# topographic loss, the task loss and lambda.
HISTORIES = numbers("""
ce     0.0 1.97946716581   0.514786556835 1.97946716581   0.0
ce     0.0 1.91978167113   0.521530063774 1.91978167113   0.0
ce     0.2 2.12291323181   0.513231689124 1.97925590792   0.279904466016
ce     0.2 2.062362861     0.516056796117 1.92014132744   0.275590196989
ce     5.0 5.53681281232   0.506782957114 1.98751680773   7.00397687653
ce     5.0 5.41767534304   0.491308114548 1.95485140249   7.04854593862
margin 0.0 0.0850093532857 0.511386864168 0.0850093532857 0.0
margin 0.0 0.0752001479657 0.510924748743 0.0752001479657 0
margin 5.0 0.783989066299  0.506839135232 0.0825800414343 1.38388856647
margin 5.0 0.971542383842  0.491594883354 0.0747107120263 1.8260908164
supcon 0.0 4.24720223083   0.513401485839 4.24720223083   0.0
supcon 0.0 3.42300544405   0.518078441772 3.42300544405   0.0
supcon 0.2 7.37837779957   0.509287236603 4.25465995955   6.13311224924
supcon 0.2 5.11955013059   0.501147894175 3.45350703228   3.32475472118
simclr 0.0 1.48084333466   0.5110869298   1.48084333466   0.0
simclr 0.0 1.04251267843   0.509118401408 1.04251267843   0.0
simclr 0.2 45.5187938858   0.508970626359 1.46945841019   86.7854477137
simclr 0.2 2.31263118095   0.498506581009 1.07312862497   2.48642160844
simclr 5.0 336.761381378   0.507313442535 1.58897026519   663.489268841
simclr 5.0 15.7922150963   0.495636949845 0.910187362818  30.0302281154
""")
# Objective, rho; of the trained network the sum, the sum of squares and the first and last entry of W, the sums of
# squares of b and P, and the mean length of the rows of W.
TRAINED = numbers("""
ce     0.0 8.39089248018 6.14725194191 0.00406559840818  0.0369436088259 0.075507449572  6.01480406643 0.619308232439
ce     0.2 8.38310264665 6.07901843375 0.00642825090834  0.0370449860674 0.0755185878835 6.0157897627  0.615922422456
ce     5.0 8.2018700065  5.58200806464 0.0118768112873   0.0373694316984 0.0755595234953 6.01290505702 0.59030915484
margin 0.0 8.01752061501 5.98688697918 0.00996018530161  0.0362127807895 0.081436849158  5.9951394161  0.611137396349
margin 5.0 8.11154317274 5.5716343212  0.0118540140927   0.0372140278745 0.0814368491573 5.98476024823 0.589670526666
supcon 0.0 8.16337409917 5.97673923388 -0.00889175948822 0.0360539989352 0.0814368491639 5.98584048401 0.610681772017
supcon 0.2 8.28948572332 5.68973255748 -0.00753394327466 0.0364146595732 0.0814368490589 5.98748351137 0.595735573436
simclr 0.0 8.12205313016 5.97336211505 0.00310207467149  0.0230872754331 0.0814368428531 6.0175878093  0.6104856753
simclr 0.2 8.11918704266 5.75670718836 0.00953995047017  0.0342169957976 0.0814368479157 6.01741986588 0.599350946879
simclr 5.0 8.2592341696  5.71249849633 0.00917000935288  0.0344510488334 0.0814368472607 5.99513215394 0.597103745435
""")


@pytest.mark.parametrize("objective, rho", HISTORIES)
def test_mini_trainings_have_the_published_history_and_weights(objective: str, rho: float) -> None:
    model = TinyModel(objective)
    matching = GradientMatching(rho)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
    for expected in HISTORIES[objective, rho]:
        matching.start_epoch()
        rows = []
        for batch in range(3):
            task, topo = task_loss(model, batch), sheet_loss(model)
            step = matched_step(model, task=task, topographic=topo, matching=matching)
            optimizer.step()
            rows.append([step.total.item(), topo.item(), task.item(), step.strength.item()])
        assert torch.tensor(rows, dtype=torch.float64).mean(0).tolist() == pytest.approx(expected, rel=1e-7, abs=1e-7)
    weight, bias = (part.detach() for part in model.encoder.embedding.parameters())
    found = [weight.sum(), weight.square().sum(), weight[0, 0], weight[-1, -1], bias.square().sum()]
    found += [model.encoder.pre.detach().square().sum(), weight.norm(dim=1).mean()]
    assert [value.item() for value in found] == pytest.approx(TRAINED[objective, rho][0], rel=1e-7, abs=1e-7)


# Published numbers of one step


def test_the_first_step_has_the_published_losses_and_gradient_norms() -> None:
    model = TinyModel("ce")
    assert task_loss(model, 0).item() == pytest.approx(1.87740121085, rel=1e-11)
    assert sheet_loss(model).item() == pytest.approx(0.512005228484, rel=1e-11)
    step = matched_step(model)
    assert step.task_norm.item() == pytest.approx(0.428826740028, rel=1e-11)
    assert step.topographic_norm.item() == pytest.approx(0.308128222758, rel=1e-11)
    assert matched_step(model, scope="encoder").task_norm.item() == pytest.approx(0.517629136666, rel=1e-11)
    step = matched_step(model, matched=[model.encoder.embedding.weight])
    assert step.task_norm.item() == pytest.approx(0.411433714639, rel=1e-11)


@pytest.mark.parametrize(
    "rho, options, strength",
    [
        (0.0, {}, 0.0),
        (0.008, {}, 0.0111337214689),
        (0.04, {}, 0.0556686073444),
        (0.2, {}, 0.278343036722),
        (1.0, {}, 1.39171518361),
        (5.0, {}, 6.95857591806),
        (1.0, {"scope": "encoder"}, 1.67991466421),
        (1.0, {"form": "eq1_sum"}, 0.0881035953606),
    ],
)
def test_the_first_strength_is_the_published_one(rho: float, options: dict, strength: float) -> None:
    model = TinyModel("ce")
    topo = sheet_loss(model, form=options.get("form", "edge_mean"))
    step = matched_step(model, rho=rho, scope=options.get("scope", "embedding"), topographic=topo)
    assert step.strength.item() == pytest.approx(strength, rel=1e-10, abs=0)


@pytest.mark.parametrize(
    "rho, topographic_norm, strength",
    [(5, 1e-5, 1e4), (5, 0.0, 1e4), (0, 0.0, 0.0), (0.2, 1e-3, 599.99400006), (1, 1e-8, 1e4)],
)
def test_the_strength_is_clamped_as_published(rho: float, topographic_norm: float, strength: float) -> None:
    norms = [torch.tensor(value, dtype=torch.float64) for value in (3.0, topographic_norm)]
    assert target_strength(*norms, rho=rho).item() == pytest.approx(strength, rel=1e-11)


def test_a_contrastive_loss_after_batch_norm_is_blind_to_scale_and_offset_of_the_embedding() -> None:
    """Why weights can shrink at no cost: no task gradient on b, and none along a row of W."""
    model = TinyModel("margin")
    loss = hierarchical_margin(model(inputs(0, 0)), 3 * (torch.arange(8) % 4), ANIMATE)
    weight, bias = torch.autograd.grad(loss, list(model.encoder.embedding.parameters()))
    assert loss.item() == pytest.approx(0.0882925723031, rel=1e-10)
    assert weight.norm().item() == pytest.approx(0.0836087544454, rel=1e-9)
    assert bias.abs().max().item() < 1e-12
    rows = model.encoder.embedding.weight.detach()
    assert (weight * rows).sum(1).abs().max().item() == pytest.approx(5.861190950764549e-06, rel=1e-6)


# The average over steps


def strengths(matching: GradientMatching, targets: list[float]) -> list[float]:
    one = torch.ones((), dtype=torch.float64)
    return [matching.update(target * one, one).item() for target in targets]


def matching(**options) -> GradientMatching:
    return GradientMatching(1.0, eps=0.0, **options)


def test_the_average_starts_at_its_first_value_and_holds_the_current_one() -> None:
    assert strengths(matching(), [1.0, 2.0, 4.0, 0.5, 8.0]) == pytest.approx([1.0, 1.1, 1.39, 1.301, 1.9709], rel=1e-12)


@pytest.mark.parametrize("reset, restarted", [("epoch", 5.0), ("never", 0.9 * 1.1 + 0.1 * 5)])
def test_the_average_restarts_with_an_epoch_or_never(reset: str, restarted: float) -> None:
    average = matching(reset=reset)
    average.start_epoch()
    assert strengths(average, [1.0, 2.0]) == pytest.approx([1.0, 1.1])
    average.start_epoch()
    assert strengths(average, [5.0, 5.0])[0] == pytest.approx(restarted)


@pytest.mark.parametrize("reset", ["epoch", "never"])
def test_an_interrupted_average_goes_on_to_the_bit(reset: str) -> None:
    whole, first, second = (matching(reset=reset) for _ in range(3))
    expected = strengths(whole, [0.3, 0.7, 0.1, 0.9])
    found = strengths(first, [0.3, 0.7])
    second.load_state_dict(first.state_dict())
    assert found + strengths(second, [0.1, 0.9]) == expected
    second.load_state_dict(matching().state_dict())
    assert second.strength is None


def test_no_gradient_flows_through_the_strength() -> None:
    norms = [torch.tensor(value, requires_grad=True) for value in (3.0, 2.0)]
    assert not GradientMatching(1.0).update(*norms).requires_grad


def test_momentum_and_cap_are_free() -> None:
    assert strengths(matching(momentum=0.0), [1.0, 3.0]) == [1.0, 3.0]
    assert strengths(matching(lambda_max=2.0), [1.0, 3.0]) == pytest.approx([1.0, 1.1])
    assert strengths(matching(lambda_max=math.inf), [1e7]) == [1e7]


# The gradients that a step gets


@pytest.mark.parametrize("scope", ["embedding", "encoder"])
@pytest.mark.parametrize("objective, rho", [("ce", 0.2), ("simclr", 5.0), ("margin", 0.0)])
def test_the_gradients_are_those_of_the_total_loss(objective: str, rho: float, scope: str) -> None:
    models = [TinyModel(objective) for _ in range(2)]
    step = matched_step(models[0], rho=rho, scope=scope)
    total = task_loss(models[1], 0) + step.strength * sheet_loss(models[1])
    total.backward()
    assert not step.strength.requires_grad
    torch.testing.assert_close(step.total, total.detach())
    for (name, found), expected in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-12, atol=1e-15, msg=name)


def test_the_topographic_gradient_is_rho_times_as_long_as_that_of_the_task() -> None:
    """Eq. 2 in words, measured on the gradient that the step gets."""
    for rho in (0.04, 1.0, 5.0):
        model = TinyModel("ce")
        step = matched_step(model, rho=rho)
        task = torch.autograd.grad(task_loss(model, 0), model.encoder.embedding.weight)[0]
        topographic_part = model.encoder.embedding.weight.grad - task
        assert topographic_part.norm().item() == pytest.approx(rho * step.task_norm.item(), rel=1e-6)


def test_rho_zero_leaves_the_gradient_of_the_task_to_the_bit() -> None:
    model = TinyModel("ce")
    matched_step(model, rho=0.0)
    expected = torch.autograd.grad(task_loss(model, 0), list(model.parameters()))
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        assert torch.equal(parameter.grad, gradient)


def test_old_gradients_are_replaced() -> None:
    model = TinyModel("ce")
    matched_step(model)
    before = [parameter.grad.clone() for parameter in model.parameters()]
    matched_step(model)
    for parameter, gradient in zip(model.parameters(), before, strict=True):
        assert torch.equal(parameter.grad, gradient)


def test_a_loss_that_misses_the_matched_parameters_has_length_zero() -> None:
    model = TinyModel("ce")
    step = matched_step(model, matched=[model.encoder.pre])
    assert step.topographic_norm.item() == 0
    assert step.strength.item() == 1e4


def test_a_loss_that_exploded_shows_in_the_total() -> None:
    """The engine names a run whose total is no longer finite; the clamp must not hide it."""
    model = TinyModel("ce")
    step = matched_step(model, task=task_loss(model, 0) * math.nan)
    assert not step.total.isfinite() and not step.strength.isfinite()


# Mistakes


def step_with(**changes) -> MatchedStep:
    return matched_step(TinyModel("ce"), **changes)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: GradientMatching(-0.2), "rho: expected a number of at least 0, found -0.2"),
        (lambda: GradientMatching(math.nan), "rho: expected a number of at least 0, found nan"),
        (lambda: GradientMatching(1, reset="step"), "ema_reset: expected 'epoch' or 'never', found 'step'"),
        (lambda: GradientMatching(1, momentum=1.0), r"momentum: expected a number in \[0, 1\), found 1.0"),
        (lambda: GradientMatching(1, eps=-1e-8), "eps: expected a number of at least 0"),
        (lambda: GradientMatching(1, lambda_max=0), "lambda_max: expected a positive number, found 0"),
        (lambda: matched_parameters(TinyEncoder(), "head"), "match_scope: expected 'embedding' or 'encoder'"),
        (lambda: step_with(task=torch.ones(3)), r"task loss: expected a scalar, found shape \(3,\)"),
        (lambda: step_with(topographic=torch.ones(2)), r"topographic loss: expected a scalar, found shape \(2,\)"),
        (lambda: step_with(matched=[nn.Parameter(torch.ones(2))]), "matched: expected at least one parameter"),
        (lambda: step_with(matched=[]), "matched: expected at least one parameter"),
    ],
)
def test_a_mistake_is_told_by_name(call, message: str) -> None:
    with pytest.raises(TopoRepError, match=message):
        call()
