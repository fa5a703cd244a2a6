"""What a training job is told: runs and the settings that decide their results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toporep.config import canonical_json, sha256_json
from toporep.errors import TopoRepError
from toporep.runs import Run


@dataclass(frozen=True)
class RunSpec:
    """One run, its settings and the data and code that it is trained with."""

    run: Run
    settings: dict[str, Any]
    data_sha256: str
    code_hash: str

    @property
    def config_sha256(self) -> str:
        """Hash of the settings alone."""
        return sha256_json(self.settings)

    @property
    def identity(self) -> str:
        """Hash of everything that decides the run's result: settings, data and code."""
        return sha256_json([self.settings, self.data_sha256, self.code_hash])

    @property
    def loss(self) -> str:
        """Name of the spatial loss, "none" for a control."""
        return self.settings["condition"]["spatial_loss"]

    @property
    def loss_key(self) -> str:
        """Runs with equal keys have the same spatial loss with the same options."""
        condition = self.settings["condition"]
        return canonical_json([condition["spatial_loss"], condition.get("options", {})])


# The parts of a run's settings that differ between the runs of one job.
PER_RUN = ("condition", "strength", "seed")


def pack(settings: list[dict[str, Any]], runs: list[Run]) -> str:
    """Write the settings of several runs as JSON, common parts once (the inverse of `unpack`)."""
    common = {key: value for key, value in settings[0].items() if key not in PER_RUN}
    conditions = {}
    for run, one in zip(runs, settings, strict=True):
        rest = {key: value for key, value in one.items() if key not in PER_RUN}
        if canonical_json(rest) != canonical_json(common):
            raise TopoRepError(f"{run.id}: its settings differ from those of {runs[0].id} in more than the condition")
        conditions[run.condition] = one["condition"]
    return canonical_json({"common": common, "conditions": conditions, "runs": [run.id for run in runs]})


def unpack(text: str) -> list[tuple[Run, dict[str, Any]]]:
    """Read what `pack` wrote: each run with its full settings."""
    job = json.loads(text)
    unpacked = []
    for run in map(Run.parse, job["runs"]):
        settings = {**job["common"], "condition": job["conditions"][run.condition]}
        unpacked.append((run, {**settings, "strength": run.strength, "seed": run.seed}))
    return unpacked


def stack_shape(condition: Mapping[str, Any]) -> dict[str, Any]:
    """What Topographic VAEs of one stack have in common in their condition: all but its name and the grouper.

    Args:
        condition: of the settings of a run.
    """
    common = {key: value for key, value in condition.items() if key not in ("name", "form", "windows")}
    return {**common, "topographic": condition["form"] != "none"}
