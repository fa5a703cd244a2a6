"""What is refused when results are published."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from toporep.claims.ledger import FULL_SCALE
from toporep.config import sha256_json
from toporep.errors import TopoRepError
from toporep.runs import Run, run_settings
from toporep.workflow import Workflow

if TYPE_CHECKING:
    import xarray as xr

# Limits in bytes, of one file and of all files of a paper: what git may hold without harm.
LARGEST_FILE, LARGEST_PAPER = 2_000_000, 10_000_000
# What all networks of a data set should have in common, and a reader would not expect to differ.
_UNIFORM = ("code_hash", "data_sha256", "train_images")
# Attributes in which a metric file and its summary agree, since one command writes both.
_OF_ONE_ANALYSIS = ("code_hash", "data_sha256", "dumps_sha256", "settings", "training", "software", "source")
_HOW_TO_MIX = "make them again with one version, or say why they may stand together (--mixed REASON)"


def refuse_other_scale(scale: str) -> None:
    """Refuse results of another scale than the paper's."""
    if scale != FULL_SCALE:
        raise TopoRepError(f"scale {scale!r}: only scale {FULL_SCALE!r} is published; other scales reproduce nothing")


def refuse_other_analysis(files: Mapping[str, xr.Dataset], **expected: str) -> None:
    """Refuse a metric file and a summary, by path, that are of something else than expected, or of two analyses."""
    for path, file in files.items():
        for key, value in expected.items():
            if file.attrs[key] != value:
                raise TopoRepError(f"{path}: expected {key} {value!r}, found {file.attrs[key]!r}; it is not published")
    (path, metric), (summary_path, summary) = files.items()
    for key in _OF_ONE_ANALYSIS:
        if metric.attrs.get(key) != summary.attrs.get(key):
            raise TopoRepError(f"{summary_path}: its {key} is not that of {path}; make both again with one command")


def refuse_other_settings(
    workflow: Workflow, run: Run, provenance: Mapping[str, Any], *, lacking: str | None
) -> list[str]:
    """Refuse a run that was trained with other settings than the configuration's.

    Args:
        workflow: the configuration.
        run: which one.
        provenance: what it says of itself.
        lacking: why settings that came after the run, and that it lacks, were then as they are now; None if it may lack
            none.

    Returns:
        Names of the settings that it lacks.
    """
    wanted, found = run_settings(workflow.config, run), provenance["settings"]
    path = workflow.paths.provenance(run)
    if provenance["config_sha256"] != sha256_json(found):
        raise TopoRepError(f"{path}: its config_sha256 is not that of its settings; train {run.id} again")
    absent = [".".join(place) for place in _absent(wanted, found)]
    different = [name for place in _differences(wanted, found) if (name := ".".join(place)) not in absent]
    if different:
        raise TopoRepError(
            f"{path}: trained with other settings than the configuration's: {', '.join(different)}; give the "
            "configuration that it was trained with (--configfile)"
        )
    if absent and not lacking:
        raise TopoRepError(
            f"{path}: trained before there was a setting {', '.join(absent)}; train {run.id} again, or say why it "
            "was as in the configuration now (--lacking REASON)"
        )
    return absent


def refuse_other_training(name: str, attrs: Mapping[str, Any], provenance: Mapping[Run, Mapping[str, Any]]) -> None:
    """Refuse a metric file of networks that were trained otherwise than those that lie there now.

    Args:
        name: of the file.
        attrs: its attributes.
        provenance: what its runs say of themselves.
    """
    told = json.loads(attrs["training"])
    for run, content in provenance.items():
        training = {**content["settings"].get("training", {}), "train_images": content["train_images"]}
        different = [key for key, value in told.items() if key in training and training[key] != value]
        if different:
            raise TopoRepError(
                f"{name}: of networks trained with {different[0]} {told[different[0]]!r}, but {run.id} has "
                f"{training[different[0]]!r}; make the analysis again"
            )


def refuse_mixed_runs(provenance: Mapping[Run, Mapping[str, Any]], mixed: str | None) -> None:
    """Refuse networks of a data set that were trained by different code or on different data, without a reason."""
    for name in _UNIFORM:
        first: dict[Any, Run] = {}
        for run, content in provenance.items():
            first.setdefault(content[name], run)
        if len(first) > 1 and not mixed:
            each = "; ".join(f"{run.id} has {value}" for value, run in first.items())
            raise TopoRepError(f"{name} differs between networks of a data set: {each}; {_HOW_TO_MIX}")


def refuse_mixed_analyses(files: Mapping[str, Mapping[str, Any]], mixed: str | None) -> None:
    """Refuse an analysis that was not made by the same code for all data sets, without a reason.

    Args:
        files: entries of a manifest.
        mixed: the reason.
    """
    first: dict[str, str] = {}
    for name, entry in files.items():
        other = first.setdefault(entry["analysis"], name)
        if entry["code_hash"] != files[other]["code_hash"] and not mixed:
            raise TopoRepError(
                f"code_hash of the analysis {entry['analysis']} differs: {other} has {files[other]['code_hash']}; "
                f"{name} has {entry['code_hash']}; {_HOW_TO_MIX}"
            )


def refuse_large(files: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse files, as a manifest lists them, that are too large to be published."""
    lines = [
        f"{name}: {entry['bytes']:,} bytes, at most {LARGEST_FILE:,}; leave the analysis out (--leave-out)"
        for name, entry in files.items()
        if entry["bytes"] > LARGEST_FILE
    ]
    total = sum(entry["bytes"] for entry in files.values())
    if not lines and total > LARGEST_PAPER:
        lines = [f"all files together: {total:,} bytes, at most {LARGEST_PAPER:,}; leave analyses out (--leave-out)"]
    if lines:
        raise TopoRepError("\n".join(lines))


def _differences(left: Any, right: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Places where two nested mappings differ."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        for key in sorted({*left, *right}):
            if key in left and key in right:
                yield from _differences(left[key], right[key], (*place, key))
            else:
                yield (*place, key)
    elif left != right:
        yield place


def _absent(
    wanted: Mapping[str, Any], found: Mapping[str, Any], place: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """Places of a nested mapping that another one lacks."""
    for key, value in wanted.items():
        if key not in found:
            yield (*place, key)
        elif isinstance(value, Mapping) and isinstance(found[key], Mapping):
            yield from _absent(value, found[key], (*place, key))
