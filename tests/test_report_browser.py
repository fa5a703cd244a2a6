"""The report in a real Chromium: it opens at full size within 2 s, filters, enlarges and fits a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Tab, browser, find_chromium
from report_world import demo_workflow, write_results

from toporep.report import page

# The browser must not share its two seconds with several others.
pytestmark = [
    pytest.mark.skipif(find_chromium() is None, reason="no chromium here; Debian: apt-get install chromium"),
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
]

DESKTOP, PHONE = (1440, 900), (375, 760)
SHOWN = "[...document.querySelectorAll('.claims tr[data-verdict]')].filter(row => row.checkVisibility())"


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of full size: all figures of all papers at their usual sizes, a thousand tests of claims."""
    folder = tmp_path_factory.mktemp("full")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        workflow = demo_workflow()
        # 190 × 190 pixels of noise take what a figure takes on the average, 110 kB.
        write_results(workflow, rows=1100 // len(workflow.claimed_papers()), size=(1440, 1300), noise=190)
        text = page.render(workflow)
    (folder / "report.html").write_text(text, encoding="utf-8")
    assert len(text) > 8e6 and text.count("data-verdict=") > 1000
    return folder / "report.html"


@pytest.fixture(scope="module")
def window() -> Iterator[Tab]:
    with browser() as tab:
        yield tab


@pytest.fixture
def desktop(window: Tab, full: Path) -> Tab:
    window.resize(*DESKTOP)
    window.open(full)
    return window


@pytest.fixture
def phone(window: Tab, full: Path) -> Tab:
    window.resize(*PHONE, mobile=True)
    window.open(full)
    return window


def set_field(tab: Tab, name: str, value: str) -> None:
    tab.evaluate(
        f"(field => {{ field.value = {value!r}; field.dispatchEvent(new Event('input', {{bubbles: true}})) }})"
        f"(document.querySelector('#filter [name={name}]'))"
    )


@pytest.mark.parametrize("size, mobile", [(DESKTOP, False), (PHONE, True)], ids=["desktop", "phone"])
def test_it_opens_within_two_seconds(window, full, size, mobile):
    window.resize(*size, mobile=mobile)
    # The best of some: other tests run beside this one.
    times = []
    while len(times) < 6 and min(times, default=9) >= 2:
        times.append(window.open(full))
    assert min(times) < 2, times


def test_it_tells_the_console_nothing_and_asks_for_nothing(desktop, full):
    desktop.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    # Images far below are not loaded until they are near: all at once here.
    desktop.evaluate("document.querySelectorAll('figure img').forEach(each => each.loading = 'eager')")
    desktop.evaluate("Promise.all([...document.querySelectorAll('figure img')].map(each => each.decode()))")
    assert desktop.problems() == []
    assert desktop.requests() == [full.as_uri()]
    assert desktop.evaluate("[...document.querySelectorAll('figure img')].every(each => each.naturalWidth === 1440)")


def test_the_policy_stops_what_is_not_of_the_page(desktop):
    desktop.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.bad = 1'}))")
    assert desktop.evaluate("window.bad === undefined")
    assert any("Content Security Policy" in text for text in desktop.problems())


def test_claims_are_filtered_by_paper_verdict_kind_and_text(desktop):
    everything = desktop.evaluate(f"{SHOWN}.length")
    assert everything > 1000
    assert desktop.evaluate("document.querySelector('#filter output').value") == f"{everything} of {everything} tests"
    set_field(desktop, "verdict", "not reproduced")
    assert desktop.evaluate(f"[...new Set({SHOWN}.map(row => row.dataset.verdict))]") == ["not reproduced"]
    some = desktop.evaluate(f"{SHOWN}.length")
    set_field(desktop, "paper", "sander2026")
    of_paper = desktop.evaluate(f"[...new Set({SHOWN}.map(row => row.closest('section').dataset.paper))]")
    assert of_paper == ["sander2026"]
    fewer = desktop.evaluate(f"{SHOWN}.length")
    set_field(desktop, "role", "primary")
    set_field(desktop, "text", "networks Q2 ")
    shown = desktop.evaluate(f"{SHOWN}.map(row => row.parentElement.rows[0].textContent + row.textContent)")
    assert 0 < len(shown) < fewer < some < everything
    assert all("networks" in text and "Q2" in text and "check" not in text for text in shown)
    headings = desktop.evaluate(
        "[...document.querySelectorAll('.claims tbody')].filter(e => e.checkVisibility()).length"
    )
    assert 0 < headings <= len(shown)
    set_field(desktop, "text", "no such words")
    assert desktop.evaluate(f"{SHOWN}.length") == 0
    desktop.click("#filter button[type=reset]")
    desktop.wait_for(f"{SHOWN}.length === {everything}")


def test_a_link_to_what_is_filtered_out_shows_it(desktop):
    set_field(desktop, "text", "no such words")
    desktop.evaluate("location.hash = 'claim-truong2025-Q5'")
    desktop.wait_for("document.getElementById('claim-truong2025-Q5').checkVisibility()")
    desktop.wait_for(
        "Math.abs(document.getElementById('claim-truong2025-Q5').getBoundingClientRect().top) < innerHeight / 2"
    )


@pytest.mark.parametrize(
    "name", ["sander2026-table1_class_similarity", "claim-truong2025-Q40", "deviation-T30", "cost"]
)
def test_a_link_leads_to_its_place_past_what_is_not_laid_out_yet(desktop, name):
    desktop.evaluate(f"location.hash = {name!r}")
    desktop.wait_for(f"Math.abs(document.getElementById({name!r}).getBoundingClientRect().top - 16) < 3")


def test_a_figure_is_enlarged_by_mouse_and_by_keys(desktop):
    title = "document.querySelector('#viewer .what').textContent"
    titles = desktop.evaluate(
        "[...document.querySelectorAll('figure')].map(e => e.closest('article').querySelector('h3').textContent)"
    )
    desktop.click("#truong2025-fig2_accuracy .zoom")
    assert desktop.evaluate("document.getElementById('viewer').open")
    first = titles.index(desktop.evaluate(title))
    assert desktop.evaluate(
        "document.querySelector('#viewer img').src === document.querySelector('#truong2025-fig2_accuracy img').src"
    )
    desktop.press("ArrowRight")
    assert desktop.evaluate(title) == titles[first + 1]
    desktop.press("ArrowLeft")
    desktop.press("ArrowLeft")
    assert desktop.evaluate(title) == titles[first - 1]
    fitting = desktop.evaluate("document.querySelector('#viewer img').getBoundingClientRect().height")
    assert fitting < DESKTOP[1]
    desktop.click("#viewer .stage")
    desktop.wait_for("document.querySelector('#viewer img').getBoundingClientRect().height === 1300")
    desktop.press("Escape")
    assert not desktop.evaluate("document.getElementById('viewer').open")
    # The keyboard goes on from the figure that was shown last.
    focused = "document.activeElement.closest('article')?.querySelector('h3').textContent"
    desktop.wait_for(f"{focused} === {titles[first - 1]!r}")
    desktop.press("Enter")
    desktop.press("ArrowRight")
    desktop.press("Escape")
    assert desktop.problems() == []


def test_nothing_is_wider_than_a_phone(phone):
    phone.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    phone.evaluate(
        "document.querySelectorAll('article, .ledger, .document').forEach(e => e.style.contentVisibility = 'visible')"
    )
    assert phone.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    wide = (
        "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1"
        " && !e.closest('.scroll, pre, dialog')).map(e => e.outerHTML.slice(0, 200))"
    )
    assert phone.evaluate(wide) == []
    # Wide tables scroll by themselves.
    assert phone.evaluate("[...document.querySelectorAll('.scroll')].some(e => e.scrollWidth > e.clientWidth)")
    assert phone.evaluate("getComputedStyle(document.querySelector('.scroll')).overflowX") == "auto"


def test_the_contents_fold_on_a_phone_and_stay_on_a_desk(phone, full):
    assert not phone.evaluate("document.querySelector('nav details').open")
    phone.resize(*DESKTOP)
    phone.open(full)
    assert phone.evaluate("document.querySelector('nav details').open")


def test_it_can_be_printed(desktop):
    desktop.call("Emulation.setEmulatedMedia", media="print")
    try:
        hidden = "getComputedStyle(document.querySelector({0!r})).display"
        assert desktop.evaluate(hidden.format("nav")) == desktop.evaluate(hidden.format("#filter")) == "none"
        assert desktop.evaluate(
            "[...document.querySelectorAll('.scroll')].every(e => getComputedStyle(e).overflowX === 'visible')"
        )
    finally:
        desktop.call("Emulation.setEmulatedMedia", media="")
