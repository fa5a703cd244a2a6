"""A workflow with jobs of every stage that takes a minute or two, and what is compared and looked for at its end.

`truong2025`: prepared images, stacked jobs of training, dumps, metrics, a figure under both of its names, claims.
`keller2021_category`: features, training on features, responses, metrics.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml
from workflow_copies import Copy, environment

ROOT = "results/small"
RUN = "truong2025/mnist/ws/0.5/seed0"
WEIGHTS = f"{ROOT}/runs/{RUN}/weights.safetensors"
DUMP = f"{ROOT}/activations/{RUN}.nc"
METRIC = f"{ROOT}/metrics/truong2025/mnist/morans_i.nc"
FIGURE = f"{ROOT}/figures/truong2025/fig6_colocalization.pdf"
CLAIMS = f"{ROOT}/claims/truong2025.csv"
IMAGES = f"{ROOT}/data/digits.nc"
FEATURES = f"{ROOT}/features/rendered_training.npy"
CATEGORY_RUN = "keller2021_category/imagenet_faces/tvae/0/seed0"
CATEGORY_WEIGHTS = f"{ROOT}/runs/{CATEGORY_RUN}/weights.safetensors"
RESPONSES = f"{ROOT}/responses_faces/{CATEGORY_RUN}.nc"
CATEGORY_METRIC = f"{ROOT}/metrics/keller2021_category/imagenet_faces/selectivity_faces.nc"
TRUONG = (FIGURE, f"{ROOT}/figures/fig6_colocalization.pdf", CLAIMS)
TARGETS = (*TRUONG, CATEGORY_METRIC)

# Laid over `workflow_copies.TINY`.
SMALL = """\
scale: small
stack_size: 10
sequence_size: 10
dump_size: 10
mix_conditions: true
resources:
  train: {gpu: 0}
  features: {gpu: 0, threads: 1}
  responses: {gpu: 0, threads: 1}
overrides:
  truong2025:
    datasets:
      mnist: {epochs: 5}
  keller2021_category:
    features: {network: gabor, size: 64, training: cached}
    image_sets:
      objects: {source: rendered_objects}
      faces: {source: rendered_faces}
      places: {source: rendered_places}
      headless: {source: rendered_headless}
      hands: {source: rendered_hands}
      animate: {source: rendered_animate}
      inanimate: {source: rendered_inanimate}
      big: {source: rendered_big}
      small: {source: rendered_small}
      utkface: {source: rendered_faces_2}
      celeba: {source: rendered_faces_3}
      lfw: {source: rendered_training_faces}
      validation: {source: rendered_validation}
    datasets:
      imagenet_faces: {source: rendered_training, grid: [8, 8]}
    models:
      tvae: {epochs: 2}
      tdann: {epochs: 2}
    conditions:
      tvae: {window: 3, mu: 4.8, seeds: [0]}
      tvae_smallest_window: {window: 3, mu: 4.8}
      tvae_smaller_window: {window: 3, mu: 4.8}
      tvae_larger_window: {window: 3, mu: 4.8}
      tvae_untrained: {window: 3, mu: 4.8, seeds: [0]}
      fc6: {model: tdann, trained: true, dropout: 0.5}
    analyses:
      selectivity_faces: {conditions: [tvae, tdann], settings: {shuffles: 5, splits: 5}}
"""
# Of the demo's rendered images one in so many.
_IMAGES_LEFT_OUT = 10
# Claims that need no analysis but those of the figure and one more.
_ANALYSES = {"colocalization", "morans_i"}


@dataclass(frozen=True)
class World(Copy):
    """A copy of the working tree with the small workflow."""

    @classmethod
    def make(cls, folder: Path) -> World:
        """Copy the working tree; fewer rendered images, and the claims about two analyses alone."""
        world = cls(super().make(folder).folder)
        (folder / "small.yaml").write_text(SMALL, encoding="utf-8")
        _draw_fewer(folder / "config" / "image_sets.yaml")
        _claim_less(folder / "config" / "claims" / "truong2025.yaml")
        return world

    def clone(self, folder: Path) -> World:
        """Copy this copy with its results and Snakemake's records of them."""
        return World(super().clone(folder).folder)

    def fresh(self, folder: Path) -> World:
        """Copy this copy without results and records."""
        shutil.copytree(
            self.folder, folder, symlinks=True, ignore=lambda path, names: {"results", ".snakemake"} & set(names)
        )
        return World(folder)

    def arguments(self, *targets: str, cores: int = 2) -> list[str]:
        """Of a command that makes these targets, all if none is named."""
        return ["--cores", str(cores), "--configfile", "tiny.yaml", "small.yaml", "--", *(targets or TARGETS)]

    def make_targets(self, *targets: str, cores: int = 2) -> subprocess.CompletedProcess:
        return self.snakemake(*self.arguments(*targets, cores=cores))

    def start(self, *targets: str, cores: int = 2, log: Path | None = None) -> subprocess.Popen:
        """Start a command in a session of its own, so that it can be ended with all that it started."""
        with open(log or os.devnull, "ab") as output:
            return subprocess.Popen(
                self.command(*self.arguments(*targets, cores=cores)),
                cwd=self.folder,
                env=environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def path(self, name: str) -> Path:
        return self.folder / name

    def digests(self, *stages: str) -> dict[str, str]:
        """sha256 of every result, by path; without logs and run times, which tell of the moment."""
        root = self.folder / ROOT
        kept = [path for path in root.rglob("*") if path.is_file() and _stage(path, root) not in ("logs", "benchmarks")]
        return {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(kept)
            if not stages or _stage(path, root) in stages
        }

    def leftovers(self) -> list[str]:
        """Temporary files, states of training and locks."""
        root, own = self.folder / ROOT, self.folder / ".snakemake"
        found = [path for path in root.rglob("*") if path.name.endswith(".part") or path.name.startswith(".")]
        found += list((root / "state").rglob("*")) if (root / "state").exists() else []
        found += [path for name in ("locks", "incomplete") for path in (own / name).rglob("*")]
        return sorted(str(path.relative_to(self.folder)) for path in found)


def _stage(path: Path, root: Path) -> str:
    return path.relative_to(root).parts[0]


def _draw_fewer(path: Path) -> None:
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    for source in raw["sources"].values():
        for part in source["parts"]:
            if "rendered" in part:
                part["images"] = max(4, part["images"] // _IMAGES_LEFT_OUT)
    path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")


def _claim_less(path: Path) -> None:
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    raw["claims"] = {name: claim for name, claim in raw["claims"].items() if _analyses(claim["test"]) <= _ANALYSES}
    assert raw["claims"]
    path.write_text(yaml.safe_dump(raw, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _analyses(test: object) -> set[str]:
    """Analyses whose variables a test names; a test that names none (`special`) counts as one of another analysis."""
    if isinstance(test, dict):
        own = {test["value"].split(".")[0]} if isinstance(test.get("value"), str) else set()
        below = [_analyses(each) for each in test.values() if isinstance(each, dict | list)]
        other = {"special"} if "special" in test else set()
        return own.union(other, *below)
    if isinstance(test, list):
        return set().union(*map(_analyses, test))
    return set()
