"""A training step of fixed shapes that is recorded once as a CUDA graph and then replayed.

A replay starts all kernels of a step at once: it spares the time of Python and of launching them one by one, of which a
step of small networks mostly consists. The kernels are the same, so that results change by rounding at most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from toporep.errors import TopoRepError

Step = Callable[..., tuple[Tensor, ...]]
# Before a recording: libraries set themselves up, the optimizer makes its state.
_WARM_UP_STEPS = 3
# In the identity of a state: rounding may differ.
GRAPHS_TEXT = ", CUDA graphs"


class Recorder(Protocol):
    """Records work once and repeats it."""

    def prepare(self, work: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """Do the work as it will be done when it is recorded."""

    def record(self, work: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """Record the work without doing it; return the tensors that each replay fills."""

    def replay(self) -> None:
        """Do the recorded work."""


class StaticStep:
    """A training step of which all calls with inputs of the first call's shapes are one recording.

    Args:
        step: tensors → tensors. It reads and changes parameters, gradients and the optimizer's state where they lie,
            reads nothing from the device, and draws no random numbers. The first steps are real steps, not recorded.
        recorder: records and replays.

    Inputs of other shapes, as those of a last batch that is not full, are passed to `step` itself.
    """

    def __init__(self, step: Step, recorder: Recorder) -> None:
        self._step, self._recorder = step, recorder
        self._shapes: list[torch.Size] | None = None
        self._calls = 0
        self._inputs: list[Tensor] = []
        self._outputs: tuple[Tensor, ...] = ()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What `step` returns; the next call may overwrite it."""
        shapes = [tensor.shape for tensor in inputs]
        self._shapes = self._shapes or shapes
        if shapes != self._shapes:
            return self._step(*inputs)
        self._calls += 1
        if self._calls <= _WARM_UP_STEPS:
            return self._recorder.prepare(lambda: self._step(*inputs))
        if not self._inputs:
            self._inputs = [tensor.clone() for tensor in inputs]
            self._outputs = self._recorder.record(lambda: self._step(*self._inputs))
        for own, given in zip(self._inputs, inputs, strict=True):
            own.copy_(given)
        self._recorder.replay()
        return self._outputs


class CudaRecorder:
    """Records kernels of a GPU."""

    def __init__(self, device: torch.device) -> None:
        if device.type != "cuda":
            raise TopoRepError(f"--cuda-graphs: expected a GPU, found device {device.type!r}; leave the option out")
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._graph = torch.cuda.CUDAGraph()

    def prepare(self, work: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        # A recording takes place on a stream of its own; what is set up for it must be set up there.
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            outputs = work()
        torch.cuda.current_stream(self._device).wait_stream(self._stream)
        return outputs

    def record(self, work: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        with torch.cuda.graph(self._graph, stream=self._stream):
            return work()

    def replay(self) -> None:
        self._graph.replay()


def static_step(step: Step, *, device: torch.device, cuda_graphs: bool) -> Step:
    """The step itself, or one that replays a CUDA graph.

    Raises:
        TopoRepError: CUDA graphs without a GPU.
    """
    return StaticStep(step, CudaRecorder(device)) if cuda_graphs else step
