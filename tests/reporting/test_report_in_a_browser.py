"""A report opened from the disk: it draws everything, asks nobody, and shows hostile names as letters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

import gradviz
from gradviz.reporting import write_report
from gradviz.store import sample_folder
from tests.app.browsing import BROWSER_TEST, pictures, watched_tabs
from tests.app.recorded import record_run
from tests.app.test_pages import HOSTILE

pytestmark = BROWSER_TEST

SAMPLES = sorted(path.parent for path in sample_folder().glob("*/run.json"))
Visit = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Visit]:
    """Write the report of a run and open it; at the end nothing was asked for and nothing was complained about."""
    report = tmp_path / "report.html"
    with watched_tabs(browser, lambda url: url == report.as_uri()) as open_tab:

        def visited(run: Path, **options: object) -> Page:
            write_report(gradviz.open_run(run), report)
            page = open_tab(**options)
            page.on("console", lambda message: said.append(message.text))
            page.goto(report.as_uri())
            slots = page.locator("[data-figure]").count()
            expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible(timeout=60_000)
            expect(pictures(page)).to_have_count(slots, timeout=60_000)
            return page

        said: list[str] = []
        yield visited
        assert said == []


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
