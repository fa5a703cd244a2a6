"""The registry of image sets: what the paper needs is there, and a mistake in it is named."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from toporep.data.image_sets import DEFAULT_PATH, RenderedPart, load_image_sets, parse_image_sets
from toporep.errors import TopoRepError
from toporep.stimuli.gabor_features import DIMENSIONS

REGISTRY = load_image_sets()
RAW = yaml.safe_load(DEFAULT_PATH.read_text(encoding="utf-8"))


def test_every_source_of_the_papers_configuration_is_known() -> None:
    folder = DEFAULT_PATH.parent
    for name in ("papers/keller2021_category", "demo", "reduced", "rendered"):
        config = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
        paper = config if "papers" in name else config["overrides"]["keller2021_category"]
        used = [*paper["image_sets"].values(), *paper["datasets"].values()]
        for source in (entry["source"] for entry in used if "source" in entry):
            assert REGISTRY.source(source).name == source
        assert "network" not in paper["features"] or REGISTRY.network(paper["features"]["network"])


def test_numbers_of_images_are_the_papers() -> None:
    """Keller, Gao & Welling 2021 (category), sections 4 and A.2."""
    assert REGISTRY.sources["imagenet_objects"].parts[0].per_class * 1000 == 25_000
    assert REGISTRY.sources["vggface2"].parts[0].images == 25_000
    assert REGISTRY.sources["celeba"].parts[0].images == 24_684
    assert REGISTRY.folders["utkface"].images == 10_137


def test_widths_are_those_of_the_networks() -> None:
    assert REGISTRY.network("gabor").dimensions == DIMENSIONS == 576
    assert REGISTRY.network("alexnet").dimensions == 256 * 6 * 6


def test_rendered_training_images_are_in_no_other_set() -> None:
    """But for the set of training faces, which stands for LFW in figure 6."""

    def images(name: str) -> set[tuple]:
        return {
            (part.category, part.split, part.seed, part.ground, i)
            for part in REGISTRY.sources[name].parts
            if isinstance(part, RenderedPart)
            for i in range(part.images)
        }

    training = images("rendered_training")
    assert len(training) == 3000 and len(images("rendered_validation")) == 450
    shared = {name for name in REGISTRY.sources if name != "rendered_training" and images(name) & training}
    assert shared == {"rendered_training_faces"} and images("rendered_training_faces") < training
    assert len(set.union(*(images(f"rendered_faces{suffix}") for suffix in ("", "_2", "_3")))) == 600


def test_validation_has_the_classes_of_training_in_their_shares() -> None:
    training, validation = (REGISTRY.sources[f"rendered_{name}"].parts for name in ("training", "validation"))
    assert [part.class_name for part in validation] == [part.class_name for part in training]
    for ours, theirs in zip(validation, training, strict=True):
        assert abs(ours.images - 0.15 * theirs.images) <= 0.5


def test_the_document_names_every_folder_and_source() -> None:
    text = (DEFAULT_PATH.parents[1] / "docs" / "image-sets.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    for folder in REGISTRY.folders.values():
        (row,) = (row for row in rows if row.startswith(f"| `{folder.name}` | `{folder.folder}/"))
        assert "not known" in row or folder.images is None or f"{folder.images:,}" in row
    assert [name for name in REGISTRY.sources if not any(f"`{name}`" in row.split("|")[1] for row in rows)] == []


def changed(path: str, value: Any) -> Any:
    """The registry with one entry set, or with `value` None left out."""
    raw = copy.deepcopy(RAW)
    *keys, last = (int(key) if key.isdigit() else key for key in path.split("."))
    entry = raw
    for key in keys:
        entry = entry[key]
    if value is None:
        del entry[last]
    else:
        entry[last] = value
    return raw


@pytest.mark.parametrize(
    "path, value, message",
    [
        ("folders.lfw.title", None, "folders.lfw: missing key title"),
        ("folders.lfw.url", "x", "folders.lfw: unknown key url"),
        ("folders.lfw.images", "many", "folders.lfw.images: expected int, found 'many'"),
        ("folders.lfw.images", 0, "folders.lfw.images: expected at least 1, found 0"),
        ("folders.lfw.images", True, "folders.lfw.images: expected int, found True"),
        ("folders.lfw.folder", "../lfw", "folders.lfw.folder: expected a path below the data folder"),
        ("folders.lfw.classes", "names", "folders.lfw.classes: expected one of any, wordnet"),
        ("networks.vgg", {}, "networks.vgg: expected one of alexnet, gabor"),
        ("networks.alexnet.weights", ["alexnet.pth"], r"networks.alexnet.weights\[0\]: expected the name of a .pth"),
        ("networks.alexnet.dimensions", 0, "networks.alexnet.dimensions: expected at least 1"),
        ("sources.Big", {"title": "x", "parts": []}, "sources.Big: expected a name of small letters"),
        ("sources.big.parts", [], "sources.big.parts: expected at least one part"),
        ("sources.big.parts.0.folder", "huge", r"sources.big.parts\[0\].folder: expected one of imagenet_train"),
        ("sources.big.parts.0.per_clas", 2, r"sources.big.parts\[0\]: unknown key per_clas"),
        ("sources.celeba.parts.0.per_class", 2, r"celeba.parts\[0\]: expected images or per_class, found both"),
        ("sources.rendered_big.parts.0.rendered", "huge", r"rendered_big.parts\[0\].rendered: expected one of face"),
        ("sources.rendered_big.parts.0.split", None, r"rendered_big.parts\[0\]: missing key split"),
        ("sources.rendered_big.parts.0.seed", -1, r"rendered_big.parts\[0\].seed: expected at least 0"),
        ("sources.rendered_places.parts.0.ground", "plain", "a scene fills its image"),
        ("sources.big.parts", [{"folder": "big"}] * 2, "sources.big.parts: the same part stands there twice"),
        ("sources", None, "missing key sources"),
    ],
)
def test_a_mistake_is_named(path: str, value: Any, message: str) -> None:
    with pytest.raises(TopoRepError, match=f"^registry.*{message}"):
        parse_image_sets(changed(path, value), where="registry")


def test_unknown_names_are_told_the_known_ones() -> None:
    with pytest.raises(TopoRepError, match="unknown source of images 'faces'; known: imagenet_lfw, "):
        REGISTRY.source("faces")
    with pytest.raises(TopoRepError, match="unknown network for features 'vgg'; known: alexnet, gabor"):
        REGISTRY.network("vgg")


def test_a_file_that_is_missing_or_not_yaml_is_named(tmp_path) -> None:
    with pytest.raises(TopoRepError, match="sets.yaml: no such file"):
        load_image_sets(tmp_path / "sets.yaml")
    (tmp_path / "sets.yaml").write_text("a: [")
    with pytest.raises(TopoRepError, match="sets.yaml.*: not valid YAML"):
        load_image_sets(tmp_path / "sets.yaml")
