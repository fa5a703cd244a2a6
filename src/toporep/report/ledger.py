"""The ledgers of claims in the page: rows grouped by claim, counts, and links from numbers to what they name."""

from __future__ import annotations

import csv
import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from toporep.errors import TopoRepError

# From what was found to what was not looked at; the order of filters and counts.
VERDICTS = ("reproduced", "same direction", "not reproduced", "other direction", "inconclusive", "not run")
_COLUMNS = (
    *("claim", "dataset", "condition", "family", "variant", "role", "place", "statement", "published", "criterion"),
    *("chance", "verdict", "value", "low", "high", "unit", "effect_size", "n_seeds", "reason", "note"),
)
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_NUMBER = re.compile(r"\b[A-Z]\d+\w*\b")


@dataclass(frozen=True)
class Claim:
    """A claim and the rows in which it was tested.

    Attributes:
        name: of the claim, such as "C6".
        statement: what the paper says.
        place: where it says so.
        rows: columns of the ledger, as text.
    """

    name: str
    statement: str
    place: str
    rows: tuple[Mapping[str, str], ...]


def read_ledger(path: str | os.PathLike) -> list[dict[str, str]]:
    """Rows of a ledger, `<root>/claims/<paper>.csv`.

    Raises:
        TopoRepError: the file is no ledger of this version.
    """
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise TopoRepError(f"{path}: no column {', '.join(missing)}, so no ledger of claims; make it again")
        return list(reader)


def claims_of(rows: Sequence[Mapping[str, str]]) -> list[Claim]:
    """Rows grouped by claim, in the order of the ledger; a statement that differs stands apart."""
    groups: dict[tuple[str, str, str], list[Mapping[str, str]]] = {}
    for row in rows:
        groups.setdefault((row["claim"], row["statement"], row["place"]), []).append(row)
    return [Claim(*key, tuple(found)) for key, found in groups.items()]


def counts(rows: Sequence[Mapping[str, str]], *, role: str | None = None) -> list[tuple[str, int]]:
    """How often each verdict was given: those that were, in the order of `VERDICTS`."""
    found = Counter(row["verdict"] for row in rows if role in (None, row["role"]))
    order = {verdict: i for i, verdict in enumerate(VERDICTS)}
    return sorted(found.items(), key=lambda item: (order.get(item[0], len(order)), item[0]))


def found_here(row: Mapping[str, str]) -> tuple[str, str]:
    """The statistic with its unit, and its interval; empty where there is none."""
    value, low, high = (_float(row[name]) for name in ("value", "low", "high"))
    if math.isnan(value):
        return "", ""
    unit = "" if not row["unit"] else ("\u202f%" if row["unit"] == "%" else f" {row['unit']}")
    interval = "" if math.isnan(low) or math.isnan(high) else f"[{number(low)}, {number(high)}]"
    return f"{number(value)}{unit}", interval


def number(value: float) -> str:
    """Three significant digits, or all digits before the decimal point, with a true minus sign."""
    if not math.isfinite(value):
        return str(value)
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    digits, _, power = text.partition("e")
    if power:
        text = f"{digits} × 10{str(int(power)).translate(_RAISED)}"
    return text.replace("-", "−")


def link(text: str, *, claims: Mapping[str, str], deviations: Mapping[str, str]) -> Markup:
    """Escape text and link the numbers of claims and deviations in it.

    A number of a claim comes before one of a deviation, and that before the beginning of one (`V2` for V2a and V2b).

    Args:
        text: a note or a reason.
        claims: names of the paper's claims → anchors.
        deviations: numbers of the paper's deviations → anchors.
    """
    parts, end = [], 0
    for match in _NUMBER.finditer(text):
        target = _target(match[0], claims, deviations)
        if target:
            parts += [escape(text[end : match.start()]), Markup('<a href="#{}">{}</a>').format(target, match[0])]
            end = match.end()
    return Markup("").join([*parts, escape(text[end:])])


def _target(name: str, claims: Mapping[str, str], deviations: Mapping[str, str]) -> str | None:
    exact = claims.get(name) or deviations.get(name)
    return exact or next((anchor for claim, anchor in claims.items() if re.fullmatch(rf"{name}[a-z]\w*", claim)), None)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
