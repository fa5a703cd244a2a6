"""The lock file, the conda environments and the project's own ranges name the same versions."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parent.parent
ENVIRONMENTS = sorted((REPOSITORY / "workflow" / "envs").glob("*.yaml"))


def locked() -> dict[str, str]:
    """Versions that the lock file installs with Python 3.11 on Linux."""
    text = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
    here = {"python_version": "3.11", "python_full_version": "3.11.9", "os_name": "posix"}
    here |= {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
    here |= {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
    versions = {}
    for name, version, marker in re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==(\S+)(?: ; (.*?))? \\$", text, re.MULTILINE):
        if not marker or Marker(marker).evaluate(here):
            versions[canonicalize_name(name)] = version
    return versions


def pins(path: Path) -> dict[str, str]:
    """Versions that a conda environment asks pip for."""
    dependencies = yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]
    (packages,) = [part["pip"] for part in dependencies if isinstance(part, dict)]
    requirements = [Requirement(package) for package in packages]
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in requirements}


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_conda_environments_pin_what_the_lock_pins(path):
    lock = locked()
    assert pins(path) == {name: lock[name] for name in pins(path)}


def test_the_lock_satisfies_the_project():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lock = locked()
    for text in project["dependencies"] + project["optional-dependencies"]["test"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(lock[canonicalize_name(requirement.name)]), text


def test_the_versions_that_were_asked_for():
    lock = locked()
    constraints = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    for line in constraints:
        if not line.startswith("#"):
            name, version = line.split("==")
            assert lock[name] == version
    assert lock["torch"] == "2.11.0" and lock["torchvision"] == "0.26.0" and lock["snakemake"] == "9.27.0"


def test_every_locked_package_has_a_hash_and_no_address():
    text = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
    assert "http" not in text
    for block in re.split(r"\n(?=\w)", text):
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_analysis_environment_has_no_torch():
    assert not {"torch", "torchvision"} & set(pins(REPOSITORY / "workflow" / "envs" / "analysis.yaml"))
