"""Tables 1 to 5 of Keller & Welling 2021: the published numbers, and this run's beside them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from capsule_metrics import DSPRITES, MNIST, NORMALIZED, attributes, stand_in, summary
from figure_checks import check_same_bytes

from toporep.cli.table import main
from toporep.errors import TopoRepError
from toporep.io import write_dataset
from toporep.tables import table_module
from toporep.tables.text import TextTable

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / "config" / "published" / "keller2021_capsules"
PAPER = "keller2021_capsules"
ANALYSES = {"mnist": ("log_likelihood", "equivariance"), "dsprites": ("capsule_correlation", "equivariance")}
TABLES = {
    "table1_mnist": ("mnist", ("tvae_1_2", "tvae_5_36", "tvae_0", "bubble_5_36", "vae")),
    "table2_dsprites": ("dsprites", ("tvae_1_2", "tvae_1_3", "tvae_1_6", "tvae_0", "bubble_1_6", "vae")),
    "table3_weight_normalization": ("mnist", ("tvae_5_36_projected", "tvae_5_36", *NORMALIZED[1:], "vae")),
    "table4_mnist_all": ("mnist", MNIST),
    "table5_dsprites_all": ("dsprites", DSPRITES),
}
ALL = {"mnist": (*MNIST, *NORMALIZED), "dsprites": DSPRITES}


def published(table: str) -> Path:
    return FOLDER / f"{table.partition('_')[0]}.csv"


def printed(table: str) -> pd.DataFrame:
    return pd.read_csv(published(table), comment="#").set_index("condition")


def write(folder: Path, table: str, *, conditions=None, change=None, **options) -> dict[str, Path]:
    dataset = TABLES[table][0]
    inputs = {"published": published(table)}
    for analysis in ANALYSES[dataset]:
        made = summary(analysis, dataset, conditions or ALL[dataset], **options)
        made = change(analysis, made) if change else made
        inputs[f"{dataset}.{analysis}"] = folder / f"{analysis}.nc"
        write_dataset(made, folder / f"{analysis}.nc", f"{analysis}_summary")
    return inputs


def build(folder: Path, table: str, **options) -> tuple[pd.DataFrame, TextTable]:
    return table_module(PAPER, table).build(write(folder, table, **options))


def cells(text: TextTable) -> dict[tuple[str, str], dict[str, str]]:
    """(model, line) → header → cell of the Markdown table, with bold between asterisks."""
    lines = [line for line in text.markdown().splitlines() if line.startswith("| ")]
    header, _, *rows = [[cell.strip() for cell in line[2:-2].split(" | ")] for line in lines]
    found, model = {}, ""
    for row in rows:
        model = row[0] or model
        found[model, row[1]] = dict(zip(header[2:], row[2:], strict=True))
    return found


# The numbers of the paper


@pytest.mark.parametrize(("table", "conditions"), [(name, rows) for name, (_, rows) in TABLES.items()])
def test_every_table_has_the_models_of_the_paper_in_its_order(table, conditions):
    assert printed(table).index.tolist() == list(conditions)


@pytest.mark.parametrize(
    ("few", "many", "wanted"),
    [
        (
            "1",
            "4",
            {"tvae_1_2": ["log_likelihood_sd", "equivariance_error_sd"], "tvae_5_36": ["equivariance_error_sd"]},
        ),
        ("2", "5", {"vae": ["y_sd"]}),
    ],
)
def test_main_tables_repeat_the_tables_of_all_models_but_for_sds_that_notes_name(few, many, wanted):
    few, many = printed(f"table{few}"), printed(f"table{many}")
    columns = [column for column in few if not column.endswith(("_bold", "note"))]
    differs = few[columns] != many.loc[few.index, columns]
    assert {name: differs.columns[row].tolist() for name, row in differs.iterrows() if row.any()} == wanted
    assert all("in Table" in many.loc[condition, "note"] for condition in wanted)


def test_the_sign_that_print_lacks_is_put_in_and_told():
    row = printed("table1_mnist").loc["bubble_5_36"]
    assert row["log_likelihood"] == -190.0 and "printed as 190.0" in row["note"]


def test_bold_in_print_is_the_best_of_each_measure_but_for_log_likelihood_in_table_4():
    for table, (dataset, _) in TABLES.items():
        rows = printed(table)
        columns = {"mnist": ["log_likelihood"], "dsprites": ["x", "y", "orientation", "scale"]}[dataset]
        for column in (*columns, "equivariance_error"):
            best = rows[column].max() if column != "equivariance_error" else rows[column].min()
            bold = set(rows.index[rows[f"{column}_bold"] == 1])
            unmarked = table.startswith("table3") or (table, column) == ("table4_mnist_all", "log_likelihood")
            assert bold == (set() if unmarked else set(rows.index[rows[column] == best])), (table, column)


# The tables of this run beside them


@pytest.mark.parametrize("table", TABLES)
def test_every_printed_number_stands_in_the_table_as_printed(table, tmp_path):
    numbers, text = build(tmp_path, table)
    raw = pd.read_csv(published(table), comment="#", dtype=str, keep_default_na=False).set_index("condition")
    columns = [column for column in raw if f"{column}_sd" in raw]
    assert len(numbers) == len(raw) * {"mnist": 7, "dsprites": 28}[TABLES[table][0]]
    by_model = [line for (_, name), line in cells(text).items() if name == "paper"]
    assert len(by_model) == len(raw)
    for line, (_, row) in zip(by_model, raw.iterrows(), strict=True):
        wanted = [f"{row[column]} ± {row[f'{column}_sd']}".replace("-", "−") for column in columns]
        bold = [row[f"{column}_bold"] == "1" for column in columns]
        wanted = [f"**{text}**" if marked else text for text, marked in zip(wanted, bold, strict=True)]
        assert [cell for cell in line.values() if cell != "–"] == wanted
    both = numbers.dropna(subset=["published"])
    assert len(both) == raw[columns].size
    np.testing.assert_allclose(both["difference"], both["value"] - both["published"])


def test_a_model_has_its_numbers_before_training_and_those_of_a_null(tmp_path):
    numbers, text = build(tmp_path, "table1_mnist")
    metric = summary("equivariance", "mnist", ALL["mnist"]).set_index(point="condition").sel(point="tvae_5_36")
    row = numbers.set_index(["condition", "measure", "variant"]).loc[("tvae_5_36", "equivariance_error", "without_mu")]
    of = metric.sel(variant="without_mu")
    for column, name in (("value", "error"), ("untrained", "untrained"), ("null", "null")):
        assert row[column] == pytest.approx(float(of[f"{name}_mean"]))
        assert row[f"{column}_sd"] == pytest.approx(float(of[f"{name}_sem"]) * np.sqrt(3))
    found = cells(text)
    mean, sd = float(of["error_mean"]), float(of["error_sem"]) * np.sqrt(3)
    assert found["TVAE, L = 5S/36", "here"]["E_eq, no mu"] == f"{mean:.1f} ± {sd:.1f}"
    # The null has no SD over seeds worth the name, and log p(x) one of its own.
    assert re.fullmatch(r"\d+\.\d", found["TVAE, L = 5S/36", "null"]["E_eq"])
    assert re.fullmatch(r"−41\d\.\d", found["VAE", "null"]["log p(x), corrected"])
    assert [name for model, name in found if model == "VAE"] == ["paper", "here", "here, untrained", "null"]


def test_the_mean_over_the_last_epoch_stands_beside_what_the_paper_gives_of_dsprites(tmp_path):
    numbers, _ = build(tmp_path, "table2_dsprites")
    found = numbers.set_index(["condition", "measure", "variant", "factor"])["running"]
    assert set(found.dropna().index.get_level_values("variant")) == {"published"}
    of = summary("capsule_correlation", "dsprites").set_index(point="condition").sel(point="vae", factor="scale")
    assert found["vae", "capsule_correlation", "published", "scale"] == pytest.approx(float(of["running_mean"]))
    of = summary("equivariance", "dsprites").set_index(point="condition").sel(point="vae")
    assert found["vae", "equivariance_error", "published", ""] == pytest.approx(float(of["running_mean"]))


def test_the_best_of_ours_is_bold_to_the_decimals_of_print_and_ties_together(tmp_path):
    def change(analysis, made):
        if analysis == "capsule_correlation":
            made["correlation_mean"][:] = 0.2
            made["correlation_mean"][2:4, 0, 0] = [0.951, 0.949]
            made["correlation_mean"][0, 1:] = 2.0
        else:
            made["error_mean"][:, 0] = np.arange(12, 0, -1)
        return made

    numbers, _ = build(tmp_path, "table5_dsprites_all", change=change)
    bold = numbers[numbers["bold"]]
    assert set(bold["variant"]) == {"published"}
    x = bold[bold["factor"] == "x"]["condition"].tolist()
    assert x == ["tvae_1_3", "tvae_4_15"]
    assert bold[bold["measure"] == "equivariance_error"]["condition"].tolist() == ["vae"]
    assert (bold["factor"] == "y").sum() == 12


def test_tables_bold_what_the_papers_do(tmp_path):
    bold = {table: build(tmp_path, table)[0].query("bold")["measure"].unique().tolist() for table in TABLES}
    assert bold == {
        "table1_mnist": ["equivariance_error", "log_likelihood"],
        "table2_dsprites": ["capsule_correlation", "equivariance_error"],
        "table3_weight_normalization": [],
        "table4_mnist_all": ["equivariance_error"],
        "table5_dsprites_all": ["capsule_correlation", "equivariance_error"],
    }


def test_a_small_scale_leaves_places_open_and_says_so(tmp_path):
    numbers, text = build(
        tmp_path, "table5_dsprites_all", conditions=("tvae_1_2", "vae"), seeds=(0,), **stand_in("dsprites")
    )
    assert numbers["value"].notna().sum() == 2 * 28 and numbers["value_sd"].isna().all()
    found = cells(text)
    assert set(found["TVAE, L = 2S/5", "here"].values()) == {"–"}
    assert ("TVAE, L = 2S/5", "null") not in found
    assert re.fullmatch(r"\**\d\.\d\d\**", found["TVAE, L = S/2", "here"]["CapCorr x"])
    markdown = text.markdown()
    for part in (
        "dSprites (stand-in: sprites",
        "rendered sprites, demo scale",
        "1 seed, so no SD",
        "Not trained here: TVAE, L = 2S/5; TVAE, L = S/3",
        "claims nothing about the paper",
    ):
        assert part in markdown


@pytest.mark.parametrize("capsules", [5, None])
def test_sums_over_another_number_of_capsules_are_not_compared_with_the_papers(tmp_path, capsules):
    training = attributes("dsprites")["training"]
    training = json.dumps({key: value for key, value in json.loads(training).items() if key != "capsules"})
    training = training if capsules is None else attributes("dsprites", training={"capsules": capsules})["training"]
    numbers, text = build(tmp_path, "table2_dsprites", training=training)
    of = numbers.groupby("measure")[["value", "published", "difference"]].count()
    assert of.loc["equivariance_error"].tolist() == [24, 6, 0]
    assert of.loc["capsule_correlation"].tolist() == [96, 24, 24]
    here = capsules or "not the same number in all models"
    assert f"sum over capsules: C = {here} here, 15 in the paper" in text.markdown()
    assert "E_eq is a sum over the C = 15 capsules, as in the paper" in build(tmp_path, "table2_dsprites")[1].markdown()


def test_nats_of_images_of_another_size_are_not_compared_with_the_papers(tmp_path):
    numbers, text = build(tmp_path, "table1_mnist", pixels=196)
    of = numbers.groupby("measure")[["published", "difference"]].count()
    assert of.loc["log_likelihood"].tolist() == [5, 0] and of.loc["equivariance_error"].tolist() == [5, 5]
    assert "pixels of a frame: 196 here, 784 in the paper" in text.markdown()
    numbers, text = build(tmp_path, "table1_mnist")
    assert numbers.groupby("measure")["difference"].count()["log_likelihood"] == 5
    assert "over the 784 pixels of a frame, as in the paper" in text.markdown()


@pytest.mark.parametrize("samples", [10, 100])
def test_a_null_lacks_what_its_estimator_lacks(tmp_path, samples):
    """T16: published is log N too high; a constant's weights are all alike, so its estimate is too."""

    def change(analysis, made):
        if analysis == "log_likelihood":
            made["constant_pixel_mean"][:] = 109.31
            made["log_likelihood_mean"][:] = np.array([-109.31 + np.log(samples), -109.31, -109.31])
        return made

    numbers, text = build(tmp_path, "table1_mnist", change=change, likelihood_samples=samples)
    of = numbers[numbers["measure"] == "log_likelihood"]
    # A model that has learned a constant is at its null, whatever the estimator.
    np.testing.assert_allclose(of["value"], of["null"], rtol=0, atol=1e-9)
    null = cells(text)["VAE", "null"]
    assert null["log p(x), corrected"] == "−109.3"
    assert null["log p(x)"] == {10: "−107.0", 100: "−104.7"}[samples]
    assert f"N = {samples} here: {np.log(samples):.3f} nats" in text.markdown()


@pytest.mark.parametrize("name", ["likelihood_samples", "pixels"])
def test_likelihoods_that_do_not_say_what_they_sum_are_refused(tmp_path, name):
    def change(analysis, made):
        return made.drop_attrs(deep=False).assign_attrs({k: v for k, v in made.attrs.items() if k != name})

    with pytest.raises(TopoRepError, match=f"mnist: the summary of log_likelihood lacks the attribute '{name}'"):
        build(tmp_path, "table1_mnist", change=change)


def test_a_model_of_the_users_own_stands_in_the_tables_of_all_models(tmp_path):
    def change(analysis, made):
        names = made["condition"].values.copy()
        names[names == "tvae_1_4"] = "mine"
        return made.assign_coords(condition=("point", names))

    numbers, text = build(tmp_path, "table4_mnist_all", change=change)
    own = numbers[numbers["condition"] == "mine"]
    assert own["published"].isna().all() and own["value"].notna().all()
    assert [name for model, name in cells(text) if model == "mine"] == ["here", "here, untrained", "null"]
    assert "mine" not in build(tmp_path, "table1_mnist", change=change)[0]["condition"].tolist()
    assert "vae_projected" not in numbers["condition"].tolist()


def test_one_model_alone_is_not_the_best(tmp_path):
    numbers, _ = build(tmp_path, "table1_mnist", conditions=("vae",))
    assert not numbers["bold"].any()


def test_weights_are_named_in_table_3_and_what_print_says_otherwise_is_told(tmp_path):
    _, text = build(tmp_path, "table3_weight_normalization")
    models = [row[0].text for row in text.rows if row[0].text]
    assert models == ["TVAE, L = 5S/36, PGD", "TVAE, L = 5S/36, WN", "VAE, PGD", "VAE, WN", "VAE, none"]
    assert "other runs than in Tables 1 and 4" in text.markdown()
    assert "printed as 190.0 without the minus sign" in build(tmp_path, "table1_mnist")[1].markdown()


@pytest.mark.parametrize("table", TABLES)
def test_latex_is_ascii_and_another_process_writes_the_same_bytes(table, tmp_path):
    (tmp_path / "inputs").mkdir()
    inputs = [f"{name}={path}" for name, path in write(tmp_path / "inputs", table).items()]

    def words(folder: Path) -> list[str]:
        outputs = [str(folder / f"{table}{suffix}") for suffix in (".csv", ".md", ".tex")]
        return [PAPER, table, "--input", *inputs, "--outputs", *outputs]

    main(words(tmp_path / "here"))
    assert (tmp_path / "here" / f"{table}.tex").read_text(encoding="utf-8").isascii()
    if table == "table1_mnist":
        code = f"import sys; from toporep.cli.table import main; main({words(tmp_path / 'there')!r})"
        code += "; assert 'torch' not in sys.modules"
        check_same_bytes(code, here=tmp_path / "here", there=tmp_path / "there", files=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda inputs: inputs.pop("published"), "expected published=<csv>"),
        (lambda inputs: inputs.update(published=Path("table9.csv")), "table9.csv: no such file"),
        (lambda inputs: inputs.update(published=FOLDER / "table2.csv"), "expected columns condition, log_likelihood,"),
        (lambda inputs: inputs.pop("mnist.equivariance"), "expected files named <dataset>.equivariance"),
        (
            lambda inputs: inputs.update({"dsprites.equivariance": inputs.pop("mnist.equivariance")}),
            "expected dataset 'dsprites', found 'mnist'",
        ),
    ],
)
def test_a_mistake_is_told(tmp_path, change, message):
    inputs = write(tmp_path, "table1_mnist")
    change(inputs)
    with pytest.raises(TopoRepError, match=re.escape(message)):
        table_module(PAPER, "table1_mnist").build(inputs)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("-217.3", "", "incomplete or doubled"), ("tvae_0", "vae", "incomplete or doubled"), ("59.2", "many", "'many'")],
)
def test_published_numbers_must_be_whole(tmp_path, old, new, message):
    inputs = write(tmp_path, "table1_mnist")
    inputs["published"] = tmp_path / "p.csv"
    text = published("table1_mnist").read_text(encoding="utf-8")
    inputs["published"].write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(TopoRepError, match=message):
        table_module(PAPER, "table1_mnist").build(inputs)


def test_a_variant_that_is_not_there_is_named(tmp_path):
    def change(analysis, made):
        return made.isel(variant=[0, 1]) if analysis == "equivariance" else made

    with pytest.raises(TopoRepError, match="mnist: no variant 'disjoint_windows'; found published, without_mu"):
        build(tmp_path, "table1_mnist", change=change)
