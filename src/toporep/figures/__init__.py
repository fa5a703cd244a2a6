"""Figures: each module `toporep.figures.<paper>.<figure>` draws metric files and computes no statistic.

A figure module has one public function, `draw(inputs)`, that takes the input files by name, in panel order, and
returns the matplotlib figure and the table of the numbers drawn in it.
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
    package = importlib.import_module(f"{__name__}.{_known('paper', paper, _submodules(__name__))}")
    name = _known(f"figure of {paper}", figure, _submodules(package.__name__))
    return importlib.import_module(f"{package.__name__}.{name}")


def _submodules(package: str) -> list[str]:
    # Papers are packages; beside them in this folder lie plain modules (style, export), which draw nothing.
    top = package == __name__
    found = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return [module.name for module in found if module.ispkg == top]


def _known(kind: str, name: str, known: list[str]) -> str:
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known
    raise TopoRepError(f"no {kind} is named {name!r}; near names: {', '.join(near)}")
