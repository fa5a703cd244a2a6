"""The four numbers of Keller, Gao & Welling 2021 (category): as printed, this run's beside them, and their bounds."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from category_curves import accuracies, bits, summary_of
from figure_checks import check_same_bytes

from toporep.cli.table import main
from toporep.errors import TopoRepError
from toporep.io import write_dataset
from toporep.tables import table_module
from toporep.tables.text import TextTable

PAPER, TABLE = "keller2021_category", "table_numbers"
PUBLISHED = Path(__file__).resolve().parent.parent / "config" / "published" / PAPER / "numbers.csv"
TOP1, BITS = "imagenet_faces.classification", "imagenet_faces.bits_per_dimension"


def write(folder: Path, *, grid: int = 24, top1=None, of_bits=None, **attrs) -> dict[str, Path]:
    inputs = {"published": PUBLISHED, TOP1: folder / "top1.nc", BITS: folder / "bits.nc"}
    top1 = accuracies(grid, **attrs) if top1 is None else top1
    of_bits = bits(grid, **attrs) if of_bits is None else of_bits
    write_dataset(summary_of(top1, "classification"), inputs[TOP1], "classification_summary")
    write_dataset(summary_of(of_bits, "bits_per_dimension"), inputs[BITS], "bits_per_dimension_summary")
    return inputs


def build(folder: Path, **options) -> tuple[pd.DataFrame, TextTable]:
    return table_module(PAPER, TABLE).build(write(folder, **options))


def cells(text: TextTable) -> dict[tuple[str, str], dict[str, str]]:
    """(number, model) → header → cell of the Markdown table."""
    lines = [line for line in text.markdown().splitlines() if line.startswith("| ")]
    header, _, *rows = [[cell.strip() for cell in line[2:-2].split(" | ")] for line in lines]
    found, number = {}, ""
    for row in rows:
        number = row[0] or number
        found[number, row[1]] = dict(zip(header[2:], row[2:], strict=True))
    return found


def test_the_published_numbers_are_those_of_the_text():
    table = pd.read_csv(PUBLISHED, comment="#")
    wanted = [("tdann", "top1", 40.5), ("tdann_nonspatial", "top1", 45.5), ("vae", "bits", 3.4), ("tvae", "bits", 3.6)]
    assert list(table.itertuples(index=False, name=None)) == wanted


def test_ours_stand_beside_them_with_chance_and_the_untrained_network(tmp_path):
    numbers, text = build(tmp_path, grid=64)
    found = cells(text)
    row = found["Top-1 (%), all classes", "TDANN"]
    assert row == {"Paper": "40.5", "Here": "41.0 ± 1.0", "Here, untrained": "–", "Null": "0.1", "Floor": "–"}
    row = found["Bits a feature, objects", "TVAE"]
    # Seeds 0 to 3 are 0.01 bits apart.
    assert row["Here"] == "1.75 ± 0.01" and row["Here, untrained"] == "2.33 ± 0.01"
    assert (row["Paper"], row["Null"], row["Floor"]) == ("3.6", "2.05", "1.33")
    row = found["Bits a feature, objects", "VAE"]
    assert (row["Paper"], row["Here"], row["Here, untrained"]) == ("3.4", "1.69", "–"), "one seed has no SD"
    keyed = numbers.set_index(["measure", "reading", "set", "condition"])
    of_seeds = bits(64)["bits"].sel(set="faces").values[1:5]
    assert keyed.loc[("bits", "per_feature", "faces", "tvae"), "value"] == pytest.approx(of_seeds.mean())
    assert keyed.loc[("bits", "per_feature", "faces", "tvae"), "value_sd"] == pytest.approx(of_seeds.std(ddof=1))


def test_bits_a_latent_have_the_bounds_of_a_latent(tmp_path):
    numbers, text = build(tmp_path, grid=64)
    keyed = numbers.set_index(["reading", "set", "condition"])
    for column in ("value", "untrained", "null", "floor"):
        per_feature, per_latent = (keyed.loc[(name, "faces", "tvae"), column] for name in ("per_feature", "per_latent"))
        assert per_latent == pytest.approx(per_feature * 9216 / 4096)
    assert cells(text)["Bits a latent, objects", "VAE"]["Floor"] == "2.98"


def test_what_is_said_of_the_papers_bits_is_so(tmp_path):
    markdown = build(tmp_path, grid=64)[1].markdown()
    # Landmarks of unit-variance features: half of log 2 pi, and half a nat more.
    floor = np.log(2 * np.pi) / 2 / np.log(2)
    constant = floor + 0.5 / np.log(2)
    assert f"Floor: {floor:.4f}" in markdown and f"the null ({constant:.4f})" in markdown
    assert constant < 3.4
    assert f"would be {3.4 * 4096 / 9216:.2f} and {3.6 * 4096 / 9216:.2f} bits a feature" in markdown
    # The mean square of features that a constant prediction needs 3.4 bits for.
    assert 2 * (3.4 - floor) * np.log(2) == pytest.approx(2.9, abs=0.05)


def test_differences_are_of_accuracies_alone_since_the_papers_bits_are_undefined(tmp_path):
    numbers, _ = build(tmp_path, grid=64)
    both = numbers.dropna(subset=["difference"])
    assert both[["measure", "reading"]].drop_duplicates().to_numpy().tolist() == [["top1", "all"]]
    np.testing.assert_allclose(both["difference"], both["value"] - both["published"])
    printed = numbers.dropna(subset=["published"]).groupby(["measure", "reading"]).size()
    assert printed.to_dict() == {
        ("bits", "per_feature"): 4,
        ("bits", "per_latent"): 4,
        ("bits", "published_average"): 2,
        ("top1", "all"): 2,
    }


def test_accuracies_among_other_classes_are_not_compared(tmp_path):
    numbers, text = build(tmp_path)
    assert numbers["published"].notna().any() and numbers["difference"].isna().all()
    sentence = "with other classes not comparable, and the table of numbers has no difference"
    assert sentence in text.markdown() and sentence not in build(tmp_path, grid=64)[1].markdown()


def test_parts_of_the_bound_and_the_likelihood_are_in_the_numbers_alone(tmp_path):
    numbers, text = build(tmp_path)
    keyed = numbers[numbers["measure"] == "bits"].set_index(["reading", "set", "condition"])["value"]
    parts = [keyed[name, "faces", "tvae"] for name in ("reconstruction", "kl_z", "kl_u")]
    assert sum(parts) == pytest.approx(keyed["per_feature", "faces", "tvae"])
    assert keyed["importance_published", "faces", "vae"] < keyed["importance_corrected", "faces", "vae"]
    assert not any("importance" in number for number, _ in cells(text))


def test_parts_of_the_images_are_named_and_unknown_ones_shown(tmp_path):
    made = accuracies()
    made = made.assign_coords(part=np.array(["all", "mine", "faces_no_choice"], dtype=object))
    _, text = build(tmp_path, top1=made)
    found = [number for number, model in cells(text) if number.startswith("Top-1") and model == "TDANN"]
    assert found == ["Top-1 (%), all classes", "Top-1 (%), the same, faces no choice", "Top-1 (%), mine"]


def test_a_stand_in_says_so_and_networks_that_are_missing_are_named(tmp_path):
    _, text = build(tmp_path, top1=accuracies(conditions=("tdann",)), of_bits=bits(conditions=("tvae",)))
    found = cells(text)
    assert set(found["Bits a feature, faces", "VAE"].values()) == {"3.4", "–"}
    markdown = text.markdown()
    for part in (
        "# The four numbers of the text, rendered stimuli, not a replication",
        "of 9 classes, one of them faces; in the paper of 1001",
        "576 here, 9216 in the paper",
        "TDANN: 3 seeds",
        "TVAE: 4 seeds",
        "Not trained at this scale: VAE; TDANN without the spatial loss",
        "claims nothing about the paper",
    ):
        assert part in markdown or part in markdown.replace("\\", "")
    assert "claims nothing" not in build(tmp_path, grid=64)[1].markdown()


def test_latex_is_ascii_and_another_process_writes_the_same_bytes(tmp_path):
    (tmp_path / "inputs").mkdir()
    inputs = [f"{name}={path}" for name, path in write(tmp_path / "inputs").items()]

    def words(folder: Path) -> list[str]:
        outputs = [str(folder / f"{TABLE}{suffix}") for suffix in (".csv", ".md", ".tex")]
        return [PAPER, TABLE, "--input", *inputs, "--outputs", *outputs]

    main(words(tmp_path / "here"))
    assert (tmp_path / "here" / f"{TABLE}.tex").read_text(encoding="utf-8").isascii()
    code = f"import sys; from toporep.cli.table import main; main({words(tmp_path / 'there')!r})"
    code += "; assert 'torch' not in sys.modules"
    check_same_bytes(code, here=tmp_path / "here", there=tmp_path / "there", files=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda inputs: inputs.pop("published"), "expected published=<csv>"),
        (lambda inputs: inputs.update(published=Path("none.csv")), "none.csv: no such file"),
        (lambda inputs: inputs.pop(TOP1), f"expected a file named {TOP1}"),
        (lambda inputs: inputs.pop(BITS), f"expected a file named {BITS}"),
    ],
)
def test_a_mistake_is_told(tmp_path, change, message):
    inputs = write(tmp_path)
    change(inputs)
    with pytest.raises(TopoRepError, match=re.escape(message)):
        table_module(PAPER, TABLE).build(inputs)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tvae,bits,3.6", "tvae,bits,many", "expected a number for tvae bits, found 'many'"),
        ("tvae,bits,3.6", "", "expected one number each for tdann top1,"),
        ("tvae,bits,3.6", "vae,bits,3.6", "found tdann top1, tdann_nonspatial top1, vae bits"),
        ("measure,published", "number,published", "expected columns condition, measure, published"),
    ],
)
def test_published_numbers_must_be_whole(tmp_path, old, new, message):
    inputs = write(tmp_path)
    inputs["published"] = tmp_path / "p.csv"
    text = PUBLISHED.read_text(encoding="utf-8")
    assert old in text
    inputs["published"].write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(TopoRepError, match=re.escape(message)):
        table_module(PAPER, TABLE).build(inputs)


def test_files_of_two_scales_are_refused(tmp_path):
    with pytest.raises(TopoRepError, match="expected files of one scale, found 'demo' and 'reduced'"):
        build(tmp_path, of_bits=bits(scale="reduced"))
