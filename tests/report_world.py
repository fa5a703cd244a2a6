"""Results as the other stages leave them, made up: for tests of the report, which computes nothing of them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from toporep.config import merge, read_yaml
from toporep.report.ledger import VERDICTS
from toporep.workflow import Workflow

REPOSITORY = Path(__file__).resolve().parent.parent
# Text that would run, or break the page, if it were not escaped.
HOSTILE = "<script>alert(1)</script> & <b>\"bold\"</b> 'quoted' {{ 7 * 7 }}"

_LEDGER = (
    *("paper", "claim", "dataset", "condition", "family", "variant", "role", "place", "statement", "published", "test"),
    *("criterion", "chance", "verdict", "value", "low", "high", "unit", "effect_size", "deciding_point", "points"),
    *("needed", "holding", "failing", "n_seeds", "source", "scale", "reason", "note"),
)


def configuration(**over: Any) -> dict[str, Any]:
    """The demo's main configuration, with changes."""
    folder = REPOSITORY / "config"
    return merge(merge(read_yaml(folder / "config.yaml"), read_yaml(folder / "demo.yaml")), over)


def demo_workflow(**over: Any) -> Workflow:
    """The workflow of the demo, whose results lie below the current folder."""
    return Workflow.from_config(configuration(**over), REPOSITORY)


def draw(path: str, *, seed: int, size: tuple[int, int] = (60, 40), noise: int = 12) -> None:
    """Write a PNG with lines of its own, and a square of noise that no codec makes smaller."""
    draws = np.random.default_rng(seed)
    image = Image.new("RGBA", size, "white")
    pen = ImageDraw.Draw(image)
    for color in ("black", "#d55e00", "#0072b2"):
        pen.line([tuple(point) for point in draws.integers(0, size, (12, 2)).tolist()], fill=color, width=2)
    image.paste(Image.fromarray(draws.integers(0, 256, (noise, noise, 3), dtype=np.uint8)), (3, 3))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    image.save(path, compress_level=1)


def table(name: str) -> str:
    """Markdown as a table of a paper is."""
    return (
        f"# {name}: a title\n\n"
        "| Model | Numbers         |     E |\n| :---- | --------------- | ----: |\n"
        f"| {name} A | paper | **1.5** |\n|   | here | 2.5 |\n|   | here, untrained | 3.5 |\n|   | null | 4.5 |\n\n"
        f"A note with `code` and {HOSTILE}.\n"
    )


def claim(paper: str, number: int, **over: str) -> dict[str, str]:
    """A row of a ledger."""
    row = dict.fromkeys(_LEDGER, "") | {
        "paper": paper,
        "claim": f"Q{number}",
        "dataset": f"set{number % 3}",
        "condition": f"condition{number % 5}",
        "role": "primary" if number % 4 else "check",
        "place": f"3.{number} Results",
        "statement": f"Statement number {number} of {paper} about networks on a sheet.",
        "published": "above chance",
        "criterion": f"a − b > {number}; all points",
        "chance": "0",
        "verdict": VERDICTS[number % len(VERDICTS)],
        "value": f"{number / 7:.6g}",
        "low": f"{number / 8:.6g}",
        "high": f"{number / 6:.6g}",
        "effect_size": "nan",
        "n_seeds": "5",
        "note": "What we had to decide.",
    }
    return row | over


def write_ledger(path: str, rows: list[dict[str, str]]) -> None:
    """Write rows as the stage of claims does."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _LEDGER, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_benchmark(path: str, **columns: object) -> None:
    """Write time and memory as Snakemake does."""
    row = {"s": 1.0, "h:m:s": "0:00:01", "max_rss": 100.0, "mean_load": 0.0, "cpu_time": 1.0} | columns
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("\t".join(row) + "\n" + "\t".join(map(str, row.values())) + "\n", encoding="utf-8")


def write_provenance(workflow: Workflow, run: Any, **over: Any) -> None:
    """Write what a trained run says of itself."""
    content = {
        "code_hash": "c0de",
        "data_sha256": "da7a" * 16,
        "device": "cpu",
        "seed": run.seed,
        "train_images": 64,
        "settings": {"training": {"epochs": 3, "precision": "float32"}},
        "software": {"python": "3.11.1", "torch": "2.0.1"},
    }
    path = Path(workflow.paths.provenance(run))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content | over), encoding="utf-8")


def write_results(workflow: Workflow, *, rows: int = 8, size: tuple[int, int] = (60, 40), noise: int = 12) -> None:
    """Write every figure, table and ledger below the current folder, three runs and some benchmarks."""
    for seed, pair in enumerate(workflow.figures(comparison=True)):
        draw(workflow.paths.figure(*pair, "png"), seed=seed, size=size, noise=noise)
    for paper, name in workflow.tables(comparison=True):
        path = Path(workflow.paths.table(paper, name, "md"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(table(name), encoding="utf-8")
    for paper in workflow.claimed_papers():
        write_ledger(workflow.paths.claims(paper, ".csv"), [claim(paper, number // 3) for number in range(rows)])
    for run in workflow.runs[:3]:
        write_provenance(workflow, run)
    root = workflow.config.root
    write_benchmark(f"{root}/benchmarks/prepare/digits.tsv", s=2.0, cpu_time=1.5)
    write_benchmark(f"{root}/benchmarks/train/truong2025_mnist_mixed_001.tsv", s=100.0, cpu_time=90.0, max_rss=850.0)
    write_benchmark(f"{root}/benchmarks/train/truong2025_mnist_mixed_002.tsv", s=60.0, cpu_time="NA", max_rss="-")
    write_benchmark(f"{root}/benchmarks/claims/sander2026.tsv", s=4.0, cpu_time=3.0)
