"""Figure 5 of Keller & Welling 2021 (capsules): capsule correlation against the coherence length."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from capsule_metrics import DSPRITES, metric, stand_in, summarize, summary
from figure_checks import check_apart, check_page, check_same_bytes, texts, visible_texts

from toporep.cli.figure import main
from toporep.errors import TopoRepError
from toporep.figures import figure_module
from toporep.figures.keller2021_capsules import family_style
from toporep.io import write_dataset

PAPER, FIGURE = "keller2021_capsules", "fig5_capcorr_vs_l"
LENGTHS = [0, 1 / 6, 4 / 15, 1 / 3, 2 / 5, 1 / 2]
REPOSITORY = Path(__file__).resolve().parent.parent
CAPTION = REPOSITORY / "workflow" / "report" / f"{FIGURE}.rst"
PUBLISHED = REPOSITORY / "config" / "published" / PAPER / "table5.csv"


def write(path: Path, made=None, **options) -> Path:
    made = summary("capsule_correlation", "dsprites", **options) if made is None else made
    write_dataset(made, path, "capsule_correlation_summary")
    return path


def draw(path: Path, made=None, **options):
    return figure_module(PAPER, FIGURE).draw({"published": PUBLISHED, "dsprites": write(path, made, **options)})


def lines(axes, family: str) -> list[np.ndarray]:
    """Points of the lines of a family with its marker: the null's, the models'."""
    look = family_style(family)
    found = [line for line in axes.lines if line.get_color() == look.color and line.get_marker() == look.marker]
    return [np.column_stack(line.get_data()).astype(float) for line in found]


def test_lines_are_the_means_over_factors_at_the_lengths_of_table_5(tmp_path):
    figure, table = draw(tmp_path / "a.nc")
    assert len(table) == len(DSPRITES) * 4 * 6
    made = summary("capsule_correlation", "dsprites").set_index(point="condition")
    for panel, (variant, of) in enumerate((("published", ""), ("disjoint_windows_without_mu", "moved_"))):
        null, own = lines(figure.axes[panel], "tvae")
        names = ["tvae_0", "tvae_1_6", "tvae_4_15", "tvae_1_3", "tvae_2_5", "tvae_1_2"]
        wanted = made.sel(point=names, variant=variant)
        np.testing.assert_allclose(own, np.column_stack([LENGTHS, wanted[f"{of}average_mean"]]))
        np.testing.assert_allclose(null, np.column_stack([LENGTHS, wanted[f"null_{of}average_mean"]]))
        assert [tick.get_text() for tick in figure.axes[panel].get_xticklabels()] == [
            *("0", "S/6", "4S/15", "S/3", "2S/5", "S/2")
        ]
        assert len(lines(figure.axes[panel], "bubble")[1]) == 5
    # Published: 1.0, 1.0, 1.0, 0.95, 0.59 and 0.2425 for the TVAE.
    own = lines(figure.axes[0], "tvae")[1]
    assert own[:, 1] == pytest.approx([0.2425, 0.59, 0.95, 1, 1, 1], rel=0.05)


def test_panels_of_factors_show_each_factor_and_the_vae_has_no_length(tmp_path):
    figure, table = draw(tmp_path / "a.nc")
    made = summary("capsule_correlation", "dsprites").set_index(point="condition")
    for axes, factor in zip(figure.axes[2:], ("x", "y", "orientation", "scale"), strict=True):
        wanted = made.sel(point="bubble_1_6", variant="published", factor=factor)
        assert lines(axes, "bubble")[1][0] == pytest.approx([1 / 6, float(wanted["correlation_mean"])])
    assert table.loc[table["condition"] == "vae", "coherence_length"].isna().all()
    level = float(made["average_mean"].sel(point="vae", variant="published"))
    assert level in [pytest.approx(line.get_ydata()[0]) for line in figure.axes[0].lines]


def test_all_panels_have_one_ordinate_since_one_of_a_row_has_its_numbers(tmp_path):
    made = summary("capsule_correlation", "dsprites")
    here = (made["condition"] == "bubble_1_6") & (made["factor"] == "y") & (made["variant"] == "published")
    made["correlation_mean"] = made["correlation_mean"].where(~here, -0.4)
    figure, _ = draw(tmp_path / "a.nc", made)
    limits = {axes.get_ylim() for axes in figure.axes[:6]}
    assert len(limits) == 1 and limits.pop()[0] < -0.4


def crosses(axes, family: str) -> np.ndarray:
    """Places of the paper's values, by place."""
    found = [line for line in axes.lines if line.get_marker() == "x" and line.get_color() == family_style(family).color]
    return np.array(sorted((float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in found))


def test_crosses_are_the_published_means_and_factors(tmp_path):
    figure, table = draw(tmp_path / "a.nc", conditions=("tvae_1_2", "vae"), seeds=(0,))
    # Means of the printed factors (Table 5).
    wanted = {"tvae": [0.2425, 0.59, 0.95, 1, 1, 1], "bubble": [0.115, 0.205, 0.2175, 0.235, 0.2425], "vae": [0.2625]}
    for family, values in wanted.items():
        np.testing.assert_allclose(crosses(figure.axes[0], family)[:, 1], values)
    np.testing.assert_allclose(crosses(figure.axes[0], "tvae")[:, 0] - LENGTHS, 0.011)
    # Without the windows that are shared, nothing is published.
    assert not any(len(crosses(figure.axes[1], family)) for family in wanted)
    assert crosses(figure.axes[5], "bubble")[:, 1].tolist() == [0.26, 0.49, 0.52, 0.53, 0.52]
    rows = table.set_index(["condition", "variant", "factor"])["published"].dropna()
    assert len(rows) == 12 * 5 and set(rows.index.get_level_values("variant")) == {"published"}
    assert rows["bubble_1_3", "published", "mean"] == pytest.approx(0.2175)
    absent = table[table["note"] == "not trained here"]
    assert len(absent) == 10 * 5 and absent["correlation_mean"].isna().all() and (absent["n_seeds"] == 0).all()
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"paper", "stationary coherence (BubbleVAE)"} <= set(legend), "orange crosses and no BubbleVAE"
    assert "Not trained here: TVAE, L = 2S/5;" in texts(figure)


@pytest.mark.parametrize(
    ("published", "message"),
    [
        (None, "expected published=<csv>, found dsprites"),
        (Path("none.csv"), "none.csv: no such file"),
        (PUBLISHED.with_name("table1.csv"), "expected columns condition, x, y, orientation, scale, found no x"),
    ],
)
def test_published_numbers_are_needed(tmp_path, published, message):
    inputs = {"dsprites": write(tmp_path / "a.nc")} | ({"published": published} if published else {})
    with pytest.raises(TopoRepError, match=re.escape(message)):
        figure_module(PAPER, FIGURE).draw(inputs)


def test_sds_are_those_of_the_seeds_and_one_seed_has_none(tmp_path):
    _, table = draw(tmp_path / "a.nc")
    runs = metric("capsule_correlation", "dsprites").set_index(run=("condition", "seed")).sel(variant="published")
    row = table[(table["condition"] == "tvae_1_6") & (table["variant"] == "published")].set_index("factor")
    wanted = runs.sel(condition="tvae_1_6")
    assert row.loc["mean", "correlation_sd"] == pytest.approx(np.std(wanted["average"].values, ddof=1))
    values = wanted["correlation"].sel(factor="scale").values
    assert row.loc["scale", "correlation_sd"] == pytest.approx(np.std(values, ddof=1))
    figure, table = draw(tmp_path / "b.nc", seeds=(0,))
    assert table["correlation_sd"].isna().all() and (table["note"] == "one seed: no SD").all()
    assert "1 seed, so no SD" in texts(figure)


def test_a_small_scale_draws_what_it_has_and_says_what_it_lacks(tmp_path):
    figure, table = draw(
        tmp_path / "a.nc", conditions=("tvae_1_2", "tvae_0", "vae"), seeds=(0,), **stand_in("dsprites")
    )
    assert len(lines(figure.axes[0], "tvae")[1]) == 2
    found = texts(figure)
    for part in ("rendered sprites, demo scale", "Not trained here: TVAE, L = 2S/5;", "claims nothing about the paper"):
        assert part in found
    assert "BubbleVAE, nothing learned" not in found
    assert "(stand-in: sprites_small)" in found


def test_models_without_a_length_are_left_out_and_an_undefined_correlation_is_told(tmp_path):
    runs = metric("capsule_correlation", "dsprites")
    runs = runs.assign_coords(condition=runs["condition"].where(runs["condition"] != "bubble_2_5", "bubble_2_5_k3"))
    runs = runs.assign_coords(condition=runs["condition"].where(runs["condition"] != "bubble_1_3", "mine"))
    for name in ("correlation", "average", "moved_average"):
        runs[name][{"run": runs["condition"].values == "tvae_1_6"}] = np.nan
    figure, table = draw(
        tmp_path / "a.nc",
        summarize(runs.assign_coords(condition=runs["condition"].astype(object)), "capsule_correlation"),
    )
    assert {"mine", "bubble_2_5_k3"}.isdisjoint(table["condition"])
    assert len(lines(figure.axes[0], "bubble")[1]) == 3
    assert (table.loc[table["condition"] == "tvae_1_6", "note"] == "rolls are constant").all()


def test_the_page_can_be_read(tmp_path):
    figure, _ = draw(tmp_path / "a.nc", **stand_in("dsprites"))
    shown = visible_texts(figure)
    check_page(figure, shown)
    check_apart(figure, shown)


def test_another_process_writes_the_same_bytes_without_torch(tmp_path):
    path = write(tmp_path / "a.nc")

    def words(folder: Path) -> list[str]:
        outputs = [str(folder / f"{FIGURE}{suffix}") for suffix in (".pdf", ".png", ".csv")]
        return [PAPER, FIGURE, "--input", f"published={PUBLISHED}", f"dsprites={path}", "--outputs", *outputs]

    main(words(tmp_path / "here"))
    code = f"import sys; from toporep.cli.figure import main; main({words(tmp_path / 'there')!r})"
    code += "; assert 'torch' not in sys.modules"
    check_same_bytes(code, here=tmp_path / "here", there=tmp_path / "there", files=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda made: made.isel(variant=[0, 1]), "found none named disjoint_windows_without_mu"),
        (lambda made: made.isel(factor=[0, 1, 2]), "found none named scale"),
        (
            lambda made: made.isel(point=[0]).assign_coords(condition=("point", np.array(["mine"], dtype=object))),
            "expected a TVAE, BubbleVAE or VAE, found none",
        ),
        (lambda made: made.assign_attrs(dataset="mnist"), "expected dataset 'dsprites', found 'mnist'"),
    ],
)
def test_a_mistake_is_told(tmp_path, change, message):
    made = change(summary("capsule_correlation", "dsprites"))
    with pytest.raises(TopoRepError, match=re.escape(message)):
        draw(tmp_path / "a.nc", made)


def test_the_caption_names_the_published_values_and_the_null():
    caption = " ".join(CAPTION.read_text(encoding="utf-8").split())
    for part in ("*Data.*", "*Models.*", "*Estimator.*", "*Null.*", "*Published values.*", "0.95", "0.2425"):
        assert part in caption
