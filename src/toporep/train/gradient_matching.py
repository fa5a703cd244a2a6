"""Gradient matching of Sander & Hasson (2026): the strength of the topographic loss follows the gradients.

The total loss of a step is task + λ · topographic. Its λ makes the topographic gradient ρ times as long as the task's,
smoothed over steps (eqs. 2 and 3). Nothing here waits for the device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from toporep.errors import TopoRepError

SCOPES = ("embedding", "encoder")
RESETS = ("epoch", "never")


def target_strength(
    task_norm: Tensor, topographic_norm: Tensor, *, rho: float, eps: float = 1e-8, lambda_max: float = 1e4
) -> Tensor:
    """λ* = ρ · |task gradient| / (|topographic gradient| + eps), clamped to [0, lambda_max].

    Args:
        task_norm, topographic_norm: lengths of the two gradients over the matched parameters.
        rho: the ratio that the two gradients are to have.
        eps: keeps the quotient finite where the topographic gradient vanishes.
        lambda_max: the cap, which the paper does not mention; infinity for none.

    Source: Sander & Hasson 2026, eq. 2; eps and the cap are the published code's.
    """
    return (rho * task_norm / (topographic_norm + eps)).clamp(0, lambda_max)


class GradientMatching:
    """λ from step to step: an exponential moving average of λ*, whose first value is λ* itself (eq. 3).

    The λ of a step already holds that step's λ*.

    Args:
        rho: the ratio that the two gradients are to have; 0 switches the topographic loss off.
        reset: "epoch", the average starts anew with each epoch, as in the published code; "never", it goes on.
        momentum: share of the old λ.
        eps, lambda_max: see `target_strength`.

    Attributes:
        strength: λ of the last step, a scalar tensor, None before the first one.

    Raises:
        TopoRepError: an argument does not fit.
    """

    def __init__(
        self, rho: float, *, reset: str = "epoch", momentum: float = 0.9, eps: float = 1e-8, lambda_max: float = 1e4
    ) -> None:
        if not (math.isfinite(rho) and rho >= 0):
            raise TopoRepError(f"rho: expected a number of at least 0, found {rho!r}")
        if reset not in RESETS:
            raise TopoRepError(f"ema_reset: expected 'epoch' or 'never', found {reset!r}")
        if not 0 <= momentum < 1:
            raise TopoRepError(f"momentum: expected a number in [0, 1), found {momentum!r}")
        if not (math.isfinite(eps) and eps >= 0):
            raise TopoRepError(f"eps: expected a number of at least 0, found {eps!r}")
        if not lambda_max > 0:
            raise TopoRepError(f"lambda_max: expected a positive number, found {lambda_max!r}")
        self.rho, self.reset, self.momentum, self.eps, self.lambda_max = rho, reset, momentum, eps, lambda_max
        self.strength: Tensor | None = None

    def start_epoch(self) -> None:
        """Say that the next step is the first of an epoch."""
        if self.reset == "epoch":
            self.strength = None

    def update(self, task_norm: Tensor, topographic_norm: Tensor) -> Tensor:
        """Return λ of this step, without a gradient, from the lengths of its two gradients."""
        target = target_strength(
            task_norm.detach(), topographic_norm.detach(), rho=self.rho, eps=self.eps, lambda_max=self.lambda_max
        )
        old = self.strength
        self.strength = target if old is None else self.momentum * old + (1 - self.momentum) * target
        return self.strength

    def state_dict(self) -> dict[str, Tensor]:
        """What an interrupted run needs to go on to the bit."""
        return {} if self.strength is None else {"strength": self.strength.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state_dict` returned."""
        self.strength = state["strength"].clone() if "strength" in state else None


@dataclass
class MatchedStep:
    """What a step of gradient matching found, scalar tensors: λ, the total loss, and the two gradients' lengths."""

    strength: Tensor
    total: Tensor
    task_norm: Tensor
    topographic_norm: Tensor


def matched_backward(
    task: Tensor,
    topographic: Tensor,
    *,
    parameters: Sequence[Tensor],
    matched: Sequence[Tensor],
    matching: GradientMatching,
) -> MatchedStep:
    """Set the gradients of task + λ · topographic, replacing the old ones.

    Each loss is differentiated once: the gradients whose lengths give λ are those that the step uses. Differentiating
    the total afterwards would repeat the backward pass through all that is matched.

    Args:
        task: the task loss, a scalar.
        topographic: the topographic loss, a scalar; the losses share parameters, but no other part of a graph.
        parameters: all trained parameters; their `.grad` is set.
        matched: those over which the two gradients are compared, see `matched_parameters`.
        matching: gives λ.

    Raises:
        TopoRepError: a loss is no scalar, or a matched parameter is not trained.
    """
    for name, loss in {"task": task, "topographic": topographic}.items():
        if loss.ndim:
            raise TopoRepError(f"{name} loss: expected a scalar, found shape {tuple(loss.shape)}")
    parameters = list(parameters)
    places = {id(parameter): place for place, parameter in enumerate(parameters)}
    if not matched or not all(id(parameter) in places for parameter in matched):
        raise TopoRepError("matched: expected at least one parameter, all of them trained, found another one")
    chosen = [places[id(parameter)] for parameter in matched]
    task_gradients = torch.autograd.grad(task, parameters, allow_unused=True)
    topographic_gradients = torch.autograd.grad(topographic, parameters, allow_unused=True)
    task_norm = _length([task_gradients[place] for place in chosen], like=task)
    topographic_norm = _length([topographic_gradients[place] for place in chosen], like=topographic)
    strength = matching.update(task_norm, topographic_norm)
    total = task.detach() + strength * topographic.detach()
    gradients = _sum(task_gradients, [_scaled(gradient, strength) for gradient in topographic_gradients])
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    return MatchedStep(strength, total, task_norm, topographic_norm)


def matched_parameters(encoder: nn.Module, scope: str = "embedding") -> list[nn.Parameter]:
    """The parameters over which gradients are compared.

    Args:
        encoder: has the embedding layer as its attribute `embedding`.
        scope: "embedding", that layer's weight and bias, as in the published code; "encoder", all parameters of the
            encoder, as the paper's text says.

    Raises:
        TopoRepError: an unknown scope.
    """
    if scope not in SCOPES:
        raise TopoRepError(f"match_scope: expected 'embedding' or 'encoder', found {scope!r}")
    return list((encoder.embedding if scope == "embedding" else encoder).parameters())


def _length(gradients: Sequence[Tensor | None], *, like: Tensor) -> Tensor:
    """Euclidean length over all tensors; a parameter that the loss does not reach adds nothing."""
    norms = [torch.linalg.vector_norm(gradient) for gradient in gradients if gradient is not None]
    return torch.linalg.vector_norm(torch.stack(norms)) if norms else like.new_zeros(())


def _scaled(gradient: Tensor | None, factor: Tensor) -> Tensor | None:
    return None if gradient is None else gradient * factor


def _sum(first: Sequence[Tensor | None], second: Sequence[Tensor | None]) -> list[Tensor | None]:
    return [b if a is None else a if b is None else a + b for a, b in zip(first, second, strict=True)]
