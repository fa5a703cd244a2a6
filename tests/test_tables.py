"""Table 1 of Sander & Hasson 2026, and what all tables share: the text that is read, the command, the targets."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from figure_checks import check_same_bytes

from toporep.catalog import load_catalog, resolve
from toporep.cli.table import main
from toporep.codehash import dependencies
from toporep.errors import TopoRepError
from toporep.io import write_dataset
from toporep.metrics.class_similarity import better_separated
from toporep.tables import table_module
from toporep.tables.text import Cell, TextTable

REPOSITORY = Path(__file__).resolve().parent.parent
PUBLISHED = REPOSITORY / "config" / "published" / "sander2026" / "table1.csv"
TABLE = "table1_class_similarity"
OBJECTIVES = ("margin", "ce", "simclr", "supcon")
RHOS = (0.0, 0.008, 0.04, 0.2, 1.0, 5.0)
PAIRS = ("within", "across")


def published() -> pd.DataFrame:
    return pd.read_csv(PUBLISHED, comment="#").set_index(["condition", "pair", "strength"]).sort_index()


def similarities(*, objectives=OBJECTIVES, rhos=RHOS, n: int = 5, add: float = 0.0, **attrs: str) -> xr.Dataset:
    """A summary with the paper's own means and SDs, more by `add`; centered ones are 0.1 less."""
    points = [(condition, rho) for condition in objectives for rho in rhos]
    paper = published()
    variables = {}
    for pair in PAIRS:
        mean, sd = (np.array([paper.loc[(name, pair, rho), key] for name, rho in points]) for key in ("mean", "sd"))
        values = {"mean": mean + add, "sd": sd, "pooled_sd": sd + 0.05, "sem": sd / 10}
        for key, of_raw in values.items():
            both = np.stack([of_raw, of_raw - 0.1 * (key == "mean")], axis=1)
            variables[f"{pair}_{key}"] = (("point", "centering"), both)
        variables[f"{pair}_n"] = (("point", "centering"), np.full((len(points), 2), n))
    return xr.Dataset(
        variables,
        coords={
            "condition": ("point", np.array([name for name, _ in points], dtype=object)),
            "strength": ("point", np.array([rho for _, rho in points])),
            "n": ("point", np.full(len(points), n)),
            "centering": ("centering", np.array(["raw", "centered"], dtype=object)),
        },
        attrs={
            **{"paper": "sander2026", "dataset": "cifar10", "source": "cifar10", "scale": "paper"},
            "source_title": "color photographs (CIFAR-10)",
            "settings": json.dumps({"per_class": 100}),
            "training": json.dumps({"patience": 25}),
            **attrs,
        },
    )


def write(folder: Path, **options) -> list[str]:
    write_dataset(similarities(**options), folder / "similarity.nc", "class_similarity_summary")
    return [f"cifar10={folder / 'similarity.nc'}", f"published={PUBLISHED}"]


def arguments(inputs: list[str], folder: Path, *further: str, table: str = TABLE) -> list[str]:
    outputs = [str(folder / f"{table}.{suffix}") for suffix in ("csv", "md", "tex")]
    return ["sander2026", table, "--input", *inputs, *further, "--outputs", *outputs]


def build(folder: Path, *, spread: str = "mean", **options) -> tuple[pd.DataFrame, TextTable]:
    inputs = dict(pair.split("=") for pair in write(folder, **options))
    return table_module("sander2026", TABLE).build({name: Path(path) for name, path in inputs.items()}, spread=spread)


def read_markdown(text: str) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a Markdown table, labels that are left out filled in from above."""
    lines = [[cell.strip() for cell in line[2:-2].split(" | ")] for line in text.splitlines() if line.startswith("| ")]
    rows = lines[2:]
    for above, row in zip(rows, rows[1:], strict=False):
        row[:2] = [here or before for here, before in zip(row[:2], above[:2], strict=True)]
    return lines[0], rows


# The numbers of the paper


def test_the_published_numbers_are_those_that_the_text_repeats():
    """Section Within vs. Across-Class Similarity: CE at ρ = 5, SupCon at ρ = 5, and the bold ρ of each objective."""
    table = published()
    assert len(table) == 48 and table["sd"].between(0, 0.56).all()
    assert table.loc[("ce", "within", 5), "mean"] == 0.89 and table.loc[("ce", "across", 5), "mean"] == -0.03
    assert table.loc[("supcon", ["within", "across"], 5), "mean"].eq(1).all()
    assert (table.xs("within", level="pair")["mean"] >= table.xs("across", level="pair")["mean"]).all()
    bold = table[table["bold"] == 1].reset_index()
    for pair in PAIRS:
        rows = bold[bold["pair"] == pair]
        assert {name: rows.loc[rows["condition"] == name, "strength"].tolist() for name in OBJECTIVES} == {
            "margin": [0.2],
            "ce": [0.04, 0.2, 1, 5],
            "simclr": [],
            "supcon": [0.008, 0.04, 0.2],
        }


def test_the_published_bold_follows_the_rule_at_two_decimals_but_for_one_tie():
    table = published()
    differs = []
    for condition in OBJECTIVES:
        within, across = (table.loc[(condition, pair)] for pair in PAIRS)
        rule = better_separated(within["mean"].to_numpy(), across["mean"].to_numpy(), decimals=2)
        printed = within["bold"].to_numpy() == 1
        np.testing.assert_array_equal(printed, across["bold"] == 1)
        differs += [(condition, rho) for rho in within.index[rule != printed]]
    assert differs == [("simclr", 0.008)]


# The table of this run beside them


def test_the_papers_own_numbers_differ_by_nothing_and_read_as_printed(tmp_path):
    numbers, text = build(tmp_path)
    assert len(numbers) == 48
    np.testing.assert_array_equal(numbers[["difference", "difference_sd"]], 0)
    header, rows = read_markdown(text.markdown())
    assert header[3:] == ["ρ = 0", "ρ = .008", "ρ = .04", "ρ = .2", "ρ = 1", "ρ = 5"]
    found = {tuple(row[:3]): row[3:] for row in rows}
    assert len(found) == len(rows) == 4 * 2 * 4
    ours, paper = (found["cross-entropy (CE)", "across (A)", name] for name in ("here", "paper"))
    expected = "−.01 (.21) | .00 (.21) | **−.03 (.22)** | **−.05 (.32)** | **−.05 (.44)** | **−.03 (.56)**"
    assert paper == ours == expected.split(" | ")
    assert found["SimCLR", "within (W)", "here"][-2:] == [".98 (.02)", "1.00 (.00)"]
    # On numbers that are not rounded, the tie at .008 would be bold; in print it is not.
    assert found["SimCLR", "within (W)", "here"][:2] == [".26 (.29)", "**.26 (.29)**"]
    assert found["SimCLR", "within (W)", "paper"][:2] == [".26 (.29)", ".26 (.29)"]
    assert found["margin", "within (W)", "here − paper"] == [".00"] * 6
    assert found["SupCon", "across (A)", "here, centered"][-1] == ".90 (.00)"


def test_a_rounded_zero_has_no_sign(tmp_path):
    _, rows = read_markdown(build(tmp_path, add=-0.001)[1].markdown())
    cells = {tuple(row[:3]): row[3:] for row in rows}
    assert cells["cross-entropy (CE)", "across (A)", "here"][1] == ".00 (.21)"
    assert cells["cross-entropy (CE)", "across (A)", "here − paper"] == [".00"] * 6


def test_numbers_are_those_of_the_file(tmp_path):
    main(arguments(write(tmp_path, add=0.0123), tmp_path))
    numbers = pd.read_csv(tmp_path / f"{TABLE}.csv").set_index(["condition", "pair", "strength"])
    summary = similarities(add=0.0123)
    for place, (condition, rho) in enumerate(zip(summary["condition"].values, summary["strength"].values, strict=True)):
        for pair in PAIRS:
            row = numbers.loc[(condition, pair, rho)]
            for centering in ("raw", "centered"):
                values = summary.isel(point=place).sel(centering=centering)
                for column, name in (("", "mean"), ("_sd", "sd"), ("_pooled_sd", "pooled_sd"), ("_sem", "sem")):
                    assert row[centering + column] == pytest.approx(float(values[f"{pair}_{name}"]), rel=1e-9)
    np.testing.assert_allclose(numbers["difference"], 0.0123, atol=1e-9)
    assert set(numbers["n_trials"]) == set(numbers["raw_n"]) == {5}


def test_bold_is_decided_before_rounding(tmp_path):
    summary = similarities()
    points = list(zip(summary["condition"].values, summary["strength"].values, strict=True))
    # In print .83 again, but less than at ρ = 0: no longer bold.
    summary["within_mean"][points.index(("supcon", 0.008)), 0] -= 0.001
    # In print .00 as before, but more than at ρ = 0.
    summary["across_mean"][points.index(("margin", 0.2)), 0] = 0.1801
    write_dataset(summary, tmp_path / "a.nc", "class_similarity_summary")
    numbers, _ = table_module("sander2026", TABLE).build({"cifar10": tmp_path / "a.nc", "published": PUBLISHED})
    bold = numbers[(numbers["raw_bold"] != numbers["published_bold"])]
    assert set(zip(bold["condition"], bold["strength"], strict=True)) == {
        ("supcon", 0.008),
        ("margin", 0.2),
        ("simclr", 0.008),
    }
    # Centered numbers are judged by themselves.
    centered = numbers[numbers["centered_bold"]]
    assert {("supcon", 0.008), ("margin", 0.2)} <= set(zip(centered["condition"], centered["strength"], strict=True))


def test_the_sd_is_that_of_the_trials_or_pooled(tmp_path):
    mean, pooled = (
        {tuple(row[:3]): row[3] for row in read_markdown(build(tmp_path, spread=spread)[1].markdown())[1]}
        for spread in ("mean", "pooled")
    )
    assert mean["margin", "within (W)", "here"] == ".87 (.20)"
    assert pooled["margin", "within (W)", "here"] == ".87 (.25)"
    assert mean["margin", "within (W)", "paper"] == pooled["margin", "within (W)", "paper"]
    with pytest.raises(TopoRepError, match="spread"):
        build(tmp_path, spread="median")


def test_a_small_scale_leaves_places_open_and_says_so(tmp_path):
    small = {"source": "objects", "source_title": "rendered objects", "scale": "demo"}
    numbers, text = build(tmp_path, objectives=("ce", "simclr"), rhos=(0.0, 0.2), n=1, **small)
    assert len(numbers) == 48 and numbers["raw"].notna().sum() == 8
    markdown = text.markdown()
    _, rows = read_markdown(markdown)
    found = {tuple(row[:3]): row[3:] for row in rows}
    assert [cell == "–" for cell in found["SimCLR", "across (A)", "here"]] == [False, True, True, False, True, True]
    # An objective that is not trained has the paper's line alone.
    assert [row[2] for row in rows if row[:2] == ["margin", "within (W)"]] == ["paper"]
    for part in ("stand-in: objects", "rendered objects, demo scale", "1 trial", "Not trained here: margin, SupCon"):
        assert part in markdown
    assert "claims nothing about the paper" in markdown


def test_a_condition_of_the_users_own_stands_below_without_the_papers_numbers(tmp_path):
    added = similarities(objectives=("ce",), rhos=(0.2,))
    added["condition"] = ("point", np.array(["mine"], dtype=object))
    both = xr.concat([similarities(), added], "point")
    write_dataset(both, tmp_path / "a.nc", "class_similarity_summary")
    numbers, text = table_module("sander2026", TABLE).build({"cifar10": tmp_path / "a.nc", "published": PUBLISHED})
    own = numbers[numbers["condition"] == "mine"]
    assert own["raw"].tolist() == [0.82, -0.05] and own["published"].isna().all() and not own["raw_bold"].any()
    _, rows = read_markdown(text.markdown())
    assert [row[:3] for row in rows[-4:]] == [
        ["mine", pair, name] for pair in ("within (W)", "across (A)") for name in ("here", "here, centered")
    ]


def test_a_network_without_a_value_is_open_and_not_bold(tmp_path):
    summary = similarities()
    summary["within_mean"][3] = summary["within_sd"][3] = np.nan
    write_dataset(summary, tmp_path / "a.nc", "class_similarity_summary")
    numbers, text = table_module("sander2026", TABLE).build({"cifar10": tmp_path / "a.nc", "published": PUBLISHED})
    row = numbers[(numbers["condition"] == "margin") & (numbers["strength"] == 0.2)]
    assert not row["raw_bold"].any() and row["published_bold"].all()
    _, rows = read_markdown(text.markdown())
    assert next(row for row in rows if row[:3] == ["margin", "within (W)", "here"])[6] == "–"


# Markdown and LaTeX


def latex_rows(text: str) -> list[list[str]]:
    body = text.partition(r"\midrule")[2].partition(r"\bottomrule")[0]
    return [line.removesuffix(r" \\").split(" & ") for line in body.splitlines() if line.endswith(r" \\")]


def plain(cell: str) -> str:
    """A cell of LaTeX as a reader sees it, bold between asterisks."""
    cell = re.sub(r"\\textbf\{(.*)\}", r"**\1**", cell)
    return cell.replace("$-$", "−").replace("--", "–")


def test_latex_and_markdown_hold_the_same_cells(tmp_path):
    _, text = build(tmp_path, add=-0.02)
    _, rows = read_markdown(text.markdown())
    latex = text.latex(label="x")
    found = [[plain(cell) for cell in row] for row in latex_rows(latex)]
    assert [row[2:] for row in found] == [row[2:] for row in rows]
    assert latex.isascii()
    unescaped = latex.replace(r"\{", "").replace(r"\}", "")
    assert unescaped.count("{") == unescaped.count("}")
    assert latex.replace(r"\$", "").count("$") % 2 == 0
    for name in ("table", "tabular", "minipage"):
        assert latex.count(rf"\begin{{{name}}}") == latex.count(rf"\end{{{name}}}") == 1
    assert re.search(r"\\begin\{tabular\}\{(\w+)\}", latex).group(1) == "lll" + 6 * "r"
    assert {len(row) for row in found} == {9}


def test_characters_with_a_meaning_in_markdown_or_latex_are_escaped():
    table = TextTable("50 % & more_of #1", ["a", "x|y"], [[Cell("A_b*"), Cell("{~^\\}", bold=True)]], notes=["ρ ≥ −1"])
    latex = table.latex(label="t")
    for part in (
        r"50 \% \& more\_of \#1.",
        r"A\_b*",
        r"\textbf{\{\textasciitilde{}\textasciicircum{}\textbackslash{}\}}",
    ):
        assert part in latex
    assert r"$\rho$ $\geq$ $-$1" in latex
    markdown = table.markdown()
    assert r"| A_b\* |" in markdown and r"x\|y |" in markdown
    # GitHub's Markdown: an underscore between letters or digits is no markup, at the edge of a word it may be.
    edges = TextTable("_a_ b__c E_eq 2_3", ["a"], []).markdown()
    assert edges.startswith(r"# \_a\_ b\_\_c E_eq 2_3")
    with pytest.raises(TopoRepError, match="no LaTeX is known for 'é'"):
        TextTable("é", ["a"], []).latex(label="t")
    with pytest.raises(TopoRepError, match="row 1 has 1 cells, expected 2"):
        TextTable("t", ["a", "b"], [[Cell(""), Cell("")], [Cell("")]])


# The command


def test_another_process_writes_the_same_bytes(tmp_path):
    (tmp_path / "inputs").mkdir()
    inputs = write(tmp_path / "inputs")
    main(arguments(inputs, tmp_path / "here"))
    code = f"from toporep.cli.table import main; main({arguments(inputs, tmp_path / 'there')!r})"
    check_same_bytes(code, here=tmp_path / "here", there=tmp_path / "there", files=3)


def test_a_table_is_made_without_torch(tmp_path):
    words = arguments(write(tmp_path), tmp_path)
    code = f"import sys; from toporep.cli.table import main; main({words!r}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_change_of_the_tables_code_is_seen():
    """What Snakemake compares covers the table's own module, the text that all tables share, and the rule of bold."""
    covered = dependencies("toporep.cli.table", f"toporep.tables.sander2026.{TABLE}")
    shared = {"toporep.tables.text", "toporep.tables.export", "toporep.metrics.class_similarity"}
    assert shared < covered and not any(name.startswith("toporep.train") for name in covered)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda words: [*words[:1], "table1_class_similarities", *words[2:]], "near names: table1_class_similarity"),
        (lambda words: ["sander2062", *words[1:]], "no paper is named 'sander2062'; near names: sander2026"),
        (lambda words: [*words, "x.pdf"], "output x.pdf: expected a name ending in .csv, .md, .tex"),
        (lambda words: [*words, "--settings", '{"decimals": 3}'], "unknown decimals; this table has: spread"),
        (lambda words: [word for word in words if not word.startswith("published=")], "expected published=<csv>"),
        (
            lambda words: [word for word in words if not word.startswith("cifar10=")],
            "expected one file",
        ),
        (lambda words: [word.replace("cifar10=", "mnist=") for word in words], "expected dataset 'mnist'"),
        (lambda words: [word.replace("table1.csv", "table9.csv") for word in words], "no such file"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_written(tmp_path, change, message):
    words = arguments(write(tmp_path), tmp_path / "out")
    with pytest.raises(TopoRepError, match=re.escape(message)):
        main(change(words))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("condition,pair,mean\n", "expected columns condition, pair, strength, mean, sd, bold, found condition, pair"),
        ("condition,pair,strength,mean,sd,bold\nce,within,0,,.2,0\n", "incomplete or doubled"),
        ("condition,pair,strength,mean,sd,bold\n" + 2 * "ce,within,0,.1,.2,0\n", "incomplete or doubled"),
    ],
)
def test_published_numbers_must_be_whole(tmp_path, lines, message):
    (tmp_path / "p.csv").write_text(lines, encoding="utf-8")
    inputs = [write(tmp_path)[0], f"published={tmp_path / 'p.csv'}"]
    with pytest.raises(TopoRepError, match=message):
        main(arguments(inputs, tmp_path))


def test_a_gap_in_an_objective_is_named(tmp_path):
    summary = similarities()
    write_dataset(summary.isel(point=slice(1, None)), tmp_path / "a.nc", "class_similarity_summary")
    with pytest.raises(TopoRepError, match=r"condition 'margin' at ρ = 0 missing"):
        table_module("sander2026", TABLE).build({"cifar10": tmp_path / "a.nc", "published": PUBLISHED})


# The catalog


CATALOG = {"truong2025": {"fig1_concepts": {}, "fig6_colocalization": {}}, "sander2026": {TABLE: {}, "fig2_tsne": {}}}


def test_a_table_is_found_by_its_name_and_a_figure_is_none():
    assert resolve(TABLE, CATALOG, kind="table") == resolve(f"sander2026/{TABLE}", CATALOG, kind="table")
    assert resolve(TABLE, CATALOG, kind="table") == ("sander2026", TABLE)
    with pytest.raises(TopoRepError, match=f"'{TABLE}' is a table, not a figure; its files lie in tables/"):
        resolve(TABLE, CATALOG)
    with pytest.raises(TopoRepError, match="'sander2026/fig2_tsne' is a figure, not a table"):
        resolve("sander2026/fig2_tsne", CATALOG, kind="table")
    with pytest.raises(TopoRepError, match=f"unknown table 'table1'; did you mean {TABLE}"):
        resolve("table1", CATALOG, kind="table")


def test_published_numbers_that_are_not_there_are_refused_with_the_catalog(tmp_path):
    (tmp_path / "schemas").symlink_to(REPOSITORY / "config" / "schemas")
    (tmp_path / "published" / "p").mkdir(parents=True)
    (tmp_path / "published" / "p" / "table1.csv").touch()
    entry = "p:\n  table1: {title: t, caption: c, analyses: [a], published: table2.csv}\n"
    (tmp_path / "catalog.yaml").write_text(entry, encoding="utf-8")
    papers = {"p": {"analyses": {"a": {}}, "datasets": {}}}
    with pytest.raises(TopoRepError, match=r"p\.table1\.published: no file 'table2.csv' .*did you mean 'table1.csv'\?"):
        load_catalog(tmp_path / "catalog.yaml", papers)
    (tmp_path / "catalog.yaml").write_text(entry.replace("table2.csv", "table1.csv"), encoding="utf-8")
    assert load_catalog(tmp_path / "catalog.yaml", papers)["p"]["table1"]["published"] == "table1.csv"
