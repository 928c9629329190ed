"""What holds for every page, in a real browser: it draws, its link shows it again, all of it can be saved."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from gradviz.store import sample_folder
from gradviz.texts import text
from tests.app.browsing import BROWSER_TEST, HOSTILE, Visit, pictures, settle, stays_at_home, visits
from tests.app.opening import PAGES
from tests.app.served import Server

pytestmark = BROWSER_TEST

SAMPLES = sorted(path.parent.name for path in sample_folder().glob("*/run.json"))
WITHOUT_RUN = {"runs", "learn"}
VIEWS = [(page, sample) for page in PAGES for sample in (SAMPLES if page not in WITHOUT_RUN else SAMPLES[:1])]
TELLING = "diverges-to-nan"  # has findings, a gap in its curves, and more than one window length
# What the controls of a page say, read off the roles that a screen reader uses.
SAID = """() => [...document.querySelectorAll("[data-testid=stMain] :is([role=radio], [role=slider], input)")].map(
    one => [one.getAttribute("aria-label") || one.textContent, one.getAttribute("aria-checked"),
            one.getAttribute("aria-valuenow"), one.value, one.checked].join())"""

# Whether that has been the same for a second: a page's controls come one after the other.
STILL = f"""() => {{
    const said = JSON.stringify(({SAID})());
    if (said !== window.said) [window.said, window.since] = [said, performance.now()];
    return performance.now() - window.since > 1000;
}}"""


@pytest.fixture(scope="module")
def tab(browser: Browser, server: Server) -> Iterator[Page]:
    """One tab that goes from page to page; at the end nothing was fetched from elsewhere and no error logged."""
    with visits(browser, server) as visit:
        yield visit("learn")


def link(page: str, sample: str) -> str:
    """A page about a sample run; one that compares takes the sample before it, too."""
    if page == "runs":
        return ""  # the landing page has no path of its own
    if page != "compare":
        return f"{page}?run=samples:{sample}"
    return f"{page}?runs=samples:{sample}&runs=samples:{SAMPLES[SAMPLES.index(sample) - 1]}"


@pytest.mark.parametrize(("name", "sample"), VIEWS)
def test_every_page_draws_every_sample_run(tab: Page, server: Server, name: str, sample: str) -> None:
    tab.goto(f"{server.url}/{link(name, sample)}")
    settle(tab)
    answer = tab.locator(".js-plotly-plot .main-svg, [data-testid=stAlertContentSuccess]")
    expect(answer.first if name != "runs" else tab.get_by_test_id("stDataFrame").first).to_be_visible()
    expect(tab.locator("[data-testid=stPlotlyChart]:not(:has(.main-svg))")).to_have_count(0)
    expect(tab.locator("[data-testid=stException], [data-testid=stAlertContentError]")).to_have_count(0)
    spoken = tab.get_by_test_id("stPlotlyChart").evaluate_all("all => all.map(one => one.ariaLabel)")
    assert all(spoken), "a picture without a text for those who do not see it"


@pytest.mark.parametrize("name", PAGES)
def test_whatever_is_chosen_stands_in_the_link(visit: Visit, name: str) -> None:
    page = visit(link(name, TELLING))
    _choose(page, page.get_by_role("radio", name="中文"), "click")
    expect(page.get_by_role("heading", level=1)).to_have_text(text(f"app.{name}.title", "zh"))
    _wait_for_the_end(page, name)
    for radios in page.get_by_role("radiogroup").all():
        _choose(page, radios.get_by_role("radio").last, "click")
    for slider in page.get_by_role("slider").all():
        _choose(
            page, slider, "ArrowLeft" if slider.input_value() != slider.get_attribute("min") else "ArrowRight"
        )
    settle(page)
    again = visit(page.url.split("/", 3)[-1])
    expect(again.get_by_role("heading", level=1)).to_have_text(text(f"app.{name}.title", "zh"))
    expect(again.get_by_role("slider")).to_have_count(page.get_by_role("slider").count())
    again.wait_for_function(
        f"said => JSON.stringify(({SAID})()) === JSON.stringify(said)", arg=page.evaluate(SAID)
    )


def _wait_for_the_end(page: Page, name: str) -> None:
    """Streamlit says that a script has ended before the browser has drawn what it sent."""
    expect(page.get_by_role("radiogroup").first).to_be_visible()
    expect(
        pictures(page).first if name != "runs" else page.get_by_test_id("stDataFrame").first
    ).to_be_visible()
    settle(page)
    page.wait_for_function(STILL)


def _choose(page: Page, control: Locator, how: str) -> None:
    before = page.url
    if how == "click":
        if control.is_checked():
            return
        control.click()
    else:
        control.press(how)
    expect(page).not_to_have_url(before)
    settle(page)


@pytest.mark.parametrize("name", sorted({*PAGES} - {"runs"}))
def test_the_numbers_of_every_picture_can_be_saved(visit: Visit, tmp_path: Path, name: str) -> None:
    page = visit(link(name, TELLING))
    expect(pictures(page).first).to_be_visible()
    menus = page.get_by_role("button", name="Save", exact=False)
    strips = 1 if name == "heat_map" else 0  # the rows to click beside the map, which are the map's own
    expect(pictures(page)).to_have_count(menus.count() + strips)
    for place in range(menus.count()):
        menus.nth(place).click()
        with page.expect_download() as download:
            page.get_by_role("button", name="Numbers (CSV)").click()
        page.keyboard.press("Escape")
        saved = tmp_path / f"{place}.csv"
        download.value.save_as(saved)
        with saved.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert rows, download.value.suggested_filename
        assert download.value.suggested_filename.endswith(".csv")


@pytest.mark.parametrize("name", PAGES)
def test_every_control_is_reached_by_the_tabulator(visit: Visit, name: str) -> None:
    # but the arrow of a menu and the crosses in it: its field is, and the arrow and erase keys do the same
    page = visit(link(name, TELLING))
    _wait_for_the_end(page, name)
    unreachable = page.get_by_test_id("stMain").evaluate("""main => [...main.querySelectorAll(
        "button, input, textarea, a[href], summary, [role=slider], [role=combobox]")].filter(
        one => one.checkVisibility({visibilityProperty: true}) && !one.disabled && one.tabIndex < 0
            && !one.closest(".modebar, [data-testid=stDataFrame], [role=radiogroup]")
            && !one.matches("[aria-haspopup=listbox], [aria-label^=Remove]")
        ).map(one => one.outerHTML.slice(0, 200))""")
    assert unreachable == []


@pytest.mark.parametrize("name", PAGES)
def test_hostile_names_fetch_nothing_and_run_nothing(visit: Visit, server: Server, name: str) -> None:
    runs = [quote(path.name) for path in server.folder.iterdir() if "example.invalid" in path.name]
    assert runs
    page = visit("" if name == "runs" else f"{name}?run={runs[0]}&runs={runs[0]}&runs=samples:never-resets")
    if name not in WITHOUT_RUN:
        expect(pictures(page).first).to_be_visible()
        expect(page.get_by_test_id("stMain")).to_contain_text(HOSTILE[-20:])
    for menu in page.get_by_role("combobox").all():
        menu.click()
        page.keyboard.press("Escape")
    settle(page)
    assert stays_at_home(page)
