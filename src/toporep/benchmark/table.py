"""The benchmark's one table: as text on a terminal or in a document, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields

from toporep.benchmark.measure import Row

NOT_MEASURED = "not measured"


def markdown(rows: Sequence[Row]) -> str:
    """All rows as a Markdown table whose columns are aligned; what was not measured says so."""
    cells = [[title for title, _ in _COLUMNS], *([make(row) for _, make in _COLUMNS] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def as_csv(rows: Sequence[Row]) -> str:
    """All rows with all digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [each.name for each in fields(Row)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        values = asdict(row)
        missing = {name: row.note or NOT_MEASURED for name, value in values.items() if value is None}
        writer.writerow(values | missing)
    return text.getvalue()


def _number(name: str, form: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        value = getattr(row, name)
        return (row.note or NOT_MEASURED) if value is None else format(value, form)

    return cell


_COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("engine", lambda row: row.workload),
    ("device", lambda row: row.device),
    ("precision", lambda row: row.precision),
    ("how", lambda row: row.way),
    ("K", lambda row: str(row.stack)),
    ("batch", lambda row: str(row.batch)),
    ("steps/s", _number("steps_per_second", ".3g")),
    ("runs/h", _number("runs_per_hour", ".3g")),
    ("ratio to solo", _number("ratio", ".2f")),
    ("GFLOP/s of products", lambda row: _number("ceiling", ".4g")(row)),
    ("share", _number("share", ".2f")),
    ("peak MB", _number("peak_megabytes", ".0f")),
)
