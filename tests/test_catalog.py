from __future__ import annotations

from pathlib import Path

import pytest

from toporep.catalog import is_table, load_catalog, resolve
from toporep.config import load_config, read_yaml
from toporep.errors import TopoRepError

FOLDER = Path(__file__).resolve().parent.parent / "config"
PAPERS = load_config(read_yaml(FOLDER / "config.yaml"), FOLDER).papers

TWO_PAPERS = {"truong2025": {"fig6_colocalization": {}, "fig2_accuracy": {}}, "sander2026": {"fig2_accuracy": {}}}


@pytest.fixture
def catalog():
    return load_catalog(FOLDER / "catalog.yaml", PAPERS)


@pytest.fixture
def write(tmp_path):
    (tmp_path / "schemas").symlink_to(FOLDER / "schemas")

    def write(text: str) -> Path:
        path = tmp_path / "catalog.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_figure_is_found_by_its_name_alone_or_with_its_paper(catalog):
    for paper, figures in catalog.items():
        for figure in figures:
            kind = "table" if is_table(figure) else "figure"
            assert (
                resolve(figure, catalog, kind=kind)
                == resolve(f"{paper}/{figure}", catalog, kind=kind)
                == (paper, figure)
            )
    assert resolve("fig6_colocalization", catalog) == ("truong2025", "fig6_colocalization")


def test_figure_6_draws_one_metric_and_figure_7_the_dumps(catalog):
    figures = catalog["truong2025"]
    assert figures["fig6_colocalization"]["analyses"] == ["colocalization"]
    assert figures["fig7_activation_maps"]["analyses"] == [] and figures["fig7_activation_maps"]["maps"]
    # What a figure of maps shows is set in the paper's file, under the figure's name.
    chosen = {name for name, settings in PAPERS["truong2025"]["figures"].items() if "dataset" in settings}
    assert {name for name, figure in figures.items() if figure["maps"]} == chosen


def test_every_analysis_of_the_paper_is_drawn(catalog):
    drawn = {analysis for figure in catalog["truong2025"].values() for analysis in figure["analyses"]}
    drawn |= {analysis for figure in catalog["comparison"].values() for analysis in figure["across"]}
    assert drawn == set(PAPERS["truong2025"]["analyses"])


@pytest.mark.parametrize("name", ["fig6", "fig6_colocalisation", "Fig6_colocalization", "colocalization"])
def test_an_unknown_figure_names_the_near_one_first(catalog, name):
    with pytest.raises(TopoRepError, match=f"unknown figure '{name}'; did you mean fig6_colocalization"):
        resolve(name, catalog)


def test_a_misspelt_paper_is_proposed_in_full(catalog):
    with pytest.raises(TopoRepError, match="did you mean truong2025/fig6_colocalization"):
        resolve("trung2025/fig6_colocalization", catalog)


def test_a_name_like_no_other_lists_all(catalog):
    with pytest.raises(TopoRepError) as caught:
        resolve("zzz", catalog)
    assert all(f"truong2025/{figure}" in str(caught.value) for figure in catalog["truong2025"])


def test_a_name_of_two_papers_needs_the_paper():
    with pytest.raises(TopoRepError, match="write one of: truong2025/fig2_accuracy, sander2026/fig2_accuracy"):
        resolve("fig2_accuracy", TWO_PAPERS)
    assert resolve("sander2026/fig2_accuracy", TWO_PAPERS) == ("sander2026", "fig2_accuracy")


ENTRY = "truong2025:\n  fig1:\n    title: t\n    caption: c\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ENTRY + "    analysis: [morans_i]\n", r"truong2025\.fig1\.analysis: unknown key; did you mean 'analyses'\?"),
        (ENTRY + "    analyses: [moransi]\n", r"unknown analysis 'moransi'; did you mean 'morans_i'\?"),
        (ENTRY, "draws nothing"),
        ("truong2025:\n  fig1:\n    title: t\n    maps: true\n", r"truong2025\.fig1: missing: caption"),
        ("truong2025:\n  a/b: {title: t, caption: c, maps: true}\n", "'a/b' is no valid name"),
    ],
)
def test_a_mistake_in_the_catalog_is_one_line_with_the_file(write, text, message):
    path = write(text)
    with pytest.raises(TopoRepError, match=message) as caught:
        load_catalog(path, PAPERS)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value).splitlines()) == 1


def test_figures_of_papers_that_are_not_selected_are_left_out(write):
    path = write(ENTRY + "    maps: true\nother2026:\n  fig1: {title: t, caption: c, analyses: [unheard_of]}\n")
    assert set(load_catalog(path, PAPERS)) == set(PAPERS)
