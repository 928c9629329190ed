"""The page Learn as a student meets it: formulas, a click, a link that keeps everything, nothing from elsewhere."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.app.browsing import BROWSER_TEST, Visit, settle

pytestmark = BROWSER_TEST


@pytest.mark.parametrize("options", [{}, {"viewport": {"width": 400, "height": 800}}], ids=["wide", "narrow"])
def test_a_chapter_a_mistake_and_the_link_to_both(visit: Visit, options: dict[str, object]) -> None:
    page = visit("learn", **options)
    expect(page.locator(".js-plotly-plot")).to_have_count(5)
    expect(page.locator(".katex").first).to_be_visible()
    expect(page.get_by_text("Your loop is right.")).to_be_visible()
    page.get_by_role("radio", name="3 zero_grad").click()
    expect(page.get_by_text("momentum without friction")).to_be_visible()
    expect(page).to_have_url(re.compile("chapter=reset.*mistake=reset|mistake=reset.*chapter=reset"))
    page.get_by_role("button", name="no division").click()
    expect(page.get_by_text("4 times too large")).to_be_visible()
    settle(page)
    page.reload()
    settle(page)
    expect(page.get_by_text("4 times too large")).to_be_visible()
    expect(page.get_by_text("momentum without friction")).to_be_visible()
    page.get_by_role("button", name="no division").click()
    page.get_by_role("button", name="no zero_grad").click()
    expect(page.get_by_text("Your loop is right.")).to_be_visible()
