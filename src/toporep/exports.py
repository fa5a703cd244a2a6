"""Names that a package offers, loaded when they are asked for.

A command loads only what it runs, and its code hash covers only that.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def exports(package: str, modules: Mapping[str, Sequence[str]]) -> tuple[list[str], Callable[[str], Any]]:
    """Give `__all__` and `__getattr__` of a package.

    Args:
        package: its full name.
        modules: module below it → the names that it has.
    """
    places = {name: f"{package}.{module}" for module, names in modules.items() for name in names}

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(places[name]), name)

    return sorted(places), get
