"""The manifest of a paper's published results: which files there are, with their sha256, and where they come from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from toporep.config import merge, read_yaml
from toporep.errors import TopoRepError

ROOT = "results/published"
FORMAT = 1
_KEYS = {"format", "paper", "scale", "datasets", "files"}


def manifest_path(root: str | os.PathLike, paper: str) -> Path:
    """Where the manifest of a paper lies."""
    return Path(root) / paper / "manifest.json"


def runs_path(paper: str) -> str:
    """Where the runs behind a paper's metric files are listed, below the published folder."""
    return f"{paper}/runs.csv"


def published_papers(root: str | os.PathLike) -> list[str]:
    """Papers of which something is published, sorted."""
    return sorted(path.parent.name for path in Path(root).glob("*/manifest.json"))


def read_manifest(root: str | os.PathLike, paper: str) -> dict[str, Any]:
    """The manifest of a paper.

    Raises:
        TopoRepError: there is none, it is damaged, or of another format.
    """
    path = manifest_path(root, paper)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        published = ", ".join(published_papers(root)) or "nothing"
        raise TopoRepError(f"{path}: no such file; {published} is published in {root}") from error
    except (OSError, ValueError) as error:
        raise TopoRepError(
            f"{path}: cannot be read as JSON ({error}); restore it with git, or remove it and publish again"
        ) from error
    if not isinstance(content, dict) or set(content) != _KEYS or content["format"] != FORMAT:
        raise TopoRepError(
            f"{path}: expected format {FORMAT} with {', '.join(sorted(_KEYS))}; restore it with git, or remove it and "
            "publish again"
        )
    if content["paper"] != paper:
        raise TopoRepError(f"{path}: expected paper {paper!r}, found {content['paper']!r}; restore it with git")
    return content


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """A manifest as it is written: sorted, so that the same content gives the same bytes."""
    return json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def check(root: str | os.PathLike, paper: str) -> dict[str, Any]:
    """Compare a paper's published files with their manifest.

    Returns:
        The manifest.

    Raises:
        TopoRepError: one line for each file that is missing, changed or not in the manifest.
    """
    manifest = read_manifest(root, paper)
    unlisted = [f"{path}: not in the manifest" for path in _unlisted(Path(root), paper, manifest["files"])]
    _raise_all([*_changed(Path(root), manifest["files"]), *unlisted], root, paper)
    return manifest


def check_files(root: str | os.PathLike, paper: str, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Compare some published files of a paper, entries of its manifest, with what is there.

    Raises:
        TopoRepError: one line for each file that is missing or changed.
    """
    _raise_all(_changed(Path(root), files), root, paper)


def sha256_of(path: str | os.PathLike) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return sha256_of_bytes(Path(path).read_bytes())


def sha256_of_bytes(content: bytes) -> str:
    """SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def configuration(folder: str | os.PathLike, manifests: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The main configuration of the paper's scale, with the overrides under which results were published.

    Args:
        folder: that holds `config/`.
        manifests: of the papers.
    """
    main = read_yaml(Path(folder) / "config" / "config.yaml")
    for manifest in manifests:
        for dataset in manifest["datasets"].values():
            main = merge(main, {"overrides": {manifest["paper"]: dataset["overrides"]}})
    return main


def _changed(root: Path, files: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each file that is not what its entry in the manifest says."""
    lines = []
    for name, entry in files.items():
        path = root / name
        if not path.is_file():
            lines.append(f"{path}: in the manifest, but not there")
        elif (found := sha256_of(path)) != entry["sha256"]:
            lines.append(f"{path}: expected sha256 {entry['sha256'][:12]}…, found {found[:12]}…")
    return lines


def _raise_all(lines: list[str], root: str | os.PathLike, paper: str) -> None:
    if lines:
        advice = f"restore {root} with git, or publish all data sets of {paper} again"
        raise TopoRepError("\n".join([*lines, f"{manifest_path(root, paper)}: {advice}"]))


def _unlisted(root: Path, paper: str, files: Iterable[str]) -> list[Path]:
    """Files that lie where a paper's published ones do, and are none."""
    listed = {root / name for name in files} | {manifest_path(root, paper)}
    places = (root / paper, root / "metrics" / paper)
    # A temporary file is a leftover of a command that was killed, and of no consequence.
    return sorted(
        path
        for place in places
        for path in place.rglob("*")
        if path.is_file() and path not in listed and path.suffix != ".part"
    )
