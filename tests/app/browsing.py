"""What a browser test opens, and what it may not see: a request to elsewhere, an error in the console."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect

from tests.app.served import CHROMIUM, Server

BROWSER_TEST = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing: apt-get install chromium"),
]
HOSTILE = "![](http://example.invalid/beacon.png)"

expect.set_options(timeout=30_000)  # a busy machine is slow, not wrong

Visit = Callable[..., Page]
Tab = Callable[..., Page]


@contextmanager
def watched_tabs(browser: Browser, is_at_home: Callable[[str], bool]) -> Iterator[Tab]:
    """Open tabs; at the end no request has gone to an address that is not at home, and no error was logged."""
    complaints: list[str] = []
    contexts = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    def opened(**options: object) -> Page:
        context = browser.new_context(**({"locale": "en-US"} | options))  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda request: complaints.extend(
                [] if is_at_home(request.url) else [f"request to {request.url}"]
            ),
        )
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@contextmanager
def visits(browser: Browser, server: Server) -> Iterator[Visit]:
    """`visit("accumulation?run=...", color_scheme="dark")` opens a link of the dashboard in a tab of its own."""
    own = (f"{server.url}/", f"ws://127.0.0.1:{server.port}/", "data:", "blob:")
    with watched_tabs(browser, lambda url: url.startswith(own)) as open_tab:

        def visited(path: str, **options: object) -> Page:
            page = open_tab(**options)
            page.goto(f"{server.url}/{path}")
            settle(page)
            return page

        yield visited


def settle(page: Page) -> None:
    """Wait until the script has run and nothing is left to come or to be replaced."""
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    for _ in range(2):  # the first picture of a page comes alone, and what asks for the rest goes with it
        expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
        expect(page.locator(".st-key-rest")).to_have_count(0)
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")


# Where an element is, in the middle of the window as far as that goes, when nothing has moved it for half a second.
RESTING = """element => new Promise(done => {
    element.scrollIntoView({block: "center"});
    let last = "", since = performance.now();
    const look = () => {
        const box = element.getBoundingClientRect(), said = JSON.stringify(box);
        if (said !== last) [last, since] = [said, performance.now()];
        if (!element.isConnected) done(null);
        else if (performance.now() - since > 500) done(box.toJSON());
        else requestAnimationFrame(look);
    };
    look();
})"""


def resting_box(element: Locator) -> dict[str, float]:
    """Where a mouse finds it: x, y, width, height. What is still being drawn above it would push it away."""
    while True:
        box: dict[str, float] | None = element.evaluate(RESTING)
        if box is not None:  # else it was replaced by another
            return box


def pictures(page: Page) -> Locator:
    """Every picture that is drawn."""
    return page.locator(".js-plotly-plot")


def stays_at_home(page: Page) -> bool:
    """Whether nothing on the page leads or reaches anywhere else, and no name became markup."""
    hosts = page.locator("a").evaluate_all("links => links.map(link => link.hostname)")
    return (
        set(hosts) <= {"127.0.0.1", ""}
        and not page.locator("img[src*='example.invalid'], main script").count()
    )
