"""Static steps: what is recorded, what is replayed, and that a training of replayed steps is the training itself.

A recorder stands in for the GPU: like a CUDA graph it does nothing while it records, and a replay reads the recorded
inputs and writes the recorded outputs where they lie.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from test_training_capsules import run_of as vae_run
from test_training_capsules import specs_of as vae_specs
from test_training_capsules import train as train_vae
from test_training_engine import train
from torch import Tensor

from toporep.train import graphs
from toporep.train.graphs import StaticStep

Work = Callable[[], tuple[Tensor, ...]]


class Replayer:
    """Records by remembering the work. Its outputs are found out by a replay, and stay where they are."""

    made: list[Replayer] = []

    def __init__(self, device: torch.device | None = None) -> None:
        self.prepared = self.recorded = self.replayed = 0
        self.outputs: tuple[Tensor, ...] | None = None
        Replayer.made.append(self)

    def prepare(self, work: Work) -> tuple[Tensor, ...]:
        self.prepared += 1
        return work()

    def record(self, work: Work) -> tuple[Tensor, ...]:
        self.recorded += 1
        self.work = work
        return _Late(self)

    def replay(self) -> None:
        self.replayed += 1
        outputs = tuple(self.work())
        if self.outputs is None:
            self.outputs = outputs
        for own, new in zip(self.outputs, outputs, strict=True):
            own.copy_(new)


class _Late(tuple):
    """Outputs of a recording that were not worked out yet."""

    def __new__(cls, recorder: Replayer):
        late = super().__new__(cls)
        late.recorder = recorder
        return late

    def __iter__(self):
        return iter(self.recorder.outputs)


@pytest.fixture(autouse=True)
def one_thread(restore_torch: None) -> None:
    torch.set_num_threads(1)


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> list[Replayer]:
    """CUDA graphs are replaced by `Replayer`; the recorders that were made."""
    Replayer.made = []
    monkeypatch.setattr(graphs, "CudaRecorder", Replayer)
    return Replayer.made


def test_a_step_is_warmed_up_recorded_once_and_replayed() -> None:
    total, recorder = torch.zeros(()), Replayer()

    def step(values: Tensor) -> tuple[Tensor]:
        total.add_(values.sum())
        return (total.clone(),)

    static = StaticStep(step, recorder)
    for number in range(1, 8):
        values = torch.full((3,), float(number))
        (found,) = static(values)
        # Each step is done once, on its own input, the recorded one too.
        assert float(found) == float(total) == 3 * number * (number + 1) / 2
        values.fill_(float("nan"))
    assert (recorder.prepared, recorder.recorded, recorder.replayed) == (3, 1, 4)


def test_inputs_of_another_shape_are_not_replayed() -> None:
    recorder, seen = Replayer(), []

    def step(values: Tensor) -> tuple[Tensor]:
        seen.append(len(values))
        return (values * 2,)

    static = StaticStep(step, recorder)
    for size in (4, 4, 4, 2, 4, 4, 2, 4):
        (found,) = static(torch.arange(float(size)))
        torch.testing.assert_close(found + 0, 2 * torch.arange(float(size)))
    assert seen == [4, 4, 4, 2, 4, 4, 2, 4] and recorder.replayed == 3


@pytest.mark.parametrize("model, convolution", [("MnistCNN", "unfold"), ("CifarCNN", "grouped")])
@pytest.mark.parametrize("stacked", [False, True])
def test_training_with_replayed_steps_is_the_training_itself(
    tmp_path: Path, model: str, convolution: str, stacked: bool, replayed: list[Replayer]
) -> None:
    """All of a step that changes is an input of it: indices and dropout masks, nothing else."""
    runs = [("ws", 1, 0), ("as", 0.5, 2), ("control", 0, 1)]
    found = {}
    for graphs_on in (False, True):
        how = {"convolution": convolution, "cuda_graphs": graphs_on}
        found[graphs_on] = train(model, runs, tmp_path / str(graphs_on), stacked=stacked, epochs=3, how=how)
    # Twelve steps a run, of which three are part of a batch and three are warm-ups.
    assert [recorder.replayed for recorder in replayed] == [6] * (1 if stacked else 3)
    for run, one in found[True].items():
        assert one.details["cuda_graphs"] is True and "cuda_graphs" not in found[False][run].details
        assert str(one.history) == str(found[False][run].history)
        for name, tensor in one.tensors.items():
            assert torch.equal(tensor, found[False][run].tensors[name]), name


@pytest.mark.parametrize("stacked", [False, True])
def test_a_topographic_vae_with_replayed_steps_is_the_same(
    tmp_path: Path, stacked: bool, replayed: list[Replayer]
) -> None:
    specs = vae_specs(vae_run("tvae_5_36"), vae_run("tvae_1_4"), epochs=3)
    plain = train_vae(specs, tmp_path / "plain", stacked=stacked)
    assert not replayed
    static = train_vae(specs, tmp_path / "static", stacked=stacked, cuda_graphs=True)
    # Nine steps a run: three warm-ups.
    assert [recorder.replayed for recorder in replayed] == [6] * (1 if stacked else 2)
    for one, other in zip(plain, static, strict=True):
        assert other.details == {"cuda_graphs": True} and str(one.history) == str(other.history)
        for name, tensor in one.tensors.items():
            assert torch.equal(tensor, other.tensors[name]), name
