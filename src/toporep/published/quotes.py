"""Numbers that a document quotes from published files, between comments that say where they stand.

`<!-- published: metrics/…/morans_i_summary.nc morans_i_mean condition=ws strength=3 -->.45<!-- / -->` names a file
below the published folder, a variable or column, and what selects one value. The quoted text may have any number of
decimals, a typographic minus, commas between thousands, and no zero before its point; one that ends in % is a hundred
times the value. Of a CSV file, `count` is the number of rows.
"""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from pathlib import Path

import numpy as np

from toporep.errors import TopoRepError
from toporep.io import netcdf_engine

_QUOTE = re.compile(r"<!-- published: ([^>]*?) -->(.*?)<!-- / -->", re.DOTALL)
_OPENING = "<!-- published:"
# Examples, which quote nothing.
_CODE = re.compile(r"^ *```.*?^ *```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_PERCENT = re.compile(r"(\s*%)?$")
# Of rows of a CSV file: how many there are.
COUNT = "count"


@dataclass(frozen=True)
class Quote:
    """A quoted number or word: the text, and where its value stands."""

    text: str
    file: str
    name: str
    selected: Mapping[str, str]

    def __str__(self) -> str:
        return " ".join([self.file, self.name, *(f"{key}={value}" for key, value in self.selected.items())])


def quotes(document: str) -> list[Quote]:
    """All quotes of a Markdown document, but for those in code.

    Raises:
        TopoRepError: a comment that begins like one and is none.
    """
    document = _CODE.sub("", document)
    found = []
    for address, text in _QUOTE.findall(document):
        words = address.split()
        selected = dict(word.partition("=")[::2] for word in words[2:])
        if len(words) < 2 or not all(selected.values()):
            raise TopoRepError(f"<!-- published: {address} -->: expected FILE NAME KEY=VALUE …")
        found.append(Quote(text.strip(), words[0], words[1], selected))
    if len(found) != document.count(_OPENING):
        raise TopoRepError(f"{document.count(_OPENING) - len(found)} comments begin with {_OPENING} and have no end")
    return found


def check_quotes(document: str, root: str | os.PathLike) -> list[str]:
    """Compare what a document quotes with the published values; one line for each that differs.

    Args:
        document: its text.
        root: the published folder.

    Raises:
        TopoRepError: a quote of what is not there, or of no single value.
    """
    lines = []
    for quote in quotes(document):
        value = published_value(quote, root)
        if not _agrees(quote.text, value):
            shown = value if isinstance(value, str) else f"{value:.10g}"
            lines.append(f"{quote}: quoted {quote.text}, published {shown}")
    return lines


def requoted(document: str, root: str | os.PathLike) -> str:
    """A document with what it quotes as it is published now.

    A quote that agrees stays as it is; another one gets the new value with as many decimals, and written alike.

    Args:
        document: its text.
        root: the published folder.

    Raises:
        TopoRepError: a quote of what is not there, or of no single value.
    """

    def renewed(match: re.Match[str]) -> str:
        (quote,) = quotes(match[0])
        value = published_value(quote, root)
        if _agrees(quote.text, value):
            return match[0]
        return f"{match[0].partition('-->')[0]}-->{_alike(quote.text, value)}<!-- / -->"

    end, parts = 0, []
    for code in _CODE.finditer(document):
        parts += [_QUOTE.sub(renewed, document[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, _QUOTE.sub(renewed, document[end:])])


def published_value(quote: Quote, root: str | os.PathLike) -> float | str:
    """The value that a quote names.

    Raises:
        TopoRepError: no such file, variable, column or label; not one value.
    """
    path = Path(root) / quote.file
    if not path.is_file():
        raise TopoRepError(f"{quote}: no file {path}")
    return _of_csv(quote, path) if path.suffix == ".csv" else _of_netcdf(quote, path)


def _of_csv(quote: Quote, path: Path) -> float | str:
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows, columns = list(reader), reader.fieldnames or []
    unknown = [name for name in (quote.name, *quote.selected) if name not in columns and name != COUNT]
    if unknown:
        raise TopoRepError(f"{quote}: no column {', '.join(unknown)} in {path}; it has {', '.join(columns)}")
    chosen = [row for row in rows if all(row[key] == value for key, value in quote.selected.items())]
    if quote.name == COUNT:
        return float(len(chosen))
    if len(chosen) != 1:
        raise TopoRepError(f"{quote}: {len(chosen)} rows of {path}, expected 1; select by more columns, or by others")
    text = chosen[0][quote.name]
    return text if _decimal(text) is None else float(text)


def _of_netcdf(quote: Quote, path: Path) -> float | str:
    import xarray as xr

    file = xr.load_dataset(path, engine=netcdf_engine())
    if quote.name not in file.data_vars:
        raise TopoRepError(f"{quote}: no variable {quote.name} in {path}; it has {', '.join(file.data_vars)}")
    values = file[quote.name]
    for key, value in quote.selected.items():
        if key not in values.coords or values.coords[key].ndim != 1:
            raise TopoRepError(
                f"{quote}: {key} selects nothing of {quote.name}; its labels: {', '.join(values.coords)}"
            )
        labels = values.coords[key]
        number = _decimal(value) if labels.dtype.kind in "iuf" else None
        same = labels.values == value if number is None else np.isclose(labels.values, float(number))
        values = values.isel({labels.dims[0]: np.flatnonzero(same)})
    if values.size != 1:
        raise TopoRepError(f"{quote}: {values.size} values of {path}, expected 1; left: {dict(values.sizes)}")
    return float(values.values.item())


def _agrees(text: str, value: float | str) -> bool:
    """Whether a value, rounded as the quoted text is, is that text."""
    quoted = _decimal(text)
    if isinstance(value, str) or quoted is None:
        return text == value
    if not math.isfinite(value):
        return False
    exact, step = _exact(text, value), _step(quoted)
    return abs(exact.quantize(step, ROUND_HALF_EVEN) - quoted) == 0 or abs(exact - quoted) * 2 == step


def _alike(text: str, value: float | str) -> str:
    """A value, written as the quoted text is."""
    quoted = _decimal(text)
    if isinstance(value, str):
        return value
    if quoted is None or not math.isfinite(value):
        return f"{value:g}"
    number = _exact(text, value).quantize(_step(quoted), ROUND_HALF_EVEN)
    digits = f"{abs(number):,}" if "," in text or abs(quoted) < 1000 else f"{abs(number)}"
    sign = "\N{MINUS SIGN}" if number < 0 else ""
    without_zero = text.lstrip("-\N{MINUS SIGN}").startswith(".")
    return sign + (digits.removeprefix("0") if without_zero else digits) + _PERCENT.search(text)[0]


def _exact(text: str, value: float) -> Decimal:
    """A value in the unit of the quoted text."""
    # What is written of a number has ten digits at most; those beyond are rounding errors of its last operation.
    return Decimal(f"{value:.12g}") * (100 if text.endswith("%") else 1)


def _step(quoted: Decimal) -> Decimal:
    """The unit of a number's last digit."""
    return Decimal(1).scaleb(quoted.as_tuple().exponent)


def _decimal(text: str) -> Decimal | None:
    """The number that a text is; None if it is none."""
    plain = text.replace("\N{MINUS SIGN}", "-").replace(",", "").removesuffix("%").strip()
    try:
        number = Decimal(plain)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
