"""A table to be read: cells of text, rendered as Markdown and as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from toporep.errors import TopoRepError

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"

# Characters that Markdown would take for markup, and the few beyond ASCII that tables use, in LaTeX.
_MARKDOWN = {ord(character): f"\\{character}" for character in "\\|*`<[]"}
# Inside a word an underscore is none, and a reader of the plain file sees E_eq.
_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_LATEX = {
    **{ord(character): f"\\{character}" for character in "&%$#_{}"},
    ord("\\"): r"\textbackslash{}",
    ord("~"): r"\textasciitilde{}",
    ord("^"): r"\textasciicircum{}",
    ord("["): "{[}",
    ord("]"): "{]}",
    ord("|"): r"\textbar{}",
    ord("<"): "$<$",
    ord(">"): "$>$",
    ord(MINUS): "$-$",
    ord("\N{PLUS-MINUS SIGN}"): r"$\pm$",
    ord("\N{GREATER-THAN OR EQUAL TO}"): r"$\geq$",
    ord("\N{LESS-THAN OR EQUAL TO}"): r"$\leq$",
    ord("\N{MULTIPLICATION SIGN}"): r"$\times$",
    ord("\N{GREEK SMALL LETTER RHO}"): r"$\rho$",
    ord("\N{GREEK SMALL LETTER TAU}"): r"$\tau$",
    ord(DASH): "--",
    ord("\N{HORIZONTAL ELLIPSIS}"): r"\ldots{}",
    ord("\N{NARROW NO-BREAK SPACE}"): r"\,",
}


@dataclass(frozen=True)
class Cell:
    """Text in a table, perhaps bold."""

    text: str
    bold: bool = False


@dataclass(frozen=True)
class TextTable:
    """A table as it is read.

    Attributes:
        title: what the table shows, one line without a full stop.
        header: names of the columns.
        rows: cells, as many a row as there are columns.
        labels: how many columns, from the left, name the row; the others hold numbers.
        groups: rows over which a line is drawn, beside the first.
        notes: paragraphs under the table.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    labels: int = 1
    groups: Sequence[int] = ()
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        columns = len(self.header)
        for number, row in enumerate(self.rows):
            if len(row) != columns:
                raise TopoRepError(f"table: row {number} has {len(row)} cells, expected {columns} as in the header")

    def markdown(self) -> str:
        """The table as GitHub's Markdown, columns padded to equal width."""
        lines = [list(map(_markdown, self.header)), *([_markdown_cell(cell) for cell in row] for row in self.rows)]
        widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(self.header))]
        padded = ["| " + " | ".join(self._pad(line, widths)) + " |" for line in lines]
        rule = ["-" * width if column < self.labels else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
        paragraphs = ["\n".join([padded[0], "| " + " | ".join(rule) + " |", *padded[1:]]), *map(_markdown, self.notes)]
        return "\n\n".join([f"# {_markdown(self.title)}", *paragraphs]) + "\n"

    def latex(self, *, label: str) -> str:
        r"""The table as LaTeX: a float for `\input`, which needs booktabs and graphicx; never wider than the line."""
        columns = "l" * self.labels + "r" * (len(self.header) - self.labels)
        lines = [
            "% Needs \\usepackage{booktabs,graphicx}.",
            "\\begin{table}[htbp]",
            "\\centering\\footnotesize",
            f"\\caption{{{_latex(self.title)}.}}",
            f"\\label{{tab:{label}}}",
            "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%",
            f"\\begin{{tabular}}{{{columns}}}",
            "\\toprule",
            _latex_row([Cell(name) for name in self.header]),
            "\\midrule",
        ]
        for number, row in enumerate(self.rows):
            lines += ["\\addlinespace"] * (number in self.groups)
            lines.append(_latex_row(row))
        lines += ["\\bottomrule", "\\end{tabular}}"]
        if self.notes:
            lines += ["", "\\smallskip", "\\begin{minipage}{\\linewidth}", "\\scriptsize"]
            lines += "\n\n".join(map(_latex, self.notes)).split("\n")
            lines.append("\\end{minipage}")
        return "\n".join([*lines, "\\end{table}"]) + "\n"

    def _pad(self, line: Sequence[str], widths: Sequence[int]) -> list[str]:
        return [
            text.ljust(width) if column < self.labels else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ]


def _markdown(text: str) -> str:
    return _UNDERSCORE.sub(r"\\_", text.translate(_MARKDOWN))


def _markdown_cell(cell: Cell) -> str:
    return f"**{_markdown(cell.text)}**" if cell.bold and cell.text else _markdown(cell.text)


def _latex(text: str) -> str:
    escaped = text.translate(_LATEX)
    foreign = sorted({character for character in escaped if not character.isascii()})
    if foreign:
        raise TopoRepError(f"table: no LaTeX is known for {', '.join(map(repr, foreign))} in {text!r}")
    return escaped


def _latex_row(cells: Sequence[Cell]) -> str:
    texts = [f"\\textbf{{{_latex(cell.text)}}}" if cell.bold and cell.text else _latex(cell.text) for cell in cells]
    return " & ".join(texts) + r" \\"
