"""Copies of the repository in which tests run the real `snakemake` command, and a workflow of a few seconds."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent

# Two data sets, one strength: as few and as short jobs as figures of all kinds take.
TINY = """\
scale: tiny
stack_size: 2
dump_size: 2
resources:
  train: {gpu: 0}
overrides:
  truong2025:
    datasets:
      mnist: {source: digits, seeds: [0, 1], epochs: 4, train_images: 512, validation_images: 32, test_images: 60}
      cifar10: {source: objects, seeds: [0], epochs: 1, train_images: 64, validation_images: 32, test_images: 60}
    conditions:
      ws: {strengths: [0.5]}
      as: {strengths: [0.5]}
      as_reshaped: {strengths: [0.5]}
      global: {strengths: [0.5]}
    analyses:
      colocalization: {settings: {relabellings: 20}}
    figures:
      fig10_angular_maps: {models: 1}
      figA3_global_maps: {strengths: [0.5], models: 2}
      figX4_two_readings_of_as: {strengths: [0.5]}
      figA1_training_mnist: {strength: 0.5}
      figA2_training_cifar10: {strength: 0.5}
      fig7_activation_maps: {strengths: [0.5], models: 2}
"""


@dataclass(frozen=True)
class Copy:
    """A copy of the working tree, with `tiny.yaml` beside the Snakefile."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Copy:
        """Copy the working tree without what git ignores."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=REPOSITORY,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for name in filter(None, listed.split("\0")):
            if (REPOSITORY / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(REPOSITORY / name, folder / name)
        (folder / "tiny.yaml").write_text(TINY, encoding="utf-8")
        return cls(folder)

    def clone(self, folder: Path) -> Copy:
        """Copy this copy with its results and Snakemake's records of them."""
        shutil.copytree(self.folder, folder, symlinks=True, dirs_exist_ok=True)
        return Copy(folder)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "snakemake", *arguments]

    def snakemake(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
        """Run Snakemake here, in `environment()` or another one; standard error is joined to standard output."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=env or environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=3000,
        )

    def planned(self, *arguments: str) -> set[str]:
        """Files that a dry run would make, below the folder of the results."""
        done = self.snakemake("--dry-run", *arguments)
        assert done.returncode == 0, done.stdout
        return outputs(done.stdout)

    def tiny(self, *arguments: str, change: str | None = None) -> list[str]:
        """Arguments for the tiny scale; `change` is YAML laid over it."""
        files = ["tiny.yaml"]
        if change is not None:
            (self.folder / "change.yaml").write_text(change, encoding="utf-8")
            files.append("change.yaml")
        return [*arguments, "--configfile", *files]

    @contextlib.contextmanager
    def edited(self, edits: dict[str, str]) -> Iterator[None]:
        """Append text to files for a while."""
        before = {self.folder / name: (self.folder / name).read_text(encoding="utf-8") for name in edits}
        try:
            for name, text in edits.items():
                path = self.folder / name
                path.write_text(before[path] + text, encoding="utf-8")
            yield
        finally:
            for path, text in before.items():
                path.write_text(text, encoding="utf-8")

    def files(self, *patterns: str) -> dict[str, bytes]:
        """Content of the result files that match, by path below the results of the tiny scale."""
        root = self.folder / "results" / "tiny"
        found = {path for pattern in patterns for path in root.glob(pattern) if path.is_file()}
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(found)}


def environment() -> dict[str, str]:
    """One thread, and no way to this checkout's own code."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "TOPOREP_DATA")}
    return {**kept, "OMP_NUM_THREADS": "1"}


def outputs(text: str) -> set[str]:
    """Outputs of all jobs that Snakemake announced, below `results/` or `results/<scale>/`."""
    lines = re.findall(r"^    output: (.*)$", text, flags=re.MULTILINE)
    files = [name for line in lines for name in line.split(", ")]
    stages = r"data|runs|activations|tuning|image_noise|noise_logits|metrics|figures|tables|claims"
    return {re.sub(rf"^results/(?:\w+/)?(?=(?:{stages})/)", "", name) for name in files}
