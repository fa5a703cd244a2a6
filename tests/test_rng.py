"""Keyed random numbers: published outputs, the same bits everywhere, and the statistics that training relies on."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats

from toporep import rng

# The first outputs for the seed 1234567, as listed for SplitMix64 on Rosetta Code and reproduced by the C
# implementation of Sebastiano Vigna.
PUBLISHED_SEED = 1234567
PUBLISHED = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]
# Streams whose first outputs cover the wrap-around of 64-bit arithmetic and the sign bit of int64.
STREAMS = [0, 1, PUBLISHED_SEED, 2**63 - 1, 2**63, 2**64 - 1, rng.key(3, "dropout", 5)]


def test_published_outputs() -> None:
    assert rng.bits(PUBLISHED_SEED, 5).tolist() == PUBLISHED


def test_published_outputs_in_torch() -> None:
    outputs = rng.bits_torch(torch.tensor([PUBLISHED_SEED]), 5)
    assert [value % 2**64 for value in outputs[0].tolist()] == PUBLISHED


def test_numpy_and_torch_give_the_same_bits() -> None:
    starts = torch.tensor([stream - 2**64 if stream >= 2**63 else stream for stream in STREAMS])
    outputs = rng.bits_torch(starts, 1000, offset=12345).numpy().view(np.uint64)
    expected = np.stack([rng.bits(stream, 1000, offset=12345) for stream in STREAMS])
    assert (outputs == expected).all()
    assert (expected >= 2**63).any(axis=1).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_draws_the_same_masks() -> None:
    on_gpu = rng.keep_mask(STREAMS, 1000, drop=0.3, offset=7, device="cuda").cpu()
    assert torch.equal(on_gpu, rng.keep_mask(STREAMS, 1000, drop=0.3, offset=7))


def test_an_offset_skips_outputs() -> None:
    assert (rng.bits(9, 5, offset=3) == rng.bits(9, 8)[3:]).all()
    whole = rng.keep_mask([1, 2], 100, drop=0.5)
    parts = [rng.keep_mask([1, 2], 50, drop=0.5, offset=offset) for offset in (0, 50)]
    assert torch.equal(torch.cat(parts, dim=1), whole)


def test_outputs_anywhere_are_those_of_their_streams() -> None:
    assert rng.bits_at(np.array([PUBLISHED_SEED], dtype=np.uint64), np.array([[4, 0], [2, 2]])).tolist() == [
        [PUBLISHED[4], PUBLISHED[0]],
        [PUBLISHED[2], PUBLISHED[2]],
    ]
    places = np.array([0, 7, 10**12, 2**62])
    found = rng.bits_at(np.array(STREAMS, dtype=np.uint64)[:, np.newaxis], places)
    expected = [[int(rng.bits(stream, 1, offset=place)[0]) for place in places.tolist()] for stream in STREAMS]
    assert found.tolist() == expected


def test_keys_differ_in_seed_purpose_and_index() -> None:
    keys = [rng.key(seed, purpose, epoch) for seed in range(20) for purpose in ("a", "b") for epoch in range(20)]
    keys += [rng.key(seed, purpose) for seed in range(20) for purpose in ("a", "b")]
    assert len(set(keys)) == len(keys)
    assert all(0 <= key < 2**64 for key in keys)


def test_a_key_never_changes() -> None:
    """Results of earlier versions stay reproducible only as long as this holds: SHA-256 of "7/dropout/2"."""
    import hashlib

    assert rng.key(7, "dropout", 2) == int.from_bytes(hashlib.sha256(b"7/dropout/2").digest()[:8], "little")


def test_uniform_numbers_fill_their_range_evenly() -> None:
    draws = rng.uniform(rng.key(0, "test"), (100, 200), low=-0.125, high=0.125)
    assert draws.dtype == np.float32 and draws.shape == (100, 200)
    assert draws.min() >= -0.125 and draws.max() < 0.125
    assert stats.kstest(draws.ravel(), "uniform", args=(-0.125, 0.25)).pvalue > 1e-3


def test_a_permutation_holds_each_index_once() -> None:
    assert sorted(rng.permutation(5, 1000)) == list(range(1000))
    assert (rng.permutation(5, 1000) == rng.permutation(5, 1000)).all()
    assert not (rng.permutation(5, 1000) == rng.permutation(6, 1000)).all()


def test_all_permutations_are_equally_likely() -> None:
    counts = Counter(tuple(rng.permutation(rng.key(seed, "order"), 4)) for seed in range(4800))
    assert len(counts) == math.factorial(4)
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


@pytest.mark.parametrize("drop", [0.0, 0.3, 0.5, 0.9])
def test_masks_keep_the_share_that_is_not_dropped(drop: float) -> None:
    streams, count = [rng.key(seed, "dropout", 1) for seed in range(5)], 64 * 121 * 10
    kept = rng.keep_mask(streams, count, drop=drop).double().mean(dim=1)
    spread = math.sqrt(drop * (1 - drop) / count)
    assert torch.all((kept - (1 - drop)).abs() <= 4 * spread)


def test_masks_of_neighbors_epochs_and_seeds_are_independent() -> None:
    count = 64 * 121 * 10
    keys = [rng.key(0, "dropout", 1), rng.key(0, "dropout", 2), rng.key(1, "dropout", 1)]
    first, other_epoch, other_seed = rng.keep_mask(keys, count, drop=0.5).double() * 2 - 1
    limit = 4 / math.sqrt(count)
    for a, b in ((first[1:], first[:-1]), (first[121:], first[:-121]), (first, other_epoch), (first, other_seed)):
        assert abs(float((a * b).mean())) < limit
