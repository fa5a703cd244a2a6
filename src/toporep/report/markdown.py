"""Markdown → HTML, for the documents and tables of this repository.

Headings, paragraphs, lists, tables, code, emphasis and links; of links to images, the text. Comments are left out,
other HTML in the text is shown, not obeyed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape

_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*$")
_RULE = re.compile(r"\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?$")
_ITEM = re.compile(r"(\s*)([-*+]|\d+[.)])\s+(.*)")
_FENCE = re.compile(r"\s*(```+|~~~+)")
_INLINE = re.compile(
    r"(?P<escaped>\\[\\`*_{}\[\]()#+.!|~-])"
    r"|(?P<comment><!--.*?-->)"
    r"|(?P<ticks>`+)(?P<code>.+?)(?<!`)(?P=ticks)(?!`)"
    r"|!?\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<target>[^()\s]+(?:\([^()\s]*\)[^()\s]*)*)\)"
    r"|\*\*(?P<strong>\S(?:.*?\S)?)\*\*"
    r"|(?<![\w*])\*(?P<em>[^\s*](?:[^*]*[^\s*])?)\*(?![\w*])",
    re.DOTALL,
)

Attributes = Mapping[str, str]
# A row's cells and the head's cells, as text → attributes of the row.
RowAttributes = Callable[[Sequence[str], Sequence[str]], Attributes]
# The target of a link → where it leads in the page, or None for a link that leads nowhere.
Resolver = Callable[[str], str | None]


def render(
    text: str,
    *,
    level: int = 1,
    prefix: str = "",
    resolve: Resolver = lambda target: target,
    row: RowAttributes = lambda cells, head: {},
    label: str = "Table",
) -> str:
    """Turn Markdown into HTML.

    Args:
        text: the document.
        level: of its largest headings in the page; smaller ones follow.
        prefix: of the anchors of its headings, which are GitHub's.
        resolve: where links lead.
        row: attributes of the rows of tables.
        label: name of its tables for screen readers.

    Returns:
        HTML in which all that was not Markdown is escaped.
    """
    return _Renderer(level - 1, prefix, resolve, row, label).blocks(text.expandtabs(4).splitlines())


def inline(text: str, *, resolve: Resolver = lambda target: target) -> str:
    """Turn a line of Markdown, without blocks, into HTML."""
    parts, end = [], 0
    for match in _INLINE.finditer(text):
        parts += [escape(text[end : match.start()]), _span(match, resolve)]
        end = match.end()
    return "".join([*parts, escape(text[end:])])


def anchor(heading: str) -> str:
    """The name that GitHub gives to a heading."""
    plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


def cells(line: str) -> list[str]:
    """The cells of a line of a table; `\\|` does not end one."""
    inner = line.strip().removeprefix("|")
    parts = re.split(r"(?<!\\)\|", inner)
    if not parts[-1].strip():
        parts.pop()
    return [part.strip().replace("\\|", "|") for part in parts]


class _Renderer:
    def __init__(self, shift: int, prefix: str, resolve: Resolver, row: RowAttributes, label: str) -> None:
        self.shift, self.prefix, self.resolve, self.row, self.label = shift, prefix, resolve, row, label

    def blocks(self, lines: list[str]) -> str:
        parts = []
        while lines:
            if not lines[0].strip():
                lines = lines[1:]
                continue
            part, lines = self._block(lines)
            parts.append(part)
        return "\n".join(parts)

    def _block(self, lines: list[str]) -> tuple[str, list[str]]:
        first = lines[0]
        if _FENCE.match(first):
            return _code(lines)
        if heading := _HEADING.match(first):
            return self._heading(heading), lines[1:]
        if len(lines) > 1 and "|" in first and "|" in lines[1] and _RULE.match(lines[1].strip()):
            return self._table(lines)
        if _ITEM.match(first):
            return self._list(lines)
        return self._paragraph(lines)

    def _heading(self, match: re.Match) -> str:
        level = min(6, len(match[1]) + self.shift)
        name = escape(self.prefix + anchor(match[2]))
        return f'<h{level} id="{name}">{inline(match[2], resolve=self.resolve)}</h{level}>'

    def _table(self, lines: list[str]) -> tuple[str, list[str]]:
        head, rule = cells(lines[0]), cells(lines[1])
        right = [mark.endswith(":") and not mark.startswith(":") for mark in rule]
        count = next((i for i, line in enumerate(lines[2:]) if "|" not in line or not line.strip()), len(lines) - 2)
        rows = [cells(line) for line in lines[2 : 2 + count]]
        parts = [_tr(self._cells(head, "th", right), {})]
        body = [_tr(self._cells(found, "td", right), self.row(found, head)) for found in rows]
        html = (
            f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(self.label)}"><table>'
            f"<thead>{''.join(parts)}</thead>\n<tbody>{chr(10).join(body)}</tbody></table></div>"
        )
        return html, lines[2 + count :]

    def _cells(self, found: Iterable[str], tag: str, right: Sequence[bool]) -> str:
        scope = ' scope="col"' if tag == "th" else ""
        marks = [' class="number"' if i < len(right) and right[i] else "" for i, _ in enumerate(found)]
        texts = [inline(text, resolve=self.resolve) for text in found]
        return "".join(f"<{tag}{scope}{mark}>{text}</{tag}>" for mark, text in zip(marks, texts, strict=True))

    def _list(self, lines: list[str]) -> tuple[str, list[str]]:
        indent = len(_ITEM.match(lines[0])[1])
        ordered = _ITEM.match(lines[0])[2][0].isdigit()
        items: list[list[str]] = []
        while lines:
            match = _ITEM.match(lines[0])
            if match and len(match[1]) == indent:
                items.append([match[3]])
            elif items and (not lines[0].strip() or len(lines[0]) - len(lines[0].lstrip()) > indent):
                if not lines[0].strip() and not _goes_on(lines[1:], indent):
                    break
                items[-1].append(lines[0])
            else:
                break
            lines = lines[1:]
        tag = "ol" if ordered else "ul"
        return f"<{tag}>{''.join(f'<li>{self._item(item)}</li>' for item in items)}</{tag}>", lines

    def _item(self, lines: list[str]) -> str:
        nested = next((i for i, line in enumerate(lines) if i and (_ITEM.match(line) or not line.strip())), len(lines))
        text = inline(" ".join(line.strip() for line in lines[:nested]), resolve=self.resolve)
        return text + self.blocks([line[2:] if line.startswith("  ") else line for line in lines[nested:]])

    def _paragraph(self, lines: list[str]) -> tuple[str, list[str]]:
        count = 1
        while count < len(lines) and lines[count].strip() and not self._starts(lines[count:]):
            count += 1
        text = " ".join(line.strip() for line in lines[:count])
        return f"<p>{inline(text, resolve=self.resolve)}</p>", lines[count:]

    def _starts(self, lines: list[str]) -> bool:
        """Whether a block that is not a paragraph starts here, where a paragraph may end without an empty line."""
        table = len(lines) > 1 and lines[0].startswith("|") and _RULE.match(lines[1].strip())
        return bool(_FENCE.match(lines[0]) or _HEADING.match(lines[0]) or _ITEM.match(lines[0]) or table)


def _span(match: re.Match, resolve: Resolver) -> str:
    if match["escaped"]:
        return escape(match["escaped"][1:])
    if match["comment"]:
        return ""
    if match["code"]:
        return f"<code>{escape(match['code'].strip() if match['code'].strip() else match['code'])}</code>"
    if match["target"]:
        text, target = inline(match["text"], resolve=resolve), resolve(match["target"])
        return f'<a href="{escape(target)}">{text}</a>' if target and not match[0].startswith("!") else text
    tag = "strong" if match["strong"] else "em"
    return f"<{tag}>{inline(match['strong'] or match['em'], resolve=resolve)}</{tag}>"


def _code(lines: list[str]) -> tuple[str, list[str]]:
    fence = _FENCE.match(lines[0])[1]
    end = next((i for i, line in enumerate(lines) if i and line.strip() == fence), len(lines))
    return f'<pre tabindex="0"><code>{escape(chr(10).join(lines[1:end]))}</code></pre>', lines[end + 1 :]


def _goes_on(lines: list[str], indent: int) -> bool:
    """Whether a list goes on after an empty line."""
    following = next((line for line in lines if line.strip()), "")
    match = _ITEM.match(following)
    return bool(match and len(match[1]) == indent) or len(following) - len(following.lstrip()) > indent


def _tr(content: str, attributes: Attributes) -> str:
    marks = "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())
    return f"<tr{marks}>{content}</tr>"
