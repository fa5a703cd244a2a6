"""What a dry run says of its cost."""

from __future__ import annotations

from toporep.audit import SHARED, Planned, audit_text

TRAIN = Planned("train", "a", networks=2, gpus=1, threads=4, minutes=90, size_mb=700)
FIGURE = Planned("figure", "a", networks=0, gpus=0, threads=1, minutes=10, size_mb=1)
TABLE = Planned("table", "b", networks=0, gpus=0, threads=1, minutes=10, size_mb=1)
PREPARE = Planned("prepare", SHARED, networks=0, gpus=0, threads=1, minutes=30, size_mb=150)


def cells(text: str) -> dict[str, list[str]]:
    rows = [line.strip().replace("in all", "in-all").split() for line in text.splitlines() if line.startswith("  ")]
    return {row[0]: row[1:] for row in rows[1:]}


def audit(*jobs: Planned) -> str:
    return audit_text(jobs, ["a", "b"], scale="paper", root="results")


def test_each_paper_has_its_sums_and_all_have_theirs():
    rows = cells(audit(TRAIN, TRAIN, FIGURE, TABLE, PREPARE))
    # networks, jobs, GPU hours, core hours, disk (2 words), figures, tables
    assert rows["a"] == ["4", "3", "3", "13", "1.4", "GB", "1", "-"]
    assert rows["b"] == ["-", "1", "-", "1", "1", "MB", "-", "1"]
    assert rows[SHARED] == ["-", "1", "-", "1", "150", "MB", "-", "-"]
    assert rows["in-all"] == ["4", "5", "3", "13", "1.6", "GB", "1", "1"]


def test_a_paper_without_jobs_has_no_row_and_one_paper_no_sum():
    assert list(cells(audit(TRAIN))) == ["a"]


def test_jobs_are_counted_by_stage():
    assert "Jobs: train 2, figure 1." in audit(TRAIN, FIGURE, TRAIN)


def test_where_no_size_is_declared_none_is_told():
    text = audit(TRAIN, Planned("figure", "a", networks=0, gpus=0, threads=1, minutes=10, size_mb=None))
    assert cells(text)["a"][4] == "-" and "disk is" not in text
    assert "disk is" in audit(TRAIN)


def test_nothing_to_do_is_one_line():
    assert audit() == "Audit of scale paper (results/): nothing to be done."
