"""A change of the code that training depends on changes its hash; a change of words or of other code does not."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from data_files import subprocess_environment

from toporep import codehash

TRAIN = "toporep.cli.train"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package that a test may edit."""
    copy = tmp_path / "toporep"
    shutil.copytree(codehash._SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(codehash, "_SOURCE", copy)
    codehash._module.cache_clear()
    yield copy
    codehash._module.cache_clear()


def edited_hash(package: Path, module: str, edit: Callable[[str], str], root: str = TRAIN) -> tuple[str, str]:
    """The hash before and after an edit of a module's text."""
    before = codehash.code_hash(root)
    path = package / module
    text = path.read_text(encoding="utf-8")
    assert edit(text) != text
    path.write_text(edit(text), encoding="utf-8")
    codehash._module.cache_clear()
    return before, codehash.code_hash(root)


def test_the_copy_has_the_hash_of_the_original(package: Path) -> None:
    copied = codehash.code_hash(TRAIN)
    code = "from toporep import codehash; print(codehash.code_hash('toporep.cli.train'))"
    command = [sys.executable, "-c", code]
    original = subprocess.run(command, check=True, capture_output=True, text=True, env=subprocess_environment())
    assert original.stdout.strip() == copied
    assert re.fullmatch("[0-9a-f]{16}", copied)


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text + "\n# A remark.\n",
        lambda text: text.replace('"""', '"""Other words: ', 1),
        lambda text: text.replace("\n\n\n", "\n\n\n\n\n"),
        lambda text: text.replace("    ", "        "),
        lambda text: re.sub(r"\(\n\s+", "(", text),
    ],
    ids=["comment", "docstring", "blank lines", "indentation", "line breaks"],
)
@pytest.mark.parametrize("module", ["losses/spatial.py", "train/engine.py", "rng.py"])
def test_words_and_layout_do_not_count(package: Path, module: str, edit) -> None:
    before, after = edited_hash(package, module, edit)
    assert before == after


@pytest.mark.parametrize(
    "module, old, new",
    [
        ("losses/spatial.py", "NORM_PRODUCT_OFFSET = 1e-8", "NORM_PRODUCT_OFFSET = 1e-7"),
        ("sheet.py", "(right, down_left, down, down_right)", "(right, down)"),
        ("rng.py", "_LAST_SHIFT = 31", "_LAST_SHIFT = 30"),
        ("models/cnn.py", "channels = (32, 64)", "channels = (32, 65)"),
        ("models/layers.py", "momentum: float = 0.1", "momentum: float = 0.2"),
        ("models/inputs.py", "255 * std", "256 * std"),
        ("train/engine.py", '"batches"', '"order"'),
        ("train/objective.py", "cross_entropy + self.strength", "cross_entropy - self.strength"),
        ("train/job.py", '"threads": torch', '"thread": torch'),
    ],
)
def test_an_edit_of_what_training_runs_counts(package: Path, module: str, old: str, new: str) -> None:
    before, after = edited_hash(package, module, lambda text: text.replace(old, new))
    assert before != after


@pytest.mark.parametrize(
    "module",
    ["metrics/morans_i.py", "figures/style.py", "analyses/morans_i.py", "cli/figure.py", "cli/activations.py"],
)
def test_an_edit_of_another_stage_does_not_count(package: Path, module: str) -> None:
    before, after = edited_hash(package, module, lambda text: text + "\nraise SystemExit\n")
    assert before == after


def test_plumbing_does_not_count(package: Path) -> None:
    for module in sorted(codehash.PLUMBING):
        path = codehash._path(module).relative_to(package)
        before, after = edited_hash(package, str(path), lambda text: text + "\nraise SystemExit\n")
        assert before == after, module


def test_a_package_of_the_plumbing_stands_for_all_that_is_in_it(package: Path) -> None:
    (package / "probe.py").write_text("from toporep.kinds import cnn, kind_of\nfrom toporep import rng\n")
    assert codehash.dependencies("toporep.probe") == {"toporep.probe", "toporep.rng"}
    assert not codehash._is_plumbing("toporep.kinds_of_noise") and not codehash._is_plumbing("toporep")


def test_an_edit_of_a_metric_counts_for_its_analysis(package: Path) -> None:
    before, after = edited_hash(
        package, "metrics/morans_i.py", lambda text: text + "\nx = 1\n", root="toporep.analyses.morans_i"
    )
    assert before != after


@pytest.mark.parametrize("command", ["train", "activations"])
def test_the_hash_covers_every_module_that_python_loads(command: str) -> None:
    """Python itself says what a command imports.

    Packages gather names and hold no code; that of `data` also loads what fetches images, which are known by their
    checksum. The plumbing's own imports are not followed.
    """
    code = f"import sys, toporep.cli.{command}; print(*(name for name in sys.modules if name.startswith('toporep')))"
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=subprocess_environment()
    )
    loaded = {name for name in result.stdout.split() if not is_package(name)}
    covered = codehash.dependencies(f"toporep.cli.{command}")
    assert f"toporep.cli.{command}" in covered and "toporep.rng" in covered
    assert {name for name in loaded - covered if not name.startswith("toporep.data.")} <= codehash.PLUMBING


def is_package(name: str) -> bool:
    return (codehash._SOURCE.joinpath(*name.split(".")[1:])).is_dir()


def test_no_module_uses_relative_imports_which_the_hash_would_not_see() -> None:
    for path in codehash._SOURCE.rglob("*.py"):
        assert not re.search(r"^\s*from \.", path.read_text(encoding="utf-8"), flags=re.M), path


def test_an_unknown_module_is_an_error() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"toporep\.cli\.trian"):
        codehash.code_hash("toporep.cli.trian")
