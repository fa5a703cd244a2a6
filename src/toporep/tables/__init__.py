"""Tables: each module `toporep.tables.<paper>.<table>` lays out numbers of metric files and computes no statistic.

A table module is named `table…` and has a function `build(inputs)` that takes the input files by name and returns the
numbers, one row a number that is compared (for .csv), and the table as it is read (a `TextTable`, for .md and .tex).
"""

from __future__ import annotations

from types import ModuleType

from toporep.modules import named_module


def table_module(paper: str, table: str) -> ModuleType:
    """Import the module that builds `table` of `paper`.

    Raises:
        TopoRepError: no such paper or table; the message lists the near names.
    """
    return named_module("table", paper, name=table, prefix="table")
