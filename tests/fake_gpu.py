"""A GPU that computes nothing, for machines without one: it knows shapes, types and where each tensor lies.

Built on PyTorch's fake tensors, which refuse an operation on tensors of two devices as a GPU would, in the forward pass
and in what Python does around it. The backward pass and the fused optimizers are left out: gradients are zeros where
the parameters lie. Numbers that are read are 1, conditions are false and `all` is true, so that a training goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

GPU = torch.device("cuda")


@contextmanager
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter]:
    """Within it, "cuda" may be computed on. Yields how often something was read from there: Python waits for that."""
    waits: Counter = Counter()
    with monkeypatch.context() as patch:
        _patch_reading(patch, waits)
        _patch_training(patch)
        # Autocast asks for a GPU, and for one that knows bfloat16.
        patch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
        patch.setattr(torch.cuda, "is_bf16_supported", lambda *_: True)
        with FakeTensorMode(allow_non_fake_inputs=True) as fake:
            real = torch.from_numpy
            patch.setattr(torch, "from_numpy", lambda array: fake.from_tensor(real(array)))
            yield waits


def _patch_reading(patch: pytest.MonkeyPatch, waits: Counter) -> None:
    def counted(name: str, read: Callable) -> Callable:
        def method(tensor: Tensor, *arguments, **options):
            waits[name] += tensor.device.type == "cuda"
            return read(tensor, *arguments, **options)

        return method

    every = Tensor.all

    def true(tensor: Tensor, *arguments, **options) -> Tensor:
        result = every(tensor, *arguments, **options)
        result.means_true = True
        return result

    def array(tensor: Tensor, **_) -> np.ndarray:
        if tensor.device.type != "cpu":
            raise TypeError("can't convert a tensor of a GPU to NumPy")
        if tensor.requires_grad:
            raise RuntimeError("can't call numpy() on a tensor that requires a gradient")
        return np.ones(tuple(tensor.shape), dtype=_NUMPY[tensor.dtype])

    patch.setattr(Tensor, "all", true)
    patch.setattr(Tensor, "__bool__", counted("bool", lambda tensor: getattr(tensor, "means_true", False)))
    patch.setattr(Tensor, "__float__", counted("float", lambda tensor: 1.0))
    patch.setattr(Tensor, "__int__", counted("int", lambda tensor: 1))
    patch.setattr(Tensor, "item", counted("item", lambda tensor: _ones(tensor).item()))
    patch.setattr(FakeTensor, "tolist", counted("tolist", lambda tensor: _ones(tensor).tolist()))
    patch.setattr(Tensor, "numpy", array)


def _patch_training(patch: pytest.MonkeyPatch) -> None:
    def apply(module: nn.Module, change: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        for each in module.modules() if recurse else [module]:
            for name, parameter in each._parameters.items():
                if parameter is not None:
                    changed = change(parameter.detach())
                    each._parameters[name] = nn.Parameter(changed, requires_grad=parameter.requires_grad)
            for name, buffer in each._buffers.items():
                if buffer is not None:
                    each._buffers[name] = change(buffer)
        return module

    def backward(loss: Tensor, *_, **__) -> None:
        for leaf in _leaves(loss):
            leaf.grad = torch.zeros_like(leaf)

    def gradient(outputs, inputs, *_, **__) -> tuple[Tensor, ...]:
        leaves = [inputs] if isinstance(inputs, Tensor) else inputs
        return tuple(torch.zeros_like(leaf) for leaf in leaves)

    def update(*lists: list, **_) -> None:
        devices = {tensor.device.type for tensors in lists if isinstance(tensors, list) for tensor in tensors}
        assert len(devices) == 1, f"an optimizer's tensors lie on {devices}"

    patch.setattr(nn.Module, "_apply", apply)
    patch.setattr(Tensor, "backward", backward)
    patch.setattr(torch.autograd, "grad", gradient)
    patch.setattr(torch, "_fused_sgd_", update)


def _leaves(loss: Tensor) -> Iterator[Tensor]:
    """The tensors that a backward pass would reach."""
    seen, waiting = set(), [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        waiting.extend(above for above, _ in node.next_functions)


_NUMPY = {
    **{torch.float64: np.float64, torch.float32: np.float32, torch.int64: np.int64, torch.int32: np.int32},
    **{torch.uint8: np.uint8, torch.bool: np.bool_},
}


def _ones(tensor: Tensor) -> np.ndarray:
    return np.ones(tuple(tensor.shape), dtype=_NUMPY[tensor.dtype])
