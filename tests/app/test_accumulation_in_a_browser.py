"""The page Accumulation under the hand: panels, groups, and the star of a finding."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.app.browsing import BROWSER_TEST, Visit, pictures, resting_box, settle

pytestmark = BROWSER_TEST


def panels(page: Page) -> int:
    """Panels of the first picture, as the browser lays them out: each has an axis of its own on the screen."""
    return pictures(page).first.locator("g.cartesianlayer > g.subplot").count()


@pytest.mark.parametrize("options", [{}, {"viewport": {"width": 400, "height": 900}}], ids=["wide", "narrow"])
def test_a_click_gives_each_layer_a_panel_and_the_link_keeps_them(
    visit: Visit, options: dict[str, object]
) -> None:
    page = visit("accumulation?run=samples:healthy-transformer-n8", **options)
    expect(pictures(page)).to_have_count(4)
    page.get_by_role("radio", name="one panel each").click()
    expect(page).to_have_url(re.compile("arrange=panels"))
    settle(page)
    page.reload()
    settle(page)
    expect(pictures(page).first.get_by_text("head.weight")).to_be_visible()
    assert panels(page) == 3


def test_a_group_is_chosen_from_the_menu_and_drawn(visit: Visit) -> None:
    page = visit("accumulation?run=samples:healthy-transformer-n8")
    page.get_by_role("combobox", name="Groups of layers").click()
    page.get_by_role("option", name="blocks.layers.1 (12 layers)").click()
    expect(page).to_have_url(re.compile("group=blocks.layers.1"))
    expect(pictures(page).first.get_by_text("blocks.layers.1 (12 layers)").first).to_be_visible()


def test_the_star_of_a_finding_says_what_was_found(visit: Visit) -> None:
    page = visit(
        "accumulation?run=samples:never-resets&windows=0-9", viewport={"width": 1200, "height": 1400}
    )
    star = pictures(page).first.locator("path.point[style*='rgb(238, 102, 119)']").last
    expect(star).to_be_attached()
    box = resting_box(star)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(pictures(page).first.locator(".hoverlayer")).to_contain_text("finding: error")
    page.get_by_text("Found by the checks in these windows").click()
    page.get_by_role("link", name="All findings, with evidence").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Diagnosis")
    expect(page).to_have_url(re.compile("never-resets"))
