"""The benchmark: what it counts, what it compares, and that it says what it did not measure."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
import torch

from toporep.benchmark import measure
from toporep.benchmark.measure import Row, count_operations, measure_workload, product_rate
from toporep.benchmark.table import NOT_MEASURED, as_csv, markdown
from toporep.benchmark.workloads import WORKLOADS, Way, make_training
from toporep.cli.benchmark import main
from toporep.errors import TopoRepError

CONFIG = Path(__file__).parents[1] / "config"
CPU = torch.device("cpu")
CUDA = torch.device("cuda")
BY_NAME = {workload.name: workload for workload in WORKLOADS}


@pytest.fixture(autouse=True)
def one_thread(restore_torch: None) -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    torch.set_num_threads(1)
    return measure_workload(
        BY_NAME["mnist_cnn"], config=CONFIG, device=CPU, precisions=["float32"], stacks=[2], rounds=1, steps=2
    )


def test_every_engine_of_the_four_papers_is_timed() -> None:
    assert {workload.paper for workload in WORKLOADS} == {
        "truong2025",
        "sander2026",
        "keller2021_capsules",
        "keller2021_category",
    }
    assert len(BY_NAME) == len(WORKLOADS)


@pytest.mark.parametrize(
    "name, steps",
    [("mnist_cnn", 15 * 750), ("cifar10_cnn", 30 * 625), ("mnist_tvae", 100 * 6000), ("resnet18_ce", 17600)],
)
def test_a_run_has_the_steps_of_the_paper(name: str, steps: int) -> None:
    """48,000 and 40,000 images in batches of 64; 48,000 in whole batches of 8; 45,000 in batches of 512."""
    workload = BY_NAME[name]
    assert workload.paper_steps(workload.settings(CONFIG)[0][1]["training"]) == steps


def test_all_runs_of_the_papers_sweeps_can_share_a_stack() -> None:
    """190 networks of a data set; nine conditions of one shape, three seeds each, of the Topographic VAEs."""
    for name, count in (("mnist_cnn", 190), ("cifar10_cnn", 190), ("mnist_tvae", 27)):
        workload = BY_NAME[name]
        assert len(workload.settings(CONFIG)) == count == max(workload.stacks["cuda"])
    assert BY_NAME["mnist_cnn"].settings(CONFIG)[0][0].condition == "ws"


@pytest.mark.parametrize(
    "name, layers",
    [
        # (positions, inputs, outputs, whether inputs need a gradient) of convolutions and linear layers.
        ("mnist_cnn", [(784, 9, 32, 0), (196, 288, 64, 1), (1, 64, 121, 1), (1, 121, 10, 1)]),
        (
            "cifar10_cnn",
            [
                (1024, 27, 32, 0),
                (256, 288, 64, 1),
                (64, 576, 128, 1),
                (16, 1152, 256, 1),
                (1, 256, 121, 1),
                (1, 121, 10, 1),
            ],
        ),
    ],
)
def test_operations_of_a_step_are_those_of_its_layers(name: str, layers: list[tuple[int, int, int, int]]) -> None:
    """Two a weight and position forward, two for its gradient, two for the gradient of the inputs.

    Spatial losses add products of the sheet, a thousandth of this.
    """
    workload = BY_NAME[name]
    expected = 64 * sum(2 * positions * ins * outs * (2 + needed) for positions, ins, outs, needed in layers)
    training = make_training(workload, workload.settings(CONFIG)[:1], Way(), stacked=False, device=CPU, steps=1)
    assert count_operations(training, CPU) == pytest.approx(expected, rel=5e-3)


def test_a_stack_is_compared_with_a_run_alone(rows: list[Row]) -> None:
    alone, *stacks = rows
    assert [(row.stack, row.way) for row in rows] == [(1, "–"), (2, "unfold"), (2, "grouped")]
    assert alone.ratio == 1
    for row in stacks:
        assert row.ratio == pytest.approx(2 * row.steps_per_second / alone.steps_per_second)
        assert row.runs_per_hour == pytest.approx(2 * 3600 * row.steps_per_second / 11_250)
        assert row.gigaflop == pytest.approx(2 * alone.gigaflop)
        assert row.share == pytest.approx(row.gigaflop * row.steps_per_second / row.ceiling)
        # On one core a stack is neither ten times as fast nor ten times as slow as its runs one by one.
        assert 0.1 < row.ratio < 10
        assert 0.02 < row.share < 2


def test_steps_are_timed_after_the_warm_up_and_training_ends_with_them() -> None:
    now = [0.0]
    clock = measure._Clock(warm_up=2, last=5, per_step=3, timer=lambda: now[0])
    with pytest.raises(measure._Enough):
        for seconds in (100, 50, 1, 2, 3):
            now[0] += seconds
            clock.advance(3, label="", epoch=1, epochs=1)
    assert clock.rate == pytest.approx(3 / 6)


def test_a_training_that_ends_too_soon_is_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    workload = BY_NAME["mnist_cnn"]
    training = make_training(workload, workload.settings(CONFIG)[:1], Way(), stacked=False, device=CPU, steps=2)
    clock = measure._Clock(warm_up=0, last=3, per_step=1, timer=lambda: 0.0)
    with pytest.raises(RuntimeError, match="before all steps"):
        measure._run(training, CPU, clock)


def test_the_rate_of_products_is_that_of_operations() -> None:
    """An eighth of the work takes less time: what is counted is operations, not calls."""
    rates = [product_rate((1, 256, size, 256), precision="float32", device=CPU) for size in (64, 512)]
    assert all(1e8 < rate < 1e13 for rate in rates) and 0.1 < rates[0] / rates[1] < 10


@pytest.mark.parametrize("name", ["mnist_tvae", "resnet18_ce"])
def test_engines_without_a_choice_of_convolution_are_timed(name: str) -> None:
    rows = measure_workload(
        BY_NAME[name], config=CONFIG, device=CPU, precisions=["float32"], stacks=[2], rounds=1, steps=1
    )
    assert [row.stack for row in rows] == ([1, 2] if name == "mnist_tvae" else [1])
    assert all(row.steps_per_second > 0 and row.share > 0.02 for row in rows)


def test_a_smaller_batch_on_a_cpu_says_nothing_of_runs_per_hour() -> None:
    (row,) = measure_workload(
        BY_NAME["resnet18_ce"], config=CONFIG, device=CPU, precisions=["float32"], rounds=1, steps=1
    )
    assert row.batch < 512 and row.runs_per_hour is None
    assert NOT_MEASURED in markdown([row])


def test_a_gpu_is_offered_every_precision_and_way(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = BY_NAME["mnist_cnn"].ways(["float32", "tf32", "bf16"], CUDA)
    assert len(ways) == 3 * (1 + 2 + 1 + 2) and len({way for way in ways}) == len(ways)
    first = [next(way for way, _ in ways if way.precision == name) for name in ("float32", "tf32", "bf16")]
    assert all(way == Way(way.precision) for way in first)
    compiled = [way.compile for way, _ in BY_NAME["resnet18_ce"].ways(["bf16"], CUDA)]
    assert compiled == [False, True]
    assert [way.precision for way, _ in BY_NAME["category_tvae"].ways(["tf32", "bf16"], CUDA)] == ["float32"]


def test_the_table_says_what_was_not_measured() -> None:
    row = Row("mnist_cnn", "cpu", "bf16", "unfold", 190, 64, note="out of memory")
    other = Row("category_tvae", "cpu", "float32", "–", 1, 128, steps_per_second=0.5, ratio=1.0)
    lines = markdown([row, other]).splitlines()
    assert len(lines) == 4 and len({len(line) for line in lines}) == 1
    assert lines[2].count("out of memory") == 6 and lines[3].count(NOT_MEASURED) == 4
    found = list(csv.DictReader(io.StringIO(as_csv([row, other]))))
    assert found[0]["steps_per_second"] == "out of memory"
    assert found[1]["runs_per_hour"] == NOT_MEASURED and found[1]["steps_per_second"] == "0.5"


def test_the_command_prints_one_table_and_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    output = tmp_path / "benchmark.csv"
    arguments = ["--engine", "mnist_cnn", "--stack", "2", "--rounds", "1", "--steps", "1", "--device", "cpu"]
    assert main([*arguments, "--config", str(CONFIG), "--output", str(output)]) == 0
    table = capsys.readouterr().out.splitlines()
    found = list(csv.DictReader(output.open(encoding="utf-8")))
    assert len(table) == 2 + len(found) == 5 and table[0].startswith("| engine")
    assert {row["device"] for row in found} == {"cpu"}


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(TopoRepError, match="--config: expected the folder of the configuration"):
        main(["--device", "cpu", "--config", str(tmp_path)])
    with pytest.raises(TopoRepError, match="--stack: mnist_cnn has 190 runs that can share a stack, found 191"):
        main(["--device", "cpu", "--config", str(CONFIG), "--engine", "mnist_cnn", "--stack", "191"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["mnist_cnn", "mnist_tvae", "resnet18_ce"])
def test_every_way_is_timed_on_a_gpu(name: str) -> None:
    rows = measure_workload(
        BY_NAME[name], config=CONFIG, device=CUDA, precisions=["tf32", "bf16"], stacks=[3], rounds=1, steps=60
    )
    assert all(row.steps_per_second > 0 and row.peak_megabytes > 0 for row in rows)
