"""Finding the module that makes a figure or a table: `toporep.<kind>s.<paper>.<name>`."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Sequence
from types import ModuleType

from toporep.errors import TopoRepError


def named_module(kind: str, paper: str, *, name: str, prefix: str) -> ModuleType:
    """Import the module of one figure or table of a paper.

    Args:
        kind: "figure" or "table"; `toporep.figures` or `toporep.tables` holds a package for each paper.
        paper: key of the paper.
        name: of the module.
        prefix: with which modules of this kind begin; others hold what they share.

    Raises:
        TopoRepError: no such paper or name; the message lists the near ones.
    """
    papers = importlib.import_module(f"toporep.{kind}s")
    # Beside the papers, which are packages, lie plain modules such as `export`.
    known = [module.name for module in pkgutil.iter_modules(papers.__path__) if module.ispkg]
    package = importlib.import_module(f"{papers.__name__}.{_known('paper', paper, known)}")
    known = [module.name for module in pkgutil.iter_modules(package.__path__) if module.name.startswith(prefix)]
    return importlib.import_module(f"{package.__name__}.{_known(f'{kind} of {paper}', name, known)}")


def _known(kind: str, name: str, known: Sequence[str]) -> str:
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known
    raise TopoRepError(f"no {kind} is named {name!r}; near names: {', '.join(near)}")
