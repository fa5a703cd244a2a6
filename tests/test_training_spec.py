"""What a training job is told, on one command line."""

from __future__ import annotations

import json

import pytest
from training_jobs import CODE_HASH, run_of, settings_of, specs_of, tiny_images

from toporep.config import canonical_json
from toporep.errors import TopoRepError
from toporep.train.spec import RunSpec, pack, unpack

RUNS = [run_of("MnistCNN", *run) for run in [("control", 0, 0), ("ws", 0.5, 0), ("ws", 3, 1), ("as_reshaped", 0.1, 9)]]


def test_unpacking_gives_what_was_packed() -> None:
    settings = [settings_of("MnistCNN", run) for run in RUNS]
    unpacked = unpack(pack(settings, RUNS))
    assert [run for run, _ in unpacked] == RUNS
    assert [canonical_json(one) for _, one in unpacked] == [canonical_json(one) for one in settings]


def test_common_settings_are_written_once() -> None:
    runs = [run_of("MnistCNN", "ws", 0.5, seed) for seed in range(100)]
    text = pack([settings_of("MnistCNN", run) for run in runs], runs)
    assert text.count("learning_rate") == 1
    assert len(text) < 5000  # 100 runs fit on a command line


def test_runs_of_different_training_settings_are_refused() -> None:
    settings = [settings_of("MnistCNN", RUNS[0]), settings_of("MnistCNN", RUNS[1], epochs=9)]
    with pytest.raises(TopoRepError, match="truong2025/mnist/ws/0.5/seed0: its settings differ"):
        pack(settings, RUNS[:2])


@pytest.mark.parametrize("part", ["settings", "data", "code"])
def test_the_identity_depends_on_settings_data_and_code(part: str) -> None:
    data = tiny_images("MnistCNN")
    (spec,) = specs_of("MnistCNN", RUNS[1:2], data)
    other = {
        "settings": RunSpec(
            spec.run, settings_of("MnistCNN", spec.run, learning_rate=0.002), data.data_sha256, CODE_HASH
        ),
        "data": RunSpec(spec.run, spec.settings, tiny_images("MnistCNN", seed=1).data_sha256, CODE_HASH),
        "code": RunSpec(spec.run, spec.settings, data.data_sha256, "0" * 16),
    }[part]
    assert other.identity != spec.identity
    assert (other.config_sha256 != spec.config_sha256) == (part == "settings")


def test_the_identity_does_not_depend_on_how_numbers_and_keys_are_written() -> None:
    data = tiny_images("MnistCNN")
    (spec,) = specs_of("MnistCNN", RUNS[2:3], data)
    rewritten = json.loads(json.dumps(dict(reversed(spec.settings.items()))))
    rewritten["strength"] = 3
    assert RunSpec(spec.run, rewritten, data.data_sha256, CODE_HASH).identity == spec.identity
