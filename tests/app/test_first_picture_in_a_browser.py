"""The first picture of a page comes before the rest of it, and the rest comes in any case."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.app.browsing import BROWSER_TEST, pictures, settle
from tests.app.served import Server

pytestmark = BROWSER_TEST
VIEW = "accumulation?run=samples:healthy-transformer-n8"
DRAWING = "**/PlotlyChart.*.js"  # what Streamlit draws pictures with
TABLE = "[data-testid=stDataFrame]"
# Notes how many tables there are at the moment when the page says that there is more to come.
NOTE = f"""new MutationObserver(() => {{
    if (window.below === undefined && document.querySelector(".st-key-rest"))
        window.below = document.querySelectorAll("{TABLE}").length;
}}).observe(document, {{childList: true, subtree: true}})"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(locale="en-US")
    context.add_init_script(NOTE)
    yield context.new_page()
    context.close()


def test_the_rest_of_a_page_comes_after_its_first_picture(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/{VIEW}")
    page.wait_for_function("window.below !== undefined")
    assert page.evaluate("window.below") == 0
    settle(page)
    expect(pictures(page)).to_have_count(4)
    expect(page.locator(TABLE)).to_have_count(1)


def test_the_rest_of_a_page_comes_though_no_picture_can_be_drawn(page: Page, server: Server) -> None:
    page.clock.install()
    page.route(DRAWING, lambda route: route.abort())
    page.goto(f"{server.url}/{VIEW}")
    page.wait_for_function("window.below !== undefined")
    page.clock.fast_forward("00:15")
    expect(page.locator(TABLE)).to_have_count(1)


def test_what_draws_pictures_is_loaded_before_one_has_come(page: Page, server: Server) -> None:
    with page.expect_request(DRAWING):
        page.goto(f"{server.url}/diagnosis?run=samples:healthy-transformer-n8")
    settle(page)
    expect(pictures(page)).to_have_count(0)


def test_the_landing_page_has_no_picture_and_loads_nothing_for_one(page: Page, server: Server) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.url)
    settle(page)
    assert not [url for url in asked if "PlotlyChart" in url]
