"""Keyed normal numbers: the transform done one number at a time, their distribution, and what the keys promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

import toporep.normal
from toporep import rng
from toporep.errors import TopoRepError
from toporep.normal import normal

# Keys that cover the sign bit of int64, and the extremes.
STREAMS = [0, 1, 2**63 - 1, 2**63, 2**64 - 1, rng.key(3, "noise", 5)]


def box_muller(output: int) -> tuple[float, float]:
    a, b = (output // 2**32 + 1) / 2**32, (output % 2**32) / 2**32
    radius = math.sqrt(-2 * math.log(a))
    return radius * math.cos(2 * math.pi * b), radius * math.sin(2 * math.pi * b)


def test_numbers_are_the_transform_of_one_output_after_the_other() -> None:
    expected = [[number for output in rng.bits(s, 200).tolist() for number in box_muller(output)] for s in STREAMS]
    found = normal(STREAMS, 400)
    assert found.dtype == torch.float32 and found.shape == (len(STREAMS), 400)
    # The angle, up to 2π, is off by some 4e-7; times a radius of up to 4.
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_numpy_and_torch_bits_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU makes its bits with torch; on the CPU the rest of the way is then the same to the bit."""
    expected = normal(STREAMS, 1001, offset=33)

    def torch_outputs(streams, count, *, offset, device):
        keys = toporep.normal._keys(tuple(streams), device)
        assert keys.tolist() == [stream - 2**64 if stream >= 2**63 else stream for stream in streams]
        return rng.bits_torch(keys, count, offset=offset)

    monkeypatch.setattr(toporep.normal, "_outputs", torch_outputs)
    assert torch.equal(normal(STREAMS, 1001, offset=33), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_draws_the_same_numbers_to_rounding() -> None:
    on_gpu = normal(STREAMS, 100_001, offset=7, device="cuda").cpu()
    torch.testing.assert_close(on_gpu, normal(STREAMS, 100_001, offset=7), rtol=0, atol=4e-6)


@pytest.mark.parametrize("offset, count", [(0, 7), (1, 1), (1, 4), (2, 5), (3, 0), (999, 2)])
def test_an_offset_skips_numbers(offset: int, count: int) -> None:
    assert torch.equal(normal([9, 5], count, offset=offset), normal([9, 5], 1001)[:, offset : offset + count])


def test_a_run_has_the_same_numbers_alone_and_in_a_stack() -> None:
    together = normal(STREAMS, 50)
    for stream, numbers in zip(STREAMS, together, strict=True):
        assert torch.equal(normal([stream], 50)[0], numbers)


def test_extreme_outputs_give_finite_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest upper half rounds to 2**32 in float32: a is 1 and the radius 0. The smallest gives 6.66."""
    extremes = torch.tensor([[-1, 0]])
    monkeypatch.setattr(toporep.normal, "_outputs", lambda *args, **kwargs: extremes)
    found = normal([0], 4)
    assert (found[0, :2] == 0).all() and found[0, 3] == 0
    assert float(found[0, 2]) == pytest.approx(math.sqrt(64 * math.log(2)), rel=1e-6)


def test_numbers_are_standard_normal() -> None:
    numbers = normal([rng.key(0, "test")], 400_000)[0].double()
    assert stats.kstest(numbers.numpy(), "norm").pvalue > 1e-3
    # Standard errors of the first four moments: sqrt of 1, 2, 15 and 96 over n.
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(float((numbers**power).mean()) - moment) < 4 * math.sqrt(variance / len(numbers))


def test_numbers_of_one_output_of_neighbors_and_of_other_keys_are_independent() -> None:
    """Of the numbers and of their squares: the two numbers of an output share a radius."""
    keys = [rng.key(0, "noise", 1), rng.key(0, "noise", 2), rng.key(1, "noise", 1)]
    first, other_epoch, other_seed = normal(keys, 200_000).double()
    pairs = ((first[::2], first[1::2]), (first[1:], first[:-1]), (first, other_epoch), (first, other_seed))
    for a, b in pairs:
        limit = 4 / math.sqrt(len(a))
        assert abs(float((a * b).mean())) < limit
        assert abs(float(((a**2 - 1) * (b**2 - 1)).mean())) < 2 * limit


@pytest.mark.parametrize("count, offset", [(-1, 0), (1, -2)])
def test_a_negative_count_or_offset_is_refused(count: int, offset: int) -> None:
    with pytest.raises(TopoRepError, match="count and an offset of at least 0"):
        normal([0], count, offset=offset)
