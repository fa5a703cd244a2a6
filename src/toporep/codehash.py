"""Hash of the code that a stage's numbers depend on.

Snakemake does not look into imported modules. Each rule therefore carries, as a parameter, a hash of
its command's module and of every TopoRep module that it imports, directly or not. Comments, docstrings
and layout do not count: the hash is taken over the syntax tree.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from pathlib import Path

_PACKAGE = "toporep"
_SOURCE = Path(__file__).resolve().parent

# Modules that move bytes, name files, choose settings or talk to the user; a package stands for all that is in it. No
# number depends on them but through what a stage is told: settings have a hash of their own, file schemas versions,
# and public images are known by their checksums wherever they were found. A new schema, path, mirror or kind of
# network must not outdate every trained network.
PLUMBING = frozenset(
    {
        "toporep.catalog",
        "toporep.codehash",
        "toporep.config",
        "toporep.controller",
        "toporep.data.download",
        "toporep.data.local",
        "toporep.data.registry",
        "toporep.errors",
        "toporep.exports",
        "toporep.io",
        "toporep.kinds",
        "toporep.provenance",
        "toporep.runs",
        "toporep.schemas",
        "toporep.settings",
        "toporep.tensors",
        "toporep.train.progress",
        "toporep.workflow",
    }
)


def code_hash(*roots: str) -> str:
    """Return a hash (16 hex digits) of the named modules and of all TopoRep modules that they import.

    Args:
        roots: full module names, e.g. "toporep.cli.train".
    """
    digest = hashlib.sha256()
    for module in sorted(dependencies(*roots)):
        digest.update(f"{module}\0{_module(module)[0]}\0".encode())
    return digest.hexdigest()[:16]


def dependencies(*roots: str) -> set[str]:
    """Names of the modules that a hash of `roots` covers."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        if module in found or _is_plumbing(module):
            continue
        found.add(module)
        waiting.extend(_module(module)[1])
    return found


def _is_plumbing(module: str) -> bool:
    parts = module.split(".")
    return any(".".join(parts[:length]) in PLUMBING for length in range(1, len(parts) + 1))


@functools.cache
def _module(module: str) -> tuple[str, frozenset[str]]:
    """Hash of a module's syntax tree, and the TopoRep modules that it imports."""
    path = _path(module)
    if path is None:
        raise ModuleNotFoundError(f"no module {module!r} below {_SOURCE.name}")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = frozenset(_imports(tree))
    _drop_docstrings(tree)
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), imported


def _imports(tree: ast.Module) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                modules.add(inner if _path(inner) else node.module)
    return {module for module in modules if module.split(".")[0] == _PACKAGE and _path(module)}


def _path(module: str) -> Path | None:
    parts = module.split(".")
    if parts[0] != _PACKAGE:
        return None
    base = _SOURCE.joinpath(*parts[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _drop_docstrings(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body
            if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
                node.body = body[1:] or [ast.Pass()]
