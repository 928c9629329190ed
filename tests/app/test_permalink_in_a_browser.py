"""The link that every page offers: copied with the keyboard, opened by another reader, it shows the same view."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from gradviz.texts import text
from tests.app.browsing import BROWSER_TEST, Visit, pictures, settle, visits
from tests.app.opening import PAGES
from tests.app.recorded import NAMES, record_run
from tests.app.served import Server, serve

pytestmark = BROWSER_TEST

SAMPLE = "samples:diverges-to-nan"
ASKED = {
    "runs": "?sort=windows&filter=mlp",
    "compare": f"compare?runs={SAMPLE}&runs=samples:never-resets&scale=linear&lang=zh",
    "learn": "learn?chapter=noise&n=7",
}
USUAL = f"run={SAMPLE}&lang=zh"


def _asked(page: Page) -> tuple[str, dict[str, list[str]]]:
    place, _, parameters = page.url.partition("?")
    return place, parse_qs(parameters)


def _open_link(page: Page, language: str = "zh") -> Locator:
    """The address as the page shows it, opened without a mouse."""
    button = page.get_by_role("button", name=text("app.link.label", language))
    button.focus()
    page.keyboard.press("Enter")
    code = page.get_by_test_id("stPopoverBody").get_by_test_id("stCode")
    expect(code).to_be_visible()
    return code


@pytest.mark.parametrize("name", PAGES)
def test_the_link_of_a_page_is_the_address_of_its_view(visit: Visit, server: Server, name: str) -> None:
    asked = ASKED.get(name, f"{name}?{USUAL}")
    page = visit(asked)
    code = _open_link(page, "zh" if "zh" in asked else "en")
    expect(code).to_contain_text(asked.partition("?")[2].partition("&")[0])
    link = code.inner_text().strip()
    assert link.startswith(f"{server.url}/{asked.partition('?')[0]}")
    again = visit(link.removeprefix(f"{server.url}/"))
    title = page.get_by_role("heading", level=1).inner_text()
    expect(again.get_by_role("heading", level=1)).to_have_text(title)
    settle(again)
    assert _asked(again) == _asked(page)


def test_a_choice_is_in_the_link_at_once_and_the_link_can_be_copied(visit: Visit, server: Server) -> None:
    page = visit("accumulation?run=samples:never-resets", permissions=["clipboard-read", "clipboard-write"])
    settle(page)
    page.get_by_role("radio", name="log", exact=True).click()
    expect(page).to_have_url(re.compile("scale=log"))
    expect(pictures(page).first).to_be_visible()
    settle(page)
    code = _open_link(page, "en")
    expect(code).to_contain_text("scale=log")
    code.focus()
    expect(code.get_by_role("button")).to_be_visible()  # where the pointer or the focus is
    page.keyboard.press("Tab")
    expect(code.get_by_role("button")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_function("async () => (await navigator.clipboard.readText()).includes('scale=log')")
    link = page.evaluate("navigator.clipboard.readText()")
    again = visit(link.removeprefix(f"{server.url}/"))
    expect(again.get_by_role("radio", name="log", exact=True)).to_be_checked()


def test_the_link_holds_behind_a_base_path(browser: Browser, tmp_path: Path) -> None:
    run = record_run(tmp_path / "runs", "behind", windows=[4] * 6)
    with serve(tmp_path / "runs", tmp_path, base="proxy/8501") as server, visits(browser, server) as visit:
        page = visit(f"gradient_flow?run={run.name}&window=3")
        code = _open_link(page, "en")
        expect(code).to_contain_text("window=3")
        link = code.inner_text().strip()
        assert link.startswith(f"{server.url}/gradient_flow?")
        assert "/proxy/8501/gradient_flow" in link
        again = visit(link.removeprefix(f"{server.url}/"))
        expect(again.get_by_role("slider").first).to_have_value("3")
        expect(again.get_by_test_id("stMain")).to_contain_text(NAMES[0].partition(".")[0])
