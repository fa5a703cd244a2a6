"""Contrastive losses against published numbers, an independent library, double loops, and their symmetries."""

from __future__ import annotations

import math

import pytest
import reference_contrastive as reference
import torch
from scipy.spatial.distance import pdist

from toporep.errors import TopoRepError
from toporep.losses.contrastive import hierarchical_margin, simclr, supcon

ANIMATE = {label: int(label in (2, 3, 4, 5, 6, 7)) for label in range(10)}
MARGIN_LABELS = torch.tensor([0, 0, 1, 2, 8, 9, 3, 3])

# Made with the published code and an independent expression: labels, temperature, base temperature; loss, norm of its
# gradient by the normalized features, and that gradient's first three entries.
PUBLISHED = [
    (None, 0.07, 0.07, 9.2813968555, 9.57032269671, (-0.919965312041, -0.3672236699, 0.250003463493)),
    ((0, 1, 2, 0, 1, 3), 0.07, 0.07, 12.3741991055, 8.93106352416, (-0.517009646351, 0.625772677227, 1.26818068027)),
    (None, 0.5, 0.5, 2.57501393915, 1.1002018554, (-0.123888840237, -0.100289224759, -0.0194972007208)),
    ((0, 1, 2, 0, 1, 3), 0.5, 0.5, 3.00800625414, 0.939624021435, (-0.06747504704, 0.0387302638384, 0.123047609628)),
    (None, 0.5, 0.07, 18.3929567082, 7.85858468145, (-0.884920287404, -0.716351605423, -0.139265719435)),
]


def published_features() -> torch.Tensor:
    """sin(0.5 b + 1.3 v + 0.7 k + 0.1 b k + 0.2) of unit length, view 0 of all images, then view 1: (12, 5)."""
    v, b, k = (torch.arange(size, dtype=torch.float64) for size in (2, 6, 5))
    v, b = v[:, None, None], b[:, None]
    features = torch.sin(0.5 * b + 1.3 * v + 0.7 * k + 0.1 * b * k + 0.2).flatten(0, 1)
    return torch.nn.functional.normalize(features, dim=-1).requires_grad_()


def published_embeddings() -> torch.Tensor:
    b, k = torch.arange(8, dtype=torch.float64)[:, None], torch.arange(6, dtype=torch.float64)
    return (torch.sin(0.9 * b + 0.6 * k + 0.15 * b * k + 0.3) + 1.0).requires_grad_()


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def classes(*shape: int, count: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randint(count, shape, generator=torch.Generator().manual_seed(seed))


def gradient(loss: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(loss.sum(), of)[0]


def loss_named(name: str, images: int, **options):
    """One of the three losses as a function of 2 x images rows."""
    labels = classes(images)
    return {
        "simclr": lambda x: simclr(x, **options),
        "supcon": lambda x: supcon(x, labels, **options),
        "margin": lambda x: hierarchical_margin(x, torch.cat([labels, labels]), [0, 1, 0, 1], **options),
    }[name]


every_loss = pytest.mark.parametrize("name", ["simclr", "supcon", "margin"])


# Published numbers


@pytest.mark.parametrize("labels, temperature, base, loss, norm, first", PUBLISHED)
def test_info_nce_has_the_published_values(labels, temperature, base, loss, norm, first) -> None:
    features = published_features()
    options = {"temperature": temperature, "base_temperature": base}
    for normalize in (True, False):
        if labels is None:
            value = simclr(features, normalize=normalize, **options)
        else:
            value = supcon(features, torch.tensor(labels), normalize=normalize, **options)
        assert value.item() == pytest.approx(loss, rel=1e-11)
    grad = gradient(value, features)
    assert grad.norm().item() == pytest.approx(norm, rel=1e-11)
    assert grad[0, :3].tolist() == pytest.approx(first, rel=1e-10)


def test_the_temperature_is_the_published_one_by_default() -> None:
    assert simclr(published_features()).item() == pytest.approx(9.2813968555, rel=1e-11)
    assert supcon(published_features(), torch.tensor([0, 1, 2, 0, 1, 3])).item() == pytest.approx(12.3741991055)


def test_margin_has_the_published_value_and_pairs() -> None:
    embeddings = published_embeddings()
    loss = hierarchical_margin(embeddings, MARGIN_LABELS, ANIMATE)
    assert loss.item() == pytest.approx(0.0265463270461, rel=1e-11)
    assert gradient(loss, embeddings).norm().item() == pytest.approx(0.0216132108466, rel=1e-10)
    # Each kind of pair alone: margins that no other kind can miss.
    sums = (0.0309265817139, 0.0634984633733, 0.648872112203)
    for margins, total in zip([(0.05, 0, 0), (2, 0.3, 0), (2, 0, 0.5)], sums, strict=True):
        part = hierarchical_margin(embeddings, MARGIN_LABELS, ANIMATE, margins)
        assert part.item() * 28 == pytest.approx(total, rel=1e-11)


# Definitions and independent libraries


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_info_nce_agrees_with_the_double_loop(temperature: float) -> None:
    features, labels = random(14, 5), classes(7)
    for value, expected in [
        (simclr(features, temperature), reference.simclr(features, temperature)),
        (supcon(features, labels, temperature), reference.supcon(features, [*labels, *labels], temperature)),
    ]:
        torch.testing.assert_close(value, expected, rtol=1e-11, atol=0)
        torch.testing.assert_close(gradient(value, features), gradient(expected, features), rtol=1e-9, atol=1e-12)


def test_info_nce_agrees_with_pytorch_metric_learning() -> None:
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    features, labels = random(40, 16).detach().float(), classes(20)
    twins = torch.arange(20).repeat(2)
    assert simclr(features).item() == pytest.approx(losses.NTXentLoss(temperature=0.07)(features, twins).item())
    expected = losses.SupConLoss(temperature=0.07)(features, labels.repeat(2))
    assert supcon(features, labels).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("margins", [(0.05, 0.3, 0.5), (0.4, 1.1, 1.6), (0.0, 2.0, 2.0)])
def test_margin_agrees_with_the_double_loop_and_scipy(margins: tuple[float, float, float]) -> None:
    embeddings, labels = random(15, 4), classes(15, count=10)
    superclasses = [ANIMATE[label] for label in labels.tolist()]
    value = hierarchical_margin(embeddings, labels, ANIMATE, margins)
    expected = reference.hierarchical_margin(embeddings, labels.tolist(), superclasses, margins)
    torch.testing.assert_close(value, expected, rtol=1e-11, atol=1e-14)
    torch.testing.assert_close(gradient(value, embeddings), gradient(expected, embeddings), rtol=1e-9, atol=1e-12)
    if margins == (0.0, 2.0, 2.0):
        distances = pdist(embeddings.detach().numpy(), metric="cosine")
        same = pdist(labels[:, None].numpy(), metric="hamming") == 0
        assert value.item() == pytest.approx(((same * distances) ** 2 + (~same * (2 - distances)) ** 2).mean())


@every_loss
def test_gradients_agree_with_finite_differences(name: str) -> None:
    options = {"margins": (0.3, 0.9, 1.4)} if name == "margin" else {"temperature": 0.3}
    assert torch.autograd.gradcheck(loss_named(name, 4, **options), (random(8, 5),), atol=1e-6)


@pytest.mark.parametrize("images", [2, 5, 32])
def test_indistinguishable_features_have_the_entropy_of_a_guess(images: int) -> None:
    """With equal features every other row is as near as the twin: log(2B - 1)."""
    features = torch.ones(2 * images, 7)
    assert simclr(features).item() == pytest.approx(math.log(2 * images - 1), rel=1e-6)
    assert supcon(features, classes(images)).item() == pytest.approx(math.log(2 * images - 1), rel=1e-5)


def test_perfect_classes_leave_only_the_spread_over_positives() -> None:
    """Rows of a class equal, classes opposite: an anchor's n positives share the probability, log n remains."""
    row = random(1, 6).detach()
    features = torch.cat([row, row, -row, -row]).repeat(2, 1)
    assert supcon(features, torch.tensor([0, 0, 1, 1])).item() == pytest.approx(math.log(3), abs=1e-10)
    assert simclr(torch.cat([row, -row]).repeat(2, 1)).item() == pytest.approx(0, abs=1e-10)


def test_supcon_without_two_images_of_a_class_is_simclr() -> None:
    features = random(12, 5)
    torch.testing.assert_close(supcon(features, torch.arange(6)), simclr(features), rtol=1e-12, atol=0)


def test_one_label_a_row_is_the_same_as_one_label_an_image() -> None:
    features, labels = random(12, 5), classes(6)
    torch.testing.assert_close(supcon(features, labels.repeat(2)), supcon(features, labels), rtol=0, atol=0)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    shuffled = supcon(features[order], labels.repeat(2)[order])
    torch.testing.assert_close(shuffled, supcon(features, labels), rtol=1e-12, atol=0)
    assert supcon(random(5, 3), torch.tensor([0, 1, 0, 1, 1])).ndim == 0


def test_superclasses_by_mapping_table_and_row_agree() -> None:
    embeddings = published_embeddings()
    table = [ANIMATE[label] for label in range(10)]
    rows = torch.tensor(table)[MARGIN_LABELS]
    losses = [
        hierarchical_margin(embeddings, MARGIN_LABELS, given) for given in (ANIMATE, table, torch.tensor(table), rows)
    ]
    assert [loss.item() for loss in losses] == [losses[0].item()] * 4


# Symmetries


@every_loss
def test_the_length_of_a_row_does_not_matter(name: str) -> None:
    rows = random(12, 5).detach()
    loss = loss_named(name, 6)
    lengths = torch.logspace(-200, 150, 12, dtype=torch.float64)[:, None]
    scaled = (rows * lengths).requires_grad_()
    value = loss(scaled)
    torch.testing.assert_close(value, loss(rows), rtol=1e-11, atol=0)
    radial = (gradient(value, scaled) * scaled).sum(-1)
    torch.testing.assert_close(radial, torch.zeros_like(radial), rtol=0, atol=1e-12)


@every_loss
def test_the_order_of_images_and_of_views_does_not_matter(name: str) -> None:
    rows, labels = random(12, 5).detach(), classes(6)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(3))
    moved = rows.view(2, 6, 5)[:, order].flip(0).reshape(12, 5)
    both = labels.repeat(2)
    value, expected = {
        "simclr": lambda: (simclr(moved), simclr(rows)),
        "supcon": lambda: (supcon(moved, labels[order]), supcon(rows, labels)),
        "margin": lambda: (
            hierarchical_margin(moved, both[order.repeat(2)], [0, 1, 0, 1]),
            hierarchical_margin(rows, both, [0, 1, 0, 1]),
        ),
    }[name]()
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)


@every_loss
def test_a_rotation_of_the_space_does_not_matter(name: str) -> None:
    rows = random(12, 5).detach()
    rotation = torch.linalg.qr(random(5, 5, seed=1).detach()).Q
    loss = loss_named(name, 6)
    torch.testing.assert_close(loss(rows @ rotation), loss(rows), rtol=1e-11, atol=0)


@every_loss
def test_a_stack_of_batches_gives_each_its_own_loss(name: str) -> None:
    rows, labels = random(3, 12, 5), classes(3, 6)
    both = labels.repeat(1, 2)
    together, alone = {
        "simclr": lambda: (simclr(rows), [simclr(row) for row in rows]),
        "supcon": lambda: (supcon(rows, labels), [supcon(*pair) for pair in zip(rows, labels, strict=True)]),
        "margin": lambda: (
            hierarchical_margin(rows, both, [0, 1, 0, 1]),
            [hierarchical_margin(*pair, [0, 1, 0, 1]) for pair in zip(rows, both, strict=True)],
        ),
    }[name]()
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-12, atol=0)


# Single and half precision


@every_loss
def test_single_precision_is_close_to_double(name: str) -> None:
    rows = (random(1, 16) + 0.3 * random(256, 16, seed=1)).detach()
    loss = loss_named(name, 128)
    values = [rows.to(dtype).requires_grad_() for dtype in (torch.float64, torch.float32)]
    double, single = (loss(value) for value in values)
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(double.item(), rel=1e-5)
    expected, found = (gradient(value, of) for value, of in zip((double, single), values, strict=True))
    assert (found - expected).norm() <= 1e-4 * expected.norm()


def test_a_low_temperature_does_not_overflow_in_single_precision() -> None:
    """exp(1 / 0.001) is beyond even double precision."""
    features = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]], requires_grad=True)
    loss = simclr(features, temperature=1e-3)
    assert loss.item() == pytest.approx(1000 + math.log(2), rel=1e-6)
    assert gradient(loss, features).isfinite().all()


@every_loss
def test_half_precision_is_computed_in_single(name: str) -> None:
    rows = random(64, 16).detach().bfloat16()
    loss = loss_named(name, 32)
    assert loss(rows).dtype == torch.float32
    assert loss(rows).item() == loss(rows.float()).item()


@every_loss
def test_a_silent_row_gets_a_finite_gradient_that_leads_away_from_zero(name: str) -> None:
    rows = random(12, 5).detach()
    rows[3] = 0
    rows.requires_grad_()
    loss = loss_named(name, 6)
    grad = gradient(loss(rows), rows)
    assert loss(rows).isfinite() and grad.isfinite().all()
    assert grad.norm(dim=-1).max().item() < 100
    step = torch.zeros_like(grad)
    step[3] = grad[3]
    assert loss(rows - 0.1 * step).item() < loss(rows).item()


def test_silent_rows_of_one_class_are_at_the_cosine_distance_one() -> None:
    """And none is at any distance from itself."""
    loss = hierarchical_margin(torch.zeros(5, 3), torch.zeros(5).long(), ANIMATE)
    assert loss.item() == pytest.approx(0.95**2)


# Legal and refused batches


def test_a_class_seen_once_is_legal_with_two_views_and_in_the_margin_loss() -> None:
    assert math.isfinite(supcon(random(6, 3), torch.tensor([0, 1, 1])).item())
    assert math.isfinite(hierarchical_margin(random(3, 3), torch.tensor([0, 1, 1]), ANIMATE).item())


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: supcon(torch.ones(4, 3), torch.tensor([0, 7, 5, 0])),
            "labels: expected each class at least twice.*no positive for class 5, 7;",
        ),
        (lambda: supcon(torch.ones(3, 3), torch.tensor([0, 0, 4])), "no positive for class 4;"),
        (lambda: supcon(torch.ones(6, 3), torch.ones(4)), r"labels: expected shape \(3,\) or \(6,\).*found \(4,\)"),
        (lambda: simclr(torch.ones(5, 3)), r"two views of each image, \(..., 2B, D\), found \(5, 3\)"),
        (lambda: simclr(torch.ones(0, 3)), "at least 2 rows"),
        (lambda: simclr(torch.ones(6)), r"features: expected .* found shape \(6,\)"),
        (lambda: simclr(torch.ones(4, 3).long()), "floating-point numbers, found torch.int64"),
        (lambda: simclr(torch.ones(4, 3), 0.0), "temperature: expected a positive number, found 0.0"),
        (lambda: simclr(torch.ones(4, 3), base_temperature=-1), "base_temperature: expected a positive number"),
        (
            lambda: hierarchical_margin(torch.ones(1, 3), torch.zeros(1), ANIMATE),
            r"embeddings: expected .*at least 2 rows.*found shape \(1, 3\)",
        ),
        (
            lambda: hierarchical_margin(torch.ones(4, 3), torch.zeros(3).long(), ANIMATE),
            r"labels: expected shape \(4,\)",
        ),
        (
            lambda: hierarchical_margin(torch.ones(2, 3), torch.tensor([0, 11]), ANIMATE),
            "superclass: expected one for each class, found none for class 11",
        ),
        (
            lambda: hierarchical_margin(torch.ones(2, 3), torch.tensor([0, 5]), [0, 1, 1]),
            "found 3 of them and classes from 0 to 5",
        ),
        (
            lambda: hierarchical_margin(torch.ones(3, 3), torch.tensor([2, 1, 2]), torch.tensor([0, 0, 1])),
            "expected one superclass a class",
        ),
        (
            lambda: hierarchical_margin(torch.ones(3, 3), torch.tensor([2, 1, 2]), torch.zeros(3, 2)),
            r"superclass: expected the shape of the labels \(3,\)",
        ),
        (
            lambda: hierarchical_margin(torch.ones(2, 3), torch.zeros(2).long(), ANIMATE, (0.1, 0.2)),
            "margins: expected three cosine distances",
        ),
    ],
)
def test_a_mistake_is_told_by_name(call, message: str) -> None:
    with pytest.raises(TopoRepError, match=message):
        call()
