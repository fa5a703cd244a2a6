"""Figures: each module `toporep.figures.<paper>.<figure>` draws metric files and computes no statistic.

A figure module is named `fig…` and has a function `draw(inputs)` that takes the input files by name, in panel order,
and returns the matplotlib figure and the table of the numbers drawn in it. Other modules of a paper hold what its
figures share.
"""

from __future__ import annotations

from types import ModuleType

from toporep.modules import named_module


def figure_module(paper: str, figure: str) -> ModuleType:
    """Import the module that draws `figure` of `paper`.

    Raises:
        TopoRepError: no such paper or figure; the message lists the near names.
    """
    return named_module("figure", paper, name=figure, prefix="fig")
