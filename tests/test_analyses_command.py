from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from activation_dumps import write_dumps

import toporep
from toporep.cli import analyze
from toporep.errors import TopoRepError
from toporep.io import read_dataset

RUNS = [("control", 0.0, 0), ("control", 0.0, 1), ("ws", 0.1, 0), ("ws", 0.1, 1)]


def arguments(folder, analysis, dumps, **options):
    options = {"scale": "demo", "output": folder / "metric.nc", "summary": folder / "summary.nc", **options}
    flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    return [analysis, *flags, *dumps]


@pytest.mark.parametrize("analysis", ["colocalization", "morans_i"])
def test_same_dumps_give_the_same_bytes(tmp_path, analysis):
    paths = write_dumps(tmp_path, RUNS)
    (tmp_path / "list.txt").write_text("\n".join(paths) + "\n")
    settings = json.dumps({"relabellings": 20} if analysis == "colocalization" else {})
    for folder, dumps in (("a", ["--dumps", *paths]), ("b", ["--dumps-from", str(tmp_path / "list.txt")])):
        analyze.main(arguments(tmp_path / folder, analysis, dumps, settings=settings))
    for name in ("metric.nc", "summary.nc"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert read_dataset(tmp_path / "a" / "metric.nc", analysis).sizes["run"] == 4
    assert read_dataset(tmp_path / "a" / "summary.nc", f"{analysis}_summary").sizes["point"] == 2


@pytest.mark.parametrize(
    ("analysis", "options", "message"),
    [
        ("dumps", {}, "analysis: expected one of .*colocalization.*, found 'dumps'"),
        ("entropy", {}, "found 'entropy'"),
        ("morans_i", {"settings": "{"}, "--settings: not JSON"),
        ("morans_i", {"settings": "[1]"}, "--settings: expected a JSON object"),
        ("morans_i", {"settings": '{"neighborhood": "bishop"}'}, "neighborhood: expected one of queen, rook"),
        ("morans_i", {"scale": "paper"}, "expected a dump of scale 'paper', found 'demo'"),
    ],
)
def test_refuses_and_writes_nothing(tmp_path, analysis, options, message):
    paths = write_dumps(tmp_path, RUNS[:1])
    with pytest.raises(TopoRepError, match=message):
        analyze.main(arguments(tmp_path / "out", analysis, ["--dumps", *paths], **options))
    assert not (tmp_path / "out").exists()


def test_a_strength_without_one_of_the_seeds_is_named_and_nothing_is_written(tmp_path):
    paths = write_dumps(tmp_path, [*RUNS, ("ws", 0.3, 0)])
    with pytest.raises(
        TopoRepError, match="condition 'ws' at strength 0.3 lacks seed 1, which it has at other strengths"
    ):
        analyze.main(arguments(tmp_path / "out", "morans_i", ["--dumps", *paths]))
    assert not (tmp_path / "out").exists()


def test_a_condition_may_have_more_networks_than_others(tmp_path):
    paths = write_dumps(tmp_path, [*RUNS, ("ws", 0.1, 2)])
    analyze.main(arguments(tmp_path / "out", "morans_i", ["--dumps", *paths]))
    assert read_dataset(tmp_path / "out" / "summary.nc", "morans_i_summary")["n"].values.tolist() == [2, 3]


def test_a_missing_list_is_named(tmp_path):
    with pytest.raises(TopoRepError, match="--dumps-from: .*absent.txt cannot be read"):
        analyze.main(arguments(tmp_path, "morans_i", ["--dumps-from", str(tmp_path / "absent.txt")]))


def test_command_tells_a_mistake_in_one_line(tmp_path):
    done = call("-m", "toporep.cli.analyze", *arguments(tmp_path, "morans_i", ["--dumps", str(tmp_path / "absent.nc")]))
    assert done.returncode == 1
    assert (
        done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and "absent.nc: no such file" in done.stderr
    )


def test_command_imports_its_own_analysis_and_never_torch(tmp_path):
    wanted = arguments(tmp_path, "morans_i", ["--dumps", *write_dumps(tmp_path, RUNS[:1])])
    code = f"import sys; from toporep.cli import analyze; analyze.main({wanted!r}); print(*sys.modules, sep='\\n')"
    imported = call("-c", code).stdout.split()
    assert "toporep.analyses.morans_i" in imported
    assert not {"torch", "toporep.analyses.colocalization"} & set(imported)


def call(*command):
    environment = {**os.environ, "PYTHONPATH": str(Path(toporep.__file__).parents[1])}
    return subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
