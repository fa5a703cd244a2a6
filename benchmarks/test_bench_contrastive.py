"""Topographic and contrastive losses, and gradient matching, against the published algorithms and double loops.

What is compared is timed in turns in one process on one thread, so that a ratio means something on any machine.
Show the numbers with `pytest -s benchmarks/test_bench_contrastive.py`.
"""

from __future__ import annotations

from functools import partial

import pytest
import reference_contrastive as reference
import torch
import torch.nn.functional as F
from timing import backward, compare

from toporep.losses.contrastive import hierarchical_margin, simclr, supcon
from toporep.losses.topographic import topographic_loss
from toporep.models.resnet import TopographicResNet18
from toporep.train.gradient_matching import GradientMatching, matched_backward, matched_parameters

GRID = (16, 16)
BATCH = 512


def embedding_weight() -> torch.Tensor:
    return (torch.rand(256, 512, generator=torch.Generator().manual_seed(0)) * 2 - 1) / 512**0.5


def features(rows: int) -> torch.Tensor:
    return torch.randn(rows, 128, generator=torch.Generator().manual_seed(0))


def labels(count: int) -> torch.Tensor:
    return torch.randint(10, (count,), generator=torch.Generator().manual_seed(0))


def test_the_topographic_loss_is_faster_than_a_gather_over_edges() -> None:
    first, second = reference.edges(GRID)
    slow = backward(partial(reference.gathered_edge_mean, first=first, second=second), embedding_weight())
    fast = backward(partial(topographic_loss, grid=GRID), embedding_weight())
    assert compare("Topographic loss, 256 x 512, gather over 930 edges", slow, fast, rounds=60) >= 2.5


@pytest.mark.parametrize(
    "form, metric", [("edge_mean", "euclidean"), ("eq1_sum", "euclidean"), ("edge_mean", "cosine")]
)
def test_the_topographic_loss_is_faster_than_the_double_loop(form: str, metric: str) -> None:
    options = {"grid": GRID, "form": form, "metric": metric}
    slow = backward(partial(reference.topographic_loss, **options), embedding_weight())
    fast = backward(partial(topographic_loss, **options), embedding_weight())
    assert compare(f"Topographic loss {form} {metric}, 256 x 512, double loop", slow, fast, rounds=5) >= 60


@pytest.mark.parametrize("name", ["SimCLR", "SupCon"])
def test_info_nce_is_no_slower_than_pytorch_metric_learning(name: str) -> None:
    """Its SupConLoss does both; its NTXentLoss takes a minute, because it lists all triplets of an anchor."""
    library = pytest.importorskip("pytorch_metric_learning.losses").SupConLoss(temperature=0.07)
    classes = torch.arange(BATCH) if name == "SimCLR" else labels(BATCH)
    slow = backward(partial(library, labels=classes.repeat(2)), features(2 * BATCH))
    fast = backward(simclr if name == "SimCLR" else partial(supcon, labels=classes), features(2 * BATCH))
    assert compare(f"{name}, 2 x 512 x 128, pytorch-metric-learning", slow, fast, rounds=7) >= 1


def test_the_margin_loss_is_faster_than_the_double_loop() -> None:
    classes, animate = labels(64), {label: int(label in range(2, 8)) for label in range(10)}
    superclasses = [animate[label] for label in classes.tolist()]
    slow = backward(
        lambda x: reference.hierarchical_margin(x, classes.tolist(), superclasses, (0.05, 0.3, 0.5)), features(64)
    )
    fast = backward(lambda x: hierarchical_margin(x, classes, torch.tensor(superclasses)), features(64))
    assert compare("Margin loss, 64 x 128, double loop", slow, fast, rounds=5) >= 60


@pytest.mark.parametrize("scope, at_least", [("embedding", 0.8), ("encoder", 1.2)])
def test_a_matched_step_is_no_slower_than_differentiating_the_total(scope: str, at_least: float) -> None:
    """The published step takes both gradients of the matched parameters, then differentiates the total loss."""
    model = TopographicResNet18(0, head="classifier", width=8)
    images = torch.randn(32, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    parameters, matched = list(model.parameters()), matched_parameters(model.encoder, scope)
    weight, matching = model.encoder.embedding.weight, GradientMatching(0.2)

    def losses() -> tuple[torch.Tensor, torch.Tensor]:
        return F.cross_entropy(model(images)[0], labels(32)), topographic_loss(weight, GRID)

    def published() -> None:
        task, spatial = losses()
        task_gradients = torch.autograd.grad(task, matched, retain_graph=True)
        (spatial_gradient,) = torch.autograd.grad(spatial, [weight], retain_graph=True)
        norm = torch.cat([gradient.flatten() for gradient in task_gradients]).norm()
        strength = (0.2 * norm / (spatial_gradient.norm() + 1e-8)).clamp(0, 1e4).item()
        model.zero_grad()
        (task + strength * spatial).backward()

    def ours() -> None:
        matched_backward(*losses(), parameters=parameters, matched=matched, matching=matching)

    assert compare(f"Gradient matching over the {scope}, width 8", published, ours, rounds=7) >= at_least
