"""The ledger: verdicts on all claims of a paper, as tables for programs (CSV) and for people (Markdown)."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from toporep.claims.bootstrap import DRAWS, MIN_SEEDS
from toporep.claims.entries import Claim, Claims, Leaf, Node, Quantity, Selector
from toporep.claims.evaluate import FAILS, HOLDS, NOT_RUN, OPEN, Point, Result, evaluate
from toporep.claims.evidence import Evidence

FULL_SCALE = "paper"
# Only the full scale, on the paper's own images, can reproduce a claim.
_FULL = {HOLDS: "reproduced", FAILS: "not reproduced", OPEN: "inconclusive", NOT_RUN: "not run"}
_REDUCED = {HOLDS: "same direction", FAILS: "other direction", OPEN: "inconclusive", NOT_RUN: "not run"}
_NOT_ON_AS = "not about AS"
_ALL = "claims"


@dataclass(frozen=True)
class Ledger:
    """All claims of a paper, evaluated at one scale."""

    claims: Claims
    scale: str
    results: tuple[Result, ...]

    @classmethod
    def of(cls, claims: Claims, evidence: Evidence, *, draws: int = DRAWS) -> Ledger:
        """Evaluate every claim on the metric files."""
        results = tuple(evaluate(claim, evidence, draws=draws, partial=claims.partial) for claim in claims.rows)
        return cls(claims, evidence.scale, results)

    def verdict(self, result: Result) -> str:
        """What the ledger says of a claim."""
        return (_FULL if self._full(result) else _REDUCED)[result.outcome]

    def table(self) -> pd.DataFrame:
        """A row for each claim, data set and family."""
        return pd.DataFrame([self._row(result) for result in self.results])

    def points(self) -> pd.DataFrame:
        """A row for each point of each claim: the whole evidence."""
        return pd.DataFrame([self._point_row(result, point) for result in self.results for point in result.points])

    def markdown(self) -> str:
        """The ledger for a reader."""
        return _Page(self).text()

    def _full(self, result: Result) -> bool:
        official = all(self.claims.sources[dataset] == source for dataset, source in result.sources.items())
        return self.scale == FULL_SCALE and official and not result.left_out

    def reason(self, result: Result) -> str:
        """Why a claim is open or not run, and what it was tested without."""
        strengths = [f"{each:g}" for each in result.left_out if not isinstance(each, str)]
        conditions = [each for each in result.left_out if isinstance(each, str)]
        named = [f"{self.claims.symbol} {_joined(strengths)}"] * bool(strengths) + conditions
        without = f"without {_joined(named)}, not run" if named else ""
        return "; ".join(filter(None, (without, result.reason)))

    def _row(self, result: Result) -> dict[str, object]:
        claim, point = result.claim, result.deciding
        return {
            **_identity(self.claims.paper, claim),
            "role": "primary" if claim.primary else "check",
            "place": claim.place,
            "statement": claim.statement,
            "published": claim.published,
            "test": claim.kind,
            "criterion": criterion(claim, self.claims.symbol),
            "chance": claim.chance,
            "verdict": self.verdict(result),
            "value": point.value if point else math.nan,
            "low": point.low if point else math.nan,
            "high": point.high if point else math.nan,
            "unit": claim.unit,
            "effect_size": point.effect if point else math.nan,
            "deciding_point": point.label if point else "",
            "points": len(result.points),
            "needed": result.needed,
            "holding": result.count(HOLDS),
            "failing": result.count(FAILS),
            "n_seeds": len(result.seeds),
            "source": " ".join(sorted(set(result.sources.values()))),
            "scale": self.scale,
            "reason": self.reason(result),
            "note": claim.note,
        }

    def _point_row(self, result: Result, point: Point) -> dict[str, object]:
        return {
            **_identity(self.claims.paper, result.claim),
            "point": point.label,
            "left": point.left,
            "right": point.right,
            "value": point.value,
            "low": point.low,
            "high": point.high,
            "effect_size": point.effect,
            "n_seeds": point.n,
            "state": point.state,
            "scale": self.scale,
        }


def to_csv(table: pd.DataFrame) -> str:
    """A table as text: ten significant digits, `nan` where there is no value."""
    buffer = io.StringIO()
    table.to_csv(buffer, index=False, float_format="%.10g", na_rep="nan", lineterminator="\n")
    return buffer.getvalue()


def criterion(claim: Claim, symbol: str = Claims.symbol) -> str:
    """The test in one line: `ws − control > 0, all points`."""
    options, quantities = claim.options, claim.quantities
    if claim.kind == "table":
        difference = "measured / published − 1" if options.get("relative") else "measured − published"
        cells = f"{len(quantities)} cells of {options['file']}: {difference}"
        return f"{cells} = 0 ± {options['within']:g}; {options.get('needs', 'all')} points"
    of = describe(quantities["of"], symbol) if "of" in quantities else ""
    than = describe(quantities["than"], symbol) if "than" in quantities else ""
    along = symbol if options.get("along", "strength") == "strength" else options["along"]
    if claim.kind == "greater":
        text = f"{of} / {than} > {options['ratio']:g}" if "ratio" in options else f"{of} − {than} > "
        text += "" if "ratio" in options else f"{options.get('by', 0):g}"
    elif claim.kind == "trend":
        how = (
            f"{options['direction']} at each step of {along}" if options.get("monotone") else f"{options['direction']}"
        )
        text = f"{of} {how}" + ("" if options.get("monotone") else f" with {along} (slope)")
        text += f", faster than {than}" if than else ""
    elif claim.kind == "shape":
        at = f", extreme at {along} {_listed(options['at'])}" if "at" in options else ", extreme inside"
        text = f"{of} against {along} has a {options['form']}{at}"
    elif claim.kind == "function":
        named = ", ".join(f"{name}: {describe(quantity, symbol)}" for name, quantity in quantities.items())
        text = f"{options['name']}({named}) {_range(options)}"
    else:
        text = f"{of} {_range(options)}"
    return f"{text}; {options.get('needs', 'all')} points"


def describe(quantity: Quantity, symbol: str = Claims.symbol) -> str:
    """A quantity in words: condition, variable, and what it is taken at."""
    if isinstance(quantity, Node):
        sign = "−" if quantity.operation == "difference" else "/"
        return f"({describe(quantity.left, symbol)} {sign} {describe(quantity.right, symbol)})"
    spread = "SD over networks of " if quantity.over_networks == "sd" else ""
    return f"{spread}{quantity.condition} {quantity.variable}{_at(quantity, symbol)}"


def _at(leaf: Leaf, symbol: str) -> str:
    parts = [_selected(name, selector) for name, selector in leaf.at]
    if not leaf.control:
        parts.insert(0, _selected(symbol, leaf.strength))
    return f" [{', '.join(parts)}]" if parts else ""


def _selected(name: str, selector: Selector) -> str:
    values = selector.values
    if selector.bounds:
        text = " ".join(
            f"{word} {value:g}" for word, value in zip(("≥", "<"), values, strict=True) if value is not None
        )
    else:
        text = values if isinstance(values, str) else _listed(values)
    return f"{selector.reduction} over {name} {text}" if selector.reduction else f"{name} {text}"


def _range(options: dict) -> str:
    if "equals" in options:
        return f"= {options['equals']:g} ± {options['within']:g}"
    low, high = options.get("from", options.get("above")), options.get("to", options.get("below"))
    if low is not None and high is not None:
        return f"from {low:g} to {high:g}"
    return f"> {low:g}" if low is not None else f"< {high:g}"


def _joined(names: Sequence[str]) -> str:
    *most, last = names or [""]
    return f"{', '.join(most)} and {last}" if most else last


def _listed(values: Iterable[object]) -> str:
    return "/".join(f"{value:g}" if isinstance(value, float | int) else str(value) for value in values)


def _identity(paper: str, claim: Claim) -> dict[str, object]:
    return {
        "paper": paper,
        "claim": claim.id,
        "dataset": " ".join(claim.datasets),
        "condition": claim.condition or "",
        "family": claim.family or "",
        "variant": claim.variant,
    }


class _Page:
    """Writes the ledger as one Markdown page."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def text(self) -> str:
        lines = [f"# Claims of {self.ledger.claims.paper}, tested at scale `{self.ledger.scale}`", "", *self._head()]
        lines += ["## Verdicts", "", *self._counts(), ""]
        for primary, title in ((True, "{}"), (False, "Checks: {}")):
            chosen = [result for result in self.ledger.results if result.claim.primary == primary]
            for section in dict.fromkeys(result.claim.section for result in chosen):
                rows = [result for result in chosen if result.claim.section == section]
                lines += [f"## {title.format(section)}", "", *self._section(rows), ""]
        return "\n".join(lines)

    def _head(self) -> list[str]:
        seeds: dict[str, set[int]] = {}
        sources: dict[str, str] = {}
        for result in self.ledger.results:
            sources.update(result.sources)
            for dataset in result.claim.datasets:
                seeds.setdefault(dataset, set()).update(result.seeds)
        data = [
            f"{name}: images {sources.get(name, 'none')}, {len(found)} seed{'s' * (len(found) != 1)}"
            for name, found in seeds.items()
        ]
        full = any(self.ledger._full(result) for result in self.ledger.results)
        some = {type(each) for result in self.ledger.results for each in result.left_out}
        several = f"several {self.ledger.claims.symbol}" if float in some else "several models"
        partial = (
            f" A claim about {several} is tested on those that were run, and its line names the others; such a test "
            "reproduces nothing."
            if some
            else ""
        )
        standing = (
            "A claim is *reproduced* if its interval lies where the paper says, *not reproduced* if it lies elsewhere."
            if full
            else "**This is not the paper's scale, or not its images: nothing here is reproduced or refuted.** "
            "*Same direction* and *other direction* say on which side of the test the interval lies."
        )
        return [
            f"{'; '.join(data)}.",
            "",
            f"{standing} *Inconclusive*: the interval holds both, or fewer than {MIN_SEEDS} seeds. *Not run*: a value "
            f"is missing, and the line says which.{partial}",
            "",
            "*Reproduced value*: the statistic of the test at the point that decides, with its 95 % interval from "
            f"{DRAWS:,} bootstrap samples of seeds (expanded percentiles); the same seeds are drawn for all "
            "conditions, which pairs comparisons by seed. *d*: distance from the bound of the test in standard "
            "deviations over networks. *Points*: how many hold / fail, of how many, each at its own 95 %; a verdict "
            "over several allows for their number. The file of the same name that ends in `_points.csv` has them all.",
            "",
        ]

    def _counts(self) -> list[str]:
        families = self.ledger.claims.families
        groups = {None: _NOT_ON_AS if families else _ALL, **families}
        words = list((_FULL if self.ledger.scale == FULL_SCALE else _REDUCED).values())
        words += [word for word in self._verdicts() if word not in words]
        lines = _header(["claims", *words, "total"])
        for primary, suffix in ((True, ""), (False, ", checks")):
            for family, name in groups.items():
                counts = Counter(
                    self.ledger.verdict(result)
                    for result in self.ledger.results
                    if result.claim.family == family and result.claim.primary == primary
                )
                if counts:
                    cells = [str(counts[word]) for word in words]
                    lines.append(_line([f"{name}{suffix}", *cells, str(counts.total())]))
        return [
            *lines,
            "",
            "*Checks* test a claim with other stimuli, another estimator, other networks or a null of ours.",
        ]

    def _verdicts(self) -> list[str]:
        return list(dict.fromkeys(self.ledger.verdict(result) for result in self.ledger.results))

    def _section(self, results: Sequence[Result]) -> list[str]:
        columns = (
            "claim",
            "on",
            "statement",
            "published",
            "reproduced value",
            "d",
            "points",
            "verdict",
            "chance or null",
        )
        lines, last = _header(columns), None
        for result in results:
            lines.append(_line(self._cells(result, first=result.claim.id != last)))
            last = result.claim.id
        return lines

    def _cells(self, result: Result, *, first: bool) -> Sequence[str]:
        claim = result.claim
        statement = f"{claim.statement} ({claim.place})" if first else "″"
        statement += f"<br>*{criterion(claim, self.ledger.claims.symbol)}*"
        if first and claim.note:
            statement += f"<br>{claim.note}"
        on = [*claim.datasets, self.ledger.claims.families.get(claim.family or "", ""), claim.variant]
        if claim.condition and claim.condition != claim.family:
            on.insert(1, claim.condition)
        reason = self.ledger.reason(result)
        verdict = f"**{self.ledger.verdict(result)}**" + (f": {reason}" if reason else "")
        counts = f"{result.count(HOLDS)} / {result.count(FAILS)} of {len(result.points)}" if result.points else ""
        return [
            claim.id,
            ", ".join(filter(None, on)),
            statement,
            claim.published,
            _estimate(result),
            _number(result.deciding.effect) if result.deciding else "",
            counts,
            verdict,
            claim.chance if first else "″",
        ]


def _estimate(result: Result) -> str:
    point = result.deciding
    if point is None or math.isnan(point.value):
        return "–"
    text = _number(point.value)
    if not math.isnan(point.low):
        text += f" [{_number(point.low)}, {_number(point.high)}]"
    unit = f" {result.claim.unit}" if result.claim.unit else ""
    return f"{text}{unit}, n = {point.n}" + (f" ({point.label})" if point.label else "")


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3g}".replace("-", "−")


def _header(cells: Sequence[str]) -> list[str]:
    return [_line(cells), "|" + "---|" * len(cells)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
