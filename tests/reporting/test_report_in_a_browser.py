"""A report opened from the disk: it draws everything, asks nobody, and shows hostile names as letters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

import gradviz
from gradviz.reporting import write_report
from gradviz.store import sample_folder
from tests.app.recorded import record_run
from tests.app.served import CHROMIUM, CHROMIUM_FLAGS
from tests.app.test_pages import HOSTILE

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing: apt-get install chromium"),
]

SAMPLES = sorted(path.parent for path in sample_folder().glob("*/run.json"))
Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(CHROMIUM_FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Visit]:
    """Write the report of a run and open it; at the end nothing was asked for and nothing was complained about."""
    complaints: list[str] = []
    contexts = []

    def visited(run: Path, **options: object) -> Page:
        report = tmp_path / "report.html"
        write_report(gradviz.open_run(run), report)
        context = browser.new_context(**options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda request: complaints.extend([] if request.url == report.as_uri() else [request.url]),
        )
        page.goto(report.as_uri())
        slots = page.locator("[data-figure]").count()
        expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible(timeout=60_000)
        expect(page.locator(".js-plotly-plot")).to_have_count(slots, timeout=60_000)
        return page

    yield visited
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.mark.parametrize("run", SAMPLES, ids=lambda path: path.name)
def test_every_sample_run_is_drawn(visit: Visit, run: Path) -> None:
    page = visit(run)
    expect(page.get_by_role("heading", level=1)).to_have_text(run.name)


def test_hostile_names_are_letters(visit: Visit, tmp_path: Path) -> None:
    page = visit(
        record_run(tmp_path / "runs", HOSTILE[1], layers=HOSTILE, model_class=HOSTILE[0], resets=False)
    )
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE[1])
    page.locator("summary").first.click()
    listed = page.locator("details pre").first.inner_text().splitlines()
    assert listed == [name.replace("\u202e", "\\u202e") for name in HOSTILE]
    assert page.locator("img, a[href*=example], main script").count() == 0


@pytest.mark.parametrize("width", [400, 1100])
def test_it_never_scrolls_sideways(visit: Visit, width: int) -> None:
    page = visit(sample_folder() / "never-resets", viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_in_pictures_have_the_colour_of_the_page(visit: Visit, scheme: str) -> None:
    page = visit(sample_folder() / "never-resets", color_scheme=scheme)
    ink = page.evaluate("getComputedStyle(document.body).color")
    tick = page.locator(".xtick text").first.evaluate("element => getComputedStyle(element).fill")
    assert tick == ink


def test_it_prints_on_white_with_every_picture(visit: Visit, tmp_path: Path) -> None:
    page = visit(sample_folder() / "never-resets", color_scheme="dark")
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
