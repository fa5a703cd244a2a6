"""The configuration: one main file, one file per paper, both validated when the Snakefile is read.

Snakemake merges the main configuration (`config/config.yaml`, `--configfile`, `--config`). Its `overrides` are
laid over `config/papers/<paper>.yaml` here. Every mistake found is told in one line that names the place.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from toporep.errors import TopoRepError
from toporep.kinds import all_kinds, channels_of, kind_of

MAIN = "main configuration"
_TRUTH = {"true": True, "false": False}

# Of the images of each source.
_CHANNELS = {
    **dict.fromkeys(("cifar10", "objects"), 3),
    **dict.fromkeys(("mnist", "digits", "digits_small", "dsprites", "sprites", "sprites_small"), 1),
}
# Folders directly under results/ at scale `paper`: a scale of that name would write into them.
_RESERVED_SCALES = {
    *("activations", "benchmarks", "claims", "data", "features", "figures", "image_noise", "logs", "max_images"),
    *("metrics", "noise_logits", "published", "runs", "sequences", "state", "tables", "tuning"),
}


@dataclass(frozen=True)
class Config:
    """A valid configuration.

    Attributes:
        main: The main configuration, as Snakemake merged it.
        papers: For each selected paper, its file with the overrides applied.
        scale: `paper`, `reduced`, `demo` or the user's own.
        root: Folder of the results: `results`, or `results/<scale>` at any scale but `paper`.
    """

    main: dict[str, Any]
    papers: dict[str, dict[str, Any]]
    scale: str
    root: str


class Problem(NamedTuple):
    """A mistake: where (keys and list indices from the top of the document) and what."""

    path: tuple[str | int, ...]
    text: str


def load_config(main: Mapping, folder: str | os.PathLike) -> Config:
    """Validate the main configuration and load the papers that it selects.

    Args:
        main: The main configuration, all files and command-line values merged.
        folder: The folder that holds `papers/` and `schemas/`.

    Raises:
        TopoRepError: There are mistakes; the message has one line for each.
    """
    folder = Path(folder)
    # Snakemake reads `--config` as Python: `true` arrives as text.
    main = {key: _TRUTH.get(value, value) if isinstance(value, str) else value for key, value in _plain(main).items()}
    _raise_all(f"{MAIN}: {_line(problem)}" for problem in _main_problems(main, folder))
    papers, lines = {}, []
    for paper in main["papers"]:
        papers[paper], found = _load_paper(paper, main["overrides"].get(paper, {}), folder)
        lines += found
    _raise_all(lines)
    scale = main["scale"]
    return Config(main=main, papers=papers, scale=scale, root="results" if scale == "paper" else f"results/{scale}")


def read_yaml(path: str | os.PathLike) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping; a key written twice is an error."""
    if not Path(path).is_file():
        raise TopoRepError(f"{_shown(path)}: no such file")
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.load(file, Loader=_UniqueKeyLoader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise TopoRepError(
            f"{_shown(path)}{line}: not valid YAML: {getattr(error, 'problem', None) or error}"
        ) from error
    if not isinstance(content, dict):
        raise TopoRepError(f"{_shown(path)}: expected a mapping at the top level, found {_kind(content)}")
    return content


def schema_problems(value: Any, schema: str | os.PathLike) -> list[Problem]:
    """Check a document against a JSON Schema written in YAML.

    Returns:
        All mistakes, sorted by place, each once.
    """
    problems = list(_walk(value))
    if not problems:
        errors = _validator(read_yaml(schema)).iter_errors(value)
        problems = [problem for error in errors for problem in _described(error)]
    return list(dict.fromkeys(sorted(problems, key=lambda problem: _place(problem.path))))


def merge(base: Mapping, over: Mapping) -> dict[str, Any]:
    """Lay one nested mapping over another; lists and scalars replace. Neither argument is changed."""
    merged = _plain(base)
    for key, value in over.items():
        below = merged.get(key)
        nested = isinstance(value, Mapping) and isinstance(below, Mapping)
        merged[key] = merge(below, value) if nested else _plain(value)
    return merged


def canonical_json(value: Any) -> str:
    """Write a value as JSON in the one way that equal values share: sorted keys, no spaces, 1.0 as 1.

    Raises:
        TopoRepError: The value holds NaN, an infinity, a key that is not text, or something JSON has no form for.
    """
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256_json(value: Any) -> str:
    """SHA-256, in hexadecimal, of `canonical_json(value)`."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` where one of `known` is near `name`, else ` (known: x, y)`."""
    known = list(known)
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else f" (known: {listed(known)})"


def unknown_names(path: tuple, names: Iterable[str], kind: str, known: Mapping) -> Iterator[Problem]:
    """A mistake at `path` for each name that is none of the `known` ones of a kind of thing."""
    for name in names:
        if name not in known:
            yield Problem(path, f"unknown {kind} {name!r}{did_you_mean(name, known)}")


def listed(names: Iterable[object]) -> str:
    """Names with commas between them, `none` where there are none."""
    return ", ".join(map(str, names)) or "none"


def _raise_all(lines: Iterable[str]) -> None:
    lines = list(lines)
    if lines:
        raise TopoRepError("\n".join(lines))


def _main_problems(main: dict[str, Any], folder: Path) -> list[Problem]:
    problems = schema_problems(main, folder / "schemas" / "main.yaml")
    if problems:
        return problems
    if main["scale"] in _RESERVED_SCALES:
        taken = ", ".join(sorted(_RESERVED_SCALES))
        problems.append(Problem(("scale",), f"{main['scale']!r} is a folder of the results; choose none of {taken}"))
    own = folder / f"{main['scale']}.yaml"
    if main["scale"] != "paper" and own.is_file():
        lacking = set(read_yaml(own).get("overrides", {})) - set(main["overrides"])
        if lacking:
            text = f"the settings of {main['scale']!r} are not there; give --configfile config/{own.name} in its place"
            problems.append(Problem(("scale",), text))
    known = sorted(path.stem for path in (folder / "papers").glob("*.yaml"))
    for path, paper in [(("papers", i), name) for i, name in enumerate(main["papers"])] + [
        (("overrides", name), name) for name in main["overrides"]
    ]:
        if paper not in known:
            problems.append(Problem(path, f"unknown paper {paper!r}{did_you_mean(paper, known)}"))
    return problems


def _load_paper(paper: str, overrides: dict[str, Any], folder: Path) -> tuple[dict[str, Any], list[str]]:
    file = folder / "papers" / f"{paper}.yaml"
    base = read_yaml(file)
    merged = merge(base, overrides)
    problems = schema_problems(merged, folder / "schemas" / f"{paper}.yaml")
    problems = _with_misspelt_names(problems, base=base, overrides=overrides)
    if not problems:
        problems = list(_cross_problems(merged))
    return merged, [f"{_origin(problem.path, base, overrides, paper, file)}{_line(problem)}" for problem in problems]


def _origin(path: tuple, base: Any, overrides: Any, paper: str, file: Path) -> str:
    """Where the value at `path` was written: in the overrides, or else in the paper's file."""
    merged = _has_mapping(base, path) and _has_mapping(overrides, path)
    from_override = bool(path) and _has(overrides, path) and not merged
    # A key that is missing below an entry which only the overrides have is missing there.
    if not from_override and len(path) > 1 and not _has(base, path[:-1]):
        from_override = _has(overrides, path[:-1])
    return f"{MAIN}: overrides.{paper}." if from_override else f"{_shown(file)}: "


def _has(document: Any, path: tuple) -> bool:
    for key in path:
        if isinstance(document, list):
            # A list is taken whole from one document, so any of its items comes from where the list does.
            return True
        if not isinstance(document, Mapping) or key not in document:
            return False
        document = document[key]
    return True


def _has_mapping(document: Any, path: tuple) -> bool:
    for key in path:
        document = document.get(key) if isinstance(document, Mapping) else None
    return isinstance(document, Mapping)


def _with_misspelt_names(problems: list[Problem], *, base: dict, overrides: dict) -> list[Problem]:
    """Replace all that an incomplete new dataset or condition lacks by one line, where its name is near a known one."""
    for section in ("datasets", "conditions"):
        known, over = base.get(section), overrides.get(section)
        if not isinstance(known, dict) or not isinstance(over, dict):
            continue
        for name in over.keys() - known.keys():
            near, place = difflib.get_close_matches(str(name), known, n=1), (section, name)
            if near and any(problem.path[:2] == place for problem in problems):
                problems = [problem for problem in problems if problem.path[:2] != place]
                problems.append(
                    Problem(place, f"no such {section[:-1]}; did you mean {near[0]!r}? (a new one needs all keys)")
                )
    return problems


def _cross_problems(paper: dict[str, Any]) -> Iterator[Problem]:
    unknown = list(_unknown_models(paper["datasets"]))
    yield from unknown
    if unknown:
        return
    models = {dataset["model"] for dataset in paper["datasets"].values()}
    kinds = [kind for kind in all_kinds() if models & kind.models.keys()]
    # Sections that only papers with such networks have.
    own = {section: None for kind in kinds for section in kind.checks if section not in _CHECKS}
    for section in ("datasets", "conditions", *own, "analyses", "figures"):
        for name, entry in paper.get(section, {}).items():
            yield from _CHECKS[section](paper, name) if section in _CHECKS else ()
            for kind in [kind_of(entry["model"])] if section == "datasets" else kinds:
                yield from kind.checks[section](paper, name) if section in kind.checks else ()


def _unknown_models(datasets: dict[str, Any]) -> Iterator[Problem]:
    for name, dataset in datasets.items():
        try:
            kind_of(dataset["model"])
        except TopoRepError as error:
            yield Problem(("datasets", name, "model"), str(error))


def _dataset_problems(paper: dict[str, Any], name: str) -> Iterator[Problem]:
    here, dataset = ("datasets", name), paper["datasets"][name]
    channels = channels_of(dataset["model"])
    if channels is None:
        # Trained on features, whatever the images were.
        return
    if _CHANNELS[dataset["source"]] != channels:
        text = f"{dataset['source']!r} has images of {_CHANNELS[dataset['source']]} channel(s)"
        yield Problem((*here, "source"), f"{text}, but model {dataset['model']} takes {channels}")
    for key in ("mean", "std", "eval_std_mismatched"):
        found = dataset.get(key)
        if found is not None and len(found) != channels:
            yield Problem((*here, key), f"expected {channels} number(s), one a channel, found {len(found)}")


def _condition_problems(paper: dict[str, Any], name: str) -> Iterator[Problem]:
    here, condition = ("conditions", name), paper["conditions"][name]
    yield from unknown_names((*here, "datasets"), condition["datasets"], "dataset", paper["datasets"])
    for i, strength in enumerate(condition["strengths"]):
        path = (*here, "strengths", i)
        spatial_loss = condition.get("spatial_loss")
        if spatial_loss == "none" and strength != 0:
            yield Problem(path, f"{strength:g} has no meaning without a spatial loss; write [0]")
        if spatial_loss not in ("none", None) and strength == 0:
            yield Problem(path, "0 switches the spatial loss off; leave it to a condition with spatial_loss: none")
        if float(f"{strength:g}") != strength:
            yield Problem(path, f"{strength!r} has more than the six digits that the name of a run keeps")


def _analysis_problems(paper: dict[str, Any], name: str) -> Iterator[Problem]:
    here, analysis = ("analyses", name), paper["analyses"][name]
    unknown = list(unknown_names((*here, "conditions"), analysis["conditions"], "condition", paper["conditions"]))
    yield from unknown
    if unknown:
        return
    strengths = {s for condition in analysis["conditions"] for s in paper["conditions"][condition]["strengths"]}
    for strength in analysis.get("strengths", []):
        if strength not in strengths:
            yield Problem((*here, "strengths"), f"{strength:g} is not a strength of any of its conditions")


def _figure_problems(paper: dict[str, Any], name: str) -> Iterator[Problem]:
    here, figure = ("figures", name), paper["figures"][name]
    if "strength" in figure:
        known = sorted({strength for condition in paper["conditions"].values() for strength in condition["strengths"]})
        if figure["strength"] not in known:
            yield Problem((*here, "strength"), f"{figure['strength']:g} is not a strength of any condition")
    if "dataset" not in figure:
        for role, dataset in paper["datasets"].items() if "models" in figure else ():
            yield from _too_many_models(name, figure["models"], role, len(dataset["seeds"] or paper["seeds"]))
        return
    role = figure["dataset"]
    unknown = [
        *unknown_names((*here, "dataset"), [role], "dataset", paper["datasets"]),
        *unknown_names((*here, "conditions"), figure["conditions"], "condition", paper["conditions"]),
    ]
    yield from unknown
    if unknown:
        return
    yield from _too_many_models(name, figure["models"], role, len(paper["datasets"][role]["seeds"] or paper["seeds"]))
    for condition in figure["conditions"]:
        if role not in paper["conditions"][condition]["datasets"]:
            yield Problem((*here, "conditions"), f"condition {condition!r} has no runs on dataset {role!r}")
        has_loss = paper["conditions"][condition].get("spatial_loss") != "none"
        for strength in figure["strengths"] if has_loss else []:
            if strength not in paper["conditions"][condition]["strengths"]:
                yield Problem((*here, "strengths"), f"{strength:g} is not a strength of condition {condition!r}")


# Every paper has these sections.
_CHECKS = {
    "datasets": _dataset_problems,
    "conditions": _condition_problems,
    "analyses": _analysis_problems,
    "figures": _figure_problems,
}


def _too_many_models(figure: str, wanted: int, role: str, seeds: int) -> Iterator[Problem]:
    if wanted > seeds:
        text = f"{wanted} networks wanted, but dataset {role!r} has {seeds} seed(s)"
        yield Problem(("figures", figure, "models"), text)


def _walk(value: Any, path: tuple = ()) -> Iterator[Problem]:
    """Find what JSON Schema cannot: keys that are not text, and numbers that are not finite."""
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, str):
                yield from _walk(item, (*path, key))
            else:
                yield Problem((*path, key), f"the key is {_kind(key)}, not text; put it in quotes")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _walk(item, (*path, i))
    elif isinstance(value, float) and not math.isfinite(value):
        yield Problem(path, f"{value} is not a finite number")


def _validator(schema: dict[str, Any]) -> Any:
    # Here, because it takes 0.1 s to import and every `snakemake` command reads this module.
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    # JSON Schema takes 4.0 for an integer; Python's range() does not.
    checker = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    return extend(Draft202012Validator, type_checker=checker)(schema)


def _described(error: Any) -> list[Problem]:
    """Say in plain words what a jsonschema error means."""
    path, found, wanted = tuple(error.absolute_path), error.instance, error.validator_value
    kind = error.validator
    if kind == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        extras = [key for key in found if key not in known]
        return [Problem((*path, key), f"unknown key{did_you_mean(key, known)}") for key in extras]
    if kind == "required":
        missing = [key for key in wanted if key not in found]
        return [Problem(path, f"missing: {listed(missing)}")]
    if kind == "uniqueItems":
        repeated = [text for text, count in Counter(map(canonical_json, found)).items() if count > 1]
        return [Problem(path, f"{text} is listed more than once") for text in repeated]
    return [Problem(path, _constraint(kind, found, wanted, error.message))]


def _constraint(kind: str, found: Any, wanted: Any, message: str) -> str:
    shown = _scalar(found)
    if kind == "type":
        return _wrong_type(found, [wanted] if isinstance(wanted, str) else list(wanted))
    if kind == "enum":
        return f"{shown} is not a known value{did_you_mean(found, [str(item) for item in wanted])}"
    if kind == "pattern":
        return f"{shown} is no valid name: a letter, then letters, digits and _ (see the schema: {wanted})"
    bounds = {
        "minimum": "must be at least",
        "maximum": "must be at most",
        "exclusiveMinimum": "must be greater than",
        "exclusiveMaximum": "must be less than",
    }
    if kind in bounds:
        return f"{shown} {bounds[kind]} {wanted:g}"
    sizes = {"minItems": "at least", "maxItems": "at most", "minProperties": "at least", "minLength": "at least"}
    if kind in sizes:
        return f"expected {sizes[kind]} {wanted} item(s), found {len(found)}"
    return message


_KINDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


def _wrong_type(found: Any, wanted: list[str]) -> str:
    shown = _scalar(found)
    if isinstance(found, str) and {"number", "integer"} & set(wanted):
        spellings = _numbers(found, whole="number" not in wanted)
        noun = "a number" if "number" in wanted else "a whole number"
        return f"{shown} is text, not {noun}" + (f"; write {' or '.join(spellings)}" if spellings else "")
    expected = " or ".join(_KINDS[name] for name in wanted)
    return f"expected {expected}, found {_kind(found)}" + ("" if shown == _kind(found) else f" ({shown})")


def _numbers(text: str, *, whole: bool) -> list[str]:
    """Ways to write `text` that YAML 1.1 reads as a number: it wants a point before, and a sign after, the `e`."""
    try:
        number = Decimal(text.replace("_", ""))
    except InvalidOperation:
        return []
    if not number.is_finite() or (whole and number != int(number)) or abs(number.adjusted()) > 20:
        return []
    plain = f"{number:f}"
    if whole:
        return [str(int(number))]
    match = re.fullmatch(r"([-+]?\d+)(\.\d*)?[eE]([-+]?)(\d+)", text)
    if not match:
        return [plain]
    digits, fraction, sign, exponent = match.groups()
    return [plain, f"{digits}{fraction or '.0'}e{sign or '+'}{exponent}"]


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    kinds = {dict: "a mapping", list: "a list", str: "text", int: "a number", float: "a number"}
    return kinds.get(type(value), type(value).__name__)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return _kind(value) if isinstance(value, (dict, list)) or value is None else repr(value)


def _line(problem: Problem) -> str:
    place = _place(problem.path)
    return f"{place}: {problem.text}" if place else problem.text


def _place(path: tuple) -> str:
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


def _shown(path: str | os.PathLike) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _plain(value: Any) -> Any:
    """Copy a document, ordered dictionaries and tuples as plain dictionaries and lists."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _canonical(value: Any) -> Any:
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in value]
    raise TopoRepError(
        f"canonical JSON: expected text, finite numbers, lists and mappings with text keys, found {value!r}"
    )


# The same loader in C, where PyYAML was built with it, is ten times as fast.
_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _UniqueKeyLoader(_SafeLoader):
    """YAML keeps the last of two equal keys without a word; this loader refuses them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != "tag:yaml.org,2002:merge":
                if key_node.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key {key_node.value!r} is written twice", key_node.start_mark
                    )
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)
