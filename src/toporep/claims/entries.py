"""Claims as data: reads `config/claims/<paper>.yaml`, checks every name in it, and writes out what it abbreviates.

Imported whenever Snakemake reads the workflow, so it loads neither NumPy nor xarray.
"""

from __future__ import annotations

import csv
import itertools
import os
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toporep.config import did_you_mean, read_yaml, schema_problems
from toporep.errors import TopoRepError
from toporep.schemas import SCHEMAS

REDUCTIONS = ("mean", "sum", "min", "max", "range")
OPERATIONS = ("difference", "ratio")
# Named functions of `special` and their arguments; that module needs xarray.
FUNCTIONS = {
    "accuracy_at_drop": ("term", "accuracy"),
    "minimum_at_maximum": ("curve", "of"),
}
# Variables of metric files whose rows are sets of networks (a condition at one strength), with their own dimensions;
# `sets` tells how each becomes a value for every network.
OF_SETS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "rdm_consistency": {"consistency": (), "n": ()},
    "ensembles": {
        "clean_individual": (),
        "clean_ensemble": ("vote",),
        "clean_gain": ("vote",),
        "individual": ("kind", "level"),
        "ensemble": ("kind", "level", "vote"),
        "gain": ("kind", "level", "vote"),
    },
}
_WORDS = ("all", "first", "last")
_NAME = re.compile(r"\{(\w+)\}")
# Bounds that each kind of test must have: one of these sets.
_BOUNDS = {
    "number": [{"equals", "within"}, {"from", "to"}, {"from"}, {"to"}],
    "greater": [set(), {"by"}, {"ratio"}],
    "sign": [{"above"}, {"below"}],
    "trend": [set()],
    "shape": [set()],
    "function": [{"above"}, {"below"}],
    "table": [{"within"}],
}


@dataclass(frozen=True)
class Selector:
    """Which places along a dimension a quantity takes.

    Attributes:
        values: labels; or "all", "first", "last"; or (from, to) where `bounds`: the second excluded, None open.
        single: one place, so that the dimension goes; else every place is a point of its own.
        reduction: how the places become one number, or None.
    """

    values: tuple | str
    single: bool = False
    reduction: str | None = None
    bounds: bool = False

    @property
    def listed(self) -> bool:
        """Its places are points of the claim, named one by one."""
        return not (self.single or self.reduction or self.bounds or isinstance(self.values, str))


@dataclass(frozen=True)
class Leaf:
    """One variable of a metric file, for one data set and condition.

    Attributes:
        over_networks: what is taken of the values of the networks: their mean, or their SD (ddof = 1).
        control: the condition has no spatial loss, and so no strength worth a word.
    """

    analysis: str
    schema: str
    variable: str
    dataset: str
    condition: str
    strength: Selector
    at: tuple[tuple[str, Selector], ...]
    times: float = 1.0
    over_networks: str = "mean"
    control: bool = False


@dataclass(frozen=True)
class Node:
    """Difference or ratio of two quantities."""

    operation: str
    left: Leaf | Node
    right: Leaf | Node


Quantity = Leaf | Node


@dataclass(frozen=True)
class Claim:
    """One row of the ledger: a statement on one data set, and for one family where it is about AS.

    Attributes:
        id: name of the entry in the file.
        datasets: roles of the data sets whose files it needs.
        condition: of `conditions`, where the entry is written out over several.
        family: the condition that stands for {as}, or None.
        variant: coordinates of `for_each`, such as "variant=hard", or "".
        primary: as the paper did it; False for a check with another estimator or stimulus.
        place, statement, published, chance, unit, note: as in the file.
        kind: number, greater, sign, trend, shape, function or table.
        quantities: what the test is about, by role: `of`, `than`, or a function's own names; of a table, its cells.
        options: the rest of the test; of a table, also `published`: its numbers by cell.
        comparable: training settings, or numbers among the metric files' attributes, without which its values are not
            to be held against the published ones.
    """

    id: str
    datasets: tuple[str, ...]
    condition: str | None
    family: str | None
    variant: str
    primary: bool
    place: str
    statement: str
    published: str
    chance: str
    unit: str
    note: str
    kind: str
    quantities: Mapping[str, Quantity]
    options: Mapping[str, Any]
    comparable: Mapping[str, float]

    @property
    def section(self) -> str:
        """The part of `place` before the first comma."""
        return self.place.partition(",")[0]

    @property
    def leaves(self) -> list[Leaf]:
        """All variables that the test needs."""
        return [leaf for quantity in self.quantities.values() for leaf in leaves_of(quantity)]

    def without(self, strengths: Container[float]) -> Claim:
        """The claim on the points that are left without these strengths.

        Points are places that are named one by one. What needs a strength by itself, or in a mean over several, is
        left as it is.
        """
        quantities = {name: _without(quantity, strengths) for name, quantity in self.quantities.items()}
        return replace(self, quantities=quantities)


@dataclass(frozen=True)
class Claims:
    """All claims of a paper.

    Attributes:
        paper: its key.
        families: the conditions that stand for {as}, with what each is called.
        sources: the images that each data set of the paper is made of: with others, nothing is reproduced.
        rows: the claims, written out.
        symbol: how the paper writes the strength of the spatial loss.
        partial: a claim about several strengths is tested on those that a scale has.
        tables: files of published numbers that claims name.
    """

    paper: str
    families: Mapping[str, str]
    sources: Mapping[str, str]
    rows: tuple[Claim, ...]
    symbol: str = "λ"
    partial: bool = False
    tables: tuple[Path, ...] = ()

    @property
    def files(self) -> list[tuple[str, str]]:
        """(dataset, analysis) of each metric file that the claims need, sorted."""
        return sorted({(leaf.dataset, leaf.analysis) for row in self.rows for leaf in row.leaves})


class _Mistake(Exception):
    """What is wrong at a place below a claim."""


def load_claims(path: str | os.PathLike, paper: Mapping[str, Any], schema: str | os.PathLike | None = None) -> Claims:
    """Read the claims of a paper and check them against its configuration.

    Args:
        path: `config/claims/<paper>.yaml`.
        paper: of the paper's configuration: `paper`, `datasets`, `conditions` with `strengths`, `analyses`.
        schema: JSON Schema of the file; None if the file has been checked before.

    Raises:
        TopoRepError: one line for each mistake, with its place in the file.
    """
    content = read_yaml(path)
    shown = _shown(path)
    if schema is not None:
        _refuse([f"{shown}: {_place(*problem.path)}: {problem.text}" for problem in schema_problems(content, schema)])
    content = {"families": {}, **content}
    rows, lines, tables = [], [], _Tables(published_folder(path))
    if content["paper"] != paper["paper"]:
        lines.append(f"{shown}: paper: expected {paper['paper']!r}, found {content['paper']!r}")
    for name in content["families"]:
        if name not in paper["conditions"]:
            lines.append(f"{shown}: families: unknown condition {name!r}{did_you_mean(name, paper['conditions'])}")
    for name, entry in content["claims"].items():
        try:
            rows += _written_out(name, entry, content, paper, tables)
        except _Mistake as mistake:
            lines.append(f"{shown}: claims.{name}.{mistake}")
    _refuse(lines)
    return Claims(
        paper=content["paper"],
        families=content["families"],
        sources=content["sources"],
        rows=tuple(rows),
        symbol=content.get("symbol", Claims.symbol),
        partial=content.get("partial", Claims.partial),
        tables=tables.paths,
    )


def leaves_of(quantity: Quantity) -> list[Leaf]:
    """The variables in a quantity, from left to right."""
    return [quantity] if isinstance(quantity, Leaf) else leaves_of(quantity.left) + leaves_of(quantity.right)


def _without(quantity: Quantity, strengths: Container[float]) -> Quantity:
    if isinstance(quantity, Node):
        return Node(quantity.operation, _without(quantity.left, strengths), _without(quantity.right, strengths))
    if not quantity.strength.listed:
        return quantity
    kept = tuple(value for value in quantity.strength.values if value not in strengths)
    return replace(quantity, strength=replace(quantity.strength, values=kept))


def _refuse(lines: list[str]) -> None:
    if lines:
        raise TopoRepError("\n".join(lines))


def _shown(path: str | os.PathLike) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _place(*keys: str | int) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


# Writing out


def _written_out(name: str, entry: Mapping, content: Mapping, paper: Mapping, tables: _Tables) -> Iterator[Claim]:
    """One claim for each data set, condition, family and coordinate of `for_each`."""
    kind, test = _test(entry["test"])
    axes = {"dataset": entry["datasets"], "condition": entry.get("conditions", [None]), **entry.get("for_each", {})}
    for values in itertools.product(*axes.values()):
        names = dict(zip(axes, values, strict=True))
        used = f"{entry['test']} {names['condition']}"
        for family in content["families"] if "{as}" in used else [None]:
            condition = family if names["condition"] == "{as}" else names["condition"]
            words = {**names, "condition": condition, "as": family}
            reader = _Reader(words, content["strengths"], paper)
            if kind == "table":
                quantities, options = reader.cells(test, tables)
            else:
                quantities = reader.quantities(kind, test)
                options = {key: value for key, value in test.items() if key not in ("of", "than")}
            coordinates = {key: names[key] for key in entry.get("for_each", {})}
            claim = Claim(
                id=name,
                datasets=(),
                condition=words["condition"],
                family=family,
                variant=", ".join(f"{key}={value}" for key, value in coordinates.items()),
                primary=not entry.get("check", False)
                and all(entry["for_each"][key][0] == value for key, value in coordinates.items()),
                place=entry["place"],
                statement=entry["claim"],
                published=str(entry["published"]),
                chance=str(entry["chance"]),
                unit=entry.get("unit", ""),
                note=entry.get("note", ""),
                kind=kind,
                quantities=quantities,
                options=options,
                comparable=entry.get("comparable", {}),
            )
            yield replace(claim, datasets=tuple(sorted({leaf.dataset for leaf in claim.leaves})))


def _test(test: Mapping) -> tuple[str, Mapping]:
    if len(test) != 1:
        raise _Mistake(f"test: expected one of {', '.join(_BOUNDS)}, found {', '.join(test)}")
    ((kind, content),) = test.items()
    bounds = set(content) & set().union(*_BOUNDS[kind], {"equals", "within", "from", "to", "above", "below"})
    if bounds not in _BOUNDS[kind]:
        wanted = " or ".join(" and ".join(sorted(each)) or "none" for each in _BOUNDS[kind])
        raise _Mistake(f"test.{kind}: expected as bounds {wanted}; found {', '.join(sorted(bounds)) or 'none'}")
    if kind == "greater" and "than" not in content:
        raise _Mistake("test.greater: missing: than")
    return kind, content


@dataclass(frozen=True)
class _Reader:
    """Reads the quantities of one row: puts in names for {…}, inherits, checks."""

    words: Mapping[str, Any]
    strengths: list[float]
    paper: Mapping[str, Any]

    def quantities(self, kind: str, test: Mapping) -> dict[str, Quantity]:
        if kind == "function":
            name = test["name"]
            if name not in FUNCTIONS:
                raise _Mistake(f"test.function.name: unknown function {name!r}{did_you_mean(name, FUNCTIONS)}")
            if sorted(test["of"]) != sorted(FUNCTIONS[name]):
                found = ", ".join(test["of"])
                raise _Mistake(f"test.function.of: {name} takes {', '.join(FUNCTIONS[name])}, found {found}")
            return {key: self._quantity(value, {}, f"test.function.of.{key}")[0] for key, value in test["of"].items()}
        found, first = self._quantity(test["of"], {}, f"test.{kind}.of")
        quantities = {"of": found}
        if "than" in test:
            quantities["than"], _ = self._quantity(test["than"], first, f"test.{kind}.than")
        for leaf in itertools.chain.from_iterable(map(leaves_of, quantities.values())):
            self._check_axis(kind, test, leaf)
        return quantities

    def cells(self, test: Mapping, tables: _Tables) -> tuple[dict[str, Quantity], dict[str, Any]]:
        """A quantity for each number of a published table, by the names of its cell, and the numbers by the same."""
        quantities, published = {}, {}
        suffix = test.get("suffix", "")
        for row in tables.read(test["file"]):
            missing = [column + suffix for column in test["columns"] if column + suffix not in row]
            if missing:
                found = f"{missing[0]!r}{did_you_mean(missing[0], row)}"
                raise _Mistake(f"test.table.columns: {test['file']}.csv has no column {found}")
            cell = {name: value for name, value in row.items() if name in _names_in(test["of"])}
            for column in test["columns"]:
                printed = row[f"{column}{suffix}"]
                words = {**self.words, **cell, "column": column}
                label = ", ".join(f"{name}={_shown_value(value)}" for name, value in {**cell, "column": column}.items())
                quantity, _ = replace(self, words=words)._quantity(test["of"], {}, "test.table.of")
                if not isinstance(quantity, Leaf) or not quantity.strength.single:
                    raise _Mistake("test.table.of: expected one number of one strength for each cell")
                if not isinstance(printed, float):
                    found = f"{printed!r} in column {column + suffix!r}"
                    raise _Mistake(f"test.table.columns: {test['file']}.csv: {found} is not a number")
                if test.get("relative") and not printed:
                    raise _Mistake(f"test.table.relative: {test['file']}.csv has a 0 in column {column + suffix!r}")
                quantities[label], published[label] = quantity, printed
        options = {key: value for key, value in test.items() if key not in ("of", "columns", "suffix")}
        return quantities, {**options, "published": published}

    def _check_axis(self, kind: str, test: Mapping, leaf: Leaf) -> None:
        if kind not in ("trend", "shape"):
            return
        axis = test.get("along", "strength")
        selector = leaf.strength if axis == "strength" else dict(leaf.at).get(axis)
        if selector is None or selector.single or selector.reduction:
            raise _Mistake(f"test.{kind}.along: {leaf.analysis}.{leaf.variable} has no points along {axis!r}")

    def _quantity(self, given: Mapping, inherited: Mapping, place: str) -> tuple[Quantity, Mapping]:
        """The quantity, and the content of its first variable, which what stands to its right inherits."""
        operations = [name for name in OPERATIONS if name in given]
        if not operations:
            return self._leaf(given, inherited, place)
        (operation,) = operations[:1]
        if len(given) > 1:
            extra = next(name for name in given if name != operation)
            raise _Mistake(f"{place}: {operation!r} stands alone, found {extra!r} beside it")
        left, first = self._quantity(given[operation][0], inherited, f"{place}.{operation}[0]")
        right, _ = self._quantity(given[operation][1], first, f"{place}.{operation}[1]")
        return Node(operation, left, right), first

    def _leaf(self, given: Mapping, inherited: Mapping, place: str) -> tuple[Leaf, Mapping]:
        # Coordinates belong to a variable: another variable does not inherit them.
        at = given.get("at", {}) if "value" in given else {**inherited.get("at", {}), **given.get("at", {})}
        full = {**inherited, **given, "at": at}
        for key in ("value", "condition"):
            if key not in full:
                raise _Mistake(f"{place}: missing: {key}")
        analysis, schema, variable = self._variable(self._word(full["value"]), f"{place}.value")
        condition = self._known(full["condition"], self.paper["conditions"], "condition", f"{place}.condition")
        dataset = self._known(
            full.get("dataset", self.words["dataset"]), self.paper["datasets"], "dataset", f"{place}.dataset"
        )
        # Without a spatial loss there is one strength, 0, which stands beside every strength of another condition.
        control = list(self.paper["conditions"][condition]["strengths"]) == [0]
        if control:
            strength = Selector((0,), single=True)
        else:
            strength = self._selector(full.get("strength", "all"), f"{place}.strength")
            strength = replace(strength, values=tuple(self.strengths)) if strength.values == "all" else strength
        leaf = Leaf(
            analysis=analysis,
            schema=schema,
            variable=variable,
            dataset=dataset,
            condition=condition,
            strength=strength,
            at=self._coordinates(at, schema, variable, f"{place}.at"),
            times=full.get("times", 1.0),
            over_networks=full.get("over_networks", "mean"),
            control=control,
        )
        return leaf, full

    def _variable(self, text: str, place: str) -> tuple[str, str, str]:
        analysis, _, variable = text.partition(".")
        known = self.paper["analyses"]
        if analysis not in known:
            raise _Mistake(f"{place}: unknown analysis {analysis!r}{did_you_mean(analysis, known)}")
        schema = known[analysis].get("analysis", analysis)
        known = _variables(schema)
        if variable not in known:
            raise _Mistake(f"{place}: unknown variable {variable!r} of {analysis}{did_you_mean(variable, known)}")
        return analysis, schema, variable

    def _known(self, name: Any, known: Mapping, kind: str, place: str) -> str:
        name = self._word(name)
        if name not in known:
            raise _Mistake(f"{place}: unknown {kind} {name!r}{did_you_mean(name, known)}")
        return name

    def _coordinates(self, at: Mapping, schema: str, variable: str, place: str) -> tuple[tuple[str, Selector], ...]:
        dims = _variables(schema)[variable]
        for name in at:
            if name not in dims:
                raise _Mistake(f"{place}.{name}: unknown coordinate of {variable!r}{did_you_mean(name, dims)}")
        missing = [name for name in dims if name not in at]
        if missing:
            raise _Mistake(f"{place}: missing: {', '.join(missing)} of {variable!r}")
        return tuple((name, self._selector(at[name], f"{place}.{name}")) for name in dims)

    def _selector(self, given: Any, place: str) -> Selector:
        given = self._word(given)
        if isinstance(given, Mapping):
            reductions = [name for name in REDUCTIONS if name in given]
            if reductions and len(given) == 1:
                inner = self._selector(given[reductions[0]], place)
                if inner.reduction or inner.single:
                    raise _Mistake(f"{place}: {reductions[0]} needs several places")
                return replace(inner, reduction=reductions[0])
            if given and set(given) <= {"from", "to"}:
                return Selector((given.get("from"), given.get("to")), bounds=True)
            raise _Mistake(
                f"{place}: expected one of {', '.join(REDUCTIONS)}, or from and to, found {', '.join(given)}"
            )
        if isinstance(given, list):
            return Selector(tuple(self._word(value) for value in given))
        if given in _WORDS:
            return Selector(given, single=given != "all")
        return Selector((given,), single=True)

    def _word(self, value: Any) -> Any:
        """Put in the names that {…} stand for; where the text is nothing else, as they are."""
        if not isinstance(value, str):
            return value
        for name in _NAME.findall(value):
            if self.words.get(name) is None:
                raise _Mistake(f"{value}: stands for nothing here; known: {', '.join(self.words)}")
        alone = _NAME.fullmatch(value)
        return self.words[alone[1]] if alone else _NAME.sub(lambda name: str(self.words[name[1]]), value)


def _variables(schema: str) -> Mapping[str, tuple[str, ...]]:
    """Dimensions of a metric file's variables beside those of its networks."""
    if schema in OF_SETS:
        return OF_SETS[schema]
    variables = SCHEMAS[schema].variables
    return {name: dims[1:] for name, (dims, _) in variables.items() if dims[0] == "run"}


def _names_in(content: Any) -> set[str]:
    """The names in {…} anywhere in a quantity as it is written."""
    return set(_NAME.findall(str(content)))


# Published tables


class _Tables:
    """The tables of published numbers that a paper's claims name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: dict[str, list[dict[str, Any]]] = {}

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(self._path(name) for name in sorted(self._rows))

    def read(self, name: str) -> list[dict[str, Any]]:
        """Its rows by column: numbers where the text is one. Lines that begin with # are comments."""
        if name not in self._rows:
            path = self._path(name)
            if not path.is_file():
                raise _Mistake(f"test.table.file: no such file {_shown(path)}")
            lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
            self._rows[name] = [{key: _number(text) for key, text in row.items()} for row in csv.DictReader(lines)]
        return self._rows[name]

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.csv"


def _shown_value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def metric_schema(claims: Claims, analysis: str) -> str:
    """Schema of an analysis's metric file."""
    return next(leaf.schema for row in claims.rows for leaf in row.leaves if leaf.analysis == analysis)


def claims_path(folder: str | os.PathLike, paper: str) -> Path:
    """Where a paper's claims lie below the folder that holds `config/`."""
    return Path(folder) / "config" / "claims" / f"{paper}.yaml"


def published_folder(claims: str | os.PathLike) -> Path:
    """Where the published numbers of the paper of this file of claims lie."""
    claims = Path(claims)
    return claims.parent.parent / "published" / claims.stem
