"""Figures: each module `toporep.figures.<paper>.<figure>` draws metric files and computes no statistic.

A figure module is named `fig…` and has a function `draw(inputs)` that takes the input files by name, in panel order,
and returns the matplotlib figure and the table of the numbers drawn in it. Other modules of a paper hold what its
figures share.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from types import ModuleType

from toporep.errors import TopoRepError


def figure_module(paper: str, figure: str) -> ModuleType:
    """Import the module that draws `figure` of `paper`.

    Raises:
        TopoRepError: no such paper or figure; the message lists the near names.
    """
    package = importlib.import_module(f"{__name__}.{_known('paper', paper, _papers())}")
    name = _known(f"figure of {paper}", figure, _figures(package))
    return importlib.import_module(f"{package.__name__}.{name}")


def _papers() -> list[str]:
    # Beside the papers, which are packages, lie plain modules (style, export).
    return [module.name for module in pkgutil.iter_modules(__path__) if module.ispkg]


def _figures(package: ModuleType) -> list[str]:
    return [module.name for module in pkgutil.iter_modules(package.__path__) if module.name.startswith("fig")]


def _known(kind: str, name: str, known: list[str]) -> str:
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known
    raise TopoRepError(f"no {kind} is named {name!r}; near names: {', '.join(near)}")
